/*
 * JSON nodes: one JSON value as a tree, for the keywords that no column check can answer. The text
 * is known to be one valid value (codec/ has seen to that). Numbers stay text until somebody asks
 * for their value; strings and names are unescaped.
 *
 * The members of an object are sorted by name, each name once: of members of one name the last
 * counts, as where the pipeline allows repeated keys.
 *
 * Nodes live in the arena that they were read into, and point into the text.
 */
#ifndef WEIR_SCHEMA_JSON_NODE_H
#define WEIR_SCHEMA_JSON_NODE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "schema/constraint.h"
#include "schema/json_cell.h"

struct json_member;

struct json_node {
    enum json_kind kind;
    uint32_t count;   /* of items or members */
    struct bytes raw; /* none for a scalar that came from a column */
    union {
        const struct instance *scalar; /* of a node without `raw` */
        struct bytes text;             /* JSON_KIND_STRING, unescaped */
        const struct json_node *items;
        const struct json_member *members;
    };
};

struct json_member {
    struct bytes name;
    uint32_t position; /* in its object, as written */
    struct json_node value;
};

/* Recursive: as deep as the decoder lets records be. `stack` is scratch memory. */
struct json_node json_node_read(struct arena *arena, struct buffer *stack, struct bytes raw);
/* A scalar that stands in a column; points to `instance`. */
struct json_node json_node_of_scalar(const struct instance *instance);
/* What a constraint asks of: numbers are read here. */
struct instance json_node_instance(const struct json_node *node);
/* The member of that name, or NULL. */
const struct json_member *json_node_member(const struct json_node *object, struct bytes name);
/* The order of names among members. */
int json_name_compare(struct bytes a, struct bytes b);

#endif
