#include "cli/lines.h"

#include <string.h>

#include "base/memory.h"
#include "os/file.h"

#define BLOCK_BYTES ((size_t)1 << 20)

struct lines {
    struct file_reader *reader; /* NULL: standard input */
    int64_t read_bytes;         /* how much of the file is in the buffer or behind it */
    int64_t total_bytes;
    struct buffer buffer;
    size_t next;    /* where the next line begins in the buffer */
    size_t scanned; /* up to here there is no line break behind `next` */
    uint64_t number;
    bool follows;
    bool is_dry;
    bool at_end;
};

enum status lines_open(const char *path, struct lines **out, struct error *err)
{
    struct file_reader *reader = NULL;
    int64_t total_bytes = -1;
    if (strcmp(path, "-") != 0) {
        total_bytes = file_size(path);
        if (total_bytes < 0 && file_exists(path)) {
            return error_set(err, STATUS_CONFIG, "file.unreadable",
                             "%s is no regular file; what comes from a pipe or device is read "
                             "from standard input: give '-' and '< %s'",
                             path, path);
        }
        enum status status = file_reader_open(path, &reader, err);
        if (status != STATUS_OK) {
            return status;
        }
    }
    struct lines *lines = memory_alloc_zero(1, sizeof *lines);
    lines->reader = reader;
    lines->total_bytes = total_bytes;
    lines->number = 1;
    *out = lines;
    return STATUS_OK;
}

void lines_close(struct lines *lines)
{
    if (lines == NULL) {
        return;
    }
    if (lines->reader != NULL) {
        file_reader_close(lines->reader);
    }
    buffer_fini(&lines->buffer);
    memory_free(lines);
}

/* What was taken makes room for more. */
static void drop_taken(struct lines *lines)
{
    if (lines->next == 0) {
        return;
    }
    size_t rest = lines->buffer.size - lines->next;
    memmove(lines->buffer.data, lines->buffer.data + lines->next, rest);
    lines->buffer.size = rest;
    lines->scanned -= lines->next;
    lines->next = 0;
}

enum status lines_fill(struct lines *lines, struct error *err)
{
    drop_taken(lines);
    if (lines->at_end) {
        return STATUS_OK;
    }
    if (lines->buffer.size > LINES_LINE_MAX_BYTES) {
        return error_set(err, STATUS_CONFIG, "line.too_long",
                         "line %llu is longer than %zu MiB: is this a file of lines?",
                         (unsigned long long)lines->number, LINES_LINE_MAX_BYTES >> 20);
    }
    uint8_t *room = buffer_reserve(&lines->buffer, BLOCK_BYTES);
    size_t got = 0;
    enum status status =
        lines->reader == NULL
            ? file_read_stdin(room, BLOCK_BYTES, &got, err)
            : file_reader_read_at(lines->reader, lines->read_bytes, room, BLOCK_BYTES, &got, err);
    if (status == STATUS_OK) {
        lines->buffer.size += got;
        lines->read_bytes += (int64_t)got;
        lines->is_dry = got == 0;
        lines->at_end = got == 0 && !lines->follows;
    }
    return status;
}

bool lines_ready(struct lines *lines, int64_t timeout_us)
{
    return lines->reader != NULL || lines->at_end || file_wait_stdin(timeout_us);
}

bool lines_next(struct lines *lines, struct bytes *out)
{
    struct buffer *buffer = &lines->buffer;
    if (lines->next == buffer->size) {
        return false;
    }
    const uint8_t *line = buffer->data + lines->next;
    const uint8_t *end =
        memchr(buffer->data + lines->scanned, '\n', buffer->size - lines->scanned);
    if (end == NULL && !lines->at_end) {
        lines->scanned = buffer->size;
        return false;
    }
    size_t size = end == NULL ? buffer->size - lines->next : (size_t)(end - line);
    *out = bytes_of(line, size);
    lines->next += size + (end != NULL);
    lines->scanned = lines->next;
    lines->number++;
    return true;
}

void lines_follow(struct lines *lines)
{
    lines->follows = lines->reader != NULL;
}

bool lines_is_dry(const struct lines *lines)
{
    return lines->is_dry;
}

bool lines_at_end(const struct lines *lines)
{
    return lines->at_end;
}

int64_t lines_offset(const struct lines *lines)
{
    return lines->read_bytes - (int64_t)(lines->buffer.size - lines->next);
}

int64_t lines_total_bytes(const struct lines *lines)
{
    return lines->total_bytes;
}
