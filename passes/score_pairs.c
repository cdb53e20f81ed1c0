#include "passes/score_pairs.h"

#include "passes/pair_panel.h"
#include "passes/register_tile.h"

static kir_type words(int lanes) {
    return kir_vector_type(KIR_I32, lanes);
}

static int64_t pairs_along(int64_t length) {
    return (length + 1) / 2;
}

static kir_reg zeros(const kir_builder *builder, int lanes) {
    return kir_number(builder, kir_vector_type(KIR_F32, lanes), 0);
}

/* ---- operands of products ------------------------------------------------------------------------------------------
 */

typedef struct {
    const score_plan *plan;
    int from, to; /* arguments */
    int64_t length, pairs;
    int64_t to_row; /* between pairs of vectors */
    int64_t stride; /* between parts */
    kir_reg row;
} packing;

static void pack_row_block(kir_builder *builder, kir_index first, int64_t count, void *user) {
    const packing *work = user;
    int lanes = work->plan->lanes;
    kir_index source = kir_plus_index(kir_plus(kir_at(0), work->length, work->row), 2, first), next = source;
    next.base++;
    kir_reg a = kir_load_strided(builder, work->from, source, lanes, (int)count, 2);
    kir_reg b = kir_load_strided(builder, work->from, next, lanes, (int)count, 2);
    kir_index target = kir_plus_index(kir_plus(kir_at(0), work->pairs, work->row), 1, first);
    pair_store_parts(builder, work->plan->parts, work->to, target, work->stride, a, b, (int)count);
}

/* Pairs that have no second element, or none at all. */
static void pack_row_rest(const kir_builder *builder, const packing *work) {
    for (int64_t pair = work->length / 2; pair < work->pairs; pair++) {
        kir_index source = kir_plus(kir_at(2 * pair), work->length, work->row);
        kir_reg none = zeros(builder, 1);
        kir_reg a = 2 * pair < work->length ? kir_load(builder, work->from, source, 1, 1) : none;
        kir_index target = kir_plus(kir_at(pair), work->pairs, work->row);
        pair_store_parts(builder, work->plan->parts, work->to, target, work->stride, a, none, 1);
    }
}

int score_pairs_rows(const score_plan *plan, const ir_value *vectors) {
    lower_context *context = plan->context;
    int64_t rows = vectors->type.dims[0], padded = score_rounded_up(rows, plan->panel_rows);
    packing work = {.plan = plan, .length = vectors->type.dims[1]};
    work.pairs = pairs_along(work.length);
    work.stride = padded * work.pairs;
    int from = lower_buffer_in_layout(context, vectors, ir_layout_identity());
    int to = lower_temporary(context, "row_pairs", KIR_I32, plan->parts * work.stride, vectors->span);
    lower_kernel kernel = lower_kernel_begin(context, "pair_rows", vectors);
    work.from = lower_argument(&kernel, from, false);
    work.to = lower_argument(&kernel, to, true);
    work.row = 0;
    tile_blocks(&kernel.builder, work.length / 2, plan->lanes, pack_row_block, &work);
    pack_row_rest(&kernel.builder, &work);
    lower_kernel_launch(&kernel, rows);
    return to;
}

/* One pair of elements of a panel's vectors; `elements` of the two exist. */
static void pack_column_pair(const kir_builder *builder, const packing *work, kir_index panel, kir_index pair,
                             int elements, int present) {
    const score_plan *plan = work->plan;
    for (int first = 0; first < plan->panel_columns; first += plan->lanes) {
        int count = present - first < plan->lanes ? present - first : plan->lanes;
        kir_index source = kir_plus_index(kir_at(first * work->length), plan->panel_columns * work->length, panel);
        source = kir_plus_index(source, 2, pair);
        kir_reg numbers[2];
        for (int i = 0; i < 2; i++) {
            numbers[i] = i >= elements || count <= 0
                             ? zeros(builder, plan->lanes)
                             : kir_load_strided(builder, work->from, source, plan->lanes, count, work->length);
            source.base++;
        }
        kir_index target = kir_plus_index(kir_at(first), plan->panel_columns * work->pairs, panel);
        target = kir_plus_index(target, plan->panel_columns, pair);
        pair_store_parts(builder, plan->parts, work->to, target, work->stride, numbers[0], numbers[1], plan->lanes);
    }
}

static void launch_columns(packing work, const ir_value *vectors, int from, int to, int64_t first, int64_t panels,
                           int present) {
    if (panels == 0)
        return;
    lower_kernel kernel = lower_kernel_begin(work.plan->context, "pair_columns", vectors);
    work.from = lower_argument(&kernel, from, false);
    work.to = lower_argument(&kernel, to, true);
    kir_index panel = kir_plus(kir_at(first), 1, 0);
    kir_builder body;
    if (work.length > 1) {
        kir_reg pair = kir_loop(&kernel.builder, kir_at(0), kir_at(work.length / 2), 1, &body);
        pack_column_pair(&body, &work, panel, kir_plus(kir_at(0), 1, pair), 2, present);
    }
    for (int64_t pair = work.length / 2; pair < work.pairs; pair++)
        pack_column_pair(&kernel.builder, &work, panel, kir_at(pair), 2 * pair < work.length, present);
    lower_kernel_launch(&kernel, panels);
}

int score_pairs_columns(const score_plan *plan, const ir_value *vectors) {
    int64_t count = vectors->type.dims[0], whole = count / plan->panel_columns;
    packing work = {.plan = plan, .length = vectors->type.dims[1]};
    work.pairs = pairs_along(work.length);
    work.stride = score_rounded_up(count, plan->panel_columns) * work.pairs;
    int from = lower_buffer_in_layout(plan->context, vectors, ir_layout_identity());
    int to = lower_temporary(plan->context, "column_pairs", KIR_I32, plan->parts * work.stride, vectors->span);
    launch_columns(work, vectors, from, to, 0, whole, plan->panel_columns);
    launch_columns(work, vectors, from, to, whole, whole * plan->panel_columns < count,
                   (int)(count - whole * plan->panel_columns));
    return to;
}

/* ---- what scores are multiplied by ---------------------------------------------------------------------------------
 */

static int64_t pairs_of_vectors(const score_plan *plan, int64_t count) {
    return score_rounded_up(count, 2 * plan->lanes) / 2;
}

typedef struct {
    packing base;
    kir_index pair, first; /* the pair's number, and its first vector */
    int present;           /* of its two vectors */
} vector_packing;

static void pack_vector_block(kir_builder *builder, kir_index first, int64_t count, void *user) {
    const vector_packing *work = user;
    const packing *base = &work->base;
    int lanes = base->plan->lanes;
    kir_reg numbers[2];
    kir_index source = kir_plus_index(kir_plus_index(kir_at(0), base->length, work->first), 1, first);
    for (int i = 0; i < 2; i++) {
        numbers[i] =
            i < work->present ? kir_load(builder, base->from, source, lanes, (int)count) : zeros(builder, lanes);
        source.base += lanes * base->length;
    }
    kir_index target = kir_plus_index(kir_plus_index(kir_at(0), base->to_row, work->pair), 1, first);
    pair_store_parts(builder, base->plan->parts, base->to, target, base->stride, numbers[0], numbers[1], (int)count);
}

/* Pairs from .. to of a block, of which `present` vectors exist. */
static void pack_vector_range(kir_builder *builder, vector_packing work, kir_index block, int64_t from, int64_t to,
                              int present) {
    if (from >= to)
        return;
    kir_builder body;
    int lanes = work.base.plan->lanes;
    kir_reg number = kir_loop(builder, kir_at(from), kir_at(to), 1, &body);
    work.pair = kir_plus(kir_plus_index(kir_at(0), lanes, block), 1, number);
    work.first = kir_plus(kir_plus_index(kir_at(0), 2 * lanes, block), 1, number);
    work.present = present;
    tile_blocks(&body, work.base.length, lanes, pack_vector_block, &work);
}

/* Blocks of 2 * lanes vectors, of which `present` exist. */
static void launch_vectors(packing base, const ir_value *vectors, int from, int to, int64_t first, int64_t blocks,
                           int64_t present) {
    if (blocks == 0)
        return;
    int64_t lanes = base.plan->lanes, second = present > lanes ? present - lanes : 0;
    lower_kernel kernel = lower_kernel_begin(base.plan->context, "pair_vectors", vectors);
    vector_packing work = {.base = base};
    work.base.from = lower_argument(&kernel, from, false);
    work.base.to = lower_argument(&kernel, to, true);
    kir_index block = kir_plus(kir_at(first), 1, 0);
    int64_t single = present < lanes ? present : lanes;
    pack_vector_range(&kernel.builder, work, block, 0, second, 2);
    pack_vector_range(&kernel.builder, work, block, second, single, 1);
    pack_vector_range(&kernel.builder, work, block, single, lanes, 0);
    lower_kernel_launch(&kernel, blocks);
}

int score_pairs_vectors(const score_plan *plan, const ir_value *vectors) {
    int64_t count = vectors->type.dims[0], size = 2 * plan->lanes, whole = count / size;
    packing work = {.plan = plan, .length = vectors->type.dims[1]};
    work.to_row = work.length;
    work.stride = pairs_of_vectors(plan, count) * work.to_row;
    int from = lower_buffer_in_layout(plan->context, vectors, ir_layout_identity());
    int to = lower_temporary(plan->context, "vector_pairs", KIR_I32, plan->parts * work.stride, vectors->span);
    launch_vectors(work, vectors, from, to, 0, whole, size);
    launch_vectors(work, vectors, from, to, whole, whole * size < count, count - whole * size);
    return to;
}

/* ---- products of vectors -------------------------------------------------------------------------------------------
 */

void score_pairs_product(lower_kernel *kernel, const score_plan *plan, const score_place *place, int number) {
    const score_product *product = &plan->products[number];
    int64_t pairs = pairs_along(product->length);
    kir_builder over_rows, over_columns;
    pair_panel work = {.cpu = &plan->context->pass->target,
                       .parts = plan->parts,
                       .fresh = true,
                       .rows = plan->panel_rows,
                       .columns = plan->panel_columns};
    work.left = lower_argument(kernel, product->left, false);
    work.right = lower_argument(kernel, product->packed, false);
    work.target = kernel->scores->tiles[number];
    work.left_row = pairs;
    work.left_pair = 1;
    work.left_part = score_rounded_up(plan->rows, plan->panel_rows) * pairs;
    work.right_pair = plan->panel_columns;
    work.right_part = score_rounded_up(plan->columns, plan->panel_columns) * pairs;
    work.target_row = plan->tile_stride;
    work.pairs = kir_at(pairs);
    kir_reg column = kir_loop(&kernel->builder, kir_at(0), place->column_end, plan->panel_columns, &over_columns);
    kir_reg row = kir_loop(&over_columns, kir_at(0), place->row_end, plan->panel_rows, &over_rows);
    work.left_at = kir_plus_index(kir_at(0), pairs, kir_plus(place->row, 1, row));
    work.right_at = kir_plus_index(kir_at(0), pairs, kir_plus(place->column, 1, column));
    work.target_at = kir_plus(kir_plus(kernel->scores->origin, plan->tile_stride, row), 1, column);
    pair_panel_emit(&over_rows, &work);
}

/* ---- weights -------------------------------------------------------------------------------------------------------
 */

/* A tile of weights in pairs along the sum. */
typedef struct {
    const score_plan *plan;
    int weights, pairs; /* arguments */
    kir_index row_end, column_end;
    int64_t stride; /* between rows of pairs */
    int64_t part;   /* between parts */
} weight_pairs;

static kir_reg as_i32(const kir_builder *builder, kir_index index, int lanes) {
    return kir_splat(builder, kir_convert(builder, kir_value(builder, index), KIR_I32), lanes);
}

/* The weight where `at` + `step` * lane < end, else 0. */
static kir_reg inside(const kir_builder *builder, kir_reg weight, kir_index at, int step, kir_index end) {
    int lanes = builder->kernel->registers[weight].lanes;
    kir_reg number = as_i32(builder, at, lanes);
    if (step && lanes > 1)
        number = kir_op2(builder, KIR_add, number, kir_iota(builder, words(lanes)));
    kir_reg holds = kir_op2(builder, KIR_less, number, as_i32(builder, end, lanes));
    return kir_op3(builder, KIR_select, holds, weight, zeros(builder, lanes));
}

static kir_index weight_at(const score_plan *plan, kir_index row, kir_index column) {
    return kir_plus_index(kir_plus_index(kir_at(0), plan->tile_stride, row), 1, column);
}

/* [row][pair of columns] */
static void pair_columns(const kir_builder *builder, const weight_pairs *work) {
    const score_plan *plan = work->plan;
    int lanes = plan->lanes;
    kir_builder over_rows, body;
    kir_index row = kir_plus(kir_at(0), 1, kir_loop(builder, kir_at(0), work->row_end, 1, &over_rows));
    kir_reg column = kir_loop(&over_rows, kir_at(0), work->column_end, 2 * lanes, &body);
    kir_reg numbers[2];
    for (int i = 0; i < 2; i++) {
        kir_index at = kir_plus(kir_at(i * lanes), 1, column);
        numbers[i] = kir_load(&body, work->weights, weight_at(plan, row, at), lanes, lanes);
        if (plan->columns % (2 * lanes) != 0)
            numbers[i] = inside(&body, numbers[i], at, 1, work->column_end);
    }
    /* Pairs have half the columns' numbers: whole blocks, so that the half is exact. */
    kir_reg pair = kir_op2(&body, KIR_div, column, kir_value(&body, kir_at(2)));
    kir_index target = kir_plus(kir_plus_index(kir_at(0), work->stride, row), 1, pair);
    pair_store_parts(&body, plan->parts, work->pairs, target, work->part, numbers[0], numbers[1], lanes);
}

/* [pair of rows][column] */
static void pair_rows(const kir_builder *builder, const weight_pairs *work) {
    const score_plan *plan = work->plan;
    int lanes = plan->lanes;
    kir_builder over_blocks, over_rows, body;
    kir_reg block = kir_loop(builder, kir_at(0), work->row_end, 2 * lanes, &over_blocks);
    kir_reg half = kir_op2(&over_blocks, KIR_div, block, kir_value(&over_blocks, kir_at(2)));
    kir_reg number = kir_loop(&over_blocks, kir_at(0), kir_at(lanes), 1, &over_rows);
    kir_index column = kir_plus(kir_at(0), 1, kir_loop(&over_rows, kir_at(0), work->column_end, lanes, &body));
    kir_reg numbers[2];
    for (int i = 0; i < 2; i++) {
        kir_index at = kir_plus(kir_plus(kir_at(i * lanes), 1, block), 1, number);
        numbers[i] = kir_load(&body, work->weights, weight_at(plan, at, column), lanes, lanes);
        if (plan->rows % (2 * lanes) != 0)
            numbers[i] = inside(&body, numbers[i], at, 0, work->row_end);
    }
    kir_index pair = kir_plus(kir_plus(kir_at(0), 1, half), 1, number);
    kir_index target = kir_plus_index(kir_plus_index(kir_at(0), work->stride, pair), 1, column);
    pair_store_parts(&body, plan->parts, work->pairs, target, work->part, numbers[0], numbers[1], lanes);
}

/* ---- weights x vectors ---------------------------------------------------------------------------------------------
 */

typedef struct {
    const score_plan *plan;
    pair_panel panel;
    int vectors; /* argument: all of them, in pairs */
    kir_index first_pair, targets, first_target;
    int64_t row, vector_row, vector_part;
} pair_multiplication;

/* How many pairs hold that many rows or columns: whole blocks. */
static kir_index pairs_of(const kir_builder *builder, kir_index count, int lanes) {
    if (count.term_count == 0)
        return kir_at(score_rounded_up(count.base, 2 * lanes) / 2);
    count.base += 2 * lanes - 1;
    kir_reg size = kir_value(builder, kir_at(2 * lanes));
    return kir_plus(kir_at(0), lanes, kir_op2(builder, KIR_div, kir_value(builder, count), size));
}

/* A tile's first row or column is a multiple of its size, which is whole blocks. */
static kir_index halved(kir_index index) {
    index.base /= 2;
    for (int i = 0; i < index.term_count; i++)
        index.terms[i].coefficient /= 2;
    return index;
}

/* As in products without pairs: neighbours in scratch, where they crowd no cache sets. */
static void copy_block(const kir_builder *builder, const pair_multiplication *work, kir_index first, int64_t columns) {
    const score_plan *plan = work->plan;
    for (int part = 0; part < plan->parts; part++) {
        kir_builder body;
        kir_reg pair = kir_loop(builder, kir_at(0), work->panel.pairs, 1, &body);
        for (int64_t at = 0; at < columns; at += plan->lanes) {
            int count = (int)(columns - at < plan->lanes ? columns - at : plan->lanes);
            kir_index from = kir_plus_index(kir_at(part * work->vector_part + at), work->vector_row,
                                            kir_plus(work->first_pair, 1, pair));
            kir_index to = kir_plus(kir_at(part * work->panel.right_part + at), columns, pair);
            kir_reg pairs = kir_load(&body, work->vectors, kir_plus_index(from, 1, first), plan->lanes, count);
            kir_store(&body, work->panel.right, to, pairs, count);
        }
    }
}

static void emit_multiply(kir_builder *builder, kir_index first, int64_t columns, void *user) {
    const pair_multiplication *work = user;
    pair_panel panel = work->panel;
    panel.columns = columns;
    copy_block(builder, work, first, columns);
    panel.right_at = kir_at(0);
    panel.right_pair = columns;
    kir_builder body;
    kir_reg row = kir_loop(builder, kir_at(0), work->targets, panel.rows, &body);
    panel.left_at = kir_plus(kir_at(0), panel.left_row, row);
    panel.target_at = kir_plus_index(kir_at(0), work->row, kir_plus(work->first_target, 1, row));
    panel.target_at = kir_plus_index(panel.target_at, 1, first);
    pair_panel_emit(&body, &panel);
}

/* Brings the tile of weights into pairs, and tells the panel where they are. */
static void pack_weights(lower_kernel *kernel, const score_place *place, pair_multiplication *work, int weights,
                         bool by_row) {
    const score_plan *plan = work->plan;
    weight_pairs pack = {.plan = plan, .weights = weights, .row_end = place->row_end, .column_end = place->column_end};
    int64_t rows = by_row ? plan->tile_rows : plan->tile_rows / 2;
    /* A row more than needed lies between two, as in the tile (tile_stride). */
    pack.stride = (by_row ? plan->tile_columns / 2 : plan->tile_columns) + plan->lanes;
    pack.part = rows * pack.stride;
    pack.pairs =
        kir_scratch_add(plan->context->memory, kernel->kernel, "weight_pairs", KIR_I32, plan->parts * pack.part);
    work->panel.left = pack.pairs;
    work->panel.left_part = pack.part;
    work->panel.left_row = by_row ? pack.stride : 1;
    work->panel.left_pair = by_row ? 1 : pack.stride;
    if (by_row)
        pair_columns(&kernel->builder, &pack);
    else
        pair_rows(&kernel->builder, &pack);
}

void score_pairs_multiply(lower_kernel *kernel, const score_plan *plan, const score_place *place,
                          const score_output *output, int weights, bool by_row) {
    pair_multiplication work = {.plan = plan, .row = output->row};
    pair_panel *panel = &work.panel;
    *panel = (pair_panel){
        .cpu = &plan->context->pass->target, .parts = plan->parts, .rows = plan->panel_rows, .target_row = output->row};
    panel->fresh = (by_row ? place->fresh_rows : place->fresh_columns).always;
    panel->target = lower_argument(kernel, output->total, true);
    if (!panel->fresh)
        lower_argument(kernel, output->total, false);
    work.vectors = lower_argument(kernel, output->vectors, false);
    work.vector_row = output->length;
    work.vector_part = pairs_of_vectors(plan, output->value->operands[1]->type.dims[0]) * work.vector_row;
    work.targets = by_row ? place->row_end : place->column_end;
    work.first_target = by_row ? place->row : kir_plus_index(place->column, 1, place->column_totals);
    work.first_pair = halved(by_row ? place->column : place->row);
    panel->pairs = pairs_of(&kernel->builder, by_row ? place->column_end : place->row_end, plan->lanes);
    pack_weights(kernel, place, &work, weights, by_row);
    int64_t block = pair_panel_columns(panel->cpu, work.row);
    panel->right_part = (by_row ? plan->tile_columns : plan->tile_rows) / 2 * block;
    panel->right =
        kir_scratch_add(plan->context->memory, kernel->kernel, "vectors", KIR_I32, plan->parts * panel->right_part);
    kir_builder outer = kernel->builder;
    tile_blocks(&outer, work.row, block, emit_multiply, &work);
    kernel->builder = outer;
}
