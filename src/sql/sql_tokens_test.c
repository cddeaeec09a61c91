#include "sql/sql_tokens.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "sql/sql_fixture.h"

/* The tokens with a letter for their kind, separated by spaces. */
static char *cut(struct arena *arena, const char *text)
{
    struct sql_expression expression = fixture_expression(text);
    struct sql_tokens tokens;
    struct error err = {0};
    assert_int_equal(sql_tokens_cut(arena, &expression, &tokens, &err), STATUS_OK);
    assert_int_equal(tokens.items[tokens.count].kind, SQL_TOKEN_END);
    char *out = arena_copy_string(arena, "");
    for (uint32_t i = 0; i < tokens.count; i++) {
        struct bytes bytes = sql_token_bytes(&tokens, i);
        out =
            arena_printf(arena, "%s%s%c%.*s", out, i == 0 ? "" : " ",
                         "nqsb#."[tokens.items[i].kind], (int)bytes.size, (const char *)bytes.data);
    }
    return out;
}

static void test_cut(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *tokens;
    } cases[] = {
        {"a>=1", "na .>= #1"},
        {"a->>'$.b'->0", "na .->> s'$.b' .-> #0"},
        {"a||b<<2>>3<>4!=5==6<=7", "na .|| nb .<< #2 .>> #3 .<> #4 .!= #5 .== #6 .<= #7"},
        {"'it''s' \"a\"\"b\" [c d] `e``f`", "s'it''s' q\"a\"\"b\" q[c d] q`e``f`"},
        {"x'0f' X'' x", "bx'0f' bX'' nx"},
        {"1.5e-3 .5 0x1F 1_000 1e+5", "#1.5e-3 #.5 #0x1F #1_000 #1e+5"},
        {"1-1 0xe-1 2e -3", "#1 .- #1 #0xe .- #1 #2e .- #3"},
        {"5abc a$b _c \xc3\xa4", "#5abc na$b n_c n\xc3\xa4"},
        {"a.b. c", "na .. nb .. nc"},
        {"')' || \"(\"", "s')' .|| q\"(\""},
        {"';' || '--' || '/*'", "s';' .|| s'--' .|| s'/*'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct arena *arena = arena_new(4096);
        assert_string_equal(cut(arena, cases[i].text), cases[i].tokens);
        arena_free(arena);
    }
}

static void test_unquote(void **state)
{
    (void)state;
    static const struct {
        const char *token;
        const char *text;
    } cases[] = {
        {"'it''s'", "it's"}, {"''", ""},        {"''''", "'"},      {"\"a\"\"b\"", "a\"b"},
        {"[a b]", "a b"},    {"`a``b`", "a`b"}, {"plain", "plain"}, {"'\"'", "\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct arena *arena = arena_new(4096);
        struct sql_expression expression = fixture_expression(cases[i].token);
        struct sql_tokens tokens;
        struct error err = {0};
        assert_int_equal(sql_tokens_cut(arena, &expression, &tokens, &err), STATUS_OK);
        assert_int_equal(tokens.count, 1);
        assert_string_equal(sql_token_unquote(arena, &tokens, 0), cases[i].text);
        arena_free(arena);
    }
}

static void test_words(void **state)
{
    (void)state;
    struct arena *arena = arena_new(4096);
    struct sql_expression expression = fixture_expression("Between \"between\" 'between' site");
    struct sql_tokens tokens;
    struct error err = {0};
    assert_int_equal(sql_tokens_cut(arena, &expression, &tokens, &err), STATUS_OK);
    assert_true(sql_token_is(&tokens, 0, "BETWEEN"));
    assert_true(sql_token_is_keyword(&tokens, 0));
    for (uint32_t i = 1; i < 3; i++) {
        assert_false(sql_token_is(&tokens, i, "BETWEEN"));
        assert_false(sql_token_is_keyword(&tokens, i));
    }
    assert_false(sql_token_is(&tokens, 3, "sit"));
    assert_false(sql_token_is(&tokens, 3, "sites"));
    assert_false(sql_token_is_keyword(&tokens, 3));
    assert_false(sql_token_is(&tokens, 4, ""));
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_unquote),
        cmocka_unit_test(test_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
