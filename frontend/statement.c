/* Statements. */
#include "frontend/evaluate.h"

#include <string.h>

/* Binds where the name already is within this function, else here. */
static void assign(fe_context *context, fe_scope *scope, const char *name, source_span span, fe_value value) {
    for (fe_scope *at = scope; at && at != context->library; at = at->parent) {
        fe_binding *found = fe_scope_find_here(at, name);
        if (found) {
            found->value = value;
            return;
        }
        if (at->body)
            break;
    }
    fe_scope_bind(context->memory, scope, name, span, value);
}

static void bind_several(fe_context *context, fe_scope *scope, const fe_stmt *stmt, const fe_value *value) {
    bool fits =
        (value->kind == FE_VALUE_TUPLE || value->kind == FE_VALUE_LIST) && value->item_count == stmt->name_count;
    if (!fits && value->kind == FE_VALUE_TUPLE)
        fe_fail(context, stmt->span, "%d names for %d results", stmt->name_count, value->item_count);
    else if (!fits && value->kind != FE_VALUE_ERROR)
        fe_fail(context, stmt->span, "%d names for %s", stmt->name_count, fe_value_text(context->memory, value));
    for (int i = 0; i < stmt->name_count; i++)
        assign(context, scope, stmt->names[i], stmt->name_spans[i], fits ? value->items[i] : fe_error(stmt->span));
}

static void run_binding(fe_context *context, fe_scope *scope, const fe_stmt *stmt) {
    const char *outer = context->binding_name;
    context->binding_name = stmt->name_count == 1 ? stmt->names[0] : NULL;
    fe_value value = fe_evaluate(context, scope, stmt->value);
    context->binding_name = outer;
    if (stmt->name_count == 1)
        assign(context, scope, stmt->names[0], stmt->name_spans[0], value);
    else
        bind_several(context, scope, stmt, &value);
}

static void run_change(fe_context *context, fe_scope *scope, const fe_stmt *stmt) {
    fe_binding *found = fe_scope_find(scope, stmt->names[0]);
    if (!found) {
        fe_fail_suggest(context, stmt->name_spans[0], fe_scope_suggest(context->memory, scope, stmt->names[0], false),
                        "unknown name '%s'", stmt->names[0]);
        return;
    }
    fe_value before = found->value;
    fe_value change = fe_evaluate(context, scope, stmt->value);
    assign(context, scope, stmt->names[0], stmt->name_spans[0],
           fe_operate(context, stmt->op, &before, &change, stmt->span));
}

static void run_local(fe_context *context, fe_scope *scope, const fe_stmt *stmt) {
    if (!stmt->local)
        return;
    fe_closure *closure = arena_alloc(context->memory, sizeof *closure);
    *closure = (fe_closure){stmt->local, scope, NULL};
    fe_value value = {.kind = FE_VALUE_CLOSURE, .span = stmt->span, .as.closure = closure};
    fe_scope_bind(context->memory, scope, stmt->local->name, stmt->local->span, value);
}

static void run_if(fe_context *context, fe_scope *scope, const fe_stmt *stmt) {
    fe_value condition = fe_evaluate(context, scope, stmt->value);
    bool truth;
    if (fe_to_truth(context, &condition, "a condition", &truth))
        fe_run(context, fe_scope_new(context->memory, scope), truth ? &stmt->body : &stmt->otherwise);
}

static void run_once(fe_context *context, fe_scope *scope, const fe_stmt *stmt, fe_value item) {
    fe_scope *inner = fe_scope_new(context->memory, scope);
    fe_scope_bind(context->memory, inner, stmt->names[0], stmt->name_spans[0], item);
    fe_run(context, inner, &stmt->body);
}

static void run_for(fe_context *context, fe_scope *scope, const fe_stmt *stmt) {
    fe_value over = fe_evaluate(context, scope, stmt->value);
    if (over.kind == FE_VALUE_LIST || over.kind == FE_VALUE_TUPLE) {
        for (int i = 0; i < over.item_count && !context->returned && !context->exhausted; i++)
            run_once(context, scope, stmt, over.items[i]);
    } else if (over.kind == FE_VALUE_RANGE) {
        int64_t from, limit;
        if (!fe_to_size(context, &over.items[0], "a loop's start", INT32_MIN, &from) ||
            !fe_to_size(context, &over.items[1], "a loop's end", INT32_MIN, &limit))
            return;
        for (int64_t i = from; i < limit && !context->returned && !context->exhausted; i++) {
            if (fe_spend_step(context, stmt->span))
                run_once(context, scope, stmt, fe_number((double)i, stmt->span));
        }
    } else if (over.kind != FE_VALUE_ERROR) {
        fe_fail(context, stmt->value->span, "a loop goes over a range or a list, not over %s",
                fe_value_text(context->memory, &over));
    }
}

/* In a pipeline, a value is a step; elsewhere it must have been evaluated for its effect. */
static void run_value(fe_context *context, fe_scope *scope, const fe_stmt *stmt) {
    fe_value value = fe_evaluate(context, scope, stmt->value);
    if (context->in_pipeline && value.kind == FE_VALUE_CLOSURE && value.as.closure->decl->kind == FE_PIPELINE)
        value = fe_call_value(context, &value, NULL, 0, stmt->span);
    if (context->in_pipeline && value.kind == FE_VALUE_AUGMENTS) {
        for (int i = 0; i < value.item_count; i++)
            ARENA_PUSH(context->memory, context->augments, context->augment_count, context->augment_capacity,
                       value.as.augments[i]);
        return;
    }
    if (value.kind != FE_VALUE_NONE && value.kind != FE_VALUE_ERROR)
        fe_fail(context, stmt->span, "this value (%s) is not used", fe_value_text(context->memory, &value));
}

static void run_statement(fe_context *context, fe_scope *scope, const fe_stmt *stmt) {
    switch (stmt->kind) {
    case FE_BIND: run_binding(context, scope, stmt); break;
    case FE_CHANGE_BY: run_change(context, scope, stmt); break;
    case FE_LOCAL: run_local(context, scope, stmt); break;
    case FE_IF: run_if(context, scope, stmt); break;
    case FE_FOR: run_for(context, scope, stmt); break;
    case FE_RETURN: {
        fe_value result = fe_evaluate(context, scope, stmt->value);
        context->result = result;
        context->returned = true;
        break;
    }
    case FE_EVALUATE: run_value(context, scope, stmt); break;
    }
}

void fe_run(fe_context *context, fe_scope *scope, const fe_block *block) {
    context->depth++;
    for (int i = 0; i < block->count && !context->returned && !context->exhausted; i++)
        run_statement(context, scope, block->items[i]);
    context->depth--;
}
