/* dead-code: removes values that no write or output needs. Keeps the order of the others. */
#include "passes/pass.h"

static void sweep(ir_function *function) {
    for (ir_value *value = function->first; value; value = value->next)
        value->mark = ir_op(value->opcode)->class_ == IR_CLASS_EFFECT;
    for (ir_value *value = function->last; value; value = value->previous)
        if (value->mark)
            for (int i = 0; i < value->operand_count; i++)
                value->operands[i]->mark = 1;
    for (ir_value *value = function->last, *previous; value; value = previous) {
        previous = value->previous;
        if (!value->mark)
            ir_remove(function, value);
    }
}

bool pass_dead_code(pass_context *context) {
    for (int i = 0; i < context->module->function_count; i++)
        sweep(context->module->functions[i]);
    return true;
}
