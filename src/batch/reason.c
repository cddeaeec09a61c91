#include "batch/reason.h"

#include <string.h>

static const struct reason_info fixed[REASON_FIXED_COUNT] = {
    [REASON_NONE] = {"none", "", ""},
    [REASON_DECODE_SYNTAX] = {"decode.syntax", "INVALID",
                              "not of the source's format: broken, too deep, a repeated key"},
    [REASON_DECODE_ENCODING] = {"decode.encoding", "INVALID", "not UTF-8"},
    [REASON_DECODE_TOO_LARGE] = {"decode.too_large", "INVALID", "larger than max_record"},
    [REASON_DECODE_NULL_VALUE] = {"decode.null_value", "INVALID",
                                  "the record has a key and no value: a tombstone"},
    [REASON_KEY_MISSING] = {"key.missing", "INVALID",
                            "tombstones delete, and the record has no key"},
    [REASON_KEY_MISMATCH] = {"key.mismatch", "INVALID",
                             "tombstones delete, and the record's key is not the value of the key "
                             "column"},
    [REASON_KEY_PARTITION] = {"key.partition", "INVALID",
                              "tombstones delete, and the record's key belongs to another "
                              "partition"},
    [REASON_SCHEMA_REQUIRED] = {"schema.required", "INVALID", "a required field is absent"},
    [REASON_SCHEMA_TYPE] = {"schema.type", "INVALID", "a value of another type"},
    [REASON_SCHEMA_RANGE] = {"schema.range", "INVALID",
                             "a number outside of its bounds, or no multiple"},
    [REASON_SCHEMA_LENGTH] = {"schema.length", "INVALID",
                              "a text, list or map that is too long or too short"},
    [REASON_SCHEMA_PATTERN] = {"schema.pattern", "INVALID", "a text that does not match"},
    [REASON_SCHEMA_ENUM] = {"schema.enum", "INVALID", "a value that is none of those listed"},
    [REASON_SCHEMA_FORMAT] = {"schema.format", "INVALID",
                              "a text that is no date-time, uuid, email … as declared"},
    [REASON_SCHEMA_UNKNOWN_FIELD] = {"schema.unknown_field", "INVALID",
                                     "a field that additionalProperties refuses"},
    [REASON_SCHEMA_ITEMS] = {"schema.items", "INVALID",
                             "items that are equal, or not those that a list must contain"},
    [REASON_SCHEMA_COMBINATION] = {"schema.combination", "INVALID",
                                   "what anyOf, oneOf or not say of it does not hold"},
    [REASON_SCHEMA_TOO_COMPLEX] = {"schema.too_complex", "INVALID",
                                   "the schema asks for more steps than a record gets"},
    [REASON_TIME_MISSING] = {"time.missing", "INVALID", "no event time"},
    [REASON_TIME_UNPARSABLE] = {"time.unparsable", "INVALID", "an event time that is none"},
    [REASON_TIME_FUTURE] = {"time.future", "INVALID",
                            "an event time further ahead than max_future or max_jump"},
    [REASON_TIME_STALE] = {"time.stale", "", "reserved"},
    [REASON_REPAIR_NO_VALUE] = {"repair.no_value", "INVALID",
                                "required, to be filled, and nothing was found to fill it with"},
    [REASON_DUPLICATE] = {"duplicate", "DUPLICATE",
                          "its key was seen before; the detail names the offset"},
    [REASON_LATE] = {"late", "LATE", "its event time is below the watermark"},
    [REASON_FILTER_WHERE] = {"filter.where", "FILTERED", "transform.where does not hold"},
    [REASON_ROUTE_UNMATCHED] = {"route.unmatched", "FILTERED", "no sink takes it"},
    [REASON_TOMBSTONE] = {"tombstone", "VALID",
                          "the record has no value and deletes; counted, and no complaint"},
};

/* Those that a plan or a sink names; capitals stand for the name. */
static const struct reason_info families[] = {
    {"check.NAME", "INVALID", "the check of that name does not hold"},
    {"transform.FIELD", "INVALID", "the expression that sets the field failed on the record"},
    {"transform.where", "INVALID", "the condition of where failed on the record"},
    {"transform.route", "INVALID", "the condition of a sink failed on the record"},
    {"sink.CODE", "", "no verdict: a sink refused the row, and its dead letter says why"},
};

const struct reason_info *reason_list(uint32_t index)
{
    /* Behind REASON_NONE. */
    if (index < REASON_FIXED_COUNT - 1) {
        return &fixed[index + 1];
    }
    index -= REASON_FIXED_COUNT - 1;
    return index < sizeof families / sizeof families[0] ? &families[index] : NULL;
}

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
        table_append(table, fixed[i].name);
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
