/* weir topic: make, list, describe, change, check, delete, trim and verify topics. */
#include <string.h>

#include "base/time.h"
#include "cli/topic.h"
#include "cli/verbs.h"
#include "connector/registry.h"
#include "os/thread.h"

enum status topic_open(const struct place *place, enum topics_mode mode, struct topics **out,
                       struct error *err)
{
    const struct topics_ops *ops = registry_source(place->connector)->topics;
    if (ops == NULL) {
        return error_set(err, STATUS_CONFIG, "use.place",
                         "the topics of '%s' are made and listed by the service itself, not by weir",
                         place->text);
    }
    return ops->open(place->config, place->folder, mode, out, err);
}

enum status topic_missing(const struct place *place, struct error *err)
{
    return place->kind == PLACE_TOPIC
               ? error_set(err, STATUS_CONFIG, "topic.missing",
                           "%s has no topic '%s'; 'weir topic list local:%s' lists those it has",
                           place->path, place->name, place->path)
               : error_set(err, STATUS_CONFIG, "topic.missing",
                           "the brokers have no topic '%s'; 'weir topic list %s' lists those they "
                           "have",
                           place->name, place->text);
}

/* --- what a topic keeps --- */

void topic_describe_keeping(const struct topic_state *state, struct buffer *out)
{
    static const struct {
        const char *unit;
        int64_t bytes;
    } units[] = {{"GiB", INT64_C(1) << 30}, {"MiB", INT64_C(1) << 20}, {"KiB", INT64_C(1) << 10},
                 {"B", 1}};
    const struct source_retention *kept = &state->retention;
    if (state->is_compacted) {
        buffer_append_string(out, "the last of each key");
    } else if (kept->age_us == 0 && kept->bytes == 0) {
        buffer_append_string(out, kept->is_known ? "all" : "what the brokers do not tell");
    }
    if (kept->age_us > 0) {
        char age[64];
        duration_format(kept->age_us, age, sizeof age);
        buffer_printf(out, "%s%s", state->is_compacted ? ", " : "", age);
    }
    for (size_t i = 0; kept->bytes > 0; i++) {
        if (kept->bytes % units[i].bytes == 0) {
            buffer_printf(out, "%s%lld%s", kept->age_us > 0 || state->is_compacted ? ", " : "",
                          (long long)(kept->bytes / units[i].bytes), units[i].unit);
            return;
        }
    }
}

/* What --retention and --retention-bytes say; TOPICS_UNTOLD where they say nothing, 0 for
 * unlimited. */
static enum status read_limits(const struct cli_arguments *arguments, int64_t *out_age_us,
                               int64_t *out_bytes, struct error *err)
{
    const char *age = cli_value(arguments, "retention");
    const char *size = cli_value(arguments, "retention-bytes");
    uint64_t bytes = 0;
    *out_age_us = *out_bytes = TOPICS_UNTOLD;
    if (age != NULL && strcmp(age, "unlimited") == 0) {
        *out_age_us = 0;
    } else if (age != NULL && (!duration_parse(age, out_age_us) || *out_age_us == 0)) {
        return error_set(err, STATUS_CONFIG, "use.value",
                         "--retention takes a duration such as 7d or 12h, or unlimited, not '%s'",
                         age);
    }
    if (size != NULL && strcmp(size, "unlimited") == 0) {
        *out_bytes = 0;
    } else if (size != NULL) {
        if (!size_parse(size, &bytes) || bytes == 0 || bytes > INT64_MAX) {
            return error_set(err, STATUS_CONFIG, "use.value",
                             "--retention-bytes takes a size such as 10GiB, or unlimited, not '%s'",
                             size);
        }
        *out_bytes = (int64_t)bytes;
    }
    return STATUS_OK;
}

static bool gives_retention(const struct cli_arguments *arguments)
{
    return cli_given(arguments, "retention") || cli_given(arguments, "retention-bytes");
}

void topic_print(const struct topic_state *state, const char *what)
{
    struct buffer keeps = {0};
    topic_describe_keeping(state, &keeps);
    fprintf(stderr, "topic %s with %u partition%s", state->name, state->partitions,
            state->partitions == 1 ? "" : "s");
    if (state->replication > 0) {
        fprintf(stderr, " on %u broker%s", state->replication, state->replication == 1 ? "" : "s");
    }
    fprintf(stderr, " %s, keeps %s\n", what, buffer_string(&keeps));
    buffer_fini(&keeps);
}

static enum status alter(const struct cli_arguments *arguments, const struct place *place,
                         struct error *err)
{
    struct topics *topics = NULL;
    struct topic_state state = {0};
    int64_t age_us = 0;
    int64_t bytes = 0;
    bool found = false;
    enum status status = read_limits(arguments, &age_us, &bytes, err);
    if (status == STATUS_OK && !gives_retention(arguments)) {
        status = error_set(err, STATUS_CONFIG, "use.arguments",
                           "'weir topic alter' changes what a topic keeps: give --retention or "
                           "--retention-bytes");
    }
    if (status == STATUS_OK) {
        status = topic_open(place, TOPICS_CHANGE, &topics, err);
    }
    if (status == STATUS_OK) {
        status = topics->ops->find(topics, place->name, &state, &found, err);
    }
    if (status == STATUS_OK && !found) {
        status = topic_missing(place, err);
    }
    if (status == STATUS_OK && state.is_compacted) {
        status = error_set(err, STATUS_CONFIG, "topic.compacted",
                           "topic '%s' is compacted: it keeps the last record of each key, whatever "
                           "its age",
                           place->name);
    }
    if (status == STATUS_OK) {
        status = topics->ops->keep(topics, place->name, age_us, bytes, err);
    }
    if (status == STATUS_OK) {
        status = topics->ops->find(topics, place->name, &state, &found, err);
    }
    if (status == STATUS_OK && found) {
        topic_print(&state, "changed");
    }
    if (topics != NULL) {
        topics->ops->close(topics);
    }
    return status;
}

/* --- create --- */

static enum status refuse_other(const struct cli_arguments *arguments,
                                const struct topic_wish *wish, const struct topic_state *state,
                                struct error *err)
{
    if (wish->partitions != 0 && wish->partitions != state->partitions) {
        return error_set(err, STATUS_CONFIG, "topic.exists",
                         "topic '%s' is there already with %u partitions, not %u; the number does "
                         "not change",
                         state->name, state->partitions, wish->partitions);
    }
    if (wish->replication != 0 && wish->replication != state->replication) {
        return error_set(err, STATUS_CONFIG, "topic.exists",
                         "topic '%s' is there already, on %u brokers, not %u; "
                         "kafka-reassign-partitions.sh moves it",
                         state->name, state->replication, wish->replication);
    }
    if (gives_retention(arguments)) {
        return error_set(err, STATUS_CONFIG, "topic.exists",
                         "topic '%s' is there already; 'weir topic alter' changes what it keeps",
                         state->name);
    }
    return STATUS_OK;
}

static enum status read_wish(const struct cli_arguments *arguments, const char *name,
                             struct topic_wish *out, struct error *err)
{
    int64_t partitions = 0;
    int64_t replication = 0;
    *out = (struct topic_wish){.name = name};
    enum status status =
        cli_integer(arguments, "partitions", 1, 100000, 0, &partitions, err);
    if (status == STATUS_OK) {
        status = cli_integer(arguments, "replication", 1, 100, 0, &replication, err);
    }
    if (status == STATUS_OK) {
        status = read_limits(arguments, &out->age_us, &out->bytes, err);
    }
    out->timestamps = cli_value(arguments, "timestamps");
    if (status == STATUS_OK && out->timestamps != NULL &&
        strcmp(out->timestamps, "broker") != 0 && strcmp(out->timestamps, "producer") != 0) {
        status = error_set(err, STATUS_CONFIG, "use.value",
                           "--timestamps takes broker or producer, not '%s'", out->timestamps);
    }
    out->partitions = (uint32_t)partitions;
    out->replication = (uint32_t)replication;
    return status;
}

static enum status create(const struct cli_arguments *arguments, const struct place *place,
                          struct error *err)
{
    struct topics *topics = NULL;
    struct topic_wish wish;
    struct topic_state state = {0};
    bool was_there = false;
    enum status status = read_wish(arguments, place->name, &wish, err); /* before a file is made */
    if (status == STATUS_OK) {
        status = topic_open(place, TOPICS_MAKE, &topics, err);
    }
    if (status == STATUS_OK) {
        status = topics->ops->make(topics, &wish, &state, &was_there, err);
    }
    if (status == STATUS_OK && was_there) {
        status = refuse_other(arguments, &wish, &state, err);
    }
    if (status == STATUS_OK) {
        topic_print(&state, was_there ? "was there already" : "created");
    }
    if (topics != NULL) {
        topics->ops->close(topics);
    }
    return status;
}

/* --- delete --- */

static enum status refuse_used(void *context, const char *user, struct error *err)
{
    const struct place *place = context;
    return place->kind == PLACE_TOPIC
               ? error_set(err, STATUS_CONFIG, "topic.in_use",
                           "pipeline '%s' is running, and reads topic '%s' or writes to it: stop it "
                           "first",
                           user, place->name)
               : error_set(err, STATUS_CONFIG, "topic.in_use",
                           "group '%s' has members that read topic '%s': stop them first", user,
                           place->name);
}

static enum status delete_found(const struct cli_arguments *arguments, const struct place *place,
                                struct topics *topics, const struct topic_state *state,
                                struct error *err)
{
    const bool is_told = state->records != TOPICS_UNTOLD;
    const int64_t records = is_told ? state->records : state->offsets;
    char count[27];
    char what[80];
    (void)snprintf(what, sizeof what, "%s%s record%s", is_told ? "" : "up to ",
                   cli_count((uint64_t)records, count), records == 1 ? "" : "s");
    if (!cli_given(arguments, "yes")) {
        return error_set(err, STATUS_CONFIG, "topic.delete",
                         "topic '%s' holds %s, which would be gone for good; --yes deletes it",
                         place->name, what);
    }
    enum status status =
        topics->ops->users(topics, place->name, refuse_used, (void *)(uintptr_t)place, err);
    if (status == STATUS_OK) {
        status = topics->ops->remove(topics, place->name, err);
    }
    if (status == STATUS_OK) {
        fprintf(stderr, "topic %s with %s deleted\n", place->name, what);
    }
    return status;
}

static enum status delete_topic(const struct cli_arguments *arguments, const struct place *place,
                                struct error *err)
{
    struct topics *topics = NULL;
    struct topic_state state = {0};
    bool found = false;
    enum status status = topic_open(place, TOPICS_CHANGE, &topics, err);
    if (status == STATUS_OK) {
        status = topics->ops->find(topics, place->name, &state, &found, err);
    }
    if (status == STATUS_OK && !found) {
        status = topic_missing(place, err);
    }
    if (status == STATUS_OK) {
        status = delete_found(arguments, place, topics, &state, err);
    }
    if (topics != NULL) {
        topics->ops->close(topics);
    }
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

enum needs {
    NEEDS_TOPIC,
    NEEDS_TOPICS,    /* the place that has them */
    NEEDS_LOG,
};

static const struct action {
    const char *name;
    enum needs needs;
    enum status (*run)(const struct cli_arguments *arguments, const struct place *place,
                       struct error *err);
    /* Of all topics of a pipeline file; NULL: it takes none. */
    enum status (*run_pipeline)(const struct cli_arguments *arguments, const char *pipeline,
                                struct error *err);
} actions[] = {
    {"create", NEEDS_TOPIC, create, topic_create_all},
    {"list", NEEDS_TOPICS, topic_list, NULL},
    {"describe", NEEDS_TOPIC, topic_describe, NULL},
    {"check", NEEDS_TOPIC, NULL, topic_check},
    {"alter", NEEDS_TOPIC, alter, NULL},
    {"delete", NEEDS_TOPIC, delete_topic, NULL},
    {"trim", NEEDS_LOG, trim, NULL},
    {"verify", NEEDS_LOG, verify, NULL},
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
                     "weir topic can create, list, describe, check, alter, delete, trim and "
                     "verify, not '%s'%s%s%s",
                     name,
                     nearest == NULL ? "" : "; did you mean '", nearest == NULL ? "" : nearest,
                     nearest == NULL ? "" : "'?");
}

static enum status read_place(struct arena *arena, const struct action *action, const char *text,
                              struct place *out, struct error *err)
{
    if (action->run == NULL) {
        return error_set(err, STATUS_CONFIG, "use.place",
                         "weir topic %s takes a pipeline file, not '%s'", action->name, text);
    }
    switch (action->needs) {
    case NEEDS_LOG:
        return place_parse_log(arena, text, "topic", out, err);
    case NEEDS_TOPIC:
    case NEEDS_TOPICS:
    default: {
        enum status status = place_parse_topics(arena, text, "topic", out, err);
        return status == STATUS_OK && action->needs == NEEDS_TOPIC ? place_require_name(out, err)
                                                                   : status;
    }
    }
}

static enum status run(const struct cli_arguments *arguments, struct error *err)
{
    const struct action *action = NULL;
    struct arena *arena = arena_new(4096);
    struct place place = {0};
    const char *text = arguments->positional[1];
    enum status status = find_action(arguments->positional[0], &action, err);
    if (status == STATUS_OK && action->run_pipeline != NULL && place_is_pipeline(text)) {
        status = action->run_pipeline(arguments, text, err);
    } else if (status == STATUS_OK) {
        status = read_place(arena, action, text, &place, err);
        if (status == STATUS_OK) {
            status = action->run(arguments, &place, err);
        }
    }
    arena_free(arena);
    return status;
}

static const struct cli_option options[] = {
    {"partitions", "N", "create: 3 unless given; of brokers as many as they make"},
    {"replication", "N", "create: on how many brokers; as they do it unless given"},
    {"retention", "TIME", "create, alter: records older than that go; unlimited unless given, of "
                          "brokers as they do it"},
    {"retention-bytes", "SIZE", "create, alter: above that size the oldest go; unlimited unless "
                                "given, of brokers as they do it"},
    {"timestamps", "WHOSE", "create: broker (when it is written) or producer; of brokers as they do it "
                            "unless given"},
    {"json", NULL, "list, describe, check: as JSON"},
    {"yes", NULL, "delete: really"},
    {0},
};

const struct cli_verb verb_topic = {
    .name = "topic",
    .arguments = "create|list|describe|check|alter|delete|trim|verify PLACE [--partitions N] "
                 "[--replication N] [--retention TIME] [--retention-bytes SIZE] [--timestamps WHOSE] "
                 "[--json] [--yes]",
    .summary = "make, list, describe, check, change and delete topics",
    .details =
        "create PLACE --partitions N     one topic; a local log is made with it\n"
        "create P.yaml                   every topic that the pipeline names and that is not there,\n"
        "                                as its place says it: partitions, replication, retention,\n"
        "                                timestamps; in Kafka the compacted topic of progress too\n"
        "check P.yaml                    what is there against what the pipeline needs, and what to\n"
        "                                mend; exit 1 when something is to be mended\n"
        "list local:PATH, kafka://HOST:PORT\n"
        "                                the topics of a local log, or of brokers; of a PLACE that one\n"
        "describe PLACE                  offsets, records and bytes per partition, and how far the\n"
        "                                groups are; of brokers who leads and who is in sync\n"
        "alter PLACE --retention TIME    what it keeps from now on\n"
        "delete PLACE --yes              the topic, its records and its groups' offsets; not while a\n"
        "                                pipeline uses it, or, of brokers, a group reads it\n"
        "trim local:PATH                 deletes at once what no topic keeps, merges small\n"
        "                                batches, gives free space back\n"
        "verify local:PATH               reads everything and names what is damaged\n"
        "\n"
        "PLACE is local:PATH#topic, kafka://HOST:PORT/topic, or a place of a pipeline file:\n"
        "P.yaml:source, P.yaml:dlq, P.yaml:SINK.\n"
        "Retention deletes whole batches, the oldest first. --retention-bytes counts all\n"
        "partitions of a topic of a local log together, as stored, and each partition of brokers.\n"
        "Groups that have not read them are not waited for. While weir writes to a local log, it\n"
        "trims in the background, bit by bit.",
    .options = options,
    .least = 2,
    .most = 2,
    .run = run,
};
