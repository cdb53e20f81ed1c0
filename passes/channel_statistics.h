/* Inside the lowering: sums and variations of a map's channels, as batch normalisation wants them, which the kernel of
 * the convolution that makes the map keeps while it stores it, so that the map isn't read for them. An iteration of the
 * kernel takes all channels or some of a part of the map, whose sum, mean and variation lower_reduction.c joins with
 * those of the other parts. */
#ifndef PASSES_CHANNEL_STATISTICS_H
#define PASSES_CHANNEL_STATISTICS_H

#include "passes/lower_units.h"
#include "passes/variation.h"

typedef struct channel_statistics {
    const lower_group *group; /* of the sum and the variation, or of one of them */
    int64_t channels;
    reduction_parts parts; /* buffers, once a kernel has given them */
    /* in that kernel */
    int sums, means, variations; /* arguments: [part][channel] */
    int running;                 /* scratch: [shift, sum and squares of the distances from it][channel] */
    int lanes;
} channel_statistics;

/* Finds the groups of the function that are sums and variations of a map of rank 4 over all axes but the channels'. */
void channel_statistics_find(lower_context *context, const lower_units *units);

/* Those of the value for a kernel that makes it in `parts` of `elements` places each; NULL where none are wanted, or
 * elements are 0: the parts differ. Adds the kernel's last arguments. */
channel_statistics *channel_statistics_open(lower_context *context, const ir_value *value, kir_kernel *kernel,
                                            int64_t parts, int64_t elements);
/* Emits, at the start of an iteration, that nothing has been taken. Does nothing without statistics, as the next. */
void channel_statistics_clear(const kir_builder *builder, const channel_statistics *statistics);
/* Emits, at the end of one, that so many channels of the part are stored. */
void channel_statistics_store(const kir_builder *builder, const channel_statistics *statistics, kir_index part,
                              kir_index first, int64_t channels);

/* A vector of channels while places are taken. */
typedef struct {
    kir_index channel; /* the first */
    running_variation so_far;
} statistics_vector;

/* A BOOL: the iteration has taken no place yet, being at 0 of all its loops, whose indices `loops` is the sum of. */
kir_reg channel_statistics_first(const kir_builder *builder, kir_index loops);
statistics_vector channel_statistics_begin(const kir_builder *builder, const channel_statistics *statistics,
                                           kir_index channel);
/* The value is the first of the iteration where `first`, a BOOL or -1 for always, holds. */
void channel_statistics_shift(const kir_builder *builder, const statistics_vector *vector, kir_reg first,
                              kir_reg value);
/* Takes a place's value where `inside`, a BOOL or -1 for always, holds. */
void channel_statistics_take(const kir_builder *builder, const statistics_vector *vector, kir_reg value,
                             kir_reg inside);
void channel_statistics_end(const kir_builder *builder, const channel_statistics *statistics,
                            const statistics_vector *vector);

/* Takes `rows` rows of `columns` channels, from `channel` on, that lie in argument `from`; the first of them is that of
 * the iteration where `first`, a BOOL or -1 for always, holds. */
typedef struct {
    int from;
    kir_index at, channel;
    int64_t rows, columns;
    kir_reg first;
} statistics_rows;
void channel_statistics_take_rows(const kir_builder *builder, const channel_statistics *statistics,
                                  const statistics_rows *rows);

/* lower_launch with the buffers of the statistics, which may be NULL, behind those given. */
void channel_statistics_launch(lower_context *context, channel_statistics *statistics, kir_kernel *kernel,
                               const int *buffers, int count, int64_t extent, source_span span);

/* Whether the group's results have been given by a kernel: emits their joining. */
bool channel_statistics_join(lower_context *context, const lower_group *group);

#endif
