/*
 * What backup.c (making) and backup_restore.c (verifying, putting back) share: the manifest. Not
 * for other files.
 */
#ifndef WEIR_INSPECT_BACKUP_PRIVATE_H
#define WEIR_INSPECT_BACKUP_PRIVATE_H

#include "base/hash.h"
#include "base/memory.h"
#include "inspect/backup.h"

#define BACKUP_FORMAT 1
#define BACKUP_MANIFEST "manifest.json"
#define BACKUP_FILES "files"

/* One thing that was copied: a file, or a folder with all in it. */
struct backup_unit {
    const char *path; /* below files/ */
    const char *from; /* absolute */
    bool is_database; /* a SQLite file */
};

struct backup_file {
    const char *path; /* below files/ */
    int64_t bytes;
    struct hash128 digest;
};

struct backup_manifest {
    struct backup_unit *units;
    uint32_t unit_count;
    struct backup_file *files;
    uint32_t file_count;
};

/* Reads a whole file. */
enum status backup_digest(const char *path, const struct copy_observer *observer,
                          struct hash128 *out, int64_t *out_bytes,
                          struct error *err) WEIR_MUST_USE;
void backup_manifest_write(const struct backup_manifest *manifest, const char *pipeline,
                           struct buffer *out);
/* Everything in `arena`. CONFIG "restore.no_backup", DATA "backup.damaged". */
enum status backup_manifest_read(struct arena *arena, const char *folder,
                                 struct backup_manifest *out, struct error *err) WEIR_MUST_USE;

#endif
