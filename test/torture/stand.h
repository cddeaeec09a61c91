/*
 * A small pipeline with everything in it that writes: a local log with two partitions as source, a
 * topic, an upserted table that refuses some rows and dead letters in the same file, a topic in
 * another file, a folder of files, snapshots. A run of it takes milliseconds. Test code only.
 *
 * A folder is made once and copied for each trial. A run notes in memory that outlives it how far
 * each system has acknowledged; the next run of that folder checks that no less is there.
 */
#ifndef WEIR_TEST_TORTURE_STAND_H
#define WEIR_TEST_TORTURE_STAND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/hash.h"
#include "base/status.h"

enum {
    STAND_RECORDS = 240,
    STAND_PARTITIONS = 2,
    STAND_SYSTEMS = 3,
    STAND_EXIT_WRONG = 91, /* something was lost, doubled or otherwise wrong: said on stderr */
    STAND_EXIT_REFUSED = 3,
};

/* Makes the folder with pipeline and log. Same seed, same records. */
void stand_make(const char *folder, uint64_t seed);
void stand_copy(const char *from, const char *to);
void stand_remove(const char *folder);

/* For cmocka: a folder in TMPDIR with the stand in `base`; `work` and `image` are not there yet. */
extern char stand_base[160], stand_work[160], stand_image[160];
int stand_setup(void **state);
int stand_teardown(void **state);

/* What the systems have acknowledged; shared with child processes. -1: nothing. */
struct stand_acknowledged {
    int64_t next_offset[STAND_SYSTEMS][STAND_PARTITIONS];
};
/* Mapped once; forgets what was there. */
struct stand_acknowledged *stand_acknowledged_new(void);
void stand_acknowledged_clear(struct stand_acknowledged *acknowledged);

struct stand_run {
    struct stand_acknowledged *acknowledged; /* may be NULL */
    uint32_t batch_rows;                     /* at most so many at once */
    int64_t snapshot_interval_us;
    bool stops_at_warning; /* a repeated commit asks for a stop, as an operator may */
    uint64_t stops_at_epoch; /* of a system: a clean stop is asked for; 0: none */
    /* Called before a system is taken over, or an epoch of it is committed; may be NULL. */
    void (*before_take_over)(const char *place);
    void (*before_commit)(const char *place, uint64_t epoch);
    unsigned warnings;     /* out */
    char last_warning[512];
};

/* Until the end of the log. Ends the process with STAND_EXIT_WRONG when less is there than was
 * acknowledged. */
enum status stand_run(const char *folder, struct stand_run *run, struct error *err) WEIR_MUST_USE;

/* All that the outputs hold: order counts within a key, not between keys, nor between dead letters
 * of different sinks. Fails the process when they cannot be read. */
struct hash128 stand_digest(const char *folder);
/* Audit, and the digest. Says on stderr what is wrong. */
bool stand_is_right(const char *folder, struct hash128 digest);
/* Audit alone: OK and *out_clean, or why it could not be done. */
enum status stand_audit(const char *folder, bool *out_clean, struct error *err) WEIR_MUST_USE;

/* Runs `body` in a child process; its exit status, or 128 + signal. A child that takes longer than
 * `limit_s` is killed by SIGALRM. With LeakSanitizer the child's leaks are a failure (exit 92). */
int stand_fork(void (*body)(void *context), void *context, unsigned limit_s);

#endif
