/* What object code is made from, as bytes: equal bytes give equal code, names and lines of the spec included. */
#include "backend/llvm.h"

/* A file by its path: its number may differ from one spec to the next. */
static void append_place(const llvm_source *source, source_span span, text_buffer *key) {
    const source_table *sources = source->program->module->sources;
    bool known = sources && span.file >= 0 && span.file < sources->count;
    text_append(key, "%s:%d:%d\n", known ? sources->files[span.file].path : "", (int)span.line, (int)span.column);
}

static void append_places(const llvm_source *source, const kir_block *block, text_buffer *key) {
    source_span last = {0};
    for (const kir_node *node = block->first; node; node = node->next) {
        bool same = node->span.file == last.file && node->span.line == last.line && node->span.column == last.column;
        if (!same)
            append_place(source, node->span, key);
        last = node->span;
        text_append_bytes(key, "-", 1);
        append_places(source, &node->body, key);
        append_places(source, &node->otherwise, key);
    }
}

void llvm_append_kernel_key(const llvm_source *source, const kir_kernel *kernel, text_buffer *key) {
    text_append(key, "kernel %s\n", kernel->name);
    append_place(source, (source_span){0}, key); /* the file that debug information names for the unit */
    append_place(source, kernel->span, key);
    kir_kernel_key(kernel, key);
    append_places(source, &kernel->body, key);
}

static void append_launch(const llvm_source *source, const kir_launch *launch, text_buffer *key) {
    const kir_program *program = source->program;
    text_append(key, "%s %lld %lld %lld", program->kernels[launch->kernel]->name, (long long)launch->extent,
                (long long)launch->rounds, (long long)launch->nanoseconds);
    for (int part = 0; launch->part_extents && part < launch->part_count; part++)
        text_append(key, " part %lld", (long long)launch->part_extents[part]);
    for (int i = 0; i < kir_launch_buffers(program, launch); i++) {
        const kir_buffer *buffer = &program->buffers[launch->buffers[i]];
        int64_t offset = buffer->offset + (launch->byte_offsets ? launch->byte_offsets[i] : 0);
        text_append(key, " %d:%lld", (int)buffer->region, (long long)offset);
    }
    text_append(key, "\n");
}

void llvm_append_program_key(const llvm_source *source, text_buffer *key) {
    const kir_program *program = source->program;
    text_append(key, "program %s %d\n%s\n", program->module->name, source->with_main, source->manifest);
    append_place(source, (source_span){0}, key);
    for (int i = 0; i < program->kernel_count; i++) /* the table that launches count in */
        text_append(key, "kernel %s\n", program->kernels[i]->name);
    for (int i = 0; i < program->function_count; i++) {
        const kir_function *function = &program->functions[i];
        text_append(key, "function %s\n", function->name);
        for (int j = 0; j < function->launch_count; j++)
            append_launch(source, &function->launches[j], key);
    }
    for (int i = 0; program->views && i < program->module->view_count; i++) {
        const kir_view *view = &program->views[i];
        text_append(key, "view %s %lld %lld %lld\n", view->kernel < 0 ? "-" : program->kernels[view->kernel]->name,
                    (long long)view->strides[0], (long long)view->strides[1], (long long)view->strides[2]);
    }
}
