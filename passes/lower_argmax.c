/* argmax: the place of the first largest element along an axis, one result an iteration. */
#include "passes/lower_nest.h"

bool lower_argmax(lower_context *context, const ir_value *value) {
    const ir_value *operand = value->operands[0];
    int64_t axis = ir_int(value, IR_ATTR_axis);
    lower_kernel kernel = lower_kernel_begin(context, "argmax", value);
    kir_builder *builder = &kernel.builder;
    lower_coordinate at[IR_MAX_RANK], kept[IR_MAX_RANK];
    lower_split_iteration(&kernel, &value->type, value->layout.axis, value->type.rank, kept);
    for (int i = 0; i < operand->type.rank; i++)
        if (i != axis)
            at[i] = kept[i < axis ? i : i - 1];
    kir_type type = kir_scalar_type(lower_element(operand->type.dtype)), whole = kir_scalar_type(KIR_I32);
    kir_reg best = kir_register(builder, type), place = kir_register(builder, whole);
    at[axis] = (lower_coordinate){kir_at(0), 0};
    kir_assign(builder, best, lower_element_at(&kernel, operand, at, 1, 1));
    kir_assign(builder, place, kir_number(builder, whole, 0));
    kir_builder outer = *builder, body;
    kir_reg index = kir_loop(&outer, kir_at(1), kir_at(operand->type.dims[axis]), 1, &body);
    at[axis].base = kir_plus(kir_at(0), 1, index);
    kernel.builder = body;
    kir_reg element = lower_element_at(&kernel, operand, at, 1, 1);
    kir_reg better = lower_is_larger(builder, element, best);
    kir_reg number = kir_convert(builder, index, KIR_I32);
    kir_into(builder, best, KIR_select, better, element, best);
    kir_into(builder, place, KIR_select, better, number, place);
    kernel.builder = outer;
    lower_store_at(&kernel, lower_result_buffer(context, value), &value->type, &value->layout, kept, place, 1);
    lower_kernel_launch(&kernel, ir_type_elements(&value->type));
    return true;
}
