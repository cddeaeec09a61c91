#include "progress/progress.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/prng.h"
#include "base/time.h"
#include "state/form.h"

/* The build says where the golden files are. */
#ifndef PROGRESS_GOLDEN
#error "PROGRESS_GOLDEN is the folder of the golden files"
#endif

static void make_hash(struct hash128 *out, uint64_t number)
{
    *out = (struct hash128){number, number + 1};
}

static void fill_ledger(struct ledger *ledger)
{
    ledger->in = 10;
    ledger->in_bytes = 1234;
    make_hash(&ledger->in_sum, 100);
    ledger->verdicts[VERDICT_VALID] = 6;
    ledger->verdicts[VERDICT_INVALID] = 1;
    ledger->verdicts[VERDICT_DUPLICATE] = 1;
    ledger->verdicts[VERDICT_LATE] = 1;
    ledger->verdicts[VERDICT_FILTERED] = 1;
    ledger->repairs[REPAIR_NULL_VALUE] = 1;
    ledger->repairs[REPAIR_COERCE] = 2;
    ledger->repairs[REPAIR_FILL_VALUE] = 3;
    ledger->repairs[REPAIR_FILL_LAST_BY] = 4;
    ledger->replayed = 1;
    ledger->lost = 5;
    ledger_add_reason(ledger, "late", 1);
    ledger_add_reason(ledger, "duplicate", 1);
    ledger_add_warning(ledger, "battery_low", 2);
    struct ledger_sink *sink = ledger_sink(ledger, "readings");
    sink->routed = 6;
    sink->written = 5;
    sink->rejected = 1;
    make_hash(&sink->sum, 200);
    ledger_sink_extend_range(sink, 0, 40, 44);
    sink = ledger_sink(ledger, "dlq");
    sink->routed = sink->written = 2;
    make_hash(&sink->sum, 300);
}

/* Every field has a value of its own: what the golden file of version 1 holds. */
static void make_sample(struct progress *out)
{
    *out = (struct progress){
        .pipeline = memory_copy_string("iot"),
        .topic = memory_copy_string("raw_iot_data"),
        .topic_id = memory_copy_string("2f1c8f6e-6a3b-4b58-9a10-0d5f6f0a7c11"),
        .partition = memory_copy_string("2"),
        .partition_count = 3,
        .owner = 0x1122334455667788,
        .epoch = 42,
        .next_offset = 2097200,
        .state_start = {.offset = 1048500,
                        .greatest_us = 1790000000000000,
                        .candidates = {.count = 1,
                                       .items = {{.offset = 1048400,
                                                  .event_time_us = 1890000000000000}}}},
        .greatest_us = 1790000600000000,
        .candidates = {.count = 2,
                       .items = {{.offset = 2097100, .event_time_us = 1990000000000000},
                                 {.offset = 2097199, .event_time_us = -1}}},
        .plan_count = 2,
        .lost_count = 1,
        .rejects_forwarded = 17,
    };
    for (uint8_t i = 0; i < 16; i++) {
        out->incarnation[i] = (uint8_t)(0xA0 + i);
        out->hash_key[i] = (uint8_t)(0xC0 + i);
    }
    make_hash(&out->state_start.candidates.items[0].key, 20);
    make_hash(&out->state_start.record_hash, 30);
    make_hash(&out->candidates.items[0].key, 40);
    make_hash(&out->candidates.items[1].key, 50);
    make_hash(&out->last_record_hash, 60);
    out->plans = memory_alloc_zero(2, sizeof *out->plans);
    out->plans[0] = (struct plan_change){.offset = 0, .horizon_us = TIME_UNLIMITED};
    out->plans[1] = (struct plan_change){.offset = 2000000, .horizon_us = 2700000000};
    make_hash(&out->plans[0].plan_hash, 70);
    make_hash(&out->plans[1].plan_hash, 80);
    out->lost = memory_alloc_zero(1, sizeof *out->lost);
    out->lost[0] = (struct lost_range){.first_offset = 300, .next_offset = 305};
    fill_ledger(&out->ledger);
}

static void assert_forms_equal(const struct progress *a, const struct progress *b)
{
    struct buffer forms[2] = {{0}, {0}};
    progress_write(a, &forms[0]);
    progress_write(b, &forms[1]);
    assert_int_equal(forms[0].size, forms[1].size);
    assert_memory_equal(forms[0].data, forms[1].data, forms[0].size);
    buffer_fini(&forms[0]);
    buffer_fini(&forms[1]);
}

/* --- Golden files. --- */

/* Hexadecimal digits, white space between them counts for nothing. */
static struct buffer read_golden(const char *name)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", PROGRESS_GOLDEN, name);
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        fail_msg("no golden file %s", path);
    }
    struct buffer text = {0};
    int c;
    while ((c = fgetc(file)) != EOF) {
        if (c != ' ' && c != '\n') {
            buffer_append_byte(&text, (uint8_t)c);
        }
    }
    assert_int_equal(fclose(file), 0);
    assert_int_equal(text.size % 2, 0);
    struct buffer form = {0};
    assert_true(
        hex_decode(buffer_string(&text), buffer_reserve(&form, text.size / 2), text.size / 2));
    form.size = text.size / 2;
    buffer_fini(&text);
    return form;
}

static void assert_golden(const struct buffer *form, const struct buffer *golden)
{
    bool same = form->size == golden->size && memcmp(form->data, golden->data, golden->size) == 0;
    for (size_t i = 0; !same && i < form->size; i += 32) {
        char line[65];
        hex_encode(bytes_of(form->data + i, form->size - i < 32 ? form->size - i : 32), line);
        print_message("%s\n", line);
    }
    assert_true(same);
}

static void test_golden_progress(void **state)
{
    (void)state;
    struct buffer golden = read_golden("progress-v1.hex");
    struct progress sample;
    make_sample(&sample);
    struct buffer form = {0};
    progress_write(&sample, &form);
    assert_golden(&form, &golden);
    struct progress read = {0};
    struct error err = {0};
    assert_int_equal(progress_read(&read, bytes_of(golden.data, golden.size), &err), STATUS_OK);
    assert_string_equal(read.topic_id, sample.topic_id);
    assert_string_equal(read.partition, "2");
    assert_int_equal(read.owner, sample.owner);
    assert_int_equal(read.epoch, 42);
    assert_int_equal(read.state_start.candidates.items[0].event_time_us, 1890000000000000);
    assert_int_equal(read.plans[0].horizon_us, TIME_UNLIMITED);
    assert_int_equal(read.lost[0].next_offset, 305);
    assert_true(ledger_equal(&read.ledger, &sample.ledger, true, NULL));
    assert_forms_equal(&read, &sample);
    progress_fini(&read);
    progress_fini(&sample);
    buffer_fini(&form);
    buffer_fini(&golden);
}

/* What version 2 adds to the sample. */
static void add_refused(struct progress *sample)
{
    refused_add(&sample->due, "readings", 2097190, (struct hash128){0, 0});
    refused_add(&sample->due, "readings", 2097180, (struct hash128){0, 0});
    refused_add(&sample->forwarded, "readings", 2097170, (struct hash128){400, 401});
    refused_add(&sample->forwarded, "alarms", 7, (struct hash128){500, 501});
}

static void test_golden_refused(void **state)
{
    (void)state;
    struct buffer golden = read_golden("progress-v2.hex");
    struct progress sample;
    make_sample(&sample);
    add_refused(&sample);
    struct buffer form = {0};
    progress_write(&sample, &form);
    assert_golden(&form, &golden);
    struct progress read = {0};
    struct error err = {0};
    assert_int_equal(progress_read(&read, bytes_of(golden.data, golden.size), &err), STATUS_OK);
    assert_int_equal(read.due.count, 1);
    assert_int_equal(refused_find(&read.due, "readings")->count, 2);
    assert_int_equal(refused_find(&read.due, "readings")->next_offset, 2097191);
    assert_string_equal(read.forwarded.items[0].sink, "alarms");
    assert_true(hash_equal(refused_find(&read.forwarded, "readings")->sum,
                           (struct hash128){400, 401}));
    assert_null(refused_find(&read.forwarded, "rows"));
    assert_forms_equal(&read, &sample);
    progress_fini(&read);
    progress_fini(&sample);
    buffer_fini(&form);
    buffer_fini(&golden);
}

/* The golden file of version 3 holds the sample with a decision. */
static void test_golden_decision(void **state)
{
    (void)state;
    struct buffer golden = read_golden("progress-v3.hex");
    struct progress sample;
    make_sample(&sample);
    sample.decides = memory_copy_string("weir:iot:1122334455667788:42");
    struct buffer form = {0};
    progress_write(&sample, &form);
    assert_golden(&form, &golden);
    struct progress read = {0};
    struct progress copy = {0};
    struct error err = {0};
    assert_int_equal(progress_read(&read, bytes_of(golden.data, golden.size), &err), STATUS_OK);
    assert_string_equal(read.decides, sample.decides);
    progress_copy(&copy, &read);
    assert_string_equal(copy.decides, sample.decides);
    assert_forms_equal(&copy, &sample);
    progress_fini(&copy);
    progress_fini(&read);
    progress_fini(&sample);
    buffer_fini(&form);
    buffer_fini(&golden);
}

static void test_golden_segment(void **state)
{
    (void)state;
    struct buffer golden = read_golden("segment-v1.hex");
    struct ledger ledger = {0};
    fill_ledger(&ledger);
    struct buffer form = {0};
    segment_write(1048576, 2097152, (struct hash128){70, 71}, &ledger, &form);
    assert_golden(&form, &golden);
    int64_t first = 0;
    int64_t next = 0;
    struct hash128 plan = {0};
    struct ledger read = {0};
    struct error err = {0};
    assert_int_equal(
        segment_read(bytes_of(golden.data, golden.size), &first, &next, &plan, &read, &err),
        STATUS_OK);
    assert_int_equal(first, 1048576);
    assert_int_equal(next, 2097152);
    assert_true(hash_equal(plan, (struct hash128){70, 71}));
    assert_true(ledger_equal(&read, &ledger, true, NULL));
    ledger_fini(&read);
    ledger_fini(&ledger);
    buffer_fini(&form);
    buffer_fini(&golden);
}

/* --- Broken forms. --- */

static void assert_refused(const uint8_t *data, size_t size, enum status status, const char *code)
{
    struct progress read = {0};
    struct error err = {0};
    assert_int_equal(progress_read(&read, bytes_of(data, size), &err), status);
    assert_string_equal(err.code, code);
    static const struct progress zero;
    assert_memory_equal(&read, &zero, sizeof zero);
}

static void test_every_flip_and_cut_is_refused(void **state)
{
    (void)state;
    struct progress sample;
    make_sample(&sample);
    struct buffer form = {0};
    progress_write(&sample, &form);
    for (size_t bit = 0; bit < form.size * 8; bit++) {
        form.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_refused(form.data, form.size, STATUS_FATAL, "progress.corrupt");
        form.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t size = 0; size < form.size; size++) {
        assert_refused(form.data, size, STATUS_FATAL, "progress.corrupt");
    }
    assert_refused(NULL, 0, STATUS_FATAL, "progress.corrupt");
    buffer_append_byte(&form, 0);
    assert_refused(form.data, form.size, STATUS_FATAL, "progress.corrupt");
    buffer_fini(&form);
    progress_fini(&sample);
}

/* A right checksum over fields that were cut or changed: found by the fields themselves. */
static void test_sealed_nonsense_is_refused(void **state)
{
    (void)state;
    struct progress sample;
    make_sample(&sample);
    struct buffer form = {0};
    progress_write(&sample, &form);
    for (size_t size = 12; size < form.size - FORM_SEAL_BYTES; size++) {
        struct buffer cut = {0};
        buffer_append(&cut, form.data, size);
        form_seal(0, &cut);
        assert_refused(cut.data, cut.size, STATUS_FATAL, "progress.corrupt");
        buffer_fini(&cut);
    }
    struct buffer longer = {0};
    buffer_append(&longer, form.data, form.size - FORM_SEAL_BYTES);
    buffer_append_byte(&longer, 0);
    form_seal(0, &longer);
    assert_refused(longer.data, longer.size, STATUS_FATAL, "progress.corrupt");
    buffer_fini(&longer);
    /* Whatever one byte says, nothing is read beyond the end, and what is read is freed. */
    struct prng prng;
    prng_init(&prng, 5);
    for (size_t at = 12; at < form.size - FORM_SEAL_BYTES; at++) {
        struct buffer changed = {0};
        buffer_append(&changed, form.data, form.size - FORM_SEAL_BYTES);
        changed.data[at] = (uint8_t)(changed.data[at] + 1 + prng_below(&prng, 255));
        form_seal(0, &changed);
        struct progress read = {0};
        struct error err = {0};
        if (progress_read(&read, bytes_of(changed.data, changed.size), &err) == STATUS_OK) {
            struct buffer again = {0};
            progress_write(&read, &again);
            assert_int_equal(again.size, changed.size);
            assert_memory_equal(again.data, changed.data, changed.size);
            buffer_fini(&again);
        }
        progress_fini(&read);
        buffer_fini(&changed);
    }
    sample.plan_count = 1;
    sample.lost[0].next_offset = 300;
    buffer_clear(&form);
    progress_write(&sample, &form);
    assert_refused(form.data, form.size, STATUS_FATAL, "progress.corrupt");
    buffer_fini(&form);
    progress_fini(&sample);
}

static void test_newer_version(void **state)
{
    (void)state;
    struct buffer form = {0};
    size_t begin = form_begin("WEIRPROG", PROGRESS_VERSION + 1, &form);
    buffer_append_string(&form, "fields that nobody knows yet");
    form_seal(begin, &form);
    assert_refused(form.data, form.size, STATUS_CONFIG, "progress.version");
    form.size--;
    assert_refused(form.data, form.size, STATUS_FATAL, "progress.corrupt");
    buffer_clear(&form);
    begin = form_begin("WEIRPROG", 0, &form);
    form_seal(begin, &form);
    assert_refused(form.data, form.size, STATUS_FATAL, "progress.corrupt");
    buffer_fini(&form);
}

static void assert_segment_refused(const uint8_t *data, size_t size)
{
    int64_t first = -7;
    int64_t next = -7;
    struct hash128 plan;
    struct ledger ledger = {0};
    struct error err = {0};
    assert_int_equal(segment_read(bytes_of(data, size), &first, &next, &plan, &ledger, &err),
                     STATUS_FATAL);
    assert_string_equal(err.code, "progress.corrupt");
    assert_int_equal(first, -7);
    static const struct ledger zero;
    assert_memory_equal(&ledger, &zero, sizeof zero);
}

static void test_broken_segments(void **state)
{
    (void)state;
    struct ledger ledger = {0};
    fill_ledger(&ledger);
    struct buffer form = {0};
    segment_write(0, 10, (struct hash128){1, 2}, &ledger, &form);
    for (size_t bit = 0; bit < form.size * 8; bit++) {
        form.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_segment_refused(form.data, form.size);
        form.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t size = 0; size < form.size; size++) {
        assert_segment_refused(form.data, size);
    }
    form.size -= FORM_SEAL_BYTES;
    buffer_append_byte(&form, 0);
    form_seal(0, &form);
    assert_segment_refused(form.data, form.size);
    /* A progress record is no segment. */
    struct progress sample;
    make_sample(&sample);
    buffer_clear(&form);
    progress_write(&sample, &form);
    assert_segment_refused(form.data, form.size);
    progress_fini(&sample);
    buffer_fini(&form);
    ledger_fini(&ledger);
}

/* --- Random records. --- */

static char *random_string(struct prng *prng)
{
    size_t size = prng_below(prng, 20);
    char *string = memory_alloc(size + 1);
    for (size_t i = 0; i < size; i++) {
        string[i] = (char)(1 + prng_below(prng, 255));
    }
    string[size] = '\0';
    return string;
}

static struct hash128 random_hash(struct prng *prng)
{
    return (struct hash128){prng_next(prng), prng_next(prng)};
}

/* From TIME_NEVER to TIME_UNLIMITED: others are refused. */
static int64_t random_time(struct prng *prng)
{
    return (int64_t)prng_next(prng) / 4;
}

static void fill_candidates(struct prng *prng, struct candidates *out)
{
    out->count = (uint32_t)prng_below(prng, CANDIDATES_MAX + 1);
    for (uint32_t i = 0; i < out->count; i++) {
        out->items[i] = (struct candidate){.key = random_hash(prng),
                                           .offset = (int64_t)prng_next(prng),
                                           .event_time_us = random_time(prng)};
    }
}

static void fill_refused(struct prng *prng, struct refused_list *out)
{
    for (uint64_t i = prng_below(prng, 4); i > 0; i--) {
        char name[2] = {(char)('a' + prng_below(prng, 26)), '\0'};
        refused_add(out, name, (int64_t)prng_below(prng, 1000000), random_hash(prng));
    }
}

static void make_random(struct prng *prng, struct progress *out)
{
    *out = (struct progress){
        .pipeline = random_string(prng),
        .topic = random_string(prng),
        .topic_id = random_string(prng),
        .partition = random_string(prng),
        .partition_count = (uint32_t)prng_next(prng),
        .owner = prng_next(prng),
        .epoch = prng_next(prng),
        .next_offset = (int64_t)prng_next(prng),
        .greatest_us = random_time(prng),
        .last_record_hash = random_hash(prng),
        .plan_count = 1 + (uint32_t)prng_below(prng, 4),
        .lost_count = (uint32_t)prng_below(prng, 3),
        .rejects_forwarded = prng_next(prng),
    };
    out->state_start.offset = (int64_t)prng_next(prng);
    out->state_start.greatest_us = TIME_NEVER;
    out->state_start.record_hash = random_hash(prng);
    fill_candidates(prng, &out->state_start.candidates);
    fill_candidates(prng, &out->candidates);
    out->plans = memory_alloc_zero(out->plan_count, sizeof *out->plans);
    for (uint32_t i = 0; i < out->plan_count; i++) {
        out->plans[i] = (struct plan_change){.offset = 10 * i,
                                             .plan_hash = random_hash(prng),
                                             .horizon_us = (int64_t)(prng_next(prng) >> 2)};
    }
    out->lost = memory_alloc_zero(out->lost_count + 1, sizeof *out->lost);
    for (uint32_t i = 0; i < out->lost_count; i++) {
        out->lost[i] = (struct lost_range){10 * i, 10 * i + 1 + (int64_t)prng_below(prng, 10)};
    }
    out->ledger.in = prng_next(prng);
    for (uint64_t i = prng_below(prng, 5); i > 0; i--) {
        char *name = random_string(prng);
        ledger_add_reason(&out->ledger, name, prng_next(prng));
        ledger_sink(&out->ledger, name)->sum = random_hash(prng);
        memory_free(name);
    }
    fill_refused(prng, &out->due);
    fill_refused(prng, &out->forwarded);
}

static void test_random_round_trips(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 1000; seed++) {
        struct prng prng;
        prng_init(&prng, seed);
        struct progress record;
        make_random(&prng, &record);
        struct buffer form = {0};
        progress_write(&record, &form);
        struct progress read = {0};
        struct error err = {0};
        assert_int_equal(progress_read(&read, bytes_of(form.data, form.size), &err), STATUS_OK);
        assert_forms_equal(&record, &read);
        struct progress copy;
        make_sample(&copy);
        progress_copy(&copy, &read);
        progress_fini(&read);
        assert_forms_equal(&record, &copy);
        progress_fini(&copy);
        progress_fini(&record);
        buffer_fini(&form);
    }
}

/* --- Steps. --- */

static void make_step(struct progress_step *out)
{
    *out = (struct progress_step){
        .first_offset = 2097200,
        .next_offset = 3200000,
        .state_start = {.offset = 2000001, .greatest_us = 5},
        .greatest_us = 9,
        .last_record_hash = {8, 8},
        .plan_count = 1,
        .segment_count = 2,
    };
    out->plans = memory_alloc_zero(1, sizeof *out->plans);
    out->plans[0] = (struct plan_change){.offset = 2000000, .horizon_us = 7};
    out->segments = memory_alloc_zero(2, sizeof *out->segments);
    out->segments[0].first_offset = 2097152;
    out->segments[1].first_offset = 3145728;
    fill_ledger(&out->segments[0].delta);
    out->segments[1].delta.in = 3;
    ledger_add_reason(&out->segments[1].delta, "new", 3);
}

static void test_apply(void **state)
{
    (void)state;
    struct progress record;
    struct progress_step step;
    make_sample(&record);
    make_step(&step);
    progress_apply(&record, &step);
    progress_step_fini(&step);
    assert_null(step.segments);
    assert_int_equal(record.epoch, 43);
    assert_int_equal(record.next_offset, 3200000);
    assert_int_equal(record.state_start.offset, 2000001);
    assert_int_equal(record.greatest_us, 9);
    assert_int_equal(record.candidates.count, 0);
    assert_true(hash_equal(record.last_record_hash, (struct hash128){8, 8}));
    assert_int_equal(record.plan_count, 1);
    assert_int_equal(record.plans[0].horizon_us, 7);
    assert_int_equal(record.ledger.in, 23);
    assert_int_equal(record.ledger.reason_count, 3);
    assert_int_equal(ledger_find_sink(&record.ledger, "readings")->written, 10);
    /* Who and where stays. */
    assert_int_equal(record.owner, 0x1122334455667788);
    assert_string_equal(record.topic, "raw_iot_data");
    assert_int_equal(record.lost_count, 1);
    assert_int_equal(record.rejects_forwarded, 17);
    progress_fini(&record);
}

/* Lost ranges that join on to one another are one. */
static void test_apply_lost(void **state)
{
    (void)state;
    struct progress record;
    struct progress_step step;
    make_sample(&record);
    uint32_t before = record.lost_count;
    for (int i = 0; i < 3; i++) {
        make_step(&step);
        step.first_offset = record.next_offset;
        step.next_offset = 3200000 + i * 10;
        step.is_lost = i != 1;
        progress_apply(&record, &step);
        progress_step_fini(&step);
        assert_int_equal(record.lost_count, before + (i == 2 ? 2 : 1));
    }
    assert_int_equal(record.lost[before].first_offset, 2097200);
    assert_int_equal(record.lost[before].next_offset, 3200000);
    assert_int_equal(record.lost[before + 1].first_offset, 3200010);
    make_step(&step);
    step.first_offset = record.next_offset;
    step.next_offset = 3300000;
    step.is_lost = true;
    progress_apply(&record, &step);
    progress_step_fini(&step);
    assert_int_equal(record.lost_count, before + 2);
    assert_int_equal(record.lost[before + 1].next_offset, 3300000);
    progress_fini(&record);
}

/* Forwarded dead letters alone move nothing but their own counts. */
static void test_apply_forwarded(void **state)
{
    (void)state;
    struct progress record;
    make_sample(&record);
    add_refused(&record);
    struct progress_step step = {.first_offset = record.next_offset,
                                 .next_offset = record.next_offset};
    refused_add(&step.forwarded, "readings", 2097180, (struct hash128){1, 1});
    refused_add(&step.forwarded, "readings", 2097190, (struct hash128){2, 2});
    progress_apply(&record, &step);
    progress_step_fini(&step);
    const struct refused *taken = refused_find(&record.forwarded, "readings");
    assert_int_equal(taken->count, 3);
    assert_int_equal(taken->next_offset, 2097191);
    assert_true(hash_equal(taken->sum, (struct hash128){403, 404}));
    assert_int_equal(record.rejects_forwarded, 19);
    assert_int_equal(record.epoch, 43);
    assert_int_equal(record.plan_count, 2);
    assert_int_equal(record.greatest_us, 1790000600000000);
    assert_int_equal(record.ledger.in, 10);
    progress_fini(&record);
}

static void apply_gap(struct progress_step *step)
{
    step->first_offset++;
}
static void apply_overlap(struct progress_step *step)
{
    step->first_offset--;
}
static void apply_backwards(struct progress_step *step)
{
    step->next_offset = step->first_offset - 1;
}
static void apply_without_plan(struct progress_step *step)
{
    step->plan_count = 0;
}
static void apply_unordered(struct progress_step *step)
{
    step->segments[0].first_offset = step->segments[1].first_offset;
}

/* A step that does not join on ends the process before R is changed. */
static void test_apply_checks_the_join(void **state)
{
    (void)state;
    void (*const faults[])(struct progress_step *) = {apply_gap, apply_overlap, apply_backwards,
                                                      apply_without_plan, apply_unordered};
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        struct progress record;
        struct progress_step step;
        make_sample(&record);
        make_step(&step);
        fflush(stdout);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            signal(SIGABRT, SIG_DFL);
            assert_non_null(freopen("/dev/null", "w", stderr));
            faults[i](&step);
            progress_apply(&record, &step);
            _exit(0);
        }
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGABRT);
        progress_step_fini(&step);
        progress_fini(&record);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_progress),
        cmocka_unit_test(test_golden_refused),
        cmocka_unit_test(test_golden_decision),
        cmocka_unit_test(test_golden_segment),
        cmocka_unit_test(test_every_flip_and_cut_is_refused),
        cmocka_unit_test(test_sealed_nonsense_is_refused),
        cmocka_unit_test(test_newer_version),
        cmocka_unit_test(test_broken_segments),
        cmocka_unit_test(test_random_round_trips),
        cmocka_unit_test(test_apply),
        cmocka_unit_test(test_apply_lost),
        cmocka_unit_test(test_apply_forwarded),
        cmocka_unit_test(test_apply_checks_the_join),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
