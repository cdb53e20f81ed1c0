/* Lines of the spec for debuggers and profilers: each function and instruction says which line it comes from. */
#include "backend/llvm.h"

#include <string.h>

static LLVMMetadataRef make_file(const llvm_unit *unit, const char *path) {
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    return LLVMDIBuilderCreateFile(unit->debug, name, strlen(name), path, slash ? (size_t)(slash - path) : 0);
}

static LLVMMetadataRef file_of(const llvm_unit *unit, source_span span) {
    const source_table *sources = unit->program->module->sources;
    int file = sources && span.file >= 0 && span.file < sources->count ? span.file : 0;
    if (!sources || sources->count == 0)
        file = 0;
    if (!unit->files[file])
        unit->files[file] = make_file(unit, sources && sources->count ? sources->files[file].path : "unknown");
    return unit->files[file];
}

void llvm_debug_begin(llvm_unit *unit) {
    const source_table *sources = unit->program->module->sources;
    int count = sources && sources->count ? sources->count : 1;
    unit->files = arena_alloc(unit->memory, (size_t)count * sizeof *unit->files);
    unit->debug = LLVMCreateDIBuilder(unit->module);
    LLVMMetadataRef file = file_of(unit, (source_span){0});
    unit->compile_unit =
        LLVMDIBuilderCreateCompileUnit(unit->debug, LLVMDWARFSourceLanguageC, file, "cslc", 4, true, "", 0, 0, "", 0,
                                       LLVMDWARFEmissionLineTablesOnly, 0, false, false, "", 0, "", 0);
    unit->subroutine = LLVMDIBuilderCreateSubroutineType(unit->debug, file, NULL, 0, LLVMDIFlagZero);
    const char *flags[] = {"Debug Info Version", "Dwarf Version"};
    int versions[] = {(int)LLVMDebugMetadataVersion(), 4};
    for (int i = 0; i < 2; i++)
        LLVMAddModuleFlag(unit->module, LLVMModuleFlagBehaviorWarning, flags[i], strlen(flags[i]),
                          LLVMValueAsMetadata(llvm_i32(unit, versions[i])));
}

void llvm_debug_end(llvm_unit *unit) {
    LLVMDIBuilderFinalize(unit->debug);
    LLVMDisposeDIBuilder(unit->debug);
}

LLVMMetadataRef llvm_debug_function(llvm_unit *unit, LLVMValueRef function, const char *name, source_span span) {
    unsigned line = span.line > 0 ? (unsigned)span.line : 0;
    LLVMMetadataRef scope = LLVMDIBuilderCreateFunction(unit->debug, file_of(unit, span), name, strlen(name), name,
                                                        strlen(name), file_of(unit, span), line, unit->subroutine, true,
                                                        true, line, LLVMDIFlagZero, true);
    LLVMSetSubprogram(function, scope);
    return scope;
}

/* A line of another file than the function's needs a scope that says so. */
static LLVMMetadataRef scope_of(const llvm_unit *unit, LLVMMetadataRef scope, source_span span) {
    LLVMMetadataRef file = file_of(unit, span);
    return LLVMDIScopeGetFile(scope) == file ? scope : LLVMDIBuilderCreateLexicalBlockFile(unit->debug, scope, file, 0);
}

void llvm_debug_place(const llvm_unit *unit, LLVMMetadataRef scope, source_span span) {
    if (span.line <= 0) {
        LLVMSetCurrentDebugLocation2(unit->builder, LLVMDIBuilderCreateDebugLocation(unit->context, 0, 0, scope, NULL));
        return;
    }
    LLVMSetCurrentDebugLocation2(unit->builder, LLVMDIBuilderCreateDebugLocation(unit->context, (unsigned)span.line,
                                                                                 (unsigned)span.column,
                                                                                 scope_of(unit, scope, span), NULL));
}
