#include "connector/table/sink.h"

#include <assert.h>
#include <string.h>

#include "connector/table/value.h"

/* --- making --- */

static const char *const *names_of(struct table_base *base, bool is_dlq,
                                   const struct output_shape *shape)
{
    const char **names = arena_alloc_zero(base->arena, base->column_count + 1, sizeof *names);
    for (uint32_t i = 0; i < base->column_count; i++) {
        names[i] = is_dlq ? table_letter_columns[i].name : shape->columns[i].name;
    }
    return names;
}

/* A key column that is no field of the record is refused later (table_take_tombstones). */
static void describe_key(struct table_base *base, const struct output_shape *shape)
{
    base->record_key.format = shape->key_format;
    for (uint32_t i = 0; i < base->keys.count; i++) {
        uint32_t field = shape->columns[base->keys.columns[i]].field;
        if (field != FIELD_NONE) {
            record_key_add(&base->record_key, &shape->layout->fields[field]);
        }
    }
}

enum status table_base_init(struct table_base *base, const char *name, bool is_dlq,
                            const struct doc *config, const struct output_shape *shape,
                            struct error *err)
{
    base->arena = arena_new(8 * 1024);
    base->sink = (struct sink){.name = name, .is_dlq = is_dlq, .shape = shape};
    base->column_count = is_dlq ? LETTER_COUNT : shape->column_count;
    base->names = names_of(base, is_dlq, shape);
    base->values = memory_alloc_zero(base->column_count + 1, sizeof *base->values);
    enum status status = table_keys_read(base->arena, config, is_dlq, shape, &base->keys, err);
    if (status == STATUS_OK && base->keys.takes_tombstones) {
        describe_key(base, shape);
    }
    return status;
}

void table_base_fini(struct table_base *base)
{
    memory_free(base->values);
    arena_free(base->arena);
}

/* --- outbox --- */

struct outbox *table_outbox_new(struct sink *sink)
{
    const struct table_keys *keys = &table_base(sink)->keys;
    return &table_rows_new(keys->columns, keys->count)->outbox;
}

void table_outbox_clear(struct outbox *outbox)
{
    table_rows_clear(table_outbox(outbox));
}

void table_outbox_free(struct outbox *outbox)
{
    table_rows_free(table_outbox(outbox));
}

/* --- rows --- */

/* A text that the place cannot store stays as it is: the place will refuse the row. */
static void make_canonical(const struct table_base *base, struct arena *arena,
                           struct value *values)
{
    struct buffer text = {0};
    for (uint32_t i = 0; i < base->column_count && base->make_canonical != NULL; i++) {
        buffer_clear(&text);
        if (base->is_canonical[i] && values[i].type == VALUE_TEXT &&
            base->make_canonical(values[i].text, &text)) {
            values[i].text = bytes_of(arena_copy(arena, text.data, text.size), text.size);
        }
    }
    buffer_fini(&text);
}

static struct hash128 hash_values(const struct table_base *base, struct arena *arena,
                                  const struct hash_secret *secret)
{
    if (base->seen_by == NULL) {
        return value_hash(secret, base->values, base->column_count);
    }
    for (uint32_t i = 0; i < base->seen_by->column_count; i++) {
        base->seen_values[i] = base->seen[i] == FIELD_NONE ? (struct value){.type = VALUE_NULL}
                                                           : base->values[base->seen[i]];
    }
    make_canonical(base->seen_by, arena, base->seen_values);
    return value_hash(secret, base->seen_values, base->seen_by->column_count);
}

/* Of a tombstone, which would not be VALID if its key had no values. */
static void read_key(const struct table_base *base, const struct batch *batch, uint32_t row,
                     struct value *out)
{
    bool is_key =
        record_key_read(&base->record_key, batch->records[row].key, batch->arena, out);
    check(is_key);
}

/* The key alone, as a deletion; no row hashes like it, for none has a boolean. */
static struct hash128 take_key_to_delete(struct table_base *base, const struct batch *batch,
                                         uint32_t row, const struct hash_secret *secret)
{
    struct value form[TABLE_KEYS_MAX + 1] = {{.type = VALUE_BOOL, .boolean = false}};
    read_key(base, batch, row, form + 1);
    for (uint32_t i = 0; i < base->column_count; i++) {
        base->values[i] = (struct value){.type = VALUE_NULL};
    }
    for (uint32_t i = 0; i < base->keys.count; i++) {
        base->values[base->keys.columns[i]] = form[i + 1];
    }
    return value_hash(secret, form, base->keys.count + 1);
}

static struct hash128 take_values(struct table_base *base, const struct batch *batch, uint32_t row,
                                  const struct hash_secret *secret)
{
    for (uint32_t i = 0; i < base->column_count; i++) {
        base->values[i] = table_value(&base->sink.shape->columns[i], batch, row);
    }
    make_canonical(base, batch->arena, base->values);
    return hash_values(base, batch->arena, secret);
}

void table_append_row(struct sink *sink, struct outbox *outbox, const struct output_row *row,
                      const struct hash_secret *secret, struct ledger_sink *delta)
{
    struct table_base *base = table_base(sink);
    const struct batch *batch = row->batch;
    const struct record *record = &batch->records[row->row];
    const struct replay_origin *replay = batch_replay(batch, row->row);
    bool deletes = batch_is_tombstone(batch, row->row);
    struct table_row head = {
        .source_partition = batch->partition,
        .origin = row->origin,
        .offset = record->offset,
        .timestamp_us = record->timestamp_us,
        .hash = deletes ? take_key_to_delete(base, batch, row->row, secret)
                        : take_values(base, batch, row->row, secret),
        .deletes = deletes,
        .attempt = replay == NULL ? 1 : replay->attempt + 1,
    };
    table_rows_append(table_outbox(outbox), &head, base->values, base->column_count, record);
    delta->written++;
    delta->sum = hash_add(delta->sum, head.hash);
}

void table_append_dead_letter(struct sink *sink, struct outbox *outbox, uint32_t source_partition,
                              const struct dead_letter *letter, const struct hash_secret *secret,
                              struct ledger_sink *delta)
{
    (void)sink;
    struct arena *arena = arena_new(4096);
    struct value values[LETTER_COUNT];
    table_letter_values(arena, letter, values);
    struct table_row head = {
        .source_partition = source_partition,
        .offset = letter->offset,
        .hash = value_hash(secret, values, LETTER_COUNT),
    };
    table_rows_append(table_outbox(outbox), &head, values, LETTER_COUNT, NULL);
    delta->written++;
    delta->sum = hash_add(delta->sum, head.hash);
    arena_free(arena);
}

void table_key_row(struct sink *sink, const struct output_row *row,
                   const struct hash_secret *secret, struct arena *arena, struct hash128 *out_key,
                   struct value *out_order)
{
    const struct table_keys *keys = &table_base(sink)->keys;
    struct value values[TABLE_KEYS_MAX];
    bool deletes = batch_is_tombstone(row->batch, row->row);
    if (deletes) {
        read_key(table_base(sink), row->batch, row->row, values);
    }
    for (uint32_t i = 0; i < keys->count && !deletes; i++) {
        values[i] = table_value(&sink->shape->columns[keys->columns[i]], row->batch, row->row);
    }
    (void)arena;
    *out_key = value_hash(secret, values, keys->count);
    if (keys->newest_by != FIELD_NONE && !deletes) {
        *out_order = table_value(&sink->shape->columns[keys->newest_by], row->batch, row->row);
    }
}

/* --- what it is --- */

bool table_is_keyed(const struct sink *sink)
{
    return table_base(sink)->keys.is_upsert;
}

const char *table_address(const struct sink *sink)
{
    return table_base(sink)->address;
}

const char *table_rule(const struct sink *sink)
{
    return table_base(sink)->keys.rule;
}

const char *table_guarantee(const struct sink *sink)
{
    return table_base(sink)->keys.is_upsert ? "exactly once (upsert by key)" : "exactly once";
}

enum status table_take_tombstones(const struct sink *sink, const struct doc *config,
                                  struct key_fields *out, struct error *err)
{
    return table_keys_take_tombstones(&table_base(sink)->keys, config, sink->shape, out, err);
}

/* --- another plan's columns --- */

/* Which column of its own stands in each column of another. */
static void map_columns(struct table_base *base, const struct table_base *other)
{
    uint32_t count = other->column_count;
    base->seen_of = other;
    base->seen = arena_alloc_zero(base->arena, count + 1, sizeof *base->seen);
    base->seen_values = arena_alloc_zero(base->arena, count + 1, sizeof *base->seen_values);
    for (uint32_t i = 0; i < count; i++) {
        base->seen[i] = FIELD_NONE;
        for (uint32_t k = 0; k < base->column_count; k++) {
            if (strcmp(base->names[k], other->names[i]) == 0) {
                base->seen[i] = k;
            }
        }
    }
}

void table_look_through(struct sink *sink, const struct sink *now)
{
    struct table_base *base = table_base(sink);
    base->seen_by = now == sink ? NULL : table_base(now);
    if (base->seen_by != NULL && base->seen_by != base->seen_of) {
        map_columns(base, base->seen_by);
    }
}

void table_refuse_row(const struct sink *sink, const struct table_outbox *outbox,
                      const struct table_row *row, struct attempt *attempt)
{
    const struct table_mark *mark = &outbox->marks[row->mark];
    struct reject reject = {
        .sink = sink,
        .origin = row->origin,
        .source_partition = row->source_partition,
        .attempt = row->attempt,
        .hash = row->hash,
        .code = mark->code,
    };
    static_assert(sizeof reject.message == sizeof mark->message, "a message is copied whole");
    memcpy(reject.message, mark->message, sizeof reject.message);
    table_row_record(outbox, row, &reject.record);
    attempt_add_reject(attempt, &reject);
}
