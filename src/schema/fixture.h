/*
 * For the unit tests of this folder: a schema, a checker and a batch whose rows are written as
 * JSON. Rows are read with doc/ and put into the cells by the rules of codec/json.h, so that the
 * tests of schema/ need no decoder.
 */
#ifndef WEIR_SCHEMA_FIXTURE_H
#define WEIR_SCHEMA_FIXTURE_H

#include "schema/schema.h"

struct fixture {
    struct arena *arena;
    struct schema *schema;
    struct schema_checker *checker;
    struct batch *batch;
    bool dropped_null;  /* a null of a row counted as absent */
    bool unknown_field; /* a row had a member that a closed object does not know */
};

/* Compiles a schema written as YAML or JSON. On failure `fixture` is empty and `err` is set. */
enum status fixture_open(struct fixture *fixture, const char *schema,
                         struct error *err) WEIR_MUST_USE;
/* The same for a document that is read already; `files` may be NULL. */
enum status fixture_open_document(struct fixture *fixture, const struct doc *document,
                                  const struct schema_files *files,
                                  struct error *err) WEIR_MUST_USE;
void fixture_close(struct fixture *fixture);

/* Appends a row: a JSON object. */
uint32_t fixture_add(struct fixture *fixture, const char *record);
uint32_t fixture_add_document(struct fixture *fixture, const struct doc *record);
/* Replaces a cell by raw JSON: a JSON column's value, or a misfit. */
void fixture_set_raw(struct fixture *fixture, const char *path, uint32_t row, struct bytes raw);
void fixture_set_misfit(struct fixture *fixture, const char *path, uint32_t row,
                        enum misfit_kind kind, struct bytes raw);
void fixture_set_text(struct fixture *fixture, const char *path, uint32_t row, struct bytes text);

/* All checks; then the violations are sorted. */
void fixture_check(struct fixture *fixture);
/* "field reason: detail" of all violations of the row, with "; " between them; "" when there is
 * none. Lives until fixture_close(). */
const char *fixture_complaints(struct fixture *fixture, uint32_t row);
enum cell fixture_cell(const struct fixture *fixture, const char *path, uint32_t row);

#endif
