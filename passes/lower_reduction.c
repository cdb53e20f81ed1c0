/* Reductions, with the elementwise group that feeds them.
 *
 * Two forms: the innermost axis in memory is kept (vectors of results, as batch normalisation's sums over N, H, W in
 * channels-last order), or it is reduced (vectors of partial sums, joined at the end). A large reduction to few results
 * first reduces each index of its outermost axis for itself, in parallel, and then those: a fixed split, so that the
 * numbers are the same at any number of threads. */
#include "passes/lower_nest.h"

#include <math.h>
#include <string.h>

enum { SPLIT_ABOVE = 1 << 15, ENOUGH_ITERATIONS = 16, ROWS_OF_VECTORS = 4 };

typedef struct {
    const ir_value *root;    /* reduce_sum, reduce_max */
    const ir_value *operand; /* inlined or stored */
    const ir_type *type;     /* of the operand */
    const ir_layout *layout;
    bool reduced[IR_MAX_RANK];
    int source; /* buffer that stands in for the operand in the second stage, or -1 */
    int target; /* buffer of results */
    const ir_type *target_type;
    const ir_layout *target_layout;
    int lanes;
} reduction;

static kir_reg combined(const kir_builder *builder, const ir_value *root, kir_reg x, kir_reg y) {
    return root->opcode == IR_OP_reduce_max ? lower_maximum(builder, x, y) : kir_op2(builder, KIR_add, x, y);
}

/* total = total combined with element */
static void combine_into(const kir_builder *builder, const ir_value *root, kir_reg total, kir_reg element) {
    if (root->opcode == IR_OP_reduce_max)
        kir_assign(builder, total, lower_maximum(builder, total, element));
    else
        kir_into(builder, total, KIR_add, total, element, -1);
}

static double neutral(const ir_value *root) {
    if (root->opcode == IR_OP_reduce_sum)
        return 0;
    return root->type.dtype == IR_I32 ? -2147483648.0 : -INFINITY;
}

static kir_reg element_at(lower_kernel *kernel, const reduction *work, const lower_coordinate *at, int lanes,
                          int count) {
    if (work->source >= 0)
        return lower_load_at(kernel, work->source, work->type, work->layout, at, lanes, count);
    return lower_element_at(kernel, work->operand, at, lanes, count);
}

static int innermost_axis(const reduction *work) {
    return work->layout->axis[work->type->rank - 1];
}

/* Operand coordinates without the reduced axes: where the result goes. */
static void store_result(lower_kernel *kernel, const reduction *work, const lower_coordinate *at, kir_reg value,
                         int count) {
    lower_coordinate kept[IR_MAX_RANK];
    int rank = 0;
    for (int axis = 0; axis < work->type->rank; axis++)
        if (!work->reduced[axis])
            kept[rank++] = at[axis];
    lower_store_at(kernel, work->target, work->target_type, work->target_layout, kept, value, count);
}

/* Loops over the reduced axes but `except`, outermost first; leaves the builder inside the innermost. */
static void open_reduced_loops(lower_kernel *kernel, const reduction *work, int except, lower_coordinate *at) {
    for (int i = 0; i < work->type->rank; i++) {
        int axis = work->layout->axis[i];
        if (!work->reduced[axis] || axis == except)
            continue;
        kir_builder body;
        kir_reg index = kir_loop(&kernel->builder, kir_at(0), kir_at(work->type->dims[axis]), 1, &body);
        at[axis] = (lower_coordinate){kir_plus(kir_at(0), 1, index), 0};
        kernel->builder = body;
    }
}

static kir_reg accumulator(lower_kernel *kernel, const reduction *work, int lanes) {
    kir_type type = kir_vector_type(lower_element(work->type->dtype), lanes);
    kir_reg sum = kir_register(&kernel->builder, type);
    kir_assign(&kernel->builder, sum, kir_number(&kernel->builder, type, neutral(work->root)));
    return sum;
}

/* `rows` vectors of neighbouring results at once, so that a pass over the reduced axes reads whole cache lines. */
static void reduce_kept_vectors(lower_kernel *kernel, const reduction *work, lower_coordinate *at, kir_index first,
                                int rows, int count) {
    int axis = innermost_axis(work);
    kir_builder outer = kernel->builder;
    kir_reg sums[ROWS_OF_VECTORS];
    for (int r = 0; r < rows; r++)
        sums[r] = accumulator(kernel, work, work->lanes);
    open_reduced_loops(kernel, work, -1, at);
    for (int r = 0; r < rows; r++) {
        at[axis] = (lower_coordinate){first, work->lanes > 1};
        at[axis].base.base += (int64_t)r * work->lanes;
        kir_reg element = element_at(kernel, work, at, work->lanes, count);
        combine_into(&kernel->builder, work->root, sums[r], element);
    }
    kernel->builder = outer;
    for (int r = 0; r < rows; r++) {
        at[axis] = (lower_coordinate){first, work->lanes > 1};
        at[axis].base.base += (int64_t)r * work->lanes;
        store_result(kernel, work, at, sums[r], count);
    }
}

static void reduce_kept(lower_kernel *kernel, const reduction *work, lower_coordinate *at) {
    int64_t size = work->type->dims[innermost_axis(work)];
    int64_t block = ROWS_OF_VECTORS * work->lanes, whole = size / block * block;
    kir_builder outer = kernel->builder;
    if (whole > 0) {
        kir_builder body;
        kir_reg index = kir_loop(&outer, kir_at(0), kir_at(whole), block, &body);
        kernel->builder = body;
        reduce_kept_vectors(kernel, work, at, kir_plus(kir_at(0), 1, index), ROWS_OF_VECTORS, work->lanes);
        kernel->builder = outer;
    }
    for (; whole < size; whole += work->lanes) {
        int64_t left = size - whole;
        reduce_kept_vectors(kernel, work, at, kir_at(whole), 1, left < work->lanes ? (int)left : work->lanes);
    }
}

/* One result: vectors along the innermost axis, what is left of it one by one. */
static void reduce_innermost(lower_kernel *kernel, const reduction *work, lower_coordinate *at) {
    int axis = innermost_axis(work), lanes = work->lanes;
    int64_t size = work->type->dims[axis], whole = size / lanes * lanes;
    kir_builder outer = kernel->builder;
    kir_reg vector = accumulator(kernel, work, lanes), scalar = lanes > 1 ? accumulator(kernel, work, 1) : vector;
    open_reduced_loops(kernel, work, axis, at);
    kir_builder inner = kernel->builder;
    if (whole > 0) {
        kir_builder body;
        kir_reg index = kir_loop(&inner, kir_at(0), kir_at(whole), lanes, &body);
        at[axis] = (lower_coordinate){kir_plus(kir_at(0), 1, index), lanes > 1};
        kernel->builder = body;
        kir_reg element = element_at(kernel, work, at, lanes, lanes);
        combine_into(&kernel->builder, work->root, vector, element);
        kernel->builder = inner;
    }
    if (whole < size) {
        kir_builder body;
        kir_reg index = kir_loop(&inner, kir_at(whole), kir_at(size), 1, &body);
        at[axis] = (lower_coordinate){kir_plus(kir_at(0), 1, index), 0};
        kernel->builder = body;
        kir_reg element = element_at(kernel, work, at, 1, 1);
        combine_into(&kernel->builder, work->root, scalar, element);
    }
    kernel->builder = outer;
    if (lanes > 1) {
        kir_reg joined = work->root->opcode == IR_OP_reduce_max ? lower_largest_lane(&outer, vector)
                                                                : kir_op1(&outer, KIR_sum_lanes, vector);
        scalar = combined(&outer, work->root, joined, scalar);
    }
    at[axis] = (lower_coordinate){kir_at(0), 0};
    store_result(kernel, work, at, scalar, 1);
}

/* One launch: an iteration for each index of the kept axes, the innermost one excepted where it is kept. */
static void emit_reduction(lower_context *context, const reduction *work, const char *name) {
    lower_kernel kernel = lower_kernel_begin(context, name, work->root);
    lower_coordinate at[IR_MAX_RANK];
    int8_t outer[IR_MAX_RANK];
    int outer_count = 0;
    int64_t extent = 1;
    bool kept = !work->reduced[innermost_axis(work)];
    for (int i = 0; i < work->type->rank; i++) {
        int8_t axis = work->layout->axis[i];
        if (work->reduced[axis] || (kept && i == work->type->rank - 1))
            continue;
        outer[outer_count++] = axis;
        extent *= work->type->dims[axis];
    }
    lower_split_iteration(&kernel, work->type, outer, outer_count, at);
    if (kept)
        reduce_kept(&kernel, work, at);
    else
        reduce_innermost(&kernel, work, at);
    lower_kernel_launch(&kernel, extent);
}

/* The outermost reduced axis, if it is worth reducing each of its indices apart; else -1. */
static int split_axis(const reduction *work) {
    int64_t total = ir_type_elements(work->type), iterations = 1;
    bool kept = !work->reduced[innermost_axis(work)];
    int split = -1, reduced_count = 0;
    for (int i = 0; i < work->type->rank; i++) {
        int axis = work->layout->axis[i];
        if (!work->reduced[axis]) {
            if (!(kept && i == work->type->rank - 1))
                iterations *= work->type->dims[axis];
        } else {
            reduced_count++;
            if (split < 0 && work->type->dims[axis] > 1)
                split = axis;
        }
    }
    return total > SPLIT_ABOVE && iterations < ENOUGH_ITERATIONS && reduced_count > 1 ? split : -1;
}

/* First stage into partial results [split axis, kept axes…], second stage over those. */
static void reduce_twice(lower_context *context, const reduction *work, int split) {
    ir_type partial = {.dtype = work->type->dtype, .rank = 1};
    partial.dims[0] = work->type->dims[split];
    /* Coordinates reach the partial buffer in the order of the operand's axes, the split one at its place. */
    ir_type first_type = {.dtype = work->type->dtype};
    ir_layout first_layout = ir_layout_identity();
    reduction second = {.root = work->root,
                        .source = 0,
                        .target = work->target,
                        .target_type = work->target_type,
                        .target_layout = work->target_layout,
                        .lanes = work->lanes};
    int split_place = 0;
    for (int axis = 0; axis < work->type->rank; axis++) {
        if (work->reduced[axis] && axis != split)
            continue;
        if (axis == split)
            split_place = first_type.rank;
        second.reduced[first_type.rank] = axis == split;
        first_type.dims[first_type.rank++] = work->type->dims[axis];
    }
    /* In memory the split axis is outermost and the kept ones follow the result's order. */
    first_layout.axis[0] = (int8_t)split_place;
    for (int i = 0; i < work->target_type->rank; i++) {
        int axis = work->target_layout->axis[i];
        first_layout.axis[i + 1] = (int8_t)(axis >= split_place ? axis + 1 : axis);
    }
    int buffer = lower_temporary(context, "partial", lower_element(partial.dtype), ir_type_elements(&first_type),
                                 work->root->span);
    reduction first = *work;
    first.reduced[split] = false;
    first.target = buffer;
    first.target_type = &first_type;
    first.target_layout = &first_layout;
    emit_reduction(context, &first, "reduce_partial");
    second.source = buffer;
    second.type = &first_type;
    second.layout = &first_layout;
    emit_reduction(context, &second, "reduce_combine");
}

/* The vectors of results must be contiguous where the operand's innermost axis is kept; else they are computed singly.
 */
static bool contiguous_results(const reduction *work) {
    if (work->reduced[innermost_axis(work)])
        return true;
    int place = 0;
    for (int axis = 0; axis < innermost_axis(work); axis++)
        place += !work->reduced[axis];
    int64_t strides[IR_MAX_RANK];
    ir_strides(work->target_type, work->target_layout, strides);
    return strides[place] == 1;
}

static bool lower_argmax(lower_context *context, const ir_value *value);

bool lower_reduction(lower_context *context, const ir_value *value) {
    if (value->opcode == IR_OP_argmax)
        return lower_argmax(context, value);
    const ir_value *operand = value->operands[0];
    reduction work = {.root = value,
                      .operand = operand,
                      .type = &operand->type,
                      .layout = &operand->layout,
                      .source = -1,
                      .target = lower_result_buffer(context, value),
                      .target_type = &value->type,
                      .target_layout = &value->layout,
                      .lanes = context->pass->target.lanes};
    const ir_attr *axes = ir_attr_get(value, IR_ATTR_axes);
    for (int i = 0; i < axes->count; i++)
        work.reduced[axes->as.ints[i]] = true;
    /* A scalar operand, and axes of size 1, still need their one element. */
    ir_type one = ir_type_make(operand->type.dtype, 1, (int64_t[]){1});
    if (operand->type.rank == 0) {
        lower_kernel kernel = lower_kernel_begin(context, "copy", value);
        kir_reg element = lower_element_at(&kernel, operand, NULL, 1, 1);
        lower_store_at(&kernel, work.target, &one, &value->layout, (lower_coordinate[]){{kir_at(0), 0}}, element, 1);
        lower_kernel_launch(&kernel, 1);
        return true;
    }
    if (!contiguous_results(&work))
        work.lanes = 1;
    int split = split_axis(&work);
    if (split >= 0)
        reduce_twice(context, &work, split);
    else
        emit_reduction(context, &work, value->opcode == IR_OP_reduce_sum ? "reduce_sum" : "reduce_max");
    return true;
}

/* ---- argmax
 * --------------------------------------------------------------------------------------------------------------------------
 */

static bool lower_argmax(lower_context *context, const ir_value *value) {
    const ir_value *operand = value->operands[0];
    int64_t axis = ir_int(value, IR_ATTR_axis);
    lower_kernel kernel = lower_kernel_begin(context, "argmax", value);
    kir_builder *builder = &kernel.builder;
    lower_coordinate at[IR_MAX_RANK], kept[IR_MAX_RANK];
    lower_split_iteration(&kernel, &value->type, value->layout.axis, value->type.rank, kept);
    for (int i = 0; i < operand->type.rank; i++)
        if (i != axis)
            at[i] = kept[i < axis ? i : i - 1];
    kir_type type = kir_scalar_type(lower_element(operand->type.dtype)), whole = kir_scalar_type(KIR_I32);
    kir_reg best = kir_register(builder, type), place = kir_register(builder, whole);
    at[axis] = (lower_coordinate){kir_at(0), 0};
    kir_assign(builder, best, lower_element_at(&kernel, operand, at, 1, 1));
    kir_assign(builder, place, kir_number(builder, whole, 0));
    kir_builder outer = *builder, body;
    kir_reg index = kir_loop(&outer, kir_at(1), kir_at(operand->type.dims[axis]), 1, &body);
    at[axis].base = kir_plus(kir_at(0), 1, index);
    kernel.builder = body;
    kir_reg element = lower_element_at(&kernel, operand, at, 1, 1);
    kir_reg better = lower_is_larger(builder, element, best);
    kir_reg number = kir_convert(builder, index, KIR_I32);
    kir_into(builder, best, KIR_select, better, element, best);
    kir_into(builder, place, KIR_select, better, number, place);
    kernel.builder = outer;
    lower_store_at(&kernel, lower_result_buffer(context, value), &value->type, &value->layout, kept, place, 1);
    lower_kernel_launch(&kernel, ir_type_elements(&value->type));
    return true;
}
