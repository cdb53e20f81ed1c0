/* The interpreter as a back end: functions of a module run in double precision on the memory that a compiled program
 * would use, so that the runtime cannot tell the difference. */
#include "backend/code.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

typedef struct interpreted interpreted;

/* What one function's entry needs. */
typedef struct {
    interpreted *owner;
    const ir_function *function;
    const kir_function *ports;
    const rt_frame *frame; /* of the running call */
} interpreted_function;

struct interpreted {
    const kir_program *program;
    rt_program code;
    rt_entry *entries;
    rt_view_code *views;
    interpreted_function *functions;
    diag_list *diags;
};

typedef enum { READ, WRITE } direction;

/* Copies between row-major doubles and a strided tensor in memory. */
static void copy_elements(char *memory, const ir_type *type, const ir_layout *layout, double *elements, direction way) {
    int64_t strides[IR_MAX_RANK], index[IR_MAX_RANK] = {0}, count = ir_type_elements(type);
    ir_strides(type, layout, strides);
    for (int64_t i = 0; i < count; i++) {
        int64_t place = 0;
        for (int axis = 0; axis < type->rank; axis++)
            place += index[axis] * strides[axis];
        if (type->dtype == IR_F32 && way == READ)
            elements[i] = (double)((float *)memory)[place];
        else if (type->dtype == IR_F32)
            ((float *)memory)[place] = (float)elements[i];
        else if (type->dtype == IR_I32 && way == READ)
            elements[i] = ((int32_t *)memory)[place];
        else if (type->dtype == IR_I32)
            ((int32_t *)memory)[place] = (int32_t)elements[i];
        else if (way == READ)
            elements[i] = ((int8_t *)memory)[place];
        else
            ((int8_t *)memory)[place] = elements[i] != 0;
        for (int axis = type->rank - 1; axis >= 0 && ++index[axis] == type->dims[axis]; axis--)
            index[axis] = 0;
    }
}

static void copy_state(const interpreted_function *running, const char *name, double *elements, direction way) {
    const kir_program *program = running->owner->program;
    for (int i = 0; i < program->module->state_count; i++) {
        const ir_state *state = &program->module->states[i];
        if (strcmp(state->name, name) == 0)
            copy_elements(running->frame->state + program->state_offsets[i], &state->type, &state->layout, elements,
                          way);
    }
}

static void copy_port(const interpreted_function *running, const kir_port *ports, int count, const char *name,
                      double *elements, direction way) {
    for (int i = 0; i < count; i++)
        if (strcmp(ports[i].name, name) == 0)
            copy_elements(running->frame->arena + running->owner->program->buffers[ports[i].buffer].offset,
                          &ports[i].type, &ports[i].layout, elements, way);
}

static void get(void *user, bool state, const char *name, const ir_type *type, double *elements) {
    const interpreted_function *running = user;
    (void)type;
    if (state)
        copy_state(running, name, elements, READ);
    else
        copy_port(running, running->ports->inputs, running->ports->input_count, name, elements, READ);
}

static void put(void *user, bool state, const char *name, const ir_type *type, const double *elements) {
    const interpreted_function *running = user;
    (void)type;
    double *values = (double *)(uintptr_t)elements;
    if (state)
        copy_state(running, name, values, WRITE);
    else
        copy_port(running, running->ports->outputs, running->ports->output_count, name, values, WRITE);
}

static void run(const rt_frame *frame, void *context) {
    interpreted_function *running = context;
    running->frame = frame;
    interp_io io = {running, get, put};
    bool good = interp_run(running->function, &io, running->owner->diags);
    assert(good && "a verified module can be interpreted");
    (void)good;
}

static void release(void *handle) {
    interpreted *interp = handle;
    free(interp->entries);
    free(interp->views);
    free(interp->functions);
    free(interp);
}

backend_code *interp_compile(const ir_module *module, const kir_program *program, diag_list *diags) {
    size_t count = (size_t)module->function_count, view_count = (size_t)module->view_count;
    interpreted *interp = calloc(1, sizeof *interp);
    backend_code *code = calloc(1, sizeof *code);
    if (interp) {
        interp->entries = calloc(count + 1, sizeof *interp->entries);
        interp->functions = calloc(count + 1, sizeof *interp->functions);
        interp->views = calloc(view_count + 1, sizeof *interp->views);
    }
    if (!interp || !code || !interp->entries || !interp->functions || !interp->views) {
        source_span nowhere = {0};
        diag_error(diags, nowhere, "out of memory");
        if (interp)
            release(interp);
        free(code);
        return NULL;
    }
    interp->program = program;
    interp->diags = diags;
    for (size_t i = 0; i < count; i++) {
        interp->functions[i] = (interpreted_function){interp, module->functions[i], &program->functions[i], NULL};
        interp->entries[i] = (rt_entry){module->functions[i]->name, run, &interp->functions[i]};
    }
    for (size_t i = 0; i < view_count; i++)
        interp->views[i] = interp_view_code;
    interp->code = (rt_program){backend_manifest(program->memory, program, "portable"), (int)count, interp->entries,
                                interp->views};
    *code = (backend_code){&interp->code, interp, release};
    return code;
}
