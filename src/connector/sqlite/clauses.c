#include "connector/sqlite/clauses.h"

#include <sqlite3.h>
#include <stdint.h>
#include <string.h>

struct word {
    const char *text;
    size_t size; /* 0: the statement is at its end */
};

static bool is_word_byte(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') || byte == '_' || byte == '$' || (uint8_t)byte >= 0x80;
}

static const char *skip_to(const char *at, const char *end)
{
    const char *found = strstr(at, end);
    return found == NULL ? at + strlen(at) : found + strlen(end);
}

/* Behind the quoted text that begins at `at`; a doubled quote inside does not end it, since
 * another text begins with it. */
static const char *skip_quoted(const char *at)
{
    char end[2] = {*at == '[' ? ']' : *at, '\0'};
    return skip_to(at + 1, end);
}

/* The next token: a word, or one byte of anything else (the opening quote for what is quoted).
 * Moves *at behind it. */
static struct word next_token(const char **at)
{
    const char *start = *at;
    while (*start != '\0') {
        if (strncmp(start, "--", 2) == 0) {
            start = skip_to(start, "\n");
        } else if (strncmp(start, "/*", 2) == 0) {
            start = skip_to(start + 2, "*/");
        } else if (strchr(" \t\n\f\r", *start) != NULL) {
            start++;
        } else {
            break;
        }
    }
    const char *end = start;
    if (*start != '\0' && strchr("'\"`[", *start) != NULL) {
        *at = skip_quoted(start);
        return (struct word){start, 1};
    }
    while (is_word_byte(*end)) {
        end++;
    }
    end += end == start && *start != '\0';
    *at = end;
    return (struct word){start, (size_t)(end - start)};
}

static bool is(struct word word, const char *text)
{
    return word.size == strlen(text) && sqlite3_strnicmp(word.text, text, (int)word.size) == 0;
}

/* Whether the words stand one after the other somewhere, and the word before them is not NOT. */
static bool has_words(const char *sql, const char *const words[3])
{
    struct word last[3] = {{"", 0}, {"", 0}, {"", 0}};
    for (const char *at = sql;;) {
        struct word word = next_token(&at);
        if (word.size == 0) {
            return false;
        }
        if (is(word, words[2]) && is(last[2], words[1]) && is(last[1], words[0]) &&
            !is(last[0], "NOT")) {
            return true;
        }
        last[0] = last[1];
        last[1] = last[2];
        last[2] = word;
    }
}

bool clauses_defer(const char *sql)
{
    static const char *const words[3] = {"DEFERRABLE", "INITIALLY", "DEFERRED"};
    return has_words(sql, words);
}

bool clauses_replace(const char *sql)
{
    static const char *const words[3] = {"ON", "CONFLICT", "REPLACE"};
    return has_words(sql, words);
}
