/* one-pass-variance: sums of squared distances from the mean become variations, for which a kernel reads a large tensor
 * once where it gives the mean, too, as in batch normalisation (lower_reduction.c). Runs behind `factor-sums`, which
 * knows the other form. */
#include "passes/pass.h"

#include <math.h>

enum { LARGE_BYTES = 1 << 20 };

typedef struct {
    ir_value *x, *mean;
    const ir_attr *axes; /* that are summed over */
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

bool pass_one_pass_variance(pass_context *context) {
    for (int i = 0; i < context->module->function_count; i++) {
        ir_function *function = context->module->functions[i];
        for (ir_value *value = function->first, *next; value; value = next) {
            next = value->next;
            variance found;
            if (!find(value, &found))
                continue;
            ir_builder builder = {function, value, value->span};
            ir_value *variation =
                ir_reduce(&builder, IR_OP_reduce_variation, found.x, found.axes->as.ints, found.axes->count);
            ir_replace_uses(value, variation);
            ir_remove(function, value);
        }
    }
    return true;
}
