/*
 * Measure: what the measured things of this folder share. One process measures one thing once, and
 * prints one line of JSON about it; bench.py starts the processes, a thing and its reference by
 * turns, and adds up. That way each has a peak RSS of its own, and none finds the caches or the
 * allocator as another left them.
 *
 * Time is added up over spans, so that making the input stays outside.
 */
#ifndef WEIR_BENCH_MEASURE_H
#define WEIR_BENCH_MEASURE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/memory.h"
#include "base/status.h"
#include "batch/batch.h"
#include "gen/workload.h"

struct arguments {
    const char *pipeline; /* the pipeline file, NULL unless given */
    const char *path;     /* the SQLite file or the folder to write or to read, NULL unless given */
    uint64_t records;     /* how many */
};

struct measurement {
    uint64_t records;
    uint64_t bytes; /* of their values, or what they take in memory */
    int64_t cpu_us, wall_us;
    int64_t longest_us; /* of what must not take long at one time; 0: nothing of the kind */
    int64_t cpu_begin_us, wall_begin_us;
};

/* begin … end may be repeated: the spans are added up. */
void measure_begin(struct measurement *measurement);
void measure_end(struct measurement *measurement);

/* A thing to measure. Its result is printed by main(). */
struct thing {
    const char *name;
    enum status (*measure)(const struct arguments *arguments, struct measurement *out,
                           struct error *err);
};
/* Each list ends with a row without a name. */
extern const struct thing decode_things[];
extern const struct thing stage_things[];
extern const struct thing log_things[];
extern const struct thing producer_things[];
extern const struct thing table_things[];
extern const struct thing state_things[];

/* Records in memory, in one block with room for vector loads behind it. */
#define INPUT_RECORDS (16u * BATCH_ROWS_MAX)
struct input {
    struct workload *workload;
    struct buffer bytes;
    struct record *records; /* [count] */
    uint32_t count;
    uint64_t size_bytes;    /* of the values */
    int64_t timestamp_us;   /* of all records: behind the workload's last event */
    int64_t next_offset;
};

/* One partition; `clean` without dirty records. */
enum status input_init(struct input *input, uint64_t record_count, bool clean,
                       struct error *err) WEIR_MUST_USE;
/* The next records, at most INPUT_RECORDS; count 0 at the end. Those of before are gone. */
void input_next(struct input *input);
void input_fini(struct input *input);
/* Puts up to a batch's worth of the input's records, from `first` on, into the batch. Returns how
 * many. */
uint32_t input_fill_batch(const struct input *input, uint32_t first, struct batch *batch);

#endif
