/*
 * Judge: walks a subschema and a value together. What the files judge_*.c share; validator.h and
 * schema_check.c are the ways in.
 *
 * WHERE says how the walk came to a value: its place for complaints, the schema resources passed
 * on the way (the dynamic scope of `$dynamicRef`), whether somebody asks why, and who wants to know
 * which members or items were evaluated. Such marks are one byte a member, made by the schema that
 * has `unevaluatedProperties` or `unevaluatedItems` and handed down to all that it asks of the same
 * value; a branch that may fail (anyOf, oneOf, if) marks its own, which are taken over when it fits.
 */
#ifndef WEIR_SCHEMA_JUDGE_H
#define WEIR_SCHEMA_JUDGE_H

#include "schema/json_node.h"
#include "schema/subschema.h"
#include "schema/validator.h"

struct judge {
    struct pattern_matcher *matcher;
    struct arena *arena; /* of one value */
    struct buffer stack; /* for json_node_read() */
    struct buffer text;  /* a detail being written */
    uint64_t steps_left;
    bool gave_up;
    struct complaint surrender; /* why */
};

struct judge_place {
    const struct judge_place *outer;
    struct schema_step step;
};

struct judge_scope {
    const struct judge_scope *outer;
    const struct schema_resource *resource;
};

struct judge_where {
    const struct judge_place *place; /* NULL: the whole value */
    const struct judge_scope *scope;
    struct complaints *complaints; /* NULL: only whether */
    uint8_t *evaluated;            /* a byte a member or item; NULL: nobody asks */
    uint32_t depth;
};

/* Before a value of that size. */
void judge_begin(struct judge *judge, size_t size_bytes);
/* After it: what was given up fits nothing, and has one complaint. Returns whether it fits. */
bool judge_end(struct judge *judge, bool fits, struct complaints *complaints);

bool judge_schema(struct judge *judge, const struct subschema *schema,
                  const struct json_node *node, const struct judge_where *where);
/* A member or an item, for which a schema that is `false` means `reason`. */
bool judge_child(struct judge *judge, const struct subschema *schema, const struct json_node *node,
                 const struct judge_where *parent, struct schema_step step, enum reason reason);

/* Takes `count` steps from the budget; false when it is spent. */
bool judge_spend(struct judge *judge, uint64_t count, const struct judge_where *where);
/* Whether there is a reason to look further after something did not fit. */
bool judge_goes_on(const struct judge *judge, const struct judge_where *where);
/* The detail is judge->text, which is emptied. Always false. */
bool judge_complain(struct judge *judge, const struct judge_where *where, enum reason reason);
/* Writes the value into judge->text, cut. */
void judge_show(struct judge *judge, const struct json_node *node);
/* Marks for the value of a branch: zeros, or NULL when nobody asks. Free with memory_free(). */
uint8_t *judge_marks_new(const struct json_node *node, const struct judge_where *where);
void judge_marks_merge(const struct json_node *node, const uint8_t *marks,
                       const struct judge_where *where);
/* Says that a pattern gave up, if one did. */
void judge_check_patterns(struct judge *judge, const struct judge_where *where);

/* judge_logic.c */
bool judge_logic(struct judge *judge, const struct subschema *schema,
                 const struct json_node *node, const struct judge_where *where);
/* judge_object.c, judge_array.c: nothing of a value of another type. */
bool judge_object(struct judge *judge, const struct subschema *schema,
                  const struct json_node *node, const struct judge_where *where);
bool judge_array(struct judge *judge, const struct subschema *schema,
                 const struct json_node *node, const struct judge_where *where);

#endif
