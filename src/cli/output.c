#include "cli/output.h"

#include <errno.h>
#include <string.h>

#define BUFFER_BYTES ((size_t)256 * 1024)

static enum status failed(struct output *output, const char *what, struct error *err)
{
    if (errno == EPIPE && strcmp(output->path, "-") == 0) {
        output->is_unwanted = true;
        return STATUS_OK;
    }
    bool is_full = errno == ENOSPC || errno == EDQUOT;
    return error_set(err, is_full ? STATUS_RETRY : STATUS_FATAL, "output.failed",
                     "cannot %s %s: %s", what, output->path, strerror(errno));
}

enum status output_open(struct output *output, const char *path, struct error *err)
{
    output->path = path;
    output->stream = strcmp(path, "-") == 0 ? stdout : fopen(path, "we");
    if (output->stream == NULL) {
        return error_set(err, STATUS_CONFIG, "output.failed", "cannot write %s: %s", path,
                         strerror(errno));
    }
    setvbuf(output->stream, NULL, _IOFBF, BUFFER_BYTES);
    return STATUS_OK;
}

enum status output_write(struct output *output, struct bytes data, struct error *err)
{
    if (data.size > 0 && fwrite(data.data, 1, data.size, output->stream) != data.size) {
        return failed(output, "write", err);
    }
    return STATUS_OK;
}

enum status output_flush(struct output *output, struct error *err)
{
    return fflush(output->stream) == 0 ? STATUS_OK : failed(output, "write", err);
}

enum status output_close(struct output *output, struct error *err)
{
    FILE *stream = output->stream;
    output->stream = NULL;
    if (stream == NULL) {
        return STATUS_OK;
    }
    int answer = stream == stdout ? fflush(stream) : fclose(stream);
    return answer == 0 ? STATUS_OK : failed(output, "write", err);
}
