#include "codec/csv_columns.h"

#include <string.h>

#include "codec/json.h"

struct maker {
    struct csv_columns *columns;
    struct arena *arena;
    const struct layout *layout;
};

/* --- names --- */

static const char *copy_name(struct maker *maker, struct bytes name)
{
    return arena_copy(maker->arena, name.data, name.size);
}

static const char *read_header(struct maker *maker, const struct csv_options *options,
                               struct bytes header, const char **names, uint32_t *out_count)
{
    struct csv_reader reader = csv_reader_of(options, header);
    struct csv_cell cell;
    uint32_t count = 0;
    while (csv_reader_next(&reader, &cell)) {
        if (count == CSV_COLUMNS_MAX) {
            return "the header has more than 4096 columns";
        }
        struct bytes name = csv_cell_text(options, maker->arena, &cell);
        if (memchr(name.data, '\0', name.size) != NULL) {
            return "the header has a NUL byte in a name";
        }
        names[count++] = copy_name(maker, name);
    }
    *out_count = count;
    return reader.fault == NULL
               ? NULL
               : arena_printf(maker->arena, "the header, byte %zu: %s", reader.fault_at,
                              reader.fault);
}

static const char *find_fault(const struct maker *maker)
{
    const struct csv_columns *columns = maker->columns;
    for (uint32_t i = 0; i < columns->count; i++) {
        const char *name = columns->columns[i].name;
        for (uint32_t k = 0; k < i; k++) {
            if (strcmp(columns->columns[k].name, name) == 0) {
                return arena_printf(maker->arena, "the header names the column '%.100s' twice",
                                    name);
            }
        }
        if (columns->columns[i].field != FIELD_NONE && columns->columns[i].type == COLUMN_OBJECT) {
            return arena_printf(maker->arena,
                                "the column '%.100s' is an object in the schema: its members are "
                                "columns, named '%.100s.MEMBER'",
                                name, name);
        }
    }
    return NULL;
}

/* --- fields and objects --- */

/* The object whose member the name is, FIELD_NONE for the row itself; *out_member is the rest of
 * the name. */
static uint32_t find_object(const struct layout *layout, const char *name, const char **out_member)
{
    uint32_t best = FIELD_NONE;
    *out_member = name;
    for (uint32_t i = 0; i < layout->schema_field_count; i++) {
        const struct field *field = &layout->fields[i];
        size_t size = strlen(field->path);
        if (field->type == COLUMN_OBJECT && strncmp(name, field->path, size) == 0 &&
            name[size] == '.' && name + size + 1 > *out_member) {
            best = i;
            *out_member = name + size + 1;
        }
    }
    return best;
}

static bool is_closed(const struct layout *layout, uint32_t object)
{
    return object == FIELD_NONE ? layout->closed : layout->fields[object].closed;
}

static uint32_t add_node(struct maker *maker, uint32_t parent, struct bytes name)
{
    struct csv_columns *columns = maker->columns;
    struct buffer prefix = {0};
    json_write_string(&prefix, name);
    buffer_append_byte(&prefix, ':');
    uint32_t index = columns->node_count++;
    columns->nodes[index] = (struct csv_node){
        .prefix = bytes_of(arena_copy(maker->arena, prefix.data, prefix.size), prefix.size),
        .column = CSV_NODE_NONE,
        .field = FIELD_NONE,
        .first_child = CSV_NODE_NONE,
        .next = CSV_NODE_NONE};
    buffer_fini(&prefix);
    uint32_t *link = &columns->nodes[parent].first_child;
    while (*link != CSV_NODE_NONE) {
        link = &columns->nodes[*link].next;
    }
    *link = index;
    return index;
}

/* The node of an object, made with those around it where it is not there yet. */
static uint32_t object_node(struct maker *maker, uint32_t object)
{
    if (object == FIELD_NONE) {
        return 0;
    }
    for (uint32_t i = 1; i < maker->columns->node_count; i++) {
        if (maker->columns->nodes[i].field == object) {
            return i;
        }
    }
    const struct field *field = &maker->layout->fields[object];
    uint32_t parent = object_node(maker, field->parent);
    uint32_t node = add_node(maker, parent, bytes_of(field->name, field->name_size));
    maker->columns->nodes[node].field = object;
    return node;
}

static void add_column(struct maker *maker, const char *name)
{
    const struct layout *layout = maker->layout;
    const char *member;
    uint32_t field = layout_find(layout, name);
    uint32_t object = find_object(layout, name, &member);
    struct bytes member_name = bytes_of_string(member);
    struct csv_column column = {.name = name, .field = field, .type = COLUMN_TEXT};
    if (field != FIELD_NONE) {
        object = layout->fields[field].parent;
        member_name = bytes_of(layout->fields[field].name, layout->fields[field].name_size);
        column.type = layout->fields[field].type;
        column.is_declared = field < layout->schema_field_count;
    }
    column.is_stranger = !column.is_declared && is_closed(layout, object);
    uint32_t index = maker->columns->count++;
    maker->columns->columns[index] = column;
    uint32_t parent = object_node(maker, object);
    uint32_t node = add_node(maker, parent, member_name);
    maker->columns->nodes[node].column = index;
}

void csv_columns_make(struct csv_columns *columns, struct arena *arena, const struct layout *layout,
                      const struct csv_options *options, struct bytes header)
{
    struct maker maker = {.columns = columns, .arena = arena, .layout = layout};
    const char **names = (const char **)(uintptr_t)options->names;
    uint32_t count = options->name_count;
    *columns = (struct csv_columns){0};
    if (names == NULL) {
        names = arena_alloc_zero(arena, CSV_COLUMNS_MAX, sizeof *names);
        columns->fault = bytes_is_none(header) ? "the file has no header"
                         : !bytes_is_utf8(header)
                             ? "the header is not UTF-8"
                             : read_header(&maker, options, header, names, &count);
    }
    if (columns->fault != NULL) {
        return;
    }
    columns->columns = arena_alloc_zero(arena, count + 1, sizeof *columns->columns);
    /* A column, and in the worst case every object of the layout. */
    columns->nodes =
        arena_alloc_zero(arena, count + layout->field_count + 1, sizeof *columns->nodes);
    columns->nodes[columns->node_count++] = (struct csv_node){.column = CSV_NODE_NONE,
                                                              .field = FIELD_NONE,
                                                              .first_child = CSV_NODE_NONE,
                                                              .next = CSV_NODE_NONE};
    for (uint32_t i = 0; i < count; i++) {
        add_column(&maker, names[i]);
    }
    columns->fault = find_fault(&maker);
}
