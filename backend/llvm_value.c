/* Instructions of the kernel IR as LLVM values. */
#include "backend/llvm.h"

#include <assert.h>

enum { MAX_LANES = 64 };

static kir_type type_of(const llvm_kernel *write, kir_reg reg) {
    return write->kernel->registers[reg];
}

static LLVMValueRef operand(const llvm_kernel *write, const kir_node *node, int which) {
    return llvm_get(write, node->operands[which]);
}

/* Whether the operands are floating-point numbers. */
static bool is_real(const llvm_kernel *write, const kir_node *node) {
    return type_of(write, node->operands[0]).element == KIR_F32;
}

/* A product and the sum it goes into may be rounded once, where the target can; nothing else is left to LLVM. */
static LLVMValueRef contractible(const llvm_kernel *write, LLVMValueRef value) {
    if (write->unit->target->fma && LLVMIsAInstruction(value) && LLVMCanValueUseFastMathFlags(value))
        LLVMSetFastMathFlags(value, LLVMFastMathAllowContract);
    return value;
}

/* ---- arithmetic ----------------------------------------------------------------------------------------------------
 */

static LLVMOpcode binary_opcode(kir_opcode opcode, bool real) {
    switch (opcode) {
    case KIR_add: return real ? LLVMFAdd : LLVMAdd;
    case KIR_sub: return real ? LLVMFSub : LLVMSub;
    case KIR_mul: return real ? LLVMFMul : LLVMMul;
    case KIR_div: return real ? LLVMFDiv : LLVMSDiv;
    case KIR_rem: return real ? LLVMFRem : LLVMSRem;
    case KIR_and: return LLVMAnd;
    case KIR_or: return LLVMOr;
    case KIR_shift_left: return LLVMShl;
    default: assert(opcode == KIR_shift_right); return LLVMAShr;
    }
}

static LLVMValueRef write_binary(const llvm_kernel *write, const kir_node *node) {
    LLVMOpcode opcode = binary_opcode(node->opcode, is_real(write, node));
    LLVMValueRef value =
        LLVMBuildBinOp(write->unit->builder, opcode, operand(write, node, 0), operand(write, node, 1), "");
    return opcode == LLVMFAdd || opcode == LLVMFSub || opcode == LLVMFMul ? contractible(write, value) : value;
}

static LLVMValueRef compare(const llvm_kernel *write, const kir_node *node, kir_opcode how) {
    LLVMValueRef a = operand(write, node, 0), b = operand(write, node, 1);
    LLVMBuilderRef builder = write->unit->builder;
    if (is_real(write, node)) {
        LLVMRealPredicate predicate = how == KIR_equal ? LLVMRealOEQ : how == KIR_less ? LLVMRealOLT : LLVMRealOLE;
        return LLVMBuildFCmp(builder,
                             how == KIR_max   ? LLVMRealOGT
                             : how == KIR_min ? LLVMRealOLT
                                              : predicate,
                             a, b, "");
    }
    LLVMIntPredicate predicate = how == KIR_equal ? LLVMIntEQ : how == KIR_less ? LLVMIntSLT : LLVMIntSLE;
    return LLVMBuildICmp(builder, how == KIR_max ? LLVMIntSGT : how == KIR_min ? LLVMIntSLT : predicate, a, b, "");
}

static LLVMValueRef write_extreme(const llvm_kernel *write, const kir_node *node) {
    LLVMValueRef first = compare(write, node, node->opcode);
    return LLVMBuildSelect(write->unit->builder, first, operand(write, node, 0), operand(write, node, 1), "");
}

static LLVMValueRef unary_intrinsic(const llvm_kernel *write, const char *name, LLVMValueRef value) {
    LLVMTypeRef type = LLVMTypeOf(value);
    return llvm_intrinsic(write->unit, name, &type, 1, &value, 1);
}

static LLVMValueRef write_fma(const llvm_kernel *write, const kir_node *node) {
    LLVMValueRef operands[] = {operand(write, node, 0), operand(write, node, 1), operand(write, node, 2)};
    LLVMBuilderRef builder = write->unit->builder;
    if (!is_real(write, node))
        return LLVMBuildAdd(builder, LLVMBuildMul(builder, operands[0], operands[1], ""), operands[2], "");
    if (!write->unit->target->fma)
        return LLVMBuildFAdd(builder, LLVMBuildFMul(builder, operands[0], operands[1], ""), operands[2], "");
    LLVMTypeRef type = LLVMTypeOf(operands[0]);
    return llvm_intrinsic(write->unit, "llvm.fma", &type, 1, operands, 3);
}

static LLVMValueRef write_neg(const llvm_kernel *write, const kir_node *node) {
    LLVMValueRef a = operand(write, node, 0);
    return is_real(write, node) ? LLVMBuildFNeg(write->unit->builder, a, "")
                                : LLVMBuildNeg(write->unit->builder, a, "");
}

static LLVMValueRef write_abs(const llvm_kernel *write, const kir_node *node) {
    LLVMValueRef a = operand(write, node, 0);
    if (is_real(write, node))
        return unary_intrinsic(write, "llvm.fabs", a);
    LLVMTypeRef type = LLVMTypeOf(a);
    LLVMValueRef operands[] = {a, LLVMConstInt(write->unit->boolean, 0, false)};
    return llvm_intrinsic(write->unit, "llvm.abs", &type, 1, operands, 2);
}

/* ---- the C library --------------------------------------------------------------------------------------------------
 */

static LLVMValueRef library_function(const llvm_unit *unit, const char *name, LLVMTypeRef type) {
    LLVMValueRef function = LLVMGetNamedFunction(unit->module, name);
    return function ? function : LLVMAddFunction(unit->module, name, type);
}

/* Calls a function of floats for each lane. */
static LLVMValueRef call_lanes(const llvm_kernel *write, const kir_node *node, const char *name) {
    llvm_unit *unit = write->unit;
    kir_type kind = type_of(write, node->result);
    int count = kir_op_operands(node->opcode);
    LLVMTypeRef parameters[] = {unit->f32, unit->f32}, type;
    type = LLVMFunctionType(unit->f32, parameters, (unsigned)count, false);
    LLVMValueRef function = library_function(unit, name, type), whole[2], lanes[2];
    for (int i = 0; i < count; i++)
        whole[i] = operand(write, node, i);
    if (kind.lanes == 1)
        return LLVMBuildCall2(unit->builder, type, function, whole, (unsigned)count, "");
    LLVMValueRef result = LLVMGetPoison(llvm_value_type(unit, kind));
    for (int lane = 0; lane < kind.lanes; lane++) {
        for (int i = 0; i < count; i++)
            lanes[i] = LLVMBuildExtractElement(unit->builder, whole[i], llvm_i32(unit, lane), "");
        LLVMValueRef value = LLVMBuildCall2(unit->builder, type, function, lanes, (unsigned)count, "");
        result = LLVMBuildInsertElement(unit->builder, result, value, llvm_i32(unit, lane), "");
    }
    return result;
}

static LLVMValueRef write_random(const llvm_kernel *write, const kir_node *node) {
    llvm_unit *unit = write->unit;
    LLVMTypeRef parameters[] = {unit->i32, unit->i32, unit->i32, unit->i64};
    LLVMTypeRef type = LLVMFunctionType(unit->f32, parameters, 4, false);
    const char *name = node->opcode == KIR_random_uniform ? "rt_random_uniform" : "rt_random_normal";
    LLVMValueRef operands[] = {operand(write, node, 0), operand(write, node, 1), llvm_i32(unit, node->attribute),
                               operand(write, node, 2)};
    return LLVMBuildCall2(unit->builder, type, library_function(unit, name, type), operands, 4, "");
}

/* ---- conversions ----------------------------------------------------------------------------------------------------
 */

static LLVMTypeRef like(LLVMTypeRef element, int lanes) {
    return lanes > 1 ? LLVMVectorType(element, (unsigned)lanes) : element;
}

/* The upper half of the bits, rounded to nearest, ties to even; a NaN stays one. */
static LLVMValueRef bf16_of_f32(const llvm_kernel *write, LLVMValueRef a, int lanes) {
    llvm_unit *unit = write->unit;
    LLVMBuilderRef builder = unit->builder;
    LLVMTypeRef words = like(unit->i32, lanes);
    kir_type i32 = {KIR_I32, (int16_t)lanes, 0};
    LLVMValueRef bits = LLVMBuildBitCast(builder, a, words, ""), sixteen = llvm_number(unit, i32, 16);
    LLVMValueRef upper = LLVMBuildLShr(builder, bits, sixteen, "");
    LLVMValueRef odd = LLVMBuildAnd(builder, upper, llvm_number(unit, i32, 1), "");
    LLVMValueRef rounded =
        LLVMBuildAdd(builder, LLVMBuildAdd(builder, bits, llvm_number(unit, i32, 32767), ""), odd, "");
    LLVMValueRef quiet = LLVMBuildOr(builder, upper, llvm_number(unit, i32, 64), "");
    LLVMValueRef nan = LLVMBuildFCmp(builder, LLVMRealUNO, a, a, "");
    LLVMValueRef kept = LLVMBuildSelect(builder, nan, quiet, LLVMBuildLShr(builder, rounded, sixteen, ""), "");
    return LLVMBuildTrunc(builder, kept, like(unit->i16, lanes), "");
}

static LLVMValueRef f32_of_bf16(const llvm_kernel *write, LLVMValueRef a, int lanes) {
    llvm_unit *unit = write->unit;
    LLVMValueRef wide = LLVMBuildZExt(unit->builder, a, like(unit->i32, lanes), "");
    wide = LLVMBuildShl(unit->builder, wide, llvm_number(unit, (kir_type){KIR_I32, (int16_t)lanes, 0}, 16), "");
    return LLVMBuildBitCast(unit->builder, wide, like(unit->f32, lanes), "");
}

static bool is_unsigned(kir_element element) {
    return element == KIR_BOOL || element == KIR_U8;
}

static LLVMValueRef write_convert(const llvm_kernel *write, const kir_node *node) {
    LLVMBuilderRef builder = write->unit->builder;
    kir_type from = type_of(write, node->operands[0]), to = type_of(write, node->result);
    LLVMValueRef a = operand(write, node, 0);
    LLVMTypeRef type = llvm_value_type(write->unit, to);
    if (from.element == to.element)
        return a;
    if (from.element == KIR_BF16 && to.element != KIR_BOOL) {
        a = f32_of_bf16(write, a, to.lanes);
        from.element = KIR_F32;
    }
    if (to.element == KIR_BF16 && from.element != KIR_F32)
        a = is_unsigned(from.element) ? LLVMBuildUIToFP(builder, a, like(write->unit->f32, to.lanes), "")
                                      : LLVMBuildSIToFP(builder, a, like(write->unit->f32, to.lanes), "");
    if (to.element == KIR_BF16)
        return bf16_of_f32(write, a, to.lanes);
    if (to.element == KIR_BOOL)
        return from.element == KIR_F32 ? LLVMBuildFCmp(builder, LLVMRealUNE, a, LLVMConstNull(LLVMTypeOf(a)), "")
                                       : LLVMBuildICmp(builder, LLVMIntNE, a, LLVMConstNull(LLVMTypeOf(a)), "");
    if (to.element == KIR_F32)
        return from.element == KIR_F32     ? a
               : is_unsigned(from.element) ? LLVMBuildUIToFP(builder, a, type, "")
                                           : LLVMBuildSIToFP(builder, a, type, "");
    if (from.element == KIR_F32)
        return to.element == KIR_U8 ? LLVMBuildFPToUI(builder, a, type, "") : LLVMBuildFPToSI(builder, a, type, "");
    return LLVMBuildIntCast2(builder, a, type, !is_unsigned(from.element), "");
}

/* ---- pairs of bf16 numbers ------------------------------------------------------------------------------------------
 */

/* The 16 bits of each lane's bf16 number in 32. */
static LLVMValueRef words_of_bf16(const llvm_kernel *write, LLVMValueRef a, int lanes) {
    llvm_unit *unit = write->unit;
    LLVMValueRef half;
    if (unit->target->pair_products && lanes == 16)
        half = LLVMBuildBitCast(unit->builder,
                                llvm_intrinsic(unit, "llvm.x86.avx512bf16.cvtneps2bf16.512", NULL, 0, &a, 1),
                                like(unit->i16, lanes), "");
    else
        half = bf16_of_f32(write, a, lanes);
    return LLVMBuildZExt(unit->builder, half, like(unit->i32, lanes), "");
}

/* By the instruction that rounds two vectors at once, b behind a. */
static LLVMValueRef round_both(const llvm_kernel *write, const kir_node *node, kir_type type) {
    llvm_unit *unit = write->unit;
    LLVMValueRef operands[] = {operand(write, node, 1), operand(write, node, 0)}, places[2 * LLVM_MAX_LANES];
    LLVMValueRef rounded = llvm_intrinsic(unit, "llvm.x86.avx512bf16.cvtne2ps2bf16.512", NULL, 0, operands, 2);
    LLVMTypeRef words = LLVMVectorType(LLVMInt16TypeInContext(unit->context), 2 * (unsigned)type.lanes);
    for (int i = 0; i < 2 * type.lanes; i++)
        places[i] = llvm_i32(unit, i / 2 + i % 2 * type.lanes);
    rounded = LLVMBuildBitCast(unit->builder, rounded, words, "");
    rounded = LLVMBuildShuffleVector(unit->builder, rounded, LLVMGetPoison(words),
                                     LLVMConstVector(places, 2 * (unsigned)type.lanes), "");
    return LLVMBuildBitCast(unit->builder, rounded, llvm_value_type(unit, type), "");
}

static LLVMValueRef write_pair(const llvm_kernel *write, const kir_node *node) {
    LLVMBuilderRef builder = write->unit->builder;
    kir_type type = type_of(write, node->result);
    if (write->unit->target->pair_products && type.lanes == 16)
        return round_both(write, node, type);
    LLVMValueRef upper = words_of_bf16(write, operand(write, node, 1), type.lanes);
    upper = LLVMBuildShl(builder, upper, llvm_number(write->unit, type, 16), "");
    return LLVMBuildOr(builder, words_of_bf16(write, operand(write, node, 0), type.lanes), upper, "");
}

/* In vectors of AVX-512 by the instruction that chooses bits: left to itself LLVM takes one that moves words between
 * two vectors, which on Intel's processors is three. */
static LLVMValueRef write_pair_upper(const llvm_kernel *write, const kir_node *node) {
    llvm_unit *unit = write->unit;
    kir_type type = type_of(write, node->result);
    LLVMValueRef lower = LLVMBuildLShr(unit->builder, operand(write, node, 0), llvm_number(unit, type, 16), "");
    LLVMValueRef upper = llvm_number(unit, type, (double)(int32_t)0xffff0000);
    if (type.lanes == 16 && unit->target->lanes == 16) {
        enum { A_OR_B_AND_C = 0xf8 };
        LLVMValueRef operands[] = {lower, operand(write, node, 1), upper, llvm_i32(unit, A_OR_B_AND_C)};
        return llvm_intrinsic(unit, "llvm.x86.avx512.pternlog.d.512", NULL, 0, operands, 4);
    }
    return LLVMBuildOr(unit->builder, lower, LLVMBuildAnd(unit->builder, operand(write, node, 1), upper, ""), "");
}

static LLVMValueRef half_of_pairs(const llvm_kernel *write, LLVMValueRef pairs, kir_type type, bool upper) {
    llvm_unit *unit = write->unit;
    LLVMValueRef bits =
        upper ? LLVMBuildAnd(unit->builder, pairs, llvm_number(unit, type, (double)(int32_t)0xffff0000), "")
              : LLVMBuildShl(unit->builder, pairs, llvm_number(unit, type, 16), "");
    return LLVMBuildBitCast(unit->builder, bits, like(unit->f32, type.lanes), "");
}

static LLVMValueRef write_dot_pairs(const llvm_kernel *write, const kir_node *node) {
    llvm_unit *unit = write->unit;
    kir_type type = type_of(write, node->operands[0]);
    LLVMValueRef a = operand(write, node, 0), b = operand(write, node, 1), sum = operand(write, node, 2);
    if (unit->target->pair_products && type.lanes == 16) {
        LLVMTypeRef pairs = LLVMVectorType(LLVMBFloatTypeInContext(unit->context), 32);
        LLVMValueRef operands[] = {sum, LLVMBuildBitCast(unit->builder, a, pairs, ""),
                                   LLVMBuildBitCast(unit->builder, b, pairs, "")};
        return llvm_intrinsic(unit, "llvm.x86.avx512bf16.dpbf16ps.512", NULL, 0, operands, 3);
    }
    for (int upper = 0; upper < 2; upper++) {
        LLVMValueRef product = LLVMBuildFMul(unit->builder, half_of_pairs(write, a, type, upper),
                                             half_of_pairs(write, b, type, upper), "");
        sum = contractible(write, LLVMBuildFAdd(unit->builder, contractible(write, product), sum, ""));
    }
    return sum;
}

/* ---- lanes ----------------------------------------------------------------------------------------------------------
 */

static LLVMValueRef write_splat(const llvm_kernel *write, const kir_node *node) {
    llvm_unit *unit = write->unit;
    int lanes = type_of(write, node->result).lanes;
    LLVMValueRef a = operand(write, node, 0);
    if (lanes == 1)
        return a;
    LLVMTypeRef type = LLVMVectorType(LLVMTypeOf(a), (unsigned)lanes);
    LLVMValueRef first = LLVMBuildInsertElement(unit->builder, LLVMGetPoison(type), a, llvm_i32(unit, 0), "");
    LLVMValueRef zeros = LLVMConstNull(LLVMVectorType(unit->i32, (unsigned)lanes));
    return LLVMBuildShuffleVector(unit->builder, first, LLVMGetPoison(type), zeros, "");
}

/* Lanes `first` and following of both operands in turns. */
static LLVMValueRef write_interleave(const llvm_kernel *write, const kir_node *node, int first) {
    llvm_unit *unit = write->unit;
    int lanes = type_of(write, node->result).lanes;
    LLVMValueRef places[LLVM_MAX_LANES];
    for (int lane = 0; lane < lanes; lane++)
        places[lane] = llvm_i32(unit, first + lane / 2 + lane % 2 * lanes);
    return LLVMBuildShuffleVector(unit->builder, operand(write, node, 0), operand(write, node, 1),
                                  LLVMConstVector(places, (unsigned)lanes), "");
}

static LLVMValueRef write_lane(const llvm_kernel *write, const kir_node *node) {
    LLVMValueRef a = operand(write, node, 0);
    if (type_of(write, node->operands[0]).lanes == 1)
        return a;
    return LLVMBuildExtractElement(write->unit->builder, a, llvm_i32(write->unit, node->attribute), "");
}

static LLVMValueRef write_iota(const llvm_kernel *write, const kir_node *node) {
    llvm_unit *unit = write->unit;
    kir_type kind = type_of(write, node->result);
    LLVMValueRef lanes[MAX_LANES];
    assert(kind.lanes <= MAX_LANES);
    for (int i = 0; i < kind.lanes; i++)
        lanes[i] = llvm_number(unit, kir_scalar_type(kind.element), i);
    return kind.lanes == 1 ? lanes[0] : LLVMConstVector(lanes, (unsigned)kind.lanes);
}

/* Half of the lanes of a vector, from lane `first` on. */
static LLVMValueRef half_of(const llvm_unit *unit, LLVMValueRef a, int first, int count) {
    LLVMValueRef lanes[MAX_LANES];
    for (int i = 0; i < count; i++)
        lanes[i] = llvm_i32(unit, first + i);
    return LLVMBuildShuffleVector(unit->builder, a, LLVMGetPoison(LLVMTypeOf(a)),
                                  LLVMConstVector(lanes, (unsigned)count), "");
}

/* Joins the halves again and again: the order of the sum is the same in every back end. */
static LLVMValueRef fold_lanes(const llvm_kernel *write, const kir_node *node) {
    llvm_unit *unit = write->unit;
    LLVMBuilderRef builder = unit->builder;
    LLVMValueRef a = operand(write, node, 0);
    bool real = is_real(write, node), sum = node->opcode == KIR_sum_lanes;
    int lanes = type_of(write, node->operands[0]).lanes;
    if (lanes == 1)
        return a;
    for (int half = lanes / 2; half > 0; half /= 2) {
        LLVMValueRef low = half_of(unit, a, 0, half), high = half_of(unit, a, half, half);
        if (sum) {
            a = real ? LLVMBuildFAdd(builder, low, high, "") : LLVMBuildAdd(builder, low, high, "");
        } else {
            LLVMValueRef larger = real ? LLVMBuildFCmp(builder, LLVMRealOGT, low, high, "")
                                       : LLVMBuildICmp(builder, LLVMIntSGT, low, high, "");
            a = LLVMBuildSelect(builder, larger, low, high, "");
        }
    }
    return LLVMBuildExtractElement(builder, a, llvm_i32(unit, 0), "");
}

/* ---- all of them ----------------------------------------------------------------------------------------------------
 */

static LLVMValueRef write_value(const llvm_kernel *write, const kir_node *node) {
    llvm_unit *unit = write->unit;
    kir_type kind = type_of(write, node->result);
    switch (node->opcode) {
    case KIR_constant: return llvm_number(unit, kind, node->number);
    case KIR_affine: return llvm_index(write, &node->index);
    case KIR_move: return operand(write, node, 0);
    case KIR_min:
    case KIR_max: return write_extreme(write, node);
    case KIR_fma: return write_fma(write, node);
    case KIR_neg: return write_neg(write, node);
    case KIR_abs: return write_abs(write, node);
    case KIR_sqrt: return unary_intrinsic(write, "llvm.sqrt", operand(write, node, 0));
    case KIR_floor: return unary_intrinsic(write, "llvm.floor", operand(write, node, 0));
    case KIR_sin: return call_lanes(write, node, "sinf");
    case KIR_cos: return call_lanes(write, node, "cosf");
    case KIR_pow: return call_lanes(write, node, "powf");
    case KIR_equal:
    case KIR_less:
    case KIR_less_equal: return compare(write, node, node->opcode);
    case KIR_not: return LLVMBuildNot(unit->builder, operand(write, node, 0), "");
    case KIR_select:
        return LLVMBuildSelect(unit->builder, operand(write, node, 0), operand(write, node, 1), operand(write, node, 2),
                               "");
    case KIR_convert: return write_convert(write, node);
    case KIR_bitcast: return LLVMBuildBitCast(unit->builder, operand(write, node, 0), llvm_value_type(unit, kind), "");
    case KIR_pair: return write_pair(write, node);
    case KIR_pair_upper: return write_pair_upper(write, node);
    case KIR_dot_pairs: return write_dot_pairs(write, node);
    case KIR_splat: return write_splat(write, node);
    case KIR_lane: return write_lane(write, node);
    case KIR_interleave_low: return write_interleave(write, node, 0);
    case KIR_interleave_high: return write_interleave(write, node, type_of(write, node->result).lanes / 2);
    case KIR_iota: return write_iota(write, node);
    case KIR_sum_lanes:
    case KIR_max_lanes: return fold_lanes(write, node);
    case KIR_load:
    case KIR_load_strided:
    case KIR_load_indexed: return llvm_load(write, node);
    case KIR_random_uniform:
    case KIR_random_normal: return write_random(write, node);
    default: return write_binary(write, node);
    }
}

static bool is_tile(const kir_node *node) {
    return node->opcode == KIR_tile_zero || node->opcode == KIR_tile_load || node->opcode == KIR_tile_load_past ||
           node->opcode == KIR_tile_store || node->opcode == KIR_tile_multiply;
}

void llvm_write_instruction(const llvm_kernel *write, const kir_node *node) {
    if (is_tile(node))
        llvm_write_tile(write, node);
    else if (node->opcode == KIR_store || node->opcode == KIR_store_strided)
        llvm_store(write, node);
    else if (node->opcode == KIR_prefetch)
        llvm_prefetch(write, node);
    else
        llvm_set(write, node->result, write_value(write, node));
}
