#include "connector/reject.h"

#include "codec/json.h"

void reject_letter(const struct refused_row *row, struct buffer *violations,
                   struct dead_letter *out)
{
    const struct record *record = row->record;
    buffer_clear(violations);
    buffer_printf(violations, "[{\"reason\":\"%s\",\"field\":\"\",\"detail\":", row->code);
    json_write_string(violations, bytes_of_string(row->message));
    buffer_append_string(violations, "}]");
    *out = (struct dead_letter){
        .key = record->key,
        .value = record->value,
        .headers = record->headers,
        .header_count = record->header_count,
        .reason = row->code,
        .field = "",
        .detail = bytes_of_string(row->message),
        .violations = bytes_of(violations->data, violations->size),
        .topic = row->origin->topic,
        .partition = row->origin->label,
        .offset = record->offset,
        .timestamp_us = record->timestamp_us,
        .pipeline = row->pipeline,
        .plan = row->plan_hash,
        .attempt = row->attempt,
        .sink = row->sink,
    };
}

void reject_write_headers(const struct record *record, struct buffer *out)
{
    buffer_append_u32(out, record->header_count);
    for (uint32_t i = 0; i < record->header_count; i++) {
        buffer_append_sized(out, record->headers[i].name.data, record->headers[i].name.size);
        buffer_append_u8(out, bytes_is_none(record->headers[i].value));
        buffer_append_sized(out, record->headers[i].value.data, record->headers[i].value.size);
    }
}

bool reject_read_headers(struct bytes form, struct record *record)
{
    record->headers = NULL;
    record->header_count = 0;
    if (bytes_is_none(form)) {
        return true;
    }
    struct reader in = reader_of(form);
    uint32_t count = reader_u32(&in);
    if (in.failed || count > form.size) {
        return false;
    }
    struct record_header *headers = memory_alloc_zero(count + 1, sizeof *headers);
    for (uint32_t i = 0; i < count && !in.failed; i++) {
        headers[i].name = reader_sized(&in);
        struct bytes is_null = reader_bytes(&in, 1);
        struct bytes value = reader_sized(&in);
        headers[i].value = !in.failed && is_null.data[0] != 0 ? BYTES_NONE : value;
    }
    if (in.failed || in.at != in.end) {
        memory_free(headers);
        return false;
    }
    record->headers = headers;
    record->header_count = count;
    return true;
}
