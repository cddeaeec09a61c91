/* A secret of the pipeline file: {file: PATH}, {env: NAME} or {credential: NAME}. */
#ifndef WEIR_CONNECTOR_SECRET_H
#define WEIR_CONNECTOR_SECRET_H

#include "doc/doc.h"

/* `node` has passed GRAMMAR_SECRET; a relative PATH starts at `folder`. Appended to `out`, which the
 * caller gives to secret_forget(). */
enum status secret_read(const struct doc *node, const char *folder, struct buffer *out,
                        struct error *err) WEIR_MUST_USE;

#endif
