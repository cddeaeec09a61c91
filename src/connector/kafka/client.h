/*
 * Kafka clients: from the keys of a connection to a handle of librdkafka, and from what it says
 * went wrong to what the caller must do.
 *
 * A client is one rd_kafka_t of one role. Nothing of it is printed: what its brokers complained
 * about last is kept, because a request that timed out does not say why. Secrets go into the handle
 * and nowhere else.
 *
 * docs/kafka.md has the table of errors that kafka_error() implements.
 *
 * Threads: a client's functions may be called from one thread at a time; librdkafka has threads of
 * its own behind it.
 */
#ifndef WEIR_CONNECTOR_KAFKA_CLIENT_H
#define WEIR_CONNECTOR_KAFKA_CLIENT_H

#include <librdkafka/rdkafka.h>

#include "base/memory.h"
#include "connector/registry.h"
#include "os/thread.h"

/* Older ones can lose or double records under exactly-once: 2.13.2. */
#define KAFKA_OLDEST_VERSION 0x020d02ff
#define KAFKA_TIMEOUT_MS 15000
/* Settings of a client that asks and reads a little, then nothing for long: brokers answer the
 * requests of a connection in turn, so each would wait behind a fetch that waits for records. */
#define KAFKA_ASK_QUICKLY "fetch.wait.max.ms", "5"

extern const struct connection_kind kafka_connection_kind;
extern const struct connection_kind event_hubs_connection_kind;

enum kafka_role {
    KAFKA_FETCH,   /* reads partitions from given offsets, belongs to no group; asks questions */
    KAFKA_MEMBER,  /* member of a consumer group: gets partitions assigned, reads nothing */
    KAFKA_PRODUCE, /* produces in transactions */
};

/* What messages of a producer point at: filled by their delivery reports, as long as these come. */
struct kafka_landing {
    int64_t first, last; /* offsets where they stand; -1: none yet */
    uint64_t *waiting;   /* messages without a report, where somebody counts them; or NULL */
};

struct kafka_client {
    rd_kafka_t *rk;
    enum kafka_role role;
    struct mutex mutex;
    char complaint[256]; /* the last of the brokers; this and what follows under the mutex */
    int64_t complaint_us;
    bool is_login_refused; /* it says that who we are is not believed */
    bool are_all_down;     /* said since whoever looks at it took it back, or a broker answered */
    int16_t fetch_version; /* the highest that a broker takes, where "debug" is "feature"; -1: not told */
    /* of a producer, counted by delivery reports, which come on the thread that polls */
    uint64_t delivered;
    uint64_t failed;
    rd_kafka_resp_err_t failure; /* the first */
};

/* Client settings that a pipeline may not choose; NULL when it may. */
const char *kafka_refused_property(const char *name);

/* What grammars cannot say of a connection; nothing is opened. */
enum status kafka_check_connection(const struct doc *config, struct error *err) WEIR_MUST_USE;

/* "kafka://" and the brokers of a connection, sorted, in `arena`: one cluster, however its list is
 * written. */
char *kafka_place(struct arena *arena, const struct doc *config);

/* `name` is the group of a KAFKA_MEMBER, the transactional id of a KAFKA_PRODUCE, and of a KAFKA_FETCH
 * the group whose offsets it may be asked for, or NULL. `settings` are further pairs of key and
 * value, NULL-terminated; they come last. */
enum status kafka_client_open(const struct doc *config, const char *folder, enum kafka_role role,
                              const char *name, const char *const *settings,
                              struct kafka_client **out, struct error *err) WEIR_MUST_USE;
/* Takes NULL. */
void kafka_client_close(struct kafka_client *client);

/* What an error code means to the caller; `doing` completes "could not …". */
enum status kafka_error(struct kafka_client *client, rd_kafka_resp_err_t code, const char *doing,
                        struct error *err);
/* Whether brokers were out of reach some seconds ago. */
bool kafka_has_complained(struct kafka_client *client);
/* Whether all brokers were said to be away since the last kafka_take_answer(). */
bool kafka_are_all_down(struct kafka_client *client);
/* A broker has answered. */
void kafka_take_answer(struct kafka_client *client);
/* The highest version of the request Fetch that the client's broker takes; -1: not told. Of a client whose
 * setting "debug" is "feature", once it has had an answer. */
int16_t kafka_fetch_version(struct kafka_client *client);
/* The class alone. */
enum status kafka_status(rd_kafka_resp_err_t code);

/* The identity of the cluster, a copy; RETRY when no broker can be reached. */
enum status kafka_cluster_id(struct kafka_client *client, char **out, struct error *err)
    WEIR_MUST_USE;

/* CONFIG "module.library" when the library that is loaded is too old or lacks something. */
enum status kafka_check_library(struct error *err) WEIR_MUST_USE;

#endif
