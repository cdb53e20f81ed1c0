/* LLVM in memory and in executables: what becomes of a program's object files. */
#include "backend/llvm.h"

#include "backend/code.h"

#include <llvm-c/Error.h>
#include <llvm-c/LLJIT.h>
#include <stdlib.h>

static bool report_error(diag_list *diags, LLVMErrorRef error) {
    if (!error)
        return true;
    char *message = LLVMGetErrorMessage(error);
    diag_error(diags, (source_span){0}, "LLVM: %s", message);
    LLVMDisposeErrorMessage(message);
    return false;
}

/* ---- in memory -------------------------------------------------------------------------------------------------- */

static void release(void *handle) {
    LLVMConsumeError(LLVMOrcDisposeLLJIT(handle));
}

static LLVMErrorRef define_runtime(LLVMOrcLLJITRef jit) {
    enum { MAX_SYMBOLS = 64 };
    int count;
    const backend_symbol *symbols = backend_runtime_symbols(&count);
    LLVMOrcCSymbolMapPair pairs[MAX_SYMBOLS];
    for (int i = 0; i < count && i < MAX_SYMBOLS; i++) {
        pairs[i].Name = LLVMOrcLLJITMangleAndIntern(jit, symbols[i].name);
        pairs[i].Sym = (LLVMJITEvaluatedSymbol){(LLVMOrcExecutorAddress)(uintptr_t)symbols[i].address,
                                                {LLVMJITSymbolGenericFlagsExported, 0}};
    }
    return LLVMOrcJITDylibDefine(LLVMOrcLLJITGetMainJITDylib(jit), LLVMOrcAbsoluteSymbols(pairs, (size_t)count));
}

/* The C library is found in this process. */
static LLVMErrorRef define_library(LLVMOrcLLJITRef jit) {
    LLVMOrcDefinitionGeneratorRef generator;
    LLVMErrorRef error =
        LLVMOrcCreateDynamicLibrarySearchGeneratorForProcess(&generator, LLVMOrcLLJITGetGlobalPrefix(jit), NULL, NULL);
    if (!error)
        LLVMOrcJITDylibAddGenerator(LLVMOrcLLJITGetMainJITDylib(jit), generator);
    return error;
}

static backend_code *load_objects(LLVMMemoryBufferRef *objects, int count, diag_list *diags) {
    LLVMOrcLLJITRef jit = NULL;
    LLVMOrcExecutorAddress address = 0;
    bool good = report_error(diags, LLVMOrcCreateLLJIT(&jit, NULL));
    good = good && report_error(diags, define_runtime(jit)) && report_error(diags, define_library(jit));
    for (int i = 0; i < count; i++) { /* which takes the object */
        if (good)
            good = report_error(diags, LLVMOrcLLJITAddObjectFile(jit, LLVMOrcLLJITGetMainJITDylib(jit), objects[i]));
        else
            LLVMDisposeMemoryBuffer(objects[i]);
    }
    good = good && report_error(diags, LLVMOrcLLJITLookup(jit, &address, "csl_program"));
    backend_code *code = good ? calloc(1, sizeof *code) : NULL;
    if (code)
        *code = (backend_code){(const rt_program *)(uintptr_t)address, jit, release};
    else if (jit)
        release(jit);
    return code;
}

backend_code *llvm_compile_cached(const kir_program *program, const kir_target *target, backend_cache *cache,
                                  diag_list *diags) {
    if (!backend_runs_here(target, diags))
        return NULL;
    llvm_objects objects = llvm_make_objects(program, target, false, cache, diags);
    return objects.count ? load_objects(objects.items, objects.count, diags) : NULL;
}

backend_code *llvm_compile(const kir_program *program, const kir_target *target, diag_list *diags) {
    return llvm_compile_cached(program, target, NULL, diags);
}

/* ---- as files --------------------------------------------------------------------------------------------------- */

bool llvm_link(const kir_program *program, const kir_target *target, const char *runtime_library,
               const char *output_path, backend_cache *cache, diag_list *diags) {
    llvm_objects objects = llvm_make_objects(program, target, true, cache, diags);
    backend_bytes *bytes = arena_alloc(program->memory, (size_t)(objects.count + 1) * sizeof *bytes);
    for (int i = 0; i < objects.count; i++)
        bytes[i] = (backend_bytes){LLVMGetBufferStart(objects.items[i]), LLVMGetBufferSize(objects.items[i])};
    bool good = objects.count > 0 && backend_link(bytes, objects.count, runtime_library, output_path, diags);
    for (int i = 0; i < objects.count; i++)
        LLVMDisposeMemoryBuffer(objects.items[i]);
    return good;
}
