/* The interpreter's rules for operations that move elements, and for reductions. Each walks over the indices of one
 * side and keeps the offset into the other. */
#include "backend/interp.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- moving elements --------------------------------------------------------------------------------------------- */

void eval_broadcast(const interp_plan *plan, const ir_value *value, double *result) {
    const ir_type *type = &value->operands[0]->type;
    int64_t operand_strides[IR_MAX_RANK], strides[IR_MAX_RANK] = {0};
    interp_strides(type, operand_strides);
    for (int i = 0; i < type->rank; i++)
        strides[ir_ints(value, IR_ATTR_axes)[i]] = operand_strides[i];
    const double *operand = interp_operand(plan, value, 0);
    interp_walk walk = interp_walk_begin(value->type.rank, value->type.dims, strides, NULL, NULL);
    do
        *result++ = operand[walk.offset[0]];
    while (interp_walk_next(&walk));
}

void eval_reshape(const interp_plan *plan, const ir_value *value, double *result) {
    memcpy(result, interp_operand(plan, value, 0), sizeof *result * (size_t)ir_type_elements(&value->type));
}

void eval_transpose(const interp_plan *plan, const ir_value *value, double *result) {
    int64_t operand_strides[IR_MAX_RANK], strides[IR_MAX_RANK];
    interp_strides(&value->operands[0]->type, operand_strides);
    for (int i = 0; i < value->type.rank; i++)
        strides[i] = operand_strides[ir_ints(value, IR_ATTR_axes)[i]];
    const double *operand = interp_operand(plan, value, 0);
    interp_walk walk = interp_walk_begin(value->type.rank, value->type.dims, strides, NULL, NULL);
    do
        *result++ = operand[walk.offset[0]];
    while (interp_walk_next(&walk));
}

void eval_slice(const interp_plan *plan, const ir_value *value, double *result) {
    int64_t operand_strides[IR_MAX_RANK], strides[IR_MAX_RANK], first = 0;
    interp_strides(&value->operands[0]->type, operand_strides);
    for (int i = 0; i < value->type.rank; i++) {
        strides[i] = operand_strides[i] * ir_ints(value, IR_ATTR_stride)[i];
        first += operand_strides[i] * ir_ints(value, IR_ATTR_start)[i];
    }
    const double *operand = interp_operand(plan, value, 0) + first;
    interp_walk walk = interp_walk_begin(value->type.rank, value->type.dims, strides, NULL, NULL);
    do
        *result++ = operand[walk.offset[0]];
    while (interp_walk_next(&walk));
}

void eval_pad(const interp_plan *plan, const ir_value *value, double *result) {
    const ir_type *type = &value->operands[0]->type;
    int64_t result_strides[IR_MAX_RANK], strides[IR_MAX_RANK], first = 0;
    interp_strides(&value->type, result_strides);
    for (int i = 0; i < type->rank; i++) {
        strides[i] = result_strides[i] * (ir_ints(value, IR_ATTR_interior)[i] + 1);
        first += result_strides[i] * ir_ints(value, IR_ATTR_low)[i];
    }
    for (int64_t i = 0, count = ir_type_elements(&value->type); i < count; i++)
        result[i] = ir_number(value, IR_ATTR_value);
    const double *operand = interp_operand(plan, value, 0);
    interp_walk walk = interp_walk_begin(type->rank, type->dims, strides, NULL, NULL);
    do
        result[first + walk.offset[0]] = *operand++;
    while (interp_walk_next(&walk));
}

void eval_concat(const interp_plan *plan, const ir_value *value, double *result) {
    int64_t axis = ir_int(value, IR_ATTR_axis), strides[IR_MAX_RANK];
    interp_strides(&value->type, strides);
    for (int i = 0; i < value->operand_count; i++) {
        const ir_type *type = &value->operands[i]->type;
        const double *operand = interp_operand(plan, value, i);
        interp_walk walk = interp_walk_begin(type->rank, type->dims, strides, NULL, NULL);
        do
            result[walk.offset[0]] = *operand++;
        while (interp_walk_next(&walk));
        result += type->dims[axis] * strides[axis];
    }
}

/* ---- gather and its transpose --------------------------------------------------------------------------------------
 */

/* Strides that lead from an index of the gathered tensor (x's axes before `axis`, the indices' own axes, x's axes after
 * `axis`) to the source's element with row 0, and to the element of the indices that names the row. */
typedef struct {
    int64_t source[IR_MAX_RANK], indices[IR_MAX_RANK];
    int64_t row_stride, row_count;
} gather_strides;

static gather_strides gather_strides_of(const ir_value *value, const ir_type *source, const ir_type *indices) {
    gather_strides strides = {.row_count = source->dims[ir_int(value, IR_ATTR_axis)]};
    int64_t source_strides[IR_MAX_RANK], index_strides[IR_MAX_RANK];
    interp_strides(source, source_strides);
    interp_strides(indices, index_strides);
    int axis = (int)ir_int(value, IR_ATTR_axis), batch = (int)ir_int(value, IR_ATTR_batch), own = indices->rank - batch;
    strides.row_stride = source_strides[axis];
    for (int i = 0; i < axis; i++)
        strides.source[i] = source_strides[i];
    for (int i = 0; i < batch; i++)
        strides.indices[i] = index_strides[i];
    for (int i = 0; i < own; i++)
        strides.indices[axis + i] = index_strides[batch + i];
    for (int i = axis + 1; i < source->rank; i++)
        strides.source[i - 1 + own] = source_strides[i];
    return strides;
}

/* An index outside of the axis means the nearest row, so that no data can reach beyond a tensor. */
static int64_t row_offset(const gather_strides *strides, double index) {
    int64_t last = strides->row_count - 1, row = (int64_t)index;
    return strides->row_stride * (row < 0 ? 0 : row > last ? last : row);
}

void eval_gather(const interp_plan *plan, const ir_value *value, double *result) {
    const double *source = interp_operand(plan, value, 0), *indices = interp_operand(plan, value, 1);
    gather_strides strides = gather_strides_of(value, &value->operands[0]->type, &value->operands[1]->type);
    interp_walk walk = interp_walk_begin(value->type.rank, value->type.dims, strides.source, strides.indices, NULL);
    do
        *result++ = source[walk.offset[0] + row_offset(&strides, indices[walk.offset[1]])];
    while (interp_walk_next(&walk));
}

void eval_scatter_add(const interp_plan *plan, const ir_value *value, double *result) {
    const double *updates = interp_operand(plan, value, 0), *indices = interp_operand(plan, value, 1);
    const ir_type *type = &value->operands[0]->type;
    gather_strides strides = gather_strides_of(value, &value->type, &value->operands[1]->type);
    memset(result, 0, sizeof *result * (size_t)ir_type_elements(&value->type));
    interp_walk walk = interp_walk_begin(type->rank, type->dims, strides.source, strides.indices, NULL);
    do
        result[walk.offset[0] + row_offset(&strides, indices[walk.offset[1]])] += *updates++;
    while (interp_walk_next(&walk));
}

/* ---- reductions ----------------------------------------------------------------------------------------------------
 */

/* For every axis of the operand the stride into the result, 0 for the axes that disappear. */
static void kept_strides(const ir_value *value, const int64_t *axes, int count, int64_t strides[IR_MAX_RANK]) {
    int64_t result_strides[IR_MAX_RANK];
    interp_strides(&value->type, result_strides);
    int kept = 0;
    for (int axis = 0; axis < value->operands[0]->type.rank; axis++) {
        bool reduced = false;
        for (int i = 0; i < count; i++)
            reduced |= axes[i] == axis;
        strides[axis] = reduced ? 0 : result_strides[kept++];
    }
}

static double sum_of(double total, double element) {
    return total + element;
}

static double larger_of(double largest, double element) {
    return interp_is_larger(element, largest) ? element : largest;
}

static void reduce(const interp_plan *plan, const ir_value *value, double *result, double start,
                   double (*combine)(double, double)) {
    const ir_type *type = &value->operands[0]->type;
    const double *operand = interp_operand(plan, value, 0);
    int64_t strides[IR_MAX_RANK];
    kept_strides(value, ir_ints(value, IR_ATTR_axes), ir_attr_get(value, IR_ATTR_axes)->count, strides);
    for (int64_t i = 0, count = ir_type_elements(&value->type); i < count; i++)
        result[i] = start;
    interp_walk walk = interp_walk_begin(type->rank, type->dims, strides, NULL, NULL);
    do
        result[walk.offset[0]] = combine(result[walk.offset[0]], *operand++);
    while (interp_walk_next(&walk));
}

void eval_reduce_sum(const interp_plan *plan, const ir_value *value, double *result) {
    reduce(plan, value, result, 0, sum_of);
    if (value->type.dtype == IR_I32)
        for (int64_t i = 0, count = ir_type_elements(&value->type); i < count; i++)
            result[i] = (double)(int32_t)(uint32_t)(uint64_t)(int64_t)result[i];
}

void eval_reduce_max(const interp_plan *plan, const ir_value *value, double *result) {
    reduce(plan, value, result, -INFINITY, larger_of);
}

void eval_reduce_variation(const interp_plan *plan, const ir_value *value, double *result) {
    const ir_type *type = &value->operands[0]->type;
    const double *operand = interp_operand(plan, value, 0);
    int64_t strides[IR_MAX_RANK], count = ir_type_elements(&value->type);
    kept_strides(value, ir_ints(value, IR_ATTR_axes), ir_attr_get(value, IR_ATTR_axes)->count, strides);
    double *means = calloc((size_t)count, sizeof *means), share = (double)count / (double)ir_type_elements(type);
    reduce(plan, value, means, 0, sum_of);
    for (int64_t i = 0; i < count; i++)
        result[i] = 0;
    interp_walk walk = interp_walk_begin(type->rank, type->dims, strides, NULL, NULL);
    do {
        double distance = *operand++ - means[walk.offset[0]] * share;
        result[walk.offset[0]] += distance * distance;
    } while (interp_walk_next(&walk));
    free(means);
}

/* The shift by the maximum is finite, so that a sum of nothing but e^-inf is 0. */
void eval_reduce_logsumexp(const interp_plan *plan, const ir_value *value, double *result) {
    const ir_type *type = &value->operands[0]->type;
    const double *operand = interp_operand(plan, value, 0);
    int64_t strides[IR_MAX_RANK], count = ir_type_elements(&value->type);
    kept_strides(value, ir_ints(value, IR_ATTR_axes), ir_attr_get(value, IR_ATTR_axes)->count, strides);
    reduce(plan, value, result, -DBL_MAX, larger_of);
    double *sums = calloc((size_t)count, sizeof *sums);
    interp_walk walk = interp_walk_begin(type->rank, type->dims, strides, NULL, NULL);
    do
        sums[walk.offset[0]] += exp(*operand++ - result[walk.offset[0]]);
    while (interp_walk_next(&walk));
    for (int64_t i = 0; i < count; i++)
        result[i] += log(sums[i]);
    free(sums);
}

void eval_argmax(const interp_plan *plan, const ir_value *value, double *result) {
    const ir_type *type = &value->operands[0]->type;
    const double *operand = interp_operand(plan, value, 0);
    int64_t axis = ir_int(value, IR_ATTR_axis), source_strides[IR_MAX_RANK];
    int64_t strides[IR_MAX_RANK], kept = 0;
    interp_strides(type, source_strides);
    for (int i = 0; i < type->rank; i++)
        if (i != axis)
            strides[kept++] = source_strides[i];
    interp_walk walk = interp_walk_begin(value->type.rank, value->type.dims, strides, NULL, NULL);
    do {
        const double *line = operand + walk.offset[0];
        int64_t first = 0;
        for (int64_t i = 1; i < type->dims[axis]; i++)
            if (interp_is_larger(line[i * source_strides[axis]], line[first * source_strides[axis]]))
                first = i;
        *result++ = (double)first;
    } while (interp_walk_next(&walk));
}
