#include "cli/guess.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* So few values of another type are broken ones, where there are many. */
#define BROKEN_SHARE 0.01
#define MANY 100u

static uint64_t sum_words(const struct sample_field *field)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < SAMPLE_WORDS; i++) {
        sum += field->words[i];
    }
    return sum;
}

static bool is_nearly(uint64_t part, uint64_t all)
{
    return part > 0 &&
           (part == all || (all >= MANY && (double)(all - part) <= (double)all * BROKEN_SHARE));
}

static bool name_has(const char *name, const char *const *pieces)
{
    for (size_t i = 0; pieces[i] != NULL; i++) {
        if (strcasestr(name, pieces[i]) != NULL) {
            return true;
        }
    }
    return false;
}

/* --- types --- */

static void guess_numbers(const struct sample *sample, const struct sample_field *field,
                          struct guess_field *out)
{
    bool has_others = field->number_texts + field->comma_numbers + field->reals > 0;
    out->type = has_others ? GUESS_NUMBER : GUESS_INTEGER;
    out->is_coerced = !sample->is_csv && field->number_texts > 0;
}

static void guess_type(const struct guess *guess, const struct sample_field *field,
                       struct guess_field *out)
{
    const struct sample *sample = guess->sample;
    uint64_t numbers = field->integers + field->reals;
    uint64_t all = numbers + field->booleans + field->texts + field->lists + field->objects;
    uint64_t read = numbers + (sample->is_csv ? 0 : field->number_texts) +
                    (guess->has_decimal_comma ? field->comma_numbers : 0);
    if (all == 0) {
        out->type = sum_words(field) > 0 ? GUESS_STRING : GUESS_ANY;
        return;
    }
    /* Texts alone are texts, even if each looks like a number. */
    bool is_numeric = sample->is_csv ? true : numbers * 2 >= all;
    if (is_numeric && is_nearly(read, all)) {
        guess_numbers(sample, field, out);
        out->misfits = all - read;
    } else if (is_nearly(field->booleans, all)) {
        out->type = GUESS_BOOLEAN;
        out->misfits = all - field->booleans;
    } else if (sample->is_csv || is_nearly(field->texts, all)) {
        out->type = GUESS_STRING;
        out->misfits = sample->is_csv ? 0 : all - field->texts;
    } else if (is_nearly(field->lists, all)) {
        out->type = GUESS_ARRAY;
        out->misfits = all - field->lists;
    } else if (is_nearly(field->objects, all)) {
        out->type = GUESS_OBJECT;
        out->misfits = all - field->objects;
    } else {
        out->type = GUESS_ANY;
    }
}

static void guess_format(const struct sample_field *field, struct guess_field *out)
{
    if (out->type == GUESS_STRING && field->texts > 0 && is_nearly(field->forms[0], field->texts)) {
        out->format = "date-time";
        out->misfits += field->texts - field->forms[0];
    } else if (out->type == GUESS_STRING && field->texts > 0 && field->uuids == field->texts) {
        out->format = "uuid";
    }
}

/* Outwards, to two digits. */
static double round_outwards(double value, bool is_up)
{
    if (value == 0) {
        return 0;
    }
    double unit = pow(10, floor(log10(fabs(value))) - 1);
    return (is_up ? ceil(value / unit) : floor(value / unit)) * unit;
}

/* What was seen, and as much again on either side; no negative numbers where there were none. */
static void guess_range(const struct sample_field *field, struct guess_field *out)
{
    uint64_t count = field->integers + field->reals;
    bool is_number = out->type == GUESS_INTEGER || out->type == GUESS_NUMBER;
    /* Counters grow, and so do epochs. */
    bool counts = field->reals == 0 && field->value_count * 10 >= count * 9;
    if (!is_number || count < MANY || counts || field->comma_numbers + field->number_texts > 0 ||
        fabs(field->least) > 1e15 || fabs(field->greatest) > 1e15) {
        return;
    }
    double span = field->greatest - field->least;
    span = span == 0 ? fabs(field->greatest) + 1 : span;
    out->has_range = true;
    out->minimum = field->least >= 0 ? 0 : round_outwards(field->least - span, false);
    out->maximum = round_outwards(field->greatest + span, true);
    if (out->type == GUESS_INTEGER) {
        out->minimum = floor(out->minimum);
        out->maximum = ceil(out->maximum);
    }
}

/* --- nulls --- */

/* Words that stand in columns of something else than texts, or of times. */
static void find_nulls(struct guess *guess)
{
    for (uint32_t i = 0; i < guess->sample->field_count; i++) {
        const struct sample_field *field = &guess->sample->fields[i];
        const struct guess_field *g = &guess->fields[i];
        if (g->is_stray) {
            continue;
        }
        bool is_number = g->type == GUESS_INTEGER || g->type == GUESS_NUMBER;
        bool is_text = g->type == GUESS_STRING && g->format == NULL;
        for (uint32_t w = 0; w < SAMPLE_WORDS; w++) {
            /* A quoted empty cell is absent in such a column anyway. */
            bool matters = field->words[w] > 0 && !(guess->sample->is_csv && w == 0);
            guess->words[w] |= matters && !is_text && g->type != GUESS_ANY;
        }
        for (uint32_t s = 0; s < SAMPLE_SENTINELS; s++) {
            guess->sentinels[s] |= is_number && field->sentinels[s] > 0 && field->least > -500;
        }
    }
}

static void apply_nulls(struct guess *guess)
{
    for (uint32_t i = 0; i < guess->sample->field_count; i++) {
        const struct sample_field *field = &guess->sample->fields[i];
        struct guess_field *g = &guess->fields[i];
        g->is_nullable = field->nulls > 0;
        for (uint32_t w = 0; w < SAMPLE_WORDS; w++) {
            g->is_nullable |= guess->words[w] && field->words[w] > 0;
        }
        for (uint32_t s = 0; s < SAMPLE_SENTINELS; s++) {
            g->is_nullable |= guess->sentinels[s] && field->sentinels[s] > 0;
            /* A number like others then. */
            g->has_range &= guess->sentinels[s] || field->sentinels[s] == 0;
        }
        uint64_t around = field->parent == UINT32_MAX
                              ? guess->good
                              : guess->sample->fields[field->parent].objects;
        g->is_required = field->present == around;
    }
}

/* --- time --- */

static const char *const time_names[] = {"time", "date", "stamp", "_at", "when", NULL};

/* The epoch that whole numbers of this field are, if they lie in the years 2000 to 2100. */
static const char *epoch_of(const struct sample_field *field)
{
    static const struct {
        const char *form;
        double per_second;
    } epochs[] = {{"epoch_s", 1}, {"epoch_ms", 1e3}, {"epoch_us", 1e6}, {"epoch_ns", 1e9}};
    bool is_named = name_has(field->name, time_names) || strcasecmp(field->name, "ts") == 0;
    for (size_t i = 0; is_named && i < sizeof epochs / sizeof epochs[0]; i++) {
        if (field->least >= 946684800 * epochs[i].per_second &&
            field->greatest <= 4102444800 * epochs[i].per_second) {
            return epochs[i].form;
        }
    }
    return NULL;
}

static const char *form_of(const struct guess *guess, uint32_t index)
{
    const struct sample_field *field = &guess->sample->fields[index];
    const struct guess_field *g = &guess->fields[index];
    if (field->parent != UINT32_MAX || !is_nearly(field->present, guess->good)) {
        return NULL;
    }
    if (g->type == GUESS_INTEGER || g->type == GUESS_NUMBER) {
        return epoch_of(field);
    }
    for (uint32_t f = 0; g->type == GUESS_STRING && f < SAMPLE_FORMS; f++) {
        if (is_nearly(field->forms[f], field->texts)) {
            return sample_forms[f];
        }
    }
    return NULL;
}

/* Columns "year", "month", "day" and so on. */
static bool find_parts(struct guess *guess)
{
    static const char *const names[GUESS_TIME_FIELDS] = {"year", "month",  "day",
                                                         "hour", "minute", "second"};
    static const char *const forms[] = {"%Y %m %d", "%Y %m %d %H", "%Y %m %d %H %M",
                                        "%Y %m %d %H %M %S"};
    uint32_t count = 0;
    for (; count < GUESS_TIME_FIELDS; count++) {
        uint32_t found = UINT32_MAX;
        for (uint32_t i = 0; i < guess->sample->field_count; i++) {
            const struct sample_field *field = &guess->sample->fields[i];
            if (field->parent == UINT32_MAX && strcasecmp(field->name, names[count]) == 0 &&
                guess->fields[i].type == GUESS_INTEGER) {
                found = i;
            }
        }
        if (found == UINT32_MAX) {
            break;
        }
        guess->time_fields[count] = found;
    }
    if (count < 3) {
        return false;
    }
    guess->time_count = count;
    guess->time_form = forms[count - 3];
    return true;
}

static enum status find_time(struct sample *sample, struct guess *guess, struct error *err)
{
    int best = -1;
    for (uint32_t i = 0; i < sample->field_count; i++) {
        const char *form = form_of(guess, i);
        int score = form == NULL ? -1 : 1 + 2 * name_has(sample->fields[i].name, time_names) +
                                            (strcmp(form, "rfc3339") == 0);
        if (score > best) {
            best = score;
            guess->time_fields[0] = i;
            guess->time_count = 1;
            guess->time_form = form;
        }
    }
    if (best < 0 && !find_parts(guess)) {
        return STATUS_OK;
    }
    struct time_form form;
    const char *fault = time_form_compile(guess->time_form, &form);
    check(fault == NULL);
    enum status status = sample_measure_time(sample, guess->time_fields, guess->time_count, &form,
                                             &guess->time, err);
    if (status == STATUS_OK && !is_nearly(guess->time.read, guess->good)) {
        guess->time_count = 0;
    }
    /* Three senders within 1 MiB make a jump believed. */
    guess->is_unordered = guess->time.steps_back * 5 > guess->time.read;
    guess->has_wrong_clocks =
        guess->time_count > 0 && guess->time.jumps >= 3 && !guess->is_unordered;
    return status;
}

/* --- keys --- */

static const char *const key_names[] = {"id", "uuid", "key", NULL};

static bool is_time(const struct guess *guess, uint32_t index)
{
    for (uint32_t i = 0; i < guess->time_count; i++) {
        if (guess->time_fields[i] == index) {
            return true;
        }
    }
    return false;
}

static void find_key(struct guess *guess)
{
    int best = 0;
    guess->key = guess->sender = UINT32_MAX;
    for (uint32_t i = 0; i < guess->sample->field_count; i++) {
        const struct sample_field *field = &guess->sample->fields[i];
        enum guess_type type = guess->fields[i].type;
        uint64_t values = field->integers + field->texts;
        bool is_simple = (type == GUESS_INTEGER || type == GUESS_STRING) && field->reals == 0 &&
                         field->parent == UINT32_MAX && field->value_count < SAMPLE_VALUES_MAX;
        if (!is_simple || values < 2) {
            continue;
        }
        bool is_named = name_has(field->name, key_names);
        bool is_unique = field->value_count == values && field->present == guess->good;
        bool is_nearly_unique = field->value_count * 10 >= values * 9;
        int score = is_time(guess, i) ? (is_nearly_unique ? 1 : 0)
                    : is_unique       ? 4 + is_named
                    : is_nearly_unique && is_named ? 3
                                                   : 0;
        if (score > best) {
            best = score;
            guess->key = i;
            guess->key_is_certain = score >= 3;
        }
        if (!is_time(guess, i) && type == GUESS_STRING && field->value_count >= 3 &&
            field->value_count * 10 <= values &&
            (guess->sender == UINT32_MAX || (is_named && !name_has(guess->sample->fields[guess->sender].name, key_names)))) {
            guess->sender = i;
        }
    }
}

/* --- all --- */

/* Numbers with a decimal comma, and none with a point. */
static bool find_decimal_comma(const struct sample *sample)
{
    bool found = false;
    for (uint32_t i = 0; i < sample->field_count; i++) {
        const struct sample_field *field = &sample->fields[i];
        if (sample->csv.delimiter == ',' || field->reals > 0) {
            return false;
        }
        found |= field->comma_numbers > 0 && is_nearly(field->comma_numbers, field->texts);
    }
    return found && sample->is_csv;
}

enum status guess_make(struct sample *sample, struct guess *out, struct error *err)
{
    *out = (struct guess){.sample = sample, .good = sample->rows - sample->broken};
    out->fields = arena_alloc_zero(sample->arena, sample->field_count + 1, sizeof *out->fields);
    out->has_decimal_comma = find_decimal_comma(sample);
    for (uint32_t i = 0; i < sample->field_count; i++) {
        uint32_t parent = sample->fields[i].parent;
        out->fields[i].is_stray =
            (parent != UINT32_MAX && out->fields[parent].is_stray) ||
            (!sample->is_csv && parent == UINT32_MAX && out->good >= MANY &&
             (double)sample->fields[i].present < (double)out->good * BROKEN_SHARE);
        guess_type(out, &sample->fields[i], &out->fields[i]);
        guess_format(&sample->fields[i], &out->fields[i]);
        guess_range(&sample->fields[i], &out->fields[i]);
    }
    find_nulls(out);
    apply_nulls(out);
    enum status status = find_time(sample, out, err);
    if (status == STATUS_OK) {
        find_key(out);
    }
    return status;
}
