/* weir audit: prove the ledger from the outside. */
#include <stdlib.h>
#include <string.h>

#include "cli/ledger_print.h"
#include "cli/verbs.h"
#include "codec/json.h"
#include "inspect/audit.h"

/* What was found, kept for --json. */
struct findings {
    bool json;
    struct buffer lines; /* NUL-terminated */
    uint32_t count;
};

static void finding(void *context, const char *line)
{
    struct findings *findings = context;
    findings->count++;
    if (findings->json) {
        buffer_append(&findings->lines, line, strlen(line) + 1);
    } else {
        printf("%s\n", line);
    }
}

static uint64_t damage(const struct audit_result *result)
{
    return result->missing + result->doubled + result->altered + result->foreign +
           result->differences + result->lost;
}

static void print_json(const struct audit_result *result, const struct findings *findings)
{
    struct buffer out = {0};
    buffer_printf(&out,
                  "{\"records\":%llu,\"rows\":%llu,\"missing\":%llu,\"doubled\":%llu,"
                  "\"altered\":%llu,\"foreign\":%llu,\"differences\":%llu,"
                  "\"lost\":%llu,\"unverifiable\":%llu,\"findings\":[",
                  (unsigned long long)result->records, (unsigned long long)result->rows,
                  (unsigned long long)result->missing, (unsigned long long)result->doubled,
                  (unsigned long long)result->altered, (unsigned long long)result->foreign,
                  (unsigned long long)result->differences, (unsigned long long)result->lost,
                  (unsigned long long)result->unverifiable);
    const char *line = (const char *)findings->lines.data;
    for (uint32_t i = 0; i < findings->count; i++, line += strlen(line) + 1) {
        buffer_append_string(&out, i == 0 ? "" : ",");
        json_write_string(&out, bytes_of_string(line));
    }
    buffer_append_string(&out, "],\"ledger\":");
    ledger_print_json(&result->ledger, &result->forwarded, &out);
    printf("%s}\n", buffer_string(&out));
    buffer_fini(&out);
}

static void print_text(const struct audit_result *result)
{
    char a[27];
    char b[27];
    ledger_print(&result->ledger, &result->forwarded, stdout);
    printf("audited %s records against %s rows: ", cli_count(result->records, a),
           cli_count(result->rows, b));
    printf("missing %llu · doubled %llu · altered %llu · foreign %llu · ledger differences %llu · ",
           (unsigned long long)result->missing, (unsigned long long)result->doubled,
           (unsigned long long)result->altered, (unsigned long long)result->foreign,
           (unsigned long long)result->differences);
    if (result->lost > 0) {
        printf("lost %llu · ", (unsigned long long)result->lost);
    }
    printf("unverifiable %llu\n", (unsigned long long)result->unverifiable);
}

static enum status audit(const struct cli_arguments *arguments, struct error *err)
{
    struct plan *plan = NULL;
    enum status status = plan_load(arguments->positional[0], cli_environment, &plan, err);
    if (status != STATUS_OK) {
        return status;
    }
    struct run_observer observer = {0};
    struct audit_result result = {0};
    struct findings findings = {.json = cli_given(arguments, "json")};
    status = audit_pipeline(plan, &observer, finding, &findings, &result, err);
    if (status == STATUS_OK) {
        if (findings.json) {
            print_json(&result, &findings);
        } else {
            print_text(&result);
        }
        status = damage(&result) > 0 ? STATUS_DATA : STATUS_OK;
    }
    buffer_fini(&findings.lines);
    audit_result_fini(&result);
    plan_free(plan);
    return status;
}

static const struct cli_option options[] = {
    {"json", NULL, "print findings and ledger as JSON"},
    {0},
};

const struct cli_verb verb_audit = {
    .name = "audit",
    .arguments = "P.yaml [--json]",
    .summary = "prove that nothing was lost and nothing doubled",
    .details =
        "Reads input and outputs again, judges every record anew, compares with the ledgers, and\n"
        "names each missing, doubled or altered row. Changes nothing. The pipeline must be at\n"
        "rest. Exit status 1 when something is wrong.",
    .options = options,
    .least = 1,
    .most = 1,
    .run = audit,
};
