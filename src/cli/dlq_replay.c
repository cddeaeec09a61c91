/*
 * weir dlq replay: dead letters into the source again, each once.
 *
 * A dead letter goes to its origin's own partition, as it came, mended by --set, with the header
 * `weir.replay` (stage/replay.c reads it). Its id is written to `weir_replayed` in the same
 * transaction of the source's file; one whose id is there is not written again, whoever runs
 * this how often and at the same time:
 *   weir_replayed (topic_id, topic, partition, offset, sink, attempt, replayed_us), primary key:
 *   all but topic and replayed_us
 */
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "base/broken.h"
#include "base/time.h"
#include "cli/dlq.h"
#include "cli/letters.h"
#include "cli/place.h"
#include "cli/topic_writer.h"
#include "codec/json.h"
#include "codec/json_items.h"
#include "os/clock.h"
#include "os/thread.h"

#define CHUNK_LETTERS 1000
#define CHUNK_BYTES ((size_t)4 << 20)
/* As deep as a pipeline can be told to read. */
#define DEPTH_MAX 1000
#define FIELDS_MAX (CLI_REPEATS_MAX * 8)

static const char make_sql[] =
    "CREATE TABLE IF NOT EXISTS weir_replayed (topic_id TEXT NOT NULL, topic TEXT NOT NULL, "
    "partition INTEGER NOT NULL, offset INTEGER NOT NULL, sink TEXT NOT NULL, "
    "attempt INTEGER NOT NULL, replayed_us INTEGER NOT NULL, "
    "PRIMARY KEY (topic_id, partition, offset, sink, attempt)) STRICT, WITHOUT ROWID";
static const char add_sql[] =
    "INSERT OR IGNORE INTO weir_replayed (topic_id, partition, offset, sink, attempt, topic, "
    "replayed_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
static const char find_sql[] =
    "SELECT 1 FROM weir_replayed WHERE topic_id = ?1 AND partition = ?2 AND offset = ?3 AND "
    "sink = ?4 AND attempt = ?5";

/* What --set says. */
struct mending {
    struct field fields[FIELDS_MAX];
    struct layout layout;
    struct json_edit edits[CLI_REPEATS_MAX];
    uint32_t edit_count;
};

struct counts {
    uint64_t selected;
    uint64_t replayed;
    uint64_t before;
};

struct replay {
    const char *reason; /* NULL: any */
    int64_t limit;      /* of those that are injected */
    bool dry_run;
    const char *pipeline;
    struct mending mending;

    struct topic_writer *writer; /* NULL in a dry run */
    struct locallog *log;        /* of the source; the writer's own, if there is one */
    struct locallog_topic topic;
    int64_t created_us;          /* the topic */
    sqlite3_stmt *id;            /* add_sql or find_sql; NULL: nothing was ever replayed */

    struct arena *arena; /* of the chunk */
    struct dead_letter *chunk;
    uint32_t chunk_count;
    size_t chunk_bytes;

    struct counts counts;
    uint64_t elsewhere_count; /* left out: of another pipeline or topic */
    uint64_t older_count;     /* left out: of a topic that was deleted */
    uint64_t unmended_count;  /* left out: --set cannot change them */
};

/* --- what --set does --- */

static uint32_t find_field(const struct layout *layout, const char *name, size_t size,
                           uint32_t parent)
{
    for (uint32_t i = 0; i < layout->field_count; i++) {
        const struct field *field = &layout->fields[i];
        if (field->parent == parent && field->name_size == size &&
            memcmp(field->name, name, size) == 0) {
            return i;
        }
    }
    return FIELD_NONE;
}

/* The field of a path such as "location.lat", with the objects on the way to it. */
static enum status add_field(struct mending *mending, const char *path, uint32_t *out,
                             struct error *err)
{
    struct layout *layout = &mending->layout;
    uint32_t parent = FIELD_NONE;
    for (const char *name = path;;) {
        size_t size = strcspn(name, ".");
        bool is_last = name[size] == '\0';
        uint32_t found = find_field(layout, name, size, parent);
        bool is_object = found != FIELD_NONE && layout->fields[found].type == COLUMN_OBJECT;
        if (size == 0 || (found != FIELD_NONE && (is_last || !is_object))) {
            return error_set(err, STATUS_CONFIG, "use.value",
                             size == 0 ? "--set: '%s' is no field"
                                       : "--set: '%s' is set twice, or within another field that "
                                         "is set",
                             path);
        }
        if (found == FIELD_NONE) {
            if (layout->field_count == FIELDS_MAX) {
                return error_set(err, STATUS_CONFIG, "use.value", "--set: '%s' is nested too deep",
                                 path);
            }
            found = layout->field_count++;
            layout->fields[found] = (struct field){.name = name,
                                                   .name_size = (uint32_t)size,
                                                   .path = path,
                                                   .type = is_last ? COLUMN_JSON : COLUMN_OBJECT,
                                                   .parent = parent};
        }
        if (is_last) {
            *out = found;
            return STATUS_OK;
        }
        parent = found;
        name += size + 1;
    }
}

static enum status read_set(struct arena *arena, struct mending *mending, const char *text,
                            struct error *err)
{
    const char *equals = strchr(text, '=');
    if (equals == NULL || equals == text) {
        return error_set(err, STATUS_CONFIG, "use.value", "--set takes FIELD=JSON, not '%s'",
                         text);
    }
    struct bytes json = bytes_of_string(equals + 1);
    if (!json_is_valid(json, DEPTH_MAX)) {
        return error_set(err, STATUS_CONFIG, "use.value",
                         "--set: '%s' is not JSON; a text needs its quotes: --set "
                         "'%.*s=\"some text\"'",
                         equals + 1, (int)(equals - text), text);
    }
    struct json_edit *edit = &mending->edits[mending->edit_count++];
    edit->replacement = json;
    return add_field(mending, arena_copy(arena, text, (size_t)(equals - text)), &edit->field, err);
}

static enum status read_sets(struct arena *arena, const struct cli_arguments *arguments,
                             struct mending *mending, struct error *err)
{
    mending->layout.fields = mending->fields;
    uint32_t at = 0;
    const char *text = NULL;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && (text = cli_next_value(arguments, "set", &at)) != NULL) {
        status = read_set(arena, mending, text, err);
    }
    mending->layout.schema_field_count = mending->layout.field_count;
    return status;
}

static bool is_object(struct bytes value)
{
    size_t at = 0;
    while (at < value.size && strchr(" \t\r\n", value.data[at]) != NULL && value.data[at] != 0) {
        at++;
    }
    return at < value.size && value.data[at] == '{' && json_is_valid(value, DEPTH_MAX);
}

/* The object that holds the field in `value`; none when it is not there. */
static struct bytes find_object(struct arena *arena, const struct layout *layout,
                                struct bytes value, uint32_t field)
{
    uint32_t parent = layout->fields[field].parent;
    if (parent == FIELD_NONE) {
        return value;
    }
    struct bytes outer = find_object(arena, layout, value, parent);
    struct json_items items;
    struct bytes name;
    struct bytes item;
    if (bytes_is_none(outer) || !json_items_begin(&items, outer)) {
        return BYTES_NONE;
    }
    while (json_items_next(&items, &name, &item)) {
        struct bytes text = json_value(arena, name).text;
        if (text.size == layout->fields[parent].name_size &&
            memcmp(text.data, layout->fields[parent].name, text.size) == 0) {
            return item.data[0] == '{' ? item : BYTES_NONE;
        }
    }
    return BYTES_NONE;
}

static bool can_mend(struct arena *arena, const struct mending *mending, struct bytes value)
{
    if (mending->edit_count == 0) {
        return true;
    }
    bool can = is_object(value);
    for (uint32_t i = 0; i < mending->edit_count && can; i++) {
        can = !bytes_is_none(
            find_object(arena, &mending->layout, value, mending->edits[i].field));
    }
    return can;
}

/* Into the chunk's arena. */
static struct bytes mend(struct replay *r, struct bytes value)
{
    struct mending *mending = &r->mending;
    struct buffer mended = {0};
    json_apply_edits(&mending->layout, value, mending->edits, mending->edit_count, &mended);
    struct bytes copy = bytes_of(arena_copy(r->arena, mended.data, mended.size), mended.size);
    buffer_fini(&mended);
    return copy;
}

/* --- ids --- */

static enum status sql_failed(struct replay *r, int answer, const char *doing, struct error *err)
{
    return locallog_error(r->log, answer, doing, err);
}

static enum status prepare(struct replay *r, const char *sql, sqlite3_stmt **out,
                           struct error *err)
{
    int answer = sqlite3_prepare_v2(locallog_database(r->log), sql, -1, out, NULL);
    return answer == SQLITE_OK ? STATUS_OK : sql_failed(r, answer, "read weir_replayed of", err);
}

/* The number of a row that a one-row query gives; *out stays when there is none. */
static enum status query_integer(struct replay *r, const char *sql, int64_t argument, int64_t *out,
                                 struct error *err)
{
    sqlite3_stmt *query = NULL;
    enum status status = prepare(r, sql, &query, err);
    if (status != STATUS_OK) {
        return status;
    }
    if (sqlite3_bind_parameter_count(query) > 0) {
        sqlite3_bind_int64(query, 1, argument);
    }
    int answer = sqlite3_step(query);
    if (answer == SQLITE_ROW) {
        *out = sqlite3_column_int64(query, 0);
    } else if (answer != SQLITE_DONE) {
        status = sql_failed(r, answer, "read", err);
    }
    sqlite3_finalize(query);
    return status;
}

/* In the transaction of the first chunk. */
static enum status make_table(struct replay *r, struct error *err)
{
    int answer = sqlite3_exec(locallog_database(r->log), make_sql, NULL, NULL, NULL);
    if (answer != SQLITE_OK) {
        return sql_failed(r, answer, "make weir_replayed in", err);
    }
    return prepare(r, add_sql, &r->id, err);
}

static enum status find_table(struct replay *r, struct error *err)
{
    int64_t count = 0;
    enum status status = query_integer(
        r, "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'weir_replayed'", 0,
        &count, err);
    return status == STATUS_OK && count > 0 ? prepare(r, find_sql, &r->id, err) : status;
}

/* Adds the id (or looks for it, in a dry run): *out_is_new when it was not there. */
static enum status claim(struct replay *r, const struct dead_letter *letter, bool *out_is_new,
                         struct error *err)
{
    *out_is_new = true;
    if (r->id == NULL) {
        return STATUS_OK;
    }
    sqlite3_bind_text(r->id, 1, r->topic.id, -1, SQLITE_STATIC);
    sqlite3_bind_int64(r->id, 2, atoi(letter->partition));
    sqlite3_bind_int64(r->id, 3, letter->offset);
    sqlite3_bind_text(r->id, 4, letter->sink, -1, SQLITE_STATIC);
    sqlite3_bind_int64(r->id, 5, letter->attempt);
    if (!r->dry_run) {
        sqlite3_bind_text(r->id, 6, letter->topic, -1, SQLITE_STATIC);
        sqlite3_bind_int64(r->id, 7, clock_realtime_us());
    }
    int answer = sqlite3_step(r->id);
    *out_is_new =
        r->dry_run ? answer == SQLITE_DONE : sqlite3_changes(locallog_database(r->log)) == 1;
    *out_is_new |= BROKEN("replay-again");
    sqlite3_reset(r->id);
    return answer == SQLITE_DONE || answer == SQLITE_ROW
               ? STATUS_OK
               : sql_failed(r, answer, "write weir_replayed of", err);
}

/* --- injecting --- */

static void inject(struct replay *r, const struct dead_letter *letter)
{
    struct record_header *headers =
        arena_alloc_zero(r->arena, letter->header_count + 1u, sizeof *headers);
    if (letter->header_count > 0) {
        memcpy(headers, letter->headers, letter->header_count * sizeof *headers);
    }
    const char *origin =
        arena_printf(r->arena, "%s %s %lld %u%s%s", letter->topic, letter->partition,
                     (long long)letter->offset, letter->attempt,
                     letter->sink[0] == '\0' ? "" : " ", letter->sink);
    headers[letter->header_count].name = bytes_of_string("weir.replay");
    headers[letter->header_count].value = bytes_of_string(origin);
    topic_writer_append(r->writer, (uint32_t)atoi(letter->partition), letter->key, letter->value,
                        headers, letter->header_count + 1);
}

static void print_letter(const struct dead_letter *letter)
{
    struct buffer line = {0};
    buffer_append_string(&line, "would replay ");
    dlq_write_origin(letter, &line);
    buffer_printf(&line, " (%s%s%s)%s%s\n", letter->reason, letter->field[0] == '\0' ? "" : " ",
                  letter->field, letter->sink[0] == '\0' ? "" : " into ", letter->sink);
    fwrite(line.data, 1, line.size, stdout);
    buffer_fini(&line);
}

/* Each letter of the chunk whose id is new; `counts` is what came of them. */
static enum status replay_letters(struct replay *r, struct counts *counts, struct error *err)
{
    enum status status = STATUS_OK;
    if (!r->dry_run && r->id == NULL) {
        status = make_table(r, err);
    }
    for (uint32_t i = 0; i < r->chunk_count && status == STATUS_OK &&
                         counts->replayed < (uint64_t)r->limit;
         i++) {
        bool is_new = false;
        status = claim(r, &r->chunk[i], &is_new, err);
        if (status != STATUS_OK) {
            break;
        }
        counts->selected++;
        counts->before += !is_new;
        counts->replayed += is_new;
        if (is_new && r->dry_run) {
            print_letter(&r->chunk[i]);
        } else if (is_new) {
            inject(r, &r->chunk[i]);
        }
    }
    return status;
}

static enum status replay_in_transaction(struct replay *r, struct counts *counts,
                                         struct error *err)
{
    enum status status = locallog_begin(r->log, err);
    if (status == STATUS_OK) {
        status = replay_letters(r, counts, err);
    }
    if (status == STATUS_OK) {
        status = topic_writer_flush(r->writer, err);
    }
    if (status == STATUS_OK) {
        status = locallog_commit(r->log, err);
    }
    if (status != STATUS_OK) {
        locallog_rollback(r->log);
    } else {
        topic_writer_flushed(r->writer);
    }
    return status;
}

static enum status replay_chunk(struct replay *r, struct error *err)
{
    struct counts counts = r->counts;
    enum status status = STATUS_OK;
    if (r->chunk_count > 0) {
        status =
            r->dry_run ? replay_letters(r, &counts, err) : replay_in_transaction(r, &counts, err);
    }
    if (status == STATUS_OK) {
        r->counts = counts;
    }
    arena_reset(r->arena, CHUNK_BYTES);
    r->chunk_count = 0;
    r->chunk_bytes = 0;
    return status;
}

/* --- choosing --- */

static bool is_partition(const struct replay *r, const char *label)
{
    char *end = NULL;
    unsigned long number = strtoul(label, &end, 10);
    return end != label && *end == '\0' && label[0] != '-' && number < r->topic.partitions;
}

/* Whether it is one of those that are asked for; those that cannot be sent are counted. */
static bool is_selected(struct replay *r, const struct dead_letter *letter)
{
    if (r->reason != NULL && strcmp(letter->reason, r->reason) != 0) {
        return false;
    }
    if (strcmp(letter->pipeline, r->pipeline) != 0 ||
        strcmp(letter->topic, r->topic.name) != 0 || !is_partition(r, letter->partition)) {
        r->elsewhere_count++;
        return false;
    }
    /* Records have their time in milliseconds. */
    if (letter->timestamp_us != TIME_NEVER &&
        letter->timestamp_us < r->created_us - r->created_us % 1000) {
        r->older_count++;
        return false;
    }
    if (!can_mend(r->arena, &r->mending, letter->value)) {
        r->unmended_count++;
        return false;
    }
    return true;
}

static struct bytes copy_bytes(struct arena *arena, struct bytes b)
{
    return bytes_is_none(b) ? b : bytes_of(arena_copy(arena, b.data, b.size), b.size);
}

static void copy_letter(struct replay *r, const struct dead_letter *letter)
{
    struct arena *arena = r->arena;
    struct record_header *headers =
        arena_alloc_zero(arena, letter->header_count + 1u, sizeof *headers);
    size_t size = letter->key.size + letter->value.size;
    for (uint32_t i = 0; i < letter->header_count; i++) {
        headers[i].name = copy_bytes(arena, letter->headers[i].name);
        headers[i].value = copy_bytes(arena, letter->headers[i].value);
        size += headers[i].name.size + headers[i].value.size;
    }
    r->chunk[r->chunk_count++] = (struct dead_letter){
        .key = copy_bytes(arena, letter->key),
        .value = r->mending.edit_count > 0 ? mend(r, letter->value)
                                           : copy_bytes(arena, letter->value),
        .headers = headers,
        .header_count = letter->header_count,
        .reason = arena_copy_string(arena, letter->reason),
        .field = arena_copy_string(arena, letter->field),
        .topic = r->topic.name,
        .partition = arena_copy_string(arena, letter->partition),
        .offset = letter->offset,
        .attempt = letter->attempt,
        .sink = arena_copy_string(arena, letter->sink),
    };
    r->chunk_bytes += size;
}

static enum status take_letter(void *context, const struct dead_letter *letter, bool *out_done,
                               struct error *err)
{
    struct replay *r = context;
    enum status status = STATUS_OK;
    if (is_selected(r, letter)) {
        copy_letter(r, letter);
    }
    if (r->chunk_count == CHUNK_LETTERS || r->chunk_bytes >= CHUNK_BYTES) {
        status = replay_chunk(r, err);
    }
    *out_done = r->counts.replayed >= (uint64_t)r->limit || stop_requested();
    return status;
}

/* --- the whole --- */

static enum status refuse_source(const char *pipeline, const struct place *source,
                                 struct error *err)
{
    return error_set(err, STATUS_CONFIG, "dlq.source",
                     "the source of %s is %s, which cannot be written to, so dead letters cannot "
                     "be replayed into it; 'weir dlq show %s --json' gives them to whatever "
                     "feeds it",
                     pipeline, source->kind == PLACE_STREAM ? "standard input" : "a file",
                     pipeline);
}

static enum status open_source(struct replay *r, const struct place *source, struct error *err)
{
    bool found = true;
    enum status status;
    if (r->dry_run) {
        status = locallog_open(source->path, LOCALLOG_READ, &r->log, err);
        if (status == STATUS_OK) {
            status = locallog_topic_find(r->log, source->name, &r->topic, &found, err);
        }
    } else {
        status = topic_writer_open(source->path, source->name, &r->writer, err);
        if (status == STATUS_OK) {
            r->log = topic_writer_log(r->writer);
            r->topic = *topic_writer_topic(r->writer);
        }
    }
    if (status == STATUS_OK && !found) {
        status = error_set(err, STATUS_CONFIG, "topic.missing", "%s has no topic '%s'",
                           source->path, source->name);
    }
    if (status == STATUS_OK) {
        status = query_integer(r, "SELECT created_us FROM weir_topic WHERE topic = ?",
                               r->topic.topic, &r->created_us, err);
    }
    return status == STATUS_OK && r->dry_run ? find_table(r, err) : status;
}

static void close_source(struct replay *r)
{
    sqlite3_finalize(r->id);
    if (r->writer == NULL) {
        locallog_close(r->log);
    }
    topic_writer_close(r->writer);
}

static void print_left_out(uint64_t count, const char *why)
{
    char text[27];
    if (count > 0) {
        fprintf(stderr, "left out: %s %s\n", cli_count(count, text), why);
    }
}

static void print_result(const struct replay *r)
{
    char selected[27];
    char replayed[27];
    char before[27];
    printf("%s dead letter%s selected, %s %sreplayed, %s replayed before\n",
           cli_count(r->counts.selected, selected), r->counts.selected == 1 ? "" : "s",
           cli_count(r->counts.replayed, replayed), r->dry_run ? "would be " : "",
           cli_count(r->counts.before, before));
    print_left_out(r->elsewhere_count, "of another pipeline, topic or partition");
    print_left_out(r->older_count, "of an earlier topic of that name, which was deleted");
    print_left_out(r->unmended_count,
                   "whose value is no JSON object, or lacks the object that --set changes");
}

static enum status read_places(struct arena *arena, const char *pipeline, struct place *source,
                               struct place *dlq, struct error *err)
{
    enum status status = place_of_pipeline(arena, pipeline, "source", source, err);
    if (status == STATUS_OK && source->kind != PLACE_TOPIC) {
        status = refuse_source(pipeline, source, err);
    }
    if (status == STATUS_OK) {
        status = place_of_pipeline(arena, pipeline, "dlq", dlq, err);
    }
    return status;
}

enum status dlq_replay(const struct cli_arguments *arguments, struct error *err)
{
    struct arena *arena = arena_new(16 * 1024);
    struct place source = {0};
    struct place dlq = {0};
    uint64_t foreign_count = 0;
    struct replay *r = memory_alloc_zero(1, sizeof *r);
    r->reason = cli_value(arguments, "reason");
    r->dry_run = cli_given(arguments, "dry-run");
    r->arena = arena_new(64 * 1024);
    r->chunk = memory_alloc_zero(CHUNK_LETTERS, sizeof *r->chunk);
    enum status status = read_places(arena, arguments->positional[1], &source, &dlq, err);
    if (status == STATUS_OK) {
        r->pipeline = source.pipeline;
        status = cli_integer(arguments, "limit", 1, INT64_MAX, INT64_MAX, &r->limit, err);
    }
    if (status == STATUS_OK) {
        status = read_sets(arena, arguments, &r->mending, err);
    }
    if (status == STATUS_OK) {
        status = open_source(r, &source, err);
    }
    if (status == STATUS_OK) {
        status = letters_each(&dlq, take_letter, r, &foreign_count, err);
    }
    if (status == STATUS_OK) {
        status = replay_chunk(r, err);
    }
    if (r->counts.selected > 0 || status == STATUS_OK) {
        print_result(r);
    }
    if (status == STATUS_OK && stop_requested()) {
        status = error_set(err, STATUS_RETRY, "dlq.stopped",
                           "stopped before the end; the same command goes on here");
    }
    close_source(r);
    memory_free(r->chunk);
    arena_free(r->arena);
    memory_free(r);
    arena_free(arena);
    return status;
}
