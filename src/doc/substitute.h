/*
 * `${NAME}` in strings, replaced from the environment. Private to doc/.
 */
#ifndef WEIR_DOC_SUBSTITUTE_H
#define WEIR_DOC_SUBSTITUTE_H

#include "doc/doc.h"

/* Replaces in the text of `node`, a DOC_STRING; `$${` becomes `${`. CONFIG doc.environment at the
 * place of the node when a name is unset or malformed. */
enum status substitute(struct arena *arena, doc_environment environment, struct doc *node,
                       struct error *err) WEIR_MUST_USE;

#endif
