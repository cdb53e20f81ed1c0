#include "passes/score_unit_operands.h"

#include "passes/register_tile.h"
#include "passes/score_units.h"
#include "passes/transpose.h"

static int64_t tiles_of(int64_t count) {
    return (count + PAIR_UNIT - 1) / PAIR_UNIT;
}

int64_t score_unit_blocks(int64_t count) {
    return (count + SCORE_UNIT_BLOCK - 1) / SCORE_UNIT_BLOCK;
}

/* ---- before all tiles
 * ------------------------------------------------------------------------------------------------
 */

/* One matrix [count, length] on its way into tiles. */
typedef struct {
    const score_plan *plan;
    int from, to;           /* arguments */
    int64_t length, blocks; /* blocks along the sum */
    int64_t vectors;        /* that exist in this launch's group of 16 or 32 */
    kir_index group;
} packing;

static int at_most(int64_t count, int most) {
    return count < 0 ? 0 : count < most ? (int)count : most;
}

/* `count` numbers from `at` on, `stride` apart, the other lanes 0. */
static kir_reg numbers_at(const kir_builder *builder, int from, kir_index at, int count, int64_t stride) {
    if (count <= 0)
        return kir_number(builder, kir_vector_type(KIR_F32, PAIR_UNIT), 0);
    return stride == 1 ? kir_load(builder, from, at, PAIR_UNIT, count)
                       : kir_load_strided(builder, from, at, PAIR_UNIT, count, stride);
}

/* One row of a tile: pairs of numbers at `first` and `apart` further. */
static void pack_row(const kir_builder *builder, const packing *work, kir_index to, kir_index first, int64_t apart,
                     int count, int count_apart, int64_t stride) {
    kir_reg a = numbers_at(builder, work->from, first, count, stride);
    first.base += apart;
    kir_reg b = numbers_at(builder, work->from, first, count_apart, stride);
    pair_store_parts(builder, work->plan->parts, work->to, to, PAIR_TILE, a, b, PAIR_UNIT);
}

/* Index of tile [tile][block], in elements. */
static kir_index tile_at(const packing *work, kir_index tile, kir_index block) {
    int64_t each = work->plan->parts * PAIR_TILE;
    return kir_plus_index(kir_plus_index(kir_at(0), work->blocks * each, tile), each, block);
}

/* Rows from .. to - 1 of a tile, each with pairs of `count` and `count_apart` numbers. */
static void pack_rows(const kir_builder *builder, const packing *work, kir_index tile, kir_index source, int64_t row,
                      int64_t from, int64_t to, int64_t apart, int count, int count_apart, int64_t stride) {
    if (from >= to)
        return;
    kir_builder body;
    kir_reg r = kir_loop(builder, kir_at(from), kir_at(to), 1, &body);
    pack_row(&body, work, kir_plus(tile, PAIR_UNIT, r), kir_plus(source, row, r), apart, count, count_apart, stride);
}

/* A tile of pairs along vectors, of which elements from block * SCORE_UNIT_BLOCK on are the first: [vector][pair] or, a
 * right operand, [pair][vector]. */
static void pack_along(const kir_builder *builder, const packing *work, kir_index block, int64_t elements, bool right) {
    kir_index tile = tile_at(work, work->group, block);
    kir_index source =
        kir_plus_index(kir_plus_index(kir_at(0), PAIR_UNIT * work->length, work->group), SCORE_UNIT_BLOCK, block);
    int first = at_most(elements, PAIR_UNIT), second = at_most(elements - PAIR_UNIT, PAIR_UNIT);
    int vectors = (int)work->vectors;
    if (!right) {
        pack_rows(builder, work, tile, source, work->length, 0, vectors, PAIR_UNIT, first, second, 1);
        pack_rows(builder, work, tile, source, work->length, vectors, PAIR_UNIT, PAIR_UNIT, 0, 0, 1);
        return;
    }
    pack_rows(builder, work, tile, source, 1, 0, second, PAIR_UNIT, vectors, vectors, work->length);
    pack_rows(builder, work, tile, source, 1, second, first, PAIR_UNIT, vectors, 0, work->length);
    pack_rows(builder, work, tile, source, 1, first, PAIR_UNIT, PAIR_UNIT, 0, 0, work->length);
}

/* A tile of pairs of vectors, of their elements tile * PAIR_UNIT and following: [pair][element] or, a left operand,
 * [element][pair]. */
static void pack_across(const kir_builder *builder, const packing *work, kir_index tile, int64_t elements, bool left) {
    kir_index to = tile_at(work, tile, work->group);
    kir_index source =
        kir_plus_index(kir_plus_index(kir_at(0), SCORE_UNIT_BLOCK * work->length, work->group), PAIR_UNIT, tile);
    int first = at_most(work->vectors, PAIR_UNIT), second = at_most(work->vectors - PAIR_UNIT, PAIR_UNIT);
    int64_t apart = PAIR_UNIT * work->length;
    int count = at_most(elements, PAIR_UNIT);
    if (left) {
        pack_rows(builder, work, to, source, 1, 0, count, apart, first, second, work->length);
        pack_rows(builder, work, to, source, 1, count, PAIR_UNIT, apart, 0, 0, work->length);
        return;
    }
    pack_rows(builder, work, to, source, work->length, 0, second, apart, count, count, 1);
    pack_rows(builder, work, to, source, work->length, second, first, apart, count, 0, 1);
    pack_rows(builder, work, to, source, work->length, first, PAIR_UNIT, apart, 0, 0, 1);
}

typedef void (*pack_tile)(const kir_builder *builder, const packing *work, kir_index tile, int64_t elements,
                          bool turned);

/* A group of vectors: tiles of `unit` elements, the last one of what is left. */
static void launch_packing(packing work, const ir_value *vectors, int from, int to, int64_t first, int64_t groups,
                           int64_t unit, pack_tile pack, bool turned) {
    if (groups == 0 || work.vectors == 0)
        return;
    lower_kernel kernel = lower_kernel_begin(work.plan->context, "pair_tiles", vectors);
    work.from = lower_argument(&kernel, from, false);
    work.to = lower_argument(&kernel, to, true);
    work.group = kir_plus(kir_at(first), 1, 0);
    int64_t whole = work.length / unit;
    if (whole > 0) {
        kir_builder body;
        kir_reg tile = kir_loop(&kernel.builder, kir_at(0), kir_at(whole), 1, &body);
        pack(&body, &work, kir_plus(kir_at(0), 1, tile), unit, turned);
    }
    if (whole * unit < work.length)
        pack(&kernel.builder, &work, kir_at(whole), work.length - whole * unit, turned);
    lower_kernel_launch(&kernel, groups);
}

/* All groups of `each` vectors. */
static int packed(packing work, const ir_value *vectors, int64_t elements, int64_t each, int64_t unit, pack_tile pack,
                  bool turned) {
    lower_context *context = work.plan->context;
    int64_t count = vectors->type.dims[0], whole = count / each;
    int from = lower_buffer_in_layout(context, vectors, ir_layout_identity());
    int to = lower_temporary(context, "pair_tiles", KIR_I32, elements, vectors->span);
    work.vectors = each;
    launch_packing(work, vectors, from, to, 0, whole, unit, pack, turned);
    work.vectors = count - whole * each;
    launch_packing(work, vectors, from, to, whole, 1, unit, pack, turned);
    return to;
}

int score_unit_vectors(const score_plan *plan, const ir_value *vectors, bool right) {
    packing work = {.plan = plan, .length = vectors->type.dims[1]};
    work.blocks = score_unit_blocks(work.length);
    /* Panels take two tiles of vectors, whether the second exists or not. */
    int64_t tiles = 2 * score_unit_blocks(vectors->type.dims[0]);
    return packed(work, vectors, tiles * work.blocks * plan->parts * PAIR_TILE, PAIR_UNIT, SCORE_UNIT_BLOCK, pack_along,
                  right);
}

int score_unit_pairs(const score_plan *plan, const ir_value *vectors, bool by_row) {
    packing work = {.plan = plan, .length = vectors->type.dims[1]};
    work.blocks = score_unit_blocks(vectors->type.dims[0]);
    int64_t tiles = tiles_of(work.length);
    return packed(work, vectors, tiles * work.blocks * plan->parts * PAIR_TILE, SCORE_UNIT_BLOCK, PAIR_UNIT,
                  pack_across, !by_row);
}

/* ---- by the tile that reads them
 * --------------------------------------------------------------------------------------
 */

bool score_unit_rows_once(const score_plan *plan) {
    bool once = score_on_units(plan) && plan->chunks && plan->fresh_rows;
    for (int i = 0; i < plan->product_count; i++)
        once &= plan->products[i].length % SCORE_UNIT_BLOCK == 0;
    for (int i = 0; i < plan->output_count; i++)
        once &= plan->outputs[i].kind != SCORE_MULTIPLY || plan->outputs[i].length % PAIR_UNIT == 0;
    return once;
}

/* How many of `size` rows from `row` of the tile on exist. */
static kir_index rows_from(const kir_builder *builder, const score_plan *plan, const score_place *place, kir_reg row,
                           int size) {
    if (plan->rows % size == 0)
        return kir_at(size);
    kir_reg left = kir_value(builder, kir_plus(place->row_end, -1, row));
    return kir_plus(kir_at(0), 1, kir_op2(builder, KIR_min, left, kir_value(builder, kir_at(size))));
}

void score_unit_pack_rows(const kir_builder *builder, const score_plan *plan, const score_place *place,
                          const score_unit_rows *rows, kir_index first, int64_t count) {
    kir_builder over_tiles, over_rows, body;
    kir_reg tile = kir_loop(builder, kir_at(0), place->row_end, PAIR_UNIT, &over_tiles);
    kir_index end = rows_from(&over_tiles, plan, place, tile, PAIR_UNIT);
    kir_reg row = kir_loop(&over_tiles, kir_at(0), end, 1, &over_rows);
    kir_reg block = kir_loop(&over_rows, kir_at(0), kir_at(count), 1, &body);
    kir_index vector = kir_plus(kir_plus(place->row, 1, tile), 1, row);
    kir_index from = kir_plus_index(kir_plus_index(kir_at(0), rows->length, vector), SCORE_UNIT_BLOCK, first);
    from = kir_plus(from, SCORE_UNIT_BLOCK, block);
    kir_index to = kir_plus(kir_plus(kir_at(0), rows->to_row, tile), PAIR_UNIT, row);
    to = kir_plus(to, plan->parts * PAIR_TILE, block);
    kir_reg a = kir_load(&body, rows->from, from, PAIR_UNIT, PAIR_UNIT);
    from.base += PAIR_UNIT;
    kir_reg b = kir_load(&body, rows->from, from, PAIR_UNIT, PAIR_UNIT);
    pair_store_parts(&body, plan->parts, rows->to, to, PAIR_TILE, a, b, PAIR_UNIT);
}

/* PAIR_UNIT elements of a row. What is beyond the last row is multiplied by 0, and has to be finite: the last once
 * more.
 */
static kir_reg load_row(const kir_builder *builder, const score_plan *plan, const score_unit_rows *rows, kir_index row,
                        kir_index element) {
    if (plan->rows % SCORE_UNIT_BLOCK != 0) {
        kir_reg last = kir_value(builder, kir_at(plan->rows - 1));
        row = kir_plus(kir_at(0), 1, kir_op2(builder, KIR_min, kir_value(builder, row), last));
    }
    return kir_load(builder, rows->from, kir_plus_index(kir_plus_index(kir_at(0), rows->length, row), 1, element),
                    PAIR_UNIT, PAIR_UNIT);
}

/* One tile of elements with one block of rows: pairs of rows are made, and turned in registers. */
static void pack_square(const kir_builder *builder, const score_plan *plan, const score_unit_rows *rows, kir_index row,
                        kir_index element, kir_index to) {
    kir_reg parts[PAIR_MOST_PARTS], pairs[PAIR_MOST_PARTS][PAIR_UNIT];
    for (int r = 0; r < PAIR_UNIT; r++) {
        kir_index other = row;
        other.base += PAIR_UNIT;
        kir_reg a = load_row(builder, plan, rows, row, element);
        kir_reg b = load_row(builder, plan, rows, other, element);
        pair_split(builder, plan->parts, a, b, parts);
        for (int part = 0; part < plan->parts; part++)
            pairs[part][r] = parts[part];
        row.base++;
    }
    for (int part = 0; part < plan->parts; part++) {
        transpose_vectors(builder, pairs[part], PAIR_UNIT);
        for (int e = 0; e < PAIR_UNIT; e++, to.base += PAIR_UNIT)
            kir_store(builder, rows->to, to, pairs[part][e], PAIR_UNIT);
    }
}

void score_unit_pack_elements(const kir_builder *builder, const score_plan *plan, const score_place *place,
                              const score_unit_rows *rows, kir_index first, int64_t count) {
    kir_builder body;
    kir_reg block = kir_loop(builder, kir_at(0), place->row_end, SCORE_UNIT_BLOCK, &body);
    for (int64_t element = 0; element < count; element += PAIR_UNIT) {
        kir_index to = kir_plus(kir_at(element * rows->to_row), plan->parts * PAIR_TILE / SCORE_UNIT_BLOCK, block);
        kir_index from = first;
        from.base += element;
        pack_square(&body, plan, rows, kir_plus(place->row, 1, block), from, to);
    }
}
