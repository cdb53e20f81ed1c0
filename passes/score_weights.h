/* Inside the lowering of scores: weights of a tile, and their products with vectors. */
#ifndef PASSES_SCORE_WEIGHTS_H
#define PASSES_SCORE_WEIGHTS_H

#include "passes/score_units.h"

/* Scratch memory for all weights of the tile in pairs for matrix units. */
void score_weights_bind(lower_kernel *kernel, const score_plan *plan, const score_place *place, score_unit_weights *to);
/* Brings all weights of the tile into these pairs. `stored`: where a sweep has left them, or NULL. */
void score_weights_pack(lower_kernel *kernel, const score_plan *plan, const score_place *place, const int *stored,
                        const score_unit_weights *to);

typedef enum { SCORE_BY_ROW = 1, SCORE_BY_COLUMN = 2 } score_summed_ways;

/* Adds to the outputs that are summed in the given ways: their weights, stored in `weights`, or in `pairs` on matrix
 * units, times vectors. */
void score_weights_multiply(lower_kernel *kernel, const score_plan *plan, const score_place *place, const int *weights,
                            const score_unit_weights *pairs, int ways);

#endif
