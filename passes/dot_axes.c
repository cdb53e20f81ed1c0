/* What a dot does with the axes of one of its operands. */
#include "passes/dot_axes.h"

static bool lists(const ir_attr *axes, int axis) {
    for (int i = 0; i < axes->count; i++)
        if (axes->as.ints[i] == axis)
            return true;
    return false;
}

dot_axes dot_axes_of(const ir_value *dot, int side) {
    dot_axes axes = {.batch = ir_attr_get(dot, side == 0 ? IR_ATTR_lhs_batch : IR_ATTR_rhs_batch),
                     .contract = ir_attr_get(dot, side == 0 ? IR_ATTR_lhs_contract : IR_ATTR_rhs_contract)};
    for (int axis = 0; axis < dot->operands[side]->type.rank; axis++)
        if (!lists(axes.batch, axis) && !lists(axes.contract, axis))
            axes.free[axes.free_count++] = axis;
    return axes;
}
