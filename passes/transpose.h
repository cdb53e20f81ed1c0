/* Squares of numbers in registers. */
#ifndef PASSES_TRANSPOSE_H
#define PASSES_TRANSPOSE_H

#include "ir/kernel.h"

enum { TRANSPOSE_MOST_LANES = 16 };

/* Turns as many vectors as each has lanes, a power of 2: lane j of vector i becomes lane i of vector j. */
void transpose_vectors(const kir_builder *builder, kir_reg *vectors, int lanes);

/* Where a square of `lanes` vectors lies: the first one's place, and elements from each to the next. */
typedef struct {
    int argument;
    kir_index first;
    int64_t stride;
} transpose_square;

/* Copies a square, turned. */
void transpose_copy(const kir_builder *builder, const transpose_square *to, const transpose_square *from, int lanes);

#endif
