#include "cli/ledger_print.h"

#include <inttypes.h>

#include "cli/cli.h"
#include "codec/json.h"

static void print_verdicts(const struct ledger *ledger, FILE *stream)
{
    char text[27];
    fprintf(stream, "in %s", cli_count(ledger->in, text));
    static const enum verdict order[] = {VERDICT_VALID, VERDICT_INVALID, VERDICT_DUPLICATE,
                                         VERDICT_LATE, VERDICT_FILTERED};
    for (uint32_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        fprintf(stream, " %s %s %s", i == 0 ? "=" : "+", verdict_name(order[i]),
                cli_count(ledger->verdicts[order[i]], text));
    }
    fputc('\n', stream);
}

static void print_repairs(const struct ledger *ledger, FILE *stream)
{
    char text[27];
    uint64_t sum = 0;
    for (uint32_t i = 0; i < REPAIR_COUNT; i++) {
        sum += ledger->repairs[i];
    }
    if (sum == 0) {
        return;
    }
    fprintf(stream, "cells repaired %s:", cli_count(sum, text));
    for (uint32_t i = 0; i < REPAIR_COUNT; i++) {
        fprintf(stream, "%s %s %s", i == 0 ? "" : ",", repair_name((enum repair_kind)i),
                cli_count(ledger->repairs[i], text));
    }
    fputc('\n', stream);
}

static void print_sinks(const struct ledger *ledger, FILE *stream)
{
    char text[27];
    for (uint32_t i = 0; i < ledger->sink_count; i++) {
        const struct ledger_sink *sink = &ledger->sinks[i];
        fprintf(stream, "%s: routed %s", sink->name, cli_count(sink->routed, text));
        fprintf(stream, " = written %s", cli_count(sink->written, text));
        fprintf(stream, " + rejected %s\n", cli_count(sink->rejected, text));
    }
}

void ledger_print_json(const struct ledger *ledger, const struct refused_list *forwarded,
                       struct buffer *out)
{
    ledger_write_json(ledger, out);
    if (forwarded->count == 0) {
        return;
    }
    out->size--; /* the last '}' */
    for (uint32_t i = 0; i < forwarded->count; i++) {
        buffer_append_string(out, i == 0 ? ",\"forwarded\":{" : ",");
        json_write_string(out, bytes_of_string(forwarded->items[i].sink));
        buffer_printf(out, ":%" PRIu64, forwarded->items[i].count);
    }
    buffer_append_string(out, "}}");
}

void ledger_print(const struct ledger *ledger, const struct refused_list *forwarded, FILE *stream)
{
    print_verdicts(ledger, stream);
    if (ledger->lost > 0) {
        char lost[27];
        fprintf(stream, "lost %s, deleted by the source before they were read\n",
                cli_count(ledger->lost, lost));
    }
    print_repairs(ledger, stream);
    print_sinks(ledger, stream);
    char text[27];
    for (uint32_t i = 0; i < forwarded->count; i++) {
        fprintf(stream, "dlq: forwarded %s of rows that %s refused\n",
                cli_count(forwarded->items[i].count, text), forwarded->items[i].sink);
    }
    for (uint32_t i = 0; i < ledger->warning_count; i++) {
        fprintf(stream, "warned: %s %s\n", ledger->warnings[i].name,
                cli_count(ledger->warnings[i].count, text));
    }
}
