/* Calls: arguments, defaults, closures, built-in functions. */
#include "frontend/evaluate.h"

#include <string.h>

/* ---- arguments
 * ----------------------------------------------------------------------------------------------------------- */

static int find_parameter(const fe_signature *signature, const char *name) {
    for (int i = 0; i < signature->count; i++)
        if (strcmp(signature->parameters[i].name, name) == 0)
            return i;
    return -1;
}

static const char *suggest_parameter(fe_context *context, const fe_signature *signature, const char *name) {
    const char **names = arena_alloc(context->memory, (size_t)(signature->count + 1) * sizeof *names);
    for (int i = 0; i < signature->count; i++)
        names[i] = signature->parameters[i].name;
    return diag_suggest(name, names, signature->count);
}

/* A bare word for a parameter that declares choices: one of them, or a name bound to a word. */
static fe_value evaluate_word(fe_context *context, fe_scope *scope, const fe_parameter *parameter,
                              const fe_expr *expr) {
    fe_value value = {.kind = FE_VALUE_WORD, .span = expr->span, .choices = parameter};
    const fe_binding *bound = expr->kind == FE_NAME ? fe_scope_find(scope, expr->text) : NULL;
    const char *word = expr->kind == FE_NAME ? expr->text : NULL;
    if (bound && bound->value.kind == FE_VALUE_WORD)
        word = bound->value.text;
    if (expr->kind != FE_NAME) {
        fe_value computed = fe_evaluate(context, scope, expr);
        if (computed.kind == FE_VALUE_ERROR)
            return computed;
        word = computed.kind == FE_VALUE_WORD ? computed.text : NULL;
    }
    for (int i = 0; word && i < parameter->choice_count; i++)
        if (strcmp(parameter->choices[i], word) == 0) {
            value.text = parameter->choices[i];
            return value;
        }
    text_buffer choices = {0};
    for (int i = 0; i < parameter->choice_count; i++)
        text_append(&choices, "%s%s", i ? ", " : "", parameter->choices[i]);
    fe_value error = fe_fail_suggest(context, expr->span,
                                     word ? diag_suggest(word, parameter->choices, parameter->choice_count) : NULL,
                                     "'%s' must be one of: %s", parameter->name, choices.data);
    text_free(&choices);
    return error;
}

static fe_value evaluate_argument(fe_context *context, fe_scope *scope, const fe_parameter *parameter,
                                  const fe_expr *expr) {
    return parameter->choice_count ? evaluate_word(context, scope, parameter, expr) : fe_evaluate(context, scope, expr);
}

typedef struct {
    fe_context *context;
    fe_scope *scope;
    const fe_signature *signature;
    fe_value *values;
    bool *given;
    source_span *places;
    fe_value *rest;
    int rest_count, rest_capacity;
    bool good;
} binder;

static void complain_unknown(binder *bind, const char *name, source_span span) {
    const fe_signature *signature = bind->signature;
    fe_fail_suggest(bind->context, span, suggest_parameter(bind->context, signature, name),
                    "'%s' takes no argument '%s'", signature->name, name);
    bind->good = false;
}

static void bind_one(binder *bind, int index, const fe_expr *expr, source_span span) {
    const fe_parameter *parameter = &bind->signature->parameters[index];
    if (bind->given[index]) {
        fe_fail(bind->context, span, "argument '%s' is given twice", parameter->name);
        bind->good = false;
        return;
    }
    bind->given[index] = true;
    bind->places[index] = span;
    bind->values[index] = evaluate_argument(bind->context, bind->scope, parameter, expr);
    bind->good &= bind->values[index].kind != FE_VALUE_ERROR;
}

static void bind_rest(binder *bind, const fe_expr *expr) {
    fe_value value = fe_evaluate(bind->context, bind->scope, expr);
    bind->good &= value.kind != FE_VALUE_ERROR;
    ARENA_PUSH(bind->context->memory, bind->rest, bind->rest_count, bind->rest_capacity, value);
}

static void bind_all(binder *bind, const fe_expr *call) {
    const fe_signature *signature = bind->signature;
    /* Where the rest is taken as a list, what comes before it is given by name alone. */
    int position = signature->rest ? signature->count - 1 : signature->skip;
    bool named = false;
    for (int i = 0; i < call->arg_count; i++) {
        const fe_argument *argument = &call->args[i];
        /* After a named argument, a bare name is short for name = name. */
        const char *name = argument->name                              ? argument->name
                           : named && argument->value->kind == FE_NAME ? argument->value->text
                                                                       : NULL;
        source_span span = argument->name ? argument->name_span : argument->value->span;
        named |= argument->name != NULL;
        if (name) {
            int index = find_parameter(signature, name);
            if (index < signature->skip)
                complain_unknown(bind, name, span);
            else
                bind_one(bind, index, argument->value, span);
        } else if (signature->rest && position >= signature->count - 1) {
            bind_rest(bind, argument->value);
        } else if (position >= signature->count) {
            fe_fail(bind->context, span, "'%s' takes %d argument%s", signature->name,
                    signature->count - signature->skip, signature->count - signature->skip == 1 ? "" : "s");
            bind->good = false;
            return;
        } else {
            bind_one(bind, position++, argument->value, span);
        }
    }
}

static void check_missing(binder *bind, const fe_expr *call) {
    const fe_signature *signature = bind->signature;
    for (int i = signature->skip; i < signature->count; i++) {
        const fe_parameter *parameter = &signature->parameters[i];
        if (bind->given[i] || (signature->settings && signature->settings[i].kind != FE_VALUE_NONE) ||
            parameter->initial || parameter->choice_count || (signature->rest && i == signature->count - 1))
            continue;
        diag_entry *entry = diag_error(bind->context->diags, call->span, "'%s' needs the argument '%s'",
                                       signature->name, parameter->name);
        if (signature->span.line > 0)
            diag_add_label(bind->context->diags, entry, signature->span, "declared here");
        bind->good = false;
    }
}

fe_value *fe_bind_arguments(fe_context *context, fe_scope *scope, const fe_signature *signature, const fe_expr *call) {
    size_t count = (size_t)signature->count + 1;
    binder bind = {.context = context, .scope = scope, .signature = signature, .good = true};
    bind.values = arena_alloc(context->memory, count * sizeof *bind.values);
    bind.given = arena_alloc(context->memory, count);
    bind.places = arena_alloc(context->memory, count * sizeof *bind.places);
    for (int i = 0; i < signature->count; i++)
        bind.values[i] = fe_none(call->span);
    /* A label or a binding's name is for the call itself, not for calls among its arguments. */
    const char *label = context->label, *binding_name = context->binding_name;
    context->label = context->binding_name = NULL;
    bind_all(&bind, call);
    context->label = label;
    context->binding_name = binding_name;
    if (bind.good)
        check_missing(&bind, call);
    for (int i = signature->skip; signature->settings && i < signature->count; i++)
        if (signature->settings[i].kind != FE_VALUE_NONE)
            bind.values[i] = signature->settings[i];
    if (signature->rest)
        bind.values[signature->count - 1] = fe_list(FE_VALUE_LIST, bind.rest, bind.rest_count, call->span);
    return bind.good ? bind.values : NULL;
}

static fe_value default_value(fe_context *context, fe_scope *scope, const fe_parameter *parameter) {
    if (parameter->choice_count == 0)
        return fe_evaluate(context, scope, parameter->initial);
    return (fe_value){
        .kind = FE_VALUE_WORD, .span = parameter->span, .text = parameter->choices[0], .choices = parameter};
}

bool fe_bind_parameters(fe_context *context, fe_scope *scope, const fe_parameter *parameters, int count, int skip,
                        const fe_value *arguments) {
    bool good = true;
    for (int i = skip; i < count; i++) {
        fe_value value = arguments[i];
        if (value.kind == FE_VALUE_NONE && (parameters[i].initial || parameters[i].choice_count))
            value = default_value(context, scope, &parameters[i]);
        good &= value.kind != FE_VALUE_ERROR;
        fe_scope_bind(context->memory, scope, parameters[i].name, parameters[i].span, value);
    }
    return good;
}

/* ---- running
 * ------------------------------------------------------------------------------------------------------------- */

static bool enter_call(fe_context *context, source_span span, const char *name) {
    if (context->call_depth == FE_MAX_CALLS) {
        if (!context->exhausted)
            fe_fail(context, span, "calls are nested more than %d deep; does '%s' call itself?", FE_MAX_CALLS, name);
        context->exhausted = true;
        return false;
    }
    if (!context->calls)
        context->calls = arena_alloc(context->memory, FE_MAX_CALLS * sizeof *context->calls);
    context->calls[context->call_depth++] = span;
    return true;
}

source_component fe_component_of(fe_section_kind kind) {
    switch (kind) {
    case FE_AUGMENT: return SOURCE_AUGMENT;
    case FE_ENCODER: return SOURCE_ENCODER;
    case FE_EXTRACT: return SOURCE_EXTRACT;
    case FE_SIMILARITY: return SOURCE_SIMILARITY;
    case FE_LOSS_SECTION: return SOURCE_LOSS;
    default: return SOURCE_TRAIN;
    }
}

/* What a section of the method declares belongs to it wherever it is called; library code belongs to its caller. */
static source_component component_of_call(const fe_context *context, const fe_decl *decl) {
    for (int kind = 0; context->method && kind < FE_SECTION_COUNT; kind++) {
        const fe_block *body = &context->method->sections[kind].body;
        for (int i = 0; i < body->count; i++)
            if (body->items[i]->kind == FE_LOCAL && body->items[i]->local == decl)
                return fe_component_of((fe_section_kind)kind);
    }
    return context->component;
}

fe_value fe_run_closure(fe_context *context, const fe_closure *closure, fe_value *arguments, source_span span) {
    const fe_decl *decl = closure->decl;
    if (decl->kind == FE_PIPELINE)
        return fe_run_pipeline(context, closure, arguments, span);
    if (!enter_call(context, span, decl->name))
        return fe_error(span);
    fe_scope *scope = fe_scope_new(context->memory, closure->scope);
    scope->body = true;
    fe_value result = fe_error(span);
    bool outer_returned = context->returned, outer_pipeline = context->in_pipeline,
         outer_training = context->in_training;
    context->in_training = decl->kind == FE_SCHEDULE;
    source_component outer_component = context->component;
    context->component = component_of_call(context, decl);
    const char *outer_name = context->binding_name, *outer_label = context->label;
    context->returned = context->in_pipeline = false;
    context->binding_name = context->label = NULL;
    if (fe_bind_parameters(context, scope, decl->parameters, decl->parameter_count, 0, arguments)) {
        int errors = context->diags->error_count;
        fe_run(context, scope, &decl->body);
        result = context->returned ? context->result
                 : decl->kind == FE_OPTIMIZER || context->diags->error_count > errors || context->exhausted
                     ? fe_none(span)
                     : fe_fail(context, decl->span, "'%s' ends without a return", decl->name);
    }
    context->component = outer_component;
    context->returned = outer_returned;
    context->in_pipeline = outer_pipeline;
    context->in_training = outer_training;
    context->binding_name = outer_name;
    context->label = outer_label;
    context->call_depth--;
    if (result.kind != FE_VALUE_ERROR)
        result.span = span;
    return result;
}

static fe_signature closure_signature(const fe_closure *closure, int skip) {
    const fe_decl *decl = closure->decl;
    return (fe_signature){decl->name, decl->span, decl->parameters, decl->parameter_count, skip, false, NULL};
}

/* How many leading parameters the training loop gives: p, g of an optimizer; step, total of a schedule. */
static int given_by_training(const fe_decl *decl, const fe_expr *call) {
    if (decl->kind == FE_OPTIMIZER)
        return 2;
    if (decl->kind != FE_SCHEDULE)
        return 0;
    /* A schedule may also be called in full, by another schedule that hands its own step on. */
    const fe_expr *first = call->arg_count > 0 && !call->args[0].name ? call->args[0].value : NULL;
    return first && first->kind == FE_NAME && strcmp(first->text, "step") == 0 ? 0 : 2;
}

static fe_value call_partial(fe_context *context, fe_scope *scope, const fe_closure *closure, int skip,
                             const fe_expr *call) {
    if (closure->decl->parameter_count < skip)
        return fe_fail(context, closure->decl->span, "this needs two first parameters: %s",
                       closure->decl->kind == FE_OPTIMIZER ? "the parameter and its gradient" : "step and total steps");
    fe_signature signature = closure_signature(closure, skip);
    fe_value *arguments = fe_bind_arguments(context, scope, &signature, call);
    if (!arguments)
        return fe_error(call->span);
    fe_partial *partial = arena_alloc(context->memory, sizeof *partial);
    *partial = (fe_partial){closure, arguments};
    return (fe_value){.kind = FE_VALUE_PARTIAL, .span = call->span, .as.partial = partial};
}

static fe_value call_closure(fe_context *context, fe_scope *scope, const fe_closure *closure, const fe_expr *call) {
    if (closure->decl->kind == FE_MODULE)
        return fe_call_module(context, scope, closure, call);
    int skip = given_by_training(closure->decl, call);
    if (skip)
        return call_partial(context, scope, closure, skip, call);
    fe_signature signature = closure_signature(closure, 0);
    fe_value *arguments = fe_bind_arguments(context, scope, &signature, call);
    return arguments ? fe_run_closure(context, closure, arguments, call->span) : fe_error(call->span);
}

/* Numbers and truth values are the only defaults of built-in functions; others stay absent. */
static void fill_defaults(const fe_builtin *builtin, fe_value *arguments) {
    for (int i = 0; i < builtin->parameter_count; i++) {
        const fe_expr *initial = builtin->parameters[i].initial;
        if (arguments[i].kind == FE_VALUE_NONE && initial && initial->kind == FE_NUMBER)
            arguments[i] = fe_number(initial->number, arguments[i].span);
        else if (arguments[i].kind == FE_VALUE_NONE && initial && initial->kind == FE_BOOL)
            arguments[i] = fe_truth(initial->number != 0, arguments[i].span);
    }
}

static fe_value call_builtin(fe_context *context, fe_scope *scope, const fe_builtin *builtin, const fe_expr *call) {
    fe_signature signature = {builtin->name, {0}, builtin->parameters, builtin->parameter_count, 0,
                              builtin->rest, NULL};
    fe_value *arguments = fe_bind_arguments(context, scope, &signature, call);
    if (!arguments)
        return fe_error(call->span);
    fill_defaults(builtin, arguments);
    return builtin->call(context, arguments, call->span);
}

static fe_value call_instance(fe_context *context, fe_scope *scope, fe_instance *instance, const fe_expr *call) {
    if (call->arg_count != 1 || call->args[0].name)
        return fe_fail(context, call->span, "a module instance is applied to its input alone");
    fe_value input = fe_evaluate(context, scope, call->args[0].value);
    return input.kind == FE_VALUE_ERROR ? input : fe_apply(context, instance, &input, call->span);
}

fe_value fe_call_expr(fe_context *context, fe_scope *scope, const fe_expr *call) {
    fe_value callee = fe_evaluate(context, scope, call->left);
    switch (callee.kind) {
    case FE_VALUE_ERROR: return callee;
    case FE_VALUE_BUILTIN: return call_builtin(context, scope, callee.as.builtin, call);
    case FE_VALUE_CLOSURE: return call_closure(context, scope, callee.as.closure, call);
    case FE_VALUE_INSTANCE: return call_instance(context, scope, callee.as.instance, call);
    default: return fe_fail(context, call->span, "%s cannot be called", fe_value_text(context->memory, &callee));
    }
}

fe_value fe_call_value(fe_context *context, const fe_value *callee, fe_value *arguments, int count, source_span span) {
    if (callee->kind == FE_VALUE_INSTANCE && count == 1)
        return fe_apply(context, callee->as.instance, &arguments[0], span);
    bool builtin = callee->kind == FE_VALUE_BUILTIN;
    if (!builtin && callee->kind != FE_VALUE_CLOSURE)
        return callee->kind == FE_VALUE_ERROR
                   ? *callee
                   : fe_fail(context, span, "expected a function, not %s", fe_value_text(context->memory, callee));
    int wanted = builtin ? callee->as.builtin->parameter_count : callee->as.closure->decl->parameter_count;
    const fe_parameter *parameters = builtin ? callee->as.builtin->parameters : callee->as.closure->decl->parameters;
    const char *name = builtin ? callee->as.builtin->name : callee->as.closure->decl->name;
    fe_value *all = arena_alloc(context->memory, (size_t)(wanted + 1) * sizeof *all);
    for (int i = 0; i < wanted; i++)
        all[i] = i < count ? arguments[i] : fe_none(span);
    bool fits = count <= wanted;
    for (int i = count; i < wanted; i++)
        fits &= parameters[i].initial != NULL;
    if (!fits)
        return fe_fail(context, span, "'%s' cannot be called with %d argument%s here", name, count,
                       count == 1 ? "" : "s");
    if (!builtin)
        return fe_run_closure(context, callee->as.closure, all, span);
    fill_defaults(callee->as.builtin, all);
    return callee->as.builtin->call(context, all, span);
}
