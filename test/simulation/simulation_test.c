/*
 * Worker, committers, snapshots and recovery in a simulated world, under one seeded scheduler:
 * systems that are away or whose answers are lost, processes that are killed between any two of
 * their steps, asked to stop, or frozen while another takes over and then go on as zombies. In half
 * of the worlds up to three processes at once share the partitions as members of a group (group.h),
 * which gives, revokes and takes them for lost. At the end one run without faults: every row in its
 * place once, in order, ledgers equal.
 *
 *     build/release/test/simulation/simulation 4711            one seed
 *     WEIR_SEED=1 WEIR_TRIALS=20000 build/release/test/simulation/simulation
 */
#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../torture/trials.h"
#include "os/thread.h"
#include "run/run.h"
#include "scheduler.h"
#include "world.h"

enum {
    LIVES_MAX = 12,
    PLANS = 3, /* so many processes at once */
    LIMIT_S = 60,
    UNFENCED_SEEDS = 1500,
    FOLDER_BYTES = 160,
};

/* A process that runs the pipeline. */
struct life {
    struct plan *plan;
    struct process *process;
    bool until_end;
    bool is_frozen;
    enum status status;
    struct error err;
};

static struct life lives[LIVES_MAX + 1];
static int life_count;
static const char *single_seed;
static const char *program;

static void run_life(void *context)
{
    struct life *life = context;
    const struct run_options options = {.until_end = life->until_end};
    const struct run_observer observer = {0};
    struct run_result result = {0};
    life->status = run_pipeline(life->plan, &options, &observer, &result, &life->err);
    run_result_fini(&result);
    /* What a process may end with where systems fail and others take over. What can be done again is
     * done again, unless it is to stop. */
    bool is_to_repeat = life->status == STATUS_RETRY || life->status == STATUS_ABORT;
    bool is_fair = is_to_repeat ? stop_requested()
                                : life->status == STATUS_OK || life->status == STATUS_IN_DOUBT ||
                                      life->status == STATUS_FENCED ||
                                      strncmp(life->err.code, "sim.", 4) == 0;
    if (!is_fair) {
        world_wrong("a run ended with %s: %s (%s)", status_name(life->status), life->err.message,
                    life->err.code);
    }
}

/* A plan that no process may still use. */
static struct plan *free_plan(struct plan **plans)
{
    for (int i = 0; i < PLANS; i++) {
        bool is_used = false;
        for (int k = 0; k < life_count; k++) {
            is_used |= lives[k].plan == plans[i] && !process_is_over(lives[k].process);
        }
        if (!is_used) {
            return plans[i];
        }
    }
    return NULL;
}

static struct life *start_life(struct plan **plans, bool until_end)
{
    struct life *life = &lives[life_count];
    *life = (struct life){.plan = free_plan(plans), .until_end = until_end};
    check(life->plan != NULL);
    world_prepare(life->plan);
    life->process = process_start(run_life, life);
    life_count++;
    return life;
}

static bool happens(unsigned percent)
{
    return prng_below(scheduler_prng(), 100) < percent;
}

static void wait_some(struct life *life, int64_t most_us)
{
    int64_t end_us = scheduler_now_us() + 1 + (int64_t)prng_below(scheduler_prng(), (uint64_t)most_us);
    while (!process_is_over(life->process) && scheduler_now_us() < end_us) {
        scheduler_sleep_us(1 + (int64_t)prng_below(scheduler_prng(), 5000));
    }
}

static void kill_life(struct life *life)
{
    if (!process_is_over(life->process)) {
        world_tally.kills++;
        process_kill(life->process);
    }
}

/* One process after the other, and now and then one that wakes when another is at work. */
static void disturb(struct plan **plans)
{
    struct life *zombie = NULL;
    int count = 1 + (int)prng_below(scheduler_prng(), LIVES_MAX - 1);
    while (life_count < count) {
        struct life *life = start_life(plans, happens(20));
        wait_some(life, happens(30) ? 5000 : 400000);
        if (zombie != NULL) {
            process_freeze(zombie->process, false);
            wait_some(life, 200000);
            kill_life(zombie);
            zombie = NULL;
        }
        if (process_is_over(life->process)) {
            continue;
        }
        if (happens(25)) {
            world_tally.freezes++;
            process_freeze(life->process, true);
            zombie = life;
        } else if (happens(20)) {
            world_tally.stops++;
            process_ask_to_stop(life->process);
            wait_some(life, 2000000);
            kill_life(life);
        } else {
            kill_life(life);
        }
    }
    if (zombie != NULL && happens(50)) {
        process_freeze(zombie->process, false);
        scheduler_sleep_us((int64_t)prng_below(scheduler_prng(), 100000));
    }
    if (zombie != NULL) {
        kill_life(zombie);
    }
}

static struct life *running_life(void)
{
    struct life *found = NULL;
    int count = 0;
    for (int k = 0; k < life_count; k++) {
        if (!process_is_over(lives[k].process)) {
            count++;
            found = prng_below(scheduler_prng(), (uint64_t)count) == 0 ? &lives[k] : found;
        }
    }
    return found;
}

static void trouble(struct life *life)
{
    if (life->is_frozen) {
        process_freeze(life->process, life->is_frozen = false);
    } else if (happens(40)) {
        world_tally.freezes++;
        process_freeze(life->process, life->is_frozen = true);
    } else if (happens(40)) {
        world_tally.stops++;
        process_ask_to_stop(life->process);
    } else {
        kill_life(life);
    }
}

/* Several processes at once, which share the partitions and come and go. */
static void disturb_shared(struct plan **plans)
{
    int count = 1 + (int)prng_below(scheduler_prng(), LIVES_MAX - 1);
    while (life_count < count) {
        if (free_plan(plans) != NULL && happens(70)) {
            (void)start_life(plans, happens(20));
            if (happens(40)) {
                continue; /* another one at the same moment */
            }
        }
        scheduler_sleep_us((int64_t)prng_below(scheduler_prng(), happens(40) ? 20000 : 600000));
        struct life *life = running_life();
        if (life != NULL && happens(60)) {
            trouble(life);
        }
    }
    for (struct life *life = running_life(); life != NULL; life = running_life()) {
        scheduler_sleep_us((int64_t)prng_below(scheduler_prng(), 400000));
        kill_life(life);
    }
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *position)
{
    (void)info;
    (void)type;
    (void)position;
    return remove(path);
}

/* Those who share a source may be of several machines, with snapshots of their own. */
static void spread_folders(struct plan **plans, const char *folder)
{
    static char folders[PLANS][FOLDER_BYTES + 16];
    check(mkdir(folder, 0700) == 0 || errno == EEXIST);
    for (int i = 0; i < PLANS; i++) {
        if (world_is_shared() && happens(50)) {
            (void)snprintf(folders[i], sizeof folders[i], "%s/%d", folder, i);
            plans[i]->state_folder = folders[i];
        }
    }
}

/* In a process of its own, which ends with what was killed in it. */
static void simulate(uint64_t seed, const char *folder, bool is_fenced)
{
    alarm(LIMIT_S);
    struct plan *plans[PLANS];
    for (int i = 0; i < PLANS; i++) {
        plans[i] = world_plan_new();
        plans[i]->state_folder = folder;
    }
    scheduler_begin(seed);
    world_begin(plans[0]);
    spread_folders(plans, folder);
    if (!is_fenced) {
        world_give_up_fencing();
    }
    if (world_is_shared()) {
        disturb_shared(plans);
    } else {
        disturb(plans);
    }
    world_calm();
    struct life *last = start_life(plans, true);
    while (!process_is_over(last->process)) {
        scheduler_sleep_us(1000);
    }
    if (last->status != STATUS_OK) {
        world_wrong("the last run ended with %s: %s (%s)", status_name(last->status),
                    last->err.message, last->err.code);
    }
    world_check();
    if (single_seed != NULL) {
        print_message("%llu steps, %lld us of virtual time\n",
                      (unsigned long long)scheduler_steps(), (long long)scheduler_now_us());
    }
}

static void add_tally(struct world_tally *total)
{
    uint64_t *to = (uint64_t *)total;
    const uint64_t *from = (const uint64_t *)&world_tally;
    for (size_t i = 0; i < sizeof *total / sizeof *to; i++) {
        to[i] += from[i];
    }
}

static void one_seed(uint64_t seed, const char *parent, struct world_tally *total)
{
    char folder[FOLDER_BYTES + 8];
    (void)snprintf(folder, sizeof folder, "%s/state", parent);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        simulate(seed, folder, true);
        add_tally(total);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    (void)nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    if (status != 0) {
        fail_msg("seed %llu: wait status %x; this seed alone: %s %llu", (unsigned long long)seed,
                 (unsigned)status, program, (unsigned long long)seed);
    }
}

static void make_folder(char *out)
{
    const char *temporary = getenv("TMPDIR");
    (void)snprintf(out, FOLDER_BYTES, "%s/weir-simulation-XXXXXX",
                   temporary == NULL ? "/tmp" : temporary);
    assert_non_null(mkdtemp(out));
}

/* Systems that take what former owners send spoil what the oracle expects, sooner or later. */
static void test_group_without_fencing_is_caught(void **state)
{
    (void)state;
    if (single_seed != NULL) {
        skip();
    }
    bool is_caught = false;
    for (uint64_t seed = 1; seed <= UNFENCED_SEEDS && !is_caught; seed++) {
        char folder[FOLDER_BYTES];
        make_folder(folder);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            if (freopen("/dev/null", "w", stderr) != NULL) {
                simulate(seed, folder, false);
            }
            _exit(0);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        (void)nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
        is_caught = WIFEXITED(status) && WEXITSTATUS(status) == WORLD_EXIT_WRONG;
    }
    assert_true(is_caught);
}

static void test_seeds(void **state)
{
    (void)state;
    struct torture_trials trials = torture_trials_of(WEIR_SIMULATION_SEEDS, 20000);
    if (single_seed != NULL) {
        trials = (struct torture_trials){strtoull(single_seed, NULL, 10), 1};
    }
    print_message("WEIR_SEED=%llu, %llu seeds\n", (unsigned long long)trials.seed,
                  (unsigned long long)trials.count);
    char parent[FOLDER_BYTES];
    make_folder(parent);
    struct world_tally *total = mmap(NULL, sizeof *total, PROT_READ | PROT_WRITE,
                                     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(total != MAP_FAILED);
    for (uint64_t i = 0; i < trials.count; i++) {
        one_seed(trials.seed + i, parent, total);
    }
    print_message("%llu kills, %llu zombies, %llu stops, %llu commits, %llu rows sent ahead, "
                  "%llu lost answers, %llu times a system was away, %llu fenced\n"
                  "%llu worlds with a group: %llu rebalances, %llu partitions gained, %llu revoked, "
                  "%llu lost\n",
                  (unsigned long long)total->kills, (unsigned long long)total->freezes,
                  (unsigned long long)total->stops, (unsigned long long)total->commits,
                  (unsigned long long)total->sent_ahead, (unsigned long long)total->lost_answers,
                  (unsigned long long)total->refusals,
                  (unsigned long long)total->fenced, (unsigned long long)total->shared,
                  (unsigned long long)total->rebalances, (unsigned long long)total->gained,
                  (unsigned long long)total->revoked, (unsigned long long)total->lost);
    assert_int_equal(rmdir(parent), 0);
}

int main(int argc, char **argv)
{
    program = argv[0];
    single_seed = argc > 1 ? argv[1] : NULL;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seeds),
        cmocka_unit_test(test_group_without_fencing_is_caught),
    };
    return cmocka_run_group_tests_name("simulation", tests, NULL, NULL);
}
