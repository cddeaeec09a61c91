/*
 * Decoder: the port between the stages and the formats of records. `format` of a source picks one;
 * it fills the columns of a batch (json.h, csv.h say how), and knows what a record looks like as the
 * JSON object that goes out.
 *
 * A decoder belongs to one thread. Results depend on layout, options, and the records and header of
 * the batch alone.
 */
#ifndef WEIR_CODEC_DECODER_H
#define WEIR_CODEC_DECODER_H

#include "codec/csv.h"
#include "codec/json.h"

enum record_format { FORMAT_JSON = 0, FORMAT_CSV };

struct decoder_options {
    enum record_format format;
    struct json_options json;
    struct csv_options csv;
};

struct decoder;
struct decoder_ops {
    void (*decode)(struct decoder *decoder, struct batch *batch);
    /* Appends the record as a JSON object; asked for rows without violations of decoding. NULL: the
     * value is one as it came. */
    void (*write_object)(struct decoder *decoder, const struct batch *batch, uint32_t row,
                         struct buffer *out);
    void (*free)(struct decoder *decoder);
};
struct decoder {
    const struct decoder_ops *ops;
};

/* The options must outlive the decoder. */
struct decoder *decoder_new(const struct layout *layout, const struct decoder_options *options);
/* Takes NULL. */
void decoder_free(struct decoder *decoder);

#endif
