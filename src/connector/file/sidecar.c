#include "connector/file/sidecar.h"

#include <string.h>

#include "os/file.h"

#define MAGIC "WEIRPART"
#define MAGIC_BYTES 8u
#define SEAL_BYTES 8u
#define FORM_BYTES_MAX ((size_t)1 << 30)
_Static_assert(sizeof MAGIC - 1 == MAGIC_BYTES, "the form begins with 8 bytes");

void sidecar_fini(struct sidecar *sidecar)
{
    memory_free(sidecar->part);
    progress_fini(&sidecar->progress);
    segments_fini(&sidecar->segments);
    *sidecar = (struct sidecar){0};
}

void sidecar_write(const struct sidecar *sidecar, struct buffer *out)
{
    size_t begin = out->size;
    struct buffer progress = {0};
    progress_write(&sidecar->progress, &progress);
    buffer_append(out, MAGIC, MAGIC_BYTES);
    buffer_append_u32(out, SIDECAR_VERSION);
    buffer_append_sized(out, sidecar->part, strlen(sidecar->part));
    buffer_append_sized(out, progress.data, progress.size);
    segments_write(&sidecar->segments, out);
    buffer_append_u64(out, hash_plain(out->data + begin, out->size - begin).low);
    buffer_fini(&progress);
}

static enum status is_corrupt(const char *path, struct error *err)
{
    return error_set(err, STATUS_FATAL, "progress.corrupt",
                     "the progress record %s is damaged: restore the folder from a backup", path);
}

/* The frame: magic, version, checksum. */
static enum status open_frame(struct bytes form, const char *path, struct reader *out,
                              struct error *err)
{
    if (form.size < MAGIC_BYTES + 4 + SEAL_BYTES || memcmp(form.data, MAGIC, MAGIC_BYTES) != 0) {
        return is_corrupt(path, err);
    }
    size_t body = form.size - SEAL_BYTES;
    struct reader seal = reader_of(bytes_of(form.data + body, SEAL_BYTES));
    if (reader_u64(&seal) != hash_plain(form.data, body).low) {
        return is_corrupt(path, err);
    }
    *out = reader_of(bytes_of(form.data + MAGIC_BYTES, body - MAGIC_BYTES));
    if (reader_u32(out) > SIDECAR_VERSION) {
        return error_set(err, STATUS_CONFIG, "progress.version",
                         "%s was written by a later version of weir; use that one", path);
    }
    return STATUS_OK;
}

enum status sidecar_read(struct sidecar *sidecar, struct bytes form, const char *path,
                         struct error *err)
{
    struct reader in;
    enum status status = open_frame(form, path, &in, err);
    if (status != STATUS_OK) {
        return status;
    }
    struct bytes part = reader_sized(&in);
    struct bytes progress = reader_sized(&in);
    struct sidecar found = {0};
    struct error inner = {0};
    if (in.failed || memchr(part.data, '\0', part.size) != NULL) {
        return is_corrupt(path, err);
    }
    found.part = memory_alloc_zero(part.size + 1, 1);
    memcpy(found.part, part.data, part.size);
    status = progress_read(&found.progress, progress, &inner);
    if (status == STATUS_OK) {
        status = segments_read(&found.segments, &in, &inner);
    }
    if (status != STATUS_OK || in.failed || in.at != in.end) {
        sidecar_fini(&found);
        return status == STATUS_CONFIG
                   ? error_set(err, status, inner.code, "%s: %s", path, inner.message)
                   : is_corrupt(path, err);
    }
    *sidecar = found;
    return STATUS_OK;
}

enum status sidecar_load(const char *path, struct sidecar *out, struct error *err)
{
    struct buffer form = {0};
    enum status status = file_read(path, FORM_BYTES_MAX, &form, err);
    if (status == STATUS_OK) {
        status = sidecar_read(out, bytes_of(form.data, form.size), path, err);
    }
    buffer_fini(&form);
    return status;
}
