#include "connector/table/letter.h"

#include <string.h>

#include "base/time.h"
#include "connector/letter_json.h"

const struct table_letter_kind table_letter_columns[LETTER_COUNT] = {
    [LETTER_KEY] = {"key", LETTER_TEXT, false},
    [LETTER_KEY_BASE64] = {"key_base64", LETTER_TEXT, false},
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

/* As text in `plain`, or in base64 in `base64`; the other one is null. */
static void bytes_values(struct arena *arena, struct bytes bytes, struct value *plain,
                         struct value *base64)
{
    *plain = *base64 = (struct value){.type = VALUE_NULL};
    if (bytes_is_none(bytes) || bytes.size == 0 || is_plain_text(bytes)) {
        *plain = text_value(bytes);
        return;
    }
    char *text = arena_alloc(arena, 4 * ((bytes.size + 2) / 3) + 1);
    size_t size = base64_encode(bytes, text);
    *base64 = text_value(bytes_of(text, size));
}

void table_letter_values(struct arena *arena, const struct dead_letter *letter,
                         struct value *values)
{
    struct buffer headers = {0};
    char timestamp[TIME_TEXT_BYTES];
    letter_json_headers(letter, &headers);
    bytes_values(arena, letter->key, &values[LETTER_KEY], &values[LETTER_KEY_BASE64]);
    bytes_values(arena, letter->value, &values[LETTER_VALUE], &values[LETTER_VALUE_BASE64]);
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
