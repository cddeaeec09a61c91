/*
 * Lines into a topic of brokers, for produce: in transactions, so that what a reader sees of them is
 * what was committed. With a producer's id the place in the input is committed with them
 * (connector/writer.h), and the same input again adds nothing twice.
 *
 * Opening and a commit wait while the brokers are away, and say so once, and when it works again. A
 * stop ends the waiting, and so does the caller's patience: RETRY.
 *
 * Threads: one at a time.
 */
#ifndef WEIR_CLI_PRODUCE_REMOTE_H
#define WEIR_CLI_PRODUCE_REMOTE_H

#include "base/hash.h"
#include "cli/place.h"

struct produce_remote;

struct produce_patience {
    const char *meanwhile;           /* what is done until it works: ends the warning */
    bool (*is_over)(void *context);  /* asked after each attempt that failed; may be NULL */
    void *context;
};

/* `id` may be NULL. `partitions` of a topic that is made; 0: as many as the brokers make. CONFIG
 * "topic.exists" when it has another number. `place` outlives it. */
enum status produce_remote_open(const struct place *place, const char *id, uint32_t partitions,
                                const struct produce_patience *patience,
                                struct produce_remote **out, struct error *err) WEIR_MUST_USE;
void produce_remote_close(struct produce_remote *remote); /* takes NULL */

/* How far the input of that id is in. FATAL when what is stored cannot be read. */
enum status produce_remote_position(struct produce_remote *remote, int64_t *out_sequence,
                                    struct hash128 *out_digest, struct error *err) WEIR_MUST_USE;
/* CONFIG for a record that the topic does not take (writer_ops.judge). */
enum status produce_remote_judge(const struct produce_remote *remote, struct bytes key,
                                 struct bytes value, int64_t timestamp_us,
                                 struct error *err) WEIR_MUST_USE;
/* Copies. A record that the topic does not take fails the next commit. TIME_NEVER: the time when it
 * is written. */
void produce_remote_append(struct produce_remote *remote, struct bytes key, struct bytes value,
                           int64_t timestamp_us);
uint64_t produce_remote_count(const struct produce_remote *remote);
size_t produce_remote_bytes(const struct produce_remote *remote);
/* What was appended, and the position where there is an id. */
enum status produce_remote_commit(struct produce_remote *remote, int64_t sequence,
                                  struct hash128 digest, struct error *err) WEIR_MUST_USE;

#endif
