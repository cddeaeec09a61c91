#include <stdio.h>
#include <string.h>

#include "codec/csv_columns.h"
#include "codec/json.h"
#include "codec/json_number.h"
#include "codec/json_string.h"

enum {
    MAX_RECORD_BYTES_DEFAULT = 1024 * 1024,
    ARENA_CHUNK_BYTES = 16 * 1024,
    DETAIL_BYTES = 320,
    NUMBER_BYTES_MAX = 512,
    /* What the quick reader of numbers may look at before the end of a text. */
    LEAD_BYTES = 8,
};

struct csv_decoder {
    const struct layout *layout;
    struct csv_options options;
    struct arena *arena; /* of `columns` */
    struct csv_columns columns;
    struct buffer header; /* that they were made of */
    bool has_columns;
    struct csv_cell *cells; /* [columns.count] of one row */
    struct bytes *texts;    /* [columns.count] with doubled quotes resolved */
    struct arena *scratch;  /* of write_object */
    struct buffer object;
    bool empty_is_null; /* one of the words is the empty one */
    bool has_objects; /* some column is a member of one */
};

struct csv_decoder *csv_decoder_new(const struct layout *layout, const struct csv_options *options)
{
    struct csv_decoder *decoder = memory_alloc_zero(1, sizeof *decoder);
    decoder->layout = layout;
    decoder->options = *options;
    decoder->options.delimiter = options->delimiter == 0 ? ',' : options->delimiter;
    decoder->options.decimal = options->decimal == 0 ? '.' : options->decimal;
    if (options->max_record_bytes == 0) {
        decoder->options.max_record_bytes = MAX_RECORD_BYTES_DEFAULT;
    }
    for (uint32_t i = 0; i < options->null_count; i++) {
        decoder->empty_is_null |= options->nulls[i][0] == '\0';
    }
    decoder->arena = arena_new(ARENA_CHUNK_BYTES);
    decoder->scratch = arena_new(ARENA_CHUNK_BYTES);
    return decoder;
}

void csv_decoder_free(struct csv_decoder *decoder)
{
    if (decoder == NULL) {
        return;
    }
    arena_free(decoder->arena);
    arena_free(decoder->scratch);
    buffer_fini(&decoder->header);
    buffer_fini(&decoder->object);
    memory_free(decoder->cells);
    memory_free(decoder->texts);
    memory_free(decoder);
}

/* The columns of the header that the batch stands under. */
static void use_header(struct csv_decoder *decoder, struct bytes header)
{
    if (decoder->options.names != NULL) {
        header = BYTES_NONE;
    }
    if (decoder->has_columns && header.size == decoder->header.size &&
        (header.size == 0 || memcmp(header.data, decoder->header.data, header.size) == 0)) {
        return;
    }
    arena_reset(decoder->arena, 0);
    buffer_clear(&decoder->header);
    if (header.size > 0) {
        buffer_append(&decoder->header, header.data, header.size);
    }
    csv_columns_make(&decoder->columns, decoder->arena, decoder->layout, &decoder->options,
                     header);
    size_t count = (size_t)decoder->columns.count + 1;
    decoder->cells = memory_realloc(decoder->cells, size_mul(count, sizeof *decoder->cells));
    decoder->texts = memory_realloc(decoder->texts, size_mul(count, sizeof *decoder->texts));
    decoder->has_objects = false;
    for (uint32_t i = 1; i < decoder->columns.node_count; i++) {
        decoder->has_objects |= decoder->columns.nodes[i].column == CSV_NODE_NONE;
    }
    decoder->has_columns = true;
}

/* --- saying what is wrong --- */

static bool refuse(struct batch *batch, uint32_t row, enum reason reason, const char *detail)
{
    batch_decide(batch, row, VERDICT_INVALID, ORDER_EVENT_TIME, (reason_id)reason, FIELD_NONE,
                 bytes_of_string(detail));
    return false;
}

static bool refuse_at(struct batch *batch, uint32_t row, enum reason reason, size_t offset,
                      const char *what)
{
    char detail[DETAIL_BYTES];
    snprintf(detail, sizeof detail, "byte %zu: %s", offset, what);
    return refuse(batch, row, reason, detail);
}

static bool refuse_count(const struct csv_decoder *decoder, struct batch *batch, uint32_t row,
                         size_t count)
{
    char detail[DETAIL_BYTES];
    bool is_empty = batch->records[row].value.size == 0;
    snprintf(detail, sizeof detail, "%s%zu %s, but %s %u", is_empty ? "an empty line: " : "", count,
             count == 1 ? "cell" : "cells",
             decoder->options.names != NULL ? "the pipeline names" : "the header has",
             decoder->columns.count);
    return refuse(batch, row, REASON_DECODE_SYNTAX, detail);
}

/* --- cells --- */

/* Splits a row into cells and texts; returns how many there are, also where that is too many. */
static size_t split(struct csv_decoder *decoder, struct arena *arena, struct csv_reader *reader)
{
    struct csv_cell cell;
    size_t count = 0;
    for (; csv_reader_next(reader, &cell); count++) {
        if (count < decoder->columns.count) {
            decoder->cells[count] = cell;
            decoder->texts[count] = csv_cell_text(&decoder->options, arena, &cell);
        }
    }
    return count;
}

/* Quotes say that a text is meant as it stands, even an empty one. */
static bool is_meant(const struct csv_column *column, const struct csv_cell *cell)
{
    return cell->is_quoted && (column->type == COLUMN_TEXT || column->type == COLUMN_JSON);
}

static bool is_absent(const struct csv_decoder *decoder, const struct csv_column *column,
                      const struct csv_cell *cell)
{
    return cell->text.size == 0 && !is_meant(column, cell) && !decoder->empty_is_null;
}

static bool is_null(const struct csv_decoder *decoder, const struct csv_column *column,
                    const struct csv_cell *cell)
{
    for (uint32_t i = 0; i < decoder->options.null_count; i++) {
        const char *word = decoder->options.nulls[i];
        if (cell->text.size == strlen(word) && !cell->has_doubled && !is_meant(column, cell) &&
            memcmp(cell->text.data, word, cell->text.size) == 0) {
            return true;
        }
    }
    return false;
}

/* The cell's text with a point for the decimal mark; false when it is no number. `room` holds it
 * where the mark is another. */
static bool scan_number(const struct csv_decoder *decoder, struct bytes text,
                        uint8_t room[LEAD_BYTES + NUMBER_BYTES_MAX], struct json_number *out)
{
    if (decoder->options.decimal != '.') {
        if (text.size > NUMBER_BYTES_MAX || memchr(text.data, '.', text.size) != NULL) {
            return false;
        }
        uint8_t *copy = room + LEAD_BYTES;
        memcpy(copy, text.data, text.size);
        uint8_t *mark = memchr(copy, decoder->options.decimal, text.size);
        if (mark != NULL) {
            *mark = '.';
        }
        text.data = copy;
    }
    return json_number_scan(text.data, text.data + text.size, out) &&
           out->end == text.data + text.size;
}

/* Whether the cell is a JSON value as it stands, in a column of several types or of lists. */
static bool is_json(const struct csv_cell *cell, struct bytes text)
{
    if (text.size > 0 && (text.data[0] == '[' || text.data[0] == '{')) {
        return json_is_valid(text, 0);
    }
    return !cell->is_quoted &&
           (bytes_equal_string(text, "true") || bytes_equal_string(text, "false"));
}

/* The cell as JSON: what goes out, and what is kept of a misfit. */
static void write_cell(const struct csv_decoder *decoder, const struct csv_column *column,
                       const struct csv_cell *cell, struct bytes text, struct buffer *out)
{
    uint8_t room[LEAD_BYTES + NUMBER_BYTES_MAX];
    struct json_number number;
    enum column_type type = column->is_declared ? column->type : COLUMN_TEXT;
    bool takes_number = type == COLUMN_INT64 || type == COLUMN_DOUBLE ||
                        (type == COLUMN_JSON && !cell->is_quoted);
    bool is_plain = (type == COLUMN_JSON && is_json(cell, text)) ||
                    (type == COLUMN_BOOL && (bytes_equal_string(text, "true") ||
                                             bytes_equal_string(text, "false")));
    if (is_null(decoder, column, cell)) {
        buffer_append_string(out, "null");
    } else if (takes_number && text.size > 0 && scan_number(decoder, text, room, &number)) {
        buffer_append(out, number.text, (size_t)(number.end - number.text));
    } else if (is_plain) {
        buffer_append(out, text.data, text.size);
    } else {
        json_write_string(out, text);
    }
}

static struct bytes raw_cell(struct csv_decoder *decoder, struct batch *batch,
                             const struct csv_column *column, const struct csv_cell *cell,
                             struct bytes text)
{
    buffer_clear(&decoder->object);
    write_cell(decoder, column, cell, text, &decoder->object);
    return bytes_of(arena_copy(batch->arena, decoder->object.data, decoder->object.size),
                    decoder->object.size);
}

/* --- columns --- */

/* What sensors write; false for every other text, which fill_number() decides. */
static inline bool fill_simple_number(const struct csv_decoder *decoder, struct batch *batch,
                                      uint32_t row, struct column *to, struct bytes text)
{
    const uint8_t *end = text.data + text.size;
    const struct bytes record = batch->records[row].value;
    struct json_simple_number number = {0};
    /* The 8 bytes before the end are the row's own; a cell with doubled quotes stands elsewhere. */
    if (decoder->options.decimal != '.' || text.data < record.data ||
        end > record.data + record.size || end - record.data < LEAD_BYTES ||
        json_number_simple(text.data, end, &number) != end) {
        return false;
    }
    if (to->type == COLUMN_INT64) {
        int64_t integer = (int64_t)number.mantissa;
        to->integers[row] = number.negative ? -integer : integer;
        return number.places == 0;
    }
    if (number.mantissa > UINT64_C(1) << 53) {
        return false;
    }
    double real = (double)(int64_t)number.mantissa / json_powers_of_ten[number.places];
    to->reals[row] = number.negative ? -real : real;
    return true;
}

static void fill_number(struct csv_decoder *decoder, struct batch *batch, uint32_t row,
                        const struct csv_column *column, const struct csv_cell *cell,
                        struct bytes text)
{
    struct column *to = &batch->columns[column->field];
    uint8_t room[LEAD_BYTES + NUMBER_BYTES_MAX];
    struct json_number number = {0};
    enum json_integer outcome = JSON_INTEGER_FRACTION;
    bool is_number = scan_number(decoder, text, room, &number);
    if (is_number && to->type == COLUMN_INT64) {
        outcome = json_number_int64(&number, &to->integers[row]);
    } else if (is_number) {
        outcome =
            json_number_double(&number, &to->reals[row]) ? JSON_INTEGER_OK : JSON_INTEGER_RANGE;
    }
    if (outcome != JSON_INTEGER_OK) {
        batch_add_misfit(batch, column->field, row,
                         outcome == JSON_INTEGER_RANGE ? MISFIT_RANGE : MISFIT_TYPE,
                         raw_cell(decoder, batch, column, cell, text));
        return;
    }
    to->cells[row] = CELL_VALUE;
    if (to->type == COLUMN_DOUBLE && number.mantissa != 0 && to->reals[row] == 0) {
        batch_add_underflow(batch, column->field, row,
                            raw_cell(decoder, batch, column, cell, text));
    }
}

static void fill_cell(struct csv_decoder *decoder, struct batch *batch, uint32_t row,
                      const struct csv_column *column, const struct csv_cell *cell,
                      struct bytes text)
{
    struct column *to = &batch->columns[column->field];
    switch (to->type) {
    case COLUMN_TEXT:
        to->texts[row] = text;
        to->cells[row] = CELL_VALUE;
        break;
    case COLUMN_INT64:
    case COLUMN_DOUBLE:
        if (fill_simple_number(decoder, batch, row, to, text)) {
            to->cells[row] = CELL_VALUE;
        } else {
            fill_number(decoder, batch, row, column, cell, text);
        }
        break;
    case COLUMN_BOOL:
        to->booleans[row] = bytes_equal_string(text, "true");
        if (to->booleans[row] != 0 || bytes_equal_string(text, "false")) {
            to->cells[row] = CELL_VALUE;
        } else {
            batch_add_misfit(batch, column->field, row, MISFIT_TYPE,
                             raw_cell(decoder, batch, column, cell, text));
        }
        break;
    case COLUMN_JSON:
        to->texts[row] = raw_cell(decoder, batch, column, cell, text);
        to->cells[row] = CELL_VALUE;
        break;
    case COLUMN_OBJECT:
        check(false); /* Such a header is a fault. */
    }
}

/* A null in a field whose type does not list it counts as absent. */
static void fill_null(struct batch *batch, uint32_t row, uint32_t field)
{
    bool nullable = batch->layout->fields[field].nullable;
    batch->columns[field].cells[row] = nullable ? CELL_NULL : CELL_ABSENT;
    batch->hides_members[row] |= !nullable;
}

static void fill_row(struct csv_decoder *decoder, struct batch *batch, uint32_t row)
{
    uint32_t strangers = 0;
    for (uint32_t i = 0; i < decoder->columns.count; i++) {
        const struct csv_column *column = &decoder->columns.columns[i];
        const struct csv_cell *cell = &decoder->cells[i];
        if (is_absent(decoder, column, cell)) {
            continue;
        }
        if (column->is_stranger && strangers < VIOLATIONS_PER_ROW) {
            batch_add_violation(batch, row, ORDER_UNKNOWN_FIELD, REASON_SCHEMA_UNKNOWN_FIELD,
                                column->field, bytes_of_string(column->name));
            strangers++;
        }
        if (column->field == FIELD_NONE) {
            continue;
        }
        if (decoder->options.null_count > 0 && is_null(decoder, column, cell)) {
            fill_null(batch, row, column->field);
        } else {
            fill_cell(decoder, batch, row, column, cell, decoder->texts[i]);
        }
    }
}

/* --- objects --- */

static bool write_members(const struct csv_decoder *decoder, uint32_t node, struct buffer *out);

/* False, and nothing written, when the node has no value in the row. */
static bool write_node(const struct csv_decoder *decoder, uint32_t index, bool is_first,
                       struct buffer *out)
{
    const struct csv_node *node = &decoder->columns.nodes[index];
    size_t begin = out->size;
    if (node->column != CSV_NODE_NONE &&
        is_absent(decoder, &decoder->columns.columns[node->column],
                  &decoder->cells[node->column])) {
        return false;
    }
    if (!is_first) {
        buffer_append_byte(out, ',');
    }
    buffer_append(out, node->prefix.data, node->prefix.size);
    if (node->column != CSV_NODE_NONE) {
        write_cell(decoder, &decoder->columns.columns[node->column],
                   &decoder->cells[node->column], decoder->texts[node->column], out);
        return true;
    }
    if (!write_members(decoder, index, out)) {
        out->size = begin;
        return false;
    }
    return true;
}

/* An object of the members that are there; false when there is none. */
static bool write_members(const struct csv_decoder *decoder, uint32_t node, struct buffer *out)
{
    bool is_first = true;
    buffer_append_byte(out, '{');
    for (uint32_t at = decoder->columns.nodes[node].first_child; at != CSV_NODE_NONE;
         at = decoder->columns.nodes[at].next) {
        is_first &= !write_node(decoder, at, is_first, out);
    }
    buffer_append_byte(out, '}');
    return !is_first;
}

/* Objects are columns of their own, whose members are there or not. */
static void fill_objects(struct csv_decoder *decoder, struct batch *batch, uint32_t row)
{
    for (uint32_t i = 1; i < decoder->columns.node_count; i++) {
        const struct csv_node *node = &decoder->columns.nodes[i];
        buffer_clear(&decoder->object);
        if (node->column == CSV_NODE_NONE && write_members(decoder, i, &decoder->object)) {
            struct column *to = &batch->columns[node->field];
            to->texts[row] =
                bytes_of(arena_copy(batch->arena, decoder->object.data, decoder->object.size),
                         decoder->object.size);
            to->cells[row] = CELL_VALUE;
        }
    }
}

/* --- rows --- */

static bool decode_row(struct csv_decoder *decoder, struct batch *batch, uint32_t row)
{
    struct bytes value = batch->records[row].value;
    if (bytes_is_none(value)) {
        return batch->verdicts[row] != VERDICT_NONE ||
               refuse(batch, row, REASON_DECODE_NULL_VALUE, "the record has no value");
    }
    if (value.size > decoder->options.max_record_bytes) {
        char detail[DETAIL_BYTES];
        snprintf(detail, sizeof detail, "%zu bytes, at most %zu are allowed", value.size,
                 decoder->options.max_record_bytes);
        return refuse(batch, row, REASON_DECODE_TOO_LARGE, detail);
    }
    size_t good = json_utf8_prefix(value);
    if (good < value.size) {
        return refuse_at(batch, row, REASON_DECODE_ENCODING, good, "expected UTF-8");
    }
    if (decoder->columns.fault != NULL) {
        return refuse(batch, row, REASON_DECODE_SYNTAX, decoder->columns.fault);
    }
    struct csv_reader reader = csv_reader_of(&decoder->options, value);
    size_t count = split(decoder, batch->arena, &reader);
    if (reader.fault != NULL) {
        return refuse_at(batch, row, REASON_DECODE_SYNTAX, reader.fault_at, reader.fault);
    }
    if (count != decoder->columns.count) {
        return refuse_count(decoder, batch, row, count);
    }
    fill_row(decoder, batch, row);
    if (decoder->has_objects) {
        fill_objects(decoder, batch, row);
    }
    return true;
}

void csv_decode(struct csv_decoder *decoder, struct batch *batch)
{
    check(batch->layout == decoder->layout);
    use_header(decoder, batch->header);
    for (uint32_t i = 0; i < batch->layout->field_count; i++) {
        memset(batch->columns[i].cells, CELL_ABSENT, batch->row_count);
        batch->columns[i].misfit_count = 0;
    }
    memset(batch->hides_members, false, batch->row_count);
    for (uint32_t row = 0; row < batch->row_count; row++) {
        decode_row(decoder, batch, row);
    }
}

void csv_write_object(struct csv_decoder *decoder, const struct batch *batch, uint32_t row,
                      struct buffer *out)
{
    use_header(decoder, batch->header);
    arena_reset(decoder->scratch, ARENA_CHUNK_BYTES);
    struct csv_reader reader = csv_reader_of(&decoder->options, batch->records[row].value);
    size_t count = split(decoder, decoder->scratch, &reader);
    check(count == decoder->columns.count && reader.fault == NULL);
    write_members(decoder, 0, out);
}
