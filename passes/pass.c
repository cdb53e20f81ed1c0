/* The tables of passes, and running them in order. */
#include "passes/pass.h"

#include <string.h>
#include <time.h>

static const pass_info canonicalize = {"canonicalize", "identities, constant folding, moves that move nothing", false,
                                       pass_canonicalize};
static const pass_info common_subexpressions = {"common-subexpressions", "one value for all that compute the same",
                                                false, pass_common_subexpressions};
static const pass_info dead_code = {"dead-code", "removes values that no write or output needs", false, pass_dead_code};
static const pass_info trim_taps = {"trim-taps", "convolutions without the taps that nowhere reach the map", false,
                                    pass_trim_taps};
static const pass_info differentiate = {"differentiate", "replaces gradient operations by reverse-mode derivatives",
                                        true, pass_differentiate};
static const pass_info squeeze = {"squeeze", "computes without axes of size 1", false, pass_squeeze};
static const pass_info expand = {"expand", "operations that have no kernel, as those that have", true, pass_expand};
static const pass_info sink_gathers = {"sink-gathers", "single scores read out of a matrix are computed by themselves",
                                       false, pass_sink_gathers};
static const pass_info expand_distances = {"expand-distances", "squared distances of all pairs become products", false,
                                           pass_expand_distances};
static const pass_info fuse_contrastive = {
    "fuse-contrastive", "groups scores of all pairs with what reduces them, so that they are never stored", false,
    pass_fuse_contrastive};
static const pass_info thin_dots = {"thin-dots", "products of one vector an item, as elementwise products and sums",
                                    false, pass_thin_dots};
static const pass_info factor_sums = {"factor-sums", "sums of multiples as multiples of sums", false, pass_factor_sums};
static const pass_info one_pass_variance = {"one-pass-variance",
                                            "sums of squares about a mean, in the pass over memory that gives the mean",
                                            false, pass_one_pass_variance};
static const pass_info absorb_transposes = {"absorb-transposes", "products read transposed operands by their axes",
                                            false, pass_absorb_transposes};
static const pass_info layout = {"layout", "chooses the physical order of every tensor's axes", false, pass_layout};
static const pass_info recompute = {"recompute",
                                    "computes anew what would wait long in memory, if cheap or under a memory limit",
                                    false, pass_recompute};
static const pass_info fuse_elementwise = {
    "fuse-elementwise", "groups elementwise chains and the reductions that they feed", false, pass_fuse_elementwise};
static const pass_info lower = {"lower", "turns groups into kernels and launches", true, pass_lower};
static const pass_info lower_views = {"lower-views", "turns the augmentations of each view into one kernel", true,
                                      pass_lower_views};
static const pass_info join_launches = {"join-launches", "launches of equal kernels through whole buffers become one",
                                        false, pass_join_launches};
static const pass_info small_launches = {
    "small-launches", "launches that take less time than waking a thread are left to one", false, pass_small_launches};
static const pass_info plan_memory = {"plan-memory", "gives every buffer its place in one arena a function", true,
                                      pass_plan_memory};

static const pass_info *const pipeline[] = {&squeeze,
                                            &canonicalize,
                                            &common_subexpressions,
                                            &expand_distances,
                                            &common_subexpressions,
                                            &sink_gathers,
                                            &dead_code,
                                            &trim_taps,
                                            &differentiate,
                                            &squeeze,
                                            &canonicalize,
                                            &common_subexpressions,
                                            &dead_code,
                                            &fuse_contrastive,
                                            &thin_dots,
                                            &expand,
                                            &factor_sums,
                                            &one_pass_variance,
                                            &absorb_transposes,
                                            &common_subexpressions,
                                            &dead_code,
                                            &layout,
                                            &fuse_elementwise,
                                            &recompute,
                                            &dead_code,
                                            &lower,
                                            &lower_views,
                                            &join_launches,
                                            &small_launches,
                                            &plan_memory};
enum { PIPELINE_LENGTH = sizeof pipeline / sizeof *pipeline };

const pass_info *const *pass_pipeline(int *count) {
    *count = PIPELINE_LENGTH;
    return pipeline;
}

static bool stands_before(int place) {
    for (int i = 0; i < place; i++)
        if (pipeline[i] == pipeline[place])
            return true;
    return false;
}

const pass_info *pass_distinct(int number) {
    for (int i = 0; i < PIPELINE_LENGTH; i++)
        if (!stands_before(i) && number-- == 0)
            return pipeline[i];
    return NULL;
}

const pass_info *pass_find(const char *name) {
    for (int i = 0; i < PIPELINE_LENGTH; i++)
        if (strcmp(pipeline[i]->name, name) == 0)
            return pipeline[i];
    return NULL;
}

kir_program *pass_lowered(const pass_context *context, const char *name) {
    source_span nowhere = {0};
    if (!context->program)
        diag_error(context->diags, nowhere, "%s needs 'lower' before it", name);
    return context->program;
}

static bool is_disabled(const pass_options *options, const pass_info *pass) {
    for (int i = 0; i < options->disabled_count; i++)
        if (strcmp(options->disabled[i], pass->name) == 0)
            return true;
    return false;
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

bool pass_run(pass_context *context, const pass_info *pass, const pass_options *options) {
    double start = now();
    if (!pass->run(context))
        return false;
    double seconds = now() - start;
    if (options->verify && !(context->program ? kir_verify(context->program, context->diags)
                                              : ir_verify(context->module, context->diags))) {
        source_span nowhere = {0};
        diag_error(context->diags, nowhere, "the pass '%s' left invalid IR: this is a bug in cslc", pass->name);
        return false;
    }
    if (options->after)
        options->after(options->user, pass, context, seconds);
    return true;
}

bool pass_run_pipeline(pass_context *context, const pass_options *options) {
    for (int i = 0; i < PIPELINE_LENGTH; i++) {
        if (options->stop_before && strcmp(pipeline[i]->name, options->stop_before) == 0)
            break;
        if (!is_disabled(options, pipeline[i]) && !pass_run(context, pipeline[i], options))
            return false;
    }
    return true;
}
