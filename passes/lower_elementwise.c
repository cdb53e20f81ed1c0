/* Kernels of elementwise groups, and copies between layouts. */
#include "passes/pair_forms.h"

#include <stdlib.h>

enum {
    WORK_PER_ITERATION = 1 << 14, /* elements: enough to hide a launch's cost, small enough to share out */
    FLAT_PIECE =
        KIR_ALIGNMENT / 4 /* elements of an iteration of a flat loop: the last ends where the buffers' room does */
};

/* What the innermost loop does with the elements at given coordinates. */
typedef void (*emit_elements)(lower_kernel *kernel, const lower_coordinate *at, int lanes, int count, void *user);

typedef struct {
    const ir_type *type;
    const ir_layout *layout; /* order of the loops, outermost first */
    int lanes;               /* 1: scalar code */
    emit_elements emit;
    void *user;
} nest;

/* Loops over the axis `depth` of the order and all inner ones; the innermost in vectors with one shorter at the end. */
static void emit_nest(lower_kernel *kernel, const nest *loops, int depth, lower_coordinate *at) {
    const ir_type *type = loops->type;
    if (depth == type->rank) {
        loops->emit(kernel, at, 1, 1, loops->user);
        return;
    }
    int axis = loops->layout->axis[depth];
    int64_t size = type->dims[axis];
    kir_builder outer = kernel->builder;
    bool innermost = depth == type->rank - 1;
    int64_t step = innermost ? loops->lanes : 1;
    int64_t whole = size / step * step;
    if (whole > 0) {
        kir_builder body;
        kir_reg index = kir_loop(&outer, kir_at(0), kir_at(whole), step, &body);
        kernel->builder = body;
        at[axis] = (lower_coordinate){kir_plus(kir_at(0), 1, index), innermost && step > 1};
        if (innermost)
            loops->emit(kernel, at, (int)step, (int)step, loops->user);
        else
            emit_nest(kernel, loops, depth + 1, at);
        kernel->builder = outer;
    }
    if (whole < size) {
        at[axis] = (lower_coordinate){kir_at(whole), 1};
        loops->emit(kernel, at, (int)step, (int)(size - whole), loops->user);
    }
}

/* The launch's extent covers the outer axes until there are enough iterations; the kernel loops over the others. */
static int64_t outer_axes(const nest *loops, int *count) {
    int64_t total = ir_type_elements(loops->type), extent = 1;
    *count = 0;
    while (*count < loops->type->rank - 1 && total / extent > WORK_PER_ITERATION)
        extent *= loops->type->dims[loops->layout->axis[(*count)++]];
    return extent;
}

static void run_nest(lower_kernel *kernel, const nest *loops) {
    lower_coordinate at[IR_MAX_RANK];
    int outer;
    int64_t extent = outer_axes(loops, &outer);
    lower_split_iteration(kernel, loops->type, loops->layout->axis, outer, at);
    emit_nest(kernel, loops, outer, at);
    lower_kernel_launch(kernel, extent);
}

/* ---- elementwise groups
 * ------------------------------------------------------------------------------------------------------------ */

/* Whether every stored operand is read in the order in which the results are written, so that the group is one flat
 * loop. */
static bool is_flat(const lower_group *group) {
    const ir_value *root = group->results[0];
    for (int m = 0; m < group->member_count; m++) {
        const ir_value *value = group->members[m];
        if (value->opcode == IR_OP_constant)
            continue;
        /* A repeated scalar is the same everywhere. */
        if (value->opcode == IR_OP_broadcast && value->operands[0]->type.rank == 0)
            continue;
        if (ir_op(value->opcode)->class_ != IR_CLASS_ELEMENTWISE &&
            !(value->opcode == IR_OP_reshape && lower_same_places(value->operands[0], value)))
            return false;
        for (int i = 0; i < value->operand_count; i++) {
            const ir_value *operand = value->operands[i];
            if (!lower_same_places(operand, root) && !(root->group && operand->group == root->group))
                return false;
        }
    }
    return true;
}

/* All results before the first is stored: one may take the place of what another is computed from. */
static void emit_results(lower_kernel *kernel, const lower_coordinate *at, int lanes, int count, void *user) {
    const lower_group *group = user;
    kir_reg elements[LOWER_MAX_RESULTS];
    lower_begin_place(kernel);
    for (int i = 0; i < group->result_count; i++)
        elements[i] = lower_element_at(kernel, group->results[i], at, lanes, count);
    for (int i = 0; i < group->result_count; i++) {
        const ir_value *result = group->results[i];
        int buffer = lower_result_buffer(kernel->context, result);
        lower_store_at(kernel, buffer, &result->type, &result->layout, at, elements[i], count);
        kir_stream(kernel->kernel, lower_argument(kernel, buffer, true));
    }
}

/* A piece of the flat loop: its element i stands at memory place i in every operand. */
static void emit_flat(lower_kernel *kernel, const lower_group *group, int lanes) {
    const ir_value *root = group->results[0];
    /* Only the innermost long axis moves: its coordinate is the place in memory, the others are 0. */
    lower_coordinate at[IR_MAX_RANK];
    for (int axis = 0; axis < root->type.rank; axis++)
        at[axis] = (lower_coordinate){kir_at(0), 0};
    int innermost = lower_innermost_axis(&root->type, &root->layout);
    innermost = innermost < 0 ? 0 : innermost;
    kir_builder outer = kernel->builder, body;
    kir_reg index = kir_loop(&outer, kir_at(0), kir_at(FLAT_PIECE), lanes, &body);
    kernel->builder = body;
    at[innermost] = (lower_coordinate){kir_plus(kir_plus(kir_at(0), FLAT_PIECE, 0), 1, index), lanes > 1};
    emit_results(kernel, at, lanes, lanes, (void *)(uintptr_t)group);
    kernel->builder = outer;
}

/* The arguments of `total` elements are read and written piece by piece, so that kernels of all lengths are equal. */
static void launch_flat(lower_kernel *kernel, int64_t total) {
    for (int i = 0; i < kernel->kernel->argument_count; i++) {
        kir_argument *argument = &kernel->kernel->arguments[i];
        if (argument->elements == total) {
            argument->elements = 0;
            argument->each = FLAT_PIECE;
        }
    }
    lower_kernel_launch(kernel, (total + FLAT_PIECE - 1) / FLAT_PIECE);
}

static lower_kernel begin_group(lower_context *context, const lower_group *group) {
    const ir_value *root = group->results[group->result_count - 1];
    const char *name = arena_printf(context->memory, "%s%s", root->group ? "fused_" : "", ir_op(root->opcode)->name);
    return lower_kernel_begin(context, name, root);
}

static void lower_flat(lower_context *context, const lower_group *group, int lanes) {
    lower_kernel kernel = begin_group(context, group);
    emit_flat(&kernel, group, lanes);
    launch_flat(&kernel, ir_type_elements(&group->results[0]->type));
}

static bool is_random(const ir_value *value) {
    return value->opcode == IR_OP_random_uniform || value->opcode == IR_OP_random_normal;
}

bool lower_elementwise(lower_context *context, const lower_group *group) {
    const ir_value *root = group->results[0];
    if (lower_pack_group(context, group))
        return true;
    int lanes = is_random(root) || root->type.rank == 0 ? 1 : context->pass->target.lanes;
    if (root->type.rank > 0 && !is_random(root) && is_flat(group)) {
        lower_flat(context, group, lanes);
        return true;
    }
    lower_kernel kernel = begin_group(context, group);
    nest loops = {&root->type, &root->layout, lanes, emit_results, (void *)(uintptr_t)group};
    run_nest(&kernel, &loops);
    return true;
}

bool lower_element_alone(lower_context *context, const ir_value *value) {
    lower_group alone = {&value, 1, &value, 1};
    return lower_elementwise(context, &alone);
}

/* ---- copies
 * ---------------------------------------------------------------------------------------------------------------------------
 */

typedef struct {
    const ir_type *type;
    const ir_layout *from_layout, *to_layout;
    int from, to;
} copy;

static void emit_copy(lower_kernel *kernel, const lower_coordinate *at, int lanes, int count, void *user) {
    const copy *work = user;
    kir_reg element = lower_load_at(kernel, work->from, work->type, work->from_layout, at, lanes, count);
    lower_store_at(kernel, work->to, work->type, work->to_layout, at, element, count);
    kir_stream(kernel->kernel, lower_argument(kernel, work->to, true));
}

/* Of one memory order: whatever the axes, the elements are moved as they stand. */
static void copy_flat(lower_kernel *kernel, const copy *work) {
    int64_t total = ir_type_elements(work->type);
    ir_type flat = ir_type_make(work->type->dtype, 1, &total);
    ir_layout identity = ir_layout_identity();
    copy moved = {&flat, &identity, &identity, work->from, work->to};
    int lanes = kernel->context->pass->target.lanes;
    kir_builder body;
    kir_reg index = kir_loop(&kernel->builder, kir_at(0), kir_at(FLAT_PIECE), lanes, &body);
    lower_coordinate at = {kir_plus(kir_plus(kir_at(0), FLAT_PIECE, 0), 1, index), lanes > 1};
    kernel->builder = body;
    emit_copy(kernel, &at, lanes, lanes, &moved);
    launch_flat(kernel, total);
}

void lower_copy(lower_context *context, const ir_type *type, int from, const ir_layout *from_layout, int to,
                const ir_layout *to_layout, source_span span) {
    copy work = {type, from_layout, to_layout, from, to};
    ir_value place = {.span = span};
    lower_kernel kernel = lower_kernel_begin(context, "copy", &place);
    kernel.root = NULL;
    if (lower_same_memory(type, from_layout, to_layout)) {
        copy_flat(&kernel, &work);
        return;
    }
    if (lower_turned_copy(&kernel, type, from, from_layout, to, to_layout))
        return;
    nest loops = {type, to_layout, context->pass->target.lanes, emit_copy, &work};
    run_nest(&kernel, &loops);
}
