/* Making and rearranging tensors, and random numbers. */
#include "frontend/builtins.h"

#include <stdlib.h>
#include <string.h>

static fe_value builtin_reshape(fe_context *context, fe_value *arguments, source_span span) {
    ir_value *tensor = fe_to_tensor(context, &arguments[0], "x");
    ir_type type;
    if (!tensor || !fe_to_shape(context, &arguments[1], &type))
        return fe_error(span);
    type.dtype = tensor->type.dtype;
    return fe_wrap(fe_build(context, IR_OP_reshape, &tensor, 1, NULL, 0, &type, span), span);
}

static fe_value builtin_transpose(fe_context *context, fe_value *arguments, source_span span) {
    ir_value *tensor = fe_to_tensor(context, &arguments[0], "x");
    int64_t axes[IR_MAX_RANK];
    int count;
    if (!tensor || !fe_to_axes(context, &arguments[1], &tensor->type, 0, axes, &count))
        return fe_error(span);
    ir_attr attr = ir_attr_ints_make(context->memory, IR_ATTR_axes, axes, count);
    return fe_wrap(fe_build(context, IR_OP_transpose, &tensor, 1, &attr, 1, NULL, span), span);
}

/* [N, …] -> [N, F] */
static fe_value builtin_flatten(fe_context *context, fe_value *arguments, source_span span) {
    ir_value *tensor = fe_to_tensor(context, &arguments[0], "x");
    if (!tensor)
        return fe_error(span);
    if (tensor->type.rank < 2)
        return fe_fail(context, span, "flatten needs at least 2 axes, not %s",
                       ir_shape_text(context->memory, &tensor->type));
    ir_type type = ir_type_make(tensor->type.dtype, 2, (int64_t[]){tensor->type.dims[0], 1});
    type.dims[1] = ir_type_elements(&tensor->type) / tensor->type.dims[0];
    return fe_wrap(fe_build(context, IR_OP_reshape, &tensor, 1, NULL, 0, &type, span), span);
}

static fe_value builtin_concat(fe_context *context, fe_value *arguments, source_span span) {
    /* concat(a, b, …) or concat([a, b, …]), then axis by name. */
    fe_value parts = arguments[1];
    if (parts.item_count == 1 && (parts.items[0].kind == FE_VALUE_LIST || parts.items[0].kind == FE_VALUE_TUPLE))
        parts = parts.items[0];
    if (parts.item_count == 0)
        return fe_fail(context, span, "concat needs tensors");
    ir_value **tensors = arena_alloc(context->memory, (size_t)parts.item_count * sizeof(ir_value *));
    for (int i = 0; i < parts.item_count; i++)
        if (!(tensors[i] = fe_to_tensor(context, &parts.items[i], "each part")))
            return fe_error(span);
    int axis;
    if (!fe_to_axis(context, &arguments[0], tensors[0]->type.rank, &axis))
        return fe_error(span);
    ir_attr attr = ir_attr_int_make(context->memory, IR_ATTR_axis, axis);
    return fe_wrap(fe_build(context, IR_OP_concat, tensors, parts.item_count, &attr, 1, NULL, span), span);
}

static fe_value builtin_pad(fe_context *context, fe_value *arguments, source_span span) {
    ir_value *tensor = fe_to_tensor(context, &arguments[0], "x");
    int64_t low[IR_MAX_RANK], high[IR_MAX_RANK], interior[IR_MAX_RANK] = {0};
    int low_count, high_count;
    double value;
    if (!tensor || !fe_to_sizes(context, &arguments[1], "low", 0, IR_MAX_RANK, 0, low, &low_count) ||
        !fe_to_sizes(context, &arguments[2], "high", 0, IR_MAX_RANK, 0, high, &high_count) ||
        !fe_to_number(context, &arguments[3], "value", &value))
        return fe_error(span);
    ir_attr attrs[] = {ir_attr_ints_make(context->memory, IR_ATTR_low, low, low_count),
                       ir_attr_ints_make(context->memory, IR_ATTR_high, high, high_count),
                       ir_attr_ints_make(context->memory, IR_ATTR_interior, interior, tensor->type.rank),
                       ir_attr_number_make(IR_ATTR_value, value)};
    return fe_wrap(fe_build(context, IR_OP_pad, &tensor, 1, attrs, 4, NULL, span), span);
}

static fe_value builtin_gather(fe_context *context, fe_value *arguments, source_span span) {
    ir_value *operands[] = {fe_to_tensor(context, &arguments[0], "x"), NULL};
    operands[1] = operands[0] ? fe_to_tensor(context, &arguments[1], "indices") : NULL;
    int axis;
    int64_t batch;
    if (!operands[1] || !fe_to_axis(context, &arguments[2], operands[0]->type.rank, &axis) ||
        !fe_to_size(context, &arguments[3], "batch", 0, &batch))
        return fe_error(span);
    ir_attr attrs[] = {ir_attr_int_make(context->memory, IR_ATTR_axis, axis),
                       ir_attr_int_make(context->memory, IR_ATTR_batch, batch)};
    return fe_wrap(fe_build(context, IR_OP_gather, operands, 2, attrs, 2, NULL, span), span);
}

/* x[i, i, …]: [N, N, …] -> [N, …] */
static fe_value builtin_diagonal(fe_context *context, fe_value *arguments, source_span span) {
    ir_value *tensor = fe_to_tensor(context, &arguments[0], "x");
    if (!tensor)
        return fe_error(span);
    const ir_type *type = &tensor->type;
    if (type->rank < 2 || type->dims[0] != type->dims[1])
        return fe_fail(context, span, "a diagonal needs two equal first axes, not %s",
                       ir_shape_text(context->memory, type));
    ir_value *operands[] = {tensor, fe_iota(context, type->dims, 1, 0, span)};
    ir_attr attrs[] = {ir_attr_int_make(context->memory, IR_ATTR_axis, 1),
                       ir_attr_int_make(context->memory, IR_ATTR_batch, 1)};
    return fe_wrap(fe_build(context, IR_OP_gather, operands, 2, attrs, 2, NULL, span), span);
}

static fe_value constant_of_shape(fe_context *context, const fe_value *shape, double number, source_span span) {
    ir_type type;
    if (!fe_to_shape(context, shape, &type))
        return fe_error(span);
    ir_attr attr = ir_attr_number_make(IR_ATTR_value, number);
    return fe_wrap(fe_build(context, IR_OP_constant, NULL, 0, &attr, 1, &type, span), span);
}

static fe_value builtin_full(fe_context *context, fe_value *arguments, source_span span) {
    double number;
    if (!fe_to_number(context, &arguments[1], "value", &number))
        return fe_error(span);
    return constant_of_shape(context, &arguments[0], number, span);
}

static fe_value builtin_zeros(fe_context *context, fe_value *arguments, source_span span) {
    return constant_of_shape(context, &arguments[0], 0, span);
}

static fe_value builtin_ones(fe_context *context, fe_value *arguments, source_span span) {
    return constant_of_shape(context, &arguments[0], 1, span);
}

static fe_value builtin_indices(fe_context *context, fe_value *arguments, source_span span) {
    int64_t count;
    if (!fe_to_size(context, &arguments[0], "count", 1, &count))
        return fe_error(span);
    return fe_wrap(fe_iota(context, &count, 1, 0, span), span);
}

/* (0 + by) % n, (1 + by) % n, … */
static fe_value builtin_roll(fe_context *context, fe_value *arguments, source_span span) {
    int64_t by, count;
    if (!fe_to_size(context, &arguments[0], "count", 1, &count) || !fe_to_size(context, &arguments[1], "by", 0, &by))
        return fe_error(span);
    fe_value index = builtin_indices(context, arguments, span);
    fe_value shift = fe_number((double)(by % count), span), size = fe_number((double)count, span);
    fe_value moved = fe_operate(context, FE_ADD, &index, &shift, span);
    return fe_operate(context, FE_REM, &moved, &size, span);
}

static fe_value builtin_length(fe_context *context, fe_value *arguments, source_span span) {
    if (arguments[0].kind == FE_VALUE_LIST || arguments[0].kind == FE_VALUE_TUPLE)
        return fe_number(arguments[0].item_count, span);
    return fe_fail(context, span, "length is of lists, not of %s", fe_value_text(context->memory, &arguments[0]));
}

static fe_value builtin_is_list(fe_context *context, fe_value *arguments, source_span span) {
    (void)context;
    return fe_truth(arguments[0].kind == FE_VALUE_LIST || arguments[0].kind == FE_VALUE_TUPLE, span);
}

static fe_value builtin_append(fe_context *context, fe_value *arguments, source_span span) {
    if (arguments[0].kind != FE_VALUE_LIST)
        return fe_fail(context, span, "append adds to a list, not to %s",
                       fe_value_text(context->memory, &arguments[0]));
    int count = arguments[0].item_count;
    fe_value *items = arena_grow(context->memory, arguments[0].items, (size_t)count, (size_t)count + 1, sizeof *items);
    items[count] = arguments[1];
    return fe_list(FE_VALUE_LIST, items, count + 1, span);
}

static fe_value builtin_require(fe_context *context, fe_value *arguments, source_span span) {
    bool truth;
    if (!fe_to_truth(context, &arguments[0], "a requirement", &truth))
        return fe_error(span);
    if (arguments[1].kind != FE_VALUE_STRING)
        return fe_fail(context, span, "require needs a message");
    return truth ? fe_none(span) : fe_fail(context, span, "%s", arguments[1].text);
}

/* ---- random numbers
 * -------------------------------------------------------------------------------------------------------- */

static ir_value *named_scalar(fe_context *context, const char *name, source_span span) {
    const fe_binding *bound = fe_scope_find(context->library, name);
    if (bound && bound->value.kind == FE_VALUE_TENSOR)
        return bound->value.tensor;
    fe_fail(context, span, "random numbers are drawn only while training");
    return NULL;
}

static fe_value random_tensor(fe_context *context, ir_opcode opcode, const fe_value *shape, source_span span) {
    ir_type type;
    if (!fe_to_shape(context, shape, &type))
        return fe_error(span);
    ir_value *operands[] = {named_scalar(context, "random_seed", span), NULL};
    operands[1] = operands[0] ? named_scalar(context, "random_step", span) : NULL;
    if (!operands[1])
        return fe_error(span);
    ir_attr attr = ir_attr_int_make(context->memory, IR_ATTR_stream, context->random_streams++);
    return fe_wrap(fe_build(context, opcode, operands, 2, &attr, 1, &type, span), span);
}

static fe_value builtin_random_uniform(fe_context *context, fe_value *arguments, source_span span) {
    return random_tensor(context, IR_OP_random_uniform, &arguments[0], span);
}

static fe_value builtin_random_normal(fe_context *context, fe_value *arguments, source_span span) {
    return random_tensor(context, IR_OP_random_normal, &arguments[0], span);
}

/* `count` whole numbers, uniform in 0 .. below-1: floor(u * below), at most below - 1. */
static fe_value builtin_random_index(fe_context *context, fe_value *arguments, source_span span) {
    int64_t count, below;
    if (!fe_to_size(context, &arguments[0], "count", 1, &count) ||
        !fe_to_size(context, &arguments[1], "below", 1, &below))
        return fe_error(span);
    if (below > 1 << 24)
        return fe_fail(context, span, "random_index reaches up to 2^24");
    fe_value size = fe_number((double)count, span), bound = fe_number((double)below, span);
    fe_value shape = fe_list(FE_VALUE_LIST, &size, 1, span);
    fe_value uniform = random_tensor(context, IR_OP_random_uniform, &shape, span);
    fe_value scaled = fe_operate(context, FE_MUL, &uniform, &bound, span);
    if (scaled.kind == FE_VALUE_ERROR)
        return scaled;
    ir_builder builder = fe_builder(context, span);
    fe_value whole = fe_tensor(ir_convert(&builder, scaled.tensor, IR_I32), span);
    fe_value last = fe_number((double)(below - 1), span);
    return fe_binary(context, IR_OP_min, &whole, &last, span);
}

#define SHAPES "Making and rearranging tensors"
#define LISTS  "Lists and checks"
#define RANDOM "Random numbers"
const fe_builtin fe_builtins_shape[] = {
    {"reshape", "x, shape", builtin_reshape, "the same elements in row-major order", SHAPES, NULL, 0, false},
    {"transpose", "x, axes", builtin_transpose, "axis i of the result is axis axes[i] of x", SHAPES, NULL, 0, false},
    {"flatten", "x", builtin_flatten, "[N, …] as [N, F]", SHAPES, NULL, 0, false},
    {"concat", "axis = 0, parts...", builtin_concat,
     "tensors, or a list of them, one after the other along `axis` (given by name)", SHAPES, NULL, 0, false},
    {"pad", "x, low, high, value = 0", builtin_pad, "`value` around x: so many before and after each axis", SHAPES,
     NULL, 0, false},
    {"gather", "x, indices, axis = 0, batch = 0", builtin_gather,
     "the parts of `axis` that `indices` name; the first `batch` axes are shared", SHAPES, NULL, 0, false},
    {"diagonal", "x", builtin_diagonal, "x[i, i, …]", SHAPES, NULL, 0, false},
    {"full", "shape, value", builtin_full, "a tensor of one number", SHAPES, NULL, 0, false},
    {"zeros", "shape", builtin_zeros, "zeros", SHAPES, NULL, 0, false},
    {"ones", "shape", builtin_ones, "ones", SHAPES, NULL, 0, false},
    {"indices", "count", builtin_indices, "0, 1, … count - 1", SHAPES, NULL, 0, false},
    {"roll", "count, by", builtin_roll, "(i + by) % count for each i below count", SHAPES, NULL, 0, false},
    {"length", "list", builtin_length, "number of items", LISTS, NULL, 0, false},
    {"is_list", "x", builtin_is_list, "whether x is a list or tuple", LISTS, NULL, 0, false},
    {"append", "list, item", builtin_append, "the list with one more item", LISTS, NULL, 0, false},
    {"require", "condition, message", builtin_require, "an error with this message unless the condition holds", LISTS,
     NULL, 0, false},
    {"random_uniform", "shape", builtin_random_uniform, "numbers in [0, 1), new in each step", RANDOM, NULL, 0, false},
    {"random_normal", "shape", builtin_random_normal, "numbers from N(0, 1), new in each step", RANDOM, NULL, 0, false},
    {"random_index", "count, below", builtin_random_index, "whole numbers in 0 .. below - 1, new in each step", RANDOM,
     NULL, 0, false},
    {0},
};
