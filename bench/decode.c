/*
 * Decoding and the contract alone: json_decode() and the schema's checks, on batches of records in
 * memory that are all right; of one shape, and of shapes that change (reshape.h). Filling the batches is
 * a source's work, and not counted. Beside them: copying the same bytes, jansson's parser, which builds
 * a tree, and simdjson's, which takes out the same fields and judges nothing.
 */
#include <string.h>

#include "codec/json.h"
#include "measure.h"
#include "plan/plan.h"
#include "reshape.h"
#include "schema/schema.h"

#ifdef HAVE_JANSSON
#include <jansson.h>
#endif
#ifdef HAVE_SIMDJSON
#include "simdjson_reader.h"
#endif

/* What a thing does with some records. */
typedef enum status (*work_fn)(void *context, const struct input *input, struct error *err);

/* Goes over the same records until there were enough: they are together larger than the caches
 * that belong to one core. */
static enum status repeat_shaped(const struct arguments *arguments, const enum reshape *shape,
                                 work_fn work, void *context, struct measurement *out,
                                 struct error *err)
{
    struct input input;
    enum status status = input_init(&input, INPUT_RECORDS, true, err);
    if (status != STATUS_OK) {
        return status;
    }
    input_next(&input);
    if (shape != NULL) {
        input_reshape(&input, *shape);
    }
    while (out->records < arguments->records && status == STATUS_OK) {
        measure_begin(out);
        status = work(context, &input, err);
        measure_end(out);
        out->records += input.count;
        out->bytes += input.size_bytes;
    }
    input_fini(&input);
    return status;
}

static enum status repeat(const struct arguments *arguments, work_fn work, void *context,
                          struct measurement *out, struct error *err)
{
    return repeat_shaped(arguments, NULL, work, context, out, err);
}

struct decoding {
    struct json_decoder *decoder;
    struct schema_checker *checker;
    struct batch *batch;
    struct measurement *measurement;
};

/* Called while the time counts. */
static uint32_t fill_batch(const struct decoding *d, const struct input *input, uint32_t first)
{
    measure_end(d->measurement);
    batch_reset(d->batch, 0, 0);
    const uint32_t count = input_fill_batch(input, first, d->batch);
    measure_begin(d->measurement);
    return count;
}

static enum status decode(void *context, const struct input *input, struct error *err)
{
    struct decoding *d = context;
    for (uint32_t at = 0; at < input->count;) {
        at += fill_batch(d, input, at);
        json_decode(d->decoder, d->batch);
        schema_check_values(d->checker, d->batch);
        schema_check_required(d->checker, d->batch, NULL);
        if (d->batch->violation_count > 0) {
            return error_set(err, STATUS_FATAL, "bench.dirty",
                             "a record that should be right breaks the contract.");
        }
    }
    return STATUS_OK;
}

static enum status decode_shaped(const struct arguments *arguments, const enum reshape *shape,
                                 struct measurement *out, struct error *err)
{
    struct plan *plan = NULL;
    enum status status = plan_load(arguments->pipeline, NULL, &plan, err);
    if (status != STATUS_OK) {
        return status;
    }
    struct decoding d = {
        .decoder = json_decoder_new(plan->stage.layout, &plan->stage.decoder.json),
        .checker = schema_checker_new(plan->stage.schema),
        .batch = batch_new(plan->stage.layout),
        .measurement = out,
    };
    status = repeat_shaped(arguments, shape, decode, &d, out, err);
    batch_free(d.batch);
    schema_checker_free(d.checker);
    json_decoder_free(d.decoder);
    plan_free(plan);
    return status;
}

static enum status measure_decode(const struct arguments *arguments, struct measurement *out,
                                  struct error *err)
{
    return decode_shaped(arguments, NULL, out, err);
}

static enum status measure_three(const struct arguments *arguments, struct measurement *out,
                                 struct error *err)
{
    return decode_shaped(arguments, &(enum reshape){RESHAPE_THREE}, out, err);
}

static enum status measure_random(const struct arguments *arguments, struct measurement *out,
                                  struct error *err)
{
    return decode_shaped(arguments, &(enum reshape){RESHAPE_RANDOM}, out, err);
}

static enum status measure_rich(const struct arguments *arguments, struct measurement *out,
                                struct error *err)
{
    return decode_shaped(arguments, &(enum reshape){RESHAPE_RICH}, out, err);
}

static enum status copy(void *context, const struct input *input, struct error *err)
{
    (void)err;
    struct buffer *to = context;
    for (uint32_t i = 0; i < input->count; i++) {
        if (i % BATCH_ROWS_MAX == 0) {
            buffer_clear(to);
        }
        buffer_append(to, input->records[i].value.data, input->records[i].value.size);
    }
    return STATUS_OK;
}

static enum status measure_memcpy(const struct arguments *arguments, struct measurement *out,
                                  struct error *err)
{
    struct buffer to = {0};
    enum status status = repeat(arguments, copy, &to, out, err);
    buffer_fini(&to);
    return status;
}

#ifdef HAVE_JANSSON
static enum status parse(void *context, const struct input *input, struct error *err)
{
    (void)context;
    for (uint32_t i = 0; i < input->count; i++) {
        struct bytes value = input->records[i].value;
        json_t *tree =
            json_loadb((const char *)value.data, value.size, JSON_REJECT_DUPLICATES, NULL);
        if (tree == NULL) {
            return error_set(err, STATUS_FATAL, "bench.dirty", "jansson does not take a record.");
        }
        json_decref(tree);
    }
    return STATUS_OK;
}

static enum status measure_jansson(const struct arguments *arguments, struct measurement *out,
                                   struct error *err)
{
    return repeat(arguments, parse, NULL, out, err);
}
#endif

#ifdef HAVE_SIMDJSON
static enum status take(void *context, const struct input *input, struct error *err)
{
    for (uint32_t i = 0; i < input->count; i++) {
        struct bytes value = input->records[i].value;
        if (!simdjson_reader_take(context, value.data, value.size, i)) {
            return error_set(err, STATUS_FATAL, "bench.dirty", "simdjson does not take a record.");
        }
    }
    return STATUS_OK;
}

static enum status measure_simdjson(const struct arguments *arguments, struct measurement *out,
                                    struct error *err)
{
    struct simdjson_reader *reader = simdjson_reader_new();
    enum status status = repeat(arguments, take, reader, out, err);
    simdjson_reader_free(reader);
    return status;
}
#endif

const struct thing decode_things[] = {
    {"decode", measure_decode},
    {"decode-three", measure_three},
    {"decode-random", measure_random},
    {"decode-rich", measure_rich},
    {"decode-memcpy", measure_memcpy},
#ifdef HAVE_JANSSON
    {"decode-jansson", measure_jansson},
#endif
#ifdef HAVE_SIMDJSON
    {"decode-simdjson", measure_simdjson},
#endif
    {0},
};
