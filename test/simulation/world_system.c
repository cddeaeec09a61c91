/* The simulated systems and their sinks: R, rows and ledgers, held against the oracle. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "group.h"
#include "scheduler.h"
#include "world_private.h"

/* So large that epochs are sent ahead, and closed for their size. */
#define ROW_BYTES (16u * 1024u)

struct outbox *world_outbox_new(struct sink *sink)
{
    (void)sink;
    return &((struct sim_outbox *)memory_alloc_zero(1, sizeof(struct sim_outbox)))->outbox;
}

/* Clients read rows where they are until the transaction has ended. */
static void check_not_sent(const struct outbox *outbox)
{
    if (((const struct sim_outbox *)outbox)->sent_ahead > 0) {
        world_wrong("an outbox goes, and its system still has %llu of its rows",
                    (unsigned long long)((const struct sim_outbox *)outbox)->sent_ahead);
    }
}

static void outbox_clear(struct outbox *outbox)
{
    check_not_sent(outbox);
    *(struct sim_outbox *)outbox = (struct sim_outbox){0};
}

void world_outbox_free(struct outbox *outbox)
{
    check_not_sent(outbox);
    memory_free(outbox);
}

static void put(struct outbox *outbox, uint32_t partition, int64_t offset, struct hash128 hash,
                struct ledger_sink *delta)
{
    struct outputs *outputs = &((struct sim_outbox *)outbox)->outputs[partition];
    check(outputs->count < OUTPUTS_MAX);
    outputs->items[outputs->count++] = (struct output){offset, hash};
    outbox->row_count++;
    outbox->size_bytes += ROW_BYTES;
    delta->written++;
    delta->sum = hash_add(delta->sum, hash);
}

static void append_row(struct sink *sink, struct outbox *outbox, const struct output_row *row,
                       const struct hash_secret *secret, struct ledger_sink *delta)
{
    (void)sink;
    (void)secret;
    put(outbox, (uint32_t)row->origin->number, row->batch->records[row->row].offset,
        hash_plain(row->value.data, row->value.size), delta);
}

static void append_dead_letter(struct sink *sink, struct outbox *outbox, uint32_t source_partition,
                               const struct dead_letter *letter, const struct hash_secret *secret,
                               struct ledger_sink *delta)
{
    (void)sink;
    (void)secret;
    struct buffer text = {0};
    buffer_append_string(&text, letter->reason);
    buffer_append_sized(&text, letter->detail.data, letter->detail.size);
    buffer_append_sized(&text, letter->violations.data, letter->violations.size);
    buffer_append_sized(&text, letter->value.data, letter->value.size);
    put(outbox, source_partition, letter->offset, hash_plain(text.data, text.size), delta);
    buffer_fini(&text);
}

static const char *same_rule(const struct sink *sink)
{
    return sink->is_dlq ? "dead letters" : "rows";
}
static const char *name_of(const struct sink *sink)
{
    return sink->name;
}
static const char *guarantee_of(const struct sink *sink)
{
    (void)sink;
    return "exactly once";
}

/* --- systems --- */

struct sim_system {
    struct system system; /* first */
    struct sink sinks[WORLD_SINKS];
    struct sink *list[WORLD_SINKS];
    uint32_t number;
    const struct source *source; /* its group guards commits; NULL: owners of R do */
    char place[16];
    struct outbox **ahead; /* of the epoch that some rows were sent of; NULL: none */
};

static struct store *store_of(struct system *system)
{
    return &world.stores[((struct sim_system *)system)->number];
}

static const char *place_of(const struct system *system)
{
    return ((const struct sim_system *)system)->place;
}

static enum status away(struct system *system, struct error *err)
{
    world_tally.refusals++;
    return error_set(err, STATUS_RETRY, "sim.away", "%s is away", system->name);
}

static enum status is_empty(struct sink *sink, bool *out_empty, struct error *err)
{
    (void)err;
    *out_empty = true;
    for (uint32_t p = 0; p < world.partition_count; p++) {
        *out_empty &= store_of(sink->system)->partitions[p].outputs[sink->index].count == 0;
    }
    return STATUS_OK;
}

static enum status open_session(struct system *system, const char *pipeline, struct error *err)
{
    (void)pipeline;
    ((struct sim_system *)system)->source = NULL;
    ((struct sim_system *)system)->ahead = NULL; /* of a process that was killed */
    scheduler_pause();
    return world_happens(20) ? away(system, err) : STATUS_OK;
}

static bool meet_source(struct system *base, struct source *source)
{
    struct sim_system *system = (struct sim_system *)base;
    system->source = system->number < world.group_systems ? source : NULL;
    return system->source != NULL;
}

/* Refuses what comes from a member that the group has taken the partition from. */
static enum status guard(const struct sim_system *system, uint32_t partition, struct error *err)
{
    if (system->source == NULL || !world.is_fenced || group_owns(system->source, partition)) {
        return STATUS_OK;
    }
    world_tally.fenced++;
    return error_set(err, STATUS_FENCED, "assignment.lost", "partition %u is another's", partition);
}

static void close_session(struct system *system)
{
    (void)system;
}

static uint32_t number_of(const char *label)
{
    return (uint32_t)atoi(label);
}

enum status world_load_form(const struct buffer *form, struct progress *progress, bool *out_found,
                             struct error *err)
{
    *out_found = form->size > 0;
    return *out_found ? progress_read(progress, bytes_of(form->data, form->size), err) : STATUS_OK;
}

static enum status load(struct system *system, const struct source_partition *partition,
                        struct progress *progress, bool *out_found, struct error *err)
{
    scheduler_pause();
    const struct stored *stored = &store_of(system)->partitions[number_of(partition->label)];
    enum status status = world_load_form(&stored->record, progress, out_found, err);
    if (status == STATUS_OK && *out_found) {
        progress->owner = stored->owner;
    }
    return status;
}

static enum status load_first(struct system *system, const struct source_partition *partition,
                              struct progress *progress, bool *out_found, struct error *err)
{
    return world_load_form(&store_of(system)->partitions[number_of(partition->label)].first,
                           progress, out_found, err);
}

static enum status count_partitions(struct system *system, uint32_t *out_count, struct error *err)
{
    (void)err;
    *out_count = 0;
    for (uint32_t p = 0; p < world.partition_count; p++) {
        *out_count += store_of(system)->partitions[p].is_there;
    }
    return STATUS_OK;
}

static void store_record(struct stored *stored, const struct progress *progress)
{
    buffer_clear(&stored->record);
    progress_write(progress, &stored->record);
    stored->epoch = progress->epoch;
    stored->next_offset = progress->next_offset;
    stored->is_there = true;
}

static enum status begin(struct system *system, const struct progress *progresses, uint32_t count,
                         const struct bytes *plan_texts, uint32_t plan_count, struct error *err)
{
    check(plan_count == 1);
    scheduler_pause();
    if (world_happens(60)) {
        return away(system, err);
    }
    struct store *store = store_of(system);
    for (uint32_t i = 0; i < count; i++) {
        if (store->partitions[number_of(progresses[i].partition)].is_there) {
            world_tally.fenced++;
            return error_set(err, STATUS_FENCED, "sim.fenced", "R is there");
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        struct stored *stored = &store->partitions[number_of(progresses[i].partition)];
        store_record(stored, &progresses[i]);
        progress_write(&progresses[i], &stored->first);
        stored->owner = progresses[i].owner;
        stored->segment_first = progresses[i].next_offset;
        stored->plan_hash = progresses[i].plans[0].plan_hash;
    }
    buffer_clear(&store->plan_text);
    buffer_append(&store->plan_text, plan_texts[0].data, plan_texts[0].size);
    scheduler_pause();
    return STATUS_OK;
}

static enum status take_over(struct system *system, const struct progress *progresses,
                             uint32_t count, uint64_t owner, struct bytes plan_text,
                             struct error *err)
{
    (void)plan_text;
    scheduler_pause();
    if (world_happens(60)) {
        return away(system, err);
    }
    struct store *store = store_of(system);
    for (uint32_t i = 0; i < count; i++) {
        enum status status =
            guard((struct sim_system *)system, number_of(progresses[i].partition), err);
        if (status != STATUS_OK) {
            return status;
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct stored *stored = &store->partitions[number_of(progresses[i].partition)];
        if (stored->owner != progresses[i].owner || stored->epoch != progresses[i].epoch) {
            world_tally.fenced++;
            return error_set(err, STATUS_FENCED, "sim.fenced", "somebody else took over");
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        store->partitions[number_of(progresses[i].partition)].owner = owner;
    }
    scheduler_pause();
    return STATUS_OK;
}

static enum status load_plan(struct system *system, struct hash128 plan_hash, struct buffer *out,
                             bool *out_found, struct error *err)
{
    (void)err;
    const struct buffer *text = &store_of(system)->plan_text;
    *out_found = text->size > 0 && hash_equal(hash_plain(text->data, text->size), plan_hash);
    if (*out_found) {
        buffer_append(out, text->data, text->size);
    }
    return STATUS_OK;
}

static enum status load_segments(struct system *system, const char *pipeline,
                                 const struct source_partition *partition,
                                 enum status (*segment)(void *context, struct bytes form,
                                                        struct error *err),
                                 void *context, struct error *err)
{
    (void)pipeline;
    const struct stored *stored = &store_of(system)->partitions[number_of(partition->label)];
    if (stored->epoch == 0) {
        return STATUS_OK;
    }
    struct buffer form = {0};
    segment_write(stored->segment_first, stored->next_offset, stored->plan_hash, &stored->ledger,
                  &form);
    enum status status = segment(context, bytes_of(form.data, form.size), err);
    buffer_fini(&form);
    return status;
}

/* --- commits --- */

/* The number of a sink's expectation. */
static int expectation_of(const struct sim_system *system, const struct sink *sink)
{
    return sink->is_dlq ? WORLD_SINKS : (int)system->number;
}

/* The rows of the step are those that must come there. */
static void check_rows(const struct sim_system *system, const struct sink *sink, uint32_t p,
                       const struct outputs *outputs, const struct progress_step *step)
{
    const struct outputs *expected = &world.expected[expectation_of(system, sink)][p];
    int at = 0;
    while (at < expected->count && expected->items[at].offset < step->first_offset) {
        at++;
    }
    for (int i = 0; i < outputs->count; i++, at++) {
        if (at >= expected->count || expected->items[at].offset >= step->next_offset ||
            expected->items[at].offset != outputs->items[i].offset ||
            !hash_equal(expected->items[at].hash, outputs->items[i].hash)) {
            world_wrong("%s, %s, partition %u, step %lld to %lld: offset %lld is not what must "
                        "come there",
                        system->place, sink->name, p, (long long)step->first_offset,
                        (long long)step->next_offset, (long long)outputs->items[i].offset);
        }
    }
    if (at < expected->count && expected->items[at].offset < step->next_offset) {
        world_wrong("%s, %s, partition %u, step %lld to %lld: offset %lld is missing",
                    system->place, sink->name, p, (long long)step->first_offset,
                    (long long)step->next_offset, (long long)expected->items[at].offset);
    }
}

static void commit_part(struct sim_system *system, const struct epoch *epoch,
                        const struct epoch_part *part, const struct progress *before)
{
    struct stored *stored = &world.stores[system->number].partitions[part->partition];
    if (part->step.first_offset != stored->next_offset) {
        world_wrong("%s, partition %u: a step begins at %lld, R stands at %lld", system->place,
                    part->partition, (long long)part->step.first_offset,
                    (long long)stored->next_offset);
    }
    for (uint32_t i = 0; i < system->system.sink_count; i++) {
        struct outputs *outputs =
            &((struct sim_outbox *)epoch->outboxes[i])->outputs[part->partition];
        check_rows(system, &system->sinks[i], part->partition, outputs, &part->step);
        struct outputs *there = &stored->outputs[i];
        for (int k = 0; k < outputs->count; k++) {
            there->items[there->count++] = outputs->items[k];
        }
    }
    for (uint32_t k = 0; k < part->step.segment_count; k++) {
        ledger_add(&stored->ledger, &part->step.segments[k].delta);
    }
    struct progress next = {0};
    progress_copy(&next, before);
    progress_apply(&next, &part->step);
    store_record(stored, &next);
    progress_fini(&next);
}

/* A process sends nothing of what it has given back, or has been told that others have. Nor does
 * anybody else touch R while the group says that it is this one's. */
static enum status guard_epoch(const struct sim_system *system, const struct epoch *epoch,
                               struct error *err)
{
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < epoch->part_count && status == STATUS_OK; i++) {
        uint32_t p = epoch->parts[i].partition;
        if (world.group_systems > 0 && system->source != NULL &&
            !group_believes(system->source, p)) {
            world_wrong("%s, partition %u: an epoch of a partition that was given away",
                        system->place, p);
        }
        status = guard(system, p, err);
    }
    return status;
}

enum verdict_of_cas { CAS_OURS, CAS_DONE, CAS_FOREIGN };

/* As a database answers who asks again: R as it was, R after this step, or somebody else's. */
static enum verdict_of_cas compare(const struct sim_system *system, const struct epoch *epoch,
                                   const struct progress *progresses)
{
    enum verdict_of_cas result = CAS_DONE;
    for (uint32_t i = 0; i < epoch->part_count; i++) {
        const struct epoch_part *part = &epoch->parts[i];
        const struct stored *stored = &world.stores[system->number].partitions[part->partition];
        const struct progress *progress = &progresses[part->partition];
        if (system->source != NULL) {
            /* The group has let it pass; who it is that owns R is not looked at. */
            result = stored->epoch == progress->epoch + 1 && stored->owner == progress->owner
                         ? result
                         : CAS_OURS;
            continue;
        }
        if (stored->owner != progress->owner || (stored->epoch != progress->epoch &&
                                                 stored->epoch != progress->epoch + 1)) {
            return CAS_FOREIGN;
        }
        if (stored->epoch == progress->epoch) {
            result = CAS_OURS;
        }
    }
    return result;
}

static enum status lost_answer(struct system *system, struct error *err)
{
    world_tally.lost_answers++;
    scheduler_pause();
    /* Some clients ask when the epoch is sent again, with others the run ends. */
    return prng_below(scheduler_prng(), 2) == 0
               ? error_set(err, STATUS_ABORT, "sim.lost", "the answer of %s was lost", system->name)
               : error_set(err, STATUS_IN_DOUBT, "sim.doubt", "the answer of %s was lost",
                           system->name);
}

static void take_back(struct system *base)
{
    struct sim_system *system = (struct sim_system *)base;
    for (uint32_t i = 0; system->ahead != NULL && i < base->sink_count; i++) {
        ((struct sim_outbox *)system->ahead[i])->sent_ahead = 0;
    }
    system->ahead = NULL;
}

static void send_ahead(struct system *base, struct outbox **outboxes)
{
    struct sim_system *system = (struct sim_system *)base;
    if (system->ahead != NULL && system->ahead != outboxes) {
        world_wrong("%s: an epoch is sent ahead while another one is open", system->place);
    }
    scheduler_pause();
    if (world_happens(20)) {
        take_back(base);
        return;
    }
    system->ahead = outboxes;
    for (uint32_t i = 0; i < base->sink_count; i++) {
        ((struct sim_outbox *)outboxes[i])->sent_ahead = outboxes[i]->row_count;
        world_tally.sent_ahead += outboxes[i]->row_count;
    }
    scheduler_pause();
}

static enum status commit(struct system *base, const struct epoch *epoch,
                          struct progress *progresses, struct error *err)
{
    struct sim_system *system = (struct sim_system *)base;
    if (system->ahead != NULL && system->ahead != epoch->outboxes) {
        world_wrong("%s: another epoch is committed than the one that was sent ahead",
                    system->place);
    }
    take_back(base); /* in this transaction, or again in the next */
    scheduler_pause();
    if (world_happens(50)) {
        scheduler_sleep_us((int64_t)prng_below(scheduler_prng(), 300000));
    }
    if (world_happens(60)) {
        return away(base, err);
    }
    group_disturb();
    enum status status = guard_epoch(system, epoch, err);
    if (status != STATUS_OK) {
        return status;
    }
    enum verdict_of_cas found = compare(system, epoch, progresses);
    if (found == CAS_FOREIGN) {
        world_tally.fenced++;
        return error_set(err, STATUS_FENCED, "sim.fenced", "somebody else took over");
    }
    if (found == CAS_OURS && world_happens(30)) {
        return lost_answer(base, err);
    }
    for (uint32_t i = 0; i < epoch->part_count && found == CAS_OURS; i++) {
        commit_part(system, epoch, &epoch->parts[i], &progresses[epoch->parts[i].partition]);
    }
    world_tally.commits += found == CAS_OURS;
    if (found == CAS_OURS && world_happens(50)) {
        return lost_answer(base, err);
    }
    scheduler_pause();
    for (uint32_t i = 0; i < epoch->part_count; i++) {
        progress_apply(&progresses[epoch->parts[i].partition], &epoch->parts[i].step);
    }
    return STATUS_OK;
}

static void close_system(struct system *system)
{
    memory_free(system);
}

static const struct system_ops system_ops = {
    .kind = "simulated",
    .is_remote = true,
    .place = place_of,
    .open_session = open_session,
    .close_session = close_session,
    .meet_source = meet_source,
    .load = load,
    .load_first = load_first,
    .count_partitions = count_partitions,
    .begin = begin,
    .take_over = take_over,
    .send_ahead = send_ahead,
    .take_back = take_back,
    .commit = commit,
    .load_plan = load_plan,
    .load_segments = load_segments,
    .close = close_system,
};

static const struct sink_ops sink_ops = {
    .kind = "simulated",
    .outbox_new = world_outbox_new,
    .outbox_clear = outbox_clear,
    .outbox_free = world_outbox_free,
    .append_row = append_row,
    .append_dead_letter = append_dead_letter,
    .is_empty = is_empty,
    .address = name_of,
    .rule = same_rule,
    .guarantee = guarantee_of,
};

static void add_sink(struct sim_system *system, struct sink *sink, const struct sink *real)
{
    *sink = (struct sink){.ops = &sink_ops,
                          .name = real->name,
                          .system = &system->system,
                          .is_dlq = real->is_dlq,
                          .shape = real->shape,
                          .index = system->system.sink_count};
    system->list[system->system.sink_count++] = sink;
}

struct system *world_system_new(uint32_t number, const struct sink *sink, const struct sink *dlq)
{
    struct sim_system *system = memory_alloc_zero(1, sizeof *system);
    system->number = number;
    (void)snprintf(system->place, sizeof system->place, "system %u", number);
    system->system =
        (struct system){.ops = &system_ops, .name = system->place, .sinks = system->list};
    add_sink(system, &system->sinks[0], sink);
    if (dlq != NULL) {
        add_sink(system, &system->sinks[1], dlq);
    }
    return &system->system;
}
