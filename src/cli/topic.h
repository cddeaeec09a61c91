/*
 * The actions of `weir topic`. Those that make, list, describe, change and check topics go through
 * connector/topics.h and know no system; those that only a local log has are in topic.c.
 */
#ifndef WEIR_CLI_TOPIC_H
#define WEIR_CLI_TOPIC_H

#include "cli/cli.h"
#include "cli/place.h"
#include "connector/topics.h"
#include "locallog/locallog.h"

/* Opens the topics of a place; CONFIG "use.place" where they are not weir's to make or list. */
enum status topic_open(const struct place *place, enum topics_mode mode, struct topics **out,
                       struct error *err) WEIR_MUST_USE;
/* CONFIG "topic.missing", naming how to list those that are there. */
enum status topic_missing(const struct place *place, struct error *err);
/* "7d, 10GiB", "all", or "the last of each key". */
void topic_describe_keeping(const struct topic_state *state, struct buffer *out);
/* "topic raw with 3 partitions, 3 replicas, created, keeps 7d" on stderr. */
void topic_print(const struct topic_state *state, const char *what);

/* --- topic_describe.c --- */

enum status topic_list(const struct cli_arguments *arguments, const struct place *place,
                       struct error *err) WEIR_MUST_USE;
enum status topic_describe(const struct cli_arguments *arguments, const struct place *place,
                           struct error *err) WEIR_MUST_USE;

/* --- topic_pipeline.c: all topics of a pipeline file --- */

enum status topic_create_all(const struct cli_arguments *arguments, const char *pipeline,
                             struct error *err) WEIR_MUST_USE;
enum status topic_check(const struct cli_arguments *arguments, const char *pipeline,
                        struct error *err) WEIR_MUST_USE;

#endif
