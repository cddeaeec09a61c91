#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "group.h"
#include "run/accounting.h"
#include "scheduler.h"
#include "world_private.h"

struct world_tally world_tally;

void world_wrong(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)fprintf(stderr, "WRONG: ");
    (void)vfprintf(stderr, format, arguments);
    (void)fprintf(stderr, "\n");
    va_end(arguments);
    _exit(WORLD_EXIT_WRONG);
}

struct world world;

bool world_happens(unsigned permille)
{
    return !world.is_calm && prng_below(scheduler_prng(), 1000) < permille;
}

int64_t world_visible(uint32_t p)
{
    int64_t count = world.is_calm ? world.logs[p].count
                                  : 5 + (scheduler_now_us() - world.begin_us) / world.step_us;
    return count < world.logs[p].count ? count : world.logs[p].count;
}

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
        systems[s] = world_system_new(s, plan->sinks[s], s == 0 ? plan->dlq : NULL);
        plan->sinks[s] = systems[s]->sinks[0];
    }
    plan->dlq = systems[0]->sinks[1];
    plan->systems = systems;
    plan->system_count = WORLD_SYSTEMS;
    plan->source_ops = &world_source_ops;
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
        outboxes[i] = world_outbox_new(NULL);
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
        world_outbox_free(outboxes[i]);
    }
    world.expected_ledger[p] = ledger;
    stage_state_free(state);
    batch_free(batch);
}

void world_begin(const struct plan *plan)
{
    world.begin_us = scheduler_now_us();
    world.step_us = 2000 + (int64_t)prng_below(scheduler_prng(), 20000);
    world.is_fenced = true;
    world.group_systems = (uint32_t)prng_below(scheduler_prng(), 2 * WORLD_SYSTEMS);
    world.group_systems = world.group_systems <= WORLD_SYSTEMS ? world.group_systems : 0;
    world_tally.shared += world.group_systems > 0;
    make_logs();
    group_begin(world.partition_count);
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
    group_calm();
}

bool world_is_shared(void)
{
    return world.group_systems > 0;
}

void world_give_up_fencing(void)
{
    world.is_fenced = false;
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
            if (world_load_form(&stored->record, &progress, &found, &err) != STATUS_OK || !found ||
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
