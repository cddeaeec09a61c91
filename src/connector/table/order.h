/*
 * In which order the rows of an outbox are written to their table.
 *
 * Where the order makes no difference to what stands in the table afterwards, rows are written in
 * about the order of their key: neighbours stand on the same page of the key's index, which is then
 * touched once and not once a row. With random keys that is three times as fast.
 */
#ifndef WEIR_CONNECTOR_TABLE_ORDER_H
#define WEIR_CONNECTOR_TABLE_ORDER_H

#include "connector/table/rows.h"

/* Notes the place of the row at `at`, which was just appended, and the beginning of its key. */
void table_order_note(struct table_outbox *outbox, size_t at);
/* Both order the outbox's places. As they came: */
void table_order_of_arrival(struct table_outbox *outbox);
/* By the key's cell; equal ones as they came. A text counts by its first bytes only. */
void table_order_by_key(struct table_outbox *outbox);

#endif
