/*
 * The ticket: who may write next, fair between processes and threads. Two byte locks, NEXT and NOW:
 *
 *     take       wait for NEXT → wait for NOW → release NEXT        (now this one may write)
 *     give back  release NOW → wait for NEXT → release NEXT
 *
 * Whoever waits for NOW holds NEXT. So the last step means: whoever stood in line when the writer
 * finished has had its turn to go ahead before the writer can stand in line again. With one lock
 * alone the kernel would give it back at once to the process that just released it, which runs, and
 * not to the sleeping one.
 *
 * The locks vanish with the process. What a killed writer had begun is rolled back by SQLite.
 */
#include "locallog/private.h"

enum status ticket_take(struct lock_file *locks, struct error *err)
{
    enum status status = lock_take(locks, LOCK_NEXT, err);
    if (status != STATUS_OK) {
        return status;
    }
    status = lock_take(locks, LOCK_NOW, err);
    lock_release(locks, LOCK_NEXT);
    return status;
}

void ticket_give_back(struct lock_file *locks)
{
    lock_release(locks, LOCK_NOW);
    /* Without this wait others may starve and nothing else is wrong; whatever ails the lock file,
     * the next ticket_take() meets it too and says so. */
    if (lock_take(locks, LOCK_NEXT, NULL) == STATUS_OK) {
        lock_release(locks, LOCK_NEXT);
    }
}
