#include "world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../property/row.h"
#include "base/time.h"
#include "run/accounting.h"
#include "scheduler.h"

enum { OUTPUTS_MAX = 2 * WORLD_ROWS_MAX, EXIT_WRONG = 91 };

struct world_tally world_tally;

void world_wrong(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)fprintf(stderr, "WRONG: ");
    (void)vfprintf(stderr, format, arguments);
    (void)fprintf(stderr, "\n");
    va_end(arguments);
    _exit(EXIT_WRONG);
}

/* --- what is there --- */

/* A row or a dead letter that went out. */
struct output {
    int64_t offset;
    struct hash128 hash;
};
struct outputs {
    struct output items[OUTPUTS_MAX];
    int count;
};

/* One partition in one system. */
struct stored {
    bool is_there;
    struct buffer record, first; /* R, and R of epoch 0 */
    uint64_t owner, epoch;
    int64_t next_offset;
    struct ledger ledger;        /* of the one segment: logs are short */
    struct hash128 plan_hash;
    int64_t segment_first;
    struct outputs outputs[WORLD_SINKS]; /* by sink->index */
};

struct store {
    struct stored partitions[WORLD_PARTITIONS_MAX];
    struct buffer plan_text;
};

static struct {
    bool is_calm;
    uint32_t partition_count;
    struct source_partition partitions[WORLD_PARTITIONS_MAX];
    struct log logs[WORLD_PARTITIONS_MAX];
    int64_t begin_us;
    int64_t step_us; /* a record of each partition comes so often */
    struct store stores[WORLD_SYSTEMS];
    /* [number in the plan; the last is the dlq][partition] */
    struct outputs expected[WORLD_SINKS + 1][WORLD_PARTITIONS_MAX];
    struct ledger expected_ledger[WORLD_PARTITIONS_MAX];
} world;

static bool happens(unsigned permille)
{
    return !world.is_calm && prng_below(scheduler_prng(), 1000) < permille;
}

static int64_t visible(uint32_t p)
{
    int64_t count = world.is_calm ? world.logs[p].count
                                  : 5 + (scheduler_now_us() - world.begin_us) / world.step_us;
    return count < world.logs[p].count ? count : world.logs[p].count;
}

/* --- source --- */

struct sim_source {
    struct source source; /* first */
    int64_t position[WORLD_PARTITIONS_MAX];
};

static const struct source_ops source_ops;

static enum status source_open(const struct doc *config, const char *folder,
                               const struct csv_options *csv, struct source **out,
                               struct error *err)
{
    (void)config;
    (void)folder;
    (void)csv;
    scheduler_pause();
    if (happens(20)) {
        return error_set(err, STATUS_RETRY, "sim.away", "the source is away");
    }
    struct sim_source *source = memory_alloc_zero(1, sizeof *source);
    source->source.ops = &source_ops;
    *out = &source->source;
    return STATUS_OK;
}

static void source_close(struct source *source)
{
    memory_free(source);
}

static const struct source_partition *source_partitions(struct source *source, uint32_t *out_count)
{
    (void)source;
    *out_count = world.partition_count;
    return world.partitions;
}

static enum status source_end_offset(struct source *source, uint32_t partition,
                                     int64_t *out_offset, struct error *err)
{
    (void)source;
    (void)err;
    *out_offset = visible(partition);
    return STATUS_OK;
}

static enum status source_seek(struct source *source, uint32_t partition, int64_t offset,
                               struct error *err)
{
    (void)err;
    ((struct sim_source *)source)->position[partition] = offset;
    return STATUS_OK;
}

/* As many as it likes. */
static enum status source_read(struct source *source, uint32_t partition, struct batch *batch,
                               int64_t limit_offset, struct error *err)
{
    scheduler_pause();
    if (happens(2)) {
        return error_set(err, STATUS_FATAL, "sim.read", "the source cannot be read");
    }
    int64_t *position = &((struct sim_source *)source)->position[partition];
    int64_t end = *position + 1 + (int64_t)prng_below(scheduler_prng(), 14);
    end = end < limit_offset ? end : limit_offset;
    end = end < visible(partition) ? end : visible(partition);
    for (; *position < end; ++*position) {
        *batch_append_record(batch) = world.logs[partition].records[*position];
    }
    return STATUS_OK;
}

static bool source_is_finished(struct source *source)
{
    (void)source;
    return false;
}

static void source_wait(struct source *source, int64_t timeout_us)
{
    (void)source;
    scheduler_sleep_us(1 + (int64_t)prng_below(scheduler_prng(), (uint64_t)timeout_us));
}

static const struct source_ops source_ops = {
    .kind = "local",
    .can_replay = true,
    .has_keys = true,
    .timestamp_kind = TIMESTAMP_BROKER,
    .open = source_open,
    .close = source_close,
    .partitions = source_partitions,
    .end_offset = source_end_offset,
    .seek = source_seek,
    .read = source_read,
    .is_finished = source_is_finished,
    .wait = source_wait,
};

/* --- sinks --- */

struct sim_outbox {
    struct outbox outbox; /* first */
    struct outputs outputs[WORLD_PARTITIONS_MAX];
};

static struct outbox *outbox_new(struct sink *sink)
{
    (void)sink;
    return &((struct sim_outbox *)memory_alloc_zero(1, sizeof(struct sim_outbox)))->outbox;
}

static void outbox_clear(struct outbox *outbox)
{
    *(struct sim_outbox *)outbox = (struct sim_outbox){0};
}

static void outbox_free(struct outbox *outbox)
{
    memory_free(outbox);
}

static void put(struct outbox *outbox, uint32_t partition, int64_t offset, struct hash128 hash,
                struct ledger_sink *delta)
{
    struct outputs *outputs = &((struct sim_outbox *)outbox)->outputs[partition];
    check(outputs->count < OUTPUTS_MAX);
    outputs->items[outputs->count++] = (struct output){offset, hash};
    outbox->row_count++;
    outbox->size_bytes += 100;
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
    char place[16];
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
    scheduler_pause();
    return happens(20) ? away(system, err) : STATUS_OK;
}

static void close_session(struct system *system)
{
    (void)system;
}

static uint32_t number_of(const char *label)
{
    return (uint32_t)atoi(label);
}

static enum status load_form(const struct buffer *form, struct progress *progress, bool *out_found,
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
    enum status status = load_form(&stored->record, progress, out_found, err);
    if (status == STATUS_OK && *out_found) {
        progress->owner = stored->owner;
    }
    return status;
}

static enum status load_first(struct system *system, const struct source_partition *partition,
                              struct progress *progress, bool *out_found, struct error *err)
{
    return load_form(&store_of(system)->partitions[number_of(partition->label)].first, progress,
                     out_found, err);
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
    struct store *store = store_of(system);
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

static enum status commit(struct system *base, const struct epoch *epoch,
                          struct progress *progresses, struct error *err)
{
    struct sim_system *system = (struct sim_system *)base;
    scheduler_pause();
    if (happens(50)) {
        scheduler_sleep_us((int64_t)prng_below(scheduler_prng(), 300000));
    }
    if (happens(60)) {
        return away(base, err);
    }
    enum verdict_of_cas found = compare(system, epoch, progresses);
    if (found == CAS_FOREIGN) {
        world_tally.fenced++;
        return error_set(err, STATUS_FENCED, "sim.fenced", "somebody else took over");
    }
    if (found == CAS_OURS && happens(30)) {
        return lost_answer(base, err);
    }
    for (uint32_t i = 0; i < epoch->part_count && found == CAS_OURS; i++) {
        commit_part(system, epoch, &epoch->parts[i], &progresses[epoch->parts[i].partition]);
    }
    world_tally.commits += found == CAS_OURS;
    if (found == CAS_OURS && happens(50)) {
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
    .load = load,
    .load_first = load_first,
    .count_partitions = count_partitions,
    .begin = begin,
    .take_over = take_over,
    .commit = commit,
    .load_plan = load_plan,
    .load_segments = load_segments,
    .close = close_system,
};

static const struct sink_ops sink_ops = {
    .kind = "simulated",
    .outbox_new = outbox_new,
    .outbox_clear = outbox_clear,
    .outbox_free = outbox_free,
    .append_row = append_row,
    .append_dead_letter = append_dead_letter,
    .is_empty = is_empty,
    .address = name_of,
    .rule = same_rule,
    .guarantee = guarantee_of,
};

/* --- plans --- */

static const char text[] =
    "{\"pipeline\":{\"version\":1,\"name\":\"sim\",\"source\":{\"local\":{\"path\":\"in.db\","
    "\"topic\":\"in\"}},\"repair\":{\"null_values\":[-999,\"none\",\"\"],\"coerce\":[\"value\"],"
    "\"fill\":{\"value\":{\"last_by\":\"sensor\",\"max_age\":\"40s\"}}},"
    "\"event_time\":{\"field\":\"at\",\"lateness\":\"20s\",\"max_future\":\"30s\"},"
    "\"checks\":[{\"name\":\"least\",\"expect\":\"value >= least\"}],"
    "\"dedup\":{\"key\":\"key\",\"window\":\"60s\"},"
    "\"transform\":{\"where\":\"site IS NULL OR site <> 'test'\"},"
    "\"sinks\":{\"a\":{\"local\":{\"path\":\"a.db\",\"topic\":\"a\"}},"
    "\"b\":{\"local\":{\"path\":\"b.db\",\"topic\":\"b\"},\"when\":\"value < 60\"},"
    "\"c\":{\"local\":{\"path\":\"c.db\",\"topic\":\"c\"},\"when\":\"value > 30\"}},"
    "\"dlq\":{\"local\":{\"path\":\"a.db\",\"topic\":\"dlq\"},"
    "\"include\":[\"invalid\",\"late\",\"duplicate\",\"filtered\"]}},"
    "\"schema\":{\"type\":\"object\",\"required\":[\"value\"],\"properties\":{"
    "\"at\":{\"type\":\"string\",\"format\":\"date-time\"},\"key\":{\"type\":\"string\"},"
    "\"other\":{\"type\":\"integer\"},\"sensor\":{\"type\":\"integer\"},"
    "\"value\":{\"type\":\"integer\",\"maximum\":95},\"mode\":{\"type\":\"string\"},"
    "\"least\":{\"type\":\"integer\"},\"site\":{\"type\":\"string\"}}}}";

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

struct plan *world_plan_new(void)
{
    struct plan *plan = NULL;
    struct error err = {0};
    if (plan_from_text(bytes_of_string(text), NULL, &plan, &err) != STATUS_OK) {
        world_wrong("the plan: %s", err.message);
    }
    check(plan->stage.sink_count == WORLD_SINKS && plan->dlq != NULL);
    struct system **systems =
        arena_alloc_zero(plan->arena, WORLD_SYSTEMS, sizeof(struct system *));
    for (uint32_t s = 0; s < WORLD_SYSTEMS; s++) {
        struct sim_system *system = memory_alloc_zero(1, sizeof *system);
        system->number = s;
        (void)snprintf(system->place, sizeof system->place, "system %u", s);
        system->system =
            (struct system){.ops = &system_ops, .name = system->place, .sinks = system->list};
        add_sink(system, &system->sinks[0], plan->sinks[s]);
        plan->sinks[s] = &system->sinks[0];
        if (s == 0) {
            add_sink(system, &system->sinks[1], plan->dlq);
        }
        systems[s] = &system->system;
    }
    plan->dlq = &((struct sim_system *)systems[0])->sinks[1];
    plan->systems = systems;
    plan->system_count = WORLD_SYSTEMS;
    plan->source_ops = &source_ops;
    plan->commit_interval_us = 20000;
    plan->snapshot_interval_us = 50000;
    plan->retry = (struct retry_policy){.initial_us = 20000,
                                        .factor = 2,
                                        .longest_us = 200000,
                                        .jitter = 0.2,
                                        .attempts = RETRY_FOR_EVER};
    return plan;
}

void world_prepare(struct plan *plan)
{
    (void)plan; /* Sessions hold nothing. */
}

/* --- the log, and what must come of it --- */

static void make_logs(void)
{
    struct prng *prng = scheduler_prng();
    world.partition_count = 1 + (uint32_t)prng_below(prng, WORLD_PARTITIONS_MAX);
    for (uint32_t p = 0; p < world.partition_count; p++) {
        static const char *const labels[] = {"0", "1", "2"};
        world.partitions[p] = (struct source_partition){
            .topic = "in",
            .topic_id = "id",
            .label = labels[p],
            .number = (int32_t)p,
            .partition_count = world.partition_count,
        };
        struct rule rule = rule_random(prng);
        rule.lateness_s = 20;
        rule.window_s = 60;
        rule.max_age_s = 40;
        rule.max_jump_s = NONE;
        struct log *log = &world.logs[p];
        log_random(log, prng, &rule, 30 + below(prng, WORLD_ROWS_MAX - 30));
        for (int i = 0; i < log->count; i++) {
            log->records[i].offset = i;
            log->records[i].next_offset = i + 1;
        }
    }
}

static void take_outputs(struct outputs *to, struct outbox *outbox, uint32_t p)
{
    const struct outputs *from = &((struct sim_outbox *)outbox)->outputs[p];
    *to = *from;
}

static void judge_partition(const struct plan *plan, struct stage_runner *runner, uint32_t p)
{
    struct batch *batch = stage_runner_batch(runner);
    struct state_budget budget = {.limit_bytes = UINT64_C(64) << 20};
    struct stage_state *state = stage_state_new(&plan->stage, &budget, 0);
    struct outbox *outboxes[WORLD_SINKS + 1];
    for (int i = 0; i <= WORLD_SINKS; i++) {
        outboxes[i] = outbox_new(NULL);
    }
    struct ledger ledger = {0};
    struct ledger_sink unused = {0};
    struct error err = {0};
    for (int i = 0; i < world.logs[p].count; i++) {
        batch_reset(batch, p, 0);
        *batch_append_record(batch) = world.logs[p].records[i];
        if (stage_run(runner, state, batch, STAGE_FULL, &err) != STATUS_OK) {
            world_wrong("the oracle: %s", err.message);
        }
        accounting_count(plan, runner, batch, &ledger);
        for (uint32_t s = 0; s < WORLD_SINKS; s++) {
            accounting_append_rows(plan->sinks[s], s, outboxes[s], &world.partitions[p], batch,
                                   stage_runner_secret(runner), &unused);
        }
        accounting_append_dead_letters(plan, outboxes[WORLD_SINKS], &world.partitions[p], batch,
                                       stage_runner_secret(runner), &unused);
    }
    for (int i = 0; i <= WORLD_SINKS; i++) {
        take_outputs(&world.expected[i][p], outboxes[i], p);
        outbox_free(outboxes[i]);
    }
    world.expected_ledger[p] = ledger;
    stage_state_free(state);
    batch_free(batch);
}

void world_begin(const struct plan *plan)
{
    world.begin_us = scheduler_now_us();
    world.step_us = 2000 + (int64_t)prng_below(scheduler_prng(), 20000);
    make_logs();
    static const uint8_t key[HASH_KEY_BYTES] = "the oracle";
    struct stage_runner *runner = NULL;
    struct error err = {0};
    if (stage_runner_new(&plan->stage, key, &runner, &err) != STATUS_OK) {
        world_wrong("the oracle: %s", err.message);
    }
    for (uint32_t p = 0; p < world.partition_count; p++) {
        judge_partition(plan, runner, p);
    }
    stage_runner_free(runner);
}

void world_calm(void)
{
    world.is_calm = true;
}

/* Two places that have the same ledger but for sums, which are keyed. */
static void check_ledger(uint32_t s, uint32_t p, const char *what, const struct ledger *ledger)
{
    const struct ledger *expected = &world.expected_ledger[p];
    bool same = ledger->in == expected->in;
    for (int v = 0; v < VERDICT_COUNT; v++) {
        same &= ledger->verdicts[v] == expected->verdicts[v];
    }
    for (int r = 0; r < REPAIR_COUNT; r++) {
        same &= ledger->repairs[r] == expected->repairs[r];
    }
    if (!same) {
        world_wrong("system %u, partition %u: the ledger of %s does not add up: in %llu, expected "
                    "%llu",
                    s, p, what, (unsigned long long)ledger->in, (unsigned long long)expected->in);
    }
}

void world_check(void)
{
    for (uint32_t s = 0; s < WORLD_SYSTEMS; s++) {
        for (uint32_t p = 0; p < world.partition_count; p++) {
            const struct stored *stored = &world.stores[s].partitions[p];
            struct progress progress = {0};
            struct error err = {0};
            bool found = false;
            if (load_form(&stored->record, &progress, &found, &err) != STATUS_OK || !found ||
                progress.next_offset != world.logs[p].count) {
                world_wrong("system %u, partition %u: R is not at the end of the log", s, p);
            }
            check_ledger(s, p, "R", &progress.ledger);
            check_ledger(s, p, "its segments", &stored->ledger);
            progress_fini(&progress);
            for (uint32_t i = 0; i < (s == 0 ? 2u : 1u); i++) {
                const struct outputs *expected = &world.expected[i == 1 ? WORLD_SINKS : (int)s][p];
                if (stored->outputs[i].count != expected->count) {
                    world_wrong("system %u, partition %u: %d rows, expected %d", s, p,
                                stored->outputs[i].count, expected->count);
                }
            }
        }
    }
}
