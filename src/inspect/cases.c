#include "inspect/cases.h"

#include <string.h>

#include "base/time.h"
#include "os/file.h"

#define FILE_BYTES_MAX (4u * 1024u * 1024u)
#define PARTITIONS_MAX 64u

static const char *const verdicts[] = {"VALID", "INVALID", "DUPLICATE", "LATE", "FILTERED", NULL};

static const struct grammar_field expect_fields[] = {
    {.key = "verdict", .type = GRAMMAR_CHOICE, .choices = verdicts, .help = "the verdict"},
    {.key = "reason", .type = GRAMMAR_STRING, .help = "the code of the first violation"},
    {.key = "field", .type = GRAMMAR_STRING, .help = "the field of the first violation"},
    {.key = "detail", .type = GRAMMAR_STRING, .help = "the detail of the first violation"},
    {.key = "output", .type = GRAMMAR_ANY, .help = "what goes out"},
    {.key = "sinks", .type = GRAMMAR_STRINGS, .help = "where it goes, dlq among them"},
    {.key = "warnings", .type = GRAMMAR_STRINGS, .help = "checks that warn"},
    {0},
};

static const struct grammar_field case_fields[] = {
    {.key = "name", .type = GRAMMAR_STRING, .required = true, .help = "what the case shows"},
    {.key = "input", .type = GRAMMAR_ANY, .required = true, .help = "a list of records"},
    {.key = "expect",
     .type = GRAMMAR_LIST_OF,
     .fields = expect_fields,
     .help = "what is expected of each record"},
    {0},
};

static const struct grammar_field file_fields[] = {
    {.key = "pipeline",
     .type = GRAMMAR_STRING,
     .required = true,
     .help = "the pipeline file, relative to this one"},
    {.key = "header", .type = GRAMMAR_STRING, .help = "the first line of the files of CSV"},
    {.key = "cases",
     .type = GRAMMAR_LIST_OF,
     .required = true,
     .fields = case_fields,
     .help = "the cases"},
    {0},
};

static const struct grammar_field record_fields[] = {
    {.key = "record", .type = GRAMMAR_ANY, .required = true, .help = "the record"},
    {.key = "key", .type = GRAMMAR_STRING, .help = "its key"},
    {.key = "timestamp", .type = GRAMMAR_STRING, .help = "its timestamp"},
    {.key = "partition", .type = GRAMMAR_ANY, .help = "its partition"},
    {0},
};

/* --- reading the file --- */

static bool is_envelope(const struct doc *node)
{
    if (node->kind != DOC_MAP || doc_get(node, "record") == NULL) {
        return false;
    }
    for (size_t i = 0; i < node->count; i++) {
        if (grammar_find(record_fields, node->keys[i]->text) == NULL) {
            return false;
        }
    }
    return true;
}

static struct bytes record_bytes(struct arena *arena, const struct doc *node)
{
    if (node->kind == DOC_STRING) {
        return bytes_of(arena_copy(arena, node->text, node->text_size), node->text_size);
    }
    struct buffer json = {0};
    doc_write_canonical(node, &json);
    struct bytes bytes = bytes_of(arena_copy(arena, json.data, json.size), json.size);
    buffer_fini(&json);
    return bytes;
}

/* A map is JSON: a pipeline that reads another format would judge what nobody sends. */
static enum status check_form(const struct plan *plan, const struct doc *record, struct error *err)
{
    if (plan->stage.decoder.format == FORMAT_JSON || record->kind == DOC_STRING ||
        record->kind == DOC_NULL) {
        return STATUS_OK;
    }
    return doc_error(record, err, "test.record",
                     "the pipeline does not read JSON: write the record as a text, as it comes");
}

/* What names the columns, where it stands in the file and nowhere else. */
static enum status check_header(const struct cases *cases, const struct doc *file,
                                struct error *err)
{
    const struct csv_options *csv = &cases->plan->stage.decoder.csv;
    bool is_csv = cases->plan->stage.decoder.format == FORMAT_CSV;
    const struct doc *header = doc_get(file, "header");
    if (header != NULL && !(is_csv && csv->has_header)) {
        return doc_error(header, err, "test.header",
                         "the pipeline reads no CSV with a header: leave it out");
    }
    if (header == NULL && is_csv && csv->has_header && csv->names == NULL) {
        return doc_error(doc_get(file, "cases"), err, "test.header",
                         "the pipeline reads CSV with a header: give its line, 'header: a,b,c'");
    }
    return STATUS_OK;
}

static enum status read_timestamp(const struct plan *plan, const struct doc *node,
                                  struct case_input *input, struct error *err)
{
    if (node == NULL) {
        return STATUS_OK;
    }
    if (plan->source_ops->timestamp_kind == TIMESTAMP_NONE) {
        return doc_error(node, err, "test.timestamp", "records of a %s source have no timestamps",
                         plan->source_ops->kind);
    }
    if (!time_parse_rfc3339(bytes_of(node->text, node->text_size), &input->timestamp_us)) {
        return doc_error(node, err, "config.value",
                         "timestamp must be like 2026-01-01T00:00:00Z; found '%s'", node->text);
    }
    return STATUS_OK;
}

static enum status read_envelope(struct cases *cases, const struct doc *node,
                                 struct case_input *input, struct error *err)
{
    enum status status = grammar_check(record_fields, node, "a record", err);
    if (status != STATUS_OK) {
        return status;
    }
    const struct doc *key = doc_get(node, "key");
    const struct doc *partition = doc_get(node, "partition");
    if (key != NULL && !cases->plan->source_ops->has_keys) {
        return doc_error(key, err, "test.key", "records of a %s source have no keys",
                         cases->plan->source_ops->kind);
    }
    if (key != NULL) {
        input->key = bytes_of(key->text, key->text_size);
    }
    if (partition != NULL && partition->kind != DOC_INT && partition->kind != DOC_STRING) {
        return doc_error(partition, err, "config.type", "partition must be a number or a name");
    }
    if (partition != NULL) {
        input->partition = partition->text;
    }
    const struct doc *record = doc_get(node, "record");
    status = check_form(cases->plan, record, err);
    if (status != STATUS_OK) {
        return status;
    }
    /* A null record is a tombstone. */
    input->value = record->kind == DOC_NULL ? BYTES_NONE : record_bytes(cases->arena, record);
    return read_timestamp(cases->plan, doc_get(node, "timestamp"), input, err);
}

static enum status read_inputs(struct cases *cases, const struct doc *list,
                               struct case_entry *entry, struct error *err)
{
    if (list->kind != DOC_LIST) {
        return doc_error(list, err, "config.type", "input must be a list of records");
    }
    entry->row_count = (uint32_t)list->count;
    entry->inputs = arena_alloc_zero(cases->arena, list->count, sizeof *entry->inputs);
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < list->count && status == STATUS_OK; i++) {
        struct case_input *input = &entry->inputs[i];
        *input = (struct case_input){
            .node = list->items[i], .timestamp_us = TIME_NEVER, .partition = "0"};
        if (is_envelope(input->node)) {
            status = read_envelope(cases, input->node, input, err);
        } else {
            status = check_form(cases->plan, input->node, err);
            input->value = record_bytes(cases->arena, input->node);
        }
    }
    return status;
}

/* A name in `expect` that the plan does not know could never be met. */
static enum status check_name(const struct doc *name, const char *what, const char *const *names,
                              uint32_t count, struct error *err)
{
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(names[i], name->text) == 0) {
            return STATUS_OK;
        }
    }
    const char *nearest = string_nearest(name->text, names, count);
    return doc_error(name, err, "test.name", "the pipeline has no %s '%s'%s%s%s", what, name->text,
                     nearest == NULL ? "" : "; did you mean '", nearest == NULL ? "" : nearest,
                     nearest == NULL ? "" : "'?");
}

static enum status check_names(const struct doc *names, const char *what, const char *const *known,
                               uint32_t count, struct error *err)
{
    if (names == NULL || names->kind == DOC_STRING) {
        return names == NULL ? STATUS_OK : check_name(names, what, known, count, err);
    }
    enum status status = STATUS_OK;
    for (size_t i = 0; i < names->count && status == STATUS_OK; i++) {
        status = check_name(names->items[i], what, known, count, err);
    }
    return status;
}

static enum status check_expect(struct cases *cases, const struct doc *item, struct error *err)
{
    const struct plan *plan = cases->plan;
    const struct doc *reason = doc_get(item, "reason");
    const char *sinks[SINKS_MAX + 1];
    uint32_t sink_count = 0;
    for (; sink_count < plan->stage.sink_count; sink_count++) {
        sinks[sink_count] = plan->sinks[sink_count]->name;
    }
    sinks[sink_count++] = "dlq";
    const char **checks = arena_alloc(cases->arena, (plan->stage.check_count + 1) * sizeof *checks);
    for (uint32_t i = 0; i < plan->stage.check_count; i++) {
        checks[i] = plan->stage.checks[i].name;
    }
    enum status status = STATUS_OK;
    if (reason != NULL && reason->text_size > 0) {
        status = check_name(reason, "reason", plan->reasons.names, plan->reasons.count, err);
    }
    if (status == STATUS_OK) {
        status = check_names(doc_get(item, "sinks"), "sink", sinks, sink_count, err);
    }
    if (status == STATUS_OK) {
        status =
            check_names(doc_get(item, "warnings"), "check", checks, plan->stage.check_count, err);
    }
    return status;
}

static enum status read_cases(struct cases *cases, const struct doc *list, struct error *err)
{
    cases->count = (uint32_t)list->count;
    cases->entries = arena_alloc_zero(cases->arena, list->count, sizeof *cases->entries);
    for (uint32_t i = 0; i < cases->count; i++) {
        struct case_entry *entry = &cases->entries[i];
        entry->node = list->items[i];
        entry->name = doc_get(entry->node, "name")->text;
        entry->expect = doc_get(entry->node, "expect");
        enum status status = read_inputs(cases, doc_get(entry->node, "input"), entry, err);
        for (size_t e = 0; entry->expect != NULL && e < entry->expect->count && status == STATUS_OK;
             e++) {
            status = check_expect(cases, entry->expect->items[e], err);
        }
        if (status != STATUS_OK) {
            return status;
        }
    }
    return STATUS_OK;
}

static enum status load_plan(struct cases *cases, const char *path, const struct doc *name,
                             doc_environment environment, struct error *err)
{
    const char *slash = strrchr(path, '/');
    size_t folder = slash == NULL || name->text[0] == '/' ? 0 : (size_t)(slash - path) + 1;
    const char *pipeline = arena_printf(cases->arena, "%.*s%s", (int)folder, path, name->text);
    if (!file_exists(pipeline)) {
        return doc_error(name, err, "config.missing_file",
                         "the pipeline file %s is not there; name one relative to this file",
                         pipeline);
    }
    return plan_load(pipeline, environment, &cases->plan, err);
}

enum status cases_load(const char *path, doc_environment environment, struct cases **out,
                       struct error *err)
{
    struct arena *arena = arena_new(64 * 1024);
    struct cases *cases = arena_alloc_zero(arena, 1, sizeof *cases);
    cases->arena = arena;
    struct buffer content = {0};
    struct doc *file = NULL;
    enum status status = file_read(path, FILE_BYTES_MAX, &content, err);
    if (status == STATUS_OK) {
        status = doc_parse(arena, path, bytes_of(content.data, content.size), NULL, &file, err);
    }
    buffer_fini(&content);
    if (status == STATUS_OK) {
        status = grammar_check(file_fields, file, "the test file", err);
    }
    if (status == STATUS_OK) {
        status = load_plan(cases, path, doc_get(file, "pipeline"), environment, err);
    }
    if (status == STATUS_OK) {
        status = check_header(cases, file, err);
    }
    if (status == STATUS_OK) {
        const struct doc *header = doc_get(file, "header");
        cases->header =
            header == NULL ? BYTES_NONE : bytes_of(header->text, header->text_size);
        status = read_cases(cases, doc_get(file, "cases"), err);
    }
    if (status != STATUS_OK) {
        cases_free(cases);
        return status;
    }
    *out = cases;
    return STATUS_OK;
}

void cases_free(struct cases *cases)
{
    if (cases != NULL) {
        plan_free(cases->plan);
        arena_free(cases->arena);
    }
}

/* --- judging --- */

/* A partition of one case. */
struct case_partition {
    const char *name;
    struct stage_state *state;
    int64_t timestamp_us; /* of the last record */
};

struct judging {
    struct cases *cases;
    struct stage_runner *runner;
    struct batch *batch;
    struct state_budget budget;
    struct case_partition partitions[PARTITIONS_MAX];
    uint32_t partition_count;
};

/* NULL when there are too many. */
static struct case_partition *find_partition(struct judging *judging, const char *name)
{
    for (uint32_t i = 0; i < judging->partition_count; i++) {
        if (strcmp(judging->partitions[i].name, name) == 0) {
            return &judging->partitions[i];
        }
    }
    if (judging->partition_count == PARTITIONS_MAX) {
        return NULL;
    }
    struct case_partition *partition = &judging->partitions[judging->partition_count++];
    *partition = (struct case_partition){
        .name = name,
        .state = stage_state_new(&judging->cases->plan->stage, &judging->budget, 0),
        .timestamp_us = TIME_NEVER};
    return partition;
}

/* The event time that a record written as a map says of itself; TIME_NEVER when it says none. */
static int64_t own_time_us(const struct plan *plan, const struct doc *node)
{
    const struct doc *record = is_envelope(node) ? doc_get(node, "record") : node;
    int64_t time_us = TIME_NEVER;
    if (plan->stage.event_time_field == FIELD_NONE || record->kind != DOC_MAP) {
        return TIME_NEVER;
    }
    const struct doc *time =
        doc_get(record, plan->stage.layout->fields[plan->stage.event_time_field].path);
    if (time != NULL && time->kind == DOC_STRING) {
        (void)time_parse_rfc3339(bytes_of(time->text, time->text_size), &time_us);
    }
    return time_us;
}

static void append(struct judging *judging, struct case_partition *partition,
                   const struct case_input *input, int64_t offset)
{
    const struct plan *plan = judging->cases->plan;
    struct record *record = batch_append_record(judging->batch);
    check(record != NULL);
    record->offset = offset;
    record->next_offset =
        offset + (plan->source_ops->offsets_are_bytes ? (int64_t)input->value.size + 1 : 1);
    record->key = input->key;
    record->value = input->value;
    record->timestamp_kind = plan->source_ops->timestamp_kind;
    if (record->timestamp_kind != TIMESTAMP_NONE) {
        int64_t time_us = input->timestamp_us;
        if (time_us == TIME_NEVER) {
            time_us = own_time_us(plan, input->node);
        }
        if (input->timestamp_us == TIME_NEVER && time_us < partition->timestamp_us) {
            time_us = partition->timestamp_us;
        }
        partition->timestamp_us = time_us == TIME_NEVER ? 0 : time_us;
        record->timestamp_us = partition->timestamp_us;
    }
}

static void take_sinks(struct judging *judging, uint32_t row, struct case_outcome *outcome)
{
    const struct plan *plan = judging->cases->plan;
    outcome->sinks =
        arena_alloc_zero(judging->cases->arena, plan->stage.sink_count + 1, sizeof *outcome->sinks);
    for (uint32_t i = 0; i < plan->stage.sink_count; i++) {
        if ((judging->batch->routes[row] & UINT64_C(1) << i) != 0) {
            outcome->sinks[outcome->sink_count++] = plan->sinks[i]->name;
        }
    }
    if (plan->dlq != NULL && plan->dlq_includes[outcome->verdict]) {
        outcome->sinks[outcome->sink_count++] = "dlq";
    }
}

static struct bytes keep(struct judging *judging, struct bytes bytes)
{
    return bytes_is_none(bytes)
               ? bytes
               : bytes_of(arena_copy(judging->cases->arena, bytes.data, bytes.size), bytes.size);
}

static void take_outcome(struct judging *judging, uint32_t row, struct case_outcome *outcome)
{
    const struct batch *batch = judging->batch;
    const struct plan *plan = judging->cases->plan;
    uint32_t count = 0;
    const struct violation *first = batch_violations(batch, row, &count);
    *outcome = (struct case_outcome){
        .verdict = (enum verdict)batch->verdicts[row], .reason = "", .field = ""};
    if (outcome->verdict == VERDICT_VALID) {
        outcome->output = batch_is_tombstone(batch, row) ? bytes_of_string("null")
                                                         : keep(judging, batch->outputs[row]);
    } else if (count > 0) {
        outcome->reason = reason_name(&plan->reasons, first->reason);
        outcome->field = first->field == FIELD_NONE ? "" : batch->layout->fields[first->field].path;
        outcome->detail = keep(judging, first->detail);
    }
    take_sinks(judging, row, outcome);
    outcome->warnings = arena_alloc_zero(judging->cases->arena, batch->warning_count + 1,
                                         sizeof *outcome->warnings);
    for (uint32_t i = 0; i < batch->warning_count; i++) {
        if (batch->warnings[i].row == row && outcome->verdict == VERDICT_VALID) {
            outcome->warnings[outcome->warning_count++] =
                plan->stage.checks[batch->warnings[i].check].name;
        }
    }
}

/* Rows that follow each other in one partition are a batch, as they would be in a log. */
static enum status judge_case(struct judging *judging, struct case_entry *entry, struct error *err)
{
    entry->outcomes =
        arena_alloc_zero(judging->cases->arena, entry->row_count, sizeof *entry->outcomes);
    for (uint32_t row = 0; row < entry->row_count;) {
        const char *name = entry->inputs[row].partition;
        struct case_partition *partition = find_partition(judging, name);
        if (partition == NULL) {
            return doc_error(entry->inputs[row].node, err, "test.partitions",
                             "a case may have at most %u partitions", PARTITIONS_MAX);
        }
        batch_reset(judging->batch, (uint32_t)(partition - judging->partitions), 0);
        judging->batch->header = judging->cases->header;
        uint32_t first = row;
        int64_t offset = partition->state->next_offset;
        for (; row < entry->row_count && row - first < BATCH_ROWS_MAX &&
               strcmp(entry->inputs[row].partition, name) == 0;
             row++) {
            append(judging, partition, &entry->inputs[row], offset);
            offset = judging->batch->records[row - first].next_offset;
        }
        enum status status =
            stage_run(judging->runner, partition->state, judging->batch, STAGE_FULL, err);
        if (status != STATUS_OK) {
            return status;
        }
        for (uint32_t i = first; i < row; i++) {
            take_outcome(judging, i - first, &entry->outcomes[i]);
        }
    }
    return STATUS_OK;
}

enum status cases_run(struct cases *cases, struct error *err)
{
    static const uint8_t hash_key[HASH_KEY_BYTES];
    struct judging judging = {.cases = cases,
                              .budget.limit_bytes = cases->plan->state_memory_bytes};
    enum status status = stage_runner_new(&cases->plan->stage, hash_key, &judging.runner, err);
    if (status != STATUS_OK) {
        return status;
    }
    judging.batch = stage_runner_batch(judging.runner);
    for (uint32_t i = 0; i < cases->count && status == STATUS_OK; i++) {
        status = judge_case(&judging, &cases->entries[i], err);
        for (uint32_t p = 0; p < judging.partition_count; p++) {
            stage_state_free(judging.partitions[p].state);
        }
        judging.partition_count = 0;
    }
    batch_free(judging.batch);
    stage_runner_free(judging.runner);
    return status;
}
