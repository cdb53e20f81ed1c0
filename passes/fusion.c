#include "passes/fusion.h"

fusion_node *fusion_node_of(const ir_value *value) {
    return value->scratch;
}

/* ---- values and users ---------------------------------------------------------------------------------------------
 */

static void add_user(fusion *work, const ir_value *value, ir_value *user) {
    fusion_node *node = fusion_node_of(value);
    fusion_use *use = arena_alloc(work->memory, sizeof *use);
    *use = (fusion_use){user, node->users};
    node->users = use;
    node->user_count++;
}

static void add_node(fusion *work, ir_value *value) {
    fusion_node *node = arena_alloc(work->memory, sizeof *node);
    value->scratch = node;
    for (int i = 0; i < value->operand_count; i++)
        add_user(work, value->operands[i], value);
}

void fusion_begin(fusion *work) {
    int given = ir_last_group(work->function);
    fusion_group **earlier = arena_alloc(work->memory, (size_t)(given + 1) * sizeof *earlier);
    for (ir_value *value = work->function->first; value; value = value->next) {
        add_node(work, value);
        if (!value->group)
            continue;
        if (!earlier[value->group]) {
            earlier[value->group] = fusion_group_new(work);
            earlier[value->group]->closed = true;
        }
        fusion_group_add(work, earlier[value->group], value);
    }
}

fusion_group *fusion_group_new(fusion *work) {
    fusion_group *group = arena_alloc(work->memory, sizeof *group);
    ARENA_PUSH(work->memory, work->groups, work->group_count, work->group_capacity, group);
    return group;
}

void fusion_group_add(fusion *work, fusion_group *group, ir_value *value) {
    fusion_node *node = fusion_node_of(value);
    node->group = group;
    ARENA_PUSH(work->memory, group->members, group->count, group->capacity, value);
}

/* Takes the users in `group` away from `value` and gives them to `copy`. */
static void hand_over(fusion *work, ir_value *value, ir_value *copy, const fusion_group *group) {
    fusion_node *node = fusion_node_of(value);
    for (fusion_use **place = &node->users; *place;) {
        ir_value *user = (*place)->user;
        if (fusion_node_of(user)->group != group) {
            place = &(*place)->next;
            continue;
        }
        *place = (*place)->next;
        node->user_count--;
        for (int i = 0; i < user->operand_count; i++)
            if (user->operands[i] == value) {
                user->operands[i] = copy;
                add_user(work, copy, user);
            }
    }
}

ir_value *fusion_copy_into(fusion *work, ir_value *value, fusion_group *group) {
    ir_value *copy = ir_build(work->function, value->next, value->opcode, value->operands, value->operand_count,
                              value->attrs, value->attr_count, &value->type, value->span);
    copy->layout = value->layout;
    add_node(work, copy);
    hand_over(work, value, copy, group);
    fusion_group_add(work, group, copy);
    return copy;
}

/* ---- bases ----------------------------------------------------------------------------------------------------------
 */

void fusion_bases_add(fusion_bases *bases, const ir_value *value) {
    for (int i = 0; i < bases->count; i++)
        if (bases->items[i] == value)
            return;
    if (bases->count == FUSION_MAX_BASES)
        bases->more = true;
    else
        bases->items[bases->count++] = value;
}

void fusion_bases_join(fusion_bases *bases, const fusion_bases *other) {
    for (int i = 0; i < other->count; i++)
        fusion_bases_add(bases, other->items[i]);
    bases->more |= other->more;
}

bool fusion_bases_meet(const fusion_bases *a, const fusion_bases *b) {
    for (int i = 0; i < a->count; i++)
        for (int j = 0; j < b->count; j++)
            if (a->items[i] == b->items[j])
                return true;
    return false;
}

/* ---- cycles ---------------------------------------------------------------------------------------------------------
 */

static bool reaches(fusion *work, const ir_value *value, const fusion_group *goal);

/* Whether a way leads from a user of the group's members to the goal. */
static bool group_reaches(fusion *work, fusion_group *group, const fusion_group *goal) {
    if (group->visit == work->visits)
        return false;
    group->visit = work->visits;
    for (int i = 0; i < group->count; i++)
        if (reaches(work, group->members[i], goal))
            return true;
    return false;
}

/* Whether a way leads from a user of the value to the goal. A value behind the goal can lead back to it, through a
 * group whose other members stand before. */
static bool reaches(fusion *work, const ir_value *value, const fusion_group *goal) {
    fusion_node *node = fusion_node_of(value);
    if (node->visit == work->visits)
        return false;
    node->visit = work->visits;
    for (const fusion_use *use = node->users; use; use = use->next) {
        fusion_group *group = fusion_node_of(use->user)->group;
        if (group == goal)
            return true;
        if (group && group_reaches(work, group, goal))
            return true;
        if (reaches(work, use->user, goal))
            return true;
    }
    return false;
}

bool fusion_is_needed_through(fusion *work, const ir_value *value, const fusion_group *goal) {
    work->visits++;
    for (const fusion_use *use = fusion_node_of(value)->users; use; use = use->next) {
        fusion_group *group = fusion_node_of(use->user)->group;
        if (group == goal)
            continue;
        if (group ? group_reaches(work, group, goal) : reaches(work, use->user, goal))
            return true;
    }
    return false;
}
