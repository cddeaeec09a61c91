#include "inspect/audit_rows.h"

#include <stdlib.h>
#include <string.h>

void audit_rows_add(struct audit_rows *rows, struct audit_row row)
{
    if (rows->count == rows->capacity) {
        rows->capacity = rows->capacity == 0 ? 1024 : rows->capacity * 2;
        rows->items = memory_realloc(rows->items, size_mul(rows->capacity, sizeof row));
    }
    rows->items[rows->count++] = row;
}

void audit_rows_fini(struct audit_rows *rows)
{
    memory_free(rows->items);
    *rows = (struct audit_rows){0};
}

static int compare_hashes(struct hash128 a, struct hash128 b)
{
    if (a.high != b.high) {
        return a.high < b.high ? -1 : 1;
    }
    return a.low < b.low ? -1 : a.low > b.low;
}

static int compare_origins(const void *a, const void *b)
{
    const struct audit_row *x = a;
    const struct audit_row *y = b;
    if (x->partition != y->partition) {
        return x->partition < y->partition ? -1 : 1;
    }
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static int compare_rows(const void *a, const void *b)
{
    int order = compare_hashes(((const struct audit_row *)a)->hash,
                               ((const struct audit_row *)b)->hash);
    return order != 0 ? order : compare_origins(a, b);
}

static void sort_rows(struct audit_rows *rows, int (*compare)(const void *, const void *))
{
    if (rows->count > 1) {
        qsort(rows->items, rows->count, sizeof *rows->items, compare);
    }
}

/* Of `missing`, sorted by origin: one of the row's origin that has no pair yet. */
static struct audit_row *find_unpaired(const struct audit_rows *missing, const bool *paired,
                                       const struct audit_row *row)
{
    struct audit_row *found =
        row->offset < 0 || missing->count == 0
            ? NULL
            : bsearch(row, missing->items, missing->count, sizeof *row, compare_origins);
    if (found == NULL) {
        return NULL;
    }
    while (found > missing->items && compare_origins(found - 1, row) == 0) {
        found--;
    }
    const struct audit_row *end = missing->items + missing->count;
    while (found < end && compare_origins(found, row) == 0 && paired[found - missing->items]) {
        found++;
    }
    return found < end && compare_origins(found, row) == 0 ? found : NULL;
}

/* Pairs missing and surplus rows of the same origin: those were altered. */
static void tell(struct audit_rows *missing, struct audit_rows *surplus,
                 void (*difference)(void *context, enum audit_kind kind,
                                    const struct audit_row *row),
                 void *context)
{
    sort_rows(missing, compare_origins);
    bool *paired = memory_alloc_zero(missing->count + 1, sizeof *paired);
    for (uint64_t i = 0; i < surplus->count; i++) {
        const struct audit_row *row = &surplus->items[i];
        const struct audit_row *match = find_unpaired(missing, paired, row);
        if (match != NULL) {
            paired[match - missing->items] = true;
            difference(context, AUDIT_ALTERED, row);
        } else {
            difference(context, AUDIT_FOREIGN, row);
        }
    }
    for (uint64_t i = 0; i < missing->count; i++) {
        if (!paired[i]) {
            difference(context, AUDIT_MISSING, &missing->items[i]);
        }
    }
    memory_free(paired);
}

/* --- rows of one hash --- */

struct group {
    const struct audit_row *expected, *actual; /* each by origin */
    uint64_t expected_count, actual_count;
};

/* Rows of the same bytes whose origins have no pair, in order. */
static void find_strays(const struct group *group, struct audit_rows *expected,
                        struct audit_rows *actual)
{
    uint64_t e = 0;
    uint64_t a = 0;
    while (e < group->expected_count || a < group->actual_count) {
        int order = e == group->expected_count ? 1
                    : a == group->actual_count
                        ? -1
                        : compare_origins(&group->expected[e], &group->actual[a]);
        if (order < 0) {
            audit_rows_add(expected, group->expected[e]);
        } else if (order > 0) {
            audit_rows_add(actual, group->actual[a]);
        }
        e += order <= 0;
        a += order >= 0;
    }
}

/* Rows of unknown origin come first: what they may be, they are. */
static void sort_unknown_first(struct audit_rows *rows)
{
    struct audit_rows sorted = {0};
    for (int is_known = 0; is_known < 2; is_known++) {
        for (uint64_t i = 0; i < rows->count; i++) {
            if ((rows->items[i].offset >= 0) == is_known) {
                audit_rows_add(&sorted, rows->items[i]);
            }
        }
    }
    audit_rows_fini(rows);
    *rows = sorted;
}

struct telling {
    void (*difference)(void *context, enum audit_kind kind, const struct audit_row *row);
    void *context;
    bool knows_origins;
    struct audit_rows missing, surplus;
};

static void compare_group(struct telling *telling, const struct group *group)
{
    struct audit_rows expected = {0};
    struct audit_rows actual = {0};
    find_strays(group, &expected, &actual);
    sort_unknown_first(&actual);
    for (uint64_t i = 0; i < actual.count; i++) {
        const struct audit_row *row = &actual.items[i];
        bool is_known = row->offset >= 0;
        if (i < expected.count) {
            if (is_known || telling->knows_origins) {
                telling->difference(telling->context, AUDIT_ALTERED, &expected.items[i]);
            }
        } else if (group->expected_count > 0) {
            telling->difference(telling->context, AUDIT_DOUBLED,
                                is_known ? row : &group->expected[group->expected_count - 1]);
        } else {
            audit_rows_add(&telling->surplus, *row);
        }
    }
    for (uint64_t i = actual.count; i < expected.count; i++) {
        audit_rows_add(&telling->missing, expected.items[i]);
    }
    audit_rows_fini(&expected);
    audit_rows_fini(&actual);
}

static uint64_t count_alike(const struct audit_rows *rows, uint64_t from, struct hash128 hash)
{
    uint64_t end = from;
    while (end < rows->count && hash_equal(rows->items[end].hash, hash)) {
        end++;
    }
    return end - from;
}

static bool is_as_expected(const struct group *group)
{
    return group->expected_count == 1 && group->actual_count == 1 &&
           compare_origins(group->expected, group->actual) == 0;
}

void audit_rows_compare(struct audit_rows *expected, struct audit_rows *actual, bool knows_origins,
                        void (*difference)(void *context, enum audit_kind kind,
                                           const struct audit_row *row),
                        void *context)
{
    struct telling telling = {
        .difference = difference, .context = context, .knows_origins = knows_origins};
    sort_rows(expected, compare_rows);
    sort_rows(actual, compare_rows);
    uint64_t e = 0;
    uint64_t a = 0;
    while (e < expected->count || a < actual->count) {
        bool is_expected = a == actual->count ||
                           (e < expected->count && compare_hashes(expected->items[e].hash,
                                                                  actual->items[a].hash) <= 0);
        struct hash128 hash = is_expected ? expected->items[e].hash : actual->items[a].hash;
        struct group group = {
            .expected = expected->items + e,
            .actual = actual->items + a,
            .expected_count = count_alike(expected, e, hash),
            .actual_count = count_alike(actual, a, hash),
        };
        if (!is_as_expected(&group)) {
            compare_group(&telling, &group);
        }
        e += group.expected_count;
        a += group.actual_count;
    }
    tell(&telling.missing, &telling.surplus, difference, context);
    audit_rows_fini(&telling.missing);
    audit_rows_fini(&telling.surplus);
}

/* --- the last row per key --- */

struct entry {
    struct hash128 key;
    struct value order;
    struct audit_row row;
    bool used;
};

struct audit_fold {
    struct entry *entries; /* open addressing */
    uint64_t capacity;     /* a power of two */
    uint64_t count;
    struct arena *arena;   /* texts of orders */
};

struct audit_fold *audit_fold_new(void)
{
    struct audit_fold *fold = memory_alloc_zero(1, sizeof *fold);
    fold->capacity = 1024;
    fold->entries = memory_alloc_zero(fold->capacity, sizeof *fold->entries);
    fold->arena = arena_new(64 * 1024);
    return fold;
}

void audit_fold_free(struct audit_fold *fold)
{
    if (fold != NULL) {
        arena_free(fold->arena);
        memory_free(fold->entries);
        memory_free(fold);
    }
}

static struct entry *find_entry(const struct audit_fold *fold, struct hash128 key)
{
    uint64_t at = key.low & (fold->capacity - 1);
    while (fold->entries[at].used && !hash_equal(fold->entries[at].key, key)) {
        at = (at + 1) & (fold->capacity - 1);
    }
    return &fold->entries[at];
}

static void grow(struct audit_fold *fold)
{
    struct audit_fold larger = *fold;
    larger.capacity = fold->capacity * 2;
    larger.entries = memory_alloc_zero(larger.capacity, sizeof *larger.entries);
    for (uint64_t i = 0; i < fold->capacity; i++) {
        if (fold->entries[i].used) {
            *find_entry(&larger, fold->entries[i].key) = fold->entries[i];
        }
    }
    memory_free(fold->entries);
    *fold = larger;
}

static bool wins(const struct value *order, const struct audit_row *row,
                 const struct entry *entry)
{
    int by_order = value_compare(order, &entry->order);
    if (by_order != 0) {
        return by_order > 0;
    }
    return row->rank != entry->row.rank ? row->rank > entry->row.rank
                                        : row->offset > entry->row.offset;
}

void audit_fold_put(struct audit_fold *fold, struct hash128 key, const struct value *order,
                    struct audit_row row)
{
    if (fold->count * 4 >= fold->capacity * 3) {
        grow(fold);
    }
    struct entry *entry = find_entry(fold, key);
    if (entry->used && !wins(order, &row, entry)) {
        return;
    }
    fold->count += !entry->used;
    *entry = (struct entry){.key = key, .order = *order, .row = row, .used = true};
    if (order->type == VALUE_TEXT || order->type == VALUE_JSON) {
        entry->order.text = bytes_of(arena_copy(fold->arena, order->text.data, order->text.size),
                                     order->text.size);
    }
}

void audit_fold_rows(const struct audit_fold *fold, struct audit_rows *out)
{
    for (uint64_t i = 0; i < fold->capacity; i++) {
        if (fold->entries[i].used && !fold->entries[i].row.deletes) {
            audit_rows_add(out, fold->entries[i].row);
        }
    }
}
