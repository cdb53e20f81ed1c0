/* Contractions by kind, and what the convolutions share: sizes and padded maps. */
#include "passes/lower_contraction.h"

#include <assert.h>

enum { SCRATCH_BYTES = 512 << 10 };

bool lower_contraction(lower_context *context, const ir_value *value) {
    switch (value->opcode) {
    case IR_OP_dot: return lower_dot_in_place(context, value) || lower_dot(context, value);
    case IR_OP_conv2d: return lower_conv_forward(context, value);
    case IR_OP_conv2d_input_grad: return lower_conv_input_grad(context, value);
    case IR_OP_conv2d_weight_grad: return lower_conv_weight_grad(context, value);
    default: assert(!"no contraction"); return false;
    }
}

int64_t lower_divisor_below(int64_t count, int64_t limit) {
    int64_t size = limit < count ? limit : count;
    while (size > 1 && count % size != 0)
        size--;
    return size < 1 ? 1 : size;
}

int64_t lower_chunk_count(int64_t count, int64_t bytes) {
    enum { CHUNK_BYTES = 32 << 20, MOST_CHUNKS = 16 };
    int64_t limit = CHUNK_BYTES / bytes;
    return lower_divisor_below(count, limit > MOST_CHUNKS ? MOST_CHUNKS : limit);
}

kir_index lower_take_digit(const kir_builder *builder, kir_index *number, int64_t values) {
    if (values == 1)
        return kir_at(0);
    kir_reg whole = kir_value(builder, *number), count = kir_value(builder, kir_at(values));
    kir_reg digit = kir_op2(builder, KIR_rem, whole, count);
    *number = kir_plus(kir_at(0), 1, kir_op2(builder, KIR_div, whole, count));
    return kir_plus(kir_at(0), 1, digit);
}

conv_shape lower_conv_shape(const ir_value *conv) {
    const ir_type *x = &conv->operands[0]->type, *w = &conv->operands[1]->type, *y = &conv->type;
    if (conv->opcode == IR_OP_conv2d_input_grad) {
        x = &conv->type;
        y = &conv->operands[0]->type;
    } else if (conv->opcode == IR_OP_conv2d_weight_grad) {
        w = &conv->type;
        y = &conv->operands[1]->type;
    }
    conv_shape shape = {
        .n = x->dims[0], .channels = x->dims[1], .filters = w->dims[0], .groups = ir_int(conv, IR_ATTR_groups)};
    for (int i = 0; i < 2; i++) {
        shape.size[i] = x->dims[2 + i];
        shape.out[i] = y->dims[2 + i];
        shape.kernel[i] = w->dims[2 + i];
        shape.stride[i] = ir_ints(conv, IR_ATTR_stride)[i];
        shape.dilation[i] = ir_ints(conv, IR_ATTR_dilation)[i];
    }
    for (int i = 0; i < 4; i++)
        shape.padding[i] = ir_ints(conv, IR_ATTR_padding)[i];
    return shape;
}

padded_maps lower_padded_maps(arena *memory, kir_kernel *kernel, int source, int64_t n, const int64_t size[2],
                              int64_t channels, const int64_t margin[4]) {
    padded_maps maps = {.argument = source, .images = 1, .channels = channels, .direct = true};
    for (int i = 0; i < 4; i++) {
        maps.margin[i] = margin[i] > 0 ? margin[i] : 0;
        maps.direct &= maps.margin[i] == 0;
    }
    maps.rows = size[0] + maps.margin[0] + maps.margin[1];
    maps.columns = size[1] + maps.margin[2] + maps.margin[3];
    maps.row = maps.columns * channels;
    maps.image = maps.rows * maps.row;
    /* Several small maps at once, so that the weights are read once for all of them. */
    for (int64_t images = 2; images <= n / ENOUGH_ITERATIONS; images++)
        if (n % images == 0 && images * maps.image * 4 <= SCRATCH_BYTES)
            maps.images = images;
    if (!maps.direct)
        maps.argument = kir_scratch_add(memory, kernel, "padded", KIR_F32, maps.images * maps.image);
    return maps;
}

void lower_move_elements(kir_builder *builder, int to, kir_index target, int from, kir_index source, int64_t length,
                         int lanes) {
    int64_t whole = length / lanes * lanes;
    if (whole > 0) {
        kir_builder body;
        kir_reg index = kir_loop(builder, kir_at(0), kir_at(whole), lanes, &body);
        kir_store(&body, to, kir_plus(target, 1, index),
                  kir_load_f32(&body, from, kir_plus(source, 1, index), lanes, lanes), lanes);
    }
    if (whole < length) {
        int count = (int)(length - whole);
        source.base += whole;
        target.base += whole;
        kir_store(builder, to, target, kir_load_f32(builder, from, source, lanes, count), count);
    }
}

void lower_clear_elements(kir_builder *builder, int to, kir_index target, int64_t length, int lanes) {
    kir_type type = kir_vector_type(builder->kernel->arguments[to].element, lanes);
    int64_t whole = length / lanes * lanes;
    if (whole > 0) {
        kir_builder body;
        kir_reg index = kir_loop(builder, kir_at(0), kir_at(whole), lanes, &body);
        kir_store(&body, to, kir_plus(target, 1, index), kir_number(&body, type, 0), lanes);
    }
    target.base += whole;
    if (whole < length)
        kir_store(builder, to, target, kir_number(builder, type, 0), (int)(length - whole));
}

kir_index lower_copy_padded(kir_builder *builder, const padded_maps *maps, int source, const int64_t size[2],
                            kir_index first, int lanes) {
    if (maps->direct)
        return kir_plus_index(kir_at(0), maps->image, first);
    kir_builder image_body, row_body;
    kir_reg image = kir_loop(builder, kir_at(0), kir_at(maps->images), 1, &image_body);
    kir_index target = kir_plus(kir_at(0), maps->image, image);
    int64_t line = size[1] * maps->channels, left = maps->margin[2] * maps->channels,
            right = maps->margin[3] * maps->channels;
    lower_clear_elements(&image_body, maps->argument, target, maps->margin[0] * maps->row, lanes);
    kir_reg row = kir_loop(&image_body, kir_at(0), kir_at(size[0]), 1, &row_body);
    kir_index start = kir_plus(target, maps->row, row);
    start.base += maps->margin[0] * maps->row;
    kir_index from = kir_plus(kir_plus_index(kir_at(0), size[0] * line, kir_plus(first, 1, image)), line, row);
    lower_clear_elements(&row_body, maps->argument, start, left, lanes);
    start.base += left;
    lower_move_elements(&row_body, maps->argument, start, source, from, line, lanes);
    start.base += line;
    lower_clear_elements(&row_body, maps->argument, start, right, lanes);
    target.base += (maps->margin[0] + size[0]) * maps->row;
    lower_clear_elements(&image_body, maps->argument, target, maps->margin[1] * maps->row, lanes);
    return kir_at(0);
}
