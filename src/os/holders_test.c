#include "os/holders.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void lock_bytes(int fd, off_t first, off_t count)
{
    struct flock range = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = first, .l_len = count};
    assert_int_equal(fcntl(fd, F_SETLK, &range), 0);
}

/* Another process that holds bytes 120 to 124 is named, and nobody for other bytes. */
static void test_names_the_other_process(void **state)
{
    (void)state;
    const char *parent = getenv("TMPDIR");
    char path[256];
    snprintf(path, sizeof path, "%s/holders-XXXXXX", parent == NULL ? "." : parent);
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    lock_bytes(fd, 124, 1); /* this process is never named */
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t other = fork();
    if (other == 0) {
        lock_bytes(fd, 120, 4);
        if (write(ready[1], "x", 1) != 1) {
            _exit(1);
        }
        pause();
    }
    char byte;
    assert_int_equal(read(ready[0], &byte, 1), 1);
    struct buffer names = {0};
    assert_int_equal(holders_name(path, 124, 127, &names), 0);
    assert_int_equal(names.size, 0);
    assert_int_equal(holders_name(path, 123, 127, &names), 1);
    char expected[32];
    snprintf(expected, sizeof expected, "process %d (", (int)other);
    assert_non_null(strstr(buffer_string(&names), expected));
    kill(other, SIGKILL);
    waitpid(other, NULL, 0);
    assert_int_equal(holders_name(path, 120, 127, &names), 0);
    assert_int_equal(holders_name("no/such/file", 0, 9, &names), 0);
    buffer_fini(&names);
    close(ready[0]);
    close(ready[1]);
    close(fd);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_names_the_other_process)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
