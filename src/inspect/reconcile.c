#include "inspect/reconcile.h"

#include <stdlib.h>
#include <string.h>

#include "codec/json.h"
#include "os/thread.h"
#include "inspect/reconcile_row.h"
#include "inspect/spill_sort.h"

#define SORT_BYTES ((size_t)32 << 20) /* of either place */
#define PROGRESS_ROWS 4096u

/* A difference that is to be named: which rows to look for. */
struct named {
    struct hash128 key;
    struct hash128 contents[2]; /* ALTERED: of the two rows that are set side by side */
    enum reconcile_kind kind;
    uint64_t counts[2];
};

struct reconcile {
    const struct reconcile_query *query;
    const struct run_observer *observer;
    struct reconcile_result *result;
    struct hash_secret secret;
    struct spill_sort *sorts[2];
    struct flat_row row;
    uint32_t side; /* that is being read */
    bool wants_record_key[2];
    bool compares_deletions; /* the key of a record is all that tells rows apart, in both places */
    uint64_t rows_read;
    struct named *named; /* by key, as they were found */
    uint32_t named_count;
    struct copied_row *copies; /* [2 * named + side] */
};

/* A named row, kept from the second reading. */
struct copied_row {
    struct arena *arena; /* NULL: not found again */
    struct flat_row row;
};

const char *reconcile_kind_name(enum reconcile_kind kind)
{
    static const char *const names[RECONCILE_KINDS] = {"missing", "extra", "doubled", "altered"};
    return names[kind];
}

void reconcile_result_fini(struct reconcile_result *result)
{
    arena_free(result->arena);
}

bool reconcile_is_same(const struct reconcile_result *result)
{
    uint64_t differences = result->unreadable[0] + result->unreadable[1];
    for (uint32_t i = 0; i < RECONCILE_KINDS; i++) {
        differences += result->counts[i];
    }
    return differences == 0;
}

/* --- reading --- */

static enum status check_stop(struct reconcile *r, struct error *err)
{
    if (++r->rows_read % PROGRESS_ROWS != 0) {
        return STATUS_OK;
    }
    if (r->observer->progress != NULL) {
        r->observer->progress(r->observer->context, r->rows_read, -1);
    }
    return stop_requested() ? error_set(err, STATUS_RETRY, "reconcile.stopped",
                                        "stopped before the end: nothing was compared")
                            : STATUS_OK;
}

static bool is_deletion(const struct place_row *place_row)
{
    return bytes_is_none(place_row->value) && !bytes_is_none(place_row->key);
}

/* False when it cannot be compared. */
static bool read_row(struct reconcile *r, const struct place_row *place_row)
{
    if (is_deletion(place_row) && r->compares_deletions) {
        flat_row_clear(&r->row);
        flat_row_add_text(&r->row, RECONCILE_DELETED, bytes_of_string("true"));
    } else if (!flat_row_read(&r->row, place_row->value)) {
        return false;
    }
    if (r->wants_record_key[r->side]) {
        flat_row_add_text(&r->row, RECONCILE_RECORD_KEY, place_row->key);
    }
    return true;
}

static struct hash_pair hash_row(const struct reconcile *r)
{
    const struct reconcile_query *query = r->query;
    return (struct hash_pair){
        .key = flat_row_hash_key(&r->row, query->keys[r->side], query->key_count, &r->secret),
        .content = flat_row_hash_content(&r->row, query, &r->secret),
    };
}

static enum status take_row(void *context, const struct place_row *place_row, bool *out_done,
                            struct error *err)
{
    (void)out_done;
    struct reconcile *r = context;
    enum status status = check_stop(r, err);
    if (status != STATUS_OK) {
        return status;
    }
    if (is_deletion(place_row)) {
        r->result->deletions[r->side]++;
        if (!r->compares_deletions) {
            return STATUS_OK;
        }
    }
    r->result->rows[r->side]++;
    if (!read_row(r, place_row)) {
        r->result->unreadable[r->side]++;
        return STATUS_OK;
    }
    struct hash_pair pair = hash_row(r);
    return spill_sort_add(r->sorts[r->side], &pair, err);
}

static enum status read_place(struct reconcile *r, uint32_t side, place_row_visitor *visit,
                              struct error *err)
{
    const struct reconcile_place *place = &r->query->places[side];
    r->side = side;
    return place->each(place->place, visit, r, err);
}

/* --- comparing --- */

/* One place in the order of the sort, one pair ahead. */
struct cursor {
    struct spill_sort *sort;
    struct hash_pair pair;
    bool is_there;
};

static enum status advance(struct cursor *cursor, struct error *err)
{
    return spill_sort_next(cursor->sort, &cursor->pair, &cursor->is_there, err);
}

static int compare_keys(struct hash128 a, struct hash128 b)
{
    const struct hash_pair left = {.key = a};
    const struct hash_pair right = {.key = b};
    return hash_pair_compare(&left, &right);
}

/* What the rows of one key come to. */
struct group {
    struct hash128 key;
    uint64_t counts[2];
    uint64_t left_over[2];      /* rows without a counterpart of the same content */
    struct hash128 contents[2]; /* of the first of these */
};

static enum status pass_over(struct group *group, uint32_t side, struct cursor *cursor,
                             struct error *err)
{
    if (group->left_over[side]++ == 0) {
        group->contents[side] = cursor->pair.content;
    }
    group->counts[side]++;
    return advance(cursor, err);
}

/* Contents come in order, so that equal ones meet. */
static enum status take_group(struct reconcile *r, struct cursor *cursors, struct group *group,
                              struct error *err)
{
    enum status status = STATUS_OK;
    while (status == STATUS_OK) {
        bool in[2];
        for (uint32_t side = 0; side < 2; side++) {
            in[side] = cursors[side].is_there &&
                       hash_equal(cursors[side].pair.key, group->key);
        }
        if (!in[0] && !in[1]) {
            break;
        }
        int order = !in[0]   ? 1
                    : !in[1] ? -1
                             : hash_pair_compare(&cursors[0].pair, &cursors[1].pair);
        if (order != 0) {
            uint32_t side = order < 0 ? 0 : 1;
            status = pass_over(group, side, &cursors[side], err);
            continue;
        }
        r->result->same++;
        group->counts[0]++;
        group->counts[1]++;
        status = advance(&cursors[0], err);
        if (status == STATUS_OK) {
            status = advance(&cursors[1], err);
        }
    }
    return status;
}

static void tell(struct reconcile *r, const struct group *group, enum reconcile_kind kind,
                 uint64_t rows)
{
    r->result->counts[kind] += rows;
    if (rows > 0 && r->named_count < r->query->most) {
        r->named[r->named_count++] = (struct named){
            .key = group->key,
            .contents = {group->contents[0], group->contents[1]},
            .kind = kind,
            .counts = {group->counts[0], group->counts[1]},
        };
    }
}

/* Rows without a counterpart on both sides are one row that was altered. */
static void judge_group(struct reconcile *r, const struct group *group)
{
    uint64_t altered = group->left_over[0] < group->left_over[1] ? group->left_over[0]
                                                                 : group->left_over[1];
    uint64_t surplus = group->left_over[1] - altered;
    tell(r, group, RECONCILE_ALTERED, altered);
    tell(r, group, RECONCILE_MISSING, group->left_over[0] - altered);
    tell(r, group, group->counts[0] > 0 ? RECONCILE_DOUBLED : RECONCILE_EXTRA, surplus);
}

static enum status compare(struct reconcile *r, struct error *err)
{
    struct cursor cursors[2] = {{.sort = r->sorts[0]}, {.sort = r->sorts[1]}};
    enum status status = STATUS_OK;
    for (uint32_t side = 0; side < 2 && status == STATUS_OK; side++) {
        status = advance(&cursors[side], err);
    }
    while (status == STATUS_OK && (cursors[0].is_there || cursors[1].is_there)) {
        bool is_left = cursors[0].is_there &&
                       (!cursors[1].is_there ||
                        compare_keys(cursors[0].pair.key, cursors[1].pair.key) <= 0);
        struct group group = {.key = cursors[is_left ? 0 : 1].pair.key};
        status = take_group(r, cursors, &group, err);
        if (status == STATUS_OK) {
            judge_group(r, &group);
        }
    }
    return status;
}

/* --- naming --- */

static void copy_row(struct reconcile *r, struct copied_row *copy)
{
    copy->arena = arena_new(4096);
    copy->row.columns = arena_alloc_zero(copy->arena, r->row.count + 1, sizeof *copy->row.columns);
    copy->row.count = r->row.count;
    for (uint32_t i = 0; i < r->row.count; i++) {
        const struct flat_column *from = &r->row.columns[i];
        copy->row.columns[i] = (struct flat_column){
            .name = arena_copy_string(copy->arena, from->name),
            .raw = bytes_of(arena_copy(copy->arena, from->raw.data, from->raw.size),
                            from->raw.size),
            .form = bytes_of(arena_copy(copy->arena, from->form.data, from->form.size),
                             from->form.size),
        };
    }
}

/* Named ones stand in the order of their keys: the first that is not below. */
static uint32_t find_named(const struct reconcile *r, struct hash128 key)
{
    uint32_t low = 0;
    uint32_t high = r->named_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (compare_keys(r->named[middle].key, key) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static enum status take_named(void *context, const struct place_row *place_row, bool *out_done,
                              struct error *err)
{
    (void)out_done;
    struct reconcile *r = context;
    enum status status = check_stop(r, err);
    if (status != STATUS_OK || !read_row(r, place_row)) {
        return status;
    }
    struct hash_pair pair = hash_row(r);
    for (uint32_t i = find_named(r, pair.key);
         i < r->named_count && hash_equal(r->named[i].key, pair.key); i++) {
        struct copied_row *copy = &r->copies[2 * i + r->side];
        if (copy->arena == NULL && (r->named[i].kind != RECONCILE_ALTERED ||
                                    hash_equal(r->named[i].contents[r->side], pair.content))) {
            copy_row(r, copy);
        }
    }
    return STATUS_OK;
}

static const char *keep(struct reconcile *r, struct bytes text)
{
    return arena_copy(r->result->arena, text.data, text.size);
}

static const char *key_text(struct reconcile *r, uint32_t side, const struct flat_row *row)
{
    struct buffer text = {0};
    for (uint32_t i = 0; i < r->query->key_count; i++) {
        const struct flat_column *column = flat_row_find(row, r->query->keys[side][i]);
        buffer_append_byte(&text, i == 0 ? '{' : ',');
        json_write_string(&text, bytes_of_string(r->query->keys[side][i]));
        buffer_append_byte(&text, ':');
        if (column == NULL) {
            buffer_append_string(&text, "null");
        } else {
            buffer_append(&text, column->raw.data, column->raw.size);
        }
    }
    buffer_append_byte(&text, '}');
    const char *kept = keep(r, bytes_of(text.data, text.size));
    buffer_fini(&text);
    return kept;
}

static void add_column(struct reconcile *r, struct reconcile_difference *difference,
                       const char *name, const struct flat_column *left,
                       const struct flat_column *right)
{
    difference->columns[difference->column_count++] = (struct reconcile_column){
        .name = keep(r, bytes_of_string(name)),
        .texts = {left == NULL ? NULL : keep(r, left->raw),
                  right == NULL ? NULL : keep(r, right->raw)},
    };
}

static void find_columns(struct reconcile *r, const struct flat_row *left,
                         const struct flat_row *right, struct reconcile_difference *difference)
{
    difference->columns = arena_alloc_zero(r->result->arena, left->count + right->count + 1,
                                           sizeof *difference->columns);
    for (uint32_t i = 0; i < left->count; i++) {
        const struct flat_column *column = &left->columns[i];
        const struct flat_column *other = flat_row_find(right, column->name);
        if (flat_row_is_compared(column, r->query) &&
            (other == NULL || !bytes_equal(column->form, other->form))) {
            add_column(r, difference, column->name, column, other);
        }
    }
    for (uint32_t i = 0; i < right->count; i++) {
        const struct flat_column *column = &right->columns[i];
        if (flat_row_is_compared(column, r->query) &&
            flat_row_find(left, column->name) == NULL) {
            add_column(r, difference, column->name, NULL, column);
        }
    }
}

static void tell_named(struct reconcile *r)
{
    struct reconcile_result *result = r->result;
    result->differences =
        arena_alloc_zero(result->arena, r->named_count + 1, sizeof *result->differences);
    for (uint32_t i = 0; i < r->named_count; i++) {
        struct reconcile_difference *difference =
            &result->differences[result->difference_count++];
        const struct copied_row *copies = &r->copies[2 * i];
        *difference = (struct reconcile_difference){
            .kind = r->named[i].kind,
            .counts = {r->named[i].counts[0], r->named[i].counts[1]},
        };
        for (uint32_t side = 0; side < 2 && difference->key == NULL; side++) {
            if (copies[side].arena != NULL) {
                difference->key = key_text(r, side, &copies[side].row);
            }
        }
        if (difference->kind == RECONCILE_ALTERED && copies[0].arena != NULL &&
            copies[1].arena != NULL) {
            find_columns(r, &copies[0].row, &copies[1].row, difference);
        }
    }
}

static enum status name_differences(struct reconcile *r, struct error *err)
{
    enum status status = STATUS_OK;
    if (r->named_count == 0) {
        return STATUS_OK;
    }
    r->copies = memory_alloc_zero(2 * (size_t)r->named_count, sizeof *r->copies);
    for (uint32_t side = 0; side < 2 && status == STATUS_OK; side++) {
        status = read_place(r, side, take_named, err);
    }
    if (status == STATUS_OK) {
        tell_named(r);
    }
    for (uint32_t i = 0; i < 2 * r->named_count; i++) {
        arena_free(r->copies[i].arena);
    }
    memory_free(r->copies);
    return status;
}

/* --- the whole --- */

static void note_record_keys(struct reconcile *r)
{
    for (uint32_t side = 0; side < 2; side++) {
        for (uint32_t i = 0; i < r->query->key_count; i++) {
            r->wants_record_key[side] |=
                strcmp(r->query->keys[side][i], RECONCILE_RECORD_KEY) == 0;
        }
    }
    r->compares_deletions =
        r->query->key_count == 1 && r->wants_record_key[0] && r->wants_record_key[1];
}

enum status reconcile_places(const struct reconcile_query *query,
                             const struct run_observer *observer,
                             struct reconcile_result *result, struct error *err)
{
    static const uint8_t hash_key[HASH_KEY_BYTES] = "weir reconcile";
    struct reconcile r = {.query = query, .observer = observer, .result = result};
    result->arena = arena_new(16 * 1024);
    hash_secret_init(&r.secret, hash_key);
    r.row.arena = arena_new(64 * 1024);
    r.named = memory_alloc_zero(query->most + 1u, sizeof *r.named);
    note_record_keys(&r);
    enum status status = STATUS_OK;
    for (uint32_t side = 0; side < 2 && status == STATUS_OK; side++) {
        r.sorts[side] = spill_sort_new(SORT_BYTES, query->temporary);
        status = read_place(&r, side, take_row, err);
        if (status == STATUS_OK) {
            status = spill_sort_begin(r.sorts[side], err);
        }
    }
    if (status == STATUS_OK) {
        status = compare(&r, err);
    }
    spill_sort_free(r.sorts[0]);
    spill_sort_free(r.sorts[1]);
    if (status == STATUS_OK) {
        status = name_differences(&r, err);
    }
    flat_row_fini(&r.row);
    memory_free(r.named);
    return status;
}
