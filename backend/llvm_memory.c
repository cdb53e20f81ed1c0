/* Loads and stores of the kernel IR in LLVM. */
#include "backend/llvm.h"

#include <assert.h>

static kir_type type_of(const llvm_kernel *write, kir_reg reg) {
    return write->kernel->registers[reg];
}

static unsigned alignment_of(kir_element element) {
    return (unsigned)kir_element_bytes(element);
}

/* True in the first `count` lanes. */
static LLVMValueRef first_lanes(const llvm_unit *unit, int lanes, int count) {
    LLVMValueRef parts[LLVM_MAX_LANES];
    assert(lanes <= LLVM_MAX_LANES);
    for (int i = 0; i < lanes; i++)
        parts[i] = LLVMConstInt(unit->boolean, i < count, false);
    return LLVMConstVector(parts, (unsigned)lanes);
}

/* A value as memory holds it. */
static LLVMTypeRef memory_type(const llvm_unit *unit, kir_type type) {
    LLVMTypeRef element = llvm_memory_type(unit, type.element);
    return type.lanes > 1 ? LLVMVectorType(element, (unsigned)type.lanes) : element;
}

static LLVMValueRef truth_of_bytes(const llvm_unit *unit, LLVMValueRef bytes) {
    return LLVMBuildICmp(unit->builder, LLVMIntNE, bytes, LLVMConstNull(LLVMTypeOf(bytes)), "");
}

static LLVMValueRef load_plain(const llvm_kernel *write, LLVMTypeRef type, LLVMValueRef address, kir_element element) {
    LLVMValueRef value = LLVMBuildLoad2(write->unit->builder, type, address, "");
    LLVMSetAlignment(value, alignment_of(element));
    return value;
}

static LLVMValueRef load_masked(const llvm_kernel *write, const kir_node *node, LLVMTypeRef type, LLVMValueRef address,
                                kir_type kind) {
    llvm_unit *unit = write->unit;
    LLVMTypeRef types[] = {type, unit->pointer};
    LLVMValueRef operands[] = {address, llvm_i32(unit, alignment_of(kind.element)),
                               first_lanes(unit, kind.lanes, node->count), LLVMConstNull(type)};
    return llvm_intrinsic(unit, "llvm.masked.load", types, 2, operands, 4);
}

/* The i64 distance of each lane from the address, in elements. */
static LLVMValueRef lane_offsets(const llvm_kernel *write, const kir_node *node, int lanes) {
    llvm_unit *unit = write->unit;
    LLVMValueRef offsets[LLVM_MAX_LANES];
    assert(lanes <= LLVM_MAX_LANES);
    if (node->opcode == KIR_load_indexed) {
        LLVMValueRef given = llvm_get(write, node->operands[0]);
        return LLVMBuildSExt(unit->builder, given, LLVMVectorType(unit->i64, (unsigned)lanes), "");
    }
    for (int i = 0; i < lanes; i++) /* absent lanes are not read */
        offsets[i] = llvm_i64(unit, i < node->count ? i * node->stride : 0);
    return LLVMConstVector(offsets, (unsigned)lanes);
}

static LLVMValueRef load_gathered(const llvm_kernel *write, const kir_node *node, LLVMTypeRef type,
                                  LLVMValueRef address, kir_type kind) {
    llvm_unit *unit = write->unit;
    LLVMValueRef offsets = lane_offsets(write, node, kind.lanes);
    LLVMValueRef places = LLVMBuildGEP2(unit->builder, llvm_memory_type(unit, kind.element), address, &offsets, 1, "");
    LLVMTypeRef types[] = {type, LLVMVectorType(unit->pointer, (unsigned)kind.lanes)};
    LLVMValueRef operands[] = {places, llvm_i32(unit, alignment_of(kind.element)),
                               first_lanes(unit, kind.lanes, node->count), LLVMConstNull(type)};
    return llvm_intrinsic(unit, "llvm.masked.gather", types, 2, operands, 4);
}

/* The lone element of a scalar load, wherever it lies. */
static LLVMValueRef scalar_address(const llvm_kernel *write, const kir_node *node, kir_type kind) {
    LLVMValueRef address = llvm_address(write, node);
    if (node->opcode != KIR_load_indexed)
        return address;
    llvm_unit *unit = write->unit;
    LLVMValueRef offset = LLVMBuildSExt(unit->builder, llvm_get(write, node->operands[0]), unit->i64, "");
    return LLVMBuildGEP2(unit->builder, llvm_memory_type(unit, kind.element), address, &offset, 1, "");
}

/* `lanes` neighbours, `shift` elements from the address. */
static LLVMValueRef load_neighbours(const llvm_kernel *write, LLVMTypeRef type, LLVMValueRef address, int64_t shift,
                                    kir_element element) {
    llvm_unit *unit = write->unit;
    LLVMValueRef offset = llvm_i64(unit, shift);
    LLVMTypeRef one = llvm_memory_type(unit, element);
    return load_plain(write, type, LLVMBuildGEP2(unit->builder, one, address, &offset, 1, ""), element);
}

/* A small stride: as many loads of neighbours, the last of which ends at the last lane, and picks among them. */
static LLVMValueRef load_picked(const llvm_kernel *write, const kir_node *node, LLVMTypeRef type, LLVMValueRef address,
                                kir_type kind) {
    llvm_unit *unit = write->unit;
    int lanes = kind.lanes, stride = (int)node->stride;
    LLVMValueRef result = load_neighbours(write, type, address, 0, kind.element), places[LLVM_MAX_LANES];
    for (int part = 0; part < stride; part++) {
        int begin = part * lanes, shift = part == stride - 1 ? begin - (stride - 1) : begin;
        LLVMValueRef next = part ? load_neighbours(write, type, address, shift, kind.element) : result;
        for (int lane = 0; lane < lanes; lane++) {
            int wanted = lane * stride;
            bool here = wanted >= begin && wanted < begin + lanes;
            places[lane] = llvm_i32(unit, here ? lanes + wanted - shift : part || wanted >= lanes ? lane : wanted);
        }
        result = LLVMBuildShuffleVector(unit->builder, result, next, LLVMConstVector(places, (unsigned)lanes), "");
    }
    return result;
}

LLVMValueRef llvm_load(const llvm_kernel *write, const kir_node *node) {
    enum { MOST_PICKED = 4 };
    kir_type kind = type_of(write, node->result);
    LLVMTypeRef type = memory_type(write->unit, kind);
    LLVMValueRef value;
    if (kind.lanes == 1)
        value = load_plain(write, type, scalar_address(write, node, kind), kind.element);
    else if (node->opcode == KIR_load_strided && node->count == kind.lanes && node->stride > 0 &&
             node->stride <= MOST_PICKED)
        value = load_picked(write, node, type, llvm_address(write, node), kind);
    else if (node->opcode != KIR_load)
        value = load_gathered(write, node, type, llvm_address(write, node), kind);
    else if (node->count == kind.lanes)
        value = load_plain(write, type, llvm_address(write, node), kind.element);
    else
        value = load_masked(write, node, type, llvm_address(write, node), kind);
    return kind.element == KIR_BOOL ? truth_of_bytes(write->unit, value) : value;
}

/* Lane by lane, as the machines' scatters are no faster. */
static void store_strided(const llvm_kernel *write, const kir_node *node, LLVMValueRef value, LLVMValueRef address,
                          kir_element element) {
    llvm_unit *unit = write->unit;
    for (int lane = 0; lane < node->count; lane++) {
        LLVMValueRef offset = llvm_i64(unit, lane * node->stride);
        LLVMValueRef place = LLVMBuildGEP2(unit->builder, llvm_memory_type(unit, element), address, &offset, 1, "");
        LLVMValueRef one = LLVMBuildExtractElement(unit->builder, value, llvm_i32(unit, lane), "");
        LLVMSetAlignment(LLVMBuildStore(unit->builder, one, place), alignment_of(element));
    }
}

/* Vectors that fill a line at once, or in a flat loop one after the other. Buffers begin at multiples of KIR_ALIGNMENT.
 */
static bool is_streamed(const llvm_kernel *write, const kir_node *node, kir_type kind) {
    const kir_argument *argument = &write->kernel->arguments[node->argument];
    int64_t element = kir_element_bytes(kind.element), bytes = element * kind.lanes;
    if (!argument->streams || bytes > KIR_ALIGNMENT || (bytes < KIR_ALIGNMENT && argument->each == 0))
        return false;
    return kir_index_multiple(&node->index, write->multiples) * element % bytes == 0;
}

/* A whole vector past the caches: the line is not read from memory before it is written. */
static void store_streamed(const llvm_unit *unit, LLVMValueRef value, LLVMValueRef address, int64_t bytes) {
    static const char kind[] = "nontemporal";
    LLVMMetadataRef one = LLVMValueAsMetadata(llvm_i32(unit, 1));
    LLVMValueRef store = LLVMBuildStore(unit->builder, value, address);
    LLVMSetAlignment(store, (unsigned)bytes);
    LLVMSetMetadata(store, LLVMGetMDKindIDInContext(unit->context, kind, sizeof kind - 1),
                    LLVMMetadataAsValue(unit->context, LLVMMDNodeInContext2(unit->context, &one, 1)));
}

void llvm_prefetch(const llvm_kernel *write, const kir_node *node) {
    llvm_unit *unit = write->unit;
    enum { READ, SECOND_CACHE = 2, DATA = 1 };
    LLVMValueRef operands[] = {llvm_address(write, node), llvm_i32(unit, READ), llvm_i32(unit, SECOND_CACHE),
                               llvm_i32(unit, DATA)};
    llvm_intrinsic(unit, "llvm.prefetch", &unit->pointer, 1, operands, 4);
}

void llvm_store(const llvm_kernel *write, const kir_node *node) {
    llvm_unit *unit = write->unit;
    kir_type kind = type_of(write, node->operands[0]);
    LLVMTypeRef type = memory_type(unit, kind);
    LLVMValueRef value = llvm_get(write, node->operands[0]), address = llvm_address(write, node);
    if (kind.element == KIR_BOOL)
        value = LLVMBuildZExt(unit->builder, value, type, "");
    if (node->opcode == KIR_store_strided && kind.lanes > 1) {
        store_strided(write, node, value, address, kind.element);
        return;
    }
    if (kind.lanes > 1 && node->count == kind.lanes && is_streamed(write, node, kind)) {
        store_streamed(unit, value, address, kir_element_bytes(kind.element) * kind.lanes);
        return;
    }
    if (kind.lanes == 1 || node->count == kind.lanes) {
        LLVMSetAlignment(LLVMBuildStore(unit->builder, value, address), alignment_of(kind.element));
        return;
    }
    LLVMTypeRef types[] = {type, unit->pointer};
    LLVMValueRef operands[] = {value, address, llvm_i32(unit, alignment_of(kind.element)),
                               first_lanes(unit, kind.lanes, node->count)};
    llvm_intrinsic(unit, "llvm.masked.store", types, 2, operands, 4);
}
