/* The ledger as a table for people: run prints it at the end, audit at its start. */
#ifndef WEIR_CLI_LEDGER_PRINT_H
#define WEIR_CLI_LEDGER_PRINT_H

#include <stdio.h>

#include "progress/ledger.h"
#include "progress/refused.h"

/* `forwarded`: dead letters of rows that sinks of other systems refused, by sink. */
void ledger_print(const struct ledger *ledger, const struct refused_list *forwarded, FILE *stream);
/* The same as one JSON object: ledger_write_json(), and "forwarded" where there is anything. */
void ledger_print_json(const struct ledger *ledger, const struct refused_list *forwarded,
                       struct buffer *out);

#endif
