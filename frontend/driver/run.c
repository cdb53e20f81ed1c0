/* cslc run: compiled in memory, then the command line of an emitted program. */
#include "frontend/driver/driver.h"

int driver_run(driver_session *work) {
    const driver_options *options = work->options;
    int backend = driver_choose_backend(options);
    if (backend < 0)
        return STATUS_USAGE;
    if (driver_backend_is_scalar(backend))
        kir_target_named("scalar", &work->passes.target);
    if (!driver_compile_program(work, NULL))
        return STATUS_FAILED;
    backend_code *code = driver_compile_code(work, backend);
    if (!code)
        return STATUS_FAILED;
    int count = options->program_argument_count + 1;
    char **arguments = arena_alloc(work->memory, (size_t)(count + 1) * sizeof *arguments);
    arguments[0] = arena_strdup(work->memory, work->passes.module->name);
    for (int i = 1; i < count; i++)
        arguments[i] = options->program_arguments[i - 1];
    int status = rt_main(count, arguments, backend_program(code));
    backend_free(code);
    return status;
}
