/* weir init: a schema and a pipeline file for a sample, to start from. */
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "cli/guess.h"
#include "cli/verbs.h"
#include "codec/json.h"
#include "os/file.h"
#include "plan/plan.h"

/* --- the schema --- */

static const char *const type_names[] = {"",       "boolean", "integer", "number",
                                         "string", "array",   "object"};

static void write_number(double value, bool is_integer, struct buffer *out)
{
    if (is_integer) {
        json_write_int64(out, (int64_t)value);
    } else {
        json_write_double(out, value);
    }
}

static void write_member(const char *name, const char *text, struct buffer *out)
{
    buffer_printf(out, "\"%s\": ", name);
    json_write_string(out, bytes_of_string(text));
}

/* Every type that was seen, of a field that has none of its own. */
static void write_types(const struct sample_field *field, struct buffer *out)
{
    const struct {
        const char *name;
        uint64_t count;
    } seen[] = {{"boolean", field->booleans}, {"number", field->integers + field->reals},
                {"string", field->texts},     {"array", field->lists},
                {"object", field->objects},   {"null", field->nulls}};
    const char *gap = "";
    buffer_append_string(out, "\"type\": [");
    for (size_t i = 0; i < sizeof seen / sizeof seen[0]; i++) {
        if (seen[i].count > 0) {
            buffer_printf(out, "%s\"%s\"", gap, seen[i].name);
            gap = ", ";
        }
    }
    buffer_append_string(out, "]");
}

/* What speaks for it. */
static void write_comment(const struct guess *guess, uint32_t index, struct buffer *out)
{
    const struct sample_field *field = &guess->sample->fields[index];
    const struct guess_field *g = &guess->fields[index];
    uint64_t numbers = field->integers + field->reals;
    struct buffer text = {0};
    buffer_printf(&text, "in %llu of %llu rows", (unsigned long long)field->present,
                  (unsigned long long)guess->good);
    if (field->value_count > 0) {
        buffer_printf(&text, ", %s%zu different values",
                      field->value_count >= SAMPLE_VALUES_MAX ? "more than " : "",
                      field->value_count);
    }
    if (numbers > 0) {
        buffer_append_string(&text, ", numbers from ");
        json_write_double(&text, field->least);
        buffer_append_string(&text, " to ");
        json_write_double(&text, field->greatest);
    }
    if (field->texts > 0) {
        buffer_printf(&text, ", texts of %zu to %zu bytes", field->least_size,
                      field->greatest_size);
    }
    if (g->misfits > 0) {
        buffer_printf(&text, "; %llu values are of another kind, which is taken as broken",
                      (unsigned long long)g->misfits);
    }
    write_member("$comment", buffer_string(&text), out);
    buffer_fini(&text);
}

static void write_object(const struct guess *guess, uint32_t parent, unsigned depth,
                         struct buffer *out);

static bool has_members(const struct sample *sample, uint32_t parent)
{
    for (uint32_t i = 0; i < sample->field_count; i++) {
        if (sample->fields[i].parent == parent) {
            return true;
        }
    }
    return false;
}

static void write_field(const struct guess *guess, uint32_t index, unsigned depth,
                        struct buffer *out)
{
    const struct sample_field *field = &guess->sample->fields[index];
    const struct guess_field *g = &guess->fields[index];
    bool is_empty = field->booleans + field->integers + field->reals + field->texts + field->lists +
                        field->objects + field->nulls ==
                    0;
    buffer_printf(out, "%*s", (int)(depth * 2), "");
    json_write_string(out, bytes_of_string(field->name));
    buffer_append_string(out, ": {");
    if (g->type != GUESS_ANY) {
        buffer_printf(out, g->is_nullable ? "\"type\": [\"%s\", \"null\"]" : "\"type\": \"%s\"",
                      type_names[g->type]);
    } else if (!is_empty) {
        write_types(field, out);
    }
    if (g->format != NULL) {
        buffer_printf(out, ", \"format\": \"%s\"", g->format);
    }
    if (g->has_range) {
        buffer_append_string(out, ", \"minimum\": ");
        write_number(g->minimum, g->type == GUESS_INTEGER, out);
        buffer_append_string(out, ", \"maximum\": ");
        write_number(g->maximum, g->type == GUESS_INTEGER, out);
    }
    buffer_append_string(out, g->type == GUESS_ANY && is_empty ? "" : ", ");
    write_comment(guess, index, out);
    if (g->type == GUESS_OBJECT && has_members(guess->sample, index)) {
        buffer_append_string(out, ",\n");
        write_object(guess, index, depth + 1, out);
    }
    buffer_append_string(out, "}");
}

/* The members `required` and `properties` of an object. */
static void write_object(const struct guess *guess, uint32_t parent, unsigned depth,
                         struct buffer *out)
{
    const struct sample *sample = guess->sample;
    const char *gap = "";
    buffer_printf(out, "%*s\"required\": [", (int)(depth * 2), "");
    for (uint32_t i = 0; i < sample->field_count; i++) {
        if (sample->fields[i].parent == parent && guess->fields[i].is_required &&
            !guess->fields[i].is_stray) {
            buffer_append_string(out, gap);
            json_write_string(out, bytes_of_string(sample->fields[i].name));
            gap = ", ";
        }
    }
    buffer_printf(out, "],\n%*s\"properties\": {", (int)(depth * 2), "");
    gap = "\n";
    for (uint32_t i = 0; i < sample->field_count; i++) {
        if (sample->fields[i].parent == parent && !guess->fields[i].is_stray) {
            buffer_append_string(out, gap);
            write_field(guess, i, depth + 1, out);
            gap = ",\n";
        }
    }
    buffer_printf(out, "\n%*s}", (int)(depth * 2), "");
}

/* Members of very few rows pass as they are. */
static void write_strays(const struct guess *guess, struct buffer *out)
{
    const char *gap = "; left out, for less than one row of a hundred has them: ";
    for (uint32_t i = 0; i < guess->sample->field_count; i++) {
        const struct sample_field *field = &guess->sample->fields[i];
        if (guess->fields[i].is_stray && field->parent == UINT32_MAX) {
            buffer_printf(out, "%s'%s' (%llu)", gap, field->name,
                          (unsigned long long)field->present);
            gap = ", ";
        }
    }
}

static void write_schema(const struct guess *guess, struct buffer *out)
{
    buffer_append_string(out, "{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n"
                              "  ");
    struct buffer text = {0};
    buffer_printf(&text,
                  "guessed by weir init from %llu rows; ranges are what was seen and as much again "
                  "on either side",
                  (unsigned long long)guess->good);
    write_strays(guess, &text);
    write_member("$comment", buffer_string(&text), out);
    buffer_fini(&text);
    buffer_append_string(out, ",\n  \"type\": \"object\",\n");
    write_object(guess, UINT32_MAX, 1, out);
    buffer_append_string(out, "\n}\n");
}

/* --- the pipeline --- */

static void write_string(const char *text, struct buffer *out)
{
    json_write_string(out, bytes_of_string(text)); /* YAML reads it the same. */
}

static void write_csv(const struct guess *guess, struct buffer *out)
{
    const struct sample *sample = guess->sample;
    const char *gap = "";
    buffer_append_string(out, "  csv:\n");
    buffer_printf(out, "    header: %s%s\n", sample->csv.has_header ? "true" : "false",
                  sample->csv.has_header
                      ? "                 # no cell of the first row is empty or a number"
                      : "                # the first row has empty cells or numbers");
    if (!sample->csv.has_header) {
        buffer_append_string(out, "    names: [");
        for (uint32_t i = 0; i < sample->field_count; i++) {
            buffer_append_string(out, gap);
            write_string(sample->fields[i].path, out);
            gap = ", ";
        }
        buffer_append_string(out, "]            # made up\n");
    }
    if (sample->csv.delimiter != ',') {
        buffer_append_string(out, "    delimiter: ");
        write_string((char[]){(char)sample->csv.delimiter, '\0'}, out);
        buffer_append_string(out, "              # gives the first rows the same number of cells\n");
    }
    if (guess->has_decimal_comma) {
        buffer_append_string(out, "    decimal: ','                # numbers look like 1,5\n");
    }
    gap = "    nulls: [";
    for (uint32_t i = 0; i < SAMPLE_WORDS; i++) {
        if (guess->words[i]) {
            buffer_append_string(out, gap);
            write_string(sample_words[i], out);
            gap = ", ";
        }
    }
    if (strcmp(gap, ", ") == 0) {
        buffer_append_string(out, "]               # stand where numbers or times are expected\n");
    }
}

static void write_repair(const struct guess *guess, struct buffer *out)
{
    const struct sample *sample = guess->sample;
    const char *gap = "  null_values: [";
    struct buffer lines = {0};
    for (uint32_t i = 0; i < SAMPLE_WORDS && !sample->is_csv; i++) {
        if (guess->words[i]) {
            buffer_append_string(&lines, gap);
            write_string(sample_words[i], &lines);
            gap = ", ";
        }
    }
    for (uint32_t i = 0; i < SAMPLE_SENTINELS; i++) {
        if (guess->sentinels[i]) {
            buffer_append_string(&lines, gap);
            json_write_int64(&lines, (int64_t)sample_sentinels[i]);
            gap = ", ";
        }
    }
    if (lines.size > 0) {
        buffer_append_string(&lines, "]   # stand where numbers or times are expected, far from all "
                                     "others\n");
    }
    gap = "  coerce: [";
    bool has_coerce = false;
    for (uint32_t i = 0; i < sample->field_count; i++) {
        if (guess->fields[i].is_coerced && !guess->fields[i].is_stray) {
            buffer_append_string(&lines, gap);
            write_string(sample->fields[i].path, &lines);
            gap = ", ";
            has_coerce = true;
        }
    }
    if (has_coerce) {
        buffer_append_string(&lines, "]        # some of their numbers are written as texts\n");
    }
    if (lines.size > 0) {
        buffer_append_string(out, "repair:\n");
        buffer_append(out, lines.data, lines.size);
    }
    buffer_fini(&lines);
}

/* The next round time that is not shorter, a week at most. */
static const char *round_time(int64_t us)
{
    static const struct {
        const char *text;
        int64_t seconds;
    } steps[] = {{"1s", 1},      {"5s", 5},      {"10s", 10},   {"30s", 30},   {"1m", 60},
                 {"5m", 300},    {"10m", 600},   {"30m", 1800}, {"1h", 3600},  {"2h", 7200},
                 {"6h", 21600},  {"12h", 43200}, {"1d", 86400}, {"2d", 172800}};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        if (us <= steps[i].seconds * TIME_US_PER_SECOND) {
            return steps[i].text;
        }
    }
    return "7d";
}

static void write_time_field(const struct guess *guess, struct buffer *out)
{
    const struct sample *sample = guess->sample;
    const char *gap = "";
    buffer_append_string(out, guess->time_count == 1 ? "  field: " : "  fields: [");
    for (uint32_t i = 0; i < guess->time_count; i++) {
        buffer_append_string(out, gap);
        write_string(sample->fields[guess->time_fields[i]].path, out);
        gap = ", ";
    }
    char first[TIME_TEXT_BYTES];
    char last[TIME_TEXT_BYTES];
    time_format(guess->time.first_us, first);
    time_format(guess->time.last_us, last);
    buffer_printf(out, "%s   # a time in %llu of %llu rows, from %s to %s\n",
                  guess->time_count == 1 ? "" : "]", (unsigned long long)guess->time.read,
                  (unsigned long long)guess->good, first, last);
}

/* Rounded up, at least one. */
static long long whole_days(int64_t us)
{
    return us / (86400 * TIME_US_PER_SECOND) + 1;
}

/* How far rows may be behind and ahead. */
static void write_order(const struct guess *guess, struct buffer *out)
{
    if (guess->is_unordered) {
        buffer_printf(out,
                      "  lateness: %lldd                  # the rows are not in the order of their "
                      "times: nothing is late\n",
                      whole_days(guess->time.last_us - guess->time.first_us));
        return;
    }
    if (guess->time.step_back_us > 0) {
        buffer_printf(out,
                      "  lateness: %s                  # %llu rows are behind an earlier one, by %lld "
                      "s at most\n",
                      round_time(guess->time.step_back_us),
                      (unsigned long long)guess->time.steps_back,
                      (long long)(guess->time.step_back_us / TIME_US_PER_SECOND));
    }
    if (guess->time.jumps > 0 && guess->sender != UINT32_MAX) {
        buffer_printf(out,
                      "  max_jump: %lldd                  # %llu rows are further ahead of all "
                      "others: wrong clocks\n  jump_by: ",
                      whole_days(guess->time.gap_us), (unsigned long long)guess->time.jumps);
        write_string(guess->sample->fields[guess->sender].path, out);
        buffer_printf(out, "   # %zu different values, as of senders\n",
                      guess->sample->fields[guess->sender].value_count);
    }
}

/* The time goes out in the one form that sorts, over a text or beside what it is made of. */
static void write_as(const struct guess *guess, struct buffer *out)
{
    uint32_t field = guess->time_fields[0];
    const char *name = "event_time";
    if (guess->time_count == 1 && guess->fields[field].type == GUESS_STRING) {
        name = guess->sample->fields[field].path;
    } else if (sample_find(guess->sample, name) != UINT32_MAX) {
        return;
    }
    buffer_append_string(out, "  as: ");
    write_string(name, out);
    buffer_append_string(out, "             # goes out as 2026-01-31T12:34:56Z\n");
}

static void write_event_time(const struct guess *guess, struct buffer *out)
{
    if (guess->time_count == 0) {
        buffer_append_string(out, "# No field is a time in nearly all rows, so nothing is late: "
                                  "event_time: {field: …}\n");
        return;
    }
    struct time_form form;
    const char *fault = time_form_compile(guess->time_form, &form);
    check(fault == NULL);
    if (guess->has_wrong_clocks) {
        buffer_printf(out,
                      "# '%s' is a time, but in %llu rows it is days ahead of all others: wrong "
                      "clocks, behind which\n# every right one would be late. A log has times to "
                      "compare with (event_time.max_future); first:\n#   weir produce local:%s "
                      "--help\n",
                      guess->sample->fields[guess->time_fields[0]].path,
                      (unsigned long long)guess->time.jumps, "FILE#topic");
        return;
    }
    buffer_append_string(out, "event_time:\n");
    write_time_field(guess, out);
    if (form.kind != TIME_FORM_RFC3339) {
        buffer_append_string(out, "  format: ");
        write_string(guess->time_form, out);
        buffer_append_string(out, "\n");
    }
    if (time_form_needs_zone(&form)) {
        buffer_append_string(out, "  zone: UTC                     # a guess: the times do not say; or "
                                  "'+01:00', Europe/Berlin, …\n");
    }
    if (form.kind != TIME_FORM_RFC3339) {
        write_as(guess, out);
    }
    write_order(guess, out);
}

static void write_dedup(const struct guess *guess, struct buffer *out)
{
    if (guess->key == UINT32_MAX) {
        buffer_append_string(out, "# No field tells nearly all rows apart, so nothing is a duplicate: "
                                  "dedup: {key: …, window: …}\n");
        return;
    }
    const struct sample_field *field = &guess->sample->fields[guess->key];
    buffer_append_string(out, guess->key_is_certain ? "dedup: {key: " : "# dedup: {key: ");
    write_string(field->path, out);
    buffer_printf(out, ", window: %s}   # %zu different values in %llu rows%s\n",
                  guess->time_count > 0 && !guess->has_wrong_clocks ? "1d" : "unlimited", field->value_count,
                  (unsigned long long)field->present,
                  guess->key_is_certain ? "" : "; take the # away if that is meant");
}

/* Names that a table would not tell apart. */
static bool has_table_columns(const struct guess *guess)
{
    const struct sample *sample = guess->sample;
    for (uint32_t i = 0; i < sample->field_count; i++) {
        for (uint32_t k = 0; k < i; k++) {
            if (guess->fields[i].is_stray || guess->fields[k].is_stray) {
                continue;
            }
            const char *a = sample->fields[i].path;
            const char *b = sample->fields[k].path;
            size_t at = 0;
            while (a[at] != '\0' && b[at] != '\0' &&
                   ((a[at] | 0x20) == (b[at] | 0x20) ||
                    (strchr("._", a[at]) != NULL && strchr("._", b[at]) != NULL))) {
                at++;
            }
            if (a[at] == b[at]) {
                return false;
            }
        }
    }
    return true;
}

static void write_pipeline(const struct guess *guess, const char *name, const char *input,
                           struct buffer *out)
{
    const struct sample *sample = guess->sample;
    bool has_table = has_table_columns(guess);
    buffer_printf(out, "# Written by weir init from %llu rows", (unsigned long long)sample->rows);
    if (sample->broken > 0) {
        buffer_printf(out, ", %llu of which could not be read",
                      (unsigned long long)sample->broken);
    }
    buffer_printf(out, ". Each guess has its reason; %s.schema.json has those of the fields.\n"
                       "#   weir run %s.yaml --until-end\nversion: 1\nname: %s\nsource:\n  file: {path: ",
                  name, name, name);
    write_string(input, out);
    buffer_printf(out, "}\n  format: %s\n", sample->is_csv ? "csv" : "json");
    if (sample->is_csv) {
        write_csv(guess, out);
    }
    buffer_printf(out, "schema: %s.schema.json\n", name);
    write_repair(guess, out);
    write_event_time(guess, out);
    write_dedup(guess, out);
    if (has_table) {
        buffer_printf(out, "sinks:\n  rows:\n    sqlite: {path: %s.db, table: rows}\n", name);
    } else {
        buffer_printf(out,
                      "sinks:\n  rows:\n    local: {path: %s.db, topic: %s_rows}   # a table would "
                      "not tell all fields apart by name\n",
                      name, name);
    }
    buffer_printf(out, "dlq:\n  local: {path: %s.db, topic: %s_dlq}   # weir dlq list %s.yaml\n", name,
                  name, name);
}

/* --- the verb --- */

struct target {
    const char *name;
    const char *pipeline; /* paths */
    const char *schema;
    const char *input; /* as the pipeline names it */
};

/* The file's name up to its first dot, of what a pipeline may be called. */
static char *default_name(struct arena *arena, const char *path)
{
    const char *slash = strrchr(path, '/');
    char *name = arena_copy_string(arena, slash == NULL ? path : slash + 1);
    name[strcspn(name, ".")] = '\0';
    for (char *c = name; *c != '\0'; c++) {
        bool is_letter = (*c >= 'A' && *c <= 'Z') || (*c >= 'a' && *c <= 'z');
        *c = is_letter || (*c >= '0' && *c <= '9') || *c == '_' || *c == '-' ? *c : '_';
    }
    return name[0] == '\0' ? arena_copy_string(arena, "sample") : name;
}

static enum status find_target(struct arena *arena, const struct cli_arguments *arguments,
                               const char *input, struct target *out, struct error *err)
{
    const char *folder = cli_value(arguments, "to");
    const char *name = cli_value(arguments, "name");
    out->name = name != NULL ? name : default_name(arena, input);
    if (strchr(out->name, '/') != NULL || out->name[0] == '\0' || strlen(out->name) > 100) {
        return error_set(err, STATUS_CONFIG, "use.value",
                         "--name takes a name, not a path; --to says in which folder");
    }
    out->pipeline = arena_printf(arena, "%s%s%s.yaml", folder == NULL ? "" : folder,
                                 folder == NULL ? "" : "/", out->name);
    out->schema = arena_printf(arena, "%s%s%s.schema.json", folder == NULL ? "" : folder,
                               folder == NULL ? "" : "/", out->name);
    out->input = input;
    if (folder != NULL) {
        char *real = realpath(input, NULL);
        out->input = real == NULL ? input : arena_copy_string(arena, real);
        free(real);
    }
    const char *taken = file_exists(out->pipeline) ? out->pipeline
                        : file_exists(out->schema) ? out->schema
                                                   : NULL;
    if (taken != NULL && !cli_given(arguments, "force")) {
        return error_set(err, STATUS_CONFIG, "init.exists",
                         "%s is there already: give --name or --to, or --force to write over it",
                         taken);
    }
    return folder == NULL ? STATUS_OK : folder_make(folder, err);
}

static enum status write_files(const struct guess *guess, const struct target *target,
                               struct error *err)
{
    struct buffer schema = {0};
    struct buffer pipeline = {0};
    write_schema(guess, &schema);
    write_pipeline(guess, target->name, target->input, &pipeline);
    enum status status =
        file_write_durably(target->schema, bytes_of(schema.data, schema.size), 0666, err);
    if (status == STATUS_OK) {
        status =
            file_write_durably(target->pipeline, bytes_of(pipeline.data, pipeline.size), 0666, err);
    }
    buffer_fini(&schema);
    buffer_fini(&pipeline);
    return status;
}

static void tell(const struct guess *guess, const struct target *target)
{
    const struct sample *sample = guess->sample;
    char rows[27];
    printf("%s: %s rows of %s, %u fields\n", sample->path, cli_count(sample->rows, rows),
           sample->is_csv ? "CSV" : "NDJSON", sample->field_count);
    if (sample->broken > 0) {
        printf("%s of them cannot be read and will be INVALID\n", cli_count(sample->broken, rows));
    }
    printf("%s and %s are written; look at the reasons in them, then\n  weir run %s --until-end\n",
           target->pipeline, target->schema, target->pipeline);
}

static enum status init(const struct cli_arguments *arguments, struct error *err)
{
    const char *input = cli_value(arguments, "from");
    if (input == NULL) {
        return error_set(err, STATUS_CONFIG, "use.option",
                         "init needs a sample: weir init --from FILE");
    }
    struct sample sample = {0};
    struct guess guess = {0};
    struct target target = {0};
    struct arena *arena = arena_new(4096);
    enum status status = find_target(arena, arguments, input, &target, err);
    if (status == STATUS_OK) {
        status = sample_read(&sample, input, err);
        if (status == STATUS_OK) {
            status = guess_make(&sample, &guess, err);
        }
        if (status == STATUS_OK) {
            status = write_files(&guess, &target, err);
        }
        struct plan *plan = NULL;
        if (status == STATUS_OK) {
            status = plan_load(target.pipeline, cli_environment, &plan, err);
        }
        if (status == STATUS_OK) {
            tell(&guess, &target);
            plan_free(plan);
        }
        sample_close(&sample);
    }
    arena_free(arena);
    return status;
}

static const struct cli_option options[] = {
    {"from", "FILE", "the sample: NDJSON or CSV, plain or compressed", false},
    {"to", "FOLDER", "where the two files go; here unless given", false},
    {"name", "NAME", "what the pipeline is called; after the sample unless given", false},
    {"force", NULL, "write over files that are there", false},
    {0},
};

const struct cli_verb verb_init = {
    .name = "init",
    .arguments = "--from FILE",
    .summary = "write a schema and a pipeline file for a sample",
    .details = "Reads the whole sample twice and writes NAME.yaml and NAME.schema.json: types, ranges,\n"
               "formats, words for null, the time and the key, each a guess with its reason beside\n"
               "it. The pipeline runs at once; its rows go to a table in NAME.db. What is in less\n"
               "than one row of a hundred where all others agree is taken as broken.",
    .options = options,
    .run = init,
};
