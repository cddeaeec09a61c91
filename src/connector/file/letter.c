#include "connector/file/letter.h"

#include "base/time.h"
#include "codec/json.h"
#include "connector/letter_json.h"

/* --- writing --- */

static void write_text(const char *name, const char *text, struct buffer *out)
{
    letter_json_bytes(name, bytes_of_string(text), out);
    buffer_append_byte(out, ',');
}

static void write_timestamp(int64_t timestamp_us, struct buffer *out)
{
    char text[TIME_TEXT_BYTES];
    if (timestamp_us == TIME_NEVER) {
        buffer_append_string(out, ",\"timestamp\":null,");
        return;
    }
    time_format(timestamp_us, text);
    buffer_append_string(out, ",\"timestamp\":\"");
    buffer_append_string(out, text);
    buffer_append_string(out, "\",");
}

void letter_write(const struct dead_letter *letter, struct buffer *out)
{
    buffer_append_byte(out, '{');
    write_text("reason", letter->reason, out);
    write_text("field", letter->field, out);
    letter_json_bytes("detail", bytes_is_none(letter->detail) ? bytes_of("", 0) : letter->detail,
                      out);
    buffer_append_string(out, ",\"violations\":");
    if (letter->violations.size > 0) {
        buffer_append(out, letter->violations.data, letter->violations.size);
    } else {
        buffer_append_string(out, "[]");
    }
    buffer_append_byte(out, ',');
    write_text("topic", letter->topic, out);
    write_text("partition", letter->partition, out);
    buffer_append_string(out, "\"offset\":");
    json_write_int64(out, letter->offset);
    write_timestamp(letter->timestamp_us, out);
    write_text("pipeline", letter->pipeline, out);
    write_text("plan", letter->plan, out);
    buffer_append_string(out, "\"attempt\":");
    json_write_int64(out, letter->attempt);
    buffer_append_byte(out, ',');
    write_text("sink", letter->sink, out);
    buffer_append_string(out, "\"headers\":");
    letter_json_headers(letter, out);
    buffer_append_byte(out, ',');
    letter_json_bytes("key", letter->key, out);
    buffer_append_byte(out, ',');
    letter_json_bytes("value", letter->value, out);
    buffer_append_byte(out, '}');
}

/* --- reading --- */

enum { FIELD_TOPIC, FIELD_PARTITION, FIELD_OFFSET, FIELD_COUNT };

struct letter_reader {
    struct field fields[FIELD_COUNT];
    struct layout layout;
    struct batch *batch;
    struct json_decoder *decoder;
};

struct letter_reader *letter_reader_new(void)
{
    struct letter_reader *reader = memory_alloc_zero(1, sizeof *reader);
    static const struct {
        const char *name;
        enum column_type type;
    } members[FIELD_COUNT] = {
        {"topic", COLUMN_TEXT}, {"partition", COLUMN_TEXT}, {"offset", COLUMN_INT64}};
    for (uint32_t i = 0; i < FIELD_COUNT; i++) {
        reader->fields[i] = (struct field){.name = members[i].name,
                                           .name_size = (uint32_t)strlen(members[i].name),
                                           .path = members[i].name,
                                           .type = members[i].type,
                                           .parent = FIELD_NONE};
    }
    reader->layout = (struct layout){
        .fields = reader->fields, .field_count = FIELD_COUNT, .schema_field_count = FIELD_COUNT};
    reader->batch = batch_new(&reader->layout);
    struct json_options options = {.max_record_bytes = SIZE_MAX};
    reader->decoder = json_decoder_new(&reader->layout, &options);
    return reader;
}

void letter_reader_free(struct letter_reader *reader)
{
    if (reader == NULL) {
        return;
    }
    json_decoder_free(reader->decoder);
    batch_free(reader->batch);
    memory_free(reader);
}

static const char *text_of(const struct letter_reader *reader, uint32_t field)
{
    struct bytes text = reader->batch->columns[field].texts[0];
    return arena_copy(reader->batch->arena, text.data, text.size);
}

void letter_reader_origin(struct letter_reader *reader, struct bytes line, const char **out_topic,
                          const char **out_partition, int64_t *out_offset)
{
    struct batch *batch = reader->batch;
    batch_reset(batch, 0, 0);
    struct record *record = batch_append_record(batch);
    /* The decoder may look a little beyond the end of a value. */
    uint8_t *copy = arena_alloc_wide(batch->arena, line.size);
    if (line.size > 0) {
        memcpy(copy, line.data, line.size);
    }
    record->value = bytes_of(copy, line.size);
    json_decode(reader->decoder, batch);
    *out_topic = *out_partition = "";
    *out_offset = -1;
    for (uint32_t i = 0; i < FIELD_COUNT; i++) {
        if (batch->columns[i].cells[0] != CELL_VALUE) {
            return;
        }
    }
    *out_topic = text_of(reader, FIELD_TOPIC);
    *out_partition = text_of(reader, FIELD_PARTITION);
    *out_offset = batch->columns[FIELD_OFFSET].integers[0];
}
