/*
 * Rows: the port through which the rows of any place are read as what they are, with no pipeline
 * around it. For verbs that look at places of others (reconcile, tail of a table); topics are read as
 * sources, and tables of a database server by their kind (sink_kind.each_row in registry.h).
 *
 * A row is handed out as a JSON object where it is one: a record's value, a line, a table's row
 * with its columns as members (texts that are not UTF-8 stand in base64 under NAME_base64). What it
 * is otherwise is handed out as well, byte for byte; the visitor says what to do with it.
 *
 * What is read is what stood there when reading began, or newer; nothing is locked.
 */
#ifndef WEIR_CONNECTOR_ROWS_H
#define WEIR_CONNECTOR_ROWS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"

/* Slices live until the visitor returns. */
struct place_row {
    struct bytes key;   /* of a record; none elsewhere */
    struct bytes value; /* none: a tombstone */
    /* Where it stands: partition and offset, "" and number of the row, file and number of the line
     * (from 1). */
    const char *part;
    int64_t position;
};

/* *out_done ends the reading. */
typedef enum status place_row_visitor(void *context, const struct place_row *row, bool *out_done,
                                      struct error *err);

struct rows_ops {
    const char *kind; /* "sqlite", "file": as sinks are called */
    /* Every row of `name` in `path` (`name` is NULL where a place has no names within). CONFIG when
     * there is no such place. */
    enum status (*each)(const char *path, const char *name, place_row_visitor *visit,
                        void *context, struct error *err);
};

/* NULL when there is none of that name. */
const struct rows_ops *rows_find(const char *kind);

#endif
