/* Which new states are computed straight into the state's memory, and when.
 *
 * A unit may overwrite a state once nothing else needs its old value; one that comes before such a reader runs after
 * all others, if it computes nothing but states. */
#include "passes/lower_units.h"

#include <string.h>

typedef struct {
    const ir_module *module;
    const ir_function *function;
    const lower_units *units;
    int (*readers)[2];           /* by state: the last unit that reads it, and the last other one; -1 for none */
    const ir_value **only_write; /* by value id: the only outside use, if that is a write */
    lower_straight found;
} search;

/* The value whose memory a stored value may share, as reshapes and transposes often move nothing, and products read
 * drawn vectors where they lie. */
static const ir_value *shared_source(const ir_value *value) {
    while (value->opcode == IR_OP_reshape || value->opcode == IR_OP_transpose || value->opcode == IR_OP_gather)
        value = value->operands[0];
    return value;
}

static int state_index(const search *work, const ir_value *value) {
    return (int)(ir_state_find(work->module, ir_symbol(value, IR_ATTR_symbol)) - work->module->states);
}

/* The states that reading the stored value reads, -1 for none: that of its elements, and that of the places of drawn
 * vectors. */
enum { READ_AT_ONCE = 2 };
static void states_read_by(const search *work, const ir_value *operand, int states[READ_AT_ONCE]) {
    const ir_value *source = shared_source(operand), *drawn = operand, *places = NULL;
    while (drawn->opcode == IR_OP_reshape || drawn->opcode == IR_OP_transpose)
        drawn = drawn->operands[0];
    if (drawn->opcode == IR_OP_gather)
        places = shared_source(drawn->operands[1]);
    states[0] = source->opcode == IR_OP_read ? state_index(work, source) : -1;
    states[1] = places && places->opcode == IR_OP_read ? state_index(work, places) : -1;
}

static bool reads_state(const search *work, const ir_value *operand, int state) {
    int states[READ_AT_ONCE];
    states_read_by(work, operand, states);
    return states[0] == state || states[1] == state;
}

static void note_reader(int readers[2], int unit) {
    if (unit > readers[0]) {
        readers[1] = readers[0];
        readers[0] = unit;
    } else if (unit < readers[0] && unit > readers[1]) {
        readers[1] = unit;
    }
}

/* Writes and outputs copy what they take when the function ends. */
static void find_readers(search *work) {
    const lower_units *units = work->units;
    for (int s = 0; s < work->module->state_count; s++)
        work->readers[s][0] = work->readers[s][1] = -1;
    for (const ir_value *user = work->function->first; user; user = user->next)
        for (int i = 0; i < user->operand_count; i++) {
            const ir_value *operand = user->operands[i];
            int unit = units->of[user->id], states[READ_AT_ONCE];
            bool effect = ir_op(user->opcode)->class_ == IR_CLASS_EFFECT;
            states_read_by(work, operand, states);
            for (int s = 0; s < READ_AT_ONCE && (effect || units->of[operand->id] != unit); s++)
                if (states[s] >= 0)
                    note_reader(work->readers[states[s]], effect ? units->count : unit);
        }
}

static bool unit_reads(const search *work, int unit, int state) {
    const lower_group *group = &work->units->items[unit];
    for (int m = 0; m < group->member_count; m++)
        for (int i = 0; i < group->members[m]->operand_count; i++) {
            const ir_value *operand = group->members[m]->operands[i];
            if (work->units->of[operand->id] != unit && reads_state(work, operand, state))
                return true;
        }
    return false;
}

/* Whether the state's elements lie as those of `value` do, which are computed in its place. */
static bool lies_alike(const ir_value *state, const ir_value *value) {
    return state->opcode == IR_OP_read && lower_same_places(state, value);
}

/* Whether the unit, which computes `result`, reads the state at other indices than those that it computes. */
static bool unit_reads_moved(const search *work, int unit, const ir_value *result, int state) {
    const lower_group *group = &work->units->items[unit];
    bool reads = false, moves = false;
    for (int m = 0; m < group->member_count; m++) {
        const ir_value *value = group->members[m];
        bool shape = ir_op(value->opcode)->class_ == IR_CLASS_SHAPE && !lower_is_alias(value);
        for (int i = 0; i < value->operand_count; i++) {
            const ir_value *operand = value->operands[i];
            if (work->units->of[operand->id] == unit) {
                moves |= shape && ir_op(operand->opcode)->class_ != IR_CLASS_SOURCE;
            } else if (reads_state(work, operand, state)) {
                reads = true;
                moves |= shape || !lies_alike(operand, result);
            }
        }
    }
    return reads && moves;
}

/* Whether the written value could be computed into its state. */
static bool is_candidate(const search *work, const ir_value *write) {
    const ir_value *value = write->operands[0];
    int state = state_index(work, write), unit = work->units->of[value->id];
    bool elements = ir_op(value->opcode)->class_ == IR_CLASS_ELEMENTWISE || (value->group && lower_is_alias(value));
    return elements && work->units->outside[value->id] == 1 &&
           ir_layout_equal(&value->layout, &work->module->states[state].layout, value->type.rank) &&
           !unit_reads_moved(work, unit, value, state);
}

static void find_candidates(search *work) {
    for (const ir_value *write = work->function->first; write; write = write->next)
        if (write->opcode == IR_OP_write && is_candidate(work, write)) {
            work->only_write[write->operands[0]->id] = write;
            work->found.value[state_index(work, write)] = write->operands[0];
        }
}

static void give_up(search *work, const ir_value *value) {
    work->found.value[state_index(work, work->only_write[value->id])] = NULL;
}

static void give_up_unit(search *work, int unit) {
    const lower_group *group = &work->units->items[unit];
    work->found.late[unit] = false;
    for (int i = 0; i < group->result_count; i++)
        if (work->only_write[group->results[i]->id])
            give_up(work, group->results[i]);
}

/* A state that is read later makes its unit wait, if all that it computes can. */
static void choose_late(search *work) {
    for (int s = 0; s < work->module->state_count; s++) {
        const ir_value *value = work->found.value[s];
        if (!value)
            continue;
        int unit = work->units->of[value->id];
        const int *readers = work->readers[s];
        if ((readers[0] == unit ? readers[1] : readers[0]) <= unit)
            continue;
        const lower_group *group = &work->units->items[unit];
        bool all = true;
        for (int i = 0; i < group->result_count; i++)
            all &= work->only_write[group->results[i]->id] != NULL;
        work->found.late[unit] = all;
        if (!all)
            give_up(work, value);
    }
}

/* What waits may not read what another unit replaces. */
static void settle(search *work) {
    for (int unit = 0; unit < work->units->count; unit++)
        for (int s = 0; work->found.late[unit] && s < work->module->state_count; s++) {
            const ir_value *value = work->found.value[s];
            if (value && work->units->of[value->id] != unit && unit_reads(work, unit, s))
                give_up_unit(work, unit);
        }
}

lower_straight lower_straight_find(arena *memory, const ir_function *function, const lower_units *units) {
    search work = {.module = function->module, .function = function, .units = units};
    size_t states = (size_t)function->module->state_count + 1;
    work.readers = arena_alloc(memory, states * sizeof *work.readers);
    work.only_write = arena_alloc(memory, (size_t)(function->next_id + 1) * sizeof(ir_value *));
    work.found.value = arena_alloc(memory, states * sizeof(ir_value *));
    work.found.late = arena_alloc(memory, (size_t)(units->count + 1) * sizeof(bool));
    find_readers(&work);
    find_candidates(&work);
    choose_late(&work);
    settle(&work);
    return work.found;
}
