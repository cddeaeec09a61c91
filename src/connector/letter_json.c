#include "connector/letter_json.h"

#include "codec/json.h"

void letter_json_bytes(const char *name, struct bytes bytes, struct buffer *out)
{
    bool is_text = bytes_is_none(bytes) || bytes_is_utf8(bytes);
    buffer_append_byte(out, '"');
    buffer_append_string(out, name);
    buffer_append_string(out, is_text ? "\":" : "_base64\":\"");
    if (bytes_is_none(bytes)) {
        buffer_append_string(out, "null");
    } else if (is_text) {
        json_write_string(out, bytes);
    } else {
        uint8_t *text = buffer_reserve(out, 4 * ((bytes.size + 2) / 3));
        out->size += base64_encode(bytes, (char *)text);
        buffer_append_byte(out, '"');
    }
}

void letter_json_headers(const struct dead_letter *letter, struct buffer *out)
{
    buffer_append_byte(out, '[');
    for (uint32_t i = 0; i < letter->header_count; i++) {
        buffer_append_string(out, i == 0 ? "{" : ",{");
        letter_json_bytes("name", letter->headers[i].name, out);
        buffer_append_byte(out, ',');
        letter_json_bytes("value", letter->headers[i].value, out);
        buffer_append_byte(out, '}');
    }
    buffer_append_byte(out, ']');
}
