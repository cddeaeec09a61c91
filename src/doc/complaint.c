#include "doc/complaint.h"

#include <stdio.h>
#include <string.h>

static bool is_refused_control(uint8_t byte)
{
    return byte < 0x20 && byte != '\t' && byte != '\n';
}

/* Size of the UTF-8 character at `at`, 0 when there is none. */
static size_t character_size(struct bytes content, size_t at)
{
    for (size_t size = 1; size <= 4 && at + size <= content.size; size++) {
        if (bytes_is_utf8(bytes_of(content.data + at, size))) {
            return size;
        }
    }
    return 0;
}

enum status complaint_about_bytes(const char *file, struct bytes content, struct error *err)
{
    bool all_utf8 = bytes_is_utf8(content);
    for (size_t at = 0; at < content.size;) {
        size_t size = all_utf8 || content.data[at] < 0x80 ? 1 : character_size(content, at);
        bool refused = size == 1 && is_refused_control(content.data[at]);
        if (size != 0 && !refused) {
            at += size;
            continue;
        }
        struct place place = place_at(content, PLACE_START, at);
        return error_set_at(err, STATUS_CONFIG, "doc.syntax", file, place.line, place.column,
                            size == 0 ? "byte 0x%02x is not UTF-8 here; save the file as UTF-8"
                                      : "the control character 0x%02x may not stand in a "
                                        "document; in double quotes it is written \"\\x%02x\" "
                                        "(in JSON \"\\u00%02x\")",
                            content.data[at], content.data[at], content.data[at]);
    }
    return STATUS_OK;
}

/* What to do about a complaint that says `about`; the first row that fits. */
static const struct {
    const char *about;
    const char *hint;
} hints[] = {
    {"wrongly indented double-quoted", "is the closing quote missing, or a line not indented?"},
    {"wrongly indented single-quoted", "is the closing quote missing, or a line not indented?"},
    {"scalar used as key", "is the closing quote missing?"},
    {"invalid multiline plain key",
     "is there no space behind ':', or is the next line indented too far?"},
    {"invalid multiline plain scalar", "is the next line indented too far?"},
    {"tab", "indent with spaces"},
    {"invalid indentation in mapping", "line it up with the keys above it"},
    {"did not find expected '-'", "line it up with the items or keys above it"},
    {"invalid nested block mapping", "put quotes around a value that contains ': '"},
    {"invalid mapping in plain multiline", "begin the map on a line of its own"},
    {"invalid value after mapping", "expected 'key: value' here"},
    {"invalid scalar at the end of block sequence", "expected '- item' here"},
    {"cannot start with '#'", "JSON has no comments"},
    {"cannot start with", "put quotes around the value"},
    {"could not find expected ':'", "write 'key: value', with a space behind ':'"},
    {"invalid trailing content", "put the whole value into one pair of quotes"},
    {"invalid escape", "write a backslash as \\\\, or use single quotes"},
    {"wrongly indented flow", "indent it deeper than its key"},
    {"JSON plain scalar",
     "in a .json file keys and strings stand in double quotes, comments are not allowed, and "
     "items are separated by commas"},
    {"JSON does not allow empty values", "expected \"key\": value"},
    {"unexpected alias", "a '*' at the start of a value needs quotes"},
};

/* A '{' begins a map, also in ${NAME}, unless it stands in a text without brackets around it. */
static bool is_variable(struct bytes content, struct place place)
{
    const uint8_t *at = content.data;
    const uint8_t *end = content.data + content.size;
    for (uint32_t line = 1; at != NULL && line < place.line; line++) {
        at = memchr(at, '\n', (size_t)(end - at));
        at = at == NULL ? NULL : at + 1;
    }
    return at != NULL && place.column > 1 && (size_t)(end - at) >= place.column &&
           at[place.column - 2] == '$' && at[place.column - 1] == '{';
}

static const char *hint_about(const char *message, struct bytes content, struct place place)
{
    if (is_variable(content, place)) {
        return "put quotes around a value with ${NAME} in it";
    }
    for (size_t i = 0; i < sizeof hints / sizeof hints[0]; i++) {
        if (strstr(message, hints[i].about) != NULL) {
            return hints[i].hint;
        }
    }
    return NULL;
}

/* libfyaml says the line behind the last where a file ends too early, even if the last line has no
 * line break, and it puts quoted strings at their first character, behind the quote. */
static struct place complaint_place(struct bytes content, const struct fy_diag_error *error)
{
    struct place end = place_at(content, PLACE_START, content.size);
    struct place place = {.line = error->line > 0 ? (uint32_t)error->line : 1,
                          .column = error->column > 0 ? (uint32_t)error->column : 1};
    if (place.line > end.line) {
        return end;
    }
    enum fy_scalar_style style = fy_token_scalar_style(error->fyt);
    const struct fy_mark *mark = error->fyt != NULL ? fy_token_start_mark(error->fyt) : NULL;
    bool at_quoted_token = mark != NULL && mark->line + 1 == error->line &&
                           mark->column + 1 == error->column &&
                           (style == FYSS_SINGLE_QUOTED || style == FYSS_DOUBLE_QUOTED);
    bool at_open_quote = strstr(error->msg, "without closing quote") != NULL;
    if ((at_quoted_token || at_open_quote) && place.column > 1) {
        place.column--;
    }
    return place;
}

enum status complaint_of_library(struct fy_diag *diag, const char *file, struct bytes content,
                                 struct place last, const char *context, struct error *err)
{
    void *iterator = NULL;
    const struct fy_diag_error *error = fy_diag_errors_iterate(diag, &iterator);
    while (error != NULL && error->type < FYET_ERROR) {
        error = fy_diag_errors_iterate(diag, &iterator); /* Warnings are collected, too. */
    }
    if (error == NULL) {
        return error_set_at(err, STATUS_CONFIG, "doc.syntax", file, last.line, last.column,
                            "this is not YAML 1.2 that can be read%s", context);
    }
    struct place place = complaint_place(content, error);
    const char *hint = hint_about(error->msg, content, place);
    return error_set_at(err, STATUS_CONFIG, "doc.syntax", file, place.line, place.column,
                        "%s%s%s%s", error->msg, context, hint != NULL ? ": " : "",
                        hint != NULL ? hint : "");
}
