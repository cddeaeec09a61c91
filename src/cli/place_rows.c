#include <stdio.h>

#include "batch/batch.h"
#include "cli/place.h"
#include "connector/source.h"

static enum status each_of_partition(struct source *source, uint32_t partition,
                                     place_row_visitor *visit, void *context, bool *out_done,
                                     struct error *err)
{
    static const struct layout no_columns = {0};
    char label[16];
    int64_t end_offset = 0;
    uint32_t count = 0;
    (void)snprintf(label, sizeof label, "%u", partition);
    const int64_t first_offset = source->ops->partitions(source, &count)[partition].first_offset;
    enum status status = source->ops->end_offset(source, partition, &end_offset, err);
    if (status == STATUS_OK) {
        status = source->ops->seek(source, partition, first_offset, err);
    }
    if (status != STATUS_OK) {
        return status;
    }
    struct batch *batch = batch_new(&no_columns);
    do {
        batch_reset(batch, partition, 0);
        status = source->ops->read(source, partition, batch, end_offset, err);
        for (uint32_t row = 0; row < batch->row_count && status == STATUS_OK && !*out_done;
             row++) {
            const struct record *record = &batch->records[row];
            struct place_row one = {.key = record->key,
                                    .value = record->value,
                                    .part = label,
                                    .position = record->offset};
            status = visit(context, &one, out_done, err);
        }
    } while (status == STATUS_OK && batch->row_count > 0 && !*out_done);
    batch_free(batch);
    return status;
}

static enum status each_of_topic(const struct place *place, place_row_visitor *visit,
                                 void *context, struct error *err)
{
    struct source *source = NULL;
    uint32_t count = 0;
    bool done = false;
    enum status status = place_open_source(place, &source, err);
    if (status != STATUS_OK) {
        return status;
    }
    (void)source->ops->partitions(source, &count);
    for (uint32_t p = 0; status == STATUS_OK && p < count && !done; p++) {
        status = each_of_partition(source, p, visit, context, &done, err);
    }
    source->ops->close(source);
    return status;
}

enum status place_each_row(const struct place *place, place_row_visitor *visit, void *context,
                           struct error *err)
{
    if (place->kind == PLACE_TOPIC || place->kind == PLACE_REMOTE) {
        return each_of_topic(place, visit, context, err);
    }
    const struct rows_ops *ops = rows_find(place->kind == PLACE_TABLE ? "sqlite" : "file");
    return ops->each(place->path, place->name, visit, context, err);
}
