/* A grammar as JSON Schema, for editors: what a file may say is written once, in the table. */
#include <string.h>

#include "doc/grammar.h"

#define ENVIRONMENT "{\"$ref\":\"#/$defs/environment\"}"
#define DURATION "\"pattern\":\"^([0-9]+([.][0-9]+)?(us|ms|s|m|h|d))+$\""

static void write_string(const char *text, struct buffer *out)
{
    const struct doc node = {
        .kind = DOC_STRING, .text = text, .text_size = strlen(text), .quoted = true};
    doc_write_canonical(&node, out);
}

static void write_choices(const char *const *choices, struct buffer *out)
{
    buffer_append_string(out, "{\"enum\":[");
    for (size_t i = 0; choices[i] != NULL; i++) {
        buffer_append_string(out, i == 0 ? "" : ",");
        write_string(choices[i], out);
    }
    buffer_append_string(out, "]}");
}

static void write_integer(const struct grammar_field *field, struct buffer *out)
{
    buffer_append_string(out, "{\"type\":\"integer\"");
    if (field->maximum > field->minimum) {
        buffer_printf(out, ",\"minimum\":%lld,\"maximum\":%lld", (long long)field->minimum,
                      (long long)field->maximum);
    }
    buffer_append_byte(out, '}');
}

/* A value that is no map and no list of maps. */
static void write_scalar(const struct grammar_field *field, struct buffer *out)
{
    switch (field->type) {
    case GRAMMAR_NAME:
        buffer_append_string(out, "{\"type\":\"string\",\"maxLength\":200,"
                                  "\"pattern\":\"^[A-Za-z0-9_.-]+$\"}");
        return;
    case GRAMMAR_BOOL:
        buffer_append_string(out, "{\"type\":\"boolean\"}");
        return;
    case GRAMMAR_INT:
        write_integer(field, out);
        return;
    case GRAMMAR_NUMBER:
        buffer_append_string(out, "{\"type\":\"number\"}");
        return;
    case GRAMMAR_DURATION:
        buffer_append_string(out, "{\"type\":\"string\"," DURATION "},{\"const\":0},"
                                  "{\"const\":\"0\"}");
        return;
    case GRAMMAR_DURATION_OR_UNLIMITED:
        buffer_append_string(out, "{\"type\":\"string\"," DURATION "},{\"const\":0},"
                                  "{\"const\":\"0\"},{\"const\":\"unlimited\"}");
        return;
    case GRAMMAR_SIZE:
        buffer_append_string(out, "{\"type\":\"string\",\"pattern\":"
                                  "\"^[0-9]+([.][0-9]+)?(B|KiB|MiB|GiB|KB|MB|GB)$\"}");
        return;
    case GRAMMAR_PERCENT:
        buffer_append_string(out, "{\"type\":\"string\",\"pattern\":\"^[0-9]+([.][0-9]+)?%$\"}");
        return;
    case GRAMMAR_CHOICE:
        write_choices(field->choices, out);
        return;
    default:
        buffer_append_string(out, "{\"type\":\"string\"}");
    }
}

static void write_map(const struct grammar_field *fields, struct buffer *out);

static void write_secret(struct buffer *out)
{
    buffer_append_string(out, "\"type\":\"object\",\"properties\":{\"file\":{\"type\":\"string\"},"
                              "\"env\":{\"type\":\"string\"},\"credential\":{\"type\":\"string\"}},"
                              "\"additionalProperties\":false,\"minProperties\":1,"
                              "\"maxProperties\":1");
}

/* The members of the schema of one key, without its braces. */
static void write_value(const struct grammar_field *field, struct buffer *out)
{
    switch (field->type) {
    case GRAMMAR_ANY:
        return;
    case GRAMMAR_SECRET:
        write_secret(out);
        return;
    case GRAMMAR_STRINGS:
        buffer_append_string(out, "\"anyOf\":[{\"type\":\"string\"},{\"type\":\"array\","
                                  "\"items\":{\"type\":\"string\"}}]");
        return;
    case GRAMMAR_MAP:
        write_map(field->fields, out);
        return;
    case GRAMMAR_MAP_OF:
        buffer_append_string(out, "\"type\":\"object\",\"additionalProperties\":{");
        write_map(field->fields, out);
        buffer_append_byte(out, '}');
        return;
    case GRAMMAR_LIST_OF:
        buffer_append_string(out, "\"type\":\"array\",\"items\":{");
        write_map(field->fields, out);
        buffer_append_byte(out, '}');
        return;
    default:
        /* ${NAME} may stand for any scalar. */
        buffer_append_string(out, "\"anyOf\":[");
        write_scalar(field, out);
        buffer_append_string(out, "," ENVIRONMENT "]");
    }
}

static void write_property(const struct grammar_field *field, struct buffer *out)
{
    write_string(field->key, out);
    buffer_append_string(out, ":{\"description\":");
    write_string(field->help == NULL ? "" : field->help, out);
    size_t before = out->size;
    buffer_append_byte(out, ',');
    write_value(field, out);
    /* Any value: there is nothing behind the comma. */
    out->size = out->size == before + 1 ? before : out->size;
    buffer_append_byte(out, '}');
}

/* What is not supported is no property, so that it is refused here too. */
static void write_map(const struct grammar_field *fields, struct buffer *out)
{
    buffer_append_string(out, "\"type\":\"object\"");
    if (fields == NULL) {
        return;
    }
    buffer_append_string(out, ",\"properties\":{");
    bool is_first = true;
    for (const struct grammar_field *field = fields; field->key != NULL; field++) {
        if (field->unsupported == NULL) {
            buffer_append_string(out, is_first ? "" : ",");
            write_property(field, out);
            is_first = false;
        }
    }
    buffer_append_string(out, "},\"required\":[");
    is_first = true;
    for (const struct grammar_field *field = fields; field->key != NULL; field++) {
        if (field->required && field->unsupported == NULL) {
            buffer_append_string(out, is_first ? "" : ",");
            write_string(field->key, out);
            is_first = false;
        }
    }
    buffer_append_string(out, "],\"additionalProperties\":false");
}

void grammar_write_json_schema(const struct grammar_field *fields, const char *title,
                               struct buffer *out)
{
    buffer_append_string(out, "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\","
                              "\"title\":");
    write_string(title, out);
    buffer_append_string(out, ",\"$defs\":{\"environment\":{\"description\":"
                              "\"a value out of the environment\",\"type\":\"string\","
                              "\"pattern\":\"[$][{][A-Za-z_][A-Za-z0-9_]*[}]\"}},");
    write_map(fields, out);
    buffer_append_byte(out, '}');
}
