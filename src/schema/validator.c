#include "schema/validator.h"

#include "schema/judge.h"
#include "schema/schema_files.h"

struct validator {
    const struct subschema *root;
};

enum status validator_compile(struct arena *arena, const struct doc *document,
                              const struct schema_files *files, struct validator **out,
                              struct error *err)
{
    struct schema_index index;
    struct subschema_compiler compiler = {.arena = arena, .index = &index, .err = err};
    const struct subschema *root = NULL;
    enum status status = schema_index_init(&index, arena, document, schema_files_find,
                                           (void *)files, err);
    if (status == STATUS_OK) {
        status = subschema_compile(&compiler, document, &root);
    }
    subschema_compiler_fini(&compiler);
    schema_index_fini(&index);
    if (status == STATUS_OK) {
        struct validator *validator = arena_alloc_zero(arena, 1, sizeof *validator);
        validator->root = root;
        *out = validator;
    }
    return status;
}

bool validator_fits(const struct validator *validator, struct judge *judge, struct bytes text,
                    struct complaints *out)
{
    judge_begin(judge, text.size);
    if (out != NULL) {
        out->count = 0;
        out->max = VIOLATIONS_PER_ROW;
    }
    struct json_node node = json_node_read(judge->arena, &judge->stack, text);
    struct judge_where where = {.complaints = out};
    bool fits = judge_schema(judge, validator->root, &node, &where);
    return judge_end(judge, fits, out);
}
