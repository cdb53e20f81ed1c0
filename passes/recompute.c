/* recompute: values that wait long for a later user are computed anew where it needs them: those that are cheap always,
 * others where a memory limit asks for it.
 *
 * It looks at the function as `lower` will see it: which values are stored, from where to where each is alive, and
 * where most bytes are. There it takes, of the values that wait, the one that frees most bytes for the arithmetic that
 * it costs; again and again, until the limit holds or nothing is left. Products of matrices and convolutions cost so
 * much that they come last by themselves. Without a limit only large values are taken that a few elementwise operations
 * give: normalised and rectified maps, of which the convolution before is kept anyway. Requires `fuse-elementwise`,
 * whose groups it keeps; what is computed anew joins the group that needs it, if that computes elements of the same
 * space and nothing else needs it, or forms groups of its own. */
#include "passes/pass.h"

#include <limits.h>
#include <string.h>

enum {
    MOST_ROUNDS = 4000,
    PATIENCE = 200,    /* rounds without a lower peak */
    MOST_MEMBERS = 64, /* values computed anew for one */
    MOST_JOINED = 96,  /* of a group that computes one itself */
    SMALL_PART = 16,   /* what is that much smaller than the value that it helps to free is kept for it */
    /* without a limit */
    LIGHT_OPERATIONS = 16, /* for an element, at most */
    LARGE_PART = 512,      /* of the peak: smaller values are not worth a launch */
};

typedef struct {
    pass_context *pass;
    ir_function *function;
    int limit; /* of value ids in the arrays */
    /* in order */
    ir_value **values;
    int64_t *alive; /* bytes while it is launched */
    int count;
    /* by value id */
    int *position; /* where it is launched */
    int *last;     /* its last use */
    int *next;     /* the first use after the peak; -1 where there is none, or where the value cannot be replaced */
    bool *fixed;   /* a port: alive all the time */
    int *seen, stamp;
    ir_value **copy; /* in the round that has `stamp` */
    /* by group */
    int *of_group;     /* where it is launched */
    int *group_number; /* of those before the round */
    bool *of_scores;   /* its parts cannot be computed one by one */
    int group_count;
    int64_t peak;
    int peak_at;
    int copies;
    bool light; /* takes only what is cheap */
} recomputation;

static int64_t stored_bytes(const ir_value *value) {
    return kir_aligned(ir_type_bytes(&value->type));
}

static bool is_effect(const ir_value *value) {
    return ir_op(value->opcode)->class_ == IR_CLASS_EFFECT;
}

/* The value whose memory this one is. */
static const ir_value *holder(const ir_value *value) {
    while (value->opcode == IR_OP_reshape && value->group == 0)
        value = value->operands[0];
    return value;
}

/* ---- the function as it will be launched
 * ----------------------------------------------------------------------------------------- */

/* Lists the values, whose groups get consecutive numbers. All else goes through the list: to follow values from one to
 * the next takes longer than to look at them. */
static void list_values(recomputation *work) {
    int *numbers = work->group_number, groups = 0;
    memset(numbers, 0, (size_t)(work->group_count + 1) * sizeof *numbers);
    memset(work->of_scores, 0, (size_t)(work->group_count + 1) * sizeof *work->of_scores);
    work->count = 0;
    for (ir_value *value = work->function->first; value; value = value->next) {
        work->values[work->count++] = value;
        if (!value->group)
            continue;
        if (!numbers[value->group])
            numbers[value->group] = ++groups;
        value->group = numbers[value->group];
        work->of_scores[value->group] |= ir_op(value->opcode)->class_ == IR_CLASS_CONTRACTION;
    }
    work->group_count = groups;
}

/* Marks values with a user outside of their group, or without a group. */
static void mark_stored(recomputation *work) {
    for (int i = 0; i < work->count; i++) {
        ir_value *value = work->values[i];
        value->mark = value->group == 0 && !is_effect(value) && value->opcode != IR_OP_read && holder(value) == value;
    }
    for (int i = 0; i < work->count; i++) {
        const ir_value *user = work->values[i];
        for (int j = 0; j < user->operand_count; j++)
            if (user->operands[j]->group && user->operands[j]->group != user->group)
                user->operands[j]->mark = 1;
    }
}

/* A group is launched as a whole, where its last value stands. */
static void find_positions(recomputation *work) {
    for (int i = 0; i < work->count; i++)
        work->of_group[work->values[i]->group] = i;
    for (int i = 0; i < work->count; i++) {
        const ir_value *value = work->values[i];
        int at = value->group ? work->of_group[value->group] : i;
        work->position[value->id] = work->last[value->id] = at;
        work->fixed[value->id] = value->opcode == IR_OP_input;
    }
}

static void extend(recomputation *work, const ir_value *value, int to) {
    const ir_value *memory = holder(value);
    if (to > work->last[memory->id])
        work->last[memory->id] = to;
}

static void find_last_uses(recomputation *work) {
    for (int i = work->count - 1; i >= 0; i--) {
        const ir_value *user = work->values[i];
        bool is_write = user->opcode == IR_OP_write;
        if (user->opcode == IR_OP_output)
            work->fixed[holder(user->operands[0])->id] = true;
        for (int j = 0; j < user->operand_count; j++)
            extend(work, user->operands[j], is_write ? work->count - 1 : work->position[user->id]);
    }
}

static void find_peak(recomputation *work) {
    memset(work->alive, 0, (size_t)(work->count + 1) * sizeof *work->alive);
    for (int i = 0; i < work->count; i++) {
        const ir_value *value = work->values[i];
        if (!value->mark)
            continue;
        bool fixed = work->fixed[value->id];
        work->alive[fixed ? 0 : work->position[value->id]] += stored_bytes(value);
        work->alive[fixed ? work->count : work->last[value->id] + 1] -= stored_bytes(value);
    }
    work->peak = work->peak_at = 0;
    for (int i = 0; i < work->count; i++) {
        work->alive[i] += i > 0 ? work->alive[i - 1] : 0;
        if (work->alive[i] > work->peak) {
            work->peak = work->alive[i];
            work->peak_at = i;
        }
    }
}

/* What is used at the peak itself has to be there, and what shares its memory or leaves the function stays. */
static void find_next_uses(recomputation *work) {
    for (int i = 0; i < work->count; i++)
        work->next[work->values[i]->id] = INT_MAX;
    for (int i = 0; i < work->count; i++) {
        const ir_value *user = work->values[i];
        int at = work->position[user->id];
        for (int j = 0; j < user->operand_count; j++) {
            const ir_value *memory = holder(user->operands[j]);
            int *next = &work->next[memory->id];
            if (at == work->peak_at || is_effect(user) || user->operands[j] != memory)
                *next = -1;
            else if (at > work->peak_at && at < *next)
                *next = at;
        }
    }
}

static void look(recomputation *work) {
    list_values(work);
    mark_stored(work);
    find_positions(work);
    find_last_uses(work);
    find_peak(work);
    find_next_uses(work);
}

/* ---- what one value would take
 * --------------------------------------------------------------------------------------------------- */

/* A value that waits over the peak, and what it would take to have it at its next user's place. */
typedef struct {
    ir_value *value;
    int site;                              /* position of the first user after the peak */
    const ir_value *members[MOST_MEMBERS]; /* in the order in which they are computed */
    int member_count;
    double flops;
    int64_t freed; /* bytes at the peak, less what is kept for it */
} candidate;

static bool may_compute(const recomputation *work, const ir_value *value) {
    return !work->of_scores[value->group] && !is_effect(value) && value->opcode != IR_OP_input &&
           value->opcode != IR_OP_read;
}

/* Adds the value and what it needs that is not there any more; false where that is too much. */
static bool add_member(recomputation *work, candidate *choice, const ir_value *value, int64_t whole) {
    if (work->seen[value->id] == work->stamp)
        return true;
    work->seen[value->id] = work->stamp;
    const ir_value *memory = holder(value);
    bool root = value == choice->value, stored = memory->mark || memory->opcode == IR_OP_read;
    if (!root && stored && memory == value) {
        bool there = memory->opcode == IR_OP_read || work->fixed[memory->id] || work->last[memory->id] >= choice->site;
        int64_t bytes = stored_bytes(memory);
        if (there)
            return true;
        if (bytes * SMALL_PART <= whole || !may_compute(work, value)) { /* it is kept until then */
            choice->freed -= work->last[memory->id] < work->peak_at ? bytes : 0;
            return choice->freed > 0;
        }
    }
    if (!may_compute(work, value) || choice->member_count == MOST_MEMBERS)
        return false;
    for (int i = 0; i < value->operand_count; i++)
        if (!add_member(work, choice, value->operands[i], whole))
            return false;
    if (choice->member_count == MOST_MEMBERS)
        return false;
    choice->members[choice->member_count++] = value;
    choice->flops += ir_cost(value);
    return true;
}

static bool is_large(const recomputation *work, int64_t bytes) {
    return bytes * LARGE_PART >= work->peak;
}

static bool look_at(recomputation *work, ir_value *value, candidate *choice) {
    int at = work->peak_at;
    if (!value->mark || (work->light && !is_large(work, stored_bytes(value))) || work->fixed[value->id] ||
        work->position[value->id] >= at || work->last[value->id] <= at || !may_compute(work, value))
        return false;
    *choice = (candidate){.value = value, .site = work->next[value->id], .freed = stored_bytes(value)};
    work->stamp++;
    return choice->site >= 0 && choice->site < work->count && add_member(work, choice, value, choice->freed) &&
           choice->freed > 0;
}

/* Whether as much is alive where the value would be computed anew as at the peak: then nothing is gained. */
static bool is_peak_at_site(const recomputation *work, int site) {
    int64_t born = 0;
    for (int i = site; i >= 0 && work->position[work->values[i]->id] == site; i--) {
        const ir_value *result = work->values[i];
        born += result->mark && !work->fixed[result->id] ? stored_bytes(result) : 0;
    }
    return work->alive[site] - born >= work->peak;
}

/* Whether it is worth its time where memory is not short. */
static bool is_light(const recomputation *work, const candidate *choice) {
    for (int i = 0; i < choice->member_count; i++) {
        const ir_value *member = choice->members[i];
        ir_class class_ = ir_op(member->opcode)->class_;
        if (class_ != IR_CLASS_ELEMENTWISE && class_ != IR_CLASS_SHAPE && ir_cost(member) > 0)
            return false;
    }
    return is_large(work, choice->freed) && !is_peak_at_site(work, choice->site) &&
           choice->flops <= LIGHT_OPERATIONS * (double)ir_type_elements(&choice->value->type);
}

/* Bytes for the arithmetic, and for writing and reading the value once more. */
static double worth(const candidate *choice) {
    return (double)choice->freed / (choice->flops + (double)ir_type_elements(&choice->value->type));
}

static bool choose(recomputation *work, candidate *best) {
    candidate choice;
    bool found = false;
    for (int i = 0; i < work->peak_at; i++)
        if (look_at(work, work->values[i], &choice) && (!work->light || is_light(work, &choice)) &&
            (!found || worth(&choice) > worth(best))) {
            *best = choice;
            found = true;
        }
    return found;
}

/* ---- copying
 * ----------------------------------------------------------------------------------------------------------------- */

static void copy_member(recomputation *work, const ir_value *value, ir_value *before, int first_group) {
    ir_value *copy = ir_build(work->function, before, value->opcode, value->operands, value->operand_count,
                              value->attrs, value->attr_count, &value->type, value->span);
    copy->layout = value->layout;
    for (int i = 0; i < copy->operand_count; i++)
        if (work->seen[copy->operands[i]->id] == work->stamp && work->copy[copy->operands[i]->id])
            copy->operands[i] = work->copy[copy->operands[i]->id];
    if (value->group) /* members of one group are one again */
        copy->group = first_group + value->group;
    work->copy[value->id] = copy;
    work->copies++;
}

/* Whether others stand between members of one group. */
static bool are_mixed(const candidate *choice) {
    for (int i = 2; i < choice->member_count; i++)
        for (int j = 0; choice->members[i]->group && j < i - 1; j++)
            if (choice->members[j]->group == choice->members[i]->group &&
                choice->members[i - 1]->group != choice->members[i]->group)
                return true;
    return false;
}

/* Whether a kernel can compute the member wherever it computes an element of the value. */
static bool is_computed_in_place(const ir_value *member, const ir_value *value) {
    switch (member->opcode) {
    case IR_OP_constant:
    case IR_OP_iota:
    case IR_OP_broadcast: return true;
    case IR_OP_reshape: return ir_same_long_axes(&member->operands[0]->type, &member->type);
    default:
        return ir_op(member->opcode)->class_ == IR_CLASS_ELEMENTWISE &&
               ir_type_elements(&member->type) == ir_type_elements(&value->type);
    }
}

static bool is_of_space(const ir_value *member, const ir_value *value) {
    ir_class class_ = ir_op(member->opcode)->class_;
    const ir_value *element = class_ == IR_CLASS_REDUCTION ? member->operands[0] : member;
    if (class_ != IR_CLASS_ELEMENTWISE && class_ != IR_CLASS_REDUCTION)
        return is_computed_in_place(member, value);
    return ir_same_dims(&element->type, &value->type) &&
           ir_layout_equal(&element->layout, &value->layout, value->type.rank);
}

/* Whether the group of `first`, its first member, computes elements of the value's space, and may compute it. */
static bool may_join(const candidate *choice, const ir_value *first) {
    const ir_value *value = choice->value, *member = first;
    int members = choice->member_count;
    bool same = first->group != 0;
    for (; same && member && member->group == first->group; member = member->next, members++)
        same = is_of_space(member, value);
    for (int i = 0; i < choice->member_count; i++)
        same &= is_computed_in_place(choice->members[i], value);
    for (const ir_value *user = first; same && user; user = user->next)
        for (int i = 0; i < user->operand_count; i++)
            same &= user->operands[i] != value || user->group == first->group;
    return same && members <= MOST_JOINED;
}

/* Copies the members before the next user, and gives every user from there on the copy. */
static void compute_anew(recomputation *work, const candidate *choice) {
    int first = choice->site; /* of its group */
    while (first > 0 && work->values[first]->group && work->values[first - 1]->group == work->values[first]->group)
        first--;
    ir_value *site = work->values[first];
    int groups = work->group_count;
    bool joins = may_join(choice, site);
    work->stamp++;
    for (int i = 0; i < choice->member_count; i++) {
        work->seen[choice->members[i]->id] = work->stamp;
        work->copy[choice->members[i]->id] = NULL;
    }
    for (int i = 0; i < choice->member_count; i++)
        copy_member(work, choice->members[i], site, groups);
    for (int i = 0; i < choice->member_count && joins; i++)
        work->copy[choice->members[i]->id]->group = site->group;
    work->group_count = 2 * groups;
    for (int i = first; i < work->count; i++) {
        ir_value *user = work->values[i];
        for (int j = 0; j < user->operand_count; j++)
            if (user->operands[j] == choice->value)
                user->operands[j] = work->copy[choice->value->id];
    }
    if (are_mixed(choice))
        ir_sort_groups(work->function);
}

/* ---- the pass
 * ---------------------------------------------------------------------------------------------------------------- */

static void *new_array(const recomputation *work, size_t size) {
    return arena_alloc(work->pass->memory, (size_t)(work->limit + 1) * size);
}

static recomputation begin(pass_context *context, ir_function *function) {
    recomputation work = {.pass = context, .function = function, .group_count = ir_last_group(function)};
    work.limit = 4 * function->next_id + 64 * MOST_MEMBERS;
    work.values = new_array(&work, sizeof *work.values);
    work.alive = new_array(&work, sizeof *work.alive);
    work.position = new_array(&work, sizeof *work.position);
    work.last = new_array(&work, sizeof *work.last);
    work.next = new_array(&work, sizeof *work.next);
    work.fixed = new_array(&work, sizeof *work.fixed);
    work.seen = new_array(&work, sizeof *work.seen);
    work.copy = new_array(&work, sizeof *work.copy);
    work.of_group = new_array(&work, 2 * sizeof *work.of_group); /* there are fewer groups than values */
    work.group_number = new_array(&work, 2 * sizeof *work.group_number);
    work.of_scores = new_array(&work, 2 * sizeof *work.of_scores);
    return work;
}

/* Whether the limit could be kept. */
static bool reduce_peak(recomputation *work, int64_t limit) {
    int64_t least = INT64_MAX;
    int patience = PATIENCE;
    candidate best = {0};
    for (int round = 0; round < MOST_ROUNDS && patience > 0; round++) {
        look(work);
        if (work->peak <= limit)
            return true;
        if (work->function->next_id + MOST_MEMBERS > work->limit || !choose(work, &best))
            return false;
        patience = work->peak < least ? PATIENCE : patience - 1;
        least = work->peak < least ? work->peak : least;
        compute_anew(work, &best);
    }
    return false;
}

bool pass_recompute(pass_context *context) {
    for (int i = 0; i < context->module->function_count; i++) {
        ir_function *function = context->module->functions[i];
        recomputation work = begin(context, function);
        work.light = context->memory_limit == 0;
        ir_sort_groups(function);
        bool kept = reduce_peak(&work, context->memory_limit);
        if (strcmp(function->name, "train_step") == 0) {
            context->recompute_exhausted = !kept;
            context->recomputed_values = work.copies;
        }
    }
    return true;
}
