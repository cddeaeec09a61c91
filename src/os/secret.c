#include "os/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECRET_BYTES_MAX (64u * 1024u)

static enum status unreadable(const char *path, const char *why, struct error *err)
{
    return error_set(err, STATUS_CONFIG, "secret.unreadable",
                     "the secret in %s cannot be read: %s", path, why);
}

static enum status read_all(int fd, const char *path, struct buffer *out, struct error *err)
{
    size_t before = out->size;
    for (;;) {
        ssize_t size = read(fd, buffer_reserve(out, 4096), 4096);
        if (size < 0 && errno == EINTR) {
            continue;
        }
        if (size < 0) {
            return unreadable(path, strerror(errno), err);
        }
        if (size == 0) {
            break;
        }
        out->size += (size_t)size;
        if (out->size - before > SECRET_BYTES_MAX) {
            return unreadable(path, "it is larger than 64 KiB", err);
        }
    }
    while (out->size > before &&
           (out->data[out->size - 1] == '\n' || out->data[out->size - 1] == '\r')) {
        out->size--;
    }
    return out->size > before ? STATUS_OK : unreadable(path, "it is empty", err);
}

static enum status read_path(const char *path, bool is_guarded, struct buffer *out,
                             struct error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return unreadable(path, strerror(errno), err);
    }
    struct stat info;
    enum status status = STATUS_OK;
    if (fstat(fd, &info) != 0) {
        status = unreadable(path, strerror(errno), err);
    } else if (!is_guarded && S_ISREG(info.st_mode) && (info.st_mode & 077) != 0) {
        status = error_set(err, STATUS_CONFIG, "secret.exposed",
                           "others than its owner may read the secret in %s: chmod 600 %s", path,
                           path);
    } else {
        status = read_all(fd, path, out, err);
    }
    (void)close(fd);
    return status;
}

enum status secret_read_file(const char *path, struct buffer *out, struct error *err)
{
    return read_path(path, false, out, err);
}

enum status secret_read_credential(const char *name, struct buffer *out, struct error *err)
{
    char path[PATH_MAX];
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    if (folder == NULL) {
        return error_set(err, STATUS_CONFIG, "secret.unreadable",
                         "there is no credential '%s': CREDENTIALS_DIRECTORY is not set; a systemd "
                         "unit sets it with LoadCredential=%s:PATH",
                         name, name);
    }
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return read_path(path, true, out, err);
}

enum status secret_read_environment(const char *name, struct buffer *out, struct error *err)
{
    const char *value = getenv(name);
    if (value == NULL || value[0] == '\0') {
        return error_set(err, STATUS_CONFIG, "secret.unreadable",
                         "the variable %s of the environment, a secret, is %s", name,
                         value == NULL ? "not set" : "empty");
    }
    buffer_append_string(out, value);
    return STATUS_OK;
}

void secret_forget(struct buffer *secret)
{
    if (secret->data != NULL) {
        explicit_bzero(secret->data, secret->capacity);
    }
    buffer_fini(secret);
}
