/*
 * Dead letters into a topic of a local log. Their ids are in the table
 *   weir_replayed (topic_id, topic, partition, offset, sink, attempt, replayed_us), primary key: all
 *   but topic and replayed_us
 * of the same file, which is made with the first of them.
 */
#include <sqlite3.h>
#include <stdlib.h>

#include "base/broken.h"
#include "connector/injector.h"
#include "connector/sqlite/sqlite.h"
#include "connector/sqlite/system.h"
#include "os/clock.h"

static const char make_sql[] =
    "CREATE TABLE IF NOT EXISTS weir_replayed (topic_id TEXT NOT NULL, topic TEXT NOT NULL, "
    "partition INTEGER NOT NULL, offset INTEGER NOT NULL, sink TEXT NOT NULL, "
    "attempt INTEGER NOT NULL, replayed_us INTEGER NOT NULL, "
    "PRIMARY KEY (topic_id, partition, offset, sink, attempt)) STRICT, WITHOUT ROWID";
static const char add_sql[] =
    "INSERT OR IGNORE INTO weir_replayed (topic_id, partition, offset, sink, attempt, topic, "
    "replayed_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
static const char find_sql[] =
    "SELECT 1 FROM weir_replayed WHERE topic_id = ?1 AND partition = ?2 AND offset = ?3 AND "
    "sink = ?4 AND attempt = ?5";
static const char doing[] = "write weir_replayed of";

struct log_injector {
    struct injector injector; /* first */
    struct locallog *log;
    struct locallog_checkpointer *checkpointer; /* NULL when dry */
    struct locallog_topic topic;
    bool is_dry;
    sqlite3_stmt *id; /* add_sql or find_sql; NULL: not made yet, or nothing was ever replayed */
    struct record_batch_builder *builders; /* [partitions] */
};

static struct log_injector *self(struct injector *injector)
{
    return (struct log_injector *)injector;
}

/* The integer that a query of one row gives. */
static enum status query_integer(struct log_injector *s, const char *sql, int64_t argument,
                                 int64_t *out, struct error *err)
{
    sqlite3_stmt *query = NULL;
    enum status status = sqlite_prepare(s->log, sql, "read", &query, err);
    if (status != STATUS_OK) {
        return status;
    }
    if (sqlite3_bind_parameter_count(query) > 0) {
        sqlite3_bind_int64(query, 1, argument);
    }
    int code = sqlite3_step(query);
    if (code == SQLITE_ROW) {
        *out = sqlite3_column_int64(query, 0);
    } else if (code != SQLITE_DONE) {
        status = locallog_error(s->log, code, "read", err);
    }
    sqlite3_finalize(query);
    return status;
}

static enum status find_table(struct log_injector *s, struct error *err)
{
    int64_t count = 0;
    enum status status = query_integer(
        s, "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'weir_replayed'", 0,
        &count, err);
    return status == STATUS_OK && count > 0
               ? sqlite_prepare(s->log, find_sql, "read weir_replayed of", &s->id, err)
               : status;
}

static void close_injector(struct injector *injector)
{
    if (injector == NULL) {
        return;
    }
    struct log_injector *s = self(injector);
    for (uint32_t i = 0; s->builders != NULL && i < s->topic.partitions; i++) {
        record_batch_fini(&s->builders[i]);
    }
    memory_free(s->builders);
    sqlite3_finalize(s->id);
    locallog_checkpointer_stop(s->checkpointer);
    locallog_close(s->log);
    memory_free(s);
}

static enum status find_topic(struct log_injector *s, const char *path, const char *name,
                              struct error *err)
{
    bool found = false;
    enum status status = locallog_topic_find(s->log, name, &s->topic, &found, err);
    if (status == STATUS_OK && !found) {
        return error_set(err, STATUS_CONFIG, "topic.missing", "%s has no topic '%s'", path, name);
    }
    if (status == STATUS_OK) {
        status = query_integer(s, "SELECT created_us FROM weir_topic WHERE topic = ?",
                               s->topic.topic, &s->injector.created_us, err);
    }
    s->injector.topic = s->topic.name;
    s->injector.partitions = s->topic.partitions;
    return status;
}

static enum status open_injector(const struct doc *config, const char *folder,
                                 const char *pipeline, bool is_dry, struct injector **out,
                                 struct error *err)
{
    struct arena *arena = arena_new(1024);
    const char *path = grammar_string(config, "path", "");
    (void)pipeline; /* ids are those of the file */
    path = arena_printf(arena, "%s%s", path[0] == '/' ? "" : folder, path);
    struct log_injector *s = memory_alloc_zero(1, sizeof *s);
    s->injector.ops = &local_injector_ops;
    s->is_dry = is_dry;
    enum status status =
        locallog_open(path, is_dry ? LOCALLOG_READ : LOCALLOG_WRITE, &s->log, err);
    if (status == STATUS_OK) {
        status = find_topic(s, path, grammar_string(config, "topic", ""), err);
    }
    if (status == STATUS_OK && is_dry) {
        status = find_table(s, err);
    } else if (status == STATUS_OK) {
        s->builders = memory_alloc_zero(s->topic.partitions, sizeof *s->builders);
        status = locallog_checkpointer_start(path, &s->checkpointer, err);
    }
    arena_free(arena);
    if (status != STATUS_OK) {
        close_injector(&s->injector);
        return status;
    }
    *out = &s->injector;
    return STATUS_OK;
}

static enum status begin(struct injector *injector, struct error *err)
{
    struct log_injector *s = self(injector);
    enum status status = locallog_begin(s->log, err);
    if (status == STATUS_OK && s->id == NULL) {
        status = sqlite_run(s->log, make_sql, "make weir_replayed in", err);
        if (status == STATUS_OK) {
            status = sqlite_prepare(s->log, add_sql, doing, &s->id, err);
        }
    }
    return status;
}

static enum status claim(struct injector *injector, const struct dead_letter *letter,
                         bool *out_is_new, struct error *err)
{
    struct log_injector *s = self(injector);
    *out_is_new = true;
    if (s->id == NULL) {
        return STATUS_OK;
    }
    sqlite_bind_string(s->id, 1, s->topic.id);
    sqlite3_bind_int64(s->id, 2, atoi(letter->partition));
    sqlite3_bind_int64(s->id, 3, letter->offset);
    sqlite_bind_string(s->id, 4, letter->sink);
    sqlite3_bind_int64(s->id, 5, letter->attempt);
    if (!s->is_dry) {
        sqlite_bind_string(s->id, 6, letter->topic);
        sqlite3_bind_int64(s->id, 7, clock_realtime_us());
    }
    int code = sqlite3_step(s->id);
    *out_is_new =
        s->is_dry ? code == SQLITE_DONE : sqlite3_changes(locallog_database(s->log)) == 1;
    *out_is_new |= BROKEN("replay-again");
    sqlite3_reset(s->id);
    return code == SQLITE_DONE || code == SQLITE_ROW ? STATUS_OK
                                                     : locallog_error(s->log, code, doing, err);
}

static enum status flush(struct log_injector *s, uint32_t partition, struct error *err)
{
    struct record_batch_builder *builder = &s->builders[partition];
    enum status status = STATUS_OK;
    if (builder->count > 0) {
        status = locallog_append(s->log, &s->topic, partition, builder, NULL, err);
        record_batch_clear(builder);
    }
    return status;
}

static enum status append(struct injector *injector, const struct dead_letter *letter,
                          struct error *err)
{
    struct log_injector *s = self(injector);
    uint32_t partition = (uint32_t)atoi(letter->partition);
    check(partition < s->topic.partitions);
    struct record_batch_builder *builder = &s->builders[partition];
    record_batch_append(builder, letter->key, letter->value, letter->headers,
                        letter->header_count);
    return builder->records.size >= LOCALLOG_ROW_BYTES || builder->count >= LOCALLOG_ROW_RECORDS
               ? flush(s, partition, err)
               : STATUS_OK;
}

static enum status commit(struct injector *injector, struct error *err)
{
    struct log_injector *s = self(injector);
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < s->topic.partitions && status == STATUS_OK; i++) {
        status = flush(s, i, err);
    }
    return status == STATUS_OK ? locallog_commit(s->log, err) : status;
}

static void rollback(struct injector *injector)
{
    struct log_injector *s = self(injector);
    for (uint32_t i = 0; i < s->topic.partitions; i++) {
        record_batch_clear(&s->builders[i]);
    }
    locallog_rollback(s->log);
}

const struct injector_ops local_injector_ops = {
    .open = open_injector,
    .close = close_injector,
    .begin = begin,
    .claim = claim,
    .append = append,
    .commit = commit,
    .rollback = rollback,
};
