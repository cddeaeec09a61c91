#include "connector/secret.h"

#include <string.h>

#include "os/secret.h"

enum status secret_read(const struct doc *node, const char *folder, struct buffer *out,
                        struct error *err)
{
    const char *how = node->keys[0]->text;
    const char *what = node->items[0]->text;
    enum status status;
    if (strcmp(how, "env") == 0) {
        status = secret_read_environment(what, out, err);
    } else if (strcmp(how, "credential") == 0) {
        status = secret_read_credential(what, out, err);
    } else {
        struct buffer path = {0};
        buffer_printf(&path, "%s%s", what[0] == '/' ? "" : folder, what);
        status = secret_read_file(buffer_string(&path), out, err);
        buffer_fini(&path);
    }
    return status == STATUS_OK ? STATUS_OK : doc_locate_error(node->items[0], err);
}
