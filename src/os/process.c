#include "os/process.h"

#include <dirent.h>
#include <stdio.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/thread.h"

static bool read_memory(struct process_usage *out)
{
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL) {
        return false;
    }
    unsigned long long total = 0;
    unsigned long long resident = 0;
    bool is_read = fscanf(file, "%llu %llu", &total, &resident) == 2;
    fclose(file);
    uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
    out->virtual_bytes = total * page_bytes;
    out->resident_bytes = resident * page_bytes;
    return is_read;
}

static uint32_t count_entries(const char *path)
{
    DIR *folder = opendir(path);
    if (folder == NULL) {
        return 0;
    }
    uint32_t count = 0;
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        count += entry->d_name[0] != '.';
    }
    closedir(folder);
    return count;
}

bool process_usage_read(struct process_usage *out)
{
    struct process_usage usage = {.cpu_us = clock_cpu_us()};
    if (!read_memory(&usage)) {
        return false;
    }
    /* Without the descriptor that looks. */
    usage.open_files = count_entries("/proc/self/fd");
    usage.open_files -= usage.open_files > 0;
    usage.thread_count = count_entries("/proc/self/task");
    *out = usage;
    return true;
}

int process_end(int status)
{
    if (thread_is_any_left()) {
        fflush(NULL);
        _exit(status);
    }
    return status;
}
