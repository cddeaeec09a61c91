#include "connector/table/value.h"

#include <string.h>

#include "base/time.h"
#include "codec/json.h"

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

struct value table_value(const struct output_column *column, const struct batch *batch,
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

void table_value_text(const struct value *values, uint32_t count, struct buffer *out)
{
    buffer_clear(out);
    for (uint32_t i = 0; i < count && i < 4; i++) {
        if (i > 0) {
            buffer_append_string(out, ", ");
        }
        json_write_value(out, &values[i]);
    }
}
