/*
 * Two-phase commit: rows of two systems that become visible together (delivery.atomic).
 *
 * The PARTICIPANT prepares (system_ops.prepare); the transaction of the other system is the DECISION:
 * its R names what was prepared, in the rows' own transaction (epoch.decides). So there is no log of
 * decisions beside R, and what nobody has decided for is not to be.
 *
 *   participant's commit thread                       decision's commit thread
 *   prepare id ──────────────── PREPARED ───────────▶ commit rows and R, which names id
 *   commit_prepared id ◀─────── DECIDED ───────────── answered
 *        └───────────────────── NONE ───────────────▶ R may name another one, or none
 *
 * Killed anywhere: before PREPARED nothing is there; between PREPARED and the decision R names
 * something else, and the next start rolls back; behind it R names id, and the next start commits.
 * R names one transaction only: therefore no epoch of the decision, of whatever kind, is committed
 * before the last participant has ended the one before.
 *
 * A failure never rolls back what is prepared: whether the decision was taken is known for certain only
 * to who has fenced its owner and then read R. That is the next start, in two_phase_settle(), or an
 * operator. A process that was taken over finds its transaction ended by its successor, and itself
 * fenced at the next epoch.
 *
 * An epoch that both systems have with the same offsets in every partition is JOINT. Others are
 * committed by themselves: a system that is behind (another has been restored, or the two were apart
 * when the pipeline file began to ask for this) catches up so, and is then together with the other.
 *
 * Threads: commit and leave from the commit thread of the system that they name, stop from any.
 */
#ifndef WEIR_RUN_TWO_PHASE_H
#define WEIR_RUN_TWO_PHASE_H

#include "connector/sink.h"

struct two_phase;

/* "weir:PIPELINE:INCARNATION:DECISION:" in `out`: what the names of all prepared transactions begin
 * with that R of that decision system decides; NULL: whichever decides, and of whichever incarnation.
 * Sessions must be open. */
void two_phase_prefix(const char *pipeline, const uint8_t incarnation[16],
                      const struct system *decision, char out[PREPARED_ID_BYTES]);

/* `prefix` is copied; `owner` follows it in names. */
struct two_phase *two_phase_new(struct system *decision, struct system *participant,
                                const char *prefix, uint64_t owner);
/* Takes NULL. */
void two_phase_free(struct two_phase *pair);

/* In place of system->ops->commit, with the same promises. Joint epochs come in the same order from
 * both. Waits for the other one. What the other one left with is this one's error too. */
enum status two_phase_commit(struct two_phase *pair, struct system *system,
                             const struct epoch *epoch, bool is_joint,
                             struct progress *progresses, struct error *err) WEIR_MUST_USE;
/* No commit of that system will come any more: who waits for one must not. */
void two_phase_leave(struct two_phase *pair, const struct system *system,
                     const struct error *why);
/* The same for both, but a commit that is under way is waited for. */
void two_phase_stop(struct two_phase *pair);

struct two_phase_settled {
    uint32_t committed;
    uint32_t rolled_back;
    uint32_t left; /* none of these partitions is in it: others see to it */
};
/* Ends what earlier processes have left prepared for the partitions of `decisions`, which is R of the
 * decision system, read when nobody else could commit to it any more. R of the participant must be
 * loaded again afterwards. */
enum status two_phase_settle(struct system *participant, const char *prefix,
                             const struct progress *decisions, uint32_t count,
                             struct two_phase_settled *out, struct error *err) WEIR_MUST_USE;

#endif
