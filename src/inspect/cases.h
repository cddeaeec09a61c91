/*
 * Cases: a test file of a pipeline. Each case has input rows and what is expected of them; the
 * stages judge them in memory, beginning without any state. Nothing is opened and nothing written:
 * what a case says of sinks is where rows would go.
 *
 *   pipeline: iot.yaml                   # relative to the test file
 *   cases:
 *     - name: a number that came as text
 *       input:
 *         - {id: a, temperature: "23.5"}
 *         - '{"id": broken'              # a text is the record as it is
 *         - {record: {id: a}, key: k, timestamp: 2026-01-01T00:00:00Z, partition: 1}
 *       expect:
 *         - {verdict: VALID, output: {id: a, temperature: 23.5}, sinks: [readings]}
 *         - {verdict: INVALID, reason: decode.syntax}
 *
 * Records of other formats than JSON are written as texts; `header` beside `pipeline` is what stands
 * before them in a file of CSV.
 *
 * Only what an item of `expect` names is compared. A map whose keys are `record` and some of `key`,
 * `timestamp`, `partition` is a record with these; any other value is the record itself, as JSON.
 * Without a timestamp a record comes when it happened: its timestamp is its event time, never before
 * the record in front of it.
 *
 * Life: load → run → compare … → free. One thread.
 */
#ifndef WEIR_INSPECT_CASES_H
#define WEIR_INSPECT_CASES_H

#include "plan/plan.h"

struct case_input {
    const struct doc *node;
    struct bytes value;
    struct bytes key;
    int64_t timestamp_us; /* TIME_NEVER: none is given */
    const char *partition;
};

/* What became of a row. Texts live as long as the cases. */
struct case_outcome {
    enum verdict verdict;
    const char *reason; /* "" for VALID */
    const char *field;  /* "" where there is none */
    struct bytes detail;
    struct bytes output; /* none unless VALID */
    const char **sinks;  /* in the order of the file; "dlq" last */
    uint32_t sink_count;
    const char **warnings;
    uint32_t warning_count;
};

struct case_entry {
    const char *name;
    const struct doc *node;   /* of the case */
    const struct doc *expect; /* a list, or NULL */
    struct case_input *inputs;
    struct case_outcome *outcomes;
    uint32_t row_count;
};

struct cases {
    struct arena *arena;
    struct plan *plan;
    struct bytes header; /* none: the file says none */
    struct case_entry *entries;
    uint32_t count;
};

/* CONFIG with the place of whatever is wrong, in the file or in the pipeline that it names. */
enum status cases_load(const char *path, doc_environment environment, struct cases **out,
                       struct error *err) WEIR_MUST_USE;
void cases_free(struct cases *cases);

/* Outcomes of all cases. */
enum status cases_run(struct cases *cases, struct error *err) WEIR_MUST_USE;

/* Each difference of a case: the row (UINT32_MAX: the case as a whole), what differs ("verdict",
 * "output.temperature"), and both texts. Returns how many there are. */
typedef void case_difference(void *context, uint32_t row, const char *what, const char *expected,
                             const char *actual);
uint32_t cases_compare(const struct case_entry *entry, case_difference *difference, void *context);

#endif
