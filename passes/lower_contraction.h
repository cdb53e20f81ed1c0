/* Inside the lowering of contractions. */
#ifndef PASSES_LOWER_CONTRACTION_H
#define PASSES_LOWER_CONTRACTION_H

#include "passes/lower_nest.h"
#include "passes/register_tile.h"

bool lower_dot(lower_context *context, const ir_value *value);
bool lower_conv_forward(lower_context *context, const ir_value *value);
bool lower_conv_input_grad(lower_context *context, const ir_value *value);
bool lower_conv_weight_grad(lower_context *context, const ir_value *value);

/* The largest divisor of `count` up to `limit`, at least 1. */
int64_t lower_divisor_below(int64_t count, int64_t limit);
/* Into how many equal parts of `count` a gradient of weights is summed apart, in parallel, when the sums of each take
 * that many bytes. */
int64_t lower_chunk_count(int64_t count, int64_t bytes);
/* Emits the division of `number` by so many values: returns the remainder, and the quotient takes the number's place.
 */
kir_index lower_take_digit(const kir_builder *builder, kir_index *number, int64_t values);

/* lower_conv_weights.c: target = the partial sums of all chunks, `elements` each, in order. */
void lower_join_chunks(lower_context *context, int partial, int target, int64_t chunks, int64_t elements,
                       const ir_value *value);

/* The sizes of a convolution: x [n, channels, height, width], y [n, filters, out_height, out_width]. */
typedef struct {
    int64_t n, channels, filters, groups;
    int64_t size[2], out[2], kernel[2], stride[2], padding[4], dilation[2];
} conv_shape;

/* Of a conv2d, conv2d_input_grad or conv2d_weight_grad. */
conv_shape lower_conv_shape(const ir_value *conv);

/* Copies of `images` maps with a margin of zeros, in the worker's own memory: taps never leave them. */
typedef struct {
    int argument;          /* the scratch, or the map itself where no margin is needed */
    int64_t images;        /* copied at once */
    int64_t rows, columns; /* with the margin */
    int64_t channels;
    int64_t margin[4];  /* top, bottom, left, right */
    int64_t image, row; /* strides; a column's is `channels` */
    bool direct;        /* the map itself: no copy */
} padded_maps;

/* Decides the margins' memory and how many images to copy at once. `source` is the map's argument. */
padded_maps lower_padded_maps(arena *memory, kir_kernel *kernel, int source, int64_t n, const int64_t size[2],
                              int64_t channels, const int64_t margin[4]);
/* Emits the copy of the images from `first` on; their elements then start at the returned index of maps->argument. */
kir_index lower_copy_padded(kir_builder *builder, const padded_maps *maps, int source, const int64_t size[2],
                            kir_index first, int lanes);

/* Emits the copy, or the clearing, of `length` elements in a row: copies are of f32, or of bf16 as f32. */
void lower_move_elements(kir_builder *builder, int to, kir_index target, int from, kir_index source, int64_t length,
                         int lanes);
void lower_clear_elements(kir_builder *builder, int to, kir_index target, int64_t length, int lanes);

/* A batch of matrices and where their elements are in a source: row (o, i) of outer x inner ones, column c at
 * batch * batch_stride + o * outer_stride + i * inner_stride + c * column_stride. */
typedef struct {
    int64_t batch, outer, inner, columns;
    int64_t batch_stride, outer_stride, inner_stride, column_stride;
    int64_t panel; /* columns of a whole panel: of one register tile */
    int parts;     /* above 0: as I32 pairs of inner rows i and i + half (lower_pairs.h), that many parts of each */
} panel_matrix;

/* Emits the launch that rearranges them to [batch][panel][row][column of the panel]: column c of a panel that begins at
 * column f and has s of them is at (batch * columns + f) * rows + row * s + c - f. In pairs, `inner` counts them, and
 * parts lie one after the other. Returns the temporary buffer. */
int lower_pack_panels(lower_context *context, const panel_matrix *matrix, int buffer, int64_t source_elements,
                      source_span span);

#endif
