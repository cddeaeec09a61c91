/*
 * Complaints about the text of a document: bytes that may not stand in one, and what libfyaml
 * says, in words that help the person who wrote it. Private to doc/.
 */
#ifndef WEIR_DOC_COMPLAINT_H
#define WEIR_DOC_COMPLAINT_H

#include <libfyaml.h>

#include "base/bytes.h"
#include "base/status.h"
#include "doc/place.h"

/* Refuses NUL, the other control characters but tab and line breaks, and what is not UTF-8:
 * libfyaml takes some of it for the end of the file. CONFIG doc.syntax at the first such byte. */
enum status complaint_about_bytes(const char *file, struct bytes content,
                                  struct error *err) WEIR_MUST_USE;

/* The first error that libfyaml reported to `diag`, as CONFIG doc.syntax; at `last` if it reported
 * none. `context` is appended to the message: the list or map that is still open, or "". */
enum status complaint_of_library(struct fy_diag *diag, const char *file, struct bytes content,
                                 struct place last, const char *context,
                                 struct error *err) WEIR_MUST_USE;

#endif
