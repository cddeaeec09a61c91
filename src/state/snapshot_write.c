/*
 * Writing a snapshot: two buffers between the one who copies the state and a thread that writes.
 */
#include <string.h>

#include "os/file.h"
#include "os/random.h"
#include "os/thread.h"
#include "state/form.h"
#include "state/snapshot_private.h"

#define XXH_INLINE_ALL
#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

struct snapshot_writer {
    struct arena *arena;
    const char *folder;
    const char *path;
    struct snapshot_identity identity; /* texts in the arena */
    int64_t next_offset;
    struct file_writer *file; /* the thread's; NULL: published or failed */
    XXH3_state_t *sum;        /* of all that was given to the file */

    struct thread thread;
    struct mutex mutex;
    struct condition changed;
    /* Under the mutex: */
    struct buffer full;       /* to be written; empty: the thread has nothing to do */
    bool is_last;             /* publish it behind that */
    bool is_closing;
    enum snapshot_outcome outcome;
    struct error error;
};

/* --- the thread --- */

static enum status write_out(struct snapshot_writer *writer, struct bytes bytes, struct error *err)
{
    check(XXH3_64bits_update(writer->sum, bytes.data, bytes.size) == XXH_OK);
    return file_writer_append(writer->file, bytes, err);
}

/* Removes all but the newest of our snapshots below this one, and what crashes left. */
static enum status remove_old(const struct snapshot_writer *writer, struct error *err)
{
    struct arena *arena = arena_new(16 * 1024);
    const char **names = NULL;
    size_t count = 0;
    enum status status = folder_list(arena, writer->folder, &names, &count, err);
    const char *prefix = snapshot_prefix(arena, &writer->identity);
    bool kept = false;
    for (size_t i = status == STATUS_OK ? count : 0; i > 0 && status == STATUS_OK; i--) {
        const char *name = names[i - 1];
        const char *path = arena_printf(arena, "%s/%s", writer->folder, name);
        int64_t found = snapshot_offset(name, prefix);
        if (found >= 0 && found < writer->next_offset &&
            snapshot_is_ours(path, &writer->identity)) {
            if (kept) {
                status = file_remove(path, err);
            }
            kept = true;
        } else if (snapshot_is_leftover(name, prefix, writer->next_offset)) {
            status = file_remove(path, err);
        }
    }
    arena_free(arena);
    return status;
}

static enum status publish(struct snapshot_writer *writer, struct error *err)
{
    struct buffer seal = {0};
    buffer_append_u64(&seal, XXH3_64bits_digest(writer->sum));
    enum status status = file_writer_append(writer->file, bytes_of(seal.data, seal.size), err);
    buffer_fini(&seal);
    if (status != STATUS_OK) {
        return status;
    }
    struct file_writer *file = writer->file;
    writer->file = NULL;
    status = file_writer_publish(file, writer->path, err);
    return status == STATUS_OK ? remove_old(writer, err) : status;
}

/* Called and left with the mutex held. */
static void write_full(struct snapshot_writer *writer)
{
    bool is_last = writer->is_last;
    mutex_unlock(&writer->mutex);
    struct error err = {0};
    enum status status =
        write_out(writer, bytes_of(writer->full.data, writer->full.size), &err);
    if (status == STATUS_OK && is_last) {
        status = publish(writer, &err);
    }
    mutex_lock(&writer->mutex);
    buffer_clear(&writer->full);
    if (status != STATUS_OK) {
        writer->error = err;
        writer->outcome = SNAPSHOT_FAILED;
    } else if (is_last) {
        writer->outcome = SNAPSHOT_PUBLISHED;
    }
    condition_broadcast(&writer->changed);
}

static bool has_work(const struct snapshot_writer *writer)
{
    return writer->outcome == SNAPSHOT_UNDER_WAY && (writer->full.size > 0 || writer->is_last);
}

static void writer_thread(void *context)
{
    struct snapshot_writer *writer = context;
    mutex_lock(&writer->mutex);
    while (!writer->is_closing) {
        if (has_work(writer)) {
            write_full(writer);
        } else {
            condition_wait(&writer->changed, &writer->mutex);
        }
    }
    mutex_unlock(&writer->mutex);
}

/* --- the other side --- */

static void write_head(struct snapshot_writer *writer, const struct snapshot_head *head)
{
    struct buffer *out = &writer->full;
    (void)form_begin(SNAPSHOT_MAGIC, SNAPSHOT_VERSION, out);
    snapshot_identity_write(&writer->identity, out);
    buffer_append_u64(out, (uint64_t)head->next_offset);
    form_write_hash(head->plan_hash, out);
    form_write_hash(head->last_record_hash, out);
}

static void copy_identity(struct arena *arena, const struct snapshot_identity *from,
                          struct snapshot_identity *to)
{
    *to = *from;
    to->pipeline = arena_copy_string(arena, from->pipeline);
    to->topic_id = arena_copy_string(arena, from->topic_id);
    to->partition = arena_copy_string(arena, from->partition);
}

enum status snapshot_writer_open(const char *folder, const struct snapshot_identity *identity,
                                 const struct snapshot_head *head, struct snapshot_writer **out,
                                 struct error *err)
{
    struct arena *arena = arena_new(4 * 1024);
    const char *path = snapshot_path(arena, folder, identity, head->next_offset);
    struct file_writer *file = NULL;
    enum status status = folder_make(folder, err);
    if (status == STATUS_OK) {
        /* A name that no other process takes. */
        status = file_writer_open(
            arena_printf(arena, "%s.tmp-%016llx", path, (unsigned long long)random_u64()), &file,
            err);
    }
    if (status != STATUS_OK) {
        arena_free(arena);
        return status;
    }
    struct snapshot_writer *writer = memory_alloc_zero(1, sizeof *writer);
    writer->arena = arena;
    writer->folder = arena_copy_string(arena, folder);
    writer->path = path;
    copy_identity(arena, identity, &writer->identity);
    writer->next_offset = head->next_offset;
    writer->file = file;
    writer->sum = arena_alloc_wide(arena, sizeof *writer->sum);
    check(XXH3_64bits_reset(writer->sum) == XXH_OK);
    write_head(writer, head);
    mutex_init(&writer->mutex);
    condition_init(&writer->changed);
    thread_start(&writer->thread, "snapshot", writer_thread, writer);
    *out = writer;
    return STATUS_OK;
}

bool snapshot_writer_is_idle(struct snapshot_writer *writer)
{
    mutex_lock(&writer->mutex);
    bool is_idle = !has_work(writer);
    mutex_unlock(&writer->mutex);
    return is_idle;
}

/* Holds the mutex. */
static void wait_for_thread(struct snapshot_writer *writer)
{
    while (has_work(writer)) {
        condition_wait(&writer->changed, &writer->mutex);
    }
}

void snapshot_writer_append(struct snapshot_writer *writer, struct buffer *pieces)
{
    mutex_lock(&writer->mutex);
    check(!writer->is_last);
    wait_for_thread(writer);
    struct buffer empty = writer->full;
    writer->full = *pieces;
    *pieces = empty;
    buffer_clear(pieces);
    condition_broadcast(&writer->changed);
    mutex_unlock(&writer->mutex);
}

void snapshot_writer_publish(struct snapshot_writer *writer)
{
    mutex_lock(&writer->mutex);
    writer->is_last = true;
    condition_broadcast(&writer->changed);
    mutex_unlock(&writer->mutex);
}

enum snapshot_outcome snapshot_writer_outcome(struct snapshot_writer *writer, struct error *err)
{
    mutex_lock(&writer->mutex);
    enum snapshot_outcome outcome = writer->outcome;
    if (outcome == SNAPSHOT_FAILED) {
        *err = writer->error;
    }
    mutex_unlock(&writer->mutex);
    return outcome;
}

enum status snapshot_writer_wait(struct snapshot_writer *writer, struct error *err)
{
    mutex_lock(&writer->mutex);
    check(writer->is_last);
    wait_for_thread(writer);
    enum status status = STATUS_OK;
    if (writer->outcome == SNAPSHOT_FAILED) {
        *err = writer->error;
        status = err->status;
    }
    mutex_unlock(&writer->mutex);
    return status;
}

void snapshot_writer_close(struct snapshot_writer *writer)
{
    if (writer == NULL) {
        return;
    }
    mutex_lock(&writer->mutex);
    writer->is_closing = true;
    condition_broadcast(&writer->changed);
    mutex_unlock(&writer->mutex);
    thread_join(&writer->thread);
    file_writer_abandon(writer->file);
    condition_fini(&writer->changed);
    mutex_fini(&writer->mutex);
    buffer_fini(&writer->full);
    arena_free(writer->arena);
    memory_free(writer);
}
