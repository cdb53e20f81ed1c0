/* expand: writes operations that have no kernel of their own in terms of those that have. */
#include "passes/pass.h"

/* Restores the axes that a reduction removed, each element repeated along them. */
static ir_value *spread_back(const ir_builder *builder, ir_value *result, const ir_value *reduction) {
    const ir_type *type = &reduction->operands[0]->type;
    const ir_attr *axes = ir_attr_get(reduction, IR_ATTR_axes);
    int64_t kept[IR_MAX_RANK];
    int count = 0;
    for (int axis = 0; axis < type->rank; axis++) {
        bool gone = false;
        for (int i = 0; i < axes->count; i++)
            gone |= axes->as.ints[i] == axis;
        if (!gone)
            kept[count++] = axis;
    }
    return ir_broadcast(builder, result, type->dims, type->rank, kept);
}

/* max + log(sum(e^(x - max))). A row of nothing but -inf is shifted by a finite number, so that its sum is 0, not NaN.
 */
static ir_value *expand_logsumexp(const ir_builder *builder, const ir_value *value) {
    ir_value *operand = value->operands[0];
    const ir_attr *axes = ir_attr_get(value, IR_ATTR_axes);
    ir_value *largest = ir_reduce(builder, IR_OP_reduce_max, operand, axes->as.ints, axes->count);
    ir_value *shift = ir_binary(builder, IR_OP_max, largest, ir_constant(builder, &largest->type, -3e38));
    ir_value *shifted = ir_binary(builder, IR_OP_sub, operand, spread_back(builder, shift, value));
    ir_value *power = ir_unary(builder, IR_OP_exp, shifted);
    ir_value *sum = ir_reduce(builder, IR_OP_reduce_sum, power, axes->as.ints, axes->count);
    return ir_binary(builder, IR_OP_add, shift, ir_unary(builder, IR_OP_log, sum));
}

static void expand(ir_function *function) {
    for (ir_value *value = function->first, *next; value; value = next) {
        next = value->next;
        if (value->opcode != IR_OP_reduce_logsumexp || value->group)
            continue;
        ir_builder builder = {function, value, value->span};
        ir_replace_uses(value, expand_logsumexp(&builder, value));
        ir_remove(function, value);
    }
}

bool pass_expand(pass_context *context) {
    for (int i = 0; i < context->module->function_count; i++)
        expand(context->module->functions[i]);
    return true;
}
