/* The C back end: one file from a planned kernel program. */
#include "backend/cgen.h"

#include <string.h>

static void append_string_literal(const char *text, text_buffer *out) {
    text_append(out, "    \"");
    for (; *text; text++) {
        if (*text == '\n')
            text_append(out, text[1] ? "\\n\"\n    \"" : "\\n");
        else if (*text == '"' || *text == '\\')
            text_append(out, "\\%c", *text);
        else
            text_append_bytes(out, text, 1);
    }
    text_append(out, "\"");
}

static void write_launch(const kir_program *program, const kir_launch *launch, text_buffer *out) {
    const kir_kernel *kernel = program->kernels[launch->kernel];
    const source_table *sources = program->module->sources;
    if (launch->span.line > 0 && sources && launch->span.file < sources->count)
        text_append(out, "    /* %s:%d */\n", sources->files[launch->span.file].path, launch->span.line);
    text_append(out, "    { void *const args[] = {");
    int bound = 0;
    for (int i = 0; i < kernel->argument_count; i++) {
        if (kernel->arguments[i].scratch)
            continue;
        const kir_buffer *buffer = &program->buffers[launch->buffers[bound]];
        text_append(out, "%sframe->%s + %lld", bound ? ", " : "", buffer->region == KIR_STATE ? "state" : "arena",
                    (long long)(buffer->offset + launch->byte_offsets[bound]));
        bound++;
    }
    text_append(out, "};\n      rt_launch(frame, k_%s, args, %lld); }\n", kernel->name, (long long)launch->extent);
}

static void write_function(const kir_program *program, const kir_function *function, text_buffer *out) {
    text_append(out, "static void csl_%s(const rt_frame *frame, void *context) {\n    (void)context; (void)frame;\n", function->name);
    for (int i = 0; i < function->launch_count; i++)
        write_launch(program, &function->launches[i], out);
    text_append(out, "}\n\n");
}

static int lanes_of(const kir_program *program) {
    for (int k = 0; k < program->kernel_count; k++)
        for (int r = 0; r < program->kernels[k]->register_count; r++)
            if (program->kernels[k]->registers[r].lanes > 1)
                return program->kernels[k]->registers[r].lanes;
    return 1;
}

bool cgen_emit(const kir_program *program, const kir_target *target, text_buffer *out, diag_list *diags) {
    (void)diags;
    int lanes = lanes_of(program);
    cgen_head(program, target->lanes == 1 ? 1 : lanes > 1 ? lanes : target->lanes, out);
    for (int i = 0; i < program->kernel_count; i++)
        cgen_kernel(program->kernels[i], out);
    for (int i = 0; i < program->function_count; i++)
        write_function(program, &program->functions[i], out);
    text_append(out, "static const char manifest[] =\n");
    append_string_literal(backend_manifest(program->memory, program), out);
    text_append(out, ";\n\nstatic const rt_entry entries[] = {\n");
    for (int i = 0; i < program->function_count; i++)
        text_append(out, "    {\"%s\", csl_%s, 0},\n", program->functions[i].name, program->functions[i].name);
    text_append(out, "};\n\nconst rt_program csl_program = {manifest, %d, entries};\n", program->function_count);
    if (target->lanes > 1)
        text_append(out, "\n#ifndef CSL_NO_MAIN\nint main(int argc, char **argv) {\n    return rt_main(argc, argv, &csl_program);\n}\n#endif\n");
    return true;
}
