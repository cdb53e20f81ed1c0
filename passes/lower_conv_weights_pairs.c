/* conv2d_weight_grad by products in pairs of bf16 parts: the two of a pair are images, so that the sums over places and
 * images are the same for all taps and strides; places whose tap falls beside the map are left out. */
#include "passes/conv_maps.h"
#include "passes/pair_forms.h"

/* Of a step's maps, which stay in the second cache while all taps and filters meet them. */
enum { STEP_BYTES = 512 << 10 };

typedef struct {
    const conv_shape *shape;
    pair_maps x, dy;
    pair_panel panel;
    int64_t channels, filters; /* of an iteration */
    int64_t chunks;            /* partial sums, each of some blocks of images, or of some rows of one block */
    int64_t chunk_rows;        /* of places */
    int64_t blocks, rows;      /* of images, and of places: of a step, summed at once */
    int64_t elements;          /* of the weights */
    kir_index chunk, chunk_row, channels_first, filters_first; /* of this iteration */
    kir_index block, row;                                      /* of the step */
    kir_index tap_row, panel_first;                            /* at work: the first filter of the panel */
    int64_t panel_filters;
    kir_index places[2][2]; /* first and limit of the rows and columns that the tap sums */
} pair_weights;

static int64_t chunk_blocks(const pair_weights *work) {
    return work->chunks > work->x.blocks ? 1 : work->x.blocks / work->chunks;
}

/* ---- places that a tap moves into the map --------------------------------------------------------------------------
 */

/* The least place p >= least with p * stride >= number, up to limit. */
static kir_index least_place(const kir_builder *builder, kir_index number, int64_t stride, kir_index least,
                             kir_index limit) {
    number.base += stride - 1;
    kir_reg place = kir_op2(builder, KIR_max, kir_value(builder, number), kir_value(builder, kir_at(0)));
    if (stride > 1)
        place = kir_op2(builder, KIR_div, place, kir_value(builder, kir_at(stride)));
    place = kir_op2(builder, KIR_max, place, kir_value(builder, least));
    return kir_plus(kir_at(0), 1, kir_op2(builder, KIR_min, place, kir_value(builder, limit)));
}

/* Of the places from `first` to `limit`, those that tap number `tap` of the axis sums. */
static void find_places(const kir_builder *builder, pair_weights *work, int axis, kir_index tap, kir_index first,
                        kir_index limit) {
    const conv_shape *shape = work->shape;
    int64_t padding = shape->padding[2 * axis];
    kir_index before = kir_plus_index(kir_at(padding), -shape->dilation[axis], tap), behind = before;
    behind.base += shape->size[axis];
    work->places[axis][0] = first;
    work->places[axis][1] = limit;
    if (padding <= 0 && shape->padding[2 * axis + 1] <= 0)
        return;
    work->places[axis][0] = least_place(builder, before, shape->stride[axis], first, limit);
    work->places[axis][1] = least_place(builder, behind, shape->stride[axis], first, limit);
}

/* ---- the nest: steps, panels of filters, rows of taps, panels of channels, taps of a row ---------------------------
 */

/* The sums of a panel over a step, for each tap of a row in turn: the operands are near, and the sums read and written
 * once for many products. */
static void emit_channels(kir_builder *builder, kir_index first, int64_t size, void *user) {
    pair_weights *work = user;
    const conv_shape *shape = work->shape;
    const pair_maps *x = &work->x, *dy = &work->dy;
    kir_builder body;
    kir_index column = kir_plus(kir_at(0), 1, kir_loop(builder, kir_at(0), kir_at(shape->kernel[1]), 1, &body));
    kir_index channel = kir_plus_index(work->channels_first, 1, first);
    find_places(&body, work, 1, column, kir_at(0), kir_at(shape->out[1]));
    pair_panel panel = work->panel;
    panel.rows = size;
    panel.columns = work->panel_filters;
    panel.left_at = kir_plus_index(kir_plus_index(kir_at(0), x->block, work->block), x->number_to, channel);
    panel.left_at = kir_plus_index(panel.left_at, x->row * shape->dilation[0], work->tap_row);
    panel.left_at = kir_plus_index(panel.left_at, x->place * shape->dilation[1], column);
    panel.left_at.base -= x->row * shape->padding[0] + x->place * shape->padding[2];
    panel.right_at = kir_plus_index(kir_plus_index(kir_at(0), dy->block, work->block), dy->first_to, work->panel_first);
    kir_index tap = kir_plus_index(kir_plus_index(kir_at(0), shape->kernel[1], work->tap_row), 1, column);
    panel.target_at = kir_plus_index(kir_plus_index(kir_at(0), work->elements, work->chunk), 1, work->panel_first);
    panel.target_at = kir_plus_index(panel.target_at, shape->channels * shape->filters, tap);
    panel.target_at = kir_plus_index(panel.target_at, shape->filters, channel);
    panel.sums[0] = (pair_sum){.count = work->blocks, .left_step = x->block, .right_step = dy->block};
    panel.sums[1] = (pair_sum){shape->out[0], x->row * shape->stride[0], dy->row, work->places[0]};
    panel.sums[2] = (pair_sum){shape->out[1], x->place * shape->stride[1], dy->place, work->places[1]};
    panel.sum_count = 3;
    pair_panel_emit(&body, &panel);
}

static kir_index loop(kir_builder *builder, kir_index first, int64_t count, int64_t step) {
    kir_builder outer = *builder;
    return count == step ? first : kir_plus(first, 1, kir_loop(&outer, kir_at(0), kir_at(count), step, builder));
}

static void emit_filters(kir_builder *builder, kir_index first, int64_t size, void *user) {
    pair_weights *work = user;
    kir_builder body = *builder;
    work->panel_first = kir_plus_index(work->filters_first, 1, first);
    work->panel_filters = size;
    work->tap_row = loop(&body, kir_at(0), work->shape->kernel[0], 1);
    kir_index limit = work->row;
    limit.base += work->rows;
    find_places(&body, work, 0, work->tap_row, work->row, limit);
    int64_t rows = pair_panel_rows(work->panel.cpu, work->shape->channels, size);
    tile_blocks(&body, work->channels, rows, emit_channels, work);
}

static bool is_one_step(const pair_weights *work) {
    return work->blocks == chunk_blocks(work) && work->rows == work->chunk_rows;
}

static void emit_steps(const kir_builder *builder, pair_weights *work) {
    const conv_shape *shape = work->shape;
    kir_builder body = *builder;
    work->block = loop(&body, work->block, chunk_blocks(work), work->blocks);
    work->row = loop(&body, work->chunk_row, work->chunk_rows, work->rows);
    work->panel.fresh = is_one_step(work);
    tile_blocks(&body, work->filters, pair_panel_columns(work->panel.cpu, shape->filters), emit_filters, work);
}

/* Sets the iteration's sums to zero: those of its channels and filters for each tap. */
static void clear_sums(const kir_builder *builder, const pair_weights *work) {
    const conv_shape *shape = work->shape;
    kir_index at =
        kir_plus_index(kir_plus_index(kir_at(0), work->elements, work->chunk), shape->filters, work->channels_first);
    at = kir_plus_index(at, 1, work->filters_first);
    kir_builder taps, body;
    kir_reg tap = kir_loop(builder, kir_at(0), kir_at(shape->kernel[0] * shape->kernel[1]), 1, &taps);
    kir_reg channel = kir_loop(&taps, kir_at(0), kir_at(work->channels), 1, &body);
    at = kir_plus(kir_plus(at, shape->channels * shape->filters, tap), shape->filters, channel);
    lower_clear_elements(&body, work->panel.target, at, work->filters, work->panel.cpu->lanes);
}

/* An iteration sums some channels and filters over a chunk. */
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
    int64_t channel_parts = shape->channels / work->channels, filter_parts = shape->filters / work->filters;
    int64_t extent = work->chunks * channel_parts * filter_parts;
    kernel->flops = ir_cost(value) / (double)extent;
    kir_index number = kir_plus(kir_at(0), 1, 0);
    work->filters_first = kir_plus_index(kir_at(0), work->filters, lower_take_digit(&builder, &number, filter_parts));
    work->channels_first =
        kir_plus_index(kir_at(0), work->channels, lower_take_digit(&builder, &number, channel_parts));
    work->chunk = number;
    kir_index part = lower_take_digit(&builder, &number, shape->out[0] / work->chunk_rows);
    work->chunk_row = kir_plus_index(kir_at(0), work->chunk_rows, part);
    work->block = kir_plus_index(kir_at(0), chunk_blocks(work), number);
    if (!is_one_step(work))
        clear_sums(&builder, work);
    emit_steps(&builder, work);
    lower_launch(context, kernel, extent, buffers, value->span);
}

/* ---- how the sums are cut -----------------------------------------------------------------------------------------
 */

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

/* The next larger number of chunks: blocks are divided evenly, and then the rows of each. */
static int64_t more_chunks(const pair_weights *work) {
    int64_t blocks = work->x.blocks, rows = work->shape->out[0];
    for (int64_t chunks = work->chunks + 1; chunks <= blocks * rows; chunks++)
        if (blocks % chunks == 0 || (chunks % blocks == 0 && rows % (chunks / blocks) == 0))
            return chunks;
    return work->chunks;
}

/* Cuts filters, for which x is read again, or chunks, whose sums are added up afterwards, until there are enough
 * iterations: whichever moves less. */
static void choose_parts(pair_weights *work) {
    const conv_shape *shape = work->shape;
    int64_t panel = pair_panel_columns(work->panel.cpu, shape->filters), rows = shape->out[0];
    int64_t most = lower_chunk_count(work->x.blocks * rows, work->elements * 4);
    work->chunks = 1;
    work->filters = shape->filters;
    for (;;) {
        int64_t parts = shape->filters / work->filters, chunks = more_chunks(work);
        bool cut_filters = work->filters % (2 * panel) == 0, cut_chunks = chunks > work->chunks && chunks <= most;
        if (work->chunks * parts * (shape->channels / work->channels) >= ENOUGH_ITERATIONS ||
            (!cut_filters && !cut_chunks))
            break;
        if (cut_filters && (!cut_chunks || parts * work->x.parts * work->x.part < 2 * work->chunks * work->elements))
            work->filters /= 2;
        else
            work->chunks = chunks;
    }
    work->chunk_rows = work->chunks > work->x.blocks ? rows / (work->chunks / work->x.blocks) : rows;
    work->blocks = lower_divisor_below(chunk_blocks(work), work->blocks);
    work->rows = lower_divisor_below(work->chunk_rows, work->rows);
}

void lower_weight_grad_forms(const pass_context *pass, const conv_shape *shape, pair_form forms[2]) {
    int64_t images = 2 * pair_tile_size(shape->n / 2);
    forms[0] = (pair_form){pass->target.matrix_units ? PAIRS_OF_IMAGES_TURNED : PAIRS_OF_IMAGES, images};
    forms[1] = (pair_form){PAIRS_OF_IMAGES, images};
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
                              .right_tile = work.dy.first_to * pair_tile_size(shape->filters),
                              .target_row = shape->filters};
    choose_step(&work);
    choose_parts(&work);
    work.panel.past[1] = true;
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
