#include "observe/server.h"

#include <microhttpd.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "observe/page.h"
#include "os/thread.h"

enum {
    CONNECTIONS_MAX = 64,
    CONNECTION_BYTES = 16 * 1024,
    IDLE_SECONDS = 10,
};

struct server {
    struct MHD_Daemon *daemon;
    int fd;
    uint16_t port;
    char *title;
    struct metrics *metrics;
    struct health *health;
    void (*refresh)(void *context);
    void *context;
};

struct answer {
    unsigned status;
    const char *type;
    struct buffer body;
};

static void ask_again(const struct server *server)
{
    if (server->refresh != NULL) {
        server->refresh(server->context);
    }
}

static void answer_text(struct answer *answer, unsigned status, const char *text)
{
    answer->status = status;
    answer->type = "text/plain; charset=utf-8";
    buffer_append_string(&answer->body, text);
}

/* --- what each address answers --- */

static void get_metrics(struct server *server, struct answer *answer)
{
    ask_again(server);
    answer->type = "text/plain; version=0.0.4; charset=utf-8";
    metrics_write(server->metrics, &answer->body);
}

static void get_live(struct server *server, struct answer *answer)
{
    (void)server;
    answer_text(answer, MHD_HTTP_OK, "alive\n");
}

static void get_ready(struct server *server, struct answer *answer)
{
    answer->status = health_is_ready(server->health) ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE;
    answer->type = "application/json";
    health_write_json(server->health, &answer->body);
}

static void get_page(struct server *server, struct answer *answer)
{
    ask_again(server);
    answer->type = "text/html; charset=utf-8";
    page_write(server->title, server->metrics, server->health, &answer->body);
}

static void post_resume(struct server *server, struct answer *answer)
{
    health_resume(server->health);
    answer_text(answer, MHD_HTTP_ACCEPTED, "what was paused is tried again\n");
}

static const struct route {
    const char *path;
    const char *method;
    void (*run)(struct server *server, struct answer *answer);
} routes[] = {
    {"/metrics", "GET", get_metrics}, {"/live", "GET", get_live},
    {"/ready", "GET", get_ready},     {"/", "GET", get_page},
    {"/resume", "POST", post_resume},
};

/* A page of another site that is open in somebody's browser could send a POST too; a browser then
 * says where it is from. */
static bool is_foreign(struct MHD_Connection *connection)
{
    const char *origin = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Origin");
    const char *host = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Host");
    return origin != NULL &&
           (host == NULL || strncmp(origin, "http://", 7) != 0 || strcmp(origin + 7, host) != 0);
}

static void dispatch(struct server *server, struct MHD_Connection *connection, const char *path,
                     const char *method, struct answer *answer)
{
    bool is_known = false;
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        if (strcmp(path, routes[i].path) != 0) {
            continue;
        }
        is_known = true;
        bool is_get = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
        if (strcmp(routes[i].method, is_get ? "GET" : method) != 0) {
            continue;
        }
        if (!is_get && is_foreign(connection)) {
            answer_text(answer, MHD_HTTP_FORBIDDEN, "not from a page of another origin\n");
            return;
        }
        routes[i].run(server, answer);
        return;
    }
    if (is_known) {
        answer_text(answer, MHD_HTTP_METHOD_NOT_ALLOWED, "not with this method\n");
    } else {
        answer_text(answer, MHD_HTTP_NOT_FOUND,
                    "there are /, /metrics, /live, /ready, and POST /resume\n");
    }
}

static enum MHD_Result queue(struct MHD_Connection *connection, struct answer *answer)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(
        answer->body.size, answer->body.data, MHD_RESPMEM_MUST_COPY);
    if (response == NULL) {
        return MHD_NO;
    }
    const char *const headers[][2] = {
        {"Content-Type", answer->type},
        {"Cache-Control", "no-store"},
        {"X-Content-Type-Options", "nosniff"},
        {"Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; img-src data:"},
    };
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        MHD_add_response_header(response, headers[i][0], headers[i][1]);
    }
    enum MHD_Result result = MHD_queue_response(connection, answer->status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *path,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_size, void **request)
{
    (void)version;
    (void)upload;
    /* Called first with the head alone, then with each piece of a body, then with nothing more. A
     * body says nothing to any of our addresses. */
    static char is_begun;
    if (*request == NULL) {
        *request = &is_begun;
        return MHD_YES;
    }
    if (*upload_size > 0) {
        *upload_size = 0;
        return MHD_YES;
    }
    struct answer answer = {.status = MHD_HTTP_OK};
    dispatch(context, connection, path, method, &answer);
    enum MHD_Result result = queue(connection, &answer);
    buffer_fini(&answer.body);
    return result;
}

/* --- life --- */

/* On a thread of ours, whose signals are blocked: the library's thread inherits that. */
static void start_daemon(void *context)
{
    struct server *server = context;
    server->daemon = MHD_start_daemon(
        MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_AUTO | MHD_USE_ITC, 0, NULL, NULL, handle, server,
        MHD_OPTION_LISTEN_SOCKET, server->fd, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECONDS, MHD_OPTION_END);
}

enum status server_start(const struct socket_address *address, const char *title,
                         struct metrics *metrics, struct health *health,
                         void (*refresh)(void *context), void *context, struct server **out,
                         struct error *err)
{
    int fd = -1;
    uint16_t port = 0;
    enum status status = socket_listen(address, &fd, &port, err);
    if (status != STATUS_OK) {
        return status;
    }
    struct server *server = memory_alloc_zero(1, sizeof *server);
    *server = (struct server){.fd = fd,
                              .port = port,
                              .title = memory_copy_string(title),
                              .metrics = metrics,
                              .health = health,
                              .refresh = refresh,
                              .context = context};
    struct thread starter;
    thread_start(&starter, "http", start_daemon, server);
    thread_join(&starter);
    if (server->daemon == NULL) {
        close(fd);
        memory_free(server->title);
        memory_free(server);
        return error_set(err, STATUS_FATAL, "http.failed",
                         "the HTTP server could not be started: threads or descriptors may be used "
                         "up (ulimit -u, ulimit -n)");
    }
    *out = server;
    return STATUS_OK;
}

uint16_t server_port(const struct server *server)
{
    return server->port;
}

void server_stop(struct server *server)
{
    if (server == NULL) {
        return;
    }
    MHD_stop_daemon(server->daemon); /* closes the socket */
    memory_free(server->title);
    memory_free(server);
}
