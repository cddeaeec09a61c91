/* Keywords about arrays. */
#include <stdlib.h>
#include <string.h>

#include "schema/json_equal.h"
#include "schema/judge.h"

/* Bytes of JSON that are compared in one step. */
enum { BYTES_PER_STEP = 16 };

static bool count_items(struct judge *judge, const struct subschema *schema,
                        const struct json_node *node, const struct judge_where *where)
{
    bool too_few = node->count < schema->min_items;
    if (!too_few && node->count <= schema->max_items) {
        return true;
    }
    buffer_printf(&judge->text, "%u item%s, %s than %llu", node->count,
                  node->count == 1 ? "" : "s", too_few ? "fewer" : "more",
                  (unsigned long long)(too_few ? schema->min_items : schema->max_items));
    return judge_complain(judge, where, REASON_SCHEMA_LENGTH);
}

static bool each_item(struct judge *judge, const struct subschema *schema,
                      const struct json_node *node, const struct judge_where *where)
{
    const struct subschema_list *prefix = &schema->prefix_items;
    uint32_t end = schema->items != NULL         ? node->count
                   : prefix->count < node->count ? prefix->count
                                                 : node->count;
    bool fits = true;
    for (uint32_t i = 0; i < end; i++) {
        const struct subschema *item = i < prefix->count ? prefix->items[i] : schema->items;
        struct schema_step step = {BYTES_NONE, i};
        if (where->evaluated != NULL) {
            where->evaluated[i] = 1;
        }
        fits = judge_child(judge, item, &node->items[i], where, step, REASON_SCHEMA_ITEMS) && fits;
        if (!fits && !judge_goes_on(judge, where)) {
            return false;
        }
    }
    return fits;
}

/* How many items fit `contains`; counts no further than somebody wants to know. */
static uint64_t count_fitting(struct judge *judge, const struct subschema *schema,
                              const struct json_node *node, const struct judge_where *where)
{
    struct judge_where inner = *where;
    uint64_t count = 0;
    bool all = where->evaluated != NULL || schema->max_contains != UINT64_MAX;
    inner.complaints = NULL;
    inner.evaluated = NULL;
    for (uint32_t i = 0; i < node->count && (all || count < schema->min_contains); i++) {
        if (judge->gave_up) {
            break;
        }
        if (judge_schema(judge, schema->contains, &node->items[i], &inner)) {
            count++;
            if (where->evaluated != NULL) {
                where->evaluated[i] = 1;
            }
        }
    }
    return count;
}

static bool contains(struct judge *judge, const struct subschema *schema,
                     const struct json_node *node, const struct judge_where *where)
{
    if (schema->contains == NULL) {
        return true;
    }
    uint64_t count = count_fitting(judge, schema, node, where);
    bool too_few = count < schema->min_contains;
    if (!too_few && count <= schema->max_contains) {
        return true;
    }
    uint64_t limit = too_few ? schema->min_contains : schema->max_contains;
    buffer_printf(&judge->text, "%llu item%s as `contains` asks for, %s than %llu",
                  (unsigned long long)count, count == 1 ? "" : "s", too_few ? "fewer" : "more",
                  (unsigned long long)limit);
    return judge_complain(judge, where, REASON_SCHEMA_ITEMS);
}

struct form {
    size_t start;
    size_t size;
    uint32_t index;
    const uint8_t *data; /* once nothing moves any more */
};

static int compare_forms(const void *a, const void *b)
{
    const struct form *x = a;
    const struct form *y = b;
    if (x->size != y->size) {
        return x->size < y->size ? -1 : 1;
    }
    int order = memcmp(x->data, y->data, x->size);
    return order != 0 ? order : (x->index > y->index) - (x->index < y->index);
}

/* The lowest pair of equal items, by its second one. */
static bool find_equal(const struct json_node *node, uint32_t *out_first, uint32_t *out_second)
{
    struct buffer text = {0};
    struct form *forms = memory_alloc_zero(node->count, sizeof *forms);
    bool found = false;
    for (uint32_t i = 0; i < node->count; i++) {
        forms[i] = (struct form){.start = text.size, .index = i};
        json_equal_form(node->items[i].raw, &text);
        forms[i].size = text.size - forms[i].start;
    }
    for (uint32_t i = 0; i < node->count; i++) {
        forms[i].data = text.data + forms[i].start;
    }
    qsort(forms, node->count, sizeof *forms, compare_forms);
    for (uint32_t i = 1; i < node->count; i++) {
        bool equal = forms[i - 1].size == forms[i].size &&
                     memcmp(forms[i - 1].data, forms[i].data, forms[i].size) == 0;
        if (equal && (!found || forms[i].index < *out_second)) {
            *out_first = forms[i - 1].index;
            *out_second = forms[i].index;
            found = true;
        }
    }
    memory_free(forms);
    buffer_fini(&text);
    return found;
}

static bool unique(struct judge *judge, const struct subschema *schema,
                   const struct json_node *node, const struct judge_where *where)
{
    uint32_t first = 0;
    uint32_t second = 0;
    if (!schema->unique_items || node->count < 2) {
        return true;
    }
    if (!judge_spend(judge, node->raw.size / BYTES_PER_STEP, where)) {
        return false;
    }
    if (!find_equal(node, &first, &second)) {
        return true;
    }
    buffer_printf(&judge->text, "items %u and %u are equal", first, second);
    return judge_complain(judge, where, REASON_SCHEMA_ITEMS);
}

typedef bool (*judge_part)(struct judge *judge, const struct subschema *schema,
                           const struct json_node *node, const struct judge_where *where);

bool judge_array(struct judge *judge, const struct subschema *schema,
                 const struct json_node *node, const struct judge_where *where)
{
    static const judge_part parts[] = {count_items, each_item, contains, unique};
    if (node->kind != JSON_KIND_ARRAY) {
        return true;
    }
    bool fits = true;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        fits = parts[i](judge, schema, node, where) && fits;
        if (judge->gave_up || (!fits && !judge_goes_on(judge, where))) {
            return false;
        }
    }
    return fits;
}
