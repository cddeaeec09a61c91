/*
 * Parameters of statements: of one, and of the same statement again and again ("changes"), which a
 * server may be sent all at once.
 *
 * Texts and bytes are slices of the caller's and must live until the statement has run; what has no
 * other place to live is kept in the arena of the changes.
 *
 * Threads: one. Memory: changes_fini() frees what changes_new() and changes_next() took.
 */
#ifndef WEIR_CONNECTOR_DATABASE_PARAMETERS_H
#define WEIR_CONNECTOR_DATABASE_PARAMETERS_H

#include "base/memory.h"
#include "connector/source.h"
#include "progress/progress.h"

#define PARAMETERS_MAX 16

enum parameter_kind { PARAMETER_TEXT, PARAMETER_INTEGER, PARAMETER_BYTES };
struct parameter {
    enum parameter_kind kind;
    struct bytes bytes; /* none: null */
    int64_t integer;
    char digits[24];    /* the integer as digits */
};
struct parameters {
    int count;
    struct parameter list[PARAMETERS_MAX];
};
/* Each adds one; more than PARAMETERS_MAX is a bug. */
void parameters_text(struct parameters *parameters, const char *text);
void parameters_integer(struct parameters *parameters, int64_t number);
/* None: null. */
void parameters_bytes(struct parameters *parameters, struct bytes bytes);
/* Parameters 1 to 3 of every statement about a source partition: pipeline, topic, partition. */
struct parameters parameters_of_partition(const char *pipeline,
                                          const struct source_partition *partition);
struct parameters parameters_of_progress(const char *pipeline, const struct progress *progress);

/* The parameters of one statement for one thing after the other; forms and texts live in `arena`. */
struct changes {
    struct arena *arena;
    struct parameters *lists;
    uint32_t count, capacity;
};

struct changes changes_new(void);
/* Those of one more, to be filled in; valid until the next call. */
struct parameters *changes_next(struct changes *changes);
/* Moves the form into the arena; it is empty then. */
struct bytes changes_keep(struct changes *changes, struct buffer *form);
/* None any more; memory is kept for the next ones. */
void changes_clear(struct changes *changes);
void changes_fini(struct changes *changes);

#endif
