/*
 * Files: whole-file reads, durable writes, folders, and a line reader's raw access. Every error
 * names the path, what was tried and what the system said; ENOSPC, EDQUOT and EIO on write are
 * FATAL except ENOSPC/EDQUOT, which are RETRY ("disk full: free space"). A
 * failed fsync is FATAL and never retried: the kernel may have dropped the pages.
 */
#ifndef WEIR_OS_FILE_H
#define WEIR_OS_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "base/status.h"

/* Reads a whole file into `out` (appended). More than `limit_bytes` is CONFIG "file.too_large"; a
 * missing or unreadable file is CONFIG "file.unreadable" with the reason. */
enum status file_read(const char *path, size_t limit_bytes, struct buffer *out,
                      struct error *err) WEIR_MUST_USE;

/* Writes `path` so that after a crash it holds the old or the new content, whole: a temporary file
 * beside it, fsync, rename, fsync of the folder. The mode is `mode` & ~umask; 0 stands for 0600. A
 * crash can leave the temporary file, `path`.tmp-<16 hexadecimal digits>. */
enum status file_write_durably(const char *path, struct bytes content, uint32_t mode,
                               struct error *err) WEIR_MUST_USE;

/* A file being written in pieces, made visible by one rename: open → append… → publish | abandon.
 * Its mode is 0600 & ~umask; what the temporary file held before is gone. After RETRY the same
 * append is made again: nothing of its data was taken. */
struct file_writer;
enum status file_writer_open(const char *temporary_path, struct file_writer **out,
                             struct error *err) WEIR_MUST_USE;
enum status file_writer_append(struct file_writer *writer, struct bytes data,
                               struct error *err) WEIR_MUST_USE;
/* Flush, fsync, close, rename to `path`, fsync the folder of `path`. Frees the writer, also on
 * failure, when the temporary file is gone too: to repeat it is to write the file again. */
enum status file_writer_publish(struct file_writer *writer, const char *path,
                                struct error *err) WEIR_MUST_USE;
/* Closes and removes the temporary file. Takes NULL. */
void file_writer_abandon(struct file_writer *writer);

/* Makes the folder and its parents; fine when it is there. */
enum status folder_make(const char *path, struct error *err) WEIR_MUST_USE;
/* fsync of a folder, so that names made in it last. */
enum status folder_sync(const char *path, struct error *err) WEIR_MUST_USE;
/* Names in a folder, sorted by byte order, without "." and ".."; an absent folder has none. The
 * array and names live in `arena`. */
enum status folder_list(struct arena *arena, const char *path, const char ***out_names,
                        size_t *out_count, struct error *err) WEIR_MUST_USE;

/* Renames a file whose content is on disk, so that the new name lasts: rename, fsync of the folder
 * of `to`. What had that name before is gone. */
enum status file_rename_durably(const char *from, const char *to, struct error *err) WEIR_MUST_USE;

bool file_exists(const char *path);
bool folder_exists(const char *path);
/* -1 when absent or not a regular file. */
int64_t file_size(const char *path);
/* Fine when there is no such file. */
enum status file_remove(const char *path, struct error *err) WEIR_MUST_USE;

/* Random-access reading. `file_read_at` returns the number of bytes read (short only at the end of
 * the file). */
struct file_reader;
enum status file_reader_open(const char *path, struct file_reader **out,
                             struct error *err) WEIR_MUST_USE;
enum status file_reader_read_at(struct file_reader *reader, int64_t offset, void *out, size_t size,
                                size_t *out_size, struct error *err) WEIR_MUST_USE;
int64_t file_reader_size(struct file_reader *reader);
/* Whether another file is under its name now; not where none is. */
bool file_reader_is_replaced(const struct file_reader *reader);
void file_reader_close(struct file_reader *reader);

/* Standard input: like read(2), 0 at the end. When a stop is asked for while nothing is there to
 * read, it is RETRY "stop.requested". */
enum status file_read_stdin(void *out, size_t size, size_t *out_size,
                            struct error *err) WEIR_MUST_USE;

/* True when standard input can be read without waiting (also at its end); false when the time ran
 * out or a stop was asked for. A negative `timeout_us` waits for ever. */
bool file_wait_stdin(int64_t timeout_us);

#endif
