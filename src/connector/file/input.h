/*
 * Input: the bytes of a file by their position, packed or not. Of a packed file (zstd, gzip)
 * positions are those of the bytes that come out; frames and members that follow one another are
 * one stream. Which it is says the operator, or the first bytes of the file: no text begins with
 * theirs.
 *
 * A packed file is read forward. What was unpacked since the last read's beginning is kept, so that
 * the next one may begin a little before; for a position before that the input begins again at the
 * last frame or member that starts before it, or at the beginning. Files grow by whole frames: a
 * stream that ends inside of one is known as such (input_end), and goes on when the rest comes. What
 * is no stream, or fails its checksum, is FATAL "source.corrupt", at the place where it happens: the
 * bytes before are good.
 *
 * An unpacker takes some MiB; it is given back at the end of the stream, until more comes.
 */
#ifndef WEIR_CONNECTOR_FILE_INPUT_H
#define WEIR_CONNECTOR_FILE_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum input_packing { INPUT_AUTO, INPUT_NONE, INPUT_GZIP, INPUT_ZSTD };

struct input;

enum status input_open(const char *path, enum input_packing packing, struct input **out,
                       struct error *err) WEIR_MUST_USE;
/* Takes NULL. */
void input_close(struct input *input);
/* Short only at the end of what is there. */
enum status input_read_at(struct input *input, int64_t offset, void *out, size_t size,
                          size_t *out_size, struct error *err) WEIR_MUST_USE;
/* How many bytes there are now; of a packed file that is found by unpacking all that is new.
 * *out_is_whole: false when the last frame or member has no end yet. */
enum status input_end(struct input *input, int64_t *out_size, bool *out_is_whole,
                      struct error *err) WEIR_MUST_USE;
bool input_is_packed(const struct input *input);
/* The size of the file as it lies there; -1 when nobody can tell. */
int64_t input_file_size(const struct input *input);
/* Whether another file is under its name now. */
bool input_is_replaced(const struct input *input);

#endif
