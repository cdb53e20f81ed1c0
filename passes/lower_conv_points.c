/* Convolutions of points in pairs, where the weights are more than a cache holds. The summed channels are cut into
 * slices: a slice of one place's rows stays in the first cache while the weights of all panels meet it, those stay in
 * the second one for all places of a run, and sums wait there for the next slice. */
#include "passes/channel_statistics.h"
#include "passes/conv_points.h"

enum {
    SLICE_BYTES = 32 << 10, /* of a place's rows */
    RUN_PLACES = 8,         /* most of a run */
    GROUP_PANELS = 16       /* most of a group of target channels */
};

typedef struct {
    const conv_points *points;
    int64_t slice;                      /* pairs of one */
    int64_t run_places, run_blocks;     /* of a run: places of a block of maps, or blocks of maps of one place */
    int64_t source_step, target_step;   /* from one to the next */
    int64_t columns;                    /* of the group */
    kir_index source, target, channels; /* where this iteration begins */
    int left, right, target_argument, sums;
} point_core;

bool lower_conv_points_pay(const conv_points *points) {
    const conv_maps *conv = points->conv;
    int64_t weights = 4 * points->panel.parts * points->pairs * conv->target_channels;
    return points->panel.cpu->matrix_units && lower_conv_is_of_points(&conv->shape) && weights > CONV_WEIGHTS_BYTES &&
           points->pairs % PAIR_UNIT == 0 && conv->target_channels % conv->weights.panel == 0;
}

static void choose_sizes(point_core *core) {
    const conv_points *points = core->points;
    const conv_maps *conv = points->conv;
    const pair_maps *source = points->source;
    int64_t tile = 4 * points->panel.parts * points->panel.rows * PAIR_UNIT;
    core->slice = PAIR_UNIT * lower_divisor_below(points->pairs / PAIR_UNIT, SLICE_BYTES / tile);
    int64_t places = source->size[0] * source->size[1];
    bool single = places == 1;
    core->run_places = lower_divisor_below(places, RUN_PLACES);
    core->run_blocks = single ? lower_divisor_below(source->blocks, RUN_PLACES) : 1;
    core->source_step = single ? source->block : source->place;
    core->target_step = conv->target_channels * (single ? points->panel.rows : 1);
    core->columns =
        conv->weights.panel * lower_divisor_below(conv->target_channels / conv->weights.panel, GROUP_PANELS);
}

static int64_t run_length(const point_core *core) {
    return core->run_places * core->run_blocks;
}

/* One place's rows by the panel of columns from `column` on, over the slice that begins at `pair`. */
static pair_panel panel_at(const point_core *core, kir_reg place, kir_reg column, kir_index pair, bool fresh) {
    const conv_points *points = core->points;
    pair_panel panel = points->panel;
    int64_t size = points->conv->weights.panel;
    panel.left = core->left;
    panel.right = core->right;
    panel.target = core->sums;
    panel.fresh = fresh;
    panel.columns = panel.right_pair = size;
    panel.pairs = kir_at(core->slice);
    panel.left_at = kir_plus(core->source, core->source_step, place);
    panel.left_at = kir_plus_index(panel.left_at, panel.left_pair, pair);
    panel.right_at = kir_plus_index(kir_at(0), points->pairs, core->channels);
    panel.right_at = kir_plus(panel.right_at, points->pairs, column);
    panel.right_at = kir_plus_index(panel.right_at, size, pair);
    panel.target_row = core->columns;
    panel.target_at = kir_plus(kir_plus(kir_at(0), panel.rows * core->columns, place), 1, column);
    panel.past[0] = false;
    panel.past[1] = true;
    return panel;
}

/* A slice of all places and panels. */
static void emit_slice(const kir_builder *builder, const point_core *core, kir_index pair, bool fresh) {
    kir_builder over_places, body;
    kir_reg place = kir_loop(builder, kir_at(0), kir_at(run_length(core)), 1, &over_places);
    kir_reg column = kir_loop(&over_places, kir_at(0), kir_at(core->columns), core->points->conv->weights.panel, &body);
    pair_panel panel = panel_at(core, place, column, pair, fresh);
    pair_panel_emit(&body, &panel);
}

static void emit_results(const kir_builder *builder, const point_core *core) {
    const pair_panel *shape = &core->points->panel;
    kir_builder body;
    kir_reg place = kir_loop(builder, kir_at(0), kir_at(run_length(core)), 1, &body);
    pair_panel panel = *shape;
    panel.target = core->target_argument;
    panel.columns = core->columns;
    panel.target_row =
        core->points->conv->target_channels * core->points->source->size[0] * core->points->source->size[1];
    panel.target_at = kir_plus(kir_plus_index(core->target, 1, core->channels), core->target_step, place);
    pair_panel_copy(&body, &panel, core->sums, kir_plus(kir_at(0), shape->rows * core->columns, place), kir_at(0),
                    kir_at(shape->rows));
}

void lower_conv_points(lower_context *context, const conv_points *points, const int buffers[3], const ir_value *value) {
    arena *memory = context->memory;
    const conv_maps *conv = points->conv;
    const pair_maps *source = points->source;
    const pair_panel *panel = &points->panel;
    point_core core = {.points = points};
    choose_sizes(&core);
    kir_kernel *kernel = kir_kernel_new(memory, arena_printf(memory, "%s_pairs", conv->name), value->span);
    core.left = kir_argument_add(memory, kernel, "source", KIR_I32, source->parts * source->part, true, false);
    core.right = kir_argument_add(memory, kernel, "weights", KIR_I32, panel->parts * panel->right_part, true, false);
    core.target_argument = kir_argument_add(memory, kernel, "result", context->program->buffers[buffers[2]].element,
                                            ir_type_elements(&value->type), false, true);
    kir_stream(kernel, core.target_argument);
    int64_t rows = run_length(&core) * panel->rows;
    core.sums = kir_scratch_add(memory, kernel, "sums", KIR_F32, rows * core.columns);
    int64_t places = source->size[0] * source->size[1], groups = conv->target_channels / core.columns;
    int64_t runs = places / core.run_places, blocks = source->blocks / core.run_blocks;
    kernel->flops = ir_cost(value) / (double)(groups * runs * blocks);
    channel_statistics *statistics = channel_statistics_open(context, value, kernel, runs * blocks, rows);
    kir_builder builder = {memory, kernel, &kernel->body, value->span};
    kir_index number = kir_plus(kir_at(0), 1, 0);
    core.channels = kir_plus_index(kir_at(0), core.columns, lower_take_digit(&builder, &number, groups));
    kir_index part = number, run = lower_take_digit(&builder, &number, runs);
    core.source = kir_plus_index(kir_at(0), source->block * core.run_blocks, number);
    core.source = kir_plus_index(core.source, source->place * core.run_places, run);
    int64_t block = panel->rows * places * conv->target_channels; /* of the target */
    core.target = kir_plus_index(kir_at(0), block * core.run_blocks, number);
    core.target = kir_plus_index(core.target, conv->target_channels * core.run_places, run);
    emit_slice(&builder, &core, kir_at(0), true);
    if (core.slice < points->pairs) {
        kir_builder body;
        kir_reg pair = kir_loop(&builder, kir_at(core.slice), kir_at(points->pairs), core.slice, &body);
        emit_slice(&body, &core, kir_plus(kir_at(0), 1, pair), false);
    }
    emit_results(&builder, &core);
    if (statistics) {
        statistics_rows sums = {core.sums, kir_at(0), core.channels, rows, core.columns, -1};
        channel_statistics_clear(&builder, statistics);
        channel_statistics_take_rows(&builder, statistics, &sums);
        channel_statistics_store(&builder, statistics, part, core.channels, core.columns);
    }
    channel_statistics_launch(context, statistics, kernel, buffers, 3, groups * runs * blocks, value->span);
}
