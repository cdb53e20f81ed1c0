/* Functions that the kernel IR has no instruction for, as polynomials in its instructions: any lanes, f32. */
#ifndef PASSES_KERNEL_MATH_H
#define PASSES_KERNEL_MATH_H

#include "ir/kernel.h"

/* e^x within 2 units in the last place; 0 below -87.33, inf above 88.72, NaN for NaN. */
kir_reg math_exp(const kir_builder *builder, kir_reg x);
/* The same with a relative error below 2^-bits, by fewer steps where that is 13 or 18 or less: then inf
 * above 88.37. */
kir_reg math_exp_within(const kir_builder *builder, kir_reg x, int bits);
/* The same of numbers that are not above 0. */
kir_reg math_exp_falling(const kir_builder *builder, kir_reg x, int bits);
/* Natural logarithm within 3 units; -inf at 0, NaN below, inf at inf. */
kir_reg math_log(const kir_builder *builder, kir_reg x);
/* Within 4 units; ±1 far out. */
kir_reg math_tanh(const kir_builder *builder, kir_reg x);
/* 1 / sqrt(x), correctly rounded in both steps. */
kir_reg math_rsqrt(const kir_builder *builder, kir_reg x);

#endif
