/*
 * URI references inside schemas: `$id`, `$ref` and `$dynamicRef` are resolved against the URI of
 * the schema around them (RFC 3986, section 5.2). Texts only: nothing is ever fetched.
 */
#ifndef WEIR_SCHEMA_URI_H
#define WEIR_SCHEMA_URI_H

#include <stdbool.h>

#include "base/bytes.h"
#include "base/memory.h"

/* `reference` against `base`, both NUL-terminated: the URI without its fragment, in the arena.
 * `*out_fragment` is what stands behind "#", percent-decoded ("" without one). False when the
 * reference has a broken percent-encoding or climbs with ".." above the root of `base`. */
bool uri_resolve(struct arena *arena, const char *base, const char *reference,
                 const char **out_uri, const char **out_fragment);

/* Percent-decodes into the arena; NULL when the encoding is broken or gives a NUL byte. */
const char *uri_decode(struct arena *arena, struct bytes text);

/* ALPHA *( ALPHA / DIGIT / "+" / "-" / "." ) */
bool uri_is_scheme(struct bytes text);

#endif
