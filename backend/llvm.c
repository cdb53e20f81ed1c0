/* The LLVM back end: one module from its beginning over optimisation to machine code or text. */
#include "backend/llvm.h"

#include <llvm-c/Analysis.h>
#include <llvm-c/Error.h>
#include <llvm-c/ErrorHandling.h>
#include <llvm-c/Support.h>
#include <llvm-c/Target.h>
#include <llvm-c/Transforms/PassBuilder.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

/* Kernels say their own vectors and tiles, so what they need of LLVM is scalar clean-up and loop work; its usual O2,
 * with vectorisers, inliners and repetitions, takes fifteen times as long for the same code. */
static const char pipeline[] =
    "function(sroa,early-cse<memssa>,simplifycfg,instcombine<no-verify-fixpoint>,loop-mssa(loop-rotate,licm),"
    "loop(loop-deletion,loop-unroll-full),sroa,gvn,loop-mssa(licm),instcombine<no-verify-fixpoint>,simplifycfg)";

/* Reducing the strength of loops' addresses takes a sixth of code generation or more; steps are no faster for it
 * (docs/performance.md). Nor do kernels' loops need trying out, iteration by iteration, to see what unrolling them
 * would fold: those that pay are short. */
static const char *const switches[] = {"cslc", "-disable-lsr", "-unroll-max-iteration-count-to-analyze=0"};

static const struct {
    const char *cpu, *features;
} machines[] = {{"x86-64-v4", "+amx-tile,+amx-bf16,+avx512bf16"},
                {"x86-64-v4", "+avx512bf16"},
                {"x86-64-v4", ""},
                {"x86-64-v3", ""},
                {"x86-64", ""}};

static int machine_number(const kir_target *target) {
    if (target->matrix_units || target->pair_products)
        return target->matrix_units ? 0 : 1;
    return target->lanes >= 16 ? 2 : target->lanes >= 8 ? 3 : 4;
}

void llvm_append_machine(const kir_target *target, text_buffer *key) {
    int which = machine_number(target);
    text_append(key, "%s %s\n%s\n", machines[which].cpu, machines[which].features, pipeline);
    for (size_t i = 1; i < sizeof switches / sizeof *switches; i++)
        text_append(key, "%s\n", switches[i]);
}

/* ---- LLVM itself ------------------------------------------------------------------------------------------------ */

static void fatal(const char *reason) {
    fprintf(stderr, "cslc: error: LLVM cannot go on: %s\n", reason);
    _exit(1);
}

static void start(void) {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    LLVMInitializeX86AsmParser();
    LLVMResetFatalErrorHandler();
    LLVMInstallFatalErrorHandler(fatal);
    LLVMParseCommandLineOptions(sizeof switches / sizeof *switches, switches, "");
}

/* LLVM's own state is the process's, and takes its switches once. */
void llvm_start(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, start);
}

/* Keeps the first problem; takes LLVM's message. */
static bool failed(llvm_unit *unit, char *message) {
    if (!unit->problem)
        unit->problem = arena_strdup(unit->memory, message && *message ? message : "failed");
    LLVMDisposeMessage(message);
    return false;
}

/* ---- units ------------------------------------------------------------------------------------------------------ */

static bool make_machine(llvm_unit *unit, LLVMCodeGenOptLevel level) {
    const char *triple = "x86_64-pc-linux-gnu";
    LLVMTargetRef x86;
    char *message = NULL;
    if (LLVMGetTargetFromTriple(triple, &x86, &message) != 0)
        return failed(unit, message);
    int which = machine_number(unit->target);
    unit->machine = LLVMCreateTargetMachine(x86, triple, machines[which].cpu, machines[which].features, level,
                                            LLVMRelocPIC, LLVMCodeModelDefault);
    return unit->machine != NULL;
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

llvm_source llvm_source_of(const kir_program *program, const kir_target *target, bool with_main) {
    const char *processor = kir_target_processor(&program->target);
    return (llvm_source){program, target, backend_manifest(program->memory, program, processor), with_main};
}

bool llvm_unit_begin(llvm_unit *unit, const llvm_source *source, LLVMCodeGenOptLevel level) {
    *unit = (llvm_unit){
        .program = source->program, .target = source->target, .manifest = source->manifest, .memory = arena_new()};
    if (!unit->memory || !make_machine(unit, level))
        return false;
    unit->context = LLVMContextCreate();
    unit->module = LLVMModuleCreateWithNameInContext(unit->program->module->name, unit->context);
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

void llvm_unit_end(llvm_unit *unit) {
    if (unit->builder)
        LLVMDisposeBuilder(unit->builder);
    if (unit->module)
        LLVMDisposeModule(unit->module);
    if (unit->context)
        LLVMContextDispose(unit->context);
    if (unit->machine)
        LLVMDisposeTargetMachine(unit->machine);
    if (unit->memory)
        arena_free(unit->memory);
}

/* Checks the module that was written; a mistake in it is one of ours. */
static bool verify(llvm_unit *unit) {
    char *message = NULL;
    if (LLVMVerifyModule(unit->module, LLVMReturnStatusAction, &message) != 0)
        return failed(unit, message);
    LLVMDisposeMessage(message);
    return true;
}

bool llvm_unit_optimize(llvm_unit *unit) {
    llvm_debug_end(unit);
    if (!verify(unit))
        return false;
    LLVMPassBuilderOptionsRef options = LLVMCreatePassBuilderOptions();
    LLVMErrorRef error = LLVMRunPasses(unit->module, pipeline, unit->machine, options);
    LLVMDisposePassBuilderOptions(options);
    if (!error)
        return true;
    char *message = LLVMGetErrorMessage(error);
    unit->problem = arena_strdup(unit->memory, message);
    LLVMDisposeErrorMessage(message);
    return false;
}

LLVMMemoryBufferRef llvm_unit_code(llvm_unit *unit, LLVMCodeGenFileType kind) {
    char *message = NULL;
    LLVMMemoryBufferRef code;
    if (LLVMTargetMachineEmitToMemoryBuffer(unit->machine, unit->module, kind, &message, &code) == 0)
        return code;
    failed(unit, message);
    return NULL;
}

bool llvm_unit_report(const llvm_unit *unit, diag_list *diags) {
    diag_error(diags, (source_span){0}, "LLVM: %s", unit->problem ? unit->problem : "failed");
    return false;
}

/* ---- stages to look at ------------------------------------------------------------------------------------------ */

static bool append_output(llvm_unit *unit, llvm_output kind, text_buffer *out) {
    if (kind == LLVM_TEXT) {
        char *text = LLVMPrintModuleToString(unit->module);
        text_append_bytes(out, text, strlen(text));
        LLVMDisposeMessage(text);
        return true;
    }
    LLVMMemoryBufferRef code = llvm_unit_code(unit, kind == LLVM_OBJECT ? LLVMObjectFile : LLVMAssemblyFile);
    if (!code)
        return false;
    text_append_bytes(out, LLVMGetBufferStart(code), LLVMGetBufferSize(code));
    LLVMDisposeMemoryBuffer(code);
    return true;
}

bool llvm_emit(const kir_program *program, const kir_target *target, llvm_output kind, text_buffer *out,
               diag_list *diags) {
    llvm_start();
    llvm_source source = llvm_source_of(program, target, true);
    llvm_unit unit;
    bool good = llvm_unit_begin(&unit, &source, LLVMCodeGenLevelDefault);
    for (int i = 0; i < program->kernel_count && good; i++)
        llvm_write_kernel(&unit, program->kernels[i]);
    if (good) {
        llvm_write_program(&unit, source.with_main);
        good = llvm_unit_optimize(&unit) && append_output(&unit, kind, out);
    }
    if (!good)
        llvm_unit_report(&unit, diags);
    llvm_unit_end(&unit);
    return good;
}
