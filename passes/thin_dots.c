/* thin-dots: products of each item's vector and matrix, and products of vectors with nothing to add up, as elementwise
 * products and sums.
 *
 * Such a product reads every element of its large side once, so memory bounds it, not arithmetic. As elementwise work
 * it reads the matrix as it lies, where a product wants it turned, and fuses with what makes and uses it. Runs behind
 * `fuse-contrastive`, whose scores are products; leaves groups alone. */
#include "passes/dot_axes.h"
#include "passes/pass.h"

typedef struct {
    ir_value *value;
    dot_axes sides[2];
} dot_form;

/* Whether the side's axes of the batch are its first ones, in order: as in the result. */
static bool batch_leads(const dot_form *dot, int side) {
    const ir_attr *batch = dot->sides[side].batch;
    for (int i = 0; i < batch->count; i++)
        if (batch->as.ints[i] != i)
            return false;
    return true;
}

/* left[b, i] right[b, j] -> [b, i, j] */
static ir_value *outer_product(const ir_builder *builder, const dot_form *dot) {
    const ir_type *type = &dot->value->type;
    ir_value *sides[2];
    for (int side = 0; side < 2; side++) {
        ir_value *operand = dot->value->operands[side];
        int64_t axes[IR_MAX_RANK];
        for (int axis = 0; axis < operand->type.rank; axis++)
            axes[axis] = axis < dot->sides[side].batch->count || side == 0 ? axis : axis + dot->sides[0].free_count;
        sides[side] = ir_broadcast(builder, operand, type->dims, type->rank, axes);
    }
    return ir_binary(builder, IR_OP_mul, sides[0], sides[1]);
}

/* Where each axis of the `thin` side, which has no free ones, lies in the other. False unless in the same order. */
static bool axes_in_other(const dot_form *dot, int thin, int64_t *axes) {
    const dot_axes *own = &dot->sides[thin], *other = &dot->sides[!thin];
    for (int i = 0; i < own->batch->count; i++)
        axes[own->batch->as.ints[i]] = other->batch->as.ints[i];
    for (int i = 0; i < own->contract->count; i++)
        axes[own->contract->as.ints[i]] = other->contract->as.ints[i];
    for (int i = 1; i < dot->value->operands[thin]->type.rank; i++)
        if (axes[i] < axes[i - 1])
            return false;
    return true;
}

/* vector[b, k] matrix[b, …, k] -> [b, …], the sum over k. */
static ir_value *sum_of_products(const ir_builder *builder, const dot_form *dot, int thin, const int64_t *axes) {
    ir_value *matrix = dot->value->operands[!thin];
    ir_value *vector = ir_broadcast(builder, dot->value->operands[thin], matrix->type.dims, matrix->type.rank, axes);
    ir_value *sides[2];
    sides[thin] = vector;
    sides[!thin] = matrix;
    const ir_attr *contract = dot->sides[!thin].contract;
    return ir_reduce(builder, IR_OP_reduce_sum, ir_binary(builder, IR_OP_mul, sides[0], sides[1]), contract->as.ints,
                     contract->count);
}

static ir_value *thin_dot(const ir_builder *builder, const dot_form *dot) {
    if (dot->sides[0].contract->count == 0)
        return batch_leads(dot, 0) && batch_leads(dot, 1) ? outer_product(builder, dot) : NULL;
    if (dot->sides[0].batch->count ==
        0) /* one vector by one matrix: weights, mostly, which are packed for many vectors */
        return NULL;
    for (int thin = 0; thin < 2; thin++) {
        int64_t axes[IR_MAX_RANK] = {0};
        if (dot->value->operands[!thin]->opcode == IR_OP_gather) /* lower_drawn.c reads the vectors where they lie */
            return NULL;
        if (dot->sides[thin].free_count == 0 && batch_leads(dot, !thin) && axes_in_other(dot, thin, axes))
            return sum_of_products(builder, dot, thin, axes);
    }
    return NULL;
}

bool pass_thin_dots(pass_context *context) {
    for (int i = 0; i < context->module->function_count; i++) {
        ir_function *function = context->module->functions[i];
        for (ir_value *value = function->first, *next; value; value = next) {
            next = value->next;
            if (value->opcode != IR_OP_dot || value->group)
                continue;
            ir_builder builder = {function, value, value->span};
            dot_form dot = {value, {dot_axes_of(value, 0), dot_axes_of(value, 1)}};
            ir_value *thin = thin_dot(&builder, &dot);
            if (!thin)
                continue;
            ir_replace_uses(value, thin);
            ir_remove(function, value);
        }
    }
    return true;
}
