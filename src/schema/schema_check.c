/*
 * Column at a time: a sieve per keyword runs over a whole column with its branches outside of the
 * loop and lets through only cells that may be wrong; those go to constraint_judge() one by one. A
 * sieve may suspect too much, never too little.
 */
#include <string.h>

#include "base/time.h"
#include "schema/judge.h"
#include "schema/schema_internal.h"

/* A constant count of turns lets the compiler vectorise without a prologue; columns are
 * allocated for BATCH_ROWS_MAX rows, so that the last block may read beyond row_count. */
#define BLOCK_ROWS 64u
_Static_assert(BATCH_ROWS_MAX % BLOCK_ROWS == 0, "a column is a whole number of blocks");

struct schema_checker {
    const struct schema *schema;
    struct judge *judge;             /* for what no column check can answer */
    struct pattern_matcher *matcher; /* the judge's */
    struct buffer scratch;           /* unescaped text */
    struct buffer detail;
};

/* One column on its way through the sieves. */
struct sieve {
    struct schema_checker *checker;
    const struct constraints *constraints;
    struct batch *batch;
    const struct column *column;
    uint32_t field;
};

struct schema_checker *schema_checker_new(const struct schema *schema)
{
    struct schema_checker *checker = memory_alloc_zero(1, sizeof *checker);
    checker->schema = schema;
    checker->judge = schema_judge_new();
    checker->matcher = checker->judge->matcher;
    return checker;
}

void schema_checker_free(struct schema_checker *checker)
{
    if (checker == NULL) {
        return;
    }
    schema_judge_free(checker->judge);
    buffer_fini(&checker->scratch);
    buffer_fini(&checker->detail);
    memory_free(checker);
}

static struct instance instance_of_json(struct bytes raw, struct buffer *scratch)
{
    struct instance instance = {.kind = json_cell_kind(raw), .raw = raw};
    switch (instance.kind) {
    case JSON_KIND_BOOL:
        instance.boolean = raw.data[0] == 't';
        break;
    case JSON_KIND_NUMBER:
        check(number_parse(raw, &instance.number)); /* raw JSON is known to be valid */
        break;
    case JSON_KIND_STRING:
        instance.text = json_cell_text(raw, scratch);
        break;
    case JSON_KIND_NULL:
    case JSON_KIND_ARRAY:
    case JSON_KIND_OBJECT:
        break;
    }
    return instance;
}

static struct instance instance_of_cell(const struct column *column, uint32_t row,
                                        struct buffer *scratch)
{
    switch (column->type) {
    case COLUMN_BOOL:
        return (struct instance){.kind = JSON_KIND_BOOL, .boolean = column->booleans[row] != 0};
    case COLUMN_INT64:
        return (struct instance){.kind = JSON_KIND_NUMBER,
                                 .number = number_of_int64(column->integers[row])};
    case COLUMN_DOUBLE:
        return (struct instance){.kind = JSON_KIND_NUMBER,
                                 .number = number_of_double(column->reals[row])};
    case COLUMN_TEXT:
        return (struct instance){.kind = JSON_KIND_STRING, .text = column->texts[row]};
    case COLUMN_JSON:
    case COLUMN_OBJECT:
        return instance_of_json(column->texts[row], scratch);
    }
    check(!"a known column type");
}

static void add_violation(struct sieve *sieve, uint32_t row, enum reason reason)
{
    struct buffer *detail = &sieve->checker->detail;
    batch_add_violation(sieve->batch, row, ORDER_FIELD(sieve->field), (reason_id)reason,
                        sieve->field, bytes_of(detail->data, detail->size));
    buffer_clear(detail);
}

/* Appends "place: detail" of a complaint; the first `skip` steps are the field's own. */
static void write_complaint(const struct complaint *complaint, uint32_t skip, struct buffer *out)
{
    if (complaint->step_count > skip) {
        schema_steps_write(complaint->steps + skip, complaint->step_count - skip, out);
        buffer_append_string(out, ": ");
    }
    buffer_append(out, complaint->detail.data, complaint->detail.size);
}

/* The field's rest. The reason is only set when the value does not fit. */
static bool rest_fits(struct schema_checker *checker, uint32_t field,
                      const struct instance *instance, enum reason *out_reason,
                      struct buffer *detail)
{
    const struct subschema *rest = checker->schema->rests[field];
    if (rest == NULL) {
        return true;
    }
    struct judge *judge = checker->judge;
    bool is_nested = instance->kind == JSON_KIND_ARRAY || instance->kind == JSON_KIND_OBJECT;
    judge_begin(judge, is_nested ? instance->raw.size : instance->text.size);
    struct json_node node = is_nested
                                ? json_node_read(judge->arena, &judge->stack, instance->raw)
                                : json_node_of_scalar(instance);
    struct complaints complaints = {.max = 1};
    struct judge_where where = {.complaints = &complaints};
    bool fits = judge_child(judge, rest, &node, &where, (struct schema_step){BYTES_NONE, 0},
                            REASON_SCHEMA_UNKNOWN_FIELD);
    if (judge_end(judge, fits, &complaints)) {
        return true;
    }
    *out_reason = complaints.items[0].reason;
    if (detail != NULL) {
        write_complaint(&complaints.items[0], 1, detail);
    }
    return false;
}

/* The field's constraints, and its rest. */
static bool value_fits(struct schema_checker *checker, uint32_t field,
                       const struct instance *instance, enum reason *out_reason,
                       struct buffer *detail)
{
    return constraint_judge(&checker->schema->constraints[field], checker->matcher, instance,
                            out_reason, detail) &&
           rest_fits(checker, field, instance, out_reason, detail);
}

/* The row's cell is judged if it holds a value that nobody has complained of, and the row has no
 * verdict. */
static void judge_row(struct sieve *sieve, uint32_t row)
{
    struct schema_checker *checker = sieve->checker;
    if (sieve->column->cells[row] != CELL_VALUE || sieve->batch->verdicts[row] != VERDICT_NONE) {
        return;
    }
    struct instance instance = instance_of_cell(sieve->column, row, &checker->scratch);
    const struct misfit *underflow = batch_find_underflow(sieve->batch, sieve->field, row);
    if (underflow != NULL) {
        instance = instance_of_json(underflow->raw, &checker->scratch);
    }
    enum reason reason;
    if (!value_fits(checker, sieve->field, &instance, &reason, &checker->detail)) {
        add_violation(sieve, row, reason);
        sieve->column->cells[row] = CELL_INVALID;
    }
}

/* As many values as every processor of the kind compares at once. */
typedef double real_pair __attribute__((vector_size(16)));
typedef int64_t pair_mask __attribute__((vector_size(16)));

static bool has_real_outside(const double values[BLOCK_ROWS], double low, double high)
{
    const real_pair lows = {low, low};
    const real_pair highs = {high, high};
    pair_mask outside = {0};
    for (uint32_t i = 0; i < BLOCK_ROWS; i += 2) {
        real_pair pair;
        memcpy(&pair, values + i, sizeof pair);
        outside |= (pair_mask)(pair < lows) | (pair_mask)(pair > highs);
    }
    return (outside[0] | outside[1]) != 0;
}

static bool has_integer_outside(const int64_t values[BLOCK_ROWS], int64_t low, int64_t high)
{
    const uint64_t span = (uint64_t)high - (uint64_t)low;
    bool outside = low > high;
    for (uint32_t i = 0; i < BLOCK_ROWS; i++) {
        outside |= (uint64_t)values[i] - (uint64_t)low > span;
    }
    return outside;
}

/* Where a block has one value outside, most of its rows are still fine: those outside are judged. Cells
 * without a value are suspected by what was there before. */
static void sift_integer_range(struct sieve *sieve)
{
    const int64_t low = sieve->constraints->integer_low;
    const int64_t high = sieve->constraints->integer_high;
    const uint32_t row_count = sieve->batch->row_count;
    for (uint32_t first = 0; first < row_count; first += BLOCK_ROWS) {
        const int64_t *values = sieve->column->integers + first;
        const bool outside = has_integer_outside(values, low, high);
        for (uint32_t i = 0; outside && i < BLOCK_ROWS && first + i < row_count; i++) {
            if (values[i] < low || values[i] > high) {
                judge_row(sieve, first + i);
            }
        }
    }
}

static void sift_real_range(struct sieve *sieve)
{
    const double low = sieve->constraints->real_low;
    const double high = sieve->constraints->real_high;
    const uint32_t row_count = sieve->batch->row_count;
    for (uint32_t first = 0; first < row_count; first += BLOCK_ROWS) {
        const double *values = sieve->column->reals + first;
        const bool outside = has_real_outside(values, low, high);
        for (uint32_t i = 0; outside && i < BLOCK_ROWS && first + i < row_count; i++) {
            if (values[i] < low || values[i] > high) {
                judge_row(sieve, first + i);
            }
        }
    }
}

static bool is_open(const struct sieve *sieve, uint32_t row)
{
    return sieve->column->cells[row] == CELL_VALUE && sieve->batch->verdicts[row] == VERDICT_NONE;
}

static void sift_integer_multiple(struct sieve *sieve, int64_t divisor)
{
    for (uint32_t row = 0; row < sieve->batch->row_count; row++) {
        if (sieve->column->integers[row] % divisor != 0) {
            judge_row(sieve, row);
        }
    }
}

static void sift_multiple(struct sieve *sieve)
{
    const struct number *divisor = &sieve->constraints->multiple_of.number;
    const struct column *column = sieve->column;
    for (uint32_t row = 0; row < sieve->batch->row_count; row++) {
        if (!is_open(sieve, row)) {
            continue;
        }
        struct number value = column->type == COLUMN_INT64 ? number_of_int64(column->integers[row])
                                                           : number_of_double(column->reals[row]);
        if (!number_is_multiple(&value, divisor)) {
            judge_row(sieve, row);
        }
    }
}

static void sift_number_set(struct sieve *sieve, const struct value_set *set)
{
    const struct column *column = sieve->column;
    for (uint32_t row = 0; row < sieve->batch->row_count; row++) {
        if (!is_open(sieve, row)) {
            continue;
        }
        struct number value = column->type == COLUMN_INT64 ? number_of_int64(column->integers[row])
                                                           : number_of_double(column->reals[row]);
        if (!value_set_has_number(set, &value)) {
            judge_row(sieve, row);
        }
    }
}

static void sift_boolean_set(struct sieve *sieve, const struct value_set *set)
{
    for (uint32_t row = 0; row < sieve->batch->row_count; row++) {
        if (!set->has_boolean[sieve->column->booleans[row] != 0]) {
            judge_row(sieve, row);
        }
    }
}

static void sift_text_set(struct sieve *sieve, const struct value_set *set)
{
    for (uint32_t row = 0; row < sieve->batch->row_count; row++) {
        if (is_open(sieve, row) && !value_set_has_text(set, sieve->column->texts[row])) {
            judge_row(sieve, row);
        }
    }
}

/* By size in bytes: a text of n bytes has at most n characters, and at least n / 4. */
static void sift_length(struct sieve *sieve)
{
    const uint64_t max_bytes = sieve->constraints->max_length;
    const uint64_t min_length = sieve->constraints->min_length;
    const uint64_t min_bytes = min_length == 0               ? 0
                               : min_length > UINT64_MAX / 4 ? UINT64_MAX
                                                             : min_length * 4 - 3;
    const struct bytes *texts = sieve->column->texts;
    for (uint32_t row = 0; row < sieve->batch->row_count; row++) {
        if (texts[row].size > max_bytes || texts[row].size < min_bytes) {
            judge_row(sieve, row);
        }
    }
}

static void sift_pattern(struct sieve *sieve)
{
    for (uint32_t row = 0; row < sieve->batch->row_count; row++) {
        if (is_open(sieve, row) &&
            pattern_match(sieve->checker->matcher, sieve->constraints->pattern,
                          sieve->column->texts[row]) != PATTERN_MATCHES) {
            judge_row(sieve, row);
        }
    }
}

/* The texts that event times were read from are not read again. */
static void sift_read_times(struct sieve *sieve)
{
    const int64_t *times_us = sieve->batch->event_times_us;
    for (uint32_t row = 0; row < sieve->batch->row_count; row++) {
        struct bytes text = sieve->column->texts[row];
        if (is_open(sieve, row) &&
            !(times_us[row] == TIME_NEVER ? format_is_date_time(text)
                                          : format_is_date_time_read(text, times_us[row]))) {
            judge_row(sieve, row);
        }
    }
}

static void sift_date_times(struct sieve *sieve)
{
    struct time_reader reader = {0};
    for (uint32_t row = 0; row < sieve->batch->row_count; row++) {
        const struct bytes text = sieve->column->texts[row];
        int64_t time_us;
        if (is_open(sieve, row) && !(time_read_any_rfc3339(&reader, text, &time_us) &&
                                     format_is_date_time_read(text, time_us))) {
            judge_row(sieve, row);
        }
    }
}

static void sift_format(struct sieve *sieve)
{
    bool (*const matches)(struct bytes) = sieve->constraints->format->matches;
    for (uint32_t row = 0; row < sieve->batch->row_count; row++) {
        if (is_open(sieve, row) && !matches(sieve->column->texts[row])) {
            judge_row(sieve, row);
        }
    }
}

static void sift_numbers(struct sieve *sieve)
{
    const struct constraints *constraints = sieve->constraints;
    if (constraints->has_bounds && sieve->column->type == COLUMN_INT64) {
        sift_integer_range(sieve);
    } else if (constraints->has_bounds) {
        sift_real_range(sieve);
    }
    const struct number *divisor = &constraints->multiple_of.number;
    if (constraints->multiple_of.text != NULL) {
        if (sieve->column->type == COLUMN_INT64 && divisor->integral && divisor->in_int64) {
            sift_integer_multiple(sieve, divisor->floor);
        } else {
            sift_multiple(sieve);
        }
    }
    if (constraints->enum_set != NULL) {
        sift_number_set(sieve, constraints->enum_set);
    }
    if (constraints->const_set != NULL) {
        sift_number_set(sieve, constraints->const_set);
    }
}

static void sift_booleans(struct sieve *sieve)
{
    if (sieve->constraints->enum_set != NULL) {
        sift_boolean_set(sieve, sieve->constraints->enum_set);
    }
    if (sieve->constraints->const_set != NULL) {
        sift_boolean_set(sieve, sieve->constraints->const_set);
    }
}

static void sift_texts(struct sieve *sieve)
{
    const struct constraints *constraints = sieve->constraints;
    if (constraints->enum_set != NULL) {
        sift_text_set(sieve, constraints->enum_set);
    }
    if (constraints->const_set != NULL) {
        sift_text_set(sieve, constraints->const_set);
    }
    if (constraints->min_length > 0 || constraints->max_length != UINT64_MAX) {
        sift_length(sieve);
    }
    if (constraints->pattern != NULL) {
        sift_pattern(sieve);
    }
    if (constraints->format == NULL) {
        return;
    }
    if (constraints->format->matches != format_is_date_time) {
        sift_format(sieve);
    } else if (sieve->field == sieve->batch->rfc3339_field) {
        sift_read_times(sieve);
    } else {
        sift_date_times(sieve);
    }
}

/* Misfits break the type or the range of their column by themselves. */
static void complain_of_misfits(struct sieve *sieve)
{
    const struct column *column = sieve->column;
    struct schema_checker *checker = sieve->checker;
    for (uint32_t i = 0; i < column->misfit_count; i++) {
        const struct misfit *misfit = &column->misfits[i];
        if (misfit->kind == MISFIT_UNDERFLOW) {
            judge_row(sieve, misfit->row);
            continue;
        }
        /* A repaired cell leaves its misfit behind. */
        if (column->cells[misfit->row] != CELL_MISFIT ||
            sieve->batch->verdicts[misfit->row] != VERDICT_NONE) {
            continue;
        }
        struct instance instance = {.kind = json_cell_kind(misfit->raw), .raw = misfit->raw};
        if (misfit->kind == MISFIT_RANGE) {
            constraint_describe_overflow(sieve->constraints, &instance, &checker->detail);
            add_violation(sieve, misfit->row, REASON_SCHEMA_RANGE);
        } else {
            constraint_describe_type(sieve->constraints, &instance, &checker->detail);
            add_violation(sieve, misfit->row, REASON_SCHEMA_TYPE);
        }
    }
}

/* A null that the type lists may still not be among the values, or break the rest. There is no value to mark, so
 * the cell stays what it is. */
static void complain_of_nulls(struct sieve *sieve)
{
    const struct constraints *constraints = sieve->constraints;
    const struct value_set *sets[] = {constraints->enum_set, constraints->const_set};
    bool null_fits = sieve->checker->schema->rests[sieve->field] == NULL;
    for (size_t i = 0; i < 2; i++) {
        null_fits &= sets[i] == NULL || sets[i]->has_null;
    }
    if (null_fits) {
        return;
    }
    const struct instance null = {.kind = JSON_KIND_NULL};
    const uint8_t *cells = sieve->column->cells;
    const uint8_t *end = cells + sieve->batch->row_count;
    const uint8_t *at = cells;
    while (at < end && (at = memchr(at, CELL_NULL, (size_t)(end - at))) != NULL) {
        const uint32_t row = (uint32_t)(at++ - cells);
        enum reason reason;
        if (sieve->batch->verdicts[row] == VERDICT_NONE &&
            !value_fits(sieve->checker, sieve->field, &null, &reason, &sieve->checker->detail)) {
            add_violation(sieve, row, reason);
        }
    }
}

/* Value by value. */
static void judge_all(struct sieve *sieve)
{
    for (uint32_t row = 0; row < sieve->batch->row_count; row++) {
        judge_row(sieve, row);
    }
}

static void check_column(struct sieve *sieve)
{
    complain_of_misfits(sieve);
    complain_of_nulls(sieve);
    if (sieve->checker->schema->rests[sieve->field] != NULL) {
        judge_all(sieve);
        return;
    }
    switch (sieve->column->type) {
    case COLUMN_BOOL:
        sift_booleans(sieve);
        break;
    case COLUMN_INT64:
    case COLUMN_DOUBLE:
        sift_numbers(sieve);
        break;
    case COLUMN_TEXT:
        sift_texts(sieve);
        break;
    case COLUMN_JSON:
        if (!constraint_is_empty(sieve->constraints)) {
            judge_all(sieve);
        }
        break;
    case COLUMN_OBJECT:
        /* The decoder saw that it is one; its members are columns of their own. */
        if (sieve->constraints->enum_set != NULL || sieve->constraints->const_set != NULL) {
            judge_all(sieve);
        }
        break;
    }
}

void schema_check_values(struct schema_checker *checker, struct batch *batch)
{
    const struct schema *schema = checker->schema;
    check(batch->layout == &schema->layout);
    for (uint32_t field = 0; field < schema->layout.schema_field_count; field++) {
        struct sieve sieve = {
            .checker = checker,
            .constraints = &schema->constraints[field],
            .batch = batch,
            .column = &batch->columns[field],
            .field = field,
        };
        check_column(&sieve);
    }
}

/* The rows whose cell is absent, though its object is there. */
static void require_field(struct schema_checker *checker, struct batch *batch, uint32_t field,
                          bool filled)
{
    const struct field *about = &checker->schema->layout.fields[field];
    const uint8_t *cells = batch->columns[field].cells;
    const uint8_t *parents =
        about->parent == FIELD_NONE ? NULL : batch->columns[about->parent].cells;
    const uint8_t *at = cells;
    const uint8_t *end = cells + batch->row_count;
    while (at < end && (at = memchr(at, CELL_ABSENT, (size_t)(end - at))) != NULL) {
        uint32_t row = (uint32_t)(at++ - cells);
        if (batch->verdicts[row] != VERDICT_NONE ||
            (parents != NULL && parents[row] != CELL_VALUE)) {
            continue;
        }
        struct bytes detail = bytes_of_string(filled ? "absent, and nothing was found to fill it"
                                                     : "required, but absent");
        batch_add_violation(batch, row, ORDER_FIELD(field),
                            filled ? REASON_REPAIR_NO_VALUE : REASON_SCHEMA_REQUIRED, field,
                            detail);
    }
}

void schema_check_required(struct schema_checker *checker, struct batch *batch, const bool *filled)
{
    const struct schema *schema = checker->schema;
    check(batch->layout == &schema->layout);
    for (uint32_t field = 0; field < schema->layout.schema_field_count; field++) {
        if (schema->required[field]) {
            require_field(checker, batch, field, filled != NULL && filled[field]);
        }
    }
}

static struct instance instance_of_value(const struct value *value, enum column_type column,
                                         struct buffer *scratch)
{
    struct instance instance = {.kind = JSON_KIND_NULL};
    switch (value->type) {
    case VALUE_NULL:
        break;
    case VALUE_BOOL:
        instance.kind = JSON_KIND_BOOL;
        instance.boolean = value->boolean;
        break;
    case VALUE_INT64:
        instance.kind = JSON_KIND_NUMBER;
        instance.number = number_of_int64(value->integer);
        break;
    case VALUE_DOUBLE:
        instance.kind = JSON_KIND_NUMBER;
        instance.number = number_of_double(value->real);
        break;
    case VALUE_TEXT:
        instance.kind = JSON_KIND_STRING;
        instance.text = value->text;
        break;
    case VALUE_JSON:
        instance = instance_of_json(value->text, scratch);
        break;
    }
    if (instance.kind == JSON_KIND_NUMBER && column == COLUMN_DOUBLE) {
        /* As the column would hold it. */
        instance.number = number_of_double(instance.number.real);
    }
    return instance;
}

bool schema_value_fits(struct schema_checker *checker, uint32_t field, const struct value *value,
                       struct buffer *detail)
{
    check(field < checker->schema->layout.field_count);
    struct instance instance = instance_of_value(
        value, checker->schema->constraints[field].column, &checker->scratch);
    enum reason reason;
    return value_fits(checker, field, &instance, &reason, detail);
}

/* --- records as a whole --- */

static uint32_t find_child(const struct layout *layout, uint32_t parent, struct bytes name)
{
    for (uint32_t i = 0; i < layout->schema_field_count; i++) {
        const struct field *field = &layout->fields[i];
        if (field->parent == parent && bytes_equal(bytes_of(field->name, field->name_size), name)) {
            return i;
        }
    }
    return FIELD_NONE;
}

/* The innermost field on the way to the place; `*out_steps` lead to it. `*out_known`: the columns
 * have complained of it, or of an object around it. */
static uint32_t find_field(const struct schema *schema, const struct batch *batch, uint32_t row,
                           const struct complaint *complaint, uint32_t *out_steps, bool *out_known)
{
    uint32_t field = FIELD_NONE;
    *out_steps = 0;
    *out_known = false;
    for (uint32_t i = 0; i < complaint->step_count; i++) {
        struct bytes name = complaint->steps[i].name;
        uint32_t child =
            bytes_is_none(name) ? FIELD_NONE : find_child(&schema->layout, field, name);
        if (child == FIELD_NONE) {
            break;
        }
        field = child;
        *out_steps = i + 1;
        enum cell cell = (enum cell)batch->columns[field].cells[row];
        *out_known |= cell == CELL_INVALID || cell == CELL_MISFIT ||
                      (cell == CELL_ABSENT && schema->required[field]);
    }
    return field;
}

static void add_complaint(struct schema_checker *checker, struct batch *batch, uint32_t row,
                          const struct complaint *complaint)
{
    uint32_t steps;
    bool known;
    uint32_t field = find_field(checker->schema, batch, row, complaint, &steps, &known);
    if (known) {
        return;
    }
    struct buffer *detail = &checker->detail;
    uint32_t order = field == FIELD_NONE ? ORDER_RECORD : ORDER_FIELD(field);
    if (complaint->reason == REASON_SCHEMA_UNKNOWN_FIELD && steps < complaint->step_count) {
        /* As the decoder says it of closed objects: the detail is the member. */
        order = ORDER_UNKNOWN_FIELD;
        field = FIELD_NONE;
        schema_steps_write(complaint->steps, complaint->step_count, detail);
    } else {
        write_complaint(complaint, steps, detail);
    }
    batch_add_violation(batch, row, order, (reason_id)complaint->reason, field,
                        bytes_of(buffer_string(detail), detail->size));
    buffer_clear(detail);
}

void schema_check_record(struct schema_checker *checker, struct batch *batch, uint32_t row,
                         struct bytes text)
{
    struct judge *judge = checker->judge;
    struct complaints complaints = {.max = VIOLATIONS_PER_ROW};
    judge_begin(judge, text.size);
    struct json_node node = json_node_read(judge->arena, &judge->stack, text);
    struct judge_where where = {.complaints = &complaints};
    bool fits = judge_schema(judge, checker->schema->record, &node, &where);
    if (!judge_end(judge, fits, &complaints)) {
        for (uint32_t i = 0; i < complaints.count; i++) {
            add_complaint(checker, batch, row, &complaints.items[i]);
        }
    }
}
