/*
 * Lines of a spool that its topic does not take: they are kept in a topic of the spool's file, NAME.refused,
 * as they came, with the headers weir.reason, weir.detail, weir.topic and weir.offset (the place in the input,
 * from 0). So one line does not hold up all that come behind it.
 *
 * Threads: one at a time.
 */
#ifndef WEIR_CLI_SET_ASIDE_H
#define WEIR_CLI_SET_ASIDE_H

#include "locallog/locallog.h"

#define SET_ASIDE_NAME_BYTES 250

/* Of the topic that takes those of a topic in the spool. */
void set_aside_name(const char *spooled, char (*out)[SET_ASIDE_NAME_BYTES]);
/* In a transaction. `topic` is that of the brokers; `why` says its code and message. */
enum status set_aside_line(struct locallog *log, const char *spooled, const char *topic,
                           const struct record *record, int64_t offset, const struct error *why,
                           struct error *err) WEIR_MUST_USE;
/* Whether there are some. */
enum status set_aside_is_any(struct locallog *log, const char *spooled, bool *out,
                             struct error *err) WEIR_MUST_USE;

#endif
