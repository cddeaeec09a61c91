#include "codec/lz4_follow.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include <lz4.h>
#include <lz4frame.h>

#include "base/memory.h"
#include "base/prng.h"
#include "codec/compression.h"

/* Records with values of changing length, in `shapes` forms by turns. */
static void write_records(struct prng *prng, unsigned shapes, size_t size, struct buffer *out)
{
    static const char *const shapes_text[] = {
        "{\"id\":\"%016llx\",\"site\":\"north\",\"temperature\":%llu.%llu,\"battery\":%llu}\n",
        "%016llx,%llu,\"a text, quoted\",%llu,%llu\n",
        "level=info at=%llx took=%llu us, of %llu (%llu)\n",
    };
    for (unsigned i = 0; out->size < size; i++) {
        char line[160];
        int length = snprintf(
            line, sizeof line, shapes_text[i % shapes], (unsigned long long)prng_next(prng),
            (unsigned long long)prng_below(prng, 2000), (unsigned long long)prng_below(prng, 100),
            (unsigned long long)prng_below(prng, 30));
        buffer_append(out, line, (size_t)length);
    }
}

/* Packs an exact copy, so that a read outside is found, by both ways. 0: given up. */
static size_t pack_and_unpack(const uint8_t *data, size_t size)
{
    uint8_t *raw = memory_alloc(size);
    memcpy(raw, data, size);
    size_t bound = (size_t)LZ4_compressBound((int)size) + LZ4_FOLLOW_SLACK_BYTES;
    uint8_t *packed = memory_alloc(bound);
    uint8_t *portable = memory_alloc(bound);
    size_t packed_size = lz4_follow_pack(bytes_of(raw, size), packed);
    assert_int_equal(lz4_follow_pack_portable(bytes_of(raw, size), portable), packed_size);
    assert_memory_equal(packed, portable, packed_size);
    if (packed_size > 0) {
        uint8_t *unpacked = memory_alloc(size);
        assert_int_equal(LZ4_decompress_safe((const char *)packed, (char *)unpacked,
                                             (int)packed_size, (int)size),
                         size);
        assert_memory_equal(unpacked, raw, size);
        memory_free(unpacked);
    }
    memory_free(raw);
    memory_free(packed);
    memory_free(portable);
    return packed_size;
}

static void test_records_are_packed(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 11);
    for (unsigned shapes = 1; shapes <= 3; shapes++) {
        struct buffer text = {0};
        write_records(&prng, shapes, 256 * 1024, &text);
        size_t size = pack_and_unpack(text.data, text.size);
        uint8_t *packed = memory_alloc((size_t)LZ4_compressBound((int)text.size));
        int lz4_size = LZ4_compress_default((const char *)text.data, (char *)packed, (int)text.size,
                                            LZ4_compressBound((int)text.size));
        assert_true(size > 0 && size < (size_t)lz4_size * 3 / 2);
        memory_free(packed);
        buffer_fini(&text);
    }
}

static void test_every_short_size(void **state)
{
    (void)state;
    struct prng prng;
    struct buffer text = {0};
    prng_init(&prng, 12);
    write_records(&prng, 1, 1200, &text);
    for (size_t size = 1; size <= 1200; size++) {
        assert_true(pack_and_unpack(text.data, size) > 0);
    }
    buffer_fini(&text);
}

/* Pieces of records, pieces of noise and runs of one byte, of any length. */
static void test_whatever_comes_is_unpacked_alike(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 13);
    unsigned packed = 0;
    for (unsigned trial = 0; trial < 400; trial++) {
        struct buffer text = {0};
        size_t wanted = 1 + prng_below(&prng, trial % 10 == 0 ? 200000 : 5000);
        while (text.size < wanted) {
            size_t piece = 1 + prng_below(&prng, 1 + prng_below(&prng, 3000));
            uint64_t kind = prng_below(&prng, 6);
            for (size_t i = 0; kind == 0 && i < piece; i++) {
                buffer_append_byte(&text, (uint8_t)prng_next(&prng));
            }
            if (kind == 1) {
                memset(buffer_reserve(&text, piece), (int)prng_below(&prng, 256), piece);
                text.size += piece;
            } else if (kind > 1) {
                write_records(&prng, 1 + (unsigned)prng_below(&prng, 3), text.size + piece, &text);
            }
        }
        packed += pack_and_unpack(text.data, wanted) > 0;
        buffer_fini(&text);
    }
    assert_true(packed > 100);
}

static void test_gives_up_on_what_is_not_alike(void **state)
{
    (void)state;
    struct prng prng;
    struct buffer text = {0};
    prng_init(&prng, 14);
    static const char *const words[] = {"weir ", "dam ",  "river ",  "flood ",
                                        "gate ", "lock ", "stream ", "pond "};
    while (text.size < 100000) {
        const char *word = words[prng_below(&prng, 8)];
        buffer_append(&text, word, strlen(word));
    }
    assert_int_equal(pack_and_unpack(text.data, text.size), 0);
    buffer_fini(&text);
}

/* The whole frame, as others read it: with a checksum of its head, and the end of it marked. */
static void test_frames_are_read_by_lz4(void **state)
{
    (void)state;
    static const size_t sizes[] = {
        4096, 65536, 65537, 300000, 1100000, LZ4_FOLLOW_MAX_BYTES, LZ4_FOLLOW_MAX_BYTES + 1};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct prng prng;
        struct buffer text = {0};
        struct buffer frame = {0};
        prng_init(&prng, 15);
        write_records(&prng, 1, sizes[i], &text);
        assert_true(compression_pack(COMPRESSION_LZ4, bytes_of(text.data, sizes[i]), &frame));
        LZ4F_dctx *context = NULL;
        assert_false(LZ4F_isError(LZ4F_createDecompressionContext(&context, LZ4F_VERSION)));
        uint8_t *out = memory_alloc(sizes[i]);
        size_t out_size = sizes[i];
        size_t frame_size = frame.size;
        assert_int_equal(LZ4F_decompress(context, out, &out_size, frame.data, &frame_size, NULL),
                         0);
        assert_int_equal(frame_size, frame.size);
        assert_int_equal(out_size, sizes[i]);
        assert_memory_equal(out, text.data, sizes[i]);
        LZ4F_freeDecompressionContext(context);
        memory_free(out);
        buffer_fini(&text);
        buffer_fini(&frame);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records_are_packed),
        cmocka_unit_test(test_every_short_size),
        cmocka_unit_test(test_whatever_comes_is_unpacked_alike),
        cmocka_unit_test(test_gives_up_on_what_is_not_alike),
        cmocka_unit_test(test_frames_are_read_by_lz4),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
