/* The interpreter's rules for sources and elementwise operations. */
#include "backend/interp.h"

#include "runtime/random.h"

#include <math.h>

/* ---- sources ----------------------------------------------------------------------------------------------------- */

void eval_constant(const interp_plan *plan, const ir_value *value, double *result) {
    (void)plan;
    for (int64_t i = 0, count = ir_type_elements(&value->type); i < count; i++)
        result[i] = ir_number(value, IR_ATTR_value);
}

void eval_iota(const interp_plan *plan, const ir_value *value, double *result) {
    (void)plan;
    int64_t strides[IR_MAX_RANK], axis = ir_int(value, IR_ATTR_axis);
    interp_strides(&value->type, strides);
    for (int64_t i = 0, count = ir_type_elements(&value->type); i < count; i++)
        result[i] = (double)(i / strides[axis] % value->type.dims[axis]);
}

typedef float (*random_number)(int32_t seed, int32_t step, int32_t stream, int64_t index);

static void fill_random(const interp_plan *plan, const ir_value *value, double *result, random_number draw) {
    int32_t seed = (int32_t)interp_operand(plan, value, 0)[0];
    int32_t step = (int32_t)interp_operand(plan, value, 1)[0];
    for (int64_t i = 0, count = ir_type_elements(&value->type); i < count; i++)
        result[i] = (double)draw(seed, step, (int32_t)ir_int(value, IR_ATTR_stream), i);
}

void eval_random_uniform(const interp_plan *plan, const ir_value *value, double *result) {
    fill_random(plan, value, result, rt_random_uniform);
}

void eval_random_normal(const interp_plan *plan, const ir_value *value, double *result) {
    fill_random(plan, value, result, rt_random_normal);
}

/* ---- whole numbers -------------------------------------------------------------------------------------------------
 */

static bool is_whole(const ir_value *value) {
    return value->operands[0]->type.dtype == IR_I32;
}

/* The 32-bit number that equals `number` modulo 2^32, as the machine's integer arithmetic leaves it. */
static double wrap(int64_t number) {
    uint32_t bits = (uint32_t)(uint64_t)number;
    return bits < 0x80000000u ? (double)bits : (double)bits - 4294967296.0;
}

static double to_whole(double number) {
    if (isnan(number))
        return 0;
    return trunc(fmin(fmax(number, -2147483648.0), 2147483647.0));
}

/* ---- one operand ---------------------------------------------------------------------------------------------------
 */

#define UNARY(name, expression)                                                                                        \
    void eval_##name(const interp_plan *plan, const ir_value *value, double *result) {                                 \
        const double *operand = interp_operand(plan, value, 0);                                                        \
        for (int64_t i = 0, count = ir_type_elements(&value->type); i < count; i++) {                                  \
            double x = operand[i];                                                                                     \
            result[i] = expression;                                                                                    \
        }                                                                                                              \
    }

UNARY(neg, is_whole(value) ? wrap(-(int64_t)x) : -x)
UNARY(abs, is_whole(value) ? wrap((int64_t)fabs(x)) : fabs(x))
UNARY(sign, (double)((x > 0) - (x < 0)))
UNARY(floor, floor(x))
UNARY(exp, exp(x))
UNARY(log, log(x))
UNARY(sqrt, sqrt(x))
UNARY(rsqrt, 1 / sqrt(x))
UNARY(tanh, tanh(x))
UNARY(sin, sin(x))
UNARY(cos, cos(x))
UNARY(relu, x < 0 ? 0 : x)
UNARY(not, x == 0)
UNARY(stop_gradient, x)

void eval_convert(const interp_plan *plan, const ir_value *value, double *result) {
    const double *operand = interp_operand(plan, value, 0);
    for (int64_t i = 0, count = ir_type_elements(&value->type); i < count; i++)
        switch (value->type.dtype) {
        case IR_I32: result[i] = to_whole(operand[i]); break;
        case IR_BOOL: result[i] = operand[i] != 0; break;
        default: result[i] = operand[i];
        }
}

/* ---- two and three operands
 * ------------------------------------------------------------------------------------------ */

#define BINARY(name, expression)                                                                                       \
    void eval_##name(const interp_plan *plan, const ir_value *value, double *result) {                                 \
        const double *left = interp_operand(plan, value, 0), *right = interp_operand(plan, value, 1);                  \
        for (int64_t i = 0, count = ir_type_elements(&value->type); i < count; i++) {                                  \
            double x = left[i], y = right[i];                                                                          \
            result[i] = expression;                                                                                    \
        }                                                                                                              \
    }

/* Dividing a whole number by zero gives 0, so that no input can stop the program. */
static double whole_quotient(double x, double y) {
    return y == 0 ? 0 : wrap((int64_t)x / (int64_t)y);
}

static double whole_remainder(double x, double y) {
    return y == 0 ? 0 : (double)((int64_t)x % (int64_t)y);
}

BINARY(add, is_whole(value) ? wrap((int64_t)x + (int64_t)y) : x + y)
BINARY(sub, is_whole(value) ? wrap((int64_t)x - (int64_t)y) : x - y)
BINARY(mul, is_whole(value) ? wrap((int64_t)x *(int64_t)y) : x *y)
BINARY(div, is_whole(value) ? whole_quotient(x, y) : x / y)
BINARY(rem, is_whole(value) ? whole_remainder(x, y) : fmod(x, y))
BINARY(pow, pow(x, y))
BINARY(max, x < y || isnan(y) ? y : x)
BINARY(min, y < x || isnan(y) ? y : x)
BINARY(equal, x == y)
BINARY(less, x < y)
BINARY(less_equal, x <= y)
BINARY(and, x != 0 && y != 0)
BINARY(or, x != 0 || y != 0)

void eval_select(const interp_plan *plan, const ir_value *value, double *result) {
    const double *condition = interp_operand(plan, value, 0);
    const double *yes = interp_operand(plan, value, 1), *no = interp_operand(plan, value, 2);
    for (int64_t i = 0, count = ir_type_elements(&value->type); i < count; i++)
        result[i] = condition[i] != 0 ? yes[i] : no[i];
}
