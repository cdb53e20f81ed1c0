/* What tiles add up: memory for it, its first values, and the results made of it. */
#include "passes/score_tile.h"

#include "passes/kernel_math.h"
#include "passes/score_units.h"

/* Results of rows (columns), those of the last tile that do not exist included. */
static int64_t padded_count(const score_plan *plan, bool by_row) {
    int64_t count = by_row ? plan->rows : plan->columns;
    int64_t tile = by_row ? plan->tile_rows : plan->tile_columns;
    return (count + tile - 1) / tile * tile;
}

static bool is_split(const score_plan *plan, const score_output *output) {
    return plan->chunks > 0 && !output->by_row;
}

/* Sets all elements of a buffer to 0. */
static void launch_fill(const score_plan *plan, const score_output *output, int buffer) {
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
        kir_reg value = kir_number(&kernel.builder, kir_vector_type(KIR_F32, lanes), 0);
        kir_builder body;
        kir_reg at = kir_loop(&kernel.builder, kir_at(0), kir_at(size), lanes, &body);
        kir_index first = kir_plus(kir_plus(kir_at(part ? whole * chunk : 0), chunk, 0), 1, at);
        kir_store(&body, target, first, value, lanes);
        lower_kernel_launch(&kernel, extent);
    }
}

/* Whether the result can be added up where it belongs, in memory with room behind it for the rows that the last tile
 * has too many. */
static bool can_have_room(const lower_context *context, const ir_value *value) {
    ir_layout identity = ir_layout_identity();
    return !context->narrow[value->id] && context->buffer_of[value->id] < 0 &&
           lower_same_memory(&value->type, &value->layout, &identity);
}

/* The same of matrix units: what is stored once does not have to lie in tiles, which are faster to add to. */
static bool can_be_in_rows(const score_plan *plan, const score_output *output) {
    bool once = output->by_row && plan->fresh_rows && !plan->symmetric;
    return output->kind == SCORE_MULTIPLY && score_on_units(plan) && once && output->row == output->length &&
           can_have_room(plan->context, output->value);
}

static int new_total(const score_plan *plan, const score_output *output) {
    lower_context *context = plan->context;
    const ir_value *value = output->value;
    bool product = output->kind == SCORE_MULTIPLY, is_result = output->kind != SCORE_LOGSUMEXP;
    int64_t count = output->by_row ? plan->rows : plan->columns, copies = is_split(plan, output) ? plan->chunks : 1;
    bool in_place = copies == 1 && is_result && !(product && score_on_units(plan));
    if (product && in_place && count % plan->panel_rows == 0)
        return lower_result_buffer_in_layout(context, value, ir_layout_identity());
    int64_t elements = copies * padded_count(plan, output->by_row) * (product ? output->row : 1);
    int total = lower_temporary(context, product ? "products" : "totals", KIR_F32, elements, value->span);
    if (output->in_rows || (in_place && can_have_room(context, value)))
        context->buffer_of[value->id] = total;
    return total;
}

/* Mirrored tiles of symmetric scores, which the diagonal ones do not set, add up on their own. */
static void prepare_mirrored(score_plan *plan, score_output *output) {
    int64_t elements = padded_count(plan, !output->by_row) * output->row;
    output->mirrored_total = lower_temporary(plan->context, "products", KIR_F32, elements, output->value->span);
    launch_fill(plan, output, output->mirrored_total);
}

/* Whether the first tile adds to what is there: to products in pairs, which do not ask whether it is the first. */
static bool needs_fill(const score_plan *plan, const score_output *output) {
    return output->kind == SCORE_MULTIPLY && plan->parts > 0;
}

void score_totals_prepare(score_plan *plan) {
    for (int i = 0; i < plan->output_count; i++) {
        score_output *output = &plan->outputs[i];
        if (output->mirrored_vectors >= 0)
            prepare_mirrored(plan, output);
        bool once = output->by_row ? plan->fresh_rows : plan->fresh_columns;
        output->in_rows = can_be_in_rows(plan, output);
        output->total = new_total(plan, output);
        if (output->kind == SCORE_LOGSUMEXP)
            output->exponentials = new_total(plan, output);
        if (once || !needs_fill(plan, output))
            continue;
        launch_fill(plan, output, output->total);
    }
}

/* ---- results -------------------------------------------------------------------------------------------------------
 */

kir_reg score_combined(const kir_builder *builder, const score_output *output, kir_reg x, kir_reg y) {
    return output->kind == SCORE_MAX ? lower_maximum(builder, x, y) : kir_op2(builder, KIR_add, x, y);
}

/* largest + log(sum of exponentials), over all parts. */
static kir_reg finished_logsumexp(lower_kernel *kernel, const score_output *output, kir_index at, int64_t parts,
                                  int64_t stride, int lanes) {
    kir_builder *builder = &kernel->builder;
    int largest = lower_argument(kernel, output->total, false),
        sums = lower_argument(kernel, output->exponentials, false);
    kir_reg shift = kir_load(builder, largest, at, lanes, lanes), sum = kir_load(builder, sums, at, lanes, lanes);
    for (int64_t part = 1; part < parts; part++) {
        at.base += stride;
        kir_reg other = kir_load(builder, largest, at, lanes, lanes), both = kir_op2(builder, KIR_max, shift, other);
        kir_reg mine = math_exp(builder, kir_op2(builder, KIR_sub, shift, both));
        kir_reg theirs = math_exp(builder, kir_op2(builder, KIR_sub, other, both));
        kir_reg scaled = kir_op2(builder, KIR_mul, kir_load(builder, sums, at, lanes, lanes), theirs);
        sum = kir_op3(builder, KIR_fma, sum, mine, scaled);
        shift = both;
    }
    return kir_op2(builder, KIR_add, shift, math_log(builder, sum));
}

static kir_reg finished(lower_kernel *kernel, const score_output *output, kir_index at, int64_t parts, int64_t stride,
                        int lanes) {
    if (output->kind == SCORE_LOGSUMEXP)
        return finished_logsumexp(kernel, output, at, parts, stride, lanes);
    kir_builder *builder = &kernel->builder;
    int total = lower_argument(kernel, output->total, false);
    kir_reg value = kir_load(builder, total, at, lanes, lanes);
    for (int64_t part = 1; part < parts; part++) {
        at.base += stride;
        value = score_combined(builder, output, value, kir_load(builder, total, at, lanes, lanes));
    }
    return value;
}

/* Vectors of results, what is left of them one by one. */
static void launch_finish(const score_plan *plan, const score_output *output, int result) {
    lower_context *context = plan->context;
    int64_t count = ir_type_elements(&output->value->type), whole = count / plan->lanes;
    int64_t parts = is_split(plan, output) ? plan->chunks : 1;
    int64_t stride = padded_count(plan, output->by_row) * (output->kind == SCORE_MULTIPLY ? output->row : 1);
    for (int rest = 0; rest < 2; rest++) {
        int64_t extent = rest ? count - whole * plan->lanes : whole;
        int lanes = rest ? 1 : plan->lanes;
        if (extent == 0)
            continue;
        lower_kernel kernel = lower_kernel_begin(context, "finish_scores", output->value);
        kir_index at = kir_plus(kir_at(rest ? whole * plan->lanes : 0), lanes, 0);
        kir_reg value = finished(&kernel, output, at, parts, stride, lanes);
        kir_store(&kernel.builder, lower_argument(&kernel, result, true), at, value, lanes);
        lower_kernel_launch(&kernel, extent);
    }
}

void score_totals_finish(const score_plan *plan) {
    lower_context *context = plan->context;
    ir_layout identity = ir_layout_identity();
    for (int i = 0; i < plan->output_count; i++) {
        const score_output *output = &plan->outputs[i];
        int result = lower_result_buffer_in_layout(context, output->value, identity);
        int64_t copies = is_split(plan, output) ? plan->chunks : 1;
        if (output->kind == SCORE_MULTIPLY && score_on_units(plan) && !output->in_rows)
            score_units_finish(plan, output, copies, padded_count(plan, output->by_row) * output->row, result);
        else if (result != output->total)
            launch_finish(plan, output, result);
        lower_finish_result(context, output->value, identity, result);
    }
}
