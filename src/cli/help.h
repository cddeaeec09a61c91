/* What the table of verbs says of itself: usage and help for the screen (help.c), manual pages
 * (help_man.c), completion for shells (help_completion.c). Nothing stands in two places. */
#ifndef WEIR_CLI_HELP_H
#define WEIR_CLI_HELP_H

#include "cli/cli.h"

void help_print_usage(FILE *stream);
void help_print_verb(const struct cli_verb *verb);
/* NULL with CONFIG "use.verb" and the nearest name. */
const struct cli_verb *help_find_verb(const char *name, struct error *err);

/* The page weir-VERB(1) in the language of troff; of weir(1) when `verb` is NULL. */
void help_write_man(const struct cli_verb *verb, struct buffer *out);

/* CONFIG "use.value" when it is no shell that is known. */
enum status help_write_completion(const char *shell, struct buffer *out,
                                  struct error *err) WEIR_MUST_USE;

/* The words that an argument may be: of "create|list PLACE [--json]" these are "create" and "list";
 * of the value "earliest|latest|OFFSET" the first two. Calls `word` for each; false when there are
 * none. */
bool help_each_choice(const char *text, void (*word)(void *context, const char *text, size_t size),
                      void *context);

#endif
