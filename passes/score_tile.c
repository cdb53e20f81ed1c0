#include "passes/score_tile.h"

#include "passes/kernel_math.h"
#include "passes/register_tile.h"
#include "passes/score_pairs.h"
#include "passes/score_weights.h"

#include <assert.h>
#include <math.h>
#include <string.h>

/* ---- elements of scores -------------------------------------------------------------------------------------------
 */

void score_forget(lower_kernel *kernel) {
    const score_reader *reader = kernel->scores;
    int ids = reader->plan->context->source->next_id;
    for (int i = 0; i < 2 * ids; i++)
        reader->known[i] = -1;
}

/* A product's element; scores that are read with rows along the lanes are symmetric. */
static kir_reg product_element(lower_kernel *kernel, int number, const lower_coordinate *at, int lanes) {
    const score_reader *reader = kernel->scores;
    bool turned = at[0].lane != 0;
    kir_index index = kir_plus_index(kir_at(0), reader->plan->tile_stride, at[turned].base);
    index = kir_plus_index(index, -reader->plan->tile_stride, reader->place->row);
    index = kir_plus_index(index, 1, at[!turned].base);
    index = kir_plus_index(kir_plus_index(index, -1, reader->place->column), 1, reader->origin);
    return kir_load(&kernel->builder, reader->tiles[number], index, lanes, lanes);
}

/* Whether it asks if a row's number is a column's, which in tiles off the diagonal none is. */
static bool is_diagonal(const ir_value *value) {
    const ir_value *x = value->operands[0], *y = value->operands[1];
    return value->opcode == IR_OP_equal && x->opcode == IR_OP_iota && y->opcode == IR_OP_iota &&
           ir_int(x, IR_ATTR_axis) != ir_int(y, IR_ATTR_axis);
}

kir_reg score_element_at(lower_kernel *kernel, const ir_value *value, const lower_coordinate *at, int lanes,
                         int count) {
    const score_reader *reader = kernel->scores;
    if (value->group != reader->plan->group)
        return lower_fresh_element(kernel, value, at, lanes, count);
    kir_reg *known = &reader->known[2 * value->id + (at[0].lane != 0)];
    if (*known >= 0)
        return *known;
    for (int i = 0; i < reader->plan->product_count; i++)
        if (reader->plan->products[i].value == value)
            return *known = product_element(kernel, i, at, lanes);
    if (value == reader->settled)
        return *known = product_element(kernel, 0, at, lanes);
    if (reader->place->mirrored && is_diagonal(value))
        return *known = kir_number(&kernel->builder, kir_vector_type(KIR_BOOL, lanes), 0);
    return *known = lower_fresh_element(kernel, value, at, lanes, count);
}

int score_bits(const score_reader *reader) {
    static const int bits[] = {24, 13, 18, 24};
    return bits[reader->plan->parts];
}

/* ---- products -----------------------------------------------------------------------------------------------------
 */

static void emit_panel(lower_kernel *kernel, const score_plan *plan, const score_place *place, int number,
                       kir_index row, kir_index column) {
    const score_product *product = &plan->products[number];
    kir_builder *builder = &kernel->builder;
    int left = lower_argument(kernel, product->left, false), packed = lower_argument(kernel, product->packed, false);
    register_tile tile = tile_new(builder, &plan->context->pass->target, plan->panel_rows, plan->panel_columns);
    tile_clear(builder, &tile);
    kir_index targets[TILE_MAX_ROWS];
    kir_builder body;
    int64_t round = tile_steps(&tile, product->length);
    kir_reg k = kir_loop(builder, kir_at(0), kir_at(product->length), round, &body);
    tile_operands operands = {.left = left, .right = packed, .left_step = 1, .right_step = plan->panel_columns};
    kir_index first = kir_plus_index(place->row, 1, row);
    for (int r = 0; r < plan->panel_rows; r++) {
        operands.rows[r] = kir_plus(kir_plus_index(kir_at(r * product->length), product->length, first), 1, k);
        targets[r] = kir_plus_index(kir_plus_index(kir_at(r * plan->tile_stride), plan->tile_stride, row), 1, column);
        targets[r] = kir_plus_index(targets[r], 1, kernel->scores->origin);
    }
    kir_index panel = kir_plus_index(place->column, 1, column);
    operands.columns = kir_plus(kir_plus_index(kir_at(0), product->length, panel), plan->panel_columns, k);
    tile_multiply(&body, &tile, &operands, round);
    tile_store(builder, &tile, kernel->scores->tiles[number], targets);
}

static void emit_product(lower_kernel *kernel, const score_plan *plan, const score_place *place, int number) {
    if (score_on_units(plan)) {
        score_units_product(kernel, plan, place, number);
        return;
    }
    if (plan->parts) {
        score_pairs_product(kernel, plan, place, number);
        return;
    }
    kir_builder outer = kernel->builder, over_rows, over_columns;
    kir_reg column = kir_loop(&outer, kir_at(0), place->column_end, plan->panel_columns, &over_columns);
    kir_reg row = kir_loop(&over_columns, kir_at(0), place->row_end, plan->panel_rows, &over_rows);
    kernel->builder = over_rows;
    emit_panel(kernel, plan, place, number, kir_plus(kir_at(0), 1, row), kir_plus(kir_at(0), 1, column));
    kernel->builder = outer;
}

/* ---- reductions ---------------------------------------------------------------------------------------------------
 */

/* One output while a row or column of the tile is swept: in registers. */
typedef struct {
    const score_output *output;
    int total, exponentials; /* arguments */
    int strip;               /* scratch: the line's scores, for the exponentials after the maximum is known; of columns
                                beside rows what they have so far */
    kir_reg value;           /* sum or maximum so far, a vector */
} line_reduction;

/* A sweep: by rows (vectors along columns) or by columns (vectors of columns, one after the other along rows). With
 * `turned`, rows and columns of the scores are exchanged. */
typedef struct {
    bool by_row, turned;
    line_reduction lines[SCORE_MAX_RESULTS];
    int line_count;
} sweep;

static sweep plan_sweep(const score_plan *plan, bool by_row, bool turned) {
    sweep made = {.by_row = by_row, .turned = turned};
    for (int i = 0; i < plan->output_count; i++) {
        const score_output *output = &plan->outputs[i];
        if (output->kind != SCORE_MULTIPLY && output->by_row == (by_row != turned))
            made.lines[made.line_count++].output = output;
    }
    return made;
}

static bool needs_maximum(const score_output *output) {
    return output->kind != SCORE_SUM;
}

static double neutral_of(const score_output *output) {
    return needs_maximum(output) ? -INFINITY : 0;
}

/* Of a sweep by columns those lines that may as well be added up while rows are swept; or the others. */
static sweep only_beside(sweep columns, bool beside) {
    int count = 0;
    for (int i = 0; i < columns.line_count; i++)
        if ((columns.lines[i].output->kind != SCORE_LOGSUMEXP) == beside)
            columns.lines[count++] = columns.lines[i];
    columns.line_count = count;
    return columns;
}

static void begin_lines(lower_kernel *kernel, sweep *work, const score_plan *plan) {
    kir_type vector = kir_vector_type(KIR_F32, plan->lanes);
    for (int i = 0; i < work->line_count; i++) {
        line_reduction *line = &work->lines[i];
        line->value = kir_register(&kernel->builder, vector);
        kir_assign(&kernel->builder, line->value, kir_number(&kernel->builder, vector, neutral_of(line->output)));
    }
}

/* Lanes beyond the last column take no part. */
static kir_reg masked(lower_kernel *kernel, const score_plan *plan, const lower_coordinate at[2], kir_reg element,
                      double neutral) {
    const lower_coordinate *columns = &at[at[1].lane != 0];
    if (plan->columns % plan->lanes == 0)
        return element;
    kir_builder *builder = &kernel->builder;
    kir_type whole = kir_vector_type(KIR_I32, plan->lanes), vector = kir_vector_type(KIR_F32, plan->lanes);
    kir_reg first = kir_splat(builder, kir_convert(builder, kir_value(builder, columns->base), KIR_I32), plan->lanes);
    kir_reg column = plan->lanes > 1 ? kir_op2(builder, KIR_add, first, kir_iota(builder, whole)) : first;
    kir_reg inside = kir_op2(builder, KIR_less, column, kir_number(builder, whole, (double)plan->columns));
    return kir_op3(builder, KIR_select, inside, element, kir_number(builder, vector, neutral));
}

/* The coordinates of the scores' axes at the tile's row and column. A single lane still runs along columns: by that the
 * two orientations are told apart. */
void score_coordinates(const score_plan *plan, const score_place *place, kir_index row, kir_index column, bool turned,
                       lower_coordinate at[2]) {
    int row_axis = turned != plan->exchanged;
    at[row_axis] = (lower_coordinate){kir_plus_index(place->row, 1, row), 0};
    at[!row_axis] = (lower_coordinate){kir_plus_index(place->column, 1, column), 1};
}

/* Adds the scores at one vector of the tile to the lines. */
static void sweep_vector(lower_kernel *kernel, const score_plan *plan, const score_place *place, sweep *work,
                         kir_index row, kir_index column, kir_index strip_index) {
    kir_builder *builder = &kernel->builder;
    lower_coordinate at[2];
    score_coordinates(plan, place, row, column, work->turned, at);
    for (int i = 0; i < work->line_count; i++) {
        line_reduction *line = &work->lines[i];
        bool largest = needs_maximum(line->output);
        kir_reg element = lower_element_at(kernel, line->output->scores, at, plan->lanes, plan->lanes);
        if (work->by_row)
            element = masked(kernel, plan, at, element, largest ? -INFINITY : 0);
        if (line->output->kind == SCORE_LOGSUMEXP)
            kir_store(builder, line->strip, strip_index, element, plan->lanes);
        if (line->output->kind == SCORE_MAX)
            kir_assign(builder, line->value, lower_maximum(builder, line->value, element));
        else
            kir_into(builder, line->value, largest ? KIR_max : KIR_add, line->value, element, -1);
    }
}

/* A sum of e^(score - shift) over the strip: `count` vectors. */
static kir_reg sum_exponentials(lower_kernel *kernel, const score_plan *plan, const line_reduction *line, kir_reg shift,
                                kir_index end, int64_t step) {
    kir_builder outer = kernel->builder, body;
    kir_type vector = kir_vector_type(KIR_F32, plan->lanes);
    kir_reg sum = kir_register(&outer, vector);
    kir_assign(&outer, sum, kir_number(&outer, vector, 0));
    kir_reg place = kir_loop(&outer, kir_at(0), end, step, &body);
    kir_index at = kir_plus(kir_at(0), step == 1 ? plan->lanes : 1, place);
    kir_reg score = kir_load(&body, line->strip, at, plan->lanes, plan->lanes);
    kir_reg difference = kir_op2(&body, KIR_sub, score, shift);
    kir_reg power = math_exp_falling(&body, difference, score_bits(kernel->scores));
    kir_into(&body, sum, KIR_add, sum, power, -1);
    return sum;
}

/* Joins a line's maximum and sum with those of earlier tiles. `at`: where the line's total is; with lanes 1 a row's. */
static void join_logsumexp(lower_kernel *kernel, const score_plan *plan, const line_reduction *line, kir_index at,
                           int lanes, kir_reg largest, kir_index end, int64_t step, bool fresh) {
    kir_builder *builder = &kernel->builder;
    kir_type type = kir_vector_type(KIR_F32, lanes);
    kir_reg before = fresh ? kir_number(builder, type, -INFINITY) : kir_load(builder, line->total, at, lanes, lanes);
    if (!fresh)
        largest = kir_op2(builder, KIR_max, before, largest);
    kir_reg shift = kir_op2(builder, KIR_max, largest, kir_number(builder, type, -3e38));
    kir_reg wide = lanes == plan->lanes ? shift : kir_splat(builder, shift, plan->lanes);
    kir_reg sum = sum_exponentials(kernel, plan, line, wide, end, step);
    builder = &kernel->builder;
    if (lanes < plan->lanes)
        sum = kir_op1(builder, KIR_sum_lanes, sum);
    if (!fresh) {
        kir_reg kept = math_exp(builder, kir_op2(builder, KIR_sub, before, shift));
        kir_reg earlier = kir_load(builder, line->exponentials, at, lanes, lanes);
        sum = kir_op3(builder, KIR_fma, earlier, kept, sum);
    }
    kir_store(builder, line->exponentials, at, sum, lanes);
    kir_store(builder, line->total, at, shift, lanes);
}

/* Where the totals of the tile's first column are. */
kir_index score_column_total(const score_place *place) {
    return kir_plus_index(place->column, 1, place->column_totals);
}

/* Adds the lines' results to the totals: those of one row (lanes 1) or of a vector of columns. */
static void finish_lines(lower_kernel *kernel, const score_plan *plan, const sweep *work, kir_index at, kir_index end,
                         bool fresh) {
    for (int i = 0; i < work->line_count; i++) {
        const line_reduction *line = &work->lines[i];
        kir_builder *builder = &kernel->builder;
        int lanes = work->by_row ? 1 : plan->lanes;
        kir_reg value = line->value;
        if (work->by_row && plan->lanes > 1)
            value = line->output->kind == SCORE_SUM   ? kir_op1(builder, KIR_sum_lanes, value)
                    : line->output->kind == SCORE_MAX ? lower_largest_lane(builder, value)
                                                      : kir_op1(builder, KIR_max_lanes, value);
        if (line->output->kind == SCORE_LOGSUMEXP) {
            join_logsumexp(kernel, plan, line, at, lanes, value, end, work->by_row ? plan->lanes : 1, fresh);
            continue;
        }
        if (!fresh) {
            kir_reg before = kir_load(builder, line->total, at, lanes, lanes);
            value = score_combined(builder, line->output, before, value);
        }
        kir_store(builder, line->total, at, value, lanes);
    }
}

static void bind_lines(lower_kernel *kernel, const score_plan *plan, sweep *work, bool fresh) {
    for (int i = 0; i < work->line_count; i++) {
        line_reduction *line = &work->lines[i];
        assert(line->output);
        line->total = lower_argument(kernel, line->output->total, true);
        if (!fresh)
            lower_argument(kernel, line->output->total, false);
        if (line->output->kind != SCORE_LOGSUMEXP)
            continue;
        line->exponentials = lower_argument(kernel, line->output->exponentials, true);
        if (!fresh)
            lower_argument(kernel, line->output->exponentials, false);
        int64_t longest = work->by_row ? plan->tile_columns : plan->tile_rows * plan->lanes;
        line->strip = lower_scratch(kernel, "strip", longest);
    }
}

/* Writes the weights at one vector of the tile over the products. */
static void store_weights(lower_kernel *kernel, const score_plan *plan, const score_place *place, const int *targets,
                          kir_index row, kir_index column) {
    lower_coordinate at[2];
    kir_reg weights[SCORE_MAX_RESULTS];
    score_coordinates(plan, place, row, column, false, at);
    for (int i = 0; i < plan->weight_count; i++)
        weights[i] = lower_element_at(kernel, plan->weights[i], at, plan->lanes, plan->lanes);
    kir_index index = kir_plus_index(kir_plus_index(kir_at(0), plan->tile_stride, row), 1, column);
    for (int i = 0; i < plan->weight_count; i++)
        kir_store(&kernel->builder, targets[i], index, weights[i], plan->lanes);
}

static void fill_columns(const kir_builder *builder, const score_plan *plan, const score_place *place, int scratch,
                         double number) {
    kir_builder body;
    kir_reg column = kir_loop(builder, kir_at(0), place->column_end, plan->lanes, &body);
    kir_reg value = kir_number(&body, kir_vector_type(KIR_F32, plan->lanes), number);
    kir_store(&body, scratch, kir_plus(kir_at(0), 1, column), value, plan->lanes);
}

/* Columns beside rows: what the tile's columns have so far is in memory, as each row adds to all of them. */
static void begin_beside(lower_kernel *kernel, const score_plan *plan, const score_place *place, sweep *columns) {
    bind_lines(kernel, plan, columns, place->fresh_columns);
    for (int i = 0; i < columns->line_count; i++) {
        line_reduction *line = &columns->lines[i];
        line->strip = lower_scratch(kernel, "columns", plan->tile_columns);
        fill_columns(&kernel->builder, plan, place, line->strip, neutral_of(line->output));
    }
}

static void sweep_beside(lower_kernel *kernel, const score_plan *plan, const sweep *columns,
                         const lower_coordinate at[2], kir_index column) {
    for (int i = 0; i < columns->line_count; i++) {
        const line_reduction *line = &columns->lines[i];
        kir_reg element = lower_element_at(kernel, line->output->scores, at, plan->lanes, plan->lanes);
        kir_builder *builder = &kernel->builder;
        kir_reg before = kir_load(builder, line->strip, column, plan->lanes, plan->lanes);
        kir_store(builder, line->strip, column, score_combined(builder, line->output, before, element), plan->lanes);
    }
}

static void finish_beside(lower_kernel *kernel, const score_plan *plan, const score_place *place, sweep *columns) {
    if (columns->line_count == 0)
        return;
    kir_builder outer = kernel->builder, body;
    kir_index column = kir_plus(kir_at(0), 1, kir_loop(&outer, kir_at(0), place->column_end, plan->lanes, &body));
    for (int i = 0; i < columns->line_count; i++)
        columns->lines[i].value = kir_load(&body, columns->lines[i].strip, column, plan->lanes, plan->lanes);
    kernel->builder = body;
    finish_lines(kernel, plan, columns, kir_plus_index(score_column_total(place), 1, column), place->row_end,
                 place->fresh_columns);
    kernel->builder = outer;
}

/* `weights`: scratch tiles to write, or NULL when this sweep only reduces. */
static void sweep_by_rows(lower_kernel *kernel, const score_plan *plan, const score_place *place, bool turned,
                          const int *weights) {
    sweep work = plan_sweep(plan, true, turned), columns = {0};
    if (work.line_count == 0 && !weights)
        return;
    if (!turned)
        columns = only_beside(plan_sweep(plan, false, false), true);
    bind_lines(kernel, plan, &work, place->fresh_rows);
    begin_beside(kernel, plan, place, &columns);
    kir_builder outer = kernel->builder, over_rows, over_columns;
    kir_index row = kir_plus(kir_at(0), 1, kir_loop(&outer, kir_at(0), place->row_end, 1, &over_rows));
    kernel->builder = over_rows;
    begin_lines(kernel, &work, plan);
    over_rows = kernel->builder;
    kir_index column =
        kir_plus(kir_at(0), 1, kir_loop(&over_rows, kir_at(0), place->column_end, plan->lanes, &over_columns));
    kernel->builder = over_columns;
    score_forget(kernel);
    sweep_vector(kernel, plan, place, &work, row, column, column);
    lower_coordinate at[2];
    score_coordinates(plan, place, row, column, false, at);
    sweep_beside(kernel, plan, &columns, at, column);
    if (weights)
        store_weights(kernel, plan, place, weights, row, column);
    kernel->builder = over_rows;
    finish_lines(kernel, plan, &work, kir_plus_index(place->row, 1, row), place->column_end, place->fresh_rows);
    kernel->builder = outer;
    finish_beside(kernel, plan, place, &columns);
}

/* `beside`: sums and maxima are left to the sweep by rows. */
static void sweep_by_columns(lower_kernel *kernel, const score_plan *plan, const score_place *place, bool turned,
                             bool beside) {
    sweep work = plan_sweep(plan, false, turned);
    if (beside)
        work = only_beside(work, false);
    if (work.line_count == 0)
        return;
    bind_lines(kernel, plan, &work, place->fresh_columns);
    kir_builder outer = kernel->builder, over_rows, over_columns;
    kir_index column =
        kir_plus(kir_at(0), 1, kir_loop(&outer, kir_at(0), place->column_end, plan->lanes, &over_columns));
    kernel->builder = over_columns;
    begin_lines(kernel, &work, plan);
    over_columns = kernel->builder;
    kir_index row = kir_plus(kir_at(0), 1, kir_loop(&over_columns, kir_at(0), place->row_end, 1, &over_rows));
    kernel->builder = over_rows;
    score_forget(kernel);
    sweep_vector(kernel, plan, place, &work, row, column, kir_plus_index(kir_at(0), plan->lanes, row));
    kernel->builder = over_columns;
    finish_lines(kernel, plan, &work, kir_plus_index(score_column_total(place), 1, column), place->row_end,
                 place->fresh_columns);
    kernel->builder = outer;
}

/* ---- rows and columns at once ---------------------------------------------------------------------------------------
 *
 * Log-sum-exp of rows and of columns of the same scores: of each, e^(score - M) is computed once, with M the tile's
 * largest. That holds enough digits where every row and column has a score above M - NEAR; where one has not, rows and
 * columns are swept one after the other.
 */

enum { NEAR = 55 }; /* e^-87 is the least that there is, and e^NEAR far from the largest */

typedef struct {
    line_reduction row, column;
    bool turned;                                            /* columns are those of the mirrored tile */
    int row_largest, row_sums, column_largest, column_sums; /* scratch */
    kir_reg largest;                                        /* of the tile, a scalar */
} both_ways;

/* Whether all that the tile gives are two log-sum-exps of the same scores. */
static bool goes_both_ways(const score_plan *plan, const score_place *place, both_ways *work) {
    if (plan->weight_count || plan->columns % plan->lanes != 0)
        return false;
    sweep rows = plan_sweep(plan, true, false), columns = plan_sweep(plan, false, place->mirrored);
    int others =
        place->mirrored ? plan_sweep(plan, false, false).line_count + plan_sweep(plan, true, true).line_count : 0;
    if (rows.line_count != 1 || columns.line_count != 1 || others > 0)
        return false;
    *work = (both_ways){.row = rows.lines[0], .column = columns.lines[0], .turned = place->mirrored};
    const ir_value *scores = work->row.output->scores;
    return work->row.output->kind == SCORE_LOGSUMEXP && work->column.output->kind == SCORE_LOGSUMEXP &&
           scores == work->column.output->scores && (!place->mirrored || score_reads_alike(scores));
}

static void bind_both_ways(lower_kernel *kernel, const score_plan *plan, const score_place *place, both_ways *work) {
    sweep rows = {.by_row = true, .line_count = 1, .lines = {work->row}}, columns = {.line_count = 1};
    columns.lines[0] = work->column;
    bind_lines(kernel, plan, &rows, place->fresh_rows);
    bind_lines(kernel, plan, &columns, place->fresh_columns);
    work->row = rows.lines[0];
    work->column = columns.lines[0];
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

static kir_reg largest_lane(const kir_builder *builder, kir_reg vector, int lanes) {
    return lanes > 1 ? kir_op1(builder, KIR_max_lanes, vector) : vector;
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
    fill_columns(&outer, plan, place, work->column_largest, -INFINITY);
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
    kir_reg of_row = largest_lane(&over_rows, largest, plan->lanes);
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
    kir_reg whole = largest_lane(builder, largest, lanes);
    kir_reg lowest =
        kir_op2(builder, KIR_min, least, kir_op1(builder, KIR_neg, largest_lane(builder, opposite, lanes)));
    work->largest = whole;
    kir_reg limit = kir_op2(builder, KIR_sub, whole, kir_number(builder, kir_scalar_type(KIR_F32), NEAR));
    return kir_op2(builder, KIR_less, limit, lowest);
}

/* The sums of e^(score - M) of all rows and columns. */
static void sum_both_ways(const lower_kernel *kernel, const kir_builder *builder, const score_plan *plan,
                          const score_place *place, const both_ways *work) {
    int lanes = plan->lanes;
    kir_builder over_rows, body;
    fill_columns(builder, plan, place, work->column_sums, 0);
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
static void join_sums(const kir_builder *builder, const both_ways *work, const line_reduction *line, int lanes,
                      kir_index first, kir_index end, int largest, int sums, bool fresh) {
    kir_builder body;
    kir_reg tile_largest = kir_splat(builder, work->largest, lanes);
    kir_index place = kir_plus(kir_at(0), 1, kir_loop(builder, kir_at(0), end, lanes, &body));
    kir_index at = kir_plus_index(first, 1, place);
    kir_reg shift = kir_load(&body, largest, place, lanes, lanes);
    kir_reg sum = kir_load(&body, sums, place, lanes, lanes), before = -1;
    if (!fresh) {
        before = kir_load(&body, line->total, at, lanes, lanes);
        shift = kir_op2(&body, KIR_max, before, shift);
    }
    sum = kir_op2(&body, KIR_mul, sum, math_exp(&body, kir_op2(&body, KIR_sub, tile_largest, shift)));
    if (!fresh) {
        kir_reg kept = math_exp(&body, kir_op2(&body, KIR_sub, before, shift));
        sum = kir_op3(&body, KIR_fma, kir_load(&body, line->exponentials, at, lanes, lanes), kept, sum);
    }
    kir_store(&body, line->exponentials, at, sum, lanes);
    kir_store(&body, line->total, at, shift, lanes);
}

static void sweep_both_ways(lower_kernel *kernel, const score_plan *plan, const score_place *place, both_ways *work,
                            score_reader *reader) {
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
    /* Rows of a tile need not be whole vectors, and the next ones are another tile's. */
    int row_lanes = (int)kir_common_divisor(plan->tile_rows, plan->lanes);
    join_sums(&yes, work, &work->row, row_lanes, place->row, place->row_end, work->row_largest, work->row_sums,
              place->fresh_rows);
    join_sums(&yes, work, &work->column, plan->lanes, score_column_total(place), place->column_end,
              work->column_largest, work->column_sums, place->fresh_columns);
    reader->settled = work->row.output->scores;
    kernel->builder = no;
    sweep_by_columns(kernel, plan, place, work->turned, false);
    sweep_by_rows(kernel, plan, place, false, NULL);
    reader->settled = NULL;
    reader->tiles[0] = products.argument;
    reader->origin = products.origin;
    kernel->builder = outer;
}

/* ---- the tile ------------------------------------------------------------------------------------------------------
 */

static int kept_tiles(lower_kernel *kernel, const score_plan *plan) {
    if (!plan->reuses)
        lower_argument(kernel, plan->kept, true);
    return lower_argument(kernel, plan->kept, false);
}

/* `index`, which counts in tiles of `size`, by `factor` a tile. */
static kir_index by_tile(kir_index index, int64_t size, int64_t factor) {
    index.base = index.base / size * factor;
    for (int i = 0; i < index.term_count; i++)
        index.terms[i].coefficient = index.terms[i].coefficient / size * factor;
    return index;
}

static kir_index kept_origin(const score_plan *plan, const score_place *place) {
    int64_t elements = plan->tile_rows * plan->tile_stride;
    int64_t columns = (plan->columns + plan->tile_columns - 1) / plan->tile_columns;
    kir_index row = by_tile(place->row, plan->tile_rows, columns * elements);
    return kir_plus_index(row, 1, by_tile(place->column, plan->tile_columns, elements));
}

static bool reduces_rows(const score_plan *plan) {
    return plan_sweep(plan, true, false).line_count > 0;
}

/* ---- strips ---------------------------------------------------------------------------------------------------------
 *
 * On matrix units a tile that has nothing but products of weights goes through its rows SCORE_STRIP at a time: scores
 * and weights of a strip stay in the first cache, where those of a tile fill half of the second.
 */

static bool goes_in_strips(const score_plan *plan, const score_place *place) {
    if (!score_on_units(plan) || plan->weight_count == 0)
        return false;
    int lines = 0;
    for (int turned = 0; turned <= place->mirrored; turned++)
        lines += plan_sweep(plan, true, turned).line_count + plan_sweep(plan, false, turned).line_count;
    return lines == 0;
}

/* How many of the strip's rows exist. */
static kir_index strip_end(const kir_builder *builder, const score_plan *plan, const score_place *place,
                           kir_reg strip) {
    if (plan->rows % SCORE_STRIP == 0)
        return kir_at(SCORE_STRIP);
    kir_reg left = kir_value(builder, kir_plus(place->row_end, -1, strip));
    return kir_plus(kir_at(0), 1, kir_op2(builder, KIR_min, left, kir_value(builder, kir_at(SCORE_STRIP))));
}

static void emit_strips(lower_kernel *kernel, const score_plan *plan, const score_place *place, score_reader *reader) {
    score_unit_weights pairs[SCORE_MAX_RESULTS];
    kir_builder outer = kernel->builder, body;
    kir_reg strip = kir_loop(&outer, kir_at(0), place->row_end, SCORE_STRIP, &body);
    score_place part = *place;
    part.in_strip = true;
    part.strip = kir_plus(kir_at(0), 1, strip);
    part.row = kir_plus(place->row, 1, strip);
    part.row_end = strip_end(&body, plan, place, strip);
    kernel->builder = body;
    reader->place = &part;
    if (plan->kept >= 0)
        reader->origin = kir_plus(reader->origin, plan->tile_stride, strip);
    for (int i = 0; i < plan->product_count && !plan->reuses; i++)
        emit_product(kernel, plan, &part, i);
    score_weights_pack(kernel, plan, &part, NULL, pairs);
    score_weights_multiply(kernel, plan, &part, NULL, pairs, SCORE_BY_ROW);
    kernel->builder = outer;
    reader->place = place;
    score_weights_multiply(kernel, plan, place, NULL, pairs, SCORE_BY_COLUMN);
}

/* Products and sweeps. On matrix units weights go into pairs, at once where no sweep by rows computes them anyway. */
static void emit_scores(lower_kernel *kernel, const score_plan *plan, const score_place *place, const int *weights,
                        score_reader *reader) {
    bool units = score_on_units(plan) && plan->weight_count, at_once = units && !reduces_rows(plan);
    score_unit_weights pairs[SCORE_MAX_RESULTS];
    if (goes_in_strips(plan, place)) {
        emit_strips(kernel, plan, place, reader);
        return;
    }
    for (int i = 0; i < plan->product_count && !plan->reuses; i++)
        emit_product(kernel, plan, place, i);
    both_ways both;
    if (goes_both_ways(plan, place, &both)) {
        sweep_both_ways(kernel, plan, place, &both, reader);
        return;
    }
    bool by_rows = !at_once && (reduces_rows(plan) || plan->weight_count);
    sweep_by_columns(kernel, plan, place, false, by_rows);
    if (place->mirrored) {
        sweep_by_columns(kernel, plan, place, true, false);
        sweep_by_rows(kernel, plan, place, true, NULL);
    }
    if (by_rows)
        sweep_by_rows(kernel, plan, place, false, plan->weight_count ? weights : NULL);
    if (units)
        score_weights_pack(kernel, plan, place, at_once ? NULL : weights, pairs);
    score_weights_multiply(kernel, plan, place, weights, pairs, SCORE_BY_ROW | SCORE_BY_COLUMN);
}

void score_tile_emit(lower_kernel *kernel, const score_plan *plan, const score_place *place) {
    score_reader reader = {.plan = plan, .place = place};
    size_t ids = (size_t)plan->context->source->next_id;
    reader.known = arena_alloc(plan->context->memory, 2 * ids * sizeof *reader.known);
    int64_t elements = (goes_in_strips(plan, place) ? SCORE_STRIP : plan->tile_rows) * plan->tile_stride;
    int weights[SCORE_MAX_RESULTS] = {0};
    bool kept = plan->kept >= 0, stored = !score_on_units(plan) || reduces_rows(plan);
    for (int i = 0; i < plan->product_count; i++)
        reader.tiles[i] = kept ? kept_tiles(kernel, plan) : lower_scratch(kernel, "scores", elements);
    reader.origin = kept ? kept_origin(plan, place) : kir_at(0);
    /* Weights take the place of the products, which nothing reads after them. */
    for (int i = 0; i < plan->weight_count && stored; i++)
        weights[i] = i < plan->product_count && !kept ? reader.tiles[i] : lower_scratch(kernel, "weights", elements);
    kernel->scores = &reader;
    emit_scores(kernel, plan, place, weights, &reader);
    kernel->scores = NULL;
}
