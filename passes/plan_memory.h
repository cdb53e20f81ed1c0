/* What the plan of a function's memory is made of, for those who want to see it. */
#ifndef PASSES_PLAN_MEMORY_H
#define PASSES_PLAN_MEMORY_H

#include "passes/pass.h"

/* The moment at which most bytes of the arena are in use. */
typedef struct {
    int launch;   /* its number in the function */
    int *buffers; /* that are alive then, by number in the program */
    int count;
    int64_t bytes; /* of them, each rounded up to its alignment */
} plan_peak;

plan_peak plan_memory_peak(arena *memory, const kir_program *program, const kir_function *function);

#endif
