/*
 * The coordinator of the simulated source's group: gives its partitions to members and takes them
 * back at moments that the seed decides, one by one or all of them at once, and takes members that
 * are silent for dead. Members are told of it only when they poll, so what they believe may be old.
 * Test code only.
 */
#ifndef WEIR_TEST_SIMULATION_GROUP_H
#define WEIR_TEST_SIMULATION_GROUP_H

#include <stdbool.h>
#include <stdint.h>

#include "connector/source.h"

void group_begin(uint32_t partition_count);
/* All who are members now are dead; later ones are disturbed no more. */
void group_calm(void);

/* `key` is the member's source. */
void group_join(const struct source *key);
void group_leave(const struct source *key);
void group_poll(const struct source *key, struct source_assignment *out);
void group_answer(const struct source *key);
/* Some member may be taken for dead here. */
void group_disturb(void);
/* Whether the partition is the member's in the group's eyes: others get it only afterwards. */
bool group_owns(const struct source *key, uint32_t partition);
/* Whether it is in the member's own eyes: gained, and neither given back nor lost, as answered. */
bool group_believes(const struct source *key, uint32_t partition);

#endif
