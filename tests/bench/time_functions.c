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

/* ---- the machine's peak --------------------------------------------------------------------------------------------
 */

enum { PEAK_STEPS = 1 << 16, PEAK_CHAINS = 12, PEAK_EXTENT = 16 };

/* Chains of a * b + c in registers: as many as hide the latency of two units. */
static kir_kernel *peak_kernel(arena *memory, int lanes) {
    kir_kernel *kernel = kir_kernel_new(memory, "peak", (source_span){0});
    int argument = kir_argument_add(memory, kernel, "sums", KIR_F32, lanes, true, true);
    kir_builder builder = {memory, kernel, &kernel->body, {0}}, body;
    kir_reg sums[PEAK_CHAINS], factor = kir_load(&builder, argument, kir_at(0), lanes, lanes);
    for (int i = 0; i < PEAK_CHAINS; i++) {
        sums[i] = kir_register(&builder, kir_vector_type(KIR_F32, lanes));
        kir_assign(&builder, sums[i], kir_number(&builder, kir_vector_type(KIR_F32, lanes), i));
    }
    kir_loop(&builder, kir_at(0), kir_at(PEAK_STEPS), 1, &body);
    for (int i = 0; i < PEAK_CHAINS; i++)
        kir_into(&body, sums[i], KIR_fma, sums[i], factor, factor);
    for (int i = 1; i < PEAK_CHAINS; i++)
        kir_into(&builder, sums[0], KIR_add, sums[0], sums[i], -1);
    kir_store(&builder, argument, kir_at(0), sums[0], lanes);
    return kernel;
}

/* Floating-point operations a second of all threads. */
static double peak(const pass_context *passes, rt_pool *pool) {
    kir_program program = {.memory = passes->memory, .module = passes->module};
    kir_launch launch = {.extent = PEAK_EXTENT, .rounds = 1, .buffers = &(int){0}, .byte_offsets = &(int64_t){0}};
    kir_function function = {.name = "peak", .launches = &launch, .launch_count = 1, .arena_bytes = 64};
    kir_buffer buffer = {.name = "sums", .region = KIR_ARENA, .element = KIR_F32, .bytes = 64, .fixed = true};
    program.buffers = &buffer;
    program.functions = &function;
    program.buffer_count = program.function_count = 1;
    kir_program_add_kernel(&program, peak_kernel(passes->memory, passes->target.lanes));
    backend_code *code = llvm_compile(&program, &passes->target, passes->diags);
    if (!code)
        return 0;
    _Alignas(64) float sums[16] = {0};
    rt_frame frame = {.arena = (char *)sums, .pool = pool};
    double best = 0;
    rt_pool_reserve(pool, 64);
    for (int i = 0; i < 16; i++) {
        double start = now();
        backend_program(code)->entries[0].run(&frame, NULL);
        best = fmax(best, 2.0 * passes->target.lanes * PEAK_CHAINS * PEAK_STEPS * PEAK_EXTENT / (now() - start));
    }
    backend_free(code);
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
    char *text = text_read_file(argv[1], &length);
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
    bool good = passes.module != NULL;
    if (good) {
        printf("{\"peak\": %.6g}\n", peak(&passes, pool));
        good = time_functions(&passes, pool, atof(argv[3]));
    }
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
