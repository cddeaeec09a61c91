#include "schema/fixture.h"

#include <math.h>
#include <string.h>

#include "schema/number.h"

enum status fixture_open_document(struct fixture *fixture, const struct doc *document,
                                  const struct schema_files *files, struct error *err)
{
    *fixture = (struct fixture){.arena = arena_new(16 * 1024)};
    enum status status =
        schema_compile(fixture->arena, document, files, NULL, 0, &fixture->schema, err);
    if (status != STATUS_OK) {
        fixture_close(fixture);
        return status;
    }
    fixture->checker = schema_checker_new(fixture->schema);
    fixture->batch = batch_new(schema_layout(fixture->schema));
    batch_reset(fixture->batch, 0, 1);
    return STATUS_OK;
}

enum status fixture_open(struct fixture *fixture, const char *schema, struct error *err)
{
    struct arena *arena = arena_new(16 * 1024);
    struct doc *document = NULL;
    enum status status = doc_parse(arena, "s.yaml", bytes_of_string(schema), NULL, &document, err);
    *fixture = (struct fixture){0};
    if (status == STATUS_OK) {
        status = fixture_open_document(fixture, document, NULL, err);
    }
    /* A schema must not need its document any more. */
    arena_free(arena);
    return status;
}

void fixture_close(struct fixture *fixture)
{
    batch_free(fixture->batch);
    schema_checker_free(fixture->checker);
    arena_free(fixture->arena);
    *fixture = (struct fixture){0};
}

static struct bytes raw_of(struct fixture *fixture, const struct doc *node)
{
    struct buffer text = {0};
    doc_write_canonical(node, &text);
    const char *copy = arena_copy(fixture->arena, text.data, text.size);
    struct bytes raw = bytes_of(copy, text.size);
    buffer_fini(&text);
    return raw;
}

static enum cell set_number(struct column *column, uint32_t row, const struct doc *node,
                            enum misfit_kind *out_kind)
{
    struct number number;
    check(number_parse(bytes_of(node->text, node->text_size), &number));
    if (column->type == COLUMN_DOUBLE) {
        column->reals[row] = number.real;
        *out_kind = number.real == 0 && !number.integral ? MISFIT_UNDERFLOW : MISFIT_RANGE;
        return isfinite(number.real) ? CELL_VALUE : CELL_MISFIT;
    }
    column->integers[row] = number.floor;
    *out_kind = number.integral ? MISFIT_RANGE : MISFIT_TYPE;
    return number.integral && number.in_int64 ? CELL_VALUE : CELL_MISFIT;
}

/* The rules of codec/json.h for one member that is there. */
static void set_cell(struct fixture *fixture, uint32_t field, uint32_t row, const struct doc *node)
{
    const struct field *about = &schema_layout(fixture->schema)->fields[field];
    struct column *column = &fixture->batch->columns[field];
    enum misfit_kind kind = MISFIT_TYPE;
    enum cell cell = CELL_MISFIT;
    if (node->kind == DOC_NULL) {
        cell = about->nullable ? CELL_NULL : CELL_ABSENT;
        fixture->dropped_null |= !about->nullable;
    } else if (column->type == COLUMN_JSON ||
               (column->type == COLUMN_OBJECT && node->kind == DOC_MAP)) {
        column->texts[row] = raw_of(fixture, node);
        cell = CELL_VALUE;
    } else if (column->type == COLUMN_BOOL && node->kind == DOC_BOOL) {
        column->booleans[row] = node->boolean;
        cell = CELL_VALUE;
    } else if (column->type == COLUMN_TEXT && node->kind == DOC_STRING) {
        column->texts[row] =
            bytes_of(arena_copy(fixture->arena, node->text, node->text_size), node->text_size);
        cell = CELL_VALUE;
    } else if ((column->type == COLUMN_INT64 || column->type == COLUMN_DOUBLE) &&
               (node->kind == DOC_INT || node->kind == DOC_DOUBLE)) {
        cell = set_number(column, row, node, &kind);
    }
    column->cells[row] = (uint8_t)cell;
    if (cell == CELL_MISFIT) {
        batch_add_misfit(fixture->batch, field, row, kind, raw_of(fixture, node));
    } else if (cell == CELL_VALUE && kind == MISFIT_UNDERFLOW) {
        batch_add_underflow(fixture->batch, field, row, raw_of(fixture, node));
    }
}

static void add_members(struct fixture *fixture, uint32_t parent, bool closed, uint32_t row,
                        const struct doc *object)
{
    const struct layout *layout = schema_layout(fixture->schema);
    for (size_t i = 0; i < object->count; i++) {
        const struct doc *key = object->keys[i];
        uint32_t field = 0;
        while (field < layout->field_count &&
               !(layout->fields[field].parent == parent &&
                 bytes_equal(bytes_of(layout->fields[field].name, layout->fields[field].name_size),
                             bytes_of(key->text, key->text_size)))) {
            field++;
        }
        if (field == layout->field_count) {
            fixture->unknown_field |= closed;
            continue;
        }
        set_cell(fixture, field, row, object->items[i]);
        if (layout->fields[field].type == COLUMN_OBJECT && object->items[i]->kind == DOC_MAP) {
            add_members(fixture, field, layout->fields[field].closed, row, object->items[i]);
        }
    }
}

uint32_t fixture_add_document(struct fixture *fixture, const struct doc *record)
{
    check(record->kind == DOC_MAP);
    uint32_t row = fixture->batch->row_count;
    struct record *slot = batch_append_record(fixture->batch);
    check(slot != NULL);
    slot->value = raw_of(fixture, record);
    add_members(fixture, FIELD_NONE, schema_layout(fixture->schema)->closed, row, record);
    return row;
}

uint32_t fixture_add(struct fixture *fixture, const char *record)
{
    struct error err = {0};
    struct doc *document = NULL;
    check(doc_parse(fixture->arena, "row", bytes_of_string(record), NULL, &document, &err) ==
          STATUS_OK);
    return fixture_add_document(fixture, document);
}

static uint32_t field_of(const struct fixture *fixture, const char *path)
{
    uint32_t field = layout_find(schema_layout(fixture->schema), path);
    check(field != FIELD_NONE);
    return field;
}

void fixture_set_raw(struct fixture *fixture, const char *path, uint32_t row, struct bytes raw)
{
    struct column *column = &fixture->batch->columns[field_of(fixture, path)];
    check(column->type == COLUMN_JSON);
    column->texts[row] = raw;
    column->cells[row] = CELL_VALUE;
}

void fixture_set_text(struct fixture *fixture, const char *path, uint32_t row, struct bytes text)
{
    struct column *column = &fixture->batch->columns[field_of(fixture, path)];
    check(column->type == COLUMN_TEXT);
    column->texts[row] = text;
    column->cells[row] = CELL_VALUE;
}

void fixture_set_misfit(struct fixture *fixture, const char *path, uint32_t row,
                        enum misfit_kind kind, struct bytes raw)
{
    uint32_t field = field_of(fixture, path);
    fixture->batch->columns[field].cells[row] = CELL_MISFIT;
    batch_add_misfit(fixture->batch, field, row, kind, raw);
}

void fixture_check(struct fixture *fixture)
{
    schema_check_values(fixture->checker, fixture->batch);
    schema_check_required(fixture->checker, fixture->batch, NULL);
    for (uint32_t row = 0;
         row < fixture->batch->row_count && schema_judges_records(fixture->schema); row++) {
        schema_check_record(fixture->checker, fixture->batch, row,
                            fixture->batch->records[row].value);
    }
    batch_sort_violations(fixture->batch);
}

const char *fixture_complaints(struct fixture *fixture, uint32_t row)
{
    struct reason_table table;
    reason_table_init(&table);
    struct buffer text = {0};
    uint32_t count;
    const struct violation *violations = batch_violations(fixture->batch, row, &count);
    for (uint32_t i = 0; i < count; i++) {
        const struct violation *violation = &violations[i];
        buffer_printf(&text, "%s%s %s: ", i == 0 ? "" : "; ",
                      violation->field == FIELD_NONE
                          ? "-"
                          : schema_layout(fixture->schema)->fields[violation->field].path,
                      reason_name(&table, violation->reason));
        buffer_append(&text, violation->detail.data, violation->detail.size);
    }
    const char *copy = arena_copy(fixture->arena, buffer_string(&text), text.size);
    buffer_fini(&text);
    reason_table_fini(&table);
    return copy;
}

enum cell fixture_cell(const struct fixture *fixture, const char *path, uint32_t row)
{
    return (enum cell)fixture->batch->columns[field_of(fixture, path)].cells[row];
}
