/*
 * One question to the admin interface of a cluster, and its answer: kafka_ask() → the request itself,
 * with the question's options and queue → kafka_answer_of(), or a look at the queue → what the answer
 * says → kafka_question_end().
 *
 * Threads: those of the client.
 */
#ifndef WEIR_CONNECTOR_KAFKA_QUESTION_H
#define WEIR_CONNECTOR_KAFKA_QUESTION_H

#include "connector/kafka/client.h"

/* How long to wait before it is asked again, of what the brokers will know in a moment. */
#define KAFKA_ASK_AGAIN_US 50000

/* A queue for one answer. */
struct kafka_question {
    rd_kafka_queue_t *queue;
    rd_kafka_AdminOptions_t *options;
    rd_kafka_event_t *answer;
};

void kafka_ask(struct kafka_client *client, rd_kafka_admin_op_t operation,
               struct kafka_question *question);
/* The answer's error as a whole; that of single topics is the caller's to look at. */
rd_kafka_resp_err_t kafka_answer_of(struct kafka_client *client, struct kafka_question *question);
void kafka_question_end(struct kafka_question *question);

#endif
