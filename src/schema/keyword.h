/*
 * Keywords: the table of all that JSON Schema 2020-12 has, what their values look like, and which
 * of them hold further schemas. Nothing in a schema is ignored: what is not in the table, or of the
 * wrong type, is an error with its place.
 */
#ifndef WEIR_SCHEMA_KEYWORD_H
#define WEIR_SCHEMA_KEYWORD_H

#include "base/status.h"
#include "doc/doc.h"
#include "schema/number.h"

/* Where schemas stand in the value of a keyword. */
enum keyword_holds { HOLDS_NOTHING, HOLDS_SCHEMA, HOLDS_SCHEMA_LIST, HOLDS_SCHEMA_MAP };

/* HOLDS_NOTHING for what is no keyword. */
enum keyword_holds keyword_holds(const struct doc *key);

/* Checks all keys of a schema map and the types of their values; what they mean is for their
 * readers. Errors: schema.keyword_type, schema.keyword_value, schema.unknown_keyword,
 * schema.dialect. */
enum status keyword_check_map(const struct doc *map, struct error *err) WEIR_MUST_USE;

/* A number of the document as it is written, exactly; `node` is DOC_INT or DOC_DOUBLE. YAML's
 * infinities and NaN are refused. */
enum status keyword_number(const struct doc *node, struct number *out,
                           struct error *err) WEIR_MUST_USE;

#endif
