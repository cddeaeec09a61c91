/*
 * JSON equality for lists and objects: a canonical form, so that two values are equal exactly when
 * their forms are the same bytes. Members are sorted by name, numbers are written by value (1, 1.0
 * and 10e-1 are one number; beyond 64-bit integers, as in enum and bounds, the nearest double
 * counts), texts without their escapes. Of members of one name the last counts, as where the
 * pipeline allows repeated keys.
 *
 * The form is for comparing in one process; it is never stored.
 */
#ifndef WEIR_SCHEMA_JSON_EQUAL_H
#define WEIR_SCHEMA_JSON_EQUAL_H

#include "base/bytes.h"
#include "base/memory.h"
#include "base/status.h"
#include "doc/doc.h"

/* Appends the form of raw JSON, which is known to be valid. Recursive: as deep as the decoder lets
 * records be. */
void json_equal_form(struct bytes raw, struct buffer *out);
/* Appends the form of a value of the schema file. CONFIG when a number in it is none of JSON. */
enum status json_equal_form_of_doc(const struct doc *node, struct buffer *out,
                                   struct error *err) WEIR_MUST_USE;

#endif
