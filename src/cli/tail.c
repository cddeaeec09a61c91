/* weir tail: print what is in a place. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/time.h"
#include "cli/lines.h"
#include "cli/place.h"
#include "codec/record_json.h"
#include "cli/verbs.h"
#include "connector/rows.h"
#include "connector/source.h"
#include "os/thread.h"
#include "os/watch.h"

#define FOLLOW_WAIT_US TIME_US_PER_SECOND
#define FROM_EARLIEST (-1)
#define FROM_LATEST (-2)

struct tail {
    int64_t from;        /* an offset, or one of the two above */
    int64_t from_us;     /* records of before it are passed over; TIME_NEVER: none are */
    int64_t partition;   /* −1: all */
    int64_t left;        /* how many more may be printed */
    bool follow;
    bool headers;
    bool json;
    struct bytes key;    /* none: any */
    struct bytes needle; /* none: any */
    struct buffer line;
};

/* --- one record --- */

static bool is_done(const struct tail *t)
{
    return t->left == 0 || stop_requested() || cli_output_ended();
}

static bool contains(struct bytes value, struct bytes needle)
{
    return needle.size == 0 || (value.size > 0 &&
                                memmem(value.data, value.size, needle.data, needle.size) != NULL);
}

static void write_plain(struct tail *t, const struct record *record)
{
    for (uint32_t i = 0; t->headers && i < record->header_count; i++) {
        struct bytes name = record->headers[i].name;
        struct bytes value = record->headers[i].value;
        buffer_append_string(&t->line, i == 0 ? "" : ",");
        buffer_append(&t->line, name.data, name.size);
        buffer_append_byte(&t->line, '=');
        buffer_append(&t->line, value.data, value.size);
    }
    if (t->headers) {
        buffer_append_byte(&t->line, '\t');
    }
    buffer_append(&t->line, record->value.data, record->value.size);
}

static void print_record(struct tail *t, const char *topic, uint32_t partition,
                         const struct record *record)
{
    if ((!bytes_is_none(t->key) && !bytes_equal(t->key, record->key)) ||
        !contains(record->value, t->needle)) {
        return;
    }
    buffer_clear(&t->line);
    if (t->json) {
        record_json_write(&t->line, topic, partition, record);
    } else {
        write_plain(t, record);
    }
    buffer_append_byte(&t->line, '\n');
    fwrite(t->line.data, 1, t->line.size, stdout);
    t->left--;
}

/* --- topics --- */

/* One partition of the topic and its records that are read and not printed yet. */
struct cursor {
    uint32_t partition;
    struct batch *batch;
    uint32_t row;
    int64_t from_offset; /* records before it are passed over */
    int64_t limit_offset;
};

struct topic_tail {
    struct tail *tail;
    struct source *source;
    const struct source_partition *partitions;
    struct cursor *cursors;
    uint32_t count;
};

static bool has_record(const struct cursor *cursor)
{
    return cursor->row < cursor->batch->row_count;
}

static enum status load(struct topic_tail *t, struct cursor *cursor, struct error *err)
{
    batch_reset(cursor->batch, cursor->partition, 0);
    cursor->row = 0;
    return t->source->ops->read(t->source, cursor->partition, cursor->batch,
                                cursor->limit_offset, err);
}

/* Earlier appended first; of one moment the lower partition. */
static bool is_before(const struct cursor *a, const struct cursor *b)
{
    int64_t a_us = a->batch->records[a->row].timestamp_us;
    int64_t b_us = b->batch->records[b->row].timestamp_us;
    return a_us != b_us ? a_us < b_us : a->partition < b->partition;
}

/* The two cursors whose records come next; NULL where there is none. */
static void find_next(const struct topic_tail *t, struct cursor **out_first,
                      struct cursor **out_second)
{
    *out_first = *out_second = NULL;
    for (uint32_t i = 0; i < t->count; i++) {
        struct cursor *cursor = &t->cursors[i];
        if (!has_record(cursor)) {
            continue;
        }
        if (*out_first == NULL || is_before(cursor, *out_first)) {
            *out_second = *out_first;
            *out_first = cursor;
        } else if (*out_second == NULL || is_before(cursor, *out_second)) {
            *out_second = cursor;
        }
    }
}

static void print_next(struct topic_tail *t, struct cursor *cursor)
{
    const struct record *record = &cursor->batch->records[cursor->row++];
    if (record->offset >= cursor->from_offset && record->timestamp_us >= t->tail->from_us) {
        print_record(t->tail, t->partitions[cursor->partition].topic,
                     (uint32_t)t->partitions[cursor->partition].number, record);
    }
}

/* Prints until all cursors have come to the end of what is there. */
static enum status print_merged(struct topic_tail *t, struct error *err)
{
    struct cursor *first = NULL;
    struct cursor *second = NULL;
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < t->count && status == STATUS_OK; i++) {
        status = load(t, &t->cursors[i], err);
    }
    for (find_next(t, &first, &second); status == STATUS_OK && first != NULL && !is_done(t->tail);
         find_next(t, &first, &second)) {
        while (has_record(first) && (second == NULL || is_before(first, second)) &&
               t->tail->left > 0) {
            print_next(t, first);
        }
        if (!has_record(first)) {
            status = load(t, first, err);
        }
    }
    return status;
}

static enum status open_cursor(struct topic_tail *t, uint32_t partition, struct error *err)
{
    static const struct layout no_columns = {0};
    struct cursor *cursor = &t->cursors[t->count++];
    int64_t first_offset = t->partitions[partition].first_offset;
    int64_t end_offset = 0;
    int64_t from = t->tail->from;
    cursor->batch = batch_new(&no_columns);
    cursor->partition = partition;
    enum status status = t->source->ops->end_offset(t->source, partition, &end_offset, err);
    if (status != STATUS_OK) {
        return status;
    }
    from = from == FROM_EARLIEST ? first_offset : from == FROM_LATEST ? end_offset : from;
    /* Where the system cannot tell, records of before are read and passed over. */
    if (t->tail->from_us != TIME_NEVER && t->source->ops->offset_at != NULL) {
        status = t->source->ops->offset_at(t->source, partition, t->tail->from_us, &from, err);
        if (status != STATUS_OK) {
            return status;
        }
    }
    cursor->from_offset = from;
    cursor->limit_offset = t->tail->follow ? INT64_MAX : end_offset;
    from = from < first_offset ? first_offset : from > end_offset ? end_offset : from;
    return t->source->ops->seek(t->source, partition, from, err);
}

static enum status open_topic(struct topic_tail *t, const struct place *place, struct error *err)
{
    uint32_t count = 0;
    int64_t only = t->tail->partition;
    enum status status = place_open_source(place, &t->source, err);
    if (status != STATUS_OK) {
        return status;
    }
    t->partitions = t->source->ops->partitions(t->source, &count);
    if (only >= count) {
        return error_set(err, STATUS_CONFIG, "use.value",
                         "'%s' has the partitions 0 to %u, no partition %lld", place->name,
                         count - 1, (long long)only);
    }
    t->cursors = memory_alloc_zero(count, sizeof *t->cursors);
    for (uint32_t i = 0; i < count && status == STATUS_OK; i++) {
        status = only < 0 || only == i ? open_cursor(t, i, err) : STATUS_OK;
    }
    return status;
}

static void close_topic(struct topic_tail *t)
{
    for (uint32_t i = 0; i < t->count; i++) {
        batch_free(t->cursors[i].batch);
    }
    memory_free(t->cursors);
    if (t->source != NULL) {
        t->source->ops->close(t->source);
    }
}

static enum status tail_topic(struct tail *tail, const struct place *place, struct error *err)
{
    struct topic_tail t = {.tail = tail};
    enum status status = open_topic(&t, place, err);
    if (status == STATUS_OK) {
        status = print_merged(&t, err);
    }
    while (status == STATUS_OK && tail->follow && !is_done(tail)) {
        fflush(stdout);
        t.source->ops->wait(t.source, FOLLOW_WAIT_US);
        status = print_merged(&t, err);
    }
    close_topic(&t);
    return status;
}

/* --- files and standard input --- */

static int64_t first_byte(const struct tail *t, const struct lines *lines)
{
    int64_t total = lines_total_bytes(lines);
    return t->from == FROM_EARLIEST ? 0 : t->from == FROM_LATEST ? total : t->from;
}

static void print_lines(struct tail *t, struct lines *lines, const char *path, int64_t from)
{
    struct record record = {.timestamp_us = TIME_NEVER};
    record.offset = lines_offset(lines);
    while (!is_done(t) && lines_next(lines, &record.value)) {
        if (record.offset >= from) {
            print_record(t, path, 0, &record);
        }
        record.offset = lines_offset(lines);
    }
}

static enum status tail_lines(struct tail *t, const char *path, struct error *err)
{
    struct lines *lines = NULL;
    struct watch *watch = NULL;
    enum status status = lines_open(path, &lines, err);
    if (status == STATUS_OK && t->follow && lines_total_bytes(lines) >= 0) {
        lines_follow(lines);
        status = watch_open(&path, 1, &watch, err);
    }
    if (status != STATUS_OK) {
        lines_close(lines);
        return status;
    }
    int64_t from = first_byte(t, lines);
    while (status == STATUS_OK && !lines_at_end(lines) && !is_done(t)) {
        status = lines_fill(lines, err);
        if (status == STATUS_RETRY && stop_requested()) {
            error_clear(err);
            status = STATUS_OK;
            break;
        }
        if (status == STATUS_OK) {
            print_lines(t, lines, path, from);
        }
        if (status == STATUS_OK && lines_is_dry(lines) && watch != NULL) {
            fflush(stdout);
            watch_wait(watch, FOLLOW_WAIT_US);
        } else if (lines_total_bytes(lines) < 0) {
            fflush(stdout);
        }
    }
    if (watch != NULL) {
        watch_close(watch);
    }
    lines_close(lines);
    return status;
}

static enum status tail_files(struct tail *t, const struct place *place, struct error *err)
{
    struct arena *arena = arena_new(16 * 1024);
    const char **paths = NULL;
    size_t count = 0;
    bool is_folder = false;
    enum status status = place_files(arena, place, &paths, &count, &is_folder, err);
    if (status == STATUS_OK && is_folder && (t->follow || t->from != FROM_EARLIEST)) {
        status = error_set(err, STATUS_CONFIG, "use.option",
                           "%s is a folder of parts: --follow and --from are for a topic or one "
                           "file",
                           place->path);
    }
    for (size_t i = 0; i < count && status == STATUS_OK && !is_done(t); i++) {
        status = tail_lines(t, paths[i], err);
    }
    arena_free(arena);
    return status;
}

/* --- tables --- */

static enum status print_row(void *context, const struct place_row *row, bool *out_done,
                             struct error *err)
{
    (void)err;
    struct tail *t = context;
    if (contains(row->value, t->needle)) {
        fwrite(row->value.data, 1, row->value.size, stdout);
        fputc('\n', stdout);
        t->left--;
    }
    *out_done = is_done(t);
    return STATUS_OK;
}

/* --- arguments --- */

static enum status read_from(const struct cli_arguments *arguments, struct tail *t,
                             struct error *err)
{
    const char *text = cli_value(arguments, "from");
    t->from_us = TIME_NEVER;
    if (text == NULL || strcmp(text, "earliest") == 0 || strcmp(text, "latest") == 0) {
        t->from = text != NULL && text[0] == 'l' ? FROM_LATEST : FROM_EARLIEST;
        return STATUS_OK;
    }
    char *end = NULL;
    long long offset = strtoll(text, &end, 10);
    if (end != text && *end == '\0' && offset >= 0) {
        t->from = offset;
        return STATUS_OK;
    }
    t->from = FROM_EARLIEST;
    return time_parse_rfc3339(bytes_of_string(text), &t->from_us)
               ? STATUS_OK
               : error_set(err, STATUS_CONFIG, "use.value",
                           "--from takes earliest, latest, an offset or a time such as "
                           "2026-01-31T12:00:00Z, not '%s'",
                           text);
}

static enum status read_arguments(const struct cli_arguments *arguments, struct tail *t,
                                  struct error *err)
{
    enum status status = read_from(arguments, t, err);
    if (status == STATUS_OK) {
        status = cli_integer(arguments, "partition", 0, INT32_MAX, -1, &t->partition, err);
    }
    if (status == STATUS_OK) {
        status = cli_integer(arguments, "count", 1, INT64_MAX, INT64_MAX, &t->left, err);
    }
    t->follow = cli_given(arguments, "follow");
    t->headers = cli_given(arguments, "headers");
    t->json = cli_given(arguments, "json");
    if (cli_given(arguments, "key")) {
        t->key = bytes_of_string(cli_value(arguments, "key"));
    }
    if (cli_given(arguments, "where-value")) {
        t->needle = bytes_of_string(cli_value(arguments, "where-value"));
    }
    return status;
}

/* What a place does not have cannot be asked of it. */
static enum status check_arguments(const struct cli_arguments *arguments, const struct tail *t,
                                   const struct place *place, struct error *err)
{
    static const char *const of_topics[] = {"partition", "headers", "key"};
    static const char *const of_streams[] = {"follow", "from"};
    bool is_topic = place->kind == PLACE_TOPIC || place->kind == PLACE_REMOTE;
    if (t->from_us != TIME_NEVER && !is_topic) {
        return error_set(err, STATUS_CONFIG, "use.option",
                         "--from a time is for topics; the records of '%s' have none",
                         place->text);
    }
    for (uint32_t i = 0; i < 3 && !is_topic; i++) {
        if (cli_given(arguments, of_topics[i])) {
            return error_set(err, STATUS_CONFIG, "use.option",
                             "--%s is for topics; the records of '%s' have none", of_topics[i],
                             place->text);
        }
    }
    for (uint32_t i = 0; i < 2 && place->kind == PLACE_TABLE; i++) {
        if (cli_given(arguments, of_streams[i])) {
            return error_set(err, STATUS_CONFIG, "use.option",
                             "--%s is for topics and files; '%s' is a table", of_streams[i],
                             place->text);
        }
    }
    return STATUS_OK;
}

static enum status tail_place(struct tail *t, const struct place *place, struct error *err)
{
    switch (place->kind) {
    case PLACE_TOPIC:
    case PLACE_REMOTE:
        return tail_topic(t, place, err);
    case PLACE_TABLE:
        return place_each_row(place, print_row, t, err);
    case PLACE_FILE:
    case PLACE_STREAM:
        break;
    }
    return tail_files(t, place, err);
}

static enum status run(const struct cli_arguments *arguments, struct error *err)
{
    struct arena *arena = arena_new(4096);
    struct tail t = {0};
    struct place place = {0};
    enum status status = read_arguments(arguments, &t, err);
    if (status == STATUS_OK) {
        status = place_parse(arena, arguments->positional[0], &place, err);
    }
    if (status == STATUS_OK) {
        status = check_arguments(arguments, &t, &place, err);
    }
    if (status == STATUS_OK) {
        status = tail_place(&t, &place, err);
    }
    buffer_fini(&t.line);
    arena_free(arena);
    return status;
}

static const struct cli_option options[] = {
    {"from", "earliest|latest|OFFSET|TIME", "earliest unless given; the offset in a file is a byte; "
                                            "a time is that of the records"},
    {"partition", "N", "only that partition"},
    {"count", "N", "stop after so many"},
    {"follow", NULL, "wait for more at the end"},
    {"key", "KEY", "only records with that key"},
    {"where-value", "TEXT", "only records whose value has that text in it"},
    {"headers", NULL, "headers and a tab before each value"},
    {"json", NULL, "one JSON object per record, with topic, offset, key and headers"},
    {0},
};

const struct cli_verb verb_tail = {
    .name = "tail",
    .arguments = "PLACE [--from WHERE] [--partition N] [--count N] [--follow] [--json]",
    .summary = "print the records of a place",
    .details =
        "Prints the value of each record and a line break, as the bytes are; partitions are\n"
        "joined in the order in which the records were appended. PLACE is local:PATH#topic,\n"
        "kafka://HOST:PORT/topic, file:PATH, - or a place of a pipeline file, P.yaml:source,\n"
        "P.yaml:dlq or P.yaml:SINK; the rows of a table are printed as JSON objects. Of brokers\n"
        "committed records are printed, never those of transactions that were aborted.",
    .options = options,
    .least = 1,
    .most = 1,
    .run = run,
};
