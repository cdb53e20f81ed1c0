/* Winograd's method: the weights at the points, for all maps that meet them. */
#include "passes/pair_panel.h"
#include "passes/transpose.h"
#include "passes/winograd.h"

enum { TAPS = WINOGRAD_TAPS * WINOGRAD_TAPS };

typedef struct {
    const winograd_weights *weights;
    int source, target, lanes;
    int64_t inputs, outputs, tap; /* strides of the source */
    int64_t numbers;              /* of a filter: channels, or pairs of them */
    kir_index from, to;
    int64_t channels_at_once; /* of turned weights, which lie the other way: squares of channels and filters */
    int turned;               /* scratch for them: [half of a pair][tap][channel][filter]; -1: none */
    int half;                 /* scratch for half of the evaluation */
} weight_elements;

static kir_reg load_tap(const kir_builder *builder, int row, kir_index column, void *user) {
    const weight_elements *at = user;
    kir_index tap = kir_plus_index(kir_at(row * WINOGRAD_TAPS), 1, column);
    if (at->weights->turned)
        tap = kir_plus_index(kir_at(TAPS - 1), -1, tap);
    kir_index from = kir_plus_index(at->from, at->tap, tap);
    return kir_load(builder, at->source, from, at->lanes, at->lanes);
}

/* Turns squares of all taps, from where `at` is, and puts `at` there. */
static void emit_turned(const kir_builder *builder, weight_elements *at, int half) {
    int64_t square = (int64_t)at->lanes * at->lanes;
    kir_index turned = kir_at(half * TAPS * square);
    kir_builder body;
    kir_reg tap = kir_loop(builder, kir_at(0), kir_at(TAPS), 1, &body);
    transpose_square from = {at->source, kir_plus(at->from, at->tap, tap), at->outputs};
    transpose_square to = {at->turned, kir_plus(turned, square, tap), at->lanes};
    transpose_copy(&body, &to, &from, at->lanes);
    at->source = at->turned;
    at->from = turned;
    at->tap = square;
}

static kir_index place_of_point(const weight_elements *at, kir_index row, int column) {
    kir_index to = kir_plus_index(at->to, WINOGRAD_WEIGHTS * at->weights->point, row);
    to.base += column * at->weights->point;
    return to;
}

static void store_weight(const kir_builder *builder, kir_index row, int column, kir_reg value, void *user) {
    const weight_elements *at = user;
    kir_store(builder, at->target, place_of_point(at, row, column), value, at->lanes);
}

static void store_pair(const kir_builder *builder, kir_index row, int column, kir_reg a, kir_reg b, void *user) {
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
    at.from = kir_plus_index(kir_at(0), at.inputs, channel);
    at.from = kir_plus_index(kir_plus_index(at.from, at.outputs, first), at.outputs, vector);
    weight_elements other = at; /* of a pair */
    other.from.base += at.inputs * at.numbers;
    if (at.turned >= 0) {
        emit_turned(&body, &at, 0);
        if (weights->parts > 0)
            emit_turned(&body, &other, 1);
        kir_builder inner;
        kir_reg number = kir_loop(&body, kir_at(0), kir_at(at.channels_at_once), 1, &inner);
        channel = kir_plus(channel, 1, number);
        at.from = kir_plus(at.from, at.lanes, number);
        other.from = kir_plus(other.from, at.lanes, number);
        body = inner;
    }
    at.to = kir_plus_index(kir_plus_index(kir_plus_index(kir_at(0), at.numbers, first), size, channel), 1, vector);
    if (weights->parts > 0) {
        other.to = at.to;
        winograd_transform_pair(&body, weights->matrix, at.half, at.lanes, load_tap, (void *const[]){&at, &other},
                                store_pair);
    } else {
        winograd_transform_rows(&body, weights->matrix, at.half, at.lanes, load_tap, store_weight, &at);
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
                            .channels_at_once = weights->turned ? lanes : 1,
                            .turned = -1};
    work.source = kir_argument_add(memory, kernel, "weights", KIR_F32, ir_type_elements(&w->type), true, false);
    int64_t elements = winograd_weight_elements(weights);
    work.target = kir_argument_add(memory, kernel, "points", element, elements, false, true);
    kir_stream(kernel, work.target);
    if (weights->turned)
        work.turned =
            kir_scratch_add(memory, kernel, "turned", KIR_F32, (weights->parts > 0 ? 2 : 1) * TAPS * lanes * lanes);
    work.half = winograd_half(memory, kernel, weights->matrix, weights->parts > 0 ? 2 : 1, lanes);
    kir_builder builder = {memory, kernel, &kernel->body, value->span};
    tile_blocks(&builder, weights->filters, weights->panel, emit_panel, &work);
    int buffers[] = {lower_buffer_in_layout(context, w, lower_conv_weight()),
                     lower_temporary(context, "winograd_weights", element, elements, value->span)};
    lower_launch(context, kernel, work.numbers / work.channels_at_once, buffers, value->span);
    return buffers[1];
}
