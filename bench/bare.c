#include "bare.h"

#include <stddef.h>

enum status bare_error(struct bare *bare, struct error *err)
{
    return error_set(err, STATUS_FATAL, "bench.sqlite", "%s.", sqlite3_errmsg(bare->database));
}

enum status bare_open(struct bare *bare, const char *path, struct error *err)
{
    *bare = (struct bare){0};
    if (sqlite3_open(path, &bare->database) != SQLITE_OK) {
        return bare_error(bare, err);
    }
    return bare_run(bare,
                    "PRAGMA page_size = 16384; PRAGMA auto_vacuum = INCREMENTAL;"
                    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                    "PRAGMA cache_size = -4096; PRAGMA journal_size_limit = 67108864",
                    err);
}

void bare_close(struct bare *bare)
{
    sqlite3_finalize(bare->statement);
    sqlite3_close(bare->database);
}

enum status bare_run(struct bare *bare, const char *sql, struct error *err)
{
    int code = sqlite3_exec(bare->database, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? STATUS_OK : bare_error(bare, err);
}

enum status bare_prepare(struct bare *bare, const char *sql, struct error *err)
{
    int code = sqlite3_prepare_v2(bare->database, sql, -1, &bare->statement, NULL);
    return code == SQLITE_OK ? STATUS_OK : bare_error(bare, err);
}

enum status bare_step(struct bare *bare, struct error *err)
{
    int code = sqlite3_step(bare->statement);
    enum status status = code == SQLITE_DONE ? STATUS_OK : bare_error(bare, err);
    sqlite3_reset(bare->statement);
    return status;
}
