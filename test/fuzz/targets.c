#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec/csv.h"
#include "codec/json_reference.h"
#include "codec/record_batch.h"
#include "doc/doc.h"
#include "fuzz.h"
#include "os/random.h"
#include "plan/plan.h"
#include "progress/progress.h"
#include "schema/schema.h"
#include "stage/stage.h"
#include "state/form.h"

static void require(bool holds, const char *what)
{
    if (!holds) {
        (void)fprintf(stderr, "DOES NOT HOLD: %s\n", what);
        abort();
    }
}

static bool same(const struct buffer *a, const struct buffer *b)
{
    return a->size == b->size && (a->size == 0 || memcmp(a->data, b->data, a->size) == 0);
}

/* --- JSON: the engines and the reference agree --- */

static const struct json_options json_options = {.max_depth = 6};

/* Kept from run to run: making a batch takes longer than all the rest. */
static struct json_kept {
    struct json_decoder *decoder;
    struct batch *batch;
} json_kept[4][2];

static void render_json(bool is_closed, size_t engine, struct bytes text, struct buffer *line)
{
    struct json_kept *kept = &json_kept[engine][is_closed];
    if (kept->batch == NULL) {
        const struct layout *layout = is_closed ? &row_layout_closed : &row_layout_open;
        kept->decoder = json_decoder_new(layout, &json_options);
        kept->batch = batch_new(layout);
        json_decoder_set_engine(kept->decoder, row_engines[engine]);
    }
    /* Again and again: the layout of the keys is known the second time, the record's template in the
     * second batch. */
    struct batch *batch = kept->batch;
    for (unsigned round = 0; round < 2; round++) {
        batch_reset(batch, 0, 0);
        batch_append_record(batch)->value = text;
        batch_append_record(batch)->value = text;
        json_decode(kept->decoder, batch);
        batch_sort_violations(batch);
        for (uint32_t row = 0; row < batch->row_count; row++) {
            struct buffer other = {0};
            row_render(&other, batch, row);
            require(round + row == 0 || same(&other, line), "a record is the same each time");
            buffer_fini(line);
            *line = other;
        }
    }
}

static void run_json(const uint8_t *data, size_t size)
{
    bool is_closed = size % 2 == 1;
    struct bytes text = bytes_of(data, size);
    struct buffer lines[4] = {{0}};
    size_t count = row_engine_count();
    for (size_t i = 0; i < count; i++) {
        render_json(is_closed, i, text, &lines[i]);
        require(same(&lines[0], &lines[i]), "the engines agree");
    }
    struct buffer expected = {0};
    reason_id reason;
    reference_render(is_closed ? &row_layout_closed : &row_layout_open, &json_options, text,
                     &expected, &reason);
    if (reason != REASON_NONE) {
        buffer_printf(&expected, "| %s ", row_reason_name(reason));
    }
    require(lines[0].size >= expected.size &&
                (expected.size == 0 ||
                 memcmp(lines[0].data, expected.data, expected.size) == 0),
            "the reference agrees");
    buffer_fini(&expected);
    for (size_t i = 0; i < count; i++) {
        buffer_fini(&lines[i]);
    }
}

/* --- CSV: a row that can be read can be written as JSON --- */

static void run_csv(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"i", "d", "s", "b", "j", "o.x"};
    static const struct csv_options options = {.quote = '"', .names = names, .name_count = 6};
    static struct csv_decoder *decoder;
    static struct batch *batch;
    if (batch == NULL) {
        decoder = csv_decoder_new(&row_layout_open, &options);
        batch = batch_new(&row_layout_open);
    }
    batch_reset(batch, 0, 0);
    struct csv_scan scan = {0};
    struct bytes text = bytes_of(data, size);
    size_t at = 0;
    while (at < size && batch->row_count < 50) {
        size_t begin = at;
        bool found = csv_scan_record(&options, &scan, text, &at);
        require(at > begin && at <= size, "the scan goes on and stays inside");
        size_t end = found ? at - 1 : at;
        batch_append_record(batch)->value = bytes_of(data + begin, end - begin);
    }
    csv_decode(decoder, batch);
    batch_sort_violations(batch);
    for (uint32_t row = 0; row < batch->row_count; row++) {
        uint32_t violations;
        (void)batch_violations(batch, row, &violations);
        if (violations == 0 && batch->verdicts[row] == VERDICT_NONE) {
            struct buffer object = {0};
            csv_write_object(decoder, batch, row, &object);
            require(json_is_valid(bytes_of(object.data, object.size), 0), "it is JSON");
            buffer_fini(&object);
        }
    }
}

/* --- RecordBatch --- */

static void load_checksum(uint8_t *batch, size_t size)
{
    if (size > RECORD_BATCH_HEADER_BYTES) {
        uint32_t crc = htobe32(hash_crc32c(0, batch + 21, size - 21));
        memcpy(batch + 17, &crc, sizeof crc);
        uint32_t length = htobe32((uint32_t)size - 12);
        memcpy(batch + 8, &length, sizeof length);
    }
}

/* Every other input gets a right checksum and length, or little would come further. */
static void run_record_batch(const uint8_t *data, size_t size)
{
    uint8_t *copy = memory_alloc(size);
    memcpy(copy, data, size);
    if (size % 2 == 0) {
        load_checksum(copy, size);
    }
    struct arena *arena = arena_new(4096);
    struct record_batch_reader reader;
    struct error err = {0};
    struct record_batch_builder builder = {0};
    uint32_t count = 0;
    if (record_batch_open(&reader, arena, bytes_of(copy, size), 1 << 20, &err) == STATUS_OK) {
        bool end = false;
        struct record record = {0};
        while (!end && record_batch_next(&reader, &record, &end, &err) == STATUS_OK) {
            if (!end) {
                record_batch_append(&builder, record.key, record.value, record.headers,
                                    record.header_count);
                count++;
            }
        }
        require(!end || count == reader.info.record_count, "as many records as it says");
    }
    record_batch_fini(&builder);
    arena_free(arena);
    memory_free(copy);
}

static bool seed_record_batch(unsigned number, struct buffer *out)
{
    if (number >= 6) {
        return false;
    }
    struct record_batch_builder builder = {0};
    struct record_header header = {bytes_of_string("weir.replay"), bytes_of_string("in 0 17 1")};
    for (unsigned i = 0; i <= number * 7; i++) {
        record_batch_append(&builder, i % 2 == 0 ? BYTES_NONE : bytes_of_string("key"),
                            bytes_of_string("{\"value\":1,\"text\":\"aaaaaaaaaaaaaaaaaaaaaa\"}"),
                            &header, i % 3 == 0);
    }
    static const enum compression kinds[] = {COMPRESSION_NONE, COMPRESSION_LZ4, COMPRESSION_ZSTD};
    const struct record_batch_stamp stamp = {.base_offset = 5, .timestamp_ms = 1700000000000,
                                             .producer_id = -1, .producer_epoch = -1,
                                             .base_sequence = -1};
    record_batch_finish(&builder, &stamp, kinds[number % 3], out);
    record_batch_fini(&builder);
    return true;
}

/* --- YAML, schema, pipeline --- */

static const char *no_environment(const char *name)
{
    (void)name;
    return NULL;
}

static void run_yaml(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new(4096);
    struct doc *doc = NULL;
    struct error err = {0};
    if (doc_parse(arena, "in", bytes_of(data, size), no_environment, &doc, &err) == STATUS_OK) {
        struct buffer canonical = {0};
        struct buffer again = {0};
        doc_write_canonical(doc, &canonical);
        require(json_is_valid(bytes_of(canonical.data, canonical.size), 1000),
                "the canonical text is JSON");
        struct doc *second = NULL;
        /* As stored texts are read: what a variable stood for is in them. */
        if (doc_parse(arena, "canonical", bytes_of(canonical.data, canonical.size), NULL, &second,
                      &err) == STATUS_OK) {
            doc_write_canonical(second, &again);
            require(same(&canonical, &again), "the canonical text is that of itself");
        }
        buffer_fini(&canonical);
        buffer_fini(&again);
    } else {
        require(err.message[0] != '\0' && err.code[0] != '\0', "an error says why");
    }
    arena_free(arena);
}

static void run_schema(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new(4096);
    struct doc *doc = NULL;
    struct schema *schema = NULL;
    struct error err = {0};
    if (doc_parse(arena, "schema", bytes_of(data, size), no_environment, &doc, &err) == STATUS_OK &&
        schema_compile(arena, doc, NULL, NULL, 0, &schema, &err) == STATUS_OK) {
        schema_checker_free(schema_checker_new(schema));
        require(schema_layout(schema)->field_count <= 4000, "a layout has its limits");
    }
    arena_free(arena);
}

/* A pipeline file, as a user writes it; nothing is opened for it. */
static void run_pipeline_file(const uint8_t *data, size_t size)
{
    static char path[256];
    if (path[0] == '\0') {
        const char *folder = getenv("TMPDIR");
        (void)snprintf(path, sizeof path, "%s/weir-fuzz-%016llx.yaml",
                       folder == NULL ? "/tmp" : folder, (unsigned long long)random_u64());
    }
    FILE *file = fopen(path, "w");
    require(file != NULL && fwrite(data, 1, size, file) == size && fclose(file) == 0, path);
    struct plan *plan = NULL;
    struct error err = {0};
    if (plan_load(path, no_environment, &plan, &err) == STATUS_OK) {
        struct plan *again = NULL;
        require(plan_from_text(plan->text, plan, &again, &err) == STATUS_OK,
                "the text of a plan makes a plan");
        require(hash_equal(plan->hash, again->hash), "the same one");
        plan_free(again);
        plan_free(plan);
    } else {
        require(err.message[0] != '\0' && err.code[0] != '\0', "an error says why");
    }
    (void)remove(path);
}

/* --- R, segments, snapshots: what was read is what is written --- */

static struct buffer sealed_copy(const uint8_t *data, size_t size)
{
    struct buffer form = {0};
    size_t kept = size % 2 == 0 && size > FORM_SEAL_BYTES ? size - FORM_SEAL_BYTES : size;
    buffer_append(&form, data, kept);
    if (kept < size) {
        form_seal(0, &form);
    }
    return form;
}

static void run_progress(const uint8_t *data, size_t size)
{
    struct buffer form = sealed_copy(data, size);
    struct progress progress = {0};
    struct error err = {0};
    if (progress_read(&progress, bytes_of(form.data, form.size), &err) == STATUS_OK) {
        struct buffer again = {0};
        progress_write(&progress, &again);
        require(same(&form, &again), "R is written as it was read");
        buffer_fini(&again);
        progress_fini(&progress);
    }
    buffer_fini(&form);
}

static void run_segment(const uint8_t *data, size_t size)
{
    struct buffer form = sealed_copy(data, size);
    struct ledger ledger = {0};
    struct hash128 hash;
    int64_t first;
    int64_t next;
    struct error err = {0};
    if (segment_read(bytes_of(form.data, form.size), &first, &next, &hash, &ledger, &err) ==
        STATUS_OK) {
        struct buffer again = {0};
        segment_write(first, next, hash, &ledger, &again);
        require(same(&form, &again), "a segment is written as it was read");
        buffer_fini(&again);
    }
    ledger_fini(&ledger);
    buffer_fini(&form);
}

static bool read_hex(const char *path, struct buffer *out)
{
    FILE *file = fopen(path, "r");
    require(file != NULL, path);
    char line[4096];
    while (fgets(line, sizeof line, file) != NULL) {
        unsigned byte;
        for (const char *at = line; *at != '#' && *at != '\0' && *at != '\n'; at++) {
            if (*at != ' ' && sscanf(at, "%2x", &byte) == 1) {
                buffer_append_byte(out, (uint8_t)byte);
                at++;
            }
        }
    }
    (void)fclose(file);
    return true;
}

static bool seed_progress(unsigned number, struct buffer *out)
{
    return number == 0 && read_hex(WEIR_SOURCE "/src/progress/golden/progress-v1.hex", out);
}

static bool seed_segment(unsigned number, struct buffer *out)
{
    return number == 0 && read_hex(WEIR_SOURCE "/src/progress/golden/segment-v1.hex", out);
}

static struct plan *state_plan(void)
{
    static const char text[] =
        "{\"pipeline\":{\"version\":1,\"name\":\"f\",\"source\":{\"local\":{\"path\":\"in.db\","
        "\"topic\":\"in\"}},\"repair\":{\"fill\":{\"v\":{\"last_by\":\"k\",\"max_age\":\"40s\"}}},"
        "\"event_time\":{\"field\":\"at\",\"lateness\":\"20s\",\"max_future\":\"30s\"},"
        "\"dedup\":{\"key\":\"k\",\"window\":\"60s\"},\"sinks\":{\"a\":{\"local\":{\"path\":"
        "\"a.db\",\"topic\":\"a\"}}}},\"schema\":{\"type\":\"object\",\"properties\":{"
        "\"at\":{\"type\":\"string\",\"format\":\"date-time\"},\"k\":{\"type\":\"string\"},"
        "\"v\":{\"type\":\"string\"}}}}";
    static struct plan *plan;
    struct error err = {0};
    if (plan == NULL && plan_from_text(bytes_of_string(text), NULL, &plan, &err) != STATUS_OK) {
        (void)fprintf(stderr, "%s\n", err.message);
        abort();
    }
    return plan;
}

static void run_state(const uint8_t *data, size_t size)
{
    const struct stage_plan *plan = &state_plan()->stage;
    struct state_budget budget = {.limit_bytes = 1 << 20};
    struct stage_state *state = stage_state_new(plan, &budget, 0);
    struct error err = {0};
    if (stage_state_read(state, bytes_of(data, size), &err) == STATUS_OK) {
        struct buffer form = {0};
        stage_state_write(state, plan, &form);
        struct stage_state *again = stage_state_new(plan, &budget, 0);
        if (stage_state_read(again, bytes_of(form.data, form.size), &err) == STATUS_OK) {
            require(hash_equal(stage_state_digest(state, plan), stage_state_digest(again, plan)),
                    "a state is written as it was read");
        }
        stage_state_free(again);
        buffer_fini(&form);
    }
    stage_state_free(state);
}

static bool seed_state(unsigned number, struct buffer *out)
{
    if (number >= 8) {
        return false;
    }
    const struct stage_plan *plan = &state_plan()->stage;
    static const uint8_t key[HASH_KEY_BYTES] = "fuzz";
    struct state_budget budget = {.limit_bytes = 1 << 20};
    struct stage_state *state = stage_state_new(plan, &budget, 0);
    struct stage_runner *runner = NULL;
    struct error err = {0};
    require(stage_runner_new(plan, key, &runner, &err) == STATUS_OK, "a runner");
    struct batch *batch = stage_runner_batch(runner);
    batch_reset(batch, 0, 0);
    char values[64][80];
    for (unsigned i = 0; i < number * 8; i++) {
        (void)snprintf(values[i], sizeof values[i],
                       "{\"at\":\"2026-01-01T00:%02u:00Z\",\"k\":\"k%u\",\"v\":\"v\"}", i % 60,
                       i % 13);
        struct record *record = batch_append_record(batch);
        record->offset = i;
        record->next_offset = i + 1;
        record->value = bytes_of_string(values[i]);
        record->key = BYTES_NONE;
        record->timestamp_us = INT64_C(1800000000000000);
        record->timestamp_kind = TIMESTAMP_BROKER;
    }
    if (number > 0) {
        require(stage_run(runner, state, batch, STAGE_FULL, &err) == STATUS_OK, "a run");
    }
    stage_state_write(state, plan, out);
    batch_free(batch);
    stage_runner_free(runner);
    stage_state_free(state);
    return true;
}

const struct fuzz_target fuzz_targets[] = {
    {"json", run_json, NULL},
    {"csv", run_csv, NULL},
    {"record_batch", run_record_batch, seed_record_batch},
    {"yaml", run_yaml, NULL},
    {"schema", run_schema, NULL},
    {"pipeline", run_pipeline_file, NULL},
    {"progress", run_progress, seed_progress},
    {"segment", run_segment, seed_segment},
    {"state", run_state, seed_state},
    {NULL, NULL, NULL},
};

const struct fuzz_target *fuzz_find(const char *name)
{
    for (const struct fuzz_target *target = fuzz_targets; target->name != NULL; target++) {
        if (strcmp(target->name, name) == 0) {
            return target;
        }
    }
    return NULL;
}
