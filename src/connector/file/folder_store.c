#include <stdio.h>
#include <string.h>

#include "connector/file/folder.h"
#include "connector/file/part_name.h"
#include "os/file.h"

#define EPOCH_DIGITS 20u
#define OFFSET_DIGITS 19u
#define PROGRESS_SUFFIX ".progress"
#define READY_SUFFIX ".ready"
#define SEGMENTS_SUFFIX ".segments"
#define OWNER_PREFIX "owner-"
#define FORM_BYTES_MAX ((size_t)1 << 30)

/* --- names --- */

const char *folder_sidecar_path(const struct folder_system *s, struct arena *arena,
                                const char *label, uint64_t epoch)
{
    return arena_printf(arena, "%s/part-%s-%020llu" PROGRESS_SUFFIX, s->hidden, label,
                        (unsigned long long)epoch);
}

const char *folder_ready_path(const struct folder_system *s, struct arena *arena, const char *label,
                              uint64_t epoch)
{
    return arena_printf(arena, "%s/part-%s-%020llu" READY_SUFFIX, s->hidden, label,
                        (unsigned long long)epoch);
}

const char *folder_writing_path(const struct folder_system *s, struct arena *arena,
                                const char *label)
{
    return arena_printf(arena, "%s/part-%s.writing", s->hidden, label);
}

const char *folder_segments_path(const struct folder_system *s, struct arena *arena,
                                 const char *label, int64_t first_offset)
{
    return arena_printf(arena, "%s/part-%s-%019lld" SEGMENTS_SUFFIX, s->hidden, label,
                        (long long)first_offset);
}

const char *folder_part_path(const struct folder_system *s, struct arena *arena, const char *part)
{
    return arena_printf(arena, "%s/%s", s->place, part);
}

/* The number in `part-<label>-<number><suffix>`; false for other names. */
static bool parse_name(const char *name, const char *label, size_t digits, const char *suffix,
                       uint64_t *out)
{
    size_t label_size = strlen(label);
    size_t head = strlen("part-") + label_size + 1;
    return strlen(name) == head + digits + strlen(suffix) && strncmp(name, "part-", 5) == 0 &&
           strncmp(name + 5, label, label_size) == 0 && name[head - 1] == '-' &&
           strcmp(name + head + digits, suffix) == 0 && part_digits_parse(name + head, digits, out);
}

/* What file_write_durably() leaves behind when the process is killed in it. */
static bool is_temporary(const char *name)
{
    static const char mark[] = ".tmp-";
    const size_t tail = sizeof mark - 1 + 16;
    size_t size = strlen(name);
    return size > tail && strncmp(name + size - tail, mark, sizeof mark - 1) == 0;
}

/* --- R --- */

/* The greatest epochs of a label's sidecars. Returns how many there are, at most 2. */
static uint32_t greatest_epochs(const char *const *names, size_t count, const char *label,
                                uint64_t out[2])
{
    uint32_t found = 0;
    for (size_t i = count; i > 0 && found < 2; i--) {
        if (parse_name(names[i - 1], label, EPOCH_DIGITS, PROGRESS_SUFFIX, &out[found])) {
            found++;
        }
    }
    return found;
}

/* Rule (a), for the sidecar with the greatest epoch. */
static enum status is_committed(const struct folder_system *s, struct arena *arena,
                                const char *label, const struct sidecar *sidecar, bool *out,
                                struct error *err)
{
    *out = true;
    if (sidecar->part[0] == '\0' || file_exists(folder_part_path(s, arena, sidecar->part))) {
        return STATUS_OK;
    }
    if (file_exists(folder_ready_path(s, arena, label, sidecar->progress.epoch))) {
        *out = false;
        return STATUS_OK;
    }
    struct part_name name = {.next_offset = sidecar->progress.next_offset};
    if (!part_name_parse(sidecar->part, &name)) {
        name.first_offset = name.next_offset;
    }
    return error_set(err, STATUS_FATAL, "progress.part_missing",
                     "%s was committed and is no longer in the folder, and with it the rows of "
                     "'%s' [%s] from offset %lld to %lld: put it back. The newest "
                     "part of each partition must stay where it is; if its rows are in good hands "
                     "elsewhere, an empty file of that name will do",
                     folder_part_path(s, arena, sidecar->part), sidecar->progress.topic,
                     sidecar->progress.partition, (long long)name.first_offset,
                     (long long)name.next_offset - 1);
}

static enum status find_newest(const struct folder_system *s, struct arena *arena,
                               const char *label, struct sidecar *out, bool *out_found,
                               struct error *err)
{
    const char **names = NULL;
    size_t count = 0;
    enum status status = folder_list(arena, s->hidden, &names, &count, err);
    uint64_t epochs[2];
    uint32_t found = status == STATUS_OK ? greatest_epochs(names, count, label, epochs) : 0;
    *out_found = found > 0;
    if (found == 0) {
        return status;
    }
    bool committed = false;
    status = sidecar_load(folder_sidecar_path(s, arena, label, epochs[0]), out, err);
    if (status == STATUS_OK) {
        status = is_committed(s, arena, label, out, &committed, err);
    }
    if (status != STATUS_OK || committed) {
        return status;
    }
    sidecar_fini(out);
    if (found < 2) {
        return error_set(err, STATUS_FATAL, "progress.lost",
                         "%s has the progress record of an epoch that was not committed, but not "
                         "that of the one before: restore the folder from a backup",
                         s->hidden);
    }
    return sidecar_load(folder_sidecar_path(s, arena, label, epochs[1]), out, err);
}

enum status folder_find_newest(const struct folder_system *s, const char *label,
                               struct sidecar *out, bool *out_found, struct error *err)
{
    struct arena *arena = arena_new(16 * 1024);
    struct sidecar found = {0};
    enum status status = find_newest(s, arena, label, &found, out_found, err);
    if (status == STATUS_OK) {
        *out = found;
    } else {
        sidecar_fini(&found);
    }
    arena_free(arena);
    return status;
}

enum status folder_save_sidecar(const struct folder_system *s, const char *label,
                                const struct sidecar *sidecar, struct error *err)
{
    struct arena *arena = arena_new(1024);
    struct buffer form = {0};
    sidecar_write(sidecar, &form);
    enum status status =
        file_write_durably(folder_sidecar_path(s, arena, label, sidecar->progress.epoch),
                           bytes_of(form.data, form.size), 0, err);
    buffer_fini(&form);
    arena_free(arena);
    return status;
}

static const char *first_path(const struct folder_system *s, struct arena *arena,
                              const char *label)
{
    return arena_printf(arena, "%s/part-%s.first", s->hidden, label);
}

enum status folder_save_first(const struct folder_system *s, const char *label,
                              const struct progress *first, struct error *err)
{
    struct arena *arena = arena_new(1024);
    struct buffer form = {0};
    progress_write(first, &form);
    enum status status = file_write_durably(first_path(s, arena, label),
                                            bytes_of(form.data, form.size), 0, err);
    buffer_fini(&form);
    arena_free(arena);
    return status;
}

enum status folder_load_first(const struct folder_system *s, const char *label,
                              struct progress *out, bool *out_found, struct error *err)
{
    struct arena *arena = arena_new(1024);
    struct buffer form = {0};
    struct error inner = {0};
    const char *path = first_path(s, arena, label);
    *out_found = file_exists(path);
    enum status status = *out_found ? file_read(path, FORM_BYTES_MAX, &form, err) : STATUS_OK;
    if (status == STATUS_OK && *out_found) {
        status = progress_read(out, bytes_of(form.data, form.size), &inner);
        if (status != STATUS_OK) {
            status = error_set(err, status, inner.code, "%s: %s", path, inner.message);
        }
    }
    buffer_fini(&form);
    arena_free(arena);
    return status;
}

/* Sorted, names of one label stand together: part-<label>-<epoch>.progress. */
enum status folder_count_labels(const struct folder_system *s, uint32_t *out_count,
                                struct error *err)
{
    struct arena *arena = arena_new(16 * 1024);
    const char **names = NULL;
    size_t count = 0;
    enum status status = folder_list(arena, s->hidden, &names, &count, err);
    const size_t tail = 1 + EPOCH_DIGITS + strlen(PROGRESS_SUFFIX);
    const char *last = "";
    *out_count = 0;
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        size_t size = strlen(names[i]);
        if (size <= tail ||
            strcmp(names[i] + size - strlen(PROGRESS_SUFFIX), PROGRESS_SUFFIX) != 0) {
            continue;
        }
        bool is_same = strlen(last) > tail && strlen(last) - tail == size - tail &&
                       strncmp(last, names[i], size - tail) == 0;
        *out_count += !is_same;
        last = names[i];
    }
    arena_free(arena);
    return status;
}

/* --- sweeping --- */

/* Removes the names of `.weir` for which `is_waste` says so. */
static enum status remove_names(const struct folder_system *s,
                                bool (*is_waste)(const char *name, const char *label,
                                                 const struct sidecar *newest),
                                const char *label, const struct sidecar *newest, struct error *err)
{
    struct arena *arena = arena_new(16 * 1024);
    const char **names = NULL;
    size_t count = 0;
    enum status status = folder_list(arena, s->hidden, &names, &count, err);
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        if (is_waste(names[i], label, newest)) {
            status = file_remove(arena_printf(arena, "%s/%s", s->hidden, names[i]), err);
        }
    }
    arena_free(arena);
    return status;
}

static bool is_not_committed(const char *name, const char *label, const struct sidecar *newest)
{
    uint64_t epoch;
    return parse_name(name, label, EPOCH_DIGITS, PROGRESS_SUFFIX, &epoch) &&
           epoch > newest->progress.epoch;
}

static bool is_left_over(const char *name, const char *label, const struct sidecar *newest)
{
    uint64_t number;
    if (parse_name(name, label, EPOCH_DIGITS, PROGRESS_SUFFIX, &number)) {
        return number + 1 < newest->progress.epoch;
    }
    if (parse_name(name, label, OFFSET_DIGITS, SEGMENTS_SUFFIX, &number)) {
        return number >= (uint64_t)segments_first_offset(&newest->segments);
    }
    return parse_name(name, label, EPOCH_DIGITS, READY_SUFFIX, &number);
}

static bool is_temporary_name(const char *name, const char *label, const struct sidecar *newest)
{
    (void)label;
    (void)newest;
    return is_temporary(name);
}

enum status folder_sweep(const struct folder_system *s, const char *label,
                         const struct sidecar *newest, struct error *err)
{
    enum status status = remove_names(s, is_not_committed, label, newest, err);
    /* A sidecar above R must be gone for good before its .ready goes, or it would count. */
    if (status == STATUS_OK) {
        status = folder_sync(s->hidden, err);
    }
    if (status == STATUS_OK) {
        status = remove_names(s, is_left_over, label, newest, err);
    }
    if (status == STATUS_OK) {
        struct arena *arena = arena_new(1024);
        status = file_remove(folder_writing_path(s, arena, label), err);
        arena_free(arena);
    }
    return status;
}

enum status folder_sweep_temporary(const struct folder_system *s, struct error *err)
{
    return remove_names(s, is_temporary_name, "", NULL, err);
}

/* --- segments --- */

static enum status visit_file(const char *path, segment_visitor visit, void *context,
                              struct error *err)
{
    struct buffer forms = {0};
    enum status status = file_read(path, FORM_BYTES_MAX, &forms, err);
    if (status == STATUS_OK) {
        struct reader in = reader_of(bytes_of(forms.data, forms.size));
        status = segments_visit_closed(&in, visit, context, err);
        if (status == STATUS_OK && (in.failed || in.at != in.end)) {
            status = error_set(err, STATUS_FATAL, "progress.corrupt",
                               "the ledger segments in %s are damaged: restore the folder from a "
                               "backup",
                               path);
        }
    }
    buffer_fini(&forms);
    return status;
}

static enum status visit_files(const struct folder_system *s, const char *label,
                               const struct sidecar *newest, segment_visitor visit, void *context,
                               struct error *err)
{
    struct arena *arena = arena_new(16 * 1024);
    const char **names = NULL;
    size_t count = 0;
    enum status status = folder_list(arena, s->hidden, &names, &count, err);
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        uint64_t first = 0;
        if (parse_name(names[i], label, OFFSET_DIGITS, SEGMENTS_SUFFIX, &first) &&
            first < (uint64_t)segments_first_offset(&newest->segments)) {
            status =
                visit_file(arena_printf(arena, "%s/%s", s->hidden, names[i]), visit, context, err);
        }
    }
    arena_free(arena);
    return status;
}

enum status folder_visit_segments(const struct folder_system *s, const char *label,
                                  segment_visitor visit, void *context, struct error *err)
{
    struct sidecar newest = {0};
    bool found = false;
    enum status status = folder_find_newest(s, label, &newest, &found, err);
    if (status == STATUS_OK && found) {
        status = visit_files(s, label, &newest, visit, context, err);
    }
    if (status == STATUS_OK && found) {
        status = segments_visit(&newest.segments, visit, context, err);
    }
    sidecar_fini(&newest);
    return status;
}

/* --- owner and plans --- */

static const char *owner_path(const struct folder_system *s, struct arena *arena)
{
    return arena_printf(arena, "%s/" OWNER_PREFIX "%s", s->hidden, s->pipeline);
}

enum status folder_save_owner(const struct folder_system *s, uint64_t owner, struct error *err)
{
    struct arena *arena = arena_new(1024);
    char text[32];
    int size = snprintf(text, sizeof text, "%llu\n", (unsigned long long)owner);
    enum status status =
        file_write_durably(owner_path(s, arena), bytes_of(text, (size_t)size), 0, err);
    arena_free(arena);
    return status;
}

static enum status check_owner_file(const char *path, uint64_t owner, struct error *err)
{
    struct buffer text = {0};
    char expected[32];
    snprintf(expected, sizeof expected, "%llu\n", (unsigned long long)owner);
    enum status status = STATUS_OK;
    if (!file_exists(path)) {
        status = error_set(err, STATUS_FATAL, "folder.gone",
                           "%s is not there any more: the folder was removed or replaced while it "
                           "was written to",
                           path);
    } else {
        status = file_read(path, 4096, &text, err);
    }
    if (status == STATUS_OK && !bytes_equal_string(bytes_of(text.data, text.size), expected)) {
        status = error_set(err, STATUS_FENCED, "progress.fenced",
                           "another process has taken over: %s does not name this one as the "
                           "owner",
                           path);
    }
    buffer_fini(&text);
    return status;
}

enum status folder_check_owner(const struct folder_system *s, uint64_t owner, struct error *err)
{
    struct arena *arena = arena_new(1024);
    enum status status = check_owner_file(owner_path(s, arena), owner, err);
    arena_free(arena);
    return status;
}

enum status folder_check_pipeline(const struct folder_system *s, struct error *err)
{
    struct arena *arena = arena_new(16 * 1024);
    const char **names = NULL;
    size_t count = 0;
    const size_t prefix = strlen(OWNER_PREFIX);
    enum status status = folder_list(arena, s->hidden, &names, &count, err);
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        if (strncmp(names[i], OWNER_PREFIX, prefix) == 0 && !is_temporary(names[i]) &&
            strcmp(names[i] + prefix, s->pipeline) != 0) {
            status = error_set(err, STATUS_CONFIG, "folder.other_pipeline",
                               "the folder %s belongs to pipeline '%s'; give pipeline '%s' a "
                               "folder of its own",
                               s->place, names[i] + prefix, s->pipeline);
        }
    }
    arena_free(arena);
    return status;
}

static const char *plan_path(const struct folder_system *s, struct arena *arena,
                             struct hash128 plan_hash)
{
    char digits[33];
    hash_format(plan_hash, digits);
    return arena_printf(arena, "%s/plan-%s", s->hidden, digits);
}

enum status folder_save_plan(const struct folder_system *s, struct bytes plan_text,
                             struct error *err)
{
    struct arena *arena = arena_new(1024);
    const char *path = plan_path(s, arena, hash_plain(plan_text.data, plan_text.size));
    enum status status =
        file_exists(path) ? STATUS_OK : file_write_durably(path, plan_text, 0, err);
    arena_free(arena);
    return status;
}

enum status folder_load_plan(const struct folder_system *s, struct hash128 plan_hash,
                             struct buffer *out, bool *out_found, struct error *err)
{
    struct arena *arena = arena_new(1024);
    const char *path = plan_path(s, arena, plan_hash);
    *out_found = file_exists(path);
    enum status status = *out_found ? file_read(path, FORM_BYTES_MAX, out, err) : STATUS_OK;
    arena_free(arena);
    return status;
}
