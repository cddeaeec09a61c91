#include "stand.h"

#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/memory.h"
#include "connector/sqlite/sqlite.h"
#include "connector/sqlite/system.h"
#include "gen/workload.h"
#include "locallog/locallog.h"
#include "os/file.h"
#include "os/thread.h"
#include "inspect/audit.h"
#include "run/run.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif

enum { EXIT_LEAK = 92, ENTRIES_MAX = 4096 };

static const char pipeline[] =
    "version: 1\n"
    "name: stand\n"
    "source: {local: {path: in.db, topic: raw, start: earliest}, format: json}\n"
    "schema: " WEIR_EXAMPLES "/sensor.schema.json\n"
    "repair:\n"
    "  null_values: ['', 'N/A', 'NaN', -999]\n"
    "  coerce: [temperature, humidity]\n"
    "  fill: {humidity: {last_by: sensor_id, max_age: 20s}, battery: {value: 100}}\n"
    "event_time: {field: event_time, lateness: 20s, max_future: 5m}\n"
    "checks:\n"
    "  - {name: dew_point, expect: temperature > -45 + humidity / 5}\n"
    "dedup: {key: message_id, window: 40s}\n"
    "transform:\n"
    "  where: site <> 'test'\n"
    "  set: {temperature_f: temperature * 1.8 + 32, label: upper(site)}\n"
    "  drop: [internal_note]\n"
    "sinks:\n"
    "  all: {local: {path: in.db, topic: valid, key: sensor_id}}\n"
    "  table: {sqlite: {path: in.db, table: readings, mode: upsert, key: [message_id],"
    " newest_by: event_time}}\n"
    "  copy: {local: {path: copy.db, topic: valid, key: sensor_id}}\n"
    "  files: {file: {path: parts}}\n"
    "dlq: {local: {path: in.db, topic: dlq}, include: [invalid, late, rejected]}\n";

/* A table that refuses some readings. */
static const char table[] =
    "CREATE TABLE readings (message_id TEXT PRIMARY KEY, sensor_id TEXT, event_time TEXT,"
    " temperature REAL, humidity REAL, pressure REAL, battery INTEGER, site TEXT,"
    " temperature_f REAL, label TEXT, _weir_topic TEXT, _weir_partition TEXT,"
    " _weir_offset INTEGER, CHECK (CAST(temperature * 100 AS INTEGER) % 7 <> 3))";

_Noreturn static void wrong(const char *what, const char *detail)
{
    (void)fprintf(stderr, "WRONG: %s: %s\n", what, detail);
    _exit(STAND_EXIT_WRONG);
}

static void must(enum status status, const struct error *err, const char *what)
{
    if (status != STATUS_OK) {
        char text[900];
        (void)snprintf(text, sizeof text, "%s (%s)", err->message, err->code);
        wrong(what, text);
    }
}

static void path_of(char out[PATH_MAX], const char *folder, const char *name)
{
    check(snprintf(out, PATH_MAX, "%s/%s", folder, name) < PATH_MAX);
}

/* --- folders --- */

static void fill_topic(struct locallog *log, const struct locallog_topic *topic, uint64_t seed)
{
    struct workload_options options;
    workload_options_init(&options);
    options.seed = seed;
    options.record_count = STAND_RECORDS;
    options.partition_count = STAND_PARTITIONS;
    options.sensor_count = 6;
    options.rate_per_second = 1;
    for (int kind = 1; kind < WORKLOAD_KIND_COUNT; kind++) {
        options.shares[kind] = 0.02;
    }
    options.shares[WORKLOAD_DUPLICATE] = 0.1;
    struct error err = {0};
    struct workload *workload;
    must(workload_new(&options, &workload, &err), &err, "gen");
    struct record_batch_builder builders[STAND_PARTITIONS] = {0};
    struct workload_record record;
    must(locallog_begin(log, &err), &err, "begin");
    for (uint32_t i = 0; workload_next(workload, &record); i++) {
        struct record_batch_builder *builder = &builders[record.partition];
        record_batch_append(builder, record.key, record.value, NULL, 0);
        if (builder->count == 30 || i + STAND_PARTITIONS >= STAND_RECORDS) {
            must(locallog_append(log, topic, record.partition, builder, NULL, &err), &err, "append");
            record_batch_clear(builder);
        }
    }
    for (uint32_t p = 0; p < STAND_PARTITIONS; p++) {
        if (builders[p].count > 0) {
            must(locallog_append(log, topic, p, &builders[p], NULL, &err), &err, "append");
        }
        record_batch_fini(&builders[p]);
    }
    must(locallog_commit(log, &err), &err, "commit");
    workload_free(workload);
}

void stand_make(const char *folder, uint64_t seed)
{
    char path[PATH_MAX];
    struct error err = {0};
    must(folder_make(folder, &err), &err, "make a folder");
    path_of(path, folder, "pipeline.yaml");
    must(file_write_durably(path, bytes_of_string(pipeline), 0, &err), &err, "write");
    path_of(path, folder, "in.db");
    struct locallog *log;
    must(locallog_open(path, LOCALLOG_CREATE, &log, &err), &err, "open");
    struct locallog_topic topic;
    must(locallog_topic_create(log, "raw", STAND_PARTITIONS, &topic, &err), &err, "topic");
    fill_topic(log, &topic, seed);
    check(sqlite3_exec(locallog_database(log), table, NULL, NULL, NULL) == SQLITE_OK);
    locallog_close(log);
}

static char copy_from[PATH_MAX];
static char copy_to[PATH_MAX];

static int copy_one(const char *path, const struct stat *info, int type, struct FTW *position)
{
    (void)position;
    char target[2 * PATH_MAX];
    (void)snprintf(target, sizeof target, "%s%s", copy_to, path + strlen(copy_from));
    if (type == FTW_D) {
        return mkdir(target, 0777) == 0 ? 0 : -1;
    }
    FILE *in = fopen(path, "rb");
    FILE *out = fopen(target, "wb");
    char *content = memory_alloc((size_t)info->st_size);
    bool copied = in != NULL && out != NULL &&
                  fread(content, 1, (size_t)info->st_size, in) == (size_t)info->st_size &&
                  fwrite(content, 1, (size_t)info->st_size, out) == (size_t)info->st_size &&
                  fclose(out) == 0;
    if (in != NULL) {
        (void)fclose(in);
    }
    memory_free(content);
    return copied ? 0 : -1;
}

void stand_copy(const char *from, const char *to)
{
    (void)snprintf(copy_from, sizeof copy_from, "%s", from);
    (void)snprintf(copy_to, sizeof copy_to, "%s", to);
    check(nftw(from, copy_one, 16, FTW_PHYS) == 0);
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *position)
{
    (void)info;
    (void)type;
    (void)position;
    return remove(path);
}

void stand_remove(const char *folder)
{
    if (folder_exists(folder)) {
        check(nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0);
    }
}

char stand_base[160];
char stand_work[160];
char stand_image[160];
static char stand_folder[128];

int stand_setup(void **state)
{
    (void)state;
    const char *parent = getenv("TMPDIR");
    (void)snprintf(stand_folder, sizeof stand_folder, "%s/weir-torture-XXXXXX",
                   parent == NULL ? "/tmp" : parent);
    check(mkdtemp(stand_folder) != NULL);
    (void)snprintf(stand_base, sizeof stand_base, "%s/base", stand_folder);
    (void)snprintf(stand_work, sizeof stand_work, "%s/work", stand_folder);
    (void)snprintf(stand_image, sizeof stand_image, "%s/image", stand_folder);
    stand_make(stand_base, 1);
    return 0;
}

int stand_teardown(void **state)
{
    (void)state;
    stand_remove(stand_folder);
    return 0;
}

/* --- a run, watched --- */

struct stand_acknowledged *stand_acknowledged_new(void)
{
    void *memory = mmap(NULL, sizeof(struct stand_acknowledged), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    check(memory != MAP_FAILED);
    stand_acknowledged_clear(memory);
    return memory;
}

void stand_acknowledged_clear(struct stand_acknowledged *acknowledged)
{
    for (int s = 0; s < STAND_SYSTEMS; s++) {
        for (int p = 0; p < STAND_PARTITIONS; p++) {
            acknowledged->next_offset[s][p] = -1;
        }
    }
}

/* One run a process, so these need no home. The real operations stand behind watching ones. */
static struct {
    struct stand_run *run;
    const struct plan *plan;
    struct system_ops ops[STAND_SYSTEMS];
    const struct system_ops *real[STAND_SYSTEMS];
    struct source_ops source_ops;
    int64_t position[STAND_PARTITIONS];
} watch;

static uint32_t number_of(const struct system *system)
{
    uint32_t s = 0;
    while (watch.plan->systems[s] != system) {
        s++;
    }
    return s;
}

static int64_t *acknowledged_of(const struct system *system, const char *label)
{
    return watch.run->acknowledged == NULL
               ? NULL
               : &watch.run->acknowledged->next_offset[number_of(system)][atoi(label)];
}

static void acknowledge(const struct system *system, const struct progress *progress)
{
    int64_t *at = acknowledged_of(system, progress->partition);
    if (at != NULL) {
        *at = progress->next_offset;
    }
}

static enum status watch_load(struct system *system, const struct source_partition *partition,
                              struct progress *progress, bool *out_found, struct error *err)
{
    enum status status =
        watch.real[number_of(system)]->load(system, partition, progress, out_found, err);
    const int64_t *at = acknowledged_of(system, partition->label);
    if (status == STATUS_OK && at != NULL &&
        (*out_found ? progress->next_offset < *at : *at >= 0)) {
        char text[200];
        (void)snprintf(text, sizeof text, "%s [%s]: %lld was acknowledged, %lld is there",
                       system->name, partition->label, (long long)*at,
                       *out_found ? (long long)progress->next_offset : -1LL);
        wrong("lost", text);
    }
    return status;
}

static enum status watch_begin(struct system *system, const struct progress *progresses,
                               uint32_t count, const struct bytes *plan_texts, uint32_t plan_count,
                               struct error *err)
{
    enum status status = watch.real[number_of(system)]->begin(system, progresses, count, plan_texts,
                                                              plan_count, err);
    for (uint32_t i = 0; i < count && status == STATUS_OK; i++) {
        acknowledge(system, &progresses[i]);
    }
    return status;
}

static enum status watch_take_over(struct system *system, const struct progress *progresses,
                                   uint32_t count, uint64_t owner, struct bytes plan_text,
                                   struct error *err)
{
    if (watch.run->before_take_over != NULL) {
        watch.run->before_take_over(system->ops->place(system));
    }
    return watch.real[number_of(system)]->take_over(system, progresses, count, owner, plan_text,
                                                    err);
}

static enum status watch_commit(struct system *system, const struct epoch *epoch,
                                struct progress *progresses, struct error *err)
{
    if (watch.run->before_commit != NULL) {
        watch.run->before_commit(system->ops->place(system), epoch->number);
    }
    if (watch.run->stops_at_epoch > 0 && epoch->number >= watch.run->stops_at_epoch) {
        (void)kill(getpid(), SIGTERM);
    }
    enum status status =
        watch.real[number_of(system)]->commit(system, epoch, progresses, err);
    for (uint32_t i = 0; i < epoch->part_count && status == STATUS_OK; i++) {
        acknowledge(system, &progresses[epoch->parts[i].partition]);
    }
    /* Checkpoints belong to what can fail; by itself so little data would never bring one. */
    if (status == STATUS_OK && strcmp(system->ops->kind, "sqlite") == 0 && epoch->number % 3 == 0) {
        struct sqlite3 *db = locallog_database(sqlite_system_log(system));
        sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    }
    return status;
}

static enum status watch_seek(struct source *source, uint32_t partition, int64_t offset,
                              struct error *err)
{
    watch.position[partition] = offset;
    return local_source_ops.seek(source, partition, offset, err);
}

static enum status watch_read(struct source *source, uint32_t partition, struct batch *batch,
                              int64_t limit_offset, struct error *err)
{
    int64_t end = watch.position[partition] + watch.run->batch_rows;
    enum status status = local_source_ops.read(source, partition, batch,
                                               end < limit_offset ? end : limit_offset, err);
    if (batch->row_count > 0) {
        watch.position[partition] = batch->records[batch->row_count - 1].next_offset;
    }
    return status;
}

static enum status watch_open(const struct doc *config, const char *folder,
                              const struct csv_options *csv, struct source **out,
                              struct error *err)
{
    enum status status = local_source_ops.open(config, folder, csv, out, err);
    if (status == STATUS_OK) {
        (*out)->ops = &watch.source_ops;
    }
    return status;
}

static void watch_plan(struct plan *plan, struct stand_run *run)
{
    check(plan->system_count == STAND_SYSTEMS);
    watch.run = run;
    watch.plan = plan;
    for (uint32_t s = 0; s < STAND_SYSTEMS; s++) {
        watch.real[s] = plan->systems[s]->ops;
        watch.ops[s] = *plan->systems[s]->ops;
        watch.ops[s].load = watch_load;
        watch.ops[s].begin = watch_begin;
        watch.ops[s].take_over = watch_take_over;
        watch.ops[s].commit = watch_commit;
        plan->systems[s]->ops = &watch.ops[s];
    }
    watch.source_ops = *plan->source_ops;
    watch.source_ops.open = watch_open;
    watch.source_ops.seek = watch_seek;
    watch.source_ops.read = watch_read;
    plan->source_ops = &watch.source_ops;
    plan->commit_interval_us = 0;
    plan->snapshot_interval_us = run->snapshot_interval_us;
}

static void on_warning(void *context, const char *line)
{
    struct stand_run *run = context;
    run->warnings++;
    (void)snprintf(run->last_warning, sizeof run->last_warning, "%s", line);
    if (run->stops_at_warning && strstr(line, "repeating") != NULL) {
        (void)kill(getpid(), SIGTERM);
    }
}

static const char *no_environment(const char *name)
{
    (void)name;
    return NULL;
}

static enum status load_plan(const char *folder, struct plan **out, struct error *err)
{
    char path[PATH_MAX];
    path_of(path, folder, "pipeline.yaml");
    return plan_load(path, no_environment, out, err);
}

enum status stand_run(const char *folder, struct stand_run *run, struct error *err)
{
    struct plan *plan = NULL;
    enum status status = load_plan(folder, &plan, err);
    if (status != STATUS_OK) {
        return status;
    }
    watch_plan(plan, run);
    const struct run_observer observer = {.context = run, .warning = on_warning};
    const struct run_options options = {.until_end = true};
    struct run_result result = {0};
    status = run_pipeline(plan, &options, &observer, &result, err);
    run_result_fini(&result);
    plan_free(plan);
    return status;
}

/* --- what is there --- */

struct chain {
    struct hash128 key;
    struct hash128 hash;
};

/* One place: the hash over the rows of each key, in order. */
struct chains {
    struct chain items[ENTRIES_MAX];
    size_t count;
};

static void chain_add(struct chains *chains, struct bytes key, struct bytes row)
{
    struct hash128 hash = hash_plain(key.data, key.size);
    size_t i = 0;
    while (i < chains->count && !hash_equal(chains->items[i].key, hash)) {
        i++;
    }
    check(i < ENTRIES_MAX);
    if (i == chains->count) {
        chains->items[chains->count++] = (struct chain){.key = hash};
    }
    struct hash128 both[2] = {chains->items[i].hash, hash_plain(row.data, row.size)};
    chains->items[i].hash = hash_plain(both, sizeof both);
}

static void add_hash(struct hash128 *sum, struct hash128 hash)
{
    *sum = hash_add(*sum, hash);
}

static struct hash128 chains_sum(const struct chains *chains)
{
    struct hash128 sum = {0};
    for (size_t i = 0; i < chains->count; i++) {
        add_hash(&sum, hash_plain(&chains->items[i], sizeof chains->items[i]));
    }
    return sum;
}

static void append_record(struct buffer *out, const struct record *record)
{
    buffer_append_sized(out, record->value.data, record->value.size);
    for (uint32_t h = 0; h < record->header_count; h++) {
        buffer_append_sized(out, record->headers[h].name.data, record->headers[h].name.size);
        buffer_append_sized(out, record->headers[h].value.data, record->headers[h].value.size);
    }
}

/* Dead letters of refused rows come behind the others of their transaction, so they are a sequence
 * of their own. */
static void append_sequence(struct buffer *out, const struct record *record)
{
    buffer_append(out, record->key.data, record->key.size);
    for (uint32_t h = 0; h < record->header_count; h++) {
        if (bytes_equal(record->headers[h].name, bytes_of_string("weir.sink"))) {
            buffer_append(out, record->headers[h].value.data, record->headers[h].value.size);
        }
    }
}

static void read_topic(struct locallog *log, const char *name, struct hash128 *sum)
{
    struct error err = {0};
    struct locallog_topic topic;
    bool found = false;
    must(locallog_topic_find(log, name, &topic, &found, &err), &err, name);
    struct chains *chains = memory_alloc_zero(1, sizeof *chains);
    const struct layout layout = {0};
    struct batch *batch = batch_new(&layout);
    struct buffer row = {0};
    struct buffer key = {0};
    for (uint32_t p = 0; found && p < topic.partitions; p++) {
        struct locallog_reader *reader;
        must(locallog_reader_open(log, &topic, p, &reader, &err), &err, name);
        do {
            batch_reset(batch, p, 0);
            must(locallog_reader_read(reader, batch, INT64_MAX, &err), &err, name);
            for (uint32_t i = 0; i < batch->row_count; i++) {
                buffer_clear(&row);
                append_record(&row, &batch->records[i]);
                buffer_clear(&key);
                append_sequence(&key, &batch->records[i]);
                chain_add(chains, bytes_of(key.data, key.size), bytes_of(row.data, row.size));
            }
        } while (batch->row_count > 0);
        locallog_reader_close(reader);
    }
    add_hash(sum, chains_sum(chains));
    buffer_fini(&row);
    buffer_fini(&key);
    batch_free(batch);
    memory_free(chains);
}

static void read_table(struct locallog *log, struct hash128 *sum)
{
    sqlite3_stmt *statement;
    check(sqlite3_prepare_v2(locallog_database(log), "SELECT * FROM readings", -1, &statement,
                             NULL) == SQLITE_OK);
    struct buffer row = {0};
    int result;
    while ((result = sqlite3_step(statement)) == SQLITE_ROW) {
        buffer_clear(&row);
        for (int i = 0; i < sqlite3_column_count(statement); i++) {
            const void *text = sqlite3_column_text(statement, i);
            buffer_append_sized(&row, text, (size_t)sqlite3_column_bytes(statement, i));
        }
        add_hash(sum, hash_plain(row.data, row.size));
    }
    if (result != SQLITE_DONE) {
        wrong("table", sqlite3_errmsg(locallog_database(log)));
    }
    sqlite3_finalize(statement);
    buffer_fini(&row);
}

/* Parts in the order of their offsets: names are `<label>-<first>-<next>`, with leading zeros. */
static void read_parts(const char *folder, struct hash128 *sum)
{
    struct arena *arena = arena_new(4096);
    char path[PATH_MAX];
    path_of(path, folder, "parts");
    const char **names;
    size_t count;
    struct error err = {0};
    must(folder_list(arena, path, &names, &count, &err), &err, "parts");
    struct buffer lines[STAND_PARTITIONS] = {0};
    for (size_t i = 0; i < count; i++) {
        if (names[i][0] != '.') {
            must(file_read(arena_printf(arena, "%s/%s", path, names[i]), 1 << 24,
                           &lines[atoi(names[i])], &err),
                 &err, names[i]);
        }
    }
    for (size_t p = 0; p < STAND_PARTITIONS; p++) {
        add_hash(sum, hash_plain(lines[p].data, lines[p].size));
        buffer_fini(&lines[p]);
    }
    arena_free(arena);
}

static struct locallog *open_log(const char *folder, const char *name)
{
    char path[PATH_MAX];
    path_of(path, folder, name);
    struct locallog *log;
    struct error err = {0};
    must(locallog_open(path, LOCALLOG_WRITE, &log, &err), &err, name);
    return log;
}

struct hash128 stand_digest(const char *folder)
{
    struct hash128 sum = {0};
    struct locallog *log = open_log(folder, "in.db");
    read_topic(log, "valid", &sum);
    read_topic(log, "dlq", &sum);
    read_table(log, &sum);
    locallog_close(log);
    log = open_log(folder, "copy.db");
    read_topic(log, "valid", &sum);
    locallog_close(log);
    read_parts(folder, &sum);
    return sum;
}

static void on_finding(void *context, const char *line)
{
    (void)context;
    (void)fprintf(stderr, "audit: %s\n", line);
}

/* A stand in which something does not happen would not show that it can go wrong. */
static void check_variety(const struct ledger *ledger)
{
    for (int verdict = VERDICT_VALID; verdict < VERDICT_COUNT; verdict++) {
        if (ledger->verdicts[verdict] == 0) {
            wrong("no row is", verdict_name((enum verdict)verdict));
        }
    }
    const struct ledger_sink *sink = ledger_find_sink(ledger, "table");
    if (sink == NULL || sink->rejected == 0 || sink->written == 0) {
        wrong("no row is", "refused by the table");
    }
}

enum status stand_audit(const char *folder, bool *out_clean, struct error *err)
{
    struct plan *plan = NULL;
    enum status status = load_plan(folder, &plan, err);
    if (status != STATUS_OK) {
        return status;
    }
    const struct run_observer observer = {0};
    struct audit_result result = {0};
    status = audit_pipeline(plan, &observer, on_finding, NULL, &result, err);
    *out_clean = result.missing + result.doubled + result.altered + result.foreign +
                         result.differences + result.unverifiable ==
                     0 &&
                 result.ledger.in == STAND_RECORDS;
    if (status == STATUS_OK && *out_clean) {
        check_variety(&result.ledger);
    }
    audit_result_fini(&result);
    plan_free(plan);
    return status;
}

bool stand_is_right(const char *folder, struct hash128 digest)
{
    struct error err = {0};
    bool right = false;
    must(stand_audit(folder, &right, &err), &err, "audit");
    if (!hash_equal(stand_digest(folder), digest)) {
        (void)fprintf(stderr, "the outputs are not those of a run without faults\n");
        right = false;
    }
    return right;
}

/* --- processes --- */

int stand_fork(void (*body)(void *context), void *context, unsigned limit_s)
{
    (void)fflush(NULL);
    pid_t child = fork();
    check(child >= 0);
    if (child == 0) {
        alarm(limit_s);
        stop_signals_install();
        body(context);
#ifdef __SANITIZE_ADDRESS__
        if (__lsan_do_recoverable_leak_check() != 0) {
            _exit(EXIT_LEAK);
        }
#endif
        _exit(0);
    }
    int status;
    check(waitpid(child, &status, 0) == child);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
