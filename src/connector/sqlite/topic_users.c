#include "connector/sqlite/topic_users.h"

#include <sqlite3.h>

#include "connector/sqlite/system.h"

/* Plans are stored as canonical JSON. A place is a map with the member "topic"; that of another file is
 * taken for one of this as well: to refuse too much is the smaller mistake. */
static const char users_sql[] =
    "SELECT DISTINCT p.pipeline FROM weir_progress p, weir_plan l"
    " WHERE json_extract(l.text, '$.pipeline.name') = p.pipeline AND EXISTS"
    " (SELECT 1 FROM json_tree(l.text, '$.pipeline') t WHERE t.key = 'topic' AND t.value = ?1)";

static enum status has_tables(struct locallog *log, bool *out, struct error *err)
{
    static const char doing[] = "look for pipelines in";
    sqlite3_stmt *statement = NULL;
    enum status status = sqlite_prepare(
        log,
        "SELECT count(*) FROM sqlite_schema WHERE name IN ('weir_progress', 'weir_plan')", doing,
        &statement, err);
    if (status == STATUS_OK) {
        int code = sqlite3_step(statement);
        *out = code == SQLITE_ROW && sqlite3_column_int(statement, 0) == 2;
        if (code != SQLITE_ROW) {
            status = locallog_error(log, code, doing, err);
        }
        sqlite3_finalize(statement);
    }
    return status;
}

enum status topic_users_each(struct locallog *log, const char *topic, topic_user_visitor *user,
                             void *context, struct error *err)
{
    static const char doing[] = "look for pipelines in";
    sqlite3_stmt *statement = NULL;
    bool has = false;
    int code = SQLITE_DONE;
    enum status status = has_tables(log, &has, err);
    if (status == STATUS_OK && has) {
        status = sqlite_prepare(log, users_sql, doing, &statement, err);
    }
    if (status != STATUS_OK || !has) {
        return status;
    }
    sqlite_bind_string(statement, 1, topic);
    while (status == STATUS_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        const char *pipeline = (const char *)sqlite3_column_text(statement, 0);
        if (locallog_group_is_owned(locallog_path(log), pipeline)) {
            status = user(context, pipeline, err);
        }
    }
    if (status == STATUS_OK && code != SQLITE_DONE) {
        status = locallog_error(log, code, doing, err);
    }
    sqlite3_finalize(statement);
    return status;
}
