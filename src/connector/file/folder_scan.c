/* What stands in a folder: every line of every *.ndjson file in it, whoever wrote it. */
#include <string.h>

#include "connector/file/folder.h"
#include "connector/file/letter.h"
#include "connector/file/lines.h"
#include "connector/file/part_name.h"
#include "os/file.h"

/* Of a line, for people. */
#define TEXT_BYTES 200u

struct scan {
    const struct hash_secret *secret;
    stored_row_visitor *row;
    void *context;
    struct letter_reader *letters; /* NULL: rows, whose origin the folder does not have */
    const char *part;              /* name of the file that is being read */
    int64_t line;                  /* in it, from 1 */
};

enum status folder_is_empty(struct sink *sink, bool *out_empty, struct error *err)
{
    const struct folder_system *s = folder_of_system(sink->system);
    struct arena *arena = arena_new(16 * 1024);
    const char **names = NULL;
    size_t count = 0;
    enum status status = folder_list(arena, s->place, &names, &count, err);
    if (status == STATUS_OK) {
        *out_empty = true;
        for (size_t i = 0; i < count; i++) {
            *out_empty = *out_empty && names[i][0] == '.';
        }
    }
    arena_free(arena);
    return status;
}

/* At most TEXT_BYTES, and no character cut in two. */
static struct bytes text_of(struct bytes line)
{
    size_t size = line.size < TEXT_BYTES ? line.size : TEXT_BYTES;
    while (size > 0 && size < line.size && (line.data[size] & 0xC0) == 0x80) {
        size--;
    }
    return bytes_of(line.data, size);
}

static enum status scan_line(struct scan *scan, struct bytes line, struct error *err)
{
    struct stored_row row = {
        .hash = hash_bytes(scan->secret, line.data, line.size),
        .origin_topic = "",
        .origin_partition = "",
        .origin_offset = -1,
        .text = text_of(line),
        .part = scan->part,
        .position = ++scan->line,
    };
    if (scan->letters != NULL) {
        letter_reader_origin(scan->letters, line, &row.origin_topic, &row.origin_partition,
                             &row.origin_offset);
    }
    return scan->row(scan->context, &row, err);
}

/* The whole lines of `block`; *out_taken gets how many bytes they have. The first `searched` hold
 * no newline. */
static enum status scan_block(struct scan *scan, struct bytes block, size_t searched,
                              size_t *out_taken, struct error *err)
{
    enum status status = STATUS_OK;
    size_t taken = 0;
    const uint8_t *from = block.data + searched;
    const uint8_t *end = block.data + block.size;
    const uint8_t *newline;
    while (status == STATUS_OK && from < end &&
           (newline = memchr(from, '\n', (size_t)(end - from))) != NULL) {
        const uint8_t *line = block.data + taken;
        status = scan_line(scan, bytes_of(line, (size_t)(newline - line)), err);
        from = newline + 1;
        taken = (size_t)(from - block.data);
    }
    *out_taken = taken;
    return status;
}

static enum status scan_lines(struct scan *scan, struct file_reader *reader,
                              struct error *err)
{
    struct buffer block = {0};
    int64_t offset = 0;
    enum status status = STATUS_OK;
    for (size_t got = 1; status == STATUS_OK && got > 0;) {
        uint8_t *to = buffer_reserve(&block, LINES_BLOCK_BYTES);
        size_t searched = block.size;
        size_t taken = 0;
        status = file_reader_read_at(reader, offset, to, LINES_BLOCK_BYTES, &got, err);
        if (status != STATUS_OK) {
            break;
        }
        block.size += got;
        offset += (int64_t)got;
        status = scan_block(scan, bytes_of(block.data, block.size), searched, &taken, err);
        block.size -= taken;
        memmove(block.data, block.data + taken, block.size);
    }
    /* Parts end with a newline; this one was cut, and what is left of its last row is another. */
    if (status == STATUS_OK && block.size > 0) {
        status = scan_line(scan, bytes_of(block.data, block.size), err);
    }
    buffer_fini(&block);
    return status;
}

static enum status scan_file(struct scan *scan, const char *path, struct error *err)
{
    struct file_reader *reader = NULL;
    enum status status = file_reader_open(path, &reader, err);
    if (status == STATUS_OK) {
        status = scan_lines(scan, reader, err);
        file_reader_close(reader);
    }
    return status;
}

static bool is_of_rows(const char *name)
{
    size_t size = strlen(name);
    size_t suffix = strlen(PART_SUFFIX);
    return name[0] != '.' && size > suffix && strcmp(name + size - suffix, PART_SUFFIX) == 0;
}

enum status folder_scan(struct sink *sink, const struct hash_secret *secret,
                        stored_row_visitor *row, void *context, struct error *err)
{
    const struct folder_system *s = folder_of_system(sink->system);
    struct scan scan = {.secret = secret, .row = row, .context = context};
    scan.letters = sink->is_dlq ? letter_reader_new() : NULL;
    struct arena *arena = arena_new(64 * 1024);
    const char **names = NULL;
    size_t count = 0;
    enum status status = folder_list(arena, s->place, &names, &count, err);
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        if (is_of_rows(names[i])) {
            scan.part = names[i];
            scan.line = 0;
            status = scan_file(&scan, folder_part_path(s, arena, names[i]), err);
        }
    }
    arena_free(arena);
    letter_reader_free(scan.letters);
    return status;
}
