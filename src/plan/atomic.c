/* delivery.atomic: which system prepares, and whose transaction decides (run/two_phase.h). */
#include <string.h>

#include "plan/plan_private.h"

static struct sink *find_sink(const struct plan *plan, const char *name)
{
    for (uint32_t i = 0; i < plan->stage.sink_count; i++) {
        if (strcmp(plan->sinks[i]->name, name) == 0) {
            return plan->sinks[i];
        }
    }
    return plan->dlq != NULL && strcmp(name, "dlq") == 0 ? plan->dlq : NULL;
}

/* What a system can be in it; each one thing at the most. */
static enum status add_system(struct plan *plan, const struct doc *name, const struct sink *sink,
                              struct error *err)
{
    struct system *system = sink->system;
    bool prepares = system->ops->prepare != NULL;
    if (!prepares && !system->ops->can_decide) {
        return doc_error(name, err, "config.unsupported",
                         "sink '%s' (%s) cannot be made atomic with another system: only "
                         "PostgreSQL can prepare a transaction here, and only Kafka or a SQLite "
                         "file decide; leave it out of delivery.atomic, and it is exactly once by "
                         "itself",
                         sink->name, sink->ops->kind);
    }
    struct system **slot = prepares ? &plan->participant : &plan->decision;
    if (*slot != NULL && *slot != system) {
        return doc_error(name, err, "config.unsupported",
                         prepares ? "delivery.atomic takes one PostgreSQL database, not two; leave "
                                    "sink '%s' out of it"
                                  : "delivery.atomic takes one Kafka cluster or SQLite file, not "
                                    "two: neither can prepare a transaction; leave sink '%s' out "
                                    "of it",
                         sink->name);
    }
    *slot = system;
    return STATUS_OK;
}

enum status plan_read_atomic(struct plan_maker *maker, struct error *err)
{
    struct plan *plan = maker->plan;
    const struct doc *delivery = doc_get(maker->pipeline, "delivery");
    const struct doc *atomic = delivery == NULL ? NULL : doc_get(delivery, "atomic");
    size_t count = atomic == NULL ? 0 : atomic->kind == DOC_LIST ? atomic->count : 1;
    for (size_t i = 0; i < count; i++) {
        const struct doc *name = atomic->kind == DOC_LIST ? atomic->items[i] : atomic;
        const struct sink *sink = find_sink(plan, name->text);
        enum status status = sink != NULL
                                 ? add_system(plan, name, sink, err)
                                 : doc_error(name, err, "config.value",
                                             "delivery.atomic names sinks; there is no sink '%s'",
                                             name->text);
        if (status != STATUS_OK) {
            return status;
        }
    }
    if (count > 0 && (plan->decision == NULL || plan->participant == NULL)) {
        return doc_error(atomic, err, "config.value",
                         "delivery.atomic needs two systems: a sink in PostgreSQL and one in Kafka "
                         "or a SQLite file; sinks of one system become visible together anyway");
    }
    if (plan->participant != NULL) {
        plan->participant->prepares = true;
    }
    return STATUS_OK;
}
