#include "connector/database/table.h"

#include <string.h>

static struct database *database_of_table(const struct database_table *t)
{
    return database_of(t->base.sink.system);
}

/* Which columns' texts get the form in which they are stored before they are hashed. */
static void note_canonical(struct database_table *t)
{
    struct table_base *base = &t->base;
    base->make_canonical = t->dialect->make_canonical;
    base->is_canonical =
        arena_alloc_zero(base->arena, base->column_count + 1, sizeof *base->is_canonical);
    for (uint32_t i = 0; i < base->column_count; i++) {
        base->is_canonical[i] = t->columns[i].is_canonical;
    }
}

static void join(struct system *system, struct sink *sink)
{
    sink->system = system;
    sink->index = system->sink_count;
    system->sinks =
        memory_realloc(system->sinks, (system->sink_count + 1) * sizeof(struct sink *));
    system->sinks[system->sink_count++] = sink;
}

enum status database_table_new(size_t size, const struct database_dialect *dialect,
                               const struct sink_ops *ops, struct system *system,
                               const char *name, bool is_dlq, const struct doc *config,
                               const struct output_shape *shape, struct database_table **out,
                               struct error *err)
{
    enum status status = database_check_table(dialect, config, system, is_dlq, shape, err);
    if (status != STATUS_OK) {
        return status;
    }
    struct database_table *t = memory_alloc_zero(1, size);
    status = table_base_init(&t->base, name, is_dlq, config, shape, err);
    if (status == STATUS_OK) {
        status = database_take_columns(dialect, &t->base, config, &t->columns, err);
    }
    if (status != STATUS_OK) {
        database_table_free(t);
        return status;
    }
    const char *table = grammar_string(config, "table", "");
    t->dialect = dialect;
    t->base.sink.ops = ops;
    t->base.address = arena_copy_string(t->base.arena, table);
    t->quoted = database_quote_table(t->base.arena, dialect->quote, table);
    t->may_create = strcmp(grammar_string(config, "create", "if_missing"), "never") != 0;
    t->may_add_columns = strcmp(grammar_string(config, "evolve", "refuse"), "refuse") != 0;
    note_canonical(t);
    join(system, &t->base.sink);
    *out = t;
    return STATUS_OK;
}

void database_table_free(struct database_table *t)
{
    table_base_fini(&t->base);
    memory_free(t);
}

/* --- what is there --- */

enum status database_table_is_there(struct sink *sink, bool *out_there, struct error *err)
{
    return database_of(sink->system)->ops->find_table(sink, out_there, err);
}

enum status database_table_is_empty(struct sink *sink, bool *out_empty, struct error *err)
{
    struct database *d = database_of(sink->system);
    bool exists = false;
    *out_empty = true;
    enum status status = d->ops->find_table(sink, &exists, err);
    if (status != STATUS_OK || !exists) {
        return status;
    }
    struct buffer sql = {0};
    buffer_printf(&sql, "SELECT 1 FROM %s LIMIT 1", database_table(sink)->quoted);
    struct database_answer *answer = NULL;
    status = d->ops->ask(d, buffer_string(&sql), NULL, "look into a table of", &answer, err);
    if (status == STATUS_OK) {
        *out_empty = d->ops->row_count(answer) == 0;
        d->ops->free(answer);
    }
    buffer_fini(&sql);
    return status;
}

/* --- making and changing --- */

enum status database_table_change(struct database_table *t, struct buffer *sql,
                                  struct error *err)
{
    struct database *d = database_of_table(t);
    struct error detail = {0};
    enum status status =
        d->ops->run(d, buffer_string(sql), "make the table of a sink in", &detail);
    if (status == STATUS_FATAL) {
        return error_set(err, STATUS_CONFIG, "sink.not_writable", "sink '%s': %s",
                         t->base.sink.name, detail.message);
    }
    return status == STATUS_OK ? STATUS_OK
                               : error_set(err, status, detail.code, "%s", detail.message);
}

static enum status create(struct database_table *t, struct error *err)
{
    const struct table_keys *keys = &t->base.keys;
    struct buffer sql = {0};
    buffer_printf(&sql, "%sCREATE TABLE IF NOT EXISTS %s (", t->dialect->one_by_one, t->quoted);
    for (uint32_t i = 0; i < t->base.column_count; i++) {
        buffer_printf(&sql, "%s%s %s%s", i == 0 ? "" : ", ", t->columns[i].quoted,
                      t->columns[i].declared,
                      t->columns[i].required ? " NOT NULL" : t->dialect->null);
    }
    if (!t->base.sink.is_dlq) {
        buffer_append_string(&sql, t->dialect->origin_columns);
    }
    for (uint32_t i = 0; i < keys->count; i++) {
        buffer_printf(&sql, "%s%s%s", i == 0 ? ", PRIMARY KEY (" : ", ",
                      t->columns[keys->columns[i]].quoted, i + 1 == keys->count ? ")" : "");
    }
    buffer_printf(&sql, ")%s", t->dialect->table_options);
    enum status status = database_table_change(t, &sql, err);
    buffer_fini(&sql);
    return status;
}

enum status database_table_make(struct database_table *t, struct error *err)
{
    return t->may_create
               ? create(t, err)
               : error_set(err, STATUS_CONFIG, "sink.missing_table",
                           "there is no table %s for sink '%s', and 'create: never' is set; make "
                           "it, or set 'create: if_missing'",
                           t->quoted, t->base.sink.name);
}

enum status database_table_add_column(struct database_table *t,
                                      const struct database_column *column, bool is_reader,
                                      struct error *err)
{
    if (!t->may_add_columns || is_reader) {
        return error_set(err, STATUS_CONFIG, "sink.missing_column",
                         "table %s has no column %s, which sink '%s' writes; add it: ALTER TABLE %s "
                         "ADD COLUMN %s %s%s; or set 'evolve: add_columns', or drop the field in "
                         "transform.drop",
                         t->quoted, column->quoted, t->base.sink.name, t->quoted, column->quoted,
                         column->declared, t->dialect->null);
    }
    struct buffer sql = {0};
    buffer_printf(&sql, "%sALTER TABLE %s %s %s %s%s", t->dialect->one_by_one, t->quoted,
                  t->dialect->add_column, column->quoted, column->declared, t->dialect->null);
    enum status status = database_table_change(t, &sql, err);
    buffer_fini(&sql);
    return status;
}
