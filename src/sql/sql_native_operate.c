/*
 * The operations, each a loop over the rows of its vectors. Loops over one type have no branch but
 * for integers that overflow; loops over numbers of either type look at each row.
 */
#include <math.h>
#include <string.h>

#include "sql/sql_native.h"

/* What fits a register of every processor of today. Loops over blocks may run past the rows that
 * are asked for, into rows that mean nothing: SQL_NATIVE_ROWS is a whole number of blocks. */
typedef double real_block __attribute__((vector_size(16), may_alias));
typedef int64_t integer_block __attribute__((vector_size(16), may_alias));
typedef uint8_t tag_block __attribute__((vector_size(16), may_alias));

#define REAL_BLOCK_ROWS 2u
#define TAG_BLOCK_ROWS 16u

_Static_assert(SQL_NATIVE_ROWS % TAG_BLOCK_ROWS == 0, "a vector is a whole number of blocks");

struct number {
    uint8_t tag;
    union sql_number value;
};

static const struct number null_number = {.tag = SQL_TAG_NULL};

static struct number integer_of(int64_t value)
{
    return (struct number){.tag = SQL_TAG_INTEGER, .value.integer = value};
}

/* SQLite knows no NaN: it is NULL. */
static struct number real_of(double value)
{
    return (struct number){.tag = isnan(value) ? SQL_TAG_NULL : SQL_TAG_REAL, .value.real = value};
}

static inline struct number number_at(struct sql_vector vector, uint32_t row)
{
    return (struct number){vector.tags[row], vector.numbers[row]};
}

static inline void set_number(struct sql_vector vector, uint32_t row, struct number number)
{
    vector.tags[row] = number.tag;
    vector.numbers[row] = number.value;
}

static double to_real(struct number number)
{
    return number.tag == SQL_TAG_INTEGER ? (double)number.value.integer : number.value.real;
}

/* The greatest double below 2^63. */
#define REAL_INTEGER_MAX 9223372036854774784.0

/* As CAST(x AS INTEGER): cut, and held within the bounds. */
static int64_t to_integer(struct number number)
{
    if (number.tag == SQL_TAG_INTEGER) {
        return number.value.integer;
    }
    if (number.value.real < -REAL_INTEGER_MAX) {
        return INT64_MIN;
    }
    return number.value.real > REAL_INTEGER_MAX ? INT64_MAX : (int64_t)number.value.real;
}

/* --- Arithmetic --- */

static struct number divide_integers(int64_t a, int64_t b)
{
    if (b == 0) {
        return null_number;
    }
    if (b == -1 && a == INT64_MIN) {
        return real_of((double)a / (double)b);
    }
    return integer_of(a / b);
}

static struct number calculate_integers(enum sql_native_code code, int64_t a, int64_t b)
{
    int64_t result = 0;
    if (code == SQL_NATIVE_DIVIDE_NUMBER) {
        return divide_integers(a, b);
    }
    if (code == SQL_NATIVE_ADD_NUMBER) {
        return __builtin_add_overflow(a, b, &result) ? real_of((double)a + (double)b)
                                                     : integer_of(result);
    }
    if (code == SQL_NATIVE_SUBTRACT_NUMBER) {
        return __builtin_sub_overflow(a, b, &result) ? real_of((double)a - (double)b)
                                                     : integer_of(result);
    }
    return __builtin_mul_overflow(a, b, &result) ? real_of((double)a * (double)b)
                                                 : integer_of(result);
}

static struct number calculate_reals(enum sql_native_code code, double a, double b)
{
    switch (code) {
    case SQL_NATIVE_ADD_NUMBER:
        return real_of(a + b);
    case SQL_NATIVE_SUBTRACT_NUMBER:
        return real_of(a - b);
    case SQL_NATIVE_MULTIPLY_NUMBER:
        return real_of(a * b);
    default:
        return b == 0 ? null_number : real_of(a / b);
    }
}

/* Both sides are made integers; the result is real unless both were. */
static struct number find_remainder(struct number a, struct number b)
{
    int64_t divisor = to_integer(b);
    if (divisor == 0) {
        return null_number;
    }
    /* INT64_MIN % -1 traps; anything % 1 is 0 as well. */
    int64_t remainder = to_integer(a) % (divisor == -1 ? 1 : divisor);
    bool integers = (a.tag & b.tag) == SQL_TAG_INTEGER;
    return integers ? integer_of(remainder) : real_of((double)remainder);
}

static struct number calculate(enum sql_native_code code, struct number a, struct number b)
{
    if (a.tag == SQL_TAG_NULL || b.tag == SQL_TAG_NULL) {
        return null_number;
    }
    if (code == SQL_NATIVE_REMAINDER_NUMBER) {
        return find_remainder(a, b);
    }
    if ((a.tag & b.tag) == SQL_TAG_INTEGER) {
        return calculate_integers(code, a.value.integer, b.value.integer);
    }
    return calculate_reals(code, to_real(a), to_real(b));
}

static void calculate_numbers(enum sql_native_code code, struct sql_vector result,
                              struct sql_vector a, struct sql_vector b, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        set_number(result, i, calculate(code, number_at(a, i), number_at(b, i)));
    }
}

/* A row of a real result: NULL where an operand is, and where the result is NaN. */
/* Tags of operands of one type: NULL where one is NULL. `shift` makes them those of integers. */
static inline void join_tags(struct sql_vector result, struct sql_vector a, struct sql_vector b,
                             int shift, uint32_t count)
{
    for (uint32_t i = 0; i < count; i += TAG_BLOCK_ROWS) {
        tag_block joined = *(const tag_block *)(a.tags + i) & *(const tag_block *)(b.tags + i);
        *(tag_block *)(result.tags + i) = joined >> shift;
    }
}

static void drop_odd(enum sql_native_code code, struct sql_vector result, struct sql_vector b,
                     uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (isnan(result.reals[i]) || (code == SQL_NATIVE_DIVIDE_REAL && b.reals[i] == 0)) {
            result.tags[i] = SQL_TAG_NULL;
        }
    }
}

/* NaN and quotients by 0 are rare, so rows are only looked at when a block has met one. */
static inline __attribute__((always_inline)) void calculate_real_blocks(enum sql_native_code code,
                                                                        struct sql_vector result,
                                                                        struct sql_vector a,
                                                                        struct sql_vector b,
                                                                        uint32_t count)
{
    integer_block odd = {0};
    for (uint32_t i = 0; i < count; i += REAL_BLOCK_ROWS) {
        real_block left = *(const real_block *)(a.reals + i);
        real_block right = *(const real_block *)(b.reals + i);
        real_block value = left / right;
        if (code == SQL_NATIVE_ADD_REAL) {
            value = left + right;
        } else if (code == SQL_NATIVE_SUBTRACT_REAL) {
            value = left - right;
        } else if (code == SQL_NATIVE_MULTIPLY_REAL) {
            value = left * right;
        } else {
            odd |= (integer_block)(right == 0);
        }
        odd |= (integer_block)(value != value);
        *(real_block *)(result.reals + i) = value;
    }
    join_tags(result, a, b, 0, count);
    if ((odd[0] | odd[1]) != 0) {
        drop_odd(code, result, b, count);
    }
}

#define CALCULATE_INTEGERS(overflows, operator) \
    for (uint32_t i = 0; i < count; i++) { \
        int64_t left = a.integers[i]; \
        int64_t right = b.integers[i]; \
        int64_t value = 0; \
        result.tags[i] = a.tags[i] & b.tags[i]; \
        if (__builtin_expect(overflows(left, right, &value), 0)) { \
            result.tags[i] = (uint8_t)(result.tags[i] << 1); /* NULL stays, integer is real */ \
            result.numbers[i].real = (double)left operator(double) right; \
        } else { \
            result.numbers[i].integer = value; \
        } \
    }

static void add_integers(struct sql_vector result, struct sql_vector a, struct sql_vector b,
                         uint32_t count)
{
    CALCULATE_INTEGERS(__builtin_add_overflow, +)
}

static void subtract_integers(struct sql_vector result, struct sql_vector a, struct sql_vector b,
                              uint32_t count)
{
    CALCULATE_INTEGERS(__builtin_sub_overflow, -)
}

static void multiply_integers(struct sql_vector result, struct sql_vector a, struct sql_vector b,
                              uint32_t count)
{
    CALCULATE_INTEGERS(__builtin_mul_overflow, *)
}

static void make_reals(struct sql_vector result, struct sql_vector a, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        result.reals[i] = to_real(number_at(a, i));
        result.tags[i] = a.tags[i] == SQL_TAG_NULL ? SQL_TAG_NULL : SQL_TAG_REAL;
    }
}

/* --- Comparisons --- */

static int order_integer_real(int64_t a, double b)
{
    if (b < -0x1p63) {
        return 1;
    }
    if (b >= 0x1p63) {
        return -1;
    }
    int64_t whole = (int64_t)b;
    if (a != whole) {
        return a < whole ? -1 : 1;
    }
    /* Here a is exact as a double, or b has no fraction. */
    return ((double)a > b) - ((double)a < b);
}

/* Of two numbers, neither NULL. */
static int order_numbers(struct number a, struct number b)
{
    if (a.tag == b.tag) {
        return a.tag == SQL_TAG_INTEGER
                   ? (a.value.integer > b.value.integer) - (a.value.integer < b.value.integer)
                   : (a.value.real > b.value.real) - (a.value.real < b.value.real);
    }
    return a.tag == SQL_TAG_INTEGER ? order_integer_real(a.value.integer, b.value.real)
                                    : -order_integer_real(b.value.integer, a.value.real);
}

static void set_truth(struct sql_vector result, uint32_t row, bool known, bool truth)
{
    result.tags[row] = known ? SQL_TAG_INTEGER : SQL_TAG_NULL;
    result.integers[row] = truth;
}

static void less_integers(struct sql_vector result, struct sql_vector a, struct sql_vector b,
                          bool negate, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        result.integers[i] = (a.integers[i] < b.integers[i]) != negate;
    }
    join_tags(result, a, b, 0, count);
}

static void equal_integers(struct sql_vector result, struct sql_vector a, struct sql_vector b,
                           bool negate, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        result.integers[i] = (a.integers[i] == b.integers[i]) != negate;
    }
    join_tags(result, a, b, 0, count);
}

/* A comparison of blocks gives all bits where it holds. */
static inline __attribute__((always_inline)) void compare_real_blocks(bool less,
                                                                      struct sql_vector result,
                                                                      struct sql_vector a,
                                                                      struct sql_vector b,
                                                                      bool negate, uint32_t count)
{
    integer_block flip = {negate, negate};
    for (uint32_t i = 0; i < count; i += REAL_BLOCK_ROWS) {
        real_block left = *(const real_block *)(a.reals + i);
        real_block right = *(const real_block *)(b.reals + i);
        integer_block holds = less ? (integer_block)(left < right) : (integer_block)(left == right);
        *(integer_block *)(result.integers + i) = (holds & 1) ^ flip;
    }
    join_tags(result, a, b, 1, count);
}

static void compare_numbers(struct sql_vector result, struct sql_vector a, struct sql_vector b,
                            bool less, bool negate, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        bool known = a.tags[i] != SQL_TAG_NULL && b.tags[i] != SQL_TAG_NULL;
        int order = known ? order_numbers(number_at(a, i), number_at(b, i)) : 0;
        set_truth(result, i, known, (less ? order < 0 : order == 0) != negate);
    }
}

static bool is_text_less(struct bytes a, struct bytes b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common == 0 ? 0 : memcmp(a.data, b.data, common);
    return order < 0 || (order == 0 && a.size < b.size);
}

/* The first bytes mostly tell. */
static bool is_text_equal(struct bytes a, struct bytes b)
{
    return a.size == b.size &&
           (a.size == 0 || (a.data[0] == b.data[0] && memcmp(a.data, b.data, a.size) == 0));
}

static void less_texts(struct sql_vector result, struct sql_vector a, struct sql_vector b,
                       bool negate, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        result.integers[i] = is_text_less(a.texts[i], b.texts[i]) != negate;
    }
    join_tags(result, a, b, 2, count);
}

static void equal_texts(struct sql_vector result, struct sql_vector a, struct sql_vector b,
                        bool negate, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        result.integers[i] = is_text_equal(a.texts[i], b.texts[i]) != negate;
    }
    join_tags(result, a, b, 2, count);
}

static void compare_same(struct sql_vector result, struct sql_vector a, struct sql_vector b,
                         struct sql_vector equal, bool negate, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        bool a_null = a.tags[i] == SQL_TAG_NULL;
        bool b_null = b.tags[i] == SQL_TAG_NULL;
        bool same = (a_null && b_null) || (!a_null && !b_null && equal.integers[i] != 0);
        set_truth(result, i, true, same != negate);
    }
}

static void find_nulls(struct sql_vector result, struct sql_vector a, bool negate, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        result.integers[i] = (a.tags[i] == SQL_TAG_NULL) != negate;
        result.tags[i] = SQL_TAG_INTEGER;
    }
}

/* --- Logic --- */

static void find_integer_truths(struct sql_vector result, struct sql_vector a, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        result.integers[i] = a.integers[i] != 0;
        result.tags[i] = a.tags[i];
    }
}

static void find_real_truths(struct sql_vector result, struct sql_vector a, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        result.integers[i] = a.reals[i] != 0;
        result.tags[i] = a.tags[i] >> 1;
    }
}

static void find_number_truths(struct sql_vector result, struct sql_vector a, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        bool integer = a.tags[i] == SQL_TAG_INTEGER;
        set_truth(result, i, a.tags[i] != SQL_TAG_NULL,
                  integer ? a.numbers[i].integer != 0 : a.numbers[i].real != 0);
    }
}

static void negate_truths(struct sql_vector result, struct sql_vector a, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        result.integers[i] = a.integers[i] ^ 1;
        result.tags[i] = a.tags[i];
    }
}

/* Whatever the other side is, a known `decisive` side decides. */
static inline void join_truths(struct sql_vector result, struct sql_vector a, struct sql_vector b,
                               int64_t decisive, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        int64_t a_tag = a.tags[i];
        int64_t b_tag = b.tags[i];
        int64_t decided =
            (a_tag & (a.integers[i] == decisive)) | (b_tag & (b.integers[i] == decisive));
        result.tags[i] = (uint8_t)(decided | (a_tag & b_tag));
        result.integers[i] = decided ^ decisive ^ 1;
    }
}

static void find_known(struct sql_vector result, struct sql_vector a, int64_t wanted, bool negate,
                       uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        bool is_wanted = a.tags[i] != SQL_TAG_NULL && a.integers[i] == wanted;
        set_truth(result, i, true, is_wanted != negate);
    }
}

/* --- Functions --- */

static void choose_first_numbers(struct sql_vector result, struct sql_vector a, struct sql_vector b,
                                 uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        set_number(result, i, number_at(a.tags[i] != SQL_TAG_NULL ? a : b, i));
    }
}

static void choose_first_texts(struct sql_vector result, struct sql_vector a, struct sql_vector b,
                               uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct sql_vector chosen = a.tags[i] != SQL_TAG_NULL ? a : b;
        result.texts[i] = chosen.texts[i];
        result.tags[i] = chosen.tags[i];
    }
}

static void find_absolute(struct sql_vector result, struct sql_vector a, uint32_t count,
                          uint8_t *deferred)
{
    for (uint32_t i = 0; i < count; i++) {
        struct number number = number_at(a, i);
        if (number.tag == SQL_TAG_INTEGER && number.value.integer < 0) {
            if (number.value.integer == INT64_MIN) {
                deferred[i] = 1;
            } else {
                number.value.integer = -number.value.integer;
            }
        } else if (number.tag == SQL_TAG_REAL && number.value.real < 0) {
            number.value.real = -number.value.real;
        }
        set_number(result, i, number);
    }
}

/* Of equals, min() takes the last and max() the first: 1 and 1.0 are equal, but not the same. */
static void find_extremes(struct sql_vector result, struct sql_vector a, struct sql_vector b,
                          bool least, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct number best = null_number;
        if (a.tags[i] != SQL_TAG_NULL && b.tags[i] != SQL_TAG_NULL) {
            best = number_at(a, i);
            struct number next = number_at(b, i);
            int order = order_numbers(best, next);
            if (least ? order >= 0 : order < 0) {
                best = next;
            }
        }
        set_number(result, i, best);
    }
}

/* --- */

void sql_native_operate(const struct sql_native_operation *operation, struct sql_vector *vectors,
                        uint32_t count, uint8_t *deferred)
{
    enum sql_native_code code = (enum sql_native_code)operation->code;
    struct sql_vector result = vectors[operation->result];
    struct sql_vector a = vectors[operation->a];
    struct sql_vector b = vectors[operation->b];
    bool negate = operation->negate;
    switch (code) {
    case SQL_NATIVE_TO_REAL:
        make_reals(result, a, count);
        break;
    case SQL_NATIVE_ADD_REAL:
        calculate_real_blocks(SQL_NATIVE_ADD_REAL, result, a, b, count);
        break;
    case SQL_NATIVE_SUBTRACT_REAL:
        calculate_real_blocks(SQL_NATIVE_SUBTRACT_REAL, result, a, b, count);
        break;
    case SQL_NATIVE_MULTIPLY_REAL:
        calculate_real_blocks(SQL_NATIVE_MULTIPLY_REAL, result, a, b, count);
        break;
    case SQL_NATIVE_DIVIDE_REAL:
        calculate_real_blocks(SQL_NATIVE_DIVIDE_REAL, result, a, b, count);
        break;
    case SQL_NATIVE_ADD_INTEGER:
        add_integers(result, a, b, count);
        break;
    case SQL_NATIVE_SUBTRACT_INTEGER:
        subtract_integers(result, a, b, count);
        break;
    case SQL_NATIVE_MULTIPLY_INTEGER:
        multiply_integers(result, a, b, count);
        break;
    case SQL_NATIVE_DIVIDE_INTEGER:
        calculate_numbers(SQL_NATIVE_DIVIDE_NUMBER, result, a, b, count);
        break;
    case SQL_NATIVE_ADD_NUMBER:
    case SQL_NATIVE_SUBTRACT_NUMBER:
    case SQL_NATIVE_MULTIPLY_NUMBER:
    case SQL_NATIVE_DIVIDE_NUMBER:
    case SQL_NATIVE_REMAINDER_NUMBER:
        calculate_numbers(code, result, a, b, count);
        break;
    case SQL_NATIVE_LESS_INTEGER:
        less_integers(result, a, b, negate, count);
        break;
    case SQL_NATIVE_LESS_REAL:
        compare_real_blocks(true, result, a, b, negate, count);
        break;
    case SQL_NATIVE_LESS_NUMBER:
    case SQL_NATIVE_EQUAL_NUMBER:
        compare_numbers(result, a, b, code == SQL_NATIVE_LESS_NUMBER, negate, count);
        break;
    case SQL_NATIVE_LESS_TEXT:
        less_texts(result, a, b, negate, count);
        break;
    case SQL_NATIVE_EQUAL_INTEGER:
        equal_integers(result, a, b, negate, count);
        break;
    case SQL_NATIVE_EQUAL_REAL:
        compare_real_blocks(false, result, a, b, negate, count);
        break;
    case SQL_NATIVE_EQUAL_TEXT:
        equal_texts(result, a, b, negate, count);
        break;
    case SQL_NATIVE_SAME:
        compare_same(result, a, b, vectors[operation->c], negate, count);
        break;
    case SQL_NATIVE_IS_NULL:
        find_nulls(result, a, negate, count);
        break;
    case SQL_NATIVE_TRUTH_INTEGER:
        find_integer_truths(result, a, count);
        break;
    case SQL_NATIVE_TRUTH_REAL:
        find_real_truths(result, a, count);
        break;
    case SQL_NATIVE_TRUTH_NUMBER:
        find_number_truths(result, a, count);
        break;
    case SQL_NATIVE_NOT:
        negate_truths(result, a, count);
        break;
    case SQL_NATIVE_AND:
        join_truths(result, a, b, 0, count);
        break;
    case SQL_NATIVE_OR:
        join_truths(result, a, b, 1, count);
        break;
    case SQL_NATIVE_IS_TRUE:
    case SQL_NATIVE_IS_FALSE:
        find_known(result, a, code == SQL_NATIVE_IS_TRUE, negate, count);
        break;
    case SQL_NATIVE_FIRST_NUMBER:
        choose_first_numbers(result, a, b, count);
        break;
    case SQL_NATIVE_FIRST_TEXT:
        choose_first_texts(result, a, b, count);
        break;
    case SQL_NATIVE_ABSOLUTE_NUMBER:
        find_absolute(result, a, count, deferred);
        break;
    case SQL_NATIVE_LEAST_NUMBER:
    case SQL_NATIVE_GREATEST_NUMBER:
        find_extremes(result, a, b, code == SQL_NATIVE_LEAST_NUMBER, count);
        break;
    }
}
