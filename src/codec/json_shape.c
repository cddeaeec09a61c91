#include "codec/json_shape.h"

#include <string.h>

#include "base/hash.h"

/* So many members without a place among the learnt names mean that the wrong ones were learnt. */
enum { STRAY_LIMIT = 4096 };

/* Matches no text, and nothing ever writes to it. */
static const struct json_entry no_entry = {
    .glue_size = JSON_GLUE_NONE,
    .glue_ignore = UINT32_MAX << 16,
    .kind = JSON_KIND_UNKNOWN,
    .field = FIELD_NONE,
};

static struct json_hint hint_none(void)
{
    struct json_entry *none = (struct json_entry *)&no_entry;
    return (struct json_hint){{none, none}};
}

static bool is_child(const struct layout *layout, uint32_t field, uint32_t parent)
{
    return layout->fields[field].parent == parent;
}

static struct json_entry **table_slot(const struct json_shape *shape, struct bytes name)
{
    uint32_t at = (uint32_t)hash_plain(name.data, name.size).low & shape->table_mask;
    while (shape->table[at] != NULL) {
        struct bytes other = shape->table[at]->name;
        if (other.size == name.size &&
            (name.size == 0 || memcmp(other.data, name.data, name.size) == 0)) {
            break;
        }
        at = (at + 1) & shape->table_mask;
    }
    return &shape->table[at];
}

static void table_fill(struct json_shape *shape)
{
    memset(shape->table, 0, ((size_t)shape->table_mask + 1) * sizeof(struct json_entry *));
    for (uint32_t i = 0; i < shape->member_count; i++) {
        struct json_entry **slot = table_slot(shape, shape->members[i].name);
        check(*slot == NULL); /* A layout names each field once. */
        *slot = &shape->members[i];
    }
}

static void entry_init(struct json_entry *entry, const struct json_shape *shape,
                       const struct layout *layout, uint32_t field)
{
    const struct field *description = &layout->fields[field];
    *entry = no_entry;
    entry->next = hint_none();
    entry->kind = (uint8_t)description->type;
    entry->null_cell = description->nullable ? CELL_NULL : CELL_ABSENT;
    entry->undeclared = shape->closed && field >= layout->schema_field_count;
    entry->field = field;
    entry->name = bytes_of(description->name, description->name_size);
}

static void shape_init(struct json_shape *shape, struct arena *arena, const struct layout *layout,
                       uint32_t object)
{
    *shape = (struct json_shape){
        .field = object,
        .closed = object == FIELD_NONE ? layout->closed : layout->fields[object].closed,
        .first = hint_none(),
        .none = hint_none(),
        .arena = arena,
    };
    uint32_t count = 0;
    for (uint32_t i = 0; i < layout->field_count; i++) {
        count += is_child(layout, i, object);
    }
    shape->members = arena_alloc_wide(arena, size_mul(count, sizeof *shape->members));
    for (uint32_t i = 0; i < layout->field_count; i++) {
        if (is_child(layout, i, object)) {
            entry_init(&shape->members[shape->member_count++], shape, layout, i);
        }
    }
    uint32_t slots = 64;
    while (slots < 2 * (count + JSON_LEARNT_MAX)) {
        slots *= 2;
    }
    shape->table_mask = slots - 1;
    shape->table = arena_alloc_zero(arena, slots, sizeof(struct json_entry *));
    table_fill(shape);
}

/* Ties the entry of each object to its shape. */
static void shapes_link(struct json_shape *shapes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t j = 0; j < shapes[i].member_count; j++) {
            struct json_entry *entry = &shapes[i].members[j];
            for (uint32_t k = 1; k < count && entry->kind == COLUMN_OBJECT; k++) {
                if (shapes[k].field == entry->field) {
                    entry->shape = &shapes[k];
                }
            }
        }
    }
}

struct json_shape *json_shapes_new(struct arena *arena, const struct layout *layout,
                                   uint32_t *out_count)
{
    uint32_t count = 1;
    for (uint32_t i = 0; i < layout->field_count; i++) {
        count += layout->fields[i].type == COLUMN_OBJECT;
    }
    struct json_shape *shapes = arena_alloc(arena, size_mul(count, sizeof *shapes));
    uint32_t at = 0;
    shape_init(&shapes[at++], arena, layout, FIELD_NONE);
    for (uint32_t i = 0; i < layout->field_count; i++) {
        if (layout->fields[i].type == COLUMN_OBJECT) {
            shape_init(&shapes[at++], arena, layout, i);
        }
    }
    shapes_link(shapes, count);
    *out_count = count;
    return shapes;
}

static void shape_forget_learnt(struct json_shape *shape)
{
    shape->learnt_count = 0;
    shape->stray_count = 0;
    shape->first = hint_none();
    shape->none = hint_none();
    for (uint32_t i = 0; i < shape->member_count; i++) {
        shape->members[i].next = hint_none();
    }
    table_fill(shape);
}

void json_shape_begin(struct json_shape *shape, const struct batch *batch)
{
    if (shape->stray_count > STRAY_LIMIT) {
        shape_forget_learnt(shape);
    }
    for (uint32_t i = 0; i < shape->member_count; i++) {
        struct json_entry *entry = &shape->members[i];
        entry->cells = batch->columns[entry->field].cells;
        entry->texts = batch->columns[entry->field].texts;
    }
}

const struct json_entry *json_shape_find(const struct json_shape *shape, struct bytes name)
{
    return *table_slot(shape, name);
}

struct json_entry *json_shape_entry(struct json_shape *shape, struct bytes name)
{
    struct json_entry **slot = table_slot(shape, name);
    if (*slot != NULL) {
        return *slot;
    }
    if (shape->learnt_count == JSON_LEARNT_MAX || name.size > JSON_LEARNT_NAME_MAX) {
        shape->stray_count += name.size <= JSON_LEARNT_NAME_MAX;
        return NULL;
    }
    if (shape->learnt == NULL) {
        shape->learnt = arena_alloc_wide(shape->arena, JSON_LEARNT_MAX * (sizeof *shape->learnt));
        for (uint32_t i = 0; i < JSON_LEARNT_MAX; i++) {
            shape->learnt[i].name.data = arena_alloc(shape->arena, JSON_LEARNT_NAME_MAX);
        }
    }
    struct json_entry *entry = &shape->learnt[shape->learnt_count++];
    uint8_t *room = (uint8_t *)entry->name.data;
    if (name.size > 0) {
        memcpy(room, name.data, name.size);
    }
    *entry = no_entry;
    entry->next = hint_none();
    entry->name = bytes_of(room, name.size);
    entry->undeclared = shape->closed;
    *slot = entry;
    return entry;
}

void json_entry_learn_glue(struct json_entry *entry, struct bytes glue)
{
    if (glue.size > JSON_GLUE_MAX ||
        (entry->glue_size == glue.size && memcmp(entry->glue, glue.data, glue.size) == 0)) {
        return;
    }
    memset(entry->glue, 0, sizeof entry->glue);
    memcpy(entry->glue, glue.data, glue.size);
    entry->glue_size = glue.size;
    entry->glue_ignore = UINT32_MAX << (glue.size < 16 ? glue.size : 16);
}

void json_hint_learn(struct json_hint *hint, struct json_entry *entry)
{
    if (hint->entries[0] != entry && hint->entries[1] != entry) {
        hint->entries[1] = hint->entries[0];
        hint->entries[0] = entry;
    }
}
