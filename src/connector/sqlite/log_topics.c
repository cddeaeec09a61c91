/* The topics of a local log (connector/topics.h). */
#include <sqlite3.h>
#include <string.h>

#include "base/time.h"
#include "connector/sqlite/sqlite.h"
#include "connector/sqlite/system.h"
#include "connector/sqlite/topic_users.h"
#include "connector/topics.h"

#define PARTITIONS_OTHERWISE 3

static const char totals_sql[] =
    "SELECT coalesce(sum(records), 0), coalesce(sum(bytes), 0), "
    "(SELECT created_us FROM weir_topic t WHERE t.name = ?1) FROM weir_topics WHERE name = ?1";
static const char groups_sql[] =
    "SELECT g.\"group\", g.partition, g.next_offset, max(p.next_offset - g.next_offset, 0) "
    "FROM weir_group g JOIN weir_partition p USING (topic, partition) WHERE g.topic = ? "
    "ORDER BY g.\"group\", g.partition";

struct log_topics {
    struct topics topics; /* first */
    struct locallog *log;
    struct locallog_topic topic; /* that was asked for last */
};

static struct log_topics *self(struct topics *topics)
{
    return (struct log_topics *)topics;
}

static void close_topics(struct topics *topics)
{
    if (topics == NULL) {
        return;
    }
    locallog_close(self(topics)->log);
    memory_free(topics);
}

static enum status open_topics(const struct doc *config, const char *folder, enum topics_mode mode,
                               struct topics **out, struct error *err)
{
    static const enum locallog_mode modes[] = {[TOPICS_LOOK] = LOCALLOG_READ,
                                               [TOPICS_CHANGE] = LOCALLOG_WRITE,
                                               [TOPICS_MAKE] = LOCALLOG_CREATE};
    struct log_topics *s = memory_alloc_zero(1, sizeof *s);
    struct arena *arena = arena_new(1024);
    const char *path = grammar_string(config, "path", "");
    s->topics.ops = &local_topics_ops;
    enum status status = locallog_open(
        arena_printf(arena, "%s%s", path[0] == '/' ? "" : folder, path), modes[mode], &s->log, err);
    arena_free(arena);
    if (status != STATUS_OK) {
        close_topics(&s->topics);
        return status;
    }
    *out = &s->topics;
    return STATUS_OK;
}

/* --- what there is --- */

/* The next row; false at the end and after a failure. */
static bool next_row(struct log_topics *s, sqlite3_stmt *statement, enum status *status,
                     struct error *err)
{
    int answer = sqlite3_step(statement);
    if (answer != SQLITE_ROW && answer != SQLITE_DONE) {
        *status = locallog_error(s->log, answer, "read", err);
    }
    return answer == SQLITE_ROW;
}

static enum status read_state(struct log_topics *s, struct topic_state *out, struct error *err)
{
    struct locallog_retention kept = {0};
    sqlite3_stmt *row = NULL;
    enum status status = locallog_retention_read(s->log, &s->topic, &kept, err);
    if (status == STATUS_OK) {
        status = sqlite_prepare(s->log, totals_sql, "read", &row, err);
    }
    if (status == STATUS_OK) {
        sqlite_bind_string(row, 1, s->topic.name);
    }
    if (status == STATUS_OK && next_row(s, row, &status, err)) {
        *out = (struct topic_state){
            .name = s->topic.name,
            .id = s->topic.id,
            .partitions = s->topic.partitions,
            .timestamps = "broker",
            .records = sqlite3_column_int64(row, 0),
            .bytes = sqlite3_column_int64(row, 1),
            .offsets = sqlite3_column_int64(row, 0),
            .created_us = sqlite3_column_int64(row, 2),
            .retention = {.is_known = true, .age_us = kept.age_us, .bytes = kept.bytes},
        };
    }
    sqlite3_finalize(row);
    return status;
}

static enum status find(struct topics *topics, const char *name, struct topic_state *out,
                        bool *out_found, struct error *err)
{
    struct log_topics *s = self(topics);
    enum status status = locallog_topic_find(s->log, name, &s->topic, out_found, err);
    return status == STATUS_OK && *out_found ? read_state(s, out, err) : status;
}

static enum status list(struct topics *topics, topic_visitor *visit, void *context,
                        struct error *err)
{
    struct log_topics *s = self(topics);
    struct arena *arena = arena_new(4096);
    struct locallog_topic *found = NULL;
    uint32_t count = 0;
    enum status status = locallog_topic_list(s->log, arena, &found, &count, err);
    for (uint32_t i = 0; i < count && status == STATUS_OK; i++) {
        struct topic_state state;
        s->topic = found[i];
        status = read_state(s, &state, err);
        if (status == STATUS_OK) {
            status = visit(context, &state, err);
        }
    }
    arena_free(arena);
    return status;
}

static enum status partitions(struct topics *topics, const char *name,
                              topic_partition_visitor *visit, void *context, struct error *err)
{
    struct log_topics *s = self(topics);
    bool found = false;
    enum status status = locallog_topic_find(s->log, name, &s->topic, &found, err);
    for (uint32_t i = 0; status == STATUS_OK && found && i < s->topic.partitions; i++) {
        struct locallog_sizes sizes;
        status = locallog_sizes(s->log, &s->topic, i, &sizes, err);
        if (status != STATUS_OK) {
            break;
        }
        struct topic_partition partition = {
            .partition = i,
            .first_offset = sizes.first_offset,
            .next_offset = sizes.next_offset,
            .records = sizes.next_offset - sizes.first_offset,
            .batches = (int64_t)sizes.rows,
            .bytes = (int64_t)sizes.bytes,
            .uncompressed_bytes = (int64_t)sizes.uncompressed_bytes,
            .oldest_ms = sizes.oldest_ms,
            .newest_ms = sizes.newest_ms,
        };
        status = visit(context, &partition, err);
    }
    return status;
}

static enum status groups(struct topics *topics, const char *name, topic_group_visitor *visit,
                          void *context, struct error *err)
{
    struct log_topics *s = self(topics);
    sqlite3_stmt *row = NULL;
    bool found = false;
    enum status status = locallog_topic_find(s->log, name, &s->topic, &found, err);
    if (status == STATUS_OK && found) {
        status = sqlite_prepare(s->log, groups_sql, "read", &row, err);
    }
    if (status == STATUS_OK && found) {
        sqlite3_bind_int64(row, 1, s->topic.topic);
    }
    while (status == STATUS_OK && found && next_row(s, row, &status, err)) {
        struct topic_group group = {.group = (const char *)sqlite3_column_text(row, 0),
                                    .partition = (uint32_t)sqlite3_column_int64(row, 1),
                                    .next_offset = sqlite3_column_int64(row, 2),
                                    .lag = sqlite3_column_int64(row, 3)};
        status = visit(context, &group, err);
    }
    sqlite3_finalize(row);
    return status;
}

static enum status users(struct topics *topics, const char *name, topic_user_visitor *visit,
                         void *context, struct error *err)
{
    return topic_users_each(self(topics)->log, name, visit, context, err);
}

/* --- making and changing --- */

/* Topic and limits in one transaction: there is none without the limits that it was to have. */
static enum status make_in(struct log_topics *s, const struct topic_wish *wish, bool *out_was_there,
                           struct error *err)
{
    const struct locallog_retention kept = {
        .age_us = wish->age_us == TOPICS_UNTOLD ? 0 : wish->age_us,
        .bytes = wish->bytes == TOPICS_UNTOLD ? 0 : wish->bytes};
    enum status status = locallog_topic_find(s->log, wish->name, &s->topic, out_was_there, err);
    if (status != STATUS_OK || *out_was_there) {
        return status;
    }
    const uint32_t count = wish->partitions == 0 ? PARTITIONS_OTHERWISE : wish->partitions;
    status = locallog_topic_create(s->log, wish->name, count, &s->topic, err);
    return status == STATUS_OK && (kept.age_us > 0 || kept.bytes > 0)
               ? locallog_retention_write(s->log, &s->topic, &kept, err)
               : status;
}

static enum status make(struct topics *topics, const struct topic_wish *wish,
                        struct topic_state *out, bool *out_was_there, struct error *err)
{
    struct log_topics *s = self(topics);
    if (wish->replication > 1) {
        return error_set(err, STATUS_CONFIG, "topic.replication",
                         "a local log is one file and has no replicas: leave the replication of "
                         "topic '%s' out",
                         wish->name);
    }
    if (wish->timestamps != NULL && strcmp(wish->timestamps, "broker") != 0) {
        return error_set(
            err, STATUS_CONFIG, "topic.timestamps",
            "a local log says itself when a record was written: leave the timestamps of "
            "topic '%s' out",
            wish->name);
    }
    enum status status = locallog_begin(s->log, err);
    if (status == STATUS_OK) {
        status = make_in(s, wish, out_was_there, err);
    }
    if (status == STATUS_OK) {
        status = locallog_commit(s->log, err);
    }
    if (status != STATUS_OK) {
        locallog_rollback(s->log);
        return status;
    }
    return read_state(s, out, err);
}

static enum status keep(struct topics *topics, const char *name, int64_t age_us, int64_t bytes,
                        struct error *err)
{
    struct log_topics *s = self(topics);
    struct locallog_retention kept = {0};
    bool found = false;
    enum status status = locallog_topic_find(s->log, name, &s->topic, &found, err);
    if (status == STATUS_OK && !found) {
        return error_set(err, STATUS_CONFIG, "topic.missing", "there is no topic '%s'", name);
    }
    if (status == STATUS_OK) {
        status = locallog_retention_read(s->log, &s->topic, &kept, err);
    }
    kept.age_us = age_us == TOPICS_UNTOLD ? kept.age_us : age_us;
    kept.bytes = bytes == TOPICS_UNTOLD ? kept.bytes : bytes;
    return status == STATUS_OK ? locallog_retention_write(s->log, &s->topic, &kept, err) : status;
}

static enum status remove_topic(struct topics *topics, const char *name, struct error *err)
{
    return locallog_topic_delete(self(topics)->log, name, err);
}

const struct topics_ops local_topics_ops = {
    .open = open_topics,
    .close = close_topics,
    .list = list,
    .find = find,
    .partitions = partitions,
    .groups = groups,
    .users = users,
    .make = make,
    .keep = keep,
    .remove = remove_topic,
};
