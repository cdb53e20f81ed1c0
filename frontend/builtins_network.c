/* Products, convolutions, pools. */
#include "frontend/builtins.h"

#include <string.h>

/* [.., M, K] x [.., K, N] with equal leading axes. */
static fe_value builtin_matmul(fe_context *context, fe_value *arguments, source_span span) {
    ir_value *operands[] = {fe_to_tensor(context, &arguments[0], "a"), NULL};
    operands[1] = operands[0] ? fe_to_tensor(context, &arguments[1], "b") : NULL;
    if (!operands[1])
        return fe_error(span);
    const ir_type *a = &operands[0]->type, *b = &operands[1]->type;
    if (a->rank < 2 || a->rank != b->rank)
        return fe_fail(context, span, "matmul needs two matrices, or equal leading axes: %s and %s",
                       ir_shape_text(context->memory, a), ir_shape_text(context->memory, b));
    int64_t leading[IR_MAX_RANK], left_sum = a->rank - 1, right_sum = b->rank - 2;
    for (int i = 0; i < a->rank - 2; i++)
        leading[i] = i;
    ir_attr attrs[] = {ir_attr_ints_make(context->memory, IR_ATTR_lhs_batch, leading, a->rank - 2),
                       ir_attr_ints_make(context->memory, IR_ATTR_rhs_batch, leading, a->rank - 2),
                       ir_attr_ints_make(context->memory, IR_ATTR_lhs_contract, &left_sum, 1),
                       ir_attr_ints_make(context->memory, IR_ATTR_rhs_contract, &right_sum, 1)};
    return fe_wrap(fe_build(context, IR_OP_dot, operands, 2, attrs, 4, NULL, span), span);
}

/* Padding as one number, [height, width], or [top, bottom, left, right]. */
static bool to_padding(fe_context *context, const fe_value *value, int64_t *padding) {
    int count;
    if (value->kind == FE_VALUE_NUMBER)
        return fe_to_sizes(context, value, "padding", 0, 4, 4, padding, &count);
    int64_t given[4];
    if (!fe_to_sizes(context, value, "padding", 0, 4, 0, given, &count))
        return false;
    if (count != 2 && count != 4) {
        fe_fail(context, value->span, "padding takes 1, 2 or 4 numbers, not %d", count);
        return false;
    }
    for (int i = 0; i < 4; i++)
        padding[i] = count == 4 ? given[i] : given[i / 2];
    return true;
}

static fe_value builtin_conv2d(fe_context *context, fe_value *arguments, source_span span) {
    ir_value *operands[] = {fe_to_tensor(context, &arguments[0], "x"), NULL};
    operands[1] = operands[0] ? fe_to_tensor(context, &arguments[1], "weight") : NULL;
    int64_t stride[2], padding[4], dilation[2], groups;
    int count;
    if (!operands[1] || !fe_to_sizes(context, &arguments[2], "stride", 1, 2, 2, stride, &count) ||
        !to_padding(context, &arguments[3], padding) ||
        !fe_to_sizes(context, &arguments[4], "dilation", 1, 2, 2, dilation, &count) ||
        !fe_to_size(context, &arguments[5], "groups", 1, &groups))
        return fe_error(span);
    ir_attr attrs[] = {ir_attr_ints_make(context->memory, IR_ATTR_stride, stride, 2),
                       ir_attr_ints_make(context->memory, IR_ATTR_padding, padding, 4),
                       ir_attr_ints_make(context->memory, IR_ATTR_dilation, dilation, 2),
                       ir_attr_int_make(context->memory, IR_ATTR_groups, groups)};
    return fe_wrap(fe_build(context, IR_OP_conv2d, operands, 2, attrs, 4, NULL, span), span);
}

static fe_value pool(fe_context *context, ir_opcode opcode, fe_value *arguments, source_span span) {
    ir_value *tensor = fe_to_tensor(context, &arguments[0], "x");
    int64_t kernel[2], stride[2], padding[4];
    int count;
    const fe_value *step = arguments[2].kind == FE_VALUE_NONE ? &arguments[1] : &arguments[2];
    if (!tensor || !fe_to_sizes(context, &arguments[1], "kernel", 1, 2, 2, kernel, &count) ||
        !fe_to_sizes(context, step, "stride", 1, 2, 2, stride, &count) || !to_padding(context, &arguments[3], padding))
        return fe_error(span);
    ir_attr attrs[] = {ir_attr_ints_make(context->memory, IR_ATTR_kernel, kernel, 2),
                       ir_attr_ints_make(context->memory, IR_ATTR_stride, stride, 2),
                       ir_attr_ints_make(context->memory, IR_ATTR_padding, padding, 4)};
    return fe_wrap(fe_build(context, opcode, &tensor, 1, attrs, 3, NULL, span), span);
}

static fe_value builtin_max_pool(fe_context *context, fe_value *arguments, source_span span) {
    return pool(context, IR_OP_max_pool2d, arguments, span);
}

static fe_value builtin_avg_pool(fe_context *context, fe_value *arguments, source_span span) {
    return pool(context, IR_OP_avg_pool2d, arguments, span);
}

#define NETWORK "Products, convolutions, pools"
const fe_builtin fe_builtins_network[] = {
    {"matmul", "a, b", builtin_matmul, "matrix product over the last two axes; leading axes are equal", NETWORK, NULL,
     0, false},
    {"conv2d", "x, weight, stride = 1, padding = 0, dilation = 1, groups = 1", builtin_conv2d,
     "x [N, C, H, W] with weights [O, C / groups, KH, KW]; padding: one number, [height, width] or [top, bottom, left, "
     "right]",
     NETWORK, NULL, 0, false},
    {"max_pool", "x, kernel, stride =, padding = 0", builtin_max_pool,
     "maximum of each window; the stride is the kernel's size unless given", NETWORK, NULL, 0, false},
    {"avg_pool", "x, kernel, stride =, padding = 0", builtin_avg_pool, "mean of each window, padding counted", NETWORK,
     NULL, 0, false},
    {0},
};
