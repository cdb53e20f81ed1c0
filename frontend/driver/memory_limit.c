/* --memory-limit: what a step's state and arena together may take. The pass `recompute` estimates, the plan is what
 * counts: where it exceeds the limit, the next attempt aims lower by as much. */
#include "frontend/driver/driver.h"
#include "frontend/driver/explain.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { ATTEMPTS = 4 };

static int64_t read_bytes(const char *text) {
    static const char suffixes[] = "KMG";
    char *end;
    errno = 0;
    double amount = strtod(text, &end);
    const char *suffix = *end ? strchr(suffixes, *end) : NULL;
    if (text[0] < '0' || text[0] > '9' || strpbrk(text, "xX") || errno || !(amount > 0) ||
        (*end && (!suffix || end[1])))
        return -1;
    for (const char *at = suffixes; suffix && at <= suffix; at++)
        amount *= 1000;
    return amount >= 1 && amount < 1e15 ? (int64_t)amount : -1;
}

int driver_choose_memory_limit(driver_session *work) {
    static const char *const early[] = {"ast", "ir", "dot"};
    const char *text = work->options->memory_limit, *emit = work->options->emit;
    if (!text)
        return -1;
    for (int i = 0; emit && i < 3; i++)
        if (strcmp(emit, early[i]) == 0)
            return driver_usage_error("--memory-limit has no effect on --emit=%s", emit, NULL);
    work->memory_limit = read_bytes(text);
    return work->memory_limit > 0
               ? -1
               : driver_usage_error("--memory-limit takes a number of bytes such as 800M, not '%s'", text, NULL);
}

static const kir_function *train_step_of(const kir_program *program) {
    for (int i = 0; i < program->function_count; i++)
        if (strcmp(program->functions[i].name, "train_step") == 0)
            return &program->functions[i];
    return &program->functions[0];
}

/* One compilation whose arenas aim at `aim` bytes (0: no limit); the bytes of state and arena, or -1 after an error. */
static int64_t attempt(driver_session *work, ir_module *(*make)(driver_session *work, void *user), void *user,
                       int64_t aim) {
    pass_options options = driver_pass_options(work->options, NULL);
    work->passes.program = NULL;
    work->diags.count = 0; /* the remarks of the attempt before */
    work->passes.memory_limit = aim;
    work->passes.module = make(work, user);
    if (!work->passes.module || !pass_run_pipeline(&work->passes, &options))
        return -1;
    return work->passes.program->state_bytes + train_step_of(work->passes.program)->arena_bytes;
}

static double step_flops(const kir_program *program) {
    const kir_function *step = train_step_of(program);
    double flops = 0;
    for (int i = 0; i < step->launch_count; i++)
        flops += kir_launch_cost(program, &step->launches[i]).flops;
    return flops;
}

static void say_cost(driver_session *work, int64_t before, int64_t after, double flops_before) {
    double flops = step_flops(work->passes.program);
    work->memory_note = arena_printf(
        work->memory,
        "--memory-limit: %d values are computed again, %.2g more operations a step (%.2f %%); the step takes %s "
        "instead of %s",
        work->passes.recomputed_values, flops - flops_before,
        flops_before > 0 ? 100 * (flops - flops_before) / flops_before : 0, explain_bytes(work->memory, after),
        explain_bytes(work->memory, before));
}

/* Aims lower by what the attempt before took too much, and a quarter of that. The bytes of the first that keeps the
 * limit, or else of the one that takes least; -1 after an error. */
static int64_t approach(driver_session *work, ir_module *(*make)(driver_session *work, void *user), void *user,
                        int64_t limit, int64_t aim) {
    int64_t low = 1, reached = limit + 1;
    for (int i = 0; i < ATTEMPTS && aim > low && reached > limit; i++) {
        reached = attempt(work, make, user, aim);
        if (reached < 0)
            return -1;
        if (reached > limit && work->passes.recompute_exhausted) /* lower aims reach no less */
            return reached;
        int64_t step = (reached - limit) + (reached - limit) / 4;
        aim = aim - step > low ? aim - step : (low + aim) / 2;
    }
    return reached <= limit ? reached : attempt(work, make, user, low);
}

bool driver_run_limited(driver_session *work, ir_module *(*make)(driver_session *work, void *user), void *user) {
    int64_t limit = work->memory_limit;
    source_span nowhere = {0};
    int64_t before = attempt(work, make, user, 0);
    if (before < 0 || before <= limit)
        return before >= 0;
    double flops_before = step_flops(work->passes.program);
    int64_t reached = approach(work, make, user, limit, limit - work->passes.program->state_bytes);
    if (reached < 0)
        return false;
    if (reached <= limit) {
        say_cost(work, before, reached, flops_before);
        return true;
    }
    diag_error(&work->diags, nowhere, "a step cannot be fitted into %s: it takes %lldK at least, %s of them state",
               work->options->memory_limit, (long long)((reached + 999) / 1000),
               explain_bytes(work->memory, work->passes.program->state_bytes));
    return false;
}

void driver_note_memory(driver_session *work) {
    source_span nowhere = {0};
    if (work->memory_note)
        diag_add(&work->diags, DIAG_NOTE, nowhere, "%s", work->memory_note);
}
