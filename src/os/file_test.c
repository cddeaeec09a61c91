#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/prng.h"
#include "os/host.h"

static char folder[64];

static int folder_setup(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/weir-file-test-XXXXXX");
    return mkdtemp(folder) == NULL ? -1 : chdir(folder);
}

static int folder_teardown(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return chdir("/") != 0 || system(command) != 0 ? -1 : 0;
}

static void put(const char *path, const void *data, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void assert_content(const char *path, struct bytes wanted)
{
    struct buffer got = {0};
    struct error err = {0};
    assert_int_equal(file_read(path, wanted.size, &got, &err), STATUS_OK);
    assert_true(bytes_equal(bytes_of(got.data, got.size), wanted));
    buffer_fini(&got);
}

static size_t names_in(const char *path)
{
    struct arena *arena = arena_new(1000);
    struct error err = {0};
    const char **names;
    size_t count = 0;
    assert_int_equal(folder_list(arena, path, &names, &count, &err), STATUS_OK);
    arena_free(arena);
    return count;
}

/* --- A host with faults: the n-th call of a kind fails, or writes come out short. --- */

static struct {
    int write_errno;
    size_t write_room; /* bytes that still fit before write_errno */
    size_t write_most; /* at most so many a call; 0: no limit */
    int fsync_errno;
    unsigned fsync_skip; /* so many succeed first */
    int rename_errno;
    int close_errno;
    int pread_errno;
    unsigned fsync_count;
} fault;

static ssize_t fault_write(int fd, const void *data, size_t size)
{
    if (fault.write_errno != 0) {
        if (fault.write_room == 0) {
            errno = fault.write_errno;
            return -1;
        }
        size = size < fault.write_room ? size : fault.write_room;
        fault.write_room -= size;
    }
    if (fault.write_most != 0 && size > fault.write_most) {
        size = fault.write_most;
    }
    return os_host_real.write(fd, data, size);
}

static int fault_fsync(int fd)
{
    fault.fsync_count++;
    if (fault.fsync_errno != 0 && fault.fsync_count > fault.fsync_skip) {
        errno = fault.fsync_errno;
        return -1;
    }
    return os_host_real.fsync(fd);
}

static int fault_rename(const char *from, const char *to)
{
    if (fault.rename_errno != 0) {
        errno = fault.rename_errno;
        return -1;
    }
    return os_host_real.rename(from, to);
}

static int fault_close(int fd)
{
    int result = os_host_real.close(fd);
    if (fault.close_errno != 0) {
        errno = fault.close_errno;
        fault.close_errno = 0;
        return -1;
    }
    return result;
}

static ssize_t fault_pread(int fd, void *out, size_t size, off_t offset)
{
    if (fault.pread_errno != 0) {
        errno = fault.pread_errno;
        return -1;
    }
    /* Short reads are allowed at any time. */
    return os_host_real.pread(fd, out, size > 3 ? size / 2 : size, offset);
}

static struct os_host fault_host;

static int fault_setup(void **state)
{
    fault_host = os_host_real;
    fault_host.write = fault_write;
    fault_host.fsync = fault_fsync;
    fault_host.rename = fault_rename;
    fault_host.close = fault_close;
    fault_host.pread = fault_pread;
    memset(&fault, 0, sizeof fault);
    os_host = &fault_host;
    return folder_setup(state);
}

static int fault_teardown(void **state)
{
    os_host = &os_host_real;
    return folder_teardown(state);
}

/* --- Tests. --- */

static void reads_whole_files(void **state)
{
    (void)state;
    struct error err = {0};
    struct buffer out = {0};
    buffer_append_string(&out, "head ");
    put("small", "a\0b", 3);
    assert_int_equal(file_read("small", 3, &out, &err), STATUS_OK);
    assert_int_equal(out.size, 8);
    assert_memory_equal(out.data, "head a\0b", 8);
    put("empty", "", 0);
    assert_int_equal(file_read("empty", 0, &out, &err), STATUS_OK);
    assert_int_equal(out.size, 8);

    struct prng prng;
    prng_init(&prng, 1);
    size_t size = 10 * 1000 * 1000;
    uint8_t *large = memory_alloc(size);
    for (size_t i = 0; i < size; i++) {
        large[i] = (uint8_t)prng_next(&prng);
    }
    put("large", large, size);
    assert_content("large", bytes_of(large, size));
    /* What is too large leaves the buffer as it was. */
    assert_int_equal(file_read("large", size - 1, &out, &err), STATUS_CONFIG);
    assert_string_equal(err.code, "file.too_large");
    assert_non_null(strstr(err.message, "large"));
    assert_int_equal(out.size, 8);
    memory_free(large);
    buffer_fini(&out);
}

static void unreadable_says_why(void **state)
{
    (void)state;
    assert_int_equal(mkdir("sub", 0700), 0);
    static const char *const paths[] = {"absent", "sub", "absent/x"};
    for (size_t i = 0; i < 3; i++) {
        struct error err = {0};
        struct buffer out = {0};
        assert_int_equal(file_read(paths[i], 100, &out, &err), STATUS_CONFIG);
        assert_string_equal(err.code, "file.unreadable");
        assert_non_null(strstr(err.message, paths[i]));
        assert_non_null(strstr(err.message, i == 1 ? "directory" : "No such file"));
        buffer_fini(&out);
    }
}

static void reads_pipes(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(write(fds[1], "from a pipe", 11), 11);
    close(fds[1]);
    char path[64];
    snprintf(path, sizeof path, "/dev/fd/%d", fds[0]);
    assert_content(path, bytes_of_string("from a pipe"));
    close(fds[0]);
}

static void writes_durably(void **state)
{
    (void)state;
    struct error err = {0};
    umask(022);
    assert_int_equal(file_write_durably("f", bytes_of("one\0", 4), 0, &err), STATUS_OK);
    assert_content("f", bytes_of("one\0", 4));
    struct stat info;
    assert_int_equal(stat("f", &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    assert_int_equal(file_write_durably("f", bytes_of("", 0), 0666, &err), STATUS_OK);
    assert_int_equal(stat("f", &info), 0);
    assert_int_equal(info.st_mode & 0777, 0644);
    assert_int_equal(info.st_size, 0);
    assert_int_equal(file_size("f"), 0);
    char path[256];
    snprintf(path, sizeof path, "%s/./g", folder);
    assert_int_equal(file_write_durably(path, bytes_of_string("x"), 0600, &err), STATUS_OK);
    assert_int_equal(names_in("."), 2);
}

static void durable_writes_sync_file_then_folder(void **state)
{
    (void)state;
    struct error err = {0};
    assert_int_equal(file_write_durably("f", bytes_of_string("x"), 0, &err), STATUS_OK);
    assert_int_equal(fault.fsync_count, 2);
}

/* Each fault: the class, the old content, no temporary file left. */
static void failed_writes_keep_the_old_file(void **state)
{
    (void)state;
    static const struct {
        size_t place; /* which errno of `fault` is set */
        int reason;
        enum status status;
        const char *code;
    } cases[] = {
        {offsetof(__typeof__(fault), write_errno), ENOSPC, STATUS_RETRY, "file.disk_full"},
        {offsetof(__typeof__(fault), write_errno), EDQUOT, STATUS_RETRY, "file.disk_full"},
        {offsetof(__typeof__(fault), write_errno), EIO, STATUS_FATAL, "file.write_failed"},
        {offsetof(__typeof__(fault), fsync_errno), EIO, STATUS_FATAL, "file.sync_failed"},
        {offsetof(__typeof__(fault), fsync_errno), ENOSPC, STATUS_FATAL, "file.sync_failed"},
        {offsetof(__typeof__(fault), close_errno), EIO, STATUS_FATAL, "file.write_failed"},
        {offsetof(__typeof__(fault), rename_errno), EACCES, STATUS_CONFIG, "file.unwritable"},
        {offsetof(__typeof__(fault), rename_errno), ENOSPC, STATUS_RETRY, "file.disk_full"},
        {offsetof(__typeof__(fault), rename_errno), EIO, STATUS_FATAL, "file.failed"},
    };
    put("f", "old", 3);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        memset(&fault, 0, sizeof fault);
        *(int *)(void *)((char *)&fault + cases[i].place) = cases[i].reason;
        fault.write_room = i % 2 == 0 ? 0 : 2;
        struct error err = {0};
        enum status status = file_write_durably("f", bytes_of_string("newer"), 0, &err);
        if (status != cases[i].status || strcmp(err.code, cases[i].code) != 0) {
            fail_msg("case %zu: %s %s: %s", i, status_name(status), err.code, err.message);
        }
        assert_non_null(strstr(err.message, strerror(cases[i].reason)));
        memset(&fault, 0, sizeof fault);
        assert_content("f", bytes_of_string("old"));
        assert_int_equal(names_in("."), 1);
    }
    /* The folder's fsync fails after the rename: the new file stands, but not for certain. */
    fault.fsync_errno = EIO;
    fault.fsync_skip = 1;
    struct error err = {0};
    assert_int_equal(file_write_durably("f", bytes_of_string("newer"), 0, &err), STATUS_FATAL);
    assert_string_equal(err.code, "file.sync_failed");
    memset(&fault, 0, sizeof fault);
    assert_content("f", bytes_of_string("newer"));
}

static void unwritable_places(void **state)
{
    (void)state;
    put("plain", "x", 1);
    assert_int_equal(mkdir("sub", 0700), 0);
    put("sub/inside", "x", 1);
    static const char *const paths[] = {"absent/f", "plain/f", "sub", "/proc/f"};
    for (size_t i = 0; i < 4; i++) {
        struct error err = {0};
        assert_int_equal(file_write_durably(paths[i], bytes_of_string("x"), 0, &err),
                         STATUS_CONFIG);
        assert_string_equal(err.code, "file.unwritable");
        assert_non_null(strstr(err.message, paths[i]));
    }
    if (geteuid() != 0) {
        assert_int_equal(chmod("sub", 0500), 0);
        struct error err = {0};
        assert_int_equal(file_write_durably("sub/f", bytes_of_string("x"), 0, &err), STATUS_CONFIG);
        assert_int_equal(file_remove("sub/inside", &err), STATUS_CONFIG);
        assert_int_equal(chmod("sub", 0700), 0);
    }
    assert_int_equal(names_in("."), 2);
}

static int unlink_nothing(const char *path)
{
    (void)path;
    return 0;
}

/* A device that is always full, through the real host. */
static void full_device(void **state)
{
    (void)state;
    struct file_writer *writer = NULL;
    struct error err = {0};
    assert_int_equal(file_writer_open("/dev/full", &writer, &err), STATUS_OK);
    size_t size = 300 * 1024;
    void *data = memory_alloc_zero(size, 1);
    assert_int_equal(file_writer_append(writer, bytes_of(data, size), &err), STATUS_OK);
    for (unsigned i = 0; i < 3; i++) {
        error_clear(&err);
        assert_int_equal(file_writer_append(writer, bytes_of(data, size), &err), STATUS_RETRY);
        assert_string_equal(err.code, "file.disk_full");
    }
    memory_free(data);
    /* Abandoning must not remove the device itself. */
    struct os_host no_unlink = os_host_real;
    no_unlink.unlink = unlink_nothing;
    os_host = &no_unlink;
    file_writer_abandon(writer);
    os_host = &os_host_real;
    assert_true(file_exists("/dev/full"));
}

static void writer_publishes(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 2);
    struct error err = {0};
    struct buffer wanted = {0};
    struct file_writer *writer = NULL;
    put("t", "left over from a crash, longer than nothing", 43);
    assert_int_equal(file_writer_open("t", &writer, &err), STATUS_OK);
    static uint8_t piece[100000];
    for (unsigned i = 0; i < 200; i++) {
        size_t size = prng_below(&prng, i % 10 == 0 ? sizeof piece : 300);
        memset(piece, (int)i, size);
        buffer_append(&wanted, piece, size);
        assert_int_equal(file_writer_append(writer, bytes_of(piece, size), &err), STATUS_OK);
    }
    assert_int_equal(file_writer_append(writer, BYTES_NONE, &err), STATUS_OK);
    assert_false(file_exists("final"));
    assert_int_equal(file_writer_publish(writer, "final", &err), STATUS_OK);
    assert_content("final", bytes_of(wanted.data, wanted.size));
    assert_false(file_exists("t"));

    assert_int_equal(file_writer_open("t", &writer, &err), STATUS_OK);
    assert_int_equal(file_writer_append(writer, bytes_of_string("x"), &err), STATUS_OK);
    assert_true(file_exists("t"));
    file_writer_abandon(writer);
    file_writer_abandon(NULL);
    assert_false(file_exists("t"));
    buffer_fini(&wanted);
}

/* A disk that fills up and is freed again, at any place: nothing is missing, nothing doubled. */
static void writer_retries_without_doubling(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 3);
    static uint8_t piece[90000];
    for (unsigned round = 0; round < 10; round++) {
        memset(&fault, 0, sizeof fault);
        fault.write_errno = ENOSPC;
        fault.write_most = 1 + prng_below(&prng, 300000);
        struct error err = {0};
        struct buffer wanted = {0};
        struct file_writer *writer = NULL;
        assert_int_equal(file_writer_open("t", &writer, &err), STATUS_OK);
        unsigned retries = 0;
        for (unsigned i = 0; i < 30; i++) {
            memset(piece, (int)(i + round), sizeof piece);
            size_t size = prng_below(&prng, sizeof piece);
            buffer_append(&wanted, piece, size);
            while (file_writer_append(writer, bytes_of(piece, size), &err) == STATUS_RETRY) {
                error_clear(&err);
                retries++;
                fault.write_room = prng_below(&prng, 200000);
            }
            assert_int_equal(err.status, STATUS_OK);
        }
        assert_true(retries > 0);
        fault.write_errno = 0;
        assert_int_equal(file_writer_publish(writer, "final", &err), STATUS_OK);
        assert_content("final", bytes_of(wanted.data, wanted.size));
        buffer_fini(&wanted);
    }
}

static void writer_stays_broken(void **state)
{
    (void)state;
    struct error err = {0};
    struct file_writer *writer = NULL;
    size_t size = 300 * 1024;
    void *data = memory_alloc_zero(size, 1);
    put("final", "old", 3);
    assert_int_equal(file_writer_open("t", &writer, &err), STATUS_OK);
    assert_int_equal(file_writer_append(writer, bytes_of(data, size), &err), STATUS_OK);
    fault.write_errno = EIO;
    assert_int_equal(file_writer_append(writer, bytes_of(data, size), &err), STATUS_FATAL);
    fault.write_errno = 0;
    error_clear(&err);
    assert_int_equal(file_writer_append(writer, bytes_of("x", 1), &err), STATUS_FATAL);
    error_clear(&err);
    assert_int_equal(file_writer_publish(writer, "final", &err), STATUS_FATAL);
    assert_false(file_exists("t"));
    assert_content("final", bytes_of_string("old"));
    memory_free(data);
}

static void folders(void **state)
{
    (void)state;
    struct error err = {0};
    char path[256];
    snprintf(path, sizeof path, "%s/a//b/c/", folder);
    assert_int_equal(folder_make(path, &err), STATUS_OK);
    assert_int_equal(folder_make(path, &err), STATUS_OK);
    assert_int_equal(folder_make("a/b/d", &err), STATUS_OK);
    assert_int_equal(folder_make(".", &err), STATUS_OK);
    assert_int_equal(folder_make("/", &err), STATUS_OK);
    assert_int_equal(names_in("a/b"), 2);
    assert_int_equal(folder_sync("a/b", &err), STATUS_OK);
    put("plain", "x", 1);
    assert_int_equal(folder_make("plain", &err), STATUS_CONFIG);
    assert_non_null(strstr(err.message, "Not a directory"));
    error_clear(&err);
    assert_int_equal(folder_make("plain/x", &err), STATUS_CONFIG);
    error_clear(&err);
    assert_int_equal(folder_sync("absent", &err), STATUS_CONFIG);
    error_clear(&err);
    assert_int_equal(folder_make("", &err), STATUS_CONFIG);
}

static void lists_in_byte_order(void **state)
{
    (void)state;
    struct error err = {0};
    struct arena *arena = arena_new(1000);
    const char **names = NULL;
    size_t count = 77;
    assert_int_equal(folder_list(arena, "absent", &names, &count, &err), STATUS_OK);
    assert_int_equal(count, 0);
    static const char *const wanted[] = {".hidden", "B", "a", "a-1", "a1", "\xC3\xA9"};
    static const unsigned order[] = {3, 5, 0, 2, 4, 1};
    for (size_t i = 0; i < 6; i++) {
        put(wanted[order[i]], "", 0);
    }
    assert_int_equal(folder_list(arena, ".", &names, &count, &err), STATUS_OK);
    assert_int_equal(count, 6);
    for (size_t i = 0; i < 6; i++) {
        assert_string_equal(names[i], wanted[i]);
    }
    assert_int_equal(folder_list(arena, "a", &names, &count, &err), STATUS_CONFIG);
    assert_string_equal(err.code, "file.unreadable");
    arena_free(arena);
}

static void sizes_and_removal(void **state)
{
    (void)state;
    struct error err = {0};
    put("f", "12345", 5);
    assert_true(file_exists("f"));
    assert_true(file_exists("."));
    assert_true(folder_exists("."));
    assert_false(folder_exists("f"));
    assert_false(folder_exists("absent"));
    assert_int_equal(file_size("f"), 5);
    assert_int_equal(file_size("."), -1);
    assert_int_equal(file_size("absent"), -1);
    assert_int_equal(file_remove("f", &err), STATUS_OK);
    assert_false(file_exists("f"));
    assert_int_equal(file_remove("f", &err), STATUS_OK);
    assert_int_equal(mkdir("sub", 0700), 0);
    assert_int_equal(file_remove("sub", &err), STATUS_CONFIG);
    assert_non_null(strstr(err.message, "sub"));
}

static void reads_at_any_place(void **state)
{
    (void)state;
    struct error err = {0};
    struct file_reader *reader = NULL;
    assert_int_equal(file_reader_open("absent", &reader, &err), STATUS_CONFIG);
    assert_null(reader);
    error_clear(&err);
    put("f", "0123456789", 10);
    assert_int_equal(file_reader_open("f", &reader, &err), STATUS_OK);
    assert_int_equal(file_reader_size(reader), 10);
    for (int64_t offset = 0; offset < 13; offset++) {
        for (size_t size = 0; size < 13; size++) {
            char out[16];
            size_t got = 77;
            assert_int_equal(file_reader_read_at(reader, offset, out, size, &got, &err), STATUS_OK);
            size_t left = offset < 10 ? (size_t)(10 - offset) : 0;
            assert_int_equal(got, size < left ? size : left);
            assert_memory_equal(out, "0123456789" + (offset < 10 ? offset : 10), got);
        }
    }
    /* The file grows under the reader. */
    FILE *file = fopen("f", "ab");
    assert_non_null(file);
    assert_int_equal(fputs("ab", file) >= 0 && fclose(file) == 0, 1);
    assert_int_equal(file_reader_size(reader), 12);
    char out[4];
    size_t got = 77;
    assert_int_equal(file_reader_read_at(reader, 10, out, 4, &got, &err), STATUS_OK);
    assert_int_equal(got, 2);
    fault.pread_errno = EIO;
    assert_int_equal(file_reader_read_at(reader, 10, out, 4, &got, &err), STATUS_FATAL);
    assert_non_null(strstr(err.message, "f at byte 10"));
    fault.pread_errno = 0;
    file_reader_close(reader);
    file_reader_close(NULL);

    error_clear(&err);
    assert_int_equal(file_reader_open(".", &reader, &err), STATUS_OK);
    assert_int_equal(file_reader_read_at(reader, 0, out, 4, &got, &err), STATUS_CONFIG);
    file_reader_close(reader);
}

static void reads_standard_input(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(fds[0], STDIN_FILENO);
        close(fds[0]);
        close(fds[1]);
        struct error err = {0};
        char text[64] = "";
        size_t total = 0;
        size_t got;
        do {
            if (file_read_stdin(text + total, 4, &got, &err) != STATUS_OK) {
                _exit(1);
            }
            total += got;
        } while (got > 0);
        if (strcmp(text, "hello from a pipe") != 0) {
            _exit(2);
        }
        close(STDIN_FILENO);
        _exit(file_read_stdin(text, 4, &got, &err) == STATUS_CONFIG ? 0 : 3);
    }
    close(fds[0]);
    assert_int_equal(write(fds[1], "hello ", 6), 6);
    assert_int_equal(write(fds[1], "from a pipe", 11), 11);
    close(fds[1]);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void waits_for_standard_input(void **state)
{
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int ends[2];
        if (pipe(ends) != 0 || dup2(ends[0], STDIN_FILENO) < 0) {
            _exit(1);
        }
        if (file_wait_stdin(1000)) {
            _exit(2);
        }
        if (write(ends[1], "x", 1) != 1 || !file_wait_stdin(-1)) {
            _exit(3);
        }
        char byte;
        bool is_read = read(STDIN_FILENO, &byte, 1) == 1;
        close(ends[1]);
        _exit(is_read && file_wait_stdin(-1) ? 0 : 4); /* the end of a pipe */
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void renames_durably(void **state)
{
    (void)state;
    struct error err = {0};
    put("new", "new", 3);
    put("old", "old", 3);
    fault.rename_errno = ENOSPC;
    assert_int_equal(file_rename_durably("new", "old", &err), STATUS_RETRY);
    assert_content("old", bytes_of_string("old"));
    assert_content("new", bytes_of_string("new"));

    error_clear(&err);
    fault.rename_errno = 0;
    assert_int_equal(file_rename_durably("new", "old", &err), STATUS_OK);
    assert_int_equal(fault.fsync_count, 1);
    assert_content("old", bytes_of_string("new"));
    assert_false(file_exists("new"));

    assert_int_equal(file_rename_durably("absent", "old", &err), STATUS_CONFIG);
    assert_non_null(strstr(err.message, "old"));

    error_clear(&err);
    fault.fsync_errno = EIO;
    assert_int_equal(file_rename_durably("old", "newest", &err), STATUS_FATAL);
    assert_true(file_exists("newest"));
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_setup, folder_teardown)
#define WITH_FAULTS(test) cmocka_unit_test_setup_teardown(test, fault_setup, fault_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(reads_whole_files),
        IN_FOLDER(unreadable_says_why),
        IN_FOLDER(reads_pipes),
        IN_FOLDER(writes_durably),
        WITH_FAULTS(durable_writes_sync_file_then_folder),
        WITH_FAULTS(failed_writes_keep_the_old_file),
        IN_FOLDER(unwritable_places),
        IN_FOLDER(full_device),
        IN_FOLDER(writer_publishes),
        WITH_FAULTS(writer_retries_without_doubling),
        WITH_FAULTS(writer_stays_broken),
        IN_FOLDER(folders),
        IN_FOLDER(lists_in_byte_order),
        IN_FOLDER(sizes_and_removal),
        WITH_FAULTS(renames_durably),
        WITH_FAULTS(reads_at_any_place),
        IN_FOLDER(reads_standard_input),
        IN_FOLDER(waits_for_standard_input),
    };
    return cmocka_run_group_tests_name("os/file", tests, NULL, NULL);
}
