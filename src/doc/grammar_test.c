#include "doc/grammar.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/time.h"

#define DURATION "a duration with its unit, such as 250ms, 10m or 1h30m"

static struct arena *arena;

static int setup(void **state)
{
    (void)state;
    arena = arena_new(16 << 10);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(arena);
    arena = NULL;
    return 0;
}

static const struct grammar_field event_time_fields[] = {
    {.key = "field", .type = GRAMMAR_STRING, .required = true, .help = "the field with the time"},
    {.key = "lateness", .type = GRAMMAR_DURATION, .help = "how long to wait"},
    {.key = "max_future", .type = GRAMMAR_DURATION},
    {0},
};

static const char *const modes[] = {"append", "upsert", NULL};

static const struct grammar_field batch_fields[] = {
    {.key = "max_records", .type = GRAMMAR_INT, .minimum = 1, .maximum = 1000000},
    {0},
};

static const struct grammar_field sink_fields[] = {
    {.key = "mode", .type = GRAMMAR_CHOICE, .choices = modes},
    {.key = "key", .type = GRAMMAR_STRINGS},
    {.key = "batch", .type = GRAMMAR_MAP, .fields = batch_fields},
    {0},
};

static const struct grammar_field check_fields[] = {
    {.key = "name", .type = GRAMMAR_NAME, .required = true},
    {.key = "expect", .type = GRAMMAR_STRING, .required = true},
    {0},
};

static const struct grammar_field pipeline_fields[] = {
    {.key = "name", .type = GRAMMAR_NAME, .required = true, .help = "consumer group"},
    {.key = "dry", .type = GRAMMAR_BOOL},
    {.key = "count", .type = GRAMMAR_INT},
    {.key = "factor", .type = GRAMMAR_NUMBER},
    {.key = "window", .type = GRAMMAR_DURATION_OR_UNLIMITED},
    {.key = "memory", .type = GRAMMAR_SIZE},
    {.key = "jitter", .type = GRAMMAR_PERCENT},
    {.key = "event_time", .type = GRAMMAR_MAP, .fields = event_time_fields},
    {.key = "sinks", .type = GRAMMAR_MAP_OF, .fields = sink_fields},
    {.key = "checks", .type = GRAMMAR_LIST_OF, .fields = check_fields},
    {.key = "anything", .type = GRAMMAR_ANY},
    {.key = "free_map", .type = GRAMMAR_MAP},
    {.key = "free_maps", .type = GRAMMAR_MAP_OF},
    {.key = "free_list", .type = GRAMMAR_LIST_OF},
    {.key = "monitors",
     .type = GRAMMAR_ANY,
     .required = true,
     .unsupported = "leave the block out; results do not depend on it"},
    {0},
};

static const char *environment(const char *name)
{
    return strcmp(name, "COUNT") == 0 ? "12" : strcmp(name, "DRY") == 0 ? "true" : NULL;
}

static struct doc *parse(const char *text)
{
    struct doc *doc = NULL;
    struct error err = {0};
    if (doc_parse(arena, "p.yaml", bytes_of_string(text), environment, &doc, &err) != STATUS_OK) {
        fail_msg("%u:%u: %s", err.line, err.column, err.message);
    }
    return doc;
}

static struct doc *parse_good(const char *text)
{
    struct doc *doc = parse(text);
    struct error err = {0};
    if (grammar_check(pipeline_fields, doc, "the pipeline", &err) != STATUS_OK) {
        fail_msg("%u:%u: %s", err.line, err.column, err.message);
    }
    return doc;
}

static void whole_document_passes(void **state)
{
    (void)state;
    struct doc *root = parse_good("name: iot-1_a.b\n"
                                  "dry: true\n"
                                  "count: -3\n"
                                  "factor: 2\n"
                                  "window: unlimited\n"
                                  "memory: 64MiB\n"
                                  "jitter: 20%\n"
                                  "event_time: {field: t, lateness: 10m, max_future: 0}\n"
                                  "sinks:\n"
                                  "  any name at all: {mode: upsert, key: [a, b]}\n"
                                  "  other: {key: a, batch: {max_records: 1000000}}\n"
                                  "checks:\n"
                                  "  - {name: a, expect: x > 1}\n"
                                  "anything: [1, {x: ~}]\n"
                                  "free_map: {x: 1}\n"
                                  "free_maps: {x: {y: 1}}\n"
                                  "free_list: [{x: 1}]\n");
    assert_string_equal(grammar_string(root, "name", "none"), "iot-1_a.b");
    assert_true(grammar_bool(root, "dry", false));
    assert_int_equal(grammar_int(root, "count", 9), -3);
    assert_true(grammar_number(root, "factor", 1.5) == 2);
    assert_true(grammar_duration_us(root, "window", 5) == TIME_UNLIMITED);
    assert_int_equal(grammar_size_bytes(root, "memory", 1), 64 << 20);
    assert_true(grammar_percent(root, "jitter", 1) == 0.2);
    const struct doc *event_time = doc_get(root, "event_time");
    assert_int_equal(grammar_duration_us(event_time, "lateness", 5), 600 * TIME_US_PER_SECOND);
    assert_int_equal(grammar_duration_us(event_time, "max_future", 5), 0);
    const struct doc *sinks = doc_get(root, "sinks");
    assert_string_equal(grammar_string(sinks->items[0], "mode", "append"), "upsert");
    assert_string_equal(grammar_string(sinks->items[1], "mode", "append"), "append");
}

static void absent_keys_give_the_default(void **state)
{
    (void)state;
    struct doc *root = parse_good("name: x");
    assert_null(grammar_string(root, "absent", NULL));
    assert_true(grammar_bool(root, "absent", true));
    assert_int_equal(grammar_int(root, "absent", INT64_MIN), INT64_MIN);
    assert_true(grammar_number(root, "absent", 0.5) == 0.5);
    assert_int_equal(grammar_duration_us(root, "absent", -1), -1);
    assert_true(grammar_size_bytes(root, "absent", UINT64_MAX) == UINT64_MAX);
    assert_true(grammar_percent(root, "absent", 0.25) == 0.25);
    size_t count = 9;
    assert_null(grammar_strings(arena, root, "absent", &count));
    assert_int_equal(count, 0);
}

static void strings_are_a_list_or_one(void **state)
{
    (void)state;
    struct doc *root = parse("{one: a, two: [b, 'c'], none: []}");
    size_t count = 0;
    const char **strings = grammar_strings(arena, root, "one", &count);
    assert_int_equal(count, 1);
    assert_string_equal(strings[0], "a");
    strings = grammar_strings(arena, root, "two", &count);
    assert_int_equal(count, 2);
    assert_string_equal(strings[1], "c");
    assert_non_null(grammar_strings(arena, root, "none", &count));
    assert_int_equal(count, 0);
}

static void environment_gives_numbers_and_booleans(void **state)
{
    (void)state;
    struct doc *root =
        parse_good("name: \"${COUNT}\"\ncount: ${COUNT}\nfactor: ${COUNT}\ndry: ${DRY}\n");
    assert_string_equal(grammar_string(root, "name", NULL), "12");
    assert_int_equal(grammar_int(root, "count", 0), 12);
    assert_true(grammar_number(root, "factor", 0) == 12);
    assert_true(grammar_bool(root, "dry", false));
}

struct refused {
    const char *text;
    unsigned line;
    unsigned column;
    const char *code;
    const char *message;
};

static void assert_refused(const struct refused *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct error err = {0};
        struct doc *doc = parse(rows[i].text);
        enum status status = grammar_check(pipeline_fields, doc, "the pipeline", &err);
        bool good = status == STATUS_CONFIG && err.line == rows[i].line &&
                    err.column == rows[i].column && strcmp(err.code, rows[i].code) == 0 &&
                    strcmp(err.message, rows[i].message) == 0;
        if (!good) {
            fail_msg("%s gave %s %u:%u [%s] %s", rows[i].text, status_name(status), err.line,
                     err.column, err.code, err.message);
        }
    }
}

static void keys_are_checked(void **state)
{
    (void)state;
    static const struct refused rows[] = {
        {"name: x\nevent_time:\n  lateness_: 10m\n", 3, 3, "config.unknown_key",
         "unknown key 'lateness_' in event_time; did you mean 'lateness'? Known keys: field, "
         "lateness, max_future"},
        {"name: x\nevent_time: {field: t, lateness:10m}\n", 2, 24, "config.unknown_key",
         "unknown key 'lateness:10m' in event_time; a space must follow the ':'. Known keys: "
         "field, lateness, max_future"},
        {"name: x\nqwertyuiop: 1\n", 2, 1, "config.unknown_key",
         "unknown key 'qwertyuiop' in the pipeline. Known keys: name, dry, count, factor, window, "
         "memory, jitter, event_time, sinks, checks, anything, free_map, free_maps, free_list"},
        {"name: x\nsinks:\n  out:\n    mod: append\n", 4, 5, "config.unknown_key",
         "unknown key 'mod' in sinks.out; did you mean 'mode'? Known keys: mode, key, batch"},
        {"name: x\nsinks: {out: {batch: {\"max_records\\0\": 1}}}\n", 2, 23, "config.unknown_key",
         "unknown key 'max_records ' in batch; did you mean 'max_records'? Known keys: "
         "max_records"},
        {"name: x\nchecks:\n- {name: a, expect: b}\n- {name: a, expects: b}\n", 4, 13,
         "config.unknown_key",
         "unknown key 'expects' in item 2 of checks; did you mean 'expect'? Known keys: name, "
         "expect"},
        {"dry: true\n", 1, 1, "config.missing_key",
         "the key 'name' is missing in the pipeline: consumer group"},
        {"name: x\nevent_time:\n  lateness: 10m\n", 3, 3, "config.missing_key",
         "the key 'field' is missing in event_time: the field with the time"},
        {"name: x\nchecks:\n  - name: a\n", 3, 5, "config.missing_key",
         "the key 'expect' is missing in item 1 of checks"},
        {"name: x\nmonitors: []\n", 2, 1, "config.unsupported",
         "'monitors' in the pipeline is not supported in this version: leave the block out; "
         "results do not depend on it"},
        {"name: x\nmonitor: []\n", 2, 1, "config.unknown_key",
         "unknown key 'monitor' in the pipeline; did you mean 'monitors'? Known keys: name, dry, "
         "count, factor, window, memory, jitter, event_time, sinks, checks, anything, free_map, "
         "free_maps, free_list"},
    };
    assert_refused(rows, sizeof rows / sizeof rows[0]);
}

static void types_are_checked(void **state)
{
    (void)state;
    static const struct refused rows[] = {
        {"", 1, 1, "config.type", "the pipeline must be a map ('key: value' pairs); found nothing"},
        {"[a]", 1, 1, "config.type",
         "the pipeline must be a map ('key: value' pairs); found a list"},
        {"name: 12", 1, 7, "config.type",
         "'name' in the pipeline must be a name (letters, digits, '_', '-', '.', at most 200 "
         "characters); found the integer 12; put quotes around it"},
        {"dry: yes", 1, 6, "config.type",
         "'dry' in the pipeline must be true or false; found the string 'yes'"},
        {"dry: 'true'", 1, 6, "config.type",
         "'dry' in the pipeline must be true or false; found the string 'true'"},
        {"count: 1.0", 1, 8, "config.type",
         "'count' in the pipeline must be an integer; found the number 1.0"},
        {"count: '12'", 1, 8, "config.type",
         "'count' in the pipeline must be an integer; found the string '12'"},
        {"factor: '12'", 1, 9, "config.type",
         "'factor' in the pipeline must be a number; found the string '12'"},
        {"factor: {}", 1, 9, "config.type",
         "'factor' in the pipeline must be a number; found a map"},
        {"window: true", 1, 9, "config.type",
         "'window' in the pipeline must be " DURATION ", or unlimited; found true"},
        {"event_time:\nname: x", 1, 1, "config.type",
         "'event_time' in the pipeline must be a map ('key: value' pairs); found nothing"},
        {"event_time: {field: ~}", 1, 21, "config.type",
         "'field' in event_time must be a string; found null"},
        {"event_time: {field: true}", 1, 21, "config.type",
         "'field' in event_time must be a string; found true; put quotes around it"},
        {"sinks: [a]", 1, 8, "config.type",
         "'sinks' in the pipeline must be a map ('key: value' pairs); found a list"},
        {"sinks: {a: b}", 1, 12, "config.type",
         "sinks.a must be a map ('key: value' pairs); found the string 'b'"},
        {"sinks: {a: {key: [b, 3]}}", 1, 22, "config.type",
         "item 2 of 'key' in sinks.a must be a string; found the integer 3; put quotes around it"},
        {"sinks: {a: {key: 3}}", 1, 18, "config.type",
         "'key' in sinks.a must be a string or a list of strings; found the integer 3; put quotes "
         "around it"},
        {"sinks: {a: {mode: 3}}", 1, 19, "config.type",
         "'mode' in sinks.a must be one of append, upsert; found the integer 3"},
        {"checks: {a: b}", 1, 9, "config.type",
         "'checks' in the pipeline must be a list of maps; found a map"},
        {"checks: [a]", 1, 10, "config.type",
         "item 1 of checks must be a map ('key: value' pairs); found the string 'a'"},
        {"free_map: 1", 1, 11, "config.type",
         "'free_map' in the pipeline must be a map ('key: value' pairs); found the integer 1"},
    };
    assert_refused(rows, sizeof rows / sizeof rows[0]);
}

static void values_are_checked(void **state)
{
    (void)state;
    static const struct refused rows[] = {
        {"name: a b", 1, 7, "config.value",
         "'name' in the pipeline must be a name (letters, digits, '_', '-', '.', at most 200 "
         "characters); found the string 'a b'"},
        {"name: ''", 1, 7, "config.value",
         "'name' in the pipeline must be a name (letters, digits, '_', '-', '.', at most 200 "
         "characters); found the string ''"},
        {"name: \"a\\0\"", 1, 7, "config.value", "'name' in the pipeline holds a NUL character"},
        {"event_time: {lateness: 10}", 1, 24, "config.value",
         "'lateness' in event_time must be " DURATION "; found the integer 10"},
        {"event_time: {lateness: unlimited}", 1, 24, "config.value",
         "'lateness' in event_time must be " DURATION "; found the string 'unlimited'"},
        {"window: 10 m", 1, 9, "config.value",
         "'window' in the pipeline must be " DURATION ", or unlimited; found the string '10 m'"},
        {"window: \"10m\\0\"", 1, 9, "config.value",
         "'window' in the pipeline must be " DURATION ", or unlimited; found the string '10m '"},
        {"memory: 64", 1, 9, "config.value",
         "'memory' in the pipeline must be a size with its unit, such as 64KiB or 1GB; found the "
         "integer 64"},
        {"jitter: 120%", 1, 9, "config.value",
         "'jitter' in the pipeline must be a percentage from 0% to 100%, such as 5%; found the "
         "string '120%'"},
        {"sinks: {a: {batch: {max_records: 0}}}", 1, 34, "config.value",
         "'max_records' in batch must be from 1 to 1000000; found 0"},
        {"sinks: {a: {batch: {max_records: 1000001}}}", 1, 34, "config.value",
         "'max_records' in batch must be from 1 to 1000000; found 1000001"},
        {"sinks: {a: {mode: upser}}", 1, 19, "config.value",
         "'mode' in sinks.a must be one of append, upsert; found the string 'upser'; did you mean "
         "'upsert'?"},
        {"sinks: {a: {mode: qqqqqqqqq}}", 1, 19, "config.value",
         "'mode' in sinks.a must be one of append, upsert; found the string 'qqqqqqqqq'"},
        {"sinks: {a: {key: [\"x\\0\"]}}", 1, 19, "config.value",
         "item 1 of 'key' in sinks.a holds a NUL character"},
        {"sinks: {\"a\\0\": {}}", 1, 9, "config.value", "a key in sinks holds a NUL character"},
    };
    assert_refused(rows, sizeof rows / sizeof rows[0]);
}

static void names_have_a_limit(void **state)
{
    (void)state;
    char name[202];
    memset(name, 'n', sizeof name);
    name[200] = '\0';
    (void)parse_good(arena_printf(arena, "name: %s", name));
    name[200] = 'n';
    name[201] = '\0';
    struct doc *root = parse(arena_printf(arena, "name: %s", name));
    struct error err = {0};
    assert_int_equal(grammar_check(pipeline_fields, root, "the pipeline", &err), STATUS_CONFIG);
    assert_string_equal(err.code, "config.value");
    assert_non_null(strstr(err.message, "…"));
}

static void long_keys_do_not_break_messages(void **state)
{
    (void)state;
    struct buffer text = {0};
    buffer_append_string(&text, "sinks:\n  '");
    for (int i = 0; i < 500; i++) {
        buffer_append_string(&text, "é");
    }
    buffer_append_string(&text, "': {moder: 1}\n");
    struct doc *root = parse(buffer_string(&text));
    struct error err = {0};
    assert_int_equal(grammar_check(pipeline_fields, root, "the pipeline", &err), STATUS_CONFIG);
    assert_true(bytes_is_utf8(bytes_of_string(err.message)));
    assert_non_null(strstr(err.message, "did you mean 'mode'?"));
    buffer_fini(&text);
}

static void fields_are_found(void **state)
{
    (void)state;
    assert_ptr_equal(grammar_find(pipeline_fields, "dry"), &pipeline_fields[1]);
    assert_null(grammar_find(pipeline_fields, "dr"));
    assert_null(grammar_find(pipeline_fields, ""));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(whole_document_passes, setup, teardown),
        cmocka_unit_test_setup_teardown(absent_keys_give_the_default, setup, teardown),
        cmocka_unit_test_setup_teardown(strings_are_a_list_or_one, setup, teardown),
        cmocka_unit_test_setup_teardown(environment_gives_numbers_and_booleans, setup, teardown),
        cmocka_unit_test_setup_teardown(keys_are_checked, setup, teardown),
        cmocka_unit_test_setup_teardown(types_are_checked, setup, teardown),
        cmocka_unit_test_setup_teardown(values_are_checked, setup, teardown),
        cmocka_unit_test_setup_teardown(names_have_a_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(long_keys_do_not_break_messages, setup, teardown),
        cmocka_unit_test_setup_teardown(fields_are_found, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
