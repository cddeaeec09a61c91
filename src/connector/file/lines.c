#include "connector/file/lines.h"

#include <string.h>

struct bytes line_value(struct bytes line)
{
    if (line.size > 0 && line.data[line.size - 1] == '\r') {
        line.size--;
    }
    return line;
}

bool lines_find_end(const struct csv_options *csv, struct csv_scan *scan, struct bytes text,
                    size_t *at)
{
    if (csv != NULL) {
        return csv_scan_record(csv, scan, text, at);
    }
    const uint8_t *newline =
        *at < text.size ? memchr(text.data + *at, '\n', text.size - *at) : NULL;
    *at = newline != NULL ? (size_t)(newline - text.data) + 1 : text.size;
    return newline != NULL;
}

bool line_cut_is_full(const struct line_cut *cut, const struct batch *batch)
{
    return batch->row_count == BATCH_ROWS_MAX || cut->taken_bytes >= LINES_CUT_BYTES ||
           cut->offset >= cut->limit_offset;
}

/* One record; the line counts with its newline, there or not. */
static void append_line(struct line_cut *cut, struct bytes line, struct batch *batch)
{
    struct record *record = batch_append_record(batch);
    check(record != NULL);
    record->offset = cut->offset;
    record->next_offset = cut->offset + (int64_t)line.size + 1;
    record->value = line_value(line);
    cut->offset = record->next_offset;
    cut->taken_bytes += line.size + 1;
}

size_t line_cut_append(struct line_cut *cut, struct bytes block, size_t searched,
                       struct batch *batch)
{
    size_t taken = 0;
    size_t at = searched;
    while (!line_cut_is_full(cut, batch) && at < block.size &&
           lines_find_end(cut->csv, &cut->scan, block, &at)) {
        append_line(cut, bytes_of(block.data + taken, at - 1 - taken), batch);
        taken = at;
    }
    return taken;
}

void line_cut_append_rest(struct line_cut *cut, struct bytes rest, struct batch *batch)
{
    check(rest.size > 0 && !line_cut_is_full(cut, batch));
    append_line(cut, rest, batch);
}
