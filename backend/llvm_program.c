/* Functions of a program in LLVM: their launches in order, the manifest and the table that the runtime starts from. */
#include "backend/llvm.h"

#include <stdio.h>
#include <string.h>

/* struct rt_frame { char *state, *arena; rt_pool *pool; } and the tables of runtime/program.h */
enum { FRAME_STATE = 0, FRAME_ARENA = 1 };

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

static LLVMValueRef declare_launch(const llvm_unit *unit) {
    LLVMTypeRef parameters[] = {unit->pointer, unit->pointer, unit->pointer, unit->i64, unit->i64};
    return declare_function(unit, "rt_launch", unit->none, parameters, 5);
}

static LLVMValueRef declare_launch_parts(const llvm_unit *unit) {
    LLVMTypeRef parameters[] = {unit->pointer, unit->pointer, unit->pointer, unit->i64, unit->pointer, unit->i64};
    return declare_function(unit, "rt_launch_parts", unit->none, parameters, 6);
}

/* ---- functions ------------------------------------------------------------------------------------------------------
 */

typedef struct {
    llvm_unit *unit;
    LLVMValueRef frame, state, arena, arguments, launch;
} function_writer;

static LLVMValueRef frame_pointer(const function_writer *write, int field) {
    LLVMBuilderRef builder = write->unit->builder;
    LLVMValueRef index = llvm_i64(write->unit, field);
    LLVMValueRef place = LLVMBuildGEP2(builder, write->unit->pointer, write->frame, &index, 1, "");
    return LLVMBuildLoad2(builder, write->unit->pointer, place, field == FRAME_STATE ? "state" : "arena");
}

static LLVMValueRef constant_table(const llvm_unit *unit, LLVMValueRef value, const char *name) {
    LLVMValueRef global = LLVMAddGlobal(unit->module, LLVMTypeOf(value), name);
    LLVMSetInitializer(global, value);
    LLVMSetGlobalConstant(global, true);
    LLVMSetLinkage(global, LLVMInternalLinkage);
    return global;
}

/* The places of the launch's buffers, part after part, into `arguments`. */
static void write_arguments(const function_writer *write, const kir_launch *launch) {
    llvm_unit *unit = write->unit;
    LLVMBuilderRef builder = unit->builder;
    for (int i = 0; i < kir_launch_buffers(unit->program, launch); i++) {
        const kir_buffer *buffer = &unit->program->buffers[launch->buffers[i]];
        LLVMValueRef offset = llvm_i64(unit, buffer->offset + (launch->byte_offsets ? launch->byte_offsets[i] : 0));
        LLVMValueRef base = buffer->region == KIR_STATE ? write->state : write->arena, which = llvm_i64(unit, i);
        LLVMValueRef place = LLVMBuildGEP2(builder, unit->pointer, write->arguments, &which, 1, "");
        LLVMBuildStore(builder, LLVMBuildGEP2(builder, unit->i8, base, &offset, 1, ""), place);
    }
}

/* The number of iterations up to the end of each part. */
static LLVMValueRef part_ends(const llvm_unit *unit, const kir_launch *launch) {
    LLVMValueRef *ends = arena_alloc(unit->program->memory, (size_t)launch->part_count * sizeof *ends);
    int64_t end = 0;
    for (int part = 0; part < launch->part_count; part++)
        ends[part] = llvm_i64(unit, end += launch->part_extents[part]);
    return constant_table(unit, LLVMConstArray2(unit->i64, ends, (unsigned)launch->part_count), "ends");
}

static void write_launch(const function_writer *write, const kir_launch *launch) {
    llvm_unit *unit = write->unit;
    const kir_kernel *kernel = unit->program->kernels[launch->kernel];
    write_arguments(write, launch);
    if (launch->part_count > 1) {
        LLVMValueRef operands[] = {write->frame,
                                   kernel_entry(unit, kernel),
                                   write->arguments,
                                   llvm_i64(unit, kir_buffer_arguments(kernel)),
                                   part_ends(unit, launch),
                                   llvm_i64(unit, launch->part_count)};
        LLVMValueRef callee = declare_launch_parts(unit);
        LLVMBuildCall2(unit->builder, LLVMGlobalGetValueType(callee), callee, operands, 6, "");
        return;
    }
    LLVMValueRef operands[] = {write->frame, kernel_entry(unit, kernel), write->arguments,
                               llvm_i64(unit, launch->extent), llvm_i64(unit, launch->rounds)};
    LLVMBuildCall2(unit->builder, LLVMGlobalGetValueType(write->launch), write->launch, operands, 5, "");
}

static int most_arguments(const kir_program *program, const kir_function *function) {
    int most = 1;
    for (int i = 0; i < function->launch_count; i++) {
        int count = kir_launch_buffers(program, &function->launches[i]);
        most = count > most ? count : most;
    }
    return most;
}

/* Launches are thousands of stores and calls in a row, run once a step: optimising them costs more than it gains. */
static void leave_unoptimized(const llvm_unit *unit, LLVMValueRef function) {
    static const char *const names[] = {"optnone", "noinline"};
    for (int i = 0; i < 2; i++) {
        unsigned kind = LLVMGetEnumAttributeKindForName(names[i], strlen(names[i]));
        LLVMAddAttributeAtIndex(function, (LLVMAttributeIndex)LLVMAttributeFunctionIndex,
                                LLVMCreateEnumAttribute(unit->context, kind, 0));
    }
}

static LLVMValueRef write_function(llvm_unit *unit, const kir_function *function) {
    char name[300];
    snprintf(name, sizeof name, "csl_%s", function->name);
    LLVMTypeRef parameters[] = {unit->pointer, unit->pointer};
    LLVMValueRef value = LLVMAddFunction(unit->module, name, LLVMFunctionType(unit->none, parameters, 2, false));
    LLVMSetLinkage(value, LLVMInternalLinkage);
    leave_unoptimized(unit, value);
    source_span start = function->launch_count ? function->launches[0].span : (source_span){0};
    LLVMMetadataRef scope = llvm_debug_function(unit, value, name, start);
    LLVMPositionBuilderAtEnd(unit->builder, LLVMAppendBasicBlockInContext(unit->context, value, "entry"));
    llvm_debug_place(unit, scope, start);
    function_writer write = {.unit = unit, .frame = LLVMGetParam(value, 0), .launch = declare_launch(unit)};
    write.state = frame_pointer(&write, FRAME_STATE);
    write.arena = frame_pointer(&write, FRAME_ARENA);
    LLVMTypeRef places = LLVMArrayType2(unit->pointer, (unsigned)most_arguments(unit->program, function));
    write.arguments = LLVMBuildAlloca(unit->builder, places, "arguments");
    for (int i = 0; i < function->launch_count; i++) {
        llvm_debug_place(unit, scope, function->launches[i].span);
        write_launch(&write, &function->launches[i]);
    }
    LLVMBuildRetVoid(unit->builder);
    return value;
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
    LLVMValueRef *entries = arena_alloc(unit->memory, (size_t)program->function_count * sizeof *entries);
    for (int i = 0; i < program->function_count; i++) {
        LLVMValueRef parts[] = {constant_text(unit, program->functions[i].name, "name"),
                                write_function(unit, &program->functions[i]), LLVMConstNull(unit->pointer)};
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
