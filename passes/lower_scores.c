/* Groups of scores (fuse-contrastive): tiles of the matrix [rows, columns] that are computed, used and forgotten.
 *
 * A kernel's iteration is a tile, or a row or column of tiles where only rows or only columns have results. Tiles of
 * one round share no rows and no columns, so that they add to the results without meeting; rounds follow each other.
 * The order in which a result is added up is thus the same at any number of threads. */
#include "passes/score_tile.h"

#include "passes/kernel_math.h"
#include "passes/register_tile.h"

#include <assert.h>
#include <math.h>

enum { TILE_BYTES = 3 << 20, LARGEST_TILE = 256, FEWEST_BLOCKS = 4 };

/* ---- what the group holds -----------------------------------------------------------------------------------------
 */

bool lower_is_of_scores(const lower_context *context, const ir_value *value) {
    if (!value->group)
        return false;
    for (const ir_value *other = context->source->first; other; other = other->next)
        if (other->group == value->group && other->opcode == IR_OP_dot)
            return true;
    return false;
}

static void add_product(score_plan *plan, const ir_value *value) {
    assert(plan->product_count < SCORE_MAX_PRODUCTS);
    plan->products[plan->product_count++] = (score_product){.value = value, .length = value->operands[0]->type.dims[1]};
    plan->rows = value->type.dims[0];
    plan->columns = value->type.dims[1];
}

static int weights_number(score_plan *plan, const ir_value *scores) {
    for (int i = 0; i < plan->weight_count; i++)
        if (plan->weights[i] == scores)
            return i;
    plan->weights[plan->weight_count] = scores;
    return plan->weight_count++;
}

static void add_output(score_plan *plan, const ir_value *value) {
    assert(plan->output_count < SCORE_MAX_RESULTS);
    score_output *output = &plan->outputs[plan->output_count++];
    *output = (score_output){.value = value, .scores = value->operands[0]};
    switch (value->opcode) {
    case IR_OP_reduce_sum: output->kind = SCORE_SUM; break;
    case IR_OP_reduce_max: output->kind = SCORE_MAX; break;
    case IR_OP_reduce_logsumexp: output->kind = SCORE_LOGSUMEXP; break;
    default: output->kind = SCORE_MULTIPLY; break;
    }
    if (output->kind != SCORE_MULTIPLY) {
        output->by_row = ir_ints(value, IR_ATTR_axes)[0] == 1;
        return;
    }
    output->by_row = ir_ints(value, IR_ATTR_lhs_contract)[0] == 1;
    output->length = value->operands[1]->type.dims[1];
    output->weights = weights_number(plan, output->scores);
}

/* ---- symmetry ------------------------------------------------------------------------------------------------------
 */

static bool is_commutative(ir_opcode opcode) {
    return opcode == IR_OP_add || opcode == IR_OP_mul || opcode == IR_OP_max || opcode == IR_OP_min ||
           opcode == IR_OP_equal || opcode == IR_OP_and || opcode == IR_OP_or;
}

/* Whether x[i, j] = y[j, i] by the way they are computed. */
static bool are_transposed(const ir_value *x, const ir_value *y, int depth) {
    if (depth > 24)
        return false;
    if (x->opcode == IR_OP_transpose && x->operands[0] == y)
        return true;
    if (y->opcode == IR_OP_transpose && y->operands[0] == x)
        return true;
    if (x->opcode != y->opcode || x->group != y->group)
        return false;
    switch (x->opcode) {
    case IR_OP_dot: return x->operands[0] == y->operands[1] && x->operands[1] == y->operands[0];
    case IR_OP_constant: return ir_number(x, IR_ATTR_value) == ir_number(y, IR_ATTR_value);
    case IR_OP_iota: return ir_int(x, IR_ATTR_axis) != ir_int(y, IR_ATTR_axis);
    case IR_OP_transpose: return are_transposed(x->operands[0], y->operands[0], depth + 1);
    case IR_OP_broadcast:
        return x->operands[0] == y->operands[0] &&
               (x->operands[0]->type.rank == 0 || ir_ints(x, IR_ATTR_axes)[0] != ir_ints(y, IR_ATTR_axes)[0]);
    default: break;
    }
    bool straight = true;
    for (int i = 0; i < x->operand_count && straight; i++)
        straight = are_transposed(x->operands[i], y->operands[i], depth + 1);
    return straight || (is_commutative(x->opcode) && are_transposed(x->operands[0], y->operands[1], depth + 1) &&
                        are_transposed(x->operands[1], y->operands[0], depth + 1));
}

static bool is_symmetric(const score_plan *plan) {
    for (int i = 0; i < plan->product_count; i++)
        if (plan->products[i].value->operands[0] != plan->products[i].value->operands[1])
            return false;
    for (int i = 0; i < plan->weight_count; i++)
        if (!are_transposed(plan->weights[i], plan->weights[i], 0))
            return false;
    return true;
}

/* ---- tiles ---------------------------------------------------------------------------------------------------------
 */

static int64_t rounded_up(int64_t count, int64_t unit) {
    return (count + unit - 1) / unit * unit;
}

static int64_t common_multiple(int64_t a, int64_t b) {
    int64_t multiple = a;
    while (multiple % b != 0)
        multiple += a;
    return multiple;
}

/* Bytes that one tile works on: scores, vectors of both sides, results. */
static int64_t tile_bytes(const score_plan *plan, int64_t size) {
    int64_t tiles = plan->product_count > plan->weight_count ? plan->product_count : plan->weight_count;
    int64_t numbers = tiles * size * size;
    for (int i = 0; i < plan->product_count; i++)
        numbers += 2 * size * plan->products[i].length;
    for (int i = 0; i < plan->output_count; i++)
        numbers += 2 * size * plan->outputs[i].length;
    return 4 * numbers;
}

static int64_t tile_size(const score_plan *plan, int64_t unit, int64_t count) {
    int64_t size = unit;
    while (size + unit <= LARGEST_TILE && tile_bytes(plan, size + unit) <= TILE_BYTES &&
           (size + unit) * FEWEST_BLOCKS <= rounded_up(count, unit))
        size += unit;
    return size;
}

static void choose_tiles(score_plan *plan) {
    const kir_target *cpu = &plan->context->pass->target;
    plan->lanes = cpu->lanes;
    plan->panel_columns = 2 * cpu->lanes;
    plan->panel_rows = cpu->vector_registers >= 32 ? 8 : 6;
    int64_t unit = common_multiple(plan->panel_rows, plan->panel_columns);
    plan->tile_rows = tile_size(plan, unit, plan->rows);
    plan->tile_columns = plan->symmetric ? plan->tile_rows : tile_size(plan, unit, plan->columns);
    plan->tile_stride = plan->tile_columns + plan->lanes;
}

static int64_t row_blocks(const score_plan *plan) {
    return (plan->rows + plan->tile_rows - 1) / plan->tile_rows;
}

static int64_t column_blocks(const score_plan *plan) {
    return (plan->columns + plan->tile_columns - 1) / plan->tile_columns;
}

/* ---- operands ------------------------------------------------------------------------------------------------------
 */

/* The value's elements with room for `elements`. */
static int with_room(lower_context *context, const ir_value *value, int64_t elements) {
    int buffer = lower_buffer_in_layout(context, value, ir_layout_identity());
    if (elements <= ir_type_elements(&value->type))
        return buffer;
    ir_layout identity = ir_layout_identity();
    int copy = lower_temporary(context, "padded", lower_element(value->type.dtype), elements, value->span);
    lower_copy(context, &value->type, buffer, &identity, copy, &identity, value->span);
    return copy;
}

/* Vectors of one panel: element k of each beside each other, zeros where there are no more. */
static void emit_pack(lower_kernel *kernel, int from, int to, kir_index panel, int64_t length, int columns, int lanes,
                      int count) {
    kir_builder *builder = &kernel->builder, body;
    kir_reg k = kir_loop(builder, kir_at(0), kir_at(length), 1, &body);
    for (int first = 0; first < columns; first += lanes) {
        int present = count - first < lanes ? count - first : lanes;
        kir_index source = kir_plus(kir_plus_index(kir_at(first * length), columns * length, panel), 1, k);
        kir_index target = kir_plus(kir_plus_index(kir_at(first), columns * length, panel), columns, k);
        kir_reg vector = present > 0 ? kir_load_strided(&body, from, source, lanes, present, length)
                                     : kir_number(&body, kir_vector_type(KIR_F32, lanes), 0);
        if (present == 1 && lanes == 1)
            vector = kir_load(&body, from, source, 1, 1);
        kir_store(&body, to, target, vector, lanes);
    }
}

static void launch_pack(const score_plan *plan, const ir_value *value, int from, int to, int64_t first, int64_t panels,
                        int count) {
    if (panels == 0)
        return;
    lower_kernel kernel = lower_kernel_begin(plan->context, "pack_vectors", value);
    kir_index panel = kir_plus(kir_at(first), 1, 0);
    int source = lower_argument(&kernel, from, false), target = lower_argument(&kernel, to, true);
    emit_pack(&kernel, source, target, panel, value->type.dims[1], plan->panel_columns, plan->lanes, count);
    lower_kernel_launch(&kernel, panels);
}

static int packed_vectors(const score_plan *plan, const ir_value *value) {
    int64_t count = value->type.dims[0], length = value->type.dims[1], whole = count / plan->panel_columns;
    int64_t padded = rounded_up(count, plan->panel_columns);
    int from = lower_buffer_in_layout(plan->context, value, ir_layout_identity());
    int to = lower_temporary(plan->context, "packed", KIR_F32, padded * length, value->span);
    launch_pack(plan, value, from, to, 0, whole, plan->panel_columns);
    if (whole * plan->panel_columns < count)
        launch_pack(plan, value, from, to, whole, 1, (int)(count - whole * plan->panel_columns));
    return to;
}

/* Vectors are read whole: operands of rows and columns get room for the last one. Their buffers are exchanged while the
 * group is lowered; `kept` remembers them. */
static void pad_repeated(score_plan *plan, int *kept) {
    lower_context *context = plan->context;
    for (const ir_value *value = context->source->first; value; value = value->next) {
        if (value->group != plan->group || value->opcode != IR_OP_broadcast || value->operands[0]->type.rank != 1)
            continue;
        const ir_value *operand = value->operands[0];
        if (kept[operand->id] >= 0)
            continue;
        kept[operand->id] = lower_buffer(context, operand);
        context->buffer_of[operand->id] = with_room(context, operand, rounded_up(operand->type.dims[0], plan->lanes));
    }
}

static void restore_repeated(const score_plan *plan, const int *kept) {
    for (int id = 0; id < plan->context->source->next_id; id++)
        if (kept[id] >= 0)
            plan->context->buffer_of[id] = kept[id];
}

static void prepare_operands(score_plan *plan) {
    for (int i = 0; i < plan->product_count; i++) {
        score_product *product = &plan->products[i];
        const ir_value *left = product->value->operands[0], *right = product->value->operands[1];
        product->left = with_room(plan->context, left, rounded_up(plan->rows, plan->panel_rows) * product->length);
        product->packed = packed_vectors(plan, right);
    }
    for (int i = 0; i < plan->output_count; i++) {
        score_output *output = &plan->outputs[i];
        if (output->kind == SCORE_MULTIPLY)
            output->vectors = lower_buffer_in_layout(plan->context, output->value->operands[1], ir_layout_identity());
    }
}

/* ---- totals --------------------------------------------------------------------------------------------------------
 */

/* Sets all elements of a buffer. */
static void launch_fill(const score_plan *plan, const score_output *output, int buffer, double number) {
    lower_context *context = plan->context;
    int64_t elements = context->program->buffers[buffer].bytes / 4;
    int lanes = elements % plan->lanes == 0 ? plan->lanes : 1;
    int64_t chunk = 4096 * (int64_t)lanes, whole = elements / chunk, left = elements - whole * chunk;
    for (int part = 0; part < 2; part++) {
        int64_t extent = part ? left > 0 : whole, size = part ? left : chunk;
        if (extent == 0)
            continue;
        lower_kernel kernel = lower_kernel_begin(context, "fill", output->value);
        int target = lower_argument(&kernel, buffer, true);
        kir_reg value = kir_number(&kernel.builder, kir_vector_type(KIR_F32, lanes), number);
        kir_builder body;
        kir_reg at = kir_loop(&kernel.builder, kir_at(0), kir_at(size), lanes, &body);
        kir_index first = kir_plus(kir_plus(kir_at(part ? whole * chunk : 0), chunk, 0), 1, at);
        kir_store(&body, target, first, value, lanes);
        lower_kernel_launch(&kernel, extent);
    }
}

static void prepare_totals(score_plan *plan) {
    lower_context *context = plan->context;
    for (int i = 0; i < plan->output_count; i++) {
        score_output *output = &plan->outputs[i];
        const ir_value *value = output->value;
        int64_t blocks = output->by_row ? row_blocks(plan) * plan->tile_rows : column_blocks(plan) * plan->tile_columns;
        if (output->kind == SCORE_MULTIPLY) {
            int64_t count = output->by_row ? plan->rows : plan->columns;
            output->total = rounded_up(count, plan->panel_rows) == count
                                ? lower_result_buffer_in_layout(context, value, ir_layout_identity())
                                : lower_temporary(context, "products", KIR_F32,
                                                  rounded_up(count, plan->panel_rows) * output->length, value->span);
        } else {
            output->total = lower_temporary(context, "totals", KIR_F32, blocks, value->span);
        }
        bool largest = output->kind == SCORE_MAX || output->kind == SCORE_LOGSUMEXP;
        launch_fill(plan, output, output->total, largest ? -INFINITY : 0);
        if (output->kind == SCORE_LOGSUMEXP) {
            output->exponentials = lower_temporary(context, "exponentials", KIR_F32, blocks, value->span);
            launch_fill(plan, output, output->exponentials, 0);
        }
    }
}

/* largest + log(sum of exponentials) */
static void finish_logsumexp(const score_plan *plan, const score_output *output) {
    lower_context *context = plan->context;
    int64_t count = output->value->type.dims[0], lanes = plan->lanes;
    int result = lower_result_buffer(context, output->value);
    int64_t whole = count / lanes;
    for (int part = 0; part < 2; part++) {
        int64_t extent = part ? count - whole * lanes : whole;
        int width = part ? 1 : (int)lanes;
        if (extent == 0)
            continue;
        lower_kernel kernel = lower_kernel_begin(context, "finish_logsumexp", output->value);
        kir_builder *builder = &kernel.builder;
        int largest = lower_argument(&kernel, output->total, false),
            sums = lower_argument(&kernel, output->exponentials, false);
        int target = lower_argument(&kernel, result, true);
        kir_index at = kir_plus(kir_at(part ? whole * lanes : 0), width, 0);
        kir_reg sum = math_log(builder, kir_load(builder, sums, at, width, width));
        kir_reg value = kir_op2(builder, KIR_add, kir_load(builder, largest, at, width, width), sum);
        kir_store(builder, target, at, value, width);
        lower_kernel_launch(&kernel, extent);
    }
}

static void finish_totals(const score_plan *plan) {
    lower_context *context = plan->context;
    ir_layout identity = ir_layout_identity();
    for (int i = 0; i < plan->output_count; i++) {
        const score_output *output = &plan->outputs[i];
        const ir_value *value = output->value;
        if (output->kind == SCORE_LOGSUMEXP)
            finish_logsumexp(plan, output);
        else if (lower_result_buffer(context, value) != output->total)
            lower_copy(context, &value->type, output->total, &identity, lower_result_buffer(context, value),
                       &value->layout, value->span);
    }
}

/* ---- launches ------------------------------------------------------------------------------------------------------
 */

/* How many rows (columns) the block has: all of a tile's, but for the last block. */
static kir_index block_end(const kir_builder *builder, kir_reg block, int64_t blocks, int64_t size, int64_t count) {
    int64_t last = count - (blocks - 1) * size;
    if (last == size)
        return kir_at(size);
    if (blocks == 1)
        return kir_at(last);
    kir_reg is_last = kir_op2(builder, KIR_equal, block, kir_value(builder, kir_at(blocks - 1)));
    kir_reg end =
        kir_op3(builder, KIR_select, is_last, kir_value(builder, kir_at(last)), kir_value(builder, kir_at(size)));
    return kir_plus(kir_at(0), 1, end);
}

static void emit_tile(lower_kernel *kernel, const score_plan *plan, kir_reg row_block, kir_reg column_block,
                      bool mirrored) {
    score_place place = {.mirrored = mirrored};
    place.row = kir_plus(kir_at(0), plan->tile_rows, row_block);
    place.column = kir_plus(kir_at(0), plan->tile_columns, column_block);
    place.row_end = block_end(&kernel->builder, row_block, row_blocks(plan), plan->tile_rows, plan->rows);
    place.column_end =
        block_end(&kernel->builder, column_block, column_blocks(plan), plan->tile_columns, plan->columns);
    score_tile_emit(kernel, plan, &place);
}

static double tile_flops(const score_plan *plan) {
    double lengths = 0, scores = (double)plan->tile_rows * (double)plan->tile_columns;
    for (int i = 0; i < plan->product_count; i++)
        lengths += (double)plan->products[i].length;
    for (int i = 0; i < plan->output_count; i++)
        lengths += (double)plan->outputs[i].length;
    return 2 * scores * lengths;
}

static lower_kernel begin_scores(const score_plan *plan, const char *kind) {
    const ir_value *product = plan->products[0].value;
    const char *name = arena_printf(plan->context->memory, "scores%s_%lldx%lldx%lld", kind, (long long)plan->rows,
                                    (long long)plan->columns, (long long)plan->products[0].length);
    lower_kernel kernel = lower_kernel_begin(plan->context, name, product);
    kernel.root = plan->outputs[0].value;
    kernel.kernel->flops = tile_flops(plan);
    return kernel;
}

/* A whole row (column) of tiles an iteration: nothing else adds to its results. */
static void launch_lines(const score_plan *plan, bool by_row) {
    lower_kernel kernel = begin_scores(plan, "");
    kir_builder outer = kernel.builder, body;
    int64_t inner = by_row ? column_blocks(plan) : row_blocks(plan);
    kir_reg other = kir_loop(&outer, kir_at(0), kir_at(inner), 1, &body);
    kernel.builder = body;
    emit_tile(&kernel, plan, by_row ? 0 : other, by_row ? other : 0, false);
    kernel.builder = outer;
    kernel.kernel->flops *= (double)inner;
    lower_kernel_launch(&kernel, by_row ? row_blocks(plan) : column_blocks(plan));
}

static kir_reg remainder_of(const kir_builder *builder, kir_index number, int64_t divisor) {
    return kir_op2(builder, KIR_rem, kir_value(builder, number), kir_value(builder, kir_at(divisor)));
}

static void split_round(const kir_builder *builder, int64_t extent, kir_reg *round, kir_reg *place) {
    kir_reg divisor = kir_value(builder, kir_at(extent));
    *round = kir_op2(builder, KIR_div, 0, divisor);
    *place = kir_op2(builder, KIR_rem, 0, divisor);
}

/* Round r: every block of the shorter side with the block r further on of the other. */
static void launch_grid(const score_plan *plan) {
    int64_t rows = row_blocks(plan), columns = column_blocks(plan);
    int64_t extent = rows < columns ? rows : columns, rounds = rows < columns ? columns : rows;
    lower_kernel kernel = begin_scores(plan, "_grid");
    kir_reg round, place;
    split_round(&kernel.builder, extent, &round, &place);
    kir_reg further = remainder_of(&kernel.builder, kir_plus(kir_plus(kir_at(0), 1, place), 1, round), rounds);
    emit_tile(&kernel, plan, rows < columns ? place : further, rows < columns ? further : place, false);
    lower_kernel_launch_rounds(&kernel, extent, rounds);
}

static void launch_diagonal(const score_plan *plan) {
    lower_kernel kernel = begin_scores(plan, "_diagonal");
    emit_tile(&kernel, plan, 0, 0, false);
    lower_kernel_launch(&kernel, row_blocks(plan));
}

/* All pairs of different blocks, as teams in a tournament: each round pairs every block (of an odd number, all but one)
 * with another. The last one stays while the others move on around a circle. */
static void launch_pairs(const score_plan *plan) {
    int64_t blocks = row_blocks(plan), circle = blocks - (blocks % 2 == 0), extent = blocks / 2, rounds = circle;
    if (blocks < 2)
        return;
    lower_kernel kernel = begin_scores(plan, "_pairs");
    kir_builder *builder = &kernel.builder;
    kir_reg round, place;
    split_round(builder, extent, &round, &place);
    int64_t shift = blocks % 2 == 0 ? 0 : 1; /* the block that an odd number leaves out is the circle's top */
    kir_reg row = remainder_of(builder, kir_plus(kir_plus(kir_at(shift), 1, place), 1, round), circle);
    kir_reg column = remainder_of(builder, kir_plus(kir_plus(kir_at(circle - shift), -1, place), 1, round), circle);
    if (blocks % 2 == 0) {
        kir_reg first = kir_op2(builder, KIR_equal, place, kir_value(builder, kir_at(0)));
        row = kir_op3(builder, KIR_select, first, kir_value(builder, kir_at(blocks - 1)), row);
    }
    emit_tile(&kernel, plan, row, column, true);
    lower_kernel_launch_rounds(&kernel, extent, rounds);
}

static void launch_tiles(const score_plan *plan) {
    bool by_row = false, by_column = false;
    for (int i = 0; i < plan->output_count; i++) {
        by_row |= plan->outputs[i].by_row;
        by_column |= !plan->outputs[i].by_row;
    }
    if (plan->symmetric) {
        launch_diagonal(plan);
        launch_pairs(plan);
    } else if (by_row && by_column) {
        launch_grid(plan);
    } else {
        launch_lines(plan, by_row);
    }
}

bool lower_scores(lower_context *context, int group) {
    score_plan plan = {.context = context, .group = group};
    for (const ir_value *value = context->source->first; value; value = value->next) {
        if (value->group != group)
            continue;
        if (!lower_is_inlined(value))
            add_output(&plan, value);
        else if (value->opcode == IR_OP_dot)
            add_product(&plan, value);
    }
    plan.symmetric = is_symmetric(&plan);
    choose_tiles(&plan);
    int *kept = arena_alloc(context->memory, (size_t)context->source->next_id * sizeof *kept);
    for (int id = 0; id < context->source->next_id; id++)
        kept[id] = -1;
    prepare_operands(&plan);
    pad_repeated(&plan, kept);
    prepare_totals(&plan);
    launch_tiles(&plan);
    restore_repeated(&plan, kept);
    finish_totals(&plan);
    return true;
}
