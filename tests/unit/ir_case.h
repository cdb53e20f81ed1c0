/* For tests of the tensor IR: a module read from text or built, named tensors that go into and come out of it, and its
 * functions run by the interpreter or by compiled code. */
#ifndef TESTS_IR_CASE_H
#define TESTS_IR_CASE_H

#include "backend/backend.h"
#include "passes/pass.h"
#include "runtime/pool.h"
#include "runtime/random.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

/* ---- named tensors ----------------------------------------------------------------------------------------------- */

typedef struct {
    const char *name;
    bool state; /* else an input or output */
    ir_type type;
    double *elements; /* row-major */
} tensor;

typedef struct {
    arena *memory;
    tensor *items;
    int count, capacity;
} tensor_list;

/* The tensor of that name, or NULL. */
static inline tensor *tensor_find(const tensor_list *list, bool state, const char *name) {
    for (int i = 0; i < list->count; i++)
        if (list->items[i].state == state && strcmp(list->items[i].name, name) == 0)
            return &list->items[i];
    return NULL;
}

/* The elements of the tensor of that name, added when it is new. */
static inline double *tensor_add(tensor_list *list, bool state, const char *name, const ir_type *type) {
    tensor *found = tensor_find(list, state, name);
    if (found)
        return found->elements;
    tensor added = {arena_strdup(list->memory, name), state, *type, NULL};
    added.elements = arena_alloc(list->memory, (size_t)ir_type_elements(type) * sizeof(double));
    ARENA_PUSH(list->memory, list->items, list->count, list->capacity, added);
    return added.elements;
}

static inline const double *tensor_elements(const tensor_list *list, bool state, const char *name) {
    const tensor *found = tensor_find(list, state, name);
    if (!found)
        fail_msg("no tensor '%s'", name);
    return found->elements;
}

/* ---- modules ----------------------------------------------------------------------------------------------------- */

typedef struct {
    arena *memory;
    source_table sources;
    diag_list diags;
    ir_module *module;
    int64_t memory_limit;   /* of the passes; 0: none */
    int64_t streamed_bytes; /* the same */
} ir_case;

static inline ir_case *ir_case_new(void) {
    ir_case *this = calloc(1, sizeof *this);
    assert_non_null(this);
    this->memory = arena_new();
    assert_non_null(this->memory);
    this->sources.memory = this->memory;
    this->diags = (diag_list){.memory = this->memory, .sources = &this->sources};
    return this;
}

static inline void ir_case_free(ir_case *this) {
    arena_free(this->memory);
    free(this);
}

/* Fails with all diagnostics and the module's text if there are errors. */
static inline void ir_case_no_errors(const ir_case *this, const char *name) {
    if (this->diags.error_count == 0)
        return;
    text_buffer text = {0};
    diag_render(&this->diags, &text, false);
    if (this->module)
        ir_print(this->module, &text);
    fail_msg("%s:\n%s", name, text.data);
}

static inline ir_case *ir_case_parse(const char *name, const text_buffer *text) {
    ir_case *this = ir_case_new();
    this->module = ir_parse(this->memory, &this->diags, "case.ir", text->data, text->length);
    if (!this->module)
        fprintf(stderr, "%s\n", text->data);
    ir_case_no_errors(this, name);
    ir_verify(this->module, &this->diags);
    ir_case_no_errors(this, name);
    return this;
}

static inline pass_context ir_case_context(ir_case *this, const kir_target *target) {
    return (pass_context){.memory = this->memory,
                          .diags = &this->diags,
                          .target = *target,
                          .module = this->module,
                          .memory_limit = this->memory_limit,
                          .streamed_bytes = this->streamed_bytes};
}

static inline void ir_case_pass(ir_case *this, const char *name, const char *pass) {
    kir_target target;
    kir_target_named("scalar", &target);
    pass_context context = ir_case_context(this, &target);
    pass_options options = {.verify = true};
    pass_run(&context, pass_find(pass), &options);
    ir_case_no_errors(this, name);
}

/* Whether this processor runs the back end's code for the target. */
static inline bool target_runs_here(const kir_target *target) {
    kir_target host = backend_target_host();
    return target->lanes <= host.lanes && target->matrix_units <= host.matrix_units &&
           target->pair_products <= host.pair_products;
}

/* ---- the interpreter ----------------------------------------------------------------------------------------------
 */

typedef struct {
    const tensor_list *given;
    tensor_list *results;
} tensor_ports;

static inline void tensor_get(void *user, bool state, const char *name, const ir_type *type, double *elements) {
    const tensor_ports *ports = user;
    memcpy(elements, tensor_elements(ports->given, state, name), (size_t)ir_type_elements(type) * sizeof *elements);
}

static inline void tensor_put(void *user, bool state, const char *name, const ir_type *type, const double *elements) {
    const tensor_ports *ports = user;
    memcpy(tensor_add(ports->results, state, name, type), elements, (size_t)ir_type_elements(type) * sizeof *elements);
}

/* Runs the function on the `given` inputs and states; outputs and written states join the results. */
static inline void ir_case_interpret(ir_case *this, const char *function, const tensor_list *given,
                                     tensor_list *results) {
    tensor_ports ports = {given, results};
    interp_io io = {&ports, tensor_get, tensor_put};
    interp_run(ir_function_find(this->module, function), &io, &this->diags);
    ir_case_no_errors(this, function);
}

/* ---- compiled code ------------------------------------------------------------------------------------------------
 */

/* Runs all passes for the target and compiles: by libtcc for "scalar", by LLVM for any other. */
static inline backend_code *ir_case_compile(ir_case *this, const char *name, const kir_target *target,
                                            const kir_program **program) {
    pass_context context = ir_case_context(this, target);
    pass_options options = {.verify = true};
    pass_run_pipeline(&context, &options);
    ir_case_no_errors(this, name);
    *program = context.program;
    backend_code *code = target->lanes == 1 ? tcc_compile(context.program, &this->diags)
                                            : llvm_compile(context.program, target, &this->diags);
    ir_case_no_errors(this, name);
    assert_non_null(code);
    return code;
}

/* Between row-major doubles and a tensor in memory in the given layout. */
static inline void tensor_transfer(char *memory, const ir_type *type, const ir_layout *layout, double *elements,
                                   bool to_memory) {
    int64_t strides[IR_MAX_RANK], index[IR_MAX_RANK] = {0};
    ir_strides(type, layout, strides);
    for (int64_t i = 0, count = ir_type_elements(type); i < count; i++) {
        int64_t place = 0;
        for (int axis = 0; axis < type->rank; axis++)
            place += index[axis] * strides[axis];
        char *at = memory + place * ir_dtype_bytes(type->dtype);
        if (type->dtype == IR_F32 && to_memory)
            *(float *)at = (float)elements[i];
        else if (type->dtype == IR_F32)
            elements[i] = (double)*(float *)at;
        else if (type->dtype == IR_I32 && to_memory)
            *(int32_t *)at = (int32_t)elements[i];
        else if (type->dtype == IR_I32)
            elements[i] = *(int32_t *)at;
        else if (to_memory)
            *at = elements[i] != 0;
        else
            elements[i] = *at;
        for (int axis = type->rank - 1; axis >= 0 && ++index[axis] == type->dims[axis]; axis--)
            index[axis] = 0;
    }
}

enum { GUARD_BYTES = 256, GUARD = 0xff }; /* as floats, the guard is NaN: reading what nobody wrote shows */

static inline char *guarded_memory(int64_t bytes) {
    size_t size = ((size_t)bytes + 63) / 64 * 64 + GUARD_BYTES;
    char *memory = aligned_alloc(64, size);
    assert_non_null(memory);
    memset(memory, GUARD, size);
    return memory;
}

static inline void check_guard(const char *function, const char *memory, int64_t bytes) {
    for (size_t i = 0; i < GUARD_BYTES; i++)
        if ((unsigned char)memory[((size_t)bytes + 63) / 64 * 64 + i] != GUARD)
            fail_msg("%s writes beyond the end of its memory", function);
}

/* Runs a compiled function as ir_case_interpret does; all states join the results. */
static inline void compiled_run(const kir_program *program, const backend_code *code, const char *name,
                                const tensor_list *given, tensor_list *results) {
    const rt_program *compiled = backend_program(code);
    int number = 0;
    while (number < program->function_count && strcmp(program->functions[number].name, name) != 0)
        number++;
    assert_true(number < compiled->entry_count);
    const kir_function *function = &program->functions[number];
    int64_t scratch = 64;
    for (int i = 0; i < program->kernel_count; i++)
        if (kir_scratch_bytes(program->kernels[i]) > scratch)
            scratch = kir_scratch_bytes(program->kernels[i]);
    rt_pool *pool = rt_pool_create(2);
    assert_non_null(pool);
    assert_int_equal(rt_pool_reserve(pool, (size_t)scratch), 0);
    rt_frame frame = {
        .state = guarded_memory(program->state_bytes), .arena = guarded_memory(function->arena_bytes), .pool = pool};
    const ir_module *module = program->module;
    for (int i = 0; i < module->state_count; i++) {
        const tensor *state = tensor_find(given, true, module->states[i].name);
        if (state)
            tensor_transfer(frame.state + program->state_offsets[i], &state->type, &module->states[i].layout,
                            state->elements, true);
    }
    for (int i = 0; i < function->input_count; i++) {
        const kir_port *port = &function->inputs[i];
        double *elements = (double *)(uintptr_t)tensor_elements(given, false, port->name);
        tensor_transfer(frame.arena + program->buffers[port->buffer].offset, &port->type, &port->layout, elements,
                        true);
    }
    compiled->entries[number].run(&frame, compiled->entries[number].context);
    for (int i = 0; i < function->output_count; i++) {
        const kir_port *port = &function->outputs[i];
        tensor_transfer(frame.arena + program->buffers[port->buffer].offset, &port->type, &port->layout,
                        tensor_add(results, false, port->name, &port->type), false);
    }
    for (int i = 0; i < module->state_count; i++) {
        const ir_state *state = &module->states[i];
        if (tensor_find(given, true, state->name))
            tensor_transfer(frame.state + program->state_offsets[i], &state->type, &state->layout,
                            tensor_add(results, true, state->name, &state->type), false);
    }
    check_guard(name, frame.state, program->state_bytes);
    check_guard(name, frame.arena, function->arena_bytes);
    free(frame.state);
    free(frame.arena);
    rt_pool_destroy(pool);
}

#endif
