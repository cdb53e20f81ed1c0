/* The compile-time evaluator: shared by its files. It turns syntax into values and, where tensors are concerned, into
 * operations of the tensor IR. */
#ifndef FRONTEND_EVALUATE_H
#define FRONTEND_EVALUATE_H

#include "frontend/frontend.h"
#include "frontend/value.h"

enum {
    FE_MAX_CALLS = 100,        /* nested calls: deeper ones are recursion */
    FE_STEP_BUDGET = 20000000, /* evaluated expressions in one compilation */
    FE_MAX_DEPTH = 1000,       /* nested statements and expressions, through calls: what the stack holds */
    FE_MAX_ERRORS = 200,       /* of an evaluation: a loop repeats its error, and nobody reads more */
    FE_MAX_TEXT = 1 << 16,     /* bytes of a string */
    FE_MAX_VALUES = 400000     /* tensor IR values in one function */
};
#define FE_MAX_MEMORY ((size_t)1 << 30) /* of one evaluation; the largest spec takes 30 MB */

/* What one item of the data holds: a picture or a vector. */
typedef struct {
    const char *name; /* NULL where the data section gives none */
    int rank;         /* 3: channels, height, width; 1: the width of a vector */
    int64_t dims[3];
    source_span span;
} fe_data_source;

/* The operands of the innermost pairwise(s, U, V) that is being evaluated, for messages about its scores. */
typedef struct {
    const ir_type *left, *right;
    source_span span;
} fe_pairing;

struct fe_context {
    arena *memory;
    size_t memory_before; /* bytes in it when the evaluation began */
    diag_list *diags;
    const fe_options *options;
    ir_module *module;
    fe_scope *library; /* built-in functions, and scalars such as steps_per_epoch of the function being compiled */
    fe_scope *globals; /* what the files declare */
    fe_file **files;   /* the spec and the libraries that it uses */
    int file_count, file_capacity;
    /* the function being compiled */
    ir_function *function;
    int epoch; /* its number: marks what belongs to it */
    bool training;
    source_component component; /* whose operations are being built */
    int64_t batch;
    int random_streams;
    /* where we are */
    fe_instance *instance; /* whose body runs, or the root */
    fe_instance *root;
    source_span *calls; /* call places, outermost first */
    int call_depth;
    int64_t steps;
    int depth;                 /* of statements and expressions */
    bool exhausted;            /* the budget is spent, and said so */
    const char *binding_name;  /* the name that the value being computed will have, or NULL */
    const char *label;         /* the label before the call being evaluated, or NULL */
    const fe_pairing *pairing; /* or NULL */
    fe_data_source *data;
    int data_count, data_capacity;
    /* pipelines */
    ir_augment *augments;
    int augment_count, augment_capacity;
    int draws; /* numbers given to random draws */
    bool in_pipeline;
    bool in_parameters; /* of the method, where a module with settings is no instance yet */
    bool in_training;   /* names mean optimizers and schedules first: cosine(u, v) is a similarity elsewhere */
    /* all states */
    fe_state **states;
    int state_count, state_capacity;
    fe_instance **averages; /* EMA twins */
    int average_count, average_capacity;
    int unread_errors; /* parameters that nothing reads: they spoil the result, but not its evaluation */
    int main_source;   /* the spec, for "called from" notes */
    const fe_method *method;
    /* What a `return` gave. */
    bool returned;
    fe_value result;
};

/* ---- errors: all return an error value
 * ------------------------------------------------------------------------------- */

fe_value fe_fail(fe_context *context, source_span span, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The same with a suggestion when there is one. */
fe_value fe_fail_suggest(fe_context *context, source_span span, const char *suggestion, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Adds "called from" labels to the newest diagnostic. */
void fe_add_call_places(fe_context *context, diag_entry *entry);

/* ---- evaluate.c, statement.c, call.c
 * ------------------------------------------------------------------------------------ */

fe_value fe_evaluate(fe_context *context, fe_scope *scope, const fe_expr *expr);
/* One step of evaluation; false, after reporting it once, when the description takes too long, too much memory or too
 * many levels. */
bool fe_spend_step(fe_context *context, source_span span);
/* Runs statements until a `return`; new names are bound in `scope`. */
void fe_run(fe_context *context, fe_scope *scope, const fe_block *block);
/* Calls with evaluated positional arguments. */
fe_value fe_call_value(fe_context *context, const fe_value *callee, fe_value *arguments, int count, source_span span);
fe_value fe_call_expr(fe_context *context, fe_scope *scope, const fe_expr *call);
/* Runs a closure's body with every parameter bound. */
fe_value fe_run_closure(fe_context *context, const fe_closure *closure, fe_value *arguments, source_span span);

/* The component that a section's operations belong to. */
source_component fe_component_of(fe_section_kind kind);

/* Names and defaults of what is called, the same for closures and built-in functions. */
typedef struct {
    const char *name; /* of the callee */
    source_span span; /* of its declaration; nowhere for built-in functions */
    const fe_parameter *parameters;
    int count;
    int skip;                 /* the first parameters that the call may not give */
    bool rest;                /* the last parameter takes all further positional arguments as a list */
    const fe_value *settings; /* what stands in for arguments, and before them; NULL for none */
} fe_signature;

/* Binds a call's arguments to parameters. Missing ones with a default are FE_VALUE_NONE with *defaulted set by the
 * caller's fe_fill_defaults. Returns NULL after reporting. */
fe_value *fe_bind_arguments(fe_context *context, fe_scope *scope, const fe_signature *signature, const fe_expr *call);
/* Evaluates the defaults of parameters not given, in order, binding all of them in `scope`. */
bool fe_bind_parameters(fe_context *context, fe_scope *scope, const fe_parameter *parameters, int count, int skip,
                        const fe_value *arguments);

/* ---- conversions of values, reporting what is wrong
 * --------------------------------------------------------------------- */

bool fe_to_number(fe_context *context, const fe_value *value, const char *what, double *number);
bool fe_to_size(fe_context *context, const fe_value *value, const char *what, int64_t lowest, int64_t *size);
bool fe_to_truth(fe_context *context, const fe_value *value, const char *what, bool *truth);
/* A list of whole numbers, or one number meaning `repeat` equal ones (0: not allowed). */
bool fe_to_sizes(fe_context *context, const fe_value *value, const char *what, int64_t lowest, int limit, int repeat,
                 int64_t *sizes, int *count);
/* A tensor: states are read, times become scalars, numbers stay numbers unless `dims` is given. NULL after reporting.
 */
ir_value *fe_to_tensor(fe_context *context, const fe_value *value, const char *what);

/* ---- tensor_ops.c
 * --------------------------------------------------------------------------------------------------------- */

ir_builder fe_builder(const fe_context *context, source_span span);
/* Builds an operation after checking its shapes; NULL after reporting at `span`. */
ir_value *fe_build(fe_context *context, ir_opcode opcode, ir_value *const *operands, int operand_count,
                   const ir_attr *attrs, int attr_count, const ir_type *type, source_span span);
fe_value fe_unary(fe_context *context, ir_opcode opcode, const fe_value *operand, source_span span);
/* Elementwise operation on numbers (folded), tensors, or both, under the language's rule for shapes. */
fe_value fe_binary(fe_context *context, ir_opcode opcode, const fe_value *left, const fe_value *right,
                   source_span span);
fe_value fe_operate(fe_context *context, fe_operator op, const fe_value *left, const fe_value *right, source_span span);
/* `number` as computed from a and b, or an error where these are finite (numbers) and it is not. */
fe_value fe_checked_number(fe_context *context, double number, double a, double b, source_span span);
/* Gives both operands the same dims by repeating axes of size 1; false after reporting. */
bool fe_match_shapes(fe_context *context, const fe_value *left, const fe_value *right, ir_value **left_tensor,
                     ir_value **right_tensor, source_span span);
ir_value *fe_stretch(fe_context *context, ir_value *value, const int64_t *dims, int rank, source_span span);
fe_value fe_reduce(fe_context *context, ir_opcode opcode, ir_value *value, const int64_t *axes, int count, bool keep,
                   source_span span);
fe_value fe_index(fe_context *context, fe_scope *scope, const fe_expr *expr);
fe_value fe_where(fe_context *context, fe_scope *scope, const fe_expr *expr);
/* i64-free index along an axis, as i32 tensor of the given dims. */
ir_value *fe_iota(fe_context *context, const int64_t *dims, int rank, int axis, source_span span);

/* ---- modules.c
 * ------------------------------------------------------------------------------------------------------------- */

/* A module called with its input (applied as a child of the running body) or without (an instance). */
fe_value fe_call_module(fe_context *context, fe_scope *scope, const fe_closure *closure, const fe_expr *call);
fe_value fe_apply(fe_context *context, fe_instance *instance, const fe_value *input, source_span span);
fe_instance *fe_instance_new(fe_context *context, const fe_closure *closure, fe_value *arguments, const char *label,
                             source_span span);
fe_state *fe_state_new(fe_context *context, const char *name, ir_role role, ir_type type, fe_initialiser initial,
                       source_span span);
/* The state called `label` of the running body, made on first use. NULL after reporting. */
fe_state *fe_child_state(fe_context *context, const char *label, ir_role role, ir_type type, fe_initialiser initial,
                         source_span span);
ir_value *fe_state_read(fe_context *context, fe_state *state, source_span span);
void fe_state_update(fe_context *context, fe_state *state, ir_value *value);
/* At the end of a function: one write a changed state. */
void fe_states_flush(fe_context *context);

/* ---- builtins
 * ----------------------------------------------------------------------------------------------------------------- */

struct fe_builtin {
    const char *name;
    const char *signature; /* "x, axes =, keep = false": a default is nothing (absent), a number or a truth value */
    fe_value (*call)(fe_context *context, fe_value *arguments, source_span span);
    const char *doc;
    const char *group;        /* heading in the documentation */
    fe_parameter *parameters; /* of the signature, filled in by fe_builtins_bind */
    int parameter_count;
    bool rest;
};

/* Binds all built-in functions in the context's library scope. */
void fe_builtins_bind(fe_context *context);
/* The section "Built-in functions" of docs/language.md. */
void fe_print_builtins(text_buffer *out);

/* ---- describe.c, residual.c
 * --------------------------------------------------------------------------------------------------- */

/* Notes a `where` of the training step for the description, if one is wanted. */
void fe_describe_mask(fe_context *context, fe_scope *inner, const fe_expr *expr, const ir_type *type);
/* The value in the language's own notation; "[256, 128]" for a tensor. */
void fe_write_value(fe_context *context, const fe_value *value, text_buffer *out);
/* What is left of an expression or block when everything known is put in place of its name. */
void fe_write_residual(fe_context *context, fe_scope *scope, const fe_expr *expr, text_buffer *out);
/* One fact a statement of a section's body. */
void fe_residual_facts(fe_context *context, fe_scope *scope, const fe_block *block, fe_facts *facts);

/* ---- data_section.c, pipelines.c, training.c
 * -------------------------------------------------------------------------------------------------- */

/* "image", "vector" or the name that the data section gives. */
const char *fe_data_source_name(const fe_data_source *source);
/* The type of a batch. */
ir_type fe_data_source_type(const fe_context *context, const fe_data_source *source);
bool fe_make_views(fe_context *context, fe_scope *scope, const fe_method *method);
/* The name under which optimizers and schedules are bound, apart from functions. */
const char *fe_training_name(fe_context *context, const char *name);
/* The value of a pipeline: its augmentations as FE_VALUE_AUGMENTS. */
fe_value fe_run_pipeline(fe_context *context, const fe_closure *closure, fe_value *arguments, source_span span);

#endif
