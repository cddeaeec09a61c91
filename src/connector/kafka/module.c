/* What the program finds in this module. */
#include "connector/kafka/kafka.h"
#include "connector/kafka/client.h"

static const struct source_ops *const sources[] = {&kafka_source_ops, &event_hubs_source_ops,
                                                   NULL};
static const struct sink_kind *const sinks[] = {&kafka_sink_kind, &event_hubs_sink_kind, NULL};
static const struct connection_kind *const connections[] = {&kafka_connection_kind,
                                                            &event_hubs_connection_kind, NULL};

__attribute__((visibility("default"))) const struct connector_module weir_connector_module = {
    .version = CONNECTOR_MODULE_VERSION,
    .sources = sources,
    .sinks = sinks,
    .connections = connections,
    .check_library = kafka_check_library,
};
