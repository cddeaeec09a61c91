#include "connector/database/parameters.h"

#include <stdio.h>

static struct parameter *next_parameter(struct parameters *parameters, enum parameter_kind kind)
{
    check(parameters->count < PARAMETERS_MAX);
    struct parameter *parameter = &parameters->list[parameters->count++];
    parameter->kind = kind;
    return parameter;
}

void parameters_text(struct parameters *parameters, const char *text)
{
    next_parameter(parameters, PARAMETER_TEXT)->bytes = bytes_of_string(text);
}

void parameters_integer(struct parameters *parameters, int64_t number)
{
    struct parameter *parameter = next_parameter(parameters, PARAMETER_INTEGER);
    parameter->integer = number;
    snprintf(parameter->digits, sizeof parameter->digits, "%lld", (long long)number);
}

void parameters_bytes(struct parameters *parameters, struct bytes bytes)
{
    check(bytes.size <= INT32_MAX);
    next_parameter(parameters, PARAMETER_BYTES)->bytes = bytes;
}

static struct parameters of_names(const char *pipeline, const char *topic, const char *partition)
{
    struct parameters parameters = {0};
    parameters_text(&parameters, pipeline);
    parameters_text(&parameters, topic);
    parameters_text(&parameters, partition);
    return parameters;
}

struct parameters parameters_of_partition(const char *pipeline,
                                          const struct source_partition *partition)
{
    return of_names(pipeline, partition->topic, partition->label);
}

struct parameters parameters_of_progress(const char *pipeline, const struct progress *progress)
{
    return of_names(pipeline, progress->topic, progress->partition);
}

/* --- many at once --- */

struct parameters *changes_next(struct changes *changes)
{
    if (changes->count == changes->capacity) {
        changes->capacity = changes->capacity == 0 ? 16 : changes->capacity * 2;
        changes->lists = memory_realloc(changes->lists,
                                        size_mul(changes->capacity, sizeof *changes->lists));
    }
    return &changes->lists[changes->count++];
}

struct changes changes_new(void)
{
    return (struct changes){.arena = arena_new(16384)};
}

void changes_clear(struct changes *changes)
{
    arena_reset(changes->arena, 65536);
    changes->count = 0;
}

void changes_fini(struct changes *changes)
{
    arena_free(changes->arena);
    memory_free(changes->lists);
}

struct bytes changes_keep(struct changes *changes, struct buffer *form)
{
    struct bytes kept = bytes_of(arena_copy(changes->arena, form->data, form->size), form->size);
    buffer_fini(form);
    return kept;
}
