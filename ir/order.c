/* The order of a function's values. */
#include "ir/ir.h"

/* A value that is computed as soon as its operands are. */
typedef struct eager_user {
    ir_value *value;
    const struct eager_user *next;
} eager_user;

typedef struct {
    ir_value **order;
    int count;
    ir_value **members;       /* by group: its first member; the others follow by scratch */
    const eager_user **eager; /* by value id: one entry for each use */
    int *missing;             /* by value id: operands that are not placed yet */
} sorting;

static void place(sorting *sort, ir_value *value);

static void append(sorting *sort, ir_value *value) {
    sort->order[sort->count++] = value;
}

static void place_eager(sorting *sort, const ir_value *operand) {
    for (const eager_user *user = sort->eager[operand->id]; user; user = user->next)
        if (--sort->missing[user->value->id] == 0)
            place(sort, user->value);
}

static void place(sorting *sort, ir_value *value) {
    if (value->mark)
        return;
    if (!value->group) {
        value->mark = 1;
        for (int i = 0; i < value->operand_count; i++)
            place(sort, value->operands[i]);
        append(sort, value);
        place_eager(sort, value);
        return;
    }
    for (ir_value *other = sort->members[value->group]; other; other = other->scratch)
        other->mark = 1;
    for (ir_value *other = sort->members[value->group]; other; other = other->scratch)
        for (int i = 0; i < other->operand_count; i++)
            place(sort, other->operands[i]);
    for (ir_value *other = sort->members[value->group]; other; other = other->scratch)
        append(sort, other);
    for (ir_value *other = sort->members[value->group]; other; other = other->scratch)
        place_eager(sort, other);
}

/* Contractions that are no larger than what they are made of: weights' gradients above all. Two maps wait for such a
 * one, in memory, and in the caches when it is computed at once. */
static bool is_eager(const ir_value *value) {
    int64_t operands = 0;
    for (int i = 0; i < value->operand_count; i++)
        operands += ir_type_bytes(&value->operands[i]->type);
    return !value->group && ir_op(value->opcode)->class_ == IR_CLASS_CONTRACTION &&
           ir_type_bytes(&value->type) <= operands;
}

static void find_eager(arena *memory, sorting *sort, const ir_function *function) {
    size_t limit = (size_t)function->next_id + 1;
    sort->eager = arena_alloc(memory, limit * sizeof *sort->eager);
    sort->missing = arena_alloc(memory, limit * sizeof *sort->missing);
    for (ir_value *value = function->first; value; value = value->next)
        for (int i = 0; i < value->operand_count && is_eager(value); i++) {
            eager_user *user = arena_alloc(memory, sizeof *user);
            *user = (eager_user){value, sort->eager[value->operands[i]->id]};
            sort->eager[value->operands[i]->id] = user;
            sort->missing[value->id]++;
        }
}

int ir_last_group(const ir_function *function) {
    int last = 0;
    for (const ir_value *value = function->first; value; value = value->next)
        last = value->group > last ? value->group : last;
    return last;
}

void ir_sort_groups(ir_function *function) {
    arena *memory = function->module->memory;
    sorting sort = {.order = arena_alloc(memory, (size_t)(function->value_count + 1) * sizeof(ir_value *)),
                    .members = arena_alloc(memory, (size_t)(ir_last_group(function) + 1) * sizeof(ir_value *))};
    for (ir_value *value = function->last; value; value = value->previous) {
        value->mark = 0;
        value->scratch = NULL;
        if (value->group) {
            value->scratch = sort.members[value->group];
            sort.members[value->group] = value;
        }
    }
    find_eager(memory, &sort, function);
    for (ir_value *value = function->first; value; value = value->next)
        place(&sort, value);
    for (int i = 0; i < sort.count; i++) {
        sort.order[i]->previous = i ? sort.order[i - 1] : NULL;
        sort.order[i]->next = i + 1 < sort.count ? sort.order[i + 1] : NULL;
    }
    function->first = sort.count ? sort.order[0] : NULL;
    function->last = sort.count ? sort.order[sort.count - 1] : NULL;
}
