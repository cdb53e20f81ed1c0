/* Inside the lowering of scores: sums, maxima and log-sum-exps of a tile's rows and columns, and what sweeps over its
 * scores compute beside them. */
#ifndef PASSES_SCORE_SWEEP_H
#define PASSES_SCORE_SWEEP_H

#include "passes/score_tile.h"

/* One output while a row or column of the tile is swept: in registers. */
typedef struct {
    const score_output *output;
    int total, exponentials; /* arguments */
    int strip;               /* scratch: the line's scores, for the exponentials after the maximum is known; of columns
                                beside rows what they have so far */
    int shifts, sums;        /* scratch, of a log-sum-exp of rows: each row's in a block */
    kir_reg value;           /* sum or maximum so far, a vector */
} score_line;

/* A sweep: by rows (vectors along columns) or by columns (vectors of columns, one after the other along rows). With
 * `turned`, rows and columns of the scores are exchanged. */
typedef struct {
    bool by_row, turned;
    score_line lines[SCORE_MAX_RESULTS];
    int line_count;
} score_sweep;

score_sweep score_sweep_of(const score_plan *plan, bool by_row, bool turned);
/* Sweeps the tile by columns; `beside`: sums and maxima are left to the sweep by rows. */
void score_sweep_columns(lower_kernel *kernel, const score_plan *plan, const score_place *place, bool turned,
                         bool beside);
/* Sweeps it by rows. `weights`: scratch tiles to write, or NULL when this sweep only reduces. */
void score_sweep_rows(lower_kernel *kernel, const score_plan *plan, const score_place *place, bool turned,
                      const int *weights);

/* score_both_ways.c: sweeps the tile by rows and columns at once where its outputs are nothing but a log-sum-exp of
 * each of the same scores; false if they are not. */
bool score_sweep_both_ways(lower_kernel *kernel, const score_plan *plan, const score_place *place,
                           score_reader *reader);

/* ---- pieces of sweeps ----------------------------------------------------------------------------------------------
 */

/* Rows whose totals are read and written together; a tile's are whole blocks, as the next rows are another tile's. */
int score_block_rows(const score_plan *plan);
void score_bind_totals(lower_kernel *kernel, score_line *line, score_fresh fresh);
void score_fill_columns(const kir_builder *builder, const score_plan *plan, const score_place *place, int scratch,
                        double number);
kir_reg score_largest_lane(const kir_builder *builder, kir_reg vector, int lanes);

/* A log-sum-exp of some lines while it joins those of earlier tiles: `at` is where the totals are. */
typedef struct {
    const score_line *line;
    kir_index at;
    int lanes;
    score_fresh fresh;
    kir_reg before, shift; /* the largest scores of earlier tiles, and with those of this one */
} score_joining;

/* `largest`: of this tile's scores in each line. */
score_joining score_begin_joining(const kir_builder *builder, const score_line *line, kir_index at, int lanes,
                                  kir_reg largest, score_fresh fresh);
/* `sum`: of this tile's e^(score - shift). */
void score_end_joining(const kir_builder *builder, const score_joining *joining, kir_reg sum);

#endif
