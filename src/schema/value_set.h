/*
 * Value sets: the members of an `enum`, or the one of a `const`, made ready for looking up. Numbers
 * are compared by value, lists and objects by what they hold (json_equal.h).
 */
#ifndef WEIR_SCHEMA_VALUE_SET_H
#define WEIR_SCHEMA_VALUE_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/memory.h"
#include "base/status.h"
#include "batch/layout.h"
#include "doc/doc.h"
#include "schema/json_cell.h"
#include "schema/number.h"

/* A set of types: bits of KIND_BIT(enum json_kind), and whether numbers must be integers. */
struct type_set {
    uint32_t kinds;
    bool integer_only;
};
#define KIND_BIT(kind) (UINT32_C(1) << (kind))
#define KINDS_ALL UINT32_C(0x3F)

/* A text of four to eight bytes. */
struct word {
    uint64_t ends; /* its first four bytes and its last four */
    size_t size;
};

struct value_set {
    bool is_const;
    bool has_null;
    bool has_boolean[2];
    int64_t *integers; /* numbers that are integers in int64; sorted */
    size_t integer_count;
    double *reals; /* the other numbers; sorted */
    size_t real_count;
    struct bytes *texts; /* sorted */
    size_t text_count;
    struct word *words; /* the texts that are words, where there are few texts */
    size_t word_count;
    struct bytes *nested; /* forms of lists and objects; sorted */
    size_t nested_count;
    const char *shown; /* "1, 2, 3" for messages */
};

/* The types of the members; `is_const`: `node` is the only member itself. */
enum status value_set_types(const struct doc *node, bool is_const, struct type_set *out,
                            struct error *err) WEIR_MUST_USE;

/* Refuses an empty list, and, unless `types` is NULL, a set of which no member is of them. */
enum status value_set_compile(struct arena *arena, const struct doc *node, bool is_const,
                              enum column_type column, const struct type_set *types,
                              struct value_set **out, struct error *err) WEIR_MUST_USE;

/* The types of a compiled set's members. */
struct type_set value_set_kinds(const struct value_set *set);

bool value_set_has_number(const struct value_set *set, const struct number *number);
bool value_set_has_text(const struct value_set *set, struct bytes text);
/* A list or an object as raw JSON. */
bool value_set_has_nested(const struct value_set *set, struct bytes raw);

#endif
