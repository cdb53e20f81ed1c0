/* The parser's tokens, its errors and recovery, and the declarations of a file. */
#include "frontend/parser.h"

#include <string.h>

/* Words that never are names. `method`, `loss` and the like are words only where a declaration or section starts. */
static const char *const keywords[] = {"if",  "then", "else", "for",   "in",   "return",
                                       "and", "or",   "not",  "where", "true", "false"};

bool fe_is_keyword(const char *text) {
    for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++)
        if (strcmp(text, keywords[i]) == 0)
            return true;
    return false;
}

const fe_token *fe_peek_at(const fe_parser *parser, int distance) {
    int index = parser->at + distance;
    return &parser->tokens.items[index < parser->tokens.count ? index : parser->tokens.count - 1];
}

const fe_token *fe_peek(const fe_parser *parser) {
    return fe_peek_at(parser, 0);
}

const fe_token *fe_advance(fe_parser *parser) {
    const fe_token *token = fe_peek(parser);
    if (parser->at < parser->tokens.count - 1)
        parser->at++;
    return token;
}

bool fe_at_symbol(const fe_parser *parser, const char *symbol) {
    const fe_token *token = fe_peek(parser);
    return token->kind == FE_TOKEN_SYMBOL && strcmp(token->text, symbol) == 0;
}

bool fe_at_word(const fe_parser *parser, const char *word) {
    const fe_token *token = fe_peek(parser);
    return token->kind == FE_TOKEN_NAME && strcmp(token->text, word) == 0;
}

bool fe_take_symbol(fe_parser *parser, const char *symbol) {
    bool found = fe_at_symbol(parser, symbol);
    if (found)
        fe_advance(parser);
    return found;
}

bool fe_take_word(fe_parser *parser, const char *word) {
    bool found = fe_at_word(parser, word);
    if (found)
        fe_advance(parser);
    return found;
}

void fe_expected(fe_parser *parser, const char *what, const char *context) {
    const fe_token *token = fe_peek(parser);
    if (parser->failed || token->kind == FE_TOKEN_BAD) {
        parser->failed = true;
        return;
    }
    parser->failed = true;
    bool bare = token->kind == FE_TOKEN_END || strcmp(token->text, "newline") == 0;
    const char *found = bare ? token->text : arena_printf(parser->memory, "'%s'", token->text);
    diag_error(parser->diags, token->span, "expected %s%s%s, found %s", what, context ? " " : "",
               context ? context : "", strcmp(found, "newline") == 0 ? "the end of the line" : found);
}

bool fe_expect_symbol(fe_parser *parser, const char *symbol, const char *context) {
    if (fe_take_symbol(parser, symbol))
        return true;
    fe_expected(parser, arena_printf(parser->memory, "'%s'", symbol), context);
    return false;
}

const fe_token *fe_expect_name(fe_parser *parser, const char *context) {
    const fe_token *token = fe_peek(parser);
    if (token->kind == FE_TOKEN_NAME && !fe_is_keyword(token->text))
        return fe_advance(parser);
    fe_expected(parser, "a name", context);
    return NULL;
}

void fe_skip_separators(fe_parser *parser) {
    while (fe_peek(parser)->kind == FE_TOKEN_SEPARATOR)
        fe_advance(parser);
}

void fe_recover(fe_parser *parser) {
    int depth = 0;
    while (fe_peek(parser)->kind != FE_TOKEN_END) {
        if (fe_at_symbol(parser, "{"))
            depth++;
        if (fe_at_symbol(parser, "}") && depth-- == 0)
            break;
        if (fe_peek(parser)->kind == FE_TOKEN_SEPARATOR && depth == 0)
            break;
        fe_advance(parser);
    }
    parser->failed = false;
}

bool fe_enter(fe_parser *parser) {
    if (parser->nesting >= FE_MAX_NESTING) {
        if (!parser->failed)
            diag_error(parser->diags, fe_peek(parser)->span, "nested more than %d levels deep", FE_MAX_NESTING);
        parser->failed = true;
        return false;
    }
    parser->nesting++;
    return true;
}

void fe_leave(fe_parser *parser) {
    parser->nesting--;
}

void fe_twice(fe_parser *parser, const char *what, const fe_token *name, source_span first) {
    diag_entry *entry = diag_error(parser->diags, name->span, "%s '%s' is named twice", what, name->text);
    diag_add_label(parser->diags, entry, first, "first here");
}

static void parse_use(fe_parser *parser, fe_file *file) {
    do {
        const fe_token *name = fe_expect_name(parser, "of a library after 'use'");
        if (!name)
            return;
        for (int i = 0; i < file->use_count; i++)
            if (strcmp(file->uses[i], name->text) == 0)
                fe_twice(parser, "library", name, file->use_spans[i]);
        ARENA_PUSH(parser->memory, file->uses, file->use_count, file->use_capacity, name->text);
        ARENA_PUSH(parser->memory, file->use_spans, file->use_span_count, file->use_span_capacity, name->span);
    } while (fe_take_symbol(parser, ","));
}

static bool declaration_kind(const fe_parser *parser, fe_decl_kind *kind) {
    for (int k = FE_FUNCTION; k <= FE_PIPELINE; k++)
        if (fe_at_word(parser, fe_decl_kind_text((fe_decl_kind)k))) {
            *kind = (fe_decl_kind)k;
            return true;
        }
    return false;
}

static void parse_constant(fe_parser *parser, fe_file *file) {
    const fe_token *next = fe_peek_at(parser, 1);
    if (fe_at_symbol(parser, "}")) {
        diag_error(parser->diags, fe_peek(parser)->span, "'}' closes nothing here");
        while (fe_take_symbol(parser, "}")) /* once is enough */
            fe_skip_separators(parser);
        return;
    }
    if (fe_peek(parser)->kind != FE_TOKEN_NAME || next->kind != FE_TOKEN_SYMBOL || strcmp(next->text, "=") != 0) {
        fe_expected(parser,
                    "a declaration (use, function, loss, schedule, module, optimizer, pipeline, method, or "
                    "NAME = value)",
                    NULL);
        return;
    }
    fe_stmt *statement = fe_parse_statement(parser);
    if (statement)
        ARENA_PUSH(parser->memory, file->constants, file->constant_count, file->constant_capacity, statement);
}

static void parse_method(fe_parser *parser, fe_file *file) {
    source_span span = fe_advance(parser)->span;
    if (file->method) {
        diag_entry *entry = diag_error(parser->diags, span, "a file holds one method");
        diag_add_label(parser->diags, entry, file->method->span, "the first one");
        parser->failed = true;
        return;
    }
    file->method = fe_parse_method(parser);
}

static void parse_item(fe_parser *parser, fe_file *file) {
    fe_decl_kind kind;
    if (fe_take_word(parser, "use")) {
        parse_use(parser, file);
    } else if (fe_at_word(parser, "method")) {
        parse_method(parser, file);
    } else if (declaration_kind(parser, &kind)) {
        fe_advance(parser);
        fe_decl *decl = fe_parse_declaration(parser, kind);
        if (decl)
            ARENA_PUSH(parser->memory, file->declarations, file->declaration_count, file->declaration_capacity, decl);
    } else {
        parse_constant(parser, file);
    }
    bool ends = fe_peek(parser)->kind == FE_TOKEN_SEPARATOR || fe_peek(parser)->kind == FE_TOKEN_END ||
                fe_at_symbol(parser, "}") || parser->tokens.items[parser->at - 1].kind == FE_TOKEN_SEPARATOR;
    if (!parser->failed && !ends)
        fe_expected(parser, "the end of the line", "after this declaration");
}

static fe_parser parser_for(arena *memory, diag_list *diags, int source) {
    const source_file *file = &diags->sources->files[source];
    fe_parser parser = {.memory = memory, .diags = diags, .source = source};
    parser.tokens = fe_lex(memory, diags, source, file->text, file->text + file->length, 1, 1);
    return parser;
}

fe_file *fe_parse(arena *memory, diag_list *diags, int source) {
    fe_parser parser = parser_for(memory, diags, source);
    fe_file *file = arena_alloc(memory, sizeof *file);
    file->source = source;
    fe_skip_separators(&parser);
    while (fe_peek(&parser)->kind != FE_TOKEN_END) {
        int before = parser.at;
        parse_item(&parser, file);
        if (parser.failed)
            fe_recover(&parser);
        if (parser.at == before)
            fe_advance(&parser);
        fe_skip_separators(&parser);
    }
    return file;
}

fe_expr *fe_parse_expression(arena *memory, diag_list *diags, int source) {
    fe_parser parser = parser_for(memory, diags, source);
    parser.tokens.items[parser.tokens.count - 1].text = "the end of the value";
    fe_expr *expr = fe_parse_expr(&parser);
    if (!parser.failed && fe_peek(&parser)->kind != FE_TOKEN_END)
        fe_expected(&parser, "the end of the value", NULL);
    return parser.failed ? NULL : expr;
}
