/* Building kernels: registers, indices, nodes. The result types of instructions are decided here and nowhere else. */
#include "ir/kernel.h"

#include <assert.h>
#include <string.h>

kir_kernel *kir_kernel_new(arena *memory, const char *name, source_span span) {
    kir_kernel *kernel = arena_alloc(memory, sizeof *kernel);
    kernel->name = arena_strdup(memory, name);
    kernel->span = span;
    ARENA_PUSH(memory, kernel->registers, kernel->register_count, kernel->register_capacity, kir_scalar_type(KIR_I64));
    return kernel;
}

static int argument_push(arena *memory, kir_kernel *kernel, kir_argument argument) {
    argument.name = arena_strdup(memory, argument.name);
    ARENA_PUSH(memory, kernel->arguments, kernel->argument_count, kernel->argument_capacity, argument);
    return kernel->argument_count - 1;
}

int kir_argument_add(arena *memory, kir_kernel *kernel, const char *name, kir_element element, int64_t elements,
                     bool reads, bool writes) {
    return argument_push(memory, kernel,
                         (kir_argument){
                             .name = name,
                             .element = element,
                             .elements = elements,
                             .reads = reads,
                             .writes = writes,
                         });
}

int kir_scratch_add(arena *memory, kir_kernel *kernel, const char *name, kir_element element, int64_t elements) {
    return argument_push(memory, kernel,
                         (kir_argument){
                             .name = name,
                             .element = element,
                             .elements = elements,
                             .reads = true,
                             .writes = true,
                             .scratch = true,
                         });
}

kir_type kir_scalar_type(kir_element element) {
    return (kir_type){.element = element, .lanes = 1};
}

kir_type kir_vector_type(kir_element element, int lanes) {
    return (kir_type){.element = element, .lanes = (int16_t)lanes};
}

kir_type kir_tile_type(kir_element element, int rows, int lanes) {
    return (kir_type){.element = element, .lanes = (int16_t)lanes, .rows = (int16_t)rows};
}

kir_reg kir_register(const kir_builder *builder, kir_type type) {
    kir_kernel *kernel = builder->kernel;
    ARENA_PUSH(builder->memory, kernel->registers, kernel->register_count, kernel->register_capacity, type);
    return kernel->register_count - 1;
}

/* ---- indices -------------------------------------------------------------------------------------------------- */

kir_index kir_at(int64_t base) {
    return (kir_index){.base = base};
}

kir_index kir_plus(kir_index index, int64_t coefficient, kir_reg reg) {
    if (coefficient == 0)
        return index;
    for (int i = 0; i < index.term_count; i++) {
        if (index.terms[i].reg != reg)
            continue;
        index.terms[i].coefficient += coefficient;
        if (index.terms[i].coefficient == 0) {
            index.term_count--;
            for (int j = i; j < index.term_count; j++)
                index.terms[j] = index.terms[j + 1];
        }
        return index;
    }
    assert(index.term_count < KIR_MAX_TERMS);
    index.terms[index.term_count].coefficient = coefficient;
    index.terms[index.term_count].reg = reg;
    index.term_count++;
    return index;
}

kir_index kir_plus_index(kir_index a, int64_t coefficient, kir_index b) {
    a.base += coefficient * b.base;
    for (int i = 0; i < b.term_count; i++)
        a = kir_plus(a, coefficient * b.terms[i].coefficient, b.terms[i].reg);
    return a;
}

/* ---- instructions --------------------------------------------------------------------------------------------- */

static kir_node *node_append(const kir_builder *builder, kir_kind kind) {
    kir_node *node = arena_alloc(builder->memory, sizeof *node);
    node->kind = kind;
    node->span = builder->span;
    node->result = -1;
    for (int i = 0; i < 3; i++)
        node->operands[i] = -1;
    node->argument = -1;
    if (builder->block->last)
        builder->block->last->next = node;
    else
        builder->block->first = node;
    builder->block->last = node;
    return node;
}

static kir_node *instruction(const kir_builder *builder, kir_opcode opcode, kir_reg result) {
    kir_node *node = node_append(builder, KIR_INSTRUCTION);
    node->opcode = opcode;
    node->result = result;
    return node;
}

static kir_type type_of(const kir_builder *builder, kir_reg reg) {
    assert(reg >= 0 && reg < builder->kernel->register_count);
    return builder->kernel->registers[reg];
}

static kir_type result_type(const kir_builder *builder, kir_opcode opcode, const kir_reg operands[3]) {
    kir_type type = type_of(builder, operands[0]);
    switch (opcode) {
    case KIR_equal:
    case KIR_less:
    case KIR_less_equal: type.element = KIR_BOOL; return type;
    case KIR_bitcast: type.element = type.element == KIR_F32 ? KIR_I32 : KIR_F32; return type;
    case KIR_select: return type_of(builder, operands[1]);
    case KIR_pair: type.element = KIR_I32; return type;
    case KIR_dot_pairs:
    case KIR_tile_multiply: return type_of(builder, operands[2]);
    case KIR_sum_lanes:
    case KIR_max_lanes:
    case KIR_lane: return kir_scalar_type(type.element);
    default: return type;
    }
}

void kir_into(const kir_builder *builder, kir_reg target, kir_opcode opcode, kir_reg a, kir_reg b, kir_reg c) {
    const kir_reg operands[3] = {a, b, c};
    kir_node *node = instruction(builder, opcode, target);
    int count = kir_op_operands(opcode);
    assert(count <= 3);
    for (int i = 0; i < count; i++)
        node->operands[i] = operands[i];
}

static kir_reg operation(const kir_builder *builder, kir_opcode opcode, kir_reg a, kir_reg b, kir_reg c) {
    kir_reg result = kir_register(builder, result_type(builder, opcode, (kir_reg[]){a, b, c}));
    kir_into(builder, result, opcode, a, b, c);
    return result;
}

kir_reg kir_op1(const kir_builder *builder, kir_opcode opcode, kir_reg a) {
    assert(kir_op_operands(opcode) == 1);
    /* So that code written for any number of lanes says the same for scalars. */
    if ((opcode == KIR_sum_lanes || opcode == KIR_max_lanes) && type_of(builder, a).lanes == 1)
        opcode = KIR_move;
    return operation(builder, opcode, a, -1, -1);
}

kir_reg kir_op2(const kir_builder *builder, kir_opcode opcode, kir_reg a, kir_reg b) {
    assert(kir_op_operands(opcode) == 2);
    return operation(builder, opcode, a, b, -1);
}

kir_reg kir_op3(const kir_builder *builder, kir_opcode opcode, kir_reg a, kir_reg b, kir_reg c) {
    assert(kir_op_operands(opcode) == 3);
    return operation(builder, opcode, a, b, c);
}

void kir_assign(const kir_builder *builder, kir_reg target, kir_reg value) {
    kir_into(builder, target, KIR_move, value, -1, -1);
}

kir_reg kir_number(const kir_builder *builder, kir_type type, double number) {
    kir_node *node = instruction(builder, KIR_constant, kir_register(builder, type));
    node->number = number;
    return node->result;
}

static kir_node_index kept(const kir_builder *builder, kir_index index) {
    kir_node_index result = {.base = index.base, .term_count = index.term_count};
    if (index.term_count == 0)
        return result;
    size_t size = (size_t)index.term_count * sizeof *index.terms;
    result.terms = memcpy(arena_alloc(builder->memory, size), index.terms, size);
    return result;
}

kir_reg kir_value(const kir_builder *builder, kir_index index) {
    kir_node *node = instruction(builder, KIR_affine, kir_register(builder, kir_scalar_type(KIR_I64)));
    node->index = kept(builder, index);
    return node->result;
}

kir_reg kir_iota(const kir_builder *builder, kir_type type) {
    return instruction(builder, KIR_iota, kir_register(builder, type))->result;
}

static kir_reg operation_typed(const kir_builder *builder, kir_opcode opcode, kir_type type, kir_reg a) {
    kir_reg result = kir_register(builder, type);
    kir_into(builder, result, opcode, a, -1, -1);
    return result;
}

kir_reg kir_convert(const kir_builder *builder, kir_reg a, kir_element element) {
    kir_type type = type_of(builder, a);
    if (type.element == element)
        return a;
    type.element = element;
    return operation_typed(builder, KIR_convert, type, a);
}

void kir_stream(kir_kernel *kernel, int argument) {
    kernel->arguments[argument].streams = true;
}

kir_reg kir_splat(const kir_builder *builder, kir_reg a, int lanes) {
    if (lanes == 1)
        return a;
    return operation_typed(builder, KIR_splat, kir_vector_type(type_of(builder, a).element, lanes), a);
}

kir_reg kir_lane(const kir_builder *builder, kir_reg a, int lane) {
    if (type_of(builder, a).lanes == 1)
        return kir_op1(builder, KIR_move, a);
    kir_reg result = operation(builder, KIR_lane, a, -1, -1);
    builder->block->last->attribute = lane;
    return result;
}

kir_reg kir_random(const kir_builder *builder, kir_opcode opcode, kir_reg seed, kir_reg step, kir_reg element,
                   int32_t stream) {
    kir_reg result = kir_register(builder, kir_scalar_type(KIR_F32));
    kir_into(builder, result, opcode, seed, step, element);
    builder->block->last->attribute = stream;
    return result;
}

/* ---- memory --------------------------------------------------------------------------------------------------- */

static kir_node *memory_instruction(const kir_builder *builder, kir_opcode opcode, kir_reg result, int argument,
                                    kir_index index) {
    kir_node *node = instruction(builder, opcode, result);
    node->argument = argument;
    node->index = kept(builder, index);
    node->count = 1;
    node->stride = 1;
    return node;
}

static kir_reg argument_register(const kir_builder *builder, int argument, int lanes) {
    assert(argument >= 0 && argument < builder->kernel->argument_count);
    return kir_register(builder, kir_vector_type(builder->kernel->arguments[argument].element, lanes));
}

kir_reg kir_load(const kir_builder *builder, int argument, kir_index index, int lanes, int count) {
    kir_reg result = argument_register(builder, argument, lanes);
    memory_instruction(builder, KIR_load, result, argument, index)->count = count;
    return result;
}

kir_reg kir_widened(const kir_builder *builder, kir_reg a) {
    return type_of(builder, a).element == KIR_BF16 ? kir_convert(builder, a, KIR_F32) : a;
}

kir_reg kir_load_f32(const kir_builder *builder, int argument, kir_index index, int lanes, int count) {
    return kir_widened(builder, kir_load(builder, argument, index, lanes, count));
}

kir_reg kir_load_strided(const kir_builder *builder, int argument, kir_index index, int lanes, int count,
                         int64_t stride) {
    kir_reg result = argument_register(builder, argument, lanes);
    kir_node *node = memory_instruction(builder, KIR_load_strided, result, argument, index);
    node->count = count;
    node->stride = stride;
    return result;
}

kir_reg kir_load_indexed(const kir_builder *builder, int argument, kir_index index, kir_reg offsets, int count) {
    kir_reg result = argument_register(builder, argument, type_of(builder, offsets).lanes);
    kir_node *node = memory_instruction(builder, KIR_load_indexed, result, argument, index);
    node->operands[0] = offsets;
    node->count = count;
    return result;
}

void kir_store(const kir_builder *builder, int argument, kir_index index, kir_reg value, int count) {
    kir_node *node = memory_instruction(builder, KIR_store, -1, argument, index);
    node->operands[0] = value;
    node->count = count;
}

void kir_prefetch(const kir_builder *builder, int argument, kir_index index) {
    memory_instruction(builder, KIR_prefetch, -1, argument, index);
}

void kir_store_f32(const kir_builder *builder, int argument, kir_index index, kir_reg value, int count) {
    bool narrow = builder->kernel->arguments[argument].element == KIR_BF16;
    kir_store(builder, argument, index, narrow ? kir_convert(builder, value, KIR_BF16) : value, count);
}

void kir_store_strided(const kir_builder *builder, int argument, kir_index index, kir_reg value, int count,
                       int64_t stride) {
    if (type_of(builder, value).lanes == 1 || stride == 1) {
        kir_store(builder, argument, index, value, count);
        return;
    }
    kir_node *node = memory_instruction(builder, KIR_store_strided, -1, argument, index);
    node->operands[0] = value;
    node->count = count;
    node->stride = stride;
}

/* ---- tiles ---------------------------------------------------------------------------------------------------- */

kir_reg kir_tile_zero(const kir_builder *builder, kir_type type) {
    return instruction(builder, KIR_tile_zero, kir_register(builder, type))->result;
}

static kir_reg tile_from(const kir_builder *builder, kir_opcode opcode, int argument, kir_index index, kir_type type,
                         int64_t stride) {
    kir_reg result = kir_register(builder, type);
    memory_instruction(builder, opcode, result, argument, index)->stride = stride;
    return result;
}

kir_reg kir_tile_load(const kir_builder *builder, int argument, kir_index index, kir_type type, int64_t stride) {
    return tile_from(builder, KIR_tile_load, argument, index, type, stride);
}

kir_reg kir_tile_load_past(const kir_builder *builder, int argument, kir_index index, kir_type type, int64_t stride) {
    return tile_from(builder, KIR_tile_load_past, argument, index, type, stride);
}

void kir_tile_store(const kir_builder *builder, int argument, kir_index index, kir_reg tile, int64_t stride) {
    kir_node *node = memory_instruction(builder, KIR_tile_store, -1, argument, index);
    node->operands[0] = tile;
    node->stride = stride;
}

/* ---- structure ------------------------------------------------------------------------------------------------ */

kir_reg kir_loop(const kir_builder *builder, kir_index from, kir_index limit, int64_t step, kir_builder *body) {
    kir_node *node = node_append(builder, KIR_LOOP);
    node->result = kir_register(builder, kir_scalar_type(KIR_I64));
    node->from = kept(builder, from);
    node->limit = kept(builder, limit);
    node->step = step;
    *body = *builder;
    body->block = &node->body;
    return node->result;
}

void kir_if(const kir_builder *builder, kir_reg condition, kir_builder *yes, kir_builder *no) {
    kir_node *node = node_append(builder, KIR_IF);
    node->operands[0] = condition;
    *yes = *builder;
    yes->block = &node->body;
    if (no) {
        *no = *builder;
        no->block = &node->otherwise;
    }
}
