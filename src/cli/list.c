/* weir list: what this program knows, printed from its own tables. */
#include <stdlib.h>
#include <string.h>

#include "batch/reason.h"
#include "cli/verbs.h"
#include "codec/json.h"
#include "connector/registry.h"
#include "plan/grammar.h"
#include "run/telemetry_metrics.h"
#include "sql/sql_functions.h"
#include "stage/stage.h"

#define COLUMNS_MAX 4

/* What is listed: rows of texts under headings; printed as a table, or as JSON objects with the
 * headings as names. */
struct listing {
    const char *headings[COLUMNS_MAX];
    uint32_t columns;
    struct buffer cells; /* NUL-terminated texts */
    uint32_t row_count;
};

static void add_row(struct listing *listing, const char *const *cells)
{
    for (uint32_t i = 0; i < listing->columns; i++) {
        buffer_append(&listing->cells, cells[i], strlen(cells[i]) + 1);
    }
    listing->row_count++;
}

static void print_table(const struct listing *listing)
{
    struct cli_table table = {.columns = listing->columns};
    for (uint32_t i = 0; i < listing->columns; i++) {
        cli_table_cell(&table, "%s", listing->headings[i]);
    }
    const char *cell = (const char *)listing->cells.data;
    for (uint32_t i = 0; i < listing->row_count * listing->columns; i++) {
        cli_table_cell(&table, "%s", cell);
        cell += strlen(cell) + 1;
    }
    cli_table_print(&table, stdout);
}

static void print_json(const struct listing *listing)
{
    struct buffer out = {0};
    buffer_append_byte(&out, '[');
    const char *cell = (const char *)listing->cells.data;
    for (uint32_t row = 0; row < listing->row_count; row++) {
        for (uint32_t i = 0; i < listing->columns; i++) {
            buffer_append_string(&out, i > 0 ? "," : row > 0 ? ",\n{" : "{");
            json_write_string(&out, bytes_of_string(listing->headings[i]));
            buffer_append_byte(&out, ':');
            json_write_string(&out, bytes_of_string(cell));
            cell += strlen(cell) + 1;
        }
        buffer_append_byte(&out, '}');
    }
    printf("%s]\n", buffer_string(&out));
    buffer_fini(&out);
}

/* --- connectors --- */

/* What the modules bring belongs to the tables; one that is not installed is left out. */
static void load_modules(void)
{
    for (uint32_t i = 0; registry_module_kinds[i].kind != NULL; i++) {
        struct error missing = {0};
        if (registry_require(registry_module_kinds[i].kind, &missing) != STATUS_OK) {
            fprintf(stderr, "%s is left out: %s\n", registry_module_kinds[i].kind, missing.message);
        }
    }
}

static void write_keys(const struct grammar_field *fields, struct buffer *out)
{
    for (bool is_first = true; fields->key != NULL; fields++) {
        if (fields->unsupported == NULL) {
            buffer_printf(out, "%s%s%s", is_first ? "" : ", ", fields->key,
                          fields->required ? "*" : "");
            is_first = false;
        }
    }
}

static const char *source_notes(const struct source_ops *source)
{
    if (!source->can_replay) {
        return "cannot be read again: at_least_once only";
    }
    return source->timestamp_kind == TIMESTAMP_NONE ? "no timestamps: max_jump guards event times"
                                                    : "";
}

static void list_connectors(struct listing *listing)
{
    load_modules();
    for (uint32_t i = 0; registry_sources[i] != NULL; i++) {
        struct buffer keys = {0};
        write_keys(registry_sources[i]->grammar, &keys);
        add_row(listing, (const char *[COLUMNS_MAX]){registry_sources[i]->kind, "source",
                                                     buffer_string(&keys),
                                                     source_notes(registry_sources[i])});
        buffer_fini(&keys);
    }
    for (uint32_t i = 0; registry_sinks[i] != NULL; i++) {
        const struct sink_ops *ops = registry_sinks[i]->ops;
        struct buffer keys = {0};
        write_keys(ops->grammar, &keys);
        add_row(listing, (const char *[COLUMNS_MAX]){ops->kind, "sink, dlq", buffer_string(&keys),
                                                     ops->can_reject ? "may refuse rows" : ""});
        buffer_fini(&keys);
    }
}

/* --- the pipeline file --- */

/* A list of maps is "checks[]", a map of maps "sinks.NAME". */
static void list_fields(struct listing *listing, const char *prefix,
                        const struct grammar_field *fields)
{
    for (; fields->key != NULL; fields++) {
        if (fields->unsupported != NULL) {
            continue;
        }
        struct buffer path = {0};
        struct buffer type = {0};
        buffer_printf(&path, "%s%s", prefix, fields->key);
        buffer_append_string(&type, grammar_type_name(fields->type));
        for (uint32_t i = 0; fields->choices != NULL && fields->choices[i] != NULL; i++) {
            buffer_printf(&type, "%s%s", i == 0 ? ": " : ", ", fields->choices[i]);
        }
        add_row(listing, (const char *[COLUMNS_MAX]){buffer_string(&path), buffer_string(&type),
                                                     fields->required ? "required" : "",
                                                     fields->help == NULL ? "" : fields->help});
        if (fields->fields != NULL) {
            buffer_append_string(&path, fields->type == GRAMMAR_LIST_OF  ? "[]."
                                        : fields->type == GRAMMAR_MAP_OF ? ".NAME."
                                                                         : ".");
            list_fields(listing, buffer_string(&path), fields->fields);
        }
        buffer_fini(&path);
        buffer_fini(&type);
    }
}

static void list_keys(struct listing *listing)
{
    load_modules();
    struct arena *arena = arena_new(16 * 1024);
    list_fields(listing, "", plan_grammar(arena));
    arena_free(arena);
}

static void list_formats(struct listing *listing)
{
    struct arena *arena = arena_new(16 * 1024);
    const struct grammar_field *source = grammar_find(plan_grammar(arena), "source")->fields;
    const struct grammar_field *format = grammar_find(source, "format");
    for (uint32_t i = 0; format->choices[i] != NULL; i++) {
        const struct grammar_field *options = grammar_find(source, format->choices[i]);
        struct buffer keys = {0};
        if (options != NULL && options->fields != NULL) {
            write_keys(options->fields, &keys);
        }
        add_row(listing, (const char *[COLUMNS_MAX]){format->choices[i], buffer_string(&keys)});
        buffer_fini(&keys);
    }
    arena_free(arena);
}

/* --- what is fixed --- */

static void list_stages(struct listing *listing)
{
    for (uint32_t i = 0; stage_list(i) != NULL; i++) {
        add_row(listing, (const char *[COLUMNS_MAX]){stage_list(i)->name, stage_list(i)->key,
                                                     stage_list(i)->what});
    }
}

static void list_reasons(struct listing *listing)
{
    for (uint32_t i = 0; reason_list(i) != NULL; i++) {
        add_row(listing, (const char *[COLUMNS_MAX]){reason_list(i)->name, reason_list(i)->verdict,
                                                     reason_list(i)->meaning});
    }
}

static void list_functions(struct listing *listing)
{
    static const char *const returns[] = {
        [SQL_RETURNS_UNKNOWN] = "any type",
        [SQL_RETURNS_NUMBER] = "a number",
        [SQL_RETURNS_TEXT] = "a text",
        [SQL_RETURNS_BLOB] = "a blob",
        [SQL_RETURNS_ARGUMENTS] = "one of its arguments",
        [SQL_RETURNS_CHOICE] = "one of its results",
        [SQL_RETURNS_FIRST] = "its first argument",
    };
    for (unsigned i = 0; sql_functions_list(i) != NULL; i++) {
        add_row(listing, (const char *[COLUMNS_MAX]){sql_functions_list(i)->name,
                                                     returns[sql_functions_list(i)->returns]});
    }
}

static void list_metrics(struct listing *listing)
{
    static const char *const kinds[] = {
        [METRIC_COUNTER] = "counter",
        [METRIC_REAL_COUNTER] = "counter",
        [METRIC_GAUGE] = "gauge",
        [METRIC_HISTOGRAM] = "histogram",
    };
    for (uint32_t i = 0; i < TELEMETRY_METRIC_COUNT; i++) {
        const struct metric_definition *metric = &telemetry_metrics[i];
        struct buffer labels = {0};
        buffer_append_string(&labels, metric->is_process ? "" : "pipeline");
        for (uint32_t l = 0; l < METRIC_LABELS_MAX && metric->labels[l] != NULL; l++) {
            buffer_printf(&labels, "%s%s", labels.size == 0 ? "" : ", ", metric->labels[l]);
        }
        add_row(listing, (const char *[COLUMNS_MAX]){metric->name, kinds[metric->kind],
                                                     buffer_string(&labels), metric->help});
        buffer_fini(&labels);
    }
}

static const struct topic {
    const char *name;
    uint32_t columns;
    const char *headings[COLUMNS_MAX];
    void (*fill)(struct listing *listing);
} topics[] = {
    {"connectors", 4, {"kind", "as", "keys", "notes"}, list_connectors},
    {"stages", 3, {"stage", "key", "what"}, list_stages},
    {"reasons", 3, {"reason", "verdict", "meaning"}, list_reasons},
    {"formats", 2, {"format", "keys"}, list_formats},
    {"functions", 2, {"function", "returns"}, list_functions},
    {"keys", 4, {"key", "type", "required", "what"}, list_keys},
    {"metrics", 4, {"metric", "kind", "labels", "what"}, list_metrics},
};
enum { TOPIC_COUNT = sizeof topics / sizeof topics[0] };

/* --- the schema for editors --- */

static void print_json_schema(void)
{
    load_modules();
    struct arena *arena = arena_new(16 * 1024);
    struct buffer out = {0};
    grammar_write_json_schema(plan_grammar(arena), "A pipeline file of weir", &out);
    printf("%s\n", buffer_string(&out));
    buffer_fini(&out);
    arena_free(arena);
}

static enum status unknown_topic(const char *name, struct error *err)
{
    const char *names[TOPIC_COUNT + 1];
    for (uint32_t i = 0; i < TOPIC_COUNT; i++) {
        names[i] = topics[i].name;
    }
    names[TOPIC_COUNT] = "jsonschema";
    const char *nearest = string_nearest(name, names, TOPIC_COUNT + 1);
    return error_set(err, STATUS_CONFIG, "use.arguments",
                     "there is no list of '%s'%s%s%s; there are connectors, stages, reasons, "
                     "formats, functions, keys, metrics and jsonschema",
                     name, nearest == NULL ? "" : "; did you mean '",
                     nearest == NULL ? "" : nearest, nearest == NULL ? "" : "'?");
}

static void print_topic(const struct topic *topic, bool as_json)
{
    struct listing listing = {.columns = topic->columns};
    memcpy(listing.headings, topic->headings, sizeof listing.headings);
    topic->fill(&listing);
    if (as_json) {
        print_json(&listing);
    } else {
        print_table(&listing);
    }
    buffer_fini(&listing.cells);
}

static void print_all(bool as_json)
{
    for (uint32_t i = 0; i < TOPIC_COUNT; i++) {
        if (as_json) {
            printf("%s\"%s\":", i == 0 ? "{" : ",", topics[i].name);
        } else {
            printf("%s%s\n\n", i == 0 ? "" : "\n", topics[i].name);
        }
        print_topic(&topics[i], as_json);
    }
    printf("%s", as_json ? "}\n" : "");
}

enum form { FORM_TABLE, FORM_JSON, FORM_JSON_SCHEMA };

static enum status read_form(const struct cli_arguments *arguments, enum form *out,
                             struct error *err)
{
    const char *format = cli_value(arguments, "format");
    const char *name = arguments->count == 0 ? "" : arguments->positional[0];
    *out = cli_given(arguments, "json") ? FORM_JSON : FORM_TABLE;
    if (strcmp(name, "jsonschema") == 0 ||
        (format != NULL && strcmp(format, "jsonschema") == 0)) {
        *out = FORM_JSON_SCHEMA;
    } else if (format != NULL && strcmp(format, "json") == 0) {
        *out = FORM_JSON;
    } else if (format != NULL && strcmp(format, "table") != 0) {
        return error_set(err, STATUS_CONFIG, "use.value",
                         "--format is table, json or jsonschema, not '%s'", format);
    }
    return STATUS_OK;
}

static enum status list(const struct cli_arguments *arguments, struct error *err)
{
    enum form form;
    enum status status = read_form(arguments, &form, err);
    if (status != STATUS_OK) {
        return status;
    }
    if (form == FORM_JSON_SCHEMA) {
        print_json_schema();
        return STATUS_OK;
    }
    if (arguments->count == 0) {
        print_all(form == FORM_JSON);
        return STATUS_OK;
    }
    for (uint32_t i = 0; i < TOPIC_COUNT; i++) {
        if (strcmp(arguments->positional[0], topics[i].name) == 0) {
            print_topic(&topics[i], form == FORM_JSON);
            return STATUS_OK;
        }
    }
    return unknown_topic(arguments->positional[0], err);
}

static const struct cli_option options[] = {
    {"json", NULL, "print it as JSON"},
    {"format", "FORMAT", "table, json, or jsonschema: the pipeline file for editors"},
    {0},
};

const struct cli_verb verb_list = {
    .name = "list",
    .arguments = "[connectors|stages|reasons|formats|functions|keys|metrics|jsonschema] [--json]",
    .summary = "what this weir knows: connectors, keys, reasons, functions, metrics …",
    .details =
        "Printed from the tables that the program itself works with; all of them when none is\n"
        "named. 'keys' is the whole pipeline file; a key with * is required. 'jsonschema' is a JSON\n"
        "Schema of it for editors:\n"
        "  weir list jsonschema > weir.schema.json\n"
        "and in the first line of a pipeline file\n"
        "  # yaml-language-server: $schema=weir.schema.json",
    .options = options,
    .least = 0,
    .most = 1,
    .run = list,
};
