#include "base/status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void first_error_wins(void **state)
{
    (void)state;
    struct error err = {0};
    assert_int_equal(error_set(&err, STATUS_RETRY, "a.b", "first %d", 1), STATUS_RETRY);
    assert_int_equal(error_set(&err, STATUS_FATAL, "c.d", "second"), STATUS_RETRY);
    assert_int_equal(error_set_at(&err, STATUS_CONFIG, "e.f", "x.yaml", 1, 2, "third"),
                     STATUS_RETRY);
    assert_string_equal(err.code, "a.b");
    assert_string_equal(err.message, "first 1");
    assert_string_equal(err.file, "");
    error_clear(&err);
    assert_int_equal(err.status, STATUS_OK);
    assert_string_equal(err.message, "");
    assert_int_equal(error_set_at(&err, STATUS_CONFIG, "e.f", "x.yaml", 7, 9, "%s", "third"),
                     STATUS_CONFIG);
    assert_string_equal(err.file, "x.yaml");
    assert_int_equal(err.line, 7);
    assert_int_equal(err.column, 9);
    assert_string_equal(err.message, "third");
    /* An error that is set again says nothing of the place of the one before. */
    error_clear(&err);
    error_set(&err, STATUS_FATAL, "g.h", "fourth");
    assert_string_equal(err.file, "");
    assert_int_equal(err.line, 0);
}

static void no_error_wanted(void **state)
{
    (void)state;
    assert_int_equal(error_set(NULL, STATUS_FENCED, "a.b", "text"), STATUS_FENCED);
    assert_int_equal(error_set_at(NULL, STATUS_DATA, "a.b", "f", 1, 1, "text"), STATUS_DATA);
}

static void long_texts_are_cut_between_characters(void **state)
{
    (void)state;
    struct error err = {0};
    char text[2000];
    /* Three-byte characters, at each of the three phases against the end of the message. */
    for (size_t phase = 0; phase < 3; phase++) {
        memset(text, 'x', phase);
        for (size_t at = phase; at + 3 < sizeof text; at += 3) {
            memcpy(text + at, "\xE2\x82\xAC", 4);
        }
        error_clear(&err);
        error_set_at(&err, STATUS_FATAL, text, text, 0, 0, "%s", text);
        const struct {
            const char *text;
            size_t room;
        } cuts[] = {{err.message, sizeof err.message},
                    {err.file, sizeof err.file},
                    {err.code, sizeof err.code}};
        for (size_t i = 0; i < 3; i++) {
            size_t size = strlen(cuts[i].text);
            assert_true(size < cuts[i].room && size + 3 >= cuts[i].room);
            assert_int_equal((size - phase) % 3, 0);
            assert_memory_equal(cuts[i].text, text, size);
        }
    }
    memset(text, 'y', sizeof err.message - 1);
    text[sizeof err.message - 1] = '\0';
    error_clear(&err);
    error_set(&err, STATUS_FATAL, "a", "%s", text);
    assert_string_equal(err.message, text);
}

static void names(void **state)
{
    (void)state;
    assert_string_equal(status_name(STATUS_OK), "ok");
    assert_string_equal(status_name(STATUS_RETRY), "retry");
    assert_string_equal(status_name(STATUS_ABORT), "abort");
    assert_string_equal(status_name(STATUS_IN_DOUBT), "in_doubt");
    assert_string_equal(status_name(STATUS_FENCED), "fenced");
    assert_string_equal(status_name(STATUS_CONFIG), "config");
    assert_string_equal(status_name(STATUS_DATA), "data");
    assert_string_equal(status_name(STATUS_FATAL), "fatal");
    assert_string_equal(status_name((enum status)99), "unknown");
}

static void check_aborts_with_its_place(void **state)
{
    (void)state;
    int pipe_fds[2];
    assert_int_equal(pipe(pipe_fds), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(pipe_fds[1], STDERR_FILENO);
        check(1 + 1 == 2);
        check(1 + 1 == 3);
        _exit(0);
    }
    close(pipe_fds[1]);
    char text[512] = "";
    size_t size = 0;
    ssize_t got;
    while ((got = read(pipe_fds[0], text + size, sizeof text - 1 - size)) > 0) {
        size += (size_t)got;
    }
    close(pipe_fds[0]);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == 6);
    assert_non_null(strstr(text, "1 + 1 == 3"));
    assert_non_null(strstr(text, "status_test.c:"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_error_wins),
        cmocka_unit_test(no_error_wanted),
        cmocka_unit_test(long_texts_are_cut_between_characters),
        cmocka_unit_test(names),
        cmocka_unit_test(check_aborts_with_its_place),
    };
    return cmocka_run_group_tests_name("base/status", tests, NULL, NULL);
}
