#include "connector/kafka/client.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connector/kafka/answer.h"
#include "connector/secret.h"
#include "os/clock.h"
#include "os/secret.h"

/* A complaint that is older has nothing to do with what went wrong just now. */
#define COMPLAINT_US 30000000
/* All brokers that are known refuse so long: it is time to say so. */
#define AWAY_US 2000000
#define ASK_MS 500
#define WAIT_MS 100
/* Free memory that librdkafka's allocations keep. */
#define KEPT_BYTES (16 * 1024 * 1024)

/* --- grammar --- */

static const char *const mechanisms[] = {"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER",
                                         NULL};

static const struct grammar_field tls_fields[] = {
    {.key = "ca_file", .type = GRAMMAR_STRING,
     .help = "certificates that brokers are trusted by; the system's unless set"},
    {.key = "cert_file", .type = GRAMMAR_STRING, .help = "the client's own certificate, PEM"},
    {.key = "key_file", .type = GRAMMAR_STRING, .help = "the key of that certificate, PEM"},
    {.key = "key_password", .type = GRAMMAR_SECRET, .help = "what that key is encrypted with"},
    {0},
};

static const struct grammar_field sasl_fields[] = {
    {.key = "mechanism", .type = GRAMMAR_CHOICE, .required = true, .choices = mechanisms,
     .help = "how to log in"},
    {.key = "username", .type = GRAMMAR_STRING, .help = "for PLAIN and SCRAM"},
    {.key = "password", .type = GRAMMAR_SECRET, .help = "for PLAIN and SCRAM"},
    {.key = "token_endpoint", .type = GRAMMAR_STRING,
     .help = "for OAUTHBEARER: the URL that gives tokens (OIDC)"},
    {.key = "client_id", .type = GRAMMAR_STRING, .help = "for OAUTHBEARER"},
    {.key = "client_secret", .type = GRAMMAR_SECRET, .help = "for OAUTHBEARER"},
    {.key = "scope", .type = GRAMMAR_STRING, .help = "for OAUTHBEARER"},
    {0},
};

static const struct grammar_field kafka_fields[] = {
    {.key = "brokers", .type = GRAMMAR_STRINGS, .required = true,
     .help = "some brokers of the cluster, host:port"},
    {.key = "tls", .type = GRAMMAR_MAP, .fields = tls_fields,
     .help = "encryption; 'tls: {}' for the system's certificates"},
    {.key = "sasl", .type = GRAMMAR_MAP, .fields = sasl_fields, .help = "who we are"},
    {.key = "properties", .type = GRAMMAR_ANY,
     .help = "settings of librdkafka that weir does not own"},
    {0},
};

static const struct grammar_field event_hubs_fields[] = {
    {.key = "namespace", .type = GRAMMAR_STRING, .required = true,
     .help = "NAME of NAME.servicebus.windows.net, or a whole host:port"},
    {.key = "connection_string", .type = GRAMMAR_SECRET, .required = true,
     .help = "as the portal shows it"},
    {.key = "tls", .type = GRAMMAR_MAP, .fields = tls_fields,
     .help = "other certificates than the system's"},
    {.key = "properties", .type = GRAMMAR_ANY,
     .help = "settings of librdkafka that weir does not own"},
    {0},
};

const struct connection_kind kafka_connection_kind = {
    .kind = "kafka", .grammar = kafka_fields, .address_key = "brokers"};
const struct connection_kind event_hubs_connection_kind = {.kind = "event_hubs",
                                                           .grammar = event_hubs_fields};

/* --- what weir owns --- */

static const struct {
    const char *name;
    const char *why;
} owned[] = {
    {"bootstrap.servers", "write 'brokers'"},
    {"metadata.broker.list", "write 'brokers'"},
    {"security.protocol", "it follows from 'tls' and 'sasl'"},
    {"sasl.mechanism", "write 'sasl: {mechanism: …}'"},
    {"sasl.mechanisms", "write 'sasl: {mechanism: …}'"},
    {"sasl.username", "write 'sasl: {username: …}'"},
    {"sasl.password", "a secret: write 'sasl: {password: {file: …}}'"},
    {"sasl.oauthbearer.client.secret", "a secret: write 'sasl: {client_secret: {file: …}}'"},
    {"ssl.key.password", "a secret: write 'tls: {key_password: {file: …}}'"},
    {"ssl.keystore.password", "a secret: write 'tls: {key_password: {file: …}}'"},
    {"ssl.key.pem", "a secret: write 'tls: {key_file: …}'"},
    {"group.id", "the name of the pipeline is the group"},
    {"group.instance.id", "write 'instance_id' at the source"},
    {"group.protocol", "weir's fencing is made for the classic protocol"},
    {"partition.assignment.strategy", "write 'assignment' at the source"},
    {"enable.auto.commit", "weir commits positions with the rows, in one transaction"},
    {"auto.commit.interval.ms", "weir commits positions with the rows, in one transaction"},
    {"enable.auto.offset.store", "weir commits positions with the rows, in one transaction"},
    {"auto.offset.reset", "weir never jumps to another offset by itself; write 'start'"},
    {"isolation.level", "aborted rows must never come in"},
    {"enable.partition.eof", "weir must know where a partition ends"},
    {"transactional.id", "it names the owner of the pipeline's progress"},
    {"enable.idempotence", "rows must not be doubled"},
    {"enable.gapless.guarantee", "weir sends an epoch again as a whole"},
    {"acks", "rows must not be lost"},
    {"request.required.acks", "rows must not be lost"},
    {"max.in.flight", "rows must keep their order"},
    {"max.in.flight.requests.per.connection", "rows must keep their order"},
    {"partitioner", "keys go to the partitions that Java's clients give them"},
    {"delivery.report.only.error", "weir counts what was delivered"},
    {"message.timeout.ms", "a row is delivered within its transaction or not at all"},
    {"delivery.timeout.ms", "a row is delivered within its transaction or not at all"},
    {"allow.auto.create.topics", "weir makes the topics of its sinks itself"},
    {"plugin.library.paths", "weir loads no foreign code"},
};

const char *kafka_refused_property(const char *name)
{
    size_t size = strlen(name);
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++) {
        if (strcmp(owned[i].name, name) == 0) {
            return owned[i].why;
        }
    }
    return size > 3 && strcmp(name + size - 3, "_cb") == 0 ? "it is a function" : NULL;
}

static bool is_scalar(const struct doc *node)
{
    return node->kind == DOC_STRING || node->kind == DOC_INT || node->kind == DOC_BOOL ||
           node->kind == DOC_DOUBLE;
}

static enum status check_property(rd_kafka_conf_t *conf, const struct doc *key,
                                  const struct doc *value, struct error *err)
{
    const char *why = kafka_refused_property(key->text);
    char reason[256];
    if (why != NULL) {
        return doc_error(key, err, "config.owned", "'%s' is not for a pipeline to set: %s",
                         key->text, why);
    }
    if (!is_scalar(value)) {
        return doc_error(key, err, "config.type", "the property '%s' must be one value, not %s",
                         key->text, doc_kind_name(value->kind));
    }
    rd_kafka_conf_res_t result =
        rd_kafka_conf_set(conf, key->text, value->text, reason, sizeof reason);
    return result == RD_KAFKA_CONF_OK
               ? STATUS_OK
               : doc_error(key, err,
                           result == RD_KAFKA_CONF_UNKNOWN ? "config.unknown_key"
                                                           : "config.value",
                           "librdkafka does not take the property '%s': %s", key->text, reason);
}

static enum status set_properties(rd_kafka_conf_t *conf, const struct doc *config,
                                  struct error *err)
{
    const struct doc *properties = doc_get(config, "properties");
    if (properties == NULL) {
        return STATUS_OK;
    }
    if (properties->kind != DOC_MAP) {
        return doc_error(properties, err, "config.type",
                         "properties must be a map of names and values, not %s",
                         doc_kind_name(properties->kind));
    }
    enum status status = STATUS_OK;
    for (size_t i = 0; i < properties->count && status == STATUS_OK; i++) {
        status = check_property(conf, properties->keys[i], properties->items[i], err);
    }
    return status;
}

static enum status check_sasl(const struct doc *sasl, struct error *err)
{
    bool is_oauth = strcmp(grammar_string(sasl, "mechanism", ""), "OAUTHBEARER") == 0;
    static const char *const plain[] = {"username", "password", NULL};
    static const char *const oauth[] = {"token_endpoint", "client_id", "client_secret", NULL};
    for (const char *const *key = is_oauth ? oauth : plain; *key != NULL; key++) {
        if (doc_get(sasl, *key) == NULL) {
            return doc_error(sasl, err, "config.missing_key",
                             "'%s' is missing in sasl: %s needs it", *key,
                             grammar_string(sasl, "mechanism", ""));
        }
    }
    return STATUS_OK;
}

enum status kafka_check_connection(const struct doc *config, struct error *err)
{
    const struct doc *sasl = doc_get(config, "sasl");
    const struct doc *brokers = doc_get(config, "brokers");
    if (brokers != NULL && (brokers->kind == DOC_LIST ? brokers->count : brokers->text_size) == 0) {
        return doc_error(brokers, err, "config.value", "'brokers' names no broker");
    }
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    enum status status = set_properties(conf, config, err);
    rd_kafka_conf_destroy(conf);
    return status != STATUS_OK || sasl == NULL ? status : check_sasl(sasl, err);
}

/* --- the place --- */

static int compare_strings(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static const char *join_brokers(struct arena *arena, const char **brokers, size_t count)
{
    const char *list = "";
    for (size_t i = 0; i < count; i++) {
        list = arena_printf(arena, "%s%s%s", list, i == 0 ? "" : ",", brokers[i]);
    }
    return list;
}

static const char *event_hubs_broker(struct arena *arena, const char *name)
{
    if (strchr(name, ':') != NULL) {
        return name;
    }
    return arena_printf(arena, strchr(name, '.') == NULL ? "%s.servicebus.windows.net:9093"
                                                         : "%s:9093",
                        name);
}

/* Sorted, so that the order of a list makes no difference. */
static const char *brokers_of(struct arena *arena, const struct doc *config)
{
    const char *name = grammar_string(config, "namespace", NULL);
    size_t count = 0;
    if (name != NULL) {
        return event_hubs_broker(arena, name);
    }
    const char **brokers = grammar_strings(arena, config, "brokers", &count);
    if (brokers == NULL) {
        return "";
    }
    qsort(brokers, count, sizeof *brokers, compare_strings);
    return join_brokers(arena, brokers, count);
}

char *kafka_place(struct arena *arena, const struct doc *config)
{
    return arena_printf(arena, "kafka://%s", brokers_of(arena, config));
}

/* --- settings --- */

struct settings {
    rd_kafka_conf_t *conf;
    const struct doc *config;
    const char *folder;
    struct error *err;
    enum status status;
};

static void set(struct settings *settings, const char *name, const char *value)
{
    char reason[256];
    if (settings->status == STATUS_OK && value != NULL &&
        rd_kafka_conf_set(settings->conf, name, value, reason, sizeof reason) !=
            RD_KAFKA_CONF_OK) {
        settings->status = error_set(settings->err, STATUS_CONFIG, "kafka.settings",
                                     "librdkafka does not take the setting '%s'", name);
    }
}

static void set_secret(struct settings *settings, const char *name, const struct doc *node)
{
    struct buffer secret = {0};
    if (settings->status != STATUS_OK || node == NULL) {
        return;
    }
    settings->status = secret_read(node, settings->folder, &secret, settings->err);
    if (settings->status == STATUS_OK) {
        set(settings, name, buffer_string(&secret));
    }
    secret_forget(&secret);
}

static void set_path(struct settings *settings, const char *name, const struct doc *map,
                     const char *key)
{
    const char *path = grammar_string(map, key, NULL);
    struct buffer joined = {0};
    if (path != NULL) {
        buffer_printf(&joined, "%s%s", path[0] == '/' ? "" : settings->folder, path);
        set(settings, name, buffer_string(&joined));
    }
    buffer_fini(&joined);
}

static void set_tls(struct settings *settings, const struct doc *tls)
{
    set_path(settings, "ssl.ca.location", tls, "ca_file");
    set_path(settings, "ssl.certificate.location", tls, "cert_file");
    set_path(settings, "ssl.key.location", tls, "key_file");
    set_secret(settings, "ssl.key.password", doc_get(tls, "key_password"));
}

static void set_sasl(struct settings *settings, const struct doc *sasl)
{
    set(settings, "sasl.mechanism", grammar_string(sasl, "mechanism", NULL));
    set(settings, "sasl.username", grammar_string(sasl, "username", NULL));
    set_secret(settings, "sasl.password", doc_get(sasl, "password"));
    const char *endpoint = grammar_string(sasl, "token_endpoint", NULL);
    if (endpoint != NULL) {
        set(settings, "sasl.oauthbearer.method", "oidc");
        set(settings, "sasl.oauthbearer.token.endpoint.url", endpoint);
        set(settings, "sasl.oauthbearer.client.id", grammar_string(sasl, "client_id", NULL));
        set_secret(settings, "sasl.oauthbearer.client.secret", doc_get(sasl, "client_secret"));
        set(settings, "sasl.oauthbearer.scope", grammar_string(sasl, "scope", NULL));
    }
}

/* The keepalive and time limits that Microsoft asks for: the service drops what is silent. */
static void set_event_hubs(struct settings *settings, enum kafka_role role)
{
    set(settings, "security.protocol", "SASL_SSL");
    set(settings, "sasl.mechanism", "PLAIN");
    set(settings, "sasl.username", "$ConnectionString");
    set_secret(settings, "sasl.password", doc_get(settings->config, "connection_string"));
    set(settings, "metadata.max.age.ms", "180000");
    /* A producer's must not be longer than a transaction lives; librdkafka sees to that. */
    set(settings, "socket.timeout.ms", role == KAFKA_PRODUCE ? NULL : "60000");
}

static void set_connection(struct settings *settings, enum kafka_role role)
{
    const struct doc *tls = doc_get(settings->config, "tls");
    const struct doc *sasl = doc_get(settings->config, "sasl");
    struct arena *arena = arena_new(1024);
    set(settings, "bootstrap.servers", brokers_of(arena, settings->config));
    arena_free(arena);
    set(settings, "client.id", "weir");
    set(settings, "socket.keepalive.enable", "true");
    set(settings, "reconnect.backoff.ms", "100");
    set(settings, "reconnect.backoff.max.ms", "2000");
    set(settings, "log.connection.close", "false");
    if (doc_get(settings->config, "namespace") != NULL) {
        set_event_hubs(settings, role);
    } else {
        set(settings, "security.protocol",
            tls != NULL ? (sasl != NULL ? "SASL_SSL" : "SSL")
                        : (sasl != NULL ? "SASL_PLAINTEXT" : "PLAINTEXT"));
    }
    if (tls != NULL) {
        set_tls(settings, tls);
    }
    if (sasl != NULL) {
        set_sasl(settings, sasl);
    }
}

/* Before the properties, which may choose otherwise. */
static void set_suggestions(struct settings *settings, enum kafka_role role)
{
    /* Of every partition that is read: memory is bounded by these. Whom a topic's partitions belong
     * to is asked at once: librdkafka waits so long before it asks, then ever longer. */
    static const char *const fetch[] = {"topic.metadata.refresh.fast.interval.ms", "10",
                                        "queued.max.messages.kbytes", "1024",
                                        "queued.min.messages", "5000",
                                        "fetch.message.max.bytes", "262144",
                                        "fetch.max.bytes", "4194304",
                                        "fetch.queue.backoff.ms", "10",
                                        "fetch.wait.max.ms", "100", NULL};
    /* Who joins waits until the others have heard of it, at their next heartbeat. */
    static const char *const member[] = {"session.timeout.ms", "10000", "heartbeat.interval.ms",
                                         "500", "max.poll.interval.ms", "300000", NULL};
    static const char *const produce[] = {"topic.metadata.refresh.fast.interval.ms", "10",
                                          "transaction.timeout.ms", "10000", "linger.ms", "5",
                                          "compression.type", "lz4", "retry.backoff.ms", "20",
                                          "queue.buffering.max.messages", "100000",
                                          "queue.buffering.max.kbytes", "65536", NULL};
    const char *const *lists[] = {[KAFKA_FETCH] = fetch, [KAFKA_MEMBER] = member,
                                  [KAFKA_PRODUCE] = produce};
    for (const char *const *pair = lists[role]; *pair != NULL; pair += 2) {
        set(settings, pair[0], pair[1]);
    }
}

/* Behind the properties: what weir owns. */
static void set_owned(struct settings *settings, enum kafka_role role, const char *name)
{
    if (role == KAFKA_PRODUCE) {
        set(settings, "transactional.id", name);
        return;
    }
    set(settings, "enable.auto.commit", "false");
    set(settings, "enable.auto.offset.store", "false");
    set(settings, "isolation.level", "read_committed");
    set(settings, "auto.offset.reset", "error");
    set(settings, "enable.partition.eof", "true");
    set(settings, "allow.auto.create.topics", "false");
    set(settings, "group.id", name);
}

/* --- callbacks --- */

static void on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
    struct kafka_client *client = opaque;
    int64_t now_us = clock_monotonic_us();
    (void)rk;
    mutex_lock(&client->mutex);
    client->are_all_down |= code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN;
    /* That all brokers are down says less than why the first one was. */
    if (code != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || client->complaint[0] == '\0' ||
        now_us - client->complaint_us > COMPLAINT_US) {
        (void)snprintf(client->complaint, sizeof client->complaint, "%s", reason);
        client->is_login_refused = code == RD_KAFKA_RESP_ERR__AUTHENTICATION;
        client->complaint_us = now_us;
    }
    mutex_unlock(&client->mutex);
}

/* Libraries do not log; what matters comes as an error. Which requests a broker takes comes in no other
 * way. */
static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    static const char line[] = "ApiKey Fetch (1) Versions ";
    struct kafka_client *client = rd_kafka_opaque(rk);
    const char *found = strcmp(facility, "APIVERSION") == 0 ? strstr(text, line) : NULL;
    const char *most = found == NULL ? NULL : strstr(found + sizeof line - 1, "..");
    (void)level;
    if (most != NULL) {
        mutex_lock(&client->mutex);
        client->fetch_version = (int16_t)strtol(most + 2, NULL, 10);
        mutex_unlock(&client->mutex);
    }
}

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    struct kafka_client *client = opaque;
    struct kafka_landing *landing = message->_private;
    (void)rk;
    if (landing != NULL && landing->waiting != NULL && *landing->waiting > 0) {
        --*landing->waiting;
    }
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        client->failure = client->failed++ == 0 ? message->err : client->failure;
        return;
    }
    client->delivered++;
    if (landing != NULL) {
        const int64_t offset = message->offset;
        landing->first = landing->first < 0 || offset < landing->first ? offset : landing->first;
        landing->last = offset > landing->last ? offset : landing->last;
    }
}

/* --- opening and closing --- */

static enum status make_handle(struct kafka_client *client, rd_kafka_conf_t *conf,
                               struct error *err)
{
    char reason[256];
    client->rk =
        rd_kafka_new(client->role == KAFKA_PRODUCE ? RD_KAFKA_PRODUCER : RD_KAFKA_CONSUMER, conf,
                     reason, sizeof reason);
    if (client->rk != NULL) {
        return STATUS_OK;
    }
    rd_kafka_conf_destroy(conf);
    return error_set(err, STATUS_CONFIG, "kafka.settings",
                     "the Kafka client cannot be made from this connection: %s", reason);
}

enum status kafka_client_open(const struct doc *config, const char *folder, enum kafka_role role,
                              const char *name, const char *const *pairs,
                              struct kafka_client **out, struct error *err)
{
    struct kafka_client *client = memory_alloc_zero(1, sizeof *client);
    struct settings settings = {
        .conf = rd_kafka_conf_new(), .config = config, .folder = folder, .err = err};
    client->role = role;
    client->fetch_version = -1;
    mutex_init(&client->mutex);
    rd_kafka_conf_set_opaque(settings.conf, client);
    rd_kafka_conf_set_error_cb(settings.conf, on_error);
    rd_kafka_conf_set_log_cb(settings.conf, on_log);
    if (role == KAFKA_PRODUCE) {
        rd_kafka_conf_set_dr_msg_cb(settings.conf, on_delivery);
    }
    if (role == KAFKA_MEMBER) {
        rd_kafka_conf_set_events(settings.conf,
                                 RD_KAFKA_EVENT_REBALANCE | RD_KAFKA_EVENT_ERROR);
    }
    set_connection(&settings, role);
    set_suggestions(&settings, role);
    if (settings.status == STATUS_OK) {
        settings.status = set_properties(settings.conf, config, err);
    }
    set_owned(&settings, role, name);
    for (; pairs != NULL && *pairs != NULL; pairs += 2) {
        set(&settings, pairs[0], pairs[1]);
    }
    enum status status = settings.status;
    if (status == STATUS_OK) {
        status = make_handle(client, settings.conf, err);
    } else {
        rd_kafka_conf_destroy(settings.conf);
    }
    if (status != STATUS_OK) {
        kafka_client_close(client);
        return status;
    }
    *out = client;
    return STATUS_OK;
}

void kafka_client_close(struct kafka_client *client)
{
    if (client == NULL) {
        return;
    }
    if (client->rk != NULL) {
        if (client->role == KAFKA_PRODUCE) {
            rd_kafka_purge(client->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
            rd_kafka_flush(client->rk, 0);
        }
        rd_kafka_destroy(client->rk);
    }
    mutex_fini(&client->mutex);
    memory_free(client);
}

/* --- errors --- */

enum status kafka_status(rd_kafka_resp_err_t code)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
        return STATUS_OK;
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_ID:
    case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP:
    case RD_KAFKA_RESP_ERR_INVALID_RECORD:
    case RD_KAFKA_RESP_ERR_POLICY_VIOLATION:
    case RD_KAFKA_RESP_ERR_INVALID_CONFIG:
    case RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR:
    case RD_KAFKA_RESP_ERR_INVALID_PARTITIONS:
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION:
    case RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE:
    case RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT:
    case RD_KAFKA_RESP_ERR_INVALID_SESSION_TIMEOUT:
    case RD_KAFKA_RESP_ERR_INVALID_GROUP_ID:
    case RD_KAFKA_RESP_ERR_INCONSISTENT_GROUP_PROTOCOL:
        return STATUS_CONFIG;
    case RD_KAFKA_RESP_ERR__FENCED:
    case RD_KAFKA_RESP_ERR_PRODUCER_FENCED:
    case RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH:
    case RD_KAFKA_RESP_ERR_INVALID_TXN_STATE:
    case RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING:
        return STATUS_IN_DOUBT;
    case RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID:
    case RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID:
    case RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS:
        return STATUS_ABORT;
    case RD_KAFKA_RESP_ERR__BAD_MSG:
    case RD_KAFKA_RESP_ERR_INVALID_MSG:
    case RD_KAFKA_RESP_ERR__INVALID_ARG:
    case RD_KAFKA_RESP_ERR__STATE:
    case RD_KAFKA_RESP_ERR__FATAL:
        return STATUS_FATAL;
    default:
        /* Brokers that are away, leaders that move, requests that time out. */
        return STATUS_RETRY;
    }
}

static const char *code_name(enum status status, rd_kafka_resp_err_t code)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_ID:
        return "kafka.no_topic";
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION:
    case RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE:
        return "kafka.unsupported";
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
        return "kafka.login";
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
        return "kafka.not_allowed";
    default:
        return status == STATUS_RETRY      ? "kafka.away"
               : status == STATUS_IN_DOUBT ? "kafka.in_doubt"
               : status == STATUS_ABORT    ? "assignment.changed"
                                           : "kafka.error";
    }
}

enum status kafka_error(struct kafka_client *client, rd_kafka_resp_err_t code, const char *doing,
                        struct error *err)
{
    enum status status = kafka_status(code);
    char complaint[sizeof client->complaint] = "";
    bool is_login_refused = false;
    mutex_lock(&client->mutex);
    if (clock_monotonic_us() - client->complaint_us < COMPLAINT_US) {
        memcpy(complaint, client->complaint, sizeof complaint);
        is_login_refused = client->is_login_refused;
    }
    mutex_unlock(&client->mutex);
    /* A wrong password shows as brokers that never come up; they said why. */
    if (status == STATUS_RETRY && is_login_refused) {
        status = STATUS_CONFIG;
        code = RD_KAFKA_RESP_ERR__AUTHENTICATION;
    }
    bool knows_more = complaint[0] != '\0' &&
                      (status == STATUS_RETRY || code == RD_KAFKA_RESP_ERR__AUTHENTICATION);
    return error_set(err, status, code_name(status, code), "could not %s: %s%s%s", doing,
                     rd_kafka_err2str(code), knows_more ? "; the brokers: " : "",
                     knows_more ? complaint : "");
}

bool kafka_has_complained(struct kafka_client *client)
{
    mutex_lock(&client->mutex);
    const bool has = client->complaint[0] != '\0' &&
                     clock_monotonic_us() - client->complaint_us < COMPLAINT_US;
    mutex_unlock(&client->mutex);
    return has;
}

int16_t kafka_fetch_version(struct kafka_client *client)
{
    mutex_lock(&client->mutex);
    const int16_t version = client->fetch_version;
    mutex_unlock(&client->mutex);
    return version;
}

bool kafka_are_all_down(struct kafka_client *client)
{
    mutex_lock(&client->mutex);
    const bool are = client->are_all_down;
    mutex_unlock(&client->mutex);
    return are;
}

void kafka_take_answer(struct kafka_client *client)
{
    mutex_lock(&client->mutex);
    client->are_all_down = false;
    mutex_unlock(&client->mutex);
}

/* Who only waits for a new client to connect waits for its clock, which ticks once a second: a question
 * makes it connect at once. */
static char *ask_cluster_id(rd_kafka_t *rk)
{
    const struct rd_kafka_metadata *metadata = NULL;
    char *id = rd_kafka_clusterid(rk, 0);
    if (id != NULL) {
        return id;
    }
    if (rd_kafka_metadata(rk, 0, NULL, &metadata, ASK_MS) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        rd_kafka_metadata_destroy(metadata);
    }
    return rd_kafka_clusterid(rk, WAIT_MS);
}

enum status kafka_cluster_id(struct kafka_client *client, char **out, struct error *err)
{
    char *id = NULL;
    struct kafka_patience patience = kafka_patience_begin(KAFKA_TIMEOUT_MS * INT64_C(1000));
    patience.away_us = clock_monotonic_us() + AWAY_US;
    bool is_hopeless = false;
    while (id == NULL && !is_hopeless && !kafka_patience_is_over(&patience, client)) {
        id = ask_cluster_id(client->rk);
        /* Complaints come through the queue of callbacks. */
        rd_kafka_poll(client->rk, 0);
        mutex_lock(&client->mutex);
        is_hopeless = client->is_login_refused;
        mutex_unlock(&client->mutex);
    }
    if (id == NULL) {
        return kafka_error(client, RD_KAFKA_RESP_ERR__TRANSPORT, "reach any of the brokers", err);
    }
    *out = memory_copy_string(id);
    rd_kafka_mem_free(client->rk, id);
    return STATUS_OK;
}

enum status kafka_check_library(struct error *err)
{
    /* librdkafka has a thread for every broker of every client; each would get a heap of its own,
     * and buffers that one thread allocates and another frees make all of them grow. */
    (void)mallopt(M_ARENA_MAX, 2);
    /* What a fetch is unpacked into comes and goes many times a second: kept, it is not given back to
     * the system, cleared and touched again each time. */
    (void)mallopt(M_TRIM_THRESHOLD, KEPT_BYTES);
    (void)mallopt(M_MMAP_THRESHOLD, KEPT_BYTES);
    static const char *const needed[] = {"ssl", "sasl_plain", "sasl_scram", "lz4", "zstd", NULL};
    char found[1024];
    size_t size = sizeof found;
    if (rd_kafka_version() < KAFKA_OLDEST_VERSION) {
        return error_set(err, STATUS_CONFIG, "module.library",
                         "librdkafka %s is too old: it can double records; 2.13.2 or newer is "
                         "needed (script/bootstrap builds one)",
                         rd_kafka_version_str());
    }
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    (void)rd_kafka_conf_get(conf, "builtin.features", found, &size);
    rd_kafka_conf_destroy(conf);
    for (uint32_t i = 0; needed[i] != NULL; i++) {
        if (strstr(found, needed[i]) == NULL) {
            return error_set(err, STATUS_CONFIG, "module.library",
                             "librdkafka %s was built without %s: build it with script/librdkafka",
                             rd_kafka_version_str(), needed[i]);
        }
    }
    return STATUS_OK;
}
