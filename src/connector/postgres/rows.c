/* Rows of a table, read without a pipeline: as the server makes JSON of them. */
#include "connector/postgres/table.h"

static enum status visit_rows(struct postgres_system *s, place_row_visitor *visit, void *context,
                              struct error *err)
{
    struct place_row row = {.key = BYTES_NONE, .part = ""};
    enum status status = STATUS_OK;
    bool done = false;
    PGresult *result = NULL;
    while ((result = PQgetResult(s->connection)) != NULL) {
        ExecStatusType code = PQresultStatus(result);
        if (status == STATUS_OK && code == PGRES_SINGLE_TUPLE && !done) {
            row.value = postgres_bytes(result, 0, 0);
            row.position++;
            status = visit(context, &row, &done, err);
        } else if (status == STATUS_OK && code != PGRES_SINGLE_TUPLE && code != PGRES_TUPLES_OK) {
            status = postgres_error(s, result, "read a table of", err);
        }
        PQclear(result);
        if (done || status != STATUS_OK) {
            break; /* the rows that are left go with the connection */
        }
    }
    return status;
}

static enum status check_table(struct postgres_system *s, const char *name, const char *quoted,
                               struct error *err)
{
    struct parameters parameters = {0};
    parameters_text(&parameters, quoted);
    PGresult *result = NULL;
    enum status status = postgres_ask(s, "SELECT to_regclass($1) IS NOT NULL", &parameters, false,
                                      "look for a table of", &result, err);
    if (status == STATUS_OK && PQgetvalue(result, 0, 0)[0] != 't') {
        status = error_set(err, STATUS_CONFIG, "table.missing",
                           "%s has no table %s; a pipeline makes it when it first runs",
                           s->db.place, name);
    }
    PQclear(result);
    return status;
}

static enum status read_table(struct database *d, const char *name, place_row_visitor *visit,
                              void *context, struct error *err)
{
    struct postgres_system *s = postgres_system(&d->system);
    struct arena *arena = arena_new(1024);
    const char *quoted = database_quote_table(arena, postgres_dialect.quote, name);
    const char *sql = arena_printf(arena, "SELECT row_to_json(t) FROM %s AS t", quoted);
    enum status status = check_table(s, name, quoted, err);
    if (status == STATUS_OK) {
        status = PQsendQuery(s->connection, sql) == 1 && PQsetSingleRowMode(s->connection) == 1
                     ? visit_rows(s, visit, context, err)
                     : postgres_error(s, NULL, "read a table of", err);
    }
    arena_free(arena);
    return status;
}

enum status postgres_each_row(const struct doc *config, const char *folder,
                              place_row_visitor *visit, void *context, struct error *err)
{
    return database_each_row(&postgres_sink_kind, config, folder, read_table, visit, context, err);
}
