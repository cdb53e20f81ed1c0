/* Prints a syntax tree in canonical form, which parses back to the same tree. */
#include "frontend/ast.h"

#include <string.h>

static void print_expr(const fe_expr *expr, text_buffer *out);
static void print_block(const fe_block *block, int depth, text_buffer *out);

static void print_list(const fe_expr *expr, const char *open, const char *close, text_buffer *out) {
    text_append(out, "%s", open);
    for (int i = 0; i < expr->part_count; i++) {
        text_append(out, i ? ", " : "");
        if (expr->parts[i])
            print_expr(expr->parts[i], out);
        else
            text_append(out, ":");
    }
    text_append(out, "%s", close);
}

static void print_arguments(const fe_expr *expr, text_buffer *out) {
    for (int i = 0; i < expr->arg_count; i++) {
        text_append(out, i ? ", " : "");
        if (expr->args[i].name)
            text_append(out, "%s = ", expr->args[i].name);
        print_expr(expr->args[i].value, out);
    }
}

static void print_pair(const fe_expr *expr, const char *between, text_buffer *out) {
    text_append(out, "(");
    if (expr->left)
        print_expr(expr->left, out);
    text_append(out, "%s", between);
    if (expr->right)
        print_expr(expr->right, out);
    text_append(out, ")");
}

static void print_expr(const fe_expr *expr, text_buffer *out) {
    switch (expr->kind) {
    case FE_NUMBER: text_append_number(out, expr->number); break;
    case FE_BOOL: text_append(out, expr->number != 0 ? "true" : "false"); break;
    case FE_STRING: text_append(out, "\"%s\"", expr->text); break;
    case FE_NAME: text_append(out, "%s", expr->text); break;
    case FE_LIST: print_list(expr, "[", "]", out); break;
    case FE_TUPLE: print_list(expr, "(", expr->part_count == 1 ? ",)" : ")", out); break;
    case FE_RECORD:
        text_append(out, "{ ");
        print_arguments(expr, out);
        text_append(out, " }");
        break;
    case FE_RANGE:
        /* An open end is written bare, as in x[1 ..]. */
        if (expr->left)
            print_expr(expr->left, out);
        text_append(out, " .. ");
        if (expr->right)
            print_expr(expr->right, out);
        break;
    case FE_CHANGE: print_pair(expr, " -> ", out); break;
    case FE_TIME:
        print_expr(expr->left, out);
        text_append(out, " %s", expr->text);
        break;
    case FE_UNARY:
        text_append(out, expr->op == FE_NEG ? "(-" : "(not ");
        print_expr(expr->left, out);
        text_append(out, ")");
        break;
    case FE_BINARY:
        text_append(out, "(");
        print_expr(expr->left, out);
        text_append(out, " %s ", fe_operator_text(expr->op));
        print_expr(expr->right, out);
        text_append(out, ")");
        break;
    case FE_WHERE: print_pair(expr, " where ", out); break;
    case FE_CONDITIONAL:
        text_append(out, "(if ");
        print_expr(expr->condition, out);
        text_append(out, " then ");
        print_expr(expr->left, out);
        text_append(out, " else ");
        print_expr(expr->right, out);
        text_append(out, ")");
        break;
    case FE_CALL:
        print_expr(expr->left, out);
        text_append(out, "(");
        print_arguments(expr, out);
        text_append(out, ")");
        break;
    case FE_INDEX:
        print_expr(expr->left, out);
        print_list(expr, "[", "]", out);
        break;
    case FE_FIELD:
        print_expr(expr->left, out);
        text_append(out, ".%s", expr->text);
        break;
    case FE_LABEL:
        text_append(out, "\"%s\": ", expr->condition->text);
        print_expr(expr->left, out);
        break;
    }
}

static void indent(int depth, text_buffer *out) {
    text_append(out, "%*s", 2 * depth, "");
}

static void print_parameters(const fe_parameter *parameters, int count, text_buffer *out) {
    for (int i = 0; i < count; i++) {
        text_append(out, "%s%s", i ? ", " : "", parameters[i].name);
        for (int c = 0; c < parameters[i].choice_count; c++)
            text_append(out, "%s%s", c ? " | " : " = ", parameters[i].choices[c]);
        if (parameters[i].choice_count == 0 && parameters[i].initial) {
            text_append(out, " = ");
            print_expr(parameters[i].initial, out);
        }
    }
}

static void print_decl(const fe_decl *decl, int depth, text_buffer *out) {
    text_append(out, "%s(", decl->name);
    print_parameters(decl->parameters, decl->parameter_count, out);
    text_append(out, ") ");
    print_block(&decl->body, depth, out);
}

static void print_statement(const fe_stmt *stmt, int depth, text_buffer *out) {
    indent(depth, out);
    switch (stmt->kind) {
    case FE_BIND:
        for (int i = 0; i < stmt->name_count; i++)
            text_append(out, "%s%s", i ? ", " : "", stmt->names[i]);
        text_append(out, " = ");
        print_expr(stmt->value, out);
        break;
    case FE_CHANGE_BY:
        text_append(out, "%s %s= ", stmt->names[0], fe_operator_text(stmt->op));
        print_expr(stmt->value, out);
        break;
    case FE_LOCAL: print_decl(stmt->local, depth, out); break;
    case FE_IF:
        text_append(out, "if ");
        print_expr(stmt->value, out);
        text_append(out, " ");
        print_block(&stmt->body, depth, out);
        if (stmt->otherwise.count) {
            text_append(out, " else ");
            print_block(&stmt->otherwise, depth, out);
        }
        break;
    case FE_FOR:
        text_append(out, "for %s in ", stmt->names[0]);
        print_expr(stmt->value, out);
        text_append(out, " ");
        print_block(&stmt->body, depth, out);
        break;
    case FE_RETURN:
        text_append(out, "return ");
        print_expr(stmt->value, out);
        break;
    case FE_EVALUATE: print_expr(stmt->value, out); break;
    }
    text_append(out, "\n");
}

static void print_block(const fe_block *block, int depth, text_buffer *out) {
    text_append(out, "{\n");
    for (int i = 0; i < block->count; i++)
        print_statement(block->items[i], depth + 1, out);
    indent(depth, out);
    text_append(out, "}");
}

static void print_named(const char *what, const fe_named *named, int count, text_buffer *out) {
    for (int i = 0; i < count; i++) {
        text_append(out, "    %s", what);
        if (named[i].name)
            text_append(out, " %s", named[i].name);
        if (named[i].source)
            text_append(out, " of %s", named[i].source);
        text_append(out, " = ");
        print_expr(named[i].value, out);
        text_append(out, "\n");
    }
}

static void print_augment(const fe_section *section, text_buffer *out) {
    text_append(out, "{\n");
    print_named("shared", section->shared, section->shared_count, out);
    for (int i = 0; i < section->pipeline_count; i++) {
        text_append(out, "    pipeline ");
        print_decl(section->pipelines[i], 2, out);
        text_append(out, "\n");
    }
    print_named("view", section->views, section->view_count, out);
    print_named("evaluate", section->evaluations, section->evaluation_count, out);
    text_append(out, "  }");
}

static void print_method(const fe_method *method, text_buffer *out) {
    text_append(out, "method %s {\n", method->name);
    for (int i = 0; i < method->parameter_count; i++) {
        text_append(out, "  param ");
        print_parameters(&method->parameters[i], 1, out);
        text_append(out, "\n");
    }
    for (int s = 0; s < FE_SECTION_COUNT; s++) {
        if (!method->sections[s].present)
            continue;
        text_append(out, "  %s ", fe_section_name((fe_section_kind)s));
        if (s == FE_AUGMENT)
            print_augment(&method->sections[s], out);
        else
            print_block(&method->sections[s].body, 1, out);
        text_append(out, "\n");
    }
    text_append(out, "}\n");
}

void fe_print(const fe_file *file, text_buffer *out) {
    for (int i = 0; i < file->use_count; i++)
        text_append(out, "use %s\n", file->uses[i]);
    for (int i = 0; i < file->constant_count; i++)
        print_statement(file->constants[i], 0, out);
    for (int i = 0; i < file->declaration_count; i++) {
        text_append(out, "%s ", fe_decl_kind_text(file->declarations[i]->kind));
        print_decl(file->declarations[i], 0, out);
        text_append(out, "\n");
    }
    if (file->method)
        print_method(file->method, out);
}
