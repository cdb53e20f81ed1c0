/* conv2d and conv2d_input_grad by Winograd's method. A launch evaluates the weights at the points; an iteration of the
 * next takes a block of tiles: it evaluates their patches into its own memory, multiplies them, point by point, by the
 * weights, and interpolates the results. */
#include "passes/winograd.h"

enum {
    FEW_TILES = 32,           /* of a block whose patches share the second cache with a panel of products */
    MANY_TILES = 64,          /* where reading the weights costs more than that */
    SMALL_WEIGHTS = 4 << 20,  /* bytes at the points: patches are read again for every panel of weights */
    LARGE_WEIGHTS = 16 << 20, /* bytes at the points that the last cache does not keep from block to block */
    LEAST_CHANNELS = 32,      /* below, evaluating costs as much as multiplying saves */
    LEAST_SIZE = 3,           /* of results: fewer leave most of a tile unused */
    LEAST_PLACES = 256,       /* of all results: fewer do not repay evaluating the weights */
};

typedef struct {
    const kir_target *cpu;
    winograd_method method;
    winograd_tiling tiling;
    winograd_patches patches;
    winograd_place place;
    int weights, products, target;       /* arguments; products are [point][tile][filter of the group] */
    int64_t channels, filters, out[2];   /* summed over; of the result; places of the result */
    int64_t panel, group;                /* filters of a register tile; of which products are held at once */
    int64_t weight_point, product_point; /* elements between points */
    /* what the nested emitters are at */
    kir_index group_first, columns_first, point, weight_number, column_number;
    int64_t group_size, columns;
    kir_reg inside[2][WINOGRAD_MOST]; /* BOOL: rows and columns of the tile lie in the result; -1 if they always do */
    kir_index from, to;
} winograd_maps;

bool winograd_pays(const conv_shape *shape, const kir_target *cpu) {
    int64_t places = shape->n, stride = shape->stride[0];
    for (int i = 0; i < 2; i++) {
        if (shape->kernel[i] != WINOGRAD_TAPS || shape->stride[i] != stride || shape->dilation[i] != 1)
            return false;
        if (shape->out[i] < LEAST_SIZE || shape->padding[2 * i] % 2 != shape->padding[0] % 2)
            return false;
        places *= shape->out[i];
    }
    for (int i = 0; i < 4; i++)
        if (shape->padding[i] < 0 || shape->padding[i] >= WINOGRAD_TAPS)
            return false;
    return stride <= 2 && shape->groups == 1 && shape->channels % cpu->lanes == 0 && shape->filters % cpu->lanes == 0 &&
           shape->channels >= LEAST_CHANNELS && shape->filters >= LEAST_CHANNELS && places >= LEAST_PLACES;
}

static int64_t points_of(const winograd_maps *maps) {
    return (int64_t)maps->method.points * maps->method.points;
}

/* ---- weights at the points ------------------------------------------------------------------------------------------
 */

typedef struct {
    int source, target, lanes;
    bool turned;                  /* for the input's gradient: filters are summed over, taps from the other end */
    int64_t inputs, outputs, tap; /* strides of the source */
    int64_t channels, point;
    int64_t columns;
    kir_index from, to;
    int64_t channels_at_once; /* turned weights are read with strides: neighbours while they are near */
    const winograd_matrix *matrix;
} winograd_weights;

static kir_reg load_tap(const kir_builder *builder, int row, int column, void *user) {
    const winograd_weights *at = user;
    kir_index from = at->from;
    int tap = row * WINOGRAD_TAPS + column;
    from.base += at->tap * (at->turned ? WINOGRAD_TAPS * WINOGRAD_TAPS - 1 - tap : tap);
    return at->outputs == 1 ? kir_load(builder, at->source, from, at->lanes, at->lanes)
                            : kir_load_strided(builder, at->source, from, at->lanes, at->lanes, at->outputs);
}

static void store_weight(const kir_builder *builder, int row, int column, kir_reg value, void *user) {
    const winograd_weights *at = user;
    kir_index to = at->to;
    to.base += (row * WINOGRAD_WEIGHTS + column) * at->point;
    kir_store(builder, at->target, to, value, at->lanes);
}

static void emit_weight_panel(kir_builder *builder, kir_index first, int64_t size, void *user) {
    winograd_weights at = *(winograd_weights *)user;
    kir_builder body = *builder;
    kir_index vector = kir_at(0);
    if (size > at.lanes)
        vector = kir_plus(vector, 1, kir_loop(builder, kir_at(0), kir_at(size), at.lanes, &body));
    kir_index channel = kir_plus(kir_at(0), at.channels_at_once, 0);
    if (at.channels_at_once > 1) {
        kir_builder inner;
        channel = kir_plus(channel, 1, kir_loop(&body, kir_at(0), kir_at(at.channels_at_once), 1, &inner));
        body = inner;
    }
    at.from = kir_plus_index(kir_at(0), at.inputs, channel);
    at.from = kir_plus_index(kir_plus_index(at.from, at.outputs, first), at.outputs, vector);
    at.to = kir_plus_index(kir_plus_index(kir_plus_index(kir_at(0), at.channels, first), size, channel), 1, vector);
    winograd_transform(&body, at.matrix, load_tap, store_weight, &at);
}

/* The weights at the points: [point][panel of filters][channel][filter of the panel]. An iteration takes a
 * channel, or a few. */
static int launch_weights(lower_context *context, const winograd_maps *maps, bool turned, const conv_shape *shape,
                          const ir_value *value) {
    const ir_value *w = value->operands[1];
    arena *memory = context->memory;
    kir_kernel *kernel = kir_kernel_new(memory, "winograd_weights", value->span);
    winograd_weights work = {.lanes = maps->cpu->lanes,
                             .turned = turned,
                             .inputs = turned ? 1 : shape->filters,
                             .outputs = turned ? shape->filters : 1,
                             .tap = shape->channels * shape->filters,
                             .channels = maps->channels,
                             .point = maps->weight_point,
                             .channels_at_once = turned ? maps->cpu->lanes : 1,
                             .matrix = &maps->method.weight};
    work.source = kir_argument_add(memory, kernel, "weights", KIR_F32, ir_type_elements(&w->type), true, false);
    int64_t elements = WINOGRAD_WEIGHTS * WINOGRAD_WEIGHTS * maps->weight_point;
    work.target = kir_argument_add(memory, kernel, "points", KIR_F32, elements, false, true);
    kir_builder builder = {memory, kernel, &kernel->body, value->span};
    tile_blocks(&builder, maps->filters, maps->panel, emit_weight_panel, &work);
    int buffers[] = {lower_buffer_in_layout(context, w, lower_conv_weight()),
                     lower_temporary(context, "winograd_weights", KIR_F32, elements, value->span)};
    lower_launch(context, kernel, maps->channels / work.channels_at_once, buffers, value->span);
    return buffers[1];
}

/* ---- products -------------------------------------------------------------------------------------------------------
 */

static void emit_product_rows(kir_builder *builder, kir_index first, int64_t size, void *user) {
    winograd_maps *maps = user;
    register_tile tile = tile_new(builder, maps->cpu, (int)size, maps->columns);
    tile_clear(builder, &tile);
    kir_builder body;
    kir_reg channel = kir_loop(builder, kir_at(0), kir_at(maps->channels), 1, &body);
    kir_index rows[TILE_MAX_ROWS], targets[TILE_MAX_ROWS];
    kir_index row = kir_plus(kir_plus_index(kir_at(0), maps->channels, first), 1, channel);
    row = kir_plus_index(row, maps->patches.point, maps->point);
    kir_index target =
        kir_plus_index(kir_plus_index(kir_at(0), maps->product_point, maps->point), maps->group_size, first);
    target = kir_plus_index(target, 1, maps->column_number);
    for (int64_t r = 0; r < size; r++) {
        rows[r] = row;
        rows[r].base += r * maps->channels;
        targets[r] = target;
        targets[r].base += r * maps->group_size;
    }
    kir_index weights = kir_plus_index(kir_at(0), maps->weight_point, maps->weight_number);
    weights = kir_plus(kir_plus_index(weights, maps->channels, maps->columns_first), maps->columns, channel);
    tile_multiply(&body, &tile, maps->patches.points, rows, maps->weights, weights);
    tile_store(builder, &tile, maps->products, targets);
}

static void emit_product_columns(kir_builder *builder, kir_index first, int64_t size, void *user) {
    winograd_maps *maps = user;
    maps->column_number = first;
    maps->columns_first = kir_plus_index(maps->group_first, 1, first);
    maps->columns = size;
    int64_t limit = tile_rows_for(maps->cpu, (int)((size + maps->cpu->lanes - 1) / maps->cpu->lanes));
    tile_blocks(builder, maps->tiling.tiles, tile_even_size(maps->tiling.tiles, limit), emit_product_rows, maps);
}

/* ---- results --------------------------------------------------------------------------------------------------------
 */

static kir_reg load_product(const kir_builder *builder, int row, int column, void *user) {
    const winograd_maps *maps = user;
    kir_index from = maps->from;
    from.base += (row * maps->method.points + column) * maps->product_point;
    return kir_load(builder, maps->products, from, maps->cpu->lanes, maps->cpu->lanes);
}

static void store_result(const kir_builder *builder, int row, int column, kir_reg value, void *user) {
    const winograd_maps *maps = user;
    kir_index to = maps->to;
    to.base += (row * maps->out[1] + column) * maps->filters;
    kir_reg in_row = maps->inside[0][row], in_column = maps->inside[1][column];
    kir_builder body = *builder;
    if (in_row >= 0 || in_column >= 0)
        kir_if(builder,
               in_row < 0      ? in_column
               : in_column < 0 ? in_row
                               : kir_op2(builder, KIR_and, in_row, in_column),
               &body, NULL);
    kir_store(&body, maps->target, to, value, maps->cpu->lanes);
}

/* Which of a tile's rows (columns) from element `first` on lie within `size`. */
static void emit_inside(const kir_builder *builder, const winograd_maps *maps, kir_index first, int64_t size,
                        kir_reg inside[WINOGRAD_MOST]) {
    int64_t rest = size % maps->method.outputs; /* of the last tile */
    for (int i = 0; i < maps->method.outputs; i++) {
        inside[i] = -1;
        if (rest == 0 || i < rest)
            continue;
        kir_index place = first;
        place.base += i;
        inside[i] = kir_op2(builder, KIR_less, kir_value(builder, place), kir_value(builder, kir_at(size)));
    }
}

/* The results of a group of filters for all tiles of the block. */
static void emit_results(kir_builder *builder, winograd_maps *maps) {
    const winograd_tiling *tiling = &maps->tiling;
    kir_builder images = *builder, rows, columns, body;
    kir_index image = kir_at(0);
    if (tiling->images > 1)
        image = kir_plus(image, 1, kir_loop(builder, kir_at(0), kir_at(tiling->images), 1, &images));
    kir_reg row = kir_loop(&images, kir_at(0), kir_at(tiling->rows), 1, &rows);
    kir_index place_row =
        kir_plus_index(kir_plus(kir_at(0), maps->method.outputs, row), maps->method.outputs, maps->place.row);
    emit_inside(&rows, maps, place_row, maps->out[0], maps->inside[0]);
    kir_reg column = kir_loop(&rows, kir_at(0), kir_at(tiling->count[1]), 1, &columns);
    kir_index place_column = kir_plus(kir_at(0), maps->method.outputs, column);
    emit_inside(&columns, maps, place_column, maps->out[1], maps->inside[1]);
    kir_reg vector = kir_loop(&columns, kir_at(0), kir_at(maps->group_size), maps->cpu->lanes, &body);
    kir_index tile = kir_plus_index(kir_at(0), tiling->rows * tiling->count[1], image);
    tile = kir_plus(kir_plus(tile, tiling->count[1], row), 1, column);
    maps->from = kir_plus(kir_plus_index(kir_at(0), maps->group_size, tile), 1, vector);
    kir_index map = kir_plus_index(maps->place.image, 1, image);
    maps->to = kir_plus(maps->group_first, 1, vector);
    maps->to = kir_plus_index(maps->to, maps->out[0] * maps->out[1] * maps->filters, map);
    maps->to = kir_plus_index(maps->to, maps->out[1] * maps->filters, place_row);
    maps->to = kir_plus_index(maps->to, maps->filters, place_column);
    winograd_transform(&body, &maps->method.output, load_product, store_result, maps);
}

static void emit_group(kir_builder *builder, kir_index first, int64_t size, void *user) {
    winograd_maps *maps = user;
    maps->group_first = first;
    maps->group_size = size;
    kir_builder body;
    kir_reg point = kir_loop(builder, kir_at(0), kir_at(points_of(maps)), 1, &body);
    maps->point = kir_plus(kir_at(0), 1, point);
    maps->weight_number = winograd_weight_point(&body, &maps->method, point);
    tile_blocks(&body, size, maps->panel, emit_product_columns, maps);
    emit_results(builder, maps);
}

/* ---- the two directions ---------------------------------------------------------------------------------------------
 */

/* How many tiles an iteration takes, and how many filters' products it holds. Above small weights it goes through them
 * point by point, once for all its tiles, and of large ones takes more tiles; the many points of stride 2 leave no room
 * for either. The limits are from measurements on a processor with 1 MB of second and 32 MB of last cache. */
static void choose_blocks(winograd_maps *maps, int64_t n) {
    int64_t weights = WINOGRAD_WEIGHTS * WINOGRAD_WEIGHTS * 4 * maps->weight_point;
    bool room = maps->method.points == WINOGRAD_WEIGHTS;
    maps->tiling = winograd_tiling_new(n, maps->out, maps->method.outputs,
                                       room && weights > LARGE_WEIGHTS ? MANY_TILES : FEW_TILES);
    maps->group = room && weights > SMALL_WEIGHTS ? maps->filters : maps->panel;
}

/* Maps of `size` convolved to `out`; the first patch begins at `origin`. */
static bool launch_maps(lower_context *context, const ir_value *value, const conv_shape *shape, winograd_maps maps,
                        bool turned, const int64_t size[2], const int64_t origin[2]) {
    arena *memory = context->memory;
    const kir_target *cpu = maps.cpu = &context->pass->target;
    maps.channels = turned ? shape->filters : shape->channels;
    maps.filters = turned ? shape->channels : shape->filters;
    maps.panel = (int64_t)tile_vectors_for(cpu, maps.filters) * cpu->lanes;
    maps.weight_point = winograd_point_stride(maps.channels, maps.filters, cpu->lanes);
    choose_blocks(&maps, shape->n);
    int weights = launch_weights(context, &maps, turned, shape, value);
    const char *name =
        arena_printf(memory, "%s_winograd_%lldx%lld_%lldx%lld", turned ? "conv2d_input_grad" : "conv2d",
                     (long long)maps.channels, (long long)maps.filters, (long long)maps.out[0], (long long)maps.out[1]);
    kir_kernel *kernel = kir_kernel_new(memory, name, value->span);
    int source =
        kir_argument_add(memory, kernel, "source", KIR_F32, ir_type_elements(&value->operands[0]->type), true, false);
    maps.weights = kir_argument_add(memory, kernel, "points", KIR_F32,
                                    WINOGRAD_WEIGHTS * WINOGRAD_WEIGHTS * maps.weight_point, true, false);
    maps.target = kir_argument_add(memory, kernel, "result", KIR_F32, ir_type_elements(&value->type), false, true);
    kir_stream(kernel, maps.target);
    maps.patches = winograd_patches_new(memory, kernel, &maps.tiling, &maps.method.input, maps.method.step, source,
                                        size, maps.channels, origin, maps.channels);
    maps.patches.point = winograd_point_stride(maps.tiling.tiles, maps.channels, cpu->lanes);
    maps.patches.points = kir_scratch_add(memory, kernel, "patches", KIR_F32, points_of(&maps) * maps.patches.point);
    maps.product_point = winograd_point_stride(maps.tiling.tiles, maps.group, cpu->lanes);
    maps.products = kir_scratch_add(memory, kernel, "products", KIR_F32, points_of(&maps) * maps.product_point);
    kernel->flops = 2.0 * (double)(points_of(&maps) * maps.tiling.tiles * maps.channels * maps.filters);
    kir_builder builder = {memory, kernel, &kernel->body, value->span};
    maps.place = winograd_place_of(&builder, &maps.tiling, kir_plus(kir_at(0), 1, 0));
    winograd_emit_patches(&builder, &maps.patches, &maps.tiling, &maps.place, kir_at(0), cpu->lanes);
    tile_blocks(&builder, maps.filters, maps.group, emit_group, &maps);
    ir_layout map = lower_channels_last();
    int buffers[] = {lower_buffer_in_layout(context, value->operands[0], map), weights,
                     lower_result_buffer_in_layout(context, value, map)};
    lower_launch(context, kernel, maps.tiling.extent, buffers, value->span);
    lower_finish_result(context, value, map, buffers[2]);
    return true;
}

bool lower_winograd_forward(lower_context *context, const ir_value *value, const conv_shape *shape) {
    winograd_maps maps = {.method = shape->stride[0] == 1 ? winograd_stride_1() : winograd_stride_2(),
                          .out = {shape->out[0], shape->out[1]}};
    int64_t origin[2] = {-shape->padding[0], -shape->padding[2]};
    return launch_maps(context, value, shape, maps, false, shape->size, origin);
}

bool lower_winograd_input_grad(lower_context *context, const ir_value *value, const conv_shape *shape) {
    bool odd = shape->padding[0] % 2 != 0, single = shape->stride[0] == 1;
    winograd_maps maps = {.method = single ? winograd_stride_1() : winograd_stride_2_gradient(odd),
                          .out = {shape->size[0], shape->size[1]}};
    int64_t origin[2];
    for (int i = 0; i < 2; i++)
        origin[i] = single ? shape->padding[2 * i] + 1 - WINOGRAD_TAPS : (shape->padding[2 * i] + 1) / 2 - 1;
    return launch_maps(context, value, shape, maps, true, shape->out, origin);
}
