/*
 * Dedup, and lateness behind it.
 *
 * A key is remembered while the watermark after this row ≤ e + window, e being the greatest
 * event time of its sightings. Rows that are not late register and refresh; a late row is only
 * looked up: remembered → DUPLICATE, else LATE. INVALID and FILTERED rows never come here, and a
 * row that no sink will take is only looked up too, so a corrected resend counts. It must not
 * refresh what it could not register: a chain of such rows would carry a key further than any
 * replay begins. A null in the key: the row is not deduplicated.
 *
 * Re-injected dead letters skip lateness, and only look up, as they did the first time; what a
 * sink had refused skips dedup too.
 */
#include <stdio.h>

#include "base/broken.h"
#include "base/time.h"
#include "stage/stage_private.h"

/* So many rows ahead of their turn keys are fetched, and then their slots. */
#define PREFETCH_ROWS 16u
#define PREFETCH_SLOT_ROWS 6u

/* The usual key: one text. */
static void hash_text_keys(struct stage_runner *runner, struct batch *batch, uint32_t field)
{
    const uint8_t *cells = batch->columns[field].cells;
    for (uint32_t row = 0; row < batch->row_count; row++) {
        runner->key_known[row] = batch->verdicts[row] == VERDICT_NONE && cells[row] == CELL_VALUE;
        if (runner->key_known[row]) {
            runner->key_hashes[row] = stage_key_hash(runner, batch, field, row);
        }
    }
}

static void hash_keys(struct stage_runner *runner, struct batch *batch)
{
    const struct stage_plan *plan = runner->plan;
    struct value values[16];
    check(plan->dedup_field_count <= sizeof values / sizeof values[0]);
    for (uint32_t row = 0; row < batch->row_count; row++) {
        runner->key_known[row] = false;
        if (batch->verdicts[row] != VERDICT_NONE) {
            continue;
        }
        bool known = true;
        for (uint32_t i = 0; i < plan->dedup_field_count; i++) {
            values[i] = stage_key(batch, plan->dedup_fields[i], row);
            known &= values[i].type != VALUE_NULL || BROKEN("dedup-null");
        }
        runner->key_known[row] = known;
        if (known) {
            runner->key_hashes[row] =
                value_hash(&runner->secret, values, plan->dedup_field_count);
        }
    }
}

static void decide_late(struct batch *batch, uint32_t row)
{
    char text[TIME_TEXT_BYTES + 16] = "watermark ";
    size_t size = strlen(text);
    size += time_format(batch->watermarks_us[row], text + size);
    batch_decide(batch, row, VERDICT_LATE, ORDER_LATER + 3, REASON_LATE, FIELD_NONE,
                 bytes_of(text, size));
}

/* Decides the row as DUPLICATE of the sighting at `witness`. */
static enum status decide_duplicate(const struct stage_plan *plan, struct batch *batch,
                                    uint32_t row, int64_t witness, struct error *err)
{
    if (witness >= batch->records[row].offset) {
        return error_set(err, STATUS_FATAL, "state.witness",
                         "the record at offset %lld is a duplicate of one at offset %lld, which "
                         "is not before it: the state does not belong to this log; remove the "
                         "snapshots and start again",
                         (long long)batch->records[row].offset, (long long)witness);
    }
    char text[40];
    int size = snprintf(text, sizeof text, "of offset %lld", (long long)witness);
    batch_decide(batch, row, VERDICT_DUPLICATE, ORDER_LATER + 2, REASON_DUPLICATE,
                 plan->dedup_fields[0], bytes_of(text, (size_t)size));
    return STATUS_OK;
}

static enum status dedup_row(struct stage_runner *runner, struct stage_state *state,
                             struct batch *batch, uint32_t row, struct error *err)
{
    struct hash128 key = runner->key_hashes[row];
    int64_t watermark_us = batch->watermarks_us[row];
    int64_t event_time_us = batch->event_times_us[row];
    const bool counts = (!runner->late[row] || BROKEN("late-registers")) &&
                        stage_has_route(runner, batch, row);
    const struct seen_entry sighting = {.event_time_us = event_time_us,
                                        .offset = batch->records[row].offset};
    bool is_known;
    struct seen_entry known;
    if (counts) {
        enum status status = seen_store_see(state->seen, key, sighting, watermark_us, &is_known,
                                            &known, err);
        if (status != STATUS_OK) {
            return status;
        }
    } else {
        is_known = seen_store_find(state->seen, key, watermark_us, &known);
    }
    return is_known ? decide_duplicate(runner->plan, batch, row, known.offset, err) : STATUS_OK;
}

/* For rows whose turn comes soon after this one's. */
static void prefetch(const struct stage_runner *runner, const struct seen_store *seen,
                     uint32_t row_count, uint32_t row)
{
    uint32_t ahead = row + PREFETCH_ROWS;
    if (ahead < row_count && runner->key_known[ahead]) {
        seen_store_prefetch(seen, runner->key_hashes[ahead]);
    }
    ahead = row + PREFETCH_SLOT_ROWS;
    if (ahead < row_count && runner->key_known[ahead]) {
        seen_store_prefetch_slot(seen, runner->key_hashes[ahead]);
    }
}

enum status stage_dedup(struct stage_runner *runner, struct stage_state *state,
                        struct batch *batch, struct error *err)
{
    bool dedups = state->seen != NULL;
    if (dedups && runner->plan->dedup_field_count == 1 && !BROKEN("dedup-null") &&
        batch->columns[runner->plan->dedup_fields[0]].type == COLUMN_TEXT) {
        hash_text_keys(runner, batch, runner->plan->dedup_fields[0]);
    } else if (dedups) {
        hash_keys(runner, batch);
    }
    for (uint32_t row = 0; row < batch->row_count; row++) {
        if (dedups) {
            prefetch(runner, state->seen, batch->row_count, row);
        }
        if (batch->verdicts[row] != VERDICT_NONE) {
            continue;
        }
        const struct replay_origin *replay = batch_replay(batch, row);
        bool was_refused = replay != NULL && !bytes_is_none(replay->sink);
        if (dedups && runner->key_known[row] && !was_refused) {
            enum status status = dedup_row(runner, state, batch, row, err);
            if (status != STATUS_OK) {
                return status;
            }
        }
        if (batch->verdicts[row] == VERDICT_NONE && runner->late[row] && replay == NULL) {
            decide_late(batch, row);
        }
    }
    return STATUS_OK;
}
