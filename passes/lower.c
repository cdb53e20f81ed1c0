/* lower: from fused groups of the tensor IR to kernels and launches.
 *
 * Groups and lone values become buffers and launches in order. States are written last of all, but for those whose new
 * value is computed straight into their memory. */
#include "passes/channel_statistics.h"
#include "passes/narrow_maps.h"
#include "passes/pair_forms.h"

static void place_states(kir_program *program) {
    const ir_module *module = program->module;
    program->state_offsets = arena_alloc(program->memory, (size_t)(module->state_count + 1) * sizeof(int64_t));
    for (int i = 0; i < module->state_count; i++) {
        program->state_offsets[i] = program->state_bytes;
        program->state_bytes += kir_aligned(ir_type_bytes(&module->states[i].type));
    }
}

/* ---- ports and states
 * ----------------------------------------------------------------------------------------------------------- */

typedef struct {
    lower_context *context;
    int *state_buffers; /* by state; -1 until first used in this function */
    lower_units units;
    lower_straight straight;
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
                         .type = info->type,
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

/* ---- units
 * -------------------------------------------------------------------------------------------------------------------------
 */

static bool lower_value(function_lowering *work, const ir_value *value) {
    lower_context *context = work->context;
    if (lower_is_read_in_place(context, value))
        return true;
    switch (value->opcode) {
    case IR_OP_input: lower_input(work, value); return true;
    case IR_OP_read: context->buffer_of[value->id] = state_buffer(work, state_index(work, value)); return true;
    case IR_OP_argmax: return lower_argmax(context, value);
    case IR_OP_gradient:
        diag_error(context->pass->diags, value->span, "a gradient is left; run 'differentiate' before 'lower'");
        return false;
    case IR_OP_reduce_logsumexp:
        diag_error(context->pass->diags, value->span, "'reduce_logsumexp' has no kernel; run 'expand' before 'lower'");
        return false;
    default: break;
    }
    switch (ir_op(value->opcode)->class_) {
    case IR_CLASS_SOURCE:
    case IR_CLASS_ELEMENTWISE: return lower_element_alone(context, value);
    case IR_CLASS_SHAPE: return lower_shape(context, value);
    case IR_CLASS_CONTRACTION: return lower_contraction(context, value);
    case IR_CLASS_WINDOW: return lower_window(context, value);
    default: return true;
    }
}

static bool lower_unit(function_lowering *work, const lower_group *group) {
    lower_context *context = work->context;
    const ir_value *last = group->members[group->member_count - 1];
    if (last->group && lower_holds_product(group))
        return lower_scores(context, last->group);
    for (int i = 0; i < group->result_count; i++)
        if (ir_is_fold(group->results[i]))
            return channel_statistics_join(context, group) || lower_reduction(context, group);
    return last->group ? lower_elementwise(context, group) : lower_value(work, last);
}

static bool lower_units_of(function_lowering *work, bool late) {
    for (int unit = 0; unit < work->units.count; unit++) {
        work->context->unit = late ? work->units.count + unit : unit;
        if (work->straight.late[unit] == late && !lower_unit(work, &work->units.items[unit]))
            return false;
    }
    return true;
}

static void place_straight_values(function_lowering *work) {
    for (int state = 0; state < work->context->program->module->state_count; state++) {
        const ir_value *value = work->straight.value[state];
        if (value)
            work->context->buffer_of[value->id] = state_buffer(work, state);
    }
}

/* ---- states
 * ------------------------------------------------------------------------------------------------------------------------
 */

static bool is_straight(const function_lowering *work, const ir_value *write) {
    return work->straight.value[state_index(work, write)] != NULL;
}

/* What is written from another state's memory must be read before that one changes. */
static void keep_old_values(function_lowering *work) {
    lower_context *context = work->context;
    for (const ir_value *write = context->source->first; write; write = write->next) {
        if (write->opcode != IR_OP_write || is_straight(work, write))
            continue;
        int from = lower_buffer(context, write->operands[0]);
        if (context->program->buffers[from].region == KIR_STATE) {
            int kept = lower_value_buffer(context, write->operands[0]);
            lower_copy(context, &write->type, from, &write->operands[0]->layout, kept, &write->operands[0]->layout,
                       write->span);
            context->buffer_of[write->operands[0]->id] = kept;
        }
    }
}

static void copy_states(function_lowering *work) {
    lower_context *context = work->context;
    const ir_module *module = context->program->module;
    for (const ir_value *write = context->source->first; write; write = write->next)
        if (write->opcode == IR_OP_write && !is_straight(work, write)) {
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

static bool lower_function(pass_context *pass, ir_function *source) {
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
    for (int i = 0; i < states; i++)
        work.state_buffers[i] = -1;
    if (!lower_units_find(pass, source, &work.units))
        return false;
    work.straight = lower_straight_find(pass->memory, source, &work.units);
    lower_pair_operands_find(&context, &work.units, &work.straight);
    channel_statistics_find(&context, &work.units);
    lower_narrow_maps_find(&context, &work.units);
    place_straight_values(&work);
    if (!lower_units_of(&work, false))
        return false;
    lower_outputs(&work);
    keep_old_values(&work);
    if (!lower_units_of(&work, true))
        return false;
    copy_states(&work);
    return true;
}

bool pass_lower(pass_context *context) {
    kir_program *program = arena_alloc(context->memory, sizeof *program);
    program->memory = context->memory;
    program->module = context->module;
    program->target = context->target;
    program->product_parts = context->product_parts;
    context->program = program;
    place_states(program);
    for (int i = 0; i < context->module->function_count; i++)
        if (!lower_function(context, context->module->functions[i]))
            return false;
    return true;
}
