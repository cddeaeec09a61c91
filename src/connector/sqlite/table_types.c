#include "connector/sqlite/table_types.h"

#include <sqlite3.h>
#include <string.h>

static bool contains(const char *declared, const char *word)
{
    size_t size = strlen(word);
    for (; strlen(declared) >= size; declared++) {
        if (sqlite3_strnicmp(declared, word, (int)size) == 0) {
            return true;
        }
    }
    return false;
}

enum affinity table_types_affinity(const char *declared, bool is_strict)
{
    if (contains(declared, "INT")) {
        return AFFINITY_NUMERIC;
    }
    if (contains(declared, "CHAR") || contains(declared, "CLOB") || contains(declared, "TEXT")) {
        return AFFINITY_TEXT;
    }
    if (declared[0] == '\0' || contains(declared, "BLOB") ||
        (is_strict && sqlite3_stricmp(declared, "ANY") == 0)) {
        return AFFINITY_NONE;
    }
    return contains(declared, "REAL") || contains(declared, "FLOA") || contains(declared, "DOUB")
               ? AFFINITY_REAL
               : AFFINITY_NUMERIC;
}

bool table_types_fit(enum cells cells, enum affinity affinity)
{
    switch (cells) {
    case CELLS_BOOL:
    case CELLS_INTEGER:
    case CELLS_DOUBLE:
        return affinity != AFFINITY_TEXT;
    case CELLS_TEXT:
        return affinity == AFFINITY_NONE || affinity == AFFINITY_TEXT;
    case CELLS_TIME:
    case CELLS_ANY:
        break;
    }
    return true;
}

bool table_types_may_change(enum cells cells, enum affinity affinity)
{
    return affinity != AFFINITY_NONE &&
           (cells == CELLS_ANY || (cells == CELLS_INTEGER && affinity == AFFINITY_REAL));
}

static bool changes_as_real(int64_t integer)
{
    double real = (double)integer;
    return real >= 9223372036854775808.0 || (int64_t)real != integer;
}

bool table_types_changes(const struct table_row *row, const struct table_cell *cell,
                         enum affinity affinity)
{
    switch (cell->type) {
    case VALUE_INT64:
        return affinity == AFFINITY_TEXT ||
               (affinity == AFFINITY_REAL && changes_as_real(cell->integer));
    case VALUE_DOUBLE:
        return affinity == AFFINITY_TEXT;
    case VALUE_TEXT:
        return (affinity == AFFINITY_NUMERIC || affinity == AFFINITY_REAL) &&
               table_types_is_number(table_row_text(row, cell));
    default:
        return false;
    }
}

const char *table_types_needed(enum cells cells, bool is_strict)
{
    switch (cells) {
    case CELLS_BOOL:
    case CELLS_INTEGER:
        return "INTEGER";
    case CELLS_DOUBLE:
        return "REAL";
    case CELLS_TEXT:
    case CELLS_TIME:
        return "TEXT";
    case CELLS_ANY:
        break;
    }
    return is_strict ? "ANY" : "BLOB";
}

const char *table_types_word(enum cells cells)
{
    static const char *const words[] = {
        [CELLS_BOOL] = "truth values", [CELLS_INTEGER] = "integers", [CELLS_DOUBLE] = "numbers",
        [CELLS_TEXT] = "texts",        [CELLS_TIME] = "times",       [CELLS_ANY] = "values",
    };
    return words[cells];
}

/* --- numbers in texts --- */

static bool is_space(uint8_t byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

static size_t skip_digits(struct bytes text, size_t *at)
{
    size_t start = *at;
    while (*at < text.size && text.data[*at] >= '0' && text.data[*at] <= '9') {
        ++*at;
    }
    return *at - start;
}

static void skip_sign(struct bytes text, size_t *at)
{
    *at += *at < text.size && (text.data[*at] == '+' || text.data[*at] == '-');
}

bool table_types_is_number(struct bytes text)
{
    size_t at = 0;
    while (at < text.size && is_space(text.data[at])) {
        at++;
    }
    skip_sign(text, &at);
    size_t digits = skip_digits(text, &at);
    if (at < text.size && text.data[at] == '.') {
        at++;
        digits += skip_digits(text, &at);
    }
    if (digits == 0) {
        return false;
    }
    if (at < text.size && (text.data[at] | 0x20) == 'e') {
        at++;
        skip_sign(text, &at);
        if (skip_digits(text, &at) == 0) {
            return false;
        }
    }
    while (at < text.size && is_space(text.data[at])) {
        at++;
    }
    /* SQLite reads to the first NUL. */
    return at == text.size || text.data[at] == '\0';
}
