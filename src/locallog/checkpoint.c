/*
 * Checkpoints: moving what the write-ahead log holds into the database, so that the log can begin
 * anew and does not grow for ever.
 *
 * One at a time does it, whoever holds the byte LOCK_CHECKPOINTER: the thread of
 * locallog_checkpointer_start() of any process or, when there is none, a writer behind its commit.
 *
 *     CHECKPOINT_BYTES not moved yet   a passive checkpoint: nobody waits for it, nor it for
 *                                      anybody; once all is moved, the next writer begins the log
 *                                      anew
 *     the log above CAP_BYTES          the writers were faster than that: under the ticket, so that
 *                                      none writes, the rest is moved and the log begun anew
 *
 * The second waits at most PATIENCE_MS for readers, and is then left for a while: readers read for
 * a short time only, and a writer is not to wait for one that does not. It goes on until the log has
 * wal_most_bytes; from there on whoever would write waits for the reader, and says which process
 * that is (checkpoint_before_begin()).
 */
#include "locallog/keeper.h"

#include "os/clock.h"
#include "os/holders.h"
#include "os/thread.h"

enum {
    CHECKPOINT_BYTES = 8 * 1024 * 1024,
    CAP_BYTES = 64 * 1024 * 1024,
    PATIENCE_MS = 100,
    LOOK_EVERY_US = 50000,       /* a fast disk takes some MiB in that time */
    LOOK_IDLE_EVERY_US = 250000, /* where nothing has been written for a while */
    STEP_EVERY_US = 20000, /* of housekeeping */
    LEAVE_FOR_US = 1000000,
};

/* Older versions cannot look without moving what there is. */
#ifdef SQLITE_CHECKPOINT_NOOP
#define CHECKPOINT_LOOK SQLITE_CHECKPOINT_NOOP
#else
#define CHECKPOINT_LOOK SQLITE_CHECKPOINT_PASSIVE
#endif

/* The log, in bytes. */
struct wal_state {
    int64_t size;
    int64_t unmoved; /* of them, not in the database yet */
};

static int checkpoint_run(struct locallog *log, int mode, struct wal_state *out)
{
    int pages = 0;
    int moved = 0;
    int result = sqlite3_wal_checkpoint_v2(log->db, NULL, mode, &pages, &moved);
    /* Both are -1 where nothing is known. */
    out->size = pages > 0 ? pages * log->page_bytes : 0;
    out->unmoved = pages > moved ? (pages - moved) * log->page_bytes : 0;
    return result;
}

/* Begins the log anew. Under the ticket. */
static int checkpoint_restart(struct locallog *log, struct wal_state *out)
{
    sqlite3_busy_timeout(log->db, PATIENCE_MS);
    int result = checkpoint_run(log, SQLITE_CHECKPOINT_RESTART, out);
    sqlite3_busy_timeout(log->db, BUSY_TIMEOUT_MS);
    return result;
}

/* Where somebody is in the way, the next round does the rest. */
static bool is_busy(int result)
{
    return (result & 0xFF) == SQLITE_BUSY;
}

/* One round; the caller holds LOCK_CHECKPOINTER. *out_over says that the log is above its cap and
 * could not be begun anew. *out_wal is what was found. */
static enum status checkpoint_round(struct locallog *log, struct wal_state *out_wal, bool *out_over,
                                    struct error *err)
{
    struct wal_state wal;
    int result = checkpoint_run(log, CHECKPOINT_LOOK, &wal);
    *out_wal = wal;
    if (result == SQLITE_OK && wal.unmoved > CHECKPOINT_BYTES) {
        result = checkpoint_run(log, SQLITE_CHECKPOINT_PASSIVE, &wal);
    }
    *out_over = false;
    if ((result == SQLITE_OK || is_busy(result)) && wal.size > CAP_BYTES) {
        enum status status = ticket_take(log->locks, err);
        if (status != STATUS_OK) {
            return status;
        }
        result = checkpoint_restart(log, &wal);
        ticket_give_back(log->locks);
        *out_over = is_busy(result);
    }
    return result == SQLITE_OK || is_busy(result) ? STATUS_OK
                                                  : locallog_error(log, result, "checkpoint", err);
}

void checkpoint_after_commit(struct locallog *log)
{
    if (log->wal_pages * log->page_bytes <= CHECKPOINT_BYTES) {
        return;
    }
    /* Of a handle that holds the lock already: taking it once more would succeed, and releasing it
     * behind that would leave it to the writers. */
    bool taken = log->is_checkpointer;
    bool over;
    struct wal_state wal;
    enum status status = STATUS_OK;
    if (!taken) {
        status = lock_try(log->locks, LOCK_CHECKPOINTER, &taken, &log->postponed);
    }
    if (status == STATUS_OK && taken) {
        status = checkpoint_round(log, &wal, &over, &log->postponed);
    }
    if (taken && !log->is_checkpointer) {
        lock_release(log->locks, LOCK_CHECKPOINTER);
    }
    /* A full disk stops the writers by itself once the log cannot grow. */
    if (status == STATUS_RETRY) {
        error_clear(&log->postponed);
    }
}

/* The bytes of the shared memory that readers lock: SQLite's WAL_READ_LOCK(0) to (4). */
enum { READ_LOCK_FIRST = 123, READ_LOCK_LAST = 127 };

static enum status refuse_to_grow(const struct locallog *log, const struct wal_state *wal,
                                  struct error *err)
{
    struct buffer shared = {0};
    struct buffer names = {0};
    buffer_printf(&shared, "%s-shm", log->path);
    if (holders_name(buffer_string(&shared), READ_LOCK_FIRST, READ_LOCK_LAST, &names) == 0) {
        buffer_append_string(&names, "another program");
    }
    enum status status = error_set(
        err, STATUS_RETRY, "log.wal_full",
        "cannot write to %s: its write-ahead log has %lld MiB and cannot begin anew while %s reads "
        "it in one transaction. End that; nothing that was acknowledged is lost.",
        log->path, (long long)(wal->size / (1024 * 1024)), buffer_string(&names));
    buffer_fini(&names);
    buffer_fini(&shared);
    return status;
}

enum status checkpoint_before_begin(struct locallog *log, struct error *err)
{
    if (log->wal_pages * log->page_bytes <= log->wal_most_bytes) {
        return STATUS_OK;
    }
    struct wal_state wal;
    int result = checkpoint_restart(log, &wal);
    if (is_busy(result)) {
        return refuse_to_grow(log, &wal, err);
    }
    if (result != SQLITE_OK) {
        return locallog_error(log, result, "checkpoint", err);
    }
    log->wal_pages = 0;
    return STATUS_OK;
}

void checkpoint_all(struct locallog *log)
{
    struct wal_state wal;
    int result = checkpoint_run(log, SQLITE_CHECKPOINT_PASSIVE, &wal);
    (void)result; /* Whatever is in the way, the next checkpoint does the rest. */
}

/* --- The thread. --- */

struct locallog_checkpointer {
    struct locallog *log; /* the thread's own */
    struct keeper *keeper;
    struct thread thread;
    struct wal_state seen; /* by the look before */
    int64_t look_every_us; /* longer and longer while nothing is written */
    struct mutex mutex;
    struct condition wake;
    bool stop;            /* under the mutex */
    struct error failure; /* under the mutex: of the last round */
};

/* One round, when no other process is at it. Returns how long to sleep. */
static int64_t checkpointer_look(struct locallog_checkpointer *checkpointer, struct error *err)
{
    struct locallog *log = checkpointer->log;
    if (!log->is_checkpointer &&
        lock_try(log->locks, LOCK_CHECKPOINTER, &log->is_checkpointer, err) != STATUS_OK) {
        return LEAVE_FOR_US;
    }
    if (!log->is_checkpointer) {
        return LOOK_EVERY_US;
    }
    bool over = false;
    bool more = false;
    struct wal_state wal;
    enum status status = checkpoint_round(log, &wal, &over, err);
    bool idle = wal.size == checkpointer->seen.size && wal.unmoved == checkpointer->seen.unmoved;
    int64_t longer_us = 2 * checkpointer->look_every_us;
    checkpointer->look_every_us = !idle                            ? LOOK_EVERY_US
                                  : longer_us < LOOK_IDLE_EVERY_US ? longer_us
                                                                   : LOOK_IDLE_EVERY_US;
    checkpointer->seen = wal;
    if (status == STATUS_OK && !over) {
        status = keeper_step(checkpointer->keeper, false, &more, err);
    }
    /* What there is to do is done in steps that leave the writers most of the time. */
    return status != STATUS_OK || over ? LEAVE_FOR_US
           : more                      ? STEP_EVERY_US
                                       : checkpointer->look_every_us;
}

static void checkpointer_run(void *context)
{
    struct locallog_checkpointer *checkpointer = context;
    mutex_lock(&checkpointer->mutex);
    while (!checkpointer->stop) {
        mutex_unlock(&checkpointer->mutex);
        struct error failure = {0};
        int64_t sleep_us = checkpointer_look(checkpointer, &failure);
        mutex_lock(&checkpointer->mutex);
        checkpointer->failure = failure;
        int64_t end_us = clock_monotonic_us() + sleep_us;
        int64_t left_us = sleep_us;
        while (!checkpointer->stop && left_us > 0) {
            condition_wait_us(&checkpointer->wake, &checkpointer->mutex, left_us);
            left_us = end_us - clock_monotonic_us();
        }
    }
    mutex_unlock(&checkpointer->mutex);
}

enum status locallog_checkpointer_start(const char *path, struct locallog_checkpointer **out,
                                        struct error *err)
{
    struct locallog *log;
    enum status status = locallog_open(path, LOCALLOG_WRITE, &log, err);
    if (status != STATUS_OK) {
        return status;
    }
    status = locallog_open_locks(log, err);
    if (status != STATUS_OK) {
        locallog_close(log);
        return status;
    }
    struct locallog_checkpointer *checkpointer = memory_alloc_zero(1, sizeof *checkpointer);
    checkpointer->log = log;
    checkpointer->keeper = keeper_new(log, true);
    checkpointer->look_every_us = LOOK_EVERY_US;
    mutex_init(&checkpointer->mutex);
    condition_init(&checkpointer->wake);
    thread_start(&checkpointer->thread, "checkpointer", checkpointer_run, checkpointer);
    *out = checkpointer;
    return STATUS_OK;
}

enum status locallog_checkpointer_status(struct locallog_checkpointer *checkpointer,
                                         struct error *err)
{
    mutex_lock(&checkpointer->mutex);
    struct error failure = checkpointer->failure;
    mutex_unlock(&checkpointer->mutex);
    return failure.status == STATUS_OK
               ? STATUS_OK
               : error_set(err, failure.status, failure.code, "%s", failure.message);
}

void locallog_checkpointer_stop(struct locallog_checkpointer *checkpointer)
{
    if (checkpointer == NULL) {
        return;
    }
    mutex_lock(&checkpointer->mutex);
    checkpointer->stop = true;
    condition_signal(&checkpointer->wake);
    mutex_unlock(&checkpointer->mutex);
    thread_join(&checkpointer->thread);
    condition_fini(&checkpointer->wake);
    mutex_fini(&checkpointer->mutex);
    keeper_free(checkpointer->keeper);
    /* Closing the handle releases LOCK_CHECKPOINTER. */
    locallog_close(checkpointer->log);
    memory_free(checkpointer);
}
