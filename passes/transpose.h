/* Squares of numbers in registers. */
#ifndef PASSES_TRANSPOSE_H
#define PASSES_TRANSPOSE_H

#include "ir/kernel.h"

/* Turns as many vectors as each has lanes, a power of 2: lane j of vector i becomes lane i of vector j. */
void transpose_vectors(const kir_builder *builder, kir_reg *vectors, int lanes);

#endif
