/*
 * Rows in the binary form of COPY (https://www.postgresql.org/docs/current/sql-copy.html, "Binary
 * Format"): the cells of a row as the column types' receive functions read them, so that the server
 * parses no text. Not for reading.
 *
 * The form of a column follows from its type, exactly: int8 bytes into an int4 column are a broken
 * COPY. A type that is not in the list (binary_form_of) goes by the text form of COPY, and all of its
 * table with it. What cannot be said in a column's binary form is the row's own fault, with the
 * SQLSTATE that the server's input function gives for it: nothing of the row is written then.
 *
 * A COPY is the header, rows, the trailer. All numbers are big-endian; a row is the number of its
 * fields (16 bits), then each one's size in bytes (32 bits; −1: null) and bytes.
 *
 *   bool            1 byte            numeric    groups of four decimal digits, see write_numeric()
 *   int2, int4, int8                  uuid       16 bytes
 *   float8          IEEE 754          date       days since 2000-01-01, 32 bits
 *   text and kin    UTF-8             timestamp  µs since 2000-01-01, 64 bits, with and without zone
 *   json            UTF-8             jsonb      the byte 1, UTF-8
 */
#ifndef WEIR_CONNECTOR_POSTGRES_BINARY_H
#define WEIR_CONNECTOR_POSTGRES_BINARY_H

#include "connector/table/rows.h"

enum binary_form {
    BINARY_NONE, /* not known: the text form of COPY */
    BINARY_BOOL,
    BINARY_INT2,
    BINARY_INT4,
    BINARY_INT8,
    BINARY_FLOAT8,
    BINARY_NUMERIC,
    BINARY_TEXT, /* varchar, json and enums too */
    BINARY_UUID,
    BINARY_DATE,
    BINARY_TIMESTAMP,
    BINARY_JSONB,
};

/* Why a cell cannot be written; texts are static. */
struct binary_fault {
    const char *sqlstate;
    const char *why;
    uint32_t column; /* index of the cell; behind the cells: topic, partition, offset */
};

/* Of a type by its oid (pg_type.dat); an enum's own is new in each database. */
enum binary_form binary_form_of(uint32_t type_oid, bool is_enum);

void binary_write_header(struct buffer *out);
void binary_write_trailer(struct buffer *out);

/* A row, `forms` per cell; if `origin_forms` is not NULL, topic, partition and offset behind the
 * cells, in these three forms. False: `out` is as it was, and *out_fault says why. */
bool binary_write_row(const enum binary_form *forms, const enum binary_form *origin_forms,
                      const struct table_row *row, struct buffer *out,
                      struct binary_fault *out_fault) WEIR_MUST_USE;

#endif
