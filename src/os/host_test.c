/* The real host, and what stands on it directly: clocks and entropy. */
#include "os/host.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/clock.h"
#include "os/random.h"

static void clocks_run(void **state)
{
    (void)state;
    int64_t wall_us = clock_realtime_us();
    assert_true(llabs((long long)(wall_us / 1000000) - (long long)time(NULL)) <= 1);
    int64_t before_us = clock_monotonic_us();
    int64_t cpu_us = clock_cpu_us();
    clock_sleep_us(20000);
    int64_t slept_us = clock_monotonic_us() - before_us;
    assert_true(slept_us >= 20000);
    /* A sleep uses no processor to speak of. */
    assert_true(clock_cpu_us() - cpu_us < 15000);
    before_us = clock_monotonic_us();
    clock_sleep_us(0);
    clock_sleep_us(-5);
    clock_sleep_us(INT64_MIN);
    assert_true(clock_monotonic_us() - before_us < 1000000);
    cpu_us = clock_cpu_us();
    while (clock_cpu_us() == cpu_us) {
    }
}

static void random_is_random(void **state)
{
    (void)state;
    uint8_t a[1000] = {0};
    uint8_t b[1000] = {0};
    random_bytes(a, sizeof a);
    random_bytes(b, sizeof b);
    assert_memory_not_equal(a, b, sizeof a);
    /* All bytes are filled: none stays 0 in ten rounds but with a chance of 256^-10. */
    unsigned char any[1000] = {0};
    for (unsigned round = 0; round < 10; round++) {
        random_bytes(a, sizeof a);
        for (size_t i = 0; i < sizeof a; i++) {
            any[i] |= a[i];
        }
    }
    assert_null(memchr(any, 0, sizeof any));
    assert_true(random_u64() != random_u64());
    random_bytes(NULL, 0);
}

static void uuids_have_their_form(void **state)
{
    (void)state;
    char before[37] = "";
    for (unsigned round = 0; round < 100; round++) {
        char text[37];
        memset(text, 'x', sizeof text);
        random_uuid(text);
        assert_int_equal(strlen(text), 36);
        for (size_t i = 0; i < 36; i++) {
            bool dash = i == 8 || i == 13 || i == 18 || i == 23;
            assert_true(dash ? text[i] == '-' : strchr("0123456789abcdef", text[i]) != NULL);
        }
        assert_int_equal(text[14], '4');
        assert_non_null(strchr("89ab", text[19]));
        assert_string_not_equal(text, before);
        memcpy(before, text, sizeof text);
    }
}

static int64_t told_us;

static int64_t fixed_clock(void)
{
    return 42;
}
static void noted_sleep(int64_t duration_us)
{
    told_us += duration_us;
}
static void counted_bytes(void *out, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        ((uint8_t *)out)[i] = (uint8_t)i;
    }
}

static void another_host_stands_in(void **state)
{
    (void)state;
    struct os_host other = os_host_real;
    other.clock_realtime_us = fixed_clock;
    other.clock_monotonic_us = fixed_clock;
    other.sleep_us = noted_sleep;
    other.random_bytes = counted_bytes;
    os_host = &other;
    told_us = 0;
    assert_int_equal(clock_realtime_us(), 42);
    assert_int_equal(clock_monotonic_us(), 42);
    clock_sleep_us(INT64_C(3600000000));
    clock_sleep_us(-1);
    char uuid[37];
    random_uuid(uuid);
    os_host = &os_host_real;
    assert_true(told_us == INT64_C(3600000000));
    assert_string_equal(uuid, "00010203-0405-4607-8809-0a0b0c0d0e0f");
}

static void descriptors_close_on_exec(void **state)
{
    (void)state;
    int fd = os_host->open("/dev/null", O_RDONLY, 0);
    assert_true(fd >= 0);
    assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    assert_int_equal(os_host->close(fd), 0);
    assert_int_equal(os_host->close(fd), -1);
    assert_int_equal(errno, EBADF);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clocks_run),
        cmocka_unit_test(random_is_random),
        cmocka_unit_test(uuids_have_their_form),
        cmocka_unit_test(another_host_stands_in),
        cmocka_unit_test(descriptors_close_on_exec),
    };
    return cmocka_run_group_tests_name("os/host", tests, NULL, NULL);
}
