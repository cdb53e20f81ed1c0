/* For tests of kernels: one kernel as a whole program, compiled by a back end and run over memory of the test. */
#ifndef TESTS_KERNEL_CASE_H
#define TESTS_KERNEL_CASE_H

#include "backend/backend.h"
#include "ir/kernel.h"
#include "runtime/pool.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    arena *memory;
    source_table sources;
    diag_list diags;
    ir_module *module;
    kir_program program;
    kir_kernel *kernel;
    kir_builder builder;
    int64_t offsets[16]; /* of each argument in the arena, -1 for scratch */
    int64_t arena_bytes;
} kernel_case;

/* Starts a case; build the kernel through `builder`, arguments first. */
static inline kernel_case *case_new(const char *name) {
    kernel_case *this = calloc(1, sizeof *this);
    assert_non_null(this);
    this->memory = arena_new();
    this->sources.memory = this->memory;
    this->diags.memory = this->memory;
    this->diags.sources = &this->sources;
    this->module = ir_module_new(this->memory, &this->sources, "kernel_case");
    this->program = (kir_program){.memory = this->memory, .module = this->module};
    this->kernel = kir_kernel_new(this->memory, name, (source_span){0});
    this->builder = (kir_builder){this->memory, this->kernel, &this->kernel->body, {0}};
    return this;
}

static inline void case_free(kernel_case *this) {
    arena_free(this->memory);
    free(this);
}

static inline int case_argument(kernel_case *this, const char *name, kir_element element, int64_t elements,
                                bool writes) {
    return kir_argument_add(this->memory, this->kernel, name, element, elements, true, writes);
}

/* One arena buffer for each argument, one function `run` with one launch. */
static inline void case_finish(kernel_case *this, int64_t extent) {
    kir_program *program = &this->program;
    kir_function function = {.name = "run"};
    kir_launch launch = {
        .kernel = kir_program_add_kernel(program, this->kernel), .extent = extent, .rounds = 1, .part_count = 1};
    launch.buffers = arena_alloc(this->memory, 16 * sizeof(int));
    launch.byte_offsets = arena_alloc(this->memory, 16 * sizeof(int64_t));
    int bound = 0;
    for (int i = 0; i < this->kernel->argument_count; i++) {
        const kir_argument *argument = &this->kernel->arguments[i];
        this->offsets[i] = -1;
        if (argument->scratch)
            continue;
        kir_buffer buffer = {.name = argument->name, .region = KIR_ARENA, .element = argument->element, .fixed = true};
        buffer.bytes = argument->elements * kir_element_bytes(argument->element);
        buffer.offset = this->offsets[i] = this->arena_bytes;
        this->arena_bytes += (buffer.bytes + 63) / 64 * 64;
        ARENA_PUSH(this->memory, program->buffers, program->buffer_count, program->buffer_capacity, buffer);
        launch.buffers[bound++] = program->buffer_count - 1;
    }
    ARENA_PUSH(this->memory, function.launches, function.launch_count, function.launch_capacity, launch);
    function.arena_bytes = this->arena_bytes;
    ARENA_PUSH(this->memory, program->functions, program->function_count, program->function_capacity, function);
}

static inline void case_no_errors(kernel_case *this) {
    text_buffer text = {0};
    diag_render(&this->diags, &text, false);
    if (this->diags.error_count)
        fail_msg("%s", text.data);
    text_free(&text);
}

/* A way to machine code, for a target by its name. */
typedef struct {
    const char *target;
    backend_code *(*compile)(const kir_program *program, const kir_target *target, diag_list *diags);
    int lanes;
} case_way;

static inline backend_code *case_by_tcc(const kir_program *program, const kir_target *target, diag_list *diags) {
    (void)target;
    return tcc_compile(program, diags);
}

/* What the tests of kernels run through: the compiler's C by libtcc and cc, and LLVM, at all widths. */
static const case_way case_ways[] = {
    {"scalar", case_by_tcc, 1},   {"portable", cgen_compile, 4},     {"avx512", cgen_compile, 16},
    {"scalar", llvm_compile, 1},  {"portable", llvm_compile, 4},     {"avx2", llvm_compile, 8},
    {"avx512", llvm_compile, 16}, {"avx512-bf16", llvm_compile, 16},
};

/* Whether this processor runs the code: cc makes vectors of any width from what there is, LLVM is told the target. */
static inline bool case_runs_here(const case_way *way) {
    kir_target target, host = backend_target_host();
    kir_target_named(way->target, &target);
    return way->compile != llvm_compile || (way->lanes <= host.lanes && (!target.pair_products || host.pair_products));
}

/* Verifies and compiles. */
static inline backend_code *case_compile(kernel_case *this, const case_way *way) {
    kir_target target;
    assert_true(kir_target_named(way->target, &target));
    assert_true(kir_verify(&this->program, &this->diags) || (case_no_errors(this), false));
    backend_code *code = way->compile(&this->program, &target, &this->diags);
    case_no_errors(this);
    assert_non_null(code);
    return code;
}

/* Zeroed memory for the arguments. */
static inline char *case_arena(const kernel_case *this) {
    char *memory = aligned_alloc(64, (size_t)this->arena_bytes);
    assert_non_null(memory);
    memset(memory, 0, (size_t)this->arena_bytes);
    return memory;
}

/* Runs the program on two threads. */
static inline void case_run(const kernel_case *this, const backend_code *code, char *memory) {
    rt_pool *pool = rt_pool_create(2);
    assert_non_null(pool);
    assert_int_equal(rt_pool_reserve(pool, (size_t)kir_scratch_bytes(this->kernel) + 64), 0);
    rt_frame frame = {.arena = memory, .pool = pool};
    const rt_program *program = backend_program(code);
    assert_int_equal(program->entry_count, 1);
    program->entries[0].run(&frame, program->entries[0].context);
    rt_pool_destroy(pool);
}

/* The argument's elements. */
static inline float *floats(const kernel_case *this, char *memory, int argument) {
    return (float *)(memory + this->offsets[argument]);
}

/* Compiles, lets `fill` write the arguments, runs, lets `check` look at them, and frees everything. */
typedef void (*case_step)(kernel_case *this, char *memory, int lanes);

static inline void case_complete(kernel_case *this, const case_way *way, case_step fill, case_step check) {
    backend_code *code = case_compile(this, way);
    int lanes = way->lanes;
    char *memory = case_arena(this);
    fill(this, memory, lanes);
    case_run(this, code, memory);
    check(this, memory, lanes);
    free(memory);
    backend_free(code);
    case_free(this);
}

/* Calls `run` for every way whose code this processor runs. */
static inline void case_each_way(void (*run)(const case_way *way)) {
    for (size_t i = 0; i < sizeof case_ways / sizeof *case_ways; i++)
        if (case_runs_here(&case_ways[i]))
            run(&case_ways[i]);
}

#endif
