/*
 * Truth: what becomes of each record in the pipeline of examples/iot.yaml, by the rules of the
 * stages and nothing else.
 *
 * A plain interpreter, one row after the other, one partition apart from the other. It knows that
 * one pipeline by heart: a change of examples/iot.yaml or examples/sensor.schema.json is a change
 * here too. It shares no code with the stages, the decoder, the schema or the stores whose answers
 * it judges; only so do two equal answers mean something.
 *
 * Give it every record of the topic, in the order of each partition. The timestamp is the one that
 * the log sets when it appends the record; for a workload any moment between its last event time
 * and the start of its FUTURE gives the same answers.
 *
 * Where the rules leave a choice:
 *  - null_values are compared as JSON values before coerce, whatever the field's type: "-999" as
 *    text is no sentinel.
 *  - A message that is not an object is schema.type, without a field; it has no event time and
 *    moves nothing.
 *  - A row without a site is FILTERED: NULL <> 'test' is not true.
 *  - The key of last_by is the text of sensor_id, also where it breaks its pattern; without a text
 *    a row neither feeds nor is filled.
 *  - Repairs are counted in every decoded row, whatever its verdict: null_value per cell that
 *    matched (an explicit null did not), coerce per text that became a number, fill per absent cell
 *    that got a value. A row without vetted event time still gets the fixed fill. Warnings are
 *    counted in VALID rows.
 *
 * Memory follows what the windows can still reach. One thread at a time.
 */
#ifndef WEIR_GEN_TRUTH_H
#define WEIR_GEN_TRUTH_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/memory.h"

struct truth_options {
    uint32_t partition_count;
    /* Per partition the offset of its first record; NULL: 0. Copied. Earlier records of the topic
     * are taken as none. */
    const uint64_t *first_offsets;
};

enum truth_verdict {
    TRUTH_VALID,
    TRUTH_INVALID,
    TRUTH_DUPLICATE,
    TRUTH_LATE,
    TRUTH_FILTERED,
};
#define TRUTH_VERDICT_COUNT 5

struct truth_result {
    uint32_t partition;
    uint64_t offset;
    enum truth_verdict verdict;
    const char *reason; /* "" for VALID */
    /* None where the record has no such text; valid until the next record. */
    struct bytes message_id;
    uint64_t witness_offset; /* of a DUPLICATE: the offset of the latest sighting */
};

struct truth;

struct truth *truth_new(const struct truth_options *options);
/* Takes NULL. */
void truth_free(struct truth *truth);

/* The next record of that partition. `value` none: a tombstone. */
void truth_judge(struct truth *truth, uint32_t partition, int64_t timestamp_us, struct bytes value,
                 struct truth_result *out);

/* Appends {"id":"<partition>-<offset>","message_id":…,"verdict":"…","reason":"…"} and a line break;
 * message_id is null where there is none. */
void truth_write_line(const struct truth_result *result, struct buffer *out);
/* Appends one line of JSON:
 * {"in":…,"verdicts":{…},"reasons":{…},"repaired":{"null_value":…,"coerce":…,"fill_value":…,
 * "fill_last_by":…},"warned":{"check.battery_low":…},"partitions":[…]}, where each partition has
 * its number as "partition" and the same members. Reasons that never occurred are left out,
 * verdicts are not. */
void truth_write_summary(const struct truth *truth, struct buffer *out);

/* "VALID", … */
const char *truth_verdict_name(enum truth_verdict verdict);

#endif
