/*
 * Documents that people write: YAML (1.2 core schema; JSON is a subset) and JSON files as trees
 * of nodes, each with its place, so that every complaint can say file:line:column. Parsed with
 * libfyaml. For the files of an operator (pipelines, schemas), never for records: codec/ decodes
 * those.
 *
 * Refused, each with its place: duplicate keys, keys that are not strings, merge keys (`<<`), tags
 * (`!!str`), more than 1,000 anchors, aliases that expand beyond 100,000 nodes, nesting beyond 64,
 * files above 4 MiB, integers beyond int64, numbers that are not finite, more than one document,
 * control characters, tabs as indentation and all else that YAML refuses. A file whose name ends in
 * .json must be JSON. An empty file is a DOC_NULL at 1:1.
 *
 * `${NAME}` in a string scalar (a value or an item, never a key) is replaced from `environment` (a
 * callback; NULL leaves strings alone); `$${` stands for a literal `${`; an unset name is an error
 * with its place. What came from the environment stays a DOC_STRING whatever it looks like, so that
 * a password of digits is a password; doc_to_integer() and its like take it where a number is
 * wanted, provided that it stands unquoted.
 *
 * An alias is the node of its anchor itself, so a tree may hold the same node several times, with
 * the place of the anchor. The place of an empty value is that of its key, of an empty item that of
 * its dash.
 *
 * Life cycle: doc_parse() builds all nodes in the given arena; nothing is freed one by one. Nodes
 * are read-only: any thread.
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
    bool quoted;             /* a string that was quoted in the file, or a block scalar (| and >) */
    struct doc **items;      /* lists: the items; maps: the values, in file order */
    struct doc **keys;       /* maps: the keys (DOC_STRING nodes) */
    size_t count;
};

typedef const char *(*doc_environment)(const char *name);

/* `content` is copied. On failure CONFIG with code "doc.syntax" (or doc.duplicate_key,
 * doc.too_large, doc.environment) and the place. */
enum status doc_parse(struct arena *arena, const char *file, struct bytes content,
                      doc_environment environment, struct doc **out, struct error *err)
    WEIR_MUST_USE;

/* The value of `key`, or NULL. `map` must be a DOC_MAP. */
const struct doc *doc_get(const struct doc *map, const char *key);
/* "null", "true or false", "an integer", … for messages. */
const char *doc_kind_name(enum doc_kind kind);
/* The text of a scalar for messages: cut to what fits, at a character, and control characters as
 * spaces. Returns `out`. */
#define DOC_EXCERPT_BYTES 64
const char *doc_excerpt(const struct doc *scalar, char out[DOC_EXCERPT_BYTES]);
/* CONFIG error at the node's place. */
enum status doc_error(const struct doc *node, struct error *err, const char *code,
                      const char *format, ...) WEIR_PRINTF(4, 5);
/* A CONFIG error without a place gets that of the node, which named what is at fault (a file that
 * cannot be read). Any other stays as it is. Returns the error's status. */
enum status doc_locate_error(const struct doc *node, struct error *err);

/* The value of a DOC_BOOL, DOC_INT, or DOC_INT or DOC_DOUBLE; also of an unquoted string from the
 * environment that reads as one. False (and `*out` as it was) for all else. */
bool doc_to_bool(const struct doc *node, bool *out);
bool doc_to_integer(const struct doc *node, int64_t *out);
bool doc_to_number(const struct doc *node, double *out);

/* Canonical JSON of a tree: no white space, keys in the order of the file (that of fields, fills
 * and sinks has a meaning), fractions as they are written where JSON has that form; for the texts
 * and hashes of plans. Appended to `out`. */
void doc_write_canonical(const struct doc *node, struct buffer *out);

#endif
