/* weir reconcile: two places that should hold the same rows. */
#include "inspect/reconcile.h"

#include <stdlib.h>
#include <string.h>

#include "cli/bar.h"
#include "cli/place.h"
#include "cli/verbs.h"
#include "codec/json.h"

#define NAMES_MAX 64u

/* --- what is asked for --- */

/* Columns are called as in a table: "location.lat" is location_lat. */
static const char *column_name(struct arena *arena, const char *text, size_t size)
{
    char *name = arena_copy(arena, text, size);
    for (char *at = name; *at != '\0'; at++) {
        *at = *at == '.' ? '_' : *at;
    }
    return name;
}

/* Names with commas between, of all values of the option. */
static enum status read_names(struct arena *arena, const struct cli_arguments *arguments,
                              const char *option, const char *const **out, uint32_t *out_count,
                              struct error *err)
{
    const char **names = arena_alloc_zero(arena, NAMES_MAX, sizeof *names);
    uint32_t at = 0;
    const char *text;
    *out = names;
    while ((text = cli_next_value(arguments, option, &at)) != NULL) {
        for (const char *name = text; name != NULL;) {
            const char *comma = strchr(name, ',');
            size_t size = comma == NULL ? strlen(name) : (size_t)(comma - name);
            if (size == 0 || *out_count == NAMES_MAX) {
                return error_set(err, STATUS_CONFIG, "use.value",
                                 "--%s takes names with commas between, %u at most, not '%s'",
                                 option, NAMES_MAX, text);
            }
            names[(*out_count)++] = column_name(arena, name, size);
            name = comma == NULL ? NULL : comma + 1;
        }
    }
    return STATUS_OK;
}

/* "id", or "LEFT=RIGHT" where the two places call it differently. */
static enum status read_keys(struct arena *arena, const struct cli_arguments *arguments,
                             struct reconcile_query *query, struct error *err)
{
    const char *const *names = NULL;
    enum status status = read_names(arena, arguments, "key", &names, &query->key_count, err);
    if (status == STATUS_OK && query->key_count == 0) {
        return error_set(err, STATUS_CONFIG, "use.option",
                         "--key says which columns tell rows apart: --key id, or --key site,id");
    }
    const char **left = arena_alloc_zero(arena, NAMES_MAX, sizeof *left);
    const char **right = arena_alloc_zero(arena, NAMES_MAX, sizeof *right);
    for (uint32_t i = 0; i < query->key_count && status == STATUS_OK; i++) {
        const char *equals = strchr(names[i], '=');
        left[i] = equals == NULL ? names[i]
                                 : arena_copy(arena, names[i], (size_t)(equals - names[i]));
        right[i] = equals == NULL ? names[i] : equals + 1;
        if (left[i][0] == '\0' || right[i][0] == '\0') {
            return error_set(err, STATUS_CONFIG, "use.value",
                             "--key takes COLUMN, or LEFT=RIGHT where the places call it "
                             "differently, not '%s'",
                             names[i]);
        }
    }
    query->keys[0] = left;
    query->keys[1] = right;
    return status;
}

static enum status each_row(const void *place, place_row_visitor *visit, void *context,
                            struct error *err)
{
    return place_each_row(place, visit, context, err);
}

static enum status read_place(struct arena *arena, const char *text, struct reconcile_place *out,
                              struct error *err)
{
    struct place *place = arena_alloc_zero(arena, 1, sizeof *place);
    enum status status = place_parse(arena, text, place, err);
    if (status != STATUS_OK) {
        return status;
    }
    if (place->kind == PLACE_STREAM) {
        return error_set(err, STATUS_CONFIG, "use.place",
                         "standard input cannot be read twice, which naming differences needs; "
                         "write it to a file first");
    }
    *out = (struct reconcile_place){.each = each_row, .place = place};
    return STATUS_OK;
}

static enum status read_query(struct arena *arena, const struct cli_arguments *arguments,
                              struct reconcile_query *query, struct error *err)
{
    int64_t most = 0;
    const char *temporary = cli_value(arguments, "temp");
    enum status status = cli_integer(arguments, "limit", 0, 1000000, 20, &most, err);
    query->most = (uint32_t)most;
    for (uint32_t i = 0; i < 2 && status == STATUS_OK; i++) {
        status = read_place(arena, arguments->positional[i], &query->places[i], err);
    }
    if (status == STATUS_OK) {
        status = read_keys(arena, arguments, query, err);
    }
    if (status == STATUS_OK) {
        status = read_names(arena, arguments, "columns", &query->columns, &query->column_count,
                            err);
    }
    if (status == STATUS_OK) {
        status = read_names(arena, arguments, "ignore", &query->ignored, &query->ignored_count,
                            err);
    }
    temporary = temporary != NULL ? temporary : cli_environment("TMPDIR");
    query->temporary = temporary != NULL && temporary[0] != '\0' ? temporary : "/tmp";
    return status;
}

/* --- for people --- */

static const char *text_or_absent(const char *text)
{
    return text == NULL ? "absent" : text;
}

static void print_difference(const struct reconcile_difference *difference)
{
    printf("%-8s %s", reconcile_kind_name(difference->kind),
           difference->key == NULL ? "(a row that is not there any more)" : difference->key);
    if (difference->counts[0] > 1 || difference->counts[1] > 1) {
        printf("  %llu left, %llu right", (unsigned long long)difference->counts[0],
               (unsigned long long)difference->counts[1]);
    }
    for (uint32_t i = 0; i < difference->column_count; i++) {
        const struct reconcile_column *column = &difference->columns[i];
        printf("%s %s: %s → %s", i == 0 ? " " : ",", column->name,
               text_or_absent(column->texts[0]), text_or_absent(column->texts[1]));
    }
    printf("\n");
}

static void print_text(const struct reconcile_result *result,
                       const struct cli_arguments *arguments)
{
    char text[27];
    uint64_t told = 0;
    uint64_t all = 0;
    for (uint32_t i = 0; i < result->difference_count; i++) {
        print_difference(&result->differences[i]);
        told++;
    }
    for (uint32_t side = 0; side < 2; side++) {
        if (result->unreadable[side] > 0) {
            printf("%s: %s rows are no JSON objects and cannot be compared\n",
                   arguments->positional[side], cli_count(result->unreadable[side], text));
        }
    }
    for (uint32_t side = 0; side < 2; side++) {
        if (result->deletions[side] > 0) {
            printf("%s: %s tombstones, which delete a key\n", arguments->positional[side],
                   cli_count(result->deletions[side], text));
        }
    }
    printf("left %s", cli_count(result->rows[0], text));
    printf(", right %s: ", cli_count(result->rows[1], text));
    printf("same %s", cli_count(result->same, text));
    for (uint32_t i = 0; i < RECONCILE_KINDS; i++) {
        printf(" · %s %s", reconcile_kind_name((enum reconcile_kind)i),
               cli_count(result->counts[i], text));
        all += result->counts[i];
    }
    printf("\n");
    if (all > told) {
        fprintf(stderr, "not all differences are named; --limit N names more\n");
    }
}

/* --- for programs --- */

static void write_difference(const struct reconcile_difference *difference, struct buffer *out)
{
    buffer_printf(out, "{\"kind\":\"%s\",\"key\":%s,\"left\":%llu,\"right\":%llu,\"columns\":[",
                  reconcile_kind_name(difference->kind),
                  difference->key == NULL ? "null" : difference->key,
                  (unsigned long long)difference->counts[0],
                  (unsigned long long)difference->counts[1]);
    for (uint32_t i = 0; i < difference->column_count; i++) {
        const struct reconcile_column *column = &difference->columns[i];
        buffer_append_string(out, i == 0 ? "{\"column\":" : ",{\"column\":");
        json_write_string(out, bytes_of_string(column->name));
        for (uint32_t side = 0; side < 2; side++) {
            if (column->texts[side] != NULL) {
                buffer_append_string(out, side == 0 ? ",\"left\":" : ",\"right\":");
                buffer_append_string(out, column->texts[side]);
            }
        }
        buffer_append_byte(out, '}');
    }
    buffer_append_string(out, "]}");
}

static void print_json(const struct reconcile_result *result,
                       const struct cli_arguments *arguments)
{
    static const char *const sides[] = {"left", "right"};
    struct buffer out = {0};
    for (uint32_t side = 0; side < 2; side++) {
        buffer_printf(&out, "%s\"%s\":{\"place\":", side == 0 ? "{" : ",", sides[side]);
        json_write_string(&out, bytes_of_string(arguments->positional[side]));
        buffer_printf(&out, ",\"rows\":%llu,\"unreadable\":%llu,\"deletions\":%llu}",
                      (unsigned long long)result->rows[side],
                      (unsigned long long)result->unreadable[side],
                      (unsigned long long)result->deletions[side]);
    }
    buffer_printf(&out, ",\"same\":%llu", (unsigned long long)result->same);
    for (uint32_t i = 0; i < RECONCILE_KINDS; i++) {
        buffer_printf(&out, ",\"%s\":%llu", reconcile_kind_name((enum reconcile_kind)i),
                      (unsigned long long)result->counts[i]);
    }
    buffer_append_string(&out, ",\"differences\":[");
    for (uint32_t i = 0; i < result->difference_count; i++) {
        buffer_append_string(&out, i == 0 ? "" : ",");
        write_difference(&result->differences[i], &out);
    }
    printf("%s]}\n", buffer_string(&out));
    buffer_fini(&out);
}

static enum status reconcile(const struct cli_arguments *arguments, struct error *err)
{
    struct arena *arena = arena_new(16 * 1024);
    struct reconcile_query query = {0};
    struct reconcile_result result = {0};
    struct bar bar;
    bar_init(&bar);
    struct run_observer observer = {.context = &bar, .progress = bar_observe};
    enum status status = read_query(arena, arguments, &query, err);
    if (status == STATUS_OK) {
        status = reconcile_places(&query, &observer, &result, err);
        bar_clear(&bar);
    }
    if (status == STATUS_OK) {
        (cli_given(arguments, "json") ? print_json : print_text)(&result, arguments);
        status = reconcile_is_same(&result) ? STATUS_OK : STATUS_DATA;
    }
    reconcile_result_fini(&result);
    arena_free(arena);
    return status;
}

static const struct cli_option options[] = {
    {"key", "COLUMN[,COLUMN]", "what tells rows apart; LEFT=RIGHT where names differ; $key is the "
                               "key of a record", true},
    {"columns", "COLUMN[,COLUMN]", "compare these only", true},
    {"ignore", "COLUMN[,COLUMN]", "do not compare these", true},
    {"limit", "N", "name so many differences; 20 unless set"},
    {"temp", "FOLDER", "for temporary files; $TMPDIR or /tmp unless set"},
    {"json", NULL, "print it as one JSON object"},
    {0},
};

const struct cli_verb verb_reconcile = {
    .name = "reconcile",
    .arguments = "LEFT RIGHT --key COLUMN[,COLUMN] [--columns …] [--ignore …] [--limit N] "
                 "[--temp FOLDER] [--json]",
    .summary = "compare two places row by row: missing, doubled, altered",
    .details =
        "Compares any two places that should hold the same rows, whoever wrote them. Places are\n"
        "local:PATH#topic, kafka://HOST:PORT/topic, file:PATH (NDJSON, or a folder of parts),\n"
        "sqlite:PATH#table, and P.yaml:SINK.\n"
        "\n"
        "  missing   in LEFT, and not in RIGHT\n"
        "  extra     in RIGHT, and LEFT has no row of that key\n"
        "  doubled   more often in RIGHT than in LEFT\n"
        "  altered   in both with one key, but not the same\n"
        "\n"
        "Columns are compared by name; a member of an object is a column OBJECT_MEMBER, and null is\n"
        "as absent. Numbers are compared as values (64-bit integers, doubles), however they are\n"
        "written; true and false as 1 and 0; texts that are RFC 3339 times as instants; texts that\n"
        "are JSON objects or arrays as these. Columns that begin with _weir_ are left out, unless\n"
        "--columns names them. Rows that are no JSON objects are counted apart, and are a\n"
        "difference. Tombstones (a key without a value) are counted apart too; with --key '$key' they\n"
        "are rows like others, else they are not compared.\n"
        "\n"
        "Memory stays below 128 MiB however many rows there are; the temporary files take 32 bytes a\n"
        "row. Exit status 0 when the places are the same, 1 when they differ.",
    .options = options,
    .least = 2,
    .most = 2,
    .run = reconcile,
};
