/*
 * Workload: dirty IoT records from a seed, for demos, benches and tests. The record is the one of
 * examples/sensor.schema.json.
 *
 * Each record is either CLEAN or of one other kind, drawn by the shares of the options; most clean
 * ones are plain text of about 200 bytes with eight fields. The kind says what was done to the
 * record, not what becomes of it: a duplicate may come too late to be known, a sentinel may be
 * filled. What becomes of it is for truth.h to say, which reads nothing but the bytes.
 *
 * Event times grow from first_event_time_us at rate_per_second (all sensors together). Nothing but
 * FUTURE lies beyond workload_last_event_time_us(), and FUTURE lies at least ten years beyond that
 * and beyond the year 2100; so as long as the last event time is before the moment of writing, no
 * answer depends on the day.
 *
 * The same options give the same bytes on every machine. Memory is bounded by the number of
 * sensors. One thread at a time.
 */
#ifndef WEIR_GEN_WORKLOAD_H
#define WEIR_GEN_WORKLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"

enum workload_kind {
    WORKLOAD_CLEAN = 0,
    WORKLOAD_UNPARSABLE,   /* cut, broken syntax, invalid UTF-8 */
    WORKLOAD_EMPTY,        /* no value (a tombstone), or one of no bytes */
    WORKLOAD_REPEATED_KEY, /* one key twice in an object */
    WORKLOAD_WRONG_TYPE,   /* half of them numbers as text, which coerce repairs */
    WORKLOAD_OUT_OF_RANGE, /* a number just or far outside its range */
    WORKLOAD_CONSTRAINT,   /* breaks a length, a pattern or an enum */
    WORKLOAD_EXTREME,      /* numbers beyond int64 or double */
    WORKLOAD_MISSING,      /* a field left out, or null */
    WORKLOAD_SENTINEL,     /* -999, "N/A", "", "NaN" */
    WORKLOAD_BAD_TIME,     /* an event_time that is none */
    WORKLOAD_DUPLICATE, /* a resend with the same message_id: exact, or with a later event time */
    WORKLOAD_LATE,      /* further behind than the lateness */
    WORKLOAD_FUTURE,    /* far beyond the moment of writing */
    WORKLOAD_OUT_OF_ORDER, /* behind, within the lateness */
    WORKLOAD_TEST_SITE,    /* site is test */
    WORKLOAD_DEW_POINT,    /* too cold for its humidity; some of them just not */
    WORKLOAD_LOW_BATTERY,  /* below 10, which is only a warning */
    WORKLOAD_VARIANT,      /* right, but unusual JSON */
    WORKLOAD_SEVERAL,      /* two or three of the others at once */
};
#define WORKLOAD_KIND_COUNT 20

#define WORKLOAD_SENSORS_MAX 100000u
#define WORKLOAD_PARTITIONS_MAX 10000u

struct workload_options {
    uint64_t seed;
    uint64_t record_count;
    uint32_t partition_count;
    uint32_t sensor_count;
    double rate_per_second;      /* of event time, above 0 */
    int64_t first_event_time_us; /* 1970-02-01 or later; the last one before 3000 */
    /* 0 to 1 each, at most 1 together. CLEAN's is ignored: it gets the rest. */
    double shares[WORKLOAD_KIND_COUNT];
};

/* Slices are valid until the next call. */
struct workload_record {
    uint64_t number;    /* from 0 */
    struct bytes key;   /* the sensor's id, whatever the value says */
    struct bytes value; /* none: a tombstone */
    uint32_t partition; /* of the key, as Kafka's default partitioner has it */
    enum workload_kind kind;
};

/* Seed 1, 1,000,000 records, 3 partitions, 1,000 sensors, 1,000 records a second, about 12 % that
 * are not CLEAN. The first event time is left at 2026-01-01: see
 * workload_default_first_event_time_us(). */
void workload_options_init(struct workload_options *options);
/* Such that the last event lies an hour before now, in whole seconds. */
int64_t workload_default_first_event_time_us(const struct workload_options *options,
                                             int64_t now_us);
int64_t workload_last_event_time_us(const struct workload_options *options);

/* "clean", "out_of_order", … */
const char *workload_kind_name(enum workload_kind kind);
/* What it is, for --help. */
const char *workload_kind_text(enum workload_kind kind);
/* False when there is no such kind. */
bool workload_kind_find(const char *name, enum workload_kind *out);

struct workload;

/* CONFIG, code "gen.option", when an option is out of its bounds. */
enum status workload_new(const struct workload_options *options, struct workload **out,
                         struct error *err) WEIR_MUST_USE;
/* Takes NULL. */
void workload_free(struct workload *workload);
/* False after the last record. */
bool workload_next(struct workload *workload, struct workload_record *out);

#endif
