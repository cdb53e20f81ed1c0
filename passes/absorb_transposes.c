/* absorb-transposes: a product whose operand was transposed reads it by its other axes, and one whose result is to be
 * transposed, by itself or with others added to it, takes its operands the other way round. Nothing moves that a
 * product's own arranging of its operands would move again: a linear layer's weights and their gradient are read and
 * written as they lie. Leaves groups alone, and what has no users any more to `dead-code`. */
#include "passes/dot_axes.h"
#include "passes/pass.h"

static const ir_attr_key contracts[] = {IR_ATTR_lhs_contract, IR_ATTR_rhs_contract};
static const ir_attr_key batches[] = {IR_ATTR_lhs_batch, IR_ATTR_rhs_batch};

static bool is_ungrouped(const ir_value *value, ir_opcode opcode) {
    return value->opcode == opcode && !value->group;
}

/* A product of the operands, with these axes of each. */
static ir_value *product_of(const ir_builder *builder, ir_value *const operands[2], const ir_attr *const batch[2],
                            const ir_attr *const contract[2]) {
    arena *memory = builder->function->module->memory;
    ir_attr attrs[4];
    for (int side = 0; side < 2; side++) {
        attrs[side] = ir_attr_ints_make(memory, batches[side], batch[side]->as.ints, batch[side]->count);
        attrs[2 + side] = ir_attr_ints_make(memory, contracts[side], contract[side]->as.ints, contract[side]->count);
    }
    return ir_build(builder->function, builder->before, IR_OP_dot, operands, 2, attrs, 4, NULL, builder->span);
}

/* The axes of a transpose's operand that those of its result are. */
static ir_attr axes_before(arena *memory, const ir_value *transpose, const ir_attr *axes) {
    int64_t before[IR_MAX_RANK];
    for (int i = 0; i < axes->count; i++)
        before[i] = ir_ints(transpose, IR_ATTR_axes)[axes->as.ints[i]];
    return ir_attr_ints_make(memory, axes->key, before, axes->count);
}

/* Whether the free axes, which are the result's, come in the same order in the transpose's operand. */
static bool keeps_order(const ir_value *transpose, const dot_axes *axes) {
    const int64_t *order = ir_ints(transpose, IR_ATTR_axes);
    for (int i = 1; i < axes->free_count; i++)
        if (order[axes->free[i]] < order[axes->free[i - 1]])
            return false;
    return true;
}

/* Replaces the product by one of what was transposed into its operands. */
static void take_operands_as_they_lie(ir_function *function, ir_value *dot) {
    for (int side = 0; side < 2; side++) {
        ir_value *operand = dot->operands[side];
        dot_axes axes[2] = {dot_axes_of(dot, 0), dot_axes_of(dot, 1)};
        if (!is_ungrouped(operand, IR_OP_transpose) || !keeps_order(operand, &axes[side]))
            continue;
        arena *memory = function->module->memory;
        ir_attr batch = axes_before(memory, operand, axes[side].batch);
        ir_attr contract = axes_before(memory, operand, axes[side].contract);
        ir_value *operands[] = {dot->operands[0], dot->operands[1]};
        operands[side] = operand->operands[0];
        const ir_attr *batch_axes[] = {axes[0].batch, axes[1].batch};
        const ir_attr *contract_axes[] = {axes[0].contract, axes[1].contract};
        batch_axes[side] = &batch;
        contract_axes[side] = &contract;
        ir_builder builder = {function, dot, dot->span};
        ir_value *product = product_of(&builder, operands, batch_axes, contract_axes);
        ir_replace_uses(dot, product);
        ir_remove(function, dot);
        dot = product;
    }
}

/* Whether the matrix is a product, or a sum of some, that nothing else reads. */
static bool can_be_turned(const ir_value *matrix) {
    if (matrix->mark != 1 || matrix->type.rank != 2)
        return false;
    if (is_ungrouped(matrix, IR_OP_add))
        return can_be_turned(matrix->operands[0]) && can_be_turned(matrix->operands[1]);
    return is_ungrouped(matrix, IR_OP_dot) && dot_axes_of(matrix, 0).free_count == 1 &&
           dot_axes_of(matrix, 1).free_count == 1;
}

/* transpose(dot(a, b)) is dot(b, a). */
static ir_value *turned(ir_function *function, ir_value *before, const ir_value *matrix) {
    ir_builder builder = {function, before, matrix->span};
    if (matrix->opcode == IR_OP_add) {
        ir_value *left = turned(function, before, matrix->operands[0]);
        return ir_binary(&builder, IR_OP_add, left, turned(function, before, matrix->operands[1]));
    }
    dot_axes axes[] = {dot_axes_of(matrix, 0), dot_axes_of(matrix, 1)};
    return product_of(&builder, (ir_value *[]){matrix->operands[1], matrix->operands[0]},
                      (const ir_attr *[]){axes[1].batch, axes[0].batch},
                      (const ir_attr *[]){axes[1].contract, axes[0].contract});
}

static void turn_result(ir_function *function, ir_value *transpose) {
    ir_value *matrix = transpose->operands[0];
    if (ir_ints(transpose, IR_ATTR_axes)[0] != 1 || !can_be_turned(matrix))
        return;
    ir_replace_uses(transpose, turned(function, transpose, matrix));
    ir_remove(function, transpose);
}

static void absorb_transposes(ir_function *function) {
    ir_count_uses(function);
    for (ir_value *value = function->first, *next; value; value = next) {
        next = value->next;
        if (is_ungrouped(value, IR_OP_transpose))
            turn_result(function, value);
    }
    for (ir_value *value = function->first, *next; value; value = next) {
        next = value->next;
        if (is_ungrouped(value, IR_OP_dot))
            take_operands_as_they_lie(function, value);
    }
}

bool pass_absorb_transposes(pass_context *context) {
    for (int i = 0; i < context->module->function_count; i++)
        absorb_transposes(context->module->functions[i]);
    return true;
}
