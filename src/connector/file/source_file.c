#include "connector/file/source_file.h"

#include <string.h>

#include "progress/progress.h"

/* Read beyond what a batch is expected to hold, so that its last record is likely to be whole. */
#define SLACK_BYTES ((size_t)16 * 1024)
#define SEARCH_BYTES ((size_t)64 * 1024)
#define MARK_BYTES ((int64_t)1 << 20)
#define BOM "\xEF\xBB\xBF"
#define BOM_BYTES 3u

enum status source_file_open(struct source_file *file, const char *path,
                             enum input_packing packing, const struct csv_options *csv,
                             struct error *err)
{
    *file = (struct source_file){.path = path, .csv = csv, .usual_bytes = LINES_BLOCK_BYTES};
    return input_open(path, packing, &file->input, err);
}

void source_file_close(struct source_file *file)
{
    input_close(file->input);
    buffer_fini(&file->header);
    memory_free(file->marks);
    *file = (struct source_file){0};
}

static enum status line_too_long(const struct source_file *file, int64_t offset, struct error *err)
{
    return error_set(err, STATUS_CONFIG, "source.line_too_long",
                     "the line of %s that begins at byte %lld is longer than %zu bytes: %s",
                     file->path, (long long)offset, LINES_LINE_BYTES_MAX,
                     file->csv != NULL && !file->csv->one_line
                         ? "a quote is not closed, or this is no CSV file; with 'csv: {one_line: "
                           "true}' a row ends with its line"
                         : "this is no file of lines");
}

/* --- where records end --- */

/* Where the end of the record is looked for: from *offset on, with the scan as it stands there. Where
 * it is not found *offset is the end of the file. */
static enum status find_end(struct source_file *file, struct csv_scan *scan, int64_t *offset,
                            bool *out_found, struct error *err)
{
    uint8_t *block = memory_alloc(SEARCH_BYTES);
    enum status status = STATUS_OK;
    *out_found = false;
    for (bool is_end = false; status == STATUS_OK && !*out_found && !is_end;) {
        size_t got = 0;
        size_t at = 0;
        status = input_read_at(file->input, *offset, block, SEARCH_BYTES, &got, err);
        if (status == STATUS_OK) {
            *out_found = lines_find_end(file->csv, scan, bytes_of(block, got), &at);
            is_end = got < SEARCH_BYTES;
            *offset += (int64_t)at;
        }
    }
    memory_free(block);
    return status;
}

/* The bytes from `begin` to `end`, appended to `out`. */
static enum status read_range(struct source_file *file, int64_t begin, int64_t end,
                              struct buffer *out, struct error *err)
{
    if (end - begin > (int64_t)LINES_LINE_BYTES_MAX) {
        return line_too_long(file, begin, err);
    }
    size_t size = (size_t)(end - begin);
    size_t got = 0;
    enum status status =
        input_read_at(file->input, begin, buffer_reserve(out, size + 1), size, &got, err);
    out->size += status == STATUS_OK ? got : 0;
    return status;
}

/* The end of a record or header without its line's end. */
static struct bytes trim(struct bytes record)
{
    if (record.size > 0 && record.data[record.size - 1] == '\n') {
        record.size--;
    }
    return line_value(record);
}

/* The input has ended inside of a frame, and what is there now was to be all. */
static enum status refuse_cut_stream(struct source_file *file, int64_t offset, struct error *err)
{
    int64_t size = 0;
    bool is_whole = true;
    enum status status = STATUS_OK;
    if (input_is_packed(file->input) && offset < file->settled) {
        status = input_end(file->input, &size, &is_whole, err);
    }
    return status != STATUS_OK || is_whole
               ? status
               : error_set(err, STATUS_CONFIG, "source.cut_stream",
                           "%s ends in the midst of a compressed stream, behind %lld unpacked "
                           "bytes: it was cut, or is still being written; restore it, or follow "
                           "it without --until-end",
                           file->path, (long long)size);
}

/* --- how a file begins --- */

/* *out_known is false while the first bytes may be those of a mark. */
static enum status skip_bom(struct source_file *file, bool *out_known, struct error *err)
{
    uint8_t first[BOM_BYTES];
    size_t got = 0;
    enum status status = input_read_at(file->input, 0, first, sizeof first, &got, err);
    if (status == STATUS_OK) {
        bool is_like = memcmp(first, BOM, got) == 0;
        *out_known = !is_like || got == BOM_BYTES || file->settled > 0;
        file->mark_begin = is_like && got == BOM_BYTES ? BOM_BYTES : 0;
    }
    return status;
}

static enum status take_header(struct source_file *file, struct error *err)
{
    struct csv_scan scan = {0};
    bool found = false;
    int64_t end = file->mark_begin;
    enum status status = find_end(file, &scan, &end, &found, err);
    if (status == STATUS_OK && !found) {
        status = refuse_cut_stream(file, end, err);
    }
    if (status != STATUS_OK || (!found && file->settled == 0)) {
        return status;
    }
    buffer_clear(&file->header);
    status = read_range(file, file->mark_begin, end, &file->header, err);
    if (status == STATUS_OK) {
        file->header.size = trim(bytes_of(buffer_string(&file->header), file->header.size)).size;
        file->has_begin = true;
        file->begin = found ? end : end + 1;
    }
    return status;
}

/* Finds where the first record begins; has_begin stays false while that cannot be told. */
static enum status find_begin(struct source_file *file, struct error *err)
{
    if (file->has_begin) {
        return STATUS_OK;
    }
    if (file->csv == NULL) {
        file->has_begin = true;
        return STATUS_OK;
    }
    bool known = false;
    enum status status = skip_bom(file, &known, err);
    if (status != STATUS_OK || !known) {
        return status;
    }
    if (file->csv->has_header) {
        return take_header(file, err);
    }
    file->begin = file->mark_begin;
    file->has_begin = true;
    return STATUS_OK;
}

enum status source_file_identify(struct source_file *file, char out_digits[33], struct error *err)
{
    struct buffer first = {0};
    struct csv_scan scan = {0};
    file->is_identified = false;
    enum status status = find_begin(file, err);
    if (status != STATUS_OK || !file->has_begin) {
        return status;
    }
    bool found = false;
    int64_t end = file->begin;
    status = find_end(file, &scan, &end, &found, err);
    if (status == STATUS_OK && found) {
        status = read_range(file, file->mark_begin, end, &first, err);
        struct bytes text = trim(bytes_of(buffer_string(&first), first.size));
        hash_format(hash_plain(text.data, text.size), out_digits);
        file->is_identified = status == STATUS_OK;
    } else if (status == STATUS_OK && end - file->begin > (int64_t)LINES_LINE_BYTES_MAX) {
        status = line_too_long(file, file->begin, err);
    }
    buffer_fini(&first);
    return status;
}

/* --- positions --- */

enum joint {
    JOINT_GOOD,  /* a record begins here */
    JOINT_END,   /* the file ends one byte before, with a record that has no end */
    JOINT_SHORT, /* the file ends further before */
    JOINT_TORN,  /* this is in the midst of a record */
};

/* Whether a last row that ends within quotes was taken up to here: then a newline before says nothing
 * about where it ends. */
static bool is_behind_open_row(const struct source_file *file, int64_t offset)
{
    return file->csv != NULL && offset == file->settled;
}

static enum status find_joint(struct source_file *file, int64_t offset, enum joint *out,
                              struct error *err)
{
    *out = JOINT_GOOD;
    bool is_behind_bom = file->has_begin && offset == file->begin && offset == file->mark_begin;
    if (offset == 0 || is_behind_bom) {
        return STATUS_OK;
    }
    uint8_t before[2] = {'\n', '\n'};
    size_t size = offset == 1 ? 1 : 2;
    size_t got = 0;
    enum status status = input_read_at(file->input, offset - (int64_t)size, before + (2 - size),
                                       size, &got, err);
    if (status != STATUS_OK) {
        return status;
    }
    if (got == size) {
        *out = before[1] == '\n' ? JOINT_GOOD : JOINT_TORN;
    } else {
        bool is_at_end = before[0] != '\n' || is_behind_open_row(file, offset);
        *out = got == 1 && is_at_end ? JOINT_END : JOINT_SHORT;
    }
    return STATUS_OK;
}

static enum status refuse_joint(struct source_file *file, int64_t offset, enum joint joint,
                                struct error *err)
{
    if (joint == JOINT_SHORT) {
        int64_t size = -1;
        bool is_whole = true;
        enum status status = input_end(file->input, &size, &is_whole, err);
        if (status != STATUS_OK) {
            return status;
        }
        return error_set(err, STATUS_CONFIG, "source.truncated",
                         "%s was read up to byte %lld and is shorter now (%lld bytes): it was "
                         "truncated or replaced; restore it, or give the pipeline another name to "
                         "start afresh",
                         file->path, (long long)offset, (long long)size);
    }
    return error_set(err, STATUS_CONFIG, "source.torn_line",
                     "%s: the last line had no newline and was taken as a record; now other bytes "
                     "follow it directly, at byte %lld. Files may grow by whole lines only: "
                     "restore the line as it was and end it with a newline, or give the pipeline "
                     "another name to start afresh",
                     file->path, (long long)offset - 1);
}

enum status source_file_end(struct source_file *file, int64_t *out_offset, struct error *err)
{
    int64_t size = 0;
    bool is_whole = true;
    enum status status = input_end(file->input, &size, &is_whole, err);
    uint8_t last = '\n';
    size_t got = 0;
    if (status == STATUS_OK && size > 0) {
        status = input_read_at(file->input, size - 1, &last, 1, &got, err);
    }
    if (status == STATUS_OK) {
        /* What is missing of a stream is at least a byte. Of a row too, once it was taken: whether
         * one is open is not known before. */
        *out_offset = size + (last != '\n' || !is_whole || is_behind_open_row(file, size + 1));
    }
    return status;
}

static void go_to(struct source_file *file, int64_t position)
{
    file->position = position;
    file->open_bytes = 0;
    file->open_scan = (struct csv_scan){0};
}

static void note_mark(struct source_file *file, int64_t offset)
{
    int64_t last = file->mark_count == 0 ? 0 : file->marks[file->mark_count - 1];
    if (file->csv == NULL || offset < last + MARK_BYTES) {
        return;
    }
    if (file->mark_count == file->mark_capacity) {
        file->mark_capacity = file->mark_capacity * 2 + 16;
        file->marks =
            memory_realloc(file->marks, size_mul(file->mark_capacity, sizeof *file->marks));
    }
    file->marks[file->mark_count++] = offset;
}

/* The first row that begins at or behind `offset`, where nobody knows that one does. */
static enum status find_row(struct source_file *file, int64_t offset, struct error *err)
{
    enum status status = find_begin(file, err);
    int64_t row = file->begin;
    for (size_t i = 0; i < file->mark_count && file->marks[i] <= offset; i++) {
        row = file->marks[i];
    }
    uint8_t *block = memory_alloc(SEARCH_BYTES);
    struct csv_scan scan = {0};
    size_t got = SEARCH_BYTES;
    int64_t position = row;
    while (status == STATUS_OK && row < offset && got == SEARCH_BYTES) {
        status = input_read_at(file->input, position, block, SEARCH_BYTES, &got, err);
        size_t at = 0;
        while (status == STATUS_OK && row < offset && at < got) {
            bool found = lines_find_end(file->csv, &scan, bytes_of(block, got), &at);
            row = found ? position + (int64_t)at : row;
        }
        position += (int64_t)at;
        note_mark(file, row);
    }
    memory_free(block);
    if (status == STATUS_OK) {
        go_to(file, row >= offset ? row : position + 1);
    }
    return status;
}

enum status source_file_seek(struct source_file *file, int64_t offset, struct error *err)
{
    enum joint joint;
    enum status status = find_joint(file, offset, &joint, err);
    if (status != STATUS_OK) {
        return status;
    }
    bool is_round = offset > 0 && offset % SEGMENT_OFFSETS == 0;
    if (is_round && file->csv != NULL && (joint == JOINT_TORN || joint == JOINT_GOOD)) {
        return find_row(file, offset, err);
    }
    if (joint == JOINT_TORN && is_round) {
        /* Nobody read up to here: ledger segments begin at round offsets, wherever lines do. */
        bool found = false;
        struct csv_scan scan = {0};
        status = find_end(file, &scan, &offset, &found, err);
        if (status == STATUS_OK) {
            go_to(file, found ? offset : offset + 1);
        }
        return status;
    }
    if (joint == JOINT_TORN || joint == JOINT_SHORT) {
        return refuse_joint(file, offset, joint, err);
    }
    go_to(file, offset);
    return STATUS_OK;
}

/* --- reading --- */

/* How much to read first: no more than is likely to be used, since a batch that is full by rows or
 * by its limit leaves the rest to be read again. */
static size_t first_block_bytes(const struct source_file *file, const struct line_cut *cut)
{
    int64_t left = cut->limit_offset - cut->offset;
    size_t usual = file->usual_bytes;
    return (left < (int64_t)usual ? (size_t)left : usual) + SLACK_BYTES;
}

/* Whether the next record is one that waits for its end. Only what was not seen before is looked at,
 * so that a long one may come in small pieces. */
static enum status is_open_record(struct source_file *file, bool *out, struct error *err)
{
    *out = false;
    bool is_shorter = !input_is_packed(file->input) &&
                      input_file_size(file->input) < file->position + (int64_t)file->open_bytes;
    if (file->open_bytes == 0 || file->position < file->settled || is_shorter) {
        return STATUS_OK;
    }
    int64_t end = file->position + (int64_t)file->open_bytes;
    struct csv_scan scan = file->open_scan;
    bool found = false;
    enum status status = find_end(file, &scan, &end, &found, err);
    if (status == STATUS_OK && !found) {
        *out = true;
        file->open_bytes = (size_t)(end - file->position);
        file->open_scan = scan;
    }
    return status;
}

/* The last record without a newline, where it is one. */
static enum status take_rest(struct source_file *file, struct line_cut *cut, struct bytes *rest,
                             struct batch *batch, struct error *err)
{
    if (cut->offset >= file->settled || line_cut_is_full(cut, batch)) {
        return STATUS_OK;
    }
    enum status status = refuse_cut_stream(file, cut->offset, err);
    if (status == STATUS_OK && rest->size > 0) {
        line_cut_append_rest(cut, *rest, batch);
        rest->size = 0;
        file->settled = cut->offset > file->settled ? cut->offset : file->settled;
    }
    return status;
}

/* Blocks of the file into the batch's arena, records out of them, until the cut is full or the file
 * ends. A record that a block has in part is carried into the next. */
static enum status read_blocks(struct source_file *file, struct line_cut *cut, struct batch *batch,
                               struct error *err)
{
    size_t size = first_block_bytes(file, cut);
    struct bytes rest = {0};
    while (!line_cut_is_full(cut, batch)) {
        if (rest.size > LINES_LINE_BYTES_MAX) {
            return line_too_long(file, cut->offset, err);
        }
        uint8_t *block = arena_alloc_wide(batch->arena, rest.size + size);
        if (rest.size > 0) {
            memcpy(block, rest.data, rest.size);
        }
        size_t got = 0;
        enum status status = input_read_at(file->input, cut->offset + (int64_t)rest.size,
                                           block + rest.size, size, &got, err);
        if (status != STATUS_OK) {
            return status;
        }
        size_t taken = line_cut_append(cut, bytes_of(block, rest.size + got), rest.size, batch);
        rest = bytes_of(block + taken, rest.size + got - taken);
        if (got < size) {
            status = take_rest(file, cut, &rest, batch, err);
            if (status != STATUS_OK) {
                return status;
            }
            break;
        }
        /* Doubling keeps the copying of a long record linear. */
        size = rest.size > LINES_BLOCK_BYTES ? rest.size : LINES_BLOCK_BYTES;
    }
    go_to(file, cut->offset);
    if (!line_cut_is_full(cut, batch)) {
        file->open_bytes = rest.size;
        file->open_scan = cut->scan;
    }
    return STATUS_OK;
}

static enum status read_batch(struct source_file *file, struct batch *batch, int64_t limit_offset,
                              struct error *err)
{
    enum status status = find_begin(file, err);
    if (status != STATUS_OK || !file->has_begin) {
        return status;
    }
    if (file->position < file->begin) {
        go_to(file, file->begin);
    }
    struct line_cut cut = {
        .csv = file->csv, .offset = file->position, .limit_offset = limit_offset};
    if (line_cut_is_full(&cut, batch)) {
        return STATUS_OK;
    }
    enum joint joint;
    status = find_joint(file, file->position, &joint, err);
    if (status != STATUS_OK || joint == JOINT_END) {
        return status;
    }
    if (joint != JOINT_GOOD) {
        return refuse_joint(file, file->position, joint, err);
    }
    bool is_open = false;
    status = is_open_record(file, &is_open, err);
    if (status != STATUS_OK || is_open) {
        return status;
    }
    if (file->csv != NULL && file->csv->has_header) {
        batch->header = bytes_of(buffer_string(&file->header), file->header.size);
    }
    status = read_blocks(file, &cut, batch, err);
    if (status != STATUS_OK) {
        return status;
    }
    note_mark(file, cut.offset);
    file->usual_bytes = batch->row_count == BATCH_ROWS_MAX && cut.taken_bytes < LINES_BLOCK_BYTES
                            ? cut.taken_bytes
                            : LINES_BLOCK_BYTES;
    return STATUS_OK;
}

enum status source_file_read(struct source_file *file, struct batch *batch, int64_t limit_offset,
                             struct error *err)
{
    enum status status = read_batch(file, batch, limit_offset, err);
    file->is_drained = status == STATUS_OK && batch->row_count == 0;
    return status;
}

enum status source_file_check_place(struct source_file *file, struct error *err)
{
    if (file->is_replaced) {
        return !file->is_drained
                   ? STATUS_OK
                   : error_set(err, STATUS_CONFIG, "source.replaced",
                               "%s is another file than the one that this run reads, which was "
                               "renamed, or written anew; all that was in that one is read. Start "
                               "again: that tells whether the new one goes on where it ended",
                               file->path);
    }
    if (input_is_replaced(file->input)) {
        /* Something may have come since the last read. */
        file->is_replaced = true;
        file->is_drained = false;
    }
    return STATUS_OK;
}
