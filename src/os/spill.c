#include "os/spill.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/memory.h"
#include "os/host.h"
#include "os/random.h"

struct spill {
    int fd;
    char *folder;
    int64_t size;
};

enum status spill_open(const char *folder, struct spill **out, struct error *err)
{
    struct buffer path = {0};
    buffer_printf(&path, "%s/weir-spill-%016llx", folder, (unsigned long long)random_u64());
    int fd = os_host->open(buffer_string(&path), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    enum status status = STATUS_OK;
    if (fd < 0) {
        status = error_set(err, STATUS_CONFIG, "spill.folder",
                           "cannot make a temporary file in %s: %s; name another folder", folder,
                           strerror(errno));
    } else {
        os_host->unlink(buffer_string(&path));
        *out = memory_alloc_zero(1, sizeof **out);
        (*out)->fd = fd;
        (*out)->folder = memory_copy_string(folder);
    }
    buffer_fini(&path);
    return status;
}

enum status spill_append(struct spill *spill, struct bytes data, struct error *err)
{
    for (size_t done = 0; done < data.size;) {
        ssize_t written = os_host->write(spill->fd, data.data + done, data.size - done);
        if (written > 0) {
            done += (size_t)written;
            spill->size += written;
            continue;
        }
        int reason = written < 0 ? errno : EIO;
        if (reason == ENOSPC || reason == EDQUOT) {
            return error_set(err, STATUS_RETRY, "file.disk_full",
                             "cannot write a temporary file in %s: %s. Free space, or name another "
                             "folder.",
                             spill->folder, strerror(reason));
        }
        if (reason != EINTR) {
            return error_set(err, STATUS_FATAL, "file.write_failed",
                             "cannot write a temporary file in %s: %s.", spill->folder,
                             strerror(reason));
        }
    }
    return STATUS_OK;
}

int64_t spill_size(const struct spill *spill)
{
    return spill->size;
}

enum status spill_read_at(struct spill *spill, int64_t offset, void *out, size_t size,
                          struct error *err)
{
    check(offset >= 0 && (int64_t)size <= spill->size - offset);
    for (size_t done = 0; done < size;) {
        ssize_t got = os_host->pread(spill->fd, (uint8_t *)out + done, size - done,
                                     (off_t)(offset + (int64_t)done));
        if (got > 0) {
            done += (size_t)got;
        } else if (got == 0 || errno != EINTR) {
            return error_set(err, STATUS_FATAL, "file.read_failed",
                             "cannot read a temporary file in %s: %s.", spill->folder,
                             got == 0 ? "it is shorter than what was written" : strerror(errno));
        }
    }
    return STATUS_OK;
}

void spill_close(struct spill *spill)
{
    if (spill != NULL) {
        os_host->close(spill->fd);
        memory_free(spill->folder);
        memory_free(spill);
    }
}
