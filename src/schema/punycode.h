/*
 * Punycode (RFC 3492), as far as a check of host names needs it: whether a label that begins with
 * "xn--" is the encoding of a label that is not ASCII.
 */
#ifndef WEIR_SCHEMA_PUNYCODE_H
#define WEIR_SCHEMA_PUNYCODE_H

#include <stdbool.h>

#include "base/bytes.h"

/* `label` has letters, digits and hyphens only, at most 63. True for every label without the
 * prefix "xn--". */
bool punycode_label_matches(struct bytes label);

#endif
