#include "os/socket.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void addresses_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *host; /* NULL: refused */
        uint16_t port;
        bool is_loopback;
    } cases[] = {
        {"127.0.0.1:9600", "127.0.0.1", 9600, true},
        {"127.1.2.3:1", "127.1.2.3", 1, true},
        {"localhost:80", "127.0.0.1", 80, true},
        {"9600", "127.0.0.1", 9600, true},
        {":9600", "127.0.0.1", 9600, true},
        {"[::1]:65535", "::1", 65535, true},
        {"[::]:0", "::", 0, false},
        {"0.0.0.0:0", "0.0.0.0", 0, false},
        {"192.168.0.1:9600", "192.168.0.1", 9600, false},
        {"", NULL, 0, false},
        {":", NULL, 0, false},
        {"127.0.0.1", NULL, 0, false},
        {"127.0.0.1:", NULL, 0, false},
        {"127.0.0.1:65536", NULL, 0, false},
        {"127.0.0.1:-1", NULL, 0, false},
        {"127.0.0.1:96 00", NULL, 0, false},
        {"::1:9600", NULL, 0, false},
        {"[::1]", NULL, 0, false},
        {"[]:9600", NULL, 0, false},
        {"example.org:9600", NULL, 0, false},
        {"127.0.0.1:000009600", NULL, 0, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct socket_address address = {.host = "kept"};
        bool is_read = socket_address_parse(cases[i].text, &address);
        bool is_wanted = cases[i].host != NULL && cases[i].host[0] != '\0';
        if (is_read != is_wanted) {
            fail_msg("'%s' is %sread", cases[i].text, is_read ? "" : "not ");
        }
        assert_string_equal(address.host, is_wanted ? cases[i].host : "kept");
        if (is_wanted) {
            assert_int_equal(address.port, cases[i].port);
            assert_int_equal(address.is_loopback, cases[i].is_loopback);
        }
    }
}

static void a_port_is_listened_on_once(void **state)
{
    (void)state;
    struct socket_address address;
    struct error err = {0};
    int first = -1;
    int second = -1;
    uint16_t port = 0;
    uint16_t unused = 0;
    assert_true(socket_address_parse("127.0.0.1:0", &address));
    assert_int_equal(socket_listen(&address, &first, &port, &err), STATUS_OK);
    assert_true(port > 0);
    address.port = port;
    assert_int_equal(socket_listen(&address, &second, &unused, &err), STATUS_FATAL);
    assert_string_equal(err.code, "socket.in_use");
    assert_int_equal(second, -1);
    close(first);
    error_clear(&err);
    assert_int_equal(socket_listen(&address, &second, &unused, &err), STATUS_OK);
    assert_int_equal(unused, port);
    close(second);
}

static void a_foreign_address_is_refused(void **state)
{
    (void)state;
    struct socket_address address;
    struct error err = {0};
    int fd = -1;
    uint16_t port = 0;
    /* Kept for documentation: no machine has it. */
    assert_true(socket_address_parse("192.0.2.1:0", &address));
    assert_int_equal(socket_listen(&address, &fd, &port, &err), STATUS_CONFIG);
    assert_string_equal(err.code, "socket.address");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_read),
        cmocka_unit_test(a_port_is_listened_on_once),
        cmocka_unit_test(a_foreign_address_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
