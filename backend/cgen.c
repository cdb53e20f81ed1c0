/* The C back end: one file from a planned kernel program. */
#include "backend/cgen.h"
#include "backend/code.h"

#include <inttypes.h>

static void append_string_literal(const char *text, text_buffer *out) {
    text_append(out, "    \"");
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '\n')
            text_append(out, text[1] ? "\\n\"\n    \"" : "\\n");
        else if (c == '"' || c == '\\')
            text_append(out, "\\%c", c);
        else if (c < 32 || c == 127)
            text_append(out, "\\%03o", c);
        else
            text_append_bytes(out, text, 1);
    }
    text_append(out, "\"");
}

/* Text from outside within a comment, which it must not end. */
static void append_in_comment(const char *text, text_buffer *out) {
    for (; *text; text++)
        text_append_bytes(out, *text == '\n' || (text[0] == '*' && text[1] == '/') ? " " : text, 1);
}

/* "path:line" of the spec, or nothing where the place is unknown. */
static void append_place(const kir_program *program, source_span span, text_buffer *out) {
    const source_table *sources = program->module->sources;
    if (span.line <= 0 || !sources || span.file < 0 || span.file >= sources->count)
        return;
    append_in_comment(sources->files[span.file].path, out);
    text_append(out, ":%d", span.line);
}

/* The number of iterations up to the end of each part. */
static void write_ends(const kir_launch *launch, text_buffer *out) {
    int64_t end = 0;
    text_append(out, "        static const int64_t ends[] = {");
    for (int part = 0; part < launch->part_count; part++)
        text_append(out, "%s%" PRId64, part ? ", " : "", end += launch->part_extents[part]);
    text_append(out, "};\n");
}

static void write_launch(const kir_program *program, const kir_launch *launch, text_buffer *out) {
    const kir_kernel *kernel = program->kernels[launch->kernel];
    text_append(out, "    { /* ");
    append_place(program, launch->span, out);
    text_append(out, " */\n        void *const args[] = {");
    for (int i = 0; i < kir_launch_buffers(program, launch); i++) {
        const kir_buffer *buffer = &program->buffers[launch->buffers[i]];
        int64_t offset = buffer->offset + (launch->byte_offsets ? launch->byte_offsets[i] : 0);
        text_append(out, "%sframe->%s + %" PRId64, i ? ", " : "", buffer->region == KIR_STATE ? "state" : "arena",
                    offset);
    }
    text_append(out, "};\n");
    if (launch->part_count > 1) {
        write_ends(launch, out);
        text_append(out, "        rt_launch_parts(frame, k_%s, args, %d, ends, %d, %" PRId64 ");\n    }\n",
                    kernel->name, kir_buffer_arguments(kernel), launch->part_count, launch->nanoseconds);
    } else {
        text_append(out, "        rt_launch(frame, k_%s, args, %" PRId64 ", %" PRId64 ", %" PRId64 ");\n    }\n",
                    kernel->name, launch->extent, launch->rounds, launch->nanoseconds);
    }
}

static void write_function(const kir_program *program, const kir_function *function, text_buffer *out) {
    text_append(out,
                "static void csl_%s(const rt_frame *frame, void *context) {\n    (void)context;\n    (void)frame;\n",
                function->name);
    for (int i = 0; i < function->launch_count; i++)
        write_launch(program, &function->launches[i], out);
    text_append(out, "}\n\n");
}

/* What makes the pictures of each view; the last element keeps the table from being empty. */
static void write_views(const kir_program *program, text_buffer *out) {
    text_append(out, "static const rt_view_code views[] = {\n");
    for (int i = 0; program->views && i < program->module->view_count; i++) {
        const kir_view *view = &program->views[i];
        const char *name = view->kernel >= 0 ? program->kernels[view->kernel]->name : "";
        text_append(out, "    {{%" PRId64 ", %" PRId64 ", %" PRId64 "}, %s%s, 0},\n", view->strides[0],
                    view->strides[1], view->strides[2], *name ? "k_" : "0", name);
    }
    text_append(out, "    {{0}, 0, 0},\n};\n\n");
}

static void write_comment(const kir_program *program, text_buffer *out) {
    const source_table *sources = program->module->sources;
    text_append(out, "/* ");
    append_in_comment(program->module->name, out);
    if (sources && sources->count) {
        text_append(out, " from ");
        append_in_comment(sources->files[0].path, out);
    }
    text_append(
        out,
        ", compiled by cslc. With the sources of cslc at DIR and its runtime library:\n"
        " *   cc -O3 -march=native -fno-math-errno -I DIR THIS.c libcslrt.a -lopenblas -ljpeg -lpng -lz -lpthread -lm\n"
        " * A kernel's rN are the registers of --emit=kernels; -DCSL_NO_MAIN leaves out main. */\n");
}

/* libtcc would take a vector for a scalar without a word. */
static bool check_scalar(const kir_program *program, diag_list *diags) {
    for (int k = 0; k < program->kernel_count; k++) {
        const kir_kernel *kernel = program->kernels[k];
        for (int r = 0; r < kernel->register_count; r++) {
            if (kernel->registers[r].lanes == 1 && kernel->registers[r].rows == 0)
                continue;
            diag_error(diags, kernel->span, "kernel %s has vectors, which scalar C cannot express", kernel->name);
            return false;
        }
    }
    return true;
}

bool cgen_emit(const kir_program *program, const kir_target *target, text_buffer *out, diag_list *diags) {
    bool scalar = target->lanes == 1;
    if (scalar && !check_scalar(program, diags))
        return false;
    write_comment(program, out);
    cgen_head(program, scalar, out);
    for (int i = 0; i < program->kernel_count; i++)
        cgen_kernel(program->kernels[i], out);
    for (int i = 0; i < program->function_count; i++)
        write_function(program, &program->functions[i], out);
    text_append(out, "static const char manifest[] =\n");
    append_string_literal(backend_manifest(program->memory, program, backend_c_processor(&program->target)), out);
    text_append(out, ";\n\nstatic const rt_entry entries[] = {\n");
    for (int i = 0; i < program->function_count; i++)
        text_append(out, "    {\"%s\", csl_%s, 0},\n", program->functions[i].name, program->functions[i].name);
    text_append(out, "};\n\n");
    write_views(program, out);
    text_append(out, "const rt_program csl_program = {manifest, %d, entries, views};\n", program->function_count);
    text_append(out, "\n#ifndef CSL_NO_MAIN\nint main(int argc, char **argv) {\n"
                     "    return rt_main(argc, argv, &csl_program);\n}\n#endif\n");
    return true;
}
