/*
 * In which order the rows of an outbox are written to their table.
 *
 * Where the order makes no difference to what stands in the table afterwards, rows are written in
 * about the order of their key: neighbours stand on the same page of the key's index, which is then
 * touched once and not once a row. With random keys that is three times as fast.
 */
#ifndef WEIR_CONNECTOR_SQLITE_TABLE_ORDER_H
#define WEIR_CONNECTOR_SQLITE_TABLE_ORDER_H

#include "connector/table/rows.h"

/* Both fill in the outbox's places. As they came: */
void table_order_of_arrival(struct table_outbox *outbox);
/* By the cell of number `key`; equal ones as they came. A text counts by its first bytes only. */
void table_order_by_key(struct table_outbox *outbox, uint32_t key);

#endif
