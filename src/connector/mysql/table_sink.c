/* A table of a database as a sink and as a dead-letter place: configuration, and what stands in the
 * table, for audit. */
#include <stdio.h>
#include <string.h>

#include "connector/mysql/table.h"
#include "connector/table/value.h"

/* Backquotes are names' quotes in every sql_mode, so that what a message proposes can be typed into
 * any client. */
const struct database_dialect mysqldb_dialect = {
    .server = "MySQL",
    .quote = '`',
    .name_bytes = 64,
    .long_names = "takes no names of more than 64 bytes",
    .takes_nul = true,
    .declared = {[CONTENT_BOOL] = "tinyint(1)",
                 [CONTENT_INTEGER] = "bigint",
                 [CONTENT_NUMBER] = "double",
                 [CONTENT_TEXT] = "longtext",
                 [CONTENT_TIME] = "datetime(6)",
                 [CONTENT_JSON] = "json"},
    .null = " NULL",
    .origin_columns = ", _weir_topic varchar(255), _weir_partition int, _weir_offset bigint",
    .table_options = " ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
    .one_by_one = "",
    .add_column = "ADD COLUMN", /* one that is there by now is no error (errors.c) */
};

/* --- audit --- */

/* Columns in the form that a row's hash is over: times as table_value() makes them. */
static void write_selection(const struct mysqldb_table *t, struct buffer *sql)
{
    buffer_append_string(sql, "SELECT ");
    for (uint32_t i = 0; i < t->table.base.column_count; i++) {
        const struct database_column *column = &t->table.columns[i];
        buffer_printf(sql, column->storage == STORAGE_TIME
                               ? "%sDATE_FORMAT(%s, '%%Y-%%m-%%dT%%H:%%i:%%s.%%fZ')"
                               : "%s%s",
                      i == 0 ? "" : ", ", column->quoted);
    }
    buffer_printf(sql, "%s FROM %s",
                  t->table.has_origin ? ", _weir_topic, _weir_partition, _weir_offset" : "", t->table.quoted);
}

/* One column of the row that was fetched. */
struct fetched {
    struct buffer text; /* a NUL stands behind it */
    int64_t integer;
    double real;
    unsigned long size;
    my_bool is_null;
};

struct scan {
    struct mysqldb_table *t;
    const struct hash_secret *secret;
    stored_row_visitor *visit;
    void *context;
    MYSQL_STMT *statement;
    uint32_t count;     /* of columns, those of the origin included */
    struct fetched *cells; /* [count] */
    MYSQL_BIND *binds;  /* [count] */
    struct value *values;
    struct buffer text;
};

static enum status scan_failed(struct scan *scan, struct error *err)
{
    return mysqldb_error(mysqldb_system(scan->t->table.base.sink.system),
                         mysql_stmt_errno(scan->statement), mysql_stmt_sqlstate(scan->statement),
                         mysql_stmt_error(scan->statement), "read a table of", err);
}

/* What a column comes as; a double in binary, for its digits are not all in the text. */
static enum enum_field_types wire_type(const struct scan *scan, uint32_t index)
{
    if (index >= scan->t->table.base.column_count) {
        return index - scan->t->table.base.column_count == 0 ? MYSQL_TYPE_STRING : MYSQL_TYPE_LONGLONG;
    }
    switch (scan->t->table.columns[index].storage) {
    case STORAGE_BOOL:
    case STORAGE_INTEGER:
        return MYSQL_TYPE_LONGLONG;
    case STORAGE_DOUBLE:
        return MYSQL_TYPE_DOUBLE;
    default:
        return MYSQL_TYPE_STRING;
    }
}

static void bind_columns(struct scan *scan)
{
    for (uint32_t i = 0; i < scan->count; i++) {
        struct fetched *cell = &scan->cells[i];
        enum enum_field_types type = wire_type(scan, i);
        scan->binds[i] = (MYSQL_BIND){
            .buffer_type = type, .length = &cell->size, .is_null = &cell->is_null};
        if (type == MYSQL_TYPE_LONGLONG) {
            scan->binds[i].buffer = &cell->integer;
            scan->binds[i].buffer_length = sizeof cell->integer;
        } else if (type == MYSQL_TYPE_DOUBLE) {
            scan->binds[i].buffer = &cell->real;
            scan->binds[i].buffer_length = sizeof cell->real;
        }
    }
}

/* The texts of the row, whose sizes are known now. */
static enum status fetch_texts(struct scan *scan, struct error *err)
{
    for (uint32_t i = 0; i < scan->count; i++) {
        struct fetched *cell = &scan->cells[i];
        if (cell->is_null || scan->binds[i].buffer_type != MYSQL_TYPE_STRING) {
            continue;
        }
        buffer_clear(&cell->text);
        MYSQL_BIND whole = {.buffer_type = MYSQL_TYPE_STRING, .length = &cell->size,
                            .is_null = &cell->is_null,
                            .buffer_length = cell->size + 1};
        whole.buffer = buffer_reserve(&cell->text, size_add(cell->size, 1));
        if (mysql_stmt_fetch_column(scan->statement, &whole, i, 0) != 0) {
            return scan_failed(scan, err);
        }
        cell->text.size = cell->size;
        cell->text.data[cell->size] = '\0';
    }
    return STATUS_OK;
}

static struct value stored_value(const struct scan *scan, uint32_t index)
{
    const struct fetched *cell = &scan->cells[index];
    if (cell->is_null) {
        return (struct value){.type = VALUE_NULL};
    }
    switch (scan->binds[index].buffer_type) {
    case MYSQL_TYPE_LONGLONG:
        return (struct value){.type = VALUE_INT64, .integer = cell->integer};
    case MYSQL_TYPE_DOUBLE:
        return (struct value){.type = VALUE_DOUBLE, .real = cell->real};
    default:
        if (scan->t->table.columns[index].storage == STORAGE_NUMERIC) {
            return database_stored_number(&scan->t->table.columns[index],
                                          (const char *)cell->text.data);
        }
        return (struct value){.type = VALUE_TEXT,
                              .text = bytes_of(cell->text.data, cell->text.size)};
    }
}

static enum status visit_row(struct scan *scan, struct error *err)
{
    const struct mysqldb_table *t = scan->t;
    uint32_t count = t->table.base.column_count;
    enum status status = fetch_texts(scan, err);
    if (status != STATUS_OK) {
        return status;
    }
    for (uint32_t i = 0; i < count; i++) {
        scan->values[i] = stored_value(scan, i);
    }
    const struct fetched *origin = &scan->cells[t->table.base.sink.is_dlq ? LETTER_TOPIC : count];
    bool known = (t->table.base.sink.is_dlq || t->table.has_origin) && !origin[0].is_null;
    char partition[24];
    snprintf(partition, sizeof partition, "%lld", known ? (long long)origin[1].integer : 0);
    table_value_text(scan->values, count, &scan->text);
    struct stored_row stored = {
        .hash = value_hash(scan->secret, scan->values, count),
        .origin_topic = known ? (const char *)origin[0].text.data : NULL,
        .origin_partition = !known ? NULL
                            : t->table.base.sink.is_dlq ? (const char *)origin[1].text.data
                                                  : partition,
        .origin_offset = known ? origin[2].integer : -1,
        .text = bytes_of(scan->text.data, scan->text.size),
        .part = "",
    };
    return scan->visit(scan->context, &stored, err);
}

/* One row at a time: a table may be larger than the memory. */
static enum status scan_all(struct scan *scan, const struct buffer *sql, struct error *err)
{
    if (mysql_stmt_prepare(scan->statement, (const char *)sql->data, (unsigned long)sql->size) != 0 ||
        mysql_stmt_execute(scan->statement) != 0) {
        return scan_failed(scan, err);
    }
    bind_columns(scan);
    if (mysql_stmt_bind_result(scan->statement, scan->binds) != 0) {
        return scan_failed(scan, err);
    }
    enum status status = STATUS_OK;
    int code = 0;
    while (status == STATUS_OK && (code = mysql_stmt_fetch(scan->statement)) != MYSQL_NO_DATA) {
        status = code == 0 || code == MYSQL_DATA_TRUNCATED ? visit_row(scan, err)
                                                           : scan_failed(scan, err);
    }
    return status;
}

static enum status scan_table(struct scan *scan, struct error *err)
{
    struct buffer sql = {0};
    uint32_t count = scan->count;
    write_selection(scan->t, &sql);
    scan->statement =
        mysql_stmt_init(mysqldb_system(scan->t->table.base.sink.system)->connection);
    check(scan->statement != NULL);
    scan->values = memory_alloc_zero(count + 1, sizeof *scan->values);
    scan->cells = memory_alloc_zero(count + 1, sizeof *scan->cells);
    scan->binds = memory_alloc_zero(count + 1, sizeof *scan->binds);
    enum status status = scan_all(scan, &sql, err);
    mysql_stmt_close(scan->statement);
    for (uint32_t i = 0; i < count; i++) {
        buffer_fini(&scan->cells[i].text);
    }
    memory_free(scan->cells);
    memory_free(scan->binds);
    memory_free(scan->values);
    buffer_fini(&scan->text);
    buffer_fini(&sql);
    return status;
}

static enum status scan_rows(struct sink *sink, const struct hash_secret *secret,
                             stored_row_visitor *row, void *context, struct error *err)
{
    struct mysqldb_table *t = mysqldb_table(sink);
    bool exists = false;
    enum status status = database_table_is_there(sink, &exists, err);
    if (status == STATUS_OK && exists && !t->table.is_prepared) {
        status = mysqldb_table_prepare(t, true, err);
    }
    if (status != STATUS_OK || !exists) {
        return status;
    }
    struct scan scan = {.t = t, .secret = secret, .visit = row, .context = context,
                        .count = mysqldb_parameter_count(t)};
    return scan_table(&scan, err);
}

const struct sink_ops mysqldb_table_ops = {
    .kind = "mysql",
    .grammar = database_table_fields,
    .can_reject = true,
    .outbox_new = table_outbox_new,
    .outbox_clear = table_outbox_clear,
    .outbox_free = table_outbox_free,
    .append_row = table_append_row,
    .append_dead_letter = table_append_dead_letter,
    .is_empty = database_table_is_empty,
    .is_there = database_table_is_there,
    .scan = scan_rows,
    .key_row = table_key_row,
    .is_keyed = table_is_keyed,
    .address = table_address,
    .rule = table_rule,
    .look_through = table_look_through,
    .take_tombstones = table_take_tombstones,
    .guarantee = table_guarantee,
};

/* --- making a sink --- */

/* "schema.table", or a table of the connection's database. */
static void name_table(struct mysqldb_table *t)
{
    struct arena *arena = t->table.base.arena;
    const char *table = t->table.base.address;
    const char *dot = strchr(table, '.');
    t->schema = dot == NULL ? NULL : arena_printf(arena, "%.*s", (int)(dot - table), table);
    t->name = dot == NULL ? table : arena_copy_string(arena, dot + 1);
}

enum status mysqldb_sink_add(struct system *system, const char *name, bool is_dlq,
                             const struct doc *config, const struct output_shape *shape,
                             struct sink **out, struct error *err)
{
    struct database_table *table = NULL;
    enum status status =
        database_table_new(sizeof(struct mysqldb_table), &mysqldb_dialect, &mysqldb_table_ops,
                           system, name, is_dlq, config, shape, &table, err);
    if (status != STATUS_OK) {
        return status;
    }
    struct mysqldb_table *t = mysqldb_table(&table->base.sink);
    t->cuts_spaces = arena_alloc_zero(table->base.arena, table->base.column_count + 1, 1);
    name_table(t);
    *out = &table->base.sink;
    return STATUS_OK;
}
