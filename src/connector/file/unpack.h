/*
 * Unpacker: one zstd or gzip stream, block by block. No I/O.
 */
#ifndef WEIR_CONNECTOR_FILE_UNPACK_H
#define WEIR_CONNECTOR_FILE_UNPACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

struct unpacker;

/* At the beginning of a frame or member. */
struct unpacker *unpacker_new(bool is_zstd);
/* Takes NULL. */
void unpacker_free(struct unpacker *unpacker);
/* Takes bytes of `packed` from *taken on, until they are used up, `size` bytes were written to `out`
 * or a frame or member ended (*out_ended; the next bytes begin another). Returns NULL, or a static
 * text that says what is wrong. After a run that filled `out` there may be more without more bytes.
 */
const char *unpacker_run(struct unpacker *unpacker, struct bytes packed, size_t *taken, uint8_t *out,
                         size_t size, size_t *out_size, bool *out_ended);

#endif
