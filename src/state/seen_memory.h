/*
 * The memory of a table of SEEN: chunks, segments, the directory, spilled entries. What is asked for
 * here comes out of the budget first. Not for other folders.
 */
#ifndef WEIR_STATE_SEEN_MEMORY_H
#define WEIR_STATE_SEEN_MEMORY_H

#include "state/seen_table.h"

/* Each makes room for so many more. FATAL "state.memory". */
enum status seen_room_for_chunks(struct seen_table *table, uint64_t count,
                                 struct error *err) WEIR_MUST_USE;
enum status seen_room_for_segments(struct seen_table *table, uint64_t count,
                                   struct error *err) WEIR_MUST_USE;
enum status seen_room_for_spilled(struct seen_table *table, uint64_t count,
                                  struct error *err) WEIR_MUST_USE;
/* A directory by so many bits, twice as large for each bit more; none before: of segment 0. */
enum status seen_directory_deepen(struct seen_table *table, uint32_t depth,
                                  struct error *err) WEIR_MUST_USE;

/* There is room. Chunks are empty. */
uint32_t seen_take_chunk(struct seen_table *table);
/* Without chunks. */
struct seen_segment *seen_take_segment(struct seen_table *table);
size_t seen_take_spilled(struct seen_table *table);
void seen_give_spilled(struct seen_table *table, size_t place);

/* All of it. */
void seen_memory_fini(struct seen_table *table);

#endif
