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
