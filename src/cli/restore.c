/* weir restore: a backup verified, and put back. */
#include "cli/copy_progress.h"
#include "cli/verbs.h"
#include "inspect/backup.h"

static enum status restore(const struct cli_arguments *arguments, struct error *err)
{
    struct backup_result result = {0};
    struct copy_progress progress;
    copy_progress_init(&progress, "read and copied");
    enum status status = backup_restore(arguments->positional[0], arguments->positional[1],
                                        &progress.observer, &result, err);
    copy_progress_end(&progress);
    if (status == STATUS_OK) {
        copy_progress_print(&result, "restored to", arguments->positional[1]);
        if (result.note[0] != '\0') {
            fprintf(stderr, "where they belong is yours to say: %s\n", result.note);
        }
    }
    return status;
}

static const struct cli_option options[] = {{0}};

const struct cli_verb verb_restore = {
    .name = "restore",
    .arguments = "FROM TO",
    .summary = "verify a backup and put it back",
    .details =
        "Verifies every file of the backup FROM, then lays them out in the folder TO as they were\n"
        "around the pipeline file. Nothing is overwritten: whatever is in the way is named, and\n"
        "then nothing is restored. Exit status 1 when the backup is damaged.\n"
        "\n"
        "A pipeline then goes on from the moment of the backup: what came into its log since is not\n"
        "there, and what its sinks took since is written again. Restore all of a pipeline, not a\n"
        "part of it: where a sink has taken more than the restored log holds, weir run refuses\n"
        "(source.behind, progress.behind) and says what to restore.",
    .options = options,
    .least = 2,
    .most = 2,
    .run = restore,
};
