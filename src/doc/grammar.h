/*
 * The grammar of a document as a table: which keys a map may have, of what type, with what
 * default, and one line of help each. Checks a document against it, with the nearest right spelling
 * for an unknown key. Each connector brings a table of its own; plan/ joins them.
 *
 * A key that is kept free and not built is in the table with `unsupported`
 * set: it is refused with code `config.unsupported` and the text says what to leave out.
 */
#ifndef WEIR_DOC_GRAMMAR_H
#define WEIR_DOC_GRAMMAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "doc/doc.h"

enum grammar_type {
    GRAMMAR_STRING,
    GRAMMAR_NAME,     /* letters, digits, '_', '-', '.', at most 200 characters */
    GRAMMAR_BOOL,
    GRAMMAR_INT,      /* with minimum and maximum */
    GRAMMAR_NUMBER,
    GRAMMAR_DURATION, /* "10m"; see base/time.h */
    GRAMMAR_DURATION_OR_UNLIMITED,
    GRAMMAR_SIZE,     /* "64MiB" */
    GRAMMAR_PERCENT,
    GRAMMAR_CHOICE,   /* one of `choices`, NULL-terminated */
    GRAMMAR_STRINGS,  /* a list of strings, or one string */
    GRAMMAR_SECRET,   /* {file: PATH}, {env: NAME} or {credential: NAME}; never the secret itself */
    GRAMMAR_ANY,      /* checked by its reader */
    GRAMMAR_MAP,      /* a map with the keys of `fields` */
    GRAMMAR_MAP_OF,   /* any names; each value a map with the keys of `fields` */
    GRAMMAR_LIST_OF,  /* a list of maps with the keys of `fields` */
};

struct grammar_field {
    const char *key; /* NULL ends a table */
    enum grammar_type type;
    bool required;
    const char *help;                    /* one line */
    const char *unsupported;             /* not NULL: refused; what to leave out or use instead */
    const struct grammar_field *fields;  /* MAP, MAP_OF, LIST_OF */
    const char *const *choices;          /* CHOICE */
    int64_t minimum, maximum;            /* INT, when maximum > minimum */
};

/* CONFIG with the place of the first mistake: config.type, config.unknown_key, config.missing_key,
 * config.value, config.unsupported. `what` names the map in messages ("the pipeline", "dedup"). */
enum status grammar_check(const struct grammar_field *fields, const struct doc *map,
                          const char *what, struct error *err) WEIR_MUST_USE;

/* The field of a key, or NULL. */
const struct grammar_field *grammar_find(const struct grammar_field *fields, const char *key);

/* What a value looks like, in a few words: "a duration", "a map"; for lists of keys. */
const char *grammar_type_name(enum grammar_type type);

/* The table as a JSON Schema (draft 2020-12), appended: for editors. It is no stricter than
 * grammar_check(), and looser only where that asks more than a pattern can. */
void grammar_write_json_schema(const struct grammar_field *fields, const char *title,
                               struct buffer *out);

/* Readers for a checked map: the default when the key is absent. They check() the type. */
const char *grammar_string(const struct doc *map, const char *key, const char *otherwise);
bool grammar_bool(const struct doc *map, const char *key, bool otherwise);
int64_t grammar_int(const struct doc *map, const char *key, int64_t otherwise);
double grammar_number(const struct doc *map, const char *key, double otherwise);
/* "unlimited" gives TIME_UNLIMITED. */
int64_t grammar_duration_us(const struct doc *map, const char *key, int64_t otherwise);
uint64_t grammar_size_bytes(const struct doc *map, const char *key, uint64_t otherwise);
/* As a share: "5%" gives 0.05. */
double grammar_percent(const struct doc *map, const char *key, double otherwise);
/* Strings of a STRINGS key, in `arena`: NULL when the key is absent, not NULL for an empty list. */
const char **grammar_strings(struct arena *arena, const struct doc *map, const char *key,
                             size_t *out_count);

#endif
