#include "observe/health.h"

#include <stdatomic.h>

#include "base/time.h"
#include "observe/text.h"
#include "os/clock.h"
#include "os/thread.h"

struct system_health {
    char *name;
    enum health_system state;
    int64_t since_us;
    uint32_t attempts;
    struct error error;
};

struct health {
    struct mutex mutex;
    enum health_phase phase;
    int64_t since_us;
    struct system_health *systems;
    uint32_t system_count;
    _Atomic uint64_t resumes;
};

struct health *health_new(void)
{
    struct health *health = memory_alloc_zero(1, sizeof *health);
    mutex_init(&health->mutex);
    health->since_us = clock_realtime_us();
    return health;
}

void health_free(struct health *health)
{
    if (health == NULL) {
        return;
    }
    for (uint32_t i = 0; i < health->system_count; i++) {
        memory_free(health->systems[i].name);
    }
    memory_free(health->systems);
    mutex_fini(&health->mutex);
    memory_free(health);
}

void health_set_phase(struct health *health, enum health_phase phase)
{
    mutex_lock(&health->mutex);
    if (health->phase != phase) {
        health->phase = phase;
        health->since_us = clock_realtime_us();
    }
    mutex_unlock(&health->mutex);
}

static struct system_health *find_system(struct health *health, const char *name)
{
    for (uint32_t i = 0; i < health->system_count; i++) {
        if (strcmp(health->systems[i].name, name) == 0) {
            return &health->systems[i];
        }
    }
    health->systems = memory_realloc(health->systems,
                                     size_mul(health->system_count + 1, sizeof *health->systems));
    struct system_health *system = &health->systems[health->system_count++];
    *system =
        (struct system_health){.name = memory_copy_string(name), .since_us = clock_realtime_us()};
    return system;
}

void health_set_system(struct health *health, const char *name, enum health_system state,
                       uint32_t attempts, const struct error *err)
{
    mutex_lock(&health->mutex);
    struct system_health *system = find_system(health, name);
    if (system->state != state) {
        system->state = state;
        system->since_us = clock_realtime_us();
    }
    system->attempts = attempts;
    system->error = err == NULL ? (struct error){0} : *err;
    mutex_unlock(&health->mutex);
}

/* --- what it says --- */

/* One cause why a run is not ready. */
struct cause {
    const char *name;
    const char *system; /* NULL: the run itself */
    int64_t since_us;
    uint32_t attempts;
    const char *code;
    const char *what;
    const char *remedy;
};

static const char *const phase_names[] = {
    [HEALTH_STARTING] = "starting",
    [HEALTH_RECOVERING] = "recovering",
    [HEALTH_RUNNING] = "running",
    [HEALTH_STOPPING] = "stopping",
};

/* Of a run that is in this phase; NULL: none. */
static const char *const phase_whats[] = {
    [HEALTH_STARTING] = "source and systems are being opened",
    [HEALTH_RECOVERING] = "state is being rebuilt from the log",
    [HEALTH_STOPPING] = "open epochs are being committed; the process ends then",
};

typedef void cause_visitor(void *context, const struct cause *cause);

/* Holds the mutex. */
static void each_cause(const struct health *health, cause_visitor *visit, void *context)
{
    if (health->phase != HEALTH_RUNNING) {
        struct cause cause = {.name = phase_names[health->phase],
                              .since_us = health->since_us,
                              .what = phase_whats[health->phase],
                              .remedy = "wait"};
        visit(context, &cause);
    }
    for (uint32_t i = 0; i < health->system_count; i++) {
        const struct system_health *system = &health->systems[i];
        if (system->state == HEALTH_SYSTEM_WORKS) {
            continue;
        }
        bool is_paused = system->state == HEALTH_SYSTEM_PAUSED;
        struct cause cause = {
            .name = is_paused ? "paused" : "away",
            .system = system->name,
            .since_us = system->since_us,
            .attempts = system->attempts,
            .code = system->error.code,
            .what = system->error.message,
            .remedy = is_paused ? "mend it, then POST /resume, or start weir again"
                                : "mend it: weir tries again by itself",
        };
        visit(context, &cause);
    }
}

static void note_cause(void *context, const struct cause *cause)
{
    (void)cause;
    *(bool *)context = true;
}

static bool has_cause(const struct health *health)
{
    bool has_one = false;
    each_cause(health, note_cause, &has_one);
    return has_one;
}

bool health_is_ready(struct health *health)
{
    mutex_lock(&health->mutex);
    bool is_ready = !has_cause(health);
    mutex_unlock(&health->mutex);
    return is_ready;
}

static void write_member(const char *name, const char *value, struct buffer *out)
{
    buffer_printf(out, ",\"%s\":", name);
    text_write_json(value, out);
}

static void write_since(int64_t since_us, struct buffer *out)
{
    char since[TIME_TEXT_BYTES];
    time_format(since_us - since_us % TIME_US_PER_SECOND, since);
    write_member("since", since, out);
}

static void write_cause_json(void *context, const struct cause *cause)
{
    struct buffer *out = context;
    buffer_printf(out, "%s{\"cause\":\"%s\"", out->data[out->size - 1] == '[' ? "" : ",",
                  cause->name);
    if (cause->system != NULL) {
        write_member("system", cause->system, out);
        buffer_printf(out, ",\"attempts\":%u", cause->attempts);
        write_member("code", cause->code, out);
    }
    write_since(cause->since_us, out);
    write_member("what", cause->what, out);
    write_member("do", cause->remedy, out);
    buffer_append_byte(out, '}');
}

void health_write_json(struct health *health, struct buffer *out)
{
    mutex_lock(&health->mutex);
    buffer_printf(out, "{\"ready\":%s", has_cause(health) ? "false" : "true");
    write_member("phase", phase_names[health->phase], out);
    write_since(health->since_us, out);
    buffer_append_string(out, ",\"causes\":[");
    each_cause(health, write_cause_json, out);
    buffer_append_string(out, "]}\n");
    mutex_unlock(&health->mutex);
}

static void write_cause_line(void *context, const struct cause *cause)
{
    struct buffer *out = context;
    char since[TIME_TEXT_BYTES];
    time_format(cause->since_us - cause->since_us % TIME_US_PER_SECOND, since);
    if (cause->system != NULL) {
        buffer_printf(out, "%s is %s since %s, %u tries: %s (%s). To do: %s.\n", cause->system,
                      cause->name, since, cause->attempts, cause->what, cause->code, cause->remedy);
    } else {
        buffer_printf(out, "%s since %s: %s. To do: %s.\n", cause->name, since, cause->what,
                      cause->remedy);
    }
}

void health_write_lines(struct health *health, struct buffer *out)
{
    mutex_lock(&health->mutex);
    each_cause(health, write_cause_line, out);
    mutex_unlock(&health->mutex);
}

void health_resume(struct health *health)
{
    atomic_fetch_add(&health->resumes, 1);
}

uint64_t health_resumes(const struct health *health)
{
    return atomic_load(&health->resumes);
}
