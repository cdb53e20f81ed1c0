/* Maps convolved with taps (conv_maps.h) by products in pairs of bf16 parts. The source lies in blocks of images, so
 * that the rows of a panel are the same place of several images: taps, strides and margins only move the whole panel.
 */
#include "passes/conv_maps.h"
#include "passes/pair_forms.h"
#include "passes/winograd.h"

/* WEIGHTS_BYTES stay in the second cache beside the rows of the source that taps reach, SLICE_BYTES of them in the
 * first beside the sums of PLACES_AT_ONCE. */
enum { ENOUGH_ITERATIONS = 16, WEIGHTS_BYTES = 640 << 10, SLICE_BYTES = 24 << 10, PLACES_AT_ONCE = 4 };

/* The products of a panel cut into slices, each done for several places before the next: on matrix units weights would
 * otherwise come from the second cache for every place, which is no faster than the units. */
typedef struct {
    int outer;      /* of the panel's sums, those that count slices */
    int64_t pairs;  /* of a slice */
    int64_t places; /* whose sums wait in the worker's memory; 1: not sliced */
} pair_slices;

typedef struct {
    const conv_maps *conv;
    pair_maps source;
    pair_panel panel;
    int64_t pairs; /* of source channels */
    int64_t bands; /* of rows of places, each an iteration's */
    kir_index block, band;
    const phase_axis *phase[2];
    kir_index group_first, columns_first, row; /* at work */
    int64_t columns;
    int sums; /* a scratch argument, through which sums reach the target; 0: they are stored there at once */
} pair_core;

/* What f32 needs of a direct convolution's time: measured of Winograd's method (docs/performance.md). */
static double f32_share(const pass_context *pass, const conv_shape *shape) {
    enum { STRIDE_1, STRIDE_2 };
    static const double shares[] = {[STRIDE_1] = 0.33, [STRIDE_2] = 0.7};
    return winograd_pays(shape, &pass->target) ? shares[shape->stride[0] == 1 ? STRIDE_1 : STRIDE_2] : 1;
}

bool lower_conv_pairs_pay(const pass_context *pass, const conv_shape *shape) {
    if (shape->groups > 1 || shape->n % 2 != 0 || !lower_fills_tiles(shape->n, shape->channels, shape->filters) ||
        !lower_fills_tiles(shape->channels, shape->filters, shape->n))
        return false;
    int64_t places = shape->n * shape->out[0] * shape->out[1], taps = shape->kernel[0] * shape->kernel[1];
    pair_work work = {.multiply_adds = (double)(places * taps) * (double)(shape->channels * shape->filters),
                      .f32_share = f32_share(pass, shape),
                      .rows = shape->n,
                      .columns = shape->filters,
                      .summed = shape->channels,
                      .numbers =
                          shape->n * shape->size[0] * shape->size[1] * shape->channels + places * shape->filters};
    return lower_pairs_pay(pass, &work);
}

/* A panel of target channels at one place of a block's images. */
static pair_panel panel_at(const pair_core *core, kir_index row, kir_index column) {
    const conv_maps *conv = core->conv;
    const pair_maps *source = &core->source;
    const phase_axis *const *phase = core->phase;
    pair_panel panel = core->panel;
    const kir_index *place[2] = {&row, &column};
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
        panel.left_at.base += strides[i] * (axis->offset + source->margin[2 * i]);
        panel.right_at.base += axis->weight * tap_steps[i];
        panel.target_at = kir_plus_index(panel.target_at, conv->out_step[i] * steps[i], *place[i]);
        panel.target_at.base += axis->first * steps[i];
        panel.sums[i] = (pair_sum){axis->count, axis->offset_step * strides[i], axis->weight_step * tap_steps[i]};
    }
    panel.sum_count = 2;
    panel.pairs = kir_at(phase[0]->count > 0 && phase[1]->count > 0 ? core->pairs : 0);
    return panel;
}

/* The largest slices whose weights fit: rows of taps, taps, or parts of a tap's channels. */
static pair_slices slices_of(const pair_core *core) {
    const phase_axis *const *phase = core->phase;
    int64_t tile = core->panel.tile.pairs, bytes = 4 * core->panel.parts * core->columns;
    int64_t places = lower_divisor_below(phase[1]->places, PLACES_AT_ONCE), room = SLICE_BYTES / bytes;
    int64_t row = phase[1]->count * core->pairs;
    pair_slices slices = {.pairs = core->pairs, .places = 1};
    if (!core->panel.cpu->matrix_units || places == 1 || phase[0]->count * row <= room)
        return slices;
    slices.places = places;
    slices.outer = row <= room ? 1 : 2;
    if (core->pairs > room && core->pairs % tile == 0)
        slices.pairs = lower_divisor_below(core->pairs / tile, room / tile) * tile;
    return slices;
}

/* The loops over slices: their numbers, along each sum and the pairs. */
static kir_builder open_slices(kir_builder builder, const pair_core *core, const pair_slices *slices,
                               kir_index number[3]) {
    int64_t counts[3] = {core->phase[0]->count, core->phase[1]->count, core->pairs};
    for (int i = 0; i < 3; i++) {
        int64_t step = i < 2 ? 1 : slices->pairs;
        number[i] = kir_at(0);
        if (i < 2 ? i >= slices->outer : step == core->pairs)
            continue;
        kir_builder body;
        number[i] = kir_plus(kir_at(0), 1, kir_loop(&builder, kir_at(0), kir_at(counts[i]), step, &body));
        builder = body;
    }
    return builder;
}

static void take_slice(pair_panel *panel, const pair_slices *slices, const kir_index number[3]) {
    for (int i = 0; i < slices->outer; i++) {
        panel->left_at = kir_plus_index(panel->left_at, panel->sums[i].left_step, number[i]);
        panel->right_at = kir_plus_index(panel->right_at, panel->sums[i].right_step, number[i]);
        panel->sums[i].count = 1;
    }
    if (panel->pairs.base > slices->pairs) {
        panel->left_at = kir_plus_index(panel->left_at, panel->left_pair, number[2]);
        panel->right_at = kir_plus_index(panel->right_at, panel->right_pair, number[2]);
        panel->pairs = kir_at(slices->pairs);
    }
}

/* Loops over places from `first` on; the column and where its sums wait. */
static kir_builder open_places(const kir_builder *builder, const pair_core *core, int64_t places, kir_index first,
                               kir_index *column, kir_index *waiting) {
    kir_builder body = *builder;
    *column = first;
    *waiting = kir_at(0);
    if (places > 1) {
        kir_reg place = kir_loop(builder, kir_at(0), kir_at(places), 1, &body);
        *column = kir_plus(first, 1, place);
        *waiting = kir_plus(kir_at(0), core->panel.rows * core->columns, place);
    }
    return body;
}

/* The sums of a few places, in the worker's memory and then in the target. */
static void emit_waiting(kir_builder *builder, const pair_core *core, const pair_slices *slices, kir_index first) {
    int64_t elements = slices->places * core->panel.rows * core->columns;
    kir_index number[3], column, waiting;
    if (slices->places > 1)
        lower_clear_elements(builder, core->sums, kir_at(0), elements, core->panel.cpu->lanes);
    kir_builder slice = open_slices(*builder, core, slices, number);
    kir_builder places = open_places(&slice, core, slices->places, first, &column, &waiting);
    pair_panel panel = panel_at(core, core->row, column);
    take_slice(&panel, slices, number);
    panel.target = core->sums;
    panel.target_at = waiting;
    panel.target_row = core->columns;
    panel.fresh = slices->places == 1;
    pair_panel_emit(&places, &panel);
    kir_builder ready = open_places(builder, core, slices->places, first, &column, &waiting);
    panel = panel_at(core, core->row, column);
    pair_panel_copy(&ready, &panel, core->sums, waiting);
}

static void emit_columns(kir_builder *builder, kir_index first, int64_t size, void *user) {
    pair_core *core = user;
    core->columns_first = kir_plus_index(core->group_first, 1, first);
    core->columns = size;
    pair_slices slices = slices_of(core);
    kir_builder body;
    kir_reg column = kir_loop(builder, kir_at(0), kir_at(core->phase[1]->places), slices.places, &body);
    kir_index place = kir_plus(kir_at(0), 1, column);
    if (core->sums) {
        emit_waiting(&body, core, &slices, place);
    } else {
        pair_panel panel = panel_at(core, core->row, place);
        pair_panel_emit(&body, &panel);
    }
}

/* All columns of a row before the next: the source is read once for each group. */
static void emit_group(kir_builder *builder, kir_index first, int64_t size, void *user) {
    pair_core *core = user;
    int64_t rows = core->phase[0]->places / core->bands;
    kir_builder body;
    kir_reg row = kir_loop(builder, kir_at(0), kir_at(rows), 1, &body);
    core->row = kir_plus(kir_plus_index(kir_at(0), rows, core->band), 1, row);
    core->group_first = first;
    tile_blocks(&body, size, core->conv->weights.panel, emit_columns, core);
}

/* Target channels whose weights stay in the cache: whole panels. */
static int64_t group_size(const pair_core *core) {
    const conv_maps *conv = core->conv;
    int64_t panel = conv->weights.panel, panels = (conv->target_channels + panel - 1) / panel;
    int64_t limit = WEIGHTS_BYTES / (4 * core->panel.parts * conv->weights.outer * core->pairs * panel);
    return limit > 1 ? tile_even_size(panels, limit) * panel : panel;
}

static void launch(lower_context *context, pair_core *core, const int buffers[3], const ir_value *value) {
    arena *memory = context->memory;
    const conv_maps *conv = core->conv;
    pair_panel *panel = &core->panel;
    kir_kernel *kernel = kir_kernel_new(memory, arena_printf(memory, "%s_pairs", conv->name), value->span);
    panel->left =
        kir_argument_add(memory, kernel, "source", KIR_I32, core->source.parts * core->source.part, true, false);
    panel->right = kir_argument_add(memory, kernel, "weights", KIR_I32, panel->parts * panel->right_part, true, false);
    panel->target = kir_argument_add(memory, kernel, "result", KIR_F32, ir_type_elements(&value->type), false, true);
    kir_stream(kernel, panel->target);
    if (panel->cpu->matrix_units)
        core->sums =
            kir_scratch_add(memory, kernel, "sums", KIR_F32, PLACES_AT_ONCE * panel->rows * conv->weights.panel);
    int64_t extent = core->source.blocks * core->bands;
    kernel->flops = ir_cost(value) / (double)extent;
    kir_builder builder = {memory, kernel, &kernel->body, value->span};
    core->block = kir_plus(kir_at(0), 1, 0);
    core->band = kir_at(0);
    if (core->bands > 1) {
        kir_reg bands = kir_value(&builder, kir_at(core->bands));
        core->block = kir_plus(kir_at(0), 1, kir_op2(&builder, KIR_div, 0, bands));
        core->band = kir_plus(kir_at(0), 1, kir_op2(&builder, KIR_rem, 0, bands));
    }
    int64_t group = group_size(core);
    for (int64_t v = 0; v < conv->phase_counts[0]; v++)
        for (int64_t h = 0; h < conv->phase_counts[1]; h++) {
            core->phase[0] = &conv->phases[0][v];
            core->phase[1] = &conv->phases[1][h];
            if (core->phase[0]->places > 0 && core->phase[1]->places > 0)
                tile_blocks(&builder, conv->target_channels, group, emit_group, core);
        }
    lower_launch(context, kernel, extent, buffers, value->span);
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
    pair_core core = {.conv = &conv, .pairs = (maps->source_channels + 1) / 2, .bands = 1};
    core.source = lower_pair_maps(context, source, &form, value->span, &from);
    core.panel = (pair_panel){.cpu = cpu,
                              .parts = parts,
                              .left_row = core.source.line_to,
                              .left_pair = 1,
                              .left_part = core.source.part,
                              .right_part = conv.weights.outer * core.pairs * maps->target_channels,
                              .rows = form.images,
                              .tile = pair_tile_for(maps->shape.n, maps->target_channels, core.pairs),
                              .fresh = true};
    if (maps->phase_counts[0] == 1)
        core.bands = lower_divisor_below(maps->target_size[0], ENOUGH_ITERATIONS / core.source.blocks);
    ir_layout map = lower_channels_last();
    int buffers[] = {from,
                     lower_pack_panels(context, &conv.weights,
                                       lower_buffer_in_layout(context, weight, lower_conv_weight()),
                                       ir_type_elements(&weight->type), value->span),
                     lower_result_buffer_in_layout(context, value, map)};
    launch(context, &core, buffers, value);
    lower_finish_result(context, value, map, buffers[2]);
    return true;
}
