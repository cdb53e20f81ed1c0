/* conv2d_weight_grad by Winograd's method, as the adjoint of the forward product: both maps are evaluated at the
 * points, multiplied point by point and summed over all tiles, and the sums are brought back to taps.
 *
 * Where the sums are small, each of a fixed number of chunks of tiles has sums of its own, and an iteration evaluates
 * tiles and multiplies them while they are in its caches. Large sums exist once: launches evaluate all tiles, and an
 * iteration then sums a panel of channels at one point. Sums are added in a fixed order. */
#include "passes/pair_panel.h"
#include "passes/winograd_sums.h"

enum {
    TILES = 32,           /* evaluated at once, or pairs of them; half of them at the many points of stride 2 */
    NEAR_SUMS = 2 << 20,  /* bytes of small sums to which each block of tiles comes back; of more, blocks are larger */
    MORE_TILES = 2,       /* so many times */
    SUMMED_TILES = 1024,  /* of large sums, added to them at once: a panel's from both sides stay in the second cache */
    SUMMED_PAIRS = 64,    /* of pairs, in the first */
    SMALL_SUMS = 6 << 20, /* bytes */
    SMALL_PAIR_SUMS = 1 << 20, /* of pairs, which matrix units add up faster than the caches give them sums */
};

/* ---- small sums -----------------------------------------------------------------------------------------------------
 */

static int64_t panel_of(const kir_target *cpu, int64_t channels) {
    return (int64_t)tile_vectors_for(cpu, channels) * cpu->lanes;
}

static void choose_patches(winograd_sums *work) {
    const conv_shape *shape = work->shape;
    int64_t origin[2] = {-shape->padding[0], -shape->padding[2]}, zero[2] = {0, 0};
    work->maps =
        winograd_patches_new(&work->tiling, &work->method.input, work->method.step, shape->size, shape->channels,
                             origin, work->parts > 0 ? work->cpu->lanes : panel_of(work->cpu, shape->channels));
    work->gradients = winograd_patches_new(
        &work->tiling, &work->spread, work->method.outputs, shape->out, shape->filters, zero,
        work->parts > 0 ? pair_panel_columns(work->cpu, shape->filters) : panel_of(work->cpu, shape->filters));
    if (work->parts > 0) {
        winograd_pair_images(&work->maps, work->parts, shape->n / 2);
        winograd_pair_images(&work->gradients, work->parts, shape->n / 2);
    }
}

static int64_t points_of(const winograd_sums *work) {
    return (int64_t)work->method.points * work->method.points;
}

/* The kernel evaluates a block of the map in argument `source` into its own memory. */
static void open_patches(winograd_patches *patches, arena *memory, kir_kernel *kernel, const winograd_sums *work,
                         int source, const char *name) {
    winograd_patches_lay(patches, work->tiling.tiles, work->cpu->lanes);
    winograd_patches_open(patches, memory, kernel, &work->tiling, source, work->cpu->lanes);
    patches->points =
        kir_scratch_add(memory, kernel, name, winograd_element(patches->parts), winograd_patches_elements(patches));
}

static kir_kernel *new_kernel(arena *memory, const winograd_sums *work, const char *what, const ir_value *value) {
    const conv_shape *shape = work->shape;
    const char *name = arena_printf(memory, "conv2d_weight_grad_winograd%s%s_%lldx%lld_%lldx%lld", what,
                                    work->parts > 0 ? "_pairs" : "", (long long)shape->channels,
                                    (long long)shape->filters, (long long)shape->size[0], (long long)shape->size[1]);
    return kir_kernel_new(memory, name, value->span);
}

/* Of so many tiles, or pairs of them, at all points. */
static double sum_flops(const winograd_sums *work, int64_t tiles) {
    double numbers = (double)(points_of(work) * tiles) * (work->parts > 0 ? 2 : 1);
    return 2.0 * numbers * (double)(work->shape->channels * work->shape->filters);
}

/* BOOL: nothing has been added to the sums of the point at work. That is so in a chunk's first block; of points that
 * share theirs, at the first one. */
static kir_reg are_fresh(const kir_builder *builder, const winograd_sums *work, kir_reg block, kir_reg point) {
    kir_reg fresh = kir_op2(builder, KIR_equal, block, kir_value(builder, kir_at(0)));
    if (work->method.points == WINOGRAD_WEIGHTS)
        return fresh;
    kir_reg side = kir_value(builder, kir_at(work->method.points)),
            last = kir_value(builder, kir_at(WINOGRAD_WEIGHTS - 1));
    for (int i = 0; i < 2; i++) {
        kir_reg at = kir_op2(builder, i == 0 ? KIR_div : KIR_rem, point, side);
        fresh = kir_op2(builder, KIR_and, fresh, kir_op2(builder, KIR_less_equal, at, last));
    }
    return fresh;
}

static void launch_chunks(lower_context *context, winograd_sums *work, const int buffers[3], const ir_value *value) {
    arena *memory = context->memory;
    int lanes = work->cpu->lanes;
    kir_kernel *kernel = new_kernel(memory, work, "", value);
    int x = kir_argument_add(memory, kernel, "x", KIR_F32, ir_type_elements(&value->operands[0]->type), true, false);
    int dy = kir_argument_add(memory, kernel, "dy", KIR_F32, ir_type_elements(&value->operands[1]->type), true, false);
    work->sums = kir_argument_add(memory, kernel, "sums", KIR_F32, work->chunks * work->sum_chunk, true, true);
    open_patches(&work->maps, memory, kernel, work, x, "map_points");
    open_patches(&work->gradients, memory, kernel, work, dy, "gradient_points");
    if (work->parts > 0)
        winograd_add_turned(work, memory, kernel, work->tiling.tiles);
    int64_t blocks = work->tiling.extent / work->chunks;
    kernel->flops = sum_flops(work, work->tiling.tiles * blocks);
    kir_builder builder = {memory, kernel, &kernel->body, value->span}, body, products;
    work->sum_base = kir_plus(kir_at(0), work->sum_chunk, 0);
    if (work->parts > 0)
        lower_clear_elements(&builder, work->sums, work->sum_base, work->sum_chunk, lanes);
    kir_reg block = kir_loop(&builder, kir_at(0), kir_at(blocks), 1, &body);
    work->together = true;
    work->block = kir_plus(kir_plus(kir_at(0), blocks, 0), 1, block);
    winograd_place place = winograd_place_of(&body, &work->tiling, work->block);
    winograd_emit_patches(&body, &work->maps, &work->tiling, &place, kir_at(0), lanes);
    winograd_emit_patches(&body, &work->gradients, &work->tiling, &place, kir_at(0), lanes);
    kir_reg point = kir_loop(&body, kir_at(0), kir_at(points_of(work)), 1, &products);
    work->point = kir_plus(kir_at(0), 1, point);
    work->sum_number = winograd_weight_point(&products, &work->method, point);
    if (work->parts == 0)
        work->fresh = are_fresh(&products, work, block, point);
    work->first_tile = work->channels_first = kir_at(0);
    work->tiles = work->tiling.tiles;
    work->channels = work->shape->channels;
    winograd_emit_sums(&products, work);
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
    if (work->parts == 0 && !work->once) {
        kir_reg start = kir_op2(builder, KIR_equal, kir_value(builder, first), kir_value(builder, kir_at(0)));
        work->fresh = kir_op2(builder, KIR_and, work->first_point, start);
    }
    winograd_emit_sums(builder, work);
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

/* How many tiles are added to the sums at once: of pairs a multiple of the lanes. */
static int64_t slice_size(const winograd_sums *work) {
    int64_t all = work->maps.tiles, lanes = work->cpu->lanes;
    return work->parts > 0 ? lanes * lower_divisor_below(all / lanes, SUMMED_PAIRS / lanes)
                           : tile_even_size(all, SUMMED_TILES);
}

/* An iteration sums one panel of channels, of pairs all channels, at one point of the weights over all tiles. */
static void launch_sums(lower_context *context, winograd_sums *work, const int buffers[3], const ir_value *value) {
    arena *memory = context->memory;
    int64_t channels = work->shape->channels, panel = work->parts > 0 ? channels : work->maps.panel;
    int64_t all = work->maps.tiles, panels = channels / panel, slice = slice_size(work);
    work->once = work->parts == 0 && slice == all && work->method.points == WINOGRAD_WEIGHTS;
    kir_kernel *kernel = new_kernel(memory, work, "_sums", value);
    kir_element element = winograd_element(work->parts);
    work->maps.points =
        kir_argument_add(memory, kernel, "map_points", element, winograd_patches_elements(&work->maps), true, false);
    work->gradients.points = kir_argument_add(memory, kernel, "gradient_points", element,
                                              winograd_patches_elements(&work->gradients), true, false);
    work->sums = kir_argument_add(memory, kernel, "sums", KIR_F32, work->sum_chunk, !work->once, true);
    if (work->once)
        kir_stream(kernel, work->sums);
    if (work->parts > 0)
        winograd_add_turned(work, memory, kernel, slice);
    int64_t extent = WINOGRAD_WEIGHTS * WINOGRAD_WEIGHTS * panels;
    kernel->flops = sum_flops(work, all) / (double)extent;
    kir_builder builder = {memory, kernel, &kernel->body, value->span}, rows, body;
    kir_reg count = kir_value(&builder, kir_at(panels)), side = kir_value(&builder, kir_at(WINOGRAD_WEIGHTS));
    kir_reg number = kir_op2(&builder, KIR_div, 0, count);
    work->sum_number = kir_plus(kir_at(0), 1, number);
    work->channels_first = kir_plus(kir_at(0), panel, kir_op2(&builder, KIR_rem, 0, count));
    work->channels = panel;
    work->sum_base = kir_at(0);
    if (work->parts > 0)
        emit_clear(&builder, work);
    kir_reg first_row = kir_op2(&builder, KIR_div, number, side),
            first_column = kir_op2(&builder, KIR_rem, number, side);
    kir_reg row = emit_shared_points(&builder, &work->method, first_row, &rows);
    kir_reg column = emit_shared_points(&rows, &work->method, first_column, &body);
    work->first_point = kir_op2(&body, KIR_and, kir_op2(&body, KIR_equal, row, first_row),
                                kir_op2(&body, KIR_equal, column, first_column));
    work->point = kir_plus(kir_plus(kir_at(0), work->method.points, row), 1, column);
    tile_blocks(&body, all, slice, emit_tiles, work);
    lower_launch(context, kernel, extent, buffers, value->span);
}

/* ---- back to taps ---------------------------------------------------------------------------------------------------
 */

static kir_reg load_sum(const kir_builder *builder, int row, kir_index column, void *user) {
    const winograd_sums *work = user;
    int lanes = work->cpu->lanes;
    kir_index from = kir_plus_index(work->from, work->sum_point, column);
    from.base += row * WINOGRAD_WEIGHTS * work->sum_point;
    kir_reg sum = kir_load(builder, work->sums, from, lanes, lanes);
    for (int64_t chunk = 1; chunk < work->chunks; chunk++) {
        from.base += work->sum_chunk;
        sum = kir_op2(builder, KIR_add, sum, kir_load(builder, work->sums, from, lanes, lanes));
    }
    return sum;
}

static void store_tap(const kir_builder *builder, kir_index row, int column, kir_reg value, void *user) {
    const winograd_sums *work = user;
    int64_t tap = work->shape->channels * work->shape->filters;
    kir_index to = kir_plus_index(work->to, WINOGRAD_TAPS * tap, row);
    to.base += column * tap;
    kir_store(builder, work->target, to, value, work->cpu->lanes);
}

static void emit_taps(kir_builder *builder, kir_index first, int64_t size, void *user) {
    winograd_sums *work = user;
    const conv_shape *shape = work->shape;
    kir_builder body;
    kir_reg vector = kir_loop(builder, kir_at(0), kir_at(size), work->cpu->lanes, &body);
    work->from = kir_plus(kir_plus(kir_plus_index(kir_at(0), shape->channels, first), size, 0), 1, vector);
    work->to = kir_plus(kir_plus_index(kir_plus(kir_at(0), shape->filters, 0), 1, first), 1, vector);
    winograd_transform_rows(&body, &work->taps, work->half, work->cpu->lanes, load_sum, store_tap, work);
}

/* An iteration takes a channel. */
static void launch_taps(lower_context *context, winograd_sums *work, const int buffers[2], const ir_value *value) {
    arena *memory = context->memory;
    kir_kernel *kernel = kir_kernel_new(memory, "winograd_taps", value->span);
    work->sums = kir_argument_add(memory, kernel, "sums", KIR_F32, work->chunks * work->sum_chunk, true, false);
    work->target = kir_argument_add(memory, kernel, "dw", KIR_F32, ir_type_elements(&value->type), false, true);
    work->half = winograd_half(memory, kernel, &work->taps, 1, work->cpu->lanes);
    kir_builder builder = {memory, kernel, &kernel->body, value->span};
    tile_blocks(&builder, work->shape->filters, work->gradients.panel, emit_taps, work);
    lower_launch(context, kernel, work->shape->channels, buffers, value->span);
}

/* Pairs of images, of which so many tiles fill the matrix units' rows. */
static int parts_of(const pass_context *pass, const conv_shape *shape, const winograd_tiling *pairs) {
    return shape->n % 2 == 0 && pairs->tiles % PAIR_UNIT == 0 ? winograd_parts(pass, shape) : 0;
}

static int64_t tiles_at_once(const winograd_sums *work) {
    int64_t tiles = work->method.points > WINOGRAD_WEIGHTS ? TILES / 2 : TILES;
    int64_t bytes = 4 * work->sum_chunk;
    return bytes > NEAR_SUMS && bytes <= SMALL_SUMS ? MORE_TILES * tiles : tiles;
}

static void choose_blocks(winograd_sums *work, const pass_context *pass) {
    const conv_shape *shape = work->shape;
    int outputs = work->method.outputs;
    work->sum_point = winograd_point_stride(shape->channels, shape->filters, work->cpu->lanes);
    work->sum_chunk = WINOGRAD_WEIGHTS * WINOGRAD_WEIGHTS * work->sum_point;
    winograd_tiling pairs = winograd_tiling_new(shape->n / 2, shape->out, outputs, TILES / 2);
    work->parts = parts_of(pass, shape, &pairs);
    work->tiling = work->parts > 0 ? pairs : winograd_tiling_new(shape->n, shape->out, outputs, tiles_at_once(work));
    work->spread = winograd_transposed(&work->method.output);
    work->taps = winograd_transposed(&work->method.weight);
    choose_patches(work);
}

/* Whether chunks have sums of their own. */
static bool are_small(const winograd_sums *work) {
    const conv_shape *shape = work->shape;
    if (work->parts > 0)
        return work->sum_chunk * 4 <= SMALL_PAIR_SUMS;
    bool whole = shape->channels % work->maps.panel == 0 && shape->filters % work->gradients.panel == 0;
    return work->sum_chunk * 4 <= SMALL_SUMS || !whole;
}

/* Chunks of equal numbers of blocks, as many as memory allows. */
bool lower_winograd_weight_grad(lower_context *context, const ir_value *value, const conv_shape *shape) {
    winograd_sums work = {.cpu = &context->pass->target,
                          .shape = shape,
                          .method = shape->stride[0] == 1 ? winograd_stride_1() : winograd_stride_2(),
                          .fresh = -1};
    choose_blocks(&work, context->pass);
    ir_layout map = lower_channels_last(), weight = lower_conv_weight();
    int x = lower_buffer_in_layout(context, value->operands[0], map);
    int dy = lower_buffer_in_layout(context, value->operands[1], map);
    int result = lower_result_buffer_in_layout(context, value, weight);
    bool small = are_small(&work);
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
