/* Manual pages out of the table of verbs. */
#include <string.h>

#include "cli/help.h"

/* Text of troff: a backslash is written \e, and what begins a line with '.' or '\'' is no request.
 * In names of options '-' is a minus, so that it can be copied. */
static void write_text(const char *text, size_t size, bool is_literal, struct buffer *out)
{
    for (size_t i = 0; i < size; i++) {
        bool begins_line = i == 0 || text[i - 1] == '\n';
        if (begins_line && (text[i] == '.' || text[i] == '\'')) {
            buffer_append_string(out, "\\&");
        }
        if (text[i] == '\\') {
            buffer_append_string(out, "\\e");
        } else if (text[i] == '-' && is_literal) {
            buffer_append_string(out, "\\-");
        } else if (text[i] == '\'' && is_literal) {
            buffer_append_string(out, "\\(aq");
        } else {
            buffer_append_byte(out, (uint8_t)text[i]);
        }
    }
}

static void write_line(const char *text, struct buffer *out)
{
    write_text(text, strlen(text), false, out);
    buffer_append_byte(out, '\n');
}

static void write_head(const char *title, const char *name, const char *summary, struct buffer *out)
{
    buffer_printf(out, ".TH %s 1 \"\" \"weir " WEIR_VERSION "\" \"User Commands\"\n.SH NAME\n",
                  title);
    write_text(name, strlen(name), true, out);
    buffer_append_string(out, " \\- ");
    write_line(summary, out);
}

/* Examples and small tables keep their lines. */
static bool is_verbatim(const char *line, size_t size)
{
    return (size >= 2 && line[0] == ' ' && line[1] == ' ') ||
           (size >= 3 && memmem(line, size, "   ", 3) != NULL);
}

static void write_details(const char *text, struct buffer *out)
{
    bool in_verbatim = false;
    bool is_begun = false;
    bool is_apart = false; /* a paragraph begins with the next line */
    while (*text != '\0') {
        size_t size = strcspn(text, "\n");
        bool is_next_verbatim = size == 0 ? in_verbatim : is_verbatim(text, size);
        if (in_verbatim && !is_next_verbatim) {
            buffer_append_string(out, ".fi\n");
        }
        is_apart = is_apart || size == 0 || is_next_verbatim != in_verbatim;
        if (size > 0) {
            buffer_append_string(out, is_apart && is_begun ? ".PP\n" : "");
            buffer_append_string(out, is_next_verbatim && !in_verbatim ? ".nf\n" : "");
            write_text(text, size, is_next_verbatim, out);
            buffer_append_byte(out, '\n');
            is_begun = true;
            is_apart = false;
        }
        in_verbatim = is_next_verbatim;
        text += size + (text[size] == '\n');
    }
    buffer_append_string(out, in_verbatim ? ".fi\n" : "");
}

static void write_option(const char *name, const char *value, const char *help, struct buffer *out)
{
    buffer_append_string(out, ".TP\n\\fB\\-\\-");
    write_text(name, strlen(name), true, out);
    buffer_append_string(out, "\\fR");
    if (value != NULL) {
        buffer_append_string(out, " \\fI");
        write_text(value, strlen(value), true, out);
        buffer_append_string(out, "\\fR");
    }
    buffer_append_byte(out, '\n');
    /* The help of the screen is indented where it has several lines. */
    while (*help != '\0') {
        size_t size = strcspn(help, "\n");
        write_text(help, size, false, out);
        buffer_append_byte(out, '\n');
        help += size + (help[size] == '\n');
        help += strspn(help, " ");
    }
}

static void write_exit_status(struct buffer *out)
{
    buffer_append_string(out, ".SH EXIT STATUS\n"
                              ".TP\n0\ndone\n"
                              ".TP\n1\nthe data say no\n"
                              ".TP\n2\nwrong use or configuration\n"
                              ".TP\n3\na system in the way\n");
}

static void write_see_also(const struct cli_verb *except, struct buffer *out)
{
    buffer_append_string(out, ".SH SEE ALSO\n");
    if (except != NULL) {
        buffer_append_string(out, ".BR weir (1)");
    }
    for (uint32_t i = 0; cli_verbs[i] != NULL; i++) {
        if (cli_verbs[i] != except) {
            buffer_printf(out, "%s.BR weir\\-%s (1)", i == 0 && except == NULL ? "" : ",\n",
                          cli_verbs[i]->name);
        }
    }
    buffer_append_byte(out, '\n');
}

static void write_verb(const struct cli_verb *verb, struct buffer *out)
{
    char title[64];
    char name[64];
    snprintf(title, sizeof title, "WEIR\\-%s", verb->name);
    for (char *at = title + 6; *at != '\0'; at++) {
        *at = (char)(*at >= 'a' && *at <= 'z' ? *at - 'a' + 'A' : *at);
    }
    snprintf(name, sizeof name, "weir-%s", verb->name);
    write_head(title, name, verb->summary, out);
    buffer_printf(out, ".SH SYNOPSIS\n\\fBweir %s\\fR ", verb->name);
    write_text(verb->arguments, strlen(verb->arguments), true, out);
    buffer_append_string(out, "\n.SH DESCRIPTION\n");
    if (verb->details != NULL) {
        write_details(verb->details, out);
    } else {
        write_line(verb->summary, out);
    }
    buffer_append_string(out, ".SH OPTIONS\n");
    for (const struct cli_option *option = verb->options; option->name != NULL; option++) {
        write_option(option->name, option->value, option->help, out);
    }
    write_option("help", NULL, "the same on the screen", out);
}

void help_write_man(const struct cli_verb *verb, struct buffer *out)
{
    if (verb != NULL) {
        write_verb(verb, out);
    } else {
        write_head("WEIR", "weir", "exactly-once streaming ETL that accounts for every record",
                   out);
        buffer_append_string(out, ".SH SYNOPSIS\n\\fBweir\\fR \\fIVERB\\fR [\\fIoptions\\fR]\n"
                                  ".SH DESCRIPTION\nEvery verb has a page of its own.\n");
        for (uint32_t i = 0; cli_verbs[i] != NULL; i++) {
            buffer_printf(out, ".TP\n.BR weir\\-%s (1)\n", cli_verbs[i]->name);
            write_line(cli_verbs[i]->summary, out);
        }
    }
    write_exit_status(out);
    write_see_also(verb, out);
}
