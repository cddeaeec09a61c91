/*
 * A topic of a local log as a sink.
 *
 * A row goes out with its key field's text as key (or the record's own key), to the partition
 * that murmur2 gives, like Java; without a key to its origin's partition modulo the count.
 * What a row looks like, and its hash, is in connector/topic_row.h.
 *
 * An outbox keeps, per output partition, record batches in the making; a full one
 * (LOCALLOG_ROW_BYTES) is closed and the next begun. Batches are compressed by finish(), without
 * the write lock.
 */
#include <stdio.h>
#include <string.h>

#include "connector/sqlite/sqlite.h"
#include "connector/sqlite/system.h"
#include "connector/topic_row.h"

static const struct grammar_field log_sink_fields[] = {
    {.key = "path", .type = GRAMMAR_STRING, .required = true, .help = "the local log's file"},
    {.key = "topic", .type = GRAMMAR_NAME, .required = true,
     .help = "the topic; made when it is not there"},
    {.key = "key", .type = GRAMMAR_STRING,
     .help = "the field whose value becomes the key; the record's own key unless set"},
    {.key = "partitions", .type = GRAMMAR_INT, .minimum = 1, .maximum = LOCALLOG_PARTITIONS_MAX,
     .help = "of a topic that is made; 3 unless set"},
    {.key = "retention", .type = GRAMMAR_DURATION,
     .help = "of a topic that is made: records older than that go; kept for ever unless set"},
    {.key = "retention_bytes", .type = GRAMMAR_SIZE,
     .help = "of a topic that is made: above that size the oldest go; no limit unless set"},
    {0},
};

#define PARTITIONS_OTHERWISE 3

struct log_sink {
    struct sink sink; /* first */
    char *topic_name;
    uint32_t key_field;      /* FIELD_NONE: the record's own key */
    uint32_t partitions;     /* configured; the topic's own once it is there */
    uint32_t asked;          /* how many the pipeline file asks for; 0: it does not */
    struct locallog_retention retention; /* of a topic that is made */
    struct locallog_topic topic;
};

/* Which records of a slot come from a source partition: index of the first and the last. */
struct span {
    uint32_t source_partition;
    uint32_t first, last;
};

/* One record batch in the making. */
struct slot {
    uint32_t partition; /* of the topic */
    struct record_batch_builder builder;
    struct buffer finished;
    struct span *spans;
    uint32_t span_count, span_capacity;
};

struct log_outbox {
    struct outbox outbox; /* first */
    struct slot *slots;   /* those in use first; the rest keep their memory */
    uint32_t slot_count, slot_capacity;
    uint32_t *open;       /* [partition of the topic]: index of the slot being filled + 1, 0 none */
    uint32_t open_count;
    struct buffer scratch;
};

static struct log_sink *self(const struct sink *sink)
{
    return (struct log_sink *)sink;
}

static struct log_outbox *box(struct outbox *outbox)
{
    return (struct log_outbox *)outbox;
}

/* --- outbox --- */

static struct outbox *outbox_new(struct sink *sink)
{
    (void)sink;
    struct log_outbox *o = memory_alloc_zero(1, sizeof *o);
    return &o->outbox;
}

static void outbox_clear(struct outbox *outbox)
{
    struct log_outbox *o = box(outbox);
    for (uint32_t i = 0; i < o->slot_count; i++) {
        record_batch_clear(&o->slots[i].builder);
        buffer_clear(&o->slots[i].finished);
        o->slots[i].span_count = 0;
    }
    if (o->open_count > 0) {
        memset(o->open, 0, o->open_count * sizeof *o->open);
    }
    o->slot_count = 0;
    o->outbox = (struct outbox){0};
}

static void outbox_free(struct outbox *outbox)
{
    struct log_outbox *o = box(outbox);
    for (uint32_t i = 0; i < o->slot_capacity; i++) {
        record_batch_fini(&o->slots[i].builder);
        buffer_fini(&o->slots[i].finished);
        memory_free(o->slots[i].spans);
    }
    memory_free(o->slots);
    memory_free(o->open);
    buffer_fini(&o->scratch);
    memory_free(o);
}

static struct slot *new_slot(struct log_outbox *o, uint32_t partition)
{
    if (o->slot_count == o->slot_capacity) {
        uint32_t capacity = o->slot_capacity * 2 + 4;
        o->slots = memory_realloc(o->slots, size_mul(capacity, sizeof *o->slots));
        memset(o->slots + o->slot_capacity, 0,
               (capacity - o->slot_capacity) * sizeof *o->slots);
        o->slot_capacity = capacity;
    }
    struct slot *slot = &o->slots[o->slot_count++];
    slot->partition = partition;
    o->open[partition] = o->slot_count;
    return slot;
}

/* The slot that the next record of that output partition goes to. */
static struct slot *slot_for(struct log_outbox *o, uint32_t partition)
{
    if (partition >= o->open_count) {
        uint32_t count = partition + 1;
        o->open = memory_realloc(o->open, count * sizeof *o->open);
        memset(o->open + o->open_count, 0, (count - o->open_count) * sizeof *o->open);
        o->open_count = count;
    }
    if (o->open[partition] == 0) {
        return new_slot(o, partition);
    }
    struct slot *slot = &o->slots[o->open[partition] - 1];
    bool is_full = slot->builder.records.size >= LOCALLOG_ROW_BYTES ||
                   slot->builder.count >= LOCALLOG_ROW_RECORDS;
    return is_full ? new_slot(o, partition) : slot;
}

static void note_span(struct slot *slot, uint32_t source_partition)
{
    uint32_t index = slot->builder.count - 1;
    for (uint32_t i = slot->span_count; i > 0; i--) {
        if (slot->spans[i - 1].source_partition == source_partition) {
            slot->spans[i - 1].last = index;
            return;
        }
    }
    if (slot->span_count == slot->span_capacity) {
        slot->span_capacity = slot->span_capacity * 2 + 4;
        slot->spans =
            memory_realloc(slot->spans, size_mul(slot->span_capacity, sizeof *slot->spans));
    }
    slot->spans[slot->span_count++] =
        (struct span){.source_partition = source_partition, .first = index, .last = index};
}

/* --- rows --- */

static void append(struct log_sink *s, struct log_outbox *o, uint32_t source_partition,
                   int32_t origin_number, struct bytes key, struct bytes value,
                   const struct record_header *headers, uint32_t header_count,
                   struct hash128 hash, struct ledger_sink *delta)
{
    uint32_t partition = bytes_is_none(key) ? (uint32_t)origin_number % s->partitions
                                            : hash_partition(key, s->partitions);
    struct slot *slot = slot_for(o, partition);
    size_t before = slot->builder.records.size;
    record_batch_append(&slot->builder, key, value, headers, header_count);
    note_span(slot, source_partition);
    o->outbox.size_bytes += slot->builder.records.size - before;
    o->outbox.row_count++;
    delta->written++;
    delta->sum = hash_add(delta->sum, hash);
}

static void append_row(struct sink *sink, struct outbox *outbox, const struct output_row *row,
                       const struct hash_secret *secret, struct ledger_sink *delta)
{
    struct log_sink *s = self(sink);
    const struct batch *batch = row->batch;
    uint32_t header_count = 0;
    const struct record_header *headers = topic_row_headers(batch, row->row, &header_count);
    struct bytes key = topic_row_key(batch, row->row, s->key_field);
    struct hash128 hash = topic_row_hash_in(secret, batch, row->row, key, row->value, headers,
                                            header_count, &box(outbox)->scratch);
    append(s, box(outbox), batch->partition, row->origin->number, key, row->value, headers,
           header_count, hash, delta);
}

/* --- dead letters --- */

static void append_dead_letter(struct sink *sink, struct outbox *outbox,
                               uint32_t source_partition, const struct dead_letter *letter,
                               const struct hash_secret *secret, struct ledger_sink *delta)
{
    struct topic_letter form;
    topic_letter_init(&form, letter);
    struct hash128 hash = topic_row_hash(secret, letter->key, letter->value, form.headers,
                                         form.header_count, &box(outbox)->scratch);
    append(self(sink), box(outbox), source_partition, (int32_t)source_partition, letter->key,
           letter->value, form.headers, form.header_count, hash, delta);
    topic_letter_fini(&form);
}

/* --- commit --- */

/* With its limits at once: a crash leaves no topic without them. */
static enum status make_topic(struct log_sink *s, struct locallog *log, struct error *err)
{
    bool own = !locallog_in_transaction(log);
    enum status status = own ? locallog_begin(log, err) : STATUS_OK;
    if (status == STATUS_OK) {
        status = locallog_topic_create(log, s->topic_name, s->partitions, &s->topic, err);
    }
    if (status == STATUS_OK && (s->retention.age_us > 0 || s->retention.bytes > 0)) {
        status = locallog_retention_write(log, &s->topic, &s->retention, err);
    }
    if (status == STATUS_OK && own) {
        status = locallog_commit(log, err);
    }
    if (status != STATUS_OK && own) {
        locallog_rollback(log);
    }
    return status;
}

static enum status prepare(struct sink *sink, struct locallog *log, struct error *err)
{
    struct log_sink *s = self(sink);
    bool found = false;
    enum status status = locallog_topic_find(log, s->topic_name, &s->topic, &found, err);
    if (status == STATUS_OK && !found) {
        status = make_topic(s, log, err);
    }
    if (status == STATUS_OK && s->asked != 0 && s->asked != s->topic.partitions) {
        return error_set(err, STATUS_CONFIG, "sink.partitions",
                         "sink '%s' asks for %u partitions, but topic '%s' was made with %u, which "
                         "does not change: write that number, leave it out, or name another topic",
                         sink->name, s->asked, s->topic_name, s->topic.partitions);
    }
    if (status == STATUS_OK) {
        s->partitions = s->topic.partitions;
    }
    return status;
}

static void finish(struct sink *sink, struct outbox *outbox)
{
    (void)sink;
    struct log_outbox *o = box(outbox);
    for (uint32_t i = 0; i < o->slot_count; i++) {
        struct slot *slot = &o->slots[i];
        if (slot->finished.size == 0) {
            struct record_batch_stamp stamp = {
                .log_append_time = true,
                .producer_id = -1,
                .producer_epoch = -1,
                .base_sequence = -1,
            };
            record_batch_finish(&slot->builder, &stamp, COMPRESSION_LZ4, &slot->finished);
        }
    }
}

static enum status write_rows(struct sink *sink, struct outbox *outbox, struct locallog *log,
                              struct attempt *attempt, bool *out_redo, struct error *err)
{
    (void)out_redo;
    struct log_sink *s = self(sink);
    struct log_outbox *o = box(outbox);
    for (uint32_t i = 0; i < o->slot_count; i++) {
        struct slot *slot = &o->slots[i];
        int64_t base_offset = 0;
        enum status status = locallog_append_finished(log, &s->topic, slot->partition,
                                                      &slot->finished, &base_offset, err);
        if (status != STATUS_OK) {
            return status;
        }
        for (uint32_t k = 0; k < slot->span_count; k++) {
            const struct span *span = &slot->spans[k];
            attempt_extend_range(attempt, sink->name, span->source_partition, slot->partition,
                                 base_offset + span->first, base_offset + span->last);
        }
    }
    return STATUS_OK;
}

static void close_session(struct sink *sink)
{
    (void)sink;
}

static void free_sink(struct sink *sink)
{
    memory_free(self(sink)->topic_name);
    memory_free(sink);
}

static const struct sqlite_sink_work log_sink_work = {
    .prepare = prepare,
    .finish = finish,
    .write = write_rows,
    .close_session = close_session,
    .free = free_sink,
};

/* --- audit --- */

static enum status is_empty(struct sink *sink, bool *out_empty, struct error *err)
{
    struct locallog *log = sqlite_system_log(sink->system);
    struct locallog_topic topic;
    bool found = false;
    enum status status =
        locallog_topic_find(log, self(sink)->topic_name, &topic, &found, err);
    *out_empty = true;
    for (uint32_t p = 0; status == STATUS_OK && found && p < topic.partitions; p++) {
        int64_t first_offset = 0;
        int64_t next_offset = 0;
        status = locallog_bounds(log, &topic, p, &first_offset, &next_offset, err);
        *out_empty = *out_empty && next_offset == 0;
    }
    return status;
}

static enum status is_there(struct sink *sink, bool *out_there, struct error *err)
{
    struct locallog_topic topic;
    return locallog_topic_find(sqlite_system_log(sink->system), self(sink)->topic_name, &topic,
                               out_there, err);
}

struct scan {
    const struct hash_secret *secret;
    stored_row_visitor *row;
    void *context;
    char label[16]; /* of the partition that is being read */
    struct buffer scratch;
};

static enum status scan_record(struct scan *scan, const struct sink *sink, struct arena *arena,
                               const struct record *record, struct error *err)
{
    struct stored_row row = {
        .hash = topic_row_hash(scan->secret, record->key, record->value, record->headers,
                               record->header_count, &scan->scratch),
        .origin_offset = -1,
        .text = record->value,
        .part = scan->label,
        .position = record->offset,
    };
    if (sink->is_dlq) {
        row.origin_offset =
            topic_letter_origin(record, arena, &row.origin_topic, &row.origin_partition);
    }
    return scan->row(scan->context, &row, err);
}

static enum status scan_partition(struct scan *scan, const struct sink *sink,
                                  struct locallog *log, const struct locallog_topic *topic,
                                  uint32_t partition, struct batch *batch, struct error *err)
{
    struct locallog_reader *reader = NULL;
    int64_t first_offset = 0;
    int64_t next_offset = 0;
    enum status status =
        locallog_bounds(log, topic, partition, &first_offset, &next_offset, err);
    if (status == STATUS_OK) {
        status = locallog_reader_open(log, topic, partition, &reader, err);
    }
    if (status != STATUS_OK) {
        return status;
    }
    snprintf(scan->label, sizeof scan->label, "%u", partition);
    locallog_reader_seek(reader, first_offset);
    do {
        batch_reset(batch, 0, 0);
        status = locallog_reader_read(reader, batch, next_offset, err);
        for (uint32_t row = 0; status == STATUS_OK && row < batch->row_count; row++) {
            status = scan_record(scan, sink, batch->arena, &batch->records[row], err);
        }
    } while (status == STATUS_OK && batch->row_count > 0);
    locallog_reader_close(reader);
    return status;
}

static enum status scan_rows(struct sink *sink, const struct hash_secret *secret,
                             stored_row_visitor *row, void *context, struct error *err)
{
    static const struct layout no_columns = {0};
    struct locallog *log = sqlite_system_log(sink->system);
    struct locallog_topic topic;
    bool found = false;
    enum status status =
        locallog_topic_find(log, self(sink)->topic_name, &topic, &found, err);
    if (status != STATUS_OK || !found) {
        return status;
    }
    struct scan scan = {.secret = secret, .row = row, .context = context};
    struct batch *batch = batch_new(&no_columns);
    for (uint32_t p = 0; p < topic.partitions && status == STATUS_OK; p++) {
        status = scan_partition(&scan, sink, log, &topic, p, batch, err);
    }
    batch_free(batch);
    buffer_fini(&scan.scratch);
    return status;
}

static bool is_keyed(const struct sink *sink)
{
    (void)sink;
    return false;
}

static const char *address(const struct sink *sink)
{
    return self(sink)->topic_name;
}

static const char *rule(const struct sink *sink)
{
    return sink->is_dlq ? "dead letters" : "rows";
}

/* They pass on, as a key without a value. */
static enum status take_tombstones(const struct sink *sink, const struct doc *config,
                                   struct key_fields *out, struct error *err)
{
    uint32_t field = self(sink)->key_field;
    (void)config;
    (void)err;
    *out = (struct key_fields){.fields = {field}, .count = field != FIELD_NONE};
    return STATUS_OK;
}

static const char *guarantee(const struct sink *sink)
{
    (void)sink;
    return "exactly once";
}

static const char *why(const struct sink *sink)
{
    (void)sink;
    return "records, dead letters and the progress record are one transaction of the SQLite file";
}

static const struct sink_ops log_sink_ops = {
    .kind = "local",
    .grammar = log_sink_fields,
    .can_reject = false,
    .outbox_new = outbox_new,
    .outbox_clear = outbox_clear,
    .outbox_free = outbox_free,
    .append_row = append_row,
    .append_dead_letter = append_dead_letter,
    .is_empty = is_empty,
    .is_there = is_there,
    .scan = scan_rows,
    .is_keyed = is_keyed,
    .take_tombstones = take_tombstones,
    .address = address,
    .rule = rule,
    .guarantee = guarantee,
    .why = why,
};

static enum status sink_add(struct system *system, const char *name, bool is_dlq,
                            const struct doc *config, const struct output_shape *shape,
                            struct sink **out, struct error *err)
{
    const char *topic = grammar_string(config, "topic", "");
    for (uint32_t i = 0; i < system->sink_count; i++) {
        const struct sink *other = system->sinks[i];
        if (other->ops == &log_sink_ops && strcmp(self(other)->topic_name, topic) == 0) {
            return doc_error(doc_get(config, "topic"), err, "config.value",
                             "topic '%s' is the place of '%s' already; every sink has a place of "
                             "its own",
                             topic, other->name);
        }
    }
    uint32_t key_field = FIELD_NONE;
    enum status status = topic_row_find_key(config, shape, &key_field, err);
    if (status != STATUS_OK) {
        return status;
    }
    struct log_sink *s = memory_alloc_zero(1, sizeof *s);
    s->sink = (struct sink){
        .ops = &log_sink_ops, .name = name, .is_dlq = is_dlq, .shape = shape};
    s->topic_name = memory_copy_string(topic);
    s->key_field = is_dlq ? FIELD_NONE : key_field;
    s->asked = (uint32_t)grammar_int(config, "partitions", 0);
    s->partitions = s->asked != 0 ? s->asked : PARTITIONS_OTHERWISE;
    s->retention.age_us = grammar_duration_us(config, "retention", 0);
    s->retention.bytes = (int64_t)grammar_size_bytes(config, "retention_bytes", 0);
    sqlite_system_add(system, &s->sink, &log_sink_work);
    *out = &s->sink;
    return STATUS_OK;
}

const struct sink_kind local_sink_kind = {
    .ops = &log_sink_ops,
    .system_ops = &sqlite_system_ops,
    .system_place = sqlite_system_place,
    .system_new = sqlite_system_new,
    .sink_add = sink_add,
};
