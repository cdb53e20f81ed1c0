/* expand-distances: squared distances of all pairs become a product of the two sides.
 *
 * sum over k of (u[i, k] - v[j, k])^2 = |u[i]|^2 + |v[j]|^2 - 2 u[i] v[j], at least 0: no difference of each pair need
 * exist, and fuse-contrastive finds a product. What rounding leaves is in proportion to the lengths of u and v, not to
 * their distance. The root of a square that follows is left out, too. Runs before `differentiate`. */
#include "passes/pass.h"

/* The matrix [N, D] that is repeated over axis `free` of [N, M, D] (or [M, N, D]), or NULL. */
static ir_value *repeated(const ir_value *value, int64_t row) {
    if (value->opcode != IR_OP_broadcast || value->operands[0]->type.rank != 2)
        return NULL;
    const int64_t *axes = ir_ints(value, IR_ATTR_axes);
    return axes[0] == row && axes[1] == 2 ? value->operands[0] : NULL;
}

/* Whether the value is sum over the last axis of (u - v)^2, with u along axis 0 and v along axis 1, or the other way.
 */
static bool is_distance(const ir_value *value, ir_value **u, ir_value **v) {
    if (value->opcode != IR_OP_reduce_sum || value->type.dtype != IR_F32 || value->operands[0]->opcode != IR_OP_mul)
        return false;
    const ir_attr *axes = ir_attr_get(value, IR_ATTR_axes);
    const ir_value *square = value->operands[0], *difference = square->operands[0];
    if (axes->count != 1 || axes->as.ints[0] != 2 || square->type.rank != 3 || square->operands[1] != difference ||
        difference->opcode != IR_OP_sub)
        return false;
    for (int turned = 0; turned < 2; turned++) {
        *u = repeated(difference->operands[turned], 0);
        *v = repeated(difference->operands[!turned], 1);
        if (*u && *v)
            return true;
    }
    return false;
}

static ir_value *squared_lengths(const ir_builder *builder, ir_value *vectors, const ir_type *matrix, int64_t axis) {
    ir_value *squares = ir_binary(builder, IR_OP_mul, vectors, vectors);
    ir_value *lengths = ir_reduce(builder, IR_OP_reduce_sum, squares, (int64_t[]){1}, 1);
    return ir_broadcast(builder, lengths, matrix->dims, 2, &axis);
}

static ir_value *products(const ir_builder *builder, ir_value *u, ir_value *v) {
    arena *memory = builder->function->module->memory;
    int64_t last = 1;
    ir_attr attrs[] = {ir_attr_ints_make(memory, IR_ATTR_lhs_batch, NULL, 0),
                       ir_attr_ints_make(memory, IR_ATTR_rhs_batch, NULL, 0),
                       ir_attr_ints_make(memory, IR_ATTR_lhs_contract, &last, 1),
                       ir_attr_ints_make(memory, IR_ATTR_rhs_contract, &last, 1)};
    return ir_build(builder->function, builder->before, IR_OP_dot, (ir_value *[]){u, v}, 2, attrs, 4, NULL,
                    builder->span);
}

static ir_value *expanded(const ir_builder *builder, const ir_type *matrix, ir_value *u, ir_value *v) {
    ir_value *rows = squared_lengths(builder, u, matrix, 0), *columns = squared_lengths(builder, v, matrix, 1);
    ir_value *lengths = ir_binary(builder, IR_OP_add, rows, columns), *dots = products(builder, u, v);
    ir_value *twice = ir_binary(builder, IR_OP_mul, dots, ir_constant(builder, matrix, 2));
    ir_value *distances = ir_binary(builder, IR_OP_sub, lengths, twice);
    return ir_binary(builder, IR_OP_max, distances, ir_constant(builder, matrix, 0));
}

/* sqrt(distance)^2 is the distance. */
static void leave_out_roots(ir_function *function, const ir_value *distance) {
    for (ir_value *value = function->first, *next; value; value = next) {
        next = value->next;
        if (value->opcode != IR_OP_mul)
            continue;
        const ir_value *root = value->operands[0];
        if (root == value->operands[1] && root->opcode == IR_OP_sqrt && root->operands[0] == distance) {
            ir_replace_uses(value, root->operands[0]);
            ir_remove(function, value);
        }
    }
}

bool pass_expand_distances(pass_context *context) {
    for (int i = 0; i < context->module->function_count; i++) {
        ir_function *function = context->module->functions[i];
        for (ir_value *value = function->first, *next; value; value = next) {
            next = value->next;
            ir_value *u, *v;
            if (!is_distance(value, &u, &v))
                continue;
            ir_builder builder = {function, value, value->span};
            ir_value *distances = expanded(&builder, &value->type, u, v);
            ir_replace_uses(value, distances);
            ir_remove(function, value);
            leave_out_roots(function, distances);
        }
    }
    return true;
}
