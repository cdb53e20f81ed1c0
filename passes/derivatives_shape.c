/* Derivatives of operations that move elements and of reductions: each is the transpose of a linear map, so that the
 * gradient is moved back to where the elements came from. */
#include "passes/derivatives.h"

static const ir_type *operand_type(const derivation *step, int operand) {
    return &step->value->operands[operand]->type;
}

/* Puts into `others` the axes of 0 .. rank-1 that are not among `axes`, in order; returns how many. */
static int other_axes(int rank, const int64_t *axes, int count, int64_t others[IR_MAX_RANK]) {
    int found = 0;
    for (int axis = 0; axis < rank; axis++) {
        bool listed = false;
        for (int i = 0; i < count; i++)
            listed |= axes[i] == axis;
        if (!listed)
            others[found++] = axis;
    }
    return found;
}

void derive_broadcast(derivation *step) {
    int64_t repeated[IR_MAX_RANK];
    int count =
        other_axes(step->value->type.rank, ir_ints(step->value, IR_ATTR_axes), operand_type(step, 0)->rank, repeated);
    ir_value *sum = step->gradient;
    if (count > 0)
        sum = ir_reduce(&step->builder, IR_OP_reduce_sum, sum, repeated, count);
    derive_pass(step, 0, sum);
}

void derive_reshape(derivation *step) {
    const ir_type *type = operand_type(step, 0);
    derive_pass(step, 0, ir_reshape(&step->builder, step->gradient, type->dims, type->rank));
}

void derive_transpose(derivation *step) {
    const int64_t *permutation = ir_ints(step->value, IR_ATTR_axes);
    int64_t inverse[IR_MAX_RANK];
    for (int i = 0; i < step->value->type.rank; i++)
        inverse[permutation[i]] = i;
    derive_pass(step, 0, ir_transpose(&step->builder, step->gradient, inverse));
}

/* Back into zeros: `start` of them before, stride - 1 between, and what was cut off behind. */
void derive_slice(derivation *step) {
    const ir_value *value = step->value;
    const int64_t *start = ir_ints(value, IR_ATTR_start), *stride = ir_ints(value, IR_ATTR_stride);
    int rank = value->type.rank;
    int64_t high[IR_MAX_RANK], interior[IR_MAX_RANK];
    for (int i = 0; i < rank; i++) {
        int64_t last = start[i] + (value->type.dims[i] - 1) * stride[i];
        high[i] = operand_type(step, 0)->dims[i] - last - 1;
        interior[i] = stride[i] - 1;
    }
    arena *memory = step->builder.function->module->memory;
    ir_attr attrs[4] = {
        ir_attr_ints_make(memory, IR_ATTR_low, start, rank), ir_attr_ints_make(memory, IR_ATTR_high, high, rank),
        ir_attr_ints_make(memory, IR_ATTR_interior, interior, rank), ir_attr_number_make(IR_ATTR_value, 0)};
    derive_pass(step, 0,
                ir_build(step->builder.function, step->builder.before, IR_OP_pad, &step->gradient, 1, attrs, 4, NULL,
                         step->builder.span));
}

/* The elements themselves, without what was put around and between them. */
void derive_pad(derivation *step) {
    const ir_type *type = operand_type(step, 0);
    const int64_t *low = ir_ints(step->value, IR_ATTR_low), *interior = ir_ints(step->value, IR_ATTR_interior);
    int64_t limit[IR_MAX_RANK], stride[IR_MAX_RANK];
    for (int i = 0; i < type->rank; i++) {
        stride[i] = interior[i] + 1;
        limit[i] = low[i] + (type->dims[i] - 1) * stride[i] + 1;
    }
    derive_pass(step, 0, ir_slice(&step->builder, step->gradient, low, limit, stride));
}

void derive_concat(derivation *step) {
    int64_t axis = ir_int(step->value, IR_ATTR_axis);
    int64_t start[IR_MAX_RANK] = {0}, limit[IR_MAX_RANK], stride[IR_MAX_RANK];
    for (int i = 0; i < step->value->type.rank; i++) {
        limit[i] = step->value->type.dims[i];
        stride[i] = 1;
    }
    for (int i = 0; i < step->value->operand_count; i++) {
        limit[axis] = start[axis] + operand_type(step, i)->dims[axis];
        if (derive_wanted(step, i))
            derive_pass(step, i, ir_slice(&step->builder, step->gradient, start, limit, stride));
        start[axis] = limit[axis];
    }
}

void derive_gather(derivation *step) {
    derive_pass(step, 0,
                derive_like(step, IR_OP_scatter_add, step->gradient, step->value->operands[1], operand_type(step, 0)));
}

void derive_scatter_add(derivation *step) {
    derive_pass(step, 0, derive_like(step, IR_OP_gather, step->gradient, step->value->operands[1], NULL));
}

/* ---- reductions ----------------------------------------------------------------------------------------------------
 */

/* A value of the result's type repeated along the axes that the reduction removed. */
static ir_value *spread_back(const derivation *step, ir_value *x) {
    const ir_type *type = operand_type(step, 0);
    int64_t kept[IR_MAX_RANK];
    other_axes(type->rank, ir_ints(step->value, IR_ATTR_axes), ir_attr_get(step->value, IR_ATTR_axes)->count, kept);
    return ir_broadcast(&step->builder, x, type->dims, type->rank, kept);
}

void derive_reduce_sum(derivation *step) {
    derive_pass(step, 0, spread_back(step, step->gradient));
}

/* Twice the distance from the mean. */
void derive_reduce_variation(derivation *step) {
    const ir_type *type = operand_type(step, 0);
    const ir_attr *axes = ir_attr_get(step->value, IR_ATTR_axes);
    ir_value *x = step->value->operands[0];
    ir_value *sum = ir_reduce(&step->builder, IR_OP_reduce_sum, x, axes->as.ints, axes->count);
    double count = (double)ir_type_elements(type) / (double)ir_type_elements(&step->value->type);
    ir_value *mean = derive_binary(step, IR_OP_div, sum, derive_number(step, &sum->type, count));
    ir_value *distance = derive_binary(step, IR_OP_sub, x, spread_back(step, mean));
    ir_value *twice = derive_binary(step, IR_OP_add, distance, distance);
    derive_pass(step, 0, derive_binary(step, IR_OP_mul, spread_back(step, step->gradient), twice));
}

/* Each element's share of its sum; a row of nothing but -inf passes nothing on. */
void derive_reduce_logsumexp(derivation *step) {
    ir_value *lowest = derive_number(step, &step->value->type, -3e38);
    ir_value *total = spread_back(step, derive_binary(step, IR_OP_max, step->value, lowest));
    ir_value *share = derive_unary(step, IR_OP_exp, derive_binary(step, IR_OP_sub, step->value->operands[0], total));
    derive_pass(step, 0, derive_binary(step, IR_OP_mul, spread_back(step, step->gradient), share));
}

/* Every element that equals the maximum gets the same share. */
void derive_reduce_max(derivation *step) {
    const ir_type *type = operand_type(step, 0);
    const ir_attr *axes = ir_attr_get(step->value, IR_ATTR_axes);
    ir_value *zero = derive_number(step, type, 0), *one = derive_number(step, type, 1);
    ir_value *largest = derive_binary(step, IR_OP_equal, step->value->operands[0], spread_back(step, step->value));
    ir_value *ties = ir_reduce(&step->builder, IR_OP_reduce_sum, ir_select(&step->builder, largest, one, zero),
                               axes->as.ints, axes->count);
    ir_value *share = spread_back(step, derive_binary(step, IR_OP_div, step->gradient, ties));
    derive_pass(step, 0, ir_select(&step->builder, largest, share, zero));
}
