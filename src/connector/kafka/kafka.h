/*
 * The connector for Apache Kafka, and for what speaks its protocol (Azure Event Hubs): topics as
 * sources, sinks and dead-letter places. One cluster is one system, and everything that an epoch
 * writes to it, R included, is one transaction.
 *
 *   client.c    connections: settings, logins, errors
 *   topics.c    questions about topics, making them
 *   admin.c     topics as verbs see them
 *   reader.c    committed records of a partition, from any offset on
 *   source.c    a topic as a source
 *   outbox.c    rows of an epoch on their way out
 *   sink.c      a topic as a sink
 *   store.c     what the topic weir.progress.NAME holds
 *   system.c    sessions, first start, taking over
 *   examine.c   what explain asks of it
 *   commit.c    one epoch in one transaction
 *   writer.c    records into a topic with a memory, for verbs
 *   injector.c  dead letters into a source again
 *
 * It is a module (connector/registry.h): this symbol is all that the program sees of it.
 */
#ifndef WEIR_CONNECTOR_KAFKA_KAFKA_H
#define WEIR_CONNECTOR_KAFKA_KAFKA_H

#include "connector/injector.h"
#include "connector/registry.h"
#include "connector/writer.h"

extern const struct connector_module weir_connector_module;

extern const struct source_ops kafka_source_ops;
extern const struct source_ops event_hubs_source_ops;
extern const struct writer_ops kafka_writer_ops;
extern const struct injector_ops kafka_injector_ops;
extern const struct sink_kind kafka_sink_kind;
extern const struct sink_kind event_hubs_sink_kind;

#endif
