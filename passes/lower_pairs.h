/* Inside the lowering of contractions: operands rearranged into pairs of bf16 parts (pair_panel.h).
 *
 * Any two numbers of a summation may make a pair, if both operands agree. Here number i of n meets number i + half,
 * where half is n / 2, rounded up: both are read in order. */
#ifndef PASSES_LOWER_PAIRS_H
#define PASSES_LOWER_PAIRS_H

#include "passes/lower_contraction.h"
#include "passes/pair_panel.h"

/* A contraction whose precision is to be chosen. */
typedef struct {
    double multiply_adds;
    double f32_share;              /* of them that f32 needs: less than 1 by Winograd's method */
    int64_t rows, columns, summed; /* of the products of matrices that it is made of */
    int64_t numbers;               /* of both operands */
} pair_work;

/* Whether products [rows, summed] x [summed, columns] fill tiles of matrix units by half each way, at least. */
bool lower_fills_tiles(int64_t rows, int64_t columns, int64_t summed);
/* Whether the contraction is computed in pairs under the chosen precision: where matrix units, or without them dot
 * products of pairs, are faster than f32, with the rearranging. Where the processor has neither, the choice is that for
 * matrix units, whose results the vectors then give. */
bool lower_pairs_pay(const pass_context *pass, const pair_work *work);

/* Maps in blocks of images, with margins of zeros: [part][block][row][column][line][number] or
 * [line] and [number] exchanged. */
typedef struct {
    int parts;
    int64_t blocks, size[2], margin[4];   /* of the maps: above, below, left, right */
    int64_t block_from;                   /* stride of the source */
    int64_t lines, line_from, line_to;    /* images, or pairs of them; strides of source and target */
    int64_t length, number_to;            /* numbers of a line */
    int64_t second;                       /* from a number to the other of its pair, in the source */
    int64_t paired_lines, paired_numbers; /* those that have another */
    int64_t place, row, block, part;      /* strides of the target */
} pair_maps;

/* Pairs of channels: a line is an image of the block. blocks * images maps [size, channels]. */
pair_maps pair_maps_of_channels(int parts, int64_t blocks, int64_t images, const int64_t size[2], int64_t channels,
                                const int64_t margin[4]);
/* Pairs of a block's images: a line is such a pair. `turned`: the pairs of a channel are neighbours, else the channels
 * of a pair. */
pair_maps pair_maps_of_images(int parts, int64_t blocks, int64_t images, const int64_t size[2], int64_t channels,
                              const int64_t margin[4], bool turned);
/* Emits the launch that rearranges the buffer of `source_elements` numbers: of maps of one place without margins, as
 * matrices are. Returns the temporary buffer. */
int lower_pack_pair_lines(lower_context *context, const pair_maps *maps, int buffer, int64_t source_elements,
                          source_span span);

#endif
