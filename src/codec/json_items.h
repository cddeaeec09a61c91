/* The items of a JSON array or object, one after the other, as raw JSON: for the small lists that
 * weir itself wrote. */
#ifndef WEIR_CODEC_JSON_ITEMS_H
#define WEIR_CODEC_JSON_ITEMS_H

#include <stdbool.h>

#include "base/bytes.h"

struct json_items {
    const uint8_t *at;
    const uint8_t *end;
    bool is_object;
};

/* False when `json`, which must be valid JSON, is neither an array nor an object. */
bool json_items_begin(struct json_items *items, struct bytes json);
/* `out_name` is the raw name with its quotes, none in an array. False behind the last item. */
bool json_items_next(struct json_items *items, struct bytes *out_name, struct bytes *out_value);

#endif
