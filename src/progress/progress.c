#include "progress/progress.h"

#include <string.h>

#include "base/broken.h"
#include "state/form.h"

#define PROGRESS_MAGIC "WEIRPROG"
#define SEGMENT_MAGIC "WEIRSEGM"

enum {
    PLAN_FORM_BYTES = 8 + 16 + 8,
    LOST_FORM_BYTES = 8 + 8,
};

void progress_fini(struct progress *progress)
{
    memory_free(progress->pipeline);
    memory_free(progress->topic);
    memory_free(progress->topic_id);
    memory_free(progress->partition);
    memory_free(progress->plans);
    memory_free(progress->lost);
    memory_free(progress->decides);
    ledger_fini(&progress->ledger);
    refused_fini(&progress->due);
    refused_fini(&progress->forwarded);
    *progress = (struct progress){0};
}

/* NULL for an empty list. */
static void *list_copy(const void *items, uint32_t count, size_t item_bytes)
{
    if (count == 0) {
        return NULL;
    }
    size_t size = size_mul(count, item_bytes);
    return memcpy(memory_alloc(size), items, size);
}

static char *string_copy(const char *string)
{
    return string == NULL ? NULL : memory_copy_string(string);
}

void progress_copy(struct progress *to, const struct progress *from)
{
    struct progress copy = *from;
    copy.pipeline = string_copy(from->pipeline);
    copy.topic = string_copy(from->topic);
    copy.topic_id = string_copy(from->topic_id);
    copy.partition = string_copy(from->partition);
    copy.decides = string_copy(from->decides);
    copy.plans = list_copy(from->plans, from->plan_count, sizeof *from->plans);
    copy.lost = list_copy(from->lost, from->lost_count, sizeof *from->lost);
    copy.ledger = (struct ledger){0};
    ledger_copy(&copy.ledger, &from->ledger);
    copy.due = copy.forwarded = (struct refused_list){0};
    refused_copy(&copy.due, &from->due);
    refused_copy(&copy.forwarded, &from->forwarded);
    progress_fini(to);
    *to = copy;
}

void progress_step_fini(struct progress_step *step)
{
    for (uint32_t i = 0; i < step->segment_count; i++) {
        ledger_fini(&step->segments[i].delta);
    }
    memory_free(step->segments);
    memory_free(step->plans);
    refused_fini(&step->forwarded);
    *step = (struct progress_step){0};
}

/* One that joins on to the last makes it longer. */
static void append_lost(struct progress *progress, int64_t first_offset, int64_t next_offset)
{
    if (progress->lost_count > 0 &&
        progress->lost[progress->lost_count - 1].next_offset == first_offset) {
        progress->lost[progress->lost_count - 1].next_offset = next_offset;
        return;
    }
    progress->lost = memory_realloc(
        progress->lost, size_mul(progress->lost_count + 1, sizeof *progress->lost));
    progress->lost[progress->lost_count++] = (struct lost_range){first_offset, next_offset};
}

void progress_apply(struct progress *progress, const struct progress_step *step)
{
    check(step->first_offset == progress->next_offset);
    check(step->next_offset >= step->first_offset);
    progress->epoch++;
    if (!BROKEN("letters-again")) {
        refused_join(&progress->forwarded, &step->forwarded);
    }
    for (uint32_t i = 0; i < step->forwarded.count; i++) {
        progress->rejects_forwarded += step->forwarded.items[i].count;
    }
    if (step->next_offset == step->first_offset && !step->is_lost) {
        check(step->segment_count == 0 && step->forwarded.count > 0);
        return;
    }
    check(step->state_start.offset <= step->next_offset);
    check(step->plan_count > 0);
    for (uint32_t i = 0; i < step->segment_count; i++) {
        const struct segment_delta *segment = &step->segments[i];
        check(segment->first_offset < step->next_offset);
        check(i == 0 || segment[-1].first_offset < segment->first_offset);
        ledger_add(&progress->ledger, &segment->delta);
    }
    if (step->is_lost) {
        append_lost(progress, step->first_offset, step->next_offset);
    }
    progress->next_offset = step->next_offset;
    progress->state_start = step->state_start;
    progress->greatest_us = step->greatest_us;
    progress->candidates = step->candidates;
    progress->last_record_hash = step->last_record_hash;
    struct plan_change *plans = list_copy(step->plans, step->plan_count, sizeof *plans);
    memory_free(progress->plans);
    progress->plans = plans;
    progress->plan_count = step->plan_count;
}

/* --- The form. --- */

static void write_string(const char *string, struct buffer *out)
{
    check(string != NULL);
    buffer_append_sized(out, string, strlen(string));
}

static void write_plans(const struct progress *progress, struct buffer *out)
{
    check(progress->plan_count > 0);
    buffer_append_u32(out, progress->plan_count);
    for (uint32_t i = 0; i < progress->plan_count; i++) {
        buffer_append_u64(out, (uint64_t)progress->plans[i].offset);
        form_write_hash(progress->plans[i].plan_hash, out);
        buffer_append_u64(out, (uint64_t)progress->plans[i].horizon_us);
    }
}

static void write_lost(const struct progress *progress, struct buffer *out)
{
    buffer_append_u32(out, progress->lost_count);
    for (uint32_t i = 0; i < progress->lost_count; i++) {
        buffer_append_u64(out, (uint64_t)progress->lost[i].first_offset);
        buffer_append_u64(out, (uint64_t)progress->lost[i].next_offset);
    }
}

/* The oldest that has room for what there is to say: an older weir can read it then. */
static uint32_t needed_version(const struct progress *progress)
{
    if (progress->decides != NULL) {
        return PROGRESS_VERSION;
    }
    return progress->due.count > 0 || progress->forwarded.count > 0 ? 2 : 1;
}

void progress_write(const struct progress *progress, struct buffer *out)
{
    uint32_t version = needed_version(progress);
    size_t begin = form_begin(PROGRESS_MAGIC, version, out);
    write_string(progress->pipeline, out);
    buffer_append(out, progress->incarnation, sizeof progress->incarnation);
    write_string(progress->topic, out);
    write_string(progress->topic_id, out);
    write_string(progress->partition, out);
    buffer_append_u32(out, progress->partition_count);
    buffer_append_u64(out, progress->owner);
    buffer_append_u64(out, progress->epoch);
    buffer_append_u64(out, (uint64_t)progress->next_offset);
    anchor_write(&progress->state_start, out);
    buffer_append_u64(out, (uint64_t)progress->greatest_us);
    candidates_write(&progress->candidates, out);
    form_write_hash(progress->last_record_hash, out);
    buffer_append(out, progress->hash_key, sizeof progress->hash_key);
    write_plans(progress, out);
    write_lost(progress, out);
    buffer_append_u64(out, progress->rejects_forwarded);
    ledger_write(&progress->ledger, out);
    if (version > 1) {
        refused_write(&progress->due, out);
        refused_write(&progress->forwarded, out);
    }
    if (version > 2) {
        write_string(progress->decides, out);
    }
    form_seal(begin, out);
}

/* A string without NUL; on a broken form `failed` is set and it is empty. */
static char *read_string(struct reader *in)
{
    struct bytes bytes = reader_sized(in);
    if (bytes.size > 0 && memchr(bytes.data, 0, bytes.size) != NULL) {
        in->failed = true;
    }
    size_t size = in->failed ? 0 : bytes.size;
    char *string = memory_alloc(size + 1);
    if (size > 0) {
        memcpy(string, bytes.data, size);
    }
    string[size] = '\0';
    return string;
}

static void read_raw(struct reader *in, uint8_t *out, size_t size)
{
    struct bytes bytes = reader_bytes(in, size);
    if (!in->failed) {
        memcpy(out, bytes.data, size);
    }
}

/* A count of items that the rest of the form has room for, else 0 with `failed` set. */
static uint32_t read_count(struct reader *in, size_t item_bytes)
{
    uint32_t count = reader_u32(in);
    if (in->failed || count > (size_t)(in->end - in->at) / item_bytes) {
        in->failed = true;
        return 0;
    }
    return count;
}

static void read_plans(struct progress *progress, struct reader *in)
{
    uint32_t count = read_count(in, PLAN_FORM_BYTES);
    if (count == 0) {
        in->failed = true;
        return;
    }
    progress->plans = memory_alloc_zero(count, sizeof *progress->plans);
    progress->plan_count = count;
    for (uint32_t i = 0; i < count; i++) {
        struct plan_change *plan = &progress->plans[i];
        plan->offset = (int64_t)reader_u64(in);
        plan->plan_hash = form_read_hash(in);
        plan->horizon_us = (int64_t)reader_u64(in);
        if (plan->horizon_us < 0 || (i > 0 && plan[-1].offset > plan->offset)) {
            in->failed = true;
        }
    }
}

static void read_lost(struct progress *progress, struct reader *in)
{
    uint32_t count = read_count(in, LOST_FORM_BYTES);
    if (count == 0) {
        return;
    }
    progress->lost = memory_alloc_zero(count, sizeof *progress->lost);
    progress->lost_count = count;
    for (uint32_t i = 0; i < count; i++) {
        struct lost_range *range = &progress->lost[i];
        range->first_offset = (int64_t)reader_u64(in);
        range->next_offset = (int64_t)reader_u64(in);
        if (range->first_offset >= range->next_offset ||
            (i > 0 && range[-1].next_offset > range->first_offset)) {
            in->failed = true;
        }
    }
}

static void read_fields(struct progress *progress, uint32_t version, struct reader *in)
{
    progress->pipeline = read_string(in);
    read_raw(in, progress->incarnation, sizeof progress->incarnation);
    progress->topic = read_string(in);
    progress->topic_id = read_string(in);
    progress->partition = read_string(in);
    progress->partition_count = reader_u32(in);
    progress->owner = reader_u64(in);
    progress->epoch = reader_u64(in);
    progress->next_offset = (int64_t)reader_u64(in);
    anchor_read(&progress->state_start, in);
    progress->greatest_us = form_read_time(in);
    candidates_read(&progress->candidates, in);
    progress->last_record_hash = form_read_hash(in);
    read_raw(in, progress->hash_key, sizeof progress->hash_key);
    read_plans(progress, in);
    read_lost(progress, in);
    progress->rejects_forwarded = reader_u64(in);
    ledger_read(&progress->ledger, in);
    if (version > 1) {
        refused_read(&progress->due, in);
        refused_read(&progress->forwarded, in);
    }
    if (version > 2) {
        progress->decides = read_string(in);
        in->failed |= progress->decides[0] == '\0';
    }
}

/* The frame of a form as a status. */
static enum status open_form(struct bytes form, const char *magic, uint32_t version,
                             const char *what, struct reader *out, struct error *err)
{
    switch (form_open(form, magic, version, out)) {
    case FORM_GOOD:
        return STATUS_OK;
    case FORM_NEWER:
        return error_set(err, STATUS_CONFIG, "progress.version",
                         "the %s was written by a later version of weir; use that one", what);
    case FORM_BROKEN:
        break;
    }
    return error_set(err, STATUS_FATAL, "progress.corrupt",
                     "the %s is damaged: its checksum is not right; restore the system that holds "
                     "it from a backup",
                     what);
}

/* What follows a right checksum yet makes no sense. */
static enum status refuse_fields(const char *what, struct error *err)
{
    return error_set(err, STATUS_FATAL, "progress.corrupt",
                     "the %s is damaged: its fields do not fit together; restore the system that "
                     "holds it from a backup",
                     what);
}

enum status progress_read(struct progress *progress, struct bytes form, struct error *err)
{
    static const char what[] = "progress record";
    struct reader in;
    uint32_t version = form_version(form);
    version = version >= 1 && version < PROGRESS_VERSION ? version : PROGRESS_VERSION;
    enum status status = open_form(form, PROGRESS_MAGIC, version, what, &in, err);
    if (status != STATUS_OK) {
        return status;
    }
    struct progress found = {0};
    read_fields(&found, version, &in);
    if (in.failed || in.at != in.end) {
        progress_fini(&found);
        return refuse_fields(what, err);
    }
    *progress = found;
    return STATUS_OK;
}

/* --- Segments. --- */

void segment_write(int64_t first_offset, int64_t next_offset, struct hash128 plan_hash,
                   const struct ledger *ledger, struct buffer *out)
{
    check(first_offset < next_offset);
    size_t begin = form_begin(SEGMENT_MAGIC, SEGMENT_VERSION, out);
    buffer_append_u64(out, (uint64_t)first_offset);
    buffer_append_u64(out, (uint64_t)next_offset);
    form_write_hash(plan_hash, out);
    ledger_write(ledger, out);
    form_seal(begin, out);
}

enum status segment_read(struct bytes form, int64_t *out_first_offset, int64_t *out_next_offset,
                         struct hash128 *out_plan_hash, struct ledger *ledger, struct error *err)
{
    static const char what[] = "ledger segment";
    struct reader in;
    enum status status = open_form(form, SEGMENT_MAGIC, SEGMENT_VERSION, what, &in, err);
    if (status != STATUS_OK) {
        return status;
    }
    int64_t first_offset = (int64_t)reader_u64(&in);
    int64_t next_offset = (int64_t)reader_u64(&in);
    struct hash128 plan_hash = form_read_hash(&in);
    struct ledger found = {0};
    ledger_read(&found, &in);
    if (in.failed || in.at != in.end || first_offset >= next_offset) {
        ledger_fini(&found);
        return refuse_fields(what, err);
    }
    *out_first_offset = first_offset;
    *out_next_offset = next_offset;
    *out_plan_hash = plan_hash;
    *ledger = found;
    return STATUS_OK;
}
