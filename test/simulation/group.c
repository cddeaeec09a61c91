#include "group.h"

#include "base/status.h"
#include "scheduler.h"
#include "world.h"

enum { MEMBERS_MAX = 64 };

struct member {
    const struct source *key; /* NULL: has left */
    bool is_expired;          /* taken for dead; a member again when it has answered that */
    bool is_told;             /* of its first assignment, which may be empty */
    int64_t heard_us;
    enum assignment_event event; /* waits for its answer */
    uint32_t partitions[WORLD_PARTITIONS_MAX];
    uint32_t count;
    bool holds[WORLD_PARTITIONS_MAX]; /* as it has answered */
};

static struct {
    bool is_calm;
    bool is_eager; /* a rebalance takes back all partitions first */
    bool is_due;   /* a rebalance is to come */
    uint32_t partition_count;
    int64_t session_us;
    struct member members[MEMBERS_MAX];
    int member_count;
    struct member *owners[WORLD_PARTITIONS_MAX];
    struct member *targets[WORLD_PARTITIONS_MAX];
    bool must_release[WORLD_PARTITIONS_MAX];
} group;

void group_begin(uint32_t partition_count)
{
    struct prng *prng = scheduler_prng();
    group.partition_count = partition_count;
    group.is_eager = prng_below(prng, 3) == 0;
    group.session_us = 300000 + (int64_t)prng_below(prng, 2000000);
}

static struct member *find(const struct source *key)
{
    for (int i = 0; i < group.member_count; i++) {
        if (group.members[i].key == key) {
            return &group.members[i];
        }
    }
    return NULL;
}

static bool one_in(uint64_t many)
{
    return !group.is_calm && prng_below(scheduler_prng(), many) == 0;
}

/* --- who is a member, and has what --- */

static void take_away(const struct member *member)
{
    for (uint32_t p = 0; p < group.partition_count; p++) {
        if (group.owners[p] == member) {
            group.owners[p] = NULL;
            group.must_release[p] = false;
        }
        if (group.targets[p] == member) {
            group.targets[p] = NULL;
        }
    }
    group.is_due = true;
}

static void expire(struct member *member)
{
    member->is_expired = true;
    take_away(member);
}

static void expire_silent(void)
{
    for (int i = 0; i < group.member_count; i++) {
        struct member *member = &group.members[i];
        if (member->key != NULL && !member->is_expired &&
            scheduler_now_us() - member->heard_us > group.session_us) {
            expire(member);
        }
    }
}

static bool is_alive(const struct member *member)
{
    return member->key != NULL && !member->is_expired;
}

void group_disturb(void)
{
    if (group.member_count > 0 && one_in(150)) {
        struct member *member =
            &group.members[prng_below(scheduler_prng(), (uint64_t)group.member_count)];
        if (is_alive(member)) {
            expire(member);
        }
    }
}

void group_calm(void)
{
    for (int i = 0; i < group.member_count; i++) {
        take_away(&group.members[i]);
        group.members[i].key = NULL;
    }
    group.is_calm = true;
    group.session_us = INT64_C(60) * 1000000;
}

static void rejoin(struct member *member)
{
    member->is_expired = false;
    member->is_told = false;
    member->heard_us = scheduler_now_us();
    group.is_due = true;
}

void group_join(const struct source *key)
{
    check(group.member_count < MEMBERS_MAX && find(key) == NULL);
    struct member *member = &group.members[group.member_count++];
    *member = (struct member){.key = key};
    rejoin(member);
}

void group_leave(const struct source *key)
{
    struct member *member = find(key);
    if (member != NULL) {
        take_away(member);
        member->key = NULL;
    }
}

/* --- rebalances --- */

static bool is_under_way(void)
{
    bool result = false;
    for (uint32_t p = 0; p < group.partition_count; p++) {
        result |= group.must_release[p];
    }
    return result;
}

static struct member *choose(struct member *owner, int alive)
{
    if (owner != NULL && prng_below(scheduler_prng(), 2) == 0) {
        return owner;
    }
    int which = (int)prng_below(scheduler_prng(), (uint64_t)alive);
    for (int i = 0; i < group.member_count; i++) {
        if (is_alive(&group.members[i]) && which-- == 0) {
            return &group.members[i];
        }
    }
    return NULL;
}

static void rebalance(void)
{
    int alive = 0;
    for (int i = 0; i < group.member_count; i++) {
        alive += is_alive(&group.members[i]);
    }
    if (!group.is_due || is_under_way() || alive == 0) {
        return;
    }
    world_tally.rebalances++;
    group.is_due = false;
    for (uint32_t p = 0; p < group.partition_count; p++) {
        struct member *owner = group.owners[p];
        group.targets[p] = choose(owner, alive);
        group.must_release[p] = owner != NULL && (group.is_eager || owner != group.targets[p]);
    }
}

/* --- what a member is told, and answers --- */

static void add(struct member *member, enum assignment_event event, uint32_t p)
{
    member->event = event;
    member->partitions[member->count++] = p;
}

static void tell_lost(struct member *member)
{
    member->count = 0;
    for (uint32_t p = 0; p < group.partition_count; p++) {
        if (member->holds[p]) {
            add(member, ASSIGNMENT_LOST, p);
        }
    }
}

static void tell_changes(struct member *member)
{
    member->count = 0;
    for (uint32_t p = 0; p < group.partition_count; p++) {
        if (group.must_release[p] && group.owners[p] == member && member->holds[p]) {
            add(member, ASSIGNMENT_REVOKED, p);
        }
    }
    bool is_settled = !group.is_due && !is_under_way();
    if (member->event != ASSIGNMENT_SAME || (group.is_eager && !is_settled)) {
        return;
    }
    for (uint32_t p = 0; p < group.partition_count; p++) {
        if (group.targets[p] == member && group.owners[p] == NULL) {
            add(member, ASSIGNMENT_GAINED, p);
            group.owners[p] = member;
        }
    }
    if (!member->is_told && is_settled) {
        member->event = ASSIGNMENT_GAINED;
    }
    member->is_told |= member->event == ASSIGNMENT_GAINED;
}

void group_poll(const struct source *key, struct source_assignment *out)
{
    struct member *member = find(key);
    check(member != NULL);
    group_disturb();
    expire_silent();
    member->heard_us = scheduler_now_us();
    if (member->is_expired && member->event != ASSIGNMENT_GAINED) {
        tell_lost(member);
        if (member->count == 0) {
            member->event = ASSIGNMENT_SAME;
            rejoin(member);
        }
    }
    group.is_due |= one_in(60);
    rebalance();
    if (member->event == ASSIGNMENT_SAME) {
        tell_changes(member);
    }
    *out = (struct source_assignment){member->event, member->partitions, member->count};
}

void group_answer(const struct source *key)
{
    struct member *member = find(key);
    check(member != NULL && member->event != ASSIGNMENT_SAME);
    for (uint32_t i = 0; i < member->count; i++) {
        uint32_t p = member->partitions[i];
        member->holds[p] = member->event == ASSIGNMENT_GAINED;
        if (member->event == ASSIGNMENT_REVOKED && group.owners[p] == member) {
            group.owners[p] = NULL;
            group.must_release[p] = false;
        }
    }
    world_tally.gained += member->event == ASSIGNMENT_GAINED ? member->count : 0;
    world_tally.revoked += member->event == ASSIGNMENT_REVOKED ? member->count : 0;
    world_tally.lost += member->event == ASSIGNMENT_LOST ? member->count : 0;
    if (member->event == ASSIGNMENT_LOST) {
        rejoin(member);
    }
    member->event = ASSIGNMENT_SAME;
}

bool group_owns(const struct source *key, uint32_t partition)
{
    const struct member *member = find(key);
    expire_silent();
    return member != NULL && !member->is_expired && group.owners[partition] == member;
}

bool group_believes(const struct source *key, uint32_t partition)
{
    const struct member *member = find(key);
    return member != NULL && member->holds[partition];
}
