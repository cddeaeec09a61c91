/* A session with the server: connecting, what it must be like, and its name. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "connector/mysql/errors.h"
#include "connector/mysql/table.h"
#include "connector/secret.h"
#include "os/secret.h"

#define CONNECT_TIMEOUT_S 10u
/* How long a killed session may take to roll back. */
#define END_TIMEOUT_S 30

/* Nothing is stored as something else: each of these is read back (check_mode). */
static const char *const modes[] = {"STRICT_ALL_TABLES", "NO_ENGINE_SUBSTITUTION", "NO_ZERO_DATE",
                                    "NO_ZERO_IN_DATE", "NO_AUTO_VALUE_ON_ZERO", "ANSI_QUOTES",
                                    "ERROR_FOR_DIVISION_BY_ZERO"};
enum { MODE_COUNT = sizeof modes / sizeof modes[0] };

/* Waiting for a lock must end before somebody asks why nothing moves. What a column did not keep may be
 * told in a warning, or in a mere note, only: a server may have both switched off. */
static const char settings[] =
    "SET SESSION time_zone = '+00:00';SET SESSION foreign_key_checks = 1;"
    "SET SESSION unique_checks = 1;SET SESSION autocommit = 1;SET SESSION lock_wait_timeout = 50;"
    "SET SESSION wait_timeout = 2147483;SET SESSION net_write_timeout = 600;"
    "SET SESSION sql_notes = 1;SET SESSION max_error_count = 64;"
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED";

/* --- connecting --- */

static enum status cannot_connect(struct mysqldb_system *s, struct error *err)
{
    unsigned number = mysql_errno(s->connection);
    bool refused = mysqldb_is_refusal(number);
    s->is_broken = true;
    return error_set(err, refused ? STATUS_CONFIG : STATUS_RETRY,
                     refused ? "mysql.refused" : "mysql.away",
                     "no connection to MySQL (%s): %s, error %u%s%s", s->db.place,
                     mysql_error(s->connection), number, refused ? "; " : "",
                     refused ? mysqldb_advice(number) : "");
}

static void set_file(struct mysqldb_system *s, enum mysql_option option, const struct doc *tls,
                     const char *key)
{
    const char *path = grammar_string(tls, key, NULL);
    if (path == NULL) {
        return;
    }
    struct buffer full = {0};
    buffer_printf(&full, "%s%s%s", path[0] == '/' ? "" : s->db.folder,
                  path[0] == '/' ? "" : "/", path);
    mysql_optionsv(s->connection, option, buffer_string(&full));
    buffer_fini(&full);
}

static void set_options(struct mysqldb_system *s)
{
    unsigned timeout = CONNECT_TIMEOUT_S;
    unsigned no = 0;
    unsigned protocol = MYSQL_PROTOCOL_TCP;
    my_bool yes = 1;
    const struct doc *tls = doc_get(s->db.config, "tls");
    mysql_optionsv(s->connection, MYSQL_OPT_CONNECT_TIMEOUT, &timeout);
    mysql_optionsv(s->connection, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    /* A server could ask for any file of this machine otherwise. */
    mysql_optionsv(s->connection, MYSQL_OPT_LOCAL_INFILE, &no);
    if (doc_get(s->db.config, "socket") == NULL) {
        mysql_optionsv(s->connection, MYSQL_OPT_PROTOCOL, &protocol);
    }
    if (tls != NULL) {
        mysql_optionsv(s->connection, MYSQL_OPT_SSL_ENFORCE, &yes);
        mysql_optionsv(s->connection, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &yes);
        set_file(s, MYSQL_OPT_SSL_CA, tls, "ca_file");
        set_file(s, MYSQL_OPT_SSL_CERT, tls, "cert_file");
        set_file(s, MYSQL_OPT_SSL_KEY, tls, "key_file");
    }
}

/* A server that vanished without a word is noticed in half a minute. */
static enum status watch_connection(struct mysqldb_system *s, struct error *err)
{
    static const struct {
        int level, option, value;
    } options[] = {
        {SOL_SOCKET, SO_KEEPALIVE, 1},        {IPPROTO_TCP, TCP_KEEPIDLE, 10},
        {IPPROTO_TCP, TCP_KEEPINTVL, 5},      {IPPROTO_TCP, TCP_KEEPCNT, 3},
        {IPPROTO_TCP, TCP_USER_TIMEOUT, 30000},
    };
    int socket = mysql_get_socket(s->connection);
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        if (setsockopt(socket, options[i].level, options[i].option, &options[i].value,
                       sizeof options[i].value) != 0) {
            s->is_broken = true;
            return error_set(err, STATUS_RETRY, "mysql.away",
                             "cannot set how the connection with MySQL (%s) is watched: %s",
                             s->db.place, strerror(errno));
        }
    }
    return STATUS_OK;
}

static enum status open_connection(struct mysqldb_system *s, const char *password,
                                   struct error *err)
{
    const struct doc *config = s->db.config;
    s->connection = mysql_init(NULL);
    check(s->connection != NULL);
    set_options(s);
    s->is_broken = false;
    if (mysql_real_connect(s->connection, grammar_string(config, "host", "localhost"),
                           grammar_string(config, "user", "root"), password,
                           grammar_string(config, "database", ""),
                           (unsigned)grammar_int(config, "port", 3306),
                           grammar_string(config, "socket", NULL), 0) == NULL) {
        return cannot_connect(s, err);
    }
    s->is_mariadb = mariadb_connection(s->connection) != 0;
    s->has_row_number = s->is_mariadb && mysql_get_server_version(s->connection) >= 100700;
    return doc_get(config, "socket") == NULL ? watch_connection(s, err) : STATUS_OK;
}

/* --- what a session must be like --- */

static bool has_word(const char *list, const char *word)
{
    size_t size = strlen(word);
    for (const char *at = list; (at = strstr(at, word)) != NULL; at += size) {
        if ((at == list || at[-1] == ',') && (at[size] == ',' || at[size] == '\0')) {
            return true;
        }
    }
    return false;
}

static enum status refuse_session(struct mysqldb_system *s, const char *name, const char *wanted,
                                  const char *is, struct error *err)
{
    return error_set(err, STATUS_CONFIG, "mysql.session",
                     "%s does not let a session have %s %s (it is '%s'), and rows would be stored as "
                     "something else than they are; is there a proxy between that changes sessions?",
                     s->db.place, name, wanted, is);
}

/* What check_session() asks for, behind the modes and in this order. */
static const struct {
    const char *name;
    const char *value; /* NULL: any */
} expected[] = {
    {"sql_mode", NULL},
    {"time_zone", "+00:00"},
    {"transaction_isolation", "READ-COMMITTED"},
    {"max_allowed_packet", NULL},
    {"character_set_client", "utf8mb4"},
    {"sql_notes", "1"},
    {"max_error_count", "64"},
};
enum { EXPECTED_COUNT = sizeof expected / sizeof expected[0], MAX_ALLOWED_PACKET = 3 };

static enum status check_settings(struct mysqldb_system *s, const struct database_answer *answer,
                                  struct error *err)
{
    enum status status = STATUS_OK;
    for (int i = 0; i < MODE_COUNT && status == STATUS_OK; i++) {
        if (!has_word(mysqldb_text(answer, 0, 0), modes[i])) {
            status = refuse_session(s, "sql_mode", modes[i], mysqldb_text(answer, 0, 0), err);
        }
    }
    for (uint32_t i = 0; i < EXPECTED_COUNT && status == STATUS_OK; i++) {
        const char *is = mysqldb_text(answer, 0, i);
        if (expected[i].value != NULL && strcmp(is, expected[i].value) != 0) {
            status = refuse_session(s, expected[i].name, expected[i].value, is, err);
        }
    }
    return status;
}

static enum status check_session(struct mysqldb_system *s, struct error *err)
{
    bool is_new_name = !s->is_mariadb || mysql_get_server_version(s->connection) >= 110101;
    const char *sql = is_new_name
                          ? "SELECT @@SESSION.sql_mode, @@SESSION.time_zone,"
                            " @@SESSION.transaction_isolation, @@SESSION.max_allowed_packet,"
                            " @@SESSION.character_set_client, @@SESSION.sql_notes,"
                            " @@SESSION.max_error_count"
                          : "SELECT @@SESSION.sql_mode, @@SESSION.time_zone,"
                            " @@SESSION.tx_isolation, @@SESSION.max_allowed_packet,"
                            " @@SESSION.character_set_client, @@SESSION.sql_notes,"
                            " @@SESSION.max_error_count";
    struct database_answer *answer = NULL;
    enum status status = mysqldb_ask(s, sql, NULL, "look at a session of", &answer, err);
    if (status != STATUS_OK) {
        return status;
    }
    status = check_settings(s, answer, err);
    s->packet_bytes = (size_t)mysqldb_integer(answer, 0, MAX_ALLOWED_PACKET);
    mysqldb_free(answer);
    return status;
}

static enum status prepare_session(struct mysqldb_system *s, struct error *err)
{
    struct buffer sql = {0};
    buffer_append_string(&sql, "SET SESSION sql_mode = '");
    for (int i = 0; i < MODE_COUNT; i++) {
        buffer_printf(&sql, "%s%s", i == 0 ? "" : ",", modes[i]);
    }
    buffer_printf(&sql, "';%s", settings);
    if (s->is_mariadb) {
        buffer_append_string(&sql, ";SET SESSION check_constraint_checks = 1");
    }
    if (s->db.is_reader) {
        buffer_append_string(&sql, ";SET SESSION TRANSACTION READ ONLY");
    }
    enum status status = mysqldb_run(s, buffer_string(&sql), "prepare a session with", err);
    buffer_fini(&sql);
    return status == STATUS_OK ? check_session(s, err) : status;
}

static enum status read_password(const struct mysqldb_system *s, struct buffer *out,
                                 struct error *err)
{
    const struct doc *password = doc_get(s->db.config, "password");
    return password == NULL ? STATUS_OK : secret_read(password, s->db.folder, out, err);
}

void mysqldb_disconnect(struct database *d)
{
    struct mysqldb_system *s = mysqldb_system(&d->system);
    for (uint32_t i = 0; i < s->db.system.sink_count; i++) {
        mysqldb_table_forget(mysqldb_table(s->db.system.sinks[i]));
    }
    if (s->connection != NULL) {
        mysql_close(s->connection);
    }
    s->connection = NULL;
}

enum status mysqldb_connect(struct database *d, struct error *err)
{
    struct mysqldb_system *s = mysqldb_system(&d->system);
    struct buffer password = {0};
    mysqldb_disconnect(d);
    enum status status = read_password(s, &password, err);
    if (status == STATUS_OK) {
        status = open_connection(s, password.size == 0 ? NULL : buffer_string(&password), err);
    }
    secret_forget(&password);
    if (status == STATUS_OK) {
        status = prepare_session(s, err);
    }
    if (status == STATUS_OK && s->db.owner != 0) {
        status = mysqldb_name_session(d, d->owner, err);
    }
    s->is_broken = s->is_broken || status != STATUS_OK;
    return status;
}

enum status mysqldb_reconnect(struct database *d, struct error *err)
{
    struct mysqldb_system *s = mysqldb_system(&d->system);
    return s->connection != NULL && !s->is_broken ? STATUS_OK : mysqldb_connect(d, err);
}

/* --- names --- */

enum { NAME_BYTES = 32 };

/* The name of the owner's lock, which `name` keeps. */
static struct parameters of_owner(uint64_t owner, char name[NAME_BYTES])
{
    struct parameters parameters = {0};
    snprintf(name, NAME_BYTES, "weir-%016llx", (unsigned long long)owner);
    parameters_text(&parameters, name);
    return parameters;
}

/* KILL, unless it has ended by itself. */
static enum status kill_session(struct mysqldb_system *s, int64_t id, struct error *err)
{
    enum { NO_SUCH_THREAD = 1094 };
    char sql[64];
    snprintf(sql, sizeof sql, "KILL CONNECTION %lld", (long long)id);
    struct error detail = {0};
    enum status status = mysqldb_run(s, sql, "end a session of the former owner in", &detail);
    if (status != STATUS_OK && mysql_errno(s->connection) == NO_SUCH_THREAD) {
        return STATUS_OK;
    }
    return status == STATUS_OK
               ? STATUS_OK
               : error_set(err, status, detail.code, "%s", detail.message);
}

/* The owner's lock is this session's, after whoever held it was ended. */
static enum status take_lock(struct mysqldb_system *s, uint64_t owner, struct error *err)
{
    char name[NAME_BYTES];
    struct parameters parameters = of_owner(owner, name);
    parameters_integer(&parameters, END_TIMEOUT_S);
    struct database_answer *answer = NULL;
    enum status status = mysqldb_ask(
        s, "SELECT coalesce(nullif(IS_USED_LOCK($1), connection_id()), 0)", &parameters,
        "look for sessions of", &answer, err);
    int64_t holder = 0;
    if (status == STATUS_OK) {
        holder = mysqldb_integer(answer, 0, 0);
        mysqldb_free(answer);
    }
    if (status == STATUS_OK && holder != 0) {
        status = kill_session(s, holder, err);
    }
    if (status == STATUS_OK) {
        status = mysqldb_ask(s, "SELECT coalesce(GET_LOCK($1, $2), 0)", &parameters,
                             "name a session of", &answer, err);
    }
    if (status == STATUS_OK) {
        if (mysqldb_integer(answer, 0, 0) != 1) {
            status = error_set(err, STATUS_RETRY, "mysql.away",
                               "the former session with %s has not ended yet", s->db.place);
        }
        mysqldb_free(answer);
    }
    return status;
}

enum status mysqldb_name_session(struct database *d, uint64_t owner, struct error *err)
{
    struct mysqldb_system *s = mysqldb_system(&d->system);
    s->db.owner = owner;
    return take_lock(s, owner, err);
}

enum status mysqldb_end_sessions(struct database *d, uint64_t owner, struct error *err)
{
    struct mysqldb_system *s = mysqldb_system(&d->system);
    enum status status = take_lock(s, owner, err);
    if (status != STATUS_OK) {
        return status;
    }
    char name[NAME_BYTES];
    struct parameters parameters = of_owner(owner, name);
    struct database_answer *answer = NULL;
    status = mysqldb_ask(s, "SELECT RELEASE_LOCK($1)", &parameters, "look for sessions of",
                         &answer, err);
    mysqldb_free(answer);
    return status;
}
