/* Kernels of fused groups: arguments, coordinates, and the code of one element, computed from the group's root inwards.
 */
#include "passes/lower_nest.h"

#include "passes/kernel_math.h"
#include "passes/score_tile.h"

#include <assert.h>

lower_kernel lower_kernel_begin(lower_context *context, const char *name, const ir_value *root) {
    lower_kernel kernel = {.context = context, .root = root};
    kernel.kernel = kir_kernel_new(context->memory, name, root->span);
    kernel.builder = (kir_builder){context->memory, kernel.kernel, &kernel.kernel->body, root->span};
    return kernel;
}

int lower_argument(lower_kernel *kernel, int buffer, bool writes) {
    for (int i = 0; i < kernel->buffer_count; i++)
        if (kernel->buffers[i] == buffer) {
            kir_argument *argument = &kernel->kernel->arguments[kernel->arguments[i]];
            argument->reads |= !writes;
            argument->writes |= writes;
            return kernel->arguments[i];
        }
    const kir_buffer *info = &kernel->context->program->buffers[buffer];
    arena *memory = kernel->context->memory;
    const char *name = arena_printf(memory, "b%d", kernel->buffer_count);
    int argument = kir_argument_add(memory, kernel->kernel, name, info->element,
                                    info->bytes / lower_element_bytes(info->element), !writes, writes);
    int count = kernel->buffer_count;
    ARENA_PUSH(memory, kernel->arguments, count, kernel->argument_capacity, argument);
    ARENA_PUSH(memory, kernel->buffers, kernel->buffer_count, kernel->buffer_capacity, buffer);
    return argument;
}

int lower_scratch(lower_kernel *kernel, const char *name, int64_t elements) {
    return kir_scratch_add(kernel->context->memory, kernel->kernel, name, KIR_F32, elements);
}

void lower_kernel_launch(lower_kernel *kernel, int64_t extent) {
    lower_kernel_launch_rounds(kernel, extent, 1);
}

void lower_kernel_launch_rounds(lower_kernel *kernel, int64_t extent, int64_t rounds) {
    lower_launch_rounds(kernel->context, kernel->kernel, extent, rounds, kernel->buffers, kernel->kernel->span);
}

/* ---- memory
 * -------------------------------------------------------------------------------------------------------------------
 */

typedef struct {
    kir_index index;
    int64_t lane_stride;
} address;

static address address_of(const ir_type *type, const ir_layout *layout, const lower_coordinate *at) {
    int64_t strides[IR_MAX_RANK];
    ir_strides(type, layout, strides);
    address place = {kir_at(0), 0};
    for (int axis = 0; axis < type->rank; axis++) {
        place.index = kir_plus_index(place.index, strides[axis], at[axis].base);
        place.lane_stride += strides[axis] * at[axis].lane;
    }
    return place;
}

int lower_innermost_axis(const ir_type *type, const ir_layout *layout) {
    for (int i = type->rank - 1; i >= 0; i--)
        if (type->dims[layout->axis[i]] > 1)
            return layout->axis[i];
    return -1;
}

kir_index lower_place_at(const ir_type *type, const ir_layout *layout, const lower_coordinate *at) {
    return address_of(type, layout, at).index;
}

kir_reg lower_load_at(lower_kernel *kernel, int buffer, const ir_type *type, const ir_layout *layout,
                      const lower_coordinate *at, int lanes, int count) {
    int argument = lower_argument(kernel, buffer, false);
    address place = address_of(type, layout, at);
    const kir_builder *builder = &kernel->builder;
    if (lanes == 1 || place.lane_stride == 0)
        return kir_splat(builder, kir_load_f32(builder, argument, place.index, 1, 1), lanes);
    if (place.lane_stride == 1)
        return kir_load_f32(builder, argument, place.index, lanes, count);
    return kir_widened(builder, kir_load_strided(builder, argument, place.index, lanes, count, place.lane_stride));
}

void lower_store_at(lower_kernel *kernel, int buffer, const ir_type *type, const ir_layout *layout,
                    const lower_coordinate *at, kir_reg value, int count) {
    int argument = lower_argument(kernel, buffer, true);
    address place = address_of(type, layout, at);
    int lanes = kernel->kernel->registers[value].lanes;
    assert(lanes == 1 || place.lane_stride == 1);
    kir_store_f32(&kernel->builder, argument, place.index, value, lanes == 1 ? 1 : count);
}

/* ---- one element
 * ------------------------------------------------------------------------------------------------------------------ */

bool lower_is_inlined(const ir_value *value) {
    return value->scratch != NULL;
}

bool lower_is_computed(const lower_kernel *kernel, const ir_value *value) {
    return value == kernel->root || (value->group && kernel->root && value->group == kernel->root->group);
}

void lower_begin_place(lower_kernel *kernel) {
    kernel->place = ++kernel->place_count;
}

/* Registers of another block may not be assigned here. */
static kir_reg known_element(lower_kernel *kernel, const ir_value *value, int lanes) {
    if (kernel->known_block != kernel->builder.block) {
        kernel->known_block = kernel->builder.block;
        kernel->known_count = 0;
    }
    for (int i = 0; i < kernel->known_count && kernel->place; i++) {
        const lower_known *known = &kernel->known[i];
        if (known->value == value && known->place == kernel->place && known->lanes == lanes)
            return known->element;
    }
    return -1;
}

static kir_reg remember(lower_kernel *kernel, const ir_value *value, int lanes, kir_reg element) {
    lower_known known = {value, kernel->place, lanes, element};
    if (kernel->place)
        ARENA_PUSH(kernel->context->memory, kernel->known, kernel->known_count, kernel->known_capacity, known);
    return element;
}

static kir_type type_of(const ir_value *value, int lanes) {
    return kir_vector_type(lower_element(value->type.dtype), lanes);
}

/* The coordinate itself as numbers of the value's element type. */
static kir_reg coordinate_number(lower_kernel *kernel, const ir_value *value, const lower_coordinate *at, int lanes) {
    kir_builder *builder = &kernel->builder;
    kir_element element = lower_element(value->type.dtype);
    kir_reg whole = kir_convert(builder, kir_value(builder, at->base), KIR_I32);
    if (lanes > 1) {
        whole = kir_splat(builder, whole, lanes);
        if (at->lane) {
            kir_type type = kir_vector_type(KIR_I32, lanes);
            kir_reg step =
                kir_op2(builder, KIR_mul, kir_iota(builder, type), kir_number(builder, type, (double)at->lane));
            whole = kir_op2(builder, KIR_add, whole, step);
        }
    }
    return element == KIR_I32 ? whole : kir_convert(builder, whole, element);
}

static kir_reg random_number(lower_kernel *kernel, const ir_value *value, const lower_coordinate *at) {
    ir_layout row_major = ir_layout_identity();
    kir_builder *builder = &kernel->builder;
    const lower_coordinate nowhere[IR_MAX_RANK] = {0}; /* seed and step have no axes */
    kir_reg seed = lower_element_at(kernel, value->operands[0], nowhere, 1, 1);
    kir_reg step = lower_element_at(kernel, value->operands[1], nowhere, 1, 1);
    kir_reg element = kir_value(builder, address_of(&value->type, &row_major, at).index);
    kir_opcode opcode = value->opcode == IR_OP_random_uniform ? KIR_random_uniform : KIR_random_normal;
    return kir_random(builder, opcode, seed, step, element, (int32_t)ir_int(value, IR_ATTR_stream));
}

static kir_reg sign_of(kir_builder *builder, kir_reg x, kir_type type) {
    kir_reg zero = kir_number(builder, type, 0), one = kir_number(builder, type, 1),
            minus = kir_number(builder, type, -1);
    kir_reg negative = kir_op3(builder, KIR_select, kir_op2(builder, KIR_less, x, zero), minus, zero);
    return kir_op3(builder, KIR_select, kir_op2(builder, KIR_less, zero, x), one, negative);
}

/* sin, cos and pow are the C library's, one lane at a time, in the back ends. */
static kir_reg unary(lower_kernel *kernel, const ir_value *value, kir_reg x, int lanes) {
    kir_builder *builder = &kernel->builder;
    kir_type type = type_of(value, lanes);
    switch (value->opcode) {
    case IR_OP_neg: return kir_op1(builder, KIR_neg, x);
    case IR_OP_abs: return kir_op1(builder, KIR_abs, x);
    case IR_OP_sign: return sign_of(builder, x, type);
    case IR_OP_floor: return type.element == KIR_F32 ? kir_op1(builder, KIR_floor, x) : x;
    case IR_OP_exp: return math_exp_within(builder, x, kernel->scores ? score_bits(kernel->scores) : 24);
    case IR_OP_log: return math_log(builder, x);
    case IR_OP_sqrt: return kir_op1(builder, KIR_sqrt, x);
    case IR_OP_rsqrt: return math_rsqrt(builder, x);
    case IR_OP_tanh: return math_tanh(builder, x);
    case IR_OP_sin: return kir_op1(builder, KIR_sin, x);
    case IR_OP_cos: return kir_op1(builder, KIR_cos, x);
    case IR_OP_relu: return kir_op2(builder, KIR_max, kir_number(builder, type, 0), x); /* NaN stays */
    case IR_OP_not: return kir_op1(builder, KIR_not, x);
    case IR_OP_convert: {
        kir_element from = lower_element(value->operands[0]->type.dtype);
        if (from == KIR_F32 && type.element == KIR_I32)
            return lower_to_whole(builder, x);
        return from == type.element ? x : kir_convert(builder, x, type.element);
    }
    case IR_OP_stop_gradient: return x;
    default: assert(!"no unary operation"); return x;
    }
}

static kir_opcode binary_opcode(ir_opcode opcode) {
    switch (opcode) {
    case IR_OP_add: return KIR_add;
    case IR_OP_sub: return KIR_sub;
    case IR_OP_mul: return KIR_mul;
    case IR_OP_div: return KIR_div;
    case IR_OP_rem: return KIR_rem;
    case IR_OP_pow: return KIR_pow;
    case IR_OP_equal: return KIR_equal;
    case IR_OP_less: return KIR_less;
    case IR_OP_less_equal: return KIR_less_equal;
    case IR_OP_and: return KIR_and;
    case IR_OP_or: return KIR_or;
    default: assert(!"no binary operation"); return KIR_move;
    }
}

static kir_reg binary(const kir_builder *builder, const ir_value *value, kir_reg x, kir_reg y) {
    bool whole = value->type.dtype == IR_I32;
    switch (value->opcode) {
    case IR_OP_max: return lower_maximum(builder, x, y);
    case IR_OP_min: return lower_minimum(builder, x, y);
    case IR_OP_div:
    case IR_OP_rem:
        if (whole)
            return lower_whole_division(builder, binary_opcode(value->opcode), x, y);
        break;
    default: break;
    }
    return kir_op2(builder, binary_opcode(value->opcode), x, y);
}

static kir_reg elementwise(lower_kernel *kernel, const ir_value *value, const lower_coordinate *at, int lanes,
                           int count) {
    kir_reg operands[3] = {-1, -1, -1};
    for (int i = 0; i < value->operand_count; i++)
        operands[i] = lower_element_at(kernel, value->operands[i], at, lanes, count);
    kernel->builder.span = value->span;
    if (value->operand_count == 1)
        return unary(kernel, value, operands[0], lanes);
    if (value->operand_count == 2)
        return binary(&kernel->builder, value, operands[0], operands[1]);
    return kir_op3(&kernel->builder, KIR_select, operands[0], operands[1], operands[2]);
}

/* Result coordinates as the operand's, for operations that only move elements; reshapes are those of axes of size 1. */
static void operand_coordinates(const ir_value *value, const lower_coordinate *at, lower_coordinate *inner) {
    const ir_value *operand = value->operands[0];
    const lower_coordinate origin = {kir_at(0), 0};
    if (value->opcode == IR_OP_broadcast) {
        for (int i = 0; i < operand->type.rank; i++)
            inner[i] = at[ir_ints(value, IR_ATTR_axes)[i]];
    } else if (value->opcode == IR_OP_transpose) {
        for (int i = 0; i < operand->type.rank; i++)
            inner[ir_ints(value, IR_ATTR_axes)[i]] = at[i];
    } else if (value->opcode == IR_OP_slice) {
        for (int i = 0; i < operand->type.rank; i++) {
            int64_t stride = ir_ints(value, IR_ATTR_stride)[i];
            inner[i].base = kir_plus_index(kir_at(ir_ints(value, IR_ATTR_start)[i]), stride, at[i].base);
            inner[i].lane = at[i].lane * stride;
        }
    } else {
        int8_t axes[IR_MAX_RANK], axes_inner[IR_MAX_RANK];
        int count = ir_long_axes(&operand->type, axes_inner);
        ir_long_axes(&value->type, axes);
        for (int i = 0; i < operand->type.rank; i++)
            inner[i] = origin;
        for (int i = 0; i < count; i++)
            inner[axes_inner[i]] = at[axes[i]];
    }
}

kir_reg lower_element_at(lower_kernel *kernel, const ir_value *value, const lower_coordinate *at, int lanes,
                         int count) {
    bool computed = lower_is_computed(kernel, value);
    if (computed && kernel->scores)
        return score_element_at(kernel, value, at, lanes, count);
    kir_reg element = known_element(kernel, value, lanes);
    if (element >= 0)
        return element;
    element = computed ? lower_fresh_element(kernel, value, at, lanes, count)
                       : lower_load_at(kernel, lower_buffer(kernel->context, value), &value->type, &value->layout, at,
                                       lanes, count);
    return remember(kernel, value, lanes, element);
}

/* The operand's element at its own coordinates. */
static kir_reg moved_element(lower_kernel *kernel, const ir_value *value, const lower_coordinate *at, int lanes,
                             int count) {
    lower_coordinate inner[IR_MAX_RANK];
    operand_coordinates(value, at, inner);
    int place = kernel->place;
    if (place)
        lower_begin_place(kernel);
    kir_reg element = lower_element_at(kernel, value->operands[0], inner, lanes, count);
    kernel->place = place;
    return element;
}

kir_reg lower_fresh_element(lower_kernel *kernel, const ir_value *value, const lower_coordinate *at, int lanes,
                            int count) {
    kernel->builder.span = value->span;
    switch (ir_op(value->opcode)->class_) {
    case IR_CLASS_ELEMENTWISE: return elementwise(kernel, value, at, lanes, count);
    case IR_CLASS_SHAPE: return moved_element(kernel, value, at, lanes, count);
    default: break;
    }
    if (value->opcode == IR_OP_constant)
        return kir_number(&kernel->builder, type_of(value, lanes), ir_number(value, IR_ATTR_value));
    if (value->opcode == IR_OP_iota)
        return coordinate_number(kernel, value, &at[ir_int(value, IR_ATTR_axis)], lanes);
    assert(lanes == 1 && (value->opcode == IR_OP_random_uniform || value->opcode == IR_OP_random_normal));
    return random_number(kernel, value, at);
}

/* ---- iteration
 * ----------------------------------------------------------------------------------------------------------------------
 */

void lower_split_iteration(lower_kernel *kernel, const ir_type *type, const int8_t *axes, int count,
                           lower_coordinate *at) {
    kir_builder *builder = &kernel->builder;
    kir_reg left = 0;
    for (int i = count - 1; i >= 0; i--) {
        int64_t size = type->dims[axes[i]];
        at[axes[i]] = (lower_coordinate){kir_at(0), 0};
        if (size == 1)
            continue;
        bool outermost = true;
        for (int j = 0; j < i; j++)
            outermost &= type->dims[axes[j]] == 1;
        if (outermost) {
            at[axes[i]].base = kir_plus(kir_at(0), 1, left);
            continue;
        }
        kir_reg divisor = kir_value(builder, kir_at(size));
        at[axes[i]].base = kir_plus(kir_at(0), 1, kir_op2(builder, KIR_rem, left, divisor));
        left = kir_op2(builder, KIR_div, left, divisor);
    }
}
