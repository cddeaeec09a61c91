#include "connector/mysql/errors.h"

#include <stdio.h>
#include <string.h>

/* https://mariadb.com/kb/en/mariadb-error-code-reference/ and the server's errmsg-utf8.txt; from
 * 2000 on the client's own (errmsg.h). */
static const struct {
    unsigned number;
    enum mysqldb_class class;
    const char *said; /* of a row: its reason; of what stops: the advice */
} errors[] = {
    {1048, MYSQLDB_ROW, "sink.constraint_notnull"},
    {1062, MYSQLDB_ROW, "sink.constraint_unique"},
    {1169, MYSQLDB_ROW, "sink.constraint_unique"},
    {1586, MYSQLDB_ROW, "sink.constraint_unique"},
    {1216, MYSQLDB_ROW, "sink.constraint_foreignkey"},
    {1217, MYSQLDB_ROW, "sink.constraint_foreignkey"},
    {1451, MYSQLDB_ROW, "sink.constraint_foreignkey"},
    {1452, MYSQLDB_ROW, "sink.constraint_foreignkey"},
    {3819, MYSQLDB_ROW, "sink.constraint_check"}, /* MySQL */
    {4025, MYSQLDB_ROW, "sink.constraint_check"}, /* MariaDB */
    {1369, MYSQLDB_ROW, "sink.constraint_check"}, /* CHECK OPTION of a view */
    {1526, MYSQLDB_ROW, "sink.constraint"},       /* no partition of the table takes it */
    {1748, MYSQLDB_ROW, "sink.constraint"},
    {1264, MYSQLDB_ROW, "sink.out_of_range"},
    {1441, MYSQLDB_ROW, "sink.out_of_range"},
    {1690, MYSQLDB_ROW, "sink.out_of_range"},
    {1406, MYSQLDB_ROW, "sink.too_long"},
    {1118, MYSQLDB_ROW, "sink.too_large"}, /* a row larger than a page can take */
    {1139, MYSQLDB_ROW, "sink.datatype"},
    {1265, MYSQLDB_ROW, "sink.datatype"},
    {1292, MYSQLDB_ROW, "sink.datatype"},
    {1365, MYSQLDB_ROW, "sink.datatype"}, /* division by zero, in a trigger or a CHECK */
    {1366, MYSQLDB_ROW, "sink.datatype"},
    {1367, MYSQLDB_ROW, "sink.datatype"},
    {1411, MYSQLDB_ROW, "sink.datatype"},
    {1416, MYSQLDB_ROW, "sink.datatype"},
    {3140, MYSQLDB_ROW, "sink.datatype"},
    {1300, MYSQLDB_ROW, "sink.encoding"},
    {3854, MYSQLDB_ROW, "sink.encoding"},
    {1642, MYSQLDB_ROW, "sink.trigger"}, /* SIGNAL of a warning */
    {1643, MYSQLDB_ROW, "sink.trigger"},
    {1644, MYSQLDB_ROW, "sink.trigger"}, /* SIGNAL */

    {1020, MYSQLDB_PASSING, NULL}, /* the row has changed since it was read */
    {1205, MYSQLDB_PASSING, NULL}, /* lock wait timeout */
    {1206, MYSQLDB_PASSING, NULL}, /* too many locks */
    {1213, MYSQLDB_PASSING, NULL}, /* deadlock */
    {3, MYSQLDB_PASSING, NULL},    /* error writing a file */
    {1021, MYSQLDB_PASSING, NULL}, /* disk full */
    {1026, MYSQLDB_PASSING, NULL},
    {1114, MYSQLDB_PASSING, NULL}, /* the table is full: so is its disk */
    {1037, MYSQLDB_PASSING, NULL}, /* memory */
    {1038, MYSQLDB_PASSING, NULL},
    {1041, MYSQLDB_PASSING, NULL},
    {1040, MYSQLDB_PASSING, NULL}, /* too many connections */
    {1203, MYSQLDB_PASSING, NULL},
    {1226, MYSQLDB_PASSING, NULL},
    {1461, MYSQLDB_PASSING, NULL}, /* too many prepared statements */
    {1615, MYSQLDB_PASSING, NULL}, /* the table changed under a prepared statement */
    {1053, MYSQLDB_PASSING, NULL}, /* shutdown */
    {1079, MYSQLDB_PASSING, NULL},
    {1152, MYSQLDB_PASSING, NULL}, /* the connection, as the server says it */
    {1158, MYSQLDB_PASSING, NULL},
    {1159, MYSQLDB_PASSING, NULL},
    {1160, MYSQLDB_PASSING, NULL},
    {1161, MYSQLDB_PASSING, NULL},
    {1184, MYSQLDB_PASSING, NULL},
    {1927, MYSQLDB_PASSING, NULL}, /* killed */
    {1317, MYSQLDB_PASSING, NULL}, /* interrupted */
    {1969, MYSQLDB_PASSING, NULL}, /* statement timeouts */
    {3024, MYSQLDB_PASSING, NULL},
    {1047, MYSQLDB_PASSING, NULL}, /* a Galera node that is not ready */
    {1180, MYSQLDB_PASSING, NULL}, /* error during COMMIT */

    {1050, MYSQLDB_HARMLESS, NULL}, /* IF NOT EXISTS */
    {1060, MYSQLDB_HARMLESS, NULL},
    {1061, MYSQLDB_HARMLESS, NULL},
    {1287, MYSQLDB_HARMLESS, NULL}, /* deprecated, and understood */
    {1681, MYSQLDB_HARMLESS, NULL},

    {1044, MYSQLDB_STOP, "grant the user the database, then start again"},
    {1045, MYSQLDB_STOP, "check user and password of the connection"},
    {1049, MYSQLDB_STOP, "make the database"},
    {1130, MYSQLDB_STOP, "the server takes no connection of this user from this machine: grant it"},
    {1698, MYSQLDB_STOP, "check user and password of the connection"},
    {2026, MYSQLDB_STOP, "check 'tls' of the connection and the server's certificate"},
    {1095, MYSQLDB_STOP, "let every weir of a pipeline connect as one user, or grant CONNECTION "
                         "ADMIN: a former owner's session must be ended"},
    {1142, MYSQLDB_STOP, "grant the right, then start again"},
    {1143, MYSQLDB_STOP, "grant the right, then start again"},
    {1227, MYSQLDB_STOP, "grant the right, then start again"},
    {1146, MYSQLDB_STOP, "bring the table back as it was, then start again"},
    {1054, MYSQLDB_STOP, "bring the column back as it was, then start again"},
    {1364, MYSQLDB_STOP, "the table has a column without a default that weir does not write: give "
                         "it one"},
    {1290, MYSQLDB_STOP, "the server is a replica or read-only: name the primary in the connection"},
    {1792, MYSQLDB_STOP, "the server is a replica or read-only: name the primary in the connection"},
    {1836, MYSQLDB_STOP, "the server is a replica or read-only: name the primary in the connection"},
    {1665, MYSQLDB_STOP, "set binlog_format to ROW or MIXED on the server"},
    {1153, MYSQLDB_STOP, "raise max_allowed_packet on the server, then start again"},
    {1071, MYSQLDB_STOP, "a key of so many texts is too long: give its columns shorter types in "
                         "'types'"},
};
enum { ERROR_COUNT = sizeof errors / sizeof errors[0] };

enum mysqldb_class mysqldb_class(unsigned number)
{
    for (size_t i = 0; i < ERROR_COUNT; i++) {
        if (errors[i].number == number) {
            return errors[i].class;
        }
    }
    return mysqldb_is_connection(number) ? MYSQLDB_PASSING : MYSQLDB_STOP;
}

static const char *said(unsigned number, enum mysqldb_class class, const char *otherwise)
{
    for (size_t i = 0; i < ERROR_COUNT; i++) {
        if (errors[i].number == number && errors[i].class == class) {
            return errors[i].said;
        }
    }
    return otherwise;
}

const char *mysqldb_reason(unsigned number)
{
    return said(number, MYSQLDB_ROW, "sink.datatype");
}

const char *mysqldb_advice(unsigned number)
{
    return said(number, MYSQLDB_STOP, "mend it, then start again; nothing is lost");
}

bool mysqldb_is_connection(unsigned number)
{
    static const unsigned numbers[] = {2001, 2002, 2003, 2004, 2005, 2006, 2012, 2013,
                                       2027, 2048, 2055, 1927, 1053, 1079, 1152, 1153, 1158,
                                       1159, 1160, 1161, 1184, 5014};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (numbers[i] == number) {
            return true;
        }
    }
    return false;
}

bool mysqldb_is_refusal(unsigned number)
{
    static const unsigned numbers[] = {1044, 1045, 1049, 1130, 1698, 2026};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (numbers[i] == number) {
            return true;
        }
    }
    return false;
}

/* --- what a message names --- */

/* The name behind `before`, up to the next `quote`. */
static bool find_name(const char *message, const char *before, char quote, char *out, size_t size)
{
    const char *at = strstr(message, before);
    const char *end = at == NULL ? NULL : strchr(at + strlen(before), quote);
    if (end == NULL) {
        return false;
    }
    at += strlen(before);
    size_t length = (size_t)(end - at) < size - 1 ? (size_t)(end - at) : size - 1;
    memcpy(out, at, length);
    out[length] = '\0';
    return true;
}

/* "for column `db`.`table`.`name` at row 2" */
static bool find_last_part(const char *message, char *out, size_t size)
{
    const char *at = strstr(message, "for column `");
    for (int i = 0; i < 2 && at != NULL; i++) {
        at = strstr(at, "`.`");
        at = at == NULL ? NULL : at + 2;
    }
    return at != NULL && find_name(at, "`", '`', out, size);
}

void mysqldb_describe(const char *sqlstate, const char *message, char *out, size_t size)
{
    char constraint[128] = "";
    char column[128] = "";
    if (!find_name(message, "CONSTRAINT `", '`', constraint, sizeof constraint)) {
        (void)(find_name(message, "CONSTRAINT \"", '"', constraint, sizeof constraint) ||
               find_name(message, "for key '", '\'', constraint, sizeof constraint) ||
               find_name(message, "Check constraint '", '\'', constraint, sizeof constraint));
    }
    (void)(find_name(message, "olumn '", '\'', column, sizeof column) ||
           find_last_part(message, column, sizeof column));
    const char *row = strstr(message, " at row ");
    size_t length = row == NULL ? strlen(message) : (size_t)(row - message);
    snprintf(out, size, "SQLSTATE %s%s%s%s%s: %.*s", sqlstate,
             constraint[0] == '\0' ? "" : ", constraint ", constraint,
             column[0] == '\0' ? "" : ", column ", column, (int)length, message);
}
