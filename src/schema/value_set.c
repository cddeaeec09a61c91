#include "schema/value_set.h"

#include <stdlib.h>

#include "schema/keyword.h"

/* Of the list of members that a message shows. */
enum { SHOWN_BYTES_MAX = 120, SHOWN_MEMBER_BYTES_MAX = 40 };

struct members {
    const struct doc *const *items;
    size_t count;
    const struct doc *only; /* stands in `items` for a const */
};

static void members_init(struct members *members, const struct doc *node, bool is_const)
{
    members->only = node;
    members->items = is_const ? &members->only : (const struct doc *const *)node->items;
    members->count = is_const ? 1 : node->count;
}

static enum status member_kind(const struct doc *member, bool is_const, enum json_kind *out,
                               struct error *err)
{
    switch (member->kind) {
    case DOC_NULL:
        *out = JSON_KIND_NULL;
        return STATUS_OK;
    case DOC_BOOL:
        *out = JSON_KIND_BOOL;
        return STATUS_OK;
    case DOC_INT:
    case DOC_DOUBLE:
        *out = JSON_KIND_NUMBER;
        return STATUS_OK;
    case DOC_STRING:
        *out = JSON_KIND_STRING;
        return STATUS_OK;
    case DOC_LIST:
    case DOC_MAP:
        break;
    }
    return doc_error(member, err, "schema.unsupported_keyword",
                     "`%s` with %s as a value is not built: leave it out",
                     is_const ? "const" : "enum", doc_kind_name(member->kind));
}

enum status value_set_types(const struct doc *node, bool is_const, struct type_set *out,
                            struct error *err)
{
    struct members members;
    members_init(&members, node, is_const);
    struct type_set types = {0, true};
    for (size_t i = 0; i < members.count; i++) {
        enum json_kind kind = JSON_KIND_NULL;
        struct number number = number_of_int64(0);
        enum status status = member_kind(members.items[i], is_const, &kind, err);
        if (status == STATUS_OK && kind == JSON_KIND_NUMBER) {
            status = keyword_number(members.items[i], &number, err);
        }
        if (status != STATUS_OK) {
            return status;
        }
        types.kinds |= KIND_BIT(kind);
        types.integer_only &= number.integral && number.in_int64;
    }
    types.integer_only &= (types.kinds & KIND_BIT(JSON_KIND_NUMBER)) != 0;
    *out = types;
    return STATUS_OK;
}

static int compare_integers(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int compare_reals(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

/* By size first: most comparisons then need no look at the text. */
static int compare_texts(const void *a, const void *b)
{
    const struct bytes *x = a;
    const struct bytes *y = b;
    if (x->size != y->size) {
        return x->size < y->size ? -1 : 1;
    }
    return x->size == 0 ? 0 : memcmp(x->data, y->data, x->size);
}

/* Adds one member; returns whether it can equal a value of the types. */
static enum status add_member(struct arena *arena, const struct doc *member, bool is_const,
                              enum column_type column, struct type_set types, struct value_set *set,
                              bool *inout_possible, struct error *err)
{
    enum json_kind kind = JSON_KIND_NULL;
    struct number number = {0};
    enum status status = member_kind(member, is_const, &kind, err);
    if (status == STATUS_OK && kind == JSON_KIND_NUMBER) {
        status = keyword_number(member, &number, err);
    }
    if (status != STATUS_OK) {
        return status;
    }
    bool possible = (types.kinds & KIND_BIT(kind)) != 0;
    if (kind == JSON_KIND_NULL) {
        set->has_null = true;
    } else if (kind == JSON_KIND_BOOL) {
        set->has_boolean[member->boolean] = true;
    } else if (kind == JSON_KIND_STRING) {
        const char *text = arena_copy(arena, member->text, member->text_size);
        set->texts[set->text_count++] = bytes_of(text, member->text_size);
    } else {
        possible &= !types.integer_only || number.integral;
        /* Values of such a column were rounded to doubles, so members are as well. */
        if (column == COLUMN_DOUBLE) {
            number = number_of_double(number.real);
        }
        if (number.integral && number.in_int64) {
            set->integers[set->integer_count++] = number.floor;
        } else {
            set->reals[set->real_count++] = number.real;
        }
    }
    *inout_possible |= possible;
    return STATUS_OK;
}

static void show_members(struct arena *arena, const struct members *members, struct value_set *set)
{
    struct buffer shown = {0};
    for (size_t i = 0; i < members->count; i++) {
        const struct doc *member = members->items[i];
        buffer_append_string(&shown, i == 0 ? "" : ", ");
        if (shown.size > SHOWN_BYTES_MAX) {
            buffer_append_string(&shown, "…");
            break;
        }
        struct bytes text = bytes_of(member->text, member->text_size);
        if (member->kind == DOC_STRING) {
            json_cell_quote(&shown, text, SHOWN_MEMBER_BYTES_MAX);
        } else if (member->kind == DOC_NULL) {
            buffer_append_string(&shown, "null");
        } else {
            json_cell_show(&shown, text, SHOWN_MEMBER_BYTES_MAX);
        }
    }
    set->shown = arena_copy(arena, buffer_string(&shown), shown.size);
    buffer_fini(&shown);
}

enum status value_set_compile(struct arena *arena, const struct doc *node, bool is_const,
                              enum column_type column, struct type_set types,
                              struct value_set **out, struct error *err)
{
    struct members members;
    members_init(&members, node, is_const);
    if (members.count == 0) {
        return doc_error(node, err, "schema.keyword_value", "`enum` needs at least one value");
    }
    struct value_set *set = arena_alloc_zero(arena, 1, sizeof *set);
    set->is_const = is_const;
    set->integers = arena_alloc_zero(arena, members.count, sizeof *set->integers);
    set->reals = arena_alloc_zero(arena, members.count, sizeof *set->reals);
    set->texts = arena_alloc_zero(arena, members.count, sizeof *set->texts);
    bool possible = false;
    for (size_t i = 0; i < members.count; i++) {
        enum status status =
            add_member(arena, members.items[i], is_const, column, types, set, &possible, err);
        if (status != STATUS_OK) {
            return status;
        }
    }
    if (!possible) {
        return doc_error(node, err, "schema.contradiction",
                         "no value of `%s` is of the field's type", is_const ? "const" : "enum");
    }
    qsort(set->integers, set->integer_count, sizeof *set->integers, compare_integers);
    qsort(set->reals, set->real_count, sizeof *set->reals, compare_reals);
    qsort(set->texts, set->text_count, sizeof *set->texts, compare_texts);
    show_members(arena, &members, set);
    *out = set;
    return STATUS_OK;
}

bool value_set_has_number(const struct value_set *set, const struct number *number)
{
    if (number->integral && number->in_int64) {
        return bsearch(&number->floor, set->integers, set->integer_count, sizeof *set->integers,
                       compare_integers) != NULL;
    }
    return bsearch(&number->real, set->reals, set->real_count, sizeof *set->reals, compare_reals) !=
           NULL;
}

bool value_set_has_text(const struct value_set *set, struct bytes text)
{
    return bsearch(&text, set->texts, set->text_count, sizeof *set->texts, compare_texts) != NULL;
}
