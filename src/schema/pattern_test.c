#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "schema/pattern.h"

struct fixture {
    struct arena *arena;
    struct pattern_matcher *matcher;
};

static int set_up(void **state)
{
    struct fixture *fixture = memory_alloc(sizeof *fixture);
    fixture->arena = arena_new(4096);
    fixture->matcher = pattern_matcher_new();
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    pattern_matcher_free(fixture->matcher);
    arena_free(fixture->arena);
    memory_free(fixture);
    return 0;
}

static enum pattern_result match(struct fixture *fixture, const char *pattern, struct bytes text)
{
    char why[320];
    struct pattern *compiled =
        pattern_compile(fixture->arena, bytes_of_string(pattern), why, sizeof why);
    if (compiled == NULL) {
        fail_msg("%s: %s", pattern, why);
    }
    return pattern_match(fixture->matcher, compiled, text);
}

static void test_dialect(void **state)
{
    static const struct {
        const char *pattern;
        const char *text;
        enum pattern_result result;
    } cases[] = {
        {"a+", "xaay", PATTERN_MATCHES},
        {"^a+$", "xaay", PATTERN_DIFFERS},
        {"", "", PATTERN_MATCHES},
        {"^$", "", PATTERN_MATCHES},
        {"^a$", "a\n", PATTERN_DIFFERS},
        {"^.$", "\r", PATTERN_DIFFERS},
        {"^.$", "\n", PATTERN_DIFFERS},
        {"^.$", "ä", PATTERN_MATCHES},
        {"^..$", "😀", PATTERN_DIFFERS},
        {"^\\d$", "7", PATTERN_MATCHES},
        {"^\\d$", "\u0967", PATTERN_DIFFERS},
        {"^\\w$", "é", PATTERN_DIFFERS},
        {"^\\W$", "é", PATTERN_MATCHES},
        {"^\\u00e9$", "é", PATTERN_MATCHES},
        {"^\\u{1F600}$", "😀", PATTERN_MATCHES},
        {"^[^]$", "x", PATTERN_MATCHES},
        {"[]", "x", PATTERN_DIFFERS},
        {"\\p{L}", "é", PATTERN_MATCHES},
        {"^(?<y>\\d{4})-(?<m>\\d\\d)$", "2024-07", PATTERN_MATCHES},
        {"(?<=a)b(?!c)", "abd", PATTERN_MATCHES},
        {"(?<=a)b(?!c)", "abc", PATTERN_DIFFERS},
        {"(?i)ABC", "abc", PATTERN_MATCHES},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (match(*state, cases[i].pattern, bytes_of_string(cases[i].text)) != cases[i].result) {
            fail_msg("%s on %s", cases[i].pattern, cases[i].text);
        }
    }
    assert_int_equal(match(*state, "^a.b$", bytes_of("a\0b", 3)), PATTERN_MATCHES);
    assert_int_equal(match(*state, "b$", bytes_of("a\0b", 3)), PATTERN_MATCHES);
    assert_int_equal(match(*state, "^$", BYTES_NONE), PATTERN_MATCHES);
    assert_int_equal(match(*state, "a", bytes_of("a\xff", 2)), PATTERN_DIFFERS);
}

static void test_refused(void **state)
{
    struct fixture *fixture = *state;
    static const char *const refused[] = {
        "(", "[a", "a{2,1}", "*", "\\C", "(?<n>a)(?<n>b)", "\\p{Nope}", "(?z)", "\xff"};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        char why[320] = "";
        assert_null(pattern_compile(fixture->arena, bytes_of_string(refused[i]), why, sizeof why));
        assert_memory_equal(why, "at byte ", 8);
    }
}

/* Each would run for years, or for hours, without a budget. */
static void test_budget(void **state)
{
    static const char *const greedy[] = {
        "^(a+)+$",
        "^(a|aa)+$",
        "(a*)*b|c",
        "a*a*a*a*a*a*a*a*[bc]$",
        "^(?:(?:a+)?)+[bc]",
        "(.*)(.*)(.*)(.*)(.*)\\1x|y",
        "^(?=(a+))*\\1+b?c|z",
    };
    static const size_t sizes[] = {100, 255, 257, 5000, 200000};
    size_t size_max = 200001;
    uint8_t *text = memory_alloc(size_max);
    unsigned given_up = 0;
    for (size_t i = 0; i < sizeof greedy / sizeof greedy[0]; i++) {
        for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
            memset(text, 'a', sizes[k]);
            text[sizes[k]] = '!';
            enum pattern_result result = match(*state, greedy[i], bytes_of(text, sizes[k] + 1));
            assert_int_not_equal(result, PATTERN_MATCHES);
            given_up += result == PATTERN_TOO_EXPENSIVE;
        }
    }
    assert_true(given_up >= 20);
    memory_free(text);
}

/* What is linear must not give up, however long the text. */
static void test_long_texts(void **state)
{
    size_t size = 10000000;
    uint8_t *text = memory_alloc(size);
    memset(text, 'a', size);
    struct bytes whole = bytes_of(text, size);
    assert_int_equal(match(*state, "^[a-z]*$", whole), PATTERN_MATCHES);
    assert_int_equal(match(*state, "^[\\x20-\\x7e]*$", whole), PATTERN_MATCHES);
    assert_int_equal(match(*state, "b", whole), PATTERN_DIFFERS);
    text[size - 1] = 'b';
    assert_int_equal(match(*state, "ab$", whole), PATTERN_MATCHES);
    assert_int_equal(match(*state, "^[a-z]*[0-9]", whole), PATTERN_DIFFERS);
    assert_int_equal(match(*state, "^(?:aa|ab)+$", bytes_of(text, 100000)), PATTERN_MATCHES);
    memory_free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_dialect, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_budget, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_long_texts, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
