#include "os/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 64 };

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static bool parse_port(const char *text, uint16_t *out)
{
    size_t size = strspn(text, "0123456789");
    if (size == 0 || size > 5 || text[size] != '\0') {
        return false;
    }
    long port = strtol(text, NULL, 10);
    *out = (uint16_t)port;
    return port <= UINT16_MAX;
}

/* False when the host is no IP address. */
static bool fill(const char *host, uint16_t port, union address *out, socklen_t *out_size)
{
    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET, host, &out->v4.sin_addr) == 1) {
        out->v4.sin_family = AF_INET;
        out->v4.sin_port = htons(port);
        *out_size = sizeof out->v4;
        return true;
    }
    if (inet_pton(AF_INET6, host, &out->v6.sin6_addr) == 1) {
        out->v6.sin6_family = AF_INET6;
        out->v6.sin6_port = htons(port);
        *out_size = sizeof out->v6;
        return true;
    }
    return false;
}

static bool is_loopback(const union address *address)
{
    if (address->any.sa_family == AF_INET) {
        return ntohl(address->v4.sin_addr.s_addr) >> 24 == 127;
    }
    return IN6_IS_ADDR_LOOPBACK(&address->v6.sin6_addr);
}

bool socket_address_parse(const char *text, struct socket_address *out)
{
    const char *colon = strrchr(text, ':');
    const char *host = text;
    size_t size = colon == NULL ? 0 : (size_t)(colon - text);
    if (size >= 2 && host[0] == '[' && host[size - 1] == ']') {
        host++;
        size -= 2;
    } else if (memchr(text, ':', size) != NULL) {
        return false; /* an IPv6 address stands in brackets */
    }
    struct socket_address address = {.host = "127.0.0.1"};
    bool is_local = host == colon || colon == NULL || (size == 9 && memcmp(host, "localhost", size) == 0);
    if (size >= sizeof address.host ||
        !parse_port(colon == NULL ? text : colon + 1, &address.port)) {
        return false;
    }
    if (!is_local) {
        memcpy(address.host, host, size);
        address.host[size] = '\0';
    }
    union address filled;
    socklen_t filled_size;
    if (!fill(address.host, address.port, &filled, &filled_size)) {
        return false;
    }
    address.is_loopback = is_loopback(&filled);
    *out = address;
    return true;
}

static enum status refuse(const struct socket_address *address, int reason, struct error *err)
{
    switch (reason) {
    case EADDRINUSE:
        return error_set(err, STATUS_FATAL, "socket.in_use",
                         "another program listens on port %u of %s already: end it, or take "
                         "another port (0 is any free one)",
                         address->port, address->host);
    case EADDRNOTAVAIL:
        return error_set(err, STATUS_CONFIG, "socket.address",
                         "%s is no address of this machine; 127.0.0.1 is for programs on this "
                         "machine, 0.0.0.0 for everybody",
                         address->host);
    default:
        return error_set(
            err, STATUS_FATAL, "socket.refused", "cannot listen on port %u of %s: %s%s",
            address->port, address->host, strerror(reason),
            reason == EACCES ? "; ports below 1024 are for root: take a higher one" : "");
    }
}

enum status socket_listen(const struct socket_address *address, int *out_fd, uint16_t *out_port,
                          struct error *err)
{
    union address bound;
    socklen_t size;
    check(fill(address->host, address->port, &bound, &size));
    int fd = socket(bound.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return refuse(address, errno, err);
    }
    const int yes = 1;
    /* A connection of the last run that the system has not forgotten yet holds no port. */
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
        bind(fd, &bound.any, size) != 0 || listen(fd, BACKLOG) != 0 ||
        getsockname(fd, &bound.any, &size) != 0) {
        int reason = errno;
        close(fd);
        return refuse(address, reason, err);
    }
    *out_fd = fd;
    *out_port = ntohs(bound.any.sa_family == AF_INET ? bound.v4.sin_port : bound.v6.sin6_port);
    return STATUS_OK;
}
