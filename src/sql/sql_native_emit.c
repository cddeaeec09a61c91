#include "sql/sql_native_emit.h"

#include <string.h>

/* Operations of one expression; each has a vector. */
#define OPERATIONS_MAX 128u
/* Columns and constants of all expressions. */
#define FIXED_MAX 1024u
/* Vectors of operations are numbered from here until all columns and constants are known. */
#define TEMPORARY 0x8000u
/* Beyond these a double does not hold every integer. */
#define EXACT_INTEGER_MAX (INT64_C(1) << 53)

/* A vector that no operation makes: a column's or a constant's. */
struct fixed {
    bool is_column;
    uint32_t field;
    enum sql_vector_kind kind;
    /* of a constant: */
    bool is_null;
    union sql_number number;
    struct bytes text;
};

const struct sql_operand sql_null_operand = {.is_null = true, .is_constant = true};

struct sql_operand sql_emit_lose(struct sql_native_compiler *compiler)
{
    compiler->lost = true;
    return sql_null_operand;
}

static uint32_t count_fixed(const struct sql_native_compiler *compiler)
{
    return (uint32_t)(compiler->fixed.size / sizeof(struct fixed));
}

static struct fixed *fixed_items(const struct sql_native_compiler *compiler)
{
    return (struct fixed *)(void *)compiler->fixed.data;
}

/* --- Vectors --- */

static uint16_t add_fixed(struct sql_native_compiler *compiler, const struct fixed *fixed)
{
    uint32_t index = count_fixed(compiler);
    if (index == FIXED_MAX) {
        compiler->lost = true;
        return 0;
    }
    buffer_append(&compiler->fixed, fixed, sizeof *fixed);
    return (uint16_t)index;
}

static uint16_t column_vector(struct sql_native_compiler *compiler, uint32_t field,
                              enum sql_vector_kind kind)
{
    const struct fixed *items = fixed_items(compiler);
    for (uint32_t i = 0; i < count_fixed(compiler); i++) {
        if (items[i].is_column && items[i].field == field) {
            return (uint16_t)i;
        }
    }
    return add_fixed(compiler, &(struct fixed){.is_column = true, .field = field, .kind = kind});
}

static uint16_t vector_of(struct sql_native_compiler *compiler, const struct sql_operand *operand)
{
    if (!operand->is_constant) {
        return operand->vector;
    }
    return add_fixed(compiler, &(struct fixed){
                                   .kind = operand->kind,
                                   .is_null = operand->is_null,
                                   .number = operand->number,
                                   .text = operand->text,
                               });
}

struct sql_operand sql_emit_column(struct sql_native_compiler *compiler, uint32_t field,
                                   enum sql_vector_kind kind)
{
    return (struct sql_operand){.kind = kind, .vector = column_vector(compiler, field, kind)};
}

static struct sql_operand emit(struct sql_native_compiler *compiler,
                               struct sql_native_operation operation, enum sql_vector_kind kind)
{
    if (compiler->lost || compiler->used == OPERATIONS_MAX) {
        return sql_emit_lose(compiler);
    }
    operation.result = (uint16_t)(TEMPORARY + compiler->used++);
    buffer_append(&compiler->operations, &operation, sizeof operation);
    return (struct sql_operand){.kind = kind, .vector = operation.result};
}

static struct sql_operand emit_truth(struct sql_native_compiler *compiler,
                                     struct sql_native_operation operation)
{
    struct sql_operand result = emit(compiler, operation, SQL_VECTOR_INTEGER);
    result.is_truth = true;
    return result;
}

static bool is_number(const struct sql_operand *operand)
{
    return operand->is_null || operand->kind == SQL_VECTOR_INTEGER ||
           operand->kind == SQL_VECTOR_REAL || operand->kind == SQL_VECTOR_NUMBER;
}

static bool is_kind(const struct sql_operand *operand, enum sql_vector_kind kind)
{
    return !operand->is_null && operand->kind == kind;
}

static uint16_t real_vector(struct sql_native_compiler *compiler, const struct sql_operand *operand)
{
    if (is_kind(operand, SQL_VECTOR_REAL)) {
        return vector_of(compiler, operand);
    }
    if (operand->is_constant && is_kind(operand, SQL_VECTOR_INTEGER)) {
        struct sql_operand real = *operand;
        real.kind = SQL_VECTOR_REAL;
        real.number.real = (double)operand->number.integer;
        return vector_of(compiler, &real);
    }
    struct sql_native_operation operation = {.code = SQL_NATIVE_TO_REAL,
                                             .a = vector_of(compiler, operand)};
    return emit(compiler, operation, SQL_VECTOR_REAL).vector;
}

static uint16_t truth_vector(struct sql_native_compiler *compiler,
                             const struct sql_operand *operand)
{
    if (!is_number(operand)) {
        compiler->lost = true;
        return 0;
    }
    uint16_t vector = vector_of(compiler, operand);
    if (operand->is_truth || operand->is_null) {
        return vector;
    }
    struct sql_native_operation operation = {.code = SQL_NATIVE_TRUTH_NUMBER, .a = vector};
    if (operand->kind == SQL_VECTOR_INTEGER) {
        operation.code = SQL_NATIVE_TRUTH_INTEGER;
    } else if (operand->kind == SQL_VECTOR_REAL) {
        operation.code = SQL_NATIVE_TRUTH_REAL;
    }
    return emit_truth(compiler, operation).vector;
}

/* --- Arithmetic --- */

static struct sql_operand emit_remainder(struct sql_native_compiler *compiler,
                                         const struct sql_operand *a, const struct sql_operand *b)
{
    struct sql_native_operation operation = {
        .code = SQL_NATIVE_REMAINDER_NUMBER,
        .a = vector_of(compiler, a),
        .b = vector_of(compiler, b),
    };
    enum sql_vector_kind kind = SQL_VECTOR_NUMBER;
    if (a->kind == SQL_VECTOR_REAL || b->kind == SQL_VECTOR_REAL) {
        kind = SQL_VECTOR_REAL;
    } else if (a->kind == SQL_VECTOR_INTEGER && b->kind == SQL_VECTOR_INTEGER) {
        kind = SQL_VECTOR_INTEGER;
    }
    return emit(compiler, operation, kind);
}

struct sql_operand sql_emit_arithmetic(struct sql_native_compiler *compiler,
                                       enum sql_arithmetic arithmetic, const struct sql_operand *a,
                                       const struct sql_operand *b)
{
    if (compiler->lost || !is_number(a) || !is_number(b)) {
        return sql_emit_lose(compiler);
    }
    if (a->is_null || b->is_null) {
        return sql_null_operand;
    }
    if (arithmetic == SQL_REMAINDER) {
        return emit_remainder(compiler, a, b);
    }
    bool real = a->kind == SQL_VECTOR_REAL || b->kind == SQL_VECTOR_REAL;
    bool integer = a->kind == SQL_VECTOR_INTEGER && b->kind == SQL_VECTOR_INTEGER;
    enum sql_native_code base = SQL_NATIVE_ADD_NUMBER;
    if (real) {
        base = SQL_NATIVE_ADD_REAL;
    } else if (integer) {
        base = SQL_NATIVE_ADD_INTEGER;
    }
    struct sql_native_operation operation = {
        .code = (uint8_t)((unsigned)base + (unsigned)arithmetic),
        .a = real ? real_vector(compiler, a) : vector_of(compiler, a),
        .b = real ? real_vector(compiler, b) : vector_of(compiler, b),
    };
    return emit(compiler, operation, real ? SQL_VECTOR_REAL : SQL_VECTOR_NUMBER);
}

/* --- Comparisons --- */

/* Whether comparing as reals is exact: an integer constant that a double holds. */
bool sql_operand_is_exact(const struct sql_operand *operand)
{
    return operand->is_constant && operand->kind == SQL_VECTOR_INTEGER &&
           operand->number.integer >= -EXACT_INTEGER_MAX &&
           operand->number.integer <= EXACT_INTEGER_MAX;
}

/* How both sides are compared, as the distance from SQL_NATIVE_…_INTEGER. */
static unsigned comparison_offset(const struct sql_operand *a, const struct sql_operand *b)
{
    if (a->kind == SQL_VECTOR_TEXT) {
        return 3;
    }
    bool a_real = a->kind == SQL_VECTOR_REAL;
    bool b_real = b->kind == SQL_VECTOR_REAL;
    if ((a_real && b_real) || (a_real && sql_operand_is_exact(b)) ||
        (b_real && sql_operand_is_exact(a))) {
        return 1;
    }
    return a->kind == SQL_VECTOR_INTEGER && b->kind == SQL_VECTOR_INTEGER ? 0 : 2;
}

/* Everything comes down to a = b and a < b: no value is without order, NULL aside. */
struct sql_operand sql_emit_comparison(struct sql_native_compiler *compiler,
                                       enum sql_comparison comparison, const struct sql_operand *a,
                                       const struct sql_operand *b)
{
    bool numbers = is_number(a) && is_number(b);
    bool texts =
        (a->is_null || a->kind == SQL_VECTOR_TEXT) && (b->is_null || b->kind == SQL_VECTOR_TEXT);
    if (compiler->lost || (!numbers && !texts)) {
        return sql_emit_lose(compiler);
    }
    if (a->is_null || b->is_null) {
        return sql_null_operand;
    }
    bool swap = comparison == SQL_GREATER || comparison == SQL_LESS_EQUAL;
    bool equality = comparison == SQL_EQUAL || comparison == SQL_UNEQUAL;
    unsigned offset = comparison_offset(a, b);
    uint16_t left = offset == 1 ? real_vector(compiler, a) : vector_of(compiler, a);
    uint16_t right = offset == 1 ? real_vector(compiler, b) : vector_of(compiler, b);
    unsigned base = equality ? SQL_NATIVE_EQUAL_INTEGER : SQL_NATIVE_LESS_INTEGER;
    struct sql_native_operation operation = {
        .code = (uint8_t)(base + offset),
        .negate = comparison == SQL_UNEQUAL || comparison == SQL_LESS_EQUAL ||
                  comparison == SQL_GREATER_EQUAL,
        .a = swap ? right : left,
        .b = swap ? left : right,
    };
    return emit_truth(compiler, operation);
}

struct sql_operand sql_emit_is_null(struct sql_native_compiler *compiler,
                                    const struct sql_operand *operand, bool negate)
{
    struct sql_native_operation operation = {
        .code = SQL_NATIVE_IS_NULL,
        .negate = negate,
        .a = vector_of(compiler, operand),
    };
    return emit_truth(compiler, operation);
}

struct sql_operand sql_emit_is(struct sql_native_compiler *compiler, const struct sql_operand *a,
                               const struct sql_operand *b, bool negate)
{
    if (b->is_word) {
        struct sql_native_operation operation = {
            .code = b->number.integer != 0 ? SQL_NATIVE_IS_TRUE : SQL_NATIVE_IS_FALSE,
            .negate = negate,
            .a = truth_vector(compiler, a),
        };
        return emit_truth(compiler, operation);
    }
    if (a->is_null || b->is_null) {
        return sql_emit_is_null(compiler, a->is_null ? b : a, negate);
    }
    struct sql_operand equal = sql_emit_comparison(compiler, SQL_EQUAL, a, b);
    struct sql_native_operation operation = {
        .code = SQL_NATIVE_SAME,
        .negate = negate,
        .a = vector_of(compiler, a),
        .b = vector_of(compiler, b),
        .c = equal.vector,
    };
    return emit_truth(compiler, operation);
}

/* --- Logic --- */

struct sql_operand sql_emit_logic(struct sql_native_compiler *compiler, enum sql_native_code code,
                                  const struct sql_operand *a, const struct sql_operand *b)
{
    struct sql_native_operation operation = {
        .code = (uint8_t)code,
        .a = truth_vector(compiler, a),
        .b = truth_vector(compiler, b),
    };
    return emit_truth(compiler, operation);
}

struct sql_operand sql_emit_not(struct sql_native_compiler *compiler, const struct sql_operand *a)
{
    struct sql_native_operation operation = {.code = SQL_NATIVE_NOT,
                                             .a = truth_vector(compiler, a)};
    return emit_truth(compiler, operation);
}

/* --- Functions --- */

/* The kind that holds the values of both; false when there is none. */
static bool join_kinds(const struct sql_operand *a, const struct sql_operand *b,
                       enum sql_vector_kind *out_kind)
{
    if (is_number(a) && is_number(b)) {
        *out_kind = a->kind == b->kind ? a->kind : SQL_VECTOR_NUMBER;
        return true;
    }
    *out_kind = SQL_VECTOR_TEXT;
    return a->kind == SQL_VECTOR_TEXT && b->kind == SQL_VECTOR_TEXT;
}

struct sql_operand sql_emit_first(struct sql_native_compiler *compiler, const struct sql_operand *a,
                                  const struct sql_operand *b)
{
    if (a->kind == SQL_VECTOR_CELL || b->kind == SQL_VECTOR_CELL) {
        return sql_emit_lose(compiler);
    }
    if (a->is_null || b->is_null) {
        struct sql_operand other = a->is_null ? *b : *a;
        other.is_token = false;
        other.is_signed = false;
        other.is_word = false;
        return other;
    }
    enum sql_vector_kind kind;
    if (!join_kinds(a, b, &kind)) {
        return sql_emit_lose(compiler);
    }
    struct sql_native_operation operation = {
        .code = kind == SQL_VECTOR_TEXT ? SQL_NATIVE_FIRST_TEXT : SQL_NATIVE_FIRST_NUMBER,
        .a = vector_of(compiler, a),
        .b = vector_of(compiler, b),
    };
    return emit(compiler, operation, kind);
}

struct sql_operand sql_emit_extreme(struct sql_native_compiler *compiler, enum sql_native_code code,
                                    const struct sql_operand *a, const struct sql_operand *b)
{
    enum sql_vector_kind kind;
    if (!is_number(a) || !is_number(b) || !join_kinds(a, b, &kind)) {
        return sql_emit_lose(compiler);
    }
    if (a->is_null || b->is_null) {
        return sql_null_operand;
    }
    struct sql_native_operation operation = {
        .code = (uint8_t)code,
        .a = vector_of(compiler, a),
        .b = vector_of(compiler, b),
    };
    return emit(compiler, operation, kind);
}

struct sql_operand sql_emit_absolute(struct sql_native_compiler *compiler,
                                     const struct sql_operand *a)
{
    if (!is_number(a)) {
        return sql_emit_lose(compiler);
    }
    if (a->is_null) {
        return sql_null_operand;
    }
    struct sql_native_operation operation = {.code = SQL_NATIVE_ABSOLUTE_NUMBER,
                                             .a = vector_of(compiler, a)};
    return emit(compiler, operation, a->kind);
}

/* --- The whole --- */

void sql_emit_begin(struct sql_native_compiler *compiler)
{
    compiler->fixed_before = compiler->fixed.size;
    compiler->operations_before = compiler->operations.size;
    compiler->used = 0;
    compiler->lost = false;
}

bool sql_emit_end(struct sql_native_compiler *compiler, uint32_t expression,
                  const struct sql_operand *whole)
{
    uint16_t result = vector_of(compiler, whole);
    if (compiler->lost || whole->kind == SQL_VECTOR_CELL) {
        compiler->fixed.size = compiler->fixed_before;
        compiler->operations.size = compiler->operations_before;
        return false;
    }
    struct sql_native_expression compiled = {
        .index = expression,
        .first = (uint32_t)(compiler->operations_before / sizeof(struct sql_native_operation)),
        .count = compiler->used,
        .result = result,
        .owns_texts = whole->is_constant || (result & TEMPORARY) != 0,
        .kind = whole->is_null ? SQL_VECTOR_INTEGER : whole->kind,
    };
    buffer_append(&compiler->expressions, &compiled, sizeof compiled);
    if (compiler->used > compiler->temporary_count) {
        compiler->temporary_count = compiler->used;
    }
    return true;
}

/* --- All of them --- */

struct sql_native_compiler *sql_native_compiler_new(struct arena *arena,
                                                    const struct layout *layout,
                                                    const bool *is_time, sqlite3 *db)
{
    struct sql_native_compiler *compiler = arena_alloc_zero(arena, 1, sizeof *compiler);
    compiler->arena = arena;
    compiler->layout = layout;
    compiler->is_time = is_time;
    compiler->db = db;
    return compiler;
}

static void fill_constant(struct sql_vector *vector, const struct fixed *fixed)
{
    uint8_t tag = SQL_TAG_INTEGER;
    if (fixed->is_null) {
        tag = SQL_TAG_NULL;
    } else if (fixed->kind == SQL_VECTOR_REAL) {
        tag = SQL_TAG_REAL;
    } else if (fixed->kind == SQL_VECTOR_TEXT) {
        tag = SQL_TAG_TEXT;
    }
    /* What is NULL has no number: a literal 9e999 - 9e999 is no literal. */
    for (uint32_t i = 0; i < SQL_NATIVE_ROWS; i++) {
        vector->tags[i] = tag;
        if (fixed->kind == SQL_VECTOR_TEXT && !fixed->is_null) {
            vector->texts[i] = fixed->text;
        } else {
            vector->numbers[i] = fixed->number;
        }
    }
}

/* Every vector has room for texts where it is an operation's, and for its own kind elsewhere. */
static void make_vectors(struct sql_native_compiler *compiler, struct sql_native *native)
{
    struct arena *arena = compiler->arena;
    uint32_t fixed_count = count_fixed(compiler);
    const struct fixed *items = fixed_items(compiler);
    uint32_t count = fixed_count + compiler->temporary_count;
    native->vectors = arena_alloc_zero(arena, size_add(count, 1), sizeof *native->vectors);
    native->columns = arena_alloc_zero(arena, size_add(fixed_count, 1), sizeof *native->columns);
    for (uint32_t i = 0; i < count; i++) {
        bool texts = i >= fixed_count || items[i].kind == SQL_VECTOR_TEXT;
        struct sql_vector *vector = &native->vectors[i];
        vector->tags = arena_alloc_zero(arena, SQL_NATIVE_ROWS, 1);
        vector->texts = arena_alloc_zero(arena, SQL_NATIVE_ROWS,
                                         texts ? sizeof *vector->texts : sizeof *vector->numbers);
        if (i < fixed_count && items[i].is_column) {
            native->columns[native->column_count++] = (struct sql_native_column){
                .field = items[i].field,
                .vector = (uint16_t)i,
                .type = compiler->layout->fields[items[i].field].type,
                .kind = items[i].kind,
            };
        } else if (i < fixed_count) {
            fill_constant(vector, &items[i]);
        }
    }
}

static uint16_t settle(uint16_t vector, uint32_t fixed_count)
{
    return (vector & TEMPORARY) == 0 ? vector : (uint16_t)(vector - TEMPORARY + fixed_count);
}

static void settle_vectors(struct sql_native *native, uint32_t operation_count,
                           uint32_t fixed_count)
{
    for (uint32_t i = 0; i < operation_count; i++) {
        struct sql_native_operation *operation = &native->operations[i];
        operation->result = settle(operation->result, fixed_count);
        operation->a = settle(operation->a, fixed_count);
        operation->b = settle(operation->b, fixed_count);
        operation->c = settle(operation->c, fixed_count);
    }
    for (uint32_t i = 0; i < native->expression_count; i++) {
        native->expressions[i].result = settle(native->expressions[i].result, fixed_count);
    }
}

static void *take_buffer(struct arena *arena, struct buffer *buffer)
{
    void *copy = arena_alloc(arena, buffer->size);
    if (buffer->size > 0) {
        memcpy(copy, buffer->data, buffer->size);
    }
    buffer_fini(buffer);
    return copy;
}

struct sql_native *sql_native_compiler_finish(struct sql_native_compiler *compiler)
{
    struct arena *arena = compiler->arena;
    struct sql_native *native = NULL;
    if (compiler->expressions.size > 0) {
        native = arena_alloc_zero(arena, 1, sizeof *native);
        native->expression_count =
            (uint32_t)(compiler->expressions.size / sizeof *native->expressions);
        uint32_t operation_count =
            (uint32_t)(compiler->operations.size / sizeof *native->operations);
        make_vectors(compiler, native);
        native->deferred = arena_alloc_zero(arena, SQL_NATIVE_ROWS, 1);
        native->unfit = arena_alloc_zero(arena, SQL_NATIVE_ROWS, 1);
        native->expressions = take_buffer(arena, &compiler->expressions);
        native->operations = take_buffer(arena, &compiler->operations);
        settle_vectors(native, operation_count, count_fixed(compiler));
    }
    buffer_fini(&compiler->expressions);
    buffer_fini(&compiler->operations);
    buffer_fini(&compiler->fixed);
    return native;
}
