/* Products of numbers split into bf16 parts: a panel of sums in registers, or in tiles of the matrix units.
 *
 * x = part 0 + part 1 + …, each the rest of those before, rounded to bf16. Of n parts, the products of part i with part
 * j are added up where i + j < n. Rounding leaves at most 2^-8 of a number outside of 1 part, 2^-16 of 2, 2^-24 of 3;
 * with the products left out, a sum of products is off by at most 1.01 * 2^-7, 2^-14 or 2^-22 of the sum of their
 * sizes, apart from what adding up in f32 rounds.
 *
 * Neighbours of the summation lie in pairs, 32 bits (dot_pairs, tile_multiply). */
#ifndef PASSES_PAIR_PANEL_H
#define PASSES_PAIR_PANEL_H

#include "passes/fetch_ahead.h"

enum {
    PAIR_MOST_PARTS = 3,
    PAIR_UNIT = 16,      /* most rows, pairs and columns of a tile of the matrix units */
    PAIR_UNIT_PANEL = 2, /* tiles that a panel takes each way */
    PAIR_TILE = PAIR_UNIT * PAIR_UNIT,
    PAIR_MOST_SUMS = 3,
    PAIR_MOST_FETCHES = 8,
    PAIR_MOST_AHEAD = 4
};

/* A summation besides that over pairs: over taps, places, blocks of images. */
typedef struct {
    int64_t count, left_step, right_step;
    const kir_index *range; /* first and limit, where not all of them are summed; else NULL */
} pair_sum;

/* Memory wanted after the panel, brought to the second cache beside its products: `lines` of it for every tile of
 * pairs, which `step` elements a pair lie apart; if `wanted` (BOOL) holds, where it is not -1. */
typedef struct {
    int argument;
    kir_index first;
    int64_t step;
    int lines;
    kir_reg wanted;
} pair_fetch;

/* The size of all tiles of a kernel. Units are set up once for a kernel, and hardly for tiles of several sizes. */
typedef struct {
    int rows, columns, pairs;
} pair_tile;

/* sums[rows, columns] += left x right over `pairs` and all of `sums`, for all parts. Left elements are found at
 * left_at + row * left_row + pair * left_pair, right ones at right_at + pair * right_pair + column; parts lie left_part
 * and right_part further. Matrix units want whole tiles of pairs: the left pairs of a tile are neighbours, and
 * left_pair is for the first of a tile; right columns of a tile are neighbours, and right_tile, if not 0, is between
 * its tiles.
 *
 * Matrix units read fastest what lies in whole tiles, one after the other in the order of use: then `tiled` holds, all
 * are of PAIR_UNIT, operands lie as [tile of rows or columns][tile of pairs][part][tile], a left tile as [row][pair], a
 * right one as [pair][column], and left_tile and right_tile are the elements between tiles of rows and of columns. */
typedef struct {
    const kir_target *cpu;
    int parts;
    int left, right, target; /* arguments: I32, I32, F32 */
    kir_index left_at, right_at, target_at, pairs;
    int64_t left_row, left_pair, left_part, right_pair, right_part, target_row;
    bool tiled;
    int64_t left_tile, right_tile;
    int64_t target_down, target_across; /* between tiles of the target where it lies in tiles; 0: by target_row */
    int64_t rows, columns;              /* at most pair_panel_rows and pair_panel_columns */
    pair_tile tile;
    pair_sum sums[PAIR_MOST_SUMS];
    int sum_count;
    bool fresh; /* the sums begin at 0, not at what the target holds */
    pair_fetch fetches[PAIR_MOST_FETCHES];
    int fetch_count;
    fetch_ahead ahead[PAIR_MOST_AHEAD]; /* spread over the whole panel, whose own loops are not in it yet */
    int ahead_count;
    bool past[2]; /* left and right tiles go past the first cache, which holds those of the other side */
    /* Emits, if not NULL, what else is done each time before the loop over pairs. */
    void (*beside)(const kir_builder *builder, void *user);
    void *user;
} pair_panel;

/* The size of tiles that divides the count evenly: its largest divisor up to PAIR_UNIT. */
int pair_tile_size(int64_t count);
/* Tiles for products [rows, pairs] x [pairs, columns]. */
pair_tile pair_tile_for(int64_t rows, int64_t columns, int64_t pairs);

/* How many rows, and how many columns, a panel takes of those that there are. On units the rows divide evenly. */
int64_t pair_panel_rows(const kir_target *target, int64_t rows, int64_t columns);
int64_t pair_panel_columns(const kir_target *target, int64_t columns);

/* Emits the sums of a panel. */
void pair_panel_emit(const kir_builder *builder, const pair_panel *panel);
/* Emits the copy of rows of a panel's sums, [rows, columns] from `from` on in the argument `sums`, to its target, whose
 * elements may be bf16, in vectors: those, unlike tiles, can go past the caches. */
void pair_panel_copy(const kir_builder *builder, const pair_panel *panel, int sums, kir_index from, kir_index first,
                     kir_index limit);

/* The bits of an F32 number, in whose upper half stands its bf16: as KIR_pair rounds, but halves go away from 0, and a
 * NaN of nothing but ones becomes 0. Of several parts it makes no difference, and takes less time. */
kir_reg pair_rounded_bits(const kir_builder *builder, kir_reg x);
/* The upper half alone. */
kir_reg pair_upper_half(const kir_builder *builder, kir_reg bits);

/* The parts of two F32 numbers, a pair each. */
void pair_split(const kir_builder *builder, int parts, kir_reg a, kir_reg b, kir_reg out[PAIR_MOST_PARTS]);
/* Splits two F32 numbers a and b and stores the first `count` lanes of each part, a pair each, `stride` elements apart.
 */
void pair_store_parts(const kir_builder *builder, int parts, int to, kir_index at, int64_t stride, kir_reg a, kir_reg b,
                      int count);
/* The same with the lanes `between` elements apart. */
void pair_store_parts_apart(const kir_builder *builder, int parts, int to, kir_index at, int64_t stride, kir_reg a,
                            kir_reg b, int count, int64_t between);

#endif
