/*
 * Refused rows whose dead letters are another system's to write: how far that has come, per sink.
 *
 * R of a sink's system counts the rows that the sink refused ("due"), R of the dead letters' system
 * those whose dead letters it has taken ("forwarded"). Refused rows of a source partition come in the
 * order of its offsets, so an offset says how far: all below `next_offset` are counted. Dead letters
 * are missing in the second system as long as its offset is below the first one's.
 *
 * Threads: as the progress record that the list is in.
 */
#ifndef WEIR_PROGRESS_REFUSED_H
#define WEIR_PROGRESS_REFUSED_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/memory.h"

struct refused {
    char *sink;          /* of the pipeline file */
    uint64_t count;
    int64_t next_offset; /* behind the last row that is counted; 0 when there is none */
    struct hash128 sum;  /* of the dead letters as they are stored; zero in what is due */
};

/* By name. Zero-initialise. */
struct refused_list {
    struct refused *items;
    uint32_t count;
};

void refused_fini(struct refused_list *list);
/* `to` is zero-initialised or in use; its content is replaced. */
void refused_copy(struct refused_list *to, const struct refused_list *from);
/* NULL when there is none of that sink. */
const struct refused *refused_find(const struct refused_list *list, const char *sink);
/* The row at `offset`; within an epoch they come in any order. */
void refused_add(struct refused_list *list, const char *sink, int64_t offset,
                 struct hash128 letter);
/* Those that come behind what is counted. */
void refused_join(struct refused_list *to, const struct refused_list *delta);

/* Counts alone, of another partition. */
void refused_count(struct refused_list *to, const struct refused_list *list);

void refused_write(const struct refused_list *list, struct buffer *out);
/* Into an empty list; a broken form sets in->failed, and the list holds what had been read. */
void refused_read(struct refused_list *list, struct reader *in);

#endif
