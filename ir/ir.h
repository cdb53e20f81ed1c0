/* The tensor IR: a module of functions, each a list of single-result SSA values over tensors of static shape.
 *
 * A module also holds the states (what lives between steps), the views (augmentation pipelines) and the settings that
 * the runtime reads. docs/ir.md describes the textual form. */
#ifndef IR_IR_H
#define IR_IR_H

#include "ir/arena.h"
#include "ir/diag.h"
#include "ir/source.h"

#include <stdbool.h>
#include <stdint.h>

#define IR_MAX_RANK     8
#define IR_MAX_ELEMENTS (INT64_C(1) << 40) /* a larger tensor is an error, so that products of sizes never overflow */

typedef enum { IR_F32, IR_I32, IR_BOOL, IR_DTYPE_COUNT } ir_dtype;

typedef struct {
    ir_dtype dtype;
    int rank; /* 0 is a scalar */
    int64_t dims[IR_MAX_RANK];
} ir_type;

/* The physical order of a tensor's axes: axis[0] is the outermost in memory, axis[rank-1] the contiguous one. */
typedef struct {
    int8_t axis[IR_MAX_RANK];
} ir_layout;

/* ---- operations ------------------------------------------------------------------------------------------------ */

typedef enum {
#define OP(name, ...) IR_OP_##name,
#include "ir/ops.def"
    IR_OP_COUNT
} ir_opcode;

/* How passes may treat an operation. */
typedef enum {
    IR_CLASS_SOURCE,      /* constants, inputs, state reads, random numbers */
    IR_CLASS_ELEMENTWISE, /* one result element from the operands' elements at the same index */
    IR_CLASS_SHAPE,       /* moves elements, computes nothing */
    IR_CLASS_REDUCTION,   /* combines along axes */
    IR_CLASS_CONTRACTION, /* sums of products: dot, convolutions */
    IR_CLASS_WINDOW,      /* pooling */
    IR_CLASS_EFFECT,      /* write, output: no result that anything may use */
    IR_CLASS_GRADIENT     /* replaced by `differentiate` */
} ir_class;

/* Names of attributes, driven by ir/attrs.def: ATTR(name, kind). */
typedef enum {
#define ATTR(name, kind) IR_ATTR_##name,
#include "ir/attrs.def"
    IR_ATTR_COUNT
} ir_attr_key;

typedef enum { IR_ATTR_INTS, IR_ATTR_INT, IR_ATTR_NUMBER, IR_ATTR_SYMBOL } ir_attr_kind;

typedef struct {
    ir_attr_key key;
    int count; /* of ints */
    union {
        int64_t *ints; /* IR_ATTR_INTS, and IR_ATTR_INT with count 1 */
        double number;
        const char *symbol;
    } as;
} ir_attr;

typedef struct {
    const char *name;  /* in text: "reduce_sum" */
    int operand_count; /* -1: any number */
    ir_class class_;
    const ir_attr_key *attrs; /* the attributes that it requires, in printing order */
    int attr_count;
    const char *doc; /* one line for docs/ir.md */
} ir_op_info;

const ir_op_info *ir_op(ir_opcode opcode);
/* The opcode of that name, or IR_OP_COUNT. */
ir_opcode ir_op_find(const char *name);
const char *ir_attr_name(ir_attr_key key);
ir_attr_kind ir_attr_kind_of(ir_attr_key key);

/* ---- values, functions, modules -------------------------------------------------------------------------------- */

typedef struct ir_value ir_value;
typedef struct ir_function ir_function;
typedef struct ir_module ir_module;

struct ir_value {
    ir_opcode opcode;
    int id; /* unique in its function; printed as %id */
    ir_type type;
    ir_layout layout; /* identity unless the layout pass chose otherwise */
    int operand_count;
    ir_value **operands;
    int attr_count;
    ir_attr *attrs;
    int group; /* fusion group: values of one group become one kernel; 0 for a value on its own */
    source_span span;
    ir_value *previous, *next; /* order in the function; operands come before their users */
    /* For a pass's own use, meaningless between passes. */
    int mark;
    void *scratch;
};

struct ir_function {
    ir_module *module;
    const char *name; /* init, train_step, gradients, embed, or any name in tests */
    ir_value *first, *last;
    int next_id, value_count;
    source_span span;
};

/* What lives between steps. Reads give the value on entry; a write takes effect when the function ends. */
typedef enum {
    IR_ROLE_PARAM,     /* trained */
    IR_ROLE_STATISTIC, /* running statistics */
    IR_ROLE_EMA,       /* moving-average twin of a parameter */
    IR_ROLE_SLOT,      /* optimiser memory */
    IR_ROLE_QUEUE,     /* rings, banks and other state of the method */
    IR_ROLE_COUNTER,
    IR_ROLE_COUNT
} ir_role;

const char *ir_role_name(ir_role role);

typedef struct {
    const char *name; /* "f.layer1.0.conv1.weight" */
    ir_role role;
    ir_type type;
    ir_layout layout;
    source_span span;
} ir_state;

/* One augmentation of a view, in the runtime's text form (runtime/augment.h: rt_augment_parse). */
typedef struct {
    const char *text;
    source_span span;
} ir_augment;

typedef struct {
    const char *name;
    const char *source;              /* of the data that it shows; NULL where the data has one source without a name */
    int64_t channels, height, width; /* of vectors: their width, 0, 0 */
    ir_augment *augments;
    int count, capacity;
    source_span span;
} ir_view;

typedef struct {
    const char *key, *value;
    source_span span;
} ir_setting;

struct ir_module {
    arena *memory;
    source_table *sources;
    const char *name; /* the method's */
    ir_state *states;
    int state_count, state_capacity;
    ir_view *views;
    int view_count, view_capacity;
    ir_setting *settings;
    int setting_count, setting_capacity;
    ir_function **functions;
    int function_count, function_capacity;
};

/* ---- building -------------------------------------------------------------------------------------------------- */

ir_module *ir_module_new(arena *memory, source_table *sources, const char *name);
ir_function *ir_function_new(ir_module *module, const char *name, source_span span);
ir_function *ir_function_find(const ir_module *module, const char *name);
/* Adds a state with identity layout; the name must be new. Returns its index. */
int ir_state_add(ir_module *module, const char *name, ir_role role, ir_type type, source_span span);
/* The state of that name, or NULL. */
ir_state *ir_state_find(const ir_module *module, const char *name);
void ir_setting_add(ir_module *module, const char *key, const char *value, source_span span);
const char *ir_setting_find(const ir_module *module, const char *key);

ir_type ir_type_make(ir_dtype dtype, int rank, const int64_t *dims);
ir_type ir_type_scalar(ir_dtype dtype);
bool ir_type_equal(const ir_type *a, const ir_type *b);
bool ir_same_dims(const ir_type *a, const ir_type *b);
int64_t ir_type_elements(const ir_type *type);
int64_t ir_type_bytes(const ir_type *type);
int64_t ir_dtype_bytes(ir_dtype dtype);
const char *ir_dtype_name(ir_dtype dtype);
/* "f32[128, 64]" or, without the element type, "[128, 64]"; allocated in `memory`. */
const char *ir_type_text(arena *memory, const ir_type *type);
const char *ir_shape_text(arena *memory, const ir_type *type);

ir_layout ir_layout_identity(void);
bool ir_layout_equal(const ir_layout *a, const ir_layout *b, int rank);
/* The axes longer than 1, in order; returns how many. */
int ir_long_axes(const ir_type *type, int8_t axes[IR_MAX_RANK]);
/* Whether the shapes differ in axes of length 1 alone: a reshape from one to the other moves nothing. */
bool ir_same_long_axes(const ir_type *a, const ir_type *b);
/* Whether the value is a reduction that takes one element after the other: a sum, a maximum or a variation. */
bool ir_is_fold(const ir_value *value);
/* Element strides of each logical axis for a dense tensor of this type and layout. */
void ir_strides(const ir_type *type, const ir_layout *layout, int64_t strides[IR_MAX_RANK]);

/* The generic way to make a value: checks nothing, computes the result type by the operation's shape rule when `type`
 * is NULL (operations whose table entry says "explicit" need it). Inserted before `before`, or at the end if NULL.
 * Shape errors are the caller's bugs here; front ends call ir_infer first. */
ir_value *ir_build(ir_function *function, ir_value *before, ir_opcode opcode, ir_value *const *operands,
                   int operand_count, const ir_attr *attrs, int attr_count, const ir_type *type, source_span span);

/* The shape rule: computes the result type, or returns false with a message (shapes included) in *why. For operations
 * with explicit type, checks *type against the operands instead. */
bool ir_infer(arena *memory, ir_opcode opcode, ir_value *const *operands, int operand_count, const ir_attr *attrs,
              int attr_count, ir_type *type, const char **why);

/* Hashes, the same on every machine: `hash` with one more word, or attribute, in it. */
uint64_t ir_hash_word(uint64_t hash, uint64_t word);
uint64_t ir_hash_attr(uint64_t hash, const ir_attr *attr);

/* Estimated floating-point operations of one evaluation. */
double ir_cost(const ir_value *value);

ir_attr ir_attr_ints_make(arena *memory, ir_attr_key key, const int64_t *ints, int count);
ir_attr ir_attr_int_make(arena *memory, ir_attr_key key, int64_t value);
ir_attr ir_attr_number_make(ir_attr_key key, double number);
ir_attr ir_attr_symbol_make(ir_attr_key key, const char *symbol);
/* Access; the attribute must exist. */
const ir_attr *ir_attr_get(const ir_value *value, ir_attr_key key);
const int64_t *ir_ints(const ir_value *value, ir_attr_key key);
int64_t ir_int(const ir_value *value, ir_attr_key key);
double ir_number(const ir_value *value, ir_attr_key key);
const char *ir_symbol(const ir_value *value, ir_attr_key key);

/* Moves, removal, replacement. Removing needs a value without users. ir_replace_uses walks through what
 * comes after the old value. */
void ir_remove(ir_function *function, ir_value *value);
void ir_replace_uses(const ir_value *old, ir_value *replacement);
/* Counts users of every value into value->mark. */
void ir_count_uses(ir_function *function);
/* The largest number of a fusion group, 0 without groups. */
int ir_last_group(const ir_function *function);
/* Puts operands before their users, the members of each fusion group side by side, and contractions that free memory
 * right after their operands; otherwise keeps the order. The groups must be convex. Uses mark and scratch. */
void ir_sort_groups(ir_function *function);
/* Gives values the ids 0, 1, 2, … in order (printing does not renumber). */
void ir_renumber(ir_function *function);

/* ---- typed shorthands used by the front end and by derivatives; `before` as in ir_build -------------------------- */

typedef struct {
    ir_function *function;
    ir_value *before;
    source_span span; /* given to every value made */
} ir_builder;

ir_value *ir_constant(const ir_builder *builder, const ir_type *type, double value);
ir_value *ir_scalar(const ir_builder *builder, double value); /* f32 */
ir_value *ir_unary(const ir_builder *builder, ir_opcode opcode, ir_value *operand);
ir_value *ir_binary(const ir_builder *builder, ir_opcode opcode, ir_value *left, ir_value *right); /* equal dims */
ir_value *ir_select(const ir_builder *builder, ir_value *condition, ir_value *yes, ir_value *no);
ir_value *ir_convert(const ir_builder *builder, ir_value *operand, ir_dtype dtype);
/* Operand axis i becomes result axis axes[i] (increasing); other result axes repeat it. A size-1 axis may not be
 * stretched: reshape it away first. */
ir_value *ir_broadcast(const ir_builder *builder, ir_value *operand, const int64_t *dims, int rank,
                       const int64_t *axes);
ir_value *ir_reshape(const ir_builder *builder, ir_value *operand, const int64_t *dims, int rank);
ir_value *ir_transpose(const ir_builder *builder, ir_value *operand, const int64_t *permutation);
/* start, limit, stride: of every axis. */
ir_value *ir_slice(const ir_builder *builder, ir_value *operand, const int64_t *start, const int64_t *limit,
                   const int64_t *stride);
ir_value *ir_reduce(const ir_builder *builder, ir_opcode opcode, ir_value *operand, const int64_t *axes, int count);
/* A scalar or smaller-rank value spread over `dims` whose trailing axes are its own. */
ir_value *ir_spread(const ir_builder *builder, ir_value *operand, const int64_t *dims, int rank);
ir_value *ir_read(const ir_builder *builder, const char *state);
ir_value *ir_write(const ir_builder *builder, const char *state, ir_value *value);
ir_value *ir_input(const ir_builder *builder, const char *name, const ir_type *type);
ir_value *ir_output(const ir_builder *builder, const char *name, ir_value *value);

/* ---- text, verification, drawing ----------------------------------------------------------------------------------
 */

void ir_print(const ir_module *module, text_buffer *out);
void ir_print_function(const ir_function *function, text_buffer *out);
/* Reads the textual form; problems go to `diags` and NULL comes back. ir_print of the result equals the input's
 * canonical form. */
ir_module *ir_parse(arena *memory, diag_list *diags, const char *path, const char *text, size_t length);
/* Checks every rule of the IR: operand order, types by the shape rules, attributes, states exist and types agree, one
 * write a state and function, unique ids and names, fusion groups convex. Returns false after adding diagnostics. */
bool ir_verify(const ir_module *module, diag_list *diags);
/* Graphviz. */
void ir_print_dot(const ir_module *module, text_buffer *out);
/* The operation table as Markdown, for docs/ir.md. */
void ir_print_op_table(text_buffer *out);

#endif
