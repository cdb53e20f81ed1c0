/* The libtcc back end: the scalar C of a program, compiled in memory within milliseconds. All use of libtcc is here. */
#include "backend/code.h"

#include <libtcc.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What the code calls in the C library. libtcc gets them by name, so that it needs no library of its own to be
 * installed; memmove and memset are what it makes of copies and initial values of structures. */
static const backend_symbol library_symbols[] = {
    {"sqrtf", (void (*)(void))sqrtf},     {"floorf", (void (*)(void))floorf}, {"sinf", (void (*)(void))sinf},
    {"cosf", (void (*)(void))cosf},       {"powf", (void (*)(void))powf},     {"fmodf", (void (*)(void))fmodf},
    {"memmove", (void (*)(void))memmove}, {"memset", (void (*)(void))memset},
};

static void collect_message(void *opaque, const char *message) {
    text_append(opaque, "%s\n", message);
}

static void add_symbols(TCCState *state, const backend_symbol *symbols, int count) {
    for (int i = 0; i < count; i++) {
        const void *address;
        memcpy(&address, &symbols[i].address, sizeof address);
        tcc_add_symbol(state, symbols[i].name, address);
    }
}

static bool build(TCCState *state, const text_buffer *source) {
    tcc_set_options(state, "-nostdlib");
    tcc_define_symbol(state, "CSL_NO_MAIN", NULL);
    if (tcc_set_output_type(state, TCC_OUTPUT_MEMORY) != 0 || tcc_compile_string(state, source->data) != 0)
        return false;
    int runtime_count;
    const backend_symbol *runtime = backend_runtime_symbols(&runtime_count);
    add_symbols(state, runtime, runtime_count);
    add_symbols(state, library_symbols, sizeof library_symbols / sizeof *library_symbols);
    return tcc_relocate(state, TCC_RELOCATE_AUTO) == 0;
}

static void release(void *state) {
    tcc_delete(state);
}

/* NULL when libtcc failed, with what it said in `messages`. */
static backend_code *compile(const text_buffer *source, text_buffer *messages) {
    TCCState *state = tcc_new();
    if (!state)
        return NULL;
    tcc_set_error_func(state, messages, collect_message);
    backend_code *code = build(state, source) ? calloc(1, sizeof *code) : NULL;
    if (code)
        *code = (backend_code){tcc_get_symbol(state, "csl_program"), state, release};
    if (code && code->program)
        return code;
    free(code);
    tcc_delete(state);
    return NULL;
}

backend_code *tcc_compile(const kir_program *program, diag_list *diags) {
    kir_target scalar;
    kir_target_named("scalar", &scalar);
    text_buffer source = {0}, messages = {0};
    backend_code *code = NULL;
    if (cgen_emit(program, &scalar, &source, diags)) {
        code = compile(&source, &messages);
        if (!code)
            diag_error(diags, (source_span){0}, "libtcc cannot compile the program: %s",
                       messages.length ? messages.data : "no memory");
    }
    text_free(&source);
    text_free(&messages);
    return code;
}
