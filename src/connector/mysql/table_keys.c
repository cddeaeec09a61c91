/* The key of an upsert's table: what it must be, and the clause that keeps the newer row. */
#include <string.h>

#include "connector/mysql/table.h"

/* --- which row stays --- */

static const char *const origins[] = {"_weir_topic", "_weir_partition", "_weir_offset"};

/* The greater (newest_by, topic, partition, offset) wins, texts by their bytes; null is the least
 * newest_by, and a row that was there before weir came is the least of its newest_by. */
static void write_wins(const struct mysqldb_table *t, struct buffer *sql)
{
    uint32_t newest = t->table.base.keys.newest_by;
    if (newest != FIELD_NONE) {
        const char *n = t->table.columns[newest].quoted;
        bool is_text = t->table.columns[newest].storage == STORAGE_TEXT;
        const char *open = is_text ? "CAST(" : "";
        const char *close = is_text ? " AS BINARY)" : "";
        buffer_printf(sql, "(VALUES(%s) IS NOT NULL AND %s IS NULL) OR %sVALUES(%s)%s > %s%s%s OR "
                           "(%sVALUES(%s)%s <=> %s%s%s AND ",
                      n, n, open, n, close, open, n, close, open, n, close, open, n, close);
    } else {
        buffer_append_byte(sql, '(');
    }
    buffer_append_string(
        sql, "(_weir_topic IS NULL"
             " OR CAST(VALUES(_weir_topic) AS BINARY) > CAST(_weir_topic AS BINARY)"
             " OR (VALUES(_weir_topic) = _weir_topic AND (VALUES(_weir_partition) > _weir_partition"
             " OR (VALUES(_weir_partition) = _weir_partition"
             " AND VALUES(_weir_offset) > _weir_offset)))))");
}

void mysqldb_write_doomed(const struct mysqldb_table *t, struct buffer *sql)
{
    const struct table_keys *keys = &t->table.base.keys;
    buffer_append_string(sql, "((_weir_topic IS NULL OR CAST(? AS BINARY) > CAST(_weir_topic AS"
                              " BINARY) OR (? = _weir_topic AND (? > _weir_partition OR"
                              " (? = _weir_partition AND ? > _weir_offset))))");
    for (uint32_t i = 0; i < keys->count; i++) {
        buffer_printf(sql, " AND %s = ?", t->table.columns[keys->columns[i]].quoted);
    }
    buffer_append_byte(sql, ')');
}

static bool is_key(const struct mysqldb_table *t, uint32_t column)
{
    for (uint32_t i = 0; i < t->table.base.keys.count; i++) {
        if (t->table.base.keys.columns[i] == column) {
            return true;
        }
    }
    return false;
}

static void write_assignment(const struct mysqldb_table *t, const char *column, const char *before,
                             struct buffer *sql)
{
    buffer_printf(sql, "%s%s = IF(", before, column);
    write_wins(t, sql);
    buffer_printf(sql, ", VALUES(%s), %s)", column, column);
}

/* Assignments are made one after the other, and each sees those before it. So what decides comes last,
 * the least of it first: offset, partition, topic, newest_by. Where a part that was assigned already
 * does not show any more that the row wins, it was equal in all parts that are still to come. */
void mysqldb_write_update(const struct mysqldb_table *t, struct buffer *sql)
{
    const char *before = " ON DUPLICATE KEY UPDATE ";
    for (uint32_t i = 0; i < t->table.base.column_count; i++) {
        if (i != t->table.base.keys.newest_by && !is_key(t, i)) {
            write_assignment(t, t->table.columns[i].quoted, before, sql);
            before = ", ";
        }
    }
    for (uint32_t i = 3; i-- > 0;) {
        write_assignment(t, origins[i], before, sql);
        before = ", ";
    }
    if (t->table.base.keys.newest_by != FIELD_NONE && !is_key(t, t->table.base.keys.newest_by)) {
        write_assignment(t, t->table.columns[t->table.base.keys.newest_by].quoted, before, sql);
    }
}

/* --- unique indexes --- */

static enum status refuse(const struct mysqldb_table *t, const char *code, struct error *err,
                          const char *what, const char *mend)
{
    return error_set(err, STATUS_CONFIG, code, "table %s, which sink '%s' upserts into, %s; mend it: "
                     "%s", t->table.quoted, t->table.base.sink.name, what, mend);
}

/* "`a`, `b`": the columns of the key. */
static void write_key(const struct mysqldb_table *t, struct buffer *out)
{
    for (uint32_t i = 0; i < t->table.base.keys.count; i++) {
        buffer_printf(out, "%s%s", i == 0 ? "" : ", ", t->table.columns[t->table.base.keys.columns[i]].quoted);
    }
}

static int key_of_name(const struct mysqldb_table *t, const char *name)
{
    for (uint32_t i = 0; i < t->table.base.keys.count; i++) {
        if (strcasecmp(t->table.base.names[t->table.base.keys.columns[i]], name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

/* The index whose columns are the rows first … end − 1 of the answer. */
static bool is_on_key(const struct mysqldb_table *t, const struct database_answer *answer,
                      uint32_t first, uint32_t end)
{
    bool fits = end - first == t->table.base.keys.count;
    for (uint32_t i = first; i < end; i++) {
        /* An index on the beginning of a text takes different texts for one. */
        fits = fits && key_of_name(t, mysqldb_text(answer, i, 1)) >= 0 &&
               bytes_is_none(mysqldb_bytes(answer, i, 2));
    }
    return fits;
}

static enum status refuse_index(const struct mysqldb_table *t, const char *index, struct error *err)
{
    struct arena *arena = t->table.base.arena;
    const char *quoted = database_quote(arena, mysqldb_dialect.quote, index);
    return refuse(t, "sink.other_unique", err,
                  arena_printf(arena,
                               "has another unique index, %s: a row that is like another one "
                               "there would replace it, whatever its key",
                               quoted),
                  strcmp(index, "PRIMARY") == 0
                      ? "make its primary key the sink's 'key', or write to another table"
                      : arena_printf(arena, "ALTER TABLE %s DROP INDEX %s", t->table.quoted, quoted));
}

static enum status check_indexes(const struct mysqldb_table *t,
                                 const struct database_answer *answer, struct error *err)
{
    uint32_t count = mysqldb_row_count(answer);
    bool found = false;
    bool has_primary = false;
    for (uint32_t first = 0; first < count;) {
        const char *index = mysqldb_text(answer, first, 0);
        uint32_t end = first + 1;
        while (end < count && strcmp(mysqldb_text(answer, end, 0), index) == 0) {
            end++;
        }
        if (!is_on_key(t, answer, first, end)) {
            return refuse_index(t, index, err);
        }
        found = true;
        has_primary = has_primary || strcmp(index, "PRIMARY") == 0;
        first = end;
    }
    if (found) {
        return STATUS_OK;
    }
    struct buffer mend = {0};
    buffer_printf(&mend, "ALTER TABLE %s ADD %s (", t->table.quoted,
                  has_primary ? "UNIQUE INDEX" : "PRIMARY KEY");
    write_key(t, &mend);
    buffer_append_byte(&mend, ')');
    enum status status =
        refuse(t, "sink.no_key", err, "has no unique index on its key, so nothing would be replaced",
               buffer_string(&mend));
    buffer_fini(&mend);
    return status;
}

enum status mysqldb_table_check_key(struct mysqldb_table *t, struct error *err)
{
    if (!t->table.has_origin) {
        return refuse(t, "sink.no_origin", err,
                      "cannot tell which of two equally new rows stays, for it does not say where "
                      "they come from",
                      arena_printf(t->table.base.arena,
                                   "ALTER TABLE %s ADD COLUMN _weir_topic varchar(255), ADD COLUMN "
                                   "_weir_partition int, ADD COLUMN _weir_offset bigint (those "
                                   "that are not there)",
                                   t->table.quoted));
    }
    struct parameters parameters = {0};
    parameters_bytes(&parameters, t->schema == NULL ? BYTES_NONE : bytes_of_string(t->schema));
    parameters_text(&parameters, t->name);
    struct database_answer *answer = NULL;
    enum status status =
        mysqldb_ask(mysqldb_system(t->table.base.sink.system),
                    "SELECT INDEX_NAME, COLUMN_NAME, SUB_PART FROM information_schema.STATISTICS"
                    " WHERE TABLE_SCHEMA = coalesce($1, DATABASE()) AND TABLE_NAME = $2"
                    " AND NON_UNIQUE = 0 ORDER BY INDEX_NAME, SEQ_IN_INDEX",
                    &parameters, "look at the indexes of a table of", &answer, err);
    if (status == STATUS_OK) {
        status = check_indexes(t, answer, err);
        mysqldb_free(answer);
    }
    return status;
}
