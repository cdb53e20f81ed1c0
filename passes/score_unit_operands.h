/* Inside the lowering of scores on matrix units (score_units.h): operands in pairs, in tiles in the order of use. */
#ifndef PASSES_SCORE_UNIT_OPERANDS_H
#define PASSES_SCORE_UNIT_OPERANDS_H

#include "passes/pair_panel.h"
#include "passes/score_tile.h"

enum { SCORE_UNIT_BLOCK = 2 * PAIR_UNIT }; /* neighbours of the summation that make a tile's pairs */

/* Blocks that hold so many neighbours. */
int64_t score_unit_blocks(int64_t count);

/* Buffers of pairs along vectors: left operands, or right ones. */
int score_unit_vectors(const score_plan *plan, const ir_value *vectors, bool right);
/* Buffers of pairs of vectors, what weights are multiplied by: right operands of sums over columns (by_row), left ones
 * of sums over rows. */
int score_unit_pairs(const score_plan *plan, const ir_value *vectors, bool by_row);

/* Whether the vectors of a row are read by one tile alone, which brings them into pairs itself, in its worker's memory:
 * many rows are then read from memory as they are, and pairs of theirs never written there. Only of lengths that fill
 * whole tiles. */
bool score_unit_rows_once(const score_plan *plan);

/* A tile's rows on their way: arguments, [rows, length] and scratch; elements of the latter for each row of a tile. */
typedef struct {
    int from, to;
    int64_t length, to_row;
} score_unit_rows;

/* Left operands of the tile's rows over blocks first .. first + count - 1 of their elements. */
void score_unit_pack_rows(const kir_builder *builder, const score_plan *plan, const score_place *place,
                          const score_unit_rows *rows, kir_index first, int64_t count);
/* Left operands of elements first .. first + count - 1 in pairs of the tile's rows, of which none is beyond the last.
 */
void score_unit_pack_elements(const kir_builder *builder, const score_plan *plan, const score_place *place,
                              const score_unit_rows *rows, kir_index first, int64_t count);

#endif
