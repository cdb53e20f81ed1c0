#include "passes/score_tile.h"

#include "passes/register_tile.h"
#include "passes/score_exponentials.h"
#include "passes/score_pairs.h"
#include "passes/score_sweep.h"
#include "passes/score_weights.h"

#include <assert.h>
#include <math.h>
#include <string.h>

/* ---- elements of scores -------------------------------------------------------------------------------------------
 */

void score_forget(lower_kernel *kernel) {
    const score_reader *reader = kernel->scores;
    int ids = reader->plan->context->source->next_id;
    for (int i = 0; i < 2 * ids; i++)
        reader->known[i] = -1;
    reader->power[0] = reader->power[1] = -1;
}

/* A product's element; scores that are read with rows along the lanes are symmetric. */
static kir_reg product_element(lower_kernel *kernel, int number, const lower_coordinate *at, int lanes) {
    const score_reader *reader = kernel->scores;
    bool turned = at[0].lane != 0;
    kir_index index = kir_plus_index(kir_at(0), reader->plan->tile_stride, at[turned].base);
    index = kir_plus_index(index, -reader->plan->tile_stride, reader->place->row);
    index = kir_plus_index(index, 1, at[!turned].base);
    index = kir_plus_index(kir_plus_index(index, -1, reader->place->column), 1, reader->origin);
    return kir_load(&kernel->builder, reader->tiles[number], index, lanes, lanes);
}

/* Whether it asks if a row's number is a column's, which in tiles off the diagonal none is. */
static bool is_diagonal(const ir_value *value) {
    const ir_value *x = value->operands[0], *y = value->operands[1];
    return value->opcode == IR_OP_equal && x->opcode == IR_OP_iota && y->opcode == IR_OP_iota &&
           ir_int(x, IR_ATTR_axis) != ir_int(y, IR_ATTR_axis);
}

kir_reg score_element_at(lower_kernel *kernel, const ir_value *value, const lower_coordinate *at, int lanes,
                         int count) {
    const score_reader *reader = kernel->scores;
    if (value->group != reader->plan->group)
        return lower_fresh_element(kernel, value, at, lanes, count);
    kir_reg *known = &reader->known[2 * value->id + (at[0].lane != 0)];
    if (*known >= 0)
        return *known;
    for (int i = 0; i < reader->plan->product_count; i++)
        if (reader->plan->products[i].value == value)
            return *known = product_element(kernel, i, at, lanes);
    if (value == reader->settled)
        return *known = product_element(kernel, 0, at, lanes);
    if (reader->place->mirrored && is_diagonal(value))
        return *known = kir_number(&kernel->builder, kir_vector_type(KIR_BOOL, lanes), 0);
    kir_reg power = score_exponentials_element(kernel, value, at, lanes);
    return *known = power >= 0 ? power : lower_fresh_element(kernel, value, at, lanes, count);
}

int score_bits(const score_reader *reader) {
    static const int bits[] = {24, 13, 18, 24};
    return bits[reader->plan->parts];
}

/* The coordinates of the scores' axes at the tile's row and column. A single lane still runs along columns: by that the
 * two orientations are told apart. */
void score_coordinates(const score_plan *plan, const score_place *place, kir_index row, kir_index column, bool turned,
                       lower_coordinate at[2]) {
    int row_axis = turned != plan->exchanged;
    at[row_axis] = (lower_coordinate){kir_plus_index(place->row, 1, row), 0};
    at[!row_axis] = (lower_coordinate){kir_plus_index(place->column, 1, column), 1};
}

/* Where the totals of the tile's first column are. */
kir_index score_column_total(const score_place *place) {
    return kir_plus_index(place->column, 1, place->column_totals);
}

/* ---- products -----------------------------------------------------------------------------------------------------
 */

/* The last panel of rows has the last one once more in place of those that do not exist. */
static kir_index panel_row(const kir_builder *builder, const score_plan *plan, kir_index row) {
    if (plan->rows % plan->panel_rows == 0)
        return row;
    kir_reg last = kir_value(builder, kir_at(plan->rows - 1));
    return kir_plus(kir_at(0), 1, kir_op2(builder, KIR_min, kir_value(builder, row), last));
}

/* `columns` of a panel's: all, or one vector. */
static void emit_panel(lower_kernel *kernel, const score_plan *plan, const score_place *place, int number,
                       kir_index row, kir_index column, int columns) {
    const score_product *product = &plan->products[number];
    kir_builder *builder = &kernel->builder;
    int left = lower_argument(kernel, product->left, false), packed = lower_argument(kernel, product->packed, false);
    register_tile tile = tile_new(builder, &plan->context->pass->target, plan->panel_rows, columns);
    tile_clear(builder, &tile);
    kir_index vectors[TILE_MAX_ROWS], targets[TILE_MAX_ROWS];
    for (int r = 0; r < plan->panel_rows; r++)
        vectors[r] = panel_row(builder, plan, kir_plus_index(kir_plus_index(kir_at(r), 1, row), 1, place->row));
    kir_builder body;
    int64_t round = tile_steps(&tile, product->length);
    kir_reg k = kir_loop(builder, kir_at(0), kir_at(product->length), round, &body);
    tile_operands operands = {.left = left, .right = packed, .left_step = 1, .right_step = plan->panel_columns};
    for (int r = 0; r < plan->panel_rows; r++) {
        operands.rows[r] = kir_plus(kir_plus_index(kir_at(0), product->length, vectors[r]), 1, k);
        targets[r] = kir_plus_index(kir_plus_index(kir_at(r * plan->tile_stride), plan->tile_stride, row), 1, column);
        targets[r] = kir_plus_index(targets[r], 1, kernel->scores->origin);
    }
    kir_index panel = kir_plus_index(place->column, 1, column);
    operands.columns = kir_plus(kir_plus_index(kir_at(0), product->length, panel), plan->panel_columns, k);
    tile_multiply(&body, &tile, &operands, round);
    tile_store(builder, &tile, kernel->scores->tiles[number], targets);
}

/* All rows of the tile with one panel of columns. */
static void emit_rows(lower_kernel *kernel, const kir_builder *builder, const score_plan *plan,
                      const score_place *place, int number, kir_index column, int columns) {
    kir_builder outer = kernel->builder;
    kir_reg row = kir_loop(builder, kir_at(0), place->row_end, plan->panel_rows, &kernel->builder);
    emit_panel(kernel, plan, place, number, kir_plus(kir_at(0), 1, row), column, columns);
    kernel->builder = outer;
}

/* The last panel of the last tile, where it has no more than one vector of columns: those beyond would take as long.
 * Returns where whole panels end. */
static kir_index emit_narrow_panel(lower_kernel *kernel, const score_plan *plan, const score_place *place, int number) {
    int64_t rest = plan->columns % plan->panel_columns;
    if (rest == 0 || rest > plan->lanes)
        return place->column_end;
    const kir_builder *builder = &kernel->builder;
    kir_index whole = kir_at((plan->columns - rest) % plan->tile_columns);
    if (place->column_end.term_count == 0) {
        emit_rows(kernel, builder, plan, place, number, whole, plan->lanes);
        return whole;
    }
    kir_reg tile = kir_value(builder, kir_at(plan->tile_columns));
    kir_reg is_last = kir_op2(builder, KIR_less, kir_value(builder, place->column_end), tile);
    kir_builder last;
    kir_if(builder, is_last, &last, NULL);
    emit_rows(kernel, &last, plan, place, number, whole, plan->lanes);
    return kir_plus(kir_at(0), 1, kir_op3(builder, KIR_select, is_last, kir_value(builder, whole), tile));
}

static void emit_product(lower_kernel *kernel, const score_plan *plan, const score_place *place, int number) {
    if (score_on_units(plan)) {
        score_units_product(kernel, plan, place, number);
        return;
    }
    if (plan->parts) {
        score_pairs_product(kernel, plan, place, number);
        return;
    }
    kir_index end = emit_narrow_panel(kernel, plan, place, number);
    if (end.term_count == 0 && end.base == 0)
        return;
    kir_builder panels;
    kir_reg column = kir_loop(&kernel->builder, kir_at(0), end, plan->panel_columns, &panels);
    emit_rows(kernel, &panels, plan, place, number, kir_plus(kir_at(0), 1, column), plan->panel_columns);
}

/* ---- the tile ------------------------------------------------------------------------------------------------------
 */

static int kept_tiles(lower_kernel *kernel, const score_plan *plan) {
    if (!plan->reuses)
        lower_argument(kernel, plan->kept, true);
    return lower_argument(kernel, plan->kept, false);
}

/* `index`, which counts in tiles of `size`, by `factor` a tile. */
static kir_index by_tile(kir_index index, int64_t size, int64_t factor) {
    index.base = index.base / size * factor;
    for (int i = 0; i < index.term_count; i++)
        index.terms[i].coefficient = index.terms[i].coefficient / size * factor;
    return index;
}

static kir_index kept_origin(const score_plan *plan, const score_place *place) {
    int64_t elements = plan->tile_rows * plan->tile_stride;
    int64_t columns = (plan->columns + plan->tile_columns - 1) / plan->tile_columns;
    kir_index row = by_tile(place->row, plan->tile_rows, columns * elements);
    return kir_plus_index(row, 1, by_tile(place->column, plan->tile_columns, elements));
}

static bool reduces_rows(const score_plan *plan) {
    return score_sweep_of(plan, true, false).line_count > 0;
}

/* ---- weights --------------------------------------------------------------------------------------------------------
 */

/* Code for weights, twice where exponentials are shared: with their factors, and without for tiles where these do not
 * hold. */
typedef struct {
    score_exponentials shared;
    bool shares;
    kir_reg holds;
    kir_builder after, otherwise;
} weight_ways;

static weight_ways plan_ways(lower_kernel *kernel, const score_plan *plan, const score_place *tile) {
    weight_ways ways;
    ways.shares = score_exponentials_find(plan, &ways.shared);
    ways.holds = ways.shares ? score_exponentials_prepare(kernel, plan, tile, &ways.shared) : -1;
    return ways;
}

/* Goes to where the next way's code belongs; false behind them all. */
static bool next_way(lower_kernel *kernel, score_reader *reader, weight_ways *ways, int number) {
    if (!ways->shares)
        return number == 0;
    if (number == 0) {
        ways->after = kernel->builder;
        kir_if(&ways->after, ways->holds, &kernel->builder, &ways->otherwise);
    } else {
        kernel->builder = number == 1 ? ways->otherwise : ways->after;
    }
    reader->exponentials = number == 0 ? &ways->shared : NULL;
    return number < 2;
}

/* ---- strips ---------------------------------------------------------------------------------------------------------
 *
 * On matrix units a tile that has nothing but products of weights goes through its rows SCORE_STRIP at a time: scores
 * and weights of a strip stay in the first cache, where those of a tile fill half of the second.
 */

static bool goes_in_strips(const score_plan *plan, const score_place *place) {
    if (!score_on_units(plan) || plan->weight_count == 0)
        return false;
    int lines = 0;
    for (int turned = 0; turned <= place->mirrored; turned++)
        lines += score_sweep_of(plan, true, turned).line_count + score_sweep_of(plan, false, turned).line_count;
    return lines == 0;
}

/* How many of the strip's rows exist. */
static kir_index strip_end(const kir_builder *builder, const score_plan *plan, const score_place *place,
                           kir_reg strip) {
    if (plan->rows % SCORE_STRIP == 0)
        return kir_at(SCORE_STRIP);
    kir_reg left = kir_value(builder, kir_plus(place->row_end, -1, strip));
    return kir_plus(kir_at(0), 1, kir_op2(builder, KIR_min, left, kir_value(builder, kir_at(SCORE_STRIP))));
}

static void emit_strips(lower_kernel *kernel, const score_plan *plan, const score_place *place, score_reader *reader) {
    score_unit_weights pairs[SCORE_MAX_RESULTS];
    weight_ways ways = plan_ways(kernel, plan, place);
    kir_builder outer = kernel->builder, body;
    kir_reg strip = kir_loop(&outer, kir_at(0), place->row_end, SCORE_STRIP, &body);
    score_place part = *place;
    part.in_strip = true;
    part.strip = kir_plus(kir_at(0), 1, strip);
    part.row = kir_plus(place->row, 1, strip);
    part.row_end = strip_end(&body, plan, place, strip);
    kernel->builder = body;
    reader->place = &part;
    if (plan->kept >= 0)
        reader->origin = kir_plus(reader->origin, plan->tile_stride, strip);
    for (int i = 0; i < plan->product_count && !plan->reuses; i++)
        emit_product(kernel, plan, &part, i);
    score_weights_bind(kernel, plan, &part, pairs);
    for (int way = 0; next_way(kernel, reader, &ways, way); way++)
        score_weights_pack(kernel, plan, &part, NULL, pairs);
    score_weights_multiply(kernel, plan, &part, NULL, pairs, SCORE_BY_ROW);
    kernel->builder = outer;
    reader->place = place;
    score_weights_multiply(kernel, plan, place, NULL, pairs, SCORE_BY_COLUMN);
}

/* Products and sweeps. On matrix units weights go into pairs, at once where no sweep by rows computes them anyway. */
static void emit_scores(lower_kernel *kernel, const score_plan *plan, const score_place *place, const int *weights,
                        score_reader *reader) {
    bool units = score_on_units(plan) && plan->weight_count, at_once = units && !reduces_rows(plan);
    score_unit_weights pairs[SCORE_MAX_RESULTS];
    if (goes_in_strips(plan, place)) {
        emit_strips(kernel, plan, place, reader);
        return;
    }
    for (int i = 0; i < plan->product_count && !plan->reuses; i++)
        emit_product(kernel, plan, place, i);
    if (score_sweep_both_ways(kernel, plan, place, reader))
        return;
    bool by_rows = !at_once && (reduces_rows(plan) || plan->weight_count);
    score_sweep_columns(kernel, plan, place, false, by_rows);
    if (place->mirrored) {
        score_sweep_columns(kernel, plan, place, true, false);
        score_sweep_rows(kernel, plan, place, true, NULL);
    }
    weight_ways ways = plan_ways(kernel, plan, place);
    for (int way = 0; by_rows && next_way(kernel, reader, &ways, way); way++)
        score_sweep_rows(kernel, plan, place, false, plan->weight_count ? weights : NULL);
    if (units)
        score_weights_bind(kernel, plan, place, pairs);
    for (int way = 0; at_once && next_way(kernel, reader, &ways, way); way++)
        score_weights_pack(kernel, plan, place, NULL, pairs);
    if (units && !at_once)
        score_weights_pack(kernel, plan, place, weights, pairs);
    score_weights_multiply(kernel, plan, place, weights, pairs, SCORE_BY_ROW | SCORE_BY_COLUMN);
}

void score_tile_emit(lower_kernel *kernel, const score_plan *plan, const score_place *place) {
    kir_reg power[2];
    score_reader reader = {.plan = plan, .place = place, .power = power};
    size_t ids = (size_t)plan->context->source->next_id;
    reader.known = arena_alloc(plan->context->memory, 2 * ids * sizeof *reader.known);
    int64_t elements = (goes_in_strips(plan, place) ? SCORE_STRIP : plan->tile_rows) * plan->tile_stride;
    int weights[SCORE_MAX_RESULTS] = {0};
    bool kept = plan->kept >= 0, stored = !score_on_units(plan) || reduces_rows(plan);
    for (int i = 0; i < plan->product_count; i++)
        reader.tiles[i] = kept ? kept_tiles(kernel, plan) : lower_scratch(kernel, "scores", elements);
    reader.origin = kept ? kept_origin(plan, place) : kir_at(0);
    /* Weights take the place of the products, which nothing reads after them. */
    for (int i = 0; i < plan->weight_count && stored; i++)
        weights[i] = i < plan->product_count && !kept ? reader.tiles[i] : lower_scratch(kernel, "weights", elements);
    kernel->scores = &reader;
    emit_scores(kernel, plan, place, weights, &reader);
    kernel->scores = NULL;
}
