/* Expressions. */
#include "frontend/evaluate.h"

#include <math.h>
#include <string.h>

/* Why evaluation must end here, or NULL. */
static const char *spent(const fe_context *context) {
    if (context->steps > FE_STEP_BUDGET || (context->function && context->function->value_count > FE_MAX_VALUES))
        return "this description takes too long to evaluate; is there an endless or huge loop?";
    if (arena_bytes(context->memory) - context->memory_before > FE_MAX_MEMORY)
        return "this description takes too much memory to evaluate; is there an endless or huge loop?";
    if (context->depth > FE_MAX_DEPTH)
        return "calls, statements and expressions are nested too deep here";
    return NULL;
}

bool fe_spend_step(fe_context *context, source_span span) {
    if (context->exhausted)
        return false;
    context->steps++;
    const char *why = spent(context);
    if (why)
        fe_fail(context, span, "%s", why);
    context->exhausted = why || context->diags->error_count > FE_MAX_ERRORS;
    return !context->exhausted;
}

/* ---- names and texts
 * --------------------------------------------------------------------------------------------------- */

static fe_value evaluate_name(fe_context *context, fe_scope *scope, const fe_expr *expr) {
    fe_binding *found = context->in_training ? fe_scope_find(scope, fe_training_name(context, expr->text)) : NULL;
    if (!found)
        found = fe_scope_find(scope, expr->text);
    if (!found)
        return fe_fail_suggest(context, expr->span,
                               fe_scope_suggest(context->memory, scope, expr->text, context->in_training),
                               "unknown name '%s'", expr->text);
    fe_value value = found->value;
    value.span = expr->span;
    return value;
}

static fe_value evaluate_string(fe_context *context, fe_scope *scope, const fe_expr *expr) {
    if (expr->part_count == 0)
        return (fe_value){.kind = FE_VALUE_STRING, .span = expr->span, .text = expr->text};
    text_buffer text = {0};
    bool good = true;
    for (int i = 0; i < expr->part_count; i++) {
        fe_value part = fe_evaluate(context, scope, expr->parts[i]);
        if (part.kind == FE_VALUE_STRING || part.kind == FE_VALUE_WORD)
            text_append(&text, "%s", part.text);
        else if (part.kind == FE_VALUE_NUMBER)
            text_append_number(&text, part.number);
        else if (part.kind != FE_VALUE_ERROR)
            fe_fail(context, part.span, "%s cannot be part of a string", fe_value_text(context->memory, &part));
        good &= part.kind == FE_VALUE_STRING || part.kind == FE_VALUE_WORD || part.kind == FE_VALUE_NUMBER;
        if (text.length > FE_MAX_TEXT) {
            text_free(&text);
            return fe_fail(context, expr->span, "this string has more than %d bytes", FE_MAX_TEXT);
        }
    }
    fe_value value = {.kind = good ? FE_VALUE_STRING : FE_VALUE_ERROR, .span = expr->span};
    value.text = arena_strdup(context->memory, text.data ? text.data : "");
    text_free(&text);
    return value;
}

/* ---- collections
 * --------------------------------------------------------------------------------------------------------- */

static fe_value evaluate_parts(fe_context *context, fe_scope *scope, const fe_expr *expr, fe_value_kind kind) {
    fe_value *items = arena_alloc(context->memory, (size_t)expr->part_count * sizeof *items);
    bool good = true;
    for (int i = 0; i < expr->part_count; i++) {
        items[i] = fe_evaluate(context, scope, expr->parts[i]);
        good &= items[i].kind != FE_VALUE_ERROR;
    }
    return good ? fe_list(kind, items, expr->part_count, expr->span) : fe_error(expr->span);
}

static fe_value evaluate_record(fe_context *context, fe_scope *scope, const fe_expr *expr) {
    fe_value record = {.kind = FE_VALUE_RECORD, .span = expr->span, .item_count = expr->arg_count};
    record.fields = arena_alloc(context->memory, (size_t)expr->arg_count * sizeof *record.fields);
    for (int i = 0; i < expr->arg_count; i++) {
        for (int j = 0; j < i; j++)
            if (strcmp(expr->args[j].name, expr->args[i].name) == 0)
                return fe_fail(context, expr->args[i].name_span, "field '%s' is given twice", expr->args[i].name);
        fe_value *value = arena_alloc(context->memory, sizeof *value);
        *value = fe_evaluate(context, scope, expr->args[i].value);
        record.fields[i] = (fe_field){expr->args[i].name, expr->args[i].name_span, value};
    }
    return record;
}

/* a .. b and a -> b: a pair; a missing end is NONE. */
static fe_value evaluate_pair(fe_context *context, fe_scope *scope, const fe_expr *expr, fe_value_kind kind) {
    fe_value *ends = arena_alloc(context->memory, 2 * sizeof *ends);
    ends[0] = expr->left ? fe_evaluate(context, scope, expr->left) : fe_none(expr->span);
    ends[1] = expr->right ? fe_evaluate(context, scope, expr->right) : fe_none(expr->span);
    if (ends[0].kind == FE_VALUE_ERROR || ends[1].kind == FE_VALUE_ERROR)
        return fe_error(expr->span);
    return fe_list(kind, ends, 2, expr->span);
}

static fe_value evaluate_time(fe_context *context, fe_scope *scope, const fe_expr *expr) {
    fe_value count = fe_evaluate(context, scope, expr->left);
    double number;
    if (!fe_to_number(context, &count, expr->text, &number))
        return fe_error(expr->span);
    if (number < 0)
        return fe_fail(context, expr->span, "a number of %s cannot be negative", expr->text);
    return (fe_value){.kind = FE_VALUE_TIME, .span = expr->span, .number = number, .text = expr->text};
}

/* ---- fields
 * ---------------------------------------------------------------------------------------------------------------- */

static fe_value tensor_field(fe_context *context, const fe_value *value, const fe_expr *expr) {
    static const struct {
        const char *name;
        int axis; /* counted from the end when negative */
    } sizes[] = {{"channels", 1}, {"rows", -2}, {"columns", -1}};
    ir_value *tensor = fe_to_tensor(context, value, "this");
    if (!tensor)
        return fe_error(expr->span);
    const ir_type *type = &tensor->type;
    if (strcmp(expr->text, "rank") == 0)
        return fe_number(type->rank, expr->span);
    if (strcmp(expr->text, "shape") == 0) {
        fe_value *items = arena_alloc(context->memory, IR_MAX_RANK * sizeof *items);
        for (int i = 0; i < type->rank; i++)
            items[i] = fe_number((double)type->dims[i], expr->span);
        return fe_list(FE_VALUE_LIST, items, type->rank, expr->span);
    }
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (strcmp(expr->text, sizes[i].name) == 0) {
            int axis = sizes[i].axis < 0 ? type->rank + sizes[i].axis : sizes[i].axis;
            if (axis < 0 || axis >= type->rank)
                return fe_fail(context, expr->span, "a tensor %s has no %s", ir_shape_text(context->memory, type),
                               expr->text);
            return fe_number((double)type->dims[axis], expr->span);
        }
    static const char *const names[] = {"rank", "shape", "channels", "rows", "columns"};
    return fe_fail_suggest(context, expr->span, diag_suggest(expr->text, names, 5),
                           "a tensor has no field '%s' (it has shape, rank, channels, rows, columns)", expr->text);
}

static fe_value evaluate_field(fe_context *context, fe_scope *scope, const fe_expr *expr) {
    fe_value value = fe_evaluate(context, scope, expr->left);
    if (value.kind == FE_VALUE_ERROR)
        return value;
    if (value.kind == FE_VALUE_TENSOR || value.kind == FE_VALUE_STATE)
        return tensor_field(context, &value, expr);
    if (value.kind != FE_VALUE_RECORD)
        return fe_fail(context, expr->span, "%s has no fields", fe_value_text(context->memory, &value));
    const fe_field *field = fe_record_find(&value, expr->text);
    if (field) {
        fe_value found = *field->value;
        found.span = expr->span;
        return found;
    }
    const char **names = arena_alloc(context->memory, (size_t)value.item_count * sizeof *names);
    for (int i = 0; i < value.item_count; i++)
        names[i] = value.fields[i].name;
    return fe_fail_suggest(context, expr->span, diag_suggest(expr->text, names, value.item_count), "no field '%s'",
                           expr->text);
}

/* ---- operators
 * ------------------------------------------------------------------------------------------------------------- */

/* stem == cifar: the right side may be a word that the left side's parameter declares. */
static fe_value compare_words(fe_context *context, fe_scope *scope, const fe_expr *expr, const fe_value *left) {
    const char *word = NULL;
    if (expr->right->kind == FE_NAME) {
        for (int i = 0; i < left->choices->choice_count; i++)
            if (strcmp(left->choices->choices[i], expr->right->text) == 0)
                word = expr->right->text;
        fe_binding *bound = word ? NULL : fe_scope_find(scope, expr->right->text);
        if (bound && bound->value.kind == FE_VALUE_WORD)
            word = bound->value.text;
    }
    if (!word)
        return fe_fail_suggest(context, expr->right->span,
                               expr->right->kind == FE_NAME ? diag_suggest(expr->right->text, left->choices->choices,
                                                                           left->choices->choice_count)
                                                            : NULL,
                               "'%s' is compared with something that is none of its choices", left->choices->name);
    bool equal = strcmp(left->text, word) == 0;
    return fe_truth(equal == (expr->op == FE_EQ), expr->span);
}

static fe_value evaluate_logic(fe_context *context, fe_scope *scope, const fe_expr *expr, const fe_value *left) {
    bool truth;
    if (left->kind == FE_VALUE_TENSOR) {
        fe_value right = fe_evaluate(context, scope, expr->right);
        return fe_operate(context, expr->op, left, &right, expr->span);
    }
    if (!fe_to_truth(context, left, "this", &truth))
        return fe_error(expr->span);
    if (truth == (expr->op == FE_OR))
        return fe_truth(truth, expr->span);
    fe_value right = fe_evaluate(context, scope, expr->right);
    if (right.kind == FE_VALUE_TENSOR)
        return right;
    if (!fe_to_truth(context, &right, "this", &truth))
        return fe_error(expr->span);
    return fe_truth(truth, expr->span);
}

static fe_value evaluate_binary(fe_context *context, fe_scope *scope, const fe_expr *expr) {
    fe_value left = fe_evaluate(context, scope, expr->left);
    if ((expr->op == FE_EQ || expr->op == FE_NE) && left.kind == FE_VALUE_WORD)
        return compare_words(context, scope, expr, &left);
    if ((expr->op == FE_AND || expr->op == FE_OR) && left.kind != FE_VALUE_ERROR)
        return evaluate_logic(context, scope, expr, &left);
    fe_value right = fe_evaluate(context, scope, expr->right); /* also after an error: it may hold one of its own */
    return fe_operate(context, expr->op, &left, &right, expr->span);
}

static fe_value evaluate_unary(fe_context *context, fe_scope *scope, const fe_expr *expr) {
    fe_value operand = fe_evaluate(context, scope, expr->left);
    bool truth;
    if (operand.kind == FE_VALUE_ERROR)
        return operand;
    if (expr->op == FE_NEG && operand.kind == FE_VALUE_NUMBER)
        return fe_number(-operand.number, expr->span);
    if (expr->op == FE_NEG && operand.kind == FE_VALUE_TIME)
        return fe_fail(context, expr->span, "a number of %s cannot be negative", operand.text);
    if (expr->op == FE_NEG)
        return fe_unary(context, IR_OP_neg, &operand, expr->span);
    if (operand.kind == FE_VALUE_TENSOR)
        return fe_unary(context, IR_OP_not, &operand, expr->span);
    if (!fe_to_truth(context, &operand, "this", &truth))
        return fe_error(expr->span);
    return fe_truth(!truth, expr->span);
}

static fe_value evaluate_conditional(fe_context *context, fe_scope *scope, const fe_expr *expr) {
    fe_value condition = fe_evaluate(context, scope, expr->condition);
    bool truth;
    if (!fe_to_truth(context, &condition, "a condition", &truth))
        return fe_error(expr->span);
    return fe_evaluate(context, scope, truth ? expr->left : expr->right);
}

/* label: call. The label names what the call makes. */
static fe_value evaluate_label(fe_context *context, fe_scope *scope, const fe_expr *expr) {
    fe_value label = evaluate_string(context, scope, expr->condition);
    if (label.kind == FE_VALUE_ERROR)
        return label;
    const char *outer = context->label;
    context->label = label.text;
    fe_value value = fe_call_expr(context, scope, expr->left);
    context->label = outer;
    return value;
}

static fe_value evaluate_kind(fe_context *context, fe_scope *scope, const fe_expr *expr) {
    switch (expr->kind) {
    case FE_NUMBER: return fe_number(expr->number, expr->span);
    case FE_BOOL: return fe_truth(expr->number != 0, expr->span);
    case FE_STRING: return evaluate_string(context, scope, expr);
    case FE_NAME: return evaluate_name(context, scope, expr);
    case FE_LIST: return evaluate_parts(context, scope, expr, FE_VALUE_LIST);
    case FE_TUPLE: return evaluate_parts(context, scope, expr, FE_VALUE_TUPLE);
    case FE_RECORD: return evaluate_record(context, scope, expr);
    case FE_RANGE: return evaluate_pair(context, scope, expr, FE_VALUE_RANGE);
    case FE_CHANGE: return evaluate_pair(context, scope, expr, FE_VALUE_CHANGE);
    case FE_TIME: return evaluate_time(context, scope, expr);
    case FE_UNARY: return evaluate_unary(context, scope, expr);
    case FE_BINARY: return evaluate_binary(context, scope, expr);
    case FE_WHERE: return fe_where(context, scope, expr);
    case FE_CONDITIONAL: return evaluate_conditional(context, scope, expr);
    case FE_CALL: return fe_call_expr(context, scope, expr);
    case FE_INDEX: return fe_index(context, scope, expr);
    case FE_FIELD: return evaluate_field(context, scope, expr);
    case FE_LABEL: return evaluate_label(context, scope, expr);
    }
    return fe_error(expr->span);
}

fe_value fe_evaluate(fe_context *context, fe_scope *scope, const fe_expr *expr) {
    if (!fe_spend_step(context, expr->span))
        return fe_error(expr->span);
    /* A binding's name and a label belong to the outermost call alone, not to those in its arguments. */
    const char *binding_name = context->binding_name, *label = context->label;
    if (expr->kind != FE_CALL && expr->kind != FE_LABEL) {
        context->binding_name = NULL;
        context->label = NULL;
    }
    context->depth++;
    fe_value value = evaluate_kind(context, scope, expr);
    context->depth--;
    context->binding_name = binding_name;
    context->label = label;
    return value;
}
