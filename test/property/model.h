/*
 * The executable model: what the stages must say about each row, in the plainest form. Small arrays
 * for dictionaries, no batches, nothing is ever purged but where a plan changes. Written from the
 * design and its model in Python, not from the engine.
 */
#ifndef WEIR_TEST_PROPERTY_MODEL_H
#define WEIR_TEST_PROPERTY_MODEL_H

#include "batch/batch.h"
#include "row.h"
#include "rule.h"

#define MODEL_NEVER (-1000000000)
#define MODEL_VOTES_MAX 3

struct model_last {
    bool known;
    int event_s, value;
};

struct model_seen {
    bool known;
    int event_s;
    int64_t offset;
};

struct model_vote {
    int sensor;
    int64_t offset;
    int event_s;
};

/* Neighbours of the rule, each wrong. */
struct model_faults {
    bool no_refresh;            /* a duplicate does not refresh its key */
    bool late_registers;        /* a late row registers */
    bool fill_by_distance_only; /* the watermark does not end a value */
    bool fills_feed;            /* a filled value feeds */
    bool duplicate_by_age;      /* remembered by the distance of the rows, not by the watermark */
    bool change_forgets_nothing;/* what an old plan had forgotten comes back under a longer one */
};

struct model {
    struct model_faults faults;
    int greatest_s;
    struct model_last value_by_sensor[SENSORS_MAX];
    struct model_last value_by_other[OTHERS_MAX];
    struct model_last mode_by_key[KEYS_MAX];
    struct model_seen seen[KEYS_MAX + 1][OTHERS_MAX + 1];
    struct model_vote votes[MODEL_VOTES_MAX];
    int vote_count;
};

/* What is expected of a row. */
struct expected {
    enum verdict verdict;
    const char *reason;  /* NULL for VALID */
    int64_t witness;     /* of a DUPLICATE */
    int value, mode;     /* after fill; NONE: absent. Only where the record could be read. */
    int watermark_s;     /* after the row; only where `has_watermark` */
    bool has_watermark;
    bool jumped;         /* its vote carried a jump */
    bool filled;
};

void model_init(struct model *model, struct model_faults faults);
struct expected model_step(struct model *model, const struct rule *rule, int64_t offset,
                           const struct row *row);
/* The rows that come next are judged by `to`. */
void model_change_rule(struct model *model, const struct rule *from, const struct rule *to);

#endif
