/* Inside the lowering of convolutions: conv2d and conv2d_input_grad as one and the same: every place of the target
 * sums, over a regular grid of taps, rows of the (padded) source times a matrix of weights. The input's gradient with
 * stride s splits the target into s x s phases, each with its own taps, so that no product with a zero is computed. */
#ifndef PASSES_CONV_MAPS_H
#define PASSES_CONV_MAPS_H

#include "passes/lower_contraction.h"

/* The taps of one axis that reach one phase: tap t reads the source at place * step + offset + t * offset_step and uses
 * the weights' row weight + t * weight_step. */
typedef struct {
    int64_t count, offset, offset_step, weight, weight_step;
    int64_t first, places; /* of the phase in the target: first, first + stride, … */
} phase_axis;

typedef struct {
    const char *name; /* of the kernel */
    conv_shape shape;
    int64_t source_size[2], source_channels, target_size[2], target_channels;
    int64_t out_step[2], in_steps[2]; /* between neighbouring places, in target and source */
    int64_t group_in, group_out;      /* channels of a group in source and target */
    panel_matrix weights;             /* where they lie, as lower_conv_weight() has them; panels are not chosen */
    const phase_axis *phases[2];      /* phase_counts[axis] of each axis */
    int64_t phase_counts[2];
    int64_t margin[4]; /* zeros around the source that the taps of all phases reach: above, below, left, right */
} conv_maps;

/* Whether each place is computed from its own point of the other map alone: 1 x 1, stride 1, no padding. */
bool lower_conv_is_of_points(const conv_shape *shape);
/* Whether a convolution, all three directions alike, is computed in pairs of bf16 parts: see lower_pairs_pay. */
bool lower_conv_pairs_pay(const pass_context *pass, const conv_shape *shape);
/* lower_conv_sums.c: in f32. lower_conv_pairs.c: in pairs of bf16 parts. Both compute the value into its buffer. */
bool lower_conv_sums(lower_context *context, const ir_value *value, const conv_maps *maps);
bool lower_conv_pairs(lower_context *context, const ir_value *value, const conv_maps *maps);
/* lower_conv_product.c: any of the three directions as a product of matrices in f32, where the window is the whole map,
 * and of weights' gradients where there are few places; elsewhere false, and nothing is emitted. `name` is the
 * kernel's. */
bool lower_conv_product(lower_context *context, const ir_value *value, const conv_shape *shape, const char *name);
/* lower_conv_weights_pairs.c: conv2d_weight_grad in pairs. */
bool lower_conv_weight_grad_pairs(lower_context *context, const ir_value *value, const conv_shape *shape);

#endif
