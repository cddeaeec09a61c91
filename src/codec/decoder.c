#include "codec/decoder.h"

/* --- JSON --- */

struct json_port {
    struct decoder decoder; /* first */
    struct json_decoder *json;
};

static void decode_json(struct decoder *decoder, struct batch *batch)
{
    json_decode(((struct json_port *)decoder)->json, batch);
}

static void free_json(struct decoder *decoder)
{
    json_decoder_free(((struct json_port *)decoder)->json);
    memory_free(decoder);
}

static const struct decoder_ops json_ops = {.decode = decode_json, .free = free_json};

/* --- CSV --- */

struct csv_port {
    struct decoder decoder; /* first */
    struct csv_decoder *csv;
};

static void decode_csv(struct decoder *decoder, struct batch *batch)
{
    csv_decode(((struct csv_port *)decoder)->csv, batch);
}

static void write_csv_object(struct decoder *decoder, const struct batch *batch, uint32_t row,
                             struct buffer *out)
{
    csv_write_object(((struct csv_port *)decoder)->csv, batch, row, out);
}

static void free_csv(struct decoder *decoder)
{
    csv_decoder_free(((struct csv_port *)decoder)->csv);
    memory_free(decoder);
}

static const struct decoder_ops csv_ops = {
    .decode = decode_csv, .write_object = write_csv_object, .free = free_csv};

struct decoder *decoder_new(const struct layout *layout, const struct decoder_options *options)
{
    if (options->format == FORMAT_CSV) {
        struct csv_port *port = memory_alloc_zero(1, sizeof *port);
        port->decoder.ops = &csv_ops;
        port->csv = csv_decoder_new(layout, &options->csv);
        return &port->decoder;
    }
    struct json_port *port = memory_alloc_zero(1, sizeof *port);
    port->decoder.ops = &json_ops;
    port->json = json_decoder_new(layout, &options->json);
    return &port->decoder;
}

void decoder_free(struct decoder *decoder)
{
    if (decoder != NULL) {
        decoder->ops->free(decoder);
    }
}
