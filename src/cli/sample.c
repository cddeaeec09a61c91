#include "cli/sample.h"

#include <string.h>

#include "base/hash.h"
#include "base/time.h"
#include "batch/batch.h"
#include "codec/json.h"
#include "codec/json_items.h"
#include "codec/json_number.h"
#include "connector/file/source_file.h"

#define SNIFF_BYTES ((size_t)64 * 1024)
#define SNIFF_LINES 20u
#define DEPTH_MAX 4u
#define JUMP_US (INT64_C(86400) * TIME_US_PER_SECOND)

const char *const sample_words[SAMPLE_WORDS] = {"",     "NA",   "N/A", "NaN", "nan",
                                                "null", "NULL", "-",   "?"};
const double sample_sentinels[SAMPLE_SENTINELS] = {-999, -9999};
const char *const sample_forms[SAMPLE_FORMS] = {
    "rfc3339",           "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%dT%H:%M:%S.%f", "%Y-%m-%d %H:%M",    "%Y-%m-%dT%H:%M",       "%Y-%m-%d",
    "%Y/%m/%d %H:%M:%S", "%Y/%m/%d",          "%d.%m.%Y %H:%M:%S",    "%d.%m.%Y %H:%M",
    "%d.%m.%Y",          "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %H:%M",       "%m/%d/%Y",
    "%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M",    "%d/%b/%Y:%H:%M:%S %z", "%a, %d %b %Y %H:%M:%S %z",
};

/* --- fields --- */

uint32_t sample_find(const struct sample *sample, const char *path)
{
    for (uint32_t i = 0; i < sample->field_count; i++) {
        if (strcmp(sample->fields[i].path, path) == 0) {
            return i;
        }
    }
    return UINT32_MAX;
}

static struct sample_field *field_of(struct sample *sample, uint32_t parent, struct bytes name)
{
    for (uint32_t i = 0; i < sample->field_count; i++) {
        struct sample_field *field = &sample->fields[i];
        if (field->parent == parent && bytes_equal_string(name, field->name)) {
            return field;
        }
    }
    if (sample->field_count == sample->field_capacity) {
        sample->field_capacity = sample->field_capacity * 2 + 32;
        sample->fields = memory_realloc(sample->fields,
                                        size_mul(sample->field_capacity, sizeof *sample->fields));
    }
    struct sample_field *field = &sample->fields[sample->field_count++];
    *field = (struct sample_field){.name = arena_copy(sample->arena, name.data, name.size),
                                   .parent = parent,
                                   .least_size = SIZE_MAX};
    field->path = parent == UINT32_MAX ? field->name
                                       : arena_printf(sample->arena, "%s.%s",
                                                      sample->fields[parent].path, field->name);
    return field;
}

static void insert_value(uint64_t *values, size_t capacity, uint64_t hash, bool *out_is_new)
{
    size_t at = hash & (capacity - 1);
    while (values[at] != 0 && values[at] != hash) {
        at = (at + 1) & (capacity - 1);
    }
    *out_is_new = values[at] == 0;
    values[at] = hash;
}

/* Notes a value; beyond SAMPLE_VALUES_MAX different ones nothing more is noted. */
static void note_value(struct sample_field *field, struct bytes text)
{
    bool is_new = false;
    if (field->value_count >= SAMPLE_VALUES_MAX) {
        return;
    }
    if (field->value_count * 2 >= field->value_capacity) {
        size_t capacity = field->value_capacity == 0 ? 64 : field->value_capacity * 2;
        uint64_t *values = memory_alloc_zero(capacity, sizeof *values);
        for (size_t i = 0; i < field->value_capacity; i++) {
            if (field->values[i] != 0) {
                insert_value(values, capacity, field->values[i], &is_new);
            }
        }
        memory_free(field->values);
        field->values = values;
        field->value_capacity = capacity;
    }
    insert_value(field->values, field->value_capacity, hash_plain(text.data, text.size).low | 1,
                 &is_new);
    field->value_count += is_new;
}

static bool is_number(struct bytes text, double *out)
{
    struct json_number number;
    return text.size > 0 && json_number_scan(text.data, text.data + text.size, &number) &&
           number.end == text.data + text.size && json_number_double(&number, out);
}

static void note_number(struct sample_field *field, struct bytes text, double number)
{
    for (uint32_t i = 0; i < SAMPLE_SENTINELS; i++) {
        if (number == sample_sentinels[i]) {
            field->sentinels[i]++;
            return;
        }
    }
    bool is_first = field->integers + field->reals == 0;
    field->least = is_first || number < field->least ? number : field->least;
    field->greatest = is_first || number > field->greatest ? number : field->greatest;
    bool is_integer = memchr(text.data, '.', text.size) == NULL &&
                      memchr(text.data, 'e', text.size) == NULL &&
                      memchr(text.data, 'E', text.size) == NULL && number > -9e18 && number < 9e18;
    field->integers += is_integer;
    field->reals += !is_integer;
    note_value(field, text);
}

static bool is_uuid(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];
        bool is_gap = i == 8 || i == 13 || i == 18 || i == 23;
        bool is_digit = (byte >= '0' && byte <= '9') || ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'f');
        if (is_gap ? byte != '-' : !is_digit) {
            return false;
        }
    }
    return text.size == 36;
}

static void note_forms(struct sample_field *field, struct bytes text)
{
    static const struct zone utc;
    for (uint32_t i = 0; i < SAMPLE_FORMS; i++) {
        struct time_form form;
        int64_t us;
        bool is_out = field->texts > 1000 && field->forms[i] * 2 < field->texts;
        if (!is_out && time_form_compile(sample_forms[i], &form) == NULL) {
            field->forms[i] += time_form_read(&form, &utc, text, &us);
        }
    }
}

static bool note_word(struct sample_field *field, struct bytes text)
{
    for (uint32_t i = 0; i < SAMPLE_WORDS; i++) {
        if (bytes_equal_string(text, sample_words[i])) {
            field->words[i]++;
            return true;
        }
    }
    return false;
}

static void note_text(struct sample_field *field, struct bytes text)
{
    double number;
    if (note_word(field, text)) {
        return;
    }
    note_forms(field, text);
    field->texts++;
    field->number_texts += is_number(text, &number);
    field->uuids += is_uuid(text);
    field->least_size = text.size < field->least_size ? text.size : field->least_size;
    field->greatest_size = text.size > field->greatest_size ? text.size : field->greatest_size;
    note_value(field, text);
}

/* --- rows --- */

static void note_object(struct sample *sample, uint32_t parent, struct bytes object,
                        struct arena *arena, uint32_t depth);

static void note_json(struct sample *sample, uint32_t parent, struct bytes name, struct bytes raw,
                      struct arena *arena, uint32_t depth)
{
    struct sample_field *field = field_of(sample, parent, name);
    uint32_t index = (uint32_t)(field - sample->fields);
    double number = 0;
    field->present++;
    switch (raw.data[0]) {
    case 'n':
        field->nulls++;
        break;
    case 't':
    case 'f':
        field->booleans++;
        note_value(field, raw);
        break;
    case '"':
        note_text(field, json_value(arena, raw).text);
        break;
    case '[':
        field->lists++;
        break;
    case '{':
        field->objects++;
        if (depth < DEPTH_MAX) {
            note_object(sample, index, raw, arena, depth + 1);
        }
        break;
    default:
        if (is_number(raw, &number)) {
            note_number(field, raw, number);
        } else {
            field->reals++; /* Beyond double. */
        }
        break;
    }
}

static void note_object(struct sample *sample, uint32_t parent, struct bytes object,
                        struct arena *arena, uint32_t depth)
{
    struct json_items items;
    struct bytes name;
    struct bytes value;
    if (!json_items_begin(&items, object)) {
        return;
    }
    while (json_items_next(&items, &name, &value)) {
        note_json(sample, parent, json_value(arena, name).text, value, arena, depth);
    }
}

static bool is_object(struct bytes value)
{
    size_t at = 0;
    while (at < value.size && strchr(" \t\r\n", value.data[at]) != NULL && value.data[at] != '\0') {
        at++;
    }
    return at < value.size && value.data[at] == '{' && json_is_valid(value, 0);
}

static void note_cell(struct sample *sample, uint32_t index, const struct csv_cell *cell,
                      struct bytes text)
{
    struct sample_field *field = &sample->fields[index];
    double number = 0;
    if (text.size == 0 && !cell->is_quoted) {
        return;
    }
    field->present++;
    if (cell->is_quoted && text.size == 0) {
        field->words[0]++;
    } else if (is_number(text, &number)) {
        note_number(field, text, number);
    } else if (bytes_equal_string(text, "true") || bytes_equal_string(text, "false")) {
        field->booleans++;
        note_value(field, text);
    } else {
        uint8_t copy[64];
        note_text(field, text);
        const uint8_t *comma =
            text.size < sizeof copy ? memchr(text.data, ',', text.size) : NULL;
        if (comma != NULL && memchr(text.data, '.', text.size) == NULL) {
            memcpy(copy, text.data, text.size);
            copy[comma - text.data] = '.';
            field->comma_numbers += is_number(bytes_of(copy, text.size), &number);
        }
    }
}

/* False when the row has not the header's cells. */
static bool split_row(const struct sample *sample, struct bytes row, struct arena *arena,
                      struct csv_cell *cells, struct bytes *texts, uint32_t count)
{
    struct csv_reader reader = csv_reader_of(&sample->csv, row);
    struct csv_cell cell;
    uint32_t found = 0;
    for (; csv_reader_next(&reader, &cell); found++) {
        if (found < count) {
            cells[found] = cell;
            texts[found] = csv_cell_text(&sample->csv, arena, &cell);
        }
    }
    return reader.fault == NULL && found == count && bytes_is_utf8(row);
}

/* --- the file --- */

typedef void row_visitor(struct sample *sample, void *context, const struct batch *batch,
                         uint32_t row);

static enum status visit_rows(struct sample *sample, row_visitor *visit, void *context,
                              struct error *err)
{
    static struct field none[1] = {
        {.name = "", .name_size = 0, .path = "", .type = COLUMN_TEXT, .parent = FIELD_NONE}};
    static const struct layout layout = {
        .fields = none, .field_count = 1, .schema_field_count = 1};
    struct source_file file = {0};
    enum status status = source_file_open(&file, sample->path, INPUT_AUTO,
                                          sample->is_csv ? &sample->csv : NULL, err);
    if (status != STATUS_OK) {
        return status;
    }
    struct batch *batch = batch_new(&layout);
    int64_t end = 0;
    status = source_file_end(&file, &end, err);
    file.settled = end;
    for (bool more = status == STATUS_OK; more;) {
        batch_reset(batch, 0, 0);
        status = source_file_read(&file, batch, end, err);
        more = status == STATUS_OK && batch->row_count > 0;
        for (uint32_t row = 0; row < batch->row_count && status == STATUS_OK; row++) {
            visit(sample, context, batch, row);
        }
    }
    batch_free(batch);
    source_file_close(&file);
    return status;
}

/* Scratch of a CSV row. */
struct cells {
    struct csv_cell *cells;
    struct bytes *texts;
    uint32_t count; /* of the header */
};

static void note_row(struct sample *sample, void *context, const struct batch *batch, uint32_t row)
{
    struct cells *cells = context;
    struct bytes value = batch->records[row].value;
    sample->rows++;
    if (!sample->is_csv) {
        if (is_object(value)) {
            note_object(sample, UINT32_MAX, value, batch->arena, 0);
        } else {
            sample->broken++;
        }
        return;
    }
    if (!split_row(sample, value, batch->arena, cells->cells, cells->texts, cells->count)) {
        sample->broken++;
        return;
    }
    for (uint32_t i = 0; i < cells->count; i++) {
        note_cell(sample, i, &cells->cells[i], cells->texts[i]);
    }
}

/* --- what kind of file --- */

/* How many rows at the beginning have as many cells as the first one, which has at least two. */
static uint32_t count_even_rows(const struct csv_options *options, struct bytes text,
                                uint32_t *out_cells)
{
    uint32_t even = 0;
    struct csv_scan scan = {0};
    *out_cells = 0;
    size_t begin = 0;
    size_t at = 0;
    for (uint32_t line = 0; line < SNIFF_LINES && csv_scan_record(options, &scan, text, &at);
         line++) {
        struct csv_reader reader =
            csv_reader_of(options, line_value(bytes_of(text.data + begin, at - 1 - begin)));
        struct csv_cell cell;
        uint32_t count = 0;
        while (csv_reader_next(&reader, &cell)) {
            count++;
        }
        *out_cells = line == 0 ? count : *out_cells;
        even += count == *out_cells && count > 1;
        begin = at;
    }
    return even;
}

static void sniff_delimiter(struct sample *sample, struct bytes text)
{
    static const uint8_t delimiters[] = {',', ';', '\t', '|'};
    uint32_t best = 0;
    uint32_t best_cells = 0;
    sample->csv = (struct csv_options){.delimiter = ',', .quote = '"', .decimal = '.'};
    for (size_t i = 0; i < sizeof delimiters; i++) {
        struct csv_options options = sample->csv;
        options.delimiter = delimiters[i];
        uint32_t cells = 0;
        uint32_t even = count_even_rows(&options, text, &cells);
        if (even > best || (even == best && even > 0 && cells > best_cells)) {
            best = even;
            best_cells = cells;
            sample->csv.delimiter = delimiters[i];
        }
    }
}

/* The cells of the first row become the fields, by their texts or by numbers. */
static uint32_t make_columns(struct sample *sample, struct bytes text)
{
    struct csv_scan scan = {0};
    size_t at = 0;
    bool found = csv_scan_record(&sample->csv, &scan, text, &at);
    struct bytes first = line_value(bytes_of(text.data, at - found));
    struct csv_reader reader = csv_reader_of(&sample->csv, first);
    struct csv_cell cell;
    double number;
    sample->csv.has_header = true;
    while (csv_reader_next(&reader, &cell)) {
        sample->csv.has_header &= cell.text.size > 0 && !is_number(cell.text, &number);
    }
    reader = csv_reader_of(&sample->csv, first);
    uint32_t count = 0;
    while (csv_reader_next(&reader, &cell)) {
        struct bytes name = csv_cell_text(&sample->csv, sample->arena, &cell);
        if (!sample->csv.has_header) {
            name = bytes_of_string(arena_printf(sample->arena, "column_%u", count + 1));
        }
        (void)field_of(sample, UINT32_MAX, name);
        count++;
    }
    return count;
}

static enum status sniff(struct sample *sample, uint32_t *out_columns, struct error *err)
{
    struct input *input = NULL;
    enum status status = input_open(sample->path, INPUT_AUTO, &input, err);
    if (status != STATUS_OK) {
        return status;
    }
    uint8_t *text = memory_alloc(SNIFF_BYTES);
    size_t size = 0;
    status = input_read_at(input, 0, text, SNIFF_BYTES, &size, err);
    size_t begin = size >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
    size_t at = begin;
    while (at < size && (text[at] == ' ' || text[at] == '\n' || text[at] == '\r')) {
        at++;
    }
    if (status == STATUS_OK && at == size) {
        status = error_set(err, STATUS_CONFIG, "init.empty", "%s is empty: nothing can be told",
                           sample->path);
    }
    if (status == STATUS_OK) {
        sample->is_csv = text[at] != '{';
        if (sample->is_csv) {
            struct bytes rows = bytes_of(text + begin, size - begin);
            sniff_delimiter(sample, rows);
            *out_columns = make_columns(sample, rows);
        }
    }
    memory_free(text);
    input_close(input);
    return status;
}

enum status sample_read(struct sample *sample, const char *path, struct error *err)
{
    *sample = (struct sample){.arena = arena_new(64 * 1024), .path = path};
    uint32_t columns = 0;
    enum status status = sniff(sample, &columns, err);
    if (status != STATUS_OK) {
        return status;
    }
    if (sample->field_count != columns) {
        return error_set(err, STATUS_CONFIG, "init.header",
                         "the header of %s names a column twice: mend the file, or write the "
                         "pipeline by hand with 'csv: {names: […]}'",
                         path);
    }
    struct cells cells = {
        .cells = memory_alloc_zero(columns + 1, sizeof *cells.cells),
        .texts = memory_alloc_zero(columns + 1, sizeof *cells.texts),
        .count = columns,
    };
    status = visit_rows(sample, note_row, &cells, err);
    memory_free(cells.cells);
    memory_free(cells.texts);
    if (status == STATUS_OK && sample->rows == sample->broken) {
        status = error_set(err, STATUS_CONFIG, "init.empty",
                           "%s has no row that can be read, of %llu: is it NDJSON or CSV?", path,
                           (unsigned long long)sample->rows);
    }
    return status;
}

void sample_close(struct sample *sample)
{
    for (uint32_t i = 0; i < sample->field_count; i++) {
        memory_free(sample->fields[i].values);
    }
    memory_free(sample->fields);
    arena_free(sample->arena);
    *sample = (struct sample){0};
}

/* --- times --- */

struct measure {
    const uint32_t *fields;
    uint32_t count;
    const struct time_form *form;
    struct cells cells;
    struct buffer text;
    struct sample_time *out;
    int64_t greatest_us, before_us; /* of all rows; of the row before */
};

/* The member of a JSON object as the text that a form reads. */
static bool append_member(struct measure *m, struct bytes object, const char *name,
                          struct arena *arena)
{
    struct json_items items;
    struct bytes raw_name;
    struct bytes raw;
    if (!json_items_begin(&items, object)) {
        return false;
    }
    while (json_items_next(&items, &raw_name, &raw)) {
        if (bytes_equal_string(json_value(arena, raw_name).text, name)) {
            struct bytes text = raw.data[0] == '"' ? json_value(arena, raw).text : raw;
            buffer_append(&m->text, text.data, text.size);
            return true;
        }
    }
    return false;
}

static bool read_time(struct sample *sample, struct measure *m, const struct batch *batch,
                      uint32_t row, int64_t *out_us)
{
    static const struct zone utc;
    struct bytes value = batch->records[row].value;
    buffer_clear(&m->text);
    if (sample->is_csv ? !split_row(sample, value, batch->arena, m->cells.cells, m->cells.texts,
                                    m->cells.count)
                       : !is_object(value)) {
        return false;
    }
    for (uint32_t i = 0; i < m->count; i++) {
        const struct sample_field *field = &sample->fields[m->fields[i]];
        buffer_append_string(&m->text, i == 0 ? "" : " ");
        if (sample->is_csv) {
            struct bytes text = m->cells.texts[m->fields[i]];
            buffer_append(&m->text, text.data, text.size);
        } else if (!append_member(m, value, field->name, batch->arena)) {
            return false;
        }
    }
    return time_form_read(m->form, &utc, bytes_of(buffer_string(&m->text), m->text.size), out_us);
}

static void measure_row(struct sample *sample, void *context, const struct batch *batch,
                        uint32_t row)
{
    struct measure *m = context;
    struct sample_time *out = m->out;
    int64_t us = 0;
    if (!read_time(sample, m, batch, row, &us)) {
        return;
    }
    bool is_first = out->read++ == 0;
    out->first_us = is_first || us < out->first_us ? us : out->first_us;
    out->last_us = is_first || us > out->last_us ? us : out->last_us;
    /* A row far ahead counts once the next one is there too; alone it is a wrong clock. */
    bool is_ahead = !is_first && us > m->greatest_us + JUMP_US;
    bool is_believed = is_first || !is_ahead || m->before_us > m->greatest_us + JUMP_US;
    if (!is_believed) {
        out->jumps++;
    } else if (is_first || us > m->greatest_us) {
        out->jumps -= is_ahead && out->jumps > 0;
        int64_t gap_us = is_first ? 0 : us - m->greatest_us;
        out->gap_us = gap_us > out->gap_us ? gap_us : out->gap_us;
        m->greatest_us = us;
    } else if (us < m->greatest_us) {
        out->steps_back++;
        int64_t back_us = m->greatest_us - us;
        out->step_back_us = back_us > out->step_back_us ? back_us : out->step_back_us;
    }
    m->before_us = us;
}

enum status sample_measure_time(struct sample *sample, const uint32_t *fields, uint32_t count,
                                const struct time_form *form, struct sample_time *out,
                                struct error *err)
{
    uint32_t columns = sample->field_count;
    struct measure m = {.fields = fields, .count = count, .form = form, .out = out};
    *out = (struct sample_time){0};
    m.cells = (struct cells){.cells = memory_alloc_zero(columns + 1, sizeof *m.cells.cells),
                             .texts = memory_alloc_zero(columns + 1, sizeof *m.cells.texts),
                             .count = columns};
    enum status status = visit_rows(sample, measure_row, &m, err);
    memory_free(m.cells.cells);
    memory_free(m.cells.texts);
    buffer_fini(&m.text);
    return status;
}
