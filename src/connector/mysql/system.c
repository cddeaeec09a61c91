/* The database as a system: its identity, sessions, connection keys. */
#include <string.h>

#include "connector/mysql/table.h"

static const struct grammar_field tls_fields[] = {
    {.key = "ca_file", .type = GRAMMAR_STRING,
     .help = "certificates that the server is trusted by; the system's unless set"},
    {.key = "cert_file", .type = GRAMMAR_STRING, .help = "the client's own certificate, PEM"},
    {.key = "key_file", .type = GRAMMAR_STRING, .help = "the key of that certificate, PEM"},
    {0},
};

static const struct grammar_field connection_fields[] = {
    {.key = "host", .type = GRAMMAR_STRING, .help = "of the server; localhost unless set"},
    {.key = "port", .type = GRAMMAR_INT, .minimum = 1, .maximum = 65535, .help = "3306 unless set"},
    {.key = "socket", .type = GRAMMAR_STRING, .help = "a server of this machine, instead of a host"},
    {.key = "database", .type = GRAMMAR_STRING, .required = true,
     .help = "where tables without a database before their name stand, and weir's own"},
    {.key = "user", .type = GRAMMAR_STRING, .required = true, .help = "who we are"},
    {.key = "password", .type = GRAMMAR_SECRET, .help = "of the user"},
    {.key = "tls", .type = GRAMMAR_MAP, .fields = tls_fields,
     .help = "encryption, and the server's certificate is checked; 'tls: {}' for the system's "
             "certificates"},
    {0},
};

const struct connection_kind mysqldb_connection_kind = {
    .kind = "mysql",
    .grammar = connection_fields,
};

/* --- identity --- */

/* Server and database; neither user nor password makes it another place. */
static enum status place_of_config(struct arena *arena, const struct doc *config,
                                   const char *folder, char **out_place, struct error *err)
{
    (void)folder;
    const struct doc *socket = doc_get(config, "socket");
    if (doc_get(config, "database") == NULL) {
        return doc_error(config, err, "config.missing_key",
                         "a place in MySQL needs a connection: 'connection: NAME', or 'host: …', "
                         "'database: …' and 'user: …'");
    }
    if (socket != NULL && (doc_get(config, "host") != NULL || doc_get(config, "port") != NULL)) {
        return doc_error(socket, err, "config.value",
                         "a server is reached by 'socket' or by 'host' and 'port', not by both");
    }
    *out_place =
        socket != NULL
            ? arena_printf(arena, "mysql://%s/%s", socket->text,
                           grammar_string(config, "database", ""))
            : arena_printf(arena, "mysql://%s:%lld/%s", grammar_string(config, "host", "localhost"),
                           (long long)grammar_int(config, "port", 3306),
                           grammar_string(config, "database", ""));
    return STATUS_OK;
}

static struct system *system_new(const char *place)
{
    struct mysqldb_system *s = memory_alloc_zero(1, sizeof *s);
    database_init(&s->db, place, &mysqldb_database_ops, &mysqldb_system_ops);
    return &s->db.system;
}

/* --- sessions --- */

/* A process that was killed may have a COMMIT under way, which would come between the reading of R and
 * the taking over. */
static enum status claim(struct system *system, struct error *err)
{
    struct mysqldb_system *s = mysqldb_system(system);
    struct parameters parameters = {0};
    parameters_text(&parameters, s->db.pipeline);
    struct database_answer *owners = NULL;
    enum status status =
        mysqldb_ask(s, "SELECT DISTINCT owner FROM weir_progress WHERE pipeline = $1", &parameters,
                    "look for the former owner in", &owners, err);
    for (uint32_t i = 0; status == STATUS_OK && i < mysqldb_row_count(owners); i++) {
        status = mysqldb_end_sessions(&s->db, (uint64_t)mysqldb_integer(owners, i, 0), err);
    }
    mysqldb_free(owners);
    return status;
}

/* Of tables that an older weir has made: names that differ in spaces at the end are one there. */
static enum status ask_padded(struct mysqldb_system *s, bool *out_padded, struct error *err)
{
    struct database_answer *answer = NULL;
    enum status status =
        mysqldb_ask(s,
                    "SELECT count(*) FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE()"
                    " AND TABLE_NAME = 'weir_progress' AND COLUMN_NAME = 'topic'"
                    " AND COLLATION_NAME NOT LIKE '%nopad%' AND COLLATION_NAME NOT LIKE '%0900%'",
                    NULL, "look at the tables of weir in", &answer, err);
    *out_padded = status == STATUS_OK && mysqldb_integer(answer, 0, 0) > 0;
    mysqldb_free(answer);
    return status;
}

#define UNPAD                                                                                      \
    "with weir stopped, for weir_progress, weir_start, weir_ledger, weir_plan and weir_rejects: "  \
    "ALTER TABLE weir_progress CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin"

static enum status load(struct system *system, const struct source_partition *partition,
                        struct progress *progress, bool *out_found, struct error *err)
{
    struct mysqldb_system *s = mysqldb_system(system);
    size_t size = strlen(partition->topic);
    bool is_padded = false;
    enum status status = STATUS_OK;
    if (size > 0 && partition->topic[size - 1] == ' ') {
        status = s->db.ops->reconnect(&s->db, err);
        status = status == STATUS_OK ? ask_padded(s, &is_padded, err) : status;
    }
    if (is_padded) {
        return error_set(err, STATUS_CONFIG, "mysql.padded_names",
                         "'%s' has a space at its end, and the tables that an older weir has made in "
                         "%s compare names without: it would be one with another; mend it, %s",
                         partition->topic, s->db.place, UNPAD);
    }
    return status == STATUS_OK ? database_load(system, partition, progress, out_found, err) : status;
}

static enum status take_over(struct system *system, const struct progress *progresses,
                             uint32_t count, uint64_t owner, struct bytes plan_text,
                             struct error *err)
{
    enum status status = database_enter(system, progresses, count, owner, err);
    return status == STATUS_OK
               ? database_take_over(system, progresses, count, owner, plan_text, err)
               : status;
}

/* What may lose commits that the server has answered. */
static enum status examine(struct system *system, system_finding_visitor *visit, void *context,
                           struct error *err)
{
    struct mysqldb_system *s = mysqldb_system(system);
    struct database_answer *answer = NULL;
    enum status status = mysqldb_ask(
        s, "SELECT @@GLOBAL.innodb_flush_log_at_trx_commit, @@GLOBAL.log_bin,"
           " @@GLOBAL.sync_binlog",
        NULL, "look at the settings of", &answer, err);
    if (status != STATUS_OK) {
        return status;
    }
    if (mysqldb_integer(answer, 0, 0) != 1) {
        visit(context, &(struct system_finding){
                           .is_weak = true,
                           .about = "commits",
                           .what = "innodb_flush_log_at_trx_commit is not 1: a power cut loses the "
                                   "commits of the last second, and weir stops at the next start",
                           .remedy = "SET GLOBAL innodb_flush_log_at_trx_commit = 1"});
    }
    if (mysqldb_integer(answer, 0, 1) != 0 && mysqldb_integer(answer, 0, 2) != 1) {
        visit(context, &(struct system_finding){
                           .is_weak = true,
                           .about = "replicas",
                           .what = "sync_binlog is not 1: after a power cut a replica may lack "
                                   "commits, or have more of them",
                           .remedy = "SET GLOBAL sync_binlog = 1"});
    }
    mysqldb_free(answer);
    bool is_padded = false;
    status = ask_padded(s, &is_padded, err);
    if (is_padded) {
        visit(context, &(struct system_finding){
                           .about = "names",
                           .what = "the tables of weir were made by an older one, and compare names "
                                   "without spaces at their end: it refuses what such a space tells "
                                   "apart",
                           .remedy = UNPAD});
    }
    return status;
}

const struct system_ops mysqldb_system_ops = {
    .kind = "mysql",
    .takes_forwarded = true,
    .is_remote = true,
    .epoch_bytes = DATABASE_EPOCH_BYTES,
    .plans_place = "table weir_plan",
    .place = database_place,
    .open_session = database_open_session,
    .open_reader = database_open_reader,
    .close_session = database_close_session,
    .claim = claim,
    .load = load,
    .load_first = database_load_first,
    .count_partitions = database_count_partitions,
    .begin = database_start,
    .take_over = take_over,
    .commit = database_commit,
    .load_plan = database_load_plan,
    .load_segments = database_load_segments,
    .scan_rejects = database_scan_rejects,
    .load_rejects = database_load_rejects,
    .examine = examine,
    .close = database_close,
};

const struct sink_kind mysqldb_sink_kind = {
    .ops = &mysqldb_table_ops,
    .system_ops = &mysqldb_system_ops,
    .system_place = place_of_config,
    .system_new = system_new,
    .system_connect = database_configure,
    .sink_add = mysqldb_sink_add,
    .each_row = mysqldb_each_row,
};
