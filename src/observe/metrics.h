/*
 * Metrics: numbers that one part of the program sets and another reads, as Prometheus reads them
 * (text format 0.0.4). What there is to measure is a table of definitions; its owner gives names,
 * help and labels, this gives storage and form. For observation only: nothing here decides
 * anything.
 *
 * A FAMILY is one line of the table, a METRIC one member of it: the values of its labels. Members
 * are made once (metrics_of() looks them up by name, so callers keep what it returns) and live as
 * long as the registry.
 *
 * Threads: setting a metric takes no lock and may be done by any thread; a scrape may come between
 * two of them. Numbers that must be seen together (in = the sum of the verdicts) are set between
 * metrics_begin() and metrics_end(), which metrics_write() waits for. Members are made, and
 * histograms observed, between these two only.
 */
#ifndef WEIR_OBSERVE_METRICS_H
#define WEIR_OBSERVE_METRICS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/memory.h"

#define METRIC_LABELS_MAX 3

/* A REAL_COUNTER counts fractions (seconds), and is set like a gauge. */
enum metric_kind { METRIC_COUNTER, METRIC_REAL_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

struct metric_definition {
    const char *name; /* unit last; counters end in _total */
    enum metric_kind kind;
    const char *help;
    const char *labels[METRIC_LABELS_MAX];
    bool is_process; /* without the label "pipeline", which all others have */
};

struct metrics;
struct metric;

/* The table outlives the registry; the name is copied. */
struct metrics *metrics_new(const struct metric_definition *definitions, uint32_t count,
                            const char *pipeline);
/* Takes NULL. */
void metrics_free(struct metrics *metrics);

/* The member with these values of its labels (NULL for those that it does not have): found or made,
 * copied (bytes that are not UTF-8 as '?'). A new counter is 0; a new gauge is not shown before it is
 * set. Only between metrics_begin() and metrics_end(). */
struct metric *metrics_of(struct metrics *metrics, uint32_t family, const char *first,
                          const char *second, const char *third);

/* A counter, and a gauge that counts. Counters never go back: a smaller count is passed over. */
void metric_set_count(struct metric *metric, uint64_t count);
void metric_add_count(struct metric *metric, uint64_t count);
void metric_set(struct metric *metric, double value);
/* A gauge that says nothing for now. */
void metric_hide(struct metric *metric);
/* One duration; only between metrics_begin() and metrics_end(). */
void metric_observe(struct metric *metric, double seconds);

void metrics_begin(struct metrics *metrics);
void metrics_end(struct metrics *metrics);

/* All of it in the text format. */
void metrics_write(struct metrics *metrics, struct buffer *out);

/* For the page: every member that is shown, family by family; of a histogram its mean, with the
 * count. `values` has as many items as the definition has labels. */
typedef void metrics_visitor(void *context, const struct metric_definition *definition,
                             const char *const *values, double value, uint64_t count);
void metrics_each(struct metrics *metrics, metrics_visitor *visit, void *context);

#endif
