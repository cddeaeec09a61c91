/* weir gen: a dirty workload, and what should become of it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "cli/bar.h"
#include "cli/output.h"
#include "cli/place.h"
#include "cli/topic_writer.h"
#include "cli/verbs.h"
#include "gen/truth.h"
#include "gen/workload.h"
#include "os/clock.h"
#include "os/thread.h"

/* Larger transactions than others make: nobody waits for the first record. */
#define COMMIT_BYTES (4 * TOPIC_WRITER_BYTES)
#define TRUTH_BLOCK_BYTES ((size_t)256 * 1024)
/* With --rate: how often what is pending is committed, and how long a sleep may be. */
#define PACED_INTERVAL_US (100 * INT64_C(1000))
#define PACED_SLEEP_US (20 * INT64_C(1000))

struct generator {
    struct workload_options options;
    struct workload *workload;
    struct bar bar;
    double rate; /* of real time; 0: as fast as it goes */
    int64_t begin_us;
    int64_t committed_us;
    uint64_t record_count;

    struct topic_writer *writer; /* or else `file` */
    uint64_t *first_offsets;     /* per partition of the topic */
    bool had_records;
    struct output file;

    struct truth *truth; /* NULL: not wanted */
    struct output truth_file;
    struct buffer truth_lines;
    int64_t timestamp_us; /* for the truth: any moment after the last event will do */
    uint64_t verdicts[TRUTH_VERDICT_COUNT];
};

/* --- options --- */

static enum status read_number(const struct cli_arguments *arguments, const char *option,
                               double *out, struct error *err)
{
    const char *text = cli_value(arguments, option);
    if (text == NULL) {
        return STATUS_OK;
    }
    char *end = NULL;
    double number = strtod(text, &end);
    if (end == text || *end != '\0' || !isfinite(number) || number <= 0) {
        return error_set(err, STATUS_CONFIG, "use.value", "--%s takes a number above 0, not '%s'",
                         option, text);
    }
    *out = number;
    return STATUS_OK;
}

static enum status unknown_kind(const char *name, struct error *err)
{
    const char *names[WORKLOAD_KIND_COUNT];
    for (unsigned i = 0; i < WORKLOAD_KIND_COUNT; i++) {
        names[i] = workload_kind_name((enum workload_kind)i);
    }
    const char *nearest = string_nearest(name, names, WORKLOAD_KIND_COUNT);
    return error_set(err, STATUS_CONFIG, "use.value",
                     "--share: there is no kind '%s'%s%s%s; 'weir gen --help' lists them", name,
                     nearest == NULL ? "" : "; did you mean '", nearest == NULL ? "" : nearest,
                     nearest == NULL ? "" : "'?");
}

/* "late=2%", "all=0%" */
static enum status read_share(const char *text, struct workload_options *options,
                              struct error *err)
{
    char name[32] = "";
    double share = 0;
    const char *equals = strchr(text, '=');
    size_t size = equals == NULL ? 0 : (size_t)(equals - text);
    if (size == 0 || size >= sizeof name || !percent_parse(equals + 1, &share)) {
        return error_set(err, STATUS_CONFIG, "use.value",
                         "--share takes KIND=PERCENT such as late=2%% or all=0%%, not '%s'", text);
    }
    memcpy(name, text, size);
    if (strcmp(name, "all") == 0) {
        for (unsigned i = WORKLOAD_CLEAN + 1; i < WORKLOAD_KIND_COUNT; i++) {
            options->shares[i] = share;
        }
        return STATUS_OK;
    }
    enum workload_kind kind;
    if (!workload_kind_find(name, &kind) || kind == WORKLOAD_CLEAN) {
        return unknown_kind(name, err);
    }
    options->shares[kind] = share;
    return STATUS_OK;
}

static enum status read_counts(const struct cli_arguments *arguments,
                               struct workload_options *options, struct error *err)
{
    int64_t count = 0;
    int64_t seed = 0;
    int64_t sensors = 0;
    enum status status = cli_integer(arguments, "count", 0, INT64_C(1000000000000),
                                     (int64_t)options->record_count, &count, err);
    if (status == STATUS_OK) {
        status = cli_integer(arguments, "seed", 0, INT64_MAX, (int64_t)options->seed, &seed, err);
    }
    if (status == STATUS_OK) {
        status = cli_integer(arguments, "sensors", 1, WORKLOAD_SENSORS_MAX, options->sensor_count,
                             &sensors, err);
    }
    options->record_count = (uint64_t)count;
    options->seed = (uint64_t)seed;
    options->sensor_count = (uint32_t)sensors;
    return status;
}

/* The last event must lie before the moment of writing, or max_future would look at it. */
static enum status read_start(const struct cli_arguments *arguments,
                              struct workload_options *options, struct error *err)
{
    const char *text = cli_value(arguments, "start");
    int64_t now_us = clock_realtime_us();
    if (text != NULL && strcmp(text, "now") == 0) {
        options->first_event_time_us = workload_default_first_event_time_us(options, now_us);
    } else if (text != NULL &&
               !time_parse_rfc3339(bytes_of_string(text), &options->first_event_time_us)) {
        return error_set(err, STATUS_CONFIG, "use.value",
                         "--start takes a time such as 2026-01-31T12:00:00Z, or 'now', not '%s'",
                         text);
    }
    if (workload_last_event_time_us(options) > now_us) {
        char last[TIME_TEXT_BYTES];
        time_format(workload_last_event_time_us(options), last);
        return error_set(err, STATUS_CONFIG, "gen.start",
                         "the last event would be at %s, after this moment; '--start now' lets "
                         "the events end an hour ago, a higher --event-rate puts them closer "
                         "together",
                         last);
    }
    return STATUS_OK;
}

static enum status read_options(struct generator *g, const struct cli_arguments *arguments,
                                struct error *err)
{
    struct workload_options *options = &g->options;
    workload_options_init(options);
    enum status status = read_counts(arguments, options, err);
    if (status == STATUS_OK) {
        status = read_number(arguments, "event-rate", &options->rate_per_second, err);
    }
    if (status == STATUS_OK) {
        status = read_number(arguments, "rate", &g->rate, err);
    }
    uint32_t at = 0;
    const char *share = NULL;
    while (status == STATUS_OK && (share = cli_next_value(arguments, "share", &at)) != NULL) {
        status = read_share(share, options, err);
    }
    return status == STATUS_OK ? read_start(arguments, options, err) : status;
}

/* --- places --- */

static enum status open_topic(struct generator *g, const struct cli_arguments *arguments,
                              const struct place *place, struct error *err)
{
    int64_t partitions = 0;
    enum status status =
        cli_integer(arguments, "partitions", 1, LOCALLOG_PARTITIONS_MAX, 0, &partitions, err);
    if (status == STATUS_OK) {
        status = topic_writer_create(place->path, place->name, (uint32_t)partitions, &g->writer,
                                     err);
    }
    if (status != STATUS_OK) {
        return status;
    }
    const struct locallog_topic *topic = topic_writer_topic(g->writer);
    g->options.partition_count = topic->partitions;
    g->first_offsets = memory_alloc_zero(topic->partitions, sizeof *g->first_offsets);
    for (uint32_t i = 0; i < topic->partitions && status == STATUS_OK; i++) {
        int64_t first_offset = 0;
        int64_t next_offset = 0;
        status = locallog_bounds(topic_writer_log(g->writer), topic, i, &first_offset,
                                 &next_offset, err);
        g->first_offsets[i] = (uint64_t)next_offset;
        g->had_records = g->had_records || next_offset > 0;
    }
    return status;
}

static enum status check_truth(const struct cli_arguments *arguments, const struct place *place,
                               struct error *err)
{
    const char *path = cli_value(arguments, "truth");
    bool wants_json = cli_given(arguments, "json");
    if (path == NULL && !wants_json) {
        return STATUS_OK;
    }
    if (place->kind != PLACE_TOPIC || path == NULL) {
        return error_set(err, STATUS_CONFIG, "gen.truth",
                         "the truth names partitions and offsets: --truth FILE needs a topic as "
                         "PLACE, local:PATH#topic, and --json needs --truth");
    }
    if (strcmp(path, "-") == 0 && wants_json) {
        return error_set(err, STATUS_CONFIG, "gen.truth",
                         "--json and '--truth -' would both be on standard output");
    }
    return STATUS_OK;
}

static enum status open_truth(struct generator *g, const char *path, struct error *err)
{
    struct truth_options options = {.partition_count = g->options.partition_count,
                                    .first_offsets = g->first_offsets};
    enum status status = output_open(&g->truth_file, path, err);
    if (status == STATUS_OK) {
        g->truth = truth_new(&options);
        g->timestamp_us = clock_realtime_us();
    }
    return status;
}

static enum status open_place(struct generator *g, const struct cli_arguments *arguments,
                              const struct place *place, struct error *err)
{
    if (place->kind == PLACE_TABLE || place->kind == PLACE_REMOTE) {
        return error_set(err, STATUS_CONFIG, "use.place",
                         place->kind == PLACE_TABLE
                             ? "weir gen writes to a topic, a file or standard output; '%s' is a "
                               "table"
                             : "weir gen writes to a topic of a local log, a file or standard "
                               "output; a pipeline brings them to '%s'",
                         place->text);
    }
    const char *truth = cli_value(arguments, "truth");
    enum status status = check_truth(arguments, place, err);
    if (status == STATUS_OK && place->kind == PLACE_TOPIC) {
        status = open_topic(g, arguments, place, err);
    } else if (status == STATUS_OK) {
        status = output_open(&g->file, place->path, err);
    }
    if (status == STATUS_OK && truth != NULL) {
        status = open_truth(g, truth, err);
    }
    if (status == STATUS_OK) {
        status = workload_new(&g->options, &g->workload, err);
    }
    return status;
}

/* --- writing --- */

static enum status commit(struct generator *g, struct error *err)
{
    g->committed_us = clock_monotonic_us();
    if (g->writer == NULL || topic_writer_pending_count(g->writer) == 0) {
        return STATUS_OK;
    }
    return topic_writer_commit(g->writer, NULL, NULL, err);
}

/* A line may hold everything but a line break; a tombstone is an empty line. */
static enum status write_line(struct generator *g, struct bytes value, struct error *err)
{
    enum status status = STATUS_OK;
    while (status == STATUS_OK && value.size > 0) {
        const uint8_t *end = memchr(value.data, '\n', value.size);
        size_t size = end == NULL ? value.size : (size_t)(end - value.data);
        status = output_write(&g->file, bytes_of(value.data, size), err);
        if (status == STATUS_OK && end != NULL) {
            status = output_write(&g->file, bytes_of_string(" "), err);
            size++;
        }
        value = bytes_of(value.data + size, value.size - size);
    }
    return status == STATUS_OK ? output_write(&g->file, bytes_of_string("\n"), err) : status;
}

static enum status write_truth(struct generator *g, struct error *err)
{
    enum status status = output_write(
        &g->truth_file, bytes_of(g->truth_lines.data, g->truth_lines.size), err);
    buffer_clear(&g->truth_lines);
    return status;
}

static enum status judge(struct generator *g, const struct workload_record *record,
                         struct error *err)
{
    struct truth_result result;
    truth_judge(g->truth, record->partition, g->timestamp_us, record->value, &result);
    truth_write_line(&result, &g->truth_lines);
    g->verdicts[result.verdict]++;
    return g->truth_lines.size >= TRUTH_BLOCK_BYTES ? write_truth(g, err) : STATUS_OK;
}

static enum status write_record(struct generator *g, const struct workload_record *record,
                                struct error *err)
{
    enum status status = STATUS_OK;
    g->record_count++;
    if (g->writer == NULL) {
        return write_line(g, record->value, err);
    }
    topic_writer_append(g->writer, record->partition, record->key, record->value, NULL, 0);
    if (g->truth != NULL) {
        status = judge(g, record, err);
    }
    if (status == STATUS_OK && topic_writer_pending_bytes(g->writer) >= COMMIT_BYTES) {
        status = commit(g, err);
    }
    return status;
}

/* --- pace --- */

static bool is_over(const struct generator *g)
{
    return g->file.is_unwanted || stop_requested();
}

/* With --rate: waits until the next record's time has come. */
static enum status keep_pace(struct generator *g, struct error *err)
{
    enum status status = STATUS_OK;
    int64_t due_us = g->begin_us + (int64_t)((double)g->record_count / g->rate * 1e6);
    for (int64_t now_us = clock_monotonic_us(); status == STATUS_OK && now_us < due_us;
         now_us = clock_monotonic_us()) {
        if (is_over(g)) {
            return STATUS_OK;
        }
        if (now_us - g->committed_us >= PACED_INTERVAL_US) {
            status = commit(g, err);
            if (status == STATUS_OK && g->writer == NULL) {
                status = output_flush(&g->file, err);
            }
        }
        clock_sleep_us(due_us - now_us < PACED_SLEEP_US ? due_us - now_us : PACED_SLEEP_US);
    }
    return status;
}

static enum status generate(struct generator *g, struct error *err)
{
    struct workload_record record;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && !is_over(g) && workload_next(g->workload, &record)) {
        status = write_record(g, &record, err);
        if (status == STATUS_OK && g->rate > 0) {
            status = keep_pace(g, err);
        }
        if (g->record_count % 4096 == 0 || g->rate > 0) {
            bar_show(&g->bar, g->record_count,
                     (double)g->record_count / (double)g->options.record_count);
        }
    }
    if (status == STATUS_OK) {
        status = commit(g, err);
    }
    if (status == STATUS_OK && g->truth != NULL) {
        status = write_truth(g, err);
    }
    return status;
}

/* --- the end --- */

/* The truth counts offsets by itself: a record of somebody else in between would make it wrong. */
static enum status check_undisturbed(const struct generator *g, struct error *err)
{
    for (uint32_t i = 0; g->truth != NULL && i < g->options.partition_count; i++) {
        const struct topic_span *span = topic_writer_span(g->writer, i);
        uint64_t first = g->first_offsets[i];
        if (span->record_count > 0 &&
            ((uint64_t)span->first_offset != first ||
             (uint64_t)span->last_offset != first + span->record_count - 1)) {
            return error_set(err, STATUS_FATAL, "gen.disturbed",
                             "somebody else wrote to partition %u of '%s' at the same time: the "
                             "records are in, but %s is not true",
                             i, topic_writer_topic(g->writer)->name, g->truth_file.path);
        }
    }
    return STATUS_OK;
}

static void print_truth(const struct generator *g, bool json)
{
    char count[27];
    if (g->had_records) {
        fputs("the topic held records before; the truth takes them as none\n", stderr);
    }
    fputs("truth: ", stderr);
    for (unsigned i = 0; i < TRUTH_VERDICT_COUNT; i++) {
        fprintf(stderr, "%s%s %s", i == 0 ? "" : " · ",
                truth_verdict_name((enum truth_verdict)i), cli_count(g->verdicts[i], count));
    }
    fputc('\n', stderr);
    if (json) {
        struct buffer out = {0};
        truth_write_summary(g->truth, &out);
        fwrite(out.data, 1, out.size, stdout);
        buffer_fini(&out);
    }
}

static void print_result(const struct generator *g, const struct cli_arguments *arguments)
{
    char count[27];
    char speed[27];
    struct buffer where = {0};
    if (g->writer != NULL) {
        topic_writer_describe(g->writer, &where);
    } else {
        buffer_append_string(&where, g->file.path[0] == '-' && g->file.path[1] == '\0'
                                         ? "standard output"
                                         : g->file.path);
    }
    double seconds = (double)(clock_monotonic_us() - g->begin_us) / 1e6;
    fprintf(stderr, "%s record%s into %s in %.2f s (%s/s)\n", cli_count(g->record_count, count),
            g->record_count == 1 ? "" : "s", buffer_string(&where), seconds,
            cli_count((uint64_t)bar_rate(&g->bar, g->record_count), speed));
    buffer_fini(&where);
    if (g->truth != NULL) {
        print_truth(g, cli_given(arguments, "json"));
    }
}

static enum status close_outputs(struct generator *g, enum status status, struct error *err)
{
    enum status closed = output_close(&g->file, err);
    status = status == STATUS_OK ? closed : status;
    closed = output_close(&g->truth_file, err);
    return status == STATUS_OK ? closed : status;
}

static void close_all(struct generator *g)
{
    workload_free(g->workload);
    truth_free(g->truth);
    topic_writer_close(g->writer);
    memory_free(g->first_offsets);
    buffer_fini(&g->truth_lines);
}

static enum status gen(const struct cli_arguments *arguments, struct error *err)
{
    struct arena *arena = arena_new(4096);
    struct generator g = {0};
    struct place place = {0};
    const char *text = arguments->count > 0 ? arguments->positional[0] : "-";
    enum status status = place_parse(arena, text, &place, err);
    if (status == STATUS_OK) {
        status = read_options(&g, arguments, err);
    }
    if (status == STATUS_OK) {
        status = open_place(&g, arguments, &place, err);
    }
    if (status == STATUS_OK) {
        bar_init(&g.bar);
        g.begin_us = g.committed_us = clock_monotonic_us();
        status = generate(&g, err);
        bar_clear(&g.bar);
    }
    status = close_outputs(&g, status, err);
    if (status == STATUS_OK && !g.file.is_unwanted) {
        print_result(&g, arguments);
        status = check_undisturbed(&g, err);
    }
    if (status == STATUS_OK && g.record_count < g.options.record_count && !g.file.is_unwanted) {
        status = error_set(err, STATUS_RETRY, "gen.stopped", "stopped before the end");
    }
    close_all(&g);
    arena_free(arena);
    return status;
}

static const struct cli_option options[] = {
    {"count", "N", "records; 1,000,000 unless given"},
    {"seed", "S", "the same seed and options give the same bytes; 1 unless given"},
    {"partitions", "P", "of a topic that is made; 3 unless given"},
    {"sensors", "N", "1,000 unless given"},
    {"start", "TIME", "the first event time; 2026-01-01T00:00:00Z unless given; 'now': the last\n"
     "                             event lies an hour ago"},
    {"event-rate", "N", "events a second of event time; 1,000 unless given"},
    {"rate", "N", "records a second of real time; as fast as it goes unless given"},
    {"share", "KIND=PERCENT",
     "how many of a kind, such as late=2%; all=0% for none of any; repeatable",
     .repeats = true},
    {"truth", "FILE", "write what becomes of each record, one JSON object a line"},
    {"json", NULL, "print the counts of the truth as JSON"},
    {0},
};

const struct cli_verb verb_gen = {
    .name = "gen",
    .arguments = "[PLACE] [--count N] [--seed S] [--truth FILE] [--share KIND=PERCENT]...",
    .summary = "write a dirty workload, and the truth about it",
    .details =
        "Writes IoT readings, about one in eight of them dirty, to a topic (local:PATH#topic), to\n"
        "a file (file:PATH) or to standard output. The truth is what examples/iot.yaml must make\n"
        "of each record of the topic, computed by code that the pipeline does not use.\n"
        "Kinds: unparsable, empty, repeated_key, wrong_type, out_of_range, constraint, extreme,\n"
        "missing, sentinel, bad_time, duplicate, late, future, out_of_order, test_site,\n"
        "dew_point, low_battery, variant, several.",
    .options = options,
    .least = 0,
    .most = 1,
    .run = gen,
};
