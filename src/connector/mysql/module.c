/* What the program finds in this module. */
#include "connector/mysql/table.h"
#include "connector/registry.h"

static const struct source_ops *const sources[] = {NULL};
static const struct sink_kind *const sinks[] = {&mysqldb_sink_kind, NULL};
static const struct connection_kind *const connections[] = {&mysqldb_connection_kind, NULL};

/* The library's own tables, while there is one thread. */
static enum status check_library(struct error *err)
{
    return mysql_library_init(0, NULL, NULL) == 0
               ? STATUS_OK
               : error_set(err, STATUS_CONFIG, "module.broken",
                           "libmariadb cannot be used: its own initialisation failed");
}

__attribute__((visibility("default"))) const struct connector_module weir_connector_module = {
    .version = CONNECTOR_MODULE_VERSION,
    .sources = sources,
    .sinks = sinks,
    .connections = connections,
    .check_library = check_library,
};
