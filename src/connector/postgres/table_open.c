/* The table of a sink: made where it is missing, looked at, and the statements that write to it. */
#include <stdlib.h>
#include <string.h>

#include "connector/postgres/table.h"
#include "os/random.h"

static struct postgres_system *system_of(const struct postgres_table *t)
{
    return postgres_system(t->table.base.sink.system);
}

/* The columns' names for COPY and SELECT. */
static void write_columns(const struct postgres_table *t, bool with_origin, struct buffer *out)
{
    for (uint32_t i = 0; i < t->table.base.column_count; i++) {
        buffer_printf(out, "%s%s", i == 0 ? "" : ", ", t->table.columns[i].quoted);
    }
    if (with_origin) {
        buffer_append_string(out, ", _weir_topic, _weir_partition, _weir_offset");
    }
}

enum status postgres_table_find(struct postgres_table *t, bool *out_there, struct error *err)
{
    struct parameters parameters = {0};
    parameters_text(&parameters, t->table.quoted);
    PGresult *result = NULL;
    enum status status = postgres_ask(system_of(t), "SELECT to_regclass($1) IS NOT NULL",
                                      &parameters, false, "look for a table of", &result, err);
    if (status == STATUS_OK) {
        *out_there = PQgetvalue(result, 0, 0)[0] == 't';
        PQclear(result);
    }
    return status;
}

/* --- columns --- */

static const struct {
    const char *type; /* as format_type() begins */
    enum storage storage;
} storages[] = {
    {"boolean", STORAGE_BOOL},        {"smallint", STORAGE_INTEGER},
    {"integer", STORAGE_INTEGER},     {"bigint", STORAGE_INTEGER},
    {"double precision", STORAGE_DOUBLE}, {"numeric", STORAGE_NUMERIC},
    {"text", STORAGE_TEXT},           {"character varying", STORAGE_TEXT},
    {"uuid", STORAGE_UUID},           {"date", STORAGE_DATE},
    {"timestamp with time zone", STORAGE_TIME}, {"timestamp without time zone", STORAGE_TIME},
    {"json", STORAGE_JSON},           {"jsonb", STORAGE_CANONICAL_JSON},
};

/* Of "numeric(10,2)", whose brackets begin there; a negative scale, which the server has since
 * version 15, rounds integers too. */
static enum storage numeric_of(const char *bracket, int *out_scale)
{
    const char *comma = strchr(bracket, ',');
    *out_scale = comma == NULL ? 0 : atoi(comma + 1);
    return *out_scale < 0 ? STORAGE_NONE : STORAGE_NUMERIC;
}

/* What stands before the brackets, and in them the scale or the length. */
static enum storage storage_of(const char *type, bool is_enum, struct database_column *column)
{
    const char *bracket = strchr(type, '(');
    size_t size = bracket == NULL ? strlen(type) : (size_t)(bracket - type);
    column->scale = -1;
    column->length = 0;
    if (is_enum) {
        return STORAGE_TEXT;
    }
    for (size_t i = 0; i < sizeof storages / sizeof storages[0]; i++) {
        if (strlen(storages[i].type) == size && strncmp(storages[i].type, type, size) == 0) {
            enum storage storage = storages[i].storage;
            if (storage == STORAGE_NUMERIC && bracket != NULL) {
                return numeric_of(bracket, &column->scale);
            }
            if (storage == STORAGE_TEXT && bracket != NULL) {
                column->length = strtoull(bracket + 1, NULL, 10);
            }
            return storage;
        }
    }
    /* timestamp(3) with time zone has its brackets in the middle: it rounds. */
    return STORAGE_NONE;
}

static enum status refuse_type(const struct postgres_table *t,
                               const struct database_column *column, const char *name,
                               const char *type, struct error *err)
{
    if (column->content == CONTENT_JSON && column->storage == STORAGE_CANONICAL_JSON) {
        return error_set(err, STATUS_CONFIG, "sink.column_type",
                         "column %s of table %s is jsonb, which writes JSON in a form of its own; "
                         "let sink '%s' write that form: types: {%s: jsonb}",
                         column->quoted, t->table.quoted, t->table.base.sink.name, name);
    }
    return error_set(err, STATUS_CONFIG, "sink.column_type",
                     "column %s of table %s is %s, which would change what sink '%s' writes, and "
                     "audit would call it altered; mend it: ALTER TABLE %s ALTER COLUMN %s TYPE %s "
                     "USING %s::%s",
                     column->quoted, t->table.quoted, type, t->table.base.sink.name, t->table.quoted, column->quoted,
                     column->declared, column->quoted, column->declared);
}

static int find_row(const PGresult *columns, const char *name)
{
    for (int i = 0; i < PQntuples(columns); i++) {
        if (strcmp(PQgetvalue(columns, i, 0), name) == 0) {
            return i;
        }
    }
    return -1;
}

static void note_key_type(struct postgres_table *t, uint32_t column, const char *type)
{
    const struct table_keys *keys = &t->table.base.keys;
    for (uint32_t k = 0; k < keys->count && type != NULL; k++) {
        if (keys->columns[k] == column) {
            t->key_types[k] = arena_copy_string(t->table.base.arena, type);
        }
    }
}

static enum status look_at_columns(struct postgres_table *t, PGresult *columns, bool is_reader,
                                   struct error *err)
{
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < t->table.base.column_count && status == STATUS_OK; i++) {
        struct database_column *column = &t->table.columns[i];
        int row = find_row(columns, t->table.base.names[i]);
        const char *type = row < 0 ? column->declared : PQgetvalue(columns, row, 1);
        if (row < 0) {
            status = database_table_add_column(&t->table, column, is_reader, err);
        }
        note_key_type(t, i, row < 0 ? NULL : PQgetvalue(columns, row, 4));
        if (status == STATUS_OK) {
            bool is_enum = row >= 0 && PQgetvalue(columns, row, 2)[0] == 'e';
            column->storage = storage_of(type, is_enum, column);
            if (row >= 0 && !database_fits(column, column->storage)) {
                status = refuse_type(t, column, t->table.base.names[i], type, err);
            }
        }
    }
    t->table.has_origin = !t->table.base.sink.is_dlq && find_row(columns, "_weir_topic") >= 0 &&
                    find_row(columns, "_weir_partition") >= 0 &&
                    find_row(columns, "_weir_offset") >= 0;
    return status;
}

static enum binary_form form_of(const PGresult *columns, const char *name)
{
    int row = find_row(columns, name);
    bool is_enum = row >= 0 && PQgetvalue(columns, row, 2)[0] == 'e';
    return row < 0 ? BINARY_NONE
                   : binary_form_of((uint32_t)strtoul(PQgetvalue(columns, row, 3), NULL, 10),
                                    is_enum);
}

/* Binary is for all columns or for none. */
static void look_at_forms(struct postgres_table *t, const PGresult *columns)
{
    static const char *const origins[] = {"_weir_topic", "_weir_partition", "_weir_offset"};
    t->is_binary = true;
    for (uint32_t i = 0; i < t->table.base.column_count; i++) {
        t->forms[i] = form_of(columns, t->table.base.names[i]);
        t->is_binary = t->is_binary && t->forms[i] != BINARY_NONE;
    }
    for (uint32_t i = 0; i < 3 && t->table.has_origin; i++) {
        t->origin_forms[i] = form_of(columns, origins[i]);
        t->is_binary = t->is_binary && t->origin_forms[i] != BINARY_NONE;
    }
}

/* Keys of jsonb are ordered by the bytes that they have in the server's encoding. */
static enum status check_encoding(const struct postgres_table *t, struct error *err)
{
    const char *encoding = PQparameterStatus(system_of(t)->connection, "server_encoding");
    for (uint32_t i = 0; i < t->table.base.column_count; i++) {
        const struct database_column *column = &t->table.columns[i];
        if (column->storage == STORAGE_CANONICAL_JSON && strcmp(encoding, "UTF8") != 0) {
            return error_set(err, STATUS_CONFIG, "sink.encoding",
                             "column %s of table %s is jsonb, and the database's encoding is %s: "
                             "what is stored can be told in advance in UTF8 only; use json",
                             column->quoted, t->table.quoted, encoding);
        }
    }
    return STATUS_OK;
}

/* A column that was just added is looked at as it is now. */
static enum status ask_columns(struct postgres_table *t, PGresult **out, struct error *err)
{
    struct parameters parameters = {0};
    parameters_text(&parameters, t->table.quoted);
    return postgres_ask(system_of(t),
                        "SELECT a.attname, format_type(a.atttypid, a.atttypmod), y.typtype,"
                        " a.atttypid, format_type(a.atttypid, NULL)"
                        " FROM pg_attribute a JOIN pg_type y ON y.oid = a.atttypid"
                        " WHERE a.attrelid = to_regclass($1) AND a.attnum > 0"
                        " AND NOT a.attisdropped",
                        &parameters, false, "look at a table of", out, err);
}

static enum status check_columns(struct postgres_table *t, bool is_reader, struct error *err)
{
    PGresult *columns = NULL;
    enum status status = ask_columns(t, &columns, err);
    if (status == STATUS_OK) {
        status = look_at_columns(t, columns, is_reader, err);
        look_at_forms(t, columns);
        PQclear(columns);
    }
    /* What was written as an override is known by the server's own name now. */
    if (status == STATUS_OK && !is_reader && (status = ask_columns(t, &columns, err)) == STATUS_OK) {
        status = look_at_columns(t, columns, true, err);
        look_at_forms(t, columns);
        PQclear(columns);
    }
    if (status == STATUS_OK) {
        status = check_encoding(t, err);
    }
    if (status == STATUS_OK && t->table.base.keys.is_upsert && !t->table.has_origin) {
        status = error_set(err, STATUS_CONFIG, "sink.no_origin",
                           "table %s, which sink '%s' upserts into, cannot tell which of two "
                           "equally new rows stays, for it does not say where they come from; add "
                           "what is not there of these: ALTER TABLE %s ADD COLUMN _weir_topic "
                           "text, ADD COLUMN _weir_partition integer, ADD COLUMN _weir_offset "
                           "bigint",
                           t->table.quoted, t->table.base.sink.name, t->table.quoted);
    }
    return status;
}

/* --- collations --- */

static enum status judge_collation(const struct postgres_table *t, const PGresult *collations,
                                   uint32_t index, struct error *err)
{
    const char *quoted = t->table.columns[index].quoted;
    int row = find_row(collations, t->table.base.names[index]);
    if (row < 0) {
        return STATUS_OK;
    }
    const char *collation = PQgetvalue(collations, row, 2);
    if (PQgetisnull(collations, row, 3)) {
        return error_set(err, STATUS_CONFIG, "sink.collation",
                         "column %s of table %s, which sink '%s' upserts by, has the collation %s, "
                         "for which different texts are equal, so that their rows would become "
                         "one; mend it: ALTER TABLE %s ALTER COLUMN %s TYPE %s COLLATE \"C\"",
                         quoted, t->table.quoted, t->table.base.sink.name, collation, t->table.quoted, quoted,
                         PQgetvalue(collations, row, 1));
    }
    return error_set(err, STATUS_CONFIG, "sink.collation",
                     "index %s on column %s of table %s, which sink '%s' upserts by, has the "
                     "collation %s, for which different texts are equal, so that their rows would "
                     "become one; drop it, and make it again with the column as %s COLLATE \"C\"",
                     PQgetvalue(collations, row, 3), quoted, t->table.quoted, t->table.base.sink.name,
                     collation, quoted);
}

/* Of servers before version 12 all collations are deterministic, and the column is not there. An
 * index may have another collation than its column, and ON CONFLICT takes any. */
static enum status check_collations(struct postgres_table *t, struct error *err)
{
    const struct table_keys *keys = &t->table.base.keys;
    struct parameters parameters = {0};
    parameters_text(&parameters, t->table.quoted);
    parameters_integer(&parameters, keys->count);
    PGresult *result = NULL;
    enum status status = postgres_ask(
        system_of(t),
        "WITH vague AS (SELECT oid, quote_ident(collname) AS name FROM pg_collation AS l"
        " WHERE to_jsonb(l)->>'collisdeterministic' = 'false')"
        " SELECT a.attname, format_type(a.atttypid, a.atttypmod), vague.name, NULL"
        " FROM pg_attribute a JOIN vague ON vague.oid = a.attcollation"
        " WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped"
        " UNION ALL"
        " SELECT a.attname, NULL, vague.name, i.indexrelid::regclass::text FROM pg_index i"
        " CROSS JOIN unnest(i.indkey::int2[], i.indcollation::oid[]) AS k (number, collated)"
        " JOIN vague ON vague.oid = k.collated"
        " JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number"
        " WHERE i.indrelid = to_regclass($1) AND i.indisunique"
        " AND cardinality(i.indcollation::oid[]) = $2",
        &parameters, false, "look at the key of", &result, err);
    for (uint32_t i = 0; i < keys->count && status == STATUS_OK; i++) {
        status = judge_collation(t, result, keys->columns[i], err);
    }
    if (status == STATUS_OK && keys->newest_by != FIELD_NONE) {
        status = judge_collation(t, result, keys->newest_by, err);
    }
    PQclear(result);
    return status;
}

/* --- statements --- */

static bool is_text(const struct database_column *column)
{
    return column->storage == STORAGE_TEXT;
}

/* The greater (newest_by, topic, partition, offset) wins, texts by their bytes; null is the least
 * newest_by, and a row that was there before weir came is the least of its newest_by. */
static void write_wins(const struct postgres_table *t, struct buffer *sql)
{
    uint32_t newest = t->table.base.keys.newest_by;
    if (newest != FIELD_NONE) {
        const char *n = t->table.columns[newest].quoted;
        const char *c = is_text(&t->table.columns[newest]) ? " COLLATE \"C\"" : "";
        buffer_printf(sql,
                      "(excluded.%s IS NOT NULL AND t.%s IS NULL) OR excluded.%s%s > t.%s"
                      " OR (excluded.%s IS NOT DISTINCT FROM t.%s AND ",
                      n, n, n, c, n, n, n);
    } else {
        buffer_append_byte(sql, '(');
    }
    buffer_append_string(sql,
                         "(t._weir_offset IS NULL OR (excluded._weir_topic COLLATE \"C\","
                         " excluded._weir_partition, excluded._weir_offset) >"
                         " (t._weir_topic, t._weir_partition, t._weir_offset)))");
}

static void write_take_stage(const struct postgres_table *t, struct buffer *sql)
{
    const struct table_keys *keys = &t->table.base.keys;
    struct buffer columns = {0};
    struct buffer key = {0};
    write_columns(t, true, &columns);
    for (uint32_t i = 0; i < keys->count; i++) {
        buffer_printf(&key, "%s%s", i == 0 ? "" : ", ", t->table.columns[keys->columns[i]].quoted);
    }
    buffer_printf(sql, "INSERT INTO %s AS t (%s) SELECT DISTINCT ON (%s) %s FROM %s ORDER BY %s",
                  t->table.quoted, buffer_string(&columns), buffer_string(&key), buffer_string(&columns),
                  t->stage, buffer_string(&key));
    if (keys->newest_by != FIELD_NONE) {
        const struct database_column *newest = &t->table.columns[keys->newest_by];
        buffer_printf(sql, ", %s%s DESC NULLS LAST", newest->quoted,
                      is_text(newest) ? " COLLATE \"C\"" : "");
    }
    buffer_printf(sql,
                  ", _weir_topic COLLATE \"C\" DESC, _weir_partition DESC, _weir_offset DESC"
                  " ON CONFLICT (%s) DO UPDATE SET ",
                  buffer_string(&key));
    for (uint32_t i = 0; i < t->table.base.column_count; i++) {
        buffer_printf(sql, "%s = excluded.%s, ", t->table.columns[i].quoted, t->table.columns[i].quoted);
    }
    buffer_append_string(sql, "_weir_topic = excluded._weir_topic, _weir_partition ="
                              " excluded._weir_partition, _weir_offset = excluded._weir_offset"
                              " WHERE ");
    write_wins(t, sql);
    buffer_fini(&columns);
    buffer_fini(&key);
}

/* Whether a trigger of the table or of one of its partitions could do that, by its tgtype. */
static void write_has_trigger(const struct postgres_table *t, const char *that, struct buffer *sql)
{
    const char *name = database_quote(t->table.base.arena, '\'', t->table.quoted);
    buffer_printf(sql,
                  "EXISTS (SELECT FROM pg_trigger WHERE (tgrelid = to_regclass(%s) OR tgrelid IN"
                  " (SELECT relid FROM pg_partition_tree(to_regclass(%s)))) AND NOT tgisinternal AND"
                  " tgenabled <> 'D' AND %s)",
                  name, name, that);
}

/* "a.k0 = b.k0 AND …", where `a` has the columns' own names. */
static void write_same_key(const struct postgres_table *t, const char *a, const char *b,
                           struct buffer *sql)
{
    const struct table_keys *keys = &t->table.base.keys;
    for (uint32_t i = 0; i < keys->count; i++) {
        buffer_printf(sql, "%s%s.%s = %s.key%u", i == 0 ? "" : " AND ", a,
                      t->table.columns[keys->columns[i]].quoted, b, i);
    }
}

/* "key0, key1, …" */
static void write_key_names(const struct postgres_table *t, struct buffer *sql)
{
    for (uint32_t i = 0; i < t->table.base.keys.count; i++) {
        buffer_printf(sql, "%skey%u", i == 0 ? "" : ", ", i);
    }
}

/* d (key0, …, topic, partition, place): what is to be deleted, the last of each key. */
static void write_deletions(const struct postgres_table *t, struct buffer *sql)
{
    uint32_t count = t->table.base.keys.count;
    buffer_append_string(sql, "WITH d AS (SELECT DISTINCT ON (");
    write_key_names(t, sql);
    buffer_append_string(sql, ") * FROM unnest(");
    for (uint32_t i = 0; i < count; i++) {
        buffer_printf(sql, "$%u::%s[], ", i + 1, t->key_types[i]);
    }
    buffer_printf(sql, "$%u::text[], $%u::integer[], $%u::bigint[]) AS d (", count + 1, count + 2,
                  count + 3);
    write_key_names(t, sql);
    buffer_append_string(sql, ", topic, partition, place) ORDER BY ");
    write_key_names(t, sql);
    buffer_append_string(sql, ", topic COLLATE \"C\" DESC, partition DESC, place DESC)");
}

/* $1 …: arrays of the keys' columns, topics, partitions and offsets; the last of each key deletes, for a
 * trigger must not be asked twice about a row. Gives how many rows should be gone that a trigger has kept:
 * the SELECT sees the table as it was before. */
static const char *write_delete(const struct postgres_table *t)
{
    const struct table_keys *keys = &t->table.base.keys;
    struct buffer doomed = {0};
    struct buffer sql = {0};
    write_same_key(t, "t", "d", &doomed);
    buffer_append_string(&doomed, " AND (t._weir_offset IS NULL OR (d.topic COLLATE \"C\","
                                  " d.partition, d.place) > (t._weir_topic, t._weir_partition,"
                                  " t._weir_offset))");
    write_deletions(t, &sql);
    buffer_printf(&sql, ", gone AS (DELETE FROM %s AS t USING d WHERE %s RETURNING ",
                  t->table.quoted, buffer_string(&doomed));
    for (uint32_t i = 0; i < keys->count; i++) {
        buffer_printf(&sql, "%st.%s AS key%u", i == 0 ? "" : ", ",
                      t->table.columns[keys->columns[i]].quoted, i);
    }
    buffer_printf(&sql, ") SELECT count(*) FROM %s AS t JOIN d ON %s WHERE ", t->table.quoted,
                  buffer_string(&doomed));
    write_has_trigger(t, POSTGRES_TRIGGER_MAY_KEEP, &sql);
    buffer_append_string(&sql, " AND NOT EXISTS (SELECT FROM gone WHERE ");
    write_same_key(t, "t", "gone", &sql);
    buffer_append_byte(&sql, ')');
    const char *text = arena_copy_string(t->table.base.arena, buffer_string(&sql));
    buffer_fini(&doomed);
    buffer_fini(&sql);
    return text;
}

/* After take_stage every row of the stage has its key in the table, in a row that it does not win
 * over; where it has not, a trigger returned NULL. Tables without such triggers are not looked at. */
static void write_check_stage(const struct postgres_table *t, struct buffer *sql)
{
    const struct table_keys *keys = &t->table.base.keys;
    buffer_printf(sql, "SELECT count(*) FROM %s AS excluded WHERE ", t->stage);
    write_has_trigger(t, POSTGRES_TRIGGER_MAY_DROP, sql);
    buffer_printf(sql, " AND NOT EXISTS (SELECT FROM %s AS t WHERE ", t->table.quoted);
    for (uint32_t i = 0; i < keys->count; i++) {
        const char *quoted = t->table.columns[keys->columns[i]].quoted;
        buffer_printf(sql, "t.%s = excluded.%s AND ", quoted, quoted);
    }
    buffer_append_byte(sql, '(');
    write_wins(t, sql);
    buffer_append_string(sql, ") IS NOT TRUE)");
}

/* Where transactions are prepared it is made and dropped in each, under a name that no other process
 * has: who makes a second one of a name waits until the first has ended. */
static void name_stage(struct postgres_table *t, const char *columns)
{
    struct arena *arena = t->table.base.arena;
    if (system_of(t)->db.system.prepares) {
        t->stage = arena_printf(arena, "weir_stage_%016llx", (unsigned long long)random_u64());
        t->make_stage = arena_printf(
            arena, "CREATE UNLOGGED TABLE %s AS SELECT %s FROM %s WITH NO DATA", t->stage, columns,
            t->table.quoted);
    } else {
        t->stage = arena_printf(arena, "pg_temp.weir_stage_%u", t->table.base.sink.index);
        t->make_stage = arena_printf(
            arena, "CREATE TEMP TABLE IF NOT EXISTS weir_stage_%u ON COMMIT DELETE ROWS AS SELECT %s"
                   " FROM %s WITH NO DATA",
            t->table.base.sink.index, columns, t->table.quoted);
    }
}

static void write_statements(struct postgres_table *t)
{
    struct arena *arena = t->table.base.arena;
    struct buffer columns = {0};
    write_columns(t, t->table.has_origin, &columns);
    if (t->table.base.keys.is_upsert) {
        name_stage(t, buffer_string(&columns));
        struct buffer sql = {0};
        write_take_stage(t, &sql);
        t->take_stage = arena_copy_string(arena, buffer_string(&sql));
        t->delete = t->table.base.keys.takes_tombstones ? write_delete(t) : NULL;
        buffer_clear(&sql);
        write_check_stage(t, &sql);
        t->check_stage = arena_copy_string(arena, buffer_string(&sql));
        buffer_fini(&sql);
    }
    t->copy = arena_printf(arena, "COPY %s (%s) FROM STDIN%s",
                           t->stage != NULL ? t->stage : t->table.quoted, buffer_string(&columns),
                           t->is_binary ? " (FORMAT binary)" : "");
    buffer_fini(&columns);
}

/* Whether the server would take the statements: a key without a unique index is told here, and a
 * right that is missing. */
static enum status try_upsert(struct postgres_table *t, struct error *err)
{
    struct buffer sql = {0};
    buffer_printf(&sql, "BEGIN; %s; EXPLAIN %s", t->make_stage, t->take_stage);
    if (t->delete != NULL) {
        buffer_printf(&sql, "; EXPLAIN WITH gone AS (DELETE FROM %s WHERE false RETURNING 0) SELECT FROM gone",
                      t->table.quoted);
    }
    enum status status = database_table_change(&t->table, &sql, err);
    PQclear(PQexec(system_of(t)->connection, "ROLLBACK"));
    buffer_fini(&sql);
    return status;
}

enum status postgres_table_prepare(struct postgres_table *t, bool is_reader, struct error *err)
{
    bool is_there = false;
    enum status status = postgres_table_find(t, &is_there, err);
    if (status != STATUS_OK || (is_reader && !is_there)) {
        return status;
    }
    if (!is_there) {
        status = database_table_make(&t->table, err);
    }
    if (status == STATUS_OK) {
        status = postgres_table_check(t, is_reader, err);
    }
    if (status == STATUS_OK) {
        status = check_columns(t, is_reader, err);
    }
    if (status == STATUS_OK && t->table.base.keys.is_upsert) {
        status = check_collations(t, err);
    }
    if (status == STATUS_OK) {
        write_statements(t);
        status = t->stage != NULL && !is_reader ? try_upsert(t, err) : STATUS_OK;
    }
    t->table.is_prepared = status == STATUS_OK;
    return status;
}
