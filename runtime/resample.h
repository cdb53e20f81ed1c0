/* Filters that make pictures larger or smaller, as the Python Imaging Library has them. Private to the runtime and the
 * reference of views. */
#ifndef RT_RESAMPLE_H
#define RT_RESAMPLE_H

#include "runtime/augment.h"

enum { RT_FILTER_BITS = 22 }; /* fixed-point weights; sums of weighted 8-bit pixels stay within 32 bits */

/* One output pixel: the inputs first .. first + count - 1, their weights from `offset` on. */
typedef struct {
    int32_t first, count, offset;
} rt_tap_range;

typedef struct {
    rt_tap_range *ranges; /* [out_size] */
    int32_t *weights;
    int taps; /* the largest count */
} rt_filter_bank;

/* The most inputs of one output when no more than `in_size` pixels become `out_size`. */
int64_t rt_filter_taps(int64_t in_size, int64_t out_size, rt_interpolation interpolation);

/* Fills the bank, whose arrays hold out_size ranges and out_size * rt_filter_taps weights. */
void rt_filter_make(rt_filter_bank *bank, int in_size, int out_size, rt_interpolation interpolation);

/* The place of the pixel that a border mirrored on its outermost pixel shows at `place`. */
int rt_mirrored(int place, int size);

#endif
