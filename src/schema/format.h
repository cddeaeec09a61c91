/*
 * Formats: what `format` asserts, to the letter of the RFCs that JSON Schema 2020-12 names
 * (validation, section 7.3).
 *
 *   date-time, date, time
 *       RFC 3339 section 5.6, with the letter 'T' between date and time; a leap second only at the
 *       end of a UTC day. A date-time is also an instant within the years 0000 to 9999 in UTC, as
 *       base/time.h holds it.
 *   uuid
 *       RFC 4122 section 3: any version and variant, either case.
 *   email
 *       The Mailbox of RFC 5321 section 4.1.2.
 *   ipv4
 *       The dotted quad of RFC 2673 section 3.2; no leading zeros, which some take as octal.
 *   ipv6
 *       RFC 4291 section 2.2; no zone, no prefix length.
 *   hostname
 *       RFC 1123 section 2.1. A label that begins with "xn--" must be the A-label of an
 *       internationalized one (RFC 5890, 5891, 5892).
 *   idn-hostname, idn-email
 *       Labels as IDNA 2008 has them (libidn2, without the mappings of UTS 46), separated by any of
 *       the four dots; the Mailbox as RFC 6531 extends it.
 *   uri, uri-reference
 *       The URI of RFC 3986 section 3, with a scheme; the URI-reference of its section 4.1.
 *   iri, iri-reference
 *       The same of RFC 3987.
 *   uri-template
 *       RFC 6570.
 *   json-pointer, relative-json-pointer
 *       RFC 6901 section 3 (the text, not the fragment), and the draft that JSON Schema names.
 *   duration
 *       RFC 3339 appendix A: weeks stand alone, and units follow one another (not P1Y2D).
 *   regex
 *       What `pattern` takes (pattern.h).
 */
#ifndef WEIR_SCHEMA_FORMAT_H
#define WEIR_SCHEMA_FORMAT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"

struct format {
    const char *name;
    const char *what; /* "a date-time", for messages */
    bool (*matches)(struct bytes text);
};

/* NULL when there is none of that name. */
const struct format *format_find(const char *name);
/* All of them, from 0 on; NULL behind the last. */
const struct format *format_list(size_t index);
/* The nearest name of a built format, or NULL. */
const char *format_nearest(const char *name);

bool format_is_date_time(struct bytes text);
/* The same for a text that time_parse_any_rfc3339() has read as that time. */
bool format_is_date_time_read(struct bytes text, int64_t time_us);
bool format_is_date(struct bytes text);
bool format_is_time(struct bytes text);
bool format_is_uuid(struct bytes text);
bool format_is_email(struct bytes text);
bool format_is_ipv4(struct bytes text);
bool format_is_ipv6(struct bytes text);
bool format_is_hostname(struct bytes text);
bool format_is_uri(struct bytes text);
bool format_is_duration(struct bytes text);
bool format_is_idn_email(struct bytes text);
bool format_is_idn_hostname(struct bytes text);
bool format_is_uri_reference(struct bytes text);
bool format_is_iri(struct bytes text);
bool format_is_iri_reference(struct bytes text);
bool format_is_uri_template(struct bytes text);
bool format_is_json_pointer(struct bytes text);
bool format_is_relative_json_pointer(struct bytes text);
bool format_is_regex(struct bytes text);

#endif
