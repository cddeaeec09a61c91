/*
 * Registry: the connectors, by kind. Those that are built in register themselves with one line in
 * registry.c; nobody else knows their names.
 *
 * Connectors with heavy libraries are MODULES (os/module.h): registry.c knows which kinds a module
 * brings, and plan/ asks for a kind when a pipeline file names it. A module exports one symbol,
 * `weir_connector_module`, and its kinds then stand in the same tables.
 *
 * A kind may reach its places over a CONNECTION (brokers, a database), which pipelines describe
 * once by name, or in place. What a connector gets as `config` is one map either way: plan/ joins
 * the keys of the connection to those of the place. `connection_grammar` are the keys of a
 * connection; `grammar` of source and sink does not repeat them.
 *
 * Threads: kinds are loaded while plans are made, on one thread; then the tables are read-only.
 */
#ifndef WEIR_CONNECTOR_REGISTRY_H
#define WEIR_CONNECTOR_REGISTRY_H

#include "connector/rows.h"
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
    /* What the system needs to open its connection, where its kind has one: `config` as sink_add()
     * gets it, and it outlives the system. Called for the first of its sinks, before sink_add().
     * NULL where the place says all. */
    enum status (*system_connect)(struct system *system, const struct doc *config,
                                  const char *folder, struct error *err);
    /* Adds a sink to a system of its kind; nothing is opened. `config` and `shape` outlive it.
     * CONFIG for settings that cannot be (a key column that does not exist …), with their place. */
    enum status (*sink_add)(struct system *system, const char *name, bool is_dlq,
                            const struct doc *config, const struct output_shape *shape,
                            struct sink **out, struct error *err);
    /* Every row of a table that is reached over a connection, as JSON objects and with no pipeline
     * around it (connector/rows.h): `config` as sink_add() gets it. Opens a session of its own, on
     * the calling thread. CONFIG when there is no such table; RETRY when the server is away. NULL
     * where rows are not read this way. */
    enum status (*each_row)(const struct doc *config, const char *folder, place_row_visitor *visit,
                            void *context, struct error *err);
};

/* The keys of a connection, of the sources and sinks of that kind. */
struct connection_kind {
    const char *kind;
    const struct grammar_field *grammar;
    /* The key that alone makes a connection, so that KIND://ADDRESS/NAME is a place: a list of
     * host:port. NULL where an address does not say enough. */
    const char *address_key;
};

#define CONNECTOR_MODULE_VERSION 3u

/* What the symbol `weir_connector_module` of a module is; lists are NULL-terminated. */
struct connector_module {
    uint32_t version;         /* CONNECTOR_MODULE_VERSION of the headers that it was built with */
    const struct source_ops *const *sources;
    const struct sink_kind *const *sinks;
    const struct connection_kind *const *connections;
    /* CONFIG when a library that it uses is too old. */
    enum status (*check_library)(struct error *err);
};

/* NULL when there is none of that name, or its module is not loaded. */
const struct source_ops *registry_source(const char *kind);
const struct sink_kind *registry_sink(const char *kind);
/* NULL where places of that kind need no connection. */
const struct connection_kind *registry_connection(const char *kind);

/* Loads the module of a kind that a module brings; any other kind is fine. CONFIG when the module
 * is not there, with what to install, or not of this weir. */
enum status registry_require(const char *kind, struct error *err) WEIR_MUST_USE;
/* A kind that a module brings. Each is a kind of sink. */
struct module_kind {
    const char *kind;
    bool is_source; /* as well */
    const char *module;
    const char *advice; /* how to get the module */
};

/* Those of all modules, loaded or not; the last one's kind is NULL. */
extern const struct module_kind registry_module_kinds[];

/* All kinds that are there now, NULL-terminated. */
extern const struct source_ops *registry_sources[];
extern const struct sink_kind *registry_sinks[];
extern const struct connection_kind *registry_connections[];

#endif
