#include <sqlite3.h>
#include <string.h>

#include "sql/sql_collation.h"
#include "sql/sql_functions.h"
#include "sql/sql_names.h"
#include "sql/sql_program.h"
#include "sql/sql_refusal.h"
#include "sql/sql_tokens.h"
#include "sql/sql_types.h"

/* No value may be longer than this while an expression is evaluated: zeroblob(1e9) and the like
 * fail in their row. */
#define VALUE_BYTES_MAX (16 * 1024 * 1024)
/* The work of LIKE and GLOB grows with the sizes of pattern and text multiplied. */
#define PATTERN_BYTES_MAX 1000
#define EXPRESSION_DEPTH_MAX 200

#define SCRATCH_START "CREATE TABLE weir_scratch("
#define SCRATCH_RESULT ", \"\x01result\" GENERATED ALWAYS AS (\n"
#define SCRATCH_END "\n) VIRTUAL)"

/* One expression on its way into the program. */
struct source {
    const struct sql_expression *expression;
    struct sql_tokens tokens;
    const char *sql; /* with SQLite's names for the columns */
    bool is_native;
};

struct compiler {
    struct arena *arena;
    const struct layout *layout;
    const bool *is_time;
    struct source *sources;
    uint32_t source_count;
    bool takes_native; /* simple expressions are evaluated without SQLite */
    struct sql_program *program;
    struct error *err;
};

static enum status refuse_engine(struct compiler *compiler, int code)
{
    sqlite3 *db = compiler->program->db;
    return error_set(compiler->err, STATUS_FATAL, "sql.engine", "SQLite failed: %s",
                     db == NULL ? sqlite3_errstr(code) : sqlite3_errmsg(db));
}

/* --- What SQLite asks while it prepares --- */

static void note_column(struct sql_program *program, const char *table, const char *column)
{
    if (program->now_used == NULL || strcmp(table, SQL_TABLE_NAME) != 0) {
        return;
    }
    for (uint32_t i = 0; i < program->table.column_count; i++) {
        if (strcmp(program->table.columns[i].name, column) == 0) {
            program->now_used[program->table.columns[i].field] = true;
        }
    }
}

static int authorize(void *context, int action, const char *first, const char *second,
                     const char *database, const char *inner)
{
    (void)database;
    (void)inner;
    struct sql_program *program = context;
    if (action == SQLITE_READ && first != NULL && second != NULL) {
        note_column(program, first, second);
    }
    if (action == SQLITE_FUNCTION && sql_functions_find(second) == NULL) {
        if (program->refused == NULL) {
            program->refused = sqlite3_mprintf("%s", second);
        }
        return SQLITE_DENY;
    }
    return SQLITE_OK;
}

static void forget_refused(struct sql_program *program)
{
    sqlite3_free((void *)(uintptr_t)program->refused);
    program->refused = NULL;
}

/* --- Opening --- */

static void set_limits(sqlite3 *db)
{
    (void)sqlite3_limit(db, SQLITE_LIMIT_LENGTH, VALUE_BYTES_MAX);
    (void)sqlite3_limit(db, SQLITE_LIMIT_EXPR_DEPTH, EXPRESSION_DEPTH_MAX);
    (void)sqlite3_limit(db, SQLITE_LIMIT_LIKE_PATTERN_LENGTH, PATTERN_BYTES_MAX);
    (void)sqlite3_limit(db, SQLITE_LIMIT_ATTACHED, 0);
}

static int open_engine(struct sql_program *program)
{
    /* Libraries built with SQLITE_OMIT_AUTOINIT need it; calling it again does nothing. */
    int code = sqlite3_initialize();
    if (code == SQLITE_OK) {
        code =
            sqlite3_open_v2(":memory:", &program->db,
                            SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    }
    if (code == SQLITE_OK) {
        set_limits(program->db);
        /* A text in double quotes is a name, also where the library was built otherwise. */
        code = sqlite3_db_config(program->db, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
    }
    if (code == SQLITE_OK) {
        code = sqlite3_db_config(program->db, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
    }
    if (code == SQLITE_OK) {
        code = sqlite3_exec(program->db, "PRAGMA temp_store=MEMORY", NULL, NULL, NULL);
    }
    if (code == SQLITE_OK) {
        code = sql_collation_register(program->db);
    }
    return code;
}

static enum status start_program(struct compiler *compiler)
{
    struct sql_program *program = compiler->program;
    int code = open_engine(program);
    if (code != SQLITE_OK) {
        return refuse_engine(compiler, code);
    }
    enum status status = sql_calendar_new(program->db, &program->calendar, compiler->err);
    if (status != STATUS_OK) {
        return status;
    }
    code = sqlite3_set_authorizer(program->db, authorize, program);
    return code == SQLITE_OK ? STATUS_OK : refuse_engine(compiler, code);
}

/* --- Names and columns --- */

static enum status cut_sources(struct compiler *compiler)
{
    for (uint32_t i = 0; i < compiler->source_count; i++) {
        struct source *source = &compiler->sources[i];
        enum status status =
            sql_tokens_cut(compiler->arena, source->expression, &source->tokens, compiler->err);
        if (status == STATUS_OK) {
            status = sql_names_resolve(compiler->arena, compiler->layout, source->expression,
                                       &source->tokens, compiler->err);
        }
        if (status != STATUS_OK) {
            return status;
        }
        source->sql = sql_names_rewrite(compiler->arena, compiler->layout, &source->tokens);
    }
    return STATUS_OK;
}

/* The table has the columns that are mentioned: SQLite bounds their number, and a layout may
 * have more. */
static void choose_columns(struct compiler *compiler)
{
    uint32_t field_count = compiler->layout->field_count;
    bool *mentioned = arena_alloc_zero(compiler->arena, size_add(field_count, 1), sizeof(bool));
    for (uint32_t i = 0; i < compiler->source_count; i++) {
        const struct sql_tokens *tokens = &compiler->sources[i].tokens;
        for (uint32_t t = 0; t < tokens->count; t++) {
            if (tokens->items[t].field != FIELD_NONE) {
                mentioned[tokens->items[t].field] = true;
            }
        }
    }
    struct sql_table *table = &compiler->program->table;
    table->columns =
        arena_alloc_zero(compiler->arena, size_add(field_count, 1), sizeof *table->columns);
    for (uint32_t field = 0; field < field_count; field++) {
        if (mentioned[field]) {
            table->columns[table->column_count++] = (struct sql_table_column){
                .field = field,
                .name = sql_names_column(compiler->arena, compiler->layout, field),
                .type = compiler->layout->fields[field].type,
                .is_time = compiler->is_time != NULL && compiler->is_time[field],
            };
        }
    }
}

/* --- Checking --- */

static bool starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

static bool is_prohibition(const char *message)
{
    return strstr(message, "prohibited") != NULL || starts_with(message, "misuse of") ||
           strstr(message, "not authorized") != NULL || strstr(message, "RAISE()") != NULL;
}

static enum status refuse_function(struct compiler *compiler, const struct source *source,
                                   const char *name, const char *said)
{
    const char *nearest = sql_functions_nearest(name);
    return sql_refuse(source->expression, compiler->err, SQL_CODE_NOT_ALLOWED, "%s%s%s%s", said,
                      nearest == NULL ? "" : "; did you mean ", nearest == NULL ? "" : nearest,
                      nearest == NULL ? "" : "()?");
}

/* Turns what SQLite says into an error of ours. `end` is where the expression ends in the
 * statement. */
static enum status refuse_scratch(struct compiler *compiler, const struct source *source,
                                  size_t end)
{
    static const char no_column[] = "no such column: ";
    static const char no_function[] = "no such function: ";
    sqlite3 *db = compiler->program->db;
    const char *message = sqlite3_errmsg(db);
    int offset = sqlite3_error_offset(db);
    const char *refused = compiler->program->refused;
    if (refused != NULL) {
        return sql_refuse(source->expression, compiler->err, SQL_CODE_NOT_ALLOWED,
                          "%.60s is not allowed here: its result does not depend on the record "
                          "alone",
                          refused);
    }
    if (starts_with(message, no_column)) {
        return sql_names_refuse(compiler->layout, source->expression, message + strlen(no_column),
                                false, compiler->err);
    }
    if (starts_with(message, no_function)) {
        return refuse_function(compiler, source, message + strlen(no_function), message);
    }
    if (is_prohibition(message)) {
        return sql_refuse(source->expression, compiler->err, SQL_CODE_NOT_ALLOWED,
                          "%s: an expression over the columns of one record is expected, and its "
                          "result depends on them alone",
                          message);
    }
    if (offset >= 0 && (size_t)offset >= end) {
        return sql_refuse(source->expression, compiler->err, SQL_CODE_SYNTAX,
                          "the expression ends where SQLite expects more");
    }
    return sql_refuse(source->expression, compiler->err, SQL_CODE_SYNTAX,
                      "this is no SQLite expression: %s", message);
}

/* SQLite takes a generated column only when its expression depends on the row alone. */
static enum status check_scratch(struct compiler *compiler, const struct source *source)
{
    struct sql_program *program = compiler->program;
    struct buffer sql = {0};
    buffer_append_string(&sql, SCRATCH_START);
    sql_table_declare(&program->table, &sql);
    buffer_append_string(&sql, SCRATCH_RESULT);
    buffer_append_string(&sql, source->sql);
    size_t end = sql.size;
    buffer_append_string(&sql, SCRATCH_END);
    int code = sqlite3_exec(program->db, buffer_string(&sql), NULL, NULL, NULL);
    buffer_fini(&sql);
    enum status status = STATUS_OK;
    if (code != SQLITE_OK) {
        status = refuse_scratch(compiler, source, end);
    } else {
        code = sqlite3_exec(program->db, "DROP TABLE weir_scratch", NULL, NULL, NULL);
        if (code != SQLITE_OK) {
            status = refuse_engine(compiler, code);
        }
    }
    forget_refused(program);
    return status;
}

/* The column that is all of the expression, parentheses aside. */
static uint32_t find_only_column(const struct sql_tokens *tokens)
{
    uint32_t first = 0;
    uint32_t count = tokens->count;
    while (count > 2 && sql_token_is(tokens, first, "(") &&
           sql_token_is(tokens, first + count - 1, ")")) {
        first++;
        count -= 2;
    }
    return count == 1 ? tokens->items[first].field : FIELD_NONE;
}

static enum status check_sources(struct compiler *compiler)
{
    for (uint32_t i = 0; i < compiler->source_count; i++) {
        const struct source *source = &compiler->sources[i];
        struct sql_part whole = {.kind = SQL_KIND_UNKNOWN};
        enum status status = check_scratch(compiler, source);
        if (status == STATUS_OK) {
            status = sql_types_check(compiler->arena, compiler->layout, compiler->is_time,
                                     source->expression, &source->tokens, &whole, compiler->err);
        }
        if (status != STATUS_OK) {
            return status;
        }
        compiler->program->promises[i] = (struct sql_promise){
            .column = find_only_column(&source->tokens),
            .is_truth = whole.kind == SQL_KIND_BOOL,
            .is_number = whole.kind == SQL_KIND_NUMBER,
            .is_integer = whole.is_integer,
            .may_be_real = whole.kind == SQL_KIND_NUMBER || whole.kind == SQL_KIND_UNKNOWN,
        };
    }
    return STATUS_OK;
}

/* --- Native --- */

/* Behind the checks: what SQLite refuses is refused, whoever evaluates it. */
static void compile_native(struct compiler *compiler)
{
    if (!compiler->takes_native) {
        return;
    }
    struct sql_native_compiler *native = sql_native_compiler_new(
        compiler->arena, compiler->layout, compiler->is_time, compiler->program->db);
    for (uint32_t i = 0; i < compiler->source_count; i++) {
        struct source *source = &compiler->sources[i];
        source->is_native = sql_native_compile(native, i, &source->tokens);
    }
    compiler->program->native = sql_native_compiler_finish(native);
}

/* --- Statements --- */

static enum status prepare_statement(struct compiler *compiler, const uint32_t *expressions,
                                     uint32_t count, sqlite3_stmt **out)
{
    struct buffer sql = {0};
    for (uint32_t i = 0; i < count; i++) {
        buffer_printf(&sql, "%s(\n%s\n)", i == 0 ? "SELECT " : ", ",
                      compiler->sources[expressions[i]].sql);
    }
    buffer_append_string(&sql, " FROM " SQL_TABLE_NAME);
    int code = sqlite3_prepare_v3(compiler->program->db, buffer_string(&sql), -1,
                                  SQLITE_PREPARE_PERSISTENT, out, NULL);
    buffer_fini(&sql);
    return code == SQLITE_OK ? STATUS_OK : refuse_engine(compiler, code);
}

static enum status prepare_singles(struct compiler *compiler)
{
    struct sql_program *program = compiler->program;
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < compiler->source_count && status == STATUS_OK; i++) {
        program->now_used = program->uses + (size_t)i * compiler->layout->field_count;
        status = prepare_statement(compiler, &i, 1, &program->singles[i]);
    }
    program->now_used = NULL;
    return status;
}

static enum status prepare_groups(struct compiler *compiler)
{
    struct sql_program *program = compiler->program;
    uint32_t *expressions =
        arena_alloc(compiler->arena, size_mul(compiler->source_count, sizeof *expressions));
    uint32_t total = 0;
    for (uint32_t i = 0; i < compiler->source_count; i++) {
        if (!compiler->sources[i].is_native) {
            expressions[total++] = i;
        }
    }
    enum status status = STATUS_OK;
    for (uint32_t first = 0; first < total && status == STATUS_OK;) {
        uint32_t count = total - first < SQL_GROUP_SIZE ? total - first : SQL_GROUP_SIZE;
        struct sql_group *group = &program->groups[program->group_count++];
        *group = (struct sql_group){expressions + first, count, NULL};
        status = prepare_statement(compiler, group->expressions, count, &group->statement);
        first += count;
    }
    return status;
}

static enum status prepare(struct compiler *compiler)
{
    int code = sql_table_register(compiler->program->db, &compiler->program->table);
    if (code != SQLITE_OK) {
        return refuse_engine(compiler, code);
    }
    enum status status = prepare_singles(compiler);
    return status == STATUS_OK ? prepare_groups(compiler) : status;
}

static struct sql_program *new_program(struct arena *arena, const struct layout *layout,
                                       uint32_t expression_count)
{
    struct sql_program *program = arena_alloc_zero(arena, 1, sizeof *program);
    program->layout = layout;
    program->expression_count = expression_count;
    size_t slots = size_add(expression_count, 1);
    program->singles = arena_alloc_zero(arena, slots, sizeof(sqlite3_stmt *));
    program->groups = arena_alloc_zero(arena, slots / SQL_GROUP_SIZE + 1, sizeof *program->groups);
    program->promises = arena_alloc_zero(arena, slots, sizeof *program->promises);
    program->uses =
        arena_alloc_zero(arena, size_mul(slots, size_add(layout->field_count, 1)), sizeof(bool));
    return program;
}

static enum status compile(struct arena *arena, const struct layout *layout, const bool *is_time,
                           const struct sql_expression *expressions, uint32_t expression_count,
                           bool takes_native, struct sql_program **out, struct error *err)
{
    struct compiler compiler = {
        .arena = arena,
        .layout = layout,
        .is_time = is_time,
        .takes_native = takes_native,
        .sources = arena_alloc_zero(arena, size_add(expression_count, 1), sizeof(struct source)),
        .source_count = expression_count,
        .program = new_program(arena, layout, expression_count),
        .err = err,
    };
    for (uint32_t i = 0; i < expression_count; i++) {
        compiler.sources[i].expression = &expressions[i];
    }
    enum status status = start_program(&compiler);
    if (status == STATUS_OK) {
        status = cut_sources(&compiler);
    }
    if (status == STATUS_OK) {
        choose_columns(&compiler);
        status = check_sources(&compiler);
    }
    if (status == STATUS_OK) {
        compile_native(&compiler);
        status = prepare(&compiler);
    }
    if (status != STATUS_OK) {
        sql_program_free(compiler.program);
        return status;
    }
    *out = compiler.program;
    return STATUS_OK;
}

enum status sql_program_compile(struct arena *arena, const struct layout *layout,
                                const bool *is_time, const struct sql_expression *expressions,
                                uint32_t expression_count, struct sql_program **out,
                                struct error *err)
{
    return compile(arena, layout, is_time, expressions, expression_count, true, out, err);
}

enum status sql_program_compile_foreign(struct arena *arena, const struct layout *layout,
                                        const bool *is_time,
                                        const struct sql_expression *expressions,
                                        uint32_t expression_count, struct sql_program **out,
                                        struct error *err)
{
    return compile(arena, layout, is_time, expressions, expression_count, false, out, err);
}

bool sql_program_is_native(const struct sql_program *program, uint32_t expression)
{
    check(expression < program->expression_count);
    for (uint32_t i = 0; program->native != NULL && i < program->native->expression_count; i++) {
        if (program->native->expressions[i].index == expression) {
            return true;
        }
    }
    return false;
}

bool sql_program_uses(const struct sql_program *program, uint32_t expression, uint32_t field)
{
    check(expression < program->expression_count && field < program->layout->field_count);
    return program->uses[(size_t)expression * program->layout->field_count + field];
}

struct sql_outcome sql_program_outcome(const struct sql_program *program, uint32_t expression)
{
    check(expression < program->expression_count);
    const struct sql_promise *promise = &program->promises[expression];
    /* The word may name a column and mean something else: SQLite has said what it reads. */
    bool is_column = promise->column != FIELD_NONE &&
                     sql_program_uses(program, expression, promise->column);
    return (struct sql_outcome){
        .column = is_column ? promise->column : FIELD_NONE,
        .is_truth = promise->is_truth,
        .is_number = promise->is_number,
    };
}

void sql_program_free(struct sql_program *program)
{
    if (program == NULL) {
        return;
    }
    /* Finalizing reports the statement's last error, which was handled when it occurred. */
    for (uint32_t i = 0; i < program->expression_count; i++) {
        (void)sqlite3_finalize(program->singles[i]);
    }
    for (uint32_t i = 0; i < program->group_count; i++) {
        (void)sqlite3_finalize(program->groups[i].statement);
    }
    sql_native_fini(program->native);
    forget_refused(program);
    (void)sqlite3_close(program->db);
    sql_calendar_free(program->calendar);
}
