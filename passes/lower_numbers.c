/* Arithmetic of the tensor IR that one kernel instruction does not give: NaN wins every maximum and minimum, as in
 * PyTorch, and whole numbers divide and convert without a case that stops the program. */
#include "passes/lower_nest.h"

static kir_type type_of(const kir_builder *builder, kir_reg reg) {
    return builder->kernel->registers[reg];
}

static kir_reg is_number(const kir_builder *builder, kir_reg x) {
    return kir_op2(builder, KIR_equal, x, x);
}

/* The instruction gives y when either is NaN, so that only x's has to be kept. */
static kir_reg extreme(const kir_builder *builder, kir_opcode opcode, kir_reg x, kir_reg y) {
    kir_reg found = kir_op2(builder, opcode, x, y);
    if (type_of(builder, x).element != KIR_F32)
        return found;
    return kir_op3(builder, KIR_select, is_number(builder, x), found, x);
}

kir_reg lower_maximum(const kir_builder *builder, kir_reg x, kir_reg y) {
    return extreme(builder, KIR_max, x, y);
}

kir_reg lower_minimum(const kir_builder *builder, kir_reg x, kir_reg y) {
    return extreme(builder, KIR_min, x, y);
}

kir_reg lower_largest_lane(const kir_builder *builder, kir_reg x) {
    kir_type type = type_of(builder, x);
    kir_reg largest = kir_op1(builder, KIR_max_lanes, x);
    if (type.element != KIR_F32 || type.lanes == 1)
        return largest;
    kir_reg nans = kir_op3(builder, KIR_select, is_number(builder, x), kir_number(builder, type, 0), x);
    return kir_op2(builder, KIR_add, largest, kir_op1(builder, KIR_sum_lanes, nans));
}

kir_reg lower_is_larger(const kir_builder *builder, kir_reg element, kir_reg best) {
    if (type_of(builder, best).element != KIR_F32)
        return kir_op2(builder, KIR_less, best, element);
    kir_reg larger = kir_op1(builder, KIR_not, kir_op2(builder, KIR_less_equal, element, best));
    return kir_op2(builder, KIR_and, larger, is_number(builder, best));
}

/* Division by 0 and by -1, whose quotient may not fit, is replaced by division by 1. */
kir_reg lower_whole_division(const kir_builder *builder, kir_opcode opcode, kir_reg x, kir_reg y) {
    kir_type type = type_of(builder, x);
    kir_reg zero = kir_number(builder, type, 0), one = kir_number(builder, type, 1);
    kir_reg by_zero = kir_op2(builder, KIR_equal, y, zero);
    kir_reg by_minus_one = kir_op2(builder, KIR_equal, y, kir_number(builder, type, -1));
    kir_reg divisor = kir_op3(builder, KIR_select, kir_op2(builder, KIR_or, by_zero, by_minus_one), one, y);
    kir_reg result = kir_op2(builder, opcode, x, divisor);
    if (opcode == KIR_rem)
        return result;
    result = kir_op3(builder, KIR_select, by_minus_one, kir_op2(builder, KIR_sub, zero, x), result);
    return kir_op3(builder, KIR_select, by_zero, zero, result);
}

kir_reg lower_to_whole(const kir_builder *builder, kir_reg x) {
    kir_type type = type_of(builder, x), whole = kir_vector_type(KIR_I32, type.lanes);
    const double low = -2147483648.0, largest_below = 2147483520.0;
    kir_reg bounded = kir_op2(builder, KIR_max, x, kir_number(builder, type, low));
    bounded = kir_op2(builder, KIR_min, bounded, kir_number(builder, type, largest_below));
    kir_reg result = kir_convert(builder, bounded, KIR_I32);
    kir_reg above = kir_op2(builder, KIR_less, kir_number(builder, type, largest_below), x);
    result = kir_op3(builder, KIR_select, above, kir_number(builder, whole, 2147483647.0), result);
    return kir_op3(builder, KIR_select, is_number(builder, x), result, kir_number(builder, whole, 0));
}
