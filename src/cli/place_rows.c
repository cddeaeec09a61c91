#include <stdio.h>

#include "batch/batch.h"
#include "cli/place.h"
#include "connector/registry.h"
#include "connector/source.h"

struct topic_reading {
    struct source *source;
    struct batch *batch;
    place_record_visitor *visit;
    void *context;
    bool is_done;
};

static enum status read_partition(struct topic_reading *t, uint32_t partition, int64_t first_offset,
                                  int64_t end_offset, struct error *err)
{
    const struct source_ops *ops = t->source->ops;
    struct batch *batch = t->batch;
    enum status status = ops->seek(t->source, partition, first_offset, err);
    if (status != STATUS_OK) {
        return status;
    }
    do {
        batch_reset(batch, partition, 0);
        status = ops->read(t->source, partition, batch, end_offset, err);
        for (uint32_t row = 0; row < batch->row_count && status == STATUS_OK && !t->is_done;
             row++) {
            status = t->visit(t->context, &batch->records[row], partition, batch->arena,
                              &t->is_done, err);
        }
    } while (status == STATUS_OK && batch->row_count > 0 && !t->is_done);
    return status;
}

static enum status read_partitions(struct topic_reading *t, struct error *err)
{
    uint32_t count = 0;
    const struct source_partition *partitions = t->source->ops->partitions(t->source, &count);
    int64_t *ends = memory_alloc_zero(count, sizeof *ends);
    enum status status = STATUS_OK;
    for (uint32_t p = 0; p < count && status == STATUS_OK; p++) {
        status = t->source->ops->end_offset(t->source, p, &ends[p], err);
    }
    for (uint32_t p = 0; p < count && status == STATUS_OK && !t->is_done; p++) {
        status = read_partition(t, p, partitions[p].first_offset, ends[p], err);
    }
    memory_free(ends);
    return status;
}

enum status place_each_record(const struct place *place, place_record_visitor *visit, void *context,
                              struct error *err)
{
    static const struct layout no_columns = {0};
    struct topic_reading t = {.visit = visit, .context = context};
    enum status status = place_open_source(place, &t.source, err);
    if (status != STATUS_OK) {
        return status;
    }
    t.batch = batch_new(&no_columns);
    status = read_partitions(&t, err);
    batch_free(t.batch);
    t.source->ops->close(t.source);
    return status;
}

struct row_reading {
    place_row_visitor *visit;
    void *context;
};

static enum status visit_record(void *context, const struct record *record, uint32_t partition,
                                struct arena *memory, bool *out_done, struct error *err)
{
    (void)memory;
    struct row_reading *rows = context;
    char label[16];
    (void)snprintf(label, sizeof label, "%u", partition);
    struct place_row one = {.key = record->key,
                            .value = record->value,
                            .part = label,
                            .position = record->offset};
    return rows->visit(rows->context, &one, out_done, err);
}

enum status place_each_row(const struct place *place, place_row_visitor *visit, void *context,
                           struct error *err)
{
    if (place->kind == PLACE_TOPIC || place->kind == PLACE_REMOTE) {
        struct row_reading rows = {.visit = visit, .context = context};
        return place_each_record(place, visit_record, &rows, err);
    }
    if (place->kind == PLACE_TABLE && place->connector != NULL) {
        return registry_sink(place->connector)->each_row(place->config, place->folder, visit,
                                                         context, err);
    }
    const struct rows_ops *ops = rows_find(place->kind == PLACE_TABLE ? "sqlite" : "file");
    return ops->each(place->path, place->name, visit, context, err);
}
