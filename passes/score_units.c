#include "passes/score_units.h"

#include "passes/register_tile.h"
#include "passes/score_unit_operands.h"

enum {
    SLICE_BYTES = 256 << 10, /* of a tile's left vectors */
    STRIP_BYTES = 32 << 10   /* of a strip's */
};

bool score_on_units(const score_plan *plan) {
    return plan->parts && plan->context->pass->target.matrix_units;
}

int64_t score_units_row(int64_t length) {
    return score_rounded_up(length, PAIR_UNIT);
}

static kir_reg zeros(const kir_builder *builder) {
    return kir_number(builder, kir_vector_type(KIR_F32, PAIR_UNIT), 0);
}

/* ---- products of vectors -------------------------------------------------------------------------------------------
 */

static pair_panel new_panel(const score_plan *plan) {
    return (pair_panel){.cpu = &plan->context->pass->target,
                        .tile = {PAIR_UNIT, PAIR_UNIT, PAIR_UNIT},
                        .tiled = true,
                        .parts = plan->parts,
                        .rows = SCORE_UNIT_BLOCK,
                        .columns = SCORE_UNIT_BLOCK};
}

/* Blocks of the vectors that are multiplied at once: what a tile reads of them again and again stays in the cache. */
static int64_t slice_of(const score_plan *plan, const score_place *place, int64_t blocks) {
    int64_t rows = place->in_strip ? SCORE_STRIP : plan->tile_rows;
    int64_t most = (place->in_strip ? STRIP_BYTES : SLICE_BYTES) / (rows * SCORE_UNIT_BLOCK * plan->parts * 2);
    int64_t slices = (blocks + most - 1) / most;
    return (blocks + slices - 1) / slices;
}

/* BOOL: whether it is the tile's first strip, or -1. */
static kir_reg first_strip(const kir_builder *builder, const score_place *place) {
    if (!place->in_strip)
        return -1;
    return kir_op2(builder, KIR_equal, kir_value(builder, place->strip), kir_value(builder, kir_at(0)));
}

/* A tile's product on its way. */
typedef struct {
    const score_plan *plan;
    const score_place *place;
    pair_panel panel;
    kir_index left, right, target; /* where the tile's first row, column and product are */
    kir_index first;               /* block of the vectors where slices begin */
    int64_t vector, left_vector;   /* elements of one in pairs */
    score_unit_rows rows;          /* where the tile brings its rows into pairs */
    kir_reg first_strip; /* BOOL: whether the columns' vectors pass by for the first time; -1 without strips */
} product_slices;

/* Two tiles of vectors of one side, which several tiles of the other meet one after the other, are fetched while those
 * before them do: `number` of `meetings` fetches its part of every tile of pairs. */
static void fetch_next_vectors(pair_panel *panel, int argument, kir_index first, int64_t tile, kir_reg number,
                               int64_t meetings) {
    int64_t step = panel->parts * PAIR_TILE, part = (step + meetings - 1) / meetings;
    int lines = (int)((part + FETCH_LINE - 1) / FETCH_LINE);
    for (int t = PAIR_UNIT_PANEL; t < 2 * PAIR_UNIT_PANEL; t++) {
        kir_index at = kir_plus(first, part / PAIR_UNIT, number);
        at.base += t * tile;
        panel->fetches[panel->fetch_count++] =
            (pair_fetch){.argument = argument, .first = at, .step = step / PAIR_UNIT, .lines = lines, .wanted = -1};
    }
}

/* The tile of vectors that follows after the next on the side of those that pass by; if `wanted`, where it is not -1.
 */
static void fetch_passing_vectors(pair_panel *panel, int argument, kir_index first, int64_t tile, kir_reg wanted) {
    int64_t step = panel->parts * PAIR_TILE;
    first.base += 2 * tile;
    panel->fetches[panel->fetch_count++] = (pair_fetch){.argument = argument,
                                                        .first = first,
                                                        .step = step / PAIR_UNIT,
                                                        .lines = (int)(step / FETCH_LINE),
                                                        .wanted = wanted};
}

/* Where the panel's first row and column are in the tile, and what it multiplies. */
static void place_panel(pair_panel *panel, const product_slices *work, kir_index first, int64_t count, kir_index row,
                        kir_index column) {
    int64_t block = work->plan->parts * PAIR_TILE;
    panel->left_at = kir_plus_index(kir_plus_index(work->left, block, first), work->left_vector, row);
    panel->right_at = kir_plus_index(kir_plus_index(work->right, block, first), work->vector, column);
    panel->target_at = kir_plus_index(kir_plus_index(work->target, work->plan->tile_stride, row), 1, column);
    panel->pairs = kir_at(count * PAIR_UNIT);
}

/* The sums over blocks first .. first + count - 1 of the vectors, of the tile's columns from .. to - 1. Two tiles of
 * columns stay in the first cache while those of rows pass by: those come from further away the first time. */
static void emit_columns(const kir_builder *builder, kir_index first, int64_t count, const product_slices *work,
                         kir_index from, kir_index to, bool first_time) {
    kir_builder over_rows, over_columns;
    pair_panel panel = work->panel;
    panel.rows = PAIR_UNIT;
    kir_reg column = kir_loop(builder, from, to, SCORE_UNIT_BLOCK, &over_columns);
    kir_reg row = kir_loop(&over_columns, kir_at(0), work->place->row_end, PAIR_UNIT, &over_rows);
    place_panel(&panel, work, first, count, kir_plus(kir_at(0), 1, row), kir_plus(kir_at(0), 1, column));
    fetch_next_vectors(&panel, panel.right, panel.right_at, panel.right_tile, row, work->plan->tile_rows / PAIR_UNIT);
    if (first_time && !work->plan->rows_once)
        fetch_passing_vectors(&panel, panel.left, panel.left_at, panel.left_tile, -1);
    pair_panel_emit(&over_rows, &panel);
}

/* Of a strip: its two tiles of rows stay in the first cache while those of columns pass by. */
static void emit_strip(kir_builder *builder, kir_index first, int64_t count, const product_slices *work) {
    kir_builder body;
    pair_panel panel = work->panel;
    panel.columns = PAIR_UNIT;
    kir_reg column = kir_loop(builder, kir_at(0), work->place->column_end, PAIR_UNIT, &body);
    place_panel(&panel, work, first, count, kir_at(0), kir_plus(kir_at(0), 1, column));
    if (!work->plan->rows_once)
        fetch_next_vectors(&panel, panel.left, panel.left_at, panel.left_tile, column,
                           work->plan->tile_columns / PAIR_UNIT);
    fetch_passing_vectors(&panel, panel.right, panel.right_at, panel.right_tile, work->first_strip);
    pair_panel_emit(&body, &panel);
}

static void emit_slice(kir_builder *builder, kir_index first, int64_t count, void *user) {
    product_slices slice = *(const product_slices *)user, *work = &slice;
    if (work->plan->rows_once) {
        score_unit_pack_rows(builder, work->plan, work->place, &work->rows, kir_plus_index(work->first, 1, first),
                             count);
        work->left = kir_plus_index(kir_at(0), -work->plan->parts * PAIR_TILE, first);
    }
    if (work->place->in_strip) {
        emit_strip(builder, first, count, work);
        return;
    }
    emit_columns(builder, first, count, work, kir_at(0), kir_at(SCORE_UNIT_BLOCK), true);
    if (work->plan->tile_columns > SCORE_UNIT_BLOCK)
        emit_columns(builder, first, count, work, kir_at(SCORE_UNIT_BLOCK), work->place->column_end, false);
}

/* Scratch for the tile's rows in pairs, or for elements of theirs. */
static int rows_in_pairs(lower_kernel *kernel, const score_plan *plan, const score_place *place, int64_t each) {
    int64_t rows = place->in_strip ? SCORE_STRIP : plan->tile_rows;
    return kir_scratch_add(plan->context->memory, kernel->kernel, "rows", KIR_I32, rows * each);
}

void score_units_product(lower_kernel *kernel, const score_plan *plan, const score_place *place, int number) {
    const score_product *product = &plan->products[number];
    int64_t blocks = score_unit_blocks(product->length), vector = blocks * plan->parts * PAIR_UNIT;
    int64_t slice = slice_of(plan, place, blocks);
    product_slices work = {.plan = plan, .place = place, .panel = new_panel(plan), .vector = vector};
    int left = lower_argument(kernel, product->left, false);
    work.left_vector = plan->rows_once ? slice * plan->parts * PAIR_UNIT : vector;
    work.panel.left = plan->rows_once ? rows_in_pairs(kernel, plan, place, work.left_vector) : left;
    work.panel.right = lower_argument(kernel, product->packed, false);
    work.panel.target = kernel->scores->tiles[number];
    work.panel.left_tile = PAIR_UNIT * work.left_vector;
    work.panel.right_tile = PAIR_UNIT * vector;
    work.panel.target_row = plan->tile_stride;
    work.rows = (score_unit_rows){left, work.panel.left, product->length, work.left_vector};
    work.first = kir_at(0);
    work.left = kir_plus_index(kir_at(0), vector, place->row);
    work.right = kir_plus_index(kir_at(0), vector, place->column);
    work.target = kernel->scores->origin;
    work.first_strip = first_strip(&kernel->builder, place);
    work.panel.fresh = true;
    emit_slice(&kernel->builder, kir_at(0), slice, &work);
    work.panel.fresh = false;
    work.first = kir_at(slice);
    work.left.base += slice * plan->parts * PAIR_TILE;
    work.right.base += slice * plan->parts * PAIR_TILE;
    tile_blocks(&kernel->builder, blocks - slice, slice, emit_slice, &work);
}

/* ---- weights -------------------------------------------------------------------------------------------------------
 */

/* Elements between tiles of rows (columns) of weights. */
static int64_t row_tile(const score_plan *plan) {
    return plan->tile_columns / SCORE_UNIT_BLOCK * plan->parts * PAIR_TILE;
}

static int64_t column_tile(const score_plan *plan) {
    return plan->tile_rows / SCORE_UNIT_BLOCK * plan->parts * PAIR_TILE;
}

score_unit_weights score_units_weights(lower_kernel *kernel, const score_plan *plan, const score_place *place,
                                       int number) {
    score_unit_weights to = {-1, -1};
    int64_t elements = plan->tile_rows * plan->tile_columns / 2 * plan->parts;
    int64_t of_rows = place->in_strip ? elements / plan->tile_rows * SCORE_STRIP : elements;
    for (int i = 0; i < plan->output_count; i++) {
        const score_output *output = &plan->outputs[i];
        if (output->kind != SCORE_MULTIPLY || output->weights != number)
            continue;
        arena *memory = plan->context->memory;
        if (to.by_row < 0 && (output->by_row || place->mirrored))
            to.by_row = kir_scratch_add(memory, kernel->kernel, "weights_by_row", KIR_I32, of_rows);
        if (to.by_column < 0 && (!output->by_row || place->mirrored))
            to.by_column = kir_scratch_add(memory, kernel->kernel, "weights_by_column", KIR_I32, elements);
    }
    return to;
}

static kir_type words(void) {
    return kir_vector_type(KIR_I32, PAIR_UNIT);
}

static kir_reg as_words(const kir_builder *builder, kir_index index) {
    return kir_splat(builder, kir_convert(builder, kir_value(builder, index), KIR_I32), PAIR_UNIT);
}

/* The weights that lie in the tile, 0 in place of the others. */
static kir_reg inside(const kir_builder *builder, const score_plan *plan, const score_place *place, kir_index row,
                      kir_index column, kir_reg weights) {
    if (plan->rows % SCORE_UNIT_BLOCK != 0) {
        kir_reg holds = kir_op2(builder, KIR_less, as_words(builder, row), as_words(builder, place->row_end));
        weights = kir_op3(builder, KIR_select, holds, weights, zeros(builder));
    }
    if (plan->columns % SCORE_UNIT_BLOCK != 0) {
        kir_reg number = kir_op2(builder, KIR_add, as_words(builder, column), kir_iota(builder, words()));
        kir_reg holds = kir_op2(builder, KIR_less, number, as_words(builder, place->column_end));
        weights = kir_op3(builder, KIR_select, holds, weights, zeros(builder));
    }
    return weights;
}

/* Pairs of one part each: rows with rows, and columns with columns. */
static void store_part(const kir_builder *builder, const score_plan *plan, const score_unit_weights *to,
                       kir_index by_row, kir_index by_column, kir_reg numbers[2][2]) {
    kir_opcode join = plan->parts == 1 ? KIR_pair : KIR_pair_upper;
    for (int i = 0; i < 2; i++) {
        if (to->by_row >= 0)
            kir_store(builder, to->by_row, by_row, kir_op2(builder, join, numbers[i][0], numbers[i][1]), PAIR_UNIT);
        if (to->by_column >= 0)
            kir_store(builder, to->by_column, by_column, kir_op2(builder, join, numbers[0][i], numbers[1][i]),
                      PAIR_UNIT);
        by_row.base += row_tile(plan);
        by_column.base += column_tile(plan);
    }
}

/* Rounded bits serve the pairs of both ways. */
void score_units_store(const kir_builder *builder, const score_plan *plan, const score_place *place,
                       const score_unit_weights *to, const score_square *at, kir_reg weights[2][2]) {
    int64_t each = plan->parts * PAIR_TILE;
    kir_index by_row = kir_plus(kir_at(0), row_tile(plan) / PAIR_UNIT, at->block);
    by_row = kir_plus(kir_plus(by_row, each / SCORE_UNIT_BLOCK, at->column), PAIR_UNIT, at->row);
    kir_index by_column = kir_plus(kir_at(0), column_tile(plan) / PAIR_UNIT, at->column);
    by_column = kir_plus(kir_plus(by_column, each / SCORE_UNIT_BLOCK, at->block), PAIR_UNIT, at->row);
    if (place->in_strip)
        by_column = kir_plus_index(by_column, each / SCORE_UNIT_BLOCK, place->strip);
    kir_reg numbers[2][2], halves[2][2];
    for (int r = 0; r < 2; r++)
        for (int c = 0; c < 2; c++)
            numbers[r][c] =
                inside(builder, plan, place, score_square_row(at, r), score_square_column(at, c), weights[r][c]);
    for (int part = 0; part < plan->parts; part++) {
        for (int r = 0; r < 2 && plan->parts > 1; r++)
            for (int c = 0; c < 2; c++)
                halves[r][c] = pair_rounded_bits(builder, numbers[r][c]);
        store_part(builder, plan, to, by_row, by_column, plan->parts > 1 ? halves : numbers);
        for (int r = 0; r < 2 && part + 1 < plan->parts; r++)
            for (int c = 0; c < 2; c++) {
                kir_reg rounded = kir_op1(builder, KIR_bitcast, pair_upper_half(builder, halves[r][c]));
                numbers[r][c] = kir_op2(builder, KIR_sub, numbers[r][c], rounded);
            }
        by_row.base += PAIR_TILE;
        by_column.base += PAIR_TILE;
    }
}

kir_index score_square_row(const score_square *at, int r) {
    return kir_plus(kir_plus(kir_at(r * PAIR_UNIT), 1, at->block), 1, at->row);
}

kir_index score_square_column(const score_square *at, int c) {
    return kir_plus(kir_at(c * PAIR_UNIT), 1, at->column);
}

void score_units_squares(kir_builder *builder, const score_place *place, score_square *at) {
    kir_builder over_blocks, over_rows, body;
    at->block = kir_loop(builder, kir_at(0), place->row_end, SCORE_UNIT_BLOCK, &over_blocks);
    at->row = kir_loop(&over_blocks, kir_at(0), kir_at(PAIR_UNIT), 1, &over_rows);
    at->column = kir_loop(&over_rows, kir_at(0), place->column_end, SCORE_UNIT_BLOCK, &body);
    *builder = body;
}

/* ---- weights x vectors ---------------------------------------------------------------------------------------------
 */

/* How many pairs hold that many rows or columns: whole blocks. */
static kir_index pairs_of(const kir_builder *builder, kir_index count) {
    if (count.term_count == 0)
        return kir_at(score_unit_blocks(count.base) * PAIR_UNIT);
    count.base += SCORE_UNIT_BLOCK - 1;
    kir_reg size = kir_value(builder, kir_at(SCORE_UNIT_BLOCK));
    return kir_plus(kir_at(0), PAIR_UNIT, kir_op2(builder, KIR_div, kir_value(builder, count), size));
}

typedef struct {
    pair_panel panel;
    bool by_row;
    int64_t vectors_tile, weights_tile, row; /* between tiles of elements, of weights; padded length */
    int64_t target_element;                  /* between places of neighbouring elements, at a tile's beginning */
    kir_index first_block;                   /* of the vectors, in elements of their tiles */
    kir_index targets, first_target;
    kir_reg target;   /* the first of a block */
    int64_t meetings; /* tiles of weights that meet the same vectors */
    bool passing;     /* vectors pass by two tiles of rows of weights */
    kir_reg wanted;   /* BOOL: whether they do for the first time; -1: always */
    /* Where the tile brings its rows' vectors into pairs, a few elements at a time; `place` is NULL if they are. */
    const score_plan *plan;
    const score_place *place;
    score_unit_rows rows;
} multiplication;

/* Of rows that the tile brings into pairs, the next elements are fetched: of those of a block in each step over pairs,
 * in parts by the targets. */
static void fetch_next_elements(pair_panel *panel, const multiplication *work, kir_index first) {
    const score_unit_rows *rows = &work->rows;
    int64_t each = (SCORE_UNIT_BLOCK + work->meetings - 1) / work->meetings;
    first.base += SCORE_UNIT_BLOCK;
    for (int64_t r = 0; r < each && r < PAIR_MOST_FETCHES; r++) {
        kir_index row = work->place->row;
        row.base += r;
        kir_index at = kir_plus_index(kir_plus_index(kir_at(0), rows->length, row), 1, first);
        at = kir_plus(at, each * rows->length / PAIR_UNIT, work->target);
        panel->fetches[panel->fetch_count++] = (pair_fetch){.argument = rows->from,
                                                            .first = at,
                                                            .step = SCORE_UNIT_BLOCK * rows->length / PAIR_UNIT,
                                                            .lines = SCORE_UNIT_BLOCK / FETCH_LINE,
                                                            .wanted = -1};
    }
}

/* Elements first .. first + count - 1 of a block of targets. */
static void emit_panel(kir_builder *builder, kir_index first, int64_t count, void *user) {
    const multiplication *work = user;
    pair_panel panel = work->panel;
    kir_index vectors =
        kir_plus_index(work->first_block, work->vectors_tile / PAIR_UNIT, work->place ? kir_at(0) : first);
    kir_index weights = kir_plus(kir_at(0), work->weights_tile / PAIR_UNIT, work->target);
    panel.left_at = work->by_row ? weights : vectors;
    panel.right_at = work->by_row ? vectors : weights;
    *(work->by_row ? &panel.columns : &panel.rows) = count;
    panel.target_at = kir_plus_index(kir_at(0), work->row, kir_plus(work->first_target, 1, work->target));
    panel.target_at = kir_plus_index(panel.target_at, work->target_element, first);
    if (work->passing)
        fetch_passing_vectors(&panel, panel.right, vectors, work->vectors_tile, work->wanted);
    else if (work->place)
        fetch_next_elements(&panel, work, first);
    else
        fetch_next_vectors(&panel, work->by_row ? panel.right : panel.left, vectors, work->vectors_tile, work->target,
                           work->meetings);
    pair_panel_emit(builder, &panel);
}

/* Of all targets. */
static void emit_panels(kir_builder *builder, kir_index first, int64_t count, void *user) {
    multiplication *work = user;
    kir_builder body;
    if (work->place)
        score_unit_pack_elements(builder, work->plan, work->place, &work->rows, first, count);
    work->target = kir_loop(builder, kir_at(0), work->targets, PAIR_UNIT, &body);
    emit_panel(&body, first, count, work);
}

/* Rows are written from end to end, as memory likes it; tiles one below the other, while the vectors are near. */
static void emit_multiply(kir_builder *builder, multiplication *work) {
    kir_builder body;
    *(work->by_row == work->passing ? &work->panel.columns : &work->panel.rows) = PAIR_UNIT;
    if (!work->passing) {
        tile_blocks(builder, work->row, SCORE_UNIT_BLOCK, emit_panels, work);
        return;
    }
    work->target = kir_loop(builder, kir_at(0), work->targets, SCORE_UNIT_BLOCK, &body);
    tile_blocks(&body, work->row, PAIR_UNIT, emit_panel, work);
}

/* Has the tile bring its rows into pairs. */
static void bring_rows(lower_kernel *kernel, const score_plan *plan, const score_place *place,
                       const score_output *output, multiplication *work) {
    pair_panel *panel = &work->panel;
    int64_t each = score_unit_blocks(plan->tile_rows) * plan->parts * PAIR_UNIT;
    int elements = kir_scratch_add(plan->context->memory, kernel->kernel, "elements", KIR_I32, SCORE_UNIT_BLOCK * each);
    work->plan = plan;
    work->place = place;
    work->rows = (score_unit_rows){panel->left, elements, output->length, each};
    panel->left = elements;
    work->vectors_tile = panel->left_tile = PAIR_UNIT * each;
    work->first_block = kir_at(0);
}

/* Sums lie in tiles [vector][element], of columns [vector][element] with tiles turned, or in rows. */
void score_units_multiply(lower_kernel *kernel, const score_plan *plan, const score_place *place,
                          const score_output *output, const score_unit_weights *weights, bool mirrored) {
    bool by_row = output->by_row != mirrored;
    multiplication work = {.panel = new_panel(plan), .by_row = by_row, .row = output->row};
    pair_panel *panel = &work.panel;
    int vectors = lower_argument(kernel, mirrored ? output->mirrored_vectors : output->vectors, false);
    int total = mirrored ? output->mirrored_total : output->total;
    int64_t across = work.row * PAIR_UNIT, count = by_row ? plan->columns : plan->rows;
    work.vectors_tile = score_unit_blocks(count) * plan->parts * PAIR_TILE;
    work.weights_tile = by_row ? row_tile(plan) : column_tile(plan);
    panel->fresh = !mirrored && (by_row ? place->fresh_rows : place->fresh_columns).always;
    panel->target = lower_argument(kernel, total, true);
    if (!panel->fresh)
        lower_argument(kernel, total, false);
    panel->left = by_row ? weights->by_row : vectors;
    panel->right = by_row ? vectors : weights->by_column;
    panel->left_tile = by_row ? work.weights_tile : work.vectors_tile;
    panel->right_tile = by_row ? work.vectors_tile : work.weights_tile;
    panel->target_row = output->in_rows ? work.row : PAIR_UNIT;
    panel->target_down = output->in_rows ? 0 : by_row ? across : PAIR_TILE;
    panel->target_across = output->in_rows ? 0 : by_row ? PAIR_TILE : across;
    work.target_element = output->in_rows ? 1 : PAIR_UNIT;
    panel->pairs = pairs_of(&kernel->builder, by_row ? place->column_end : place->row_end);
    work.first_block =
        kir_plus_index(kir_at(0), plan->parts * PAIR_TILE / SCORE_UNIT_BLOCK, by_row ? place->column : place->row);
    work.targets = by_row ? place->row_end : place->column_end;
    work.first_target = by_row ? place->row : kir_plus_index(place->column, 1, place->column_totals);
    work.meetings = (by_row ? plan->tile_rows : plan->tile_columns) / PAIR_UNIT;
    work.passing = by_row && (place->in_strip || output->in_rows);
    work.wanted = first_strip(&kernel->builder, place);
    if (!by_row && plan->rows_once)
        bring_rows(kernel, plan, place, output, &work);
    panel->past[1] = work.passing;
    kir_builder outer = kernel->builder;
    emit_multiply(&outer, &work);
    kernel->builder = outer;
}

/* ---- results -------------------------------------------------------------------------------------------------------
 */

typedef struct {
    const score_output *output;
    int total, mirrored, result; /* arguments; mirrored: -1 if there is none */
    int64_t copies, stride;
    kir_reg vector; /* of the group */
    int64_t group;  /* the first group */
} finishing;

static kir_reg sums_at(const kir_builder *builder, int total, kir_index tile, kir_reg vector, bool turned) {
    return turned ? kir_load_strided(builder, total, kir_plus(tile, 1, vector), PAIR_UNIT, PAIR_UNIT, PAIR_UNIT)
                  : kir_load(builder, total, kir_plus(tile, PAIR_UNIT, vector), PAIR_UNIT, PAIR_UNIT);
}

/* PAIR_UNIT elements of a vector, of which `count` exist. */
static void finish_block(kir_builder *builder, kir_index first, int64_t count, void *user) {
    const finishing *work = user;
    const score_output *output = work->output;
    kir_index tile = kir_plus_index(kir_plus(kir_at(work->group * output->row * PAIR_UNIT), output->row * PAIR_UNIT, 0),
                                    PAIR_UNIT, first);
    kir_index vector = kir_plus(kir_plus(kir_at(work->group * PAIR_UNIT), PAIR_UNIT, 0), 1, work->vector);
    kir_index mirrored = tile;
    kir_reg sum = sums_at(builder, work->total, tile, work->vector, !output->by_row);
    for (int64_t copy = 1; copy < work->copies; copy++) {
        tile.base += work->stride;
        sum = kir_op2(builder, KIR_add, sum, sums_at(builder, work->total, tile, work->vector, !output->by_row));
    }
    if (work->mirrored >= 0)
        sum = kir_op2(builder, KIR_add, sum, sums_at(builder, work->mirrored, mirrored, work->vector, output->by_row));
    kir_store(builder, work->result, kir_plus_index(kir_plus_index(kir_at(0), output->length, vector), 1, first), sum,
              (int)count);
}

void score_units_finish(const score_plan *plan, const score_output *output, int64_t copies, int64_t stride,
                        int result) {
    int64_t vectors = output->value->type.dims[0], groups = vectors / PAIR_UNIT;
    for (int rest = 0; rest < 2; rest++) {
        int64_t extent = rest ? vectors % PAIR_UNIT != 0 : groups;
        if (extent == 0)
            continue;
        lower_kernel kernel = lower_kernel_begin(plan->context, "finish_products", output->value);
        finishing work = {.output = output, .copies = copies, .stride = stride, .group = rest ? groups : 0};
        work.total = lower_argument(&kernel, output->total, false);
        work.mirrored = output->mirrored_total >= 0 ? lower_argument(&kernel, output->mirrored_total, false) : -1;
        work.result = lower_argument(&kernel, result, true);
        kir_builder body;
        int64_t present = rest ? vectors % PAIR_UNIT : PAIR_UNIT;
        work.vector = kir_loop(&kernel.builder, kir_at(0), kir_at(present), 1, &body);
        tile_blocks(&body, output->length, PAIR_UNIT, finish_block, &work);
        lower_kernel_launch(&kernel, extent);
    }
}
