/* Reverse-mode differentiation as IR: replaces every gradient(loss, x) by values that compute it.
 *
 * Requires a verified module. Gradients of one loss share one reverse sweep, which visits only values between some x
 * and the loss. Sweeps run in the order of the function, so that a loss may itself use gradients (higher orders). New
 * values stand before the first gradient of their loss and carry the span of the value that they differentiate. */
#include "passes/derivatives.h"

static const derivative_rule derivative_rules[IR_OP_COUNT] = {
#define OP(name, operands, class_, shape, derivative, ...) derive_##derivative,
#include "ir/ops.def"
};

/* ---- what rules use ---------------------------------------------------------------------------------------------- */

bool derive_wanted(const derivation *step, int operand) {
    return step->active[step->value->operands[operand]->id];
}

void derive_pass(derivation *step, int operand, ir_value *contribution) {
    if (!derive_wanted(step, operand))
        return;
    ir_value **total = &step->gradients[step->value->operands[operand]->id];
    *total = *total ? derive_binary(step, IR_OP_add, *total, contribution) : contribution;
}

ir_value *derive_number(const derivation *step, const ir_type *type, double number) {
    return ir_constant(&step->builder, type, number);
}

ir_value *derive_unary(const derivation *step, ir_opcode opcode, ir_value *x) {
    return ir_unary(&step->builder, opcode, x);
}

ir_value *derive_binary(const derivation *step, ir_opcode opcode, ir_value *x, ir_value *y) {
    return ir_binary(&step->builder, opcode, x, y);
}

ir_value *derive_negated(const derivation *step, ir_value *x) {
    return derive_unary(step, IR_OP_neg, x);
}

ir_value *derive_scaled(const derivation *step, ir_value *x, double factor) {
    return derive_binary(step, IR_OP_mul, x, derive_number(step, &x->type, factor));
}

ir_value *derive_like(const derivation *step, ir_opcode opcode, ir_value *first, ir_value *second,
                      const ir_type *type) {
    ir_value *operands[2] = {first, second};
    return ir_build(step->builder.function, step->builder.before, opcode, operands, second ? 2 : 1, step->value->attrs,
                    step->value->attr_count, type, step->builder.span);
}

/* No gradient flows: nothing to pass on. */
void derive_none(derivation *step) {
    (void)step;
}

void derive_never(derivation *step) {
    diag_error(step->diags, step->value->span, "cannot differentiate through '%s'", ir_op(step->value->opcode)->name);
}

/* ---- one loss ---------------------------------------------------------------------------------------------------- */

static ir_value *next_gradient(ir_value *from, const ir_value *loss) {
    for (ir_value *value = from; value; value = value->next)
        if (value->opcode == IR_OP_gradient && (!loss || value->operands[0] == loss))
            return value;
    return NULL;
}

/* Marks by id the values that depend on a variable of one of the loss's gradients in a way that a gradient can flow. */
static bool *find_active(arena *memory, ir_function *function, const ir_value *loss, ir_value *first_gradient) {
    bool *active = arena_alloc(memory, sizeof(bool) * (size_t)function->next_id);
    for (ir_value *gradient = first_gradient; gradient; gradient = next_gradient(gradient->next, loss))
        active[gradient->operands[1]->id] = true;
    for (const ir_value *value = function->first; value != loss->next; value = value->next) {
        if (value->type.dtype != IR_F32 || derivative_rules[value->opcode] == derive_none)
            continue;
        for (int i = 0; i < value->operand_count; i++)
            active[value->id] |= active[value->operands[i]->id];
    }
    return active;
}

/* Walks from the loss to the function's start; afterwards step->gradients holds the gradients of all variables. */
static void sweep(derivation *step, ir_value *loss) {
    step->builder.span = loss->span;
    step->gradients[loss->id] = derive_number(step, &loss->type, 1);
    for (ir_value *value = loss; value; value = value->previous) {
        step->value = value;
        step->gradient = step->gradients[value->id];
        step->builder.span = value->span;
        if (step->gradient && step->active[value->id])
            derivative_rules[value->opcode](step);
    }
}

/* A variable that no path joins to the loss has the gradient 0. */
static void fill_zeros(derivation *step, ir_value *first_gradient, const ir_value *loss) {
    for (ir_value *gradient = first_gradient; gradient; gradient = next_gradient(gradient->next, loss)) {
        const ir_value *variable = gradient->operands[1];
        step->builder.span = gradient->span;
        if (!step->gradients[variable->id])
            step->gradients[variable->id] = derive_number(step, &variable->type, 0);
    }
}

static void replace_gradients(derivation *step, ir_value *first_gradient, const ir_value *loss) {
    ir_function *function = step->builder.function;
    for (ir_value *gradient = first_gradient, *following; gradient; gradient = following) {
        following = next_gradient(gradient->next, loss);
        ir_replace_uses(gradient, step->gradients[gradient->operands[1]->id]);
        ir_remove(function, gradient);
    }
}

/* Removes all gradients of the loss that `first_gradient` names. */
static void differentiate_loss(pass_context *context, ir_function *function, ir_value *first_gradient) {
    ir_value *loss = first_gradient->operands[0];
    size_t ids = (size_t)function->next_id;
    derivation step = {.builder = {function, first_gradient, loss->span}, .diags = context->diags};
    step.active = find_active(context->memory, function, loss, first_gradient);
    step.gradients = arena_alloc(context->memory, sizeof(ir_value *) * ids);
    sweep(&step, loss);
    fill_zeros(&step, first_gradient, loss);
    replace_gradients(&step, first_gradient, loss);
}

bool pass_differentiate(pass_context *context) {
    int errors = context->diags->error_count;
    for (int i = 0; i < context->module->function_count; i++) {
        ir_function *function = context->module->functions[i];
        for (ir_value *gradient = next_gradient(function->first, NULL); gradient;
             gradient = next_gradient(function->first, NULL)) {
            differentiate_loss(context, function, gradient);
            if (context->diags->error_count > errors)
                return false;
        }
    }
    return true;
}
