/* cslc bench: fused scores against the same scores stored. */
#include "frontend/driver/bench.h"
#include "frontend/driver/machine.h"

#include "passes/extract_scores.h"
#include "runtime/blas.h"

#include <cblas.h>
#include <stdio.h>
#include <string.h>

/* Which sides --only leaves; false after saying what is wrong with it. */
static bool choose_sides(const driver_options *options, bool sides[BENCH_SIDES]) {
    bool fused = options->only && strcmp(options->only, "fused") == 0;
    bool unfused = options->only && strcmp(options->only, "unfused") == 0;
    if (options->only && !fused && !unfused) {
        driver_usage_error("--only takes fused or unfused, not '%s'", options->only, NULL);
        return false;
    }
    sides[BENCH_FUSED] = !unfused;
    sides[BENCH_UNFUSED] = !fused;
    return true;
}

bool bench_measure_groups(driver_session *work, const bool sides[BENCH_SIDES], bench_report *report) {
    ir_function *function = ir_function_find(work->passes.module, "train_step");
    ir_value **products;
    int count = extract_scores_find(work->memory, function, &products);
    if (count == 0) {
        diag_error(&work->diags, function->span, "no scores of this method can be fused");
        diag_add_note(&work->diags, &work->diags.entries[work->diags.count - 1], "'--emit=kernels --remarks' says why");
        return false;
    }
    for (int i = 0; i < count; i++) {
        bench_group group = {.difference = -1};
        if (((sides[BENCH_FUSED] || sides[BENCH_UNFUSED]) &&
             !bench_measure(work, function, products[i], sides, &group)) ||
            (work->options->against && !bench_pytorch(work, function, products[i], &group)))
            return false;
        ARENA_PUSH(work->memory, report->groups, report->count, report->capacity, group);
    }
    return true;
}

int driver_bench(driver_session *work) {
    const driver_options *options = work->options;
    bool sides[BENCH_SIDES];
    if (!choose_sides(options, sides))
        return STATUS_USAGE;
    if (options->against && strcmp(options->against, "pytorch") != 0)
        return driver_usage_error("--against takes pytorch, not '%s'", options->against, NULL);
    openblas_set_num_threads(1); /* the pool's workers call it side by side */
    int threads = rt_processors();
    bench_report report = {.memory = work->memory,
                           .sources = &work->sources,
                           .machine = machine_processor(work->memory),
                           .blas = openblas_get_corename(),
                           .threads = threads};
    rt_error error;
    if (sides[BENCH_UNFUSED] && rt_blas_reserve(threads, &error)) {
        fprintf(stderr, "cslc: error: %s\n", error.text);
        return STATUS_FAILED;
    }
    if (options->plot)
        return bench_plot(work, sides, &report);
    if (!driver_compile_program(work, "fuse-contrastive"))
        return STATUS_FAILED;
    report.precision = kir_precisions[work->passes.product_parts];
    double pairs = machine_peak_pairs(work, threads, work->passes.product_parts);
    report.peaks[BENCH_UNFUSED] = machine_peak_flops(work, threads);
    report.peaks[BENCH_FUSED] = pairs > 0 ? pairs : report.peaks[BENCH_UNFUSED];
    if (report.peaks[BENCH_UNFUSED] == 0 || !bench_measure_groups(work, sides, &report))
        return STATUS_FAILED;
    text_buffer text = {0};
    if (!options->json) {
        bench_write_text(&report, &text);
    } else if (!bench_write_json(&report, &text)) {
        fprintf(stderr, "cslc: error: out of memory\n");
        return STATUS_FAILED;
    }
    int status = driver_write(options->output, &text);
    text_free(&text);
    return status;
}
