/* Checks on syntax alone: every parameter, and every part of the encoder and state sections, must be read somewhere. */
#include "frontend/method.h"

#include <string.h>

/* ---- does a name occur?
 * -------------------------------------------------------------------------------------------------------- */

static bool expr_reads(const fe_expr *expr, const char *name);
static bool block_reads(const fe_block *block, const char *name);

static bool parameters_read(const fe_parameter *parameters, int count, const char *name) {
    for (int i = 0; i < count; i++)
        if (parameters[i].initial && parameters[i].choice_count == 0 && expr_reads(parameters[i].initial, name))
            return true;
    return false;
}

static bool decl_reads(const fe_decl *decl, const char *name) {
    return decl && (parameters_read(decl->parameters, decl->parameter_count, name) || block_reads(&decl->body, name));
}

static bool expr_reads(const fe_expr *expr, const char *name) {
    if (!expr)
        return false;
    if (expr->kind == FE_NAME)
        return strcmp(expr->text, name) == 0;
    if (expr_reads(expr->left, name) || expr_reads(expr->right, name) || expr_reads(expr->condition, name))
        return true;
    for (int i = 0; i < expr->part_count; i++)
        if (expr_reads(expr->parts[i], name))
            return true;
    for (int i = 0; i < expr->arg_count; i++)
        if (expr_reads(expr->args[i].value, name))
            return true;
    return false;
}

static bool statement_reads(const fe_stmt *stmt, const char *name) {
    if (stmt->kind == FE_CHANGE_BY && strcmp(stmt->names[0], name) == 0)
        return true;
    return expr_reads(stmt->value, name) || decl_reads(stmt->local, name) || block_reads(&stmt->body, name) ||
           block_reads(&stmt->otherwise, name);
}

static bool block_reads(const fe_block *block, const char *name) {
    for (int i = 0; i < block->count; i++)
        if (statement_reads(block->items[i], name))
            return true;
    return false;
}

static bool named_read(const fe_named *named, int count, const char *name) {
    for (int i = 0; i < count; i++)
        if (expr_reads(named[i].value, name))
            return true;
    return false;
}

static bool section_reads(const fe_section *section, const char *name) {
    for (int i = 0; i < section->pipeline_count; i++)
        if (decl_reads(section->pipelines[i], name))
            return true;
    return block_reads(&section->body, name) || named_read(section->shared, section->shared_count, name) ||
           named_read(section->views, section->view_count, name) ||
           named_read(section->evaluations, section->evaluation_count, name);
}

/* ---- complaints
 * ------------------------------------------------------------------------------------------------------------------ */

static void complain(fe_context *context, const fe_parameter *parameters, int count, int unread, const char *owner) {
    diag_entry *entry = diag_error(context->diags, parameters[unread].span, "parameter '%s' of '%s' is never read",
                                   parameters[unread].name, owner);
    const char **others = arena_alloc(context->memory, (size_t)count * sizeof *others);
    int other_count = 0;
    for (int i = 0; i < count; i++)
        if (i != unread)
            others[other_count++] = parameters[i].name;
    const char *nearest = diag_suggest(parameters[unread].name, others, other_count);
    if (nearest)
        diag_add_note(context->diags, entry, "did you mean '%s'?", nearest);
}

/* A name that starts with `_` says that it is not needed: interfaces such as (p, g) of an optimizer. */
static void check_decl(fe_context *context, const fe_decl *decl) {
    for (int i = 0; i < decl->parameter_count; i++)
        if (decl->parameters[i].name[0] != '_' && !decl_reads(decl, decl->parameters[i].name))
            complain(context, decl->parameters, decl->parameter_count, i, decl->name);
}

static void check_local_functions(fe_context *context, const fe_block *block) {
    for (int i = 0; i < block->count; i++) {
        if (block->items[i]->local)
            check_decl(context, block->items[i]->local);
        check_local_functions(context, &block->items[i]->body);
        check_local_functions(context, &block->items[i]->otherwise);
    }
}

/* A second binding of a name that does not build on the first would silently replace it. */
static void check_twice(fe_context *context, const fe_block *body, int second) {
    const fe_stmt *stmt = body->items[second];
    for (int i = 0; i < second; i++) {
        const fe_stmt *other = body->items[i];
        if (other->kind != FE_BIND || other->name_count != 1 || strcmp(other->names[0], stmt->names[0]) != 0 ||
            expr_reads(stmt->value, stmt->names[0]))
            continue;
        diag_entry *entry = diag_error(context->diags, stmt->span, "'%s' is made twice", stmt->names[0]);
        diag_add_label(context->diags, entry, other->span, "first here");
        return;
    }
}

/* What the encoder and state sections make takes memory and time: it must be used. */
static void check_parts(fe_context *context, const fe_method *method, fe_section_kind kind) {
    const fe_block *body = &method->sections[kind].body;
    for (int i = 0; i < body->count; i++) {
        const fe_stmt *stmt = body->items[i];
        if (stmt->kind != FE_BIND || stmt->name_count != 1)
            continue;
        check_twice(context, body, i);
        bool read = stmt->names[0][0] == '_';
        for (int s = 0; s < FE_SECTION_COUNT && !read; s++)
            read = section_reads(&method->sections[s], stmt->names[0]);
        if (!read)
            diag_error(context->diags, stmt->span, "'%s' of the %s section is never used", stmt->names[0],
                       fe_section_name(kind));
    }
}

/* `batch` is read by the method itself: every view has that many images. */
static void check_method(fe_context *context, const fe_method *method) {
    for (int i = 0; i < method->parameter_count; i++) {
        const char *name = method->parameters[i].name;
        bool read = strcmp(name, "batch") == 0 || parameters_read(method->parameters, method->parameter_count, name);
        for (int s = 0; s < FE_SECTION_COUNT && !read; s++)
            read = section_reads(&method->sections[s], name);
        if (!read)
            complain(context, method->parameters, method->parameter_count, i, method->name);
    }
    check_parts(context, method, FE_ENCODER);
    check_parts(context, method, FE_STATE);
    for (int s = 0; s < FE_SECTION_COUNT; s++) {
        check_local_functions(context, &method->sections[s].body);
        for (int i = 0; i < method->sections[s].pipeline_count; i++)
            check_decl(context, method->sections[s].pipelines[i]);
    }
}

bool fe_broken(const fe_context *context) {
    return context->diags->error_count > context->unread_errors;
}

void fe_check_file(fe_context *context, const fe_file *file) {
    int errors = context->diags->error_count;
    for (int i = 0; i < file->declaration_count; i++) {
        check_decl(context, file->declarations[i]);
        check_local_functions(context, &file->declarations[i]->body);
    }
    if (file->method)
        check_method(context, file->method);
    context->unread_errors += context->diags->error_count - errors;
}
