/* Operations that move elements and cannot be computed where they are used: concat, pad, gather, scatter_add, reshapes
 * that merge or split axes. */
#include "passes/lower_nest.h"

/* Loops over every axis of `type` (scalar code), the first axes in memory as the launch's iterations. */
static int64_t open_loops(lower_kernel *kernel, const ir_type *type, const ir_layout *layout, lower_coordinate *at) {
    int outer = 0;
    int64_t extent = 1;
    while (outer < type->rank && extent < 64)
        extent *= type->dims[layout->axis[outer++]];
    lower_split_iteration(kernel, type, layout->axis, outer, at);
    for (int i = outer; i < type->rank; i++) {
        int axis = layout->axis[i];
        kir_builder body;
        kir_reg index = kir_loop(&kernel->builder, kir_at(0), kir_at(type->dims[axis]), 1, &body);
        at[axis] = (lower_coordinate){kir_plus(kir_at(0), 1, index), 0};
        kernel->builder = body;
    }
    return extent;
}

/* The operand's elements into a part of the result: at `start` with `stride` a axis. */
static void place_part(lower_context *context, const ir_value *result, const ir_value *part, const int64_t *start,
                       const int64_t *stride, const char *name) {
    lower_kernel kernel = lower_kernel_begin(context, name, result);
    int from = lower_buffer(context, part), to = lower_result_buffer(context, result);
    lower_coordinate at[IR_MAX_RANK], moved[IR_MAX_RANK];
    int64_t extent = open_loops(&kernel, &part->type, &result->layout, at);
    for (int i = 0; i < part->type.rank; i++)
        moved[i] = (lower_coordinate){kir_plus_index(kir_at(start[i]), stride[i], at[i].base), 0};
    kir_reg element = lower_load_at(&kernel, from, &part->type, &part->layout, at, 1, 1);
    lower_store_at(&kernel, to, &result->type, &result->layout, moved, element, 1);
    lower_kernel_launch(&kernel, extent);
}

static void lower_concat(lower_context *context, const ir_value *value) {
    int64_t start[IR_MAX_RANK] = {0}, stride[IR_MAX_RANK];
    for (int i = 0; i < IR_MAX_RANK; i++)
        stride[i] = 1;
    int64_t axis = ir_int(value, IR_ATTR_axis);
    for (int i = 0; i < value->operand_count; i++) {
        place_part(context, value, value->operands[i], start, stride, "concat");
        start[axis] += value->operands[i]->type.dims[axis];
    }
}

/* A number in every element of a buffer. */
static void fill(lower_context *context, const ir_value *value, double number) {
    lower_kernel kernel = lower_kernel_begin(context, "fill", value);
    lower_coordinate at[IR_MAX_RANK];
    int64_t extent = open_loops(&kernel, &value->type, &value->layout, at);
    kir_reg element = kir_number(&kernel.builder, kir_scalar_type(lower_element(value->type.dtype)), number);
    lower_store_at(&kernel, lower_result_buffer(context, value), &value->type, &value->layout, at, element, 1);
    lower_kernel_launch(&kernel, extent);
}

static void lower_pad(lower_context *context, const ir_value *value) {
    int64_t stride[IR_MAX_RANK] = {0};
    for (int i = 0; i < value->type.rank; i++)
        stride[i] = ir_ints(value, IR_ATTR_interior)[i] + 1;
    fill(context, value, ir_number(value, IR_ATTR_value));
    place_part(context, value, value->operands[0], ir_ints(value, IR_ATTR_low), stride, "pad");
}

/* The coordinates of x for result coordinates of gather: the axis' place is the index that `indices` holds. */
static void gathered_place(lower_kernel *kernel, const ir_value *value, const ir_value *indices, const ir_type *x,
                           const lower_coordinate *at, lower_coordinate *place) {
    int axis = (int)ir_int(value, IR_ATTR_axis), batch = (int)ir_int(value, IR_ATTR_batch), rank = x->rank;
    int64_t rows = x->dims[axis] < INT32_MAX ? x->dims[axis] : INT32_MAX;
    int index_axes = indices->type.rank - batch;
    lower_coordinate index_at[IR_MAX_RANK];
    for (int i = 0; i < batch; i++)
        index_at[i] = at[i];
    for (int i = 0; i < index_axes; i++)
        index_at[batch + i] = at[axis + i];
    kir_reg index =
        lower_load_at(kernel, lower_buffer(kernel->context, indices), &indices->type, &indices->layout, index_at, 1, 1);
    /* An index outside of the axis means the nearest row, so that no data can reach beyond a tensor. */
    kir_type whole = kir_scalar_type(KIR_I32);
    index = kir_op2(&kernel->builder, KIR_max, index, kir_number(&kernel->builder, whole, 0));
    index = kir_op2(&kernel->builder, KIR_min, index, kir_number(&kernel->builder, whole, (double)(rows - 1)));
    kir_reg wide = kir_convert(&kernel->builder, index, KIR_I64);
    for (int i = 0; i < rank; i++)
        place[i] = i < axis    ? at[i]
                   : i == axis ? (lower_coordinate){kir_plus(kir_at(0), 1, wide), 0}
                               : at[i + index_axes - 1];
}

static void lower_gather(lower_context *context, const ir_value *value) {
    const ir_value *x = value->operands[0];
    lower_kernel kernel = lower_kernel_begin(context, "gather", value);
    lower_coordinate at[IR_MAX_RANK], place[IR_MAX_RANK];
    int64_t extent = open_loops(&kernel, &value->type, &value->layout, at);
    gathered_place(&kernel, value, value->operands[1], &x->type, at, place);
    kir_reg element = lower_load_at(&kernel, lower_buffer(context, x), &x->type, &x->layout, place, 1, 1);
    lower_store_at(&kernel, lower_result_buffer(context, value), &value->type, &value->layout, at, element, 1);
    lower_kernel_launch(&kernel, extent);
}

/* Several updates may name one row, so one iteration adds all of them, in order. */
static void lower_scatter_add(lower_context *context, const ir_value *value) {
    const ir_value *updates = value->operands[0];
    fill(context, value, 0);
    lower_kernel kernel = lower_kernel_begin(context, "scatter_add", value);
    lower_coordinate at[IR_MAX_RANK], place[IR_MAX_RANK];
    for (int i = 0; i < updates->type.rank; i++) {
        kir_builder body;
        kir_reg index = kir_loop(&kernel.builder, kir_at(0), kir_at(updates->type.dims[i]), 1, &body);
        at[i] = (lower_coordinate){kir_plus(kir_at(0), 1, index), 0};
        kernel.builder = body;
    }
    int target = lower_result_buffer(context, value);
    gathered_place(&kernel, value, value->operands[1], &value->type, at, place);
    kir_reg before = lower_load_at(&kernel, target, &value->type, &value->layout, place, 1, 1);
    kir_reg update = lower_load_at(&kernel, lower_buffer(context, updates), &updates->type, &updates->layout, at, 1, 1);
    kir_reg sum = kir_op2(&kernel.builder, KIR_add, before, update);
    lower_store_at(&kernel, target, &value->type, &value->layout, place, sum, 1);
    lower_kernel_launch(&kernel, 1);
}

/* In row-major order a reshape moves nothing. */
static void lower_reshape(lower_context *context, const ir_value *value) {
    int buffer = lower_buffer_in_layout(context, value->operands[0], ir_layout_identity());
    ir_layout identity = ir_layout_identity();
    if (lower_same_memory(&value->type, &value->layout, &identity)) {
        context->buffer_of[value->id] = buffer;
        return;
    }
    lower_copy(context, &value->type, buffer, &identity, lower_result_buffer(context, value), &value->layout,
               value->span);
}

/* The operand's memory, seen along the axes of the result. */
static void lower_transpose(lower_context *context, const ir_value *value) {
    const ir_value *x = value->operands[0];
    ir_layout layout = value->layout;
    for (int i = 0; i < value->type.rank; i++)
        for (int axis = 0; axis < value->type.rank; axis++)
            if (ir_ints(value, IR_ATTR_axes)[axis] == x->layout.axis[i])
                layout.axis[i] = (int8_t)axis;
    lower_copy(context, &value->type, lower_buffer(context, x), &layout, lower_result_buffer(context, value),
               &value->layout, value->span);
}

static bool same_strides(const ir_value *x, const ir_value *y, const int64_t *order) {
    int64_t from[IR_MAX_RANK], to[IR_MAX_RANK];
    int8_t axes_from[IR_MAX_RANK], axes_to[IR_MAX_RANK];
    ir_strides(&x->type, &x->layout, from);
    ir_strides(&y->type, &y->layout, to);
    int count = ir_long_axes(&y->type, axes_to);
    ir_long_axes(&x->type, axes_from);
    for (int i = 0; i < count; i++)
        if (to[axes_to[i]] != from[order ? order[axes_to[i]] : axes_from[i]])
            return false;
    return true;
}

bool lower_same_places(const ir_value *x, const ir_value *y) {
    return ir_same_long_axes(&x->type, &y->type) && same_strides(x, y, NULL);
}

bool lower_is_alias(const ir_value *value) {
    if (value->opcode == IR_OP_reshape)
        return lower_same_places(value->operands[0], value);
    return value->opcode == IR_OP_transpose && same_strides(value->operands[0], value, ir_ints(value, IR_ATTR_axes));
}

bool lower_shape(lower_context *context, const ir_value *value) {
    if (lower_is_alias(value)) {
        context->buffer_of[value->id] = lower_buffer(context, value->operands[0]);
        return true;
    }
    switch (value->opcode) {
    case IR_OP_concat: lower_concat(context, value); return true;
    case IR_OP_pad: lower_pad(context, value); return true;
    case IR_OP_gather: lower_gather(context, value); return true;
    case IR_OP_scatter_add: lower_scatter_add(context, value); return true;
    case IR_OP_transpose: lower_transpose(context, value); return true;
    case IR_OP_reshape: lower_reshape(context, value); return true;
    default: return lower_element_alone(context, value);
    }
}
