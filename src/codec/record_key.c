#include "codec/record_key.h"

#include "batch/batch.h"
#include "codec/json.h"
#include "codec/json_items.h"

#define DEPTH_MAX 1u

void record_key_add(struct record_key *shape, const struct field *field)
{
    check(shape->count < RECORD_KEY_MEMBERS_MAX);
    shape->members[shape->count++] = (struct record_key_member){
        .name = bytes_of(field->name, field->name_size), .type = field->type};
}

static uint32_t find_member(const struct record_key *shape, struct bytes name)
{
    uint32_t i = 0;
    while (i < shape->count && !bytes_equal(shape->members[i].name, name)) {
        i++;
    }
    return i;
}

static bool fits(const struct record_key_member *member, const struct value *value)
{
    return member->type == COLUMN_INT64
               ? value->type == VALUE_INT64
               : value->type == VALUE_TEXT && bytes_is_utf8(value->text);
}

static bool read_members(const struct record_key *shape, struct json_items items,
                         struct arena *arena, struct value *out)
{
    bool is_there[RECORD_KEY_MEMBERS_MAX] = {false};
    struct bytes name;
    struct bytes raw;
    uint32_t count = 0;
    while (json_items_next(&items, &name, &raw)) {
        uint32_t i = find_member(shape, json_value(arena, name).text);
        if (i == shape->count || is_there[i]) {
            return false;
        }
        out[i] = json_value(arena, raw);
        is_there[i] = fits(&shape->members[i], &out[i]);
        if (!is_there[i]) {
            return false;
        }
        count++;
    }
    return count == shape->count;
}

bool record_key_read(const struct record_key *shape, struct bytes key, struct arena *arena,
                     struct value *out)
{
    struct json_items items;
    if (shape->format == KEY_TEXT) {
        return record_key_value(key, shape->members[0].type, out);
    }
    return !bytes_is_none(key) && json_is_valid(key, DEPTH_MAX) &&
           json_items_begin(&items, key) && items.is_object &&
           read_members(shape, items, arena, out);
}

void record_key_write(const struct record_key *shape, const struct value *values,
                      struct buffer *out)
{
    if (shape->format == KEY_TEXT && values[0].type == VALUE_TEXT) {
        buffer_append(out, values[0].text.data, values[0].text.size);
        return;
    }
    if (shape->format == KEY_TEXT) {
        json_write_value(out, &values[0]);
        return;
    }
    for (uint32_t i = 0; i < shape->count; i++) {
        buffer_append_byte(out, i == 0 ? '{' : ',');
        json_write_string(out, shape->members[i].name);
        buffer_append_byte(out, ':');
        json_write_value(out, &values[i]);
    }
    buffer_append_byte(out, '}');
}
