/*
 * The connector for SQLite files: the local log as a source, its topics and plain tables as
 * sinks. All sinks of one file are one system (system.c) and commit in one transaction.
 */
#ifndef WEIR_CONNECTOR_SQLITE_SQLITE_H
#define WEIR_CONNECTOR_SQLITE_SQLITE_H

#include "connector/injector.h"
#include "connector/registry.h"
#include "connector/rows.h"
#include "connector/topics.h"

extern const struct source_ops local_source_ops;
extern const struct sink_kind local_sink_kind;
extern const struct sink_kind sqlite_sink_kind;
extern const struct injector_ops local_injector_ops;
extern const struct topics_ops local_topics_ops;
extern const struct rows_ops sqlite_rows_ops;

#endif
