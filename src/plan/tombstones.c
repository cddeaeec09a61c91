/*
 * `tombstones: delete` of the source: which pipelines may say it, and which fields a record's key is.
 *
 * Every place must be able to keep what a tombstone says (sink_ops.take_tombstones), and all tables
 * have the same key: the record's.
 */
#include <string.h>

#include "plan/plan_private.h"

static const struct doc *node_of(const struct plan_maker *maker)
{
    return doc_get(doc_get(maker->pipeline, "source"), "tombstones");
}

bool plan_takes_tombstones(const struct plan_maker *maker)
{
    const struct doc *node = node_of(maker);
    return node != NULL && strcmp(node->text, "delete") == 0;
}

enum key_format plan_key_format(const struct plan_maker *maker)
{
    const struct doc *node = doc_get(doc_get(maker->pipeline, "source"), "key_format");
    return node != NULL && strcmp(node->text, "json") == 0 ? KEY_JSON : KEY_TEXT;
}

/* The map of the place behind its kind. */
static const struct doc *config_of(const struct plan_maker *maker, const struct sink *sink)
{
    return doc_get(doc_get(doc_get(maker->pipeline, "sinks"), sink->name), sink->ops->kind);
}

static enum status refuse_key(const struct plan_maker *maker, const struct sink *sink, uint32_t key,
                              const char *why, struct error *err)
{
    const struct doc *config = config_of(maker, sink);
    const struct doc *node = doc_get(config, "key");
    return doc_error(node != NULL ? node : config, err, "config.value", "'%s' %s",
                     maker->plan->stage.layout->fields[key].path, why);
}

/* One of the fields that a key can be. */
static enum status check_field(struct plan_maker *maker, const struct sink *sink, uint32_t key,
                               struct error *err)
{
    struct stage_plan *stage = &maker->plan->stage;
    const struct field *field = &stage->layout->fields[key];
    if ((field->type != COLUMN_TEXT && field->type != COLUMN_INT64) || stage->is_time[key]) {
        return refuse_key(maker, sink, key,
                          "cannot be the key that tombstones delete by: a record's key is bytes, so "
                          "the field must be a string (no date-time) or an integer",
                          err);
    }
    if (!plan_is_required(stage, key)) {
        return refuse_key(maker, sink, key,
                          "may be absent or null, so a row could go out without the key that its "
                          "tombstone has; make it required in the schema, or take the record's own "
                          "key: leave 'key' out",
                          err);
    }
    if (stage->key.format == KEY_JSON && field->parent != FIELD_NONE) {
        return refuse_key(maker, sink, key,
                          "lies within another member, and the members of a record's key are those "
                          "of the record itself: take a field of the top level",
                          err);
    }
    return STATUS_OK;
}

static bool is_same_key(const struct stage_plan *stage, const struct key_fields *keys)
{
    return stage->key.count == keys->count &&
           memcmp(stage->key_fields, keys->fields, keys->count * sizeof keys->fields[0]) == 0;
}

/* "id, region" */
static const char *names_of(const struct plan_maker *maker, const uint32_t *fields, uint32_t count)
{
    const char *names = "";
    for (uint32_t i = 0; i < count; i++) {
        names = arena_printf(maker->arena, "%s%s%s", names, i == 0 ? "" : ", ",
                             maker->plan->stage.layout->fields[fields[i]].path);
    }
    return names;
}

/* The same for all sinks. */
static enum status take_key(struct plan_maker *maker, const struct sink *sink,
                            const struct key_fields *keys, struct error *err)
{
    struct stage_plan *stage = &maker->plan->stage;
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < keys->count && status == STATUS_OK; i++) {
        status = check_field(maker, sink, keys->fields[i], err);
    }
    if (status != STATUS_OK || is_same_key(stage, keys)) {
        return status;
    }
    if (stage->key.count > 0) {
        return refuse_key(maker, sink, keys->fields[0],
                          arena_printf(maker->arena,
                                       "is the key here (%s), and that of another sink is (%s): with "
                                       "'tombstones: delete' both are the record's key, so they must "
                                       "be the same fields in the same order",
                                       names_of(maker, keys->fields, keys->count),
                                       names_of(maker, stage->key_fields, stage->key.count)),
                          err);
    }
    for (uint32_t i = 0; i < keys->count; i++) {
        stage->key_fields[i] = keys->fields[i];
        record_key_add(&stage->key, &stage->layout->fields[keys->fields[i]]);
    }
    return STATUS_OK;
}

static enum status take_sink(struct plan_maker *maker, struct sink *sink, struct error *err)
{
    struct key_fields keys = {0};
    const struct doc *config = config_of(maker, sink);
    if (sink->ops->take_tombstones == NULL) {
        return doc_error(config, err, "config.value",
                         "nothing can be deleted from what sink '%s' (%s) has written, so tombstones "
                         "would be lost there: take this sink into a pipeline of its own, or leave "
                         "'tombstones' out of the source (records without a value are then dead "
                         "letters, decode.null_value)",
                         sink->name, sink->ops->kind);
    }
    enum status status = sink->ops->take_tombstones(sink, config, &keys, err);
    if (status != STATUS_OK || keys.count == 0) {
        return status;
    }
    bool is_table = sink->ops->is_keyed(sink);
    if (!is_table && maker->plan->stage.key.format == KEY_JSON) {
        return refuse_key(maker, sink, keys.fields[0],
                          "would be the key of rows here, and that of tombstones is a JSON object: "
                          "leave 'key' out, so that all go out with the record's own key",
                          err);
    }
    maker->plan->stage.keys_have_partitions |= is_table;
    return take_key(maker, sink, &keys, err);
}

enum status plan_make_tombstones(struct plan_maker *maker, struct error *err)
{
    struct plan *plan = maker->plan;
    const struct doc *format = doc_get(doc_get(maker->pipeline, "source"), "key_format");
    plan->stage.key.format = plan->shape.key_format;
    plan->stage.takes_tombstones = plan->shape.takes_tombstones;
    if (!plan->stage.takes_tombstones) {
        return format == NULL ? STATUS_OK
                              : doc_error(format, err, "config.value",
                                          "key_format says how the keys of tombstones are read: it "
                                          "belongs to 'tombstones: delete'");
    }
    if (!plan->source_ops->has_keys) {
        return doc_error(node_of(maker), err, "config.value",
                         "records of a %s source have no keys, so none of them can say what to "
                         "delete; leave 'tombstones' out",
                         plan->source_ops->kind);
    }
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < plan->stage.sink_count && status == STATUS_OK; i++) {
        status = take_sink(maker, plan->sinks[i], err);
    }
    return status;
}

/* --- for people --- */

const char *plan_tombstone_effect(const struct sink *sink)
{
    return sink->ops->is_keyed(sink) ? "a tombstone deletes the row of its key"
                                     : "a tombstone passes on, as a key without a value";
}

/* id, or {"id": …, "region": …} */
static void tell_key(const struct stage_plan *stage, struct buffer *out)
{
    if (stage->key.format == KEY_TEXT) {
        buffer_append_string(out, stage->layout->fields[stage->key_fields[0]].path);
        return;
    }
    for (uint32_t i = 0; i < stage->key.count; i++) {
        buffer_printf(out, "%s\"%s\":…", i == 0 ? "{" : ",",
                      stage->layout->fields[stage->key_fields[i]].path);
    }
    buffer_append_byte(out, '}');
}

void plan_tell_tombstones(const struct plan *plan, struct buffer *out)
{
    const struct stage_plan *stage = &plan->stage;
    if (stage->key.count == 0) {
        buffer_append_string(out, "a record without a value needs a key, whichever");
        return;
    }
    buffer_append_string(out, "the key of each record must be ");
    tell_key(stage, out);
    buffer_append_string(out, " (else INVALID: key.missing, key.mismatch)");
    if (stage->keys_have_partitions) {
        buffer_append_string(out, ", in the partition that murmur2 gives it, or the source has one "
                                  "(else key.partition); the later record of a key wins, so there "
                                  "is no newest_by");
    }
}
