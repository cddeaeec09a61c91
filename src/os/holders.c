#include "os/holders.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { HOLDERS_MAX = 4 };

struct holders {
    int processes[HOLDERS_MAX];
    uint32_t count;
};

static void add(struct holders *holders, int process)
{
    for (uint32_t i = 0; i < holders->count; i++) {
        if (holders->processes[i] == process) {
            return;
        }
    }
    if (process > 0 && process != getpid() && holders->count < HOLDERS_MAX) {
        holders->processes[holders->count++] = process;
    }
}

/* "1: POSIX  ADVISORY  READ  1234 08:01:5678 123 123"; a range to the end ends with "EOF". */
static void read_line(const char *line, const struct stat *file, uint64_t first, uint64_t last,
                      struct holders *holders)
{
    int process;
    unsigned major_number;
    unsigned minor_number;
    uint64_t inode;
    uint64_t from;
    char to_text[24];
    if (sscanf(line, "%*s POSIX %*s %*s %d %x:%x:%" SCNu64 " %" SCNu64 " %23s", &process,
               &major_number, &minor_number, &inode, &from, to_text) != 6) {
        return;
    }
    uint64_t to = UINT64_MAX;
    if (sscanf(to_text, "%" SCNu64, &to) != 1) {
        to = UINT64_MAX;
    }
    if (inode == file->st_ino && major_number == major(file->st_dev) &&
        minor_number == minor(file->st_dev) && from <= last && to >= first) {
        add(holders, process);
    }
}

static void append_name(int process, struct buffer *out)
{
    char path[40];
    char name[32] = "";
    snprintf(path, sizeof path, "/proc/%d/comm", process);
    FILE *file = fopen(path, "re");
    if (file != NULL) {
        if (fgets(name, sizeof name, file) == NULL) {
            name[0] = '\0';
        }
        fclose(file);
    }
    name[strcspn(name, "\n")] = '\0';
    buffer_printf(out, "process %d", process);
    if (name[0] != '\0') {
        buffer_printf(out, " (%s)", name);
    }
}

uint32_t holders_name(const char *path, uint64_t first, uint64_t last, struct buffer *out)
{
    struct stat file;
    struct holders holders = {0};
    FILE *locks = stat(path, &file) == 0 ? fopen("/proc/locks", "re") : NULL;
    if (locks == NULL) {
        return 0;
    }
    char line[256];
    while (fgets(line, sizeof line, locks) != NULL) {
        read_line(line, &file, first, last, &holders);
    }
    fclose(locks);
    for (uint32_t i = 0; i < holders.count; i++) {
        buffer_append_string(out, i == 0 ? "" : i + 1 == holders.count ? " and " : ", ");
        append_name(holders.processes[i], out);
    }
    return holders.count;
}
