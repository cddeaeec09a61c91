#include "connector/sqlite/table_columns.h"

#include <sqlite3.h>
#include <stdlib.h>

/* SQLite's own limit, SQLITE_MAX_COLUMN. */
#define COLUMNS_MAX 2000u

static const char *const origin_columns[] = {"_weir_topic", "_weir_partition", "_weir_offset"};
#define ORIGIN_COUNT (sizeof origin_columns / sizeof origin_columns[0])

static int compare_names(const void *a, const void *b)
{
    const struct output_column *x = *(const struct output_column *const *)a;
    const struct output_column *y = *(const struct output_column *const *)b;
    int order = sqlite3_stricmp(x->name, y->name);
    return order != 0 ? order : (x > y) - (x < y);
}

static enum status refuse_pair(const struct doc *table, const struct output_column *first,
                               const struct output_column *second, struct error *err)
{
    return doc_error(table, err, "config.column_twice",
                     "the fields '%s' and '%s' would be one column of table '%s' (nested names "
                     "take '_' for '.', and SQLite does not tell capitals); give one of them "
                     "another name: transform: {set: {NAME: '\"%s\"'}, drop: ['%s']}",
                     first->path, second->path, table->text, second->path, second->path);
}

/* Equal names stand side by side once they are sorted. */
static enum status check_pairs(const struct doc *table, const struct output_shape *shape,
                               struct error *err)
{
    const struct output_column **sorted =
        memory_alloc(size_mul(size_add(shape->column_count, 1), sizeof *sorted));
    for (uint32_t i = 0; i < shape->column_count; i++) {
        sorted[i] = &shape->columns[i];
    }
    qsort(sorted, shape->column_count, sizeof *sorted, compare_names);
    enum status status = STATUS_OK;
    for (uint32_t i = 1; i < shape->column_count && status == STATUS_OK; i++) {
        if (sqlite3_stricmp(sorted[i - 1]->name, sorted[i]->name) == 0) {
            status = refuse_pair(table, sorted[i - 1], sorted[i], err);
        }
    }
    memory_free(sorted);
    return status;
}

static enum status check_origin(const struct doc *table, const struct output_column *column,
                                struct error *err)
{
    for (size_t i = 0; i < ORIGIN_COUNT; i++) {
        if (sqlite3_stricmp(column->name, origin_columns[i]) == 0) {
            return doc_error(table, err, "config.column_twice",
                             "weir writes into %s where a row of table '%s' comes from, and the "
                             "field '%s' would be that column; give it another name: transform: "
                             "{set: {NAME: '\"%s\"'}, drop: ['%s']}",
                             origin_columns[i], table->text, column->path, column->path,
                             column->path);
        }
    }
    return STATUS_OK;
}

enum status table_columns_check(const struct doc *table, const struct output_shape *shape,
                                struct error *err)
{
    if (shape->column_count == 0) {
        return doc_error(table, err, "config.no_columns",
                         "table '%s' would have no columns, for the schema names no fields that "
                         "are left; name them in its properties, or write to a topic or a folder",
                         table->text);
    }
    if (shape->column_count + ORIGIN_COUNT > COLUMNS_MAX) {
        return doc_error(table, err, "config.too_many_columns",
                         "a table of SQLite has at most %u columns, and table '%s' would have %zu "
                         "with those that say where a row comes from; drop fields in "
                         "transform.drop, or write to a topic or a folder",
                         COLUMNS_MAX, table->text, (size_t)shape->column_count + ORIGIN_COUNT);
    }
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < shape->column_count && status == STATUS_OK; i++) {
        status = check_origin(table, &shape->columns[i], err);
    }
    return status == STATUS_OK ? check_pairs(table, shape, err) : status;
}
