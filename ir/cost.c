/* Estimated floating-point operations, by the cost rule of the operation table. */
#include "ir/ir.h"

enum { FUNCTION_COST = 12, RANDOM_COST = 40 }; /* operations of a polynomial, and of a Philox block a number */

static double elements(const ir_type *type) {
    return (double)ir_type_elements(type);
}

static double cost_zero(const ir_value *value) {
    (void)value;
    return 0;
}

static double cost_element(const ir_value *value) {
    return elements(&value->type);
}

static double cost_function(const ir_value *value) {
    return FUNCTION_COST * elements(&value->type);
}

static double cost_random(const ir_value *value) {
    return RANDOM_COST * elements(&value->type);
}

static double cost_reduction(const ir_value *value) {
    return elements(&value->operands[0]->type);
}

static double cost_window(const ir_value *value) {
    const int64_t *kernel = ir_ints(value, IR_ATTR_kernel);
    const ir_value *last = value->operands[value->operand_count - 1];
    int64_t places = ir_type_elements(&value->type), of_operand = ir_type_elements(&last->type);
    return (double)kernel[0] * (double)kernel[1] * (double)(places < of_operand ? places : of_operand);
}

static double cost_dot(const ir_value *value) {
    const ir_attr *axes = ir_attr_get(value, IR_ATTR_lhs_contract);
    double products = elements(&value->type);
    for (int i = 0; i < axes->count; i++)
        products *= (double)value->operands[0]->type.dims[axes->as.ints[i]];
    return 2 * products;
}

static double convolution(const ir_type *weights, const ir_type *result) {
    return 2 * elements(result) * (double)weights->dims[1] * (double)weights->dims[2] * (double)weights->dims[3];
}

static double cost_conv2d(const ir_value *value) {
    return convolution(&value->operands[1]->type, &value->type);
}

static double cost_conv2d_input_grad(const ir_value *value) {
    return convolution(&value->operands[1]->type, &value->operands[0]->type);
}

static double cost_conv2d_weight_grad(const ir_value *value) {
    return convolution(&value->type, &value->operands[1]->type);
}

double ir_cost(const ir_value *value) {
#define OP(name, operands, class_, shape, derivative, cost, attrs, doc) cost_##cost,
    static double (*const rules[])(const ir_value *) = {
#include "ir/ops.def"
    };
    return rules[value->opcode](value);
}
