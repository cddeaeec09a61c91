#include "connector/registry.h"

#include <string.h>

#include "connector/file/file.h"
#include "connector/sqlite/sqlite.h"
#include "os/module.h"

#define KINDS_MAX 24

const struct source_ops *registry_sources[KINDS_MAX + 1] = {
    &local_source_ops,
    &file_source_ops,
    &stdin_source_ops,
};

const struct sink_kind *registry_sinks[KINDS_MAX + 1] = {
    &local_sink_kind,
    &sqlite_sink_kind,
    &file_sink_kind,
};

const struct connection_kind *registry_connections[KINDS_MAX + 1];

#define KAFKA_ADVICE \
    "build it with 'script/build' (it needs librdkafka 2.13.2 or newer: script/bootstrap builds " \
    "that where the system's is older), or install weir's Kafka module"

const struct module_kind registry_module_kinds[] = {
    {"kafka", true, "kafka", KAFKA_ADVICE},
    {"event_hubs", true, "kafka", KAFKA_ADVICE},
    {"postgres", false, "postgres",
     "build it with 'script/build' (it needs libpq: script/bootstrap installs it), or install "
     "weir's PostgreSQL module"},
    {"mysql", false, "mysql",
     "build it with 'script/build' (it needs libmariadb: script/bootstrap installs it), or install "
     "weir's MySQL module"},
    {0},
};

#ifndef WEIR_MODULE_FOLDER
#define WEIR_MODULE_FOLDER NULL
#endif

const struct source_ops *registry_source(const char *kind)
{
    for (uint32_t i = 0; registry_sources[i] != NULL; i++) {
        if (strcmp(registry_sources[i]->kind, kind) == 0) {
            return registry_sources[i];
        }
    }
    return NULL;
}

const struct sink_kind *registry_sink(const char *kind)
{
    for (uint32_t i = 0; registry_sinks[i] != NULL; i++) {
        if (strcmp(registry_sinks[i]->ops->kind, kind) == 0) {
            return registry_sinks[i];
        }
    }
    return NULL;
}

const struct connection_kind *registry_connection(const char *kind)
{
    for (uint32_t i = 0; registry_connections[i] != NULL; i++) {
        if (strcmp(registry_connections[i]->kind, kind) == 0) {
            return registry_connections[i];
        }
    }
    return NULL;
}

static void take_kinds(const struct connector_module *module)
{
    uint32_t count = 0;
    while (registry_sources[count] != NULL) {
        count++;
    }
    for (uint32_t i = 0; module->sources[i] != NULL; i++) {
        check(count < KINDS_MAX);
        registry_sources[count++] = module->sources[i];
    }
    for (count = 0; registry_sinks[count] != NULL;) {
        count++;
    }
    for (uint32_t i = 0; module->sinks[i] != NULL; i++) {
        check(count < KINDS_MAX);
        registry_sinks[count++] = module->sinks[i];
    }
    for (count = 0; registry_connections[count] != NULL;) {
        count++;
    }
    for (uint32_t i = 0; module->connections[i] != NULL; i++) {
        check(count < KINDS_MAX);
        registry_connections[count++] = module->connections[i];
    }
}

enum status registry_require(const char *kind, struct error *err)
{
    const struct module_kind *from = registry_module_kinds;
    while (from->kind != NULL && strcmp(from->kind, kind) != 0) {
        from++;
    }
    if (from->kind == NULL || registry_source(kind) != NULL ||
        registry_sink(kind) != NULL) {
        return STATUS_OK;
    }
    struct error reason = {0};
    const void *symbol = NULL;
    enum status status = module_load(from->module, WEIR_MODULE_FOLDER,
                                     "weir_connector_module", &symbol, &reason);
    if (status != STATUS_OK) {
        return error_set(err, status, reason.code, "'%s' needs a module: %s; %s", kind,
                         reason.message, from->advice);
    }
    const struct connector_module *module = symbol;
    if (module->version != CONNECTOR_MODULE_VERSION) {
        return error_set(err, STATUS_CONFIG, "module.version",
                         "the module of '%s' is of another weir (its interface is %u, not %u): "
                         "install the one that belongs to this program",
                         kind, module->version, CONNECTOR_MODULE_VERSION);
    }
    status = module->check_library(err);
    if (status == STATUS_OK) {
        take_kinds(module);
    }
    return status;
}
