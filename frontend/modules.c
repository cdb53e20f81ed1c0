/* Module instances, their parameters and states, and moving-average twins. */
#include "frontend/evaluate.h"

#include <stdio.h>
#include <string.h>

/* ---- states
 * -------------------------------------------------------------------------------------------------------------- */

fe_state *fe_state_new(fe_context *context, const char *name, ir_role role, ir_type type, fe_initialiser initial,
                       source_span span) {
    fe_state *state = arena_alloc(context->memory, sizeof *state);
    state->name = name;
    state->initial = initial;
    state->state = ir_state_add(context->module, name, role, type, span);
    ARENA_PUSH(context->memory, context->states, context->state_count, context->state_capacity, state);
    return state;
}

ir_value *fe_state_read(fe_context *context, fe_state *state, source_span span) {
    if (state->epoch != context->epoch) {
        state->epoch = context->epoch;
        state->written = false;
        state->current = NULL;
    }
    if (!state->current) {
        ir_builder builder = fe_builder(context, span);
        state->current = ir_read(&builder, state->name);
    }
    return state->current;
}

void fe_state_update(fe_context *context, fe_state *state, ir_value *value) {
    state->epoch = context->epoch;
    state->written = true;
    state->current = value;
}

void fe_states_flush(fe_context *context) {
    for (int i = 0; i < context->state_count; i++) {
        fe_state *state = context->states[i];
        if (state->epoch != context->epoch || !state->written)
            continue;
        ir_builder builder = fe_builder(context, state->current->span);
        ir_write(&builder, state->name, state->current);
        state->written = false;
    }
}

/* ---- children
 * -------------------------------------------------------------------------------------------------------------- */

/* The label `self` adds nothing: the part's names are its owner's. */
static const char *join_path(fe_context *context, const char *path, const char *label) {
    if (strcmp(label, "self") == 0)
        return path;
    return *path ? arena_printf(context->memory, "%s.%s", path, label) : label;
}

/* The child of that label, marked as used by this application; *fresh tells whether it was made just now. NULL after
 * reporting that the label was used before in the same application. */
static struct fe_child *find_child(fe_context *context, const char *label, source_span span, bool *fresh) {
    fe_instance *parent = context->instance;
    *fresh = false;
    for (int i = 0; i < parent->child_count; i++) {
        struct fe_child *child = &parent->children[i];
        if (strcmp(child->label, label) != 0)
            continue;
        if (child->used == parent->application && parent != context->root) {
            diag_entry *entry = diag_error(context->diags, span, "a second part of this module is called '%s'", label);
            diag_add_label(context->diags, entry, child->span, "the first one");
            return NULL;
        }
        child->used = parent->application;
        return child;
    }
    struct fe_child child = {.label = label, .span = span, .used = parent->application};
    ARENA_PUSH(context->memory, parent->children, parent->child_count, parent->child_capacity, child);
    *fresh = true;
    return &parent->children[parent->child_count - 1];
}

static bool label_used(const fe_context *context, const char *label) {
    const fe_instance *parent = context->instance;
    for (int i = 0; i < parent->child_count; i++)
        if (strcmp(parent->children[i].label, label) == 0)
            return parent->children[i].used == parent->application;
    return false;
}

/* A module's own name, with a number from its second use in the body on. */
static const char *default_label(fe_context *context, const char *name) {
    const char *label = name;
    for (int number = 1; label_used(context, label); number++)
        label = arena_printf(context->memory, "%s_%d", name, number);
    return label;
}

/* ---- parameters
 * -------------------------------------------------------------------------------------------------------------- */

/* The counterpart of a path below an EMA twin: "k.conv1.weight" of "q" is "q.conv1.weight". */
static const char *averaged_name(fe_context *context, const fe_instance *instance, const char *name) {
    const char *own = instance->path;
    return arena_printf(context->memory, "%s%s", instance->average_of->path, name + strlen(own));
}

fe_state *fe_child_state(fe_context *context, const char *label, ir_role role, ir_type type, fe_initialiser initial,
                         source_span span) {
    bool fresh;
    struct fe_child *child = find_child(context, label, span, &fresh);
    if (!child)
        return NULL;
    if (!fresh) {
        const ir_state *known = child->state ? &context->module->states[child->state->state] : NULL;
        if (known && ir_type_equal(&known->type, &type))
            return child->state;
        diag_entry *entry = diag_error(context->diags, span, "'%s' is %s in this application, and was %s in the first",
                                       label, ir_shape_text(context->memory, &type),
                                       known ? ir_shape_text(context->memory, &known->type) : "a module");
        diag_add_label(context->diags, entry, child->span, "the first application");
        fe_add_call_places(context, entry);
        return NULL;
    }
    const fe_instance *owner = context->instance;
    const char *name = join_path(context, owner->path, label);
    if (owner->average_of) {
        initial = (fe_initialiser){.kind = FE_INITIAL_COPY, .copied = averaged_name(context, owner, name)};
        role = role == IR_ROLE_PARAM ? IR_ROLE_EMA : role;
    }
    if (ir_state_find(context->module, name)) {
        fe_fail(context, span, "two states would be called '%s'; give one a label", name);
        return NULL;
    }
    child->state = fe_state_new(context, name, role, type, initial, span);
    return child->state;
}

/* ---- instances
 * ----------------------------------------------------------------------------------------------------------------- */

fe_instance *fe_instance_new(fe_context *context, const fe_closure *closure, fe_value *arguments, const char *label,
                             source_span span) {
    fe_instance *instance = arena_alloc(context->memory, sizeof *instance);
    fe_instance *parent = context->instance;
    instance->closure = closure;
    instance->arguments = arguments;
    instance->parent = parent;
    instance->path = join_path(context, parent->path, label);
    instance->span = span;
    if (parent->average_of) {
        /* Parts of a twin are twins of the original's parts. */
        fe_instance *original = arena_alloc(context->memory, sizeof *original);
        original->path = averaged_name(context, parent, instance->path);
        instance->average_of = original;
    }
    return instance;
}

fe_value fe_apply(fe_context *context, fe_instance *instance, const fe_value *input, source_span span) {
    fe_instance *outer = context->instance;
    for (const fe_instance *at = outer; at; at = at->parent)
        if (at == instance)
            return fe_fail(context, span, "this module would be applied inside itself");
    const fe_decl *decl = instance->closure->decl;
    fe_value *arguments = arena_alloc(context->memory, (size_t)decl->parameter_count * sizeof *arguments);
    memcpy(arguments, instance->arguments, (size_t)decl->parameter_count * sizeof *arguments);
    arguments[0] = *input;
    instance->application++;
    context->instance = instance;
    source_component component = context->component;
    context->component = SOURCE_ENCODER;
    fe_value result = fe_run_closure(context, instance->closure, arguments, span);
    context->component = component;
    context->instance = outer;
    return result;
}

static bool is_input(const fe_value *value) {
    return value->kind == FE_VALUE_TENSOR || value->kind == FE_VALUE_RECORD || value->kind == FE_VALUE_TUPLE ||
           value->kind == FE_VALUE_STATE || value->kind == FE_VALUE_ERROR;
}

/* Whether the call gives the module's input: a tensor (or record or tuple) first, or the input by name. */
static bool gives_input(fe_context *context, fe_scope *scope, const fe_decl *decl, const fe_expr *call) {
    if (call->arg_count == 0 || decl->parameter_count == 0)
        return false;
    for (int i = 0; i < call->arg_count; i++)
        if (call->args[i].name && strcmp(call->args[i].name, decl->parameters[0].name) == 0)
            return true;
    const fe_expr *first = call->args[0].value;
    if (call->args[0].name || first->kind == FE_LIST || first->kind == FE_NUMBER || first->kind == FE_STRING)
        return false;
    if (first->kind == FE_NAME) {
        const fe_binding *bound = fe_scope_find(scope, first->text);
        return bound && is_input(&bound->value);
    }
    /* Whatever is computed from a call, an operation or an index is the input: settings are names and numbers. */
    (void)context;
    return first->kind == FE_CALL || first->kind == FE_LABEL || first->kind == FE_INDEX || first->kind == FE_FIELD ||
           first->kind == FE_BINARY || first->kind == FE_CONDITIONAL || first->kind == FE_TUPLE ||
           first->kind == FE_RECORD;
}

/* The running body's child of that label, made in its first application. */
static fe_instance *child_instance(fe_context *context, const fe_closure *closure, fe_value *arguments,
                                   const char *label, source_span span) {
    bool fresh;
    struct fe_child *child = find_child(context, label, span, &fresh);
    if (!child)
        return NULL;
    if (fresh)
        child->instance = fe_instance_new(context, closure, arguments, label, span);
    if (!child->instance || child->instance->closure->decl != closure->decl) {
        fe_fail(context, span, "'%s' is already the name of something else here", label);
        return NULL;
    }
    child->instance->closure = closure;
    child->instance->arguments = arguments;
    return child->instance;
}

static fe_value make_instance(fe_context *context, fe_scope *scope, const fe_closure *closure, const char *label,
                              const fe_expr *call) {
    const fe_decl *decl = closure->decl;
    fe_signature signature = {decl->name, decl->span, decl->parameters, decl->parameter_count,
                              1,          false,      closure->settings};
    fe_value *arguments = fe_bind_arguments(context, scope, &signature, call);
    if (!arguments)
        return fe_error(call->span);
    if (context->instance == context->root) {
        fe_instance *instance = fe_instance_new(context, closure, arguments, label, call->span);
        return (fe_value){.kind = FE_VALUE_INSTANCE, .span = call->span, .as.instance = instance};
    }
    fe_instance *instance = child_instance(context, closure, arguments, label, call->span);
    return instance ? (fe_value){.kind = FE_VALUE_INSTANCE, .span = call->span, .as.instance = instance}
                    : fe_error(call->span);
}

/* Applies a module on the spot: as the running body's child of that label, whose parameters persist. */
static fe_value apply_inline(fe_context *context, fe_scope *scope, const fe_closure *closure, const char *label,
                             const fe_expr *call) {
    const fe_decl *decl = closure->decl;
    fe_signature signature = {decl->name, decl->span, decl->parameters, decl->parameter_count,
                              0,          false,      closure->settings};
    fe_value *arguments = fe_bind_arguments(context, scope, &signature, call);
    if (!arguments)
        return fe_error(call->span);
    if (!label)
        label = default_label(context, decl->name);
    fe_instance *instance = child_instance(context, closure, arguments, label, call->span);
    return instance ? fe_apply(context, instance, &arguments[0], call->span) : fe_error(call->span);
}

/* The module with settings, which go before those that its later calls give. */
static fe_value configure(fe_context *context, fe_scope *scope, const fe_closure *closure, const fe_expr *call) {
    const fe_decl *decl = closure->decl;
    fe_parameter *optional = arena_alloc(context->memory, (size_t)decl->parameter_count * sizeof *optional);
    static fe_expr later = {.kind = FE_NUMBER};
    for (int i = 0; i < decl->parameter_count; i++) { /* what is missing here may come later */
        optional[i] = decl->parameters[i];
        optional[i].initial = &later;
    }
    fe_signature signature = {decl->name, decl->span, optional, decl->parameter_count, 1, false, closure->settings};
    fe_value *given = fe_bind_arguments(context, scope, &signature, call);
    if (!given)
        return fe_error(call->span);
    fe_closure *configured = arena_alloc(context->memory, sizeof *configured);
    *configured = (fe_closure){decl, closure->scope, given};
    return (fe_value){.kind = FE_VALUE_CLOSURE, .span = call->span, .as.closure = configured};
}

fe_value fe_call_module(fe_context *context, fe_scope *scope, const fe_closure *closure, const fe_expr *call) {
    const char *label = context->label, *binding = context->binding_name;
    context->label = context->binding_name = NULL;
    fe_value result;
    if (closure->decl->parameter_count == 0)
        result =
            fe_fail(context, call->span, "a module's first parameter is its input; '%s' has none", closure->decl->name);
    else if (context->in_parameters)
        result = configure(context, scope, closure, call);
    else if (gives_input(context, scope, closure->decl, call))
        result = apply_inline(context, scope, closure, label, call);
    else if (context->instance == context->root)
        result = make_instance(context, scope, closure, label ? label : binding ? binding : closure->decl->name, call);
    else
        result =
            make_instance(context, scope, closure, label ? label : default_label(context, closure->decl->name), call);
    context->label = label;
    context->binding_name = binding;
    return result;
}
