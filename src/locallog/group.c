/* Groups: how far a reader has come. Producers: how far a writer's input has come. */
#include "locallog/private.h"

#include <string.h>

enum { DIGEST_BYTES = 16 };

enum status locallog_group_read(struct locallog *log, const char *group,
                                const struct locallog_topic *topic, uint32_t partition,
                                int64_t *out_next_offset, bool *out_found, struct error *err)
{
    sqlite3_stmt *read;
    enum status status = statement_get(log, STATEMENT_GROUP_READ, &read, err);
    if (status != STATUS_OK) {
        return status;
    }
    sqlite3_bind_text(read, 1, group, -1, SQLITE_STATIC);
    sqlite3_bind_int64(read, 2, topic->topic);
    sqlite3_bind_int64(read, 3, partition);
    bool found;
    status = statement_step(log, read, "read a group of", &found, err);
    if (status != STATUS_OK) {
        return status;
    }
    if (found) {
        *out_next_offset = sqlite3_column_int64(read, 0);
    }
    *out_found = found;
    sqlite3_reset(read);
    return STATUS_OK;
}

enum status locallog_group_write(struct locallog *log, const char *group,
                                 const struct locallog_topic *topic, uint32_t partition,
                                 int64_t next_offset, const char *metadata, struct error *err)
{
    check(log->in_transaction);
    sqlite3_stmt *write;
    enum status status = statement_get(log, STATEMENT_GROUP_WRITE, &write, err);
    if (status != STATUS_OK) {
        return status;
    }
    sqlite3_bind_text(write, 1, group, -1, SQLITE_STATIC);
    sqlite3_bind_int64(write, 2, topic->topic);
    sqlite3_bind_int64(write, 3, partition);
    sqlite3_bind_int64(write, 4, next_offset);
    sqlite3_bind_text(write, 5, metadata == NULL ? "" : metadata, -1, SQLITE_STATIC);
    return statement_run(log, write, "write a group of", err);
}

enum status locallog_producer_read(struct locallog *log, const char *producer,
                                   const struct locallog_topic *topic, int64_t *out_sequence,
                                   struct hash128 *out_digest, struct error *err)
{
    sqlite3_stmt *read;
    enum status status = statement_get(log, STATEMENT_PRODUCER_READ, &read, err);
    if (status != STATUS_OK) {
        return status;
    }
    sqlite3_bind_text(read, 1, producer, -1, SQLITE_STATIC);
    sqlite3_bind_int64(read, 2, topic->topic);
    bool found;
    status = statement_step(log, read, "read a producer of", &found, err);
    if (status != STATUS_OK) {
        return status;
    }
    int64_t sequence = 0;
    struct reader digest = {0};
    if (found) {
        sequence = sqlite3_column_int64(read, 0);
        digest = reader_of(
            bytes_of(sqlite3_column_blob(read, 1), (size_t)sqlite3_column_bytes(read, 1)));
        if (digest.end - digest.at != DIGEST_BYTES || sequence < 0) {
            status = error_set(err, STATUS_FATAL, "log.corrupt",
                               "what %s says of producer %s of topic %s cannot be.", log->path,
                               producer, topic->name);
        }
    }
    if (status == STATUS_OK) {
        *out_sequence = sequence;
        *out_digest = (struct hash128){0};
        if (found) {
            out_digest->low = reader_u64(&digest);
            out_digest->high = reader_u64(&digest);
        }
    }
    sqlite3_reset(read);
    return status;
}

enum status locallog_producer_write(struct locallog *log, const char *producer,
                                    const struct locallog_topic *topic, int64_t sequence,
                                    struct hash128 digest, struct error *err)
{
    check(log->in_transaction && sequence >= 0);
    sqlite3_stmt *write;
    enum status status = statement_get(log, STATEMENT_PRODUCER_WRITE, &write, err);
    if (status != STATUS_OK) {
        return status;
    }
    struct buffer form = {0};
    buffer_append_u64(&form, digest.low);
    buffer_append_u64(&form, digest.high);
    sqlite3_bind_text(write, 1, producer, -1, SQLITE_STATIC);
    sqlite3_bind_int64(write, 2, topic->topic);
    sqlite3_bind_int64(write, 3, sequence);
    sqlite3_bind_blob64(write, 4, form.data, form.size, SQLITE_STATIC);
    status = statement_run(log, write, "write a producer of", err);
    buffer_fini(&form);
    return status;
}
