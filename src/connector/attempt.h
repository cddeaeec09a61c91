/*
 * Attempt: one try at committing an epoch, as R and ledger segments will stand if it succeeds. What
 * all transactional systems do alike is here; how rows get into a place is theirs.
 *
 * Life: attempt_init → the system writes rows: attempt_extend_range() where outputs have offsets,
 * attempt_add_reject() for each row that its place refuses → attempt_book_rejects(),
 * attempt_append_letters() → the system writes segments and R and commits → attempt_take() when the
 * commit is answered → attempt_fini. An epoch that is sent again begins with a new attempt.
 *
 * Threads: an attempt belongs to the committer's thread.
 */
#ifndef WEIR_CONNECTOR_ATTEMPT_H
#define WEIR_CONNECTOR_ATTEMPT_H

#include "connector/sink.h"
#include "connector/source.h"

/* A row that a place refused. Slices point into the sink's outbox; `record.headers` is the
 * attempt's. */
struct reject {
    const struct sink *sink;
    const struct source_partition *origin;
    uint32_t source_partition;
    struct record record; /* offset, timestamp, key, value and headers */
    uint32_t attempt;     /* of the dead letter */
    struct hash128 hash;  /* as it stands in the sink's sum */
    const char *code;     /* "sink.constraint_check", … */
    char message[200];
};

struct attempt {
    const struct epoch *epoch;
    struct progress *next;          /* [part_count]: R */
    struct ledger **segments;       /* [part][segment of the step]: what the epoch adds */
    struct reject *rejects;
    uint32_t reject_count, reject_capacity;
};

/* R and segment deltas as they are if no row is refused. */
void attempt_init(struct attempt *attempt, const struct epoch *epoch,
                  const struct progress *progresses);
void attempt_fini(struct attempt *attempt);

/* Which part of the epoch holds that source partition; it must. */
uint32_t attempt_part(const struct attempt *attempt, uint32_t source_partition);
/* The output range of rows of one source partition, into R and the segments. */
void attempt_extend_range(struct attempt *attempt, const char *sink_name,
                          uint32_t source_partition, uint32_t output_partition,
                          int64_t first_offset, int64_t last_offset);
/* Takes the headers over. */
void attempt_add_reject(struct attempt *attempt, const struct reject *reject);
/* Refused rows are not written but rejected, in R and in the segments; and due, where the dead letters
 * are another system's. Once per attempt. */
void attempt_book_rejects(struct attempt *attempt);

/* The sink of the system that dead letters of refused rows go to; NULL when there is none. */
struct sink *attempt_dlq(const struct system *system);
/* A dead letter for each refused row into an outbox of `dlq`, booked too. */
void attempt_append_letters(struct attempt *attempt, struct sink *dlq, struct outbox *outbox,
                            const char *pipeline);

/* The commit was answered: R of the epoch's partitions becomes what the attempt says. */
void attempt_take(struct attempt *attempt, struct progress *progresses);

/* Whether what a system has of a partition (`found`) is what must stand there once the epoch behind
 * `known` is committed. */
typedef enum status stored_judge(void *context, const struct progress *known,
                                 const struct progress *stored, bool found, struct error *err);
/* The commit was not answered, and yet is done: R of the epoch's partitions becomes what stands in the
 * system, for which rows were refused is known to it alone. All of them or none, so that who asks again
 * after a failure finds what the first try found. */
enum status attempt_read_back(struct system *system, const struct epoch *epoch,
                              struct progress *progresses, stored_judge *judge, void *context,
                              struct error *err) WEIR_MUST_USE;

#endif
