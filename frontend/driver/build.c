/* cslc SPEC: an executable, or a stage on the way to it. */
#include "frontend/driver/driver.h"

#include <string.h>

static int emit_ast(driver_session *work) {
    fe_file *file = fe_load(work->memory, &work->diags, work->options->inputs.items[0]);
    if (!file)
        return STATUS_FAILED;
    text_buffer text = {0};
    fe_print(file, &text);
    int status = driver_write(work->options->output, &text);
    text_free(&text);
    return status;
}

/* Appends the stage `kind` of the compiled program. */
static bool append_stage(driver_session *work, const char *kind, text_buffer *out) {
    const pass_context *passes = &work->passes;
    if (strcmp(kind, "ir") == 0)
        ir_print(passes->module, out);
    else if (strcmp(kind, "dot") == 0)
        ir_print_dot(passes->module, out);
    else if (strcmp(kind, "kernels") == 0)
        kir_print(passes->program, out);
    else if (strcmp(kind, "c") == 0)
        return cgen_emit(passes->program, &passes->target, out, &work->diags);
    else
        return llvm_emit(passes->program, &passes->target,
                         kind[0] == 'l'   ? LLVM_TEXT
                         : kind[0] == 'a' ? LLVM_ASSEMBLY
                                          : LLVM_OBJECT,
                         out, &work->diags);
    return true;
}

static int emit(driver_session *work) {
    const char *kind = work->options->emit;
    static const char *const kinds[] = {"ast", "ir", "dot", "kernels", "c", "llvm", "asm", "obj"};
    bool known = false;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        known |= strcmp(kind, kinds[i]) == 0;
    if (!known)
        return driver_usage_error("nothing to emit called '%s'", kind,
                                  diag_suggest(kind, kinds, sizeof kinds / sizeof *kinds));
    if (strcmp(kind, "ast") == 0)
        return emit_ast(work);
    bool module_only = strcmp(kind, "ir") == 0 || strcmp(kind, "dot") == 0;
    if (!driver_compile_program(work, module_only ? "lower" : NULL))
        return STATUS_FAILED;
    text_buffer text = {0};
    int status = append_stage(work, kind, &text) ? driver_write(work->options->output, &text) : STATUS_FAILED;
    text_free(&text);
    return status;
}

int driver_build(driver_session *work) {
    const driver_options *options = work->options;
    if (options->emit)
        return emit(work);
    int backend = driver_choose_backend(options);
    if (backend < 0)
        return STATUS_USAGE;
    if (!options->output || !*options->output)
        return driver_usage_error("compiling '%s' needs -o PROGRAM or --emit=KIND", options->inputs.items[0], NULL);
    if (!driver_backend_links(backend))
        return driver_usage_error("the back end '%s' makes no executables; use it with run", options->backend, NULL);
    return driver_compile_program(work, NULL) && driver_link(work, backend, options->output) ? STATUS_GOOD
                                                                                             : STATUS_FAILED;
}
