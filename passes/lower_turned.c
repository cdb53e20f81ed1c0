/* Copies between layouts whose innermost axes differ, square by square: both sides are read and written a vector at a
 * time, and every line of the caches once. */
#include "passes/lower_nest.h"
#include "passes/transpose.h"

typedef struct {
    int64_t from[IR_MAX_RANK], to[IR_MAX_RANK]; /* strides */
    int read, written;                          /* the innermost axes of either side */
} turned_copy;

static bool has_words(const lower_context *context, int buffer) {
    return lower_element_bytes(context->program->buffers[buffer].element) == 4;
}

/* The other axes, and the squares along the one that is written innermost, are the launch's iterations. */
static int64_t split(lower_kernel *kernel, const ir_type *type, const ir_layout *layout, const turned_copy *copy,
                     lower_coordinate *at) {
    int lanes = kernel->context->pass->target.lanes, count = 0;
    ir_type squares = *type;
    squares.dims[copy->written] /= lanes;
    int8_t axes[IR_MAX_RANK];
    int64_t extent = 1;
    for (int i = 0; i < type->rank; i++)
        if (layout->axis[i] != copy->read) {
            axes[count++] = layout->axis[i];
            extent *= squares.dims[layout->axis[i]];
        }
    lower_split_iteration(kernel, &squares, axes, count, at);
    at[copy->written].base = kir_plus_index(kir_at(0), lanes, at[copy->written].base);
    return extent;
}

bool lower_turned_copy(lower_kernel *kernel, const ir_type *type, int from, const ir_layout *from_layout, int to,
                       const ir_layout *to_layout) {
    const lower_context *context = kernel->context;
    int lanes = context->pass->target.lanes;
    turned_copy copy = {.read = lower_innermost_axis(type, from_layout),
                        .written = lower_innermost_axis(type, to_layout)};
    if (lanes == 1 || copy.read < 0 || copy.read == copy.written || type->dims[copy.read] % lanes != 0 ||
        type->dims[copy.written] % lanes != 0 || !has_words(context, from) || !has_words(context, to))
        return false;
    ir_strides(type, from_layout, copy.from);
    ir_strides(type, to_layout, copy.to);
    lower_coordinate at[IR_MAX_RANK];
    int64_t extent = split(kernel, type, to_layout, &copy, at);
    kir_builder body;
    kir_reg index = kir_loop(&kernel->builder, kir_at(0), kir_at(type->dims[copy.read]), lanes, &body);
    at[copy.read] = (lower_coordinate){kir_plus(kir_at(0), 1, index), 0};
    transpose_square source = {lower_argument(kernel, from, false), lower_place_at(type, from_layout, at),
                               copy.from[copy.written]};
    transpose_square target = {lower_argument(kernel, to, true), lower_place_at(type, to_layout, at),
                               copy.to[copy.read]};
    transpose_copy(&body, &target, &source, lanes);
    kir_stream(kernel->kernel, target.argument);
    lower_kernel_launch(kernel, extent);
    return true;
}
