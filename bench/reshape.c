#include "reshape.h"

#include <string.h>

#include "base/prng.h"

enum { MEMBERS_MAX = 16, SLACK_BYTES = 64 };

/* Beyond the schema, which lets other members pass. */
static const char rich_members[] =
    ",\"comment\":\"a \\\"quoted\\\" text\\nwith a caf\\u00e9 and a back\\\\slash\""
    ",\"trace\":{\"path\":[1,2.5,{\"hop\":null,\"ok\":true}],\"by\":\"gateway\"}"
    ",\"log\":\"0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz"
    "0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz\"";

static uint32_t split(struct bytes value, struct bytes *members)
{
    uint32_t count = 0;
    size_t first = 1;
    for (size_t i = 1; i < value.size; i++) {
        if (value.data[i] == ',' || i + 1 == value.size) {
            check(count < MEMBERS_MAX);
            members[count++] = bytes_of(value.data + first, i - first);
            first = i + 1;
        }
    }
    return count;
}

static void turn(struct bytes *members, uint32_t count, uint32_t by)
{
    struct bytes turned[MEMBERS_MAX];
    for (uint32_t i = 0; i < count; i++) {
        turned[i] = members[(i + by) % count];
    }
    memcpy(members, turned, count * sizeof *members);
}

static void shuffle(struct bytes *members, uint32_t count, struct prng *prng)
{
    for (uint32_t i = count; i > 1; i--) {
        uint32_t other = (uint32_t)prng_below(prng, i);
        struct bytes kept = members[i - 1];
        members[i - 1] = members[other];
        members[other] = kept;
    }
}

static size_t write_value(const struct bytes *members, uint32_t count, const char *more,
                          struct buffer *out)
{
    size_t before = out->size;
    for (uint32_t i = 0; i < count; i++) {
        buffer_append_byte(out, i == 0 ? '{' : ',');
        buffer_append(out, members[i].data, members[i].size);
    }
    buffer_append_string(out, more);
    buffer_append_byte(out, '}');
    return out->size - before;
}

void input_reshape(struct input *input, enum reshape how)
{
    struct buffer bytes = {0};
    struct prng prng;
    prng_init(&prng, 1);
    input->size_bytes = 0;
    for (uint32_t i = 0; i < input->count; i++) {
        struct bytes members[MEMBERS_MAX];
        struct bytes *value = &input->records[i].value;
        uint32_t count = split(*value, members);
        if (how == RESHAPE_THREE) {
            turn(members, count, i % 3 * 3);
        } else if (how == RESHAPE_RANDOM) {
            shuffle(members, count, &prng);
        }
        value->size = write_value(members, count, how == RESHAPE_RICH ? rich_members : "", &bytes);
        input->size_bytes += value->size;
        input->records[i].key = BYTES_NONE;
    }
    /* The slices are made when the block does not move any more. */
    memset(buffer_reserve(&bytes, SLACK_BYTES), 0, SLACK_BYTES);
    const uint8_t *at = bytes.data;
    for (uint32_t i = 0; i < input->count; i++) {
        struct bytes *value = &input->records[i].value;
        *value = bytes_of(at, value->size);
        at += value->size;
    }
    buffer_fini(&input->bytes);
    input->bytes = bytes;
}
