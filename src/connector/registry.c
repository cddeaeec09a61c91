#include "connector/registry.h"

#include <string.h>

#include "connector/file/file.h"
#include "connector/sqlite/sqlite.h"

const struct source_ops *const registry_sources[] = {
    &local_source_ops,
    &file_source_ops,
    &stdin_source_ops,
    NULL,
};

const struct sink_kind *const registry_sinks[] = {
    &local_sink_kind,
    &sqlite_sink_kind,
    &file_sink_kind,
    NULL,
};

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
