/* Inside the lowering: the function as units, each of which becomes kernels of its own, and where new states go. */
#ifndef PASSES_LOWER_UNITS_H
#define PASSES_LOWER_UNITS_H

#include "passes/lower_nest.h"

/* Fusion groups, and values on their own, in an order in which they can be computed. */
typedef struct {
    lower_group *items;
    int count;
    int *of;      /* by value id */
    int *outside; /* by value id: uses by other units */
} lower_units;

/* Sorts the function. Returns false after adding an error for a group that no kernel can compute. */
bool lower_units_find(const pass_context *pass, ir_function *function, lower_units *units);

/* Whether the group is one of scores. */
bool lower_holds_product(const lower_group *group);

/* The values that are computed straight into their state's memory. */
typedef struct {
    const ir_value **value; /* by state, or NULL */
    bool *late;             /* by unit: it runs after all others, as they need what it replaces */
} lower_straight;

lower_straight lower_straight_find(arena *memory, const ir_function *function, const lower_units *units);

#endif
