/* conv2d and conv2d_input_grad as maps convolved with taps, and the choice of how they are computed. */
#include "passes/conv_maps.h"
#include "passes/pair_forms.h"
#include "passes/winograd.h"

static int64_t larger(int64_t a, int64_t b) {
    return a > b ? a : b;
}

/* The zeros around the source that the taps of all phases reach. */
static void find_margins(conv_maps *maps) {
    for (int axis = 0; axis < 2; axis++) {
        int64_t lowest = 0, highest = maps->source_size[axis] - 1;
        for (int64_t p = 0; p < maps->phase_counts[axis]; p++) {
            const phase_axis *phase = &maps->phases[axis][p];
            if (phase->count == 0 || phase->places == 0)
                continue;
            int64_t ends[2] = {phase->offset, phase->offset + (phase->count - 1) * phase->offset_step};
            for (int e = 0; e < 2; e++) {
                lowest = ends[e] < lowest ? ends[e] : lowest;
                highest = larger(highest, ends[e] + (phase->places - 1) * maps->in_steps[axis]);
            }
        }
        maps->margin[2 * axis] = -lowest;
        maps->margin[2 * axis + 1] = highest - (maps->source_size[axis] - 1);
    }
}

static const char *conv_name(lower_context *context, const char *what, const conv_shape *shape) {
    return arena_printf(context->memory, "%s_%lldx%lld_%lldx%lld_s%lld_%lldx%lld", what, (long long)shape->channels,
                        (long long)shape->filters, (long long)shape->kernel[0], (long long)shape->kernel[1],
                        (long long)shape->stride[0], (long long)shape->size[0], (long long)shape->size[1]);
}

/* What both directions have in common: the weights' panels and the margins. The rest has been set. */
static void complete(conv_maps *maps) {
    maps->weights.batch = maps->shape.groups;
    maps->weights.outer = maps->shape.kernel[0] * maps->shape.kernel[1];
    maps->weights.inner = maps->group_in;
    maps->weights.columns = maps->group_out;
    find_margins(maps);
}

static conv_maps forward_maps(lower_context *context, const ir_value *value) {
    conv_maps maps = {.shape = lower_conv_shape(value)};
    const conv_shape *shape = &maps.shape;
    phase_axis *axes = arena_alloc(context->memory, 2 * sizeof *axes);
    for (int i = 0; i < 2; i++) {
        axes[i] = (phase_axis){.count = shape->kernel[i],
                               .offset = -shape->padding[2 * i],
                               .offset_step = shape->dilation[i],
                               .weight_step = 1,
                               .places = shape->out[i]};
        maps.phases[i] = &axes[i];
        maps.phase_counts[i] = 1;
        maps.source_size[i] = shape->size[i];
        maps.target_size[i] = shape->out[i];
        maps.in_steps[i] = shape->stride[i];
        maps.out_step[i] = 1;
    }
    maps.name = conv_name(context, "conv2d", shape);
    maps.source_channels = shape->channels;
    maps.target_channels = shape->filters;
    maps.group_in = shape->channels / shape->groups;
    maps.group_out = shape->filters / shape->groups;
    maps.weights = (panel_matrix){.batch_stride = maps.group_out,
                                  .outer_stride = maps.group_in * shape->filters,
                                  .inner_stride = shape->filters,
                                  .column_stride = 1};
    complete(&maps);
    return maps;
}

/* Places p, p + s, … of the input's axis get from output o = (place + padding - k * dilation) / s, for the k that
 * divide. */
static phase_axis gradient_phase(const conv_shape *shape, int axis, int64_t p) {
    int64_t stride = shape->stride[axis], dilation = shape->dilation[axis];
    int64_t period = stride / kir_common_divisor(stride, dilation);
    phase_axis phase = {.first = p, .weight_step = period, .offset_step = -period * dilation / stride};
    phase.places = p < shape->size[axis] ? (shape->size[axis] - 1 - p) / stride + 1 : 0;
    for (int64_t k = 0; k < shape->kernel[axis]; k++) {
        int64_t reach = p + shape->padding[2 * axis] - k * dilation;
        if (reach % stride != 0)
            continue;
        if (phase.count++ == 0) {
            phase.weight = k;
            phase.offset = reach / stride;
        }
    }
    return phase;
}

static conv_maps input_grad_maps(lower_context *context, const ir_value *value) {
    conv_maps maps = {.shape = lower_conv_shape(value)};
    const conv_shape *shape = &maps.shape;
    for (int i = 0; i < 2; i++) {
        phase_axis *axis = arena_alloc(context->memory, (size_t)shape->stride[i] * sizeof *axis);
        for (int64_t p = 0; p < shape->stride[i]; p++)
            axis[p] = gradient_phase(shape, i, p);
        maps.phases[i] = axis;
        maps.phase_counts[i] = shape->stride[i];
        maps.source_size[i] = shape->out[i];
        maps.target_size[i] = shape->size[i];
        maps.in_steps[i] = 1;
        maps.out_step[i] = shape->stride[i];
    }
    maps.name = conv_name(context, "conv2d_input_grad", shape);
    maps.source_channels = shape->filters;
    maps.target_channels = shape->channels;
    maps.group_in = shape->filters / shape->groups;
    maps.group_out = shape->channels / shape->groups;
    maps.weights = (panel_matrix){.batch_stride = maps.group_in,
                                  .outer_stride = maps.group_out * shape->filters,
                                  .inner_stride = 1,
                                  .column_stride = shape->filters};
    complete(&maps);
    return maps;
}

bool lower_conv_is_of_points(const conv_shape *shape) {
    bool padded = false;
    for (int i = 0; i < 4; i++)
        padded |= shape->padding[i] != 0;
    return !padded && shape->kernel[0] * shape->kernel[1] == 1 && shape->stride[0] * shape->stride[1] == 1;
}

/* ---- the choice ---------------------------------------------------------------------------------------------------
 */

typedef bool (*by_winograd)(lower_context *context, const ir_value *value, const conv_shape *shape);

static bool lower_maps(lower_context *context, const ir_value *value, const conv_maps *maps, by_winograd winograd) {
    if (lower_conv_pairs_pay(context->pass, &maps->shape))
        return lower_conv_pairs(context, value, maps);
    if (lower_conv_product(context, value, &maps->shape, maps->name))
        return true;
    return winograd_pays(&maps->shape, &context->pass->target) ? winograd(context, value, &maps->shape)
                                                               : lower_conv_sums(context, value, maps);
}

bool lower_conv_forward(lower_context *context, const ir_value *value) {
    conv_maps maps = forward_maps(context, value);
    return lower_maps(context, value, &maps, lower_winograd_forward);
}

bool lower_conv_input_grad(lower_context *context, const ir_value *value) {
    conv_maps maps = input_grad_maps(context, value);
    return lower_maps(context, value, &maps, lower_winograd_input_grad);
}

static pair_form source_form(const lower_context *context, const conv_maps *maps) {
    int64_t n = maps->shape.n;
    pair_form form = {PAIRS_OF_CHANNELS};
    form.images = lower_divisor_below(n, pair_panel_rows(&context->pass->target, n, maps->target_channels));
    return form;
}

bool lower_conv_form(lower_context *context, const ir_value *conv, int operand, pair_form *form) {
    if (context->pass->product_parts == 0)
        return false;
    if (conv->opcode == IR_OP_conv2d_weight_grad) {
        conv_shape shape = lower_conv_shape(conv);
        pair_form forms[2];
        if (!lower_conv_pairs_pay(context->pass, &shape))
            return false;
        lower_weight_grad_forms(context->pass, &shape, forms);
        *form = forms[operand];
        return true;
    }
    if (operand != 0 || (conv->opcode != IR_OP_conv2d && conv->opcode != IR_OP_conv2d_input_grad))
        return false;
    conv_maps maps = conv->opcode == IR_OP_conv2d ? forward_maps(context, conv) : input_grad_maps(context, conv);
    *form = source_form(context, &maps);
    return lower_conv_pairs_pay(context->pass, &maps.shape);
}
