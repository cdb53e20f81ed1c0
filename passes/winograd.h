/* Inside the lowering of convolutions: Winograd's method for kernels of 3 x 3 at strides 1 and 2.
 *
 * A tile of 4 x 4 results is computed from a patch of 6 x 6 elements by 36 multiplications a pair of channels, where
 * the plain way takes 144: patches and weights are evaluated at five points and at infinity, along both axes,
 * multiplied point by point, and the results interpolated. At stride 2 the outer taps meet every other element of the
 * patch and the middle tap the ones between: a convolution with two taps, evaluated at five points, and plain products,
 * 81 multiplications in all. */
#ifndef PASSES_WINOGRAD_H
#define PASSES_WINOGRAD_H

#include "passes/fetch_ahead.h"
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
/* matrix * x * matrix^T, column by column loaded and row by row stored: as straight code, whose rows and columns are
 * numbers, the fastest and the longest. */
typedef kir_reg (*winograd_load)(const kir_builder *builder, int row, kir_index column, void *user);
typedef void (*winograd_store)(const kir_builder *builder, kir_index row, int column, kir_reg value, void *user);
void winograd_transform(const kir_builder *builder, const winograd_matrix *matrix, winograd_load load,
                        winograd_store store, void *user);
/* The same as loops over columns and rows: `half` is scratch memory for what stands between, of so many x. */
int winograd_half(arena *memory, kir_kernel *kernel, const winograd_matrix *matrix, int numbers, int lanes);
void winograd_transform_rows(const kir_builder *builder, const winograd_matrix *matrix, int half, int lanes,
                             winograd_load load, winograd_store store, void *user);
/* Of two x at once, which are to be pairs: loaded for users[0] and users[1], stored for users[0]. */
typedef void (*winograd_store_pair)(const kir_builder *builder, kir_index row, int column, kir_reg a, kir_reg b,
                                    void *user);
void winograd_transform_pair(const kir_builder *builder, const winograd_matrix *matrix, int half, int lanes,
                             winograd_load load, void *const users[2], winograd_store_pair store);

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

/* Tiles of a map at the points: elements [point][panel of channels][tile][channel of the panel]. In pairs of bf16 parts
 * they are [part][point][panel of pairs][tile][pair of the panel] where channel i meets channel i + half of all, or
 * [part][point][panel of channels][tile][channel of the panel] where two maps are paired, whose tiles count once. */
typedef struct {
    const winograd_matrix *matrix;
    int step;                             /* elements between patches */
    int source;                           /* the map's argument */
    int64_t size[2], channels, origin[2]; /* of the map; the first tile's first element */
    bool inside;                          /* patches never leave the map */
    int padded;                           /* else scratch for one map's part, with zeros around */
    int half;                             /* scratch, of pairs: half of the evaluation */
    int points;                           /* argument to write: F32, or I32 of pairs */
    int parts;                            /* of pairs; 0: no pairs */
    int64_t images_between;               /* those that are paired; 0: channels are */
    int64_t numbers, panel;               /* channels, or pairs of them: of a tile, of a whole panel */
    int64_t tiles;                        /* of a panel */
    int64_t point, part;                  /* elements between points and between parts */
} winograd_patches;

/* The patch is as wide as the matrix. */
winograd_patches winograd_patches_new(const winograd_tiling *tiling, const winograd_matrix *matrix, int step,
                                      const int64_t size[2], int64_t channels, const int64_t origin[2], int64_t panel);
/* Makes pairs of bf16 parts: of a map's channels, which are even, or of each map with that `between` further. */
void winograd_pair_channels(winograd_patches *patches, int parts);
void winograd_pair_images(winograd_patches *patches, int parts, int64_t between);
/* Decides where the points of that many tiles lie. */
void winograd_patches_lay(winograd_patches *patches, int64_t tiles, int lanes);
int64_t winograd_patches_elements(const winograd_patches *patches);
/* F32, or I32 of pairs. */
kir_element winograd_element(int parts);
/* The kernel is to evaluate the map in argument `source`: adds the scratch memory. */
void winograd_patches_open(winograd_patches *patches, arena *memory, kir_kernel *kernel, const winograd_tiling *tiling,
                           int source, int lanes);
/* How many maps a block's patches are of: one, or two that are paired. */
int winograd_map_count(const winograd_patches *patches);
/* Such a map of the block after this one, for the loops in which it is to be fetched. */
fetch_ahead winograd_fetch_next(const kir_builder *builder, const winograd_patches *patches,
                                const winograd_tiling *tiling, kir_index block, int map);
/* Emits the evaluation of a block's patches, written from tile `first` of each panel on. */
void winograd_emit_patches(kir_builder *builder, const winograd_patches *patches, const winograd_tiling *tiling,
                           const winograd_place *place, kir_index first, int lanes);

/* The weights at the points: [point][panel of filters][channel][filter of the panel]. In pairs of bf16 parts channel i
 * meets channel i + half of all: [part][point][panel of filters][pair][filter of the panel]. */
typedef struct {
    const winograd_matrix *matrix;
    bool turned; /* for the input's gradient: filters are summed over, taps from the other end */
    int parts;   /* of pairs; 0: no pairs */
    int64_t channels, filters;
    int64_t panel;       /* filters of a whole panel */
    int64_t point, part; /* elements between points and between parts */
} winograd_weights;

int64_t winograd_weight_elements(const winograd_weights *weights);
/* Emits the launch that evaluates the weights; `value` is the convolution. Returns the buffer. */
int winograd_launch_weights(lower_context *context, const winograd_weights *weights, const conv_shape *shape,
                            const ir_value *value);

/* Emits the launch that evaluates all tiles of the map of so many elements in the buffer. Returns that of the points.
 */
int winograd_launch_patches(lower_context *context, winograd_patches *patches, const winograd_tiling *tiling,
                            int buffer, int64_t map_elements, source_span span);

/* Elements between the points of `tiles` tiles: not a multiple of a page, which would crowd few sets of the caches. */
int64_t winograd_point_stride(int64_t tiles, int64_t channels, int lanes);

/* Whether the method applies and pays: forward and both gradients decide alike. */
bool winograd_pays(const conv_shape *shape, const kir_target *cpu);
/* By how many parts of each number the products of maps and weights are computed; 0: in f32. */
int winograd_parts(const pass_context *pass, const conv_shape *shape);
bool lower_winograd_forward(lower_context *context, const ir_value *value, const conv_shape *shape);
bool lower_winograd_input_grad(lower_context *context, const ir_value *value, const conv_shape *shape);
bool lower_winograd_weight_grad(lower_context *context, const ir_value *value, const conv_shape *shape);

#endif
