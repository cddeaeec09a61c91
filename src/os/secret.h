/*
 * Secrets: passwords and keys, out of files, the environment or systemd's credentials. What they
 * hold never goes into an error or a log.
 *
 * Threads: any.
 */
#ifndef WEIR_OS_SECRET_H
#define WEIR_OS_SECRET_H

#include "base/memory.h"
#include "base/status.h"

/* The content of a file without the line end behind it, appended to `out`. CONFIG "secret.exposed"
 * when others than its owner may read it; CONFIG "secret.unreadable" when it cannot be read, is
 * empty, or larger than 64 KiB. */
enum status secret_read_file(const char *path, struct buffer *out, struct error *err)
    WEIR_MUST_USE;
/* The file of that name in $CREDENTIALS_DIRECTORY, which the service manager guards: its mode is not
 * looked at. CONFIG "secret.unreadable" without one. */
enum status secret_read_credential(const char *name, struct buffer *out, struct error *err)
    WEIR_MUST_USE;
/* A variable of the environment. CONFIG "secret.unreadable" when it is not set or empty. */
enum status secret_read_environment(const char *name, struct buffer *out, struct error *err)
    WEIR_MUST_USE;
/* Overwrites what was read, then frees it. */
void secret_forget(struct buffer *secret);

#endif
