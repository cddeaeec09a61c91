/* weir help: the table of verbs for the screen, for man and for shells. */
#include "cli/help.h"

#include <string.h>

#include "base/bytes.h"
#include "cli/verbs.h"

void help_print_usage(FILE *stream)
{
    fprintf(stream, "weir: exactly-once streaming ETL that accounts for every record\n\n"
                    "usage: weir VERB [options]\n\n");
    for (uint32_t i = 0; cli_verbs[i] != NULL; i++) {
        fprintf(stream, "  %-9s %s\n", cli_verbs[i]->name, cli_verbs[i]->summary);
    }
    fprintf(stream, "\n'weir VERB --help' says more. Exit status: 0 done, 1 the data say no, "
                    "2 wrong use or configuration, 3 a system in the way.\n");
}

void help_print_verb(const struct cli_verb *verb)
{
    printf("weir %s: %s\n\nusage: weir %s%s%s\n", verb->name, verb->summary, verb->name,
           verb->arguments[0] == '\0' ? "" : " ", verb->arguments);
    if (verb->details != NULL) {
        printf("\n%s\n", verb->details);
    }
    printf("\noptions:\n");
    for (const struct cli_option *option = verb->options; option->name != NULL; option++) {
        char left[64];
        snprintf(left, sizeof left, "--%s%s%s", option->name, option->value == NULL ? "" : " ",
                 option->value == NULL ? "" : option->value);
        printf("  %-26s %s\n", left, option->help);
    }
    printf("  %-26s %s\n", "--help", "this text");
}

const struct cli_verb *help_find_verb(const char *name, struct error *err)
{
    const char *names[64];
    uint32_t count = 0;
    for (; cli_verbs[count] != NULL; count++) {
        if (strcmp(cli_verbs[count]->name, name) == 0) {
            return cli_verbs[count];
        }
        check(count < sizeof names / sizeof names[0]);
        names[count] = cli_verbs[count]->name;
    }
    const char *nearest = string_nearest(name, names, count);
    error_set(err, STATUS_CONFIG, "use.verb",
              "there is no verb '%s'%s%s%s; 'weir --help' lists them", name,
              nearest == NULL ? "" : "; did you mean '", nearest == NULL ? "" : nearest,
              nearest == NULL ? "" : "'?");
    return NULL;
}

bool help_each_choice(const char *text, void (*word)(void *context, const char *text, size_t size),
                      void *context)
{
    size_t size = strcspn(text, " ");
    bool has_one = false;
    if (memchr(text, '|', size) == NULL) {
        return false;
    }
    for (const char *at = text; at < text + size;) {
        size_t length = strcspn(at, "| ");
        /* Capitals stand for something else. */
        if (length > 0 && strspn(at, "abcdefghijklmnopqrstuvwxyz-_") == length) {
            word(context, at, length);
            has_one = true;
        }
        at += length + 1;
    }
    return has_one;
}

static enum status man(const char *name, struct error *err)
{
    const struct cli_verb *verb = NULL;
    if (strcmp(name, "weir") != 0) {
        verb = help_find_verb(name, err);
        if (verb == NULL) {
            return err->status;
        }
    }
    struct buffer out = {0};
    help_write_man(verb, &out);
    fputs(buffer_string(&out), stdout);
    buffer_fini(&out);
    return STATUS_OK;
}

static enum status completion(const char *shell, struct error *err)
{
    struct buffer out = {0};
    enum status status = help_write_completion(shell, &out, err);
    if (status == STATUS_OK) {
        fputs(buffer_string(&out), stdout);
    }
    buffer_fini(&out);
    return status;
}

static enum status help(const struct cli_arguments *arguments, struct error *err)
{
    if (cli_given(arguments, "man") + cli_given(arguments, "completion") +
            cli_given(arguments, "verbs") + (int)arguments->count >
        1) {
        return error_set(err, STATUS_CONFIG, "use.option",
                         "a verb, --man, --completion and --verbs exclude each other");
    }
    if (cli_given(arguments, "man")) {
        return man(cli_value(arguments, "man"), err);
    }
    if (cli_given(arguments, "completion")) {
        return completion(cli_value(arguments, "completion"), err);
    }
    if (cli_given(arguments, "verbs")) {
        for (uint32_t i = 0; cli_verbs[i] != NULL; i++) {
            printf("%s\n", cli_verbs[i]->name);
        }
        return STATUS_OK;
    }
    if (arguments->count == 0) {
        help_print_usage(stdout);
        return STATUS_OK;
    }
    const struct cli_verb *verb = help_find_verb(arguments->positional[0], err);
    if (verb == NULL) {
        return err->status;
    }
    help_print_verb(verb);
    return STATUS_OK;
}

static const struct cli_option options[] = {
    {"man", "VERB", "the manual page of a verb, or of 'weir', for troff"},
    {"completion", "bash|zsh|fish", "completion for that shell"},
    {"verbs", NULL, "the names of all verbs, one a line"},
    {0},
};

const struct cli_verb verb_help = {
    .name = "help",
    .arguments = "[VERB | --man VERB | --completion SHELL | --verbs]",
    .summary = "help, manual pages and shell completion",
    .details =
        "Without an option the same as --help. To read a page, or to complete in this shell:\n"
        "  weir help --man run | man -l -\n"
        "  source <(weir help --completion bash)",
    .options = options,
    .least = 0,
    .most = 1,
    .run = help,
};
