#include "locallog/keeper.h"

#include <stdio.h>
#include <string.h>

#include "os/clock.h"
#include "os/random.h"

/* Kafka's rule for names of topics. */
static bool name_is_legal(const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz"
                                  "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t size = strspn(name, letters);
    return name[size] == '\0' && size > 0 && size < sizeof((struct locallog_topic *)NULL)->name &&
           strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static void text_take(sqlite3_stmt *statement, int column, char *out, size_t out_size)
{
    const char *text = (const char *)sqlite3_column_text(statement, column);
    snprintf(out, out_size, "%s", text == NULL ? "" : text);
}

/* Of a row of topic, id, name, partitions. */
static struct locallog_topic topic_take(sqlite3_stmt *statement)
{
    struct locallog_topic topic = {.topic = sqlite3_column_int64(statement, 0),
                                   .partitions = (uint32_t)sqlite3_column_int64(statement, 3)};
    text_take(statement, 1, topic.id, sizeof topic.id);
    text_take(statement, 2, topic.name, sizeof topic.name);
    return topic;
}

enum status locallog_topic_find(struct locallog *log, const char *name, struct locallog_topic *out,
                                bool *out_found, struct error *err)
{
    sqlite3_stmt *find;
    enum status status = statement_get(log, STATEMENT_TOPIC_FIND, &find, err);
    if (status != STATUS_OK) {
        return status;
    }
    sqlite3_bind_text(find, 1, name, -1, SQLITE_STATIC);
    bool found;
    status = statement_step(log, find, "look for a topic in", &found, err);
    if (status != STATUS_OK) {
        return status;
    }
    if (found) {
        *out = topic_take(find);
    }
    *out_found = found;
    sqlite3_reset(find);
    return STATUS_OK;
}

enum status locallog_topic_list(struct locallog *log, struct arena *arena,
                                struct locallog_topic **out, uint32_t *out_count, struct error *err)
{
    sqlite3_stmt *list;
    enum status status = statement_get(log, STATEMENT_TOPIC_LIST, &list, err);
    if (status != STATUS_OK) {
        return status;
    }
    struct buffer topics = {0};
    uint32_t count = 0;
    bool row = false;
    while ((status = statement_step(log, list, "list the topics of", &row, err)) == STATUS_OK &&
           row) {
        struct locallog_topic topic = topic_take(list);
        buffer_append(&topics, &topic, sizeof topic);
        count++;
    }
    if (status == STATUS_OK) {
        struct locallog_topic *array = arena_alloc(arena, topics.size);
        if (count > 0) {
            memcpy(array, topics.data, topics.size);
        }
        *out = array;
        *out_count = count;
    }
    buffer_fini(&topics);
    return status;
}

/* Fine when the topic that is there has as many partitions as are asked for. */
static enum status topic_compare(const struct locallog *log, const struct locallog_topic *topic,
                                 uint32_t partitions, struct error *err)
{
    if (topic->partitions == partitions) {
        return STATUS_OK;
    }
    return error_set(err, STATUS_CONFIG, "topic.exists",
                     "topic %s of %s has %u partitions already, not %u. Use that number, or "
                     "another name.",
                     topic->name, log->path, topic->partitions, partitions);
}

static enum status partitions_insert(struct locallog *log, const struct locallog_topic *topic,
                                     struct error *err)
{
    sqlite3_stmt *insert;
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < topic->partitions && status == STATUS_OK; i++) {
        status = statement_get(log, STATEMENT_PARTITION_INSERT, &insert, err);
        if (status != STATUS_OK) {
            break;
        }
        sqlite3_bind_int64(insert, 1, topic->topic);
        sqlite3_bind_int64(insert, 2, i);
        bool row;
        status = statement_step(log, insert, "make a topic in", &row, err);
        if (status == STATUS_OK && sqlite3_column_int64(insert, 0) > PARTITION_NUMBER_MAX) {
            status = error_set(err, STATUS_CONFIG, "topic.partitions",
                               "%s has had %lld partitions, deleted ones included; a file can have "
                               "no more. Use a new file.",
                               log->path, (long long)PARTITION_NUMBER_MAX);
        }
        sqlite3_reset(insert);
    }
    return status;
}

/* In a transaction. */
static enum status topic_insert(struct locallog *log, const char *name, uint32_t partitions,
                                struct locallog_topic *out, struct error *err)
{
    bool found;
    enum status status = locallog_topic_find(log, name, out, &found, err);
    if (status != STATUS_OK || found) {
        return status == STATUS_OK ? topic_compare(log, out, partitions, err) : status;
    }
    sqlite3_stmt *insert;
    status = statement_get(log, STATEMENT_TOPIC_INSERT, &insert, err);
    if (status != STATUS_OK) {
        return status;
    }
    char id[37];
    random_uuid(id);
    sqlite3_bind_text(insert, 1, name, -1, SQLITE_STATIC);
    sqlite3_bind_text(insert, 2, id, -1, SQLITE_STATIC);
    sqlite3_bind_int64(insert, 3, partitions);
    sqlite3_bind_int64(insert, 4, clock_realtime_us());
    bool row;
    status = statement_step(log, insert, "make a topic in", &row, err);
    if (status != STATUS_OK) {
        return status;
    }
    *out = topic_take(insert);
    sqlite3_reset(insert);
    return partitions_insert(log, out, err);
}

enum status locallog_topic_create(struct locallog *log, const char *name, uint32_t partitions,
                                  struct locallog_topic *out, struct error *err)
{
    if (!name_is_legal(name)) {
        return error_set(err, STATUS_CONFIG, "topic.name",
                         "\"%.260s\" cannot be the name of a topic: 1 to 249 of the characters "
                         "a-z A-Z 0-9 . _ - are, but not \".\" or \"..\".",
                         name);
    }
    if (partitions < 1 || partitions > LOCALLOG_PARTITIONS_MAX) {
        return error_set(err, STATUS_CONFIG, "topic.partitions",
                         "a topic has 1 to %u partitions, not %u.", LOCALLOG_PARTITIONS_MAX,
                         partitions);
    }
    struct locallog_topic topic;
    bool found;
    enum status status = locallog_topic_find(log, name, &topic, &found, err);
    if (status == STATUS_OK && found) {
        status = topic_compare(log, &topic, partitions, err);
    } else if (status == STATUS_OK) {
        bool own = !log->in_transaction;
        status = own ? locallog_begin(log, err) : STATUS_OK;
        if (status == STATUS_OK) {
            status = topic_insert(log, name, partitions, &topic, err);
        }
        if (status == STATUS_OK && own) {
            status = locallog_commit(log, err);
        } else if (own) {
            locallog_rollback(log);
        }
    }
    if (status == STATUS_OK) {
        *out = topic;
    }
    return status;
}

static enum status partition_delete(struct locallog *log, int64_t topic, uint32_t partition,
                                    struct error *err)
{
    sqlite3_stmt *delete;
    enum status status = statement_get(log, STATEMENT_TOPIC_DELETE_PARTITIONS, &delete, err);
    if (status != STATUS_OK) {
        return status;
    }
    sqlite3_bind_int64(delete, 1, topic);
    sqlite3_bind_int64(delete, 2, partition);
    bool row;
    status = statement_step(log, delete, "delete a topic from", &row, err);
    if (status != STATUS_OK || !row) {
        return status;
    }
    int64_t number = sqlite3_column_int64(delete, 0);
    sqlite3_reset(delete);
    status = statement_get(log, STATEMENT_TOPIC_DELETE_BATCHES, &delete, err);
    if (status != STATUS_OK) {
        return status;
    }
    sqlite3_bind_int64(delete, 1, position_of(number, 0));
    sqlite3_bind_int64(delete, 2, position_of(number, PARTITION_OFFSETS_MAX - 1));
    return statement_run(log, delete, "delete a topic from", err);
}

/* In a transaction. */
static enum status topic_delete(struct locallog *log, const char *name, struct error *err)
{
    struct locallog_topic topic;
    bool found;
    enum status status = locallog_topic_find(log, name, &topic, &found, err);
    if (status == STATUS_OK && !found) {
        status = error_set(err, STATUS_CONFIG, "topic.missing", "there is no topic %.260s in %s.",
                           name, log->path);
    }
    for (uint32_t i = 0; status == STATUS_OK && i < topic.partitions; i++) {
        status = partition_delete(log, topic.topic, i, err);
    }
    static const enum statement rest[] = {STATEMENT_TOPIC_DELETE_GROUPS,
                                          STATEMENT_TOPIC_DELETE_PRODUCERS, STATEMENT_TOPIC_DELETE};
    for (size_t i = 0; status == STATUS_OK && i < sizeof rest / sizeof *rest; i++) {
        sqlite3_stmt *delete;
        status = statement_get(log, rest[i], &delete, err);
        if (status == STATUS_OK) {
            sqlite3_bind_int64(delete, 1, topic.topic);
            status = statement_run(log, delete, "delete a topic from", err);
        }
    }
    return status == STATUS_OK ? retention_forget(log, topic.topic, err) : status;
}

/* All rows of the topic, in short transactions, so that nobody waits for long; the topic stays. */
static enum status topic_empty(struct locallog *log, const char *name, struct error *err)
{
    struct locallog_topic topic;
    bool found = false;
    enum status status = locallog_topic_find(log, name, &topic, &found, err);
    for (uint32_t i = 0; status == STATUS_OK && found && i < topic.partitions; i++) {
        bool more = true;
        while (status == STATUS_OK && more) {
            status = partition_empty_slice(log, &topic, i, &more, err);
        }
    }
    return status;
}

enum status locallog_topic_delete(struct locallog *log, const char *name, struct error *err)
{
    bool own = !log->in_transaction;
    enum status status = own ? topic_empty(log, name, err) : STATUS_OK;
    status = status == STATUS_OK && own ? locallog_begin(log, err) : status;
    if (status != STATUS_OK) {
        return status;
    }
    status = topic_delete(log, name, err);
    if (status == STATUS_OK && own) {
        status = locallog_commit(log, err);
    } else if (own) {
        locallog_rollback(log);
    }
    return status;
}

enum status locallog_bounds(struct locallog *log, const struct locallog_topic *topic,
                            uint32_t partition, int64_t *out_first, int64_t *out_next,
                            struct error *err)
{
    int64_t number;
    return partition_find(log, topic, partition, &number, out_first, out_next, err);
}

enum status partition_find(struct locallog *log, const struct locallog_topic *topic,
                           uint32_t partition, int64_t *out_number, int64_t *out_first,
                           int64_t *out_next, struct error *err)
{
    sqlite3_stmt *find;
    enum status status = statement_get(log, STATEMENT_PARTITION_FIND, &find, err);
    if (status != STATUS_OK) {
        return status;
    }
    sqlite3_bind_int64(find, 1, topic->topic);
    sqlite3_bind_int64(find, 2, partition);
    bool found;
    status = statement_step(log, find, "read the offsets of", &found, err);
    if (status != STATUS_OK) {
        return status;
    }
    if (!found) {
        return partition_missing(log, topic, partition, err);
    }
    *out_first = sqlite3_column_int64(find, 0);
    *out_next = sqlite3_column_int64(find, 1);
    *out_number = sqlite3_column_int64(find, 2);
    sqlite3_reset(find);
    return STATUS_OK;
}

enum status partition_missing(const struct locallog *log, const struct locallog_topic *topic,
                              uint32_t partition, struct error *err)
{
    if (partition < topic->partitions) {
        return error_set(err, STATUS_CONFIG, "topic.missing",
                         "topic %s of %s was deleted, or made anew, since it was looked up. Start "
                         "again.",
                         topic->name, log->path);
    }
    return error_set(err, STATUS_CONFIG, "topic.missing",
                     "topic %s of %s has partitions 0 to %u, and no %u.", topic->name, log->path,
                     topic->partitions - 1, partition);
}
