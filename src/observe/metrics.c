#include "observe/metrics.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/bytes.h"
#include "os/thread.h"

/* Upper bounds of a histogram's buckets in seconds: of commits, from a RAM disk to a lost server. */
static const double bounds[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                0.25,  0.5,    1,     2.5,  5,     10};
enum { BOUND_COUNT = sizeof bounds / sizeof bounds[0] };

struct histogram {
    uint64_t buckets[BOUND_COUNT + 1]; /* not cumulative; the last has what is above all bounds */
    uint64_t count;
    double sum;
};

struct metric {
    char *values[METRIC_LABELS_MAX];
    bool is_count; /* `bits` is an integer */
    _Atomic bool is_shown;
    _Atomic uint64_t bits;       /* a count, or a double */
    struct histogram *histogram; /* under the lock */
};

struct family {
    const struct metric_definition *definition;
    struct metric **members;
    uint32_t count;
};

struct metrics {
    struct mutex mutex;
    char *pipeline;
    struct family *families;
    uint32_t family_count;
};

struct metrics *metrics_new(const struct metric_definition *definitions, uint32_t count,
                            const char *pipeline)
{
    struct metrics *metrics = memory_alloc_zero(1, sizeof *metrics);
    metrics->pipeline = memory_copy_string(pipeline);
    metrics->families = memory_alloc_zero(count, sizeof *metrics->families);
    metrics->family_count = count;
    for (uint32_t i = 0; i < count; i++) {
        metrics->families[i].definition = &definitions[i];
    }
    mutex_init(&metrics->mutex);
    return metrics;
}

static void metric_free(struct metric *metric)
{
    for (uint32_t i = 0; i < METRIC_LABELS_MAX; i++) {
        memory_free(metric->values[i]);
    }
    memory_free(metric->histogram);
    memory_free(metric);
}

void metrics_free(struct metrics *metrics)
{
    if (metrics == NULL) {
        return;
    }
    for (uint32_t f = 0; f < metrics->family_count; f++) {
        for (uint32_t i = 0; i < metrics->families[f].count; i++) {
            metric_free(metrics->families[f].members[i]);
        }
        memory_free(metrics->families[f].members);
    }
    mutex_fini(&metrics->mutex);
    memory_free(metrics->families);
    memory_free(metrics->pipeline);
    memory_free(metrics);
}

/* The format is UTF-8, and a name of a file need not be. */
static char *copy_value(const char *value)
{
    if (value == NULL) {
        return NULL;
    }
    char *copy = memory_copy_string(value);
    if (!bytes_is_utf8(bytes_of_string(value))) {
        for (char *at = copy; *at != '\0'; at++) {
            *at = (uint8_t)*at < 0x80 ? *at : '?';
        }
    }
    return copy;
}

static bool has_values(const struct metric *metric, char *const *values)
{
    for (uint32_t i = 0; i < METRIC_LABELS_MAX; i++) {
        if ((values[i] == NULL) != (metric->values[i] == NULL) ||
            (values[i] != NULL && strcmp(values[i], metric->values[i]) != 0)) {
            return false;
        }
    }
    return true;
}

/* Takes the values. */
static struct metric *metric_new(const struct metric_definition *definition, char **values)
{
    struct metric *metric = memory_alloc_zero(1, sizeof *metric);
    for (uint32_t i = 0; i < METRIC_LABELS_MAX; i++) {
        check((values[i] == NULL) == (definition->labels[i] == NULL));
        metric->values[i] = values[i];
        values[i] = NULL;
    }
    metric->is_count = definition->kind == METRIC_COUNTER;
    atomic_store(&metric->is_shown, definition->kind != METRIC_GAUGE);
    if (definition->kind == METRIC_HISTOGRAM) {
        metric->histogram = memory_alloc_zero(1, sizeof *metric->histogram);
    }
    return metric;
}

struct metric *metrics_of(struct metrics *metrics, uint32_t family, const char *first,
                          const char *second, const char *third)
{
    check(family < metrics->family_count);
    char *values[METRIC_LABELS_MAX] = {copy_value(first), copy_value(second), copy_value(third)};
    struct family *of = &metrics->families[family];
    struct metric *found = NULL;
    for (uint32_t i = 0; i < of->count && found == NULL; i++) {
        found = has_values(of->members[i], values) ? of->members[i] : NULL;
    }
    if (found == NULL) {
        found = metric_new(of->definition, values);
        of->members = memory_realloc(of->members, size_mul(of->count + 1, sizeof *of->members));
        of->members[of->count++] = found;
    }
    for (uint32_t i = 0; i < METRIC_LABELS_MAX; i++) {
        memory_free(values[i]);
    }
    return found;
}

static uint64_t bits_of(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static double value_of(const struct metric *metric)
{
    uint64_t bits = atomic_load(&metric->bits);
    double value;
    memcpy(&value, &bits, sizeof value);
    return metric->is_count ? (double)bits : value;
}

void metric_set_count(struct metric *metric, uint64_t count)
{
    if (!metric->is_count) {
        metric_set(metric, (double)count);
        return;
    }
    uint64_t before = atomic_load(&metric->bits);
    while (before < count && !atomic_compare_exchange_weak(&metric->bits, &before, count)) {
    }
}

void metric_add_count(struct metric *metric, uint64_t count)
{
    check(metric->is_count);
    atomic_fetch_add(&metric->bits, count);
}

void metric_set(struct metric *metric, double value)
{
    check(!metric->is_count && metric->histogram == NULL);
    atomic_store(&metric->bits, bits_of(value));
    atomic_store(&metric->is_shown, true);
}

void metric_hide(struct metric *metric)
{
    atomic_store(&metric->is_shown, false);
}

void metric_observe(struct metric *metric, double seconds)
{
    struct histogram *histogram = metric->histogram;
    uint32_t bucket = 0;
    while (bucket < BOUND_COUNT && seconds > bounds[bucket]) {
        bucket++;
    }
    histogram->buckets[bucket]++;
    histogram->count++;
    histogram->sum += seconds;
}

void metrics_begin(struct metrics *metrics)
{
    mutex_lock(&metrics->mutex);
}

void metrics_end(struct metrics *metrics)
{
    mutex_unlock(&metrics->mutex);
}

/* --- the text format --- */

static void write_escaped(const char *text, bool quotes, struct buffer *out)
{
    for (; *text != '\0'; text++) {
        if (*text == '\n') {
            buffer_append_string(out, "\\n");
        } else {
            if (*text == '\\' || (quotes && *text == '"')) {
                buffer_append_byte(out, '\\');
            }
            buffer_append_byte(out, (uint8_t)*text);
        }
    }
}

static void write_label(const char *name, const char *value, bool *is_first, struct buffer *out)
{
    buffer_printf(out, "%s%s=\"", *is_first ? "{" : ",", name);
    write_escaped(value, true, out);
    buffer_append_byte(out, '"');
    *is_first = false;
}

/* `name{pipeline="…",label="…"[,le="…"]} `; `bound` NULL: no bucket. */
static void write_name(const struct metrics *metrics, const struct metric_definition *definition,
                       const struct metric *metric, const char *suffix, const char *bound,
                       struct buffer *out)
{
    buffer_printf(out, "%s%s", definition->name, suffix);
    bool is_first = true;
    if (!definition->is_process) {
        write_label("pipeline", metrics->pipeline, &is_first, out);
    }
    for (uint32_t i = 0; i < METRIC_LABELS_MAX && definition->labels[i] != NULL; i++) {
        write_label(definition->labels[i], metric->values[i], &is_first, out);
    }
    if (bound != NULL) {
        write_label("le", bound, &is_first, out);
    }
    buffer_append_string(out, is_first ? " " : "} ");
}

static void write_value(double value, struct buffer *out)
{
    if (isnan(value)) {
        buffer_append_string(out, "NaN\n");
    } else if (isinf(value)) {
        buffer_append_string(out, value > 0 ? "+Inf\n" : "-Inf\n");
    } else {
        buffer_printf(out, "%.15g\n", value);
    }
}

static void write_histogram(const struct metrics *metrics,
                            const struct metric_definition *definition, const struct metric *metric,
                            struct buffer *out)
{
    const struct histogram *histogram = metric->histogram;
    uint64_t below = 0;
    for (uint32_t i = 0; i <= BOUND_COUNT; i++) {
        char bound[32] = "+Inf";
        if (i < BOUND_COUNT) {
            snprintf(bound, sizeof bound, "%g", bounds[i]);
        }
        below += histogram->buckets[i];
        write_name(metrics, definition, metric, "_bucket", bound, out);
        buffer_printf(out, "%llu\n", (unsigned long long)below);
    }
    write_name(metrics, definition, metric, "_sum", NULL, out);
    write_value(histogram->sum, out);
    write_name(metrics, definition, metric, "_count", NULL, out);
    buffer_printf(out, "%llu\n", (unsigned long long)histogram->count);
}

static bool is_any_shown(const struct family *family)
{
    for (uint32_t i = 0; i < family->count; i++) {
        if (atomic_load(&family->members[i]->is_shown)) {
            return true;
        }
    }
    return false;
}

static void write_family(const struct metrics *metrics, const struct family *family,
                         struct buffer *out)
{
    static const char *const kinds[] = {
        [METRIC_COUNTER] = "counter",
        [METRIC_REAL_COUNTER] = "counter",
        [METRIC_GAUGE] = "gauge",
        [METRIC_HISTOGRAM] = "histogram",
    };
    const struct metric_definition *definition = family->definition;
    buffer_printf(out, "# HELP %s ", definition->name);
    write_escaped(definition->help, false, out);
    buffer_printf(out, "\n# TYPE %s %s\n", definition->name, kinds[definition->kind]);
    for (uint32_t i = 0; i < family->count; i++) {
        const struct metric *metric = family->members[i];
        if (!atomic_load(&metric->is_shown)) {
            continue;
        }
        if (metric->histogram != NULL) {
            write_histogram(metrics, definition, metric, out);
            continue;
        }
        write_name(metrics, definition, metric, "", NULL, out);
        if (metric->is_count) {
            buffer_printf(out, "%llu\n", (unsigned long long)atomic_load(&metric->bits));
        } else {
            write_value(value_of(metric), out);
        }
    }
}

void metrics_write(struct metrics *metrics, struct buffer *out)
{
    mutex_lock(&metrics->mutex);
    for (uint32_t i = 0; i < metrics->family_count; i++) {
        if (is_any_shown(&metrics->families[i])) {
            write_family(metrics, &metrics->families[i], out);
        }
    }
    mutex_unlock(&metrics->mutex);
}

void metrics_each(struct metrics *metrics, metrics_visitor *visit, void *context)
{
    mutex_lock(&metrics->mutex);
    for (uint32_t f = 0; f < metrics->family_count; f++) {
        const struct family *family = &metrics->families[f];
        for (uint32_t i = 0; i < family->count; i++) {
            const struct metric *metric = family->members[i];
            if (!atomic_load(&metric->is_shown)) {
                continue;
            }
            const struct histogram *histogram = metric->histogram;
            double value = value_of(metric);
            if (histogram != NULL) {
                value = histogram->count == 0 ? 0 : histogram->sum / (double)histogram->count;
            }
            visit(context, family->definition, (const char *const *)metric->values, value,
                  histogram != NULL ? histogram->count : 0);
        }
    }
    mutex_unlock(&metrics->mutex);
}
