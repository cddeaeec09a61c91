/*
 * Retention: what a topic keeps, and the deleting of what it does not.
 *
 * The table weir_retention is made when a topic first gets a limit; a log without it keeps
 * everything. Whole rows go, from the front of a partition: those whose newest record is older than
 * the age, and the oldest ones of the topic while its rows have more bytes than they may; for its
 * size alone the newest row of a partition never goes. How far groups have come is not asked: the
 * limits are the operator's word, as in Kafka.
 *
 * A SLICE is one transaction that ends after SLICE_US, so that a writer waits no longer than that.
 * What it deletes was chosen before it, without a lock: a row that is no longer there (another
 * process trims too) ends the slice, and the next one looks anew.
 *
 * Bytes are counted once and kept up to date by looking at what is new at the end of a partition.
 * Where its first offset is not the one that was left (somebody else has deleted) it is counted
 * anew.
 */
#include "locallog/keeper.h"

#include "os/clock.h"

enum {
    LOOK_EVERY_US = 1000000, /* when nothing was to be deleted */
    COUNT_ROWS_MAX = 2000,   /* looked at in one step */
    SLICE_ROWS_MAX = 4096,
};

static const char table[] =
    "CREATE TABLE IF NOT EXISTS weir_retention (topic INTEGER PRIMARY KEY,"
    " age_us INTEGER NOT NULL, bytes INTEGER NOT NULL) STRICT";

static enum status has_table(struct locallog *log, bool *out, struct error *err)
{
    int64_t count = 0;
    enum status status = sql_integer(
        log, "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'weir_retention'",
        0, &count, err);
    *out = count > 0;
    return status;
}

/* --- the limits of a topic --- */

enum status locallog_retention_read(struct locallog *log, const struct locallog_topic *topic,
                                    struct locallog_retention *out, struct error *err)
{
    bool found = false;
    sqlite3_stmt *read;
    struct locallog_retention retention = {0};
    enum status status = has_table(log, &found, err);
    if (status == STATUS_OK && found) {
        status = statement_get(log, STATEMENT_RETENTION_READ, &read, err);
        if (status == STATUS_OK) {
            sqlite3_bind_int64(read, 1, topic->topic);
            status = statement_step(log, read, "read the retention of a topic in", &found, err);
        }
        if (status == STATUS_OK && found) {
            retention.age_us = sqlite3_column_int64(read, 0);
            retention.bytes = sqlite3_column_int64(read, 1);
            sqlite3_reset(read);
        }
    }
    if (status == STATUS_OK) {
        *out = retention;
    }
    return status;
}

static enum status write_retention(struct locallog *log, int64_t topic,
                                   const struct locallog_retention *retention, struct error *err)
{
    static const char doing[] = "set the retention of a topic in";
    sqlite3_stmt *write;
    enum status status = sql_run(log, table, doing, err);
    if (status == STATUS_OK) {
        status = statement_get(log, STATEMENT_RETENTION_WRITE, &write, err);
    }
    if (status == STATUS_OK) {
        sqlite3_bind_int64(write, 1, topic);
        sqlite3_bind_int64(write, 2, retention->age_us);
        sqlite3_bind_int64(write, 3, retention->bytes);
        status = statement_run(log, write, doing, err);
    }
    return status;
}

enum status locallog_retention_write(struct locallog *log, const struct locallog_topic *topic,
                                     const struct locallog_retention *retention, struct error *err)
{
    check(retention->age_us >= 0 && retention->bytes >= 0);
    bool own = !log->in_transaction;
    enum status status = own ? locallog_begin(log, err) : STATUS_OK;
    if (status != STATUS_OK) {
        return status;
    }
    status = write_retention(log, topic->topic, retention, err);
    if (status == STATUS_OK && own) {
        status = locallog_commit(log, err);
    }
    if (status != STATUS_OK && own) {
        locallog_rollback(log);
    }
    return status;
}

enum status retention_forget(struct locallog *log, int64_t topic, struct error *err)
{
    bool found = false;
    sqlite3_stmt *forget;
    enum status status = has_table(log, &found, err);
    if (status != STATUS_OK || !found) {
        return status;
    }
    status = statement_get(log, STATEMENT_RETENTION_DELETE, &forget, err);
    if (status == STATUS_OK) {
        sqlite3_bind_int64(forget, 1, topic);
        status = statement_run(log, forget, "delete a topic from", err);
    }
    return status;
}

/* --- what is known of the topics with limits --- */

struct retention_partition {
    int64_t topic; /* its number; partitions of a topic stand together */
    int64_t age_us;
    int64_t limit_bytes;
    int64_t number;
    int64_t first_offset; /* as it was when this was last looked at */
    int64_t next_offset;
    int64_t counted_offset; /* rows before it are in `bytes` */
    int64_t bytes;
    /* The row in front; count 0: there is none. */
    int64_t front_count;
    int64_t front_bytes;
    int64_t front_ms;
};

struct retention {
    struct retention_partition *partitions;
    uint32_t count;
    int64_t look_us; /* not before */
};

struct retention *retention_new(void)
{
    return memory_alloc_zero(1, sizeof(struct retention));
}

void retention_free(struct retention *retention)
{
    memory_free(retention->partitions);
    memory_free(retention);
}

void retention_adjust(struct retention *retention, int64_t number, int64_t base_offset,
                      int64_t end_offset, int64_t bytes)
{
    for (uint32_t i = 0; i < retention->count; i++) {
        struct retention_partition *partition = &retention->partitions[i];
        if (partition->number != number) {
            continue;
        }
        if (end_offset <= partition->counted_offset) {
            partition->bytes += bytes;
        } else if (base_offset < partition->counted_offset) {
            partition->counted_offset = partition->first_offset;
            partition->bytes = 0;
        }
    }
}

/* What was counted of a partition before, where that still holds. */
static void carry_count(const struct retention *before, struct retention_partition *partition)
{
    partition->counted_offset = partition->first_offset;
    for (uint32_t i = 0; i < before->count; i++) {
        const struct retention_partition *old = &before->partitions[i];
        if (old->number == partition->number && old->first_offset == partition->first_offset) {
            partition->counted_offset = old->counted_offset;
            partition->bytes = old->bytes;
        }
    }
}

static enum status list_partitions(struct locallog *log, struct retention *retention,
                                   struct error *err)
{
    struct retention found = {0};
    sqlite3_stmt *list;
    bool row = false;
    enum status status = statement_get(log, STATEMENT_RETENTION_LIST, &list, err);
    while (status == STATUS_OK &&
           (status = statement_step(log, list, "list the topics of", &row, err)) == STATUS_OK &&
           row) {
        found.partitions = memory_realloc(
            found.partitions, size_mul(found.count + 1, sizeof *found.partitions));
        struct retention_partition *partition = &found.partitions[found.count++];
        *partition = (struct retention_partition){
            .topic = sqlite3_column_int64(list, 0),
            .age_us = sqlite3_column_int64(list, 1),
            .limit_bytes = sqlite3_column_int64(list, 2),
            .number = sqlite3_column_int64(list, 3),
            .first_offset = sqlite3_column_int64(list, 4),
            .next_offset = sqlite3_column_int64(list, 5),
        };
        carry_count(retention, partition);
    }
    memory_free(retention->partitions);
    retention->partitions = found.partitions;
    retention->count = found.count;
    return status;
}

/* Adds the rows that came since; *out_more when there are so many that the next step goes on. */
static enum status count_bytes(struct locallog *log, struct retention_partition *partition,
                               bool *out_more, struct error *err)
{
    sqlite3_stmt *rows;
    bool row = false;
    uint32_t looked_at = 0;
    if (partition->limit_bytes == 0 || partition->counted_offset >= partition->next_offset) {
        return STATUS_OK;
    }
    enum status status = statement_get(log, STATEMENT_BATCH_SIZES, &rows, err);
    if (status != STATUS_OK) {
        return status;
    }
    sqlite3_bind_int64(rows, 1, position_of(partition->number, partition->counted_offset));
    sqlite3_bind_int64(rows, 2, position_of(partition->number, partition->next_offset));
    while (looked_at < COUNT_ROWS_MAX &&
           (status = statement_step(log, rows, "read the sizes of", &row, err)) == STATUS_OK &&
           row) {
        partition->counted_offset =
            sqlite3_column_int64(rows, 0) + sqlite3_column_int64(rows, 1);
        partition->bytes += sqlite3_column_int64(rows, 3);
        looked_at++;
    }
    *out_more |= status == STATUS_OK && row;
    sqlite3_reset(rows);
    return status;
}

static enum status find_front(struct locallog *log, struct retention_partition *partition,
                              struct error *err)
{
    sqlite3_stmt *rows;
    bool row = false;
    partition->front_count = 0;
    if (partition->first_offset >= partition->next_offset) {
        return STATUS_OK;
    }
    enum status status = statement_get(log, STATEMENT_BATCH_SIZES, &rows, err);
    if (status != STATUS_OK) {
        return status;
    }
    sqlite3_bind_int64(rows, 1, position_of(partition->number, partition->first_offset));
    sqlite3_bind_int64(rows, 2, position_of(partition->number, partition->next_offset));
    status = statement_step(log, rows, "read the sizes of", &row, err);
    /* Where the row in front is missing, nothing is deleted: whoever reads meets the damage. */
    if (status == STATUS_OK && row && sqlite3_column_int64(rows, 0) == partition->first_offset) {
        partition->front_count = sqlite3_column_int64(rows, 1);
        partition->front_ms = sqlite3_column_int64(rows, 2);
        partition->front_bytes = sqlite3_column_int64(rows, 3);
    }
    sqlite3_reset(rows);
    return status;
}

/* --- choosing --- */

static bool is_over(const struct retention *retention, int64_t topic)
{
    int64_t bytes = 0;
    int64_t limit = 0;
    for (uint32_t i = 0; i < retention->count; i++) {
        if (retention->partitions[i].topic == topic) {
            bytes += retention->partitions[i].bytes;
            limit = retention->partitions[i].limit_bytes;
        }
    }
    return limit > 0 && bytes > limit;
}

static bool is_expired(const struct retention_partition *partition, int64_t now_ms)
{
    return partition->age_us > 0 && partition->front_ms < now_ms - partition->age_us / 1000;
}

/* The newest row of a partition stays whatever its size, as Kafka's active segment does: nobody could
 * have read it yet. */
static bool is_newest(const struct retention_partition *partition)
{
    return partition->first_offset + partition->front_count >= partition->next_offset;
}

/* The oldest row in front of any partition that has to go; NULL when none has. */
static struct retention_partition *choose(const struct retention *retention, int64_t now_ms)
{
    struct retention_partition *oldest = NULL;
    int64_t asked = -1;
    bool over = false;
    for (uint32_t i = 0; i < retention->count; i++) {
        struct retention_partition *partition = &retention->partitions[i];
        if (partition->topic != asked) {
            asked = partition->topic;
            over = is_over(retention, asked);
        }
        if (partition->front_count > 0 && ((over && !is_newest(partition)) || is_expired(partition, now_ms)) &&
            (oldest == NULL || partition->front_ms < oldest->front_ms)) {
            oldest = partition;
        }
    }
    return oldest;
}

/* --- deleting --- */

/* The row in front of a partition, in a transaction: the partition begins behind it then.
 * *out_deleted false: there is no such row. */
static enum status delete_row(struct locallog *log, int64_t number, int64_t base_offset,
                              int64_t count, bool *out_deleted, struct error *err)
{
    static const char doing[] = "delete old records of";
    sqlite3_stmt *delete;
    enum status status = statement_get(log, STATEMENT_BATCH_DELETE, &delete, err);
    if (status != STATUS_OK) {
        return status;
    }
    sqlite3_bind_int64(delete, 1, position_of(number, base_offset));
    sqlite3_bind_int64(delete, 2, count);
    status = statement_run(log, delete, doing, err);
    *out_deleted = status == STATUS_OK && sqlite3_changes(log->db) == 1;
    if (status != STATUS_OK || !*out_deleted) {
        return status;
    }
    status = statement_get(log, STATEMENT_PARTITION_FIRST, &delete, err);
    if (status == STATUS_OK) {
        sqlite3_bind_int64(delete, 1, number);
        sqlite3_bind_int64(delete, 2, base_offset + count);
        status = statement_run(log, delete, doing, err);
    }
    return status;
}

/* Rows one after the other, the oldest first, for as long as a slice may take. */
static enum status delete_rows(struct locallog *log, struct retention *retention, int64_t now_ms,
                               struct locallog_trimmed *trimmed, struct error *err)
{
    int64_t end_us = clock_monotonic_us() + SLICE_US;
    struct retention_partition *partition;
    for (uint32_t rows = 0; rows < SLICE_ROWS_MAX && clock_monotonic_us() < end_us &&
                            (partition = choose(retention, now_ms)) != NULL;
         rows++) {
        bool deleted = false;
        enum status status = delete_row(log, partition->number, partition->first_offset,
                                        partition->front_count, &deleted, err);
        if (status != STATUS_OK || !deleted) {
            return status;
        }
        trimmed->rows++;
        trimmed->records += (uint64_t)partition->front_count;
        trimmed->bytes += (uint64_t)partition->front_bytes;
        partition->first_offset += partition->front_count;
        if (partition->counted_offset < partition->first_offset) {
            partition->counted_offset = partition->first_offset;
        } else {
            partition->bytes -= partition->front_bytes;
        }
        status = find_front(log, partition, err);
        if (status != STATUS_OK) {
            return status;
        }
    }
    return STATUS_OK;
}

/* Rows from the front of a partition for as long as a slice may take. In a transaction. */
static enum status delete_front(struct locallog *log, struct retention_partition *partition,
                                bool *out_more, struct error *err)
{
    int64_t end_us = clock_monotonic_us() + SLICE_US;
    bool deleted = true;
    enum status status = find_front(log, partition, err);
    while (status == STATUS_OK && partition->front_count > 0 && deleted &&
           clock_monotonic_us() < end_us) {
        status = delete_row(log, partition->number, partition->first_offset,
                            partition->front_count, &deleted, err);
        if (status == STATUS_OK) {
            partition->first_offset += partition->front_count;
            status = find_front(log, partition, err);
        }
    }
    *out_more = status == STATUS_OK && deleted && partition->front_count > 0;
    return status;
}

enum status locallog_delete_before(struct locallog *log, const struct locallog_topic *topic,
                                   uint32_t partition, int64_t offset, struct error *err)
{
    check(log->in_transaction);
    struct retention_partition front = {0};
    bool deleted = true;
    enum status status = partition_find(log, topic, partition, &front.number, &front.first_offset,
                                        &front.next_offset, err);
    if (status == STATUS_OK) {
        status = find_front(log, &front, err);
    }
    while (status == STATUS_OK && deleted && front.front_count > 0 &&
           front.first_offset + front.front_count <= offset) {
        status = delete_row(log, front.number, front.first_offset, front.front_count, &deleted, err);
        if (status == STATUS_OK) {
            front.first_offset += front.front_count;
            status = find_front(log, &front, err);
        }
    }
    return status;
}

enum status partition_empty_slice(struct locallog *log, const struct locallog_topic *topic,
                                  uint32_t partition, bool *out_more, struct error *err)
{
    struct retention_partition front = {0};
    enum status status = locallog_begin(log, err);
    if (status == STATUS_OK) {
        status = partition_find(log, topic, partition, &front.number, &front.first_offset,
                                &front.next_offset, err);
    }
    if (status == STATUS_OK) {
        status = delete_front(log, &front, out_more, err);
    }
    if (status == STATUS_OK) {
        status = locallog_commit(log, err);
    }
    if (status != STATUS_OK) {
        locallog_rollback(log);
    }
    return status;
}

static enum status look(struct locallog *log, struct retention *retention, bool *out_more,
                        struct error *err)
{
    bool found = false;
    enum status status = has_table(log, &found, err);
    if (status == STATUS_OK && found) {
        status = list_partitions(log, retention, err);
    }
    for (uint32_t i = 0; i < retention->count && found && status == STATUS_OK; i++) {
        status = count_bytes(log, &retention->partitions[i], out_more, err);
        if (status == STATUS_OK) {
            status = find_front(log, &retention->partitions[i], err);
        }
    }
    return status;
}

enum status retention_slice(struct locallog *log, struct retention *retention,
                            struct locallog_trimmed *trimmed, bool *out_more, struct error *err)
{
    int64_t now_ms = clock_realtime_us() / 1000;
    *out_more = false;
    if (clock_monotonic_us() < retention->look_us) {
        return STATUS_OK;
    }
    enum status status = look(log, retention, out_more, err);
    if (status != STATUS_OK || choose(retention, now_ms) == NULL) {
        retention->look_us = *out_more ? 0 : clock_monotonic_us() + LOOK_EVERY_US;
        return status;
    }
    struct locallog_trimmed deleted = {0};
    status = locallog_begin(log, err);
    if (status == STATUS_OK) {
        status = delete_rows(log, retention, now_ms, &deleted, err);
        if (status == STATUS_OK) {
            status = locallog_commit(log, err);
        }
    }
    if (status != STATUS_OK) {
        locallog_rollback(log);
        retention->count = 0; /* What was taken off is there again: it is counted anew. */
        return status;
    }
    trimmed->rows += deleted.rows;
    trimmed->records += deleted.records;
    trimmed->bytes += deleted.bytes;
    *out_more |= deleted.rows > 0 && choose(retention, now_ms) != NULL;
    return STATUS_OK;
}
