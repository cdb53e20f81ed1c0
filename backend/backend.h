/* Back ends: from a planned kernel program (or, for the interpreter, a module) to something that runs. */
#ifndef BACKEND_BACKEND_H
#define BACKEND_BACKEND_H

#include "ir/ir.h"
#include "ir/kernel.h"
#include "runtime/program.h"

/* What this machine's processor has, or the lesser one that CSLC_CPU names (runtime/cpu.h). */
kir_target backend_target_host(void);
/* The target of that name, or this machine's for "native"; false for another name. */
bool backend_target_named(const char *name, kir_target *target);

/* The manifest of a program (runtime/program.h: rt_manifest_parse) whose code needs this processor; text allocated in
 * `memory`. */
const char *backend_manifest(arena *memory, const kir_program *program, const char *processor);

/* A program compiled into this process. */
typedef struct backend_code backend_code;
const rt_program *backend_program(const backend_code *code);
void backend_free(backend_code *code);

/* ---- object code that is kept on disk ------------------------------------------------------------------------------
 */

/* LLVM's object code of kernels from one compilation to the next. A folder that cannot be read or written costs time,
 * nothing else; several compilers may use one at once. */
typedef struct {
    const char *folder;
    int64_t limit_bytes; /* of all entries; those longest unused go first */
    int found, made;     /* objects of the last compilation that were there, and that were not */
} backend_cache;
enum { BACKEND_CACHE_LIMIT = 256 << 20 };
/* The folder that CSLC_CACHE names, else cslc in XDG_CACHE_HOME or in ~/.cache; false for none: CSLC_CACHE is empty or
 * there is no home. */
bool backend_cache_choose(arena *memory, backend_cache *cache);
/* The number of objects in the folder, and their bytes; none when it cannot be read. */
void backend_cache_measure(const backend_cache *cache, int *entries, int64_t *bytes);
/* Removes every object; false with errno set when one cannot be removed. */
bool backend_cache_clear(const backend_cache *cache);

/* ---- code ----------------------------------------------------------------------------------------------------------
 */

/* LLVM: JIT for `cslc run`; returns NULL after adding diagnostics. */
backend_code *llvm_compile(const kir_program *program, const kir_target *target, diag_list *diags);
/* The same with object code from the cache and into it; `cache` may be NULL. */
backend_code *llvm_compile_cached(const kir_program *program, const kir_target *target, backend_cache *cache,
                                  diag_list *diags);
typedef enum { LLVM_TEXT, LLVM_ASSEMBLY, LLVM_OBJECT } llvm_output;
/* Appends the module as optimised LLVM IR, assembly or an object file. */
bool llvm_emit(const kir_program *program, const kir_target *target, llvm_output kind, text_buffer *out,
               diag_list *diags);

/* An executable by way of object files; `cache` may be NULL. */
bool llvm_link(const kir_program *program, const kir_target *target, const char *runtime_library,
               const char *output_path, backend_cache *cache, diag_list *diags);

/* One readable C file that compiles with `cc -O3 -march=native` and links with the runtime library. With lanes 1 it is
 * plain scalar C, which libtcc compiles; else it uses vector types of the compiler. */
bool cgen_emit(const kir_program *program, const kir_target *target, text_buffer *out, diag_list *diags);

/* libtcc: the scalar C, compiled in memory. The program must have been lowered for the target "scalar". */
backend_code *tcc_compile(const kir_program *program, diag_list *diags);
/* `--backend=c`: cc, into a shared object in a temporary folder, loaded. */
backend_code *cgen_compile(const kir_program *program, const kir_target *target, diag_list *diags);

/* Makes the pictures of any view step by step, in any layout. */
extern const rt_view_code interp_view_code;

/* The interpreter: double precision on the tensor IR after `differentiate`; `program` gives the memory layout. */
backend_code *interp_compile(const ir_module *module, const kir_program *program, diag_list *diags);

/* For tests: evaluates one function of a module in double precision. Values of inputs and states come from, and values
 * of outputs and written states go to, callbacks by name with row-major doubles. Returns false after adding an error.
 */
typedef struct {
    void *user;
    void (*get)(void *user, bool state, const char *name, const ir_type *type, double *elements);
    void (*put)(void *user, bool state, const char *name, const ir_type *type, const double *elements);
} interp_io;
bool interp_run(const ir_function *function, const interp_io *io, diag_list *diags);

/* An executable by way of generated C and the system's C compiler. */
bool cgen_link(const kir_program *program, const kir_target *target, const char *runtime_library,
               const char *output_path, diag_list *diags);

/* Links object files, given by their bytes, with the runtime library into an executable, by the system's C compiler;
 * the result appears under its name only when complete. */
typedef struct {
    const char *data;
    size_t length;
} backend_bytes;
bool backend_link(const backend_bytes *objects, int count, const char *runtime_library, const char *output_path,
                  diag_list *diags);

#endif
