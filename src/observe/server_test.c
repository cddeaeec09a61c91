#include "observe/server.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static const struct metric_definition definitions[] = {
    {"rows_total", METRIC_COUNTER, "Rows.", {"sink"}},
    {"size_bytes", METRIC_GAUGE, "Size."},
};

struct fixture {
    struct metrics *metrics;
    struct health *health;
    struct server *server;
    struct metric *size;
    int refreshes;
};

static void refresh(void *context)
{
    struct fixture *fixture = context;
    metric_set(fixture->size, ++fixture->refreshes * (double)(1 << 20));
}

static struct fixture start(const char *title)
{
    static struct fixture fixture;
    fixture = (struct fixture){.metrics = metrics_new(definitions, 2, "p"), .health = health_new()};
    metrics_begin(fixture.metrics);
    metric_set_count(metrics_of(fixture.metrics, 0, "<out>", NULL, NULL), 1234567);
    fixture.size = metrics_of(fixture.metrics, 1, NULL, NULL, NULL);
    metrics_end(fixture.metrics);
    struct socket_address address;
    struct error err = {0};
    assert_true(socket_address_parse("127.0.0.1:0", &address));
    assert_int_equal(server_start(&address, title, fixture.metrics, fixture.health, refresh,
                                  &fixture, &fixture.server, &err),
                     STATUS_OK);
    return fixture;
}

static void stop(struct fixture *fixture)
{
    server_stop(fixture->server);
    metrics_free(fixture->metrics);
    health_free(fixture->health);
}

/* The whole answer to one request. */
static const char *ask(const struct fixture *fixture, const char *request, const char *headers)
{
    static char answer[64 * 1024];
    char text[1024];
    int size =
        snprintf(text, sizeof text, "%s HTTP/1.1\r\nHost: h:1\r\nConnection: close\r\n%s\r\n",
                 request, headers);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons(server_port(fixture->server))};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    assert_int_equal(write(fd, text, (size_t)size), size);
    size_t used = 0;
    for (ssize_t got = 1; got > 0; used += (size_t)got) {
        got = read(fd, answer + used, sizeof answer - 1 - used);
        assert_true(got >= 0);
    }
    answer[used] = '\0';
    close(fd);
    return answer;
}

#define assert_has(text, part) assert_non_null(strstr((text), (part)))

static void every_address_answers(void **state)
{
    (void)state;
    struct fixture fixture = start("a <b>");
    const char *text = ask(&fixture, "GET /metrics", "");
    assert_has(text, "HTTP/1.1 200 ");
    assert_has(text, "text/plain; version=0.0.4");
    assert_has(text, "rows_total{pipeline=\"p\",sink=\"<out>\"} 1234567\n");
    assert_has(text, "size_bytes{pipeline=\"p\"} 1048576\n");
    assert_has(ask(&fixture, "GET /live", ""), "alive");
    text = ask(&fixture, "GET /ready", "");
    assert_has(text, "HTTP/1.1 503 ");
    assert_has(text, "application/json");
    health_set_phase(fixture.health, HEALTH_RUNNING);
    assert_has(ask(&fixture, "GET /ready", ""), "HTTP/1.1 200 ");
    text = ask(&fixture, "GET /", "");
    assert_has(text, "<title>a &lt;b&gt;</title>");
    assert_has(text, "<th>&lt;out&gt;</th><td>1,234,567</td>");
    assert_has(text, "2.0 MiB");
    assert_has(text, "http-equiv=\"refresh\"");
    assert_has(ask(&fixture, "GET /else", ""), "HTTP/1.1 404 ");
    assert_has(ask(&fixture, "HEAD /live", ""), "Content-Length: 6");
    stop(&fixture);
}

static void only_a_post_of_our_own_resumes(void **state)
{
    (void)state;
    struct fixture fixture = start("t");
    assert_has(ask(&fixture, "GET /resume", ""), "HTTP/1.1 405 ");
    assert_has(ask(&fixture, "POST /metrics", ""), "HTTP/1.1 405 ");
    assert_has(ask(&fixture, "POST /resume", "Origin: http://elsewhere\r\n"), "HTTP/1.1 403 ");
    assert_int_equal(health_resumes(fixture.health), 0);
    assert_has(ask(&fixture, "POST /resume", ""), "HTTP/1.1 202 ");
    assert_has(ask(&fixture, "POST /resume", "Origin: http://h:1\r\n"), "HTTP/1.1 202 ");
    assert_int_equal(health_resumes(fixture.health), 2);
    stop(&fixture);
}

static void nonsense_does_no_harm(void **state)
{
    (void)state;
    struct fixture fixture = start("t");
    char large[900];
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    ask(&fixture, large, "");
    ask(&fixture, "GET /%00%ff?a=b&c", "");
    assert_has(ask(&fixture, "GET /live", ""), "alive");
    stop(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_address_answers),
        cmocka_unit_test(only_a_post_of_our_own_resumes),
        cmocka_unit_test(nonsense_does_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
