#include "progress/refused.h"

#include <string.h>

#include "state/form.h"

enum { REFUSED_FORM_BYTES_MIN = 4 + 8 + 8 + 16 };

void refused_fini(struct refused_list *list)
{
    for (uint32_t i = 0; i < list->count; i++) {
        memory_free(list->items[i].sink);
    }
    memory_free(list->items);
    *list = (struct refused_list){0};
}

void refused_copy(struct refused_list *to, const struct refused_list *from)
{
    struct refused_list copy = {0};
    refused_join(&copy, from);
    refused_fini(to);
    *to = copy;
}

const struct refused *refused_find(const struct refused_list *list, const char *sink)
{
    for (uint32_t i = 0; i < list->count; i++) {
        if (strcmp(list->items[i].sink, sink) == 0) {
            return &list->items[i];
        }
    }
    return NULL;
}

/* Found or made. */
static struct refused *refused_of(struct refused_list *list, const char *sink)
{
    uint32_t at = 0;
    while (at < list->count && strcmp(list->items[at].sink, sink) < 0) {
        at++;
    }
    if (at < list->count && strcmp(list->items[at].sink, sink) == 0) {
        return &list->items[at];
    }
    list->items = memory_realloc(list->items, size_mul(list->count + 1, sizeof *list->items));
    memmove(list->items + at + 1, list->items + at, (list->count - at) * sizeof *list->items);
    list->count++;
    list->items[at] = (struct refused){.sink = memory_copy_string(sink)};
    return &list->items[at];
}

void refused_add(struct refused_list *list, const char *sink, int64_t offset,
                 struct hash128 letter)
{
    struct refused *refused = refused_of(list, sink);
    refused->count++;
    refused->next_offset = offset >= refused->next_offset ? offset + 1 : refused->next_offset;
    refused->sum = hash_add(refused->sum, letter);
}

void refused_join(struct refused_list *to, const struct refused_list *delta)
{
    for (uint32_t i = 0; i < delta->count; i++) {
        const struct refused *more = &delta->items[i];
        struct refused *refused = refused_of(to, more->sink);
        check(more->next_offset >= refused->next_offset);
        refused->count += more->count;
        refused->next_offset = more->next_offset;
        refused->sum = hash_add(refused->sum, more->sum);
    }
}

void refused_count(struct refused_list *to, const struct refused_list *list)
{
    for (uint32_t i = 0; i < list->count; i++) {
        refused_of(to, list->items[i].sink)->count += list->items[i].count;
    }
}

void refused_write(const struct refused_list *list, struct buffer *out)
{
    buffer_append_u32(out, list->count);
    for (uint32_t i = 0; i < list->count; i++) {
        const struct refused *refused = &list->items[i];
        buffer_append_sized(out, refused->sink, strlen(refused->sink));
        buffer_append_u64(out, refused->count);
        buffer_append_u64(out, (uint64_t)refused->next_offset);
        form_write_hash(refused->sum, out);
    }
}

static void read_one(struct refused_list *list, struct reader *in)
{
    struct bytes name = reader_sized(in);
    if (in->failed || name.size == 0 || memchr(name.data, 0, name.size) != NULL) {
        in->failed = true;
        return;
    }
    char *sink = memory_alloc(name.size + 1);
    memcpy(sink, name.data, name.size);
    sink[name.size] = '\0';
    uint32_t before = list->count;
    struct refused *refused = refused_of(list, sink);
    bool is_last = list->count == before + 1 && refused == &list->items[before];
    memory_free(sink);
    refused->count = reader_u64(in);
    refused->next_offset = (int64_t)reader_u64(in);
    refused->sum = form_read_hash(in);
    in->failed |= !is_last || refused->next_offset < 0;
}

void refused_read(struct refused_list *list, struct reader *in)
{
    uint32_t count = reader_u32(in);
    if (in->failed || count > (size_t)(in->end - in->at) / REFUSED_FORM_BYTES_MIN) {
        in->failed = true;
        return;
    }
    for (uint32_t i = 0; i < count && !in->failed; i++) {
        read_one(list, in);
    }
}
