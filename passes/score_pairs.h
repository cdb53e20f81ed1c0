/* Inside the lowering of scores: products of numbers split into bf16 parts (pair_panel.h) on vectors.
 *
 * Neighbours of the summation lie in pairs. Along vectors these are 2 elements.
 * Along rows or columns of scores, a block of 2 vectors of `lanes` scores makes `lanes` pairs: each of the first with
 * its counterpart in the second. */
#ifndef PASSES_SCORE_PAIRS_H
#define PASSES_SCORE_PAIRS_H

#include "passes/score_tile.h"

/* Buffers of pairs: of row vectors [part][rows, whole panels][pairs], of column vectors [part][panel][pairs][columns],
 * of what scores are multiplied by [part][pairs of vectors][row]. */
int score_pairs_rows(const score_plan *plan, const ir_value *vectors);
int score_pairs_columns(const score_plan *plan, const ir_value *vectors);
int score_pairs_vectors(const score_plan *plan, const ir_value *vectors);

/* The tile's product `number`, into its scratch. */
void score_pairs_product(lower_kernel *kernel, const score_plan *plan, const score_place *place, int number);
/* Output rows += weights x vectors (by_row), or output columns += weights^T x vectors. */
void score_pairs_multiply(lower_kernel *kernel, const score_plan *plan, const score_place *place,
                          const score_output *output, int weights, bool by_row);

#endif
