/* Expressions, by precedence climbing. */
#include "frontend/parser.h"

#include <string.h>

fe_expr *fe_expr_new(const fe_parser *parser, fe_expr_kind kind, source_span span) {
    fe_expr *expr = arena_alloc(parser->memory, sizeof *expr);
    expr->kind = kind;
    expr->span = span;
    return expr;
}

static void add_part(const fe_parser *parser, fe_expr *expr, fe_expr *part) {
    ARENA_PUSH(parser->memory, expr->parts, expr->part_count, expr->part_capacity, part);
}

static int deeper(int depth, const fe_expr *below) {
    return below && below->depth >= depth ? below->depth + 1 : depth;
}

/* Gives a new node its depth; too deep a tree is an error here rather than a stack overflow later. */
static fe_expr *measured(fe_parser *parser, fe_expr *expr) {
    int depth = deeper(deeper(deeper(0, expr->left), expr->right), expr->condition);
    for (int i = 0; i < expr->part_count; i++)
        depth = deeper(depth, expr->parts[i]);
    for (int i = 0; i < expr->arg_count; i++)
        depth = deeper(depth, expr->args[i].value);
    expr->depth = depth;
    if (depth > FE_MAX_TREE && !parser->failed) {
        diag_error(parser->diags, expr->span, "this expression is a chain of more than %d operations", FE_MAX_TREE);
        parser->failed = true;
    }
    return expr;
}

/* ---- strings ------------------------------------------------------------------------------------------------------
 */

/* The expression between braces that starts at `begin` of the token's text. */
static fe_expr *parse_inserted(fe_parser *parser, const fe_token *token, const char *begin, const char *end) {
    fe_parser inner = {
        .memory = parser->memory, .diags = parser->diags, .source = parser->source, .nesting = parser->nesting};
    int column = token->span.column + 1 + (int)(begin - token->text);
    inner.tokens = fe_lex(parser->memory, parser->diags, parser->source, begin, end, token->span.line, column);
    fe_expr *expr = fe_parse_expr(&inner);
    if (!inner.failed && fe_peek(&inner)->kind != FE_TOKEN_END)
        fe_expected(&inner, "'}'", "after the inserted value");
    parser->failed |= inner.failed;
    return expr;
}

fe_expr *fe_parse_string(fe_parser *parser, const fe_token *token) {
    fe_expr *string = fe_expr_new(parser, FE_STRING, token->span);
    string->text = token->text;
    if (!strchr(token->text, '{'))
        return string;
    const char *at = token->text;
    while (*at) {
        const char *open = strchr(at, '{');
        const char *stop = open ? open : at + strlen(at);
        if (stop > at) {
            fe_expr *piece = fe_expr_new(parser, FE_STRING, token->span);
            piece->text = arena_strndup(parser->memory, at, (size_t)(stop - at));
            add_part(parser, string, piece);
        }
        if (!open)
            break;
        const char *close = strchr(open, '}');
        if (!close) {
            diag_error(parser->diags, token->span, "'{' in this string is not closed");
            parser->failed = true;
            break;
        }
        add_part(parser, string, parse_inserted(parser, token, open + 1, close));
        at = close + 1;
    }
    return string;
}

/* ---- primary expressions
 * --------------------------------------------------------------------------------------------- */

static fe_expr *parse_number(fe_parser *parser) {
    const fe_token *token = fe_advance(parser);
    fe_expr *number = fe_expr_new(parser, FE_NUMBER, token->span);
    number->number = token->number;
    number->text = token->text;
    return number;
}

/* (expr) or (a, b) */
static fe_expr *parse_parenthesis(fe_parser *parser) {
    source_span span = fe_advance(parser)->span;
    fe_expr *first = fe_parse_expr(parser);
    if (!fe_at_symbol(parser, ",")) {
        fe_expect_symbol(parser, ")", "to close '('");
        return first;
    }
    fe_expr *tuple = fe_expr_new(parser, FE_TUPLE, span);
    add_part(parser, tuple, first);
    while (!parser->failed && fe_take_symbol(parser, ","))
        if (!fe_at_symbol(parser, ")"))
            add_part(parser, tuple, fe_parse_expr(parser));
    fe_expect_symbol(parser, ")", "to close '('");
    return tuple;
}

static fe_expr *parse_list(fe_parser *parser) {
    fe_expr *list = fe_expr_new(parser, FE_LIST, fe_advance(parser)->span);
    while (!parser->failed && !fe_at_symbol(parser, "]")) {
        add_part(parser, list, fe_parse_expr(parser));
        if (!fe_take_symbol(parser, ","))
            break;
    }
    fe_expect_symbol(parser, "]", "or ',' in this list");
    return list;
}

/* name = value; values without a name stay positional. */
static fe_argument parse_argument(fe_parser *parser) {
    fe_argument argument = {0};
    const fe_token *next = fe_peek_at(parser, 1);
    if (fe_peek(parser)->kind == FE_TOKEN_NAME && next->kind == FE_TOKEN_SYMBOL && strcmp(next->text, "=") == 0) {
        argument.name_span = fe_peek(parser)->span;
        argument.name = fe_advance(parser)->text;
        fe_advance(parser);
    }
    argument.value = fe_parse_expr(parser);
    return argument;
}

static void parse_arguments(fe_parser *parser, fe_expr *owner, const char *close) {
    fe_skip_separators(parser);
    while (!parser->failed && !fe_at_symbol(parser, close)) {
        fe_argument argument = parse_argument(parser);
        ARENA_PUSH(parser->memory, owner->args, owner->arg_count, owner->arg_capacity, argument);
        if (!fe_take_symbol(parser, ","))
            break;
        fe_skip_separators(parser);
    }
    fe_skip_separators(parser);
    fe_expect_symbol(parser, close, owner->arg_count > 0 ? "or ',' after this argument" : "after the arguments");
}

static fe_expr *parse_record(fe_parser *parser) {
    fe_expr *record = fe_expr_new(parser, FE_RECORD, fe_advance(parser)->span);
    parse_arguments(parser, record, "}");
    for (int i = 0; i < record->arg_count && !parser->failed; i++)
        if (!record->args[i].name) {
            diag_error(parser->diags, record->args[i].value->span, "a record's fields have names: name = value");
            parser->failed = true;
        }
    return record;
}

static fe_expr *parse_primary(fe_parser *parser);
static fe_expr *parse_postfix(fe_parser *parser);

/* label: call */
static fe_expr *parse_label(fe_parser *parser, fe_expr *label) {
    fe_expr *labelled = fe_expr_new(parser, FE_LABEL, label->span);
    label->kind = FE_STRING;
    labelled->condition = label;
    fe_advance(parser);
    labelled->left = parse_postfix(parser);
    if (!parser->failed && labelled->left->kind != FE_CALL) {
        diag_error(parser->diags, label->span, "a label stands before a call, such as conv1: conv(x, 64)");
        parser->failed = true;
    }
    return labelled;
}

static fe_expr *parse_name(fe_parser *parser) {
    const fe_token *token = fe_advance(parser);
    fe_expr *name = fe_expr_new(parser, FE_NAME, token->span);
    name->text = token->text;
    if (strcmp(token->text, "true") == 0 || strcmp(token->text, "false") == 0) {
        name->kind = FE_BOOL;
        name->number = token->text[0] == 't';
    }
    return fe_at_symbol(parser, ":") && name->kind == FE_NAME ? parse_label(parser, name) : name;
}

static fe_expr *parse_primary(fe_parser *parser) {
    const fe_token *token = fe_peek(parser);
    if (token->kind == FE_TOKEN_NUMBER)
        return parse_number(parser);
    if (token->kind == FE_TOKEN_STRING) {
        fe_expr *string = fe_parse_string(parser, fe_advance(parser));
        return fe_at_symbol(parser, ":") ? parse_label(parser, string) : string;
    }
    if (token->kind == FE_TOKEN_NAME &&
        (!fe_is_keyword(token->text) || strcmp(token->text, "true") == 0 || strcmp(token->text, "false") == 0))
        return parse_name(parser);
    if (fe_at_symbol(parser, "("))
        return parse_parenthesis(parser);
    if (fe_at_symbol(parser, "["))
        return parse_list(parser);
    if (fe_at_symbol(parser, "{"))
        return parse_record(parser);
    fe_expected(parser, "a value", NULL);
    return fe_expr_new(parser, FE_NUMBER, token->span);
}

/* ---- calls, indices, fields, times
 * ------------------------------------------------------------------------------------ */

/* One axis of an index: `:`, a number, or a range with either end open. */
static fe_expr *parse_axis(fe_parser *parser) {
    if (fe_take_symbol(parser, ":"))
        return NULL;
    if (fe_at_symbol(parser, "..")) {
        fe_expr *range = fe_expr_new(parser, FE_RANGE, fe_advance(parser)->span);
        range->right = fe_parse_expr(parser);
        return measured(parser, range);
    }
    return fe_parse_expr(parser);
}

static fe_expr *parse_index(fe_parser *parser, fe_expr *indexed) {
    fe_expr *index = fe_expr_new(parser, FE_INDEX, fe_advance(parser)->span);
    index->span = indexed->span;
    index->left = indexed;
    do
        add_part(parser, index, parse_axis(parser));
    while (!parser->failed && fe_take_symbol(parser, ","));
    fe_expect_symbol(parser, "]", "to close the index");
    return index;
}

static fe_expr *parse_call(fe_parser *parser, fe_expr *callee) {
    fe_advance(parser);
    fe_expr *call = fe_expr_new(parser, FE_CALL, callee->span);
    call->left = callee;
    parse_arguments(parser, call, ")");
    return call;
}

static fe_expr *parse_field(fe_parser *parser, fe_expr *record) {
    fe_advance(parser);
    const fe_token *name = fe_expect_name(parser, "of a field after '.'");
    fe_expr *field = fe_expr_new(parser, FE_FIELD, name ? name->span : record->span);
    field->left = record;
    field->text = name ? name->text : "";
    return field;
}

static bool at_time_unit(const fe_parser *parser) {
    return fe_at_word(parser, "epochs") || fe_at_word(parser, "epoch") || fe_at_word(parser, "steps") ||
           fe_at_word(parser, "step");
}

/* A name right behind a number on its line: neither a unit nor a word such as `then`. */
static bool at_unknown_unit(const fe_parser *parser, const fe_expr *number) {
    const fe_token *token = fe_peek(parser);
    return number->kind == FE_NUMBER && token->kind == FE_TOKEN_NAME && token->span.line == number->span.line &&
           !fe_is_keyword(token->text) && !at_time_unit(parser);
}

static fe_expr *parse_postfix(fe_parser *parser) {
    if (!fe_enter(parser))
        return fe_expr_new(parser, FE_NUMBER, fe_peek(parser)->span);
    fe_expr *expr = measured(parser, parse_primary(parser));
    for (; !parser->failed; measured(parser, expr)) {
        if (fe_at_symbol(parser, "(")) {
            expr = parse_call(parser, expr);
        } else if (fe_at_symbol(parser, "[")) {
            expr = parse_index(parser, expr);
        } else if (fe_at_symbol(parser, ".")) {
            expr = parse_field(parser, expr);
        } else if (at_unknown_unit(parser, expr)) {
            fe_expected(parser, "an operator, a comma or a unit (epochs, steps)", "after the number");
        } else if (at_time_unit(parser)) {
            fe_expr *time = fe_expr_new(parser, FE_TIME, expr->span);
            time->left = expr;
            time->text = fe_advance(parser)->text[0] == 'e' ? "epochs" : "steps";
            expr = time;
        } else {
            break;
        }
    }
    fe_leave(parser);
    return expr;
}

/* ---- operators
 * -------------------------------------------------------------------------------------------------------- */

typedef struct {
    const char *text;
    fe_operator op;
    int strength; /* larger binds tighter */
} binary_operator;

enum {
    STRENGTH_CHANGE = 1,
    STRENGTH_WHERE,
    STRENGTH_OR,
    STRENGTH_AND,
    STRENGTH_NOT,
    STRENGTH_COMPARE,
    STRENGTH_RANGE,
    STRENGTH_ADD,
    STRENGTH_MULTIPLY,
    STRENGTH_NEGATE,
    STRENGTH_POWER
};

static const binary_operator binary_operators[] = {
    {"or", FE_OR, STRENGTH_OR},       {"and", FE_AND, STRENGTH_AND},    {"==", FE_EQ, STRENGTH_COMPARE},
    {"!=", FE_NE, STRENGTH_COMPARE},  {"<", FE_LT, STRENGTH_COMPARE},   {"<=", FE_LE, STRENGTH_COMPARE},
    {">", FE_GT, STRENGTH_COMPARE},   {">=", FE_GE, STRENGTH_COMPARE},  {"+", FE_ADD, STRENGTH_ADD},
    {"-", FE_SUB, STRENGTH_ADD},      {"*", FE_MUL, STRENGTH_MULTIPLY}, {"/", FE_DIV, STRENGTH_MULTIPLY},
    {"%", FE_REM, STRENGTH_MULTIPLY}, {"^", FE_POW, STRENGTH_POWER},
};

const char *fe_operator_text(fe_operator op) {
    for (size_t i = 0; i < sizeof binary_operators / sizeof *binary_operators; i++)
        if (binary_operators[i].op == op)
            return binary_operators[i].text;
    return op == FE_NEG ? "-" : "not";
}

static const binary_operator *next_operator(const fe_parser *parser) {
    const fe_token *token = fe_peek(parser);
    if (token->kind != FE_TOKEN_SYMBOL && token->kind != FE_TOKEN_NAME)
        return NULL;
    for (size_t i = 0; i < sizeof binary_operators / sizeof *binary_operators; i++)
        if (strcmp(token->text, binary_operators[i].text) == 0)
            return &binary_operators[i];
    return NULL;
}

static fe_expr *parse_strength(fe_parser *parser, int strength);

static fe_expr *parse_unary(fe_parser *parser) {
    bool negate = fe_at_symbol(parser, "-");
    if (!negate && !fe_at_word(parser, "not"))
        return parse_postfix(parser);
    if (!fe_enter(parser))
        return fe_expr_new(parser, FE_NUMBER, fe_peek(parser)->span);
    fe_expr *unary = fe_expr_new(parser, FE_UNARY, fe_advance(parser)->span);
    unary->op = negate ? FE_NEG : FE_NOT;
    unary->left = parse_strength(parser, negate ? STRENGTH_NEGATE : STRENGTH_NOT);
    fe_leave(parser);
    return measured(parser, unary);
}

/* Whether a value may start at the next token: `a ..` may end in an index. */
static bool range_ends_here(const fe_parser *parser) {
    return fe_at_symbol(parser, "]") || fe_at_symbol(parser, ",") || fe_at_symbol(parser, ")");
}

static fe_expr *finish_binary(fe_parser *parser, fe_expr *left, fe_expr_kind kind, const binary_operator *found,
                              int right) {
    fe_expr *binary = fe_expr_new(parser, kind, fe_advance(parser)->span);
    if (found)
        binary->op = found->op;
    binary->left = left;
    if (kind != FE_RANGE || !range_ends_here(parser))
        binary->right = parse_strength(parser, right);
    return measured(parser, binary);
}

static fe_expr *parse_strength(fe_parser *parser, int strength) {
    if (!fe_enter(parser))
        return fe_expr_new(parser, FE_NUMBER, fe_peek(parser)->span);
    fe_expr *left = parse_unary(parser);
    while (!parser->failed) {
        const binary_operator *found = next_operator(parser);
        if (found && found->strength >= strength)
            /* `^` groups from the right, the others from the left. */
            left = finish_binary(parser, left, FE_BINARY, found, found->strength + (found->op != FE_POW));
        else if (fe_at_symbol(parser, "..") && strength <= STRENGTH_RANGE)
            left = finish_binary(parser, left, FE_RANGE, NULL, STRENGTH_RANGE + 1);
        else if (fe_at_word(parser, "where") && strength <= STRENGTH_WHERE)
            left = finish_binary(parser, left, FE_WHERE, NULL, STRENGTH_WHERE + 1);
        else if (fe_at_symbol(parser, "->") && strength <= STRENGTH_CHANGE)
            left = finish_binary(parser, left, FE_CHANGE, NULL, STRENGTH_CHANGE + 1);
        else
            break;
    }
    fe_leave(parser);
    return left;
}

fe_expr *fe_parse_expr(fe_parser *parser) {
    if (!fe_at_word(parser, "if"))
        return parse_strength(parser, STRENGTH_CHANGE);
    if (!fe_enter(parser))
        return fe_expr_new(parser, FE_NUMBER, fe_peek(parser)->span);
    fe_expr *conditional = fe_expr_new(parser, FE_CONDITIONAL, fe_advance(parser)->span);
    conditional->condition = fe_parse_expr(parser);
    if (!fe_take_word(parser, "then"))
        fe_expected(parser, "'then'", "after the condition");
    conditional->left = fe_parse_expr(parser);
    fe_skip_separators(parser);
    if (!fe_take_word(parser, "else"))
        fe_expected(parser, "'else'", "of this conditional value");
    conditional->right = fe_parse_expr(parser);
    fe_leave(parser);
    return measured(parser, conditional);
}
