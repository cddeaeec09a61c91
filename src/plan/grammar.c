/*
 * The pipeline file as a table. Keys that are kept free and not built stand here too, with what to
 * do instead, so that they are refused and never ignored.
 */
#include "plan/grammar.h"

#include <string.h>

#include "connector/registry.h"

static const char *const formats[] = {"json", "csv", NULL};
static const char *const decimals[] = {".", ",", NULL};
static const char *const repeated_keys[] = {"error", "last", NULL};
static const char *const severities[] = {"error", "warn", NULL};
static const char *const null_records[] = {"invalid", "delete", NULL};
static const char *const key_formats[] = {"text", "json", NULL};
static const char *const guarantees[] = {"exactly_once", "at_least_once", NULL};

static const struct grammar_field json_fields[] = {
    {.key = "repeated_key", .type = GRAMMAR_CHOICE, .choices = repeated_keys,
     .help = "a key that stands twice in an object: error (decode.syntax), or the last one counts"},
    {.key = "max_record", .type = GRAMMAR_SIZE,
     .help = "larger records are decode.too_large; 1MiB unless set"},
    {.key = "max_depth", .type = GRAMMAR_INT, .minimum = 1, .maximum = 1000,
     .help = "deeper nesting is decode.syntax; 128 unless set"},
    {0},
};

static const struct grammar_field csv_fields[] = {
    {.key = "header", .type = GRAMMAR_BOOL,
     .help = "the first row of each file names the columns; true unless names are given"},
    {.key = "names", .type = GRAMMAR_STRINGS,
     .help = "the columns, where there is no header, or in its place"},
    {.key = "delimiter", .type = GRAMMAR_STRING,
     .help = "what stands between cells: one character, or tab; ',' unless set"},
    {.key = "quote", .type = GRAMMAR_STRING,
     .help = "what stands around cells: one character, '' for none; '\"' unless set"},
    {.key = "decimal", .type = GRAMMAR_CHOICE, .choices = decimals,
     .help = "what stands before the fraction of a number; '.' unless set"},
    {.key = "nulls", .type = GRAMMAR_STRINGS,
     .help = "words that stand for null; in a text only without quotes"},
    {.key = "one_line", .type = GRAMMAR_BOOL,
     .help = "a row ends with its line, also within quotes: one stray quote spoils one row"},
    {.key = "max_record", .type = GRAMMAR_SIZE,
     .help = "larger rows are decode.too_large; 1MiB unless set"},
    {0},
};

static const struct grammar_field fill_fields[] = {
    {.key = "value", .type = GRAMMAR_ANY, .help = "a constant"},
    {.key = "last_by", .type = GRAMMAR_STRING,
     .help = "the field whose last record with a value gives it"},
    {.key = "max_age", .type = GRAMMAR_DURATION, .help = "how old that value may be"},
    {0},
};

static const struct grammar_field repair_fields[] = {
    {.key = "null_values", .type = GRAMMAR_ANY, .help = "values that stand for null"},
    {.key = "coerce", .type = GRAMMAR_STRINGS,
     .help = "fields whose text is taken as a number, true or false"},
    {.key = "fill", .type = GRAMMAR_MAP_OF, .fields = fill_fields,
     .help = "what absent fields get"},
    {0},
};

static const struct grammar_field event_time_fields[] = {
    {.key = "field", .type = GRAMMAR_STRING, .help = "the field that holds the time"},
    {.key = "fields", .type = GRAMMAR_STRINGS,
     .help = "several that hold it together, joined with a space between them: [date, time]"},
    {.key = "format", .type = GRAMMAR_STRINGS,
     .help = "rfc3339, epoch_s, epoch_ms, epoch_us, epoch_ns or a pattern like '%Y-%m-%d "
             "%H:%M:%S'; of a list the first that reads a time; rfc3339 unless set"},
    {.key = "zone", .type = GRAMMAR_STRING,
     .help = "whose time a pattern without %z is: UTC, '+01:00', or a place like Europe/Berlin"},
    {.key = "as", .type = GRAMMAR_STRING,
     .help = "the field under which the time goes out, as RFC 3339 in UTC"},
    {.key = "lateness", .type = GRAMMAR_DURATION,
     .help = "how far behind the greatest event time a record may be; 0 unless set"},
    {.key = "max_future", .type = GRAMMAR_DURATION,
     .help = "how far ahead of the broker's timestamp a record may be"},
    {.key = "max_jump", .type = GRAMMAR_DURATION,
     .help = "how far ahead of the greatest event time a record may be, where no broker sets "
             "timestamps"},
    {.key = "jump_by", .type = GRAMMAR_STRING,
     .help = "the field that tells senders apart for max_jump; the record's key unless set"},
    {0},
};

static const struct grammar_field check_fields[] = {
    {.key = "name", .type = GRAMMAR_NAME, .required = true, .help = "the reason is check.<name>"},
    {.key = "expect", .type = GRAMMAR_STRING, .required = true,
     .help = "an SQL expression that must hold; NULL passes"},
    {.key = "severity", .type = GRAMMAR_CHOICE, .choices = severities,
     .help = "error: INVALID; warn: delivered, and counted"},
    {0},
};

static const struct grammar_field dedup_fields[] = {
    {.key = "key", .type = GRAMMAR_STRINGS, .required = true,
     .help = "the field or fields that name a record"},
    {.key = "window", .type = GRAMMAR_DURATION_OR_UNLIMITED, .required = true,
     .help = "how long a key is remembered, in event time"},
    {0},
};

static const struct grammar_field transform_fields[] = {
    {.key = "where", .type = GRAMMAR_STRING,
     .help = "records for which it does not hold are FILTERED"},
    {.key = "set", .type = GRAMMAR_ANY, .help = "field: SQL expression"},
    {.key = "drop", .type = GRAMMAR_STRINGS, .help = "fields that do not go out"},
    {0},
};

static const struct grammar_field delivery_fields[] = {
    {.key = "guarantee", .type = GRAMMAR_CHOICE, .choices = guarantees,
     .help = "exactly_once: run refuses when it cannot be kept"},
    {.key = "commit_interval", .type = GRAMMAR_DURATION,
     .help = "the least time between commits; 100ms unless set"},
    {.key = "max_behind", .type = GRAMMAR_SIZE,
     .help = "how many bytes of rows wait for a slow system before the intake does; 10MiB unless "
             "set"},
    {.key = "atomic", .type = GRAMMAR_STRINGS,
     .help = "sinks of two systems whose rows become visible together: one in PostgreSQL, which "
             "prepares, and one in Kafka or a SQLite file, which decides"},
    {0},
};

static const struct grammar_field state_fields[] = {
    {.key = "memory", .type = GRAMMAR_SIZE,
     .help = "the most that remembered keys and values may take; 256MiB unless set"},
    {.key = "path", .type = GRAMMAR_STRING, .help = "the folder of snapshots"},
    {.key = "snapshot_interval", .type = GRAMMAR_DURATION, .help = "30s unless set"},
    {0},
};

static const char *const retry_ends[] = {"pause", "stop", NULL};

static const struct grammar_field retry_fields[] = {
    {.key = "initial", .type = GRAMMAR_DURATION,
     .help = "the pause before the second try; 50ms unless set"},
    {.key = "factor", .type = GRAMMAR_NUMBER,
     .help = "each pause is so many times the one before; 2 unless set"},
    {.key = "max", .type = GRAMMAR_DURATION,
     .help = "no pause is longer; 2s unless set, or initial where that is more"},
    {.key = "jitter", .type = GRAMMAR_PERCENT,
     .help = "pauses are longer or shorter by up to this share; 20% unless set"},
    {.key = "attempts", .type = GRAMMAR_INT, .minimum = 1, .maximum = 1000000,
     .help = "so many tries, then `then`; without it weir tries for ever"},
    {.key = "then", .type = GRAMMAR_CHOICE, .choices = retry_ends,
     .help = "pause: wait for a restart or POST /resume; stop: exit 3. pause unless set"},
    {0},
};

static const struct grammar_field http_fields[] = {
    {.key = "listen", .type = GRAMMAR_STRING, .required = true,
     .help = "IP address and port, such as 127.0.0.1:9600; port 0 is any free one"},
    {0},
};

#define NO_CONNECTOR \
    "this version reads and writes Kafka, local logs, files, SQLite, PostgreSQL and MySQL"

static const struct grammar_field later_connectors[] = {
    {.key = "delta", .type = GRAMMAR_ANY, .help = "Delta Lake",
     .unsupported = "use 'file: {path: …}' instead; " NO_CONNECTOR},
    {0},
};

static uint32_t count_fields(const struct grammar_field *fields)
{
    uint32_t count = 0;
    while (fields[count].key != NULL) {
        count++;
    }
    return count;
}

struct table {
    struct grammar_field *fields;
    uint32_t count;
};

static void table_add(struct arena *arena, struct table *table, struct grammar_field field)
{
    struct grammar_field *grown =
        arena_alloc_zero(arena, table->count + 2, sizeof *table->fields);
    if (table->count > 0) {
        memcpy(grown, table->fields, table->count * sizeof *grown);
    }
    grown[table->count++] = field;
    table->fields = grown;
}

static void table_add_all(struct arena *arena, struct table *table,
                          const struct grammar_field *fields)
{
    for (uint32_t i = 0; i < count_fields(fields); i++) {
        table_add(arena, table, fields[i]);
    }
}

/* The keys of a place of that kind: its own, and those of a connection, by name or in place. What of
 * these is required is asked when the two are joined. */
static const struct grammar_field *place_grammar(struct arena *arena, const char *kind,
                                                 const struct grammar_field *own)
{
    const struct connection_kind *connection = registry_connection(kind);
    struct table table = {0};
    if (connection == NULL) {
        return own;
    }
    table_add(arena, &table,
              (struct grammar_field){.key = "connection", .type = GRAMMAR_NAME,
                                     .help = "a connection of 'connections', by its name"});
    table_add_all(arena, &table, own);
    for (uint32_t i = 0; i < count_fields(connection->grammar); i++) {
        struct grammar_field field = connection->grammar[i];
        field.required = false;
        table_add(arena, &table, field);
    }
    return table.fields;
}

/* Kinds of modules that the file does not name, and that are not loaded: so that who misspells one is
 * told of it. */
static void add_module_kinds(struct arena *arena, struct table *table, bool sources_only)
{
    for (uint32_t i = 0; registry_module_kinds[i].kind != NULL; i++) {
        const struct module_kind *module = &registry_module_kinds[i];
        if (registry_sink(module->kind) == NULL && (module->is_source || !sources_only)) {
            table_add(arena, table,
                      (struct grammar_field){.key = module->kind, .type = GRAMMAR_MAP,
                                             .help = "the keys are those of its module"});
        }
    }
}

static const struct grammar_field *connection_grammar(struct arena *arena)
{
    struct table table = {0};
    for (uint32_t i = 0; registry_connections[i] != NULL; i++) {
        table_add(arena, &table,
                  (struct grammar_field){.key = registry_connections[i]->kind,
                                         .type = GRAMMAR_MAP,
                                         .fields = registry_connections[i]->grammar,
                                         .help = "how it is reached"});
    }
    add_module_kinds(arena, &table, false);
    return table.fields;
}

static const struct grammar_field *source_grammar(struct arena *arena)
{
    struct table table = {0};
    for (uint32_t i = 0; registry_sources[i] != NULL; i++) {
        table_add(arena, &table,
                  (struct grammar_field){.key = registry_sources[i]->kind,
                                         .type = GRAMMAR_MAP,
                                         .fields = place_grammar(arena,
                                                                 registry_sources[i]->kind,
                                                                 registry_sources[i]->grammar),
                                         .help = "where records come from"});
    }
    add_module_kinds(arena, &table, true);
    table_add_all(arena, &table, later_connectors);
    table_add(arena, &table,
              (struct grammar_field){.key = "format", .type = GRAMMAR_CHOICE, .choices = formats,
                                     .help = "what a record's value is"});
    table_add(arena, &table,
              (struct grammar_field){.key = "tombstones", .type = GRAMMAR_CHOICE,
                                     .choices = null_records,
                                     .help = "what a record without a value is: invalid "
                                             "(decode.null_value, unless set), or one that deletes "
                                             "the row of its key"});
    table_add(arena, &table,
              (struct grammar_field){.key = "key_format", .type = GRAMMAR_CHOICE,
                                     .choices = key_formats,
                                     .help = "where tombstones delete: what a record's key is: text "
                                             "(the value of the key column, unless set), or json, an "
                                             "object of the key columns"});
    table_add(arena, &table,
              (struct grammar_field){.key = "json", .type = GRAMMAR_MAP, .fields = json_fields,
                                     .help = "how JSON is read"});
    table_add(arena, &table,
              (struct grammar_field){.key = "csv", .type = GRAMMAR_MAP, .fields = csv_fields,
                                     .help = "how CSV is read"});
    return table.fields;
}

static void add_sink_kinds(struct arena *arena, struct table *table)
{
    for (uint32_t i = 0; registry_sinks[i] != NULL; i++) {
        table_add(arena, table,
                  (struct grammar_field){.key = registry_sinks[i]->ops->kind,
                                         .type = GRAMMAR_MAP,
                                         .fields = place_grammar(
                                             arena, registry_sinks[i]->ops->kind,
                                             registry_sinks[i]->ops->grammar),
                                         .help = "where rows go"});
    }
    add_module_kinds(arena, table, false);
    table_add_all(arena, table, later_connectors);
}

static const struct grammar_field batch_fields[] = {
    {.key = "interval", .type = GRAMMAR_DURATION,
     .help = "commit at least so far apart; delivery.commit_interval unless set"},
    {.key = "max_records", .type = GRAMMAR_INT, .minimum = 1, .maximum = 1000000000,
     .help = "commit earlier when so many rows wait for it"},
    {0},
};

static void add_batch(struct arena *arena, struct table *table)
{
    table_add(arena, table,
              (struct grammar_field){.key = "batch", .type = GRAMMAR_MAP, .fields = batch_fields,
                                     .help = "a pace of its own for the system of this place"});
}

static const struct grammar_field *sink_grammar(struct arena *arena)
{
    struct table table = {0};
    add_sink_kinds(arena, &table);
    table_add(arena, &table,
              (struct grammar_field){.key = "when", .type = GRAMMAR_STRING,
                                     .help = "only rows for which this SQL expression holds"});
    add_batch(arena, &table);
    return table.fields;
}

static const struct grammar_field *dlq_grammar(struct arena *arena)
{
    struct table table = {0};
    add_sink_kinds(arena, &table);
    table_add(arena, &table,
              (struct grammar_field){
                  .key = "include", .type = GRAMMAR_STRINGS,
                  .help = "of invalid, late, rejected, duplicate, filtered; the first three "
                          "unless set"});
    add_batch(arena, &table);
    return table.fields;
}

const struct grammar_field *plan_grammar(struct arena *arena)
{
    const struct grammar_field fixed[] = {
        {.key = "version", .type = GRAMMAR_INT, .required = true, .minimum = 1, .maximum = 1000,
         .help = "of the form of this file: 1"},
        {.key = "name", .type = GRAMMAR_NAME, .required = true,
         .help = "consumer group, prefix of ids, metric label"},
        {.key = "connections", .type = GRAMMAR_MAP_OF, .fields = connection_grammar(arena),
         .help = "how systems are reached, by name"},
        {.key = "source", .type = GRAMMAR_MAP, .required = true, .fields = source_grammar(arena),
         .help = "where records come from"},
        {.key = "schema", .type = GRAMMAR_ANY, .required = true,
         .help = "JSON Schema: a file, or in place"},
        {.key = "repair", .type = GRAMMAR_MAP, .fields = repair_fields,
         .help = "what is mended before the schema is asked"},
        {.key = "event_time", .type = GRAMMAR_MAP, .fields = event_time_fields,
         .help = "when records happened, and how late they may be"},
        {.key = "checks", .type = GRAMMAR_LIST_OF, .fields = check_fields,
         .help = "rules over several fields"},
        {.key = "dedup", .type = GRAMMAR_MAP, .fields = dedup_fields,
         .help = "records that came before"},
        {.key = "transform", .type = GRAMMAR_MAP, .fields = transform_fields,
         .help = "what goes out"},
        {.key = "sinks", .type = GRAMMAR_MAP_OF, .required = true, .fields = sink_grammar(arena),
         .help = "where valid rows go, by name"},
        {.key = "dlq", .type = GRAMMAR_MAP, .fields = dlq_grammar(arena),
         .help = "where dead letters go"},
        {.key = "monitors", .type = GRAMMAR_ANY, .help = "alerts",
         .unsupported = "leave it out: 'weir audit --json' has the counts"},
        {.key = "delivery", .type = GRAMMAR_MAP, .fields = delivery_fields,
         .help = "guarantee and pace"},
        {.key = "state", .type = GRAMMAR_MAP, .fields = state_fields,
         .help = "memory and snapshots of what is remembered"},
        {.key = "retry", .type = GRAMMAR_MAP, .fields = retry_fields,
         .help = "what to do when a system is away"},
        {.key = "http", .type = GRAMMAR_MAP, .fields = http_fields,
         .help = "metrics, health and a page over HTTP, without a password"},
        {.key = "contract", .type = GRAMMAR_ANY, .help = "Open Data Contract Standard",
         .unsupported = "leave it out: write schema and checks"},
        {0},
    };
    return memcpy(arena_alloc(arena, sizeof fixed), fixed, sizeof fixed);
}
