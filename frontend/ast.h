/* The syntax tree of a .csl file, as the parser leaves it and `--emit=ast` prints it. */
#ifndef FRONTEND_AST_H
#define FRONTEND_AST_H

#include "ir/arena.h"
#include "ir/diag.h"
#include "ir/source.h"

#include <stdbool.h>

typedef struct fe_expr fe_expr;
typedef struct fe_stmt fe_stmt;
typedef struct fe_decl fe_decl;

typedef enum {
    FE_NUMBER,      /* number */
    FE_BOOL,        /* number 0 or 1 */
    FE_STRING,      /* parts: FE_STRING pieces (text) and expressions, alternating freely; text alone when no parts */
    FE_NAME,        /* text */
    FE_LIST,        /* parts */
    FE_TUPLE,       /* parts */
    FE_RECORD,      /* args, all named */
    FE_RANGE,       /* left, right; either may be NULL inside an index */
    FE_CHANGE,      /* left -> right */
    FE_TIME,        /* left `epochs` or `steps` (text) */
    FE_UNARY,       /* op left: - not */
    FE_BINARY,      /* left op right: + - * / % ^ == != < <= > >= and or */
    FE_WHERE,       /* left where right */
    FE_CONDITIONAL, /* if condition then left else right */
    FE_CALL,        /* left(args) */
    FE_INDEX,       /* left[parts]; a NULL part is `:` */
    FE_FIELD,       /* left.text */
    FE_LABEL        /* label: left, the label being condition (FE_STRING) */
} fe_expr_kind;

typedef enum {
    FE_ADD,
    FE_SUB,
    FE_MUL,
    FE_DIV,
    FE_REM,
    FE_POW,
    FE_EQ,
    FE_NE,
    FE_LT,
    FE_LE,
    FE_GT,
    FE_GE,
    FE_AND,
    FE_OR,
    FE_NEG,
    FE_NOT
} fe_operator;

const char *fe_operator_text(fe_operator op);

/* An argument of a call, or a field of a record. */
typedef struct {
    const char *name; /* NULL when positional */
    source_span name_span;
    fe_expr *value;
} fe_argument;

struct fe_expr {
    fe_expr_kind kind;
    source_span span; /* the whole expression's first line; for binary, the operator; for calls, the callee's name */
    double number;
    const char *text;
    fe_operator op;
    fe_expr *left, *right, *condition;
    fe_expr **parts;
    int part_count, part_capacity;
    fe_argument *args;
    int arg_count, arg_capacity;
    int depth; /* of the tree below it */
};

/* A parameter of a function or module, or one name of a `param` line. */
typedef struct {
    const char *name;
    source_span span;
    fe_expr *initial;     /* default, or NULL */
    const char **choices; /* `a | b | c`: the words; the first is the default; NULL otherwise */
    int choice_count, choice_capacity;
} fe_parameter;

typedef struct {
    fe_stmt **items;
    int count, capacity;
} fe_block;

typedef enum {
    FE_BIND,      /* names = value; several names take a tuple apart */
    FE_CHANGE_BY, /* names[0] op= value */
    FE_LOCAL,     /* declaration: name(params) = value */
    FE_IF,        /* value, body, otherwise */
    FE_FOR,       /* names[0] in value, body */
    FE_RETURN,    /* value, a FE_TUPLE when several */
    FE_EVALUATE   /* value for its effect, or as an item of train/evaluate/pipeline */
} fe_stmt_kind;

struct fe_stmt {
    fe_stmt_kind kind;
    source_span span;
    const char **names;
    source_span *name_spans;
    int name_count, name_capacity, name_span_count, name_span_capacity;
    fe_operator op;
    fe_expr *value;
    fe_decl *local;
    fe_block body, otherwise;
};

typedef enum { FE_FUNCTION, FE_LOSS, FE_SCHEDULE, FE_MODULE, FE_OPTIMIZER, FE_PIPELINE } fe_decl_kind;

const char *fe_decl_kind_text(fe_decl_kind kind);

struct fe_decl {
    fe_decl_kind kind;
    const char *name;
    source_span span;
    fe_parameter *parameters;
    int parameter_count, parameter_capacity;
    fe_block body; /* of a one-line function: a single FE_RETURN */
};

/* `view a = t`, `view b of text = t`, `shared flip = …`, `evaluate = t`, `evaluate of text = t` of an augment section.
 */
typedef struct {
    const char *name; /* NULL for evaluate */
    source_span span;
    const char *source; /* the name behind `of`, or NULL */
    source_span source_span;
    fe_expr *value;
} fe_named;

typedef enum {
    FE_DATA,
    FE_AUGMENT,
    FE_ENCODER,
    FE_STATE,
    FE_EXTRACT,
    FE_SIMILARITY,
    FE_LOSS_SECTION,
    FE_AFTER,
    FE_TRAIN,
    FE_EVALUATE_SECTION,
    FE_SECTION_COUNT
} fe_section_kind;

const char *fe_section_name(fe_section_kind kind);

/* A section. In data, an FE_INDEX such as image[3, 32, 32] stands for a source, bound to its name where it has one;
 * augment holds its own lists; all others hold statements. */
typedef struct {
    bool present;
    source_span span;
    int last_line; /* of its closing brace */
    fe_block body;
    fe_decl **pipelines;
    int pipeline_count, pipeline_capacity;
    fe_named *shared, *views, *evaluations;
    int shared_count, shared_capacity, view_count, view_capacity, evaluation_count, evaluation_capacity;
} fe_section;

typedef struct {
    const char *name;
    source_span span;
    fe_parameter *parameters;
    int parameter_count, parameter_capacity;
    fe_section sections[FE_SECTION_COUNT];
} fe_method;

typedef struct {
    int source; /* index in the source table */
    const char **uses;
    source_span *use_spans;
    int use_count, use_capacity, use_span_count, use_span_capacity;
    fe_stmt **constants; /* FE_BIND statements at file level */
    int constant_count, constant_capacity;
    fe_decl **declarations;
    int declaration_count, declaration_capacity;
    fe_method *method; /* NULL in a library */
} fe_file;

/* Parses the file `source` of the table (its text must be present). Problems go to `diags`; the parser recovers at
 * statement ends, so several are found. Never returns NULL; check diags->error_count. */
fe_file *fe_parse(arena *memory, diag_list *diags, int source);

/* Parses one expression, such as the value of -D name=value. */
fe_expr *fe_parse_expression(arena *memory, diag_list *diags, int source);

/* Prints a file in canonical form, which parses back to the same tree. */
void fe_print(const fe_file *file, text_buffer *out);

#endif
