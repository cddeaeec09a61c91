#include "inspect/spill_sort.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/prng.h"
#include "os/host.h"

static int compare(const void *a, const void *b)
{
    return hash_pair_compare(a, b);
}

/* Few different keys, so that equal pairs meet across runs. */
static struct hash_pair draw(struct prng *prng)
{
    return (struct hash_pair){.key = {.low = prng_below(prng, 5), .high = prng_below(prng, 40)},
                              .content = {.low = prng_below(prng, 3), .high = 1}};
}

static void check_sorted(size_t memory_bytes, size_t count)
{
    struct error err = {0};
    struct prng prng;
    prng_init(&prng, 7 + count);
    struct hash_pair *all = memory_alloc_zero(count + 1, sizeof *all);
    struct spill_sort *sort = spill_sort_new(memory_bytes, "/tmp");
    for (size_t i = 0; i < count; i++) {
        all[i] = draw(&prng);
        assert_int_equal(spill_sort_add(sort, &all[i], &err), STATUS_OK);
    }
    qsort(all, count, sizeof *all, compare);
    assert_int_equal(spill_sort_begin(sort, &err), STATUS_OK);
    struct hash_pair pair;
    bool found = true;
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(spill_sort_next(sort, &pair, &found, &err), STATUS_OK);
        assert_true(found);
        assert_int_equal(hash_pair_compare(&pair, &all[i]), 0);
    }
    assert_int_equal(spill_sort_next(sort, &pair, &found, &err), STATUS_OK);
    assert_false(found);
    spill_sort_free(sort);
    memory_free(all);
}

static void pairs_come_in_order(void **state)
{
    (void)state;
    static const size_t counts[] = {0, 1, 2, 31, 32, 33, 1000, 20000};
    static const size_t memories[] = {1, 32, 1024, 100000, 10000000};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        for (size_t k = 0; k < sizeof memories / sizeof memories[0]; k++) {
            if (counts[i] <= 1000 || memories[k] >= 1024) {
                check_sorted(memories[k], counts[i]);
            }
        }
    }
}

static ssize_t write_full(int fd, const void *data, size_t size)
{
    (void)fd;
    (void)data;
    (void)size;
    errno = ENOSPC;
    return -1;
}

static void a_full_disk_is_told(void **state)
{
    (void)state;
    struct error err = {0};
    struct os_host host = os_host_real;
    host.write = write_full;
    os_host = &host;
    struct spill_sort *sort = spill_sort_new(64, "/tmp");
    struct hash_pair pair = {.key = {.low = 1}};
    enum status status = STATUS_OK;
    for (int i = 0; i < 10 && status == STATUS_OK; i++) {
        status = spill_sort_add(sort, &pair, &err);
    }
    os_host = &os_host_real;
    assert_int_equal(status, STATUS_RETRY);
    assert_string_equal(err.code, "file.disk_full");
    spill_sort_free(sort);
}

static void a_folder_that_is_not_there_is_told(void **state)
{
    (void)state;
    struct error err = {0};
    struct spill_sort *sort = spill_sort_new(32, "/no/such/folder");
    struct hash_pair pair = {.key = {.low = 1}};
    assert_int_equal(spill_sort_add(sort, &pair, &err), STATUS_OK);
    assert_int_equal(spill_sort_add(sort, &pair, &err), STATUS_CONFIG);
    assert_string_equal(err.code, "spill.folder");
    spill_sort_free(sort);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs_come_in_order),
        cmocka_unit_test(a_full_disk_is_told),
        cmocka_unit_test(a_folder_that_is_not_there_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
