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
    {"duration", "a duration", format_is_duration},
    {"idn-email", "an internationalized e-mail address", format_is_idn_email},
    {"idn-hostname", "an internationalized host name", format_is_idn_hostname},
    {"uri-reference", "a URI reference", format_is_uri_reference},
    {"iri", "an IRI", format_is_iri},
    {"iri-reference", "an IRI reference", format_is_iri_reference},
    {"uri-template", "a URI template", format_is_uri_template},
    {"json-pointer", "a JSON pointer", format_is_json_pointer},
    {"relative-json-pointer", "a relative JSON pointer", format_is_relative_json_pointer},
    {"regex", "a regular expression", format_is_regex},
};
enum { FORMAT_COUNT = sizeof formats / sizeof formats[0] };

const struct format *format_find(const char *name)
{
    for (size_t i = 0; i < FORMAT_COUNT; i++) {
        if (strcmp(formats[i].name, name) == 0) {
            return &formats[i];
        }
    }
    return NULL;
}

const struct format *format_list(size_t index)
{
    return index < FORMAT_COUNT ? &formats[index] : NULL;
}

const char *format_nearest(const char *name)
{
    const char *names[FORMAT_COUNT];
    for (size_t i = 0; i < FORMAT_COUNT; i++) {
        names[i] = formats[i].name;
    }
    return string_nearest(name, names, FORMAT_COUNT);
}
