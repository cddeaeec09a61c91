#include "cli/place.h"

#include <string.h>

#include "base/bytes.h"
#include "cli/cli.h"
#include "codec/json.h"
#include "connector/registry.h"
#include "doc/doc.h"
#include "doc/grammar.h"
#include "os/file.h"
#include "plan/grammar.h"

#define PIPELINE_MAX_BYTES ((size_t)4 << 20)
#define PLACES                                                                                    \
    "local:PATH#topic, kafka://HOST:PORT/topic, file:PATH, sqlite:PATH#table, -, or a place of a " \
    "pipeline: P.yaml:source, P.yaml:dlq, P.yaml:SINK"

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool is_pipeline_file(const char *path)
{
    static const char *const endings[] = {".yaml", ".yml", ".json"};
    size_t size = strlen(path);
    for (uint32_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        size_t ending = strlen(endings[i]);
        if (size > ending && strcmp(path + size - ending, endings[i]) == 0) {
            return true;
        }
    }
    return file_exists(path);
}

static enum status refuse(const char *text, struct error *err)
{
    return error_set(err, STATUS_CONFIG, "use.place", "'%s' is no place; places are " PLACES,
                     text);
}

/* --- places of a pipeline file --- */

static enum status read_pipeline(struct arena *arena, const char *path, const struct doc **out,
                                 struct error *err)
{
    struct buffer content = {0};
    struct doc *pipeline = NULL;
    enum status status = file_read(path, PIPELINE_MAX_BYTES, &content, err);
    if (status == STATUS_OK) {
        status = doc_parse(arena, arena_copy_string(arena, path),
                           bytes_of(content.data, content.size), cli_environment, &pipeline, err);
    }
    if (status == STATUS_OK) {
        status = plan_load_modules(pipeline, err);
    }
    if (status == STATUS_OK) {
        status = grammar_check(plan_grammar(arena), pipeline, "the pipeline", err);
    }
    if (status == STATUS_OK) {
        status = plan_join_places(arena, pipeline, out, err);
    }
    buffer_fini(&content);
    return status;
}

/* Relative paths start at the pipeline file. */
static const char *path_from(struct arena *arena, const char *pipeline, const char *path)
{
    const char *slash = strrchr(pipeline, '/');
    if (path[0] == '/' || slash == NULL) {
        return arena_copy_string(arena, path);
    }
    return arena_printf(arena, "%.*s%s", (int)(slash + 1 - pipeline), pipeline, path);
}

/* The format stands in the place of a sink, and beside that of a source. */
static bool is_csv(const struct doc *node, const struct doc *config)
{
    return strcmp(grammar_string(config, "format", "json"), "csv") == 0 ||
           strcmp(grammar_string(node, "format", "json"), "csv") == 0;
}

static enum status read_files(struct arena *arena, const char *pipeline, const struct doc *node,
                              const struct doc *config, struct place *out, struct error *err)
{
    size_t count = 0;
    const char **paths = grammar_strings(arena, config, "path", &count);
    if (paths == NULL || count != 1) {
        return doc_error(config, err, "use.place",
                         "there are %zu files here; name one as file:PATH", count);
    }
    if (is_csv(node, config)) {
        return doc_error(config, err, "use.place",
                         "the rows here are CSV files, which any tool for CSV reads: they lie in %s",
                         path_from(arena, pipeline, paths[0]));
    }
    out->kind = PLACE_FILE;
    out->path = path_from(arena, pipeline, paths[0]);
    return STATUS_OK;
}

/* A topic that some connector reaches over a connection. False: the node names none. */
static bool read_remote(const char *folder, const struct doc *node, struct place *out)
{
    for (size_t i = 0; i < node->count; i++) {
        const char *kind = node->keys[i]->text;
        if (registry_connection(kind) != NULL && registry_source(kind) != NULL) {
            out->kind = PLACE_REMOTE;
            out->connector = kind;
            out->config = node->items[i];
            out->folder = folder;
            out->path = kind;
            out->name = grammar_string(out->config, "topic", "");
            return true;
        }
    }
    return false;
}

/* A table of a database that some connector reaches over a connection. False: the node names none. */
static bool read_remote_table(const char *folder, const struct doc *node, struct place *out)
{
    for (size_t i = 0; i < node->count; i++) {
        const char *kind = node->keys[i]->text;
        const struct sink_kind *sink = registry_sink(kind);
        if (sink != NULL && sink->each_row != NULL) {
            out->kind = PLACE_TABLE;
            out->connector = kind;
            out->config = node->items[i];
            out->folder = folder;
            out->path = kind;
            out->name = grammar_string(out->config, "table", "");
            return true;
        }
    }
    return false;
}

/* `node` is a source, a sink or a dlq, and has passed the grammar. */
static enum status read_node(struct arena *arena, const char *pipeline, const struct doc *node,
                             struct place *out, struct error *err)
{
    const struct doc *config = doc_get(node, "local");
    if (config != NULL) {
        out->kind = PLACE_TOPIC;
        out->path = path_from(arena, pipeline, grammar_string(config, "path", ""));
        out->name = grammar_string(config, "topic", "");
        out->connector = "local";
        out->config = config;
        out->folder = path_from(arena, pipeline, "");
        return STATUS_OK;
    }
    config = doc_get(node, "sqlite");
    if (config != NULL) {
        out->kind = PLACE_TABLE;
        out->path = path_from(arena, pipeline, grammar_string(config, "path", ""));
        out->name = grammar_string(config, "table", "");
        return STATUS_OK;
    }
    config = doc_get(node, "file");
    if (config != NULL) {
        return read_files(arena, pipeline, node, config, out, err);
    }
    if (doc_get(node, "stdin") != NULL) {
        out->kind = PLACE_STREAM;
        out->path = "-";
        return STATUS_OK;
    }
    const char *folder = path_from(arena, pipeline, "");
    if (read_remote(folder, node, out) || read_remote_table(folder, node, out)) {
        return STATUS_OK;
    }
    return doc_error(node, err, "use.place",
                     "this verb reads local logs, topics of brokers, tables, NDJSON files and "
                     "standard input; this place is none of them");
}

static enum status no_such_sink(const struct doc *pipeline, const char *name, struct error *err)
{
    const struct doc *sinks = doc_get(pipeline, "sinks");
    const char *names[32] = {"source", "dlq"};
    size_t count = 2;
    for (size_t i = 0; i < sinks->count && count < sizeof names / sizeof names[0]; i++) {
        names[count++] = sinks->keys[i]->text;
    }
    const char *nearest = string_nearest(name, names, count);
    return doc_error(sinks, err, "use.place", "there is no sink '%s' here%s%s%s", name,
                     nearest == NULL ? "" : "; did you mean '", nearest == NULL ? "" : nearest,
                     nearest == NULL ? "" : "'?");
}

enum status place_of_pipeline(struct arena *arena, const char *pipeline, const char *name,
                              struct place *out, struct error *err)
{
    const struct doc *doc = NULL;
    enum status status = read_pipeline(arena, pipeline, &doc, err);
    if (status != STATUS_OK) {
        return status;
    }
    const struct doc *node = NULL;
    if (strcmp(name, "source") == 0) {
        node = doc_get(doc, "source");
    } else if (strcmp(name, "dlq") == 0) {
        node = doc_get(doc, "dlq");
        if (node == NULL) {
            return doc_error(doc, err, "use.place",
                             "this pipeline has no dlq: it counts what is not valid and does not "
                             "keep it; a block 'dlq: {local: {path: …, topic: …}}' keeps it");
        }
    } else {
        node = doc_get(doc_get(doc, "sinks"), name);
    }
    if (node == NULL) {
        return no_such_sink(doc, name, err);
    }
    struct place place = {.text = arena_printf(arena, "%s:%s", pipeline, name),
                          .pipeline = grammar_string(doc, "name", "")};
    status = read_node(arena, pipeline, node, &place, err);
    if (status == STATUS_OK) {
        *out = place;
    }
    return status;
}

/* False: it is no topic. */
static bool read_topic(struct arena *arena, const char *pipeline, const struct doc *node,
                       struct place *out)
{
    struct error unused;
    return doc_get(node, "local") != NULL
               ? read_node(arena, pipeline, node, out, &unused) == STATUS_OK
               : read_remote(path_from(arena, pipeline, ""), node, out);
}

enum status place_topics_of_pipeline(struct arena *arena, const char *pipeline,
                                     struct pipeline_place **out, uint32_t *out_count,
                                     struct error *err)
{
    const struct doc *doc = NULL;
    enum status status = read_pipeline(arena, pipeline, &doc, err);
    if (status != STATUS_OK) {
        return status;
    }
    const struct doc *sinks = doc_get(doc, "sinks");
    struct pipeline_place *places = arena_alloc_zero(arena, sinks->count + 2, sizeof *places);
    uint32_t count = 0;
    for (size_t i = 0; i < sinks->count + 2; i++) {
        const bool is_sink = i > 0 && i <= sinks->count;
        const char *role = i == 0 ? "source" : is_sink ? sinks->keys[i - 1]->text : "dlq";
        const struct doc *node = is_sink ? sinks->items[i - 1] : doc_get(doc, role);
        struct pipeline_place *place = &places[count];
        *place = (struct pipeline_place){
            .role = role,
            .place = {.text = arena_printf(arena, "%s:%s", pipeline, role),
                      .pipeline = grammar_string(doc, "name", "")}};
        count += node != NULL && read_topic(arena, pipeline, node, &place->place);
    }
    *out = places;
    *out_count = count;
    return STATUS_OK;
}

/* --- places as they are written --- */

/* What connectors get of a topic that is named by its address: {"ADDRESS_KEY":…,"topic":…}. Without
 * the name of a file errors have no place in it. */
static enum status make_config(struct arena *arena, const char *address_key, bool is_list,
                               struct place *place, struct error *err)
{
    struct buffer text = {0};
    struct doc *config = NULL;
    buffer_printf(&text, "{\"%s\":%s", address_key, is_list ? "[" : "");
    for (const char *at = place->path; *at != '\0';) {
        size_t size = is_list ? strcspn(at, ",") : strlen(at);
        buffer_append_string(&text, at == place->path ? "" : ",");
        json_write_string(&text, bytes_of(at, size));
        at += size + (at[size] == ',');
    }
    buffer_printf(&text, "%s,\"topic\":", is_list ? "]" : "");
    json_write_string(&text, bytes_of_string(place->name == NULL ? "" : place->name));
    buffer_append_string(&text, "}");
    enum status status = doc_parse(arena, "", bytes_of(text.data, text.size), NULL, &config, err);
    buffer_fini(&text);
    place->config = config;
    place->folder = "";
    return status;
}

/* "local:PATH#topic" and "sqlite:PATH#table"; the name may be left out. */
static enum status parse_named(struct arena *arena, const char *text, enum place_kind kind,
                               struct place *out, struct error *err)
{
    const char *path = strchr(text, ':') + 1;
    const char *hash = strrchr(path, '#');
    size_t size = hash == NULL ? strlen(path) : (size_t)(hash - path);
    if (size == 0 || (hash != NULL && hash[1] == '\0')) {
        return error_set(err, STATUS_CONFIG, "use.place",
                         "'%s' lacks its %s; a %s is written %.*sPATH#%s", text,
                         size == 0             ? "path"
                         : kind == PLACE_TOPIC ? "topic"
                                               : "table",
                         kind == PLACE_TOPIC ? "topic" : "table", (int)(path - text), text,
                         kind == PLACE_TOPIC ? "topic" : "table");
    }
    *out = (struct place){
        .kind = kind,
        .text = text,
        .path = arena_copy(arena, path, size),
        .name = hash == NULL ? NULL : arena_copy_string(arena, hash + 1),
        .connector = kind == PLACE_TOPIC ? "local" : NULL,
    };
    return kind == PLACE_TOPIC ? make_config(arena, "path", false, out, err) : STATUS_OK;
}

/* "kafka://HOST:PORT,HOST:PORT/topic"; the topic may be left out. */
static enum status parse_address(struct arena *arena, const char *text, struct place *out,
                                 struct error *err)
{
    const char *address = strstr(text, "://") + 3;
    const char *kind = arena_copy(arena, text, (size_t)(address - 3 - text));
    enum status status = registry_require(kind, err);
    if (status != STATUS_OK) {
        return status;
    }
    const struct connection_kind *connection = registry_connection(kind);
    if (connection == NULL || connection->address_key == NULL || registry_source(kind) == NULL) {
        return connection == NULL ? refuse(text, err)
                                  : error_set(err, STATUS_CONFIG, "use.place",
                                              "'%s': an address does not say all that %s needs; "
                                              "name a place of a pipeline file: P.yaml:source, "
                                              "P.yaml:dlq, P.yaml:SINK",
                                              text, kind);
    }
    const char *slash = strchr(address, '/');
    size_t size = slash == NULL ? strlen(address) : (size_t)(slash - address);
    if (size == 0) {
        return error_set(err, STATUS_CONFIG, "use.place",
                         "'%s' lacks its address; a topic is written %s://HOST:PORT/topic", text,
                         kind);
    }
    *out = (struct place){
        .kind = PLACE_REMOTE,
        .text = text,
        .path = arena_copy(arena, address, size),
        .name = slash == NULL || slash[1] == '\0' ? NULL : arena_copy_string(arena, slash + 1),
        .connector = kind,
    };
    return make_config(arena, connection->address_key, true, out, err);
}

static enum status parse_any(struct arena *arena, const char *text, struct place *out,
                             struct error *err)
{
    if (strstr(text, "://") != NULL) {
        return parse_address(arena, text, out, err);
    }
    if (starts_with(text, "local:")) {
        return parse_named(arena, text, PLACE_TOPIC, out, err);
    }
    if (starts_with(text, "sqlite:")) {
        return parse_named(arena, text, PLACE_TABLE, out, err);
    }
    if (strcmp(text, "-") == 0) {
        *out = (struct place){.kind = PLACE_STREAM, .text = text, .path = "-"};
        return STATUS_OK;
    }
    if (starts_with(text, "file:") && text[strlen("file:")] != '\0') {
        *out = (struct place){
            .kind = PLACE_FILE, .text = text, .path = arena_copy_string(arena, text + 5)};
        return STATUS_OK;
    }
    const char *colon = strrchr(text, ':');
    const char *path = colon == NULL ? NULL : arena_copy(arena, text, (size_t)(colon - text));
    if (path == NULL || path[0] == '\0' || colon[1] == '\0' || !is_pipeline_file(path)) {
        return refuse(text, err);
    }
    return place_of_pipeline(arena, path, colon + 1, out, err);
}

enum status place_require_name(const struct place *place, struct error *err)
{
    if (place->name != NULL || place->kind == PLACE_FILE || place->kind == PLACE_STREAM) {
        return STATUS_OK;
    }
    if (place->kind == PLACE_TABLE) {
        return error_set(err, STATUS_CONFIG, "use.place",
                         "'%s' lacks its table; a table is written sqlite:PATH#table",
                         place->text);
    }
    bool is_local = place->kind == PLACE_TOPIC;
    return error_set(err, STATUS_CONFIG, "use.place",
                     "'%s' lacks its topic; a topic is written %s%s%s%s%s", place->text,
                     is_local ? "local:PATH#topic" : place->connector,
                     is_local ? "" : "://HOST:PORT/topic",
                     is_local ? " ('weir topic list " : "", is_local ? place->text : "",
                     is_local ? "' lists them)" : "");
}

enum status place_parse(struct arena *arena, const char *text, struct place *out,
                        struct error *err)
{
    enum status status = parse_any(arena, text, out, err);
    return status == STATUS_OK ? place_require_name(out, err) : status;
}

bool place_is_pipeline(const char *text)
{
    return strchr(text, ':') == NULL && is_pipeline_file(text);
}

static const char *kind_name(const struct place *place)
{
    static const char *const names[] = {
        [PLACE_TOPIC] = "a local log",        [PLACE_TABLE] = "a table",
        [PLACE_FILE] = "a file",              [PLACE_STREAM] = "standard input or output",
        [PLACE_REMOTE] = "a topic of brokers",
    };
    return names[place->kind];
}

enum status place_parse_log(struct arena *arena, const char *text, const char *verb,
                            struct place *out, struct error *err)
{
    enum status status = parse_any(arena, text, out, err);
    if (status == STATUS_OK && out->kind != PLACE_TOPIC) {
        return error_set(err, STATUS_CONFIG, "use.place",
                         "weir %s needs a local log, written local:PATH#topic; '%s' is %s", verb,
                         text, kind_name(out));
    }
    return status;
}

enum status place_parse_topics(struct arena *arena, const char *text, const char *verb,
                               struct place *out, struct error *err)
{
    enum status status = parse_any(arena, text, out, err);
    if (status == STATUS_OK && out->kind != PLACE_TOPIC && out->kind != PLACE_REMOTE) {
        return error_set(err, STATUS_CONFIG, "use.place",
                         "weir %s needs topics, written local:PATH#topic or "
                         "kafka://HOST:PORT/topic; '%s' is %s",
                         verb, text, kind_name(out));
    }
    return status;
}

enum status place_parse_dlq(struct arena *arena, const char *text, struct place *out,
                            struct error *err)
{
    if (place_is_pipeline(text)) {
        return place_of_pipeline(arena, text, "dlq", out, err);
    }
    return place_parse(arena, text, out, err);
}

/* --- reading a topic --- */

enum status place_open_source(const struct place *place, struct source **out, struct error *err)
{
    const struct source_ops *ops = registry_source(place->connector);
    struct error failure = {0};
    enum status status = ops->check_config == NULL
                             ? STATUS_OK
                             : ops->check_config(place->config, place->folder, err);
    if (status == STATUS_OK) {
        status = ops->open(place->config, place->folder, NULL, out, &failure);
    }
    if (status == STATUS_OK || failure.status == STATUS_OK) {
        return status;
    }
    if (strcmp(failure.code, "source.no_topic") == 0) {
        return place->kind == PLACE_TOPIC
                   ? error_set(err, status, "topic.missing",
                               "%s has no topic '%s'; 'weir topic list local:%s' lists those it "
                               "has",
                               place->path, place->name, place->path)
                   : error_set(err, status, "topic.missing",
                               "the brokers have no topic '%s'; a pipeline makes its outputs "
                               "when it first runs",
                               place->name);
    }
    *err = failure;
    return status;
}

/* --- files --- */

static bool is_part(const char *name)
{
    static const char ending[] = ".ndjson";
    size_t size = strlen(name);
    return name[0] != '.' && size >= sizeof ending &&
           strcmp(name + size - (sizeof ending - 1), ending) == 0;
}

enum status place_files(struct arena *arena, const struct place *place, const char ***out_paths,
                        size_t *out_count, bool *out_is_folder, struct error *err)
{
    const char **names = NULL;
    size_t count = 1;
    *out_count = 0;
    *out_is_folder = place->kind == PLACE_FILE && folder_exists(place->path);
    if (!*out_is_folder) {
        *out_paths = arena_alloc(arena, sizeof **out_paths);
        (*out_paths)[(*out_count)++] = place->path;
        return STATUS_OK;
    }
    enum status status = folder_list(arena, place->path, &names, &count, err);
    if (status != STATUS_OK) {
        return status;
    }
    *out_paths = arena_alloc(arena, size_mul(count + 1, sizeof **out_paths));
    for (size_t i = 0; i < count; i++) {
        if (is_part(names[i])) {
            (*out_paths)[(*out_count)++] = arena_printf(arena, "%s/%s", place->path, names[i]);
        }
    }
    return STATUS_OK;
}
