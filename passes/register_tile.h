/* The core of all contractions: a tile of accumulators held in registers, rows of scalars times vectors of columns. */
#ifndef PASSES_REGISTER_TILE_H
#define PASSES_REGISTER_TILE_H

#include "ir/kernel.h"

enum { TILE_MAX_ROWS = 12, TILE_MAX_VECTORS = 3 };

/* rows x vectors accumulators; the last vector may hold fewer lanes. */
typedef struct {
    int rows, vectors, lanes;
    int last_count; /* lanes of the last vector */
    kir_reg sums[TILE_MAX_ROWS][TILE_MAX_VECTORS];
} register_tile;

/* Rows that, with `vectors` columns, fill the target's registers but leave room for the operands. */
int tile_rows_for(const kir_target *target, int vectors);
/* How many vectors of `columns` one tile takes: at most 2, or 3 where that divides better. */
int tile_vectors_for(const kir_target *target, int64_t columns);

/* The size of blocks, at most `limit` and more than half of it if possible, that divides `count`; else `limit`. */
int64_t tile_even_size(int64_t count, int64_t limit);

/* What the sums of `count` rows take in tiles of `size` rows: each tile as many half cycles a step as it has
 * multiplications of vectors, but no fewer than the units need to be done with one. */
int64_t tile_rows_cost(const kir_target *target, int64_t count, int64_t size, int64_t columns);
/* The size of the tiles that `count` rows are best summed in, the rest in a smaller one. */
int64_t tile_best_rows(const kir_target *target, int64_t count, int64_t columns);

/* New accumulators for columns first .. first + columns - 1 of at most `vectors` vectors. */
register_tile tile_new(const kir_builder *builder, const kir_target *target, int rows, int64_t columns);
void tile_clear(const kir_builder *builder, register_tile *tile);
/* What a tile multiplies in one step of the summation, and how far it is to the next one. Operands, and what sums are
 * stored to, may be bf16. */
typedef struct {
    int left, right;                        /* arguments */
    kir_index rows[TILE_MAX_ROWS], columns; /* elements of the left, vectors of the right */
    int64_t left_step, right_step;          /* elements from one step to the next */
} tile_operands;

/* How many of `count` steps a round of the loop over them takes: what it costs to loop is shared. Divides `count`. */
int64_t tile_steps(const register_tile *tile, int64_t count);
/* sums[r][v] += left[rows[r]] * right[columns + v * lanes …] for so many steps in a row. */
void tile_multiply(const kir_builder *builder, register_tile *tile, const tile_operands *operands, int64_t steps);
/* Row r from or to `argument` at rows[r]. */
void tile_load(const kir_builder *builder, register_tile *tile, int argument, const kir_index *rows);
void tile_store(const kir_builder *builder, const register_tile *tile, int argument, const kir_index *rows);

/* Runs `emit` for blocks of `size` out of `count`: a loop over whole ones, then the rest by itself. */
typedef void (*emit_block)(kir_builder *builder, kir_index first, int64_t size, void *user);
void tile_blocks(kir_builder *builder, int64_t count, int64_t size, emit_block emit, void *user);

#endif
