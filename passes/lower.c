/* lower: from fused groups of the tensor IR to kernels and launches.
 *
 * Values become buffers and launches in order. A state's new value is computed last of all and, where nothing else
 * needs the old one by then, straight into the state's memory. */
#include "passes/lower_nest.h"

#include <string.h>

enum { ALIGNMENT = 64 };

static void place_states(kir_program *program) {
    const ir_module *module = program->module;
    program->state_offsets = arena_alloc(program->memory, (size_t)(module->state_count + 1) * sizeof(int64_t));
    for (int i = 0; i < module->state_count; i++) {
        program->state_offsets[i] = program->state_bytes;
        program->state_bytes += (ir_type_bytes(&module->states[i].type) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }
}

/* ---- ports and states
 * ----------------------------------------------------------------------------------------------------------- */

typedef struct {
    lower_context *context;
    int *state_buffers;    /* by state; -1 until first used in this function */
    const ir_value **late; /* by state: the value computed straight into it at the end, or NULL */
} function_lowering;

static int state_index(const function_lowering *work, const ir_value *value) {
    const ir_module *module = work->context->program->module;
    return (int)(ir_state_find(module, ir_symbol(value, IR_ATTR_symbol)) - module->states);
}

static int state_buffer(function_lowering *work, int state) {
    lower_context *context = work->context;
    kir_program *program = context->program;
    if (work->state_buffers[state] >= 0)
        return work->state_buffers[state];
    const ir_state *info = &program->module->states[state];
    kir_buffer buffer = {.name = info->name,
                         .region = KIR_STATE,
                         .element = lower_element(info->type.dtype),
                         .bytes = ir_type_bytes(&info->type),
                         .offset = program->state_offsets[state],
                         .fixed = true,
                         .span = info->span};
    ARENA_PUSH(context->memory, program->buffers, program->buffer_count, program->buffer_capacity, buffer);
    return work->state_buffers[state] = program->buffer_count - 1;
}

static void lower_input(function_lowering *work, const ir_value *value) {
    lower_context *context = work->context;
    int buffer = lower_result_buffer(context, value);
    context->program->buffers[buffer].fixed = true;
    kir_port port = {ir_symbol(value, IR_ATTR_symbol), value->type, value->layout, buffer};
    kir_function *function = context->function;
    ARENA_PUSH(context->memory, function->inputs, function->input_count, function->input_capacity, port);
}

/* An output has a buffer of its own when its value's is a state's or another port's. */
static void lower_output(function_lowering *work, const ir_value *value) {
    lower_context *context = work->context;
    const ir_value *result = value->operands[0];
    int buffer = lower_buffer(context, result);
    if (context->program->buffers[buffer].fixed) {
        int copy = lower_value_buffer(context, result);
        lower_copy(context, &result->type, buffer, &result->layout, copy, &result->layout, value->span);
        buffer = copy;
    }
    context->program->buffers[buffer].fixed = true;
    kir_port port = {ir_symbol(value, IR_ATTR_symbol), result->type, result->layout, buffer};
    kir_function *function = context->function;
    ARENA_PUSH(context->memory, function->outputs, function->output_count, function->output_capacity, port);
}

/* ---- state updates
 * ---------------------------------------------------------------------------------------------------------------- */

/* The value whose memory a stored value may share, as reshapes and transposes often move nothing. */
static const ir_value *shared_source(const ir_value *value) {
    while (value->opcode == IR_OP_reshape || value->opcode == IR_OP_transpose)
        value = value->operands[0];
    return value;
}

/* Whether the group below `value` reads the state `name`; *moved is set when it does so at other indices than its own.
 */
static bool group_reads(const ir_value *value, const ir_value *root, const char *name, bool straight, bool *moved) {
    if (value != root && !lower_is_inlined(value)) {
        const ir_value *source = shared_source(value);
        bool reads = source->opcode == IR_OP_read && strcmp(ir_symbol(source, IR_ATTR_symbol), name) == 0;
        *moved |= reads && (!straight || source != value);
        return reads;
    }
    bool reads = false;
    straight &= ir_op(value->opcode)->class_ == IR_CLASS_ELEMENTWISE;
    for (int i = 0; i < value->operand_count; i++)
        reads |= group_reads(value->operands[i], root, name, straight, moved);
    return reads;
}

static bool is_elementwise_root(const ir_value *value) {
    return ir_op(value->opcode)->class_ == IR_CLASS_ELEMENTWISE && !lower_is_inlined(value);
}

/* A written value goes straight into its state if it is computed for that alone, in the state's own layout, and reads
 * the old value, if at all, at the same index; and if no other late group reads the state. */
static void choose_late_values(function_lowering *work) {
    const ir_module *module = work->context->program->module;
    for (const ir_value *write = work->context->source->first; write; write = write->next) {
        if (write->opcode != IR_OP_write)
            continue;
        int state = state_index(work, write);
        const ir_value *value = write->operands[0];
        bool moved = false;
        if (!is_elementwise_root(value) || value->mark != 1 ||
            !ir_layout_equal(&value->layout, &module->states[state].layout, value->type.rank))
            continue;
        group_reads(value, value, module->states[state].name, true, &moved);
        if (!moved)
            work->late[state] = value;
    }
    for (int reader = 0; reader < module->state_count; reader++)
        for (int state = 0; work->late[reader] && state < module->state_count; state++) {
            bool moved = false;
            if (state != reader && work->late[state] &&
                group_reads(work->late[reader], work->late[reader], module->states[state].name, true, &moved))
                work->late[reader] = NULL;
            if (!work->late[reader])
                break;
        }
}

/* ---- values
 * -------------------------------------------------------------------------------------------------------------------------
 */

static bool lower_value(function_lowering *work, const ir_value *value) {
    lower_context *context = work->context;
    if (lower_is_of_scores(context, value))
        return context->buffer_of[value->id] >= 0 || lower_scores(context, value->group);
    switch (value->opcode) {
    case IR_OP_input: lower_input(work, value); return true;
    case IR_OP_read: context->buffer_of[value->id] = state_buffer(work, state_index(work, value)); return true;
    case IR_OP_gradient:
        diag_error(context->pass->diags, value->span, "a gradient is left; run 'differentiate' before 'lower'");
        return false;
    default: break;
    }
    switch (ir_op(value->opcode)->class_) {
    case IR_CLASS_SOURCE:
    case IR_CLASS_ELEMENTWISE: return lower_elementwise(context, value);
    case IR_CLASS_SHAPE: return lower_shape(context, value);
    case IR_CLASS_REDUCTION: return lower_reduction(context, value);
    case IR_CLASS_CONTRACTION: return lower_contraction(context, value);
    case IR_CLASS_WINDOW: return lower_window(context, value);
    default: return true;
    }
}

static bool is_late(const function_lowering *work, const ir_value *value) {
    for (int state = 0; state < work->context->program->module->state_count; state++)
        if (work->late[state] == value)
            return true;
    return false;
}

/* Marks the members of groups but their roots, which are those with a user outside of the group. */
static void mark_inlined(const ir_function *function) {
    ir_count_uses((ir_function *)(uintptr_t)function);
    for (ir_value *value = function->first; value; value = value->next)
        value->scratch = NULL;
    for (const ir_value *user = function->first; user; user = user->next)
        for (int i = 0; i < user->operand_count; i++)
            if (user->group && user->operands[i]->group == user->group)
                user->operands[i]->scratch = user->operands[i];
}

static bool lower_values(function_lowering *work) {
    for (const ir_value *value = work->context->source->first; value; value = value->next)
        if (!lower_is_inlined(value) && !is_late(work, value) && !lower_value(work, value))
            return false;
    return true;
}

/* Writes from memory first, as the late values may overwrite what they copy. */
static void write_states(function_lowering *work) {
    lower_context *context = work->context;
    const ir_module *module = context->program->module;
    for (const ir_value *write = context->source->first; write; write = write->next) {
        if (write->opcode != IR_OP_write || is_late(work, write->operands[0]))
            continue;
        int from = lower_buffer(context, write->operands[0]);
        /* A state written with another one's old value must be read before that one changes. */
        if (context->program->buffers[from].region == KIR_STATE) {
            int kept = lower_value_buffer(context, write->operands[0]);
            lower_copy(context, &write->type, from, &write->operands[0]->layout, kept, &write->operands[0]->layout,
                       write->span);
            context->buffer_of[write->operands[0]->id] = kept;
        }
    }
    for (int state = 0; state < module->state_count; state++)
        if (work->late[state]) {
            context->buffer_of[work->late[state]->id] = state_buffer(work, state);
            lower_elementwise(context, work->late[state]);
        }
    for (const ir_value *write = context->source->first; write; write = write->next)
        if (write->opcode == IR_OP_write && !is_late(work, write->operands[0])) {
            const ir_value *value = write->operands[0];
            int state = state_index(work, write);
            lower_copy(context, &value->type, lower_buffer(context, value), &value->layout, state_buffer(work, state),
                       &module->states[state].layout, write->span);
        }
}

static void lower_outputs(function_lowering *work) {
    for (const ir_value *value = work->context->source->first; value; value = value->next)
        if (value->opcode == IR_OP_output)
            lower_output(work, value);
}

static bool lower_function(pass_context *pass, const ir_function *source) {
    kir_program *program = pass->program;
    kir_function lowered = {.name = source->name};
    ARENA_PUSH(pass->memory, program->functions, program->function_count, program->function_capacity, lowered);
    lower_context context = {.pass = pass, .memory = pass->memory, .program = program, .source = source};
    context.function = &program->functions[program->function_count - 1];
    context.buffer_of = arena_alloc(pass->memory, (size_t)(source->next_id + 1) * sizeof(int));
    for (int i = 0; i <= source->next_id; i++)
        context.buffer_of[i] = -1;
    function_lowering work = {.context = &context};
    int states = program->module->state_count;
    work.state_buffers = arena_alloc(pass->memory, (size_t)(states + 1) * sizeof(int));
    work.late = arena_alloc(pass->memory, (size_t)(states + 1) * sizeof(ir_value *));
    for (int i = 0; i < states; i++)
        work.state_buffers[i] = -1;
    mark_inlined(source);
    choose_late_values(&work);
    if (!lower_values(&work))
        return false;
    lower_outputs(&work);
    write_states(&work);
    return true;
}

bool pass_lower(pass_context *context) {
    kir_program *program = arena_alloc(context->memory, sizeof *program);
    program->memory = context->memory;
    program->module = context->module;
    context->program = program;
    place_states(program);
    for (int i = 0; i < context->module->function_count; i++)
        if (!lower_function(context, context->module->functions[i]))
            return false;
    return true;
}
