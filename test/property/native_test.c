/*
 * Expressions that are evaluated without SQLite against the same expressions left to SQLite, on
 * random rows of awkward values: the same types, the same bits, the same failures. What one of the
 * two refuses the other refuses with the same words.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/prng.h"
#include "sql/sql_fixture.h"
#include "sql/sql_program.h"
#include "trial.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define EXPRESSIONS_MAX 5u
/* More than two vectors, and never a whole number of them. */
#define ROWS_MAX 700u

/* What the trials have shown: trials that never meet a case prove nothing about it. */
struct coverage {
    uint64_t refused, native, foreign;
    uint64_t values, nulls, integers, reals, texts, failures;
};

static const char *pick(struct prng *prng, const char *const *texts, size_t count)
{
    return texts[prng_below(prng, count)];
}

static bool chance(struct prng *prng, uint32_t percent)
{
    return prng_below(prng, 100) < percent;
}

/* --- Rows --- */

static int64_t random_integer(struct prng *prng)
{
    static const int64_t hard[] = {0,
                                   1,
                                   -1,
                                   2,
                                   10,
                                   INT64_MIN,
                                   INT64_MIN + 1,
                                   INT64_MAX,
                                   INT64_MAX - 1,
                                   (INT64_C(1) << 53) - 1,
                                   INT64_C(1) << 53,
                                   (INT64_C(1) << 53) + 1,
                                   -(INT64_C(1) << 53) - 1,
                                   INT64_C(3037000500),
                                   INT64_MAX / 2 + 1,
                                   INT64_C(1) << 62};
    switch (prng_below(prng, 4)) {
    case 0:
        return (int64_t)prng_next(prng);
    case 1:
        return (int64_t)prng_below(prng, 9) - 4;
    default:
        return hard[prng_below(prng, COUNT(hard))];
    }
}

static double random_real(struct prng *prng)
{
    static const double hard[] = {0.0,
                                  -0.0,
                                  0.5,
                                  -0.5,
                                  1.0,
                                  -1.0,
                                  2.0,
                                  10.0,
                                  5e-324,
                                  -5e-324,
                                  2.2250738585072014e-308,
                                  1.7e308,
                                  -1.7e308,
                                  9007199254740991.0,
                                  9007199254740992.0,
                                  9007199254740994.0,
                                  9223372036854774784.0,
                                  -9223372036854774784.0,
                                  9223372036854775808.0,
                                  -9223372036854775808.0,
                                  -9223372036854777856.0,
                                  1e19,
                                  __builtin_inf(),
                                  -__builtin_inf(),
                                  __builtin_nan("")};
    uint64_t bits = prng_next(prng);
    double real;
    memcpy(&real, &bits, sizeof real);
    switch (prng_below(prng, 5)) {
    case 0:
        return real;
    case 1:
        return (double)(int64_t)prng_below(prng, 9) - 4;
    case 2:
        return (double)random_integer(prng);
    default:
        return hard[prng_below(prng, COUNT(hard))];
    }
}

static void set_random_text(struct prng *prng, struct batch *batch, uint32_t field, uint32_t row)
{
    static const char *const texts[] = {"",
                                        "a",
                                        "b",
                                        "test",
                                        "tes",
                                        "tests",
                                        "TEST",
                                        "12",
                                        "1e5 ",
                                        "-0.0",
                                        "\xc3\xa9",
                                        "\xc3\xa9t\xc3\xa9",
                                        "\xf0\x9f\x92\xa7",
                                        " test",
                                        "it's",
                                        "\x7f"};
    char longer[3000];
    switch (prng_below(prng, 12)) {
    case 0:
        fixture_set_bytes(batch, field, row, "test\0", 5);
        break;
    case 1:
        fixture_set_bytes(batch, field, row, "a\0b", 3);
        break;
    case 2:
        memset(longer, 'a', sizeof longer);
        longer[prng_below(prng, sizeof longer)] = (char)('a' + prng_below(prng, 3));
        fixture_set_bytes(batch, field, row, longer, 1 + prng_below(prng, sizeof longer));
        break;
    case 3:
        if (chance(prng, 10)) {
            fixture_set_bytes(batch, field, row, "tes\xff", 4);
            break;
        }
        /* fall through */
    default:
        fixture_set_text(batch, field, row, pick(prng, texts, COUNT(texts)));
    }
}

static void fill_cell(struct prng *prng, struct batch *batch, uint32_t field, uint32_t row)
{
    struct column *column = &batch->columns[field];
    switch (column->type) {
    case COLUMN_BOOL:
        fixture_set_boolean(batch, row, chance(prng, 50));
        break;
    case COLUMN_INT64:
        fixture_set_integer(batch, field, row, random_integer(prng));
        break;
    case COLUMN_DOUBLE:
        fixture_set_real(batch, field, row, random_real(prng));
        break;
    case COLUMN_TEXT:
        if (fixture_is_time[field]) {
            fixture_set_text(batch, field, row, "2026-01-01T00:00:00Z");
        } else {
            set_random_text(prng, batch, field, row);
        }
        break;
    case COLUMN_JSON:
    case COLUMN_OBJECT:
        fixture_set_text(batch, field, row, "{\"a\": [1, 2]}");
        break;
    }
    /* Whatever has no value keeps what stands in its place. */
    static const enum cell others[] = {CELL_ABSENT, CELL_NULL, CELL_MISFIT, CELL_INVALID};
    if (chance(prng, 30)) {
        column->cells[row] = (uint8_t)others[prng_below(prng, COUNT(others))];
    }
}

static void fill_batch(struct prng *prng, struct batch *batch)
{
    batch_reset(batch, 0, 0);
    uint32_t count = 1 + (uint32_t)prng_below(prng, ROWS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t row = fixture_add_row(batch);
        for (uint32_t field = 0; field < FIXTURE_FIELD_COUNT; field++) {
            fill_cell(prng, batch, field, row);
        }
    }
}

/* --- Expressions --- */

static void add_truth(struct prng *prng, struct buffer *out, int depth);

static void add_text(struct prng *prng, struct buffer *out, int depth)
{
    static const char *const atoms[] = {"site", "note", "key",     "\"key\"",    "'test'", "''",
                                        "'a'",  "site", "'it''s'", "'\xc3\xa9'", "NULL",   "+note"};
    if (depth <= 0 || chance(prng, 70)) {
        buffer_append_string(out, pick(prng, atoms, COUNT(atoms)));
        return;
    }
    buffer_append_string(out, "coalesce(");
    add_text(prng, out, depth - 1);
    buffer_append_string(out, ", ");
    add_text(prng, out, depth - 1);
    buffer_append_string(out, ")");
}

static const char *const literals[] = {"0",
                                       "1",
                                       "2",
                                       "10",
                                       "-1",
                                       "- 1",
                                       "0.0",
                                       "-0.0",
                                       "0.5",
                                       "1.8",
                                       "-45",
                                       "5e-324",
                                       "1.7e308",
                                       "9e999",
                                       "-9e999",
                                       "9007199254740992",
                                       "9007199254740993",
                                       "9007199254740993.0",
                                       "9223372036854775807",
                                       "-9223372036854775808",
                                       "9223372036854775808",
                                       "-9223372036854775809",
                                       "0x7fffffffffffffff",
                                       "0xffffffffffffffff",
                                       "-0x10",
                                       "1_000",
                                       "3037000500",
                                       "1e19",
                                       ".5",
                                       "5."};

static void add_literal(struct prng *prng, struct buffer *out)
{
    buffer_append_string(out, pick(prng, literals, COUNT(literals)));
}

static void add_number(struct prng *prng, struct buffer *out, int depth);

static void add_call(struct prng *prng, struct buffer *out, int depth)
{
    static const char *const names[] = {"coalesce", "ifnull", "min", "MAX", "Coalesce", "max"};
    const char *name = pick(prng, names, COUNT(names));
    buffer_printf(out, "%s(", name);
    add_number(prng, out, depth - 1);
    uint64_t more = strcmp(name, "ifnull") == 0 ? 1 : 1 + prng_below(prng, 3);
    for (uint64_t i = 0; i < more; i++) {
        buffer_append_string(out, ", ");
        add_number(prng, out, depth - 1);
    }
    buffer_append_string(out, ")");
}

static void add_number(struct prng *prng, struct buffer *out, int depth)
{
    static const char *const atoms[] = {
        "temperature",      "location.lat", "tally",  "mode", "temperature",
        "\"location.lat\"", "tally",        "active", "TRUE", "NULL"};
    static const char *const operators[] = {" + ", " - ", " * ", " / ", " % ", "+", "*"};
    static const char *const signs[] = {"- ", "-", "+", "- +", "+ -"};
    uint64_t choice = prng_below(prng, depth > 0 ? 12 : 4);
    bool parentheses = choice >= 4 && chance(prng, 50);
    buffer_append_string(out, parentheses ? "(" : "");
    if (choice < 3) {
        buffer_append_string(out, pick(prng, atoms, COUNT(atoms)));
    } else if (choice == 3) {
        add_literal(prng, out);
    } else if (choice < 9) {
        add_number(prng, out, depth - 1);
        buffer_append_string(out, pick(prng, operators, COUNT(operators)));
        add_number(prng, out, depth - 1);
    } else if (choice == 9) {
        buffer_append_string(out, pick(prng, signs, COUNT(signs)));
        add_number(prng, out, depth - 1);
    } else if (choice == 10) {
        add_call(prng, out, depth);
    } else if (chance(prng, 40)) {
        buffer_append_string(out, "abs(");
        add_number(prng, out, depth - 1);
        buffer_append_string(out, ")");
    } else {
        add_truth(prng, out, depth - 1);
    }
    buffer_append_string(out, parentheses ? ")" : "");
}

static void add_list(struct prng *prng, struct buffer *out, bool texts)
{
    uint64_t count = prng_below(prng, 6);
    buffer_append_string(out, chance(prng, 30) ? " NOT IN (" : " IN (");
    for (uint64_t i = 0; i < count; i++) {
        buffer_append_string(out, i > 0 ? ", " : "");
        if (chance(prng, 5)) {
            buffer_append_string(out, "NULL");
        } else if (texts) {
            buffer_append_string(out, chance(prng, 50) ? "'test'" : "'a'");
        } else {
            add_literal(prng, out);
        }
    }
    buffer_append_string(out, ")");
}

static void add_comparison(struct prng *prng, struct buffer *out, int depth)
{
    static const char *const operators[] = {
        " = ", " == ", " <> ",     " != ", " < ", " <= ", " > ", " >= ",    "<",
        ">=",  " IS ", " IS NOT ", " is ", " = ", " > ",  " < ", " IS NOT "};
    bool texts = chance(prng, 25);
    void (*add)(struct prng *, struct buffer *, int) = texts ? add_text : add_number;
    add(prng, out, depth - 1);
    if (chance(prng, 15)) {
        add_list(prng, out, texts);
        return;
    }
    if (chance(prng, 15)) {
        buffer_append_string(out, chance(prng, 30) ? " NOT BETWEEN " : " BETWEEN ");
        add(prng, out, depth - 1);
        buffer_append_string(out, " AND ");
    } else {
        buffer_append_string(out, pick(prng, operators, COUNT(operators)));
    }
    add(prng, out, depth - 1);
    if (!texts && chance(prng, 20)) {
        buffer_append_string(out, pick(prng, operators, COUNT(operators)));
        add(prng, out, depth - 1);
    }
}

static void add_truth(struct prng *prng, struct buffer *out, int depth)
{
    static const char *const tests[] = {
        " IS NULL", " IS NOT NULL", " ISNULL",      " NOTNULL",      " NOT NULL",
        " IS TRUE", " IS FALSE",    " IS NOT TRUE", " IS NOT FALSE", " IS (TRUE)"};
    static const char *const cells[] = {"tags", "location", "event_time",
                                        "site", "tally",    "active"};
    uint64_t choice = prng_below(prng, depth > 0 ? 11 : 1);
    bool parentheses = chance(prng, 50);
    buffer_append_string(out, parentheses ? "(" : "");
    if (choice < 4) {
        add_comparison(prng, out, depth);
    } else if (choice < 7) {
        add_truth(prng, out, depth - 1);
        buffer_append_string(out, chance(prng, 50) ? " AND " : " or ");
        add_truth(prng, out, depth - 1);
    } else if (choice == 7) {
        buffer_append_string(out, "NOT ");
        add_truth(prng, out, depth - 1);
    } else if (choice == 8) {
        add_number(prng, out, depth - 1);
        buffer_append_string(out, pick(prng, tests, COUNT(tests)));
    } else if (choice == 9) {
        buffer_append_string(out, pick(prng, cells, COUNT(cells)));
        buffer_append_string(out, pick(prng, tests, 5));
    } else {
        add_number(prng, out, depth - 1);
    }
    buffer_append_string(out, parentheses ? ")" : "");
}

static char *random_expression(struct prng *prng, struct arena *arena)
{
    struct buffer text = {0};
    int depth = (int)prng_below(prng, 5);
    switch (prng_below(prng, 12)) {
    case 0:
        add_text(prng, &text, depth);
        break;
    case 1:
        /* Beside the others it must change nothing that some are left to SQLite. */
        buffer_append_string(&text, "length(site) > tally");
        break;
    case 2:
    case 3:
    case 4:
    case 5:
        add_number(prng, &text, depth);
        break;
    default:
        add_truth(prng, &text, depth);
        break;
    }
    char *copy = arena_copy(arena, text.data, text.size);
    buffer_fini(&text);
    return copy;
}

/* --- Comparing --- */

static bool is_same(const struct sql_result *a, const struct sql_result *b)
{
    if (a->failed != b->failed || a->value.type != b->value.type) {
        return false;
    }
    switch (a->value.type) {
    case VALUE_NULL:
        return true;
    case VALUE_INT64:
    case VALUE_DOUBLE:
        /* The bits: 0.0 is not -0.0. */
        return memcmp(&a->value.integer, &b->value.integer, sizeof a->value.integer) == 0;
    case VALUE_TEXT:
        return bytes_equal(a->value.text, b->value.text);
    case VALUE_BOOL:
    case VALUE_JSON:
        break;
    }
    return false;
}

static void cover(struct coverage *coverage, const struct sql_result *result)
{
    coverage->values++;
    coverage->failures += result->failed;
    coverage->nulls += result->value.type == VALUE_NULL;
    coverage->integers += result->value.type == VALUE_INT64;
    coverage->reals += result->value.type == VALUE_DOUBLE;
    coverage->texts += result->value.type == VALUE_TEXT && !result->failed;
}

struct pair {
    struct sql_program *native, *foreign;
};

static bool compile_pair(struct arena *arena, const struct sql_expression *expressions,
                         uint32_t count, struct pair *pair, struct buffer *why)
{
    struct error ours = {0};
    struct error theirs = {0};
    enum status native = sql_program_compile(arena, &fixture_layout, fixture_is_time, expressions,
                                             count, &pair->native, &ours);
    enum status foreign = sql_program_compile_foreign(arena, &fixture_layout, fixture_is_time,
                                                      expressions, count, &pair->foreign, &theirs);
    if (native != foreign || strcmp(ours.message, theirs.message) != 0) {
        buffer_printf(why, "%s\n    is refused otherwise without SQLite: '%s' and '%s'",
                      expressions[0].text, ours.message, theirs.message);
    }
    return native == STATUS_OK && foreign == STATUS_OK;
}

static void compare(struct arena *arena, const struct sql_expression *expressions, uint32_t count,
                    const struct sql_result *ours, const struct sql_result *theirs,
                    uint32_t row_count, const struct sql_program *native, struct coverage *coverage,
                    struct buffer *why)
{
    for (uint32_t e = 0; e < count; e++) {
        bool is_native = sql_program_is_native(native, e);
        coverage->native += is_native;
        coverage->foreign += !is_native;
        for (uint32_t i = 0; i < row_count; i++) {
            size_t at = (size_t)e * row_count + i;
            if (is_native) {
                cover(coverage, &theirs[at]);
            }
            if (why->size == 0 && !is_same(&ours[at], &theirs[at])) {
                buffer_printf(why, "%s\n    gives %.100s without SQLite and %.100s with it",
                              expressions[e].text, fixture_show(arena, &ours[at]),
                              fixture_show(arena, &theirs[at]));
            }
        }
    }
}

static void try_seed(uint64_t seed, struct batch *batch, struct coverage *coverage,
                     struct buffer *why)
{
    struct prng prng;
    prng_init(&prng, seed);
    struct arena *arena = arena_new(1u << 16);
    fill_batch(&prng, batch);
    struct sql_expression expressions[EXPRESSIONS_MAX];
    uint32_t count = 1 + (uint32_t)prng_below(&prng, EXPRESSIONS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        expressions[i] = fixture_expression(random_expression(&prng, arena));
    }
    uint32_t rows[ROWS_MAX];
    uint32_t row_count = 0;
    uint32_t share = chance(&prng, 50) ? 100 : 60;
    for (uint32_t row = 0; row < batch->row_count; row++) {
        if (chance(&prng, share)) {
            rows[row_count++] = row;
        }
    }
    struct pair pair = {0};
    if (compile_pair(arena, expressions, count, &pair, why)) {
        size_t size = (size_t)count * (row_count + 1) * sizeof(struct sql_result);
        struct sql_result *ours = arena_alloc(arena, size);
        struct sql_result *theirs = arena_alloc(arena, size);
        struct error err = {0};
        assert_int_equal(sql_program_run(pair.foreign, batch, rows, row_count, theirs, &err),
                         STATUS_OK);
        assert_int_equal(sql_program_run(pair.native, batch, rows, row_count, ours, &err),
                         STATUS_OK);
        compare(arena, expressions, count, ours, theirs, row_count, pair.native, coverage, why);
    } else {
        coverage->refused += count;
    }
    sql_program_free(pair.native);
    sql_program_free(pair.foreign);
    arena_free(arena);
}

static void test_native_is_sqlite(void **state)
{
    const struct trials *trials = *state;
    struct coverage seen = {0};
    struct batch *batch = batch_new(&fixture_layout);
    struct buffer why = {0};
    for (int i = 0; i < trials->count; i++) {
        uint64_t seed = trials->first_seed + (uint64_t)i;
        try_seed(seed, batch, &seen, &why);
        trial_expect(trials, "native", seed, &why);
    }
    print_message(
        "expressions: %llu native, %llu left to SQLite, %llu in refused programs\n"
        "native values: %llu; %llu null, %llu integer, %llu real, %llu text, %llu failed\n",
        (unsigned long long)seen.native, (unsigned long long)seen.foreign,
        (unsigned long long)seen.refused, (unsigned long long)seen.values,
        (unsigned long long)seen.nulls, (unsigned long long)seen.integers,
        (unsigned long long)seen.reals, (unsigned long long)seen.texts,
        (unsigned long long)seen.failures);
    if (!trials->single && trials->count >= 1000) {
        assert_true(seen.native > seen.foreign);
        assert_true(seen.nulls > 0 && seen.integers > 0 && seen.reals > 0 && seen.texts > 0);
        assert_true(seen.failures > 0);
    }
    buffer_fini(&why);
    batch_free(batch);
}

int main(int argc, char **argv)
{
    struct trials trials = trials_of(argc, argv);
    const struct CMUnitTest all[] = {
        cmocka_unit_test_prestate(test_native_is_sqlite, &trials),
    };
    return cmocka_run_group_tests(all, NULL, NULL);
}
