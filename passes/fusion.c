#include "passes/fusion.h"

#include <limits.h>

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

static void add_node(fusion *work, ir_value *value, int position) {
    fusion_node *node = arena_alloc(work->memory, sizeof *node);
    *node = (fusion_node){.position = position};
    value->scratch = node;
    for (int i = 0; i < value->operand_count; i++)
        add_user(work, value->operands[i], value);
}

/* What the member means for the positions of its group. */
static void note_position(fusion *work, fusion_group *group, const ir_value *member) {
    const fusion_node *node = fusion_node_of(member);
    group->last = node->position > group->last ? node->position : group->last;
    for (const fusion_use *use = node->users; use; use = use->next) {
        const fusion_node *user = fusion_node_of(use->user);
        bool is_member = user->group == group || (member->group != 0 && use->user->group == member->group);
        if (!is_member && user->position < group->first_exit)
            group->first_exit = user->position;
    }
    if (group->crosses || group->first_exit > group->last)
        return;
    group->crosses = true;
    ARENA_PUSH(work->memory, work->crossing, work->crossing_count, work->crossing_capacity, group);
}

void fusion_begin(fusion *work) {
    int given = ir_last_group(work->function), position = 0;
    fusion_group **earlier = arena_alloc(work->memory, (size_t)(given + 1) * sizeof *earlier);
    for (ir_value *value = work->function->first; value; value = value->next)
        add_node(work, value, position++);
    for (ir_value *value = work->function->first; value; value = value->next) {
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
    *group = (fusion_group){.last = -1, .first_exit = INT_MAX};
    ARENA_PUSH(work->memory, work->groups, work->group_count, work->group_capacity, group);
    return group;
}

void fusion_group_add(fusion *work, fusion_group *group, ir_value *value) {
    fusion_node *node = fusion_node_of(value);
    node->group = group;
    ARENA_PUSH(work->memory, group->members, group->count, group->capacity, value);
    note_position(work, group, value);
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
    add_node(work, copy, fusion_node_of(value)->position);
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

/* A search for a way to the goal. No way to it passes a value behind `limit`. */
typedef struct {
    const fusion_group *goal;
    int limit, visit;
} search;

/* Ways lead onwards, but for groups: one that is entered at its last member may be left by its first exit. */
static int find_limit(const fusion *work, const fusion_group *goal) {
    int limit = goal->last, before;
    do {
        before = limit;
        for (int i = 0; i < work->crossing_count; i++)
            if (work->crossing[i]->first_exit <= limit && work->crossing[i]->last > limit)
                limit = work->crossing[i]->last;
    } while (limit > before);
    return limit;
}

static bool reaches(const search *find, const ir_value *value);

/* Whether a way leads from a user of the group's members to the goal. */
static bool group_reaches(const search *find, fusion_group *group) {
    if (group->visit == find->visit)
        return false;
    group->visit = find->visit;
    for (int i = 0; i < group->count; i++)
        if (reaches(find, group->members[i]))
            return true;
    return false;
}

/* Whether a way leads from a user of the value to the goal. */
static bool reaches(const search *find, const ir_value *value) {
    fusion_node *node = fusion_node_of(value);
    if (node->visit == find->visit || node->position > find->limit)
        return false;
    node->visit = find->visit;
    for (const fusion_use *use = node->users; use; use = use->next) {
        fusion_group *group = fusion_node_of(use->user)->group;
        if (group == find->goal)
            return true;
        if (group && group_reaches(find, group))
            return true;
        if (reaches(find, use->user))
            return true;
    }
    return false;
}

bool fusion_is_needed_through(fusion *work, const ir_value *value, const fusion_group *goal) {
    search find = {goal, find_limit(work, goal), ++work->visits};
    for (const fusion_use *use = fusion_node_of(value)->users; use; use = use->next) {
        fusion_group *group = fusion_node_of(use->user)->group;
        if (group == goal)
            continue;
        if (group ? group_reaches(&find, group) : reaches(&find, use->user))
            return true;
    }
    return false;
}
