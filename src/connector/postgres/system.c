/* The database as a system: its identity, sessions, connection keys. */
#include <string.h>

#include "connector/postgres/table.h"

static const char *const durabilities[] = {"on", "remote_apply", NULL};

static const struct grammar_field connection_fields[] = {
    {.key = "dsn", .type = GRAMMAR_STRING, .required = true,
     .help = "how the server is reached, as libpq has it: host=db dbname=iot user=weir "
             "sslmode=verify-full"},
    {.key = "password", .type = GRAMMAR_SECRET, .help = "of the user"},
    {.key = "synchronous_commit", .type = GRAMMAR_CHOICE, .choices = durabilities,
     .help = "on unless set; remote_apply: a commit waits until a synchronous standby shows it"},
    {0},
};

const struct connection_kind postgres_connection_kind = {
    .kind = "postgres",
    .grammar = connection_fields,
};

/* --- identity --- */

static const char *option(const PQconninfoOption *options, const char *name, const char *otherwise)
{
    for (; options->keyword != NULL; options++) {
        if (strcmp(options->keyword, name) == 0 && options->val != NULL &&
            options->val[0] != '\0') {
            return options->val;
        }
    }
    return otherwise;
}

/* Server and database; neither user nor password makes it another place. */
static enum status place_of_config(struct arena *arena, const struct doc *config,
                                   const char *folder, char **out_place, struct error *err)
{
    (void)folder;
    const struct doc *dsn = doc_get(config, "dsn");
    if (dsn == NULL) {
        return doc_error(config, err, "config.missing_key",
                         "a place in PostgreSQL needs a connection: 'connection: NAME', or "
                         "'dsn: …'");
    }
    char *message = NULL;
    PQconninfoOption *options = PQconninfoParse(dsn->text, &message);
    if (options == NULL) {
        enum status status = doc_error(dsn, err, "config.value", "the dsn cannot be read: %s",
                                       message == NULL ? "no memory" : message);
        PQfreemem(message);
        return status;
    }
    enum status status = STATUS_OK;
    if (option(options, "password", NULL) != NULL) {
        status = doc_error(dsn, err, "config.secret",
                           "a password does not belong into the dsn; set 'password: {file: …}', "
                           "{env: …} or {credential: …}");
    } else {
        const char *host = option(options, "host", option(options, "hostaddr", "localhost"));
        *out_place = arena_printf(arena, "postgres://%s:%s/%s", host,
                                  option(options, "port", "5432"),
                                  option(options, "dbname", option(options, "user", "")));
    }
    PQconninfoFree(options);
    return status;
}

static const char *place(const struct system *system)
{
    return database_of(system)->place;
}

static struct system *system_new(const char *place_text)
{
    struct postgres_system *s = memory_alloc_zero(1, sizeof *s);
    s->db.place = memory_copy_string(place_text);
    s->db.name = memory_copy_string(place_text);
    s->db.ops = &postgres_database_ops;
    s->db.system.ops = &postgres_system_ops;
    s->db.system.name = s->db.name;
    return &s->db.system;
}

static enum status system_connect(struct system *system, const struct doc *config,
                                  const char *folder, struct error *err)
{
    struct postgres_system *s = postgres_system(system);
    (void)err;
    s->db.config = config;
    s->db.folder = memory_copy_string(folder);
    return STATUS_OK;
}

/* --- sessions --- */

static void close_session(struct system *system)
{
    struct postgres_system *s = postgres_system(system);
    for (uint32_t i = 0; i < system->sink_count; i++) {
        postgres_table(system->sinks[i])->staged_in = NULL;
        postgres_table(system->sinks[i])->is_prepared = false;
    }
    PQfinish(s->connection);
    s->connection = NULL;
    memory_free(s->db.pipeline);
    s->db.pipeline = NULL;
    s->db.is_in_doubt = false;
    s->db.owner = 0;
}

static enum status open_as(struct system *system, const char *pipeline, bool is_reader,
                           struct error *err)
{
    struct postgres_system *s = postgres_system(system);
    s->db.pipeline = memory_copy_string(pipeline);
    s->db.is_reader = is_reader;
    enum status status = postgres_connect(s, err);
    if (status == STATUS_OK) {
        status = is_reader ? database_check_tables(&s->db, err) : database_make_tables(&s->db, err);
    }
    if (status == STATUS_OK && system->prepares && !is_reader) {
        status = postgres_check_prepares(system, err);
    }
    if (status != STATUS_OK) {
        close_session(system);
    }
    return status;
}

static enum status open_session(struct system *system, const char *pipeline, struct error *err)
{
    return open_as(system, pipeline, false, err);
}

static enum status open_reader(struct system *system, const char *pipeline, struct error *err)
{
    return open_as(system, pipeline, true, err);
}

static enum status prepare_sinks(struct system *system, struct error *err)
{
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < system->sink_count && status == STATUS_OK; i++) {
        status = postgres_table_prepare(postgres_table(system->sinks[i]), false, err);
    }
    return status;
}

static enum status begin(struct system *system, const struct progress *progresses, uint32_t count,
                         const struct bytes *plan_texts, uint32_t plan_count, struct error *err)
{
    enum status status = prepare_sinks(system, err);
    if (status == STATUS_OK && count > 0) {
        status = postgres_name_session(postgres_system(system), progresses[0].owner, err);
    }
    return status == STATUS_OK
               ? database_begin(system, progresses, count, plan_texts, plan_count, err)
               : status;
}

static enum status take_over(struct system *system, const struct progress *progresses,
                             uint32_t count, uint64_t owner, struct bytes plan_text,
                             struct error *err)
{
    struct postgres_system *s = postgres_system(system);
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < count && status == STATUS_OK; i++) {
        if (i == 0 || progresses[i].owner != progresses[i - 1].owner) {
            status = postgres_end_sessions(s, progresses[i].owner, err);
        }
    }
    if (status == STATUS_OK) {
        status = prepare_sinks(system, err);
    }
    if (status == STATUS_OK) {
        status = postgres_name_session(s, owner, err);
    }
    if (status == STATUS_OK) {
        /* What a former owner prepared at the last moment would be waited for for ever: RETRY then,
         * and who takes over looks again at what is prepared. */
        status = postgres_run(s, "SET lock_timeout = '3s'", "take over", err);
    }
    if (status == STATUS_OK) {
        status = database_take_over(system, progresses, count, owner, plan_text, err);
    }
    return status == STATUS_OK ? postgres_run(s, "SET lock_timeout = 0", "take over", err)
                               : status;
}

static enum status load_rejects(struct system *system, const struct source_partition *partition,
                                const char *sink, int64_t from_offset, int64_t before_offset,
                                kept_reject_visitor *reject, void *context, struct error *err)
{
    enum status status = postgres_reconnect(postgres_system(system), err);
    return status == STATUS_OK ? database_load_rejects(system, partition, sink, from_offset,
                                                       before_offset, reject, context, err)
                               : status;
}

static void close_system(struct system *system)
{
    struct postgres_system *s = postgres_system(system);
    for (uint32_t i = 0; i < system->sink_count; i++) {
        struct postgres_table *t = postgres_table(system->sinks[i]);
        table_base_fini(&t->base);
        memory_free(t);
    }
    memory_free(system->sinks);
    memory_free(s->db.folder);
    memory_free(s->db.place);
    memory_free(s->db.name);
    memory_free(s);
}

const struct system_ops postgres_system_ops = {
    .kind = "postgres",
    .is_remote = true,
    .takes_forwarded = true,
    .plans_place = "table weir_plan",
    .place = place,
    .open_session = open_session,
    .open_reader = open_reader,
    .close_session = close_session,
    .load = database_load,
    .load_first = database_load_first,
    .count_partitions = database_count_partitions,
    .begin = begin,
    .take_over = take_over,
    .commit = postgres_commit,
    .prepare = postgres_prepare,
    .commit_prepared = postgres_commit_prepared,
    .rollback_prepared = postgres_rollback_prepared,
    .list_prepared = postgres_list_prepared,
    .check_prepares = postgres_check_prepares,
    .load_plan = database_load_plan,
    .load_segments = database_load_segments,
    .scan_rejects = database_scan_rejects,
    .load_rejects = load_rejects,
    .examine = postgres_examine,
    .close = close_system,
};

const struct sink_kind postgres_sink_kind = {
    .ops = &postgres_table_ops,
    .system_ops = &postgres_system_ops,
    .system_place = place_of_config,
    .system_new = system_new,
    .system_connect = system_connect,
    .sink_add = postgres_sink_add,
    .each_row = postgres_each_row,
};
