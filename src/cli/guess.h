/* Guesses: what a pipeline for a sample could say, with the counts that speak for it. No I/O but the
 * second reading of the sample for the order of its times. */
#ifndef WEIR_CLI_GUESS_H
#define WEIR_CLI_GUESS_H

#include "cli/sample.h"

enum guess_type { GUESS_ANY, GUESS_BOOLEAN, GUESS_INTEGER, GUESS_NUMBER, GUESS_STRING, GUESS_ARRAY,
                  GUESS_OBJECT };

struct guess_field {
    enum guess_type type;
    bool is_nullable, is_required;
    bool is_coerced; /* some values are texts that are numbers */
    const char *format; /* "date-time", "uuid"; NULL: none */
    bool has_range;
    double minimum, maximum;
    bool is_stray;      /* in so few rows that it is no field of the schema */
    uint64_t misfits; /* values of other types: plainly broken */
};

#define GUESS_TIME_FIELDS 6u
struct guess {
    const struct sample *sample;
    uint64_t good; /* rows that can be read */
    struct guess_field *fields; /* [sample->field_count] */
    bool words[SAMPLE_WORDS];   /* that stand for null */
    bool sentinels[SAMPLE_SENTINELS];
    bool has_decimal_comma;
    uint32_t time_fields[GUESS_TIME_FIELDS];
    uint32_t time_count; /* 0: no time was found */
    const char *time_form;
    struct sample_time time;
    uint32_t key;        /* UINT32_MAX: none */
    bool key_is_certain; /* else it only may be one */
    bool is_unordered;     /* so many times step back that the rows are in another order */
    bool has_wrong_clocks; /* too many rows are far ahead for `max_jump` */
    uint32_t sender;     /* what tells senders apart; UINT32_MAX: nothing does */
};

/* Everything in the sample's arena. */
enum status guess_make(struct sample *sample, struct guess *out, struct error *err) WEIR_MUST_USE;

#endif
