#include "locallog/private.h"

#include <stdio.h>
#include <string.h>

#include "base/broken.h"
#include "os/file.h"

enum {
    /* The disk must not be filled by a WAL that somebody's endless read keeps from beginning anew.
     * Eight times what the checkpointer works towards. */
    WAL_MOST_BYTES = 512 * 1024 * 1024,
    /* A WAL that is begun anew is cut to this. Keeping what it had makes commits cheaper: a file
     * that does not grow has less to sync. */
    JOURNAL_KEEP_BYTES = 64 * 1024 * 1024,
    CACHE_KIB = 4 * 1024,
    /* Who only reads goes on from row to row, and comes back to inner pages alone. */
    READER_CACHE_KIB = 512,
};

/* Versions before these can lose a committed transaction when a write-ahead log is reset. */
static bool sqlite_is_trusted(int version)
{
    return version >= 3051003 || (version >= 3050007 && version < 3051000) ||
           (version >= 3044006 && version < 3045000);
}

enum status path_resolve(const char *path, char **out, struct error *err)
{
    check(sqlite3_initialize() == SQLITE_OK);
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
    check(vfs != NULL);
    if (path[0] == '\0') {
        return error_set(err, STATUS_CONFIG, "log.unopenable", "the path of a log is empty.");
    }
    size_t size = (size_t)vfs->mxPathname + 1;
    char *resolved = memory_alloc(size);
    int result = vfs->xFullPathname(vfs, path, (int)size, resolved);
    if ((result & 0xFF) != SQLITE_OK) {
        memory_free(resolved);
        return error_set(err, STATUS_CONFIG, "log.unopenable",
                         "cannot find %s: a folder of its path is not there or not accessible, or "
                         "the path is too long.",
                         path);
    }
    *out = resolved;
    return STATUS_OK;
}

enum status path_open_locks(const char *path, struct lock_file **out, struct error *err)
{
    struct buffer name = {0};
    buffer_printf(&name, "%s-lock", path);
    enum status status = lock_file_open(buffer_string(&name), out, err);
    buffer_fini(&name);
    return status;
}

enum status locallog_open_locks(struct locallog *log, struct error *err)
{
    return log->locks != NULL ? STATUS_OK : path_open_locks(log->path, &log->locks, err);
}

/* Keeps the size of the WAL for checkpoint_after_commit(); in this place SQLite would checkpoint by
 * itself, inside the ticket. */
static int wal_committed(void *context, sqlite3 *db, const char *name, int pages)
{
    (void)db;
    (void)name;
    struct locallog *log = context;
    log->wal_pages = pages;
    return SQLITE_OK;
}

/* "file:…" with what has a meaning in a URI escaped. */
static void write_uri(const char *path, struct buffer *out)
{
    buffer_append_string(out, "file:");
    for (const char *at = path; *at != '\0'; at++) {
        if (*at == '?' || *at == '#' || *at == '%') {
            buffer_printf(out, "%%%02X", (unsigned)*at);
        } else {
            buffer_append_byte(out, (uint8_t)*at);
        }
    }
    buffer_append_string(out, "?immutable=1");
}

static int sqlite_open(struct locallog *log)
{
    if (log->is_frozen) {
        struct buffer uri = {0};
        write_uri(log->path, &uri);
        int result = sqlite3_open_v2(buffer_string(&uri), &log->db,
                                     SQLITE_OPEN_READONLY | SQLITE_OPEN_URI |
                                         SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
                                     NULL);
        buffer_fini(&uri);
        return result;
    }
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE |
                (log->mode == LOCALLOG_CREATE ? SQLITE_OPEN_CREATE : 0);
    return sqlite3_open_v2(log->path, &log->db, flags, NULL);
}

enum status check_in_place(struct locallog *log, struct error *err)
{
    int moved = 0;
    /* Where the file system has no answer nothing is known, and nothing refused. */
    if (sqlite3_file_control(log->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) != SQLITE_OK ||
        moved == 0) {
        return STATUS_OK;
    }
    return error_set(err, STATUS_FATAL, "log.moved",
                     "%s was deleted, moved or replaced while it was in use. What had been "
                     "committed was in the file of before: bring that one back, with its -wal, "
                     "and start again.",
                     log->path);
}

static enum status database_open(struct locallog *log, struct error *err)
{
    if (log->mode != LOCALLOG_CREATE && !file_exists(log->path)) {
        return error_set(err, STATUS_CONFIG, "log.missing",
                         "there is no log at %s. It is made when records are first written to it.",
                         log->path);
    }
    int result = sqlite_open(log);
    if (result != SQLITE_OK) {
        return error_set(err, STATUS_CONFIG, "log.unopenable",
                         "cannot open %s: %s. This user needs the right to %s.", log->path,
                         log->db == NULL ? "no memory" : sqlite3_errmsg(log->db),
                         mode_writes(log->mode) ? "read and write the file and its folder"
                                                : "read the file and to look into its folder");
    }
    sqlite3_busy_timeout(log->db, BUSY_TIMEOUT_MS);
    sqlite3_wal_hook(log->db, wal_committed, log);
    return STATUS_OK;
}

bool locallog_has_wal(const struct locallog *log)
{
    struct buffer name = {0};
    buffer_printf(&name, "%s-wal", log->path);
    bool exists = file_exists(buffer_string(&name));
    buffer_fini(&name);
    return exists;
}

enum status locallog_check_unchanged(const struct locallog *log, struct error *err)
{
    if (!log->is_frozen || !locallog_has_wal(log)) {
        return STATUS_OK;
    }
    return error_set(err, STATUS_RETRY, "log.changed",
                     "%s was read as a file that nobody writes to, and somebody has begun to: what "
                     "was read does not count. Run it again.",
                     log->path);
}

/* Whether SQLite cannot read the file as it reads others, since the files beside it are not there
 * and may not be made. */
static bool must_freeze(struct locallog *log)
{
    if (mode_writes(log->mode) || log->is_frozen) {
        return false;
    }
    int result = sqlite3_exec(log->db, "SELECT count(*) FROM sqlite_schema", NULL, NULL, NULL);
    return ((result & 0xFF) == SQLITE_CANTOPEN || (result & 0xFF) == SQLITE_READONLY) &&
           !locallog_has_wal(log);
}

/* A reader without the right to write, of a file that nobody has open. */
static enum status database_freeze(struct locallog *log, struct error *err)
{
    if (!must_freeze(log)) {
        return STATUS_OK;
    }
    check(sqlite3_close(log->db) == SQLITE_OK);
    log->db = NULL;
    log->is_frozen = true;
    return database_open(log, err);
}

/* The first touch of the file's content: tells a database from any other file. */
static enum status database_configure(struct locallog *log, struct error *err)
{
    char sql[160];
    snprintf(sql, sizeof sql,
             "PRAGMA synchronous = %s; PRAGMA cache_size = -%d; PRAGMA journal_size_limit = %d;"
             "PRAGMA query_only = %d",
             BROKEN("no-fsync") ? "OFF" : "FULL",
             mode_writes(log->mode) ? CACHE_KIB : READER_CACHE_KIB, JOURNAL_KEEP_BYTES,
             !mode_writes(log->mode));
    int result = sqlite3_exec(log->db, sql, NULL, NULL, NULL);
    if ((result & 0xFF) == SQLITE_NOTADB) {
        return error_set(err, STATUS_CONFIG, "log.not_weir",
                         "%s is no SQLite database, so it is no log of weir. Name another path.",
                         log->path);
    }
    return result == SQLITE_OK ? STATUS_OK : locallog_error(log, result, "open", err);
}

enum status locallog_open(const char *path, enum locallog_mode mode, struct locallog **out,
                          struct error *err)
{
    if (!sqlite_is_trusted(sqlite3_libversion_number())) {
        return error_set(err, STATUS_CONFIG, "sqlite.too_old",
                         "SQLite %s can lose committed transactions of a write-ahead log; 3.51.3 "
                         "or newer is needed (or 3.50.7, or 3.44.6).",
                         sqlite3_libversion());
    }
    char *resolved;
    enum status status = path_resolve(path, &resolved, err);
    if (status != STATUS_OK) {
        return status;
    }
    struct locallog *log = memory_alloc_zero(1, sizeof *log);
    log->path = resolved;
    log->mode = mode;
    log->wal_most_bytes = WAL_MOST_BYTES;
    /* The lock file is there before the database: whoever finds a database without weir's tables
     * then knows whether somebody may be making them. */
    if (mode == LOCALLOG_CREATE) {
        status = locallog_open_locks(log, err);
    }
    if (status == STATUS_OK) {
        status = database_open(log, err);
    }
    if (status == STATUS_OK) {
        status = database_freeze(log, err);
    }
    if (status == STATUS_OK) {
        status = database_configure(log, err);
    }
    if (status == STATUS_OK) {
        status = schema_open(log, err);
    }
    if (status == STATUS_OK) {
        status = sql_integer(log, "PRAGMA page_size", 0, &log->page_bytes, err);
    }
    if (status != STATUS_OK) {
        locallog_close(log);
        return status;
    }
    *out = log;
    return STATUS_OK;
}

void locallog_close(struct locallog *log)
{
    if (log == NULL) {
        return;
    }
    locallog_rollback(log);
    statements_finalize(log);
    /* Fails only when somebody's statement on it is still there. */
    check(sqlite3_close(log->db) == SQLITE_OK);
    lock_file_close(log->locks);
    watch_close(log->watch);
    buffer_fini(&log->scratch);
    memory_free(log->path);
    memory_free(log);
}

struct sqlite3 *locallog_database(struct locallog *log)
{
    return log->db;
}

const char *locallog_path(const struct locallog *log)
{
    return log->path;
}
