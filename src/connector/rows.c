#include "connector/rows.h"

#include <string.h>

#include "connector/file/file.h"
#include "connector/sqlite/sqlite.h"

static const struct rows_ops *const all[] = {&sqlite_rows_ops, &file_rows_ops};

const struct rows_ops *rows_find(const char *kind)
{
    for (uint32_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (strcmp(all[i]->kind, kind) == 0) {
            return all[i];
        }
    }
    return NULL;
}
