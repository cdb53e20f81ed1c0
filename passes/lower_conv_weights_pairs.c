/* conv2d_weight_grad by products in pairs of bf16 parts: the two of a pair are images, so that the sums over places and
 * images are the same for all taps, strides and margins. */
#include "passes/conv_maps.h"
#include "passes/pair_forms.h"

/* Of a step's maps, which stay in the second cache while all filters meet them. */
enum { STEP_BYTES = 512 << 10, ENOUGH_ITERATIONS = 16 };

typedef struct {
    const conv_shape *shape;
    pair_maps x, dy;
    pair_panel panel;
    int64_t chunks, channels;    /* partial sums; channels of an iteration */
    int64_t blocks, rows;        /* of images, and of places: summed at once */
    int64_t elements;            /* of the weights */
    kir_index chunk, block, row; /* the first ones summed now */
    kir_index tap_row, channels_first, filters_first;
    int64_t filters;
} pair_weights;

/* The sums of a panel over a step, for each tap of a row in turn: the operands are near, and the sums read and written
 * once for many products. */
static void emit_channels(kir_builder *builder, kir_index first, int64_t size, void *user) {
    const pair_weights *work = user;
    const conv_shape *shape = work->shape;
    const pair_maps *x = &work->x, *dy = &work->dy;
    kir_builder body;
    kir_index column = kir_plus(kir_at(0), 1, kir_loop(builder, kir_at(0), kir_at(shape->kernel[1]), 1, &body));
    kir_index channel = kir_plus_index(work->channels_first, 1, first);
    pair_panel panel = work->panel;
    panel.rows = size;
    panel.columns = work->filters;
    panel.left_at = kir_plus_index(kir_plus_index(kir_at(0), x->block, work->block), x->number_to, channel);
    panel.left_at = kir_plus_index(panel.left_at, x->row * shape->stride[0], work->row);
    panel.left_at = kir_plus_index(panel.left_at, x->row * shape->dilation[0], work->tap_row);
    panel.left_at = kir_plus_index(panel.left_at, x->place * shape->dilation[1], column);
    panel.left_at.base += x->row * (x->margin[0] - shape->padding[0]) + x->place * (x->margin[2] - shape->padding[2]);
    panel.right_at = kir_plus_index(kir_plus_index(kir_at(0), dy->block, work->block), dy->row, work->row);
    panel.right_at = kir_plus_index(panel.right_at, 1, work->filters_first);
    kir_index tap = kir_plus_index(kir_plus_index(kir_at(0), shape->kernel[1], work->tap_row), 1, column);
    panel.target_at = kir_plus_index(kir_plus_index(kir_at(0), work->elements, work->chunk), 1, work->filters_first);
    panel.target_at = kir_plus_index(panel.target_at, shape->channels * shape->filters, tap);
    panel.target_at = kir_plus_index(panel.target_at, shape->filters, channel);
    panel.sums[0] = (pair_sum){work->blocks, x->block, dy->block};
    panel.sums[1] = (pair_sum){work->rows, x->row * shape->stride[0], dy->row};
    panel.sums[2] = (pair_sum){shape->out[1], x->place * shape->stride[1], dy->place};
    panel.sum_count = 3;
    pair_panel_emit(&body, &panel);
}

static kir_index loop(kir_builder *builder, kir_index first, int64_t count, int64_t step) {
    kir_builder outer = *builder;
    return count == step ? first : kir_plus(first, 1, kir_loop(&outer, kir_at(0), kir_at(count), step, builder));
}

static void emit_filters(kir_builder *builder, kir_index first, int64_t size, void *user) {
    pair_weights *work = user;
    work->filters_first = first;
    work->filters = size;
    int64_t rows = pair_panel_rows(work->panel.cpu, work->shape->channels, size);
    tile_blocks(builder, work->channels, rows, emit_channels, work);
}

static void emit_steps(const kir_builder *builder, pair_weights *work) {
    const conv_shape *shape = work->shape;
    int64_t blocks = work->x.blocks / work->chunks;
    kir_builder body = *builder;
    work->block = loop(&body, kir_plus_index(kir_at(0), blocks, work->chunk), blocks, work->blocks);
    work->row = loop(&body, kir_at(0), shape->out[0], work->rows);
    tile_blocks(&body, shape->filters, pair_panel_columns(work->panel.cpu, shape->filters), emit_filters, work);
}

/* Sets the iteration's sums to zero: those of its channels for each tap of its row. */
static void clear_sums(const kir_builder *builder, const pair_weights *work) {
    const conv_shape *shape = work->shape;
    kir_index at =
        kir_plus_index(kir_plus_index(kir_at(0), work->elements, work->chunk), shape->filters, work->channels_first);
    at = kir_plus_index(at, work->elements / shape->kernel[0], work->tap_row);
    kir_builder body;
    kir_reg column = kir_loop(builder, kir_at(0), kir_at(shape->kernel[1]), 1, &body);
    lower_clear_elements(&body, work->panel.target, kir_plus(at, shape->channels * shape->filters, column),
                         work->channels * shape->filters, work->panel.cpu->lanes);
}

/* An iteration sums a row of taps of some channels over a chunk. */
static void launch(lower_context *context, pair_weights *work, const int buffers[3], const ir_value *value) {
    arena *memory = context->memory;
    const conv_shape *shape = work->shape;
    pair_panel *panel = &work->panel;
    const char *name =
        arena_printf(memory, "conv2d_weight_grad_pairs_%lldx%lld_%lldx%lld", (long long)shape->channels,
                     (long long)shape->filters, (long long)shape->kernel[0], (long long)shape->kernel[1]);
    kir_kernel *kernel = kir_kernel_new(memory, name, value->span);
    panel->left = kir_argument_add(memory, kernel, "x", KIR_I32, work->x.parts * work->x.part, true, false);
    panel->right = kir_argument_add(memory, kernel, "dy", KIR_I32, work->dy.parts * work->dy.part, true, false);
    panel->target = kir_argument_add(memory, kernel, "dw", KIR_F32, work->chunks * work->elements, true, true);
    kir_builder builder = {memory, kernel, &kernel->body, value->span};
    int64_t parts = shape->channels / work->channels, extent = work->chunks * shape->kernel[0] * parts;
    kernel->flops = ir_cost(value) / (double)extent;
    kir_reg taps = kir_value(&builder, kir_at(shape->kernel[0])), left = kir_op2(&builder, KIR_div, 0, taps);
    work->tap_row = kir_plus(kir_at(0), 1, kir_op2(&builder, KIR_rem, 0, taps));
    kir_reg count = kir_value(&builder, kir_at(parts));
    work->chunk = kir_plus(kir_at(0), 1, kir_op2(&builder, KIR_div, left, count));
    work->channels_first = kir_plus(kir_at(0), work->channels, kir_op2(&builder, KIR_rem, left, count));
    clear_sums(&builder, work);
    emit_steps(&builder, work);
    lower_launch(context, kernel, extent, buffers, value->span);
}

/* The next larger number of channels that divides all into equal parts of whole panels. */
static int64_t more_channels(const pair_weights *work, int64_t channels) {
    int64_t all = work->shape->channels, panel = pair_panel_rows(work->panel.cpu, all, work->shape->filters);
    for (channels++; channels < all; channels++)
        if (all % channels == 0 && channels % panel == 0)
            return channels;
    return all;
}

/* Bytes of one row of places in one block: of some channels, and of a panel of filters. */
static int64_t row_bytes(const pair_weights *work, int64_t channels) {
    const conv_shape *shape = work->shape;
    int64_t filters = pair_panel_columns(work->panel.cpu, shape->filters);
    return 4 * work->panel.parts *
           (work->x.row * shape->stride[0] / shape->channels * channels + work->dy.row / shape->filters * filters);
}

/* As many places as the second cache takes of a few panels of channels, and then as many channels. */
static void choose_step(pair_weights *work) {
    const conv_shape *shape = work->shape;
    int64_t least = more_channels(work, more_channels(work, 0)), row = row_bytes(work, least);
    work->blocks = 1;
    work->rows = lower_divisor_below(shape->out[0], STEP_BYTES / row);
    if (work->rows == shape->out[0])
        work->blocks = lower_divisor_below(work->x.blocks, STEP_BYTES / (row * work->rows));
    int64_t count = work->blocks * work->rows;
    work->channels = least;
    while (work->channels < shape->channels &&
           row_bytes(work, more_channels(work, work->channels)) * count <= STEP_BYTES)
        work->channels = more_channels(work, work->channels);
}

/* Partial sums only where there are too few iterations without. */
static void choose_chunks(pair_weights *work) {
    const conv_shape *shape = work->shape;
    int64_t iterations = shape->kernel[0] * (shape->channels / work->channels);
    int64_t most = lower_chunk_count(work->x.blocks, work->elements * 4);
    work->chunks = 1;
    while (work->chunks < most && (work->x.blocks % work->chunks != 0 || work->chunks * iterations < ENOUGH_ITERATIONS))
        work->chunks++;
    work->blocks = lower_divisor_below(work->x.blocks / work->chunks, work->blocks);
}

void lower_weight_grad_forms(const pass_context *pass, const conv_shape *shape, pair_form forms[2]) {
    int64_t images = 2 * pair_tile_size(shape->n / 2);
    forms[0] = (pair_form){pass->target.matrix_units ? PAIRS_OF_IMAGES_TURNED : PAIRS_OF_IMAGES, images, {0}};
    forms[1] = (pair_form){PAIRS_OF_IMAGES, images, {0}};
    for (int i = 0; i < 4; i++)
        forms[0].margin[i] = shape->padding[i] > 0 ? shape->padding[i] : 0;
}

bool lower_conv_weight_grad_pairs(lower_context *context, const ir_value *value, const conv_shape *shape) {
    const ir_value *x = value->operands[0], *dy = value->operands[1];
    const kir_target *cpu = &context->pass->target;
    int parts = context->pass->product_parts;
    pair_weights work = {.shape = shape, .elements = ir_type_elements(&value->type)};
    pair_form forms[2];
    int buffers[3];
    lower_weight_grad_forms(context->pass, shape, forms);
    work.x = lower_pair_maps(context, x, &forms[0], value->span, &buffers[0]);
    work.dy = lower_pair_maps(context, dy, &forms[1], value->span, &buffers[1]);
    int64_t pairs = forms[0].images / 2;
    work.panel = (pair_panel){.cpu = cpu,
                              .parts = parts,
                              .pairs = kir_at(pairs),
                              .tile = pair_tile_for(shape->channels, shape->filters, pairs),
                              .left_row = work.x.number_to,
                              .left_pair = work.x.line_to,
                              .left_part = work.x.part,
                              .right_pair = work.dy.line_to,
                              .right_part = work.dy.part,
                              .target_row = shape->filters};
    choose_step(&work);
    choose_chunks(&work);
    ir_layout weight = lower_conv_weight();
    int result = lower_result_buffer_in_layout(context, value, weight), target = result;
    if (work.chunks > 1)
        target = lower_temporary(context, "weight_partial", KIR_F32, work.chunks * work.elements, value->span);
    buffers[2] = target;
    launch(context, &work, buffers, value);
    if (work.chunks > 1)
        lower_join_chunks(context, target, result, work.chunks, work.elements, value);
    lower_finish_result(context, value, weight, result);
    return true;
}
