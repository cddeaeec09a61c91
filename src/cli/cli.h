/*
 * The command line: one file per verb, one table of verbs (main.c), one way to read arguments
 * and to print.
 *
 * Data goes to stdout, talk to stderr. Colours and a progress bar only on a terminal (and never
 * when NO_COLOR is set). Exit status: 0 done, 1 the data say no, 2 wrong use or configuration, 3
 * a system in the way.
 */
#ifndef WEIR_CLI_CLI_H
#define WEIR_CLI_CLI_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/memory.h"
#include "base/status.h"

#define EXIT_DONE 0
#define EXIT_DATA 1
#define EXIT_USE 2
#define EXIT_SYSTEM 3

/* An option of a verb: `--name`, or `--name VALUE` when `value` names it. */
struct cli_option {
    const char *name; /* NULL ends a list */
    const char *value;
    const char *help;
    bool repeats; /* may be given several times */
};

#define CLI_ARGUMENTS_MAX 8
#define CLI_REPEATS_MAX 64
struct cli_arguments {
    const struct cli_option *options;
    /* by option; "" for one without a value that is there, NULL when absent */
    const char *values[48];
    const char *positional[CLI_ARGUMENTS_MAX];
    uint32_t count;          /* of positional ones */
    /* What was given to options that may be repeated, in the order of the command line. */
    struct {
        uint32_t option;
        const char *value;
    } repeats[CLI_REPEATS_MAX];
    uint32_t repeat_count;
};

struct cli_verb {
    const char *name;
    const char *arguments;  /* "P.yaml" */
    const char *summary;    /* one line */
    const char *details;    /* paragraphs of the help, may be NULL */
    const struct cli_option *options;
    uint32_t least, most;   /* positional arguments */
    /* What goes wrong is returned, and printed by main.c. */
    enum status (*run)(const struct cli_arguments *arguments, struct error *err);
};

/* All verbs, NULL-terminated. */
extern const struct cli_verb *const cli_verbs[];

/* NULL when it is not given. */
const char *cli_value(const struct cli_arguments *arguments, const char *option);
bool cli_given(const struct cli_arguments *arguments, const char *option);
/* The values of an option that may be repeated, one after the other: start with *at = 0; NULL
 * behind the last. */
const char *cli_next_value(const struct cli_arguments *arguments, const char *option,
                           uint32_t *at);
/* CONFIG "use.value" when the option's value is not of that kind. */
enum status cli_integer(const struct cli_arguments *arguments, const char *option, int64_t least,
                        int64_t most, int64_t otherwise, int64_t *out, struct error *err)
    WEIR_MUST_USE;

/* A variable of the environment, for ${NAME} in pipeline files. */
const char *cli_environment(const char *name);

/* Exit status of a status. */
int cli_exit_status(enum status status);
/* "file:3:7: config.unknown_key: …" on stderr. */
void cli_print_error(const struct error *err);
bool cli_is_terminal(FILE *stream);
/* Whether the reader of stdout has gone (`| head`) or it cannot be written: then a verb that only
 * prints is done, and main.c says what there is to say. */
bool cli_output_ended(void);

/* A table for people: cells are added row by row; numbers are right-aligned. cli_table_print()
 * sizes the columns and frees it. */
struct cli_table {
    struct buffer cells; /* NUL-terminated strings, one after another */
    uint32_t columns;
    uint32_t cell_count;
};
void cli_table_cell(struct cli_table *table, const char *format, ...) WEIR_PRINTF(2, 3);
void cli_table_print(struct cli_table *table, FILE *stream);
/* 1234567 as "1,234,567" in `out` (27 bytes at most, NUL included). */
const char *cli_count(uint64_t count, char out[27]);

#endif
