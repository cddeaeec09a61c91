/* Which pipelines that run now use a topic of a local log. */
#ifndef WEIR_CONNECTOR_SQLITE_TOPIC_USERS_H
#define WEIR_CONNECTOR_SQLITE_TOPIC_USERS_H

#include "connector/topics.h"
#include "locallog/locallog.h"

/* Calls `user` for each pipeline that has this file, is running, and names the topic as source, sink
 * or dlq in a plan that the file holds. A pipeline that only reads from the file, and keeps its
 * progress elsewhere, is known by its group when it has noted one, but not whether it runs: it is
 * not told. */
enum status topic_users_each(struct locallog *log, const char *topic, topic_user_visitor *user,
                             void *context, struct error *err) WEIR_MUST_USE;

#endif
