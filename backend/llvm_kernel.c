/* One kernel as an LLVM function: loops and branches; instructions are written elsewhere. */
#include "backend/llvm.h"

#include <stdio.h>
#include <string.h>

/* ---- registers and indices --------------------------------------------------------------------------------------- */

LLVMValueRef llvm_slot(const llvm_kernel *write, LLVMTypeRef type, const char *name) {
    LLVMBuilderRef builder = write->unit->builder;
    LLVMBasicBlockRef here = LLVMGetInsertBlock(builder);
    LLVMValueRef first = LLVMGetFirstInstruction(write->entry);
    if (first)
        LLVMPositionBuilderBefore(builder, first);
    else
        LLVMPositionBuilderAtEnd(builder, write->entry);
    LLVMValueRef slot = LLVMBuildAlloca(builder, type, name);
    LLVMPositionBuilderAtEnd(builder, here);
    return slot;
}

static LLVMTypeRef register_type(const llvm_kernel *write, kir_reg reg) {
    kir_type type = write->kernel->registers[reg];
    return type.rows > 0 ? llvm_tile_type(write->unit, type) : llvm_value_type(write->unit, type);
}

static LLVMValueRef register_slot(const llvm_kernel *write, kir_reg reg) {
    if (!write->slots[reg]) {
        char name[16];
        snprintf(name, sizeof name, "r%d", reg);
        write->slots[reg] = llvm_slot(write, register_type(write, reg), name);
    }
    return write->slots[reg];
}

LLVMValueRef llvm_get(const llvm_kernel *write, kir_reg reg) {
    if (write->plain[reg])
        return write->values[reg];
    return LLVMBuildLoad2(write->unit->builder, register_type(write, reg), register_slot(write, reg), "");
}

void llvm_set(const llvm_kernel *write, kir_reg reg, LLVMValueRef value) {
    if (write->plain[reg])
        write->values[reg] = value;
    else
        LLVMBuildStore(write->unit->builder, value, register_slot(write, reg));
}

LLVMValueRef llvm_index(const llvm_kernel *write, const kir_node_index *index) {
    LLVMBuilderRef builder = write->unit->builder;
    LLVMValueRef sum = NULL;
    for (int i = 0; i < index->term_count; i++) {
        LLVMValueRef term = llvm_get(write, index->terms[i].reg);
        if (index->terms[i].coefficient != 1)
            term = LLVMBuildNSWMul(builder, term, llvm_i64(write->unit, index->terms[i].coefficient), "");
        sum = sum ? LLVMBuildNSWAdd(builder, sum, term, "") : term;
    }
    if (!sum)
        return llvm_i64(write->unit, index->base);
    return index->base ? LLVMBuildNSWAdd(builder, sum, llvm_i64(write->unit, index->base), "") : sum;
}

LLVMValueRef llvm_address(const llvm_kernel *write, const kir_node *node) {
    LLVMTypeRef type = llvm_memory_type(write->unit, write->kernel->arguments[node->argument].element);
    LLVMValueRef index = llvm_index(write, &node->index);
    return LLVMBuildGEP2(write->unit->builder, type, write->arguments[node->argument], &index, 1, "");
}

/* ---- structure --------------------------------------------------------------------------------------------------- */

static void write_block(const llvm_kernel *write, const kir_block *block);

static LLVMBasicBlockRef new_block(const llvm_kernel *write, const char *name) {
    return LLVMAppendBasicBlockInContext(write->unit->context, write->function, name);
}

static void write_loop(const llvm_kernel *write, const kir_node *node) {
    llvm_unit *unit = write->unit;
    LLVMBuilderRef builder = unit->builder;
    LLVMBasicBlockRef head = new_block(write, "loop"), body = new_block(write, "body"), after = new_block(write, "end");
    llvm_set(write, node->result, llvm_index(write, &node->from));
    LLVMBuildBr(builder, head);
    LLVMPositionBuilderAtEnd(builder, head);
    LLVMValueRef more =
        LLVMBuildICmp(builder, LLVMIntSLT, llvm_get(write, node->result), llvm_index(write, &node->limit), "");
    LLVMBuildCondBr(builder, more, body, after);
    LLVMPositionBuilderAtEnd(builder, body);
    write_block(write, &node->body);
    llvm_debug_place(unit, write->scope, node->span);
    LLVMValueRef next =
        LLVMBuildNSWAdd(builder, llvm_get(write, node->result), llvm_i64(unit, node->step ? node->step : 1), "");
    llvm_set(write, node->result, next);
    LLVMBuildBr(builder, head);
    LLVMPositionBuilderAtEnd(builder, after);
}

static void write_if(const llvm_kernel *write, const kir_node *node) {
    LLVMBuilderRef builder = write->unit->builder;
    LLVMBasicBlockRef yes = new_block(write, "then"), after = new_block(write, "end");
    LLVMBasicBlockRef no = node->otherwise.first ? new_block(write, "else") : after;
    LLVMBuildCondBr(builder, llvm_get(write, node->operands[0]), yes, no);
    LLVMPositionBuilderAtEnd(builder, yes);
    write_block(write, &node->body);
    LLVMBuildBr(builder, after);
    if (no != after) {
        LLVMPositionBuilderAtEnd(builder, no);
        write_block(write, &node->otherwise);
        LLVMBuildBr(builder, after);
    }
    LLVMPositionBuilderAtEnd(builder, after);
}

static void write_block(const llvm_kernel *write, const kir_block *block) {
    for (const kir_node *node = block->first; node; node = node->next) {
        llvm_debug_place(write->unit, write->scope, node->span);
        switch (node->kind) {
        case KIR_INSTRUCTION: llvm_write_instruction(write, node); break;
        case KIR_LOOP: write_loop(write, node); break;
        case KIR_IF: write_if(write, node); break;
        }
        llvm_write_tile_releases(write, node);
    }
}

/* ---- functions --------------------------------------------------------------------------------------------------- */

static void add_attribute(const llvm_unit *unit, LLVMValueRef function, const char *name, const char *value) {
    LLVMAddAttributeAtIndex(
        function, LLVMAttributeFunctionIndex,
        LLVMCreateStringAttribute(unit->context, name, (unsigned)strlen(name), value, (unsigned)strlen(value)));
}

static LLVMAttributeRef enum_attribute(const llvm_unit *unit, const char *name) {
    return LLVMCreateEnumAttribute(unit->context, LLVMGetEnumAttributeKindForName(name, strlen(name)), 0);
}

/* Where the buffers are known not to overlap: as parameters of a function of their own. */
static LLVMValueRef body_function(llvm_kernel *write) {
    llvm_unit *unit = write->unit;
    const kir_kernel *kernel = write->kernel;
    int count = kernel->argument_count;
    LLVMTypeRef *types = arena_alloc(unit->memory, (size_t)(count + 2) * sizeof *types);
    for (int i = 0; i < count; i++)
        types[i] = unit->pointer;
    types[count] = types[count + 1] = unit->i64;
    char name[300];
    snprintf(name, sizeof name, "%s", kernel->name);
    LLVMTypeRef type = LLVMFunctionType(unit->none, types, (unsigned)count + 2, false);
    LLVMValueRef function = LLVMAddFunction(unit->module, name, type);
    LLVMSetLinkage(function, LLVMInternalLinkage);
    for (int i = 0; i < count; i++) {
        LLVMAddAttributeAtIndex(function, (LLVMAttributeIndex)i + 1, enum_attribute(unit, "noalias"));
        if (!kernel->arguments[i].writes && !kernel->arguments[i].scratch)
            LLVMAddAttributeAtIndex(function, (LLVMAttributeIndex)i + 1, enum_attribute(unit, "readonly"));
        write->arguments[i] = LLVMGetParam(function, (unsigned)i);
        LLVMSetValueName2(write->arguments[i], kernel->arguments[i].name, strlen(kernel->arguments[i].name));
    }
    LLVMAddAttributeAtIndex(function, LLVMAttributeFunctionIndex, enum_attribute(unit, "noinline"));
    LLVMAddAttributeAtIndex(function, LLVMAttributeFunctionIndex, enum_attribute(unit, "nounwind"));
    if (unit->target->lanes >= 16) { /* else LLVM splits vectors in two on some processors */
        add_attribute(unit, function, "prefer-vector-width", "512");
        add_attribute(unit, function, "min-legal-vector-width", "512");
    }
    return function;
}

/* for (g = begin; g < end; g++) body */
static void write_iterations(llvm_kernel *write) {
    llvm_unit *unit = write->unit;
    LLVMBuilderRef builder = unit->builder;
    int count = write->kernel->argument_count;
    write->entry = new_block(write, "entry");
    LLVMBasicBlockRef start = new_block(write, "start"), head = new_block(write, "iterations");
    LLVMBasicBlockRef body = new_block(write, "iteration"), after = new_block(write, "done");
    LLVMPositionBuilderAtEnd(builder, start);
    llvm_write_tile_units_begin(write);
    llvm_set(write, 0, LLVMGetParam(write->function, (unsigned)count));
    LLVMBuildBr(builder, head);
    LLVMPositionBuilderAtEnd(builder, head);
    LLVMValueRef more =
        LLVMBuildICmp(builder, LLVMIntSLT, llvm_get(write, 0), LLVMGetParam(write->function, (unsigned)count + 1), "");
    LLVMBuildCondBr(builder, more, body, after);
    LLVMPositionBuilderAtEnd(builder, body);
    write_block(write, &write->kernel->body);
    llvm_set(write, 0, LLVMBuildNSWAdd(builder, llvm_get(write, 0), llvm_i64(unit, 1), ""));
    LLVMBuildBr(builder, head);
    LLVMPositionBuilderAtEnd(builder, after);
    llvm_write_tile_units_end(write);
    LLVMBuildRetVoid(builder);
    LLVMPositionBuilderAtEnd(builder, write->entry);
    LLVMBuildBr(builder, start);
}

/* rt_product(left, right, result, begin, end, …) */
static void write_library_product(llvm_kernel *write) {
    llvm_unit *unit = write->unit;
    const kir_library_product *product = write->kernel->library;
    LLVMTypeRef types[11];
    for (int i = 0; i < 11; i++)
        types[i] = i < 3 ? unit->pointer : i < 9 ? unit->i64 : unit->i32;
    LLVMTypeRef type = LLVMFunctionType(unit->none, types, 11, false);
    LLVMValueRef function = LLVMGetNamedFunction(unit->module, "rt_product");
    if (!function)
        function = LLVMAddFunction(unit->module, "rt_product", type);
    LLVMValueRef operands[11] = {write->arguments[0], write->arguments[1], write->arguments[2],
                                 LLVMGetParam(write->function, 3), LLVMGetParam(write->function, 4)};
    const int64_t numbers[] = {product->rows, product->columns, product->inner, product->block};
    for (int i = 0; i < 4; i++)
        operands[5 + i] = llvm_i64(unit, numbers[i]);
    operands[9] = llvm_i32(unit, product->left_transposed);
    operands[10] = llvm_i32(unit, product->right_transposed);
    write->entry = new_block(write, "entry");
    LLVMPositionBuilderAtEnd(unit->builder, write->entry);
    LLVMBuildCall2(unit->builder, type, function, operands, 11, "");
    LLVMBuildRetVoid(unit->builder);
}

/* k_NAME(args, scratch, begin, end): what the runtime calls; it takes the pointers apart. */
static void write_entry(const llvm_kernel *write) {
    llvm_unit *unit = write->unit;
    LLVMBuilderRef builder = unit->builder;
    const kir_kernel *kernel = write->kernel;
    char name[300];
    snprintf(name, sizeof name, "k_%s", kernel->name);
    llvm_declare_kernel(unit, kernel);
    LLVMValueRef entry = LLVMGetNamedFunction(unit->module, name);
    LLVMSetVisibility(entry, LLVMHiddenVisibility);
    LLVMMetadataRef scope = llvm_debug_function(unit, entry, name, kernel->span);
    LLVMPositionBuilderAtEnd(builder, LLVMAppendBasicBlockInContext(unit->context, entry, "entry"));
    llvm_debug_place(unit, scope, kernel->span);
    int count = kernel->argument_count, bound = 0;
    LLVMValueRef *operands = arena_alloc(unit->memory, (size_t)(count + 2) * sizeof *operands);
    for (int i = 0; i < count; i++) {
        bool scratch = kernel->arguments[i].scratch;
        LLVMValueRef offset = llvm_i64(unit, scratch ? kir_scratch_offset(kernel, i) : bound++);
        LLVMValueRef place = LLVMBuildGEP2(builder, scratch ? unit->i8 : unit->pointer,
                                           LLVMGetParam(entry, scratch ? 1 : 0), &offset, 1, "");
        operands[i] = scratch ? place : LLVMBuildLoad2(builder, unit->pointer, place, "");
    }
    operands[count] = LLVMGetParam(entry, 2);
    operands[count + 1] = LLVMGetParam(entry, 3);
    LLVMBuildCall2(builder, LLVMGlobalGetValueType(write->function), write->function, operands, (unsigned)count + 2,
                   "");
    LLVMBuildRetVoid(builder);
}

void llvm_write_kernel(llvm_unit *unit, const kir_kernel *kernel) {
    arena *memory = arena_new();
    llvm_kernel write = {.unit = unit, .kernel = kernel};
    write.arguments = arena_alloc(memory, (size_t)(kernel->argument_count + 1) * sizeof *write.arguments);
    write.slots = arena_alloc(memory, (size_t)kernel->register_count * sizeof *write.slots);
    write.values = arena_alloc(memory, (size_t)kernel->register_count * sizeof *write.values);
    write.plain = arena_alloc(memory, (size_t)kernel->register_count * sizeof *write.plain);
    write.multiples = arena_alloc(memory, (size_t)kernel->register_count * sizeof *write.multiples);
    llvm_find_plain_registers(kernel, memory, write.plain);
    kir_find_multiples(kernel, write.multiples);
    if (unit->target->matrix_units)
        llvm_find_tile_places(kernel, memory, &write.tiles);
    write.function = body_function(&write);
    write.scope = llvm_debug_function(unit, write.function, kernel->name, kernel->span);
    llvm_debug_place(unit, write.scope, kernel->span);
    if (kernel->library)
        write_library_product(&write);
    else
        write_iterations(&write);
    write_entry(&write);
    arena_free(memory);
}
