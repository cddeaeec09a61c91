/* weir topic: make, list, describe and delete topics of a local log. */
#include <sqlite3.h>
#include <string.h>

#include "base/time.h"
#include "cli/place.h"
#include "cli/verbs.h"
#include "codec/json.h"
#include "locallog/locallog.h"

#define PARTITIONS_OTHERWISE 3

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

static enum status find_topic(struct locallog *log, const struct place *place,
                              struct locallog_topic *out, struct error *err)
{
    bool found = false;
    enum status status = locallog_topic_find(log, place->name, out, &found, err);
    if (status == STATUS_OK && !found) {
        return error_set(err, STATUS_CONFIG, "topic.missing",
                         "%s has no topic '%s'; 'weir topic list local:%s' lists those it has",
                         place->path, place->name, place->path);
    }
    return status;
}

/* --- create --- */

static enum status create(const struct cli_arguments *arguments, const struct place *place,
                          struct error *err)
{
    struct locallog *log = NULL;
    struct locallog_topic topic;
    int64_t partitions = 0;
    bool found = false;
    enum status status = cli_integer(arguments, "partitions", 1, LOCALLOG_PARTITIONS_MAX,
                                     PARTITIONS_OTHERWISE, &partitions, err);
    if (status == STATUS_OK) {
        status = locallog_open(place->path, LOCALLOG_CREATE, &log, err);
    }
    if (status == STATUS_OK) {
        status = locallog_topic_find(log, place->name, &topic, &found, err);
    }
    if (status == STATUS_OK && (!found || cli_given(arguments, "partitions"))) {
        status = locallog_topic_create(log, place->name, (uint32_t)partitions, &topic, err);
    }
    if (status == STATUS_OK) {
        fprintf(stderr, "topic %s with %u partition%s %s\n", topic.name, topic.partitions,
                topic.partitions == 1 ? "" : "s", found ? "was there already" : "created");
    }
    locallog_close(log);
    return status;
}

/* --- list --- */

static const char list_sql[] =
    "SELECT name, count(*), coalesce(sum(records), 0), coalesce(sum(bytes), 0) FROM weir_topics "
    "GROUP BY name ORDER BY name";

static void list_row(sqlite3_stmt *row, bool json, struct cli_table *table, struct buffer *out)
{
    const char *name = (const char *)sqlite3_column_text(row, 0);
    long long partitions = sqlite3_column_int64(row, 1);
    uint64_t records = (uint64_t)sqlite3_column_int64(row, 2);
    uint64_t bytes = (uint64_t)sqlite3_column_int64(row, 3);
    if (json) {
        buffer_append_string(out, out->size == 0 ? "[" : ",");
        buffer_append_string(out, "{\"topic\":");
        json_write_string(out, bytes_of_string(name));
        buffer_printf(out, ",\"partitions\":%lld,\"records\":%llu,\"bytes\":%llu}", partitions,
                      (unsigned long long)records, (unsigned long long)bytes);
        return;
    }
    char text[27];
    cli_table_cell(table, "%s", name);
    cli_table_cell(table, "%lld", partitions);
    cli_table_cell(table, "%s", cli_count(records, text));
    cli_table_cell(table, "%s", cli_count(bytes, text));
}

static void start_table(struct cli_table *table, const char *const *titles)
{
    for (table->columns = 0; titles[table->columns] != NULL; table->columns++) {
        cli_table_cell(table, "%s", titles[table->columns]);
    }
}

static enum status list(const struct cli_arguments *arguments, const struct place *place,
                        struct error *err)
{
    static const char *const titles[] = {"topic", "partitions", "records", "bytes", NULL};
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
        list_row(row, json, &table, &out);
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
static const char partitions_sql[] =
    "SELECT partition, first_offset, next_offset, records, bytes FROM weir_topics WHERE name = ? "
    "ORDER BY partition";
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
    enum status status = prepare(d->log, head_sql, &row, err);
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
        buffer_printf(&d->out, ",\"id\":\"%s\",\"created\":\"%s\",\"partitions\":[", d->topic.id,
                      created);
    } else {
        printf("topic %s, id %s, created %s\n\n", d->topic.name, d->topic.id, created);
    }
    return STATUS_OK;
}

static void partition_row(struct description *d, sqlite3_stmt *row, struct cli_table *table,
                          bool is_first)
{
    long long cells[5];
    for (int i = 0; i < 5; i++) {
        cells[i] = sqlite3_column_int64(row, i);
    }
    if (d->json) {
        buffer_printf(&d->out,
                      "%s{\"partition\":%lld,\"first_offset\":%lld,\"next_offset\":%lld,"
                      "\"records\":%lld,\"bytes\":%lld}",
                      is_first ? "" : ",", cells[0], cells[1], cells[2], cells[3], cells[4]);
        return;
    }
    for (int i = 0; i < 5; i++) {
        char text[27];
        cli_table_cell(table, "%s", cli_count((uint64_t)cells[i], text));
    }
}

static enum status describe_partitions(struct description *d, struct error *err)
{
    static const char *const titles[] = {"partition", "first offset", "next offset", "records",
                                         "bytes", NULL};
    sqlite3_stmt *row = NULL;
    struct cli_table table = {0};
    enum status status = prepare(d->log, partitions_sql, &row, err);
    start_table(&table, titles);
    sqlite3_bind_text(row, 1, d->topic.name, -1, SQLITE_STATIC);
    for (bool is_first = true; status == STATUS_OK && next_row(d->log, row, &status, err);
         is_first = false) {
        partition_row(d, row, &table, is_first);
    }
    if (status == STATUS_OK && !d->json) {
        cli_table_print(&table, stdout);
    }
    buffer_fini(&table.cells);
    sqlite3_finalize(row);
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

/* Of one moment: in one read transaction. */
static enum status describe_all(struct description *d, struct error *err)
{
    struct sqlite3 *database = locallog_database(d->log);
    int answer = sqlite3_exec(database, "BEGIN", NULL, NULL, NULL);
    if (answer != SQLITE_OK) {
        return locallog_error(d->log, answer, "read", err);
    }
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
    sqlite3_exec(database, "COMMIT", NULL, NULL, NULL); /* nothing was written: it cannot fail */
    return status;
}

static enum status describe(const struct cli_arguments *arguments, const struct place *place,
                            struct error *err)
{
    struct description d = {.json = cli_given(arguments, "json")};
    enum status status = locallog_open(place->path, LOCALLOG_READ, &d.log, err);
    if (status == STATUS_OK) {
        status = find_topic(d.log, place, &d.topic, err);
    }
    if (status == STATUS_OK) {
        status = describe_all(&d, err);
    }
    buffer_fini(&d.out);
    locallog_close(d.log);
    return status;
}

/* --- delete --- */

static enum status count_records(struct locallog *log, const struct locallog_topic *topic,
                                 uint64_t *out, struct error *err)
{
    *out = 0;
    for (uint32_t i = 0; i < topic->partitions; i++) {
        int64_t first_offset = 0;
        int64_t next_offset = 0;
        enum status status = locallog_bounds(log, topic, i, &first_offset, &next_offset, err);
        if (status != STATUS_OK) {
            return status;
        }
        *out += (uint64_t)(next_offset - first_offset);
    }
    return STATUS_OK;
}

static enum status delete_topic(const struct cli_arguments *arguments, const struct place *place,
                                struct error *err)
{
    struct locallog *log = NULL;
    struct locallog_topic topic;
    uint64_t records = 0;
    char count[27];
    enum status status = locallog_open(place->path, LOCALLOG_WRITE, &log, err);
    if (status == STATUS_OK) {
        status = find_topic(log, place, &topic, err);
    }
    if (status == STATUS_OK) {
        status = count_records(log, &topic, &records, err);
    }
    cli_count(records, count);
    if (status == STATUS_OK && !cli_given(arguments, "yes")) {
        status = error_set(err, STATUS_CONFIG, "topic.delete",
                           "topic '%s' holds %s record%s, which would be gone for good; --yes "
                           "deletes it",
                           topic.name, count, records == 1 ? "" : "s");
    }
    if (status == STATUS_OK) {
        status = locallog_topic_delete(log, topic.name, err);
    }
    if (status == STATUS_OK) {
        fprintf(stderr, "topic %s with %s record%s deleted\n", topic.name, count,
                records == 1 ? "" : "s");
    }
    locallog_close(log);
    return status;
}

/* --- the verb --- */

static const struct action {
    const char *name;
    bool needs_topic;
    enum status (*run)(const struct cli_arguments *arguments, const struct place *place,
                       struct error *err);
} actions[] = {
    {"create", true, create},
    {"list", false, list},
    {"describe", true, describe},
    {"delete", true, delete_topic},
};
#define ACTION_COUNT (sizeof actions / sizeof actions[0])

static enum status find_action(const char *name, const struct action **out, struct error *err)
{
    const char *names[ACTION_COUNT];
    for (size_t i = 0; i < ACTION_COUNT; i++) {
        if (strcmp(actions[i].name, name) == 0) {
            *out = &actions[i];
            return STATUS_OK;
        }
        names[i] = actions[i].name;
    }
    const char *nearest = string_nearest(name, names, ACTION_COUNT);
    return error_set(err, STATUS_CONFIG, "use.arguments",
                     "weir topic can create, list, describe and delete, not '%s'%s%s%s", name,
                     nearest == NULL ? "" : "; did you mean '", nearest == NULL ? "" : nearest,
                     nearest == NULL ? "" : "'?");
}

static enum status run(const struct cli_arguments *arguments, struct error *err)
{
    const struct action *action = NULL;
    struct arena *arena = arena_new(4096);
    struct place place = {0};
    enum status status = find_action(arguments->positional[0], &action, err);
    if (status == STATUS_OK) {
        const char *text = arguments->positional[1];
        status = action->needs_topic ? place_parse_topic(arena, text, "topic", &place, err)
                                     : place_parse_log(arena, text, "topic", &place, err);
    }
    if (status == STATUS_OK) {
        status = action->run(arguments, &place, err);
    }
    arena_free(arena);
    return status;
}

static const struct cli_option options[] = {
    {"partitions", "N", "create: 3 unless given"},
    {"json", NULL, "list, describe: as JSON"},
    {"yes", NULL, "delete: really"},
    {0},
};

const struct cli_verb verb_topic = {
    .name = "topic",
    .arguments = "create|list|describe|delete PLACE [--partitions N] [--json] [--yes]",
    .summary = "make, list, describe and delete topics",
    .details =
        "create local:PATH#topic --partitions N   makes file and topic where they are missing\n"
        "list local:PATH                          the topics of a local log\n"
        "describe local:PATH#topic                offsets, records and bytes per partition, and\n"
        "                                         how far the groups are\n"
        "delete local:PATH#topic --yes            the topic, its records and its groups' offsets",
    .options = options,
    .least = 2,
    .most = 2,
    .run = run,
};
