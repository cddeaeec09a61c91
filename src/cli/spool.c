#include "cli/spool.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "cli/input_digest.h"
#include "cli/produce_remote.h"
#include "cli/set_aside.h"
#include "os/clock.h"
#include "os/thread.h"

#define DRAINED "weir.drained"
#define HANDED "weir.handed"
/* How soon a full disk is tried again. */
#define FULL_PAUSE_US (200 * INT64_C(1000))
/* How long what waits is handed on after a stop was asked for. */
#define STOP_DRAIN_US (5 * INT64_C(1000000))

struct position {
    int64_t sequence; /* lines */
    struct hash128 digest;
};

struct spool {
    const struct place *place;
    const char *id; /* NULL without one */
    uint32_t partitions;
    struct locallog_group_lock *lock;
    struct topic_writer *writer;
    char name[250];    /* of the topic in the file */
    char identity[64]; /* to the brokers where there is no id */

    struct thread thread;
    bool is_running;
    struct mutex mutex;
    struct condition changed;
    bool has_more;        /* this and what follows under the mutex */
    bool is_ending;
    bool is_over;         /* the thread hands nothing on any more */
    struct error failure; /* why */
    uint64_t drained, refused;

    /* of the thread */
    struct locallog *log;
    struct locallog_reader *reader;
    struct batch *batch;
    struct produce_remote *remote;
    struct position at;     /* handed on, set aside, or passed over as there already */
    struct position stored; /* as the brokers have it */
    struct position handed; /* what they had, by this file, when it was opened */
    int64_t stop_us;        /* when a stop was first seen; 0: none was */
};

/* --- handing on --- */

static bool is_ending(void *context)
{
    struct spool *spool = context;
    mutex_lock(&spool->mutex);
    const bool is = spool->is_ending;
    mutex_unlock(&spool->mutex);
    return is;
}

static const char *identity_of(const struct spool *spool)
{
    return spool->id != NULL ? spool->id : spool->identity;
}

/* Behind it may be lines that were set aside. Files of before there were any do not tell. */
static enum status read_handed(struct spool *spool, const struct locallog_topic *topic,
                               struct error *err)
{
    bool any = false;
    enum status status = locallog_producer_read(spool->log, HANDED, topic, &spool->handed.sequence,
                                                &spool->handed.digest, err);
    if (status == STATUS_OK && spool->handed.sequence == 0) {
        status = set_aside_is_any(spool->log, spool->name, &any, err);
        spool->handed = any ? spool->handed : spool->at;
    }
    return status;
}

static enum status open_log(struct spool *spool, struct error *err)
{
    static const struct layout no_columns;
    const struct locallog_topic *topic = topic_writer_topic(spool->writer);
    enum status status = locallog_open(locallog_path(topic_writer_log(spool->writer)),
                                       LOCALLOG_WRITE, &spool->log, err);
    if (status == STATUS_OK) {
        status = locallog_producer_read(spool->log, DRAINED, topic, &spool->at.sequence,
                                        &spool->at.digest, err);
    }
    if (status == STATUS_OK) {
        status = read_handed(spool, topic, err);
    }
    if (status == STATUS_OK) {
        status = locallog_reader_open(spool->log, topic, 0, &spool->reader, err);
    }
    if (status == STATUS_OK) {
        locallog_reader_seek(spool->reader, spool->at.sequence);
        spool->batch = batch_new(&no_columns);
    }
    return status;
}

static enum status open_remote(struct spool *spool, struct error *err)
{
    char meanwhile[400];
    (void)snprintf(meanwhile, sizeof meanwhile, "lines are kept in %s until it works",
                   locallog_path(spool->log));
    const struct produce_patience patience = {
        .meanwhile = meanwhile, .is_over = is_ending, .context = spool};
    enum status status = produce_remote_open(spool->place, identity_of(spool), spool->partitions,
                                             &patience, &spool->remote, err);
    if (status == STATUS_OK) {
        status = produce_remote_position(spool->remote, &spool->stored.sequence,
                                         &spool->stored.digest, err);
    }
    if (status == STATUS_OK && spool->stored.sequence < spool->handed.sequence) {
        fprintf(stderr,
                "warning: topic %s knows of %lld of the %lld lines that %s has handed on before: it "
                "is another topic now, or was made anew. What waits is handed on to it\n",
                spool->place->name, (long long)spool->stored.sequence,
                (long long)spool->handed.sequence, locallog_path(spool->log));
    }
    return status;
}

static enum status refuse_other(const struct spool *spool, struct error *err)
{
    return error_set(err, STATUS_CONFIG, "produce.other_input",
                     "%lld lines are in %s under the producer id '%s', and what waits in %s begins "
                     "otherwise, or has fewer: it is of another input. Nothing was added. Give the "
                     "same input again, or another --producer-id",
                     (long long)spool->stored.sequence, spool->place->name, identity_of(spool),
                     locallog_path(spool->log));
}

static struct position behind(struct position at, struct bytes line)
{
    return (struct position){.sequence = at.sequence + 1,
                             .digest = input_digest_extend(at.digest, line)};
}

/* Appends the records of the batch from *row on that the brokers do not have, up to one that they do not
 * take: then `refusal` is set. */
static enum status append_rows(struct spool *spool, uint32_t *row, uint64_t *out_count,
                               struct error *refusal, struct error *err)
{
    for (; *row < spool->batch->row_count; ++*row) {
        const struct record *record = &spool->batch->records[*row];
        const struct position next = behind(spool->at, record->value);
        if (next.sequence > spool->stored.sequence) {
            if (produce_remote_judge(spool->remote, record->key, record->value,
                                     record->timestamp_us, refusal) != STATUS_OK) {
                return STATUS_OK;
            }
            produce_remote_append(spool->remote, record->key, record->value, record->timestamp_us);
            ++*out_count;
        }
        spool->at = next;
        if (spool->at.sequence == spool->stored.sequence &&
            !hash_equal(spool->at.digest, spool->stored.digest)) {
            return refuse_other(spool, err);
        }
    }
    return STATUS_OK;
}

/* In a transaction: deletes what is done with, and notes how far that is, and the brokers. */
static enum status forget(struct spool *spool, const struct position *at, struct error *err)
{
    const struct locallog_topic *topic = topic_writer_topic(spool->writer);
    enum status status = locallog_delete_before(spool->log, topic, 0, at->sequence, err);
    if (status == STATUS_OK) {
        status = locallog_producer_write(spool->log, DRAINED, topic, at->sequence, at->digest, err);
    }
    return status == STATUS_OK ? locallog_producer_write(spool->log, HANDED, topic,
                                                         spool->stored.sequence,
                                                         spool->stored.digest, err)
                               : status;
}

/* `refused` and `why` are NULL, or of a line that is set aside; it stands at `at` − 1. */
static enum status forget_drained(struct spool *spool, const struct position *at,
                                  const struct record *refused, const struct error *why,
                                  struct error *err)
{
    enum status status = locallog_begin(spool->log, err);
    if (status == STATUS_OK && refused != NULL) {
        status = set_aside_line(spool->log, spool->name, spool->place->name, refused,
                                at->sequence - 1, why, err);
    }
    if (status == STATUS_OK) {
        status = forget(spool, at, err);
    }
    if (status == STATUS_OK) {
        status = locallog_commit(spool->log, err);
    }
    if (status != STATUS_OK) {
        locallog_rollback(spool->log);
    }
    return status;
}

/* What was appended, and the position. */
static enum status hand_on(struct spool *spool, uint64_t count, struct error *err)
{
    if (spool->at.sequence > spool->stored.sequence) {
        enum status status =
            produce_remote_commit(spool->remote, spool->at.sequence, spool->at.digest, err);
        if (status != STATUS_OK) {
            return status;
        }
        spool->stored = spool->at;
    }
    mutex_lock(&spool->mutex);
    spool->drained += count;
    mutex_unlock(&spool->mutex);
    /* On a full disk it stays for now: the brokers' word passes it over, and the next time deletes it. */
    struct error failure = {0};
    enum status status = forget_drained(spool, &spool->at, NULL, NULL, &failure);
    return status == STATUS_OK || status == STATUS_RETRY
               ? STATUS_OK
               : error_set(err, status, failure.code, "%s", failure.message);
}

/* Behind all before it, which the brokers have: so it is set aside before they hear that it is done with. */
static enum status set_aside(struct spool *spool, const struct record *record,
                             const struct error *why, struct error *err)
{
    const struct position next = behind(spool->at, record->value);
    struct error failure = {0};
    enum status status = forget_drained(spool, &next, record, why, &failure);
    while (status == STATUS_RETRY && !stop_requested()) {
        clock_sleep_us(FULL_PAUSE_US);
        failure = (struct error){0};
        status = forget_drained(spool, &next, record, why, &failure);
    }
    if (status != STATUS_OK) {
        return error_set(err, status, failure.code, "%s", failure.message);
    }
    spool->at = next;
    mutex_lock(&spool->mutex);
    const bool is_first = spool->refused++ == 0;
    mutex_unlock(&spool->mutex);
    if (is_first) {
        char name[SET_ASIDE_NAME_BYTES];
        set_aside_name(spool->name, &name);
        fprintf(stderr, "warning: %s (%s); such lines are set aside in local:%s#%s\n", why->message,
                why->code, locallog_path(spool->log), name);
    }
    return STATUS_OK;
}

/* The batch. */
static enum status drain_batch(struct spool *spool, uint64_t *count, struct error *err)
{
    enum status status = STATUS_OK;
    for (uint32_t row = 0; row < spool->batch->row_count && status == STATUS_OK; row++) {
        struct error refusal = {0};
        status = append_rows(spool, &row, count, &refusal, err);
        if (status != STATUS_OK || refusal.status == STATUS_OK) {
            break;
        }
        status = hand_on(spool, *count, err);
        *count = 0;
        if (status == STATUS_OK) {
            status = set_aside(spool, &spool->batch->records[row], &refusal, err);
        }
    }
    return status;
}

/* What there is now, up to a transaction's size; *out_is_empty when there is nothing. */
static enum status drain_some(struct spool *spool, bool *out_is_empty, struct error *err)
{
    uint64_t count = 0;
    enum status status = STATUS_OK;
    *out_is_empty = true;
    do {
        batch_reset(spool->batch, 0, 0);
        status = locallog_reader_read(spool->reader, spool->batch, INT64_MAX, err);
        if (status == STATUS_OK) {
            *out_is_empty &= spool->batch->row_count == 0;
            status = drain_batch(spool, &count, err);
        }
    } while (status == STATUS_OK && spool->batch->row_count > 0 &&
             produce_remote_bytes(spool->remote) < TOPIC_WRITER_BYTES);
    return status == STATUS_OK && !*out_is_empty ? hand_on(spool, count, err) : status;
}

static void wait_for_more(struct spool *spool)
{
    mutex_lock(&spool->mutex);
    while (!spool->has_more && !spool->is_ending) {
        condition_wait(&spool->changed, &spool->mutex);
    }
    spool->has_more = false;
    mutex_unlock(&spool->mutex);
}

static bool is_stop_over(struct spool *spool)
{
    const int64_t now_us = clock_monotonic_us();
    if (stop_requested() && spool->stop_us == 0) {
        spool->stop_us = now_us;
    }
    return spool->stop_us != 0 && now_us - spool->stop_us > STOP_DRAIN_US;
}

static enum status refuse_shorter(const struct spool *spool, struct error *err)
{
    return spool->at.sequence < spool->stored.sequence ? refuse_other(spool, err) : STATUS_OK;
}

static enum status drain_all(struct spool *spool, struct error *err)
{
    enum status status = open_log(spool, err);
    if (status == STATUS_OK) {
        status = open_remote(spool, err);
    }
    while (status == STATUS_OK && !is_stop_over(spool)) {
        const bool was_ending = is_ending(spool);
        bool is_empty = false;
        status = drain_some(spool, &is_empty, err);
        if (status != STATUS_OK || !is_empty) {
            continue;
        }
        if (was_ending) {
            return stop_requested() ? STATUS_OK : refuse_shorter(spool, err);
        }
        wait_for_more(spool);
    }
    return status;
}

static void run(void *context)
{
    struct spool *spool = context;
    struct error failure = {0};
    (void)drain_all(spool, &failure);
    produce_remote_close(spool->remote);
    batch_free(spool->batch);
    locallog_reader_close(spool->reader);
    locallog_close(spool->log);
    mutex_lock(&spool->mutex);
    spool->failure = failure;
    spool->is_over = true;
    mutex_unlock(&spool->mutex);
}

/* --- the input's side --- */

/* Where the id counts lines, the file must have been written under that id from the first on. */
static enum status check_offsets(const struct spool *spool, struct error *err)
{
    const struct locallog_topic *topic = topic_writer_topic(spool->writer);
    struct locallog *log = topic_writer_log(spool->writer);
    struct position input = {0};
    int64_t first = 0;
    int64_t next = 0;
    enum status status = locallog_bounds(log, topic, 0, &first, &next, err);
    if (status == STATUS_OK && spool->id != NULL) {
        status = locallog_producer_read(log, spool->id, topic, &input.sequence, &input.digest, err);
    }
    if (status == STATUS_OK && (topic->partitions != 1 ||
                                (spool->id != NULL && input.sequence != next))) {
        status = error_set(err, STATUS_CONFIG, "produce.no_spool",
                           "topic %s of %s is no spool: something else writes to it. Give another "
                           "file",
                           topic->name, locallog_path(log));
    }
    return status;
}

static void name_it(struct spool *spool)
{
    if (spool->id == NULL) {
        (void)snprintf(spool->name, sizeof spool->name, "%s", spool->place->name);
        return;
    }
    /* Not every id is a name of a topic. */
    struct hash128 hash = hash_plain(spool->id, strlen(spool->id));
    hash = input_digest_extend(hash, bytes_of_string(spool->place->name));
    (void)snprintf(spool->name, sizeof spool->name, "%.200s.%016llx%016llx", spool->place->name,
                   (unsigned long long)hash.high, (unsigned long long)hash.low);
}

static enum status own(struct spool *spool, const char *path, struct error *err)
{
    char group[300];
    struct error failure = {0};
    (void)snprintf(group, sizeof group, "produce/%s", spool->name);
    enum status status = locallog_group_acquire(path, group, &spool->lock, &failure);
    if (status == STATUS_OK) {
        return STATUS_OK;
    }
    return strcmp(failure.code, "group.owned") == 0
               ? error_set(err, STATUS_CONFIG, "produce.two_at_once",
                           "another process hands the lines of %s on to topic '%s' now: it takes all "
                           "that is in there. Stop it first, or give another file",
                           path, spool->place->name)
               : error_set(err, status, failure.code, "%s", failure.message);
}

enum status spool_open(const char *path, const struct place *place, const char *id,
                       uint32_t partitions, struct spool **out, struct error *err)
{
    struct spool *spool = memory_alloc_zero(1, sizeof *spool);
    spool->place = place;
    spool->id = id;
    spool->partitions = partitions;
    mutex_init(&spool->mutex);
    condition_init(&spool->changed);
    name_it(spool);
    enum status status = own(spool, path, err);
    if (status == STATUS_OK) {
        status = topic_writer_create(path, spool->name, 1, &spool->writer, err);
    }
    if (status == STATUS_OK) {
        status = check_offsets(spool, err);
    }
    if (status != STATUS_OK) {
        spool_close(spool);
        return status;
    }
    (void)snprintf(spool->identity, sizeof spool->identity, "spool-%s",
                   topic_writer_topic(spool->writer)->id);
    thread_start(&spool->thread, "spool", run, spool);
    spool->is_running = true;
    *out = spool;
    return STATUS_OK;
}

static void join(struct spool *spool)
{
    if (spool->is_running) {
        mutex_lock(&spool->mutex);
        spool->is_ending = true;
        condition_signal(&spool->changed);
        mutex_unlock(&spool->mutex);
        thread_join(&spool->thread);
        spool->is_running = false;
    }
}

void spool_close(struct spool *spool)
{
    if (spool == NULL) {
        return;
    }
    join(spool);
    topic_writer_close(spool->writer);
    locallog_group_release(spool->lock);
    condition_fini(&spool->changed);
    mutex_fini(&spool->mutex);
    memory_free(spool);
}

struct topic_writer *spool_writer(struct spool *spool)
{
    return spool->writer;
}

static enum status failure_of(const struct error *failure, struct error *err)
{
    return failure->status == STATUS_OK
               ? STATUS_OK
               : error_set(err, failure->status, failure->code, "%s", failure->message);
}

enum status spool_notify(struct spool *spool, struct error *err)
{
    mutex_lock(&spool->mutex);
    spool->has_more = true;
    condition_signal(&spool->changed);
    const struct error failure = spool->is_over ? spool->failure : (struct error){0};
    mutex_unlock(&spool->mutex);
    return failure_of(&failure, err);
}

enum status spool_finish(struct spool *spool, struct spool_result *out, struct error *err)
{
    struct position drained = {0};
    int64_t first = 0;
    int64_t next = 0;
    struct error failure = {0};
    const struct locallog_topic *topic = topic_writer_topic(spool->writer);
    struct locallog *log = topic_writer_log(spool->writer);
    join(spool);
    *out = (struct spool_result){.drained = spool->drained, .refused = spool->refused};
    enum status status = locallog_bounds(log, topic, 0, &first, &next, &failure);
    if (status == STATUS_OK) {
        status = locallog_producer_read(log, DRAINED, topic, &drained.sequence, &drained.digest,
                                        &failure);
        out->left = (uint64_t)(next - drained.sequence);
    }
    return spool->failure.status != STATUS_OK ? failure_of(&spool->failure, err)
                                              : failure_of(&failure, err);
}
