#include "codec/json.h"
#include "codec/json_number.h"
#include "codec/json_string.h"

static struct value number_value(struct bytes raw)
{
    struct json_number number;
    struct value value = {.type = VALUE_JSON, .text = raw};
    check(json_number_scan(raw.data, raw.data + raw.size, &number));
    if (number.plain && json_number_int64(&number, &value.integer) == JSON_INTEGER_OK) {
        value.type = VALUE_INT64;
        return value;
    }
    double real;
    if (json_number_double(&number, &real)) {
        return (struct value){.type = VALUE_DOUBLE, .real = real};
    }
    /* Only the text can say what it is. */
    return (struct value){.type = VALUE_JSON, .text = raw};
}

static struct value text_value(struct arena *arena, struct bytes raw)
{
    check(raw.size >= 2);
    struct bytes text = bytes_of(raw.data + 1, raw.size - 2);
    if (memchr(text.data, '\\', text.size) != NULL) {
        uint8_t *room = arena_alloc(arena, text.size);
        text = bytes_of(room, json_unescape(text, room));
    }
    return (struct value){.type = VALUE_TEXT, .text = text};
}

struct value json_value(struct arena *arena, struct bytes raw)
{
    check(raw.size > 0);
    switch (raw.data[0]) {
    case 'n':
        return (struct value){.type = VALUE_NULL};
    case 't':
    case 'f':
        return (struct value){.type = VALUE_BOOL, .boolean = raw.data[0] == 't'};
    case '"':
        return text_value(arena, raw);
    case '{':
    case '[':
        return (struct value){.type = VALUE_JSON, .text = raw};
    default:
        return number_value(raw);
    }
}
