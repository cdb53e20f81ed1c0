/* Kernels of elementwise groups, and copies between layouts. */
#include "passes/lower_nest.h"

#include <stdlib.h>

enum { WORK_PER_ITERATION = 1 << 14 }; /* elements: enough to hide a launch's cost, small enough to share out */

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

static bool is_dense_access(const ir_value *value, const ir_value *root) {
    return ir_same_dims(&value->type, &root->type) && ir_layout_equal(&value->layout, &root->layout, root->type.rank);
}

/* Whether every stored operand is read in the order in which the result is written, so that the group is one flat loop.
 */
static bool is_flat(const ir_value *value, const ir_value *root) {
    if (value != root && !lower_is_inlined(value))
        return is_dense_access(value, root);
    if (value->opcode == IR_OP_constant)
        return true;
    if (ir_op(value->opcode)->class_ == IR_CLASS_ELEMENTWISE) {
        for (int i = 0; i < value->operand_count; i++)
            if (!is_flat(value->operands[i], root))
                return false;
        return true;
    }
    /* A repeated scalar is the same everywhere. */
    return value->opcode == IR_OP_broadcast && value->operands[0]->type.rank == 0;
}

static void emit_root(lower_kernel *kernel, const lower_coordinate *at, int lanes, int count, void *user) {
    const ir_value *root = user;
    kir_reg element = lower_element_at(kernel, root, at, lanes, count);
    lower_store_at(kernel, lower_result_buffer(kernel->context, root), &root->type, &root->layout, at, element, count);
}

/* One flat loop: its element i stands at memory place i in every operand. */
static void emit_flat(lower_kernel *kernel, const ir_value *root, kir_index first, int64_t length, int lanes) {
    kir_builder outer = kernel->builder;
    int64_t whole = length / lanes * lanes;
    /* Only the innermost axis moves: its coordinate is the place in memory, the others are 0. */
    lower_coordinate at[IR_MAX_RANK];
    for (int axis = 0; axis < root->type.rank; axis++)
        at[axis] = (lower_coordinate){kir_at(0), 0};
    int innermost = root->type.rank ? root->layout.axis[root->type.rank - 1] : 0;
    if (whole > 0) {
        kir_builder body;
        kir_reg index = kir_loop(&outer, kir_at(0), kir_at(whole), lanes, &body);
        kernel->builder = body;
        at[innermost] = (lower_coordinate){kir_plus(first, 1, index), lanes > 1};
        emit_root(kernel, at, lanes, lanes, (void *)(uintptr_t)root);
        kernel->builder = outer;
    }
    if (whole < length) {
        at[innermost] = (lower_coordinate){first, lanes > 1};
        at[innermost].base.base += whole;
        emit_root(kernel, at, lanes, (int)(length - whole), (void *)(uintptr_t)root);
    }
}

static const char *group_name(lower_context *context, const ir_value *root) {
    return arena_printf(context->memory, "%s%s", root->group ? "fused_" : "", ir_op(root->opcode)->name);
}

static void lower_flat(lower_context *context, const ir_value *root, int lanes) {
    int64_t total = ir_type_elements(&root->type);
    int64_t pieces = total / WORK_PER_ITERATION;
    if (pieces > 0) {
        lower_kernel kernel = lower_kernel_begin(context, group_name(context, root), root);
        emit_flat(&kernel, root, kir_plus(kir_at(0), WORK_PER_ITERATION, 0), WORK_PER_ITERATION, lanes);
        lower_kernel_launch(&kernel, pieces);
    }
    int64_t rest = total - pieces * WORK_PER_ITERATION;
    if (rest > 0) {
        lower_kernel kernel = lower_kernel_begin(context, group_name(context, root), root);
        emit_flat(&kernel, root, kir_at(pieces * WORK_PER_ITERATION), rest, lanes);
        lower_kernel_launch(&kernel, 1);
    }
}

static bool is_random(const ir_value *value) {
    return value->opcode == IR_OP_random_uniform || value->opcode == IR_OP_random_normal;
}

bool lower_elementwise(lower_context *context, const ir_value *value) {
    int lanes = is_random(value) || value->type.rank == 0 ? 1 : context->pass->target.lanes;
    if (value->type.rank > 0 && !is_random(value) && is_flat(value, value)) {
        lower_flat(context, value, lanes);
        return true;
    }
    lower_kernel kernel = lower_kernel_begin(context, group_name(context, value), value);
    nest loops = {&value->type, &value->layout, lanes, emit_root, (void *)(uintptr_t)value};
    run_nest(&kernel, &loops);
    return true;
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
}

void lower_copy(lower_context *context, const ir_type *type, int from, const ir_layout *from_layout, int to,
                const ir_layout *to_layout, source_span span) {
    copy work = {type, from_layout, to_layout, from, to};
    ir_value place = {.span = span};
    lower_kernel kernel = lower_kernel_begin(context, "copy", &place);
    kernel.root = NULL;
    /* A copy within one layout is flat: one axis. */
    ir_type flat = ir_type_make(type->dtype, 1, (int64_t[]){ir_type_elements(type)});
    ir_layout identity = ir_layout_identity();
    if (lower_same_memory(type, from_layout, to_layout)) {
        int64_t piece = WORK_PER_ITERATION;
        while (flat.dims[0] % piece)
            piece /= 2;
        flat = ir_type_make(type->dtype, 2, (int64_t[]){flat.dims[0] / piece, piece});
        if (piece < 64)
            flat = ir_type_make(type->dtype, 1, (int64_t[]){ir_type_elements(type)});
        work = (copy){&flat, &identity, &identity, from, to};
    }
    nest loops = {work.type, work.to_layout, type->rank ? context->pass->target.lanes : 1, emit_copy, &work};
    run_nest(&kernel, &loops);
}
