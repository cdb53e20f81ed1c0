/* Inside the lowering: one order for all groups that compute the same, however they came to be, so that they share a
 * kernel: the two views of a batch meet in every backward pass in different orders. */
#ifndef PASSES_GROUP_ORDER_H
#define PASSES_GROUP_ORDER_H

#include "passes/lower_nest.h"

/* Puts operands of sums and products into an order that follows from what they are; not in groups of scores, whose
 * symmetry depends on it. Returns a number for each value, by its id, that orders results. */
uint64_t *lower_order_operands(arena *memory, ir_function *function);
/* Puts results into the order of their numbers. */
void lower_order_results(const ir_value **results, int count, const uint64_t *numbers);

#endif
