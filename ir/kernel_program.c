/* Programs of kernels: the operation and element tables, scratch layout, and sharing of equal kernels. */
#include "ir/kernel.h"

#include <assert.h>
#include <ctype.h>
#include <string.h>

static const struct {
    const char *name;
    int operands;
    const char *doc;
} operations[KIR_OP_COUNT] = {
#define KIR_OP(name, operands, doc) {#name, operands, doc},
#include "ir/kernel_ops.def"
};

static const struct {
    const char *name;
    int64_t bytes;
} elements[KIR_ELEMENT_COUNT] = {
    [KIR_F32] = {"f32", 4}, [KIR_BF16] = {"bf16", 2}, [KIR_I32] = {"i32", 4},
    [KIR_I64] = {"i64", 8}, [KIR_BOOL] = {"bool", 1}, [KIR_U8] = {"u8", 1},
};

const char *kir_op_name(kir_opcode opcode) {
    return operations[opcode].name;
}

int kir_op_operands(kir_opcode opcode) {
    return operations[opcode].operands;
}

void kir_print_op_table(text_buffer *out) {
    text_append(out, "| instruction | registers | meaning |\n|---|---|---|\n");
    for (int i = 0; i < KIR_OP_COUNT; i++)
        text_append(out, "| `%s` | %d | %s |\n", operations[i].name, operations[i].operands, operations[i].doc);
}

const char *kir_element_name(kir_element element) {
    return elements[element].name;
}

int64_t kir_element_bytes(kir_element element) {
    return elements[element].bytes;
}

/* ---- scratch -------------------------------------------------------------------------------------------------- */

static int64_t scratch_end(const kir_kernel *kernel, int argument_limit) {
    int64_t end = 0;
    for (int i = 0; i < argument_limit; i++) {
        const kir_argument *argument = &kernel->arguments[i];
        if (argument->scratch)
            end += kir_aligned(argument->elements * kir_element_bytes(argument->element));
    }
    return end;
}

int64_t kir_scratch_bytes(const kir_kernel *kernel) {
    return scratch_end(kernel, kernel->argument_count);
}

int64_t kir_scratch_offset(const kir_kernel *kernel, int argument) {
    assert(kernel->arguments[argument].scratch);
    return scratch_end(kernel, argument);
}

/* ---- launches ------------------------------------------------------------------------------------------------- */

int64_t kir_aligned(int64_t bytes) {
    return (bytes + KIR_ALIGNMENT - 1) / KIR_ALIGNMENT * KIR_ALIGNMENT;
}

int kir_buffer_arguments(const kir_kernel *kernel) {
    int count = 0;
    for (int i = 0; i < kernel->argument_count; i++)
        count += !kernel->arguments[i].scratch;
    return count;
}

int kir_launch_buffers(const kir_program *program, const kir_launch *launch) {
    return launch->part_count * kir_buffer_arguments(program->kernels[launch->kernel]);
}

/* ---- sharing -------------------------------------------------------------------------------------------------- */

/* A kernel's structure as bytes: two kernels are equal when these are. */
static void key_number(text_buffer *key, int64_t number) {
    text_append_bytes(key, (const char *)&number, sizeof number);
}

static void key_type(text_buffer *key, kir_type type) {
    key_number(key, (int64_t)type.element << 32 | (int64_t)type.lanes << 16 | type.rows);
}

static void key_index(text_buffer *key, const kir_index *index) {
    key_number(key, index->base);
    key_number(key, index->term_count);
    for (int i = 0; i < index->term_count; i++) {
        key_number(key, index->terms[i].coefficient);
        key_number(key, index->terms[i].reg);
    }
}

static void key_block(text_buffer *key, const kir_block *block) {
    for (const kir_node *node = block->first; node; node = node->next) {
        key_number(key, (int64_t)node->kind << 32 | (int64_t)node->opcode);
        key_number(key, node->result);
        for (int i = 0; i < 3; i++)
            key_number(key, node->operands[i]);
        text_append_bytes(key, (const char *)&node->number, sizeof node->number);
        key_number(key, node->argument);
        key_index(key, &node->index);
        key_number(key, node->count);
        key_number(key, node->stride);
        key_number(key, node->attribute);
        key_index(key, &node->from);
        key_index(key, &node->limit);
        key_number(key, node->step);
        key_number(key, node->unroll);
        key_block(key, &node->body);
        key_block(key, &node->otherwise);
    }
    key_number(key, -1);
}

static void kernel_key(text_buffer *key, const kir_kernel *kernel) {
    for (int i = 0; i < kernel->argument_count; i++) {
        const kir_argument *argument = &kernel->arguments[i];
        key_number(key, argument->element);
        key_number(key, argument->elements);
        key_number(key, argument->each);
        key_number(key, argument->reads | argument->writes << 1 | argument->scratch << 2);
    }
    for (int i = 0; i < kernel->register_count; i++)
        key_type(key, kernel->registers[i]);
    key_block(key, &kernel->body);
    const kir_library_product *library = kernel->library;
    if (!library)
        return;
    key_number(key, library->rows);
    key_number(key, library->columns);
    key_number(key, library->inner);
    key_number(key, library->block);
    key_number(key, library->left_transposed | library->right_transposed << 1);
}

/* FNV-1a. */
static uint64_t key_hash(const text_buffer *key) {
    uint64_t hash = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < key->length; i++)
        hash = (hash ^ (uint8_t)key->data[i]) * UINT64_C(1099511628211);
    return hash;
}

static bool key_equal(const text_buffer *key, const kir_kernel *kernel) {
    text_buffer other = {0};
    kernel_key(&other, kernel);
    bool equal = other.length == key->length && memcmp(other.data, key->data, key->length) == 0;
    text_free(&other);
    return equal;
}

static bool name_taken(const kir_program *program, const char *name) {
    for (int i = 0; i < program->kernel_count; i++)
        if (strcmp(program->kernels[i]->name, name) == 0)
            return true;
    return false;
}

/* Back ends use the name as an identifier. */
static const char *unique_name(const kir_program *program, const char *wanted) {
    char *base = arena_strdup(program->memory, wanted);
    for (char *c = base; *c; c++)
        if (!isalnum((unsigned char)*c))
            *c = '_';
    const char *name = base;
    for (int number = 2; name_taken(program, name); number++)
        name = arena_printf(program->memory, "%s_%d", base, number);
    return name;
}

int kir_program_add_kernel(kir_program *program, kir_kernel *kernel) {
    text_buffer key = {0};
    kernel_key(&key, kernel);
    kernel->hash = key_hash(&key);
    int found = -1;
    for (int i = 0; i < program->kernel_count && found < 0; i++)
        if (program->kernels[i]->hash == kernel->hash && key_equal(&key, program->kernels[i]))
            found = i;
    text_free(&key);
    if (found >= 0)
        return found;
    kernel->name = unique_name(program, kernel->name);
    ARENA_PUSH(program->memory, program->kernels, program->kernel_count, program->kernel_capacity, kernel);
    return program->kernel_count - 1;
}
