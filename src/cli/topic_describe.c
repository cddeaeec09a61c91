/* weir topic list and describe: what topics there are, and what is in one. */
#include <sqlite3.h>

#include "base/time.h"
#include "cli/topic.h"
#include "codec/json.h"

static enum status prepare(struct locallog *log, const char *sql, sqlite3_stmt **out,
                           struct error *err)
{
    int answer = sqlite3_prepare_v2(locallog_database(log), sql, -1, out, NULL);
    return answer == SQLITE_OK ? STATUS_OK : locallog_error(log, answer, "read", err);
}

/* The next row; false at the end and after a failure. */
static bool next_row(struct locallog *log, sqlite3_stmt *statement, enum status *status,
                     struct error *err)
{
    int answer = sqlite3_step(statement);
    if (answer != SQLITE_ROW && answer != SQLITE_DONE) {
        *status = locallog_error(log, answer, "read", err);
    }
    return answer == SQLITE_ROW;
}

/* As members of a JSON object; null is no limit. */
static void write_retention(const struct locallog_retention *retention, struct buffer *out)
{
    buffer_append_string(out, ",\"retention_seconds\":");
    if (retention->age_us == 0) {
        buffer_append_string(out, "null");
    } else {
        buffer_printf(out, "%.15g", (double)retention->age_us / 1e6);
    }
    buffer_append_string(out, ",\"retention_bytes\":");
    if (retention->bytes == 0) {
        buffer_append_string(out, "null");
    } else {
        buffer_printf(out, "%lld", (long long)retention->bytes);
    }
}

/* --- list --- */

static const char list_sql[] =
    "SELECT name, count(*), coalesce(sum(records), 0), coalesce(sum(bytes), 0), "
    "(SELECT topic FROM weir_topic t WHERE t.name = v.name) FROM weir_topics v "
    "GROUP BY name ORDER BY name";

static void list_row(sqlite3_stmt *row, bool json, const struct locallog_retention *retention,
                     struct cli_table *table, struct buffer *out)
{
    const char *name = (const char *)sqlite3_column_text(row, 0);
    long long partitions = sqlite3_column_int64(row, 1);
    uint64_t records = (uint64_t)sqlite3_column_int64(row, 2);
    uint64_t bytes = (uint64_t)sqlite3_column_int64(row, 3);
    if (json) {
        buffer_append_string(out, out->size == 0 ? "[" : ",");
        buffer_append_string(out, "{\"topic\":");
        json_write_string(out, bytes_of_string(name));
        buffer_printf(out, ",\"partitions\":%lld,\"records\":%llu,\"bytes\":%llu", partitions,
                      (unsigned long long)records, (unsigned long long)bytes);
        write_retention(retention, out);
        buffer_append_byte(out, '}');
        return;
    }
    char text[27];
    cli_table_cell(table, "%s", name);
    cli_table_cell(table, "%lld", partitions);
    cli_table_cell(table, "%s", cli_count(records, text));
    cli_table_cell(table, "%s", cli_count(bytes, text));
    struct buffer keeps = {0};
    topic_describe_retention(retention, &keeps);
    cli_table_cell(table, "%s", buffer_string(&keeps));
    buffer_fini(&keeps);
}

static void start_table(struct cli_table *table, const char *const *titles)
{
    for (table->columns = 0; titles[table->columns] != NULL; table->columns++) {
        cli_table_cell(table, "%s", titles[table->columns]);
    }
}

enum status topic_list(const struct cli_arguments *arguments, const struct place *place,
                       struct error *err)
{
    static const char *const titles[] = {"topic", "partitions", "records", "bytes", "keeps", NULL};
    struct locallog *log = NULL;
    sqlite3_stmt *row = NULL;
    struct cli_table table = {0};
    struct buffer out = {0};
    bool json = cli_given(arguments, "json");
    enum status status = locallog_open(place->path, LOCALLOG_READ, &log, err);
    if (status == STATUS_OK) {
        status = prepare(log, list_sql, &row, err);
    }
    start_table(&table, titles);
    while (status == STATUS_OK && next_row(log, row, &status, err)) {
        struct locallog_topic topic = {.topic = sqlite3_column_int64(row, 4)};
        struct locallog_retention retention = {0};
        status = locallog_retention_read(log, &topic, &retention, err);
        if (status == STATUS_OK) {
            list_row(row, json, &retention, &table, &out);
        }
    }
    if (status == STATUS_OK && json) {
        printf("%s]\n", out.size == 0 ? "[" : buffer_string(&out));
    } else if (status == STATUS_OK) {
        cli_table_print(&table, stdout);
    }
    buffer_fini(&table.cells);
    buffer_fini(&out);
    sqlite3_finalize(row);
    locallog_close(log);
    return status;
}

/* --- describe --- */

static const char head_sql[] = "SELECT created_us FROM weir_topic WHERE topic = ?";
static const char groups_sql[] =
    "SELECT g.\"group\", g.partition, g.next_offset, max(p.next_offset - g.next_offset, 0) "
    "FROM weir_group g JOIN weir_partition p USING (topic, partition) WHERE g.topic = ? "
    "ORDER BY g.\"group\", g.partition";

struct description {
    struct locallog *log;
    struct locallog_topic topic;
    bool json;
    struct buffer out;
};

static enum status describe_head(struct description *d, struct error *err)
{
    sqlite3_stmt *row = NULL;
    char created[TIME_TEXT_BYTES] = "";
    struct locallog_retention retention = {0};
    enum status status = locallog_retention_read(d->log, &d->topic, &retention, err);
    if (status == STATUS_OK) {
        status = prepare(d->log, head_sql, &row, err);
    }
    if (status == STATUS_OK) {
        sqlite3_bind_int64(row, 1, d->topic.topic);
        if (next_row(d->log, row, &status, err)) {
            time_format(sqlite3_column_int64(row, 0), created);
        }
    }
    sqlite3_finalize(row);
    if (status != STATUS_OK) {
        return status;
    }
    if (d->json) {
        buffer_append_string(&d->out, "{\"topic\":");
        json_write_string(&d->out, bytes_of_string(d->topic.name));
        buffer_printf(&d->out, ",\"id\":\"%s\",\"created\":\"%s\"", d->topic.id, created);
        write_retention(&retention, &d->out);
        buffer_append_string(&d->out, ",\"partitions\":[");
    } else {
        struct buffer keeps = {0};
        topic_describe_retention(&retention, &keeps);
        printf("topic %s, id %s, created %s, keeps %s\n\n", d->topic.name, d->topic.id, created,
               buffer_string(&keeps));
        buffer_fini(&keeps);
    }
    return STATUS_OK;
}

static void write_time(int64_t time_ms, struct buffer *out)
{
    char text[TIME_TEXT_BYTES] = "";
    if (time_ms >= 0) {
        time_format(time_ms * 1000, text);
    }
    buffer_printf(out, time_ms >= 0 ? "\"%s\"" : "null", text);
}

static void write_sizes(struct description *d, uint32_t partition,
                        const struct locallog_sizes *sizes)
{
    buffer_printf(&d->out,
                  "%s{\"partition\":%u,\"first_offset\":%lld,\"next_offset\":%lld,"
                  "\"records\":%lld,\"batches\":%llu,\"bytes\":%llu,"
                  "\"uncompressed_bytes\":%llu,\"oldest\":",
                  partition == 0 ? "" : ",", partition, (long long)sizes->first_offset,
                  (long long)sizes->next_offset,
                  (long long)(sizes->next_offset - sizes->first_offset),
                  (unsigned long long)sizes->rows, (unsigned long long)sizes->bytes,
                  (unsigned long long)sizes->uncompressed_bytes);
    write_time(sizes->oldest_ms, &d->out);
    buffer_append_string(&d->out, ",\"newest\":");
    write_time(sizes->newest_ms, &d->out);
    buffer_append_byte(&d->out, '}');
}

static void print_sizes(struct cli_table *table, uint32_t partition,
                        const struct locallog_sizes *sizes)
{
    const uint64_t cells[] = {partition,
                              (uint64_t)sizes->first_offset,
                              (uint64_t)sizes->next_offset,
                              (uint64_t)(sizes->next_offset - sizes->first_offset),
                              sizes->rows,
                              sizes->bytes,
                              sizes->uncompressed_bytes};
    const int64_t times_ms[] = {sizes->oldest_ms, sizes->newest_ms};
    char text[TIME_TEXT_BYTES > 27 ? TIME_TEXT_BYTES : 27];
    for (size_t i = 0; i < sizeof cells / sizeof *cells; i++) {
        cli_table_cell(table, "%s", cli_count(cells[i], text));
    }
    for (size_t i = 0; i < 2; i++) {
        if (times_ms[i] >= 0) {
            time_format(times_ms[i] * 1000, text);
        }
        cli_table_cell(table, "%s", times_ms[i] >= 0 ? text : "-");
    }
}

static enum status describe_partitions(struct description *d, struct error *err)
{
    static const char *const titles[] = {"partition", "first offset", "next offset", "records",
                                         "batches", "bytes", "uncompressed", "oldest", "newest",
                                         NULL};
    struct cli_table table = {0};
    enum status status = STATUS_OK;
    start_table(&table, titles);
    for (uint32_t i = 0; i < d->topic.partitions && status == STATUS_OK; i++) {
        struct locallog_sizes sizes;
        status = locallog_sizes(d->log, &d->topic, i, &sizes, err);
        if (status == STATUS_OK && d->json) {
            write_sizes(d, i, &sizes);
        } else if (status == STATUS_OK) {
            print_sizes(&table, i, &sizes);
        }
    }
    if (status == STATUS_OK && !d->json) {
        cli_table_print(&table, stdout);
    }
    buffer_fini(&table.cells);
    return status;
}

static void group_row(struct description *d, sqlite3_stmt *row, struct cli_table *table,
                      bool is_first)
{
    const char *group = (const char *)sqlite3_column_text(row, 0);
    long long partition = sqlite3_column_int64(row, 1);
    uint64_t next_offset = (uint64_t)sqlite3_column_int64(row, 2);
    uint64_t lag = (uint64_t)sqlite3_column_int64(row, 3);
    if (d->json) {
        buffer_append_string(&d->out, is_first ? "{\"group\":" : ",{\"group\":");
        json_write_string(&d->out, bytes_of_string(group));
        buffer_printf(&d->out, ",\"partition\":%lld,\"next_offset\":%llu,\"lag\":%llu}", partition,
                      (unsigned long long)next_offset, (unsigned long long)lag);
        return;
    }
    char text[27];
    cli_table_cell(table, "%s", group);
    cli_table_cell(table, "%lld", partition);
    cli_table_cell(table, "%s", cli_count(next_offset, text));
    cli_table_cell(table, "%s", cli_count(lag, text));
}

static enum status describe_groups(struct description *d, struct error *err)
{
    static const char *const titles[] = {"group", "partition", "next offset", "lag", NULL};
    sqlite3_stmt *row = NULL;
    struct cli_table table = {0};
    bool is_first = true;
    enum status status = prepare(d->log, groups_sql, &row, err);
    start_table(&table, titles);
    sqlite3_bind_int64(row, 1, d->topic.topic);
    for (; status == STATUS_OK && next_row(d->log, row, &status, err); is_first = false) {
        group_row(d, row, &table, is_first);
    }
    if (status == STATUS_OK && !d->json && !is_first) {
        fputc('\n', stdout);
        cli_table_print(&table, stdout);
    }
    buffer_fini(&table.cells);
    sqlite3_finalize(row);
    return status;
}

static enum status describe_all(struct description *d, struct error *err)
{
    enum status status = describe_head(d, err);
    if (status == STATUS_OK) {
        status = describe_partitions(d, err);
    }
    buffer_append_string(&d->out, "],\"groups\":[");
    if (status == STATUS_OK) {
        status = describe_groups(d, err);
    }
    if (status == STATUS_OK && d->json) {
        printf("%s]}\n", buffer_string(&d->out));
    }
    return status;
}

enum status topic_describe(const struct cli_arguments *arguments, const struct place *place,
                           struct error *err)
{
    struct description d = {.json = cli_given(arguments, "json")};
    enum status status = locallog_open(place->path, LOCALLOG_READ, &d.log, err);
    if (status == STATUS_OK) {
        status = topic_find(d.log, place, &d.topic, err);
    }
    if (status == STATUS_OK) {
        status = describe_all(&d, err);
    }
    buffer_fini(&d.out);
    locallog_close(d.log);
    return status;
}
