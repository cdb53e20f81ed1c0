/* Checks every rule of the tensor IR. */
#include "ir/ir.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    const ir_module *module;
    const ir_function *function;
    arena *memory; /* for this function's check alone */
    diag_list *diags;
    bool good;
} verifier;

static void complain(verifier *verify, const ir_value *value, const char *format, const char *detail) {
    source_span nowhere = {0};
    const char *message = arena_printf(verify->diags->memory, format, detail);
    diag_error(verify->diags, nowhere, "invalid IR: in @%s, value %%%d (%s): %s", verify->function->name, value->id,
               ir_op(value->opcode)->name, message);
    verify->good = false;
}

static void verify_layout(verifier *verify, const ir_value *value) {
    unsigned seen = 0;
    for (int i = 0; i < value->type.rank; i++)
        seen |= 1u << value->layout.axis[i];
    if (seen != (1u << value->type.rank) - 1)
        complain(verify, value, "the layout %s", "is no permutation of the axes");
}

/* Types by the shape rules, and the types of states read and written. */
static void verify_type(verifier *verify, const ir_value *value) {
    ir_type type = value->type;
    const char *why = NULL;
    if (!ir_infer(verify->memory, value->opcode, value->operands, value->operand_count, value->attrs, value->attr_count,
                  &type, &why))
        complain(verify, value, "%s", why);
    else if (!ir_type_equal(&type, &value->type))
        complain(verify, value, "its type should be %s", ir_type_text(verify->memory, &type));
    if (value->opcode != IR_OP_read && value->opcode != IR_OP_write)
        return;
    const ir_state *state = ir_state_find(verify->module, ir_symbol(value, IR_ATTR_symbol));
    if (!state)
        complain(verify, value, "no state '%s'", ir_symbol(value, IR_ATTR_symbol));
    else if (!ir_type_equal(&state->type, &value->type))
        complain(verify, value, "the state's type is %s", ir_type_text(verify->memory, &state->type));
    else if (value->opcode == IR_OP_read && !ir_layout_equal(&state->layout, &value->layout, value->type.rank))
        complain(verify, value, "its layout differs from that of the state '%s'", state->name);
}

static void verify_operands(verifier *verify, const ir_value *value) {
    for (int i = 0; i < value->operand_count; i++) {
        const ir_value *operand = value->operands[i];
        if (operand->scratch != verify->function)
            complain(verify, value, "an operand is %s", "not defined before it in this function");
        if (ir_op(operand->opcode)->class_ == IR_CLASS_EFFECT)
            complain(verify, value, "an operand is %s", "an effect, which has no result");
    }
}

/* Names that must be unique: written states, outputs, inputs. Sorted, so that equal ones meet. */
static int compare_symbols(const void *a, const void *b) {
    const ir_value *const *left = a, *const *right = b;
    int order = (int)(*left)->opcode - (int)(*right)->opcode;
    return order ? order : strcmp(ir_symbol(*left, IR_ATTR_symbol), ir_symbol(*right, IR_ATTR_symbol));
}

static void verify_names(verifier *verify) {
    const ir_value **named = arena_alloc(verify->memory, (size_t)verify->function->value_count * sizeof(ir_value *));
    int count = 0;
    for (const ir_value *value = verify->function->first; value; value = value->next)
        if (value->opcode == IR_OP_write || value->opcode == IR_OP_output || value->opcode == IR_OP_input)
            named[count++] = value;
    if (count)
        qsort(named, (size_t)count, sizeof *named, compare_symbols);
    for (int i = 1; i < count; i++)
        if (compare_symbols(&named[i - 1], &named[i]) == 0)
            complain(verify, named[i], "a second one of the name '%s'", ir_symbol(named[i], IR_ATTR_symbol));
}

/* ---- fusion groups
 * -------------------------------------------------------------------------------------------------------- */

/* A group is convex when no value outside it lies on a path between two of its members: contracting every group to a
 * point must leave a graph without cycles, which Kahn's algorithm decides. */
typedef struct {
    int *incoming;
    int *node_of; /* by id */
    int node_count;
} contracted;

static int node_of_value(const contracted *graph, const ir_value *value) {
    return graph->node_of[value->id];
}

static contracted contract(const verifier *verify, int group_limit) {
    const ir_function *function = verify->function;
    arena *memory = verify->memory;
    contracted graph = {.node_of = arena_alloc(memory, (size_t)function->next_id * sizeof(int)),
                        .node_count = group_limit};
    for (const ir_value *value = function->first; value; value = value->next)
        graph.node_of[value->id] = value->group ? value->group : graph.node_count++;
    graph.incoming = arena_alloc(memory, (size_t)(graph.node_count + 1) * sizeof(int));
    for (const ir_value *value = function->first; value; value = value->next)
        for (int i = 0; i < value->operand_count; i++)
            if (node_of_value(&graph, value->operands[i]) != node_of_value(&graph, value))
                graph.incoming[node_of_value(&graph, value)]++;
    return graph;
}

/* Edges leaving each node, as lists of target nodes. */
typedef struct {
    int *first; /* by node: index of its first edge; the last entry is the number of edges */
    int *target;
} edge_lists;

static edge_lists edges_of(const verifier *verify, const contracted *graph) {
    arena *memory = verify->memory;
    edge_lists edges = {.first = arena_alloc(memory, (size_t)(graph->node_count + 2) * sizeof(int))};
    int total = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (const ir_value *value = verify->function->first; value; value = value->next)
            for (int i = 0; i < value->operand_count; i++) {
                int from = node_of_value(graph, value->operands[i]), to = node_of_value(graph, value);
                if (from == to)
                    continue;
                if (pass == 0) {
                    edges.first[from + 2]++;
                    total++;
                } else {
                    edges.target[edges.first[from + 1]++] = to;
                }
            }
        if (pass == 0) {
            edges.target = arena_alloc(memory, (size_t)(total + 1) * sizeof(int));
            for (int node = 0; node < graph->node_count; node++)
                edges.first[node + 2] += edges.first[node + 1];
        }
    }
    return edges;
}

static void verify_groups(verifier *verify) {
    int group_limit = 1;
    for (const ir_value *value = verify->function->first; value; value = value->next)
        if (value->group >= group_limit)
            group_limit = value->group + 1;
    if (group_limit == 1)
        return;
    contracted graph = contract(verify, group_limit);
    edge_lists edges = edges_of(verify, &graph);
    int *ready = arena_alloc(verify->memory, (size_t)graph.node_count * sizeof(int));
    int head = 0, tail = 0;
    for (int node = 0; node < graph.node_count; node++)
        if (graph.incoming[node] == 0)
            ready[tail++] = node;
    while (head < tail) {
        int node = ready[head++];
        for (int e = edges.first[node]; e < edges.first[node + 1]; e++)
            if (--graph.incoming[edges.target[e]] == 0)
                ready[tail++] = edges.target[e];
    }
    for (const ir_value *value = verify->function->first; value && tail < graph.node_count; value = value->next)
        if (value->group && graph.incoming[value->group] > 0) {
            complain(verify, value, "its fusion group %s", "depends on itself through a value outside of it");
            return;
        }
}

static void verify_function(verifier *verify) {
    bool *seen = arena_alloc(verify->memory, (size_t)verify->function->next_id + 1);
    for (ir_value *value = verify->function->first; value; value = value->next)
        value->scratch = NULL;
    for (ir_value *value = verify->function->first; value; value = value->next) {
        if (value->id < 0 || value->id >= verify->function->next_id || seen[value->id]) {
            complain(verify, value, "its number is %s", "not unique");
            return;
        }
        seen[value->id] = true;
        if (value->group < 0 || value->group > verify->function->next_id + verify->function->value_count)
            complain(verify, value, "its fusion group is %s", "out of range");
        verify_operands(verify, value);
        verify_type(verify, value);
        verify_layout(verify, value);
        value->scratch = (void *)(uintptr_t)verify->function;
    }
    verify_names(verify);
    if (verify->good)
        verify_groups(verify);
}

bool ir_verify(const ir_module *module, diag_list *diags) {
    verifier verify = {.module = module, .diags = diags, .good = true};
    for (int i = 0; i < module->function_count; i++) {
        verify.function = module->functions[i];
        verify.memory = arena_new();
        verify_function(&verify);
        arena_free(verify.memory);
    }
    return verify.good;
}
