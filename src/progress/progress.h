/*
 * R, the progress record: how far one system (a SQLite file, a folder of files, a Kafka cluster,
 * a database) has come with one source partition. Every system keeps its own and commits
 * it in the same transaction as its rows; that is the whole commit law.
 *
 * The life of R: first start writes epoch 0; taking over changes `owner` only (compare-and-swap on
 * epoch and the old owner); every commit applies one STEP, which makes epoch + 1 (compare-and-swap
 * on owner and epoch). Since outputs are a function of the log, R and the log are enough to go on.
 *
 * Binary form (version 2, little-endian): "WEIRPROG" | u32 version | fields in the order of the
 * struct, strings and lists sized | u64 XXH3-64 of all before. docs/formats.md has it byte by byte;
 * what version 1 can say is written as version 1, which has no refused rows at its end;
 * golden files of every version are in progress/golden/ and must be readable for ever.
 *
 * Threads: a progress record or step belongs to one thread at a time.
 */
#ifndef WEIR_PROGRESS_PROGRESS_H
#define WEIR_PROGRESS_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/status.h"
#include "progress/ledger.h"
#include "progress/refused.h"
#include "state/anchor.h"

#define PROGRESS_VERSION 3u
#define SEGMENT_VERSION 1u
/* Offsets per ledger segment. */
#define SEGMENT_OFFSETS (INT64_C(1) << 20)

/* From `offset` on rows were judged by the plan `plan_hash`, whose state reaches `horizon_us`
 * back. */
struct plan_change {
    int64_t offset;
    struct hash128 plan_hash;
    int64_t horizon_us;
};

/* Offsets [first, next) that the operator gave up. */
struct lost_range {
    int64_t first_offset;
    int64_t next_offset;
};

struct progress {
    char *pipeline;
    uint8_t incarnation[16]; /* made at the first start, the same in all systems */
    char *topic;             /* source topic, or path */
    char *topic_id;          /* UUID of a topic; hash of the first line of a file */
    char *partition;         /* label: digits for logs */
    uint32_t partition_count;
    uint64_t owner;          /* random per process start */
    uint64_t epoch;          /* of this partition in this system; 0 = first start */
    int64_t next_offset;
    struct anchor state_start;
    int64_t greatest_us;     /* greatest vetted event time after next_offset − 1 */
    struct candidates candidates;
    struct hash128 last_record_hash; /* of the record before next_offset; zero: none yet */
    uint8_t hash_key[HASH_KEY_BYTES];
    struct plan_change *plans; /* oldest first, back to state_start; at least one */
    uint32_t plan_count;
    struct lost_range *lost;
    uint32_t lost_count;
    /* How many rows that sinks of other systems refused this system, the DLQ's, has taken dead letters
     * of: the sum of `forwarded`. */
    uint64_t rejects_forwarded;
    struct ledger ledger;          /* cumulative; forwarded dead letters are counted apart: */
    struct refused_list due;       /* refused here, the dead letters are another system's */
    struct refused_list forwarded; /* refused elsewhere, the dead letters are here */
    /* The prepared transaction of another system that the commit of this R has decided for
     * (run/two_phase.h); NULL: none. */
    char *decides;
};

/* What one epoch adds for one partition. Segment deltas together are the whole delta. */
struct segment_delta {
    int64_t first_offset; /* a multiple of SEGMENT_OFFSETS, or where the plan changed */
    struct hash128 plan_hash;
    struct ledger delta;
};
/* A step may be over no offsets at all, and bring forwarded dead letters only: then what stands
 * behind `forwarded` is R's own. */
struct progress_step {
    int64_t first_offset; /* must equal R's next_offset */
    int64_t next_offset;
    struct refused_list forwarded;
    bool is_lost;         /* nothing of it was read: it goes to R's lost ranges */
    struct anchor state_start;
    int64_t greatest_us;
    struct candidates candidates;
    struct hash128 last_record_hash;
    struct plan_change *plans; /* the history after this step: replaces R's */
    uint32_t plan_count;
    struct segment_delta *segments; /* ascending */
    uint32_t segment_count;
};

void progress_fini(struct progress *progress);
/* `to` is zero-initialised or in use; its content is replaced. */
void progress_copy(struct progress *to, const struct progress *from);
void progress_step_fini(struct progress_step *step);

/* R after the step: epoch + 1, offsets, anchors, plans, ledger. check()s that the step joins on.
 * Written counts and sums must already stand in the step's sinks. */
void progress_apply(struct progress *progress, const struct progress_step *step);

void progress_write(const struct progress *progress, struct buffer *out);
/* FATAL "progress.corrupt" | CONFIG "progress.version" (a newer weir wrote it). `progress` is
 * zero-initialised by the caller, and still is after a failure. */
enum status progress_read(struct progress *progress, struct bytes form, struct error *err)
    WEIR_MUST_USE;

/* A segment as stored: its cumulative ledger under (first_offset, next_offset, plan_hash),
 * checksummed in the same way. */
void segment_write(int64_t first_offset, int64_t next_offset, struct hash128 plan_hash,
                   const struct ledger *ledger, struct buffer *out);
/* Errors as progress_read(); `ledger` is zero-initialised by the caller. */
enum status segment_read(struct bytes form, int64_t *out_first_offset, int64_t *out_next_offset,
                         struct hash128 *out_plan_hash, struct ledger *ledger, struct error *err)
    WEIR_MUST_USE;

#endif
