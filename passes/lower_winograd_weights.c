/* conv2d_weight_grad by Winograd's method, as the adjoint of the forward product: both maps are evaluated at the
 * points, multiplied point by point and summed over all tiles, and the sums are brought back to taps.
 *
 * Where the sums are small, each of a fixed number of chunks of tiles has sums of its own, and an iteration evaluates
 * tiles and multiplies them while they are in its caches. Large sums exist once: launches evaluate all tiles, and an
 * iteration then sums a panel of channels at one point. Sums are added in a fixed order. */
#include "passes/winograd.h"

enum {
    TILES = 32,           /* evaluated at once; half of them at the many points of stride 2 */
    SUMMED_TILES = 128,   /* of large sums: a panel's tiles from both sides stay in the first cache */
    SMALL_SUMS = 6 << 20, /* bytes */
};

typedef struct {
    const kir_target *cpu;
    const conv_shape *shape;
    winograd_method method;
    winograd_matrix spread; /* of results to the points */
    winograd_tiling tiling;
    winograd_patches maps, gradients;
    int64_t chunks, sum_point, sum_chunk; /* elements between points and chunks of the sums */
    int sums;                             /* argument: [chunk][point][panel of filters][channel][filter of the panel] */
    /* what the nested emitters are at */
    kir_index point, sum_number, sum_base, first_tile, filters_first, channels_first;
    int64_t filters, channels, tiles;
    kir_index from, to;
    int target;
} winograd_sums;

/* ---- sums over tiles ------------------------------------------------------------------------------------------------
 */

/* A few channels of a panel with a panel of filters. */
static void emit_sum(kir_builder *builder, kir_index first, int64_t size, void *user) {
    winograd_sums *work = user;
    kir_index channel = kir_plus_index(work->channels_first, 1, first), rows[TILE_MAX_ROWS], targets[TILE_MAX_ROWS];
    kir_index target = kir_plus_index(work->sum_base, work->sum_point, work->sum_number);
    target = kir_plus_index(kir_plus_index(target, work->shape->channels, work->filters_first), work->filters, channel);
    for (int64_t r = 0; r < size; r++) {
        targets[r] = target;
        targets[r].base += r * work->filters;
    }
    register_tile tile = tile_new(builder, work->cpu, (int)size, work->filters);
    tile_load(builder, &tile, work->sums, targets);
    kir_builder body;
    kir_reg number = kir_loop(builder, kir_at(0), kir_at(work->tiles), 1, &body);
    kir_index at = kir_plus(work->first_tile, 1, number);
    kir_index left = kir_plus_index(kir_plus_index(kir_at(0), work->maps.point, work->point), work->maps.tiles,
                                    work->channels_first);
    left = kir_plus_index(kir_plus_index(left, work->channels, at), 1, first);
    kir_index right = kir_plus_index(kir_plus_index(kir_at(0), work->gradients.point, work->point),
                                     work->gradients.tiles, work->filters_first);
    right = kir_plus_index(right, work->filters, at);
    for (int64_t r = 0; r < size; r++) {
        rows[r] = left;
        rows[r].base += r;
    }
    tile_multiply(&body, &tile, work->maps.points, rows, work->gradients.points, right);
    tile_store(builder, &tile, work->sums, targets);
}

static void emit_channel_panel(kir_builder *builder, kir_index first, int64_t size, void *user) {
    winograd_sums *work = user;
    work->channels_first = first;
    work->channels = size;
    int64_t limit = tile_rows_for(work->cpu, (int)((work->filters + work->cpu->lanes - 1) / work->cpu->lanes));
    tile_blocks(builder, size, tile_even_size(size, limit), emit_sum, work);
}

static void emit_filter_panel(kir_builder *builder, kir_index first, int64_t size, void *user) {
    winograd_sums *work = user;
    work->filters_first = first;
    work->filters = size;
    tile_blocks(builder, work->shape->channels, work->maps.panel, emit_channel_panel, work);
}

/* The same for one panel of channels that is known. */
static void emit_filter_panel_only(kir_builder *builder, kir_index first, int64_t size, void *user) {
    winograd_sums *work = user;
    work->filters_first = first;
    work->filters = size;
    int64_t limit = tile_rows_for(work->cpu, (int)((size + work->cpu->lanes - 1) / work->cpu->lanes));
    tile_blocks(builder, work->channels, tile_even_size(work->channels, limit), emit_sum, work);
}

/* ---- small sums -----------------------------------------------------------------------------------------------------
 */

static int64_t panel_of(const kir_target *cpu, int64_t channels) {
    return (int64_t)tile_vectors_for(cpu, channels) * cpu->lanes;
}

static void choose_patches(winograd_sums *work) {
    const conv_shape *shape = work->shape;
    int64_t origin[2] = {-shape->padding[0], -shape->padding[2]}, zero[2] = {0, 0};
    work->maps = winograd_patches_new(&work->tiling, &work->method.input, work->method.step, shape->size,
                                      shape->channels, origin, panel_of(work->cpu, shape->channels));
    work->gradients = winograd_patches_new(&work->tiling, &work->spread, work->method.outputs, shape->out,
                                           shape->filters, zero, panel_of(work->cpu, shape->filters));
}

static int64_t points_of(const winograd_sums *work) {
    return (int64_t)work->method.points * work->method.points;
}

/* The kernel evaluates a block of the map in argument `source` into its own memory. */
static void open_patches(winograd_patches *patches, arena *memory, kir_kernel *kernel, const winograd_sums *work,
                         int source, const char *name) {
    winograd_patches_lay(patches, work->tiling.tiles, work->cpu->lanes);
    winograd_patches_open(patches, memory, kernel, &work->tiling, source);
    patches->points = kir_scratch_add(memory, kernel, name, KIR_F32, winograd_patches_elements(patches));
}

static void launch_chunks(lower_context *context, winograd_sums *work, const int buffers[3], const ir_value *value) {
    arena *memory = context->memory;
    const conv_shape *shape = work->shape;
    int lanes = work->cpu->lanes;
    kir_kernel *kernel = kir_kernel_new(memory,
                                        arena_printf(memory, "conv2d_weight_grad_winograd_%lldx%lld_%lldx%lld",
                                                     (long long)shape->channels, (long long)shape->filters,
                                                     (long long)shape->size[0], (long long)shape->size[1]),
                                        value->span);
    int x = kir_argument_add(memory, kernel, "x", KIR_F32, ir_type_elements(&value->operands[0]->type), true, false);
    int dy = kir_argument_add(memory, kernel, "dy", KIR_F32, ir_type_elements(&value->operands[1]->type), true, false);
    work->sums = kir_argument_add(memory, kernel, "sums", KIR_F32, work->chunks * work->sum_chunk, true, true);
    open_patches(&work->maps, memory, kernel, work, x, "map_points");
    open_patches(&work->gradients, memory, kernel, work, dy, "gradient_points");
    int64_t blocks = work->tiling.extent / work->chunks;
    kernel->flops = 2.0 * (double)(points_of(work) * work->tiling.tiles * blocks * shape->channels * shape->filters);
    kir_builder builder = {memory, kernel, &kernel->body, value->span}, body, products;
    work->sum_base = kir_plus(kir_at(0), work->sum_chunk, 0);
    lower_clear_elements(&builder, work->sums, work->sum_base, work->sum_chunk, lanes);
    kir_reg block = kir_loop(&builder, kir_at(0), kir_at(blocks), 1, &body);
    winograd_place place = winograd_place_of(&body, &work->tiling, kir_plus(kir_plus(kir_at(0), blocks, 0), 1, block));
    winograd_emit_patches(&body, &work->maps, &work->tiling, &place, kir_at(0), lanes);
    winograd_emit_patches(&body, &work->gradients, &work->tiling, &place, kir_at(0), lanes);
    kir_reg point = kir_loop(&body, kir_at(0), kir_at(points_of(work)), 1, &products);
    work->point = kir_plus(kir_at(0), 1, point);
    work->sum_number = winograd_weight_point(&products, &work->method, point);
    work->tiles = work->tiling.tiles;
    tile_blocks(&products, shape->filters, work->gradients.panel, emit_filter_panel, work);
    lower_launch(context, kernel, work->chunks, buffers, value->span);
}

/* ---- large sums -----------------------------------------------------------------------------------------------------
 */

/* All patches of the map of operand number `i`; returns the buffer. */
static int launch_patches(lower_context *context, const winograd_sums *work, winograd_patches *patches, int i,
                          int buffer, const ir_value *value) {
    winograd_patches_lay(patches, work->tiling.tiles * work->tiling.extent, work->cpu->lanes);
    return winograd_launch_patches(context, patches, &work->tiling, buffer, ir_type_elements(&value->operands[i]->type),
                                   value->span);
}

static void emit_tiles(kir_builder *builder, kir_index first, int64_t size, void *user) {
    winograd_sums *work = user;
    work->first_tile = first;
    work->tiles = size;
    tile_blocks(builder, work->shape->filters, work->gradients.panel, emit_filter_panel_only, work);
}

/* Loops over the points of one axis that belong to the weights' point `number`: all from the last one on to the last.
 */
static kir_reg emit_shared_points(kir_builder *builder, const winograd_method *method, kir_reg number,
                                  kir_builder *body) {
    kir_index from = kir_plus(kir_at(0), 1, number), limit = from;
    limit.base++;
    if (method->points > WINOGRAD_WEIGHTS) {
        kir_reg last = kir_value(builder, kir_at(WINOGRAD_WEIGHTS - 1));
        limit = kir_plus(limit, method->points - WINOGRAD_WEIGHTS, kir_op2(builder, KIR_div, number, last));
    }
    return kir_loop(builder, from, limit, 1, body);
}

static void emit_clear(kir_builder *builder, const winograd_sums *work) {
    kir_index rows = kir_plus_index(kir_plus_index(kir_at(0), work->sum_point, work->sum_number), work->gradients.panel,
                                    work->channels_first);
    kir_builder body;
    kir_reg part = kir_loop(builder, kir_at(0), kir_at(work->shape->filters / work->gradients.panel), 1, &body);
    lower_clear_elements(&body, work->sums, kir_plus(rows, work->gradients.panel * work->shape->channels, part),
                         work->channels * work->gradients.panel, work->cpu->lanes);
}

/* An iteration sums one panel of channels at one point of the weights over all tiles. */
static void launch_sums(lower_context *context, winograd_sums *work, const int buffers[3], const ir_value *value) {
    arena *memory = context->memory;
    const conv_shape *shape = work->shape;
    int64_t panel = work->maps.panel, all = work->maps.tiles, panels = shape->channels / panel;
    kir_kernel *kernel =
        kir_kernel_new(memory,
                       arena_printf(memory, "conv2d_weight_grad_winograd_%lldx%lldx%lld", (long long)shape->channels,
                                    (long long)shape->filters, (long long)all),
                       value->span);
    work->maps.points =
        kir_argument_add(memory, kernel, "map_points", KIR_F32, points_of(work) * work->maps.point, true, false);
    work->gradients.points = kir_argument_add(memory, kernel, "gradient_points", KIR_F32,
                                              points_of(work) * work->gradients.point, true, false);
    work->sums = kir_argument_add(memory, kernel, "sums", KIR_F32, work->sum_chunk, true, true);
    int64_t extent = WINOGRAD_WEIGHTS * WINOGRAD_WEIGHTS * panels;
    kernel->flops = 2.0 * (double)(points_of(work) * all * shape->channels * shape->filters) / (double)extent;
    kir_builder builder = {memory, kernel, &kernel->body, value->span}, rows, body;
    kir_reg count = kir_value(&builder, kir_at(panels)), side = kir_value(&builder, kir_at(WINOGRAD_WEIGHTS));
    kir_reg number = kir_op2(&builder, KIR_div, 0, count);
    work->sum_number = kir_plus(kir_at(0), 1, number);
    work->channels_first = kir_plus(kir_at(0), panel, kir_op2(&builder, KIR_rem, 0, count));
    work->channels = panel;
    work->sum_base = kir_at(0);
    emit_clear(&builder, work);
    kir_reg row = kir_op2(&builder, KIR_div, number, side), column = kir_op2(&builder, KIR_rem, number, side);
    row = emit_shared_points(&builder, &work->method, row, &rows);
    column = emit_shared_points(&rows, &work->method, column, &body);
    work->point = kir_plus(kir_plus(kir_at(0), work->method.points, row), 1, column);
    tile_blocks(&body, all, tile_even_size(all, SUMMED_TILES), emit_tiles, work);
    lower_launch(context, kernel, extent, buffers, value->span);
}

/* ---- back to taps ---------------------------------------------------------------------------------------------------
 */

static kir_reg load_sum(const kir_builder *builder, int row, int column, void *user) {
    const winograd_sums *work = user;
    int lanes = work->cpu->lanes;
    kir_index from = work->from;
    from.base += (row * WINOGRAD_WEIGHTS + column) * work->sum_point;
    kir_reg sum = kir_load(builder, work->sums, from, lanes, lanes);
    for (int64_t chunk = 1; chunk < work->chunks; chunk++) {
        from.base += work->sum_chunk;
        sum = kir_op2(builder, KIR_add, sum, kir_load(builder, work->sums, from, lanes, lanes));
    }
    return sum;
}

static void store_tap(const kir_builder *builder, int row, int column, kir_reg value, void *user) {
    const winograd_sums *work = user;
    kir_index to = work->to;
    to.base += (row * WINOGRAD_TAPS + column) * work->shape->channels * work->shape->filters;
    kir_store(builder, work->target, to, value, work->cpu->lanes);
}

static void emit_taps(kir_builder *builder, kir_index first, int64_t size, void *user) {
    winograd_sums *work = user;
    const conv_shape *shape = work->shape;
    kir_builder body;
    kir_reg vector = kir_loop(builder, kir_at(0), kir_at(size), work->cpu->lanes, &body);
    work->from = kir_plus(kir_plus(kir_plus_index(kir_at(0), shape->channels, first), size, 0), 1, vector);
    work->to = kir_plus(kir_plus_index(kir_plus(kir_at(0), shape->filters, 0), 1, first), 1, vector);
    winograd_matrix taps = winograd_transposed(&work->method.weight);
    winograd_transform(&body, &taps, load_sum, store_tap, work);
}

/* An iteration takes a channel. */
static void launch_taps(lower_context *context, winograd_sums *work, const int buffers[2], const ir_value *value) {
    arena *memory = context->memory;
    kir_kernel *kernel = kir_kernel_new(memory, "winograd_taps", value->span);
    work->sums = kir_argument_add(memory, kernel, "sums", KIR_F32, work->chunks * work->sum_chunk, true, false);
    work->target = kir_argument_add(memory, kernel, "dw", KIR_F32, ir_type_elements(&value->type), false, true);
    kir_builder builder = {memory, kernel, &kernel->body, value->span};
    tile_blocks(&builder, work->shape->filters, work->gradients.panel, emit_taps, work);
    lower_launch(context, kernel, work->shape->channels, buffers, value->span);
}

/* Chunks of equal numbers of blocks, as many as memory allows. */
bool lower_winograd_weight_grad(lower_context *context, const ir_value *value, const conv_shape *shape) {
    winograd_sums work = {.cpu = &context->pass->target,
                          .shape = shape,
                          .method = shape->stride[0] == 1 ? winograd_stride_1() : winograd_stride_2()};
    work.spread = winograd_transposed(&work.method.output);
    work.tiling = winograd_tiling_new(shape->n, shape->out, work.method.outputs,
                                      work.method.points > WINOGRAD_WEIGHTS ? TILES / 2 : TILES);
    choose_patches(&work);
    work.sum_point = winograd_point_stride(shape->channels, shape->filters, work.cpu->lanes);
    work.sum_chunk = WINOGRAD_WEIGHTS * WINOGRAD_WEIGHTS * work.sum_point;
    ir_layout map = lower_channels_last(), weight = lower_conv_weight();
    int x = lower_buffer_in_layout(context, value->operands[0], map);
    int dy = lower_buffer_in_layout(context, value->operands[1], map);
    int result = lower_result_buffer_in_layout(context, value, weight);
    bool whole = shape->channels % panel_of(work.cpu, shape->channels) == 0 &&
                 shape->filters % panel_of(work.cpu, shape->filters) == 0;
    bool small = work.sum_chunk * 4 <= SMALL_SUMS || !whole;
    work.chunks = small ? lower_chunk_count(work.tiling.extent, work.sum_chunk * 4) : 1;
    int sums = lower_temporary(context, "winograd_sums", KIR_F32, work.chunks * work.sum_chunk, value->span);
    if (small) {
        launch_chunks(context, &work, (int[]){x, dy, sums}, value);
    } else {
        int maps = launch_patches(context, &work, &work.maps, 0, x, value);
        int gradients = launch_patches(context, &work, &work.gradients, 1, dy, value);
        launch_sums(context, &work, (int[]){maps, gradients, sums}, value);
    }
    launch_taps(context, &work, (int[]){sums, result}, value);
    lower_finish_result(context, value, weight, result);
    return true;
}
