/* The reference interpreter: evaluates one function value by value in double precision. It is the oracle of the other
 * back ends, so it is written to be obviously right rather than fast. */
#include "backend/interp.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

typedef void (*eval_rule)(const interp_plan *plan, const ir_value *value, double *result);

static const eval_rule eval_rules[IR_OP_COUNT] = {
#define OP(name, ...) eval_##name,
#include "ir/ops.def"
};

/* ---- walking over indices ---------------------------------------------------------------------------------------- */

interp_walk interp_walk_begin(int rank, const int64_t *dims, const int64_t *first, const int64_t *second,
                              const int64_t *third) {
    return (interp_walk){.rank = rank, .dims = dims, .strides = {first, second, third}};
}

bool interp_walk_next(interp_walk *walk) {
    for (int axis = walk->rank - 1; axis >= 0; axis--) {
        bool wraps = ++walk->index[axis] == walk->dims[axis];
        for (int i = 0; i < 3 && walk->strides[i]; i++)
            walk->offset[i] += walk->strides[i][axis] * (wraps ? 1 - walk->dims[axis] : 1);
        if (!wraps)
            return true;
        walk->index[axis] = 0;
    }
    return false;
}

bool interp_is_larger(double element, double best) {
    return !isnan(best) && (element > best || isnan(element));
}

void interp_strides(const ir_type *type, int64_t strides[IR_MAX_RANK]) {
    ir_layout row_major = ir_layout_identity();
    ir_strides(type, &row_major, strides);
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

static bool is_effect(const ir_value *value) {
    return ir_op(value->opcode)->class_ == IR_CLASS_EFFECT;
}

/* For every value id the position of its last user in the function. What leaves the function lives to the end. */
static int *last_uses(arena *memory, const ir_function *function) {
    int *last_use = arena_alloc(memory, sizeof(int) * (size_t)(function->next_id + 1));
    int position = 0;
    for (const ir_value *value = function->first; value; value = value->next, position++) {
        last_use[value->id] = position;
        for (int i = 0; i < value->operand_count; i++)
            last_use[value->operands[i]->id] = is_effect(value) ? INT32_MAX : position;
    }
    /* An effect may come before another user of the same value. */
    for (const ir_value *value = function->first; value; value = value->next)
        if (is_effect(value))
            last_use[value->operands[0]->id] = INT32_MAX;
    return last_use;
}

typedef struct {
    int64_t elements;
    int busy_until; /* position of the last user of the value in it */
} slot;

/* The smallest slot that is free at `position` and large enough, or -1. */
static int find_slot(const slot *slots, int count, int64_t elements, int position) {
    int best = -1;
    for (int i = 0; i < count; i++)
        if (slots[i].busy_until < position && slots[i].elements >= elements &&
            (best < 0 || slots[i].elements < slots[best].elements))
            best = i;
    return best;
}

/* Gives every value the number of a slot, and returns the slots. */
static slot *assign_slots(arena *memory, const ir_function *function, int *slot_of, int *slot_count) {
    const int *last_use = last_uses(memory, function);
    slot *slots = NULL;
    int count = 0, capacity = 0, position = 0;
    for (const ir_value *value = function->first; value; value = value->next, position++) {
        slot_of[value->id] = -1;
        if (is_effect(value))
            continue;
        int64_t elements = ir_type_elements(&value->type);
        int chosen = find_slot(slots, count, elements, position);
        if (chosen < 0) {
            chosen = count;
            slot fresh = {.elements = elements};
            ARENA_PUSH(memory, slots, count, capacity, fresh);
        }
        slots[chosen].busy_until = last_use[value->id];
        slot_of[value->id] = chosen;
    }
    *slot_count = count;
    return slots;
}

static bool allocate_slots(interp_plan *plan, const slot *slots, int slot_count) {
    plan->slots = calloc((size_t)slot_count + 1, sizeof *plan->slots);
    plan->elements = calloc((size_t)plan->function->next_id + 1, sizeof *plan->elements);
    if (!plan->slots || !plan->elements)
        return false;
    for (; plan->slot_count < slot_count; plan->slot_count++) {
        plan->slots[plan->slot_count] = calloc((size_t)slots[plan->slot_count].elements + 1, sizeof(double));
        if (!plan->slots[plan->slot_count])
            return false;
    }
    return true;
}

bool interp_plan_make(interp_plan *plan, const ir_function *function, diag_list *diags) {
    *plan = (interp_plan){.function = function};
    arena *memory = arena_new();
    bool ready = memory != NULL;
    if (ready) {
        int *slot_of = arena_alloc(memory, sizeof(int) * (size_t)(function->next_id + 1));
        int slot_count;
        const slot *slots = assign_slots(memory, function, slot_of, &slot_count);
        ready = allocate_slots(plan, slots, slot_count);
        for (const ir_value *value = function->first; ready && value; value = value->next)
            plan->elements[value->id] = slot_of[value->id] < 0 ? NULL : plan->slots[slot_of[value->id]];
        arena_free(memory);
    }
    if (!ready) {
        diag_error(diags, function->span, "too little memory to interpret function '%s'", function->name);
        interp_plan_free(plan);
    }
    return ready;
}

void interp_plan_free(interp_plan *plan) {
    for (int i = 0; i < plan->slot_count; i++)
        free(plan->slots[i]);
    free(plan->slots);
    free(plan->elements);
    *plan = (interp_plan){0};
}

/* ---- evaluation -------------------------------------------------------------------------------------------------- */

const double *interp_operand(const interp_plan *plan, const ir_value *value, int operand) {
    assert(operand < value->operand_count);
    return plan->elements[value->operands[operand]->id];
}

void interp_evaluate(interp_plan *plan, const interp_io *io) {
    plan->io = io;
    for (const ir_value *value = plan->function->first; value; value = value->next)
        if (!is_effect(value))
            eval_rules[value->opcode](plan, value, plan->elements[value->id]);
    /* Reads give a state's value on entry, so nothing is written before everything has been read. */
    for (const ir_value *value = plan->function->first; value; value = value->next)
        if (is_effect(value))
            eval_rules[value->opcode](plan, value, NULL);
    plan->io = NULL;
}

bool interp_run(const ir_function *function, const interp_io *io, diag_list *diags) {
    for (const ir_value *value = function->first; value; value = value->next)
        if (value->opcode == IR_OP_gradient) {
            diag_error(diags, value->span, "a gradient cannot be evaluated before the pass 'differentiate'");
            return false;
        }
    interp_plan plan;
    if (!interp_plan_make(&plan, function, diags))
        return false;
    interp_evaluate(&plan, io);
    interp_plan_free(&plan);
    return true;
}

/* ---- sources and effects -------------------------------------------------------------------------------------------
 */

void eval_input(const interp_plan *plan, const ir_value *value, double *result) {
    plan->io->get(plan->io->user, false, ir_symbol(value, IR_ATTR_symbol), &value->type, result);
}

void eval_read(const interp_plan *plan, const ir_value *value, double *result) {
    plan->io->get(plan->io->user, true, ir_symbol(value, IR_ATTR_symbol), &value->type, result);
}

void eval_write(const interp_plan *plan, const ir_value *value, double *result) {
    (void)result;
    plan->io->put(plan->io->user, true, ir_symbol(value, IR_ATTR_symbol), &value->type, interp_operand(plan, value, 0));
}

void eval_output(const interp_plan *plan, const ir_value *value, double *result) {
    (void)result;
    plan->io->put(plan->io->user, false, ir_symbol(value, IR_ATTR_symbol), &value->type,
                  interp_operand(plan, value, 0));
}

void eval_gradient(const interp_plan *plan, const ir_value *value, double *result) {
    (void)plan, (void)value, (void)result;
    assert(!"gradients are refused before an evaluation starts");
}
