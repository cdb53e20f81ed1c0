/* For the fuzzers of the compiler: one compilation, and what must hold for every module that comes out of one. */
#ifndef TESTS_FUZZ_COMPILER_H
#define TESTS_FUZZ_COMPILER_H

#include "passes/pass.h"

#include "input_file.h"

#include <string.h>

typedef struct {
    arena *memory;
    source_table sources;
    diag_list diags;
} compilation;

static inline void compilation_begin(compilation *work) {
    *work = (compilation){.memory = arena_new()};
    work->sources.memory = work->memory;
    work->diags = (diag_list){.memory = work->memory, .sources = &work->sources};
}

static inline void compilation_end(compilation *work) {
    text_buffer text = {0};
    diag_render(&work->diags, &text, true);
    text_free(&text);
    arena_free(work->memory);
}

/* Shows what the compiler said and stops. */
static inline _Noreturn void compilation_broken(compilation *work, const char *what) {
    text_buffer text = {0};
    diag_render(&work->diags, &text, false);
    fprintf(stderr, "%s\n%s", what, text.data ? text.data : "");
    abort();
}

/* The module is valid, and its text reads back to the same text. */
static inline void check_module(compilation *work, const ir_module *module) {
    if (!ir_verify(module, &work->diags))
        compilation_broken(work, "invalid IR");
    text_buffer first = {0}, second = {0};
    ir_print(module, &first);
    ir_module *again = ir_parse(work->memory, &work->diags, "printed", first.data, first.length);
    if (!again)
        compilation_broken(work, "the printed IR does not read back");
    ir_print(again, &second);
    if (strcmp(first.data, second.data) != 0) {
        fprintf(stderr, "%s\n----\n%s", first.data, second.data);
        compilation_broken(work, "the IR's round trip");
    }
    text_free(&first);
    text_free(&second);
}

/* Runs the pipeline, the verifier after every pass; only an error that a user can cause may stop it. */
static inline void check_passes(compilation *work, ir_module *module) {
    pass_context context = {.memory = work->memory, .diags = &work->diags, .module = module};
    kir_target_named("portable", &context.target);
    pass_options options = {.verify = true};
    pass_run_pipeline(&context, &options);
    for (int i = 0; i < work->diags.count; i++)
        if (strstr(work->diags.entries[i].message, "bug in cslc"))
            compilation_broken(work, "a pass left invalid IR");
}

static inline int module_values(const ir_module *module) {
    int count = 0;
    for (int i = 0; i < module->function_count; i++)
        count += module->functions[i]->value_count;
    return count;
}

#endif
