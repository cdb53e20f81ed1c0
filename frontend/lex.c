#include "frontend/lex.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST_NAME = 200 };

typedef struct {
    arena *memory;
    diag_list *diags;
    int source;
    const char *at, *end;
    const char *line_start; /* where column 1 of the current line would be */
    int line;
    int depth; /* open ( and [ around `at` */
    char closers[256];
    fe_token_list tokens;
} lexer;

static source_span span_of(const lexer *lex, const char *begin, const char *end) {
    int length = (int)(end - begin);
    return (source_span){lex->source, lex->line, (int)(begin - lex->line_start) + 1, length > 0 ? length : 1, 0};
}

static void push(lexer *lex, fe_token_kind kind, source_span span, const char *text, double number) {
    fe_token token = {kind, span, text, number};
    ARENA_PUSH(lex->memory, lex->tokens.items, lex->tokens.count, lex->tokens.capacity, token);
}

static const char *const long_symbols[] = {"..", "->", "==", "!=", "<=", ">=", "+=", "-=", "*=", "/="};

/* Whether a statement cannot end after the last token, so that a newline there means nothing. */
static bool continues_after(const lexer *lex) {
    static const char *const joining[] = {",",  "+",  "-", "*",  "/", "%",  "^",  "=",
                                          "==", "!=", "<", "<=", ">", ">=", "->", "|"};
    static const char *const words[] = {"and", "or", "not", "then", "else", "where", "in", "if"};
    if (lex->tokens.count == 0)
        return true;
    const fe_token *last = &lex->tokens.items[lex->tokens.count - 1];
    if (last->kind == FE_TOKEN_SEPARATOR)
        return true;
    if (last->kind == FE_TOKEN_SYMBOL)
        for (size_t i = 0; i < sizeof joining / sizeof *joining; i++)
            if (strcmp(last->text, joining[i]) == 0)
                return true;
    if (last->kind == FE_TOKEN_NAME)
        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
            if (strcmp(last->text, words[i]) == 0)
                return true;
    return false;
}

static void lex_newline(lexer *lex) {
    if (lex->depth == 0 && !continues_after(lex))
        push(lex, FE_TOKEN_SEPARATOR, span_of(lex, lex->at, lex->at + 1), "newline", 0);
    lex->at++;
    lex->line++;
    lex->line_start = lex->at;
}

static void lex_name(lexer *lex) {
    const char *begin = lex->at;
    while (lex->at < lex->end && (isalnum((unsigned char)*lex->at) || *lex->at == '_'))
        lex->at++;
    if (lex->at - begin > LONGEST_NAME)
        diag_error(lex->diags, span_of(lex, begin, lex->at), "a name has at most %d characters", LONGEST_NAME);
    push(lex, FE_TOKEN_NAME, span_of(lex, begin, lex->at), arena_strndup(lex->memory, begin, (size_t)(lex->at - begin)),
         0);
}

static void skip_digits(lexer *lex) {
    while (lex->at < lex->end && isdigit((unsigned char)*lex->at))
        lex->at++;
}

/* Digits, a fraction (but `0..1` is a range) and an exponent. */
static void lex_number(lexer *lex) {
    const char *begin = lex->at;
    skip_digits(lex);
    if (lex->at + 1 < lex->end && lex->at[0] == '.' && isdigit((unsigned char)lex->at[1])) {
        lex->at++;
        skip_digits(lex);
    }
    if (lex->at < lex->end && (*lex->at == 'e' || *lex->at == 'E')) {
        const char *digits = lex->at + 1;
        if (digits < lex->end && (*digits == '+' || *digits == '-'))
            digits++;
        if (digits < lex->end && isdigit((unsigned char)*digits)) {
            lex->at = digits;
            skip_digits(lex);
        }
    }
    const char *text = arena_strndup(lex->memory, begin, (size_t)(lex->at - begin));
    double number = strtod(text, NULL);
    if (number > 1e300)
        diag_error(lex->diags, span_of(lex, begin, lex->at), "number '%s' is too large", text);
    push(lex, FE_TOKEN_NUMBER, span_of(lex, begin, lex->at), text, number);
}

static void lex_string(lexer *lex) {
    const char *begin = lex->at++;
    while (lex->at < lex->end && *lex->at != '"' && *lex->at != '\n')
        lex->at++;
    if (lex->at == lex->end || *lex->at == '\n') {
        diag_error(lex->diags, span_of(lex, begin, lex->at), "this string is not closed on its line");
        push(lex, FE_TOKEN_BAD, span_of(lex, begin, lex->at), "", 0);
        return;
    }
    lex->at++;
    push(lex, FE_TOKEN_STRING, span_of(lex, begin, lex->at),
         arena_strndup(lex->memory, begin + 1, (size_t)(lex->at - begin - 2)), 0);
}

/* Keeps the nesting of brackets: newlines separate statements only outside of ( ) and [ ] (a { } inside them opens a
 * record, whose fields need no separators either). */
static void track_nesting(lexer *lex, char symbol) {
    if (symbol == '(' || symbol == '[' || (symbol == '{' && lex->depth > 0)) {
        if (lex->depth < (int)sizeof lex->closers)
            lex->closers[lex->depth] = symbol == '(' ? ')' : symbol == '[' ? ']' : '}';
        lex->depth++;
    } else if ((symbol == ')' || symbol == ']' || symbol == '}') && lex->depth > 0) {
        /* A closing brace that closes nothing here ends a block: the brackets before it were left open. */
        bool matches = lex->depth > (int)sizeof lex->closers || lex->closers[lex->depth - 1] == symbol;
        lex->depth = matches ? lex->depth - 1 : symbol == '}' ? 0 : lex->depth - 1;
    }
}

static void lex_symbol(lexer *lex) {
    const char *begin = lex->at;
    for (size_t i = 0; i < sizeof long_symbols / sizeof *long_symbols; i++)
        if (lex->end - begin >= 2 && strncmp(begin, long_symbols[i], 2) == 0) {
            lex->at += 2;
            push(lex, FE_TOKEN_SYMBOL, span_of(lex, begin, lex->at), long_symbols[i], 0);
            return;
        }
    lex->at++;
    if (strchr("(){}[],=<>+-*/%^.:|", *begin) && *begin) {
        track_nesting(lex, *begin);
        push(lex, FE_TOKEN_SYMBOL, span_of(lex, begin, lex->at), arena_strndup(lex->memory, begin, 1), 0);
        return;
    }
    while (lex->at < lex->end && ((unsigned char)*begin & 0xC0) == 0xC0 && ((unsigned char)*lex->at & 0xC0) == 0x80)
        lex->at++; /* the rest of a UTF-8 character */
    if (isprint((unsigned char)*begin) || lex->at > begin + 1)
        diag_error(lex->diags, span_of(lex, begin, lex->at), "'%.*s' has no meaning here", (int)(lex->at - begin),
                   begin);
    else
        diag_error(lex->diags, span_of(lex, begin, lex->at), "byte 0x%02x has no meaning here", (unsigned char)*begin);
    push(lex, FE_TOKEN_BAD, span_of(lex, begin, lex->at), "", 0);
}

static void lex_one(lexer *lex) {
    char c = *lex->at;
    if (c == '\n') {
        lex_newline(lex);
    } else if (c == ' ' || c == '\t' || c == '\r') {
        lex->at++;
    } else if (c == '#') {
        while (lex->at < lex->end && *lex->at != '\n')
            lex->at++;
    } else if (c == ';') {
        if (!continues_after(lex))
            push(lex, FE_TOKEN_SEPARATOR, span_of(lex, lex->at, lex->at + 1), ";", 0);
        lex->at++;
    } else if (isalpha((unsigned char)c) || c == '_') {
        lex_name(lex);
    } else if (isdigit((unsigned char)c)) {
        lex_number(lex);
    } else if (c == '"') {
        lex_string(lex);
    } else {
        lex_symbol(lex);
    }
}

fe_token_list fe_lex(arena *memory, diag_list *diags, int source, const char *begin, const char *end, int line,
                     int column) {
    lexer lex = {.memory = memory, .diags = diags, .source = source, .at = begin, .end = end, .line = line};
    lex.line_start = begin - (column - 1);
    while (lex.at < lex.end && diags->error_count < 1000)
        lex_one(&lex);
    push(&lex, FE_TOKEN_END, span_of(&lex, lex.at, lex.at), "the end of the file", 0);
    return lex.tokens;
}
