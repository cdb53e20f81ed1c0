/* Inside the lowering of convolutions in pairs: 1 x 1 at stride 1, which are products of matrices. */
#ifndef PASSES_CONV_POINTS_H
#define PASSES_CONV_POINTS_H

#include "passes/conv_maps.h"
#include "passes/pair_forms.h"

/* Weights of so many bytes stay in the second cache beside the rows of the source that meet them. */
enum { CONV_WEIGHTS_BYTES = 640 << 10 };

typedef struct {
    const conv_maps *conv;
    const pair_maps *source;
    pair_panel panel; /* all but places and arguments */
    int64_t pairs;    /* of source channels */
} conv_points;

/* Whether the convolution is one of points, with more weights than stay in a cache. */
bool lower_conv_points_pay(const conv_points *points);
/* Emits its launch; buffers are those of source, weights and result. */
void lower_conv_points(lower_context *context, const conv_points *points, const int buffers[3], const ir_value *value);

#endif
