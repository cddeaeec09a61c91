#include "state/snapshot.h"

#include <string.h>

#include "base/broken.h"
#include "os/file.h"
#include "state/form.h"
#include "state/snapshot_private.h"

#define XXH_INLINE_ALL
#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

enum { WINDOW_BYTES = 1024 * 1024, SIZE_BYTES = 4 };

struct snapshot_reader {
    struct file_reader *file;
    struct snapshot_head head;
    int64_t next;  /* what follows the window */
    int64_t end;   /* of the pieces */
    uint8_t *window;
    size_t window_capacity;
    size_t at, filled; /* in the window */
};

/* --- the window over the file --- */

/* At least `size` bytes stand behind `at`, or all that there are. */
static enum status fill(struct snapshot_reader *reader, size_t size, struct error *err)
{
    size_t left = reader->filled - reader->at;
    if (left >= size || reader->next >= reader->end) {
        return STATUS_OK;
    }
    if (size > reader->window_capacity) {
        reader->window_capacity = size;
        reader->window = memory_realloc(reader->window, size);
    }
    memmove(reader->window, reader->window + reader->at, left);
    reader->at = 0;
    size_t room = reader->window_capacity - left;
    int64_t there = reader->end - reader->next;
    size_t wanted = there < (int64_t)room ? (size_t)there : room;
    size_t got = 0;
    enum status status =
        file_reader_read_at(reader->file, reader->next, reader->window + left, wanted, &got, err);
    reader->filled = left + got;
    reader->next += (int64_t)got;
    return status;
}

static struct reader window_reader(const struct snapshot_reader *reader)
{
    return reader_of(bytes_of(reader->window + reader->at, reader->filled - reader->at));
}

/* --- verifying --- */

/* NULL when it is what stands at the end of the file. The whole file is read, in the window. */
static const char *verify_checksum(struct snapshot_reader *reader)
{
    static const char unreadable[] = "cannot be read";
    XXH3_state_t *sum = memory_alloc(size_add(sizeof *sum, 64));
    XXH3_state_t *aligned = (XXH3_state_t *)(((uintptr_t)sum + 63) & ~(uintptr_t)63);
    check(XXH3_64bits_reset(aligned) == XXH_OK);
    const char *fault = NULL;
    reader->next = 0;
    while (reader->next < reader->end && fault == NULL) {
        int64_t before = reader->next;
        reader->at = reader->filled = 0;
        fault = fill(reader, WINDOW_BYTES, NULL) == STATUS_OK && reader->next > before
                    ? NULL
                    : unreadable;
        check(XXH3_64bits_update(aligned, reader->window, reader->filled) == XXH_OK);
    }
    uint64_t expected = XXH3_64bits_digest(aligned);
    memory_free(sum);
    uint8_t seal[FORM_SEAL_BYTES];
    size_t got = 0;
    if (fault == NULL &&
        (file_reader_read_at(reader->file, reader->end, seal, sizeof seal, &got, NULL) !=
             STATUS_OK ||
         got != sizeof seal)) {
        fault = unreadable;
    }
    struct reader in = reader_of(bytes_of(seal, got));
    if (fault == NULL && reader_u64(&in) != expected && !BROKEN("seal-ignored")) {
        fault = "is broken: its checksum is not right";
    }
    reader->next = 0;
    reader->at = reader->filled = 0;
    return fault;
}

/* The window stands at the pieces afterwards. NULL when all is good. */
static const char *read_head(struct snapshot_reader *reader,
                             const struct snapshot_identity *identity, int64_t offset)
{
    if (fill(reader, WINDOW_BYTES, NULL) != STATUS_OK) {
        return "cannot be read";
    }
    struct reader in = window_reader(reader);
    struct bytes magic = reader_bytes(&in, FORM_MAGIC_BYTES);
    uint32_t version = reader_u32(&in);
    if (in.failed || !bytes_equal_string(magic, SNAPSHOT_MAGIC)) {
        return "is broken: its head is not right";
    }
    if (version < SNAPSHOT_VERSION_FIRST || version > SNAPSHOT_VERSION) {
        return version > SNAPSHOT_VERSION ? "was written by a later version of weir"
                                          : "was written by an earlier version of weir";
    }
    if (!snapshot_identity_read(&in, identity)) {
        return "belongs to another pipeline, incarnation or topic";
    }
    reader->head.next_offset = (int64_t)reader_u64(&in);
    reader->head.plan_hash = form_read_hash(&in);
    reader->head.last_record_hash = form_read_hash(&in);
    if (in.failed || reader->head.next_offset != offset) {
        return "is broken: its parts do not fit together";
    }
    reader->at = (size_t)(in.at - reader->window);
    return NULL;
}

static const char *open_file(const char *path, const struct snapshot_identity *identity,
                             int64_t offset, struct snapshot_reader **out)
{
    struct file_reader *file = NULL;
    if (file_reader_open(path, &file, NULL) != STATUS_OK) {
        return "cannot be read";
    }
    struct snapshot_reader *reader = memory_alloc_zero(1, sizeof *reader);
    reader->file = file;
    reader->end = file_reader_size(file) - (int64_t)FORM_SEAL_BYTES;
    reader->window_capacity = WINDOW_BYTES;
    reader->window = memory_alloc(WINDOW_BYTES);
    const char *fault = reader->end <= 0 ? "is broken: it is cut" : verify_checksum(reader);
    if (fault == NULL) {
        fault = read_head(reader, identity, offset);
    }
    if (fault != NULL) {
        snapshot_reader_close(reader);
        return fault;
    }
    *out = reader;
    return NULL;
}

enum status snapshot_load(const char *folder, const struct snapshot_identity *identity,
                          int64_t max_offset, void (*warn)(void *context, const char *message),
                          void *context, struct snapshot_reader **out, bool *out_found,
                          struct error *err)
{
    struct arena *arena = arena_new(16 * 1024);
    const char **names = NULL;
    size_t count = 0;
    *out_found = false;
    enum status status = folder_list(arena, folder, &names, &count, err);
    const char *prefix = snapshot_prefix(arena, identity);
    for (size_t i = status == STATUS_OK ? count : 0; i > 0 && !*out_found; i--) {
        int64_t offset = snapshot_offset(names[i - 1], prefix);
        if (offset < 0 || offset > max_offset) {
            continue;
        }
        const char *path = arena_printf(arena, "%s/%s", folder, names[i - 1]);
        const char *fault = open_file(path, identity, offset, out);
        *out_found = fault == NULL;
        if (fault != NULL && warn != NULL) {
            warn(context, arena_printf(arena, "the snapshot %s %s", path, fault));
        }
    }
    arena_free(arena);
    return status;
}

/* --- pieces --- */

const struct snapshot_head *snapshot_reader_head(const struct snapshot_reader *reader)
{
    return &reader->head;
}

enum status snapshot_reader_next(struct snapshot_reader *reader, struct bytes *out, bool *out_end,
                                 struct error *err)
{
    enum status status = fill(reader, SIZE_BYTES, err);
    if (status != STATUS_OK) {
        return status;
    }
    struct reader in = window_reader(reader);
    size_t size = reader_u32(&in);
    int64_t there = reader->end - reader->next + (int64_t)(reader->filled - reader->at);
    if (in.failed || (int64_t)size > there - SIZE_BYTES ||
        (size == 0 && there != SIZE_BYTES)) {
        return error_set(err, STATUS_FATAL, "snapshot.corrupt",
                         "a snapshot is cut, or goes on behind its end");
    }
    status = fill(reader, SIZE_BYTES + size, err);
    if (status == STATUS_OK && reader->filled - reader->at < SIZE_BYTES + size) {
        status = error_set(err, STATUS_FATAL, "snapshot.corrupt", "a snapshot became shorter");
    }
    if (status == STATUS_OK) {
        *out = bytes_of(reader->window + reader->at + SIZE_BYTES, size);
        *out_end = size == 0;
        reader->at += SIZE_BYTES + size;
    }
    return status;
}

void snapshot_reader_close(struct snapshot_reader *reader)
{
    if (reader != NULL) {
        file_reader_close(reader->file);
        memory_free(reader->window);
        memory_free(reader);
    }
}
