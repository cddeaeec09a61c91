/* The source's format: how records are told apart and read. */
#include <string.h>

#include "plan/plan_private.h"

/* As many columns as codec/csv.h takes. */
#define NAMES_MAX 4096u

static void read_json(struct plan_maker *maker, const struct doc *node)
{
    struct json_options *json = &maker->plan->stage.decoder.json;
    bool last = strcmp(grammar_string(node, "repeated_key", "error"), "last") == 0;
    json->repeated_key = last ? JSON_REPEATED_KEY_LAST : JSON_REPEATED_KEY_ERROR;
    json->max_record_bytes = grammar_size_bytes(node, "max_record", 0);
    json->max_depth = (uint32_t)grammar_int(node, "max_depth", 0);
}

/* A key whose value is one character of ASCII; `none` stands for the empty one. */
static enum status read_character(const struct doc *csv, const char *key, uint8_t otherwise,
                                  bool may_be_none, uint8_t *out, struct error *err)
{
    const struct doc *node = doc_get(csv, key);
    *out = otherwise;
    if (node == NULL) {
        return STATUS_OK;
    }
    if (strcmp(node->text, "tab") == 0) {
        *out = '\t';
        return STATUS_OK;
    }
    uint8_t byte = (uint8_t)node->text[0];
    bool is_none = node->text_size == 0 && may_be_none;
    if (!is_none && (node->text_size != 1 || byte >= 0x80 || byte == '\n' || byte == '\r' ||
                     byte == '\0')) {
        return doc_error(node, err, "config.value",
                         "csv.%s is one character of ASCII that is no line break%s, or the word "
                         "tab",
                         key, may_be_none ? ", '' for none" : "");
    }
    *out = is_none ? 0 : byte;
    return STATUS_OK;
}

static enum status read_characters(const struct doc *csv, struct csv_options *options,
                                   struct error *err)
{
    enum status status = read_character(csv, "delimiter", ',', false, &options->delimiter, err);
    if (status == STATUS_OK) {
        status = read_character(csv, "quote", '"', true, &options->quote, err);
    }
    if (status != STATUS_OK) {
        return status;
    }
    options->decimal = (uint8_t)grammar_string(csv, "decimal", ".")[0];
    if (options->delimiter == options->quote) {
        return doc_error(csv, err, "config.value", "csv.delimiter and csv.quote are one character");
    }
    if (options->delimiter == options->decimal) {
        return doc_error(csv, err, "config.value",
                         "csv.delimiter and csv.decimal are one character; where numbers have a "
                         "decimal comma, cells stand apart by another: \"delimiter: ';'\"");
    }
    return STATUS_OK;
}

static enum status read_names(struct plan_maker *maker, const struct doc *csv,
                              struct csv_options *options, struct error *err)
{
    const struct doc *node = doc_get(csv, "names");
    size_t count = 0;
    const char **names = grammar_strings(maker->arena, csv, "names", &count);
    if (names != NULL && (count == 0 || count > NAMES_MAX)) {
        return doc_error(node, err, "config.value", "csv.names names 1 to %u columns", NAMES_MAX);
    }
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < i; k++) {
            if (strcmp(names[i], names[k]) == 0) {
                return doc_error(node->kind == DOC_LIST ? node->items[i] : node, err,
                                 "config.value", "csv.names has the column '%s' twice", names[i]);
            }
        }
    }
    options->names = names;
    options->name_count = (uint32_t)count;
    options->has_header = grammar_bool(csv, "header", names == NULL);
    return STATUS_OK;
}

static enum status check_header(const struct plan_maker *maker, const struct doc *csv,
                                const struct csv_options *options, struct error *err)
{
    const struct doc *header = doc_get(csv, "header");
    const struct doc *place =
        header != NULL ? header : csv->line > 0 ? csv : doc_get(maker->pipeline, "source");
    if (options->has_header && !maker->plan->source_ops->offsets_are_bytes) {
        return doc_error(place, err, "config.value",
                         "the records of a %s source have no header: name the columns, 'csv: "
                         "{names: [a, b, …]}'",
                         maker->plan->source_ops->kind);
    }
    if (!options->has_header && options->names == NULL) {
        return doc_error(place, err, "config.missing_key",
                         "without a header nobody knows the columns: name them, 'csv: {header: "
                         "false, names: [a, b, …]}'");
    }
    return STATUS_OK;
}

static enum status read_csv(struct plan_maker *maker, const struct doc *csv, struct error *err)
{
    struct csv_options *options = &maker->plan->stage.decoder.csv;
    size_t null_count = 0;
    options->nulls = grammar_strings(maker->arena, csv, "nulls", &null_count);
    options->null_count = (uint32_t)null_count;
    options->one_line = grammar_bool(csv, "one_line", false);
    options->max_record_bytes = grammar_size_bytes(csv, "max_record", 0);
    enum status status = read_characters(csv, options, err);
    if (status == STATUS_OK) {
        status = read_names(maker, csv, options, err);
    }
    return status == STATUS_OK ? check_header(maker, csv, options, err) : status;
}

enum status plan_make_format(struct plan_maker *maker, struct error *err)
{
    static const struct doc empty = {.kind = DOC_MAP};
    const struct doc *source = doc_get(maker->pipeline, "source");
    bool is_csv = strcmp(grammar_string(source, "format", "json"), "csv") == 0;
    const char *other = is_csv ? "json" : "csv";
    const struct doc *stray = doc_get(source, other);
    if (stray != NULL) {
        return doc_error(stray, err, "config.value",
                         "'%s' says how records of that format are read, but the format is %s", other,
                         is_csv ? "csv" : "json");
    }
    maker->plan->stage.decoder.format = is_csv ? FORMAT_CSV : FORMAT_JSON;
    const struct doc *node = doc_get(source, is_csv ? "csv" : "json");
    node = node == NULL ? &empty : node;
    if (is_csv) {
        return read_csv(maker, node, err);
    }
    read_json(maker, node);
    return STATUS_OK;
}

const struct csv_options *plan_csv(const struct plan *plan)
{
    return plan->stage.decoder.format == FORMAT_CSV ? &plan->stage.decoder.csv : NULL;
}
