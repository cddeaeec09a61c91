#include "connector/file/each_line.h"

#include <string.h>

#include "connector/file/lines.h"
#include "connector/file/part_name.h"
#include "os/file.h"

struct walk {
    line_visitor *visit;
    void *context;
    int64_t number; /* of the line before */
    const struct csv_options *csv; /* NULL: lines */
    struct csv_scan scan;          /* behind what was searched */
    bool is_done;
};

static enum status visit_line(struct walk *walk, struct bytes line, struct error *err)
{
    return walk->visit(walk->context, line, ++walk->number, &walk->is_done, err);
}

/* The whole lines of `block`; *out_taken gets how many bytes they have. The first `searched` hold
 * no newline. */
static enum status walk_block(struct walk *walk, struct bytes block, size_t searched,
                              size_t *out_taken, struct error *err)
{
    enum status status = STATUS_OK;
    size_t taken = 0;
    size_t at = searched;
    while (status == STATUS_OK && !walk->is_done && at < block.size &&
           lines_find_end(walk->csv, &walk->scan, block, &at)) {
        status = visit_line(walk, bytes_of(block.data + taken, at - 1 - taken), err);
        taken = at;
    }
    *out_taken = taken;
    return status;
}

static enum status walk_file(struct walk *walk, struct file_reader *reader, struct error *err)
{
    struct buffer block = {0};
    int64_t offset = 0;
    enum status status = STATUS_OK;
    for (size_t got = 1; status == STATUS_OK && got > 0 && !walk->is_done;) {
        uint8_t *to = buffer_reserve(&block, LINES_BLOCK_BYTES);
        size_t searched = block.size;
        size_t taken = 0;
        status = file_reader_read_at(reader, offset, to, LINES_BLOCK_BYTES, &got, err);
        if (status != STATUS_OK) {
            break;
        }
        block.size += got;
        offset += (int64_t)got;
        status = walk_block(walk, bytes_of(block.data, block.size), searched, &taken, err);
        block.size -= taken;
        memmove(block.data, block.data + taken, block.size);
    }
    if (status == STATUS_OK && block.size > 0 && !walk->is_done) {
        status = visit_line(walk, bytes_of(block.data, block.size), err);
    }
    buffer_fini(&block);
    return status;
}

static enum status walk_path(const char *path, struct walk walk, struct error *err)
{
    struct file_reader *reader = NULL;
    enum status status = file_reader_open(path, &reader, err);
    if (status == STATUS_OK) {
        status = walk_file(&walk, reader, err);
        file_reader_close(reader);
    }
    return status;
}

enum status each_line(const char *path, line_visitor *visit, void *context, struct error *err)
{
    return walk_path(path, (struct walk){.visit = visit, .context = context}, err);
}

enum status each_csv_row(const char *path, line_visitor *visit, void *context, struct error *err)
{
    static const struct csv_options written = {.quote = '"'};
    return walk_path(path, (struct walk){.visit = visit, .context = context, .csv = &written},
                     err);
}

static bool has_suffix(const char *name, const char *suffix)
{
    size_t size = strlen(name);
    size_t suffix_size = strlen(suffix);
    return name[0] != '.' && size > suffix_size &&
           strcmp(name + size - suffix_size, suffix) == 0;
}

bool each_line_is_of_rows(const char *name)
{
    return has_suffix(name, PART_SUFFIX);
}

bool each_line_is_of_csv(const char *name)
{
    return has_suffix(name, PART_SUFFIX_CSV);
}
