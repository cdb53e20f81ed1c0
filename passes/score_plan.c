/* What a group of scores computes: its products and results, whether it is symmetric, whether another group shares its
 * product. */
#include "passes/score_space.h"
#include "passes/score_tile.h"
#include "passes/score_units.h"

#include <assert.h>
#include <string.h>

/* ---- what the group holds -----------------------------------------------------------------------------------------
 */

static void add_product(score_plan *plan, const ir_value *value) {
    assert(plan->product_count < SCORE_MAX_PRODUCTS);
    plan->products[plan->product_count++] = (score_product){.value = value,
                                                            .row_vectors = value->operands[0],
                                                            .column_vectors = value->operands[1],
                                                            .length = value->operands[0]->type.dims[1]};
    plan->rows = value->type.dims[0];
    plan->columns = value->type.dims[1];
}

static int weights_number(score_plan *plan, const ir_value *scores) {
    for (int i = 0; i < plan->weight_count; i++)
        if (plan->weights[i] == scores)
            return i;
    plan->weights[plan->weight_count] = scores;
    return plan->weight_count++;
}

static void add_output(score_plan *plan, const ir_value *value) {
    assert(plan->output_count < SCORE_MAX_RESULTS);
    score_output *output = &plan->outputs[plan->output_count++];
    *output =
        (score_output){.value = value, .scores = value->operands[0], .mirrored_total = -1, .mirrored_vectors = -1};
    switch (value->opcode) {
    case IR_OP_reduce_sum: output->kind = SCORE_SUM; break;
    case IR_OP_reduce_max: output->kind = SCORE_MAX; break;
    case IR_OP_reduce_logsumexp: output->kind = SCORE_LOGSUMEXP; break;
    default: output->kind = SCORE_MULTIPLY; break;
    }
    if (output->kind != SCORE_MULTIPLY) {
        output->by_row = ir_ints(value, IR_ATTR_axes)[0] == 1;
        return;
    }
    output->by_row = ir_ints(value, IR_ATTR_lhs_contract)[0] == 1;
    output->length = value->operands[1]->type.dims[1];
    output->row = score_on_units(plan) ? score_units_row(output->length) : output->length;
    output->weights = weights_number(plan, output->scores);
}

/* ---- symmetry ------------------------------------------------------------------------------------------------------
 */

static bool is_commutative(ir_opcode opcode) {
    return opcode == IR_OP_add || opcode == IR_OP_mul || opcode == IR_OP_max || opcode == IR_OP_min ||
           opcode == IR_OP_equal || opcode == IR_OP_and || opcode == IR_OP_or;
}

/* Whether x[i, j] = y[j, i] by the way they are computed. */
static bool are_transposed(const ir_value *x, const ir_value *y, int depth) {
    if (depth > 24)
        return false;
    if (x->opcode == IR_OP_transpose && x->operands[0] == y)
        return true;
    if (y->opcode == IR_OP_transpose && y->operands[0] == x)
        return true;
    if (x->opcode != y->opcode || x->group != y->group)
        return false;
    switch (x->opcode) {
    case IR_OP_dot: return x->operands[0] == y->operands[1] && x->operands[1] == y->operands[0];
    case IR_OP_constant: return ir_number(x, IR_ATTR_value) == ir_number(y, IR_ATTR_value);
    case IR_OP_iota: return ir_int(x, IR_ATTR_axis) != ir_int(y, IR_ATTR_axis);
    case IR_OP_transpose: return are_transposed(x->operands[0], y->operands[0], depth + 1);
    case IR_OP_broadcast:
        return x->operands[0] == y->operands[0] &&
               (x->operands[0]->type.rank == 0 || ir_ints(x, IR_ATTR_axes)[0] != ir_ints(y, IR_ATTR_axes)[0]);
    default: break;
    }
    bool straight = true;
    for (int i = 0; i < x->operand_count && straight; i++)
        straight = are_transposed(x->operands[i], y->operands[i], depth + 1);
    return straight || (is_commutative(x->opcode) && are_transposed(x->operands[0], y->operands[1], depth + 1) &&
                        are_transposed(x->operands[1], y->operands[0], depth + 1));
}

bool score_reads_alike(const ir_value *scores) {
    return are_transposed(scores, scores, 0);
}

static bool is_symmetric(const score_plan *plan) {
    if (!score_are_halved(plan->rows))
        return false;
    for (int i = 0; i < plan->product_count; i++)
        if (plan->products[i].value->operands[0] != plan->products[i].value->operands[1])
            return false;
    for (int i = 0; i < plan->weight_count; i++)
        if (!score_reads_alike(plan->weights[i]))
            return false;
    return true;
}

/* What the group computes, and from what. */
score_plan score_plan_of(lower_context *context, int group) {
    score_plan plan = {.context = context, .group = group, .parts = context->pass->product_parts, .kept = -1};
    for (const ir_value *value = context->source->first; value; value = value->next) {
        if (value->group != group)
            continue;
        if (!lower_is_inlined(value))
            add_output(&plan, value);
        else if (value->opcode == IR_OP_dot)
            add_product(&plan, value);
    }
    plan.symmetric = is_symmetric(&plan);
    return plan;
}

/* ---- kept products --------------------------------------------------------------------------------------------------
 */

/* Whether two values are the same vectors, brought into the same shape. */
static bool are_same(const ir_value *x, const ir_value *y) {
    if (x == y)
        return true;
    return x->opcode == y->opcode && (x->opcode == IR_OP_reshape || x->opcode == IR_OP_transpose) &&
           ir_type_equal(&x->type, &y->type) && x->operands[0] == y->operands[0] &&
           (x->opcode == IR_OP_reshape ||
            memcmp(ir_ints(x, IR_ATTR_axes), ir_ints(y, IR_ATTR_axes), (size_t)x->type.rank * sizeof(int64_t)) == 0);
}

/* The same product of another group, which is symmetric or not as this one is; NULL if there is none. */
static const ir_value *partner_of(const score_plan *plan) {
    const ir_value *mine = plan->products[0].value;
    for (const ir_value *value = plan->context->source->first; value; value = value->next) {
        if (value->opcode != IR_OP_dot || !value->group || value->group == plan->group || !lower_is_inlined(value) ||
            !are_same(value->operands[0], mine->operands[0]) || !are_same(value->operands[1], mine->operands[1]))
            continue;
        score_plan other = score_plan_of(plan->context, value->group);
        if (other.product_count == 1 && other.symmetric == plan->symmetric)
            return value;
    }
    return NULL;
}

/* Another group's product that is to be kept for this one, or kept by it. */
const ir_value *score_plan_share(score_plan *plan) {
    score_sizes sizes = {.rows = plan->rows,
                         .columns = plan->columns,
                         .length = plan->products[0].length,
                         .parts = plan->parts,
                         .halved = plan->symmetric,
                         .limited = plan->context->pass->memory_limit > 0};
    if (plan->product_count > 1 || !score_are_kept(&sizes))
        return NULL;
    const ir_value *partner = partner_of(plan);
    plan->shares = partner != NULL;
    return partner;
}
