/*
 * Files as a source: each file is a partition of its own, whose topic is the path as the pipeline
 * file spells it (of a file in a folder, or one that fits a pattern: with that folder before it).
 * What a file is, and how its records are found, says source_file.h; which files there are,
 * file_paths.h.
 */
#include <string.h>

#include "base/time.h"
#include "connector/file/file.h"
#include "connector/file/file_paths.h"
#include "connector/file/source_file.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/place.h"
#include "os/watch.h"

static const char *const starts[] = {"earliest", NULL};
/* In the order of enum input_packing. */
static const char *const packings[] = {"auto", "none", "gzip", "zstd", NULL};

static const struct grammar_field file_source_fields[] = {
    {.key = "path",
     .type = GRAMMAR_STRINGS,
     .required = true,
     .help = "a file, a folder, a pattern like 'in/*.csv', or a list of them; each file is a "
             "partition, in the order of the list, of one folder or pattern by name"},
    {.key = "compression",
     .type = GRAMMAR_CHOICE,
     .choices = packings,
     .help = "auto looks at the first bytes of each file; positions are those of the unpacked "
             "bytes"},
    {.key = "start",
     .type = GRAMMAR_CHOICE,
     .choices = starts,
     .help = "where the first start begins: at the first line"},
    {0},
};

struct file_source {
    struct source source; /* first */
    struct arena *arena;
    const struct csv_options *csv; /* NULL: lines */
    enum input_packing packing;
    uint32_t count, capacity;
    struct source_partition *partitions; /* [count] */
    struct source_file *files;           /* [count] */
    struct watch *watch;                 /* NULL until the first wait */
};

static struct file_source *self(struct source *source)
{
    return (struct file_source *)source;
}

static void close_source(struct source *source)
{
    if (source == NULL) {
        return;
    }
    struct file_source *s = self(source);
    for (uint32_t i = 0; i < s->count; i++) {
        source_file_close(&s->files[i]);
    }
    watch_close(s->watch);
    memory_free(s->files);
    memory_free(s->partitions);
    arena_free(s->arena);
    memory_free(s);
}

/* --- opening --- */

/* The topic id as far as it is known now. */
static enum status identify(struct file_source *s, uint32_t partition, struct error *err)
{
    char digits[33];
    enum status status = source_file_identify(&s->files[partition], digits, err);
    if (status == STATUS_OK && s->files[partition].is_identified) {
        s->partitions[partition].topic_id =
            arena_printf(s->arena, LINES_FILE_ID_PREFIX "%s", digits);
    }
    return status;
}

static void make_room(struct file_source *s)
{
    if (s->count == s->capacity) {
        s->capacity = s->capacity * 2 + 8;
        s->files = memory_realloc(s->files, size_mul(s->capacity, sizeof *s->files));
        s->partitions =
            memory_realloc(s->partitions, size_mul(s->capacity, sizeof *s->partitions));
    }
}

/* Opens `path`, which `node` names, as the next partition. */
static enum status open_file(struct file_source *s, const struct doc *node, const char *folder,
                             const char *path, struct error *err)
{
    for (uint32_t i = 0; i < s->count; i++) {
        if (strcmp(s->partitions[i].topic, path) == 0) {
            return doc_error(node, err, "config.value", "the file %s is named twice", path);
        }
    }
    const char *full = file_path_full(s->arena, folder, path);
    if (file_size(full) < 0) {
        return doc_error(node, err, "source.not_a_file",
                         "%s is not a regular file: name files of lines, and give pipes to the "
                         "source stdin",
                         full);
    }
    for (uint32_t i = 0; i < s->count; i++) {
        if (place_is_same(s->files[i].path, full)) {
            return doc_error(node, err, "config.value",
                             "%s and %s are one file, whose records would come in twice; name it "
                             "once",
                             s->partitions[i].topic, path);
        }
    }
    make_room(s);
    enum status status =
        source_file_open(&s->files[s->count], full, s->packing, s->csv, err);
    if (status != STATUS_OK) {
        return status;
    }
    s->partitions[s->count++] = (struct source_partition){
        .topic = arena_copy_string(s->arena, path),
        .topic_id = LINES_FILE_ID_PREFIX,
        .label = "0",
        .partition_count = 1,
    };
    return identify(s, s->count - 1, err);
}

/* The files of one path of the list. */
static enum status open_path(struct file_source *s, const struct doc *node, const char *folder,
                             const char *path, struct error *err)
{
    const char **paths = NULL;
    size_t count = 0;
    enum status status = file_paths_list(s->arena, folder, path, &paths, &count, err);
    if (status == STATUS_OK && count == 0) {
        const char *full = file_path_full(s->arena, folder, path);
        return doc_error(node, err, "source.missing",
                         folder_exists(full)              ? "there is no file in the folder %s"
                         : strpbrk(path, "*?[") != NULL ? "no file fits the pattern %s"
                                                          : "the file %s is not there",
                         full);
    }
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        status = open_file(s, node, folder, paths[i], err);
    }
    return status;
}

static enum input_packing packing_of(const struct doc *config)
{
    const char *word = grammar_string(config, "compression", packings[INPUT_AUTO]);
    enum input_packing packing = INPUT_AUTO;
    while (strcmp(packings[packing], word) != 0) {
        packing++;
    }
    return packing;
}

static enum status open_source(const struct doc *config, const char *folder,
                               const struct csv_options *csv, struct source **out,
                               struct error *err)
{
    struct file_source *s = memory_alloc_zero(1, sizeof *s);
    s->source.ops = &file_source_ops;
    s->arena = arena_new(4 * 1024);
    s->csv = csv;
    s->packing = packing_of(config);
    const struct doc *node = doc_get(config, "path");
    size_t count = 0;
    const char **paths = grammar_strings(s->arena, config, "path", &count);
    enum status status = STATUS_OK;
    if (count == 0) {
        status = doc_error(node, err, "config.value", "the source names no file");
    }
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        const struct doc *place = node->kind == DOC_LIST ? node->items[i] : node;
        status = open_path(s, place, folder, paths[i], err);
    }
    if (status != STATUS_OK) {
        close_source(&s->source);
        return status;
    }
    *out = &s->source;
    return STATUS_OK;
}

static const struct source_partition *partitions(struct source *source, uint32_t *out_count)
{
    *out_count = self(source)->count;
    return self(source)->partitions;
}

/* --- positions and records --- */

static enum status end_offset(struct source *source, uint32_t partition, int64_t *out_offset,
                              struct error *err)
{
    return source_file_end(&self(source)->files[partition], out_offset, err);
}

static enum status seek(struct source *source, uint32_t partition, int64_t offset,
                        struct error *err)
{
    check(offset >= 0);
    return source_file_seek(&self(source)->files[partition], offset, err);
}

static void settle(struct source *source, uint32_t partition, int64_t offset)
{
    struct source_file *file = &self(source)->files[partition];
    file->settled = offset > file->settled ? offset : file->settled;
}

static enum status read_records(struct source *source, uint32_t partition, struct batch *batch,
                                int64_t limit_offset, struct error *err)
{
    struct source_file *file = &self(source)->files[partition];
    enum status status = source_file_read(file, batch, limit_offset, err);
    bool has_moved = batch->row_count > 0;
    if (status == STATUS_OK && !file->is_identified && has_moved) {
        status = identify(self(source), partition, err);
    }
    return status;
}

static enum status check_place(struct source *source, struct error *err)
{
    struct file_source *s = self(source);
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < s->count && status == STATUS_OK; i++) {
        status = source_file_check_place(&s->files[i], err);
    }
    return status;
}

static bool is_finished(struct source *source)
{
    (void)source;
    return false; /* any file may grow */
}

static void wait_for_records(struct source *source, int64_t timeout_us)
{
    struct file_source *s = self(source);
    if (s->watch != NULL) {
        watch_wait(s->watch, timeout_us);
        return;
    }
    /* The caller looks again at once: what grew before the watch stood is not missed. */
    const char **paths = memory_alloc(size_mul(s->count, sizeof *paths));
    for (uint32_t i = 0; i < s->count; i++) {
        paths[i] = s->files[i].path;
    }
    struct error err = {0};
    if (watch_open(paths, s->count, &s->watch, &err) != STATUS_OK) {
        s->watch = NULL;
        clock_sleep_us(timeout_us); /* Without a watch the caller polls. */
    }
    memory_free(paths);
}

const struct source_ops file_source_ops = {
    .kind = "file",
    .grammar = file_source_fields,
    .can_replay = true,
    .has_keys = false,
    .timestamp_kind = TIMESTAMP_NONE,
    .offsets_are_bytes = true,
    .can_inject = false,
    .open = open_source,
    .close = close_source,
    .partitions = partitions,
    .end_offset = end_offset,
    .seek = seek,
    .read = read_records,
    .settle = settle,
    .check_place = check_place,
    .is_finished = is_finished,
    .wait = wait_for_records,
};
