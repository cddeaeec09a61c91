/*
 * weir dlq replay: dead letters into the source again, each once.
 *
 * A dead letter goes to its origin's own partition, as it came, mended by --set, with the header
 * `weir.replay` (stage/replay.c reads it); the source's connector writes it, each once
 * (connector/injector.h).
 */
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "cli/dlq.h"
#include "cli/letters.h"
#include "cli/place.h"
#include "codec/json.h"
#include "codec/json_items.h"
#include "connector/injector.h"
#include "connector/registry.h"
#include "os/clock.h"
#include "os/thread.h"

#define CHUNK_LETTERS 1000
/* What the headers of a replay and a batch around it take at most, next to the letter's own. */
#define REPLAY_HEADERS_BYTES 1024u
#define CHUNK_BYTES ((size_t)4 << 20)
/* As deep as a pipeline can be told to read. */
#define DEPTH_MAX 1000
#define PATIENCE_US (60 * TIME_US_PER_SECOND)
#define PAUSE_US (TIME_US_PER_SECOND / 5)
#define FIELDS_MAX (CLI_REPEATS_MAX * 8)

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

    struct injector *injector;

    struct arena *arena; /* of the chunk */
    struct dead_letter *chunk;
    uint32_t chunk_count;
    size_t chunk_bytes;

    struct counts counts;
    uint64_t elsewhere_count; /* left out: of another pipeline or topic */
    uint64_t older_count;     /* left out: of a topic that was deleted */
    uint64_t reference_count; /* left out: their value is not in them */
    uint64_t large_count;     /* left out: the source takes none of that size */
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
        return error_set(err, STATUS_CONFIG, "use.value", "--set takes FIELD=JSON, not '%s'", text);
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
        can = !bytes_is_none(find_object(arena, &mending->layout, value, mending->edits[i].field));
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

/* --- injecting --- */

static enum status inject(struct replay *r, const struct dead_letter *letter, struct error *err)
{
    struct record_header *headers =
        arena_alloc_zero(r->arena, letter->header_count + 1u, sizeof *headers);
    if (letter->header_count > 0) {
        memcpy(headers, letter->headers, letter->header_count * sizeof *headers);
    }
    const char *origin = arena_printf(r->arena, "%s %s %lld %u%s%s", letter->topic,
                                      letter->partition, (long long)letter->offset, letter->attempt,
                                      letter->sink[0] == '\0' ? "" : " ", letter->sink);
    headers[letter->header_count].name = bytes_of_string("weir.replay");
    headers[letter->header_count].value = bytes_of_string(origin);
    struct dead_letter injected = *letter;
    injected.headers = headers;
    injected.header_count++;
    return r->injector->ops->append(r->injector, &injected, err);
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
    for (uint32_t i = 0;
         i < r->chunk_count && status == STATUS_OK && counts->replayed < (uint64_t)r->limit; i++) {
        bool is_new = false;
        status = r->injector->ops->claim(r->injector, &r->chunk[i], &is_new, err);
        if (status != STATUS_OK) {
            break;
        }
        counts->selected++;
        counts->before += !is_new;
        counts->replayed += is_new;
        if (is_new && r->dry_run) {
            print_letter(&r->chunk[i]);
        } else if (is_new) {
            status = inject(r, &r->chunk[i], err);
        }
    }
    return status;
}

/* Brokers may be away for a moment; whether a commit whose answer was lost is in is asked, not
 * guessed. */
static enum status commit_patiently(struct replay *r, struct error *err)
{
    const int64_t end_us = clock_monotonic_us() + PATIENCE_US;
    enum status status = r->injector->ops->commit(r->injector, err);
    while (status == STATUS_RETRY && r->injector->ops->asks_again &&
           clock_monotonic_us() < end_us && !stop_requested()) {
        error_clear(err);
        clock_sleep_us(PAUSE_US);
        status = r->injector->ops->commit(r->injector, err);
    }
    return status;
}

static enum status replay_in_transaction(struct replay *r, struct counts *counts, struct error *err)
{
    const struct injector_ops *ops = r->injector->ops;
    enum status status = ops->begin(r->injector, err);
    if (status == STATUS_OK) {
        status = replay_letters(r, counts, err);
    }
    if (status == STATUS_OK) {
        status = commit_patiently(r, err);
    }
    if (status != STATUS_OK) {
        ops->rollback(r->injector);
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
    return end != label && *end == '\0' && label[0] != '-' && number < r->injector->partitions;
}

/* It was too large for its place, and went there without its value. */
static bool is_reference(const struct dead_letter *letter)
{
    for (uint32_t i = letter->header_count; i > 0; i--) {
        const struct record_header *header = &letter->headers[i - 1];
        if (bytes_equal_string(header->name, "weir.value")) {
            return bytes_is_none(letter->value) && bytes_equal_string(header->value, "reference");
        }
    }
    return false;
}

/* What came compressed may be more than the source takes of one record. */
static bool is_too_large(const struct replay *r, const struct dead_letter *letter)
{
    size_t size = letter->key.size + letter->value.size + REPLAY_HEADERS_BYTES;
    for (uint32_t i = 0; i < letter->header_count; i++) {
        size += letter->headers[i].name.size + letter->headers[i].value.size;
    }
    return r->injector->most_bytes > 0 && size > (size_t)r->injector->most_bytes;
}

/* Whether it is one of those that are asked for; those that cannot be sent are counted. */
static bool is_selected(struct replay *r, const struct dead_letter *letter)
{
    if (r->reason != NULL && strcmp(letter->reason, r->reason) != 0) {
        return false;
    }
    if (strcmp(letter->pipeline, r->pipeline) != 0 ||
        strcmp(letter->topic, r->injector->topic) != 0 || !is_partition(r, letter->partition)) {
        r->elsewhere_count++;
        return false;
    }
    /* Records have their time in milliseconds. */
    if (letter->timestamp_us != TIME_NEVER && r->injector->created_us != TIME_NEVER &&
        letter->timestamp_us < r->injector->created_us - r->injector->created_us % 1000) {
        r->older_count++;
        return false;
    }
    if (is_reference(letter)) {
        r->reference_count++;
        return false;
    }
    if (is_too_large(r, letter)) {
        r->large_count++;
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
        .value =
            r->mending.edit_count > 0 ? mend(r, letter->value) : copy_bytes(arena, letter->value),
        .headers = headers,
        .header_count = letter->header_count,
        .reason = arena_copy_string(arena, letter->reason),
        .field = arena_copy_string(arena, letter->field),
        .topic = r->injector->topic,
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
    return error_set(
        err, STATUS_CONFIG, "dlq.source",
        "the source of %s is %s, into which dead letters cannot be replayed; 'weir dlq "
        "show %s --json' gives them to whatever feeds it",
        pipeline,
        source->kind == PLACE_STREAM   ? "standard input"
        : source->kind == PLACE_REMOTE ? "a topic of a service"
                                       : "a file",
        pipeline);
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
    print_left_out(r->reference_count,
                   "that were too large and went without their value (weir.value: reference)");
    print_left_out(r->large_count,
                   "that are larger than a record of the source may be (max.message.bytes)");
    print_left_out(r->unmended_count,
                   "whose value is no JSON object, or lacks the object that --set changes");
}

static enum status read_places(struct arena *arena, const char *pipeline, struct place *source,
                               struct place *dlq, struct error *err)
{
    enum status status = place_of_pipeline(arena, pipeline, "source", source, err);
    const bool is_topic = source->kind == PLACE_TOPIC || source->kind == PLACE_REMOTE;
    if (status == STATUS_OK && (!is_topic || !registry_source(source->connector)->can_inject)) {
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
        status = registry_source(source.connector)
                     ->injector->open(source.config, source.folder, source.pipeline, r->dry_run,
                                      &r->injector, err);
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
    if (r->injector != NULL) {
        r->injector->ops->close(r->injector);
    }
    memory_free(r->chunk);
    arena_free(r->arena);
    memory_free(r);
    arena_free(arena);
    return status;
}
