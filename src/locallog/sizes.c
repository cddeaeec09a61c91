/* What a partition holds, from the heads of its rows alone. */
#include "locallog/private.h"

enum { ROWS_AT_ONCE = 500 };

/* Looks into the first bytes of a row; what is no batch counts as its stored bytes. */
static enum status peek(struct locallog *log, sqlite3_blob **blob, int64_t position,
                        struct locallog_sizes *sizes, struct error *err)
{
    int result = *blob == NULL ? sqlite3_blob_open(log->db, "main", "weir_batch", "bytes", position,
                                                   0, blob)
                               : sqlite3_blob_reopen(*blob, position);
    if (result != SQLITE_OK) {
        return locallog_error(log, result, "read the sizes of", err);
    }
    uint8_t head[RECORD_BATCH_PEEK_BYTES];
    int size = sqlite3_blob_bytes(*blob);
    int wanted = size < (int)sizeof head ? size : (int)sizeof head;
    result = sqlite3_blob_read(*blob, head, wanted, 0);
    if (result != SQLITE_OK) {
        return locallog_error(log, result, "read the sizes of", err);
    }
    struct record_batch_info info = {0};
    uint64_t records_bytes = 0;
    if (!record_batch_peek(bytes_of(head, (size_t)wanted), (size_t)size, &info, &records_bytes)) {
        records_bytes = (uint64_t)size;
    } else {
        sizes->oldest_ms = sizes->rows == 0 ? info.stamp.timestamp_ms : sizes->oldest_ms;
        sizes->newest_ms = info.max_timestamp_ms;
    }
    sizes->rows++;
    sizes->bytes += (uint64_t)size;
    sizes->uncompressed_bytes += records_bytes;
    return STATUS_OK;
}

/* Some rows from *offset on, in one read; *offset is then behind them, *out_end at the last. */
static enum status read_some(struct locallog *log, int64_t number, int64_t *offset,
                             struct locallog_sizes *sizes, bool *out_end, struct error *err)
{
    sqlite3_stmt *rows;
    sqlite3_blob *blob = NULL;
    bool row = false;
    enum status status = statement_get(log, STATEMENT_BATCH_SIZES, &rows, err);
    if (status != STATUS_OK) {
        return status;
    }
    sqlite3_bind_int64(rows, 1, position_of(number, *offset));
    sqlite3_bind_int64(rows, 2, position_of(number, sizes->next_offset));
    for (int i = 0; i < ROWS_AT_ONCE && status == STATUS_OK; i++) {
        status = statement_step(log, rows, "read the sizes of", &row, err);
        if (status != STATUS_OK || !row) {
            break;
        }
        int64_t base = sqlite3_column_int64(rows, 0);
        *offset = base + sqlite3_column_int64(rows, 1);
        status = peek(log, &blob, position_of(number, base), sizes, err);
    }
    *out_end = !row;
    sqlite3_blob_close(blob);
    sqlite3_reset(rows);
    return status;
}

enum status locallog_sizes(struct locallog *log, const struct locallog_topic *topic,
                           uint32_t partition, struct locallog_sizes *out, struct error *err)
{
    struct locallog_sizes sizes = {.oldest_ms = -1, .newest_ms = -1};
    int64_t number = 0;
    bool end = false;
    enum status status = partition_find(log, topic, partition, &number, &sizes.first_offset,
                                        &sizes.next_offset, err);
    int64_t offset = status == STATUS_OK ? sizes.first_offset : 0;
    while (status == STATUS_OK && !end) {
        status = read_some(log, number, &offset, &sizes, &end, err);
    }
    if (status == STATUS_OK) {
        *out = sizes;
    }
    return status;
}
