/* Rows of a table, read without a pipeline, as JSON. */
#include <string.h>

#include "codec/json.h"
#include "codec/record_json.h"
#include "connector/mysql/table.h"

/* MariaDB's json is a text with a check, which it tells of on the side. */
static bool is_json(MYSQL_FIELD *field)
{
    MARIADB_CONST_STRING format = {0};
    return field->type == MYSQL_TYPE_JSON ||
           (mariadb_field_attr(&format, field, MARIADB_FIELD_ATTR_FORMAT_NAME) == 0 &&
            format.length == 4 && memcmp(format.str, "json", 4) == 0);
}

/* "2026-01-31 12:34:56.000000" as weir's own texts have it; sessions are in UTC. */
static void write_time(struct buffer *out, const char *text)
{
    buffer_printf(out, "\"%.10sT%sZ\"", text, text + 11);
}

/* A number of a ZEROFILL column as JSON has it, which knows no zeros in front; no such is negative. */
static void write_number(struct buffer *out, const char *text, unsigned long size)
{
    while (size > 1 && text[0] == '0' && text[1] >= '0' && text[1] <= '9') {
        text++;
        size--;
    }
    buffer_append(out, text, size);
}

static void write_member(struct buffer *out, MYSQL_FIELD *field, const char *text,
                         unsigned long size)
{
    bool is_number = field->type == MYSQL_TYPE_NEWDECIMAL ||
                     (IS_NUM(field->type) && field->type != MYSQL_TYPE_TIMESTAMP);
    bool is_time = (field->type == MYSQL_TYPE_DATETIME || field->type == MYSQL_TYPE_TIMESTAMP) &&
                   size >= 19;
    if (text == NULL || (!is_number && !is_time && !is_json(field))) {
        record_json_member(out, field->name, text == NULL ? BYTES_NONE : bytes_of(text, size));
        return;
    }
    json_write_string(out, bytes_of_string(field->name));
    buffer_append_byte(out, ':');
    if (is_time) {
        write_time(out, text);
    } else if (is_number) {
        write_number(out, text, size);
    } else {
        buffer_append(out, text, size);
    }
}

static void write_row(struct buffer *out, MYSQL_RES *result, MYSQL_ROW row)
{
    const unsigned long *sizes = mysql_fetch_lengths(result);
    MYSQL_FIELD *fields = mysql_fetch_fields(result);
    buffer_clear(out);
    for (unsigned i = 0; i < mysql_num_fields(result); i++) {
        buffer_append_byte(out, i == 0 ? '{' : ',');
        write_member(out, &fields[i], row[i], sizes[i]);
    }
    buffer_append_byte(out, '}');
}

/* One row at a time: a table may be larger than the memory. */
static enum status visit_rows(struct mysqldb_system *s, place_row_visitor *visit, void *context,
                              struct error *err)
{
    MYSQL_RES *result = mysql_use_result(s->connection);
    if (result == NULL) {
        return mysqldb_failed(s, "read a table of", err);
    }
    struct buffer json = {0};
    struct place_row row = {.key = BYTES_NONE, .part = ""};
    enum status status = STATUS_OK;
    bool done = false;
    while (status == STATUS_OK && !done) {
        MYSQL_ROW columns = mysql_fetch_row(result);
        if (columns == NULL) {
            status = mysql_errno(s->connection) == 0 ? STATUS_OK
                                                     : mysqldb_failed(s, "read a table of", err);
            break;
        }
        write_row(&json, result, columns);
        row.value = bytes_of(json.data, json.size);
        row.position++;
        status = visit(context, &row, &done, err);
    }
    buffer_fini(&json);
    mysql_free_result(result);
    return status;
}

static enum status read_table(struct database *d, const char *name, place_row_visitor *visit,
                              void *context, struct error *err)
{
    enum { NO_SUCH_TABLE = 1146 };
    struct mysqldb_system *s = mysqldb_system(&d->system);
    struct arena *arena = arena_new(1024);
    const char *quoted = database_quote_table(arena, mysqldb_dialect.quote, name);
    const char *sql = arena_printf(arena, "SELECT * FROM %s", quoted);
    enum status status = STATUS_OK;
    if (mysql_real_query(s->connection, sql, (unsigned long)strlen(sql)) == 0) {
        status = visit_rows(s, visit, context, err);
    } else if (mysql_errno(s->connection) == NO_SUCH_TABLE) {
        status = error_set(err, STATUS_CONFIG, "table.missing",
                           "%s has no table %s; a pipeline makes it when it first runs",
                           s->db.place, quoted);
    } else {
        status = mysqldb_failed(s, "read a table of", err);
    }
    arena_free(arena);
    return status;
}

enum status mysqldb_each_row(const struct doc *config, const char *folder,
                             place_row_visitor *visit, void *context, struct error *err)
{
    return database_each_row(&mysqldb_sink_kind, config, folder, read_table, visit, context, err);
}
