/* weir test --update: what is becomes what is expected. The file is a person's, so only the lines
 * of `expect` change: they are found by the places of the keys and by indentation. */
#include <ctype.h>
#include <string.h>

#include "cli/test.h"
#include "codec/json.h"
#include "os/file.h"

#define FILE_BYTES_MAX (4u * 1024u * 1024u)
#define FILE_MODE 0644u

/* --- an outcome as YAML --- */

static bool is_plain(const char *text)
{
    static const char *const words[] = {"true", "false", "null", "yes", "no", "on", "off"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(text, words[i]) == 0) {
            return false;
        }
    }
    for (const char *at = text; *at != '\0'; at++) {
        if (!isalnum((unsigned char)*at) && strchr("_.-", *at) == NULL) {
            return false;
        }
    }
    return isalpha((unsigned char)text[0]) != 0;
}

static void write_text(const char *text, struct buffer *out)
{
    if (is_plain(text)) {
        buffer_append_string(out, text);
    } else {
        json_write_string(out, bytes_of_string(text));
    }
}

static void write_names(const char *key, const char *const *names, uint32_t count,
                        struct buffer *out)
{
    buffer_printf(out, ", %s: [", key);
    for (uint32_t i = 0; i < count; i++) {
        buffer_append_string(out, i == 0 ? "" : ", ");
        write_text(names[i], out);
    }
    buffer_append_byte(out, ']');
}

void test_write_outcome(const struct case_outcome *outcome, struct buffer *out)
{
    buffer_printf(out, "{verdict: %s", verdict_name(outcome->verdict));
    if (outcome->reason[0] != '\0') {
        buffer_append_string(out, ", reason: ");
        write_text(outcome->reason, out);
    }
    if (outcome->field[0] != '\0') {
        buffer_append_string(out, ", field: ");
        write_text(outcome->field, out);
    }
    if (!bytes_is_none(outcome->output)) {
        buffer_append_string(out, ", output: ");
        buffer_append(out, outcome->output.data, outcome->output.size);
    }
    write_names("sinks", outcome->sinks, outcome->sink_count, out);
    if (outcome->warning_count > 0) {
        write_names("warnings", outcome->warnings, outcome->warning_count, out);
    }
    buffer_append_byte(out, '}');
}

/* --- the lines of the file --- */

struct lines_of {
    struct bytes *lines; /* with their line breaks */
    size_t count;
};

static void split(struct arena *arena, struct bytes content, struct lines_of *out)
{
    size_t count = 1;
    for (size_t i = 0; i < content.size; i++) {
        count += content.data[i] == '\n';
    }
    out->lines = arena_alloc_zero(arena, count, sizeof *out->lines);
    const uint8_t *at = content.data;
    const uint8_t *end = content.data + content.size;
    while (at < end) {
        const uint8_t *newline = memchr(at, '\n', (size_t)(end - at));
        const uint8_t *next = newline == NULL ? end : newline + 1;
        out->lines[out->count++] = bytes_of(at, (size_t)(next - at));
        at = next;
    }
}

static size_t indent_of(struct bytes line)
{
    size_t indent = 0;
    while (indent < line.size && line.data[indent] == ' ') {
        indent++;
    }
    return indent;
}

static bool is_blank(struct bytes line)
{
    size_t indent = indent_of(line);
    return indent == line.size || line.data[indent] == '\n' || line.data[indent] == '\r';
}

/* Whether nothing but the dash of the case stands before the key. */
static bool begins_line(const struct lines_of *file, const struct doc *key)
{
    struct bytes line = file->lines[key->line - 1];
    size_t indent = indent_of(line);
    if (indent < line.size && line.data[indent] == '-') {
        indent++;
        while (indent < line.size && line.data[indent] == ' ') {
            indent++;
        }
    }
    return indent == key->column - 1;
}

/* The line behind the value of a key: what is indented further, and items at the key's own
 * indentation. Blank lines at its end belong to what follows. */
static size_t end_of_block(const struct lines_of *file, const struct doc *key)
{
    size_t column = key->column - 1;
    size_t end = key->line;
    for (size_t i = key->line; i < file->count; i++) {
        struct bytes line = file->lines[i];
        size_t indent = indent_of(line);
        if (is_blank(line)) {
            continue;
        }
        if (indent < column || (indent == column && line.data[indent] != '-')) {
            break;
        }
        end = i + 1;
    }
    return end;
}

static const struct doc *key_of(const struct doc *map, const char *name)
{
    for (size_t i = 0; i < map->count; i++) {
        if (strcmp(map->keys[i]->text, name) == 0) {
            return map->keys[i];
        }
    }
    return NULL;
}

/* Lines [first, end) are replaced. */
struct change {
    size_t first, end;
    size_t indent;
};

static enum status find_change(const struct lines_of *file, const struct case_entry *entry,
                               struct change *out, struct error *err)
{
    const struct doc *input = key_of(entry->node, "input");
    const struct doc *expect = key_of(entry->node, "expect");
    for (size_t i = 0; i < entry->node->count; i++) {
        if (!begins_line(file, entry->node->keys[i])) {
            return doc_error(entry->node->keys[i], err, "test.layout",
                             "--update needs the keys of a case on lines of their own: write it "
                             "as a block, not in braces");
        }
    }
    if (expect != NULL && expect == entry->node->keys[0]) {
        return doc_error(expect, err, "test.layout",
                         "--update needs another key of the case before 'expect', such as 'name'");
    }
    out->indent = (expect == NULL ? input : expect)->column - 1;
    out->first = expect == NULL ? end_of_block(file, input) : expect->line - 1;
    out->end = expect == NULL ? out->first : end_of_block(file, expect);
    return STATUS_OK;
}

static void write_expect(const struct case_entry *entry, size_t indent, struct buffer *out)
{
    if (out->size > 0 && out->data[out->size - 1] != '\n') {
        buffer_append_byte(out, '\n');
    }
    buffer_printf(out, "%*sexpect:%s\n", (int)indent, "", entry->row_count == 0 ? " []" : "");
    for (uint32_t row = 0; row < entry->row_count; row++) {
        buffer_printf(out, "%*s- ", (int)indent + 2, "");
        test_write_outcome(&entry->outcomes[row], out);
        buffer_append_byte(out, '\n');
    }
}

static enum status rewrite(const struct lines_of *file, const struct cases *cases,
                           struct buffer *out, struct error *err)
{
    size_t at = 0;
    for (uint32_t i = 0; i < cases->count; i++) {
        struct change change = {0};
        enum status status = find_change(file, &cases->entries[i], &change, err);
        if (status != STATUS_OK) {
            return status;
        }
        for (; at < change.first; at++) {
            buffer_append(out, file->lines[at].data, file->lines[at].size);
        }
        write_expect(&cases->entries[i], change.indent, out);
        at = change.end;
    }
    for (; at < file->count; at++) {
        buffer_append(out, file->lines[at].data, file->lines[at].size);
    }
    return STATUS_OK;
}

enum status test_update(const char *path, const struct cases *cases, struct error *err)
{
    struct arena *arena = arena_new(16 * 1024);
    struct buffer content = {0};
    struct buffer changed = {0};
    struct lines_of file = {0};
    struct doc *parsed = NULL;
    enum status status = file_read(path, FILE_BYTES_MAX, &content, err);
    if (status == STATUS_OK) {
        split(arena, bytes_of(content.data, content.size), &file);
        status = rewrite(&file, cases, &changed, err);
    }
    /* A file that could not be read back is not written. */
    if (status == STATUS_OK) {
        status = doc_parse(arena, path, bytes_of(changed.data, changed.size), NULL, &parsed, err);
    }
    if (status == STATUS_OK) {
        status = file_write_durably(path, bytes_of(changed.data, changed.size), FILE_MODE, err);
    }
    buffer_fini(&content);
    buffer_fini(&changed);
    arena_free(arena);
    return status;
}
