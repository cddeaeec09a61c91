/* weir trace: where is my record. */
#include "inspect/trace.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "cli/bar.h"
#include "codec/record_json.h"
#include "cli/verbs.h"
#include "codec/json.h"

#define VALUE_SHOWN_BYTES 400u
#define FIELDS_MAX 16u

/* --- what is asked for --- */

/* "topic[partition]@offset", the topic may be left out. False when the text is no such thing. */
static bool parse_position(struct arena *arena, const char *text, struct trace_query *query)
{
    const char *at = strrchr(text, '@');
    if (at == NULL || at == text || at[-1] != ']' || at[1] < '0' || at[1] > '9') {
        return false;
    }
    const char *open = at - 1;
    while (open > text && *open != '[') {
        open--;
    }
    char *end = NULL;
    errno = 0;
    long long offset = strtoll(at + 1, &end, 10);
    if (*open != '[' || open + 2 > at || *end != '\0' || errno != 0) {
        return false;
    }
    query->topic = open == text ? NULL : arena_copy(arena, text, (size_t)(open - text));
    query->partition = arena_copy(arena, open + 1, (size_t)(at - 1 - open - 1));
    query->offset = offset;
    return query->partition[0] != '\0';
}

static enum status parse_fields(struct arena *arena, const char *text, struct trace_query *query,
                                struct error *err)
{
    const char **fields = arena_alloc_zero(arena, FIELDS_MAX, sizeof *fields);
    query->by = fields;
    for (const char *name = text; name != NULL;) {
        const char *comma = strchr(name, ',');
        size_t size = comma == NULL ? strlen(name) : (size_t)(comma - name);
        if (size == 0 || query->by_count == FIELDS_MAX) {
            return error_set(err, STATUS_CONFIG, "use.value",
                             "--by takes one to %u fields with commas between, not '%s'",
                             FIELDS_MAX, text);
        }
        fields[query->by_count++] = arena_copy(arena, name, size);
        name = comma == NULL ? NULL : comma + 1;
    }
    return STATUS_OK;
}

static enum status read_query(struct arena *arena, const struct cli_arguments *arguments,
                              struct trace_query *query, struct error *err)
{
    int64_t most = 0;
    enum status status = cli_integer(arguments, "limit", 1, 100000, 20, &most, err);
    query->most = (uint32_t)most;
    const char *by = cli_value(arguments, "by");
    const char *key = arguments->positional[1];
    if (status == STATUS_OK && by != NULL) {
        status = parse_fields(arena, by, query, err);
    }
    if (by != NULL || !parse_position(arena, key, query)) {
        query->key = key;
    }
    return status;
}

/* --- for people --- */

static const char *time_text(int64_t time_us, char out[TIME_TEXT_BYTES])
{
    if (time_us == TIME_NEVER) {
        return "none";
    }
    time_format(time_us, out);
    return out;
}

/* At most so much, no character cut in two; what is no text in base64. */
static void print_bytes(struct bytes b)
{
    if (bytes_is_none(b)) {
        printf("null");
    } else if (!bytes_is_utf8(b)) {
        struct buffer out = {0};
        record_json_member(&out, "value", b);
        printf("%.*s", (int)(out.size < VALUE_SHOWN_BYTES ? out.size : VALUE_SHOWN_BYTES),
               buffer_string(&out));
        buffer_fini(&out);
    } else {
        size_t size = b.size < VALUE_SHOWN_BYTES ? b.size : VALUE_SHOWN_BYTES;
        while (size > 0 && size < b.size && (b.data[size] & 0xC0) == 0x80) {
            size--;
        }
        fwrite(b.data, 1, size, stdout);
        if (size < b.size) {
            printf("… (%zu bytes)", b.size);
        }
    }
}

static void print_row(const struct trace_row *row)
{
    printf("  %-10s ", row->sink);
    switch (row->state) {
    case TRACE_STANDS:
    case TRACE_ALTERED:
        if (row->part[0] == '\0') {
            printf("%s", row->address);
            if (row->position != 0) {
                printf(", row %lld", (long long)row->position);
            }
        } else if (strstr(row->part, ".ndjson") != NULL) {
            printf("%s, line %lld", row->part, (long long)row->position);
        } else {
            printf("%s[%s]@%lld", row->address, row->part, (long long)row->position);
        }
        if (row->state == TRACE_ALTERED) {
            printf(": altered: that row has other content than it should");
        }
        if (row->times > 1) {
            printf(", the first of %llu rows of the same content", (unsigned long long)row->times);
        }
        break;
    case TRACE_WAITING:
        printf("not committed yet");
        break;
    case TRACE_REFUSED:
    case TRACE_REPLACED:
    case TRACE_DELETED:
    case TRACE_MISSING:
    case TRACE_UNKNOWN:
        printf("%s", trace_state_name(row->state));
        if (row->note[0] != '\0') {
            printf(": %s", row->note);
        }
        break;
    }
    printf(" (%s)\n", row->system);
}

static void print_verdict(const struct trace_arrival *arrival)
{
    if (!arrival->is_judged) {
        printf("  verdict    not known: what came before it is gone from the source\n");
        return;
    }
    printf("  verdict    %s%s", verdict_name(arrival->verdict),
           arrival->is_ahead ? ", as the file is now" : "");
    bool any = false;
    for (uint32_t i = 0; i < arrival->violation_count; i++) {
        const struct trace_violation *violation = &arrival->violations[i];
        printf("%s%s%s%s%s", any ? "; " : ": ", violation->is_warning ? "warning " : "",
               violation->reason, violation->field[0] == '\0' ? "" : " ", violation->field);
        if (violation->detail.size > 0) {
            printf(" (%.*s)", (int)violation->detail.size, (const char *)violation->detail.data);
        }
        any = true;
    }
    printf("\n");
}

static void print_commits(const struct trace_arrival *arrival)
{
    for (uint32_t i = 0; i < arrival->commit_count; i++) {
        const struct trace_commit *commit = &arrival->commits[i];
        if (commit->is_in) {
            printf("  committed  in %s, by epoch %llu at the latest\n", commit->system,
                   (unsigned long long)commit->epoch);
        } else {
            printf("  committed  not yet in %s: it is at offset %lld, and that has come to %lld\n",
                   commit->system, (long long)arrival->offset, (long long)commit->next_offset);
        }
    }
}

static void print_arrival(const struct trace_arrival *arrival)
{
    char text[TIME_TEXT_BYTES];
    printf("%s[%s]@%lld  arrived %s", arrival->topic, arrival->partition,
           (long long)arrival->offset, time_text(arrival->timestamp_us, text));
    if (!bytes_is_none(arrival->key)) {
        printf("  key ");
        print_bytes(arrival->key);
    }
    printf("\n  value      ");
    print_bytes(arrival->value);
    printf("\n");
    if (arrival->replay_topic != NULL) {
        printf("  replay     of %s[%d]@%lld, attempt %u%s%s\n", arrival->replay_topic,
               arrival->replay_partition, (long long)arrival->replay_offset,
               arrival->replay_attempt, arrival->replay_sink[0] == '\0' ? "" : ", refused by ",
               arrival->replay_sink);
    }
    for (uint32_t i = 0; i < arrival->repair_count; i++) {
        const struct trace_repair *repair = &arrival->repairs[i];
        printf("  repaired   %s: ", repair->field);
        bytes_is_none(repair->before) ? (void)printf("absent") : print_bytes(repair->before);
        printf(" → ");
        bytes_is_none(repair->after) ? (void)printf("absent") : print_bytes(repair->after);
        printf(" (%s)\n", repair->kinds);
    }
    if (arrival->is_judged && arrival->event_time_us != TIME_NEVER) {
        printf("  event time %s", time_text(arrival->event_time_us, text));
        printf(", watermark %s\n", time_text(arrival->watermark_us, text));
    }
    print_verdict(arrival);
    print_commits(arrival);
    for (uint32_t i = 0; i < arrival->row_count; i++) {
        print_row(&arrival->rows[i]);
    }
}

static void print_text(const struct trace_result *result, const char *key)
{
    for (uint32_t i = 0; i < result->arrival_count; i++) {
        printf("%s", i == 0 ? "" : "\n");
        print_arrival(&result->arrivals[i]);
    }
    if (result->left_out > 0) {
        fprintf(stderr, "%llu more records belong to '%s'; --limit N shows more\n",
                (unsigned long long)result->left_out, key);
    }
    if (result->arrival_count == 0) {
        fprintf(stderr, "the source has no record '%s'\n", key);
    }
    for (uint32_t i = 0; i < result->note_count; i++) {
        fprintf(stderr, "%s\n", result->notes[i]);
    }
}

/* --- for programs --- */

static void member(struct buffer *out, const char *before, const char *name, const char *text)
{
    buffer_append_string(out, before);
    record_json_member(out, name, text == NULL ? BYTES_NONE : bytes_of_string(text));
}

static void member_time(struct buffer *out, const char *name, int64_t time_us)
{
    char text[TIME_TEXT_BYTES];
    member(out, ",", name, time_us == TIME_NEVER ? NULL : time_text(time_us, text));
}

static void member_raw(struct buffer *out, const char *name, struct bytes json)
{
    if (!bytes_is_none(json)) {
        buffer_printf(out, ",\"%s\":", name);
        buffer_append(out, json.data, json.size);
    }
}

static void write_verdict(const struct trace_arrival *arrival, struct buffer *out)
{
    member(out, ",", "plan", arrival->plan);
    member(out, ",", "verdict", verdict_name(arrival->verdict));
    member_time(out, "event_time", arrival->event_time_us);
    member_time(out, "watermark", arrival->watermark_us);
    buffer_append_string(out, ",\"violations\":[");
    for (uint32_t i = 0; i < arrival->violation_count; i++) {
        const struct trace_violation *violation = &arrival->violations[i];
        member(out, i == 0 ? "{" : ",{", "reason", violation->reason);
        member(out, ",", "field", violation->field);
        buffer_append_byte(out, ',');
        record_json_member(out, "detail", violation->detail);
        buffer_printf(out, ",\"severity\":\"%s\"}", violation->is_warning ? "warn" : "error");
    }
    buffer_append_string(out, "],\"repairs\":[");
    for (uint32_t i = 0; i < arrival->repair_count; i++) {
        const struct trace_repair *repair = &arrival->repairs[i];
        member(out, i == 0 ? "{" : ",{", "field", repair->field);
        member(out, ",", "kinds", repair->kinds);
        member_raw(out, "before", repair->before);
        member_raw(out, "after", repair->after);
        buffer_append_byte(out, '}');
    }
    buffer_append_byte(out, ']');
}

static void write_places(const struct trace_arrival *arrival, struct buffer *out)
{
    buffer_append_string(out, ",\"commits\":[");
    for (uint32_t i = 0; i < arrival->commit_count; i++) {
        const struct trace_commit *commit = &arrival->commits[i];
        member(out, i == 0 ? "{" : ",{", "system", commit->system);
        buffer_printf(out, ",\"committed\":%s,\"next_offset\":%lld,\"epoch\":%llu}",
                      commit->is_in ? "true" : "false", (long long)commit->next_offset,
                      (unsigned long long)commit->epoch);
    }
    buffer_append_string(out, "],\"rows\":[");
    for (uint32_t i = 0; i < arrival->row_count; i++) {
        const struct trace_row *row = &arrival->rows[i];
        member(out, i == 0 ? "{" : ",{", "sink", row->sink);
        member(out, ",", "system", row->system);
        member(out, ",", "address", row->address);
        member(out, ",", "state", trace_state_name(row->state));
        if (row->state == TRACE_STANDS || row->state == TRACE_ALTERED) {
            member(out, ",", "part", row->part);
            buffer_printf(out, ",\"position\":%lld,\"times\":%llu", (long long)row->position,
                          (unsigned long long)row->times);
        }
        member(out, ",", "note", row->note);
        buffer_append_byte(out, '}');
    }
    buffer_append_byte(out, ']');
}

static void write_arrival(const struct trace_arrival *arrival, struct buffer *out)
{
    member(out, "{", "topic", arrival->topic);
    member(out, ",", "partition", arrival->partition);
    buffer_printf(out, ",\"offset\":%lld", (long long)arrival->offset);
    member_time(out, "timestamp", arrival->timestamp_us);
    buffer_append_byte(out, ',');
    record_json_member(out, "key", arrival->key);
    buffer_append_byte(out, ',');
    record_json_member(out, "value", arrival->value);
    buffer_printf(out, ",\"judged\":%s,\"committed\":%s", arrival->is_judged ? "true" : "false",
                  arrival->is_ahead ? "false" : "true");
    if (arrival->replay_topic != NULL) {
        member(out, ",\"replay_of\":{", "topic", arrival->replay_topic);
        buffer_printf(out, ",\"partition\":%d,\"offset\":%lld,\"attempt\":%u",
                      arrival->replay_partition, (long long)arrival->replay_offset,
                      arrival->replay_attempt);
        member(out, ",", "sink", arrival->replay_sink);
        buffer_append_byte(out, '}');
    }
    if (arrival->is_judged) {
        write_verdict(arrival, out);
    }
    write_places(arrival, out);
    buffer_append_byte(out, '}');
}

static void print_json(const struct trace_result *result, const char *key)
{
    struct buffer out = {0};
    member(&out, "{", "key", key);
    buffer_append_string(&out, ",\"arrivals\":[");
    for (uint32_t i = 0; i < result->arrival_count; i++) {
        buffer_append_string(&out, i == 0 ? "" : ",");
        write_arrival(&result->arrivals[i], &out);
    }
    buffer_printf(&out, "],\"left_out\":%llu,\"notes\":[", (unsigned long long)result->left_out);
    for (uint32_t i = 0; i < result->note_count; i++) {
        buffer_append_string(&out, i == 0 ? "" : ",");
        json_write_string(&out, bytes_of_string(result->notes[i]));
    }
    printf("%s]}\n", buffer_string(&out));
    buffer_fini(&out);
}

static enum status trace(const struct cli_arguments *arguments, struct error *err)
{
    struct plan *plan = NULL;
    struct arena *arena = arena_new(4096);
    struct trace_query query = {0};
    struct trace_result result = {0};
    struct bar bar;
    bar_init(&bar);
    struct run_observer observer = {.context = &bar, .progress = bar_observe};
    enum status status = read_query(arena, arguments, &query, err);
    if (status == STATUS_OK) {
        status = plan_load(arguments->positional[0], cli_environment, &plan, err);
    }
    if (status == STATUS_OK) {
        status = trace_pipeline(plan, &query, &observer, &result, err);
        bar_clear(&bar);
    }
    if (status == STATUS_OK) {
        (cli_given(arguments, "json") ? print_json : print_text)(&result,
                                                                 arguments->positional[1]);
        status = result.arrival_count > 0 ? STATUS_OK : STATUS_DATA;
    }
    trace_result_fini(&result);
    plan_free(plan);
    arena_free(arena);
    return status;
}

static const struct cli_option options[] = {
    {"by", "FIELD[,FIELD]", "KEY is the value of this field, or of these with commas between"},
    {"limit", "N", "tell at most so many records; 20 unless set"},
    {"json", NULL, "print it as one JSON object"},
    {0},
};

const struct cli_verb verb_trace = {
    .name = "trace",
    .arguments = "P.yaml KEY [--by FIELD[,FIELD]] [--limit N] [--json]",
    .summary = "where is my record: arrival, repairs, verdict, place in every sink",
    .details =
        "KEY is the record's key, or the value of the field that the pipeline deduplicates by (of\n"
        "several: values with commas between), or of the fields of --by; or a position, written\n"
        "topic[partition]@offset. A record that could not be decoded is found by its bytes.\n"
        "\n"
        "Tells of every record of that key when it came, what was repaired in it, its verdict with\n"
        "all violations, whether it is committed, where it stands in every sink, its dead letter,\n"
        "and replays of that. Verdicts are what the pipeline decided: records are judged again,\n"
        "each under the plan that judged it first; what nobody has taken yet under the file as it\n"
        "is now. Places are read, not guessed.\n"
        "\n"
        "Reads the source from its beginning and every sink; changes nothing, and works while the\n"
        "pipeline runs. What has expired is said. Exit status 1 when there is no such record.",
    .options = options,
    .least = 2,
    .most = 2,
    .run = trace,
};
