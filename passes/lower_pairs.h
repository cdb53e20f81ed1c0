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
    double other_share;            /* of them that the best other way takes in f32's time: 1 by plain sums in f32 */
    int64_t rows, columns, summed; /* of the products of matrices that it is made of */
    int64_t numbers;               /* of both operands */
} pair_work;

/* Whether products [rows, summed] x [summed, columns] fill tiles of matrix units by half each way, at least. */
bool lower_fills_tiles(int64_t rows, int64_t columns, int64_t summed);
/* How long products in pairs take, under the chosen precision, where those of f32 take 1; at least one part. */
double lower_pairs_time(const pass_context *pass);
/* Whether the contraction is computed in pairs under the chosen precision: where matrix units, or without them dot
 * products of pairs, are faster than f32, with the rearranging. Where the processor has neither, the choice is that for
 * matrix units, whose results the vectors then give. */
bool lower_pairs_pay(const pass_context *pass, const pair_work *work);

/* Maps in blocks of images: [part][block][row][column][line][number], [line] and [number] exchanged, or in tiles of
 * the matrix units, each of which is in one piece: [tile][line][number of the tile]. */
typedef struct {
    int parts;
    int64_t blocks, size[2];
    int64_t block_from;                   /* stride of the source */
    int64_t lines, line_from, line_to;    /* images, or pairs of them; strides of source and target */
    int64_t length, number_to;            /* numbers of a line, and between neighbours */
    int64_t first_to;                     /* of number i that begins a tile: at i * first_to; else as number_to */
    int64_t second;                       /* from a number to the other of its pair, in the source */
    int64_t paired_lines, paired_numbers; /* those that have another */
    int64_t place, row, block, part;      /* strides of the target */
} pair_maps;

/* Pairs of channels: a line is an image of the block. blocks * images maps [size, channels]. */
pair_maps pair_maps_of_channels(int parts, int64_t blocks, int64_t images, const int64_t size[2], int64_t channels);
/* Pairs of a block's images: a line is such a pair. `turned`: the pairs of a channel are neighbours, else the channels
 * of a pair. */
pair_maps pair_maps_of_images(int parts, int64_t blocks, int64_t images, const int64_t size[2], int64_t channels,
                              bool turned);
/* Puts tiles of PAIR_UNIT numbers in one piece; for lines of whole tiles that are not turned. */
void pair_maps_in_tiles(pair_maps *maps);
/* Emits the launch that rearranges the buffer of `source_elements` numbers: of maps of one place, as matrices are, not
 * in tiles. Returns the temporary buffer. */
int lower_pack_pair_lines(lower_context *context, const pair_maps *maps, int buffer, int64_t source_elements,
                          source_span span);

#endif
