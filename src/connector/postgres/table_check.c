/* What a table must be before anything is written to it: what would be lost, hidden or refused row by row
 * is told at the start, with what mends it. */
#include <string.h>

#include "codec/json.h"
#include "connector/postgres/table.h"

static enum status ask(const struct postgres_table *t, const char *sql,
                       const struct parameters *parameters, PGresult **out, struct error *err)
{
    return postgres_ask(postgres_system(t->table.base.sink.system), sql, parameters, false,
                        "look at a table of", out, err);
}

/* --- what kind of table --- */

struct refusal {
    const char *kind;
    const char *code;
    const char *why;  /* behind "table T, which sink 'S' writes to, " */
    const char *mend; /* may name the table */
};

static const struct refusal refusals[] = {
    {"unlogged", "sink.unlogged",
     "is unlogged: a crash of the server would empty it, while the progress stays",
     "ALTER TABLE %s SET LOGGED"},
    {"temporary", "sink.temporary",
     "is temporary: it ends with the session, while the progress stays", "name another table"},
    {"foreign", "sink.foreign_table",
     "is a foreign table: another server commits its rows by itself, so a crash in between would lose "
     "or double them",
     "write to that server, as a sink of its own"},
    {"view", "sink.view", "is a view, which no COPY can write to",
     "name the table behind it, or give it a trigger INSTEAD OF INSERT"},
    {"secured", "sink.row_security",
     "has row level security for this user: COPY cannot write to it, and rows that a policy hides are "
     "neither deleted nor audited",
     "ALTER ROLE … BYPASSRLS for the user of the connection, or ALTER TABLE %s DISABLE ROW LEVEL "
     "SECURITY"},
};

static enum status refuse_kind(const struct postgres_table *t, const char *name, const char *kind,
                               struct error *err)
{
    const struct refusal *refusal = refusals;
    while (strcmp(refusal->kind, kind) != 0) {
        refusal++;
    }
    const char *gap = strstr(refusal->mend, "%s");
    size_t before = gap == NULL ? strlen(refusal->mend) : (size_t)(gap - refusal->mend);
    return error_set(err, STATUS_CONFIG, refusal->code,
                     "table %s, which sink '%s' writes to, %s; mend it: %.*s%s%s", name,
                     t->table.base.sink.name, refusal->why, (int)before, refusal->mend,
                     gap == NULL ? "" : name, gap == NULL ? "" : gap + 2);
}

/* Of all partitions, and not of what only inherits: that is never written to. */
static enum status check_kind(const struct postgres_table *t, struct error *err)
{
    struct parameters parameters = {0};
    parameters_text(&parameters, t->table.quoted);
    parameters_integer(&parameters, t->table.base.keys.is_upsert);
    PGresult *result = NULL;
    enum status status = ask(
        t,
        "WITH RECURSIVE parts AS (SELECT to_regclass($1)::oid AS oid UNION ALL SELECT c.oid"
        " FROM parts JOIN pg_inherits ON inhparent = parts.oid JOIN pg_class c ON c.oid = inhrelid"
        " WHERE c.relispartition), kinds AS (SELECT c.oid::regclass AS name, CASE"
        " WHEN c.relkind = 'f' THEN 'foreign'"
        " WHEN c.relkind = 'r' AND c.relpersistence = 'u' THEN 'unlogged'"
        " WHEN c.relkind = 'r' AND c.relpersistence = 't' THEN 'temporary'"
        " WHEN c.relkind IN ('v', 'm') AND $2::int = 0 AND NOT EXISTS (SELECT FROM pg_trigger"
        " WHERE tgrelid = c.oid AND tgtype & 68 = 68) THEN 'view'"
        " WHEN c.relkind IN ('r', 'p') AND row_security_active(c.oid) THEN 'secured' END AS kind"
        " FROM parts JOIN pg_class c USING (oid)) SELECT name, kind FROM kinds"
        " WHERE kind IS NOT NULL LIMIT 1",
        &parameters, &result, err);
    if (status == STATUS_OK && PQntuples(result) > 0) {
        status = refuse_kind(t, PQgetvalue(result, 0, 0), PQgetvalue(result, 0, 1), err);
    }
    PQclear(result);
    return status;
}

/* --- columns --- */

static bool is_written(const struct postgres_table *t, const char *name)
{
    for (uint32_t i = 0; i < t->table.base.column_count; i++) {
        if (strcmp(t->table.base.names[i], name) == 0) {
            return true;
        }
    }
    return !t->table.base.sink.is_dlq &&
           (strcmp(name, "_weir_topic") == 0 || strcmp(name, "_weir_partition") == 0 ||
            strcmp(name, "_weir_offset") == 0);
}

static enum status refuse_column(const struct postgres_table *t, const char *name,
                                 bool is_generated, struct error *err)
{
    const char *quoted = database_quote(t->table.base.arena, t->table.dialect->quote, name);
    const char *table = t->table.quoted;
    const char *sink = t->table.base.sink.name;
    return is_generated
               ? error_set(err, STATUS_CONFIG, "sink.generated_column",
                           "column %s of table %s is generated, and sink '%s' writes it; mend it: "
                           "ALTER TABLE %s ALTER COLUMN %s DROP EXPRESSION, or leave the field out "
                           "with transform.drop",
                           quoted, table, sink, table, quoted)
               : error_set(err, STATUS_CONFIG, "sink.no_default",
                           "column %s of table %s may not be null and has no default, and sink '%s' "
                           "does not write it, so the table would refuse every row; mend it: ALTER "
                           "TABLE %s ALTER COLUMN %s SET DEFAULT …, or DROP NOT NULL",
                           quoted, table, sink, table, quoted);
}

/* A trigger may give a column what it must have. */
static enum status check_columns(const struct postgres_table *t, struct error *err)
{
    struct parameters parameters = {0};
    parameters_text(&parameters, t->table.quoted);
    PGresult *result = NULL;
    enum status status =
        ask(t,
            "SELECT attname, coalesce(to_jsonb(a)->>'attgenerated', '') <> '' AS generated,"
            " attnotnull AND NOT atthasdef AND coalesce(to_jsonb(a)->>'attidentity', '') = '' AND"
            " y.typdefault IS NULL AND NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid ="
            " attrelid AND NOT tgisinternal AND tgtype & 7 = 7) FROM pg_attribute AS a"
            " JOIN pg_type AS y ON y.oid = atttypid JOIN pg_class AS c ON c.oid = attrelid"
            " WHERE attrelid = to_regclass($1) AND relkind IN ('r', 'p') AND attnum > 0"
            " AND NOT attisdropped",
            &parameters, &result, err);
    for (int i = 0; status == STATUS_OK && i < PQntuples(result); i++) {
        const char *name = PQgetvalue(result, i, 0);
        bool is_generated = PQgetvalue(result, i, 1)[0] == 't';
        bool lacks_default = PQgetvalue(result, i, 2)[0] == 't';
        if (is_written(t, name) ? is_generated : lacks_default) {
            status = refuse_column(t, name, is_generated, err);
        }
    }
    PQclear(result);
    return status;
}

/* --- the key --- */

/* ON CONFLICT takes no index whose uniqueness is asked for later; it says so at the first row only. */
static enum status check_key(const struct postgres_table *t, struct error *err)
{
    const struct table_keys *keys = &t->table.base.keys;
    struct buffer names = {0};
    struct parameters parameters = {0};
    parameters_text(&parameters, t->table.quoted);
    for (uint32_t i = 0; i < keys->count; i++) {
        buffer_append_byte(&names, i == 0 ? '[' : ',');
        json_write_string(&names, bytes_of_string(t->table.base.names[keys->columns[i]]));
    }
    buffer_append_byte(&names, ']');
    parameters_text(&parameters, buffer_string(&names));
    PGresult *result = NULL;
    enum status status =
        ask(t,
            "SELECT i.indexrelid::regclass, quote_ident(o.conname) FROM pg_index AS i"
            " LEFT JOIN pg_constraint AS o ON o.conindid = i.indexrelid"
            " WHERE i.indrelid = to_regclass($1) AND i.indisunique AND NOT i.indimmediate AND"
            " (SELECT jsonb_agg(attname ORDER BY attname) FROM pg_attribute WHERE attrelid ="
            " i.indexrelid) = (SELECT jsonb_agg(name ORDER BY name::name) FROM"
            " jsonb_array_elements_text($2::jsonb) AS k (name)) LIMIT 1",
            &parameters, &result, err);
    if (status == STATUS_OK && PQntuples(result) > 0) {
        status = error_set(err, STATUS_CONFIG, "sink.deferrable_key",
                           "the key of table %s, which sink '%s' upserts into, is deferrable (%s), "
                           "and ON CONFLICT takes only one that is not; mend it: ALTER TABLE %s "
                           "DROP CONSTRAINT %s, and ADD PRIMARY KEY without DEFERRABLE",
                           t->table.quoted, t->table.base.sink.name, PQgetvalue(result, 0, 0),
                           t->table.quoted, PQgetvalue(result, 0, 1));
    }
    PQclear(result);
    buffer_fini(&names);
    return status;
}

enum status postgres_table_check(const struct postgres_table *t, bool is_reader, struct error *err)
{
    enum status status = check_kind(t, err);
    if (status == STATUS_OK && !is_reader) {
        status = check_columns(t, err);
    }
    return status == STATUS_OK && !is_reader && t->table.base.keys.is_upsert ? check_key(t, err)
                                                                             : status;
}
