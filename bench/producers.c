/*
 * Ten producers with one file, each a process that commits one record of 200 B every now and then
 * (about 200 commits a second in all): how long a producer waits for its commit. Beside it one
 * process that appends the same bytes to a plain file and fsyncs them, as often in all.
 *
 * What is measured is one number, the 99th percentile of all waits: it goes out as the wall time of
 * one record. --records is how many commits each producer makes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/prng.h"
#include "locallog/locallog.h"
#include "measure.h"
#include "os/clock.h"

enum { PRODUCERS = 10, VALUE_BYTES = 200, PERIOD_US = 50000 };

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static int64_t percentile_99(int64_t *waits_us, size_t count)
{
    qsort(waits_us, count, sizeof *waits_us, compare);
    return waits_us[count - 1 - count / 100];
}

static enum status commit_one(struct locallog *log, const struct locallog_topic *topic,
                              struct record_batch_builder *builder, struct error *err)
{
    enum status status = locallog_begin(log, err);
    if (status == STATUS_OK) {
        status = locallog_append(log, topic, 0, builder, NULL, err);
    }
    return status == STATUS_OK ? locallog_commit(log, err) : status;
}

/* In a process of its own. */
static enum status produce(const char *path, uint64_t commits, uint64_t seed, int64_t *waits_us,
                           struct error *err)
{
    struct locallog *log = NULL;
    struct locallog_topic topic;
    struct locallog_checkpointer *checkpointer = NULL;
    struct record_batch_builder builder = {0};
    struct prng prng;
    uint8_t value[VALUE_BYTES] = {0};
    prng_init(&prng, seed);
    record_batch_append(&builder, BYTES_NONE, bytes_of(value, sizeof value), NULL, 0);
    enum status status = locallog_open(path, LOCALLOG_CREATE, &log, err);
    if (status == STATUS_OK) {
        status = locallog_topic_create(log, "records", 1, &topic, err);
    }
    if (status == STATUS_OK) {
        status = locallog_checkpointer_start(path, &checkpointer, err);
    }
    for (uint64_t i = 0; i < commits && status == STATUS_OK; i++) {
        clock_sleep_us((int64_t)prng_below(&prng, 2 * PERIOD_US));
        int64_t begin_us = clock_monotonic_us();
        status = commit_one(log, &topic, &builder, err);
        waits_us[i] = clock_monotonic_us() - begin_us;
    }
    locallog_checkpointer_stop(checkpointer);
    locallog_close(log);
    record_batch_fini(&builder);
    return status;
}

static enum status failed(const char *what, struct error *err)
{
    return error_set(err, STATUS_FATAL, "bench.failed", "%s: %s", what, strerror(errno));
}

static enum status measure_producers(const struct arguments *arguments, struct measurement *out,
                                     struct error *err)
{
    size_t count = (size_t)arguments->records;
    size_t size = PRODUCERS * count * sizeof(int64_t);
    int64_t *waits_us = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t producers[PRODUCERS];
    enum status status = STATUS_OK;
    if (waits_us == MAP_FAILED) {
        return failed("no memory", err);
    }
    for (uint64_t i = 0; i < PRODUCERS; i++) {
        producers[i] = fork();
        if (producers[i] == 0) {
            struct error failure = {0};
            _exit(produce(arguments->path, count, i, waits_us + i * count, &failure) != STATUS_OK);
        }
    }
    for (int i = 0; i < PRODUCERS; i++) {
        int result = 0;
        bool ended = producers[i] > 0 && waitpid(producers[i], &result, 0) == producers[i];
        if (!ended || result != 0) {
            status = error_set(err, STATUS_FATAL, "bench.failed", "a producer failed");
        }
    }
    if (status == STATUS_OK) {
        out->records = 1;
        out->wall_us = percentile_99(waits_us, PRODUCERS * count);
    }
    munmap(waits_us, size);
    return status;
}

static enum status measure_fsync(const struct arguments *arguments, struct measurement *out,
                                 struct error *err)
{
    size_t count = PRODUCERS * (size_t)arguments->records;
    int64_t *waits_us = memory_alloc_zero(count, sizeof *waits_us);
    uint8_t value[VALUE_BYTES] = {0};
    int fd = open(arguments->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    enum status status = fd < 0 ? failed("cannot open", err) : STATUS_OK;
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        clock_sleep_us(PERIOD_US / PRODUCERS);
        int64_t begin_us = clock_monotonic_us();
        if (write(fd, value, sizeof value) != (ssize_t)sizeof value || fsync(fd) != 0) {
            status = failed("cannot append", err);
        }
        waits_us[i] = clock_monotonic_us() - begin_us;
    }
    if (status == STATUS_OK) {
        out->records = 1;
        out->wall_us = percentile_99(waits_us, count);
    }
    if (fd >= 0) {
        close(fd);
    }
    memory_free(waits_us);
    return status;
}

const struct thing producer_things[] = {
    {"producers", measure_producers},
    {"append-fsync", measure_fsync},
    {0},
};
