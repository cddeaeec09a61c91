/* What the files of the Kafka connector share. Not for other folders. */
#ifndef WEIR_CONNECTOR_KAFKA_PRIVATE_H
#define WEIR_CONNECTOR_KAFKA_PRIVATE_H

#include "connector/kafka/answer.h"
#include "connector/kafka/ends.h"
#include "connector/kafka/groups.h"
#include "connector/kafka/kafka.h"
#include "connector/kafka/member.h"
#include "connector/kafka/reader.h"
#include "connector/kafka/store.h"
#include "connector/kafka/topics.h"
#include "connector/topics.h"

/* Of a topic as a place: what it is to be when it is made (connector/topics.h). */
#define KAFKA_TOPIC_FIELDS(made)                                                                  \
    {.key = "partitions", .type = GRAMMAR_INT, .minimum = 1, .maximum = 100000,                   \
     .help = "of a topic that " made "; as many as the brokers make unless set"},                 \
    {.key = "replication", .type = GRAMMAR_INT, .minimum = 1, .maximum = 100,                     \
     .help = "of a topic that " made ": on how many brokers it is; as the brokers do it unless "  \
             "set"},                                                                              \
    {.key = "retention", .type = GRAMMAR_DURATION_OR_UNLIMITED,                                   \
     .help = "of a topic that " made ": records older than that go; as the brokers do it unless " \
             "set"},                                                                              \
    {.key = "retention_bytes", .type = GRAMMAR_SIZE,                                              \
     .help = "of a topic that " made ": of a partition above that size the oldest records go; "   \
             "as the brokers do it unless set"},                                                  \
    {.key = "timestamps", .type = GRAMMAR_CHOICE, .choices = kafka_timestamps,                    \
     .help = "of a topic that " made ": set by the broker when it writes a record, or by its "    \
             "producer; as the brokers do it unless set"}
extern const char *const kafka_timestamps[];

struct kafka_source {
    struct source source; /* first */
    struct arena *arena;
    const struct doc *config;
    const char *folder;
    const char *topic_name;
    char *cluster_id;
    struct kafka_client *client; /* fetches: what else it is asked waits behind fetches */
    struct kafka_client *asker;  /* asks, and reads single records */
    struct kafka_client *group;  /* asks for a group's offsets; NULL until then */
    struct kafka_member *member; /* NULL: all partitions are ours */
    struct kafka_ends *ends;     /* NULL: nobody has watched yet */
    struct kafka_topic topic;
    struct kafka_topic_watch *watch;
    struct source_partition *partitions;
    struct kafka_reader **readers;
    struct kafka_reader *single; /* of the asker; NULL: not made yet */
    uint32_t single_partition;   /* that it reads */
    struct kafka_signal signal;
    int64_t opened_us;
    bool commits_offsets; /* a system of the same cluster sends them with its rows */
};

/* The record of a message; slices are the message's and the arena's. */
void kafka_record(const rd_kafka_message_t *message, struct arena *arena, struct record *out);

struct kafka_row; /* outbox.c */

/* Rows of an outbox on their way to one output partition, in order. */
struct kafka_lane {
    struct kafka_lane *next; /* made before it */
    uint32_t partition;
    uint64_t waiting;              /* rows that the producer has, and that no report has come of */
    struct kafka_row *first, *last; /* rows that it does not have yet; NULL: none */
};

/* Where the rows of one source partition land in one output partition. Written by delivery reports, on
 * the committer's thread. */
struct kafka_range {
    struct kafka_range *next; /* made before it */
    uint32_t source_partition;
    uint32_t partition;
    struct kafka_landing landing;
    struct kafka_lane *lane; /* of the committer; NULL: not looked for yet */
};

struct kafka_chunk;

#define KAFKA_REFUSAL_BYTES 120

/* A row that the topic does not take. */
struct kafka_reject {
    uint32_t source_partition;
    const struct source_partition *origin;
    uint32_t attempt;
    int64_t offset, timestamp_us;
    size_t key_at, value_at, headers_at;
    size_t key_size, value_size;
    uint32_t header_count;
    struct hash128 hash; /* as it stands in the sink's sum */
    const char *code; /* "sink.too_large", … */
    char message[KAFKA_REFUSAL_BYTES];
};

/* Rows stand in chunks that never move: the producer reads them where they are. A chunk that is full
 * may be sent while the worker fills the next one. */
struct kafka_outbox {
    struct outbox outbox; /* first */
    /* of the worker, until the epoch is closed */
    struct kafka_chunk *first, *last; /* in order; NULL: no rows */
    struct kafka_pool *pool;          /* the sink's */
    struct kafka_range *ranges;       /* the newest first */
    struct buffer bytes;              /* of rejects */
    struct kafka_reject *rejects;
    uint32_t reject_count, reject_capacity;
    struct buffer scratch;
    /* of both */
    struct mutex mutex;
    struct kafka_chunk *full; /* the last one that is full; under the mutex */
    /* of the committer */
    struct kafka_chunk *sorted; /* the last one whose rows are in lanes; NULL: none */
    uint32_t sorted_bytes;      /* of it */
    struct kafka_lane *lanes;
    struct buffer headers;
};

struct kafka_sink {
    struct sink sink; /* first */
    char *topic_name;
    struct kafka_pool *pool; /* of its outboxes */
    uint32_t key_field;    /* FIELD_NONE: the record's own key */
    struct topic_wish wish; /* what the pipeline file asks for */
    /* of the topic, once it is known; the worker's rows and the commit thread's questions */
    _Atomic uint32_t partitions;
    char topic_id[32];     /* likewise */
    struct kafka_topic_rules rules; /* once they are known; record_limit 0: not yet */
    int64_t now_ms;        /* the worker's clock when it last looked */
    rd_kafka_topic_t *handle; /* of the producer */
};

/* Where R of one partition landed in a transaction that is being made, and what the group's offset
 * will say of it (position.c). */
struct kafka_position {
    int32_t partition; /* of the source */
    int64_t next_offset;
    uint8_t incarnation[16];
    uint64_t epoch;
    uint64_t checksum; /* of R's record */
    struct kafka_landing landing; /* R's record stands there */
};

/* What the system knows of a source partition that it has R of. */
struct kafka_held {
    char *topic, *label;
    struct kafka_segment segment; /* the one that the last epoch ended in */
    /* R's record as it was read last, and where it stands; empty: there was none */
    struct buffer record;
    struct kafka_position read;
};

struct kafka_system {
    struct system system; /* first */
    char *place;
    const struct doc *config;
    const char *folder;
    /* while a session is open */
    struct arena *arena;
    char *pipeline;
    const char *cluster_id;
    const char *progress_topic;
    /* not NULL: it is a topic of this cluster, and R stands where the group's offsets say */
    struct kafka_source *source;
    char instance[224];            /* of this process among those that share the pipeline */
    struct kafka_client *exact_client; /* reads R, also where somebody's transaction is open */
    struct kafka_reader *exact;
    struct kafka_position **positions; /* in this transaction */
    uint32_t position_count, position_capacity;
    struct kafka_client *client;   /* asks and reads */
    struct kafka_client *producer; /* NULL: not claimed, or it failed and must be made anew */
    rd_kafka_topic_t *progress_handle;
    /* made when all topics were there, and without a transaction so far; how it was set, since when */
    bool is_producer_fresh;
    int64_t producer_batch_bytes, producer_record_bytes, producer_made_us;
    bool is_claimed;
    bool in_doubt;                 /* a producer failed: what it had sent may be committed */
    bool takes_less;               /* a topic, than it did when it was prepared */
    uint64_t produced;             /* in this transaction */
    /* What was sent of the epoch that is open: nothing; some rows, in a transaction that goes on; or
     * it failed, and all is sent again when it is closed. */
    enum { AHEAD_NONE, AHEAD_BEGUN, AHEAD_FAILED } ahead;
    struct kafka_store store;
    bool is_loaded;
    struct kafka_held *held;
    uint32_t held_count;
    uint64_t owner;
    int64_t refreshed_us; /* when the partitions of sinks were last asked for; 0: by the opening */
};

static inline struct kafka_system *kafka_system(const struct system *system)
{
    return (struct kafka_system *)(void *)(uintptr_t)system;
}
static inline struct kafka_sink *kafka_sink(const struct sink *sink)
{
    return (struct kafka_sink *)(void *)(uintptr_t)sink;
}
static inline struct kafka_outbox *kafka_outbox(struct outbox *outbox)
{
    return (struct kafka_outbox *)outbox;
}

/* --- admin.c --- */

extern const struct topics_ops kafka_topics_ops;
/* What weir.progress.NAME is made as: one partition, compacted; `replication` 0: the brokers'. */
enum status kafka_make_compacted(struct kafka_client *client, const char *name,
                                 uint32_t replication, struct kafka_topic *out,
                                 struct error *err) WEIR_MUST_USE;
/* As the wish says; fine when it is there. */
enum status kafka_make_wished(struct kafka_client *client, const struct topic_wish *wish,
                              struct kafka_topic *out, struct error *err) WEIR_MUST_USE;

/* --- examine.c --- */

enum status kafka_examine(struct system *system, system_finding_visitor *visit, void *context,
                          struct error *err);

/* --- outbox.c --- */

/* Memory that the outboxes of a sink have used and will use again: what one of them gives back another
 * one takes. From any thread. */
struct kafka_pool *kafka_pool_new(void);
/* Takes NULL; when no outbox is left. */
void kafka_pool_free(struct kafka_pool *pool);

/* Of a sink with a pool. */
struct outbox *kafka_outbox_new(struct sink *sink);
void kafka_outbox_clear(struct outbox *outbox);
void kafka_outbox_free(struct outbox *outbox);
/* Copies a row. */
struct kafka_message {
    struct bytes key, value;
    const struct record_header *headers;
    uint32_t header_count;
    int64_t timestamp_us; /* TIME_NEVER: none */
};
void kafka_outbox_add(struct kafka_outbox *outbox, uint32_t source_partition, uint32_t partition,
                      const struct kafka_message *message);
/* The row itself as it came, for its dead letter; `code` lives for ever. */
void kafka_outbox_refuse(struct kafka_outbox *outbox, const struct output_row *row,
                         struct hash128 hash, const char *code, const char *message);
/* Bytes of a message as brokers count them, an upper bound. */
int64_t kafka_message_size(const struct kafka_message *message);
struct bytes kafka_outbox_slice(const struct kafka_outbox *outbox, size_t at, size_t size);
/* Reads headers that were copied; `out` has room for `count`. */
void kafka_outbox_headers(const struct kafka_outbox *outbox, size_t at, uint32_t count,
                          struct record_header *out);
/* Whether rows are there that may be sent although the epoch is open. */
bool kafka_outbox_has_full(struct kafka_outbox *outbox);
/* Hands rows to the producer that it does not have yet, whose delivery reports then fill the ranges:
 * those of full chunks while the worker may add more, or all. Rows stay where they are until these
 * have come. A partition gets as much as goes into one batch of the producer, and nothing more until all
 * of that is delivered; *out_rest: some rows wait for that. Takes the reports that are there. */
rd_kafka_resp_err_t kafka_outbox_produce(struct kafka_outbox *outbox, struct kafka_client *client,
                                         rd_kafka_topic_t *topic, bool all, uint64_t *produced,
                                         bool *out_rest);
/* What was handed over has come to nothing: all is to be sent again. Not before the epoch is closed. */
void kafka_outbox_rewind(struct kafka_outbox *outbox);

/* --- sink.c --- */

extern const struct sink_ops kafka_sink_ops;
extern const struct sink_ops event_hubs_sink_ops;
/* Why the topic does not take a message, or NULL: "sink.too_large", "sink.no_key", "sink.timestamp". */
const char *kafka_sink_refusal(struct kafka_sink *s, const struct kafka_message *message,
                               char (*out)[KAFKA_REFUSAL_BYTES]);
/* Finds or makes the topic and what may go into it. */
enum status kafka_sink_prepare(struct kafka_system *s, struct kafka_sink *sink, bool may_make,
                               struct error *err) WEIR_MUST_USE;

/* Refuses a topic that is not the one of that name that was written to before. */
enum status kafka_sink_check_topic(struct kafka_system *s, const struct kafka_sink *sink,
                                   struct error *err) WEIR_MUST_USE;
/* Notes the ids of new sinks' topics in the transaction that is being made. */
/* From time to time, before a commit: whether topics have more partitions now. */
void kafka_sinks_refresh(struct kafka_system *system);
enum status kafka_sinks_put_topics(struct kafka_system *s, struct error *err) WEIR_MUST_USE;

/* --- system.c --- */

extern const struct system_ops kafka_system_ops;
/* A producer that has taken the transactional id over, with handles for all topics. */
enum status kafka_make_producer(struct kafka_system *s, struct error *err) WEIR_MUST_USE;
void kafka_drop_producer(struct kafka_system *s);
/* What the system holds of a partition, made when it is new. */
struct kafka_held *kafka_held(struct kafka_system *s, const char *topic, const char *label);
enum status kafka_reload(struct kafka_system *s, struct error *err) WEIR_MUST_USE;
enum status kafka_read_progress(struct kafka_system *s, const char *topic, const char *label,
                                struct progress *progress, struct kafka_segment *segment,
                                bool *out_found, struct error *err) WEIR_MUST_USE;
enum status kafka_fenced(const struct kafka_system *s, const struct progress *progress,
                         struct error *err);

/* --- position.c --- */

/* A new one in the transaction that is being made; NULL where offsets are not committed with rows.
 * */
struct kafka_position *kafka_position_add(struct kafka_system *s, const struct progress *progress,
                                          struct bytes value);
void kafka_positions_clear(struct kafka_system *s);
/* The offsets of the group, with where R is. Sets *out_lost when the group went on without us; *out_error
 * is what the brokers say, the caller's. RETRY when they say nothing: then the epoch is in doubt. */
enum status kafka_positions_send(struct kafka_system *s, int64_t most_us, bool *out_lost,
                                 rd_kafka_error_t **out_error, struct error *err) WEIR_MUST_USE;
/* The value of R's record that the group's offset names; none when the group has none. Waits for
 * transactions that are being ended. */
enum status kafka_position_read(struct kafka_system *s, const char *topic, const char *label,
                                struct buffer *out, bool *out_found, struct error *err)
    WEIR_MUST_USE;

/* Of the client's own group, whose progress topic is not there: CONFIG "progress.reset" when it has offsets that are
 * weir's, so that the pipeline has run. */
enum status kafka_refuse_left_offsets(struct kafka_client *client, const char *group,
                                      const char *progress_topic, struct error *err) WEIR_MUST_USE;
/* Connects what reads R, and asks where its topic is. */
enum status kafka_position_warm_up(struct kafka_system *s, struct error *err) WEIR_MUST_USE;
/* Whether the group's offsets of all these partitions are still those that R was last read by, all asked
 * for at once. False too when that cannot be told now. */
bool kafka_positions_stand(struct kafka_system *s, const struct progress *progresses, uint32_t count);

/* Waits until nobody's open transaction hides what the progress topic holds now. */
enum status kafka_settle(struct kafka_system *s, struct error *err) WEIR_MUST_USE;
/* The text of a plan that the store does not have, as R can be ahead of what it may see. Appends. */
enum status kafka_find_plan(struct kafka_system *s, struct hash128 plan_hash, struct buffer *out,
                            bool *out_found, struct error *err) WEIR_MUST_USE;

/* --- commit.c --- */

enum status kafka_commit(struct system *system, const struct epoch *epoch,
                         struct progress *progresses, struct error *err);
void kafka_send_ahead(struct system *system, struct outbox **outboxes);
void kafka_take_back(struct system *system);

/* Transactions: begin, put…, end. After anything but OK the transaction is gone, and the producer
 * with it where it cannot be trusted any more. */
enum status kafka_transaction_begin(struct kafka_system *s, struct error *err) WEIR_MUST_USE;
/* Copies. `landing` gets where it landed, or is NULL. */
enum status kafka_transaction_put(struct kafka_system *s, const char *key, struct bytes value,
                                  struct kafka_landing *landing, struct error *err) WEIR_MUST_USE;
/* R, and where it is for the group's offsets. */
enum status kafka_transaction_put_progress(struct kafka_system *s,
                                           const struct progress *progress,
                                           const struct kafka_segment *segment,
                                           struct error *err) WEIR_MUST_USE;
/* All rows that the producer does not have yet. */
enum status kafka_produce(struct kafka_system *s, struct sink *sink, struct outbox *outbox,
                          struct error *err) WEIR_MUST_USE;
enum status kafka_transaction_end(struct kafka_system *s, struct error *err) WEIR_MUST_USE;
void kafka_transaction_abandon(struct kafka_system *s);

#endif
