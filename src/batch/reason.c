#include "batch/reason.h"

#include <string.h>

static const char *const fixed_names[REASON_FIXED_COUNT] = {
    [REASON_NONE] = "none",
    [REASON_DECODE_SYNTAX] = "decode.syntax",
    [REASON_DECODE_ENCODING] = "decode.encoding",
    [REASON_DECODE_TOO_LARGE] = "decode.too_large",
    [REASON_DECODE_NULL_VALUE] = "decode.null_value",
    [REASON_SCHEMA_REQUIRED] = "schema.required",
    [REASON_SCHEMA_TYPE] = "schema.type",
    [REASON_SCHEMA_RANGE] = "schema.range",
    [REASON_SCHEMA_LENGTH] = "schema.length",
    [REASON_SCHEMA_PATTERN] = "schema.pattern",
    [REASON_SCHEMA_ENUM] = "schema.enum",
    [REASON_SCHEMA_FORMAT] = "schema.format",
    [REASON_SCHEMA_UNKNOWN_FIELD] = "schema.unknown_field",
    [REASON_TIME_MISSING] = "time.missing",
    [REASON_TIME_UNPARSABLE] = "time.unparsable",
    [REASON_TIME_FUTURE] = "time.future",
    [REASON_TIME_STALE] = "time.stale",
    [REASON_REPAIR_NO_VALUE] = "repair.no_value",
    [REASON_DUPLICATE] = "duplicate",
    [REASON_LATE] = "late",
    [REASON_FILTER_WHERE] = "filter.where",
    [REASON_ROUTE_UNMATCHED] = "route.unmatched",
};

static void table_append(struct reason_table *table, const char *name)
{
    if (table->count == table->capacity) {
        table->capacity = table->capacity == 0 ? 64 : table->capacity * 2;
        table->names =
            memory_realloc(table->names, size_mul(table->capacity, sizeof *table->names));
    }
    table->names[table->count++] = name;
}

void reason_table_init(struct reason_table *table)
{
    *table = (struct reason_table){0};
    for (uint32_t i = 0; i < REASON_FIXED_COUNT; i++) {
        table_append(table, fixed_names[i]);
    }
}

void reason_table_fini(struct reason_table *table)
{
    for (uint32_t i = REASON_FIXED_COUNT; i < table->count; i++) {
        memory_free((char *)table->names[i]);
    }
    memory_free(table->names);
    *table = (struct reason_table){0};
}

reason_id reason_table_add(struct reason_table *table, const char *name)
{
    for (uint32_t i = 0; i < table->count; i++) {
        if (strcmp(table->names[i], name) == 0) {
            return (reason_id)i;
        }
    }
    check(table->count < UINT16_MAX);
    table_append(table, memory_copy_string(name));
    return (reason_id)(table->count - 1);
}

const char *reason_name(const struct reason_table *table, reason_id id)
{
    check(id < table->count);
    return table->names[id];
}
