/*
 * The same rows by hand: what somebody writes with libmariadb who has the rows already.
 *
 *   mysql_insert PORT DATABASE FILE COLUMNS INSERT UPDATE
 *
 * FILE has a row a line, as `mariadb -BN` prints it; INSERT is "INSERT INTO … VALUES ", UPDATE what
 * stands behind the rows. Prepared statements of ROWS rows, a transaction of COMMIT_ROWS. It parses no
 * JSON and keeps no ledger. Prints how many rows it wrote.
 */
#include <errno.h>
#include <mysql.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 512, COMMIT_ROWS = 16384, COLUMNS_MOST = 64 };

struct hand {
    MYSQL *connection;
    MYSQL_STMT *statement;
    unsigned columns;
    const char *insert;
    const char *update;
    MYSQL_BIND binds[ROWS * COLUMNS_MOST];
    unsigned long sizes[ROWS * COLUMNS_MOST];
    char *lines[ROWS];
    size_t capacities[ROWS];
};

static void fail(const struct hand *hand, const char *doing)
{
    fprintf(stderr, "mysql_insert: %s: %s\n", doing,
            hand->statement != NULL ? mysql_stmt_error(hand->statement)
                                    : mysql_error(hand->connection));
    exit(1);
}

static void run(struct hand *hand, const char *sql)
{
    if (mysql_query(hand->connection, sql) != 0) {
        fail(hand, sql);
    }
}

static void prepare(struct hand *hand, unsigned rows)
{
    size_t row_bytes = 2 * hand->columns + 2;
    size_t size = strlen(hand->insert) + strlen(hand->update) + rows * row_bytes + 1;
    char *sql = malloc(size);
    char *at = sql + sprintf(sql, "%s", hand->insert);
    for (unsigned i = 0; i < rows; i++) {
        at += sprintf(at, i == 0 ? "(?" : ",(?");
        for (unsigned k = 1; k < hand->columns; k++) {
            at += sprintf(at, ",?");
        }
        at += sprintf(at, ")");
    }
    sprintf(at, "%s", hand->update);
    if (hand->statement != NULL) {
        mysql_stmt_close(hand->statement);
    }
    hand->statement = mysql_stmt_init(hand->connection);
    if (mysql_stmt_prepare(hand->statement, sql, strlen(sql)) != 0) {
        fail(hand, "prepare");
    }
    free(sql);
}

static void bind_line(struct hand *hand, unsigned row)
{
    char *at = hand->lines[row];
    at[strcspn(at, "\n")] = '\0';
    for (unsigned k = 0; k < hand->columns; k++) {
        size_t size = strcspn(at, "\t");
        MYSQL_BIND *bind = &hand->binds[row * hand->columns + k];
        int is_null = size == 4 && memcmp(at, "NULL", 4) == 0;
        hand->sizes[row * hand->columns + k] = size;
        *bind = (MYSQL_BIND){.buffer_type = is_null ? MYSQL_TYPE_NULL : MYSQL_TYPE_STRING,
                             .buffer = at,
                             .buffer_length = size,
                             .length = &hand->sizes[row * hand->columns + k]};
        at += size + (at[size] == '\t');
    }
}

static void write_rows(struct hand *hand, unsigned rows)
{
    for (unsigned i = 0; i < rows; i++) {
        bind_line(hand, i);
    }
    if (mysql_stmt_bind_param(hand->statement, hand->binds) != 0 ||
        mysql_stmt_execute(hand->statement) != 0) {
        fail(hand, "insert");
    }
}

static unsigned long copy(struct hand *hand, FILE *file)
{
    unsigned long total = 0;
    unsigned rows = 0;
    prepare(hand, ROWS);
    run(hand, "BEGIN");
    while (getline(&hand->lines[rows], &hand->capacities[rows], file) > 0) {
        if (++rows == ROWS) {
            write_rows(hand, rows);
            total += rows;
            rows = 0;
            if (total % COMMIT_ROWS == 0) {
                run(hand, "COMMIT");
                run(hand, "BEGIN");
            }
        }
    }
    if (rows > 0) {
        prepare(hand, rows);
        write_rows(hand, rows);
    }
    run(hand, "COMMIT");
    return total + rows;
}

int main(int count, char **words)
{
    if (count != 7 || atoi(words[4]) < 1 || atoi(words[4]) > COLUMNS_MOST) {
        fprintf(stderr, "usage: mysql_insert PORT DATABASE FILE COLUMNS INSERT UPDATE\n");
        return 2;
    }
    struct hand *hand = calloc(1, sizeof *hand);
    FILE *file = fopen(words[3], "r");
    if (hand == NULL || file == NULL) {
        fprintf(stderr, "mysql_insert: %s: %s\n", words[3], strerror(errno));
        return 1;
    }
    hand->columns = (unsigned)atoi(words[4]);
    hand->insert = words[5];
    hand->update = words[6];
    hand->connection = mysql_init(NULL);
    mysql_optionsv(hand->connection, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    if (mysql_real_connect(hand->connection, "127.0.0.1", "root", NULL, words[2],
                           (unsigned)atoi(words[1]), NULL, 0) == NULL) {
        fail(hand, "connect");
    }
    run(hand, "SET SESSION sql_mode = 'STRICT_ALL_TABLES', time_zone = '+00:00'");
    printf("%lu\n", copy(hand, file));
    fclose(file);
    mysql_close(hand->connection);
    return 0;
}
