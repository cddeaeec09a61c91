#include "locallog/testing.h"

#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/file.h"

const struct layout empty_layout = {0};

static const char digits[] = "0123456789abcdef"; /* the lowest first */

int place_make(void **state)
{
    struct place *place = memory_alloc_zero(1, sizeof *place);
    const char *parent = getenv("TMPDIR");
    snprintf(place->folder, sizeof place->folder, "%s/locallog-XXXXXX",
             parent == NULL ? "." : parent);
    assert_non_null(mkdtemp(place->folder));
    snprintf(place->log, sizeof place->log, "%s/test.db", place->folder);
    *state = place;
    return 0;
}

int place_remove(void **state)
{
    struct place *place = *state;
    struct arena *arena = arena_new(4096);
    const char **names;
    size_t count;
    must(folder_list(arena, place->folder, &names, &count, &err));
    for (size_t i = 0; i < count; i++) {
        must(file_remove(arena_printf(arena, "%s/%s", place->folder, names[i]), &err));
    }
    assert_int_equal(rmdir(place->folder), 0);
    arena_free(arena);
    memory_free(place);
    return 0;
}

struct locallog *log_open(const char *path)
{
    struct locallog *log = NULL;
    must(locallog_open(path, LOCALLOG_CREATE, &log, &err));
    return log;
}

struct locallog_topic topic_make(struct locallog *log, const char *name, uint32_t partitions)
{
    struct locallog_topic topic;
    must(locallog_topic_create(log, name, partitions, &topic, &err));
    return topic;
}

void log_sql(struct locallog *log, const char *sql)
{
    if (sqlite3_exec(locallog_database(log), sql, NULL, NULL, NULL) != SQLITE_OK) {
        fail_msg("%s: %s", sql, sqlite3_errmsg(locallog_database(log)));
    }
}

int64_t log_sql_integer(struct locallog *log, const char *sql)
{
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_prepare_v2(locallog_database(log), sql, -1, &statement, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return value;
}

void builder_add_number(struct record_batch_builder *builder, uint64_t number, size_t size_bytes)
{
    assert_true(size_bytes >= 16);
    uint8_t *value = memory_alloc(size_bytes);
    memset(value, 'x', size_bytes);
    for (size_t i = 0; i < 16; i++) {
        value[i] = (uint8_t)digits[number >> (4 * i) & 15];
    }
    record_batch_append(builder, bytes_of(value, number % 3 == 0 ? 0 : 4),
                        bytes_of(value, size_bytes), NULL, 0);
    memory_free(value);
}

uint64_t value_number(struct bytes value)
{
    uint64_t number = 0;
    for (size_t i = 0; i < 16; i++) {
        const char *digit =
            value.size < 16 || value.data[i] == 0 ? NULL : strchr(digits, value.data[i]);
        if (digit == NULL) {
            return UINT64_MAX;
        }
        number |= (uint64_t)(digit - digits) << (4 * i);
    }
    return number;
}

void append_numbers(struct locallog *log, const struct locallog_topic *topic, uint32_t partition,
                    uint64_t first, uint32_t count)
{
    struct record_batch_builder builder = {0};
    for (uint32_t i = 0; i < count; i++) {
        builder_add_number(&builder, first + i, 16 + (first + i) % 50);
    }
    must(locallog_append(log, topic, partition, &builder, NULL, &err));
    record_batch_fini(&builder);
}

pid_t process_start(void (*run)(void *context), void *context)
{
    pid_t process = fork();
    assert_true(process >= 0);
    if (process == 0) {
        /* When a check of the test fails, nobody is left to stop this one. */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        run(context);
        _exit(0);
    }
    return process;
}

int process_wait(pid_t process)
{
    int result;
    assert_int_equal(waitpid(process, &result, 0), process);
    return WIFSIGNALED(result) ? 128 + WTERMSIG(result) : WEXITSTATUS(result);
}

void process_check(bool condition, const char *what, const struct error *err)
{
    if (!condition) {
        fprintf(stderr, "in a child process: %s: %s\n", what, err == NULL ? "" : err->message);
        _exit(1);
    }
}
