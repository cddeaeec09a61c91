/*
 * Spill: a file without a name, for what does not fit into memory. It is gone with the process,
 * however that ends.
 *
 * Life: open → append… → read_at… → close. A failed append leaves what was appended before.
 *
 * Threads: one at a time.
 */
#ifndef WEIR_OS_SPILL_H
#define WEIR_OS_SPILL_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"

struct spill;

/* In that folder. CONFIG "spill.folder" when no file can be made there. */
enum status spill_open(const char *folder, struct spill **out, struct error *err) WEIR_MUST_USE;
/* RETRY "file.disk_full" names the folder; FATAL "file.write_failed". */
enum status spill_append(struct spill *spill, struct bytes data, struct error *err) WEIR_MUST_USE;
/* Bytes appended so far. */
int64_t spill_size(const struct spill *spill);
/* Exactly `size` bytes; to ask for what was not appended is a mistake of the caller. FATAL
 * "file.read_failed". */
enum status spill_read_at(struct spill *spill, int64_t offset, void *out, size_t size,
                          struct error *err) WEIR_MUST_USE;
/* Takes NULL. */
void spill_close(struct spill *spill);

#endif
