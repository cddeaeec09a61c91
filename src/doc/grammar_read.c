#include "doc/grammar.h"

#include <string.h>

#include "base/time.h"

const char *grammar_string(const struct doc *map, const char *key, const char *otherwise)
{
    const struct doc *value = doc_get(map, key);
    if (value == NULL) {
        return otherwise;
    }
    check(value->kind == DOC_STRING);
    return value->text;
}

bool grammar_bool(const struct doc *map, const char *key, bool otherwise)
{
    const struct doc *value = doc_get(map, key);
    if (value == NULL) {
        return otherwise;
    }
    bool boolean = false;
    bool good = doc_to_bool(value, &boolean);
    check(good);
    return boolean;
}

int64_t grammar_int(const struct doc *map, const char *key, int64_t otherwise)
{
    const struct doc *value = doc_get(map, key);
    if (value == NULL) {
        return otherwise;
    }
    int64_t integer = 0;
    bool good = doc_to_integer(value, &integer);
    check(good);
    return integer;
}

double grammar_number(const struct doc *map, const char *key, double otherwise)
{
    const struct doc *value = doc_get(map, key);
    if (value == NULL) {
        return otherwise;
    }
    double number = 0;
    bool good = doc_to_number(value, &number);
    check(good);
    return number;
}

/* The text of a scalar that quantity_check() has passed. */
static const char *quantity_text(const struct doc *value)
{
    check(value->kind == DOC_STRING || value->kind == DOC_INT || value->kind == DOC_DOUBLE);
    return value->text;
}

int64_t grammar_duration_us(const struct doc *map, const char *key, int64_t otherwise)
{
    const struct doc *value = doc_get(map, key);
    if (value == NULL) {
        return otherwise;
    }
    const char *text = quantity_text(value);
    int64_t duration_us = TIME_UNLIMITED;
    bool good = strcmp(text, "unlimited") == 0 || duration_parse(text, &duration_us);
    check(good);
    return duration_us;
}

uint64_t grammar_size_bytes(const struct doc *map, const char *key, uint64_t otherwise)
{
    const struct doc *value = doc_get(map, key);
    if (value == NULL) {
        return otherwise;
    }
    uint64_t size_bytes = 0;
    bool good = size_parse(quantity_text(value), &size_bytes);
    check(good);
    return size_bytes;
}

double grammar_percent(const struct doc *map, const char *key, double otherwise)
{
    const struct doc *value = doc_get(map, key);
    if (value == NULL) {
        return otherwise;
    }
    double share = 0;
    bool good = percent_parse(quantity_text(value), &share);
    check(good);
    return share;
}

const char **grammar_strings(struct arena *arena, const struct doc *map, const char *key,
                             size_t *out_count)
{
    const struct doc *value = doc_get(map, key);
    *out_count = 0;
    if (value == NULL) {
        return NULL;
    }
    bool is_list = value->kind == DOC_LIST;
    size_t count = is_list ? value->count : 1;
    const char **strings = arena_alloc(arena, size_mul(count, sizeof *strings));
    for (size_t i = 0; i < count; i++) {
        const struct doc *item = is_list ? value->items[i] : value;
        check(item->kind == DOC_STRING);
        strings[i] = item->text;
    }
    *out_count = count;
    return strings;
}
