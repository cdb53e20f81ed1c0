/* The rules of the kernel IR, checked: types of every instruction, use of arguments and indices, assignment before use,
 * and that launches fit their buffers. Whatever is found wrong is a bug of the pass that made it. */
#include "ir/kernel.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

typedef struct {
    const kir_kernel *kernel;
    diag_list *diags;
    bool *assigned; /* by register: on every way to here */
    bool *indexes;  /* by register: the index of a loop around here */
    bool good;
} verifier;

__attribute__((format(printf, 3, 4))) static void complain(verifier *v, source_span span, const char *format, ...) {
    char message[256];
    va_list list;
    va_start(list, format);
    vsnprintf(message, sizeof message, format, list);
    va_end(list);
    diag_error(v->diags, span, "kernel %s: %s", v->kernel->name, message);
    v->good = false;
}

static bool type_equal(kir_type a, kir_type b) {
    return a.element == b.element && a.lanes == b.lanes && a.rows == b.rows;
}

static bool type_is(kir_type type, kir_element element, int lanes) {
    return type.element == element && type.lanes == lanes && type.rows == 0;
}

/* ---- registers and indices ------------------------------------------------------------------------------------- */

static bool register_exists(const verifier *v, kir_reg reg) {
    return reg >= 0 && reg < v->kernel->register_count;
}

static bool check_use(verifier *v, const kir_node *node, kir_reg reg) {
    if (!register_exists(v, reg)) {
        complain(v, node->span, "there is no register %%%d", reg);
        return false;
    }
    if (!v->assigned[reg]) {
        complain(v, node->span, "register %%%d is used before it is assigned on every way", reg);
        return false;
    }
    return true;
}

static bool check_target(verifier *v, const kir_node *node) {
    if (!register_exists(v, node->result)) {
        complain(v, node->span, "%s needs a result register", kir_op_name(node->opcode));
        return false;
    }
    if (node->result == 0 || v->indexes[node->result]) {
        complain(v, node->span, "the loop index %%%d must not be assigned", node->result);
        return false;
    }
    return true;
}

static void check_index(verifier *v, const kir_node *node, const kir_node_index *index) {
    if (index->term_count < 0 || index->term_count > KIR_MAX_TERMS) {
        complain(v, node->span, "an index with %d terms", index->term_count);
        return;
    }
    for (int i = 0; i < index->term_count; i++) {
        kir_reg reg = index->terms[i].reg;
        if (check_use(v, node, reg) && !type_is(v->kernel->registers[reg], KIR_I64, 1))
            complain(v, node->span, "index register %%%d is not an i64 scalar", reg);
    }
}

static void check_register_types(verifier *v) {
    for (int i = 0; i < v->kernel->register_count; i++) {
        kir_type type = v->kernel->registers[i];
        bool power_of_two = type.lanes > 0 && (type.lanes & (type.lanes - 1)) == 0;
        if (type.element >= KIR_ELEMENT_COUNT || type.lanes < 1 || type.rows < 0)
            complain(v, v->kernel->span, "register %%%d has no sensible type", i);
        else if (type.rows == 0 && (!power_of_two || type.lanes > 64))
            complain(v, v->kernel->span, "register %%%d has %d lanes", i, type.lanes);
        else if (type.rows > 16 || (type.rows > 0 && type.lanes * kir_element_bytes(type.element) > 64))
            complain(v, v->kernel->span, "tile register %%%d is larger than 16 rows of 64 bytes", i);
    }
}

/* ---- types of instructions ------------------------------------------------------------------------------------- */

enum { F32 = 1 << KIR_F32, BF16 = 1 << KIR_BF16, I32 = 1 << KIR_I32, I64 = 1 << KIR_I64, BOOL = 1 << KIR_BOOL };
enum { U8 = 1 << KIR_U8, WHOLE = I32 | I64, NUMBER = F32 | WHOLE, ANY = NUMBER | BF16 | BOOL | U8 };

typedef enum {
    RULE_SAME,    /* operands and result have one type */
    RULE_COMPARE, /* operands have one type, the result is BOOL */
    RULE_SELECT,
    RULE_CONVERT, /* lanes stay, elements change */
    RULE_BITCAST,
    RULE_PAIR,
    RULE_DOT_PAIRS,
    RULE_SPLAT,
    RULE_LANES, /* vector to scalar of its element */
    RULE_AFFINE,
    RULE_RANDOM,
    RULE_LOAD,
    RULE_LOAD_INDEXED,
    RULE_STORE,
    RULE_TILE, /* tile_zero, tile_load, tile_load_past, tile_store */
    RULE_TILE_MULTIPLY
} type_rule;

/* `elements`: of the first operand, or of the result where there is none. */
static const struct {
    type_rule rule;
    int elements;
} rules[KIR_OP_COUNT] = {
    [KIR_constant] = {RULE_SAME, ANY},
    [KIR_affine] = {RULE_AFFINE, I64},
    [KIR_move] = {RULE_SAME, ANY},
    [KIR_add] = {RULE_SAME, NUMBER},
    [KIR_sub] = {RULE_SAME, NUMBER},
    [KIR_mul] = {RULE_SAME, NUMBER},
    [KIR_div] = {RULE_SAME, NUMBER},
    [KIR_rem] = {RULE_SAME, NUMBER},
    [KIR_min] = {RULE_SAME, NUMBER},
    [KIR_max] = {RULE_SAME, NUMBER},
    [KIR_fma] = {RULE_SAME, F32},
    [KIR_neg] = {RULE_SAME, NUMBER},
    [KIR_abs] = {RULE_SAME, NUMBER},
    [KIR_sqrt] = {RULE_SAME, F32},
    [KIR_floor] = {RULE_SAME, F32},
    [KIR_sin] = {RULE_SAME, F32},
    [KIR_cos] = {RULE_SAME, F32},
    [KIR_pow] = {RULE_SAME, F32},
    [KIR_equal] = {RULE_COMPARE, NUMBER},
    [KIR_less] = {RULE_COMPARE, NUMBER},
    [KIR_less_equal] = {RULE_COMPARE, NUMBER},
    [KIR_and] = {RULE_SAME, WHOLE | BOOL},
    [KIR_or] = {RULE_SAME, WHOLE | BOOL},
    [KIR_not] = {RULE_SAME, BOOL},
    [KIR_shift_left] = {RULE_SAME, WHOLE},
    [KIR_shift_right] = {RULE_SAME, WHOLE},
    [KIR_select] = {RULE_SELECT, BOOL},
    [KIR_convert] = {RULE_CONVERT, ANY},
    [KIR_bitcast] = {RULE_BITCAST, F32 | I32},
    [KIR_pair] = {RULE_PAIR, F32},
    [KIR_pair_upper] = {RULE_SAME, I32},
    [KIR_dot_pairs] = {RULE_DOT_PAIRS, I32},
    [KIR_splat] = {RULE_SPLAT, ANY},
    [KIR_lane] = {RULE_LANES, ANY},
    [KIR_interleave_low] = {RULE_SAME, NUMBER},
    [KIR_interleave_high] = {RULE_SAME, NUMBER},
    [KIR_iota] = {RULE_SAME, NUMBER},
    [KIR_sum_lanes] = {RULE_LANES, NUMBER},
    [KIR_max_lanes] = {RULE_LANES, NUMBER},
    [KIR_load] = {RULE_LOAD, ANY},
    [KIR_load_strided] = {RULE_LOAD, ANY},
    [KIR_load_indexed] = {RULE_LOAD_INDEXED, WHOLE},
    [KIR_store] = {RULE_STORE, ANY},
    [KIR_store_strided] = {RULE_STORE, ANY},
    [KIR_random_uniform] = {RULE_RANDOM, I32},
    [KIR_random_normal] = {RULE_RANDOM, I32},
    [KIR_tile_zero] = {RULE_TILE, F32 | BF16 | I32},
    [KIR_tile_load] = {RULE_TILE, F32 | BF16 | I32},
    [KIR_tile_load_past] = {RULE_TILE, F32 | BF16 | I32},
    [KIR_tile_store] = {RULE_TILE, F32 | BF16 | I32},
    [KIR_tile_multiply] = {RULE_TILE_MULTIPLY, BF16 | I32},
};

typedef struct {
    kir_type a, b, c, result; /* the result only where the instruction has one */
} node_types;

static bool same_rule(const kir_node *node, const node_types *t) {
    int operands = kir_op_operands(node->opcode);
    kir_type type = operands ? t->a : t->result;
    return type.rows == 0 && type_equal(type, t->result) && (operands < 2 || type_equal(t->b, type)) &&
           (operands < 3 || type_equal(t->c, type));
}

static bool multiply_rule(const kir_node *node, const node_types *t) {
    int each = t->a.element == KIR_BF16 ? 2 : 1; /* lanes that make a pair */
    return node->result == node->operands[2] && t->b.element == t->a.element && t->c.element == KIR_F32 &&
           type_equal(t->c, t->result) && t->a.rows > 0 && t->a.rows == t->c.rows && t->a.lanes == each * t->b.rows &&
           t->b.lanes == each * t->c.lanes;
}

static bool dot_rule(const node_types *t) {
    return t->a.rows == 0 && type_equal(t->a, t->b) && type_is(t->c, KIR_F32, t->a.lanes) &&
           type_equal(t->c, t->result);
}

static bool tile_rule(const kir_node *node, const node_types *t) {
    return node->opcode == KIR_tile_store ? t->a.rows > 0 : t->result.rows > 0;
}

static bool rule_holds(const kir_node *node, const node_types *t) {
    switch (rules[node->opcode].rule) {
    case RULE_SAME: return same_rule(node, t);
    case RULE_COMPARE: return t->a.rows == 0 && type_equal(t->a, t->b) && type_is(t->result, KIR_BOOL, t->a.lanes);
    case RULE_SELECT:
        return type_is(t->a, KIR_BOOL, t->result.lanes) && type_equal(t->b, t->result) && type_equal(t->c, t->result);
    case RULE_CONVERT: return t->a.rows == 0 && type_is(t->result, t->result.element, t->a.lanes);
    case RULE_BITCAST: return type_is(t->result, t->a.element == KIR_F32 ? KIR_I32 : KIR_F32, t->a.lanes);
    case RULE_PAIR: return t->a.rows == 0 && type_equal(t->a, t->b) && type_is(t->result, KIR_I32, t->a.lanes);
    case RULE_DOT_PAIRS: return dot_rule(t);
    case RULE_SPLAT: return type_is(t->a, t->result.element, 1) && t->result.rows == 0;
    case RULE_LANES: return t->a.rows == 0 && type_is(t->result, t->a.element, 1);
    case RULE_AFFINE: return type_is(t->result, KIR_I64, 1);
    case RULE_RANDOM:
        return type_is(t->a, KIR_I32, 1) && type_is(t->b, KIR_I32, 1) && type_is(t->c, KIR_I64, 1) &&
               type_is(t->result, KIR_F32, 1);
    case RULE_LOAD: return t->result.rows == 0;
    case RULE_LOAD_INDEXED: return t->a.rows == 0 && type_is(t->result, t->result.element, t->a.lanes);
    case RULE_STORE: return t->a.rows == 0;
    case RULE_TILE: return tile_rule(node, t);
    case RULE_TILE_MULTIPLY: return multiply_rule(node, t);
    }
    return false;
}

/* ---- memory ---------------------------------------------------------------------------------------------------- */

/* The argument that the instruction reads or writes; NULL if there is none. */
static const kir_argument *check_argument(verifier *v, const kir_node *node, bool writes) {
    if (node->argument < 0 || node->argument >= v->kernel->argument_count) {
        complain(v, node->span, "there is no argument %d", node->argument);
        return NULL;
    }
    const kir_argument *argument = &v->kernel->arguments[node->argument];
    if (writes ? !argument->writes : !argument->reads)
        complain(v, node->span, "argument %s is not declared as %s", argument->name, writes ? "out" : "in");
    check_index(v, node, &node->index);
    return argument;
}

static void check_memory(verifier *v, const kir_node *node, kir_type value, bool writes) {
    const kir_argument *argument = check_argument(v, node, writes);
    if (!argument)
        return;
    if (argument->element != value.element)
        complain(v, node->span, "%s of %s in argument %s of %s", kir_op_name(node->opcode),
                 kir_element_name(value.element), argument->name, kir_element_name(argument->element));
    if (value.rows == 0 && (node->count < 1 || node->count > value.lanes))
        complain(v, node->span, "%s of %d of %d lanes", kir_op_name(node->opcode), node->count, value.lanes);
}

static bool is_store(kir_opcode opcode) {
    return opcode == KIR_store || opcode == KIR_store_strided || opcode == KIR_tile_store;
}

static bool is_load(kir_opcode opcode) {
    return opcode == KIR_load || opcode == KIR_load_strided || opcode == KIR_load_indexed || opcode == KIR_tile_load ||
           opcode == KIR_tile_load_past;
}

static void check_instruction(verifier *v, const kir_node *node) {
    if (node->opcode >= KIR_OP_COUNT) {
        complain(v, node->span, "there is no operation %d", (int)node->opcode);
        return;
    }
    if (node->opcode == KIR_prefetch) {
        check_argument(v, node, false);
        return;
    }
    node_types types = {0};
    kir_type *slots[3] = {&types.a, &types.b, &types.c};
    int count = kir_op_operands(node->opcode);
    assert(count <= 3);
    for (int i = 0; i < count; i++) {
        if (!check_use(v, node, node->operands[i]))
            return;
        *slots[i] = v->kernel->registers[node->operands[i]];
    }
    bool store = is_store(node->opcode);
    if (!store) {
        if (!check_target(v, node))
            return;
        types.result = v->kernel->registers[node->result];
    }
    kir_type first = kir_op_operands(node->opcode) ? types.a : types.result;
    if (!(rules[node->opcode].elements & 1 << first.element) || !rule_holds(node, &types))
        complain(v, node->span, "%s does not work on these types (result %%%d)", kir_op_name(node->opcode),
                 node->result);
    if (store || is_load(node->opcode))
        check_memory(v, node, store ? types.a : types.result, store);
    if (node->opcode == KIR_affine)
        check_index(v, node, &node->index);
    if (node->opcode == KIR_lane && (node->attribute < 0 || node->attribute >= types.a.lanes))
        complain(v, node->span, "lane %d of %d", node->attribute, types.a.lanes);
    if ((node->opcode == KIR_interleave_low || node->opcode == KIR_interleave_high) && types.a.lanes % 2 != 0)
        complain(v, node->span, "%d lanes have no halves", types.a.lanes);
    if (!store)
        v->assigned[node->result] = true;
}

/* ---- structure ------------------------------------------------------------------------------------------------- */

static void check_block(verifier *v, const kir_block *block);

static bool *copy_assigned(const verifier *v, arena *memory) {
    size_t count = (size_t)v->kernel->register_count;
    bool *copy = arena_alloc(memory, count);
    memcpy(copy, v->assigned, count);
    return copy;
}

static void check_loop(verifier *v, const kir_node *node, arena *memory) {
    check_index(v, node, &node->from);
    check_index(v, node, &node->limit);
    if (node->step < 1)
        complain(v, node->span, "a loop with step %" PRId64, node->step);
    if (!register_exists(v, node->result) || !type_is(v->kernel->registers[node->result], KIR_I64, 1)) {
        complain(v, node->span, "a loop needs an i64 scalar as its index");
        return;
    }
    if (!check_target(v, node))
        return;
    bool *before = copy_assigned(v, memory);
    v->assigned[node->result] = v->indexes[node->result] = true;
    check_block(v, &node->body);
    v->indexes[node->result] = false;
    v->assigned[node->result] = false;
    bool runs = node->from.term_count == 0 && node->limit.term_count == 0 && node->from.base < node->limit.base;
    if (!runs)
        memcpy(v->assigned, before, (size_t)v->kernel->register_count);
}

static void check_if(verifier *v, const kir_node *node, arena *memory) {
    if (!check_use(v, node, node->operands[0]))
        return;
    if (!type_is(v->kernel->registers[node->operands[0]], KIR_BOOL, 1))
        complain(v, node->span, "the condition %%%d is not a bool scalar", node->operands[0]);
    bool *before = copy_assigned(v, memory);
    check_block(v, &node->body);
    bool *after = copy_assigned(v, memory);
    memcpy(v->assigned, before, (size_t)v->kernel->register_count);
    check_block(v, &node->otherwise);
    for (int i = 0; i < v->kernel->register_count; i++)
        v->assigned[i] = v->assigned[i] && after[i];
}

static void check_block(verifier *v, const kir_block *block) {
    arena *memory = arena_new();
    for (const kir_node *node = block->first; node; node = node->next) {
        switch (node->kind) {
        case KIR_INSTRUCTION: check_instruction(v, node); break;
        case KIR_LOOP: check_loop(v, node, memory); break;
        case KIR_IF: check_if(v, node, memory); break;
        }
    }
    arena_free(memory);
}

static bool verify_kernel(const kir_kernel *kernel, diag_list *diags) {
    verifier v = {.kernel = kernel, .diags = diags, .good = true};
    arena *memory = arena_new();
    v.assigned = arena_alloc(memory, (size_t)kernel->register_count);
    v.indexes = arena_alloc(memory, (size_t)kernel->register_count);
    v.assigned[0] = true;
    check_register_types(&v);
    for (int i = 0; i < kernel->argument_count; i++) {
        const kir_argument *argument = &kernel->arguments[i];
        if (argument->streams && (argument->reads || argument->scratch || !argument->writes))
            complain(&v, kernel->span, "argument %s is streamed, but not only written", argument->name);
    }
    if (v.good)
        check_block(&v, &kernel->body);
    arena_free(memory);
    return v.good;
}

/* ---- launches -------------------------------------------------------------------------------------------------- */

static int64_t part_extent(const kir_launch *launch, int part) {
    return launch->part_extents ? launch->part_extents[part] : launch->extent * launch->rounds;
}

/* The bytes that the part's buffer must have for the argument; those that each iteration has for itself may end in the
 * room behind the buffer. */
static int64_t needed_bytes(const kir_launch *launch, int part, const kir_argument *argument) {
    int64_t elements = argument->each ? argument->each * part_extent(launch, part) : argument->elements;
    return elements * kir_element_bytes(argument->element);
}

static bool verify_buffer(const kir_program *program, const kir_launch *launch, int part, const kir_argument *argument,
                          int position, diag_list *diags) {
    const kir_kernel *kernel = program->kernels[launch->kernel];
    int buffer = launch->buffers[position];
    if (buffer < 0 || buffer >= program->buffer_count) {
        diag_error(diags, launch->span, "launch of %s: there is no buffer %d", kernel->name, buffer);
        return false;
    }
    if (program->buffers[buffer].element != argument->element) {
        diag_error(diags, launch->span, "launch of %s: argument %s is of %s, %s of %s", kernel->name, argument->name,
                   kir_element_name(argument->element), program->buffers[buffer].name,
                   kir_element_name(program->buffers[buffer].element));
        return false;
    }
    int64_t offset = launch->byte_offsets ? launch->byte_offsets[position] : 0;
    int64_t needed = needed_bytes(launch, part, argument), room = argument->each ? KIR_ALIGNMENT - 1 : 0;
    if (offset >= 0 && offset + needed <= program->buffers[buffer].bytes + room)
        return true;
    diag_error(diags, launch->span,
               "launch of %s: argument %s needs %" PRId64 " bytes at %" PRId64 " of %s, which has %" PRId64,
               kernel->name, argument->name, needed, offset, program->buffers[buffer].name,
               program->buffers[buffer].bytes);
    return false;
}

static bool verify_parts(const kir_launch *launch, diag_list *diags) {
    int64_t sum = 0;
    for (int part = 0; part < launch->part_count && launch->part_extents; part++)
        sum += launch->part_extents[part];
    bool one = launch->part_count == 1 && !launch->part_extents;
    bool several = launch->part_count > 1 && launch->part_extents && launch->rounds == 1 && sum == launch->extent;
    if (!one && !several)
        diag_error(diags, launch->span, "launch in %d parts over %" PRId64 ", which have %" PRId64, launch->part_count,
                   launch->extent, sum);
    return one || several;
}

static bool verify_launch(const kir_program *program, const kir_launch *launch, diag_list *diags) {
    if (launch->kernel < 0 || launch->kernel >= program->kernel_count || launch->extent < 0 || launch->rounds < 0) {
        diag_error(diags, launch->span, "launch of kernel %d over %" PRId64, launch->kernel, launch->extent);
        return false;
    }
    if (!verify_parts(launch, diags))
        return false;
    const kir_kernel *kernel = program->kernels[launch->kernel];
    bool good = true;
    int position = 0;
    for (int part = 0; part < launch->part_count; part++)
        for (int i = 0; i < kernel->argument_count; i++)
            if (!kernel->arguments[i].scratch)
                good &= verify_buffer(program, launch, part, &kernel->arguments[i], position++, diags);
    return good;
}

static bool verify_ports(const kir_program *program, const kir_function *function, const kir_port *ports, int count,
                         diag_list *diags) {
    bool good = true;
    for (int i = 0; i < count; i++) {
        bool exists = ports[i].buffer >= 0 && ports[i].buffer < program->buffer_count;
        if (exists && program->buffers[ports[i].buffer].bytes >= ir_type_bytes(&ports[i].type))
            continue;
        diag_error(diags, (source_span){0}, "function %s: %s has no buffer of its size", function->name, ports[i].name);
        good = false;
    }
    return good;
}

/* By kernel: of its largest launch. */
static int64_t *count_iterations(const kir_program *program, arena *memory) {
    int64_t *iterations = arena_alloc(memory, (size_t)program->kernel_count * sizeof *iterations);
    for (int i = 0; i < program->function_count; i++) {
        const kir_function *function = &program->functions[i];
        for (int j = 0; j < function->launch_count; j++) {
            const kir_launch *launch = &function->launches[j];
            for (int part = 0; part < launch->part_count; part++)
                if (part_extent(launch, part) > iterations[launch->kernel])
                    iterations[launch->kernel] = part_extent(launch, part);
        }
    }
    return iterations;
}

static bool verify_bounds(const kir_program *program, diag_list *diags) {
    arena *memory = arena_new();
    const int64_t *iterations = count_iterations(program, memory);
    bool good = true;
    for (int i = 0; i < program->kernel_count; i++) {
        const kir_kernel *kernel = program->kernels[i];
        kir_beyond beyond = kir_find_beyond(kernel, iterations[i], memory);
        if (!beyond.node)
            continue;
        const kir_argument *argument = &kernel->arguments[beyond.node->argument];
        diag_error(diags, beyond.node->span, "kernel %s: %s of element %" PRId64 " of argument %s, which has %" PRId64,
                   kernel->name, kir_op_name(beyond.node->opcode), beyond.element, argument->name, argument->elements);
        good = false;
    }
    arena_free(memory);
    return good;
}

bool kir_verify(const kir_program *program, diag_list *diags) {
    bool good = true;
    for (int i = 0; i < program->kernel_count; i++)
        good &= verify_kernel(program->kernels[i], diags);
    for (int i = 0; good && i < program->function_count; i++) {
        const kir_function *function = &program->functions[i];
        for (int j = 0; j < function->launch_count; j++)
            good &= verify_launch(program, &function->launches[j], diags);
        good &= verify_ports(program, function, function->inputs, function->input_count, diags);
        good &= verify_ports(program, function, function->outputs, function->output_count, diags);
    }
    return good && verify_bounds(program, diags);
}
