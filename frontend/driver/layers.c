/* Layers: the parameters that the loss is computed with, by the modules that own them. */
#include "frontend/driver/forward.h"

#include <string.h>

static bool is_weight(const ir_value *value) {
    const forward_facts *facts = forward_facts_of(value);
    return facts->kinds == FROM_WEIGHTS && facts->state >= 0;
}

static bool is_activation(const ir_value *value) {
    return (forward_facts_of(value)->kinds & (FROM_VIEWS | FROM_MEMORY | FROM_OTHER)) != 0;
}

static const char *prefix_of(arena *memory, const char *state) {
    const char *dot = strrchr(state, '.');
    return dot ? arena_strndup(memory, state, (size_t)(dot - state)) : state;
}

/* Parts labelled `self` share their owner's path; the innermost, which comes last, says what the layer is. */
static const char *module_of(const fe_facts *modules, const char *path) {
    for (int i = modules->count - 1; i >= 0; i--)
        if (strcmp(modules->items[i].name, path) == 0)
            return modules->items[i].text;
    return NULL;
}

static const char *operation_of(arena *memory, const ir_value *value) {
    if (value->opcode != IR_OP_conv2d)
        return value->opcode == IR_OP_dot ? "dot" : "elementwise";
    const int64_t *window = value->operands[1]->type.dims, *stride = ir_ints(value, IR_ATTR_stride);
    const char *text = arena_printf(memory, "conv2d %lldx%lld", (long long)window[2], (long long)window[3]);
    if (stride[0] != stride[1])
        return arena_printf(memory, "%s stride %lld,%lld", text, (long long)stride[0], (long long)stride[1]);
    return stride[0] > 1 ? arena_printf(memory, "%s stride %lld", text, (long long)stride[0]) : text;
}

/* The row of that parameter's own, with that output if one is given. */
static forward_layer *find_own(const forward_layers *layers, int state, const ir_type *output) {
    for (int i = 0; i < layers->count; i++)
        if (layers->layers[i].state == state && (!output || ir_type_equal(&layers->layers[i].output, output)))
            return &layers->layers[i];
    return NULL;
}

/* The first row of the parameters below that path, likewise. */
static forward_layer *find_below(const forward_layers *layers, const char *prefix, const ir_type *output) {
    for (int i = 0; i < layers->count; i++)
        if (strcmp(layers->layers[i].prefix, prefix) == 0 &&
            (!output || ir_type_equal(&layers->layers[i].output, output)))
            return &layers->layers[i];
    return NULL;
}

static forward_layer *add_layer(const forward_graph *graph, forward_layers *layers, const fe_facts *modules, int state,
                                const ir_value *value) {
    const ir_state *weights = &graph->module->states[state];
    forward_layer layer = {.state = state, .span = weights->span, .average = weights->role == IR_ROLE_EMA};
    layer.prefix = prefix_of(graph->memory, weights->name);
    layer.module = module_of(modules, layer.prefix);
    /* A second product of the same module goes by its parameter's name. */
    bool shared = find_below(layers, layer.prefix, NULL) && !find_own(layers, state, NULL);
    layer.name = shared ? weights->name : layer.prefix;
    layer.operation = value ? operation_of(graph->memory, value) : "not applied";
    if (value)
        layer.output = value->type;
    ARENA_PUSH(graph->memory, layers->layers, layers->count, layers->capacity, layer);
    return &layers->layers[layers->count - 1];
}

/* The operand with weights alone, when the other one holds activations; NULL otherwise. */
static const ir_value *weights_of(const ir_value *value) {
    if (value->operand_count != 2)
        return NULL;
    for (int i = 0; i < 2; i++)
        if (is_weight(value->operands[i]) && is_activation(value->operands[1 - i]))
            return value->operands[i];
    return NULL;
}

static void count_views(const forward_graph *graph, forward_layers *layers, const ir_value *value, double products) {
    uint64_t views = forward_facts_of(value)->views;
    for (int i = 0; i < graph->module->view_count && i < 64; i++)
        if (views == UINT64_C(1) << i) {
            layers->view_multiply_adds[i] += products;
            return;
        }
    layers->mixed_multiply_adds += products;
}

static void take_product(const forward_graph *graph, forward_layers *layers, const fe_facts *modules,
                         const ir_value *value) {
    const ir_value *weights = weights_of(value);
    double products = ir_cost(value) / 2;
    if (!weights) {
        if (is_activation(value->operands[0]) && is_activation(value->operands[1]))
            layers->scores_multiply_adds += products;
        return;
    }
    int state = forward_facts_of(weights)->state;
    forward_layer *layer = find_own(layers, state, &value->type);
    if (!layer)
        layer = add_layer(graph, layers, modules, state, value);
    layer->contracts = true;
    layer->multiply_adds = products;
    layer->applications++;
    count_views(graph, layers, value, products);
}

/* Scales and shifts are layers where no product of the same module has come before. */
static void take_elementwise(const forward_graph *graph, forward_layers *layers, const fe_facts *modules,
                             const ir_value *value) {
    const ir_value *weights = weights_of(value);
    int state = weights ? forward_facts_of(weights)->state : -1;
    if (state < 0 || graph->module->states[state].role == IR_ROLE_STATISTIC)
        return;
    forward_layer *layer = find_own(layers, state, &value->type);
    if (layer && !layer->contracts) {
        layer->applications++;
        return;
    }
    const char *prefix = prefix_of(graph->memory, graph->module->states[state].name);
    if (layer || find_below(layers, prefix, &value->type))
        return;
    add_layer(graph, layers, modules, state, value)->applications = 1;
}

/* Each parameter belongs to the row that multiplies with it, else to the first one of its module. */
static void count_parameters(const forward_graph *graph, forward_layers *layers, const fe_facts *modules) {
    for (int i = 0; i < graph->module->state_count; i++) {
        const ir_state *state = &graph->module->states[i];
        if (state->role != IR_ROLE_PARAM && state->role != IR_ROLE_EMA)
            continue;
        int64_t elements = ir_type_elements(&state->type);
        forward_layer *layer = find_own(layers, i, NULL);
        if (!layer)
            layer = find_below(layers, prefix_of(graph->memory, state->name), NULL);
        if (!layer)
            layer = add_layer(graph, layers, modules, i, NULL);
        layer->parameters += elements;
        *(state->role == IR_ROLE_PARAM ? &layers->parameters : &layers->average_parameters) += elements;
    }
}

forward_layers forward_layers_of(const forward_graph *graph, const fe_facts *modules) {
    forward_layers layers = {0};
    layers.view_multiply_adds = arena_alloc(graph->memory, (size_t)(graph->module->view_count + 1) * sizeof(double));
    for (int i = 0; i < graph->count; i++) {
        const ir_value *value = graph->values[i];
        ir_class kind = ir_op(value->opcode)->class_;
        if (kind == IR_CLASS_CONTRACTION)
            take_product(graph, &layers, modules, value);
        else if (kind == IR_CLASS_ELEMENTWISE)
            take_elementwise(graph, &layers, modules, value);
    }
    count_parameters(graph, &layers, modules);
    return layers;
}
