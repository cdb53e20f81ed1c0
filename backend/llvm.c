/* The LLVM back end: modules, optimisation, machine code; in memory for `run`, as text or object files otherwise. */
#include "backend/llvm.h"

#include "backend/code.h"

#include <llvm-c/Analysis.h>
#include <llvm-c/Error.h>
#include <llvm-c/ErrorHandling.h>
#include <llvm-c/LLJIT.h>
#include <llvm-c/Target.h>
#include <llvm-c/Transforms/PassBuilder.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_UNITS = 8, UNIT_WORK = 3000 /* kernel IR nodes below which another thread does not pay */ };

/* Kernels say their own vectors and tiles, so what they need of LLVM is scalar clean-up and loop work; its usual O2,
 * with vectorisers, inliners and repetitions, takes fifteen times as long for the same code. */
static const char pipeline[] =
    "function(sroa,early-cse<memssa>,simplifycfg,instcombine<no-verify-fixpoint>,loop-mssa(loop-rotate,licm),"
    "simplifycfg,instcombine<no-verify-fixpoint>,loop(indvars,loop-deletion,loop-unroll-full),sroa,gvn,dse,"
    "loop-mssa(licm),instcombine<no-verify-fixpoint>,loop-unroll<O2>,simplifycfg)";

static const struct {
    const char *cpu, *features;
} machines[] = {{"x86-64-v4", "+amx-tile,+amx-bf16,+avx512bf16"},
                {"x86-64-v4", "+avx512bf16"},
                {"x86-64-v4", ""},
                {"x86-64-v3", ""},
                {"x86-64", ""}};

static int machine_of(const kir_target *target) {
    if (target->matrix_units || target->pair_products)
        return target->matrix_units ? 0 : 1;
    return target->lanes >= 16 ? 2 : target->lanes >= 8 ? 3 : 4;
}

/* ---- units
 * ----------------------------------------------------------------------------------------------------------- */

static bool report(diag_list *diags, char *message) {
    diag_error(diags, (source_span){0}, "LLVM: %s", message ? message : "failed");
    return false;
}

static bool report_error(diag_list *diags, LLVMErrorRef error) {
    if (!error)
        return true;
    char *message = LLVMGetErrorMessage(error);
    report(diags, message);
    LLVMDisposeErrorMessage(message);
    return false;
}

static void fatal(const char *reason) {
    fprintf(stderr, "cslc: error: LLVM cannot go on: %s\n", reason);
    _exit(1);
}

static void start_llvm(void) {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    LLVMInitializeX86AsmParser();
    LLVMResetFatalErrorHandler();
    LLVMInstallFatalErrorHandler(fatal);
}

static LLVMTargetMachineRef make_machine(const kir_target *target, diag_list *diags) {
    const char *triple = "x86_64-pc-linux-gnu";
    LLVMTargetRef x86;
    char *message = NULL;
    if (LLVMGetTargetFromTriple(triple, &x86, &message) != 0) {
        report(diags, message);
        LLVMDisposeMessage(message);
        return NULL;
    }
    int which = machine_of(target);
    return LLVMCreateTargetMachine(x86, triple, machines[which].cpu, machines[which].features, LLVMCodeGenLevelDefault,
                                   LLVMRelocPIC, LLVMCodeModelDefault);
}

static void make_types(llvm_unit *unit) {
    unit->boolean = LLVMInt1TypeInContext(unit->context);
    unit->i8 = LLVMInt8TypeInContext(unit->context);
    unit->i16 = LLVMInt16TypeInContext(unit->context);
    unit->i32 = LLVMInt32TypeInContext(unit->context);
    unit->i64 = LLVMInt64TypeInContext(unit->context);
    unit->f32 = LLVMFloatTypeInContext(unit->context);
    unit->pointer = LLVMPointerTypeInContext(unit->context, 0);
    unit->none = LLVMVoidTypeInContext(unit->context);
}

static bool unit_begin(llvm_unit *unit, const kir_program *program, const kir_target *target, diag_list *diags) {
    *unit = (llvm_unit){.program = program, .target = target, .machine = make_machine(target, diags)};
    if (!unit->machine)
        return false;
    unit->context = LLVMContextCreate();
    unit->module = LLVMModuleCreateWithNameInContext(program->module->name, unit->context);
    unit->builder = LLVMCreateBuilderInContext(unit->context);
    LLVMTargetDataRef layout = LLVMCreateTargetDataLayout(unit->machine);
    LLVMSetModuleDataLayout(unit->module, layout);
    LLVMDisposeTargetData(layout);
    char *triple = LLVMGetTargetMachineTriple(unit->machine);
    LLVMSetTarget(unit->module, triple);
    LLVMDisposeMessage(triple);
    make_types(unit);
    llvm_debug_begin(unit);
    return true;
}

static void unit_end(llvm_unit *unit) {
    if (unit->builder)
        LLVMDisposeBuilder(unit->builder);
    if (unit->module)
        LLVMDisposeModule(unit->module);
    if (unit->context)
        LLVMContextDispose(unit->context);
    if (unit->machine)
        LLVMDisposeTargetMachine(unit->machine);
}

/* Checks the module that was written; a mistake in it is one of ours. */
static bool unit_verify(llvm_unit *unit, diag_list *diags) {
    llvm_debug_end(unit);
    char *message = NULL;
    bool good = LLVMVerifyModule(unit->module, LLVMReturnStatusAction, &message) == 0;
    if (!good)
        report(diags, message);
    LLVMDisposeMessage(message);
    return good;
}

static LLVMErrorRef unit_optimize(llvm_unit *unit) {
    LLVMPassBuilderOptionsRef options = LLVMCreatePassBuilderOptions();
    LLVMErrorRef error = LLVMRunPasses(unit->module, pipeline, unit->machine, options);
    LLVMDisposePassBuilderOptions(options);
    return error;
}

/* ---- work on several threads
 * ------------------------------------------------------------------------------------------ */

typedef struct {
    llvm_unit unit;
    LLVMMemoryBufferRef object;
    LLVMErrorRef error;
    char *message;
} unit_job;

static void *compile_unit(void *argument) {
    unit_job *job = argument;
    job->error = unit_optimize(&job->unit);
    if (!job->error)
        LLVMTargetMachineEmitToMemoryBuffer(job->unit.machine, job->unit.module, LLVMObjectFile, &job->message,
                                            &job->object);
    return NULL;
}

static int block_work(const kir_block *block) {
    int work = 0;
    for (const kir_node *node = block->first; node; node = node->next)
        work += 1 + (node->kind == KIR_INSTRUCTION ? 0 : block_work(&node->body) + block_work(&node->otherwise));
    return work;
}

/* The kernels go to the units one after the other, each to that with the least work so far. */
static int assign_kernels(const kir_program *program, int *unit_of) {
    int total = 0, loads[MAX_UNITS] = {0};
    for (int i = 0; i < program->kernel_count; i++)
        total += block_work(&program->kernels[i]->body);
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    int count = 1 + total / UNIT_WORK;
    count = count > MAX_UNITS ? MAX_UNITS : count;
    count = count > processors ? (int)processors : count;
    for (int i = 0; i < program->kernel_count; i++) {
        int least = 0;
        for (int u = 1; u < count; u++)
            least = loads[u] < loads[least] ? u : least;
        unit_of[i] = least;
        loads[least] += block_work(&program->kernels[i]->body);
    }
    return count;
}

static bool write_units(const kir_program *program, const kir_target *target, bool with_main, unit_job *jobs, int count,
                        const int *unit_of, diag_list *diags) {
    for (int u = 0; u < count; u++) {
        llvm_unit *unit = &jobs[u].unit;
        if (!unit_begin(unit, program, target, diags))
            return false;
        for (int i = 0; i < program->kernel_count; i++)
            if (unit_of[i] == u)
                llvm_write_kernel(unit, program->kernels[i]);
        if (u == 0)
            llvm_write_program(unit, with_main);
        if (!unit_verify(unit, diags))
            return false;
    }
    return true;
}

static bool run_jobs(unit_job *jobs, int count, diag_list *diags) {
    pthread_t threads[MAX_UNITS];
    bool started[MAX_UNITS] = {false}, good = true;
    for (int u = 1; u < count; u++)
        started[u] = pthread_create(&threads[u], NULL, compile_unit, &jobs[u]) == 0;
    for (int u = 0; u < count; u++) {
        if (started[u])
            pthread_join(threads[u], NULL);
        else
            compile_unit(&jobs[u]);
        good &= report_error(diags, jobs[u].error);
        if (jobs[u].message)
            good = report(diags, jobs[u].message);
    }
    return good;
}

/* The program as object files; the number of them, or 0 after adding diagnostics. */
static int compile_objects(const kir_program *program, const kir_target *target, bool with_main,
                           LLVMMemoryBufferRef *objects, diag_list *diags) {
    start_llvm();
    int *unit_of = arena_alloc(program->memory, (size_t)(program->kernel_count + 1) * sizeof *unit_of);
    int count = assign_kernels(program, unit_of);
    unit_job jobs[MAX_UNITS] = {0};
    bool good = write_units(program, target, with_main, jobs, count, unit_of, diags) && run_jobs(jobs, count, diags);
    for (int u = 0; u < count; u++) {
        unit_end(&jobs[u].unit);
        if (good)
            objects[u] = jobs[u].object;
        else if (jobs[u].object)
            LLVMDisposeMemoryBuffer(jobs[u].object);
        if (jobs[u].message)
            LLVMDisposeMessage(jobs[u].message);
    }
    return good ? count : 0;
}

/* ---- in memory
 * -------------------------------------------------------------------------------------------------------- */

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

backend_code *llvm_compile(const kir_program *program, const kir_target *target, diag_list *diags) {
    LLVMMemoryBufferRef objects[MAX_UNITS];
    if (!backend_runs_here(target, diags))
        return NULL;
    int count = compile_objects(program, target, false, objects, diags);
    return count ? load_objects(objects, count, diags) : NULL;
}

/* ---- as files
 * --------------------------------------------------------------------------------------------------------- */

bool llvm_link(const kir_program *program, const kir_target *target, const char *runtime_library,
               const char *output_path, diag_list *diags) {
    LLVMMemoryBufferRef objects[MAX_UNITS];
    backend_bytes bytes[MAX_UNITS];
    int count = compile_objects(program, target, true, objects, diags);
    for (int i = 0; i < count; i++)
        bytes[i] = (backend_bytes){LLVMGetBufferStart(objects[i]), LLVMGetBufferSize(objects[i])};
    bool good = count > 0 && backend_link(bytes, count, runtime_library, output_path, diags);
    for (int i = 0; i < count; i++)
        LLVMDisposeMemoryBuffer(objects[i]);
    return good;
}

static bool append_machine_code(llvm_unit *unit, LLVMCodeGenFileType kind, text_buffer *out, diag_list *diags) {
    char *message = NULL;
    LLVMMemoryBufferRef code;
    if (LLVMTargetMachineEmitToMemoryBuffer(unit->machine, unit->module, kind, &message, &code) != 0) {
        report(diags, message);
        LLVMDisposeMessage(message);
        return false;
    }
    text_append_bytes(out, LLVMGetBufferStart(code), LLVMGetBufferSize(code));
    LLVMDisposeMemoryBuffer(code);
    return true;
}

static bool append_output(llvm_unit *unit, llvm_output kind, text_buffer *out, diag_list *diags) {
    if (kind != LLVM_TEXT)
        return append_machine_code(unit, kind == LLVM_OBJECT ? LLVMObjectFile : LLVMAssemblyFile, out, diags);
    char *text = LLVMPrintModuleToString(unit->module);
    text_append_bytes(out, text, strlen(text));
    LLVMDisposeMessage(text);
    return true;
}

bool llvm_emit(const kir_program *program, const kir_target *target, llvm_output kind, text_buffer *out,
               diag_list *diags) {
    start_llvm();
    unit_job job = {0};
    int *unit_of = arena_alloc(program->memory, (size_t)(program->kernel_count + 1) * sizeof *unit_of); /* all 0 */
    bool good = write_units(program, target, true, &job, 1, unit_of, diags) &&
                report_error(diags, unit_optimize(&job.unit)) && append_output(&job.unit, kind, out, diags);
    unit_end(&job.unit);
    return good;
}
