/* Rows of an NDJSON file, or of all parts in a folder, read without a pipeline. */
#include <string.h>

#include "connector/file/each_line.h"
#include "connector/file/file.h"
#include "connector/file/lines.h"
#include "os/file.h"

struct reading {
    place_row_visitor *visit;
    void *context;
    struct place_row row;
    bool is_done;
};

/* Empty lines are no rows. */
static enum status take_line(void *context, struct bytes line, int64_t number, bool *out_done,
                             struct error *err)
{
    struct reading *reading = context;
    struct bytes value = line_value(line);
    if (value.size == 0) {
        return STATUS_OK;
    }
    reading->row.value = value;
    reading->row.position = number;
    enum status status = reading->visit(reading->context, &reading->row, &reading->is_done, err);
    *out_done = reading->is_done;
    return status;
}

static enum status read_folder(struct reading *reading, const char *path, struct error *err)
{
    struct arena *arena = arena_new(64 * 1024);
    const char **names = NULL;
    size_t count = 0;
    enum status status = folder_list(arena, path, &names, &count, err);
    for (size_t i = 0; i < count && status == STATUS_OK && !reading->is_done; i++) {
        if (each_line_is_of_rows(names[i])) {
            reading->row.part = names[i];
            status = each_line(arena_printf(arena, "%s/%s", path, names[i]), take_line, reading,
                               err);
        }
    }
    arena_free(arena);
    return status;
}

static enum status each(const char *path, const char *name, place_row_visitor *visit,
                        void *context, struct error *err)
{
    (void)name;
    struct reading reading = {
        .visit = visit, .context = context, .row = {.key = BYTES_NONE, .part = path}};
    return folder_exists(path) ? read_folder(&reading, path, err)
                               : each_line(path, take_line, &reading, err);
}

const struct rows_ops file_rows_ops = {.kind = "file", .each = each};
