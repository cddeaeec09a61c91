/*
 * Merging: many small rows of a partition become one that is as large as a row should be.
 *
 * A RUN is a sequence of small rows, one after the other. It is merged once it has enough records
 * or bytes for a whole row, or once a large row stands behind it: so every record is written once
 * more, whatever the pace at which they come, and no more than one row's worth of small rows stays
 * at the end of a partition.
 *
 * The merged row is put together beside the writers, without a lock, and takes the place of the
 * small ones in one transaction, if they are all still there. Offsets, keys, values, headers and
 * times stay what they were: each record keeps the time of its append.
 * What is damaged, or was not made by a log, is left as it is; whoever reads it says so.
 *
 * How far a partition is merged stands in weir_merge, a table that is made with the first merge, so
 * that a new process does not begin at the first row again.
 */
#include "locallog/keeper.h"

enum {
    SCAN_ROWS_MAX = 2000, /* looked at in one step */
    RUN_ROWS_MIN = 4,     /* to gain something */
    SMALL_RECORDS = LOCALLOG_ROW_RECORDS / 2,
    SMALL_BYTES = LOCALLOG_ROW_BYTES / 2,
};

static const char table[] = "CREATE TABLE IF NOT EXISTS weir_merge (number INTEGER PRIMARY KEY,"
                            " next_offset INTEGER NOT NULL) STRICT";

static enum status has_table(struct locallog *log, bool *out, struct error *err)
{
    int64_t count = 0;
    enum status status = sql_integer(
        log, "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'weir_merge'", 0,
        &count, err);
    *out = count > 0;
    return status;
}

/* The run at the end of what was looked at, in one partition. */
struct run {
    int64_t topic;
    int64_t partition;
    int64_t number;
    int64_t first_offset;  /* of the run */
    int64_t end_offset;    /* behind its last row */
    int64_t next_offset;   /* of the partition */
    uint32_t rows;
    int64_t records;
    int64_t bytes; /* as stored */
    bool is_closed;
};

struct merger {
    struct run *runs; /* by number */
    uint32_t count;
    int64_t seen_version; /* of the file, when there was nothing to do */
    struct arena *arena;
    struct record_batch_builder builder;
    struct buffer row;
};

struct merger *merger_new(void)
{
    struct merger *merger = memory_alloc_zero(1, sizeof *merger);
    merger->arena = arena_new(LOCALLOG_ROW_BYTES);
    merger->seen_version = -1;
    return merger;
}

void merger_free(struct merger *merger)
{
    if (merger == NULL) {
        return;
    }
    record_batch_fini(&merger->builder);
    buffer_fini(&merger->row);
    arena_free(merger->arena);
    memory_free(merger->runs);
    memory_free(merger);
}

static void run_begin(struct run *run, int64_t offset)
{
    run->first_offset = run->end_offset = offset;
    run->rows = 0;
    run->records = run->bytes = 0;
    run->is_closed = false;
}

/* --- the partitions --- */

static enum status read_progress(struct locallog *log, int64_t number, int64_t *out_offset,
                                 struct error *err)
{
    sqlite3_stmt *read;
    bool found = false;
    *out_offset = 0;
    enum status status = has_table(log, &found, err);
    if (status != STATUS_OK || !found) {
        return status;
    }
    status = statement_get(log, STATEMENT_MERGE_READ, &read, err);
    if (status == STATUS_OK) {
        sqlite3_bind_int64(read, 1, number);
        status = statement_step(log, read, "read the merges of", &found, err);
    }
    if (status == STATUS_OK && found) {
        *out_offset = sqlite3_column_int64(read, 0);
        sqlite3_reset(read);
    }
    return status;
}

/* The run of a partition as it was left; one that is new begins where its merges have come to. */
static enum status take_run(struct locallog *log, const struct merger *merger, struct run *run,
                            int64_t first_offset, struct error *err)
{
    enum status status = STATUS_OK;
    const struct run *old = NULL;
    for (uint32_t i = 0; i < merger->count && old == NULL; i++) {
        old = merger->runs[i].number == run->number ? &merger->runs[i] : NULL;
    }
    if (old != NULL) {
        int64_t next_offset = run->next_offset;
        *run = *old;
        run->next_offset = next_offset;
    } else {
        int64_t offset = 0;
        status = read_progress(log, run->number, &offset, err);
        run_begin(run, offset);
    }
    if (run->first_offset < first_offset) {
        run_begin(run, first_offset);
    }
    return status;
}

static enum status list_runs(struct locallog *log, struct merger *merger, struct error *err)
{
    struct run *runs = NULL;
    uint32_t count = 0;
    sqlite3_stmt *list;
    bool row = false;
    enum status status = statement_get(log, STATEMENT_PARTITION_LIST, &list, err);
    while (status == STATUS_OK &&
           (status = statement_step(log, list, "list the topics of", &row, err)) == STATUS_OK &&
           row) {
        runs = memory_realloc(runs, size_mul(count + 1, sizeof *runs));
        struct run *run = &runs[count++];
        *run = (struct run){.number = sqlite3_column_int64(list, 0),
                            .topic = sqlite3_column_int64(list, 1),
                            .partition = sqlite3_column_int64(list, 2),
                            .next_offset = sqlite3_column_int64(list, 4)};
        status = take_run(log, merger, run, sqlite3_column_int64(list, 3), err);
    }
    if (status != STATUS_OK) {
        memory_free(runs);
        return status;
    }
    memory_free(merger->runs);
    merger->runs = runs;
    merger->count = count;
    return STATUS_OK;
}

/* --- looking for runs --- */

/* Takes one more row into the run, or closes it before the row. */
static void extend_run(struct run *run, int64_t base, int64_t count, int64_t bytes)
{
    bool is_small = count <= SMALL_RECORDS && bytes <= SMALL_BYTES;
    bool fits = run->records + count <= (int64_t)LOCALLOG_ROW_RECORDS &&
                run->bytes + bytes <= (int64_t)LOCALLOG_ROW_BYTES;
    if (is_small && fits && base == run->end_offset) {
        run->rows++;
        run->records += count;
        run->bytes += bytes;
        run->end_offset = base + count;
    } else if (run->rows >= RUN_ROWS_MIN) {
        run->is_closed = true;
    } else {
        run_begin(run, is_small ? base : base + count);
        if (is_small) {
            extend_run(run, base, count, bytes);
        }
    }
}

static enum status scan(struct locallog *log, struct run *run, bool *out_more, struct error *err)
{
    sqlite3_stmt *rows;
    bool row = false;
    uint32_t looked_at = 0;
    if (run->is_closed || run->end_offset >= run->next_offset) {
        return STATUS_OK;
    }
    enum status status = statement_get(log, STATEMENT_BATCH_SIZES, &rows, err);
    if (status != STATUS_OK) {
        return status;
    }
    sqlite3_bind_int64(rows, 1, position_of(run->number, run->end_offset));
    sqlite3_bind_int64(rows, 2, position_of(run->number, run->next_offset));
    while (!run->is_closed && looked_at < SCAN_ROWS_MAX &&
           (status = statement_step(log, rows, "read the sizes of", &row, err)) == STATUS_OK &&
           row) {
        extend_run(run, sqlite3_column_int64(rows, 0), sqlite3_column_int64(rows, 1),
                   sqlite3_column_int64(rows, 3));
        looked_at++;
    }
    *out_more |= status == STATUS_OK && row;
    sqlite3_reset(rows);
    return status;
}

/* --- putting a row together --- */

/* What the small rows were, as far as they go into the merged one. */
struct merged {
    int64_t first_offset;
    int64_t end_offset;
    uint32_t rows;
    int64_t bytes;
    int64_t first_ms;
    int64_t last_ms;
};

/* False when the row is to be left alone: it is damaged, or not of this log's making. */
static bool open_small(struct merger *merger, sqlite3_stmt *rows, int64_t base,
                       struct record_batch_reader *out)
{
    struct error unused = {0};
    const void *data = sqlite3_column_blob(rows, 2);
    struct bytes bytes = bytes_of(data, (size_t)sqlite3_column_bytes(rows, 2));
    return data != NULL &&
           record_batch_open(out, merger->arena, bytes, ROW_RECORDS_MAX_BYTES, &unused) ==
               STATUS_OK &&
           out->info.stamp.base_offset == base &&
           out->info.record_count == sqlite3_column_int64(rows, 1) &&
           (out->info.stamp.log_append_time || out->info.append_times) &&
           out->info.stamp.producer_id == -1;
}

/* Adds all records of a small row. False: its records are damaged. */
static bool add_records(struct merger *merger, struct record_batch_reader *from,
                        struct merged *merged)
{
    struct record record;
    struct error unused = {0};
    bool end = false;
    while (record_batch_next(from, &record, &end, &unused) == STATUS_OK) {
        if (end) {
            return true;
        }
        int64_t time_ms = record.timestamp_us / 1000;
        if (merger->builder.count == 0) {
            merged->first_ms = time_ms;
        }
        merged->last_ms = time_ms;
        record_batch_append_at(&merger->builder, time_ms - merged->first_ms, record.key,
                               record.value, record.headers, record.header_count);
    }
    return false;
}

/* Rows of the run until they fill one; the run is left behind them. *out_whole false: there is
 * nothing to be gained, or something is in the way. */
static enum status build(struct locallog *log, struct merger *merger, const struct run *run,
                         struct merged *out, bool *out_whole, struct error *err)
{
    sqlite3_stmt *rows;
    bool row = false;
    struct merged merged = {.first_offset = run->first_offset, .end_offset = run->first_offset};
    record_batch_clear(&merger->builder);
    enum status status = statement_get(log, STATEMENT_BATCH_BYTES, &rows, err);
    if (status != STATUS_OK) {
        return status;
    }
    bool is_sound = true;
    sqlite3_bind_int64(rows, 1, position_of(run->number, run->first_offset));
    sqlite3_bind_int64(rows, 2, position_of(run->number, run->end_offset));
    while (is_sound &&
           (status = statement_step(log, rows, "read the rows of", &row, err)) == STATUS_OK &&
           row) {
        struct record_batch_reader from;
        arena_reset(merger->arena, LOCALLOG_ROW_BYTES);
        is_sound = open_small(merger, rows, merged.end_offset, &from);
        bool fits = is_sound && merger->builder.records.size + (size_t)(from.end - from.at) <=
                                    LOCALLOG_ROW_BYTES;
        if (!fits && merged.rows > 0) {
            is_sound = true;
            break;
        }
        is_sound = is_sound && add_records(merger, &from, &merged);
        merged.rows += is_sound;
        merged.bytes += is_sound ? sqlite3_column_bytes(rows, 2) : 0;
        merged.end_offset += sqlite3_column_int64(rows, 1);
    }
    sqlite3_reset(rows);
    *out_whole = status == STATUS_OK && is_sound && merged.rows > 1;
    *out = merged;
    return status;
}

/* --- putting it in --- */

static enum status delete_small(struct locallog *log, const struct run *run,
                                const struct merged *merged, bool *out_all, struct error *err)
{
    sqlite3_stmt *delete;
    enum status status = statement_get(log, STATEMENT_TOPIC_DELETE_BATCHES, &delete, err);
    if (status == STATUS_OK) {
        sqlite3_bind_int64(delete, 1, position_of(run->number, merged->first_offset));
        sqlite3_bind_int64(delete, 2, position_of(run->number, merged->end_offset - 1));
        status = statement_run(log, delete, "merge rows of", err);
    }
    *out_all = status == STATUS_OK && sqlite3_changes(log->db) == (int)merged->rows;
    return status;
}

static enum status write_progress(struct locallog *log, int64_t number, int64_t offset,
                                  struct error *err)
{
    sqlite3_stmt *write;
    enum status status = sql_run(log, table, "merge rows of", err);
    if (status == STATUS_OK) {
        status = statement_get(log, STATEMENT_MERGE_WRITE, &write, err);
    }
    if (status == STATUS_OK) {
        sqlite3_bind_int64(write, 1, number);
        sqlite3_bind_int64(write, 2, offset);
        status = statement_run(log, write, "merge rows of", err);
    }
    return status;
}

/* In a transaction. *out_all false: the small rows are no longer what they were. */
static enum status replace(struct locallog *log, struct merger *merger, const struct run *run,
                           const struct merged *merged, bool *out_all, struct error *err)
{
    sqlite3_stmt *insert;
    enum status status = delete_small(log, run, merged, out_all, err);
    if (status != STATUS_OK || !*out_all) {
        return status;
    }
    status = statement_get(log, STATEMENT_BATCH_INSERT, &insert, err);
    if (status != STATUS_OK) {
        return status;
    }
    sqlite3_bind_int64(insert, 1, position_of(run->number, merged->first_offset));
    sqlite3_bind_int64(insert, 2, run->topic);
    sqlite3_bind_int64(insert, 3, run->partition);
    sqlite3_bind_int64(insert, 4, merged->first_offset);
    sqlite3_bind_int64(insert, 5, merged->end_offset - merged->first_offset);
    sqlite3_bind_int64(insert, 6, merged->last_ms);
    sqlite3_bind_blob64(insert, 7, merger->row.data, merger->row.size, SQLITE_STATIC);
    status = statement_run(log, insert, "merge rows of", err);
    return status == STATUS_OK ? write_progress(log, run->number, merged->end_offset, err)
                               : status;
}

static enum status replace_durably(struct locallog *log, struct merger *merger,
                                   const struct run *run, const struct merged *merged,
                                   bool *out_done, struct error *err)
{
    struct record_batch_stamp stamp = {
        .base_offset = merged->first_offset,
        .timestamp_ms = merged->first_ms,
        .producer_id = -1,
        .producer_epoch = -1,
        .base_sequence = -1,
    };
    buffer_clear(&merger->row);
    record_batch_finish_merged(&merger->builder, &stamp, merged->last_ms, COMPRESSION_LZ4,
                               &merger->row);
    enum status status = locallog_begin(log, err);
    if (status != STATUS_OK) {
        return status;
    }
    status = replace(log, merger, run, merged, out_done, err);
    if (status == STATUS_OK && *out_done) {
        status = locallog_commit(log, err);
    }
    if (status != STATUS_OK || !*out_done) {
        locallog_rollback(log);
    }
    return status;
}

static enum status merge_run(struct locallog *log, struct merger *merger, struct run *run,
                             struct retention *retention, struct locallog_trimmed *trimmed,
                             struct error *err)
{
    struct merged merged;
    bool whole = false;
    bool done = false;
    enum status status = build(log, merger, run, &merged, &whole, err);
    if (status == STATUS_OK && whole) {
        status = replace_durably(log, merger, run, &merged, &done, err);
    }
    if (status != STATUS_OK) {
        return status; /* The run stays; the next step tries again. */
    }
    if (done) {
        trimmed->merged_rows += merged.rows;
        trimmed->written_rows++;
        retention_adjust(retention, run->number, merged.first_offset, merged.end_offset,
                         (int64_t)merger->row.size - merged.bytes);
    }
    /* Behind what could not be merged too: it is as good as it gets. */
    run_begin(run, merged.end_offset > run->first_offset ? merged.end_offset : run->end_offset);
    return STATUS_OK;
}

/* --- a step --- */

static enum status file_version(struct locallog *log, int64_t *out, struct error *err)
{
    sqlite3_stmt *version;
    bool row = false;
    enum status status = statement_get(log, STATEMENT_DATA_VERSION, &version, err);
    if (status == STATUS_OK) {
        status = statement_step(log, version, "look at", &row, err);
    }
    if (status == STATUS_OK && row) {
        *out = sqlite3_column_int64(version, 0);
        sqlite3_reset(version);
    }
    return status;
}

enum status merger_slice(struct locallog *log, struct merger *merger, bool thoroughly,
                         struct retention *retention, struct locallog_trimmed *trimmed,
                         bool *out_more, struct error *err)
{
    int64_t version = 0;
    *out_more = false;
    enum status status = file_version(log, &version, err);
    if (status != STATUS_OK || version == merger->seen_version) {
        return status;
    }
    status = list_runs(log, merger, err);
    for (uint32_t i = 0; i < merger->count && status == STATUS_OK; i++) {
        struct run *run = &merger->runs[i];
        status = scan(log, run, out_more, err);
        run->is_closed |= thoroughly && run->end_offset >= run->next_offset &&
                          run->rows >= RUN_ROWS_MIN;
    }
    for (uint32_t i = 0; i < merger->count && status == STATUS_OK; i++) {
        if (merger->runs[i].is_closed) {
            status = merge_run(log, merger, &merger->runs[i], retention, trimmed, err);
            *out_more = true;
            break;
        }
    }
    if (status == STATUS_OK && !*out_more) {
        merger->seen_version = version;
    }
    return status;
}
