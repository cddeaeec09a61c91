#include "connector/file/folder_fixture.h"

#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/prng.h"
#include "base/time.h"
#include "connector/file/file.h"

const struct source_partition fixture_partitions[FIXTURE_PARTITIONS] = {
    {.topic = "data/in.ndjson", .topic_id = "line1-0011", .label = "0", .partition_count = 1},
    {.topic = "raw", .topic_id = "some-uuid", .label = "3", .number = 3, .partition_count = 4},
};

static struct field fields[1] = {{.name = "a", .name_size = 1, .path = "a", .parent = FIELD_NONE}};
static const struct layout layout = {.fields = fields, .field_count = 1, .schema_field_count = 1};
static const struct output_shape shape = {.pipeline = FIXTURE_PIPELINE,
                                          .plan_hash = "000000000000000c000000000000000b",
                                          .layout = &layout};
static const struct hash128 plan_hash = {0xb, 0xc};

void fixture_init(struct fixture *fixture, const char *folder)
{
    static const uint8_t key[HASH_KEY_BYTES] = {1, 2, 3};
    *fixture = (struct fixture){.arena = arena_new(4096)};
    hash_secret_init(&fixture->secret, key);
    struct error err = {0};
    struct doc *config = NULL;
    const char *yaml = arena_printf(fixture->arena, "path: %s", folder);
    char *place = NULL;
    assert_int_equal(
        doc_parse(fixture->arena, "p.yaml", bytes_of_string(yaml), NULL, &config, &err), STATUS_OK);
    assert_int_equal(file_sink_kind.system_place(fixture->arena, config, "", &place, &err),
                     STATUS_OK);
    fixture->system = file_sink_kind.system_new(place);
    assert_int_equal(file_sink_kind.sink_add(fixture->system, "out", false, config, &shape,
                                             &fixture->sink, &err),
                     STATUS_OK);
}

void fixture_fini(struct fixture *fixture)
{
    for (uint32_t p = 0; p < FIXTURE_PARTITIONS; p++) {
        progress_fini(&fixture->progresses[p]);
    }
    fixture->system->ops->close(fixture->system);
    arena_free(fixture->arena);
}

static struct plan_change *plans_new(void)
{
    struct plan_change *plans = memory_alloc(sizeof *plans);
    *plans = (struct plan_change){.plan_hash = plan_hash};
    return plans;
}

static void make_first(struct fixture *fixture, uint32_t p)
{
    const struct source_partition *source = &fixture_partitions[p];
    fixture->progresses[p] = (struct progress){
        .pipeline = memory_copy_string(FIXTURE_PIPELINE),
        .topic = memory_copy_string(source->topic),
        .topic_id = memory_copy_string(source->topic_id),
        .partition = memory_copy_string(source->label),
        .partition_count = source->partition_count,
        .owner = fixture->owner,
        .state_start = {.greatest_us = TIME_NEVER},
        .greatest_us = TIME_NEVER,
        .plans = plans_new(),
        .plan_count = 1,
    };
}

static enum status begin_or_take_over(struct fixture *fixture, const bool *found, struct error *err)
{
    const struct system_ops *ops = fixture->system->ops;
    const struct bytes plan = bytes_of_string(FIXTURE_PLAN_TEXT);
    bool any_found = false;
    enum status status = STATUS_OK;
    for (uint32_t p = 0; p < FIXTURE_PARTITIONS && status == STATUS_OK; p++) {
        any_found = any_found || found[p];
        if (!found[p]) {
            make_first(fixture, p);
            status = ops->begin(fixture->system, &fixture->progresses[p], 1, &plan, 1, err);
        }
    }
    if (status == STATUS_OK && any_found) {
        status = ops->take_over(fixture->system, fixture->progresses, FIXTURE_PARTITIONS,
                                fixture->owner, plan, err);
    }
    for (uint32_t p = 0; p < FIXTURE_PARTITIONS; p++) {
        fixture->progresses[p].owner = fixture->owner;
    }
    return status;
}

enum status fixture_start(struct fixture *fixture, uint64_t owner, struct error *err)
{
    const struct system_ops *ops = fixture->system->ops;
    bool found[FIXTURE_PARTITIONS] = {false};
    fixture->owner = owner;
    enum status status = ops->open_session(fixture->system, FIXTURE_PIPELINE, err);
    for (uint32_t p = 0; p < FIXTURE_PARTITIONS && status == STATUS_OK; p++) {
        status = ops->load(fixture->system, &fixture_partitions[p], &fixture->progresses[p],
                           &found[p], err);
    }
    return status == STATUS_OK ? begin_or_take_over(fixture, found, err) : status;
}

bool fixture_row(uint32_t partition, int64_t number, struct buffer *out)
{
    if (number % 5 == 4 || number % 11 < 2) {
        return false; /* runs of records without rows make epochs without parts */
    }
    buffer_printf(out, "{\"partition\": %u, \"number\": %lld}", partition, (long long)number);
    return true;
}

/* What the pipeline hands in: the same row with line breaks between the tokens of some. */
static struct bytes output_of(struct buffer *row, int64_t number)
{
    for (size_t i = 0; number % 3 == 0 && i < row->size; i++) {
        row->data[i] = row->data[i] == ' ' ? (i % 2 == 0 ? '\n' : '\r') : row->data[i];
    }
    return bytes_of(row->data, row->size);
}

static struct ledger *delta_at(struct progress_step *step, int64_t offset)
{
    int64_t first = offset - offset % SEGMENT_OFFSETS;
    if (step->segment_count == 0 || step->segments[step->segment_count - 1].first_offset != first) {
        step->segments =
            memory_realloc(step->segments, (step->segment_count + 1) * sizeof *step->segments);
        step->segments[step->segment_count++] =
            (struct segment_delta){.first_offset = first, .plan_hash = plan_hash};
    }
    return &step->segments[step->segment_count - 1].delta;
}

static void add_record(struct fixture *fixture, uint32_t p, int64_t number,
                       struct progress_step *step, struct outbox *outbox)
{
    struct buffer row = {0};
    struct ledger *delta = delta_at(step, number * FIXTURE_STRIDE);
    bool has_row = fixture_row(p, number, &row);
    delta->in++;
    delta->verdicts[has_row ? VERDICT_VALID : VERDICT_FILTERED]++;
    if (has_row) {
        struct ledger_sink *sink = ledger_sink(delta, "out");
        struct output_row out = {.batch = &fixture->batch,
                                 .value = output_of(&row, number),
                                 .origin = &fixture_partitions[p]};
        fixture->batch.partition = p;
        sink->routed++;
        fixture->sink->ops->append_row(fixture->sink, outbox, &out, &fixture->secret, sink);
    }
    step->next_offset = (number + 1) * FIXTURE_STRIDE;
    buffer_fini(&row);
}

void fixture_epoch_init(struct fixture *fixture, const int64_t counts[FIXTURE_PARTITIONS],
                        struct fixture_epoch *out)
{
    *out = (struct fixture_epoch){0};
    out->outboxes[0] = fixture->sink->ops->outbox_new(fixture->sink);
    out->epoch.parts = out->parts;
    out->epoch.outboxes = out->outboxes;
    for (uint32_t p = 0; p < FIXTURE_PARTITIONS; p++) {
        if (counts[p] == 0) {
            continue;
        }
        struct epoch_part *part = &out->parts[out->epoch.part_count++];
        const struct progress *progress = &fixture->progresses[p];
        int64_t number = progress->next_offset / FIXTURE_STRIDE;
        *part = (struct epoch_part){.partition = p};
        part->step.first_offset = progress->next_offset;
        part->step.greatest_us = TIME_NEVER;
        part->step.state_start = progress->state_start;
        part->step.plans = plans_new();
        part->step.plan_count = 1;
        for (int64_t i = 0; i < counts[p]; i++) {
            add_record(fixture, p, number + i, &part->step, out->outboxes[0]);
        }
    }
}

void fixture_epoch_fini(struct fixture *fixture, struct fixture_epoch *epoch)
{
    for (uint32_t i = 0; i < epoch->epoch.part_count; i++) {
        progress_step_fini(&epoch->parts[i].step);
    }
    fixture->sink->ops->outbox_free(epoch->outboxes[0]);
}

enum status fixture_run(struct fixture *fixture, int64_t record_count, uint64_t seed,
                        unsigned *out_retries, struct error *err)
{
    struct prng prng;
    prng_init(&prng, seed);
    *out_retries = 0;
    for (;;) {
        int64_t counts[FIXTURE_PARTITIONS];
        int64_t left = 0;
        for (uint32_t p = 0; p < FIXTURE_PARTITIONS; p++) {
            int64_t rest = record_count - fixture->progresses[p].next_offset / FIXTURE_STRIDE;
            int64_t count = (int64_t)prng_below(&prng, 24);
            counts[p] = count < rest ? count : rest;
            left += rest;
        }
        if (left == 0) {
            return STATUS_OK;
        }
        struct fixture_epoch epoch;
        fixture_epoch_init(fixture, counts, &epoch);
        enum status status = STATUS_OK;
        for (unsigned attempt = 0; attempt < 3; attempt++) {
            struct error failed = {0};
            status = fixture->system->ops->commit(fixture->system, &epoch.epoch,
                                                  fixture->progresses, &failed);
            if (status != STATUS_RETRY) {
                *err = failed;
                break;
            }
            ++*out_retries;
        }
        fixture_epoch_fini(fixture, &epoch);
        if (status != STATUS_OK) {
            return status;
        }
    }
}

/* --- verifying --- */

struct segment_sum {
    struct ledger ledger;
    int64_t next_offset;
};

static enum status add_segment(void *context, struct bytes form, struct error *err)
{
    struct segment_sum *segments = context;
    int64_t first = 0;
    int64_t next = 0;
    struct hash128 plan;
    struct ledger ledger = {0};
    assert_int_equal(segment_read(form, &first, &next, &plan, &ledger, err), STATUS_OK);
    assert_true(first >= segments->next_offset);
    assert_true(hash_equal(plan, plan_hash));
    segments->next_offset = next;
    ledger_add(&segments->ledger, &ledger);
    ledger_fini(&ledger);
    return STATUS_OK;
}

static void verify_segments(struct fixture *fixture, uint32_t p)
{
    struct segment_sum segments = {0};
    struct buffer difference = {0};
    struct error err = {0};
    const struct progress *progress = &fixture->progresses[p];
    assert_int_equal(fixture->system->ops->load_segments(fixture->system, FIXTURE_PIPELINE,
                                                         &fixture_partitions[p], add_segment,
                                                         &segments, &err),
                     STATUS_OK);
    assert_int_equal(segments.next_offset, progress->next_offset);
    if (!ledger_equal(&progress->ledger, &segments.ledger, true, &difference)) {
        fail_msg("partition %u: %s", p, buffer_string(&difference));
    }
    ledger_fini(&segments.ledger);
    buffer_fini(&difference);
}

/* The parts of a partition, one after the other, as plain as can be. */
static void read_parts(const char *folder, const char *prefix, struct buffer *out)
{
    char pattern[256];
    glob_t found;
    snprintf(pattern, sizeof pattern, "%s/%s-*.ndjson", folder, prefix);
    if (glob(pattern, 0, NULL, &found) != 0) {
        return;
    }
    for (size_t i = 0; i < found.gl_pathc; i++) {
        FILE *file = fopen(found.gl_pathv[i], "rb");
        assert_non_null(file);
        size_t got;
        do {
            got = fread(buffer_reserve(out, 4096), 1, 4096, file);
            out->size += got;
        } while (got > 0);
        fclose(file);
    }
    globfree(&found);
}

static void verify_rows(const struct fixture *fixture, uint32_t p, const char *folder)
{
    static const char *const prefixes[FIXTURE_PARTITIONS] = {"in.ndjson", "3"};
    const struct progress *progress = &fixture->progresses[p];
    struct buffer wanted = {0};
    struct buffer got = {0};
    struct hash128 sum = {0, 0};
    uint64_t count = 0;
    for (int64_t number = 0; number * FIXTURE_STRIDE < progress->next_offset; number++) {
        size_t begin = wanted.size;
        if (fixture_row(p, number, &wanted)) {
            sum = hash_add(sum,
                           hash_bytes(&fixture->secret, wanted.data + begin, wanted.size - begin));
            buffer_append_byte(&wanted, '\n');
            count++;
        }
    }
    read_parts(folder, prefixes[p], &got);
    assert_string_equal(buffer_string(&got), buffer_string(&wanted));
    const struct ledger_sink *sink = ledger_find_sink(&progress->ledger, "out");
    assert_int_equal(sink == NULL ? 0 : sink->written, count);
    assert_true(hash_equal(sink == NULL ? (struct hash128){0, 0} : sink->sum, sum));
    assert_int_equal(progress->ledger.in, progress->next_offset / FIXTURE_STRIDE);
    buffer_fini(&wanted);
    buffer_fini(&got);
}

void fixture_verify(const char *folder, int64_t out_numbers[FIXTURE_PARTITIONS])
{
    struct fixture fixture;
    struct error err = {0};
    fixture_init(&fixture, folder);
    if (fixture.system->ops->open_session(fixture.system, FIXTURE_PIPELINE, &err) != STATUS_OK) {
        fail_msg("%s", err.message);
    }
    for (uint32_t p = 0; p < FIXTURE_PARTITIONS; p++) {
        bool found = false;
        if (fixture.system->ops->load(fixture.system, &fixture_partitions[p],
                                      &fixture.progresses[p], &found, &err) != STATUS_OK) {
            fail_msg("%s", err.message);
        }
        out_numbers[p] = found ? fixture.progresses[p].next_offset / FIXTURE_STRIDE : -1;
        verify_rows(&fixture, p, folder);
        if (found) {
            verify_segments(&fixture, p);
        }
    }
    fixture_fini(&fixture);
}
