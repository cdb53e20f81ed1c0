/* Parameters, statistics and other state; how they start and change. */
#include "frontend/builtins.h"

#include <string.h>

/* ---- initialisers
 * ---------------------------------------------------------------------------------------------------------- */

static fe_value initialiser(fe_context *context, fe_initialiser initial, source_span span) {
    fe_initialiser *kept = arena_alloc(context->memory, sizeof *kept);
    *kept = initial;
    return (fe_value){.kind = FE_VALUE_INITIALISER, .span = span, .as.initial = kept};
}

static fe_value two_numbers(fe_context *context, fe_initial_kind kind, fe_value *arguments, source_span span) {
    fe_initialiser initial = {.kind = kind};
    if (!fe_to_number(context, &arguments[0], "the first argument", &initial.a) ||
        !fe_to_number(context, &arguments[1], "the second argument", &initial.b))
        return fe_error(span);
    return initialiser(context, initial, span);
}

static fe_value builtin_normal(fe_context *context, fe_value *arguments, source_span span) {
    return two_numbers(context, FE_INITIAL_NORMAL, arguments, span);
}

static fe_value builtin_uniform(fe_context *context, fe_value *arguments, source_span span) {
    return two_numbers(context, FE_INITIAL_UNIFORM, arguments, span);
}

static bool to_initialiser(fe_context *context, const fe_value *value, fe_initialiser *initial) {
    if (value->kind == FE_VALUE_INITIALISER)
        *initial = *value->as.initial;
    else if (value->kind == FE_VALUE_NUMBER)
        *initial = (fe_initialiser){.kind = FE_INITIAL_CONSTANT, .a = value->number};
    else {
        fe_fail(context, value->span, "a state starts with a number, normal(…) or uniform(…), not with %s",
                fe_value_text(context->memory, value));
        return false;
    }
    return true;
}

static fe_value builtin_unit_rows(fe_context *context, fe_value *arguments, source_span span) {
    fe_initialiser initial;
    if (!to_initialiser(context, &arguments[0], &initial))
        return fe_error(span);
    initial.unit = true;
    return initialiser(context, initial, span);
}

static fe_value builtin_identity(fe_context *context, fe_value *arguments, source_span span) {
    fe_initialiser initial;
    if (!to_initialiser(context, &arguments[0], &initial))
        return fe_error(span);
    initial.identity = true;
    return initialiser(context, initial, span);
}

/* ---- states
 * -------------------------------------------------------------------------------------------------------------------
 */

static fe_value make_state(fe_context *context, ir_role role, fe_value *arguments, source_span span) {
    ir_type type;
    fe_initialiser initial;
    if (!fe_to_shape(context, &arguments[0], &type) || !to_initialiser(context, &arguments[1], &initial))
        return fe_error(span);
    const char *label = context->label ? context->label : context->binding_name;
    if (!label)
        return fe_fail(context, span, "give it a name: weight = parameter(…)");
    fe_state *state = fe_child_state(context, label, role, type, initial, span);
    if (!state)
        return fe_error(span);
    return (fe_value){.kind = FE_VALUE_STATE, .span = span, .as.state = state};
}

static fe_value builtin_parameter(fe_context *context, fe_value *arguments, source_span span) {
    return make_state(context, IR_ROLE_PARAM, arguments, span);
}

static fe_value builtin_statistic(fe_context *context, fe_value *arguments, source_span span) {
    return make_state(context, IR_ROLE_STATISTIC, arguments, span);
}

static fe_value builtin_state(fe_context *context, fe_value *arguments, source_span span) {
    return make_state(context, IR_ROLE_QUEUE, arguments, span);
}

/* An optimizer's memory of one parameter: the same shape, starting at a number. */
static fe_value builtin_slot(fe_context *context, fe_value *arguments, source_span span) {
    double number;
    if (arguments[0].kind != FE_VALUE_STATE)
        return fe_fail(context, span, "slot belongs to a parameter: slot(p)");
    if (!fe_to_number(context, &arguments[1], "the start", &number))
        return fe_error(span);
    const ir_state *of = &context->module->states[arguments[0].as.state->state];
    fe_initialiser initial = {.kind = FE_INITIAL_CONSTANT, .a = number};
    const char *label = context->label ? context->label : context->binding_name;
    if (!label)
        return fe_fail(context, span, "give it a name: velocity = slot(p)");
    label = arena_printf(context->memory, "%s.%s", of->name, label);
    fe_state *state = fe_child_state(context, label, IR_ROLE_SLOT, of->type, initial, span);
    return state ? (fe_value){.kind = FE_VALUE_STATE, .span = span, .as.state = state} : fe_error(span);
}

static bool to_state(fe_context *context, const fe_value *value, fe_state **state) {
    *state = value->as.state;
    if (value->kind == FE_VALUE_STATE)
        return true;
    fe_fail(context, value->span, "expected a state, not %s", fe_value_text(context->memory, value));
    return false;
}

static fe_value builtin_update(fe_context *context, fe_value *arguments, source_span span) {
    fe_state *state;
    if (!to_state(context, &arguments[0], &state))
        return fe_error(span);
    const ir_type *type = &context->module->states[state->state].type;
    ir_value *value = fe_to_tensor(context, &arguments[1], "the new value");
    if (!value)
        return fe_error(span);
    if (value->type.rank == 0)
        value = fe_stretch(context, value, type->dims, type->rank, span);
    if (!value || !ir_type_equal(&value->type, type))
        return fe_fail(context, span, "the new value %s does not fit the state '%s' %s",
                       value ? ir_shape_text(context->memory, &value->type) : "", state->name,
                       ir_shape_text(context->memory, type));
    fe_state_update(context, state, value);
    return fe_none(span);
}

/* Newest rows first: the queue moves down and its oldest rows drop out. */
static fe_value builtin_push(fe_context *context, fe_value *arguments, source_span span) {
    fe_state *state;
    if (!to_state(context, &arguments[0], &state))
        return fe_error(span);
    ir_value *rows = fe_to_tensor(context, &arguments[1], "the rows"), *queue = fe_state_read(context, state, span);
    if (!rows)
        return fe_error(span);
    int rank = queue->type.rank;
    ir_type as_long = rows->type;
    as_long.dims[0] = queue->type.dims[0];
    if (rank < 1 || !ir_type_equal(&as_long, &queue->type) || rows->type.dims[0] > queue->type.dims[0])
        return fe_fail(context, span, "rows %s do not fit into the queue '%s' %s",
                       ir_shape_text(context->memory, &rows->type), state->name,
                       ir_shape_text(context->memory, &queue->type));
    if (rows->type.dims[0] == queue->type.dims[0]) {
        fe_state_update(context, state, rows);
        return fe_none(span);
    }
    int64_t start[IR_MAX_RANK] = {0}, limit[IR_MAX_RANK], stride[IR_MAX_RANK];
    for (int i = 0; i < rank; i++) {
        limit[i] = queue->type.dims[i];
        stride[i] = 1;
    }
    limit[0] -= rows->type.dims[0];
    ir_attr attrs[] = {ir_attr_ints_make(context->memory, IR_ATTR_start, start, rank),
                       ir_attr_ints_make(context->memory, IR_ATTR_limit, limit, rank),
                       ir_attr_ints_make(context->memory, IR_ATTR_stride, stride, rank)};
    ir_value *kept = fe_build(context, IR_OP_slice, &queue, 1, attrs, 3, NULL, span);
    ir_attr axis = ir_attr_int_make(context->memory, IR_ATTR_axis, 0);
    ir_value *joined =
        kept ? fe_build(context, IR_OP_concat, (ir_value *[]){rows, kept}, 2, &axis, 1, NULL, span) : NULL;
    if (!joined)
        return fe_error(span);
    fe_state_update(context, state, joined);
    return fe_none(span);
}

/* Rows of `values` added up at their places among zeros of the state's shape. */
static ir_value *scattered(fe_context *context, ir_value *indices, ir_value *values, const ir_type *type,
                           source_span span) {
    ir_attr attrs[] = {ir_attr_int_make(context->memory, IR_ATTR_axis, 0),
                       ir_attr_int_make(context->memory, IR_ATTR_batch, 0)};
    return fe_build(context, IR_OP_scatter_add, (ir_value *[]){values, indices}, 2, attrs, 2, type, span);
}

/* The named rows are the new ones, all others stay as they are. */
static fe_value builtin_put(fe_context *context, fe_value *arguments, source_span span) {
    fe_state *state;
    if (!to_state(context, &arguments[0], &state))
        return fe_error(span);
    ir_value *old = fe_state_read(context, state, span);
    ir_value *indices = fe_to_tensor(context, &arguments[1], "the indices");
    ir_value *rows = fe_to_tensor(context, &arguments[2], "the rows");
    if (!indices || !rows)
        return fe_error(span);
    ir_type wanted = old->type;
    wanted.dims[0] = indices->type.dims[0];
    if (indices->type.rank != 1 || indices->type.dtype != IR_I32 || wanted.rank < 1 ||
        !ir_type_equal(&rows->type, &wanted))
        return fe_fail(context, span, "rows %s at indices %s do not fit into the state '%s' %s",
                       ir_shape_text(context->memory, &rows->type), ir_shape_text(context->memory, &indices->type),
                       state->name, ir_shape_text(context->memory, &old->type));
    ir_builder builder = fe_builder(context, span);
    ir_value *new = scattered(context, indices, rows, &old->type, span);
    ir_value *hits = new ? scattered(context, indices, ir_constant(&builder, &rows->type, 1), &old->type, span) : NULL;
    if (!hits)
        return fe_error(span);
    ir_value *absent = ir_constant(&builder, &old->type, 0);
    ir_value *hit = fe_build(context, IR_OP_less, (ir_value *[]){absent, hits}, 2, NULL, 0, NULL, span);
    fe_state_update(context, state, ir_select(&builder, hit, new, old));
    return fe_none(span);
}

/* A twin of an instance whose parameters follow those of the original. */
static fe_value builtin_ema(fe_context *context, fe_value *arguments, source_span span) {
    if (arguments[0].kind != FE_VALUE_INSTANCE)
        return fe_fail(context, span, "ema follows a module instance, not %s",
                       fe_value_text(context->memory, &arguments[0]));
    if (arguments[1].kind != FE_VALUE_NUMBER && arguments[1].kind != FE_VALUE_CHANGE)
        return fe_fail(context, span, "the momentum is a number or a change a -> b, not %s",
                       fe_value_text(context->memory, &arguments[1]));
    if (arguments[1].kind == FE_VALUE_NUMBER && (arguments[1].number < 0 || arguments[1].number > 1))
        return fe_fail(context, span, "a momentum lies in 0 .. 1");
    fe_instance *original = arguments[0].as.instance;
    const char *label = context->label ? context->label : context->binding_name;
    if (!label)
        label = arena_printf(context->memory, "%s_ema", original->path);
    fe_instance *twin = fe_instance_new(context, original->closure, original->arguments, label, span);
    twin->average_of = original;
    twin->momentum = arguments[1];
    ARENA_PUSH(context->memory, context->averages, context->average_count, context->average_capacity, twin);
    return (fe_value){.kind = FE_VALUE_INSTANCE, .span = span, .as.instance = twin};
}

#define STATES "Parameters and other state"
const fe_builtin fe_builtins_state[] = {
    {"parameter", "shape, start = 0", builtin_parameter,
     "a trained tensor of the module, named by its variable or label", STATES, NULL, 0, false},
    {"statistic", "shape, start = 0", builtin_statistic,
     "a tensor that is kept but not trained, such as a running mean", STATES, NULL, 0, false},
    {"state", "shape, start = 0", builtin_state, "a queue, bank or other memory of the method", STATES, NULL, 0, false},
    {"slot", "p, start = 0", builtin_slot, "an optimizer's memory beside the parameter p", STATES, NULL, 0, false},
    {"normal", "mean = 0, std = 1", builtin_normal, "a start with random numbers from N(mean, std^2)", STATES, NULL, 0,
     false},
    {"uniform", "low = 0, high = 1", builtin_uniform, "a start with uniform random numbers", STATES, NULL, 0, false},
    {"unit_rows", "start", builtin_unit_rows, "the same with every vector along the last axis scaled to length 1",
     STATES, NULL, 0, false},
    {"identity", "start = 0", builtin_identity,
     "the same with ones where the indices along the first two axes are equal", STATES, NULL, 0, false},
    {"update", "state, value", builtin_update, "gives a state its next value", STATES, NULL, 0, false},
    {"push", "queue, rows", builtin_push, "puts rows in front of a queue and drops its oldest", STATES, NULL, 0, false},
    {"put", "state, indices, rows", builtin_put, "puts new rows in the places that different indices name", STATES,
     NULL, 0, false},
    {"ema", "f, momentum", builtin_ema,
     "a twin of the instance f whose parameters are moving averages of f's; the momentum is a number, or a change a -> "
     "b along half a cosine over the run",
     STATES, NULL, 0, false},
    {0},
};
