/* Times the functions of a module of the tensor IR, each by itself: time_functions FILE.ir THREADS SECONDS PRECISION
 *
 * Prints one JSON object a function: the median of its runs, for SECONDS each, and the arithmetic it stands for; and
 * one of the processor's peak, in plain products by the units that the precision is meant for. */
#include "frontend/driver/machine.h"
#include "runtime/memory.h"
#include "runtime/progress.h"
#include "runtime/random.h"

#include <stdio.h>
#include <stdlib.h>

enum { LEAST_RUNS = 5, MOST_RUNS = 200 };

static int by_value(const void *a, const void *b) {
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

/* ---- functions ------------------------------------------------------------------------------------------------------
 */

static void fill_inputs(const kir_program *program, const kir_function *function, char *memory) {
    for (int i = 0; i < function->input_count; i++) {
        const kir_port *port = &function->inputs[i];
        float *numbers = (float *)(memory + program->buffers[port->buffer].offset);
        rt_random_sequence random = rt_random_begin((uint64_t)i, 11);
        for (int64_t e = 0; e < ir_type_elements(&port->type); e++)
            numbers[e] = (float)rt_random_range(&random, -1, 1);
    }
}

/* Seconds of one run: the median. */
static double time_entry(const rt_entry *entry, const rt_frame *frame, double enough) {
    double seconds[MOST_RUNS], spent = 0;
    int runs = 0;
    entry->run(frame, entry->context);
    while (runs < MOST_RUNS && (runs < LEAST_RUNS || spent < enough)) {
        double start = rt_seconds();
        entry->run(frame, entry->context);
        spent += seconds[runs++] = rt_seconds() - start;
    }
    qsort(seconds, (size_t)runs, sizeof *seconds, by_value);
    return seconds[runs / 2];
}

static double cost_of(const ir_function *function) {
    double cost = 0;
    for (const ir_value *value = function->first; value; value = value->next)
        cost += ir_cost(value);
    return cost;
}

static bool time_functions(pass_context *passes, rt_pool *pool, double enough) {
    pass_options options = {0};
    double *costs = arena_alloc(passes->memory, (size_t)(passes->module->function_count + 1) * sizeof *costs);
    for (int i = 0; i < passes->module->function_count; i++)
        costs[i] = cost_of(passes->module->functions[i]);
    if (!pass_run_pipeline(passes, &options))
        return false;
    const kir_program *program = passes->program;
    backend_code *code = llvm_compile(program, &passes->target, passes->diags);
    if (!code)
        return false;
    size_t scratch = 64;
    for (int i = 0; i < program->kernel_count; i++)
        scratch = (size_t)kir_scratch_bytes(program->kernels[i]) > scratch
                      ? (size_t)kir_scratch_bytes(program->kernels[i])
                      : scratch;
    rt_pool_reserve(pool, scratch);
    for (int i = 0; i < program->function_count; i++) {
        const kir_function *function = &program->functions[i];
        void *block;
        char *memory = rt_memory_take(function->arena_bytes, &block);
        if (!memory)
            return false;
        fill_inputs(program, function, memory);
        rt_frame frame = {.arena = memory, .pool = pool};
        double seconds = time_entry(&backend_program(code)->entries[i], &frame, enough);
        printf("{\"function\": \"%s\", \"seconds\": %.6g, \"operations\": %.6g, \"bytes\": %.0f}\n", function->name,
               seconds, costs[i], (double)function->arena_bytes);
        fflush(stdout);
        free(block);
    }
    backend_free(code);
    return true;
}

int main(int argc, char **argv) {
    int parts = argc == 5 ? kir_precision_parts(argv[4]) : -1;
    if (parts < 0) {
        fprintf(stderr, "usage: time_functions FILE.ir THREADS SECONDS PRECISION\n");
        return 2;
    }
    size_t length;
    char *text = text_read_file(argv[1], &length);
    rt_pool *pool = rt_pool_create(atoi(argv[2]));
    if (!text || !pool) {
        fprintf(stderr, "time_functions: cannot read '%s' or start threads\n", argv[1]);
        return 1;
    }
    arena *memory = arena_new();
    driver_session work = {.memory = memory, .sources = {.memory = memory}};
    work.diags = (diag_list){.memory = memory, .sources = &work.sources};
    work.passes = (pass_context){.memory = memory, .diags = &work.diags, .target = backend_target_host()};
    work.passes.target.matrix_units &= parts > 0;
    work.passes.product_parts = parts;
    work.passes.module = ir_parse(memory, &work.diags, argv[1], text, length);
    bool good = work.passes.module != NULL;
    if (good) {
        double pairs = machine_peak_pairs(&work, atoi(argv[2]), parts);
        printf("{\"peak\": %.6g}\n", pairs > 0 ? pairs : machine_peak_flops(&work, atoi(argv[2])));
        good = time_functions(&work.passes, pool, atof(argv[3]));
    }
    text_buffer errors = {0};
    diag_render(&work.diags, &errors, false);
    if (errors.length)
        fputs(errors.data, stderr);
    text_free(&errors);
    rt_pool_destroy(pool);
    arena_free(memory);
    free(text);
    return good ? 0 : 1;
}
