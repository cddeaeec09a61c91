/*
 * Copies of a state for snapshots, and reading them back.
 *
 * Stores are numbered: 0 is SEEN, whether the plan has it or not, then come those of fill last_by.
 * The head is i64 greatest event time, the candidates, the anchors, i64 next offset, hash of the
 * last record, i64 its offset, u8 whether there is SEEN, u32 count of LAST, and for each store that
 * is there u64 at most how many entries follow.
 */
#include "base/time.h"
#include "stage/stage.h"
#include "state/form.h"

/* No store is larger; what says so is not to be believed. */
#define ENTRIES_MAX (UINT64_C(1) << 48)

static void write_head(const struct stage_state *state, struct state_pieces *pieces)
{
    size_t begin = pieces_begin(pieces);
    struct buffer *out = &pieces->out;
    buffer_append_u64(out, (uint64_t)state->greatest_us);
    candidates_write(&state->candidates, out);
    anchors_write(&state->anchors, out);
    buffer_append_u64(out, (uint64_t)state->next_offset);
    buffer_append_u64(out, state->last_record_hash.low);
    buffer_append_u64(out, state->last_record_hash.high);
    buffer_append_u64(out, (uint64_t)state->last_record_offset);
    buffer_append_u8(out, state->seen != NULL);
    buffer_append_u32(out, state->last_count);
    if (state->seen != NULL) {
        buffer_append_u64(out, seen_store_count(state->seen));
    }
    for (uint32_t i = 0; i < state->last_count; i++) {
        buffer_append_u64(out, last_store_count(state->last[i]));
    }
    pieces_end(pieces, begin);
}

void stage_copy_begin(struct stage_copy *copy, struct stage_state *state,
                      const struct stage_plan *plan,
                      void (*full)(void *context, struct buffer *out), void *context,
                      size_t full_bytes)
{
    *copy = (struct stage_copy){
        .state = state,
        .pieces = {.full = full, .context = context, .full_bytes = full_bytes},
    };
    int64_t watermark_us = stage_state_watermark(state, plan);
    write_head(state, &copy->pieces);
    if (state->seen != NULL) {
        seen_store_copy_begin(state->seen, &copy->pieces, 0, watermark_us);
    }
    for (uint32_t i = 0; i < state->last_count; i++) {
        last_store_copy_begin(state->last[i], &copy->pieces, 1 + i, watermark_us);
    }
}

static bool continue_store(struct stage_state *state, uint32_t store, size_t slot_count)
{
    if (store > 0) {
        return last_store_copy_continue(state->last[store - 1], slot_count);
    }
    return state->seen == NULL || seen_store_copy_continue(state->seen, slot_count);
}

bool stage_copy_continue(struct stage_copy *copy, size_t slot_count)
{
    struct stage_state *state = copy->state;
    while (copy->next_store <= state->last_count) {
        if (!continue_store(state, copy->next_store, slot_count)) {
            return false;
        }
        copy->next_store++;
    }
    if (!copy->is_done) {
        copy->is_done = true;
        pieces_end_all(&copy->pieces);
    }
    return true;
}

void stage_copy_end(struct stage_copy *copy)
{
    struct stage_state *state = copy->state;
    if (state->seen != NULL) {
        seen_store_copy_end(state->seen);
    }
    for (uint32_t i = 0; i < state->last_count; i++) {
        last_store_copy_end(state->last[i]);
    }
    buffer_fini(&copy->pieces.out);
}

void stage_state_write(struct stage_state *state, const struct stage_plan *plan,
                       struct buffer *out)
{
    struct stage_copy copy;
    stage_copy_begin(&copy, state, plan, NULL, NULL, 0);
    check(stage_copy_continue(&copy, SIZE_MAX));
    buffer_append(out, copy.pieces.out.data, copy.pieces.out.size);
    stage_copy_end(&copy);
}

/* --- reading --- */

static enum status is_other_plan(struct error *err)
{
    return error_set(err, STATUS_FATAL, "snapshot.corrupt", "the state is of another plan");
}

static enum status read_rooms(struct stage_state *state, struct reader *in, struct error *err)
{
    enum status status = STATUS_OK;
    for (uint32_t store = 0; store <= state->last_count && status == STATUS_OK; store++) {
        if (store == 0 && state->seen == NULL) {
            continue;
        }
        uint64_t count = reader_u64(in);
        if (in->failed || count > ENTRIES_MAX) {
            return error_set(err, STATUS_FATAL, "snapshot.corrupt", "the state's head is cut");
        }
        status = store == 0 ? seen_store_reserve(state->seen, count, err)
                            : last_store_reserve(state->last[store - 1], count, err);
    }
    return status;
}

static enum status read_head(struct stage_state *state, struct reader *in, struct error *err)
{
    state->greatest_us = form_read_time(in);
    candidates_read(&state->candidates, in);
    enum status status = anchors_read(&state->anchors, in, err);
    if (status != STATUS_OK) {
        return status;
    }
    state->next_offset = (int64_t)reader_u64(in);
    state->last_record_hash.low = reader_u64(in);
    state->last_record_hash.high = reader_u64(in);
    state->last_record_offset = (int64_t)reader_u64(in);
    bool has_seen = reader_u8(in) != 0;
    uint32_t last_count = reader_u32(in);
    if (in->failed || has_seen != (state->seen != NULL) || last_count != state->last_count) {
        return is_other_plan(err);
    }
    status = read_rooms(state, in, err);
    if (status == STATUS_OK && (in->failed || in->at != in->end)) {
        status = error_set(err, STATUS_FATAL, "snapshot.corrupt", "the state's head is too long");
    }
    return status;
}

enum status stage_reading_piece(struct stage_reading *reading, struct bytes piece,
                                struct error *err)
{
    struct stage_state *state = reading->state;
    struct reader in = reader_of(piece);
    if (!reading->has_head) {
        reading->has_head = true;
        return read_head(state, &in, err);
    }
    uint32_t store = reader_u32(&in);
    if (in.failed || store > state->last_count || (store == 0 && state->seen == NULL)) {
        return is_other_plan(err);
    }
    return store == 0 ? seen_store_read(state->seen, &in, err)
                      : last_store_read(state->last[store - 1], &in, err);
}

enum status stage_reading_end(const struct stage_reading *reading, struct error *err)
{
    return reading->has_head
               ? STATUS_OK
               : error_set(err, STATUS_FATAL, "snapshot.corrupt", "the state has no head");
}

enum status stage_state_read(struct stage_state *state, struct bytes form, struct error *err)
{
    struct stage_reading reading = {.state = state};
    struct reader in = reader_of(form);
    struct bytes piece;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && pieces_next(&in, &piece)) {
        status = stage_reading_piece(&reading, piece, err);
    }
    if (status == STATUS_OK && (in.failed || in.at != in.end)) {
        return error_set(err, STATUS_FATAL, "snapshot.corrupt", "the state is cut or too long");
    }
    return status == STATUS_OK ? stage_reading_end(&reading, err) : status;
}
