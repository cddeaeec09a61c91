/*
 * What the unit tests of this folder share: a layout with one column of each kind and some with
 * awkward names, a batch over it, and short ways to fill cells and to compile.
 */
#ifndef WEIR_SQL_SQL_FIXTURE_H
#define WEIR_SQL_SQL_FIXTURE_H

#include "batch/batch.h"
#include "sql/sql.h"

enum fixture_field {
    FIELD_TEMPERATURE, /* DOUBLE */
    FIELD_TALLY,       /* INT64 */
    FIELD_ACTIVE,      /* BOOL */
    FIELD_SITE,        /* TEXT */
    FIELD_EVENT_TIME,  /* TEXT, a point in time */
    FIELD_RECEIVED,    /* TEXT, a point in time */
    FIELD_TAGS,        /* JSON */
    FIELD_LOCATION,    /* OBJECT */
    FIELD_LATITUDE,    /* location.lat, DOUBLE */
    FIELD_KEY,         /* key, TEXT: a keyword of SQLite */
    FIELD_MODE_UPPER,  /* Mode, TEXT */
    FIELD_MODE_LOWER,  /* mode, INT64 */
    FIELD_TRUE,        /* true, TEXT */
    FIELD_QUOTED,      /* say "hi", TEXT */
    FIELD_NOTE,        /* TEXT */
    FIXTURE_FIELD_COUNT,
};

extern const struct layout fixture_layout;
extern const bool fixture_is_time[FIXTURE_FIELD_COUNT];

struct sql_expression fixture_expression(const char *text);

/* Compiles one expression; the program is in *out on success. */
enum status fixture_compile(struct arena *arena, const char *text, struct sql_program **out,
                            struct error *err) WEIR_MUST_USE;

/* Appends a row whose cells are all absent and returns its number. */
uint32_t fixture_add_row(struct batch *batch);
void fixture_set_real(struct batch *batch, uint32_t field, uint32_t row, double value);
void fixture_set_integer(struct batch *batch, uint32_t field, uint32_t row, int64_t value);
void fixture_set_boolean(struct batch *batch, uint32_t row, bool value);
/* The bytes are copied to a place without a NUL behind it. */
void fixture_set_bytes(struct batch *batch, uint32_t field, uint32_t row, const void *data,
                       size_t size);
void fixture_set_text(struct batch *batch, uint32_t field, uint32_t row, const char *text);

/* A short form for comparing: "null", "i:12", "r:1.5", "t:text", "failed: message". */
char *fixture_show(struct arena *arena, const struct sql_result *result);

#endif
