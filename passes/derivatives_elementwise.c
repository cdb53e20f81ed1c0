/* Derivatives of elementwise operations. In the comments x and y are operands, z is the result, g its gradient. */
#include "passes/derivatives.h"

static ir_value *operand(const derivation *step, int index) {
    return step->value->operands[index];
}

/* condition ? g : 0, or with `otherwise` condition ? 0 : g. */
static ir_value *gradient_where(const derivation *step, ir_value *condition, bool otherwise) {
    ir_value *g = step->gradient, *zero = derive_number(step, &g->type, 0);
    return otherwise ? ir_select(&step->builder, condition, zero, g) : ir_select(&step->builder, condition, g, zero);
}

/* ---- one operand ------------------------------------------------------------------------------------------------- */

void derive_neg(derivation *step) {
    derive_pass(step, 0, derive_negated(step, step->gradient));
}

/* g sign(x) */
void derive_abs(derivation *step) {
    ir_value *sign = derive_unary(step, IR_OP_sign, operand(step, 0));
    derive_pass(step, 0, derive_binary(step, IR_OP_mul, step->gradient, sign));
}

/* g z */
void derive_exp(derivation *step) {
    derive_pass(step, 0, derive_binary(step, IR_OP_mul, step->gradient, step->value));
}

/* g / x */
void derive_log(derivation *step) {
    derive_pass(step, 0, derive_binary(step, IR_OP_div, step->gradient, operand(step, 0)));
}

/* g (0.5 / z) */
void derive_sqrt(derivation *step) {
    ir_value *half = derive_number(step, &step->value->type, 0.5);
    ir_value *slope = derive_binary(step, IR_OP_div, half, step->value);
    derive_pass(step, 0, derive_binary(step, IR_OP_mul, step->gradient, slope));
}

/* g (-0.5 z^3) */
void derive_rsqrt(derivation *step) {
    ir_value *z = step->value, *square = derive_binary(step, IR_OP_mul, z, z);
    ir_value *slope = derive_scaled(step, derive_binary(step, IR_OP_mul, square, z), -0.5);
    derive_pass(step, 0, derive_binary(step, IR_OP_mul, step->gradient, slope));
}

/* g (1 - z^2) */
void derive_tanh(derivation *step) {
    ir_value *square = derive_binary(step, IR_OP_mul, step->value, step->value);
    ir_value *slope = derive_binary(step, IR_OP_sub, derive_number(step, &square->type, 1), square);
    derive_pass(step, 0, derive_binary(step, IR_OP_mul, step->gradient, slope));
}

/* g cos(x) */
void derive_sin(derivation *step) {
    ir_value *slope = derive_unary(step, IR_OP_cos, operand(step, 0));
    derive_pass(step, 0, derive_binary(step, IR_OP_mul, step->gradient, slope));
}

/* -g sin(x) */
void derive_cos(derivation *step) {
    ir_value *slope = derive_negated(step, derive_unary(step, IR_OP_sin, operand(step, 0)));
    derive_pass(step, 0, derive_binary(step, IR_OP_mul, step->gradient, slope));
}

/* z <= 0 ? 0 : g, so that g also passes a NaN; z is 0 where x is not above it, and often stored where x need not be */
void derive_relu(derivation *step) {
    ir_value *zero = derive_number(step, &step->value->type, 0);
    ir_value *cut_off = derive_binary(step, IR_OP_less_equal, step->value, zero);
    derive_pass(step, 0, gradient_where(step, cut_off, true));
}

/* The active operand and the result are both f32. */
void derive_convert(derivation *step) {
    derive_pass(step, 0, step->gradient);
}

/* ---- two and three operands ----------------------------------------------------------------------------------------
 */

void derive_add(derivation *step) {
    derive_pass(step, 0, step->gradient);
    derive_pass(step, 1, step->gradient);
}

void derive_sub(derivation *step) {
    derive_pass(step, 0, step->gradient);
    if (derive_wanted(step, 1))
        derive_pass(step, 1, derive_negated(step, step->gradient));
}

/* g y, g x */
void derive_mul(derivation *step) {
    for (int i = 0; i < 2; i++)
        if (derive_wanted(step, i))
            derive_pass(step, i, derive_binary(step, IR_OP_mul, step->gradient, operand(step, 1 - i)));
}

/* g / y, -(g / y) z */
void derive_div(derivation *step) {
    ir_value *quotient = derive_binary(step, IR_OP_div, step->gradient, operand(step, 1));
    derive_pass(step, 0, quotient);
    if (derive_wanted(step, 1))
        derive_pass(step, 1, derive_negated(step, derive_binary(step, IR_OP_mul, quotient, step->value)));
}

/* g, -g n where x = n y + z; n is rounded to the whole number that it is but for an error of the division. */
void derive_rem(derivation *step) {
    derive_pass(step, 0, step->gradient);
    if (derive_wanted(step, 1)) {
        ir_value *multiple = derive_binary(step, IR_OP_sub, operand(step, 0), step->value);
        ir_value *quotient = derive_binary(step, IR_OP_div, multiple, operand(step, 1));
        ir_value *half = derive_number(step, &quotient->type, 0.5);
        ir_value *times = derive_unary(step, IR_OP_floor, derive_binary(step, IR_OP_add, quotient, half));
        derive_pass(step, 1, derive_negated(step, derive_binary(step, IR_OP_mul, step->gradient, times)));
    }
}

/* g y x^(y-1), g z log(x) */
void derive_pow(derivation *step) {
    ir_value *x = operand(step, 0), *y = operand(step, 1), *g = step->gradient;
    if (derive_wanted(step, 0)) {
        ir_value *exponent = derive_binary(step, IR_OP_sub, y, derive_number(step, &y->type, 1));
        ir_value *slope = derive_binary(step, IR_OP_mul, y, derive_binary(step, IR_OP_pow, x, exponent));
        derive_pass(step, 0, derive_binary(step, IR_OP_mul, g, slope));
    }
    if (derive_wanted(step, 1)) {
        ir_value *slope = derive_binary(step, IR_OP_mul, step->value, derive_unary(step, IR_OP_log, x));
        derive_pass(step, 1, derive_binary(step, IR_OP_mul, g, slope));
    }
}

/* The gradient goes to operand 1 where the condition holds, else to operand 0, which wins ties. */
static void pass_to_better(derivation *step, ir_value *second_is_better) {
    if (derive_wanted(step, 0))
        derive_pass(step, 0, gradient_where(step, second_is_better, true));
    if (derive_wanted(step, 1))
        derive_pass(step, 1, gradient_where(step, second_is_better, false));
}

void derive_max(derivation *step) {
    pass_to_better(step, derive_binary(step, IR_OP_less, operand(step, 0), operand(step, 1)));
}

void derive_min(derivation *step) {
    pass_to_better(step, derive_binary(step, IR_OP_less, operand(step, 1), operand(step, 0)));
}

void derive_select(derivation *step) {
    if (derive_wanted(step, 1))
        derive_pass(step, 1, gradient_where(step, operand(step, 0), false));
    if (derive_wanted(step, 2))
        derive_pass(step, 2, gradient_where(step, operand(step, 0), true));
}
