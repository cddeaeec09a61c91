/* Asking the server, and what errors and warnings mean. Values go into statements as literals in
 * hexadecimal, in which nothing can be escaped wrongly. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connector/mysql/errors.h"
#include "connector/mysql/system.h"

/* Rows of a statement; libmariadb's own list has no quick way to a row. */
struct mysqldb_answer {
    MYSQL_RES *result; /* NULL: the statement gives no rows */
    uint32_t row_count;
    uint32_t column_count;
    MYSQL_ROW *rows;
    unsigned long *sizes; /* [row_count * column_count] */
};

static struct mysqldb_answer *answer_of(const struct database_answer *answer)
{
    return (struct mysqldb_answer *)(uintptr_t)answer;
}

/* --- errors --- */

enum status mysqldb_error(struct mysqldb_system *s, unsigned number, const char *sqlstate,
                          const char *message, const char *doing, struct error *err)
{
    s->is_broken = s->is_broken || mysqldb_is_connection(number);
    if (mysqldb_class(number) == MYSQLDB_PASSING) {
        return error_set(err, STATUS_RETRY, "mysql.away", "cannot %s %s (%s): %s, error %u", doing,
                         s->is_mariadb ? "MariaDB" : "MySQL", s->db.place, message, number);
    }
    return error_set(err, STATUS_FATAL, "mysql.failed",
                     "cannot %s %s (%s): %s, error %u, SQLSTATE %s; %s", doing,
                     s->is_mariadb ? "MariaDB" : "MySQL", s->db.place, message, number, sqlstate,
                     mysqldb_advice(number));
}

enum status mysqldb_failed(struct mysqldb_system *s, const char *doing, struct error *err)
{
    return mysqldb_error(s, mysql_errno(s->connection), mysql_sqlstate(s->connection),
                         mysql_error(s->connection), doing, err);
}

/* --- one statement --- */

static enum status query(struct mysqldb_system *s, const char *sql, size_t size, const char *doing,
                        struct error *err)
{
    return mysql_real_query(s->connection, sql, (unsigned long)size) == 0
               ? STATUS_OK
               : mysqldb_failed(s, doing, err);
}

enum status mysqldb_warning(struct mysqldb_system *s, const char *doing, unsigned *out_number,
                            char *message, size_t size, struct error *err)
{
    static const char sql[] = "SHOW WARNINGS";
    *out_number = 0;
    enum status status = query(s, sql, sizeof sql - 1, doing, err);
    MYSQL_RES *result = status == STATUS_OK ? mysql_store_result(s->connection) : NULL;
    if (status == STATUS_OK && result == NULL) {
        return mysqldb_failed(s, doing, err);
    }
    /* Only asked where the server counted some. */
    if (result != NULL && mysql_num_rows(result) == 0) {
        status = error_set(err, STATUS_FATAL, "mysql.warnings",
                           "cannot %s %s: the server counts warnings that it does not show; set "
                           "sql_notes = 1 and max_error_count = 64 on it, then start again",
                           doing, s->db.place);
    }
    MYSQL_ROW row = NULL;
    while (result != NULL && *out_number == 0 && (row = mysql_fetch_row(result)) != NULL) {
        unsigned number = (unsigned)strtoul(row[1], NULL, 10);
        if (mysqldb_class(number) != MYSQLDB_HARMLESS) {
            *out_number = number;
            snprintf(message, size, "%s", row[2]);
        }
    }
    mysql_free_result(result);
    return status;
}

/* A statement that went through with a warning did something else than it was told. */
static enum status check_warnings(struct mysqldb_system *s, const char *doing, struct error *err)
{
    unsigned number = 0;
    char message[256];
    if (mysql_warning_count(s->connection) == 0) {
        return STATUS_OK;
    }
    enum status status = mysqldb_warning(s, doing, &number, message, sizeof message, err);
    return status != STATUS_OK || number == 0
               ? status
               : mysqldb_error(s, number, "01000", message, doing, err);
}

/* Up to the next ';', those in quotes aside. */
static size_t statement_size(const char *sql)
{
    char quote = '\0';
    size_t size = 0;
    for (; sql[size] != '\0' && (quote != '\0' || sql[size] != ';'); size++) {
        char c = sql[size];
        if (quote == '\0' && (c == '\'' || c == '"' || c == '`')) {
            quote = c;
        } else if (c == quote) {
            quote = '\0';
        }
    }
    return size;
}

enum status mysqldb_run(struct mysqldb_system *s, const char *sql, const char *doing,
                        struct error *err)
{
    enum status status = STATUS_OK;
    while (*sql != '\0' && status == STATUS_OK) {
        size_t size = statement_size(sql);
        status = query(s, sql, size, doing, err);
        if (status == STATUS_OK) {
            mysql_free_result(mysql_store_result(s->connection));
            status = check_warnings(s, doing, err);
        }
        sql += size + (sql[size] == ';');
    }
    return status;
}

/* --- parameters --- */

static void write_hex(struct bytes bytes, struct buffer *out)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t *at = buffer_reserve(out, size_mul(bytes.size, 2));
    for (size_t i = 0; i < bytes.size; i++) {
        at[2 * i] = (uint8_t)digits[bytes.data[i] >> 4];
        at[2 * i + 1] = (uint8_t)digits[bytes.data[i] & 15];
    }
    out->size += 2 * bytes.size;
}

static void write_parameter(const struct parameter *parameter, struct buffer *out)
{
    if (parameter->kind == PARAMETER_INTEGER) {
        buffer_append_string(out, parameter->digits);
    } else if (bytes_is_none(parameter->bytes)) {
        buffer_append_string(out, "NULL");
    } else {
        buffer_append_string(out, parameter->kind == PARAMETER_TEXT ? "_utf8mb4 X'" : "X'");
        write_hex(parameter->bytes, out);
        buffer_append_byte(out, '\'');
    }
}

void mysqldb_write_sql(const char *sql, const struct parameters *parameters, struct buffer *out)
{
    char quote = '\0';
    for (; *sql != '\0'; sql++) {
        if (quote == '\0' && (*sql == '\'' || *sql == '"' || *sql == '`')) {
            quote = *sql;
        } else if (*sql == quote) {
            quote = '\0';
        }
        if (quote != '\0' || *sql != '$') {
            buffer_append_byte(out, (uint8_t)*sql);
            continue;
        }
        int number = 0;
        while (sql[1] >= '0' && sql[1] <= '9') {
            number = number * 10 + (*++sql - '0');
        }
        check(parameters != NULL && number >= 1 && number <= parameters->count);
        write_parameter(&parameters->list[number - 1], out);
    }
}

/* --- answers --- */

static void take_rows(struct mysqldb_answer *answer)
{
    answer->row_count = (uint32_t)mysql_num_rows(answer->result);
    answer->column_count = mysql_num_fields(answer->result);
    answer->rows = memory_alloc(size_mul(answer->row_count + 1, sizeof *answer->rows));
    answer->sizes = memory_alloc(size_mul(size_mul(answer->row_count + 1, answer->column_count),
                                          sizeof *answer->sizes));
    for (uint32_t i = 0; i < answer->row_count; i++) {
        answer->rows[i] = mysql_fetch_row(answer->result);
        memcpy(&answer->sizes[(size_t)i * answer->column_count],
               mysql_fetch_lengths(answer->result), answer->column_count * sizeof *answer->sizes);
    }
}

enum status mysqldb_ask(struct mysqldb_system *s, const char *sql,
                        const struct parameters *parameters, const char *doing,
                        struct database_answer **out, struct error *err)
{
    struct buffer text = {0};
    mysqldb_write_sql(sql, parameters, &text);
    enum status status = query(s, (const char *)text.data, text.size, doing, err);
    buffer_fini(&text);
    if (status != STATUS_OK) {
        return status;
    }
    struct mysqldb_answer *answer = memory_alloc_zero(1, sizeof *answer);
    answer->result = mysql_store_result(s->connection);
    if (answer->result != NULL) {
        take_rows(answer);
    } else if (mysql_errno(s->connection) != 0) {
        status = mysqldb_failed(s, doing, err);
    }
    if (status == STATUS_OK) {
        /* Before SHOW WARNINGS, which counts rows of its own. */
        answer->row_count = answer->result != NULL
                                ? answer->row_count
                                : (uint32_t)mysql_affected_rows(s->connection);
        status = check_warnings(s, doing, err);
    }
    *out = (struct database_answer *)answer;
    if (status != STATUS_OK) {
        mysqldb_free(*out);
        *out = NULL;
    }
    return status;
}

uint32_t mysqldb_row_count(const struct database_answer *answer)
{
    return answer_of(answer)->row_count;
}

struct bytes mysqldb_bytes(const struct database_answer *answer, uint32_t row, uint32_t column)
{
    const struct mysqldb_answer *a = answer_of(answer);
    check(row < a->row_count && column < a->column_count);
    const char *text = a->rows[row][column];
    return text == NULL ? BYTES_NONE
                        : bytes_of(text, a->sizes[(size_t)row * a->column_count + column]);
}

const char *mysqldb_text(const struct database_answer *answer, uint32_t row, uint32_t column)
{
    struct bytes text = mysqldb_bytes(answer, row, column);
    return bytes_is_none(text) ? "" : (const char *)text.data;
}

int64_t mysqldb_integer(const struct database_answer *answer, uint32_t row, uint32_t column)
{
    struct bytes text = mysqldb_bytes(answer, row, column);
    check(!bytes_is_none(text));
    return strtoll((const char *)text.data, NULL, 10);
}

void mysqldb_free(struct database_answer *answer)
{
    struct mysqldb_answer *a = answer_of(answer);
    if (a == NULL) {
        return;
    }
    mysql_free_result(a->result);
    memory_free(a->rows);
    memory_free(a->sizes);
    memory_free(a);
}
