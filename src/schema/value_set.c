#include "schema/value_set.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "schema/json_equal.h"
#include "schema/keyword.h"

/* Of the list of members that a message shows. */
enum { SHOWN_BYTES_MAX = 120, SHOWN_MEMBER_BYTES_MAX = 40 };

/* So many texts are compared one after the other. */
enum { FEW_TEXTS = 16 };

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

static enum json_kind member_kind(const struct doc *member)
{
    switch (member->kind) {
    case DOC_NULL:
        return JSON_KIND_NULL;
    case DOC_BOOL:
        return JSON_KIND_BOOL;
    case DOC_INT:
    case DOC_DOUBLE:
        return JSON_KIND_NUMBER;
    case DOC_STRING:
        return JSON_KIND_STRING;
    case DOC_LIST:
        return JSON_KIND_ARRAY;
    case DOC_MAP:
        return JSON_KIND_OBJECT;
    }
    check(!"a known kind");
}

enum status value_set_types(const struct doc *node, bool is_const, struct type_set *out,
                            struct error *err)
{
    struct members members;
    members_init(&members, node, is_const);
    struct type_set types = {0, true};
    for (size_t i = 0; i < members.count; i++) {
        enum json_kind kind = member_kind(members.items[i]);
        struct number number = number_of_int64(0);
        enum status status = STATUS_OK;
        if (kind == JSON_KIND_NUMBER) {
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
    /* A zero here is a number next to it, on the side that its sign says. */
    int sides = x == 0 && y == 0 ? (signbit(y) != 0) - (signbit(x) != 0) : 0;
    return sides + (x > y) - (x < y);
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

static enum status add_nested(struct arena *arena, const struct doc *member, struct value_set *set,
                              struct error *err)
{
    struct buffer form = {0};
    enum status status = json_equal_form_of_doc(member, &form, err);
    if (status == STATUS_OK) {
        set->nested[set->nested_count++] =
            bytes_of(arena_copy(arena, form.data, form.size), form.size);
    }
    buffer_fini(&form);
    return status;
}

/* Adds one member; tells whether it can equal a value of the types. */
static enum status add_member(struct arena *arena, const struct doc *member,
                              enum column_type column, struct type_set types, struct value_set *set,
                              bool *inout_possible, struct error *err)
{
    enum json_kind kind = member_kind(member);
    struct number number = {0};
    enum status status = STATUS_OK;
    if (kind == JSON_KIND_NUMBER) {
        status = keyword_number(member, &number, err);
    } else if (kind == JSON_KIND_ARRAY || kind == JSON_KIND_OBJECT) {
        status = add_nested(arena, member, set, err);
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
    } else if (kind == JSON_KIND_NUMBER) {
        possible &= !types.integer_only || number.integral;
        /* Values of such a column were rounded to doubles, so members are as well. */
        if (column == COLUMN_DOUBLE && (number.real != 0 || number.integral)) {
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

static inline bool is_word(struct bytes text)
{
    return text.size - sizeof(uint32_t) <= sizeof(uint32_t);
}

static inline struct word word_of(struct bytes text)
{
    uint32_t first;
    uint32_t last;
    memcpy(&first, text.data, sizeof first);
    memcpy(&last, text.data + text.size - sizeof last, sizeof last);
    return (struct word){first | (uint64_t)last << 32, text.size};
}

/* The words among few texts. */
static void collect_words(struct arena *arena, struct value_set *set)
{
    const size_t most = set->text_count <= FEW_TEXTS ? set->text_count : 0;
    set->words = arena_alloc_zero(arena, most, sizeof *set->words);
    for (size_t i = 0; i < most; i++) {
        if (is_word(set->texts[i])) {
            set->words[set->word_count++] = word_of(set->texts[i]);
        }
    }
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
        } else if (member->kind == DOC_LIST || member->kind == DOC_MAP) {
            struct buffer whole = {0};
            doc_write_canonical(member, &whole);
            json_cell_show(&shown, bytes_of(whole.data, whole.size), SHOWN_MEMBER_BYTES_MAX);
            buffer_fini(&whole);
        } else {
            json_cell_show(&shown, text, SHOWN_MEMBER_BYTES_MAX);
        }
    }
    set->shown = arena_copy(arena, buffer_string(&shown), shown.size);
    buffer_fini(&shown);
}

enum status value_set_compile(struct arena *arena, const struct doc *node, bool is_const,
                              enum column_type column, const struct type_set *types,
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
    set->nested = arena_alloc_zero(arena, members.count, sizeof *set->nested);
    const struct type_set any = {KINDS_ALL, false};
    bool possible = false;
    for (size_t i = 0; i < members.count; i++) {
        enum status status = add_member(arena, members.items[i], column,
                                        types != NULL ? *types : any, set, &possible, err);
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
    qsort(set->nested, set->nested_count, sizeof *set->nested, compare_texts);
    collect_words(arena, set);
    show_members(arena, &members, set);
    *out = set;
    return STATUS_OK;
}

struct type_set value_set_kinds(const struct value_set *set)
{
    struct type_set types = {0, set->integer_count > 0 && set->real_count == 0};
    types.kinds |= set->has_null ? KIND_BIT(JSON_KIND_NULL) : 0;
    types.kinds |= set->has_boolean[0] || set->has_boolean[1] ? KIND_BIT(JSON_KIND_BOOL) : 0;
    types.kinds |= set->integer_count + set->real_count > 0 ? KIND_BIT(JSON_KIND_NUMBER) : 0;
    types.kinds |= set->text_count > 0 ? KIND_BIT(JSON_KIND_STRING) : 0;
    /* Which of the two, the forms do not say apart cheaply; more than what fits does no harm. */
    types.kinds |=
        set->nested_count > 0 ? KIND_BIT(JSON_KIND_ARRAY) | KIND_BIT(JSON_KIND_OBJECT) : 0;
    return types;
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

/* Without a branch that depends on which one it is. */
static inline bool has_word(const struct value_set *set, struct word word)
{
    bool found = false;
    for (size_t i = 0; i < set->word_count; i++) {
        found |= (set->words[i].ends == word.ends) & (set->words[i].size == word.size);
    }
    return found;
}

bool value_set_has_text(const struct value_set *set, struct bytes text)
{
    if (set->text_count > FEW_TEXTS) {
        return bsearch(&text, set->texts, set->text_count, sizeof *set->texts, compare_texts) !=
               NULL;
    }
    if (is_word(text)) {
        return has_word(set, word_of(text));
    }
    for (size_t i = 0; i < set->text_count; i++) {
        if (bytes_equal(set->texts[i], text)) {
            return true;
        }
    }
    return false;
}

bool value_set_has_nested(const struct value_set *set, struct bytes raw)
{
    if (set->nested_count == 0) {
        return false;
    }
    struct buffer form = {0};
    json_equal_form(raw, &form);
    struct bytes key = bytes_of(form.data, form.size);
    bool found =
        bsearch(&key, set->nested, set->nested_count, sizeof *set->nested, compare_texts) != NULL;
    buffer_fini(&form);
    return found;
}
