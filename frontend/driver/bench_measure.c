/* Compiles a group of scores both ways and takes the times of both, one after the other, over and over. */
#include "frontend/driver/bench.h"
#include "runtime/memory.h"
#include "runtime/progress.h"

#include "passes/extract_scores.h"
#include "runtime/random.h"

#include <math.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { LEAST_RUNS = 5, MOST_RUNS = 2000, KEPT_BYTES = 1 << 20 };
static const double ENOUGH_SECONDS = 1.5, MOST_SECONDS = 60;

static int by_value(const void *a, const void *b) {
    double left = *(const double *)a, right = *(const double *)b;
    return left < right ? -1 : left > right;
}

static double median(double *values, int count) {
    qsort(values, (size_t)count, sizeof *values, by_value);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

/* ---- one side ------------------------------------------------------------------------------------------------------
 */

/* A compiled module of the functions `forward` and `together`. */
typedef struct {
    pass_context passes;
    backend_code *code;
    rt_pool *pool; /* both sides' */
    char *arena;   /* of the function that runs */
    void *arena_block;
    char **inputs[2]; /* of each function, port by port; NULL: drawn anew before every run */
    double forward[MOST_RUNS], together[MOST_RUNS];
} compiled_side;

static const kir_function *function_of(const compiled_side *side, int number) {
    return &side->passes.program->functions[number];
}

static int64_t scratch_bytes(const kir_program *program) {
    int64_t most = 64;
    for (int i = 0; i < program->kernel_count; i++)
        most = kir_scratch_bytes(program->kernels[i]) > most ? kir_scratch_bytes(program->kernels[i]) : most;
    return most;
}

/* The same numbers for an input of the same name: rows of length 1, as encoders give them, whole numbers counting up.
 */
static void fill_input(const kir_port *port, char *memory) {
    int64_t elements = ir_type_elements(&port->type);
    int64_t last = port->type.rank ? port->type.dims[port->type.rank - 1] : 1;
    float *numbers = (float *)memory, spread = port->type.rank >= 2 ? 1.7f / sqrtf((float)last) : 0.5f;
    uint64_t seed = 0;
    for (const char *at = port->name; *at; at++)
        seed = 31 * seed + (unsigned char)*at;
    rt_random_sequence random = rt_random_begin(seed, 11);
    for (int64_t i = 0; i < elements; i++)
        if (port->type.dtype == IR_F32)
            numbers[i] = spread * (float)rt_random_range(&random, -1, 1) + (port->type.rank < 2 ? 1 : 0);
        else if (port->type.dtype == IR_I32)
            ((int32_t *)memory)[i] = (int32_t)(i % 128);
        else
            memory[i] = i % 2 == 0;
}

static int64_t port_bytes(const kir_port *port) {
    return ir_type_elements(&port->type) * ir_dtype_bytes(port->type.dtype);
}

/* Small inputs are kept, so that the time between two runs is short, too. */
static void make_inputs(arena *memory, compiled_side *side, int number) {
    const kir_function *function = function_of(side, number);
    side->inputs[number] = arena_alloc(memory, (size_t)function->input_count * sizeof *side->inputs[number]);
    for (int i = 0; i < function->input_count; i++) {
        const kir_port *port = &function->inputs[i];
        char **kept = &side->inputs[number][i];
        *kept = port_bytes(port) > KEPT_BYTES ? NULL : arena_alloc(memory, (size_t)port_bytes(port));
        if (*kept)
            fill_input(port, *kept);
    }
}

static void put_inputs(const compiled_side *side, int number) {
    const kir_function *function = function_of(side, number);
    for (int i = 0; i < function->input_count; i++) {
        const kir_port *port = &function->inputs[i];
        char *place = side->arena + side->passes.program->buffers[port->buffer].offset;
        if (side->inputs[number][i])
            memcpy(place, side->inputs[number][i], (size_t)port_bytes(port));
        else
            fill_input(port, place);
    }
}

static char *new_arena(compiled_side *side) {
    int64_t bytes = 64;
    for (int i = 0; i < 2; i++)
        bytes = function_of(side, i)->arena_bytes > bytes ? function_of(side, i)->arena_bytes : bytes;
    return rt_memory_take(bytes, &side->arena_block);
}

static bool compile_side(driver_session *work, ir_function *function, ir_value *product, bool fused, rt_pool *pool,
                         compiled_side *side) {
    static const char *const fusion = "fuse-contrastive";
    side->passes = (pass_context){.memory = work->memory,
                                  .diags = &work->diags,
                                  .target = work->passes.target,
                                  .library_products = !fused,
                                  .product_parts = fused ? work->passes.product_parts : 0};
    side->passes.module = extract_scores(work->memory, &work->sources, function, product);
    pass_options options = {.disabled = &fusion, .disabled_count = !fused, .verify = work->options->verify};
    if (!pass_run_pipeline(&side->passes, &options))
        return false;
    side->code = driver_compile_llvm(work, &side->passes);
    if (!side->code)
        return false;
    side->pool = pool;
    side->arena = new_arena(side);
    if (!side->arena)
        diag_error(&work->diags, product->span, "no memory for the %s scores", fused ? "fused" : "stored");
    for (int i = 0; side->arena && i < 2; i++)
        make_inputs(work->memory, side, i);
    return side->arena != NULL;
}

static void free_side(compiled_side *side) {
    if (side->code)
        backend_free(side->code);
    free(side->arena_block);
}

enum { MEETING_YIELDS = 100000 };

/* Returns once every worker has come, or, as the pool does not promise that one does, after some milliseconds. */
static void meet(void *context, int worker, int64_t begin, int64_t end) {
    (void)worker;
    atomic_int *absent = context;
    atomic_fetch_sub(absent, (int)(end - begin));
    for (int i = 0; i < MEETING_YIELDS && atomic_load(absent) > 0; i++)
        sched_yield(); /* to one that has no processor of its own */
}

/* In a step, the launches before the scores' leave all workers awake. */
static void wake(rt_pool *pool) {
    atomic_int absent = rt_pool_size(pool);
    rt_pool_run(pool, absent, meet, &absent);
}

static double run(compiled_side *side, int number) {
    const rt_entry *entry = &backend_program(side->code)->entries[number];
    rt_frame frame = {.arena = side->arena, .pool = side->pool};
    put_inputs(side, number);
    wake(side->pool);
    double start = rt_seconds();
    entry->run(&frame, entry->context);
    return rt_seconds() - start;
}

/* Of the kernels that multiply vectors. */
static double operations_of(const kir_program *program, const kir_function *function) {
    double operations = 0;
    for (int i = 0; i < function->launch_count; i++) {
        const kir_launch *launch = &function->launches[i];
        const kir_kernel *kernel = program->kernels[launch->kernel];
        if (kernel->flops > 0 && (strncmp(kernel->name, "scores", 6) == 0 || kernel->library))
            operations += kernel->flops * (double)launch->extent * (double)launch->rounds;
    }
    return operations;
}

/* ---- both ----------------------------------------------------------------------------------------------------------
 */

/* The largest difference between equal outputs, relative to the output's largest element. */
static double difference_of(const compiled_side *a, const compiled_side *b) {
    const kir_function *left = function_of(a, 1), *right = function_of(b, 1);
    double worst = 0;
    for (int i = 0; i < left->output_count; i++) {
        const kir_port *mine = &left->outputs[i], *other = &right->outputs[i];
        const float *x = (const float *)(a->arena + a->passes.program->buffers[mine->buffer].offset);
        const float *y = (const float *)(b->arena + b->passes.program->buffers[other->buffer].offset);
        double largest = 0, apart = 0;
        for (int64_t e = 0; e < ir_type_elements(&mine->type); e++) {
            largest = fmax(largest, fabs((double)y[e]));
            double distance = fabs((double)x[e] - (double)y[e]);
            apart = distance == distance ? fmax(apart, distance) : INFINITY;
        }
        worst = fmax(worst, largest > 0 && apart < INFINITY ? apart / largest : apart);
    }
    return worst;
}

static bool reserve_scratch(rt_pool *pool, const compiled_side sides[BENCH_SIDES], const bool wanted[BENCH_SIDES]) {
    int64_t most = 0;
    for (int side = 0; side < BENCH_SIDES; side++)
        if (wanted[side] && scratch_bytes(sides[side].passes.program) > most)
            most = scratch_bytes(sides[side].passes.program);
    return rt_pool_reserve(pool, (size_t)most) == 0;
}

static void take_times(compiled_side sides[BENCH_SIDES], const bool wanted[BENCH_SIDES], int *runs) {
    double spent = 0;
    for (int side = 0; side < BENCH_SIDES; side++)
        if (wanted[side]) {
            run(&sides[side], 0);
            run(&sides[side], 1);
        }
    for (*runs = 0;
         (*runs < LEAST_RUNS && (*runs == 0 || spent < MOST_SECONDS)) || (*runs < MOST_RUNS && spent < ENOUGH_SECONDS);
         ++*runs)
        for (int side = 0; side < BENCH_SIDES; side++)
            if (wanted[side]) {
                spent += sides[side].forward[*runs] = run(&sides[side], 0);
                spent += sides[side].together[*runs] = run(&sides[side], 1);
            }
}

bool bench_measure(driver_session *work, ir_function *function, ir_value *product, const bool wanted[BENCH_SIDES],
                   bench_group *group) {
    compiled_side *sides = calloc(BENCH_SIDES, sizeof *sides);
    rt_pool *pool = rt_pool_create(0);
    bool good = sides != NULL && pool != NULL;
    if (!good)
        diag_error(&work->diags, product->span, "no memory to measure the scores");
    for (int side = 0; good && side < BENCH_SIDES; side++)
        good = !wanted[side] || compile_side(work, function, product, side == BENCH_FUSED, pool, &sides[side]);
    if (good && !reserve_scratch(pool, sides, wanted)) {
        diag_error(&work->diags, product->span, "no memory for the workers");
        good = false;
    }
    int runs;
    if (good) {
        take_times(sides, wanted, &runs);
        const ir_type *rows = &product->operands[0]->type;
        group->span = product->span;
        group->length = rows->dims[ir_ints(product, IR_ATTR_lhs_contract)[0]];
        group->rows = ir_type_elements(rows) / group->length;
        group->columns = ir_type_elements(&product->type) / group->rows;
        group->name = arena_printf(work->memory, "scores_%lldx%lldx%lld", (long long)group->rows,
                                   (long long)group->columns, (long long)group->length);
    }
    for (int side = 0; good && side < BENCH_SIDES; side++) {
        if (!wanted[side])
            continue;
        const kir_program *program = sides[side].passes.program;
        group->sides[side] = (bench_side){.measured = true,
                                          .forward = median(sides[side].forward, runs),
                                          .together = median(sides[side].together, runs),
                                          .bytes = function_of(&sides[side], 1)->arena_bytes +
                                                   scratch_bytes(program) * rt_pool_size(pool),
                                          .operations = operations_of(program, function_of(&sides[side], 1))};
    }
    if (good && wanted[BENCH_FUSED] && wanted[BENCH_UNFUSED])
        group->difference = difference_of(&sides[BENCH_FUSED], &sides[BENCH_UNFUSED]);
    for (int side = 0; sides && side < BENCH_SIDES; side++)
        free_side(&sides[side]);
    free(sides);
    if (pool)
        rt_pool_destroy(pool);
    return good;
}
