/* Pools over the last two axes of [N, C, H, W]: vectors over the channels where those are contiguous, else one by one.
 */
#include "passes/lower_nest.h"

#include <math.h>

enum { N, C, H, W };

typedef struct {
    const ir_value *value;
    const ir_type *map, *pooled; /* of the large and of the small side */
    int64_t kernel[2], stride[2], padding[4];
    int lanes;
    int places; /* buffer: of each window's first maximum, for the gradient */
} pool;

static pool pool_of(lower_context *context, const ir_value *value, const ir_type *map, const ir_type *pooled) {
    pool work = {.value = value, .map = map, .pooled = pooled};
    for (int i = 0; i < 2; i++) {
        work.kernel[i] = ir_ints(value, IR_ATTR_kernel)[i];
        work.stride[i] = ir_ints(value, IR_ATTR_stride)[i];
    }
    for (int i = 0; i < 4; i++)
        work.padding[i] = ir_ints(value, IR_ATTR_padding)[i];
    bool channels_last = value->layout.axis[3] == C && value->operands[0]->layout.axis[3] == C &&
                         value->operands[value->operand_count - 1]->layout.axis[3] == C;
    work.lanes = channels_last ? context->pass->target.lanes : 1;
    return work;
}

static kir_builder open_loop(lower_kernel *kernel, int64_t size, kir_index *index) {
    kir_builder body;
    kir_reg reg = kir_loop(&kernel->builder, kir_at(0), kir_at(size), 1, &body);
    *index = kir_plus(kir_at(0), 1, reg);
    return body;
}

/* Runs the rest of the nest inside `if (0 <= index < size)`; false at compile time never happens as windows overlap
 * maps. */
static void open_bounds(lower_kernel *kernel, kir_index index, int64_t size) {
    kir_builder *builder = &kernel->builder;
    kir_reg place = kir_value(builder, index);
    kir_reg above = kir_op2(builder, KIR_less_equal, kir_value(builder, kir_at(0)), place);
    kir_reg below = kir_op2(builder, KIR_less, place, kir_value(builder, kir_at(size)));
    kir_builder inside;
    kir_if(builder, kir_op2(builder, KIR_and, above, below), &inside, NULL);
    kernel->builder = inside;
}

typedef void (*emit_place)(lower_kernel *kernel, const pool *work, lower_coordinate *at, int lanes, int count);

/* An iteration an image; loops over rows, columns and channels of `type`. */
static void each_place(lower_kernel *kernel, const pool *work, const ir_type *type, emit_place emit) {
    lower_coordinate at[4] = {{kir_plus(kir_at(0), 1, 0), 0}, {kir_at(0), 0}, {kir_at(0), 0}, {kir_at(0), 0}};
    kernel->builder = open_loop(kernel, type->dims[H], &at[H].base);
    kernel->builder = open_loop(kernel, type->dims[W], &at[W].base);
    kir_builder outer = kernel->builder;
    int64_t whole = type->dims[C] / work->lanes * work->lanes;
    if (whole > 0) {
        kir_builder body;
        kir_reg index = kir_loop(&outer, kir_at(0), kir_at(whole), work->lanes, &body);
        at[C] = (lower_coordinate){kir_plus(kir_at(0), 1, index), work->lanes > 1};
        kernel->builder = body;
        emit(kernel, work, at, work->lanes, work->lanes);
        kernel->builder = outer;
    }
    if (whole < type->dims[C]) {
        at[C] = (lower_coordinate){kir_at(whole), 1};
        emit(kernel, work, at, work->lanes, (int)(type->dims[C] - whole));
    }
    lower_kernel_launch(kernel, type->dims[N]);
}

static kir_reg new_register(lower_kernel *kernel, kir_type type, double number) {
    kir_reg reg = kir_register(&kernel->builder, type);
    kir_assign(&kernel->builder, reg, kir_number(&kernel->builder, type, number));
    return reg;
}

static kir_reg load(lower_kernel *kernel, const ir_value *value, const lower_coordinate *at, int lanes, int count) {
    return lower_load_at(kernel, lower_buffer(kernel->context, value), &value->type, &value->layout, at, lanes, count);
}

static void store(lower_kernel *kernel, const ir_value *value, const lower_coordinate *at, kir_reg element, int count) {
    lower_store_at(kernel, lower_result_buffer(kernel->context, value), &value->type, &value->layout, at, element,
                   count);
}

/* Opens loops over the window of the pooled place `at`, with bounds; `inside` gets the map's coordinates. */
static void open_window(lower_kernel *kernel, const pool *work, const lower_coordinate *at, lower_coordinate *inside) {
    inside[N] = at[N];
    inside[C] = at[C];
    for (int i = 0; i < 2; i++) {
        kir_index offset;
        kernel->builder = open_loop(kernel, work->kernel[i], &offset);
        kir_index place = kir_plus_index(kir_at(-work->padding[2 * i]), work->stride[i], at[H + i].base);
        inside[H + i] = (lower_coordinate){kir_plus_index(place, 1, offset), 0};
        if (work->padding[2 * i] || work->padding[2 * i + 1])
            open_bounds(kernel, inside[H + i].base, work->map->dims[H + i]);
    }
}

static void emit_pooled(lower_kernel *kernel, const pool *work, lower_coordinate *at, int lanes, int count) {
    kir_type type = kir_vector_type(KIR_F32, lanes);
    bool maximum = work->value->opcode == IR_OP_max_pool2d;
    kir_reg best = new_register(kernel, type, maximum ? -INFINITY : 0);
    kir_builder outer = kernel->builder;
    lower_coordinate inside[4];
    open_window(kernel, work, at, inside);
    kir_reg element = load(kernel, work->value->operands[0], inside, lanes, count);
    if (maximum)
        kir_assign(&kernel->builder, best, lower_maximum(&kernel->builder, best, element));
    else
        kir_into(&kernel->builder, best, KIR_add, best, element, -1);
    kernel->builder = outer;
    if (!maximum) {
        double share = 1.0 / (double)(work->kernel[0] * work->kernel[1]);
        best = kir_op2(&kernel->builder, KIR_mul, best, kir_number(&kernel->builder, type, share));
    }
    store(kernel, work->value, at, best, count);
}

/* ---- gradients: each place of the map gathers from the windows that hold it
 * -------------------------------------------------------- */

/* Opens loops over the pooled places whose window may hold the map's place `at`: p with p * stride - padding + k =
 * place for some k. `pooled` gets their coordinates. */
static void open_windows_of(lower_kernel *kernel, const pool *work, const lower_coordinate *at,
                            lower_coordinate *pooled) {
    pooled[N] = at[N];
    pooled[C] = at[C];
    for (int i = 0; i < 2; i++) {
        kir_builder *builder = &kernel->builder;
        kir_index offset;
        *builder = open_loop(kernel, work->kernel[i], &offset);
        kir_reg numerator = kir_value(
            builder, kir_plus_index(kir_plus_index(kir_at(work->padding[2 * i]), 1, at[H + i].base), -1, offset));
        kir_reg stride = kir_value(builder, kir_at(work->stride[i])), zero = kir_value(builder, kir_at(0));
        kir_reg fits = kir_op2(builder, KIR_and, kir_op2(builder, KIR_less_equal, zero, numerator),
                               kir_op2(builder, KIR_equal, kir_op2(builder, KIR_rem, numerator, stride), zero));
        kir_builder inside;
        kir_if(builder, fits, &inside, NULL);
        *builder = inside;
        kir_reg place = kir_op2(builder, KIR_div, numerator, stride);
        pooled[H + i] = (lower_coordinate){kir_plus(kir_at(0), 1, place), 0};
        open_bounds(kernel, pooled[H + i].base, work->pooled->dims[H + i]);
    }
}

static void emit_average_gradient(lower_kernel *kernel, const pool *work, lower_coordinate *at, int lanes, int count) {
    kir_type type = kir_vector_type(KIR_F32, lanes);
    kir_reg sum = new_register(kernel, type, 0);
    kir_builder outer = kernel->builder;
    lower_coordinate pooled[4];
    open_windows_of(kernel, work, at, pooled);
    kir_reg element = load(kernel, work->value->operands[0], pooled, lanes, count);
    kir_into(&kernel->builder, sum, KIR_add, sum, element, -1);
    kernel->builder = outer;
    double share = 1.0 / (double)(work->kernel[0] * work->kernel[1]);
    store(kernel, work->value, at, kir_op2(&kernel->builder, KIR_mul, sum, kir_number(&kernel->builder, type, share)),
          count);
}

/* The place of the first maximum of a window, as its number row * W + column in f32 (exact below 2^24). */
static kir_reg first_maximum(lower_kernel *kernel, const pool *work, const lower_coordinate *pooled, int lanes,
                             int count) {
    kir_type type = kir_vector_type(KIR_F32, lanes);
    kir_reg best = new_register(kernel, type, -INFINITY), place = new_register(kernel, type, -1);
    kir_builder outer = kernel->builder;
    lower_coordinate inside[4];
    open_window(kernel, work, pooled, inside);
    kir_builder *builder = &kernel->builder;
    kir_reg element = load(kernel, work->value->operands[0], inside, lanes, count);
    kir_index number = kir_plus_index(kir_plus_index(kir_at(0), work->map->dims[W], inside[H].base), 1, inside[W].base);
    kir_reg here = kir_splat(
        builder, kir_convert(builder, kir_convert(builder, kir_value(builder, number), KIR_I32), KIR_F32), lanes);
    /* The first one counts whatever it is: a window may hold nothing but -inf. */
    kir_reg first = kir_op2(builder, KIR_less, place, kir_number(builder, type, 0));
    kir_reg better = kir_op2(builder, KIR_or, first, lower_is_larger(builder, element, best));
    kir_into(builder, best, KIR_select, better, element, best);
    kir_into(builder, place, KIR_select, better, here, place);
    kernel->builder = outer;
    return place;
}

/* Stores it for every window, in the order of the gradients that it decides about. */
static void emit_maximum_place(lower_kernel *kernel, const pool *work, lower_coordinate *at, int lanes, int count) {
    const ir_value *gradients = work->value->operands[1];
    kir_reg place = first_maximum(kernel, work, at, lanes, count);
    lower_store_at(kernel, work->places, &gradients->type, &gradients->layout, at, place, count);
}

static void emit_maximum_gradient(lower_kernel *kernel, const pool *work, lower_coordinate *at, int lanes, int count) {
    kir_type type = kir_vector_type(KIR_F32, lanes);
    kir_reg sum = new_register(kernel, type, 0);
    kir_builder *builder = &kernel->builder;
    kir_index number = kir_plus_index(kir_plus_index(kir_at(0), work->map->dims[W], at[H].base), 1, at[W].base);
    kir_reg own = kir_splat(
        builder, kir_convert(builder, kir_convert(builder, kir_value(builder, number), KIR_I32), KIR_F32), lanes);
    kir_builder outer = kernel->builder;
    lower_coordinate pooled[4];
    open_windows_of(kernel, work, at, pooled);
    const ir_value *gradients = work->value->operands[1];
    kir_reg chosen = lower_load_at(kernel, work->places, &gradients->type, &gradients->layout, pooled, lanes, count);
    kir_reg element = load(kernel, gradients, pooled, lanes, count);
    kir_reg mine = kir_op2(builder, KIR_equal, chosen, own);
    kir_reg share = kir_op3(builder, KIR_select, mine, element, kir_number(builder, type, 0));
    kir_into(builder, sum, KIR_add, sum, share, -1);
    kernel->builder = outer;
    store(kernel, work->value, at, sum, count);
}

bool lower_window(lower_context *context, const ir_value *value) {
    bool forward = value->opcode == IR_OP_max_pool2d || value->opcode == IR_OP_avg_pool2d;
    const ir_type *other = &value->operands[value->operand_count - 1]->type;
    pool work = forward ? pool_of(context, value, &value->operands[0]->type, &value->type)
                        : pool_of(context, value, &value->type, other);
    if (value->opcode == IR_OP_max_pool2d_grad) {
        work.places = lower_temporary(context, "places", KIR_F32, ir_type_elements(other), value->span);
        lower_kernel places = lower_kernel_begin(context, "max_pool2d_places", value);
        each_place(&places, &work, other, emit_maximum_place);
    }
    lower_kernel kernel = lower_kernel_begin(context, ir_op(value->opcode)->name, value);
    emit_place emit = forward                                  ? emit_pooled
                      : value->opcode == IR_OP_avg_pool2d_grad ? emit_average_gradient
                                                               : emit_maximum_gradient;
    each_place(&kernel, &work, &value->type, emit);
    return true;
}
