#include "locallog/keeper.h"

#include "os/clock.h"
#include "os/thread.h"

enum {
    /* Free pages are kept for the rows to come, unless they are more than that share of the file;
     * then they are given back until they are less than half of it. */
    FREE_SHARE = 5,
    FREE_PAGES_MIN = 256,
};

struct keeper {
    struct locallog *log;
    struct retention *retention;
    struct merger *merger; /* NULL: another process may be merging */
    struct locallog_trimmed done;
    bool vacuuming;
};

struct keeper *keeper_new(struct locallog *log, bool may_merge)
{
    struct keeper *keeper = memory_alloc_zero(1, sizeof *keeper);
    keeper->log = log;
    keeper->retention = retention_new();
    keeper->merger = may_merge ? merger_new() : NULL;
    return keeper;
}

void keeper_free(struct keeper *keeper)
{
    if (keeper == NULL) {
        return;
    }
    retention_free(keeper->retention);
    merger_free(keeper->merger);
    memory_free(keeper);
}

/* Whether pages are to be given back. A database that another program made may have no list of
 * where its pages belong (auto_vacuum); its free pages stay for what comes. */
static enum status is_vacuum_due(struct keeper *keeper, bool thoroughly, bool *out,
                                 struct error *err)
{
    int64_t mode = 0;
    int64_t free_pages = 0;
    int64_t pages = 0;
    enum status status = sql_integer(keeper->log, "PRAGMA auto_vacuum", 0, &mode, err);
    if (status == STATUS_OK) {
        status = sql_integer(keeper->log, "PRAGMA freelist_count", 0, &free_pages, err);
    }
    if (status == STATUS_OK) {
        status = sql_integer(keeper->log, "PRAGMA page_count", 0, &pages, err);
    }
    int64_t share = keeper->vacuuming ? 2 * FREE_SHARE : FREE_SHARE;
    bool many = free_pages > FREE_PAGES_MIN && free_pages * share > pages;
    *out = status == STATUS_OK && mode != 0 && free_pages > 0 && (thoroughly || many);
    keeper->vacuuming = *out;
    return status;
}

/* Every step of the statement moves one page from the end of the file into a free one. */
static enum status vacuum_pages(struct locallog *log, uint64_t *out_pages, struct error *err)
{
    int64_t end_us = clock_monotonic_us() + SLICE_US;
    sqlite3_stmt *vacuum;
    bool row = true;
    enum status status = statement_get(log, STATEMENT_VACUUM, &vacuum, err);
    if (status != STATUS_OK) {
        return status;
    }
    while (row && status == STATUS_OK && clock_monotonic_us() < end_us) {
        status = statement_step(log, vacuum, "give free pages back of", &row, err);
        *out_pages += status == STATUS_OK && row;
    }
    sqlite3_reset(vacuum);
    return status;
}

static enum status vacuum_slice(struct keeper *keeper, bool thoroughly, bool *out_more,
                                struct error *err)
{
    uint64_t pages = 0;
    struct locallog *log = keeper->log;
    *out_more = false;
    bool is_due = false;
    enum status status = is_vacuum_due(keeper, thoroughly, &is_due, err);
    if (status != STATUS_OK || !is_due) {
        return status;
    }
    status = locallog_begin(log, err);
    if (status == STATUS_OK) {
        status = vacuum_pages(log, &pages, err);
        if (status == STATUS_OK) {
            status = locallog_commit(log, err);
        }
    }
    if (status != STATUS_OK) {
        locallog_rollback(log);
        return status;
    }
    keeper->done.freed_bytes += pages * (uint64_t)log->page_bytes;
    *out_more = pages > 0;
    return STATUS_OK;
}

enum status keeper_step(struct keeper *keeper, bool thoroughly, bool *out_more, struct error *err)
{
    bool more = false;
    enum status status =
        retention_slice(keeper->log, keeper->retention, &keeper->done, &more, err);
    if (status == STATUS_OK && !more && keeper->merger != NULL) {
        status = merger_slice(keeper->log, keeper->merger, thoroughly, keeper->retention,
                              &keeper->done, &more, err);
    }
    if (status == STATUS_OK && !more) {
        status = vacuum_slice(keeper, thoroughly, &more, err);
    }
    *out_more = status == STATUS_OK && more;
    return status;
}

enum status locallog_trim(struct locallog *log, struct locallog_trimmed *out, struct error *err)
{
    bool alone = false;
    bool more = true;
    enum status status = locallog_open_locks(log, err);
    if (status == STATUS_OK) {
        status = lock_try(log->locks, LOCK_CHECKPOINTER, &alone, err);
    }
    if (status != STATUS_OK) {
        return status;
    }
    log->is_checkpointer = alone;
    struct keeper *keeper = keeper_new(log, alone);
    while (status == STATUS_OK && more && !stop_requested()) {
        status = keeper_step(keeper, true, &more, err);
    }
    *out = keeper->done;
    keeper_free(keeper);
    if (status == STATUS_OK) {
        checkpoint_all(log);
    }
    log->is_checkpointer = false;
    if (alone) {
        lock_release(log->locks, LOCK_CHECKPOINTER);
    }
    return status;
}
