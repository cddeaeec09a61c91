#include "codec/json_items.h"

#include "base/status.h"

static bool is_space(uint8_t byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

static void skip_space(struct json_items *items)
{
    while (items->at < items->end && is_space(*items->at)) {
        items->at++;
    }
}

static void skip_string(struct json_items *items)
{
    for (items->at++; items->at < items->end && *items->at != '"'; items->at++) {
        items->at += *items->at == '\\';
    }
    items->at++;
}

static struct bytes take_value(struct json_items *items)
{
    const uint8_t *begin = items->at;
    uint32_t depth = 0;
    while (items->at < items->end) {
        uint8_t byte = *items->at;
        if (byte == '"') {
            skip_string(items);
            continue;
        }
        if (depth == 0 && (byte == ',' || byte == ']' || byte == '}')) {
            break;
        }
        depth += byte == '[' || byte == '{';
        depth -= byte == ']' || byte == '}';
        items->at++;
    }
    check(items->at <= items->end);
    const uint8_t *end = items->at;
    while (end > begin && is_space(end[-1])) {
        end--;
    }
    return bytes_of(begin, (size_t)(end - begin));
}

bool json_items_begin(struct json_items *items, struct bytes json)
{
    *items = (struct json_items){.at = json.data, .end = json.data + json.size};
    skip_space(items);
    if (items->at == items->end || (*items->at != '[' && *items->at != '{')) {
        return false;
    }
    items->is_object = *items->at == '{';
    items->at++;
    return true;
}

bool json_items_next(struct json_items *items, struct bytes *out_name, struct bytes *out_value)
{
    skip_space(items);
    if (items->at < items->end && *items->at == ',') {
        items->at++;
        skip_space(items);
    }
    if (items->at >= items->end || *items->at == ']' || *items->at == '}') {
        return false;
    }
    *out_name = BYTES_NONE;
    if (items->is_object) {
        const uint8_t *name = items->at;
        skip_string(items);
        *out_name = bytes_of(name, (size_t)(items->at - name));
        skip_space(items);
        items->at++; /* the colon */
        skip_space(items);
    }
    *out_value = take_value(items);
    return true;
}
