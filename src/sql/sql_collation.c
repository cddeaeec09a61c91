#include "sql/sql_collation.h"

#include "base/time.h"

#define DATE_BYTES 10u
/* "2026-01-31T12:34:56", then a fraction of any length. */
#define DATE_TIME_BYTES 19u
/* Longer fractions say nothing more: time_parse_any_rfc3339() cuts at microseconds. */
#define DATE_TIME_BYTES_MAX 40u

bool sql_collation_parse_literal(struct bytes text, int64_t *out_us)
{
    if (text.size != DATE_BYTES) {
        return time_parse_any_rfc3339(text, out_us);
    }
    char midnight[DATE_BYTES + sizeof "T00:00:00Z"];
    memcpy(midnight, text.data, DATE_BYTES);
    memcpy(midnight + DATE_BYTES, "T00:00:00Z", sizeof "T00:00:00Z");
    return time_parse_any_rfc3339(bytes_of_string(midnight), out_us);
}

static bool parse(struct bytes text, int64_t *out_us)
{
    if (text.size < DATE_BYTES) {
        return false;
    }
    if (sql_collation_parse_literal(text, out_us)) {
        return true;
    }
    if (text.size < DATE_TIME_BYTES || text.size > DATE_TIME_BYTES_MAX) {
        return false;
    }
    uint8_t zoned[DATE_TIME_BYTES_MAX + 1];
    memcpy(zoned, text.data, text.size);
    zoned[text.size] = 'Z';
    return time_parse_any_rfc3339(bytes_of(zoned, text.size + 1), out_us);
}

int sql_collation_compare(struct bytes a, struct bytes b)
{
    int64_t a_us = 0;
    int64_t b_us = 0;
    bool a_is_time = parse(a, &a_us);
    bool b_is_time = parse(b, &b_us);
    if (a_is_time != b_is_time) {
        return a_is_time ? -1 : 1;
    }
    if (!a_is_time) {
        return bytes_compare(a, b);
    }
    return (a_us > b_us) - (a_us < b_us);
}

static int collate(void *context, int a_size, const void *a, int b_size, const void *b)
{
    (void)context;
    /* SQLite hands NULL for an empty text; a slice of NULL would be none. */
    return sql_collation_compare(bytes_of(a_size > 0 ? a : "", (size_t)a_size),
                                 bytes_of(b_size > 0 ? b : "", (size_t)b_size));
}

int sql_collation_register(sqlite3 *db)
{
    return sqlite3_create_collation_v2(db, SQL_TIME_COLLATION, SQLITE_UTF8, NULL, collate, NULL);
}
