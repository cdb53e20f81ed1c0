/* conv2d and conv2d_input_grad: maps convolved with taps. Both are the same core: every place of the target sums, over
 * a regular grid of taps, rows of the (padded) source times a matrix of weights. The input's gradient with stride s
 * splits the target into s x s phases, each with its own taps, so that no product with a zero is computed. */
#include "passes/winograd.h"

#include <string.h>

/* The taps of one axis that reach one phase: tap t reads the source at place * step + offset + t * offset_step and uses
 * the weights' row weight + t * weight_step. */
typedef struct {
    int64_t count, offset, offset_step, weight, weight_step;
    int64_t first, places; /* of the phase in the target: first, first + stride, … */
} phase_axis;

typedef struct {
    const kir_target *cpu;
    conv_shape shape;
    int source, weights, target; /* arguments; the source may be the padded copy */
    padded_maps maps;
    kir_index source_base; /* of this iteration's images */
    kir_index first_image; /* of this iteration, in the target */
    int64_t target_size[2], target_channels;
    int64_t out_step[2], in_steps[2]; /* between neighbouring places, in target and source */
    int64_t group_in, group_out;      /* channels of a group in source and target */
    int64_t panel;                    /* target channels of a register tile */
    int64_t weight_rows;              /* taps times source channels: of a panel of the weights */
    int64_t kernel_columns;
    const phase_axis *phase[2];
    /* what the nested emitters are at */
    int64_t group;
    kir_index columns_first, image, row, column;
    int64_t columns, tile_rows, tile_columns;
} conv_core;

/* sums[r, c] over taps and channels, for a tile of tile_rows x tile_columns places. */
static void emit_tile(kir_builder *builder, conv_core *core) {
    register_tile tile = tile_new(builder, core->cpu, (int)(core->tile_rows * core->tile_columns), core->columns);
    tile_clear(builder, &tile);
    const phase_axis *vertical = core->phase[0], *horizontal = core->phase[1];
    kir_builder outer = *builder, body = outer;
    kir_reg tap[2], channel;
    if (vertical->count > 0 && horizontal->count > 0) {
        for (int i = 0; i < 2; i++) {
            kir_builder inner;
            tap[i] = kir_loop(&body, kir_at(0), kir_at(core->phase[i]->count), 1, &inner);
            body = inner;
        }
        kir_builder inner;
        channel = kir_loop(&body, kir_at(0), kir_at(core->group_in), 1, &inner);
        kir_index base = kir_plus_index(core->source_base, core->maps.image, core->image);
        base.base += core->group * core->group_in;
        base = kir_plus(base, 1, channel);
        int64_t strides[2] = {core->maps.row, core->maps.channels};
        const kir_index *place[2] = {&core->row, &core->column};
        for (int i = 0; i < 2; i++) {
            base = kir_plus_index(base, strides[i] * core->in_steps[i], *place[i]);
            base = kir_plus(base, strides[i] * core->phase[i]->offset_step, tap[i]);
            base.base += strides[i] * (core->phase[i]->offset + core->maps.margin[2 * i]);
        }
        kir_index rows[TILE_MAX_ROWS];
        for (int64_t r = 0; r < core->tile_rows; r++)
            for (int64_t c = 0; c < core->tile_columns; c++) {
                rows[r * core->tile_columns + c] = base;
                rows[r * core->tile_columns + c].base +=
                    r * strides[0] * core->in_steps[0] + c * strides[1] * core->in_steps[1];
            }
        kir_index tap_number = kir_at(vertical->weight * core->kernel_columns + horizontal->weight);
        tap_number = kir_plus(tap_number, vertical->weight_step * core->kernel_columns, tap[0]);
        tap_number = kir_plus(tap_number, horizontal->weight_step, tap[1]);
        kir_index weights = kir_plus_index(kir_at(core->group * core->weight_rows * core->group_out), core->weight_rows,
                                           core->columns_first);
        weights = kir_plus_index(weights, core->columns * core->group_in, tap_number);
        weights = kir_plus(weights, core->columns, channel);
        tile_multiply(&inner, &tile, core->maps.argument, rows, core->weights, weights);
    }
    int64_t pixel = core->target_channels, line = core->target_size[1] * pixel;
    kir_index target = kir_plus_index(kir_at(core->group * core->group_out), 1, core->columns_first);
    target = kir_plus_index(target, core->target_size[0] * line, kir_plus_index(core->first_image, 1, core->image));
    target = kir_plus_index(target, core->out_step[0] * line, core->row);
    target = kir_plus_index(target, core->out_step[1] * pixel, core->column);
    target.base += vertical->first * line + horizontal->first * pixel;
    kir_index places[TILE_MAX_ROWS];
    for (int64_t r = 0; r < core->tile_rows; r++)
        for (int64_t c = 0; c < core->tile_columns; c++) {
            places[r * core->tile_columns + c] = target;
            places[r * core->tile_columns + c].base += r * core->out_step[0] * line + c * core->out_step[1] * pixel;
        }
    tile_store(&outer, &tile, core->target, places);
}

/* ---- the nest around a tile: groups, columns, images, rows, columns of places
 * --------------------------------------------------------- */

static void emit_place_columns(kir_builder *builder, kir_index first, int64_t size, void *user) {
    conv_core *core = user;
    core->column = first;
    core->tile_columns = size;
    emit_tile(builder, core);
}

static void emit_place_rows(kir_builder *builder, kir_index first, int64_t size, void *user) {
    conv_core *core = user;
    core->row = first;
    core->tile_rows = size;
    int64_t limit = tile_rows_for(core->cpu, tile_vectors_for(core->cpu, core->columns)) / size;
    tile_blocks(builder, core->phase[1]->places, tile_even_size(core->phase[1]->places, limit), emit_place_columns,
                core);
}

/* Narrow maps take several rows into one tile. */
static void emit_images(kir_builder *builder, kir_index first, int64_t size, void *user) {
    conv_core *core = user;
    core->columns_first = first;
    core->columns = size;
    kir_builder body = *builder;
    core->image = kir_at(0);
    if (core->maps.images > 1) {
        kir_reg image = kir_loop(builder, kir_at(0), kir_at(core->maps.images), 1, &body);
        core->image = kir_plus(kir_at(0), 1, image);
    }
    int64_t rows = tile_rows_for(core->cpu, tile_vectors_for(core->cpu, size)) / core->phase[1]->places;
    rows = rows < 1 ? 1 : rows > core->phase[0]->places ? core->phase[0]->places : rows;
    tile_blocks(&body, core->phase[0]->places, rows, emit_place_rows, core);
}

static void emit_phase(kir_builder *builder, conv_core *core) {
    for (core->group = 0; core->group < core->shape.groups; core->group++)
        tile_blocks(builder, core->group_out, core->panel, emit_images, core);
}

static int64_t larger(int64_t a, int64_t b) {
    return a > b ? a : b;
}

/* The zeros around the source that the taps of all phases reach. */
static void find_margins(const conv_core *core, const phase_axis *phases[2], const int64_t *phase_counts,
                         const int64_t size[2], int64_t margin[4]) {
    for (int axis = 0; axis < 2; axis++) {
        int64_t lowest = 0, highest = size[axis] - 1;
        for (int64_t p = 0; p < phase_counts[axis]; p++) {
            const phase_axis *phase = &phases[axis][p];
            if (phase->count == 0 || phase->places == 0)
                continue;
            int64_t ends[2] = {phase->offset, phase->offset + (phase->count - 1) * phase->offset_step};
            for (int e = 0; e < 2; e++) {
                lowest = ends[e] < lowest ? ends[e] : lowest;
                highest = larger(highest, ends[e] + (phase->places - 1) * core->in_steps[axis]);
            }
        }
        margin[2 * axis] = -lowest;
        margin[2 * axis + 1] = highest - (size[axis] - 1);
    }
}

/* The kernel and its launch over groups of images. `buffers`: source, weights, target. */
static void launch_core(lower_context *context, conv_core *core, const int64_t source_size[2], int64_t source_channels,
                        const phase_axis *phases[2], const int64_t phase_counts[2], const int buffers[3],
                        const char *name, const ir_value *value) {
    arena *memory = context->memory;
    kir_kernel *kernel = kir_kernel_new(memory, name, value->span);
    const conv_shape *shape = &core->shape;
    int64_t source_elements = shape->n * source_size[0] * source_size[1] * source_channels;
    int64_t target_elements = shape->n * core->target_size[0] * core->target_size[1] * core->target_channels;
    core->source = kir_argument_add(memory, kernel, "source", KIR_F32, source_elements, true, false);
    core->weights =
        kir_argument_add(memory, kernel, "weights", KIR_F32, ir_type_elements(&value->operands[1]->type), true, false);
    core->target = kir_argument_add(memory, kernel, "result", KIR_F32, target_elements, false, true);
    int64_t margin[4];
    find_margins(core, phases, phase_counts, source_size, margin);
    core->maps = lower_padded_maps(memory, kernel, core->source, shape->n, source_size, source_channels, margin);
    int64_t rounds = shape->n / core->maps.images;
    kernel->flops = ir_cost(value) / (double)rounds;
    kir_builder builder = {memory, kernel, &kernel->body, value->span};
    core->first_image = kir_plus(kir_at(0), core->maps.images, 0);
    core->source_base =
        lower_copy_padded(&builder, &core->maps, core->source, source_size, core->first_image, core->cpu->lanes);
    for (int64_t v = 0; v < phase_counts[0]; v++)
        for (int64_t h = 0; h < phase_counts[1]; h++) {
            core->phase[0] = &phases[0][v];
            core->phase[1] = &phases[1][h];
            if (core->phase[0]->places > 0 && core->phase[1]->places > 0)
                emit_phase(&builder, core);
        }
    lower_launch(context, kernel, shape->n / core->maps.images, buffers, value->span);
}

/* The weights as panels of a group's target channels; `matrix` says how they lie. */
static int pack_weights(lower_context *context, conv_core *core, panel_matrix matrix, const ir_value *value) {
    const ir_value *w = value->operands[1];
    core->panel = (int64_t)tile_vectors_for(core->cpu, core->group_out) * core->cpu->lanes;
    core->kernel_columns = core->shape.kernel[1];
    core->weight_rows = core->shape.kernel[0] * core->shape.kernel[1] * core->group_in;
    matrix.batch = core->shape.groups;
    matrix.outer = core->shape.kernel[0] * core->shape.kernel[1];
    matrix.inner = core->group_in;
    matrix.columns = core->group_out;
    matrix.panel = core->panel;
    return lower_pack_panels(context, &matrix, lower_buffer_in_layout(context, w, lower_conv_weight()),
                             ir_type_elements(&w->type), value->span);
}

/* ---- the two directions
 * ---------------------------------------------------------------------------------------------------------------- */

static const char *conv_name(lower_context *context, const char *what, const conv_shape *shape) {
    return arena_printf(context->memory, "%s_%lldx%lld_%lldx%lld_s%lld_%lldx%lld", what, (long long)shape->channels,
                        (long long)shape->filters, (long long)shape->kernel[0], (long long)shape->kernel[1],
                        (long long)shape->stride[0], (long long)shape->size[0], (long long)shape->size[1]);
}

bool lower_conv_forward(lower_context *context, const ir_value *value) {
    const ir_value *x = value->operands[0], *w = value->operands[1];
    conv_core core = {.cpu = &context->pass->target,
                      .shape = lower_conv_shape(value, &x->type, &w->type, &value->type)};
    const conv_shape *shape = &core.shape;
    if (winograd_pays(shape, core.cpu))
        return lower_winograd_forward(context, value, shape);
    phase_axis axes[2];
    for (int i = 0; i < 2; i++) {
        axes[i] = (phase_axis){.count = shape->kernel[i],
                               .offset = -shape->padding[2 * i],
                               .offset_step = shape->dilation[i],
                               .weight_step = 1,
                               .places = shape->out[i]};
        core.target_size[i] = shape->out[i];
        core.in_steps[i] = shape->stride[i];
        core.out_step[i] = 1;
    }
    core.target_channels = shape->filters;
    core.group_in = shape->channels / shape->groups;
    core.group_out = shape->filters / shape->groups;
    panel_matrix weights = {.batch_stride = core.group_out,
                            .outer_stride = core.group_in * shape->filters,
                            .inner_stride = shape->filters,
                            .column_stride = 1};
    ir_layout map = lower_channels_last();
    int buffers[] = {lower_buffer_in_layout(context, x, map), pack_weights(context, &core, weights, value),
                     lower_result_buffer_in_layout(context, value, map)};
    const phase_axis *phases[2] = {&axes[0], &axes[1]};
    launch_core(context, &core, shape->size, shape->channels, phases, (int64_t[]){1, 1}, buffers,
                conv_name(context, "conv2d", shape), value);
    lower_finish_result(context, value, map, buffers[2]);
    return true;
}

static int64_t greatest_common_divisor(int64_t a, int64_t b) {
    return b == 0 ? a : greatest_common_divisor(b, a % b);
}

/* Places p, p + s, … of the input's axis get from output o = (place + padding - k * dilation) / s, for the k that
 * divide. */
static phase_axis gradient_phase(const conv_shape *shape, int axis, int64_t p) {
    int64_t stride = shape->stride[axis], dilation = shape->dilation[axis];
    int64_t period = stride / greatest_common_divisor(stride, dilation);
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

bool lower_conv_input_grad(lower_context *context, const ir_value *value) {
    const ir_value *y = value->operands[0], *w = value->operands[1];
    conv_core core = {.cpu = &context->pass->target,
                      .shape = lower_conv_shape(value, &value->type, &w->type, &y->type)};
    const conv_shape *shape = &core.shape;
    if (winograd_pays(shape, core.cpu))
        return lower_winograd_input_grad(context, value, shape);
    phase_axis *axes[2];
    for (int i = 0; i < 2; i++) {
        axes[i] = arena_alloc(context->memory, (size_t)shape->stride[i] * sizeof **axes);
        for (int64_t p = 0; p < shape->stride[i]; p++)
            axes[i][p] = gradient_phase(shape, i, p);
        core.target_size[i] = shape->size[i];
        core.in_steps[i] = 1;
        core.out_step[i] = shape->stride[i];
    }
    core.target_channels = shape->channels;
    core.group_in = shape->filters / shape->groups;
    core.group_out = shape->channels / shape->groups;
    panel_matrix weights = {.batch_stride = core.group_in,
                            .outer_stride = core.group_out * shape->filters,
                            .inner_stride = 1,
                            .column_stride = shape->filters};
    ir_layout map = lower_channels_last();
    int buffers[] = {lower_buffer_in_layout(context, y, map), pack_weights(context, &core, weights, value),
                     lower_result_buffer_in_layout(context, value, map)};
    const phase_axis *phases[2] = {axes[0], axes[1]};
    launch_core(context, &core, shape->out, shape->filters, phases, shape->stride, buffers,
                conv_name(context, "conv2d_input_grad", shape), value);
    lower_finish_result(context, value, map, buffers[2]);
    return true;
}
