/* x[2], x[:, 0 .. k], list[i]. */
#include "frontend/evaluate.h"

#include <string.h>

typedef struct {
    int64_t start[IR_MAX_RANK], limit[IR_MAX_RANK], stride[IR_MAX_RANK];
    bool gone[IR_MAX_RANK]; /* a number removes its axis */
} selection;

/* One end of a range: a number (from the end when negative), or the axis' own end when absent. */
static bool take_end(fe_context *context, const fe_value *end, int64_t size, int64_t open, int64_t *place) {
    *place = open;
    if (end->kind == FE_VALUE_NONE)
        return true;
    if (!fe_to_size(context, end, "an index", -size, place))
        return false;
    if (*place < 0)
        *place += size;
    return true;
}

static bool select_axis(fe_context *context, fe_scope *scope, const fe_expr *part, const ir_type *type, int axis,
                        selection *chosen) {
    int64_t size = type->dims[axis];
    fe_value value = fe_evaluate(context, scope, part);
    if (value.kind == FE_VALUE_RANGE) {
        if (!take_end(context, &value.items[0], size, 0, &chosen->start[axis]) ||
            !take_end(context, &value.items[1], size, size, &chosen->limit[axis]))
            return false;
        if (chosen->start[axis] < chosen->limit[axis] && chosen->limit[axis] <= size)
            return true;
        fe_fail(context, part->span, "%lld .. %lld is no part of axis %d of %s", (long long)chosen->start[axis],
                (long long)chosen->limit[axis], axis, ir_shape_text(context->memory, type));
        return false;
    }
    if (!take_end(context, &value, size, 0, &chosen->start[axis]))
        return false;
    if (value.kind == FE_VALUE_NONE || chosen->start[axis] >= size) {
        fe_fail(context, part->span, "index %lld is outside of axis %d of %s", (long long)chosen->start[axis], axis,
                ir_shape_text(context->memory, type));
        return false;
    }
    chosen->limit[axis] = chosen->start[axis] + 1;
    chosen->gone[axis] = true;
    return true;
}

static fe_value index_tensor(fe_context *context, fe_scope *scope, const fe_expr *expr, ir_value *tensor) {
    const ir_type *type = &tensor->type;
    if (expr->part_count > type->rank)
        return fe_fail(context, expr->span, "%d indices for a tensor %s", expr->part_count,
                       ir_shape_text(context->memory, type));
    selection chosen = {0};
    for (int axis = 0; axis < type->rank; axis++) {
        chosen.limit[axis] = type->dims[axis];
        chosen.stride[axis] = 1;
        if (axis < expr->part_count && expr->parts[axis] &&
            !select_axis(context, scope, expr->parts[axis], type, axis, &chosen))
            return fe_error(expr->span);
    }
    ir_attr attrs[] = {ir_attr_ints_make(context->memory, IR_ATTR_start, chosen.start, type->rank),
                       ir_attr_ints_make(context->memory, IR_ATTR_limit, chosen.limit, type->rank),
                       ir_attr_ints_make(context->memory, IR_ATTR_stride, chosen.stride, type->rank)};
    ir_value *slice = fe_build(context, IR_OP_slice, &tensor, 1, attrs, 3, NULL, expr->span);
    ir_type kept = {.dtype = type->dtype};
    for (int axis = 0; slice && axis < type->rank; axis++)
        if (!chosen.gone[axis])
            kept.dims[kept.rank++] = slice->type.dims[axis];
    if (slice && kept.rank < type->rank)
        slice = fe_build(context, IR_OP_reshape, &slice, 1, NULL, 0, &kept, expr->span);
    return slice ? fe_tensor(slice, expr->span) : fe_error(expr->span);
}

fe_value fe_index(fe_context *context, fe_scope *scope, const fe_expr *expr) {
    fe_value value = fe_evaluate(context, scope, expr->left);
    if (value.kind == FE_VALUE_ERROR)
        return value;
    if (value.kind != FE_VALUE_LIST && value.kind != FE_VALUE_TUPLE) {
        ir_value *tensor = fe_to_tensor(context, &value, "what is indexed");
        return tensor ? index_tensor(context, scope, expr, tensor) : fe_error(expr->span);
    }
    if (expr->part_count != 1 || !expr->parts[0])
        return fe_fail(context, expr->span, "a list takes one index");
    fe_value at = fe_evaluate(context, scope, expr->parts[0]);
    int64_t place;
    if (!fe_to_size(context, &at, "an index", -value.item_count, &place))
        return fe_error(expr->span);
    if (place < 0)
        place += value.item_count;
    if (place >= value.item_count)
        return fe_fail(context, expr->parts[0]->span, "index %lld in a list of %d", (long long)place, value.item_count);
    return value.items[place];
}
