#include "connector/file/part_name.h"

#include <ctype.h>
#include <string.h>

#include "base/hash.h"
#include "connector/file/lines.h"

#define OFFSET_DIGITS 19u
/* "-<first>-<next>" */
#define TAIL_SIZE (2u * (1u + OFFSET_DIGITS))
#define SLUG_BYTES_MAX 64u

/* The end of a path in letters, digits, '.', '_' and '-', never hidden. */
static const char *slug_of(struct arena *arena, const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash == NULL ? path : slash + 1;
    size_t size = strlen(name);
    char *slug = arena_copy(arena, name, size < SLUG_BYTES_MAX ? size : SLUG_BYTES_MAX);
    for (char *at = slug; *at != '\0'; at++) {
        unsigned char byte = (unsigned char)*at;
        bool is_plain = byte < 0x80 && (isalnum(byte) || strchr("._-", byte) != NULL);
        *at = is_plain && !(at == slug && byte == '.') ? *at : '_';
    }
    return slug;
}

const char *part_label(struct arena *arena, const char *topic, const char *topic_id,
                       const char *partition)
{
    if (strcmp(topic_id, LINES_STDIN_ID) == 0) {
        return "stdin";
    }
    if (strncmp(topic_id, LINES_FILE_ID_PREFIX, strlen(LINES_FILE_ID_PREFIX)) != 0) {
        return arena_copy_string(arena, partition);
    }
    char digits[33];
    hash_format(hash_plain(topic, strlen(topic)), digits);
    return arena_printf(arena, "%s-%.8s", slug_of(arena, topic), digits);
}

const char *part_name_format(struct arena *arena, const char *label, int64_t first_offset,
                             int64_t next_offset, const char *suffix)
{
    return arena_printf(arena, "%s-%019lld-%019lld%s", label, (long long)first_offset,
                        (long long)next_offset, suffix);
}

bool part_digits_parse(const char *text, size_t digits, uint64_t *out)
{
    uint64_t number = 0;
    for (size_t i = 0; i < digits; i++) {
        if (text[i] < '0' || text[i] > '9' || __builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, (uint64_t)(text[i] - '0'), &number)) {
            return false;
        }
    }
    *out = number;
    return true;
}

/* The size of the suffix of a part's name; 0: it has none. */
static size_t suffix_size(const char *name, size_t size)
{
    static const char *const suffixes[] = {PART_SUFFIX, PART_SUFFIX_CSV};
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        size_t suffix = strlen(suffixes[i]);
        if (size > suffix && strcmp(name + size - suffix, suffixes[i]) == 0) {
            return suffix;
        }
    }
    return 0;
}

bool part_name_parse(const char *name, struct part_name *out)
{
    size_t suffix = suffix_size(name, strlen(name));
    size_t size = strlen(name) - suffix;
    if (suffix == 0 || size <= TAIL_SIZE || name[0] == '.') {
        return false;
    }
    const char *tail = name + size - TAIL_SIZE;
    const char *middle = tail + 1 + OFFSET_DIGITS;
    uint64_t first = 0;
    uint64_t next = 0;
    if (*tail != '-' || *middle != '-' || !part_digits_parse(tail + 1, OFFSET_DIGITS, &first) ||
        !part_digits_parse(middle + 1, OFFSET_DIGITS, &next) || first > INT64_MAX ||
        next > INT64_MAX) {
        return false;
    }
    *out = (struct part_name){bytes_of(name, (size_t)(tail - name)), (int64_t)first, (int64_t)next};
    return true;
}
