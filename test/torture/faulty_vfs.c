/*
 * SQLite's files on the failing disk: a VFS over the one that the system has. Locks and shared
 * memory go to it as they are.
 */
#include <errno.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "disk.h"

struct shim {
    sqlite3_file base; /* first */
    char path[PATH_MAX];
    bool syncs_folder; /* made just now: its first sync is one of its folder too */
    sqlite3_file *real;
};

static sqlite3_vfs *real_vfs;
static _Thread_local int last_reason; /* what xGetLastError says; 0: ask the real one */

static struct shim *shim_of(sqlite3_file *file)
{
    return (struct shim *)file;
}

static bool fails(enum disk_call call)
{
    last_reason = disk_enter(call);
    return last_reason != 0;
}

/* What the VFS of unix answers for the errno of a fault. */
static int answer(int otherwise)
{
    return last_reason == ENOSPC ? SQLITE_FULL : otherwise;
}

static void folder_of(const char *path, char out[PATH_MAX])
{
    (void)snprintf(out, PATH_MAX, "%s", path);
    char *slash = strrchr(out, '/');
    if (slash != NULL) {
        *slash = '\0';
    }
}

static int shim_close(sqlite3_file *file)
{
    struct shim *shim = shim_of(file);
    int result = shim->real->pMethods == NULL ? SQLITE_OK : shim->real->pMethods->xClose(shim->real);
    memory_free(shim->real);
    return result;
}

static int shim_read(sqlite3_file *file, void *out, int size, sqlite3_int64 offset)
{
    struct shim *shim = shim_of(file);
    int result = fails(DISK_READ) ? SQLITE_IOERR_READ
                                  : shim->real->pMethods->xRead(shim->real, out, size, offset);
    disk_leave();
    return result;
}

/* A write that fails has written half before. */
static int shim_write(sqlite3_file *file, const void *data, int size, sqlite3_int64 offset)
{
    struct shim *shim = shim_of(file);
    bool is_bad = fails(DISK_WRITE);
    int written = is_bad ? size / 2 : size;
    int result = shim->real->pMethods->xWrite(shim->real, data, written, offset);
    if (result == SQLITE_OK && written > 0) {
        disk_note_write(shim->path, offset, data, (size_t)written);
    }
    disk_leave();
    return is_bad ? answer(SQLITE_IOERR_WRITE) : result;
}

static int shim_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    struct shim *shim = shim_of(file);
    int result = fails(DISK_SIZE) ? SQLITE_IOERR_TRUNCATE
                                  : shim->real->pMethods->xTruncate(shim->real, size);
    if (result == SQLITE_OK) {
        disk_note_size(shim->path, size);
    }
    disk_leave();
    return result;
}

static int shim_sync(sqlite3_file *file, int flags)
{
    (void)flags;
    struct shim *shim = shim_of(file);
    bool is_bad = fails(DISK_SYNC);
    if (is_bad) {
        disk_note_failed_sync(shim->path);
    } else {
        disk_note_sync(shim->path);
        if (shim->syncs_folder) {
            char folder[PATH_MAX];
            folder_of(shim->path, folder);
            disk_note_folder_sync(folder);
            shim->syncs_folder = false;
        }
    }
    disk_leave();
    return is_bad ? SQLITE_IOERR_FSYNC : SQLITE_OK;
}

static int shim_size(sqlite3_file *file, sqlite3_int64 *out)
{
    struct shim *shim = shim_of(file);
    return shim->real->pMethods->xFileSize(shim->real, out);
}
static int shim_lock(sqlite3_file *file, int lock)
{
    return shim_of(file)->real->pMethods->xLock(shim_of(file)->real, lock);
}
static int shim_unlock(sqlite3_file *file, int lock)
{
    return shim_of(file)->real->pMethods->xUnlock(shim_of(file)->real, lock);
}
static int shim_check_lock(sqlite3_file *file, int *out)
{
    return shim_of(file)->real->pMethods->xCheckReservedLock(shim_of(file)->real, out);
}

/* A size hint makes the real file longer behind our back, and is advice only. */
static int shim_control(sqlite3_file *file, int what, void *argument)
{
    if (what == SQLITE_FCNTL_SIZE_HINT || what == SQLITE_FCNTL_CHUNK_SIZE) {
        return SQLITE_NOTFOUND;
    }
    return shim_of(file)->real->pMethods->xFileControl(shim_of(file)->real, what, argument);
}
static int shim_sector_size(sqlite3_file *file)
{
    return shim_of(file)->real->pMethods->xSectorSize(shim_of(file)->real);
}
static int shim_characteristics(sqlite3_file *file)
{
    return shim_of(file)->real->pMethods->xDeviceCharacteristics(shim_of(file)->real);
}
static int shim_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **out)
{
    struct shim *shim = shim_of(file);
    int result = fails(DISK_SIZE)
                     ? SQLITE_IOERR_SHMSIZE
                     : shim->real->pMethods->xShmMap(shim->real, page, size, extend, out);
    disk_leave();
    return result;
}
static int shim_shm_lock(sqlite3_file *file, int offset, int count, int flags)
{
    return shim_of(file)->real->pMethods->xShmLock(shim_of(file)->real, offset, count, flags);
}
static void shim_shm_barrier(sqlite3_file *file)
{
    shim_of(file)->real->pMethods->xShmBarrier(shim_of(file)->real);
}
static int shim_shm_unmap(sqlite3_file *file, int removes)
{
    return shim_of(file)->real->pMethods->xShmUnmap(shim_of(file)->real, removes);
}

static const sqlite3_io_methods shim_methods = {
    .iVersion = 2,
    .xClose = shim_close,
    .xRead = shim_read,
    .xWrite = shim_write,
    .xTruncate = shim_truncate,
    .xSync = shim_sync,
    .xFileSize = shim_size,
    .xLock = shim_lock,
    .xUnlock = shim_unlock,
    .xCheckReservedLock = shim_check_lock,
    .xFileControl = shim_control,
    .xSectorSize = shim_sector_size,
    .xDeviceCharacteristics = shim_characteristics,
    .xShmMap = shim_shm_map,
    .xShmLock = shim_shm_lock,
    .xShmBarrier = shim_shm_barrier,
    .xShmUnmap = shim_shm_unmap,
};

static int shim_open(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *file, int flags,
                     int *out_flags)
{
    (void)vfs;
    struct shim *shim = shim_of(file);
    *shim = (struct shim){0};
    bool is_new = name != NULL && (flags & SQLITE_OPEN_CREATE) != 0;
    if (is_new) {
        int is_there = 0;
        real_vfs->xAccess(real_vfs, name, SQLITE_ACCESS_EXISTS, &is_there);
        is_new = is_there == 0;
    }
    shim->real = memory_alloc_zero(1, (size_t)real_vfs->szOsFile);
    int result = fails(DISK_NAME) ? answer(SQLITE_CANTOPEN)
                                  : real_vfs->xOpen(real_vfs, name, shim->real, flags, out_flags);
    if (result == SQLITE_OK && name != NULL) {
        (void)snprintf(shim->path, sizeof shim->path, "%s", name);
        if ((flags & SQLITE_OPEN_READONLY) == 0) {
            disk_note_made(name);
        }
        shim->syncs_folder = is_new && (flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL |
                                                 SQLITE_OPEN_SUPER_JOURNAL)) != 0;
    }
    disk_leave();
    if (result == SQLITE_OK) {
        shim->base.pMethods = &shim_methods;
    } else {
        if (shim->real->pMethods != NULL) {
            shim->real->pMethods->xClose(shim->real);
        }
        memory_free(shim->real);
    }
    return result;
}

static int shim_delete(sqlite3_vfs *vfs, const char *name, int syncs_folder)
{
    (void)vfs;
    int result = fails(DISK_NAME) ? SQLITE_IOERR_DELETE : real_vfs->xDelete(real_vfs, name, 0);
    if (result == SQLITE_OK) {
        disk_note_removed(name);
        if (syncs_folder != 0) {
            char folder[PATH_MAX];
            folder_of(name, folder);
            disk_note_folder_sync(folder);
        }
    }
    disk_leave();
    return result;
}

static int shim_last_error(sqlite3_vfs *vfs, int size, char *out)
{
    (void)vfs;
    return last_reason != 0 ? last_reason : real_vfs->xGetLastError(real_vfs, size, out);
}

void disk_vfs_register(void)
{
    static sqlite3_vfs shim;
    check(sqlite3_initialize() == SQLITE_OK);
    real_vfs = sqlite3_vfs_find(NULL);
    shim = *real_vfs;
    shim.zName = "faulty";
    shim.szOsFile = sizeof(struct shim);
    shim.pNext = NULL;
    shim.xOpen = shim_open;
    shim.xDelete = shim_delete;
    shim.xGetLastError = shim_last_error;
    check(sqlite3_vfs_register(&shim, 1) == SQLITE_OK);
}
