/* What is expected of a case, against what is. */
#include <stdio.h>
#include <string.h>

#include "codec/json_items.h"
#include "inspect/cases.h"
#include "schema/json_equal.h"

struct comparison {
    const struct case_entry *entry;
    uint32_t row;
    case_difference *difference;
    void *context;
    uint32_t count;
};

static void tell(struct comparison *comparison, const char *what, const char *expected,
                 const char *actual)
{
    comparison->count++;
    comparison->difference(comparison->context, comparison->row, what, expected, actual);
}

static void compare_text(struct comparison *comparison, const char *what,
                         const struct doc *expected, const char *actual)
{
    if (expected != NULL && strcmp(expected->text, actual) != 0) {
        tell(comparison, what, expected->text[0] == '\0' ? "none" : expected->text,
             actual[0] == '\0' ? "none" : actual);
    }
}

/* --- lists of names, in any order --- */

static bool list_has(const struct doc *list, const char *name)
{
    if (list->kind == DOC_STRING) {
        return strcmp(list->text, name) == 0;
    }
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->items[i]->text, name) == 0) {
            return true;
        }
    }
    return false;
}

static void write_names(const char *const *names, uint32_t count, struct buffer *out)
{
    buffer_append_byte(out, '[');
    for (uint32_t i = 0; i < count; i++) {
        buffer_printf(out, "%s%s", i == 0 ? "" : ", ", names[i]);
    }
    buffer_append_byte(out, ']');
}

static void compare_names(struct comparison *comparison, const char *what,
                          const struct doc *expected, const char *const *actual, uint32_t count)
{
    if (expected == NULL) {
        return;
    }
    size_t wanted = expected->kind == DOC_STRING ? 1 : expected->count;
    bool is_equal = wanted == count;
    for (uint32_t i = 0; i < count && is_equal; i++) {
        is_equal = list_has(expected, actual[i]);
    }
    if (!is_equal) {
        struct buffer wanted_text = {0};
        struct buffer actual_text = {0};
        buffer_append_byte(&wanted_text, '[');
        for (size_t i = 0; i < wanted; i++) {
            buffer_printf(&wanted_text, "%s%s", i == 0 ? "" : ", ",
                          expected->kind == DOC_STRING ? expected->text : expected->items[i]->text);
        }
        buffer_append_byte(&wanted_text, ']');
        write_names(actual, count, &actual_text);
        tell(comparison, what, buffer_string(&wanted_text), buffer_string(&actual_text));
        buffer_fini(&wanted_text);
        buffer_fini(&actual_text);
    }
}

/* --- outputs --- */

static bool is_same_json(struct bytes a, struct bytes b)
{
    struct buffer form_a = {0};
    struct buffer form_b = {0};
    json_equal_form(a, &form_a);
    json_equal_form(b, &form_b);
    bool is_same = form_a.size == form_b.size && memcmp(form_a.data, form_b.data, form_a.size) == 0;
    buffer_fini(&form_a);
    buffer_fini(&form_b);
    return is_same;
}

static bool find_member(struct bytes object, struct bytes name, struct bytes *out)
{
    struct json_items items;
    struct bytes at;
    struct bytes value;
    bool is_found = false;
    if (json_items_begin(&items, object)) {
        while (json_items_next(&items, &at, &value)) {
            if (bytes_equal(at, name)) {
                *out = value;
                is_found = true;
            }
        }
    }
    return is_found;
}

static void tell_member(struct comparison *comparison, struct bytes name,
                        const struct bytes *expected, const struct bytes *actual)
{
    char what[128];
    struct buffer wanted = {0};
    struct buffer is = {0};
    /* Names come with their quotes. */
    snprintf(what, sizeof what, "output.%.*s", (int)(name.size - 2), (const char *)name.data + 1);
    if (expected != NULL) {
        buffer_append(&wanted, expected->data, expected->size);
    }
    if (actual != NULL) {
        buffer_append(&is, actual->data, actual->size);
    }
    tell(comparison, what, expected == NULL ? "nothing" : buffer_string(&wanted),
         actual == NULL ? "nothing" : buffer_string(&is));
    buffer_fini(&wanted);
    buffer_fini(&is);
}

/* Two objects member by member. */
static void compare_members(struct comparison *comparison, struct bytes expected,
                            struct bytes actual)
{
    struct json_items items;
    struct bytes name;
    struct bytes value;
    struct bytes other;
    (void)json_items_begin(&items, expected);
    while (json_items_next(&items, &name, &value)) {
        if (!find_member(actual, name, &other)) {
            tell_member(comparison, name, &value, NULL);
        } else if (!is_same_json(value, other)) {
            tell_member(comparison, name, &value, &other);
        }
    }
    (void)json_items_begin(&items, actual);
    while (json_items_next(&items, &name, &value)) {
        if (!find_member(expected, name, &other)) {
            tell_member(comparison, name, NULL, &value);
        }
    }
}

static bool is_object(struct bytes json)
{
    struct json_items items;
    return json_items_begin(&items, json) && items.is_object;
}

static void compare_output(struct comparison *comparison, const struct doc *expected,
                           struct bytes actual)
{
    if (expected == NULL) {
        return;
    }
    struct buffer wanted = {0};
    doc_write_canonical(expected, &wanted);
    struct bytes wanted_json = bytes_of(wanted.data, wanted.size);
    if (bytes_is_none(actual)) {
        tell(comparison, "output", buffer_string(&wanted), "nothing goes out");
    } else if (!is_same_json(wanted_json, actual)) {
        uint32_t before = comparison->count;
        if (is_object(wanted_json) && is_object(actual)) {
            compare_members(comparison, wanted_json, actual);
        }
        /* Names that are spelt with other escapes, or no objects. */
        if (comparison->count == before) {
            struct buffer is = {0};
            buffer_append(&is, actual.data, actual.size);
            tell(comparison, "output", buffer_string(&wanted), buffer_string(&is));
            buffer_fini(&is);
        }
    }
    buffer_fini(&wanted);
}

static void compare_row(struct comparison *comparison, const struct doc *expected,
                        const struct case_outcome *actual)
{
    struct buffer detail = {0};
    buffer_append(&detail, actual->detail.data, actual->detail.size);
    compare_text(comparison, "verdict", doc_get(expected, "verdict"),
                 verdict_name(actual->verdict));
    compare_text(comparison, "reason", doc_get(expected, "reason"), actual->reason);
    compare_text(comparison, "field", doc_get(expected, "field"), actual->field);
    compare_text(comparison, "detail", doc_get(expected, "detail"), buffer_string(&detail));
    compare_output(comparison, doc_get(expected, "output"), actual->output);
    compare_names(comparison, "sinks", doc_get(expected, "sinks"), actual->sinks,
                  actual->sink_count);
    compare_names(comparison, "warnings", doc_get(expected, "warnings"), actual->warnings,
                  actual->warning_count);
    buffer_fini(&detail);
}

uint32_t cases_compare(const struct case_entry *entry, case_difference *difference, void *context)
{
    struct comparison comparison = {.entry = entry, .difference = difference, .context = context};
    size_t expected_count = entry->expect == NULL ? 0 : entry->expect->count;
    if (expected_count != entry->row_count) {
        char wanted[32];
        char is[32];
        comparison.row = UINT32_MAX;
        snprintf(wanted, sizeof wanted, "%zu", expected_count);
        snprintf(is, sizeof is, "%u", entry->row_count);
        tell(&comparison, "rows", wanted, is);
    }
    for (uint32_t row = 0; row < entry->row_count && row < expected_count; row++) {
        comparison.row = row;
        compare_row(&comparison, entry->expect->items[row], &entry->outcomes[row]);
    }
    return comparison.count;
}
