/* weir topic list and describe: what topics there are, and what is in one. */
#include "base/time.h"
#include "cli/topic.h"
#include "codec/json.h"

/* --- JSON --- */

/* null where nobody tells. */
static void write_told(struct buffer *out, const char *name, int64_t number)
{
    buffer_printf(out, ",\"%s\":", name);
    if (number == TOPICS_UNTOLD) {
        buffer_append_string(out, "null");
    } else {
        buffer_printf(out, "%lld", (long long)number);
    }
}

/* null is no limit. */
static void write_keeping(const struct topic_state *state, struct buffer *out)
{
    const struct source_retention *kept = &state->retention;
    buffer_append_string(out, ",\"retention_seconds\":");
    if (kept->age_us == 0) {
        buffer_append_string(out, "null");
    } else {
        buffer_printf(out, "%.15g", (double)kept->age_us / 1e6);
    }
    write_told(out, "retention_bytes", kept->bytes == 0 ? TOPICS_UNTOLD : kept->bytes);
}

static void write_replicas(const struct topic_state *state, bool has_replicas, struct buffer *out)
{
    if (has_replicas) {
        buffer_printf(out, ",\"replication\":%u,\"min_in_sync\":%u,\"compacted\":%s",
                      state->replication, state->acknowledged,
                      state->is_compacted ? "true" : "false");
    }
}

static void write_time(int64_t time_ms, struct buffer *out)
{
    char text[TIME_TEXT_BYTES] = "";
    if (time_ms >= 0) {
        time_format(time_ms * 1000, text);
    }
    buffer_printf(out, time_ms >= 0 ? "\"%s\"" : "null", text);
}

/* --- tables --- */

static void start_table(struct cli_table *table, const char *const *titles)
{
    for (table->columns = 0; titles[table->columns] != NULL; table->columns++) {
        cli_table_cell(table, "%s", titles[table->columns]);
    }
}

static void add_count(struct cli_table *table, int64_t number)
{
    char text[27];
    cli_table_cell(table, "%s", number == TOPICS_UNTOLD ? "-" : cli_count((uint64_t)number, text));
}

/* --- list --- */

struct listing {
    bool json, has_replicas;
    struct cli_table table;
    struct buffer out;
};

static enum status list_topic(void *context, const struct topic_state *state, struct error *err)
{
    struct listing *listing = context;
    struct buffer *out = &listing->out;
    (void)err;
    if (listing->json) {
        buffer_append_string(out, out->size == 0 ? "[" : ",");
        buffer_append_string(out, "{\"topic\":");
        json_write_string(out, bytes_of_string(state->name));
        buffer_printf(out, ",\"partitions\":%u", state->partitions);
        write_replicas(state, listing->has_replicas, out);
        write_told(out, "records", state->records);
        buffer_printf(out, ",\"offsets\":%lld", (long long)state->offsets);
        write_told(out, "bytes", state->bytes);
        write_keeping(state, out);
        buffer_append_byte(out, '}');
        return STATUS_OK;
    }
    struct buffer keeps = {0};
    topic_describe_keeping(state, &keeps);
    cli_table_cell(&listing->table, "%s", state->name);
    add_count(&listing->table, state->partitions);
    add_count(&listing->table, listing->has_replicas ? state->replication : state->records);
    add_count(&listing->table, listing->has_replicas ? state->offsets : state->bytes);
    cli_table_cell(&listing->table, "%s", buffer_string(&keeps));
    buffer_fini(&keeps);
    return STATUS_OK;
}

static enum status list_one(struct topics *topics, const struct place *place,
                            struct listing *listing, struct error *err)
{
    struct topic_state state = {0};
    bool found = false;
    enum status status = topics->ops->find(topics, place->name, &state, &found, err);
    if (status == STATUS_OK && !found) {
        status = topic_missing(place, err);
    }
    return status == STATUS_OK ? list_topic(listing, &state, err) : status;
}

enum status topic_list(const struct cli_arguments *arguments, const struct place *place,
                       struct error *err)
{
    static const char *const local[] = {"topic", "partitions", "records", "bytes", "keeps", NULL};
    static const char *const remote[] = {"topic",   "partitions", "replicas",
                                         "offsets", "keeps",      NULL};
    struct topics *topics = NULL;
    struct listing listing = {.json = cli_given(arguments, "json")};
    enum status status = topic_open(place, TOPICS_LOOK, &topics, err);
    if (status == STATUS_OK) {
        listing.has_replicas = topics->ops->has_replicas;
        start_table(&listing.table, listing.has_replicas ? remote : local);
        status = place->name == NULL ? topics->ops->list(topics, list_topic, &listing, err)
                                     : list_one(topics, place, &listing, err);
        topics->ops->close(topics);
    }
    if (status == STATUS_OK && listing.json) {
        printf("%s]\n", listing.out.size == 0 ? "[" : buffer_string(&listing.out));
    } else if (status == STATUS_OK) {
        cli_table_print(&listing.table, stdout);
    }
    buffer_fini(&listing.table.cells);
    buffer_fini(&listing.out);
    return status;
}

/* --- describe --- */

struct description {
    bool json, has_replicas;
    uint32_t count; /* of partitions, then of groups */
    struct cli_table table;
    struct buffer out;
};

static void describe_head(struct description *d, const struct topic_state *state)
{
    char created[TIME_TEXT_BYTES] = "";
    if (state->created_us != TIME_NEVER) {
        time_format(state->created_us, created);
    }
    if (d->json) {
        buffer_append_string(&d->out, "{\"topic\":");
        json_write_string(&d->out, bytes_of_string(state->name));
        buffer_printf(&d->out, ",\"id\":\"%s\"", state->id);
        if (state->created_us != TIME_NEVER) {
            buffer_printf(&d->out, ",\"created\":\"%s\"", created);
        }
        write_replicas(state, d->has_replicas, &d->out);
        write_keeping(state, &d->out);
        buffer_append_string(&d->out, ",\"partitions\":[");
        return;
    }
    struct buffer keeps = {0};
    topic_describe_keeping(state, &keeps);
    printf("topic %s, id %s", state->name, state->id);
    if (state->created_us != TIME_NEVER) {
        printf(", created %s", created);
    }
    if (d->has_replicas) {
        printf(", %u replica%s, of which %u acknowledge a commit", state->replication,
               state->replication == 1 ? "" : "s", state->acknowledged);
    }
    printf(", keeps %s\n\n", buffer_string(&keeps));
    buffer_fini(&keeps);
}

static void write_partition(struct description *d, const struct topic_partition *p)
{
    buffer_printf(&d->out, "%s{\"partition\":%u,\"first_offset\":%lld,\"next_offset\":%lld",
                  d->count == 0 ? "" : ",", p->partition, (long long)p->first_offset,
                  (long long)p->next_offset);
    if (d->has_replicas) {
        buffer_printf(&d->out, ",\"hidden\":%lld,\"leader\":%d,\"replicas\":%u,\"in_sync\":%u}",
                      (long long)p->hidden, p->leader, p->replicas, p->in_sync);
        return;
    }
    write_told(&d->out, "records", p->records);
    write_told(&d->out, "batches", p->batches);
    write_told(&d->out, "bytes", p->bytes);
    write_told(&d->out, "uncompressed_bytes", p->uncompressed_bytes);
    buffer_append_string(&d->out, ",\"oldest\":");
    write_time(p->oldest_ms, &d->out);
    buffer_append_string(&d->out, ",\"newest\":");
    write_time(p->newest_ms, &d->out);
    buffer_append_byte(&d->out, '}');
}

static void add_replicas(struct cli_table *table, const struct topic_partition *p)
{
    add_count(table, p->hidden);
    if (p->leader < 0) {
        cli_table_cell(table, "none");
    } else {
        cli_table_cell(table, "%d", p->leader);
    }
    cli_table_cell(table, "%u of %u", p->in_sync, p->replicas);
}

static void add_sizes(struct cli_table *table, const struct topic_partition *p)
{
    const int64_t times_ms[] = {p->oldest_ms, p->newest_ms};
    add_count(table, p->records);
    add_count(table, p->batches);
    add_count(table, p->bytes);
    add_count(table, p->uncompressed_bytes);
    for (size_t i = 0; i < 2; i++) {
        char text[TIME_TEXT_BYTES] = "-";
        if (times_ms[i] >= 0) {
            time_format(times_ms[i] * 1000, text);
        }
        cli_table_cell(table, "%s", text);
    }
}

static enum status describe_partition(void *context, const struct topic_partition *partition,
                                      struct error *err)
{
    struct description *d = context;
    (void)err;
    if (d->json) {
        write_partition(d, partition);
        d->count++;
        return STATUS_OK;
    }
    add_count(&d->table, partition->partition);
    add_count(&d->table, partition->first_offset);
    add_count(&d->table, partition->next_offset);
    if (d->has_replicas) {
        add_replicas(&d->table, partition);
    } else {
        add_sizes(&d->table, partition);
    }
    return STATUS_OK;
}

static enum status describe_group(void *context, const struct topic_group *group, struct error *err)
{
    static const char *const titles[] = {"group", "partition", "next offset", "lag", NULL};
    struct description *d = context;
    (void)err;
    if (d->json) {
        buffer_printf(&d->out, "%s{\"group\":", d->count == 0 ? "" : ",");
        json_write_string(&d->out, bytes_of_string(group->group));
        buffer_printf(&d->out, ",\"partition\":%u,\"next_offset\":%lld,\"lag\":%lld}",
                      group->partition, (long long)group->next_offset, (long long)group->lag);
        d->count++;
        return STATUS_OK;
    }
    if (d->count++ == 0) {
        start_table(&d->table, titles);
    }
    cli_table_cell(&d->table, "%s", group->group);
    add_count(&d->table, group->partition);
    add_count(&d->table, group->next_offset);
    add_count(&d->table, group->lag);
    return STATUS_OK;
}

static enum status describe_groups(struct description *d, struct topics *topics, const char *name,
                                   struct error *err)
{
    d->count = 0;
    if (d->json) {
        buffer_append_string(&d->out, ",\"groups\":[");
    }
    enum status status = topics->ops->groups(topics, name, describe_group, d, err);
    if (status == STATUS_OK && d->json) {
        buffer_append_byte(&d->out, ']');
    } else if (status == STATUS_OK && d->count > 0) {
        fputc('\n', stdout);
        cli_table_print(&d->table, stdout);
    }
    return status;
}

static enum status describe_all(struct description *d, struct topics *topics, const char *name,
                                struct error *err)
{
    static const char *const local[] = {
        "partition", "first offset", "next offset", "records", "batches",
        "bytes",     "uncompressed", "oldest",      "newest",  NULL};
    static const char *const remote[] = {"partition", "first offset", "next offset", "hidden",
                                         "leader",    "in sync",      NULL};
    if (!d->json) {
        start_table(&d->table, d->has_replicas ? remote : local);
    }
    enum status status = topics->ops->partitions(topics, name, describe_partition, d, err);
    if (status == STATUS_OK && d->json) {
        buffer_append_byte(&d->out, ']');
    } else if (status == STATUS_OK) {
        cli_table_print(&d->table, stdout);
        d->table = (struct cli_table){0};
    }
    if (status == STATUS_OK) {
        status = describe_groups(d, topics, name, err);
    }
    if (status == STATUS_OK && d->json) {
        printf("%s}\n", buffer_string(&d->out));
    }
    return status;
}

enum status topic_describe(const struct cli_arguments *arguments, const struct place *place,
                           struct error *err)
{
    struct topics *topics = NULL;
    struct topic_state state = {0};
    struct description d = {.json = cli_given(arguments, "json")};
    bool found = false;
    enum status status = topic_open(place, TOPICS_LOOK, &topics, err);
    if (status == STATUS_OK) {
        status = topics->ops->find(topics, place->name, &state, &found, err);
    }
    if (status == STATUS_OK && !found) {
        status = topic_missing(place, err);
    }
    if (status == STATUS_OK) {
        d.has_replicas = topics->ops->has_replicas;
        describe_head(&d, &state);
        status = describe_all(&d, topics, place->name, err);
    }
    if (topics != NULL) {
        topics->ops->close(topics);
    }
    buffer_fini(&d.table.cells);
    buffer_fini(&d.out);
    return status;
}
