/* sink-gathers: one score read out of each row of a matrix of scores becomes a score of the two vectors.
 *
 * gather(f(dot(u, v)), positive) = f(rowwise dot of u and gather(v, positive)) for an elementwise f: N products instead
 * of a read from N x M scores, which thereby need not exist. Runs before `differentiate`, so that no gradient is
 * scattered into the scores either.
 *
 * Some of the rows that are gathered are gathered by some of the indices. */
#include "passes/pass.h"

typedef struct {
    ir_builder builder;
    ir_value *index;   /* i32 [N]: which element of axis 1 each row reads */
    int64_t columns;   /* of axis 1 */
    ir_value **pulled; /* by value id */
} sinking;

/* ---- what can be pulled -------------------------------------------------------------------------------------------
 */

/* A product of rows and columns: axis 0 is the left operand's only free axis, axis 1 the first of the right one's. */
static bool is_scores(const ir_value *value) {
    if (value->opcode != IR_OP_dot || ir_attr_get(value, IR_ATTR_lhs_batch)->count > 0)
        return false;
    const ir_value *left = value->operands[0], *right = value->operands[1];
    const ir_attr *rows = ir_attr_get(value, IR_ATTR_lhs_contract), *columns = ir_attr_get(value, IR_ATTR_rhs_contract);
    return rows->count == 1 && left->type.rank == 2 && right->type.rank >= 2 &&
           columns->as.ints[0] == right->type.rank - 1;
}

/* `matrix`: the value has the axes 0 and 1 of the gathered one. *scores is set where a product stands below. */
static bool can_pull(const ir_value *value, bool *scores, int depth) {
    if (depth > 64)
        return false;
    if (is_scores(value)) {
        *scores = true;
        return true;
    }
    if (value->opcode == IR_OP_constant || value->opcode == IR_OP_iota)
        return true;
    if (value->opcode == IR_OP_broadcast) {
        const ir_value *operand = value->operands[0];
        const int64_t *axes = ir_ints(value, IR_ATTR_axes);
        bool row = operand->type.rank > 0 && axes[0] == 0;
        bool column = operand->type.rank > row && axes[row] == 1;
        return !(row && column) || can_pull(operand, scores, depth + 1);
    }
    if (ir_op(value->opcode)->class_ != IR_CLASS_ELEMENTWISE)
        return false;
    for (int i = 0; i < value->operand_count; i++)
        if (!can_pull(value->operands[i], scores, depth + 1))
            return false;
    return true;
}

static bool is_sinkable(const ir_value *value) {
    if (value->opcode != IR_OP_gather || ir_int(value, IR_ATTR_axis) != 1 || ir_int(value, IR_ATTR_batch) != 1 ||
        value->operands[1]->type.rank != 1)
        return false;
    bool scores = false;
    return can_pull(value->operands[0], &scores, 0) && scores;
}

/* ---- pulling ------------------------------------------------------------------------------------------------------
 */

static ir_type without_columns(const ir_type *type) {
    ir_type narrow = {.dtype = type->dtype};
    for (int i = 0; i < type->rank; i++)
        if (i != 1)
            narrow.dims[narrow.rank++] = type->dims[i];
    return narrow;
}

static ir_value *gather_rows(const ir_builder *builder, ir_value *from, ir_value *index) {
    arena *memory = builder->function->module->memory;
    ir_attr attrs[] = {ir_attr_int_make(memory, IR_ATTR_axis, 0), ir_attr_int_make(memory, IR_ATTR_batch, 0)};
    return ir_build(builder->function, builder->before, IR_OP_gather, (ir_value *[]){from, index}, 2, attrs, 2, NULL,
                    builder->span);
}

static ir_value *pull_scores(const sinking *work, const ir_value *value) {
    ir_value *left = value->operands[0], *right = gather_rows(&work->builder, value->operands[1], work->index);
    int64_t along = ir_int(value, IR_ATTR_lhs_contract), last = right->type.rank - 1;
    if (last == 1) {
        ir_value *rows = along == 1 ? left : ir_transpose(&work->builder, left, (int64_t[]){1, 0});
        ir_value *product = ir_binary(&work->builder, IR_OP_mul, rows, right);
        return ir_reduce(&work->builder, IR_OP_reduce_sum, product, &last, 1);
    }
    arena *memory = work->builder.function->module->memory;
    int64_t row = 1 - along, first = 0;
    ir_attr attrs[] = {ir_attr_ints_make(memory, IR_ATTR_lhs_batch, &row, 1),
                       ir_attr_ints_make(memory, IR_ATTR_rhs_batch, &first, 1),
                       ir_attr_ints_make(memory, IR_ATTR_lhs_contract, &along, 1),
                       ir_attr_ints_make(memory, IR_ATTR_rhs_contract, &last, 1)};
    return ir_build(work->builder.function, work->builder.before, IR_OP_dot, (ir_value *[]){left, right}, 2, attrs, 4,
                    NULL, work->builder.span);
}

static ir_value *pull(sinking *work, ir_value *value);

static ir_value *pull_iota(const sinking *work, const ir_value *value, const ir_type *type) {
    int64_t axis = ir_int(value, IR_ATTR_axis), rows = 0;
    if (axis == 1) {
        const ir_builder *builder = &work->builder;
        const ir_type *indices = &work->index->type;
        ir_value *last = ir_constant(builder, indices, (double)(work->columns - 1));
        ir_value *nearest = ir_binary(builder, IR_OP_min, work->index, last);
        nearest = ir_binary(builder, IR_OP_max, nearest, ir_constant(builder, indices, 0));
        return type->rank == 1 ? nearest : ir_broadcast(builder, nearest, type->dims, type->rank, &rows);
    }
    ir_attr attr = ir_attr_int_make(work->builder.function->module->memory, IR_ATTR_axis, axis ? axis - 1 : 0);
    return ir_build(work->builder.function, work->builder.before, IR_OP_iota, NULL, 0, &attr, 1, type,
                    work->builder.span);
}

static ir_value *pull_broadcast(sinking *work, const ir_value *value, const ir_type *type) {
    ir_value *operand = value->operands[0];
    const int64_t *axes = ir_ints(value, IR_ATTR_axes);
    int rank = operand->type.rank, row = rank > 0 && axes[0] == 0, column = rank > row && axes[row] == 1;
    int64_t narrow[IR_MAX_RANK];
    int count = 0;
    if (row || column) {
        narrow[count++] = 0;
        if (column)
            operand = row ? pull(work, operand) : gather_rows(&work->builder, operand, work->index);
    }
    for (int i = row + column; i < rank; i++)
        narrow[count++] = axes[i] - 1;
    return ir_same_dims(&operand->type, type) ? operand
                                              : ir_broadcast(&work->builder, operand, type->dims, type->rank, narrow);
}

static ir_value *pull_fresh(sinking *work, ir_value *value) {
    ir_type type = without_columns(&value->type);
    if (is_scores(value))
        return pull_scores(work, value);
    switch (value->opcode) {
    case IR_OP_constant: return ir_constant(&work->builder, &type, ir_number(value, IR_ATTR_value));
    case IR_OP_iota: return pull_iota(work, value, &type);
    case IR_OP_broadcast: return pull_broadcast(work, value, &type);
    default: break;
    }
    ir_value *operands[3];
    for (int i = 0; i < value->operand_count; i++)
        operands[i] = pull(work, value->operands[i]);
    return ir_build(work->builder.function, work->builder.before, value->opcode, operands, value->operand_count,
                    value->attrs, value->attr_count, &type, value->span);
}

static ir_value *pull(sinking *work, ir_value *value) {
    ir_value **known = &work->pulled[value->id];
    if (!*known) {
        source_span outer = work->builder.span;
        work->builder.span = value->span;
        *known = pull_fresh(work, value);
        work->builder.span = outer;
    }
    return *known;
}

/* ---- slices of what is gathered ------------------------------------------------------------------------------------
 */

/* Whether the value slices rows gathered along axis 0 by nothing but their indices' axes. */
static bool slices_indices(const ir_value *value) {
    const ir_value *rows = value->opcode == IR_OP_slice ? value->operands[0] : NULL;
    if (!rows || rows->opcode != IR_OP_gather || ir_int(rows, IR_ATTR_axis) != 0 || ir_int(rows, IR_ATTR_batch) != 0)
        return false;
    for (int axis = rows->operands[1]->type.rank; axis < value->type.rank; axis++)
        if (value->type.dims[axis] != rows->type.dims[axis])
            return false;
    return true;
}

static ir_value *slice_indices(const ir_builder *builder, const ir_value *slice) {
    const ir_value *rows = slice->operands[0];
    ir_value *index = rows->operands[1];
    index = ir_slice(builder, index, ir_ints(slice, IR_ATTR_start), ir_ints(slice, IR_ATTR_limit),
                     ir_ints(slice, IR_ATTR_stride));
    return gather_rows(builder, rows->operands[0], index);
}

static void sink_slices(ir_function *function) {
    for (ir_value *value = function->first, *next; value; value = next) {
        next = value->next;
        if (!slices_indices(value))
            continue;
        ir_builder builder = {function, value, value->span};
        ir_replace_uses(value, slice_indices(&builder, value));
        ir_remove(function, value);
    }
}

static void sink(arena *memory, ir_function *function) {
    for (ir_value *value = function->first, *next; value; value = next) {
        next = value->next;
        if (!is_sinkable(value))
            continue;
        sinking work = {.builder = {function, value, value->span},
                        .index = value->operands[1],
                        .columns = value->operands[0]->type.dims[1],
                        .pulled = arena_alloc(memory, (size_t)function->next_id * sizeof(ir_value *))};
        ir_replace_uses(value, pull(&work, value->operands[0]));
        ir_remove(function, value);
    }
}

bool pass_sink_gathers(pass_context *context) {
    for (int i = 0; i < context->module->function_count; i++) {
        sink(context->memory, context->module->functions[i]);
        sink_slices(context->module->functions[i]);
    }
    return true;
}
