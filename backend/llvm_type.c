/* Types, constants and intrinsics of LLVM as the kernel IR needs them. */
#include "backend/llvm.h"

#include <assert.h>
#include <string.h>

enum { MAX_LANES = 64 };

LLVMTypeRef llvm_element_type(const llvm_unit *unit, kir_element element) {
    switch (element) {
    case KIR_F32: return unit->f32;
    case KIR_BF16: return unit->i16;
    case KIR_I32: return unit->i32;
    case KIR_I64: return unit->i64;
    case KIR_U8: return unit->i8;
    default: return unit->boolean;
    }
}

LLVMTypeRef llvm_memory_type(const llvm_unit *unit, kir_element element) {
    return element == KIR_BOOL ? unit->i8 : llvm_element_type(unit, element);
}

LLVMTypeRef llvm_value_type(const llvm_unit *unit, kir_type type) {
    LLVMTypeRef element = llvm_element_type(unit, type.element);
    return type.lanes > 1 ? LLVMVectorType(element, (unsigned)type.lanes) : element;
}

LLVMValueRef llvm_i64(const llvm_unit *unit, int64_t number) {
    return LLVMConstInt(unit->i64, (unsigned long long)number, true);
}

LLVMValueRef llvm_i32(const llvm_unit *unit, int64_t number) {
    return LLVMConstInt(unit->i32, (unsigned long long)number, true);
}

static uint16_t bf16_bits(double number) {
    float single = (float)number;
    uint32_t bits;
    memcpy(&bits, &single, sizeof bits);
    if (single != single)
        return (uint16_t)(bits >> 16 | 64);
    return (uint16_t)((bits + 32767 + (bits >> 16 & 1)) >> 16);
}

static LLVMValueRef scalar_number(const llvm_unit *unit, kir_element element, double number) {
    switch (element) {
    case KIR_F32: return LLVMConstReal(unit->f32, (double)(float)number);
    case KIR_BF16: return LLVMConstInt(unit->i16, bf16_bits(number), false);
    case KIR_BOOL: return LLVMConstInt(unit->boolean, number != 0, false);
    default: return LLVMConstInt(llvm_element_type(unit, element), (unsigned long long)(int64_t)number, true);
    }
}

LLVMValueRef llvm_number(const llvm_unit *unit, kir_type type, double number) {
    LLVMValueRef scalar = scalar_number(unit, type.element, number), lanes[MAX_LANES];
    if (type.lanes == 1)
        return scalar;
    assert(type.lanes <= MAX_LANES);
    for (int i = 0; i < type.lanes; i++)
        lanes[i] = scalar;
    return LLVMConstVector(lanes, (unsigned)type.lanes);
}

LLVMValueRef llvm_intrinsic(const llvm_unit *unit, const char *name, LLVMTypeRef *types, int type_count,
                            LLVMValueRef *operands, int operand_count) {
    unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
    assert(id != 0);
    LLVMValueRef function = LLVMGetIntrinsicDeclaration(unit->module, id, types, (size_t)type_count);
    LLVMTypeRef type = LLVMIntrinsicGetType(unit->context, id, types, (size_t)type_count);
    return LLVMBuildCall2(unit->builder, type, function, operands, (unsigned)operand_count, "");
}
