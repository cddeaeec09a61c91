#include "measure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "os/clock.h"

/* Behind the last record: vector loads may look at it. */
#define SLACK_BYTES 64u

void measure_begin(struct measurement *measurement)
{
    measurement->wall_begin_us = clock_monotonic_us();
    measurement->cpu_begin_us = clock_cpu_us();
}

void measure_end(struct measurement *measurement)
{
    measurement->cpu_us += clock_cpu_us() - measurement->cpu_begin_us;
    measurement->wall_us += clock_monotonic_us() - measurement->wall_begin_us;
}

/* --- the input --- */

enum status input_init(struct input *input, uint64_t record_count, bool clean, struct error *err)
{
    struct workload_options options;
    workload_options_init(&options);
    options.record_count = record_count;
    options.partition_count = 1;
    if (clean) {
        memset(options.shares, 0, sizeof options.shares);
    }
    *input = (struct input){
        .records = memory_alloc_zero(INPUT_RECORDS, sizeof *input->records),
        .timestamp_us = workload_last_event_time_us(&options) + TIME_US_PER_SECOND,
    };
    return workload_new(&options, &input->workload, err);
}

/* The slices are made when the block does not move any more. */
static void add_record(struct input *input, const struct workload_record *from)
{
    struct record *record = &input->records[input->count++];
    *record = (struct record){
        .offset = input->next_offset,
        .next_offset = input->next_offset + 1,
        .timestamp_us = input->timestamp_us,
        .timestamp_kind = TIMESTAMP_BROKER,
        .key = from->key,
        .value = from->value,
    };
    input->next_offset++;
    input->size_bytes += from->value.size;
    buffer_append(&input->bytes, from->key.data, from->key.size);
    buffer_append(&input->bytes, from->value.data, from->value.size);
}

void input_next(struct input *input)
{
    struct workload_record record;
    buffer_clear(&input->bytes);
    input->count = 0;
    input->size_bytes = 0;
    while (input->count < INPUT_RECORDS && workload_next(input->workload, &record)) {
        add_record(input, &record);
    }
    memset(buffer_reserve(&input->bytes, SLACK_BYTES), 0, SLACK_BYTES);
    const uint8_t *at = input->bytes.data;
    for (uint32_t i = 0; i < input->count; i++) {
        struct bytes *parts[] = {&input->records[i].key, &input->records[i].value};
        for (uint32_t k = 0; k < 2; k++) {
            if (!bytes_is_none(*parts[k])) {
                *parts[k] = bytes_of(at, parts[k]->size);
            }
            at += parts[k]->size;
        }
    }
}

void input_fini(struct input *input)
{
    workload_free(input->workload);
    buffer_fini(&input->bytes);
    memory_free(input->records);
}

uint32_t input_fill_batch(const struct input *input, uint32_t first, struct batch *batch)
{
    uint32_t count = input->count - first;
    count = count < BATCH_ROWS_MAX ? count : BATCH_ROWS_MAX;
    for (uint32_t i = 0; i < count; i++) {
        *batch_append_record(batch) = input->records[first + i];
    }
    return count;
}

/* --- the program --- */

static const struct thing *const all_things[] = {decode_things, stage_things, log_things,
                                                 producer_things, table_things, state_things};

static const struct thing *find_thing(const char *name)
{
    for (size_t i = 0; i < sizeof all_things / sizeof all_things[0]; i++) {
        for (const struct thing *thing = all_things[i]; thing->name != NULL; thing++) {
            if (strcmp(thing->name, name) == 0) {
                return thing;
            }
        }
    }
    return NULL;
}

static int usage(void)
{
    fputs("usage: measure THING --records N [--pipeline FILE] [--path FILE]\nthings:", stderr);
    for (size_t i = 0; i < sizeof all_things / sizeof all_things[0]; i++) {
        for (const struct thing *thing = all_things[i]; thing->name != NULL; thing++) {
            fprintf(stderr, " %s", thing->name);
        }
    }
    fputc('\n', stderr);
    return 2;
}

int main(int argc, char **argv)
{
    const struct thing *thing = argc < 2 ? NULL : find_thing(argv[1]);
    struct arguments arguments = {0};
    for (int i = 2; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--records") == 0) {
            arguments.records = strtoull(argv[i + 1], NULL, 10);
        } else if (strcmp(argv[i], "--pipeline") == 0) {
            arguments.pipeline = argv[i + 1];
        } else if (strcmp(argv[i], "--path") == 0) {
            arguments.path = argv[i + 1];
        } else {
            return usage();
        }
    }
    if (thing == NULL || arguments.records == 0 || argc % 2 != 0) {
        return usage();
    }
    struct measurement measured = {0};
    struct error err = {0};
    if (thing->measure(&arguments, &measured, &err) != STATUS_OK) {
        fprintf(stderr, "measure %s: %s: %s\n", thing->name, err.code, err.message);
        return 3;
    }
    printf("{\"records\": %llu, \"bytes\": %llu, \"cpu_us\": %lld, \"wall_us\": %lld,"
           " \"longest_us\": %lld}\n",
           (unsigned long long)measured.records, (unsigned long long)measured.bytes,
           (long long)measured.cpu_us, (long long)measured.wall_us, (long long)measured.longest_us);
    return 0;
}
