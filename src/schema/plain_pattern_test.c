#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/prng.h"
#include "schema/plain_pattern.h"

static void test_what_is_plain(void **state)
{
    (void)state;
    static const char *const plain[] = {
        "^$",          "^s-[0-9]{5}$", "^[A-Z]{2}\\d+$", "^[-a-z]*$",           "^[a-z-]?$",
        "^\\w{2,3}:$", "^\\[\\d\\]$",  "^[\\w\\.]{1,}$", "^[a-f0-9]{8}-[a-f]$", "^a{0}$",
        "^[\\d-]$",    "^ #$",
    };
    static const char *const other[] = {
        "",        "a",          "^a",        "a$",
        "^a|b$",   "^.$",        "^a+?$",     "^a++$",
        "^(a)$",   "^[^a]$",     "^[a-]b-c",  "^\\s$",
        "^\\bx$",  "^a+a$",      "^a\\$",     "^[[:digit:]]$",
        "^a?b*a$", "^[]$",       "^[a-\\d]$", "^a{$",
        "^a{,2}$", "^[+--]$",    "^é$",       "^[é]$",
        "^\\x41$", "^[a\\d-z]$", "^a{2}{3}$", "^\\w+\\d$",
        "^^a$",    "^a$$",       "^[a$",      "^\\u0041$",
    };
    struct plain_pattern pattern;
    assert_false(plain_pattern_compile(bytes_of("^a\0$", 4), &pattern));
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++) {
        if (!plain_pattern_compile(bytes_of_string(plain[i]), &pattern)) {
            fail_msg("%s is plain", plain[i]);
        }
    }
    for (size_t i = 0; i < sizeof other / sizeof other[0]; i++) {
        if (plain_pattern_compile(bytes_of_string(other[i]), &pattern)) {
            fail_msg("%s is not plain", other[i]);
        }
    }
}

/* Some characters that patterns are made of, and texts. */
static size_t random_text(struct prng *prng, const char *alphabet, char *out, size_t size_max)
{
    const size_t size = prng_below(prng, size_max);
    for (size_t i = 0; i < size; i++) {
        out[i] = alphabet[prng_below(prng, strlen(alphabet))];
    }
    out[size] = '\0';
    return size;
}

static size_t random_pattern(struct prng *prng, char *out, size_t size_max)
{
    static const char *const pieces[] = {
        "a",     "b",     "ab",   "-",    "1",      "\\d",  "\\w", "\\-",  "\\.",   "[ab]",
        "[0-9]", "[a-c]", "[-1]", "[a-]", "[\\d.]", "[^a]", ".",   "{2}",  "{1,2}", "{0,}",
        "+",     "*",     "?",    "|",    "\\",     "$",    "^",   "[1-a]"};
    strcpy(out, "^");
    for (uint64_t left = prng_below(prng, 7); left > 0 && strlen(out) + 8 < size_max; left--) {
        strcat(out, pieces[prng_below(prng, sizeof pieces / sizeof pieces[0])]);
    }
    strcat(out, "$");
    return strlen(out);
}

/* What PCRE2 says, with the options of pattern.c. */
static bool pcre2_matches(const pcre2_code *code, pcre2_match_data *data, const char *text,
                          size_t size)
{
    return pcre2_match(code, (PCRE2_SPTR)text, size, 0, 0, data, NULL) >= 0;
}

static void test_the_answers_are_those_of_pcre2(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 20);
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    unsigned plain_count = 0;
    unsigned match_count = 0;
    for (int i = 0; i < 20000; i++) {
        char expression[96];
        int code;
        PCRE2_SIZE offset;
        size_t size = random_pattern(&prng, expression, sizeof expression);
        pcre2_code *compiled = pcre2_compile((PCRE2_SPTR)expression, size,
                                             PCRE2_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_ALT_BSUX |
                                                 PCRE2_ALLOW_EMPTY_CLASS | PCRE2_NEVER_BACKSLASH_C,
                                             &code, &offset, NULL);
        struct plain_pattern pattern;
        if (compiled == NULL || !plain_pattern_compile(bytes_of(expression, size), &pattern)) {
            pcre2_code_free(compiled);
            continue;
        }
        plain_count++;
        for (int each = 0; each < 30; each++) {
            char text[12];
            size_t text_size = random_text(&prng, "aabbc1129-._\n", text, sizeof text);
            bool expected = pcre2_matches(compiled, data, text, text_size);
            if (plain_pattern_matches(&pattern, bytes_of(text, text_size)) != expected) {
                fail_msg("%s on \"%s\": PCRE2 says %d", expression, text, expected);
            }
            match_count += expected;
        }
        pcre2_code_free(compiled);
    }
    pcre2_match_data_free(data);
    assert_true(plain_count > 2000);
    assert_true(match_count > 2000);
}

static void test_texts_that_are_not_ascii_differ(void **state)
{
    (void)state;
    struct plain_pattern pattern;
    assert_true(plain_pattern_compile(bytes_of_string("^\\w*$"), &pattern));
    assert_true(plain_pattern_matches(&pattern, bytes_of("", 0)));
    assert_false(plain_pattern_matches(&pattern, bytes_of_string("é")));
    assert_false(plain_pattern_matches(&pattern, bytes_of("a\xff", 2)));
    assert_false(plain_pattern_matches(&pattern, bytes_of("a\0b", 3)));
}

/* Texts of one size are asked as words: each byte at each place by itself gives what its set says. */
static void test_each_byte_at_each_place(void **state)
{
    (void)state;
    static const struct {
        const char *expression;
        const char *text;
    } cases[] = {
        {"^ab\\d$", "ab7"},
        {"^[a-c]{4}$", "abca"},
        {"^s-[0-9]{5}$", "s-00596"},
        {"^\\w{8}$", "aZ_09xyz"},
        {"^[A-Z]{2}\\d{2}[a-zA-Z0-9]{7}$", "DE12abcXYZ9"},
        {"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}$", "019b76da-a800-75b8"},
        {"^[acegik]{9}$", "acegikace"}, /* too many ranges */
        {"^\\d{4}-\\d{2}-\\d{2}$", "2026-11-28"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct plain_pattern pattern;
        char text[64];
        const size_t size = strlen(cases[i].text);
        assert_true(plain_pattern_compile(bytes_of_string(cases[i].expression), &pattern));
        assert_int_equal(pattern.size, size);
        memcpy(text, cases[i].text, size);
        assert_true(plain_pattern_matches(&pattern, bytes_of(text, size)));
        for (size_t place = 0; place < size; place++) {
            for (unsigned byte = 0; byte < 256; byte++) {
                text[place] = (char)byte;
                assert_int_equal(plain_pattern_matches(&pattern, bytes_of(text, size)),
                                 (pattern.sets[byte] & pattern.places[place]) != 0);
            }
            text[place] = cases[i].text[place];
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_plain),
        cmocka_unit_test(test_the_answers_are_those_of_pcre2),
        cmocka_unit_test(test_texts_that_are_not_ascii_differ),
        cmocka_unit_test(test_each_byte_at_each_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
