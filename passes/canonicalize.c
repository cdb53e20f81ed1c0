/* canonicalize: identities, constant folding, and moves that move nothing. Each value is looked at once, after its
 * operands; rounds are repeated until nothing changes. Keeps every NaN and infinity that the program would have
 * computed. */
#include "passes/pass.h"

#include <math.h>
#include <string.h>

enum { MAX_ROUNDS = 8 };

typedef struct {
    ir_function *function;
    bool has_gradients; /* stop_gradient still means something */
    bool changed;
} rewriter;

static bool is_constant(const ir_value *value, double number) {
    return value->opcode == IR_OP_constant && ir_number(value, IR_ATTR_value) == number;
}

static ir_value *constant_like(rewriter *rewrite, ir_value *value, double number) {
    ir_builder builder = {rewrite->function, value, value->span};
    if (value->type.dtype == IR_F32)
        number = (double)(float)number;
    return ir_constant(&builder, &value->type, number);
}

/* ---- folding
 * ---------------------------------------------------------------------------------------------------------------------
 */

static bool fold_unary(ir_opcode opcode, double x, ir_dtype dtype, double *result) {
    switch (opcode) {
    case IR_OP_neg: *result = -x; return true;
    case IR_OP_abs: *result = fabs(x); return true;
    case IR_OP_sign: *result = (x > 0) - (x < 0); return true;
    case IR_OP_floor: *result = floor(x); return true;
    case IR_OP_exp: *result = exp(x); return true;
    case IR_OP_log: *result = log(x); return true;
    case IR_OP_sqrt: *result = sqrt(x); return true;
    case IR_OP_rsqrt: *result = 1 / sqrt(x); return true;
    case IR_OP_tanh: *result = tanh(x); return true;
    case IR_OP_relu: *result = x < 0 ? 0 : x; return true;
    case IR_OP_not: *result = x == 0; return true;
    case IR_OP_convert:
        *result = dtype == IR_F32 ? x : dtype == IR_BOOL ? x != 0 : trunc(x);
        return fabs(x) < 2147483648.0;
    default: return false;
    }
}

static bool fold_binary(ir_opcode opcode, double x, double y, ir_dtype dtype, double *result) {
    switch (opcode) {
    case IR_OP_add: *result = x + y; break;
    case IR_OP_sub: *result = x - y; break;
    case IR_OP_mul: *result = x * y; break;
    case IR_OP_div:
        if (dtype == IR_I32)
            return false;
        *result = x / y;
        break;
    case IR_OP_max: *result = x < y || isnan(y) ? y : x; break;
    case IR_OP_min: *result = y < x || isnan(y) ? y : x; break;
    case IR_OP_equal: *result = x == y; return true;
    case IR_OP_less: *result = x < y; return true;
    case IR_OP_less_equal: *result = x <= y; return true;
    case IR_OP_and: *result = x != 0 && y != 0; return true;
    case IR_OP_or: *result = x != 0 || y != 0; return true;
    default: return false;
    }
    return dtype != IR_I32 || fabs(*result) < 2147483648.0;
}

static ir_value *fold(rewriter *rewrite, ir_value *value) {
    double numbers[3], result;
    ir_class class_ = ir_op(value->opcode)->class_;
    if (value->operand_count < 1 || value->operand_count > 2 || class_ != IR_CLASS_ELEMENTWISE ||
        value->opcode == IR_OP_stop_gradient)
        return NULL;
    for (int i = 0; i < value->operand_count; i++) {
        if (value->operands[i]->opcode != IR_OP_constant)
            return NULL;
        numbers[i] = ir_number(value->operands[i], IR_ATTR_value);
    }
    bool folds = value->operand_count == 1
                     ? fold_unary(value->opcode, numbers[0], value->type.dtype, &result)
                     : fold_binary(value->opcode, numbers[0], numbers[1], value->operands[0]->type.dtype, &result);
    folds = folds && (value->type.dtype != IR_I32 || fabs(result) < 2147483648.0);
    return folds ? constant_like(rewrite, value, result) : NULL;
}

/* ---- identities
 * -------------------------------------------------------------------------------------------------------------------
 */

static bool is_identity_permutation(const ir_value *value, ir_attr_key key) {
    const ir_attr *axes = ir_attr_get(value, key);
    for (int i = 0; i < axes->count; i++)
        if (axes->as.ints[i] != i)
            return false;
    return true;
}

/* Whether the indices are 0, 1, 2, … of all rows. */
static bool names_every_row(const ir_value *value) {
    const ir_value *indices = value->operands[1];
    int64_t batch = ir_int(value, IR_ATTR_batch);
    return indices->opcode == IR_OP_iota && indices->type.rank == batch + 1 && ir_int(indices, IR_ATTR_axis) == batch &&
           ir_int(value, IR_ATTR_axis) == batch;
}

static ir_value *simplify_moves(rewriter *rewrite, ir_value *value) {
    ir_value *operand = value->operands[0];
    ir_builder builder = {rewrite->function, value, value->span};
    bool same = ir_same_dims(&operand->type, &value->type);
    switch (value->opcode) {
    case IR_OP_broadcast:
    case IR_OP_reshape:
        if (operand->opcode == IR_OP_constant)
            return constant_like(rewrite, value, ir_number(operand, IR_ATTR_value));
        if (value->opcode == IR_OP_reshape && operand->opcode == IR_OP_reshape)
            return ir_reshape(&builder, operand->operands[0], value->type.dims, value->type.rank);
        return same ? operand : NULL;
    case IR_OP_transpose:
        if (operand->opcode == IR_OP_constant)
            return constant_like(rewrite, value, ir_number(operand, IR_ATTR_value));
        return is_identity_permutation(value, IR_ATTR_axes) ? operand : NULL;
    case IR_OP_slice:
        if (operand->opcode == IR_OP_constant)
            return constant_like(rewrite, value, ir_number(operand, IR_ATTR_value));
        return same ? operand : NULL;
    case IR_OP_pad: return same ? operand : NULL;
    case IR_OP_concat: return value->operand_count == 1 ? operand : NULL;
    case IR_OP_gather:
    case IR_OP_scatter_add: return same && names_every_row(value) ? operand : NULL;
    default: return NULL;
    }
}

/* x / c as x times 1 / c, many times faster; exact where c is a power of 2, else within a unit more in the last place.
 */
static ir_value *times_reciprocal(rewriter *rewrite, ir_value *value) {
    const ir_value *divisor = value->operands[1];
    if (value->type.dtype != IR_F32 || divisor->opcode != IR_OP_constant)
        return NULL;
    double reciprocal = 1 / ir_number(divisor, IR_ATTR_value);
    if (!(fabs(reciprocal) > 1e-37 && fabs(reciprocal) < 1e37))
        return NULL;
    ir_builder builder = {rewrite->function, value, value->span};
    return ir_binary(&builder, IR_OP_mul, value->operands[0], ir_constant(&builder, &value->type, reciprocal));
}

static ir_value *simplify_arithmetic(rewriter *rewrite, ir_value *value) {
    ir_value *x = value->operands[0], *y = value->operand_count > 1 ? value->operands[1] : NULL;
    switch (value->opcode) {
    case IR_OP_neg: return x->opcode == IR_OP_neg ? x->operands[0] : NULL;
    case IR_OP_not: return x->opcode == IR_OP_not ? x->operands[0] : NULL;
    case IR_OP_convert: return x->type.dtype == value->type.dtype ? x : NULL;
    case IR_OP_stop_gradient: return rewrite->has_gradients ? NULL : x;
    case IR_OP_add: return is_constant(y, 0) ? x : is_constant(x, 0) ? y : NULL;
    case IR_OP_sub: return is_constant(y, 0) ? x : NULL;
    case IR_OP_mul: return is_constant(y, 1) ? x : is_constant(x, 1) ? y : NULL;
    case IR_OP_div: return is_constant(y, 1) ? x : times_reciprocal(rewrite, value);
    case IR_OP_select:
        if (value->operands[1] == value->operands[2])
            return value->operands[1];
        return x->opcode == IR_OP_constant ? value->operands[ir_number(x, IR_ATTR_value) != 0 ? 1 : 2] : NULL;
    default: return NULL;
    }
}

static ir_value *simplify(rewriter *rewrite, ir_value *value) {
    ir_class class_ = ir_op(value->opcode)->class_;
    if (class_ == IR_CLASS_SHAPE)
        return simplify_moves(rewrite, value);
    if (class_ != IR_CLASS_ELEMENTWISE)
        return NULL;
    ir_value *folded = fold(rewrite, value);
    return folded ? folded : simplify_arithmetic(rewrite, value);
}

static void round_of(rewriter *rewrite) {
    for (ir_value *value = rewrite->function->first; value; value = value->next)
        value->scratch = NULL;
    for (ir_value *value = rewrite->function->first; value; value = value->next) {
        for (int i = 0; i < value->operand_count; i++)
            while (value->operands[i]->scratch)
                value->operands[i] = value->operands[i]->scratch;
        ir_value *simpler = simplify(rewrite, value);
        if (simpler && simpler != value) {
            value->scratch = simpler;
            rewrite->changed = true;
        }
    }
    /* What was replaced has no users left. */
    for (ir_value *value = rewrite->function->last, *previous; value; value = previous) {
        previous = value->previous;
        if (value->scratch)
            ir_remove(rewrite->function, value);
    }
}

static void canonicalize(ir_function *function) {
    rewriter rewrite = {.function = function, .changed = true};
    for (const ir_value *value = function->first; value; value = value->next)
        rewrite.has_gradients |= value->opcode == IR_OP_gradient;
    for (int round = 0; round < MAX_ROUNDS && rewrite.changed; round++) {
        rewrite.changed = false;
        round_of(&rewrite);
    }
}

bool pass_canonicalize(pass_context *context) {
    for (int i = 0; i < context->module->function_count; i++)
        canonicalize(context->module->functions[i]);
    return true;
}
