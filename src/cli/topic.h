/*
 * The actions of `weir topic` that print: what topics there are and what is in them. The others are
 * in topic.c.
 */
#ifndef WEIR_CLI_TOPIC_H
#define WEIR_CLI_TOPIC_H

#include "cli/cli.h"
#include "cli/place.h"
#include "locallog/locallog.h"

/* CONFIG "topic.missing", naming how to list those that are there. */
enum status topic_find(struct locallog *log, const struct place *place, struct locallog_topic *out,
                       struct error *err) WEIR_MUST_USE;
/* "7d, 10GiB", or "for ever". */
void topic_describe_retention(const struct locallog_retention *retention, struct buffer *out);

/* --- topic_describe.c --- */

enum status topic_list(const struct cli_arguments *arguments, const struct place *place,
                       struct error *err) WEIR_MUST_USE;
enum status topic_describe(const struct cli_arguments *arguments, const struct place *place,
                           struct error *err) WEIR_MUST_USE;

#endif
