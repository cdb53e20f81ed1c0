/* Winograd's method: the weights at the points, for all maps that meet them. */
#include "passes/pair_panel.h"
#include "passes/winograd.h"

typedef struct {
    const winograd_weights *weights;
    int source, target, lanes;
    int64_t inputs, outputs, tap; /* strides of the source */
    int64_t numbers;              /* of a filter: channels, or pairs of them */
    kir_index from, to;
    int64_t channels_at_once; /* turned weights are read with strides: neighbours while they are near */
} weight_elements;

static kir_reg load_tap(const kir_builder *builder, int row, int column, void *user) {
    const weight_elements *at = user;
    kir_index from = at->from;
    int tap = row * WINOGRAD_TAPS + column;
    from.base += at->tap * (at->weights->turned ? WINOGRAD_TAPS * WINOGRAD_TAPS - 1 - tap : tap);
    return at->outputs == 1 ? kir_load(builder, at->source, from, at->lanes, at->lanes)
                            : kir_load_strided(builder, at->source, from, at->lanes, at->lanes, at->outputs);
}

static kir_index place_of_point(const weight_elements *at, int row, int column) {
    kir_index to = at->to;
    to.base += (row * WINOGRAD_WEIGHTS + column) * at->weights->point;
    return to;
}

static void store_weight(const kir_builder *builder, int row, int column, kir_reg value, void *user) {
    const weight_elements *at = user;
    kir_store(builder, at->target, place_of_point(at, row, column), value, at->lanes);
}

static void store_pair(const kir_builder *builder, int row, int column, kir_reg a, kir_reg b, void *user) {
    const weight_elements *at = user;
    pair_store_parts(builder, at->weights->parts, at->target, place_of_point(at, row, column), at->weights->part, a, b,
                     at->lanes);
}

static void emit_panel(kir_builder *builder, kir_index first, int64_t size, void *user) {
    weight_elements at = *(weight_elements *)user;
    const winograd_weights *weights = at.weights;
    kir_builder body = *builder;
    kir_index vector = kir_at(0);
    if (size > at.lanes)
        vector = kir_plus(vector, 1, kir_loop(builder, kir_at(0), kir_at(size), at.lanes, &body));
    kir_index channel = kir_plus(kir_at(0), at.channels_at_once, 0);
    if (at.channels_at_once > 1) {
        kir_builder inner;
        channel = kir_plus(channel, 1, kir_loop(&body, kir_at(0), kir_at(at.channels_at_once), 1, &inner));
        body = inner;
    }
    at.from = kir_plus_index(kir_at(0), at.inputs, channel);
    at.from = kir_plus_index(kir_plus_index(at.from, at.outputs, first), at.outputs, vector);
    at.to = kir_plus_index(kir_plus_index(kir_plus_index(kir_at(0), at.numbers, first), size, channel), 1, vector);
    if (weights->parts > 0) {
        weight_elements other = at;
        other.from.base += at.inputs * at.numbers;
        winograd_transform_pair(&body, weights->matrix, load_tap, (void *const[]){&at, &other}, store_pair);
    } else {
        winograd_transform(&body, weights->matrix, load_tap, store_weight, &at);
    }
}

int64_t winograd_weight_elements(const winograd_weights *weights) {
    return weights->parts > 0 ? weights->parts * weights->part : WINOGRAD_WEIGHTS * WINOGRAD_WEIGHTS * weights->point;
}

/* An iteration takes a channel or a pair, or a few. */
int winograd_launch_weights(lower_context *context, const winograd_weights *weights, const conv_shape *shape,
                            const ir_value *value) {
    const ir_value *w = value->operands[1];
    arena *memory = context->memory;
    kir_kernel *kernel = kir_kernel_new(memory, "winograd_weights", value->span);
    int lanes = context->pass->target.lanes;
    kir_element element = weights->parts > 0 ? KIR_I32 : KIR_F32;
    weight_elements work = {.weights = weights,
                            .lanes = lanes,
                            .inputs = weights->turned ? 1 : shape->filters,
                            .outputs = weights->turned ? shape->filters : 1,
                            .tap = shape->channels * shape->filters,
                            .numbers = weights->parts > 0 ? weights->channels / 2 : weights->channels,
                            .channels_at_once = weights->turned ? lanes : 1};
    work.source = kir_argument_add(memory, kernel, "weights", KIR_F32, ir_type_elements(&w->type), true, false);
    int64_t elements = winograd_weight_elements(weights);
    work.target = kir_argument_add(memory, kernel, "points", element, elements, false, true);
    kir_stream(kernel, work.target);
    kir_builder builder = {memory, kernel, &kernel->body, value->span};
    tile_blocks(&builder, weights->filters, weights->panel, emit_panel, &work);
    int buffers[] = {lower_buffer_in_layout(context, w, lower_conv_weight()),
                     lower_temporary(context, "winograd_weights", element, elements, value->span)};
    lower_launch(context, kernel, work.numbers / work.channels_at_once, buffers, value->span);
    return buffers[1];
}
