/*
 * Waiting for somebody else's commit. The write-ahead log changes before its commit can be seen
 * (the fsync lies in between, and makes no event), so an event only begins a while of looking
 * often; after it, and without any event, looks are rare but never end.
 */
#include "locallog/private.h"

#include "os/clock.h"
#include "os/thread.h"

enum {
    LOOK_FIRST_US = 500,
    LOOK_MAX_US = 16000,
    /* Hardly an fsync takes longer; where one does, its commit is seen at the next idle look. */
    LOOK_WHILE_US = 2000000,
    LOOK_IDLE_US = 500000,
};

/* True when the file holds a commit that was not there when this was last asked. */
static bool version_changed(struct locallog *log)
{
    sqlite3_stmt *version;
    bool row = false;
    /* On an error the caller looks at the log and meets it there. */
    if (statement_get(log, STATEMENT_DATA_VERSION, &version, NULL) != STATUS_OK ||
        statement_step(log, version, "wait for", &row, NULL) != STATUS_OK || !row) {
        return true;
    }
    int64_t now = sqlite3_column_int64(version, 0);
    sqlite3_reset(version);
    bool changed = now != log->seen_version;
    log->seen_version = now;
    return changed;
}

static void wait_open_watch(struct locallog *log)
{
    struct buffer name = {0};
    buffer_printf(&name, "%s-wal", log->path);
    const char *path = buffer_string(&name);
    if (watch_open(&path, 1, &log->watch, NULL) != STATUS_OK) {
        log->watch = NULL;
    }
    buffer_fini(&name);
}

void locallog_wait(struct locallog *log, int64_t timeout_us)
{
    int64_t now_us = clock_monotonic_us();
    int64_t end_us;
    if (__builtin_add_overflow(now_us, timeout_us, &end_us)) {
        end_us = INT64_MAX;
    }
    if (log->watch == NULL) {
        wait_open_watch(log);
    }
    int64_t look_until_us = 0;
    int64_t look_us = LOOK_FIRST_US;
    while (!version_changed(log) && now_us < end_us && !stop_requested()) {
        bool looking = now_us < look_until_us;
        int64_t step_us = looking || log->watch == NULL ? look_us : LOOK_IDLE_US;
        step_us = step_us < end_us - now_us ? step_us : end_us - now_us;
        if (log->watch != NULL) {
            watch_wait(log->watch, step_us);
        } else {
            clock_sleep_us(step_us);
        }
        int64_t before_us = now_us;
        now_us = clock_monotonic_us();
        look_us = look_us * 2 < LOOK_MAX_US ? look_us * 2 : LOOK_MAX_US;
        if (now_us - before_us < step_us) {
            look_until_us = now_us + LOOK_WHILE_US;
            look_us = LOOK_FIRST_US;
        }
    }
}
