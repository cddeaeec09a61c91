/*
 * Patterns: regular expressions of PCRE2 on UTF-8 text, unanchored, compiled to machine code where
 * the machine has PCRE2's JIT.
 *
 * The dialect is PCRE2's, set as near to ECMA-262 (which JSON Schema means) as its options go: "$"
 * is the very end, "." no line end of either kind, \d and \w are ASCII, \uXXXX and \u{…} are
 * characters, [] and [^] are classes. \s is ASCII white space.
 *
 * Data must not be able to stop a pipeline: a match has a budget of steps that grows with the text,
 * and gives up when it is spent. Steps are counted by PCRE2's automatic callouts, one before each
 * item of the pattern, plus the distance moved in the text: the sum over all starting points, which
 * PCRE2's own match limit (it begins anew at each of them) does not bound. Callouts cost time, so a
 * short text is first tried without them under a small match limit. What gives up therefore depends
 * on the pattern and the text, not on the machine, but for texts so long that a stack of PCRE2
 * overflows.
 *
 * A pattern is read-only: any thread. A matcher has the scratch memory: one per thread.
 */
#ifndef WEIR_SCHEMA_PATTERN_H
#define WEIR_SCHEMA_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"
#include "base/memory.h"

struct pattern;
struct pattern_matcher;

enum pattern_result {
    PATTERN_MATCHES,
    PATTERN_DIFFERS, /* also a text that is not UTF-8 */
    PATTERN_TOO_EXPENSIVE,
};

/* Lives as long as the arena. NULL when PCRE2 refuses it: then `message` says why and where. */
struct pattern *pattern_compile(struct arena *arena, struct bytes text, char *message,
                                size_t message_size);

struct pattern_matcher *pattern_matcher_new(void);
/* Takes NULL. */
void pattern_matcher_free(struct pattern_matcher *matcher);
enum pattern_result pattern_match(struct pattern_matcher *matcher, const struct pattern *pattern,
                                  struct bytes text);

/* Whether some match gave up since this was asked last: then an answer that was made of matches is
 * none. */
bool pattern_matcher_gave_up(struct pattern_matcher *matcher);
/* Whether pattern_compile() would take it. */
bool pattern_is_valid(struct bytes text);

#endif
