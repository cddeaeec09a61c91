/* The files that a schema refers to, once they are read (schema_gather()). */
#ifndef WEIR_SCHEMA_SCHEMA_FILES_H
#define WEIR_SCHEMA_SCHEMA_FILES_H

#include "schema/schema.h"

/* A schema_read over a struct schema_files (`context`, may be NULL): CONFIG where the file is not
 * among them. */
enum status schema_files_find(void *context, const char *path, const struct doc *text,
                              const struct doc **out, struct error *err) WEIR_MUST_USE;

#endif
