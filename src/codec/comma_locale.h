/*
 * For tests: a locale whose decimal point is a comma, made by localedef where none is installed,
 * since few machines have one.
 */
#ifndef WEIR_CODEC_COMMA_LOCALE_H
#define WEIR_CODEC_COMMA_LOCALE_H

#include <locale.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline bool comma_locale_is_set(const char *name)
{
    return setlocale(LC_ALL, name) != NULL && localeconv()->decimal_point[0] == ',';
}

/* Nothing but the category of numbers; localedef warns of all others, and ends with 1. */
static inline void comma_locale_make(const char *folder)
{
    char command[512];
    snprintf(command, sizeof command,
             "cd '%s' && printf 'LC_NUMERIC\\ndecimal_point \",\"\\nthousands_sep \"\"\\n"
             "grouping -1\\nEND LC_NUMERIC\\n' >comma.src && "
             "localedef -c --no-archive -i comma.src -f ANSI_X3.4-1968 ./comma >/dev/null 2>&1",
             folder);
    (void)!system(command);
}

/* Sets such a locale; setlocale(LC_ALL, "C") goes back. False, and the reason is printed, where
 * there is none and none can be made. */
static inline bool comma_locale_set(void)
{
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "de_DE"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (comma_locale_is_set(names[i])) {
            return true;
        }
    }
    char folder[] = "/tmp/weir-locale-XXXXXX";
    if (mkdtemp(folder) != NULL) {
        comma_locale_make(folder);
        setenv("LOCPATH", folder, 1);
        bool is_set = setlocale(LC_NUMERIC, "comma") != NULL &&
                      localeconv()->decimal_point[0] == ',';
        char command[64];
        snprintf(command, sizeof command, "rm -rf '%s'", folder);
        (void)!system(command);
        if (is_set) {
            return true;
        }
    }
    setlocale(LC_ALL, "C");
    printf("skipped: no locale with a decimal comma is installed, and localedef makes none "
           "(Debian's package locales has what it needs)\n");
    return false;
}

#endif
