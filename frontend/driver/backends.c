/* The back ends by name: in memory for `run`, and those that make executables. */
#include "frontend/driver/driver.h"

#include <string.h>

typedef backend_code *compile_function(driver_session *work);
typedef bool link_function(const kir_program *program, const kir_target *target, const char *runtime_library,
                           const char *output_path, diag_list *diags);

static backend_code *run_llvm(driver_session *work) {
    return llvm_compile(work->passes.program, &work->passes.target, &work->diags);
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

enum { BACKEND_COUNT = 4 };
static const char *const names[BACKEND_COUNT] = {"llvm", "c", "tcc", "interp"};
static compile_function *const compilers[BACKEND_COUNT] = {run_llvm, run_c, run_tcc, run_interp};
static link_function *const linkers[BACKEND_COUNT] = {llvm_link, cgen_link, NULL, NULL};

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
    return linkers[backend](work->passes.program, &work->passes.target, CSL_RUNTIME_LIBRARY, output, &work->diags);
}
