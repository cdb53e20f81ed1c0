/* What a compilation found the spec to say: the facts behind `cslc explain` and `cslc diff`. */
#include "frontend/method.h"

#include <string.h>

static void add_fact(fe_context *context, fe_facts *facts, const char *name, const char *text, source_span span) {
    fe_fact fact = {.name = name, .text = text, .span = span};
    ARENA_PUSH(context->memory, facts->items, facts->count, facts->capacity, fact);
}

static const char *value_text(fe_context *context, const fe_value *value) {
    text_buffer text = {0};
    fe_write_value(context, value, &text);
    const char *kept = arena_strdup(context->memory, text.data ? text.data : "");
    text_free(&text);
    return kept;
}

void fe_describe_mask(fe_context *context, fe_scope *inner, const fe_expr *expr, const ir_type *type) {
    fe_description *description = context->options->description;
    if (!description || !context->function || strcmp(context->function->name, "train_step") != 0)
        return;
    text_buffer text = {0};
    fe_write_residual(context, inner, expr->right, &text);
    fe_fact fact = {.name = "where", .text = arena_strdup(context->memory, text.data), .span = expr->right->span};
    fact.shape = ir_shape_text(context->memory, type);
    text_free(&text);
    fe_facts *masks = &description->masks;
    for (int i = 0; i < masks->count; i++)
        if (strcmp(masks->items[i].text, fact.text) == 0 && strcmp(masks->items[i].shape, fact.shape) == 0)
            return;
    ARENA_PUSH(context->memory, masks->items, masks->count, masks->capacity, fact);
}

/* ---- modules
 * ------------------------------------------------------------------------------------------------------------------ */

/* A part labelled `self` has its owner's path: the innermost of them says what the layer is. */
static void describe_children(fe_context *context, const fe_instance *instance, fe_facts *modules) {
    for (int i = 0; i < instance->child_count; i++) {
        const fe_instance *child = instance->children[i].instance;
        if (!child)
            continue;
        if (child->closure)
            add_fact(context, modules, child->path, child->closure->decl->name, child->span);
        describe_children(context, child, modules);
    }
}

static void describe_encoder(fe_context *context, fe_scope *scope, const fe_method *method,
                             fe_description *description) {
    const fe_block *body = &method->sections[FE_ENCODER].body;
    for (int i = 0; i < body->count; i++) {
        const fe_stmt *stmt = body->items[i];
        const fe_binding *bound = stmt->kind == FE_BIND ? fe_scope_find(scope, stmt->names[0]) : NULL;
        if (!bound)
            continue;
        add_fact(context, &description->encoder, stmt->names[0], value_text(context, &bound->value), stmt->span);
        const fe_instance *instance = bound->value.kind == FE_VALUE_INSTANCE ? bound->value.as.instance : NULL;
        if (instance && instance->closure) {
            add_fact(context, &description->modules, instance->path, instance->closure->decl->name, instance->span);
            describe_children(context, instance, &description->modules);
        }
    }
}

/* ---- training
 * ----------------------------------------------------------------------------------------------------------------- */

/* "optimizer" "adam", then "optimizer.lr" "0.001" and so on, defaults included. */
static void describe_partial(fe_context *context, const char *role, const fe_partial *partial, source_span span,
                             fe_facts *facts) {
    const fe_decl *decl = partial->closure->decl;
    fe_scope *scope = fe_scope_new(context->memory, partial->closure->scope);
    add_fact(context, facts, role, decl->name, span);
    if (!fe_bind_parameters(context, scope, decl->parameters, decl->parameter_count, 2, partial->arguments))
        return;
    for (int i = 2; i < decl->parameter_count; i++) {
        const fe_binding *bound = fe_scope_find_here(scope, decl->parameters[i].name);
        const char *name = arena_printf(context->memory, "%s.%s", role, decl->parameters[i].name);
        add_fact(context, facts, name, value_text(context, &bound->value), span);
    }
}

static void describe_training(fe_context *context, const fe_training *training, fe_facts *facts) {
    describe_partial(context, "optimizer", training->optimizer, training->optimizer_span, facts);
    if (training->schedule)
        describe_partial(context, "schedule", training->schedule, training->optimizer_span, facts);
    static const char *const lengths[] = {"batch", "epochs", "steps"};
    for (int i = 0; i < 3; i++) {
        const char *value = ir_setting_find(context->module, lengths[i]);
        if (value)
            add_fact(context, facts, lengths[i], value, (source_span){0});
    }
}

void fe_describe(fe_context *context, fe_scope *scope, const fe_method *method, const fe_training *training) {
    fe_description *description = context->options->description;
    if (!description)
        return;
    description->method = method;
    description->source = context->main_source;
    for (int i = 0; i < method->parameter_count; i++) {
        const fe_binding *bound = fe_scope_find(scope, method->parameters[i].name);
        add_fact(context, &description->parameters, method->parameters[i].name, value_text(context, &bound->value),
                 method->parameters[i].span);
    }
    describe_encoder(context, scope, method, description);
    fe_residual_facts(context, scope, &method->sections[FE_EXTRACT].body, &description->extract);
    fe_residual_facts(context, scope, &method->sections[FE_SIMILARITY].body, &description->similarity);
    fe_residual_facts(context, scope, &method->sections[FE_LOSS_SECTION].body, &description->loss);
    describe_training(context, training, &description->train);
}
