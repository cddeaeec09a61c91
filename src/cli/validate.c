/* weir validate: NDJSON against a JSON Schema, without a pipeline. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/lines.h"
#include "cli/output.h"
#include "codec/record_json.h"
#include "cli/verbs.h"
#include "codec/json.h"
#include "plan/schema_load.h"
#include "schema/validator.h"

enum { OUTPUT_BYTES = 64 * 1024 };

struct validation {
    struct arena *arena;
    struct validator *validator;
    struct judge *judge;
    struct json_checker *checker;
    struct reason_table reasons;
    struct lines *lines;
    struct output valid_rows;
    struct output rejects;
    bool keeps_rejects;
    struct buffer valid_text;  /* lines on their way out */
    struct buffer reject_text;
    struct buffer detail;
    struct buffer field;
    uint64_t line_count;
    uint64_t valid_count;
    uint64_t by_reason[REASON_FIXED_COUNT]; /* by the first complaint */
};

/* --- rejects --- */

static void write_string(struct buffer *out, const char *name, struct bytes text)
{
    buffer_append_byte(out, '"');
    buffer_append_string(out, name);
    buffer_append_string(out, "\":");
    json_write_string(out, text);
}

/* "reason":…,"field":…,"detail":… */
static void write_complaint(struct validation *v, const struct complaint *complaint)
{
    struct buffer *out = &v->reject_text;
    buffer_clear(&v->field);
    schema_steps_write(complaint->steps, complaint->step_count, &v->field);
    write_string(out, "reason",
                 bytes_of_string(reason_name(&v->reasons, (reason_id)complaint->reason)));
    buffer_append_byte(out, ',');
    if (complaint->step_count == 0) {
        buffer_append_string(out, "\"field\":null");
    } else {
        write_string(out, "field", bytes_of(buffer_string(&v->field), v->field.size));
    }
    buffer_append_byte(out, ',');
    write_string(out, "detail", complaint->detail);
}

/* One JSON object a line, with the names that a dead letter has. */
static void write_reject(struct validation *v, struct bytes line,
                         const struct complaints *complaints)
{
    struct buffer *out = &v->reject_text;
    buffer_append_byte(out, '{');
    write_complaint(v, &complaints->items[0]);
    buffer_append_string(out, ",\"violations\":[");
    for (uint32_t i = 0; i < complaints->count; i++) {
        buffer_append_string(out, i == 0 ? "{" : ",{");
        write_complaint(v, &complaints->items[i]);
        buffer_append_byte(out, '}');
    }
    buffer_printf(out, "],\"line\":%" PRIu64 ",", v->line_count);
    record_json_member(out, "value", line);
    buffer_append_string(out, "}\n");
}

/* --- lines --- */

static bool line_fits(struct validation *v, struct bytes line, struct complaints *out)
{
    enum reason reason;
    buffer_clear(&v->detail);
    if (json_checker_check(v->checker, line, &reason, &v->detail)) {
        return validator_fits(v->validator, v->judge, line, out);
    }
    out->items[0] = (struct complaint){
        .reason = reason, .detail = bytes_of(buffer_string(&v->detail), v->detail.size)};
    out->count = 1;
    return false;
}

static enum status flush(struct output *output, struct buffer *text, size_t least,
                         struct error *err)
{
    enum status status = STATUS_OK;
    if (text->size > least) {
        status = output_write(output, bytes_of(text->data, text->size), err);
        buffer_clear(text);
    }
    return status;
}

static enum status take_line(struct validation *v, struct bytes line, struct error *err)
{
    struct complaints complaints = {.count = 0};
    v->line_count++;
    if (line_fits(v, line, &complaints)) {
        v->valid_count++;
        buffer_append(&v->valid_text, line.data, line.size);
        buffer_append_byte(&v->valid_text, '\n');
    } else {
        v->by_reason[complaints.items[0].reason]++;
        if (v->keeps_rejects) {
            write_reject(v, line, &complaints);
        }
    }
    enum status status = flush(&v->valid_rows, &v->valid_text, OUTPUT_BYTES, err);
    return status == STATUS_OK ? flush(&v->rejects, &v->reject_text, OUTPUT_BYTES, err) : status;
}

/* A reader that has gone away wants no more rows; rejects and counts are still wanted. */
static enum status take_lines(struct validation *v, struct error *err)
{
    enum status status = STATUS_OK;
    bool at_end = false;
    while (status == STATUS_OK && !at_end) {
        struct bytes line;
        at_end = lines_at_end(v->lines);
        while (status == STATUS_OK && lines_next(v->lines, &line)) {
            status = take_line(v, line, err);
        }
        /* Before waiting for more: what is there is seen at once. */
        if (status == STATUS_OK && !lines_ready(v->lines, 0)) {
            status = flush(&v->valid_rows, &v->valid_text, 0, err);
            if (status == STATUS_OK) {
                status = output_flush(&v->valid_rows, err);
            }
        }
        if (status == STATUS_OK && !at_end) {
            status = lines_fill(v->lines, err);
        }
    }
    if (status == STATUS_OK) {
        status = flush(&v->valid_rows, &v->valid_text, 0, err);
    }
    return status == STATUS_OK ? flush(&v->rejects, &v->reject_text, 0, err) : status;
}

/* --- the summary --- */

static void print_json(const struct validation *v)
{
    fprintf(stderr, "{\"lines\":%" PRIu64 ",\"valid\":%" PRIu64 ",\"invalid\":%" PRIu64
                    ",\"reasons\":{",
            v->line_count, v->valid_count, v->line_count - v->valid_count);
    bool first = true;
    for (uint32_t i = 0; i < REASON_FIXED_COUNT; i++) {
        if (v->by_reason[i] > 0) {
            fprintf(stderr, "%s\"%s\":%" PRIu64, first ? "" : ",",
                    reason_name(&v->reasons, (reason_id)i), v->by_reason[i]);
            first = false;
        }
    }
    fprintf(stderr, "}}\n");
}

static void print_summary(const struct validation *v)
{
    struct cli_table table = {.columns = 2};
    char count[27];
    cli_table_cell(&table, "valid");
    cli_table_cell(&table, "%s", cli_count(v->valid_count, count));
    cli_table_cell(&table, "invalid");
    cli_table_cell(&table, "%s", cli_count(v->line_count - v->valid_count, count));
    for (uint32_t i = 0; i < REASON_FIXED_COUNT; i++) {
        if (v->by_reason[i] > 0) {
            cli_table_cell(&table, "  %s", reason_name(&v->reasons, (reason_id)i));
            cli_table_cell(&table, "%s", cli_count(v->by_reason[i], count));
        }
    }
    cli_table_print(&table, stderr);
}

/* --- the verb --- */

static enum status compile_schema(struct validation *v, const char *path, struct error *err)
{
    struct doc *document = NULL;
    struct schema_files files = {.count = 0};
    enum status status =
        schema_read_document(v->arena, path, cli_environment, &document, err);
    if (status == STATUS_OK) {
        status = schema_read_files(v->arena, document, schema_folder_of(v->arena, path),
                                   cli_environment, &files, err);
    }
    return status == STATUS_OK ? validator_compile(v->arena, document, &files, &v->validator, err)
                               : status;
}

static enum status open_places(struct validation *v, const struct cli_arguments *arguments,
                               struct error *err)
{
    const char *rejects = cli_value(arguments, "rejects");
    const char *input = arguments->count > 0 ? arguments->positional[0] : "-";
    if (rejects != NULL && strcmp(rejects, "-") == 0) {
        return error_set(err, STATUS_CONFIG, "use.value",
                         "the valid rows go to standard output: name a file for --rejects");
    }
    enum status status = lines_open(input, &v->lines, err);
    if (status == STATUS_OK) {
        status = output_open(&v->valid_rows, "-", err);
    }
    if (status == STATUS_OK && rejects != NULL) {
        v->keeps_rejects = true;
        status = output_open(&v->rejects, rejects, err);
    }
    return status;
}

static enum status check_all(struct validation *v, const struct cli_arguments *arguments,
                             struct error *err)
{
    enum status status = compile_schema(v, cli_value(arguments, "schema"), err);
    if (status == STATUS_OK) {
        status = open_places(v, arguments, err);
    }
    if (status == STATUS_OK) {
        status = take_lines(v, err);
    }
    if (status == STATUS_OK) {
        status = output_close(&v->rejects, err);
    }
    if (status == STATUS_OK) {
        status = output_close(&v->valid_rows, err);
    }
    return status;
}

static enum status validate(const struct cli_arguments *arguments, struct error *err)
{
    if (!cli_given(arguments, "schema")) {
        return error_set(err, STATUS_CONFIG, "use.arguments",
                         "validate needs a schema: weir validate --schema S [FILE]");
    }
    static const struct json_options json = {.max_record_bytes = LINES_LINE_MAX_BYTES};
    struct validation v = {.arena = arena_new(64 * 1024)};
    reason_table_init(&v.reasons);
    v.judge = schema_judge_new();
    v.checker = json_checker_new(&json);
    enum status status = check_all(&v, arguments, err);
    if (status == STATUS_OK && cli_given(arguments, "json")) {
        print_json(&v);
    } else if (status == STATUS_OK) {
        print_summary(&v);
    }
    lines_close(v.lines);
    struct error ignored = {0};
    (void)!output_close(&v.rejects, &ignored);
    (void)!output_close(&v.valid_rows, &ignored);
    buffer_fini(&v.valid_text);
    buffer_fini(&v.reject_text);
    buffer_fini(&v.detail);
    buffer_fini(&v.field);
    json_checker_free(v.checker);
    schema_judge_free(v.judge);
    reason_table_fini(&v.reasons);
    arena_free(v.arena);
    return status == STATUS_OK && v.valid_count < v.line_count ? STATUS_DATA : status;
}

static const struct cli_option options[] = {
    {"schema", "S", "the JSON Schema 2020-12, a JSON or YAML file", false},
    {"rejects", "FILE", "where rows that do not fit go, as JSON with reason, field, detail, line",
     false},
    {"json", NULL, "the counts as JSON", false},
    {0},
};

const struct cli_verb verb_validate = {
    .name = "validate",
    .arguments = "--schema S [FILE] [--rejects FILE]",
    .summary = "check lines of JSON against a JSON Schema, without a pipeline",
    .details =
        "Reads NDJSON from FILE, or from standard input. Lines that fit go to standard output as\n"
        "they are, counts to standard error. Exit status 1 when some line does not fit.\n"
        "\n"
        "This is JSON Schema 2020-12 to the letter: null is null, nothing is repaired, integers\n"
        "have any size, `format` asserts. A pipeline's `schema` reads nulls as absent where the\n"
        "type does not list null, and keeps numbers in columns.",
    .options = options,
    .least = 0,
    .most = 1,
    .run = validate,
};
