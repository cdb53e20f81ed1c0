/* Shapes have no part in the order: an optimiser's updates of parameters of all shapes share a kernel, too. */
#include "passes/group_order.h"

/* What its group sees of an operand: how it is computed, or that it is read. */
static uint64_t number_of_operand(const uint64_t *numbers, const ir_value *operand, const ir_value *user) {
    if (operand->group == user->group)
        return numbers[operand->id];
    return ir_hash_word((uint64_t)operand->type.dtype, ir_same_dims(&operand->type, &user->type));
}

/* These give the same bits in either order; others, such as a maximum with a NaN, need not. */
static bool may_swap(const ir_value *value) {
    return value->opcode == IR_OP_add || value->opcode == IR_OP_mul;
}

static void order_value(uint64_t *numbers, ir_value *value) {
    ir_value **x = value->operands;
    if (may_swap(value) && number_of_operand(numbers, x[0], value) > number_of_operand(numbers, x[1], value)) {
        ir_value *first = x[0];
        x[0] = x[1];
        x[1] = first;
    }
    uint64_t number = ir_hash_word((uint64_t)value->opcode, (uint64_t)value->type.dtype);
    for (int i = 0; i < value->attr_count; i++)
        if (ir_attr_kind_of(value->attrs[i].key) == IR_ATTR_NUMBER)
            number = ir_hash_attr(number, &value->attrs[i]);
    for (int i = 0; i < value->operand_count; i++)
        number = ir_hash_word(number, number_of_operand(numbers, x[i], value));
    numbers[value->id] = number;
}

uint64_t *lower_order_operands(arena *memory, ir_function *function) {
    uint64_t *numbers = arena_alloc(memory, (size_t)(function->next_id + 1) * sizeof *numbers);
    bool *of_scores = arena_alloc(memory, (size_t)(ir_last_group(function) + 1) * sizeof *of_scores);
    for (const ir_value *value = function->first; value; value = value->next)
        of_scores[value->group] |= ir_op(value->opcode)->class_ == IR_CLASS_CONTRACTION;
    for (ir_value *value = function->first; value; value = value->next)
        if (value->group && !of_scores[value->group])
            order_value(numbers, value);
    return numbers;
}

void lower_order_results(const ir_value **results, int count, const uint64_t *numbers) {
    for (int i = 1; i < count; i++) {
        const ir_value *result = results[i];
        int at = i;
        for (; at > 0 && numbers[results[at - 1]->id] > numbers[result->id]; at--)
            results[at] = results[at - 1];
        results[at] = result;
    }
}
