/* Maps convolved with taps (conv_maps.h) by products in pairs of bf16 parts. The source lies in blocks of images, so
 * that the rows of a panel are the same place of several images: taps and strides only move the whole panel, and a tap
 * that falls beside the map does so for all of it and is left out. */
#include "passes/channel_statistics.h"
#include "passes/conv_points.h"
#include "passes/winograd.h"

typedef struct {
    const conv_maps *conv;
    pair_maps source;
    pair_panel panel;
    int64_t pairs;           /* of source channels */
    int64_t bands, channels; /* rows are cut into bands, target channels into so many: an iteration does one of each */
    kir_index block, band, channels_first;
    const phase_axis *phase[2];
    kir_index group_first, columns_first, row; /* at work */
    kir_index taps[2][2];                      /* first and limit, of those that meet the source */
    int64_t columns;
    int sums; /* a scratch argument, through which sums reach the target; 0: they are stored there at once */
    kir_index row_of_band;          /* at work */
    channel_statistics *statistics; /* of the results, or NULL */
} pair_core;

/* What the best other way needs of a direct convolution's time in f32: measured of Winograd's method
 * (docs/performance-convolutions.md), in f32 at both strides, and in pairs. */
static double share_of_others(const pass_context *pass, const conv_shape *shape) {
    if (!winograd_pays(shape, &pass->target))
        return 1;
    if (shape->stride[0] > 1)
        return 0.7;
    return winograd_parts(pass, shape) > 0 ? 0.2 : 0.33;
}

bool lower_conv_pairs_pay(const pass_context *pass, const conv_shape *shape) {
    if (shape->groups > 1 || shape->n % 2 != 0 || !lower_fills_tiles(shape->n, shape->channels, shape->filters) ||
        !lower_fills_tiles(shape->channels, shape->filters, shape->n))
        return false;
    int64_t places = shape->n * shape->out[0] * shape->out[1], taps = shape->kernel[0] * shape->kernel[1];
    pair_work work = {.multiply_adds = (double)(places * taps) * (double)(shape->channels * shape->filters),
                      .other_share = share_of_others(pass, shape),
                      .rows = shape->n,
                      .columns = shape->filters,
                      .summed = shape->channels,
                      .numbers =
                          shape->n * shape->size[0] * shape->size[1] * shape->channels + places * shape->filters};
    return lower_pairs_pay(pass, &work);
}

/* ---- taps that meet the source -----------------------------------------------------------------------------------
 */

/* The least t, of 0 to count, with t * step >= number. */
static kir_index least_tap(const kir_builder *builder, kir_index number, int64_t step, int64_t count) {
    kir_reg zero = kir_value(builder, kir_at(0)), most = kir_value(builder, kir_at(count));
    number.base += step - 1;
    kir_reg tap = kir_op2(builder, KIR_max, kir_value(builder, number), zero);
    if (step > 1)
        tap = kir_op2(builder, KIR_div, tap, kir_value(builder, kir_at(step)));
    return kir_plus(kir_at(0), 1, kir_op2(builder, KIR_min, tap, most));
}

/* Those of an axis at a place: tap t reads the source at first + t * offset_step. */
static void find_taps(const kir_builder *builder, pair_core *core, int axis, kir_index place) {
    const phase_axis *phase = core->phase[axis];
    const conv_maps *conv = core->conv;
    int64_t size = conv->source_size[axis], step = phase->offset_step, count = phase->count;
    kir_index *taps = core->taps[axis];
    taps[0] = kir_at(0);
    taps[1] = kir_at(count);
    if (conv->margin[2 * axis] <= 0 && conv->margin[2 * axis + 1] <= 0)
        return;
    kir_index first = kir_plus_index(kir_at(phase->offset), conv->in_steps[axis], place);
    kir_index before = kir_plus_index(kir_at(0), -1, first), behind = kir_plus_index(kir_at(size), -1, first);
    if (step < 0) {
        before = kir_plus_index(kir_at(1 - size), 1, first);
        behind = kir_plus_index(kir_at(1), 1, first);
    }
    taps[0] = least_tap(builder, before, step < 0 ? -step : step, count);
    taps[1] = least_tap(builder, behind, step < 0 ? -step : step, count);
}

/* ---- the nest: phases, groups of channels, rows, panels of a group, columns ---------------------------------------
 */

/* A panel of target channels at one place of a block's images. */
static pair_panel panel_at(const pair_core *core, kir_index column) {
    const conv_maps *conv = core->conv;
    const pair_maps *source = &core->source;
    const phase_axis *const *phase = core->phase;
    pair_panel panel = core->panel;
    const kir_index *place[2] = {&core->row, &column};
    int64_t strides[2] = {source->row, source->place}, columns = conv->shape.kernel[1];
    int64_t tap = core->columns * core->pairs, tap_steps[2] = {columns * tap, tap};
    panel.columns = panel.right_pair = core->columns;
    panel.left_at = kir_plus_index(kir_at(0), source->block, core->block);
    panel.right_at = kir_plus_index(kir_at(0), conv->shape.kernel[0] * columns * core->pairs, core->columns_first);
    int64_t pixel = conv->target_channels, line = conv->target_size[1] * pixel, steps[2] = {line, pixel};
    panel.target_row = conv->target_size[0] * line;
    panel.target_at = kir_plus_index(kir_plus_index(kir_at(0), source->lines * panel.target_row, core->block), 1,
                                     core->columns_first);
    for (int i = 0; i < 2; i++) {
        const phase_axis *axis = phase[i];
        panel.left_at = kir_plus_index(panel.left_at, strides[i] * conv->in_steps[i], *place[i]);
        panel.left_at.base += strides[i] * axis->offset;
        panel.right_at.base += axis->weight * tap_steps[i];
        panel.target_at = kir_plus_index(panel.target_at, conv->out_step[i] * steps[i], *place[i]);
        panel.target_at.base += axis->first * steps[i];
        panel.sums[i] =
            (pair_sum){axis->count, axis->offset_step * strides[i], axis->weight_step * tap_steps[i], core->taps[i]};
    }
    panel.sum_count = 2;
    panel.pairs = kir_at(phase[0]->count > 0 && phase[1]->count > 0 ? core->pairs : 0);
    return panel;
}

/* Results go past the caches no faster than the memory takes them. They wait in the worker's memory and are copied
 * while the next column is summed, some rows for each tap. */
typedef struct {
    pair_panel panel; /* whose results wait */
    int sums;
    kir_index from;
    kir_reg copied; /* rows */
} waiting_sums;

enum { ROWS_AT_ONCE = 4 };

static void copy_rows(const kir_builder *builder, const waiting_sums *waiting, kir_index limit) {
    pair_panel_copy(builder, &waiting->panel, waiting->sums, waiting->from, kir_plus(kir_at(0), 1, waiting->copied),
                    limit);
}

static void copy_some(const kir_builder *builder, void *user) {
    const waiting_sums *waiting = user;
    kir_reg rows = kir_value(builder, kir_at(waiting->panel.rows));
    kir_reg some = kir_value(builder, kir_plus(kir_at(ROWS_AT_ONCE), 1, waiting->copied));
    kir_reg limit = kir_op2(builder, KIR_min, some, rows);
    copy_rows(builder, waiting, kir_plus(kir_at(0), 1, limit));
    kir_assign(builder, waiting->copied, limit);
}

/* Where the sums of a column wait: two columns take turns. */
static kir_index waiting_place(const kir_builder *builder, const pair_core *core, kir_index column) {
    kir_reg two = kir_value(builder, kir_at(2));
    return kir_plus(kir_at(0), core->panel.rows * core->columns,
                    kir_op2(builder, KIR_rem, kir_value(builder, column), two));
}

/* Takes the sums of a column, which wait. */
static void take_statistics(const kir_builder *builder, const pair_core *core, kir_index column) {
    statistics_rows rows = {.from = core->sums,
                            .at = waiting_place(builder, core, column),
                            .channel = core->columns_first,
                            .rows = core->panel.rows,
                            .columns = core->columns,
                            .first = channel_statistics_first(builder, kir_plus_index(core->row_of_band, 1, column))};
    channel_statistics_take_rows(builder, core->statistics, &rows);
}

/* The sums of a column, while those of the column before are copied to the target. */
static void emit_waiting(const kir_builder *builder, const pair_core *core, kir_index column) {
    int64_t rows = core->panel.rows;
    kir_index before = column;
    before.base += 1; /* and two columns back, as numbers are not negative */
    waiting_sums waiting = {.sums = core->sums, .from = waiting_place(builder, core, before)};
    before.base -= 2;
    waiting.panel = panel_at(core, before);
    kir_reg none = kir_value(builder, kir_at(0)), all = kir_value(builder, kir_plus_index(kir_at(rows), -rows, column));
    waiting.copied = kir_op2(builder, KIR_max, all, none); /* all rows of the column before the first */
    pair_panel panel = panel_at(core, column);
    panel.target = core->sums;
    panel.target_at = waiting_place(builder, core, column);
    panel.target_row = core->columns;
    panel.beside = copy_some;
    panel.user = &waiting;
    pair_panel_emit(builder, &panel);
    copy_rows(builder, &waiting, kir_at(rows));
    if (core->statistics)
        take_statistics(builder, core, column);
}

static void emit_columns(kir_builder *builder, kir_index first, int64_t size, void *user) {
    pair_core *core = user;
    int64_t places = core->phase[1]->places;
    core->columns_first = kir_plus_index(core->group_first, 1, first);
    core->columns = size;
    kir_builder body;
    kir_index column = kir_plus(kir_at(0), 1, kir_loop(builder, kir_at(0), kir_at(places), 1, &body));
    find_taps(&body, core, 1, column);
    if (core->sums) {
        emit_waiting(&body, core, column);
        pair_panel last = panel_at(core, kir_at(places - 1));
        pair_panel_copy(builder, &last, core->sums, waiting_place(builder, core, kir_at(places - 1)), kir_at(0),
                        kir_at(core->panel.rows));
    } else {
        pair_panel panel = panel_at(core, column);
        pair_panel_emit(&body, &panel);
    }
}

/* All columns of a row before the next: the source is read once for each group. */
static void emit_group(kir_builder *builder, kir_index first, int64_t size, void *user) {
    pair_core *core = user;
    int64_t rows = core->phase[0]->places / core->bands;
    kir_builder body;
    kir_reg row = kir_loop(builder, kir_at(0), kir_at(rows), 1, &body);
    core->row_of_band = kir_plus(kir_at(0), 1, row);
    core->row = kir_plus_index(kir_plus_index(kir_at(0), rows, core->band), 1, core->row_of_band);
    core->group_first = kir_plus_index(core->channels_first, 1, first);
    find_taps(&body, core, 0, core->row);
    tile_blocks(&body, size, core->conv->weights.panel, emit_columns, core);
}

/* ---- iterations --------------------------------------------------------------------------------------------------
 */

static int64_t weight_bytes(const pair_core *core, int64_t channels) {
    return 4 * core->panel.parts * core->conv->weights.outer * core->pairs * channels;
}

/* Target channels whose weights stay in the cache: whole panels. */
static int64_t group_size(const pair_core *core) {
    int64_t panel = core->conv->weights.panel, panels = (core->channels + panel - 1) / panel;
    int64_t limit = CONV_WEIGHTS_BYTES / weight_bytes(core, panel);
    return limit > 1 ? tile_even_size(panels, limit) * panel : panel;
}

/* The next larger number of bands into which the rows of every phase can be cut; the same where there is none. */
static int64_t more_bands(const pair_core *core) {
    const conv_maps *conv = core->conv;
    int64_t rows = 0;
    for (int64_t p = 0; p < conv->phase_counts[0]; p++)
        rows = kir_common_divisor(conv->phases[0][p].places, rows);
    for (int64_t bands = core->bands + 1; bands <= rows; bands++)
        if (rows % bands == 0)
            return bands;
    return core->bands;
}

/* Cuts blocks until there are enough iterations: by rows if all weights stay in the cache from one to the next, else
 * by target channels. Both at once costs neither a second reading. */
static void cut_blocks(pair_core *core) {
    const conv_maps *conv = core->conv;
    int64_t panel = conv->weights.panel, half = core->channels / 2, count = core->source.blocks;
    if (weight_bytes(core, core->channels) > CONV_WEIGHTS_BYTES && half % panel == 0 && count < ENOUGH_ITERATIONS) {
        core->channels = half;
        count *= 2;
    }
    while (count * core->bands < ENOUGH_ITERATIONS && more_bands(core) > core->bands)
        core->bands = more_bands(core);
}

/* Places of an iteration, of each of its channels; 0 where rows and columns have other places. */
static int64_t places_of_part(const pair_core *core) {
    const conv_maps *conv = core->conv;
    bool even =
        conv->phase_counts[0] == 1 && conv->phase_counts[1] == 1 && conv->weights.panel % core->panel.cpu->lanes == 0;
    return even ? core->panel.rows * conv->target_size[0] / core->bands * conv->target_size[1] : 0;
}

static void launch(lower_context *context, pair_core *core, const int buffers[3], const ir_value *value) {
    arena *memory = context->memory;
    const conv_maps *conv = core->conv;
    pair_panel *panel = &core->panel;
    kir_kernel *kernel = kir_kernel_new(memory, arena_printf(memory, "%s_pairs", conv->name), value->span);
    panel->left =
        kir_argument_add(memory, kernel, "source", KIR_I32, core->source.parts * core->source.part, true, false);
    panel->right = kir_argument_add(memory, kernel, "weights", KIR_I32, panel->parts * panel->right_part, true, false);
    kir_element element = context->program->buffers[buffers[2]].element;
    panel->target = kir_argument_add(memory, kernel, "result", element, ir_type_elements(&value->type), false, true);
    kir_stream(kernel, panel->target);
    if (panel->cpu->matrix_units || element == KIR_BF16)
        core->sums = kir_scratch_add(memory, kernel, "sums", KIR_F32, 2 * panel->rows * conv->weights.panel);
    int64_t parts = conv->target_channels / core->channels, extent = core->source.blocks * core->bands * parts;
    core->statistics =
        channel_statistics_open(context, value, kernel, extent / parts, core->sums ? places_of_part(core) : 0);
    kernel->flops = ir_cost(value) / (double)extent;
    kir_builder builder = {memory, kernel, &kernel->body, value->span};
    kir_index number = kir_plus(kir_at(0), 1, 0);
    core->channels_first = kir_plus_index(kir_at(0), core->channels, lower_take_digit(&builder, &number, parts));
    kir_index part = number;
    core->band = lower_take_digit(&builder, &number, core->bands);
    core->block = number;
    channel_statistics_clear(&builder, core->statistics);
    for (int64_t v = 0; v < conv->phase_counts[0]; v++)
        for (int64_t h = 0; h < conv->phase_counts[1]; h++) {
            core->phase[0] = &conv->phases[0][v];
            core->phase[1] = &conv->phases[1][h];
            if (core->phase[0]->places > 0 && core->phase[1]->places > 0)
                tile_blocks(&builder, core->channels, group_size(core), emit_group, core);
        }
    channel_statistics_store(&builder, core->statistics, part, core->channels_first, core->channels);
    channel_statistics_launch(context, core->statistics, kernel, buffers, 3, extent, value->span);
}

bool lower_conv_pairs(lower_context *context, const ir_value *value, const conv_maps *maps) {
    const ir_value *source = value->operands[0], *weight = value->operands[1];
    const kir_target *cpu = &context->pass->target;
    int parts = context->pass->product_parts;
    pair_form form;
    int from;
    lower_conv_form(context, value, 0, &form);
    conv_maps conv = *maps;
    conv.weights.parts = parts;
    conv.weights.panel = pair_panel_columns(cpu, maps->target_channels);
    pair_core core = {
        .conv = &conv, .pairs = (maps->source_channels + 1) / 2, .bands = 1, .channels = maps->target_channels};
    core.source = lower_pair_maps(context, source, &form, value->span, &from);
    core.panel = (pair_panel){.cpu = cpu,
                              .parts = parts,
                              .left_row = core.source.line_to,
                              .left_pair = core.source.first_to,
                              .left_part = core.source.part,
                              .right_part = conv.weights.outer * core.pairs * maps->target_channels,
                              .rows = form.images,
                              .tile = pair_tile_for(maps->shape.n, maps->target_channels, core.pairs),
                              .fresh = true};
    core.panel.past[0] = true;
    ir_layout map = lower_channels_last();
    int buffers[] = {from,
                     lower_pack_panels(context, &conv.weights,
                                       lower_buffer_in_layout(context, weight, lower_conv_weight()),
                                       ir_type_elements(&weight->type), value->span),
                     lower_result_buffer_in_layout(context, value, map)};
    conv_points points = {&conv, &core.source, core.panel, core.pairs};
    if (lower_conv_points_pay(&points)) {
        lower_conv_points(context, &points, buffers, value);
    } else {
        cut_blocks(&core);
        launch(context, &core, buffers, value);
    }
    lower_finish_result(context, value, map, buffers[2]);
    return true;
}
