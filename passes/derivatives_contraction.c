/* Derivatives of dot, convolutions and pooling. */
#include "passes/derivatives.h"

#include "passes/dot_axes.h"

/* ---- dot --------------------------------------------------------------------------------------------------------- */

/* Builds dot(left, right); each side's batch and contracted axes are given by pointer and common counts. */
static ir_value *build_dot(const derivation *step, ir_value *left, const int64_t *left_batch,
                           const int64_t *left_contract, ir_value *right, const int64_t *right_batch,
                           const int64_t *right_contract, int batch_count, int contract_count) {
    arena *memory = step->builder.function->module->memory;
    ir_attr attrs[4] = {ir_attr_ints_make(memory, IR_ATTR_lhs_batch, left_batch, batch_count),
                        ir_attr_ints_make(memory, IR_ATTR_rhs_batch, right_batch, batch_count),
                        ir_attr_ints_make(memory, IR_ATTR_lhs_contract, left_contract, contract_count),
                        ir_attr_ints_make(memory, IR_ATTR_rhs_contract, right_contract, contract_count)};
    ir_value *operands[2] = {left, right};
    return ir_build(step->builder.function, step->builder.before, IR_OP_dot, operands, 2, attrs, 4, NULL,
                    step->builder.span);
}

/* How many of the other operand's contracted axes stand before its entry `entry`: their order in the new dot, where
 * they are free. */
static int contract_rank(const dot_axes *other, int entry) {
    int before = 0;
    for (int i = 0; i < other->contract->count; i++)
        before += other->contract->as.ints[i] < other->contract->as.ints[entry];
    return before;
}

/* Transposes a value unless the permutation changes nothing. */
static ir_value *permuted(const derivation *step, ir_value *x, const int64_t *permutation) {
    bool identity = true;
    for (int i = 0; i < x->type.rank; i++)
        identity &= permutation[i] == i;
    return identity ? x : ir_transpose(&step->builder, x, permutation);
}

/* The gradient of operand `side`: g times the other operand, summed over the other's free axes. The product is taken in
 * the order that leaves the least to transpose. */
static ir_value *dot_gradient(const derivation *step, int side) {
    dot_axes own = dot_axes_of(step->value, side), other = dot_axes_of(step->value, 1 - side);
    ir_value *g = step->gradient, *factor = step->value->operands[1 - side];
    int batch = own.batch->count, contracted = own.contract->count;
    int other_start = batch + (side == 0 ? own.free_count : 0);
    int64_t g_batch[IR_MAX_RANK], g_contract[IR_MAX_RANK];
    for (int i = 0; i < batch; i++)
        g_batch[i] = i;
    for (int i = 0; i < other.free_count; i++)
        g_contract[i] = other_start + i;

    bool contract_first = contracted > 0 && own.free_count > 0 && own.contract->as.ints[0] < own.free[0];
    ir_value *product = contract_first ? build_dot(step, factor, other.batch->as.ints, other.free, g, g_batch,
                                                   g_contract, batch, other.free_count)
                                       : build_dot(step, g, g_batch, g_contract, factor, other.batch->as.ints,
                                                   other.free, batch, other.free_count);
    int64_t permutation[IR_MAX_RANK] = {0};
    for (int i = 0; i < batch; i++)
        permutation[own.batch->as.ints[i]] = i;
    for (int i = 0; i < own.free_count; i++)
        permutation[own.free[i]] = batch + (contract_first ? contracted : 0) + i;
    for (int i = 0; i < contracted; i++)
        permutation[own.contract->as.ints[i]] =
            batch + (contract_first ? 0 : own.free_count) + contract_rank(&other, i);
    return permuted(step, product, permutation);
}

void derive_dot(derivation *step) {
    for (int side = 0; side < 2; side++)
        if (derive_wanted(step, side))
            derive_pass(step, side, dot_gradient(step, side));
}

/* ---- convolutions: linear in each operand, so each one's derivative is made of the other two -----------------------
 */

void derive_conv2d(derivation *step) {
    ir_value *x = step->value->operands[0], *w = step->value->operands[1], *g = step->gradient;
    if (derive_wanted(step, 0))
        derive_pass(step, 0, derive_like(step, IR_OP_conv2d_input_grad, g, w, &x->type));
    if (derive_wanted(step, 1))
        derive_pass(step, 1, derive_like(step, IR_OP_conv2d_weight_grad, x, g, &w->type));
}

void derive_conv2d_input_grad(derivation *step) {
    ir_value *dy = step->value->operands[0], *w = step->value->operands[1], *g = step->gradient;
    if (derive_wanted(step, 0))
        derive_pass(step, 0, derive_like(step, IR_OP_conv2d, g, w, NULL));
    if (derive_wanted(step, 1))
        derive_pass(step, 1, derive_like(step, IR_OP_conv2d_weight_grad, g, dy, &w->type));
}

void derive_conv2d_weight_grad(derivation *step) {
    ir_value *x = step->value->operands[0], *dy = step->value->operands[1], *g = step->gradient;
    if (derive_wanted(step, 0))
        derive_pass(step, 0, derive_like(step, IR_OP_conv2d_input_grad, dy, g, &x->type));
    if (derive_wanted(step, 1))
        derive_pass(step, 1, derive_like(step, IR_OP_conv2d, x, g, NULL));
}

/* ---- pooling -------------------------------------------------------------------------------------------------------
 */

void derive_max_pool2d(derivation *step) {
    ir_value *x = step->value->operands[0];
    derive_pass(step, 0, derive_like(step, IR_OP_max_pool2d_grad, x, step->gradient, &x->type));
}

void derive_avg_pool2d(derivation *step) {
    const ir_type *type = &step->value->operands[0]->type;
    derive_pass(step, 0, derive_like(step, IR_OP_avg_pool2d_grad, step->gradient, NULL, type));
}

void derive_avg_pool2d_grad(derivation *step) {
    derive_pass(step, 0, derive_like(step, IR_OP_avg_pool2d, step->gradient, NULL, NULL));
}
