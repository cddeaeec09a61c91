/*
 * The JSON Parsing Test Suite by Nicolas Seriot: y_ must be accepted, n_ refused, i_ may be either.
 * It is not part of this repository: it is looked for in
 * $WEIR_SHARED/data/JSONTestSuite/test_parsing.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "codec/json_test_row.h"

/* No memory behind the text belongs to it. */
static struct bytes file_read(const char *path)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    struct buffer content = {0};
    for (int byte = fgetc(file); byte != EOF; byte = fgetc(file)) {
        buffer_append_byte(&content, (uint8_t)byte);
    }
    fclose(file);
    uint8_t *exact = memory_alloc(content.size);
    if (content.size > 0) {
        memcpy(exact, content.data, content.size);
    }
    struct bytes text = bytes_of(exact, content.size);
    buffer_fini(&content);
    return text;
}

static reason_id decode_reason(const struct json_engine *engine, struct bytes text,
                               enum json_repeated_key repeated_key)
{
    struct json_options options = {.repeated_key = repeated_key};
    struct json_decoder *decoder = json_decoder_new(&row_layout_open, &options);
    json_decoder_set_engine(decoder, engine);
    struct batch *batch = batch_new(&row_layout_open);
    batch_append_record(batch)->value = text;
    json_decode(decoder, batch);
    batch_sort_violations(batch);
    uint32_t count;
    const struct violation *violations = batch_violations(batch, 0, &count);
    reason_id reason = count == 0 ? (reason_id)REASON_NONE : violations[0].reason;
    assert_int_equal(batch->verdicts[0], count == 0 ? VERDICT_NONE : VERDICT_INVALID);
    batch_free(batch);
    json_decoder_free(decoder);
    return reason;
}

static bool is_decode_reason(reason_id reason)
{
    return reason == REASON_DECODE_SYNTAX || reason == REASON_DECODE_ENCODING;
}

static void check_file(const char *name, struct bytes text)
{
    struct json_walk walk = {.max_depth = 128};
    for (size_t e = 0; e < row_engine_count(); e++) {
        size_t offset;
        bool valid = json_walk_text(&walk, row_engines[e], text, &offset);
        reason_id error = decode_reason(row_engines[e], text, JSON_REPEATED_KEY_ERROR);
        reason_id last = decode_reason(row_engines[e], text, JSON_REPEATED_KEY_LAST);
        bool repeats = strncmp(name, "y_object_duplicated_key", 23) == 0;
        if (name[0] == 'n' && (valid || !is_decode_reason(error) || !is_decode_reason(last))) {
            fail_msg("%s accepted %s", row_engines[e]->name, name);
        }
        if (name[0] == 'y' &&
            (!valid || is_decode_reason(last) || is_decode_reason(error) != repeats)) {
            fail_msg("%s refused %s", row_engines[e]->name, name);
        }
        assert_int_equal(valid, !is_decode_reason(last));
        assert_int_equal(valid, json_is_valid(text, 0));
    }
    json_walk_fini(&walk);
}

static void test_suite(void **state)
{
    (void)state;
    const char *shared = getenv("WEIR_SHARED");
    char path[4096];
    snprintf(path, sizeof path, "%s/data/JSONTestSuite/test_parsing", shared == NULL ? "" : shared);
    DIR *folder = shared == NULL ? NULL : opendir(path);
    if (folder == NULL) {
        print_message("skipped: WEIR_SHARED names no folder with data/JSONTestSuite\n");
        skip();
    }
    unsigned counts[128] = {0};
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        if (strchr("yni", entry->d_name[0]) == NULL || entry->d_name[1] != '_') {
            continue;
        }
        char file[4096 + 300];
        snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
        struct bytes text = file_read(file);
        check_file(entry->d_name, text);
        counts[(unsigned char)entry->d_name[0]]++;
        memory_free((void *)(uintptr_t)text.data);
    }
    closedir(folder);
    print_message("%u accepted, %u refused, %u either\n", counts['y'], counts['n'], counts['i']);
    assert_true(counts['y'] > 90 && counts['n'] > 180 && counts['i'] > 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_suite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
