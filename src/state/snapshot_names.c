/* The names of snapshots, and whose they are. */
#include <string.h>

#include "os/file.h"
#include "state/form.h"
#include "state/snapshot_private.h"

#define SNAPSHOT_ENDING ".snapshot"

enum {
    OFFSET_DIGITS = 19,
    /* Longer names are replaced by their hash, so that a file name has at most 255 bytes. */
    NAME_PART_MAX_BYTES = 96,
    TEMPORARY_ENDING_BYTES = sizeof ".tmp-" - 1 + 16,
    /* Enough for what stands before the pieces with names of usual size. */
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

const char *snapshot_prefix(struct arena *arena, const struct snapshot_identity *identity)
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

int64_t snapshot_offset(const char *name, const char *prefix)
{
    const char *rest = "";
    int64_t offset = offset_of_name(name, prefix, &rest);
    return *rest == '\0' ? offset : -1;
}

bool snapshot_is_leftover(const char *name, const char *prefix, int64_t before_offset)
{
    const char *rest = "";
    int64_t offset = offset_of_name(name, prefix, &rest);
    return offset >= 0 && offset < before_offset && strncmp(rest, ".tmp-", 5) == 0 &&
           strlen(rest) == TEMPORARY_ENDING_BYTES;
}

const char *snapshot_path(struct arena *arena, const char *folder,
                          const struct snapshot_identity *identity, int64_t offset)
{
    check(offset >= 0);
    return arena_printf(arena, "%s/%s%0*lld%s", folder, snapshot_prefix(arena, identity),
                        OFFSET_DIGITS, (long long)offset, SNAPSHOT_ENDING);
}

/* --- Whose it is. --- */

void snapshot_identity_write(const struct snapshot_identity *identity, struct buffer *out)
{
    buffer_append_sized(out, identity->pipeline, strlen(identity->pipeline));
    buffer_append(out, identity->incarnation, sizeof identity->incarnation);
    buffer_append_sized(out, identity->topic_id, strlen(identity->topic_id));
    buffer_append_sized(out, identity->partition, strlen(identity->partition));
}

bool snapshot_identity_read(struct reader *in, const struct snapshot_identity *identity)
{
    bool same = bytes_equal_string(reader_sized(in), identity->pipeline);
    struct bytes incarnation = reader_bytes(in, sizeof identity->incarnation);
    same = same && !in->failed &&
           memcmp(incarnation.data, identity->incarnation, sizeof identity->incarnation) == 0;
    same = same && bytes_equal_string(reader_sized(in), identity->topic_id);
    return same && bytes_equal_string(reader_sized(in), identity->partition) && !in->failed;
}

bool snapshot_is_ours(const char *path, const struct snapshot_identity *identity)
{
    struct file_reader *file = NULL;
    if (file_reader_open(path, &file, NULL) != STATUS_OK) {
        return false;
    }
    uint8_t head[HEAD_BYTES];
    size_t size = 0;
    enum status status = file_reader_read_at(file, 0, head, sizeof head, &size, NULL);
    file_reader_close(file);
    struct reader in = reader_of(bytes_of(head, size));
    struct bytes magic = reader_bytes(&in, FORM_MAGIC_BYTES);
    uint32_t version = reader_u32(&in);
    return status == STATUS_OK && !in.failed && bytes_equal_string(magic, SNAPSHOT_MAGIC) &&
           version <= SNAPSHOT_VERSION && snapshot_identity_read(&in, identity);
}
