/* Shared by the parser's files: the position in the tokens, and the pieces of the grammar. */
#ifndef FRONTEND_PARSER_H
#define FRONTEND_PARSER_H

#include "frontend/ast.h"
#include "frontend/lex.h"

#define FE_MAX_TREE    500 /* of an expression: a long chain of operators is a deep tree, which evaluation walks */
#define FE_MAX_NESTING 200 /* of expressions and blocks: deeper ones are an error, not a stack overflow */

typedef struct {
    arena *memory;
    diag_list *diags;
    int source;
    fe_token_list tokens;
    int at;
    int nesting;
    bool failed; /* the current statement is broken: say nothing more until the next one */
} fe_parser;

const fe_token *fe_peek(const fe_parser *parser);
const fe_token *fe_peek_at(const fe_parser *parser, int distance);
const fe_token *fe_advance(fe_parser *parser);
bool fe_at_symbol(const fe_parser *parser, const char *symbol);
bool fe_at_word(const fe_parser *parser, const char *word);
/* Takes the symbol (word) if it is next. */
bool fe_take_symbol(fe_parser *parser, const char *symbol);
bool fe_take_word(fe_parser *parser, const char *word);
/* Takes the symbol or reports "expected … before …". */
bool fe_expect_symbol(fe_parser *parser, const char *symbol, const char *context);
/* Takes a name that is no keyword; returns NULL after reporting. */
const fe_token *fe_expect_name(fe_parser *parser, const char *context);
/* Reports once a statement what was expected instead of the next token. */
void fe_expected(fe_parser *parser, const char *what, const char *context);
/* Reports a second `what` of the same name, with the place of the first. */
void fe_twice(fe_parser *parser, const char *what, const fe_token *name, source_span first);
void fe_skip_separators(fe_parser *parser);
/* After an error: moves to the next statement at this nesting of braces. */
void fe_recover(fe_parser *parser);
/* One level deeper; false after reporting that the nesting is too deep. Leave with fe_leave. */
bool fe_enter(fe_parser *parser);
void fe_leave(fe_parser *parser);
bool fe_is_keyword(const char *text);

/* parse_expression.c */
fe_expr *fe_parse_expr(fe_parser *parser);
fe_expr *fe_expr_new(const fe_parser *parser, fe_expr_kind kind, source_span span);
/* Pieces of "text {expression} text" as FE_STRING with parts. */
fe_expr *fe_parse_string(fe_parser *parser, const fe_token *token);

/* parse_statement.c */
fe_block fe_parse_block(fe_parser *parser, const char *owner);
/* `name(parameters) { … }`, or `= expression`, after the keyword. */
fe_decl *fe_parse_declaration(fe_parser *parser, fe_decl_kind kind);
fe_parameter fe_parse_parameter(fe_parser *parser, const char *context);
fe_stmt *fe_parse_statement(fe_parser *parser);

/* parse_method.c */
/* Whether a section begins here, such as `loss {`: no statement does. */
bool fe_at_section(const fe_parser *parser);
fe_method *fe_parse_method(fe_parser *parser);

#endif
