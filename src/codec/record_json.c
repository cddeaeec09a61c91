#include "codec/record_json.h"

#include "base/time.h"
#include "codec/json.h"

static void write_base64(struct buffer *out, struct bytes value)
{
    buffer_append_byte(out, '"');
    char *room = (char *)buffer_reserve(out, size_mul(4, value.size / 3 + 1));
    out->size += base64_encode(value, room);
    buffer_append_byte(out, '"');
}

void record_json_member(struct buffer *out, const char *name, struct bytes value)
{
    bool is_text = bytes_is_none(value) || bytes_is_utf8(value);
    json_write_string(out, bytes_of_string(name));
    if (!is_text) {
        out->size--; /* the quote */
        buffer_append_string(out, "_base64\"");
    }
    buffer_append_byte(out, ':');
    if (bytes_is_none(value)) {
        buffer_append_string(out, "null");
    } else if (is_text) {
        json_write_string(out, value);
    } else {
        write_base64(out, value);
    }
}

static void write_headers(struct buffer *out, const struct record_header *headers, uint32_t count)
{
    buffer_append_byte(out, '[');
    for (uint32_t i = 0; i < count; i++) {
        buffer_append_string(out, i == 0 ? "{" : ",{");
        record_json_member(out, "name", headers[i].name);
        buffer_append_byte(out, ',');
        record_json_member(out, "value", headers[i].value);
        buffer_append_byte(out, '}');
    }
    buffer_append_byte(out, ']');
}

void record_json_write(struct buffer *out, const char *topic, uint32_t partition,
                       const struct record *record)
{
    buffer_append_byte(out, '{');
    record_json_member(out, "topic", bytes_of_string(topic));
    buffer_printf(out, ",\"partition\":%u,\"offset\":%lld,\"timestamp\":", partition,
                  (long long)record->offset);
    if (record->timestamp_us == TIME_NEVER) {
        buffer_append_string(out, "null");
    } else {
        char text[TIME_TEXT_BYTES];
        time_format(record->timestamp_us, text);
        buffer_printf(out, "\"%s\"", text);
    }
    buffer_append_byte(out, ',');
    record_json_member(out, "key", record->key);
    buffer_append_byte(out, ',');
    record_json_member(out, "value", record->value);
    buffer_append_string(out, ",\"headers\":");
    write_headers(out, record->headers, record->header_count);
    buffer_append_byte(out, '}');
}
