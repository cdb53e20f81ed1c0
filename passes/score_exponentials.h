/* Inside the lowering of scores: exponentials of the same scores less a number of the row's and less one of the
 * column's, as gradients of losses in both directions have them. e^(s - a) and e^(s - b) are e^(s - M) times e^(M - a)
 * and e^(M - b), with M the largest a and b of the tile; the latter are computed once for each row and column. That
 * holds enough digits where no a or b is below M - 40; tiles where one is compute each exponential by itself. */
#ifndef PASSES_SCORE_EXPONENTIALS_H
#define PASSES_SCORE_EXPONENTIALS_H

#include "passes/score_tile.h"

enum { SCORE_MOST_SHARED = 4 };

/* One exponential, or one of two sides of a tile that it is needed along. */
typedef struct {
    const ir_value *power;   /* exp(sub(scores, broadcast(numbers))) */
    const ir_value *numbers; /* one for each row (column) of the scores */
    int axis;                /* that they run along */
    bool by_row;             /* along the tile's rows, else its columns */
    int factors;             /* scratch: e^(M - number) of the tile's rows (columns) */
} score_factor;

typedef struct score_exponentials {
    const ir_value *scores;
    score_factor factors[SCORE_MOST_SHARED];
    int count;
    const score_place *tile;
    kir_reg largest; /* M, in all lanes */
} score_exponentials;

/* Finds what the group's weights share; false if that is nothing. */
bool score_exponentials_find(const score_plan *plan, score_exponentials *shared);
/* Emits the tile's M and factors. BOOL: whether they hold enough digits. The tile must outlive `shared`. */
kir_reg score_exponentials_prepare(lower_kernel *kernel, const score_plan *plan, const score_place *tile,
                                   score_exponentials *shared);
/* The element of an exponential by way of the factors, while the reader has them; -1 for other values. */
kir_reg score_exponentials_element(lower_kernel *kernel, const ir_value *value, const lower_coordinate *at, int lanes);

#endif
