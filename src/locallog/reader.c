/*
 * Reading one partition in the order of its offsets.
 *
 * All of one call comes from one snapshot of the file: the statement that reads the partition's
 * bounds is held open while the rows are read. What a row says is believed only when everything
 * agrees: its key, its columns, its batch (checksum, counts, base offset), the end of the row
 * before it and the bounds. So a row that is damaged, missing (the last one too), doubled or of
 * another partition is found, and never skipped.
 */
#include "locallog/private.h"

#include <stdio.h>
#include <string.h>

struct locallog_reader {
    struct locallog *log;
    struct locallog_topic topic;
    uint32_t partition;
    int64_t number;
    int64_t position;
};

enum {
    /* A call ends behind the row that brings it to this size, so that large records do not make a
     * batch of gigabytes, and small ones stay in the processor's cache while they are judged. */
    CALL_BYTES = 512 * 1024,
};

/* What one call reads. */
struct span {
    int64_t start;    /* the first offset wanted */
    int64_t limit;    /* the end of what is wanted and there */
    int64_t room_end; /* the first offset that the batch has no row for */
    int64_t next;     /* the offset to be read next */
    int64_t log_end;  /* next_offset of the partition */
    size_t bytes;     /* uncompressed, so far */
};

enum status locallog_reader_open(struct locallog *log, const struct locallog_topic *topic,
                                 uint32_t partition, struct locallog_reader **out,
                                 struct error *err)
{
    int64_t number;
    int64_t first;
    int64_t next;
    enum status status = partition_find(log, topic, partition, &number, &first, &next, err);
    if (status != STATUS_OK) {
        return status;
    }
    struct locallog_reader *reader = memory_alloc(sizeof *reader);
    *reader = (struct locallog_reader){log, *topic, partition, number, first};
    *out = reader;
    return STATUS_OK;
}

void locallog_reader_close(struct locallog_reader *reader)
{
    memory_free(reader);
}

void locallog_reader_seek(struct locallog_reader *reader, int64_t offset)
{
    check(offset >= 0);
    reader->position = offset;
}

int64_t locallog_reader_position(const struct locallog_reader *reader)
{
    return reader->position;
}

static enum status corrupt(const struct locallog_reader *reader, int64_t offset,
                           const char *problem, struct error *err)
{
    return error_set(err, STATUS_FATAL, "log.corrupt",
                     "topic %s, partition %u, offset %lld of %s is damaged: %s. Nothing is "
                     "skipped: put a backup in the file's place, its -wal and -shm removed first.",
                     reader->topic.name, reader->partition, (long long)offset, reader->log->path,
                     problem);
}

/* An error of SQLite, with the place that was being read. */
static enum status step_failed(const struct locallog_reader *reader, int64_t offset, int result,
                               struct error *err)
{
    char doing[360];
    snprintf(doing, sizeof doing, "read topic %s, partition %u, offset %lld of", reader->topic.name,
             reader->partition, (long long)offset);
    return locallog_error(reader->log, result, doing, err);
}

/* What the row's columns must say; NULL when they do. */
static const char *row_problem(const struct locallog_reader *reader, const struct span *span,
                               sqlite3_stmt *row, int64_t *out_base, int64_t *out_count)
{
    int64_t base = sqlite3_column_int64(row, 3);
    int64_t count = sqlite3_column_int64(row, 4);
    if (sqlite3_column_int64(row, 0) != position_of(reader->number, base) ||
        sqlite3_column_int64(row, 1) != reader->topic.topic ||
        sqlite3_column_int64(row, 2) != reader->partition) {
        return "its row stands under the key of another one";
    }
    if (count < 1 || base < 0 || count > span->log_end - base) {
        return "its row has more records than the partition, or none";
    }
    if (span->next > span->start && base != span->next) {
        return base > span->next ? "its row is missing" : "it is there twice";
    }
    if (base > span->next || base + count <= span->next) {
        return "its row is missing";
    }
    *out_base = base;
    *out_count = count;
    return NULL;
}

/* Puts the records of an opened row into the batch, from span->next on and below the limits. */
static enum status records_append(struct record_batch_reader *from, struct span *span,
                                  struct batch *batch, struct error *err)
{
    int64_t skip = span->next - from->info.stamp.base_offset;
    int64_t stop = span->limit < span->room_end ? span->limit : span->room_end;
    bool end = false;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && span->next < stop) {
        struct record record;
        status = record_batch_next(from, &record, &end, err);
        if (status != STATUS_OK || end) {
            return status;
        }
        if (skip > 0) {
            skip--;
            continue;
        }
        *batch_append_record(batch) = record;
        span->next = record.next_offset;
    }
    /* Where the row ends here, nothing may stand behind its last record. */
    if (status == STATUS_OK && from->next_index == from->info.record_count) {
        struct record record;
        status = record_batch_next(from, &record, &end, err);
    }
    return status;
}

/* Unpacks the row's batch and appends its records. The slices live in the batch's arena. */
static enum status row_append(const struct locallog_reader *reader, struct span *span,
                              struct bytes bytes, int64_t base, int64_t count, struct batch *batch,
                              struct error *err)
{
    struct record_batch_reader from;
    struct error detail = {0};
    enum status status =
        record_batch_open(&from, batch->arena, bytes, ROW_RECORDS_MAX_BYTES, &detail);
    if (status != STATUS_OK) {
        return corrupt(reader, base, detail.message, err);
    }
    if (from.info.record_count != count || from.info.stamp.base_offset != base) {
        return corrupt(reader, base, "its batch and its row say different offsets or counts", err);
    }
    size_t size = (size_t)(from.end - from.at);
    if (from.info.compression == COMPRESSION_NONE) {
        /* The records stand in SQLite's memory, which is gone with the next step. */
        uint8_t *copy = arena_alloc_wide(batch->arena, size);
        memcpy(copy, from.at, size);
        from.at = copy;
        from.end = copy + size;
    }
    span->bytes += size;
    status = records_append(&from, span, batch, &detail);
    return status == STATUS_OK ? STATUS_OK : corrupt(reader, base, detail.message, err);
}

/* Reads rows until the span ends; `rows` is bound. */
static enum status rows_read(const struct locallog_reader *reader, sqlite3_stmt *rows,
                             struct span *span, struct batch *batch, struct error *err)
{
    while (span->next < span->limit && span->next < span->room_end && span->bytes < CALL_BYTES) {
        int result = sqlite3_step(rows);
        if (result == SQLITE_DONE) {
            return corrupt(reader, span->next, "its row is missing", err);
        }
        if (result != SQLITE_ROW) {
            return step_failed(reader, span->next, result, err);
        }
        int64_t base;
        int64_t count;
        const char *problem = row_problem(reader, span, rows, &base, &count);
        if (problem != NULL) {
            return corrupt(reader, span->next, problem, err);
        }
        int64_t wanted_end = base + count < span->limit ? base + count : span->limit;
        if (wanted_end > span->room_end && batch->row_count > 0) {
            return STATUS_OK;
        }
        const void *data = sqlite3_column_blob(rows, 5);
        struct bytes bytes = bytes_of(data, (size_t)sqlite3_column_bytes(rows, 5));
        if (data == NULL) {
            return corrupt(reader, base, "its row has no bytes", err);
        }
        enum status status = row_append(reader, span, bytes, base, count, batch, err);
        if (status != STATUS_OK) {
            return status;
        }
    }
    return STATUS_OK;
}

/* What there is to read, in the snapshot of `bounds`, which stays open. An empty span: nothing. */
static enum status span_find(const struct locallog_reader *reader, sqlite3_stmt *bounds,
                             int64_t limit_offset, uint32_t room, struct span *out,
                             struct error *err)
{
    bool found;
    sqlite3_bind_int64(bounds, 1, reader->number);
    enum status status = statement_step(reader->log, bounds, "read the offsets of", &found, err);
    if (status != STATUS_OK) {
        return status;
    }
    if (!found) {
        return partition_missing(reader->log, &reader->topic, reader->partition, err);
    }
    int64_t first = sqlite3_column_int64(bounds, 0);
    int64_t next = sqlite3_column_int64(bounds, 1);
    if (reader->position < first) {
        return error_set(err, STATUS_CONFIG, "log.offset_expired",
                         "topic %s, partition %u of %s begins at offset %lld; what stood at %lld "
                         "was deleted.",
                         reader->topic.name, reader->partition, reader->log->path, (long long)first,
                         (long long)reader->position);
    }
    if (next > PARTITION_OFFSETS_MAX || first > next) {
        return corrupt(reader, first, "the bounds of the partition cannot be", err);
    }
    *out = (struct span){.start = reader->position,
                         .limit = limit_offset < next ? limit_offset : next,
                         .room_end = reader->position + room,
                         .next = reader->position,
                         .log_end = next};
    return STATUS_OK;
}

/* At the end of the partition nothing may stand behind it: where its bounds are damaged, rows would
 * be passed over in silence. And what comes must come into this file. */
static enum status check_end(const struct locallog_reader *reader, int64_t log_end,
                             struct error *err)
{
    sqlite3_stmt *behind;
    bool found = false;
    enum status status = check_in_place(reader->log, err);
    if (status == STATUS_OK) {
        status = statement_get(reader->log, STATEMENT_BATCH_BEHIND, &behind, err);
    }
    if (status != STATUS_OK) {
        return status;
    }
    sqlite3_bind_int64(behind, 1, position_of(reader->number, log_end));
    sqlite3_bind_int64(behind, 2, position_of(reader->number, PARTITION_OFFSETS_MAX - 1));
    status = statement_step(reader->log, behind, "read the offsets of", &found, err);
    sqlite3_reset(behind);
    return status == STATUS_OK && found
               ? corrupt(reader, log_end, "it should be the end, and there are rows behind it", err)
               : status;
}

static enum status span_read(const struct locallog_reader *reader, struct span *span,
                             struct batch *batch, struct error *err)
{
    sqlite3_stmt *rows;
    enum status status = statement_get(reader->log, STATEMENT_BATCH_READ, &rows, err);
    if (status != STATUS_OK) {
        return status;
    }
    int64_t end = span->limit < span->room_end ? span->limit : span->room_end;
    sqlite3_bind_int64(rows, 1, position_of(reader->number, 0));
    sqlite3_bind_int64(rows, 2, span->start);
    sqlite3_bind_int64(rows, 3, end);
    /* A batch that holds rows already takes no part of a row; an empty one takes the first row in
     * any case, and the statement fetches that one in any case. */
    sqlite3_bind_int64(rows, 4, span->room_end);
    sqlite3_bind_int64(rows, 5, span->limit);
    status = rows_read(reader, rows, span, batch, err);
    sqlite3_reset(rows); /* Its failure was answered for. */
    return status;
}

enum status locallog_reader_read(struct locallog_reader *reader, struct batch *batch,
                                 int64_t limit_offset, struct error *err)
{
    sqlite3_stmt *bounds;
    struct span span = {0};
    enum status status = statement_get(reader->log, STATEMENT_PARTITION_BOUNDS, &bounds, err);
    if (status != STATUS_OK) {
        return status;
    }
    uint32_t room = BATCH_ROWS_MAX - batch->row_count;
    status = span_find(reader, bounds, limit_offset, room, &span, err);
    if (status == STATUS_OK && span.next < span.limit && room > 0) {
        status = span_read(reader, &span, batch, err);
        if (status == STATUS_OK) {
            status = locallog_check_unchanged(reader->log, err);
        }
        if (status == STATUS_OK) {
            reader->position = span.next;
        }
    } else if (status == STATUS_OK && span.next == span.log_end) {
        status = check_end(reader, span.log_end, err);
    }
    sqlite3_reset(bounds);
    return status;
}
