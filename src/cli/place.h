/*
 * Places: what stands on the command line for where records are.
 *
 *   local:PATH#topic   a topic of a local log
 *   kafka://HOST:PORT,HOST:PORT/topic
 *                      a topic of brokers that ask for no login
 *   sqlite:PATH#table  a table of a SQLite file
 *   file:PATH          an NDJSON file, or a folder of parts that a file sink wrote
 *   -                  standard input or output
 *   P.yaml:source, P.yaml:dlq, P.yaml:SINK
 *                      a place that a pipeline file names: one of those above, or a topic of
 *                      brokers or a table over whatever connection the file describes
 *
 * Parsing opens nothing but the pipeline file and the module of a connector. Everything lives in
 * the given arena.
 */
#ifndef WEIR_CLI_PLACE_H
#define WEIR_CLI_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/memory.h"
#include "base/status.h"
#include "connector/rows.h"

struct doc;

enum place_kind {
    PLACE_TOPIC,
    PLACE_TABLE,
    PLACE_FILE,
    PLACE_STREAM,
    PLACE_REMOTE, /* a topic that a connector reaches over a connection */
};

struct place {
    enum place_kind kind;
    const char *text; /* as it was given, for messages */
    const char *path; /* of the log, the database, the file or folder; "-" for a stream */
    const char *name; /* of the topic or table; NULL for the others */
    const char *pipeline; /* the name that the pipeline file gives itself; NULL without one */
    /* PLACE_REMOTE, and a table that is no SQLite file's: the connector's kind (connector/registry.h), what it gets as `config`, and the
     * folder where paths in that begin */
    const char *connector;
    const struct doc *config;
    const char *folder;
};

/* CONFIG "use.place" when it is none, and whatever is wrong with the pipeline file. */
enum status place_parse(struct arena *arena, const char *text, struct place *out,
                        struct error *err) WEIR_MUST_USE;
/* The same for a local log; `name` is NULL where there is no `#topic`. `verb` is for the message.
 * */
enum status place_parse_log(struct arena *arena, const char *text, const char *verb,
                            struct place *out, struct error *err) WEIR_MUST_USE;
/* A topic of whatever kind, or the place that has it: `name` is NULL where none is named. */
enum status place_parse_topics(struct arena *arena, const char *text, const char *verb,
                               struct place *out, struct error *err) WEIR_MUST_USE;
/* CONFIG where it names no topic. */
enum status place_require_name(const struct place *place, struct error *err) WEIR_MUST_USE;
/* Also takes a pipeline file alone, for its dlq. */
enum status place_parse_dlq(struct arena *arena, const char *text, struct place *out,
                            struct error *err) WEIR_MUST_USE;
/* A place of a pipeline file by name: "source", "dlq", or a sink's. */
enum status place_of_pipeline(struct arena *arena, const char *pipeline, const char *name,
                              struct place *out, struct error *err) WEIR_MUST_USE;

/* Every topic that a pipeline file names, the source's first, then those of sinks, then the dlq's:
 * `role` is "source", "dlq", or the sink's name. */
struct pipeline_place {
    const char *role;
    struct place place;
};
enum status place_topics_of_pipeline(struct arena *arena, const char *pipeline,
                                     struct pipeline_place **out, uint32_t *out_count,
                                     struct error *err) WEIR_MUST_USE;
/* Whether that names a pipeline file, and not a place. */
bool place_is_pipeline(const char *text);

/* A topic of whatever kind, to be read. CONFIG "topic.missing" when it is not there. */
struct source;
enum status place_open_source(const struct place *place, struct source **out,
                              struct error *err) WEIR_MUST_USE;

/* place_rows.c: every record of a topic up to where its partitions end now, one partition after the
 * other; what is added meanwhile is left out. `memory` is emptied between batches. *out_done ends it. */
struct record;
typedef enum status place_record_visitor(void *context, const struct record *record,
                                         uint32_t partition, struct arena *memory, bool *out_done,
                                         struct error *err);
enum status place_each_record(const struct place *place, place_record_visitor *visit, void *context,
                              struct error *err) WEIR_MUST_USE;
/* The same file: every row of a place but standard input, as connector/rows.h hands it out. */
enum status place_each_row(const struct place *place, place_row_visitor *visit, void *context,
                           struct error *err) WEIR_MUST_USE;

/* The files of a place of kind FILE or STREAM, in order: the file itself, or the parts in a folder
 * (*out_is_folder), which are the `.ndjson` files in it. A file need not exist. */
enum status place_files(struct arena *arena, const struct place *place, const char ***out_paths,
                        size_t *out_count, bool *out_is_folder, struct error *err) WEIR_MUST_USE;

#endif
