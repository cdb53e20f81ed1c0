/* Times the functions of a module of the tensor IR, each by itself: time_functions FILE.ir THREADS SECONDS
 *
 * Prints one JSON object a function: the median of its runs, for SECONDS each, and the arithmetic it stands for; and
 * one of the processor's peak. */
#include "backend/backend.h"
#include "passes/pass.h"
#include "runtime/random.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LEAST_RUNS = 5, MOST_RUNS = 200 };

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static int by_value(const void *a, const void *b) {
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static char *read_file(const char *path, size_t *length) {
    FILE *file = fopen(path, "rb");
    if (!file)
        return NULL;
    char *text = NULL;
    size_t capacity = 0;
    *length = 0;
    do {
        capacity = 2 * capacity + 4096;
        text = realloc(text, capacity);
        *length += fread(text + *length, 1, capacity - *length, file);
    } while (*length == capacity);
    fclose(file);
    return text;
}

/* ---- the machine's peak --------------------------------------------------------------------------------------------
 */

enum { PEAK_STEPS = 1 << 16, PEAK_CHAINS = 12 };

typedef float peak_vector __attribute__((vector_size(64)));

/* Chains of multiplications and additions in registers, enough to hide their latency. */
__attribute__((target("avx512f"))) static void peak_task(void *context, int worker, int64_t begin, int64_t end) {
    (void)worker;
    peak_vector sums[PEAK_CHAINS] = {{0}}, factor = {0.5f};
    for (int64_t i = begin; i < end; i++)
        for (int step = 0; step < PEAK_STEPS; step++)
            for (int c = 0; c < PEAK_CHAINS; c++) {
                sums[c] = sums[c] * factor + factor;
                __asm__ volatile("" : "+v"(sums[c]));
            }
    for (int c = 1; c < PEAK_CHAINS; c++)
        sums[0] += sums[c];
    *(volatile float *)context = sums[0][0];
}

static double peak(rt_pool *pool) {
    enum { EXTENT = 32 };
    float sink;
    double best = 0;
    for (int i = 0; i < 8 && __builtin_cpu_supports("avx512f"); i++) {
        double start = now();
        rt_pool_run(pool, EXTENT, peak_task, &sink);
        best = fmax(best, 2.0 * 16 * PEAK_CHAINS * PEAK_STEPS * EXTENT / (now() - start));
    }
    return best;
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
        double start = now();
        entry->run(frame, entry->context);
        spent += seconds[runs++] = now() - start;
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
    double costs[256];
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
        char *memory = aligned_alloc(64, (size_t)function->arena_bytes + 64);
        if (!memory)
            return false;
        memset(memory, 0, (size_t)function->arena_bytes);
        fill_inputs(program, function, memory);
        rt_frame frame = {.arena = memory, .pool = pool};
        double seconds = time_entry(&backend_program(code)->entries[i], &frame, enough);
        printf("{\"function\": \"%s\", \"seconds\": %.6g, \"operations\": %.6g, \"bytes\": %.0f}\n", function->name,
               seconds, costs[i], (double)function->arena_bytes);
        fflush(stdout);
        free(memory);
    }
    backend_free(code);
    return true;
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: time_functions FILE.ir THREADS SECONDS\n");
        return 2;
    }
    size_t length;
    char *text = read_file(argv[1], &length);
    rt_pool *pool = rt_pool_create(atoi(argv[2]));
    if (!text || !pool) {
        fprintf(stderr, "time_functions: cannot read '%s' or start threads\n", argv[1]);
        return 1;
    }
    arena *memory = arena_new();
    source_table sources = {.memory = memory};
    diag_list diags = {.memory = memory, .sources = &sources};
    pass_context passes = {.memory = memory, .diags = &diags, .target = backend_target_host()};
    passes.target.matrix_units = false;
    passes.module = ir_parse(memory, &diags, argv[1], text, length);
    printf("{\"function\": \"peak\", \"operations a second\": %.6g}\n", peak(pool));
    bool good = passes.module && time_functions(&passes, pool, atof(argv[3]));
    text_buffer errors = {0};
    diag_render(&diags, &errors, false);
    if (errors.length)
        fputs(errors.data, stderr);
    text_free(&errors);
    rt_pool_destroy(pool);
    arena_free(memory);
    free(text);
    return good ? 0 : 1;
}
