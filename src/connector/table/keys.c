#include "connector/table/keys.h"

#include <string.h>

const char *const table_keys_modes[] = {"append", "upsert", NULL};

static enum status find_column(struct arena *arena, const struct output_shape *shape,
                               const struct doc *name, uint32_t *out, struct error *err)
{
    const char **names = arena_alloc_zero(arena, shape->column_count + 1, sizeof *names);
    for (uint32_t i = 0; i < shape->column_count; i++) {
        names[i] = shape->columns[i].name;
        if (strcmp(names[i], name->text) == 0) {
            *out = i;
            return STATUS_OK;
        }
    }
    const char *nearest = string_nearest(name->text, names, shape->column_count);
    return doc_error(name, err, "config.unknown_field",
                     "the rows of this table have no column '%s'%s%s%s", name->text,
                     nearest == NULL ? "" : "; did you mean '", nearest == NULL ? "" : nearest,
                     nearest == NULL ? "" : "'?");
}

static enum status read_columns(struct arena *arena, const struct doc *key,
                                const struct output_shape *shape, struct table_keys *out,
                                struct error *err)
{
    out->count = key->kind == DOC_LIST ? (uint32_t)key->count : 1;
    if (out->count == 0 || out->count > TABLE_KEYS_MAX) {
        return doc_error(key, err, "config.value", "a key has 1 to %u columns", TABLE_KEYS_MAX);
    }
    for (uint32_t i = 0; i < out->count; i++) {
        const struct doc *name = key->kind == DOC_LIST ? key->items[i] : key;
        enum status status = find_column(arena, shape, name, &out->columns[i], err);
        if (status == STATUS_OK && !shape->columns[out->columns[i]].required) {
            status = doc_error(name, err, "config.value",
                               "'%s' may be null, and a null never equals a key; make it required "
                               "in the schema",
                               name->text);
        }
        if (status != STATUS_OK) {
            return status;
        }
    }
    return STATUS_OK;
}

static const char *rule_of(struct arena *arena, bool is_dlq, const struct output_shape *shape,
                           const struct table_keys *keys)
{
    if (!keys->is_upsert) {
        return is_dlq ? "dead letters" : "rows";
    }
    const char *names = "";
    for (uint32_t i = 0; i < keys->count; i++) {
        names = arena_printf(arena, "%s%s%s", names, i == 0 ? "" : ", ",
                             shape->columns[keys->columns[i]].name);
    }
    return arena_printf(arena, "one row per (%s), the newest by %s%s", names,
                        keys->newest_by == FIELD_NONE ? "offset"
                                                      : shape->columns[keys->newest_by].name,
                        keys->takes_tombstones ? ", tombstones delete" : "");
}

enum status table_keys_read(struct arena *arena, const struct doc *config, bool is_dlq,
                            const struct output_shape *shape, struct table_keys *out,
                            struct error *err)
{
    const struct doc *key = doc_get(config, "key");
    const struct doc *newest_by = doc_get(config, "newest_by");
    bool is_upsert = strcmp(grammar_string(config, "mode", "append"), "upsert") == 0;
    *out = (struct table_keys){.is_upsert = is_upsert,
                               .newest_by = FIELD_NONE,
                               .takes_tombstones = is_upsert && shape->takes_tombstones};
    if (!is_upsert || is_dlq) {
        const struct doc *extra = key != NULL ? key : newest_by;
        extra = is_upsert ? doc_get(config, "mode") : extra;
        out->rule = rule_of(arena, is_dlq, shape, &(struct table_keys){0});
        return extra == NULL ? STATUS_OK
                             : doc_error(extra, err, "config.value",
                                         "key and newest_by belong to 'mode: upsert', and dead "
                                         "letters are always appended");
    }
    if (key == NULL) {
        return doc_error(config, err, "config.missing_key",
                         "mode upsert needs a key: which columns name a row?");
    }
    enum status status = read_columns(arena, key, shape, out, err);
    if (status == STATUS_OK && newest_by != NULL) {
        status = find_column(arena, shape, newest_by, &out->newest_by, err);
    }
    if (status == STATUS_OK) {
        out->rule = rule_of(arena, is_dlq, shape, out);
    }
    return status;
}

enum status table_keys_take_tombstones(const struct table_keys *keys, const struct doc *config,
                                       const struct output_shape *shape, struct key_fields *out,
                                       struct error *err)
{
    const struct doc *key = doc_get(config, "key");
    if (!keys->is_upsert) {
        return doc_error(config, err, "config.value",
                         "a table that is appended to keeps every row, so a tombstone has nothing to "
                         "delete there: 'mode: upsert' with the record's key as 'key', or leave "
                         "'tombstones' out of the source");
    }
    if (keys->newest_by != FIELD_NONE) {
        return doc_error(doc_get(config, "newest_by"), err, "config.value",
                         "a tombstone has no '%s' to compare, so nobody could say whether it or the "
                         "row is newer: leave newest_by out (the later record wins then), or leave "
                         "'tombstones' out of the source",
                         shape->columns[keys->newest_by].name);
    }
    if (keys->count != 1 && shape->key_format == KEY_TEXT) {
        return doc_error(key, err, "config.value",
                         "this table's rows are named by %u columns, and a record's key is one text: "
                         "where keys are JSON objects, as {\"id\":7,\"region\":\"x\"}, say "
                         "'key_format: json' in the source; else make it one column, or leave "
                         "'tombstones' out of the source",
                         keys->count);
    }
    out->count = keys->count;
    for (uint32_t i = 0; i < keys->count; i++) {
        const struct output_column *column = &shape->columns[keys->columns[i]];
        if (column->field == FIELD_NONE) {
            return doc_error(key, err, "config.value",
                             "'%s' is set by transform, so the key of a tombstone, which has no "
                             "fields, could not be made the same way: take a field of the record as "
                             "key",
                             column->name);
        }
        out->fields[i] = column->field;
    }
    return STATUS_OK;
}
