/* Units of the lowering: fusion groups and values on their own. */
#include "passes/lower_units.h"

#include "passes/group_order.h"

#include <string.h>

/* Of the values since `first`, which are side by side. */
static lower_group group_of(arena *memory, const ir_value *first, const lower_units *units, const uint64_t *numbers) {
    lower_group group = {0};
    const ir_value *end = first->next;
    for (group.member_count = 1; end && first->group && end->group == first->group; end = end->next)
        group.member_count++;
    size_t size = (size_t)group.member_count * sizeof(ir_value *);
    const ir_value **members = arena_alloc(memory, size), **results = arena_alloc(memory, size);
    const ir_value *value = first;
    for (int i = 0; i < group.member_count; i++, value = value->next) {
        members[i] = value;
        if (!lower_is_inlined(value) || units->outside[value->id])
            results[group.result_count++] = value;
    }
    lower_order_results(results, group.result_count, numbers);
    group.members = members;
    group.results = results;
    return group;
}

/* Marks the members of groups that another member uses, and counts the uses by other units. */
static void count_uses(const ir_function *function, lower_units *units) {
    for (ir_value *value = function->first; value; value = value->next)
        value->scratch = NULL;
    for (const ir_value *user = function->first; user; user = user->next)
        for (int i = 0; i < user->operand_count; i++) {
            ir_value *operand = user->operands[i];
            if (user->group && operand->group == user->group)
                operand->scratch = operand;
            else
                units->outside[operand->id]++;
        }
}

static bool is_reduction(const ir_value *value) {
    return ir_op(value->opcode)->class_ == IR_CLASS_REDUCTION;
}

static const ir_value *element_of(const ir_value *result) {
    return is_reduction(result) ? result->operands[0] : result;
}

static bool same_axes(const ir_value *a, const ir_value *b) {
    const ir_attr *x = ir_attr_get(a, IR_ATTR_axes), *y = ir_attr_get(b, IR_ATTR_axes);
    return x->count == y->count && memcmp(x->as.ints, y->as.ints, (size_t)x->count * sizeof *x->as.ints) == 0;
}

/* Whether the results are elements of one space, or reductions of it along the same axes. */
static bool is_of_one_space(const lower_group *group) {
    const ir_value *space = element_of(group->results[0]), *reduction = NULL;
    for (int i = 0; i < group->result_count; i++) {
        const ir_value *result = group->results[i], *element = element_of(result);
        if (!ir_same_dims(&element->type, &space->type) ||
            !ir_layout_equal(&element->layout, &space->layout, space->type.rank))
            return false;
        if (!is_reduction(result))
            continue;
        if (!ir_is_fold(result))
            return false;
        if (reduction &&
            (!same_axes(result, reduction) || !ir_layout_equal(&result->layout, &reduction->layout, result->type.rank)))
            return false;
        reduction = result;
    }
    return group->result_count <= LOWER_MAX_RESULTS;
}

/* Members are elements, computed at the coordinates where their users want them; reductions only end a group. */
static bool is_computable(const lower_group *group) {
    for (int i = 0; i < group->member_count; i++) {
        const ir_value *value = group->members[i];
        switch (ir_op(value->opcode)->class_) {
        case IR_CLASS_ELEMENTWISE: break;
        case IR_CLASS_SHAPE:
            if (value->opcode == IR_OP_pad || value->opcode == IR_OP_concat || value->opcode == IR_OP_gather ||
                value->opcode == IR_OP_scatter_add)
                return false;
            break;
        case IR_CLASS_REDUCTION:
            if (lower_is_inlined(value))
                return false;
            break;
        default:
            if (value->opcode != IR_OP_constant && value->opcode != IR_OP_iota)
                return false;
        }
    }
    return true;
}

bool lower_holds_product(const lower_group *group) {
    for (int i = 0; i < group->member_count; i++)
        if (group->members[i]->opcode == IR_OP_dot)
            return true;
    return false;
}

static bool check(const pass_context *pass, const lower_group *group) {
    const ir_value *first = group->members[0];
    if (!first->group || lower_holds_product(group) || (is_of_one_space(group) && is_computable(group)))
        return true;
    diag_error(pass->diags, first->span, "no kernel computes the values of group %d together", first->group);
    return false;
}

bool lower_units_find(const pass_context *pass, ir_function *function, lower_units *units) {
    arena *memory = pass->memory;
    ir_sort_groups(function);
    units->of = arena_alloc(memory, (size_t)(function->next_id + 1) * sizeof(int));
    units->outside = arena_alloc(memory, (size_t)(function->next_id + 1) * sizeof(int));
    units->items = arena_alloc(memory, (size_t)(function->value_count + 1) * sizeof *units->items);
    count_uses(function, units);
    const uint64_t *numbers = lower_order_operands(memory, function);
    for (const ir_value *value = function->first; value;) {
        lower_group group = group_of(memory, value, units, numbers);
        if (!check(pass, &group))
            return false;
        for (int i = 0; i < group.member_count; i++, value = value->next)
            units->of[value->id] = units->count;
        units->items[units->count++] = group;
    }
    return true;
}
