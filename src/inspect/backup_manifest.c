#include <endian.h>
#include <string.h>

#include "base/time.h"
#include "codec/json.h"
#include "doc/doc.h"
#include "os/clock.h"
#include "os/file.h"
#include "inspect/backup_private.h"

#define BLOCK_BYTES ((size_t)1 << 20)
#define MANIFEST_MAX_BYTES ((size_t)256 << 20)

enum status backup_digest(const char *path, const struct copy_observer *observer,
                          struct hash128 *out, int64_t *out_bytes, struct error *err)
{
    struct file_reader *reader = NULL;
    uint64_t chain[4] = {0, 0, 0, 0};
    int64_t offset = 0;
    enum status status = file_reader_open(path, &reader, err);
    if (status != STATUS_OK) {
        return status;
    }
    uint8_t *block = memory_alloc(BLOCK_BYTES);
    for (size_t got = 1; status == STATUS_OK && got > 0; offset += (int64_t)got) {
        status = file_reader_read_at(reader, offset, block, BLOCK_BYTES, &got, err);
        if (status == STATUS_OK && got > 0) {
            struct hash128 hash = hash_plain(block, got);
            chain[2] = htole64(hash.low);
            chain[3] = htole64(hash.high);
            hash = hash_plain(chain, sizeof chain);
            chain[0] = htole64(hash.low);
            chain[1] = htole64(hash.high);
            status = copy_observe(observer, (int64_t)got, err);
        }
    }
    memory_free(block);
    file_reader_close(reader);
    *out = (struct hash128){.low = le64toh(chain[0]), .high = le64toh(chain[1])};
    *out_bytes = offset;
    return status;
}

/* --- writing --- */

static void member(struct buffer *out, const char *before, const char *name, const char *text)
{
    buffer_append_string(out, before);
    json_write_string(out, bytes_of_string(name));
    buffer_append_byte(out, ':');
    json_write_string(out, bytes_of_string(text));
}

void backup_manifest_write(const struct backup_manifest *manifest, const char *pipeline,
                           struct buffer *out)
{
    char text[TIME_TEXT_BYTES];
    time_format(clock_realtime_us(), text);
    buffer_printf(out, "{\"weir_backup\":%d", BACKUP_FORMAT);
    member(out, ",", "made", text);
    member(out, ",", "pipeline", pipeline);
    buffer_append_string(out, ",\"units\":[");
    for (uint32_t i = 0; i < manifest->unit_count; i++) {
        const struct backup_unit *unit = &manifest->units[i];
        member(out, i == 0 ? "\n{" : ",\n{", "path", unit->path);
        member(out, ",", "from", unit->from);
        buffer_printf(out, ",\"database\":%s}", unit->is_database ? "true" : "false");
    }
    buffer_append_string(out, "],\"files\":[");
    for (uint32_t i = 0; i < manifest->file_count; i++) {
        char digest[33];
        hash_format(manifest->files[i].digest, digest);
        member(out, i == 0 ? "\n{" : ",\n{", "path", manifest->files[i].path);
        buffer_printf(out, ",\"bytes\":%lld", (long long)manifest->files[i].bytes);
        member(out, ",", "digest", digest);
        buffer_append_byte(out, '}');
    }
    buffer_append_string(out, "]}\n");
}

/* --- reading --- */

static enum status damaged(const char *path, const char *what, struct error *err)
{
    return error_set(err, STATUS_DATA, "backup.damaged",
                     "%s %s: nothing was restored; use another backup", path, what);
}

/* Stays below the folder that it is put into. */
static bool is_safe(const char *path)
{
    if (path[0] == '/' || path[0] == '\0') {
        return false;
    }
    for (const char *at = path; at != NULL; at = strchr(at, '/')) {
        at += *at == '/';
        if (strncmp(at, "..", 2) == 0 && (at[2] == '/' || at[2] == '\0')) {
            return false;
        }
    }
    return true;
}

static bool read_text(struct arena *arena, const struct doc *map, const char *key, const char **out)
{
    const struct doc *node = map == NULL ? NULL : doc_get(map, key);
    if (node == NULL || node->kind != DOC_STRING) {
        return false;
    }
    *out = arena_copy_string(arena, node->text);
    return true;
}

static bool read_hash(const char *text, struct hash128 *out)
{
    uint8_t raw[16];
    char again[33];
    if (strlen(text) != 32 || !hex_decode(text, raw, sizeof raw)) {
        return false;
    }
    uint64_t words[2];
    memcpy(words, raw, sizeof words);
    out->high = be64toh(words[0]);
    out->low = be64toh(words[1]);
    hash_format(*out, again);
    return strcmp(again, text) == 0;
}

static bool read_unit(struct arena *arena, const struct doc *node, struct backup_unit *out)
{
    const struct doc *database = doc_get(node, "database");
    return read_text(arena, node, "path", &out->path) && is_safe(out->path) &&
           read_text(arena, node, "from", &out->from) && database != NULL &&
           doc_to_bool(database, &out->is_database);
}

static bool read_file(struct arena *arena, const struct doc *node, struct backup_file *out)
{
    const char *digest = NULL;
    const struct doc *bytes = doc_get(node, "bytes");
    return read_text(arena, node, "path", &out->path) && is_safe(out->path) &&
           read_text(arena, node, "digest", &digest) && read_hash(digest, &out->digest) &&
           bytes != NULL && doc_to_integer(bytes, &out->bytes);
}

static bool read_lists(struct arena *arena, const struct doc *doc, struct backup_manifest *out)
{
    const struct doc *units = doc_get(doc, "units");
    const struct doc *files = doc_get(doc, "files");
    if (units == NULL || files == NULL || units->kind != DOC_LIST || files->kind != DOC_LIST) {
        return false;
    }
    out->units = arena_alloc_zero(arena, units->count + 1, sizeof *out->units);
    out->files = arena_alloc_zero(arena, files->count + 1, sizeof *out->files);
    bool is_good = true;
    for (size_t i = 0; i < units->count && is_good; i++) {
        is_good = units->items[i]->kind == DOC_MAP &&
                  read_unit(arena, units->items[i], &out->units[out->unit_count++]);
    }
    for (size_t i = 0; i < files->count && is_good; i++) {
        is_good = files->items[i]->kind == DOC_MAP &&
                  read_file(arena, files->items[i], &out->files[out->file_count++]);
    }
    return is_good;
}

static const char *no_environment(const char *name)
{
    (void)name;
    return NULL;
}

enum status backup_manifest_read(struct arena *arena, const char *folder,
                                 struct backup_manifest *out, struct error *err)
{
    const char *path = arena_printf(arena, "%s/" BACKUP_MANIFEST, folder);
    struct buffer content = {0};
    struct doc *doc = NULL;
    struct error parse_error = {0};
    int64_t format = 0;
    if (!file_exists(path)) {
        return error_set(err, STATUS_CONFIG, "restore.no_backup",
                         "%s is no backup: it has no " BACKUP_MANIFEST, folder);
    }
    enum status status = file_read(path, MANIFEST_MAX_BYTES, &content, err);
    if (status == STATUS_OK && (doc_parse(arena, path, bytes_of(content.data, content.size),
                                          no_environment, &doc, &parse_error) != STATUS_OK ||
                                doc->kind != DOC_MAP || doc_get(doc, "weir_backup") == NULL ||
                                !doc_to_integer(doc_get(doc, "weir_backup"), &format))) {
        status = damaged(path, "cannot be read", err);
    }
    if (status == STATUS_OK && format != BACKUP_FORMAT) {
        status = error_set(err, STATUS_CONFIG, "restore.format",
                           "%s is of format %lld, and this program knows %d; use a newer weir",
                           path, (long long)format, BACKUP_FORMAT);
    }
    if (status == STATUS_OK && !read_lists(arena, doc, out)) {
        status = damaged(path, "lacks what it should say", err);
    }
    buffer_fini(&content);
    return status;
}
