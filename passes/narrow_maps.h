/* Inside the lowering: maps that lie in memory as bf16 numbers. */
#ifndef PASSES_NARROW_MAPS_H
#define PASSES_NARROW_MAPS_H

#include "passes/lower_units.h"

/* Finds those of the function, for lower_value_buffer, under a precision of one part: what convolutions read and
 * write and what elementwise kernels make of it, as long as only kernels use it that can read such numbers.
 * Parameters, their gradients, statistics and what leaves the function stay f32. */
void lower_narrow_maps_find(lower_context *context, const lower_units *units);

#endif
