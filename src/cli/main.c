/* The table of verbs, arguments and exit status. */
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "cli/cli.h"
#include "cli/help.h"
#include "cli/verbs.h"
#include "os/process.h"
#include "os/thread.h"

/* In the order of the help. */
const struct cli_verb *const cli_verbs[] = {
    &verb_init,
    &verb_run,
    &verb_lint,
    &verb_explain,
    &verb_test,
    &verb_validate,
    &verb_lag,
    &verb_audit,
    &verb_trace,
    &verb_diff,
    &verb_reconcile,
    &verb_backup,
    &verb_restore,
    &verb_dlq,
    &verb_txn,
    &verb_produce,
    &verb_tail,
    &verb_topic,
    &verb_gen,
    &verb_list,
    &verb_help,
    &verb_version,
    NULL,
};

static uint32_t option_count(const struct cli_option *options)
{
    uint32_t count = 0;
    while (options[count].name != NULL) {
        count++;
    }
    return count;
}

static enum status unknown_option(const struct cli_verb *verb, const char *word,
                                  struct error *err)
{
    const char *names[48];
    uint32_t count = option_count(verb->options);
    for (uint32_t i = 0; i < count; i++) {
        names[i] = verb->options[i].name;
    }
    const char *nearest = string_nearest(word + 2, names, count);
    return error_set(err, STATUS_CONFIG, "use.option",
                     "weir %s has no option '%s'%s%s%s; 'weir %s --help' lists them", verb->name,
                     word, nearest == NULL ? "" : "; did you mean '--",
                     nearest == NULL ? "" : nearest, nearest == NULL ? "" : "'?", verb->name);
}

static enum status take_value(const struct cli_option *option, uint32_t index, const char *value,
                              struct cli_arguments *out, struct error *err)
{
    if (!option->repeats && out->values[index] != NULL) {
        return error_set(err, STATUS_CONFIG, "use.option", "--%s is given twice", option->name);
    }
    out->values[index] = value;
    if (!option->repeats) {
        return STATUS_OK;
    }
    if (out->repeat_count == CLI_REPEATS_MAX) {
        return error_set(err, STATUS_CONFIG, "use.option", "--%s is given more than %d times",
                         option->name, CLI_REPEATS_MAX);
    }
    out->repeats[out->repeat_count].option = index;
    out->repeats[out->repeat_count++].value = value;
    return STATUS_OK;
}

/* One `--option[=value]`; *index moves on when the value is the next word. */
static enum status parse_option(const struct cli_verb *verb, int argc, char **argv, int *index,
                                struct cli_arguments *out, struct error *err)
{
    const char *word = argv[*index];
    const char *equals = strchr(word, '=');
    size_t size = equals == NULL ? strlen(word + 2) : (size_t)(equals - word - 2);
    for (uint32_t i = 0; verb->options[i].name != NULL; i++) {
        const struct cli_option *option = &verb->options[i];
        if (strlen(option->name) != size || strncmp(option->name, word + 2, size) != 0) {
            continue;
        }
        if (option->value == NULL && equals == NULL) {
            out->values[i] = "";
            return STATUS_OK;
        }
        if (option->value == NULL || (equals == NULL && *index + 1 == argc)) {
            return error_set(err, STATUS_CONFIG, "use.option", "--%s takes %s", option->name,
                             option->value == NULL ? "no value" : option->value);
        }
        return take_value(option, i, equals != NULL ? equals + 1 : argv[++*index], out, err);
    }
    return unknown_option(verb, word, err);
}

static enum status parse_arguments(const struct cli_verb *verb, int argc, char **argv,
                                   struct cli_arguments *out, bool *out_help, struct error *err)
{
    out->options = verb->options;
    check(option_count(verb->options) <= sizeof out->values / sizeof out->values[0]);
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            *out_help = true;
            return STATUS_OK;
        }
        if (strncmp(argv[i], "--", 2) == 0 && argv[i][2] != '\0') {
            enum status status = parse_option(verb, argc, argv, &i, out, err);
            if (status != STATUS_OK) {
                return status;
            }
        } else if (out->count < verb->most && out->count < CLI_ARGUMENTS_MAX) {
            out->positional[out->count++] = argv[i];
        } else {
            return error_set(err, STATUS_CONFIG, "use.arguments",
                             "'%s' is one word too many; usage: weir %s%s%s", argv[i], verb->name,
                             verb->arguments[0] == '\0' ? "" : " ", verb->arguments);
        }
    }
    if (out->count < verb->least) {
        return error_set(err, STATUS_CONFIG, "use.arguments", "usage: weir %s %s", verb->name,
                         verb->arguments);
    }
    return STATUS_OK;
}

/* `| head` has seen enough. */
static bool reader_has_gone(void)
{
    struct pollfd output = {.fd = STDOUT_FILENO, .events = POLLOUT};
    return poll(&output, 1, 0) == 1 && (output.revents & POLLERR) != 0;
}

/* Output that could not be written is a failure, not a success; unless nobody wants it any more. */
static enum status flush_output(struct error *err)
{
    bool is_written = fflush(stdout) == 0 && !ferror(stdout);
    if (!is_written && !reader_has_gone()) {
        return error_set(err, STATUS_FATAL, "output.failed",
                         "standard output could not be written to the end");
    }
    return STATUS_OK;
}

/* Who is started with a standard descriptor closed would give its number to the next file that is
 * opened, and write what is said into a database or a part. Reading and writing data fails there as
 * it should; what is only said goes nowhere. */
static void hold_standard_descriptors(void)
{
    static const int modes[] = {
        [STDIN_FILENO] = O_WRONLY, [STDOUT_FILENO] = O_RDONLY, [STDERR_FILENO] = O_WRONLY};
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        /* open() gives the lowest number that is free. */
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", modes[fd]) != fd) {
            abort();
        }
    }
}

int main(int argc, char **argv)
{
    hold_standard_descriptors();
    /* At once: before it a stop signal ends the process as it ends any other. */
    stop_signals_install();
    struct error err = {0};
    if (argc < 2) {
        help_print_usage(stderr);
        return EXIT_USE;
    }
    const char *name = strcmp(argv[1], "--version") == 0                                ? "version"
                       : strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ? "help"
                                                                                       : argv[1];
    const struct cli_verb *verb = help_find_verb(name, &err);
    struct cli_arguments arguments = {0};
    bool help = false;
    enum status status = verb == NULL ? err.status
                                      : parse_arguments(verb, argc - 2, argv + 2, &arguments,
                                                        &help, &err);
    if (status == STATUS_OK && help) {
        help_print_verb(verb);
    } else if (status == STATUS_OK) {
        status = verb->run(&arguments, &err);
    }
    if (status == STATUS_OK) {
        status = flush_output(&err);
    }
    if (err.status != STATUS_OK) {
        cli_print_error(&err);
    }
    return process_end(cli_exit_status(status));
}
