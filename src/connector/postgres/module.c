/* What the program finds in this module. */
#include "connector/postgres/table.h"
#include "connector/registry.h"

static const struct source_ops *const sources[] = {NULL};
static const struct sink_kind *const sinks[] = {&postgres_sink_kind, NULL};
static const struct connection_kind *const connections[] = {&postgres_connection_kind, NULL};

/* Row by row, single-row mode and CONTEXT in errors are older than any libpq that is about. */
static enum status check_library(struct error *err)
{
    (void)err;
    return STATUS_OK;
}

__attribute__((visibility("default"))) const struct connector_module weir_connector_module = {
    .version = CONNECTOR_MODULE_VERSION,
    .sources = sources,
    .sinks = sinks,
    .connections = connections,
    .check_library = check_library,
};
