#include <string.h>

#include "sql/sql_native.h"

/* SQLite refuses texts near its limit of 16 MiB; which, is left to it. */
#define TEXT_BYTES_MAX (15u * 1024u * 1024u)

/* A part of the batch's rows that fits into the vectors. */
struct part {
    const uint32_t *rows;
    uint32_t first; /* index of rows[0] in the whole list */
    uint32_t count;
};

/* --- Columns --- */

static inline bool has_value(uint8_t cell)
{
    return cell == CELL_VALUE || cell == CELL_INVALID;
}

/* Pointers are taken out of the structures before the loops: for all that the compiler knows, a tag
 * that is written could change them. */
static void load_booleans(const struct column *column, const struct part *part,
                          struct sql_vector vector)
{
    const uint8_t *cells = column->cells;
    const uint8_t *booleans = column->booleans;
    const uint32_t *rows = part->rows;
    for (uint32_t i = 0, count = part->count; i < count; i++) {
        bool there = has_value(cells[rows[i]]);
        vector.tags[i] = there ? SQL_TAG_INTEGER : SQL_TAG_NULL;
        vector.integers[i] = there ? booleans[rows[i]] : 0;
    }
}

static void load_integers(const struct column *column, const struct part *part,
                          struct sql_vector vector)
{
    const uint8_t *cells = column->cells;
    const int64_t *integers = column->integers;
    const uint32_t *rows = part->rows;
    for (uint32_t i = 0, count = part->count; i < count; i++) {
        bool there = has_value(cells[rows[i]]);
        vector.tags[i] = there ? SQL_TAG_INTEGER : SQL_TAG_NULL;
        vector.integers[i] = there ? integers[rows[i]] : 0;
    }
}

static void load_reals(const struct column *column, const struct part *part,
                       struct sql_vector vector)
{
    const uint8_t *cells = column->cells;
    const double *reals = column->reals;
    const uint32_t *rows = part->rows;
    for (uint32_t i = 0, count = part->count; i < count; i++) {
        bool there = has_value(cells[rows[i]]);
        double real = there ? reals[rows[i]] : 0;
        vector.tags[i] = there && real == real ? SQL_TAG_REAL : SQL_TAG_NULL;
        vector.reals[i] = real;
    }
}

static void load_texts(const struct column *column, const struct part *part,
                       struct sql_vector vector, uint8_t *unfit)
{
    const uint8_t *cells = column->cells;
    const struct bytes *texts = column->texts;
    const uint32_t *rows = part->rows;
    for (uint32_t i = 0, count = part->count; i < count; i++) {
        bool there = has_value(cells[rows[i]]);
        struct bytes text = there ? texts[rows[i]] : (struct bytes){0};
        vector.tags[i] = there ? SQL_TAG_TEXT : SQL_TAG_NULL;
        vector.texts[i] = text;
        unfit[i] |= text.size > TEXT_BYTES_MAX;
    }
}

static void load_cells(const struct column *column, const struct part *part,
                       struct sql_vector vector)
{
    for (uint32_t i = 0; i < part->count; i++) {
        bool there = has_value(column->cells[part->rows[i]]);
        vector.tags[i] = there ? SQL_TAG_INTEGER : SQL_TAG_NULL;
    }
}

/* A cell of JSON whose text is too long cannot even be asked whether it is NULL. */
static void find_unfit_cells(const struct column *column, const struct part *part, uint8_t *unfit)
{
    for (uint32_t i = 0; i < part->count; i++) {
        uint32_t row = part->rows[i];
        unfit[i] |= has_value(column->cells[row]) && column->texts[row].size > TEXT_BYTES_MAX;
    }
}

static void load_column(struct sql_native *native, const struct sql_native_column *from,
                        const struct column *column, const struct part *part)
{
    struct sql_vector vector = native->vectors[from->vector];
    if (from->kind == SQL_VECTOR_CELL) {
        load_cells(column, part, vector);
        find_unfit_cells(column, part, native->unfit);
    } else if (from->type == COLUMN_BOOL) {
        load_booleans(column, part, vector);
    } else if (from->type == COLUMN_INT64) {
        load_integers(column, part, vector);
    } else if (from->type == COLUMN_DOUBLE) {
        load_reals(column, part, vector);
    } else {
        load_texts(column, part, vector, native->unfit);
    }
}

/* --- Results --- */

static void give_numbers(struct sql_vector vector, uint32_t count, struct sql_result *results)
{
    static const enum value_type types[] = {
        [SQL_TAG_NULL] = VALUE_NULL,
        [SQL_TAG_INTEGER] = VALUE_INT64,
        [SQL_TAG_REAL] = VALUE_DOUBLE,
    };
    for (uint32_t i = 0; i < count; i++) {
        results[i].value.type = types[vector.tags[i]];
        /* The bits of a real too. */
        results[i].value.integer = vector.numbers[i].integer;
        results[i].failed = false;
    }
}

static void give_texts(struct sql_vector vector, uint32_t count, struct arena *owner,
                       uint8_t *deferred, struct sql_result *results)
{
    for (uint32_t i = 0; i < count; i++) {
        struct bytes text = vector.texts[i];
        results[i].failed = false;
        if (vector.tags[i] == SQL_TAG_NULL) {
            results[i].value = (struct value){.type = VALUE_NULL};
            continue;
        }
        if (text.size == 0) {
            text = bytes_of("", 0);
        } else if (!bytes_is_utf8(text)) {
            deferred[i] = 1;
        } else if (owner != NULL) {
            text = bytes_of(arena_copy(owner, text.data, text.size), text.size);
        }
        results[i].value = (struct value){.type = VALUE_TEXT, .text = text};
    }
}

static void note_deferrals(struct sql_native *native, uint32_t expression, const struct part *part)
{
    for (uint32_t i = 0; i < part->count; i++) {
        if (native->deferred[i] != 0) {
            struct sql_native_deferral deferral = {expression, part->first + i};
            buffer_append(&native->deferrals, &deferral, sizeof deferral);
        }
    }
}

static void run_expression(struct sql_native *native,
                           const struct sql_native_expression *expression, const struct part *part,
                           struct arena *arena, struct sql_result *results)
{
    memcpy(native->deferred, native->unfit, part->count);
    for (uint32_t i = 0; i < expression->count; i++) {
        sql_native_operate(&native->operations[expression->first + i], native->vectors, part->count,
                           native->deferred);
    }
    struct sql_vector vector = native->vectors[expression->result];
    if (expression->kind == SQL_VECTOR_TEXT) {
        give_texts(vector, part->count, expression->owns_texts ? arena : NULL, native->deferred,
                   results);
    } else {
        give_numbers(vector, part->count, results);
    }
    if (memchr(native->deferred, 1, part->count) != NULL) {
        note_deferrals(native, expression->index, part);
    }
}

void sql_native_run(struct sql_native *native, const struct batch *batch, const uint32_t *rows,
                    uint32_t row_count, struct sql_result *results)
{
    buffer_clear(&native->deferrals);
    for (uint32_t first = 0; first < row_count; first += SQL_NATIVE_ROWS) {
        struct part part = {rows + first, first, row_count - first};
        if (part.count > SQL_NATIVE_ROWS) {
            part.count = SQL_NATIVE_ROWS;
        }
        memset(native->unfit, 0, part.count);
        for (uint32_t i = 0; i < native->column_count; i++) {
            const struct sql_native_column *column = &native->columns[i];
            load_column(native, column, &batch->columns[column->field], &part);
        }
        for (uint32_t i = 0; i < native->expression_count; i++) {
            const struct sql_native_expression *expression = &native->expressions[i];
            run_expression(native, expression, &part, batch->arena,
                           results + (size_t)expression->index * row_count + first);
        }
    }
}

void sql_native_fini(struct sql_native *native)
{
    if (native != NULL) {
        buffer_fini(&native->deferrals);
    }
}
