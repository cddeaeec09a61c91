/*
 * The key of a record as the values of some columns: what tombstones delete by.
 *
 *   KEY_TEXT   the key is the value of the one column: of a text its bytes, of an integer its digits
 *   KEY_JSON   the key is an object with exactly these members: {"id":7,"region":"x"}, as Kafka
 *              Connect's JsonConverter writes it (schemas.enable=false)
 *
 * Different values have different keys; of KEY_JSON one value can be spelled in several ways, of which
 * record_key_write() gives the one that counts where the bytes of the key choose its partition.
 *
 * Threads: none; all is the caller's.
 */
#ifndef WEIR_CODEC_RECORD_KEY_H
#define WEIR_CODEC_RECORD_KEY_H

#include "base/memory.h"
#include "batch/layout.h"
#include "batch/value.h"

#define RECORD_KEY_MEMBERS_MAX 16u

enum key_format { KEY_TEXT, KEY_JSON };

struct record_key_member {
    struct bytes name;
    enum column_type type; /* COLUMN_TEXT or COLUMN_INT64 */
};

struct record_key {
    enum key_format format;
    uint32_t count; /* of KEY_TEXT 1; 0: nobody asks for values */
    struct record_key_member members[RECORD_KEY_MEMBERS_MAX];
};

/* One more member: the field's name and type. */
void record_key_add(struct record_key *shape, const struct field *field);
/* Values in the order of the members; false for a key that is none of them. Texts are slices of the
 * key or of the arena. */
bool record_key_read(const struct record_key *shape, struct bytes key, struct arena *arena,
                     struct value *out);
/* Appends the key of these values: of KEY_JSON without spaces, members in their order. */
void record_key_write(const struct record_key *shape, const struct value *values,
                      struct buffer *out);

#endif
