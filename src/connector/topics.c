#include "connector/topics.h"

#include "base/time.h"

struct topic_wish topic_wish_read(const struct doc *config)
{
    const int64_t age_us = grammar_duration_us(config, "retention", 0);
    return (struct topic_wish){
        .name = grammar_string(config, "topic", ""),
        .partitions = (uint32_t)grammar_int(config, "partitions", 0),
        .replication = (uint32_t)grammar_int(config, "replication", 0),
        .timestamps = grammar_string(config, "timestamps", NULL),
        .age_us = doc_get(config, "retention") == NULL ? TOPICS_UNTOLD
                  : age_us >= TIME_UNLIMITED           ? 0
                                                       : age_us,
        .bytes = doc_get(config, "retention_bytes") == NULL
                     ? TOPICS_UNTOLD
                     : (int64_t)grammar_size_bytes(config, "retention_bytes", 0),
    };
}
