/*
 * doc_parse(): the events of libfyaml made into nodes.
 *
 * libfyaml scans and parses; what a scalar means, which keys are alike, what an alias stands for
 * and how deep a document may nest is decided here, so that each complaint has its place and each
 * limit holds while the tree grows. The parser's own complaints are collected in a diagnostics
 * object of ours: nothing is printed.
 */
#include "doc/doc.h"

#include <libfyaml.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "doc/complaint.h"
#include "doc/place.h"
#include "doc/scalar.h"
#include "doc/substitute.h"

enum {
    CONTENT_MAX_BYTES = 4 << 20,
    DEPTH_MAX = 64,
    ALIAS_NODES_MAX = 100000,
    ANCHORS_MAX = 1000,
};

/* A node that is ready, and what it weighs: nodes with aliases expanded, and levels of lists and
 * maps. */
struct built {
    struct doc *node;
    size_t node_count;
    unsigned height;
};

/* `built.node` is NULL while the anchored list or map is still open. */
struct anchor {
    const char *name;
    struct built built;
};

/* A list or map that is still open. */
struct level {
    struct doc *node;
    bool is_flow;
    size_t first_child; /* index into `children` */
    size_t node_count;
    unsigned height;
};

enum role { ROLE_ROOT, ROLE_KEY, ROLE_VALUE, ROLE_ITEM };

struct parse {
    struct arena *arena;
    const char *file;
    struct bytes content; /* what text_normalise() made of the file */
    doc_environment environment;
    struct error *err;
    struct fy_diag *diag;
    struct fy_parser *parser;
    struct fy_token_iter *iterator;
    struct fy_event *event; /* the one that is looked at; owned */
    struct place last;      /* behind the last token */
    struct level levels[DEPTH_MAX];
    unsigned depth;
    struct buffer text;     /* of the scalar that is read */
    struct buffer children; /* struct doc *: of all open lists and maps, the innermost last */
    struct buffer anchors;  /* struct anchor, in file order */
    size_t alias_node_count;
};

#define place_error(parse, place, code, ...) \
    error_set_at((parse)->err, STATUS_CONFIG, code, (parse)->file, (place).line, (place).column, \
                 __VA_ARGS__)

static struct doc **children(const struct parse *parse)
{
    return (struct doc **)(void *)parse->children.data;
}

static size_t child_count(const struct parse *parse)
{
    return parse->children.size / sizeof(struct doc *);
}

static struct anchor *anchors(const struct parse *parse)
{
    return (struct anchor *)(void *)parse->anchors.data;
}

static size_t anchor_count(const struct parse *parse)
{
    return parse->anchors.size / sizeof(struct anchor);
}

static struct place place_of_mark(const struct fy_mark *mark)
{
    return (struct place){mark->input_pos, (uint32_t)mark->line + 1, (uint32_t)mark->column + 1};
}

/* Where a token starts; `otherwise` for the tokens that are not written, such as that of an empty
 * value. */
static struct place token_place(struct fy_token *token, struct place otherwise)
{
    const struct fy_mark *mark = token != NULL ? fy_token_start_mark(token) : NULL;
    return mark != NULL ? place_of_mark(mark) : otherwise;
}

/* The content of a scalar, escapes and line folding resolved. Read in chunks, because
 * fy_token_get_text() trusts a size that the scanner guessed: for block scalars that are indented
 * less than they should be it is wrong, and the text ends early or in memory that nobody wrote. */
static enum status scalar_read(struct parse *parse, struct fy_token *token, struct doc *node)
{
    buffer_clear(&parse->text);
    int failed = 0;
    if (token != NULL) {
        const struct fy_iter_chunk *chunk = NULL;
        fy_token_iter_start(token, parse->iterator);
        while ((chunk = fy_token_iter_chunk_next(parse->iterator, chunk, &failed)) != NULL) {
            buffer_append(&parse->text, chunk->str, chunk->len);
        }
        fy_token_iter_finish(parse->iterator);
    }
    if (failed != 0) {
        return doc_error(node, parse->err, "doc.syntax", "this string cannot be read");
    }
    node->text_size = parse->text.size;
    node->text = arena_copy(parse->arena, buffer_string(&parse->text), node->text_size);
    return STATUS_OK;
}

/* The name of an anchor or alias. */
static const char *name_copy(struct parse *parse, struct fy_token *token)
{
    size_t size = 0;
    const char *text = fy_token_get_text(token, &size);
    if (text == NULL) {
        memory_exhausted(size); /* The scanner has accepted the token: only its copy can fail. */
    }
    return arena_copy(parse->arena, text, size);
}

static enum status library_error(struct parse *parse)
{
    char context[96] = "";
    if (parse->depth > 0 && parse->levels[parse->depth - 1].is_flow) {
        const struct doc *open = parse->levels[parse->depth - 1].node;
        (void)snprintf(context, sizeof context, " (in %s that begins at line %u, column %u)",
                       doc_kind_name(open->kind), open->line, open->column);
    }
    return complaint_of_library(parse->diag, parse->file, parse->content, parse->last, context,
                                parse->err);
}

/* Remembers where the token of the event ends. Tokens of quoted strings end before the quote. */
static void event_passed(struct parse *parse)
{
    struct fy_token *token = parse->event != NULL ? fy_event_get_token(parse->event) : NULL;
    const struct fy_mark *mark = token != NULL ? fy_token_end_mark(token) : NULL;
    if (mark != NULL && mark->input_pos > parse->last.offset) {
        parse->last = place_of_mark(mark);
    }
}

static enum status event_next(struct parse *parse)
{
    event_passed(parse);
    fy_parser_event_free(parse->parser, parse->event);
    parse->event = fy_parser_parse(parse->parser);
    return parse->event != NULL ? STATUS_OK : library_error(parse);
}

static struct doc *node_new(struct parse *parse, enum doc_kind kind, struct place place)
{
    struct doc *node = arena_alloc_zero(parse->arena, 1, sizeof *node);
    node->kind = kind;
    node->file = parse->file;
    node->line = place.line;
    node->column = place.column;
    return node;
}

static enum status tag_refuse(struct parse *parse)
{
    struct fy_token *tag = fy_event_get_tag_token(parse->event);
    if (tag == NULL) {
        return STATUS_OK;
    }
    struct place place = token_place(tag, parse->last);
    return place_error(parse, place, "doc.syntax",
                       "tags ('!', '!!str') are not supported; put quotes around a value that is "
                       "to be a string");
}

/* Notes the anchor of the event, if it has one, and gives its index; SIZE_MAX if it has none. */
static enum status anchor_open(struct parse *parse, size_t *out_index)
{
    struct fy_token *token = fy_event_get_anchor_token(parse->event);
    *out_index = SIZE_MAX;
    if (token == NULL) {
        return STATUS_OK;
    }
    if (anchor_count(parse) == ANCHORS_MAX) {
        struct place place = token_place(token, parse->last);
        return place_error(parse, place, "doc.too_large", "a document has at most %d anchors",
                           ANCHORS_MAX);
    }
    *out_index = anchor_count(parse);
    struct anchor anchor = {.name = name_copy(parse, token)};
    buffer_append(&parse->anchors, &anchor, sizeof anchor);
    return STATUS_OK;
}

static void anchor_close(struct parse *parse, size_t index, struct built built)
{
    if (index != SIZE_MAX) {
        anchors(parse)[index].built = built;
    }
}

/* The token of an alias starts behind its '*'. */
static struct place alias_place(const struct parse *parse)
{
    struct place place = token_place(fy_event_get_token(parse->event), parse->last);
    place.column -= place.column > 1;
    return place;
}

/* An alias is the node of the newest anchor of its name. */
static enum status alias_build(struct parse *parse, struct built *out)
{
    struct place place = alias_place(parse);
    const char *name = name_copy(parse, fy_event_get_token(parse->event));
    size_t index = anchor_count(parse);
    while (index > 0 && strcmp(anchors(parse)[index - 1].name, name) != 0) {
        index--;
    }
    if (index == 0) {
        return place_error(parse, place, "doc.syntax",
                           "no anchor '&%s' stands above this alias; put quotes around a value "
                           "that starts with '*'",
                           name);
    }
    struct built built = anchors(parse)[index - 1].built;
    if (built.node == NULL) {
        return place_error(parse, place, "doc.syntax",
                           "the alias '*%s' stands inside of what it names", name);
    }
    parse->alias_node_count = size_add(parse->alias_node_count, built.node_count);
    if (parse->alias_node_count > ALIAS_NODES_MAX) {
        return place_error(parse, place, "doc.too_large", "aliases expand to more than %d values",
                           ALIAS_NODES_MAX);
    }
    if (parse->depth + built.height > DEPTH_MAX) {
        return place_error(parse, place, "doc.too_large",
                           "with the alias '*%s' expanded lists and maps nest deeper than %d", name,
                           DEPTH_MAX);
    }
    *out = built;
    return STATUS_OK;
}

/* The place of the scalar as it is written, its quote or block indicator included; that of an empty
 * one is found in the text. */
static struct place scalar_place(struct parse *parse, struct fy_token *token, enum role role,
                                 const struct doc *key)
{
    const struct fy_mark *mark = token != NULL ? fy_token_start_mark(token) : NULL;
    if (mark == NULL && role == ROLE_VALUE) {
        return (struct place){parse->last.offset, key->line, key->column};
    }
    if (mark == NULL) {
        struct place next = place_of_next_word(parse->content, parse->last);
        if (role == ROLE_ITEM) {
            next = place_of_indicator(parse->content, parse->last, parse->content.size, "-", next);
            parse->last = place_at(parse->content, next, next.offset + 1);
        }
        return next;
    }
    struct place place = place_of_mark(mark);
    switch (fy_token_scalar_style(token)) {
    case FYSS_SINGLE_QUOTED:
    case FYSS_DOUBLE_QUOTED:
        place.offset -= place.offset > 0;
        place.column -= place.column > 1;
        return place;
    case FYSS_LITERAL:
    case FYSS_FOLDED:
        return place_of_indicator(parse->content, parse->last, place.offset, "|>", place);
    default:
        return place;
    }
}

/* Gives an unquoted scalar its kind and value. */
static enum status scalar_give_meaning(struct parse *parse, struct doc *node)
{
    struct scalar scalar = {.kind = DOC_STRING};
    switch (scalar_resolve(node->text, node->text_size, &scalar)) {
    case SCALAR_FITS:
        break;
    case SCALAR_INTEGER_TOO_LARGE:
        return doc_error(node, parse->err, "doc.syntax",
                         "the integer %.40s does not fit into 64 bits; put quotes around it to "
                         "make it a string",
                         node->text);
    case SCALAR_NUMBER_TOO_LARGE:
        return doc_error(node, parse->err, "doc.syntax",
                         "the number %.40s is too large; put quotes around it to make it a string",
                         node->text);
    case SCALAR_NOT_FINITE:
        return doc_error(node, parse->err, "doc.syntax",
                         "%s is not a number that can be used; put quotes around it to make it a "
                         "string",
                         node->text);
    }
    node->kind = scalar.kind;
    if (scalar.kind == DOC_BOOL) {
        node->boolean = scalar.boolean;
    } else if (scalar.kind == DOC_INT) {
        node->integer = scalar.integer;
    } else if (scalar.kind == DOC_DOUBLE) {
        node->real = scalar.real;
    }
    return STATUS_OK;
}

/* libfyaml takes lines that are not indented deeper than the list or map around them for the text
 * of a block scalar that starts with blank lines. By YAML they are the next key or item, so they
 * are refused rather than swallowed. */
static enum status block_check_indent(struct parse *parse, struct fy_token *token)
{
    const struct fy_mark *start = fy_token_start_mark(token);
    const struct fy_mark *end = fy_token_end_mark(token);
    if (parse->depth == 0 || start == NULL || end == NULL) {
        return STATUS_OK;
    }
    struct place place = place_behind_blanks(parse->content, place_of_mark(start));
    const struct doc *around = parse->levels[parse->depth - 1].node;
    if (place.offset < end->input_pos && place.offset < parse->content.size &&
        place.column <= around->column) {
        return place_error(parse, place, "doc.syntax",
                           "the text that '|' or '>' announces must be indented deeper than "
                           "column %u",
                           around->column);
    }
    return STATUS_OK;
}

static enum status scalar_build(struct parse *parse, enum role role, const struct doc *key,
                                struct built *out)
{
    struct fy_token *token = parse->event->scalar.value;
    struct place place = scalar_place(parse, token, role, key);
    struct doc *node = node_new(parse, DOC_STRING, place);
    node->quoted = token != NULL && fy_token_scalar_style(token) != FYSS_PLAIN;
    enum status status = scalar_read(parse, token, node);
    if (status == STATUS_OK && token != NULL && fy_token_scalar_style(token) >= FYSS_LITERAL) {
        status = block_check_indent(parse, token);
    }
    if (status == STATUS_OK && !node->quoted) {
        status = scalar_give_meaning(parse, node);
    }
    if (status == STATUS_OK && node->kind == DOC_STRING && role != ROLE_KEY &&
        parse->environment != NULL) {
        status = substitute(parse->arena, parse->environment, node, parse->err);
    }
    *out = (struct built){node, 1, 0};
    return status;
}

static enum status node_build(struct parse *parse, enum role role, const struct doc *key,
                              struct built *out);

static enum status level_open(struct parse *parse, enum doc_kind kind)
{
    struct fy_token *token = fy_event_get_token(parse->event);
    struct place place = token_place(token, parse->last);
    if (parse->depth == DEPTH_MAX) {
        return place_error(parse, place, "doc.too_large", "lists and maps nest deeper than %d",
                           DEPTH_MAX);
    }
    enum fy_token_type type = token != NULL ? fy_token_get_type(token) : FYTT_NONE;
    parse->levels[parse->depth++] = (struct level){
        .node = node_new(parse, kind, place),
        .is_flow = type == FYTT_FLOW_SEQUENCE_START || type == FYTT_FLOW_MAPPING_START,
        .first_child = child_count(parse),
        .node_count = 1,
    };
    return STATUS_OK;
}

/* Builds the node of the event as the next child of the innermost open list or map. */
static enum status child_build(struct parse *parse, enum role role, const struct doc *key,
                               struct doc **out)
{
    struct built built = {0};
    enum status status = node_build(parse, role, key, &built);
    if (status != STATUS_OK) {
        return status;
    }
    struct level *level = &parse->levels[parse->depth - 1];
    level->node_count = size_add(level->node_count, built.node_count);
    if (built.height > level->height) {
        level->height = built.height;
    }
    buffer_append(&parse->children, &built.node, sizeof built.node);
    *out = built.node;
    return STATUS_OK;
}

static struct built level_close(struct parse *parse)
{
    struct level *level = &parse->levels[--parse->depth];
    parse->children.size = level->first_child * sizeof(struct doc *);
    return (struct built){level->node, level->node_count, level->height + 1};
}

static enum status list_build(struct parse *parse, struct built *out)
{
    enum status status = level_open(parse, DOC_LIST);
    while (status == STATUS_OK && (status = event_next(parse)) == STATUS_OK &&
           parse->event->type != FYET_SEQUENCE_END) {
        struct doc *item;
        status = child_build(parse, ROLE_ITEM, NULL, &item);
    }
    if (status != STATUS_OK) {
        return status;
    }
    const struct level *level = &parse->levels[parse->depth - 1];
    struct doc *list = level->node;
    list->count = child_count(parse) - level->first_child;
    list->items = arena_alloc(parse->arena, size_mul(list->count, sizeof *list->items));
    if (list->count > 0) {
        memcpy(list->items, children(parse) + level->first_child,
               list->count * sizeof *list->items);
    }
    *out = level_close(parse);
    return STATUS_OK;
}

static enum status key_check(struct parse *parse, const struct doc *key, struct place place)
{
    if (key->kind == DOC_NULL) {
        return place_error(parse, place, "doc.syntax", "the key is missing: expected 'key: value'");
    }
    if (key->kind == DOC_LIST || key->kind == DOC_MAP) {
        return place_error(parse, place, "doc.syntax", "a key must be a string, not %s",
                           doc_kind_name(key->kind));
    }
    if (key->kind != DOC_STRING) {
        return place_error(parse, place, "doc.syntax",
                           "keys are strings, and %.40s without quotes is %s; put quotes around it",
                           key->text, doc_kind_name(key->kind));
    }
    if (!key->quoted && strcmp(key->text, "<<") == 0) {
        return place_error(parse, place, "doc.syntax",
                           "merge keys ('<<') are not supported; write the keys out, or use an "
                           "alias for a whole value");
    }
    return STATUS_OK;
}

struct key_at {
    const struct doc *key;
    size_t index;
};

static int key_at_compare(const void *a, const void *b)
{
    const struct key_at *x = a;
    const struct key_at *y = b;
    int order = bytes_compare(bytes_of(x->key->text, x->key->text_size),
                              bytes_of(y->key->text, y->key->text_size));
    return order != 0 ? order : (x->index > y->index) - (x->index < y->index);
}

/* Sorted, because a quadratic search over the keys of a large generated map would take minutes. */
static enum status keys_refuse_twins(struct parse *parse, const struct doc *map)
{
    if (map->count < 2) {
        return STATUS_OK;
    }
    struct key_at *sorted = memory_alloc(size_mul(map->count, sizeof *sorted));
    for (size_t i = 0; i < map->count; i++) {
        sorted[i] = (struct key_at){map->keys[i], i};
    }
    qsort(sorted, map->count, sizeof *sorted, key_at_compare);
    const struct key_at *first = NULL;
    const struct key_at *twin = NULL;
    for (size_t i = 1; i < map->count; i++) {
        const struct doc *a = sorted[i - 1].key;
        const struct doc *b = sorted[i].key;
        if (bytes_equal(bytes_of(a->text, a->text_size), bytes_of(b->text, b->text_size)) &&
            (twin == NULL || sorted[i].index < twin->index)) {
            first = &sorted[i - 1];
            twin = &sorted[i];
        }
    }
    enum status status = STATUS_OK;
    if (twin != NULL) {
        char excerpt[DOC_EXCERPT_BYTES];
        status = doc_error(twin->key, parse->err, "doc.duplicate_key",
                           "the key '%s' stands twice in this map; it stands first at line %u, "
                           "column %u",
                           doc_excerpt(twin->key, excerpt), first->key->line, first->key->column);
    }
    memory_free(sorted);
    return status;
}

static enum status map_take_children(struct parse *parse, struct built *out)
{
    const struct level *level = &parse->levels[parse->depth - 1];
    struct doc *map = level->node;
    struct doc **pairs = parse->children.size > 0 ? children(parse) + level->first_child : NULL;
    map->count = (child_count(parse) - level->first_child) / 2;
    map->keys = arena_alloc(parse->arena, size_mul(map->count, sizeof *map->keys));
    map->items = arena_alloc(parse->arena, size_mul(map->count, sizeof *map->items));
    for (size_t i = 0; i < map->count; i++) {
        map->keys[i] = pairs[2 * i];
        map->items[i] = pairs[2 * i + 1];
    }
    *out = level_close(parse);
    return keys_refuse_twins(parse, map);
}

static enum status map_build(struct parse *parse, struct built *out)
{
    enum status status = level_open(parse, DOC_MAP);
    while (status == STATUS_OK && (status = event_next(parse)) == STATUS_OK &&
           parse->event->type != FYET_MAPPING_END) {
        bool is_alias = parse->event->type == FYET_ALIAS;
        struct place place = is_alias ? alias_place(parse) : PLACE_START;
        struct doc *key;
        struct doc *value;
        status = child_build(parse, ROLE_KEY, NULL, &key);
        if (status == STATUS_OK) {
            struct place own = {.line = key->line, .column = key->column};
            status = key_check(parse, key, is_alias ? place : own);
        }
        if (status == STATUS_OK) {
            status = event_next(parse);
        }
        if (status == STATUS_OK) {
            status = child_build(parse, ROLE_VALUE, key, &value);
        }
    }
    return status == STATUS_OK ? map_take_children(parse, out) : status;
}

/* Builds the node that begins with the event; afterwards the event is the last one of the node. The
 * recursion is as deep as the document nests, which is bounded by DEPTH_MAX. */
static enum status node_build(struct parse *parse, enum role role, const struct doc *key,
                              struct built *out)
{
    if (parse->event->type == FYET_ALIAS) {
        return alias_build(parse, out);
    }
    size_t anchor = SIZE_MAX;
    enum status status = tag_refuse(parse);
    if (status == STATUS_OK) {
        status = anchor_open(parse, &anchor);
    }
    if (status != STATUS_OK) {
        return status;
    }
    if (parse->event->type == FYET_SCALAR) {
        status = scalar_build(parse, role, key, out);
    } else if (parse->event->type == FYET_SEQUENCE_START) {
        status = list_build(parse, out);
    } else {
        check(parse->event->type == FYET_MAPPING_START);
        status = map_build(parse, out);
    }
    if (status == STATUS_OK) {
        anchor_close(parse, anchor, *out);
    }
    return status;
}

/* Without a '---' the second document begins with its first node. */
static enum status second_document_refuse(struct parse *parse)
{
    struct fy_token *start = fy_event_get_token(parse->event);
    if (start == NULL) {
        enum status status = event_next(parse);
        if (status != STATUS_OK) {
            return status;
        }
        start = fy_event_get_token(parse->event);
    }
    struct place place = token_place(start, parse->last);
    return place_error(parse, place, "doc.syntax",
                       "a second document begins here; a file holds one");
}

/* stream start, [document start, node, document end], stream end */
static enum status stream_build(struct parse *parse, struct doc **out)
{
    enum status status = event_next(parse);
    if (status == STATUS_OK) {
        check(parse->event->type == FYET_STREAM_START);
        status = event_next(parse);
    }
    struct built root = {0};
    while (status == STATUS_OK && parse->event->type != FYET_STREAM_END) {
        check(parse->event->type == FYET_DOCUMENT_START);
        if (root.node != NULL) {
            return second_document_refuse(parse);
        }
        status = event_next(parse);
        if (status == STATUS_OK) {
            status = node_build(parse, ROLE_ROOT, NULL, &root);
        }
        if (status == STATUS_OK) {
            status = event_next(parse);
        }
        if (status == STATUS_OK) {
            check(parse->event->type == FYET_DOCUMENT_END);
            status = event_next(parse);
        }
    }
    if (status == STATUS_OK) {
        *out = root.node;
    }
    return status;
}

/* An empty file is a null by our contract, also where JSON would refuse it. */
static bool is_blank(struct bytes content)
{
    for (size_t i = 0; i < content.size; i++) {
        if (strchr(" \t\n", content.data[i]) == NULL) {
            return false;
        }
    }
    return true;
}

static bool has_json_name(const char *file)
{
    size_t size = strlen(file);
    return size >= 5 && strcasecmp(file + size - 5, ".json") == 0;
}

/* libfyaml gets a last line break where the file has none: where a block scalar ends in blanks and
 * the file right behind them, it would look for the line break in memory that nobody wrote. */
static size_t library_input_size(struct bytes content)
{
    return content.data[content.size - 1] == '\n' ? content.size : content.size + 1;
}

static void library_open(struct parse *parse)
{
    struct fy_diag_cfg diag_config;
    fy_diag_cfg_default(&diag_config);
    diag_config.fp = NULL;
    parse->diag = fy_diag_create(&diag_config);
    if (parse->diag == NULL) {
        memory_exhausted(0);
    }
    fy_diag_set_collect_errors(parse->diag, true);
    unsigned flags = FYPCF_DEFAULT_VERSION_1_2 | FYPCF_DISABLE_DEPTH_LIMIT;
    flags |= has_json_name(parse->file) ? FYPCF_JSON_FORCE : FYPCF_JSON_NONE;
    struct fy_parse_cfg config = {.flags = flags, .diag = parse->diag};
    parse->parser = fy_parser_create(&config);
    parse->iterator = fy_token_iter_create(NULL);
    if (parse->parser == NULL || parse->iterator == NULL ||
        fy_parser_set_string(parse->parser, (const char *)parse->content.data,
                             library_input_size(parse->content)) != 0) {
        memory_exhausted(parse->content.size);
    }
}

/* A parser that met a mistake is let go, never destroyed: libfyaml 0.7.12 frees some of them twice
 * ("? a b:\t: c"), and a mistake in a file is mostly the last that a process reads. The list keeps
 * what is given up in reach of leak checkers. */
static void abandon(struct fy_parser *parser)
{
    struct abandoned {
        struct fy_parser *parser;
        struct abandoned *before;
    };
    static _Atomic(struct abandoned *) last;
    struct abandoned *one = memory_alloc(sizeof *one);
    one->parser = parser;
    one->before = atomic_load(&last);
    while (!atomic_compare_exchange_weak(&last, &one->before, one)) {
    }
}

static void parse_fini(struct parse *parse, bool is_good)
{
    if (parse->parser != NULL) {
        fy_parser_event_free(parse->parser, parse->event);
        if (is_good) {
            fy_parser_destroy(parse->parser);
        } else {
            abandon(parse->parser);
        }
    }
    fy_token_iter_destroy(parse->iterator);
    fy_diag_destroy(parse->diag);
    buffer_fini(&parse->text);
    buffer_fini(&parse->children);
    buffer_fini(&parse->anchors);
}

/* The text without a byte order mark, and every line break as \n: libfyaml counts \r\n twice in a
 * JSON file. A \n stands behind the end, not counted in the size, see library_input_size(). The
 * caller frees `text`. */
static void text_normalise(struct bytes content, struct buffer *text)
{
    if (bytes_starts_with(content, "\xEF\xBB\xBF")) {
        content = bytes_of(content.data + 3, content.size - 3);
    }
    uint8_t *out = buffer_reserve(text, size_add(content.size, 1));
    size_t size = 0;
    for (size_t i = 0; i < content.size; i++) {
        bool is_half_break =
            content.data[i] == '\r' && i + 1 < content.size && content.data[i + 1] == '\n';
        if (!is_half_break) {
            out[size++] = content.data[i] == '\r' ? '\n' : content.data[i];
        }
    }
    out[size] = '\n';
    text->size = size;
}

static enum status text_build(struct parse *parse, struct doc **out)
{
    enum status status = complaint_about_bytes(parse->file, parse->content, parse->err);
    if (status != STATUS_OK) {
        return status;
    }
    struct doc *root = NULL;
    if (!is_blank(parse->content)) {
        library_open(parse);
        status = stream_build(parse, &root);
    }
    if (status == STATUS_OK) {
        *out = root != NULL ? root : node_new(parse, DOC_NULL, PLACE_START);
    }
    return status;
}

enum status doc_parse(struct arena *arena, const char *file, struct bytes content,
                      doc_environment environment, struct doc **out, struct error *err)
{
    if (content.size > CONTENT_MAX_BYTES) {
        return error_set_at(err, STATUS_CONFIG, "doc.too_large", file, 1, 1,
                            "the file has %zu bytes; at most %d are read", content.size,
                            CONTENT_MAX_BYTES);
    }
    struct buffer text = {0};
    text_normalise(content, &text);
    struct parse parse = {
        .arena = arena,
        .file = arena_copy_string(arena, file),
        .content = bytes_of(text.data, text.size),
        .environment = environment,
        .err = err,
        .last = PLACE_START,
    };
    enum status status = text_build(&parse, out);
    parse_fini(&parse, status == STATUS_OK);
    buffer_fini(&text);
    return status;
}
