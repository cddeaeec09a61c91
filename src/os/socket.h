/* Listening on an address of this machine, for the page and the metrics. Connections are not ours:
 * the library that serves them takes the descriptor. */
#ifndef WEIR_OS_SOCKET_H
#define WEIR_OS_SOCKET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

#define SOCKET_HOST_BYTES 64

struct socket_address {
    char host[SOCKET_HOST_BYTES]; /* an IP address, without brackets */
    uint16_t port;                /* 0: a free one */
    bool is_loopback;
};

/* "127.0.0.1:9600", "[::1]:9600", "localhost:9600", and a port alone, which is one of 127.0.0.1.
 * False for anything else: names are not looked up. */
bool socket_address_parse(const char *text, struct socket_address *out);

/* FATAL "socket.in_use" when somebody else listens there, "socket.refused" when it is not allowed;
 * CONFIG "socket.address" when it is no address of this machine. The descriptor is the caller's. */
enum status socket_listen(const struct socket_address *address, int *out_fd, uint16_t *out_port,
                          struct error *err) WEIR_MUST_USE;

#endif
