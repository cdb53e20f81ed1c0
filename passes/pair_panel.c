#include "passes/pair_panel.h"

#include "passes/register_tile.h"

#include <assert.h>

enum { NEAR_BYTES = 32 << 10 }; /* of right operands that stay in the first cache beside those of one tile of rows */

int pair_tile_size(int64_t count) {
    int size = count < PAIR_UNIT ? (int)count : PAIR_UNIT;
    while (count % size != 0)
        size--;
    return size;
}

pair_tile pair_tile_for(int64_t rows, int64_t columns, int64_t pairs) {
    return (pair_tile){pair_tile_size(rows), pair_tile_size(columns), pair_tile_size(pairs)};
}

int64_t pair_panel_columns(const kir_target *target, int64_t columns) {
    return target->matrix_units ? PAIR_UNIT_PANEL * pair_tile_size(columns)
                                : (int64_t)tile_vectors_for(target, columns) * target->lanes;
}

int64_t pair_panel_rows(const kir_target *target, int64_t rows, int64_t columns) {
    if (!target->matrix_units)
        return tile_even_size(rows, tile_rows_for(target, tile_vectors_for(target, columns)));
    int64_t tile = pair_tile_size(rows);
    return rows % (PAIR_UNIT_PANEL * tile) == 0 ? PAIR_UNIT_PANEL * tile : tile;
}

/* ---- splitting ----------------------------------------------------------------------------------------------------
 */

static kir_type words_of(const kir_builder *builder, kir_reg x) {
    return kir_vector_type(KIR_I32, builder->kernel->registers[x].lanes);
}

kir_reg pair_rounded_bits(const kir_builder *builder, kir_reg x) {
    kir_type words = words_of(builder, x);
    return kir_op2(builder, KIR_add, kir_op1(builder, KIR_bitcast, x), kir_number(builder, words, 1 << 15));
}

kir_reg pair_upper_half(const kir_builder *builder, kir_reg bits) {
    return kir_op2(builder, KIR_and, bits, kir_number(builder, words_of(builder, bits), -65536));
}

/* a less what its bits, rounded, hold in their upper half. */
static kir_reg rest_of(const kir_builder *builder, kir_reg a, kir_reg rounded) {
    return kir_op2(builder, KIR_sub, a, kir_op1(builder, KIR_bitcast, pair_upper_half(builder, rounded)));
}

void pair_split(const kir_builder *builder, int parts, kir_reg a, kir_reg b, kir_reg out[PAIR_MOST_PARTS]) {
    if (parts == 1)
        out[0] = kir_op2(builder, KIR_pair, a, b);
    for (int part = 0; parts > 1 && part < parts; part++) {
        kir_reg low = pair_rounded_bits(builder, a), high = pair_rounded_bits(builder, b);
        out[part] = kir_op2(builder, KIR_pair_upper, low, high);
        if (part + 1 < parts) {
            a = rest_of(builder, a, low);
            b = rest_of(builder, b, high);
        }
    }
}

void pair_store_parts_apart(const kir_builder *builder, int parts, int to, kir_index at, int64_t stride, kir_reg a,
                            kir_reg b, int count, int64_t between) {
    kir_reg pairs[PAIR_MOST_PARTS];
    pair_split(builder, parts, a, b, pairs);
    for (int part = 0; part < parts; part++) {
        kir_store_strided(builder, to, at, pairs[part], count, between);
        at.base += stride;
    }
}

void pair_store_parts(const kir_builder *builder, int parts, int to, kir_index at, int64_t stride, kir_reg a, kir_reg b,
                      int count) {
    pair_store_parts_apart(builder, parts, to, at, stride, a, b, count, 1);
}

/* ---- the summations ------------------------------------------------------------------------------------------------
 */

/* One product of parts of a step: its operands, and which of them the product before has loaded. To hold an operand
 * of either side more often would take more than the matrix units' eight registers. */
typedef struct {
    kir_index left, right;
    bool same_left, same_right;
} part_product;

typedef void (*emit_product)(const kir_builder *builder, const pair_panel *panel, const part_product *product,
                             void *user);

static kir_index moved(kir_index index, int64_t by) {
    index.base += by;
    return index;
}

/* All products of parts of the pairs at left and right. */
static void emit_step(const kir_builder *builder, const pair_panel *panel, kir_index left, kir_index right,
                      emit_product emit, void *user) {
    int64_t left_part = panel->tiled ? PAIR_TILE : panel->left_part;
    int64_t right_part = panel->tiled ? PAIR_TILE : panel->right_part;
    for (int i = panel->parts - 1; i >= 0; i--)
        for (int j = 0; i + j < panel->parts; j++) {
            part_product product = {.left = moved(left, i * left_part),
                                    .right = moved(right, j * right_part),
                                    .same_left = j > 0,
                                    .same_right = j == 0 && i == panel->parts - 2};
            emit(builder, panel, &product, user);
        }
}

/* What is fetched in the step over pairs from `pair` on. */
static void emit_fetches(const kir_builder *builder, const pair_panel *panel, kir_reg pair) {
    for (int i = 0; i < panel->fetch_count; i++) {
        const pair_fetch *fetch = &panel->fetches[i];
        kir_index line = kir_plus(fetch->first, fetch->step, pair);
        kir_builder yes = *builder, no;
        if (fetch->wanted >= 0)
            kir_if(builder, fetch->wanted, &yes, &no);
        for (int l = 0; l < fetch->lines; l++, line.base += FETCH_LINE)
            kir_prefetch(&yes, fetch->argument, line);
    }
}

static void fetch_within(pair_panel *panel, fetch_loop loop) {
    for (int i = 0; i < panel->ahead_count; i++)
        fetch_ahead_within(&panel->ahead[i], loop);
}

/* What is fetched ahead, the loops over `sums` being in it, in the step over pairs from `pair` on. */
static void emit_ahead(const kir_builder *builder, pair_panel *panel, kir_reg pair, int64_t step) {
    assert(panel->ahead_count == 0 || panel->pairs.term_count == 0);
    fetch_within(panel, fetch_steps(pair, step, panel->pairs.base));
    for (int i = 0; i < panel->ahead_count; i++)
        fetch_ahead_emit(builder, &panel->ahead[i]);
}

/* All steps: loops over `sums`, then over pairs, `step` at a time. */
static void sum_pairs(kir_builder builder, const pair_panel *panel, int64_t step, emit_product emit, void *user) {
    kir_index left = panel->left_at, right = panel->right_at;
    pair_panel fetching = *panel;
    for (int i = 0; i < panel->sum_count; i++) {
        const pair_sum *sum = &panel->sums[i];
        if (sum->count == 1 && !sum->range)
            continue;
        kir_builder body;
        kir_index from = sum->range ? sum->range[0] : kir_at(0),
                  limit = sum->range ? sum->range[1] : kir_at(sum->count);
        kir_reg number = kir_loop(&builder, from, limit, 1, &body);
        left = kir_plus(left, sum->left_step, number);
        right = kir_plus(right, sum->right_step, number);
        fetch_within(&fetching, fetch_steps(number, 1, sum->count));
        builder = body;
    }
    if (panel->pairs.term_count == 0 && panel->pairs.base == 0)
        return;
    if (panel->beside)
        panel->beside(&builder, panel->user);
    kir_builder body;
    kir_reg pair = kir_loop(&builder, kir_at(0), panel->pairs, step, &body);
    int64_t tiles =
        panel->parts * PAIR_TILE / PAIR_UNIT; /* between pairs of whole tiles, of which all parts lie here */
    left = kir_plus(left, panel->tiled ? tiles : panel->left_pair, pair);
    right = kir_plus(right, panel->tiled ? tiles : panel->right_pair, pair);
    emit_fetches(&body, panel, pair);
    emit_ahead(&body, &fetching, pair, step);
    emit_step(&body, panel, left, right, emit, user);
}

/* ---- on vectors ----------------------------------------------------------------------------------------------------
 */

typedef struct {
    register_tile tile;
    kir_reg columns[TILE_MAX_VECTORS];
} vector_work;

static void dot_product(const kir_builder *builder, const pair_panel *panel, const part_product *product, void *user) {
    vector_work *work = user;
    const register_tile *tile = &work->tile;
    for (int v = 0; v < tile->vectors && !product->same_right; v++) {
        int present = v == tile->vectors - 1 ? tile->last_count : tile->lanes;
        kir_index at = moved(product->right, v * tile->lanes);
        work->columns[v] = kir_load(builder, panel->right, at, tile->lanes, present);
    }
    for (int r = 0; r < tile->rows; r++) {
        kir_reg scalar = kir_load(builder, panel->left, moved(product->left, r * panel->left_row), 1, 1);
        kir_reg pair = kir_splat(builder, scalar, tile->lanes);
        for (int v = 0; v < tile->vectors; v++)
            kir_into(builder, tile->sums[r][v], KIR_dot_pairs, pair, work->columns[v], tile->sums[r][v]);
    }
}

static void emit_on_vectors(const kir_builder *builder, const pair_panel *panel) {
    vector_work work = {.tile = tile_new(builder, panel->cpu, (int)panel->rows, panel->columns)};
    register_tile *tile = &work.tile;
    kir_index targets[TILE_MAX_ROWS];
    for (int r = 0; r < tile->rows; r++)
        targets[r] = moved(panel->target_at, r * panel->target_row);
    if (panel->fresh)
        tile_clear(builder, tile);
    else
        tile_load(builder, tile, panel->target, targets);
    sum_pairs(*builder, panel, 1, dot_product, &work);
    tile_store(builder, tile, panel->target, targets);
}

/* ---- on the matrix units -------------------------------------------------------------------------------------------
 */

typedef struct {
    int tiles[2];                 /* down and across */
    int size[2][PAIR_UNIT_PANEL]; /* rows and columns of each */
    kir_reg operands[2][PAIR_UNIT_PANEL];
    kir_reg sums[PAIR_UNIT_PANEL][PAIR_UNIT_PANEL];
} unit_tiles;

static void cut(int64_t count, int tile, int *tiles, int size[PAIR_UNIT_PANEL]) {
    for (*tiles = 0; count > 0; count -= tile)
        size[(*tiles)++] = (int)(count < tile ? count : tile);
}

/* Loads tile `i` of one side: 0 the left rows, 1 the right columns. */
static void load_operand(const kir_builder *builder, const pair_panel *panel, unit_tiles *work, int side, int i,
                         kir_index first) {
    const pair_tile *tile = &panel->tile;
    int size = work->size[side][i];
    kir_type type = side ? kir_tile_type(KIR_I32, tile->pairs, size) : kir_tile_type(KIR_I32, size, tile->pairs);
    int64_t right = panel->right_tile ? panel->right_tile : tile->columns;
    int64_t apart = side ? right : tile->rows * panel->left_row;
    int64_t stride = side ? panel->right_pair : panel->left_row;
    if (panel->tiled) {
        apart = side ? panel->right_tile : panel->left_tile;
        stride = PAIR_UNIT;
    }
    kir_index at = moved(first, i * apart);
    int argument = side ? panel->right : panel->left;
    work->operands[side][i] = panel->past[side] ? kir_tile_load_past(builder, argument, at, type, stride)
                                                : kir_tile_load(builder, argument, at, type, stride);
}

/* Left operands are loaded just before their first product, and rows of tiles go there and back, so that few tiles live
 * at a time: matrix units may have no register to spare for renaming. */
static void unit_product(const kir_builder *builder, const pair_panel *panel, const part_product *product, void *user) {
    unit_tiles *work = user;
    int columns = work->tiles[1];
    for (int c = 0; c < columns && !product->same_right; c++)
        load_operand(builder, panel, work, 1, c, product->right);
    for (int r = 0; r < work->tiles[0]; r++) {
        if (!product->same_left)
            load_operand(builder, panel, work, 0, r, product->left);
        for (int i = 0; i < columns; i++) {
            int c = r % 2 == 0 ? i : columns - 1 - i;
            kir_into(builder, work->sums[r][c], KIR_tile_multiply, work->operands[0][r], work->operands[1][c],
                     work->sums[r][c]);
        }
    }
}

static kir_index place_of_tile(const pair_panel *panel, int r, int c) {
    if (panel->target_down)
        return moved(panel->target_at, r * panel->target_down + c * panel->target_across);
    return moved(panel->target_at, r * panel->tile.rows * panel->target_row + c * panel->tile.columns);
}

static void begin_sums(const kir_builder *builder, const pair_panel *panel, unit_tiles *work) {
    for (int r = 0; r < work->tiles[0]; r++)
        for (int c = 0; c < work->tiles[1]; c++) {
            kir_index at = place_of_tile(panel, r, c);
            kir_type type = kir_tile_type(KIR_F32, work->size[0][r], work->size[1][c]);
            work->sums[r][c] = panel->fresh ? kir_tile_zero(builder, type)
                                            : kir_tile_load(builder, panel->target, at, type, panel->target_row);
        }
}

static void store_sums(const kir_builder *builder, const pair_panel *panel, const unit_tiles *work) {
    for (int r = 0; r < work->tiles[0]; r++)
        for (int c = 0; c < work->tiles[1]; c++)
            kir_tile_store(builder, panel->target, place_of_tile(panel, r, c), work->sums[r][c], panel->target_row);
}

static void emit_tiles(const kir_builder *builder, const pair_panel *panel) {
    unit_tiles work;
    cut(panel->rows, panel->tile.rows, &work.tiles[0], work.size[0]);
    cut(panel->columns, panel->tile.columns, &work.tiles[1], work.size[1]);
    begin_sums(builder, panel, &work);
    sum_pairs(*builder, panel, panel->tile.pairs, unit_product, &work);
    store_sums(builder, panel, &work);
}

/* Bytes of the right operands over the whole summation. */
static int64_t right_bytes(const pair_panel *panel) {
    int64_t pairs = panel->pairs.base;
    for (int i = 0; i < panel->sum_count; i++)
        pairs *= panel->sums[i].count;
    return pairs * panel->columns * panel->parts * 4;
}

/* Whether its rows of tiles are summed up one after the other: where numbers have several parts and the right operands
 * stay near, that costs nothing, and where a neighbour holds tiles, too, half as many of them leave room for renaming.
 */
static bool goes_by_rows(const pair_panel *panel) {
    return panel->parts > 1 && !panel->tiled && !panel->beside && panel->pairs.term_count == 0 &&
           panel->columns > panel->tile.columns && right_bytes(panel) <= NEAR_BYTES;
}

static void emit_on_units(const kir_builder *builder, const pair_panel *panel) {
    if (!goes_by_rows(panel)) {
        emit_tiles(builder, panel);
        return;
    }
    int64_t size = panel->tile.rows;
    for (int64_t first = 0; first < panel->rows; first += size) {
        pair_panel row = *panel;
        fetch_within(&row, fetch_blocks(kir_at(first), size, panel->rows));
        row.rows = panel->rows - first < size ? panel->rows - first : size;
        row.left_at = moved(panel->left_at, first * panel->left_row);
        row.target_at = moved(panel->target_at, first * panel->target_row);
        emit_tiles(builder, &row);
    }
}

void pair_panel_copy(const kir_builder *builder, const pair_panel *panel, int sums, kir_index from, kir_index first,
                     kir_index limit) {
    int lanes = panel->cpu->lanes;
    kir_builder body;
    kir_reg row = kir_loop(builder, first, limit, 1, &body);
    for (int64_t column = 0; column < panel->columns; column += lanes) {
        int count = (int)(panel->columns - column < lanes ? panel->columns - column : lanes);
        kir_index to = kir_plus(moved(panel->target_at, column), panel->target_row, row);
        kir_reg values = kir_load(&body, sums, kir_plus(moved(from, column), panel->columns, row), lanes, count);
        kir_store_f32(&body, panel->target, to, values, count);
    }
}

void pair_panel_emit(const kir_builder *builder, const pair_panel *panel) {
    if (panel->cpu->matrix_units)
        emit_on_units(builder, panel);
    else
        emit_on_vectors(builder, panel);
}
