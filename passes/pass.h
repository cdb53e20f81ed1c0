/* Passes: each rewrites a module or a kernel program in place. The table in passes/pass.c is the only list of them. */
#ifndef PASSES_PASS_H
#define PASSES_PASS_H

#include "ir/ir.h"
#include "ir/kernel.h"

/* Buffers that would push everything else out of the caches, and of which little would be left in them. */
enum { STREAMED_BYTES = 16 << 20 };

typedef struct {
    arena *memory;
    diag_list *diags;
    kir_target target;
    ir_module *module;
    kir_program *program;     /* NULL until `lower` has run */
    bool library_products;    /* `lower` has products of matrices computed by the runtime's library */
    int product_parts;        /* bf16 parts of each number in products: 1 to 3, or 0 for plain f32 (kir_precisions) */
    int64_t memory_limit;     /* of the arena of each function, in bytes; 0: what `recompute` finds cheap */
    int64_t streamed_bytes;   /* results of so many and more are written past the caches; 0: STREAMED_BYTES */
    int recomputed_values;    /* what `recompute` added to train_step to keep it */
    bool recompute_exhausted; /* it found nothing more to compute anew, and train_step keeps no limit */
    bool remarks;             /* passes say in `diags` what they did and what they could not do */
} pass_context;

typedef struct {
    const char *name; /* "fuse-elementwise" */
    const char *doc;  /* one line */
    bool required;    /* may not be switched off: differentiate, lower, … */
    /* Returns false after adding an error to the context's diagnostics. */
    bool (*run)(pass_context *context);
} pass_info;

/* All passes in the order in which a compilation runs them (a name may stand twice in the pipeline). */
const pass_info *const *pass_pipeline(int *count);
/* The passes of the pipeline, each once, by their first places: number 0, 1, …; NULL after the last. */
const pass_info *pass_distinct(int number);
const pass_info *pass_find(const char *name);

typedef struct {
    const char *const *disabled; /* names */
    int disabled_count;
    bool verify;             /* run the verifier after every pass */
    const char *stop_before; /* NULL, or the name of the first pass not to run */
    /* Called after each pass, for --print-after and --time-passes; may be NULL. */
    void (*after)(void *user, const pass_info *pass, const pass_context *context, double seconds);
    void *user;
} pass_options;

/* Runs one pass, verifies and reports it as the options say. */
bool pass_run(pass_context *context, const pass_info *pass, const pass_options *options);

/* Runs the pipeline; false after adding errors. */
bool pass_run_pipeline(pass_context *context, const pass_options *options);

/* The kernel program that `lower` has made; NULL after the error that the named pass needs it. */
kir_program *pass_lowered(const pass_context *context, const char *name);

bool pass_canonicalize(pass_context *context);
bool pass_common_subexpressions(pass_context *context);
bool pass_dead_code(pass_context *context);
bool pass_trim_taps(pass_context *context);
bool pass_differentiate(pass_context *context);
bool pass_squeeze(pass_context *context);
bool pass_expand_distances(pass_context *context);
bool pass_sink_gathers(pass_context *context);
bool pass_fuse_contrastive(pass_context *context);
bool pass_thin_dots(pass_context *context);
bool pass_expand(pass_context *context);
bool pass_one_pass_variance(pass_context *context);
bool pass_absorb_transposes(pass_context *context);
bool pass_factor_sums(pass_context *context);
bool pass_fuse_elementwise(pass_context *context);
bool pass_layout(pass_context *context);
bool pass_recompute(pass_context *context);
bool pass_lower(pass_context *context);
bool pass_lower_views(pass_context *context);
bool pass_join_launches(pass_context *context);
bool pass_small_launches(pass_context *context);
bool pass_plan_memory(pass_context *context);

#endif
