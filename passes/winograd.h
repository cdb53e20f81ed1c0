/* Inside the lowering of convolutions: Winograd's method for kernels of 3 x 3 at strides 1 and 2.
 *
 * A tile of 4 x 4 results is computed from a patch of 6 x 6 elements by 36 multiplications a pair of channels, where
 * the plain way takes 144: patches and weights are evaluated at five points and at infinity, along both axes,
 * multiplied point by point, and the results interpolated. At stride 2 the outer taps meet every other element of the
 * patch and the middle tap the ones between: a convolution with two taps, evaluated at five points, and plain products,
 * 81 multiplications in all. */
#ifndef PASSES_WINOGRAD_H
#define PASSES_WINOGRAD_H

#include "passes/lower_contraction.h"

enum { WINOGRAD_TAPS = 3, WINOGRAD_WEIGHTS = 6, WINOGRAD_MOST = 9 };

typedef struct {
    int rows, columns;
    double at[WINOGRAD_MOST][WINOGRAD_MOST];
} winograd_matrix;

typedef struct {
    int points;             /* along an axis */
    int outputs, step;      /* along an axis: results of a tile; elements between patches */
    winograd_matrix input;  /* patch -> points */
    winograd_matrix weight; /* taps -> points of the weights: WINOGRAD_WEIGHTS, the last for all points from there on */
    winograd_matrix output; /* points -> results */
} winograd_method;

winograd_method winograd_stride_1(void);
winograd_method winograd_stride_2(void);
/* The input's gradient at stride 2, of taps from the other end; with odd padding its first element meets the middle
 * tap. */
winograd_method winograd_stride_2_gradient(bool odd);
winograd_matrix winograd_transposed(const winograd_matrix *matrix);
/* Of a point of both axes: the weights' point that belongs to it. */
kir_index winograd_weight_point(const kir_builder *builder, const winograd_method *method, kir_reg point);
/* matrix * x * matrix^T: element by element loaded when it is needed, and stored when it is known. */
typedef kir_reg (*winograd_load)(const kir_builder *builder, int row, int column, void *user);
typedef void (*winograd_store)(const kir_builder *builder, int row, int column, kir_reg value, void *user);
void winograd_transform(const kir_builder *builder, const winograd_matrix *matrix, winograd_load load,
                        winograd_store store, void *user);

/* How the maps are cut into tiles, and which of them an iteration takes: `images` whole maps, or `rows` rows of tiles
 * of one map. */
typedef struct {
    int64_t count[2];     /* tiles of a map, downwards and across */
    int64_t images, rows; /* of a block */
    int64_t blocks;       /* of a map that several iterations share, else 1 */
    int64_t tiles;        /* of a block */
    int64_t extent;       /* blocks in all */
} winograd_tiling;

/* Blocks of about `wanted` tiles of outputs x outputs over n maps of `size` results. */
winograd_tiling winograd_tiling_new(int64_t n, const int64_t size[2], int outputs, int64_t wanted);

/* Where a block is. */
typedef struct {
    kir_index image, row; /* its first map and row of tiles */
} winograd_place;

winograd_place winograd_place_of(const kir_builder *builder, const winograd_tiling *tiling, kir_index block);

/* Tiles of a map at the points: elements [point][panel of channels][tile][channel of the panel]. */
typedef struct {
    const winograd_matrix *matrix;
    int step;                             /* elements between patches */
    int source;                           /* the map's argument */
    int64_t size[2], channels, origin[2]; /* of the map; the first tile's first element */
    int padded;                           /* scratch for one map's part, with zeros around; -1 where none are needed */
    int points;                           /* argument to write */
    int64_t panel;                        /* channels of a whole panel */
    int64_t tiles;                        /* of a panel */
    int64_t point;                        /* elements between points */
} winograd_patches;

/* Fills in everything but `points` and `point`; adds the scratch memory. The patch is as wide as the matrix. */
winograd_patches winograd_patches_new(arena *memory, kir_kernel *kernel, const winograd_tiling *tiling,
                                      const winograd_matrix *matrix, int step, int source, const int64_t size[2],
                                      int64_t channels, const int64_t origin[2], int64_t panel);
/* Emits the evaluation of a block's patches, written from tile `first` of each panel on. */
void winograd_emit_patches(kir_builder *builder, const winograd_patches *patches, const winograd_tiling *tiling,
                           const winograd_place *place, kir_index first, int lanes);

/* Elements between the points of `tiles` tiles: not a multiple of a page, which would crowd few sets of the caches. */
int64_t winograd_point_stride(int64_t tiles, int64_t channels, int lanes);

/* Whether the method applies and pays: forward and both gradients decide alike. */
bool winograd_pays(const conv_shape *shape, const kir_target *cpu);
bool lower_winograd_forward(lower_context *context, const ir_value *value, const conv_shape *shape);
bool lower_winograd_input_grad(lower_context *context, const ir_value *value, const conv_shape *shape);
bool lower_winograd_weight_grad(lower_context *context, const ir_value *value, const conv_shape *shape);

#endif
