/* Convolutions as products of matrices in f32. Where the window is the whole map, its one place has too few sums for a
 * register tile, which takes images instead. */
#include "passes/conv_maps.h"
#include "passes/lower_dot.h"

static bool is_whole_map(const conv_shape *shape) {
    bool whole = shape->groups == 1;
    for (int i = 0; i < 2; i++)
        whole &= shape->out[i] == 1 && shape->kernel[i] == shape->size[i] && shape->padding[2 * i] == 0 &&
                 shape->padding[2 * i + 1] == 0 && (shape->dilation[i] == 1 || shape->kernel[i] == 1);
    return whole;
}

/* Whether the weights are those of one tap, and more than all places of either map: sums of so few places are not worth
 * adding up in parts. */
static bool has_few_places(const conv_shape *shape) {
    int64_t places = shape->n * shape->out[0] * shape->out[1];
    bool points = shape->groups == 1 && places <= shape->channels && places <= shape->filters;
    for (int i = 0; i < 2; i++)
        points &= shape->kernel[i] == 1 && shape->stride[i] == 1 && shape->padding[2 * i] == 0 &&
                  shape->padding[2 * i + 1] == 0;
    return points;
}

static bool is_f32(lower_context *context, const ir_value *value) {
    return context->program->buffers[lower_value_buffer(context, value)].element == KIR_F32;
}

bool lower_conv_product(lower_context *context, const ir_value *value, const conv_shape *shape, const char *name) {
    const ir_value *const *operands = (const ir_value *const *)value->operands;
    bool weights = value->opcode == IR_OP_conv2d_weight_grad, forward = value->opcode == IR_OP_conv2d;
    if (!(is_whole_map(shape) || (weights && has_few_places(shape))) || !is_f32(context, operands[0]) ||
        !is_f32(context, operands[1]) || !is_f32(context, value))
        return false;
    ir_layout map = lower_channels_last(), weight = lower_conv_weight(), layout = weights ? weight : map;
    int left = lower_buffer_in_layout(context, operands[0], map);
    int right = lower_buffer_in_layout(context, operands[1], weights ? map : weight);
    int result = lower_result_buffer_in_layout(context, value, layout);
    int64_t window = shape->kernel[0] * shape->kernel[1] * shape->channels;
    dot_sizes sizes = {1, shape->n, shape->filters, window};
    if (weights)
        sizes = (dot_sizes){1, window, shape->filters, shape->n * shape->out[0] * shape->out[1]};
    else if (!forward)
        sizes = (dot_sizes){1, shape->n, window, shape->filters};
    dot_operands matrices = {
        .left = left, .left_turned = weights, .right = right, .right_matrix = lower_rows_matrix(&sizes)};
    if (!weights && !forward) { /* the weights lie the other way round */
        matrices.right_matrix.inner_stride = 1;
        matrices.right_matrix.column_stride = sizes.k;
    }
    lower_product(context, name, &sizes, &matrices, result, value->span);
    lower_finish_result(context, value, layout, result);
    return true;
}
