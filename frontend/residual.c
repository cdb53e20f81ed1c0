/* What is left of the spec's text when everything known is put in place of its name: parameters, sizes and settings
 * become numbers, branches not taken disappear. For descriptions alone; nothing is computed from it. */
#include "frontend/evaluate.h"

#include <string.h>

/* The names that may differ from one run of the text to the next: a function's parameters, loop variables, names bound
 * more than once. They stand as they are. */
typedef struct {
    fe_context *context;
    fe_scope *scope;
    struct {
        const char **items;
        int count, capacity;
    } open;
} residual;

/* Strength of the operators, weakest first, as docs/language.md lists them. */
enum { WEAKEST, CONDITIONAL, CHANGE, WHERE, OR, AND, NOT, COMPARISON, RANGE, SUM, PRODUCT, MINUS, POWER, PRIMARY };

static void write_expr(residual *left, const fe_expr *expr, int strength, text_buffer *out);

/* ---- values
 * ------------------------------------------------------------------------------------------------------------------ */

static void write_items(fe_context *context, const fe_value *value, const char *open, const char *close,
                        text_buffer *out) {
    text_append(out, "%s", open);
    for (int i = 0; i < value->item_count; i++) {
        text_append(out, "%s", i ? ", " : "");
        fe_write_value(context, &value->items[i], out);
    }
    text_append(out, "%s", close);
}

static void write_pair(fe_context *context, const fe_value *value, const char *between, text_buffer *out) {
    if (value->items[0].kind != FE_VALUE_NONE)
        fe_write_value(context, &value->items[0], out);
    text_append(out, "%s", between);
    if (value->items[1].kind != FE_VALUE_NONE)
        fe_write_value(context, &value->items[1], out);
}

/* name(a = 1, b = 2), of the arguments that were given. */
static void write_call(fe_context *context, const fe_decl *decl, const fe_value *arguments, text_buffer *out) {
    text_append(out, "%s(", decl->name);
    bool any = false;
    for (int i = 0; arguments && i < decl->parameter_count; i++) {
        if (arguments[i].kind == FE_VALUE_NONE || arguments[i].kind == FE_VALUE_ERROR)
            continue;
        text_append(out, "%s%s = ", any ? ", " : "", decl->parameters[i].name);
        fe_write_value(context, &arguments[i], out);
        any = true;
    }
    text_append(out, ")");
}

static void write_instance(fe_context *context, const fe_instance *instance, text_buffer *out) {
    if (instance->average_of) {
        text_append(out, "ema(%s, ", instance->average_of->path);
        fe_write_value(context, &instance->momentum, out);
        text_append(out, ")");
    } else {
        write_call(context, instance->closure->decl, instance->arguments, out);
    }
}

static void write_record(fe_context *context, const fe_value *value, text_buffer *out) {
    text_append(out, "{ ");
    for (int i = 0; i < value->item_count; i++) {
        text_append(out, "%s%s = ", i ? ", " : "", value->fields[i].name);
        fe_write_value(context, value->fields[i].value, out);
    }
    text_append(out, " }");
}

void fe_write_value(fe_context *context, const fe_value *value, text_buffer *out) {
    const fe_decl *decl;
    switch (value->kind) {
    case FE_VALUE_NUMBER: text_append_number(out, value->number); break;
    case FE_VALUE_TRUTH: text_append(out, value->number != 0 ? "true" : "false"); break;
    case FE_VALUE_STRING: text_append(out, "\"%s\"", value->text); break;
    case FE_VALUE_WORD: text_append(out, "%s", value->text); break;
    case FE_VALUE_LIST: write_items(context, value, "[", "]", out); break;
    case FE_VALUE_TUPLE: write_items(context, value, "(", ")", out); break;
    case FE_VALUE_RANGE: write_pair(context, value, " .. ", out); break;
    case FE_VALUE_CHANGE: write_pair(context, value, " -> ", out); break;
    case FE_VALUE_RECORD: write_record(context, value, out); break;
    case FE_VALUE_TIME:
        text_append_number(out, value->number);
        text_append(out, " %s", value->text);
        break;
    case FE_VALUE_TENSOR:
    case FE_VALUE_MASKED: text_append(out, "%s", ir_shape_text(context->memory, &value->tensor->type)); break;
    case FE_VALUE_CLOSURE:
        decl = value->as.closure->decl;
        if (value->as.closure->settings)
            write_call(context, decl, value->as.closure->settings, out);
        else
            text_append(out, "%s", decl->name);
        break;
    case FE_VALUE_PARTIAL:
        write_call(context, value->as.partial->closure->decl, value->as.partial->arguments, out);
        break;
    case FE_VALUE_INSTANCE: write_instance(context, value->as.instance, out); break;
    case FE_VALUE_STATE: text_append(out, "%s", value->as.state->name); break;
    default: text_append(out, "%s", fe_value_text(context->memory, value)); break;
    }
}

/* ---- what is known
 * ------------------------------------------------------------------------------------------------------------ */

static bool is_open(const residual *left, const char *name) {
    for (int i = 0; i < left->open.count; i++)
        if (strcmp(left->open.items[i], name) == 0)
            return true;
    return false;
}

static void open_name(residual *left, const char *name) {
    ARENA_PUSH(left->context->memory, left->open.items, left->open.count, left->open.capacity, name);
}

static const fe_value *value_of(const residual *left, const char *name) {
    const fe_binding *bound = is_open(left, name) ? NULL : fe_scope_find(left->scope, name);
    return bound ? &bound->value : NULL;
}

static bool is_plain(const fe_value *value) {
    return value->kind == FE_VALUE_NUMBER || value->kind == FE_VALUE_TRUTH || value->kind == FE_VALUE_STRING ||
           value->kind == FE_VALUE_WORD || value->kind == FE_VALUE_TIME;
}

static bool is_known(const residual *left, const fe_expr *expr);

static bool parts_known(const residual *left, const fe_expr *expr) {
    for (int i = 0; i < expr->part_count; i++)
        if (!expr->parts[i] || !is_known(left, expr->parts[i]))
            return false;
    return true;
}

/* Built-in functions of numbers. */
static bool call_known(const residual *left, const fe_expr *call) {
    const fe_value *callee = call->left->kind == FE_NAME ? value_of(left, call->left->text) : NULL;
    if (!callee || callee->kind != FE_VALUE_BUILTIN)
        return false;
    const char *name = callee->as.builtin->name;
    bool numeric = strncmp(callee->as.builtin->group, "Numbers", 7) == 0 || strcmp(name, "max") == 0 ||
                   strcmp(name, "length") == 0;
    for (int i = 0; numeric && i < call->arg_count; i++)
        numeric = is_known(left, call->args[i].value);
    return numeric;
}

/* What a name, or a field of a record that has a name, stands for; NULL when that is not known. */
static const fe_value *resolve(const residual *left, const fe_expr *expr) {
    if (expr->kind == FE_NAME)
        return value_of(left, expr->text);
    const fe_value *owner = expr->kind == FE_FIELD ? resolve(left, expr->left) : NULL;
    const fe_field *field = owner && owner->kind == FE_VALUE_RECORD ? fe_record_find(owner, expr->text) : NULL;
    return field ? field->value : NULL;
}

/* Fields of records, and sizes of tensors. */
static bool field_known(const residual *left, const fe_expr *field) {
    const fe_value *value = resolve(left, field), *owner = resolve(left, field->left);
    if (value)
        return is_plain(value) || value->kind == FE_VALUE_LIST;
    return owner && owner->kind == FE_VALUE_TENSOR;
}

/* extract == multiscale: a parameter against one of its words. */
static bool is_choice(const residual *left, const fe_expr *expr) {
    if ((expr->op != FE_EQ && expr->op != FE_NE) || expr->left->kind != FE_NAME || expr->right->kind != FE_NAME)
        return false;
    const fe_value *one = value_of(left, expr->left->text), *other = value_of(left, expr->right->text);
    return (one && one->kind == FE_VALUE_WORD) || (other && other->kind == FE_VALUE_WORD);
}

/* Whether the expression is a number, word or list whatever the tensors hold. */
static bool is_known(const residual *left, const fe_expr *expr) {
    const fe_value *value;
    switch (expr->kind) {
    case FE_NUMBER:
    case FE_BOOL: return true;
    case FE_STRING: return expr->part_count == 0;
    case FE_NAME: value = value_of(left, expr->text); return value && (is_plain(value) || value->kind == FE_VALUE_LIST);
    case FE_LIST: return parts_known(left, expr);
    case FE_TIME:
    case FE_UNARY: return is_known(left, expr->left);
    case FE_BINARY: return is_choice(left, expr) || (is_known(left, expr->left) && is_known(left, expr->right));
    case FE_CONDITIONAL:
        return is_known(left, expr->condition) && is_known(left, expr->left) && is_known(left, expr->right);
    case FE_CALL: return call_known(left, expr);
    case FE_INDEX: return is_known(left, expr->left) && parts_known(left, expr);
    case FE_FIELD: return field_known(left, expr);
    default: return false;
    }
}

/* The value of a known expression; false when it has none, of which nothing is said. */
static bool know(const residual *left, const fe_expr *expr, fe_value *value) {
    if (!is_known(left, expr))
        return false;
    diag_list *diags = left->context->diags;
    int count = diags->count, errors = diags->error_count;
    *value = fe_evaluate(left->context, left->scope, expr);
    diags->count = count;
    diags->error_count = errors;
    return is_plain(value) || value->kind == FE_VALUE_LIST;
}

/* ---- expressions
 * -------------------------------------------------------------------------------------------------------------- */

static int strength_of(const fe_expr *expr) {
    switch (expr->kind) {
    case FE_CONDITIONAL: return CONDITIONAL;
    case FE_CHANGE: return CHANGE;
    case FE_WHERE: return WHERE;
    case FE_RANGE: return RANGE;
    case FE_UNARY: return expr->op == FE_NOT ? NOT : MINUS;
    case FE_BINARY: break;
    default: return PRIMARY;
    }
    switch (expr->op) {
    case FE_OR: return OR;
    case FE_AND: return AND;
    case FE_ADD:
    case FE_SUB: return SUM;
    case FE_MUL:
    case FE_DIV:
    case FE_REM: return PRODUCT;
    case FE_POW: return POWER;
    default: return COMPARISON;
    }
}

static void write_parts(residual *left, const fe_expr *expr, const char *open, const char *close, text_buffer *out) {
    text_append(out, "%s", open);
    for (int i = 0; i < expr->part_count; i++) {
        text_append(out, "%s", i ? ", " : "");
        if (expr->parts[i])
            write_expr(left, expr->parts[i], WEAKEST, out);
        else
            text_append(out, ":");
    }
    text_append(out, "%s", close);
}

static void write_arguments(residual *left, const fe_expr *expr, text_buffer *out) {
    for (int i = 0; i < expr->arg_count; i++) {
        text_append(out, "%s", i ? ", " : "");
        if (expr->args[i].name)
            text_append(out, "%s = ", expr->args[i].name);
        write_expr(left, expr->args[i].value, WEAKEST, out);
    }
}

static void write_infix(residual *left, const fe_expr *expr, const char *between, int strength, text_buffer *out) {
    if (expr->left)
        write_expr(left, expr->left, strength, out);
    text_append(out, "%s", between);
    if (expr->right)
        write_expr(left, expr->right, strength + 1, out);
}

static void write_conditional(residual *left, const fe_expr *expr, text_buffer *out) {
    text_append(out, "if ");
    write_expr(left, expr->condition, CONDITIONAL + 1, out);
    text_append(out, " then ");
    write_expr(left, expr->left, CONDITIONAL + 1, out);
    text_append(out, " else ");
    write_expr(left, expr->right, CONDITIONAL, out);
}

static void write_kind(residual *left, const fe_expr *expr, text_buffer *out) {
    char between[16];
    switch (expr->kind) {
    case FE_NUMBER: text_append_number(out, expr->number); break;
    case FE_BOOL: text_append(out, expr->number != 0 ? "true" : "false"); break;
    case FE_STRING: text_append(out, "\"%s\"", expr->text); break;
    case FE_NAME: text_append(out, "%s", expr->text); break;
    case FE_LIST: write_parts(left, expr, "[", "]", out); break;
    case FE_TUPLE: write_parts(left, expr, "(", ")", out); break;
    case FE_RECORD:
        text_append(out, "{ ");
        write_arguments(left, expr, out);
        text_append(out, " }");
        break;
    case FE_RANGE: write_infix(left, expr, " .. ", RANGE, out); break;
    case FE_CHANGE: write_infix(left, expr, " -> ", CHANGE, out); break;
    case FE_WHERE: write_infix(left, expr, " where ", WHERE, out); break;
    case FE_TIME:
        write_expr(left, expr->left, PRIMARY, out);
        text_append(out, " %s", expr->text);
        break;
    case FE_UNARY:
        text_append(out, expr->op == FE_NEG ? "-" : "not ");
        write_expr(left, expr->left, strength_of(expr), out);
        break;
    case FE_BINARY:
        snprintf(between, sizeof between, " %s ", fe_operator_text(expr->op));
        write_infix(left, expr, between, strength_of(expr), out);
        break;
    case FE_CONDITIONAL: write_conditional(left, expr, out); break;
    case FE_CALL:
        write_expr(left, expr->left, PRIMARY, out);
        text_append(out, "(");
        write_arguments(left, expr, out);
        text_append(out, ")");
        break;
    case FE_INDEX:
        write_expr(left, expr->left, PRIMARY, out);
        write_parts(left, expr, "[", "]", out);
        break;
    case FE_FIELD:
        write_expr(left, expr->left, PRIMARY, out);
        text_append(out, ".%s", expr->text);
        break;
    case FE_LABEL:
        text_append(out, "%s: ", expr->condition->text);
        write_expr(left, expr->left, WEAKEST, out);
        break;
    }
}

/* Puts parentheses where the expression binds weaker than `strength`. */
static void write_expr(residual *left, const fe_expr *expr, int strength, text_buffer *out) {
    fe_value value;
    if (know(left, expr, &value)) {
        fe_write_value(left->context, &value, out);
        return;
    }
    if (expr->kind == FE_CONDITIONAL && know(left, expr->condition, &value)) {
        write_expr(left, value.number != 0 ? expr->left : expr->right, strength, out);
        return;
    }
    bool weak = strength_of(expr) < strength;
    text_append(out, weak ? "(" : "");
    write_kind(left, expr, out);
    text_append(out, weak ? ")" : "");
}

/* ---- statements
 * --------------------------------------------------------------------------------------------------------------- */

static void write_statement(residual *left, const fe_stmt *stmt, text_buffer *out);

/* Statements on one line, with "; " between them; nothing is left of a branch that was not taken. */
static void write_sequence(residual *left, const fe_block *block, text_buffer *out) {
    size_t opened = out->length;
    for (int i = 0; i < block->count; i++) {
        size_t before = out->length;
        if (before > opened)
            text_append(out, "; ");
        size_t start = out->length;
        write_statement(left, block->items[i], out);
        if (out->length == start && start > before)
            out->data[out->length = before] = 0;
    }
}

static void write_block(residual *left, const fe_block *block, text_buffer *out) {
    text_append(out, "{ ");
    write_sequence(left, block, out);
    text_append(out, " }");
}

static void write_function(residual *left, const fe_decl *decl, text_buffer *out) {
    int outer = left->open.count;
    text_append(out, "%s(", decl->name);
    for (int i = 0; i < decl->parameter_count; i++) {
        text_append(out, "%s%s", i ? ", " : "", decl->parameters[i].name);
        open_name(left, decl->parameters[i].name);
    }
    text_append(out, ") ");
    if (decl->body.count == 1 && decl->body.items[0]->kind == FE_RETURN) {
        text_append(out, "= ");
        write_expr(left, decl->body.items[0]->value, WEAKEST, out);
    } else {
        write_block(left, &decl->body, out);
    }
    left->open.count = outer;
}

static void write_choice(residual *left, const fe_stmt *stmt, text_buffer *out) {
    fe_value condition;
    if (know(left, stmt->value, &condition)) {
        write_sequence(left, condition.number != 0 ? &stmt->body : &stmt->otherwise, out);
        return;
    }
    text_append(out, "if ");
    write_expr(left, stmt->value, WEAKEST, out);
    text_append(out, " ");
    write_block(left, &stmt->body, out);
    if (stmt->otherwise.count) {
        text_append(out, " else ");
        write_block(left, &stmt->otherwise, out);
    }
}

static void write_loop(residual *left, const fe_stmt *stmt, text_buffer *out) {
    int outer = left->open.count;
    text_append(out, "for %s in ", stmt->names[0]);
    write_expr(left, stmt->value, WEAKEST, out);
    open_name(left, stmt->names[0]);
    text_append(out, " ");
    write_block(left, &stmt->body, out);
    left->open.count = outer;
}

static void write_statement(residual *left, const fe_stmt *stmt, text_buffer *out) {
    switch (stmt->kind) {
    case FE_BIND:
        for (int i = 0; i < stmt->name_count; i++)
            text_append(out, "%s%s", i ? ", " : "", stmt->names[i]);
        text_append(out, " = ");
        write_expr(left, stmt->value, WEAKEST, out);
        break;
    case FE_CHANGE_BY:
        text_append(out, "%s %s= ", stmt->names[0], fe_operator_text(stmt->op));
        write_expr(left, stmt->value, WEAKEST, out);
        break;
    case FE_LOCAL: write_function(left, stmt->local, out); break;
    case FE_IF: write_choice(left, stmt, out); break;
    case FE_FOR: write_loop(left, stmt, out); break;
    case FE_RETURN:
        text_append(out, "return ");
        write_expr(left, stmt->value, WEAKEST, out);
        break;
    case FE_EVALUATE: write_expr(left, stmt->value, WEAKEST, out); break;
    }
}

/* Opens the names that the block binds again, changes, or binds inside a loop or a function of its own. */
static void open_changing(residual *left, const fe_block *block, bool repeated, const fe_block *whole) {
    for (int i = 0; i < block->count; i++) {
        const fe_stmt *stmt = block->items[i];
        int times = 0;
        for (int j = 0; stmt->kind == FE_BIND && j < whole->count; j++)
            times += whole->items[j]->kind == FE_BIND && strcmp(whole->items[j]->names[0], stmt->names[0]) == 0;
        if (stmt->kind == FE_CHANGE_BY || (stmt->kind == FE_BIND && (repeated || times > 1)))
            for (int n = 0; n < stmt->name_count; n++)
                open_name(left, stmt->names[n]);
        bool again = repeated || stmt->kind == FE_FOR || stmt->kind == FE_LOCAL;
        if (stmt->kind == FE_LOCAL)
            open_changing(left, &stmt->local->body, again, whole);
        open_changing(left, &stmt->body, again || stmt->kind == FE_IF, whole);
        open_changing(left, &stmt->otherwise, again || stmt->kind == FE_IF, whole);
    }
}

void fe_write_residual(fe_context *context, fe_scope *scope, const fe_expr *expr, text_buffer *out) {
    residual left = {.context = context, .scope = scope};
    write_expr(&left, expr, WEAKEST, out);
}

static const char *name_of(const fe_stmt *stmt) {
    switch (stmt->kind) {
    case FE_LOCAL: return stmt->local->name;
    case FE_FOR: return "for";
    case FE_IF: return "if";
    case FE_RETURN:
    case FE_EVALUATE: return "return"; /* a last expression is what the section returns */
    default: return stmt->names[0];
    }
}

static void add_statement(residual *left, const fe_stmt *stmt, fe_facts *facts) {
    arena *memory = left->context->memory;
    text_buffer text = {0};
    if (stmt->kind == FE_RETURN)
        write_expr(left, stmt->value, WEAKEST, &text);
    else
        write_statement(left, stmt, &text);
    fe_fact fact = {.name = name_of(stmt), .span = stmt->span};
    fact.text = arena_strdup(memory, text.data ? text.data : "");
    text_free(&text);
    const fe_binding *bound = stmt->kind == FE_BIND ? fe_scope_find(left->scope, stmt->names[0]) : NULL;
    if (bound && (bound->value.kind == FE_VALUE_TENSOR || bound->value.kind == FE_VALUE_RECORD)) {
        text = (text_buffer){0};
        fe_write_value(left->context, &bound->value, &text);
        fact.shape = arena_strdup(memory, text.data);
        text_free(&text);
    }
    ARENA_PUSH(memory, facts->items, facts->count, facts->capacity, fact);
}

/* The statements of a branch that is known to be taken stand in place of the `if`. */
static void add_statements(residual *left, const fe_block *block, fe_facts *facts) {
    for (int i = 0; i < block->count; i++) {
        const fe_stmt *stmt = block->items[i];
        fe_value condition;
        if (stmt->kind == FE_IF && know(left, stmt->value, &condition))
            add_statements(left, condition.number != 0 ? &stmt->body : &stmt->otherwise, facts);
        else
            add_statement(left, stmt, facts);
    }
}

void fe_residual_facts(fe_context *context, fe_scope *scope, const fe_block *block, fe_facts *facts) {
    residual left = {.context = context, .scope = scope};
    open_changing(&left, block, false, block);
    add_statements(&left, block, facts);
}
