/* The life of a session: the system with its configuration, connecting, first start, taking over. */
#include "connector/database/table.h"

void database_init(struct database *d, const char *place, const struct database_ops *ops,
                   const struct system_ops *system_ops)
{
    d->place = memory_copy_string(place);
    d->name = memory_copy_string(place);
    d->ops = ops;
    d->system.ops = system_ops;
    d->system.name = d->name;
}

enum status database_configure(struct system *system, const struct doc *config, const char *folder,
                               struct error *err)
{
    struct database *d = database_of(system);
    (void)err;
    d->config = config;
    d->folder = memory_copy_string(folder);
    return STATUS_OK;
}

const char *database_place(const struct system *system)
{
    return database_of(system)->place;
}

void database_close_session(struct system *system)
{
    struct database *d = database_of(system);
    d->ops->disconnect(d);
    for (uint32_t i = 0; i < system->sink_count; i++) {
        database_table(system->sinks[i])->is_prepared = false;
    }
    memory_free(d->pipeline);
    d->pipeline = NULL;
    d->is_in_doubt = false;
    d->owner = 0;
}

static enum status open_as(struct system *system, const char *pipeline, bool is_reader,
                           struct error *err)
{
    struct database *d = database_of(system);
    d->pipeline = memory_copy_string(pipeline);
    d->is_reader = is_reader;
    enum status status = d->ops->connect(d, err);
    if (status == STATUS_OK) {
        status = is_reader ? database_check_tables(d, err) : database_make_tables(d, err);
    }
    if (status != STATUS_OK) {
        database_close_session(system);
    }
    return status;
}

enum status database_open_session(struct system *system, const char *pipeline, struct error *err)
{
    return open_as(system, pipeline, false, err);
}

enum status database_open_reader(struct system *system, const char *pipeline, struct error *err)
{
    return open_as(system, pipeline, true, err);
}

static enum status prepare_sinks(struct system *system, struct error *err)
{
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < system->sink_count && status == STATUS_OK; i++) {
        status = database_of(system)->ops->prepare_sink(system->sinks[i], err);
    }
    return status;
}

enum status database_start(struct system *system, const struct progress *progresses,
                           uint32_t count, const struct bytes *plan_texts, uint32_t plan_count,
                           struct error *err)
{
    struct database *d = database_of(system);
    enum status status = prepare_sinks(system, err);
    if (status == STATUS_OK && count > 0) {
        status = d->ops->name_session(d, progresses[0].owner, err);
    }
    return status == STATUS_OK
               ? database_begin(system, progresses, count, plan_texts, plan_count, err)
               : status;
}

enum status database_enter(struct system *system, const struct progress *progresses,
                           uint32_t count, uint64_t owner, struct error *err)
{
    struct database *d = database_of(system);
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < count && status == STATUS_OK; i++) {
        if (i == 0 || progresses[i].owner != progresses[i - 1].owner) {
            status = d->ops->end_sessions(d, progresses[i].owner, err);
        }
    }
    if (status == STATUS_OK) {
        status = prepare_sinks(system, err);
    }
    return status == STATUS_OK ? d->ops->name_session(d, owner, err) : status;
}

void database_close(struct system *system)
{
    struct database *d = database_of(system);
    for (uint32_t i = 0; i < system->sink_count; i++) {
        if (d->ops->fini_sink != NULL) {
            d->ops->fini_sink(system->sinks[i]);
        }
        database_table_free(database_table(system->sinks[i]));
    }
    memory_free(system->sinks);
    memory_free(d->folder);
    memory_free(d->place);
    memory_free(d->name);
    memory_free(d);
}

enum status database_each_row(const struct sink_kind *kind, const struct doc *config,
                              const char *folder,
                              enum status (*read)(struct database *d, const char *name,
                                                  place_row_visitor *visit, void *context,
                                                  struct error *err),
                              place_row_visitor *visit, void *context, struct error *err)
{
    struct arena *arena = arena_new(1024);
    char *place = NULL;
    struct system *system = NULL;
    enum status status = kind->system_place(arena, config, folder, &place, err);
    if (status == STATUS_OK) {
        system = kind->system_new(place);
        status = kind->system_connect(system, config, folder, err);
    }
    if (status == STATUS_OK) {
        struct database *d = database_of(system);
        d->is_reader = true;
        status = d->ops->connect(d, err);
        if (status == STATUS_OK) {
            status = read(d, grammar_string(config, "table", ""), visit, context, err);
        }
        d->ops->disconnect(d);
    }
    if (system != NULL) {
        system->ops->close(system);
    }
    arena_free(arena);
    return status;
}
