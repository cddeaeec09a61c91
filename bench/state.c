/*
 * The state alone: keys remembered for dedup, looked up in groups as stage/dedup.c does, copied for
 * a snapshot while more keys come, and read back.
 *
 * The reference is a table of the same size of which each access reads and writes one slot at
 * random: what the machine can do at best.
 */
#include <stdio.h>
#include <string.h>

#include "base/time.h"
#include "measure.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/pages.h"
#include "stage/stage.h"
#include "state/snapshot.h"

enum {
    CACHED_KEYS = 10000,
    AHEAD = 16, /* as in stage/dedup.c */
    SLOT_AHEAD = 6,
    SLOTS_PER_STEP = 64 * 1024, /* as in run/snapshots.c */
    KEYS_PER_BATCH = 8192,
    PARTITIONS = 3,
};

static const struct snapshot_identity identity = {.pipeline = "bench", .topic_id = "t",
                                                  .partition = "0"};

/* Distinct for distinct numbers, and as good as a hash. */
static struct hash128 key_of(uint64_t number)
{
    uint64_t mixed = (number + 1) * UINT64_C(0x9E3779B97F4A7C15);
    mixed = (mixed ^ mixed >> 31) * UINT64_C(0xD6E8FEB86659FD93);
    return (struct hash128){mixed ^ mixed >> 32, number + 1};
}

static struct state_budget budget = {.limit_bytes = UINT64_MAX};

static enum status insert_keys(struct seen_store *store, uint64_t from, uint64_t count,
                               struct error *err)
{
    enum status status = STATUS_OK;
    for (uint64_t i = from; i < from + count && status == STATUS_OK; i++) {
        seen_store_prefetch(store, key_of(i + AHEAD));
        seen_store_prefetch_slot(store, key_of(i + SLOT_AHEAD));
        bool is_known;
        struct seen_entry known;
        status = seen_store_see(store, key_of(i), (struct seen_entry){0, (int64_t)i}, 0, &is_known,
                                &known, err);
    }
    return status;
}

static enum status find_keys(const struct seen_store *store, uint64_t key_count, uint64_t count,
                             struct error *err)
{
    uint64_t found = 0;
    for (uint64_t i = 0; i < count; i++) {
        /* A step without common divisors with the count: all keys, in no order of theirs. */
        seen_store_prefetch(store, key_of((i + AHEAD) * 7919 % key_count));
        seen_store_prefetch_slot(store, key_of((i + SLOT_AHEAD) * 7919 % key_count));
        struct seen_entry entry;
        found += seen_store_find(store, key_of(i * 7919 % key_count), 0, &entry);
    }
    return found == count ? STATUS_OK
                          : error_set(err, STATUS_FATAL, "bench.lost", "a key was not found");
}

static enum status measure_cached(const struct arguments *arguments, struct measurement *out,
                                  struct error *err)
{
    struct seen_store *store = seen_store_new(&budget, TIME_UNLIMITED);
    enum status status = insert_keys(store, 0, CACHED_KEYS, err);
    measure_begin(out);
    if (status == STATUS_OK) {
        status = find_keys(store, CACHED_KEYS, arguments->records, err);
    }
    measure_end(out);
    out->records = arguments->records;
    seen_store_free(store);
    return status;
}

static enum status measure_insert(const struct arguments *arguments, struct measurement *out,
                                  struct error *err)
{
    struct seen_store *store = seen_store_new(&budget, TIME_UNLIMITED);
    measure_begin(out);
    enum status status = insert_keys(store, 0, arguments->records, err);
    measure_end(out);
    out->records = arguments->records;
    out->bytes = budget.used_bytes;
    seen_store_free(store);
    return status;
}

static enum status measure_find(const struct arguments *arguments, struct measurement *out,
                                struct error *err)
{
    struct seen_store *store = seen_store_new(&budget, TIME_UNLIMITED);
    enum status status = insert_keys(store, 0, arguments->records, err);
    measure_begin(out);
    if (status == STATUS_OK) {
        status = find_keys(store, arguments->records, arguments->records, err);
    }
    measure_end(out);
    out->records = arguments->records;
    out->bytes = budget.used_bytes;
    seen_store_free(store);
    return status;
}

static enum status measure_bare(const struct arguments *arguments, struct measurement *out,
                                struct error *err)
{
    (void)err;
    size_t slots = 1;
    while (slots / 4 * 3 <= arguments->records) {
        slots *= 2;
    }
    struct seen_entry(*table)[2] = pages_alloc(slots * sizeof *table);
    measure_begin(out);
    for (uint64_t i = 0; i < arguments->records; i++) {
        __builtin_prefetch(&table[key_of(i + AHEAD).low & (slots - 1)], 1);
        table[key_of(i).low & (slots - 1)][0].offset++;
    }
    measure_end(out);
    out->records = arguments->records;
    pages_free(table, slots * sizeof *table);
    return STATUS_OK;
}

/* --- snapshots --- */

static void hand_over(void *context, struct buffer *out)
{
    snapshot_writer_append(context, out);
}

/* Writes all of it, with a batch's worth of new keys after each step; the longest step is that of
 * the writing alone. */
static enum status copy_state(struct stage_state *state, const struct stage_plan *plan,
                              const char *folder, uint64_t keys, struct measurement *out,
                              struct error *err)
{
    struct snapshot_head head = {.next_offset = 1};
    struct snapshot_writer *writer = NULL;
    struct stage_copy copy;
    enum status status = snapshot_writer_open(folder, &identity, &head, &writer, err);
    if (status != STATUS_OK) {
        return status;
    }
    stage_copy_begin(&copy, state, plan, hand_over, writer, 1024 * 1024);
    bool is_done = false;
    while (!is_done && status == STATUS_OK) {
        int64_t begin_us = clock_monotonic_us();
        is_done = stage_copy_continue(&copy, SLOTS_PER_STEP);
        int64_t step_us = clock_monotonic_us() - begin_us;
        out->longest_us = step_us > out->longest_us ? step_us : out->longest_us;
        status = insert_keys(state->seen, keys, KEYS_PER_BATCH, err);
        keys += KEYS_PER_BATCH;
    }
    snapshot_writer_append(writer, &copy.pieces.out);
    stage_copy_end(&copy);
    snapshot_writer_publish(writer);
    enum status written = snapshot_writer_wait(writer, err);
    snapshot_writer_close(writer);
    return status == STATUS_OK ? written : status;
}

static enum status read_state(struct stage_state *state, const char *folder, struct error *err)
{
    struct snapshot_reader *reader = NULL;
    struct stage_reading reading = {.state = state};
    bool is_found = false;
    bool is_end = false;
    enum status status =
        snapshot_load(folder, &identity, INT64_MAX, NULL, NULL, &reader, &is_found, err);
    if (status == STATUS_OK && !is_found) {
        status = error_set(err, STATUS_FATAL, "bench.lost", "the snapshot is not there");
    }
    while (status == STATUS_OK && !is_end) {
        struct bytes piece;
        status = snapshot_reader_next(reader, &piece, &is_end, err);
        if (status == STATUS_OK && !is_end) {
            status = stage_reading_piece(&reading, piece, err);
        }
    }
    snapshot_reader_close(reader);
    return status;
}

static enum status remove_snapshot(const char *folder, struct error *err)
{
    struct arena *arena = arena_new(4096);
    const char **names = NULL;
    size_t count = 0;
    enum status status = folder_list(arena, folder, &names, &count, err);
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        status = file_remove(arena_printf(arena, "%s/%s", folder, names[i]), err);
    }
    arena_free(arena);
    return status;
}

/* A partition's share of the keys at a time; `reads` measures the reading back, else the writing. */
static enum status measure_partitions(const struct arguments *arguments, bool reads,
                                      struct measurement *out, struct error *err)
{
    struct stage_plan plan = {.dedup_field_count = 1, .dedup_window_us = TIME_UNLIMITED};
    uint64_t keys = arguments->records / PARTITIONS;
    enum status status = STATUS_OK;
    for (int p = 0; p < PARTITIONS && status == STATUS_OK; p++) {
        struct measurement unused = {0};
        struct measurement *writing = reads ? &unused : out;
        struct measurement *reading = reads ? out : &unused;
        struct stage_state *state = stage_state_new(&plan, &budget, 0);
        status = insert_keys(state->seen, 0, keys, err);
        measure_begin(writing);
        if (status == STATUS_OK) {
            status = copy_state(state, &plan, arguments->path, keys, writing, err);
        }
        measure_end(writing);
        uint64_t count = seen_store_count(state->seen);
        stage_state_free(state);
        state = stage_state_new(&plan, &budget, 0);
        measure_begin(reading);
        if (status == STATUS_OK) {
            status = read_state(state, arguments->path, err);
        }
        measure_end(reading);
        out->records += seen_store_count(state->seen);
        if (status == STATUS_OK && seen_store_count(state->seen) != keys) {
            status = error_set(err, STATUS_FATAL, "bench.lost", "%llu keys are not %llu (%llu)",
                               (unsigned long long)seen_store_count(state->seen),
                               (unsigned long long)keys, (unsigned long long)count);
        }
        stage_state_free(state);
        if (status == STATUS_OK) {
            status = remove_snapshot(arguments->path, err);
        }
    }
    return status;
}

static enum status measure_copy(const struct arguments *arguments, struct measurement *out,
                                struct error *err)
{
    return measure_partitions(arguments, false, out, err);
}

static enum status measure_recovery(const struct arguments *arguments, struct measurement *out,
                                    struct error *err)
{
    return measure_partitions(arguments, true, out, err);
}

const struct thing state_things[] = {
    {"state-cached", measure_cached}, {"state-insert", measure_insert},
    {"state-find", measure_find},     {"state-bare", measure_bare},
    {"state-copy", measure_copy},     {"state-recovery", measure_recovery},
    {0},
};
