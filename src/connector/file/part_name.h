/*
 * Names of parts in a folder: `<label>-<first>-<next>.ndjson`, or `.csv`. The label stands for the source
 * partition and is unique in the folder: the number for a partition of a topic; for a file a
 * readable piece of its name and 8 hexadecimal digits of the hash of its path; "stdin". The part
 * holds what became of the source's offsets [first, next), each with 19 digits, so that names sort
 * like offsets.
 */
#ifndef WEIR_CONNECTOR_FILE_PART_NAME_H
#define WEIR_CONNECTOR_FILE_PART_NAME_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/memory.h"

#define PART_SUFFIX ".ndjson"
#define PART_SUFFIX_CSV ".csv"

struct part_name {
    struct bytes label; /* a slice of the name */
    int64_t first_offset;
    int64_t next_offset;
};

/* The label of a source partition, in `arena`. */
const char *part_label(struct arena *arena, const char *topic, const char *topic_id,
                       const char *partition);
const char *part_name_format(struct arena *arena, const char *label, int64_t first_offset,
                             int64_t next_offset, const char *suffix);
/* False when it is the name of something else. */
bool part_name_parse(const char *name, struct part_name *out);
/* Exactly `digits` decimal digits as a number; false for anything else and for what is too large.
 * */
bool part_digits_parse(const char *text, size_t digits, uint64_t *out);

#endif
