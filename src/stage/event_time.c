/*
 * Event time and watermark, row by row. What a row claims is read from the row alone, ahead of its turn;
 * all else asks the rows before it.
 *
 * watermark = greatest vetted event time so far − lateness. A row is vetted when it has an event
 * time that nothing speaks against; every vetted row moves the watermark, whatever becomes of
 * the row. A row is late when its event time lies below the watermark BEFORE it; what is
 * remembered expires by the watermark AFTER it.
 *
 * Two guards against clocks that run ahead, because one such row would make all that follow
 * LATE:
 *   max_future  compares with the record's timestamp where the broker set it
 *   max_jump    elsewhere: a row that far ahead of the greatest event time is time.future and a
 *               candidate; when three distinct keys
 *               are candidates within 1,000 offsets the world has moved on, and the lowest of them
 *               becomes the greatest event time
 */
#include "base/broken.h"
#include "base/time.h"
#include "stage/stage_private.h"

static void violate(struct batch *batch, uint32_t row, uint32_t field, reason_id reason,
                    struct bytes detail)
{
    batch_add_violation(batch, row, ORDER_EVENT_TIME, reason, field, detail);
}

/* The text of the cell, and what is wrong with it where that is hard to see. */
static void violate_unparsable(struct batch *batch, uint32_t row, uint32_t field)
{
    const struct column *column = &batch->columns[field];
    struct bytes text = column->type == COLUMN_TEXT ? column->texts[row] : BYTES_NONE;
    struct buffer detail = {0};
    int64_t time_us;
    if (!bytes_is_none(text) && time_parse_any_rfc3339(text, &time_us)) {
        buffer_append_string(&detail, "beyond the years 0000 to 9999 in UTC: ");
        buffer_append(&detail, text.data, text.size);
        text = bytes_of(detail.data, detail.size);
    }
    violate(batch, row, field, REASON_TIME_UNPARSABLE, text);
    buffer_fini(&detail);
}

/* False when a field of the time is not there, or no value, with the violation added. */
static bool has_time_fields(const struct stage_plan *plan, struct batch *batch, uint32_t row)
{
    for (uint32_t i = 0; i < plan->time_field_count; i++) {
        uint32_t field = plan->time_fields[i];
        enum cell cell = (enum cell)batch->columns[field].cells[row];
        if (cell == CELL_ABSENT || cell == CELL_NULL) {
            violate(batch, row, field, REASON_TIME_MISSING, BYTES_NONE);
            return false;
        }
        if (cell == CELL_MISFIT) {
            violate(batch, row, field, REASON_TIME_UNPARSABLE,
                    batch_find_misfit(batch, field, row)->raw);
            return false;
        }
    }
    return true;
}

/* The value of a field as it is read by a pattern: a whole number as its digits. */
static void write_time_text(const struct value *value, struct buffer *out)
{
    if (value->type == VALUE_TEXT) {
        buffer_append(out, value->text.data, value->text.size);
    } else if (value->type == VALUE_DOUBLE && value->real > -1e15 && value->real < 1e15 &&
               value->real == (double)(int64_t)value->real) {
        json_write_int64(out, (int64_t)value->real);
    } else {
        json_write_value(out, value);
    }
}

static bool read_form(const struct time_form *form, const struct zone *zone,
                      const struct value *value, struct bytes text, int64_t *out_us)
{
    if (form->kind == TIME_FORM_EPOCH && value->type == VALUE_INT64) {
        return time_form_read_int64(form, value->integer, out_us);
    }
    if (form->kind == TIME_FORM_EPOCH && value->type == VALUE_DOUBLE) {
        return time_form_read_double(form, value->real, out_us);
    }
    return time_form_read(form, zone, text, out_us);
}

/* By the first form that reads it. */
static bool formed_time(const struct stage_plan *plan, struct preparer *preparer,
                        struct batch *batch, uint32_t row, int64_t *out_us)
{
    struct buffer *joined = &preparer->time_text;
    buffer_clear(joined);
    if (!has_time_fields(plan, batch, row)) {
        return false;
    }
    struct value value = {.type = VALUE_NULL};
    for (uint32_t i = 0; i < plan->time_field_count; i++) {
        value = batch_value(batch, plan->time_fields[i], row);
        if (value.type == VALUE_JSON) {
            value = json_value(batch->arena, value.text);
        }
        if (value.type != VALUE_TEXT || plan->time_field_count > 1) {
            buffer_append_string(joined, i == 0 ? "" : " ");
            write_time_text(&value, joined);
        }
    }
    struct bytes text = joined->size > 0 || value.type != VALUE_TEXT
                            ? bytes_of(buffer_string(joined), joined->size)
                            : value.text;
    value.type = plan->time_field_count > 1 ? VALUE_TEXT : value.type;
    bool is_read = false;
    for (uint32_t i = 0; i < plan->time_form_count && !is_read; i++) {
        is_read = read_form(&plan->time_forms[i], plan->time_zone, &value, text, out_us);
    }
    if (!is_read) {
        violate(batch, row, plan->event_time_field, REASON_TIME_UNPARSABLE, text);
    }
    return is_read;
}

/* The event time that the row claims; false when it has none, with the violation added. */
static bool claimed_time(const struct stage_plan *plan, struct preparer *preparer,
                         struct batch *batch, uint32_t row, int64_t *out_us)
{
    uint32_t field = plan->event_time_field;
    if (field == FIELD_NONE) {
        *out_us = batch->records[row].timestamp_us;
        return *out_us != TIME_NEVER;
    }
    if (plan->time_form_count > 0) {
        return formed_time(plan, preparer, batch, row, out_us);
    }
    const struct column *column = &batch->columns[field];
    switch ((enum cell)column->cells[row]) {
    case CELL_VALUE:
    case CELL_INVALID:
        if (column->type == COLUMN_TEXT &&
            time_read_any_rfc3339(&preparer->time_reader, column->texts[row], out_us) &&
            time_is_in_range(*out_us)) {
            return true;
        }
        violate_unparsable(batch, row, field);
        return false;
    case CELL_MISFIT:
        violate(batch, row, field, REASON_TIME_UNPARSABLE,
                batch_find_misfit(batch, field, row)->raw);
        return false;
    case CELL_ABSENT:
    case CELL_NULL:
        break;
    }
    violate(batch, row, field, REASON_TIME_MISSING, BYTES_NONE);
    return false;
}

void stage_claim_times(const struct stage_runner *runner, struct preparer *preparer,
                       struct batch *batch)
{
    const struct stage_plan *plan = runner->plan;
    batch->rfc3339_field = plan->time_form_count == 0 ? plan->event_time_field : FIELD_NONE;
    for (uint32_t row = 0; row < batch->row_count; row++) {
        int64_t claimed_us;
        if (batch->verdicts[row] == VERDICT_NONE &&
            claimed_time(plan, preparer, batch, row, &claimed_us)) {
            batch->event_times_us[row] = claimed_us;
        }
    }
}

/* What tells the sender of a candidate: false when the row does not say. */
static bool candidate_key(const struct stage_runner *runner, struct batch *batch, uint32_t row,
                          struct hash128 *out)
{
    uint32_t field = runner->plan->jump_field;
    if (field == FIELD_NONE) {
        struct bytes key = batch->records[row].key;
        *out = hash_bytes(&runner->secret, key.data, key.size);
        return !bytes_is_none(key);
    }
    if (batch->columns[field].cells[row] != CELL_VALUE) {
        return false;
    }
    *out = stage_key_hash(runner, batch, field, row);
    return true;
}

static void drop_old_candidates(struct candidates *candidates, int64_t offset, int64_t span)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < candidates->count; i++) {
        if (offset - candidates->items[i].offset <= span) {
            candidates->items[kept++] = candidates->items[i];
        }
    }
    candidates->count = kept;
}

/* A row whose event time lies too far ahead votes for a jump; the third key carries it. */
static void vote_for_jump(struct stage_state *state, struct hash128 key, int64_t offset,
                          int64_t event_time_us, int64_t span)
{
    struct candidates *candidates = &state->candidates;
    drop_old_candidates(candidates, offset, span);
    struct candidate vote = {.key = key, .offset = offset, .event_time_us = event_time_us};
    for (uint32_t i = 0; i < candidates->count; i++) {
        if (hash_equal(candidates->items[i].key, key)) {
            candidates->items[i] = vote;
            return;
        }
    }
    if (candidates->count < CANDIDATES_MAX) {
        candidates->items[candidates->count++] = vote;
        return;
    }
    int64_t lowest_us = event_time_us;
    for (uint32_t i = 0; i < candidates->count; i++) {
        if (candidates->items[i].event_time_us < lowest_us) {
            lowest_us = candidates->items[i].event_time_us;
        }
    }
    candidates->count = 0;
    if (lowest_us > state->greatest_us) {
        state->greatest_us = lowest_us;
    }
}

/* True when the claimed time lies too far ahead. */
static bool is_future(struct stage_runner *runner, struct stage_state *state,
                      struct batch *batch, uint32_t row, int64_t claimed_us)
{
    const struct stage_plan *plan = runner->plan;
    const struct record *record = &batch->records[row];
    if (record->timestamp_kind == TIMESTAMP_BROKER) {
        return plan->max_future_us != DURATION_NONE &&
               claimed_us > record->timestamp_us + plan->max_future_us;
    }
    if (plan->max_jump_us == DURATION_NONE || state->greatest_us == TIME_NEVER ||
        claimed_us <= state->greatest_us + plan->max_jump_us) {
        return false;
    }
    struct hash128 key;
    if (candidate_key(runner, batch, row, &key)) {
        vote_for_jump(state, key, record->offset, claimed_us, plan->jump_span);
    }
    return true;
}

static void offer_anchor(const struct stage_runner *runner, struct stage_state *state,
                         const struct record *record)
{
    if (!anchors_wants(&state->anchors, state->greatest_us)) {
        return;
    }
    struct anchor anchor = {
        .offset = record->offset,
        .greatest_us = state->greatest_us,
        .candidates = state->candidates,
        .record_hash = record_hash(&runner->secret, record),
    };
    anchors_offer(&state->anchors, &anchor);
}

void stage_event_time(struct stage_runner *runner, struct stage_state *state, struct batch *batch)
{
    const struct stage_plan *plan = runner->plan;
    const int64_t lateness_us = plan->lateness_us;
    const bool judges_lateness = plan->event_time_field != FIELD_NONE;
    for (uint32_t row = 0; row < batch->row_count; row++) {
        offer_anchor(runner, state, &batch->records[row]);
        runner->late[row] = false;
        const int64_t claimed_us = batch->event_times_us[row];
        if (claimed_us != TIME_NEVER) {
            if (is_future(runner, state, batch, row, claimed_us)) {
                char text[TIME_TEXT_BYTES];
                size_t size = time_format(claimed_us, text);
                violate(batch, row, plan->event_time_field, REASON_TIME_FUTURE,
                        bytes_of(text, size));
                batch->event_times_us[row] = TIME_NEVER;
                if (BROKEN("future-moves")) {
                    state->greatest_us = claimed_us;
                }
            } else {
                runner->late[row] =
                    judges_lateness && claimed_us < state->greatest_us - lateness_us;
                if (claimed_us > state->greatest_us) {
                    state->greatest_us = claimed_us;
                }
            }
        }
        batch->watermarks_us[row] = state->greatest_us - lateness_us;
    }
    anchors_advance(&state->anchors, state->greatest_us);
}
