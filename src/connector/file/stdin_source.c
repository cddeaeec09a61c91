/*
 * Standard input as a source of lines. What came through a pipe cannot be read again, so offsets
 * are only a count that goes on: the first line of a process gets the offset at which the one
 * before ended, so that `cat x | weir run p.yaml` can follow itself.
 *
 * A line that has come in part waits in `pending`, which is the source's own memory, until it is
 * whole or the input ends; whole lines are copied into the batch's arena, many at once.
 */
#include <string.h>

#include "base/time.h"
#include "connector/file/file.h"
#include "connector/file/lines.h"
#include "os/file.h"

static const struct grammar_field stdin_source_fields[] = {
    {0},
};

struct stdin_source {
    struct source source; /* first */
    struct source_partition partition;
    int64_t position;      /* the offset of the next line */
    bool is_begun;         /* a record was given out: the position is fixed */
    bool has_ended;        /* read(2) said so */
    struct buffer pending; /* bytes of lines that were not given out: from `taken` on */
    size_t taken;
    size_t searched;      /* of those, so many are known to hold no end of a line */
    struct csv_scan scan; /* behind them */
    const struct csv_options *csv; /* NULL: lines */
    bool has_begun; /* a byte order mark and a header are behind us, or known not to be there */
    struct buffer header;
};

static struct stdin_source *self(struct source *source)
{
    return (struct stdin_source *)source;
}

static enum status open_source(const struct doc *config, const char *folder,
                               const struct csv_options *csv, struct source **out,
                               struct error *err)
{
    (void)config;
    (void)folder;
    (void)err;
    struct stdin_source *s = memory_alloc_zero(1, sizeof *s);
    s->source.ops = &stdin_source_ops;
    s->csv = csv;
    s->has_begun = csv == NULL;
    s->partition = (struct source_partition){
        .topic = "-", .topic_id = LINES_STDIN_ID, .label = "0", .partition_count = 1};
    *out = &s->source;
    return STATUS_OK;
}

static void close_source(struct source *source)
{
    if (source == NULL) {
        return;
    }
    buffer_fini(&self(source)->pending);
    buffer_fini(&self(source)->header);
    memory_free(source);
}

static const struct source_partition *partitions(struct source *source, uint32_t *out_count)
{
    *out_count = 1;
    return &self(source)->partition;
}

static enum status end_offset(struct source *source, uint32_t partition, int64_t *out_offset,
                              struct error *err)
{
    (void)source;
    (void)partition;
    (void)err;
    *out_offset = INT64_MAX / 2; /* nobody knows; beyond every position */
    return STATUS_OK;
}

static enum status seek(struct source *source, uint32_t partition, int64_t offset,
                        struct error *err)
{
    (void)partition;
    check(offset >= 0);
    struct stdin_source *s = self(source);
    if (s->is_begun && offset != s->position) {
        return error_set(err, STATUS_CONFIG, "source.no_replay",
                         "standard input stands at offset %lld and cannot be read again from %lld; "
                         "a source that shall be read again must be a file or a topic",
                         (long long)s->position, (long long)offset);
    }
    s->position = offset;
    return STATUS_OK;
}

/* Takes what can be read without waiting, up to a block. */
static enum status fill(struct stdin_source *s, struct error *err)
{
    if (s->taken > 0) {
        s->pending.size -= s->taken;
        memmove(s->pending.data, s->pending.data + s->taken, s->pending.size);
        s->taken = 0;
    }
    size_t filled = 0;
    while (filled < LINES_BLOCK_BYTES && !s->has_ended && file_wait_stdin(0)) {
        size_t got = 0;
        uint8_t *to = buffer_reserve(&s->pending, LINES_BLOCK_BYTES);
        struct error failed = {0};
        enum status status = file_read_stdin(to, LINES_BLOCK_BYTES, &got, &failed);
        if (status == STATUS_RETRY) {
            return STATUS_OK; /* Another reader of the pipe was faster, and a stop was asked for. */
        }
        if (status != STATUS_OK) {
            return error_set(err, status, failed.code, "%s", failed.message);
        }
        s->has_ended = got == 0;
        s->pending.size += got;
        filled += got;
    }
    if (s->pending.size > LINES_LINE_BYTES_MAX) {
        return error_set(err, STATUS_CONFIG, "source.line_too_long",
                         "standard input has a line longer than %zu bytes: these are no lines",
                         LINES_LINE_BYTES_MAX);
    }
    return STATUS_OK;
}

/* Whether a line ends in what is pending; what was searched is not looked at again. */
static bool has_line(struct stdin_source *s, struct bytes pending, size_t *out_end)
{
    size_t at = s->searched;
    bool found = lines_find_end(s->csv, &s->scan, pending, &at);
    s->searched = found ? 0 : at;
    s->scan = found ? (struct csv_scan){0} : s->scan;
    *out_end = at;
    return found;
}

static struct bytes pending_of(const struct stdin_source *s)
{
    return bytes_of(s->pending.data + s->taken, s->pending.size - s->taken);
}

/* Takes what stands before the first row: it has no offset, for each process has its own. False
 * while it is not there as a whole. */
static bool begin(struct stdin_source *s)
{
    if (s->has_begun) {
        return true;
    }
    struct bytes pending = pending_of(s);
    static const uint8_t bom[] = {0xEF, 0xBB, 0xBF};
    size_t most = pending.size < sizeof bom ? pending.size : sizeof bom;
    bool is_like = most > 0 && memcmp(pending.data, bom, most) == 0;
    if (pending.size == 0 || (is_like && most < sizeof bom && !s->has_ended)) {
        return false;
    }
    size_t mark = is_like && most == sizeof bom ? sizeof bom : 0;
    if (s->csv->has_header) {
        size_t end = 0;
        bool found = has_line(s, pending, &end);
        if (!found && !s->has_ended) {
            return false;
        }
        size_t size = end - mark - found;
        buffer_append(&s->header, pending.data + mark, size);
        s->header.size = line_value(bytes_of(s->header.data, size)).size;
        mark = end;
        s->searched = 0;
        s->scan = (struct csv_scan){0};
    }
    s->taken += mark;
    s->has_begun = true;
    return true;
}

/* Gives out whole lines, and at the end of the input what is left. */
static void take(struct stdin_source *s, struct line_cut *cut, struct batch *batch)
{
    if (!begin(s) || pending_of(s).size == 0 || line_cut_is_full(cut, batch)) {
        return;
    }
    struct bytes pending = pending_of(s);
    size_t first_end = 0;
    if (!has_line(s, pending, &first_end) && !s->has_ended) {
        return;
    }
    size_t size = pending.size;
    if (!s->has_ended && s->csv == NULL) {
        const uint8_t *last = memrchr(pending.data, '\n', size);
        size = (size_t)(last - pending.data) + 1;
    }
    uint8_t *block = arena_alloc_wide(batch->arena, size);
    memcpy(block, pending.data, size);
    size_t taken = line_cut_append(cut, bytes_of(block, size), 0, batch);
    if (s->has_ended && taken < size && !line_cut_is_full(cut, batch)) {
        line_cut_append_rest(cut, bytes_of(block + taken, size - taken), batch);
        taken = size;
    }
    s->taken += taken;
    s->searched = 0;
    s->scan = (struct csv_scan){0};
}

static enum status read_lines(struct source *source, uint32_t partition, struct batch *batch,
                              int64_t limit_offset, struct error *err)
{
    (void)partition;
    struct stdin_source *s = self(source);
    struct line_cut cut = {
        .csv = s->csv, .offset = s->position, .limit_offset = limit_offset};
    uint32_t rows_before = batch->row_count;
    take(s, &cut, batch);
    enum status status = STATUS_OK;
    if (batch->row_count == rows_before && !line_cut_is_full(&cut, batch)) {
        status = fill(s, err);
        take(s, &cut, batch);
    }
    if (s->csv != NULL && s->csv->has_header) {
        batch->header = bytes_of(s->header.data, s->header.size);
    }
    s->is_begun = s->is_begun || cut.offset != s->position;
    s->position = cut.offset;
    return status;
}

static bool is_finished(struct source *source)
{
    const struct stdin_source *s = self(source);
    return s->has_ended && s->taken == s->pending.size;
}

static void wait_for_lines(struct source *source, int64_t timeout_us)
{
    if (!self(source)->has_ended) {
        (void)file_wait_stdin(timeout_us); /* Why it returned does not matter: the caller looks. */
    }
}

const struct source_ops stdin_source_ops = {
    .kind = "stdin",
    .grammar = stdin_source_fields,
    .can_replay = false,
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
    .is_finished = is_finished,
    .wait = wait_for_lines,
};
