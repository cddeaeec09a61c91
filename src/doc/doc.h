/*
 * Documents that people write: YAML (1.2 core schema; JSON is a subset) and JSON files as trees of nodes, each with its place, so that
 * every complaint can say file:line:column. Parsed with libfyaml. For the files of an operator (pipelines, schemas), never for records: codec/
 * decodes those.
 *
 * Refused, each with its place: duplicate keys, keys that are not strings, anchors that expand beyond 100,000 nodes, nesting beyond 64,
 * files above 4 MiB, more than one document, tabs and all else that YAML refuses. `${NAME}` in a string scalar is
 * replaced from `environment` (a callback; NULL leaves strings alone); `$${` stands for a literal `${`; an unset name is an error with its place.
 *
 * Life cycle: doc_parse() builds all nodes in the given arena; nothing is freed one by one. Nodes are read-only: any thread.
 */
#ifndef WEIR_DOC_DOC_H
#define WEIR_DOC_DOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "base/status.h"

enum doc_kind { DOC_NULL, DOC_BOOL, DOC_INT, DOC_DOUBLE, DOC_STRING, DOC_LIST, DOC_MAP };

struct doc {
    enum doc_kind kind;
    const char *file; /* as given to doc_parse(); for messages */
    uint32_t line;    /* from 1 */
    uint32_t column;  /* from 1 */
    union {
        bool boolean;
        int64_t integer; /* integers beyond int64 are an error at parse time */
        double real;
    };
    const char *text; /* scalars: as written (after ${…}), NUL-terminated; plain or quoted */
    size_t text_size;
    bool quoted;             /* a string that was quoted in the file */
    struct doc **items;      /* lists: the items; maps: the values, in file order */
    struct doc **keys;       /* maps: the keys (DOC_STRING nodes) */
    size_t count;
};

typedef const char *(*doc_environment)(const char *name);

/* `content` is copied. On failure CONFIG with code "doc.syntax" (or doc.duplicate_key, doc.too_large, doc.environment) and the place. */
enum status doc_parse(struct arena *arena, const char *file, struct bytes content,
                      doc_environment environment, struct doc **out, struct error *err)
    WEIR_MUST_USE;

/* The value of `key`, or NULL. `map` must be a DOC_MAP. */
const struct doc *doc_get(const struct doc *map, const char *key);
/* "null", "true or false", "an integer", … for messages. */
const char *doc_kind_name(enum doc_kind kind);
/* CONFIG error at the node's place. */
enum status doc_error(const struct doc *node, struct error *err, const char *code,
                      const char *format, ...) WEIR_PRINTF(4, 5);

/* Canonical JSON of a tree: keys sorted by byte order, no white space, numbers shortest; for plan hashes. Appended to `out`. */
void doc_write_canonical(const struct doc *node, struct buffer *out);

#endif
