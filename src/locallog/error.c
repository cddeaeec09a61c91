/*
 * What an answer of SQLite means for the caller. An error may have ended the transaction by itself
 * (a full disk, an I/O error); then the handle is not in one any longer and gives its ticket back.
 */
#include "locallog/private.h"

#include <errno.h>
#include <string.h>

static bool system_is_full(struct locallog *log)
{
    int reason = sqlite3_system_errno(log->db);
    return reason == ENOSPC || reason == EDQUOT;
}

static enum status error_full(struct locallog *log, const char *doing, struct error *err)
{
    return error_set(err, STATUS_RETRY, "log.full",
                     "cannot %s %s: the disk is full. Free space, or delete a topic that nobody "
                     "needs; nothing that was acknowledged is lost.",
                     doing, log->path);
}

static enum status error_io(struct locallog *log, int code, const char *doing, struct error *err)
{
    /* A full disk has other names too. Not so after a failed fsync: then nobody knows what the disk
     * holds, and nothing is repeated. */
    bool grows = code == SQLITE_IOERR_WRITE || code == SQLITE_IOERR_TRUNCATE ||
                 code == SQLITE_IOERR_SHMSIZE || code == SQLITE_IOERR_SHMMAP;
    if (grows && system_is_full(log)) {
        return error_full(log, doing, err);
    }
    int reason = sqlite3_system_errno(log->db);
    return error_set(err, STATUS_FATAL, "log.io",
                     "cannot %s %s: %s (%s). Check the disk, then start again: what was committed "
                     "is kept.",
                     doing, log->path, sqlite3_errstr(code),
                     reason == 0 ? "no reason given" : strerror(reason));
}

/* The status for a result code; the text of the connection's last error goes with it. */
static enum status error_classify(struct locallog *log, int code, const char *doing,
                                  struct error *err)
{
    const char *said = sqlite3_errmsg(log->db);
    switch (code & 0xFF) {
    case SQLITE_FULL:
        return error_full(log, doing, err);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
        return error_set(err, STATUS_RETRY, "log.busy",
                         "cannot %s %s: another program holds it (%s).", doing, log->path, said);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return error_set(err, STATUS_FATAL, "log.corrupt",
                         "cannot %s %s: the file is damaged (%s). Keep a copy of it and of its "
                         "-wal file, then put a backup in its place.",
                         doing, log->path, said);
    case SQLITE_IOERR:
        return error_io(log, code, doing, err);
    case SQLITE_CANTOPEN:
        if (!mode_writes(log->mode) && locallog_has_wal(log)) {
            return error_set(err, STATUS_CONFIG, "log.readonly",
                             "cannot %s %s: a process that wrote to it was killed, and to read what "
                             "it left, the right to write to the file and its folder is needed; or "
                             "have somebody with that right read it once",
                             doing, log->path);
        }
        return system_is_full(log)
                   ? error_full(log, doing, err)
                   : error_set(err, STATUS_FATAL, "log.io",
                               "cannot %s %s: it or a file beside it cannot be opened (%s).", doing,
                               log->path, said);
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return error_set(err, STATUS_CONFIG, "log.readonly",
                         "cannot %s %s: it is not writable for this user (%s).", doing, log->path,
                         said);
    case SQLITE_NOMEM:
        memory_exhausted(0);
    default:
        return error_set(err, STATUS_FATAL, "log.sql", "cannot %s %s: %s.", doing, log->path, said);
    }
}

enum status locallog_error(struct locallog *log, int sqlite_code, const char *doing,
                           struct error *err)
{
    check(sqlite_code != SQLITE_OK && sqlite_code != SQLITE_ROW && sqlite_code != SQLITE_DONE);
    enum status status = error_classify(log, sqlite_code, doing, err);
    if (log->in_transaction && sqlite3_get_autocommit(log->db) != 0) {
        locallog_rollback(log);
    }
    return status;
}
