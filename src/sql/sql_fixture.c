#include "sql/sql_fixture.h"

#include <string.h>

#define FIELD(index, text, kind, above) \
    [index] = {.name = (text), \
               .name_size = sizeof(text) - 1, \
               .path = (text), \
               .type = (kind), \
               .parent = (above)}

static struct field fields[FIXTURE_FIELD_COUNT] = {
    FIELD(FIELD_TEMPERATURE, "temperature", COLUMN_DOUBLE, FIELD_NONE),
    FIELD(FIELD_TALLY, "tally", COLUMN_INT64, FIELD_NONE),
    FIELD(FIELD_ACTIVE, "active", COLUMN_BOOL, FIELD_NONE),
    FIELD(FIELD_SITE, "site", COLUMN_TEXT, FIELD_NONE),
    FIELD(FIELD_EVENT_TIME, "event_time", COLUMN_TEXT, FIELD_NONE),
    FIELD(FIELD_RECEIVED, "received", COLUMN_TEXT, FIELD_NONE),
    FIELD(FIELD_TAGS, "tags", COLUMN_JSON, FIELD_NONE),
    FIELD(FIELD_LOCATION, "location", COLUMN_OBJECT, FIELD_NONE),
    [FIELD_LATITUDE] = {.name = "lat",
                        .name_size = 3,
                        .path = "location.lat",
                        .type = COLUMN_DOUBLE,
                        .parent = FIELD_LOCATION},
    FIELD(FIELD_KEY, "key", COLUMN_TEXT, FIELD_NONE),
    FIELD(FIELD_MODE_UPPER, "Mode", COLUMN_TEXT, FIELD_NONE),
    FIELD(FIELD_MODE_LOWER, "mode", COLUMN_INT64, FIELD_NONE),
    FIELD(FIELD_TRUE, "true", COLUMN_TEXT, FIELD_NONE),
    FIELD(FIELD_QUOTED, "say \"hi\"", COLUMN_TEXT, FIELD_NONE),
    FIELD(FIELD_NOTE, "note", COLUMN_TEXT, FIELD_NONE),
};

const struct layout fixture_layout = {
    .fields = fields,
    .field_count = FIXTURE_FIELD_COUNT,
    .schema_field_count = FIXTURE_FIELD_COUNT,
};

const bool fixture_is_time[FIXTURE_FIELD_COUNT] = {
    [FIELD_EVENT_TIME] = true,
    [FIELD_RECEIVED] = true,
};

struct sql_expression fixture_expression(const char *text)
{
    return (struct sql_expression){
        .text = text,
        .what = "checks.it.expect",
        .file = "p.yaml",
        .line = 7,
        .column = 13,
    };
}

enum status fixture_compile(struct arena *arena, const char *text, struct sql_program **out,
                            struct error *err)
{
    struct sql_expression expression = fixture_expression(text);
    return sql_program_compile(arena, &fixture_layout, fixture_is_time, &expression, 1, out, err);
}

uint32_t fixture_add_row(struct batch *batch)
{
    uint32_t row = batch->row_count;
    check(batch_append_record(batch) != NULL);
    for (uint32_t field = 0; field < batch->layout->field_count; field++) {
        batch->columns[field].cells[row] = CELL_ABSENT;
    }
    return row;
}

void fixture_set_real(struct batch *batch, uint32_t field, uint32_t row, double value)
{
    batch->columns[field].cells[row] = CELL_VALUE;
    batch->columns[field].reals[row] = value;
}

void fixture_set_integer(struct batch *batch, uint32_t field, uint32_t row, int64_t value)
{
    batch->columns[field].cells[row] = CELL_VALUE;
    batch->columns[field].integers[row] = value;
}

void fixture_set_boolean(struct batch *batch, uint32_t row, bool value)
{
    batch->columns[FIELD_ACTIVE].cells[row] = CELL_VALUE;
    batch->columns[FIELD_ACTIVE].booleans[row] = value;
}

void fixture_set_bytes(struct batch *batch, uint32_t field, uint32_t row, const void *data,
                       size_t size)
{
    uint8_t *copy = arena_alloc(batch->arena, size + 1);
    memcpy(copy, data, size);
    /* Whoever reads on past the end finds this instead of a NUL. */
    copy[size] = '!';
    batch->columns[field].cells[row] = CELL_VALUE;
    batch->columns[field].texts[row] = bytes_of(copy, size);
}

void fixture_set_text(struct batch *batch, uint32_t field, uint32_t row, const char *text)
{
    fixture_set_bytes(batch, field, row, text, strlen(text));
}

char *fixture_show(struct arena *arena, const struct sql_result *result)
{
    const struct value *value = &result->value;
    switch (value->type) {
    case VALUE_NULL:
        return arena_copy_string(arena, "null");
    case VALUE_INT64:
        return arena_printf(arena, "i:%lld", (long long)value->integer);
    case VALUE_DOUBLE:
        return arena_printf(arena, "r:%.17g", value->real);
    case VALUE_TEXT:
        return arena_printf(arena, "%s%.*s",
                            result->failed ? "failed: " : "t:", (int)value->text.size,
                            (const char *)value->text.data);
    case VALUE_BOOL:
    case VALUE_JSON:
        break;
    }
    return arena_copy_string(arena, "a type that no result has");
}
