#include "batch/layout.h"

#include <string.h>

#include "base/status.h"

uint32_t layout_find(const struct layout *layout, const char *path)
{
    for (uint32_t i = 0; i < layout->field_count; i++) {
        if (strcmp(layout->fields[i].path, path) == 0) {
            return i;
        }
    }
    return FIELD_NONE;
}

const char *column_type_name(enum column_type type)
{
    switch (type) {
    case COLUMN_BOOL:
        return "a boolean";
    case COLUMN_INT64:
        return "an integer";
    case COLUMN_DOUBLE:
        return "a number";
    case COLUMN_TEXT:
        return "a string";
    case COLUMN_JSON:
        return "a JSON value";
    case COLUMN_OBJECT:
        return "an object";
    }
    check(false);
}
