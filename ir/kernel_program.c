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

static int64_t type_word(kir_type type) {
    return (int64_t)type.element << 32 | (int64_t)type.lanes << 16 | type.rows;
}

/* Writes an index; returns the number of words. */
static int index_words(const kir_node_index *index, int64_t *words) {
    int count = 0;
    words[count++] = index->base;
    words[count++] = index->term_count;
    for (int i = 0; i < index->term_count; i++) {
        words[count++] = index->terms[i].coefficient;
        words[count++] = index->terms[i].reg;
    }
    return count;
}

static void key_words(text_buffer *key, const int64_t *words, int count) {
    text_append_bytes(key, (const char *)words, (size_t)count * sizeof *words);
}

/* A node at once: kernels have tens of thousands. */
static void key_node(text_buffer *key, const kir_node *node) {
    enum { FIELDS = 10, INDEX_WORDS = 2 + 2 * KIR_MAX_TERMS };
    int64_t words[FIELDS + 3 * INDEX_WORDS];
    int count = 0;
    words[count++] = (int64_t)node->kind << 32 | (int64_t)node->opcode;
    words[count++] = node->result;
    for (int i = 0; i < 3; i++)
        words[count++] = node->operands[i];
    memcpy(&words[count++], &node->number, sizeof node->number);
    words[count++] = node->argument;
    words[count++] = (int64_t)node->count << 32 | (uint32_t)node->attribute;
    words[count++] = node->stride;
    words[count++] = node->step;
    count += index_words(&node->index, words + count);
    count += index_words(&node->from, words + count);
    count += index_words(&node->limit, words + count);
    key_words(key, words, count);
}

static void key_block(text_buffer *key, const kir_block *block) {
    static const int64_t end = -1;
    for (const kir_node *node = block->first; node; node = node->next) {
        key_node(key, node);
        if (node->kind == KIR_INSTRUCTION)
            continue;
        key_block(key, &node->body);
        key_block(key, &node->otherwise);
    }
    key_words(key, &end, 1);
}

void kir_kernel_key(const kir_kernel *kernel, text_buffer *key) {
    for (int i = 0; i < kernel->argument_count; i++) {
        const kir_argument *argument = &kernel->arguments[i];
        int64_t words[] = {argument->element, argument->elements, argument->each,
                           argument->reads | argument->writes << 1 | argument->scratch << 2 | argument->streams << 3};
        key_words(key, words, 4);
    }
    for (int i = 0; i < kernel->register_count; i++) {
        int64_t word = type_word(kernel->registers[i]);
        key_words(key, &word, 1);
    }
    key_block(key, &kernel->body);
    const kir_library_product *library = kernel->library;
    if (!library)
        return;
    int64_t words[] = {library->rows, library->columns, library->inner, library->block,
                       library->left_transposed | library->right_transposed << 1};
    key_words(key, words, 5);
}

/* FNV-1a over words; their high bits, where small numbers have none, are folded in at the end. */
static uint64_t key_hash(const text_buffer *key) {
    uint64_t hash = UINT64_C(14695981039346656037), word;
    for (size_t i = 0; i + sizeof word <= key->length; i += sizeof word) {
        memcpy(&word, key->data + i, sizeof word);
        hash = (hash ^ word ^ word >> 29) * UINT64_C(1099511628211);
    }
    return hash ^ hash >> 32;
}

static bool key_equal(const text_buffer *key, const kir_kernel *kernel) {
    text_buffer other = {0};
    kir_kernel_key(kernel, &other);
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
    kir_kernel_key(kernel, &key);
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
