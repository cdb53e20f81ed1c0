/* Elementwise functions and reductions. */
#include "frontend/builtins.h"

#include <math.h>

/* ---- elementwise: on numbers while compiling, on tensors in the program
 * ---------------------------------------------------- */

#define ELEMENTWISE(name, opcode, formula)                                                                             \
    static fe_value builtin_##name(fe_context *context, fe_value *arguments, source_span span) {                       \
        double x = arguments[0].number;                                                                                \
        if (arguments[0].kind == FE_VALUE_NUMBER)                                                                      \
            return fe_checked_number(context, formula, x, x, span);                                                    \
        return arguments[0].kind == FE_VALUE_ERROR ? arguments[0] : fe_unary(context, opcode, &arguments[0], span);    \
    }

ELEMENTWISE(exp, IR_OP_exp, exp(x))
ELEMENTWISE(log, IR_OP_log, log(x))
ELEMENTWISE(sqrt, IR_OP_sqrt, sqrt(x))
ELEMENTWISE(rsqrt, IR_OP_rsqrt, 1 / sqrt(x))
ELEMENTWISE(tanh, IR_OP_tanh, tanh(x))
ELEMENTWISE(sin, IR_OP_sin, sin(x))
ELEMENTWISE(cos, IR_OP_cos, cos(x))
ELEMENTWISE(abs, IR_OP_abs, fabs(x))
ELEMENTWISE(floor, IR_OP_floor, floor(x))
ELEMENTWISE(sign, IR_OP_sign, (double)((x > 0) - (x < 0)))
ELEMENTWISE(relu, IR_OP_relu, x > 0 ? x : 0)
ELEMENTWISE(stop_gradient, IR_OP_stop_gradient, x)
#undef ELEMENTWISE

static fe_value builtin_square(fe_context *context, fe_value *arguments, source_span span) {
    return fe_operate(context, FE_MUL, &arguments[0], &arguments[0], span);
}

static fe_value extreme(fe_context *context, ir_opcode opcode, const fe_value *a, const fe_value *b, source_span span) {
    if (a->kind == FE_VALUE_NUMBER && b->kind == FE_VALUE_NUMBER)
        return fe_number((a->number > b->number) == (opcode == IR_OP_max) ? a->number : b->number, span);
    return fe_binary(context, opcode, a, b, span);
}

static fe_value builtin_min(fe_context *context, fe_value *arguments, source_span span) {
    return extreme(context, IR_OP_min, &arguments[0], &arguments[1], span);
}

/* log(e^a + e^b) without overflow. */
static fe_value builtin_logaddexp(fe_context *context, fe_value *arguments, source_span span) {
    fe_value larger = fe_binary(context, IR_OP_max, &arguments[0], &arguments[1], span);
    if (larger.kind == FE_VALUE_ERROR)
        return larger;
    fe_value shift = fe_unary(context, IR_OP_stop_gradient, &larger, span);
    fe_value sum = fe_number(0, span);
    for (int i = 0; i < 2; i++) {
        fe_value difference = fe_binary(context, IR_OP_sub, &arguments[i], &shift, span);
        fe_value power = fe_unary(context, IR_OP_exp, &difference, span);
        sum = fe_operate(context, FE_ADD, &sum, &power, span);
    }
    fe_value logarithm = fe_unary(context, IR_OP_log, &sum, span);
    return fe_binary(context, IR_OP_add, &shift, &logarithm, span);
}

static fe_value builtin_select(fe_context *context, fe_value *arguments, source_span span) {
    ir_value *condition = fe_to_tensor(context, &arguments[0], "a condition");
    ir_value *operands[3] = {condition};
    if (!condition || !fe_match_shapes(context, &arguments[1], &arguments[2], &operands[1], &operands[2], span))
        return fe_error(span);
    operands[0] = fe_stretch(context, condition, operands[1]->type.dims, operands[1]->type.rank, span);
    return fe_wrap(operands[0] ? fe_build(context, IR_OP_select, operands, 3, NULL, 0, NULL, span) : NULL, span);
}

static fe_value builtin_float(fe_context *context, fe_value *arguments, source_span span) {
    ir_value *tensor = fe_to_tensor(context, &arguments[0], "x");
    ir_builder builder = fe_builder(context, span);
    return fe_wrap(tensor ? ir_convert(&builder, tensor, IR_F32) : NULL, span);
}

/* ---- reductions
 * ------------------------------------------------------------------------------------------------------------ */

/* The masked elements as `absent`. */
static ir_value *filled(fe_context *context, const fe_value *value, double absent, source_span span) {
    if (value->kind != FE_VALUE_MASKED)
        return fe_to_tensor(context, value, "what is reduced");
    ir_builder builder = fe_builder(context, span);
    return ir_select(&builder, value->mask, value->tensor, ir_constant(&builder, &value->tensor->type, absent));
}

static ir_value *as_float(fe_context *context, ir_value *value, source_span span) {
    ir_builder builder = fe_builder(context, span);
    return value ? ir_convert(&builder, value, IR_F32) : NULL;
}

static bool keeps(const fe_value *argument) {
    return argument->kind == FE_VALUE_TRUTH && argument->number != 0;
}

fe_value fe_sum(fe_context *context, const fe_value *value, const int64_t *axes, int count, bool keep,
                source_span span) {
    ir_value *tensor = as_float(context, filled(context, value, 0, span), span);
    return tensor ? fe_reduce(context, IR_OP_reduce_sum, tensor, axes, count, keep, span) : fe_error(span);
}

static fe_value builtin_sum(fe_context *context, fe_value *arguments, source_span span) {
    int64_t axes[IR_MAX_RANK];
    int count;
    ir_value *tensor = filled(context, &arguments[0], 0, span);
    if (!tensor || !fe_to_axes(context, &arguments[1], &tensor->type, 0, axes, &count))
        return fe_error(span);
    return fe_reduce(context, IR_OP_reduce_sum, as_float(context, tensor, span), axes, count, keeps(&arguments[2]),
                     span);
}

/* How many elements each mean is over: a number, or counted from the mask. */
static fe_value element_count(fe_context *context, const fe_value *value, const ir_type *type, const int64_t *axes,
                              int count, bool keep, source_span span) {
    if (value->kind == FE_VALUE_MASKED) {
        ir_value *ones = as_float(context, value->mask, span);
        return fe_reduce(context, IR_OP_reduce_sum, ones, axes, count, keep, span);
    }
    double elements = 1;
    for (int i = 0; i < count; i++)
        elements *= (double)type->dims[axes[i]];
    return fe_number(elements, span);
}

static fe_value builtin_mean(fe_context *context, fe_value *arguments, source_span span) {
    int64_t axes[IR_MAX_RANK];
    int count;
    if (arguments[0].kind == FE_VALUE_NUMBER)
        return arguments[0];
    ir_value *tensor = filled(context, &arguments[0], 0, span);
    if (!tensor || !fe_to_axes(context, &arguments[1], &tensor->type, 0, axes, &count))
        return fe_error(span);
    bool keep = keeps(&arguments[2]);
    fe_value sum = fe_reduce(context, IR_OP_reduce_sum, as_float(context, tensor, span), axes, count, keep, span);
    fe_value elements = element_count(context, &arguments[0], &tensor->type, axes, count, keep, span);
    if (elements.kind != FE_VALUE_NUMBER)
        return fe_operate(context, FE_DIV, &sum, &elements, span);
    elements.number = 1 / elements.number;
    return fe_operate(context, FE_MUL, &sum, &elements, span);
}

static fe_value builtin_max(fe_context *context, fe_value *arguments, source_span span) {
    if (arguments[1].kind != FE_VALUE_NONE)
        return extreme(context, IR_OP_max, &arguments[0], &arguments[1], span);
    int64_t axes[IR_MAX_RANK];
    int count;
    ir_value *tensor = filled(context, &arguments[0], -INFINITY, span);
    if (!tensor || !fe_to_axes(context, &arguments[2], &tensor->type, 0, axes, &count))
        return fe_error(span);
    return fe_reduce(context, IR_OP_reduce_max, tensor, axes, count, keeps(&arguments[3]), span);
}

static fe_value builtin_logsumexp(fe_context *context, fe_value *arguments, source_span span) {
    int64_t axes[IR_MAX_RANK];
    int count;
    ir_value *tensor = filled(context, &arguments[0], -INFINITY, span);
    if (!tensor || !fe_to_axes(context, &arguments[1], &tensor->type, 1, axes, &count))
        return fe_error(span);
    return fe_reduce(context, IR_OP_reduce_logsumexp, as_float(context, tensor, span), axes, count,
                     keeps(&arguments[2]), span);
}

static fe_value builtin_argmax(fe_context *context, fe_value *arguments, source_span span) {
    ir_value *tensor = filled(context, &arguments[0], -INFINITY, span);
    int axis;
    if (!tensor || !fe_to_axis(context, &arguments[1], tensor->type.rank, &axis))
        return fe_error(span);
    ir_attr attr = ir_attr_int_make(context->memory, IR_ATTR_axis, axis);
    return fe_wrap(fe_build(context, IR_OP_argmax, &tensor, 1, &attr, 1, NULL, span), span);
}

/* The masked tensor with `value` where the mask does not hold. */
static fe_value builtin_fill(fe_context *context, fe_value *arguments, source_span span) {
    double number;
    if (arguments[0].kind != FE_VALUE_MASKED)
        return fe_fail(context, span, "fill needs a masked tensor: fill(x where condition, value)");
    if (!fe_to_number(context, &arguments[1], "the value to fill with", &number))
        return fe_error(span);
    return fe_wrap(filled(context, &arguments[0], number, span), span);
}

#define MATH       "Numbers, element by element"
#define REDUCTIONS "Reductions"
const fe_builtin fe_builtins_math[] = {
    {"exp", "x", builtin_exp, "e^x", MATH, NULL, 0, false},
    {"log", "x", builtin_log, "natural logarithm", MATH, NULL, 0, false},
    {"sqrt", "x", builtin_sqrt, "square root", MATH, NULL, 0, false},
    {"rsqrt", "x", builtin_rsqrt, "1 / sqrt(x)", MATH, NULL, 0, false},
    {"square", "x", builtin_square, "x * x", MATH, NULL, 0, false},
    {"tanh", "x", builtin_tanh, "hyperbolic tangent", MATH, NULL, 0, false},
    {"sin", "x", builtin_sin, "sine", MATH, NULL, 0, false},
    {"cos", "x", builtin_cos, "cosine", MATH, NULL, 0, false},
    {"abs", "x", builtin_abs, "absolute value", MATH, NULL, 0, false},
    {"sign", "x", builtin_sign, "-1, 0 or 1", MATH, NULL, 0, false},
    {"floor", "x", builtin_floor, "largest whole number not above x", MATH, NULL, 0, false},
    {"relu", "x", builtin_relu, "max(x, 0)", MATH, NULL, 0, false},
    {"min", "x, y", builtin_min, "the smaller of two", MATH, NULL, 0, false},
    {"logaddexp", "x, y", builtin_logaddexp, "log(e^x + e^y) without overflow", MATH, NULL, 0, false},
    {"select", "condition, x, y", builtin_select, "x where the condition (a tensor) holds, else y", MATH, NULL, 0,
     false},
    {"float", "x", builtin_float, "whole numbers or truth values as real numbers", MATH, NULL, 0, false},
    {"stop_gradient", "x", builtin_stop_gradient, "x, through which no gradient flows", MATH, NULL, 0, false},
    {"sum", "x, axes =, keep = false", builtin_sum, "sum over `axes` (all); `keep` leaves them with size 1", REDUCTIONS,
     NULL, 0, false},
    {"mean", "x, axes =, keep = false", builtin_mean, "mean over `axes` (all)", REDUCTIONS, NULL, 0, false},
    {"max", "x, y =, axes =, keep = false", builtin_max,
     "the larger of x and y or, without y, the maximum over `axes` (all)", REDUCTIONS, NULL, 0, false},
    {"logsumexp", "x, axes =, keep = false", builtin_logsumexp, "log of the sum of e^x over `axes` (all but the first)",
     REDUCTIONS, NULL, 0, false},
    {"argmax", "x, axis = 1", builtin_argmax, "index of the first maximum along `axis`", REDUCTIONS, NULL, 0, false},
    {"fill", "x, value", builtin_fill, "a masked tensor with `value` in the elements that the mask leaves out",
     REDUCTIONS, NULL, 0, false},
    {0},
};
