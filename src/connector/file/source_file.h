/*
 * One file of a source of files: its header, its identity, where its records begin and end.
 *
 * Without CSV a record is a line (lines.h). With CSV it is a row (codec/csv.h): a byte order mark at
 * the file's beginning belongs to no row, the first row is the header where the options say so, and
 * is no record.
 *
 * A file is known by the hash of its first record, with the header before it: "line1-" and 32
 * hexadecimal digits. As long as that record has no end (an empty file, one that is still being
 * written) there is nothing to hash, and the id is "line1-" alone: an id that is not known yet,
 * which every id that begins with it fulfils.
 *
 * Bytes may be appended at any time. A last record without a newline may be one that is still being
 * written: it is left until its newline comes, unless it is settled: --until-end says that what is
 * there now is all, and what was taken as a record once stays one. A file that got shorter than
 * what was read is refused (source.truncated), and so is one that got bytes directly behind a last
 * record without a newline that was taken (source.torn_line): in both cases the records before are
 * no longer what they were. That is why each read first looks at the two bytes before its position.
 * A row of CSV that is open at the file's end counts as one without a newline, also where the last
 * byte is a newline within its quotes.
 *
 * Of a packed file (input.h) all positions are those of the unpacked bytes. A stream that ends
 * inside of a frame goes on later when the file is followed; where it must be whole (settled) it is
 * refused: source.cut_stream.
 *
 * Where rows begin is known only from a row's beginning on, so where reading must begin anywhere
 * else (ledger segments begin at round offsets) rows are counted from the last place that is known:
 * about one in a MiB is noted.
 */
#ifndef WEIR_CONNECTOR_FILE_SOURCE_FILE_H
#define WEIR_CONNECTOR_FILE_SOURCE_FILE_H

#include "connector/file/input.h"
#include "connector/file/lines.h"

struct source_file {
    struct input *input;
    const char *path;
    const struct csv_options *csv; /* NULL: lines */
    int64_t position;              /* of the next record */
    int64_t settled; /* a record that begins before it is one without its newline too */
    size_t open_bytes;           /* from `position` on, known to hold no end of a record */
    struct csv_scan open_scan;   /* behind them */
    size_t usual_bytes;          /* what a batch takes of this file */
    bool is_identified;
    bool is_replaced; /* another file has been seen under its name */
    bool is_drained;  /* the last read, since then, found no more in it */
    bool has_begin;     /* `begin` and `header` are known */
    int64_t begin;      /* of the first record */
    int64_t mark_begin; /* of the header, behind a byte order mark */
    struct buffer header;
    int64_t *marks; /* beginnings of records, ascending */
    size_t mark_count, mark_capacity;
};

/* `path` and `csv` outlive the file. */
enum status source_file_open(struct source_file *file, const char *path,
                             enum input_packing packing, const struct csv_options *csv,
                             struct error *err) WEIR_MUST_USE;
void source_file_close(struct source_file *file);
/* The hash of the first record as 32 digits; is_identified says whether there is one. */
enum status source_file_identify(struct source_file *file, char out_digits[33],
                                 struct error *err) WEIR_MUST_USE;
/* The three of source.h. */
enum status source_file_end(struct source_file *file, int64_t *out_offset,
                            struct error *err) WEIR_MUST_USE;
enum status source_file_seek(struct source_file *file, int64_t offset,
                             struct error *err) WEIR_MUST_USE;
enum status source_file_read(struct source_file *file, struct batch *batch, int64_t limit_offset,
                             struct error *err) WEIR_MUST_USE;

/* Whether another file is under its name, and all that was in this one is read: whoever goes on reading
 * it waits for what will never come. CONFIG "source.replaced". */
enum status source_file_check_place(struct source_file *file, struct error *err) WEIR_MUST_USE;

#endif
