/* Functions of a program in LLVM: tables of their launches in order, the manifest and what the runtime starts from. */
#include "backend/llvm.h"

#include <stdio.h>
#include <string.h>

LLVMTypeRef llvm_kernel_type(const llvm_unit *unit) {
    LLVMTypeRef parameters[] = {unit->pointer, unit->pointer, unit->i64, unit->i64};
    return LLVMFunctionType(unit->none, parameters, 4, false);
}

void llvm_declare_kernel(const llvm_unit *unit, const kir_kernel *kernel) {
    char name[300];
    snprintf(name, sizeof name, "k_%s", kernel->name);
    if (!LLVMGetNamedFunction(unit->module, name))
        LLVMSetVisibility(LLVMAddFunction(unit->module, name, llvm_kernel_type(unit)), LLVMHiddenVisibility);
}

static LLVMValueRef kernel_entry(const llvm_unit *unit, const kir_kernel *kernel) {
    char name[300];
    snprintf(name, sizeof name, "k_%s", kernel->name);
    llvm_declare_kernel(unit, kernel);
    return LLVMGetNamedFunction(unit->module, name);
}

static LLVMValueRef declare_function(const llvm_unit *unit, const char *name, LLVMTypeRef result,
                                     LLVMTypeRef *parameters, int count) {
    LLVMValueRef function = LLVMGetNamedFunction(unit->module, name);
    return function ? function
                    : LLVMAddFunction(unit->module, name, LLVMFunctionType(result, parameters, (unsigned)count, false));
}

/* ---- launches -------------------------------------------------------------------------------------------------------
 */

static LLVMValueRef constant_table(const llvm_unit *unit, LLVMValueRef value, const char *name) {
    LLVMValueRef global = LLVMAddGlobal(unit->module, LLVMTypeOf(value), name);
    LLVMSetInitializer(global, value);
    LLVMSetGlobalConstant(global, true);
    LLVMSetLinkage(global, LLVMInternalLinkage);
    return global;
}

/* Kernels by their numbers. */
static LLVMValueRef kernel_table(const llvm_unit *unit) {
    const kir_program *program = unit->program;
    LLVMValueRef *kernels = arena_alloc(unit->memory, (size_t)(program->kernel_count + 1) * sizeof *kernels);
    for (int i = 0; i < program->kernel_count; i++)
        kernels[i] = kernel_entry(unit, program->kernels[i]);
    LLVMValueRef array = LLVMConstArray2(unit->pointer, kernels, (unsigned)program->kernel_count);
    return constant_table(unit, array, "kernels");
}

static int launch_parts(const kir_launch *launch) {
    return launch->part_count > 1 ? launch->part_count : 1;
}

static int64_t launch_number_count(const kir_program *program, const kir_launch *launch) {
    int parts = launch_parts(launch);
    return 6 + (parts > 1 ? parts : 0) + kir_launch_buffers(program, launch);
}

/* The launch as rt_launch_list says it, from `next` on; returns what follows. */
static LLVMValueRef *put_launch(const llvm_unit *unit, const kir_launch *launch, LLVMValueRef *next) {
    const kir_program *program = unit->program;
    int parts = launch_parts(launch);
    *next++ = llvm_i64(unit, launch->kernel);
    *next++ = llvm_i64(unit, kir_buffer_arguments(program->kernels[launch->kernel]));
    *next++ = llvm_i64(unit, parts);
    *next++ = llvm_i64(unit, launch->extent);
    *next++ = llvm_i64(unit, launch->rounds);
    *next++ = llvm_i64(unit, launch->nanoseconds);
    int64_t end = 0;
    for (int part = 0; parts > 1 && part < parts; part++)
        *next++ = llvm_i64(unit, end += launch->part_extents[part]);
    for (int i = 0; i < kir_launch_buffers(program, launch); i++) {
        const kir_buffer *buffer = &program->buffers[launch->buffers[i]];
        int64_t offset = buffer->offset + (launch->byte_offsets ? launch->byte_offsets[i] : 0);
        *next++ = llvm_i64(unit, 2 * offset + (buffer->region != KIR_STATE));
    }
    return next;
}

static LLVMValueRef launch_numbers(const llvm_unit *unit, const kir_function *function) {
    int64_t count = 0;
    for (int i = 0; i < function->launch_count; i++)
        count += launch_number_count(unit->program, &function->launches[i]);
    LLVMValueRef *numbers = arena_alloc(unit->memory, (size_t)(count + 1) * sizeof *numbers), *next = numbers;
    for (int i = 0; i < function->launch_count; i++)
        next = put_launch(unit, &function->launches[i], next);
    return constant_table(unit, LLVMConstArray2(unit->i64, numbers, (uint64_t)count), "launches");
}

/* A function as an rt_launch_list: as calls, run once a step, its launches would be a third of all code. */
static LLVMValueRef launch_list(const llvm_unit *unit, const kir_function *function, LLVMValueRef kernels) {
    int64_t most_places = 0;
    for (int i = 0; i < function->launch_count; i++) {
        int places = kir_launch_buffers(unit->program, &function->launches[i]);
        most_places = places > most_places ? places : most_places;
    }
    LLVMValueRef parts[] = {kernels, launch_numbers(unit, function), llvm_i64(unit, function->launch_count),
                            llvm_i64(unit, most_places)};
    return constant_table(unit, LLVMConstStructInContext(unit->context, parts, 4, false), function->name);
}

/* ---- tables ---------------------------------------------------------------------------------------------------------
 */

static LLVMValueRef constant_text(const llvm_unit *unit, const char *text, const char *name) {
    return constant_table(unit, LLVMConstStringInContext2(unit->context, text, strlen(text), false), name);
}

static LLVMValueRef entry_table(llvm_unit *unit) {
    const kir_program *program = unit->program;
    LLVMTypeRef fields[] = {unit->pointer, unit->pointer, unit->pointer};
    LLVMTypeRef entry = LLVMStructTypeInContext(unit->context, fields, 3, false);
    LLVMValueRef kernels = kernel_table(unit), run = declare_function(unit, "rt_run_launches", unit->none, fields, 2);
    LLVMValueRef *entries = arena_alloc(unit->memory, (size_t)program->function_count * sizeof *entries);
    for (int i = 0; i < program->function_count; i++) {
        LLVMValueRef parts[] = {constant_text(unit, program->functions[i].name, "name"), run,
                                launch_list(unit, &program->functions[i], kernels)};
        entries[i] = LLVMConstStructInContext(unit->context, parts, 3, false);
    }
    return constant_table(unit, LLVMConstArray2(entry, entries, (unsigned)program->function_count), "entries");
}

/* struct rt_view_code { int64_t strides[3]; kernel; apply; } of each view */
static LLVMValueRef view_table(llvm_unit *unit) {
    const kir_program *program = unit->program;
    int count = program->views ? program->module->view_count : 0;
    LLVMTypeRef fields[] = {LLVMArrayType2(unit->i64, 3), unit->pointer, unit->pointer};
    LLVMTypeRef type = LLVMStructTypeInContext(unit->context, fields, 3, false);
    LLVMValueRef *views = arena_alloc(unit->memory, (size_t)(count + 1) * sizeof *views);
    for (int i = 0; i < count; i++) {
        const kir_view *view = &program->views[i];
        LLVMValueRef strides[3], nothing = LLVMConstNull(unit->pointer);
        for (int axis = 0; axis < 3; axis++)
            strides[axis] = llvm_i64(unit, view->strides[axis]);
        LLVMValueRef parts[] = {LLVMConstArray2(unit->i64, strides, 3),
                                view->kernel < 0 ? nothing : kernel_entry(unit, program->kernels[view->kernel]),
                                nothing};
        views[i] = LLVMConstStructInContext(unit->context, parts, 3, false);
    }
    return constant_table(unit, LLVMConstArray2(type, views, (unsigned)count), "views");
}

/* int main(int argc, char **argv) { return rt_main(argc, argv, &csl_program); } */
static void write_main(llvm_unit *unit, LLVMValueRef program) {
    LLVMTypeRef parameters[] = {unit->i32, unit->pointer, unit->pointer};
    LLVMValueRef start = declare_function(unit, "rt_main", unit->i32, parameters, 3);
    LLVMValueRef function = declare_function(unit, "main", unit->i32, parameters, 2);
    LLVMMetadataRef scope = llvm_debug_function(unit, function, "main", (source_span){0});
    LLVMPositionBuilderAtEnd(unit->builder, LLVMAppendBasicBlockInContext(unit->context, function, "entry"));
    llvm_debug_place(unit, scope, (source_span){0});
    LLVMValueRef operands[] = {LLVMGetParam(function, 0), LLVMGetParam(function, 1), program};
    LLVMBuildRet(unit->builder, LLVMBuildCall2(unit->builder, LLVMGlobalGetValueType(start), start, operands, 3, ""));
}

void llvm_write_program(llvm_unit *unit, bool with_main) {
    LLVMValueRef parts[] = {constant_text(unit, unit->manifest, "manifest"),
                            llvm_i32(unit, unit->program->function_count), entry_table(unit), view_table(unit)};
    LLVMValueRef table = LLVMConstStructInContext(unit->context, parts, 4, false);
    LLVMValueRef global = LLVMAddGlobal(unit->module, LLVMTypeOf(table), "csl_program");
    LLVMSetInitializer(global, table);
    LLVMSetGlobalConstant(global, true);
    if (with_main)
        write_main(unit, global);
}
