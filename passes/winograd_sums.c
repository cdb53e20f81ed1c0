/* Gradients of weights at a point: channels by filters, summed over tiles.
 *
 * In pairs of bf16 parts tiles lie along the summation. Matrix units want the left operand's along its rows, where
 * patches have channels: a slice of them is turned, which then stays in the caches for all filters. */
#include "passes/winograd_sums.h"

#include "passes/pair_panel.h"
#include "passes/transpose.h"

/* Where the sums of a channel with the filters at work are. */
static kir_index sum_at(const winograd_sums *work, kir_index channel) {
    kir_index at = kir_plus_index(work->sum_base, work->sum_point, work->sum_number);
    return kir_plus_index(kir_plus_index(at, work->shape->channels, work->filters_first), work->filters, channel);
}

/* The filters at work of the gradients' first tile. */
static kir_index gradients_at(const winograd_sums *work) {
    kir_index at = kir_plus_index(kir_plus_index(kir_at(0), work->gradients.point, work->point), work->gradients.tiles,
                                  work->filters_first);
    return kir_plus_index(at, work->filters, work->first_tile);
}

/* ---- in f32 ---------------------------------------------------------------------------------------------------------
 */

/* In the loop over tiles: fetches the sums that come after the next ones, `target` being those at work. */
static void fetch_sums(const kir_builder *builder, const winograd_sums *work, kir_index target, int64_t channels,
                       fetch_loop tiles) {
    fetch_ahead ahead = {.argument = work->sums, .first = target, .elements = channels * work->filters};
    ahead.first.base += 2 * ahead.elements;
    fetch_ahead_within(&ahead, tiles);
    fetch_ahead_emit(builder, &ahead);
}

/* Both sides' maps of the next block, fetched while this one is summed up; the loop over tiles is to be added. Returns
 * how many. */
static int next_maps(const kir_builder *builder, const winograd_sums *work, fetch_loop channels,
                     fetch_ahead ahead[PAIR_MOST_AHEAD]) {
    const conv_shape *shape = work->shape;
    const winograd_patches *sides[] = {&work->maps, &work->gradients};
    int count = 0;
    for (int i = 0; i < 2; i++)
        for (int map = 0; map < winograd_map_count(sides[i]); map++)
            ahead[count++] = winograd_fetch_next(builder, sides[i], &work->tiling, work->block, map);
    for (int i = 0; i < count; i++) {
        fetch_ahead_within(&ahead[i], fetch_blocks(work->point, 1, (int64_t)work->method.points * work->method.points));
        fetch_ahead_within(&ahead[i], fetch_blocks(work->filters_first, work->filters, shape->filters));
        fetch_ahead_within(&ahead[i], fetch_blocks(work->channels_first, work->channels, shape->channels));
        fetch_ahead_within(&ahead[i], channels);
    }
    return count;
}

/* In the loop over tiles. */
static void fetch_maps(const kir_builder *builder, const winograd_sums *work, fetch_loop channels, fetch_loop tiles) {
    fetch_ahead ahead[PAIR_MOST_AHEAD];
    int count = next_maps(builder, work, channels, ahead);
    for (int i = 0; i < count; i++) {
        fetch_ahead_within(&ahead[i], tiles);
        fetch_ahead_emit(builder, &ahead[i]);
    }
}

/* A few channels of a panel with a panel of filters. */
static void emit_sum(kir_builder *builder, kir_index first, int64_t size, void *user) {
    winograd_sums *work = user;
    kir_index targets[TILE_MAX_ROWS];
    kir_index target = sum_at(work, kir_plus_index(work->channels_first, 1, first));
    for (int64_t r = 0; r < size; r++) {
        targets[r] = target;
        targets[r].base += r * work->filters;
    }
    register_tile tile = tile_new(builder, work->cpu, (int)size, work->filters);
    kir_builder clear = *builder, load = *builder, body;
    if (!work->once && work->fresh >= 0)
        kir_if(builder, work->fresh, &clear, &load);
    if (work->once || work->fresh >= 0)
        tile_clear(&clear, &tile);
    if (!work->once)
        tile_load(&load, &tile, work->sums, targets);
    int64_t round = tile_steps(&tile, work->tiles);
    kir_reg number = kir_loop(builder, kir_at(0), kir_at(work->tiles), round, &body);
    tile_operands operands = {.left = work->maps.points,
                              .right = work->gradients.points,
                              .left_step = work->channels,
                              .right_step = work->filters};
    kir_index left = kir_plus_index(kir_plus_index(kir_at(0), work->maps.point, work->point), work->maps.tiles,
                                    work->channels_first);
    left = kir_plus_index(kir_plus_index(left, work->channels, kir_plus(work->first_tile, 1, number)), 1, first);
    for (int64_t r = 0; r < size; r++) {
        operands.rows[r] = left;
        operands.rows[r].base += r;
    }
    operands.columns = kir_plus(gradients_at(work), work->filters, number);
    fetch_loop tiles = fetch_steps(number, round, work->tiles);
    if (!work->once)
        fetch_sums(&body, work, target, size, tiles);
    if (work->together)
        fetch_maps(&body, work, fetch_blocks(first, size, work->channels), tiles);
    tile_multiply(&body, &tile, &operands, round);
    tile_store(builder, &tile, work->sums, targets);
}

static void emit_channel_panel(kir_builder *builder, kir_index first, int64_t size, void *user) {
    winograd_sums work = *(winograd_sums *)user;
    work.channels_first = kir_plus_index(work.channels_first, 1, first);
    work.channels = size;
    tile_blocks(builder, size, tile_best_rows(work.cpu, size, work.filters), emit_sum, &work);
}

static void emit_filter_panel(kir_builder *builder, kir_index first, int64_t size, void *user) {
    winograd_sums *work = user;
    work->filters_first = first;
    work->filters = size;
    tile_blocks(builder, work->channels, work->maps.panel, emit_channel_panel, work);
}

/* ---- in pairs -------------------------------------------------------------------------------------------------------
 */

void winograd_add_turned(winograd_sums *work, arena *memory, kir_kernel *kernel, int64_t tiles) {
    work->turned = kir_scratch_add(memory, kernel, "turned", KIR_I32, work->parts * tiles * work->shape->channels);
}

/* Turns the slice, square by square. */
static void emit_turned(const kir_builder *builder, const winograd_sums *work) {
    const winograd_patches *maps = &work->maps;
    int lanes = work->cpu->lanes;
    int64_t channels = work->shape->channels;
    kir_builder parts, panels, body;
    kir_reg part = kir_loop(builder, kir_at(0), kir_at(work->parts), 1, &parts);
    kir_reg panel = kir_loop(&parts, kir_at(0), kir_at(channels), lanes, &panels);
    kir_reg tile = kir_loop(&panels, kir_at(0), kir_at(work->tiles), lanes, &body);
    kir_index from = kir_plus_index(kir_plus(kir_at(0), maps->part, part), maps->point, work->point);
    from = kir_plus_index(kir_plus(from, maps->tiles, panel), lanes, kir_plus(work->first_tile, 1, tile));
    kir_index to = kir_plus(kir_plus(kir_at(0), work->tiles * channels, part), channels, tile);
    to = kir_plus(to, lanes, panel);
    transpose_copy(&body, &(transpose_square){work->turned, to, lanes}, &(transpose_square){maps->points, from, lanes},
                   lanes);
}

/* A few channels with a panel of filters. */
static void emit_pair_sum(kir_builder *builder, kir_index first, int64_t size, void *user) {
    const winograd_sums *work = user;
    int64_t lanes = work->cpu->lanes, channels = work->shape->channels;
    pair_panel panel = {.cpu = work->cpu,
                        .parts = work->parts,
                        .left = work->turned,
                        .right = work->gradients.points,
                        .target = work->sums,
                        .left_at = kir_plus_index(kir_at(0), lanes, first),
                        .right_at = gradients_at(work),
                        .target_at = sum_at(work, first),
                        .pairs = kir_at(lanes),
                        .left_row = lanes,
                        .left_pair = 1,
                        .left_part = work->tiles * channels,
                        .right_pair = work->filters,
                        .right_part = work->gradients.part,
                        .target_row = work->filters,
                        .rows = size,
                        .columns = work->filters,
                        .tile = pair_tile_for(channels, work->shape->filters, lanes),
                        .sums = {{work->tiles / lanes, channels * lanes, lanes * work->filters}},
                        .sum_count = 1};
    if (work->together)
        panel.ahead_count = next_maps(builder, work, fetch_blocks(first, size, channels), panel.ahead);
    pair_panel_emit(builder, &panel);
}

static void emit_pair_panel(kir_builder *builder, kir_index first, int64_t size, void *user) {
    winograd_sums *work = user;
    int64_t channels = work->shape->channels;
    work->filters_first = first;
    work->filters = size;
    tile_blocks(builder, channels, pair_panel_rows(work->cpu, channels, size), emit_pair_sum, work);
}

void winograd_emit_sums(kir_builder *builder, winograd_sums *work) {
    if (work->parts > 0)
        emit_turned(builder, work);
    tile_blocks(builder, work->shape->filters, work->gradients.panel,
                work->parts > 0 ? emit_pair_panel : emit_filter_panel, work);
}
