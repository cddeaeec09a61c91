/*
 * Lines of a file or of standard input, read in blocks: for produce, tail and dlq.
 *
 * A line ends at "\n", which is not part of it; what stands behind the last one is a line too,
 * unless it is nothing. Lines of any length up to LINES_LINE_MAX_BYTES; NUL bytes and all others
 * are as they are.
 *
 * Life: open → (fill → next … next)… → close. fill() reads once, next() only hands out what is
 * there, so that whoever commits what he took can do it before a fill() that may wait. One
 * thread at a time.
 */
#ifndef WEIR_CLI_LINES_H
#define WEIR_CLI_LINES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"

#define LINES_LINE_MAX_BYTES ((size_t)256 << 20)

struct lines;

/* "-" is standard input. CONFIG "file.unreadable" when it is no regular file, or cannot be read. */
enum status lines_open(const char *path, struct lines **out, struct error *err) WEIR_MUST_USE;
/* Takes NULL. */
void lines_close(struct lines *lines);

/* Reads more, once; all lines taken before dangle. RETRY "stop.requested" when a stop is asked for
 * while there is nothing to read. CONFIG "line.too_long", with the line's number. */
enum status lines_fill(struct lines *lines, struct error *err) WEIR_MUST_USE;
/* Whether fill() would not wait; waits for that, at most so long. */
bool lines_ready(struct lines *lines, int64_t timeout_us);
/* The next whole line that is there; false when there is none before the next fill(). */
bool lines_next(struct lines *lines, struct bytes *out);
/* From now on the end of the file is not the end: it may grow, and its last line is one only with
 * its line break. */
void lines_follow(struct lines *lines);
/* The last fill() brought nothing. */
bool lines_is_dry(const struct lines *lines);
/* Nothing is left to read. Lines may still be there to be taken. */
bool lines_at_end(const struct lines *lines);
/* Where the line that comes next begins, in bytes. */
int64_t lines_offset(const struct lines *lines);
/* The size of the file; -1 for standard input. */
int64_t lines_total_bytes(const struct lines *lines);

#endif
