/*
 * Schemas from files: the one that is named, and those beside it that its `$ref`s name. For
 * pipelines and for `weir validate`.
 */
#ifndef WEIR_PLAN_SCHEMA_LOAD_H
#define WEIR_PLAN_SCHEMA_LOAD_H

#include "base/memory.h"
#include "base/status.h"
#include "doc/doc.h"
#include "schema/schema.h"

/* Reads a YAML or JSON file into the arena. At most 4 MiB. */
enum status schema_read_document(struct arena *arena, const char *path, doc_environment environment,
                                 struct doc **out, struct error *err) WEIR_MUST_USE;

/* The files that `document` refers to, read from its folder ("" or one that ends in "/"). CONFIG
 * "config.missing_file" at the reference when one is not there. */
enum status schema_read_files(struct arena *arena, const struct doc *document, const char *folder,
                              doc_environment environment, struct schema_files *out,
                              struct error *err) WEIR_MUST_USE;

/* The part of a path up to its last "/", in the arena. */
const char *schema_folder_of(struct arena *arena, const char *path);

#endif
