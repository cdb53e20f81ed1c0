/* A program compiled into this process: shared by the back ends. */
#ifndef BACKEND_CODE_H
#define BACKEND_CODE_H

#include "backend/backend.h"

struct backend_code {
    const rt_program *program;
    void *handle; /* the back end's own */
    void (*release)(void *handle);
};

/* A runtime function that compiled code calls. */
typedef struct {
    const char *name;
    void (*address)(void);
} backend_symbol;

const backend_symbol *backend_runtime_symbols(int *count);

/* Whether this processor runs code for the target; adds an error that says what it lacks. */
bool backend_runs_here(const kir_target *target, diag_list *diags);
/* The least processor that runs the C written for the target. */
const char *backend_c_processor(const kir_target *target);
/* The C compiler's flag for the least processor that the target is for. */
const char *backend_compiler_flag(const kir_target *target);

#endif
