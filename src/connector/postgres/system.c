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

static struct system *system_new(const char *place)
{
    struct postgres_system *s = memory_alloc_zero(1, sizeof *s);
    database_init(&s->db, place, &postgres_database_ops, &postgres_system_ops);
    return &s->db.system;
}

/* --- sessions --- */

static enum status open_session(struct system *system, const char *pipeline, struct error *err)
{
    enum status status = database_open_session(system, pipeline, err);
    if (status == STATUS_OK && system->prepares) {
        status = postgres_check_prepares(system, err);
        if (status != STATUS_OK) {
            database_close_session(system);
        }
    }
    return status;
}

static enum status take_over(struct system *system, const struct progress *progresses,
                             uint32_t count, uint64_t owner, struct bytes plan_text,
                             struct error *err)
{
    struct postgres_system *s = postgres_system(system);
    enum status status = database_enter(system, progresses, count, owner, err);
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

const struct system_ops postgres_system_ops = {
    .kind = "postgres",
    .is_remote = true,
    .epoch_bytes = DATABASE_EPOCH_BYTES,
    .takes_forwarded = true,
    .plans_place = "table weir_plan",
    .place = database_place,
    .open_session = open_session,
    .open_reader = database_open_reader,
    .close_session = database_close_session,
    .load = database_load,
    .load_first = database_load_first,
    .count_partitions = database_count_partitions,
    .begin = database_start,
    .take_over = take_over,
    .commit = database_commit,
    .prepare = postgres_prepare,
    .commit_prepared = postgres_commit_prepared,
    .rollback_prepared = postgres_rollback_prepared,
    .list_prepared = postgres_list_prepared,
    .check_prepares = postgres_check_prepares,
    .load_plan = database_load_plan,
    .load_segments = database_load_segments,
    .scan_rejects = database_scan_rejects,
    .load_rejects = database_load_rejects,
    .examine = postgres_examine,
    .close = database_close,
};

const struct sink_kind postgres_sink_kind = {
    .ops = &postgres_table_ops,
    .system_ops = &postgres_system_ops,
    .system_place = place_of_config,
    .system_new = system_new,
    .system_connect = database_configure,
    .sink_add = postgres_sink_add,
    .each_row = postgres_each_row,
};
