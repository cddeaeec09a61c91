#include "connector/sqlite/table_feed.h"

#include <sqlite3.h>

struct feed_vtab {
    sqlite3_vtab base; /* first */
    const struct table_feed *feed;
};

struct feed_cursor {
    sqlite3_vtab_cursor base; /* first */
    const struct table_feed *feed;
    const struct table_place *place;
    const struct table_row *row; /* at `place` */
};

static int feed_connect(sqlite3 *database, void *context, int argument_count,
                        const char *const *arguments, sqlite3_vtab **out, char **out_message)
{
    (void)argument_count;
    (void)arguments;
    (void)out_message;
    const struct table_feed *feed = context;
    uint32_t count = feed->cell_count + (feed->has_origin ? 3 : 0);
    struct buffer declaration = {0};
    buffer_append_string(&declaration, "CREATE TABLE feed (");
    for (uint32_t i = 0; i < count; i++) {
        buffer_printf(&declaration, "%sc%u", i == 0 ? "" : ", ", i);
    }
    buffer_append_byte(&declaration, ')');
    int code = sqlite3_declare_vtab(database, buffer_string(&declaration));
    buffer_fini(&declaration);
    if (code == SQLITE_OK) {
        struct feed_vtab *vtab = memory_alloc_zero(1, sizeof *vtab);
        vtab->feed = feed;
        *out = &vtab->base;
    }
    return code;
}

static int feed_disconnect(sqlite3_vtab *vtab)
{
    memory_free(vtab);
    return SQLITE_OK;
}

static int feed_best_index(sqlite3_vtab *vtab, sqlite3_index_info *info)
{
    (void)vtab;
    (void)info;
    /* There is one way to read it: all of it, in order. */
    return SQLITE_OK;
}

static int cursor_open(sqlite3_vtab *vtab, sqlite3_vtab_cursor **out)
{
    struct feed_cursor *cursor = memory_alloc_zero(1, sizeof *cursor);
    cursor->feed = ((const struct feed_vtab *)vtab)->feed;
    *out = &cursor->base;
    return SQLITE_OK;
}

static int cursor_close(sqlite3_vtab_cursor *cursor)
{
    memory_free(cursor);
    return SQLITE_OK;
}

static void take_place(struct feed_cursor *cursor, const struct table_place *place)
{
    cursor->place = place;
    if (place != cursor->feed->end) {
        cursor->row = table_rows_at(cursor->feed->outbox, place->at);
    }
}

static int cursor_filter(sqlite3_vtab_cursor *base, int plan, const char *plan_text,
                         int argument_count, sqlite3_value **arguments)
{
    (void)plan;
    (void)plan_text;
    (void)argument_count;
    (void)arguments;
    struct feed_cursor *cursor = (struct feed_cursor *)base;
    take_place(cursor, cursor->feed->first);
    return SQLITE_OK;
}

static int cursor_next(sqlite3_vtab_cursor *base)
{
    struct feed_cursor *cursor = (struct feed_cursor *)base;
    take_place(cursor, cursor->place + 1);
    return SQLITE_OK;
}

static int cursor_eof(sqlite3_vtab_cursor *base)
{
    const struct feed_cursor *cursor = (const struct feed_cursor *)base;
    return cursor->place == cursor->feed->end;
}

static int cursor_rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *out)
{
    const struct feed_cursor *cursor = (const struct feed_cursor *)base;
    *out = cursor->place - cursor->feed->first;
    return SQLITE_OK;
}

/* Texts stay where they are until the statement is done. */
static void give_cell(sqlite3_context *context, const struct table_row *row,
                      const struct table_cell *cell)
{
    switch (cell->type) {
    case VALUE_INT64:
        sqlite3_result_int64(context, cell->integer);
        break;
    case VALUE_DOUBLE:
        sqlite3_result_double(context, cell->real);
        break;
    case VALUE_TEXT:
        sqlite3_result_text64(context, (const char *)table_row_text(row, cell).data,
                              cell->size_bytes, SQLITE_STATIC, SQLITE_UTF8);
        break;
    default:
        sqlite3_result_null(context);
        break;
    }
}

static int cursor_column(sqlite3_vtab_cursor *base, sqlite3_context *context, int index)
{
    const struct feed_cursor *cursor = (const struct feed_cursor *)base;
    const struct table_row *row = cursor->row;
    if ((uint32_t)index < row->cell_count) {
        give_cell(context, row, &row->cells[index]);
        return SQLITE_OK;
    }
    switch ((uint32_t)index - row->cell_count) {
    case 0:
        sqlite3_result_text(context, row->origin->topic, -1, SQLITE_STATIC);
        break;
    case 1:
        sqlite3_result_int(context, row->origin->number);
        break;
    default:
        sqlite3_result_int64(context, row->offset);
        break;
    }
    return SQLITE_OK;
}

int table_feed_register(sqlite3 *database, const char *name, struct table_feed *feed)
{
    static const sqlite3_module module = {
        .xConnect = feed_connect,
        .xBestIndex = feed_best_index,
        .xDisconnect = feed_disconnect,
        .xOpen = cursor_open,
        .xClose = cursor_close,
        .xFilter = cursor_filter,
        .xNext = cursor_next,
        .xEof = cursor_eof,
        .xColumn = cursor_column,
        .xRowid = cursor_rowid,
    };
    return sqlite3_create_module_v2(database, name, &module, feed, NULL);
}
