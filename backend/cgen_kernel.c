/* One kernel as a C function: registers become variables of the innermost block that they are used in, loops become
 * loops. */
#include "backend/cgen.h"

#include <inttypes.h>

/* A block of the kernel, in the order of the text. */
typedef struct {
    int parent, depth; /* of the block around it; the outermost has depth 0 */
} scope;

/* Where a register is declared: by its first assignment when that stands in the block itself, else at the start of it.
 */
typedef struct {
    int home;  /* scope: the innermost block around all uses; -1 when it is never used */
    int first; /* scope of the first use */
    bool declared;
} home;

typedef struct {
    const kir_kernel *kernel;
    text_buffer *out;
    arena *memory;
    scope *scopes;
    int scope_count, scope_capacity;
    home *homes;   /* by register */
    bool *touched; /* by argument: some instruction reaches it */
    int current, visited, depth;
} writer;

/* ---- where registers live -------------------------------------------------------------------------------------- */

static int common_scope(const writer *write, int a, int b) {
    while (a != b) {
        if (write->scopes[a].depth >= write->scopes[b].depth)
            a = write->scopes[a].parent;
        else
            b = write->scopes[b].parent;
    }
    return a;
}

static void note_use(writer *write, kir_reg reg) {
    if (reg <= 0)
        return;
    home *place = &write->homes[reg];
    if (place->home < 0)
        place->home = place->first = write->current;
    else
        place->home = common_scope(write, place->home, write->current);
}

static void note_index(writer *write, const kir_node_index *index) {
    for (int i = 0; i < index->term_count; i++)
        note_use(write, index->terms[i].reg);
}

static void note_block(writer *write, const kir_block *block);

static void note_node(writer *write, const kir_node *node) {
    for (int i = 0; i < 3; i++)
        note_use(write, node->operands[i]);
    if (node->argument >= 0)
        write->touched[node->argument] = true;
    if (node->kind == KIR_INSTRUCTION) {
        note_index(write, &node->index);
        note_use(write, node->result);
        return;
    }
    note_index(write, &node->from);
    note_index(write, &node->limit);
    note_block(write, &node->body);
    if (node->otherwise.first)
        note_block(write, &node->otherwise);
}

static void note_block(writer *write, const kir_block *block) {
    int outer = write->current, depth = write->scope_count ? write->scopes[outer].depth + 1 : 0;
    scope inner = {.parent = outer, .depth = depth};
    ARENA_PUSH(write->memory, write->scopes, write->scope_count, write->scope_capacity, inner);
    write->current = write->scope_count - 1;
    for (const kir_node *node = block->first; node; node = node->next)
        note_node(write, node);
    write->current = outer;
}

static void find_homes(writer *write) {
    write->homes = arena_alloc(write->memory, (size_t)write->kernel->register_count * sizeof *write->homes);
    for (int reg = 0; reg < write->kernel->register_count; reg++)
        write->homes[reg].home = -1;
    write->touched = arena_alloc(write->memory, (size_t)write->kernel->argument_count + 1);
    note_block(write, &write->kernel->body);
}

/* ---- text ------------------------------------------------------------------------------------------------------ */

static void indent(const writer *write) {
    text_append(write->out, "%*s", 4 * write->depth, "");
}

static void write_block(writer *write, const kir_block *block);

static void write_loop(writer *write, const kir_node *node) {
    text_buffer *out = write->out;
    text_append(out, "for (int64_t r%d = ", node->result);
    cgen_index(&node->from, out);
    text_append(out, "; r%d < ", node->result);
    cgen_index(&node->limit, out);
    if (node->step == 1)
        text_append(out, "; r%d++) {\n", node->result);
    else
        text_append(out, "; r%d += %" PRId64 ") {\n", node->result, node->step);
    write->homes[node->result].declared = true;
    write_block(write, &node->body);
    indent(write);
    text_append(out, "}\n");
}

static void write_if(writer *write, const kir_node *node) {
    text_append(write->out, "if (r%d) {\n", node->operands[0]);
    write_block(write, &node->body);
    indent(write);
    if (node->otherwise.first) {
        text_append(write->out, "} else {\n");
        write_block(write, &node->otherwise);
        indent(write);
    }
    text_append(write->out, "}\n");
}

static void write_instruction(writer *write, const kir_node *node) {
    if (node->result >= 0) {
        home *place = &write->homes[node->result];
        if (!place->declared) {
            cgen_type(write->kernel->registers[node->result], write->out);
            text_append(write->out, " ");
            place->declared = true;
        }
        text_append(write->out, "r%d = ", node->result);
    }
    cgen_instruction(write->kernel, node, write->out);
    text_append(write->out, ";\n");
}

/* Declares the registers of this block whose first use is in a block inside. */
static void write_declarations(writer *write) {
    for (kir_reg reg = 1; reg < write->kernel->register_count; reg++) {
        home *place = &write->homes[reg];
        if (place->home != write->current || place->first == write->current || place->declared)
            continue;
        indent(write);
        cgen_type(write->kernel->registers[reg], write->out);
        text_append(write->out, " r%d;\n", reg);
        place->declared = true;
    }
}

static void write_block(writer *write, const kir_block *block) {
    int outer = write->current;
    write->current = write->visited++;
    write->depth++;
    write_declarations(write);
    for (const kir_node *node = block->first; node; node = node->next) {
        indent(write);
        switch (node->kind) {
        case KIR_INSTRUCTION: write_instruction(write, node); break;
        case KIR_LOOP: write_loop(write, node); break;
        case KIR_IF: write_if(write, node); break;
        }
    }
    write->depth--;
    write->current = outer;
}

static void write_arguments(const writer *write) {
    const kir_kernel *kernel = write->kernel;
    text_buffer *out = write->out;
    int bound = 0;
    for (int i = 0; i < kernel->argument_count; i++) {
        const kir_argument *argument = &kernel->arguments[i];
        const char *type = cgen_memory_type(argument->element);
        bound += !argument->scratch;
        if (!write->touched[i])
            continue;
        text_append(out, "    %s%s *restrict ", argument->writes ? "" : "const ", type);
        cgen_argument(kernel, i, out);
        if (argument->scratch)
            text_append(out, " = (%s *)(scratch + %" PRId64 ");\n", type, kir_scratch_offset(kernel, i));
        else
            text_append(out, " = args[%d];\n", bound - 1);
    }
}

static void write_library_product(const kir_kernel *kernel, text_buffer *out) {
    const kir_library_product *product = kernel->library;
    text_append(out,
                "static void k_%s(void *const *args, char *scratch, int64_t begin, int64_t end) {\n"
                "    (void)scratch;\n    rt_product(args[0], args[1], args[2], begin, end, %" PRId64 ", %" PRId64
                ", %" PRId64 ", %" PRId64 ", %d, %d);\n}\n\n",
                kernel->name, product->rows, product->columns, product->inner, product->block, product->left_transposed,
                product->right_transposed);
}

void cgen_kernel(const kir_kernel *kernel, text_buffer *out) {
    if (kernel->library) {
        write_library_product(kernel, out);
        return;
    }
    writer write = {.kernel = kernel, .out = out, .memory = arena_new(), .depth = 1};
    find_homes(&write);
    text_append(out, "static void k_%s(void *const *args, char *scratch, int64_t begin, int64_t end) {\n",
                kernel->name);
    write_arguments(&write);
    text_append(out, "    (void)scratch;\n    for (int64_t r0 = begin; r0 < end; r0++) {\n");
    write_block(&write, &kernel->body);
    text_append(out, "    }\n}\n\n");
    arena_free(write.memory);
}
