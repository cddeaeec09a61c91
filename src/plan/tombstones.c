/*
 * `tombstones: delete` of the source: which pipelines may say it, and which field a record's key is.
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

/* One of the fields that a key can be, and the same for all sinks. */
static enum status take_key(struct plan_maker *maker, const struct sink *sink, uint32_t key,
                            struct error *err)
{
    struct stage_plan *stage = &maker->plan->stage;
    enum column_type type = stage->layout->fields[key].type;
    if ((type != COLUMN_TEXT && type != COLUMN_INT64) || stage->is_time[key]) {
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
    if (stage->key_field != FIELD_NONE && stage->key_field != key) {
        return refuse_key(maker, sink, key,
                          arena_printf(maker->arena,
                                       "is the key here, and '%s' that of another sink: with "
                                       "'tombstones: delete' both are the record's key, so they "
                                       "must be one field",
                                       stage->layout->fields[stage->key_field].path),
                          err);
    }
    stage->key_field = key;
    return STATUS_OK;
}

static enum status take_sink(struct plan_maker *maker, struct sink *sink, struct error *err)
{
    uint32_t key = FIELD_NONE;
    const struct doc *config = config_of(maker, sink);
    if (sink->ops->take_tombstones == NULL) {
        return doc_error(config, err, "config.value",
                         "nothing can be deleted from what sink '%s' (%s) has written, so tombstones "
                         "would be lost there: take this sink into a pipeline of its own, or leave "
                         "'tombstones' out of the source (records without a value are then dead "
                         "letters, decode.null_value)",
                         sink->name, sink->ops->kind);
    }
    enum status status = sink->ops->take_tombstones(sink, config, &key, err);
    maker->plan->stage.keys_have_partitions |= sink->ops->is_keyed(sink);
    return status == STATUS_OK && key != FIELD_NONE ? take_key(maker, sink, key, err) : status;
}

enum status plan_make_tombstones(struct plan_maker *maker, struct error *err)
{
    struct plan *plan = maker->plan;
    plan->stage.key_field = FIELD_NONE;
    plan->stage.takes_tombstones = plan->shape.takes_tombstones;
    if (!plan->stage.takes_tombstones) {
        return STATUS_OK;
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
