#include "run/forwarding.h"

#include "connector/source.h"

#define CHUNK_BYTES (64u * 1024u)

struct forwarding {
    struct system *system;
    const struct progress *progresses;
    uint32_t partition_count;
    struct refused_list *loaded; /* [partition]: how far, per sink; counts mean nothing */
    /* the chunk */
    struct arena *arena;
    struct kept_reject *items;
    uint32_t count, capacity;
    uint32_t partition;
    const char *sink;
};

/* Where the last plan of R begins: what was refused before was forwarded before. */
static int64_t plan_offset(const struct progress *progress)
{
    return progress->plan_count == 0 ? 0 : progress->plans[progress->plan_count - 1].offset;
}

/* The same of the plan that runs, which may be about to begin. */
static int64_t begin_offset(const struct progress *progress, struct hash128 plan_hash)
{
    bool has_begun = progress->plan_count > 0 &&
                     hash_equal(progress->plans[progress->plan_count - 1].plan_hash, plan_hash);
    return has_begun ? plan_offset(progress) : progress->next_offset;
}

static int64_t reached(const struct refused_list *list, const char *sink)
{
    const struct refused *refused = refused_find(list, sink);
    return refused == NULL ? 0 : refused->next_offset;
}

static void skip_older_plans(struct refused_list *loaded, const struct progress *progress,
                             struct hash128 plan_hash)
{
    int64_t begin = begin_offset(progress, plan_hash);
    for (uint32_t i = 0; i < progress->due.count; i++) {
        const char *sink = progress->due.items[i].sink;
        if (reached(loaded, sink) < begin) {
            refused_add(loaded, sink, begin - 1, (struct hash128){0, 0});
        }
    }
}

struct forwarding *forwarding_new(struct system *system, const struct progress *progresses,
                                  const struct progress *taken, uint32_t partition_count,
                                  struct hash128 plan_hash)
{
    struct forwarding *forwarding = memory_alloc_zero(1, sizeof *forwarding);
    forwarding->system = system;
    forwarding->progresses = progresses;
    forwarding->partition_count = partition_count;
    forwarding->arena = arena_new(CHUNK_BYTES);
    forwarding->loaded = memory_alloc_zero(partition_count + 1, sizeof *forwarding->loaded);
    for (uint32_t p = 0; p < partition_count; p++) {
        refused_copy(&forwarding->loaded[p], &taken[p].forwarded);
        skip_older_plans(&forwarding->loaded[p], &progresses[p], plan_hash);
    }
    return forwarding;
}

void forwarding_free(struct forwarding *forwarding)
{
    if (forwarding == NULL) {
        return;
    }
    for (uint32_t p = 0; p < forwarding->partition_count; p++) {
        refused_fini(&forwarding->loaded[p]);
    }
    memory_free(forwarding->loaded);
    memory_free(forwarding->items);
    arena_free(forwarding->arena);
    memory_free(forwarding);
}

/* The first sink and partition that something is due of; NULL when there is none. */
static const struct refused *find_due(const struct forwarding *forwarding, uint32_t *out_partition)
{
    for (uint32_t p = 0; p < forwarding->partition_count; p++) {
        const struct refused_list *due = &forwarding->progresses[p].due;
        for (uint32_t i = 0; i < due->count; i++) {
            if (due->items[i].next_offset > reached(&forwarding->loaded[p], due->items[i].sink)) {
                *out_partition = p;
                return &due->items[i];
            }
        }
    }
    return NULL;
}

bool forwarding_wants(const struct forwarding *forwarding)
{
    uint32_t p = 0;
    return find_due(forwarding, &p) != NULL;
}

static struct bytes copied(struct arena *arena, struct bytes bytes)
{
    return bytes_is_none(bytes) ? bytes
                                : bytes_of(arena_copy(arena, bytes.data, bytes.size), bytes.size);
}

static void keep(void *context, const struct kept_reject *reject)
{
    struct forwarding *forwarding = context;
    struct arena *arena = forwarding->arena;
    if (forwarding->count == forwarding->capacity) {
        forwarding->capacity = forwarding->capacity * 2 + 16;
        forwarding->items = memory_realloc(
            forwarding->items, size_mul(forwarding->capacity, sizeof *forwarding->items));
    }
    struct kept_reject *kept = &forwarding->items[forwarding->count++];
    *kept = *reject;
    struct record *record = &kept->record;
    struct record_header *headers =
        arena_alloc_zero(arena, record->header_count + 1, sizeof *headers);
    for (uint32_t i = 0; i < record->header_count; i++) {
        headers[i] = (struct record_header){
            .name = copied(arena, record->headers[i].name),
            .value = copied(arena, record->headers[i].value),
        };
    }
    record->headers = headers;
    record->key = copied(arena, record->key);
    record->value = copied(arena, record->value);
    kept->code = arena_copy_string(arena, reject->code);
    kept->message = arena_copy_string(arena, reject->message);
    kept->plan_hash = arena_copy_string(arena, reject->plan_hash);
}

static void empty(struct forwarding *forwarding)
{
    forwarding->count = 0;
    arena_reset(forwarding->arena, CHUNK_BYTES);
}

enum status forwarding_load(struct forwarding *forwarding, struct error *err)
{
    uint32_t p = 0;
    const struct refused *due = find_due(forwarding, &p);
    check(due != NULL && forwarding->count == 0);
    const struct progress *progress = &forwarding->progresses[p];
    struct source_partition partition = {.topic = progress->topic, .label = progress->partition};
    struct refused_list *loaded = &forwarding->loaded[p];
    struct system *system = forwarding->system;
    enum status status = system->ops->load_rejects(system, &partition, due->sink,
                                                   reached(loaded, due->sink), due->next_offset,
                                                   keep, forwarding, err);
    if (status == STATUS_OK && forwarding->count == 0) {
        status = error_set(err, STATUS_FATAL, "progress.rejects_gone",
                           "%s counts %llu rows of '%s' [%s] that sink '%s' refused, and the last "
                           "of them are gone from weir_rejects before their dead letters were "
                           "written: restore it from a backup",
                           system->name, (unsigned long long)due->count, progress->topic,
                           progress->partition, due->sink);
    }
    if (status != STATUS_OK) {
        empty(forwarding);
        return status;
    }
    forwarding->partition = p;
    forwarding->sink = arena_copy_string(forwarding->arena, due->sink);
    refused_add(loaded, due->sink, forwarding->items[forwarding->count - 1].record.offset,
                (struct hash128){0, 0});
    return STATUS_OK;
}

void forwarding_take(struct forwarding *forwarding,
                     void (*reject)(void *context, uint32_t partition, const char *sink,
                                    const struct kept_reject *reject),
                     void *context)
{
    for (uint32_t i = 0; i < forwarding->count; i++) {
        reject(context, forwarding->partition, forwarding->sink, &forwarding->items[i]);
    }
    empty(forwarding);
}

bool forwarding_is_done(const struct progress *progress, const struct progress *taken)
{
    for (uint32_t i = 0; i < progress->due.count; i++) {
        const struct refused *due = &progress->due.items[i];
        if (due->next_offset > reached(&taken->forwarded, due->sink) &&
            due->next_offset > plan_offset(progress)) {
            return false;
        }
    }
    return true;
}
