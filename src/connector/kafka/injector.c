/*
 * Dead letters into a topic of a cluster, each once (connector/injector.h): a writer whose memory is
 * the topic weir.replayed.NAME. Under TOPIC-ID/PARTITION/OFFSET/ATTEMPT/SINK it holds when the letter
 * was replayed, in microseconds, and a random number.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/broken.h"
#include "base/time.h"
#include "connector/injector.h"
#include "connector/kafka/private.h"
#include "connector/writer.h"
#include "os/clock.h"
#include "os/random.h"

struct kafka_injector {
    struct injector injector; /* first */
    struct writer *writer;
    bool is_dry;
    uint64_t number;
    struct buffer key;
};

static struct kafka_injector *self(struct injector *injector)
{
    return (struct kafka_injector *)injector;
}

static void close_injector(struct injector *injector)
{
    if (injector == NULL) {
        return;
    }
    kafka_writer_ops.close(self(injector)->writer);
    buffer_fini(&self(injector)->key);
    memory_free(injector);
}

static enum status open_injector(const struct doc *config, const char *folder, const char *pipeline,
                                 bool is_dry, struct injector **out, struct error *err)
{
    struct kafka_injector *s = memory_alloc_zero(1, sizeof *s);
    struct arena *arena = arena_new(1024);
    const struct writer_identity identity = {
        .id = arena_printf(arena, "%s/replay", pipeline),
        .memory = arena_printf(arena, "weir.replayed.%s", pipeline),
        .is_dry = is_dry,
    };
    s->is_dry = is_dry;
    s->number = random_u64();
    enum status status = kafka_writer_ops.open(config, folder, &identity, &s->writer, err);
    arena_free(arena);
    if (status != STATUS_OK) {
        close_injector(&s->injector);
        return status;
    }
    s->injector = (struct injector){.ops = &kafka_injector_ops,
                                    .topic = s->writer->topic,
                                    .partitions = s->writer->partitions,
                                    .most_bytes = s->writer->most_bytes,
                                    .created_us = TIME_NEVER};
    *out = &s->injector;
    return STATUS_OK;
}

static enum status begin(struct injector *injector, struct error *err)
{
    return kafka_writer_ops.begin(self(injector)->writer, err);
}

static enum status claim(struct injector *injector, const struct dead_letter *letter,
                         bool *out_is_new, struct error *err)
{
    struct kafka_injector *s = self(injector);
    char value[48];
    (void)err;
    buffer_clear(&s->key);
    buffer_printf(&s->key, "%s/%s/%lld/%u/%s", s->writer->topic_id, letter->partition,
                  (long long)letter->offset, letter->attempt, letter->sink);
    const char *key = buffer_string(&s->key);
    *out_is_new = bytes_is_none(kafka_writer_ops.recall(s->writer, key)) || BROKEN("replay-again");
    if (*out_is_new && !s->is_dry) {
        (void)snprintf(value, sizeof value, "%lld %016llx", (long long)clock_realtime_us(),
                       (unsigned long long)s->number);
        kafka_writer_ops.remember(s->writer, key, bytes_of_string(value));
    }
    return STATUS_OK;
}

static enum status append(struct injector *injector, const struct dead_letter *letter,
                          struct error *err)
{
    const struct writer_record record = {.key = letter->key,
                                         .value = letter->value,
                                         .headers = letter->headers,
                                         .header_count = letter->header_count,
                                         .timestamp_us = TIME_NEVER,
                                         .partition = atoi(letter->partition)};
    return kafka_writer_ops.append(self(injector)->writer, &record, err);
}

static enum status commit(struct injector *injector, struct error *err)
{
    return kafka_writer_ops.commit(self(injector)->writer, err);
}

static void rollback(struct injector *injector)
{
    kafka_writer_ops.rollback(self(injector)->writer);
}

const struct injector_ops kafka_injector_ops = {
    .open = open_injector,
    .close = close_injector,
    .begin = begin,
    .claim = claim,
    .append = append,
    .asks_again = true,
    .commit = commit,
    .rollback = rollback,
};
