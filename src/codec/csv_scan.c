/* Where rows and cells end. */
#include <string.h>

#include "codec/csv.h"

/* One byte of a row that may hold quotes. */
static inline bool scan_byte(const struct csv_options *options, struct csv_scan *scan, uint8_t byte,
                             uint8_t delimiter)
{
    switch (scan->place) {
    case CSV_QUOTED:
        scan->place = byte == options->quote ? CSV_QUOTE : CSV_QUOTED;
        return false;
    case CSV_QUOTE:
        if (byte == options->quote) {
            scan->place = CSV_QUOTED;
            return false;
        }
        break;
    case CSV_CELL_START:
        if (byte == options->quote) {
            scan->place = CSV_QUOTED;
            return false;
        }
        break;
    case CSV_PLAIN:
        break;
    }
    scan->place = byte == delimiter || byte == '\n' ? CSV_CELL_START : CSV_PLAIN;
    return byte == '\n';
}

bool csv_scan_record(const struct csv_options *options, struct csv_scan *scan, struct bytes text,
                     size_t *at)
{
    const uint8_t *p = text.data + *at;
    const uint8_t *end = text.data + text.size;
    uint8_t delimiter = options->delimiter == 0 ? ',' : options->delimiter;
    bool never_quoted = options->quote == 0 || options->one_line;
    if (p < end && (never_quoted || scan->place == CSV_CELL_START || scan->place == CSV_PLAIN)) {
        const uint8_t *newline = memchr(p, '\n', (size_t)(end - p));
        size_t size = (size_t)((newline == NULL ? end : newline) - p);
        if (never_quoted || (newline != NULL && memchr(p, options->quote, size) == NULL)) {
            scan->place = newline != NULL ? CSV_CELL_START : CSV_PLAIN;
            *at += size + (newline != NULL);
            return newline != NULL;
        }
    }
    for (; p < end; p++) {
        if (scan_byte(options, scan, *p, delimiter)) {
            *at = (size_t)(p - text.data) + 1;
            return true;
        }
    }
    *at = text.size;
    return false;
}

struct csv_reader csv_reader_of(const struct csv_options *options, struct bytes row)
{
    return (struct csv_reader){.options = options, .row = row};
}

static bool fail(struct csv_reader *reader, size_t at, const char *fault)
{
    reader->fault = fault;
    reader->fault_at = at;
    return false;
}

static bool read_quoted(struct csv_reader *reader, struct csv_cell *out)
{
    const uint8_t quote = reader->options->quote;
    const uint8_t delimiter = reader->options->delimiter == 0 ? ',' : reader->options->delimiter;
    const uint8_t *begin = reader->row.data + reader->at + 1;
    const uint8_t *end = reader->row.data + reader->row.size;
    const uint8_t *p = begin;
    *out = (struct csv_cell){.is_quoted = true};
    for (;;) {
        p = p < end ? memchr(p, quote, (size_t)(end - p)) : NULL;
        if (p == NULL) {
            return fail(reader, reader->at, "the quoted cell that begins here has no end");
        }
        if (p + 1 == end || p[1] != quote) {
            break;
        }
        out->has_doubled = true;
        p += 2;
    }
    out->text = bytes_of(begin, (size_t)(p - begin));
    p++;
    if (p < end && *p != delimiter) {
        return fail(reader, (size_t)(p - reader->row.data),
                    "expected a delimiter behind the quoted cell");
    }
    reader->is_done = p == end;
    reader->at = (size_t)(p - reader->row.data) + 1;
    return true;
}

bool csv_reader_next(struct csv_reader *reader, struct csv_cell *out)
{
    if (reader->is_done || reader->fault != NULL) {
        return false;
    }
    const uint8_t quote = reader->options->quote;
    const uint8_t delimiter = reader->options->delimiter == 0 ? ',' : reader->options->delimiter;
    const uint8_t *begin = reader->row.data + reader->at;
    size_t left = reader->row.size - reader->at;
    if (left > 0 && quote != 0 && *begin == quote) {
        return read_quoted(reader, out);
    }
    const uint8_t *next = left > 0 ? memchr(begin, delimiter, left) : NULL;
    size_t size = next == NULL ? left : (size_t)(next - begin);
    const uint8_t *stray = size > 0 && quote != 0 ? memchr(begin, quote, size) : NULL;
    if (stray != NULL) {
        return fail(reader, (size_t)(stray - reader->row.data),
                    "a quote in a cell that does not begin with one");
    }
    *out = (struct csv_cell){.text = bytes_of(begin, size)};
    reader->is_done = next == NULL;
    reader->at += size + 1;
    return true;
}

struct bytes csv_cell_text(const struct csv_options *options, struct arena *arena,
                           const struct csv_cell *cell)
{
    if (!cell->has_doubled) {
        return cell->text;
    }
    uint8_t *room = arena_alloc(arena, cell->text.size);
    size_t size = 0;
    for (size_t i = 0; i < cell->text.size; i++) {
        room[size++] = cell->text.data[i];
        i += cell->text.data[i] == options->quote; /* Inside of a cell they come in pairs. */
    }
    return bytes_of(room, size);
}

void csv_write_text(struct bytes text, struct buffer *out)
{
    bool is_plain = text.size > 0;
    for (size_t i = 0; i < text.size && is_plain; i++) {
        uint8_t byte = text.data[i];
        is_plain = byte != ',' && byte != '"' && byte != '\n' && byte != '\r';
    }
    if (is_plain) {
        buffer_append(out, text.data, text.size);
        return;
    }
    csv_write_quoted(text, out);
}

void csv_write_quoted(struct bytes text, struct buffer *out)
{
    buffer_append_byte(out, '"');
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '"') {
            buffer_append_byte(out, '"');
        }
        buffer_append_byte(out, text.data[i]);
    }
    buffer_append_byte(out, '"');
}
