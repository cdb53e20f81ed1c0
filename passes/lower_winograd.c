/* conv2d and conv2d_input_grad by Winograd's method. A launch evaluates the weights at the points; an iteration of the
 * next takes a block of tiles: it evaluates their patches into its own memory, multiplies them, point by point, by the
 * weights, and interpolates the results.
 *
 * In pairs of bf16 parts the products, and they alone, are those of matrix units. These read large weights faster than
 * the caches give them: then patches, products and results have launches of their own, and an iteration of the products
 * takes all tiles at one point. So it is in f32 where there are large weights and few tiles, which would make too few
 * blocks for all processors. */
#include "passes/channel_statistics.h"
#include "passes/winograd.h"

#include "passes/lower_pairs.h"

enum {
    FEW_TILES = 32,           /* of a block whose patches share the second cache with a panel of products */
    MANY_TILES = 64,          /* where reading the weights costs more than that */
    SMALL_WEIGHTS = 4 << 20,  /* bytes at the points: patches are read again for every panel of weights */
    LARGE_WEIGHTS = 16 << 20, /* bytes at the points that the last cache does not keep from block to block */
    FEW_BLOCKS = 8,           /* that few processors share evenly */
    LEAST_CHANNELS = 32,      /* below, evaluating costs as much as multiplying saves */
    LEAST_SIZE = 3,           /* of results: fewer leave most of a tile unused */
    LEAST_PLACES = 256,       /* of all results: fewer do not repay evaluating the weights */
};

typedef struct {
    const kir_target *cpu;
    winograd_method method;
    winograd_tiling tiling;
    winograd_patches patches;
    winograd_weights weights;
    winograd_place place;
    int weight_points, products, target; /* arguments; products are [point][group][tile][filter of the group] */
    int64_t out[2];                      /* places of the result */
    bool apart;                          /* in launches of their own: products are of all groups, else of one */
    int64_t tiles;                       /* of the products */
    int64_t group;                       /* filters */
    int64_t product_point;               /* elements between points */
    int waiting;                         /* scratch, through which products go past the caches; -1: they do not */
    /* what the nested emitters are at */
    kir_index first_tile; /* of the block, among those of the products */
    kir_index group_first, columns_first, point, weight_number, column_number;
    int64_t group_size, columns;
    kir_reg inside[2][WINOGRAD_MOST]; /* BOOL: rows and columns of the tile lie in the result; -1 if they always do */
    kir_index from, to;
    channel_statistics *statistics; /* of the results, or NULL */
    statistics_vector taken;
    kir_reg first; /* BOOL: no results of the iteration have been taken */
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

/* Not of single parts: their errors, which the transforms make grow, would no longer be those of bf16. */
int winograd_parts(const pass_context *pass, const conv_shape *shape) {
    winograd_method method = winograd_stride_1();
    winograd_tiling tiling = winograd_tiling_new(shape->n, shape->out, method.outputs, MANY_TILES);
    int64_t numbers = (int64_t)method.points * method.points * tiling.tiles * tiling.extent;
    pair_work work = {.multiply_adds = (double)numbers * (double)(shape->channels * shape->filters),
                      .other_share = 1,
                      .rows = tiling.tiles,
                      .columns = shape->filters,
                      .summed = shape->channels,
                      .numbers = numbers * (shape->channels + shape->filters) / 2};
    bool pairs = pass->product_parts > 1 && shape->stride[0] == 1 && shape->channels % (2 * PAIR_UNIT) == 0 &&
                 shape->filters % (2 * PAIR_UNIT) == 0 && winograd_pays(shape, &pass->target);
    return pairs && lower_pairs_pay(pass, &work) ? pass->product_parts : 0;
}

static int64_t points_of(const winograd_maps *maps) {
    return (int64_t)maps->method.points * maps->method.points;
}

/* ---- products -------------------------------------------------------------------------------------------------------
 */

/* The first product of the group at the first point. */
static kir_index products_of_group(const winograd_maps *maps) {
    return kir_plus_index(kir_at(0), maps->apart ? maps->tiles : 0, maps->group_first);
}

/* Where the products of tile `first` and following with the columns at work are, and the weights of those. */
static kir_index product_at(const winograd_maps *maps, kir_index first) {
    kir_index at = kir_plus_index(products_of_group(maps), maps->product_point, maps->point);
    return kir_plus_index(kir_plus_index(at, maps->group_size, first), 1, maps->column_number);
}

static kir_index weights_at(const winograd_maps *maps, int64_t numbers) {
    kir_index at = kir_plus_index(kir_at(0), maps->weights.point, maps->weight_number);
    return kir_plus_index(at, numbers, maps->columns_first);
}

/* Whether a panel of weights meets the tiles at all points before the next one does; else all panels do at a point. */
static bool panels_come_first(const winograd_maps *maps) {
    return maps->group == maps->weights.panel;
}

/* In the loop over channels: fetches the weights that the tiles meet next. */
static void fetch_weights(const kir_builder *builder, const winograd_maps *maps, fetch_loop tiles,
                          fetch_loop channels) {
    fetch_ahead ahead = {.argument = maps->weight_points, .elements = maps->weights.channels * maps->columns};
    ahead.first = weights_at(maps, maps->weights.channels);
    ahead.first.base += panels_come_first(maps) ? maps->weights.point : ahead.elements;
    fetch_ahead_within(&ahead, tiles);
    fetch_ahead_within(&ahead, channels);
    fetch_ahead_emit(builder, &ahead);
}

/* The same of the next block's maps, beside small weights; the loop over channels is to be added. */
static fetch_ahead next_maps(const kir_builder *builder, const winograd_maps *maps, fetch_loop tiles) {
    kir_index block = kir_plus(kir_at(0), 1, 0);
    fetch_ahead ahead = winograd_fetch_next(builder, &maps->patches, &maps->tiling, block, 0);
    fetch_ahead_within(&ahead, fetch_blocks(maps->group_first, maps->weights.panel, maps->weights.filters));
    fetch_ahead_within(&ahead, fetch_blocks(maps->point, 1, points_of(maps)));
    fetch_ahead_within(&ahead, tiles);
    return ahead;
}

static void emit_product_rows(kir_builder *builder, kir_index first, int64_t size, void *user) {
    winograd_maps *maps = user;
    int64_t channels = maps->weights.channels;
    register_tile tile = tile_new(builder, maps->cpu, (int)size, maps->columns);
    tile_clear(builder, &tile);
    kir_builder body;
    int64_t round = tile_steps(&tile, channels);
    kir_reg channel = kir_loop(builder, kir_at(0), kir_at(channels), round, &body);
    tile_operands operands = {
        .left = maps->patches.points, .right = maps->weight_points, .left_step = 1, .right_step = maps->columns};
    kir_index targets[TILE_MAX_ROWS];
    kir_index row = kir_plus(kir_plus_index(kir_at(0), channels, first), 1, channel);
    row = kir_plus_index(row, maps->patches.point, maps->point);
    kir_index target = product_at(maps, first);
    for (int64_t r = 0; r < size; r++) {
        operands.rows[r] = row;
        operands.rows[r].base += r * channels;
        targets[r] = target;
        targets[r].base += r * maps->group_size;
    }
    operands.columns = kir_plus(weights_at(maps, channels), maps->columns, channel);
    fetch_loop tiles = fetch_blocks(first, size, maps->tiles), steps = fetch_steps(channel, round, channels);
    fetch_weights(&body, maps, tiles, steps);
    if (panels_come_first(maps) && !maps->apart) {
        fetch_ahead ahead = next_maps(&body, maps, tiles);
        fetch_ahead_within(&ahead, steps);
        fetch_ahead_emit(&body, &ahead);
    }
    tile_multiply(&body, &tile, &operands, round);
    tile_store(builder, &tile, maps->products, targets);
}

static void emit_pair_rows(kir_builder *builder, kir_index first, int64_t size, void *user) {
    winograd_maps *maps = user;
    const winograd_patches *patches = &maps->patches;
    int64_t pairs = maps->weights.channels / 2;
    pair_panel panel = {
        .cpu = maps->cpu,
        .parts = patches->parts,
        .left = patches->points,
        .right = maps->weight_points,
        .target = maps->products,
        .pairs = kir_at(patches->panel),
        .left_row = patches->panel,
        .left_pair = 1,
        .left_part = patches->part,
        .right_pair = maps->columns,
        .right_part = maps->weights.part,
        .target_row = maps->group_size,
        .rows = size,
        .columns = maps->columns,
        .tile = pair_tile_for(maps->tiles, maps->weights.filters, patches->panel),
        .sums = {{pairs / patches->panel, patches->tiles * patches->panel, patches->panel * maps->columns}},
        .sum_count = 1,
        .fresh = true};
    panel.left_at = kir_plus_index(kir_at(0), patches->point, maps->point);
    panel.left_at = kir_plus_index(panel.left_at, patches->panel, first);
    panel.right_at = weights_at(maps, pairs);
    panel.target_at = product_at(maps, first);
    if (!maps->apart)
        panel.ahead[panel.ahead_count++] = next_maps(builder, maps, fetch_blocks(first, size, maps->tiles));
    if (maps->waiting < 0) {
        pair_panel_emit(builder, &panel);
        return;
    }
    pair_panel sums = panel;
    sums.target = maps->waiting;
    sums.target_at = kir_at(0);
    pair_panel_emit(builder, &sums);
    pair_panel_copy(builder, &panel, maps->waiting, kir_at(0), kir_at(0), kir_at(size));
}

static void emit_product_columns(kir_builder *builder, kir_index first, int64_t size, void *user) {
    winograd_maps *maps = user;
    maps->column_number = first;
    maps->columns_first = kir_plus_index(maps->group_first, 1, first);
    maps->columns = size;
    if (maps->patches.parts > 0) {
        tile_blocks(builder, maps->tiles, pair_panel_rows(maps->cpu, maps->tiles, size), emit_pair_rows, maps);
    } else {
        tile_blocks(builder, maps->tiles, tile_best_rows(maps->cpu, maps->tiles, size), emit_product_rows, maps);
    }
}

static void emit_group_products(kir_builder *builder, kir_index first, int64_t size, void *user) {
    winograd_maps *maps = user;
    maps->group_first = first;
    maps->group_size = size;
    tile_blocks(builder, size, maps->weights.panel, emit_product_columns, maps);
}

/* ---- results --------------------------------------------------------------------------------------------------------
 */

static kir_reg load_product(const kir_builder *builder, int row, kir_index column, void *user) {
    const winograd_maps *maps = user;
    kir_index from = kir_plus_index(maps->from, maps->product_point, column);
    from.base += row * maps->method.points * maps->product_point;
    return kir_load(builder, maps->products, from, maps->cpu->lanes, maps->cpu->lanes);
}

static void store_result(const kir_builder *builder, kir_index row, int column, kir_reg value, void *user) {
    const winograd_maps *maps = user;
    kir_index to = maps->to;
    to.base += (row.base * maps->out[1] + column) * maps->weights.filters;
    kir_reg in_row = maps->inside[0][row.base], in_column = maps->inside[1][column];
    kir_reg inside = in_row < 0 ? in_column : in_column < 0 ? in_row : kir_op2(builder, KIR_and, in_row, in_column);
    if (maps->statistics) {
        if (row.base == 0 && column == 0)
            channel_statistics_shift(builder, &maps->taken, maps->first, value);
        channel_statistics_take(builder, &maps->taken, value, inside);
    }
    kir_builder body = *builder;
    if (inside >= 0)
        kir_if(builder, inside, &body, NULL);
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
    tile = kir_plus_index(maps->first_tile, 1, tile);
    maps->from = kir_plus(kir_plus_index(products_of_group(maps), maps->group_size, tile), 1, vector);
    kir_index map = kir_plus_index(maps->place.image, 1, image);
    maps->to = kir_plus(maps->group_first, 1, vector);
    int64_t pixel = maps->weights.filters, line = maps->out[1] * pixel;
    maps->to = kir_plus_index(maps->to, maps->out[0] * line, map);
    maps->to = kir_plus_index(kir_plus_index(maps->to, line, place_row), pixel, place_column);
    if (maps->statistics) {
        maps->taken = channel_statistics_begin(&body, maps->statistics, kir_plus(maps->group_first, 1, vector));
        kir_index before = kir_plus(kir_plus_index(kir_at(0), 1, image), 1, row);
        maps->first = channel_statistics_first(&body, kir_plus(before, 1, column));
    }
    winograd_transform(&body, &maps->method.output, load_product, store_result, maps);
    if (maps->statistics)
        channel_statistics_end(&body, maps->statistics, &maps->taken);
}

static void emit_group_results(kir_builder *builder, kir_index first, int64_t size, void *user) {
    winograd_maps *maps = user;
    maps->group_first = first;
    maps->group_size = size;
    emit_results(builder, maps);
}

/* The products of a group at all points, then its results. */
static void emit_group(kir_builder *builder, kir_index first, int64_t size, void *user) {
    winograd_maps *maps = user;
    kir_builder body;
    kir_reg point = kir_loop(builder, kir_at(0), kir_at(points_of(maps)), 1, &body);
    maps->point = kir_plus(kir_at(0), 1, point);
    maps->weight_number = winograd_weight_point(&body, &maps->method, point);
    emit_group_products(&body, first, size, maps);
    emit_results(builder, maps);
}

/* ---- launches -------------------------------------------------------------------------------------------------------
 */

typedef struct {
    const ir_value *value;
    int buffers[3]; /* the source, the weights at the points, the result */
} winograd_work;

static kir_kernel *new_kernel(lower_context *context, const winograd_maps *maps, const winograd_work *work,
                              const char *what) {
    const char *direction = maps->weights.turned ? "conv2d_input_grad" : "conv2d";
    const char *name = arena_printf(context->memory, "%s_winograd%s%s_%lldx%lld_%lldx%lld", direction, what,
                                    maps->weights.parts > 0 ? "_pairs" : "", (long long)maps->weights.channels,
                                    (long long)maps->weights.filters, (long long)maps->out[0], (long long)maps->out[1]);
    return kir_kernel_new(context->memory, name, work->value->span);
}

static int add_source(arena *memory, kir_kernel *kernel, const winograd_work *work) {
    int64_t elements = ir_type_elements(&work->value->operands[0]->type);
    return kir_argument_add(memory, kernel, "source", KIR_F32, elements, true, false);
}

static int add_weights(arena *memory, kir_kernel *kernel, const winograd_maps *maps) {
    return kir_argument_add(memory, kernel, "points", maps->weights.parts > 0 ? KIR_I32 : KIR_F32,
                            winograd_weight_elements(&maps->weights), true, false);
}

/* Results of a block, 0 if blocks differ. */
static int64_t places_of_block(const winograd_maps *maps) {
    const winograd_tiling *tiling = &maps->tiling;
    int64_t rows = tiling->blocks == 1 ? maps->out[0] : tiling->rows * maps->method.outputs;
    return maps->out[0] % rows == 0 ? tiling->images * rows * maps->out[1] : 0;
}

static int add_result(arena *memory, kir_kernel *kernel, const winograd_work *work) {
    int target = kir_argument_add(memory, kernel, "result", KIR_F32, ir_type_elements(&work->value->type), false, true);
    kir_stream(kernel, target);
    return target;
}

static void open_statistics(lower_context *context, winograd_maps *maps, const winograd_work *work,
                            kir_kernel *kernel) {
    maps->statistics =
        channel_statistics_open(context, work->value, kernel, maps->tiling.extent, places_of_block(maps));
}

/* All groups of filters, and what is kept of their results. */
static void emit_with_statistics(kir_builder *builder, winograd_maps *maps, emit_block emit) {
    channel_statistics_clear(builder, maps->statistics);
    tile_blocks(builder, maps->weights.filters, maps->group, emit, maps);
    channel_statistics_store(builder, maps->statistics, kir_plus(kir_at(0), 1, 0), kir_at(0), maps->weights.filters);
}

static double product_flops(const winograd_maps *maps, int64_t points) {
    return 2.0 * (double)(points * maps->tiles) * (double)(maps->weights.channels * maps->weights.filters);
}

static void launch_together(lower_context *context, winograd_maps *maps, const winograd_work *work) {
    arena *memory = context->memory;
    kir_kernel *kernel = new_kernel(context, maps, work, "");
    int lanes = maps->cpu->lanes, source = add_source(memory, kernel, work);
    maps->weight_points = add_weights(memory, kernel, maps);
    maps->target = add_result(memory, kernel, work);
    maps->tiles = maps->tiling.tiles;
    winograd_patches_lay(&maps->patches, maps->tiles, lanes);
    winograd_patches_open(&maps->patches, memory, kernel, &maps->tiling, source, lanes);
    maps->patches.points = kir_scratch_add(memory, kernel, "patches", winograd_element(maps->patches.parts),
                                           winograd_patches_elements(&maps->patches));
    maps->product_point = winograd_point_stride(maps->tiles, maps->group, lanes);
    maps->products = kir_scratch_add(memory, kernel, "products", KIR_F32, points_of(maps) * maps->product_point);
    kernel->flops = product_flops(maps, points_of(maps));
    open_statistics(context, maps, work, kernel);
    kir_builder builder = {memory, kernel, &kernel->body, work->value->span};
    maps->place = winograd_place_of(&builder, &maps->tiling, kir_plus(kir_at(0), 1, 0));
    maps->first_tile = kir_at(0);
    winograd_emit_patches(&builder, &maps->patches, &maps->tiling, &maps->place, kir_at(0), lanes);
    emit_with_statistics(&builder, maps, emit_group);
    channel_statistics_launch(context, maps->statistics, kernel, work->buffers, 3, maps->tiling.extent,
                              work->value->span);
}

/* The products of all tiles and filters, an iteration for each point. Returns the buffer. */
static int launch_products(lower_context *context, winograd_maps *maps, const winograd_work *work, int patches) {
    arena *memory = context->memory;
    kir_kernel *kernel = new_kernel(context, maps, work, "_products");
    int64_t elements = points_of(maps) * maps->product_point;
    maps->patches.points = kir_argument_add(memory, kernel, "patches", winograd_element(maps->patches.parts),
                                            winograd_patches_elements(&maps->patches), true, false);
    maps->weight_points = add_weights(memory, kernel, maps);
    maps->products = kir_argument_add(memory, kernel, "products", KIR_F32, elements, false, true);
    kir_stream(kernel, maps->products);
    if (maps->cpu->matrix_units) {
        int64_t rows = pair_panel_rows(maps->cpu, maps->tiles, maps->weights.panel);
        maps->waiting = kir_scratch_add(memory, kernel, "waiting", KIR_F32, rows * maps->weights.panel);
    }
    kernel->flops = product_flops(maps, 1);
    kir_builder builder = {memory, kernel, &kernel->body, work->value->span};
    maps->point = kir_plus(kir_at(0), 1, 0);
    maps->weight_number = winograd_weight_point(&builder, &maps->method, 0);
    tile_blocks(&builder, maps->weights.filters, maps->group, emit_group_products, maps);
    int products = lower_temporary(context, "winograd_products", KIR_F32, elements, work->value->span);
    lower_launch(context, kernel, points_of(maps), (int[]){patches, work->buffers[1], products}, work->value->span);
    return products;
}

static void launch_results(lower_context *context, winograd_maps *maps, const winograd_work *work, int products) {
    arena *memory = context->memory;
    kir_kernel *kernel = new_kernel(context, maps, work, "_results");
    maps->products =
        kir_argument_add(memory, kernel, "products", KIR_F32, points_of(maps) * maps->product_point, true, false);
    maps->target = add_result(memory, kernel, work);
    open_statistics(context, maps, work, kernel);
    kir_builder builder = {memory, kernel, &kernel->body, work->value->span};
    maps->place = winograd_place_of(&builder, &maps->tiling, kir_plus(kir_at(0), 1, 0));
    maps->first_tile = kir_plus(kir_at(0), maps->tiling.tiles, 0);
    emit_with_statistics(&builder, maps, emit_group_results);
    channel_statistics_launch(context, maps->statistics, kernel, (int[]){products, work->buffers[2]}, 2,
                              maps->tiling.extent, work->value->span);
}

static void launch_apart(lower_context *context, winograd_maps *maps, const winograd_work *work) {
    maps->tiles = maps->tiling.tiles * maps->tiling.extent;
    winograd_patches_lay(&maps->patches, maps->tiles, maps->cpu->lanes);
    maps->product_point = winograd_point_stride(maps->tiles, maps->weights.filters, maps->cpu->lanes);
    const ir_value *source = work->value->operands[0];
    int patches = winograd_launch_patches(context, &maps->patches, &maps->tiling, work->buffers[0],
                                          ir_type_elements(&source->type), work->value->span);
    launch_results(context, maps, work, launch_products(context, maps, work, patches));
}

/* ---- the two directions ---------------------------------------------------------------------------------------------
 */

/* How many tiles an iteration takes, and how many filters' products it holds. Above small weights it goes through them
 * point by point, once for all its tiles, and of large ones takes more tiles; the many points of stride 2 leave no room
 * for either. The limits are from measurements on a processor with 1 MB of second and 32 MB of last cache. */
static void choose_blocks(winograd_maps *maps, int64_t n) {
    int64_t weights = 4 * winograd_weight_elements(&maps->weights);
    bool room = maps->method.points == WINOGRAD_WEIGHTS, pairs = maps->weights.parts > 0;
    maps->tiling = winograd_tiling_new(
        n, maps->out, maps->method.outputs,
        (pairs && weights > SMALL_WEIGHTS) || (room && weights > LARGE_WEIGHTS) ? MANY_TILES : FEW_TILES);
    maps->apart = weights > SMALL_WEIGHTS && (pairs || maps->tiling.extent < FEW_BLOCKS);
    if (maps->apart && !pairs)
        maps->tiling = winograd_tiling_new(n, maps->out, maps->method.outputs,
                                           maps->tiling.tiles * maps->tiling.extent / FEW_BLOCKS);
    maps->group = !pairs && room && weights > SMALL_WEIGHTS ? maps->weights.filters : maps->weights.panel;
}

/* The weights' places and, of the patches, how many numbers make a panel. */
static int64_t choose_panels(winograd_maps *maps, const conv_shape *shape, bool turned, int parts) {
    const kir_target *cpu = maps->cpu;
    winograd_weights *weights = &maps->weights;
    *weights = (winograd_weights){.matrix = &maps->method.weight,
                                  .turned = turned,
                                  .parts = parts,
                                  .channels = turned ? shape->filters : shape->channels,
                                  .filters = turned ? shape->channels : shape->filters};
    int64_t numbers = parts > 0 ? weights->channels / 2 : weights->channels;
    weights->panel = parts > 0 ? pair_panel_columns(cpu, weights->filters)
                               : (int64_t)tile_vectors_for(cpu, weights->filters) * cpu->lanes;
    weights->point = winograd_point_stride(numbers, weights->filters, cpu->lanes);
    weights->part = WINOGRAD_WEIGHTS * WINOGRAD_WEIGHTS * weights->point;
    return parts > 0 ? cpu->lanes : weights->channels;
}

/* Maps of `size` convolved to `out`; the first patch begins at `origin`. */
static bool launch_maps(lower_context *context, const ir_value *value, const conv_shape *shape, winograd_maps maps,
                        bool turned, const int64_t size[2], const int64_t origin[2]) {
    maps.cpu = &context->pass->target;
    maps.waiting = -1;
    int parts = winograd_parts(context->pass, shape);
    int64_t panel = choose_panels(&maps, shape, turned, parts);
    choose_blocks(&maps, shape->n);
    maps.patches = winograd_patches_new(&maps.tiling, &maps.method.input, maps.method.step, size, maps.weights.channels,
                                        origin, panel);
    if (parts > 0)
        winograd_pair_channels(&maps.patches, parts);
    ir_layout map = lower_channels_last();
    winograd_work work = {.value = value};
    work.buffers[1] = winograd_launch_weights(context, &maps.weights, shape, value);
    work.buffers[0] = lower_buffer_in_layout(context, value->operands[0], map);
    work.buffers[2] = lower_result_buffer_in_layout(context, value, map);
    if (maps.apart)
        launch_apart(context, &maps, &work);
    else
        launch_together(context, &maps, &work);
    lower_finish_result(context, value, map, work.buffers[2]);
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
