/* Text that came from outside (names, messages) inside of JSON and HTML. */
#ifndef WEIR_OBSERVE_TEXT_H
#define WEIR_OBSERVE_TEXT_H

#include "base/memory.h"

/* A JSON string with its quotes; bytes that are not UTF-8 are the caller's to keep out. */
void text_write_json(const char *text, struct buffer *out);
void text_write_html(const char *text, struct buffer *out);

#endif
