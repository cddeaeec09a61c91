#include "state/snapshot.h"

#include <stdio.h>
#include <string.h>

#include "os/file.h"
#include "os/pages.h"
#include "state/form.h"

#define SNAPSHOT_MAGIC "WEIRSNAP"
#define SNAPSHOT_VERSION 1u
#define SNAPSHOT_ENDING ".snapshot"

enum {
    OFFSET_DIGITS = 19,
    /* Longer names are replaced by their hash, so that a file name has at most 255 bytes. */
    NAME_PART_MAX_BYTES = 96,
    TEMPORARY_ENDING_BYTES = sizeof ".tmp-" - 1 + 16,
    /* Enough for what stands before the body with names of usual size. */
    HEAD_BYTES = 4096,
};

/* --- Names. --- */

static bool is_plain(char c, bool dash_is_plain)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || (c == '-' && dash_is_plain);
}

/* The name as part of a file name: other characters become %XX; what is too long becomes ~ and
 * its hash. */
static void append_name(struct buffer *out, const char *name, bool dash_is_plain)
{
    size_t begin = out->size;
    for (const char *at = name; *at != '\0'; at++) {
        if (is_plain(*at, dash_is_plain)) {
            buffer_append_byte(out, (uint8_t)*at);
        } else {
            buffer_printf(out, "%%%02X", (unsigned)(uint8_t)*at);
        }
        if (out->size - begin > NAME_PART_MAX_BYTES) {
            char digits[33];
            hash_format(hash_plain(name, strlen(name)), digits);
            out->size = begin;
            buffer_printf(out, "~%s", digits);
            return;
        }
    }
}

/* "<pipeline>-<partition>-". No '-' in the partition's part: so no two identities share a
 * prefix. */
static char *name_prefix(struct arena *arena, const struct snapshot_identity *identity)
{
    struct buffer name = {0};
    append_name(&name, identity->pipeline, true);
    buffer_append_byte(&name, '-');
    append_name(&name, identity->partition, false);
    buffer_append_byte(&name, '-');
    char *prefix = arena_copy(arena, name.data, name.size);
    buffer_fini(&name);
    return prefix;
}

/* The offset in the name of a snapshot with that prefix, −1 when it is none. `rest` gets what
 * stands behind the ending of snapshots. */
static int64_t offset_of_name(const char *name, const char *prefix, const char **rest)
{
    size_t prefix_size = strlen(prefix);
    if (strncmp(name, prefix, prefix_size) != 0) {
        return -1;
    }
    const char *at = name + prefix_size;
    int64_t offset = 0;
    for (int i = 0; i < OFFSET_DIGITS; i++, at++) {
        if (*at < '0' || *at > '9' || __builtin_mul_overflow(offset, 10, &offset) ||
            __builtin_add_overflow(offset, *at - '0', &offset)) {
            return -1;
        }
    }
    size_t ending_size = strlen(SNAPSHOT_ENDING);
    if (strncmp(at, SNAPSHOT_ENDING, ending_size) != 0) {
        return -1;
    }
    *rest = at + ending_size;
    return offset;
}

static int64_t offset_of_snapshot(const char *name, const char *prefix)
{
    const char *rest = "";
    int64_t offset = offset_of_name(name, prefix, &rest);
    return *rest == '\0' ? offset : -1;
}

/* What a crash in the middle of a write left. */
static bool is_leftover(const char *name, const char *prefix, int64_t before_offset)
{
    const char *rest = "";
    int64_t offset = offset_of_name(name, prefix, &rest);
    return offset >= 0 && offset < before_offset && strncmp(rest, ".tmp-", 5) == 0 &&
           strlen(rest) == TEMPORARY_ENDING_BYTES;
}

/* --- The form. --- */

static void write_identity(const struct snapshot_identity *identity, struct buffer *out)
{
    buffer_append_sized(out, identity->pipeline, strlen(identity->pipeline));
    buffer_append(out, identity->incarnation, sizeof identity->incarnation);
    buffer_append_sized(out, identity->topic_id, strlen(identity->topic_id));
    buffer_append_sized(out, identity->partition, strlen(identity->partition));
}

/* True when the reader stands at this identity; it stands behind it then. */
static bool read_identity(struct reader *in, const struct snapshot_identity *identity)
{
    bool same = bytes_equal_string(reader_sized(in), identity->pipeline);
    struct bytes incarnation = reader_bytes(in, sizeof identity->incarnation);
    same = same && !in->failed &&
           memcmp(incarnation.data, identity->incarnation, sizeof identity->incarnation) == 0;
    same = same && bytes_equal_string(reader_sized(in), identity->topic_id);
    return same && bytes_equal_string(reader_sized(in), identity->partition) && !in->failed;
}

static void write_form(const struct snapshot_identity *identity, const struct snapshot *snapshot,
                       struct buffer *out)
{
    size_t begin = form_begin(SNAPSHOT_MAGIC, SNAPSHOT_VERSION, out);
    write_identity(identity, out);
    buffer_append_u64(out, (uint64_t)snapshot->next_offset);
    form_write_hash(snapshot->plan_hash, out);
    form_write_hash(snapshot->last_record_hash, out);
    buffer_append_u64(out, snapshot->body.size);
    buffer_append(out, snapshot->body.data, snapshot->body.size);
    form_seal(begin, out);
}

/* NULL when it is good, else what is wrong with it. */
static const char *read_form(struct bytes form, const struct snapshot_identity *identity,
                             int64_t offset, struct snapshot *out)
{
    struct reader in;
    switch (form_open(form, SNAPSHOT_MAGIC, SNAPSHOT_VERSION, &in)) {
    case FORM_BROKEN:
        return "is broken: its checksum or its head is not right";
    case FORM_NEWER:
        return "was written by a later version of weir";
    case FORM_GOOD:
        break;
    }
    if (!read_identity(&in, identity)) {
        return "belongs to another pipeline, incarnation or topic";
    }
    struct snapshot found;
    found.next_offset = (int64_t)reader_u64(&in);
    found.plan_hash = form_read_hash(&in);
    found.last_record_hash = form_read_hash(&in);
    uint64_t body_size = reader_u64(&in);
    found.body = reader_bytes(&in, body_size);
    if (in.failed || in.at != in.end || found.next_offset != offset) {
        return "is broken: its parts do not fit together";
    }
    *out = found;
    return NULL;
}

/* --- Files. --- */

/* The first `limit_bytes` of the file, in the arena. */
static enum status read_head(struct arena *arena, const char *path, size_t limit_bytes,
                             struct bytes *out, struct error *err)
{
    struct file_reader *reader = NULL;
    enum status status = file_reader_open(path, &reader, err);
    if (status != STATUS_OK) {
        return status;
    }
    int64_t size_bytes = file_reader_size(reader);
    size_t size = size_bytes > 0 ? (size_t)size_bytes : 0;
    size = size < limit_bytes ? size : limit_bytes;
    uint8_t *data = arena_alloc(arena, size);
    pages_populate(data, size);
    size_t got = 0;
    status = file_reader_read_at(reader, 0, data, size, &got, err);
    file_reader_close(reader);
    if (status == STATUS_OK) {
        *out = bytes_of(data, got);
    }
    return status;
}

/* Whether a file that may be removed is ours; by its head only, it may be large. */
static bool is_ours(struct arena *arena, const char *path, const struct snapshot_identity *identity)
{
    struct bytes head;
    if (read_head(arena, path, HEAD_BYTES, &head, NULL) != STATUS_OK ||
        !bytes_starts_with(head, SNAPSHOT_MAGIC)) {
        return false;
    }
    struct reader in = reader_of(head);
    struct bytes magic = reader_bytes(&in, FORM_MAGIC_BYTES);
    uint32_t version = reader_u32(&in);
    return !bytes_is_none(magic) && version == SNAPSHOT_VERSION && read_identity(&in, identity);
}

/* Removes all but the newest of our snapshots below `offset`, and what crashes left. */
static enum status remove_old(struct arena *arena, const char *folder,
                              const struct snapshot_identity *identity, int64_t offset,
                              struct error *err)
{
    const char **names = NULL;
    size_t count = 0;
    enum status status = folder_list(arena, folder, &names, &count, err);
    const char *prefix = name_prefix(arena, identity);
    bool kept = false;
    for (size_t i = count; i > 0 && status == STATUS_OK; i--) {
        const char *name = names[i - 1];
        const char *path = arena_printf(arena, "%s/%s", folder, name);
        int64_t found = offset_of_snapshot(name, prefix);
        if (found >= 0 && found < offset && is_ours(arena, path, identity)) {
            if (kept) {
                status = file_remove(path, err);
            }
            kept = true;
        } else if (is_leftover(name, prefix, offset)) {
            status = file_remove(path, err);
        }
    }
    return status;
}

enum status snapshot_save(const char *folder, const struct snapshot_identity *identity,
                          const struct snapshot *snapshot, struct error *err)
{
    check(snapshot->next_offset >= 0);
    enum status status = folder_make(folder, err);
    if (status != STATUS_OK) {
        return status;
    }
    struct arena *arena = arena_new(16 * 1024);
    const char *path =
        arena_printf(arena, "%s/%s%0*lld%s", folder, name_prefix(arena, identity), OFFSET_DIGITS,
                     (long long)snapshot->next_offset, SNAPSHOT_ENDING);
    struct buffer form = {0};
    write_form(identity, snapshot, &form);
    status = file_write_durably(path, bytes_of(form.data, form.size), 0, err);
    buffer_fini(&form);
    if (status == STATUS_OK) {
        status = remove_old(arena, folder, identity, snapshot->next_offset, err);
    }
    arena_free(arena);
    return status;
}

static void warn_of(struct arena *arena, void (*warn)(void *context, const char *message),
                    void *context, const char *path, const char *fault)
{
    if (warn != NULL) {
        warn(context, arena_printf(arena, "the snapshot %s %s", path, fault));
    }
}

enum status snapshot_load(struct arena *arena, const char *folder,
                          const struct snapshot_identity *identity, int64_t max_offset,
                          void (*warn)(void *context, const char *message), void *context,
                          struct snapshot *out, bool *out_found, struct error *err)
{
    const char **names = NULL;
    size_t count = 0;
    enum status status = folder_list(arena, folder, &names, &count, err);
    if (status != STATUS_OK) {
        return status;
    }
    const char *prefix = name_prefix(arena, identity);
    for (size_t i = count; i > 0; i--) {
        int64_t offset = offset_of_snapshot(names[i - 1], prefix);
        if (offset < 0 || offset > max_offset) {
            continue;
        }
        const char *path = arena_printf(arena, "%s/%s", folder, names[i - 1]);
        struct error unreadable = {0};
        struct bytes form;
        const char *fault;
        if (read_head(arena, path, SIZE_MAX, &form, &unreadable) != STATUS_OK) {
            fault = arena_printf(arena, "cannot be read: %s", unreadable.message);
        } else {
            fault = read_form(form, identity, offset, out);
        }
        if (fault == NULL) {
            *out_found = true;
            return STATUS_OK;
        }
        warn_of(arena, warn, context, path, fault);
    }
    *out_found = false;
    return STATUS_OK;
}
