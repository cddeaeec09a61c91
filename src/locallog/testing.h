/*
 * What the tests of this folder share: a folder of their own, calls that must succeed, records that
 * can be told apart, other processes. Test code only.
 */
#ifndef WEIR_LOCALLOG_TESTING_H
#define WEIR_LOCALLOG_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>
#include <cmocka.h>

#include "base/prng.h"
#include "locallog/locallog.h"

/* Prints the error and fails the test unless the call gives STATUS_OK. `err` is a fresh one. */
#define must(call) \
    do { \
        struct error err = {0}; \
        if ((call) != STATUS_OK) { \
            fail_msg("%s:%d: %s: %s", __FILE__, __LINE__, err.code, err.message); \
        } \
    } while (0)

/* The call fails with that status and code; `text` stands somewhere in the message. */
#define must_fail(call, expected_status, expected_code, text) \
    do { \
        struct error err = {0}; \
        assert_int_equal(call, expected_status); \
        assert_string_equal(err.code, expected_code); \
        if (strstr(err.message, text) == NULL) { \
            fail_msg("%s:%d: \"%s\" is not in: %s", __FILE__, __LINE__, text, err.message); \
        } \
    } while (0)

/* For cmocka's setup and teardown: *state is a `struct place`. */
struct place {
    char folder[256];
    char log[300]; /* a path in the folder; nothing is there yet */
};
int place_make(void **state);
int place_remove(void **state);

/* Opens with LOCALLOG_CREATE; makes the topic. */
struct locallog *log_open(const char *path);
struct locallog_topic topic_make(struct locallog *log, const char *name, uint32_t partitions);
/* Runs SQL on the handle's connection. */
void log_sql(struct locallog *log, const char *sql);
int64_t log_sql_integer(struct locallog *log, const char *sql);

extern const struct layout empty_layout;

/* A value that says its number; `size_bytes` at least 16. */
void builder_add_number(struct record_batch_builder *builder, uint64_t number, size_t size_bytes);
/* The number in a value that builder_add_number() made, or UINT64_MAX where it is none. */
uint64_t value_number(struct bytes value);
/* One row of `count` records numbered from `first`, in the open transaction. */
void append_numbers(struct locallog *log, const struct locallog_topic *topic, uint32_t partition,
                    uint64_t first, uint32_t count);

/* Runs `run(context)` in a process of its own, which exits 0 when run() returns and 1 when a check
 * fails. No handle may be open. */
pid_t process_start(void (*run)(void *context), void *context);
/* Exit status; 128 + signal for one that was killed. */
int process_wait(pid_t process);
/* Like assert_true, in such a process. */
void process_check(bool condition, const char *what, const struct error *err);

#endif
