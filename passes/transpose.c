#include "passes/transpose.h"

#include <string.h>

/* Interleaving the lower with the upper half of a list moves the highest bit of an element's place to the lowest. Rows
 * and lanes form one place of twice as many bits: once for each bit of the lanes exchanges them. */
void transpose_vectors(const kir_builder *builder, kir_reg *vectors, int lanes) {
    for (int bit = 1; bit < lanes; bit *= 2) {
        kir_reg shuffled[TRANSPOSE_MOST_LANES];
        for (int i = 0; i < lanes / 2; i++) {
            kir_reg a = vectors[i], b = vectors[i + lanes / 2];
            shuffled[2 * i] = kir_op2(builder, KIR_interleave_low, a, b);
            shuffled[2 * i + 1] = kir_op2(builder, KIR_interleave_high, a, b);
        }
        memcpy(vectors, shuffled, (size_t)lanes * sizeof *vectors);
    }
}

static kir_index place_of(const transpose_square *square, int number) {
    kir_index at = square->first;
    at.base += number * square->stride;
    return at;
}

void transpose_copy(const kir_builder *builder, const transpose_square *to, const transpose_square *from, int lanes) {
    kir_reg vectors[TRANSPOSE_MOST_LANES];
    for (int i = 0; i < lanes; i++)
        vectors[i] = kir_load(builder, from->argument, place_of(from, i), lanes, lanes);
    transpose_vectors(builder, vectors, lanes);
    for (int i = 0; i < lanes; i++)
        kir_store(builder, to->argument, place_of(to, i), vectors[i], lanes);
}
