/* Groups of scores (fuse-contrastive): tiles of the matrix [rows, columns] that are computed, used and forgotten.
 *
 * A kernel's iteration is a tile, or a row or column of tiles where only rows or only columns have results. Tiles of
 * one round share no rows and no columns, so that they add to the results without meeting; rounds follow each other.
 * The order in which a result is added up is thus the same at any number of threads. */
#include "passes/score_tile.h"

#include "passes/register_tile.h"
#include "passes/score_pairs.h"
#include "passes/score_unit_operands.h"
#include "passes/score_units.h"
#include "passes/transpose.h"

#include <assert.h>

enum { LONG = 4, CHUNKS = 8 };

static int64_t row_blocks(const score_plan *plan) {
    return (plan->rows + plan->tile_rows - 1) / plan->tile_rows;
}

static int64_t column_blocks(const score_plan *plan) {
    return (plan->columns + plan->tile_columns - 1) / plan->tile_columns;
}

/* ---- operands ------------------------------------------------------------------------------------------------------
 */

/* A panel as it is packed: elements k of all its vectors beside each other, zeros where there are no more. */
typedef struct {
    int from, to;
    kir_index panel;
    int64_t length;              /* of the vectors */
    int columns, present, lanes; /* vectors of a panel, those that there are */
} packed_panel;

static int present_from(const packed_panel *panel, int first) {
    int present = panel->present - first;
    return present < 0 ? 0 : present < panel->lanes ? present : panel->lanes;
}

static kir_index packed_place(const packed_panel *panel, int first, kir_reg k) {
    kir_index at = kir_plus_index(kir_at(first), panel->columns * panel->length, panel->panel);
    return kir_plus(at, panel->columns, k);
}

static kir_index vector_place(const packed_panel *panel, int vector, kir_reg k) {
    kir_index at = kir_plus_index(kir_at(vector * panel->length), panel->columns * panel->length, panel->panel);
    return kir_plus(at, 1, k);
}

/* Elements k to k + lanes of as many vectors: a square, turned. */
static void emit_packed_square(const kir_builder *builder, const packed_panel *panel, int first, kir_reg k) {
    kir_reg vectors[TRANSPOSE_MOST_LANES];
    int lanes = panel->lanes, present = present_from(panel, first);
    for (int i = 0; i < lanes; i++)
        vectors[i] = i < present ? kir_load(builder, panel->from, vector_place(panel, first + i, k), lanes, lanes)
                                 : kir_number(builder, kir_vector_type(KIR_F32, lanes), 0);
    transpose_vectors(builder, vectors, lanes);
    for (int i = 0; i < lanes; i++) {
        kir_index to = packed_place(panel, first, k);
        to.base += (int64_t)i * panel->columns;
        kir_store(builder, panel->to, to, vectors[i], lanes);
    }
}

/* Element k of as many vectors as there are lanes. */
static void emit_packed_vector(const kir_builder *builder, const packed_panel *panel, int first, kir_reg k) {
    int present = present_from(panel, first), lanes = panel->lanes;
    kir_index from = vector_place(panel, first, k);
    kir_reg vector = present == 0 ? kir_number(builder, kir_vector_type(KIR_F32, lanes), 0)
                     : lanes == 1 ? kir_load(builder, panel->from, from, 1, 1)
                                  : kir_load_strided(builder, panel->from, from, lanes, present, panel->length);
    kir_store(builder, panel->to, packed_place(panel, first, k), vector, lanes);
}

static void emit_pack(kir_builder *builder, const packed_panel *panel) {
    int lanes = panel->lanes;
    int64_t squares = lanes > 1 ? panel->length / lanes * lanes : 0;
    kir_builder body;
    if (squares > 0) {
        kir_reg k = kir_loop(builder, kir_at(0), kir_at(squares), lanes, &body);
        for (int first = 0; first < panel->columns; first += lanes)
            emit_packed_square(&body, panel, first, k);
    }
    if (squares < panel->length) {
        kir_reg k = kir_loop(builder, kir_at(squares), kir_at(panel->length), 1, &body);
        for (int first = 0; first < panel->columns; first += lanes)
            emit_packed_vector(&body, panel, first, k);
    }
}

static void launch_pack(const score_plan *plan, const ir_value *value, int from, int to, int64_t first, int64_t panels,
                        int count) {
    if (panels == 0)
        return;
    lower_kernel kernel = lower_kernel_begin(plan->context, "pack_vectors", value);
    packed_panel panel = {.panel = kir_plus(kir_at(first), 1, 0),
                          .from = lower_argument(&kernel, from, false),
                          .to = lower_argument(&kernel, to, true),
                          .length = value->type.dims[1],
                          .columns = plan->panel_columns,
                          .present = count,
                          .lanes = plan->lanes};
    emit_pack(&kernel.builder, &panel);
    lower_kernel_launch(&kernel, panels);
}

static int packed_vectors(const score_plan *plan, const ir_value *value) {
    int64_t count = value->type.dims[0], length = value->type.dims[1], whole = count / plan->panel_columns;
    int64_t padded = score_rounded_up(count, plan->panel_columns);
    int from = lower_buffer_in_layout(plan->context, value, ir_layout_identity());
    int to = lower_temporary(plan->context, "packed", KIR_F32, padded * length, value->span);
    launch_pack(plan, value, from, to, 0, whole, plan->panel_columns);
    if (whole * plan->panel_columns < count)
        launch_pack(plan, value, from, to, whole, 1, (int)(count - whole * plan->panel_columns));
    return to;
}

static void prepare_product(const score_plan *plan, score_product *product) {
    if (score_on_units(plan)) {
        product->left = plan->rows_once
                            ? lower_buffer_in_layout(plan->context, product->row_vectors, ir_layout_identity())
                            : score_unit_vectors(plan, product->row_vectors, false);
        product->packed = score_unit_vectors(plan, product->column_vectors, true);
    } else if (plan->parts) {
        product->left = score_pairs_rows(plan, product->row_vectors);
        product->packed = score_pairs_columns(plan, product->column_vectors);
    } else {
        product->left = lower_buffer_in_layout(plan->context, product->row_vectors, ir_layout_identity());
        product->packed = packed_vectors(plan, product->column_vectors);
    }
}

/* What an output's scores are multiplied by. */
static void prepare_vectors(const score_plan *plan, score_output *output) {
    const ir_value *vectors = output->value->operands[1];
    if (score_on_units(plan)) {
        output->vectors = plan->rows_once && !output->by_row
                              ? lower_buffer_in_layout(plan->context, vectors, ir_layout_identity())
                              : score_unit_pairs(plan, vectors, output->by_row);
        if (plan->symmetric && row_blocks(plan) > 1)
            output->mirrored_vectors = score_unit_pairs(plan, vectors, !output->by_row);
    } else {
        output->vectors = plan->parts ? score_pairs_vectors(plan, vectors)
                                      : lower_buffer_in_layout(plan->context, vectors, ir_layout_identity());
    }
}

static void prepare_operands(score_plan *plan) {
    for (int i = 0; i < plan->product_count && !plan->reuses; i++)
        prepare_product(plan, &plan->products[i]);
    for (int i = 0; i < plan->output_count; i++)
        if (plan->outputs[i].kind == SCORE_MULTIPLY)
            prepare_vectors(plan, &plan->outputs[i]);
}

/* ---- launches ------------------------------------------------------------------------------------------------------
 */

/* How many rows (columns) the block has: all of a tile's, but for the last block. */
static kir_index block_end(const kir_builder *builder, kir_reg block, int64_t blocks, int64_t size, int64_t count) {
    int64_t last = count - (blocks - 1) * size;
    if (last == size)
        return kir_at(size);
    if (blocks == 1)
        return kir_at(last);
    kir_reg is_last = kir_op2(builder, KIR_equal, block, kir_value(builder, kir_at(blocks - 1)));
    kir_reg end =
        kir_op3(builder, KIR_select, is_last, kir_value(builder, kir_at(last)), kir_value(builder, kir_at(size)));
    return kir_plus(kir_at(0), 1, end);
}

static score_place place_of(const lower_kernel *kernel, const score_plan *plan, kir_reg row_block,
                            kir_reg column_block) {
    score_place place = {.column_totals = kir_at(0), .fresh_rows = {false, -1}, .fresh_columns = {false, -1}};
    place.row = kir_plus(kir_at(0), plan->tile_rows, row_block);
    place.column = kir_plus(kir_at(0), plan->tile_columns, column_block);
    place.row_end = block_end(&kernel->builder, row_block, row_blocks(plan), plan->tile_rows, plan->rows);
    place.column_end =
        block_end(&kernel->builder, column_block, column_blocks(plan), plan->tile_columns, plan->columns);
    return place;
}

static double tile_flops(const score_plan *plan) {
    double lengths = 0, scores = (double)plan->tile_rows * (double)plan->tile_columns;
    for (int i = 0; i < plan->product_count && !plan->reuses; i++)
        lengths += (double)plan->products[i].length;
    for (int i = 0; i < plan->output_count; i++)
        lengths += (double)plan->outputs[i].length;
    return 2 * scores * lengths;
}

static lower_kernel begin_scores(const score_plan *plan, const char *kind) {
    const ir_value *product = plan->products[0].value;
    const char *name = arena_printf(plan->context->memory, "scores%s_%lldx%lldx%lld", kind, (long long)plan->rows,
                                    (long long)plan->columns, (long long)plan->products[0].length);
    lower_kernel kernel = lower_kernel_begin(plan->context, name, product);
    kernel.root = plan->outputs[0].value;
    kernel.kernel->flops = tile_flops(plan);
    return kernel;
}

static kir_reg is_number(const kir_builder *builder, kir_reg a, int64_t number) {
    return kir_op2(builder, KIR_equal, a, kir_value(builder, kir_at(number)));
}

/* A whole row (column) of tiles an iteration: nothing else adds to its results. */
static void launch_lines(const score_plan *plan, bool by_row) {
    lower_kernel kernel = begin_scores(plan, "");
    kir_builder outer = kernel.builder, body;
    int64_t inner = by_row ? column_blocks(plan) : row_blocks(plan);
    kir_reg other = kir_loop(&outer, kir_at(0), kir_at(inner), 1, &body);
    kernel.builder = body;
    score_place place = place_of(&kernel, plan, by_row ? 0 : other, by_row ? other : 0);
    score_fresh first = {inner == 1, inner == 1 ? -1 : is_number(&kernel.builder, other, 0)};
    place.fresh_rows = place.fresh_columns = first;
    score_tile_emit(&kernel, plan, &place);
    kernel.builder = outer;
    kernel.kernel->flops *= (double)inner;
    lower_kernel_launch(&kernel, by_row ? row_blocks(plan) : column_blocks(plan));
}

static kir_reg remainder_of(const kir_builder *builder, kir_index number, int64_t divisor) {
    return kir_op2(builder, KIR_rem, kir_value(builder, number), kir_value(builder, kir_at(divisor)));
}

static void split_round(const kir_builder *builder, int64_t extent, kir_reg *round, kir_reg *place) {
    kir_reg divisor = kir_value(builder, kir_at(extent));
    *round = kir_op2(builder, KIR_div, 0, divisor);
    *place = kir_op2(builder, KIR_rem, 0, divisor);
}

/* Of a grid: the first round is the first of the shorter side's blocks, and of as many of the longer side; the last one
 * of the shorter side meets the others first. */
static score_fresh first_of_longer(const kir_builder *builder, int64_t extent, int64_t rounds, kir_reg round,
                                   kir_reg number) {
    kir_reg last = is_number(builder, number, extent - 1);
    kir_reg early = kir_op2(builder, KIR_less, round, kir_value(builder, kir_at(rounds - extent + 1)));
    kir_reg meets = kir_op2(builder, KIR_and, last, early);
    return (score_fresh){false, kir_op2(builder, KIR_or, is_number(builder, round, 0), meets)};
}

/* Round r: every block of the shorter side with the block r further on of the other. */
static void launch_grid(const score_plan *plan) {
    int64_t rows = row_blocks(plan), columns = column_blocks(plan);
    int64_t extent = rows < columns ? rows : columns, rounds = rows < columns ? columns : rows;
    lower_kernel kernel = begin_scores(plan, "_grid");
    kir_reg round, number;
    split_round(&kernel.builder, extent, &round, &number);
    kir_reg further = remainder_of(&kernel.builder, kir_plus(kir_plus(kir_at(0), 1, number), 1, round), rounds);
    score_place place = place_of(&kernel, plan, rows < columns ? number : further, rows < columns ? further : number);
    score_fresh shorter = {false, is_number(&kernel.builder, round, 0)};
    score_fresh longer = first_of_longer(&kernel.builder, extent, rounds, round, number);
    place.fresh_rows = rows < columns ? shorter : longer;
    place.fresh_columns = rows < columns ? longer : shorter;
    score_tile_emit(&kernel, plan, &place);
    lower_kernel_launch_rounds(&kernel, extent, rounds);
}

static void launch_diagonal(const score_plan *plan) {
    lower_kernel kernel = begin_scores(plan, "_diagonal");
    score_place place = place_of(&kernel, plan, 0, 0);
    place.fresh_rows = place.fresh_columns = (score_fresh){true, -1};
    score_tile_emit(&kernel, plan, &place);
    lower_kernel_launch(&kernel, row_blocks(plan));
}

/* How many blocks form a team: two, if that leaves enough teams, as the tiles of two teams share their vectors in the
 * second cache. */
static int64_t team_size(int64_t blocks) {
    return blocks % 4 == 0 && blocks >= ENOUGH_ITERATIONS ? 2 : 1;
}

typedef struct {
    int64_t teams, extent, rounds, own; /* rounds come after `own` ones in which each team meets itself */
} tournament;

/* A tournament: each round pairs every team (of an odd number, all but one) with another. */
static tournament tournament_of(int64_t blocks) {
    tournament all = {.teams = blocks / team_size(blocks)};
    all.extent = all.teams / 2;
    all.own = team_size(blocks) > 1 ? 2 : 0;
    all.rounds = all.own + all.teams - (all.teams % 2 == 0);
    return all;
}

/* The two teams that meet. The last one stays while the others move on around a circle. */
static void find_teams(const kir_builder *builder, const tournament *all, kir_reg round, kir_reg number,
                       kir_reg teams[2]) {
    bool even = all->teams % 2 == 0;
    int64_t circle = all->teams - even, shift = even ? 0 : 1; /* the one left out is the circle's top */
    teams[0] = remainder_of(builder, kir_plus(kir_plus(kir_at(shift), 1, number), 1, round), circle);
    teams[1] = remainder_of(builder, kir_plus(kir_plus(kir_at(circle - shift), -1, number), 1, round), circle);
    if (!even)
        return;
    kir_reg first = kir_op2(builder, KIR_equal, number, kir_value(builder, kir_at(0)));
    teams[0] = kir_op3(builder, KIR_select, first, kir_value(builder, kir_at(all->teams - 1)), teams[0]);
}

/* Opens a loop over the tiles of two teams of two blocks, each sharing a side with the one before; of a team with
 * itself, one tile. */
static void loop_over_tiles(kir_builder *builder, const tournament *all, kir_reg round, kir_reg number,
                            kir_reg teams[2]) {
    kir_builder body;
    kir_reg own = kir_op2(builder, KIR_less, round, kir_value(builder, kir_at(all->own)));
    kir_reg self = kir_value(builder, kir_plus(kir_plus(kir_at(0), all->extent, round), 1, number));
    kir_reg from = kir_op3(builder, KIR_select, own, kir_value(builder, kir_at(1)), kir_value(builder, kir_at(0)));
    kir_reg end = kir_op3(builder, KIR_select, own, kir_value(builder, kir_at(2)), kir_value(builder, kir_at(4)));
    for (int side = 0; side < 2; side++)
        teams[side] = kir_op3(builder, KIR_select, own, self, teams[side]);
    kir_reg tile = kir_loop(builder, kir_plus(kir_at(0), 1, from), kir_plus(kir_at(0), 1, end), 1, &body);
    kir_reg row = kir_op2(&body, KIR_div, tile, kir_value(&body, kir_at(2)));
    kir_reg column = remainder_of(&body, kir_plus(kir_plus(kir_at(0), 1, tile), 1, row), 2);
    teams[0] = kir_value(&body, kir_plus(kir_plus(kir_at(0), 2, teams[0]), 1, row));
    teams[1] = kir_value(&body, kir_plus(kir_plus(kir_at(0), 2, teams[1]), 1, column));
    *builder = body;
}

/* All pairs of different blocks. */
static void launch_pairs(const score_plan *plan) {
    int64_t blocks = row_blocks(plan);
    tournament all = tournament_of(blocks);
    if (blocks < 2)
        return;
    lower_kernel kernel = begin_scores(plan, "_pairs");
    kir_builder outer = kernel.builder;
    kir_reg round, number, teams[2];
    split_round(&kernel.builder, all.extent, &round, &number);
    find_teams(&kernel.builder, &all, round, number, teams);
    if (all.own)
        loop_over_tiles(&kernel.builder, &all, round, number, teams);
    score_place place = place_of(&kernel, plan, teams[0], teams[1]);
    place.mirrored = true;
    for (int i = 0; i < plan->output_count; i++)
        kernel.kernel->flops +=
            2.0 * (double)plan->tile_rows * (double)plan->tile_columns * (double)plan->outputs[i].length;
    kernel.kernel->flops *= (double)(blocks * (blocks - 1)) / (2.0 * (double)(all.extent * all.rounds));
    score_tile_emit(&kernel, plan, &place);
    kernel.builder = outer;
    lower_kernel_launch_rounds(&kernel, all.extent, all.rounds);
}

/* A chunk of rows an iteration, with totals of columns of its own: rows are read once, and few columns keep all threads
 * busy. */
static void launch_chunks(const score_plan *plan) {
    int64_t blocks = row_blocks(plan), each = (blocks + plan->chunks - 1) / plan->chunks;
    lower_kernel kernel = begin_scores(plan, "_chunks");
    kir_builder outer = kernel.builder, over_rows, over_columns;
    kir_reg last = kir_value(&outer, kir_at(blocks)), end = kir_value(&outer, kir_plus(kir_at(each), each, 0));
    kir_reg limit = kir_op3(&outer, KIR_select, kir_op2(&outer, KIR_less, end, last), end, last);
    kir_reg row = kir_loop(&outer, kir_plus(kir_at(0), each, 0), kir_plus(kir_at(0), 1, limit), 1, &over_rows);
    kir_reg column = kir_loop(&over_rows, kir_at(0), kir_at(column_blocks(plan)), 1, &over_columns);
    kernel.builder = over_columns;
    score_place place = place_of(&kernel, plan, row, column);
    place.column_totals = kir_plus(kir_at(0), column_blocks(plan) * plan->tile_columns, 0);
    kir_reg first_row = kir_value(&kernel.builder, kir_plus(kir_at(0), each, 0));
    place.fresh_columns.when = kir_op2(&kernel.builder, KIR_equal, row, first_row);
    place.fresh_rows = (score_fresh){plan->fresh_rows, plan->fresh_rows ? -1 : is_number(&kernel.builder, column, 0)};
    score_tile_emit(&kernel, plan, &place);
    kernel.builder = outer;
    kernel.kernel->flops *= (double)(each * column_blocks(plan));
    lower_kernel_launch(&kernel, plan->chunks);
}

static void launch_tiles(const score_plan *plan) {
    bool by_row = false, by_column = false;
    for (int i = 0; i < plan->output_count; i++) {
        by_row |= plan->outputs[i].by_row;
        by_column |= !plan->outputs[i].by_row;
    }
    if (plan->symmetric) {
        launch_diagonal(plan);
        launch_pairs(plan);
    } else if (plan->chunks) {
        launch_chunks(plan);
    } else if (by_row && by_column) {
        launch_grid(plan);
    } else {
        launch_lines(plan, by_row);
    }
}

/* Few rows against many columns, or the other way round: the long side becomes the tile's rows, in chunks. */
static void choose_chunks(score_plan *plan) {
    int64_t shorter = plan->rows < plan->columns ? plan->rows : plan->columns;
    int64_t longer = plan->rows < plan->columns ? plan->columns : plan->rows;
    if (plan->symmetric || longer < LONG * shorter)
        return;
    plan->chunks = CHUNKS;
    if (plan->rows == longer)
        return;
    plan->exchanged = true;
    plan->rows = longer;
    plan->columns = shorter;
    for (int i = 0; i < plan->product_count; i++) {
        score_product *product = &plan->products[i];
        const ir_value *vectors = product->row_vectors;
        product->row_vectors = product->column_vectors;
        product->column_vectors = vectors;
    }
    for (int i = 0; i < plan->output_count; i++)
        plan->outputs[i].by_row = !plan->outputs[i].by_row;
}

/* No more chunks than there are blocks, and none empty. */
static void fit_chunks(score_plan *plan) {
    int64_t blocks = row_blocks(plan), each = (blocks + CHUNKS - 1) / CHUNKS;
    if (plan->chunks)
        plan->chunks = (blocks + each - 1) / each;
    plan->fresh_rows = plan->symmetric || (plan->chunks && column_blocks(plan) == 1);
    plan->fresh_columns = plan->symmetric;
    plan->rows_once = score_unit_rows_once(plan);
}

static void keep_product(score_plan *plan, const ir_value *partner) {
    lower_context *context = plan->context;
    int64_t tiles = row_blocks(plan) * column_blocks(plan), elements = tiles * plan->tile_rows * plan->tile_stride;
    plan->kept = context->buffer_of[partner->id];
    plan->reuses = plan->kept >= 0;
    if (!plan->reuses)
        plan->kept = lower_temporary(context, "kept", KIR_F32, elements, plan->products[0].value->span);
    assert(context->program->buffers[plan->kept].bytes == 4 * elements);
    context->buffer_of[plan->products[0].value->id] = plan->kept;
}

/* ---- the group ------------------------------------------------------------------------------------------------------
 */

bool lower_scores(lower_context *context, int group) {
    score_plan plan = score_plan_of(context, group);
    const ir_value *partner = score_plan_share(&plan);
    choose_chunks(&plan);
    score_tiles_choose(&plan);
    fit_chunks(&plan);
    if (partner)
        keep_product(&plan, partner);
    prepare_operands(&plan);
    score_totals_prepare(&plan);
    launch_tiles(&plan);
    score_totals_finish(&plan);
    return true;
}
