/*
 * Member: this process in a consumer group. It gets partitions assigned and reads none: all are
 * paused, and readers without a group do the reading (reader.h). What the member gives is the right
 * to commit: the generation of the group fences processes that have left it.
 *
 *   poll ──▶ an event (partitions gained, revoked, lost) ──▶ the worker does what it asks for
 *        ◀── answer
 *
 * A membership can also end by an error: what the operator must mend (rights, settings that the group
 * does not take) is the status of the answer; brokers that are all away, while no partition is held,
 * are RETRY; and who was fenced is a new member once it is answered, unless that happens again and
 * again. For the worker all of these are partitions that are lost. Other errors the client waits out.
 *
 * An event stays until it is answered, and the group waits for the answer, at most
 * max.poll.interval.ms. The member must be polled all the while, also during long replays.
 *
 * Threads: the worker's; kafka_member_is_lost() and kafka_member_metadata() from the committer's
 * too.
 */
#ifndef WEIR_CONNECTOR_KAFKA_MEMBER_H
#define WEIR_CONNECTOR_KAFKA_MEMBER_H

#include "connector/kafka/client.h"
#include "connector/source.h"

struct kafka_member;

/* Asks to be a member. `config` is the source's; `wake` is called on another thread when there is
 * something to poll for. */
enum status kafka_member_open(const struct doc *config, const char *folder, const char *group,
                              const char *topic, uint32_t partition_count,
                              void (*wake)(rd_kafka_t *rk, void *context), void *context,
                              struct kafka_member **out, struct error *err) WEIR_MUST_USE;
/* Leaves the group. Takes NULL. */
void kafka_member_close(struct kafka_member *member);

void kafka_member_poll(struct kafka_member *member);
/* The event that waits for its answer; ASSIGNMENT_SAME when there is none. Where the membership has
 * ended, all partitions are lost, also those that others had. */
void kafka_member_event(struct kafka_member *member, struct source_assignment *out);
enum status kafka_member_answer(struct kafka_member *member, struct error *err) WEIR_MUST_USE;

/* The group went on without this process: nothing may be committed any more. */
bool kafka_member_is_lost(const struct kafka_member *member);
/* The member as it is now; the caller destroys it. */
rd_kafka_consumer_group_metadata_t *kafka_member_metadata(const struct kafka_member *member);

#endif
