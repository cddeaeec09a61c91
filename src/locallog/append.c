#include "locallog/private.h"

#include "os/clock.h"

/* Offset and time stand in a batch only once they are known: at the append. */
static const struct record_batch_stamp unknown_stamp = {
    .log_append_time = true,
    .producer_id = -1,
    .producer_epoch = -1,
    .base_sequence = -1,
};

void locallog_compress(const struct record_batch_builder *builder, struct buffer *out)
{
    record_batch_finish(builder, &unknown_stamp, COMPRESSION_LZ4, out);
}

/* Where a row goes: given out by extend(). */
struct place {
    int64_t number;
    int64_t base_offset;
    int64_t timestamp_ms;
};

/* Takes `count` offsets, and a time that is not below the last one of the partition. */
static enum status extend(struct locallog *log, const struct locallog_topic *topic,
                          uint32_t partition, uint32_t count, struct place *out, struct error *err)
{
    sqlite3_stmt *extend;
    enum status status = statement_get(log, STATEMENT_PARTITION_EXTEND, &extend, err);
    if (status != STATUS_OK) {
        return status;
    }
    sqlite3_bind_int64(extend, 1, topic->topic);
    sqlite3_bind_int64(extend, 2, partition);
    sqlite3_bind_int64(extend, 3, count);
    sqlite3_bind_int64(extend, 4, clock_realtime_us() / 1000);
    bool found;
    status = statement_step(log, extend, "append to", &found, err);
    if (status != STATUS_OK) {
        return status;
    }
    if (!found) {
        return partition_missing(log, topic, partition, err);
    }
    int64_t next_offset = sqlite3_column_int64(extend, 1);
    *out = (struct place){.number = sqlite3_column_int64(extend, 0),
                          .base_offset = next_offset - count,
                          .timestamp_ms = sqlite3_column_int64(extend, 2)};
    sqlite3_reset(extend);
    if (out->base_offset < 0 || next_offset > PARTITION_OFFSETS_MAX) {
        return error_set(err, STATUS_FATAL, "log.partition_full",
                         "topic %s, partition %u of %s has no offsets left: 2^40 is the end.",
                         topic->name, partition, log->path);
    }
    return STATUS_OK;
}

/* Stamps the batch, and writes it. */
static enum status append_batch(struct locallog *log, const struct locallog_topic *topic,
                                uint32_t partition, struct buffer *batch, int64_t *out_base_offset,
                                struct error *err)
{
    check(log->in_transaction);
    uint32_t count = record_batch_count(batch->data, batch->size);
    struct place place = {0};
    sqlite3_stmt *insert;
    enum status status = extend(log, topic, partition, count, &place, err);
    if (status == STATUS_OK) {
        status = statement_get(log, STATEMENT_BATCH_INSERT, &insert, err);
    }
    if (status != STATUS_OK) {
        return status;
    }
    struct record_batch_stamp stamp = unknown_stamp;
    stamp.base_offset = place.base_offset;
    stamp.timestamp_ms = place.timestamp_ms;
    record_batch_restamp(batch->data, batch->size, &stamp);
    sqlite3_bind_int64(insert, 1, position_of(place.number, place.base_offset));
    sqlite3_bind_int64(insert, 2, topic->topic);
    sqlite3_bind_int64(insert, 3, partition);
    sqlite3_bind_int64(insert, 4, place.base_offset);
    sqlite3_bind_int64(insert, 5, count);
    sqlite3_bind_int64(insert, 6, place.timestamp_ms);
    sqlite3_bind_blob64(insert, 7, batch->data, batch->size, SQLITE_STATIC);
    status = statement_run(log, insert, "append to", err);
    if (status == STATUS_OK && out_base_offset != NULL) {
        *out_base_offset = place.base_offset;
    }
    return status;
}

/* When nothing but the same transaction again can help, it is gone at once. */
static enum status append_finish(struct locallog *log, enum status status)
{
    if (status != STATUS_OK) {
        locallog_rollback(log);
    }
    return status;
}

/* Memory that one large row needed is not kept. */
static void scratch_begin(struct locallog *log)
{
    if (log->scratch.capacity > 8 * LOCALLOG_ROW_BYTES) {
        buffer_fini(&log->scratch);
    }
    buffer_clear(&log->scratch);
}

enum status locallog_append(struct locallog *log, const struct locallog_topic *topic,
                            uint32_t partition, const struct record_batch_builder *builder,
                            int64_t *out_base_offset, struct error *err)
{
    if (builder->records.size > ROW_RECORDS_MAX_BYTES) {
        return error_set(err, STATUS_CONFIG, "log.row_too_large",
                         "a row of topic %s would have %zu bytes; %zu is the most.", topic->name,
                         builder->records.size, ROW_RECORDS_MAX_BYTES);
    }
    scratch_begin(log);
    locallog_compress(builder, &log->scratch);
    return append_finish(
        log, append_batch(log, topic, partition, &log->scratch, out_base_offset, err));
}

enum status locallog_append_finished(struct locallog *log, const struct locallog_topic *topic,
                                     uint32_t partition, struct buffer *record_batch,
                                     int64_t *out_base_offset, struct error *err)
{
    return append_finish(
        log, append_batch(log, topic, partition, record_batch, out_base_offset, err));
}
