/*
 * The digest of a producer's input: by it a repeated input is told from another one (docs/formats.md).
 */
#ifndef WEIR_CLI_INPUT_DIGEST_H
#define WEIR_CLI_INPUT_DIGEST_H

#include "base/bytes.h"
#include "base/hash.h"

/* Of all lines up to this one: its hash chained to that of those before it, which begins with zeros. */
static inline struct hash128 input_digest_extend(struct hash128 digest, struct bytes line)
{
    struct hash128 link[2] = {digest, hash_plain(line.data, line.size)};
    return hash_plain(link, sizeof link);
}

#endif
