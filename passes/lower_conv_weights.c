/* conv2d_weight_grad: for every tap a matrix product of the (padded) maps with the result's gradient, summed over all
 * places of all images. A fixed number of chunks of images is summed apart, in parallel, and then joined in order. */
#include "passes/winograd.h"

enum { PARTIAL_BYTES = 64 << 20, MAX_CHUNKS = 16, LARGE_WEIGHTS = 1 << 20 };

typedef struct {
    const kir_target *cpu;
    conv_shape shape;
    int source, gradient, target; /* arguments */
    padded_maps maps;
    kir_index source_base, first_image, target_base;
    int64_t group, group_in, group_out;
    kir_index tap_row, tap_column;
    kir_index columns_first;
    int64_t columns;
    bool split_taps; /* an iteration computes one row of taps */
} weight_core;

/* Sums of rows_count input channels times a block of output channels over the images of this group. */
static void emit_channels(kir_builder *builder, kir_index first, int64_t size, void *user) {
    weight_core *core = user;
    const conv_shape *shape = &core->shape;
    register_tile tile = tile_new(builder, core->cpu, (int)size, core->columns);
    kir_index targets[TILE_MAX_ROWS], rows[TILE_MAX_ROWS];
    kir_index target = kir_plus_index(core->target_base, 1, core->columns_first);
    target.base += core->group * core->group_out;
    target =
        kir_plus_index(target, core->group_in * shape->filters,
                       kir_plus_index(kir_plus_index(kir_at(0), shape->kernel[1], core->tap_row), 1, core->tap_column));
    target = kir_plus_index(target, shape->filters, first);
    for (int64_t r = 0; r < size; r++) {
        targets[r] = target;
        targets[r].base += r * shape->filters;
    }
    tile_load(builder, &tile, core->target, targets);
    kir_builder image_body, row_body, column_body;
    kir_reg image = kir_loop(builder, kir_at(0), kir_at(core->maps.images), 1, &image_body);
    kir_reg row = kir_loop(&image_body, kir_at(0), kir_at(shape->out[0]), 1, &row_body);
    kir_reg column = kir_loop(&row_body, kir_at(0), kir_at(shape->out[1]), 1, &column_body);
    kir_index source = kir_plus_index(kir_plus(core->source_base, core->maps.image, image), 1, first);
    source.base += core->group * core->group_in;
    source = kir_plus(kir_plus_index(source, core->maps.row * shape->dilation[0], core->tap_row),
                      core->maps.row * shape->stride[0], row);
    source = kir_plus(kir_plus_index(source, core->maps.channels * shape->dilation[1], core->tap_column),
                      core->maps.channels * shape->stride[1], column);
    for (int64_t r = 0; r < size; r++) {
        rows[r] = source;
        rows[r].base += r;
    }
    int64_t line = shape->out[1] * shape->filters;
    kir_index gradient = kir_plus_index(kir_at(core->group * core->group_out), 1, core->columns_first);
    gradient = kir_plus_index(gradient, shape->out[0] * line, kir_plus(core->first_image, 1, image));
    gradient = kir_plus(kir_plus(gradient, line, row), shape->filters, column);
    tile_multiply(&column_body, &tile, core->maps.argument, rows, core->gradient, gradient);
    tile_store(builder, &tile, core->target, targets);
}

static void emit_filters(kir_builder *builder, kir_index first, int64_t size, void *user) {
    weight_core *core = user;
    core->columns_first = first;
    core->columns = size;
    int64_t rows = tile_rows_for(core->cpu, tile_vectors_for(core->cpu, size));
    tile_blocks(builder, core->group_in, rows, emit_channels, core);
}

static void emit_taps(kir_builder *builder, weight_core *core) {
    const conv_shape *shape = &core->shape;
    kir_builder body = *builder, inner;
    if (!core->split_taps) {
        kir_reg row = kir_loop(builder, kir_at(0), kir_at(shape->kernel[0]), 1, &body);
        core->tap_row = kir_plus(kir_at(0), 1, row);
    }
    kir_reg column = kir_loop(&body, kir_at(0), kir_at(shape->kernel[1]), 1, &inner);
    core->tap_column = kir_plus(kir_at(0), 1, column);
    int64_t block = (int64_t)tile_vectors_for(core->cpu, core->group_out) * core->cpu->lanes;
    for (core->group = 0; core->group < shape->groups; core->group++)
        tile_blocks(&inner, core->group_out, block, emit_filters, core);
}

/* Sets an iteration's part of the partial sums to zero: all taps, or its row of them. */
static void emit_clear(kir_builder *builder, const weight_core *core, int64_t elements) {
    const conv_shape *shape = &core->shape;
    int64_t count = core->split_taps ? elements / shape->kernel[0] : elements;
    kir_index start = core->target_base;
    if (core->split_taps)
        start = kir_plus_index(start, count, core->tap_row);
    lower_clear_elements(builder, core->target, start, count, core->cpu->lanes);
}

static int64_t chunk_count(int64_t n, int64_t images, int64_t bytes) {
    int64_t limit = PARTIAL_BYTES / bytes;
    limit = limit > MAX_CHUNKS ? MAX_CHUNKS : limit;
    for (int64_t chunks = limit; chunks > 1; chunks--)
        if (n % (chunks * images) == 0)
            return chunks;
    return 1;
}

/* target = partial sums of all chunks, in order. */
static void join_chunks(lower_context *context, int partial, int target, int64_t chunks, int64_t elements,
                        const ir_value *value) {
    lower_kernel kernel = lower_kernel_begin(context, "join_chunks", value);
    int from = lower_argument(&kernel, partial, false), to = lower_argument(&kernel, target, true);
    int lanes = context->pass->target.lanes;
    int64_t piece = 4096, whole = elements / piece;
    for (int part = 0; part < 2; part++) {
        int64_t count = part ? elements - whole * piece : piece;
        if (count == 0 || (part == 0 && whole == 0))
            continue;
        if (part == 1 && whole > 0) {
            lower_kernel_launch(&kernel, whole);
            kernel = lower_kernel_begin(context, "join_chunks", value);
            lower_argument(&kernel, partial, false);
            lower_argument(&kernel, target, true);
        }
        kir_builder body, *builder = &kernel.builder;
        kir_index start = part ? kir_at(whole * piece) : kir_plus(kir_at(0), piece, 0);
        int64_t vectors = count / lanes * lanes;
        for (int tail = 0; tail < 2; tail++) {
            int64_t left = count - vectors;
            if (tail ? left == 0 : vectors == 0)
                continue;
            kir_index place = start;
            body = *builder;
            if (tail)
                place.base += vectors;
            else
                place = kir_plus(start, 1, kir_loop(builder, kir_at(0), kir_at(vectors), lanes, &body));
            int lanes_present = tail ? (int)left : lanes;
            kir_reg sum = kir_load(&body, from, place, lanes, lanes_present);
            for (int64_t chunk = 1; chunk < chunks; chunk++) {
                kir_index next = place;
                next.base += chunk * elements;
                sum = kir_op2(&body, KIR_add, sum, kir_load(&body, from, next, lanes, lanes_present));
            }
            kir_store(&body, to, place, sum, lanes_present);
        }
        if (part == 1 || elements == whole * piece)
            lower_kernel_launch(&kernel, part ? 1 : whole);
    }
}

static void launch_weights(lower_context *context, weight_core *core, const int buffers[3], int64_t elements,
                           const ir_value *value, int64_t *chunks) {
    arena *memory = context->memory;
    const conv_shape *shape = &core->shape;
    const char *name =
        arena_printf(memory, "conv2d_weight_grad_%lldx%lld_%lldx%lld", (long long)shape->channels,
                     (long long)shape->filters, (long long)shape->kernel[0], (long long)shape->kernel[1]);
    kir_kernel *kernel = kir_kernel_new(memory, name, value->span);
    core->source =
        kir_argument_add(memory, kernel, "x", KIR_F32, ir_type_elements(&value->operands[0]->type), true, false);
    core->gradient =
        kir_argument_add(memory, kernel, "dy", KIR_F32, ir_type_elements(&value->operands[1]->type), true, false);
    core->target = kir_argument_add(memory, kernel, "dw", KIR_F32, *chunks * elements, true, true);
    int64_t margin[4];
    for (int i = 0; i < 4; i++)
        margin[i] = shape->padding[i];
    core->maps =
        lower_padded_maps(memory, kernel, core->source, shape->n / *chunks, shape->size, shape->channels, margin);
    core->split_taps = elements * 4 > LARGE_WEIGHTS && shape->kernel[0] > 1;
    kir_builder builder = {memory, kernel, &kernel->body, value->span};
    int64_t extent = *chunks, images_of_chunk = shape->n / *chunks;
    kir_index chunk = kir_plus(kir_at(0), 1, 0);
    if (core->split_taps) {
        kir_reg rows = kir_value(&builder, kir_at(shape->kernel[0]));
        chunk = kir_plus(kir_at(0), 1, kir_op2(&builder, KIR_div, 0, rows));
        core->tap_row = kir_plus(kir_at(0), 1, kir_op2(&builder, KIR_rem, 0, rows));
        extent *= shape->kernel[0];
    }
    kernel->flops = ir_cost(value) / (double)extent;
    core->target_base = kir_plus_index(kir_at(0), elements, chunk);
    emit_clear(&builder, core, elements);
    kir_builder body;
    kir_reg step = kir_loop(&builder, kir_at(0), kir_at(images_of_chunk), core->maps.images, &body);
    core->first_image = kir_plus(kir_plus_index(kir_at(0), images_of_chunk, chunk), 1, step);
    core->source_base =
        lower_copy_padded(&body, &core->maps, core->source, shape->size, core->first_image, core->cpu->lanes);
    emit_taps(&body, core);
    lower_launch(context, kernel, extent, buffers, value->span);
}

bool lower_conv_weight_grad(lower_context *context, const ir_value *value) {
    const ir_value *x = value->operands[0], *y = value->operands[1];
    weight_core core = {.cpu = &context->pass->target,
                        .shape = lower_conv_shape(value, &x->type, &value->type, &y->type)};
    if (winograd_pays(&core.shape, core.cpu))
        return lower_winograd_weight_grad(context, value, &core.shape);
    core.group_in = core.shape.channels / core.shape.groups;
    core.group_out = core.shape.filters / core.shape.groups;
    int64_t elements = ir_type_elements(&value->type);
    int64_t chunks = chunk_count(core.shape.n, 1, elements * 4);
    ir_layout map = lower_channels_last(), weight = lower_conv_weight();
    int from_x = lower_buffer_in_layout(context, x, map), from_y = lower_buffer_in_layout(context, y, map);
    int result = lower_result_buffer_in_layout(context, value, weight);
    int target =
        chunks == 1 ? result : lower_temporary(context, "weight_partial", KIR_F32, chunks * elements, value->span);
    launch_weights(context, &core, (int[]){from_x, from_y, target}, elements, value, &chunks);
    if (chunks > 1)
        join_chunks(context, target, result, chunks, elements, value);
    lower_finish_result(context, value, weight, result);
    return true;
}
