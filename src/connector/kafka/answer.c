#include "connector/kafka/answer.h"

#include "base/time.h"
#include "os/clock.h"

#define AWAY_PATIENCE_US (5 * TIME_US_PER_SECOND)
#define STOP_PATIENCE_US (4 * TIME_US_PER_SECOND)
#define STEP_US (50 * INT64_C(1000))

/* --- patience --- */

struct kafka_patience kafka_patience_begin(int64_t most_us)
{
    const int64_t now_us = clock_monotonic_us();
    return (struct kafka_patience){.away_us = now_us + AWAY_PATIENCE_US,
                                   .end_us = now_us + most_us};
}

bool kafka_patience_is_over(struct kafka_patience *patience, struct kafka_client *client)
{
    const int64_t now_us = clock_monotonic_us();
    if (now_us >= patience->away_us && kafka_are_all_down(client)) {
        return true;
    }
    if (!patience->is_stopping && stop_requested()) {
        patience->is_stopping = true;
        if (patience->end_us > now_us + STOP_PATIENCE_US) {
            patience->end_us = now_us + STOP_PATIENCE_US;
        }
    }
    return now_us >= patience->end_us;
}

int kafka_timeout_ms(void)
{
    return stop_requested() ? (int)(STOP_PATIENCE_US / 1000) : KAFKA_TIMEOUT_MS;
}

/* --- offsets within a transaction --- */

struct kafka_offsets_call {
    struct kafka_client *producer;
    rd_kafka_topic_partition_list_t *offsets;
    rd_kafka_consumer_group_metadata_t *metadata;
    int timeout_ms;
    struct thread thread;
    bool is_answered; /* the caller's: it saw that the call has ended */
    struct mutex mutex;
    struct condition changed;
    bool has_ended; /* this and what follows under the mutex */
    bool is_left;
    rd_kafka_error_t *error;
};

static void call_free(struct kafka_offsets_call *call)
{
    rd_kafka_topic_partition_list_destroy(call->offsets);
    rd_kafka_consumer_group_metadata_destroy(call->metadata);
    condition_fini(&call->changed);
    mutex_fini(&call->mutex);
    memory_free(call);
}

/* Nobody waits for it any more. */
static void bury(struct kafka_offsets_call *call)
{
    if (call->error != NULL) {
        rd_kafka_error_destroy(call->error);
    }
    kafka_client_close(call->producer);
    call_free(call);
}

static void run(void *context)
{
    struct kafka_offsets_call *call = context;
    rd_kafka_error_t *error = rd_kafka_send_offsets_to_transaction(
        call->producer->rk, call->offsets, call->metadata, call->timeout_ms);
    mutex_lock(&call->mutex);
    call->error = error;
    call->has_ended = true;
    const bool is_left = call->is_left;
    condition_signal(&call->changed);
    mutex_unlock(&call->mutex);
    if (is_left) {
        bury(call);
    }
}

/* False when the time ran out. */
static bool wait_a_little(struct kafka_offsets_call *call)
{
    mutex_lock(&call->mutex);
    if (!call->has_ended) {
        (void)condition_wait_us(&call->changed, &call->mutex, STEP_US);
    }
    const bool has_ended = call->has_ended;
    mutex_unlock(&call->mutex);
    return has_ended;
}

struct kafka_offsets_call *kafka_offsets_send(struct kafka_client *producer,
                                              rd_kafka_topic_partition_list_t *offsets,
                                              rd_kafka_consumer_group_metadata_t *metadata,
                                              int64_t most_us)
{
    struct kafka_offsets_call *call = memory_alloc_zero(1, sizeof *call);
    *call = (struct kafka_offsets_call){.producer = producer,
                                        .offsets = offsets,
                                        .metadata = metadata,
                                        .timeout_ms = (int)(most_us / 1000)};
    struct kafka_patience patience = kafka_patience_begin(most_us);
    mutex_init(&call->mutex);
    condition_init(&call->changed);
    thread_start(&call->thread, "offsets", run, call);
    while (!call->is_answered && !kafka_patience_is_over(&patience, producer)) {
        call->is_answered = wait_a_little(call);
        rd_kafka_poll(producer->rk, 0); /* complaints */
    }
    return call;
}

bool kafka_offsets_are_answered(const struct kafka_offsets_call *call)
{
    return call->is_answered;
}

rd_kafka_error_t *kafka_offsets_end(struct kafka_offsets_call *call)
{
    check(call->is_answered);
    thread_join(&call->thread);
    rd_kafka_error_t *error = call->error;
    call_free(call);
    return error;
}

void kafka_offsets_leave(struct kafka_offsets_call *call)
{
    check(!call->is_answered);
    thread_leave(&call->thread);
    mutex_lock(&call->mutex);
    call->is_left = true;
    const bool has_ended = call->has_ended;
    mutex_unlock(&call->mutex);
    if (has_ended) {
        bury(call);
    }
}
