/*
 * Topics: the port through which topics are made, listed and described, beside whoever reads and
 * writes them. A place that has topics (a local log, a cluster) implements it; source_ops.topics
 * says which do.
 *
 * What a topic is to be is a WISH, made from the options of a verb or from the keys of a place of
 * the pipeline file (topic_wish_read()); what it is, is a STATE. Making compares nothing: who asks
 * says what a difference means.
 *
 * Threads: one at a time. All functions may wait for the place.
 */
#ifndef WEIR_CONNECTOR_TOPICS_H
#define WEIR_CONNECTOR_TOPICS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/memory.h"
#include "base/status.h"
#include "connector/source.h"

struct topics;

/* A number that nobody tells. */
#define TOPICS_UNTOLD INT64_C(-1)

struct topic_wish {
    const char *name;
    uint32_t partitions;  /* 0: as many as the place makes */
    uint32_t replication; /* 0: as often as the place does it */
    int64_t age_us, bytes; /* what it keeps; 0: no limit, TOPICS_UNTOLD: as the place does it */
    bool is_compacted;    /* keeps the last record of each key, whatever its age */
    const char *timestamps; /* "broker": when it was written; "producer"; NULL: as the place does it */
};

struct topic_state {
    const char *name; /* these live until the next call, or until the visitor returns */
    const char *id;
    uint32_t partitions;
    uint32_t replication;  /* of the partition that has the fewest; 0: there are no replicas here */
    uint32_t acknowledged; /* replicas that a commit waits for at least; 0: not told */
    int64_t created_us;    /* TIME_NEVER: not told */
    struct source_retention retention;
    bool is_compacted;
    const char *timestamps; /* as a wish's; NULL: not told */
    int64_t records, bytes; /* or TOPICS_UNTOLD */
    int64_t offsets;        /* from the first to the end, of all partitions */
};

struct topic_partition {
    uint32_t partition;
    int64_t first_offset;
    int64_t next_offset; /* of what may be read */
    int64_t hidden;      /* offsets behind that: of transactions that are open */
    /* or TOPICS_UNTOLD */
    int64_t records, batches, bytes, uncompressed_bytes;
    int64_t oldest_ms, newest_ms;
    int32_t leader;      /* number of a broker, -1: there is none now; 0 where there are no brokers */
    uint32_t replicas, in_sync;
};

struct topic_group {
    const char *group;
    uint32_t partition;
    int64_t next_offset;
    int64_t lag;
};

/* Anything but OK ends it. */
typedef enum status topic_visitor(void *context, const struct topic_state *topic,
                                  struct error *err);
typedef enum status topic_partition_visitor(void *context, const struct topic_partition *partition,
                                            struct error *err);
typedef enum status topic_group_visitor(void *context, const struct topic_group *group,
                                        struct error *err);

/* A pipeline that runs now, or a group of brokers that has members now. */
typedef enum status topic_user_visitor(void *context, const char *user, struct error *err);

enum topics_mode {
    TOPICS_LOOK,
    TOPICS_CHANGE,
    TOPICS_MAKE, /* the place itself, too, where it can be made */
};

struct topics_ops {
    bool has_replicas;
    /* The map of a place as source_ops.open() gets it. */
    enum status (*open)(const struct doc *config, const char *folder, enum topics_mode mode,
                        struct topics **out, struct error *err);
    void (*close)(struct topics *topics); /* takes NULL */
    /* Ascending by name; topics that the place keeps for itself are left out. */
    enum status (*list)(struct topics *topics, topic_visitor *visit, void *context,
                        struct error *err);
    enum status (*find)(struct topics *topics, const char *name, struct topic_state *out,
                        bool *out_found, struct error *err);
    /* These of a topic that is there. */
    enum status (*partitions)(struct topics *topics, const char *name,
                              topic_partition_visitor *visit, void *context, struct error *err);
    enum status (*groups)(struct topics *topics, const char *name, topic_group_visitor *visit,
                          void *context, struct error *err);
    /* Who uses it now, as far as the place knows: of a local log pipelines that read it or write to it,
     * of brokers groups that read it. */
    enum status (*users)(struct topics *topics, const char *name, topic_user_visitor *visit,
                         void *context, struct error *err);
    /* One that is there stays as it is. CONFIG for what the place refuses. */
    enum status (*make)(struct topics *topics, const struct topic_wish *wish,
                        struct topic_state *out, bool *out_was_there, struct error *err);
    /* What a topic that is there keeps from now on; of age_us and bytes TOPICS_UNTOLD leaves what is. */
    enum status (*keep)(struct topics *topics, const char *name, int64_t age_us, int64_t bytes,
                        struct error *err);
    /* With its records, and what groups have committed of it. */
    enum status (*remove)(struct topics *topics, const char *name, struct error *err);
    /* The topic that R of a pipeline stands in, and its name in `arena`. NULL: it is in no topic. */
    void (*wish_progress)(struct arena *arena, const char *pipeline, struct topic_wish *out);
    /* Where that topic is not there: CONFIG "progress.reset" when the pipeline has run all the same. With
     * wish_progress. */
    enum status (*check_lost_progress)(struct topics *topics, const char *pipeline,
                                       struct error *err);
};

struct topics {
    const struct topics_ops *ops;
};

/* What the keys `partitions`, `replication`, `retention`, `retention_bytes` and `timestamps` of a
 * place say, and its topic. */
struct topic_wish topic_wish_read(const struct doc *config);

#endif
