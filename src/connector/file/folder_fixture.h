/*
 * A made-up log of two partitions and a pipeline that writes it into a folder: what the tests of
 * the folder share. Every row is a function of its partition and number, so that whatever was
 * committed can be compared with what must be there.
 */
#ifndef WEIR_CONNECTOR_FILE_FOLDER_FIXTURE_H
#define WEIR_CONNECTOR_FILE_FOLDER_FIXTURE_H

#include "connector/sink.h"
#include "connector/source.h"

#define FIXTURE_PARTITIONS 2u
/* Offsets from one record to the next: a ledger segment has one or two, so that many close. */
#define FIXTURE_STRIDE INT64_C(700000)
#define FIXTURE_PIPELINE "pipe"
#define FIXTURE_PLAN_TEXT "the plan"

/* A file and a partition of a topic. */
extern const struct source_partition fixture_partitions[FIXTURE_PARTITIONS];

struct fixture {
    struct arena *arena;
    struct batch batch; /* only its partition is looked at */
    struct hash_secret secret;
    struct system *system;
    struct sink *sink;
    struct progress progresses[FIXTURE_PARTITIONS];
    uint64_t owner;
};

/* A system for the folder, not opened. Relative paths begin in the current folder. */
void fixture_init(struct fixture *fixture, const char *folder);
void fixture_fini(struct fixture *fixture);
/* Opens a session and becomes the owner: first start or taking over. */
enum status fixture_start(struct fixture *fixture, uint64_t owner, struct error *err) WEIR_MUST_USE;

/* The row of a record as it must stand in the folder; false when it has none. */
bool fixture_row(uint32_t partition, int64_t number, struct buffer *out);

/* An epoch of the records that follow R, so many per partition. */
struct fixture_epoch {
    struct epoch epoch;
    struct epoch_part parts[FIXTURE_PARTITIONS];
    struct outbox *outboxes[1];
};
void fixture_epoch_init(struct fixture *fixture, const int64_t counts[FIXTURE_PARTITIONS],
                        struct fixture_epoch *out);
void fixture_epoch_fini(struct fixture *fixture, struct fixture_epoch *epoch);

/* Commits epochs until each partition has come to `record_count`, at cuts that `seed` draws. RETRY
 * is repeated, `*out_retries` times in all. */
enum status fixture_run(struct fixture *fixture, int64_t record_count, uint64_t seed,
                        unsigned *out_retries, struct error *err) WEIR_MUST_USE;

/* Opens the folder anew and fails the test unless R, segments and parts agree, and the parts hold
 * exactly the rows up to R. Gives R's next record per partition; -1 when there is no R yet. */
void fixture_verify(const char *folder, int64_t out_numbers[FIXTURE_PARTITIONS]);

#endif
