#include "schema/json_node.h"

#include <stdlib.h>
#include <string.h>

struct reading {
    struct arena *arena;
    struct buffer *stack; /* items and members of what is still open */
    struct buffer unescaped;
    const uint8_t *at;
    const uint8_t *end;
};

static struct json_node read_value(struct reading *reading);

/* By size first: most comparisons then need no look at the text. */
int json_name_compare(struct bytes a, struct bytes b)
{
    if (a.size != b.size) {
        return a.size < b.size ? -1 : 1;
    }
    return a.size == 0 ? 0 : memcmp(a.data, b.data, a.size);
}

static int compare_members(const void *a, const void *b)
{
    const struct json_member *x = a;
    const struct json_member *y = b;
    int order = json_name_compare(x->name, y->name);
    return order != 0 ? order : (x->position > y->position) - (x->position < y->position);
}

/* White space and the signs between values say nothing that their order does not. */
static void skip_separators(struct reading *reading)
{
    while (reading->at < reading->end && *reading->at != '\0' &&
           memchr(" \t\n\r,:", *reading->at, 6) != NULL) {
        reading->at++;
    }
}

static bool is_open(struct reading *reading, char closing)
{
    skip_separators(reading);
    return reading->at < reading->end && *reading->at != (uint8_t)closing;
}

static struct bytes read_string(struct reading *reading, struct bytes *out_raw)
{
    const uint8_t *first = reading->at++;
    while (reading->at < reading->end && *reading->at != '"') {
        reading->at += *reading->at == '\\' && reading->end - reading->at > 1 ? 2 : 1;
    }
    reading->at += reading->at < reading->end;
    *out_raw = bytes_of(first, (size_t)(reading->at - first));
    struct bytes text = json_cell_text(*out_raw, &reading->unescaped);
    if (text.data == reading->unescaped.data && text.size > 0) {
        text.data = (const uint8_t *)arena_copy(reading->arena, text.data, text.size);
    }
    return text;
}

static struct json_node read_list(struct reading *reading)
{
    size_t start = reading->stack->size;
    struct json_node list = {.kind = JSON_KIND_ARRAY};
    reading->at++;
    while (is_open(reading, ']')) {
        struct json_node item = read_value(reading);
        buffer_append(reading->stack, &item, sizeof item);
        list.count++;
    }
    size_t bytes = reading->stack->size - start;
    struct json_node *items = arena_alloc(reading->arena, bytes);
    if (bytes > 0) {
        memcpy(items, reading->stack->data + start, bytes);
    }
    reading->stack->size = start;
    list.items = items;
    return list;
}

/* Sorts, and keeps the last of each name. */
static uint32_t sort_members(struct json_member *members, uint32_t count)
{
    uint32_t kept = 0;
    if (count > 1) {
        qsort(members, count, sizeof *members, compare_members);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (i + 1 == count || json_name_compare(members[i].name, members[i + 1].name) != 0) {
            members[kept++] = members[i];
        }
    }
    return kept;
}

static struct json_node read_object(struct reading *reading)
{
    size_t start = reading->stack->size;
    struct json_node object = {.kind = JSON_KIND_OBJECT};
    reading->at++;
    while (is_open(reading, '}')) {
        struct bytes raw;
        struct json_member member = {.position = object.count};
        member.name = read_string(reading, &raw);
        member.value = read_value(reading);
        buffer_append(reading->stack, &member, sizeof member);
        object.count++;
    }
    size_t bytes = reading->stack->size - start;
    struct json_member *members = arena_alloc(reading->arena, bytes);
    if (bytes > 0) {
        memcpy(members, reading->stack->data + start, bytes);
    }
    reading->stack->size = start;
    object.count = sort_members(members, object.count);
    object.members = members;
    return object;
}

static struct json_node read_value(struct reading *reading)
{
    skip_separators(reading);
    check(reading->at < reading->end);
    const uint8_t *first = reading->at;
    struct json_node node;
    switch (*first) {
    case '"':
        node = (struct json_node){.kind = JSON_KIND_STRING};
        node.text = read_string(reading, &node.raw);
        return node;
    case '[':
        node = read_list(reading);
        reading->at += reading->at < reading->end;
        break;
    case '{':
        node = read_object(reading);
        reading->at += reading->at < reading->end;
        break;
    default:
        while (reading->at < reading->end && memchr(" \t\n\r,:]}", *reading->at, 8) == NULL) {
            reading->at++;
        }
        node = (struct json_node){.kind = json_cell_kind(bytes_of(first, 1))};
        break;
    }
    node.raw = bytes_of(first, (size_t)(reading->at - first));
    return node;
}

struct json_node json_node_read(struct arena *arena, struct buffer *stack, struct bytes raw)
{
    struct reading reading = {
        .arena = arena, .stack = stack, .at = raw.data, .end = raw.data + raw.size};
    struct json_node node = read_value(&reading);
    buffer_fini(&reading.unescaped);
    return node;
}

struct json_node json_node_of_scalar(const struct instance *instance)
{
    struct json_node node = {.kind = instance->kind, .raw = BYTES_NONE};
    if (instance->kind == JSON_KIND_STRING) {
        node.text = instance->text;
    } else {
        node.scalar = instance;
    }
    return node;
}

struct instance json_node_instance(const struct json_node *node)
{
    if (bytes_is_none(node->raw) && node->kind != JSON_KIND_STRING) {
        return *node->scalar;
    }
    struct instance instance = {.kind = node->kind, .raw = node->raw};
    if (node->kind == JSON_KIND_BOOL) {
        instance.boolean = node->raw.data[0] == 't';
    } else if (node->kind == JSON_KIND_NUMBER) {
        check(number_parse(node->raw, &instance.number)); /* raw JSON is known to be valid */
    } else if (node->kind == JSON_KIND_STRING) {
        instance.text = node->text;
    }
    return instance;
}

const struct json_member *json_node_member(const struct json_node *object, struct bytes name)
{
    uint32_t low = 0;
    uint32_t high = object->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = json_name_compare(object->members[middle].name, name);
        if (order == 0) {
            return &object->members[middle];
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}
