/* Statements, blocks, parameters and declarations. */
#include "frontend/parser.h"

#include <string.h>

static const char *const kind_texts[] = {"function", "loss", "schedule", "module", "optimizer", "pipeline"};

const char *fe_decl_kind_text(fe_decl_kind kind) {
    return kind_texts[kind];
}

/* ---- parameters
 * ------------------------------------------------------------------------------------------------------- */

static void add_choice(const fe_parser *parser, fe_parameter *parameter, const char *word) {
    ARENA_PUSH(parser->memory, parameter->choices, parameter->choice_count, parameter->choice_capacity, word);
}

/* name, name = value, or name = word | word | … */
fe_parameter fe_parse_parameter(fe_parser *parser, const char *context) {
    fe_parameter parameter = {0};
    const fe_token *name = fe_expect_name(parser, context);
    if (!name)
        return parameter;
    parameter.name = name->text;
    parameter.span = name->span;
    if (!fe_take_symbol(parser, "="))
        return parameter;
    parameter.initial = fe_parse_expr(parser);
    if (parser->failed || !fe_at_symbol(parser, "|"))
        return parameter;
    if (parameter.initial->kind != FE_NAME) {
        diag_error(parser->diags, parameter.initial->span, "choices are words: %s = one | two", parameter.name);
        parser->failed = true;
        return parameter;
    }
    add_choice(parser, &parameter, parameter.initial->text);
    while (fe_take_symbol(parser, "|")) {
        const fe_token *word = fe_expect_name(parser, "after '|'");
        if (!word)
            break;
        add_choice(parser, &parameter, word->text);
    }
    return parameter;
}

static bool add_parameter(fe_parser *parser, fe_decl *decl, fe_parameter parameter) {
    for (int i = 0; i < decl->parameter_count; i++)
        if (strcmp(decl->parameters[i].name, parameter.name) == 0) {
            diag_entry *entry =
                diag_error(parser->diags, parameter.span, "parameter '%s' is declared twice", parameter.name);
            diag_add_label(parser->diags, entry, decl->parameters[i].span, "first here");
            return false;
        }
    ARENA_PUSH(parser->memory, decl->parameters, decl->parameter_count, decl->parameter_capacity, parameter);
    return true;
}

static void parse_parameters(fe_parser *parser, fe_decl *decl) {
    fe_expect_symbol(parser, "(", "before the parameters");
    while (!parser->failed && !fe_at_symbol(parser, ")")) {
        fe_parameter parameter = fe_parse_parameter(parser, "of a parameter");
        if (parameter.name && !parser->failed)
            add_parameter(parser, decl, parameter);
        if (!fe_take_symbol(parser, ","))
            break;
    }
    fe_expect_symbol(parser, ")", "after the parameters");
}

fe_decl *fe_parse_declaration(fe_parser *parser, fe_decl_kind kind) {
    const fe_token *name = fe_expect_name(parser, arena_printf(parser->memory, "after '%s'", kind_texts[kind]));
    if (!name)
        return NULL;
    fe_decl *decl = arena_alloc(parser->memory, sizeof *decl);
    decl->kind = kind;
    decl->name = name->text;
    decl->span = name->span;
    /* A pipeline without settings needs no parentheses. */
    if (kind != FE_PIPELINE || fe_at_symbol(parser, "("))
        parse_parameters(parser, decl);
    if (parser->failed)
        return NULL;
    if (fe_at_symbol(parser, "=")) {
        fe_stmt *result = arena_alloc(parser->memory, sizeof *result);
        result->kind = FE_RETURN;
        result->span = fe_advance(parser)->span;
        result->value = fe_parse_expr(parser);
        ARENA_PUSH(parser->memory, decl->body.items, decl->body.count, decl->body.capacity, result);
    } else {
        decl->body = fe_parse_block(parser, decl->name);
    }
    return decl;
}

/* ---- statements
 * -------------------------------------------------------------------------------------------------------- */

static fe_stmt *statement_new(const fe_parser *parser, fe_stmt_kind kind, source_span span) {
    fe_stmt *stmt = arena_alloc(parser->memory, sizeof *stmt);
    stmt->kind = kind;
    stmt->span = span;
    return stmt;
}

static void add_name(const fe_parser *parser, fe_stmt *stmt, const fe_token *name) {
    ARENA_PUSH(parser->memory, stmt->names, stmt->name_count, stmt->name_capacity, name->text);
    ARENA_PUSH(parser->memory, stmt->name_spans, stmt->name_span_count, stmt->name_span_capacity, name->span);
}

static bool symbol_at(const fe_parser *parser, int distance, const char *symbol) {
    const fe_token *token = fe_peek_at(parser, distance);
    return token->kind == FE_TOKEN_SYMBOL && strcmp(token->text, symbol) == 0;
}

static bool name_at(const fe_parser *parser, int distance) {
    const fe_token *token = fe_peek_at(parser, distance);
    return token->kind == FE_TOKEN_NAME && !fe_is_keyword(token->text);
}

/* a, b, c = */
static bool at_binding(const fe_parser *parser) {
    int distance = 0;
    while (name_at(parser, distance) && symbol_at(parser, distance + 1, ","))
        distance += 2;
    return name_at(parser, distance) && symbol_at(parser, distance + 1, "=");
}

/* name(a, b = 1) = or {: a local function. The parenthesis holds parameters. */
static bool at_local_function(const fe_parser *parser) {
    if (!name_at(parser, 0) || !symbol_at(parser, 1, "("))
        return false;
    int depth = 0;
    for (int distance = 1; fe_peek_at(parser, distance)->kind != FE_TOKEN_END; distance++) {
        const fe_token *token = fe_peek_at(parser, distance);
        if (token->kind == FE_TOKEN_SEPARATOR)
            return false;
        if (symbol_at(parser, distance, "(") || symbol_at(parser, distance, "["))
            depth++;
        if ((symbol_at(parser, distance, ")") || symbol_at(parser, distance, "]")) && --depth == 0)
            return symbol_at(parser, distance + 1, "=") || symbol_at(parser, distance + 1, "{");
    }
    return false;
}

static bool change_operator(const fe_parser *parser, fe_operator *op) {
    static const struct {
        const char *text;
        fe_operator op;
    } changes[] = {{"+=", FE_ADD}, {"-=", FE_SUB}, {"*=", FE_MUL}, {"/=", FE_DIV}};
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++)
        if (symbol_at(parser, 1, changes[i].text)) {
            *op = changes[i].op;
            return true;
        }
    return false;
}

/* value, or value, value, … as a tuple */
static fe_expr *parse_values(fe_parser *parser) {
    fe_expr *value = fe_parse_expr(parser);
    if (parser->failed || !fe_at_symbol(parser, ","))
        return value;
    fe_expr *tuple = fe_expr_new(parser, FE_TUPLE, value->span);
    ARENA_PUSH(parser->memory, tuple->parts, tuple->part_count, tuple->part_capacity, value);
    while (!parser->failed && fe_take_symbol(parser, ",")) {
        fe_expr *next = fe_parse_expr(parser);
        ARENA_PUSH(parser->memory, tuple->parts, tuple->part_count, tuple->part_capacity, next);
    }
    return tuple;
}

static fe_stmt *parse_binding(fe_parser *parser) {
    fe_stmt *stmt = statement_new(parser, FE_BIND, fe_peek(parser)->span);
    add_name(parser, stmt, fe_advance(parser));
    while (fe_take_symbol(parser, ","))
        add_name(parser, stmt, fe_advance(parser));
    fe_advance(parser);
    /* In lists such as train's, `epochs = 200, seed = 1` are two items, so only `a, b = …` takes several values. */
    stmt->value = stmt->name_count > 1 ? parse_values(parser) : fe_parse_expr(parser);
    return stmt;
}

static fe_stmt *parse_local_function(fe_parser *parser) {
    fe_stmt *stmt = statement_new(parser, FE_LOCAL, fe_peek(parser)->span);
    stmt->local = fe_parse_declaration(parser, FE_FUNCTION);
    return stmt;
}

static fe_stmt *parse_if(fe_parser *parser) {
    fe_stmt *stmt = statement_new(parser, FE_IF, fe_advance(parser)->span);
    stmt->value = fe_parse_expr(parser);
    if (!parser->failed && fe_at_symbol(parser, "=")) {
        diag_error(parser->diags, fe_peek(parser)->span, "'=' binds a name; two values are compared by '=='");
        parser->failed = true;
    }
    if (parser->failed)
        return stmt;
    stmt->body = fe_parse_block(parser, "if");
    int before = parser->at;
    fe_skip_separators(parser);
    if (!fe_take_word(parser, "else")) {
        parser->at = before;
    } else if (fe_at_word(parser, "if")) {
        if (!fe_enter(parser))
            return stmt;
        fe_stmt *nested = parse_if(parser);
        fe_leave(parser);
        ARENA_PUSH(parser->memory, stmt->otherwise.items, stmt->otherwise.count, stmt->otherwise.capacity, nested);
    } else {
        stmt->otherwise = fe_parse_block(parser, "else");
    }
    return stmt;
}

static fe_stmt *parse_for(fe_parser *parser) {
    fe_stmt *stmt = statement_new(parser, FE_FOR, fe_advance(parser)->span);
    const fe_token *name = fe_expect_name(parser, "after 'for'");
    if (!name)
        return stmt;
    add_name(parser, stmt, name);
    if (!fe_take_word(parser, "in"))
        fe_expected(parser, "'in'", "after the loop's name");
    stmt->value = fe_parse_expr(parser);
    if (!parser->failed)
        stmt->body = fe_parse_block(parser, "for");
    return stmt;
}

fe_stmt *fe_parse_statement(fe_parser *parser) {
    fe_operator op;
    if (fe_at_word(parser, "if"))
        return parse_if(parser);
    if (fe_at_word(parser, "for"))
        return parse_for(parser);
    if (fe_at_word(parser, "return")) {
        fe_stmt *stmt = statement_new(parser, FE_RETURN, fe_advance(parser)->span);
        stmt->value = parse_values(parser);
        return stmt;
    }
    if (at_local_function(parser))
        return parse_local_function(parser);
    if (at_binding(parser))
        return parse_binding(parser);
    if (name_at(parser, 0) && change_operator(parser, &op)) {
        fe_stmt *stmt = statement_new(parser, FE_CHANGE_BY, fe_peek(parser)->span);
        add_name(parser, stmt, fe_advance(parser));
        fe_advance(parser);
        stmt->op = op;
        stmt->value = fe_parse_expr(parser);
        return stmt;
    }
    fe_stmt *stmt = statement_new(parser, FE_EVALUATE, fe_peek(parser)->span);
    stmt->value = fe_parse_expr(parser);
    return stmt;
}

/* A statement ends at a separator, at a comma (lists of items such as train's) or before the block's end. */
static void end_statement(fe_parser *parser, const fe_stmt *stmt) {
    if (stmt->kind == FE_EVALUATE || stmt->kind == FE_BIND)
        fe_take_symbol(parser, ",");
    bool ended = fe_peek(parser)->kind == FE_TOKEN_SEPARATOR || fe_at_symbol(parser, "}");
    const fe_token *last = &parser->tokens.items[parser->at - 1];
    bool comma = last->kind == FE_TOKEN_SYMBOL && strcmp(last->text, ",") == 0;
    if (!parser->failed && !ended && !comma)
        fe_expected(parser, "the end of the statement", NULL);
}

fe_block fe_parse_block(fe_parser *parser, const char *owner) {
    fe_block block = {0};
    source_span open = fe_peek(parser)->span;
    if (!fe_expect_symbol(parser, "{", arena_printf(parser->memory, "to open the body of '%s'", owner)))
        return block;
    if (!fe_enter(parser))
        return block;
    fe_skip_separators(parser);
    while (!fe_at_symbol(parser, "}") && fe_peek(parser)->kind != FE_TOKEN_END && !fe_at_section(parser)) {
        fe_stmt *stmt = fe_parse_statement(parser);
        if (!parser->failed)
            end_statement(parser, stmt);
        if (parser->failed)
            fe_recover(parser);
        else
            ARENA_PUSH(parser->memory, block.items, block.count, block.capacity, stmt);
        fe_skip_separators(parser);
    }
    fe_leave(parser);
    if (!fe_take_symbol(parser, "}")) {
        diag_entry *entry = diag_error(parser->diags, open, "the body of '%s' is not closed", owner);
        if (fe_at_section(parser))
            diag_add_label(parser->diags, entry, fe_peek(parser)->span, "before this section");
    }
    return block;
}
