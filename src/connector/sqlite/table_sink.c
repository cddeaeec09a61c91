/*
 * A table of a SQLite file as a sink: append, or upsert with newest_by; and as a dead-letter
 * place.
 *
 * Columns are those of output_shape, and `_weir_topic, _weir_partition, _weir_offset`, which say
 * where a row comes from; weir makes the table (STRICT) when it is not there. A table that is
 * there must have the columns; without the _weir_ ones it can be appended to, and audit compares
 * by content. Times are stored as ISO 8601 in UTC with six digits of fraction, so that the order of
 * texts is the order of times. Booleans are 0 and 1, nested values JSON text.
 *
 * Upsert: of two rows with one key the one with the greater (newest_by, topic, partition,
 * offset) stays, whatever the order of arrival; NULL is the least newest_by.
 *
 * The hash of a row, for sums and audit, is value_hash() over its values in the order of the
 * columns, as SQLite gives them back.
 *
 * A row that the table refuses for the row's own fault (constraint, type, size) is rejected:
 * marked, booked, written to weir_rejects. If a trigger's RAISE(ROLLBACK) took the whole
 * transaction, the epoch is redone with that row rejected from the start.
 */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "codec/json.h"
#include "connector/letter_json.h"
#include "connector/sqlite/deferred.h"
#include "connector/sqlite/sqlite.h"
#include "connector/sqlite/system.h"
#include "connector/sqlite/table_columns.h"

static const char *const modes[] = {"append", "upsert", NULL};

static const struct grammar_field table_sink_fields[] = {
    {.key = "path", .type = GRAMMAR_STRING, .required = true, .help = "the SQLite file"},
    {.key = "table", .type = GRAMMAR_STRING, .required = true,
     .help = "the table; made when it is not there"},
    {.key = "mode", .type = GRAMMAR_CHOICE, .choices = modes, .help = "append unless set"},
    {.key = "key", .type = GRAMMAR_STRINGS, .help = "upsert: the columns that name a row"},
    {.key = "newest_by", .type = GRAMMAR_STRING,
     .help = "upsert: the column whose greater value wins"},
    {0},
};

/* A column as it stands in the table. */
struct column_out {
    const char *name;
    const char *quoted;
    const char *declared; /* type and constraint in CREATE TABLE */
};

/* The columns of a dead letter in a table. */
enum letter_column {
    LETTER_KEY, LETTER_VALUE, LETTER_VALUE_BASE64, LETTER_HEADERS, LETTER_REASON, LETTER_FIELD,
    LETTER_DETAIL, LETTER_VIOLATIONS, LETTER_TOPIC, LETTER_PARTITION, LETTER_OFFSET,
    LETTER_TIMESTAMP, LETTER_PIPELINE, LETTER_PLAN, LETTER_ATTEMPT, LETTER_SINK, LETTER_COUNT,
};
static const struct {
    const char *name;
    const char *declared;
} letter_columns[LETTER_COUNT] = {
    {"key", "ANY"},          {"value", "TEXT"},      {"value_base64", "TEXT"},
    {"headers", "TEXT"},     {"reason", "TEXT NOT NULL"}, {"field", "TEXT"},
    {"detail", "TEXT"},      {"violations", "TEXT"}, {"topic", "TEXT NOT NULL"},
    {"partition", "TEXT NOT NULL"}, {"offset", "INTEGER NOT NULL"}, {"timestamp", "TEXT"},
    {"pipeline", "TEXT"},    {"plan", "TEXT"},       {"attempt", "INTEGER"},
    {"sink", "TEXT"},
};

struct table_sink {
    struct sqlite_sink base; /* first */
    struct arena *arena;
    const char *table;
    const char *quoted;
    struct column_out *columns;
    uint32_t column_count;
    bool is_upsert;
    uint32_t *keys;          /* indexes of columns */
    uint32_t key_count;
    uint32_t newest_by;      /* index of a column, FIELD_NONE */
    bool has_origin;         /* the table has the _weir_ columns; after prepare */
    bool is_view;            /* with a trigger that writes: nothing counts its rows; after prepare */
    sqlite3_stmt *insert;    /* while a session is open */
    const struct source_partition *bound; /* the origin that is bound to it; NULL: none yet */
    struct value *values;    /* scratch of append_row, [column_count] */
    const struct table_sink *seen_by; /* look_through(): whose columns are hashed; NULL: its own */
    const struct table_sink *seen_of; /* whose columns `seen` is of */
    uint32_t *seen;          /* [columns of seen_of]: index of a column, FIELD_NONE: null */
    struct value *seen_values;
};

/* A row in an outbox: this head, then its values (value_write), then key, value and headers of the
 * record, for its dead letter if it is refused. */
struct row_head {
    uint32_t size_bytes; /* of all of it, the head included */
    uint32_t source_partition;
    const struct source_partition *origin;
    int64_t offset;
    int64_t timestamp_us;
    struct hash128 hash;
    uint32_t values_bytes;
    uint32_t attempt;
    bool is_marked;      /* refused in an earlier attempt that took the transaction */
    uint32_t mark;       /* index in the outbox's marks */
};

struct mark {
    const char *code;
    char message[200];
};

struct table_outbox {
    struct outbox outbox; /* first */
    struct buffer rows;
    struct mark *marks;
    uint32_t mark_count;
};

static struct table_sink *self(const struct sink *sink)
{
    return (struct table_sink *)sink;
}

static struct table_outbox *box(struct outbox *outbox)
{
    return (struct table_outbox *)outbox;
}

/* --- outbox --- */

static struct outbox *outbox_new(struct sink *sink)
{
    (void)sink;
    struct table_outbox *o = memory_alloc_zero(1, sizeof *o);
    return &o->outbox;
}

static void unmark(struct outbox *outbox)
{
    struct table_outbox *o = box(outbox);
    if (o->mark_count == 0) {
        return;
    }
    for (size_t at = 0; at < o->rows.size;) {
        struct row_head head;
        memcpy(&head, o->rows.data + at, sizeof head);
        head.is_marked = false;
        memcpy(o->rows.data + at, &head, sizeof head);
        at += head.size_bytes;
    }
    o->mark_count = 0;
}

static void outbox_clear(struct outbox *outbox)
{
    struct table_outbox *o = box(outbox);
    buffer_clear(&o->rows);
    o->mark_count = 0;
    o->outbox = (struct outbox){0};
}

static void outbox_free(struct outbox *outbox)
{
    struct table_outbox *o = box(outbox);
    buffer_fini(&o->rows);
    memory_free(o->marks);
    memory_free(o);
}

/* --- values --- */

/* "2026-01-31T12:34:56.000000Z": fixed width, so that texts sort by time. */
static struct bytes fixed_time(struct arena *arena, struct bytes text)
{
    /* A text of this form is either what it would become, or no time: it stays. (Second 60 is the
     * next minute.) */
    if (text.size == 27 && text.data[10] == 'T' && text.data[19] == '.' && text.data[26] == 'Z' &&
        text.data[17] != '6') {
        return text;
    }
    int64_t time_us = 0;
    if (!time_parse_rfc3339(text, &time_us)) {
        return text;
    }
    char whole[TIME_TEXT_BYTES];
    int64_t fraction_us = time_us % TIME_US_PER_SECOND;
    fraction_us += fraction_us < 0 ? TIME_US_PER_SECOND : 0;
    time_format(time_us - fraction_us, whole);
    char *out = arena_alloc(arena, 28);
    memcpy(out, whole, 19);
    out[19] = '.';
    for (int i = 25; i > 19; i--) {
        out[i] = (char)('0' + fraction_us % 10);
        fraction_us /= 10;
    }
    out[26] = 'Z';
    return bytes_of(out, 27);
}

/* As SQLite stores it and gives it back. */
static struct value stored_value(const struct output_column *column, const struct batch *batch,
                                 uint32_t row)
{
    struct value value = column->field == FIELD_NONE
                             ? batch->set_values[column->set_index][row]
                             : batch_value(batch, column->field, row);
    switch (value.type) {
    case VALUE_BOOL:
        return (struct value){.type = VALUE_INT64, .integer = value.boolean};
    case VALUE_JSON:
        value.type = VALUE_TEXT;
        return value;
    case VALUE_TEXT:
        if (column->is_time) {
            value.text = fixed_time(batch->arena, value.text);
        }
        return value;
    case VALUE_DOUBLE:
        return value.real != value.real ? (struct value){.type = VALUE_NULL} : value;
    case VALUE_NULL:
    case VALUE_INT64:
        break;
    }
    return value;
}

/* Appends a row's head and values; the caller adds the record and then finish_row(). */
static size_t begin_row(struct table_outbox *o, const struct row_head *head,
                        const struct value *values, uint32_t count)
{
    size_t at = o->rows.size;
    buffer_append(&o->rows, head, sizeof *head);
    for (uint32_t i = 0; i < count; i++) {
        value_write(&values[i], &o->rows);
    }
    return at;
}

static void finish_row(struct table_outbox *o, size_t at, struct row_head *head,
                       size_t values_end)
{
    head->values_bytes = (uint32_t)(values_end - at - sizeof *head);
    head->size_bytes = (uint32_t)(o->rows.size - at);
    memcpy(o->rows.data + at, head, sizeof *head);
    o->outbox.size_bytes = o->rows.size;
    o->outbox.row_count++;
}

static void append_bytes(struct buffer *out, struct bytes bytes)
{
    buffer_append_u8(out, bytes_is_none(bytes));
    buffer_append_sized(out, bytes.data, bytes.size);
}

static struct bytes read_bytes(struct reader *in)
{
    bool is_none = reader_u8(in) != 0;
    struct bytes bytes = reader_sized(in);
    return is_none ? BYTES_NONE : bytes;
}

static void append_record(struct table_outbox *o, const struct record *record)
{
    append_bytes(&o->rows, record->key);
    append_bytes(&o->rows, record->value);
    buffer_append_u32(&o->rows, record->header_count);
    for (uint32_t i = 0; i < record->header_count; i++) {
        append_bytes(&o->rows, record->headers[i].name);
        append_bytes(&o->rows, record->headers[i].value);
    }
}

static struct hash128 hash_values(const struct table_sink *s, const struct hash_secret *secret)
{
    if (s->seen_by == NULL) {
        return value_hash(secret, s->values, s->column_count);
    }
    for (uint32_t i = 0; i < s->seen_by->column_count; i++) {
        s->seen_values[i] = s->seen[i] == FIELD_NONE ? (struct value){.type = VALUE_NULL}
                                                     : s->values[s->seen[i]];
    }
    return value_hash(secret, s->seen_values, s->seen_by->column_count);
}

static void append_row(struct sink *sink, struct outbox *outbox, const struct output_row *row,
                       const struct hash_secret *secret, struct ledger_sink *delta)
{
    struct table_sink *s = self(sink);
    struct table_outbox *o = box(outbox);
    const struct batch *batch = row->batch;
    const struct record *record = &batch->records[row->row];
    const struct replay_origin *replay = batch_replay(batch, row->row);
    for (uint32_t i = 0; i < s->column_count; i++) {
        s->values[i] = stored_value(&sink->shape->columns[i], batch, row->row);
    }
    struct row_head head = {
        .source_partition = batch->partition,
        .origin = row->origin,
        .offset = record->offset,
        .timestamp_us = record->timestamp_us,
        .hash = hash_values(s, secret),
        .attempt = replay == NULL ? 1 : replay->attempt + 1,
    };
    size_t at = begin_row(o, &head, s->values, s->column_count);
    size_t values_end = o->rows.size;
    append_record(o, record);
    finish_row(o, at, &head, values_end);
    delta->written++;
    delta->sum = hash_add(delta->sum, head.hash);
}

/* --- dead letters --- */

static struct value text_value(struct bytes text)
{
    return bytes_is_none(text) ? (struct value){.type = VALUE_NULL}
                               : (struct value){.type = VALUE_TEXT, .text = text};
}

static bool is_plain_text(struct bytes value)
{
    return bytes_is_utf8(value) && memchr(value.data, '\0', value.size) == NULL;
}

static void letter_values(struct arena *arena, const struct dead_letter *letter,
                          struct value *values)
{
    bool is_text = bytes_is_none(letter->value) || letter->value.size == 0 ||
                   is_plain_text(letter->value);
    struct buffer headers = {0};
    char timestamp[TIME_TEXT_BYTES];
    letter_json_headers(letter, &headers);
    values[LETTER_KEY] = text_value(letter->key);
    values[LETTER_VALUE] = is_text ? text_value(letter->value) : (struct value){0};
    values[LETTER_VALUE_BASE64] = (struct value){0};
    if (!is_text) {
        char *text = arena_alloc(arena, 4 * ((letter->value.size + 2) / 3) + 1);
        size_t size = base64_encode(letter->value, text);
        values[LETTER_VALUE_BASE64] = text_value(bytes_of(text, size));
    }
    values[LETTER_HEADERS] =
        text_value(bytes_of(arena_copy(arena, headers.data, headers.size), headers.size));
    values[LETTER_REASON] = text_value(bytes_of_string(letter->reason));
    values[LETTER_FIELD] = text_value(bytes_of_string(letter->field));
    values[LETTER_DETAIL] = text_value(letter->detail);
    values[LETTER_VIOLATIONS] = text_value(letter->violations);
    values[LETTER_TOPIC] = text_value(bytes_of_string(letter->topic));
    values[LETTER_PARTITION] = text_value(bytes_of_string(letter->partition));
    values[LETTER_OFFSET] = (struct value){.type = VALUE_INT64, .integer = letter->offset};
    values[LETTER_TIMESTAMP] = (struct value){0};
    if (letter->timestamp_us != TIME_NEVER) {
        size_t size = time_format(letter->timestamp_us, timestamp);
        values[LETTER_TIMESTAMP] =
            text_value(bytes_of(arena_copy(arena, timestamp, size), size));
    }
    values[LETTER_PIPELINE] = text_value(bytes_of_string(letter->pipeline));
    values[LETTER_PLAN] = text_value(bytes_of_string(letter->plan));
    values[LETTER_ATTEMPT] = (struct value){.type = VALUE_INT64, .integer = letter->attempt};
    values[LETTER_SINK] =
        letter->sink[0] == '\0' ? (struct value){0} : text_value(bytes_of_string(letter->sink));
    buffer_fini(&headers);
}

static void append_dead_letter(struct sink *sink, struct outbox *outbox,
                               uint32_t source_partition, const struct dead_letter *letter,
                               const struct hash_secret *secret, struct ledger_sink *delta)
{
    (void)sink;
    struct table_outbox *o = box(outbox);
    struct arena *arena = arena_new(4096);
    struct value values[LETTER_COUNT];
    letter_values(arena, letter, values);
    struct row_head head = {
        .source_partition = source_partition,
        .offset = letter->offset,
        .hash = value_hash(secret, values, LETTER_COUNT),
    };
    size_t at = begin_row(o, &head, values, LETTER_COUNT);
    finish_row(o, at, &head, o->rows.size);
    delta->written++;
    delta->sum = hash_add(delta->sum, head.hash);
    arena_free(arena);
}

/* --- the table --- */

static void write_column_list(const struct table_sink *s, bool with_origin, struct buffer *out)
{
    for (uint32_t i = 0; i < s->column_count; i++) {
        buffer_printf(out, "%s%s", i == 0 ? "" : ", ", s->columns[i].quoted);
    }
    if (with_origin) {
        buffer_append_string(out, ", _weir_topic, _weir_partition, _weir_offset");
    }
}

static enum status create_table(struct table_sink *s, struct locallog *log, struct error *err)
{
    struct buffer sql = {0};
    buffer_printf(&sql, "CREATE TABLE IF NOT EXISTS %s (", s->quoted);
    for (uint32_t i = 0; i < s->column_count; i++) {
        buffer_printf(&sql, "%s%s %s", i == 0 ? "" : ", ", s->columns[i].quoted,
                      s->columns[i].declared);
    }
    if (!s->base.sink.is_dlq) {
        buffer_append_string(&sql, ", _weir_topic TEXT, _weir_partition INTEGER,"
                                   " _weir_offset INTEGER");
    }
    for (uint32_t i = 0; i < s->key_count; i++) {
        buffer_printf(&sql, "%s%s%s", i == 0 ? ", PRIMARY KEY (" : ", ",
                      s->columns[s->keys[i]].quoted, i + 1 == s->key_count ? ")" : "");
    }
    buffer_append_string(&sql, ") STRICT");
    enum status status = locallog_begin(log, err);
    if (status == STATUS_OK) {
        status = sqlite_run(log, buffer_string(&sql), "making a table", err);
    }
    if (status == STATUS_OK) {
        status = locallog_commit(log, err);
    }
    if (status != STATUS_OK) {
        locallog_rollback(log);
    }
    buffer_fini(&sql);
    return status;
}

/* Whether the table has a column of that name. */
static enum status has_column(struct locallog *log, const char *table, const char *column,
                              bool *out, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    enum status status = sqlite_prepare(
        log, "SELECT 1 FROM pragma_table_info(?1) WHERE name = ?2 COLLATE NOCASE",
        "looking at a table", &statement, err);
    if (status == STATUS_OK) {
        sqlite3_bind_text(statement, 1, table, -1, SQLITE_STATIC);
        sqlite3_bind_text(statement, 2, column, -1, SQLITE_STATIC);
        int code = sqlite3_step(statement);
        *out = code == SQLITE_ROW;
        if (code != SQLITE_ROW && code != SQLITE_DONE) {
            status = locallog_error(log, code, "looking at a table", err);
        }
        sqlite3_finalize(statement);
    }
    return status;
}

/* All three or none: a table that somebody else made may have its own. */
static enum status find_origin(struct table_sink *s, struct locallog *log, struct error *err)
{
    static const char *const names[] = {"_weir_topic", "_weir_partition", "_weir_offset"};
    enum status status = STATUS_OK;
    s->has_origin = true;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && status == STATUS_OK; i++) {
        bool found = false;
        status = has_column(log, s->table, names[i], &found, err);
        s->has_origin = s->has_origin && found;
    }
    return status;
}

static enum status check_columns(struct table_sink *s, struct locallog *log, struct error *err)
{
    for (uint32_t i = 0; i < s->column_count; i++) {
        bool found = false;
        enum status status = has_column(log, s->table, s->columns[i].name, &found, err);
        if (status == STATUS_OK && !found) {
            status = error_set(err, STATUS_CONFIG, "sink.missing_column",
                               "table %s has no column %s, which sink '%s' writes; add it: ALTER "
                               "TABLE %s ADD COLUMN %s; or drop the field in transform.drop",
                               s->quoted, s->columns[i].quoted, s->base.sink.name, s->quoted,
                               s->columns[i].quoted);
        }
        if (status != STATUS_OK) {
            return status;
        }
    }
    return s->base.sink.is_dlq ? STATUS_OK : find_origin(s, log, err);
}

/* The order of arrival is another one in every run: with several partitions, chance would say which of
 * two rows of one key stays. */
static enum status refuse_no_origin(const struct table_sink *s, struct error *err)
{
    if (!s->is_upsert || s->has_origin) {
        return STATUS_OK;
    }
    return error_set(err, STATUS_CONFIG, "sink.no_origin",
                     "table %s, which sink '%s' upserts into, cannot tell which of two equally new "
                     "rows stays, for it does not say where they come from; add what is not there "
                     "of these: ALTER TABLE %s ADD COLUMN _weir_topic TEXT; ALTER TABLE %s ADD "
                     "COLUMN _weir_partition INTEGER; ALTER TABLE %s ADD COLUMN _weir_offset "
                     "INTEGER",
                     s->quoted, s->base.sink.name, s->quoted, s->quoted, s->quoted);
}

static enum status find_view(struct table_sink *s, struct locallog *log, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    enum status status = sqlite_prepare(
        log, "SELECT 1 FROM sqlite_schema WHERE type = 'view' AND name = ?1 COLLATE NOCASE",
        "looking at a table", &statement, err);
    if (status == STATUS_OK) {
        sqlite3_bind_text(statement, 1, s->table, -1, SQLITE_STATIC);
        s->is_view = sqlite3_step(statement) == SQLITE_ROW;
        sqlite3_finalize(statement);
    }
    return status;
}

/* Which row breaks such a constraint is not known before COMMIT, when it may be mended by a later
 * one. */
static enum status refuse_deferred_keys(struct table_sink *s, struct locallog *log,
                                        struct error *err)
{
    sqlite3_stmt *statement = NULL;
    enum status status = sqlite_prepare(
        log, "SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?1 COLLATE NOCASE",
        "looking at a table", &statement, err);
    if (status != STATUS_OK) {
        return status;
    }
    sqlite3_bind_text(statement, 1, s->table, -1, SQLITE_STATIC);
    int code = sqlite3_step(statement);
    const char *sql = code == SQLITE_ROW ? (const char *)sqlite3_column_text(statement, 0) : NULL;
    if (sql != NULL && deferred_in_sql(sql)) {
        status = error_set(err, STATUS_CONFIG, "sink.deferred",
                           "table %s has a constraint that is checked at COMMIT only, so the row "
                           "that breaks it could not be told; make it IMMEDIATE",
                           s->quoted);
    } else if (code != SQLITE_ROW && code != SQLITE_DONE) {
        status = locallog_error(log, code, "looking at a table", err);
    }
    sqlite3_finalize(statement);
    return status;
}

/* (newest_by, topic, partition, offset), where numbers are numbers whatever the column was declared
 * as, and a row that was there before weir came is the least of its newest_by. */
static void write_wins(const struct table_sink *s, struct buffer *sql)
{
    if (s->newest_by != FIELD_NONE) {
        const char *n = s->columns[s->newest_by].quoted;
        buffer_printf(sql,
                      " WHERE (excluded.%s IS NOT NULL AND t.%s IS NULL) OR excluded.%s > t.%s"
                      " OR (excluded.%s IS t.%s AND ",
                      n, n, n, n, n, n);
    } else {
        buffer_append_string(sql, " WHERE (");
    }
    buffer_append_string(sql, "(t._weir_offset IS NULL OR (excluded._weir_topic COLLATE BINARY,"
                              " CAST(excluded._weir_partition AS INTEGER),"
                              " CAST(excluded._weir_offset AS INTEGER)) > (t._weir_topic,"
                              " CAST(t._weir_partition AS INTEGER),"
                              " CAST(t._weir_offset AS INTEGER))))");
}

static void write_upsert(const struct table_sink *s, struct buffer *sql)
{
    for (uint32_t i = 0; i < s->key_count; i++) {
        buffer_printf(sql, "%s%s", i == 0 ? " ON CONFLICT (" : ", ",
                      s->columns[s->keys[i]].quoted);
    }
    buffer_append_string(sql, ") DO UPDATE SET ");
    for (uint32_t i = 0; i < s->column_count; i++) {
        buffer_printf(sql, "%s%s = excluded.%s", i == 0 ? "" : ", ", s->columns[i].quoted,
                      s->columns[i].quoted);
    }
    buffer_append_string(sql, ", _weir_topic = excluded._weir_topic, _weir_partition ="
                              " excluded._weir_partition, _weir_offset = excluded._weir_offset");
    write_wins(s, sql);
}

static enum status prepare_insert(struct table_sink *s, struct locallog *log, struct error *err)
{
    struct buffer sql = {0};
    uint32_t count = s->column_count + (s->has_origin ? 3 : 0);
    buffer_printf(&sql, "INSERT INTO %s AS t (", s->quoted);
    write_column_list(s, s->has_origin, &sql);
    buffer_append_string(&sql, ") VALUES (");
    for (uint32_t i = 0; i < count; i++) {
        buffer_append_string(&sql, i == 0 ? "?" : ",?");
    }
    buffer_append_byte(&sql, ')');
    if (s->is_upsert) {
        write_upsert(s, &sql);
    }
    int code = sqlite3_prepare_v3(locallog_database(log), buffer_string(&sql), -1,
                                  SQLITE_PREPARE_PERSISTENT, &s->insert, NULL);
    buffer_fini(&sql);
    if (code == SQLITE_OK) {
        return STATUS_OK;
    }
    if (s->is_upsert && code == SQLITE_ERROR) {
        return error_set(err, STATUS_CONFIG, "sink.no_unique_key",
                         "table %s cannot be upserted into: %s; its key columns need a PRIMARY KEY "
                         "or a UNIQUE index",
                         s->quoted, sqlite3_errmsg(locallog_database(log)));
    }
    return locallog_error(log, code, "preparing the rows' statement", err);
}

static void close_session(struct sink *sink)
{
    sqlite3_finalize(self(sink)->insert);
    self(sink)->insert = NULL;
}

static enum status prepare(struct sink *sink, struct locallog *log, struct error *err)
{
    struct table_sink *s = self(sink);
    close_session(sink);
    enum status status = create_table(s, log, err);
    if (status == STATUS_OK) {
        status = check_columns(s, log, err);
    }
    if (status == STATUS_OK) {
        status = refuse_no_origin(s, err);
    }
    if (status == STATUS_OK) {
        status = refuse_deferred_keys(s, log, err);
    }
    if (status == STATUS_OK) {
        status = find_view(s, log, err);
    }
    return status == STATUS_OK ? prepare_insert(s, log, err) : status;
}

/* --- writing --- */

static void bind_value(sqlite3_stmt *statement, int index, const struct value *value)
{
    switch (value->type) {
    case VALUE_NULL:
        sqlite3_bind_null(statement, index);
        break;
    case VALUE_BOOL:
        sqlite3_bind_int(statement, index, value->boolean);
        break;
    case VALUE_INT64:
        sqlite3_bind_int64(statement, index, value->integer);
        break;
    case VALUE_DOUBLE:
        sqlite3_bind_double(statement, index, value->real);
        break;
    case VALUE_TEXT:
    case VALUE_JSON:
        sqlite3_bind_text64(statement, index,
                            value->text.size == 0 ? "" : (const char *)value->text.data,
                            value->text.size, SQLITE_STATIC, SQLITE_UTF8);
        break;
    }
}

/* Bindings stay over a reset, and rows of one origin come in runs. */
static void bind_row(struct table_sink *s, const struct row_head *head,
                     const uint8_t *values)
{
    struct reader in = reader_of(bytes_of(values, head->values_bytes));
    for (uint32_t i = 0; i < s->column_count; i++) {
        struct value value = value_read(&in);
        bind_value(s->insert, (int)i + 1, &value);
    }
    check(!in.failed);
    if (s->has_origin) {
        int next = (int)s->column_count + 1;
        if (s->bound != head->origin) {
            sqlite3_bind_text(s->insert, next, head->origin->topic, -1, SQLITE_STATIC);
            sqlite3_bind_int(s->insert, next + 1, head->origin->number);
            s->bound = head->origin;
        }
        sqlite3_bind_int64(s->insert, next + 2, head->offset);
    }
}

/* NULL when the failure is not the row's own fault. */
static const char *reject_code(int extended)
{
    switch (extended) {
    case SQLITE_CONSTRAINT_CHECK:
        return "sink.constraint_check";
    case SQLITE_CONSTRAINT_NOTNULL:
        return "sink.constraint_notnull";
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_PRIMARYKEY:
    case SQLITE_CONSTRAINT_ROWID:
        return "sink.constraint_unique";
    case SQLITE_CONSTRAINT_FOREIGNKEY:
        return "sink.constraint_foreignkey";
    case SQLITE_CONSTRAINT_TRIGGER:
        return "sink.trigger";
    case SQLITE_CONSTRAINT_DATATYPE:
        return "sink.datatype";
    default:
        break;
    }
    switch (extended & 0xff) {
    case SQLITE_CONSTRAINT:
        return "sink.constraint";
    case SQLITE_MISMATCH:
        return "sink.mismatch";
    case SQLITE_TOOBIG:
        return "sink.too_large";
    default:
        return NULL;
    }
}

static void take_record(const struct row_head *head, const uint8_t *row, struct record *record)
{
    size_t at = sizeof *head + head->values_bytes;
    struct reader in = reader_of(bytes_of(row + at, head->size_bytes - at));
    record->offset = head->offset;
    record->timestamp_us = head->timestamp_us;
    record->key = read_bytes(&in);
    record->value = read_bytes(&in);
    record->header_count = reader_u32(&in);
    struct record_header *headers =
        memory_alloc(size_mul(record->header_count + 1, sizeof *headers));
    for (uint32_t i = 0; i < record->header_count; i++) {
        headers[i].name = read_bytes(&in);
        headers[i].value = read_bytes(&in);
    }
    record->headers = headers;
    check(!in.failed);
}

static void refuse(const struct sink *sink, const struct table_outbox *o,
                   const struct row_head *head, const uint8_t *row, struct attempt *attempt)
{
    const struct mark *mark = &o->marks[head->mark];
    struct reject reject = {
        .sink = sink,
        .origin = head->origin,
        .source_partition = head->source_partition,
        .attempt = head->attempt,
        .hash = head->hash,
        .code = mark->code,
    };
    memcpy(reject.message, mark->message, sizeof reject.message);
    take_record(head, row, &reject.record);
    attempt_add_reject(attempt, &reject);
}

/* What fits, and no half of a character. */
static void copy_message(const char *text, char *out, size_t out_size)
{
    size_t size = strnlen(text, out_size);
    if (size == out_size) {
        size--;
        while (size > 0 && ((unsigned char)text[size] & 0xC0) == 0x80) {
            size--;
        }
    }
    memcpy(out, text, size);
    out[size] = '\0';
}

static void mark_row(struct table_outbox *o, struct row_head *head, uint8_t *row,
                     const char *code, const char *message)
{
    o->marks = memory_realloc(o->marks, size_mul(o->mark_count + 1, sizeof *o->marks));
    struct mark *mark = &o->marks[o->mark_count];
    mark->code = code;
    copy_message(message, mark->message, sizeof mark->message);
    head->is_marked = true;
    head->mark = o->mark_count++;
    memcpy(row, head, sizeof *head);
}

/* Why a row cannot stay in the table. */
struct refusal {
    const char *code; /* NULL: it can, or the failure is not its fault */
    const char *message;
    bool is_in_table; /* or the transaction is gone: the epoch must be written without it */
};

static struct refusal judge_step(const struct table_sink *s, struct sqlite3 *database, int code)
{
    if (code != SQLITE_DONE) {
        /* RAISE(ROLLBACK) takes the transaction, RAISE(FAIL) leaves the row in it. */
        return (struct refusal){reject_code(sqlite3_extended_errcode(database)),
                                sqlite3_errmsg(database),
                                sqlite3_get_autocommit(database) != 0 ||
                                    sqlite3_changes(database) > 0};
    }
    /* A trigger may write into a table whose foreign keys are checked at COMMIT, where the whole
     * epoch would fail for this row. */
    int unfulfilled = 0;
    int highest = 0;
    if (sqlite3_db_status(database, SQLITE_DBSTATUS_DEFERRED_FKS, &unfulfilled, &highest, 0) ==
            SQLITE_OK &&
        unfulfilled != 0) {
        return (struct refusal){"sink.constraint_foreignkey",
                                "a foreign key that is checked at COMMIT has no parent", true};
    }
    /* A trigger's RAISE(IGNORE), or ON CONFLICT IGNORE in the table: an append that left nothing. */
    if (!s->is_upsert && !s->is_view && sqlite3_changes(database) == 0) {
        return (struct refusal){"sink.ignored", "the table ignored the row",
                                sqlite3_get_autocommit(database) != 0};
    }
    return (struct refusal){0};
}

static enum status fail_letter(const struct table_sink *s, struct locallog *log, int code,
                               const struct refusal *refusal, struct error *err)
{
    if (code != SQLITE_DONE) {
        return locallog_error(log, sqlite3_extended_errcode(locallog_database(log)),
                              "writing a dead letter", err);
    }
    return error_set(err, STATUS_FATAL, refusal->code,
                     "table %s does not take a dead letter (%s): mend its triggers and "
                     "constraints, or dead letters would be lost",
                     s->quoted, refusal->message);
}

static enum status write_row(struct sink *sink, struct table_outbox *o, struct locallog *log,
                             uint8_t *row, struct attempt *attempt, bool *out_redo,
                             struct error *err)
{
    struct table_sink *s = self(sink);
    struct sqlite3 *database = locallog_database(log);
    struct row_head head;
    memcpy(&head, row, sizeof head);
    if (head.is_marked) {
        refuse(sink, o, &head, row, attempt);
        return STATUS_OK;
    }
    bind_row(s, &head, row + sizeof head);
    int code = sqlite3_step(s->insert);
    struct refusal refusal = judge_step(s, database, code);
    enum status status = STATUS_OK;
    if (code == SQLITE_DONE && refusal.code == NULL) {
        /* It stays. */
    } else if (sink->is_dlq) {
        status = fail_letter(s, log, code, &refusal, err);
    } else if (refusal.code == NULL) {
        status = locallog_error(log, sqlite3_extended_errcode(database), "writing a row", err);
    } else {
        mark_row(o, &head, row, refusal.code, refusal.message);
        *out_redo = refusal.is_in_table;
    }
    sqlite3_reset(s->insert);
    if (head.is_marked && !*out_redo) {
        refuse(sink, o, &head, row, attempt);
    }
    return status;
}

static void finish(struct sink *sink, struct outbox *outbox)
{
    (void)sink;
    (void)outbox; /* rows are bound as they are */
}

static enum status write_rows(struct sink *sink, struct outbox *outbox, struct locallog *log,
                              struct attempt *attempt, bool *out_redo, struct error *err)
{
    struct table_outbox *o = box(outbox);
    self(sink)->bound = NULL;
    for (size_t at = 0; at < o->rows.size;) {
        uint32_t size_bytes;
        memcpy(&size_bytes, o->rows.data + at, sizeof size_bytes);
        enum status status =
            write_row(sink, o, log, o->rows.data + at, attempt, out_redo, err);
        if (status != STATUS_OK || *out_redo) {
            return status;
        }
        at += size_bytes;
    }
    sqlite3_clear_bindings(self(sink)->insert);
    return STATUS_OK;
}

static void free_sink(struct sink *sink)
{
    struct table_sink *s = self(sink);
    memory_free(s->values);
    arena_free(s->arena);
    memory_free(s);
}

static const struct sqlite_sink_work table_sink_work = {
    .prepare = prepare,
    .finish = finish,
    .write = write_rows,
    .unmark = unmark,
    .close_session = close_session,
    .free = free_sink,
};

/* --- first start and audit --- */

static enum status is_empty(struct sink *sink, bool *out_empty, struct error *err)
{
    struct table_sink *s = self(sink);
    struct locallog *log = sqlite_system_log(sink->system);
    sqlite3_stmt *statement = NULL;
    *out_empty = true;
    enum status status = sqlite_prepare(
        log, "SELECT 1 FROM sqlite_schema WHERE type IN ('table', 'view') AND name = ?1"
             " COLLATE NOCASE",
        "looking for a table", &statement, err);
    if (status != STATUS_OK) {
        return status;
    }
    sqlite3_bind_text(statement, 1, s->table, -1, SQLITE_STATIC);
    bool exists = sqlite3_step(statement) == SQLITE_ROW;
    sqlite3_finalize(statement);
    if (!exists) {
        return STATUS_OK;
    }
    struct buffer sql = {0};
    buffer_printf(&sql, "SELECT 1 FROM %s LIMIT 1", s->quoted);
    status = sqlite_prepare(log, buffer_string(&sql), "looking into a table", &statement, err);
    if (status == STATUS_OK) {
        *out_empty = sqlite3_step(statement) != SQLITE_ROW;
        sqlite3_finalize(statement);
    }
    buffer_fini(&sql);
    return status;
}

static struct value column_value(sqlite3_stmt *statement, int index)
{
    switch (sqlite3_column_type(statement, index)) {
    case SQLITE_INTEGER:
        return (struct value){.type = VALUE_INT64,
                              .integer = sqlite3_column_int64(statement, index)};
    case SQLITE_FLOAT:
        return (struct value){.type = VALUE_DOUBLE,
                              .real = sqlite3_column_double(statement, index)};
    case SQLITE_NULL:
        return (struct value){.type = VALUE_NULL};
    default:
        break;
    }
    const void *text = sqlite3_column_blob(statement, index);
    return (struct value){
        .type = VALUE_TEXT,
        .text = bytes_of(text == NULL ? "" : text,
                         (size_t)sqlite3_column_bytes(statement, index)),
    };
}

/* What people see of a row: its first columns. */
static void write_row_text(const struct value *values, uint32_t count, struct buffer *out)
{
    buffer_clear(out);
    for (uint32_t i = 0; i < count && i < 4; i++) {
        if (i > 0) {
            buffer_append_string(out, ", ");
        }
        json_write_value(out, &values[i]);
    }
}

static enum status prepare_scan(struct table_sink *s, struct locallog *log,
                                sqlite3_stmt **out, struct error *err)
{
    struct buffer sql = {0};
    buffer_append_string(&sql, "SELECT ");
    write_column_list(s, s->has_origin, &sql);
    buffer_printf(&sql, " FROM %s", s->quoted);
    enum status status = sqlite_prepare(log, buffer_string(&sql), "reading a table", out, err);
    buffer_fini(&sql);
    return status;
}

static enum status scan_rows(struct sink *sink, const struct hash_secret *secret,
                             enum status (*row)(void *context, struct hash128 hash,
                                                const char *origin_topic,
                                                const char *origin_partition,
                                                int64_t origin_offset, struct bytes text,
                                                struct error *err),
                             void *context, struct error *err)
{
    struct table_sink *s = self(sink);
    struct locallog *log = sqlite_system_log(sink->system);
    sqlite3_stmt *statement = NULL;
    enum status status = check_columns(s, log, err);
    if (status == STATUS_OK) {
        status = prepare_scan(s, log, &statement, err);
    }
    if (status != STATUS_OK) {
        return status;
    }
    struct buffer text = {0};
    struct value *values = memory_alloc_zero(s->column_count + 1, sizeof *values);
    int code = SQLITE_DONE;
    while (status == STATUS_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        for (uint32_t i = 0; i < s->column_count; i++) {
            values[i] = column_value(statement, (int)i);
        }
        int first = sink->is_dlq ? LETTER_TOPIC : (int)s->column_count;
        bool known = (sink->is_dlq || s->has_origin) &&
                     sqlite3_column_type(statement, first) != SQLITE_NULL;
        struct hash128 hash = value_hash(secret, values, s->column_count);
        write_row_text(values, s->column_count, &text);
        status = row(context, hash,
                     known ? (const char *)sqlite3_column_text(statement, first) : NULL,
                     known ? (const char *)sqlite3_column_text(statement, first + 1) : NULL,
                     known ? sqlite3_column_int64(statement, first + 2) : -1,
                     bytes_of(text.data, text.size), err);
    }
    if (status == STATUS_OK && code != SQLITE_DONE) {
        status = locallog_error(log, code, "reading a table", err);
    }
    memory_free(values);
    buffer_fini(&text);
    sqlite3_finalize(statement);
    return status;
}

static void key_row(struct sink *sink, const struct output_row *row,
                    const struct hash_secret *secret, struct arena *arena,
                    struct hash128 *out_key, struct value *out_order)
{
    struct table_sink *s = self(sink);
    struct value keys[16];
    for (uint32_t i = 0; i < s->key_count; i++) {
        keys[i] = stored_value(&sink->shape->columns[s->keys[i]], row->batch, row->row);
    }
    (void)arena;
    *out_key = value_hash(secret, keys, s->key_count);
    if (s->newest_by != FIELD_NONE) {
        *out_order = stored_value(&sink->shape->columns[s->newest_by], row->batch, row->row);
    }
}

static bool is_keyed(const struct sink *sink)
{
    return self(sink)->is_upsert;
}

static const char *address(const struct sink *sink)
{
    return self(sink)->table;
}

/* Which column of its own stands in each column of another. */
static void map_columns(struct table_sink *s, const struct table_sink *other)
{
    uint32_t count = other->column_count;
    s->seen_of = other;
    s->seen = arena_alloc_zero(s->arena, count, sizeof *s->seen);
    s->seen_values = arena_alloc_zero(s->arena, count, sizeof *s->seen_values);
    for (uint32_t i = 0; i < count; i++) {
        s->seen[i] = FIELD_NONE;
        for (uint32_t k = 0; k < s->column_count; k++) {
            if (strcmp(s->columns[k].name, other->columns[i].name) == 0) {
                s->seen[i] = k;
            }
        }
    }
}

static void look_through(struct sink *sink, const struct sink *now)
{
    struct table_sink *s = self(sink);
    s->seen_by = now == sink ? NULL : self(now);
    if (s->seen_by != NULL && s->seen_by != s->seen_of) {
        map_columns(s, s->seen_by);
    }
}

static const char *guarantee(const struct sink *sink)
{
    return self(sink)->is_upsert ? "exactly once (upsert by key)" : "exactly once";
}

static const struct sink_ops table_sink_ops = {
    .kind = "sqlite",
    .grammar = table_sink_fields,
    .can_reject = true,
    .outbox_new = outbox_new,
    .outbox_clear = outbox_clear,
    .outbox_free = outbox_free,
    .append_row = append_row,
    .append_dead_letter = append_dead_letter,
    .is_empty = is_empty,
    .scan = scan_rows,
    .key_row = key_row,
    .is_keyed = is_keyed,
    .address = address,
    .look_through = look_through,
    .guarantee = guarantee,
};

/* --- making a sink --- */

static const char *declared_type(const struct output_column *column)
{
    switch (column->type) {
    case COLUMN_BOOL:
    case COLUMN_INT64:
        return column->required ? "INTEGER NOT NULL" : "INTEGER";
    case COLUMN_DOUBLE:
        return column->required ? "REAL NOT NULL" : "REAL";
    case COLUMN_TEXT:
        return column->required ? "TEXT NOT NULL" : "TEXT";
    case COLUMN_JSON:
    case COLUMN_OBJECT:
        break;
    }
    return column->required ? "ANY NOT NULL" : "ANY";
}

static void take_columns(struct table_sink *s, const struct output_shape *shape)
{
    bool is_dlq = s->base.sink.is_dlq;
    s->column_count = is_dlq ? LETTER_COUNT : shape->column_count;
    s->columns = arena_alloc_zero(s->arena, s->column_count + 1, sizeof *s->columns);
    s->values = memory_alloc_zero(s->column_count + 1, sizeof *s->values);
    for (uint32_t i = 0; i < s->column_count; i++) {
        const char *name = is_dlq ? letter_columns[i].name : shape->columns[i].name;
        s->columns[i] = (struct column_out){
            .name = name,
            .quoted = sqlite_quote(s->arena, name),
            .declared =
                is_dlq ? letter_columns[i].declared : declared_type(&shape->columns[i]),
        };
    }
}

static enum status find_column(const struct table_sink *s, const struct doc *name, uint32_t *out,
                               struct error *err)
{
    for (uint32_t i = 0; i < s->column_count; i++) {
        if (strcmp(s->columns[i].name, name->text) == 0) {
            *out = i;
            return STATUS_OK;
        }
    }
    const char **names = arena_alloc_zero(s->arena, s->column_count + 1, sizeof *names);
    for (uint32_t i = 0; i < s->column_count; i++) {
        names[i] = s->columns[i].name;
    }
    const char *nearest = string_nearest(name->text, names, s->column_count);
    return doc_error(name, err, "config.unknown_field",
                     "the rows of this table have no column '%s'%s%s%s", name->text,
                     nearest == NULL ? "" : "; did you mean '", nearest == NULL ? "" : nearest,
                     nearest == NULL ? "" : "'?");
}

#define KEYS_MAX 16

static enum status take_keys(struct table_sink *s, const struct doc *config,
                             const struct output_shape *shape, struct error *err)
{
    const struct doc *key = doc_get(config, "key");
    const struct doc *newest_by = doc_get(config, "newest_by");
    s->newest_by = FIELD_NONE;
    s->is_upsert = strcmp(grammar_string(config, "mode", "append"), "upsert") == 0;
    if (!s->is_upsert || s->base.sink.is_dlq) {
        const struct doc *extra = key != NULL ? key : newest_by;
        extra = s->is_upsert ? doc_get(config, "mode") : extra;
        return extra == NULL ? STATUS_OK
                             : doc_error(extra, err, "config.value",
                                         "key and newest_by belong to 'mode: upsert', and dead "
                                         "letters are always appended");
    }
    if (key == NULL) {
        return doc_error(config, err, "config.missing_key",
                         "mode upsert needs a key: which columns name a row?");
    }
    s->key_count = key->kind == DOC_LIST ? (uint32_t)key->count : 1;
    if (s->key_count == 0 || s->key_count > KEYS_MAX) {
        return doc_error(key, err, "config.value", "a key has 1 to %d columns", KEYS_MAX);
    }
    s->keys = arena_alloc_zero(s->arena, s->key_count, sizeof *s->keys);
    for (uint32_t i = 0; i < s->key_count; i++) {
        const struct doc *name = key->kind == DOC_LIST ? key->items[i] : key;
        enum status status = find_column(s, name, &s->keys[i], err);
        if (status == STATUS_OK && !shape->columns[s->keys[i]].required) {
            status = doc_error(name, err, "config.value",
                               "'%s' may be null, and a null never equals a key; make it required "
                               "in the schema",
                               name->text);
        }
        if (status != STATUS_OK) {
            return status;
        }
    }
    return newest_by == NULL ? STATUS_OK : find_column(s, newest_by, &s->newest_by, err);
}

static enum status check_table_name(const struct doc *config, const struct system *system,
                                    struct error *err)
{
    const struct doc *table = doc_get(config, "table");
    if (sqlite3_strnicmp(table->text, "weir_", 5) == 0 ||
        sqlite3_strnicmp(table->text, "sqlite_", 7) == 0 || table->text_size == 0) {
        return doc_error(table, err, "config.value",
                         "names of tables must not be empty or begin with weir_ or sqlite_");
    }
    for (uint32_t i = 0; i < system->sink_count; i++) {
        const struct sink *other = system->sinks[i];
        if (other->ops == &table_sink_ops &&
            sqlite3_stricmp(self(other)->table, table->text) == 0) {
            return doc_error(table, err, "config.value",
                             "table '%s' is the place of '%s' already; every sink has a place of "
                             "its own",
                             table->text, other->name);
        }
    }
    return STATUS_OK;
}

static enum status sink_add(struct system *system, const char *name, bool is_dlq,
                            const struct doc *config, const struct output_shape *shape,
                            struct sink **out, struct error *err)
{
    enum status status = check_table_name(config, system, err);
    if (status == STATUS_OK && !is_dlq) {
        status = table_columns_check(doc_get(config, "table"), shape, err);
    }
    if (status != STATUS_OK) {
        return status;
    }
    struct table_sink *s = memory_alloc_zero(1, sizeof *s);
    s->arena = arena_new(8 * 1024);
    s->base.work = &table_sink_work;
    s->base.sink = (struct sink){
        .ops = &table_sink_ops, .name = name, .is_dlq = is_dlq, .shape = shape};
    s->table = arena_copy_string(s->arena, grammar_string(config, "table", ""));
    s->quoted = sqlite_quote(s->arena, s->table);
    take_columns(s, shape);
    status = take_keys(s, config, shape, err);
    if (status != STATUS_OK) {
        free_sink(&s->base.sink);
        return status;
    }
    sqlite_system_add(system, &s->base);
    *out = &s->base.sink;
    return STATUS_OK;
}

const struct sink_kind sqlite_sink_kind = {
    .ops = &table_sink_ops,
    .system_ops = &sqlite_system_ops,
    .system_place = sqlite_system_place,
    .system_new = sqlite_system_new,
    .sink_add = sink_add,
};
