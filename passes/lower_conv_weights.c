/* conv2d_weight_grad: for every tap a matrix product of the (padded) maps with the result's gradient, summed over all
 * places of all images. An iteration has a block of channels and filters, whose sums stay in the second cache, and one
 * of a fixed number of chunks of images, which are summed apart and then joined in order. */
#include "passes/conv_maps.h"
#include "passes/fetch_ahead.h"
#include "passes/winograd.h"

enum {
    SUMS_BYTES = 512 << 10,
    SCRATCH_BYTES = 512 << 10,
    /* The second cache of processors with AVX-512 has room for so many sums, places and the next ones. */
    FETCHED_SUMS_BYTES = 128 << 10,
    FETCHED_SCRATCH_BYTES = 256 << 10,
    FOLDED = 64
};

/* A few images of a map as [panel of channels][image][row][column][channel of the panel], with a margin of zeros:
 * places next to each other lie next to each other however many channels there are. */
typedef struct {
    int source, argument;             /* argument: the scratch, or the map itself where that is the same */
    int64_t size[2], channels, panel; /* of what is copied; channels of a whole panel */
    int64_t pixel, line, image;       /* elements between columns, rows and maps of the source */
    int64_t margin[2], padded[2];     /* above and left; rows and columns with the margins */
    int64_t images;                   /* copied at once */
    bool direct;
    bool fetched; /* the next ones while these are multiplied */
} panel_maps;

typedef struct {
    const kir_target *cpu;
    conv_shape shape;
    panel_maps x, dy;
    int target; /* argument */
    kir_index first_image, target_base;
    int64_t group_in, group_out;
    int64_t kernel_columns, rows; /* of a tile: taps of a row that lie together count as channels */
    int64_t channels, filters;    /* of an iteration's block */
    kir_index channels_first, filters_first;
    kir_index group, tap_row, tap_column;
    kir_index columns_first, rows_first;
    int64_t columns, panel_rows;
} weight_core;

/* ---- copies ---------------------------------------------------------------------------------------------------------
 */

static int64_t places_of(const panel_maps *maps) {
    return maps->padded[0] * maps->padded[1];
}

/* What is copied from and to at one place. */
typedef struct {
    const panel_maps *maps;
    kir_index from, place, group;
    int lanes;
} panel_copy;

static void emit_copied_panel(kir_builder *builder, kir_index first, int64_t size, void *user) {
    const panel_copy *copy = user;
    kir_index channel = kir_plus_index(copy->group, 1, first);
    kir_index to = kir_plus_index(kir_plus_index(kir_at(0), copy->maps->images * places_of(copy->maps), channel), size,
                                  copy->place);
    kir_index from = kir_plus_index(copy->from, 1, channel);
    for (int64_t at = 0; at < size; at += copy->lanes) {
        int count = (int)(size - at < copy->lanes ? size - at : copy->lanes);
        kir_store(builder, copy->maps->argument, to,
                  kir_load_f32(builder, copy->maps->source, from, copy->lanes, count), count);
        from.base += copy->lanes;
        to.base += copy->lanes;
    }
}

/* A loop of so many rounds, of one without code: its index, a multiple of `step`. */
static kir_index emit_loop(kir_builder *builder, int64_t rounds, int64_t step, kir_builder *body) {
    *body = *builder;
    if (rounds == 1)
        return kir_at(0);
    return kir_plus(kir_at(0), 1, kir_loop(builder, kir_at(0), kir_at(rounds * step), step, body));
}

/* So many channels of each group from `first_channel` on. The margins have been cleared before. */
static void emit_copy(kir_builder *builder, const panel_maps *maps, kir_index first_image, kir_index first_channel,
                      int64_t channels, int64_t groups, int lanes) {
    if (maps->direct)
        return;
    kir_builder images, rows, columns, body;
    kir_index image = emit_loop(builder, maps->images, 1, &images);
    kir_index row = emit_loop(&images, maps->size[0], 1, &rows);
    kir_index column = emit_loop(&rows, maps->size[1], 1, &columns);
    panel_copy copy = {.maps = maps, .lanes = lanes};
    copy.from = kir_plus_index(first_channel, maps->image, kir_plus_index(first_image, 1, image));
    copy.from = kir_plus_index(kir_plus_index(copy.from, maps->line, row), maps->pixel, column);
    copy.place = kir_plus_index(kir_at(maps->margin[0] * maps->padded[1] + maps->margin[1]), places_of(maps), image);
    copy.place = kir_plus_index(kir_plus_index(copy.place, maps->padded[1], row), 1, column);
    copy.group = emit_loop(&columns, groups, channels, &body);
    tile_blocks(&body, channels, maps->panel, emit_copied_panel, &copy);
}

/* Elements between images of a panel. */
static int64_t panel_image(const panel_maps *maps, int64_t panel) {
    return maps->direct ? maps->image : places_of(maps) * panel;
}

/* Where a panel's elements at the first place of an image of this step begin. */
static kir_index panel_base(const panel_maps *maps, kir_index first_image, kir_index image, kir_index channel,
                            int64_t panel) {
    if (maps->direct)
        return kir_plus_index(kir_at(0), maps->image, kir_plus_index(first_image, 1, image));
    return kir_plus_index(kir_plus_index(kir_at(0), maps->images * places_of(maps), channel), places_of(maps) * panel,
                          image);
}

/* ---- sums -----------------------------------------------------------------------------------------------------------
 */

/* In the innermost of the loops over the places of a step, which `places` are, outermost first: fetches a part of the
 * next step's maps, where these lie in a row. `channels` are those at work. */
static void fetch_maps(const kir_builder *builder, const weight_core *core, fetch_loop channels,
                       const fetch_loop places[3]) {
    const panel_maps *both[] = {&core->x, &core->dy};
    for (int i = 0; i < 2; i++) {
        const panel_maps *maps = both[i];
        if (!maps->fetched)
            continue;
        fetch_ahead ahead = {.argument = maps->source, .elements = maps->images * maps->image};
        ahead.first = kir_plus_index(kir_at(ahead.elements), maps->image, core->first_image);
        fetch_ahead_within(&ahead, fetch_blocks(core->columns_first, core->columns, core->filters));
        fetch_ahead_within(&ahead, fetch_blocks(core->rows_first, core->panel_rows, core->rows));
        fetch_ahead_within(&ahead, fetch_blocks(core->tap_row, 1, core->shape.kernel[0]));
        fetch_ahead_within(&ahead, fetch_blocks(core->tap_column, 1, core->kernel_columns));
        fetch_ahead_within(&ahead, channels);
        for (int axis = 0; axis < 3; axis++)
            fetch_ahead_within(&ahead, places[axis]);
        fetch_ahead_emit(builder, &ahead);
    }
}

/* Sums of rows_count input channels times a panel of output channels over the images of this step. */
static void emit_channels(kir_builder *builder, kir_index first, int64_t size, void *user) {
    weight_core *core = user;
    const conv_shape *shape = &core->shape;
    int64_t step = core->panel_rows / (shape->kernel[1] / core->kernel_columns); /* between places of a panel */
    register_tile tile = tile_new(builder, core->cpu, (int)size, core->columns);
    kir_index targets[TILE_MAX_ROWS];
    kir_index filter = kir_plus_index(core->columns_first, core->group_out, core->group);
    kir_index target = kir_plus_index(kir_plus_index(core->target_base, 1, core->filters_first), 1, filter);
    kir_index tap = kir_plus_index(kir_plus_index(kir_at(0), shape->kernel[1], core->tap_row), 1, core->tap_column);
    target = kir_plus_index(target, core->group_in * shape->filters, tap);
    target = kir_plus_index(kir_plus_index(target, shape->filters, core->channels_first), shape->filters,
                            kir_plus_index(core->rows_first, 1, first));
    for (int64_t r = 0; r < size; r++) {
        targets[r] = target;
        targets[r].base += r * shape->filters;
    }
    tile_load(builder, &tile, core->target, targets);
    kir_builder image_body, row_body, column_body;
    bool points = shape->out[0] * shape->out[1] == 1;
    int64_t round = tile_steps(&tile, points ? core->x.images : shape->out[1]);
    int64_t images = points ? round : 1, columns = points ? 1 : round; /* of a round */
    kir_index image = emit_loop(builder, core->x.images / images, images, &image_body);
    kir_index row = emit_loop(&image_body, shape->out[0], 1, &row_body);
    kir_index column = emit_loop(&row_body, shape->out[1] / columns, columns, &column_body);
    tile_operands operands = {.left = core->x.argument,
                              .right = core->dy.argument,
                              .left_step = points ? panel_image(&core->x, step) : step * shape->stride[1],
                              .right_step = points ? panel_image(&core->dy, core->columns) : core->columns};
    kir_index channel = kir_plus_index(core->rows_first, core->group_in, core->group);
    kir_index source = kir_plus_index(panel_base(&core->x, core->first_image, image, channel, step), 1, first);
    int64_t line = core->x.padded[1] * step;
    source = kir_plus_index(source, line * shape->dilation[0], core->tap_row);
    source = kir_plus_index(source, line * shape->stride[0], row);
    source = kir_plus_index(source, step * shape->dilation[1], core->tap_column);
    source = kir_plus_index(source, step * shape->stride[1], column);
    for (int64_t r = 0; r < size; r++) {
        operands.rows[r] = source;
        operands.rows[r].base += r;
    }
    operands.columns = panel_base(&core->dy, core->first_image, image, filter, core->columns);
    operands.columns = kir_plus_index(operands.columns, shape->out[1] * core->columns, row);
    operands.columns = kir_plus_index(operands.columns, core->columns, column);
    const fetch_loop places[3] = {fetch_blocks(image, images, core->x.images), fetch_blocks(row, 1, shape->out[0]),
                                  fetch_blocks(column, columns, shape->out[1])};
    fetch_maps(&column_body, core, fetch_blocks(first, size, core->panel_rows), places);
    tile_multiply(&column_body, &tile, &operands, round);
    tile_store(builder, &tile, core->target, targets);
}

/* All taps for a panel of input channels and one of output channels. */
static void emit_taps(kir_builder *builder, kir_index first, int64_t size, void *user) {
    weight_core *core = user;
    core->rows_first = first;
    core->panel_rows = size;
    kir_builder body, inner;
    core->tap_row = emit_loop(builder, core->shape.kernel[0], 1, &body);
    core->tap_column = emit_loop(&body, core->kernel_columns, 1, &inner);
    tile_blocks(&inner, size, tile_best_rows(core->cpu, size, core->columns), emit_channels, core);
}

static void emit_filters(kir_builder *builder, kir_index first, int64_t size, void *user) {
    weight_core *core = user;
    core->columns_first = first;
    core->columns = size;
    tile_blocks(builder, core->rows, core->kernel_columns == core->shape.kernel[1] ? core->x.panel : core->rows,
                emit_taps, core);
}

static void emit_products(kir_builder *builder, weight_core *core) {
    kir_builder body;
    core->group = emit_loop(builder, core->shape.groups, 1, &body);
    tile_blocks(&body, core->shape.groups > 1 ? core->group_out : core->filters, core->dy.panel, emit_filters, core);
}

/* Sets an iteration's part of the partial sums to zero: its block, of all taps. */
static void emit_clear(kir_builder *builder, const weight_core *core, int64_t elements) {
    const conv_shape *shape = &core->shape;
    int lanes = core->cpu->lanes;
    if (core->channels == shape->channels && core->filters == shape->filters) {
        lower_clear_elements(builder, core->target, core->target_base, elements, lanes);
        return;
    }
    kir_builder taps, body;
    kir_reg tap = kir_loop(builder, kir_at(0), kir_at(shape->kernel[0] * shape->kernel[1]), 1, &taps);
    kir_reg channel = kir_loop(&taps, kir_at(0), kir_at(core->channels), 1, &body);
    kir_index row = kir_plus(kir_plus(core->channels_first, shape->channels, tap), 1, channel);
    kir_index first = kir_plus_index(kir_plus_index(core->target_base, shape->filters, row), 1, core->filters_first);
    lower_clear_elements(&body, core->target, first, core->filters, lanes);
}

/* ---- chunks ---------------------------------------------------------------------------------------------------------
 */

void lower_join_chunks(lower_context *context, int partial, int target, int64_t chunks, int64_t elements,
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

/* ---- the work of an iteration ---------------------------------------------------------------------------------------
 */

/* Both maps as they lie, and the panels into which they are copied. */
static void choose_maps(weight_core *core) {
    const conv_shape *shape = &core->shape;
    int lanes = core->cpu->lanes;
    core->x = (panel_maps){.channels = shape->channels};
    core->dy = (panel_maps){.channels = shape->filters};
    for (int i = 0; i < 2; i++) {
        core->x.size[i] = shape->size[i];
        core->x.margin[i] = shape->padding[2 * i] > 0 ? shape->padding[2 * i] : 0;
        core->x.padded[i] =
            core->x.margin[i] + shape->size[i] + (shape->padding[2 * i + 1] > 0 ? shape->padding[2 * i + 1] : 0);
        core->dy.size[i] = core->dy.padded[i] = shape->out[i];
    }
    panel_maps *both[] = {&core->x, &core->dy};
    for (int i = 0; i < 2; i++) {
        both[i]->pixel = both[i]->channels;
        both[i]->line = both[i]->size[1] * both[i]->pixel;
        both[i]->image = both[i]->size[0] * both[i]->line;
    }
    core->kernel_columns = shape->kernel[1];
    core->x.panel = (int64_t)tile_vectors_for(core->cpu, core->group_in) * lanes;
    core->dy.panel = (int64_t)tile_vectors_for(core->cpu, core->group_out) * lanes;
    if (shape->groups == 1 && shape->dilation[1] == 1 && shape->channels * shape->kernel[1] <= FOLDED) {
        core->kernel_columns = 1;
        core->x.panel = shape->channels;
    }
}

/* Half of so many channels, if it is whole panels; else all of them. */
static int64_t half_of(int64_t channels, int64_t panel) {
    return channels % (2 * panel) == 0 ? channels / 2 : channels;
}

static void choose_block(weight_core *core) {
    const conv_shape *shape = &core->shape;
    int64_t taps = shape->kernel[0] * shape->kernel[1];
    core->channels = shape->channels;
    core->filters = shape->filters;
    while (shape->groups == 1 && 4 * taps * core->channels * core->filters > SUMS_BYTES) {
        int64_t channels = half_of(core->channels, core->x.panel), filters = half_of(core->filters, core->dy.panel);
        if (channels == core->channels && filters == core->filters)
            break;
        if (filters < core->filters && (core->filters >= core->channels || channels == core->channels))
            core->filters = filters;
        else
            core->channels = channels;
    }
    core->rows = shape->groups > 1                          ? core->group_in
                 : core->kernel_columns == shape->kernel[1] ? core->channels
                                                            : core->channels * shape->kernel[1];
}

static int64_t blocks_of(const weight_core *core) {
    return core->shape.channels / core->channels * (core->shape.filters / core->filters);
}

/* Of the maps, for sums of so many elements. */
static int64_t chunks_of(const weight_core *core, int64_t elements) {
    int64_t wanted = (ENOUGH_ITERATIONS + blocks_of(core) - 1) / blocks_of(core);
    int64_t limit = lower_chunk_count(core->shape.n, 4 * elements);
    return lower_divisor_below(core->shape.n, wanted < limit ? wanted : limit);
}

/* One tap without margins reads single places: only those are copied, and as far as they lie evenly they count as maps,
 * of which as many are copied at once as suits the caches. */
static void take_places(weight_core *core) {
    conv_shape *shape = &core->shape;
    panel_maps *both[] = {&core->x, &core->dy};
    for (int i = 0; i < 2; i++)
        if (shape->kernel[i] != 1 || core->x.padded[i] != shape->size[i])
            return;
    core->x.pixel *= shape->stride[1];
    core->x.line *= shape->stride[0];
    for (int i = 0; i < 2; i++) {
        core->x.size[i] = core->x.padded[i] = shape->size[i] = shape->out[i];
        shape->stride[i] = 1;
    }
    for (int axis = 0; axis < 2; axis++) { /* rows become maps, then their places */
        int64_t count = shape->out[axis];
        int64_t between = axis == 0 ? core->x.line : core->x.pixel;
        if (core->x.image != count * between)
            return;
        shape->n *= count;
        shape->size[axis] = shape->out[axis] = 1;
        for (int i = 0; i < 2; i++) {
            both[i]->size[axis] = both[i]->padded[axis] = 1;
            both[i]->image = axis == 0 ? both[i]->line : both[i]->pixel;
        }
    }
}

/* Whether maps lie in a row, without gaps, with all their channels in one block. */
static bool are_in_a_row(const panel_maps *maps, int64_t channels_of_block) {
    return channels_of_block == maps->channels && maps->image == maps->size[0] * maps->size[1] * maps->channels;
}

/* Whether the nearer caches have room for the next maps, too. */
static bool fetches_ahead(const weight_core *core) {
    int64_t taps = core->shape.kernel[0] * core->shape.kernel[1];
    return core->cpu->lanes >= 16 && core->shape.groups == 1 &&
           4 * taps * core->channels * core->filters <= FETCHED_SUMS_BYTES;
}

/* How many maps of a chunk are copied at once, and whether they need not be. */
static void choose_images(weight_core *core, int64_t images_of_chunk) {
    int64_t bytes = 4 * (places_of(&core->x) * core->channels + places_of(&core->dy) * core->filters);
    int64_t room = fetches_ahead(core) ? FETCHED_SCRATCH_BYTES : SCRATCH_BYTES;
    int64_t images = lower_divisor_below(images_of_chunk, room / bytes);
    panel_maps *both[] = {&core->x, &core->dy};
    for (int i = 0; i < 2; i++) {
        both[i]->images = images;
        both[i]->fetched = fetches_ahead(core) && are_in_a_row(both[i], i == 0 ? core->channels : core->filters);
        both[i]->direct = core->shape.groups == 1 && both[i]->panel >= both[i]->channels &&
                          both[i]->image == places_of(both[i]) * both[i]->channels;
    }
}

/* ---- launches -------------------------------------------------------------------------------------------------------
 */

static const char *name_of(arena *memory, const conv_shape *shape) {
    return arena_printf(memory, "conv2d_weight_grad_%lldx%lld_%lldx%lld", (long long)shape->channels,
                        (long long)shape->filters, (long long)shape->kernel[0], (long long)shape->kernel[1]);
}

static void add_panels(panel_maps *maps, arena *memory, kir_kernel *kernel, const char *name, int64_t channels) {
    maps->argument = maps->direct
                         ? maps->source
                         : kir_scratch_add(memory, kernel, name, KIR_F32, maps->images * places_of(maps) * channels);
}

static void launch_weights(lower_context *context, weight_core *core, const int buffers[3], int64_t elements,
                           const ir_value *value, int64_t chunks) {
    arena *memory = context->memory;
    const conv_shape *shape = &core->shape;
    int lanes = core->cpu->lanes;
    kir_kernel *kernel = kir_kernel_new(memory, name_of(memory, shape), value->span);
    core->x.source = kir_argument_add(memory, kernel, "x", context->program->buffers[buffers[0]].element,
                                      ir_type_elements(&value->operands[0]->type), true, false);
    core->dy.source = kir_argument_add(memory, kernel, "dy", context->program->buffers[buffers[1]].element,
                                       ir_type_elements(&value->operands[1]->type), true, false);
    core->target = kir_argument_add(memory, kernel, "dw", KIR_F32, chunks * elements, true, true);
    add_panels(&core->x, memory, kernel, "x_panels", core->channels);
    add_panels(&core->dy, memory, kernel, "dy_panels", core->filters);
    int64_t extent = chunks * blocks_of(core), images_of_chunk = shape->n / chunks;
    kernel->flops = ir_cost(value) / (double)extent;
    kir_builder builder = {memory, kernel, &kernel->body, value->span};
    kir_index chunk = kir_plus(kir_at(0), 1, 0);
    core->filters_first =
        kir_plus_index(kir_at(0), core->filters, lower_take_digit(&builder, &chunk, shape->filters / core->filters));
    core->channels_first =
        kir_plus_index(kir_at(0), core->channels, lower_take_digit(&builder, &chunk, shape->channels / core->channels));
    core->target_base = kir_plus_index(kir_at(0), elements, chunk);
    emit_clear(&builder, core, elements);
    if (places_of(&core->x) > core->x.size[0] * core->x.size[1])
        lower_clear_elements(&builder, core->x.argument, kir_at(0),
                             core->x.images * places_of(&core->x) * core->channels, lanes);
    kir_builder body;
    kir_reg step = kir_loop(&builder, kir_at(0), kir_at(images_of_chunk), core->x.images, &body);
    core->first_image = kir_plus(kir_plus_index(kir_at(0), images_of_chunk, chunk), 1, step);
    emit_copy(&body, &core->x, core->first_image, core->channels_first, core->channels / shape->groups, shape->groups,
              lanes);
    emit_copy(&body, &core->dy, core->first_image, core->filters_first, core->filters / shape->groups, shape->groups,
              lanes);
    emit_products(&body, core);
    lower_launch(context, kernel, extent, buffers, value->span);
}

bool lower_conv_weight_grad(lower_context *context, const ir_value *value) {
    const ir_value *x = value->operands[0], *y = value->operands[1];
    weight_core core = {.cpu = &context->pass->target, .shape = lower_conv_shape(value)};
    if (lower_conv_pairs_pay(context->pass, &core.shape))
        return lower_conv_weight_grad_pairs(context, value, &core.shape);
    if (lower_conv_product(context, value, &core.shape, name_of(context->memory, &core.shape)))
        return true;
    if (winograd_pays(&core.shape, core.cpu))
        return lower_winograd_weight_grad(context, value, &core.shape);
    core.group_in = core.shape.channels / core.shape.groups;
    core.group_out = core.shape.filters / core.shape.groups;
    choose_maps(&core);
    choose_block(&core);
    take_places(&core);
    int64_t elements = ir_type_elements(&value->type), chunks = chunks_of(&core, elements);
    choose_images(&core, core.shape.n / chunks);
    ir_layout map = lower_channels_last(), weight = lower_conv_weight();
    int from_x = lower_buffer_in_layout(context, x, map), from_y = lower_buffer_in_layout(context, y, map);
    int result = lower_result_buffer_in_layout(context, value, weight);
    int target =
        chunks == 1 ? result : lower_temporary(context, "weight_partial", KIR_F32, chunks * elements, value->span);
    launch_weights(context, &core, (int[]){from_x, from_y, target}, elements, value, chunks);
    if (chunks > 1)
        lower_join_chunks(context, target, result, chunks, elements, value);
    lower_finish_result(context, value, weight, result);
    return true;
}
