/* Scores and what is computed from them as a program of their own, to be measured or looked at by themselves. */
#ifndef PASSES_EXTRACT_SCORES_H
#define PASSES_EXTRACT_SCORES_H

#include "passes/pass.h"

/* The products whose scores fuse-contrastive would fuse, in order; returns how many. The function must have come
 * through the passes before that one. Allocated in `memory`. */
int extract_scores_find(arena *memory, ir_function *function, ir_value ***products);

/* A module of two functions: `forward` computes the results that need no others, `together` all of them. What comes
 * from elsewhere is an input ("x12": value 12 of `function`), results are outputs ("y34"). */
ir_module *extract_scores(arena *memory, source_table *sources, ir_function *function, ir_value *product);

#endif
