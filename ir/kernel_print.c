/* The kernel IR as text, described in docs/kernel-ir.md. */
#include "ir/kernel.h"

#include <inttypes.h>

typedef struct {
    const kir_kernel *kernel;
    text_buffer *out;
    bool *declared; /* by register: the type has been shown */
    int depth;
} printer;

static void print_indent(const printer *p) {
    text_append(p->out, "%*s", 2 * p->depth, "");
}

static void print_reg(const printer *p, kir_reg reg) {
    if (reg == 0)
        text_append(p->out, "%%g");
    else
        text_append(p->out, "%%%d", reg);
}

static void print_type(text_buffer *out, kir_type type) {
    text_append(out, "%s", kir_element_name(type.element));
    if (type.rows > 0)
        text_append(out, "x%dx%d", type.rows, type.lanes);
    else if (type.lanes > 1)
        text_append(out, "x%d", type.lanes);
}

static void print_index(const printer *p, const kir_node_index *index) {
    for (int i = 0; i < index->term_count; i++) {
        int64_t coefficient = index->terms[i].coefficient;
        text_append(p->out, "%s", i ? " + " : "");
        print_reg(p, index->terms[i].reg);
        if (coefficient != 1)
            text_append(p->out, "*%" PRId64, coefficient);
    }
    if (index->term_count == 0)
        text_append(p->out, "%" PRId64, index->base);
    else if (index->base != 0)
        text_append(p->out, " %c %" PRId64, index->base < 0 ? '-' : '+', index->base < 0 ? -index->base : index->base);
}

static bool reaches_memory(kir_opcode opcode) {
    switch (opcode) {
    case KIR_load:
    case KIR_load_strided:
    case KIR_load_indexed:
    case KIR_store:
    case KIR_store_strided:
    case KIR_prefetch:
    case KIR_tile_load:
    case KIR_tile_load_past:
    case KIR_tile_store: return true;
    default: return false;
    }
}

/* " x[%g*16 + 3] count 9 stride 64", the part after the operation's name. */
static void print_memory(const printer *p, const kir_node *node) {
    text_append(p->out, " %s[", p->kernel->arguments[node->argument].name);
    print_index(p, &node->index);
    text_append(p->out, "]");
    int lanes = 0;
    if (node->opcode == KIR_load || node->opcode == KIR_load_strided || node->opcode == KIR_load_indexed)
        lanes = p->kernel->registers[node->result].lanes;
    else if (node->opcode == KIR_store || node->opcode == KIR_store_strided)
        lanes = p->kernel->registers[node->operands[0]].lanes;
    if (lanes > 1 && node->count != lanes)
        text_append(p->out, " count %d", node->count);
    if (node->opcode == KIR_load_strided || node->opcode == KIR_store_strided || node->opcode == KIR_tile_load ||
        node->opcode == KIR_tile_load_past || node->opcode == KIR_tile_store)
        text_append(p->out, " stride %" PRId64, node->stride);
}

static void print_operands(const printer *p, const kir_node *node) {
    for (int i = 0; i < kir_op_operands(node->opcode); i++) {
        text_append(p->out, "%s", i ? ", " : " ");
        print_reg(p, node->operands[i]);
    }
}

static void print_attributes(const printer *p, const kir_node *node) {
    switch (node->opcode) {
    case KIR_constant:
        text_append(p->out, " ");
        text_append_number(p->out, node->number);
        break;
    case KIR_affine:
        text_append(p->out, " ");
        print_index(p, &node->index);
        break;
    case KIR_lane: text_append(p->out, " lane %d", node->attribute); break;
    case KIR_random_uniform:
    case KIR_random_normal: text_append(p->out, " stream %d", node->attribute); break;
    default: break;
    }
}

static void print_instruction(printer *p, const kir_node *node) {
    if (node->result >= 0) {
        print_reg(p, node->result);
        if (!p->declared[node->result]) {
            text_append(p->out, " : ");
            print_type(p->out, p->kernel->registers[node->result]);
            p->declared[node->result] = true;
        }
        text_append(p->out, " = ");
    }
    text_append(p->out, "%s", kir_op_name(node->opcode));
    if (reaches_memory(node->opcode))
        print_memory(p, node);
    print_operands(p, node);
    print_attributes(p, node);
    text_append(p->out, "\n");
}

static void print_block(printer *p, const kir_block *block);

static void print_loop(printer *p, const kir_node *node) {
    text_append(p->out, "for ");
    print_reg(p, node->result);
    text_append(p->out, " = ");
    print_index(p, &node->from);
    text_append(p->out, " to ");
    print_index(p, &node->limit);
    if (node->step != 1)
        text_append(p->out, " step %" PRId64, node->step);
    text_append(p->out, " {\n");
    print_block(p, &node->body);
    print_indent(p);
    text_append(p->out, "}\n");
}

static void print_if(printer *p, const kir_node *node) {
    text_append(p->out, "if ");
    print_reg(p, node->operands[0]);
    text_append(p->out, " {\n");
    print_block(p, &node->body);
    if (node->otherwise.first) {
        print_indent(p);
        text_append(p->out, "} else {\n");
        print_block(p, &node->otherwise);
    }
    print_indent(p);
    text_append(p->out, "}\n");
}

static void print_block(printer *p, const kir_block *block) {
    p->depth++;
    for (const kir_node *node = block->first; node; node = node->next) {
        print_indent(p);
        switch (node->kind) {
        case KIR_INSTRUCTION: print_instruction(p, node); break;
        case KIR_LOOP: print_loop(p, node); break;
        case KIR_IF: print_if(p, node); break;
        }
    }
    p->depth--;
}

static void print_argument(text_buffer *out, const kir_argument *argument) {
    text_append(out, "  %s %s : %s[%" PRId64 "%s]", argument->scratch ? "scratch" : "arg", argument->name,
                kir_element_name(argument->element), argument->each ? argument->each : argument->elements,
                argument->each ? " each" : "");
    if (!argument->scratch)
        text_append(out, "%s%s%s", argument->reads ? " in" : "", argument->writes ? " out" : "",
                    argument->streams ? " streamed" : "");
    text_append(out, "\n");
}

/* " ; path:line:column" where the place is known. */
static void print_place(const kir_program *program, source_span span, text_buffer *out) {
    const source_table *sources = program->module ? program->module->sources : NULL;
    if (sources && span.line > 0 && span.file >= 0 && span.file < sources->count)
        text_append(out, " ; %s:%d:%d", sources->files[span.file].path, span.line, span.column);
}

static void print_kernel_at(const kir_program *program, const kir_kernel *kernel, text_buffer *out) {
    text_append(out, "kernel @%s ", kernel->name);
    text_append_number(out, kernel->flops);
    text_append(out, " flops/iteration {");
    if (program)
        print_place(program, kernel->span, out);
    text_append(out, "\n");
    for (int i = 0; i < kernel->argument_count; i++)
        print_argument(out, &kernel->arguments[i]);
    arena *memory = arena_new();
    printer p = {.kernel = kernel, .out = out};
    p.declared = arena_alloc(memory, (size_t)kernel->register_count);
    if (kernel->library)
        text_append(out,
                    "  library product of [%" PRId64 ", %" PRId64 "]%s and [%" PRId64 ", %" PRId64 "]%s, %" PRId64
                    " rows an iteration\n",
                    kernel->library->rows, kernel->library->inner,
                    kernel->library->left_transposed ? " transposed" : "", kernel->library->inner,
                    kernel->library->columns, kernel->library->right_transposed ? " transposed" : "",
                    kernel->library->block);
    print_block(&p, &kernel->body);
    arena_free(memory);
    text_append(out, "}\n");
}

void kir_print_kernel(const kir_kernel *kernel, text_buffer *out) {
    print_kernel_at(NULL, kernel, out);
}

/* ---- programs ------------------------------------------------------------------------------------------------- */

static const char *region_name(kir_region region) {
    return region == KIR_STATE ? "state" : "arena";
}

static void print_buffers(const kir_program *program, text_buffer *out) {
    for (int i = 0; i < program->buffer_count; i++) {
        const kir_buffer *buffer = &program->buffers[i];
        text_append(out, "buffer #%d %s : %s %" PRId64 " bytes in %s", i, buffer->name,
                    kir_element_name(buffer->element), buffer->bytes, region_name(buffer->region));
        if (buffer->offset >= 0)
            text_append(out, " at %" PRId64, buffer->offset);
        text_append(out, "%s", buffer->fixed ? " fixed" : "");
        print_place(program, buffer->span, out);
        text_append(out, "\n");
    }
}

static void print_view(const kir_program *program, int number, text_buffer *out) {
    const kir_view *view = &program->views[number];
    if (view->kernel < 0)
        return;
    text_append(out, "view %s by @%s", program->module->views[number].name, program->kernels[view->kernel]->name);
    text_append(out, " strides %" PRId64 ", %" PRId64 ", %" PRId64 "\n", view->strides[0], view->strides[1],
                view->strides[2]);
}

static void print_part(const kir_program *program, const kir_launch *launch, int part, text_buffer *out) {
    int count = kir_buffer_arguments(program->kernels[launch->kernel]);
    text_append(out, "(");
    for (int i = 0; i < count; i++) {
        int position = part * count + i, buffer = launch->buffers[position];
        int64_t offset = launch->byte_offsets ? launch->byte_offsets[position] : 0;
        text_append(out, "%s#%d %s", i ? ", " : "", buffer, program->buffers[buffer].name);
        if (offset)
            text_append(out, " + %" PRId64, offset);
    }
    text_append(out, ")");
}

static void print_launch(const kir_program *program, const kir_launch *launch, text_buffer *out) {
    text_append(out, "  launch @%s extent %" PRId64 " ", program->kernels[launch->kernel]->name, launch->extent);
    if (launch->rounds != 1)
        text_append(out, "rounds %" PRId64 " ", launch->rounds);
    if (launch->nanoseconds != 0)
        text_append(out, "%" PRId64 " ns ", launch->nanoseconds);
    if (launch->part_count > 1)
        text_append(out, "in %d parts", launch->part_count);
    else
        print_part(program, launch, 0, out);
    print_place(program, launch->span, out);
    text_append(out, "\n");
    for (int part = 0; launch->part_count > 1 && part < launch->part_count; part++) {
        text_append(out, "    part of %" PRId64 " ", launch->part_extents[part]);
        print_part(program, launch, part, out);
        text_append(out, "\n");
    }
}

static void print_ports(const char *label, const kir_port *ports, int count, text_buffer *out) {
    for (int i = 0; i < count; i++)
        text_append(out, "  %s %s #%d\n", label, ports[i].name, ports[i].buffer);
}

static void print_function(const kir_program *program, const kir_function *function, text_buffer *out) {
    text_append(out, "function @%s {", function->name);
    if (function->arena_bytes)
        text_append(out, " ; arena %" PRId64 ", lower bound %" PRId64 ", without reuse %" PRId64 " bytes",
                    function->arena_bytes, function->lower_bound, function->naive_bytes);
    text_append(out, "\n");
    print_ports("input", function->inputs, function->input_count, out);
    print_ports("output", function->outputs, function->output_count, out);
    for (int i = 0; i < function->launch_count; i++)
        print_launch(program, &function->launches[i], out);
    text_append(out, "}\n");
}

void kir_print(const kir_program *program, text_buffer *out) {
    for (int i = 0; i < program->kernel_count; i++) {
        print_kernel_at(program, program->kernels[i], out);
        text_append(out, "\n");
    }
    print_buffers(program, out);
    for (int i = 0; program->views && i < program->module->view_count; i++)
        print_view(program, i, out);
    for (int i = 0; i < program->function_count; i++) {
        text_append(out, "\n");
        print_function(program, &program->functions[i], out);
    }
}
