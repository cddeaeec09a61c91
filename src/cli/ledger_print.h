/* The ledger as a table for people: run prints it at the end, audit at its start. */
#ifndef WEIR_CLI_LEDGER_PRINT_H
#define WEIR_CLI_LEDGER_PRINT_H

#include <stdio.h>

#include "progress/ledger.h"

void ledger_print(const struct ledger *ledger, FILE *stream);

#endif
