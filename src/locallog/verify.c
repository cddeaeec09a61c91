/*
 * Verifying a whole log: SQLite's check of its pages and indexes, then every row of every
 * partition: its columns, checksum, records, and that it joins on to the one before. Unlike a
 * reader, which stops at the first damage, this names all of them.
 */
#include "locallog/private.h"

#include <string.h>

#include "os/clock.h"
#include "os/thread.h"

enum { READ_US = 40000 };

struct verifier {
    struct locallog *log;
    void (*problem)(void *context, const char *topic, uint32_t partition, int64_t offset,
                    const char *what);
    void *context;
    struct locallog_verified found;
    struct arena *arena;
};

/* One partition on the way. */
struct walk {
    const struct locallog_topic *topic;
    uint32_t partition;
    int64_t number;
    int64_t from;        /* rows from there on are still to be read */
    int64_t offset;      /* where the next row should begin */
    int64_t next_offset; /* of the partition */
};

static void tell(struct verifier *verifier, const struct walk *walk, int64_t offset,
                 const char *what)
{
    verifier->found.problems++;
    if (walk == NULL) {
        verifier->problem(verifier->context, "", 0, 0, what);
    } else {
        verifier->problem(verifier->context, walk->topic->name, walk->partition, offset, what);
    }
}

/* --- the file --- */

static enum status check_file(struct verifier *verifier, struct error *err)
{
    sqlite3_stmt *check = NULL;
    struct locallog *log = verifier->log;
    int result = sqlite3_prepare_v2(log->db, "PRAGMA integrity_check", -1, &check, NULL);
    while (result == SQLITE_OK || result == SQLITE_ROW) {
        result = sqlite3_step(check);
        const char *said =
            result == SQLITE_ROW ? (const char *)sqlite3_column_text(check, 0) : NULL;
        if (said != NULL && strcmp(said, "ok") != 0) {
            tell(verifier, NULL, 0, said);
        }
    }
    enum status status = STATUS_OK;
    if ((result & 0xFF) == SQLITE_CORRUPT) {
        tell(verifier, NULL, 0, sqlite3_errmsg(log->db));
    } else if (result != SQLITE_DONE) {
        status = locallog_error(log, result, "check", err);
    }
    sqlite3_finalize(check);
    return status;
}

/* --- rows --- */

static const char *records_problem(struct verifier *verifier, struct bytes bytes, int64_t base,
                                   int64_t count, struct error *detail)
{
    struct record_batch_reader from;
    struct record record;
    bool end = false;
    arena_reset(verifier->arena, 2 * LOCALLOG_ROW_BYTES);
    enum status status =
        record_batch_open(&from, verifier->arena, bytes, ROW_RECORDS_MAX_BYTES, detail);
    if (status == STATUS_OK &&
        (from.info.record_count != count || from.info.stamp.base_offset != base)) {
        return "its batch and its row say different offsets or counts";
    }
    while (status == STATUS_OK && !end) {
        status = record_batch_next(&from, &record, &end, detail);
    }
    return status == STATUS_OK ? NULL : detail->message;
}

/* Columns: position, topic, partition, base_offset, count, bytes. */
static void check_row(struct verifier *verifier, struct walk *walk, sqlite3_stmt *row)
{
    int64_t base = sqlite3_column_int64(row, 3);
    int64_t count = sqlite3_column_int64(row, 4);
    const void *data = sqlite3_column_blob(row, 5);
    struct bytes bytes = bytes_of(data, (size_t)sqlite3_column_bytes(row, 5));
    struct error detail = {0};
    const char *problem = NULL;
    if (sqlite3_column_int64(row, 0) != position_of(walk->number, base) ||
        sqlite3_column_int64(row, 1) != walk->topic->topic ||
        sqlite3_column_int64(row, 2) != walk->partition) {
        problem = "its row stands under the key of another one";
    } else if (count < 1 || base < 0 || count > walk->next_offset - base) {
        problem = "its row has more records than the partition, or none";
    } else if (data == NULL) {
        problem = "its row has no bytes";
    } else {
        if (base != walk->offset) {
            tell(verifier, walk, base < walk->offset ? base : walk->offset,
                 base < walk->offset ? "it is there twice" : "its row is missing");
        }
        problem = records_problem(verifier, bytes, base, count, &detail);
    }
    if (problem != NULL) {
        tell(verifier, walk, walk->offset, problem);
    }
    verifier->found.rows++;
    verifier->found.records += count > 0 ? (uint64_t)count : 0;
    int64_t key_base = sqlite3_column_int64(row, 0) & (PARTITION_OFFSETS_MAX - 1);
    walk->offset = key_base + (count < 1 ? 1 : count);
}

/* The rows from walk->from on, in the snapshot in which the partition's bounds were read. */
static enum status read_rows(struct verifier *verifier, struct walk *walk, bool *out_end,
                             struct error *err)
{
    sqlite3_stmt *rows;
    int64_t end_us = clock_monotonic_us() + READ_US;
    enum status status = statement_get(verifier->log, STATEMENT_BATCH_ALL, &rows, err);
    if (status != STATUS_OK) {
        return status;
    }
    sqlite3_bind_int64(rows, 1, position_of(walk->number, walk->from));
    sqlite3_bind_int64(rows, 2, position_of(walk->number + 1, 0));
    int result = SQLITE_ROW;
    while (result == SQLITE_ROW && clock_monotonic_us() < end_us) {
        result = sqlite3_step(rows);
        if (result == SQLITE_ROW) {
            check_row(verifier, walk, rows);
            walk->from = (sqlite3_column_int64(rows, 0) & (PARTITION_OFFSETS_MAX - 1)) + 1;
        }
    }
    *out_end = result != SQLITE_ROW;
    if ((result & 0xFF) == SQLITE_CORRUPT) {
        tell(verifier, walk, walk->offset, "SQLite cannot read on from there");
        walk->offset = walk->next_offset; /* nothing is known of what follows */
    } else if (result != SQLITE_ROW && result != SQLITE_DONE) {
        status = locallog_error(verifier->log, result, "read", err);
    }
    sqlite3_reset(rows);
    if (status == STATUS_OK && *out_end && walk->offset != walk->next_offset) {
        tell(verifier, walk, walk->offset, "the rows from there on are missing");
    }
    return status;
}

/* Rows for as long as a read may take. Others may append and delete between two of them. */
static enum status read_some(struct verifier *verifier, struct walk *walk, bool *out_end,
                             struct error *err)
{
    sqlite3_stmt *bounds;
    bool found = false;
    enum status status = statement_get(verifier->log, STATEMENT_PARTITION_BOUNDS, &bounds, err);
    if (status != STATUS_OK) {
        return status;
    }
    sqlite3_bind_int64(bounds, 1, walk->number);
    status = statement_step(verifier->log, bounds, "read the offsets of", &found, err);
    if (status == STATUS_OK && found) {
        int64_t first = sqlite3_column_int64(bounds, 0);
        walk->next_offset = sqlite3_column_int64(bounds, 1);
        walk->offset = walk->offset < first ? first : walk->offset;
        status = read_rows(verifier, walk, out_end, err);
    } else {
        *out_end = true; /* The topic was deleted. */
    }
    sqlite3_reset(bounds);
    return status;
}

static enum status check_partition(struct verifier *verifier, const struct locallog_topic *topic,
                                   uint32_t partition, struct error *err)
{
    struct walk walk = {.topic = topic, .partition = partition};
    int64_t first = 0;
    int64_t next = 0;
    bool end = false;
    enum status status =
        partition_find(verifier->log, topic, partition, &walk.number, &first, &next, err);
    while (status == STATUS_OK && !end && !stop_requested()) {
        status = read_some(verifier, &walk, &end, err);
    }
    return status;
}

enum status locallog_verify(struct locallog *log,
                            void (*problem)(void *context, const char *topic, uint32_t partition,
                                            int64_t offset, const char *what),
                            void *context, struct locallog_verified *out, struct error *err)
{
    struct arena *arena = arena_new(4096);
    struct verifier verifier = {.log = log,
                                .problem = problem,
                                .context = context,
                                .arena = arena_new(LOCALLOG_ROW_BYTES)};
    struct locallog_topic *topics = NULL;
    uint32_t count = 0;
    enum status status = check_file(&verifier, err);
    if (status == STATUS_OK) {
        status = locallog_topic_list(log, arena, &topics, &count, err);
    }
    for (uint32_t i = 0; i < count && status == STATUS_OK; i++) {
        for (uint32_t p = 0; p < topics[i].partitions && status == STATUS_OK; p++) {
            status = check_partition(&verifier, &topics[i], p, err);
        }
    }
    *out = verifier.found;
    arena_free(verifier.arena);
    arena_free(arena);
    return status;
}
