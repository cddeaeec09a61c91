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

static enum status read_table(struct postgres_system *s, const char *quoted,
                              place_row_visitor *visit, void *context, struct error *err)
{
    struct buffer sql = {0};
    buffer_printf(&sql, "SELECT row_to_json(t) FROM %s AS t", quoted);
    enum status status = STATUS_OK;
    if (PQsendQuery(s->connection, buffer_string(&sql)) != 1 ||
        PQsetSingleRowMode(s->connection) != 1) {
        status = postgres_error(s, NULL, "read a table of", err);
    } else {
        status = visit_rows(s, visit, context, err);
    }
    buffer_fini(&sql);
    return status;
}

enum status postgres_each_row(const struct doc *config, const char *folder,
                              place_row_visitor *visit, void *context, struct error *err)
{
    struct arena *arena = arena_new(1024);
    const char *name = grammar_string(config, "table", "");
    const char *quoted = database_quote_table(arena, postgres_dialect.quote, name);
    char *place = NULL;
    struct system *system = NULL;
    enum status status = postgres_sink_kind.system_place(arena, config, folder, &place, err);
    if (status == STATUS_OK) {
        system = postgres_sink_kind.system_new(place);
        status = postgres_sink_kind.system_connect(system, config, folder, err);
    }
    if (status == STATUS_OK) {
        struct postgres_system *s = postgres_system(system);
        s->db.is_reader = true;
        status = postgres_connect(&s->db, err);
        if (status == STATUS_OK) {
            status = check_table(s, name, quoted, err);
        }
        if (status == STATUS_OK) {
            status = read_table(s, quoted, visit, context, err);
        }
        PQfinish(s->connection);
        s->connection = NULL;
    }
    if (system != NULL) {
        system->ops->close(system);
    }
    arena_free(arena);
    return status;
}
