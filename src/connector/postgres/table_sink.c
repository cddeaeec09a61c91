/* A table of a database as a sink and as a dead-letter place: configuration, and what stands in the
 * table, for audit. */
#include <stdlib.h>
#include <string.h>

#include "connector/postgres/table.h"
#include "connector/table/value.h"

static const char *const create_words[] = {"if_missing", "never", NULL};
static const char *const evolve_words[] = {"refuse", "add_columns", NULL};

static const struct grammar_field table_fields[] = {
    {.key = "table", .type = GRAMMAR_STRING, .required = true,
     .help = "the table, or schema.table; made when it is not there"},
    {.key = "mode", .type = GRAMMAR_CHOICE, .choices = table_keys_modes,
     .help = "append unless set"},
    {.key = "key", .type = GRAMMAR_STRINGS, .help = "upsert: the columns that name a row"},
    {.key = "newest_by", .type = GRAMMAR_STRING,
     .help = "upsert: the column whose greater value wins"},
    {.key = "create", .type = GRAMMAR_CHOICE, .choices = create_words,
     .help = "if_missing unless set: whether the table is made when it is not there"},
    {.key = "evolve", .type = GRAMMAR_CHOICE, .choices = evolve_words,
     .help = "refuse unless set: what is done about a column that the table does not have"},
    {.key = "types", .type = GRAMMAR_ANY,
     .help = "column: type, for columns that weir makes; the schema decides unless set"},
    {0},
};

/* --- columns --- */

static enum content content_of(const struct output_column *column)
{
    switch (column->type) {
    case COLUMN_BOOL:
        return CONTENT_BOOL;
    case COLUMN_INT64:
        return CONTENT_INTEGER;
    case COLUMN_DOUBLE:
        return CONTENT_NUMBER;
    case COLUMN_TEXT:
        return column->is_time ? CONTENT_TIME : CONTENT_TEXT;
    case COLUMN_JSON:
    case COLUMN_OBJECT:
        break;
    }
    /* What an expression gives is a text unless it is known to be a number. */
    return column->is_number ? CONTENT_NUMBER
                             : (column->field == FIELD_NONE ? CONTENT_TEXT : CONTENT_JSON);
}

static const char *declared_of(enum content content)
{
    switch (content) {
    case CONTENT_BOOL:
        return "boolean";
    case CONTENT_INTEGER:
        return "bigint";
    case CONTENT_NUMBER:
        return "double precision";
    case CONTENT_TEXT:
        return "text";
    case CONTENT_TIME:
        return "timestamp with time zone";
    case CONTENT_JSON:
        return "json";
    }
    check(false);
}

/* The timestamp of a dead letter stays a text: it says what stood there. */
static enum content content_of_letter(uint32_t column)
{
    return table_letter_columns[column].type == LETTER_INTEGER ? CONTENT_INTEGER : CONTENT_TEXT;
}

static void take_columns(struct postgres_table *t, const struct output_shape *shape)
{
    bool is_dlq = t->base.sink.is_dlq;
    t->columns = arena_alloc_zero(t->base.arena, t->base.column_count + 1, sizeof *t->columns);
    for (uint32_t i = 0; i < t->base.column_count; i++) {
        enum content content =
            is_dlq ? content_of_letter(i) : content_of(&shape->columns[i]);
        t->columns[i] = (struct postgres_column){
            .quoted = postgres_quote(t->base.arena, t->base.names[i]),
            .declared = declared_of(content),
            .required = is_dlq ? table_letter_columns[i].required : shape->columns[i].required,
            .content = content,
        };
    }
}

/* A type goes into CREATE TABLE as it is written: letters, digits, brackets, commas and spaces make
 * no second statement. */
static bool is_type(const char *text)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  "_ (),.";
    return text[0] != '\0' && text[strspn(text, letters)] == '\0';
}

static enum status take_types(struct postgres_table *t, const struct doc *types,
                              struct error *err)
{
    if (types == NULL) {
        return STATUS_OK;
    }
    if (types->kind != DOC_MAP) {
        return doc_error(types, err, "config.type", "types is a map of column: type");
    }
    for (size_t i = 0; i < types->count; i++) {
        const char *nearest =
            string_nearest(types->keys[i]->text, (const char **)(uintptr_t)t->base.names,
                           t->base.column_count);
        uint32_t column = 0;
        while (column < t->base.column_count &&
               strcmp(t->base.names[column], types->keys[i]->text) != 0) {
            column++;
        }
        if (column == t->base.column_count) {
            return doc_error(types->keys[i], err, "config.unknown_field",
                             "the rows of this table have no column '%s'%s%s%s",
                             types->keys[i]->text, nearest == NULL ? "" : "; did you mean '",
                             nearest == NULL ? "" : nearest, nearest == NULL ? "" : "'?");
        }
        if (types->items[i]->kind != DOC_STRING || !is_type(types->items[i]->text)) {
            return doc_error(types->items[i], err, "config.value",
                             "a type is written like numeric(10,2) or varchar(40)");
        }
        t->columns[column].declared =
            arena_copy_string(t->base.arena, types->items[i]->text);
    }
    return STATUS_OK;
}

/* --- audit --- */

static enum status is_there(struct sink *sink, bool *out_there, struct error *err)
{
    return postgres_table_find(postgres_table(sink), out_there, err);
}

static enum status is_empty(struct sink *sink, bool *out_empty, struct error *err)
{
    struct postgres_table *t = postgres_table(sink);
    bool exists = false;
    *out_empty = true;
    enum status status = is_there(sink, &exists, err);
    if (status != STATUS_OK || !exists) {
        return status;
    }
    struct buffer sql = {0};
    buffer_printf(&sql, "SELECT 1 FROM %s LIMIT 1", t->quoted);
    PGresult *result = NULL;
    status = postgres_ask(postgres_system(sink->system), buffer_string(&sql), NULL, false,
                          "look into a table of", &result, err);
    if (status == STATUS_OK) {
        *out_empty = PQntuples(result) == 0;
        PQclear(result);
    }
    buffer_fini(&sql);
    return status;
}

/* Columns in the form that a row's hash is over: times as table_value() makes them. */
static void write_selection(const struct postgres_table *t, struct buffer *sql)
{
    for (uint32_t i = 0; i < t->base.column_count; i++) {
        const struct postgres_column *column = &t->columns[i];
        buffer_append_string(sql, i == 0 ? "" : ", ");
        if (column->storage == STORAGE_TIME) {
            buffer_printf(sql, "to_char(%s, 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')", column->quoted);
        } else if (column->storage == STORAGE_BOOL) {
            buffer_printf(sql, "%s::integer", column->quoted);
        } else {
            buffer_append_string(sql, column->quoted);
        }
    }
}

static struct value number_of(const char *text)
{
    char *end = NULL;
    if (strpbrk(text, ".eEIN") == NULL) {
        return (struct value){.type = VALUE_INT64, .integer = strtoll(text, &end, 10)};
    }
    return (struct value){.type = VALUE_DOUBLE, .real = strtod(text, &end)};
}

static struct value stored_value(const struct postgres_column *column, const PGresult *result,
                                 int index)
{
    struct bytes text = postgres_bytes(result, 0, index);
    if (bytes_is_none(text)) {
        return (struct value){.type = VALUE_NULL};
    }
    switch (column->storage) {
    case STORAGE_BOOL:
    case STORAGE_INTEGER:
    case STORAGE_DOUBLE:
    case STORAGE_NUMERIC:
        return number_of(PQgetvalue(result, 0, index));
    default:
        return (struct value){.type = VALUE_TEXT, .text = text};
    }
}

struct scan {
    struct postgres_table *t;
    const struct hash_secret *secret;
    stored_row_visitor *visit;
    void *context;
    struct value *values;
    struct buffer text;
};

static enum status visit_row(struct scan *scan, const PGresult *result, struct error *err)
{
    struct postgres_table *t = scan->t;
    uint32_t count = t->base.column_count;
    for (uint32_t i = 0; i < count; i++) {
        scan->values[i] = stored_value(&t->columns[i], result, (int)i);
    }
    int first = t->base.sink.is_dlq ? LETTER_TOPIC : (int)count;
    bool known = (t->base.sink.is_dlq || t->has_origin) && !PQgetisnull(result, 0, first);
    table_value_text(scan->values, count, &scan->text);
    struct stored_row stored = {
        .hash = value_hash(scan->secret, scan->values, count),
        .origin_topic = known ? PQgetvalue(result, 0, first) : NULL,
        .origin_partition = known ? PQgetvalue(result, 0, first + 1) : NULL,
        .origin_offset = known ? postgres_integer(result, 0, first + 2) : -1,
        .text = bytes_of(scan->text.data, scan->text.size),
        .part = "",
    };
    return scan->visit(scan->context, &stored, err);
}

/* One row at a time: a table may be larger than the memory. */
static enum status scan_all(struct scan *scan, const char *sql, struct error *err)
{
    struct postgres_system *s = postgres_system(scan->t->base.sink.system);
    if (PQsendQuery(s->connection, sql) != 1 || PQsetSingleRowMode(s->connection) != 1) {
        return postgres_error(s, NULL, "read a table of", err);
    }
    enum status status = STATUS_OK;
    PGresult *result = NULL;
    while ((result = PQgetResult(s->connection)) != NULL) {
        ExecStatusType code = PQresultStatus(result);
        if (status == STATUS_OK && code == PGRES_SINGLE_TUPLE) {
            status = visit_row(scan, result, err);
        } else if (status == STATUS_OK && code != PGRES_TUPLES_OK) {
            status = postgres_error(s, result, "read a table of", err);
        }
        PQclear(result);
    }
    return status;
}

static enum status scan_rows(struct sink *sink, const struct hash_secret *secret,
                             stored_row_visitor *row, void *context, struct error *err)
{
    struct postgres_table *t = postgres_table(sink);
    bool exists = false;
    enum status status = is_there(sink, &exists, err);
    if (status == STATUS_OK && exists && !t->is_prepared) {
        status = postgres_table_prepare(t, true, err);
    }
    if (status != STATUS_OK || !exists) {
        return status;
    }
    struct buffer sql = {0};
    buffer_append_string(&sql, "SELECT ");
    write_selection(t, &sql);
    buffer_printf(&sql, "%s FROM %s", t->has_origin
                                          ? ", _weir_topic, _weir_partition, _weir_offset"
                                          : "", t->quoted);
    struct scan scan = {.t = t, .secret = secret, .visit = row, .context = context};
    scan.values = memory_alloc_zero(t->base.column_count + 1, sizeof *scan.values);
    status = scan_all(&scan, buffer_string(&sql), err);
    memory_free(scan.values);
    buffer_fini(&scan.text);
    buffer_fini(&sql);
    return status;
}

const struct sink_ops postgres_table_ops = {
    .kind = "postgres",
    .grammar = table_fields,
    .can_reject = true,
    .outbox_new = table_outbox_new,
    .outbox_clear = table_outbox_clear,
    .outbox_free = table_outbox_free,
    .append_row = table_append_row,
    .append_dead_letter = table_append_dead_letter,
    .is_empty = is_empty,
    .is_there = is_there,
    .scan = scan_rows,
    .key_row = table_key_row,
    .is_keyed = table_is_keyed,
    .address = table_address,
    .rule = table_rule,
    .look_through = table_look_through,
    .guarantee = table_guarantee,
};

/* --- making a sink --- */

/* "readings" and "public.readings" may be one table or two: only the server knows, so one pipeline
 * names a table in one way. */
static enum status check_table_name(const struct doc *config, const struct system *system,
                                    struct error *err)
{
    const struct doc *table = doc_get(config, "table");
    const char *dot = strrchr(table->text, '.');
    const char *name = dot == NULL ? table->text : dot + 1;
    if (name[0] == '\0' || table->text[0] == '.' || strncmp(name, "weir_", 5) == 0) {
        return doc_error(table, err, "config.value",
                         "names of tables must not be empty or begin with weir_");
    }
    for (uint32_t i = 0; i < system->sink_count; i++) {
        const struct sink *other = system->sinks[i];
        if (strcmp(table_address(other), table->text) == 0) {
            return doc_error(table, err, "config.value",
                             "table '%s' is the place of '%s' already; every sink has a place of "
                             "its own",
                             table->text, other->name);
        }
    }
    return STATUS_OK;
}

static enum status check_columns(const struct doc *config, const struct output_shape *shape,
                                 struct error *err)
{
    const struct doc *table = doc_get(config, "table");
    if (shape->column_count == 0) {
        return doc_error(table, err, "config.no_columns",
                         "table '%s' would have no columns, for the schema names no fields that "
                         "are left; name them in its properties, or write to a topic or a folder",
                         table->text);
    }
    for (uint32_t i = 0; i < shape->column_count; i++) {
        for (uint32_t k = 0; k < i; k++) {
            if (strcmp(shape->columns[i].name, shape->columns[k].name) == 0) {
                return doc_error(table, err, "config.column_twice",
                                 "the fields '%s' and '%s' would be one column of table '%s' "
                                 "(nested names take '_' for '.'); drop one of them",
                                 shape->columns[k].path, shape->columns[i].path, table->text);
            }
        }
        if (strlen(shape->columns[i].name) > 63) {
            return doc_error(table, err, "config.value",
                             "PostgreSQL cuts names at 63 bytes, and the field '%s' would be a "
                             "column of table '%s'; drop it, or set it under a shorter name",
                             shape->columns[i].path, table->text);
        }
    }
    return STATUS_OK;
}

enum status postgres_sink_add(struct system *system, const char *name, bool is_dlq,
                              const struct doc *config, const struct output_shape *shape,
                              struct sink **out, struct error *err)
{
    enum status status = check_table_name(config, system, err);
    if (status == STATUS_OK && !is_dlq) {
        status = check_columns(config, shape, err);
    }
    if (status != STATUS_OK) {
        return status;
    }
    struct postgres_table *t = memory_alloc_zero(1, sizeof *t);
    status = table_base_init(&t->base, name, is_dlq, config, shape, err);
    if (status == STATUS_OK) {
        take_columns(t, shape);
        status = take_types(t, doc_get(config, "types"), err);
    }
    if (status != STATUS_OK) {
        table_base_fini(&t->base);
        memory_free(t);
        return status;
    }
    const char *table = grammar_string(config, "table", "");
    t->base.sink.ops = &postgres_table_ops;
    t->base.address = arena_copy_string(t->base.arena, table);
    t->quoted = postgres_quote_table(t->base.arena, table);
    t->may_create = strcmp(grammar_string(config, "create", "if_missing"), "never") != 0;
    t->may_add_columns = strcmp(grammar_string(config, "evolve", "refuse"), "refuse") != 0;
    t->base.sink.system = system;
    t->base.sink.index = system->sink_count;
    system->sinks =
        memory_realloc(system->sinks, (system->sink_count + 1) * sizeof(struct sink *));
    system->sinks[system->sink_count++] = &t->base.sink;
    *out = &t->base.sink;
    return STATUS_OK;
}
