/* The values that the loss is computed from, and what each depends on. */
#include "frontend/driver/forward.h"

#include <stdlib.h>
#include <string.h>

const forward_facts *forward_facts_of(const ir_value *value) {
    return value->scratch;
}

static ir_value *find_loss(const ir_function *function) {
    for (ir_value *value = function->last; value; value = value->previous)
        if (value->opcode == IR_OP_output && strcmp(ir_symbol(value, IR_ATTR_symbol), "loss") == 0)
            return value->operands[0];
    return NULL;
}

static int find_state(const ir_module *module, const char *name) {
    for (int i = 0; i < module->state_count; i++)
        if (strcmp(module->states[i].name, name) == 0)
            return i;
    return -1;
}

static void learn_source(const ir_module *module, const ir_value *value, forward_facts *facts) {
    if (value->opcode == IR_OP_read) {
        facts->state = find_state(module, ir_symbol(value, IR_ATTR_symbol));
        ir_role role = module->states[facts->state].role;
        bool weights = role == IR_ROLE_PARAM || role == IR_ROLE_STATISTIC || role == IR_ROLE_EMA;
        facts->kinds = weights ? FROM_WEIGHTS : FROM_MEMORY;
        facts->state = weights ? facts->state : -1;
    } else if (value->opcode == IR_OP_input) {
        const char *name = ir_symbol(value, IR_ATTR_symbol);
        facts->kinds = FROM_OTHER;
        for (int i = 0; i < module->view_count && i < 64; i++)
            if (strncmp(name, "view.", 5) == 0 && strcmp(name + 5, module->views[i].name) == 0) {
                facts->kinds = FROM_VIEWS;
                facts->views = UINT64_C(1) << i;
            }
    } else if (value->opcode == IR_OP_random_uniform || value->opcode == IR_OP_random_normal) {
        facts->kinds = FROM_OTHER;
    }
}

static void learn(const ir_module *module, arena *memory, ir_value *value) {
    forward_facts *facts = value->scratch;
    facts->state = -1;
    learn_source(module, value, facts);
    for (int i = 0; i < value->operand_count; i++) {
        forward_facts *operand = value->operands[i]->scratch;
        ARENA_PUSH(memory, operand->users, operand->user_count, operand->user_capacity, value);
        bool first = !(facts->kinds & FROM_WEIGHTS);
        if (operand->kinds & FROM_WEIGHTS)
            facts->state = first || facts->state == operand->state ? operand->state : -1;
        facts->kinds |= operand->kinds;
        facts->views |= operand->views;
    }
}

forward_graph forward_graph_of(arena *memory, ir_module *module) {
    forward_graph graph = {.memory = memory, .module = module};
    const char *batch = ir_setting_find(module, "batch");
    graph.batch = batch ? atoll(batch) : 1;
    ir_function *function = ir_function_find(module, "train_step");
    ir_value *loss = function ? find_loss(function) : NULL;
    if (!loss)
        return graph;
    for (ir_value *value = function->first; value; value = value->next)
        value->scratch = NULL;
    loss->scratch = arena_alloc(memory, sizeof(forward_facts));
    for (ir_value *value = loss; value; value = value->previous)
        for (int i = 0; value->scratch && i < value->operand_count; i++)
            if (!value->operands[i]->scratch)
                value->operands[i]->scratch = arena_alloc(memory, sizeof(forward_facts));
    for (ir_value *value = function->first; value; value = value->next)
        if (value->scratch) {
            learn(module, memory, value);
            ARENA_PUSH(memory, graph.values, graph.count, graph.capacity, value);
        }
    return graph;
}
