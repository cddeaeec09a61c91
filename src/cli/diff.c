/* weir diff: what a changed pipeline file would have decided differently. */
#include "inspect/diff.h"

#include <string.h>

#include "base/time.h"
#include "cli/bar.h"
#include "codec/record_json.h"
#include "cli/verbs.h"
#include "codec/json.h"

static enum status read_query(const struct cli_arguments *arguments, struct diff_query *query,
                              struct error *err)
{
    int64_t most = 0;
    const char *since = cli_value(arguments, "since");
    enum status status = cli_integer(arguments, "limit", 0, 100000, 3, &most, err);
    if (status == STATUS_OK) {
        status = cli_integer(arguments, "last", 1, INT64_MAX, 100000, &query->last, err);
    }
    query->most = (uint32_t)most;
    if (status != STATUS_OK || since == NULL) {
        return status;
    }
    if (cli_given(arguments, "last")) {
        return error_set(err, STATUS_CONFIG, "use.option", "--last and --since exclude each other");
    }
    query->last = 0;
    if (!time_parse_any_rfc3339(bytes_of_string(since), &query->since_us)) {
        return error_set(err, STATUS_CONFIG, "use.value",
                         "--since takes a time such as 2026-05-01T12:00:00Z, not '%s'", since);
    }
    return STATUS_OK;
}

/* --- for people --- */

static void print_verdicts(const struct diff_result *result)
{
    struct cli_table table = {.columns = 4};
    cli_table_cell(&table, "verdict");
    cli_table_cell(&table, "old");
    cli_table_cell(&table, "new");
    cli_table_cell(&table, "change");
    for (int i = VERDICT_VALID; i < VERDICT_COUNT; i++) {
        char text[27];
        uint64_t old = result->old_verdicts[i];
        uint64_t new = result->new_verdicts[i];
        cli_table_cell(&table, "%s", verdict_name((enum verdict)i));
        cli_table_cell(&table, "%s", cli_count(old, text));
        cli_table_cell(&table, "%s", cli_count(new, text));
        cli_table_cell(&table, "%s%s", new > old ? "+" : new < old ? "-" : "",
                       cli_count(new > old ? new - old : old - new, text));
    }
    cli_table_print(&table, stdout);
}

static void print_kinds(const struct diff_result *result)
{
    struct cli_table table = {.columns = 4};
    cli_table_cell(&table, "from");
    cli_table_cell(&table, "to");
    cli_table_cell(&table, "what");
    cli_table_cell(&table, "records");
    for (uint32_t i = 0; i < result->kind_count; i++) {
        const struct diff_kind *kind = &result->kinds[i];
        char text[27];
        cli_table_cell(&table, "%s", kind->from);
        cli_table_cell(&table, "%s", kind->to);
        cli_table_cell(&table, "%s", kind->what);
        cli_table_cell(&table, "%s", cli_count(kind->count, text));
    }
    cli_table_print(&table, stdout);
}

static void print_examples(const struct diff_result *result)
{
    for (uint32_t i = 0; i < result->kind_count; i++) {
        const struct diff_kind *kind = &result->kinds[i];
        if (kind->example_count > 0) {
            printf("\n%s → %s, %s:\n", kind->from, kind->to, kind->what);
        }
        for (uint32_t k = 0; k < kind->example_count; k++) {
            const struct diff_example *example = &kind->examples[k];
            printf("  %s[%s]@%lld%s%s\n    old  %s\n    new  %s\n", example->topic,
                   example->partition, (long long)example->offset,
                   example->key[0] == '\0' ? "" : "  ", example->key, example->old_text,
                   example->new_text);
        }
    }
}

static void print_text(const struct diff_result *result)
{
    char records[27];
    char differing[27];
    char warm_up[27];
    if (result->records > 0) {
        print_verdicts(result);
    }
    if (result->kind_count > 0) {
        printf("\n");
        print_kinds(result);
        print_examples(result);
        printf("\n");
    }
    printf("%s of %s records differ; %s more were read to warm up\n",
           cli_count(result->differing, differing), cli_count(result->records, records),
           cli_count(result->warm_up, warm_up));
    for (uint32_t i = 0; i < result->note_count; i++) {
        fprintf(stderr, "%s\n", result->notes[i]);
    }
}

/* --- for programs --- */

static void member(struct buffer *out, const char *before, const char *name, const char *text)
{
    buffer_append_string(out, before);
    record_json_member(out, name, bytes_of_string(text));
}

static void write_verdicts(struct buffer *out, const char *name, const uint64_t *counts)
{
    buffer_printf(out, ",\"%s\":{", name);
    for (int i = VERDICT_VALID; i < VERDICT_COUNT; i++) {
        buffer_printf(out, "%s\"%s\":%llu", i == VERDICT_VALID ? "" : ",",
                      verdict_name((enum verdict)i), (unsigned long long)counts[i]);
    }
    buffer_append_byte(out, '}');
}

static void write_kind(struct buffer *out, const struct diff_kind *kind)
{
    member(out, "{", "from", kind->from);
    member(out, ",", "to", kind->to);
    member(out, ",", "what", kind->what);
    buffer_printf(out, ",\"records\":%llu,\"examples\":[", (unsigned long long)kind->count);
    for (uint32_t i = 0; i < kind->example_count; i++) {
        const struct diff_example *example = &kind->examples[i];
        member(out, i == 0 ? "{" : ",{", "topic", example->topic);
        member(out, ",", "partition", example->partition);
        buffer_printf(out, ",\"offset\":%lld", (long long)example->offset);
        member(out, ",", "key", example->key);
        member(out, ",", "old", example->old_text);
        member(out, ",", "new", example->new_text);
        buffer_append_byte(out, '}');
    }
    buffer_append_string(out, "]}");
}

static void print_json(const struct diff_result *result)
{
    struct buffer out = {0};
    buffer_printf(&out, "{\"records\":%llu,\"differing\":%llu,\"warm_up\":%llu",
                  (unsigned long long)result->records, (unsigned long long)result->differing,
                  (unsigned long long)result->warm_up);
    write_verdicts(&out, "old", result->old_verdicts);
    write_verdicts(&out, "new", result->new_verdicts);
    buffer_append_string(&out, ",\"kinds\":[");
    for (uint32_t i = 0; i < result->kind_count; i++) {
        buffer_append_string(&out, i == 0 ? "" : ",");
        write_kind(&out, &result->kinds[i]);
    }
    buffer_append_string(&out, "],\"notes\":[");
    for (uint32_t i = 0; i < result->note_count; i++) {
        buffer_append_string(&out, i == 0 ? "" : ",");
        json_write_string(&out, bytes_of_string(result->notes[i]));
    }
    printf("%s]}\n", buffer_string(&out));
    buffer_fini(&out);
}

static enum status diff(const struct cli_arguments *arguments, struct error *err)
{
    struct plan *plans[2] = {NULL, NULL};
    struct diff_query query = {0};
    struct diff_result result = {0};
    struct bar bar;
    bar_init(&bar);
    struct run_observer observer = {.context = &bar, .progress = bar_observe};
    enum status status = read_query(arguments, &query, err);
    for (uint32_t i = 0; i < 2 && status == STATUS_OK; i++) {
        status = plan_load(arguments->positional[i], cli_environment, &plans[i], err);
    }
    if (status == STATUS_OK) {
        status = diff_plans(plans[0], plans[1], &query, &observer, &result, err);
        bar_clear(&bar);
    }
    if (status == STATUS_OK) {
        (cli_given(arguments, "json") ? print_json : print_text)(&result);
        status = result.differing > 0 ? STATUS_DATA : STATUS_OK;
    }
    diff_result_fini(&result);
    plan_free(plans[0]);
    plan_free(plans[1]);
    return status;
}

static const struct cli_option options[] = {
    {"last", "N", "compare the last N records of each partition; 100,000 unless set"},
    {"since", "TIME", "compare records that arrived at that time or later"},
    {"limit", "N", "show so many examples of each kind; 3 unless set"},
    {"json", NULL, "print it as one JSON object"},
    {0},
};

const struct cli_verb verb_diff = {
    .name = "diff",
    .arguments = "OLD.yaml NEW.yaml [--last N | --since TIME] [--limit N] [--json]",
    .summary = "what a changed pipeline file would have decided differently",
    .details =
        "Judges the recent log twice, under the old file and under the new one, and counts which\n"
        "records would get another verdict or another reason, would go to other sinks, or would\n"
        "arrive there with other content. Examples show the record's place and key, and both\n"
        "reasons or both values.\n"
        "\n"
        "What the files remember (event time, duplicates, last values) is warmed up before the\n"
        "records that are compared: from so far back that event time has moved on by more than\n"
        "the longer horizon, or from the beginning of the log. A record from before that whose\n"
        "event time is still ahead of all others is not known to either.\n"
        "\n"
        "Only the source is read; nothing is written, and a running pipeline is not disturbed.\n"
        "Exit status 0 when nothing differs, 1 when something does.",
    .options = options,
    .least = 2,
    .most = 2,
    .run = diff,
};
