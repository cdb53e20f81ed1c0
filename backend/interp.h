/* Shared by the files of the reference interpreter: the plan of a function's values and one eval_<name> per operation.
 *
 * Elements are row-major doubles whatever the element type: i32 values are whole numbers that wrap as 32-bit ones do,
 * bool values are 0 or 1. */
#ifndef BACKEND_INTERP_H
#define BACKEND_INTERP_H

#include "backend/backend.h"

/* A function with memory for its values. Values that are not alive at the same time share memory. */
typedef struct {
    const ir_function *function;
    double **elements; /* by value id; NULL for writes and outputs, which are their operand */
    double **slots;    /* the memory behind `elements` */
    int slot_count;
    const interp_io *io; /* during an evaluation */
} interp_plan;

/* Allocates the memory; false after adding an error that names the function when there is too little. */
bool interp_plan_make(interp_plan *plan, const ir_function *function, diag_list *diags);
void interp_plan_free(interp_plan *plan);
/* Evaluates every value in order, then hands outputs and written states to `io`. */
void interp_evaluate(interp_plan *plan, const interp_io *io);

/* The elements of an operand. */
const double *interp_operand(const interp_plan *plan, const ir_value *value, int operand);

/* Steps over all indices of `dims` in row-major order while keeping up to three offsets, one for each array of strides.
 */
typedef struct {
    int rank;
    const int64_t *dims;
    const int64_t *strides[3];
    int64_t index[IR_MAX_RANK];
    int64_t offset[3];
} interp_walk;

/* A walk at its first index. Unused stride arrays are NULL; the arrays must outlive the walk. */
interp_walk interp_walk_begin(int rank, const int64_t *dims, const int64_t *first, const int64_t *second,
                              const int64_t *third);
/* The next index; false after the last one, when the walk stands at its first index again. */
bool interp_walk_next(interp_walk *walk);
/* In a search for the first maximum, whether `element` takes the place of `best`. The first NaN does for good. */
bool interp_is_larger(double element, double best);
/* Row-major strides of a type. */
void interp_strides(const ir_type *type, int64_t strides[IR_MAX_RANK]);

#define OP(name, ...) void eval_##name(const interp_plan *plan, const ir_value *value, double *result);
#include "ir/ops.def"

#endif
