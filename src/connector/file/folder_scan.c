/* What stands in a folder: every line of every *.ndjson file in it, or every row of every *.csv file,
 * whoever wrote it. */
#include <string.h>

#include "connector/file/each_line.h"
#include "connector/file/folder.h"
#include "connector/file/letter.h"
#include "os/file.h"

/* Of a line, for people. */
#define TEXT_BYTES 200u

struct scan {
    const struct hash_secret *secret;
    stored_row_visitor *row;
    void *context;
    struct letter_reader *letters; /* NULL: rows, whose origin the folder does not have */
    const char *part;              /* name of the file that is being read */
    bool is_csv;
    struct buffer header; /* of the CSV file that is being read, with its newline */
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

/* Parts end with a newline; one that was cut has what is left of its last row as another line. */
static enum status scan_line(void *context, struct bytes line, int64_t number, bool *out_done,
                             struct error *err)
{
    (void)out_done;
    struct scan *scan = context;
    if (scan->is_csv && number == 1) {
        buffer_clear(&scan->header);
        buffer_append(&scan->header, line.data, line.size);
        buffer_append_byte(&scan->header, '\n');
        return STATUS_OK;
    }
    struct stored_row row = {
        .hash = folder_hash_row(scan->secret, bytes_of(scan->header.data, scan->header.size), line),
        .origin_topic = "",
        .origin_partition = "",
        .origin_offset = -1,
        .text = text_of(line),
        .part = scan->part,
        .position = number,
    };
    if (scan->letters != NULL) {
        letter_reader_origin(scan->letters, line, &row.origin_topic, &row.origin_partition,
                             &row.origin_offset);
    }
    return scan->row(scan->context, &row, err);
}

enum status folder_scan(struct sink *sink, const struct hash_secret *secret,
                        stored_row_visitor *row, void *context, struct error *err)
{
    const struct folder_system *s = folder_of_system(sink->system);
    struct scan scan = {.secret = secret, .row = row, .context = context};
    scan.is_csv = folder_of_sink(sink)->is_csv;
    scan.letters = sink->is_dlq ? letter_reader_new() : NULL;
    struct arena *arena = arena_new(64 * 1024);
    const char **names = NULL;
    size_t count = 0;
    enum status status = folder_list(arena, s->place, &names, &count, err);
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        if (scan.is_csv ? each_line_is_of_csv(names[i]) : each_line_is_of_rows(names[i])) {
            const char *path = folder_part_path(s, arena, names[i]);
            scan.part = names[i];
            status = scan.is_csv ? each_csv_row(path, scan_line, &scan, err)
                                 : each_line(path, scan_line, &scan, err);
        }
    }
    buffer_fini(&scan.header);
    arena_free(arena);
    letter_reader_free(scan.letters);
    return status;
}
