/* A topic of a local log as a source. */
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "connector/sqlite/sqlite.h"
#include "connector/sqlite/system.h"
#include "os/place.h"

#define GROUP_PATIENCE_MS 250

static const char *const starts[] = {"earliest", "latest", NULL};

static const struct grammar_field log_source_fields[] = {
    {.key = "path", .type = GRAMMAR_STRING, .required = true, .help = "the local log's file"},
    {.key = "topic", .type = GRAMMAR_NAME, .required = true, .help = "its topic"},
    {.key = "partitions", .type = GRAMMAR_INT, .minimum = 1, .maximum = LOCALLOG_PARTITIONS_MAX,
     .help = "of a topic that 'weir topic create' makes; 3 unless set"},
    {.key = "retention", .type = GRAMMAR_DURATION,
     .help = "of a topic that 'weir topic create' makes: records older than that go; kept for ever "
             "unless set"},
    {.key = "retention_bytes", .type = GRAMMAR_SIZE,
     .help = "of a topic that 'weir topic create' makes: above that size the oldest go; no limit "
             "unless set"},
    {.key = "start", .type = GRAMMAR_CHOICE, .choices = starts,
     .help = "where the first start begins; earliest unless set"},
    {0},
};

struct log_source {
    struct source source; /* first */
    struct arena *arena;
    struct locallog *log;
    struct locallog_topic topic;
    struct source_partition *partitions;
    struct locallog_reader **readers;
};

static struct log_source *self(struct source *source)
{
    return (struct log_source *)source;
}

static void close_source(struct source *source)
{
    if (source == NULL) {
        return;
    }
    struct log_source *s = self(source);
    for (uint32_t i = 0; s->readers != NULL && i < s->topic.partitions; i++) {
        if (s->readers[i] != NULL) {
            locallog_reader_close(s->readers[i]);
        }
    }
    if (s->log != NULL) {
        locallog_close(s->log);
    }
    arena_free(s->arena);
    memory_free(s);
}

static enum status find_topic(struct log_source *s, const struct doc *config, const char *path,
                              struct error *err)
{
    const struct doc *name = doc_get(config, "topic");
    bool found = false;
    enum status status = locallog_topic_find(s->log, name->text, &s->topic, &found, err);
    if (status == STATUS_OK && !found) {
        status = doc_error(name, err, "source.no_topic",
                           "%s has no topic '%s'; make it with 'weir topic create local:%s#%s "
                           "--partitions N', or fill it with 'weir produce local:%s#%s FILE'",
                           path, name->text, path, name->text, path, name->text);
    }
    return status;
}

static enum status open_partitions(struct log_source *s, struct error *err)
{
    uint32_t count = s->topic.partitions;
    s->partitions = arena_alloc_zero(s->arena, count, sizeof *s->partitions);
    s->readers = arena_alloc_zero(s->arena, count, sizeof *s->readers);
    for (uint32_t i = 0; i < count; i++) {
        int64_t first_offset = 0;
        int64_t next_offset = 0;
        enum status status =
            locallog_bounds(s->log, &s->topic, i, &first_offset, &next_offset, err);
        if (status == STATUS_OK) {
            status = locallog_reader_open(s->log, &s->topic, i, &s->readers[i], err);
        }
        if (status != STATUS_OK) {
            return status;
        }
        s->partitions[i] = (struct source_partition){
            .topic = s->topic.name,
            .topic_id = s->topic.id,
            .label = arena_printf(s->arena, "%u", i),
            .number = (int32_t)i,
            .partition_count = count,
            .first_offset = first_offset,
        };
    }
    return STATUS_OK;
}

static enum status open_source(const struct doc *config, const char *folder,
                               const struct csv_options *csv, struct source **out,
                               struct error *err)
{
    (void)csv; /* Each record is a row. */
    struct log_source *s = memory_alloc_zero(1, sizeof *s);
    s->source.ops = &local_source_ops;
    s->arena = arena_new(16 * 1024);
    const char *name = grammar_string(config, "path", "");
    const char *path = arena_printf(s->arena, "%s%s", name[0] == '/' ? "" : folder, name);
    enum status status = locallog_open(path, LOCALLOG_READ, &s->log, err);
    if (status != STATUS_OK) {
        status = doc_locate_error(doc_get(config, "path"), err);
    } else {
        status = find_topic(s, config, path, err);
    }
    if (status == STATUS_OK) {
        status = open_partitions(s, err);
    }
    if (status != STATUS_OK) {
        close_source(&s->source);
        return status;
    }
    *out = &s->source;
    return STATUS_OK;
}

static const struct source_partition *partitions(struct source *source, uint32_t *out_count)
{
    *out_count = self(source)->topic.partitions;
    return self(source)->partitions;
}

static enum status end_offset(struct source *source, uint32_t partition, int64_t *out_offset,
                              struct error *err)
{
    struct log_source *s = self(source);
    int64_t first_offset = 0;
    return locallog_bounds(s->log, &s->topic, partition, &first_offset, out_offset, err);
}

static enum status seek(struct source *source, uint32_t partition, int64_t offset,
                        struct error *err)
{
    struct log_source *s = self(source);
    int64_t first_offset = 0;
    int64_t next_offset = 0;
    enum status status =
        locallog_bounds(s->log, &s->topic, partition, &first_offset, &next_offset, err);
    if (status != STATUS_OK) {
        return status;
    }
    if (offset < first_offset) {
        return error_set(err, STATUS_CONFIG, "source.offset_expired",
                         "'%s' [%u] begins at offset %lld now, offset %lld was deleted",
                         s->topic.name, partition, (long long)first_offset, (long long)offset);
    }
    if (offset > next_offset) {
        return error_set(err, STATUS_CONFIG, "source.truncated",
                         "'%s' [%u] ends at offset %lld, before offset %lld: it was restored from "
                         "an older backup; restore the newest one",
                         s->topic.name, partition, (long long)next_offset, (long long)offset);
    }
    locallog_reader_seek(s->readers[partition], offset);
    return STATUS_OK;
}

static enum status read_batch(struct source *source, uint32_t partition, struct batch *batch,
                              int64_t limit_offset, struct error *err)
{
    struct log_source *s = self(source);
    int64_t position = locallog_reader_position(s->readers[partition]);
    batch->partition_number = partition;
    batch->partition_count = s->topic.partitions;
    struct error detail = {0};
    enum status status =
        locallog_reader_read(s->readers[partition], batch, limit_offset, &detail);
    if (status == STATUS_CONFIG && strcmp(detail.code, "log.offset_expired") == 0) {
        return error_set(err, STATUS_CONFIG, "source.offset_expired",
                         "'%s' [%u]: retention deleted offset %lld before it was read: reading is "
                         "slower than the topic's limits allow. Give it more ('weir topic alter'), "
                         "and start again: the start says what is lost",
                         s->topic.name, partition, (long long)position);
    }
    return status == STATUS_OK ? status
                               : error_set(err, status, detail.code, "%s", detail.message);
}

static enum status read_group(struct source *source, const char *group, uint32_t partition,
                              int64_t *out_offset, bool *out_found, struct error *err)
{
    struct log_source *s = self(source);
    return locallog_group_read(s->log, group, &s->topic, partition, out_offset, out_found, err);
}

/* By a handle of its own: the source's own cannot write. A start and a stop do not wait long for
 * what is advice. */
static enum status write_group(struct source *source, const char *group, const int64_t *offsets,
                               struct error *err)
{
    struct log_source *s = self(source);
    struct locallog *log = NULL;
    enum status status = locallog_open(locallog_path(s->log), LOCALLOG_WRITE, &log, err);
    if (status == STATUS_OK) {
        sqlite3_busy_timeout(locallog_database(log), GROUP_PATIENCE_MS);
        status = locallog_begin(log, err);
    }
    for (uint32_t i = 0; i < s->topic.partitions && status == STATUS_OK; i++) {
        status = locallog_group_write(log, group, &s->topic, i, offsets[i], "", err);
    }
    if (status == STATUS_OK) {
        status = locallog_commit(log, err);
    }
    locallog_close(log);
    return status;
}

static enum status read_retention(struct source *source, struct source_retention *out,
                                  struct error *err)
{
    struct log_source *s = self(source);
    struct locallog_retention kept = {0};
    enum status status = locallog_retention_read(s->log, &s->topic, &kept, err);
    if (status == STATUS_OK) {
        *out = (struct source_retention){.is_known = true, .age_us = kept.age_us, .bytes = kept.bytes};
    }
    return status;
}

static bool is_finished(struct source *source)
{
    (void)source; /* a log can always grow */
    return false;
}

static void wait_for_more(struct source *source, int64_t timeout_us)
{
    locallog_wait(self(source)->log, timeout_us);
}

static char *place_of(struct arena *arena, const struct doc *config, const char *folder)
{
    const char *path = grammar_string(config, "path", "");
    const char *joined = arena_printf(arena, "%s%s", path[0] == '/' ? "" : folder, path);
    return place_real(arena, joined);
}

const struct source_ops local_source_ops = {
    .kind = "local",
    .grammar = log_source_fields,
    .can_replay = true,
    .ahead_rows = 1024,
    .has_keys = true,
    .timestamp_kind = TIMESTAMP_BROKER,
    .can_inject = true,
    .injector = &local_injector_ops,
    .topics = &local_topics_ops,
    .open = open_source,
    .close = close_source,
    .partitions = partitions,
    .end_offset = end_offset,
    .seek = seek,
    .read = read_batch,
    .read_group = read_group,
    .write_group = write_group,
    .place = place_of,
    .copy = locallog_copy,
    .retention = read_retention,
    .is_finished = is_finished,
    .wait = wait_for_more,
};
