/*
 * The ledger segments of one source partition in a folder that do not lie in a file of their own
 * yet: some closed ones as stored forms, and the open one. They travel in the progress record's
 * sidecar; when there are many closed ones, they are moved into a file (folder.h says when that is
 * safe).
 */
#ifndef WEIR_CONNECTOR_FILE_SEGMENTS_H
#define WEIR_CONNECTOR_FILE_SEGMENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "base/status.h"
#include "progress/progress.h"

/* So many closed segments get a file. */
#define SEGMENTS_CLOSED_MAX 16u

struct segments {
    struct buffer closed; /* sized forms (segment_write), ascending */
    uint32_t closed_count;
    int64_t closed_first_offset; /* of the first closed one */
    bool is_open;
    int64_t open_first_offset;
    int64_t open_next_offset;
    struct hash128 open_plan_hash;
    struct ledger open;
};

/* Zero-initialise before use. */
void segments_fini(struct segments *segments);
/* Replaces what `to` held. */
void segments_copy(struct segments *to, const struct segments *from);
/* What a step adds. */
void segments_apply(struct segments *segments, const struct progress_step *step);
/* The first offset of the first of them: files hold what lies before. 0 without any, since then
 * there never was one (the last one stays). */
int64_t segments_first_offset(const struct segments *segments);
/* u32 count | the closed forms, each sized. */
void segments_write_closed(const struct segments *segments, struct buffer *out);
/* Forgets the closed ones. */
void segments_drop_closed(struct segments *segments);

/* All of them: as segments_write_closed(), then the open form, sized; of size 0 without one. */
void segments_write(const struct segments *segments, struct buffer *out);
/* Into empty segments. A broken frame sets reader->failed; errors of segment_read() come as they
 * are. */
enum status segments_read(struct segments *segments, struct reader *in,
                          struct error *err) WEIR_MUST_USE;

typedef enum status (*segment_visitor)(void *context, struct bytes form, struct error *err);
/* Calls `visit` for the forms that segments_write_closed() wrote. */
enum status segments_visit_closed(struct reader *in, segment_visitor visit, void *context,
                                  struct error *err) WEIR_MUST_USE;
enum status segments_visit(const struct segments *segments, segment_visitor visit, void *context,
                           struct error *err) WEIR_MUST_USE;

#endif
