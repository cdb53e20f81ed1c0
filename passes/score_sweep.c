#include "passes/score_sweep.h"

#include "passes/kernel_math.h"

#include <assert.h>
#include <math.h>

score_sweep score_sweep_of(const score_plan *plan, bool by_row, bool turned) {
    score_sweep made = {.by_row = by_row, .turned = turned};
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
static score_sweep only_beside(score_sweep columns, bool beside) {
    int count = 0;
    for (int i = 0; i < columns.line_count; i++)
        if ((columns.lines[i].output->kind != SCORE_LOGSUMEXP) == beside)
            columns.lines[count++] = columns.lines[i];
    columns.line_count = count;
    return columns;
}

static void begin_lines(lower_kernel *kernel, score_sweep *work, const score_plan *plan) {
    kir_type vector = kir_vector_type(KIR_F32, plan->lanes);
    for (int i = 0; i < work->line_count; i++) {
        score_line *line = &work->lines[i];
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

/* Adds the scores at one vector of the tile to the lines. */
static void sweep_vector(lower_kernel *kernel, const score_plan *plan, const score_place *place, score_sweep *work,
                         kir_index row, kir_index column, kir_index strip_index) {
    kir_builder *builder = &kernel->builder;
    lower_coordinate at[2];
    score_coordinates(plan, place, row, column, work->turned, at);
    for (int i = 0; i < work->line_count; i++) {
        score_line *line = &work->lines[i];
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

/* The sum of e^(score - shift) over the strip's `end` vectors, `step` elements apart, from `from` on. */
static kir_reg sum_exponentials(const lower_kernel *kernel, const kir_builder *builder, int strip, kir_reg shift,
                                kir_index from, kir_index end, int64_t step) {
    kir_type vector = kernel->kernel->registers[shift];
    kir_builder body;
    kir_reg sum = kir_register(builder, vector);
    kir_assign(builder, sum, kir_number(builder, vector, 0));
    kir_reg place = kir_loop(builder, kir_at(0), end, step, &body);
    kir_index at = kir_plus(from, step == 1 ? vector.lanes : 1, place);
    kir_reg score = kir_load(&body, strip, at, vector.lanes, vector.lanes);
    kir_reg power = math_exp_falling(&body, kir_op2(&body, KIR_sub, score, shift), score_bits(kernel->scores));
    kir_into(&body, sum, KIR_add, sum, power, -1);
    return sum;
}

/* What has been added before, `neutral` if that is nothing. */
static kir_reg load_before(const kir_builder *builder, int totals, kir_index at, int lanes, score_fresh fresh,
                           double neutral) {
    kir_reg before = kir_load(builder, totals, at, lanes, lanes);
    if (fresh.when < 0)
        return before;
    kir_reg nothing = kir_number(builder, kir_vector_type(KIR_F32, lanes), neutral);
    return kir_op3(builder, KIR_select, kir_splat(builder, fresh.when, lanes), nothing, before);
}

score_joining score_begin_joining(const kir_builder *builder, const score_line *line, kir_index at, int lanes,
                                  kir_reg largest, score_fresh fresh) {
    kir_type type = kir_vector_type(KIR_F32, lanes);
    score_joining joining = {.line = line, .at = at, .lanes = lanes, .fresh = fresh, .before = -1};
    if (!fresh.always) {
        joining.before = load_before(builder, line->total, at, lanes, fresh, -INFINITY);
        largest = kir_op2(builder, KIR_max, joining.before, largest);
    }
    joining.shift = kir_op2(builder, KIR_max, largest, kir_number(builder, type, -3e38));
    return joining;
}

void score_end_joining(const kir_builder *builder, const score_joining *joining, kir_reg sum) {
    if (!joining->fresh.always) {
        kir_reg kept = math_exp(builder, kir_op2(builder, KIR_sub, joining->before, joining->shift));
        int sums = joining->line->exponentials;
        kir_reg earlier = load_before(builder, sums, joining->at, joining->lanes, joining->fresh, 0);
        sum = kir_op3(builder, KIR_fma, earlier, kept, sum);
    }
    kir_store(builder, joining->line->exponentials, joining->at, sum, joining->lanes);
    kir_store(builder, joining->line->total, joining->at, joining->shift, joining->lanes);
}

/* Adds the results of sums and maxima to the totals: those of one row (lanes 1) or of a vector of columns. */
static void finish_line(const kir_builder *builder, const score_line *line, kir_index at, int lanes, kir_reg value,
                        score_fresh fresh) {
    if (!fresh.always) {
        kir_reg before = load_before(builder, line->total, at, lanes, fresh, neutral_of(line->output));
        value = score_combined(builder, line->output, before, value);
    }
    kir_store(builder, line->total, at, value, lanes);
}

kir_reg score_largest_lane(const kir_builder *builder, kir_reg vector, int lanes) {
    return lanes > 1 ? kir_op1(builder, KIR_max_lanes, vector) : vector;
}

/* `row`: within the block, `at`: where its totals are. */
static void finish_row(const kir_builder *builder, const score_plan *plan, const score_sweep *work, kir_reg row,
                       kir_index at, score_fresh fresh) {
    for (int i = 0; i < work->line_count; i++) {
        const score_line *line = &work->lines[i];
        kir_reg value = line->value;
        if (line->output->kind == SCORE_LOGSUMEXP) {
            kir_store(builder, line->shifts, kir_plus(kir_at(0), 1, row),
                      score_largest_lane(builder, value, plan->lanes), 1);
            continue;
        }
        if (plan->lanes > 1)
            value = line->output->kind == SCORE_SUM ? kir_op1(builder, KIR_sum_lanes, value)
                                                    : lower_largest_lane(builder, value);
        finish_line(builder, line, at, 1, value, fresh);
    }
}

static void finish_columns(lower_kernel *kernel, const score_plan *plan, const score_sweep *work, kir_index at,
                           kir_index end, score_fresh fresh) {
    const kir_builder *builder = &kernel->builder;
    for (int i = 0; i < work->line_count; i++) {
        const score_line *line = &work->lines[i];
        if (line->output->kind == SCORE_LOGSUMEXP) {
            score_joining joining = score_begin_joining(builder, line, at, plan->lanes, line->value, fresh);
            score_end_joining(builder, &joining,
                              sum_exponentials(kernel, builder, line->strip, joining.shift, kir_at(0), end, 1));
        } else {
            finish_line(builder, line, at, plan->lanes, line->value, fresh);
        }
    }
}

int score_block_rows(const score_plan *plan) {
    return (int)kir_common_divisor(plan->tile_rows, plan->lanes);
}

void score_bind_totals(lower_kernel *kernel, score_line *line, score_fresh fresh) {
    assert(line->output);
    line->total = lower_argument(kernel, line->output->total, true);
    if (!fresh.always)
        lower_argument(kernel, line->output->total, false);
    if (line->output->kind != SCORE_LOGSUMEXP)
        return;
    line->exponentials = lower_argument(kernel, line->output->exponentials, true);
    if (!fresh.always)
        lower_argument(kernel, line->output->exponentials, false);
}

static void bind_lines(lower_kernel *kernel, const score_plan *plan, score_sweep *work, score_fresh fresh) {
    for (int i = 0; i < work->line_count; i++) {
        score_line *line = &work->lines[i];
        score_bind_totals(kernel, line, fresh);
        if (line->output->kind != SCORE_LOGSUMEXP)
            continue;
        int64_t elements = work->by_row ? score_block_rows(plan) * plan->tile_columns : plan->tile_rows * plan->lanes;
        line->strip = lower_scratch(kernel, "strip", elements);
        if (work->by_row) {
            line->shifts = lower_scratch(kernel, "shifts", score_block_rows(plan));
            line->sums = lower_scratch(kernel, "sums", score_block_rows(plan));
        }
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

void score_fill_columns(const kir_builder *builder, const score_plan *plan, const score_place *place, int scratch,
                        double number) {
    kir_builder body;
    kir_reg column = kir_loop(builder, kir_at(0), place->column_end, plan->lanes, &body);
    kir_reg value = kir_number(&body, kir_vector_type(KIR_F32, plan->lanes), number);
    kir_store(&body, scratch, kir_plus(kir_at(0), 1, column), value, plan->lanes);
}

/* Columns beside rows: what the tile's columns have so far is in memory, as each row adds to all of them. */
static void begin_beside(lower_kernel *kernel, const score_plan *plan, const score_place *place, score_sweep *columns) {
    bind_lines(kernel, plan, columns, place->fresh_columns);
    for (int i = 0; i < columns->line_count; i++) {
        score_line *line = &columns->lines[i];
        line->strip = lower_scratch(kernel, "columns", plan->tile_columns);
        score_fill_columns(&kernel->builder, plan, place, line->strip, neutral_of(line->output));
    }
}

static void sweep_beside(lower_kernel *kernel, const score_plan *plan, const score_sweep *columns,
                         const lower_coordinate at[2], kir_index column) {
    for (int i = 0; i < columns->line_count; i++) {
        const score_line *line = &columns->lines[i];
        kir_reg element = lower_element_at(kernel, line->output->scores, at, plan->lanes, plan->lanes);
        kir_builder *builder = &kernel->builder;
        kir_reg before = kir_load(builder, line->strip, column, plan->lanes, plan->lanes);
        kir_store(builder, line->strip, column, score_combined(builder, line->output, before, element), plan->lanes);
    }
}

static void finish_beside(lower_kernel *kernel, const score_plan *plan, const score_place *place,
                          score_sweep *columns) {
    if (columns->line_count == 0)
        return;
    kir_builder outer = kernel->builder, body;
    kir_index column = kir_plus(kir_at(0), 1, kir_loop(&outer, kir_at(0), place->column_end, plan->lanes, &body));
    for (int i = 0; i < columns->line_count; i++)
        columns->lines[i].value = kir_load(&body, columns->lines[i].strip, column, plan->lanes, plan->lanes);
    kernel->builder = body;
    finish_columns(kernel, plan, columns, kir_plus_index(score_column_total(place), 1, column), place->row_end,
                   place->fresh_columns);
    kernel->builder = outer;
}

/* A sweep by rows: its lines, those of columns beside them, and scratch tiles of weights to write, or NULL. */
typedef struct {
    score_sweep rows, columns;
    const int *weights;
} row_sweep;

/* Of `end` rows from `first` on: their sums and maxima. */
static void settle_rows(lower_kernel *kernel, const score_plan *plan, const score_place *place, row_sweep *work,
                        kir_index first, kir_index end) {
    kir_builder outer = kernel->builder, over_rows, over_columns;
    kir_reg in_block = kir_loop(&outer, kir_at(0), end, 1, &over_rows);
    kir_index row = kir_plus(first, 1, in_block);
    kernel->builder = over_rows;
    begin_lines(kernel, &work->rows, plan);
    over_rows = kernel->builder;
    kir_index column =
        kir_plus(kir_at(0), 1, kir_loop(&over_rows, kir_at(0), place->column_end, plan->lanes, &over_columns));
    kernel->builder = over_columns;
    score_forget(kernel);
    sweep_vector(kernel, plan, place, &work->rows, row, column, kir_plus(column, plan->tile_columns, in_block));
    lower_coordinate at[2];
    score_coordinates(plan, place, row, column, false, at);
    sweep_beside(kernel, plan, &work->columns, at, column);
    if (work->weights)
        store_weights(kernel, plan, place, work->weights, row, column);
    finish_row(&over_rows, plan, &work->rows, in_block, kir_plus_index(place->row, 1, row), place->fresh_rows);
    kernel->builder = outer;
}

/* The log-sum-exps of a block of rows, whose largest scores are known. */
static void join_rows(const lower_kernel *kernel, const kir_builder *builder, const score_plan *plan,
                      const score_place *place, const score_line *line, kir_index first, kir_index end) {
    int block = score_block_rows(plan);
    kir_reg largest = kir_load(builder, line->shifts, kir_at(0), block, block);
    score_joining joining =
        score_begin_joining(builder, line, kir_plus_index(place->row, 1, first), block, largest, place->fresh_rows);
    kir_store(builder, line->shifts, kir_at(0), joining.shift, block);
    kir_builder body;
    kir_reg row = kir_loop(builder, kir_at(0), end, 1, &body);
    kir_index at = kir_plus(kir_at(0), 1, row);
    kir_reg shift = kir_splat(&body, kir_load(&body, line->shifts, at, 1, 1), plan->lanes);
    kir_reg sum = sum_exponentials(kernel, &body, line->strip, shift, kir_plus(kir_at(0), plan->tile_columns, row),
                                   place->column_end, plan->lanes);
    kir_store(&body, line->sums, at, plan->lanes > 1 ? kir_op1(&body, KIR_sum_lanes, sum) : sum, 1);
    score_end_joining(builder, &joining, kir_load(builder, line->sums, kir_at(0), block, block));
}

static kir_index block_end(const kir_builder *builder, const score_plan *plan, const score_place *place,
                           kir_index first) {
    int block = score_block_rows(plan);
    if (plan->rows % block == 0)
        return kir_at(block);
    kir_reg left = kir_value(builder, kir_plus_index(place->row_end, -1, first));
    return kir_plus(kir_at(0), 1, kir_op2(builder, KIR_min, left, kir_value(builder, kir_at(block))));
}

/* Exponentials wait for the maximum, and it for all of a row's scores: in blocks, what one row waits for others
 * compute. */
static void sweep_blocks(lower_kernel *kernel, const score_plan *plan, const score_place *place, row_sweep *work) {
    kir_builder outer = kernel->builder;
    kir_reg block = kir_loop(&outer, kir_at(0), place->row_end, score_block_rows(plan), &kernel->builder);
    kir_index first = kir_plus(kir_at(0), 1, block), end = block_end(&kernel->builder, plan, place, first);
    settle_rows(kernel, plan, place, work, first, end);
    for (int i = 0; i < work->rows.line_count; i++)
        if (work->rows.lines[i].output->kind == SCORE_LOGSUMEXP)
            join_rows(kernel, &kernel->builder, plan, place, &work->rows.lines[i], first, end);
    kernel->builder = outer;
}

static bool has_logsumexp(const score_sweep *work) {
    for (int i = 0; i < work->line_count; i++)
        if (work->lines[i].output->kind == SCORE_LOGSUMEXP)
            return true;
    return false;
}

void score_sweep_rows(lower_kernel *kernel, const score_plan *plan, const score_place *place, bool turned,
                      const int *weights) {
    row_sweep work = {.rows = score_sweep_of(plan, true, turned), .weights = weights};
    if (work.rows.line_count == 0 && !weights)
        return;
    if (!turned)
        work.columns = only_beside(score_sweep_of(plan, false, false), true);
    bind_lines(kernel, plan, &work.rows, place->fresh_rows);
    begin_beside(kernel, plan, place, &work.columns);
    if (has_logsumexp(&work.rows))
        sweep_blocks(kernel, plan, place, &work);
    else
        settle_rows(kernel, plan, place, &work, kir_at(0), place->row_end);
    finish_beside(kernel, plan, place, &work.columns);
}

void score_sweep_columns(lower_kernel *kernel, const score_plan *plan, const score_place *place, bool turned,
                         bool beside) {
    score_sweep work = score_sweep_of(plan, false, turned);
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
    finish_columns(kernel, plan, &work, kir_plus_index(score_column_total(place), 1, column), place->row_end,
                   place->fresh_columns);
    kernel->builder = outer;
}
