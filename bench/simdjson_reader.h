/* simdjson's On-Demand parser, in C's words: a reference to measure decoding against. */
#ifndef WEIR_BENCH_SIMDJSON_READER_H
#define WEIR_BENCH_SIMDJSON_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Readable bytes that a value needs behind its last one. */
#define SIMDJSON_SLACK_BYTES 64u

#ifdef __cplusplus
extern "C" {
#endif

struct simdjson_reader;

/* Takes the fields of examples/sensor.schema.json out of a value, with their types: five texts,
 * three doubles, one integer, into columns as a decoder would. */
struct simdjson_reader *simdjson_reader_new(void);
void simdjson_reader_free(struct simdjson_reader *reader);
/* The value at `data` into row `row` of the columns, from 0 on again after as many as a batch has.
 * False: it is not JSON, or lacks a field that the schema requires. */
bool simdjson_reader_take(struct simdjson_reader *reader, const uint8_t *data, size_t size,
                          uint32_t row);

#ifdef __cplusplus
}
#endif

#endif
