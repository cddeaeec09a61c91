/* The sink of a folder: rows become lines in the outbox of the epoch, one list per source
 * partition. */
#include <stdlib.h>
#include <string.h>

#include "connector/file/file.h"
#include "connector/file/folder.h"
#include "connector/file/folder_csv.h"
#include "connector/file/letter.h"
#include "os/file.h"

/* Memory of a partition's lines that an empty outbox keeps. */
#define KEEP_BYTES ((size_t)8 << 20)

static const char *const formats[] = {"json", "csv", NULL};

static const struct grammar_field folder_fields[] = {
    {.key = "path",
     .type = GRAMMAR_STRING,
     .required = true,
     .help = "the folder that gets files of lines; made when it is missing"},
    {.key = "format",
     .type = GRAMMAR_CHOICE,
     .choices = formats,
     .help = "json: a JSON object a line; csv: the schema's fields as columns, with a header in "
             "each file"},
    {0},
};

/* --- outboxes --- */

static struct folder_outbox *box_of(struct outbox *outbox)
{
    return (struct folder_outbox *)outbox;
}

static struct outbox *outbox_new(struct sink *sink)
{
    (void)sink;
    struct folder_outbox *box = memory_alloc_zero(1, sizeof *box);
    return &box->outbox;
}

static void outbox_clear(struct outbox *outbox)
{
    struct folder_outbox *box = box_of(outbox);
    for (uint32_t i = 0; i < box->partition_count; i++) {
        if (box->lines[i].capacity > KEEP_BYTES) {
            buffer_fini(&box->lines[i]);
        }
        buffer_clear(&box->lines[i]);
    }
    outbox->size_bytes = 0;
    outbox->row_count = 0;
}

static void outbox_free(struct outbox *outbox)
{
    if (outbox == NULL) {
        return;
    }
    struct folder_outbox *box = box_of(outbox);
    for (uint32_t i = 0; i < box->partition_count; i++) {
        buffer_fini(&box->lines[i]);
    }
    memory_free(box->lines);
    memory_free(box);
}

static struct buffer *lines_of(struct outbox *outbox, uint32_t partition)
{
    struct folder_outbox *box = box_of(outbox);
    if (partition >= box->partition_count) {
        uint32_t count = partition + 1;
        box->lines = memory_realloc(box->lines, size_mul(count, sizeof *box->lines));
        memset(box->lines + box->partition_count, 0,
               (count - box->partition_count) * sizeof *box->lines);
        box->partition_count = count;
    }
    return &box->lines[partition];
}

/* Line breaks in JSON stand between its tokens only, where a space means the same. */
static void fold_breaks(uint8_t *text, size_t size, uint8_t line_break)
{
    uint8_t *end = text + size;
    for (uint8_t *at = text; (at = memchr(at, line_break, (size_t)(end - at))) != NULL; at++) {
        *at = ' ';
    }
}

/* Makes what stands in `lines` from `begin` on a line, and counts it. */
static void finish_line(const struct sink *sink, struct outbox *outbox, struct buffer *lines,
                        size_t begin, const struct hash_secret *secret, struct ledger_sink *delta)
{
    uint8_t *line = lines->data + begin;
    size_t size = lines->size - begin;
    if (!folder_of_sink(sink)->is_csv) {
        fold_breaks(line, size, '\n');
        fold_breaks(line, size, '\r');
    }
    const struct buffer *header = &folder_of_sink(sink)->header;
    delta->written++;
    delta->sum = hash_add(delta->sum, folder_hash_row(secret, bytes_of(header->data, header->size),
                                                      bytes_of(line, size)));
    buffer_append_byte(lines, '\n');
    outbox->row_count++;
    outbox->size_bytes += size + 1;
}

static void append_row(struct sink *sink, struct outbox *outbox, const struct output_row *row,
                       const struct hash_secret *secret, struct ledger_sink *delta)
{
    struct buffer *lines = lines_of(outbox, row->batch->partition);
    size_t begin = lines->size;
    if (folder_of_sink(sink)->is_csv) {
        folder_csv_row(sink->shape, row, lines);
    } else {
        memcpy(buffer_reserve(lines, row->value.size + 1), row->value.data, row->value.size);
        lines->size += row->value.size;
    }
    finish_line(sink, outbox, lines, begin, secret, delta);
}

static void append_dead_letter(struct sink *sink, struct outbox *outbox, uint32_t source_partition,
                               const struct dead_letter *letter, const struct hash_secret *secret,
                               struct ledger_sink *delta)
{
    struct buffer *lines = lines_of(outbox, source_partition);
    size_t begin = lines->size;
    letter_write(letter, lines);
    finish_line(sink, outbox, lines, begin, secret, delta);
}

static bool is_keyed(const struct sink *sink)
{
    (void)sink;
    return false;
}

static const char *address(const struct sink *sink)
{
    (void)sink;
    return "";
}

static const char *rule(const struct sink *sink)
{
    return sink->is_dlq                    ? "dead letters"
           : folder_of_sink(sink)->is_csv ? "rows as CSV"
                                          : "rows";
}

static const char *guarantee(const struct sink *sink)
{
    (void)sink;
    return "exactly once";
}

static const char *why(const struct sink *sink)
{
    return folder_of_sink(sink)->is_csv
               ? "a part is named by its offsets, and its rename is the commit; read only *.csv files"
               : "a part is named by its offsets, and its rename is the commit; read only *.ndjson "
                 "files";
}

static const struct sink_ops folder_sink_ops = {
    .kind = "file",
    .grammar = folder_fields,
    .can_reject = false,
    .outbox_new = outbox_new,
    .outbox_clear = outbox_clear,
    .outbox_free = outbox_free,
    .append_row = append_row,
    .append_dead_letter = append_dead_letter,
    .is_empty = folder_is_empty,
    .scan = folder_scan,
    .key_row = NULL,
    .is_keyed = is_keyed,
    .address = address,
    .rule = rule,
    .guarantee = guarantee,
    .why = why,
};

/* --- joining a system --- */

/* One component more, links resolved where there are any; what is not there yet is taken as it is
 * written. */
static void enter(struct buffer *place, struct bytes component)
{
    if (component.size == 0 || bytes_equal_string(component, ".")) {
        return;
    }
    if (bytes_equal_string(component, "..")) {
        while (place->size > 0 && place->data[--place->size] != '/') {
        }
        return;
    }
    buffer_append_byte(place, '/');
    buffer_append(place, component.data, component.size);
    char *real = realpath(buffer_string(place), NULL);
    if (real != NULL) {
        buffer_clear(place);
        buffer_append_string(place, strcmp(real, "/") == 0 ? "" : real);
        free(real);
    }
}

static void enter_all(struct buffer *place, const char *path)
{
    while (*path != '\0') {
        size_t size = strcspn(path, "/");
        enter(place, bytes_of(path, size));
        path += size + (path[size] == '/');
    }
}

static enum status system_place(struct arena *arena, const struct doc *config, const char *folder,
                                char **out_place, struct error *err)
{
    const struct doc *node = doc_get(config, "path");
    const char *path = grammar_string(config, "path", "");
    if (path[0] == '\0') {
        return doc_error(node, err, "config.value", "the path of the folder is empty");
    }
    struct buffer place = {0};
    if (path[0] != '/' && folder[0] != '/') {
        char *here = realpath(".", NULL);
        if (here == NULL) {
            return doc_error(node, err, "config.value",
                             "the current folder is gone, so '%s' leads nowhere", path);
        }
        enter_all(&place, here);
        free(here);
    }
    if (path[0] != '/') {
        enter_all(&place, folder);
    }
    enter_all(&place, path);
    if (place.size == 0) {
        buffer_fini(&place);
        return doc_error(node, err, "config.value",
                         "the root folder cannot be the place of a sink; name a folder in it");
    }
    *out_place = arena_copy(arena, place.data, place.size);
    buffer_fini(&place);
    if (file_exists(*out_place) && !folder_exists(*out_place)) {
        return doc_error(node, err, "config.value",
                         "%s is a file; lines go to a folder: name one", path);
    }
    return STATUS_OK;
}

static struct system *system_new(const char *place)
{
    struct folder_system *s = memory_alloc_zero(1, sizeof *s);
    const char *slash = strrchr(place, '/');
    struct buffer text = {0};
    buffer_printf(&text, "%s/", slash == NULL ? place : slash + 1);
    s->name = memory_copy_string(buffer_string(&text));
    buffer_clear(&text);
    buffer_printf(&text, "%s/.weir", place);
    s->hidden = memory_copy_string(buffer_string(&text));
    buffer_fini(&text);
    s->place = memory_copy_string(place);
    s->system.ops = &folder_system_ops;
    s->system.name = s->name;
    return &s->system;
}

static enum status sink_add(struct system *system, const char *name, bool is_dlq,
                            const struct doc *config, const struct output_shape *shape,
                            struct sink **out, struct error *err)
{
    const struct doc *node = doc_get(config, "path");
    const char *place = system->ops->place(system);
    if (system->sink_count > 0) {
        return doc_error(node, err, "config.value",
                         "the folder %s is the place of '%s' already; give each sink a folder of "
                         "its own",
                         place, system->sinks[0]->name);
    }
    bool is_csv = strcmp(grammar_string(config, "format", formats[0]), "csv") == 0;
    if (is_csv && is_dlq) {
        return doc_error(doc_get(config, "format"), err, "config.value",
                         "dead letters are JSON, which holds any bytes; leave the format out");
    }
    struct folder_sink *sink = memory_alloc_zero(1, sizeof *sink);
    sink->sink = (struct sink){.ops = &folder_sink_ops,
                               .name = memory_copy_string(name),
                               .system = system,
                               .is_dlq = is_dlq,
                               .shape = shape};
    sink->is_csv = is_csv;
    if (is_csv) {
        folder_csv_header(shape, &sink->header);
    }
    system->sinks = memory_alloc(sizeof *system->sinks);
    system->sinks[0] = &sink->sink;
    system->sink_count = 1;
    *out = &sink->sink;
    return STATUS_OK;
}

void folder_sink_free(struct sink *sink)
{
    memory_free((void *)(uintptr_t)sink->name);
    buffer_fini(&((struct folder_sink *)sink)->header);
    memory_free(sink);
}

struct hash128 folder_hash_row(const struct hash_secret *secret, struct bytes header,
                               struct bytes line)
{
    struct hash128 hash = hash_bytes(secret, line.data, line.size);
    return header.size == 0 ? hash
                            : hash_add(hash, hash_bytes(secret, header.data, header.size));
}

const struct sink_kind file_sink_kind = {
    .ops = &folder_sink_ops,
    .system_ops = &folder_system_ops,
    .system_place = system_place,
    .system_new = system_new,
    .sink_add = sink_add,
};
