/* Log-sum-exp of rows and of columns of the same scores: of each, e^(score - M) is computed once, with M the tile's
 * largest. That holds enough digits where every row and column has a score above M - NEAR; where one has not, rows and
 * columns are swept one after the other.
 */
#include "passes/score_sweep.h"

#include "passes/kernel_math.h"

#include <math.h>

enum { NEAR = 55 }; /* e^-87 is the least that there is, and e^NEAR far from the largest */

typedef struct {
    score_line row, column;
    bool turned;                                            /* columns are those of the mirrored tile */
    int row_largest, row_sums, column_largest, column_sums; /* scratch */
    kir_reg largest;                                        /* of the tile, a scalar */
} both_ways;

/* Whether all that the tile gives are two log-sum-exps of the same scores. */
static bool goes_both_ways(const score_plan *plan, const score_place *place, both_ways *work) {
    if (plan->weight_count || plan->columns % plan->lanes != 0)
        return false;
    score_sweep rows = score_sweep_of(plan, true, false), columns = score_sweep_of(plan, false, place->mirrored);
    int others = place->mirrored
                     ? score_sweep_of(plan, false, false).line_count + score_sweep_of(plan, true, true).line_count
                     : 0;
    if (rows.line_count != 1 || columns.line_count != 1 || others > 0)
        return false;
    *work = (both_ways){.row = rows.lines[0], .column = columns.lines[0], .turned = place->mirrored};
    const ir_value *scores = work->row.output->scores;
    return work->row.output->kind == SCORE_LOGSUMEXP && work->column.output->kind == SCORE_LOGSUMEXP &&
           scores == work->column.output->scores && (!place->mirrored || score_reads_alike(scores));
}

static void bind_both_ways(lower_kernel *kernel, const score_plan *plan, const score_place *place, both_ways *work) {
    score_bind_totals(kernel, &work->row, place->fresh_rows);
    score_bind_totals(kernel, &work->column, place->fresh_columns);
    work->row_largest = lower_scratch(kernel, "row_largest", plan->tile_rows);
    work->row_sums = lower_scratch(kernel, "row_sums", plan->tile_rows);
    work->column_largest = lower_scratch(kernel, "column_largest", plan->tile_columns);
    work->column_sums = lower_scratch(kernel, "column_sums", plan->tile_columns);
}

static kir_reg variable(const kir_builder *builder, int lanes, double number) {
    kir_type type = kir_vector_type(KIR_F32, lanes);
    kir_reg reg = kir_register(builder, type);
    kir_assign(builder, reg, kir_number(builder, type, number));
    return reg;
}

static kir_index score_index(kir_index origin, const score_plan *plan, kir_reg row, kir_reg column) {
    return kir_plus(kir_plus(origin, plan->tile_stride, row), 1, column);
}

/* Where settled scores go: in place of the products, but for those that are kept. */
typedef struct {
    int argument;
    kir_index origin;
} settled_tile;

/* Settles the scores, and finds the largest of each row and column; returns the least of those of rows. */
static kir_reg settle_scores(lower_kernel *kernel, const score_plan *plan, const score_place *place,
                             const both_ways *work, const settled_tile *to) {
    kir_builder outer = kernel->builder, over_rows, body;
    kir_reg least = variable(&outer, 1, INFINITY);
    score_fill_columns(&outer, plan, place, work->column_largest, -INFINITY);
    kir_reg row = kir_loop(&outer, kir_at(0), place->row_end, 1, &over_rows);
    kir_reg largest = variable(&over_rows, plan->lanes, -INFINITY);
    kir_reg column = kir_loop(&over_rows, kir_at(0), place->column_end, plan->lanes, &body);
    kir_index at_column = kir_plus(kir_at(0), 1, column);
    lower_coordinate at[2];
    score_coordinates(plan, place, kir_plus(kir_at(0), 1, row), at_column, false, at);
    kernel->builder = body;
    score_forget(kernel);
    kir_reg score = lower_element_at(kernel, work->row.output->scores, at, plan->lanes, plan->lanes);
    body = kernel->builder;
    kir_store(&body, to->argument, score_index(to->origin, plan, row, column), score, plan->lanes);
    kir_into(&body, largest, KIR_max, largest, score, -1);
    kir_reg before = kir_load(&body, work->column_largest, at_column, plan->lanes, plan->lanes);
    kir_store(&body, work->column_largest, at_column, kir_op2(&body, KIR_max, before, score), plan->lanes);
    kir_reg of_row = score_largest_lane(&over_rows, largest, plan->lanes);
    kir_store(&over_rows, work->row_largest, kir_plus(kir_at(0), 1, row), of_row, 1);
    kir_into(&over_rows, least, KIR_min, least, of_row, -1);
    kernel->builder = outer;
    return least;
}

/* Finds the tile's largest score; BOOL: whether every row and column, the least of which is `least` or found here, has
 * one near it. */
static kir_reg are_near(const kir_builder *builder, const score_plan *plan, const score_place *place, both_ways *work,
                        kir_reg least) {
    int lanes = plan->lanes;
    kir_reg largest = variable(builder, lanes, -INFINITY), opposite = variable(builder, lanes, -INFINITY);
    kir_builder body;
    kir_reg column = kir_loop(builder, kir_at(0), place->column_end, lanes, &body);
    kir_reg of_column = kir_load(&body, work->column_largest, kir_plus(kir_at(0), 1, column), lanes, lanes);
    kir_into(&body, largest, KIR_max, largest, of_column, -1);
    kir_into(&body, opposite, KIR_max, opposite, kir_op1(&body, KIR_neg, of_column), -1);
    kir_reg whole = score_largest_lane(builder, largest, lanes);
    kir_reg lowest =
        kir_op2(builder, KIR_min, least, kir_op1(builder, KIR_neg, score_largest_lane(builder, opposite, lanes)));
    work->largest = whole;
    kir_reg limit = kir_op2(builder, KIR_sub, whole, kir_number(builder, kir_scalar_type(KIR_F32), NEAR));
    return kir_op2(builder, KIR_less, limit, lowest);
}

/* The sums of e^(score - M) of all rows and columns. */
static void sum_both_ways(const lower_kernel *kernel, const kir_builder *builder, const score_plan *plan,
                          const score_place *place, const both_ways *work) {
    int lanes = plan->lanes;
    kir_builder over_rows, body;
    score_fill_columns(builder, plan, place, work->column_sums, 0);
    kir_reg tile_largest = kir_splat(builder, work->largest, lanes);
    kir_reg row = kir_loop(builder, kir_at(0), place->row_end, 1, &over_rows);
    kir_reg sum = variable(&over_rows, lanes, 0);
    kir_reg column = kir_loop(&over_rows, kir_at(0), place->column_end, lanes, &body);
    kir_index at = kir_plus(kir_at(0), 1, column);
    kir_reg score =
        kir_load(&body, kernel->scores->tiles[0], score_index(kernel->scores->origin, plan, row, column), lanes, lanes);
    kir_reg power = math_exp_falling(&body, kir_op2(&body, KIR_sub, score, tile_largest), score_bits(kernel->scores));
    kir_into(&body, sum, KIR_add, sum, power, -1);
    kir_reg before = kir_load(&body, work->column_sums, at, lanes, lanes);
    kir_store(&body, work->column_sums, at, kir_op2(&body, KIR_add, before, power), lanes);
    kir_reg of_row = lanes > 1 ? kir_op1(&over_rows, KIR_sum_lanes, sum) : sum;
    kir_store(&over_rows, work->row_sums, kir_plus(kir_at(0), 1, row), of_row, 1);
}

/* Joins the sums of all rows (columns) with those of earlier tiles, `lanes` of them at once. */
static void join_sums(const kir_builder *builder, const both_ways *work, const score_line *line, int lanes,
                      kir_index first, kir_index end, int largest, int sums, score_fresh fresh) {
    kir_builder body;
    kir_reg of_tile = kir_splat(builder, work->largest, lanes);
    kir_index place = kir_plus(kir_at(0), 1, kir_loop(builder, kir_at(0), end, lanes, &body));
    kir_reg of_lines = kir_load(&body, largest, place, lanes, lanes);
    score_joining joining = score_begin_joining(&body, line, kir_plus_index(first, 1, place), lanes, of_lines, fresh);
    kir_reg sum = kir_load(&body, sums, place, lanes, lanes);
    sum = kir_op2(&body, KIR_mul, sum, math_exp(&body, kir_op2(&body, KIR_sub, of_tile, joining.shift)));
    score_end_joining(&body, &joining, sum);
}

bool score_sweep_both_ways(lower_kernel *kernel, const score_plan *plan, const score_place *place,
                           score_reader *reader) {
    both_ways made, *work = &made;
    if (!goes_both_ways(plan, place, work))
        return false;
    bind_both_ways(kernel, plan, place, work);
    settled_tile products = {reader->tiles[0], reader->origin}, settled = products;
    if (plan->kept >= 0)
        settled = (settled_tile){lower_scratch(kernel, "settled", plan->tile_rows * plan->tile_stride), kir_at(0)};
    kir_reg least = settle_scores(kernel, plan, place, work, &settled);
    reader->tiles[0] = settled.argument;
    reader->origin = settled.origin;
    kir_builder outer = kernel->builder, yes, no;
    kir_if(&outer, are_near(&outer, plan, place, work, least), &yes, &no);
    sum_both_ways(kernel, &yes, plan, place, work);
    join_sums(&yes, work, &work->row, score_block_rows(plan), place->row, place->row_end, work->row_largest,
              work->row_sums, place->fresh_rows);
    join_sums(&yes, work, &work->column, plan->lanes, score_column_total(place), place->column_end,
              work->column_largest, work->column_sums, place->fresh_columns);
    reader->settled = work->row.output->scores;
    kernel->builder = no;
    score_sweep_columns(kernel, plan, place, work->turned, false);
    score_sweep_rows(kernel, plan, place, false, NULL);
    reader->settled = NULL;
    reader->tiles[0] = products.argument;
    reader->origin = products.origin;
    kernel->builder = outer;
    return true;
}
