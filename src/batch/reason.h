/*
 * Reasons: the stable codes that say why a record was not VALID, or what a check warned of. The
 * fixed ones are here; a plan adds its own (`check.<name>`, `transform.<field>`) behind them in its
 * reason table.
 */
#ifndef WEIR_BATCH_REASON_H
#define WEIR_BATCH_REASON_H

#include <stdint.h>

#include "base/memory.h"

typedef uint16_t reason_id;

enum reason {
    REASON_NONE = 0,
    REASON_DECODE_SYNTAX,
    REASON_DECODE_ENCODING,
    REASON_DECODE_TOO_LARGE,
    REASON_DECODE_NULL_VALUE,
    REASON_KEY_MISSING,
    REASON_KEY_MISMATCH,
    REASON_KEY_PARTITION,
    REASON_SCHEMA_REQUIRED,
    REASON_SCHEMA_TYPE,
    REASON_SCHEMA_RANGE,
    REASON_SCHEMA_LENGTH,
    REASON_SCHEMA_PATTERN,
    REASON_SCHEMA_ENUM,
    REASON_SCHEMA_FORMAT,
    REASON_SCHEMA_UNKNOWN_FIELD,
    REASON_SCHEMA_ITEMS,
    REASON_SCHEMA_COMBINATION,
    REASON_SCHEMA_TOO_COMPLEX,
    REASON_TIME_MISSING,
    REASON_TIME_UNPARSABLE,
    REASON_TIME_FUTURE,
    REASON_TIME_STALE,
    REASON_REPAIR_NO_VALUE,
    REASON_DUPLICATE,
    REASON_LATE,
    REASON_FILTER_WHERE,
    REASON_ROUTE_UNMATCHED,
    REASON_TOMBSTONE,
    REASON_FIXED_COUNT,
};

/* What a reason means, for people. */
struct reason_info {
    const char *name;    /* capitals stand for a name of the plan: "check.NAME" */
    const char *verdict; /* that it gives; "" where it is no verdict */
    const char *meaning;
};

/* All of them: the fixed ones, then those that plans and sinks name; NULL behind the last. */
const struct reason_info *reason_list(uint32_t index);

/* The names of a plan's reasons, by id; the fixed ones first. Read-only once the plan is made. */
struct reason_table {
    const char **names;
    uint32_t count;
    uint32_t capacity;
};

void reason_table_init(struct reason_table *table);
void reason_table_fini(struct reason_table *table);
/* Copies the name; the same name gives the same id. At most 65,535. */
reason_id reason_table_add(struct reason_table *table, const char *name);
/* "schema.range" */
const char *reason_name(const struct reason_table *table, reason_id id);

#endif
