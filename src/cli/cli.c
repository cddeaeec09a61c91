/* Arguments and printing that all verbs share. */
#include "cli/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *cli_value(const struct cli_arguments *arguments, const char *option)
{
    for (uint32_t i = 0; arguments->options[i].name != NULL; i++) {
        if (strcmp(arguments->options[i].name, option) == 0) {
            return arguments->values[i];
        }
    }
    check(!"an option that the verb's table does not have");
    return NULL;
}

bool cli_given(const struct cli_arguments *arguments, const char *option)
{
    return cli_value(arguments, option) != NULL;
}

const char *cli_next_value(const struct cli_arguments *arguments, const char *option,
                           uint32_t *at)
{
    while (*at < arguments->repeat_count) {
        uint32_t index = (*at)++;
        if (strcmp(arguments->options[arguments->repeats[index].option].name, option) == 0) {
            return arguments->repeats[index].value;
        }
    }
    return NULL;
}

enum status cli_integer(const struct cli_arguments *arguments, const char *option, int64_t least,
                        int64_t most, int64_t otherwise, int64_t *out, struct error *err)
{
    const char *text = cli_value(arguments, option);
    if (text == NULL) {
        *out = otherwise;
        return STATUS_OK;
    }
    char *end = NULL;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < least || value > most) {
        return error_set(err, STATUS_CONFIG, "use.value",
                         "--%s takes a whole number from %lld to %lld, not '%s'", option,
                         (long long)least, (long long)most, text);
    }
    *out = value;
    return STATUS_OK;
}

const char *cli_environment(const char *name)
{
    return getenv(name);
}

int cli_exit_status(enum status status)
{
    switch (status) {
    case STATUS_OK:
        return EXIT_DONE;
    case STATUS_DATA:
        return EXIT_DATA;
    case STATUS_CONFIG:
        return EXIT_USE;
    case STATUS_RETRY:
    case STATUS_ABORT:
    case STATUS_IN_DOUBT:
    case STATUS_FENCED:
    case STATUS_FATAL:
        break;
    }
    return EXIT_SYSTEM;
}

void cli_print_error(const struct error *err)
{
    fflush(stdout);
    if (err->file[0] != '\0') {
        fprintf(stderr, "%s:%u:%u: ", err->file, err->line, err->column);
    } else {
        fprintf(stderr, "weir: ");
    }
    fprintf(stderr, "%s: %s\n", err->code, err->message);
}

bool cli_is_terminal(FILE *stream)
{
    return isatty(fileno(stream)) == 1 && getenv("NO_COLOR") == NULL;
}

bool cli_output_ended(void)
{
    return ferror(stdout) != 0;
}

void cli_table_cell(struct cli_table *table, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    buffer_append(&table->cells, text, strlen(text) + 1);
    table->cell_count++;
}

/* Width in characters of valid UTF-8. */
static uint32_t width_of(const char *text)
{
    uint32_t width = 0;
    for (; *text != '\0'; text++) {
        width += ((unsigned char)*text & 0xC0) != 0x80;
    }
    return width;
}

static bool is_number(const char *text)
{
    return *text != '\0' && strspn(text, "0123456789,.-+%") == strlen(text);
}

void cli_table_print(struct cli_table *table, FILE *stream)
{
    uint32_t *widths = memory_alloc_zero(table->columns, sizeof *widths);
    const char *cell = (const char *)table->cells.data;
    for (uint32_t i = 0; i < table->cell_count; i++, cell += strlen(cell) + 1) {
        uint32_t width = width_of(cell);
        uint32_t *most = &widths[i % table->columns];
        *most = width > *most ? width : *most;
    }
    cell = (const char *)table->cells.data;
    for (uint32_t i = 0; i < table->cell_count; i++, cell += strlen(cell) + 1) {
        uint32_t column = i % table->columns;
        uint32_t pad = widths[column] - width_of(cell);
        bool is_last = column + 1 == table->columns;
        if (is_number(cell)) {
            fprintf(stream, "%*s%s", (int)pad, "", cell);
        } else {
            fprintf(stream, "%s%*s", cell, is_last ? 0 : (int)pad, "");
        }
        fputs(is_last ? "\n" : "  ", stream);
    }
    memory_free(widths);
    buffer_fini(&table->cells);
    table->cell_count = 0;
}

const char *cli_count(uint64_t count, char out[27])
{
    char digits[21];
    int size = snprintf(digits, sizeof digits, "%llu", (unsigned long long)count);
    char *to = out;
    for (int i = 0; i < size; i++) {
        if (i > 0 && (size - i) % 3 == 0) {
            *to++ = ',';
        }
        *to++ = digits[i];
    }
    *to = '\0';
    return out;
}
