/*
 * What the files of the simulated world share. Test code only.
 */
#ifndef WEIR_TEST_SIMULATION_WORLD_PRIVATE_H
#define WEIR_TEST_SIMULATION_WORLD_PRIVATE_H

#include "../property/row.h"
#include "world.h"

enum { OUTPUTS_MAX = 2 * WORLD_ROWS_MAX };

/* A row or a dead letter that went out. */
struct output {
    int64_t offset;
    struct hash128 hash;
};
struct outputs {
    struct output items[OUTPUTS_MAX];
    int count;
};

/* One partition in one system. */
struct stored {
    bool is_there;
    struct buffer record, first; /* R, and R of epoch 0 */
    uint64_t owner, epoch;
    int64_t next_offset;
    struct ledger ledger;        /* of the one segment: logs are short */
    struct hash128 plan_hash;
    int64_t segment_first;
    struct outputs outputs[WORLD_SINKS]; /* by sink->index */
};

struct store {
    struct stored partitions[WORLD_PARTITIONS_MAX];
    struct buffer plan_text;
};

struct world {
    bool is_calm;
    bool is_fenced;          /* the group guards commits, as it must */
    uint32_t group_systems;  /* the first so many know the source, and its group guards them */
    uint32_t partition_count;
    struct source_partition partitions[WORLD_PARTITIONS_MAX];
    struct log logs[WORLD_PARTITIONS_MAX];
    int64_t begin_us;
    int64_t step_us; /* a record of each partition comes so often */
    struct store stores[WORLD_SYSTEMS];
    /* [number in the plan; the last is the dlq][partition] */
    struct outputs expected[WORLD_SINKS + 1][WORLD_PARTITIONS_MAX];
    struct ledger expected_ledger[WORLD_PARTITIONS_MAX];
};
extern struct world world;

/* With that probability, and never when all is calm. */
bool world_happens(unsigned permille);
/* How many records of a partition are there now. */
int64_t world_visible(uint32_t p);

/* world_source.c */
extern const struct source_ops world_source_ops;

/* world_system.c */
struct sim_outbox {
    struct outbox outbox; /* first */
    struct outputs outputs[WORLD_PARTITIONS_MAX];
    uint64_t sent_ahead; /* rows of it that its system has in a transaction which goes on */
};
struct outbox *world_outbox_new(struct sink *sink);
void world_outbox_free(struct outbox *outbox);
struct system *world_system_new(uint32_t number, const struct sink *sink, const struct sink *dlq);
/* R as it is stored. */
enum status world_load_form(const struct buffer *form, struct progress *progress, bool *out_found,
                            struct error *err);

#endif
