#include "codec/json_template.h"

#include <string.h>

enum {
    WEIGH_ROWS = 1024,        /* fewer say nothing */
    PAUSE_ROWS_MIN = 4096,
    PAUSE_ROWS_MAX = 128 * 1024,
    LESSONS_NEW = 32,         /* where the last batch taught something */
    LESSONS_KNOWN = 2,
};

void json_templates_init(struct json_templates *templates, struct arena *arena,
                         const struct layout *layout)
{
    const size_t table_bytes = JSON_TEMPLATES_MAX + 1;
    *templates = (struct json_templates){
        .items = arena_alloc_wide(arena, JSON_TEMPLATES_MAX * sizeof *templates->items),
        .of_rows = arena_alloc_wide(arena, BATCH_ROWS_MAX),
        .cells = arena_alloc_zero(arena, layout->field_count, table_bytes),
        .words = arena_alloc_zero(arena, layout->field_count, table_bytes),
        .field_count = layout->field_count,
        .has_learnt = true,
    };
}

/* --- Which ones to keep. --- */

static void slots_begin(struct json_slots *slots, const struct batch *batch)
{
    for (uint32_t i = 0; i < slots->count; i++) {
        struct json_slot *slot = &slots->items[i];
        slot->texts = slot->field == FIELD_NONE ? NULL : batch->columns[slot->field].texts;
    }
}

static void template_begin(struct json_template *template, const struct batch *batch)
{
    slots_begin(&template->texts, batch);
    slots_begin(&template->words, batch);
    slots_begin(&template->numbers, batch);
    slots_begin(&template->booleans, batch);
}

static void tell_fields(struct json_templates *templates, const struct json_slots *slots,
                        uint32_t number, bool words)
{
    for (uint32_t i = 0; i < slots->count; i++) {
        uint32_t field = slots->items[i].field;
        if (field != FIELD_NONE) {
            templates->cells[field][number] = CELL_VALUE;
            templates->words[field][number] = words ? 0xFF : 0;
            templates->has_words |= words;
        }
    }
}

static void tell_template(struct json_templates *templates, uint32_t number)
{
    const struct json_template *template = &templates->items[number - 1];
    tell_fields(templates, &template->texts, number, false);
    tell_fields(templates, &template->words, number, true);
    tell_fields(templates, &template->numbers, number, false);
    tell_fields(templates, &template->booleans, number, false);
}

/* Those that few records match make room. */
static void drop_rare(struct json_templates *templates)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < templates->count; i++) {
        struct json_template *template = &templates->items[i];
        if (template->hits >= templates->tried / 64) {
            templates->items[kept++] = *template;
        }
    }
    templates->count = kept;
    templates->last = 0;
    templates->has_words = false;
    const size_t tables_bytes = (size_t)templates->field_count * sizeof *templates->cells;
    memset(templates->cells, CELL_ABSENT, tables_bytes);
    memset(templates->words, 0, tables_bytes);
    for (uint32_t number = 1; number <= kept; number++) {
        templates->items[number - 1].next = 0;
        tell_template(templates, number);
    }
}

void json_templates_begin(struct json_templates *templates, const struct batch *batch)
{
    templates->lessons = templates->has_learnt ? LESSONS_NEW : LESSONS_KNOWN;
    templates->has_learnt = false;
    for (uint32_t i = 0; i < templates->count; i++) {
        template_begin(&templates->items[i], batch);
    }
}

bool json_templates_try(struct json_templates *templates, uint32_t row_count)
{
    if (templates->paused > 0) {
        templates->paused -= row_count < templates->paused ? row_count : templates->paused;
        return false;
    }
    templates->tried += row_count;
    return templates->count > 0;
}

void json_templates_weigh(struct json_templates *templates)
{
    if (templates->tried < WEIGH_ROWS) {
        return;
    }
    const uint32_t missed = templates->tried - templates->hits;
    if (templates->hits < templates->tried / 2) {
        const uint32_t longer = templates->pause == 0 ? PAUSE_ROWS_MIN : templates->pause * 2;
        templates->pause = longer < PAUSE_ROWS_MAX ? longer : PAUSE_ROWS_MAX;
        templates->paused = templates->pause;
    } else {
        templates->pause = 0;
    }
    if (templates->count == JSON_TEMPLATES_MAX && missed > templates->tried / 16) {
        drop_rare(templates);
    }
    for (uint32_t i = 0; i < templates->count; i++) {
        templates->items[i].hits = 0;
    }
    templates->tried = 0;
    templates->hits = 0;
}

/* --- Learning. --- */

/* A record on its way into a template. */
struct lesson {
    const struct json_shape *shape;
    struct json_template *to;
    struct bytes names[JSON_TEMPLATE_VALUES_MAX];
    const uint8_t *p;
    const uint8_t *end;
    const uint8_t *glue; /* where the glue at work begins */
    uint32_t value_count;
};

static void skip_space(struct lesson *lesson)
{
    while (lesson->p < lesson->end && (*lesson->p == ' ' || *lesson->p == '\n' ||
                                       *lesson->p == '\r' || *lesson->p == '\t')) {
        lesson->p++;
    }
}

static bool take_byte(struct lesson *lesson, uint8_t byte)
{
    skip_space(lesson);
    if (lesson->p == lesson->end || *lesson->p != byte) {
        return false;
    }
    lesson->p++;
    return true;
}

/* To the closing quote; false where an escape comes first. */
static bool skip_text(struct lesson *lesson)
{
    while (lesson->p < lesson->end && *lesson->p != '"' && *lesson->p != '\\') {
        lesson->p++;
    }
    return lesson->p < lesson->end && *lesson->p == '"';
}

/* The glue ends here. */
static bool end_glue(struct lesson *lesson)
{
    struct json_template *to = lesson->to;
    struct json_glue *glue = &to->glues[to->glue_count];
    const size_t size = (size_t)(lesson->p - lesson->glue);
    if (size > JSON_TEMPLATE_GLUE_MAX) {
        return false;
    }
    *glue = (struct json_glue){.size = (uint32_t)size, .quote = to->quote_count};
    memcpy(glue->bytes, lesson->glue, size);
    glue->mask = UINT64_MAX >> (JSON_TEMPLATE_GLUE_MAX - size);
    for (size_t i = 0; i < size; i++) {
        if (glue->bytes[i] == '"' && to->quote_count++ == glue->quote) {
            glue->lead = (uint32_t)i;
        }
    }
    to->glue_count++;
    to->glue_bytes += glue->size;
    return to->glue_count == 1 || glue->lead <= glue->quote;
}

static bool add_slot(struct json_slots *slots, const struct lesson *lesson,
                     const struct json_entry *entry)
{
    const bool known = entry != NULL && entry->kind != JSON_KIND_UNKNOWN;
    slots->items[slots->count++] = (struct json_slot){
        .glue = lesson->to->glue_count - 1,
        .field = known ? entry->field : FIELD_NONE,
        .type = known ? (enum column_type)entry->kind : COLUMN_DOUBLE,
    };
    return true;
}

static bool is_kind(const struct json_entry *entry, enum column_type type)
{
    return entry == NULL || entry->kind == JSON_KIND_UNKNOWN || entry->kind == type;
}

static bool learn_text(struct lesson *lesson, const struct json_entry *entry)
{
    lesson->p++;
    if (!is_kind(entry, COLUMN_TEXT) || !end_glue(lesson)) {
        return false;
    }
    lesson->glue = lesson->p;
    if (!skip_text(lesson)) {
        return false;
    }
    lesson->glue = lesson->p++;
    const bool known = entry != NULL && entry->kind != JSON_KIND_UNKNOWN;
    return !known || add_slot(&lesson->to->texts, lesson, entry);
}

static bool is_word(const struct lesson *lesson, const uint8_t *value, const struct json_entry *entry)
{
    /* With one byte the end is farther from the start than with any value before it. */
    return entry != NULL && entry->kind != JSON_KIND_UNKNOWN &&
           (size_t)(lesson->p - value) <= JSON_WORD_BYTES &&
           lesson->to->glue_bytes + 1 >= JSON_WORD_BYTES;
}

static bool learn_plain(struct lesson *lesson, const struct json_entry *entry)
{
    const uint8_t first = *lesson->p;
    const bool boolean = first == 't' || first == 'f';
    if ((!boolean && first != '-' && (first < '0' || first > '9')) || !end_glue(lesson)) {
        return false;
    }
    const uint8_t *value = lesson->p;
    while (lesson->p < lesson->end && *lesson->p != ',' && *lesson->p != '}' && *lesson->p > ' ') {
        lesson->p++;
    }
    lesson->glue = lesson->p;
    if (boolean) {
        return is_kind(entry, COLUMN_BOOL) && add_slot(&lesson->to->booleans, lesson, entry);
    }
    if (!is_kind(entry, COLUMN_DOUBLE) && !is_kind(entry, COLUMN_INT64)) {
        return false;
    }
    return add_slot(is_word(lesson, value, entry) ? &lesson->to->words : &lesson->to->numbers, lesson,
                    entry);
}

static bool is_new_name(struct lesson *lesson, struct bytes name)
{
    for (uint32_t i = 0; i < lesson->value_count; i++) {
        if (bytes_equal(lesson->names[i], name)) {
            return false;
        }
    }
    lesson->names[lesson->value_count++] = name;
    return true;
}

static bool learn_member(struct lesson *lesson)
{
    if (lesson->value_count == JSON_TEMPLATE_VALUES_MAX || !take_byte(lesson, '"')) {
        return false;
    }
    const uint8_t *first = lesson->p;
    if (!skip_text(lesson)) {
        return false;
    }
    const struct bytes name = bytes_of(first, (size_t)(lesson->p++ - first));
    const struct json_entry *entry = json_shape_find(lesson->shape, name);
    const bool declared = entry == NULL ? !lesson->shape->closed : !entry->undeclared;
    if (!declared || !is_new_name(lesson, name) || !take_byte(lesson, ':')) {
        return false;
    }
    skip_space(lesson);
    if (lesson->p == lesson->end) {
        return false;
    }
    return *lesson->p == '"' ? learn_text(lesson, entry) : learn_plain(lesson, entry);
}

/* The record's template; false when it has none. */
static bool learn_record(struct lesson *lesson)
{
    if (!take_byte(lesson, '{')) {
        return false;
    }
    do {
        if (!learn_member(lesson)) {
            return false;
        }
    } while (take_byte(lesson, ','));
    if (!take_byte(lesson, '}')) {
        return false;
    }
    lesson->p = lesson->end;
    return end_glue(lesson);
}

static bool has_same_glues(const struct json_template *a, const struct json_template *b)
{
    if (a->glue_count != b->glue_count || a->glue_bytes != b->glue_bytes) {
        return false;
    }
    for (uint32_t i = 0; i < a->glue_count; i++) {
        if (a->glues[i].mask != b->glues[i].mask ||
            memcmp(a->glues[i].bytes, b->glues[i].bytes, sizeof a->glues[i].bytes) != 0) {
            return false;
        }
    }
    return true;
}

/* Numbers that are sometimes longer than a word are never taken as words. */
static void unite(struct json_template *known, const struct json_template *other)
{
    for (uint32_t i = 0; i < other->numbers.count; i++) {
        const struct json_slot *slot = &other->numbers.items[i];
        struct json_slots *words = &known->words;
        uint32_t kept = 0;
        for (uint32_t k = 0; k < words->count; k++) {
            if (words->items[k].glue == slot->glue) {
                known->numbers.items[known->numbers.count++] = *slot;
            } else {
                words->items[kept++] = words->items[k];
            }
        }
        words->count = kept;
    }
}

void json_templates_learn(struct json_templates *templates, const struct json_shape *shape,
                          const struct batch *batch, struct bytes text)
{
    if (templates->lessons == 0 || text.size > JSON_TEMPLATE_BYTES_MAX) {
        return;
    }
    templates->lessons--;
    struct json_template learnt = {0};
    struct lesson lesson = {.shape = shape,
                            .to = &learnt,
                            .p = text.data,
                            .end = text.data + text.size,
                            .glue = text.data};
    if (!learn_record(&lesson)) {
        return;
    }
    for (uint32_t number = 1; number <= templates->count; number++) {
        struct json_template *known = &templates->items[number - 1];
        if (has_same_glues(known, &learnt)) {
            unite(known, &learnt);
            template_begin(known, batch);
            tell_template(templates, number);
            return;
        }
    }
    if (templates->count < JSON_TEMPLATES_MAX) {
        templates->items[templates->count++] = learnt;
        template_begin(&templates->items[templates->count - 1], batch);
        tell_template(templates, templates->count);
        templates->has_learnt = true;
    }
}
