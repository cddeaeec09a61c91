/*
 * An audit in the course of it: what audit.c (the whole way, what is there, comparing),
 * audit_ledger.c (ledgers against their own laws) and audit_expect.c (what should be there) share.
 * Not for other files.
 */
#ifndef WEIR_INSPECT_AUDIT_PRIVATE_H
#define WEIR_INSPECT_AUDIT_PRIVATE_H

#include "inspect/audit.h"
#include "inspect/audit_rejects.h"
#include "inspect/audit_rows.h"
#include "inspect/audit_segments.h"
#include "inspect/audit_sums.h"
#include "run/pipeline.h"
#include "inspect/rejudge.h"
#include "run/replayer.h"

/* One place of the running plan. */
struct place {
    struct sink *sink;
    uint32_t system;
    struct outbox *outbox; /* append_* needs somewhere to write; emptied all the time */
    struct hash128 expected_sum;
    struct hash128 expected_origins; /* sum over rows with where they come from */
    uint64_t expected_count;
    struct hash128 actual_sum;
    struct hash128 actual_origins; /* the same of rows that say it */
    uint64_t actual_count;
    uint64_t origin_count;   /* rows that say it */
    uint64_t unjudged;       /* rows of partitions whose input is not there any more */
    struct hash128 unjudged_sum;
    uint64_t recorded;       /* rows of such partitions that the ledger says were written */
    bool is_as_recorded;     /* all that is there is what it says, and what was expected besides */
    uint64_t outdone;        /* keyed: expected rows that such rows may have replaced */
    struct audit_fold *fold; /* keyed places */
    bool differs;
    struct audit_rows expected; /* of the pass */
    struct audit_rows actual;
    uint64_t named[AUDIT_KINDS];
};

/* A sink of an older plan whose place the running plan does not have. */
struct gone {
    const struct sink *sink;
    uint64_t rows;
};

struct audit {
    struct pipeline pipeline;
    uint32_t *ranks;   /* [partition]: among all, by topic and number */
    bool *is_unjudged; /* [partition]: its input has expired */
    bool any_unjudged;
    struct gone *gone;
    uint32_t gone_count;
    struct replayer *replayer;
    struct place *places; /* the plan's sinks, then the dlq */
    uint32_t place_count;
    struct audit_rejects rejects;
    struct refused_list *forwarded; /* see audit_forwarded() */
    struct refused_list *due;       /* the same of the sinks' systems: rows they should count as due */
    struct audit_sums *sums;
    struct hash_secret secret;
    struct audit_result *result;
    void (*finding)(void *context, const char *line);
    void *context;
    /* the pass over rows: only hashes with high % passes == pass, only places that differ */
    bool collects;
    uint64_t passes, pass;
    struct place *scanned; /* while a place is read */
};

/* Dead letters that a system should have taken of other systems' refused rows. */
static inline struct refused_list *audit_forwarded(const struct audit *audit, uint32_t system,
                                                   uint32_t partition)
{
    return &audit->forwarded[(size_t)system * audit->pipeline.partition_count + partition];
}

/* --- audit.c --- */

/* A finding, as a sentence. */
void audit_find(struct audit *audit, const char *format, ...) WEIR_PRINTF(2, 3);
/* Of a row with where it came from, for the sums. */
struct hash128 audit_hash_with_origin(const struct audit *audit, const struct audit_row *row);
/* Whether the pass that is under way looks at rows of that hash. */
bool audit_is_of_pass(const struct audit *audit, struct hash128 hash);

/* --- audit_ledger.c --- */

/* A ledger that differs: found, counted; `difference` is emptied. */
void audit_differ(struct audit *audit, const char *system, uint32_t p, const char *what,
                  struct buffer *difference);
/* Every R against its laws and its segments, and systems against each other. */
enum status audit_check_ledgers(struct audit *audit, struct error *err) WEIR_MUST_USE;
/* A segment as stored against the same recomputed from the input. */
void audit_check_segment(struct audit *audit, uint32_t s, uint32_t p,
                         const struct audit_segment *stored, const struct ledger *counted);
/* What R carries on, where a system has come to `state`: a wrong watermark would judge what
 * comes. */
void audit_check_remembered(struct audit *audit, uint32_t p, const struct stage_state *state);
/* What R counts as forwarded dead letters of a partition, against what was recomputed; and what is due
 * still. */
void audit_check_forwarded(struct audit *audit, uint32_t p);
/* What R counts as refused, against the rows that are kept of it. */
void audit_check_reject_counts(struct audit *audit);

/* --- audit_expect.c --- */

/* What the rows of a batch that `plan` judged should have left in all places. */
void audit_expect_batch(struct audit *audit, const struct plan *plan, const struct batch *batch);
/* Rows that older plans sent to places which nobody looks into now. */
void audit_tell_gone(struct audit *audit);

#endif
