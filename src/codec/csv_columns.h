/* The columns of a CSV header: which field each one is, and which object it stands in. Not for other
 * folders. */
#ifndef WEIR_CODEC_CSV_COLUMNS_H
#define WEIR_CODEC_CSV_COLUMNS_H

#include "codec/csv.h"

/* A header with more is refused. */
#define CSV_COLUMNS_MAX 4096u
#define CSV_NODE_NONE UINT32_MAX

struct csv_column {
    const char *name;  /* as the header has it */
    uint32_t field;    /* FIELD_NONE: none that the layout knows */
    enum column_type type;
    bool is_declared;  /* by the schema; else its cells are texts */
    bool is_stranger;  /* and the object it stands in lets no other member pass */
};

/* A member of the object that a row is, in the order of the columns. */
struct csv_node {
    struct bytes prefix;  /* "name": */
    uint32_t column;      /* CSV_NODE_NONE: an object */
    uint32_t field;       /* of an object */
    uint32_t first_child; /* of an object */
    uint32_t next;
};

struct csv_columns {
    struct csv_column *columns;
    uint32_t count;
    struct csv_node *nodes; /* the first is the row itself */
    uint32_t node_count;
    const char *fault; /* not NULL: no row under this header can be read */
};

/* Everything lives in `arena`. `header` is none where the options name the columns. */
void csv_columns_make(struct csv_columns *columns, struct arena *arena, const struct layout *layout,
                      const struct csv_options *options, struct bytes header);

#endif
