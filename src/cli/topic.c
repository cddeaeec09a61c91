/* weir topic: make, change, delete, trim and verify topics of a local log. */
#include <string.h>

#include "base/time.h"
#include "cli/topic.h"
#include "cli/verbs.h"
#include "connector/sqlite/topic_users.h"
#include "os/thread.h"

#define PARTITIONS_OTHERWISE 3

enum status topic_find(struct locallog *log, const struct place *place, struct locallog_topic *out,
                       struct error *err)
{
    bool found = false;
    enum status status = locallog_topic_find(log, place->name, out, &found, err);
    if (status == STATUS_OK && !found) {
        return error_set(err, STATUS_CONFIG, "topic.missing",
                         "%s has no topic '%s'; 'weir topic list local:%s' lists those it has",
                         place->path, place->name, place->path);
    }
    return status;
}

/* --- what a topic keeps --- */

void topic_describe_retention(const struct locallog_retention *retention, struct buffer *out)
{
    static const struct {
        const char *unit;
        int64_t bytes;
    } units[] = {{"GiB", INT64_C(1) << 30}, {"MiB", INT64_C(1) << 20}, {"KiB", INT64_C(1) << 10},
                 {"B", 1}};
    if (retention->age_us == 0 && retention->bytes == 0) {
        buffer_append_string(out, "all");
        return;
    }
    if (retention->age_us > 0) {
        char age[64];
        duration_format(retention->age_us, age, sizeof age);
        buffer_append_string(out, age);
    }
    for (size_t i = 0; retention->bytes > 0; i++) {
        if (retention->bytes % units[i].bytes == 0) {
            buffer_printf(out, "%s%lld%s", retention->age_us > 0 ? ", " : "",
                          (long long)(retention->bytes / units[i].bytes), units[i].unit);
            return;
        }
    }
}

/* What the options say, in place of what holds; "unlimited" takes a limit away. */
static enum status read_retention(const struct cli_arguments *arguments,
                                  struct locallog_retention *retention, struct error *err)
{
    const char *age = cli_value(arguments, "retention");
    const char *size = cli_value(arguments, "retention-bytes");
    uint64_t bytes = 0;
    if (age != NULL && strcmp(age, "unlimited") == 0) {
        retention->age_us = 0;
    } else if (age != NULL && (!duration_parse(age, &retention->age_us) ||
                               retention->age_us == 0)) {
        return error_set(err, STATUS_CONFIG, "use.value",
                         "--retention takes a duration such as 7d or 12h, or unlimited, not '%s'",
                         age);
    }
    if (size != NULL && strcmp(size, "unlimited") == 0) {
        retention->bytes = 0;
    } else if (size != NULL) {
        if (!size_parse(size, &bytes) || bytes == 0 || bytes > INT64_MAX) {
            return error_set(err, STATUS_CONFIG, "use.value",
                             "--retention-bytes takes a size such as 10GiB, or unlimited, not '%s'",
                             size);
        }
        retention->bytes = (int64_t)bytes;
    }
    return STATUS_OK;
}

static bool gives_retention(const struct cli_arguments *arguments)
{
    return cli_given(arguments, "retention") || cli_given(arguments, "retention-bytes");
}

static void print_topic(const struct locallog_topic *topic,
                        const struct locallog_retention *retention, const char *what)
{
    struct buffer keeps = {0};
    topic_describe_retention(retention, &keeps);
    fprintf(stderr, "topic %s with %u partition%s %s, keeps %s\n", topic->name, topic->partitions,
            topic->partitions == 1 ? "" : "s", what, buffer_string(&keeps));
    buffer_fini(&keeps);
}

static enum status alter(const struct cli_arguments *arguments, const struct place *place,
                         struct error *err)
{
    struct locallog *log = NULL;
    struct locallog_topic topic;
    struct locallog_retention retention = {0};
    enum status status = STATUS_OK;
    if (!gives_retention(arguments)) {
        status = error_set(err, STATUS_CONFIG, "use.arguments",
                           "'weir topic alter' changes what a topic keeps: give --retention or "
                           "--retention-bytes");
    }
    if (status == STATUS_OK) {
        status = locallog_open(place->path, LOCALLOG_WRITE, &log, err);
    }
    if (status == STATUS_OK) {
        status = topic_find(log, place, &topic, err);
    }
    if (status == STATUS_OK) {
        status = locallog_retention_read(log, &topic, &retention, err);
    }
    if (status == STATUS_OK) {
        status = read_retention(arguments, &retention, err);
    }
    if (status == STATUS_OK) {
        status = locallog_retention_write(log, &topic, &retention, err);
    }
    if (status == STATUS_OK) {
        print_topic(&topic, &retention, "changed");
    }
    locallog_close(log);
    return status;
}

/* --- create --- */

/* Topic and limits in one transaction: there is none without the limits that it was to have. */
static enum status create_in(struct locallog *log, const struct cli_arguments *arguments,
                             const struct place *place, uint32_t partitions, bool *out_found,
                             struct error *err)
{
    struct locallog_topic topic;
    struct locallog_retention retention = {0};
    enum status status = locallog_begin(log, err);
    if (status == STATUS_OK) {
        status = locallog_topic_find(log, place->name, &topic, out_found, err);
    }
    if (status == STATUS_OK && (!*out_found || cli_given(arguments, "partitions"))) {
        status = locallog_topic_create(log, place->name, partitions, &topic, err);
    }
    if (status == STATUS_OK) {
        status = locallog_retention_read(log, &topic, &retention, err);
    }
    if (status == STATUS_OK && *out_found && gives_retention(arguments)) {
        status = error_set(err, STATUS_CONFIG, "topic.exists",
                           "topic '%s' is there already; 'weir topic alter' changes what it keeps",
                           topic.name);
    }
    if (status == STATUS_OK && gives_retention(arguments)) {
        status = read_retention(arguments, &retention, err);
        if (status == STATUS_OK) {
            status = locallog_retention_write(log, &topic, &retention, err);
        }
    }
    if (status == STATUS_OK) {
        status = locallog_commit(log, err);
    }
    if (status == STATUS_OK) {
        print_topic(&topic, &retention, *out_found ? "was there already" : "created");
    }
    return status;
}

static enum status create(const struct cli_arguments *arguments, const struct place *place,
                          struct error *err)
{
    struct locallog *log = NULL;
    struct locallog_retention unused = {0};
    int64_t partitions = 0;
    bool found = false;
    enum status status = cli_integer(arguments, "partitions", 1, LOCALLOG_PARTITIONS_MAX,
                                     PARTITIONS_OTHERWISE, &partitions, err);
    if (status == STATUS_OK) {
        status = read_retention(arguments, &unused, err); /* before a file is made */
    }
    if (status == STATUS_OK) {
        status = locallog_open(place->path, LOCALLOG_CREATE, &log, err);
    }
    if (status == STATUS_OK) {
        status = create_in(log, arguments, place, (uint32_t)partitions, &found, err);
    }
    locallog_close(log);
    return status;
}

/* --- delete --- */

static enum status count_records(struct locallog *log, const struct locallog_topic *topic,
                                 uint64_t *out, struct error *err)
{
    *out = 0;
    for (uint32_t i = 0; i < topic->partitions; i++) {
        int64_t first_offset = 0;
        int64_t next_offset = 0;
        enum status status = locallog_bounds(log, topic, i, &first_offset, &next_offset, err);
        if (status != STATUS_OK) {
            return status;
        }
        *out += (uint64_t)(next_offset - first_offset);
    }
    return STATUS_OK;
}

static enum status refuse_used(void *context, const char *pipeline, struct error *err)
{
    const struct locallog_topic *topic = context;
    return error_set(err, STATUS_CONFIG, "topic.in_use",
                     "pipeline '%s' is running, and reads topic '%s' or writes to it: stop it "
                     "first",
                     pipeline, topic->name);
}

static enum status delete_topic(const struct cli_arguments *arguments, const struct place *place,
                                struct error *err)
{
    struct locallog *log = NULL;
    struct locallog_topic topic;
    uint64_t records = 0;
    char count[27];
    enum status status = locallog_open(place->path, LOCALLOG_WRITE, &log, err);
    if (status == STATUS_OK) {
        status = topic_find(log, place, &topic, err);
    }
    if (status == STATUS_OK) {
        status = count_records(log, &topic, &records, err);
    }
    cli_count(records, count);
    if (status == STATUS_OK && !cli_given(arguments, "yes")) {
        status = error_set(err, STATUS_CONFIG, "topic.delete",
                           "topic '%s' holds %s record%s, which would be gone for good; --yes "
                           "deletes it",
                           topic.name, count, records == 1 ? "" : "s");
    }
    if (status == STATUS_OK) {
        status = topic_users_each(log, topic.name, refuse_used, &topic, err);
    }
    if (status == STATUS_OK) {
        status = locallog_topic_delete(log, topic.name, err);
    }
    if (status == STATUS_OK) {
        fprintf(stderr, "topic %s with %s record%s deleted\n", topic.name, count,
                records == 1 ? "" : "s");
    }
    locallog_close(log);
    return status;
}

/* --- trim --- */

static enum status trim(const struct cli_arguments *arguments, const struct place *place,
                        struct error *err)
{
    (void)arguments;
    struct locallog *log = NULL;
    struct locallog_trimmed trimmed = {0};
    enum status status = locallog_open(place->path, LOCALLOG_WRITE, &log, err);
    if (status == STATUS_OK) {
        status = locallog_trim(log, &trimmed, err);
        char records[27];
        char rows[27];
        char bytes[27];
        fprintf(stderr, "%s old records in %s batches deleted (%s bytes); ",
                cli_count(trimmed.records, records), cli_count(trimmed.rows, rows),
                cli_count(trimmed.bytes, bytes));
        fprintf(stderr, "%s small batches merged into %s; %s bytes given back\n",
                cli_count(trimmed.merged_rows, records), cli_count(trimmed.written_rows, rows),
                cli_count(trimmed.freed_bytes, bytes));
    }
    locallog_close(log);
    return status;
}

/* --- verify --- */

static void print_problem(void *context, const char *topic, uint32_t partition, int64_t offset,
                          const char *what)
{
    (void)context;
    if (topic[0] == '\0') {
        printf("the file: %s\n", what);
    } else {
        printf("topic %s, partition %u, offset %lld: %s\n", topic, partition, (long long)offset,
               what);
    }
}

static enum status verify(const struct cli_arguments *arguments, const struct place *place,
                          struct error *err)
{
    (void)arguments;
    struct locallog *log = NULL;
    struct locallog_verified verified = {0};
    enum status status = locallog_open(place->path, LOCALLOG_READ, &log, err);
    if (status == STATUS_OK) {
        status = locallog_verify(log, print_problem, NULL, &verified, err);
    }
    if (status == STATUS_OK && stop_requested()) {
        status = error_set(err, STATUS_RETRY, "topic.stopped", "stopped before the end");
    }
    char records[27];
    char rows[27];
    if (status == STATUS_OK && verified.problems > 0) {
        fflush(stdout);
        status = error_set(err, STATUS_FATAL, "log.corrupt",
                           "%s is damaged in %llu place%s. Keep a copy of it and of its -wal "
                           "file, then put a backup in its place, the -wal and -shm removed first",
                           place->path, (unsigned long long)verified.problems,
                           verified.problems == 1 ? "" : "s");
    } else if (status == STATUS_OK) {
        fprintf(stderr, "%s records in %s batches are sound\n",
                cli_count(verified.records, records), cli_count(verified.rows, rows));
    }
    locallog_close(log);
    return status;
}

/* --- the verb --- */

static const struct action {
    const char *name;
    bool needs_topic;
    enum status (*run)(const struct cli_arguments *arguments, const struct place *place,
                       struct error *err);
} actions[] = {
    {"create", true, create},
    {"list", false, topic_list},
    {"describe", true, topic_describe},
    {"alter", true, alter},
    {"delete", true, delete_topic},
    {"trim", false, trim},
    {"verify", false, verify},
};
#define ACTION_COUNT (sizeof actions / sizeof actions[0])

static enum status find_action(const char *name, const struct action **out, struct error *err)
{
    const char *names[ACTION_COUNT];
    for (size_t i = 0; i < ACTION_COUNT; i++) {
        if (strcmp(actions[i].name, name) == 0) {
            *out = &actions[i];
            return STATUS_OK;
        }
        names[i] = actions[i].name;
    }
    const char *nearest = string_nearest(name, names, ACTION_COUNT);
    return error_set(err, STATUS_CONFIG, "use.arguments",
                     "weir topic can create, list, describe, alter, delete, trim and verify, not "
                     "'%s'%s%s%s",
                     name,
                     nearest == NULL ? "" : "; did you mean '", nearest == NULL ? "" : nearest,
                     nearest == NULL ? "" : "'?");
}

static enum status run(const struct cli_arguments *arguments, struct error *err)
{
    const struct action *action = NULL;
    struct arena *arena = arena_new(4096);
    struct place place = {0};
    enum status status = find_action(arguments->positional[0], &action, err);
    if (status == STATUS_OK) {
        const char *text = arguments->positional[1];
        status = action->needs_topic ? place_parse_topic(arena, text, "topic", &place, err)
                                     : place_parse_log(arena, text, "topic", &place, err);
    }
    if (status == STATUS_OK) {
        status = action->run(arguments, &place, err);
    }
    arena_free(arena);
    return status;
}

static const struct cli_option options[] = {
    {"partitions", "N", "create: 3 unless given"},
    {"retention", "TIME", "create, alter: records older than that go; unlimited unless given"},
    {"retention-bytes", "SIZE", "create, alter: above that size the oldest go; unlimited unless "
                                "given"},
    {"json", NULL, "list, describe: as JSON"},
    {"yes", NULL, "delete: really"},
    {0},
};

const struct cli_verb verb_topic = {
    .name = "topic",
    .arguments = "create|list|describe|alter|delete|trim|verify PLACE [--partitions N] "
                 "[--retention TIME] [--retention-bytes SIZE] [--json] [--yes]",
    .summary = "make, list, describe, change and delete topics",
    .details =
        "create local:PATH#topic --partitions N   makes file and topic where they are missing\n"
        "list local:PATH                          the topics of a local log\n"
        "describe local:PATH#topic                offsets, records and bytes per partition, and\n"
        "                                         how far the groups are\n"
        "alter local:PATH#topic --retention TIME  what it keeps from now on\n"
        "delete local:PATH#topic --yes            the topic, its records and its groups' offsets\n"
        "trim local:PATH                          deletes at once what no topic keeps, merges\n"
        "                                         small batches, gives free space back\n"
        "verify local:PATH                        reads everything and names what is damaged\n"
        "\n"
        "Retention deletes whole batches, the oldest first; --retention-bytes counts all\n"
        "partitions of the topic together, as stored. Groups that have not read them are not\n"
        "waited for. While weir writes to the file, it trims in the background, bit by bit.",
    .options = options,
    .least = 2,
    .most = 2,
    .run = run,
};
