#include "observe/metrics.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "os/thread.h"

enum { COUNT, SECONDS, SIZE, TIMES, BUILD, FAMILIES };

static const struct metric_definition definitions[FAMILIES] = {
    [COUNT] = {"rows_total", METRIC_COUNTER, "Rows.", {"partition", "verdict"}},
    [SECONDS] = {"cpu_seconds_total", METRIC_REAL_COUNTER, "CPU."},
    [SIZE] = {"size_bytes", METRIC_GAUGE, "A \\ and\na line.", {"name"}},
    [TIMES] = {"commit_seconds", METRIC_HISTOGRAM, "Commits.", {"system"}},
    [BUILD] = {"build_info", METRIC_GAUGE, "Build.", {"version"}, .is_process = true},
};

static struct metrics *new_metrics(void)
{
    return metrics_new(definitions, FAMILIES, "iot");
}

/* Made between begin and end. */
static struct metric *make(struct metrics *metrics, uint32_t family, const char *first,
                           const char *second)
{
    metrics_begin(metrics);
    struct metric *metric = metrics_of(metrics, family, first, second, NULL);
    metrics_end(metrics);
    return metric;
}

static void assert_text(struct metrics *metrics, const char *wanted)
{
    struct buffer out = {0};
    metrics_write(metrics, &out);
    assert_string_equal(buffer_string(&out), wanted);
    buffer_fini(&out);
}

static void the_text_format(void **state)
{
    (void)state;
    struct metrics *metrics = new_metrics();
    assert_text(metrics, "");
    metric_set_count(make(metrics, COUNT, "0", "valid"), 12);
    make(metrics, COUNT, "0", "late");
    metric_set(make(metrics, SECONDS, NULL, NULL), 1.5);
    metric_set(make(metrics, BUILD, "0.1", NULL), 1);
    assert_text(metrics, "# HELP rows_total Rows.\n# TYPE rows_total counter\n"
                         "rows_total{pipeline=\"iot\",partition=\"0\",verdict=\"valid\"} 12\n"
                         "rows_total{pipeline=\"iot\",partition=\"0\",verdict=\"late\"} 0\n"
                         "# HELP cpu_seconds_total CPU.\n# TYPE cpu_seconds_total counter\n"
                         "cpu_seconds_total{pipeline=\"iot\"} 1.5\n"
                         "# HELP build_info Build.\n# TYPE build_info gauge\n"
                         "build_info{version=\"0.1\"} 1\n");
    metrics_free(metrics);
}

static void labels_and_help_are_escaped(void **state)
{
    (void)state;
    struct metrics *metrics = new_metrics();
    metric_set(make(metrics, SIZE, "a\"b\\c\nd", NULL), -INFINITY);
    metric_set(make(metrics, SIZE, "\xff.ndjson", NULL), NAN);
    assert_text(metrics, "# HELP size_bytes A \\\\ and\\na line.\n# TYPE size_bytes gauge\n"
                         "size_bytes{pipeline=\"iot\",name=\"a\\\"b\\\\c\\nd\"} -Inf\n"
                         "size_bytes{pipeline=\"iot\",name=\"?.ndjson\"} NaN\n");
    metrics_free(metrics);
}

static void a_member_is_found_again(void **state)
{
    (void)state;
    struct metrics *metrics = new_metrics();
    struct metric *valid = make(metrics, COUNT, "0", "valid");
    assert_ptr_equal(make(metrics, COUNT, "0", "valid"), valid);
    assert_ptr_not_equal(make(metrics, COUNT, "1", "valid"), valid);
    assert_ptr_equal(make(metrics, SIZE, "\xff", NULL), make(metrics, SIZE, "\xfe", NULL));
    metrics_free(metrics);
}

static void counters_never_go_back_and_gauges_hide(void **state)
{
    (void)state;
    struct metrics *metrics = new_metrics();
    struct metric *count = make(metrics, COUNT, "0", "valid");
    metric_set_count(count, 7);
    metric_set_count(count, 3);
    metric_add_count(count, 1);
    struct metric *size = make(metrics, SIZE, "x", NULL);
    metric_set(size, 5);
    metric_hide(size);
    assert_text(metrics, "# HELP rows_total Rows.\n# TYPE rows_total counter\n"
                         "rows_total{pipeline=\"iot\",partition=\"0\",verdict=\"valid\"} 8\n");
    metrics_free(metrics);
}

static void a_histogram_is_cumulative(void **state)
{
    (void)state;
    struct metrics *metrics = new_metrics();
    metrics_begin(metrics);
    struct metric *times = metrics_of(metrics, TIMES, "db", NULL, NULL);
    metric_observe(times, 0.001); /* the bound belongs to its bucket */
    metric_observe(times, 0.003);
    metric_observe(times, 60);
    metrics_end(metrics);
    struct buffer out = {0};
    metrics_write(metrics, &out);
    const char *text = buffer_string(&out);
    assert_non_null(
        strstr(text, "commit_seconds_bucket{pipeline=\"iot\",system=\"db\",le=\"0.001\"} 1\n"));
    assert_non_null(strstr(text, ",le=\"0.0025\"} 1\n"));
    assert_non_null(strstr(text, ",le=\"0.005\"} 2\n"));
    assert_non_null(strstr(text, ",le=\"10\"} 2\n"));
    assert_non_null(strstr(text, ",le=\"+Inf\"} 3\n"));
    assert_non_null(strstr(text, "commit_seconds_sum{pipeline=\"iot\",system=\"db\"} 60.004\n"));
    assert_non_null(strstr(text, "commit_seconds_count{pipeline=\"iot\",system=\"db\"} 3\n"));
    buffer_fini(&out);
    metrics_free(metrics);
}

/* --- two numbers that are set together are seen together --- */

#define ROUNDS 20000

struct pair {
    struct metrics *metrics;
    struct metric *a, *b;
};

static void set_both(void *context)
{
    struct pair *pair = context;
    for (uint64_t i = 1; i <= ROUNDS; i++) {
        metrics_begin(pair->metrics);
        metric_set_count(pair->a, i);
        metric_set_count(pair->b, i);
        metrics_end(pair->metrics);
    }
}

static void what_is_set_together_is_seen_together(void **state)
{
    (void)state;
    struct metrics *metrics = new_metrics();
    struct pair pair = {metrics, make(metrics, COUNT, "0", "a"), make(metrics, COUNT, "0", "b")};
    struct thread writer;
    thread_start(&writer, "writer", set_both, &pair);
    unsigned long long a = 0;
    while (a < ROUNDS) {
        struct buffer out = {0};
        metrics_write(metrics, &out);
        const char *text = strstr(buffer_string(&out), "verdict=\"a\"} ");
        assert_non_null(text);
        a = strtoull(text + strlen("verdict=\"a\"} "), NULL, 10);
        text = strstr(text, "verdict=\"b\"} ");
        assert_non_null(text);
        assert_int_equal(strtoull(text + strlen("verdict=\"b\"} "), NULL, 10), a);
        buffer_fini(&out);
    }
    thread_join(&writer);
    metrics_free(metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_text_format),
        cmocka_unit_test(labels_and_help_are_escaped),
        cmocka_unit_test(a_member_is_found_again),
        cmocka_unit_test(counters_never_go_back_and_gauges_hide),
        cmocka_unit_test(a_histogram_is_cumulative),
        cmocka_unit_test(what_is_set_together_is_seen_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
