#include "schema/format.h"

#include <string.h>

static const struct format formats[] = {
    {"date-time", "a date-time", format_is_date_time},
    {"date", "a date", format_is_date},
    {"time", "a time with an offset", format_is_time},
    {"uuid", "a UUID", format_is_uuid},
    {"email", "an e-mail address", format_is_email},
    {"ipv4", "an IPv4 address", format_is_ipv4},
    {"ipv6", "an IPv6 address", format_is_ipv6},
    {"hostname", "a host name", format_is_hostname},
    {"uri", "a URI", format_is_uri},
};
enum { FORMAT_COUNT = sizeof formats / sizeof formats[0] };

static const char *const elsewhere[] = {
    "duration",      "idn-email",    "idn-hostname", "uri-reference",         "iri",
    "iri-reference", "uri-template", "json-pointer", "relative-json-pointer", "regex",
};

const struct format *format_find(const char *name)
{
    for (size_t i = 0; i < FORMAT_COUNT; i++) {
        if (strcmp(formats[i].name, name) == 0) {
            return &formats[i];
        }
    }
    return NULL;
}

bool format_is_known_elsewhere(const char *name)
{
    for (size_t i = 0; i < sizeof elsewhere / sizeof elsewhere[0]; i++) {
        if (strcmp(elsewhere[i], name) == 0) {
            return true;
        }
    }
    return false;
}

const char *format_nearest(const char *name)
{
    const char *names[FORMAT_COUNT];
    for (size_t i = 0; i < FORMAT_COUNT; i++) {
        names[i] = formats[i].name;
    }
    return string_nearest(name, names, FORMAT_COUNT);
}
