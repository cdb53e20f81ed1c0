/* fuse-elementwise: groups of values that become one kernel.
 *
 * A group computes elements of one space (dims and layout) and stores those that something else needs, its results;
 * sums and maxima of the space along the same axes may be results too. From the last value to the first, each value
 * - joins the group of its users if all of them are of one group;
 * - is computed by each of several groups if it is cheap to compute again from no more memory than it would take
 * itself, or by those that read that memory anyway;
 * - else is a result, of a group that reads the same memory if that makes no group depend on itself, or of its own.
 * What is nearly free (constants, indices, repeats) is computed wherever it is used. Groups of earlier passes stay as
 * they are. Requires nothing; copies values, changes none. */
#include "passes/fusion.h"

#include <string.h>

enum {
    MAX_MEMBERS = 96, /* of one group: compile time */
    MAX_RESULTS = 8,  /* of one group: registers; at most LOWER_MAX_RESULTS */
    MAX_BASES = 10,   /* streams of memory that one group reads */
    MAX_WORK = 24,    /* operations that cost less than reading an element from memory */
    MANY = 3,         /* as many large operands make a value with several users a stored one */
};

/* Whether the operation's result can be computed where it is used, element by element. */
static bool is_computed_in_place(const ir_value *value) {
    switch (value->opcode) {
    case IR_OP_constant:
    case IR_OP_iota:
    case IR_OP_broadcast:
    case IR_OP_transpose:
    case IR_OP_slice: return true;
    case IR_OP_reshape: return ir_same_long_axes(&value->operands[0]->type, &value->type);
    default: return ir_op(value->opcode)->class_ == IR_CLASS_ELEMENTWISE;
    }
}

/* Whether the operation can take operands that are computed in place. */
static bool takes_in_place(const ir_value *user) {
    ir_class class_ = ir_op(user->opcode)->class_;
    return class_ == IR_CLASS_ELEMENTWISE || ir_is_fold(user) ||
           (class_ == IR_CLASS_SHAPE && is_computed_in_place(user));
}

/* Free to compute again: no arithmetic, and no more to read than the stored result would be. */
static bool is_free(const ir_value *value) {
    switch (value->opcode) {
    case IR_OP_constant:
    case IR_OP_iota:
    case IR_OP_stop_gradient:
    case IR_OP_broadcast: return true;
    case IR_OP_reshape: return is_computed_in_place(value);
    default: return false;
    }
}

/* A transposed or strided reading of what is computed in place would compute along the wrong axis; of what is stored it
 * is only slower. Contiguous vectors matter more than one pass over memory, so transposes stand alone where they move
 * elements. */
static bool may_join(const ir_value *value, const ir_value *user) {
    if (!takes_in_place(user) || !is_computed_in_place(value))
        return false;
    if (value->opcode == IR_OP_transpose || user->opcode == IR_OP_transpose)
        return false;
    if (value->opcode == IR_OP_constant || value->opcode == IR_OP_iota || value->opcode == IR_OP_broadcast)
        return true;
    /* A reduction's or broadcast's operand of fewer elements would be computed again for each of its uses. */
    return user->opcode != IR_OP_broadcast || ir_type_elements(&value->type) == ir_type_elements(&user->type);
}

/* ---- what values are computed from
 * ------------------------------------------------------------------------------------------------ */

/* Operations in place of one element of the value itself, in units of an addition. */
static int own_work(const ir_value *value) {
    switch (value->opcode) {
    case IR_OP_exp:
    case IR_OP_log:
    case IR_OP_tanh:
    case IR_OP_rsqrt: return 16;
    case IR_OP_sin:
    case IR_OP_cos:
    case IR_OP_pow: return 100; /* the C library's, lane by lane */
    case IR_OP_div:
    case IR_OP_rem:
    case IR_OP_sqrt: return 6;
    default: return ir_op(value->opcode)->class_ == IR_CLASS_ELEMENTWISE ? 1 : 0;
    }
}

static bool has_user_that_reads_memory(const ir_value *value) {
    for (const fusion_use *use = fusion_node_of(value)->users; use; use = use->next)
        if (use->user->group || !may_join(value, use->user))
            return true;
    return false;
}

/* Fills in the bases and the work of a value from those of its operands; guesses whether it will be stored. */
static void look_at(ir_value *value) {
    fusion_node *node = fusion_node_of(value);
    for (int i = 0; i < value->operand_count; i++) {
        const ir_value *operand = value->operands[i];
        const fusion_node *from = fusion_node_of(operand);
        bool large = ir_type_elements(&operand->type) >= ir_type_elements(&value->type);
        if (from->leaf && large)
            fusion_bases_add(&node->bases, operand);
        else if (!from->leaf)
            fusion_bases_join(&node->bases, &from->bases);
        node->work += from->leaf ? 0 : from->work;
    }
    node->work += own_work(value);
    node->work = node->work > 1000 ? 1000 : node->work;
    node->leaf = value->group || !is_computed_in_place(value) || has_user_that_reads_memory(value) ||
                 (node->user_count > 1 && node->bases.count >= MANY);
}

/* ---- joining
 * ----------------------------------------------------------------------------------------------------------------------
 */

/* The groups of users that could compute the value in place. */
typedef struct {
    fusion_group **items;
    int count, capacity;
    bool stored; /* another user needs it in memory */
} user_groups;

/* Whether the value's elements are where those are that it is computed from: a reshape in place moves none. */
static bool moves_nothing(const ir_value *value) {
    return ir_op(value->opcode)->class_ == IR_CLASS_ELEMENTWISE ||
           (value->opcode == IR_OP_reshape && is_computed_in_place(value));
}

static bool ends_in_shape(const fusion_group *group) {
    return !group->reduction && !moves_nothing(group->space);
}

static bool has_room(const fusion_group *group) {
    return group->count < MAX_MEMBERS;
}

/* The member of the user's group that decides at which places the user's operands are needed. */
static const ir_value *moved_by(const ir_value *user) {
    return user->opcode == IR_OP_slice ? user : fusion_node_of(user)->moved;
}

/* Whether the group's members need the value at the same places; else it would be computed once for each of them, and
 * what it is computed from once more for each of those. */
static bool is_needed_in_one_place(const ir_value *value, const fusion_group *group) {
    const ir_value *moved = NULL;
    bool first = true;
    for (const fusion_use *use = fusion_node_of(value)->users; use; use = use->next) {
        if (fusion_node_of(use->user)->group != group)
            continue;
        if (fusion_node_of(use->user)->scattered || (!first && moved_by(use->user) != moved))
            return false;
        moved = moved_by(use->user);
        first = false;
    }
    return true;
}

/* What the users of a member that has just joined have decided of its own. */
static void note_moved(const ir_value *value) {
    fusion_node *node = fusion_node_of(value);
    node->scattered = !is_needed_in_one_place(value, node->group);
    for (const fusion_use *use = node->users; use; use = use->next)
        if (fusion_node_of(use->user)->group == node->group)
            node->moved = moved_by(use->user);
}

static user_groups find_user_groups(fusion *work, const ir_value *value) {
    user_groups found = {0};
    for (const fusion_use *use = fusion_node_of(value)->users; use; use = use->next) {
        fusion_group *group = fusion_node_of(use->user)->group;
        bool known = false;
        for (int i = 0; i < found.count; i++)
            known |= found.items[i] == group;
        if (use->user->group || !group || !may_join(value, use->user) || (!known && !has_room(group)))
            found.stored = true;
        else if (!known)
            ARENA_PUSH(work->memory, found.items, found.count, found.capacity, group);
    }
    for (int i = 0; i < found.count && !is_free(value); i++)
        if (!is_needed_in_one_place(value, found.items[i])) {
            found.items[i--] = found.items[--found.count];
            found.stored = true;
        }
    /* What only moves elements is free as long as it does not compute them. */
    for (int i = 0; i < found.count && !is_free(value); i++)
        if (ends_in_shape(found.items[i]) && (found.count > 1 || found.stored)) {
            found.items[i--] = found.items[--found.count];
            found.stored = true;
        }
    return found;
}

/* Cheaper to compute again in each of `groups` kernels: that reads more memory only where there are more bases. */
static bool is_cheaper_again(const ir_value *value, int groups) {
    const fusion_node *node = fusion_node_of(value);
    return node->work <= MAX_WORK && !node->bases.more && (groups - 1) * (node->bases.count - 1) <= 1;
}

static bool reads_all(const fusion_group *group, const fusion_bases *bases) {
    for (int i = 0; i < bases->count; i++) {
        bool found = false;
        for (int j = 0; j < group->bases.count; j++)
            found |= group->bases.items[j] == bases->items[i];
        if (!found)
            return false;
    }
    return true;
}

/* Leaves the groups that read all that the value is computed from anyway: to compute it again costs them less than to
 * read it, and the value itself waits in memory for one user less. The others read it. */
static void keep_readers(const ir_value *value, user_groups *groups) {
    const fusion_node *node = fusion_node_of(value);
    bool cheap = node->work <= MAX_WORK && !node->bases.more && node->bases.count > 0;
    for (int i = 0; i < groups->count; i++)
        if (!cheap || !reads_all(groups->items[i], &node->bases)) {
            groups->items[i--] = groups->items[--groups->count];
            groups->stored = true;
        }
}

/* A member of each of the groups; the value itself stays alone if it is stored as well. */
static void compute_in_each(fusion *work, ir_value *value, const user_groups *groups) {
    for (int i = groups->stored ? 0 : 1; i < groups->count; i++)
        note_moved(fusion_copy_into(work, value, groups->items[i]));
    if (!groups->stored && groups->count) {
        fusion_group_add(work, groups->items[0], value);
        note_moved(value);
    }
}

/* ---- results
 * ----------------------------------------------------------------------------------------------------------------------
 */

static const ir_value *element_of(const ir_value *result) {
    return ir_is_fold(result) ? result->operands[0] : result;
}

static bool same_axes(const ir_value *a, const ir_value *b) {
    const ir_attr *x = ir_attr_get(a, IR_ATTR_axes), *y = ir_attr_get(b, IR_ATTR_axes);
    return x->count == y->count && memcmp(x->as.ints, y->as.ints, (size_t)x->count * sizeof *x->as.ints) == 0 &&
           ir_layout_equal(&a->layout, &b->layout, a->type.rank);
}

static bool is_of_space(const ir_value *result, const fusion_group *group) {
    const ir_value *element = element_of(result);
    return ir_same_dims(&element->type, &group->space->type) &&
           ir_layout_equal(&element->layout, &group->space->layout, element->type.rank) &&
           (!ir_is_fold(result) || !group->reduction || same_axes(result, group->reduction));
}

static bool needs_sum_of_itself(const ir_value *reduction, const fusion_group *group) {
    for (const fusion_use *use = fusion_node_of(reduction)->users; use; use = use->next)
        if (fusion_node_of(use->user)->group == group)
            return true;
    return false;
}

/* Whether one pass over the group's memory may compute the value as well. */
static bool may_add_result(fusion *work, const ir_value *value, const fusion_group *group) {
    const fusion_node *node = fusion_node_of(value);
    if (group->closed || group->results >= MAX_RESULTS || !has_room(group) || !is_of_space(value, group) ||
        !fusion_bases_meet(&node->bases, &group->bases))
        return false;
    fusion_bases all = group->bases;
    fusion_bases_join(&all, &node->bases);
    if (all.more || all.count > MAX_BASES)
        return false;
    if (ir_is_fold(value) && needs_sum_of_itself(value, group))
        return false;
    return !fusion_is_needed_through(work, value, group);
}

static void add_result(fusion *work, ir_value *value, fusion_group *group) {
    fusion_node *node = fusion_node_of(value);
    fusion_group_add(work, group, value);
    group->results++;
    group->space = group->space ? group->space : element_of(value);
    group->reduction = ir_is_fold(value) ? value : group->reduction;
    fusion_bases_join(&group->bases, &node->bases);
}

/* Vectors of results that do not lie side by side are computed one by one, and a single long axis by one thread. */
static bool is_slow_reduction(const ir_value *value) {
    const ir_value *operand = value->operands[0];
    int rank = operand->type.rank, innermost = rank ? operand->layout.axis[rank - 1] : 0, place = 0;
    const ir_attr *axes = ir_attr_get(value, IR_ATTR_axes);
    if (rank < 2)
        return true;
    for (int i = 0; i < axes->count; i++) {
        if (axes->as.ints[i] == innermost)
            return false;
        place += axes->as.ints[i] < innermost;
    }
    return value->layout.axis[value->type.rank - 1] != innermost - place;
}

/* The value is stored: by a group that reads the same memory, the nearest one, or by one of its own. */
static void store(fusion *work, ir_value *value) {
    bool alone = ir_is_fold(value) ? is_slow_reduction(value) : !moves_nothing(value);
    fusion_bases_add(&fusion_node_of(value)->bases, value);
    for (int i = work->group_count - 1; i >= 0 && !alone; i--)
        if (may_add_result(work, value, work->groups[i])) {
            add_result(work, value, work->groups[i]);
            return;
        }
    fusion_group *group = fusion_group_new(work);
    add_result(work, value, group);
    group->closed = alone;
}

static void place(fusion *work, ir_value *value) {
    if (fusion_node_of(value)->group || !(is_computed_in_place(value) || ir_is_fold(value)))
        return;
    user_groups groups = find_user_groups(work, value);
    bool again = is_free(value) || (!groups.stored && (groups.count == 1 || is_cheaper_again(value, groups.count)));
    if (!again)
        keep_readers(value, &groups);
    if (!ir_is_fold(value) && groups.count)
        compute_in_each(work, value, &groups);
    if (!fusion_node_of(value)->group && (fusion_node_of(value)->users || !is_free(value)))
        store(work, value);
}

/* Groups of one value are none. */
static void number_groups(const fusion *work) {
    int count = ir_last_group(work->function);
    for (int i = 0; i < work->group_count; i++) {
        const fusion_group *group = work->groups[i];
        if (group->count < 2 || group->members[0]->group)
            continue;
        count++;
        for (int m = 0; m < group->count; m++)
            group->members[m]->group = count;
    }
}

static void fuse_function(arena *memory, ir_function *function) {
    fusion work = {.memory = memory, .function = function};
    ir_sort_groups(function);
    fusion_begin(&work);
    for (ir_value *value = function->first; value; value = value->next)
        look_at(value);
    for (ir_value *value = function->last; value; value = value->previous)
        place(&work, value);
    number_groups(&work);
    ir_sort_groups(function);
}

bool pass_fuse_elementwise(pass_context *context) {
    for (int i = 0; i < context->module->function_count; i++)
        fuse_function(context->memory, context->module->functions[i]);
    return true;
}
