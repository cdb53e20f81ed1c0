/* The kernel IR: what a fusion group becomes, and the one form that every code-writing back end reads.
 *
 * A program is functions made of launches; a launch runs one kernel over an extent on all threads. A kernel is
 * structured code over typed registers that may be assigned again (a loop's accumulators are registers assigned before
 * and inside the loop). Registers hold scalars, vectors or matrix tiles; memory is reached only by load and store
 * through buffer arguments, at affine indices. Shapes are static: every bound and stride is a number. */
#ifndef IR_KERNEL_H
#define IR_KERNEL_H

#include "ir/ir.h"

/* U8, the bytes of pictures, is loaded, stored, moved and converted; there is no arithmetic on it. */
typedef enum { KIR_F32, KIR_BF16, KIR_I32, KIR_I64, KIR_BOOL, KIR_U8, KIR_ELEMENT_COUNT } kir_element;

/* lanes 1: scalar. lanes > 1: vector. rows > 0: a matrix tile of rows x lanes elements (matrix units; at most
 * 16 rows of 64 bytes). Conditions of vectors are BOOL vectors of the same lanes. */
typedef struct {
    kir_element element;
    int16_t lanes;
    int16_t rows;
} kir_type;

typedef int32_t kir_reg; /* index into the kernel's registers; 0 is the loop index of the launch ("%g", i64) */

/* base + sum of coefficient * register, in elements; registers are i64 scalars. */
#define KIR_MAX_TERMS 12
typedef struct {
    int64_t coefficient;
    kir_reg reg;
} kir_term;

typedef struct {
    int64_t base;
    int term_count;
    kir_term terms[KIR_MAX_TERMS];
} kir_index;

/* The same in a node, with memory for the terms that it has: most have few, and programs have a million nodes. */
typedef struct {
    int64_t base;
    int term_count;
    const kir_term *terms;
} kir_node_index;

typedef enum {
#define KIR_OP(name, operands, doc) KIR_##name,
#include "ir/kernel_ops.def"
    KIR_OP_COUNT
} kir_opcode;

typedef enum {
    KIR_INSTRUCTION,
    KIR_LOOP, /* for reg = from to limit step: limit is exclusive and, as from, affine in outer registers */
    KIR_IF    /* if reg (a BOOL scalar): body, else: otherwise */
} kir_kind;

typedef struct kir_node kir_node;

/* A block: nodes in order. */
typedef struct {
    kir_node *first, *last;
} kir_block;

struct kir_node {
    kir_kind kind;
    kir_node *next;
    source_span span;
    /* instruction */
    kir_opcode opcode;
    kir_reg result; /* -1 for stores */
    kir_reg operands[3];
    double number;        /* constant */
    int argument;         /* load, store: which buffer */
    kir_node_index index; /* load, store: first element; index (KIR_affine): the value itself */
    int32_t count;        /* load, store: lanes present, from the first; the others load as 0 and are not stored */
    int64_t stride;       /* tile load and store: elements between rows; strided vector load, store: between lanes */
    int32_t attribute;    /* lane number, random stream, … as kernel_ops.def says */
    /* loop: result is the index register */
    kir_node_index from, limit;
    int64_t step;
    /* loop body; if: taken when operands[0] holds */
    kir_block body, otherwise;
};

/* A buffer argument of a kernel. */
typedef struct {
    const char *name;
    kir_element element;
    int64_t elements; /* 0: as many as the caller of a view's kernel sees to, or `each` in every iteration */
    int64_t each;     /* iteration g has the elements from g * each on, so many, for itself; 0: all of them */
    bool reads, writes;
    /* Its lines are written once, whole, and not needed soon: whole vectors may go past the caches. */
    bool streams;
    /* Memory of the worker itself instead of an argument of the launch: contents are undefined at each iteration's
     * start, and `elements` is its size. */
    bool scratch;
} kir_argument;

/* What a kernel without code of its own does: iteration g computes rows g * block and following of the product of two
 * row-major matrices, its first two arguments, into its third, by the runtime's library (rt_product). */
typedef struct {
    int64_t rows, columns, inner, block;
    bool left_transposed, right_transposed;
} kir_library_product;

typedef struct {
    const char *name; /* unique in the program; says what it does: "conv2d_64x64_3x3", "fused_mul_add" */
    kir_argument *arguments;
    int argument_count, argument_capacity;
    kir_type *registers;
    int register_count, register_capacity;
    const kir_library_product *library; /* in place of the body, or NULL */
    kir_block body;                     /* one iteration; register 0 is its number, 0 .. extent-1 of the launch */
    double flops;                       /* of one iteration, estimated */
    uint64_t hash;                      /* of its structure, set when it joins a program */
    source_span span;
} kir_kernel;

/* Where a buffer lives. */
typedef enum {
    KIR_STATE, /* in the state region at `offset` */
    KIR_ARENA  /* in the arena; `offset` is -1 until plan-memory has run */
} kir_region;

typedef struct {
    const char *name; /* "%12" of train_step, or the state's name */
    ir_type type;     /* of the value that it holds; of memory between launches a vector */
    kir_region region;
    kir_element element;
    int64_t bytes, offset;
    bool fixed; /* inputs and outputs: alive during the whole function */
    source_span span;
} kir_buffer;

/* Every buffer has room up to a multiple of so many bytes, which kernels may read and write: what stands behind a
 * tensor's last element is nobody's. */
enum { KIR_ALIGNMENT = 64 };
int64_t kir_aligned(int64_t bytes); /* rounded up to it */

/* A launch in parts runs its kernel on several sets of buffers at once: each part's iterations count from 0. */
typedef struct {
    int kernel; /* index in the program */
    int64_t extent;
    int64_t rounds; /* the kernel runs over `extent` iterations that many times, one after the other, counting on */
    int64_t nanoseconds;   /* of one thread, about, where the pool is to decide whether to divide it; else 0 */
    int part_count;        /* at least 1; rounds are 1 if there are several */
    int64_t *part_extents; /* of each part, `extent` together; NULL for one part */
    int *buffers; /* of each non-scratch argument in order, part after part: index into the program's buffers */
    int64_t *byte_offsets; /* into each of those buffers */
    source_span span;
} kir_launch;

/* A named tensor at the function's border. */
typedef struct {
    const char *name;
    ir_type type;
    ir_layout layout;
    int buffer;
} kir_port;

typedef struct {
    const char *name;
    kir_launch *launches;
    int launch_count, launch_capacity;
    kir_port *inputs, *outputs;
    int input_count, input_capacity, output_count, output_capacity;
    int64_t arena_bytes; /* after plan-memory */
    int64_t lower_bound; /* most bytes alive at once */
    int64_t naive_bytes; /* sum of all buffers */
} kir_function;

/* What code is generated for. */
typedef struct {
    int lanes; /* f32 lanes of a vector: 16 (AVX-512), 8 (AVX2), 4, or 1 for scalar code */
    bool fma;
    int vector_registers; /* 32 with AVX-512, else 16 */
    bool matrix_units;    /* AMX */
    bool pair_products;   /* AVX512-BF16: dot_pairs and pair are instructions */
} kir_target;

/* The precisions of products by the bf16 parts of each number, from 0 on: "f32", "bf16", "f32x2", "f32x3". */
enum { KIR_PRECISIONS = 4 };
extern const char *const kir_precisions[KIR_PRECISIONS];
/* The parts that a precision's name means, "f32x" being "f32x2"; -1 for another name. */
int kir_precision_parts(const char *name);
/* The products of parts that a product of numbers in so many parts takes: those of part i with part j, i + j < parts.
 */
int kir_products_of_parts(int parts);
/* The parts where nothing is chosen: 2 on matrix units, which multiply them faster than vectors multiply f32. */
int kir_default_parts(const kir_target *target);

/* What makes a picture of a view: a kernel with the arguments that docs/kernel-ir.md lists, which is never launched
 * but called by the runtime's loader. */
typedef struct {
    int kernel;         /* index in the program; -1 for a view of vectors */
    int64_t strides[3]; /* of what it writes: elements between channels, rows and columns */
} kir_view;

typedef struct {
    arena *memory;
    const ir_module *module;
    kir_target target; /* that its kernels were made for */
    int product_parts; /* of numbers in products: the place of their precision in kir_precisions */
    kir_kernel **kernels;
    int kernel_count, kernel_capacity;
    kir_buffer *buffers;
    int buffer_count, buffer_capacity;
    kir_function *functions;
    int function_count, function_capacity;
    kir_view *views;        /* of each of the module's views; NULL before `lower-views` */
    int64_t *state_offsets; /* of each of the module's states, bytes, 64-aligned */
    int64_t state_bytes;
} kir_program;

/* Targets by name: "amx", "avx512-bf16", "avx512", "avx2", "portable" (4 lanes), "scalar", and the processor levels
 * "x86-64-v4", "x86-64-v3" and "x86-64"; false for another name. */
bool kir_target_named(const char *name, kir_target *target);
/* The least processor that runs code for the target: "amx", "avx512-bf16", "avx512", "avx2" or "portable"
 * (any). */
const char *kir_target_processor(const kir_target *target);

/* ---- building: a builder points at the end of a block ---------------------------------------------------------------
 */

typedef struct {
    arena *memory;
    kir_kernel *kernel;
    kir_block *block; /* where nodes go */
    source_span span;
} kir_builder;

kir_kernel *kir_kernel_new(arena *memory, const char *name, source_span span);
int kir_argument_add(arena *memory, kir_kernel *kernel, const char *name, kir_element element, int64_t elements,
                     bool reads, bool writes);
int kir_scratch_add(arena *memory, kir_kernel *kernel, const char *name, kir_element element, int64_t elements);
kir_type kir_scalar_type(kir_element element);
kir_type kir_vector_type(kir_element element, int lanes);
kir_type kir_tile_type(kir_element element, int rows, int lanes);
kir_reg kir_register(const kir_builder *builder, kir_type type);

kir_index kir_at(int64_t base);
kir_index kir_plus(kir_index index, int64_t coefficient, kir_reg reg); /* merges equal registers */
kir_index kir_plus_index(kir_index a, int64_t coefficient, kir_index b);

/* Each makes a new register of the fitting type unless `into` variants say otherwise. */
kir_reg kir_number(const kir_builder *builder, kir_type type, double number);
kir_reg kir_value(const kir_builder *builder, kir_index index); /* i64 scalar */
kir_reg kir_op1(const kir_builder *builder, kir_opcode opcode, kir_reg a);
kir_reg kir_op2(const kir_builder *builder, kir_opcode opcode, kir_reg a, kir_reg b);
kir_reg kir_op3(const kir_builder *builder, kir_opcode opcode, kir_reg a, kir_reg b, kir_reg c);
void kir_assign(const kir_builder *builder, kir_reg target, kir_reg value); /* emits `move` */
/* target = opcode(a, b, c): an instruction that assigns an existing register, for accumulators. */
void kir_into(const kir_builder *builder, kir_reg target, kir_opcode opcode, kir_reg a, kir_reg b, kir_reg c);
kir_reg kir_convert(const kir_builder *builder, kir_reg a, kir_element element);
kir_reg kir_load(const kir_builder *builder, int argument, kir_index index, int lanes, int count);
/* The value, or F32 for BF16: narrow numbers are calculated with as F32. */
kir_reg kir_widened(const kir_builder *builder, kir_reg a);
/* kir_load, widened. */
kir_reg kir_load_f32(const kir_builder *builder, int argument, kir_index index, int lanes, int count);
/* Lane i from index + i * stride. */
kir_reg kir_load_strided(const kir_builder *builder, int argument, kir_index index, int lanes, int count,
                         int64_t stride);
/* Lane i from index + offsets[i]; as many lanes as `offsets` (I32 or I64) has. */
kir_reg kir_load_indexed(const kir_builder *builder, int argument, kir_index index, kir_reg offsets, int count);
void kir_store(const kir_builder *builder, int argument, kir_index index, kir_reg value, int count);
/* kir_store; F32 lanes become BF16 where the argument has those. */
void kir_store_f32(const kir_builder *builder, int argument, kir_index index, kir_reg value, int count);
/* A hint that the line at `index`, inside the argument or not, will be read soon. */
void kir_prefetch(const kir_builder *builder, int argument, kir_index index);
/* Lane i to index + i * stride. */
void kir_store_strided(const kir_builder *builder, int argument, kir_index index, kir_reg value, int count,
                       int64_t stride);
/* The scalar in every lane; with 1 lane the scalar itself. */
kir_reg kir_splat(const kir_builder *builder, kir_reg a, int lanes);
kir_reg kir_lane(const kir_builder *builder, kir_reg a, int lane);
kir_reg kir_iota(const kir_builder *builder, kir_type type);
/* KIR_random_uniform or KIR_random_normal: an F32 scalar. */
kir_reg kir_random(const kir_builder *builder, kir_opcode opcode, kir_reg seed, kir_reg step, kir_reg element,
                   int32_t stream);
kir_reg kir_tile_zero(const kir_builder *builder, kir_type type);
kir_reg kir_tile_load(const kir_builder *builder, int argument, kir_index index, kir_type type, int64_t stride);
kir_reg kir_tile_load_past(const kir_builder *builder, int argument, kir_index index, kir_type type, int64_t stride);
void kir_tile_store(const kir_builder *builder, int argument, kir_index index, kir_reg tile, int64_t stride);
/* A wish that the argument, whose lines the kernel writes once and whole, be streamed: lower_launch grants it to large
 * buffers that the kernel does not read. */
void kir_stream(kir_kernel *kernel, int argument);
/* Opens a loop: returns its index register and a builder for its body. */
kir_reg kir_loop(const kir_builder *builder, kir_index from, kir_index limit, int64_t step, kir_builder *body);
void kir_if(const kir_builder *builder, kir_reg condition, kir_builder *yes, kir_builder *no); /* no may be NULL */

/* ---- whole programs
 * -------------------------------------------------------------------------------------------------- */

void kir_print(const kir_program *program, text_buffer *out);
void kir_print_kernel(const kir_kernel *kernel, text_buffer *out);
/* Checks types, argument use, index registers, one assignment before each use, that what is read and written exists;
 * false after adding diagnostics. */
bool kir_verify(const kir_program *program, diag_list *diags);
/* An instruction that reads or writes at `element`, where its argument has none; without a node there is none found. */
typedef struct {
    const kir_node *node;
    int64_t element;
} kir_beyond;
/* The first such access of a kernel whose largest launch has so many iterations; 0: not known. */
kir_beyond kir_find_beyond(const kir_kernel *kernel, int64_t iterations, arena *memory);
/* The greatest, not negative; of 0 and b it is b. */
int64_t kir_common_divisor(int64_t a, int64_t b);
/* By register: a number that divides every value that it takes as an index, 0 if it is always 0; 1 when none is known.
 * The caller's array, one for each register. */
void kir_find_multiples(const kir_kernel *kernel, int64_t *multiples);
/* The same of an index, from those of its registers. */
int64_t kir_index_multiple(const kir_node_index *index, const int64_t *multiples);
/* Adds a kernel, or finds an equal one (all but names and spans) and returns its index, so that layers of one shape
 * share code. A new kernel's name becomes a unique identifier: other characters turn into "_", a number follows a name
 * that is taken. */
int kir_program_add_kernel(kir_program *program, kir_kernel *kernel);
/* Appends a kernel's structure as bytes: all but names and spans; two kernels are equal when these are. */
void kir_kernel_key(const kir_kernel *kernel, text_buffer *key);
/* The arguments that are buffers, not scratch; and how many buffers the launch names, of all its parts. */
int kir_buffer_arguments(const kir_kernel *kernel);
int kir_launch_buffers(const kir_program *program, const kir_launch *launch);
/* The bytes of worker scratch that a kernel needs (its scratch arguments one after the other, each 64-aligned), and the
 * byte offset of scratch argument `argument`. */
int64_t kir_scratch_bytes(const kir_kernel *kernel);
int64_t kir_scratch_offset(const kir_kernel *kernel, int argument);
/* What one launch computes and touches. Operations are those that the kernel's maker states (of products those that
 * are needed) or else those of its instructions; each argument of each part counts once, whole. */
typedef struct {
    double flops;
    double operations; /* of vectors' lanes, a fused multiplication and addition being one; none of products in pairs */
    int64_t bytes_read, bytes_written;
} kir_cost;
kir_cost kir_launch_cost(const kir_program *program, const kir_launch *launch);
/* Whether the kernel multiplies numbers in pairs (dot_pairs, tile_multiply). */
bool kir_multiplies_pairs(const kir_kernel *kernel);
const char *kir_op_name(kir_opcode opcode);
int kir_op_operands(kir_opcode opcode);
/* The instruction table as Markdown, for docs/kernel-ir.md. */
void kir_print_op_table(text_buffer *out);
const char *kir_element_name(kir_element element); /* "f32", "bf16", … */
int64_t kir_element_bytes(kir_element element);    /* in memory; a BOOL is one byte */

#endif
