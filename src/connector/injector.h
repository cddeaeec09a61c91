/*
 * Injector: dead letters back into the source that they came from, each once.
 *
 * A dead letter goes to its origin's own partition with whatever headers the caller gives it, and
 * its id (topic's id, partition, offset, sink, attempt) is written in the same transaction. A
 * letter whose id is there is not claimed again, whoever runs this how often and at the same time.
 *
 * Life: open → (begin → claim, append … → commit | rollback)… → close. A dry one only looks:
 * claim() works without a transaction, and says whether an id is new.
 *
 * Threads: one at a time.
 */
#ifndef WEIR_CONNECTOR_INJECTOR_H
#define WEIR_CONNECTOR_INJECTOR_H

#include <stdbool.h>

#include "connector/sink.h"

struct injector;

struct injector_ops {
    /* The source as source_ops.open() gets it, and the name of its pipeline; all three outlive the
     * injector. CONFIG when it is not there. */
    enum status (*open)(const struct doc *config, const char *folder, const char *pipeline,
                        bool is_dry, struct injector **out, struct error *err);
    void (*close)(struct injector *injector); /* takes NULL */
    enum status (*begin)(struct injector *injector, struct error *err);
    /* Takes the letter's id, or in a dry run looks for it: *out_is_new when it was not there. */
    enum status (*claim)(struct injector *injector, const struct dead_letter *letter,
                         bool *out_is_new, struct error *err);
    /* A record with the letter's key, value and headers into the letter's partition, which is one of
     * the topic's. */
    enum status (*append)(struct injector *injector, const struct dead_letter *letter,
                          struct error *err);
    /* RETRY: nothing happened. Where `asks_again`, perhaps it did, and the same may be called again,
     * which finds that out first. */
    bool asks_again;
    enum status (*commit)(struct injector *injector, struct error *err);
    void (*rollback)(struct injector *injector);
};

struct injector {
    const struct injector_ops *ops;
    const char *topic;   /* all three live as long as the injector */
    uint32_t partitions;
    int64_t most_bytes;  /* that a record may take; 0: no limit is known */
    int64_t created_us;  /* the topic: letters of before are of another one; TIME_NEVER: not told */
};

#endif
