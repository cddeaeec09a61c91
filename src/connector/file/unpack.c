#include "connector/file/unpack.h"

#include <zlib.h>
#include <zstd.h>

#include "base/memory.h"

/* zlib's sizes are those of unsigned int. */
#define PIECE_MAX ((size_t)1 << 30)

struct unpacker {
    ZSTD_DCtx *zstd; /* NULL: gzip */
    z_stream gzip;
};

struct unpacker *unpacker_new(bool is_zstd)
{
    struct unpacker *unpacker = memory_alloc_zero(1, sizeof *unpacker);
    if (is_zstd) {
        unpacker->zstd = ZSTD_createDCtx();
        check(unpacker->zstd != NULL);
    } else {
        /* 15 bits of window, and 16 for the gzip form alone. */
        check(inflateInit2(&unpacker->gzip, 15 + 16) == Z_OK);
    }
    return unpacker;
}

void unpacker_free(struct unpacker *unpacker)
{
    if (unpacker == NULL) {
        return;
    }
    if (unpacker->zstd != NULL) {
        ZSTD_freeDCtx(unpacker->zstd);
    } else {
        inflateEnd(&unpacker->gzip);
    }
    memory_free(unpacker);
}

static const char *run_zstd(struct unpacker *unpacker, struct bytes packed, size_t *taken,
                            uint8_t *out, size_t size, size_t *out_size, bool *out_ended)
{
    ZSTD_inBuffer in = {packed.data, packed.size, *taken};
    ZSTD_outBuffer to = {out, size, 0};
    size_t left = 1;
    do {
        left = ZSTD_decompressStream(unpacker->zstd, &to, &in);
        if (ZSTD_isError(left)) {
            return ZSTD_getErrorName(left);
        }
    } while (in.pos < in.size && to.pos < to.size && left != 0);
    *taken = in.pos;
    *out_size = to.pos;
    *out_ended = left == 0;
    return NULL;
}

static const char *run_gzip(struct unpacker *unpacker, struct bytes packed, size_t *taken,
                            uint8_t *out, size_t size, size_t *out_size, bool *out_ended)
{
    z_stream *stream = &unpacker->gzip;
    size_t left = packed.size - *taken;
    stream->next_in = (Bytef *)(uintptr_t)(packed.data + *taken);
    stream->avail_in = (uInt)(left < PIECE_MAX ? left : PIECE_MAX);
    stream->next_out = out;
    stream->avail_out = (uInt)(size < PIECE_MAX ? size : PIECE_MAX);
    uInt given_in = stream->avail_in;
    uInt given_out = stream->avail_out;
    int result = inflate(stream, Z_NO_FLUSH);
    *taken += given_in - stream->avail_in;
    *out_size = given_out - stream->avail_out;
    *out_ended = result == Z_STREAM_END;
    if (*out_ended) {
        check(inflateReset(stream) == Z_OK);
        return NULL;
    }
    /* Z_BUF_ERROR: no more bytes, or no more room. */
    if (result == Z_OK || result == Z_BUF_ERROR) {
        return NULL;
    }
    return stream->msg != NULL ? stream->msg : "this is no gzip stream";
}

const char *unpacker_run(struct unpacker *unpacker, struct bytes packed, size_t *taken, uint8_t *out,
                         size_t size, size_t *out_size, bool *out_ended)
{
    return unpacker->zstd != NULL
               ? run_zstd(unpacker, packed, taken, out, size, out_size, out_ended)
               : run_gzip(unpacker, packed, taken, out, size, out_size, out_ended);
}
