#include "observe/text.h"

void text_write_json(const char *text, struct buffer *out)
{
    buffer_append_byte(out, '"');
    for (; *text != '\0'; text++) {
        uint8_t byte = (uint8_t)*text;
        if (byte < 0x20) {
            buffer_printf(out, "\\u%04x", byte);
        } else {
            if (byte == '"' || byte == '\\') {
                buffer_append_byte(out, '\\');
            }
            buffer_append_byte(out, byte);
        }
    }
    buffer_append_byte(out, '"');
}

void text_write_html(const char *text, struct buffer *out)
{
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '&':
            buffer_append_string(out, "&amp;");
            break;
        case '<':
            buffer_append_string(out, "&lt;");
            break;
        case '>':
            buffer_append_string(out, "&gt;");
            break;
        case '"':
            buffer_append_string(out, "&quot;");
            break;
        default:
            buffer_append_byte(out, (uint8_t)*text);
        }
    }
}
