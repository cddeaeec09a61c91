/*
 * A disk that fails: everything that weir writes below one folder passes here, from SQLite through
 * a VFS (faulty_vfs.c), from os/ through another host (faulty_host.c). Test code only.
 *
 * Two things can be asked of it:
 *   a fault     the n-th call of some kinds fails, once or from then on for ever
 *   a cut       at the n-th call the power fails: what a disk may hold then is written to another
 *               folder, and the process ends with DISK_EXIT_CUT
 *
 * What a disk may hold after a power failure: of every file what it held at its last fsync, and of
 * what was written since, sector by sector (512 bytes), any of the versions that were there
 * meanwhile; so writes are lost, reordered and torn. Names (files made, renamed, removed) last once
 * their folder was synced; of the others each may have come to the disk or not. Files that were
 * never written through here (locks, shared memory) are not there afterwards.
 *
 * What is on the real disk is what processes see, so nothing is really synced: that is quick.
 *
 * One disk per process; install before any thread starts. All functions are safe from any thread.
 */
#ifndef WEIR_TEST_TORTURE_DISK_H
#define WEIR_TEST_TORTURE_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DISK_EXIT_CUT = 90, DISK_SECTOR_BYTES = 512 };

enum disk_call {
    DISK_WRITE = 1 << 0,
    DISK_SYNC = 1 << 1,
    DISK_NAME = 1 << 2, /* open for writing, rename, remove, close */
    DISK_SIZE = 1 << 3, /* truncate, shared memory */
    DISK_READ = 1 << 4,
    DISK_CHANGES = DISK_WRITE | DISK_SYNC | DISK_NAME | DISK_SIZE,
};

struct disk_fault {
    unsigned calls; /* which kinds count */
    uint64_t at;    /* from 1; 0: none */
    bool for_ever;
    int reason;     /* errno */
};

/* SQLite's default VFS and the host from now on. Files that are in `folder` count as synced. */
void disk_install(const char *folder);

void disk_set_fault(const struct disk_fault *fault);
/* Calls of the fault's or the cut's kinds so far, and whether the fault came. */
uint64_t disk_count(void);
bool disk_has_failed(void);

/* The power fails at the n-th of DISK_CHANGES. Everything that is random comes from the seed. */
void disk_set_cut(uint64_t at, uint64_t seed, const char *image_folder);
_Noreturn void disk_cut_now(uint64_t seed, const char *image_folder);

/* --- for faulty_vfs.c and faulty_host.c --- */

/* Before a call: 0, or the errno that it fails with. May end the process. Holds the disk until
 * disk_leave(), so that a call and its note are one. */
int disk_enter(enum disk_call call);
void disk_leave(void);

/* After a call succeeded; paths outside of the folder are passed over. Within enter and leave. */
void disk_note_made(const char *path);
void disk_note_write(const char *path, int64_t offset, const void *data, size_t size);
void disk_note_size(const char *path, int64_t size);
void disk_note_sync(const char *path);
void disk_note_failed_sync(const char *path);
void disk_note_folder_sync(const char *folder);
void disk_note_rename(const char *from, const char *to);
void disk_note_removed(const char *path);

extern const struct os_host disk_host;
void disk_vfs_register(void);

#endif
