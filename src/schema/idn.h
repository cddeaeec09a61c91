/*
 * Internationalized host names: IDNA 2008 (RFC 5890 to 5893), by libidn2. Labels are checked as they
 * stand: nothing is mapped (no UTS 46), so that what is right here is right elsewhere.
 */
#ifndef WEIR_SCHEMA_IDN_H
#define WEIR_SCHEMA_IDN_H

#include <stdbool.h>

#include "base/bytes.h"

/* `label` has letters, digits and hyphens only, at most 63. True for every label without the prefix
 * "xn--"; with it, when it is the A-label of an internationalized one. */
bool idn_label_matches(struct bytes label);
/* Labels of ASCII as in any host name, A-labels and U-labels, between dots of any kind; as A-labels
 * at most 253 bytes. `text` is UTF-8. `normalizes`: U-labels may be in another normalization form than C. */
bool idn_host_matches(struct bytes text, bool normalizes);

#endif
