/* weir produce: lines into a topic, each exactly once where the producer has an id.
 * */
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "cli/bar.h"
#include "cli/input_digest.h"
#include "cli/lines.h"
#include "cli/place.h"
#include "cli/produce_remote.h"
#include "cli/spool.h"
#include "cli/topic_writer.h"
#include "cli/verbs.h"
#include "codec/json.h"
#include "os/clock.h"
#include "os/thread.h"

#define INTERVAL_OTHERWISE_US (100 * INT64_C(1000))
#define RECORD_MAX_BYTES ((size_t)1 << 30)

struct producer {
    struct topic_writer *writer;   /* one of the two; that of the spool where there is one */
    struct produce_remote *remote;
    struct spool *spool;           /* NULL without one */
    const char *topic_name;
    struct lines *lines;
    struct bar bar;
    int64_t interval_us;
    int64_t committed_us; /* when the last commit was, or the first line came */

    /* With --key: the field as the only column of a batch of lines. */
    struct field field;
    struct layout layout;
    struct json_decoder *decoder;
    struct batch *batch;
    bool has_tombstones;     /* a line only says its key */
    uint32_t free_partition; /* of records without a key, for now */

    /* With --producer-id: how far the input is in. */
    const char *id;
    int64_t committed_sequence; /* as the log has it */
    struct hash128 committed_digest;
    int64_t sequence; /* lines taken */
    struct hash128 digest;
    uint64_t skipped_count;
    uint64_t record_count; /* committed */
};

/* --- keys --- */

/* Texts are their own key, other values by their JSON text; null and what is no JSON object have
 * none. */
static struct bytes key_of(const struct producer *p, uint32_t row)
{
    if (p->batch->columns[0].cells[row] != CELL_VALUE) {
        return BYTES_NONE;
    }
    struct bytes raw = p->batch->columns[0].texts[row];
    if (raw.data[0] != '"') {
        return raw;
    }
    return json_value(p->batch->arena, raw).text;
}

static uint32_t partition_of(const struct producer *p, struct bytes key)
{
    uint32_t partitions = topic_writer_topic(p->writer)->partitions;
    return bytes_is_none(key) ? p->free_partition : hash_partition(key, partitions);
}

static void append(struct producer *p, struct bytes key, struct bytes value)
{
    if (p->remote != NULL) {
        produce_remote_append(p->remote, key, value, TIME_NEVER);
        return;
    }
    uint32_t partition = partition_of(p, key);
    bool is_full = topic_writer_append(p->writer, partition, key, value, NULL, 0);
    if (is_full && partition == p->free_partition) {
        p->free_partition = (partition + 1) % topic_writer_topic(p->writer)->partitions;
    }
}

/* The lines that wait for their keys. */
static void append_batch(struct producer *p)
{
    json_decode(p->decoder, p->batch);
    for (uint32_t row = 0; row < p->batch->row_count; row++) {
        append(p, key_of(p, row), p->has_tombstones ? BYTES_NONE : p->batch->records[row].value);
    }
    batch_reset(p->batch, 0, 0);
}

static void take_line(struct producer *p, struct bytes line)
{
    if (p->decoder == NULL) {
        append(p, BYTES_NONE, line);
        return;
    }
    struct record *record = batch_append_record(p->batch);
    record->value = line;
    if (p->batch->row_count == BATCH_ROWS_MAX) {
        append_batch(p);
    }
}

/* --- exactly once --- */

static enum status refuse_input(const struct producer *p, const char *what, struct error *err)
{
    return error_set(err, STATUS_CONFIG, "produce.other_input",
                     "%lld lines are in %s under the producer id '%s', and %s: it is another "
                     "input, or it was changed. Nothing was added. Give the same input again, or "
                     "another --producer-id",
                     (long long)p->committed_sequence, p->topic_name, p->id,
                     what);
}

/* True for a line that is in already. */
static bool skip_line(struct producer *p, struct bytes line, bool *out_differs)
{
    bool is_in = p->sequence < p->committed_sequence;
    p->sequence++;
    p->digest = input_digest_extend(p->digest, line);
    *out_differs = p->sequence == p->committed_sequence &&
                   !hash_equal(p->digest, p->committed_digest);
    p->skipped_count += is_in;
    return is_in;
}

/* The producer's own position must still be the one that this process left: two of one id would
 * double their lines. */
static enum status write_position(void *context, struct error *err)
{
    struct producer *p = context;
    struct locallog *log = topic_writer_log(p->writer);
    const struct locallog_topic *topic = topic_writer_topic(p->writer);
    int64_t sequence = 0;
    struct hash128 digest;
    enum status status = locallog_producer_read(log, p->id, topic, &sequence, &digest, err);
    if (status != STATUS_OK) {
        return status;
    }
    if (sequence != p->committed_sequence || !hash_equal(digest, p->committed_digest)) {
        return error_set(err, STATUS_FENCED, "produce.two_at_once",
                         "another process produces under the id '%s' at this moment; what this one "
                         "committed is in once. Let one of them run to its end",
                         p->id);
    }
    return locallog_producer_write(log, p->id, topic, p->sequence, p->digest, err);
}

static uint64_t pending_count(const struct producer *p)
{
    return p->remote != NULL ? produce_remote_count(p->remote)
                             : topic_writer_pending_count(p->writer);
}

static enum status commit(struct producer *p, struct error *err)
{
    uint64_t count = pending_count(p);
    p->committed_us = clock_monotonic_us();
    if (count == 0) {
        return STATUS_OK;
    }
    enum status status =
        p->remote != NULL
            ? produce_remote_commit(p->remote, p->sequence, p->digest, err)
            : topic_writer_commit(p->writer, p->id == NULL ? NULL : write_position, p, err);
    if (status != STATUS_OK) {
        return status;
    }
    p->committed_sequence = p->sequence;
    p->committed_digest = p->digest;
    p->record_count += count;
    if (p->writer != NULL) {
        p->free_partition = (p->free_partition + 1) % topic_writer_topic(p->writer)->partitions;
    }
    return p->spool == NULL ? STATUS_OK : spool_notify(p->spool, err);
}

/* --- the way through the input --- */

/* All lines that are there; they dangle after the next fill, so none is left behind. */
static enum status take_lines(struct producer *p, struct error *err)
{
    struct bytes line;
    while (lines_next(p->lines, &line)) {
        bool differs = false;
        bool is_in = p->id != NULL && skip_line(p, line, &differs);
        if (differs) {
            return refuse_input(p, "the first lines of this one are others", err);
        }
        if (!is_in) {
            take_line(p, line);
        }
    }
    if (p->batch != NULL && p->batch->row_count > 0) {
        append_batch(p);
    }
    return STATUS_OK;
}

static bool is_due(const struct producer *p)
{
    const size_t bytes = p->remote != NULL ? produce_remote_bytes(p->remote)
                                           : topic_writer_pending_bytes(p->writer);
    return bytes >= TOPIC_WRITER_BYTES ||
           clock_monotonic_us() - p->committed_us >= p->interval_us;
}

/* Waits for more lines no longer than what is pending may wait. */
static enum status wait_for_lines(struct producer *p, struct error *err)
{
    if (pending_count(p) == 0) {
        return STATUS_OK;
    }
    int64_t left_us = p->committed_us + p->interval_us - clock_monotonic_us();
    return lines_ready(p->lines, left_us > 0 ? left_us : 0) ? STATUS_OK : commit(p, err);
}

static void show_progress(struct producer *p)
{
    int64_t total = lines_total_bytes(p->lines);
    double share = total <= 0 ? -1 : (double)lines_offset(p->lines) / (double)total;
    bar_show(&p->bar, p->record_count + p->skipped_count, share);
}

/* Standard input may make it wait; a stop ends that. */
static enum status fill(struct producer *p, bool *out_stopped, struct error *err)
{
    *out_stopped = stop_requested();
    if (*out_stopped) {
        return STATUS_OK;
    }
    enum status status = lines_fill(p->lines, err);
    if (status == STATUS_RETRY && stop_requested()) {
        error_clear(err);
        *out_stopped = true;
        return STATUS_OK;
    }
    return status;
}

/* Until the input ends or a stop is asked for: *out_stopped. */
static enum status produce_lines(struct producer *p, bool *out_stopped, struct error *err)
{
    enum status status = STATUS_OK;
    while (status == STATUS_OK && !*out_stopped && !lines_at_end(p->lines)) {
        status = wait_for_lines(p, err);
        if (status == STATUS_OK) {
            status = fill(p, out_stopped, err);
        }
        if (status == STATUS_OK && !*out_stopped) {
            status = take_lines(p, err);
        }
        if (status == STATUS_OK && is_due(p)) {
            status = commit(p, err);
        }
        show_progress(p);
    }
    if (status == STATUS_OK) {
        status = commit(p, err);
    }
    if (status == STATUS_OK && !*out_stopped && p->sequence < p->committed_sequence) {
        char what[64];
        snprintf(what, sizeof what, "this one has only %lld", (long long)p->sequence);
        status = refuse_input(p, what, err);
    }
    return status;
}

static void print_result(const struct producer *p)
{
    char count[27];
    struct buffer where = {0};
    if (p->remote != NULL || p->spool != NULL) {
        buffer_append_string(&where, p->topic_name);
    } else {
        topic_writer_describe(p->writer, &where);
    }
    fprintf(stderr, "%s record%s into %s", cli_count(p->record_count, count),
            p->record_count == 1 ? "" : "s", buffer_string(&where));
    if (p->skipped_count > 0) {
        fprintf(stderr, "; %s were in already", cli_count(p->skipped_count, count));
    }
    fputc('\n', stderr);
    buffer_fini(&where);
}

/* The lines of the spool, those of this input among them. Brokers that are away are no failure of this
 * command: what it was given is kept. Where it was given nothing, handing on was all there was to do. */
static enum status finish_spool(struct producer *p, const char *path, struct error *err)
{
    char count[27];
    struct spool_result result = {0};
    struct error failure = {0};
    enum status status = spool_finish(p->spool, &result, &failure);
    if (result.drained + result.refused > p->record_count) {
        fprintf(stderr, "%s more that had waited in %s\n",
                cli_count(result.drained + result.refused - p->record_count, count), path);
    }
    if (result.refused > 0) {
        fprintf(stderr, "%s record%s of these %s set aside in %s: the topic does not take %s\n",
                cli_count(result.refused, count), result.refused == 1 ? "" : "s",
                result.refused == 1 ? "is" : "are", path, result.refused == 1 ? "it" : "them");
    }
    if (result.left > 0) {
        fprintf(stderr,
                "%s record%s in %s until the brokers of '%s' are there: produce with this "
                "spool hands them on, whatever its input\n",
                cli_count(result.left, count), result.left == 1 ? " waits" : "s wait", path,
                p->topic_name);
    }
    const bool is_kept = status == STATUS_RETRY && (p->record_count > 0 || result.left == 0);
    return status == STATUS_OK || is_kept
               ? STATUS_OK
               : error_set(err, status, failure.code, "%s", failure.message);
}

/* --- beginning --- */

/* Records without a key go to the partition first that has the fewest. */
static enum status choose_partition(struct producer *p, struct error *err)
{
    const struct locallog_topic *topic = topic_writer_topic(p->writer);
    int64_t least = INT64_MAX;
    for (uint32_t i = 0; i < topic->partitions; i++) {
        int64_t first_offset = 0;
        int64_t next_offset = 0;
        enum status status = locallog_bounds(topic_writer_log(p->writer), topic, i, &first_offset,
                                             &next_offset, err);
        if (status != STATUS_OK) {
            return status;
        }
        if (next_offset < least) {
            least = next_offset;
            p->free_partition = i;
        }
    }
    return STATUS_OK;
}

static void set_key(struct producer *p, const char *name)
{
    static const struct json_options json = {.max_record_bytes = RECORD_MAX_BYTES,
                                             .repeated_key = JSON_REPEATED_KEY_LAST};
    p->field = (struct field){.name = name,
                              .name_size = (uint32_t)strlen(name),
                              .path = name,
                              .type = COLUMN_JSON,
                              .parent = FIELD_NONE};
    p->layout =
        (struct layout){.fields = &p->field, .field_count = 1, .schema_field_count = 1};
    p->decoder = json_decoder_new(&p->layout, &json);
    p->batch = batch_new(&p->layout);
    batch_reset(p->batch, 0, 0);
}

static enum status read_interval(const struct cli_arguments *arguments, int64_t *out,
                                 struct error *err)
{
    const char *text = cli_value(arguments, "batch-interval");
    *out = INTERVAL_OTHERWISE_US;
    if (text != NULL && !duration_parse(text, out)) {
        return error_set(err, STATUS_CONFIG, "use.value",
                         "--batch-interval takes a duration such as 100ms or 2s, not '%s'", text);
    }
    return STATUS_OK;
}

static enum status open_local(struct producer *p, const struct place *place, uint32_t partitions,
                              struct error *err)
{
    enum status status =
        topic_writer_create(place->path, place->name, partitions, &p->writer, err);
    if (status == STATUS_OK) {
        status = choose_partition(p, err);
    }
    if (status == STATUS_OK && p->id != NULL) {
        status = locallog_producer_read(topic_writer_log(p->writer), p->id,
                                        topic_writer_topic(p->writer), &p->committed_sequence,
                                        &p->committed_digest, err);
    }
    return status;
}

static enum status open_remote(struct producer *p, const struct place *place, uint32_t partitions,
                               struct error *err)
{
    static const struct produce_patience patience = {.meanwhile = "repeating until it works"};
    enum status status =
        produce_remote_open(place, p->id, partitions, &patience, &p->remote, err);
    return status == STATUS_OK ? produce_remote_position(p->remote, &p->committed_sequence,
                                                         &p->committed_digest, err)
                               : status;
}

static enum status open_spool(struct producer *p, const char *path, const struct place *place,
                              uint32_t partitions, struct error *err)
{
    if (place->kind != PLACE_REMOTE) {
        return error_set(err, STATUS_CONFIG, "use.option",
                         "--spool is for topics of brokers: '%s' is in a file itself", place->text);
    }
    enum status status = spool_open(path, place, p->id, partitions, &p->spool, err);
    if (status != STATUS_OK) {
        return status;
    }
    p->writer = spool_writer(p->spool);
    return p->id == NULL ? STATUS_OK
                         : locallog_producer_read(topic_writer_log(p->writer), p->id,
                                                  topic_writer_topic(p->writer),
                                                  &p->committed_sequence, &p->committed_digest,
                                                  err);
}

static enum status open_place(struct producer *p, const struct cli_arguments *arguments,
                              const struct place *place, uint32_t partitions, struct error *err)
{
    const char *spool = cli_value(arguments, "spool");
    p->topic_name = place->name;
    if (spool != NULL) {
        return open_spool(p, spool, place, partitions, err);
    }
    return place->kind == PLACE_REMOTE ? open_remote(p, place, partitions, err)
                                       : open_local(p, place, partitions, err);
}

static enum status open_all(struct producer *p, const struct cli_arguments *arguments,
                            const struct place *place, struct error *err)
{
    int64_t partitions = 0;
    enum status status = read_interval(arguments, &p->interval_us, err);
    if (status == STATUS_OK && cli_given(arguments, "tombstones") && !cli_given(arguments, "key")) {
        status = error_set(err, STATUS_CONFIG, "use.option",
                           "--tombstones writes keys without values: say with --key which member of a "
                           "line is the key");
    }
    p->id = cli_value(arguments, "producer-id");
    if (status == STATUS_OK && p->id != NULL && p->id[0] == '\0') {
        status = error_set(err, STATUS_CONFIG, "use.value", "--producer-id takes a name");
    }
    if (status == STATUS_OK) {
        status = cli_integer(arguments, "partitions", 1, LOCALLOG_PARTITIONS_MAX, 0, &partitions,
                             err);
    }
    if (status == STATUS_OK) {
        const char *input = arguments->count > 1 ? arguments->positional[1] : "-";
        status = lines_open(input, &p->lines, err);
    }
    if (status == STATUS_OK) {
        status = open_place(p, arguments, place, (uint32_t)partitions, err);
    }
    if (cli_given(arguments, "key")) {
        set_key(p, cli_value(arguments, "key"));
    }
    p->has_tombstones = cli_given(arguments, "tombstones");
    return status;
}

static void close_all(struct producer *p)
{
    json_decoder_free(p->decoder);
    batch_free(p->batch);
    lines_close(p->lines);
    if (p->spool == NULL) {
        topic_writer_close(p->writer);
    }
    spool_close(p->spool);
    produce_remote_close(p->remote);
}

/* Standard input has no end but that; the rest of a file is still to come. */
static enum status say_stopped(const struct producer *p, struct error *err)
{
    if (lines_total_bytes(p->lines) < 0) {
        return STATUS_OK;
    }
    return error_set(err, STATUS_RETRY, "produce.stopped",
                     "stopped before the end of the file%s",
                     p->id == NULL ? "; with --producer-id the same command would go on here"
                                   : "; the same command goes on here");
}

static enum status produce(const struct cli_arguments *arguments, struct error *err)
{
    struct arena *arena = arena_new(4096);
    struct producer p = {0};
    struct place place = {0};
    bool stopped = false;
    enum status status =
        place_parse_topics(arena, arguments->positional[0], "produce", &place, err);
    if (status == STATUS_OK) {
        status = place_require_name(&place, err);
    }
    if (status == STATUS_OK) {
        status = open_all(&p, arguments, &place, err);
    }
    if (status == STATUS_OK) {
        bar_init(&p.bar);
        p.committed_us = clock_monotonic_us();
        status = produce_lines(&p, &stopped, err);
        bar_clear(&p.bar);
        print_result(&p);
        if (p.spool != NULL) {
            status = status == STATUS_OK ? finish_spool(&p, cli_value(arguments, "spool"), err) : status;
        }
    }
    if (status == STATUS_OK && stopped) {
        status = say_stopped(&p, err);
    }
    close_all(&p);
    arena_free(arena);
    return status;
}

static const struct cli_option options[] = {
    {"key", "FIELD", "the member of a JSON line whose value becomes the key"},
    {"tombstones", NULL, "with --key: records without a value, which delete what has that key"},
    {"partitions", "N", "of a topic that is made; 3 unless given, of brokers as many as they make"},
    {"producer-id", "ID", "the same input again under this id adds nothing twice"},
    {"batch-interval", "TIME", "commit at least so often; 100ms unless given"},
    {"spool", "FILE", "lines go into this local log first, and from there to the brokers"},
    {0},
};

const struct cli_verb verb_produce = {
    .name = "produce",
    .arguments = "PLACE [FILE] [--key FIELD] [--partitions N] [--producer-id ID] [--spool FILE]",
    .summary = "write lines into a topic",
    .details =
        "Every line of FILE (or standard input) becomes a record of the topic PLACE, written\n"
        "local:PATH#topic or kafka://HOST:PORT/topic, or named by a pipeline file: P.yaml:source.\n"
        "What is missing is made. With --key the partition follows from the key, as Java's clients\n"
        "of Kafka choose it; lines without one are spread. With --tombstones too each record is that\n"
        "key without a value: what deletes it where a pipeline says 'tombstones: delete'.\n"
        "With --producer-id it may be killed at any time and repeated with the same input:\n"
        "every line is in once. On a full disk it waits until there is space, and while brokers are\n"
        "away until they are back. Brokers get the lines in transactions.\n"
        "With --spool it does not wait for brokers: every line goes into FILE (a local log, made when\n"
        "it is missing), and from there to the topic in the same order, once, and is deleted. What is\n"
        "left there when brokers are away goes with the next produce that has the same spool.",
    .options = options,
    .least = 1,
    .most = 2,
    .run = produce,
};
