#include "schema/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>

#include "schema/plain_pattern.h"

enum {
    /* A text up to this size is first tried without counting: the worst there is some
     * milliseconds. */
    SHORT_TEXT_BYTES = 256,
    SHORT_MATCH_LIMIT = 1000,
    /* About 10 ns a step. */
    STEPS_BASE = 1000000,
    STEPS_PER_BYTE = 64,
    /* Only for matching without JIT, which keeps what it may come back to on the heap. */
    HEAP_LIMIT_KIB = 64 * 1024,
    JIT_STACK_START_BYTES = 32 * 1024,
    /* Address space; touched only by a match that needs it. */
    JIT_STACK_MAX_BYTES = 16 * 1024 * 1024,
};

struct pattern {
    pcre2_code *plain;
    pcre2_code *counting; /* calls back before each item */
    bool has_backreference;
    struct plain_pattern *simple; /* NULL: PCRE2 decides */
};

struct pattern_matcher {
    pcre2_general_context *memory;
    pcre2_match_data *data;
    pcre2_jit_stack *stack;
    pcre2_match_context *plain;
    pcre2_match_context *counting;
    uint64_t steps_left;
    uint64_t steps_per_callout;
    size_t last_position;
    bool gave_up;
};

static void *allocate(size_t size, void *unused)
{
    (void)unused;
    return memory_alloc(size);
}

static void release(void *pointer, void *unused)
{
    (void)unused;
    memory_free(pointer);
}

static void pattern_release(void *context)
{
    struct pattern *pattern = context;
    pcre2_code_free(pattern->plain);
    pcre2_code_free(pattern->counting);
}

static pcre2_code *compile_code(pcre2_compile_context *context, struct bytes text,
                                uint32_t options, char *message, size_t message_size)
{
    int code;
    PCRE2_SIZE offset;
    options |= PCRE2_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_ALT_BSUX | PCRE2_ALLOW_EMPTY_CLASS |
               PCRE2_MATCH_UNSET_BACKREF | PCRE2_NEVER_BACKSLASH_C;
    PCRE2_SPTR data = text.size == 0 ? (PCRE2_SPTR) "" : text.data;
    pcre2_code *compiled = pcre2_compile(data, text.size, options, &code, &offset, context);
    if (compiled == NULL) {
        PCRE2_UCHAR why[256];
        (void)pcre2_get_error_message(code, why, sizeof why);
        (void)snprintf(message, message_size, "at byte %zu: %s", offset, (const char *)why);
        return NULL;
    }
    return compiled;
}

static pcre2_code *compile_variant(pcre2_compile_context *context, struct bytes text,
                                   uint32_t options, char *message, size_t message_size)
{
    pcre2_code *compiled = compile_code(context, text, options, message, message_size);
    if (compiled == NULL) {
        return NULL;
    }
    /* Where there is no JIT, or no executable memory to be had, the interpreter gives the same
     * answers. */
    (void)pcre2_jit_compile(compiled, PCRE2_JIT_COMPLETE);
    return compiled;
}

static pcre2_compile_context *new_context(pcre2_general_context *memory)
{
    pcre2_compile_context *context = pcre2_compile_context_create(memory);
    (void)pcre2_set_newline(context, PCRE2_NEWLINE_ANYCRLF);
    (void)pcre2_set_compile_extra_options(context, PCRE2_EXTRA_ALT_BSUX);
    return context;
}

bool pattern_is_valid(struct bytes text)
{
    char message[8];
    pcre2_general_context *memory = pcre2_general_context_create(allocate, release, NULL);
    pcre2_compile_context *context = new_context(memory);
    pcre2_code *code = compile_code(context, text, 0, message, sizeof message);
    pcre2_code_free(code);
    pcre2_compile_context_free(context);
    pcre2_general_context_free(memory);
    return code != NULL;
}

struct pattern *pattern_compile(struct arena *arena, struct bytes text, char *message,
                                size_t message_size)
{
    pcre2_general_context *memory = pcre2_general_context_create(allocate, release, NULL);
    pcre2_compile_context *context = new_context(memory);
    struct pattern *pattern = arena_alloc_zero(arena, 1, sizeof *pattern);
    pattern->plain = compile_variant(context, text, 0, message, message_size);
    if (pattern->plain != NULL) {
        uint32_t backreference = 0;
        (void)pcre2_pattern_info(pattern->plain, PCRE2_INFO_BACKREFMAX, &backreference);
        pattern->has_backreference = backreference > 0;
        pattern->counting =
            compile_variant(context, text, PCRE2_AUTO_CALLOUT, message, message_size);
    }
    pcre2_compile_context_free(context);
    pcre2_general_context_free(memory);
    if (pattern->counting == NULL) {
        pattern_release(pattern);
        return NULL;
    }
    arena_on_release(arena, pattern_release, pattern);
    struct plain_pattern simple;
    if (plain_pattern_compile(text, &simple)) {
        pattern->simple = arena_alloc(arena, sizeof simple);
        *pattern->simple = simple;
    }
    return pattern;
}

/* A step for the item, and one for each byte that the item before moved over. */
static int count_steps(pcre2_callout_block *block, void *context)
{
    struct pattern_matcher *matcher = context;
    size_t position = block->current_position;
    size_t last = matcher->last_position;
    uint64_t steps =
        matcher->steps_per_callout + (position > last ? position - last : last - position);
    matcher->last_position = position;
    if (steps > matcher->steps_left) {
        return PCRE2_ERROR_CALLOUT;
    }
    matcher->steps_left -= steps;
    return 0;
}

struct pattern_matcher *pattern_matcher_new(void)
{
    struct pattern_matcher *matcher = memory_alloc_zero(1, sizeof *matcher);
    matcher->memory = pcre2_general_context_create(allocate, release, NULL);
    matcher->data = pcre2_match_data_create(1, matcher->memory);
    matcher->stack =
        pcre2_jit_stack_create(JIT_STACK_START_BYTES, JIT_STACK_MAX_BYTES, matcher->memory);
    matcher->plain = pcre2_match_context_create(matcher->memory);
    matcher->counting = pcre2_match_context_create(matcher->memory);
    pcre2_match_context *contexts[] = {matcher->plain, matcher->counting};
    for (size_t i = 0; i < 2; i++) {
        pcre2_jit_stack_assign(contexts[i], NULL, matcher->stack);
        (void)pcre2_set_heap_limit(contexts[i], HEAP_LIMIT_KIB);
    }
    (void)pcre2_set_match_limit(matcher->plain, SHORT_MATCH_LIMIT);
    (void)pcre2_set_depth_limit(matcher->plain, SHORT_MATCH_LIMIT);
    /* Here the steps are the limit. */
    (void)pcre2_set_match_limit(matcher->counting, UINT32_MAX);
    (void)pcre2_set_depth_limit(matcher->counting, UINT32_MAX);
    (void)pcre2_set_callout(matcher->counting, count_steps, matcher);
    return matcher;
}

void pattern_matcher_free(struct pattern_matcher *matcher)
{
    if (matcher == NULL) {
        return;
    }
    pcre2_match_context_free(matcher->plain);
    pcre2_match_context_free(matcher->counting);
    pcre2_jit_stack_free(matcher->stack);
    pcre2_match_data_free(matcher->data);
    pcre2_general_context_free(matcher->memory);
    memory_free(matcher);
}

/* Everything that is neither an answer nor about the encoding is PCRE2 giving up: a limit, a
 * stack, a recursion without end. */
static enum pattern_result result_of(int code)
{
    if (code >= 0) {
        return PATTERN_MATCHES;
    }
    bool not_utf8 = code <= PCRE2_ERROR_UTF8_ERR1 && code >= PCRE2_ERROR_UTF8_ERR21;
    return code == PCRE2_ERROR_NOMATCH || not_utf8 ? PATTERN_DIFFERS : PATTERN_TOO_EXPENSIVE;
}

enum pattern_result pattern_match(struct pattern_matcher *matcher, const struct pattern *pattern,
                                  struct bytes text)
{
    if (pattern->simple != NULL) {
        return plain_pattern_matches(pattern->simple, text) ? PATTERN_MATCHES : PATTERN_DIFFERS;
    }
    PCRE2_SPTR data = text.size == 0 ? (PCRE2_SPTR) "" : text.data;
    if (text.size <= SHORT_TEXT_BYTES) {
        enum pattern_result result = result_of(
            pcre2_match(pattern->plain, data, text.size, 0, 0, matcher->data, matcher->plain));
        if (result != PATTERN_TOO_EXPENSIVE) {
            return result;
        }
    }
    matcher->steps_left = STEPS_BASE + STEPS_PER_BYTE * (uint64_t)text.size;
    /* A backreference may compare much of the text and not move: charged in advance, 64 bytes a
     * step. */
    matcher->steps_per_callout = 1 + (pattern->has_backreference ? text.size / 64 : 0);
    matcher->last_position = 0;
    enum pattern_result result = result_of(
        pcre2_match(pattern->counting, data, text.size, 0, 0, matcher->data, matcher->counting));
    matcher->gave_up |= result == PATTERN_TOO_EXPENSIVE;
    return result;
}

bool pattern_matcher_gave_up(struct pattern_matcher *matcher)
{
    bool gave_up = matcher->gave_up;
    matcher->gave_up = false;
    return gave_up;
}
