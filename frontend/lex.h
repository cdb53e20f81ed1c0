/* Tokens of a .csl file. */
#ifndef FRONTEND_LEX_H
#define FRONTEND_LEX_H

#include "ir/diag.h"

typedef enum {
    FE_TOKEN_END,       /* of the file */
    FE_TOKEN_SEPARATOR, /* newline or ; between statements */
    FE_TOKEN_NAME,
    FE_TOKEN_NUMBER,
    FE_TOKEN_STRING,
    FE_TOKEN_SYMBOL, /* an operator or bracket; `text` is its spelling */
    FE_TOKEN_BAD     /* already reported */
} fe_token_kind;

typedef struct {
    fe_token_kind kind;
    source_span span;
    const char *text; /* name, symbol, or the string between its quotes; in the arena */
    double number;
} fe_token;

typedef struct {
    fe_token *items;
    int count, capacity;
} fe_token_list;

/* Splits the text of a source file, or the piece [begin, end) of it that starts at `line` and `column`, into tokens;
 * the last one is FE_TOKEN_END. Newlines inside ( ) and [ ], and after an operator or comma, are dropped. */
fe_token_list fe_lex(arena *memory, diag_list *diags, int source, const char *begin, const char *end, int line,
                     int column);

#endif
