/*
 * Lines: how the bytes of a file become records.
 *
 * A line ends with "\n"; one "\r" before it belongs to the end, not to the value. An empty line is
 * a record with an empty value. The offset of a record is the byte position at which its line
 * begins, its next_offset the position behind the newline. Bytes behind the last newline are a
 * record too where the input has ended. Its offsets are those that it would have with a newline, so
 * that nothing changes when one is added later.
 *
 * Rows of CSV are lines in all of this, but that a newline in a quoted cell is not an end
 * (codec/csv.h).
 *
 * A cut is one appending of lines to a batch: it ends at a full batch, at about 4 MiB, and before
 * the first line that begins at or behind the limit. Values are slices of the blocks that are
 * handed in, which must live as long as the batch.
 */
#ifndef WEIR_CONNECTOR_FILE_LINES_H
#define WEIR_CONNECTOR_FILE_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "batch/batch.h"
#include "codec/csv.h"

/* What the topic ids of these sources look like; names of parts depend on it. */
#define LINES_FILE_ID_PREFIX "line1-"
#define LINES_STDIN_ID "stdin"

/* What is read at once. */
#define LINES_BLOCK_BYTES ((size_t)1 << 20)
/* A cut ends behind the line that reaches this. */
#define LINES_CUT_BYTES ((size_t)4 << 20)
/* A longer line is refused: something that is no file of lines. */
#define LINES_LINE_BYTES_MAX ((size_t)1 << 30)

struct line_cut {
    const struct csv_options *csv; /* NULL: lines; else rows */
    struct csv_scan scan;          /* of the row that has no end yet, behind what was searched */
    int64_t offset; /* where the next line begins */
    int64_t limit_offset;
    size_t taken_bytes;
};

/* True when no further line belongs to the cut. */
bool line_cut_is_full(const struct line_cut *cut, const struct batch *batch);
/* Appends the lines of `block`, which begins at cut->offset, until the cut is full or no whole line
 * is left. The first `searched` bytes are known to hold no end of a line; cut->scan stands behind
 * them. Returns the bytes taken. */
size_t line_cut_append(struct line_cut *cut, struct bytes block, size_t searched,
                       struct batch *batch);
/* Appends what stands behind the last newline of an input that has ended; not empty. The cut must
 * not be full. */
void line_cut_append_rest(struct line_cut *cut, struct bytes rest, struct batch *batch);
/* Goes on from *at. True when the end of a line was found: *at is behind it. Else *at is the end of
 * the text. */
bool lines_find_end(const struct csv_options *csv, struct csv_scan *scan, struct bytes text,
                    size_t *at);
/* The value of a line without its newline. */
struct bytes line_value(struct bytes line);

#endif
