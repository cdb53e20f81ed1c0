/* fuse-elementwise: groups of values that become one kernel.
 *
 * A value joins the group of its user when it is cheap to compute in place and nobody else needs it; what is nearly
 * free (constants, indices, repeats) is copied for every user first, so that it never reaches memory. A group is a tree
 * with one root, whose result is stored; roots are elementwise values and reductions. Groups of earlier passes stay as
 * they are. Requires nothing; keeps all values. */
#include "passes/pass.h"

#include <string.h>

enum { GROUP_LIMIT = 64 }; /* values of one group: registers and compile time */

/* Whether the operation's result can be computed where it is used, element by element. */
static bool is_computed_in_place(const ir_value *value) {
    switch (value->opcode) {
    case IR_OP_constant:
    case IR_OP_iota:
    case IR_OP_broadcast:
    case IR_OP_transpose:
    case IR_OP_slice: return true;
    case IR_OP_reshape: {
        /* Only axes of size 1 come or go: the others keep their order. */
        const ir_type *from = &value->operands[0]->type, *to = &value->type;
        int j = 0;
        for (int i = 0; i < from->rank; i++) {
            if (from->dims[i] == 1)
                continue;
            while (j < to->rank && to->dims[j] == 1)
                j++;
            if (j == to->rank || to->dims[j++] != from->dims[i])
                return false;
        }
        return true;
    }
    default: return ir_op(value->opcode)->class_ == IR_CLASS_ELEMENTWISE;
    }
}

/* Whether the operation can take operands that are computed in place. */
static bool takes_in_place(const ir_value *user) {
    ir_class class_ = ir_op(user->opcode)->class_;
    return class_ == IR_CLASS_ELEMENTWISE || user->opcode == IR_OP_reduce_sum || user->opcode == IR_OP_reduce_max ||
           (class_ == IR_CLASS_SHAPE && is_computed_in_place(user));
}

/* Free to compute again: no arithmetic, and no more to read than the stored result would be. */
static bool is_free(const ir_value *value) {
    switch (value->opcode) {
    case IR_OP_constant:
    case IR_OP_iota:
    case IR_OP_stop_gradient: return true;
    case IR_OP_broadcast: return true;
    case IR_OP_reshape: return is_computed_in_place(value);
    default: return false;
    }
}

static ir_value *copy_before(ir_function *function, const ir_value *value, ir_value *user) {
    ir_value *copy = ir_build(function, user, value->opcode, value->operands, value->operand_count, value->attrs,
                              value->attr_count, &value->type, value->span);
    copy->layout = value->layout;
    return copy;
}

/* Gives every user in a group of its own copy of what is free; from the last value to the first, so that chains of free
 * values are copied whole. */
static void copy_free_values(ir_function *function) {
    ir_count_uses(function);
    for (ir_value *user = function->last; user; user = user->previous) {
        if (user->group || !takes_in_place(user))
            continue;
        for (int i = 0; i < user->operand_count; i++) {
            ir_value *operand = user->operands[i];
            if (!is_free(operand) || operand->mark < 2)
                continue;
            ir_value *copy = copy_before(function, operand, user);
            copy->mark = 1;
            operand->mark--;
            for (int j = 0; j < copy->operand_count; j++)
                copy->operands[j]->mark++;
            user->operands[i] = copy;
        }
    }
}

/* ---- groups
 * --------------------------------------------------------------------------------------------------------------------------
 */

typedef struct {
    int size;
} group_info;

/* The one user of each value, or NULL for several; in value->scratch. */
static void find_single_users(ir_function *function) {
    ir_count_uses(function);
    for (ir_value *value = function->first; value; value = value->next)
        value->scratch = NULL;
    for (ir_value *value = function->first; value; value = value->next)
        for (int i = 0; i < value->operand_count; i++)
            value->operands[i]->scratch = value->operands[i]->mark == 1 ? value : NULL;
}

/* A transposed or strided reading of what is computed in place would compute along the wrong axis; of what is stored it
 * is only slower. Contiguous vectors matter more than one pass over memory, so transposes stand alone where they move
 * elements. */
static bool may_join(const ir_value *value, const ir_value *user) {
    if (!user || !takes_in_place(user) || !is_computed_in_place(value))
        return false;
    if (value->opcode == IR_OP_transpose || user->opcode == IR_OP_transpose)
        return false;
    if (value->opcode == IR_OP_constant || value->opcode == IR_OP_iota || value->opcode == IR_OP_broadcast)
        return true;
    /* A reduction's or broadcast's operand of fewer elements would be computed again for each of its uses. */
    return user->opcode != IR_OP_broadcast || ir_type_elements(&value->type) == ir_type_elements(&user->type);
}

static void fuse_function(arena *memory, ir_function *function) {
    copy_free_values(function);
    find_single_users(function);
    int count = 0;
    for (const ir_value *value = function->first; value; value = value->next)
        count = value->group > count ? value->group : count;
    const int taken = count; /* by passes before this one */
    group_info *groups = arena_alloc(memory, (size_t)(function->value_count + taken + 2) * sizeof *groups);
    for (ir_value *value = function->last; value; value = value->previous) {
        ir_value *user = value->scratch;
        if (value->group || (user && user->group && user->group <= taken) || !may_join(value, user))
            continue;
        if (user->group == 0) {
            user->group = ++count;
            groups[count].size = 1;
        }
        if (groups[user->group].size < GROUP_LIMIT) {
            value->group = user->group;
            groups[user->group].size++;
        }
    }
}

bool pass_fuse_elementwise(pass_context *context) {
    for (int i = 0; i < context->module->function_count; i++)
        fuse_function(context->memory, context->module->functions[i]);
    return true;
}
