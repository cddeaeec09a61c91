#include "cli/letters.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "cli/lines.h"
#include "codec/json.h"
#include "codec/json_items.h"
#include "locallog/locallog.h"

#define LINE_MAX_BYTES ((size_t)1 << 30)

/* The reading of one place. */
struct reading {
    letters_visitor *visit;
    void *context;
    uint64_t foreign_count;
    bool is_done;
};

/* --- a letter as named texts, whatever it was written in --- */

enum part {
    PART_REASON,
    PART_FIELD,
    PART_DETAIL,
    PART_VIOLATIONS,
    PART_TOPIC,
    PART_PARTITION,
    PART_OFFSET,
    PART_TIMESTAMP,
    PART_PIPELINE,
    PART_PLAN,
    PART_ATTEMPT,
    PART_SINK,
    PART_COUNT,
};
static const char *const part_names[PART_COUNT] = {
    "reason",    "field",    "detail", "violations", "topic", "partition", "offset",
    "timestamp", "pipeline", "plan",   "attempt",    "sink",
};

static const char *text_of(struct arena *arena, struct bytes part)
{
    return bytes_is_none(part) ? "" : arena_copy(arena, part.data, part.size);
}

static bool read_number(const char *text, int64_t most, int64_t *out)
{
    char *end = NULL;
    *out = strtoll(text, &end, 10);
    return end != text && *end == '\0' && *out >= 0 && *out <= most;
}

/* False when the parts are not those of a dead letter. */
static bool letter_from_parts(struct arena *arena, const struct bytes *parts,
                              struct dead_letter *out)
{
    int64_t attempt = 0;
    const char *partition = text_of(arena, parts[PART_PARTITION]);
    const char *topic = text_of(arena, parts[PART_TOPIC]);
    *out = (struct dead_letter){
        .reason = text_of(arena, parts[PART_REASON]),
        .field = text_of(arena, parts[PART_FIELD]),
        .detail = parts[PART_DETAIL],
        .violations =
            bytes_is_none(parts[PART_VIOLATIONS]) ? bytes_of_string("[]") : parts[PART_VIOLATIONS],
        .topic = topic,
        .partition = partition,
        .pipeline = text_of(arena, parts[PART_PIPELINE]),
        .plan = text_of(arena, parts[PART_PLAN]),
        .sink = text_of(arena, parts[PART_SINK]),
    };
    if (!time_parse_rfc3339(parts[PART_TIMESTAMP], &out->timestamp_us)) {
        out->timestamp_us = TIME_NEVER;
    }
    bool is_letter =
        out->reason[0] != '\0' && topic[0] != '\0' && partition[0] != '\0' &&
        read_number(text_of(arena, parts[PART_OFFSET]), INT64_MAX, &out->offset) &&
        read_number(text_of(arena, parts[PART_ATTEMPT]), INT32_MAX, &attempt) && attempt > 0;
    out->attempt = (uint32_t)attempt;
    return is_letter;
}

static enum status visit(struct reading *reading, const struct dead_letter *letter,
                         struct error *err)
{
    return reading->visit(reading->context, letter, &reading->is_done, err);
}

/* --- headers that were written as JSON --- */

static struct bytes decode_base64(struct arena *arena, struct bytes text)
{
    uint8_t *data = arena_alloc(arena, 3 * (text.size / 4) + 1);
    size_t size = 0;
    return base64_decode(text, data, &size) ? bytes_of(data, size) : BYTES_NONE;
}

/* null, "text", or {"base64":"…"} */
static struct bytes header_text(struct arena *arena, struct bytes raw)
{
    struct json_items items;
    struct bytes name;
    struct bytes value;
    if (json_items_begin(&items, raw)) {
        return json_items_next(&items, &name, &value)
                   ? decode_base64(arena, json_value(arena, value).text)
                   : BYTES_NONE;
    }
    struct value text = json_value(arena, raw);
    return text.type == VALUE_TEXT ? text.text : BYTES_NONE;
}

/* ["name","value"], or {"name":…,"value":…}, the latter also with …_base64. */
static struct record_header header_from_json(struct arena *arena, struct bytes raw)
{
    struct record_header header = {BYTES_NONE, BYTES_NONE};
    struct json_items items;
    struct bytes name;
    struct bytes value;
    bool is_list = json_items_begin(&items, raw);
    for (uint32_t i = 0; is_list && json_items_next(&items, &name, &value); i++) {
        bool is_name = bytes_is_none(name) ? i == 0 : bytes_starts_with(name, "\"name");
        bool is_base64 = !bytes_is_none(name) && name.size > 9 &&
                         memcmp(name.data + name.size - 8, "_base64\"", 8) == 0;
        struct bytes text = header_text(arena, value);
        *(is_name ? &header.name : &header.value) =
            is_base64 && !bytes_is_none(text) ? decode_base64(arena, text) : text;
    }
    return header;
}

static void headers_from_json(struct arena *arena, struct bytes json, struct dead_letter *letter)
{
    struct json_items items;
    struct bytes name;
    struct bytes raw;
    uint32_t count = 0;
    if (bytes_is_none(json) || !json_is_valid(json, 8) || !json_items_begin(&items, json)) {
        return;
    }
    for (struct json_items counted = items; json_items_next(&counted, &name, &raw); count++) {
    }
    struct record_header *headers = arena_alloc_zero(arena, count + 1, sizeof *headers);
    letter->headers = headers;
    while (json_items_next(&items, &name, &raw)) {
        headers[letter->header_count] = header_from_json(arena, raw);
        letter->header_count += !bytes_is_none(headers[letter->header_count].name);
    }
}

/* --- topics --- */

/* Which part a header is; PART_COUNT when it is none. */
static enum part part_of_header(struct bytes name)
{
    static const char prefix[] = "weir.";
    const size_t size = sizeof prefix - 1;
    if (!bytes_starts_with(name, prefix)) {
        return PART_COUNT;
    }
    struct bytes rest = bytes_of(name.data + size, name.size - size);
    uint32_t part = 0;
    while (part < PART_COUNT && !bytes_equal_string(rest, part_names[part])) {
        part++;
    }
    return (enum part)part;
}

/* weir's own headers stand behind the original ones; of two with one name the last is weir's. */
static enum status visit_record(void *context, const struct record *record, uint32_t partition,
                                struct arena *arena, bool *out_done, struct error *err)
{
    (void)partition;
    struct reading *reading = context;
    struct bytes parts[PART_COUNT] = {{0}};
    struct dead_letter letter;
    struct record_header *headers =
        arena_alloc_zero(arena, record->header_count + 1u, sizeof *headers);
    uint32_t count = 0;
    for (uint32_t i = record->header_count; i > 0; i--) {
        const struct record_header *header = &record->headers[i - 1];
        enum part part = part_of_header(header->name);
        if (part < PART_COUNT && bytes_is_none(parts[part])) {
            parts[part] = bytes_is_none(header->value) ? bytes_of_string("") : header->value;
        } else {
            headers[record->header_count - ++count] = *header;
        }
    }
    if (!letter_from_parts(arena, parts, &letter)) {
        reading->foreign_count++;
        return STATUS_OK;
    }
    letter.key = record->key;
    letter.value = record->value;
    letter.headers = headers + (record->header_count - count);
    letter.header_count = count;
    enum status status = visit(reading, &letter, err);
    *out_done = reading->is_done;
    return status;
}

/* --- tables --- */

static const char letters_sql[] =
    "SELECT reason, field, detail, violations, topic, partition, offset, timestamp, pipeline, plan,"
    " attempt, sink, key, key_base64, value, value_base64, headers FROM \"%w\"";
enum {
    COLUMN_KEY = PART_COUNT,
    COLUMN_KEY_BASE64,
    COLUMN_VALUE,
    COLUMN_VALUE_BASE64,
    COLUMN_HEADERS,
};

static struct bytes column_bytes(struct arena *arena, sqlite3_stmt *row, int column)
{
    if (sqlite3_column_type(row, column) == SQLITE_NULL) {
        return BYTES_NONE;
    }
    const void *data = sqlite3_column_blob(row, column);
    size_t size = (size_t)sqlite3_column_bytes(row, column);
    return bytes_of(arena_copy(arena, data == NULL ? "" : data, size), size);
}

/* What stands in `column`, or in base64 in the one behind it. */
static struct bytes text_or_base64(struct arena *arena, sqlite3_stmt *row, int column)
{
    struct bytes base64 = column_bytes(arena, row, column + 1);
    return bytes_is_none(base64) ? column_bytes(arena, row, column)
                                 : decode_base64(arena, base64);
}

static enum status visit_row(struct reading *reading, struct arena *arena, sqlite3_stmt *row,
                             struct error *err)
{
    struct bytes parts[PART_COUNT];
    struct dead_letter letter;
    for (int i = 0; i < PART_COUNT; i++) {
        parts[i] = column_bytes(arena, row, i);
    }
    if (!letter_from_parts(arena, parts, &letter)) {
        reading->foreign_count++;
        return STATUS_OK;
    }
    letter.key = text_or_base64(arena, row, COLUMN_KEY);
    letter.value = text_or_base64(arena, row, COLUMN_VALUE);
    headers_from_json(arena, column_bytes(arena, row, COLUMN_HEADERS), &letter);
    return visit(reading, &letter, err);
}

static enum status read_rows(struct reading *reading, struct locallog *log, sqlite3_stmt *row,
                             struct error *err)
{
    struct arena *arena = arena_new(16 * 1024);
    enum status status = STATUS_OK;
    while (status == STATUS_OK && !reading->is_done) {
        int answer = sqlite3_step(row);
        if (answer != SQLITE_ROW) {
            status =
                answer == SQLITE_DONE ? STATUS_OK : locallog_error(log, answer, "read", err);
            break;
        }
        arena_reset(arena, 16 * 1024);
        status = visit_row(reading, arena, row, err);
    }
    arena_free(arena);
    return status;
}

static enum status read_table(struct reading *reading, const struct place *place,
                              struct error *err)
{
    struct locallog *log = NULL;
    sqlite3_stmt *row = NULL;
    enum status status = locallog_open(place->path, LOCALLOG_READ, &log, err);
    if (status != STATUS_OK) {
        return status;
    }
    char *sql = sqlite3_mprintf(letters_sql, place->name);
    if (sql == NULL) {
        memory_exhausted(sizeof letters_sql);
    }
    int answer = sqlite3_prepare_v2(locallog_database(log), sql, -1, &row, NULL);
    if (answer == SQLITE_ERROR) {
        status = error_set(err, STATUS_CONFIG, "dlq.table",
                           "'%s' of %s is no table of dead letters (%s); a pipeline makes it when "
                           "it first runs",
                           place->name, place->path, sqlite3_errmsg(locallog_database(log)));
    } else if (answer != SQLITE_OK) {
        status = locallog_error(log, answer, "read", err);
    } else {
        status = read_rows(reading, log, row, err);
    }
    sqlite3_free(sql);
    sqlite3_finalize(row);
    locallog_close(log);
    return status;
}

/* --- files --- */

enum { MEMBER_KEY = PART_COUNT, MEMBER_KEY_BASE64, MEMBER_VALUE, MEMBER_VALUE_BASE64,
       MEMBER_HEADERS, MEMBER_DETAIL_BASE64, MEMBER_COUNT };

struct line_reader {
    struct field fields[MEMBER_COUNT];
    struct layout layout;
    struct json_decoder *decoder;
    struct batch *batch;
};

static void line_reader_init(struct line_reader *reader)
{
    static const struct json_options json = {.max_record_bytes = LINE_MAX_BYTES};
    static const char *const more[] = {"key",          "key_base64", "value",
                                       "value_base64", "headers",    "detail_base64"};
    for (uint32_t i = 0; i < MEMBER_COUNT; i++) {
        const char *name = i < PART_COUNT ? part_names[i] : more[i - PART_COUNT];
        bool is_text = i != PART_VIOLATIONS && i != PART_OFFSET && i != PART_ATTEMPT &&
                       i != MEMBER_HEADERS;
        reader->fields[i] = (struct field){.name = name,
                                           .name_size = (uint32_t)strlen(name),
                                           .path = name,
                                           .type = is_text ? COLUMN_TEXT : COLUMN_JSON,
                                           .parent = FIELD_NONE};
    }
    reader->layout = (struct layout){.fields = reader->fields,
                                     .field_count = MEMBER_COUNT,
                                     .schema_field_count = MEMBER_COUNT};
    reader->decoder = json_decoder_new(&reader->layout, &json);
    reader->batch = batch_new(&reader->layout);
    batch_reset(reader->batch, 0, 0);
}

static struct bytes member(const struct batch *batch, uint32_t index, uint32_t row)
{
    const struct column *column = &batch->columns[index];
    return column->cells[row] == CELL_VALUE ? column->texts[row] : BYTES_NONE;
}

static struct bytes member_or_base64(const struct batch *batch, uint32_t plain, uint32_t base64,
                                     uint32_t row)
{
    struct bytes text = member(batch, base64, row);
    return bytes_is_none(text) ? member(batch, plain, row) : decode_base64(batch->arena, text);
}

/* JSON that a table keeps in a text stands in a JSON string. */
static struct bytes json_member(const struct batch *batch, uint32_t index, uint32_t row)
{
    struct bytes json = member(batch, index, row);
    return !bytes_is_none(json) && json.size > 0 && json.data[0] == '"'
               ? json_value(batch->arena, json).text
               : json;
}

static enum status visit_line(struct reading *reading, const struct batch *batch, uint32_t row,
                              struct error *err)
{
    struct bytes parts[PART_COUNT];
    struct dead_letter letter;
    for (uint32_t i = 0; i < PART_COUNT; i++) {
        parts[i] = member(batch, i, row);
    }
    parts[PART_VIOLATIONS] = json_member(batch, PART_VIOLATIONS, row);
    parts[PART_DETAIL] = member_or_base64(batch, PART_DETAIL, MEMBER_DETAIL_BASE64, row);
    if (!letter_from_parts(batch->arena, parts, &letter)) {
        reading->foreign_count++;
        return STATUS_OK;
    }
    letter.key = member_or_base64(batch, MEMBER_KEY, MEMBER_KEY_BASE64, row);
    letter.value = member_or_base64(batch, MEMBER_VALUE, MEMBER_VALUE_BASE64, row);
    headers_from_json(batch->arena, json_member(batch, MEMBER_HEADERS, row), &letter);
    return visit(reading, &letter, err);
}

static enum status visit_lines(struct reading *reading, struct line_reader *reader,
                               struct error *err)
{
    struct batch *batch = reader->batch;
    enum status status = STATUS_OK;
    json_decode(reader->decoder, batch);
    for (uint32_t row = 0; row < batch->row_count && status == STATUS_OK && !reading->is_done;
         row++) {
        status = visit_line(reading, batch, row, err);
    }
    batch_reset(batch, 0, 0);
    return status;
}

static enum status read_file(struct reading *reading, struct line_reader *reader,
                             const char *path, struct error *err)
{
    struct lines *lines = NULL;
    struct bytes line;
    enum status status = lines_open(path, &lines, err);
    while (status == STATUS_OK && !lines_at_end(lines) && !reading->is_done) {
        status = lines_fill(lines, err);
        while (status == STATUS_OK && lines_next(lines, &line)) {
            batch_append_record(reader->batch)->value = line;
            if (reader->batch->row_count == BATCH_ROWS_MAX) {
                status = visit_lines(reading, reader, err);
            }
        }
        if (status == STATUS_OK) {
            status = visit_lines(reading, reader, err);
        }
    }
    lines_close(lines);
    return status;
}

static void line_reader_fini(struct line_reader *reader)
{
    json_decoder_free(reader->decoder);
    batch_free(reader->batch);
}

static enum status read_files(struct reading *reading, const struct place *place,
                              struct error *err)
{
    struct line_reader reader = {0};
    struct arena *arena = arena_new(16 * 1024);
    const char **paths = NULL;
    size_t count = 0;
    bool is_folder = false;
    line_reader_init(&reader);
    enum status status = place_files(arena, place, &paths, &count, &is_folder, err);
    for (size_t i = 0; i < count && status == STATUS_OK && !reading->is_done; i++) {
        status = read_file(reading, &reader, paths[i], err);
    }
    line_reader_fini(&reader);
    arena_free(arena);
    return status;
}

/* --- tables of a database server, whose rows come as JSON --- */

struct remote_rows {
    struct reading *reading;
    struct line_reader reader;
};

static enum status visit_remote_row(void *context, const struct place_row *row, bool *out_done,
                                    struct error *err)
{
    struct remote_rows *rows = context;
    batch_append_record(rows->reader.batch)->value = row->value;
    enum status status = visit_lines(rows->reading, &rows->reader, err);
    *out_done = rows->reading->is_done;
    return status;
}

static enum status read_remote_table(struct reading *reading, const struct place *place,
                                     struct error *err)
{
    struct remote_rows rows = {.reading = reading};
    line_reader_init(&rows.reader);
    enum status status = place_each_row(place, visit_remote_row, &rows, err);
    line_reader_fini(&rows.reader);
    return status;
}

enum status letters_each(const struct place *place, letters_visitor *visitor, void *context,
                         uint64_t *out_foreign_count, struct error *err)
{
    struct reading reading = {.visit = visitor, .context = context};
    enum status status = STATUS_OK;
    switch (place->kind) {
    case PLACE_TOPIC:
    case PLACE_REMOTE:
        status = place_each_record(place, visit_record, &reading, err);
        break;
    case PLACE_TABLE:
        status = place->connector == NULL ? read_table(&reading, place, err)
                                          : read_remote_table(&reading, place, err);
        break;
    case PLACE_FILE:
    case PLACE_STREAM:
        status = read_files(&reading, place, err);
        break;
    }
    if (status == STATUS_OK) {
        *out_foreign_count = reading.foreign_count;
    }
    return status;
}
