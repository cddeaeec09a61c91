/* weir explain: what a pipeline promises, why, and how to mend what is weak. */
#include "inspect/explain.h"

#include <string.h>

#include "cli/verbs.h"
#include "codec/json.h"

struct explained {
    bool is_json;
    uint32_t count;
    struct buffer out;
};

static const char *const levels[] = {
    [EXPLAIN_FINE] = "fine", [EXPLAIN_NOTE] = "note", [EXPLAIN_WEAK] = "weak"};

static void write_member(const char *name, const char *text, struct buffer *out)
{
    buffer_printf(out, ",\"%s\":", name);
    json_write_string(out, bytes_of_string(text));
}

static void take_line(void *context, const struct explain_line *line)
{
    struct explained *explained = context;
    struct buffer *out = &explained->out;
    if (explained->is_json) {
        buffer_printf(out, "%s{\"level\":\"%s\"", explained->count == 0 ? "[" : ",\n",
                      levels[line->level]);
        write_member("about", line->about, out);
        write_member("what", line->what, out);
        write_member("do", line->remedy, out);
        buffer_append_byte(out, '}');
    } else {
        buffer_printf(out, "%s  %s: %s\n", levels[line->level], line->about, line->what);
        if (line->remedy[0] != '\0') {
            buffer_printf(out, "      to do: %s\n", line->remedy);
        }
    }
    explained->count++;
}

static enum status explain(const struct cli_arguments *arguments, struct error *err)
{
    struct plan *plan = NULL;
    enum status status = plan_load(arguments->positional[0], cli_environment, &plan, err);
    if (status != STATUS_OK) {
        return status;
    }
    struct explained explained = {.is_json = cli_given(arguments, "json")};
    status = explain_pipeline(plan, take_line, &explained, err);
    if (status == STATUS_OK) {
        printf("%s%s", buffer_string(&explained.out), explained.is_json ? "]\n" : "");
    }
    buffer_fini(&explained.out);
    plan_free(plan);
    return status;
}

static const struct cli_option options[] = {
    {"json", NULL, "print it as JSON"},
    {0},
};

const struct cli_verb verb_explain = {
    .name = "explain",
    .arguments = "P.yaml [--json]",
    .summary = "what a pipeline promises, why, the weakest hop, and how to mend it",
    .details =
        "Opens the source and the places to look, and changes nothing; the pipeline may run.\n"
        "Per sink the guarantee and why it holds; what guards event times, what dedup can find,\n"
        "how much state there can be, what the source keeps, and what the next start does with a\n"
        "changed file. 'weak' is what could be better, with what to do.",
    .options = options,
    .least = 1,
    .most = 1,
    .run = explain,
};
