#include "schema/schema_files.h"

#include <string.h>

#include "schema/schema_index.h"

enum status schema_files_find(void *context, const char *path, const struct doc *text,
                              const struct doc **out, struct error *err)
{
    const struct schema_files *files = context;
    for (uint32_t i = 0; files != NULL && i < files->count; i++) {
        if (strcmp(files->items[i].path, path) == 0) {
            *out = files->items[i].document;
            return STATUS_OK;
        }
    }
    return doc_error(text, err, "schema.unknown_reference",
                     "there is no file %s beside the schema, and nothing here is called '%s'", path,
                     text->text);
}

enum status schema_gather(struct arena *arena, const struct doc *document, schema_read read,
                          void *context, struct schema_files *out, struct error *err)
{
    struct schema_index index;
    enum status status = schema_index_init(&index, arena, document, read, context, err);
    schema_index_fini(&index);
    if (status == STATUS_OK) {
        *out = index.files;
    }
    return status;
}
