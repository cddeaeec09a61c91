/*
 * Re-injected dead letters: the header `weir.replay` of a record that `dlq replay` wrote into
 * the log says where it came from. Form, as text: `<topic> <partition> <offset> <attempt>[
 * <sink>]`, numbers in decimal. A header that does not read so is an ordinary header of the
 * sender.
 */
#include "stage/stage_private.h"

#define REPLAY_HEADER "weir.replay"

static bool next_word(struct bytes *rest, struct bytes *out)
{
    if (rest->size == 0) {
        return false;
    }
    const uint8_t *space = memchr(rest->data, ' ', rest->size);
    size_t size = space == NULL ? rest->size : (size_t)(space - rest->data);
    *out = bytes_of(rest->data, size);
    size_t taken = space == NULL ? size : size + 1;
    *rest = bytes_of(rest->data + taken, rest->size - taken);
    return size > 0;
}

static bool next_number(struct bytes *rest, int64_t limit, int64_t *out)
{
    struct bytes word;
    if (!next_word(rest, &word) || word.size > 18) {
        return false;
    }
    int64_t number = 0;
    for (size_t i = 0; i < word.size; i++) {
        if (word.data[i] < '0' || word.data[i] > '9') {
            return false;
        }
        number = number * 10 + (word.data[i] - '0');
    }
    *out = number;
    return number <= limit;
}

static bool read_header(struct bytes text, struct replay_origin *out)
{
    int64_t partition = 0;
    int64_t offset = 0;
    int64_t attempt = 0;
    if (!next_word(&text, &out->topic) || !next_number(&text, INT32_MAX, &partition) ||
        !next_number(&text, INT64_MAX, &offset) || !next_number(&text, INT32_MAX, &attempt)) {
        return false;
    }
    out->partition = (int32_t)partition;
    out->offset = offset;
    out->attempt = (uint32_t)attempt;
    out->sink = BYTES_NONE;
    return text.size == 0 || (next_word(&text, &out->sink) && text.size == 0);
}

void stage_read_replay_headers(struct batch *batch)
{
    for (uint32_t row = 0; row < batch->row_count; row++) {
        const struct record *record = &batch->records[row];
        for (uint32_t i = 0; i < record->header_count; i++) {
            struct replay_origin origin = {.row = row};
            if (bytes_equal_string(record->headers[i].name, REPLAY_HEADER) &&
                !bytes_is_none(record->headers[i].value) &&
                read_header(record->headers[i].value, &origin)) {
                batch_add_replay(batch, &origin);
                break;
            }
        }
    }
}
