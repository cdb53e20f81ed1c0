#include "passes/register_tile.h"

enum {
    LEAST_SUMS = 8,  /* multiplications that two units of four cycles have in the works */
    ROUND_SUMS = 32, /* of a round of the loop over steps: its few other instructions then wait for them */
    MOST_STEPS = 4,
};

static int64_t vectors_of(const kir_target *target, int64_t columns) {
    return (columns + target->lanes - 1) / target->lanes;
}

int tile_rows_for(const kir_target *target, int vectors) {
    int rows = (target->vector_registers - vectors - 2) / vectors;
    return rows > TILE_MAX_ROWS ? TILE_MAX_ROWS : rows < 1 ? 1 : rows;
}

int tile_vectors_for(const kir_target *target, int64_t columns) {
    int64_t vectors = vectors_of(target, columns);
    if (vectors <= TILE_MAX_VECTORS)
        return (int)vectors;
    return vectors % 2 != 0 && vectors % 3 == 0 ? 3 : 2;
}

int64_t tile_even_size(int64_t count, int64_t limit) {
    for (int64_t size = limit; size > limit / 2; size--)
        if (count % size == 0)
            return size;
    return count < limit ? count : limit;
}

static int64_t tile_cost(int64_t rows, int64_t vectors) {
    return rows * vectors > LEAST_SUMS || rows == 0 ? rows * vectors : LEAST_SUMS;
}

int64_t tile_rows_cost(const kir_target *target, int64_t count, int64_t size, int64_t columns) {
    int64_t vectors = vectors_of(target, columns);
    return count / size * tile_cost(size, vectors) + tile_cost(count % size, vectors);
}

/* A rest is code of its own: only if it saves something. */
int64_t tile_best_rows(const kir_target *target, int64_t count, int64_t columns) {
    int64_t limit = tile_rows_for(target, (int)vectors_of(target, columns)), best = 0, least = 0;
    for (int64_t size = count < limit ? count : limit; size > 0; size--) {
        int64_t cost = 2 * tile_rows_cost(target, count, size, columns) + (count % size != 0);
        if (best == 0 || cost < least) {
            best = size;
            least = cost;
        }
    }
    return best;
}

register_tile tile_new(const kir_builder *builder, const kir_target *target, int rows, int64_t columns) {
    register_tile tile = {.rows = rows, .lanes = target->lanes};
    tile.vectors = (int)vectors_of(target, columns);
    tile.last_count = (int)(columns - (int64_t)(tile.vectors - 1) * target->lanes);
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < tile.vectors; v++)
            tile.sums[r][v] = kir_register(builder, kir_vector_type(KIR_F32, tile.lanes));
    return tile;
}

static int count_of(const register_tile *tile, int vector) {
    return vector == tile->vectors - 1 ? tile->last_count : tile->lanes;
}

void tile_clear(const kir_builder *builder, register_tile *tile) {
    kir_reg zero = kir_number(builder, kir_vector_type(KIR_F32, tile->lanes), 0);
    for (int r = 0; r < tile->rows; r++)
        for (int v = 0; v < tile->vectors; v++)
            kir_assign(builder, tile->sums[r][v], zero);
}

static void multiply_step(const kir_builder *builder, register_tile *tile, const tile_operands *operands,
                          int64_t step) {
    kir_reg vectors[TILE_MAX_VECTORS];
    kir_index columns = operands->columns;
    columns.base += step * operands->right_step;
    for (int v = 0; v < tile->vectors; v++) {
        vectors[v] = kir_load_f32(builder, operands->right, columns, tile->lanes, count_of(tile, v));
        columns.base += tile->lanes;
    }
    for (int r = 0; r < tile->rows; r++) {
        kir_index row = operands->rows[r];
        row.base += step * operands->left_step;
        kir_reg scalar = kir_splat(builder, kir_load_f32(builder, operands->left, row, 1, 1), tile->lanes);
        for (int v = 0; v < tile->vectors; v++)
            kir_into(builder, tile->sums[r][v], KIR_fma, scalar, vectors[v], tile->sums[r][v]);
    }
}

int64_t tile_steps(const register_tile *tile, int64_t count) {
    int64_t steps = tile->lanes > 1 ? MOST_STEPS : 1;
    while (steps > 1 && (count % steps != 0 || steps * tile->rows * tile->vectors > ROUND_SUMS))
        steps /= 2;
    return steps;
}

void tile_multiply(const kir_builder *builder, register_tile *tile, const tile_operands *operands, int64_t steps) {
    for (int64_t step = 0; step < steps; step++)
        multiply_step(builder, tile, operands, step);
}

void tile_load(const kir_builder *builder, register_tile *tile, int argument, const kir_index *rows) {
    for (int r = 0; r < tile->rows; r++) {
        kir_index at = rows[r];
        for (int v = 0; v < tile->vectors; v++) {
            kir_assign(builder, tile->sums[r][v], kir_load(builder, argument, at, tile->lanes, count_of(tile, v)));
            at.base += tile->lanes;
        }
    }
}

void tile_store(const kir_builder *builder, const register_tile *tile, int argument, const kir_index *rows) {
    for (int r = 0; r < tile->rows; r++) {
        kir_index at = rows[r];
        for (int v = 0; v < tile->vectors; v++) {
            kir_store_f32(builder, argument, at, tile->sums[r][v], count_of(tile, v));
            at.base += tile->lanes;
        }
    }
}

void tile_blocks(kir_builder *builder, int64_t count, int64_t size, emit_block emit, void *user) {
    int64_t whole = count / size * size;
    if (whole == size) {
        emit(builder, kir_at(0), size, user);
    } else if (whole > 0) {
        kir_builder body;
        kir_reg index = kir_loop(builder, kir_at(0), kir_at(whole), size, &body);
        emit(&body, kir_plus(kir_at(0), 1, index), size, user);
    }
    if (whole < count)
        emit(builder, kir_at(whole), count - whole, user);
}
