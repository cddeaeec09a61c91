#include "locallog/private.h"

#include <string.h>

static const char *const texts[STATEMENT_COUNT] = {
    [STATEMENT_BEGIN] = "BEGIN IMMEDIATE",
    [STATEMENT_COMMIT] = "COMMIT",
    [STATEMENT_DATA_VERSION] = "PRAGMA data_version",
    [STATEMENT_TOPIC_INSERT] =
        "INSERT INTO weir_topic (name, id, partitions, created_us) VALUES (?1, ?2, ?3, ?4)"
        " RETURNING topic, id, name, partitions",
    [STATEMENT_TOPIC_FIND] = "SELECT topic, id, name, partitions FROM weir_topic WHERE name = ?1",
    [STATEMENT_TOPIC_LIST] = "SELECT topic, id, name, partitions FROM weir_topic ORDER BY name",
    [STATEMENT_TOPIC_DELETE] = "DELETE FROM weir_topic WHERE topic = ?1",
    [STATEMENT_TOPIC_DELETE_BATCHES] = "DELETE FROM weir_batch WHERE position BETWEEN ?1 AND ?2",
    [STATEMENT_TOPIC_DELETE_PARTITIONS] =
        "DELETE FROM weir_partition WHERE topic = ?1 AND partition = ?2 RETURNING number",
    [STATEMENT_TOPIC_DELETE_GROUPS] = "DELETE FROM weir_group WHERE topic = ?1",
    [STATEMENT_TOPIC_DELETE_PRODUCERS] = "DELETE FROM weir_producer WHERE topic = ?1",
    [STATEMENT_PARTITION_INSERT] =
        "INSERT INTO weir_partition (topic, partition) VALUES (?1, ?2) RETURNING number",
    [STATEMENT_PARTITION_FIND] = "SELECT first_offset, next_offset, number FROM weir_partition"
                                 " WHERE topic = ?1 AND partition = ?2",
    [STATEMENT_PARTITION_EXTEND] =
        "UPDATE weir_partition SET next_offset = next_offset + ?3,"
        " max_timestamp_ms = max(max_timestamp_ms, ?4) WHERE topic = ?1 AND partition = ?2"
        " RETURNING number, next_offset, max_timestamp_ms",
    [STATEMENT_PARTITION_BOUNDS] =
        "SELECT first_offset, next_offset FROM weir_partition WHERE number = ?1",
    [STATEMENT_BATCH_INSERT] =
        "INSERT INTO weir_batch"
        " (position, topic, partition, base_offset, count, max_timestamp_ms, bytes)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    /* From the row that holds offset ?2 (the last at or before it) to offset ?3, which is not
     * included. The bytes of a row that reaches beyond ?4 are not fetched, unless it is the first.
     * ?1 is the key of offset 0; ?5 the limit. */
    [STATEMENT_BATCH_READ] =
        "SELECT position, topic, partition, base_offset, count,"
        " iif(base_offset <= ?2 OR min(base_offset + count, ?5) <= ?4, bytes, NULL)"
        " FROM weir_batch WHERE position >= coalesce("
        "(SELECT position FROM weir_batch WHERE position BETWEEN ?1 AND ?1 + ?2"
        " ORDER BY position DESC LIMIT 1), ?1) AND position < ?1 + ?3 ORDER BY position",
    /* The rows from key ?1 to ?2, which is not included; none of their bytes are fetched. */
    [STATEMENT_BATCH_SIZES] =
        "SELECT base_offset, count, max_timestamp_ms, length(bytes) FROM weir_batch"
        " WHERE position >= ?1 AND position < ?2 ORDER BY position",
    [STATEMENT_BATCH_BYTES] = "SELECT base_offset, count, bytes FROM weir_batch"
                              " WHERE position >= ?1 AND position < ?2 ORDER BY position",
    [STATEMENT_BATCH_ALL] = "SELECT position, topic, partition, base_offset, count, bytes"
                            " FROM weir_batch WHERE position >= ?1 AND position < ?2"
                            " ORDER BY position",
    [STATEMENT_BATCH_BEHIND] =
        "SELECT base_offset FROM weir_batch WHERE position BETWEEN ?1 AND ?2 LIMIT 1",
    [STATEMENT_BATCH_DELETE] = "DELETE FROM weir_batch WHERE position = ?1 AND count = ?2",
    [STATEMENT_PARTITION_FIRST] = "UPDATE weir_partition SET first_offset = ?2 WHERE number = ?1",
    [STATEMENT_RETENTION_READ] = "SELECT age_us, bytes FROM weir_retention WHERE topic = ?1",
    [STATEMENT_RETENTION_WRITE] =
        "INSERT INTO weir_retention (topic, age_us, bytes) VALUES (?1, ?2, ?3)"
        " ON CONFLICT DO UPDATE SET age_us = excluded.age_us, bytes = excluded.bytes",
    [STATEMENT_RETENTION_DELETE] = "DELETE FROM weir_retention WHERE topic = ?1",
    [STATEMENT_RETENTION_LIST] =
        "SELECT topic, r.age_us, r.bytes, p.number, p.first_offset, p.next_offset"
        " FROM weir_retention r JOIN weir_partition p USING (topic)"
        " WHERE r.age_us > 0 OR r.bytes > 0 ORDER BY topic, p.partition",
    [STATEMENT_PARTITION_LIST] =
        "SELECT number, topic, partition, first_offset, next_offset FROM weir_partition"
        " ORDER BY number",
    [STATEMENT_MERGE_READ] = "SELECT next_offset FROM weir_merge WHERE number = ?1",
    [STATEMENT_MERGE_WRITE] = "INSERT INTO weir_merge (number, next_offset) VALUES (?1, ?2)"
                              " ON CONFLICT DO UPDATE SET next_offset = excluded.next_offset",
    [STATEMENT_VACUUM] = "PRAGMA incremental_vacuum",
    [STATEMENT_GROUP_READ] =
        "SELECT next_offset FROM weir_group WHERE \"group\" = ?1 AND topic = ?2 AND partition = ?3",
    [STATEMENT_GROUP_WRITE] =
        "INSERT INTO weir_group (\"group\", topic, partition, next_offset, metadata)"
        " VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE"
        " SET next_offset = excluded.next_offset, metadata = excluded.metadata",
    [STATEMENT_PRODUCER_READ] =
        "SELECT sequence, digest FROM weir_producer WHERE producer = ?1 AND topic = ?2",
    [STATEMENT_PRODUCER_WRITE] =
        "INSERT INTO weir_producer (producer, topic, sequence, digest) VALUES (?1, ?2, ?3, ?4)"
        " ON CONFLICT DO UPDATE SET sequence = excluded.sequence, digest = excluded.digest",
};

enum status statement_get(struct locallog *log, enum statement statement, sqlite3_stmt **out,
                          struct error *err)
{
    sqlite3_stmt **slot = &log->statements[statement];
    if (*slot == NULL) {
        int result = sqlite3_prepare_v3(log->db, texts[statement], -1, SQLITE_PREPARE_PERSISTENT,
                                        slot, NULL);
        if (result != SQLITE_OK) {
            return locallog_error(log, result, "read the tables of", err);
        }
    }
    sqlite3_reset(*slot); /* What it says is about the last run, which was answered for then. */
    sqlite3_clear_bindings(*slot);
    *out = *slot;
    return STATUS_OK;
}

enum status statement_step(struct locallog *log, sqlite3_stmt *statement, const char *doing,
                           bool *out_row, struct error *err)
{
    int result = sqlite3_step(statement);
    if (result != SQLITE_ROW && result != SQLITE_DONE) {
        enum status status = locallog_error(log, result, doing, err);
        sqlite3_reset(statement);
        return status;
    }
    *out_row = result == SQLITE_ROW;
    if (!*out_row) {
        sqlite3_reset(statement);
    }
    return STATUS_OK;
}

enum status statement_run(struct locallog *log, sqlite3_stmt *statement, const char *doing,
                          struct error *err)
{
    bool row;
    enum status status;
    do {
        status = statement_step(log, statement, doing, &row, err);
    } while (status == STATUS_OK && row);
    return status;
}

enum status sql_run(struct locallog *log, const char *sql, const char *doing, struct error *err)
{
    int result = sqlite3_exec(log->db, sql, NULL, NULL, NULL);
    return result == SQLITE_OK ? STATUS_OK : locallog_error(log, result, doing, err);
}

enum status sql_integer(struct locallog *log, const char *sql, int64_t otherwise, int64_t *out,
                        struct error *err)
{
    sqlite3_stmt *statement = NULL;
    int result = sqlite3_prepare_v2(log->db, sql, -1, &statement, NULL);
    if (result == SQLITE_OK) {
        result = sqlite3_step(statement);
    }
    enum status status = STATUS_OK;
    if (result == SQLITE_ROW) {
        *out = sqlite3_column_int64(statement, 0);
    } else if (result == SQLITE_DONE) {
        *out = otherwise;
    } else {
        status = locallog_error(log, result, "read", err);
    }
    sqlite3_finalize(statement);
    return status;
}

void statements_finalize(struct locallog *log)
{
    for (size_t i = 0; i < STATEMENT_COUNT; i++) {
        sqlite3_finalize(log->statements[i]);
        log->statements[i] = NULL;
    }
}
