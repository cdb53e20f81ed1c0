/* Matrix tiles in LLVM on AMX: registers by number, so that the order of loads and products is the kernel's own. */
#include "backend/llvm.h"

#include <assert.h>

static LLVMValueRef i8(const llvm_unit *unit, int number) {
    return LLVMConstInt(unit->i8, (unsigned long long)number, false);
}

static LLVMValueRef unit_of(const llvm_kernel *write, kir_reg reg) {
    for (int i = 0; i < write->tiles.count; i++)
        if (write->tiles.places[i].reg == reg)
            return i8(write->unit, write->tiles.places[i].unit);
    assert(!"a tile without a place");
    return NULL;
}

/* ---- setting up ------------------------------------------------------------------------------------------------- */

/* The 64 bytes that LDTILECFG reads: the palette, then from byte 16 on the bytes of a row of each register, 16 bits
 * each, and from byte 48 on the number of its rows. */
static LLVMValueRef configuration(const llvm_kernel *write) {
    enum { SIZE = 64, ROW_BYTES = 16, ROWS = 48 };
    llvm_unit *unit = write->unit;
    char bytes[SIZE] = {1};
    for (int i = 0; i < write->tiles.unit_count; i++) {
        kir_type shape = write->tiles.shapes[i];
        bytes[ROW_BYTES + 2 * i] = (char)(shape.lanes * kir_element_bytes(shape.element));
        bytes[ROWS + i] = (char)shape.rows;
    }
    LLVMValueRef value = LLVMConstStringInContext2(unit->context, bytes, SIZE, true);
    LLVMValueRef global = LLVMAddGlobal(unit->module, LLVMTypeOf(value), "tiles");
    LLVMSetInitializer(global, value);
    LLVMSetGlobalConstant(global, true);
    LLVMSetLinkage(global, LLVMPrivateLinkage);
    return global;
}

void llvm_write_tile_units_begin(const llvm_kernel *write) {
    if (write->tiles.count == 0)
        return;
    LLVMValueRef operand = configuration(write);
    llvm_intrinsic(write->unit, "llvm.x86.ldtilecfg", NULL, 0, &operand, 1);
}

void llvm_write_tile_units_end(const llvm_kernel *write) {
    if (write->tiles.count > 0)
        llvm_intrinsic(write->unit, "llvm.x86.tilerelease", NULL, 0, NULL, 0);
}

/* ---- instructions ----------------------------------------------------------------------------------------------- */

static void write_zero(const llvm_kernel *write, LLVMValueRef tile) {
    llvm_intrinsic(write->unit, "llvm.x86.tilezero", NULL, 0, &tile, 1);
}

/* A load or store: register, address, bytes between rows. */
static void write_transfer(const llvm_kernel *write, const kir_node *node, const char *name, kir_reg tile) {
    int64_t stride = node->stride * kir_element_bytes(write->kernel->registers[tile].element);
    LLVMValueRef operands[] = {unit_of(write, tile), llvm_address(write, node), llvm_i64(write->unit, stride)};
    llvm_intrinsic(write->unit, name, NULL, 0, operands, 3);
}

void llvm_write_unit_tile(const llvm_kernel *write, const kir_node *node) {
    switch (node->opcode) {
    case KIR_tile_zero: write_zero(write, unit_of(write, node->result)); break;
    case KIR_tile_load: write_transfer(write, node, "llvm.x86.tileloadd64", node->result); break;
    case KIR_tile_load_past: write_transfer(write, node, "llvm.x86.tileloaddt164", node->result); break;
    case KIR_tile_store: write_transfer(write, node, "llvm.x86.tilestored64", node->operands[0]); break;
    default: {
        assert(node->opcode == KIR_tile_multiply && node->result == node->operands[2]);
        LLVMValueRef operands[] = {unit_of(write, node->result), unit_of(write, node->operands[0]),
                                   unit_of(write, node->operands[1])};
        llvm_intrinsic(write->unit, "llvm.x86.tdpbf16ps", NULL, 0, operands, 3);
    }
    }
}

void llvm_write_tile_releases(const llvm_kernel *write, const kir_node *node) {
    for (int i = 0; i < write->tiles.count; i++)
        if (write->tiles.places[i].last == node)
            write_zero(write, i8(write->unit, write->tiles.places[i].unit));
}
