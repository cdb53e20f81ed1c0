/* The back ends by name: in memory for `run`, and those that make executables. */
#include "frontend/driver/driver.h"

#include "runtime/progress.h"

#include <string.h>

typedef backend_code *compile_function(driver_session *work);
typedef bool link_function(driver_session *work, const char *output);

/* A line of --time-passes. */
static void tell_time(const driver_session *work, double start) {
    if (!work->options->time_passes)
        return;
    fprintf(stderr, "%-24s %8.2f ms", "llvm", 1e3 * (rt_seconds() - start));
    if (work->cache)
        fprintf(stderr, " (%d of %d objects from the cache)", work->cache->found,
                work->cache->found + work->cache->made);
    fprintf(stderr, "\n");
}

backend_code *driver_compile_llvm(driver_session *work, const pass_context *passes) {
    double start = rt_seconds();
    backend_code *code = llvm_compile_cached(passes->program, &passes->target, work->cache, &work->diags);
    tell_time(work, start);
    return code;
}

static backend_code *run_llvm(driver_session *work) {
    return driver_compile_llvm(work, &work->passes);
}

static backend_code *run_c(driver_session *work) {
    return cgen_compile(work->passes.program, &work->passes.target, &work->diags);
}

static backend_code *run_tcc(driver_session *work) {
    return tcc_compile(work->passes.program, &work->diags);
}

static backend_code *run_interp(driver_session *work) {
    return interp_compile(work->passes.module, work->passes.program, &work->diags);
}

static bool link_llvm(driver_session *work, const char *output) {
    double start = rt_seconds();
    bool good =
        llvm_link(work->passes.program, &work->passes.target, CSL_RUNTIME_LIBRARY, output, work->cache, &work->diags);
    tell_time(work, start);
    return good;
}

static bool link_c(driver_session *work, const char *output) {
    return cgen_link(work->passes.program, &work->passes.target, CSL_RUNTIME_LIBRARY, output, &work->diags);
}

enum { BACKEND_COUNT = 4 };
static const char *const names[BACKEND_COUNT] = {"llvm", "c", "tcc", "interp"};
static compile_function *const compilers[BACKEND_COUNT] = {run_llvm, run_c, run_tcc, run_interp};
static link_function *const linkers[BACKEND_COUNT] = {link_llvm, link_c, NULL, NULL};

int driver_choose_backend(const driver_options *options) {
    if (!options->backend)
        return 0;
    for (int i = 0; i < BACKEND_COUNT; i++)
        if (strcmp(options->backend, names[i]) == 0)
            return i;
    driver_usage_error("no back end '%s'", options->backend, diag_suggest(options->backend, names, BACKEND_COUNT));
    return -1;
}

backend_code *driver_compile_code(driver_session *work, int backend) {
    return compilers[backend](work);
}

bool driver_backend_is_scalar(int backend) {
    return compilers[backend] == run_tcc || compilers[backend] == run_interp;
}

bool driver_backend_links(int backend) {
    return linkers[backend] != NULL;
}

bool driver_link(driver_session *work, int backend, const char *output) {
    return linkers[backend](work, output);
}
