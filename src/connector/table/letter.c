#include "connector/table/letter.h"

#include <string.h>

#include "base/time.h"
#include "connector/letter_json.h"

const struct table_letter_kind table_letter_columns[LETTER_COUNT] = {
    [LETTER_KEY] = {"key", LETTER_BYTES, false},
    [LETTER_VALUE] = {"value", LETTER_TEXT, false},
    [LETTER_VALUE_BASE64] = {"value_base64", LETTER_TEXT, false},
    [LETTER_HEADERS] = {"headers", LETTER_TEXT, false},
    [LETTER_REASON] = {"reason", LETTER_TEXT, true},
    [LETTER_FIELD] = {"field", LETTER_TEXT, false},
    [LETTER_DETAIL] = {"detail", LETTER_TEXT, false},
    [LETTER_VIOLATIONS] = {"violations", LETTER_TEXT, false},
    [LETTER_TOPIC] = {"topic", LETTER_TEXT, true},
    [LETTER_PARTITION] = {"partition", LETTER_TEXT, true},
    [LETTER_OFFSET] = {"offset", LETTER_INTEGER, true},
    [LETTER_TIMESTAMP] = {"timestamp", LETTER_TEXT, false},
    [LETTER_PIPELINE] = {"pipeline", LETTER_TEXT, false},
    [LETTER_PLAN] = {"plan", LETTER_TEXT, false},
    [LETTER_ATTEMPT] = {"attempt", LETTER_INTEGER, false},
    [LETTER_SINK] = {"sink", LETTER_TEXT, false},
};

static struct value text_value(struct bytes text)
{
    return bytes_is_none(text) ? (struct value){.type = VALUE_NULL}
                               : (struct value){.type = VALUE_TEXT, .text = text};
}

static bool is_plain_text(struct bytes value)
{
    return bytes_is_utf8(value) && memchr(value.data, '\0', value.size) == NULL;
}

void table_letter_values(struct arena *arena, const struct dead_letter *letter,
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
