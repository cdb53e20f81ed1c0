/* Matrix tiles in LLVM without matrix units: arrays whose rows are worked on one after the other. */
#include "backend/llvm.h"

static kir_type type_of(const llvm_kernel *write, kir_reg reg) {
    return write->kernel->registers[reg];
}

LLVMTypeRef llvm_tile_type(const llvm_unit *unit, kir_type type) {
    return LLVMArrayType2(LLVMVectorType(llvm_element_type(unit, type.element), (unsigned)type.lanes),
                          (unsigned)type.rows);
}

static LLVMTypeRef row_type(const llvm_unit *unit, kir_type type) {
    return LLVMVectorType(llvm_element_type(unit, type.element), (unsigned)type.lanes);
}

static LLVMValueRef get_row(const llvm_kernel *write, LLVMValueRef tile, int row) {
    return LLVMBuildExtractValue(write->unit->builder, tile, (unsigned)row, "");
}

static LLVMValueRef memory_row(const llvm_kernel *write, const kir_node *node, LLVMValueRef address, kir_type type,
                               int row) {
    LLVMValueRef offset = llvm_i64(write->unit, row * node->stride);
    return LLVMBuildGEP2(write->unit->builder, llvm_element_type(write->unit, type.element), address, &offset, 1, "");
}

static LLVMValueRef load_rows(const llvm_kernel *write, const kir_node *node, kir_type type) {
    LLVMValueRef tile = LLVMGetPoison(llvm_tile_type(write->unit, type)), address = llvm_address(write, node);
    for (int row = 0; row < type.rows; row++) {
        LLVMValueRef value = LLVMBuildLoad2(write->unit->builder, row_type(write->unit, type),
                                            memory_row(write, node, address, type, row), "");
        LLVMSetAlignment(value, (unsigned)kir_element_bytes(type.element));
        tile = LLVMBuildInsertValue(write->unit->builder, tile, value, (unsigned)row, "");
    }
    return tile;
}

static void store_rows(const llvm_kernel *write, const kir_node *node, kir_type type) {
    LLVMValueRef tile = llvm_get(write, node->operands[0]), address = llvm_address(write, node);
    for (int row = 0; row < type.rows; row++) {
        LLVMValueRef store = LLVMBuildStore(write->unit->builder, get_row(write, tile, row),
                                            memory_row(write, node, address, type, row));
        LLVMSetAlignment(store, (unsigned)kir_element_bytes(type.element));
    }
}

/* The number in every lane; a row of one lane is a vector, too. */
static LLVMValueRef in_lanes(const llvm_unit *unit, int number, int columns) {
    LLVMValueRef lanes[64];
    for (int i = 0; i < columns; i++)
        lanes[i] = llvm_i32(unit, number);
    return LLVMConstVector(lanes, (unsigned)columns);
}

/* The even or odd lanes of a row of bf16 numbers, as floats. */
static LLVMValueRef part_of_pairs(const llvm_kernel *write, LLVMValueRef row, int columns, int part) {
    llvm_unit *unit = write->unit;
    LLVMTypeRef words = LLVMVectorType(unit->i32, (unsigned)columns);
    LLVMValueRef pairs = LLVMBuildBitCast(unit->builder, row, words, "");
    pairs = part ? LLVMBuildAnd(unit->builder, pairs, in_lanes(unit, (int)0xffff0000, columns), "")
                 : LLVMBuildShl(unit->builder, pairs, in_lanes(unit, 16, columns), "");
    return LLVMBuildBitCast(unit->builder, pairs, LLVMVectorType(unit->f32, (unsigned)columns), "");
}

static LLVMValueRef splat_lane(const llvm_kernel *write, LLVMValueRef floats, int lane, int columns) {
    llvm_unit *unit = write->unit;
    return LLVMBuildShuffleVector(unit->builder, floats, LLVMGetPoison(LLVMTypeOf(floats)),
                                  in_lanes(unit, lane, columns), "");
}

static LLVMValueRef multiply_rows(const llvm_kernel *write, const kir_node *node) {
    LLVMBuilderRef builder = write->unit->builder;
    kir_type product = type_of(write, node->result);
    int columns = product.lanes, pairs = type_of(write, node->operands[1]).rows;
    LLVMValueRef left = llvm_get(write, node->operands[0]), right = llvm_get(write, node->operands[1]);
    LLVMValueRef tile = llvm_get(write, node->operands[2]);
    for (int row = 0; row < product.rows; row++) {
        LLVMValueRef sum = get_row(write, tile, row), left_row = get_row(write, left, row);
        LLVMValueRef halves[] = {part_of_pairs(write, left_row, pairs, 0), part_of_pairs(write, left_row, pairs, 1)};
        for (int pair = 0; pair < pairs; pair++) {
            LLVMValueRef right_row = get_row(write, right, pair);
            for (int part = 0; part < 2; part++)
                sum = LLVMBuildFAdd(builder, sum,
                                    LLVMBuildFMul(builder, splat_lane(write, halves[part], pair, columns),
                                                  part_of_pairs(write, right_row, columns, part), ""),
                                    "");
        }
        tile = LLVMBuildInsertValue(builder, tile, sum, (unsigned)row, "");
    }
    return tile;
}

static void row_instruction(const llvm_kernel *write, const kir_node *node) {
    if (node->opcode == KIR_tile_store) {
        store_rows(write, node, type_of(write, node->operands[0]));
        return;
    }
    kir_type type = type_of(write, node->result);
    switch (node->opcode) {
    case KIR_tile_zero: llvm_set(write, node->result, LLVMConstNull(llvm_tile_type(write->unit, type))); break;
    case KIR_tile_load:
    case KIR_tile_load_past: llvm_set(write, node->result, load_rows(write, node, type)); break;
    default: llvm_set(write, node->result, multiply_rows(write, node));
    }
}

void llvm_write_tile(const llvm_kernel *write, const kir_node *node) {
    if (write->unit->target->matrix_units)
        llvm_write_unit_tile(write, node);
    else
        row_instruction(write, node);
}
