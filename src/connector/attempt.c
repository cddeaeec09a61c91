#include "connector/attempt.h"

#include "base/broken.h"
#include "connector/reject.h"

void attempt_init(struct attempt *attempt, const struct epoch *epoch,
                  const struct progress *progresses)
{
    *attempt = (struct attempt){.epoch = epoch};
    attempt->next = memory_alloc_zero(epoch->part_count, sizeof *attempt->next);
    attempt->segments = memory_alloc_zero(epoch->part_count, sizeof *attempt->segments);
    for (uint32_t i = 0; i < epoch->part_count; i++) {
        const struct epoch_part *part = &epoch->parts[i];
        progress_copy(&attempt->next[i], &progresses[part->partition]);
        progress_apply(&attempt->next[i], &part->step);
        memory_free(attempt->next[i].decides);
        attempt->next[i].decides =
            epoch->decides == NULL ? NULL : memory_copy_string(epoch->decides);
        attempt->segments[i] =
            memory_alloc_zero(part->step.segment_count + 1, sizeof **attempt->segments);
        for (uint32_t k = 0; k < part->step.segment_count; k++) {
            ledger_copy(&attempt->segments[i][k], &part->step.segments[k].delta);
        }
    }
}

void attempt_fini(struct attempt *attempt)
{
    for (uint32_t i = 0; i < attempt->epoch->part_count; i++) {
        progress_fini(&attempt->next[i]);
        for (uint32_t k = 0; k < attempt->epoch->parts[i].step.segment_count; k++) {
            ledger_fini(&attempt->segments[i][k]);
        }
        memory_free(attempt->segments[i]);
    }
    for (uint32_t i = 0; i < attempt->reject_count; i++) {
        memory_free((void *)(uintptr_t)attempt->rejects[i].record.headers);
    }
    memory_free(attempt->segments);
    memory_free(attempt->next);
    memory_free(attempt->rejects);
}

uint32_t attempt_part(const struct attempt *attempt, uint32_t source_partition)
{
    for (uint32_t i = 0; i < attempt->epoch->part_count; i++) {
        if (attempt->epoch->parts[i].partition == source_partition) {
            return i;
        }
    }
    check(!"a row of a partition that the epoch does not have");
    return 0;
}

/* Which segment of the part an offset belongs to. */
static uint32_t segment_of(const struct progress_step *step, int64_t offset)
{
    uint32_t segment = 0;
    while (segment + 1 < step->segment_count &&
           step->segments[segment + 1].first_offset <= offset) {
        segment++;
    }
    return segment;
}

void attempt_extend_range(struct attempt *attempt, const char *sink_name,
                          uint32_t source_partition, uint32_t output_partition,
                          int64_t first_offset, int64_t last_offset)
{
    uint32_t part = attempt_part(attempt, source_partition);
    const struct progress_step *step = &attempt->epoch->parts[part].step;
    if (step->segment_count == 0) {
        return; /* forwarded dead letters alone: they are counted apart */
    }
    ledger_sink_extend_range(ledger_sink(&attempt->next[part].ledger, sink_name),
                             output_partition, first_offset, last_offset);
    for (uint32_t k = 0; k < step->segment_count; k++) {
        if (ledger_find_sink(&attempt->segments[part][k], sink_name) != NULL) {
            ledger_sink_extend_range(ledger_sink(&attempt->segments[part][k], sink_name),
                                     output_partition, first_offset, last_offset);
        }
    }
}

void attempt_add_reject(struct attempt *attempt, const struct reject *reject)
{
    if (attempt->reject_count == attempt->reject_capacity) {
        attempt->reject_capacity = attempt->reject_capacity * 2 + 16;
        attempt->rejects = memory_realloc(
            attempt->rejects, size_mul(attempt->reject_capacity, sizeof *attempt->rejects));
    }
    attempt->rejects[attempt->reject_count++] = *reject;
}

/* R's ledger and the segment's, in which a row of that partition and offset is counted. */
struct books {
    struct progress *progress;
    struct ledger *ledgers[2];
};

static struct books books_of(struct attempt *attempt, const struct reject *reject)
{
    uint32_t part = attempt_part(attempt, reject->source_partition);
    uint32_t segment = segment_of(&attempt->epoch->parts[part].step, reject->record.offset);
    return (struct books){
        .progress = &attempt->next[part],
        .ledgers = {&attempt->next[part].ledger, &attempt->segments[part][segment]},
    };
}

void attempt_book_rejects(struct attempt *attempt)
{
    for (uint32_t i = 0; i < attempt->reject_count; i++) {
        const struct reject *reject = &attempt->rejects[i];
        struct books books = books_of(attempt, reject);
        for (uint32_t k = 0; k < 2; k++) {
            struct ledger_sink *sink = ledger_sink(books.ledgers[k], reject->sink->name);
            sink->written--;
            sink->rejected++;
            sink->sum = hash_sub(sink->sum, reject->hash);
        }
        if (reject->sink->system->forwards_rejects && !BROKEN("letters-unbooked")) {
            refused_add(&books.progress->due, reject->sink->name, reject->record.offset,
                        (struct hash128){0, 0});
        }
    }
}

struct sink *attempt_dlq(const struct system *system)
{
    for (uint32_t i = 0; i < system->sink_count; i++) {
        if (system->sinks[i]->is_dlq && system->sinks[i]->takes_rejects) {
            return system->sinks[i];
        }
    }
    return NULL;
}

static void append_letter(struct attempt *attempt, const struct reject *reject, struct sink *dlq,
                          struct outbox *outbox, const char *pipeline, struct buffer *violations)
{
    struct dead_letter letter;
    struct refused_row row = {
        .record = &reject->record,
        .origin = reject->origin,
        .attempt = reject->attempt,
        .sink = reject->sink->name,
        .code = reject->code,
        .message = reject->message,
        .pipeline = pipeline,
        .plan_hash = dlq->shape->plan_hash,
    };
    reject_letter(&row, violations, &letter);
    struct books books = books_of(attempt, reject);
    struct hash_secret secret;
    hash_secret_init(&secret, books.progress->hash_key);
    struct ledger_sink delta = {0};
    dlq->ops->append_dead_letter(dlq, outbox, reject->source_partition, &letter, &secret, &delta);
    for (uint32_t k = 0; k < 2; k++) {
        struct ledger_sink *sink = ledger_sink(books.ledgers[k], dlq->name);
        sink->routed++;
        sink->written += delta.written;
        sink->sum = hash_add(sink->sum, delta.sum);
    }
}

void attempt_append_letters(struct attempt *attempt, struct sink *dlq, struct outbox *outbox,
                            const char *pipeline)
{
    struct buffer violations = {0};
    for (uint32_t i = 0; i < attempt->reject_count; i++) {
        append_letter(attempt, &attempt->rejects[i], dlq, outbox, pipeline, &violations);
    }
    buffer_fini(&violations);
}

void attempt_take(struct attempt *attempt, struct progress *progresses)
{
    for (uint32_t i = 0; i < attempt->epoch->part_count; i++) {
        struct progress *old = &progresses[attempt->epoch->parts[i].partition];
        progress_fini(old);
        *old = attempt->next[i];
        attempt->next[i] = (struct progress){0};
    }
}

enum status attempt_read_back(struct system *system, const struct epoch *epoch,
                              struct progress *progresses, stored_judge *judge, void *context,
                              struct error *err)
{
    enum status status = STATUS_OK;
    struct progress *stored = memory_alloc_zero(epoch->part_count + 1, sizeof *stored);
    for (uint32_t i = 0; i < epoch->part_count && status == STATUS_OK; i++) {
        const struct progress *known = &progresses[epoch->parts[i].partition];
        const struct source_partition partition = {.topic = known->topic,
                                                   .label = known->partition};
        bool found = false;
        status = system->ops->load(system, &partition, &stored[i], &found, err);
        if (status == STATUS_OK) {
            status = judge(context, known, &stored[i], found, err);
        }
    }
    for (uint32_t i = 0; i < epoch->part_count; i++) {
        struct progress *known = &progresses[epoch->parts[i].partition];
        struct progress kept = *known;
        if (status == STATUS_OK) {
            *known = stored[i];
            stored[i] = kept;
        }
        progress_fini(&stored[i]);
    }
    memory_free(stored);
    return status;
}
