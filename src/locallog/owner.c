/* One owner per group: a byte of the lock file, chosen by the hash of the group's name. */
#include "locallog/private.h"

struct locallog_group_lock {
    struct lock_file *locks;
    uint64_t byte;
};

/* Two names on one byte would keep each other out for no reason: with 62 bits they do not meet. */
static uint64_t group_byte(const char *group)
{
    struct bytes name = bytes_of_string(group);
    return LOCK_GROUPS + (hash_plain(name.data, name.size).low >> 2);
}

static enum status group_lock_open(const char *path, struct lock_file **out, struct error *err)
{
    char *resolved;
    enum status status = path_resolve(path, &resolved, err);
    if (status == STATUS_OK) {
        status = path_open_locks(resolved, out, err);
        memory_free(resolved);
    }
    return status;
}

enum status locallog_group_acquire(const char *path, const char *group,
                                   struct locallog_group_lock **out, struct error *err)
{
    struct lock_file *locks;
    enum status status = group_lock_open(path, &locks, err);
    if (status != STATUS_OK) {
        return status;
    }
    bool taken = false;
    uint64_t byte = group_byte(group);
    status = lock_try(locks, byte, &taken, err);
    if (status == STATUS_OK && !taken) {
        status = error_set(err, STATUS_CONFIG, "group.owned",
                           "group %s of %s is owned by another process that runs now. Stop that "
                           "one first, or use another name.",
                           group, path);
    }
    if (status != STATUS_OK) {
        lock_file_close(locks);
        return status;
    }
    struct locallog_group_lock *lock = memory_alloc(sizeof *lock);
    *lock = (struct locallog_group_lock){locks, byte};
    *out = lock;
    return STATUS_OK;
}

bool locallog_group_is_owned(const char *path, const char *group)
{
    char *resolved;
    if (path_resolve(path, &resolved, NULL) != STATUS_OK) {
        return false;
    }
    struct buffer name = {0};
    buffer_printf(&name, "%s-lock", resolved);
    bool is_owned = lock_is_held(buffer_string(&name), group_byte(group));
    buffer_fini(&name);
    memory_free(resolved);
    return is_owned;
}

void locallog_group_release(struct locallog_group_lock *lock)
{
    if (lock == NULL) {
        return;
    }
    lock_release(lock->locks, lock->byte);
    lock_file_close(lock->locks);
    memory_free(lock);
}
