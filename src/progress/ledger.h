/*
 * Ledger: the counts and sums that prove that nothing was lost and nothing doubled. One ledger is
 * cumulative in R; one per SEGMENT (a range of 2^20 offsets, cut also where the plan changes)
 * stands beside it, so that an audit can bisect.
 *
 * Laws that audit and tests hold:
 *   in = valid + invalid + duplicate + late + filtered
 *   per sink: routed = written + rejected
 *   at equal offsets `in`, verdicts and repairs are equal in all systems
 *
 * Sums are multiset hashes (base/hash.h). An input's member is the keyed hash of (offset, key,
 * value); an output's is the keyed hash of the bytes as the sink stores them (each sink says how in
 * its header).
 *
 * Lists are sorted by name and have each name once, so that equal ledgers have equal forms.
 *
 * Threads: a ledger belongs to one thread.
 */
#ifndef WEIR_PROGRESS_LEDGER_H
#define WEIR_PROGRESS_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/memory.h"
#include "batch/batch.h"

/* A named counter: a reason with its records, or a warn check with its warnings. */
struct ledger_count {
    char *name;
    uint64_t count;
};

/* First and last output offset in one output partition, where outputs have offsets. */
struct ledger_range {
    uint32_t partition;
    int64_t first_offset;
    int64_t last_offset;
};

struct ledger_sink {
    char *name; /* of the pipeline file; the dead-letter place is "dlq" */
    uint64_t routed;
    uint64_t written;
    uint64_t rejected;
    struct hash128 sum; /* of written rows */
    struct ledger_range *ranges; /* by partition */
    uint32_t range_count;
};

struct ledger {
    uint64_t in;
    uint64_t in_bytes; /* of keys and values */
    struct hash128 in_sum;
    uint64_t verdicts[VERDICT_COUNT];
    uint64_t repairs[REPAIR_COUNT];
    uint64_t replayed; /* of `in`: re-injected dead letters */
    uint64_t lost;     /* offsets given up by the operator */
    struct ledger_count *reasons; /* by name */
    uint32_t reason_count;
    struct ledger_count *warnings; /* by name */
    uint32_t warning_count;
    struct ledger_sink *sinks; /* by name */
    uint32_t sink_count;
};

/* Zero-initialise a ledger before use, also the `to` of ledger_copy(), whose content is
 * replaced. */
void ledger_fini(struct ledger *ledger);
void ledger_clear(struct ledger *ledger);
void ledger_copy(struct ledger *to, const struct ledger *from);
/* to += delta; lists are joined by name, ranges to the least that holds both. */
void ledger_add(struct ledger *to, const struct ledger *delta);
void ledger_add_reason(struct ledger *ledger, const char *name, uint64_t count);
void ledger_add_warning(struct ledger *ledger, const char *name, uint64_t count);
/* Found or made; valid until the next one is made. */
struct ledger_sink *ledger_sink(struct ledger *ledger, const char *name);
/* NULL when there is none. */
const struct ledger_sink *ledger_find_sink(const struct ledger *ledger, const char *name);
void ledger_sink_extend_range(struct ledger_sink *sink, uint32_t partition, int64_t first_offset,
                              int64_t last_offset);
/* Same counts, sums, reasons, warnings; sinks' rows and sums compared when `with_sinks`; ranges
 * never. A name that only one of them has counts 0 in the other. `difference` (may be NULL) gets
 * the first difference as half a sentence, without a full stop. */
bool ledger_equal(const struct ledger *a, const struct ledger *b, bool with_sinks,
                  struct buffer *difference);
/* in = sum of verdicts, routed = written + rejected; `difference` as above. */
bool ledger_is_balanced(const struct ledger *ledger, struct buffer *difference);

void ledger_write(const struct ledger *ledger, struct buffer *out);
/* Into an empty ledger; a broken form sets reader->failed, and the ledger holds what had been read
 * (ledger_fini() frees it). */
void ledger_read(struct ledger *ledger, struct reader *in);
/* As one JSON object, for --json and for other languages: docs/formats.md describes it. */
void ledger_write_json(const struct ledger *ledger, struct buffer *out);

#endif
