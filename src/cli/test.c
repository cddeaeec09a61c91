/* weir test: rows and what is expected of them. */
#include "cli/test.h"

#include <string.h>

#include "cli/verbs.h"
#include "codec/json.h"

/* --- for people --- */

static void print_difference(void *context, uint32_t row, const char *what, const char *expected,
                             const char *actual)
{
    const struct case_entry *entry = context;
    if (row == UINT32_MAX) {
        printf("  %s: expected %s, there are %s\n", what, expected, actual);
        return;
    }
    printf("  row %u (line %u) %s\n    - %s\n    + %s\n", row + 1, entry->inputs[row].node->line,
           what, expected, actual);
}

static void ignore_difference(void *context, uint32_t row, const char *what, const char *expected,
                              const char *actual)
{
    (void)context;
    (void)row;
    (void)what;
    (void)expected;
    (void)actual;
}

/* All rows of a case that differs: what would stand in the file. */
static void print_outcomes(const struct case_entry *entry)
{
    printf("  what is:\n");
    for (uint32_t row = 0; row < entry->row_count; row++) {
        struct buffer out = {0};
        test_write_outcome(&entry->outcomes[row], &out);
        printf("    - %s\n", buffer_string(&out));
        buffer_fini(&out);
    }
}

static uint32_t print_text(const struct cases *cases)
{
    uint32_t failed = 0;
    for (uint32_t i = 0; i < cases->count; i++) {
        struct case_entry *entry = &cases->entries[i];
        if (cases_compare(entry, ignore_difference, NULL) == 0) {
            printf("ok    %s\n", entry->name);
            continue;
        }
        printf("FAIL  %s\n", entry->name);
        (void)cases_compare(entry, print_difference, entry);
        print_outcomes(entry);
        failed++;
    }
    printf("%u passed, %u failed\n", cases->count - failed, failed);
    return failed;
}

/* --- for programs --- */

static void write_member(const char *name, const char *text, struct buffer *out)
{
    buffer_printf(out, ",\"%s\":", name);
    json_write_string(out, bytes_of_string(text));
}

static void write_names(const char *name, const char *const *names, uint32_t count,
                        struct buffer *out)
{
    buffer_printf(out, ",\"%s\":[", name);
    for (uint32_t i = 0; i < count; i++) {
        buffer_append_string(out, i == 0 ? "" : ",");
        json_write_string(out, bytes_of_string(names[i]));
    }
    buffer_append_byte(out, ']');
}

static void write_outcome(const struct case_outcome *outcome, struct buffer *out)
{
    buffer_printf(out, "{\"verdict\":\"%s\"", verdict_name(outcome->verdict));
    write_member("reason", outcome->reason, out);
    write_member("field", outcome->field, out);
    buffer_append_string(out, ",\"detail\":");
    json_write_string(out, bytes_is_none(outcome->detail) ? bytes_of_string("") : outcome->detail);
    buffer_append_string(out, ",\"output\":");
    if (bytes_is_none(outcome->output)) {
        buffer_append_string(out, "null");
    } else {
        buffer_append(out, outcome->output.data, outcome->output.size);
    }
    write_names("sinks", outcome->sinks, outcome->sink_count, out);
    write_names("warnings", outcome->warnings, outcome->warning_count, out);
    buffer_append_byte(out, '}');
}

static void write_difference(void *context, uint32_t row, const char *what, const char *expected,
                             const char *actual)
{
    struct buffer *out = context;
    buffer_append_string(out, out->data[out->size - 1] == '[' ? "{\"row\":" : ",{\"row\":");
    if (row == UINT32_MAX) {
        buffer_append_string(out, "null");
    } else {
        buffer_printf(out, "%u", row);
    }
    write_member("what", what, out);
    write_member("expected", expected, out);
    write_member("actual", actual, out);
    buffer_append_byte(out, '}');
}

static uint32_t print_json(const struct cases *cases)
{
    struct buffer out = {0};
    uint32_t failed = 0;
    buffer_append_string(&out, "{\"cases\":[");
    for (uint32_t i = 0; i < cases->count; i++) {
        const struct case_entry *entry = &cases->entries[i];
        buffer_append_string(&out, i == 0 ? "{\"name\":" : ",{\"name\":");
        json_write_string(&out, bytes_of_string(entry->name));
        buffer_append_string(&out, ",\"rows\":[");
        for (uint32_t row = 0; row < entry->row_count; row++) {
            buffer_append_string(&out, row == 0 ? "" : ",");
            write_outcome(&entry->outcomes[row], &out);
        }
        buffer_append_string(&out, "],\"differences\":[");
        bool is_passed = cases_compare(entry, write_difference, &out) == 0;
        buffer_printf(&out, "],\"passed\":%s}", is_passed ? "true" : "false");
        failed += !is_passed;
    }
    buffer_printf(&out, "],\"passed\":%u,\"failed\":%u}", cases->count - failed, failed);
    printf("%s\n", buffer_string(&out));
    buffer_fini(&out);
    return failed;
}

static enum status conclude(const char *path, const struct cases *cases,
                            const struct cli_arguments *arguments, struct error *err)
{
    if (cli_given(arguments, "update")) {
        enum status status = test_update(path, cases, err);
        if (status == STATUS_OK) {
            fprintf(stderr, "%s: the expectations of %u cases are what is now; look at them\n",
                    path, cases->count);
        }
        return status;
    }
    uint32_t failed = cli_given(arguments, "json") ? print_json(cases) : print_text(cases);
    return failed > 0 ? STATUS_DATA : STATUS_OK;
}

static enum status test(const struct cli_arguments *arguments, struct error *err)
{
    const char *path = arguments->positional[0];
    struct cases *cases = NULL;
    enum status status = cases_load(path, cli_environment, &cases, err);
    if (status == STATUS_OK) {
        status = cases_run(cases, err);
    }
    if (status == STATUS_OK) {
        status = conclude(path, cases, arguments, err);
    }
    cases_free(cases);
    return status;
}

static const struct cli_option options[] = {
    {"update", NULL, "write what is into the file, as what is expected"},
    {"json", NULL, "print outcomes and differences as JSON"},
    {0},
};

const struct cli_verb verb_test = {
    .name = "test",
    .arguments = "FILE [--update] [--json]",
    .summary = "cases for a pipeline: rows, and the verdicts and outputs expected",
    .details =
        "FILE names a pipeline file and lists cases, each with a name, input records, and what is\n"
        "expected of each: verdict, reason, field, detail, output, sinks, warnings; what is left\n"
        "out is not compared. Records are maps (JSON) or texts; 'header' is the first line of CSV.\n"
        "The stages judge them in memory, every case from the beginning.\n"
        "Nothing is opened or written. Exit status 1 when something differs. examples/iot.test.yaml\n"
        "is one to look at.",
    .options = options,
    .least = 1,
    .most = 1,
    .run = test,
};
