#include "state/store_private.h"

bool state_budget_take(struct state_budget *budget, uint64_t bytes)
{
    uint64_t used = atomic_load(&budget->used_bytes);
    do {
        if (used > budget->limit_bytes || bytes > budget->limit_bytes - used) {
            return false;
        }
    } while (!atomic_compare_exchange_weak(&budget->used_bytes, &used, used + bytes));
    return true;
}

void state_budget_give(struct state_budget *budget, uint64_t bytes)
{
    uint64_t before = atomic_fetch_sub(&budget->used_bytes, bytes);
    check(before >= bytes);
}

enum status state_budget_refuse(const struct state_budget *budget, uint64_t bytes, const char *what,
                                const char *remedy, struct error *err)
{
    return error_set(err, STATUS_FATAL, "state.memory",
                     "the state of all partitions uses %llu of the %llu bytes that state.memory "
                     "allows, and %s needs %llu more. Raise state.memory, or %s. Nothing is lost: "
                     "the next start goes on from here.",
                     (unsigned long long)atomic_load(&budget->used_bytes),
                     (unsigned long long)budget->limit_bytes, what, (unsigned long long)bytes,
                     remedy);
}
