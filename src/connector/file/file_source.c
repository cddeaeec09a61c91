/*
 * Files of lines as a source: each file is a partition of its own, whose topic is the path as it
 * stands in the pipeline file.
 *
 * What tells one file from another under the same name is the hash of its first line: topic_id is
 * "line1-" and 32 hexadecimal digits. As long as the first line has no newline (an empty file, a
 * line that is still being written) there is nothing to hash, and the id is "line1-" alone: an id
 * that is not known yet, which every id that begins with it fulfils.
 *
 * Bytes may be appended at any time. A last line without a newline may be one that is still being
 * written: it is left until its newline comes, unless it is settled: --until-end says that what is
 * there now is all, and what was taken as a record once stays one. A file that got shorter than
 * what was read is refused (source.truncated), and so is one that got bytes directly behind a last
 * line without a newline that was taken as a record (source.torn_line): in both cases the records
 * before are no longer what they were. That is why each read first looks at the two bytes before
 * its position.
 */
#include <string.h>

#include "base/time.h"
#include "connector/file/file.h"
#include "connector/file/lines.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/place.h"
#include "os/watch.h"
#include "progress/progress.h"

/* Read beyond what a batch is expected to hold, so that its last line is likely to be whole. */
#define SLACK_BYTES ((size_t)16 * 1024)

static const char *const starts[] = {"earliest", NULL};

static const struct grammar_field file_source_fields[] = {
    {.key = "path",
     .type = GRAMMAR_STRINGS,
     .required = true,
     .help = "a file of lines, or a list of them; each is a partition"},
    {.key = "start",
     .type = GRAMMAR_CHOICE,
     .choices = starts,
     .help = "where the first start begins: at the first line"},
    {0},
};

struct source_file {
    struct file_reader *reader;
    const char *path;
    int64_t position;   /* of the next line */
    int64_t settled;    /* a line that begins before it is a record without its newline too */
    size_t open_bytes;  /* from `position` on, known to hold no newline */
    size_t usual_bytes; /* what a batch takes of this file */
    bool is_identified;
};

struct file_source {
    struct source source; /* first */
    struct arena *arena;
    uint32_t count;
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
        file_reader_close(s->files[i].reader);
    }
    watch_close(s->watch);
    arena_free(s->arena);
    memory_free(s);
}

/* --- what a file is --- */

static enum status line_too_long(const struct source_file *file, int64_t offset, struct error *err)
{
    return error_set(err, STATUS_CONFIG, "source.line_too_long",
                     "the line of %s that begins at byte %lld is longer than %zu bytes: this is no "
                     "file of lines",
                     file->path, (long long)offset, LINES_LINE_BYTES_MAX);
}

/* The first line, appended to `line`; *out_ended: it has a newline. */
static enum status read_first_line(const struct source_file *file, struct buffer *line,
                                   bool *out_ended, struct error *err)
{
    size_t step = 64 * 1024;
    for (;;) {
        size_t got = 0;
        uint8_t *to = buffer_reserve(line, step);
        enum status status =
            file_reader_read_at(file->reader, (int64_t)line->size, to, step, &got, err);
        if (status != STATUS_OK) {
            return status;
        }
        const uint8_t *newline = memchr(to, '\n', got);
        *out_ended = newline != NULL;
        line->size += newline != NULL ? (size_t)(newline - to) : got;
        if (newline != NULL || got < step) {
            return STATUS_OK;
        }
        if (line->size > LINES_LINE_BYTES_MAX) {
            return line_too_long(file, 0, err);
        }
        step = LINES_BLOCK_BYTES;
    }
}

/* The topic id as far as it is known now. */
static enum status identify(struct file_source *s, uint32_t partition, struct error *err)
{
    struct source_file *file = &s->files[partition];
    struct buffer line = {0};
    enum status status = read_first_line(file, &line, &file->is_identified, err);
    if (status == STATUS_OK && file->is_identified) {
        struct bytes value = line_value(bytes_of(line.data, line.size));
        char digits[33];
        hash_format(hash_plain(value.data, value.size), digits);
        s->partitions[partition].topic_id =
            arena_printf(s->arena, LINES_FILE_ID_PREFIX "%s", digits);
    }
    buffer_fini(&line);
    return status;
}

/* Opens `path` of the list `node` as the next partition. */
static enum status open_file(struct file_source *s, const struct doc *node, const char *folder,
                             const char *path, struct error *err)
{
    for (uint32_t i = 0; i < s->count; i++) {
        if (strcmp(s->partitions[i].topic, path) == 0) {
            return doc_error(node, err, "config.value", "the file %s is named twice", path);
        }
    }
    const char *gap = folder[0] == '\0' || folder[strlen(folder) - 1] == '/' ? "" : "/";
    char *full = path[0] == '/' ? arena_copy_string(s->arena, path)
                                : arena_printf(s->arena, "%s%s%s", folder, gap, path);
    if (!file_exists(full)) {
        return doc_error(node, err, "source.missing", "the file %s is not there", full);
    }
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
    struct source_file *file = &s->files[s->count];
    *file = (struct source_file){.path = full, .usual_bytes = LINES_BLOCK_BYTES};
    enum status status = file_reader_open(full, &file->reader, err);
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

static enum status open_source(const struct doc *config, const char *folder, struct source **out,
                               struct error *err)
{
    struct file_source *s = memory_alloc_zero(1, sizeof *s);
    s->source.ops = &file_source_ops;
    s->arena = arena_new(4 * 1024);
    const struct doc *node = doc_get(config, "path");
    size_t count = 0;
    const char **paths = grammar_strings(s->arena, config, "path", &count);
    enum status status = STATUS_OK;
    if (count == 0) {
        status = doc_error(node, err, "config.value", "the source names no file");
    }
    s->partitions = arena_alloc_zero(s->arena, count, sizeof *s->partitions);
    s->files = arena_alloc_zero(s->arena, count, sizeof *s->files);
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        const struct doc *place = node->kind == DOC_LIST ? node->items[i] : node;
        status = open_file(s, place, folder, paths[i], err);
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

/* --- positions --- */

enum joint {
    JOINT_GOOD,  /* a line begins here */
    JOINT_END,   /* the file ends one byte before, with a line that has no newline */
    JOINT_SHORT, /* the file ends further before */
    JOINT_TORN,  /* this is in the midst of a line */
};

static enum status find_joint(const struct source_file *file, int64_t offset, enum joint *out,
                              struct error *err)
{
    *out = JOINT_GOOD;
    if (offset == 0) {
        return STATUS_OK;
    }
    uint8_t before[2] = {'\n', '\n'};
    size_t size = offset == 1 ? 1 : 2;
    size_t got = 0;
    enum status status = file_reader_read_at(file->reader, offset - (int64_t)size,
                                             before + (2 - size), size, &got, err);
    if (status != STATUS_OK) {
        return status;
    }
    if (got == size) {
        *out = before[1] == '\n' ? JOINT_GOOD : JOINT_TORN;
    } else {
        *out = got == 1 && before[0] != '\n' ? JOINT_END : JOINT_SHORT;
    }
    return STATUS_OK;
}

static enum status refuse_joint(const struct source_file *file, int64_t offset, enum joint joint,
                                struct error *err)
{
    if (joint == JOINT_SHORT) {
        return error_set(err, STATUS_CONFIG, "source.truncated",
                         "%s was read up to byte %lld and is shorter now (%lld bytes): it was "
                         "truncated or replaced; restore it, or give the pipeline another name to "
                         "start afresh",
                         file->path, (long long)offset, (long long)file_reader_size(file->reader));
    }
    return error_set(err, STATUS_CONFIG, "source.torn_line",
                     "%s: the last line had no newline and was taken as a record; now other bytes "
                     "follow it directly, at byte %lld. Files may grow by whole lines only: "
                     "restore the line as it was and end it with a newline, or give the pipeline "
                     "another name to start afresh",
                     file->path, (long long)offset - 1);
}

static enum status end_offset(struct source *source, uint32_t partition, int64_t *out_offset,
                              struct error *err)
{
    const struct source_file *file = &self(source)->files[partition];
    int64_t size = file_reader_size(file->reader);
    if (size < 0) {
        return error_set(err, STATUS_FATAL, "source.failed", "cannot tell the size of %s",
                         file->path);
    }
    uint8_t last = '\n';
    size_t got = 0;
    enum status status = STATUS_OK;
    if (size > 0) {
        status = file_reader_read_at(file->reader, size - 1, &last, 1, &got, err);
    }
    if (status == STATUS_OK) {
        *out_offset = size + (last != '\n');
    }
    return status;
}

/* The first newline at or behind `offset`; where there is none the end of the file, and *out_found
 * is false. */
static enum status find_newline(const struct source_file *file, int64_t offset, bool *out_found,
                                int64_t *out_offset, struct error *err)
{
    const size_t size = 64 * 1024;
    uint8_t *block = memory_alloc(size);
    enum status status = STATUS_OK;
    *out_found = false;
    for (bool is_end = false; status == STATUS_OK && !*out_found && !is_end;) {
        size_t got = 0;
        status = file_reader_read_at(file->reader, offset, block, size, &got, err);
        if (status == STATUS_OK) {
            const uint8_t *newline = memchr(block, '\n', got);
            *out_found = newline != NULL;
            is_end = got < size;
            offset += newline != NULL ? newline - block : (int64_t)got;
        }
    }
    memory_free(block);
    *out_offset = offset;
    return status;
}

static void go_to(struct source_file *file, int64_t position)
{
    file->position = position;
    file->open_bytes = 0;
}

static enum status seek(struct source *source, uint32_t partition, int64_t offset,
                        struct error *err)
{
    check(offset >= 0);
    struct source_file *file = &self(source)->files[partition];
    enum joint joint;
    enum status status = find_joint(file, offset, &joint, err);
    if (status != STATUS_OK) {
        return status;
    }
    if (joint == JOINT_TORN && offset % SEGMENT_OFFSETS == 0) {
        /* Nobody read up to here: ledger segments begin at round offsets, wherever lines do. */
        bool found = false;
        int64_t newline = 0;
        status = find_newline(file, offset, &found, &newline, err);
        if (status == STATUS_OK) {
            go_to(file, newline + 1);
        }
        return status;
    }
    if (joint == JOINT_TORN || joint == JOINT_SHORT) {
        return refuse_joint(file, offset, joint, err);
    }
    go_to(file, offset);
    return STATUS_OK;
}

static void settle(struct source *source, uint32_t partition, int64_t offset)
{
    struct source_file *file = &self(source)->files[partition];
    file->settled = offset > file->settled ? offset : file->settled;
}

/* --- reading --- */

/* How much to read first: no more than is likely to be used, since a batch that is full by rows or
 * by its limit leaves the rest to be read again. */
static size_t first_block_bytes(const struct source_file *file, const struct line_cut *cut)
{
    int64_t left = cut->limit_offset - cut->offset;
    size_t usual = file->usual_bytes;
    return (left < (int64_t)usual ? (size_t)left : usual) + SLACK_BYTES;
}

/* Whether the next line is one that waits for its newline. Only what was not seen before is looked
 * at, so that a long line may come in small pieces. */
static enum status is_open_line(struct source_file *file, bool *out, struct error *err)
{
    *out = false;
    bool is_shorter = file_reader_size(file->reader) < file->position + (int64_t)file->open_bytes;
    if (file->open_bytes == 0 || file->position < file->settled || is_shorter) {
        return STATUS_OK;
    }
    int64_t newline = 0;
    bool found = false;
    enum status status = find_newline(file, file->position + (int64_t)file->open_bytes, &found,
                                      &newline, err);
    if (status == STATUS_OK && !found) {
        *out = true;
        file->open_bytes = (size_t)(newline - file->position);
    }
    return status;
}

/* Blocks of the file into the batch's arena, lines out of them, until the cut is full or the file
 * ends. A line that a block has in part is carried into the next. */
static enum status read_blocks(struct source_file *file, struct line_cut *cut, struct batch *batch,
                               struct error *err)
{
    size_t size = first_block_bytes(file, cut);
    const uint8_t *rest = NULL;
    size_t rest_size = 0;
    while (!line_cut_is_full(cut, batch)) {
        if (rest_size > LINES_LINE_BYTES_MAX) {
            return line_too_long(file, cut->offset, err);
        }
        uint8_t *block = arena_alloc_wide(batch->arena, rest_size + size);
        if (rest_size > 0) {
            memcpy(block, rest, rest_size);
        }
        size_t got = 0;
        enum status status = file_reader_read_at(file->reader, cut->offset + (int64_t)rest_size,
                                                 block + rest_size, size, &got, err);
        if (status != STATUS_OK) {
            return status;
        }
        size_t taken = line_cut_append(cut, bytes_of(block, rest_size + got), rest_size, batch);
        rest = block + taken;
        rest_size = rest_size + got - taken;
        if (got < size) {
            if (rest_size > 0 && cut->offset < file->settled && !line_cut_is_full(cut, batch)) {
                line_cut_append_rest(cut, bytes_of(rest, rest_size), batch);
                rest_size = 0;
            }
            break;
        }
        /* Doubling keeps the copying of a long line linear. */
        size = rest_size > LINES_BLOCK_BYTES ? rest_size : LINES_BLOCK_BYTES;
    }
    go_to(file, cut->offset);
    file->open_bytes = line_cut_is_full(cut, batch) ? 0 : rest_size;
    return STATUS_OK;
}

static enum status read_lines(struct source *source, uint32_t partition, struct batch *batch,
                              int64_t limit_offset, struct error *err)
{
    struct file_source *s = self(source);
    struct source_file *file = &s->files[partition];
    struct line_cut cut = {.offset = file->position, .limit_offset = limit_offset};
    if (line_cut_is_full(&cut, batch)) {
        return STATUS_OK;
    }
    enum joint joint;
    enum status status = find_joint(file, file->position, &joint, err);
    if (status != STATUS_OK || joint == JOINT_END) {
        return status;
    }
    if (joint != JOINT_GOOD) {
        return refuse_joint(file, file->position, joint, err);
    }
    bool is_open = false;
    status = is_open_line(file, &is_open, err);
    if (status != STATUS_OK || is_open) {
        return status;
    }
    status = read_blocks(file, &cut, batch, err);
    if (status == STATUS_OK && !file->is_identified && cut.offset > 0) {
        status = identify(s, partition, err);
    }
    if (status != STATUS_OK) {
        return status;
    }
    file->usual_bytes = batch->row_count == BATCH_ROWS_MAX && cut.taken_bytes < LINES_BLOCK_BYTES
                            ? cut.taken_bytes
                            : LINES_BLOCK_BYTES;
    return STATUS_OK;
}

static bool is_finished(struct source *source)
{
    (void)source;
    return false; /* any file may grow */
}

static void wait_for_lines(struct source *source, int64_t timeout_us)
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
    .read = read_lines,
    .settle = settle,
    .is_finished = is_finished,
    .wait = wait_for_lines,
};
