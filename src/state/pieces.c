#include "state/store.h"

#include <string.h>

enum { SIZE_BYTES = 4 };

size_t pieces_begin(struct state_pieces *pieces)
{
    size_t begin = pieces->out.size;
    buffer_append_u32(&pieces->out, 0);
    return begin;
}

void pieces_end(struct state_pieces *pieces, size_t begin)
{
    size_t size = pieces->out.size - begin - SIZE_BYTES;
    check(size > 0 && size <= UINT32_MAX);
    uint32_t stored = htole32((uint32_t)size);
    memcpy(pieces->out.data + begin, &stored, sizeof stored);
    if (pieces->full != NULL && pieces->out.size >= pieces->full_bytes) {
        pieces->full(pieces->context, &pieces->out);
    }
}

void pieces_end_all(struct state_pieces *pieces)
{
    buffer_append_u32(&pieces->out, 0);
}

bool pieces_next(struct reader *in, struct bytes *out)
{
    *out = reader_sized(in);
    return !in->failed && out->size > 0;
}
