/* The table of a sink: made where it is missing, looked at, and the statements that write to it. */
#include <stdlib.h>
#include <string.h>

#include "connector/mysql/table.h"

static struct mysqldb_system *system_of(const struct mysqldb_table *t)
{
    return mysqldb_system(t->table.base.sink.system);
}

/* Parameters 1 and 2: the database (null: the connection's) and the table. */
static struct parameters of_table(const struct mysqldb_table *t)
{
    struct parameters parameters = {0};
    parameters_bytes(&parameters, t->schema == NULL ? BYTES_NONE : bytes_of_string(t->schema));
    parameters_text(&parameters, t->name);
    return parameters;
}

enum status mysqldb_table_find(struct mysqldb_table *t, bool *out_there, struct error *err)
{
    struct parameters parameters = of_table(t);
    struct database_answer *answer = NULL;
    enum status status =
        mysqldb_ask(system_of(t),
                    "SELECT count(*) FROM information_schema.TABLES"
                    " WHERE TABLE_SCHEMA = coalesce($1, DATABASE()) AND TABLE_NAME = $2",
                    &parameters, "look for a table of", &answer, err);
    if (status == STATUS_OK) {
        *out_there = mysqldb_integer(answer, 0, 0) > 0;
        mysqldb_free(answer);
    }
    return status;
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

/* A text that is a key has a length, and a collation for which only equal texts are equal. */
static void declare_keys(struct mysqldb_table *t)
{
    for (uint32_t i = 0; i < t->table.base.column_count; i++) {
        struct database_column *column = &t->table.columns[i];
        if (is_key(t, i) && strcmp(column->declared, mysqldb_dialect.declared[CONTENT_TEXT]) == 0) {
            column->declared =
                system_of(t)->is_mariadb
                    ? "varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin"
                    : "varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin";
        }
        /* MySQL's json writes a value in its own way; MariaDB's is a text that is checked. */
        if (!system_of(t)->is_mariadb && column->content == CONTENT_JSON &&
            strcmp(column->declared, mysqldb_dialect.declared[CONTENT_JSON]) == 0) {
            column->declared = mysqldb_dialect.declared[CONTENT_TEXT];
        }
    }
}

/* --- columns --- */

/* Columns of ask_columns(). */
enum { COLUMN_NAME, DATA_TYPE, COLUMN_DECLARED, TIME_PRECISION, SCALE, COLLATION, EXTRA, NULLABLE };

static enum status ask_columns(struct mysqldb_table *t, struct database_answer **out,
                               struct error *err)
{
    struct parameters parameters = of_table(t);
    return mysqldb_ask(system_of(t),
                       "SELECT COLUMN_NAME, lower(DATA_TYPE), lower(COLUMN_TYPE),"
                       " coalesce(DATETIME_PRECISION, 0), coalesce(NUMERIC_SCALE, 0),"
                       " coalesce(COLLATION_NAME, ''), upper(EXTRA), IS_NULLABLE"
                       " FROM information_schema.COLUMNS"
                       " WHERE TABLE_SCHEMA = coalesce($1, DATABASE()) AND TABLE_NAME = $2",
                       &parameters, "look at a table of", out, err);
}

static const struct {
    const char *type;
    enum storage storage;
} storages[] = {
    {"tinyint", STORAGE_INTEGER},   {"smallint", STORAGE_INTEGER}, {"mediumint", STORAGE_INTEGER},
    {"int", STORAGE_INTEGER},       {"bigint", STORAGE_INTEGER},   {"double", STORAGE_DOUBLE},
    {"decimal", STORAGE_NUMERIC},   {"char", STORAGE_TEXT},        {"varchar", STORAGE_TEXT},
    {"tinytext", STORAGE_TEXT},     {"text", STORAGE_TEXT},        {"mediumtext", STORAGE_TEXT},
    {"longtext", STORAGE_TEXT},     {"uuid", STORAGE_UUID},        {"date", STORAGE_DATE},
    {"datetime", STORAGE_TIME},     {"timestamp", STORAGE_TIME},
};

/* What the server fills in by itself, or keeps fewer digits of, is no place for what weir says. */
static bool changes_values(const struct database_answer *columns, uint32_t row)
{
    const char *type = mysqldb_text(columns, row, DATA_TYPE);
    const char *extra = mysqldb_text(columns, row, EXTRA);
    bool is_time = strcmp(type, "datetime") == 0 || strcmp(type, "timestamp") == 0;
    return strstr(extra, "AUTO_INCREMENT") != NULL || strstr(extra, "GENERATED") != NULL ||
           strstr(extra, "ON UPDATE") != NULL ||
           (is_time && mysqldb_integer(columns, row, TIME_PRECISION) != 6) ||
           (strcmp(type, "double") == 0 &&
            strchr(mysqldb_text(columns, row, COLUMN_DECLARED), '(') != NULL);
}

static enum storage storage_of(const struct database_answer *columns, uint32_t row)
{
    if (changes_values(columns, row)) {
        return STORAGE_NONE;
    }
    for (size_t i = 0; i < sizeof storages / sizeof storages[0]; i++) {
        if (strcmp(storages[i].type, mysqldb_text(columns, row, DATA_TYPE)) == 0) {
            return storages[i].storage;
        }
    }
    return STORAGE_NONE;
}

static enum status refuse_column(const struct mysqldb_table *t,
                                 const struct database_column *column, const char *is,
                                 const char *mended, struct error *err)
{
    return error_set(err, STATUS_CONFIG, "sink.column_type",
                     "column %s of table %s is %s, which would change what sink '%s' writes, and "
                     "audit would call it altered; mend it: ALTER TABLE %s MODIFY COLUMN %s %s%s",
                     column->quoted, t->table.quoted, is, t->table.base.sink.name, t->table.quoted, column->quoted,
                     mended, column->required ? " NOT NULL" : "");
}

static int find_row(const struct database_answer *columns, const char *name)
{
    for (uint32_t i = 0; i < mysqldb_row_count(columns); i++) {
        if (strcasecmp(mysqldb_text(columns, i, COLUMN_NAME), name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

static bool ends_with(const char *text, const char *end)
{
    size_t size = strlen(text);
    return size >= strlen(end) && strcmp(text + size - strlen(end), end) == 0;
}

/* Of a column that is there. */
static enum status look_at_column(struct mysqldb_table *t, uint32_t index,
                                  const struct database_answer *columns, uint32_t row,
                                  struct error *err)
{
    struct database_column *column = &t->table.columns[index];
    const char *collation = mysqldb_text(columns, row, COLLATION);
    column->storage = storage_of(columns, row);
    column->scale = column->storage == STORAGE_NUMERIC ? (int)mysqldb_integer(columns, row, SCALE)
                                                       : -1;
    if (!database_fits(column, column->storage)) {
        return refuse_column(t, column,
                             arena_printf(t->table.base.arena, "%s %s",
                                          mysqldb_text(columns, row, COLUMN_DECLARED),
                                          mysqldb_text(columns, row, EXTRA)),
                             column->declared, err);
    }
    /* With explicit_defaults_for_timestamp = 0 the server writes its own time for null. */
    if (!column->required && strcmp(mysqldb_text(columns, row, DATA_TYPE), "timestamp") == 0 &&
        strcmp(mysqldb_text(columns, row, NULLABLE), "NO") == 0) {
        return refuse_column(t, column, "timestamp(6) NOT NULL, though the field may be absent",
                             "timestamp(6) NULL", err);
    }
    bool is_text_key = is_key(t, index) && column->storage == STORAGE_TEXT;
    if (is_text_key && !ends_with(collation, "_bin")) {
        return refuse_column(
            t, column, arena_printf(t->table.base.arena, "a key of collation %s", collation),
            arena_printf(t->table.base.arena, "%s CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
                         mysqldb_text(columns, row, COLUMN_DECLARED)),
            err);
    }
    t->cuts_spaces[index] =
        strcmp(mysqldb_text(columns, row, DATA_TYPE), "char") == 0 ||
        (is_text_key && strstr(collation, "nopad") == NULL && strstr(collation, "0900") == NULL);
    return STATUS_OK;
}

static enum status look_at_columns(struct mysqldb_table *t, bool is_reader, bool *out_added,
                                   struct error *err)
{
    struct database_answer *columns = NULL;
    *out_added = false;
    enum status status = ask_columns(t, &columns, err);
    for (uint32_t i = 0; i < t->table.base.column_count && status == STATUS_OK; i++) {
        int row = find_row(columns, t->table.base.names[i]);
        *out_added = *out_added || row < 0;
        status = row < 0 ? database_table_add_column(&t->table, &t->table.columns[i], is_reader, err)
                         : look_at_column(t, i, columns, (uint32_t)row, err);
    }
    t->table.has_origin = status == STATUS_OK && !t->table.base.sink.is_dlq &&
                    find_row(columns, "_weir_topic") >= 0 &&
                    find_row(columns, "_weir_partition") >= 0 &&
                    find_row(columns, "_weir_offset") >= 0;
    mysqldb_free(columns);
    return status;
}

/* --- what rolls back --- */

static enum status check_engine(struct mysqldb_table *t, struct error *err)
{
    struct parameters parameters = of_table(t);
    struct database_answer *answer = NULL;
    enum status status =
        mysqldb_ask(system_of(t),
                    "SELECT coalesce(ENGINE, TABLE_TYPE) FROM information_schema.TABLES"
                    " WHERE TABLE_SCHEMA = coalesce($1, DATABASE()) AND TABLE_NAME = $2",
                    &parameters, "look at a table of", &answer, err);
    if (status != STATUS_OK) {
        return status;
    }
    if (mysqldb_row_count(answer) > 0 && strcmp(mysqldb_text(answer, 0, 0), "VIEW") == 0) {
        status = error_set(err, STATUS_CONFIG, "sink.view",
                           "%s, which sink '%s' writes to, is a view; name the table behind it",
                           t->table.quoted, t->table.base.sink.name);
    } else if (mysqldb_row_count(answer) > 0 &&
               strcasecmp(mysqldb_text(answer, 0, 0), "InnoDB") != 0) {
        status = error_set(err, STATUS_CONFIG, "sink.engine",
                           "table %s of sink '%s' is %s: what is not InnoDB rolls nothing back, so "
                           "rows would be doubled by a crash; mend it: ALTER TABLE %s ENGINE = "
                           "InnoDB",
                           t->table.quoted, t->table.base.sink.name, mysqldb_text(answer, 0, 0), t->table.quoted);
    }
    mysqldb_free(answer);
    return status;
}

/* --- statements --- */

static void write_statements(struct mysqldb_table *t)
{
    struct arena *arena = t->table.base.arena;
    struct buffer sql = {0};
    struct buffer values = {0};
    buffer_printf(&sql, "INSERT INTO %s (", t->table.quoted);
    for (uint32_t i = 0; i < t->table.base.column_count; i++) {
        buffer_printf(&sql, "%s%s", i == 0 ? "" : ", ", t->table.columns[i].quoted);
    }
    buffer_printf(&sql, "%s) VALUES ",
                  t->table.has_origin ? ", _weir_topic, _weir_partition, _weir_offset" : "");
    for (uint32_t i = 0; i < mysqldb_parameter_count(t); i++) {
        buffer_append_string(&values, i == 0 ? "(?" : ",?");
    }
    buffer_append_byte(&values, ')');
    t->insert = arena_copy_string(arena, buffer_string(&sql));
    t->values = arena_copy_string(arena, buffer_string(&values));
    buffer_clear(&sql);
    if (t->table.base.keys.is_upsert) {
        mysqldb_write_update(t, &sql);
    }
    t->update = arena_copy_string(arena, buffer_string(&sql));
    if (t->table.base.keys.takes_tombstones) {
        buffer_clear(&sql);
        mysqldb_write_doomed(t, &sql);
        t->doomed = arena_copy_string(arena, buffer_string(&sql));
        t->delete = arena_printf(arena, "DELETE FROM %s WHERE ", t->table.quoted);
    }
    buffer_fini(&values);
    buffer_fini(&sql);
}

enum status mysqldb_table_prepare(struct mysqldb_table *t, bool is_reader, struct error *err)
{
    bool is_there = false;
    enum status status = mysqldb_table_find(t, &is_there, err);
    if (status != STATUS_OK || (is_reader && !is_there)) {
        return status;
    }
    declare_keys(t);
    if (!is_there) {
        status = database_table_make(&t->table, err);
    }
    if (status == STATUS_OK && !is_reader) {
        status = check_engine(t, err);
    }
    bool was_added = false;
    if (status == STATUS_OK) {
        status = look_at_columns(t, is_reader, &was_added, err);
    }
    /* A column that was just added is looked at as it is now. */
    if (status == STATUS_OK && was_added) {
        status = look_at_columns(t, true, &was_added, err);
    }
    if (status == STATUS_OK && t->table.base.keys.is_upsert && !is_reader) {
        status = mysqldb_table_check_key(t, err);
    }
    if (status == STATUS_OK) {
        write_statements(t);
    }
    t->table.is_prepared = status == STATUS_OK;
    return status;
}
