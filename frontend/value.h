/* What expressions evaluate to at compile time, and the names that are bound to it. */
#ifndef FRONTEND_VALUE_H
#define FRONTEND_VALUE_H

#include "frontend/ast.h"
#include "ir/ir.h"

typedef struct fe_value fe_value;
typedef struct fe_scope fe_scope;
typedef struct fe_context fe_context;
typedef struct fe_instance fe_instance;
typedef struct fe_builtin fe_builtin;

typedef enum {
    FE_VALUE_ERROR, /* already reported; whatever is computed from it stays silent */
    FE_VALUE_NONE,  /* an argument that was not given, the result of update() */
    FE_VALUE_NUMBER,
    FE_VALUE_TRUTH,
    FE_VALUE_STRING,
    FE_VALUE_WORD,
    FE_VALUE_LIST,
    FE_VALUE_TUPLE,
    FE_VALUE_RANGE,
    FE_VALUE_TIME,
    FE_VALUE_CHANGE,
    FE_VALUE_RECORD,
    FE_VALUE_TENSOR,
    FE_VALUE_MASKED,
    FE_VALUE_CLOSURE,
    FE_VALUE_PARTIAL,
    FE_VALUE_BUILTIN,
    FE_VALUE_INSTANCE,
    FE_VALUE_STATE,
    FE_VALUE_INITIALISER,
    FE_VALUE_AUGMENTS
} fe_value_kind;

/* A declaration together with the scope that it was made in; of a module, perhaps with settings that a parameter of the
 * method gave: encoder = resnet18(stem = imagenet). */
typedef struct {
    const fe_decl *decl;
    fe_scope *scope;
    fe_value *settings; /* of every parameter, NONE where not given; NULL for none */
} fe_closure;

/* An optimizer or schedule whose first parameters are given later. */
typedef struct {
    const fe_closure *closure;
    fe_value *arguments; /* of every parameter; the skipped ones are FE_VALUE_NONE */
} fe_partial;

typedef enum { FE_INITIAL_CONSTANT, FE_INITIAL_UNIFORM, FE_INITIAL_NORMAL, FE_INITIAL_COPY } fe_initial_kind;

/* How a state starts: a constant, random numbers, or a copy of another state; then with rows of length 1, or ones where
 * the indices along the first two axes are equal. */
typedef struct {
    fe_initial_kind kind;
    double a, b; /* the constant; low and high; mean and standard deviation */
    bool unit, identity;
    const char *copied;
} fe_initialiser;

/* Something kept between steps, and its value at this point of the function being compiled. */
typedef struct {
    const char *name;
    int state; /* index in the module */
    fe_initialiser initial;
    ir_value *current; /* NULL until first read in this function */
    bool written;
    int epoch; /* the context's function number for which `current` holds */
} fe_state;

typedef struct {
    const char *name;
    source_span span;
    fe_value *value;
} fe_field;

struct fe_value {
    fe_value_kind kind;
    source_span span; /* the expression that made it */
    double number;    /* number; truth: 0 or 1; time: how many */
    const char *text; /* string; word; time: "epochs" or "steps" */
    fe_value *items;  /* list, tuple; range, change: two; a range's missing end is NONE */
    int item_count;
    fe_field *fields;            /* record */
    ir_value *tensor;            /* tensor; masked: the elements */
    ir_value *mask;              /* masked: bool, where they count */
    const fe_parameter *choices; /* word: the parameter that declares it */
    union {
        const fe_closure *closure;
        const fe_partial *partial;
        const fe_builtin *builtin;
        fe_instance *instance;
        fe_state *state;
        const fe_initialiser *initial;
        const ir_augment *augments; /* item_count of them */
    } as;
};

/* A module with parameters of its own; shared between its applications. */
struct fe_instance {
    const fe_closure *closure;
    fe_value *arguments; /* of every parameter; that of the input is NONE */
    const char *path;    /* "f.layer1.0"; "" for the root */
    fe_instance *parent;
    fe_instance *average_of; /* EMA twin of, or NULL */
    fe_value momentum;
    /* What its body made, found again by label in later applications. */
    struct fe_child {
        const char *label;
        fe_instance *instance; /* or */
        fe_state *state;
        source_span span;
        int used; /* number of the application that used it last: a label may be used once in a body */
    } * children;
    int child_count, child_capacity;
    int application; /* counts applications */
    source_span span;
};

typedef struct {
    const char *name;
    source_span span;
    fe_value value;
} fe_binding;

struct fe_scope {
    fe_scope *parent;
    fe_binding *bindings;
    int count, capacity;
    bool body; /* of a function: assignments inside it do not reach further out */
};

fe_scope *fe_scope_new(arena *memory, fe_scope *parent);
fe_binding *fe_scope_find(const fe_scope *scope, const char *name);
/* The binding of `name` in this scope alone, or NULL. */
fe_binding *fe_scope_find_here(const fe_scope *scope, const char *name);
void fe_scope_bind(arena *memory, fe_scope *scope, const char *name, source_span span, fe_value value);
/* The bound name nearest to `name`, or NULL. */
const char *fe_scope_suggest(arena *memory, const fe_scope *scope, const char *name, bool in_training);

/* "number", "tensor [128, 64]", …: for messages. */
const char *fe_value_text(arena *memory, const fe_value *value);
fe_value fe_number(double number, source_span span);
fe_value fe_truth(bool truth, source_span span);
fe_value fe_tensor(ir_value *tensor, source_span span);
fe_value fe_none(source_span span);
fe_value fe_error(source_span span);
fe_value fe_list(fe_value_kind kind, fe_value *items, int count, source_span span);
const fe_field *fe_record_find(const fe_value *record, const char *name);

#endif
