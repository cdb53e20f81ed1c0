/* Inside Winograd's method for gradients of weights: products of both maps at a point, summed over tiles. */
#ifndef PASSES_WINOGRAD_SUMS_H
#define PASSES_WINOGRAD_SUMS_H

#include "passes/winograd.h"

typedef struct {
    const kir_target *cpu;
    const conv_shape *shape;
    int parts; /* of pairs, whose tiles count once; 0: no pairs */
    winograd_method method;
    winograd_matrix spread; /* of results to the points */
    winograd_matrix taps;   /* of sums at the points back to taps */
    winograd_tiling tiling;
    winograd_patches maps, gradients;
    int64_t chunks, sum_point, sum_chunk; /* elements between points and chunks of the sums */
    int sums;                             /* argument: [chunk][point][panel of filters][channel][filter of the panel] */
    bool once;                            /* in f32: sums are written once, and not read */
    kir_reg first_point;                  /* else BOOL, of large sums: the point is the first that is added to them */
    kir_reg fresh;                        /* BOOL: nothing has been added to them yet; -1: they begin as zeros */
    bool together;   /* tiles are evaluated in the same iteration, and the next block's maps fetched */
    kir_index block; /* then: at work */
    int turned;      /* scratch, of pairs: [part][block of `lanes` tiles][channel][tile of the block] */
    /* what the nested emitters are at */
    kir_index point, sum_number, sum_base, first_tile, filters_first, channels_first;
    int64_t filters, channels, tiles;
    kir_index from, to;
    int target, half; /* an argument; scratch for half of the way to taps */
} winograd_sums;

/* The memory in which a kernel turns `tiles` tiles of a map in pairs. */
void winograd_add_turned(winograd_sums *work, arena *memory, kir_kernel *kernel, int64_t tiles);
/* Emits the addition of work->tiles tiles from work->first_tile on to the sums of work->channels channels from
 * work->channels_first on, at the point: in pairs those are all. */
void winograd_emit_sums(kir_builder *builder, winograd_sums *work);

#endif
