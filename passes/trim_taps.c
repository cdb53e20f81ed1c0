/* trim-taps: convolutions without the taps that nowhere reach the map.
 *
 * Where a map is small, outer taps of a kernel read nothing but padding: of 3 x 3 taps around a map of 1 x 1 only the
 * middle one reads a number. Such taps are sliced off the weights, whose gradient is then 0 there. A convolution that
 * is left with one place along an axis has no stride along it. Runs before `differentiate`, so that the gradients are
 * those of the smaller convolution. */
#include "passes/pass.h"

typedef struct {
    int64_t size, out, kernel, stride, dilation, low, high; /* low, high: padding */
    int64_t first;                                          /* of the taps that are left */
} conv_axis;

static int64_t reach_of(int64_t taps, int64_t dilation) {
    return dilation * (taps - 1) + 1;
}

/* Whether some place of the result reads an element of the map through the tap. */
static bool reaches(const conv_axis *axis, int64_t tap) {
    for (int64_t place = 0; place < axis->out; place++) {
        int64_t at = place * axis->stride - axis->low + tap * axis->dilation;
        if (at >= 0 && at < axis->size)
            return true;
    }
    return false;
}

/* Drops taps from both ends while the padding can shrink by as much: it is never negative. */
static void trim_axis(conv_axis *axis) {
    for (; axis->kernel > 1 && axis->low >= axis->dilation && !reaches(axis, 0); axis->kernel--, axis->first++)
        axis->low -= axis->dilation;
    for (; axis->kernel > 1 && axis->high >= axis->dilation && !reaches(axis, axis->kernel - 1); axis->kernel--)
        axis->high -= axis->dilation;
    int64_t unread = axis->size + axis->low + axis->high - reach_of(axis->kernel, axis->dilation);
    if (axis->out == 1 && unread <= axis->high) {
        axis->high -= unread;
        axis->stride = 1;
    }
    if (axis->kernel == 1)
        axis->dilation = 1;
}

static conv_axis axis_of(const ir_value *conv, int axis) {
    const ir_type *x = &conv->operands[0]->type, *w = &conv->operands[1]->type;
    const int64_t *padding = ir_ints(conv, IR_ATTR_padding);
    return (conv_axis){.size = x->dims[2 + axis],
                       .out = conv->type.dims[2 + axis],
                       .kernel = w->dims[2 + axis],
                       .stride = ir_ints(conv, IR_ATTR_stride)[axis],
                       .dilation = ir_ints(conv, IR_ATTR_dilation)[axis],
                       .low = padding[2 * axis],
                       .high = padding[2 * axis + 1]};
}

static ir_value *taps_left(const ir_builder *builder, ir_value *weights, const conv_axis axes[2]) {
    if (weights->type.dims[2] == axes[0].kernel && weights->type.dims[3] == axes[1].kernel)
        return weights;
    int64_t start[4] = {0, 0, axes[0].first, axes[1].first}, stride[4] = {1, 1, 1, 1}, limit[4];
    for (int i = 0; i < 4; i++)
        limit[i] = i < 2 ? weights->type.dims[i] : start[i] + axes[i - 2].kernel;
    return ir_slice(builder, weights, start, limit, stride);
}

static ir_value *smaller_conv(const ir_builder *builder, const ir_value *conv, const conv_axis axes[2]) {
    arena *memory = builder->function->module->memory;
    int64_t stride[2], dilation[2], padding[4];
    for (int i = 0; i < 2; i++) {
        stride[i] = axes[i].stride;
        dilation[i] = axes[i].dilation;
        padding[2 * i] = axes[i].low;
        padding[2 * i + 1] = axes[i].high;
    }
    ir_attr attrs[] = {ir_attr_ints_make(memory, IR_ATTR_stride, stride, 2),
                       ir_attr_ints_make(memory, IR_ATTR_padding, padding, 4),
                       ir_attr_ints_make(memory, IR_ATTR_dilation, dilation, 2), *ir_attr_get(conv, IR_ATTR_groups)};
    ir_value *operands[] = {conv->operands[0], taps_left(builder, conv->operands[1], axes)};
    return ir_build(builder->function, builder->before, IR_OP_conv2d, operands, 2, attrs, 4, NULL, builder->span);
}

static bool is_smaller(const conv_axis *trimmed, const conv_axis *axis) {
    return trimmed->kernel < axis->kernel || trimmed->stride < axis->stride;
}

bool pass_trim_taps(pass_context *context) {
    for (int i = 0; i < context->module->function_count; i++) {
        ir_function *function = context->module->functions[i];
        for (ir_value *value = function->first, *next; value; value = next) {
            next = value->next;
            if (value->opcode != IR_OP_conv2d)
                continue;
            conv_axis axes[] = {axis_of(value, 0), axis_of(value, 1)}, trimmed[] = {axes[0], axes[1]};
            trim_axis(&trimmed[0]);
            trim_axis(&trimmed[1]);
            if (!is_smaller(&trimmed[0], &axes[0]) && !is_smaller(&trimmed[1], &axes[1]))
                continue;
            ir_builder builder = {function, value, value->span};
            ir_value *smaller = smaller_conv(&builder, value, trimmed);
            ir_replace_uses(value, smaller);
            ir_remove(function, value);
        }
    }
    return true;
}
