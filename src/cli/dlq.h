/* The verb dlq: list and show (dlq.c), replay (dlq_replay.c). */
#ifndef WEIR_CLI_DLQ_H
#define WEIR_CLI_DLQ_H

#include "cli/cli.h"
#include "connector/sink.h"

enum status dlq_replay(const struct cli_arguments *arguments, struct error *err) WEIR_MUST_USE;

/* "raw_iot_data [0] 17" */
void dlq_write_origin(const struct dead_letter *letter, struct buffer *out);

#endif
