/*
 * Sample: what a file of records looks like, for `weir init`. It is read twice: once for the fields
 * (sample_read), once for the order of the times (sample_measure_time). Memory depends on the number
 * of fields, not of rows; of each field at most a million different values are told apart.
 *
 * NDJSON or CSV, packed or not, is told by the first bytes. Nothing is decided here: counts only.
 */
#ifndef WEIR_CLI_SAMPLE_H
#define WEIR_CLI_SAMPLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/memory.h"
#include "base/status.h"
#include "base/time_form.h"
#include "codec/csv.h"

/* Words that often stand for null; the first is the empty text. */
#define SAMPLE_WORDS 9u
extern const char *const sample_words[SAMPLE_WORDS];
/* Numbers that often do. */
#define SAMPLE_SENTINELS 2u
extern const double sample_sentinels[SAMPLE_SENTINELS];
/* Forms of time that are tried; the first is rfc3339. */
#define SAMPLE_FORMS 20u
extern const char *const sample_forms[SAMPLE_FORMS];
#define SAMPLE_VALUES_MAX ((size_t)1 << 20)

struct sample_field {
    const char *path; /* nested members of JSON with dots */
    const char *name; /* in its object */
    uint32_t parent;  /* index, UINT32_MAX for the record itself */
    uint64_t present; /* rows that have it */
    uint64_t nulls, booleans, integers, reals, texts, lists, objects;
    uint64_t words[SAMPLE_WORDS];         /* not among the texts */
    uint64_t sentinels[SAMPLE_SENTINELS]; /* not among the numbers */
    uint64_t number_texts;                /* texts that are numbers, of JSON */
    uint64_t comma_numbers;               /* texts that are numbers with a decimal comma, of CSV */
    double least, greatest;               /* of numbers */
    uint64_t forms[SAMPLE_FORMS];         /* texts that read as times of the form */
    uint64_t uuids;
    size_t least_size, greatest_size; /* of texts */
    uint64_t *values;                 /* hashes of different ones */
    size_t value_count, value_capacity;
};

struct sample {
    struct arena *arena;
    const char *path;
    bool is_csv;
    struct csv_options csv; /* of CSV */
    uint64_t rows;
    uint64_t broken; /* rows that are no JSON objects, or have not the header's cells */
    struct sample_field *fields;
    uint32_t field_count, field_capacity;
};

/* CONFIG when the file cannot be read or has no rows. sample_close() also after a failure. */
enum status sample_read(struct sample *sample, const char *path, struct error *err) WEIR_MUST_USE;
void sample_close(struct sample *sample);
/* UINT32_MAX when there is none. */
uint32_t sample_find(const struct sample *sample, const char *path);

struct sample_time {
    uint64_t read;        /* rows whose time could be read */
    int64_t step_back_us; /* the greatest, behind the greatest time before */
    uint64_t steps_back;
    uint64_t jumps; /* rows more than a day ahead of all others around them */
    int64_t gap_us; /* the longest between the greatest time so far and one that is believed */
    int64_t first_us, last_us;
};
/* The times in those fields, joined with a space, of top-level members. */
enum status sample_measure_time(struct sample *sample, const uint32_t *fields, uint32_t count,
                                const struct time_form *form, struct sample_time *out,
                                struct error *err) WEIR_MUST_USE;

#endif
