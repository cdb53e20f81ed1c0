/* Maps convolved with taps (conv_maps.h) by sums in f32: tiles of places times channels in registers. */
#include "passes/channel_statistics.h"
#include "passes/conv_maps.h"
#include "passes/fetch_ahead.h"

typedef struct {
    const kir_target *cpu;
    const conv_maps *conv;
    int source, weights, target; /* arguments; the source may be the padded copy */
    padded_maps maps;
    kir_index source_base; /* of this iteration's images */
    kir_index first_image; /* of this iteration, in the target */
    int64_t panel;         /* target channels of a register tile */
    int64_t weight_rows;   /* taps times source channels: of a panel of the weights */
    const phase_axis *phase[2];
    /* what the nested emitters are at */
    int64_t group;
    kir_index columns_first, image, row, column;
    int64_t columns, tile_rows, tile_columns;
    channel_statistics *statistics; /* of the results, or NULL */
} conv_core;

/* The second cache keeps weights of so many bytes while maps of so many pass by. */
enum { SMALL_WEIGHTS = 256 << 10, LARGE_MAPS = 128 << 10 };

/* Whether all panels of weights meet a few rows before the next: large maps are then read once. */
static bool rows_come_first(const conv_core *core) {
    return core->conv->group_out > core->panel && core->weight_rows * core->conv->group_out * 4 <= SMALL_WEIGHTS &&
           core->maps.image * 4 > LARGE_MAPS;
}

/* In the loop over channels of a tile: fetches its part of the rows that come next. */
static void fetch_rows(const kir_builder *builder, const conv_core *core, const kir_reg tap[2], fetch_loop channels) {
    const conv_maps *conv = core->conv;
    int64_t row = core->maps.row, apart = conv->in_steps[0] * row;
    fetch_ahead ahead = {.argument = core->source, .elements = row + (core->tile_rows - 1) * apart};
    ahead.first = kir_plus_index(kir_plus_index(core->source_base, core->maps.image, core->image), apart, core->row);
    ahead.first.base += core->tile_rows * apart;
    fetch_ahead_within(&ahead, fetch_blocks(core->columns_first, core->panel, conv->group_out));
    fetch_ahead_within(&ahead, fetch_blocks(core->column, core->tile_columns, core->phase[1]->places));
    for (int i = 0; i < 2; i++)
        fetch_ahead_within(&ahead, fetch_steps(tap[i], 1, core->phase[i]->count));
    fetch_ahead_within(&ahead, channels);
    fetch_ahead_emit(builder, &ahead);
}

static void take_statistics(const kir_builder *builder, const conv_core *core, const register_tile *tile) {
    kir_reg first =
        channel_statistics_first(builder, kir_plus_index(kir_plus_index(core->image, 1, core->row), 1, core->column));
    kir_index channel = kir_plus_index(kir_at(core->group * core->conv->group_out), 1, core->columns_first);
    for (int v = 0; v < tile->vectors; v++) {
        statistics_vector vector = channel_statistics_begin(builder, core->statistics, channel);
        channel_statistics_shift(builder, &vector, first, tile->sums[0][v]);
        for (int r = 0; r < tile->rows; r++)
            channel_statistics_take(builder, &vector, tile->sums[r][v], -1);
        channel_statistics_end(builder, core->statistics, &vector);
        channel.base += tile->lanes;
    }
}

/* Places of an iteration; 0 where tiles have other places, or vectors that are not whole. */
static int64_t places_of_iteration(const conv_core *core) {
    const conv_maps *conv = core->conv;
    bool even = conv->phase_counts[0] == 1 && conv->phase_counts[1] == 1 && conv->group_out % core->cpu->lanes == 0;
    return even ? core->maps.images * conv->target_size[0] * conv->target_size[1] : 0;
}

/* sums[r, c] over taps and channels, for a tile of tile_rows x tile_columns places. */
static void emit_tile(kir_builder *builder, conv_core *core) {
    register_tile tile = tile_new(builder, core->cpu, (int)(core->tile_rows * core->tile_columns), core->columns);
    tile_clear(builder, &tile);
    const phase_axis *vertical = core->phase[0], *horizontal = core->phase[1];
    kir_builder outer = *builder, body = outer;
    kir_reg tap[2], channel;
    if (vertical->count > 0 && horizontal->count > 0) {
        for (int i = 0; i < 2; i++) {
            kir_builder inner;
            tap[i] = kir_loop(&body, kir_at(0), kir_at(core->phase[i]->count), 1, &inner);
            body = inner;
        }
        kir_builder inner;
        int64_t round = tile_steps(&tile, core->conv->group_in);
        channel = kir_loop(&body, kir_at(0), kir_at(core->conv->group_in), round, &inner);
        tile_operands operands = {
            .left = core->maps.argument, .right = core->weights, .left_step = 1, .right_step = core->columns};
        kir_index base = kir_plus_index(core->source_base, core->maps.image, core->image);
        base.base += core->group * core->conv->group_in;
        base = kir_plus(base, 1, channel);
        int64_t strides[2] = {core->maps.row, core->maps.channels};
        const kir_index *place[2] = {&core->row, &core->column};
        for (int i = 0; i < 2; i++) {
            base = kir_plus_index(base, strides[i] * core->conv->in_steps[i], *place[i]);
            base = kir_plus(base, strides[i] * core->phase[i]->offset_step, tap[i]);
            base.base += strides[i] * (core->phase[i]->offset + core->maps.margin[2 * i]);
        }
        for (int64_t r = 0; r < core->tile_rows; r++)
            for (int64_t c = 0; c < core->tile_columns; c++) {
                operands.rows[r * core->tile_columns + c] = base;
                operands.rows[r * core->tile_columns + c].base +=
                    r * strides[0] * core->conv->in_steps[0] + c * strides[1] * core->conv->in_steps[1];
            }
        kir_index tap_number = kir_at(vertical->weight * core->conv->shape.kernel[1] + horizontal->weight);
        tap_number = kir_plus(tap_number, vertical->weight_step * core->conv->shape.kernel[1], tap[0]);
        tap_number = kir_plus(tap_number, horizontal->weight_step, tap[1]);
        operands.columns = kir_plus_index(kir_at(core->group * core->weight_rows * core->conv->group_out),
                                          core->weight_rows, core->columns_first);
        operands.columns = kir_plus_index(operands.columns, core->columns * core->conv->group_in, tap_number);
        operands.columns = kir_plus(operands.columns, core->columns, channel);
        if (rows_come_first(core) && core->maps.direct)
            fetch_rows(&inner, core, tap, fetch_steps(channel, round, core->conv->group_in));
        tile_multiply(&inner, &tile, &operands, round);
    }
    int64_t pixel = core->conv->target_channels, line = core->conv->target_size[1] * pixel;
    kir_index target = kir_plus_index(kir_at(core->group * core->conv->group_out), 1, core->columns_first);
    target =
        kir_plus_index(target, core->conv->target_size[0] * line, kir_plus_index(core->first_image, 1, core->image));
    target = kir_plus_index(target, core->conv->out_step[0] * line, core->row);
    target = kir_plus_index(target, core->conv->out_step[1] * pixel, core->column);
    target.base += vertical->first * line + horizontal->first * pixel;
    kir_index places[TILE_MAX_ROWS];
    for (int64_t r = 0; r < core->tile_rows; r++)
        for (int64_t c = 0; c < core->tile_columns; c++) {
            places[r * core->tile_columns + c] = target;
            places[r * core->tile_columns + c].base +=
                r * core->conv->out_step[0] * line + c * core->conv->out_step[1] * pixel;
        }
    if (core->statistics)
        take_statistics(&outer, core, &tile);
    tile_store(&outer, &tile, core->target, places);
}

/* ---- the nest around a tile: groups, columns, images, rows, columns of places
 * --------------------------------------------------------- */

static void emit_place_columns(kir_builder *builder, kir_index first, int64_t size, void *user) {
    conv_core *core = user;
    core->column = first;
    core->tile_columns = size;
    emit_tile(builder, core);
}

static void emit_row(kir_builder *builder, conv_core *core) {
    int64_t places = core->phase[1]->places;
    int64_t size = core->tile_rows > 1 ? places : tile_best_rows(core->cpu, places, core->columns);
    tile_blocks(builder, places, size, emit_place_columns, core);
}

static void emit_place_rows(kir_builder *builder, kir_index first, int64_t size, void *user) {
    conv_core *core = user;
    core->row = first;
    core->tile_rows = size;
    emit_row(builder, core);
}

static void emit_row_of_panel(kir_builder *builder, kir_index first, int64_t size, void *user) {
    conv_core *core = user;
    core->columns_first = first;
    core->columns = size;
    emit_row(builder, core);
}

static void emit_panels_of_rows(kir_builder *builder, kir_index first, int64_t size, void *user) {
    conv_core *core = user;
    core->row = first;
    core->tile_rows = size;
    tile_blocks(builder, core->conv->group_out, core->panel, emit_row_of_panel, core);
}

static kir_builder open_images(kir_builder *builder, conv_core *core) {
    kir_builder body = *builder;
    core->image = kir_at(0);
    if (core->maps.images > 1) {
        kir_reg image = kir_loop(builder, kir_at(0), kir_at(core->maps.images), 1, &body);
        core->image = kir_plus(kir_at(0), 1, image);
    }
    return body;
}

/* How many rows of so many places one tile takes: of narrow maps several. */
static int64_t rows_of_tile(const kir_target *cpu, int64_t rows, int64_t places, int64_t columns) {
    int64_t together = tile_rows_for(cpu, tile_vectors_for(cpu, columns)) / places;
    return together < 1 ? 1 : together > rows ? rows : together;
}

static int64_t rows_at_once(const conv_core *core, int64_t columns) {
    return rows_of_tile(core->cpu, core->phase[0]->places, core->phase[1]->places, columns);
}

static void emit_images(kir_builder *builder, kir_index first, int64_t size, void *user) {
    conv_core *core = user;
    core->columns_first = first;
    core->columns = size;
    kir_builder body = open_images(builder, core);
    tile_blocks(&body, core->phase[0]->places, rows_at_once(core, size), emit_place_rows, core);
}

static void emit_phase(kir_builder *builder, conv_core *core) {
    for (core->group = 0; core->group < core->conv->shape.groups; core->group++) {
        if (!rows_come_first(core)) {
            tile_blocks(builder, core->conv->group_out, core->panel, emit_images, core);
            continue;
        }
        kir_builder body = open_images(builder, core);
        tile_blocks(&body, core->phase[0]->places, rows_at_once(core, core->panel), emit_panels_of_rows, core);
    }
}

/* The kernel and its launch over groups of images. `buffers`: source, weights, target. */
static void launch_core(lower_context *context, conv_core *core, const int buffers[3], const ir_value *value) {
    arena *memory = context->memory;
    const conv_maps *conv = core->conv;
    kir_kernel *kernel = kir_kernel_new(memory, conv->name, value->span);
    int64_t n = conv->shape.n;
    core->source = kir_argument_add(memory, kernel, "source", context->program->buffers[buffers[0]].element,
                                    ir_type_elements(&value->operands[0]->type), true, false);
    core->weights =
        kir_argument_add(memory, kernel, "weights", KIR_F32, ir_type_elements(&value->operands[1]->type), true, false);
    core->target = kir_argument_add(memory, kernel, "result", context->program->buffers[buffers[2]].element,
                                    ir_type_elements(&value->type), false, true);
    kir_stream(kernel, core->target);
    core->maps =
        lower_padded_maps(memory, kernel, core->source, n, conv->source_size, conv->source_channels, conv->margin);
    kernel->flops = ir_cost(value) * (double)core->maps.images / (double)n;
    core->statistics =
        channel_statistics_open(context, value, kernel, n / core->maps.images, places_of_iteration(core));
    kir_builder builder = {memory, kernel, &kernel->body, value->span};
    core->first_image = kir_plus(kir_at(0), core->maps.images, 0);
    core->source_base =
        lower_copy_padded(&builder, &core->maps, core->source, conv->source_size, core->first_image, core->cpu->lanes);
    channel_statistics_clear(&builder, core->statistics);
    for (int64_t v = 0; v < conv->phase_counts[0]; v++)
        for (int64_t h = 0; h < conv->phase_counts[1]; h++) {
            core->phase[0] = &conv->phases[0][v];
            core->phase[1] = &conv->phases[1][h];
            if (core->phase[0]->places > 0 && core->phase[1]->places > 0)
                emit_phase(&builder, core);
        }
    channel_statistics_store(&builder, core->statistics, kir_plus(kir_at(0), 1, 0), kir_at(0), conv->target_channels);
    channel_statistics_launch(context, core->statistics, kernel, buffers, 3, n / core->maps.images, value->span);
}

/* ---- convolutions of points ---------------------------------------------------------------------------------------
 */

/* What the tiles of a map take whose rows stand side by side, so many at a time (tile_rows_cost). */
static int64_t map_cost(const kir_target *cpu, const int64_t size[2], int64_t joined, int64_t columns) {
    int64_t rows = size[0] / joined, places = size[1] * joined, together = rows_of_tile(cpu, rows, places, columns);
    if (together > 1)
        return tile_rows_cost(cpu, rows * places, together * places, columns);
    return rows * tile_rows_cost(cpu, places, tile_best_rows(cpu, places, columns), columns);
}

/* Makes rows of the map so much longer and fewer as suits the tiles: 7 x 7 places are 49, or 9 tiles of 5 and one of 4.
 */
static void join_rows(conv_maps *maps, phase_axis axes[2], const kir_target *cpu, int64_t columns) {
    int64_t best = 1;
    for (int64_t joined = 2; joined <= maps->target_size[0]; joined++)
        if (maps->target_size[0] % joined == 0 &&
            map_cost(cpu, maps->target_size, joined, columns) < map_cost(cpu, maps->target_size, best, columns))
            best = joined;
    int64_t size[2] = {maps->target_size[0] / best, maps->target_size[1] * best};
    for (int i = 0; i < 2; i++) {
        axes[i] = maps->phases[i][0];
        axes[i].places = maps->source_size[i] = maps->target_size[i] = size[i];
        maps->phases[i] = &axes[i];
    }
}

bool lower_conv_sums(lower_context *context, const ir_value *value, const conv_maps *given) {
    conv_maps joined = *given;
    phase_axis axes[2];
    const conv_maps *maps = &joined;
    conv_core core = {.cpu = &context->pass->target, .conv = maps};
    core.panel = (int64_t)tile_vectors_for(core.cpu, maps->group_out) * core.cpu->lanes;
    if (lower_conv_is_of_points(&given->shape))
        join_rows(&joined, axes, core.cpu, core.panel);
    core.weight_rows = maps->shape.kernel[0] * maps->shape.kernel[1] * maps->group_in;
    panel_matrix weights = maps->weights;
    weights.panel = core.panel;
    const ir_value *w = value->operands[1];
    ir_layout map = lower_channels_last();
    int buffers[] = {lower_buffer_in_layout(context, value->operands[0], map),
                     lower_pack_panels(context, &weights, lower_buffer_in_layout(context, w, lower_conv_weight()),
                                       ir_type_elements(&w->type), value->span),
                     lower_result_buffer_in_layout(context, value, map)};
    launch_core(context, &core, buffers, value);
    lower_finish_result(context, value, map, buffers[2]);
    return true;
}
