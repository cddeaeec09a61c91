#include "plan/schema_load.h"

#include <string.h>

#include "os/file.h"

#define FILE_BYTES_MAX (4u * 1024u * 1024u)

struct reading {
    struct arena *arena;
    const char *folder;
    doc_environment environment;
};

enum status schema_read_document(struct arena *arena, const char *path, doc_environment environment,
                                 struct doc **out, struct error *err)
{
    struct buffer content = {0};
    enum status status = file_read(path, FILE_BYTES_MAX, &content, err);
    if (status == STATUS_OK) {
        status = doc_parse(arena, path, bytes_of(content.data, content.size), environment, out,
                           err);
    }
    buffer_fini(&content);
    return status;
}

static enum status read_file(void *context, const char *path, const struct doc *text,
                             const struct doc **out, struct error *err)
{
    const struct reading *reading = context;
    const char *full = arena_printf(reading->arena, "%s%s", reading->folder, path);
    struct doc *document = NULL;
    if (!file_exists(full)) {
        return doc_error(text, err, "config.missing_file",
                         "the schema refers to the file %s, which is not there; a reference names "
                         "a schema of this file, or a file beside it or below",
                         full);
    }
    enum status status =
        schema_read_document(reading->arena, full, reading->environment, &document, err);
    *out = document;
    return status == STATUS_OK ? STATUS_OK : doc_locate_error(text, err);
}

enum status schema_read_files(struct arena *arena, const struct doc *document, const char *folder,
                              doc_environment environment, struct schema_files *out,
                              struct error *err)
{
    struct reading reading = {arena, folder, environment};
    return schema_gather(arena, document, read_file, &reading, out, err);
}

const char *schema_folder_of(struct arena *arena, const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? "" : arena_copy(arena, path, (size_t)(slash - path) + 1);
}
