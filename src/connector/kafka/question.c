#include "connector/kafka/question.h"

#include "connector/kafka/answer.h"

#define ANSWER_STEP_MS 200

void kafka_ask(struct kafka_client *client, rd_kafka_admin_op_t operation,
               struct kafka_question *question)
{
    char unused[64];
    *question = (struct kafka_question){
        .queue = rd_kafka_queue_new(client->rk),
        .options = rd_kafka_AdminOptions_new(client->rk, operation),
    };
    (void)rd_kafka_AdminOptions_set_request_timeout(question->options, KAFKA_TIMEOUT_MS, unused,
                                                    sizeof unused);
}

rd_kafka_resp_err_t kafka_answer_of(struct kafka_client *client, struct kafka_question *question)
{
    /* The client answers itself when the brokers do not. */
    struct kafka_patience patience = kafka_patience_begin((KAFKA_TIMEOUT_MS + 5000) * INT64_C(1000));
    patience.away_us = INT64_MAX;
    do {
        question->answer = rd_kafka_queue_poll(question->queue, ANSWER_STEP_MS);
        rd_kafka_poll(client->rk, 0);
    } while (question->answer == NULL && !kafka_patience_is_over(&patience, client));
    return question->answer == NULL ? RD_KAFKA_RESP_ERR__TIMED_OUT
                                    : rd_kafka_event_error(question->answer);
}

void kafka_question_end(struct kafka_question *question)
{
    if (question->answer != NULL) {
        rd_kafka_event_destroy(question->answer);
    }
    rd_kafka_AdminOptions_destroy(question->options);
    rd_kafka_queue_destroy(question->queue);
}
