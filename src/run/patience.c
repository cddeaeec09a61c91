#include "run/patience.h"

#include <stdio.h>

#include "base/time.h"
#include "os/clock.h"
#include "os/thread.h"
#include "run/committer.h"
#include "run/telemetry.h"

#define SLICE_US (100 * INT64_C(1000))
/* What works and fails in turns is spoken of so often. */
#define QUIET_US (10 * TIME_US_PER_SECOND)
#define USUAL_ABORTS 4
#define WATCH_US TIME_US_PER_SECOND

bool patience_has_sense(const struct pipeline *pipeline, enum status status)
{
    const struct plan *plan = pipeline->plan;
    bool is_remote = plan->source_ops->is_remote;
    for (uint32_t s = 0; s < plan->system_count; s++) {
        is_remote |= plan->systems[s]->ops->is_remote;
    }
    return (status == STATUS_RETRY || status == STATUS_ABORT) && is_remote &&
           !pipeline->has_given_up && !stop_requested();
}

static void say(const struct patience *patience, void (*line_out)(void *context, const char *line),
                const char *text)
{
    if (line_out != NULL) {
        line_out(patience->observer->context, text);
    }
}

/* False as soon as a stop is asked for. */
static bool pause_for(struct pipeline *pipeline, int64_t duration_us)
{
    int64_t end_us = clock_monotonic_us() + duration_us;
    for (;;) {
        int64_t left_us = end_us - clock_monotonic_us();
        if (stop_requested()) {
            return false;
        }
        if (left_us <= 0) {
            return true;
        }
        if (pipeline != NULL) {
            /* Silence would be taken for death; what is said is looked at when the wait is over. */
            (void)assignment_has_changed(pipeline);
        }
        clock_sleep_us(left_us < SLICE_US ? left_us : SLICE_US);
    }
}

/* All tries were in vain: until an operator says go on. */
static bool pause_until_resumed(struct patience *patience, struct pipeline *pipeline,
                                const struct error *failure)
{
    char text[1024];
    uint64_t resumes = telemetry_resumes(patience->telemetry);
    telemetry_waits(patience->telemetry, "start", HEALTH_SYSTEM_PAUSED,
                    patience->repetition.attempts, failure);
    repetition_describe_end(patience->policy, failure, patience->telemetry != NULL, text,
                            sizeof text);
    say(patience, patience->observer->warning, text);
    while (telemetry_resumes(patience->telemetry) == resumes) {
        if (!pause_for(pipeline, SLICE_US)) {
            return false;
        }
    }
    repetition_resume(&patience->repetition, patience->policy);
    return true;
}

bool patience_wait(struct patience *patience, struct pipeline *pipeline,
                   const struct error *failure)
{
    struct repetition *repetition = &patience->repetition;
    char text[1024];
    if (repetition->failures == 0) {
        repetition_resume(repetition, patience->policy);
    }
    repetition_count(repetition);
    if (repetition_is_over(repetition, patience->policy)) {
        return patience->policy->end == RETRY_PAUSE &&
               pause_until_resumed(patience, pipeline, failure);
    }
    /* A claim that a rebalance overtook is no trouble, once or twice. */
    bool is_usual = failure->status == STATUS_ABORT && repetition->failures < USUAL_ABORTS;
    repetition->is_said |= patience->is_spoken_of || patience->is_source_away;
    if (!repetition->is_said && !is_usual && clock_monotonic_us() >= patience->quiet_until_us) {
        repetition->is_said = true;
        repetition_describe(patience->policy, failure, text, sizeof text);
        say(patience, patience->observer->warning, text);
    }
    telemetry_waits(patience->telemetry, "start", HEALTH_SYSTEM_AWAY, repetition->attempts,
                    failure);
    return pause_for(pipeline, repetition_next_us(repetition, patience->policy));
}

static bool has_rows_open(const struct pipeline *pipeline)
{
    for (uint32_t s = 0; s < pipeline->plan->system_count; s++) {
        if (committer_has_rows(pipeline->committers[s]) ||
            !committer_is_idle(pipeline->committers[s])) {
            return true;
        }
    }
    return false;
}

void patience_watch(struct patience *patience, struct pipeline *pipeline)
{
    const int64_t now_us = clock_monotonic_us();
    struct source *source = pipeline->source;
    struct error why = {0};
    char text[1024];
    if (patience == NULL || source->ops->is_away == NULL ||
        now_us - patience->watched_us < WATCH_US) {
        return;
    }
    patience->watched_us = now_us;
    bool is_away = source->ops->is_away(source, &why);
    if (is_away == patience->is_source_away || (is_away && has_rows_open(pipeline))) {
        return;
    }
    patience->is_source_away = is_away;
    if (is_away) {
        (void)snprintf(text, sizeof text, "%s (%s); repeating until it works", why.message,
                       why.code);
        say(patience, patience->observer->warning, text);
        telemetry_waits(patience->telemetry, "source", HEALTH_SYSTEM_AWAY, 1, &why);
    } else {
        say(patience, patience->observer->notice, "the source answers again");
        telemetry_waits(patience->telemetry, "source", HEALTH_SYSTEM_WORKS, 0, NULL);
    }
}

void patience_end(struct patience *patience)
{
    struct repetition *repetition = &patience->repetition;
    char text[80];
    patience->is_spoken_of = false;
    if (repetition->failures == 0) {
        return;
    }
    int64_t now_us = clock_monotonic_us();
    if (repetition->is_said) {
        (void)snprintf(text, sizeof text, "goes on after %.1f s",
                       (double)(now_us - repetition->first_us) / 1e6);
        say(patience, patience->observer->notice, text);
        patience->quiet_until_us = now_us + QUIET_US;
    }
    telemetry_waits(patience->telemetry, "start", HEALTH_SYSTEM_WORKS, 0, NULL);
    if (patience->is_source_away) {
        telemetry_waits(patience->telemetry, "source", HEALTH_SYSTEM_WORKS, 0, NULL);
    }
    patience->is_source_away = false;
    *repetition = (struct repetition){0};
}

/* How far all systems have come, in one number that grows with each commit; 0 is none. */
static int64_t place_of(const struct pipeline *pipeline)
{
    int64_t place = 1;
    for (uint32_t s = 0; s < pipeline->plan->system_count; s++) {
        for (uint32_t p = 0; p < pipeline->partition_count; p++) {
            place += pipeline->partitions[p].is_mine
                         ? pipeline_progress(pipeline, s, p)->next_offset
                         : 0;
        }
    }
    return place;
}

bool patience_renews(struct patience *patience, const struct pipeline *pipeline,
                     const struct error *failure)
{
    char text[1024];
    bool takes_less = false;
    for (uint32_t s = 0; s < pipeline->plan->system_count; s++) {
        const struct system *system = pipeline->plan->systems[s];
        takes_less |= system->ops->takes_less != NULL && system->ops->takes_less(system);
    }
    const int64_t place = place_of(pipeline);
    if (failure->status != STATUS_CONFIG || !takes_less || stop_requested() ||
        place == patience->renewed_at) {
        return false;
    }
    patience->renewed_at = place;
    (void)snprintf(text, sizeof text,
                   "a place takes less of rows than when this run began (%s): what is open is judged "
                   "again by what it takes now",
                   failure->code);
    say(patience, patience->observer->warning, text);
    return true;
}
