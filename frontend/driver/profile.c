/* cslc profile: what a training step's time goes to. */
#include "frontend/driver/profile.h"

#include "runtime/blas.h"

#include <cblas.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_STEPS = 5, MOST_STEPS = 100 };

/* The number of steps that the command line asks for, or -1 after saying what is wrong with it. */
static int wanted_steps(const driver_options *options) {
    char *end;
    if (!options->steps)
        return DEFAULT_STEPS;
    long steps = strtol(options->steps, &end, 10);
    if (*options->steps && !*end && steps >= 1 && steps <= MOST_STEPS)
        return (int)steps;
    driver_usage_error("--steps takes a number from 1 to 100, not '%s'", options->steps, NULL);
    return -1;
}

static int write_report(const driver_session *work, const profile_report *report) {
    text_buffer text = {0};
    int status = STATUS_GOOD;
    if (!work->options->json) {
        profile_write_text(report, work->options->all, &text);
    } else if (!profile_write_json(report, &text)) {
        fprintf(stderr, "cslc: error: out of memory\n");
        status = STATUS_FAILED;
    }
    if (status == STATUS_GOOD)
        status = driver_write(work->options->output, &text);
    text_free(&text);
    return status;
}

int driver_profile(driver_session *work) {
    int steps = wanted_steps(work->options);
    if (steps < 0)
        return STATUS_USAGE;
    openblas_set_num_threads(1); /* the pool's workers call it side by side */
    if (!driver_compile_program(work, NULL))
        return STATUS_FAILED;
    backend_code *code = driver_compile_llvm(work, &work->passes);
    if (!code)
        return STATUS_FAILED;
    int threads = rt_processors();
    profile_report report = {.memory = work->memory,
                             .sources = &work->sources,
                             .module = work->passes.module,
                             .program = work->passes.program,
                             .processor = machine_processor(work->memory),
                             .threads = threads,
                             .steps = steps};
    bool good = machine_measure(work, threads, &report.peaks) &&
                profile_measure(work, backend_program(code), work->options->data, &report);
    int status = good ? write_report(work, &report) : STATUS_FAILED;
    backend_free(code);
    return status;
}
