/* Counter-based random numbers: a number is a function of (seed, stream, counter) alone, so the same seed gives the
 * same run at any number of threads and after a resume. Philox4x32-10 (Salmon et al., SC 2011). */
#ifndef RT_RANDOM_H
#define RT_RANDOM_H

#include <stdint.h>

/* Four 32-bit words for one counter value. */
typedef struct {
    uint32_t word[4];
} rt_random_block;

rt_random_block rt_random_bits(uint64_t seed, uint64_t stream, uint64_t counter);

/* One number in [0, 1) with 24 random bits: the same value as float and as double. These two are also what the
 * compiled programs and the reference interpreter call for `random_uniform` and `random_normal`, where `step`
 * distinguishes the training steps and `index` is the element's row-major position. */
float rt_random_uniform(int32_t seed, int32_t step, int32_t stream, int64_t index);

/* One number from N(0, 1), by Box and Muller on two 32-bit words of one block. */
float rt_random_normal(int32_t seed, int32_t step, int32_t stream, int64_t index);

/* A sequence of draws for sequential code, such as one image's augmentation. */
typedef struct {
    uint64_t seed, stream, counter;
    rt_random_block block;
    int used; /* words of `block` already given out; 4 means draw a new block */
} rt_random_sequence;

rt_random_sequence rt_random_begin(uint64_t seed, uint64_t stream);
uint32_t rt_random_u32(rt_random_sequence *sequence);
double rt_random_range(rt_random_sequence *sequence, double low, double high); /* uniform in [low, high) */
int64_t rt_random_below(rt_random_sequence *sequence, int64_t bound);          /* uniform in 0 .. bound-1 */
/* Fills `order` with a random permutation of 0 .. count-1 (Fisher and Yates). */
void rt_random_permutation(rt_random_sequence *sequence, int64_t *order, int64_t count);

#endif
