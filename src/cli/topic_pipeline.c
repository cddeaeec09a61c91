/* weir topic create P.yaml and check P.yaml: the topics of a whole pipeline, and that of its progress
 * where that is one. */
#include <stdarg.h>
#include <string.h>

#include "base/time.h"
#include "cli/topic.h"
#include "codec/json.h"
#include "connector/registry.h"
#include "plan/plan.h"

#define PROGRESS "progress"

/* A place that has topics, opened once: a file, a cluster. */
struct opened {
    const struct topics_ops *ops;
    const char *identity;
    const struct place *place; /* one of its topics */
    struct topics *topics;
    bool has_sinks;
    uint32_t replication; /* the greatest that is asked for there */
};

struct wanted {
    const char *role;
    const char *text; /* the place as a word of the command line */
    struct opened *at;
    struct topic_wish wish;
};

struct pipeline_topics {
    struct arena *arena;
    const char *file;
    struct plan *plan;
    struct opened *opened;
    uint32_t opened_count;
    struct wanted *wanted;
    uint32_t wanted_count;
};

static void close_all(struct pipeline_topics *p)
{
    for (uint32_t i = 0; i < p->opened_count; i++) {
        if (p->opened[i].topics != NULL) {
            p->opened[i].ops->close(p->opened[i].topics);
        }
    }
    plan_free(p->plan);
    arena_free(p->arena);
}

static enum status find_opened(struct pipeline_topics *p, const struct place *place,
                               struct opened **out, struct error *err)
{
    const struct topics_ops *ops = registry_source(place->connector)->topics;
    char *identity = NULL;
    enum status status = registry_sink(place->connector)
                             ->system_place(p->arena, place->config, place->folder, &identity, err);
    if (status != STATUS_OK) {
        return status;
    }
    for (uint32_t i = 0; i < p->opened_count; i++) {
        if (p->opened[i].ops == ops && strcmp(p->opened[i].identity, identity) == 0) {
            *out = &p->opened[i];
            return STATUS_OK;
        }
    }
    *out = &p->opened[p->opened_count++];
    **out = (struct opened){.ops = ops, .identity = identity, .place = place};
    return STATUS_OK;
}

static void want_progress(struct pipeline_topics *p, struct opened *at)
{
    if (!at->has_sinks || at->ops->wish_progress == NULL) {
        return;
    }
    struct wanted *wanted = &p->wanted[p->wanted_count++];
    *wanted = (struct wanted){.role = PROGRESS, .text = at->place->text, .at = at};
    at->ops->wish_progress(p->arena, p->plan->name, &wanted->wish);
    wanted->wish.replication = at->replication;
}

/* What the file names, and nothing opened but the file. */
static enum status read_wanted(struct pipeline_topics *p, struct error *err)
{
    struct pipeline_place *places = NULL;
    uint32_t count = 0;
    enum status status = plan_load(p->file, cli_environment, &p->plan, err);
    if (status == STATUS_OK) {
        status = place_topics_of_pipeline(p->arena, p->file, &places, &count, err);
    }
    p->opened = arena_alloc_zero(p->arena, count + 1, sizeof *p->opened);
    p->wanted = arena_alloc_zero(p->arena, 2u * count + 1, sizeof *p->wanted);
    for (uint32_t i = 0; i < count && status == STATUS_OK; i++) {
        struct wanted *wanted = &p->wanted[p->wanted_count];
        if (registry_source(places[i].place.connector)->topics == NULL) {
            fprintf(stderr, "%s: the service itself makes and keeps this topic\n",
                    places[i].place.text);
            continue;
        }
        *wanted = (struct wanted){.role = places[i].role,
                                  .text = places[i].place.text,
                                  .wish = topic_wish_read(places[i].place.config)};
        p->wanted_count++;
        status = find_opened(p, &places[i].place, &wanted->at, err);
        if (status == STATUS_OK) {
            wanted->at->has_sinks |= strcmp(wanted->role, "source") != 0;
            wanted->at->replication = wanted->wish.replication > wanted->at->replication
                                          ? wanted->wish.replication
                                          : wanted->at->replication;
        }
    }
    for (uint32_t i = 0; i < p->opened_count && status == STATUS_OK; i++) {
        want_progress(p, &p->opened[i]);
    }
    if (status == STATUS_OK && p->wanted_count == 0) {
        status = error_set(err, STATUS_CONFIG, "topic.none", "%s names no topics", p->file);
    }
    return status;
}

static enum status open_all(struct pipeline_topics *p, enum topics_mode mode, struct error *err)
{
    enum status status = read_wanted(p, err);
    for (uint32_t i = 0; i < p->opened_count && status == STATUS_OK; i++) {
        status = topic_open(p->opened[i].place, mode, &p->opened[i].topics, err);
    }
    return status;
}

/* --- create --- */

static enum status refuse_options(const struct cli_arguments *arguments, struct error *err)
{
    static const char *const options[] = {"partitions", "replication", "retention",
                                          "retention-bytes", "timestamps"};
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        if (cli_given(arguments, options[i])) {
            return error_set(err, STATUS_CONFIG, "use.option",
                             "--%s is for one topic; a pipeline file says it at each place",
                             options[i]);
        }
    }
    return STATUS_OK;
}

enum status topic_create_all(const struct cli_arguments *arguments, const char *pipeline,
                             struct error *err)
{
    struct pipeline_topics p = {.arena = arena_new(16 * 1024), .file = pipeline};
    enum status status = refuse_options(arguments, err);
    if (status == STATUS_OK) {
        status = open_all(&p, TOPICS_MAKE, err);
    }
    for (uint32_t i = 0; i < p.wanted_count && status == STATUS_OK; i++) {
        struct topics *topics = p.wanted[i].at->topics;
        struct topic_state state = {0};
        bool was_there = false;
        status = topics->ops->make(topics, &p.wanted[i].wish, &state, &was_there, err);
        if (status == STATUS_OK) {
            topic_print(&state, was_there ? "was there already" : "created");
        }
    }
    close_all(&p);
    return status;
}

/* --- check --- */

enum level { LEVEL_FINE, LEVEL_NOTE, LEVEL_MEND };

struct checking {
    const struct pipeline_topics *p;
    const struct wanted *wanted;
    const struct topic_state *state;
    bool json;
    uint32_t count;
    uint32_t count_here; /* of this topic that are not fine */
    uint32_t mend_count;
    struct buffer out;
};

static void say(struct checking *c, enum level level, const char *remedy, const char *format, ...)
    WEIR_PRINTF(4, 5);

static void say(struct checking *c, enum level level, const char *remedy, const char *format, ...)
{
    static const char *const levels[] = {"fine", "note", "mend"};
    char what[512];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    c->mend_count += level == LEVEL_MEND;
    c->count_here += level != LEVEL_FINE;
    if (!c->json) {
        buffer_printf(&c->out, "%s  %s: topic %s %s\n", levels[level], c->wanted->role,
                      c->wanted->wish.name, what);
        if (remedy[0] != '\0') {
            buffer_printf(&c->out, "      to do: %s\n", remedy);
        }
        return;
    }
    buffer_printf(&c->out, "%s{\"level\":\"%s\",\"about\":", c->count++ == 0 ? "[" : ",\n",
                  levels[level]);
    json_write_string(&c->out, bytes_of_string(c->wanted->role));
    buffer_append_string(&c->out, ",\"topic\":");
    json_write_string(&c->out, bytes_of_string(c->wanted->wish.name));
    buffer_append_string(&c->out, ",\"what\":");
    json_write_string(&c->out, bytes_of_string(what));
    buffer_append_string(&c->out, ",\"do\":");
    json_write_string(&c->out, bytes_of_string(remedy));
    buffer_append_byte(&c->out, '}');
}

static void check_shape(struct checking *c)
{
    const struct topic_wish *wish = &c->wanted->wish;
    const struct topic_state *state = c->state;
    if (wish->partitions != 0 && wish->partitions != state->partitions) {
        say(c, LEVEL_MEND,
            wish->is_compacted
                ? "stop the pipeline, and make it anew: it must have one partition"
                : "write the number that it has, or name another topic: more partitions move keys",
            "has %u partition%s, and must have %u", state->partitions,
            state->partitions == 1 ? "" : "s", wish->partitions);
    }
    if (wish->replication > state->replication) {
        say(c, LEVEL_MEND, "kafka-reassign-partitions.sh puts it on more brokers",
            "is on %u broker%s, and the pipeline file says %u", state->replication,
            state->replication == 1 ? "" : "s", wish->replication);
    }
}

/* Whose clock a record's time is: max_future holds only against the broker's. */
static void check_timestamps(struct checking *c)
{
    const char *wished = c->wanted->wish.timestamps;
    const char *found = c->state->timestamps;
    const bool is_guarded =
        strcmp(c->wanted->role, "source") == 0 && c->p->plan->stage.max_future_us != DURATION_NONE;
    const char *remedy = arena_printf(
        c->p->arena,
        "kafka-configs.sh --alter --entity-type topics --entity-name %s --add-config "
        "message.timestamp.type=%s",
        c->state->name,
        wished != NULL && strcmp(wished, "producer") == 0 ? "CreateTime" : "LogAppendTime");
    if (found == NULL) {
        return;
    }
    if (wished != NULL && strcmp(wished, found) != 0) {
        say(c, LEVEL_MEND, remedy, "has its timestamps from the %s, and the pipeline file says %s",
            found, wished);
    } else if (is_guarded && strcmp(found, "producer") == 0) {
        say(c, LEVEL_NOTE, remedy,
            "has its timestamps from the producers: event_time.max_future does not hold for them");
    }
}

static void check_progress(struct checking *c)
{
    const struct topic_state *state = c->state;
    const bool is_limited = state->retention.age_us > 0 || state->retention.bytes > 0;
    if (!state->is_compacted || is_limited) {
        say(c, LEVEL_MEND,
            arena_printf(c->p->arena,
                         "kafka-configs.sh --alter --entity-type topics --entity-name %s "
                         "--add-config cleanup.policy=compact",
                         state->name),
            "is not compacted alone: the pipeline's progress would be deleted by its age");
    }
}

static const char *alter_command(struct checking *c, const char *option, const char *value)
{
    return arena_printf(c->p->arena, "weir topic alter %s --%s %s", c->wanted->text, option, value);
}

/* What the file says that it keeps. */
static void check_limits(struct checking *c)
{
    const struct topic_wish *wish = &c->wanted->wish;
    const struct source_retention *kept = &c->state->retention;
    char asked[64] = "unlimited";
    char found[64] = "everything";
    if (!kept->is_known) {
        return;
    }
    if (wish->age_us != TOPICS_UNTOLD && wish->age_us != kept->age_us) {
        if (wish->age_us > 0) {
            duration_format(wish->age_us, asked, sizeof asked);
        }
        if (kept->age_us > 0) {
            duration_format(kept->age_us, found, sizeof found);
        }
        say(c, LEVEL_MEND, alter_command(c, "retention", asked),
            "keeps %s, and the pipeline file says %s", found, asked);
    }
    if (wish->bytes != TOPICS_UNTOLD && wish->bytes != kept->bytes) {
        (void)snprintf(asked, sizeof asked, "%lldB", (long long)wish->bytes);
        say(c, LEVEL_MEND, alter_command(c, "retention-bytes", asked),
            "keeps %lld bytes (0: no limit), and the pipeline file says %lld",
            (long long)kept->bytes, (long long)wish->bytes);
    }
}

static void check_compaction(struct checking *c)
{
    const bool is_source = strcmp(c->wanted->role, "source") == 0;
    const bool has_state = c->p->plan->stage.horizon_us > 0;
    if (!c->state->is_compacted) {
        return;
    }
    const char *remedy =
        arena_printf(c->p->arena,
                     "kafka-configs.sh --alter --entity-type topics --entity-name %s --add-config "
                     "cleanup.policy=delete",
                     c->state->name);
    if (is_source && has_state) {
        say(c, LEVEL_MEND, remedy,
            "is compacted: what state is rebuilt from goes when its key comes again");
    } else if (!is_source) {
        say(c, LEVEL_NOTE, remedy,
            "is compacted: of rows with one key the last one stays, and audit misses the others");
    }
}

/* What a start without snapshots reads again must still be there. */
static void check_horizon(struct checking *c)
{
    const struct plan *plan = c->p->plan;
    const struct source_retention *kept = &c->state->retention;
    const int64_t horizon_us = plan->stage.horizon_us;
    char horizon[64] = "to the beginning";
    char age[64];
    char twice[64] = "unlimited";
    if (!kept->is_known || kept->age_us == 0 || horizon_us <= kept->age_us / 2) {
        return;
    }
    duration_format(kept->age_us, age, sizeof age);
    if (horizon_us < TIME_UNLIMITED) {
        duration_format(horizon_us, horizon, sizeof horizon);
        duration_format(2 * horizon_us, twice, sizeof twice);
    }
    const bool is_lost = horizon_us > kept->age_us && plan->state_folder == NULL;
    say(c, is_lost ? LEVEL_MEND : LEVEL_NOTE, alter_command(c, "retention", twice),
        "keeps %s, and state reaches back %s%s", age, horizon,
        is_lost ? ": it cannot be rebuilt, and there are no snapshots (state.path)"
                : ": keep the folder of snapshots (state.path) as data");
}

/* Making it anew would not bring back what stood in it. */
static bool is_progress_lost(struct checking *c)
{
    struct error lost = {0};
    if (strcmp(c->wanted->role, PROGRESS) != 0 ||
        c->wanted->at->ops->check_lost_progress(c->wanted->at->topics, c->p->plan->name, &lost) ==
            STATUS_OK) {
        return false;
    }
    say(c, LEVEL_MEND, "", "is not there: %s", lost.message);
    return true;
}

static void check_topic(struct checking *c, bool is_found)
{
    c->count_here = 0;
    if (!is_found && is_progress_lost(c)) {
        return;
    }
    if (!is_found) {
        say(c, LEVEL_MEND, arena_printf(c->p->arena, "weir topic create %s", c->p->file),
            "is not there");
        return;
    }
    check_shape(c);
    if (strcmp(c->wanted->role, PROGRESS) == 0) {
        check_progress(c);
    } else {
        check_limits(c);
        check_compaction(c);
        check_timestamps(c);
    }
    if (strcmp(c->wanted->role, "source") == 0) {
        check_horizon(c);
    }
    if (c->count_here == 0) {
        struct buffer keeps = {0};
        topic_describe_keeping(c->state, &keeps);
        say(c, LEVEL_FINE, "", "has %u partition%s, keeps %s", c->state->partitions,
            c->state->partitions == 1 ? "" : "s", buffer_string(&keeps));
        buffer_fini(&keeps);
    }
}

enum status topic_check(const struct cli_arguments *arguments, const char *pipeline,
                        struct error *err)
{
    struct pipeline_topics p = {.arena = arena_new(16 * 1024), .file = pipeline};
    struct checking c = {.p = &p, .json = cli_given(arguments, "json")};
    enum status status = open_all(&p, TOPICS_LOOK, err);
    for (uint32_t i = 0; i < p.wanted_count && status == STATUS_OK; i++) {
        struct topics *topics = p.wanted[i].at->topics;
        struct topic_state state = {0};
        bool is_found = false;
        status = topics->ops->find(topics, p.wanted[i].wish.name, &state, &is_found, err);
        c.wanted = &p.wanted[i];
        c.state = &state;
        if (status == STATUS_OK) {
            check_topic(&c, is_found);
        }
    }
    if (status == STATUS_OK) {
        printf("%s%s", buffer_string(&c.out), c.json ? "]\n" : "");
    }
    if (status == STATUS_OK && c.mend_count > 0) {
        status = error_set(err, STATUS_DATA, "topic.mend", "%u thing%s to mend", c.mend_count,
                           c.mend_count == 1 ? "" : "s");
    }
    buffer_fini(&c.out);
    close_all(&p);
    return status;
}
