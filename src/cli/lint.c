/* weir lint: parse and plan a pipeline file; nothing is opened. */
#include <stdlib.h>

#include "base/time.h"
#include "cli/verbs.h"
#include "plan/plan.h"

static void print_duration(const char *label, int64_t duration_us)
{
    char text[64];
    if (duration_us >= TIME_UNLIMITED) {
        printf("%s: unlimited\n", label);
        return;
    }
    duration_format(duration_us, text, sizeof text);
    printf("%s: %s\n", label, text);
}

static void print_tombstones(const struct plan *plan)
{
    struct buffer text = {0};
    if (plan->stage.takes_tombstones) {
        plan_tell_tombstones(plan, &text);
        printf("tombstones: %s\n", buffer_string(&text));
    }
    buffer_fini(&text);
}

static void print_plan(const struct plan *plan)
{
    const struct stage_plan *stage = &plan->stage;
    printf("%s: fine\nplan: %s\nsource: %s\n", plan->name, plan->hash_text,
           plan->source_ops->kind);
    printf("fields: %u, checks: %u, expressions: %u\n", stage->layout->schema_field_count,
           stage->check_count, stage->expression_count);
    print_duration("state reaches back", stage->horizon_us);
    if (stage->dedup_field_count > 0) {
        printf("state size: 27 to 36 bytes a key within that time; at %.1f MiB weir stops and says "
               "so\n",
               (double)plan->state_memory_bytes / (1 << 20));
    }
    for (uint32_t i = 0; i < stage->sink_count; i++) {
        const struct sink *sink = plan->sinks[i];
        printf("sink %s: %s, %s%s%s\n", sink->name, sink->ops->kind, sink->ops->guarantee(sink),
               stage->takes_tombstones ? "; " : "",
               stage->takes_tombstones ? plan_tombstone_effect(sink) : "");
    }
    print_tombstones(plan);
    if (plan->dlq != NULL) {
        printf("dlq: %s, %s\n", plan->dlq->ops->kind, plan->dlq->ops->guarantee(plan->dlq));
    } else {
        printf("dlq: none; what is not valid is counted, and not kept\n");
    }
    if (plan->participant != NULL) {
        printf("atomic: %s prepares, %s decides; the server must allow prepared transactions: "
               "max_prepared_transactions greater than 0 ('ALTER SYSTEM SET "
               "max_prepared_transactions = 10', then a restart)\n",
               plan->participant->name, plan->decision->name);
    }
}

static enum status lint(const struct cli_arguments *arguments, struct error *err)
{
    struct plan *plan = NULL;
    enum status status = plan_load(arguments->positional[0], cli_environment, &plan, err);
    if (status == STATUS_OK) {
        print_plan(plan);
        plan_free(plan);
    }
    return status;
}

static const struct cli_option options[] = {{0}};

const struct cli_verb verb_lint = {
    .name = "lint",
    .arguments = "P.yaml",
    .summary = "check a pipeline file; nothing is opened",
    .options = options,
    .least = 1,
    .most = 1,
    .run = lint,
};
