#include "connector/file/lines.h"

#include <string.h>

struct bytes line_value(struct bytes line)
{
    if (line.size > 0 && line.data[line.size - 1] == '\r') {
        line.size--;
    }
    return line;
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
    size_t from = searched;
    while (!line_cut_is_full(cut, batch) && from < block.size) {
        const uint8_t *newline = memchr(block.data + from, '\n', block.size - from);
        if (newline == NULL) {
            break;
        }
        size_t end = (size_t)(newline - block.data);
        append_line(cut, bytes_of(block.data + taken, end - taken), batch);
        taken = from = end + 1;
    }
    return taken;
}

void line_cut_append_rest(struct line_cut *cut, struct bytes rest, struct batch *batch)
{
    check(rest.size > 0 && !line_cut_is_full(cut, batch));
    append_line(cut, rest, batch);
}
