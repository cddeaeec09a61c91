/* Completion for shells out of the table of verbs: verbs, options, the words that a value may be,
 * and names of files where one may stand. */
#include <string.h>

#include "cli/help.h"

static void add_word(void *context, const char *text, size_t size)
{
    struct buffer *out = context;
    buffer_append_byte(out, ' ');
    buffer_append(out, text, size);
}

/* The values of an option: words of their own, files, or something that nobody can guess. */
enum values { VALUES_NONE, VALUES_WORDS, VALUES_FILES, VALUES_VERBS, VALUES_FREE };

static enum values values_of(const struct cli_option *option, struct buffer *words)
{
    if (option->value == NULL) {
        return VALUES_NONE;
    }
    if (help_each_choice(option->value, add_word, words)) {
        return VALUES_WORDS;
    }
    if (strcmp(option->value, "FILE") == 0 || strcmp(option->value, "FOLDER") == 0) {
        return VALUES_FILES;
    }
    return strcmp(option->value, "VERB") == 0 ? VALUES_VERBS : VALUES_FREE;
}

static void write_verbs(struct buffer *out)
{
    for (uint32_t i = 0; cli_verbs[i] != NULL; i++) {
        buffer_printf(out, " %s", cli_verbs[i]->name);
    }
}

/* Inside of single quotes. */
static void write_quoted(const char *text, const char *escaped, const char *quote,
                         struct buffer *out)
{
    for (; *text != '\0'; text++) {
        if (*text == '\'') {
            buffer_append_string(out, quote);
        } else if (*text == '\n') {
            /* The help of the screen goes on, indented. */
            text += strspn(text + 1, " ");
            buffer_append_byte(out, ' ');
        } else {
            if (strchr(escaped, *text) != NULL) {
                buffer_append_byte(out, '\\');
            }
            buffer_append_byte(out, (uint8_t)*text);
        }
    }
}

/* The words that may stand first behind a verb; of help the verbs. */
static void write_first_words(const struct cli_verb *verb, struct buffer *out)
{
    if (strncmp(verb->arguments, "[VERB", 5) == 0) {
        write_verbs(out);
    } else {
        (void)help_each_choice(verb->arguments, add_word, out);
    }
}

/* --- bash --- */

/* `--option) words=… ;;` for each option with a value. */
static void write_bash_values(const struct cli_verb *verb, struct buffer *out)
{
    for (const struct cli_option *option = verb->options; option->name != NULL; option++) {
        struct buffer words = {0};
        enum values values = values_of(option, &words);
        if (values == VALUES_WORDS) {
            buffer_printf(out, "        %s\\ --%s) words='%s'; only=1 ;;\n", verb->name,
                          option->name, buffer_string(&words));
        } else if (values == VALUES_VERBS) {
            buffer_printf(out, "        %s\\ --%s) words='weir", verb->name, option->name);
            write_verbs(out);
            buffer_append_string(out, "'; only=1 ;;\n");
        } else if (values == VALUES_FREE) {
            buffer_printf(out, "        %s\\ --%s) only=1 ;;\n", verb->name, option->name);
        } else if (values == VALUES_FILES) {
            buffer_printf(out, "        %s\\ --%s) files=1 ;;\n", verb->name, option->name);
        }
        buffer_fini(&words);
    }
}

static void write_bash_verb(const struct cli_verb *verb, struct buffer *out)
{
    struct buffer first = {0};
    write_first_words(verb, &first);
    buffer_printf(out, "        %s) first='%s'; options='", verb->name, buffer_string(&first));
    for (const struct cli_option *option = verb->options; option->name != NULL; option++) {
        buffer_printf(out, "--%s ", option->name);
    }
    buffer_append_string(out, "--help' ;;\n");
    buffer_fini(&first);
}

static void write_bash(struct buffer *out)
{
    buffer_append_string(out, "# Completion of weir for bash.\n"
                              "_weir() {\n"
                              "    local word=${COMP_WORDS[COMP_CWORD]} verb=${COMP_WORDS[1]}\n"
                              "    local before=${COMP_WORDS[COMP_CWORD-1]}\n"
                              "    local words='' first='' options='' only='' files=''\n"
                              "    COMPREPLY=()\n"
                              "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
                              "        COMPREPLY=($(compgen -W '");
    write_verbs(out);
    buffer_append_string(out, "' -- \"$word\"))\n"
                              "        return\n"
                              "    fi\n"
                              "    case \"$verb $before\" in\n");
    for (uint32_t i = 0; cli_verbs[i] != NULL; i++) {
        write_bash_values(cli_verbs[i], out);
    }
    buffer_append_string(out, "    esac\n"
                              "    case $verb in\n");
    for (uint32_t i = 0; cli_verbs[i] != NULL; i++) {
        write_bash_verb(cli_verbs[i], out);
    }
    buffer_append_string(out, "    esac\n"
                              "    if [ -n \"$only\" ]; then\n"
                              "        compopt +o default 2>/dev/null\n"
                              "    elif [ -n \"$files\" ]; then\n"
                              "        return\n"
                              "    elif [ \"${word:0:1}\" = - ]; then\n"
                              "        words=$options\n"
                              "    elif [ \"$COMP_CWORD\" -eq 2 ]; then\n"
                              "        words=$first\n"
                              "    fi\n"
                              "    COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
                              "}\n"
                              "complete -o default -F _weir weir\n");
}

/* --- zsh --- */

static void write_zsh_option(const struct cli_option *option, struct buffer *out)
{
    struct buffer words = {0};
    enum values values = values_of(option, &words);
    buffer_printf(out, " \\\n            '%s--%s[", option->repeats ? "*" : "", option->name);
    write_quoted(option->help, "[]:\\", "'\\''", out);
    buffer_append_byte(out, ']');
    if (values != VALUES_NONE) {
        buffer_append_byte(out, ':');
        write_quoted(option->value, "[]:\\", "'\\''", out);
        buffer_append_byte(out, ':');
    }
    if (values == VALUES_WORDS) {
        buffer_printf(out, "(%s)", buffer_string(&words) + 1);
    } else if (values == VALUES_VERBS) {
        buffer_append_string(out, "(weir");
        write_verbs(out);
        buffer_append_byte(out, ')');
    } else if (values == VALUES_FILES) {
        buffer_append_string(out, "_files");
    }
    buffer_append_byte(out, '\'');
    buffer_fini(&words);
}

static void write_zsh_verb(const struct cli_verb *verb, struct buffer *out)
{
    struct buffer first = {0};
    write_first_words(verb, &first);
    buffer_printf(out, "    %s)\n        _arguments", verb->name);
    for (const struct cli_option *option = verb->options; option->name != NULL; option++) {
        write_zsh_option(option, out);
    }
    buffer_append_string(out, " \\\n            '--help[this text]'");
    if (first.size > 0) {
        buffer_printf(out, " \\\n            '1:what:(%s)'", buffer_string(&first) + 1);
    }
    buffer_append_string(out, verb->most > 0 ? " \\\n            '*:file:_files' ;;\n" : " ;;\n");
    buffer_fini(&first);
}

static void write_zsh(struct buffer *out)
{
    buffer_append_string(out, "#compdef weir\n# Completion of weir for zsh.\n"
                              "_weir() {\n"
                              "    local -a verbs\n"
                              "    verbs=(\n");
    for (uint32_t i = 0; cli_verbs[i] != NULL; i++) {
        buffer_printf(out, "        '%s:", cli_verbs[i]->name);
        write_quoted(cli_verbs[i]->summary, ":\\", "'\\''", out);
        buffer_append_string(out, "'\n");
    }
    buffer_append_string(out, "    )\n"
                              "    if (( CURRENT == 2 )); then\n"
                              "        _describe verb verbs\n"
                              "        return\n"
                              "    fi\n"
                              "    local verb=$words[2]\n"
                              "    shift words\n"
                              "    (( CURRENT-- ))\n"
                              "    case $verb in\n");
    for (uint32_t i = 0; cli_verbs[i] != NULL; i++) {
        write_zsh_verb(cli_verbs[i], out);
    }
    buffer_append_string(out, "    esac\n}\n"
                              "if [ \"$funcstack[1]\" = _weir ]; then\n"
                              "    _weir \"$@\"\n"
                              "else\n"
                              "    compdef _weir weir\n"
                              "fi\n");
}

/* --- fish --- */

static void write_fish_line(const char *verb, struct buffer *out)
{
    buffer_printf(out, "complete -c weir -n '__fish_seen_subcommand_from %s'", verb);
}

static void write_fish_option(const char *verb, const struct cli_option *option, struct buffer *out)
{
    struct buffer words = {0};
    enum values values = values_of(option, &words);
    write_fish_line(verb, out);
    buffer_printf(out, " -l %s", option->name);
    if (values == VALUES_WORDS) {
        buffer_printf(out, " -x -a '%s'", buffer_string(&words) + 1);
    } else if (values == VALUES_VERBS) {
        buffer_append_string(out, " -x -a 'weir");
        write_verbs(out);
        buffer_append_byte(out, '\'');
    } else if (values == VALUES_FREE) {
        buffer_append_string(out, " -x");
    } else if (values == VALUES_FILES) {
        buffer_append_string(out, " -r -F");
    }
    buffer_append_string(out, " -d '");
    write_quoted(option->help, "\\", "\\'", out);
    buffer_append_string(out, "'\n");
    buffer_fini(&words);
}

static void write_fish(struct buffer *out)
{
    buffer_append_string(out, "# Completion of weir for fish.\n");
    for (uint32_t i = 0; cli_verbs[i] != NULL; i++) {
        const struct cli_verb *verb = cli_verbs[i];
        struct buffer first = {0};
        buffer_printf(out, "complete -c weir -n __fish_use_subcommand -f -a %s -d '", verb->name);
        write_quoted(verb->summary, "\\", "\\'", out);
        buffer_append_string(out, "'\n");
        write_first_words(verb, &first);
        if (first.size > 0) {
            write_fish_line(verb->name, out);
            buffer_printf(out, " -a '%s'\n", buffer_string(&first) + 1);
        }
        for (const struct cli_option *option = verb->options; option->name != NULL; option++) {
            write_fish_option(verb->name, option, out);
        }
        buffer_fini(&first);
    }
}

enum status help_write_completion(const char *shell, struct buffer *out, struct error *err)
{
    static const struct {
        const char *name;
        void (*write)(struct buffer *out);
    } shells[] = {{"bash", write_bash}, {"zsh", write_zsh}, {"fish", write_fish}};
    for (size_t i = 0; i < sizeof shells / sizeof shells[0]; i++) {
        if (strcmp(shell, shells[i].name) == 0) {
            shells[i].write(out);
            return STATUS_OK;
        }
    }
    return error_set(err, STATUS_CONFIG, "use.value",
                     "--completion takes bash, zsh or fish, not '%s'", shell);
}
