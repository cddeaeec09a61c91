#include "run/two_phase.h"

#include <stdio.h>
#include <string.h>

#include "base/broken.h"
#include "connector/attempt.h"
#include "os/thread.h"

enum phase { PHASE_NONE, PHASE_PREPARED, PHASE_DECIDED };
enum side { SIDE_DECISION, SIDE_PARTICIPANT };

struct two_phase {
    struct system *systems[2]; /* by side */
    char *prefix;
    uint64_t owner;
    struct mutex mutex;
    struct condition changed;
    /* under the mutex */
    enum phase phase;
    bool is_begun;         /* `id` is that of the participant's epoch, which may be tried again */
    uint64_t number;       /* of the last id */
    char id[PREPARED_ID_BYTES];
    bool is_committing[2]; /* in the system's own operation */
    bool has_left[2];
    struct error why[2];
    bool is_stopping;
};

void two_phase_prefix(const char *pipeline, const uint8_t incarnation[16],
                      const struct system *decision, char out[PREPARED_ID_BYTES])
{
    char hex[33];
    char place[33];
    const char *text = decision == NULL                   ? ""
                       : decision->ops->identity != NULL ? decision->ops->identity(decision)
                                                         : decision->ops->place(decision);
    if (incarnation == NULL) {
        snprintf(out, PREPARED_ID_BYTES, "weir:%.80s:", pipeline);
        return;
    }
    hex_encode(bytes_of(incarnation, 16), hex);
    hash_format(hash_plain(text, strlen(text)), place);
    /* Room is left for "OWNER:NUMBER" behind it. */
    snprintf(out, PREPARED_ID_BYTES, decision == NULL ? "weir:%.80s:%s:" : "weir:%.80s:%s:%.16s:",
             pipeline, hex, place);
}

struct two_phase *two_phase_new(struct system *decision, struct system *participant,
                                const char *prefix, uint64_t owner)
{
    struct two_phase *pair = memory_alloc_zero(1, sizeof *pair);
    pair->systems[SIDE_DECISION] = decision;
    pair->systems[SIDE_PARTICIPANT] = participant;
    pair->prefix = memory_copy_string(prefix);
    pair->owner = owner;
    mutex_init(&pair->mutex);
    condition_init(&pair->changed);
    return pair;
}

void two_phase_free(struct two_phase *pair)
{
    if (pair == NULL) {
        return;
    }
    condition_fini(&pair->changed);
    mutex_fini(&pair->mutex);
    memory_free(pair->prefix);
    memory_free(pair);
}

static enum side side_of(const struct two_phase *pair, const struct system *system)
{
    return system == pair->systems[SIDE_DECISION] ? SIDE_DECISION : SIDE_PARTICIPANT;
}

/* Waits until that phase is reached, or, where it is not `wanted`, left. Holds the mutex. */
static enum status wait_for(struct two_phase *pair, enum side side, enum phase phase, bool wanted,
                            struct error *err)
{
    enum side other = side == SIDE_DECISION ? SIDE_PARTICIPANT : SIDE_DECISION;
    while ((pair->phase == phase) != wanted) {
        if (pair->has_left[other]) {
            return error_set(err, pair->why[other].status, pair->why[other].code, "%s",
                             pair->why[other].message);
        }
        if (pair->is_stopping && !pair->is_committing[other]) {
            return error_set(err, STATUS_RETRY, "stop.requested", "a stop was asked for");
        }
        condition_wait(&pair->changed, &pair->mutex);
    }
    return STATUS_OK;
}

/* An operation of the system itself, without the mutex; both ends are held. */
static void begin_operation(struct two_phase *pair, enum side side)
{
    pair->is_committing[side] = true;
    mutex_unlock(&pair->mutex);
}

static void end_operation(struct two_phase *pair, enum side side)
{
    mutex_lock(&pair->mutex);
    pair->is_committing[side] = false;
    condition_broadcast(&pair->changed);
}

static enum status commit_alone(struct two_phase *pair, enum side side, const struct epoch *epoch,
                                struct progress *progresses, struct error *err)
{
    struct system *system = pair->systems[side];
    begin_operation(pair, side);
    enum status status = system->ops->commit(system, epoch, progresses, err);
    end_operation(pair, side);
    return status;
}

/* --- the decision --- */

static enum status decide(struct two_phase *pair, const struct epoch *epoch, bool is_joint,
                          struct progress *progresses, struct error *err)
{
    struct epoch deciding = *epoch;
    enum status status = STATUS_OK;
    if (is_joint) {
        status = wait_for(pair, SIDE_DECISION, PHASE_PREPARED, true, err);
    } else if (!BROKEN("decided-anew")) {
        /* What is prepared meanwhile may wait: it is the next one's. */
        status = wait_for(pair, SIDE_DECISION, PHASE_DECIDED, false, err);
    }
    if (status != STATUS_OK) {
        return status;
    }
    deciding.decides = is_joint ? pair->id : NULL;
    status = commit_alone(pair, SIDE_DECISION, &deciding, progresses, err);
    if (status == STATUS_OK && is_joint) {
        pair->phase = PHASE_DECIDED;
        condition_broadcast(&pair->changed);
    }
    return status;
}

/* --- the participant --- */

struct finishing {
    const struct system *system;
    const char *id;
};

/* What R must say once the transaction of an epoch has been committed. */
static enum status judge_part(void *context, const struct progress *known,
                              const struct progress *stored, bool found, struct error *err)
{
    const struct finishing *finishing = context;
    if (!found || stored->epoch <= known->epoch) {
        return error_set(err, STATUS_FATAL, "atomic.contradicted",
                         "%s: the prepared transaction %s was decided for, and yet somebody has "
                         "rolled it back: start again, its rows are then sent again",
                         finishing->system->name, finishing->id);
    }
    if (stored->owner != known->owner || stored->epoch != known->epoch + 1) {
        return error_set(err, STATUS_FENCED, "progress.fenced",
                         "%s: another process has taken over this pipeline",
                         finishing->system->name);
    }
    return STATUS_OK;
}

/* It may have been ended by who took over, as it was decided: R says whether. */
static enum status finish(struct system *system, const struct epoch *epoch,
                          struct progress *progresses, const char *id, struct error *err)
{
    struct finishing finishing = {.system = system, .id = id};
    bool found = false;
    enum status status = system->ops->commit_prepared(system, id, &found, err);
    return status == STATUS_OK
               ? attempt_read_back(system, epoch, progresses, judge_part, &finishing, err)
               : status;
}

static enum status prepare(struct two_phase *pair, const struct epoch *epoch,
                           const struct progress *progresses, struct error *err)
{
    struct system *system = pair->systems[SIDE_PARTICIPANT];
    if (!pair->is_begun) {
        snprintf(pair->id, sizeof pair->id, "%s%016llx:%llu", pair->prefix,
                 (unsigned long long)pair->owner, (unsigned long long)++pair->number);
        pair->is_begun = true;
    }
    begin_operation(pair, SIDE_PARTICIPANT);
    enum status status = system->ops->prepare(system, epoch, progresses, pair->id, err);
    end_operation(pair, SIDE_PARTICIPANT);
    if (status == STATUS_OK) {
        pair->phase = PHASE_PREPARED;
        condition_broadcast(&pair->changed);
    }
    return status;
}

static enum status take_part(struct two_phase *pair, const struct epoch *epoch,
                             struct progress *progresses, struct error *err)
{
    enum status status = STATUS_OK;
    if (pair->phase == PHASE_NONE) {
        status = prepare(pair, epoch, progresses, err);
    }
    if (status == STATUS_OK && BROKEN("effect-first")) {
        bool found = false;
        status = pair->systems[SIDE_PARTICIPANT]->ops->commit_prepared(
            pair->systems[SIDE_PARTICIPANT], pair->id, &found, err);
    }
    if (status == STATUS_OK) {
        status = wait_for(pair, SIDE_PARTICIPANT, PHASE_DECIDED, true, err);
    }
    if (status != STATUS_OK) {
        return status;
    }
    begin_operation(pair, SIDE_PARTICIPANT);
    status = finish(pair->systems[SIDE_PARTICIPANT], epoch, progresses, pair->id, err);
    end_operation(pair, SIDE_PARTICIPANT);
    if (status == STATUS_OK) {
        pair->phase = PHASE_NONE;
        pair->is_begun = false;
        condition_broadcast(&pair->changed);
    }
    return status;
}

/* --- both --- */

enum status two_phase_commit(struct two_phase *pair, struct system *system,
                             const struct epoch *epoch, bool is_joint,
                             struct progress *progresses, struct error *err)
{
    mutex_lock(&pair->mutex);
    enum status status = side_of(pair, system) == SIDE_DECISION
                             ? decide(pair, epoch, is_joint, progresses, err)
                         : is_joint ? take_part(pair, epoch, progresses, err)
                                    : commit_alone(pair, SIDE_PARTICIPANT, epoch, progresses, err);
    mutex_unlock(&pair->mutex);
    return status;
}

void two_phase_leave(struct two_phase *pair, const struct system *system,
                     const struct error *why)
{
    enum side side = side_of(pair, system);
    mutex_lock(&pair->mutex);
    if (!pair->has_left[side]) {
        pair->has_left[side] = true;
        pair->why[side] = *why;
    }
    condition_broadcast(&pair->changed);
    mutex_unlock(&pair->mutex);
}

void two_phase_stop(struct two_phase *pair)
{
    mutex_lock(&pair->mutex);
    pair->is_stopping = true;
    condition_broadcast(&pair->changed);
    mutex_unlock(&pair->mutex);
}

/* --- what was left --- */

struct left {
    char id[PREPARED_ID_BYTES];
    bool is_ours;    /* it holds R of one of our partitions */
    bool is_decided;
};
struct settling {
    const struct progress *decisions;
    uint32_t decision_count;
    struct left *left;
    uint32_t count;
};

static enum status note_left(void *context, const struct prepared *prepared, struct error *err)
{
    struct settling *settling = context;
    (void)err;
    if (settling->count == 0 || strcmp(settling->left[settling->count - 1].id, prepared->id) != 0) {
        settling->left = memory_realloc(settling->left,
                                        size_mul(settling->count + 1, sizeof *settling->left));
        struct left *fresh = &settling->left[settling->count++];
        *fresh = (struct left){0};
        snprintf(fresh->id, sizeof fresh->id, "%s", prepared->id);
    }
    struct left *left = &settling->left[settling->count - 1];
    for (uint32_t i = 0; i < settling->decision_count; i++) {
        const struct progress *decision = &settling->decisions[i];
        if (decision->topic == NULL) {
            continue; /* another process's */
        }
        left->is_ours |= strcmp(decision->topic, prepared->topic) == 0 &&
                         strcmp(decision->partition, prepared->partition) == 0;
        left->is_decided |=
            decision->decides != NULL && strcmp(decision->decides, prepared->id) == 0;
    }
    return STATUS_OK;
}

enum status two_phase_settle(struct system *participant, const char *prefix,
                             const struct progress *decisions, uint32_t count,
                             struct two_phase_settled *out, struct error *err)
{
    struct settling settling = {.decisions = decisions, .decision_count = count};
    const struct system_ops *ops = participant->ops;
    *out = (struct two_phase_settled){0};
    enum status status = ops->list_prepared(participant, prefix, note_left, &settling, err);
    for (uint32_t i = 0; i < settling.count && status == STATUS_OK; i++) {
        const struct left *left = &settling.left[i];
        bool found = false; /* a successor of the same process may be at it too */
        if (left->is_decided || BROKEN("undecided-kept")) {
            status = ops->commit_prepared(participant, left->id, &found, err);
            out->committed += found;
        } else if (left->is_ours) {
            status = ops->rollback_prepared(participant, left->id, &found, err);
            out->rolled_back += found;
        } else {
            out->left++;
        }
    }
    memory_free(settling.left);
    return status;
}
