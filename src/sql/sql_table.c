#include "sql/sql_table.h"

#include <string.h>

#include "base/time.h"
#include "sql/sql_collation.h"
#include "sql/sql_names.h"

struct batch_vtab {
    sqlite3_vtab base;
    struct sql_table *table;
};

struct batch_cursor {
    sqlite3_vtab_cursor base;
    const uint32_t *at;
    const uint32_t *end;
};

static const char *declared_type(const struct sql_table_column *column)
{
    if (column->is_time) {
        return "TEXT COLLATE " SQL_TIME_COLLATION;
    }
    switch (column->type) {
    case COLUMN_BOOL:
    case COLUMN_INT64:
        return "INTEGER";
    case COLUMN_DOUBLE:
        return "REAL";
    case COLUMN_TEXT:
    case COLUMN_JSON:
    case COLUMN_OBJECT:
        break;
    }
    return "TEXT";
}

void sql_table_declare(const struct sql_table *table, struct buffer *out)
{
    if (table->column_count == 0) {
        sql_names_quote(out, "\x01none");
    }
    for (uint32_t i = 0; i < table->column_count; i++) {
        buffer_append_string(out, i == 0 ? "" : ", ");
        sql_names_quote(out, table->columns[i].name);
        buffer_printf(out, " %s", declared_type(&table->columns[i]));
    }
}

static int table_connect(sqlite3 *db, void *context, int argument_count,
                         const char *const *arguments, sqlite3_vtab **out, char **out_message)
{
    (void)argument_count;
    (void)arguments;
    (void)out_message;
    struct sql_table *table = context;
    struct buffer declaration = {0};
    buffer_append_string(&declaration, "CREATE TABLE t(");
    sql_table_declare(table, &declaration);
    buffer_append_byte(&declaration, ')');
    int code = sqlite3_declare_vtab(db, buffer_string(&declaration));
    buffer_fini(&declaration);
    if (code != SQLITE_OK) {
        return code;
    }
    struct batch_vtab *vtab = memory_alloc_zero(1, sizeof *vtab);
    vtab->table = table;
    *out = &vtab->base;
    return SQLITE_OK;
}

static int table_disconnect(sqlite3_vtab *vtab)
{
    memory_free(vtab);
    return SQLITE_OK;
}

static int table_best_index(sqlite3_vtab *vtab, sqlite3_index_info *info)
{
    (void)vtab;
    (void)info;
    /* There is one way to read it: all of it, in order. */
    return SQLITE_OK;
}

static int cursor_open(sqlite3_vtab *vtab, sqlite3_vtab_cursor **out)
{
    (void)vtab;
    struct batch_cursor *cursor = memory_alloc_zero(1, sizeof *cursor);
    *out = &cursor->base;
    return SQLITE_OK;
}

static int cursor_close(sqlite3_vtab_cursor *base)
{
    memory_free(base);
    return SQLITE_OK;
}

static const struct sql_table *cursor_table(const sqlite3_vtab_cursor *base)
{
    return ((const struct batch_vtab *)base->pVtab)->table;
}

static int cursor_filter(sqlite3_vtab_cursor *base, int plan, const char *plan_text,
                         int argument_count, sqlite3_value **arguments)
{
    (void)plan;
    (void)plan_text;
    (void)argument_count;
    (void)arguments;
    struct batch_cursor *cursor = (struct batch_cursor *)base;
    const struct sql_table *table = cursor_table(base);
    cursor->at = table->rows;
    cursor->end = table->rows + table->row_count;
    return SQLITE_OK;
}

static int cursor_next(sqlite3_vtab_cursor *base)
{
    ((struct batch_cursor *)base)->at++;
    return SQLITE_OK;
}

static int cursor_eof(sqlite3_vtab_cursor *base)
{
    const struct batch_cursor *cursor = (const struct batch_cursor *)base;
    return cursor->at == cursor->end;
}

static int cursor_rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *out)
{
    *out = *((const struct batch_cursor *)base)->at;
    return SQLITE_OK;
}

static void give_text(sqlite3_context *context, struct bytes text)
{
    sqlite3_result_text64(context, text.size > 0 ? (const char *)text.data : "", text.size,
                          SQLITE_STATIC, SQLITE_UTF8);
}

/* One spelling for each point in time, so that functions and results do not see the sender's. */
static void give_time(sqlite3_context *context, struct bytes text)
{
    int64_t time_us = 0;
    if (!time_parse_rfc3339(text, &time_us)) {
        give_text(context, text);
        return;
    }
    char formatted[TIME_TEXT_BYTES];
    size_t size = time_format(time_us, formatted);
    if (size == text.size && memcmp(formatted, text.data, size) == 0) {
        give_text(context, text);
        return;
    }
    sqlite3_result_text64(context, formatted, size, SQLITE_TRANSIENT, SQLITE_UTF8);
}

static int cursor_column(sqlite3_vtab_cursor *base, sqlite3_context *context, int index)
{
    const struct sql_table *table = cursor_table(base);
    if ((uint32_t)index >= table->column_count) {
        return SQLITE_OK;
    }
    const struct sql_table_column *column = &table->columns[index];
    const struct column *cells = &table->batch_columns[column->field];
    uint32_t row = *((const struct batch_cursor *)base)->at;
    /* A result that is not set is NULL; so are cells that have no value of the column's type. */
    if (cells->cells[row] != CELL_VALUE && cells->cells[row] != CELL_INVALID) {
        return SQLITE_OK;
    }
    switch (column->type) {
    case COLUMN_BOOL:
        sqlite3_result_int(context, cells->booleans[row]);
        break;
    case COLUMN_INT64:
        sqlite3_result_int64(context, cells->integers[row]);
        break;
    case COLUMN_DOUBLE:
        sqlite3_result_double(context, cells->reals[row]);
        break;
    case COLUMN_TEXT:
    case COLUMN_JSON:
    case COLUMN_OBJECT:
        if (column->is_time) {
            give_time(context, cells->texts[row]);
        } else {
            give_text(context, cells->texts[row]);
        }
        break;
    }
    return SQLITE_OK;
}

/* Without xCreate the table is there under the module's name, and nothing is stored. */
static const sqlite3_module module = {
    .iVersion = 1,
    .xConnect = table_connect,
    .xBestIndex = table_best_index,
    .xDisconnect = table_disconnect,
    .xOpen = cursor_open,
    .xClose = cursor_close,
    .xFilter = cursor_filter,
    .xNext = cursor_next,
    .xEof = cursor_eof,
    .xColumn = cursor_column,
    .xRowid = cursor_rowid,
};

int sql_table_register(sqlite3 *db, struct sql_table *table)
{
    return sqlite3_create_module_v2(db, SQL_TABLE_NAME, &module, table, NULL);
}
