#include "connector/file/segments.h"

void segments_fini(struct segments *segments)
{
    buffer_fini(&segments->closed);
    ledger_fini(&segments->open);
    *segments = (struct segments){0};
}

void segments_copy(struct segments *to, const struct segments *from)
{
    struct segments copy = *from;
    copy.closed = (struct buffer){0};
    if (from->closed.size > 0) {
        buffer_append(&copy.closed, from->closed.data, from->closed.size);
    }
    copy.open = (struct ledger){0};
    ledger_copy(&copy.open, &from->open);
    segments_fini(to);
    *to = copy;
}

int64_t segments_first_offset(const struct segments *segments)
{
    if (segments->closed_count > 0) {
        return segments->closed_first_offset;
    }
    return segments->is_open ? segments->open_first_offset : 0;
}

static void append_open(const struct segments *segments, struct buffer *out)
{
    struct buffer form = {0};
    if (segments->is_open) {
        segment_write(segments->open_first_offset, segments->open_next_offset,
                      segments->open_plan_hash, &segments->open, &form);
    }
    buffer_append_u32(out, (uint32_t)form.size);
    if (form.size > 0) {
        buffer_append(out, form.data, form.size);
    }
    buffer_fini(&form);
}

/* A record may begin in one segment and end in the next: a closed segment ends where the one behind
 * it begins. */
static void close_open(struct segments *segments, int64_t following_offset)
{
    if (!segments->is_open) {
        return;
    }
    if (segments->open_next_offset > following_offset) {
        segments->open_next_offset = following_offset;
    }
    if (segments->closed_count == 0) {
        segments->closed_first_offset = segments->open_first_offset;
    }
    append_open(segments, &segments->closed);
    segments->closed_count++;
    segments->is_open = false;
    ledger_clear(&segments->open);
}

void segments_apply(struct segments *segments, const struct progress_step *step)
{
    for (uint32_t i = 0; i < step->segment_count; i++) {
        const struct segment_delta *delta = &step->segments[i];
        if (!segments->is_open || segments->open_first_offset != delta->first_offset) {
            check(!segments->is_open || segments->open_first_offset < delta->first_offset);
            close_open(segments, delta->first_offset);
            segments->is_open = true;
            segments->open_first_offset = delta->first_offset;
            segments->open_plan_hash = delta->plan_hash;
        }
        ledger_add(&segments->open, &delta->delta);
        segments->open_next_offset =
            i + 1 < step->segment_count ? delta[1].first_offset : step->next_offset;
    }
}

void segments_write_closed(const struct segments *segments, struct buffer *out)
{
    buffer_append_u32(out, segments->closed_count);
    if (segments->closed.size > 0) {
        buffer_append(out, segments->closed.data, segments->closed.size);
    }
}

void segments_drop_closed(struct segments *segments)
{
    buffer_clear(&segments->closed);
    segments->closed_count = 0;
}

void segments_write(const struct segments *segments, struct buffer *out)
{
    segments_write_closed(segments, out);
    append_open(segments, out);
}

enum status segments_visit_closed(struct reader *in, segment_visitor visit, void *context,
                                  struct error *err)
{
    enum status status = STATUS_OK;
    uint32_t count = reader_u32(in);
    for (uint32_t i = 0; i < count && status == STATUS_OK && !in->failed; i++) {
        struct bytes form = reader_sized(in);
        status = in->failed ? STATUS_OK : visit(context, form, err);
    }
    return status;
}

enum status segments_visit(const struct segments *segments, segment_visitor visit, void *context,
                           struct error *err)
{
    struct buffer forms = {0};
    segments_write(segments, &forms);
    struct reader in = reader_of(bytes_of(forms.data, forms.size));
    enum status status = segments_visit_closed(&in, visit, context, err);
    if (status == STATUS_OK && segments->is_open) {
        status = visit(context, reader_sized(&in), err);
    }
    buffer_fini(&forms);
    return status;
}

/* Takes a closed form over, once it is known to be one. */
static enum status take_closed(void *context, struct bytes form, struct error *err)
{
    struct segments *segments = context;
    int64_t first_offset = 0;
    int64_t next_offset = 0;
    struct hash128 plan_hash;
    struct ledger ledger = {0};
    enum status status = segment_read(form, &first_offset, &next_offset, &plan_hash, &ledger, err);
    ledger_fini(&ledger);
    if (status != STATUS_OK) {
        return status;
    }
    if (segments->closed_count == 0) {
        segments->closed_first_offset = first_offset;
    }
    buffer_append_sized(&segments->closed, form.data, form.size);
    segments->closed_count++;
    return STATUS_OK;
}

enum status segments_read(struct segments *segments, struct reader *in, struct error *err)
{
    enum status status = segments_visit_closed(in, take_closed, segments, err);
    struct bytes open = status == STATUS_OK ? reader_sized(in) : BYTES_NONE;
    if (status == STATUS_OK && !in->failed && open.size > 0) {
        segments->is_open = true;
        status = segment_read(open, &segments->open_first_offset, &segments->open_next_offset,
                              &segments->open_plan_hash, &segments->open, err);
    }
    return status;
}
