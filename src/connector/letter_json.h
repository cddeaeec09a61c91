/*
 * Dead letters as JSON: the parts that files and tables write alike.
 */
#ifndef WEIR_CONNECTOR_LETTER_JSON_H
#define WEIR_CONNECTOR_LETTER_JSON_H

#include "base/memory.h"
#include "connector/sink.h"

/* `"name":"text"`, `"name_base64":"…"` where the bytes are not UTF-8, `"name":null` where there are
 * none. */
void letter_json_bytes(const char *name, struct bytes bytes, struct buffer *out);
/* The letter's original headers: [{"name":…,"value":…},…]. */
void letter_json_headers(const struct dead_letter *letter, struct buffer *out);

#endif
