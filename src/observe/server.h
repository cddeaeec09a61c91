/*
 * Server: a run seen through HTTP, for Prometheus, for whoever keeps processes alive, and for
 * people with a browser. It reads the registry and the health of the run and nothing else.
 *
 *   GET /metrics   the text format of Prometheus
 *   GET /live      200 as long as the process answers
 *   GET /ready     200, or 503 with the causes and what to do, as JSON
 *   GET /          the same numbers as a page that reloads itself
 *   POST /resume   what was paused goes on; refused when a page of another origin asks
 *
 * There is no password and no TLS: it is for the loopback address, and whoever listens elsewhere
 * has been warned (run/).
 *
 * Life: start → stop. One thread of its own serves all connections; requests that are slow or too
 * large are ended by limits. It never holds up the run but for the time of writing the registry.
 */
#ifndef WEIR_OBSERVE_SERVER_H
#define WEIR_OBSERVE_SERVER_H

#include <stdint.h>

#include "base/status.h"
#include "observe/health.h"
#include "observe/metrics.h"
#include "os/socket.h"

struct server;

/* `refresh` (may be NULL) is called before the registry is read, from the server's thread: for
 * numbers that are asked for and not pushed. `title` is shown on the page and copied. Errors of
 * socket_listen(). */
enum status server_start(const struct socket_address *address, const char *title,
                         struct metrics *metrics, struct health *health,
                         void (*refresh)(void *context), void *context, struct server **out,
                         struct error *err) WEIR_MUST_USE;
uint16_t server_port(const struct server *server);
/* Takes NULL. */
void server_stop(struct server *server);

#endif
