#include "connector/file/input.h"

#include <string.h>

#include "base/memory.h"
#include "connector/file/unpack.h"
#include "os/file.h"

/* What is read of a packed file at once, and unpacked at once. */
#define PACKED_BYTES ((size_t)128 * 1024)
#define STEP_BYTES ((size_t)256 * 1024)
/* Places to begin again at are noted so far apart. */
#define MARK_BYTES ((int64_t)1 << 20)
/* Two bytes before a position tell whether a line begins there. */
#define BEFORE_BYTES 2
#define MAGIC_BYTES 4u

struct mark {
    int64_t packed; /* a frame or member begins here in the file … */
    int64_t offset; /* … and here in what comes out */
};

struct input {
    char *path;
    struct file_reader *reader;
    enum input_packing packing; /* AUTO: too few bytes are there to tell */
    /* of a packed one */
    struct unpacker *unpacker; /* NULL: at a frame's beginning */
    struct buffer packed;      /* bytes of the file, from `taken` on not unpacked yet */
    size_t taken;
    int64_t packed_position; /* in the file, behind `packed` */
    bool in_frame;
    bool was_full;        /* the unpacker may have more without more bytes */
    struct buffer window; /* [position − window.size, position) */
    int64_t position;     /* behind what was unpacked */
    struct mark *marks;
    size_t mark_count, mark_capacity;
};

/* --- opening --- */

/* Nothing is decided, and the bytes are taken as they are, until enough of them are there. */
static enum status decide(struct input *input, struct error *err)
{
    uint8_t magic[MAGIC_BYTES];
    size_t got = 0;
    enum status status = file_reader_read_at(input->reader, 0, magic, sizeof magic, &got, err);
    if (status != STATUS_OK) {
        return status;
    }
    if (got >= 2 && magic[0] == 0x1F && magic[1] == 0x8B) {
        input->packing = INPUT_GZIP;
    } else if (got == MAGIC_BYTES) {
        input->packing =
            memcmp(magic, "\x28\xB5\x2F\xFD", MAGIC_BYTES) == 0 ? INPUT_ZSTD : INPUT_NONE;
    }
    return STATUS_OK;
}

enum status input_open(const char *path, enum input_packing packing, struct input **out,
                       struct error *err)
{
    struct input *input = memory_alloc_zero(1, sizeof *input);
    input->path = memory_copy_string(path);
    input->packing = packing;
    enum status status = file_reader_open(path, &input->reader, err);
    if (status == STATUS_OK && packing == INPUT_AUTO) {
        status = decide(input, err);
    }
    if (status != STATUS_OK) {
        input_close(input);
        return status;
    }
    *out = input;
    return STATUS_OK;
}

void input_close(struct input *input)
{
    if (input == NULL) {
        return;
    }
    if (input->reader != NULL) {
        file_reader_close(input->reader);
    }
    unpacker_free(input->unpacker);
    buffer_fini(&input->packed);
    buffer_fini(&input->window);
    memory_free(input->marks);
    memory_free(input->path);
    memory_free(input);
}

bool input_is_packed(const struct input *input)
{
    return input->packing == INPUT_ZSTD || input->packing == INPUT_GZIP;
}

int64_t input_file_size(const struct input *input)
{
    return file_reader_size(input->reader);
}

bool input_is_replaced(const struct input *input)
{
    return file_reader_is_replaced(input->reader);
}

/* --- unpacking --- */

static int64_t window_begin(const struct input *input)
{
    return input->position - (int64_t)input->window.size;
}

static void drop_before(struct input *input, int64_t offset)
{
    int64_t count = offset - window_begin(input);
    if (count <= 0) {
        return;
    }
    size_t drop = (size_t)count < input->window.size ? (size_t)count : input->window.size;
    input->window.size -= drop;
    memmove(input->window.data, input->window.data + drop, input->window.size);
}

static void note_mark(struct input *input)
{
    struct mark mark = {
        .packed = input->packed_position - (int64_t)(input->packed.size - input->taken),
        .offset = input->position};
    if (mark.offset < MARK_BYTES + (input->mark_count == 0
                                        ? 0
                                        : input->marks[input->mark_count - 1].offset)) {
        return;
    }
    if (input->mark_count == input->mark_capacity) {
        input->mark_capacity = input->mark_capacity * 2 + 16;
        input->marks = memory_realloc(input->marks,
                                      size_mul(input->mark_capacity, sizeof *input->marks));
    }
    input->marks[input->mark_count++] = mark;
}

/* To the last noted place that is not behind `offset`. */
static void begin_again(struct input *input, int64_t offset)
{
    struct mark mark = {0};
    for (size_t i = 0; i < input->mark_count && input->marks[i].offset <= offset; i++) {
        mark = input->marks[i];
    }
    unpacker_free(input->unpacker);
    input->unpacker = NULL;
    buffer_clear(&input->packed);
    buffer_clear(&input->window);
    input->taken = 0;
    input->packed_position = mark.packed;
    input->position = mark.offset;
    input->in_frame = false;
    input->was_full = false;
}

/* More bytes of the file; *out_got is false when there are none now. */
static enum status read_packed(struct input *input, bool *out_got, struct error *err)
{
    int64_t size = file_reader_size(input->reader);
    if (size >= 0 && size < input->packed_position) {
        return error_set(err, STATUS_CONFIG, "source.truncated",
                         "%s was read up to byte %lld and is shorter now (%lld bytes): it was "
                         "truncated or replaced; restore it, or give the pipeline another name to "
                         "start afresh",
                         input->path, (long long)input->packed_position, (long long)size);
    }
    size_t got = 0;
    buffer_clear(&input->packed);
    input->taken = 0;
    enum status status =
        file_reader_read_at(input->reader, input->packed_position,
                            buffer_reserve(&input->packed, PACKED_BYTES), PACKED_BYTES, &got, err);
    input->packed.size = status == STATUS_OK ? got : 0;
    input->packed_position += (int64_t)input->packed.size;
    *out_got = got > 0;
    return status;
}

static enum status run_unpacker(struct input *input, size_t *out_size, struct error *err)
{
    bool has_ended = false;
    size_t before = input->taken;
    if (input->unpacker == NULL) {
        input->unpacker = unpacker_new(input->packing == INPUT_ZSTD);
    }
    uint8_t *to = buffer_reserve(&input->window, STEP_BYTES);
    const char *fault =
        unpacker_run(input->unpacker, bytes_of(input->packed.data, input->packed.size),
                     &input->taken, to, STEP_BYTES, out_size, &has_ended);
    bool stands_still = !has_ended && *out_size == 0 && !input->was_full && input->taken == before;
    if (fault != NULL || stands_still) {
        return error_set(err, STATUS_FATAL, "source.corrupt",
                         "%s: the %s stream is damaged near byte %lld of the file (behind %lld "
                         "unpacked bytes): %s; restore the file, or pack it anew",
                         input->path, input->packing == INPUT_ZSTD ? "zstd" : "gzip",
                         (long long)(input->packed_position -
                                     (int64_t)(input->packed.size - before)),
                         (long long)input->position, fault != NULL ? fault : "it makes no sense");
    }
    input->window.size += *out_size;
    input->position += (int64_t)*out_size;
    input->in_frame = !has_ended;
    input->was_full = !has_ended && *out_size == STEP_BYTES;
    if (has_ended) {
        note_mark(input);
    }
    return STATUS_OK;
}

/* Unpacks a little more; *out_more is false at the end of what is there. */
static enum status advance(struct input *input, bool *out_more, struct error *err)
{
    *out_more = false;
    for (size_t size = 0; size == 0;) {
        if (input->taken == input->packed.size && !input->was_full) {
            bool got = false;
            enum status status = read_packed(input, &got, err);
            if (status != STATUS_OK || !got) {
                return status;
            }
        }
        enum status status = run_unpacker(input, &size, err);
        if (status != STATUS_OK) {
            return status;
        }
    }
    *out_more = true;
    return STATUS_OK;
}

/* At the end nothing is needed but the place. */
static void release(struct input *input)
{
    if (input->in_frame) {
        return;
    }
    unpacker_free(input->unpacker);
    input->unpacker = NULL;
    uint8_t last[BEFORE_BYTES];
    size_t size = input->window.size < sizeof last ? input->window.size : sizeof last;
    if (size > 0) {
        memcpy(last, input->window.data + input->window.size - size, size);
    }
    buffer_fini(&input->window);
    buffer_fini(&input->packed);
    input->taken = 0;
    buffer_append(&input->window, last, size);
}

/* --- reading --- */

static enum status read_unpacked(struct input *input, int64_t offset, void *out, size_t size,
                                 size_t *out_size, struct error *err)
{
    int64_t end = offset + (int64_t)size;
    bool more = true;
    if (offset < window_begin(input)) {
        begin_again(input, offset);
    }
    int64_t keep = offset - BEFORE_BYTES;
    while (input->position < end && more) {
        if (input->window.size >= STEP_BYTES) {
            drop_before(input, keep < input->position ? keep : input->position);
        }
        enum status status = advance(input, &more, err);
        if (status != STATUS_OK) {
            return status;
        }
    }
    int64_t begin = window_begin(input);
    int64_t there = input->position - offset;
    size_t count = there <= 0 ? 0 : (size_t)there < size ? (size_t)there : size;
    if (count > 0) {
        memcpy(out, input->window.data + (offset - begin), count);
    }
    *out_size = count;
    if (!more && count == 0) {
        release(input);
    }
    return STATUS_OK;
}

enum status input_read_at(struct input *input, int64_t offset, void *out, size_t size,
                          size_t *out_size, struct error *err)
{
    enum status status = input->packing == INPUT_AUTO ? decide(input, err) : STATUS_OK;
    if (status != STATUS_OK) {
        return status;
    }
    return input_is_packed(input) ? read_unpacked(input, offset, out, size, out_size, err)
                                  : file_reader_read_at(input->reader, offset, out, size, out_size,
                                                        err);
}

enum status input_end(struct input *input, int64_t *out_size, bool *out_is_whole, struct error *err)
{
    enum status status = input->packing == INPUT_AUTO ? decide(input, err) : STATUS_OK;
    if (status == STATUS_OK && !input_is_packed(input)) {
        *out_size = file_reader_size(input->reader);
        *out_is_whole = true;
        return *out_size >= 0 ? STATUS_OK
                              : error_set(err, STATUS_FATAL, "source.failed",
                                          "cannot tell the size of %s", input->path);
    }
    for (bool more = true; status == STATUS_OK && more;) {
        drop_before(input, input->position - (int64_t)BEFORE_BYTES);
        status = advance(input, &more, err);
    }
    *out_size = input->position;
    *out_is_whole = !input->in_frame;
    return status;
}
