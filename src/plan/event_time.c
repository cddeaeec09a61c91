/* The block event_time: where the time of a record stands, how it is written, and its guards. */
#include <string.h>

#include "base/time.h"
#include "base/time_form.h"
#include "os/file.h"
#include "plan/plan_private.h"

/* Where systems keep the IANA time zone database. */
#define ZONE_FOLDER "/usr/share/zoneinfo/"
#define ZONE_BYTES_MAX (1u << 20)
#define FORMS_MAX 16u
#define FIELDS_MAX 8u

static size_t string_count(const struct doc *node)
{
    return node == NULL ? 0 : node->kind == DOC_LIST ? node->count : 1;
}

static const struct doc *string_item(const struct doc *node, size_t index)
{
    return node->kind == DOC_LIST ? node->items[index] : node;
}

/* --- zones --- */

static bool is_zone_name(const char *name)
{
    for (const char *c = name; *c != '\0'; c++) {
        bool is_letter = (*c >= 'A' && *c <= 'Z') || (*c >= 'a' && *c <= 'z');
        if (!is_letter && strchr("0123456789+-_/", *c) == NULL) {
            return false;
        }
    }
    return name[0] != '\0' && name[0] != '/' && strlen(name) < 64;
}

static enum status read_zone(struct plan_maker *maker, const struct doc *node, struct error *err)
{
    const char *path = arena_printf(maker->arena, ZONE_FOLDER "%s", node->text);
    struct buffer file = {0};
    struct buffer text = {0};
    struct error unread = {0};
    bool is_there = is_zone_name(node->text) && file_size(path) >= 0 &&
                    file_read(path, ZONE_BYTES_MAX, &file, &unread) == STATUS_OK;
    bool good = is_there && zone_of_tzif(bytes_of(file.data, file.size), &text);
    if (good) {
        maker->zone_text = bytes_of(arena_copy(maker->arena, text.data, text.size), text.size);
    }
    buffer_fini(&file);
    buffer_fini(&text);
    return good ? STATUS_OK
                : doc_error(node, err, "config.value",
                            "'%s' is no zone that this machine knows (%s%s): write UTC, an offset "
                            "such as '+01:00', or a name such as Europe/Berlin, for which the "
                            "package tzdata must be installed",
                            node->text, ZONE_FOLDER,
                            is_there ? ": the file is of another kind" : " has no such file");
}

enum status plan_load_zone(struct plan_maker *maker, const struct doc *stored_zone,
                           struct error *err)
{
    const struct doc *block = doc_get(maker->pipeline, "event_time");
    const struct doc *node = block == NULL ? NULL : doc_get(block, "zone");
    struct zone fixed;
    if (node == NULL || zone_parse_offset(node->text, &fixed)) {
        return STATUS_OK;
    }
    if (!maker->is_stored) {
        return read_zone(maker, node, err);
    }
    if (stored_zone == NULL || stored_zone->kind != DOC_STRING) {
        return error_set(err, STATUS_FATAL, "plan.corrupt",
                         "the stored text of a plan lacks its time zone; restore the system from "
                         "a backup");
    }
    maker->zone_text = bytes_of(stored_zone->text, stored_zone->text_size);
    return STATUS_OK;
}

/* After plan_load_zone(). */
static enum status make_zone(struct plan_maker *maker, const struct doc *node, struct error *err)
{
    struct zone *zone = arena_alloc_zero(maker->arena, 1, sizeof *zone);
    maker->plan->stage.time_zone = zone;
    if (zone_parse_offset(node->text, zone) ||
        zone_parse_text(maker->arena, maker->zone_text, zone)) {
        return STATUS_OK;
    }
    return doc_error(node, err, "config.value", "the time zone '%s' cannot be read", node->text);
}

/* --- forms --- */

static enum status make_forms(struct plan_maker *maker, const struct doc *block, struct error *err)
{
    struct stage_plan *stage = &maker->plan->stage;
    const struct doc *format = doc_get(block, "format");
    const struct doc *zone = doc_get(block, "zone");
    size_t count = string_count(format);
    if (format != NULL && (count == 0 || count > FORMS_MAX)) {
        return doc_error(format, err, "config.value", "event_time.format has 1 to %u forms",
                         FORMS_MAX);
    }
    struct time_form *forms = arena_alloc_zero(maker->arena, count + 1, sizeof *forms);
    bool needs_zone = false;
    for (size_t i = 0; i < count; i++) {
        const struct doc *item = string_item(format, i);
        const char *fault = time_form_compile(item->text, &forms[i]);
        if (fault != NULL) {
            return doc_error(item, err, "config.value", "'%s': %s", item->text, fault);
        }
        needs_zone |= time_form_needs_zone(&forms[i]);
        if (time_form_needs_zone(&forms[i]) && zone == NULL) {
            return doc_error(item, err, "config.missing_key",
                             "times like '%s' do not say their zone: add 'zone: UTC', an offset "
                             "such as '+01:00', or a place such as Europe/Berlin",
                             item->text);
        }
    }
    if (zone != NULL && !needs_zone) {
        return doc_error(zone, err, "config.value",
                         "no form of event_time.format needs a zone: RFC 3339 and %%z say theirs, "
                         "and epochs count in UTC; leave it out");
    }
    stage->time_forms = forms;
    stage->time_form_count = (uint32_t)count;
    return zone == NULL ? STATUS_OK : make_zone(maker, zone, err);
}

/* --- fields --- */

static enum status check_type(const struct plan_maker *maker, const struct doc *name,
                              uint32_t field, struct error *err)
{
    const struct stage_plan *stage = &maker->plan->stage;
    enum column_type type = stage->layout->fields[field].type;
    bool is_text = type == COLUMN_TEXT;
    bool is_number = type == COLUMN_INT64 || type == COLUMN_DOUBLE;
    if (is_text || (stage->time_form_count > 0 && (is_number || type == COLUMN_JSON))) {
        return STATUS_OK;
    }
    return doc_error(name, err, "config.value",
                     "event times are RFC 3339 texts unless event_time.format says otherwise, but "
                     "the schema says that '%s' is %s; give it 'type: string' and 'format: "
                     "date-time'%s",
                     name->text, column_type_name(type),
                     is_number ? ", or say which form its numbers have: 'format: epoch_ms'" : "");
}

static enum status make_fields(struct plan_maker *maker, const struct doc *block,
                               struct error *err)
{
    struct stage_plan *stage = &maker->plan->stage;
    const struct doc *one = doc_get(block, "field");
    const struct doc *several = doc_get(block, "fields");
    const struct doc *names = one != NULL ? one : several;
    if ((one == NULL) == (several == NULL)) {
        return doc_error(block, err, one == NULL ? "config.missing_key" : "config.value",
                         "event_time needs either 'field: NAME' or 'fields: [NAME, …]'");
    }
    size_t count = string_count(names);
    if (count == 0 || count > FIELDS_MAX) {
        return doc_error(names, err, "config.value", "event_time.fields names 1 to %u fields",
                         FIELDS_MAX);
    }
    if (several != NULL && stage->time_form_count == 0) {
        return doc_error(several, err, "config.missing_key",
                         "the fields are joined with a space between them; say how that reads: "
                         "\"format: '%%Y %%m %%d %%H'\"");
    }
    uint32_t *fields = arena_alloc_zero(maker->arena, count, sizeof *fields);
    for (size_t i = 0; i < count; i++) {
        const struct doc *name = string_item(names, i);
        enum status status = plan_find_field(maker, name, name->text, &fields[i], err);
        if (status == STATUS_OK) {
            status = check_type(maker, name, fields[i], err);
        }
        if (status != STATUS_OK) {
            return status;
        }
    }
    const struct doc *as = doc_get(block, "as");
    uint32_t target = as == NULL ? FIELD_NONE : layout_find(stage->layout, as->text);
    if (target != FIELD_NONE && target < stage->layout->schema_field_count &&
        stage->layout->fields[target].type != COLUMN_TEXT) {
        return doc_error(as, err, "config.value",
                         "the event time goes out as a text, but the schema says that '%s' is %s",
                         as->text, column_type_name(stage->layout->fields[target].type));
    }
    stage->time_fields = fields;
    stage->time_field_count = (uint32_t)count;
    stage->event_time_field = fields[0];
    return STATUS_OK;
}

/* --- guards --- */

/* Three candidates within so many offsets are believed; where offsets count bytes, about as many
 * records of 1 KiB. */
#define JUMP_SPAN_RECORDS 1000
#define JUMP_SPAN_BYTES (1 << 20)

static enum status make_max_jump(struct plan_maker *maker, const struct doc *node,
                                 struct error *err)
{
    struct stage_plan *stage = &maker->plan->stage;
    const struct source_ops *source = maker->plan->source_ops;
    const struct doc *max_jump = doc_get(node, "max_jump");
    const struct doc *jump_by = doc_get(node, "jump_by");
    stage->jump_field = FIELD_NONE;
    if (max_jump == NULL) {
        return jump_by == NULL ? STATUS_OK
                               : doc_error(jump_by, err, "config.value",
                                           "jump_by belongs to max_jump, which is not set");
    }
    if (source->timestamp_kind == TIMESTAMP_BROKER) {
        return doc_error(max_jump, err, "config.value",
                         "the records of a %s source have timestamps to compare with: use "
                         "max_future instead of max_jump",
                         source->kind);
    }
    stage->max_jump_us = grammar_duration_us(node, "max_jump", DURATION_NONE);
    stage->jump_span = source->offsets_are_bytes ? JUMP_SPAN_BYTES : JUMP_SPAN_RECORDS;
    if (jump_by != NULL) {
        return plan_find_field(maker, jump_by, jump_by->text, &stage->jump_field, err);
    }
    return source->has_keys
               ? STATUS_OK
               : doc_error(max_jump, err, "config.missing_key",
                           "the records of a %s source have no key: say with jump_by which field "
                           "tells the senders apart",
                           source->kind);
}

enum status plan_make_event_time(struct plan_maker *maker, struct error *err)
{
    struct stage_plan *stage = &maker->plan->stage;
    const struct doc *node = doc_get(maker->pipeline, "event_time");
    stage->event_time_field = FIELD_NONE;
    stage->jump_field = FIELD_NONE;
    stage->max_future_us = DURATION_NONE;
    stage->max_jump_us = DURATION_NONE;
    if (node == NULL) {
        return STATUS_OK;
    }
    enum status status = make_forms(maker, node, err);
    if (status == STATUS_OK) {
        status = make_fields(maker, node, err);
    }
    if (status != STATUS_OK) {
        return status;
    }
    stage->lateness_us = grammar_duration_us(node, "lateness", 0);
    stage->max_future_us = grammar_duration_us(node, "max_future", DURATION_NONE);
    if (stage->max_future_us != DURATION_NONE &&
        maker->plan->source_ops->timestamp_kind == TIMESTAMP_NONE) {
        return doc_error(doc_get(node, "max_future"), err, "config.value",
                         "the records of a %s source have no timestamp of their own to compare "
                         "with: use max_jump, or leave it out",
                         maker->plan->source_ops->kind);
    }
    return make_max_jump(maker, node, err);
}
