/* Weights of a tile, and their products with vectors. */
#include "passes/score_weights.h"

#include "passes/register_tile.h"
#include "passes/score_pairs.h"
#include "passes/score_unit_operands.h"

/* ---- products of f32 numbers ----------------------------------------------------------------------------------------
 */

typedef struct {
    const score_plan *plan;
    int weights, vectors, target; /* arguments */
    int block;                    /* scratch: some elements of the tile's vectors, a vector after the other */
    int64_t length;
    int64_t row_stride, step_stride; /* between the panel's rows, and along the sum, in the tile */
    kir_index first_target, targets; /* rows that are added to */
    kir_index first_vector, steps;   /* what is summed over */
    score_fresh fresh;
} multiplication;

/* Neighbours in scratch: whole vectors lie so far apart that they would crowd few sets of the first cache. */
static void copy_block(const kir_builder *builder, const multiplication *work, kir_index first, int64_t columns) {
    int lanes = work->plan->lanes;
    kir_builder body;
    kir_reg vector = kir_loop(builder, kir_at(0), work->steps, 1, &body);
    for (int64_t at = 0; at < columns; at += lanes) {
        int count = (int)(columns - at < lanes ? columns - at : lanes);
        kir_index from = kir_plus_index(kir_at(at), work->length, kir_plus(work->first_vector, 1, vector));
        kir_index to = kir_plus(kir_at(at), columns, vector);
        kir_reg elements = kir_load(&body, work->vectors, kir_plus_index(from, 1, first), lanes, count);
        kir_store(&body, work->block, to, elements, count);
    }
}

/* One panel of rows times the block. */
static void multiply_panel(const kir_builder *builder, const multiplication *work, kir_index row, kir_index first,
                           int64_t columns) {
    const score_plan *plan = work->plan;
    register_tile tile = tile_new(builder, &plan->context->pass->target, plan->panel_rows, columns);
    kir_index targets[TILE_MAX_ROWS];
    for (int r = 0; r < plan->panel_rows; r++) {
        targets[r] = kir_plus_index(kir_at(r * work->length), work->length, kir_plus_index(work->first_target, 1, row));
        targets[r] = kir_plus_index(targets[r], 1, first);
    }
    kir_builder clear = *builder, load = *builder, body;
    if (!work->fresh.always && work->fresh.when >= 0)
        kir_if(builder, work->fresh.when, &clear, &load);
    if (work->fresh.always || work->fresh.when >= 0)
        tile_clear(&clear, &tile);
    if (!work->fresh.always)
        tile_load(&load, &tile, work->target, targets);
    int64_t round = work->steps.term_count == 0 ? tile_steps(&tile, work->steps.base) : 1;
    kir_reg step = kir_loop(builder, kir_at(0), work->steps, round, &body);
    tile_operands operands = {
        .left = work->weights, .right = work->block, .left_step = work->step_stride, .right_step = columns};
    for (int r = 0; r < plan->panel_rows; r++)
        operands.rows[r] =
            kir_plus(kir_plus_index(kir_at(r * work->row_stride), work->row_stride, row), work->step_stride, step);
    operands.columns = kir_plus(kir_at(0), columns, step);
    tile_multiply(&body, &tile, &operands, round);
    tile_store(builder, &tile, work->target, targets);
}

/* A block of the vectors' elements stays in the first cache while all rows are multiplied by it. */
static void emit_multiply(kir_builder *builder, kir_index first, int64_t columns, void *user) {
    const multiplication *work = user;
    copy_block(builder, work, first, columns);
    kir_builder body;
    kir_reg row = kir_loop(builder, kir_at(0), work->targets, work->plan->panel_rows, &body);
    multiply_panel(&body, work, kir_plus(kir_at(0), 1, row), first, columns);
}

/* output rows += weights x vectors (by_row), or output columns += weights^T x vectors. */
static void multiply(lower_kernel *kernel, const score_plan *plan, const score_place *place, const score_output *output,
                     int weights, bool by_row) {
    if (plan->parts) {
        score_pairs_multiply(kernel, plan, place, output, weights, by_row);
        return;
    }
    multiplication work = {.plan = plan, .weights = weights, .length = output->length};
    work.vectors = lower_argument(kernel, output->vectors, false);
    work.target = lower_argument(kernel, output->total, true);
    work.fresh = by_row ? place->fresh_rows : place->fresh_columns;
    if (!work.fresh.always)
        lower_argument(kernel, output->total, false);
    work.row_stride = by_row ? plan->tile_stride : 1;
    work.step_stride = by_row ? 1 : plan->tile_stride;
    work.first_target = by_row ? place->row : score_column_total(place);
    work.targets = by_row ? place->row_end : place->column_end;
    work.first_vector = by_row ? place->column : place->row;
    work.steps = by_row ? place->column_end : place->row_end;
    const kir_target *cpu = &plan->context->pass->target;
    int64_t block = (int64_t)tile_vectors_for(cpu, work.length) * cpu->lanes;
    work.block = lower_scratch(kernel, "vectors", (by_row ? plan->tile_columns : plan->tile_rows) * block);
    kir_builder outer = kernel->builder;
    tile_blocks(&outer, work.length, block, emit_multiply, &work);
    kernel->builder = outer;
}

/* ---- all weights ----------------------------------------------------------------------------------------------------
 */

/* Squares of the last block may lie beyond the last row or column, and beyond the memory of what is known of those: the
 * last once more. */
static void stay_inside(const kir_builder *builder, const score_plan *plan, lower_coordinate at[2]) {
    for (int axis = 0; axis < 2; axis++) {
        int64_t count = (axis != 0) != plan->exchanged ? plan->columns : plan->rows;
        int64_t there = score_rounded_up(count, plan->lanes);
        if (there == score_rounded_up(count, SCORE_UNIT_BLOCK))
            continue;
        kir_reg last = kir_value(builder, kir_at(at[axis].lane ? there - plan->lanes : count - 1));
        at[axis].base = kir_plus(kir_at(0), 1, kir_op2(builder, KIR_min, kir_value(builder, at[axis].base), last));
    }
}

/* The weights at one vector of the tile: computed, or read where a sweep has left them. */
static void read_weights(lower_kernel *kernel, const score_plan *plan, const score_place *place, const int *stored,
                         kir_index row, kir_index column, kir_reg *weights) {
    lower_coordinate at[2];
    score_coordinates(plan, place, row, column, false, at);
    if (!stored)
        stay_inside(&kernel->builder, plan, at);
    score_forget(kernel);
    kir_index index = kir_plus_index(kir_plus_index(kir_at(0), plan->tile_stride, row), 1, column);
    for (int i = 0; i < plan->weight_count; i++)
        weights[i] = stored ? kir_load(&kernel->builder, stored[i], index, plan->lanes, plan->lanes)
                            : lower_element_at(kernel, plan->weights[i], at, plan->lanes, plan->lanes);
}

void score_weights_bind(lower_kernel *kernel, const score_plan *plan, const score_place *place,
                        score_unit_weights *to) {
    for (int i = 0; i < plan->weight_count; i++)
        to[i] = score_units_weights(kernel, plan, place, i);
}

void score_weights_pack(lower_kernel *kernel, const score_plan *plan, const score_place *place, const int *stored,
                        const score_unit_weights *to) {
    kir_builder outer = kernel->builder;
    score_square at;
    kir_reg weights[SCORE_MAX_RESULTS], squares[SCORE_MAX_RESULTS][2][2];
    score_units_squares(&kernel->builder, place, &at);
    for (int r = 0; r < 2; r++)
        for (int c = 0; c < 2; c++) {
            read_weights(kernel, plan, place, stored, score_square_row(&at, r), score_square_column(&at, c), weights);
            for (int i = 0; i < plan->weight_count; i++)
                squares[i][r][c] = weights[i];
        }
    for (int i = 0; i < plan->weight_count; i++)
        score_units_store(&kernel->builder, plan, place, &to[i], &at, squares[i]);
    kernel->builder = outer;
}

void score_weights_multiply(lower_kernel *kernel, const score_plan *plan, const score_place *place, const int *weights,
                            const score_unit_weights *pairs, int ways) {
    for (int i = 0; i < plan->output_count; i++) {
        const score_output *output = &plan->outputs[i];
        if (output->kind != SCORE_MULTIPLY)
            continue;
        for (int mirrored = 0; mirrored <= place->mirrored; mirrored++) {
            bool by_row = output->by_row != mirrored;
            if (!(ways & (by_row ? SCORE_BY_ROW : SCORE_BY_COLUMN)))
                continue;
            if (score_on_units(plan))
                score_units_multiply(kernel, plan, place, output, &pairs[output->weights], mirrored);
            else
                multiply(kernel, plan, place, output, weights[output->weights], by_row);
        }
    }
}
