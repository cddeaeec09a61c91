/*
 * Random logs: rows as few small numbers with heavily reused keys (with mostly unique keys nothing
 * is found), and the same rows as JSON records in mixed formatting.
 */
#ifndef WEIR_TEST_PROPERTY_ROW_H
#define WEIR_TEST_PROPERTY_ROW_H

#include "batch/batch.h"
#include "rule.h"

#define LOG_ROWS_MAX 512

enum row_damage { DAMAGE_NOT, DAMAGE_TOMBSTONE, DAMAGE_CUT };
enum row_time { TIME_GIVEN, TIME_MISSING, TIME_BROKEN };

struct row {
    enum row_damage damage;
    enum row_time time;
    int event_s;
    int arrival_s; /* what the broker says */
    /* NONE: the record lacks it */
    int key;    /* 0 … KEYS_MAX − 1 */
    int other;  /* 0 … OTHERS_MAX − 1 */
    int sensor; /* 0 … SENSORS_MAX − 1 */
    int value;
    int mode;
    int least;
    bool is_test;
    bool has_record_key; /* tombstones */
};
#define KEYS_MAX 20
#define OTHERS_MAX 4
#define SENSORS_MAX 6

struct log {
    int count;
    struct row rows[LOG_ROWS_MAX];
    /* offsets, timestamps and values; each value in memory of its own */
    struct record records[LOG_ROWS_MAX];
};

/* Rows around the limits of the rule. */
void log_random(struct log *log, struct prng *prng, const struct rule *rule, int count);
void log_fini(struct log *log);

#endif
