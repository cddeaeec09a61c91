/*
 * A copy of a folder as it stood between two commits, while another process may commit: sidecars
 * first, then what is in .weir besides, then the parts.
 *
 * A part that came after its partition's newest copied sidecar is left out; a copied sidecar whose
 * part was not there yet when the parts were listed was not committed, and is left out too. If no
 * committed one remains (it was removed before it was copied), all is done again.
 */
#include <string.h>

#include "connector/file/folder.h"
#include "connector/file/part_name.h"
#include "os/file.h"
#include "os/tree.h"

#define TRIES 100u
#define EPOCH_DIGITS 20u
#define SIDECAR_SUFFIX ".progress"

/* A partition of the copy. */
struct copied_label {
    const char *label;
    const char *name; /* of its newest sidecar */
    uint64_t epoch;
    bool is_committed;
    const char *part; /* that its R names, "" for none */
    int64_t next_offset;
};

struct copying {
    const struct folder_system *system;
    const char *to;
    const struct copy_observer *observer;
    struct arena *arena; /* of one try */
    const char **hidden; /* names in .weir */
    size_t hidden_count;
    struct copied_label *labels;
    uint32_t label_count;
    bool again; /* something vanished that is needed */
};

static bool has_suffix(const char *name, const char *suffix)
{
    size_t size = strlen(name);
    return size >= strlen(suffix) && strcmp(name + size - strlen(suffix), suffix) == 0;
}

/* The label and epoch in "part-<label>-<epoch>.progress". */
static bool parse_sidecar(struct arena *arena, const char *name, const char **out_label,
                          uint64_t *out_epoch)
{
    size_t tail = EPOCH_DIGITS + strlen(SIDECAR_SUFFIX);
    size_t size = strlen(name);
    if (size <= strlen("part-") + tail + 1 || strncmp(name, "part-", 5) != 0 ||
        !has_suffix(name, SIDECAR_SUFFIX) || name[size - tail - 1] != '-' ||
        !part_digits_parse(name + size - tail, EPOCH_DIGITS, out_epoch)) {
        return false;
    }
    *out_label = arena_copy(arena, name + 5, size - tail - 1 - 5);
    return true;
}

static const char *copied_path(const struct copying *c, const char *name)
{
    return arena_printf(c->arena, "%s/.weir/%s", c->to, name);
}

/* What belongs to a process at work, or to an epoch that is not committed. */
static bool is_passing(const char *name)
{
    return strcmp(name, "lock") == 0 || has_suffix(name, ".writing") ||
           has_suffix(name, ".ready") || strstr(name, ".tmp-") != NULL;
}

static enum status copy_hidden(struct copying *c, bool sidecars, struct error *err)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < c->hidden_count && status == STATUS_OK; i++) {
        const char *name = c->hidden[i];
        bool found = false;
        if (has_suffix(name, SIDECAR_SUFFIX) == sidecars && !is_passing(name)) {
            status = file_copy(arena_printf(c->arena, "%s/%s", c->system->hidden, name),
                               copied_path(c, name), c->observer, &found, err);
        }
    }
    return status;
}

static bool is_in(const char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static struct copied_label *find_label(struct copying *c, const char *label)
{
    for (uint32_t i = 0; i < c->label_count; i++) {
        if (strcmp(c->labels[i].label, label) == 0) {
            return &c->labels[i];
        }
    }
    c->labels[c->label_count] = (struct copied_label){.label = label};
    return &c->labels[c->label_count++];
}

/* Takes one copied sidecar for R of its label if it is committed and the newest so far; removes it
 * otherwise. */
static enum status take_sidecar(struct copying *c, const char *name, const char *label,
                                uint64_t epoch, const char *const *parts, size_t part_count,
                                struct error *err)
{
    struct sidecar sidecar = {0};
    const char *path = copied_path(c, name);
    struct copied_label *known = find_label(c, label);
    if (!file_exists(path)) {
        return STATUS_OK; /* it had vanished */
    }
    enum status status = sidecar_load(path, &sidecar, err);
    if (status == STATUS_OK) {
        bool is_committed = sidecar.part[0] == '\0' || is_in(parts, part_count, sidecar.part);
        if (!is_committed) {
            status = file_remove(path, err);
        } else if (!known->is_committed || epoch > known->epoch) {
            *known = (struct copied_label){
                .label = known->label,
                .name = name,
                .epoch = epoch,
                .is_committed = true,
                .part = arena_copy_string(c->arena, sidecar.part),
                .next_offset = sidecar.progress.next_offset,
            };
        }
    }
    sidecar_fini(&sidecar);
    return status;
}

static enum status choose_sidecars(struct copying *c, const char *const *parts, size_t part_count,
                                   struct error *err)
{
    enum status status = STATUS_OK;
    c->labels = arena_alloc_zero(c->arena, c->hidden_count + 1, sizeof *c->labels);
    c->label_count = 0;
    for (size_t i = 0; i < c->hidden_count && status == STATUS_OK; i++) {
        const char *label = NULL;
        uint64_t epoch = 0;
        if (parse_sidecar(c->arena, c->hidden[i], &label, &epoch)) {
            status = take_sidecar(c, c->hidden[i], label, epoch, parts, part_count, err);
        }
    }
    for (uint32_t i = 0; i < c->label_count; i++) {
        c->again |= !c->labels[i].is_committed;
    }
    return status;
}

static enum status copy_parts(struct copying *c, const char *const *parts, size_t part_count,
                              struct error *err)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < part_count && status == STATUS_OK && !c->again; i++) {
        struct part_name part;
        bool found = false;
        if (!part_name_parse(parts[i], &part)) {
            continue;
        }
        for (uint32_t k = 0; k < c->label_count; k++) {
            const struct copied_label *label = &c->labels[k];
            if (bytes_equal_string(part.label, label->label) &&
                part.next_offset <= label->next_offset) {
                status = file_copy(folder_part_path(c->system, c->arena, parts[i]),
                                   arena_printf(c->arena, "%s/%s", c->to, parts[i]), c->observer,
                                   &found, err);
                /* Older parts may be taken away by whoever consumes them. */
                c->again |= status == STATUS_OK && !found && strcmp(label->part, parts[i]) == 0;
            }
        }
    }
    return status;
}

static enum status copy_once(struct copying *c, struct error *err)
{
    const char **parts = NULL;
    size_t part_count = 0;
    c->again = false;
    enum status status = tree_remove(c->to, err);
    if (status == STATUS_OK) {
        status = folder_make(arena_printf(c->arena, "%s/.weir", c->to), err);
    }
    if (status == STATUS_OK) {
        status = folder_list(c->arena, c->system->hidden, &c->hidden, &c->hidden_count, err);
    }
    if (status == STATUS_OK) {
        status = copy_hidden(c, true, err);
    }
    if (status == STATUS_OK) {
        status = copy_hidden(c, false, err);
    }
    if (status == STATUS_OK) {
        status = folder_list(c->arena, c->system->place, &parts, &part_count, err);
    }
    if (status == STATUS_OK) {
        status = choose_sidecars(c, parts, part_count, err);
    }
    return status == STATUS_OK ? copy_parts(c, parts, part_count, err) : status;
}

enum status folder_copy(struct system *system, const char *to, const struct copy_observer *observer,
                        struct error *err)
{
    struct copying c = {
        .system = folder_of_system(system), .to = to, .observer = observer, .again = true};
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < TRIES && status == STATUS_OK && c.again; i++) {
        c.arena = arena_new(64 * 1024);
        status = copy_once(&c, err);
        arena_free(c.arena);
    }
    if (status == STATUS_OK && c.again) {
        status = error_set(err, STATUS_RETRY, "folder.busy",
                           "%s could not be copied: its parts were taken away faster than they "
                           "could be read; stop whoever does that, and try again",
                           c.system->place);
    }
    return status;
}
