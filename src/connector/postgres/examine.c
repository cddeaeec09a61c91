/* What only the server can tell about how safely it keeps rows and R, and whether it would take them:
 * for explain. Asks, and changes nothing. */
#include <stdio.h>
#include <string.h>

#include "connector/postgres/table.h"

struct examination {
    struct postgres_system *s;
    system_finding_visitor *visit;
    void *context;
};

static void find(const struct examination *e, bool is_weak, const char *about, const char *what,
                 const char *remedy)
{
    const struct system_finding finding = {
        .is_weak = is_weak, .about = about, .what = what, .remedy = remedy};
    e->visit(e->context, &finding);
}

static bool is_true(const PGresult *result, int column)
{
    return PQgetvalue(result, 0, column)[0] == 't';
}

/* --- the server --- */

static void judge_server(const struct examination *e, const PGresult *result)
{
    char what[400];
    const char *version = PQgetvalue(result, 0, 0);
    bool is_standby = is_true(result, 1);
    bool is_synced = strcmp(PQgetvalue(result, 0, 2), "on") == 0 &&
                     strcmp(PQgetvalue(result, 0, 3), "on") == 0;
    const char *standbys = PQgetvalue(result, 0, 4);
    const char *waits = PQgetvalue(result, 0, 5);
    if (is_standby) {
        (void)snprintf(what, sizeof what, "PostgreSQL %s, a standby: it takes no rows", version);
        find(e, true, "server", what,
             "name the primary in the dsn, or all servers and target_session_attrs=read-write");
        return;
    }
    if (!is_synced) {
        (void)snprintf(what, sizeof what,
                       "PostgreSQL %s, fsync or full_page_writes off: a power cut loses commits",
                       version);
        find(e, true, "server", what, "set fsync=on and full_page_writes=on");
        return;
    }
    (void)snprintf(what, sizeof what, "PostgreSQL %s; %s%s%s%s", version,
                   standbys[0] == '\0' ? "a commit is on its disk when it is answered"
                                       : "a commit waits for standbys (",
                   standbys, standbys[0] == '\0' ? "" : "), synchronous_commit ",
                   standbys[0] == '\0' ? "" : waits);
    find(e, false, "server", what,
         standbys[0] == '\0' ? "a primary that is lost for good takes its commits with it: "
                               "synchronous_standby_names makes them wait for a second server"
                             : "");
}

static enum status examine_server(const struct examination *e, struct error *err)
{
    PGresult *result = NULL;
    enum status status = postgres_ask(
        e->s,
        "SELECT current_setting('server_version'), pg_is_in_recovery(), current_setting('fsync'),"
        " current_setting('full_page_writes'), current_setting('synchronous_standby_names'),"
        " current_setting('synchronous_commit')",
        NULL, false, "look at", &result, err);
    if (status == STATUS_OK) {
        judge_server(e, result);
        PQclear(result);
    }
    return status;
}

/* --- tables --- */

/* Rights that a commit needs: an upsert reads and changes rows. */
static const char *rights_of(const struct postgres_table *t)
{
    return t->table.base.keys.is_upsert ? "INSERT, SELECT, UPDATE" : "INSERT";
}

static void judge_table(const struct examination *e, const struct postgres_table *t,
                        const char *about, const PGresult *result)
{
    char what[600];
    char remedy[600];
    const char *user = PQgetvalue(result, 0, 1);
    if (!is_true(result, 0)) {
        (void)snprintf(what, sizeof what, "%s may not write to table %s", user, t->table.quoted);
        (void)snprintf(remedy, sizeof remedy, "GRANT %s ON %s TO \"%s\"", rights_of(t), t->table.quoted,
                       user);
        find(e, true, about, what, remedy);
        return;
    }
    const char *indexes = PQgetvalue(result, 0, 2);
    const char *triggers = PQgetvalue(result, 0, 3);
    (void)snprintf(what, sizeof what, "table %s, %s%s%s: rows go by COPY in %s form%s%s%s", t->table.quoted,
                   t->table.base.keys.is_upsert ? "upsert, key held unique by " : "append",
                   t->table.base.keys.is_upsert ? indexes : "",
                   t->table.has_origin || t->table.base.sink.is_dlq ? "" : ", without columns of origin",
                   t->is_binary ? "binary" : "text",
                   t->table.base.keys.is_upsert ? " through a temporary table" : "",
                   triggers[0] == '\0' ? "" : "; each runs triggers: ", triggers);
    find(e, false, about, what,
         t->table.has_origin || t->table.base.sink.is_dlq
             ? ""
             : "audit finds a row by its content only: add _weir_topic text, _weir_partition "
               "integer, _weir_offset bigint");
}

static void write_key_names(const struct postgres_table *t, struct buffer *out)
{
    const struct table_keys *keys = &t->table.base.keys;
    for (uint32_t i = 0; i < keys->count; i++) {
        buffer_printf(out, "%s%s", i == 0 ? "" : ", ", t->table.columns[keys->columns[i]].quoted);
    }
}

/* The unique indexes on exactly the key's columns, whatever their order; triggers that people made. */
static enum status ask_table(const struct examination *e, const struct postgres_table *t,
                             PGresult **out, struct error *err)
{
    struct buffer key = {0};
    struct parameters parameters = {0};
    write_key_names(t, &key);
    parameters_text(&parameters, t->table.quoted);
    parameters_text(&parameters, rights_of(t));
    parameters_text(&parameters, buffer_string(&key));
    enum status status = postgres_ask(
        e->s,
        "SELECT (SELECT bool_and(has_table_privilege(to_regclass($1)::oid, trim(r)))"
        " FROM unnest(string_to_array($2, ',')) AS r), current_user,"
        " coalesce((SELECT string_agg(indexrelid::regclass::text, ', ') FROM pg_index i"
        " WHERE indrelid = to_regclass($1) AND indisunique AND indpred IS NULL AND"
        " (SELECT array_agg(quote_ident(attname) ORDER BY attname) FROM pg_attribute WHERE"
        " attrelid = indrelid AND attnum = ANY (i.indkey)) = (SELECT array_agg(quote_ident("
        "trim(trim(k), '\"')) ORDER BY trim(trim(k), '\"')) FROM"
        " unnest(string_to_array($3, ',')) AS k)), 'an index'),"
        " coalesce((SELECT string_agg(tgname, ', ' ORDER BY tgname) FROM pg_trigger WHERE tgrelid ="
        " to_regclass($1) AND NOT tgisinternal AND tgenabled <> 'D'), '')",
        &parameters, false, "look at a table of", out, err);
    buffer_fini(&key);
    return status;
}

static enum status examine_table(const struct examination *e, struct postgres_table *t,
                                 struct error *err)
{
    char about[256];
    const char *name = t->table.base.sink.name;
    (void)snprintf(about, sizeof about, t->table.base.sink.is_dlq ? "%s" : "sink %s", name);
    bool is_there = false;
    enum status status = postgres_table_find(t, &is_there, err);
    if (status != STATUS_OK) {
        return status;
    }
    if (!is_there) {
        char what[300];
        (void)snprintf(what, sizeof what, "there is no table %s%s", t->table.quoted,
                       t->table.may_create ? "; the next run makes it" : ", and 'create: never' is set");
        find(e, !t->table.may_create, about, what, t->table.may_create ? "" : "make it");
        return STATUS_OK;
    }
    PGresult *result = NULL;
    status = postgres_table_prepare(t, true, err);
    if (status == STATUS_CONFIG) {
        find(e, true, about, err->message, "");
        return STATUS_OK;
    }
    if (status == STATUS_OK) {
        status = ask_table(e, t, &result, err);
    }
    if (status == STATUS_OK) {
        judge_table(e, t, about, result);
        PQclear(result);
    }
    return status;
}

enum status postgres_examine(struct system *system, system_finding_visitor *visit, void *context,
                             struct error *err)
{
    const struct examination e = {
        .s = postgres_system(system), .visit = visit, .context = context};
    enum status status = examine_server(&e, err);
    for (uint32_t i = 0; i < system->sink_count && status == STATUS_OK; i++) {
        status = examine_table(&e, postgres_table(system->sinks[i]), err);
    }
    return status;
}
