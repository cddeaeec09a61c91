#include "observe/page.h"

#include <math.h>
#include <stdio.h>

#include "base/time.h"
#include "observe/text.h"

#define RELOAD_SECONDS 2
/* A table with more rows is for machines. */
#define ROWS_MAX 200

/* One number with its labels; all of them are collected first, since a table joins families. */
struct cell {
    const struct metric_definition *definition;
    const char *values[METRIC_LABELS_MAX]; /* in the page's arena */
    double value;
    uint64_t count;
    bool is_done;
};

struct page {
    struct arena *arena;
    struct cell *cells;
    size_t count, capacity;
};

static void collect(void *context, const struct metric_definition *definition,
                    const char *const *values, double value, uint64_t count)
{
    struct page *page = context;
    if (page->count == page->capacity) {
        page->capacity = page->capacity == 0 ? 256 : page->capacity * 2;
        page->cells = memory_realloc(page->cells, size_mul(page->capacity, sizeof *page->cells));
    }
    struct cell *cell = &page->cells[page->count++];
    *cell = (struct cell){.definition = definition, .value = value, .count = count};
    for (uint32_t i = 0; i < METRIC_LABELS_MAX && values[i] != NULL; i++) {
        cell->values[i] = arena_copy_string(page->arena, values[i]);
    }
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool same_labels(const struct cell *a, const struct cell *b)
{
    for (uint32_t i = 0; i < METRIC_LABELS_MAX; i++) {
        if (!same_text(a->definition->labels[i], b->definition->labels[i])) {
            return false;
        }
    }
    return true;
}

static bool same_values(const struct cell *a, const struct cell *b)
{
    for (uint32_t i = 0; i < METRIC_LABELS_MAX; i++) {
        if (!same_text(a->values[i], b->values[i])) {
            return false;
        }
    }
    return true;
}

static bool ends_with(const char *text, const char *end)
{
    size_t size = strlen(text);
    size_t end_size = strlen(end);
    return size >= end_size && strcmp(text + size - end_size, end) == 0;
}

/* 1234567 as 1,234,567. */
static void write_whole(double value, struct buffer *out)
{
    char digits[40];
    int size = snprintf(digits, sizeof digits, "%.0f", fabs(value));
    if (value < 0) {
        buffer_append_byte(out, '-');
    }
    for (int i = 0; i < size; i++) {
        if (i > 0 && (size - i) % 3 == 0) {
            buffer_append_byte(out, ',');
        }
        buffer_append_byte(out, (uint8_t)digits[i]);
    }
}

static void write_number(const struct cell *cell, struct buffer *out)
{
    const char *name = cell->definition->name;
    if (ends_with(name, "_timestamp_seconds") || ends_with(name, "_time_seconds")) {
        char text[TIME_TEXT_BYTES];
        time_format((int64_t)cell->value * TIME_US_PER_SECOND, text);
        buffer_append_string(out, text);
    } else if (cell->definition->kind == METRIC_HISTOGRAM) {
        write_whole((double)cell->count, out);
        buffer_printf(out, " × %.4g s", cell->value);
    } else if (ends_with(name, "_bytes")) {
        buffer_printf(out, "%.1f MiB", cell->value / (1 << 20));
    } else if (cell->value == floor(cell->value)) {
        write_whole(cell->value, out);
    } else {
        buffer_printf(out, "%.3f", cell->value);
    }
}

/* The name as a heading: what all have in common left out. */
static void write_heading(const struct metric_definition *definition, struct buffer *out)
{
    const char *name = definition->name;
    name += strncmp(name, "weir_", 5) == 0 ? 5 : 0;
    size_t size = strlen(name);
    size -= ends_with(name, "_total") ? 6 : 0;
    size -= ends_with(name, "_timestamp_seconds") ? 18 : 0;
    buffer_append_string(out, "<th title=\"");
    text_write_html(definition->help, out);
    buffer_append_string(out, "\">");
    for (size_t i = 0; i < size; i++) {
        buffer_append_byte(out, name[i] == '_' ? ' ' : (uint8_t)name[i]);
    }
    buffer_append_string(out, "</th>");
}

/* Numbers without labels: a line each. */
static void write_plain(struct page *page, struct buffer *out)
{
    buffer_append_string(out, "<table>");
    for (size_t i = 0; i < page->count; i++) {
        struct cell *cell = &page->cells[i];
        if (cell->definition->labels[0] == NULL) {
            buffer_append_string(out, "<tr>");
            write_heading(cell->definition, out);
            buffer_append_string(out, "<td>");
            write_number(cell, out);
            buffer_append_string(out, "</td></tr>\n");
            cell->is_done = true;
        }
    }
    buffer_append_string(out, "</table>\n");
}

/* The cell in the row of `row` that belongs to a family; NULL when it is not shown. */
static const struct cell *find_cell(const struct page *page, const struct cell *row,
                                    const struct metric_definition *definition)
{
    for (size_t i = 0; i < page->count; i++) {
        if (page->cells[i].definition == definition && same_values(&page->cells[i], row)) {
            return &page->cells[i];
        }
    }
    return NULL;
}

static void write_row(const struct page *page, const struct cell *row,
                      const struct metric_definition *const *columns, size_t column_count,
                      struct buffer *out)
{
    buffer_append_string(out, "<tr>");
    for (uint32_t i = 0; i < METRIC_LABELS_MAX && row->values[i] != NULL; i++) {
        buffer_append_string(out, "<th>");
        text_write_html(row->values[i], out);
        buffer_append_string(out, "</th>");
    }
    for (size_t c = 0; c < column_count; c++) {
        const struct cell *cell = find_cell(page, row, columns[c]);
        buffer_append_string(out, "<td>");
        if (cell != NULL) {
            write_number(cell, out);
        }
        buffer_append_string(out, "</td>");
    }
    buffer_append_string(out, "</tr>\n");
}

/* All families that have the labels of this cell: a column each. */
static void write_table(struct page *page, const struct cell *first, struct buffer *out)
{
    const struct metric_definition **columns =
        arena_alloc(page->arena, size_mul(page->count, sizeof *columns));
    size_t column_count = 0;
    for (size_t i = 0; i < page->count; i++) {
        const struct metric_definition *definition = page->cells[i].definition;
        bool is_new = same_labels(&page->cells[i], first);
        for (size_t c = 0; c < column_count && is_new; c++) {
            is_new = columns[c] != definition;
        }
        if (is_new) {
            columns[column_count++] = definition;
        }
    }
    buffer_append_string(out, "<table><tr>");
    for (uint32_t i = 0; i < METRIC_LABELS_MAX && first->definition->labels[i] != NULL; i++) {
        buffer_printf(out, "<th>%s</th>", first->definition->labels[i]);
    }
    for (size_t c = 0; c < column_count; c++) {
        write_heading(columns[c], out);
    }
    buffer_append_string(out, "</tr>\n");
    size_t row_count = 0;
    for (size_t i = 0; i < page->count; i++) {
        struct cell *row = &page->cells[i];
        if (row->is_done || !same_labels(row, first)) {
            continue;
        }
        if (row_count++ == ROWS_MAX) {
            buffer_append_string(out, "<tr><td>more: see /metrics</td></tr>\n");
        }
        if (row_count > ROWS_MAX) {
            row->is_done = true;
            continue;
        }
        write_row(page, row, columns, column_count, out);
        for (size_t j = i; j < page->count; j++) {
            page->cells[j].is_done |=
                same_labels(&page->cells[j], row) && same_values(&page->cells[j], row);
        }
    }
    buffer_append_string(out, "</table>\n");
}

static void write_health(struct health *health, struct buffer *out)
{
    struct buffer lines = {0};
    health_write_lines(health, &lines);
    if (lines.size == 0) {
        buffer_append_string(out, "<p class=\"good\">ready</p>\n");
    } else {
        buffer_append_string(out, "<p class=\"bad\">not ready<br>");
        text_write_html(buffer_string(&lines), out);
        buffer_append_string(out, "</p>\n");
    }
    buffer_fini(&lines);
}

void page_write(const char *title, struct metrics *metrics, struct health *health,
                struct buffer *out)
{
    struct page page = {.arena = arena_new(16 * 1024)};
    metrics_each(metrics, collect, &page);
    buffer_printf(out,
                  "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                  "<meta http-equiv=\"refresh\" content=\"%d\"><title>",
                  RELOAD_SECONDS);
    text_write_html(title, out);
    buffer_append_string(
        out, "</title><link rel=\"icon\" href=\"data:,\"><style>"
             "body{font:14px/1.5 system-ui,sans-serif;margin:1.5em;color:#222;background:#fff}"
             "table{border-collapse:collapse;margin:0 0 1.5em}"
             "td,th{border:1px solid #ccc;padding:.15em .6em;text-align:right;font-weight:400}"
             "th{background:#f4f4f4;text-align:left}.good{color:#060}.bad{color:#a00}"
             "</style></head><body><h1>");
    text_write_html(title, out);
    buffer_append_string(out, "</h1>\n");
    write_health(health, out);
    for (size_t i = 0; i < page.count; i++) {
        if (page.cells[i].definition->labels[0] != NULL && !page.cells[i].is_done) {
            write_table(&page, &page.cells[i], out);
        }
    }
    write_plain(&page, out);
    buffer_append_string(out, "<p><a href=\"/metrics\">/metrics</a> <a href=\"/ready\">/ready</a> "
                              "<a href=\"/live\">/live</a></p></body></html>\n");
    memory_free(page.cells);
    arena_free(page.arena);
}
