#include <string.h>

#include "codec/json.h"
#include "codec/json_scan.h"
#include "codec/json_string.h"

enum { FOUND_ON_STACK = 32, MEMBER_EXTRA_BYTES = 64 };

/* One pass over a record that is known to be valid: what lies between the edits is copied in whole
 * runs. */
struct edit_pass {
    const struct layout *layout;
    const struct json_edit *edits;
    uint32_t edit_count;
    bool *found;           /* per edit: the object that is being read has the member */
    const uint8_t *copied; /* everything before is in `out`, or left out */
    const uint8_t *end;
    struct buffer *out;
};

static void copy_until(struct edit_pass *pass, const uint8_t *until)
{
    if (until > pass->copied) {
        buffer_append(pass->out, pass->copied, (size_t)(until - pass->copied));
        pass->copied = until;
    }
}

/* Behind the string at `p`. */
static const uint8_t *string_skip(const uint8_t *p, const uint8_t *end)
{
    p++;
    for (;;) {
        uint64_t bits = end - p >= 8 ? json_special_bits(json_load64(p)) : 1;
        if (bits == 0) {
            p += 8;
            continue;
        }
        p += __builtin_ctzll(bits) >> 3;
        check(p < end);
        if (*p == '"') {
            return p + 1;
        }
        p += *p == '\\' ? 2 : 1;
    }
}

static const uint8_t *container_skip(const uint8_t *p, const uint8_t *end)
{
    size_t level = 0;
    do {
        check(p < end);
        if (*p == '"') {
            p = string_skip(p, end);
            continue;
        }
        level += *p == '{' || *p == '[';
        level -= *p == '}' || *p == ']';
        p++;
    } while (level > 0);
    return p;
}

static const uint8_t *value_skip(const uint8_t *p, const uint8_t *end)
{
    check(p < end);
    if (*p == '"') {
        return string_skip(p, end);
    }
    if (*p == '{' || *p == '[') {
        return container_skip(p, end);
    }
    while (p < end && !json_is_space(*p) && *p != ',' && *p != '}' && *p != ']') {
        p++;
    }
    return p;
}

static bool key_equals(struct bytes raw, const struct field *field)
{
    if (memchr(raw.data, '\\', raw.size) == NULL) {
        return raw.size == field->name_size && memcmp(raw.data, field->name, raw.size) == 0;
    }
    uint8_t *room = memory_alloc(raw.size);
    size_t size = json_unescape(raw, room);
    bool equal = size == field->name_size && memcmp(room, field->name, size) == 0;
    memory_free(room);
    return equal;
}

/* The member of `object` on the way to `field`: the field itself, an object that holds it, or
 * FIELD_NONE. */
static uint32_t step_towards(const struct layout *layout, uint32_t field, uint32_t object)
{
    while (field != FIELD_NONE && layout->fields[field].parent != object) {
        field = layout->fields[field].parent;
    }
    return field;
}

/* What is to be done with a member: its own edit, or else the object to look into. */
struct member_target {
    const struct json_edit *edit;
    uint32_t object;
};

static struct member_target member_find(struct edit_pass *pass, uint32_t object, struct bytes key)
{
    struct member_target target = {.edit = NULL, .object = FIELD_NONE};
    for (uint32_t i = 0; i < pass->edit_count; i++) {
        const struct json_edit *edit = &pass->edits[i];
        uint32_t step = step_towards(pass->layout, edit->field, object);
        if (step == FIELD_NONE || (edit->absent && step == edit->field) ||
            !key_equals(key, &pass->layout->fields[step])) {
            continue;
        }
        if (step == edit->field) {
            pass->found[i] = true;
            target.edit = edit;
        } else {
            target.object = step;
        }
    }
    return target;
}

/* Adds the members that the object does not have, before its brace at `p`. */
static void members_add(struct edit_pass *pass, uint32_t object, bool has_members, const uint8_t *p)
{
    for (uint32_t i = 0; i < pass->edit_count; i++) {
        const struct json_edit *edit = &pass->edits[i];
        const struct field *field = &pass->layout->fields[edit->field];
        if (field->parent != object || pass->found[i] || bytes_is_none(edit->replacement)) {
            continue;
        }
        copy_until(pass, p);
        if (has_members) {
            buffer_append_byte(pass->out, ',');
        }
        json_write_string(pass->out, bytes_of(field->name, field->name_size));
        buffer_append_byte(pass->out, ':');
        buffer_append(pass->out, edit->replacement.data, edit->replacement.size);
        has_members = true;
    }
}

/* Leaves a member out with one comma beside it: the one before it when a member is kept there. */
static void member_remove(struct edit_pass *pass, const uint8_t *kept_end, const uint8_t *start,
                          const uint8_t *value_end)
{
    if (kept_end != NULL) {
        copy_until(pass, kept_end);
        pass->copied = value_end;
        return;
    }
    copy_until(pass, start);
    const uint8_t *next = json_skip_space(value_end, pass->end);
    check(next < pass->end);
    pass->copied = *next == ',' ? json_skip_space(next + 1, pass->end) : value_end;
}

static const uint8_t *object_edit(struct edit_pass *pass, uint32_t object, const uint8_t *p);

/* Behind the value at `value`. */
static const uint8_t *value_edit(struct edit_pass *pass, struct member_target target,
                                 const uint8_t *value)
{
    check(value < pass->end);
    if (target.edit == NULL && target.object != FIELD_NONE && *value == '{') {
        return object_edit(pass, target.object, value);
    }
    const uint8_t *value_end = value_skip(value, pass->end);
    if (target.edit != NULL) {
        copy_until(pass, value);
        buffer_append(pass->out, target.edit->replacement.data, target.edit->replacement.size);
        pass->copied = value_end;
    }
    return value_end;
}

/* Edits the object at `p`; behind its brace. Recurses as deep as the layout nests. */
static const uint8_t *object_edit(struct edit_pass *pass, uint32_t object, const uint8_t *p)
{
    const uint8_t *end = pass->end;
    const uint8_t *kept_end = NULL; /* behind the last member that stays */
    for (uint32_t i = 0; i < pass->edit_count; i++) {
        /* A repeated object is read again, and its members are looked for again. */
        if (pass->layout->fields[pass->edits[i].field].parent == object) {
            pass->found[i] = false;
        }
    }
    p = json_skip_space(p + 1, end);
    while (p < end && *p != '}') {
        const uint8_t *start = p;
        p = string_skip(p, end);
        struct bytes key = bytes_of(start + 1, (size_t)(p - start - 2));
        p = json_skip_space(p, end);
        check(p < end && *p == ':');
        p = json_skip_space(p + 1, end);
        struct member_target target = member_find(pass, object, key);
        if (target.edit != NULL && bytes_is_none(target.edit->replacement)) {
            p = value_skip(p, end);
            member_remove(pass, kept_end, start, p);
        } else {
            p = value_edit(pass, target, p);
            kept_end = p;
        }
        p = json_skip_space(p, end);
        if (p < end && *p == ',') {
            p = json_skip_space(p + 1, end);
        }
    }
    check(p < end);
    members_add(pass, object, kept_end != NULL, p);
    return p + 1;
}

/* Whether all that is to be done is adding members to the top level: then nothing has to be looked
 * for. */
static bool only_adds(const struct layout *layout, const struct json_edit *edits,
                      uint32_t edit_count)
{
    for (uint32_t i = 0; i < edit_count; i++) {
        bool nothing = edits[i].absent && bytes_is_none(edits[i].replacement);
        bool adds = edits[i].absent && layout->fields[edits[i].field].parent == FIELD_NONE;
        if (!nothing && !adds) {
            return false;
        }
    }
    return true;
}

/* Adds before the last brace. */
static void record_extend(struct edit_pass *pass, struct bytes record)
{
    const uint8_t *brace = pass->end - 1;
    while (brace > record.data && json_is_space(*brace)) {
        brace--;
    }
    check(brace > record.data && *brace == '}');
    const uint8_t *last = brace - 1;
    while (last > record.data && json_is_space(*last)) {
        last--;
    }
    /* Behind a member there is a quote, a bracket, a digit or a letter. */
    members_add(pass, FIELD_NONE, *last != '{', brace);
}

void json_apply_edits(const struct layout *layout, struct bytes record,
                      const struct json_edit *edits, uint32_t edit_count, struct buffer *out)
{
    size_t room = record.size;
    for (uint32_t i = 0; i < edit_count; i++) {
        room = size_add(room, size_add(edits[i].replacement.size, MEMBER_EXTRA_BYTES));
    }
    buffer_reserve(out, room);
    bool stack[FOUND_ON_STACK] = {false};
    struct edit_pass pass = {
        .layout = layout,
        .edits = edits,
        .edit_count = edit_count,
        .found = edit_count <= FOUND_ON_STACK ? stack : memory_alloc_zero(edit_count, sizeof(bool)),
        .copied = record.data,
        .end = record.data + record.size,
        .out = out,
    };
    if (edit_count > 0) {
        if (only_adds(layout, edits, edit_count)) {
            record_extend(&pass, record);
        } else {
            const uint8_t *p = json_skip_space(record.data, pass.end);
            check(p < pass.end && *p == '{');
            object_edit(&pass, FIELD_NONE, p);
        }
    }
    copy_until(&pass, pass.end);
    if (pass.found != stack) {
        memory_free(pass.found);
    }
}
