/* weir lag: how far a pipeline is behind its source, and what holds it up. */
#include "inspect/lag.h"

#include <stdio.h>

#include "base/time.h"
#include "cli/verbs.h"
#include "codec/json.h"

#define DURATION_TEXT_BYTES 64

static enum status read_duration(const struct cli_arguments *arguments, int64_t *out,
                                 struct error *err)
{
    const char *text = cli_value(arguments, "for");
    *out = 2 * TIME_US_PER_SECOND;
    if (text == NULL || duration_parse(text, out)) {
        return STATUS_OK;
    }
    return error_set(err, STATUS_CONFIG, "use.value",
                     "--for takes a duration such as 2s or 500ms, not '%s'", text);
}

/* --- for people --- */

/* Whole seconds, where there are any: nobody catches up in 3m12.345678s. */
static const char *duration_text(int64_t duration_us, char out[DURATION_TEXT_BYTES])
{
    int64_t unit_us = duration_us >= TIME_US_PER_SECOND ? TIME_US_PER_SECOND : 1000;
    int64_t rounded_us = duration_us - duration_us % unit_us;
    if (rounded_us == 0) {
        return "0s";
    }
    duration_format(rounded_us, out, DURATION_TEXT_BYTES);
    return out;
}

static void print_rate(struct cli_table *table, double rate)
{
    char text[27];
    if (rate < 0) {
        cli_table_cell(table, "-");
    } else {
        cli_table_cell(table, "%s", cli_count((uint64_t)(rate + 0.5), text));
    }
}

static const char *catch_up_text(int64_t catch_up_us, char out[DURATION_TEXT_BYTES])
{
    if (catch_up_us == LAG_TIME_UNKNOWN) {
        return "-";
    }
    return catch_up_us == LAG_TIME_NEVER ? "never" : duration_text(catch_up_us, out);
}

static void print_bound(struct cli_table *table, const struct lag_partition *partition)
{
    static const char *const texts[] = {
        [LAG_CAUGHT_UP] = "nothing: it waits for records",
        [LAG_NEVER_RAN] = "it has not run yet: weir run",
        [LAG_NOT_RUNNING] = "it does not run: weir run",
        [LAG_STANDS_STILL] = "it runs, and commits nothing",
        [LAG_ARRIVALS] = "more comes than is done",
        [LAG_SYSTEM] = "",
        [LAG_PACE] = "its own pace",
        [LAG_EXPIRED] = "the next records were deleted: weir run says what to do",
        [LAG_UNKNOWN] = "-",
    };
    if (partition->bound == LAG_SYSTEM) {
        cli_table_cell(table, "%s, which is behind the others", partition->system);
    } else {
        cli_table_cell(table, "%s", texts[partition->bound]);
    }
}

static void print_partition(struct cli_table *table, const struct lag_partition *partition)
{
    char text[DURATION_TEXT_BYTES];
    cli_table_cell(table, "%s [%s]", partition->topic, partition->label);
    cli_table_cell(table, "%s", cli_count((uint64_t)partition->committed_offset, text));
    cli_table_cell(table, "%s", cli_count((uint64_t)partition->end_offset, text));
    cli_table_cell(table, "%s", cli_count((uint64_t)partition->behind, text));
    bool is_known = partition->behind == 0 || partition->oldest_us > TIME_NEVER;
    cli_table_cell(table, "%s", is_known ? duration_text(partition->age_us, text) : "-");
    print_rate(table, partition->arrived);
    print_rate(table, partition->committed);
    cli_table_cell(table, "%s", catch_up_text(partition->catch_up_us, text));
    print_bound(table, partition);
}

static void print_text(const struct lag *lag)
{
    static const char *const headings[] = {"partition", "committed", "end",
                                           "behind",    "oldest",    "in/s",
                                           "done/s",    "catch up",  "bound by"};
    struct cli_table table = {.columns = sizeof headings / sizeof headings[0]};
    for (uint32_t i = 0; i < table.columns; i++) {
        cli_table_cell(&table, "%s", headings[i]);
    }
    uint64_t behind = 0;
    uint64_t hidden = 0;
    for (uint32_t p = 0; p < lag->partition_count; p++) {
        hidden += (uint64_t)lag->partitions[p].hidden;
        print_partition(&table, &lag->partitions[p]);
        behind += (uint64_t)lag->partitions[p].behind;
    }
    cli_table_print(&table, stdout);
    char text[27];
    printf("%s %s behind in all\n", cli_count(behind, text), lag->in_bytes ? "bytes" : "records");
    if (hidden > 0) {
        printf("%s more may not be read yet: a producer's transaction is open\n",
               cli_count(hidden, text));
    }
    if (lag->processes > 0) {
        printf("%u process%s, %u partition%s to share", lag->processes,
               lag->processes == 1 ? "" : "es", lag->partition_count,
               lag->partition_count == 1 ? "" : "s");
        if (lag->processes_wanted > 0) {
            printf("; %u would keep up", lag->processes_wanted);
        }
        printf("\n");
    }
}

/* --- for programs --- */

static void write_time(const char *name, int64_t time_us, struct buffer *out)
{
    char text[TIME_TEXT_BYTES];
    if (time_us <= TIME_NEVER) {
        buffer_printf(out, ",\"%s\":null", name);
    } else {
        time_format(time_us, text);
        buffer_printf(out, ",\"%s\":\"%s\"", name, text);
    }
}

static void write_number(const char *name, double number, bool is_known, struct buffer *out)
{
    if (is_known) {
        buffer_printf(out, ",\"%s\":%.6g", name, number);
    } else {
        buffer_printf(out, ",\"%s\":null", name);
    }
}

static void write_partition(const struct lag_partition *partition, struct buffer *out)
{
    buffer_append_string(out, "{\"topic\":");
    json_write_string(out, bytes_of_string(partition->topic));
    buffer_printf(out, ",\"partition\":\"%s\",\"committed_offset\":%lld,\"end_offset\":%lld",
                  partition->label, (long long)partition->committed_offset,
                  (long long)partition->end_offset);
    buffer_printf(out, ",\"behind\":%lld,\"hidden\":%lld", (long long)partition->behind,
                  (long long)partition->hidden);
    write_time("oldest_timestamp", partition->oldest_us, out);
    write_number("behind_seconds", (double)partition->age_us / 1e6,
                 partition->behind == 0 || partition->oldest_us > TIME_NEVER, out);
    write_time("event_time", partition->event_time_us, out);
    write_number("arrived_per_second", partition->arrived, partition->arrived >= 0, out);
    write_number("committed_per_second", partition->committed, partition->committed >= 0, out);
    write_number("catch_up_seconds", (double)partition->catch_up_us / 1e6,
                 partition->catch_up_us != LAG_TIME_UNKNOWN &&
                     partition->catch_up_us != LAG_TIME_NEVER,
                 out);
    buffer_printf(out, ",\"bound_by\":\"%s\",\"system\":", lag_bound_name(partition->bound));
    if (partition->system == NULL) {
        buffer_append_string(out, "null");
    } else {
        json_write_string(out, bytes_of_string(partition->system));
    }
    buffer_append_byte(out, '}');
}

static void print_json(const char *pipeline, const struct lag *lag)
{
    struct buffer out = {0};
    buffer_append_string(&out, "{\"pipeline\":");
    json_write_string(&out, bytes_of_string(pipeline));
    buffer_printf(&out, ",\"running\":%s,\"unit\":\"%s\",\"seconds\":%.3f,\"partitions\":[",
                  lag->owner == LAG_OWNER_UNKNOWN ? "null"
                  : lag->owner == LAG_OWNER_THERE ? "true"
                                                  : "false",
                  lag->in_bytes ? "bytes" : "records", lag->seconds);
    uint64_t behind = 0;
    for (uint32_t p = 0; p < lag->partition_count; p++) {
        buffer_append_string(&out, p == 0 ? "" : ",");
        write_partition(&lag->partitions[p], &out);
        behind += (uint64_t)lag->partitions[p].behind;
    }
    buffer_printf(&out, "],\"behind\":%llu,\"processes_wanted\":", (unsigned long long)behind);
    if (lag->processes_wanted > 0) {
        buffer_printf(&out, "%u", lag->processes_wanted);
    } else {
        buffer_append_string(&out, "null");
    }
    buffer_append_byte(&out, '}');
    printf("%s\n", buffer_string(&out));
    buffer_fini(&out);
}

static enum status lag(const struct cli_arguments *arguments, struct error *err)
{
    int64_t duration_us = 0;
    struct plan *plan = NULL;
    enum status status = read_duration(arguments, &duration_us, err);
    if (status == STATUS_OK) {
        status = plan_load(arguments->positional[0], cli_environment, &plan, err);
    }
    if (status != STATUS_OK) {
        return status;
    }
    struct lag measured;
    status = lag_measure(plan, duration_us, &measured, err);
    if (status == STATUS_OK && cli_given(arguments, "json")) {
        print_json(plan->name, &measured);
    } else if (status == STATUS_OK) {
        print_text(&measured);
    }
    lag_fini(&measured);
    plan_free(plan);
    return status;
}

static const struct cli_option options[] = {
    {"for", "TIME", "look twice, so long apart, to see the pace; 2s unless given, 0 looks once"},
    {"json", NULL, "print it as JSON"},
    {0},
};

const struct cli_verb verb_lag = {
    .name = "lag",
    .arguments = "P.yaml [--for TIME] [--json]",
    .summary = "how far a pipeline is behind, and what holds it up",
    .details =
        "Per partition: what is committed in all systems, where the source ends, how much is\n"
        "between the two, how old the oldest record of it is, how fast it comes and is done, and\n"
        "when it is caught up at this pace. Looks only, while the pipeline runs or not. Of files\n"
        "the unit is bytes, and the age is not known: their lines have no timestamps. Of brokers\n"
        "offsets are counted up to the last stable one, as their tools do; what is behind an open\n"
        "transaction is told apart.",
    .options = options,
    .least = 1,
    .most = 1,
    .run = lag,
};
