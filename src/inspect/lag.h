/*
 * Lag: how far a pipeline is behind its source, per partition, and what holds it up. Looks only,
 * beside whoever runs: it takes no lock and writes nothing.
 *
 * Two looks, so long apart as the caller says, give the pace. All of it is observation: what is
 * said is true of these moments, and a pipeline that commits once a minute seems to stand still for
 * two seconds.
 */
#ifndef WEIR_INSPECT_LAG_H
#define WEIR_INSPECT_LAG_H

#include "plan/plan.h"

enum lag_bound {
    LAG_CAUGHT_UP,    /* it waits for records */
    LAG_NEVER_RAN,    /* there is no progress record */
    LAG_NOT_RUNNING,  /* nobody owns the pipeline */
    LAG_STANDS_STILL, /* somebody does, and nothing was committed */
    LAG_ARRIVALS,     /* more comes than is done */
    LAG_SYSTEM,       /* one system is behind the others: `system` */
    LAG_PACE,         /* it catches up at its own pace */
    LAG_EXPIRED,      /* what comes next was deleted: `run` will refuse to go on */
    LAG_UNKNOWN,      /* there was one look only */
};

#define LAG_TIME_UNKNOWN INT64_C(-1)
#define LAG_TIME_NEVER INT64_MAX

struct lag_partition {
    const char *topic;
    const char *label;
    int64_t committed_offset; /* of the slowest system; the first offset where none has begun */
    int64_t end_offset;
    int64_t behind;        /* records; bytes in a file */
    int64_t hidden;        /* records behind it that nobody may read yet: of open transactions, and
                            * what came after; 0 where there are none */
    int64_t oldest_us;     /* timestamp of the record that comes next; TIME_NEVER: none */
    int64_t event_time_us; /* the greatest that is committed; TIME_NEVER: none */
    int64_t age_us;        /* of `oldest_us` by the clock; 0 when nothing is behind */
    double arrived;        /* per second between the two looks; < 0: unknown */
    double committed;
    int64_t catch_up_us; /* at this pace; LAG_TIME_UNKNOWN, LAG_TIME_NEVER */
    enum lag_bound bound;
    const char *system; /* the one that is behind, or NULL */
};

enum lag_owner { LAG_OWNER_UNKNOWN, LAG_OWNER_NONE, LAG_OWNER_THERE };

struct lag {
    struct arena *arena;
    bool in_bytes;
    enum lag_owner owner;
    double seconds; /* between the two looks; 0: there was one */
    struct lag_partition *partitions;
    uint32_t partition_count;
    uint32_t processes;        /* that share the source now; 0: none, or a source that is not shared */
    uint32_t processes_wanted; /* that would keep up; 0: unknown, or no more than there are */
};

/* `duration_us` 0: one look. A stop cuts the wait short. lag_fini() also after a failure. */
enum status lag_measure(struct plan *plan, int64_t duration_us, struct lag *out,
                        struct error *err) WEIR_MUST_USE;
void lag_fini(struct lag *lag);

const char *lag_bound_name(enum lag_bound bound);

#endif
