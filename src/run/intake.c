#include "run/intake.h"

#include "os/thread.h"

struct intake {
    struct source *source;
    struct stage_runner *runner;
    struct batch *taken; /* the worker's */
    struct batch *ahead; /* the thread's while it works; NULL before the first time */

    /* What was read ahead last, and how that went; the thread's while it works. */
    struct intake_span span;
    enum status status;
    bool has_ahead; /* it is not taken yet */

    struct thread thread; /* if `ahead` is there */
    struct mutex mutex;
    struct condition changed;
    enum { IDLE, ASKED, WORKING } phase; /* under the mutex */
    bool stopping;                       /* under the mutex */
};

struct intake *intake_new(struct source *source, struct stage_runner *runner)
{
    struct intake *intake = memory_alloc_zero(1, sizeof *intake);
    intake->source = source;
    intake->runner = runner;
    intake->taken = stage_runner_batch(runner);
    mutex_init(&intake->mutex);
    condition_init(&intake->changed);
    return intake;
}

void intake_free(struct intake *intake)
{
    if (intake == NULL) {
        return;
    }
    if (intake->ahead != NULL) {
        mutex_lock(&intake->mutex);
        intake->stopping = true;
        condition_broadcast(&intake->changed);
        mutex_unlock(&intake->mutex);
        thread_join(&intake->thread);
    }
    condition_fini(&intake->changed);
    mutex_fini(&intake->mutex);
    batch_free(intake->ahead);
    batch_free(intake->taken);
    memory_free(intake);
}

static enum status read_span(struct source *source, const struct intake_span *span,
                             struct batch *batch, struct error *err)
{
    batch_reset(batch, span->partition, 0);
    return source->ops->read(source, span->partition, batch, span->limit_offset, err);
}

/* --- the thread --- */

static void read_ahead(struct intake *intake)
{
    struct error unused = {0};
    intake->status = read_span(intake->source, &intake->span, intake->ahead, &unused);
    if (intake->status == STATUS_OK && intake->ahead->row_count > 0) {
        stage_prepare(intake->runner, intake->ahead);
    }
}

static void intake_thread(void *context)
{
    struct intake *intake = context;
    mutex_lock(&intake->mutex);
    for (;;) {
        while (intake->phase != ASKED && !intake->stopping) {
            condition_wait(&intake->changed, &intake->mutex);
        }
        if (intake->stopping) {
            break;
        }
        intake->phase = WORKING;
        mutex_unlock(&intake->mutex);
        read_ahead(intake);
        mutex_lock(&intake->mutex);
        intake->phase = IDLE;
        condition_broadcast(&intake->changed);
    }
    mutex_unlock(&intake->mutex);
}

/* --- the worker's side --- */

void intake_begin(struct intake *intake, const struct intake_span *span)
{
    if (intake->has_ahead) {
        return;
    }
    if (intake->ahead == NULL) {
        intake->ahead = stage_runner_batch(intake->runner);
        thread_start(&intake->thread, "intake", intake_thread, intake);
    }
    intake->span = *span;
    intake->has_ahead = true;
    mutex_lock(&intake->mutex);
    intake->phase = ASKED;
    condition_broadcast(&intake->changed);
    mutex_unlock(&intake->mutex);
}

void intake_end(struct intake *intake)
{
    mutex_lock(&intake->mutex);
    if (intake->phase == ASKED) {
        /* All processors are busy: who waits now can as well read by himself. */
        intake->phase = IDLE;
        intake->has_ahead = false;
    }
    while (intake->phase == WORKING) {
        condition_wait(&intake->changed, &intake->mutex);
    }
    mutex_unlock(&intake->mutex);
}

/* Whether records were read ahead. Where there were none some may have come since; and what failed is
 * asked again, by who can say so. */
static bool has_records(const struct intake *intake)
{
    return intake->status == STATUS_OK && intake->ahead->row_count > 0;
}

static bool is_same(const struct intake_span *a, const struct intake_span *b)
{
    return a->partition == b->partition && a->offset == b->offset &&
           a->limit_offset == b->limit_offset;
}

enum status intake_take(struct intake *intake, const struct intake_span *span, struct batch **out,
                        struct error *err)
{
    enum status status = STATUS_OK;
    if (intake->has_ahead && intake->span.partition == span->partition) {
        intake->has_ahead = false;
        if (has_records(intake) && is_same(&intake->span, span)) {
            struct batch *batch = intake->ahead;
            intake->ahead = intake->taken;
            intake->taken = batch;
            *out = batch;
            return STATUS_OK;
        }
        if (has_records(intake)) {
            status =
                intake->source->ops->seek(intake->source, span->partition, span->offset, err);
        }
    }
    *out = intake->taken;
    return status == STATUS_OK ? read_span(intake->source, span, intake->taken, err) : status;
}
