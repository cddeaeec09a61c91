/*
 * Registry: the connectors that are built in, by kind. Each connector registers itself here with
 * one line in registry.c; nobody else knows their names.
 */
#ifndef WEIR_CONNECTOR_REGISTRY_H
#define WEIR_CONNECTOR_REGISTRY_H

#include "connector/sink.h"
#include "connector/source.h"

/* A kind of sink place: how a sink joins a system. */
struct sink_kind {
    const struct sink_ops *ops;
    /* of its systems: two kinds of sinks that share it share a place's system */
    const struct system_ops *system_ops;
    /* The identity of the system that this configuration belongs to, in `arena` (a real path); no
     * I/O but path resolution. One place has one identity, however it is spelled. */
    enum status (*system_place)(struct arena *arena, const struct doc *config, const char *folder,
                                char **out_place, struct error *err);
    /* A new, closed system for that place. */
    struct system *(*system_new)(const char *place);
    /* Adds a sink to a system of its kind; nothing is opened. `config` and `shape` outlive it.
     * CONFIG for settings that cannot be (a key column that does not exist …), with their place. */
    enum status (*sink_add)(struct system *system, const char *name, bool is_dlq,
                            const struct doc *config, const struct output_shape *shape,
                            struct sink **out, struct error *err);
};

/* NULL when there is none of that name. */
const struct source_ops *registry_source(const char *kind);
const struct sink_kind *registry_sink(const char *kind);
/* All kinds, NULL-terminated. */
extern const struct source_ops *const registry_sources[];
extern const struct sink_kind *const registry_sinks[];

#endif
