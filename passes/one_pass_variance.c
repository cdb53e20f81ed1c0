/* one-pass-variance: sums of squared distances from the mean beside the sum that the mean is made of.
 *
 * sum((x - mean)^2) = sum((x - s)^2) - n (mean - s)^2, at least 0, for any s: so a large tensor is read once where mean
 * and variance of it are wanted, as in batch normalisation. What rounding leaves grows with n (mean - s)^2, so s is the
 * mean of one part in SAMPLES of the tensor: of so many parts none can lie so far off that this exceeds SAMPLES times
 * the sum of squares. Runs behind `factor-sums`, which knows the other form. */
#include "passes/pass.h"

#include <math.h>

enum { SAMPLES = 32, LARGE_BYTES = 1 << 20 };

typedef struct {
    ir_value *x, *mean;
    const ir_attr *axes; /* that are summed over; the first is sampled */
    double count;        /* of elements in a sum */
} variance;

/* Whether the value is the sum of `x` over the axes, times 1 / count. */
static bool is_mean(const ir_value *value, const variance *wanted) {
    if (value->opcode != IR_OP_mul)
        return false;
    for (int turned = 0; turned < 2; turned++) {
        const ir_value *sum = value->operands[turned], *share = value->operands[!turned];
        if (sum->opcode != IR_OP_reduce_sum || sum->operands[0] != wanted->x || share->opcode != IR_OP_constant ||
            fabs(ir_number(share, IR_ATTR_value) * wanted->count - 1) > 1e-6)
            continue;
        const ir_attr *axes = ir_attr_get(sum, IR_ATTR_axes);
        bool equal = axes->count == wanted->axes->count;
        for (int i = 0; i < axes->count && equal; i++)
            equal = axes->as.ints[i] == wanted->axes->as.ints[i];
        if (equal)
            return true;
    }
    return false;
}

/* The broadcast's operand if it has the axes that are not summed over, in order; else NULL. */
static ir_value *repeated(const ir_value *value, const ir_attr *summed) {
    if (value->opcode != IR_OP_broadcast || value->operands[0]->type.rank != value->type.rank - summed->count)
        return NULL;
    const int64_t *axes = ir_ints(value, IR_ATTR_axes);
    for (int i = 0; i < value->operands[0]->type.rank; i++)
        for (int s = 0; s < summed->count; s++)
            if (axes[i] == summed->as.ints[s])
                return NULL;
    return value->operands[0];
}

/* Whether the value is the sum of (x - mean of x)^2 over axes of a large x. */
static bool find(const ir_value *value, variance *found) {
    if (value->opcode != IR_OP_reduce_sum || value->type.dtype != IR_F32 || value->group != 0 ||
        value->operands[0]->opcode != IR_OP_mul)
        return false;
    const ir_value *square = value->operands[0], *difference = square->operands[0];
    if (square->operands[1] != difference || difference->opcode != IR_OP_sub)
        return false;
    *found = (variance){.x = difference->operands[0], .axes = ir_attr_get(value, IR_ATTR_axes)};
    found->count = (double)ir_type_elements(&square->type) / (double)ir_type_elements(&value->type);
    found->mean = repeated(difference->operands[1], found->axes);
    return found->mean && ir_type_bytes(&square->type) >= LARGE_BYTES &&
           square->type.dims[found->axes->as.ints[0]] > 1 && is_mean(found->mean, found);
}

/* The mean of the first elements along the first axis that is summed over. */
static ir_value *sampled_mean(const ir_builder *builder, const variance *of) {
    const ir_type *type = &of->x->type;
    int64_t start[IR_MAX_RANK] = {0}, limit[IR_MAX_RANK], stride[IR_MAX_RANK], axis = of->axes->as.ints[0];
    for (int i = 0; i < type->rank; i++) {
        limit[i] = type->dims[i];
        stride[i] = 1;
    }
    limit[axis] = (type->dims[axis] + SAMPLES - 1) / SAMPLES;
    ir_value *sample = ir_slice(builder, of->x, start, limit, stride);
    ir_value *sum = ir_reduce(builder, IR_OP_reduce_sum, sample, of->axes->as.ints, of->axes->count);
    double share = (double)type->dims[axis] / ((double)limit[axis] * of->count);
    ir_value *factor = ir_constant(builder, &sum->type, share);
    return ir_binary(builder, IR_OP_mul, sum, factor);
}

static ir_value *in_one_pass(const ir_builder *builder, const ir_value *value, const variance *of) {
    const ir_value *difference = value->operands[0]->operands[0];
    ir_value *shift = sampled_mean(builder, of);
    ir_value *repeat = ir_broadcast(builder, shift, of->x->type.dims, of->x->type.rank,
                                    ir_ints(difference->operands[1], IR_ATTR_axes));
    ir_value *shifted = ir_binary(builder, IR_OP_sub, of->x, repeat);
    ir_value *squares = ir_binary(builder, IR_OP_mul, shifted, shifted);
    ir_value *sum = ir_reduce(builder, IR_OP_reduce_sum, squares, of->axes->as.ints, of->axes->count);
    ir_value *off = ir_binary(builder, IR_OP_sub, of->mean, shift),
             *off_squared = ir_binary(builder, IR_OP_mul, off, off);
    ir_value *count = ir_constant(builder, &off->type, of->count), *least = ir_constant(builder, &off->type, 0);
    ir_value *excess = ir_binary(builder, IR_OP_mul, off_squared, count);
    ir_value *rest = ir_binary(builder, IR_OP_sub, sum, excess);
    return ir_binary(builder, IR_OP_max, rest, least);
}

bool pass_one_pass_variance(pass_context *context) {
    for (int i = 0; i < context->module->function_count; i++) {
        ir_function *function = context->module->functions[i];
        for (ir_value *value = function->first, *next; value; value = next) {
            next = value->next;
            variance found;
            if (!find(value, &found))
                continue;
            ir_builder builder = {function, value, value->span};
            ir_value *sum = in_one_pass(&builder, value, &found);
            ir_replace_uses(function, value, sum);
            ir_remove(function, value);
        }
    }
    return true;
}
