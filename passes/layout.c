/* layout: the physical order of every tensor's axes.
 *
 * Feature maps lie channels-last and convolution weights with their output channels innermost, which is what the
 * convolution kernels read in whole vectors. The choice spreads from the convolutions along elementwise operations and
 * reshapes that move nothing, in both directions; everything else keeps its logical order. */
#include "passes/lower.h"

#include <string.h>

typedef struct {
    ir_function *function;
    bool *chosen; /* by value id */
    bool changed;
} layouts;

static void choose(layouts *work, ir_value *value, ir_layout layout) {
    if (work->chosen[value->id])
        return;
    work->chosen[value->id] = true;
    value->layout = layout;
    work->changed = true;
}

static bool is_chosen(const layouts *work, const ir_value *value) {
    return work->chosen[value->id];
}

static void choose_around_convolution(layouts *work, ir_value *value) {
    ir_layout map = lower_channels_last(), weight = lower_conv_weight();
    ir_layout of[2] = {map, map}, result = map;
    if (value->opcode == IR_OP_conv2d_weight_grad)
        result = weight;
    else
        of[1] = weight;
    for (int i = 0; i < 2; i++)
        choose(work, value->operands[i], of[i]);
    choose(work, value, result);
}

/* What an elementwise value and its operands agree on: the first layout that any of them has. */
static void choose_elementwise(layouts *work, ir_value *value) {
    const ir_value *known = is_chosen(work, value) ? value : NULL;
    for (int i = 0; i < value->operand_count && !known; i++)
        if (is_chosen(work, value->operands[i]))
            known = value->operands[i];
    if (!known)
        return;
    ir_layout layout = known->layout;
    choose(work, value, layout);
    for (int i = 0; i < value->operand_count; i++)
        choose(work, value->operands[i], layout);
}

/* The order of a transpose's result in which nothing moves, and the other way round. */
static void choose_transpose(layouts *work, ir_value *value) {
    const int64_t *axes = ir_ints(value, IR_ATTR_axes);
    ir_value *operand = value->operands[0];
    ir_layout layout = ir_layout_identity();
    if (is_chosen(work, operand)) {
        for (int place = 0; place < value->type.rank; place++)
            for (int i = 0; i < value->type.rank; i++)
                if (axes[i] == operand->layout.axis[place])
                    layout.axis[place] = (int8_t)i;
        choose(work, value, layout);
    } else if (is_chosen(work, value)) {
        for (int place = 0; place < value->type.rank; place++)
            layout.axis[place] = (int8_t)axes[value->layout.axis[place]];
        choose(work, operand, layout);
    }
}

/* The layout of `to` in which its elements lie as those of `from`: axes of length 1 first, where they change nothing.
 */
static ir_layout carried(const ir_value *from, const ir_type *to) {
    int8_t axes_from[IR_MAX_RANK], axes_to[IR_MAX_RANK];
    int count = ir_long_axes(&from->type, axes_from), filled = 0;
    ir_long_axes(to, axes_to);
    ir_layout layout = ir_layout_identity();
    for (int axis = 0; axis < to->rank; axis++)
        if (to->dims[axis] == 1)
            layout.axis[filled++] = (int8_t)axis;
    for (int place = 0; place < from->type.rank; place++)
        for (int i = 0; i < count; i++)
            if (axes_from[i] == from->layout.axis[place])
                layout.axis[filled++] = axes_to[i];
    return layout;
}

/* A reshape that adds or drops axes of length 1 moves nothing, in whatever order the others lie. */
static void choose_reshape(layouts *work, ir_value *value) {
    ir_value *operand = value->operands[0];
    if (!ir_same_long_axes(&operand->type, &value->type))
        return;
    if (is_chosen(work, operand))
        choose(work, value, carried(operand, &value->type));
    else if (is_chosen(work, value))
        choose(work, operand, carried(value, &operand->type));
}

/* A state has one layout in all functions: the choice of one function is copied to the others. */
static void share_state_layout(layouts *work, ir_value *value, bool *state_chosen) {
    ir_module *module = work->function->module;
    ir_state *state = ir_state_find(module, ir_symbol(value, IR_ATTR_symbol));
    bool *known = &state_chosen[state - module->states];
    ir_value *at = value->opcode == IR_OP_write ? value->operands[0] : value;
    if (*known) {
        if (value->opcode == IR_OP_read)
            value->layout = state->layout;
        choose(work, at, state->layout);
        choose(work, value, state->layout);
    } else if (is_chosen(work, at)) {
        *known = true;
        state->layout = at->layout;
        choose(work, value, state->layout);
    }
}

static void choose_for(layouts *work, ir_value *value, bool *state_chosen) {
    switch (value->opcode) {
    case IR_OP_read:
    case IR_OP_write: share_state_layout(work, value, state_chosen); return;
    case IR_OP_conv2d:
    case IR_OP_conv2d_input_grad:
    case IR_OP_conv2d_weight_grad: choose_around_convolution(work, value); return;
    case IR_OP_transpose: choose_transpose(work, value); return;
    case IR_OP_reshape: choose_reshape(work, value); return;
    case IR_OP_concat:
    case IR_OP_slice:
    case IR_OP_pad: choose_elementwise(work, value); return;
    default: break;
    }
    ir_class class_ = ir_op(value->opcode)->class_;
    if (class_ == IR_CLASS_ELEMENTWISE || class_ == IR_CLASS_WINDOW || class_ == IR_CLASS_EFFECT)
        choose_elementwise(work, value);
}

/* Reads of a state whose layout another function chose must follow, even where that was decided later. */
static void follow_states(ir_module *module) {
    for (int f = 0; f < module->function_count; f++)
        for (ir_value *value = module->functions[f]->first; value; value = value->next)
            if (value->opcode == IR_OP_read)
                value->layout = ir_state_find(module, ir_symbol(value, IR_ATTR_symbol))->layout;
}

bool pass_layout(pass_context *context) {
    ir_module *module = context->module;
    bool *state_chosen = arena_alloc(context->memory, (size_t)module->state_count + 1);
    layouts *work = arena_alloc(context->memory, (size_t)(module->function_count + 1) * sizeof *work);
    for (int f = 0; f < module->function_count; f++) {
        work[f].function = module->functions[f];
        work[f].chosen = arena_alloc(context->memory, (size_t)module->functions[f]->next_id + 1);
    }
    bool changed = true;
    while (changed) {
        changed = false;
        for (int f = 0; f < module->function_count; f++) {
            work[f].changed = false;
            /* Forwards, then backwards: choices travel the length of the graph in one round. */
            for (ir_value *value = work[f].function->first; value; value = value->next)
                choose_for(&work[f], value, state_chosen);
            for (ir_value *value = work[f].function->last; value; value = value->previous)
                choose_for(&work[f], value, state_chosen);
            changed |= work[f].changed;
        }
    }
    follow_states(module);
    return true;
}
