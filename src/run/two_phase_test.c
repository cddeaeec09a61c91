/* Two systems that keep nothing but R and what is prepared, with faults, on two threads. */
#include "run/two_phase.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "os/thread.h"

#define EPOCHS 300u
#define OWNER 7u

enum fault { FAULT_NONE, FAULT_BEFORE, FAULT_AFTER }; /* nothing done | done, the answer is lost */

/* One system; both are looked at by one thread at a time or under the mutex. */
struct fake {
    struct system system; /* first */
    struct mutex *mutex;
    uint64_t random;
    uint32_t fault_share; /* of 100 calls */
    uint64_t dies_at;     /* the call that fails for good; 0: none */
    enum fault death;
    uint64_t calls;
    /* what is stored */
    uint64_t epoch;
    uint64_t joint_count; /* of epochs that both have */
    uint64_t owner;
    char decides[PREPARED_ID_BYTES];
    char prepared[PREPARED_ID_BYTES];
    struct fake *other;
    const char *violation; /* the first; threads other than the test's cannot fail it themselves */
};

static void expect(struct fake *fake, bool holds, const char *what)
{
    if (!holds && fake->violation == NULL) {
        fake->violation = what;
    }
}

static struct fake *fake_of(struct system *system)
{
    return (struct fake *)(void *)system;
}

static const char *place(const struct system *system)
{
    return system->name;
}

/* Called with the mutex held. */
static enum fault next_fault(struct fake *fake, enum status *out_status)
{
    fake->calls++;
    fake->random = fake->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    *out_status = STATUS_RETRY;
    if (fake->dies_at != 0 && fake->calls >= fake->dies_at) {
        *out_status = STATUS_FATAL;
        return fake->calls == fake->dies_at ? fake->death : FAULT_BEFORE;
    }
    uint32_t draw = (uint32_t)(fake->random >> 33) % 200;
    return draw < fake->fault_share ? FAULT_BEFORE
           : draw < 2 * fake->fault_share ? FAULT_AFTER : FAULT_NONE;
}

static enum status answer(enum fault fault, enum status failure, struct error *err)
{
    return fault == FAULT_NONE ? STATUS_OK : error_set(err, failure, "fake.failed", "a fault");
}

/* The decision's, which asks first what became of the epoch, as real ones do. */
static enum status commit(struct system *system, const struct epoch *epoch,
                          struct progress *progresses, struct error *err)
{
    struct fake *fake = fake_of(system);
    enum status failure;
    mutex_lock(fake->mutex);
    enum fault fault = next_fault(fake, &failure);
    if (fault != FAULT_BEFORE && fake->epoch == progresses[0].epoch) {
        expect(fake, fake->other->joint_count == fake->joint_count,
               "what R named before has not ended in the participant");
        expect(fake,
               epoch->decides == NULL || strcmp(fake->other->prepared, epoch->decides) == 0,
               "a decision for what is not prepared");
        fake->epoch++;
        fake->joint_count += epoch->decides != NULL;
        snprintf(fake->decides, sizeof fake->decides, "%s",
                 epoch->decides == NULL ? "" : epoch->decides);
    }
    if (fault == FAULT_NONE) {
        progresses[0].epoch++;
    }
    mutex_unlock(fake->mutex);
    return answer(fault, failure, err);
}

static enum status prepare(struct system *system, const struct epoch *epoch,
                           const struct progress *progresses, const char *id, struct error *err)
{
    struct fake *fake = fake_of(system);
    enum status failure;
    (void)epoch;
    mutex_lock(fake->mutex);
    enum fault fault = next_fault(fake, &failure);
    expect(fake, fake->epoch == progresses[0].epoch, "an epoch is prepared behind another");
    if (fault != FAULT_BEFORE) {
        expect(fake, fake->prepared[0] == '\0' || strcmp(fake->prepared, id) == 0,
               "two are prepared at once");
        snprintf(fake->prepared, sizeof fake->prepared, "%s", id);
    }
    mutex_unlock(fake->mutex);
    return answer(fault, failure, err);
}

static enum status commit_prepared(struct system *system, const char *id, bool *out_found,
                                   struct error *err)
{
    struct fake *fake = fake_of(system);
    enum status failure;
    mutex_lock(fake->mutex);
    enum fault fault = next_fault(fake, &failure);
    *out_found = strcmp(fake->prepared, id) == 0;
    if (fault != FAULT_BEFORE && *out_found) {
        expect(fake, strcmp(fake->other->decides, id) == 0,
               "what was not decided for is committed");
        fake->prepared[0] = '\0';
        fake->epoch++;
        fake->joint_count++;
    }
    mutex_unlock(fake->mutex);
    return answer(fault, failure, err);
}

static enum status rollback_prepared(struct system *system, const char *id, bool *out_found,
                                     struct error *err)
{
    struct fake *fake = fake_of(system);
    (void)err;
    *out_found = strcmp(fake->prepared, id) == 0;
    expect(fake, strcmp(fake->other->decides, id) != 0, "what was decided for is rolled back");
    fake->prepared[0] = '\0';
    return STATUS_OK;
}

static enum status list_prepared(struct system *system, const char *prefix,
                                 prepared_visitor *visit, void *context, struct error *err)
{
    struct fake *fake = fake_of(system);
    struct prepared one = {.id = fake->prepared, .topic = "t", .partition = "0"};
    return strncmp(fake->prepared, prefix, strlen(prefix)) == 0 ? visit(context, &one, err)
                                                                : STATUS_OK;
}

static enum status load(struct system *system, const struct source_partition *partition,
                        struct progress *progress, bool *out_found, struct error *err)
{
    struct fake *fake = fake_of(system);
    (void)partition;
    (void)err;
    mutex_lock(fake->mutex);
    *out_found = true;
    *progress = (struct progress){.topic = memory_copy_string("t"),
                                  .partition = memory_copy_string("0"),
                                  .owner = fake->owner,
                                  .epoch = fake->epoch};
    mutex_unlock(fake->mutex);
    return STATUS_OK;
}

static const struct system_ops fake_ops = {
    .kind = "fake",
    .place = place,
    .commit = commit,
    .prepare = prepare,
    .commit_prepared = commit_prepared,
    .rollback_prepared = rollback_prepared,
    .list_prepared = list_prepared,
    .load = load,
};

/* --- a committer of each --- */

/* Every so many epochs the decision has one of its own, as where it takes forwarded dead letters. */
#define OWN_EPOCH_EVERY 4u

struct side_run {
    struct two_phase *pair;
    struct fake *fake;
    struct progress progress;
    struct error error;
    uint32_t done;
    bool is_decision;
};

static void commit_all(void *context)
{
    struct side_run *run = context;
    struct epoch_part part = {.partition = 0};
    struct epoch epoch = {.parts = &part, .part_count = 1};
    bool is_own_due = false;
    while (run->done < EPOCHS || is_own_due) {
        struct error err = {0};
        enum status status = two_phase_commit(run->pair, &run->fake->system, &epoch, !is_own_due,
                                              &run->progress, &err);
        if (status == STATUS_OK && is_own_due) {
            is_own_due = false;
        } else if (status == STATUS_OK) {
            run->done++;
            is_own_due = run->is_decision && run->done % OWN_EPOCH_EVERY == 0;
        } else if (status != STATUS_RETRY) {
            run->error = err;
            two_phase_leave(run->pair, &run->fake->system, &err);
            return;
        }
    }
}

struct world {
    struct mutex mutex;
    struct fake fakes[2]; /* decision, participant */
    struct side_run runs[2];
    char prefix[PREPARED_ID_BYTES];
};

static void world_init(struct world *world, uint64_t seed)
{
    static const char *const names[] = {"decision", "participant"};
    static const uint8_t incarnation[16] = {1, 2, 3};
    *world = (struct world){0};
    mutex_init(&world->mutex);
    for (uint32_t i = 0; i < 2; i++) {
        world->fakes[i] = (struct fake){.system = {.ops = &fake_ops, .name = names[i]},
                                        .mutex = &world->mutex,
                                        .random = seed * 2 + i,
                                        .owner = OWNER,
                                        .other = &world->fakes[1 - i]};
    }
    two_phase_prefix("iot", incarnation, &world->fakes[0].system, world->prefix);
}

static void world_run(struct world *world)
{
    struct thread threads[2];
    struct two_phase *pair = two_phase_new(&world->fakes[0].system, &world->fakes[1].system,
                                           world->prefix, OWNER);
    for (uint32_t i = 0; i < 2; i++) {
        world->runs[i] = (struct side_run){
            .pair = pair,
            .fake = &world->fakes[i],
            .is_decision = i == 0,
            .progress = {.topic = memory_copy_string("t"),
                         .partition = memory_copy_string("0"),
                         .owner = OWNER,
                         .epoch = world->fakes[i].epoch}};
        thread_start(&threads[i], "commit", commit_all, &world->runs[i]);
    }
    for (uint32_t i = 0; i < 2; i++) {
        thread_join(&threads[i]);
        progress_fini(&world->runs[i].progress);
    }
    two_phase_free(pair);
}

static void assert_no_violation(const struct world *world)
{
    for (uint32_t i = 0; i < 2; i++) {
        if (world->fakes[i].violation != NULL) {
            fail_msg("%s: %s", world->fakes[i].system.name, world->fakes[i].violation);
        }
    }
}

static void settle(struct world *world, struct two_phase_settled *out)
{
    struct error err = {0};
    struct fake *decision = &world->fakes[0];
    world->fakes[0].dies_at = world->fakes[1].dies_at = 0;
    world->fakes[0].fault_share = world->fakes[1].fault_share = 0;
    char topic[] = "t";
    char partition[] = "0";
    struct progress known = {.topic = topic, .partition = partition,
                             .decides = decision->decides[0] == '\0' ? NULL : decision->decides};
    assert_int_equal(two_phase_settle(&world->fakes[1].system, world->prefix, &known, 1, out, &err),
                     STATUS_OK);
}

static void test_faults_that_pass(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct world world;
        world_init(&world, seed);
        world.fakes[0].fault_share = world.fakes[1].fault_share = 30;
        world_run(&world);
        for (uint32_t i = 0; i < 2; i++) {
            assert_int_equal(world.runs[i].done, EPOCHS);
            assert_int_equal(world.fakes[i].joint_count, EPOCHS);
        }
        assert_no_violation(&world);
        assert_string_equal(world.fakes[1].prepared, "");
        mutex_fini(&world.mutex);
    }
}

/* Each operation of each side is the last one, before and after it was done; the other side learns of
 * it; the next start brings the two together, and goes on. */
static void test_death_at_every_step(void **state)
{
    (void)state;
    uint32_t committed = 0;
    uint32_t rolled_back = 0;
    for (uint32_t who = 0; who < 2; who++) {
        for (uint64_t at = 1; at <= 8; at++) {
            for (enum fault death = FAULT_BEFORE; death <= FAULT_AFTER; death++) {
                struct world world;
                struct two_phase_settled settled;
                world_init(&world, at);
                world.fakes[who].dies_at = at;
                world.fakes[who].death = death;
                world_run(&world);
                assert_int_equal(world.runs[0].error.status, STATUS_FATAL);
                assert_int_equal(world.runs[1].error.status, STATUS_FATAL);
                settle(&world, &settled);
                committed += settled.committed;
                rolled_back += settled.rolled_back;
                assert_int_equal(settled.left, 0);
                assert_string_equal(world.fakes[1].prepared, "");
                assert_int_equal(world.fakes[0].joint_count, world.fakes[1].joint_count);
                assert_no_violation(&world);
                mutex_fini(&world.mutex);
            }
        }
    }
    assert_true(committed > 0 && rolled_back > 0);
}

/* What holds nothing of ours, and what another decision system decides, is left alone. */
static void test_others_are_left_alone(void **state)
{
    (void)state;
    struct world world;
    struct two_phase_settled settled;
    struct error err = {0};
    world_init(&world, 1);
    snprintf(world.fakes[1].prepared, sizeof world.fakes[1].prepared, "%.150sA:1", world.prefix);
    char topic[] = "t";
    char partition[] = "1";
    struct progress known = {.topic = topic, .partition = partition};
    assert_int_equal(two_phase_settle(&world.fakes[1].system, world.prefix, &known, 1, &settled,
                                      &err),
                     STATUS_OK);
    assert_int_equal(settled.left, 1);
    assert_int_equal(settled.rolled_back, 0);
    assert_string_not_equal(world.fakes[1].prepared, "");
    mutex_fini(&world.mutex);
}

/* Somebody rolled back by hand what was decided for: told, and not taken for committed. */
static void test_a_contradiction_is_told(void **state)
{
    (void)state;
    struct world world;
    struct error err = {0};
    world_init(&world, 1);
    struct two_phase *pair = two_phase_new(&world.fakes[0].system, &world.fakes[1].system,
                                           world.prefix, OWNER);
    struct side_run decision = {.pair = pair, .fake = &world.fakes[0],
                                .done = EPOCHS - 1};
    struct thread thread;
    struct epoch_part part = {.partition = 0};
    struct epoch epoch = {.parts = &part, .part_count = 1};
    struct progress progress = {.topic = memory_copy_string("t"),
                                .partition = memory_copy_string("0"), .owner = OWNER};
    /* COMMIT PREPARED fails once; meanwhile the transaction goes. */
    world.fakes[1].dies_at = 2;
    world.fakes[1].death = FAULT_BEFORE;
    thread_start(&thread, "commit", commit_all, &decision);
    assert_int_equal(two_phase_commit(pair, &world.fakes[1].system, &epoch, true, &progress, &err),
                     STATUS_FATAL);
    thread_join(&thread);
    world.fakes[1].dies_at = 0;
    world.fakes[1].prepared[0] = '\0';
    err = (struct error){0};
    assert_int_equal(two_phase_commit(pair, &world.fakes[1].system, &epoch, true, &progress, &err),
                     STATUS_FATAL);
    assert_string_equal(err.code, "atomic.contradicted");
    assert_int_equal(progress.epoch, 0);
    progress_fini(&progress);
    two_phase_free(pair);
    mutex_fini(&world.mutex);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_faults_that_pass),
        cmocka_unit_test(test_death_at_every_step),
        cmocka_unit_test(test_others_are_left_alone),
        cmocka_unit_test(test_a_contradiction_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
