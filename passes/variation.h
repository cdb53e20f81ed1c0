/* Variations, sums of squares about the mean, in one pass over the elements: with e = x - s for a shift s,
 *   sum((x - mean)^2) = sum(e^2) - sum(e)^2 / n.
 * What rounding leaves grows with (mean - s)^2 over the variance, which is at most n where s is an element or the mean
 * of some. Parts of n elements with means m and variations v have the variation sum(v) + n * that of the means (Chan,
 * Golub, LeVeque 1983). */
#ifndef PASSES_VARIATION_H
#define PASSES_VARIATION_H

#include "ir/kernel.h"

/* What has been taken so far: registers of one type. */
typedef struct {
    kir_reg shift, sum, squares; /* s, sum(e), sum(e^2) */
} running_variation;

/* Takes an element at the distance e, that stands for `weight` elements. */
void variation_take(const kir_builder *builder, const running_variation *so_far, kir_reg distance, double weight);
/* The variation of `count` elements taken, each with that weight; *mean is their mean. */
kir_reg variation_finish(const kir_builder *builder, const running_variation *so_far, double count, double weight,
                         kir_reg *mean);

#endif
