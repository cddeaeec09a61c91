#include "cli/set_aside.h"

#include <stdio.h>
#include <string.h>

void set_aside_name(const char *spooled, char (*out)[SET_ASIDE_NAME_BYTES])
{
    (void)snprintf(*out, sizeof *out, "%.240s.refused", spooled);
}

static struct record_header header(const char *name, const char *text)
{
    return (struct record_header){.name = bytes_of_string(name), .value = bytes_of_string(text)};
}

enum status set_aside_line(struct locallog *log, const char *spooled, const char *topic,
                           const struct record *record, int64_t offset, const struct error *why,
                           struct error *err)
{
    struct locallog_topic refused;
    struct record_batch_builder builder = {0};
    char name[SET_ASIDE_NAME_BYTES];
    char place[24];
    set_aside_name(spooled, &name);
    (void)snprintf(place, sizeof place, "%lld", (long long)offset);
    const struct record_header headers[] = {
        header("weir.reason", why->code),
        header("weir.detail", why->message),
        header("weir.topic", topic),
        header("weir.offset", place),
    };
    enum status status = locallog_topic_create(log, name, 1, &refused, err);
    if (status == STATUS_OK) {
        record_batch_append(&builder, record->key, record->value, headers,
                            sizeof headers / sizeof headers[0]);
        status = locallog_append(log, &refused, 0, &builder, NULL, err);
    }
    record_batch_fini(&builder);
    return status;
}

enum status set_aside_is_any(struct locallog *log, const char *spooled, bool *out,
                             struct error *err)
{
    struct locallog_topic refused;
    char name[SET_ASIDE_NAME_BYTES];
    set_aside_name(spooled, &name);
    return locallog_topic_find(log, name, &refused, out, err);
}
