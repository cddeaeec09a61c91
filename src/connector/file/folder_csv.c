#include "connector/file/folder_csv.h"

#include "codec/csv.h"
#include "codec/json.h"

void folder_csv_header(const struct output_shape *shape, struct buffer *out)
{
    for (uint32_t i = 0; i < shape->column_count; i++) {
        if (i > 0) {
            buffer_append_byte(out, ',');
        }
        csv_write_text(bytes_of_string(shape->columns[i].path), out);
    }
    buffer_append_byte(out, '\n');
}

static void write_json(struct arena *arena, struct bytes raw, struct buffer *out)
{
    struct value value = json_value(arena, raw);
    if (value.type == VALUE_TEXT) {
        csv_write_quoted(value.text, out);
    } else if (value.type != VALUE_NULL) {
        csv_write_text(raw, out);
    }
}

static void write_value(struct arena *arena, const struct value *value, bool has_types,
                        struct buffer *out)
{
    switch (value->type) {
    case VALUE_NULL:
        break;
    case VALUE_BOOL:
        buffer_append_string(out, value->boolean ? "true" : "false");
        break;
    case VALUE_INT64:
        json_write_int64(out, value->integer);
        break;
    case VALUE_DOUBLE:
        json_write_double(out, value->real);
        break;
    case VALUE_TEXT:
        if (has_types) {
            csv_write_quoted(value->text, out);
        } else {
            csv_write_text(value->text, out);
        }
        break;
    case VALUE_JSON:
        write_json(arena, value->text, out);
        break;
    }
}

void folder_csv_row(const struct output_shape *shape, const struct output_row *row,
                    struct buffer *out)
{
    const struct batch *batch = row->batch;
    for (uint32_t i = 0; i < shape->column_count; i++) {
        const struct output_column *column = &shape->columns[i];
        struct value value = column->field == FIELD_NONE
                                 ? batch->set_values[column->set_index][row->row]
                                 : batch_value(batch, column->field, row->row);
        if (i > 0) {
            buffer_append_byte(out, ',');
        }
        write_value(batch->arena, &value, column->type == COLUMN_JSON, out);
    }
}
