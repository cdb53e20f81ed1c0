/* Inside the lowering of scores: products of numbers split into bf16 parts on matrix units.
 *
 * Every operand lies in whole tiles in the order of use (pair_panel.h: tiled), so that the units' loads run through
 * memory. In each 32 neighbours of the summation, the first 16 are paired with their counterparts among the other 16.
 * Sums over rows of scores are computed turned, [element][column]: their weights are then right operands, whose pairs
 * of rows are made in registers, where left ones would have to be turned. */
#ifndef PASSES_SCORE_UNITS_H
#define PASSES_SCORE_UNITS_H

#include "passes/score_tile.h"

/* Whether the plan's products run on matrix units. */
bool score_on_units(const score_plan *plan);

/* Elements of results are padded to whole tiles. */
int64_t score_units_row(int64_t length);

/* The tile's product `number`, into its scratch. */
void score_units_product(lower_kernel *kernel, const score_plan *plan, const score_place *place, int number);

/* Where a tile of weights goes in pairs: arguments, -1 if nothing sums that way. */
typedef struct {
    int by_row, by_column;
} score_unit_weights;

/* Scratch for the pairs of weights `number`, as the outputs and the place want them. */
score_unit_weights score_units_weights(lower_kernel *kernel, const score_plan *plan, const score_place *place,
                                       int number);
/* Two vectors of columns in two rows, PAIR_UNIT columns and rows apart, which make pairs both ways. */
typedef struct {
    kir_reg block, row, column; /* the first row is block + row */
} score_square;

kir_index score_square_row(const score_square *at, int r);
kir_index score_square_column(const score_square *at, int c);
/* Opens loops over all squares of the tile; the builder goes into the innermost. */
void score_units_squares(kir_builder *builder, const score_place *place, score_square *at);
/* Splits the weights of a square and stores them. */
void score_units_store(const kir_builder *builder, const score_plan *plan, const score_place *place,
                       const score_unit_weights *to, const score_square *at, kir_reg weights[2][2]);
/* Output rows += weights x vectors (by_row), or output columns += weights^T x vectors; `mirrored`: the output's other
 * way in symmetric scores. */
void score_units_multiply(lower_kernel *kernel, const score_plan *plan, const score_place *place,
                          const score_output *output, const score_unit_weights *weights, bool mirrored);
/* Brings the sums of an output, all `copies` of them and those of the mirrored tiles, to the result's buffer. */
void score_units_finish(const score_plan *plan, const score_output *output, int64_t copies, int64_t stride, int result);

#endif
