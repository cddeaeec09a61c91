/* The knobs of a pipeline file: what paces and watches a run, and judges no record. They are no
 * part of the plan's text, so that they may change without making another plan. */
#include <string.h>

#include "base/time.h"
#include "plan/plan_private.h"

static const char *const knobs[] = {"connections", "delivery", "state", "retry", "http"};

bool plan_is_knob(const char *key)
{
    for (size_t i = 0; i < sizeof knobs / sizeof knobs[0]; i++) {
        if (strcmp(key, knobs[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* The map behind a key of the pipeline file; an empty one when it is not there. */
static const struct doc *knob(const struct plan_maker *maker, const char *key)
{
    static const struct doc empty = {.kind = DOC_MAP};
    const struct doc *map = doc_get(maker->pipeline, key);
    return map == NULL ? &empty : map;
}

static void read_delivery(struct plan_maker *maker)
{
    struct plan *plan = maker->plan;
    const struct doc *delivery = knob(maker, "delivery");
    const char *guarantee = grammar_string(delivery, "guarantee", "exactly_once");
    plan->guarantee =
        strcmp(guarantee, "exactly_once") == 0 ? GUARANTEE_EXACTLY_ONCE : GUARANTEE_AT_LEAST_ONCE;
    plan->commit_interval_us = grammar_duration_us(delivery, "commit_interval", 100 * 1000);
    plan->max_behind_bytes = grammar_size_bytes(delivery, "max_behind", 0);
}

static enum status read_state(struct plan_maker *maker, struct error *err)
{
    struct plan *plan = maker->plan;
    const struct doc *state = knob(maker, "state");
    plan->state_memory_bytes = grammar_size_bytes(state, "memory", UINT64_C(256) << 20);
    plan->snapshot_interval_us =
        grammar_duration_us(state, "snapshot_interval", 30 * TIME_US_PER_SECOND);
    const char *path = grammar_string(state, "path", NULL);
    if (path != NULL && path[0] == '\0') {
        return doc_error(doc_get(state, "path"), err, "config.value",
                         "the path of the folder of snapshots is empty; leave it out, or name "
                         "one");
    }
    plan->state_folder = path == NULL ? NULL : plan_join_path(maker->arena, plan->folder, path);
    return STATUS_OK;
}

/* The default is made for a file on this machine: a disk that is full, a lock that is held. */
static enum status read_retry(struct plan_maker *maker, struct error *err)
{
    const struct doc *retry = knob(maker, "retry");
    const int64_t longest_us = 2 * TIME_US_PER_SECOND;
    struct retry_policy *policy = &maker->plan->retry;
    policy->initial_us = grammar_duration_us(retry, "initial", 50 * 1000);
    policy->factor = grammar_number(retry, "factor", 2);
    policy->longest_us = grammar_duration_us(
        retry, "max", policy->initial_us > longest_us ? policy->initial_us : longest_us);
    policy->jitter = grammar_percent(retry, "jitter", 0.2);
    policy->attempts = (uint32_t)grammar_int(retry, "attempts", RETRY_FOR_EVER);
    policy->end =
        strcmp(grammar_string(retry, "then", "pause"), "stop") == 0 ? RETRY_STOP : RETRY_PAUSE;
    if (policy->initial_us < 1000) {
        return doc_error(doc_get(retry, "initial"), err, "config.value",
                         "retry.initial must be at least 1ms: a system that is away is not asked "
                         "without a pause");
    }
    if (!(policy->factor >= 1 && policy->factor <= 100)) {
        return doc_error(doc_get(retry, "factor"), err, "config.value",
                         "retry.factor must be from 1 to 100: pauses do not become shorter");
    }
    if (policy->longest_us < policy->initial_us) {
        return doc_error(doc_get(retry, "max"), err, "config.value",
                         "retry.max is shorter than retry.initial");
    }
    if (doc_get(retry, "then") != NULL && policy->attempts == RETRY_FOR_EVER) {
        return doc_error(doc_get(retry, "then"), err, "config.value",
                         "retry.then says what comes after retry.attempts, which is not set: weir "
                         "would try for ever; set attempts, or leave then out");
    }
    return STATUS_OK;
}

static enum status read_http(struct plan_maker *maker, struct error *err)
{
    const struct doc *listen = doc_get(knob(maker, "http"), "listen");
    if (listen == NULL) {
        return STATUS_OK;
    }
    maker->plan->has_http = true;
    if (socket_address_parse(listen->text, &maker->plan->http)) {
        return STATUS_OK;
    }
    return doc_error(listen, err, "config.value",
                     "http.listen must be an IP address and a port, such as 127.0.0.1:9600 or "
                     "[::1]:9600; found '%s'",
                     listen->text);
}

enum status plan_read_knobs(struct plan_maker *maker, struct error *err)
{
    read_delivery(maker);
    enum status status = read_state(maker, err);
    if (status == STATUS_OK) {
        status = read_retry(maker, err);
    }
    return status == STATUS_OK ? read_http(maker, err) : status;
}
