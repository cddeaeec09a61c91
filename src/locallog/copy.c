/*
 * A copy of the file as it is at one moment, while others write: SQLite's backup, within one read
 * transaction, page by page. Writers go on; the write-ahead log cannot begin anew meanwhile, and
 * where it comes to its limit they wait (checkpoint.c).
 */
#include "locallog/private.h"

#include <errno.h>

enum { STEP_BYTES = 4 * 1024 * 1024 };

static enum status copy_failed(struct sqlite3 *target, int code, const char *to,
                               struct error *err)
{
    int reason = sqlite3_system_errno(target);
    bool is_full = (code & 0xFF) == SQLITE_FULL || reason == ENOSPC || reason == EDQUOT;
    return error_set(err, is_full ? STATUS_RETRY : STATUS_FATAL,
                     is_full ? "file.disk_full" : "log.copy_failed",
                     is_full ? "cannot write %s: the disk is full (%s). Free space."
                             : "cannot write the copy %s: %s.",
                     to, sqlite3_errstr(code));
}

static enum status open_target(const char *to, sqlite3 **out, struct error *err)
{
    int code = sqlite3_open_v2(to, out,
                               SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
                                   SQLITE_OPEN_EXRESCODE,
                               NULL);
    /* Nobody reads it before it is whole, so it needs no journal; its end is synced. */
    if (code == SQLITE_OK) {
        code = sqlite3_exec(*out, "PRAGMA journal_mode = OFF; PRAGMA synchronous = FULL", NULL,
                            NULL, NULL);
    }
    return code == SQLITE_OK ? STATUS_OK : copy_failed(*out, code, to, err);
}

static enum status copy_pages(struct locallog *log, sqlite3 *target, const char *to,
                              const struct copy_observer *observer, struct error *err)
{
    sqlite3_backup *backup = sqlite3_backup_init(target, "main", log->db, "main");
    if (backup == NULL) {
        return copy_failed(target, sqlite3_errcode(target), to, err);
    }
    enum status status = STATUS_OK;
    int pages = (int)(STEP_BYTES / log->page_bytes) + 1;
    int code = SQLITE_OK;
    int left = -1;
    while (status == STATUS_OK && code == SQLITE_OK) {
        code = sqlite3_backup_step(backup, pages);
        int all = sqlite3_backup_pagecount(backup);
        int now_left = sqlite3_backup_remaining(backup);
        int64_t done = (left < 0 ? all : left) - now_left;
        left = now_left;
        status = copy_observe(observer, done * log->page_bytes, err);
    }
    int finished = sqlite3_backup_finish(backup);
    if (status == STATUS_OK && code != SQLITE_DONE) {
        status = copy_failed(target, code == SQLITE_OK ? finished : code, to, err);
    }
    return status;
}

enum status locallog_copy(const char *path, const char *to, const struct copy_observer *observer,
                          struct error *err)
{
    struct locallog *log = NULL;
    sqlite3 *target = NULL;
    int64_t unused = 0;
    enum status status = locallog_open(path, LOCALLOG_READ, &log, err);
    if (status != STATUS_OK) {
        return status;
    }
    status = sql_run(log, "BEGIN", "copy", err);
    if (status == STATUS_OK) {
        /* From the first read on the transaction sees one state of the file. */
        status = sql_integer(log, "SELECT count(*) FROM sqlite_schema", 0, &unused, err);
    }
    if (status == STATUS_OK) {
        status = open_target(to, &target, err);
    }
    if (status == STATUS_OK) {
        status = copy_pages(log, target, to, observer, err);
    }
    sqlite3_close(target);
    sqlite3_exec(log->db, "ROLLBACK", NULL, NULL, NULL);
    if (status == STATUS_OK) {
        status = locallog_check_unchanged(log, err);
    }
    locallog_close(log);
    return status;
}
