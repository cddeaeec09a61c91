/* weir backup: all that a pipeline keeps, copied while it runs. */
#include "inspect/backup.h"

#include <string.h>

#include "cli/copy_progress.h"
#include "cli/place.h"
#include "cli/verbs.h"
#include "doc/doc.h"
#include "os/file.h"

#define PIPELINE_MAX_BYTES ((size_t)4 << 20)

/* The pipeline file itself, and its schema where that is a file: by their paths from its folder. */
static enum status find_extra(struct arena *arena, const char *path, const char *extra[2],
                              uint32_t *out_count, struct error *err)
{
    struct buffer content = {0};
    struct doc *doc = NULL;
    const char *slash = strrchr(path, '/');
    extra[(*out_count)++] = slash == NULL ? path : slash + 1;
    enum status status = file_read(path, PIPELINE_MAX_BYTES, &content, err);
    if (status == STATUS_OK) {
        status = doc_parse(arena, path, bytes_of(content.data, content.size), cli_environment,
                           &doc, err);
    }
    const struct doc *schema =
        status == STATUS_OK && doc->kind == DOC_MAP ? doc_get(doc, "schema") : NULL;
    if (schema != NULL && schema->kind == DOC_STRING && schema->text[0] != '/') {
        extra[(*out_count)++] = arena_copy_string(arena, schema->text);
    }
    buffer_fini(&content);
    return status;
}

static enum status backup_plan(struct arena *arena, const char *path, const char *to,
                               const struct copy_observer *observer,
                               struct backup_result *result, struct error *err)
{
    const char *extra[2];
    uint32_t extra_count = 0;
    struct plan *plan = NULL;
    enum status status = plan_load(path, cli_environment, &plan, err);
    if (status == STATUS_OK) {
        status = find_extra(arena, path, extra, &extra_count, err);
    }
    if (status == STATUS_OK) {
        status = backup_pipeline(plan, extra, extra_count, to, observer, result, err);
    }
    plan_free(plan);
    return status;
}

static enum status backup(const struct cli_arguments *arguments, struct error *err)
{
    struct arena *arena = arena_new(16 * 1024);
    struct backup_result result = {0};
    struct copy_progress progress;
    const char *what = arguments->positional[0];
    const char *to = arguments->positional[1];
    copy_progress_init(&progress, "copied and read back");
    enum status status;
    if (strncmp(what, "local:", 6) == 0) {
        struct place place = {0};
        status = place_parse_log(arena, what, "backup", &place, err);
        if (status == STATUS_OK && place.name != NULL) {
            status = error_set(err, STATUS_CONFIG, "use.place",
                               "a log is backed up whole: local:%s", place.path);
        }
        if (status == STATUS_OK) {
            status = backup_log(place.path, to, &progress.observer, &result, err);
        }
    } else {
        status = backup_plan(arena, what, to, &progress.observer, &result, err);
    }
    copy_progress_end(&progress);
    if (status == STATUS_OK) {
        copy_progress_print(&result, "copied to", to);
        if (result.note[0] != '\0') {
            fprintf(stderr, "not in it: %s\n", result.note);
        }
    }
    arena_free(arena);
    return status;
}

static const struct cli_option options[] = {{0}};

const struct cli_verb verb_backup = {
    .name = "backup",
    .arguments = "P.yaml|local:PATH TO",
    .summary = "copy all that a pipeline keeps, while it runs",
    .details =
        "Copies the local logs and SQLite files of the pipeline, its folders of parts, its\n"
        "snapshots, and the pipeline file with its schema into the folder TO, which must not be\n"
        "there yet. Or one local log. Producers and pipelines go on meanwhile; only where the\n"
        "write-ahead log of a file comes to its limit they wait.\n"
        "\n"
        "Each file is copied as it stood at one moment, in such an order that the pipeline goes on\n"
        "from there as after a crash: nothing is lost and nothing doubled. Every file gets a digest,\n"
        "which weir restore verifies. TO appears when all is on disk; what fails leaves nothing.\n"
        "Needs as much room as the files have. Files that a source reads are not weir's, and not\n"
        "in it.",
    .options = options,
    .least = 2,
    .most = 2,
    .run = backup,
};
