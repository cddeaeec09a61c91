/*
 * Dead letters in a file: one JSON object a line, with these members in this order:
 *
 *   reason, field, detail   text; "" where there is none
 *   violations              [{"reason", "field", "detail"}, …]
 *   topic, partition        text
 *   offset                  number
 *   timestamp               ISO 8601 in UTC, or null
 *   pipeline, plan          text
 *   attempt                 number, from 1
 *   sink                    text; "" unless a sink refused the row
 *   headers                 [{"name": …, "value": …}, …] in their order
 *   key, value              text byte for byte, or null where there is none
 *
 * A name or value that is not UTF-8 stands in base64 under the member's name with `_base64` behind
 * it ("value_base64", in a header "name_base64"), and the plain member is absent.
 */
#ifndef WEIR_CONNECTOR_FILE_LETTER_H
#define WEIR_CONNECTOR_FILE_LETTER_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "connector/sink.h"

/* Without a newline. */
void letter_write(const struct dead_letter *letter, struct buffer *out);

/* Finds the origin in stored lines. */
struct letter_reader;
struct letter_reader *letter_reader_new(void);
/* Takes NULL. */
void letter_reader_free(struct letter_reader *reader);
/* Texts live until the next call. For a line that is not one of these objects: "", "" and -1. */
void letter_reader_origin(struct letter_reader *reader, struct bytes line, const char **out_topic,
                          const char **out_partition, int64_t *out_offset);

#endif
