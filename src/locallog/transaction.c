#include "locallog/private.h"

enum status locallog_begin(struct locallog *log, struct error *err)
{
    check(!log->in_transaction && mode_writes(log->mode));
    if (log->postponed.status != STATUS_OK) {
        struct error postponed = log->postponed;
        error_clear(&log->postponed);
        return error_set(err, postponed.status, postponed.code, "%s", postponed.message);
    }
    sqlite3_stmt *begin;
    enum status status = locallog_open_locks(log, err);
    if (status == STATUS_OK) {
        status = statement_get(log, STATEMENT_BEGIN, &begin, err);
    }
    if (status == STATUS_OK) {
        status = ticket_take(log->locks, err);
    }
    if (status != STATUS_OK) {
        return status;
    }
    status = checkpoint_before_begin(log, err);
    if (status == STATUS_OK) {
        status = statement_run(log, begin, "begin a transaction on", err);
    }
    if (status != STATUS_OK) {
        ticket_give_back(log->locks);
        return status;
    }
    log->in_transaction = true;
    return STATUS_OK;
}

enum status locallog_commit(struct locallog *log, struct error *err)
{
    check(log->in_transaction);
    sqlite3_stmt *commit;
    enum status status = statement_get(log, STATEMENT_COMMIT, &commit, err);
    if (status == STATUS_OK) {
        status = check_in_place(log, err);
    }
    if (status == STATUS_OK) {
        status = statement_run(log, commit, "commit to", err);
    }
    if (status != STATUS_OK) {
        locallog_rollback(log);
        return status;
    }
    log->in_transaction = false;
    ticket_give_back(log->locks);
    checkpoint_after_commit(log);
    return STATUS_OK;
}

void locallog_rollback(struct locallog *log)
{
    if (!log->in_transaction) {
        return;
    }
    /* A reader that is still stepping would make ROLLBACK leave its lock behind. */
    for (size_t i = 0; i < STATEMENT_COUNT; i++) {
        if (log->statements[i] != NULL) {
            sqlite3_reset(log->statements[i]);
        }
    }
    /* Whatever it answers, the transaction is gone: SQLite has ended it before, or ends it now. */
    sqlite3_exec(log->db, "ROLLBACK", NULL, NULL, NULL);
    check(sqlite3_get_autocommit(log->db) != 0);
    log->in_transaction = false;
    ticket_give_back(log->locks);
}

bool locallog_in_transaction(const struct locallog *log)
{
    return log->in_transaction;
}
