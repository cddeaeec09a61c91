/*
 * Properties of the decoder on random records: it agrees with the reference, whichever engine runs,
 * whatever it learnt before, and wherever the stream is cut into batches.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "codec/json_generate.h"
#include "codec/json_reference.h"

enum { STREAM_RECORDS = 300 };

struct stream {
    struct bytes texts[STREAM_RECORDS]; /* each in memory of exactly its size */
    uint32_t count;
};

static void stream_generate(struct stream *stream, uint64_t seed, bool repeats)
{
    struct prng prng;
    prng_init(&prng, seed);
    struct generator g = {.repeats = repeats};
    prng_init(&g.values, seed + 1);
    for (stream->count = 0; stream->count < STREAM_RECORDS; stream->count++) {
        /* A few shapes that come again and again. */
        prng_init(&g.shape, seed * 16 + prng_below(&prng, chance(&prng, 90) ? 3 : 1000));
        unsigned damage = chance(&prng, 30) ? 1 + (unsigned)prng_below(&prng, 2) : 0;
        struct bytes text = generate_record(&g, damage);
        uint8_t *exact = memory_alloc(text.size);
        memcpy(exact, text.data, text.size);
        stream->texts[stream->count] = bytes_of(exact, text.size);
    }
    buffer_fini(&g.out);
}

static void stream_free(struct stream *stream)
{
    for (uint32_t i = 0; i < stream->count; i++) {
        memory_free((void *)(uintptr_t)stream->texts[i].data);
    }
}

/* All rows as lines; batches of `batch_rows` records, or of random sizes when it is 0. */
static void stream_render(const struct stream *stream, const struct layout *layout,
                          const struct json_options *options, const struct json_engine *engine,
                          uint32_t batch_rows, struct buffer lines[STREAM_RECORDS])
{
    struct prng prng;
    prng_init(&prng, 99);
    struct json_decoder *decoder = json_decoder_new(layout, options);
    struct batch *batch = batch_new(layout);
    json_decoder_set_engine(decoder, engine);
    for (uint32_t next = 0; next < stream->count;) {
        uint32_t rows = batch_rows == 0 ? 1 + (uint32_t)prng_below(&prng, 40) : batch_rows;
        uint32_t first = next;
        batch_reset(batch, 0, 0);
        for (; next < stream->count && batch->row_count < rows; next++) {
            batch_append_record(batch)->value = stream->texts[next];
        }
        json_decode(decoder, batch);
        batch_sort_violations(batch);
        for (uint32_t row = 0; row < batch->row_count; row++) {
            row_render(&lines[first + row], batch, row);
        }
    }
    batch_free(batch);
    json_decoder_free(decoder);
}

static void lines_free(struct buffer lines[STREAM_RECORDS])
{
    for (uint32_t i = 0; i < STREAM_RECORDS; i++) {
        buffer_fini(&lines[i]);
    }
}

static void expect_line(const struct buffer *line, const struct buffer *expected, struct bytes text,
                        const char *what)
{
    if (line->size != expected->size ||
        (line->size > 0 && memcmp(line->data, expected->data, line->size) != 0)) {
        fail_msg("%s\nrecord:   %.*s\ngot:      %.*s\nexpected: %.*s", what, (int)text.size,
                 (const char *)text.data, (int)line->size, (const char *)line->data,
                 (int)expected->size, (const char *)expected->data);
    }
}

static void expect_reference(const struct stream *stream, const struct layout *layout,
                             const struct json_options *options,
                             const struct buffer lines[STREAM_RECORDS], unsigned *refused)
{
    for (uint32_t i = 0; i < stream->count; i++) {
        struct buffer expected = {0};
        reason_id reason;
        reference_render(layout, options, stream->texts[i], &expected, &reason);
        struct buffer line = lines[i];
        if (reason != REASON_NONE) {
            (*refused)++;
            buffer_printf(&expected, "| %s ", row_reason_name(reason));
            line.size = line.size < expected.size ? line.size : expected.size;
        }
        expect_line(&line, &expected, stream->texts[i], "unlike the reference");
        bool is_json = reason == REASON_NONE || reason == REASON_SCHEMA_TYPE;
        if (options->repeated_key == JSON_REPEATED_KEY_LAST) {
            assert_int_equal(json_is_valid(stream->texts[i], options->max_depth), is_json);
        }
        buffer_fini(&expected);
    }
}

static void check_stream(uint64_t seed, unsigned *refused)
{
    const struct layout *layout = seed % 2 == 0 ? &row_layout_open : &row_layout_closed;
    struct json_options options = {
        .repeated_key = seed % 3 == 0 ? JSON_REPEATED_KEY_LAST : JSON_REPEATED_KEY_ERROR,
        .max_depth = seed % 5 == 0 ? 4 : 0,
    };
    struct stream stream;
    stream_generate(&stream, seed, seed % 3 != 1);
    struct buffer first[STREAM_RECORDS] = {{0}};
    stream_render(&stream, layout, &options, row_engines[0], STREAM_RECORDS, first);
    expect_reference(&stream, layout, &options, first, refused);
    static const uint32_t cuts[] = {1, 7, 0};
    for (size_t e = 0; e < row_engine_count(); e++) {
        for (size_t c = 0; c < sizeof cuts / sizeof cuts[0]; c++) {
            struct buffer other[STREAM_RECORDS] = {{0}};
            stream_render(&stream, layout, &options, row_engines[e], cuts[c], other);
            for (uint32_t i = 0; i < stream.count; i++) {
                expect_line(&other[i], &first[i], stream.texts[i], "unlike the first way");
            }
            lines_free(other);
        }
    }
    lines_free(first);
    stream_free(&stream);
}

static void test_like_the_reference(void **state)
{
    (void)state;
    unsigned refused = 0;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        check_stream(seed, &refused);
    }
    /* The damage must show, and must not be everywhere. */
    assert_in_range(refused, 30 * STREAM_RECORDS / 20, 30 * STREAM_RECORDS / 2);
}

/* --- Flat records that look alike, and nearly so: what templates are made of. --- */

static void alike_number(struct prng *prng, struct buffer *out)
{
    static const char *const odd[] = {
        "-",    "1.",       "01",        "1.2.3",     "--1",  "1e5",      "12345678", "123456789",
        "-0",   "0.5",      ".5",        "1-2",       "-0.0", "0.000001", "-1234.67", "1234567.8",
        "00",   "-01",      "0",         "9999999.9", "1 2",  "+1",       "1:2",      "0x1",
        "-.5",  "1.5e1",    "123456.78", "null",      "true", "-.",       "1..2",     "0.10",
        "\"1\"", "1.2345678", "1/2",       "[]",        "12.", "-9.99E2",  "7\t",      "3.14159265358979",
        "-12345678", "99999999", "0.1234567890123456789", "1e400", "1e-400", "123456789012345678901",
    };
    enum { ODD = sizeof odd / sizeof odd[0] };
    if (chance(prng, 8)) {
        buffer_append_string(out, odd[prng_below(prng, ODD)]);
        return;
    }
    if (chance(prng, 30)) {
        buffer_append_byte(out, '-');
    }
    uint64_t limit = 1;
    for (uint64_t digits = 1 + prng_below(prng, 4); digits > 0; digits--) {
        limit *= 10;
    }
    buffer_printf(out, "%" PRIu64, prng_below(prng, limit));
    if (chance(prng, 60)) {
        buffer_append_byte(out, '.');
        for (uint64_t digits = 1 + prng_below(prng, 3); digits > 0; digits--) {
            buffer_append_byte(out, (uint8_t)('0' + prng_below(prng, 10)));
        }
    }
}

static void alike_text(struct prng *prng, struct buffer *out)
{
    static const char *const odd[] = {"\\n", "\xC3\xA4", "\xC3", "\t", "\\", ",", "\":1,\"s\":\"", "\x01"};
    buffer_append_byte(out, '"');
    for (uint64_t size = prng_below(prng, chance(prng, 10) ? 90 : 12); size > 0; size--) {
        buffer_append_byte(out, (uint8_t)('a' + prng_below(prng, 26)));
    }
    if (chance(prng, 5)) {
        buffer_append_string(out, odd[prng_below(prng, sizeof odd / sizeof odd[0])]);
    }
    buffer_append_byte(out, '"');
}

static void alike_member(struct prng *prng, const char *name, struct buffer *out)
{
    buffer_append_byte(out, '"');
    buffer_append_string(out, name);
    buffer_append_string(out, "\":");
    switch (name[0]) {
    case 'b':
        buffer_append_string(out, chance(prng, 3) ? "tru" : chance(prng, 50) ? "true" : "false");
        break;
    case 'i':
        if (chance(prng, 70)) {
            buffer_printf(out, "%d", (int)prng_below(prng, 20000) - 10000);
            break;
        }
        alike_number(prng, out);
        break;
    case 's':
    case 't':
        alike_text(prng, out);
        break;
    default:
        alike_number(prng, out);
    }
}

/* Of a few forms: which members, in which order, with blanks or without. */
static struct bytes alike_record(struct prng *prng)
{
    static const char *const forms[][6] = {
        {"text_of_some_kind", "i", "d", "b", "s", NULL},
        {"d", "s", "i", NULL},
        {"s", "number_without_a_column_and_with_a_name_of_more_than_forty_bytes", "d", NULL},
        {"i", "b", NULL},
        {"s", "d", "s", NULL},
    };
    static const char *const separators[] = {",", ", ", " , "};
    const uint64_t form = prng_below(prng, chance(prng, 90) ? 3 : 5);
    struct buffer out = {0};
    buffer_append_string(&out, form == 1 ? " { " : "{");
    for (size_t i = 0; forms[form][i] != NULL; i++) {
        buffer_append_string(&out, i == 0 ? "" : separators[form % 3]);
        alike_member(prng, forms[form][i], &out);
    }
    buffer_append_string(&out, form == 2 ? "} " : "}");
    if (chance(prng, 5)) {
        out.data[prng_below(prng, out.size)] = (uint8_t)prng_below(prng, 256);
    }
    uint8_t *exact = memory_alloc(out.size);
    memcpy(exact, out.data, out.size);
    struct bytes text = bytes_of(exact, out.size);
    buffer_fini(&out);
    return text;
}

static void test_alike(void **state)
{
    (void)state;
    const struct json_options options = {0};
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct prng prng;
        prng_init(&prng, seed);
        struct stream stream = {.count = 0};
        while (stream.count < STREAM_RECORDS) {
            stream.texts[stream.count++] = alike_record(&prng);
        }
        const struct layout *layout = seed % 2 == 0 ? &row_layout_open : &row_layout_closed;
        struct buffer first[STREAM_RECORDS] = {{0}};
        unsigned refused = 0;
        stream_render(&stream, layout, &options, row_engines[0], STREAM_RECORDS, first);
        expect_reference(&stream, layout, &options, first, &refused);
        static const uint32_t cuts[] = {150, 33, 0};
        for (size_t e = 1; e < row_engine_count(); e++) {
            for (size_t c = 0; c < sizeof cuts / sizeof cuts[0]; c++) {
                struct buffer other[STREAM_RECORDS] = {{0}};
                stream_render(&stream, layout, &options, row_engines[e], cuts[c], other);
                for (uint32_t i = 0; i < stream.count; i++) {
                    expect_line(&other[i], &first[i], stream.texts[i], "unlike the first way");
                }
                lines_free(other);
            }
        }
        lines_free(first);
        stream_free(&stream);
    }
}

/* Templates are found where there are any; and given up where there are none, for the time being. */
static void test_templates_are_used(void **state)
{
    (void)state;
    const struct json_engine *best = json_engine_best();
    if (best->decode_alike == NULL) {
        skip();
    }
    const struct json_options options = {0};
    struct json_decoder *decoder = json_decoder_new(&row_layout_open, &options);
    struct batch *batch = batch_new(&row_layout_open);
    uint32_t hits[2][2] = {{0}};
    for (uint32_t round = 0; round < 4; round++) {
        struct buffer texts[BATCH_ROWS_MAX];
        batch_reset(batch, 0, 0);
        for (uint32_t i = 0; i < BATCH_ROWS_MAX; i++) {
            texts[i] = (struct buffer){0};
            /* Three forms by turns, then a name of its own in each record. */
            buffer_printf(&texts[i], "{\"s\":\"x\",\"%c%u\":\"y\",\"d\":-%u.5}", 'p',
                          round < 2 ? i % 3 : i, i);
            batch_append_record(batch)->value = bytes_of(texts[i].data, texts[i].size);
        }
        json_decode(decoder, batch);
        for (uint32_t i = 0; i < BATCH_ROWS_MAX; i++) {
            hits[round / 2][round % 2] += decoder->templates.of_rows[i] != 0;
            assert_int_equal(batch->columns[ROW_D].cells[i], CELL_VALUE);
            assert_true(batch->columns[ROW_D].reals[i] == -(double)i - 0.5);
            buffer_fini(&texts[i]);
        }
    }
    assert_int_equal(hits[0][0], BATCH_ROWS_MAX - JSON_BLOCK_ROWS);
    assert_int_equal(hits[0][1], BATCH_ROWS_MAX);
    assert_in_range(hits[1][0], 0, 100);
    assert_true(decoder->templates.paused > 0 || hits[1][1] == 0);
    batch_free(batch);
    json_decoder_free(decoder);
}

/* A record that ends early is never a record. */
static void test_truncations(void **state)
{
    (void)state;
    struct json_options options = {0};
    struct generator g = {0};
    for (uint64_t seed = 500; seed < 530; seed++) {
        prng_init(&g.shape, seed);
        prng_init(&g.values, seed);
        struct bytes whole = generate_record(&g, 0);
        while (whole.data[whole.size - 1] != '}') {
            whole.size--;
        }
        for (size_t e = 0; e < row_engine_count(); e++) {
            struct json_decoder *decoder = json_decoder_new(&row_layout_open, &options);
            struct batch *batch = batch_new(&row_layout_open);
            json_decoder_set_engine(decoder, row_engines[e]);
            for (size_t size = 0; size <= whole.size; size++) {
                /* The whole record in between, so that the keys are expected. */
                uint8_t *exact = memory_alloc(size);
                memcpy(exact, whole.data, size);
                batch_reset(batch, 0, 0);
                batch_append_record(batch)->value = whole;
                batch_append_record(batch)->value = bytes_of(exact, size);
                json_decode(decoder, batch);
                assert_int_equal(batch->verdicts[0], VERDICT_NONE);
                assert_int_equal(batch->verdicts[1],
                                 size < whole.size ? VERDICT_INVALID : VERDICT_NONE);
                assert_int_equal(json_is_valid(bytes_of(exact, size), 0), size == whole.size);
                memory_free(exact);
            }
            batch_free(batch);
            json_decoder_free(decoder);
        }
    }
    buffer_fini(&g.out);
}

/* Each byte value at each place of strings of many lengths: the loops over whole blocks and their
 * ends. */
static void test_string_scanning(void **state)
{
    (void)state;
    struct json_walk walk = {.max_depth = 128};
    for (size_t length = 1; length <= 70; length += length < 36 ? 1 : 11) {
        uint8_t *text = memory_alloc(length + 2);
        for (size_t at = 0; at < length; at++) {
            for (unsigned byte = 0; byte < 256; byte++) {
                memset(text, 'x', length + 2);
                text[0] = '"';
                text[length + 1] = '"';
                text[at + 1] = (uint8_t)byte;
                bool expected = byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
                for (size_t e = 0; e < row_engine_count(); e++) {
                    size_t offset;
                    bool valid =
                        json_walk_text(&walk, row_engines[e], bytes_of(text, length + 2), &offset);
                    assert_int_equal(valid, expected);
                }
            }
        }
        memory_free(text);
    }
    json_walk_fini(&walk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_like_the_reference),
        cmocka_unit_test(test_alike),
        cmocka_unit_test(test_templates_are_used),
        cmocka_unit_test(test_truncations),
        cmocka_unit_test(test_string_scanning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
