/* The disk: counts calls, lets them fail, and knows what would be there after a power failure. */
#include "disk.h"

#include <dirent.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/prng.h"
#include "base/status.h"
#include "os/host.h"

enum { FILES_MAX = 512, NAMES_MAX = 1024 };

/* A change of a file that is not synced. */
struct change {
    bool is_size; /* the file gets this size: truncated, or longer with zeros */
    int64_t offset;
    size_t size;
    uint8_t *data;
};

/* A file, whatever its name. */
struct file {
    uint8_t *synced;
    size_t synced_size;
    struct change *changes;
    size_t change_count, change_capacity;
};

/* A change of a name that is not synced. */
struct naming {
    char from[PATH_MAX]; /* "" unless a file had another name before */
    char name[PATH_MAX];
    int file; /* -1: removed */
};

/* Names relative to the folder. */
struct entry {
    char name[PATH_MAX];
    int file;
};

static struct {
    pthread_mutex_t mutex;
    char folder[PATH_MAX];
    size_t folder_size;
    struct file files[FILES_MAX];
    int file_count;
    struct entry now[NAMES_MAX], synced[NAMES_MAX];
    int now_count, synced_count;
    struct naming namings[NAMES_MAX];
    int naming_count;
    struct disk_fault fault;
    uint64_t count;
    bool failed;
    uint64_t cut_at, seed;
    char image[PATH_MAX];
} disk = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* --- names --- */

/* The path below the folder; NULL for one that is not there. */
static const char *relative(const char *path)
{
    if (disk.folder_size == 0 || strncmp(path, disk.folder, disk.folder_size) != 0 ||
        path[disk.folder_size] != '/') {
        return NULL;
    }
    return path + disk.folder_size + 1;
}

static int entry_find(const struct entry *entries, int count, const char *name)
{
    for (int i = 0; i < count; i++) {
        if (strcmp(entries[i].name, name) == 0) {
            return i;
        }
    }
    return -1;
}

static void entry_remove(struct entry *entries, int *count, const char *name)
{
    int at = entry_find(entries, *count, name);
    if (at >= 0) {
        entries[at] = entries[--*count];
    }
}

static void entry_put(struct entry *entries, int *count, const char *name, int file)
{
    int at = entry_find(entries, *count, name);
    if (at < 0) {
        check(*count < NAMES_MAX);
        at = (*count)++;
        (void)snprintf(entries[at].name, sizeof entries[at].name, "%s", name);
    }
    entries[at].file = file;
}

static struct file *file_of(const char *path)
{
    const char *name = relative(path);
    int at = name == NULL ? -1 : entry_find(disk.now, disk.now_count, name);
    return at < 0 ? NULL : &disk.files[disk.now[at].file];
}

static void apply_naming(struct entry *entries, int *count, const struct naming *naming)
{
    if (naming->from[0] != '\0') {
        entry_remove(entries, count, naming->from);
    }
    if (naming->file < 0) {
        entry_remove(entries, count, naming->name);
    } else {
        entry_put(entries, count, naming->name, naming->file);
    }
}

static void add_naming(const char *from, const char *name, int file)
{
    check(disk.naming_count < NAMES_MAX);
    struct naming *naming = &disk.namings[disk.naming_count++];
    (void)snprintf(naming->from, sizeof naming->from, "%s", from);
    (void)snprintf(naming->name, sizeof naming->name, "%s", name);
    naming->file = file;
    apply_naming(disk.now, &disk.now_count, naming);
}

/* The folder that a name lies in, with its '/'; "" for the top. */
static size_t folder_part(const char *name)
{
    const char *slash = strrchr(name, '/');
    return slash == NULL ? 0 : (size_t)(slash - name) + 1;
}

static bool is_in_folder(const char *name, const char *folder, size_t size)
{
    return folder_part(name) == size && memcmp(name, folder, size) == 0;
}

/* --- notes --- */

void disk_note_made(const char *path)
{
    const char *name = relative(path);
    if (name == NULL || entry_find(disk.now, disk.now_count, name) >= 0) {
        return;
    }
    check(disk.file_count < FILES_MAX);
    add_naming("", name, disk.file_count++);
}

static struct change *add_change(const char *path)
{
    struct file *file = file_of(path);
    if (file == NULL) {
        return NULL;
    }
    if (file->change_count == file->change_capacity) {
        file->change_capacity = file->change_capacity * 2 + 16;
        file->changes = memory_realloc(file->changes,
                                       file->change_capacity * sizeof *file->changes);
    }
    struct change *change = &file->changes[file->change_count++];
    *change = (struct change){0};
    return change;
}

void disk_note_write(const char *path, int64_t offset, const void *data, size_t size)
{
    struct change *change = add_change(path);
    if (change != NULL) {
        change->offset = offset;
        change->size = size;
        change->data = memcpy(memory_alloc(size), data, size);
    }
}

void disk_note_size(const char *path, int64_t size)
{
    struct change *change = add_change(path);
    if (change != NULL) {
        change->is_size = true;
        change->offset = size;
    }
}

/* As Linux does: what could not be written counts as clean from then on, and no later fsync says
 * anything of it. */
void disk_note_failed_sync(const char *path)
{
    struct file *file = file_of(path);
    for (size_t i = 0; file != NULL && i < file->change_count; i++) {
        memory_free(file->changes[i].data);
    }
    if (file != NULL) {
        file->change_count = 0;
    }
}

static size_t size_after(size_t size, const struct change *change)
{
    size_t end = (size_t)change->offset + change->size;
    return change->is_size || end > size ? end : size;
}

void disk_note_sync(const char *path)
{
    struct file *file = file_of(path);
    if (file == NULL) {
        return;
    }
    for (size_t i = 0; i < file->change_count; i++) {
        struct change *change = &file->changes[i];
        size_t size = size_after(file->synced_size, change);
        file->synced = memory_realloc(file->synced, size);
        if (size > file->synced_size) {
            memset(file->synced + file->synced_size, 0, size - file->synced_size);
        }
        file->synced_size = size;
        if (!change->is_size) {
            memcpy(file->synced + change->offset, change->data, change->size);
        }
        memory_free(change->data);
    }
    file->change_count = 0;
}

void disk_note_folder_sync(const char *folder)
{
    bool is_top = strcmp(folder, disk.folder) == 0;
    const char *name = is_top ? "" : relative(folder);
    if (name == NULL) {
        return;
    }
    char part[PATH_MAX];
    (void)snprintf(part, sizeof part, "%s%s", name, is_top ? "" : "/");
    int kept = 0;
    for (int i = 0; i < disk.naming_count; i++) {
        if (is_in_folder(disk.namings[i].name, part, strlen(part))) {
            apply_naming(disk.synced, &disk.synced_count, &disk.namings[i]);
        } else {
            disk.namings[kept++] = disk.namings[i];
        }
    }
    disk.naming_count = kept;
}

void disk_note_rename(const char *from, const char *to)
{
    const char *old = relative(from);
    const char *name = relative(to);
    int at = old == NULL || name == NULL ? -1 : entry_find(disk.now, disk.now_count, old);
    if (at >= 0) {
        char copy[PATH_MAX];
        (void)snprintf(copy, sizeof copy, "%s", old);
        add_naming(copy, name, disk.now[at].file);
    }
}

void disk_note_removed(const char *path)
{
    const char *name = relative(path);
    if (name != NULL && entry_find(disk.now, disk.now_count, name) >= 0) {
        add_naming("", name, -1);
    }
}

/* --- what is there after a power failure --- */

/* How much of what is not synced comes to the disk: per image, so that all and nothing come too. */
struct luck {
    struct prng prng;
    uint64_t kept; /* of 100 */
};

static bool is_kept(struct luck *luck)
{
    return prng_below(&luck->prng, 100) < luck->kept;
}

/* The versions of one sector are those after each change that touches it; one of them is there. */
static void write_sector(const struct file *file, uint8_t *content, size_t size, size_t sector,
                         struct luck *luck)
{
    size_t first = sector * DISK_SECTOR_BYTES;
    size_t end = first + DISK_SECTOR_BYTES < size ? first + DISK_SECTOR_BYTES : size;
    for (size_t i = 0; i < file->change_count && is_kept(luck); i++) {
        const struct change *change = &file->changes[i];
        size_t from = (size_t)change->offset;
        size_t to = change->is_size ? SIZE_MAX : from + change->size;
        from = from > first ? from : first;
        to = to < end ? to : end;
        if (from >= to) {
            continue;
        }
        if (change->is_size) {
            memset(content + from, 0, to - from);
        } else {
            memcpy(content + from, change->data + (from - (size_t)change->offset), to - from);
        }
    }
}

static uint8_t *file_image(const struct file *file, size_t *out_size, struct luck *luck)
{
    size_t size = file->synced_size;
    for (size_t i = 0; i < file->change_count && is_kept(luck); i++) {
        size = size_after(size, &file->changes[i]);
    }
    uint8_t *content = memory_alloc_zero(size, 1);
    memcpy(content, file->synced == NULL ? content : file->synced,
           file->synced_size < size ? file->synced_size : size);
    for (size_t sector = 0; sector * DISK_SECTOR_BYTES < size; sector++) {
        write_sector(file, content, size, sector, luck);
    }
    *out_size = size;
    return content;
}

static void make_folders(const char *path)
{
    char part[2 * PATH_MAX];
    (void)snprintf(part, sizeof part, "%s", path);
    for (char *at = part + 1; (at = strchr(at, '/')) != NULL; at++) {
        *at = '\0';
        mkdir(part, 0777);
        *at = '/';
    }
}

static void write_image(void)
{
    struct luck luck = {.kept = 0};
    prng_init(&luck.prng, disk.seed);
    static const uint64_t shares[] = {0, 100, 50, 90, 97, 99};
    luck.kept = shares[prng_below(&luck.prng, 6)];
    for (int i = 0; i < disk.naming_count; i++) {
        if (is_kept(&luck)) {
            apply_naming(disk.synced, &disk.synced_count, &disk.namings[i]);
        }
    }
    for (int i = 0; i < disk.synced_count; i++) {
        char path[2 * PATH_MAX];
        (void)snprintf(path, sizeof path, "%s/%s", disk.image, disk.synced[i].name);
        make_folders(path);
        size_t size;
        uint8_t *content = file_image(&disk.files[disk.synced[i].file], &size, &luck);
        FILE *out = fopen(path, "wb");
        check(out != NULL && fwrite(content, 1, size, out) == size && fclose(out) == 0);
        memory_free(content);
    }
}

/* --- calls --- */

int disk_enter(enum disk_call call)
{
    pthread_mutex_lock(&disk.mutex);
    unsigned counted = disk.cut_at > 0 ? DISK_CHANGES : disk.fault.calls;
    if ((counted & call) == 0) {
        return 0;
    }
    disk.count++;
    if (disk.cut_at > 0 && disk.count == disk.cut_at) {
        write_image();
        _exit(DISK_EXIT_CUT);
    }
    bool fails = disk.fault.at > 0 && (disk.fault.for_ever ? disk.count >= disk.fault.at
                                                           : disk.count == disk.fault.at);
    disk.failed |= fails;
    return fails ? disk.fault.reason : 0;
}

void disk_leave(void)
{
    pthread_mutex_unlock(&disk.mutex);
}

void disk_set_fault(const struct disk_fault *fault)
{
    pthread_mutex_lock(&disk.mutex);
    disk.fault = *fault;
    disk.count = 0;
    disk.failed = false;
    pthread_mutex_unlock(&disk.mutex);
}

void disk_set_cut(uint64_t at, uint64_t seed, const char *image_folder)
{
    disk.cut_at = at;
    disk.seed = seed;
    disk.count = 0;
    (void)snprintf(disk.image, sizeof disk.image, "%s", image_folder);
}

void disk_cut_now(uint64_t seed, const char *image_folder)
{
    disk_set_cut(UINT64_MAX, seed, image_folder);
    write_image();
    _exit(DISK_EXIT_CUT);
}

uint64_t disk_count(void)
{
    pthread_mutex_lock(&disk.mutex);
    uint64_t count = disk.count;
    pthread_mutex_unlock(&disk.mutex);
    return count;
}

bool disk_has_failed(void)
{
    pthread_mutex_lock(&disk.mutex);
    bool failed = disk.failed;
    pthread_mutex_unlock(&disk.mutex);
    return failed;
}

/* --- what is there at first --- */

static void take_file(const char *path, const char *name)
{
    struct buffer content = {0};
    FILE *in = fopen(path, "rb");
    check(in != NULL);
    size_t got;
    while ((got = fread(buffer_reserve(&content, 65536), 1, 65536, in)) > 0) {
        content.size += got;
    }
    check(fclose(in) == 0 && disk.file_count < FILES_MAX);
    disk.files[disk.file_count] = (struct file){content.data, content.size, NULL, 0, 0};
    entry_put(disk.now, &disk.now_count, name, disk.file_count);
    entry_put(disk.synced, &disk.synced_count, name, disk.file_count++);
}

static void take_folder(const char *path)
{
    DIR *folder = opendir(path);
    check(folder != NULL);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        size_t size = strlen(entry->d_name);
        bool is_lock = size > 5 && strcmp(entry->d_name + size - 5, "-lock") == 0;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        char child[2 * PATH_MAX];
        (void)snprintf(child, sizeof child, "%s/%s", path, entry->d_name);
        struct stat info;
        check(stat(child, &info) == 0);
        if (S_ISDIR(info.st_mode)) {
            take_folder(child);
        } else if (!is_lock) {
            take_file(child, child + disk.folder_size + 1);
        }
    }
    closedir(folder);
}

void disk_install(const char *folder)
{
    check(realpath(folder, disk.folder) != NULL);
    disk.folder_size = strlen(disk.folder);
    take_folder(disk.folder);
    os_host = &disk_host;
    disk_vfs_register();
}
