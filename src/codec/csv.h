/*
 * CSV records: RFC 4180, and what is seen beside it. A record is a row: cells between delimiters,
 * ended by a line feed (with or without a carriage return before it) that stands in no quoted cell.
 * Its value is the bytes of the row as they stand in the file, without the line's end; the columns
 * of a batch are filled from its cells by name.
 *
 * A cell is quoted when its first byte is the quote; it then ends with a quote before a delimiter or
 * the row's end, a doubled quote in it is one quote, and delimiters and line breaks in it are text.
 * A quote that stands elsewhere in a cell is an error of the row, and has no meaning for where the
 * row ends: the reader of a file (csv_scan_record) and the decoder see the same rows.
 *
 * Names: of a header (batch.h: what stands before the records of their source), or the options'. A
 * name is the path of a field of the layout: "location.lat" is member `lat` of `location`. A column
 * that the schema does not have is a member of its own, a text.
 *
 * From a cell to a value, by the type of its field:
 *   absent   an empty cell without quotes; in a column that is not text, one with quotes too; but
 *            null where one of `nulls` is the empty word
 *   null     one of the words of `nulls`, in a column of text only without quotes
 *   number   exactly a JSON number as its text, with `decimal` in the place of the point
 *   boolean  true or false
 *   text     the text
 *   list, or several types: a number, true or false without quotes, a JSON list or object as it
 *            stands; else the text
 * What fits none of these is a misfit (batch.h), with the cell as a JSON string.
 *
 * Per row, as violations with verdict INVALID: decode.null_value, decode.too_large, decode.encoding
 * as in json.h; decode.syntax for too many or too few cells, a quote that is not closed or stands
 * where none may, a header that is broken or names a column twice. An empty line is a row of one
 * empty cell. Columns that a closed object does not have, and whose cell is not absent, are
 * schema.unknown_field.
 *
 * A decoder belongs to one thread; it keeps what it found out about a header, on which no result
 * depends.
 */
#ifndef WEIR_CODEC_CSV_H
#define WEIR_CODEC_CSV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/memory.h"
#include "batch/batch.h"

struct csv_options {
    uint8_t delimiter; /* 0: ',' */
    uint8_t quote;     /* 0: cells are never quoted */
    uint8_t decimal;   /* 0: '.' */
    bool has_header;   /* the first row of a file is no record, but names the columns */
    bool one_line;     /* a row ends at every line feed, also in a quoted cell */
    const char *const *names; /* of the columns, whatever a header says; NULL: the header's */
    uint32_t name_count;
    const char *const *nulls; /* words that stand for null */
    uint32_t null_count;
    size_t max_record_bytes; /* 0: 1 MiB */
};

/* Where a scan for the end of a row stands. Zero-initialise at the start of a row. */
struct csv_scan {
    enum { CSV_CELL_START = 0, CSV_PLAIN, CSV_QUOTED, CSV_QUOTE } place;
};

/* Goes on from *at. True when the row's end was found: *at is behind its line feed, and the scan at
 * the start of a row. Else *at is the end of the text. */
bool csv_scan_record(const struct csv_options *options, struct csv_scan *scan, struct bytes text,
                     size_t *at);

/* One cell after the other of a row without its line's end. */
struct csv_cell {
    struct bytes text; /* between the quotes, doubled quotes as they stand */
    bool is_quoted;
    bool has_doubled; /* some quote in it is doubled */
};
struct csv_reader {
    const struct csv_options *options;
    struct bytes row;
    size_t at;
    bool is_done;
    const char *fault; /* why a cell is none; NULL: none so far */
    size_t fault_at;
};
struct csv_reader csv_reader_of(const struct csv_options *options, struct bytes row);
/* False behind the last cell, and at a fault. */
bool csv_reader_next(struct csv_reader *reader, struct csv_cell *out);
/* The text with doubled quotes resolved; in `arena` where there are any. */
struct bytes csv_cell_text(const struct csv_options *options, struct arena *arena,
                           const struct csv_cell *cell);

struct csv_decoder;

/* The options must outlive the decoder. */
struct csv_decoder *csv_decoder_new(const struct layout *layout, const struct csv_options *options);
/* Takes NULL. */
void csv_decoder_free(struct csv_decoder *decoder);
/* Fills the columns of all rows of the batch. */
void csv_decode(struct csv_decoder *decoder, struct batch *batch);
/* Appends a row as a JSON object: its members in the order of the columns, cells that are absent
 * left out. The row must have decoded without a violation. */
void csv_write_object(struct csv_decoder *decoder, const struct batch *batch, uint32_t row,
                      struct buffer *out);

/* Appends a cell: quoted where it must be, and where it is empty (an absent one is just left out).
 */
void csv_write_text(struct bytes text, struct buffer *out);
/* Always quoted: a text that shall not be read as something else. */
void csv_write_quoted(struct bytes text, struct buffer *out);

#endif
