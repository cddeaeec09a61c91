/*
 * Backup: all that a pipeline keeps, copied while it runs, and put back.
 *
 * A backup is a folder:
 *   manifest.json   what was copied from where, and of every file its size and digest
 *   files/…         the files, by their paths from the pipeline's folder; what lies outside of that is
 *                   below files/outside/N/
 *
 * Each file of a local log and each folder of parts is copied as it stood at one moment. These
 * moments are apart, and in such an order that a pipeline can go on from what is restored as after
 * a crash: snapshots first, then the systems, the log that is read last. So no R is beyond the end
 * of the log, and none is behind a snapshot. What each system had not taken yet comes again, and
 * only that.
 *
 * The digest of a file is the hash_plain() of its blocks: h0 = 16 zero bytes, h(i+1) = hash of h(i)
 * and the hash of the i-th block of 1 MiB, each as low, then high u64, little-endian.
 *
 * A backup is written beside its final name and renamed when it is whole and on disk; what fails is
 * removed. A restore verifies everything before it writes anything, and never overwrites.
 */
#ifndef WEIR_INSPECT_BACKUP_H
#define WEIR_INSPECT_BACKUP_H

#include "os/tree.h"
#include "plan/plan.h"

struct backup_result {
    uint64_t files;
    uint64_t bytes;
    char note[512]; /* what is not in it; "" for nothing */
};

/* Of a pipeline; `extra` are files of its folder that go with it as they are (pipeline file, schema),
 * by their paths from there. CONFIG "backup.exists" when there is something at `to`. */
enum status backup_pipeline(struct plan *plan, const char *const *extra, uint32_t extra_count,
                            const char *to, const struct copy_observer *observer,
                            struct backup_result *result, struct error *err) WEIR_MUST_USE;
/* Of one local log. */
enum status backup_log(const char *path, const char *to, const struct copy_observer *observer,
                       struct backup_result *result, struct error *err) WEIR_MUST_USE;

/* Into the folder `to`, which is made when it is not there. CONFIG "restore.exists" for whatever is in
 * the way there, "restore.no_backup"; DATA "backup.damaged" when a file is not what it was. */
enum status backup_restore(const char *from, const char *to, const struct copy_observer *observer,
                           struct backup_result *result, struct error *err) WEIR_MUST_USE;

#endif
