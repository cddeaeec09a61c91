/*
 * Status and error: how every fallible function in weir answers.
 *
 * A fallible function returns `enum status`; what went wrong is written into a caller-owned
 * `struct error`. The status says what the CALLER must do, not what happened:
 *
 *   OK        go on
 *   RETRY     the same call again, later, with the same arguments (server away, disk full, busy)
 *   ABORT     this transaction is gone: send the same epoch again
 *   IN_DOUBT  the commit was sent and its answer was lost: ask, never guess
 *   FENCED    somebody else owns this work now: stop
 *   CONFIG    the operator's files or arguments are wrong: exit 2, say where
 *   DATA      the data say no (an audit that found a difference): exit 1
 *   FATAL     cannot go on; nothing is lost: exit 3, say what to do
 *
 * A bad RECORD is never an error: it is a verdict (see batch/batch.h).
 *
 * The first error wins: error_set() on an error that is already set changes nothing and returns the
 * status that is there, so cleanup code may call it freely. Libraries do not log; only the handler
 * (cli/, run/) prints an error, once.
 *
 * Memory exhaustion is not a status. Every allocation goes through base/memory.h, which ends the
 * process (exit 3) when there is none: nothing that was acknowledged is lost by that, because the
 * process may be killed at any instruction anyway.
 *
 * Threads: a struct error belongs to one thread at a time.
 */
#ifndef WEIR_BASE_STATUS_H
#define WEIR_BASE_STATUS_H

#include <stdbool.h>
#include <stdint.h>

enum status {
    STATUS_OK = 0,
    STATUS_RETRY,
    STATUS_ABORT,
    STATUS_IN_DOUBT,
    STATUS_FENCED,
    STATUS_CONFIG,
    STATUS_DATA,
    STATUS_FATAL,
};

#define WEIR_MUST_USE __attribute__((warn_unused_result))
#define WEIR_PRINTF(format_index, first_index) \
    __attribute__((format(printf, format_index, first_index)))

/* Zero-initialise before use: `struct error err = {0};`. `code` is a stable dotted name
 * (`config.unknown_key`); `file` is empty where the error has no place; `line` and `column` count
 * from 1, 0 = unknown. `message` is one or more sentences for a person: what was expected, and what
 * to do. */
struct error {
    enum status status;
    char code[48];
    char file[256];
    uint32_t line;
    uint32_t column;
    char message[768];
};

/* Sets `err` unless it is set already. `err` may be NULL (then only the status is returned).
 * Returns the status that `err` now holds (`status` when err is NULL). Cuts messages that are too
 * long. `status` must not be STATUS_OK. */
enum status error_set(struct error *err, enum status status, const char *code, const char *format,
                      ...) WEIR_PRINTF(4, 5);

/* Like error_set(), with a place in a file that people write. */
enum status error_set_at(struct error *err, enum status status, const char *code, const char *file,
                         uint32_t line, uint32_t column, const char *format, ...) WEIR_PRINTF(7, 8);

/* Makes `err` empty again. */
void error_clear(struct error *err);

/* The name of a status: "ok", "retry", … */
const char *status_name(enum status status);

/* For errors of the programmer only, never for input, network or disk content. On in release:
 * prints the expression with its place and aborts. */
#define check(expression) ((expression) ? (void)0 : check_failed(#expression, __FILE__, __LINE__))
_Noreturn void check_failed(const char *expression, const char *file, int line);

#endif
