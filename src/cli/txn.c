/* weir txn: transactions that delivery.atomic has left prepared. */
#include <stdio.h>
#include <string.h>

#include "base/time.h"
#include "cli/verbs.h"
#include "codec/json.h"
#include "inspect/left.h"
#include "os/clock.h"

static const char *age_text(int64_t since_us, char out[64])
{
    int64_t age_us = clock_realtime_us() - since_us;
    if (age_us < TIME_US_PER_SECOND) {
        return "0s";
    }
    duration_format(age_us - age_us % TIME_US_PER_SECOND, out, 64);
    return out;
}

static void print_text(const struct left_list *list)
{
    static const char *const headings[] = {"id", "in", "age", "owner", "partitions", "decision"};
    struct cli_table table = {.columns = sizeof headings / sizeof headings[0]};
    char text[64];
    for (uint32_t i = 0; i < table.columns; i++) {
        cli_table_cell(&table, "%s", headings[i]);
    }
    for (uint32_t i = 0; i < list->count; i++) {
        const struct left_transaction *left = &list->items[i];
        cli_table_cell(&table, "%s", left->id);
        cli_table_cell(&table, "%s", left->system);
        cli_table_cell(&table, "%s", age_text(left->since_us, text));
        cli_table_cell(&table, "%s", left->owner);
        cli_table_cell(&table, "%s", left->partitions[0] == '\0' ? "-" : left->partitions);
        cli_table_cell(&table, "%s%s%s", left_fate_name(left->fate),
                       left->decision == NULL ? "" : ", says ",
                       left->decision == NULL ? "" : left->decision);
    }
    cli_table_print(&table, stdout);
}

static void write_text(const char *name, const char *text, struct buffer *out)
{
    buffer_printf(out, ",\"%s\":", name);
    if (text == NULL) {
        buffer_append_string(out, "null");
    } else {
        json_write_string(out, bytes_of_string(text));
    }
}

static void print_json(const struct left_list *list)
{
    struct buffer out = {0};
    char time[TIME_TEXT_BYTES];
    for (uint32_t i = 0; i < list->count; i++) {
        const struct left_transaction *left = &list->items[i];
        buffer_append_string(&out, i == 0 ? "[{\"id\":" : ",\n{\"id\":");
        json_write_string(&out, bytes_of_string(left->id));
        time_format(left->since_us, time);
        write_text("system", left->system, &out);
        write_text("since", time, &out);
        write_text("owner", left->owner, &out);
        write_text("partitions", left->partitions, &out);
        write_text("decision", left->fate == LEFT_DECIDED     ? "commit"
                               : left->fate == LEFT_UNDECIDED ? "none"
                                                              : NULL, &out);
        write_text("decided_by", left->decision, &out);
        buffer_append_byte(&out, '}');
    }
    printf("%s]\n", out.size == 0 ? "[" : buffer_string(&out));
    buffer_fini(&out);
}

static enum status list_left(struct plan *plan, const struct cli_arguments *arguments,
                             struct error *err)
{
    struct left_list list;
    enum status status = left_find(plan, &list, err);
    if (status == STATUS_OK && cli_given(arguments, "json")) {
        print_json(&list);
    } else if (status == STATUS_OK && list.count > 0) {
        print_text(&list);
    } else if (status == STATUS_OK) {
        (void)fprintf(stderr, "nothing is prepared\n");
    }
    left_fini(&list);
    return status;
}

static enum status end_one(struct plan *plan, const char *id, bool do_commit, struct error *err)
{
    enum status status = left_end(plan, id, do_commit, err);
    if (status == STATUS_OK) {
        printf("%s: %s\n", id, do_commit ? "committed" : "rolled back");
    }
    return status;
}

static enum status run(const struct cli_arguments *arguments, struct error *err)
{
    const char *action = arguments->positional[0];
    bool do_list = strcmp(action, "ls") == 0;
    bool do_commit = strcmp(action, "commit") == 0;
    if (!do_list && !do_commit && strcmp(action, "abort") != 0) {
        return error_set(err, STATUS_CONFIG, "use.arguments",
                         "weir txn can ls, commit and abort, not '%s'", action);
    }
    if (arguments->count != (do_list ? 2 : 3)) {
        return error_set(err, STATUS_CONFIG, "use.arguments", "usage: weir txn %s P.yaml%s", action,
                         do_list ? " [--json]" : " ID");
    }
    struct plan *plan = NULL;
    enum status status = plan_load(arguments->positional[1], cli_environment, &plan, err);
    if (status != STATUS_OK) {
        return status;
    }
    status = do_list ? list_left(plan, arguments, err)
                     : end_one(plan, arguments->positional[2], do_commit, err);
    plan_free(plan);
    return status;
}

static const struct cli_option options[] = {
    {"json", NULL, "ls: print it as JSON"},
    {0},
};

const struct cli_verb verb_txn = {
    .name = "txn",
    .arguments = "ls|commit|abort P.yaml [ID] [--json]",
    .summary = "what delivery.atomic has left prepared, and ending it as it was decided",
    .details =
        "ls P.yaml          which transactions are prepared in a database: how old, by which owner,\n"
        "                   for which partitions, and what the system that decides says of each\n"
        "commit P.yaml ID   makes its rows seen, where that system has decided for it\n"
        "abort P.yaml ID    takes them back, where it has not\n"
        "\n"
        "Nobody needs these where the pipeline starts again: 'weir run' first ends what is left.\n"
        "They are for one that stays down, for what is prepared holds its locks through restarts.\n"
        "What would contradict the decision is refused, and nothing forces it. 'abort' first takes\n"
        "the pipeline as a start does, so that nobody can decide meanwhile: a process that runs it\n"
        "keeps it (group.owned), or where only Kafka decides is stopped (progress.fenced).",
    .options = options,
    .least = 2,
    .most = 3,
    .run = run,
};
