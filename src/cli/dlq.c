/* weir dlq: look at dead letters, and send them through the pipeline again. */
#include "cli/dlq.h"

#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "cli/letters.h"
#include "cli/place.h"
#include "cli/verbs.h"
#include "codec/json.h"
#include "connector/file/letter.h"
#include "os/thread.h"

#define DETAIL_MOST_BYTES 72
#define VALUE_MOST_BYTES 1000

/* --- texts --- */

void dlq_write_origin(const struct dead_letter *letter, struct buffer *out)
{
    buffer_printf(out, "%s [%s] %lld", letter->topic, letter->partition,
                  (long long)letter->offset);
}

/* The size of the character at the start of `text`: 0 when it is not a whole one. */
static size_t character_size(struct bytes text)
{
    for (size_t size = 1; size <= 4 && size <= text.size; size++) {
        if (bytes_is_utf8(bytes_of(text.data, size))) {
            return size;
        }
    }
    return 0;
}

/* For people: at most so many bytes, control characters and what is not UTF-8 escaped. */
static void write_excerpt(struct bytes text, size_t most_bytes, struct buffer *out)
{
    size_t at = 0;
    while (at < text.size && at < most_bytes) {
        size_t size = character_size(bytes_of(text.data + at, text.size - at));
        uint8_t byte = text.data[at];
        if (size == 0 || byte < ' ' || byte == 0x7F) {
            buffer_printf(out, "\\x%02x", byte);
            at++;
        } else {
            buffer_append(out, text.data + at, size);
            at += size;
        }
    }
    if (at < text.size) {
        buffer_append_string(out, "…");
    }
}

static void print_foreign(uint64_t count)
{
    char text[27];
    if (count > 0) {
        fprintf(stderr, "%s record%s there %s no dead letter%s\n", cli_count(count, text),
                count == 1 ? "" : "s", count == 1 ? "is" : "are", count == 1 ? "" : "s");
    }
}

/* --- list --- */

/* Dead letters of one reason and field. */
struct group {
    const char *reason;
    const char *field;
    uint64_t count;
    struct dead_letter example; /* the first: topic, partition and offset */
};

struct listing {
    struct arena *arena;
    struct group *groups;
    uint32_t count, capacity;
    uint64_t letter_count;
};

static struct group *find_group(struct listing *listing, const struct dead_letter *letter)
{
    for (uint32_t i = 0; i < listing->count; i++) {
        struct group *group = &listing->groups[i];
        if (strcmp(group->reason, letter->reason) == 0 &&
            strcmp(group->field, letter->field) == 0) {
            return group;
        }
    }
    if (listing->count == listing->capacity) {
        listing->capacity = listing->capacity * 2 + 16;
        listing->groups =
            memory_realloc(listing->groups, size_mul(listing->capacity, sizeof *listing->groups));
    }
    struct arena *arena = listing->arena;
    struct group *group = &listing->groups[listing->count++];
    *group = (struct group){
        .reason = arena_copy_string(arena, letter->reason),
        .field = arena_copy_string(arena, letter->field),
        .example = {.topic = arena_copy_string(arena, letter->topic),
                    .partition = arena_copy_string(arena, letter->partition),
                    .offset = letter->offset,
                    .detail = bytes_of(arena_copy(arena, letter->detail.data, letter->detail.size),
                                       letter->detail.size)},
    };
    return group;
}

static enum status count_letter(void *context, const struct dead_letter *letter, bool *out_done,
                                struct error *err)
{
    (void)err;
    struct listing *listing = context;
    find_group(listing, letter)->count++;
    listing->letter_count++;
    *out_done = stop_requested();
    return STATUS_OK;
}

/* The most frequent first. */
static int compare_groups(const void *a, const void *b)
{
    const struct group *left = a;
    const struct group *right = b;
    if (left->count != right->count) {
        return left->count > right->count ? -1 : 1;
    }
    int order = strcmp(left->reason, right->reason);
    return order != 0 ? order : strcmp(left->field, right->field);
}

static void print_groups(const struct listing *listing)
{
    struct cli_table table = {.columns = 4};
    struct buffer example = {0};
    char count[27];
    cli_table_cell(&table, "reason");
    cli_table_cell(&table, "field");
    cli_table_cell(&table, "records");
    cli_table_cell(&table, "example");
    for (uint32_t i = 0; i < listing->count; i++) {
        const struct group *group = &listing->groups[i];
        buffer_clear(&example);
        dlq_write_origin(&group->example, &example);
        if (group->example.detail.size > 0) {
            buffer_append_string(&example, ": ");
            write_excerpt(group->example.detail, DETAIL_MOST_BYTES, &example);
        }
        cli_table_cell(&table, "%s", group->reason);
        cli_table_cell(&table, "%s", group->field);
        cli_table_cell(&table, "%s", cli_count(group->count, count));
        cli_table_cell(&table, "%s", buffer_string(&example));
    }
    cli_table_print(&table, stdout);
    buffer_fini(&example);
}

static void write_member(struct buffer *out, const char *name, const char *value)
{
    buffer_printf(out, "\"%s\":", name);
    json_write_string(out, bytes_of_string(value));
    buffer_append_byte(out, ',');
}

static void print_groups_json(const struct listing *listing)
{
    struct buffer out = {0};
    buffer_append_byte(&out, '[');
    for (uint32_t i = 0; i < listing->count; i++) {
        const struct group *group = &listing->groups[i];
        buffer_append_string(&out, i == 0 ? "{" : ",{");
        write_member(&out, "reason", group->reason);
        write_member(&out, "field", group->field);
        buffer_printf(&out, "\"records\":%llu,\"example\":{", (unsigned long long)group->count);
        write_member(&out, "topic", group->example.topic);
        write_member(&out, "partition", group->example.partition);
        buffer_printf(&out, "\"offset\":%lld,\"detail\":", (long long)group->example.offset);
        bool is_text = bytes_is_utf8(group->example.detail);
        json_write_string(&out, is_text ? group->example.detail : bytes_of_string(""));
        buffer_append_string(&out, "}}");
    }
    printf("%s]\n", buffer_string(&out));
    buffer_fini(&out);
}

static void print_listing(struct listing *listing, bool json)
{
    char count[27];
    if (listing->count > 1) {
        qsort(listing->groups, listing->count, sizeof *listing->groups, compare_groups);
    }
    if (json) {
        print_groups_json(listing);
        return;
    }
    if (listing->count > 0) {
        print_groups(listing);
    }
    fprintf(stderr, "%s dead letter%s\n", cli_count(listing->letter_count, count),
            listing->letter_count == 1 ? "" : "s");
}

static enum status list(const struct cli_arguments *arguments, struct error *err)
{
    struct listing listing = {.arena = arena_new(16 * 1024)};
    struct place place = {0};
    uint64_t foreign_count = 0;
    enum status status = place_parse_dlq(listing.arena, arguments->positional[1], &place, err);
    if (status == STATUS_OK) {
        status = letters_each(&place, count_letter, &listing, &foreign_count, err);
    }
    if (status == STATUS_OK) {
        print_listing(&listing, cli_given(arguments, "json"));
        print_foreign(foreign_count);
    }
    memory_free(listing.groups);
    arena_free(listing.arena);
    return status;
}

/* --- show --- */

struct show {
    const char *reason; /* NULL: any */
    int64_t left;
    bool json;
    struct buffer out;
};

static void write_for_people(struct buffer *out, const struct dead_letter *letter)
{
    dlq_write_origin(letter, out);
    buffer_printf(out, "  %s", letter->reason);
    if (letter->field[0] != '\0') {
        buffer_printf(out, " %s", letter->field);
    }
    if (letter->detail.size > 0) {
        buffer_append_string(out, ": ");
        write_excerpt(letter->detail, VALUE_MOST_BYTES, out);
    }
    if (letter->sink[0] != '\0') {
        buffer_printf(out, "  refused by %s", letter->sink);
    }
    if (letter->attempt > 1) {
        buffer_printf(out, "  attempt %u", letter->attempt);
    }
    buffer_append_string(out, "\n  key    ");
    write_excerpt(bytes_is_none(letter->key) ? bytes_of_string("(none)") : letter->key,
                      VALUE_MOST_BYTES, out);
    buffer_append_string(out, "\n  value  ");
    write_excerpt(bytes_is_none(letter->value) ? bytes_of_string("(none)") : letter->value,
                      VALUE_MOST_BYTES, out);
}

static enum status show_letter(void *context, const struct dead_letter *letter, bool *out_done,
                               struct error *err)
{
    (void)err;
    struct show *show = context;
    if (show->reason == NULL || strcmp(show->reason, letter->reason) == 0) {
        buffer_clear(&show->out);
        if (show->json) {
            letter_write(letter, &show->out);
        } else {
            write_for_people(&show->out, letter);
        }
        buffer_append_byte(&show->out, '\n');
        fwrite(show->out.data, 1, show->out.size, stdout);
        show->left--;
    }
    *out_done = show->left == 0 || cli_output_ended() || stop_requested();
    return STATUS_OK;
}

static enum status show(const struct cli_arguments *arguments, struct error *err)
{
    struct arena *arena = arena_new(16 * 1024);
    struct show show = {.reason = cli_value(arguments, "reason"),
                        .json = cli_given(arguments, "json")};
    struct place place = {0};
    uint64_t foreign_count = 0;
    enum status status =
        cli_integer(arguments, "limit", 1, INT64_MAX, INT64_MAX, &show.left, err);
    if (status == STATUS_OK) {
        status = place_parse_dlq(arena, arguments->positional[1], &place, err);
    }
    if (status == STATUS_OK) {
        status = letters_each(&place, show_letter, &show, &foreign_count, err);
    }
    if (status == STATUS_OK) {
        print_foreign(foreign_count);
    }
    buffer_fini(&show.out);
    arena_free(arena);
    return status;
}

/* --- the verb --- */

static const struct action {
    const char *name;
    const char *options[6]; /* that it takes, NULL-terminated */
    enum status (*run)(const struct cli_arguments *arguments, struct error *err);
} actions[] = {
    {"list", {"json"}, list},
    {"show", {"json", "reason", "limit"}, show},
    {"replay", {"reason", "limit", "dry-run", "set"}, dlq_replay},
};
#define ACTION_COUNT (sizeof actions / sizeof actions[0])

static enum status find_action(const char *name, const struct action **out, struct error *err)
{
    const char *names[ACTION_COUNT];
    for (size_t i = 0; i < ACTION_COUNT; i++) {
        if (strcmp(actions[i].name, name) == 0) {
            *out = &actions[i];
            return STATUS_OK;
        }
        names[i] = actions[i].name;
    }
    const char *nearest = string_nearest(name, names, ACTION_COUNT);
    return error_set(err, STATUS_CONFIG, "use.arguments",
                     "weir dlq can list, show and replay, not '%s'%s%s%s", name,
                     nearest == NULL ? "" : "; did you mean '", nearest == NULL ? "" : nearest,
                     nearest == NULL ? "" : "'?");
}

/* An option that an action would ignore is refused. */
static enum status check_options(const struct cli_arguments *arguments,
                                 const struct action *action, struct error *err)
{
    for (uint32_t i = 0; arguments->options[i].name != NULL; i++) {
        bool is_taken = arguments->values[i] == NULL;
        for (uint32_t k = 0; action->options[k] != NULL; k++) {
            is_taken = is_taken || strcmp(arguments->options[i].name, action->options[k]) == 0;
        }
        if (!is_taken) {
            return error_set(err, STATUS_CONFIG, "use.option", "weir dlq %s has no option '--%s'",
                             action->name, arguments->options[i].name);
        }
    }
    return STATUS_OK;
}

static enum status run(const struct cli_arguments *arguments, struct error *err)
{
    const struct action *action = NULL;
    enum status status = find_action(arguments->positional[0], &action, err);
    if (status == STATUS_OK) {
        status = check_options(arguments, action, err);
    }
    return status == STATUS_OK ? action->run(arguments, err) : status;
}

static const struct cli_option options[] = {
    {"reason", "REASON", "show, replay: only dead letters of that reason"},
    {"limit", "N", "show, replay: at most so many"},
    {"set", "FIELD=JSON", "replay: with that value in the record; may be given several times",
     .repeats = true},
    {"dry-run", NULL, "replay: say what would be done, and do nothing"},
    {"json", NULL, "list, show: as JSON"},
    {0},
};

const struct cli_verb verb_dlq = {
    .name = "dlq",
    .arguments = "list|show|replay P.yaml [--reason REASON] [--set FIELD=JSON] [--dry-run]",
    .summary = "list, show and replay dead letters",
    .details =
        "list P.yaml     dead letters by reason and field, with an example of each\n"
        "show P.yaml     each with its origin, reason, key and value\n"
        "replay P.yaml   writes them into the source again, to their own partition, mended by\n"
        "                --set. A dead letter is replayed once, however often this runs; what\n"
        "                fails again becomes a dead letter of the next attempt. The pipeline may\n"
        "                be running.\n"
        "list and show also take a place: local:PATH#topic, file:PATH, P.yaml:SINK.",
    .options = options,
    .least = 2,
    .most = 2,
    .run = run,
};
