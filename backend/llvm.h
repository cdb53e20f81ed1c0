/* Inside the LLVM back end. */
#ifndef BACKEND_LLVM_H
#define BACKEND_LLVM_H

#include "backend/backend.h"

#include <llvm-c/Core.h>
#include <llvm-c/DebugInfo.h>
#include <llvm-c/TargetMachine.h>

/* What all units of a program are made from. */
enum { LLVM_MAX_LANES = 64 }; /* of the vectors that kernels have */

typedef struct {
    const kir_program *program;
    const kir_target *target;
    const char *manifest;
    bool with_main;
} llvm_source;

/* One LLVM module in a context of its own, so that units compile on different threads. */
typedef struct {
    const kir_program *program;
    const kir_target *target;
    const char *manifest;
    arena *memory;       /* what lives as long as the unit */
    const char *problem; /* what LLVM said first, or NULL */
    LLVMContextRef context;
    LLVMModuleRef module;
    LLVMBuilderRef builder;
    LLVMTargetMachineRef machine;
    LLVMTypeRef boolean, i8, i16, i32, i64, f32, pointer, none;
    LLVMDIBuilderRef debug;
    LLVMMetadataRef compile_unit, subroutine;
    LLVMMetadataRef *files; /* of the source table, made when first needed */
} llvm_unit;

/* Where a kernel's tiles are: each in a register of the matrix units, until after its last node. */
enum { LLVM_TILE_UNITS = 8 };

typedef struct {
    kir_reg reg;
    int unit;
    const kir_node *last;
} llvm_tile_place;

typedef struct {
    llvm_tile_place *places;
    int count;
    kir_type shapes[LLVM_TILE_UNITS]; /* of the registers that are used */
    int unit_count;
} llvm_tiles;

/* A kernel while it is written. A register is a value, or, where it is assigned again, a slot on the stack. */
typedef struct {
    llvm_unit *unit;
    const kir_kernel *kernel;
    LLVMValueRef function;
    LLVMValueRef *arguments; /* pointers to the buffers */
    bool *plain;             /* by register: it is a value (llvm_registers.c) */
    LLVMValueRef *values;    /* of those, once assigned */
    LLVMValueRef *slots;     /* of the others, once needed */
    int64_t *multiples;      /* by register: kir_find_multiples */
    llvm_tiles tiles;        /* on matrix units */
    LLVMMetadataRef scope;
    LLVMBasicBlockRef entry;
} llvm_kernel;

/* ---- llvm.c: a unit from its beginning to machine code; false or NULL when LLVM fails, with its reason in `problem`.
 */
void llvm_start(void);
llvm_source llvm_source_of(const kir_program *program, const kir_target *target, bool with_main);
bool llvm_unit_begin(llvm_unit *unit, const llvm_source *source, LLVMCodeGenOptLevel level);
bool llvm_unit_optimize(llvm_unit *unit);
LLVMMemoryBufferRef llvm_unit_code(llvm_unit *unit, LLVMCodeGenFileType kind);
void llvm_unit_end(llvm_unit *unit);
/* Adds the problem to the diagnostics; returns false. */
bool llvm_unit_report(const llvm_unit *unit, diag_list *diags);
/* Appends the processor that code is made for, and how it is optimised. */
void llvm_append_machine(const kir_target *target, text_buffer *key);

/* ---- llvm_units.c: the object files of a program, in its memory; none after adding diagnostics. `cache` may be NULL.
 */
typedef struct {
    LLVMMemoryBufferRef *items;
    int count;
} llvm_objects;
llvm_objects llvm_make_objects(const kir_program *program, const kir_target *target, bool with_main,
                               backend_cache *cache, diag_list *diags);

/* ---- llvm_key.c: appends all that the code of a kernel, or of the program's functions and tables, is made from. */
void llvm_append_kernel_key(const llvm_source *source, const kir_kernel *kernel, text_buffer *key);
void llvm_append_program_key(const llvm_source *source, text_buffer *key);

/* ---- llvm_type.c: what kernel types are in LLVM. BOOL is i1, in memory a byte; BF16 is the 16 bits of its pattern. */
LLVMTypeRef llvm_element_type(const llvm_unit *unit, kir_element element);
LLVMTypeRef llvm_memory_type(const llvm_unit *unit, kir_element element);
/* Scalars and vectors. */
LLVMTypeRef llvm_value_type(const llvm_unit *unit, kir_type type);
/* `number` in every lane. */
LLVMValueRef llvm_number(const llvm_unit *unit, kir_type type, double number);
LLVMValueRef llvm_i64(const llvm_unit *unit, int64_t number);
LLVMValueRef llvm_i32(const llvm_unit *unit, int64_t number);
/* Calls an intrinsic that is overloaded on `types`. */
LLVMValueRef llvm_intrinsic(const llvm_unit *unit, const char *name, LLVMTypeRef *types, int type_count,
                            LLVMValueRef *operands, int operand_count);

/* ---- llvm_kernel.c: adds a kernel as the function k_NAME. */
void llvm_write_kernel(llvm_unit *unit, const kir_kernel *kernel);
LLVMValueRef llvm_get(const llvm_kernel *write, kir_reg reg);
void llvm_set(const llvm_kernel *write, kir_reg reg, LLVMValueRef value);
/* The value of an affine index. */
LLVMValueRef llvm_index(const llvm_kernel *write, const kir_node_index *index);
/* Where an instruction's memory begins. */
LLVMValueRef llvm_address(const llvm_kernel *write, const kir_node *node);
/* A place on the stack, allocated at the function's start. */
LLVMValueRef llvm_slot(const llvm_kernel *write, LLVMTypeRef type, const char *name);

/* ---- llvm_registers.c: finds the registers that are assigned once and used only where that assignment is in sight. */
void llvm_find_plain_registers(const kir_kernel *kernel, arena *memory, bool *plain);

/* ---- llvm_value.c, llvm_memory.c, llvm_tile.c: one instruction of the kernel IR. */
void llvm_write_instruction(const llvm_kernel *write, const kir_node *node);
LLVMValueRef llvm_load(const llvm_kernel *write, const kir_node *node);
void llvm_store(const llvm_kernel *write, const kir_node *node);
void llvm_prefetch(const llvm_kernel *write, const kir_node *node);
/* What a tile is where there are no matrix units: its rows. */
LLVMTypeRef llvm_tile_type(const llvm_unit *unit, kir_type type);
void llvm_write_tile(const llvm_kernel *write, const kir_node *node);

/* ---- llvm_tile_places.c */
void llvm_find_tile_places(const kir_kernel *kernel, arena *memory, llvm_tiles *tiles);

/* ---- llvm_tile_units.c: tiles in the registers of the matrix units, which are set up when a kernel's function begins
 * and given back when it ends. */
void llvm_write_tile_units_begin(const llvm_kernel *write);
void llvm_write_tile_units_end(const llvm_kernel *write);
void llvm_write_unit_tile(const llvm_kernel *write, const kir_node *node);
/* Forgets the tiles that nothing needs after the node. */
void llvm_write_tile_releases(const llvm_kernel *write, const kir_node *node);

/* ---- llvm_program.c: the functions, the manifest and the table of entries, which make a unit the program's. */
void llvm_declare_kernel(const llvm_unit *unit, const kir_kernel *kernel);
LLVMTypeRef llvm_kernel_type(const llvm_unit *unit);
void llvm_write_program(llvm_unit *unit, bool with_main);

/* ---- llvm_debug.c: the lines of the spec in the object file, for debuggers and profilers. */
void llvm_debug_begin(llvm_unit *unit);
void llvm_debug_end(llvm_unit *unit);
/* Opens a function that stands at `span`; returns its scope. */
LLVMMetadataRef llvm_debug_function(llvm_unit *unit, LLVMValueRef function, const char *name, source_span span);
/* Instructions from here on belong to `span`. */
void llvm_debug_place(const llvm_unit *unit, LLVMMetadataRef scope, source_span span);

#endif
