/* The machine's peaks, each the best of some runs of a kernel that does nothing else. */
#include "frontend/driver/machine.h"

#include "runtime/progress.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LEAST_RUNS = 8, PEAK_STEPS = 1 << 16, ACCUMULATORS = 12 };
/* New threads may share a processor until the system has spread them. */
static const double LEAST_SECONDS = 0.15;

enum { UNIT = 16, UNIT_SUMS = 4, PAIR_NUMBERS = UNIT * UNIT };
enum { STREAM_FLOATS = 1 << 26, CHUNK_FLOATS = 1 << 17 }; /* 256 MB, in launches' iterations of 512 kB */

const char *machine_processor(arena *memory) {
    char line[256], *name = NULL;
    FILE *file = fopen("/proc/cpuinfo", "r");
    while (file && !name && fgets(line, sizeof line, file))
        if (strncmp(line, "model name", 10) == 0 && strchr(line, ':'))
            name = strchr(line, ':') + 2;
    if (name)
        name[strcspn(name, "\n")] = 0;
    const char *found = arena_strdup(memory, name ? name : "unknown");
    if (file)
        fclose(file);
    return found;
}

/* ---- kernels -------------------------------------------------------------------------------------------------------
 */

static void add_up(const kir_builder *builder, kir_reg *sums) {
    for (int i = 1; i < ACCUMULATORS; i++)
        kir_into(builder, sums[0], KIR_add, sums[0], sums[i], -1);
}

static void start_sums(const kir_builder *builder, kir_type vector, kir_reg *sums) {
    for (int i = 0; i < ACCUMULATORS; i++) {
        sums[i] = kir_register(builder, vector);
        kir_assign(builder, sums[i], kir_number(builder, vector, i));
    }
}

/* Chains of a * b + c in registers: as many as hide the latency of two units. */
static kir_kernel *arithmetic_kernel(arena *memory, const kir_target *target) {
    source_span nowhere = {0};
    kir_kernel *kernel = kir_kernel_new(memory, "peak", nowhere);
    int argument = kir_argument_add(memory, kernel, "sums", KIR_F32, target->lanes, true, true);
    kir_builder builder = {memory, kernel, &kernel->body, nowhere}, body;
    kir_reg sums[ACCUMULATORS], factor = kir_load(&builder, argument, kir_at(0), target->lanes, target->lanes);
    start_sums(&builder, kir_vector_type(KIR_F32, target->lanes), sums);
    kir_loop(&builder, kir_at(0), kir_at(PEAK_STEPS), 1, &body);
    for (int i = 0; i < ACCUMULATORS; i++)
        kir_into(&body, sums[i], KIR_fma, sums[i], factor, factor);
    add_up(&builder, sums);
    kir_store(&builder, argument, kir_at(0), sums[0], target->lanes);
    return kernel;
}

/* Products of pairs by vectors, in chains. */
static void multiply_vectors(const kir_builder *builder, const kir_target *target, int pairs, int sums) {
    kir_builder body;
    kir_reg results[ACCUMULATORS], operand = kir_load(builder, pairs, kir_at(0), target->lanes, target->lanes);
    start_sums(builder, kir_vector_type(KIR_F32, target->lanes), results);
    kir_loop(builder, kir_at(0), kir_at(PEAK_STEPS), 1, &body);
    for (int i = 0; i < ACCUMULATORS; i++)
        kir_into(&body, results[i], KIR_dot_pairs, operand, operand, results[i]);
    add_up(builder, results);
    kir_store(builder, sums, kir_at(0), results[0], target->lanes);
}

/* By tiles of the matrix units. */
static void multiply_tiles(const kir_builder *builder, int pairs, int sums) {
    kir_builder body;
    kir_reg results[UNIT_SUMS], operands[2];
    for (int i = 0; i < 2; i++)
        operands[i] = kir_tile_load(builder, pairs, kir_at(0), kir_tile_type(KIR_I32, UNIT, UNIT), UNIT);
    for (int i = 0; i < UNIT_SUMS; i++)
        results[i] = kir_tile_zero(builder, kir_tile_type(KIR_F32, UNIT, UNIT));
    kir_loop(builder, kir_at(0), kir_at(PEAK_STEPS), 1, &body);
    for (int i = 0; i < UNIT_SUMS; i++)
        kir_into(&body, results[i], KIR_tile_multiply, operands[0], operands[1], results[i]);
    for (int i = 0; i < UNIT_SUMS; i++)
        kir_tile_store(builder, sums, kir_at(0), results[i], UNIT);
}

static kir_kernel *pair_kernel(arena *memory, const kir_target *target) {
    source_span nowhere = {0};
    kir_kernel *kernel = kir_kernel_new(memory, "peak", nowhere);
    int pairs = kir_argument_add(memory, kernel, "pairs", KIR_I32, PAIR_NUMBERS, true, false);
    int sums = kir_argument_add(memory, kernel, "sums", KIR_F32, PAIR_NUMBERS, true, true);
    kir_builder builder = {memory, kernel, &kernel->body, nowhere};
    if (target->matrix_units)
        multiply_tiles(&builder, pairs, sums);
    else
        multiply_vectors(&builder, target, pairs, sums);
    return kernel;
}

/* Reads or writes chunk %g of a long vector. What was read is summed, and the sum written where the chunk begins. */
static kir_kernel *stream_kernel(arena *memory, const kir_target *target, bool writes) {
    source_span nowhere = {0};
    kir_kernel *kernel = kir_kernel_new(memory, "peak", nowhere);
    int argument = kir_argument_add(memory, kernel, "vector", KIR_F32, STREAM_FLOATS, true, true);
    kir_builder builder = {memory, kernel, &kernel->body, nowhere}, body;
    kir_index chunk = kir_plus(kir_at(0), CHUNK_FLOATS, 0);
    int64_t step = (int64_t)ACCUMULATORS * target->lanes, whole = CHUNK_FLOATS / step * step;
    kir_reg sums[ACCUMULATORS];
    start_sums(&builder, kir_vector_type(KIR_F32, target->lanes), sums);
    kir_reg place = kir_loop(&builder, kir_at(0), kir_at(whole), step, &body);
    for (int i = 0; i < ACCUMULATORS; i++) {
        kir_index at = kir_plus(kir_plus_index(chunk, 1, kir_at((int64_t)i * target->lanes)), 1, place);
        if (writes)
            kir_store(&body, argument, at, sums[i], target->lanes);
        else
            kir_into(&body, sums[i], KIR_add, sums[i], kir_load(&body, argument, at, target->lanes, target->lanes), -1);
    }
    add_up(&builder, sums);
    kir_store(&builder, argument, chunk, sums[0], target->lanes);
    return kernel;
}

/* ---- running -------------------------------------------------------------------------------------------------------
 */

/* The shortest of some runs of the kernel over `extent` iterations on `memory`, in seconds; 0 after an error. */
static double shortest_run(driver_session *work, kir_kernel *kernel, int64_t extent, float *memory, int threads) {
    kir_buffer buffer = {.name = "memory", .region = KIR_ARENA, .element = KIR_F32, .fixed = true};
    buffer.bytes = 4 * kernel->arguments[0].elements;
    kir_launch launch = {
        .extent = extent, .rounds = 1, .part_count = 1, .buffers = (int[]){0, 0}, .byte_offsets = (int64_t[]){0, 0}};
    kir_function function = {.name = "peak", .launches = &launch, .launch_count = 1, .arena_bytes = buffer.bytes};
    kir_program program = {.memory = work->memory, .module = ir_module_new(work->memory, &work->sources, "peak")};
    program.buffers = &buffer;
    program.buffer_count = 1;
    program.functions = &function;
    program.function_count = 1;
    kir_program_add_kernel(&program, kernel);
    backend_code *code = llvm_compile(&program, &work->passes.target, &work->diags);
    rt_pool *pool = rt_pool_create(threads);
    double best = 0;
    if (code && pool && rt_pool_reserve(pool, 64) == 0) {
        rt_frame frame = {.arena = (char *)memory, .pool = pool};
        const rt_entry *entry = &backend_program(code)->entries[0];
        double begin = rt_seconds();
        for (int i = 0; i < LEAST_RUNS || rt_seconds() - begin < LEAST_SECONDS; i++) {
            double start = rt_seconds();
            entry->run(&frame, entry->context);
            double seconds = rt_seconds() - start;
            best = best == 0 ? seconds : fmin(best, seconds);
        }
    }
    if (pool)
        rt_pool_destroy(pool);
    if (code)
        backend_free(code);
    return best;
}

double machine_peak_flops(driver_session *work, int threads) {
    const kir_target *target = &work->passes.target;
    _Alignas(64) float sums[16] = {0};
    int64_t extent = (int64_t)threads * 8;
    double seconds = shortest_run(work, arithmetic_kernel(work->memory, target), extent, sums, threads);
    return seconds > 0 ? 2.0 * PEAK_STEPS * ACCUMULATORS * target->lanes * (double)extent / seconds : 0;
}

/* 0 where there are no instructions, and after an error. */
static double peak_pair_flops(driver_session *work, int threads) {
    const kir_target *target = &work->passes.target;
    _Alignas(64) float memory[PAIR_NUMBERS] = {0};
    if (!target->matrix_units && !target->pair_products)
        return 0;
    int64_t extent = (int64_t)threads * 8;
    double seconds = shortest_run(work, pair_kernel(work->memory, target), extent, memory, threads);
    double step = target->matrix_units ? 2.0 * UNIT_SUMS * UNIT * UNIT * 2 * UNIT : 4.0 * ACCUMULATORS * target->lanes;
    return seconds > 0 ? step * PEAK_STEPS * (double)extent / seconds : 0;
}

double machine_peak_pairs(driver_session *work, int threads, int parts) {
    return parts > 0 ? peak_pair_flops(work, threads) / kir_products_of_parts(parts) : 0;
}

bool machine_measure(driver_session *work, int threads, machine_peaks *peaks) {
    const kir_target *target = &work->passes.target;
    double bytes = 4.0 * STREAM_FLOATS, seconds[2] = {0};
    peaks->flops = machine_peak_flops(work, threads);
    peaks->pair_flops = peak_pair_flops(work, threads);
    float *memory = aligned_alloc(64, (size_t)STREAM_FLOATS * sizeof *memory);
    for (int writes = 1; memory && writes >= 0; writes--) /* writing first: it makes the pages be there */
        seconds[writes] = shortest_run(work, stream_kernel(work->memory, target, writes), STREAM_FLOATS / CHUNK_FLOATS,
                                       memory, threads);
    free(memory);
    if (peaks->flops == 0 || seconds[0] == 0 || seconds[1] == 0) {
        source_span nowhere = {0};
        diag_error(&work->diags, nowhere, "no memory to measure the machine");
        return false;
    }
    peaks->read = bytes / seconds[0];
    peaks->write = bytes / seconds[1];
    return true;
}

double machine_shortest(const machine_peaks *peaks, double flops, int products, double bytes_read,
                        double bytes_written) {
    bool pairs = products > 0 && peaks->pair_flops > 0;
    double arithmetic = pairs ? flops * products / peaks->pair_flops : flops / peaks->flops;
    return fmax(arithmetic, bytes_read / peaks->read + bytes_written / peaks->write);
}
