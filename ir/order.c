/* The order of a function's values. */
#include "ir/ir.h"

typedef struct {
    ir_value **order;
    int count;
    ir_value **members; /* by group: its first member; the others follow by scratch */
} sorting;

static void place(sorting *sort, ir_value *value) {
    if (value->mark)
        return;
    if (!value->group) {
        value->mark = 1;
        for (int i = 0; i < value->operand_count; i++)
            place(sort, value->operands[i]);
        sort->order[sort->count++] = value;
        return;
    }
    for (ir_value *other = sort->members[value->group]; other; other = other->scratch)
        other->mark = 1;
    for (ir_value *other = sort->members[value->group]; other; other = other->scratch)
        for (int i = 0; i < other->operand_count; i++)
            place(sort, other->operands[i]);
    for (ir_value *other = sort->members[value->group]; other; other = other->scratch)
        sort->order[sort->count++] = other;
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
    for (ir_value *value = function->first; value; value = value->next)
        place(&sort, value);
    for (int i = 0; i < sort.count; i++) {
        sort.order[i]->previous = i ? sort.order[i - 1] : NULL;
        sort.order[i]->next = i + 1 < sort.count ? sort.order[i + 1] : NULL;
    }
    function->first = sort.count ? sort.order[0] : NULL;
    function->last = sort.count ? sort.order[sort.count - 1] : NULL;
}
